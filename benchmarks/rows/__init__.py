"""The rows, in the order of the table. One file per family of models; add a row to its file's `ROWS`."""

from __future__ import annotations

from benchmarks.job import Row
from benchmarks.rows import cnn, importing, layers, mlp, ops, optimizers, predict, recurrent

FAMILIES = (mlp, cnn, recurrent, layers, predict, ops, optimizers, importing)
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}
