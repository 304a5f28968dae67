"""Rows of the layer contract: convolutions."""

from tests.contract.rows import Row, floats

# The oracle has no gradient of grouped convolutions on a CPU, and no layout with the channels in front: what we have there
# is compared with equal computations in tests/layers/test_convolution.py.
ROWS = [
    Row("Conv1D", {"filters": 3, "kernel_size": 3}, floats(2, 8, 2)),
    Row("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, floats(2, 8, 2)),
    Row("Conv1D", {"filters": 4, "kernel_size": 2, "strides": 2, "padding": "same", "activation": "relu"}, floats(2, 7, 2)),
    Row("Conv2D", {"filters": 3, "kernel_size": 3}, floats(2, 6, 7, 2)),
    Row("Conv2D", {"filters": 3, "kernel_size": (2, 3), "strides": (2, 1), "padding": "same"}, floats(2, 6, 7, 2)),
    Row("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False}, floats(2, 6, 6, 4), gradient=False),
    Row("Conv2D", {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "kernel_regularizer": "l2"}, floats(2, 7, 7, 2)),
    Row("Conv3D", {"filters": 2, "kernel_size": 2}, floats(2, 4, 5, 4, 2)),
]
