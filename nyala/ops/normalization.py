"""Values brought to a common scale: by the mean and variance of a batch or a row, or by a norm.

Sums are taken in float32 where the values are float16 or bfloat16; results have the dtype of `x`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import replicas
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.settings import epsilon as small_number
from nyala.core.tensor import Tensor, as_tensor, shape_equal, static_shape
from nyala.ops.rules import Axes, as_float, check_axes, check_axis, dims, rank_of

__all__ = ["batch_normalization", "layer_normalization", "moments", "normalize", "rms_normalization"]


def widen(x: Any) -> Any:
    """`x`, as float32 where it is float16 or bfloat16: those are too coarse for sums and logarithms."""
    return tf.cast(x, "float32") if x.dtype.size < 4 else x


def normalized(x: Any, mean: Any, variance: Any, epsilon: float, gamma: Any, beta: Any) -> Any:
    """`(x - mean) / sqrt(variance + epsilon) · gamma + beta`, with gamma and beta left out where they are None."""
    factor = tf.math.rsqrt(variance + epsilon)
    factor = factor if gamma is None else factor * gamma
    shift = -mean * factor
    return x * factor + (shift if beta is None else shift + beta)


def laid_out(name: str, weight: Any, x: Any, axes: Sequence[int]) -> Any:
    """`weight`, with the sizes of `axes`, in the dtype of `x` and ready to broadcast against it; None stays None.

    A number, and a weight that has as many dimensions as `x`, broadcast as they are.
    """
    if weight is None:
        return None
    weight = as_tensor(weight, x.dtype)
    if rank_of(weight) in (0, x.shape.rank):
        return weight
    expected = [x.shape[axis] for axis in axes]
    if not shape_equal(static_shape(weight), expected):
        raise ValueError(
            f"`{name}` expected weights of shape {tuple(expected)} for axis {tuple(axes)} of a tensor of shape "
            f"{tuple(x.shape)}, but got shape {tuple(weight.shape)}."
        )
    layout = [1] * x.shape.rank
    for axis, size in zip(axes, dims(weight), strict=True):
        layout[axis] = size
    return tf.reshape(weight, layout)


# ---- By mean and variance ----


@op
def moments(x: Tensor, axes: Axes, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and variance over `axes`: one, several, or None for all; `synchronized` takes those of all replicas.

    What is too large for float16 becomes its largest number. Raises ValueError for an axis that is not there.

    Example:
        >>> from nyala import ops
        >>> [float(m) for m in ops.nn.moments([1.0, 3.0], axes=0)]
        [2.0, 1.0]
    """
    x = as_float(x)
    wide, places = widen(x), check_axes("moments", axes, rank_of(x))
    # TensorFlow takes no axes for all that have size 1.
    mean, variance = tf.nn.moments(wide, places, keepdims=keepdims) if places else (wide, tf.zeros_like(wide))
    if synchronized:
        mean, variance = over_replicas(mean, variance)
    if mean.dtype == x.dtype:
        return mean, variance
    return tf.saturate_cast(mean, x.dtype), tf.saturate_cast(variance, x.dtype)


def over_replicas(mean: Any, variance: Any) -> tuple[Any, Any]:
    """Mean and variance of the batches of all replicas together."""
    if replicas.count() == 1:
        return mean, variance
    (common,) = replicas.means([mean])
    return common, replicas.means([variance + tf.square(mean - common)])[0]


