"""Ops that fold axes into one value each: sums, extremes, means, tests, and the same without NaN.

`axis` is one axis, several, or None for all; `keepdims` keeps the folded axes with size one.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, as_tensor
from nyala.ops.rules import (
    Axes,
    Axis,
    as_bool,
    as_float,
    check_axes,
    check_axis,
    meet_as_floats,
    rank_of,
    reduced_axes,
    tensor,
    with_dtype,
    with_room_for_sums,
)
from nyala.ops.sparse import on_sparse

# ---- Sums and products ----


def _sum_of_sparse(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    axes = check_axes("sum", axis, rank_of(x))
    # TensorFlow does not tell the shape in a graph.
    sizes = [1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdims or axis not in axes]
    return tf.ensure_shape(tf.sparse.reduce_sum(x, axes, keepdims), sizes)


@op
@on_sparse(_sum_of_sparse)
def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum along `axis`; integers of fewer than 32 bits are summed in 32.

    Example:
        >>> from nyala import ops
        >>> ops.sum([[1, 2], [3, 4]], axis=0).numpy().tolist()
        [4, 6]
    """
    x = tensor(x)
    axes = reduced_axes("sum", axis, x)
    return tf.reduce_sum(with_room_for_sums(x), axes, keepdims)


@op
def prod(x: Tensor, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike = None) -> Tensor:
    """The product along `axis`, in `dtype`; without one, integers of fewer than 32 bits are multiplied in 32.

    Example:
        >>> from nyala import ops
        >>> ops.prod([[1, 2], [3, 4]], axis=0).numpy().tolist()
        [3, 8]
    """
    x = tensor(x)
    axes = reduced_axes("prod", axis, x)
    return tf.reduce_prod(as_tensor(x, dtype) if dtype else with_room_for_sums(x), axes, keepdims)


@op
def cumsum(x: Tensor, axis: Axis = None, dtype: DTypeLike = None) -> Tensor:
    """The sums of all values so far along `axis`; without an axis, of `x` as one row.

    Example:
        >>> from nyala import ops
        >>> ops.cumsum([1, 2, 3]).numpy().tolist()
        [1, 3, 6]
    """
    return _cumulate("cumsum", tf.cumsum, x, axis, dtype)


@op
def cumprod(x: Tensor, axis: Axis = None, dtype: DTypeLike = None) -> Tensor:
    """The products of all values so far along `axis`; without an axis, of `x` as one row.

    Example:
        >>> from nyala import ops
        >>> ops.cumprod([1, 2, 3]).numpy().tolist()
        [1, 2, 6]
    """
    return _cumulate("cumprod", tf.math.cumprod, x, axis, dtype)


def _cumulate(name: str, function: Callable[..., Any], x: Tensor, axis: Axis, dtype: DTypeLike) -> Tensor:
    x = tensor(x)
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    axis = check_axis(name, axis, rank_of(x))
    dtype = dtype or x.dtype
    if dtype == "bool":
        dtype = "int32"
    return function(as_tensor(x, dtype), axis)


