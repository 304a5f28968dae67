"""Rows of the layer contract: layers in which every output sees every input."""

from tests.contract.rows import Row, floats

ROWS = [
    Row("Dense", {"units": 3}, floats(4, 5)),
    Row("Dense", {"units": 3, "activation": "relu", "use_bias": False}, floats(2, 6, 5)),
    Row("Dense", {"units": 2, "kernel_regularizer": "l2", "activity_regularizer": "l1"}, floats(3, 4)),
    Row("Dense", {"units": 3, "lora_rank": 2}, floats(3, 4)),
]
