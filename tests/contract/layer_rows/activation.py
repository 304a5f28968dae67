"""Rows of the layer contract: activations."""

from tests.contract.rows import Row, floats

ROWS = [
    Row("Activation", {"activation": "tanh"}, floats(4, 5)),
    Row("ReLU", {}, floats(4, 5)),
    Row("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}, floats(4, 5)),
    Row("LeakyReLU", {"negative_slope": 0.2}, floats(4, 5)),
    Row("ELU", {"alpha": 0.5}, floats(4, 5)),
    Row("Softmax", {}, floats(4, 5)),
    Row("Softmax", {"axis": [1, 2]}, floats(2, 3, 5)),
]