@op
def batch_normalization(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    axis: int,
    offset: Tensor | None = None,
    scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """Each channel by its mean and variance: `scale · (x - mean) / sqrt(variance + epsilon) + offset`.

    Shapes: x (N, …, C), with C on `axis`; all others (C,). Raises ValueError for an axis or sizes that do not fit.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> from nyala import ops
        >>> ops.nn.batch_normalization([[1.0], [3.0]], mean=[2.0], variance=[1.0], axis=-1, epsilon=0.0).numpy().tolist()
        [[-1.0], [1.0]]
    """
    x = as_float(x)
    wide, axes = widen(x), [check_axis("batch_normalization", axis, rank_of(x))]
    mean, variance, scale, offset = (
        laid_out("batch_normalization", weight, wide, axes) for weight in (mean, variance, scale, offset)
    )
    return tf.cast(normalized(wide, mean, variance, epsilon, scale, offset), x.dtype)


@op
def layer_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    axis: Axes = -1,
    epsilon: float | None = None,
    rms_scaling: bool = False,
) -> Tensor:
    """Each row by its own mean and variance: `gamma · (x - mean) / sqrt(variance + epsilon) + beta`.

    gamma and beta have the sizes of `axis` in the order of x, or broadcast against x. `epsilon` is 1e-7 unless
    `set_epsilon` said otherwise. With `rms_scaling`, of old: `gamma · x / sqrt(variance + epsilon)`.

    Raises ValueError for an axis or sizes that do not fit. Source: Ba et al., "Layer normalization", 2016.

    Example:
        >>> from nyala import ops
        >>> ops.nn.layer_normalization([[1.0, 3.0]], epsilon=0.0).numpy().tolist()
        [[-1.0, 1.0]]
    """
    x = as_float(x)
    epsilon = small_number() if epsilon is None else epsilon
    wide, axes = widen(x), sorted(check_axes("layer_normalization", axis, rank_of(x)))
    gamma, beta = (laid_out("layer_normalization", weight, wide, axes) for weight in (gamma, beta))
    mean, variance = tf.nn.moments(wide, axes, keepdims=True)
    if rms_scaling:
        mean, beta = tf.zeros_like(mean), None
    return tf.cast(normalized(wide, mean, variance, epsilon, gamma, beta), x.dtype)


@op
def rms_normalization(x: Tensor, scale: Tensor | None = None, axis: Axes = -1, epsilon: float | None = None) -> Tensor:
    """Each row by the root of its mean square: `scale · x / sqrt(mean(x²) + epsilon)`.

    `scale` broadcasts against x. `epsilon` is 1e-7 unless `set_epsilon` said otherwise. Raises ValueError for an axis
    that is not there. Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    Example:
        >>> from nyala import ops
        >>> ops.nn.rms_normalization([[3.0, 3.0]]).numpy().tolist()
        [[1.0, 1.0]]
    """
    x = as_float(x)
    wide, axes = widen(x), check_axes("rms_normalization", axis, rank_of(x))
    squares = tf.reduce_mean(tf.square(wide), axes, keepdims=True)
    result = wide * tf.math.rsqrt(squares + (small_number() if epsilon is None else epsilon))
    return tf.cast(result if scale is None else result * as_tensor(scale, wide.dtype), x.dtype)


# ---- By a norm ----


@op
def normalize(x: Tensor, axis: Axes = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """`x` divided by its norm `(Σ|x|^order)^(1/order)` along `axis`, or by `epsilon` where the norm is smaller.

    `axis` is one, several, or None for all; `epsilon` is 1e-7 unless `set_epsilon` said otherwise. A zero vector stays
    zero. Raises ValueError for an axis that is not there and an order that is no positive integer.

    Example:
        >>> from nyala import ops
        >>> ops.nn.normalize([[3.0, 4.0]]).numpy().tolist()
        [[0.6, 0.8]]
    """
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"`normalize` takes an order that is a positive integer, but got {order!r}.")
    x = as_float(x)
    wide = widen(x)
    axes = check_axes("normalize", axis, rank_of(x)) if x.shape.rank else None
    size = tf.abs(wide)
    # Powers of numbers up to 1 neither overflow nor vanish. The norm is the same whatever `largest` is, so no gradient
    # goes through it; and where all values are below epsilon, so is their sum below 1, and the norm is a constant.
    largest = tf.stop_gradient(tf.reduce_max(size, axes, keepdims=True))
    largest = tf.maximum(largest, small_number() if epsilon is None else epsilon)
    powers = tf.reduce_sum((size / largest) ** order, axes, keepdims=True)
    return tf.cast(wide / (largest * tf.maximum(powers, 1.0) ** (1 / order)), x.dtype)
