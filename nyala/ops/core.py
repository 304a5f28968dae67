"""Ops that are not NumPy's: conversion, casts and shapes, parts of tensors and writing into them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, as_tensor, is_symbolic, is_tensor_like, standardize_dtype
from nyala.ops.rules import check_axis, dims, rank_of, tensor

__all__ = [
    "cast",
    "convert_to_numpy",
    "convert_to_tensor",
    "dtype",
    "is_tensor",
    "saturate_cast",
    "scatter",
    "scatter_update",
    "shape",
    "slice",
    "slice_update",
    "stop_gradient",
    "unstack",
]

# ---- Conversion ----


@op
def convert_to_tensor(
    x: Tensor, dtype: DTypeLike = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Turn `x` into a tensor of `dtype`; `sparse=False` and `ragged=False` make a dense one.

    Example:
        >>> from nyala import ops
        >>> ops.convert_to_tensor([1, 2], dtype="float32").numpy().tolist()
        [1.0, 2.0]
    """
    if isinstance(x, tf.SparseTensor) and sparse is False:
        x = tf.sparse.to_dense(x)
    if isinstance(x, tf.RaggedTensor) and ragged is False:
        x = x.to_tensor()
    x = x if dtype is not None else tensor(x)
    return x if dtype is None else as_tensor(x, dtype)


def convert_to_numpy(x: Tensor) -> np.ndarray:
    """Turn `x` into a NumPy array; sparse and ragged tensors become dense.

    Example:
        >>> from nyala import ops
        >>> ops.convert_to_numpy(ops.ones(2)).tolist()
        [1.0, 1.0]
    """
    if isinstance(x, tf.Tensor):
        return np.asarray(x)
    return np.asarray(convert_to_tensor(x, sparse=False, ragged=False))


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor with values, or a variable: not an array, a number or a symbolic tensor.

    Example:
        >>> from nyala import ops
        >>> ops.is_tensor(ops.ones(2)), ops.is_tensor([1.0, 1.0])
        (True, False)
    """
    if is_symbolic(x):
        return False
    return is_tensor_like(x) or isinstance(x, tf.Variable) or hasattr(x, "__tf_tensor__")


def dtype(x: Tensor) -> str:
    """The name of the dtype of `x`.

    Example:
        >>> from nyala import ops
        >>> ops.dtype(ops.ones(2, dtype="int8"))
        'int8'
    """
    return standardize_dtype(x.dtype if hasattr(x, "dtype") else tensor(x).dtype)


@op
def cast(x: Tensor, dtype: DTypeLike) -> Tensor:
    """Turn the values of `x` into values of `dtype`.

    Example:
        >>> from nyala import ops
        >>> ops.cast([0.5, 2.7], "int32").numpy().tolist()
        [0, 2]
    """
    x, dtype = tensor(x), standardize_dtype(dtype)
    return x if x.dtype == dtype else tf.cast(x, dtype)


@op
def saturate_cast(x: Tensor, dtype: DTypeLike) -> Tensor:
    """Turn the values of `x` into values of `dtype`; what lies outside its range becomes the nearest end of it.

    Example:
        >>> from nyala import ops
        >>> ops.saturate_cast([-5.0, 7.5, 300.0], "uint8").numpy().tolist()
        [0, 7, 255]
    """
    x, dtype = tensor(x), standardize_dtype(dtype)
    low, high = _shared_range(x.dtype.name, dtype)
    x = x if low is None else tf.maximum(x, tf.constant(low, x.dtype))
    x = x if high is None else tf.minimum(x, tf.constant(high, x.dtype))
    return cast(x, dtype)


@functools.cache
def _shared_range(source: str, target: str) -> tuple[Any, Any]:
    """The first and the last value of `source` that `target` can hold; None where it holds all of them."""
    one, other = tf.as_dtype(source), tf.as_dtype(target)
    if any(dtype.is_bool or dtype.is_complex or dtype == "string" for dtype in (one, other)):
        return None, None
    low, high = _end_within(one, other.min, 0), _end_within(one, other.max, 1)
    return low, high


def _end_within(source: Any, limit: Any, end: int) -> Any:
    """The first or last value of `source` that is not beyond `limit`; None where no value, not even inf, is."""
    limit = np.asarray(limit).item()  # Python compares numbers of all kinds exactly
    outermost = np.asarray((source.min, source.max)[end], source.as_numpy_dtype)
    if (outermost.item() >= limit) if end == 0 else (outermost.item() <= limit):
        return None if source.is_integer else outermost
    value = np.asarray(limit if source.is_integer else float(limit), source.as_numpy_dtype)
    if (value.item() < limit) if end == 0 else (value.item() > limit):
        value = np.nextafter(value, np.zeros_like(value))
    return value


# ---- Shapes and gradients ----


def shape(x: Tensor) -> tuple[Any, ...]:
    """The shape of `x` as a tuple; an unknown dimension is a scalar tensor in a graph and None for a symbolic `x`.

    Example:
        >>> from nyala import ops
        >>> ops.shape(ops.ones((2, 3)))
        (2, 3)
    """
    if is_symbolic(x):
        return x.shape
    x = tensor(x)
    return tuple(x.shape.as_list() if isinstance(x, tf.RaggedTensor) else dims(x))


@op
def stop_gradient(variable: Tensor) -> Tensor:
    """The same values, through which no gradient flows.

    Example:
        >>> from nyala import ops
        >>> ops.stop_gradient([1.0, 2.0]).numpy().tolist()
        [1.0, 2.0]
    """
    return tf.stop_gradient(tensor(variable))


# ---- Parts of tensors ----


@op
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The list of the slices of `x` along `axis`, without that axis; there must be `num` of them where it is given.

    Raises ValueError where their number is another one, or not known in a graph and not given.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.unstack([[1, 2], [3, 4]], axis=1)]
        [[1, 3], [2, 4]]
    """
    x = tensor(x)
    axis = check_axis("unstack", axis, rank_of(x))
    size = x.shape[axis]
    if num is None and size is None:
        raise ValueError(
            f"`unstack` cannot know how many slices a tensor of shape {tuple(x.shape)} has along axis {axis}; pass `num`."
        )
    if num is not None and size not in (None, num):
        raise ValueError(f"`unstack` got num={num}, but a tensor of shape {tuple(x.shape)} has {size} on axis {axis}.")
    return tf.unstack(x, num, axis)


