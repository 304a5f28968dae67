"""Ops about order and counts: sorting, searching, distinct values, quantiles, histograms."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor, dtype_of, promote, standardize_dtype
from nyala.ops.reductions import is_nan
from nyala.ops.rules import Axes, Axis, as_float, check_axes, check_axis, dims, meet, rank_of, size_of_axes, tensor
from nyala.ops.shaping import moveaxis

# ---- Sorting ----


@op
def sort(x: Tensor, axis: Axis = -1) -> Tensor:
    """The values along `axis` in ascending order, NaN at the end; without an axis, of `x` as one row.

    Example:
        >>> from nyala import ops
        >>> ops.sort([3, 1, 2]).numpy().tolist()
        [1, 2, 3]
    """
    x = tensor(x)
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    axis = check_axis("sort", axis, rank_of(x))
    if x.dtype == "bool":
        return tf.cast(tf.sort(tf.cast(x, "int8"), axis), "bool")
    return tf.sort(x, axis)


@op
def argsort(x: Tensor, axis: Axis = -1) -> Tensor:
    """The indices, as int32, that sort `x` along `axis`; equal values keep their order.

    Example:
        >>> from nyala import ops
        >>> ops.argsort([3, 1, 2]).numpy().tolist()
        [1, 2, 0]
    """
    x = tensor(x)
    if axis is None or rank_of(x) == 0:
        x, axis = tf.reshape(x, [-1]), 0
    axis = check_axis("argsort", axis, rank_of(x))
    return tf.argsort(tf.cast(x, "int8") if x.dtype == "bool" else x, axis, stable=True)


@op
def argpartition(x: Tensor, kth: int, axis: Axis = -1) -> Tensor:
    """Indices, as int32, that put the `kth` smallest value in its place: smaller ones before it, larger ones behind.

    Example:
        >>> from nyala import ops
        >>> ops.argpartition([3, 1, 2], 0)[0].numpy().item()
        1
    """
    x = tensor(x)
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    axis = check_axis("argpartition", axis, rank_of(x))
    size = x.shape[axis]
    if size is not None and not -size <= kth < size:
        raise ValueError(f"`argpartition` got kth={kth}, but there are {size} values along axis {axis}.")
    return argsort(x, axis)  # sorted is partitioned at every place


# ---- Searching ----


@op
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Tensor:
    """Where `values` belong in the sorted vector: before (`side="left"`) or behind (`"right"`) equal ones, as int32.

    Example:
        >>> from nyala import ops
        >>> ops.searchsorted([1, 2, 3], [2, 5]).numpy().tolist()
        [1, 3]
    """
    if side not in ("left", "right"):
        raise ValueError(f"`searchsorted` takes side='left' or 'right', but got {side!r}.")
    sequence, values = meet(sorted_sequence, values)
    if rank_of(sequence) != 1:
        raise ValueError(f"`searchsorted` searches a vector, but got a sequence of shape {sequence.shape}.")
    return _search(sequence, values, side)


def _search(sequence: Tensor, values: Tensor, side: str) -> Tensor:
    found = tf.searchsorted(sequence, tf.reshape(values, [-1]), side)
    return tf.ensure_shape(tf.reshape(found, tf.shape(values)), values.shape)


@op
def digitize(x: Tensor, bins: Tensor) -> Tensor:
    """The number, as int32, of the bin each value falls into: how many of the ascending `bins` are not above it.

    Example:
        >>> from nyala import ops
        >>> ops.digitize([0.5, 1.0, 3.0], [1.0, 2.0]).numpy().tolist()
        [0, 1, 2]
    """
    x, bins = meet(x, bins)
    if x.dtype == "bool":
        x, bins = tf.cast(x, "int32"), tf.cast(bins, "int32")
    return _search(bins, x, "right")


@op
def isin(x1: Tensor, x2: Tensor, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each value of `x1` is among those of `x2`, or with `invert` is not.

    Example:
        >>> from nyala import ops
        >>> ops.isin([1, 2, 3], [2, 5]).numpy().tolist()
        [False, True, False]
    """
    del assume_unique  # knowing it would save nothing here
    x1, x2 = promote(x1, x2)
    found = tf.reduce_any(tf.equal(x1[..., None], tf.reshape(x2, [-1])), -1)
    return ~found if invert else found