def _mean_of_sparse(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    axes = check_axes("mean", axis, rank_of(x))
    total = _sum_of_sparse(with_dtype(x, as_float(x.values).dtype), axes, keepdims)
    return total / tf.cast(tf.reduce_prod(tf.gather(x.dense_shape, axes)), total.dtype)


@op
@on_sparse(_mean_of_sparse)
def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean along `axis`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.mean([[1, 2], [3, 4]], axis=0).numpy().tolist()
        [2.0, 3.0]
    """
    x = as_float(x)
    return tf.reduce_mean(x, reduced_axes("mean", axis, x), keepdims)


@op
def average(x: Tensor, axis: Axes = None, weights: Tensor = None) -> Tensor:
    """The mean along `axis` with `weights`: `Σ wᵢ xᵢ / Σ wᵢ`.

    `weights` has the shape of `x`, or one weight for each place along a single axis.

    Example:
        >>> from nyala import ops
        >>> ops.average([1.0, 2.0], weights=[3.0, 1.0]).numpy().item()
        1.25
    """
    x = tensor(x)
    axes = check_axes("average", axis, rank_of(x))
    if weights is None:
        return mean(x, axes)
    x, weights = meet_as_floats(x, weights)
    if rank_of(weights) == 1 and x.shape.rank > 1 and len(axes) == 1:
        weights = tf.reshape(weights, [-1 if i == axes[0] else 1 for i in range(x.shape.rank)])
    weights = tf.broadcast_to(weights, tf.shape(x))
    return tf.reduce_sum(x * weights, axes) / tf.reduce_sum(weights, axes)


@op
def var(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The variance along `axis`, `mean(|x - mean(x)|²)`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.var([1.0, 3.0]).numpy().item()
        1.0
    """
    x = as_float(x)
    return tf.math.reduce_variance(x, reduced_axes("var", axis, x), keepdims)


@op
def std(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along `axis`, `√var(x)`, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.std([1.0, 3.0]).numpy().item()
        1.0
    """
    x = as_float(x)
    return tf.math.reduce_std(x, reduced_axes("std", axis, x), keepdims)


@op
def count_nonzero(x: Tensor, axis: Axes = None) -> Tensor:
    """How many values along `axis` differ from zero, as int32.

    Example:
        >>> from nyala import ops
        >>> ops.count_nonzero([[0, 1], [2, 3]], axis=1).numpy().tolist()
        [1, 2]
    """
    x = as_bool(x)
    return tf.reduce_sum(tf.cast(x, "int32"), reduced_axes("count_nonzero", axis, x))


# ---- Extremes ----


@op
def max(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: Tensor = None) -> Tensor:
    """The largest value along `axis`, and not less than `initial`.

    Raises ValueError where `x` is empty and there is no `initial`.

    Example:
        >>> from nyala import ops
        >>> ops.max([[1, 5], [3, 4]], axis=0).numpy().tolist()
        [3, 5]
    """
    return _extreme("max", tf.reduce_any, tf.reduce_max, tf.maximum, x, axis, keepdims, initial)


@op
def min(x: Tensor, axis: Axes = None, keepdims: bool = False, initial: Tensor = None) -> Tensor:
    """The smallest value along `axis`, and not more than `initial`.

    Raises ValueError where `x` is empty and there is no `initial`.

    Example:
        >>> from nyala import ops
        >>> ops.min([[1, 5], [3, 4]], axis=0).numpy().tolist()
        [1, 4]
    """
    return _extreme("min", tf.reduce_all, tf.reduce_min, tf.minimum, x, axis, keepdims, initial)


def _extreme(
    name: str, of_bools: Any, of_numbers: Any, of_two: Any, x: Tensor, axis: Axes, keepdims: bool, initial: Tensor
) -> Tensor:
    x = tensor(x)
    axes = reduced_axes(name, axis, x)
    if x.dtype == "bool":
        found = of_bools(x, axes, keepdims)
        return found if initial is None else of_bools([found, as_tensor(initial)], 0)
    if initial is not None:
        return of_two(of_numbers(x, axes, keepdims), as_tensor(initial, x.dtype))
    if 0 in x.shape.as_list() and builtins.any(x.shape[one] == 0 for one in check_axes(name, axis, rank_of(x))):
        raise ValueError(f"`{name}` of no values, along axis={axis} of shape {x.shape}, needs `initial`.")
    return of_numbers(x, axes, keepdims)


@op
def amax(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest value along `axis`: another name for `max`.

    Example:
        >>> from nyala import ops
        >>> ops.amax([[1, 5], [3, 4]], axis=0).numpy().tolist()
        [3, 5]
    """
    return max(x, axis, keepdims)


@op
def amin(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest value along `axis`: another name for `min`.

    Example:
        >>> from nyala import ops
        >>> ops.amin([[1, 5], [3, 4]], axis=0).numpy().tolist()
        [1, 4]
    """
    return min(x, axis, keepdims)


@op
def ptp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest value along `axis` less the smallest.

    Example:
        >>> from nyala import ops
        >>> ops.ptp([1, 5, 3]).numpy().item()
        4
    """
    x = tensor(x)
    return max(x, axis, keepdims) - min(x, axis, keepdims)


@op
def argmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The index of the first largest value along `axis`, as int32; without an axis, in `x` as one row.

    Example:
        >>> from nyala import ops
        >>> ops.argmax([[1, 5], [3, 2]], axis=1).numpy().tolist()
        [1, 0]
    """
    return _index_of("argmax", tf.argmax, x, axis, keepdims)


@op
def argmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The index of the first smallest value along `axis`, as int32; without an axis, in `x` as one row.

    Example:
        >>> from nyala import ops
        >>> ops.argmin([[1, 5], [3, 4]], axis=1).numpy().tolist()
        [0, 0]
    """
    return _index_of("argmin", tf.argmin, x, axis, keepdims)


def _index_of(name: str, function: Callable[..., Any], x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    x = tensor(x)
    if x.dtype == "bool":
        x = tf.cast(x, "uint8")
    rank = rank_of(x)
    if axis is None:
        index = function(tf.reshape(x, [-1]), 0, "int32")
        return tf.reshape(index, [1] * rank) if keepdims else index
    axis = check_axis(name, axis, rank)
    index = function(x, axis, "int32")
    return tf.expand_dims(index, axis) if keepdims else index


# ---- Tests ----


@op
def all(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether every value along `axis` is true; every value but zero counts as true.

    Example:
        >>> from nyala import ops
        >>> ops.all([[True, False], [True, True]], axis=1).numpy().tolist()
        [False, True]
    """
    x = as_bool(x)
    return tf.reduce_all(x, reduced_axes("all", axis, x), keepdims)


@op
def any(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether some value along `axis` is true; every value but zero counts as true.

    Example:
        >>> from nyala import ops
        >>> ops.any([[True, False], [False, False]], axis=1).numpy().tolist()
        [True, False]
    """
    x = as_bool(x)
    return tf.reduce_any(x, reduced_axes("any", axis, x), keepdims)


# ---- The same without NaN ----


def is_nan(x: Tensor) -> Tensor:
    """Where `x` is NaN: nowhere, for integers."""
    return tf.math.is_nan(x) if x.dtype.is_floating else tf.zeros_like(x, "bool")


def fill_nan(x: Any, value: float) -> Tensor:
    """`x` as a tensor, with `value` in place of NaN."""
    x = tensor(x)
    return tf.where(is_nan(x), tf.cast(value, x.dtype), x) if x.dtype.is_floating else x


@op
def nansum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum along `axis` of what is not NaN.

    Example:
        >>> from nyala import ops
        >>> ops.nansum([1.0, float("nan"), 2.0]).numpy().item()
        3.0
    """
    return sum(fill_nan(x, 0), axis, keepdims)


@op
def nanprod(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The product along `axis` of what is not NaN.

    Example:
        >>> from nyala import ops
        >>> ops.nanprod([2.0, float("nan"), 3.0]).numpy().item()
        6.0
    """
    return prod(fill_nan(x, 1), axis, keepdims)


@op
def nancumsum(x: Tensor, axis: Axis = None, dtype: DTypeLike = None) -> Tensor:
    """The sums of all values so far along `axis`, NaN counting as 0.

    Example:
        >>> from nyala import ops
        >>> ops.nancumsum([1.0, float("nan"), 2.0]).numpy().tolist()
        [1.0, 1.0, 3.0]
    """
    return cumsum(fill_nan(x, 0), axis, dtype)


@op
def nancumprod(x: Tensor, axis: Axis = None, dtype: DTypeLike = None) -> Tensor:
    """The products of all values so far along `axis`, NaN counting as 1.

    Example:
        >>> from nyala import ops
        >>> ops.nancumprod([2.0, float("nan"), 3.0]).numpy().tolist()
        [2.0, 2.0, 6.0]
    """
    return cumprod(fill_nan(x, 1), axis, dtype)


@op
def nanmean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean along `axis` of what is not NaN, as a float; NaN where there is nothing else.

    Example:
        >>> from nyala import ops
        >>> ops.nanmean([1.0, float("nan"), 2.0]).numpy().item()
        1.5
    """
    x = as_float(x)
    axes = check_axes("nanmean", axis, rank_of(x))
    count = tf.reduce_sum(tf.cast(~is_nan(x), x.dtype), axes, keepdims)
    return tf.reduce_sum(fill_nan(x, 0), axes, keepdims) / count


@op
def nanvar(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The variance along `axis` of what is not NaN, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.nanvar([1.0, float("nan"), 3.0]).numpy().item()
        1.0
    """
    x = as_float(x)
    axes = check_axes("nanvar", axis, rank_of(x))
    # NaN is replaced before it meets arithmetic, so that it stays out of the gradient too.
    deviation = tf.where(is_nan(x), tf.zeros_like(x), fill_nan(x, 0) - nanmean(x, axes, keepdims=True))
    count = tf.reduce_sum(tf.cast(~is_nan(x), x.dtype), axes, keepdims)
    return tf.reduce_sum(tf.square(deviation), axes, keepdims) / count


@op
def nanstd(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along `axis` of what is not NaN, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.nanstd([1.0, float("nan"), 3.0]).numpy().item()
        1.0
    """
    return tf.sqrt(nanvar(x, axis, keepdims))


@op
def nanmax(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest value along `axis` that is not NaN; NaN where there is nothing else.

    Example:
        >>> from nyala import ops
        >>> ops.nanmax([1.0, float("nan"), 2.0]).numpy().item()
        2.0
    """
    return _nan_extreme(max, -float("inf"), x, axis, keepdims)


@op
def nanmin(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest value along `axis` that is not NaN; NaN where there is nothing else.

    Example:
        >>> from nyala import ops
        >>> ops.nanmin([1.0, float("nan"), 2.0]).numpy().item()
        1.0
    """
    return _nan_extreme(min, float("inf"), x, axis, keepdims)


def _nan_extreme(function: Callable[..., Any], worst: float, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    x = tensor(x)
    found = function(fill_nan(x, worst), axis, keepdims)
    return (
        tf.where(all(is_nan(x), axis, keepdims), tf.cast(float("nan"), x.dtype), found)
        if x.dtype.is_floating
        else found
    )


@op
def nanargmax(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The index of the first largest value along `axis` that is not NaN, as int32; -1 where there is nothing else.

    Example:
        >>> from nyala import ops
        >>> ops.nanargmax([1.0, float("nan"), 2.0]).numpy().item()
        2
    """
    return _nan_index(argmax, -float("inf"), x, axis, keepdims)


@op
def nanargmin(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The index of the first smallest value along `axis` that is not NaN, as int32; -1 where there is nothing else.

    Example:
        >>> from nyala import ops
        >>> ops.nanargmin([1.0, float("nan"), 2.0]).numpy().item()
        0
    """
    return _nan_index(argmin, float("inf"), x, axis, keepdims)


def _nan_index(function: Callable[..., Any], worst: float, x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    x = tensor(x)
    index = function(fill_nan(x, worst), axis, keepdims)
    return tf.where(all(is_nan(x), axis, keepdims), -1, index) if x.dtype.is_floating else index
