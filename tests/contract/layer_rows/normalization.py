"""Rows of the layer contract: normalization."""

from tests.contract.rows import Row, floats

ROWS = [
    Row("BatchNormalization", {}, floats(8, 5)),
    Row("BatchNormalization", {"momentum": 0.5, "epsilon": 1e-2}, floats(3, 4, 5, 2)),
    Row("BatchNormalization", {"axis": 1, "scale": False}, floats(4, 3, 5, 2)),
    Row("BatchNormalization", {"center": False, "gamma_regularizer": "l2"}, floats(4, 3, 2)),
    Row("LayerNormalization", {}, floats(4, 6)),
    Row("LayerNormalization", {"axis": [1, 2], "center": False}, floats(3, 4, 5)),
    Row("LayerNormalization", {"scale": False, "epsilon": 1e-5}, floats(3, 4, 5)),
]
