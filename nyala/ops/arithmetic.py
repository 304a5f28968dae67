"""Arithmetic on two tensors, value by value.

The shapes broadcast against each other. Unless an op says otherwise, the arguments meet in one dtype, in which a
Python number yields to a tensor: `int8 + 1` is int8, `int8 + 1.0` is `floatx()`.
"""

from __future__ import annotations

import math

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor, promote
from nyala.ops.rules import (
    as_float,
    meet,
    meet_as_floats,
    meet_as_wide_floats,
    operands,
    promote_to_floats,
    require_dtype,
    tensor,
    widened,
)
from nyala.ops.sparse import by_intersection, by_kernel, by_values, by_values_and_zeros, joins

# ---- Arithmetic ----


@op
@joins(by_kernel(tf.sparse.add))
def add(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 + x2`.

    Example:
        >>> from nyala import ops
        >>> ops.add([1, 2], 3).numpy().tolist()
        [4, 5]
    """
    x1, x2 = operands(x1, x2)
    return tf.add(x1, x2)


@op
@joins(by_kernel(lambda x1, x2: tf.sparse.add(x1, tf.negative(x2))))
def subtract(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 - x2`.

    Example:
        >>> from nyala import ops
        >>> ops.subtract([1, 2], 3).numpy().tolist()
        [-2, -1]
    """
    x1, x2 = operands(x1, x2)
    return tf.subtract(x1, x2)


@op
@joins(by_intersection, by_values)
def multiply(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 · x2`.

    Example:
        >>> from nyala import ops
        >>> ops.multiply([1, 2], 3).numpy().tolist()
        [3, 6]
    """
    x1, x2 = operands(x1, x2)
    return tf.multiply(x1, x2)


@op
@joins(by_dense=by_values_and_zeros)
def divide(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.divide([1, 2], 4).numpy().tolist()
        [0.25, 0.5]
    """
    x1, x2 = promote_to_floats(x1, x2)
    return tf.divide(x1, x2)


@op
def true_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`, as a float: a long name for `divide`.

    Example:
        >>> from nyala import ops
        >>> ops.true_divide([1, 2], 4).numpy().tolist()
        [0.25, 0.5]
    """
    return divide(x1, x2)


@op
def divide_no_nan(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 / x2`, as a float, and 0 where `x2` is 0.

    Example:
        >>> from nyala import ops
        >>> ops.divide_no_nan([1.0, 2.0], [0.0, 4.0]).numpy().tolist()
        [0.0, 0.5]
    """
    x1, x2 = promote_to_floats(x1, x2)
    return tf.math.divide_no_nan(x1, x2)


@op
def floor_divide(x1: Tensor, x2: Tensor) -> Tensor:
    """The largest whole number that is not above `x1 / x2`.

    Example:
        >>> from nyala import ops
        >>> ops.floor_divide([7, -7], 2).numpy().tolist()
        [3, -4]
    """
    x1, x2 = promote(x1, x2)
    return tf.math.floordiv(x1, x2)


@op
def mod(x1: Tensor, x2: Tensor) -> Tensor:
    """What `x1 / x2` leaves, with the sign of `x2`; a Python number counts as int32 or `floatx()`, a boolean as int32.

    Example:
        >>> from nyala import ops
        >>> ops.mod([7, -7], 3).numpy().tolist()
        [1, 2]
    """
    x1, x2 = _meet_for_remainder(x1, x2)
    return tf.math.floormod(x1, x2)


@op
def fmod(x1: Tensor, x2: Tensor) -> Tensor:
    """What `x1 / x2` leaves, with the sign of `x1`; dtypes as for `mod`.

    Example:
        >>> from nyala import ops
        >>> ops.fmod([7, -7], 3).numpy().tolist()
        [1, -1]
    """
    x1, x2 = _meet_for_remainder(x1, x2)
    if x1.dtype.is_integer:
        return tf.cast(tf.truncatemod(*widened(("int32", "int64"), x1, x2)), x1.dtype)
    return tf.sign(x1) * tf.math.floormod(tf.abs(x1), tf.abs(x2))  # unlike truncatemod, this has a gradient


def _meet_for_remainder(x1: Tensor, x2: Tensor) -> tuple[Tensor, ...]:
    """The arguments in the dtype in which they meet as tensors, int32 for two booleans."""
    x1, x2 = meet(x1, x2)
    return (tf.cast(x1, "int32"), tf.cast(x2, "int32")) if x1.dtype == "bool" else (x1, x2)


@op
def power(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1` to the power of `x2`.

    Example:
        >>> from nyala import ops
        >>> ops.power([2, 3], 2).numpy().tolist()
        [4, 9]
    """
    x1, x2 = promote(x1, x2)
    if x1.dtype.is_unsigned:  # TensorFlow's kernel knows signed integers only
        return tf.cast(tf.pow(*widened((), x1, x2)), x1.dtype)
    return tf.pow(x1, x2)


@op
@joins(by_kernel(tf.sparse.maximum))
def maximum(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of the two; NaN where one is NaN.

    Example:
        >>> from nyala import ops
        >>> ops.maximum([1, 5], 3).numpy().tolist()
        [3, 5]
    """
    x1, x2 = promote(x1, x2)
    return tf.maximum(x1, x2)


@op
@joins(by_kernel(tf.sparse.minimum))
def minimum(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of the two; NaN where one is NaN.

    Example:
        >>> from nyala import ops
        >>> ops.minimum([1, 5], 3).numpy().tolist()
        [1, 3]
    """
    x1, x2 = promote(x1, x2)
    return tf.minimum(x1, x2)


@op
def fmax(x1: Tensor, x2: Tensor) -> Tensor:
    """The larger of the two; where one is NaN, the other.

    Example:
        >>> from nyala import ops
        >>> ops.fmax([1.0, float("nan")], 3.0).numpy().tolist()
        [3.0, 3.0]
    """
    x1, x2 = promote(x1, x2)
    if not x1.dtype.is_floating:
        return tf.maximum(x1, x2)
    return tf.where(tf.math.is_nan(x1), x2, tf.where(tf.math.is_nan(x2), x1, tf.maximum(x1, x2)))


@op
def fmin(x1: Tensor, x2: Tensor) -> Tensor:
    """The smaller of the two; where one is NaN, the other.

    Example:
        >>> from nyala import ops
        >>> ops.fmin([1.0, float("nan")], 3.0).numpy().tolist()
        [1.0, 3.0]
    """
    x1, x2 = promote(x1, x2)
    if not x1.dtype.is_floating:
        return tf.minimum(x1, x2)
    return tf.where(tf.math.is_nan(x1), x2, tf.where(tf.math.is_nan(x2), x1, tf.minimum(x1, x2)))


@op
def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    """`x` limited to `[x_min, x_max]`, in the dtype of `x`; booleans become int32.

    Example:
        >>> from nyala import ops
        >>> ops.clip([1, 5, 9], 2, 6).numpy().tolist()
        [2, 5, 6]
    """
    x = tensor(x)
    if x.dtype == "bool":
        x = tf.cast(x, "int32")
    return tf.maximum(tf.minimum(x, as_tensor(x_max, x.dtype)), as_tensor(x_min, x.dtype))


# ---- Arithmetic on floats ----


@op
def arctan2(x1: Tensor, x2: Tensor) -> Tensor:
    """The angle of the point `(x2, x1)`, in `(-π, π]`.

    Example:
        >>> from nyala import ops
        >>> ops.arctan2([1.0], [1.0]).numpy().tolist()
        [0.78540]
    """
    x1, x2 = meet_as_floats(x1, x2)
    return tf.atan2(x1, x2)


@op
def hypot(x1: Tensor, x2: Tensor) -> Tensor:
    """`√(x1² + x2²)`, without overflow in between; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.hypot([3.0], [4.0]).numpy().tolist()
        [5.0]
    """
    x1, x2 = map(tf.abs, meet_as_wide_floats(x1, x2))
    larger, smaller = tf.maximum(x1, x2), tf.minimum(x1, x2)
    ratio = tf.math.divide_no_nan(smaller, larger)
    return larger * tf.sqrt(1 + ratio * ratio)


@op
def logaddexp(x1: Tensor, x2: Tensor) -> Tensor:
    """`log(eˣ¹ + eˣ²)`, without overflow in between.

    Example:
        >>> from nyala import ops
        >>> ops.logaddexp([0.0], [0.0]).numpy().tolist()
        [0.69315]
    """
    x1, x2 = meet_as_floats(x1, x2)
    return _log_of_sum(x1, x2, 1.0)


@op
def logaddexp2(x1: Tensor, x2: Tensor) -> Tensor:
    """`log₂(2ˣ¹ + 2ˣ²)`, without overflow in between.

    Example:
        >>> from nyala import ops
        >>> ops.logaddexp2([0.0], [0.0]).numpy().tolist()
        [1.0]
    """
    x1, x2 = meet_as_floats(x1, x2)
    return _log_of_sum(x1, x2, math.log(2))


def _log_of_sum(x1: Tensor, x2: Tensor, log_base: float) -> Tensor:
    log_base = tf.cast(log_base, x1.dtype)
    difference = x1 - x2
    stable = tf.maximum(x1, x2) + tf.math.log1p(tf.exp(-tf.abs(difference) * log_base)) / log_base
    return tf.where(tf.math.is_nan(difference), x1 + x2, stable)  # ∞ - ∞ is NaN where the sum is infinite


@op
def heaviside(x1: Tensor, x2: Tensor) -> Tensor:
    """0 where `x1` is negative, 1 where it is positive, `x2` where it is zero; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.heaviside([-1.0, 0.0, 2.0], 0.5).numpy().tolist()
        [0.0, 0.5, 1.0]
    """
    x1, x2 = meet_as_wide_floats(x1, x2)
    step = tf.where(x1 < 0, tf.zeros_like(x1), tf.where(x1 > 0, tf.ones_like(x1), x2))
    return tf.where(tf.math.is_nan(x1), x1, step)


@op
def nextafter(x1: Tensor, x2: Tensor) -> Tensor:
    """The float next to `x1` in the direction of `x2`; found in float32 for shorter floats.

    Example:
        >>> from nyala import ops
        >>> ops.nextafter([1.0], [2.0]).numpy().tolist()
        [1.0000001]
    """
    x1, x2 = meet_as_floats(x1, x2)
    wide = "float64" if x1.dtype == "float64" else "float32"
    return tf.cast(tf.math.nextafter(tf.cast(x1, wide), tf.cast(x2, wide)), x1.dtype)


@op
def ldexp(x1: Tensor, x2: Tensor) -> Tensor:
    """`x1 · 2ˣ²` for integers `x2`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.ldexp([1.0, 3.0], [2, 3]).numpy().tolist()
        [4.0, 24.0]
    """
    x1, x2 = as_float(x1), tensor(x2)
    require_dtype("ldexp", x2, "integers")
    return x1 * tf.pow(tf.cast(2, x1.dtype), tf.cast(x2, x1.dtype))


# ---- Whole numbers ----


@op
def gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """The greatest common divisor.

    Example:
        >>> from nyala import ops
        >>> ops.gcd([12, 8], [18, 20]).numpy().tolist()
        [6, 4]
    """
    x1, x2 = meet(x1, x2)
    require_dtype("gcd", x1, "integers")
    return _gcd(x1, x2)


@op
def lcm(x1: Tensor, x2: Tensor) -> Tensor:
    """The least common multiple.

    Example:
        >>> from nyala import ops
        >>> ops.lcm([4, 6], [6, 8]).numpy().tolist()
        [12, 24]
    """
    x1, x2 = meet(x1, x2)
    require_dtype("lcm", x1, "integers")
    size1, size2 = (x if x.dtype.is_unsigned else tf.abs(x) for x in (x1, x2))
    divisor = _gcd(x1, x2)
    quotient = tf.math.floordiv(size1, tf.maximum(divisor, tf.ones_like(divisor)))
    return quotient * size2


def _gcd(x1: Tensor, x2: Tensor) -> Tensor:
    """Euclid's algorithm, on all values at once."""
    larger, smaller = (x if x.dtype.is_unsigned else tf.abs(x) for x in (x1, x2))
    shape = tf.broadcast_dynamic_shape(tf.shape(larger), tf.shape(smaller))
    static = tf.broadcast_static_shape(larger.shape, smaller.shape)
    larger, smaller = (tf.ensure_shape(tf.broadcast_to(x, shape), static) for x in (larger, smaller))

    def step(larger: Tensor, smaller: Tensor) -> tuple[Tensor, Tensor]:
        done = tf.equal(smaller, 0)
        remainder = tf.math.floormod(larger, tf.where(done, tf.ones_like(smaller), smaller))
        return tf.where(done, larger, smaller), tf.where(done, smaller, remainder)

    return tf.while_loop(lambda _, smaller: tf.reduce_any(smaller > 0), step, [larger, smaller])[0]
