"""Functions of one tensor, value by value: powers and logarithms, rounding, tests, complex parts.

Shapes stay as they are. Unless an op says otherwise, floats keep their dtype and integers become `floatx()`.
"""

from __future__ import annotations

import builtins
import math

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.ops.rules import as_bool, as_float, as_wide_float, bool_to_int, tensor
from nyala.ops.sparse import changes_zeros, keeps_zeros

# ---- Sign and size ----


@op
def absolute(x: Tensor) -> Tensor:
    """`|x|`, in the dtype of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.absolute([-1, 2]).numpy().tolist()
        [1, 2]
    """
    x = tensor(x)
    return x if x.dtype == "bool" or x.dtype.is_unsigned else tf.abs(x)


@op
def abs(x: Tensor) -> Tensor:
    """`|x|`: a short name for `absolute`.

    Example:
        >>> from nyala import ops
        >>> ops.abs([-1, 2]).numpy().tolist()
        [1, 2]
    """
    return absolute(x)


@op
def fabs(x: Tensor) -> Tensor:
    """`|x|` as a float.

    Example:
        >>> from nyala import ops
        >>> ops.fabs([-1, 2]).numpy().tolist()
        [1.0, 2.0]
    """
    return tf.abs(as_float(x))


@op
def negative(x: Tensor) -> Tensor:
    """`-x`, in the dtype of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.negative([1, -2]).numpy().tolist()
        [-1, 2]
    """
    return tf.negative(tensor(x))


@op
def positive(x: Tensor) -> Tensor:
    """`+x`: the tensor itself.

    Example:
        >>> from nyala.ops.elementwise import positive
        >>> positive([1, -2]).numpy().tolist()
        [1, -2]
    """
    return tensor(x)


