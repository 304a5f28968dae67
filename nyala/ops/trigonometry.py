"""Angles and their functions, circular and hyperbolic: floats keep their dtype, integers become `floatx()`."""

from __future__ import annotations

import math

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.ops.rules import as_float, as_wide_float
from nyala.ops.sparse import changes_zeros, keeps_zeros


@op
def sin(x: Tensor) -> Tensor:
    """The sine of `x` in radians.

    Example:
        >>> from nyala import ops
        >>> ops.sin([0.0, 1.0]).numpy().tolist()
        [0.0, 0.84147]
    """
    return tf.sin(as_float(x))


@op
@changes_zeros
def cos(x: Tensor) -> Tensor:
    """The cosine of `x` in radians.

    Example:
        >>> from nyala import ops
        >>> ops.cos([0.0, 1.0]).numpy().tolist()
        [1.0, 0.54030]
    """
    return tf.cos(as_float(x))


@op
def tan(x: Tensor) -> Tensor:
    """The tangent of `x` in radians.

    Example:
        >>> from nyala import ops
        >>> ops.tan([0.0, 1.0]).numpy().tolist()
        [0.0, 1.55741]
    """
    return tf.tan(as_float(x))


@op
def arcsin(x: Tensor) -> Tensor:
    """The angle in `[-π/2, π/2]` whose sine is `x`.

    Example:
        >>> from nyala import ops
        >>> ops.arcsin([0.0, 1.0]).numpy().tolist()
        [0.0, 1.57080]
    """
    return tf.asin(as_float(x))


@op
@changes_zeros
def arccos(x: Tensor) -> Tensor:
    """The angle in `[0, π]` whose cosine is `x`.

    Example:
        >>> from nyala import ops
        >>> ops.arccos([0.0, 1.0]).numpy().tolist()
        [1.57080, 0.0]
    """
    return tf.acos(as_float(x))


@op
def arctan(x: Tensor) -> Tensor:
    """The angle in `[-π/2, π/2]` whose tangent is `x`.

    Example:
        >>> from nyala import ops
        >>> ops.arctan([0.0, 1.0]).numpy().tolist()
        [0.0, 0.78540]
    """
    return tf.atan(as_float(x))


@op
@keeps_zeros
def sinh(x: Tensor) -> Tensor:
    """The hyperbolic sine of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.sinh([0.0, 1.0]).numpy().tolist()
        [0.0, 1.17520]
    """
    return tf.sinh(as_float(x))


@op
@changes_zeros
def cosh(x: Tensor) -> Tensor:
    """The hyperbolic cosine of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.cosh([0.0, 1.0]).numpy().tolist()
        [1.0, 1.54308]
    """
    return tf.cosh(as_float(x))


@op
def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.tanh([0.0, 1.0]).numpy().tolist()
        [0.0, 0.76159]
    """
    return tf.tanh(as_float(x))


@op
def arcsinh(x: Tensor) -> Tensor:
    """The number whose hyperbolic sine is `x`.

    Example:
        >>> from nyala import ops
        >>> ops.arcsinh([0.0, 1.0]).numpy().tolist()
        [0.0, 0.88137]
    """
    return tf.asinh(as_float(x))


@op
@changes_zeros
def arccosh(x: Tensor) -> Tensor:
    """The number from 0 up whose hyperbolic cosine is `x`.

    Example:
        >>> from nyala import ops
        >>> ops.arccosh([1.0, 2.0]).numpy().tolist()
        [0.0, 1.31696]
    """
    return tf.acosh(as_float(x))


@op
def arctanh(x: Tensor) -> Tensor:
    """The number whose hyperbolic tangent is `x`.

    Example:
        >>> from nyala import ops
        >>> ops.arctanh([0.0, 0.5]).numpy().tolist()
        [0.0, 0.54931]
    """
    return tf.atanh(as_float(x))


@op
def sinc(x: Tensor) -> Tensor:
    """`sin(πx) / πx`, and 1 at zero.

    Example:
        >>> from nyala import ops
        >>> ops.sinc([0.0, 0.5]).numpy().tolist()
        [1.0, 0.63662]
    """
    x = as_float(x) * tf.cast(math.pi, as_float(x).dtype)
    zero = tf.equal(x, 0)
    divisor = tf.where(zero, tf.ones_like(x), x)  # keeps NaN out of the gradient
    return tf.where(zero, tf.ones_like(x), tf.sin(divisor) / divisor)


@op
def deg2rad(x: Tensor) -> Tensor:
    """Degrees to radians; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.deg2rad([180.0]).numpy().tolist()
        [3.14159]
    """
    x = as_wide_float(x)
    return x * tf.cast(math.pi / 180, x.dtype)


@op
def rad2deg(x: Tensor) -> Tensor:
    """Radians to degrees; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.rad2deg([3.14159265]).numpy().tolist()
        [180.0]
    """
    x = as_wide_float(x)
    return x * tf.cast(180 / math.pi, x.dtype)