# ---- Distinct values ----


@op
def unique(
    x: Tensor,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Axis = None,
    size: int | None = None,
    fill_value: Tensor = None,
) -> Any:
    """The distinct values of `x`, or its distinct slices along `axis`; `sorted=False` keeps the order of appearance.

    On request also where each appears first, for each value of `x` the place of its equal among them, and how often
    each appears, as int32. `size` fixes their number: too many are cut off, too few are followed by `fill_value` (0).

    Example:
        >>> from nyala import ops
        >>> ops.unique([3, 1, 1, 2]).numpy().tolist()
        [1, 2, 3]
    """
    x = tensor(x)
    slices = tf.reshape(x, [-1, 1])
    if axis is not None:
        axis = check_axis("unique", axis, rank_of(x))
        front = moveaxis(x, axis, 0)
        slices = tf.reshape(front, [dims(x)[axis], -1])
    order, first, group = _groups(slices)
    if not sorted:
        order, first, group = _by_appearance(order, first, group)
    starts = tf.where(first)[:, 0]
    index = tf.gather(order, starts)
    inverse = tf.scatter_nd(order[:, None], group, tf.shape(order))
    counts = tf.math.bincount(group, minlength=tf.size(index), maxlength=tf.size(index), dtype="int32")
    if size is not None:
        present = tf.range(size) < tf.size(index)
        index = tf.where(present, _resize(index, size), 1)
        counts = tf.where(present, _resize(counts, size), 0)
    values = tf.gather(slices[:, 0] if axis is None else front, index)
    if size is not None:
        mask = tf.reshape(present, [-1] + [1] * (rank_of(values) - 1))
        values = tf.where(mask, values, as_tensor(0 if fill_value is None else fill_value, x.dtype))
    inverse = tf.ensure_shape(tf.reshape(inverse, tf.shape(x)), x.shape) if axis is None else inverse
    values = values if axis is None else moveaxis(values, 0, axis)
    wanted = ((index, return_index), (inverse, return_inverse), (counts, return_counts))
    found = (values, *[result for result, asked in wanted if asked])
    return found if len(found) > 1 else values


def _resize(x: Tensor, size: int) -> Tensor:
    """The vector cut off or filled up with zeros to `size` values."""
    return tf.pad(x[:size], [[0, tf.maximum(size - tf.size(x), 0)]])


