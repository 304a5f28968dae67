"""Rows of the layer contract: layers that move values."""

from tests.contract.rows import Row, floats, integers

ROWS = [
    Row("Flatten", {}, floats(2, 3, 4)),
    Row("Flatten", {"data_format": "channels_first"}, floats(2, 3, 4, 5)),
    Row("Flatten", {}, floats(4)),
    Row("Reshape", {"target_shape": (4, 3)}, floats(2, 3, 4)),
    Row("Reshape", {"target_shape": (-1, 2)}, floats(2, 3, 4)),
    Row("Rescaling", {"scale": 0.5, "offset": 1.0}, floats(2, 3)),
    Row("Rescaling", {"scale": 0.5}, integers(2, 3, high=9), gradient=False),
]
