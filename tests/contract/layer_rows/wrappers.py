"""Rows of the layer contract: what wraps no layer of its own but needs another to be made is tested in tests/layers."""

from tests.contract.rows import Row

ROWS: list[Row] = []