@op
def slice(inputs: Tensor, start_indices: Tensor, shape: Sequence[int | None]) -> Tensor:
    """The block of `shape` that starts at `start_indices`, one for each axis; a size of -1 or None reaches to the end.

    Raises ValueError where the block is known to lie outside.

    Example:
        >>> from nyala import ops
        >>> ops.slice([[1, 2, 3], [4, 5, 6]], [0, 1], [2, 2]).numpy().tolist()
        [[2, 3], [5, 6]]
    """
    x = tensor(inputs)
    starts, sizes = _numbers(start_indices), [-1 if size is None else size for size in _numbers(shape)]
    _check_lengths("slice", starts, sizes, x)
    for axis, (start, size, whole) in enumerate(zip(starts, sizes, x.shape)):
        if not (isinstance(start, int) and isinstance(size, int) and isinstance(whole, int)):
            continue
        if not 0 <= start <= start + max(size, 0) <= whole:
            raise ValueError(
                f"`slice` got a block of {size} from {start} on axis {axis}, which lies outside the shape {tuple(x.shape)}."
            )
    return tf.slice(x, starts, sizes)


@op
def slice_update(inputs: Tensor, start_indices: Tensor, updates: Tensor) -> Tensor:
    """`inputs` with the block that starts at `start_indices` replaced by `updates`, cast to its dtype.

    A block that would reach outside is moved inside. Raises ValueError where `updates` is larger than `inputs`.

    Example:
        >>> from nyala import ops
        >>> ops.slice_update([[1, 2, 3], [4, 5, 6]], [0, 1], [[0], [0]]).numpy().tolist()
        [[1, 0, 3], [4, 0, 6]]
    """
    x = tensor(inputs)
    updates = as_tensor(updates, x.dtype)
    starts = _numbers(start_indices)
    _check_lengths("slice_update", starts, updates.shape, x)
    for whole, size in zip(x.shape, updates.shape):
        if whole is not None and size is not None and size > whole:
            raise ValueError(
                f"`slice_update` got updates of shape {tuple(updates.shape)} for a tensor of shape {tuple(x.shape)}, "
                "into which they do not fit."
            )
    if updates.shape.num_elements() == 0:
        return x
    sizes = tf.shape(updates)
    begin = tf.clip_by_value(tf.cast(tf.stack(starts), "int32"), 0, tf.shape(x) - sizes) if starts else sizes
    result = tf.raw_ops.TensorStridedSliceUpdate(
        input=x, begin=begin, end=begin + sizes, strides=tf.ones_like(sizes), value=updates
    )
    return tf.ensure_shape(result, x.shape)