@op
def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 as `x` is negative, zero or positive, in the dtype of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.sign([-3.0, 0.0, 2.0]).numpy().tolist()
        [-1.0, 0.0, 1.0]
    """
    x = tensor(x)
    # TensorFlow has no kernel for the signs of unsigned integers, whose only signs are 0 and 1.
    return tf.cast(tf.not_equal(x, 0), x.dtype) if x.dtype.is_unsigned else tf.sign(x)


@op
@keeps_zeros
def signbit(x: Tensor) -> Tensor:
    """Whether the sign bit is set: for negative numbers and for -0.0.

    Example:
        >>> from nyala import ops
        >>> ops.signbit([-0.0, 0.0, -1.0]).numpy().tolist()
        [True, False, True]
    """
    x = tensor(x)
    if x.dtype == "bool" or x.dtype.is_unsigned:
        return tf.zeros_like(x, "bool")
    if not x.dtype.is_floating:
        return x < 0
    bits = tf.bitcast(x, {2: "int16", 4: "int32", 8: "int64"}[x.dtype.size])
    return bits < 0


# ---- Powers, exponentials, logarithms ----


@op
def square(x: Tensor) -> Tensor:
    """`x²`; booleans become int32, all else keeps its dtype.

    Example:
        >>> from nyala import ops
        >>> ops.square([2, -3]).numpy().tolist()
        [4, 9]
    """
    x = bool_to_int(x)
    return x * x if x.dtype.is_integer else tf.square(x)


@op
def sqrt(x: Tensor) -> Tensor:
    """`√x`.

    Example:
        >>> from nyala import ops
        >>> ops.sqrt([4.0, 9.0]).numpy().tolist()
        [2.0, 3.0]
    """
    return tf.sqrt(as_float(x))


@op
@keeps_zeros
def cbrt(x: Tensor) -> Tensor:
    """The real cube root of `x`; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.cbrt([8.0, -27.0]).numpy().tolist()
        [2.0, -3.0]
    """
    x = as_wide_float(x)
    return tf.sign(x) * tf.pow(tf.abs(x), tf.cast(1 / 3, x.dtype))


@op
@changes_zeros
def reciprocal(x: Tensor) -> Tensor:
    """`1 / x`.

    Example:
        >>> from nyala import ops
        >>> ops.reciprocal([2.0, 4.0]).numpy().tolist()
        [0.5, 0.25]
    """
    return tf.math.reciprocal(as_float(x))


@op
@changes_zeros
def exp(x: Tensor) -> Tensor:
    """`eˣ`.

    Example:
        >>> from nyala import ops
        >>> ops.exp([0.0, 1.0]).numpy().tolist()
        [1.0, 2.71828]
    """
    return tf.exp(as_float(x))


@op
@changes_zeros
def exp2(x: Tensor) -> Tensor:
    """`2ˣ`.

    Example:
        >>> from nyala import ops
        >>> ops.exp2([0.0, 3.0]).numpy().tolist()
        [1.0, 8.0]
    """
    x = as_float(x)
    return tf.pow(tf.cast(2, x.dtype), x)


@op
@keeps_zeros
def expm1(x: Tensor) -> Tensor:
    """`eˣ - 1`, exact for small `x`.

    Example:
        >>> from nyala import ops
        >>> ops.expm1([0.0, 1.0]).numpy().tolist()
        [0.0, 1.71828]
    """
    return tf.math.expm1(as_float(x))


@op
@changes_zeros
def log(x: Tensor) -> Tensor:
    """The natural logarithm of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.log([1.0, 2.0]).numpy().tolist()
        [0.0, 0.69315]
    """
    return tf.math.log(as_float(x))


@op
@changes_zeros
def log10(x: Tensor) -> Tensor:
    """The logarithm of `x` to base 10.

    Example:
        >>> from nyala import ops
        >>> ops.log10([1.0, 100.0]).numpy().tolist()
        [0.0, 2.0]
    """
    x = as_float(x)
    return tf.math.log(x) / tf.cast(math.log(10), x.dtype)


@op
@keeps_zeros
def log1p(x: Tensor) -> Tensor:
    """`log(1 + x)`, exact for small `x`.

    Example:
        >>> from nyala import ops
        >>> ops.log1p([0.0, 1.0]).numpy().tolist()
        [0.0, 0.69315]
    """
    return tf.math.log1p(as_float(x))


@op
@changes_zeros
def log2(x: Tensor) -> Tensor:
    """The logarithm of `x` to base 2.

    Example:
        >>> from nyala import ops
        >>> ops.log2([1.0, 8.0]).numpy().tolist()
        [0.0, 3.0]
    """
    x = as_float(x)
    return tf.math.log(x) / tf.cast(math.log(2), x.dtype)


@op
def i0(x: Tensor) -> Tensor:
    """The modified Bessel function of the first kind and order 0; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.i0([0.0, 1.0]).numpy().tolist()
        [1.0, 1.26607]
    """
    x = as_wide_float(x)
    half = tf.exp(tf.abs(x) / 2)  # twice the half: exp(|x|) overflows before I₀(x) does
    return tf.math.bessel_i0e(x) * half * half  # I₀ itself has neither an XLA kernel nor one for bfloat16


# ---- Rounding ----


@op
@keeps_zeros
def ceil(x: Tensor) -> Tensor:
    """The smallest whole number that is not below `x`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.ceil([1.2, -1.2]).numpy().tolist()
        [2.0, -1.0]
    """
    return tf.math.ceil(as_float(x))


@op
@keeps_zeros
def floor(x: Tensor) -> Tensor:
    """The largest whole number that is not above `x`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.floor([1.2, -1.2]).numpy().tolist()
        [1.0, -2.0]
    """
    return tf.floor(as_float(x))


@op
@keeps_zeros
def trunc(x: Tensor) -> Tensor:
    """`x` without its fraction, in the dtype of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.trunc([1.7, -1.7]).numpy().tolist()
        [1.0, -1.0]
    """
    x = tensor(x)
    return tf.where(x < 0, tf.math.ceil(x), tf.floor(x)) if x.dtype.is_floating else x


@op
@keeps_zeros
def round(x: Tensor, decimals: int = 0) -> Tensor:
    """`x` to `decimals` decimal places, halves to the even neighbour, in the dtype of `x`.

    Negative `decimals` round to tens, hundreds and so on.

    Example:
        >>> from nyala import ops
        >>> ops.round([2.5, 3.5]).numpy().tolist()
        [2.0, 4.0]
    """
    x = tensor(x)
    if decimals == 0 or (x.dtype.is_integer and decimals > 0):
        return tf.round(x)
    wide = tf.cast(x, "float64") if x.dtype.is_integer else x
    unit = tf.cast(10 ** builtins.abs(decimals), wide.dtype)
    rounded = tf.round(wide * unit) / unit if decimals > 0 else tf.round(wide / unit) * unit
    return tf.cast(rounded, x.dtype)


# ---- Tests ----


@op
@changes_zeros
def isfinite(x: Tensor) -> Tensor:
    """Whether each value is neither infinite nor NaN.

    Example:
        >>> from nyala import ops
        >>> ops.isfinite([1.0, float("inf")]).numpy().tolist()
        [True, False]
    """
    return tf.math.is_finite(as_float(x))


@op
@keeps_zeros
def isinf(x: Tensor) -> Tensor:
    """Whether each value is infinite.

    Example:
        >>> from nyala import ops
        >>> ops.isinf([1.0, float("inf")]).numpy().tolist()
        [False, True]
    """
    return tf.math.is_inf(as_float(x))


@op
@keeps_zeros
def isnan(x: Tensor) -> Tensor:
    """Whether each value is NaN.

    Example:
        >>> from nyala import ops
        >>> ops.isnan([1.0, float("nan")]).numpy().tolist()
        [False, True]
    """
    return tf.math.is_nan(as_float(x))


@op
def isneginf(x: Tensor) -> Tensor:
    """Whether each value is minus infinity.

    Example:
        >>> from nyala import ops
        >>> ops.isneginf([float("-inf"), float("inf")]).numpy().tolist()
        [True, False]
    """
    x = as_float(x)
    return tf.equal(x, tf.cast(-math.inf, x.dtype))


@op
def isposinf(x: Tensor) -> Tensor:
    """Whether each value is plus infinity.

    Example:
        >>> from nyala import ops
        >>> ops.isposinf([float("-inf"), float("inf")]).numpy().tolist()
        [False, True]
    """
    x = as_float(x)
    return tf.equal(x, tf.cast(math.inf, x.dtype))


@op
def isreal(x: Tensor) -> Tensor:
    """Whether each value has no imaginary part.

    Example:
        >>> from nyala import ops
        >>> ops.isreal([1 + 0j, 1 + 2j]).numpy().tolist()
        [True, False]
    """
    x = tensor(x)
    return tf.equal(tf.math.imag(x), 0) if x.dtype.is_complex else tf.ones_like(x, "bool")


@op
def logical_not(x: Tensor) -> Tensor:
    """True where `x` is zero or False.

    Example:
        >>> from nyala import ops
        >>> ops.logical_not([True, False]).numpy().tolist()
        [False, True]
    """
    return tf.logical_not(as_bool(x))


@op
@keeps_zeros
def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """`x` with NaN and the infinities replaced: by `nan`, and by the largest and lowest number of its dtype.

    Example:
        >>> from nyala import ops
        >>> ops.nan_to_num([1.0, float("nan"), float("inf")], posinf=9.0).numpy().tolist()
        [1.0, 0.0, 9.0]
    """
    x = tensor(x)
    if not x.dtype.is_floating:
        return x
    posinf = x.dtype.max if posinf is None else posinf
    neginf = x.dtype.min if neginf is None else neginf
    x = tf.where(tf.math.is_nan(x), tf.cast(nan, x.dtype), x)
    x = tf.where(isposinf(x), tf.cast(posinf, x.dtype), x)
    return tf.where(isneginf(x), tf.cast(neginf, x.dtype), x)


# ---- Complex numbers ----


@op
@keeps_zeros
def real(x: Tensor) -> Tensor:
    """The real part of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.real([1 + 2j]).numpy().tolist()
        [1.0]
    """
    return tf.math.real(tensor(x))


@op
@keeps_zeros
def imag(x: Tensor) -> Tensor:
    """The imaginary part of `x`: zeros where `x` is real.

    Example:
        >>> from nyala import ops
        >>> ops.imag([1 + 2j]).numpy().tolist()
        [2.0]
    """
    x = tensor(x)
    return tf.math.imag(x) if x.dtype.is_complex else tf.zeros_like(x)


@op
@keeps_zeros
def conj(x: Tensor) -> Tensor:
    """The complex conjugate of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.conj([1 + 2j]).numpy().tolist()
        [(1-2j)]
    """
    return tf.math.conj(tensor(x))


@op
@keeps_zeros
def conjugate(x: Tensor) -> Tensor:
    """The complex conjugate of `x`: a long name for `conj`.

    Example:
        >>> from nyala import ops
        >>> ops.conjugate([1 + 2j]).numpy().tolist()
        [(1-2j)]
    """
    return conj(x)


@op
@changes_zeros
def angle(x: Tensor) -> Tensor:
    """The angle of `x` in the complex plane, in radians: 0 or π for real numbers.

    Example:
        >>> from nyala import ops
        >>> ops.angle([1 + 1j]).numpy().tolist()
        [0.78540]
    """
    return tf.math.angle(as_float(x))


@op
def view(x: Tensor, dtype: str | None = None) -> Tensor:
    """The same bits read as another dtype; the last axis grows or shrinks where the dtypes differ in size.

    Example:
        >>> from nyala import ops
        >>> ops.view(ops.array([1.0]), "int32").numpy().tolist()
        [1065353216]
    """
    x = tensor(x)
    if dtype is None:
        return x
    old, new = x.dtype.size, tf.as_dtype(dtype).size
    leading, last = x.shape[:-1], x.shape[-1] if x.shape.rank else None
    if old != new and (x.shape.rank == 0 or (last is not None and last * old % new)):
        raise ValueError(
            f"`view` cannot read the last axis of shape {x.shape} in {x.dtype.name} as {dtype}: its bytes must be a "
            f"multiple of {new}."
        )
    if old < new:
        x = tf.reshape(x, tf.concat([tf.shape(x)[:-1], [-1, new // old]], 0))
    y = tf.bitcast(x, dtype)
    if old > new:
        y = tf.reshape(y, tf.concat([tf.shape(x)[:-1], [-1]], 0))
    return tf.ensure_shape(y, leading.concatenate(None if last is None else last * old // new)) if old != new else y
