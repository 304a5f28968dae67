"""Rows of the layer contract: layers that are there for training."""

from tests.contract.rows import Row, floats

ROWS = [
    Row("Dropout", {"rate": 0.4}, floats(4, 5), training=(False,)),
    # With a seed the reference draws the same numbers, so training compares too.
    Row("Dropout", {"rate": 0.4, "seed": 3}, floats(4, 5)),
    Row("Dropout", {"rate": 0.4, "seed": 3, "noise_shape": (None, 1, 5)}, floats(4, 3, 5)),
    Row("Dropout", {"rate": 0.0}, floats(4, 5)),
]
