"""What the ops share: how they read tensors, dtypes, shapes and axes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.tensor import (
    TENSORS,
    DTypeLike,
    Tensor,
    as_tensor,
    common_dtype,
    dtype_of,
    is_float,
    promote,
    result_type,
)

Axis = int | None
Axes = int | Sequence[int] | None


def tensor(x: Any) -> Tensor:
    """`x` as a tensor: dense, sparse and ragged ones as they are, all else converted."""
    return x if isinstance(x, TENSORS) else as_tensor(x)


# ---- Dtypes ----


def as_float(x: Any) -> Tensor:
    """`x` as a tensor of floats: floats and complex numbers keep their dtype, all else becomes `floatx()`."""
    x = x if isinstance(x, TENSORS) else as_tensor(x)
    dtype = x.dtype
    if dtype is tf.float32 or dtype.is_floating or dtype.is_complex:  # the first question costs least
        return x
    return tf.cast(x, result_type(dtype.name, "float"))


def as_wide_float(x: Any) -> Tensor:
    """`x` as a tensor of floats, where int64 becomes float64."""
    x = tensor(x)
    return tf.cast(x, wide_float(x.dtype.name))


def wide_float(dtype: str) -> str:
    """The float that holds values of `dtype`: float64 for int64."""
    return "float64" if dtype == "int64" else result_type(dtype, "float")


def bool_to_int(x: Any) -> Tensor:
    """`x` as a tensor, where booleans become int32."""
    x = tensor(x)
    return tf.cast(x, "int32") if x.dtype == "bool" else x


def as_bool(x: Any) -> Tensor:
    """`x` as a tensor of booleans: whether each value differs from zero."""
    x = tensor(x)
    return x if x.dtype is tf.bool else tf.cast(x, "bool")


def operands(x1: Any, x2: Any) -> tuple[Any, Any]:
    """As `promote`, for kernels that convert a Python number themselves: behind a tensor of floats it stays one."""
    if isinstance(x1, tf.Tensor):
        dtype = x1.dtype
        if isinstance(x2, tf.Tensor):
            if dtype is x2.dtype is not tf.uint64:
                return x1, x2
        elif type(x2) in (int, float) and (dtype is tf.float32 or dtype.is_floating):
            return x1, x2
    return promote(x1, x2)


def meet(*xs: Any) -> tuple[Tensor, ...]:
    """The arguments in the dtype in which they meet as tensors: a Python number counts as int32 or `floatx()`."""
    return promote(*map(tensor, xs))


def promote_to_floats(*xs: Any) -> tuple[Tensor, ...]:
    """The arguments in the one float dtype in which they meet; a Python number yields to a tensor."""
    common = common_dtype(xs)
    if common is not None and common.is_floating:
        return xs
    dtype = result_type(*map(dtype_of, xs), "float")
    return tuple(as_tensor(x, dtype) for x in xs)


def meet_as_floats(*xs: Any) -> tuple[Tensor, ...]:
    """As `meet`, where integers meet in `floatx()`."""
    xs = tuple(map(tensor, xs))
    dtype = result_type(*[x.dtype.name for x in xs], "float")
    return tuple(tf.cast(x, dtype) for x in xs)


def meet_as_wide_floats(*xs: Any) -> tuple[Tensor, ...]:
    """As `meet`, where integers meet in `floatx()`, or in float64 if they need 64 bits."""
    xs = tuple(map(tensor, xs))
    dtype = wide_float(result_type(*[x.dtype.name for x in xs]))
    return tuple(tf.cast(x, dtype) for x in xs)


def widened(supported: Sequence[str], *xs: Tensor) -> tuple[Tensor, ...]:
    """The tensors, of one dtype; whole numbers that TensorFlow's kernel does not know, in a wider dtype."""
    dtype = xs[0].dtype.name
    if dtype in supported:
        return xs
    wide = "int64" if dtype in ("uint32", "uint64") else "int32"
    return tuple(tf.cast(x, wide) for x in xs)


def with_room_for_sums(x: Tensor) -> Tensor:
    """`x` in the dtype of sums of its values: integers shorter than 32 bits need more room."""
    dtype = None if x.dtype is tf.float32 else _SUM_TYPES.get(x.dtype.name)  # the name costs more than the question
    return x if dtype is None else tf.cast(x, dtype)


_SUM_TYPES = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}


def require_dtype(name: str, x: Tensor, allowed: str) -> None:
    """Raise a TypeError where `x` holds neither of `allowed` (`"integers"` or `"floats"`)."""
    good = x.dtype.is_integer if allowed == "integers" else is_float(x.dtype.name)
    if not good:
        raise TypeError(f"`{name}` takes {allowed}, but got a tensor of dtype {x.dtype.name}; cast it first.")


def with_dtype(x: Tensor, dtype: DTypeLike) -> Tensor:
    """`x` cast to `dtype`, or as it is where that is None."""
    return x if dtype is None else as_tensor(x, dtype)


# ---- Shapes and axes ----


def dims(x: Tensor) -> list[Any]:
    """The dimensions of `x`: a number where one is known, else a scalar tensor."""
    static = x.shape.as_list()
    if None not in static:
        return static
    dynamic = tf.shape(x)
    return [dynamic[i] if size is None else size for i, size in enumerate(static)]


def rank_of(x: Tensor) -> int:
    """How many dimensions `x` has."""
    rank = x.shape.rank
    if rank is None:
        raise ValueError("An op needs tensors of known rank; tell the rank with `tf.ensure_shape`.")
    return rank


def check_axis(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front; a ValueError where a tensor of `rank` has no such axis."""
    axis = operator.index(axis)
    if not -rank <= axis < rank:
        axes = f"its axes are {-rank} to {rank - 1}" if rank else "a scalar has no axes"
        raise ValueError(f"`{name}` got axis={axis} for a tensor of rank {rank}, but {axes}.")
    return axis % rank


def check_axes(name: str, axis: Axes, rank: int) -> list[int]:
    """The axes counted from the front, all of them for None; a ValueError for one that is not there or comes twice."""
    if axis is None:
        return list(range(rank))
    if not isinstance(axis, Sequence):
        return [check_axis(name, axis, rank)]
    axes = [one % rank if -rank <= one < rank else check_axis(name, one, rank) for one in axis]
    if len(set(axes)) < len(axes):
        raise ValueError(f"`{name}` got axis={tuple(axis)}, which names the same axis twice.")
    return axes


def reduced_axes(name: str, axis: Axes, x: Tensor) -> Any:
    """`axis` checked as `check_axes` does, in the form that TensorFlow's reductions take soonest."""
    if axis is None:
        return None
    return check_axis(name, axis, rank_of(x)) if isinstance(axis, int) else check_axes(name, axis, rank_of(x))


def array_of(numbers: Sequence[int]) -> np.ndarray:
    """Whole numbers as an array: TensorFlow takes five times as long to read them from a list."""
    return np.array(numbers, "int32" if max(numbers, default=0) < 2**31 else "int64")


def size_of_axes(x: Tensor, axes: Sequence[int]) -> Any:
    """How many values lie along `axes` together."""
    return math.prod(dims(x)[axis] for axis in axes)
