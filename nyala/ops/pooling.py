"""Pooling: the maximum or the mean of windows that slide over space, or of a grid of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import gpus, tf
from nyala.core.graph import op
from nyala.core.settings import standardize_data_format
from nyala.core.tensor import Tensor
from nyala.ops.convolution import (
    CHANNELS_LAST,
    Sizes,
    from_channels_last,
    integers,
    padding_name,
    to_channels_last,
)
from nyala.ops.rules import as_float, dims, rank_of, tensor
from nyala.ops.tiles import are_tiles, max_pool_tiles

__all__ = ["adaptive_average_pool", "adaptive_max_pool", "average_pool", "max_pool"]


# ---- Windows ----


@op
def max_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The maximum of each window in 1 to 3 dimensions: `y[p, c] = max over k of x[p·strides + k, c]`, k < pool_size.

    `strides` is `pool_size` unless given; padding "same" lets windows reach over the edges, "valid" does not.

    Shapes: (N, …, C) → (N, …, C). Raises ValueError where a window does not fit.

    Example:
        >>> from nyala import ops
        >>> ops.max_pool([[[1.0], [3.0], [2.0], [0.0]]], 2).numpy().ravel().tolist()
        [3.0, 2.0]
    """
    return pool_windows("max_pool", "MAX", tensor(inputs), pool_size, strides, padding, data_format)


@op
def average_pool(
    inputs: Tensor,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The mean of each window, where padding does not count; integers become floats. Otherwise as `max_pool`.

    Example:
        >>> from nyala import ops
        >>> ops.average_pool([[[1.0], [3.0], [2.0], [0.0]]], 2).numpy().ravel().tolist()
        [2.0, 1.0]
    """
    return pool_windows("average_pool", "AVG", as_float(inputs), pool_size, strides, padding, data_format)


def pool_windows(
    where: str, kind: str, inputs: Tensor, pool_size: Any, strides: Any, padding: Any, data_format: str | None
) -> Tensor:
    """The maximum ("MAX") or mean ("AVG") of each window; `where` is who says what is wrong."""
    rank = _space(where, inputs)
    window = integers(where, "pool_size", pool_size, rank)
    strides = window if strides is None else integers(where, "strides", strides, rank)
    padding, data_format = padding_name(where, padding), standardize_data_format(data_format)
    x = to_channels_last(inputs, data_format)
    if padding == "valid" and any(size and size < length for size, length in zip(x.shape[1:-1], window)):
        raise ValueError(
            f"`{where}` pools windows of {window}, which do not fit into inputs of shape {tuple(inputs.shape)}. Use a "
            "smaller pool_size or padding='same'."
        )
    return from_channels_last(_pool(x, window, strides, padding.upper(), kind), data_format)


def _pool(x: Tensor, window: Sequence[int], strides: Sequence[int], padding: str, kind: str) -> Tensor:
    """(N, …, C) → the maximum or mean of each window."""
    if kind == "MAX" and are_tiles(x, window, strides):
        return max_pool_tiles(x, window)
    if kind == "MAX" and len(window) == 2:  # eagerly in half the time of `tf.nn.max_pool`
        return tf.raw_ops.MaxPool(input=x, ksize=[1, *window, 1], strides=[1, *strides, 1], padding=padding)
    function = tf.nn.max_pool if kind == "MAX" else tf.nn.avg_pool
    if len(window) < 3 or x.dtype in (tf.float32, tf.bfloat16) or gpus():
        return function(x, window, strides, padding, CHANNELS_LAST[len(window)])
    # TensorFlow's CPU kernels for volumes know no other dtypes, those for images do; so H and W first, then D.
    count, depth, height, width, channels = dims(x)
    planes = tf.reshape(x, (count * depth, height, width, channels))
    planes = function(planes, window[1:], strides[1:], padding, "NHWC")
    _, height, width, _ = dims(planes)
    columns = tf.reshape(planes, (count, depth, height * width, channels))
    columns = function(columns, (window[0], 1), (strides[0], 1), padding, "NHWC")
    return tf.reshape(columns, (count, dims(columns)[1], height, width, channels))


def _space(where: str, inputs: Tensor) -> int:
    """The number of spatial dimensions."""
    if not 3 <= rank_of(inputs) <= 5:
        raise ValueError(f"`{where}` takes inputs of 3 to 5 dimensions, but got shape {tuple(inputs.shape)}.")
    return rank_of(inputs) - 2


# ---- A grid of a given size ----


@op
def adaptive_max_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """The maxima of a grid of windows that cover space evenly, overlapping where sizes are no multiples.

    Along an axis of size S window i goes from `floor(i·S / output_size)` to `ceil((i + 1)·S / output_size)`.

    Shapes: (N, …, C) → (N, *output_size, C), in 1 to 3 dimensions. Raises ValueError for a size that is not positive.

    Example:
        >>> from nyala import ops
        >>> ops.adaptive_max_pool([[[1.0], [2.0], [3.0]]], 2).numpy().ravel().tolist()
        [2.0, 3.0]
    """
    return _adaptive_pool("adaptive_max_pool", "MAX", tensor(inputs), output_size, data_format)


@op
def adaptive_average_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Tensor:
    """The means of a grid of windows that cover space evenly; integers become floats. See `adaptive_max_pool`.

    Example:
        >>> from nyala import ops
        >>> ops.adaptive_average_pool([[[1.0], [2.0], [3.0]]], 2).numpy().ravel().tolist()
        [1.5, 2.5]
    """
    return _adaptive_pool("adaptive_average_pool", "AVG", as_float(inputs), output_size, data_format)


def _adaptive_pool(where: str, kind: str, x: Tensor, output_size: Any, data_format: str | None) -> Tensor:
    lengths = integers(where, "output_size", output_size, _space(where, x))
    first = 1 if standardize_data_format(data_format) == "channels_last" else 2
    for axis, length in enumerate(lengths, first):
        x = _pool_axis(x, axis, length, kind)
    return x


def _pool_axis(x: Tensor, axis: int, length: int, kind: str) -> Tensor:
    """Pool an axis of size S to `length` windows: window i covers `floor(i·S / length)` to `ceil((i + 1)·S / length)`."""
    size = dims(x)[axis]
    numbers = np.arange if isinstance(size, int) else tf.range
    steps = numbers(length)
    starts, ends = steps * size // length, -(-(steps + 1) * size // length)
    places = starts[:, None] + numbers(-(-size // length) + 1)  # no window is longer
    inside = tf.reshape(places < ends[:, None], [length, -1] + [1] * (x.shape.rank - axis - 1))
    windows = tf.gather(x, tf.minimum(places, size - 1), axis=axis)  # (…, length, window, …)
    if kind == "MAX":
        lowest = x.dtype.min if x.dtype.is_integer else float("-inf")
        return tf.reduce_max(tf.where(inside, windows, tf.constant(lowest, x.dtype)), axis + 1)
    inside = tf.cast(inside, x.dtype)
    return tf.reduce_sum(windows * inside, axis + 1) / tf.reduce_sum(inside, 1)