def _groups(slices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The order that sorts the rows, where in it a new row begins, and the number of each one's group. (N, D)"""
    if slices.dtype == "bool":
        slices = tf.cast(slices, "int8")
    order = tf.range(tf.shape(slices)[0])

    def sort_by(column: Any, order: Tensor) -> Tensor:
        return tf.gather(order, tf.argsort(tf.gather(slices[:, column], order), stable=True))

    # The sorts are stable, so the first column, which comes last, decides.
    if slices.shape[1] is None:
        column = tf.shape(slices)[1] - 1
        _, order = tf.while_loop(lambda c, _: c >= 0, lambda c, order: (c - 1, sort_by(c, order)), (column, order))
    else:
        for column in reversed(builtins.range(slices.shape[1])):
            order = sort_by(column, order)
    rows = tf.gather(slices, order)
    changes = tf.reduce_any(tf.not_equal(rows[1:], rows[:-1]), 1)
    first = tf.concat([tf.ones_like(order[:1], "bool"), changes], 0)
    return order, first, tf.cumsum(tf.cast(first, "int32")) - 1


def _by_appearance(order: Tensor, first: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The groups renumbered, and put in order, by where their first row stands in the input."""
    appearance = tf.gather(order, tf.where(first)[:, 0])
    number = tf.math.invert_permutation(tf.argsort(appearance))
    group = tf.gather(number, group)
    by_group = tf.argsort(group, stable=True)
    group = tf.gather(group, by_group)
    first = tf.concat([tf.ones_like(order[:1], "bool"), tf.not_equal(group[1:], group[:-1])], 0)
    return tf.gather(order, by_group), first, group


# ---- Quantiles ----


@op
def quantile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The value below which the share `q` of the values along `axis` lies, as a float; NaN where one is NaN.

    Between two values `method` takes a weighted mean (`"linear"`), the `"lower"`, the `"higher"`, the `"nearest"` or
    the `"midpoint"`. The axes of `q` come first in the result.

    Example:
        >>> from nyala import ops
        >>> ops.quantile([1.0, 2.0, 3.0], [0.5, 0.75]).numpy().tolist()
        [2.0, 2.5]
    """
    return _quantile("quantile", x, lambda dtype: as_tensor(q, dtype), axis, method, keepdims, skip_nan=False)


@op
def nanquantile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """As `quantile`, of the values that are not NaN.

    Example:
        >>> from nyala import ops
        >>> ops.nanquantile([1.0, float("nan"), 3.0], 0.5).numpy().item()
        2.0
    """
    return _quantile("nanquantile", x, lambda dtype: as_tensor(q, dtype), axis, method, keepdims, skip_nan=True)


@op
def percentile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """As `quantile`, with `q` in percent.

    Example:
        >>> from nyala import ops
        >>> ops.percentile([1.0, 2.0, 3.0], 50).numpy().item()
        2.0
    """
    return _quantile("percentile", x, lambda dtype: as_tensor(q, dtype) / 100, axis, method, keepdims, skip_nan=False)


@op
def nanpercentile(x: Tensor, q: Tensor, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """As `nanquantile`, with `q` in percent.

    Example:
        >>> from nyala import ops
        >>> ops.nanpercentile([1.0, float("nan"), 3.0], 50).numpy().item()
        2.0
    """
    return _quantile("nanpercentile", x, lambda dtype: as_tensor(q, dtype) / 100, axis, method, keepdims, skip_nan=True)


@op
def median(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The middle value along `axis`, or the mean of the two in the middle, as a float.

    Example:
        >>> from nyala import ops
        >>> ops.median([3.0, 1.0, 2.0]).numpy().item()
        2.0
    """
    return quantile(x, 0.5, axis, "midpoint", keepdims)


@op
def nanmedian(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """As `median`, of the values that are not NaN.

    Example:
        >>> from nyala import ops
        >>> ops.nanmedian([3.0, float("nan"), 2.0]).numpy().item()
        2.5
    """
    return nanquantile(x, 0.5, axis, "midpoint", keepdims)


_METHODS = ("linear", "lower", "higher", "nearest", "midpoint")


def _quantile(
    name: str, x: Tensor, share: Callable[[Any], Tensor], axis: Axes, method: str, keepdims: bool, skip_nan: bool
) -> Tensor:
    if method not in _METHODS:
        raise ValueError(f"`{name}` knows the methods {', '.join(_METHODS)}, but got method={method!r}.")
    x = as_float(x)
    axes = check_axes(name, axis, rank_of(x))
    sizes = dims(x)
    kept = [i for i in range(len(sizes)) if i not in axes]
    rows = tf.reshape(tf.transpose(x, kept + axes), [*[sizes[i] for i in kept], size_of_axes(x, axes)])
    computed = "float64" if x.dtype == "float64" else "float32"
    q = tf.cast(share(computed), computed)
    found = _quantile_of_rows(rows, tf.reshape(q, [-1]), method, skip_nan)  # (…, Q)
    places = [1 if i in axes else sizes[i] for i in range(len(sizes))] if keepdims else [sizes[i] for i in kept]
    return tf.reshape(moveaxis(found, -1, 0), [*dims(q), *places])


def _quantile_of_rows(rows: Tensor, q: Tensor, method: str, skip_nan: bool) -> Tensor:
    """The quantiles of the last axis. (…, D), (Q,) → (…, Q)"""
    missing = is_nan(rows)
    ascending = tf.sort(tf.where(missing, tf.cast(float("inf"), rows.dtype), rows))
    count = tf.reduce_sum(tf.cast(~missing, q.dtype), -1, keepdims=True)  # (…, 1)
    last = tf.maximum(count - 1, 0) if skip_nan else tf.cast(tf.shape(rows)[-1] - 1, q.dtype) + tf.zeros_like(count)
    place = last * q  # (…, Q)
    if method == "nearest":
        place = tf.round(place)
    lower, upper = (
        tf.gather(
            ascending,
            tf.cast(tf.clip_by_value(edge, tf.zeros_like(last), last), "int32"),
            batch_dims=rows.shape.rank - 1,
        )
        for edge in (tf.floor(place), tf.math.ceil(place))
    )
    if method in ("lower", "nearest"):
        found = lower
    elif method == "higher":
        found = upper
    else:
        weight = tf.cast(place - tf.floor(place), rows.dtype) if method == "linear" else tf.cast(0.5, rows.dtype)
        # Where both are the same infinity, their difference would be NaN.
        between = lower + (upper - lower) * weight
        found = tf.where(tf.equal(lower, upper), lower, between)
    undefined = tf.equal(count, 0) if skip_nan else tf.reduce_any(missing, -1, keepdims=True)
    return tf.where(undefined, tf.cast(float("nan"), rows.dtype), found)


# ---- Counts ----


@op
def bincount(x: Tensor, weights: Tensor = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each of the numbers 0, 1, 2, … is among the integers of each row, or the sum of their `weights`.

    Shapes: (T,) → (bins,), or (N, T) → (N, bins), with one bin more than the largest value, but at least `minlength`.
    The dtype is int32, or that of the weights; `sparse` gives a `tf.SparseTensor`.

    Example:
        >>> from nyala import ops
        >>> ops.bincount([1, 2, 2]).numpy().tolist()
        [0, 1, 2]
    """
    x = tf.cast(tensor(x), "int32")
    dtype = "int32" if weights is None else standardize_dtype(dtype_of(weights))
    if sparse or isinstance(x, tf.SparseTensor):
        counts = tf.sparse.bincount(
            x, weights=None if weights is None else tensor(weights), minlength=minlength, axis=-1
        )
        return tf.cast(counts, dtype)
    if rank_of(x) not in (1, 2):
        raise ValueError(f"`bincount` takes a vector or rows of integers, but got the shape {x.shape}.")
    # TensorFlow has kernels for four dtypes of weights; sums of halves are better kept in float32 anyway.
    summed = (
        dtype if dtype in ("int32", "int64", "float32", "float64") else ("float32" if "float" in dtype else "int32")
    )
    weights = None if weights is None else as_tensor(weights, summed)
    counts = tf.math.bincount(x, weights=weights, minlength=minlength, dtype="int32", axis=-1)
    return tf.cast(tf.ensure_shape(counts, [*x.shape[:-1], None]), dtype)


@op
def histogram(x: Tensor, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """How many values fall into each of `bins` equal parts of `range`, and the edges of the parts.

    Without a range it goes from the smallest to the largest value; the last part includes its upper edge. Both
    results have the dtype of `x`.

    Example:
        >>> from nyala import ops
        >>> counts, edges = ops.histogram([1.0, 2.0, 2.0], bins=2)
        >>> counts.numpy().tolist(), edges.numpy().tolist()
        ([1.0, 2.0], [1.0, 1.5, 2.0])
    """
    if not isinstance(bins, int) or isinstance(bins, bool):
        raise TypeError(f"`histogram` takes a whole number of bins, but got bins={bins!r}.")
    if bins < 0 or (range and range[1] < range[0]):
        raise ValueError(
            f"`histogram` needs bins from 0 up and an ascending range, but got bins={bins}, range={range}."
        )
    x = tf.reshape(tensor(x), [-1])
    computed = x.dtype if x.dtype.is_floating else "float64"
    lowest = tf.reduce_min(x) if range is None else range[0]
    highest = tf.reduce_max(x) if range is None else range[1]
    edges = tf.linspace(as_tensor(lowest, computed), as_tensor(highest, computed), bins + 1)
    edges = tf.cast(edges, x.dtype)
    values = tf.boolean_mask(x, (x >= edges[0]) & (x <= edges[-1]))
    place = tf.minimum(_search(edges, values, "right") - 1, bins - 1)
    counts = tf.math.bincount(place, minlength=bins, maxlength=bins, dtype="int32")
    return tf.cast(tf.ensure_shape(counts, [bins]), x.dtype), edges
