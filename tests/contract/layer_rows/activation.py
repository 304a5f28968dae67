"""Rows of the layer contract: activations."""

import numpy as np

from tests.contract.rows import Row, floats

MASK = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 0, 1, 0]], "bool")
ROWS = [
    Row("Activation", {"activation": "tanh"}, floats(4, 5)),
    Row("Activation", {"activation": None}, floats(4, 5)),
    Row("ReLU", {}, floats(4, 5)),
    Row("ReLU", {"max_value": 0.5, "negative_slope": 0.1, "threshold": 0.2}, floats(4, 5)),
    Row("LeakyReLU", {}, floats(4, 5)),
    Row("LeakyReLU", {"negative_slope": 0.2}, floats(4, 5)),
    Row("PReLU", {}, floats(4, 5)),
    Row("PReLU", {"shared_axes": [1], "alpha_regularizer": "l2", "alpha_initializer": "ones"}, floats(4, 3, 5)),
    Row("ELU", {"alpha": 0.5}, floats(4, 5)),
    Row("Softmax", {}, floats(4, 5)),
    Row("Softmax", {"axis": [1, 2]}, floats(2, 3, 5)),
    Row("Softmax", {}, floats(4, 5), call={"mask": MASK}, dynamic=False),
]
