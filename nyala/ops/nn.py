"""Elementwise functions and normalizations of neural networks: the one home of the activations' formulas.

Whole numbers become `floatx()`, except in `relu` and `relu6`, which keep the dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.ops.attention import dot_product_attention
from nyala.ops.convolution import (
    conv,
    conv_transpose,
    depth_to_space,
    depthwise_conv,
    fold,
    separable_conv,
    space_to_depth,
    unfold,
)
from nyala.ops.crossentropy import (
    binary_crossentropy,
    categorical_crossentropy,
    keep_logits,
    psnr,
    sparse_categorical_crossentropy,
)
from nyala.ops.ctc import ctc_decode, ctc_loss
from nyala.ops.encoding import multi_hot, one_hot, polar
from nyala.ops.normalization import (
    batch_normalization,
    layer_normalization,
    moments,
    normalize,
    rms_normalization,
    widen,
)
from nyala.ops.pooling import adaptive_average_pool, adaptive_max_pool, average_pool, max_pool
from nyala.ops.rules import as_float as as_floats
from nyala.ops.rules import tensor
from nyala.ops.sparse import keeps_zeros

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "batch_normalization",
    "binary_crossentropy",
    "categorical_crossentropy",
    "celu",
    "conv",
    "conv_transpose",
    "ctc_decode",
    "ctc_loss",
    "depth_to_space",
    "depthwise_conv",
    "dot_product_attention",
    "elu",
    "fold",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "layer_normalization",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "max_pool",
    "moments",
    "multi_hot",
    "normalize",
    "one_hot",
    "polar",
    "psnr",
    "relu",
    "relu6",
    "rms_normalization",
    "selu",
    "separable_conv",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "space_to_depth",
    "sparse_categorical_crossentropy",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh_shrink",
    "threshold",
    "unfold",
]

Axes = int | Sequence[int] | None


# ---- Rectifiers ----


@op
@keeps_zeros
def relu(x: Tensor) -> Tensor:
    """Rectified linear unit `max(x, 0)`; its derivative at 0 is 0. The dtype stays.

    Example:
        >>> from nyala import ops
        >>> ops.nn.relu([-1.0, 0.0, 2.0]).numpy().tolist()
        [0.0, 0.0, 2.0]
    """
    return tf.nn.relu(tensor(x))


@op
@keeps_zeros
def relu6(x: Tensor) -> Tensor:
    """Rectified linear unit with a ceiling: `min(max(x, 0), 6)`. The dtype stays.

    Example:
        >>> from nyala import ops
        >>> ops.nn.relu6([-1.0, 2.0, 9.0]).numpy().tolist()
        [0.0, 2.0, 6.0]
    """
    return tf.nn.relu6(tensor(x))


@op
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """Rectified linear unit that leaks: `x` where positive, else `negative_slope · x`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.leaky_relu([-1.0, 2.0], negative_slope=0.5).numpy().tolist()
        [-0.5, 2.0]
    """
    return tf.nn.leaky_relu(as_floats(x), alpha=negative_slope)


@op
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit: `x` where positive, else `alpha · (exp(x) - 1)`.

    Source: Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015.

    Example:
        >>> from nyala import ops
        >>> ops.nn.elu([-1.0, 2.0]).numpy().tolist()
        [-0.632, 2.0]
    """
    x = as_floats(x)
    unit = tf.nn.elu(x)
    return unit if alpha == 1 else tf.where(x > 0, unit, alpha * unit)


@op
def selu(x: Tensor) -> Tensor:
    """Scaled exponential linear unit: `1.0507 · elu(x, 1.6733)`, which keeps mean 0 and variance 1 across layers.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    Example:
        >>> from nyala import ops
        >>> ops.nn.selu([-1.0, 2.0]).numpy().tolist()
        [-1.111, 2.101]
    """
    return tf.nn.selu(as_floats(x))


@op
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """Exponential linear unit that is smooth for every `alpha`: `max(x, 0) + min(0, alpha · (exp(x / alpha) - 1))`.

    Source: Barron, "Continuously differentiable exponential linear units", 2017.

    Example:
        >>> from nyala import ops
        >>> ops.nn.celu([-1.0, 2.0]).numpy().tolist()
        [-0.632, 2.0]
    """
    x = as_floats(x)
    return tf.where(x > 0, x, alpha * tf.math.expm1(tf.minimum(x, 0) / alpha))


@op
def softplus(x: Tensor) -> Tensor:
    """Smooth rectifier `log(1 + exp(x))`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.softplus([0.0]).numpy().tolist()
        [0.693]
    """
    return tf.math.softplus(as_floats(x))