def _numbers(vector: Any) -> list[Any]:
    """The entries of a vector: as Python numbers where they are known, else as scalar tensors."""
    if isinstance(vector, tf.Tensor):
        known = tf.get_static_value(vector)
        vector = tf.unstack(vector) if known is None else known
    return [int(entry) if isinstance(entry, (int, np.integer)) else entry for entry in vector]


def _check_lengths(name: str, starts: Sequence[Any], sizes: Sequence[Any], x: Tensor) -> None:
    if not len(starts) == len(sizes) == rank_of(x):
        raise ValueError(
            f"`{name}` takes a start and a size for each axis of a tensor of shape {tuple(x.shape)}, but got "
            f"{len(starts)} starts and {len(sizes)} sizes."
        )


# ---- Writing to places ----


@op
def scatter(indices: Tensor, values: Tensor, shape: Sequence[int]) -> Tensor:
    """A tensor of `shape` of zeros, with `values` at `indices`; values for the same place are added.

    `indices` is (N, K) for K axes, `values` is (N,) and what the other axes hold. Raises ValueError where they do not
    fit.

    Example:
        >>> from nyala import ops
        >>> ops.scatter([[0], [2], [2]], [1, 2, 3], (4,)).numpy().tolist()
        [1, 0, 5, 0]
    """
    values = tensor(values)
    shape = [*shape]
    indices = _places("scatter", indices, values, [size if isinstance(size, int) else None for size in shape])
    return tf.scatter_nd(indices, values, tf.cast(tf.stack(shape), indices.dtype))


@op
def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    """`inputs` with `updates`, cast to its dtype, written at `indices`.

    `indices` is (N, K) for K axes, `updates` is (N,) and what the other axes hold. With `reduction` the updates are
    combined with what is there: `"add"`, `"max"`, `"min"` or `"mul"`. Raises ValueError where they do not fit.

    Example:
        >>> from nyala import ops
        >>> ops.scatter_update([1, 2, 3], [[0], [2]], [8, 9], reduction="add").numpy().tolist()
        [9, 2, 12]
    """
    writers = {
        None: tf.tensor_scatter_nd_update,
        "add": tf.tensor_scatter_nd_add,
        "max": tf.tensor_scatter_nd_max,
        "min": tf.tensor_scatter_nd_min,
        "mul": _scatter_multiply,
    }
    if reduction not in writers:
        raise ValueError(f"`scatter_update` takes {[*writers]} as `reduction`, but got {reduction!r}.")
    x = tensor(inputs)
    updates = as_tensor(updates, x.dtype)
    indices = _places("scatter_update", indices, updates, x.shape.as_list())
    return writers[reduction](x, indices, updates)


def _places(name: str, indices: Any, values: Tensor, shape: Sequence[int | None]) -> Tensor:
    """`indices` as int32 or int64; a ValueError where the values do not fit to them or to `shape`."""
    indices = tensor(indices)
    if not indices.dtype.is_integer:
        raise TypeError(f"`{name}` takes whole numbers as indices, but got the dtype {indices.dtype.name}.")
    depth = indices.shape[-1] if rank_of(indices) else None
    if depth is None or depth > len(shape):
        raise ValueError(
            f"`{name}` takes indices of shape (N, K) into a tensor of {len(shape)} axes, with K up to {len(shape)}, but "
            f"got the shape {tuple(indices.shape)}."
        )
    wanted = indices.shape[:-1].concatenate(shape[depth:])
    if not wanted.is_compatible_with(values.shape):
        raise ValueError(
            f"`{name}` takes values of shape {tuple(wanted)} for indices of shape {tuple(indices.shape)} into a tensor of "
            f"shape {tuple(shape)}, but got the shape {tuple(values.shape)}."
        )
    if indices.dtype in ("int32", "int64"):
        return indices
    return tf.cast(indices, "int64" if indices.dtype.size >= 4 else "int32")


def _scatter_multiply(x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    """`x` times the product of all updates for the same place."""
    depth = indices.shape[-1]
    sizes = tf.cast(tf.shape(x), indices.dtype)
    strides = tf.math.cumprod(sizes[:depth], exclusive=True, reverse=True)
    rows = tf.reshape(tf.reduce_sum(indices * strides, -1), [-1])
    updates = tf.reshape(updates, tf.concat([[-1], sizes[depth:]], 0))
    factors = tf.math.unsorted_segment_prod(updates, rows, tf.reduce_prod(sizes[:depth]))
    return x * tf.reshape(factors, sizes)
