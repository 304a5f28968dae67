"""Comparison, logic and bits of two tensors, value by value. The shapes broadcast against each other."""

from __future__ import annotations

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor, promote
from nyala.ops.rules import as_bool, meet, promote_to_floats, tensor

# ---- Comparison ----


@op
def equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether `x1 = x2`.

    Example:
        >>> from nyala import ops
        >>> ops.equal([1, 2], 2).numpy().tolist()
        [False, True]
    """
    x1, x2 = promote(x1, x2)
    return tf.equal(x1, x2)


@op
def not_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether `x1 ≠ x2`.

    Example:
        >>> from nyala import ops
        >>> ops.not_equal([1, 2], 2).numpy().tolist()
        [True, False]
    """
    x1, x2 = promote(x1, x2)
    return tf.not_equal(x1, x2)


@op
def less(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether `x1 < x2`.

    Example:
        >>> from nyala import ops
        >>> ops.less([1, 2], 2).numpy().tolist()
        [True, False]
    """
    x1, x2 = promote(x1, x2)
    return tf.less(x1, x2)


@op
def less_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether `x1 ≤ x2`.

    Example:
        >>> from nyala import ops
        >>> ops.less_equal([1, 2], 2).numpy().tolist()
        [True, True]
    """
    x1, x2 = promote(x1, x2)
    return tf.less_equal(x1, x2)


@op
def greater(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether `x1 > x2`.

    Example:
        >>> from nyala import ops
        >>> ops.greater([1, 2], 2).numpy().tolist()
        [False, False]
    """
    x1, x2 = promote(x1, x2)
    return tf.greater(x1, x2)


@op
def greater_equal(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether `x1 ≥ x2`.

    Example:
        >>> from nyala import ops
        >>> ops.greater_equal([1, 2], 2).numpy().tolist()
        [False, True]
    """
    x1, x2 = promote(x1, x2)
    return tf.greater_equal(x1, x2)


@op
def isclose(x1: Tensor, x2: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether `|x1 - x2| ≤ atol + rtol · |x2|`; equal infinities are close, NaN is to NaN only with `equal_nan`.

    Example:
        >>> from nyala import ops
        >>> ops.isclose([1.0, 2.0], [1.0, 2.1]).numpy().tolist()
        [True, False]
    """
    x1, x2 = promote_to_floats(x1, x2)
    close = tf.abs(x1 - x2) <= tf.cast(atol, x1.dtype) + tf.cast(rtol, x1.dtype) * tf.abs(x2)
    close = tf.equal(x1, x2) | (close & tf.math.is_finite(x1) & tf.math.is_finite(x2))
    return close | (tf.math.is_nan(x1) & tf.math.is_nan(x2)) if equal_nan else close


@op
def allclose(x1: Tensor, x2: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds everywhere.

    Example:
        >>> from nyala import ops
        >>> ops.allclose([1.0, 2.0], [1.0, 2.1]).numpy().tolist()
        False
    """
    return tf.reduce_all(isclose(x1, x2, rtol, atol, equal_nan))


# ---- Logic: every value but zero counts as true ----


@op
def logical_and(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether both are true.

    Example:
        >>> from nyala import ops
        >>> ops.logical_and([True, False], True).numpy().tolist()
        [True, False]
    """
    return tf.logical_and(as_bool(x1), as_bool(x2))


@op
def logical_or(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether at least one is true.

    Example:
        >>> from nyala import ops
        >>> ops.logical_or([True, False], True).numpy().tolist()
        [True, True]
    """
    return tf.logical_or(as_bool(x1), as_bool(x2))


@op
def logical_xor(x1: Tensor, x2: Tensor) -> Tensor:
    """Whether exactly one is true.

    Example:
        >>> from nyala import ops
        >>> ops.logical_xor([True, False], True).numpy().tolist()
        [False, True]
    """
    return tf.math.logical_xor(as_bool(x1), as_bool(x2))


# ---- Bits of whole numbers ----


@op
def bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    """The bits that are set in both. A Python number counts as int32.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_and([5, 3], 6).numpy().tolist()
        [4, 2]
    """
    x, y = meet(x, y)
    return tf.bitwise.bitwise_and(x, y)


@op
def bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    """The bits that are set in at least one. A Python number counts as int32.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_or([5, 3], 6).numpy().tolist()
        [7, 7]
    """
    x, y = meet(x, y)
    return tf.bitwise.bitwise_or(x, y)


@op
def bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    """The bits that are set in exactly one. A Python number counts as int32.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_xor([5, 3], 6).numpy().tolist()
        [3, 5]
    """
    x, y = meet(x, y)
    return tf.bitwise.bitwise_xor(x, y)


@op
def bitwise_not(x: Tensor) -> Tensor:
    """Every bit flipped.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_not([0, 5]).numpy().tolist()
        [-1, -6]
    """
    return tf.bitwise.invert(tensor(x))


@op
def bitwise_invert(x: Tensor) -> Tensor:
    """Every bit flipped: another name for `bitwise_not`.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_invert([0, 5]).numpy().tolist()
        [-1, -6]
    """
    return bitwise_not(x)


@op
def left_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits of `x`, `y` places to the left.

    Example:
        >>> from nyala import ops
        >>> ops.left_shift([1, 3], 2).numpy().tolist()
        [4, 12]
    """
    x, y = _shift_arguments(x, y)
    return tf.bitwise.left_shift(x, y)


@op
def right_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits of `x`, `y` places to the right; negative numbers stay negative.

    Example:
        >>> from nyala import ops
        >>> ops.right_shift([4, -8], 2).numpy().tolist()
        [1, -2]
    """
    x, y = _shift_arguments(x, y)
    return tf.bitwise.right_shift(x, y)


@op
def bitwise_left_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits of `x`, `y` places to the left: a long name for `left_shift`.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_left_shift([1, 3], 2).numpy().tolist()
        [4, 12]
    """
    return left_shift(x, y)


@op
def bitwise_right_shift(x: Tensor, y: Tensor) -> Tensor:
    """The bits of `x`, `y` places to the right: a long name for `right_shift`.

    Example:
        >>> from nyala import ops
        >>> ops.bitwise_right_shift([4, -8], 2).numpy().tolist()
        [1, -2]
    """
    return right_shift(x, y)


def _shift_arguments(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    if isinstance(y, int) and not isinstance(y, bool):
        x = tensor(x)
        return x, as_tensor(y, x.dtype)
    return meet(x, y)
