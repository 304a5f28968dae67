"""The rows, in the order of the table. One file per family of models; add a row to its file's `ROWS`."""

from __future__ import annotations

from benchmarks.job import Row
from benchmarks.rows import (
    batches,
    cnn,
    custom,
    importing,
    layers,
    mlp,
    ops,
    optimizers,
    predict,
    recurrent,
    saving,
    starting,
    transformer,
    workers,
)

TRAINING = (mlp, cnn, recurrent, transformer, custom)
FAMILIES = (*TRAINING, layers, predict, batches, ops, optimizers, saving, starting, workers, importing)
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES for row in family.ROWS}