@op
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """Smooth rectifier `(x + sqrt(x² + b)) / 2`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.squareplus([0.0]).numpy().tolist()
        [1.0]
    """
    x = as_floats(x)
    wide = widen(x)  # the square of 256 is no float16
    return tf.cast((wide + tf.sqrt(wide * wide + tf.cast(b, wide.dtype))) / 2, x.dtype)


@op
def sparse_plus(x: Tensor) -> Tensor:
    """Rectifier with a parabola as its bend: 0 up to -1, `(x + 1)² / 4` up to 1, then `x`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.sparse_plus([-2.0, 0.0, 2.0]).numpy().tolist()
        [0.0, 0.25, 2.0]
    """
    x = as_floats(x)
    return tf.where(x <= -1, tf.zeros_like(x), tf.where(x < 1, (x + 1) ** 2 / 4, x))


# ---- Gated units ----


@op
def silu(x: Tensor) -> Tensor:
    """Sigmoid linear unit, also called swish: `x · sigmoid(x)`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.silu([0.0, 2.0]).numpy().tolist()
        [0.0, 1.762]
    """
    return tf.nn.silu(as_floats(x))


@op
def hard_silu(x: Tensor) -> Tensor:
    """Sigmoid linear unit of straight pieces, also called hard swish: `x · hard_sigmoid(x)`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.hard_silu([-3.0, 0.0, 3.0]).numpy().tolist()
        [0.0, 0.0, 3.0]
    """
    x = as_floats(x)
    return x * hard_sigmoid(x)


@op
def gelu(x: Tensor, approximate: bool = True) -> Tensor:
    """Gaussian error linear unit `x · Φ(x)`, Φ the normal distribution; `approximate` computes it by way of tanh.

    Source: Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Example:
        >>> from nyala import ops
        >>> ops.nn.gelu([0.0, 1.0], approximate=False).numpy().tolist()
        [0.0, 0.841]
    """
    return tf.nn.gelu(as_floats(x), approximate)


@op
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """Gated linear unit `a · sigmoid(b)`, a and b the halves of `x` along `axis`; raises ValueError for an odd size.

    Shapes: (N, …, 2 D) → (N, …, D).
    Source: Dauphin et al., "Language modeling with gated convolutional networks", 2016.

    Example:
        >>> from nyala import ops
        >>> ops.nn.glu([[3.0, 0.0]]).numpy().tolist()
        [[1.5]]
    """
    x = as_floats(x)
    if not -x.shape.rank <= axis < x.shape.rank or (x.shape[axis] or 0) % 2:
        raise ValueError(f"`glu` halves an axis of even size, but got shape {tuple(x.shape)} with axis={axis}.")
    linear, gate = tf.split(x, 2, axis)
    return linear * tf.sigmoid(gate)


# ---- Sigmoids ----


@op
def sigmoid(x: Tensor) -> Tensor:
    """Logistic function `1 / (1 + exp(-x))`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.sigmoid([0.0]).numpy().tolist()
        [0.5]
    """
    x = as_floats(x)
    return keep_logits(tf.sigmoid(x), x)


@op
def log_sigmoid(x: Tensor) -> Tensor:
    """Logarithm of the sigmoid, `-log(1 + exp(-x))`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.log_sigmoid([0.0]).numpy().tolist()
        [-0.693]
    """
    return tf.math.log_sigmoid(as_floats(x))


@op
def hard_sigmoid(x: Tensor) -> Tensor:
    """Sigmoid of straight pieces: `relu6(x + 3) / 6`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.hard_sigmoid([-3.0, 0.0, 3.0]).numpy().tolist()
        [0.0, 0.5, 1.0]
    """
    return tf.nn.relu6(as_floats(x) + 3) / 6


@op
def sparse_sigmoid(x: Tensor) -> Tensor:
    """Sigmoid of straight pieces, the derivative of `sparse_plus`: 0 up to -1, `(x + 1) / 2` up to 1, then 1.

    Example:
        >>> from nyala import ops
        >>> ops.nn.sparse_sigmoid([-2.0, 0.0, 2.0]).numpy().tolist()
        [0.0, 0.5, 1.0]
    """
    x = as_floats(x)
    return tf.where(x <= -1, tf.zeros_like(x), tf.where(x >= 1, tf.ones_like(x), (x + 1) / 2))


