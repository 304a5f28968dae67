"""Rows of the layer contract: convolutions."""

from tests.contract.rows import Row, floats

X1, X2, X3 = floats(2, 8, 4), floats(2, 6, 7, 4), floats(2, 4, 5, 4, 2)

# On a CPU the oracle has no gradient of groups, and no transposed convolution with dilation: what we have there is
# compared with equal computations in tests/layers/test_convolution.py.
ROWS = [
    Row("Conv1D", {"filters": 3, "kernel_size": 3}, X1),
    Row("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, X1),
    Row("Conv1D", {"filters": 4, "kernel_size": 2, "strides": 2, "padding": "same", "activation": "relu"}, X1),
    Row("Conv2D", {"filters": 3, "kernel_size": 3}, X2),
    Row("Conv2D", {"filters": 3, "kernel_size": (2, 3), "strides": (2, 1), "padding": "same"}, X2),
    Row("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2, "use_bias": False}, X2, gradient=False),
    Row("Conv2D", {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "kernel_regularizer": "l2"}, X2),
    Row("Conv3D", {"filters": 2, "kernel_size": 2}, X3),
    Row("Conv3D", {"filters": 2, "kernel_size": (1, 2, 3), "strides": 2, "padding": "same"}, X3),
    Row("Conv1DTranspose", {"filters": 3, "kernel_size": 3}, X1),
    Row("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, X1),
    Row("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "activation": "relu"}, X2),
    Row("Conv2DTranspose", {"filters": 3, "kernel_size": (3, 2), "strides": (3, 2), "output_padding": (1, 1)}, X2),
    Row("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1}, X2),
    Row("Conv2DTranspose", {"filters": 3, "kernel_size": 1, "strides": 3, "use_bias": False}, X2),
    Row("Conv3DTranspose", {"filters": 2, "kernel_size": 2}, X3),
    Row("Conv3DTranspose", {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}, X3),
    Row("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, X1),
    Row("DepthwiseConv1D", {"kernel_size": 2, "strides": 2, "padding": "same", "activation": "tanh"}, X1),
    Row("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "depthwise_regularizer": "l2"}, X2),
    Row("DepthwiseConv2D", {"kernel_size": 2, "strides": 2, "padding": "same"}, X2),
    Row("DepthwiseConv2D", {"kernel_size": 2, "dilation_rate": 2, "use_bias": False}, X2),
    Row("SeparableConv1D", {"filters": 3, "kernel_size": 3}, X1),
    Row("SeparableConv1D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, X1),
    Row("SeparableConv2D", {"filters": 3, "kernel_size": (2, 3), "depth_multiplier": 2, "activation": "relu"}, X2),
    Row("SeparableConv2D", {"filters": 3, "kernel_size": 3, "padding": "same", "pointwise_constraint": "non_neg"}, X2),
]
