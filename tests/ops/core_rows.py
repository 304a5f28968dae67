"""The table of ops of conversion, control flow, scatter and slice: for each op its calls, with all options that matter."""

from __future__ import annotations

from tests.ops.cases import Case

ROWS: dict[str, list[Case]] = {}