@op
def hard_tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent of straight pieces: `x`, limited to [-1, 1].

    Example:
        >>> from nyala import ops
        >>> ops.nn.hard_tanh([-2.0, 0.5, 2.0]).numpy().tolist()
        [-1.0, 0.5, 1.0]
    """
    return tf.clip_by_value(as_floats(x), -1, 1)


@op
def softsign(x: Tensor) -> Tensor:
    """Softsign `x / (1 + |x|)`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.softsign([-1.0, 1.0]).numpy().tolist()
        [-0.5, 0.5]
    """
    return tf.nn.softsign(as_floats(x))


# ---- Shrinking ----


@op
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` where it is farther than `threshold` from 0, else 0.

    Example:
        >>> from nyala import ops
        >>> ops.nn.hard_shrink([-1.0, 0.5, 2.0]).numpy().tolist()
        [-1.0, 0.0, 2.0]
    """
    x = as_floats(x)
    return tf.where(tf.abs(x) > threshold, x, tf.zeros_like(x))


@op
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """`x` moved towards 0 by `threshold`, and 0 where that is farther than 0.

    Example:
        >>> from nyala import ops
        >>> ops.nn.soft_shrink([-1.0, 0.5, 2.0]).numpy().tolist()
        [-0.5, 0.0, 1.5]
    """
    x = as_floats(x)
    return tf.where(x > threshold, x - threshold, tf.where(x < -threshold, x + threshold, tf.zeros_like(x)))


@op
def tanh_shrink(x: Tensor) -> Tensor:
    """What `tanh` takes away: `x - tanh(x)`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.tanh_shrink([0.0, 1.0]).numpy().tolist()
        [0.0, 0.238]
    """
    x = as_floats(x)
    return x - tf.tanh(x)


@op
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """`x` where it is above `threshold`, else `default_value`.

    Example:
        >>> from nyala import ops
        >>> ops.nn.threshold([1.0, 3.0], threshold=2.0, default_value=-1.0).numpy().tolist()
        [-1.0, 3.0]
    """
    x = as_floats(x)
    return tf.where(x > threshold, x, tf.cast(default_value, x.dtype))


# ---- Distributions over classes ----


def over_axes(function: Callable[..., Any], x: Any, axis: Axes) -> Any:
    """`function(x, axis)` for a function that knows one axis only: several, or None for all, count as one."""
    if x.shape.rank == 0:
        raise ValueError("A distribution needs an axis to run over, but got a scalar.")
    if isinstance(axis, int):
        return function(x, axis)
    rank = x.shape.rank
    last = list(range(rank)) if axis is None else [a % rank for a in axis]
    order = [a for a in range(rank) if a not in last] + last
    moved = tf.transpose(x, order)
    kept = tf.shape(moved)[: rank - len(last)]
    merged = function(tf.reshape(moved, tf.concat([kept, [-1]], 0)), -1)
    return tf.transpose(tf.reshape(merged, tf.shape(moved)), [order.index(a) for a in range(rank)])


@op
def softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """Probabilities `exp(x) / Σ exp(x)`, the sum over `axis`: one, several, or None for all.

    Example:
        >>> from nyala import ops
        >>> ops.nn.softmax([[1.0, 1.0]]).numpy().tolist()
        [[0.5, 0.5]]
    """
    x = as_floats(x)
    return keep_logits(over_axes(tf.nn.softmax, x, axis), x)


@op
def log_softmax(x: Tensor, axis: Axes = -1) -> Tensor:
    """Logarithms of probabilities, `x - log(Σ exp(x))`, the sum over `axis`: one, several, or None for all.

    Example:
        >>> from nyala import ops
        >>> ops.nn.log_softmax([[1.0, 1.0]]).numpy().tolist()
        [[-0.693, -0.693]]
    """
    return over_axes(tf.nn.log_softmax, as_floats(x), axis)


@op
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """Probabilities of which many are exactly 0: `max(x - τ, 0)`, τ such that they sum to 1 along `axis`.

    Source: Martins and Astudillo, "From softmax to sparsemax", 2016.

    Example:
        >>> from nyala import ops
        >>> ops.nn.sparsemax([[1.0, 0.5, -1.0]]).numpy().tolist()
        [[0.75, 0.25, 0.0]]
    """
    return over_axes(_sparsemax, as_floats(x), (axis,))


def _sparsemax(x: Any, axis: int) -> Any:
    values = tf.sort(x, axis, direction="DESCENDING")
    ranks = tf.cast(tf.range(1, tf.shape(x)[axis] + 1), x.dtype)
    above = tf.cumsum(values, axis) - 1  # how much the k largest exceed a sum of 1
    inside = ranks * values > above
    count = tf.cast(tf.math.count_nonzero(inside, axis, keepdims=True), x.dtype)
    tau = (tf.reduce_sum(tf.where(inside, values, tf.zeros_like(values)), axis, keepdims=True) - 1) / count
    return tf.nn.relu(x - tau)


hard_swish, swish = hard_silu, silu
