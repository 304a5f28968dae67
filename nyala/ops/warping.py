"""Images resampled: resized, moved, warped. Pixels between pixels are interpolated."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor, dtype_of, is_float, result_type
from nyala.ops.filtering import gaussian_blur
from nyala.ops.framing import as_batch, integers, one_of
from nyala.ops.rules import as_float, check_axes, dims, rank_of, require_dtype, tensor, widened
from nyala.random import SeedGenerator, normal

# What TensorFlow's kernels take; other dtypes make a detour.
_RESIZABLE = ("int8", "uint8", "int16", "uint16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
_WARPABLE = ("uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64")
_RESIZING = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")
_ORDERS = {"nearest": 0, "bilinear": 1}
_WARP_FILLS = ("constant", "nearest", "wrap", "reflect")

# ---- Resizing ----


@op
def resize(
    images: Tensor,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images in another size: (N, H, W, C) → (N, size[0], size[1], C), in the same dtype; integers are rounded.

    `interpolation` is nearest, bilinear, bicubic, lanczos3, lanczos5 or area. Where the ratio of height to width
    changes, images are distorted, or cropped around their center, or padded with `fill_value`. Raises ValueError for
    both at once.

    Example:
        >>> from nyala import ops
        >>> ops.image.resize(ops.reshape(ops.arange(2.0), (1, 2, 1)), (1, 4)).numpy().flatten().tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    one_of("resize", "interpolation", interpolation, _RESIZING)
    one_of("resize", "fill_mode", fill_mode, ("constant",))
    if not isinstance(size, (tuple, list)):
        raise ValueError(f"`resize` takes size as (height, width), but got {size!r}.")
    height, width = integers("resize", "size", size, 2)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("`resize` crops or pads to the new ratio, not both; set one of the two to False.")
    x, restore = as_batch("resize", images, data_format)
    dtype = x.dtype
    (x,) = widened(_RESIZABLE, x)
    if crop_to_aspect_ratio:
        x = _crop_to_ratio(x, height, width)
    if pad_to_aspect_ratio:
        x = _pad_to_ratio(x, height, width, fill_value)
    return restore(_rounded(tf.image.resize(x, (height, width), method=interpolation, antialias=antialias), dtype))


def _crop_to_ratio(x: Tensor, height: int, width: int) -> Tensor:
    rows, columns = dims(x)[1:3]
    cut_rows = _smaller(rows, -_smaller(-1, -(columns * height // width)))  # at least one
    cut_columns = _smaller(columns, -_smaller(-1, -(rows * width // height)))
    top, left = (rows - cut_rows) // 2, (columns - cut_columns) // 2
    return x[:, top : top + cut_rows, left : left + cut_columns]


def _pad_to_ratio(x: Tensor, height: int, width: int, fill_value: float) -> Tensor:
    rows, columns = dims(x)[1:3]
    # The same on both sides, as in the reference: where an odd number of rows is missing, one of them stays so.
    top = -_smaller(0, rows - columns * height // width) // 2
    left = -_smaller(0, columns - rows * width // height) // 2
    paddings = [[0, 0], [top, top], [left, left], [0, 0]]
    return tf.pad(x, paddings, constant_values=tf.saturate_cast(tf.cast(fill_value, "float32"), x.dtype))


def _smaller(one: Any, other: Any) -> Any:
    return min(one, other) if isinstance(one, int) and isinstance(other, int) else tf.minimum(one, other)


def _rounded(x: Tensor, dtype: Any) -> Tensor:
    """`x` in `dtype`: the nearest number that an integer dtype holds."""
    if x.dtype == dtype:
        return x
    if not dtype.is_integer or not x.dtype.is_floating:
        return tf.cast(x, dtype)
    return tf.saturate_cast(tf.round(x), dtype)


# ---- Scaling and moving along any axes ----


@op
def scale_and_translate(
    images: Tensor,
    output_shape: Sequence[int | None] | Tensor,
    scale: Tensor,
    translation: Tensor,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """`y[scale · i + translation] = x[i]` along each of `spatial_dims`, where pixel i covers [i, i + 1].

    `scale` and `translation` hold a number for each of `spatial_dims`; `output_shape` is the whole shape, of which the
    other axes keep their sizes. `method` is linear, cubic, lanczos3 or lanczos5 (bilinear, bicubic… are the same).
    Beyond the borders lie zeros. Raises TypeError for integers.

    Example:
        >>> from nyala import ops
        >>> ops.image.scale_and_translate(ops.arange(3.0), (3,), [1.0], [1.0], (0,), "linear").numpy().tolist()
        [0.0, 0.0, 1.0]
    """
    images = tensor(images)
    require_dtype("scale_and_translate", images, "floats")
    kernel = _KERNELS[one_of("scale_and_translate", "method", method, tuple(_KERNELS))]
    axes = check_axes("scale_and_translate", list(spatial_dims), rank_of(images))
    wide = "float64" if images.dtype == "float64" else "float32"
    scale, translation = as_tensor(scale, wide), as_tensor(translation, wide)
    _check_moves(images, output_shape, scale, translation, axes)
    y = tf.cast(images, wide)
    for place, axis in enumerate(axes):
        weights = _weights(dims(y)[axis], output_shape[axis], scale[place], translation[place], kernel, antialias)
        y = tf.tensordot(y, weights, [[axis], [0]])
        y = tf.transpose(y, (*range(axis), images.shape.rank - 1, *range(axis, images.shape.rank - 1)))
    known = None if isinstance(output_shape, tf.Tensor) or tf.executing_eagerly() else output_shape
    return tf.cast(y if known is None else tf.ensure_shape(y, known), images.dtype)


def _check_moves(images: Tensor, output_shape: Any, scale: Tensor, translation: Tensor, axes: list[int]) -> None:
    if len(output_shape) != images.shape.rank:
        raise ValueError(
            f"`scale_and_translate` takes an output_shape of rank {images.shape.rank}, but got {output_shape}."
        )
    for axis, (size, new_size) in enumerate(zip(images.shape, output_shape)):
        if axis not in axes and isinstance(new_size, int) and size not in (None, new_size):
            raise ValueError(
                f"`scale_and_translate` got {new_size} as the size of axis {axis} in output_shape, but images have "
                f"{size} there and spatial_dims do not name the axis."
            )
    for argument, x in (("scale", scale), ("translation", translation)):
        if not x.shape.is_compatible_with([len(axes)]):
            raise ValueError(
                f"`scale_and_translate` takes {argument} as {len(axes)} numbers, one for each of spatial_dims, but "
                f"got shape {x.shape}."
            )


def _weights(size: Any, new_size: Any, scale: Any, translation: Any, kernel: Any, antialias: bool) -> Tensor:
    """What each old pixel gives to each new one along an axis: (old, new), columns that sum to 1, or 0 outside."""
    dtype = scale.dtype
    step = 1 / scale
    centers = (tf.range(new_size, dtype=dtype) + 0.5) * step - translation * step - 0.5  # of new pixels, in old ones
    width = tf.maximum(step, 1) if antialias else tf.ones([], dtype)
    weights = kernel(tf.abs(centers - tf.range(size, dtype=dtype)[:, tf.newaxis]) / width)
    total = tf.reduce_sum(weights, 0, keepdims=True)
    counts = tf.abs(total) > 1000 * 1.1920929e-07  # the spacing of float32 numbers at 1
    zero, one = tf.zeros([], dtype), tf.ones([], dtype)
    weights = tf.where(counts, weights / tf.where(counts, total, one), zero)
    inside = (centers >= -0.5) & (centers <= tf.cast(size, dtype) - 0.5)
    return tf.where(inside, weights, zero)


def _linear(distance: Tensor) -> Tensor:
    return tf.maximum(tf.zeros_like(distance), 1 - distance)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution with a = -0.5."""
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return tf.where(distance < 1, near, tf.where(distance < 2, far, tf.zeros_like(far)))


def _lanczos(radius: int) -> Callable[[Tensor], Tensor]:
    def kernel(distance: Tensor) -> Tensor:
        zero, one = tf.zeros_like(distance), tf.ones_like(distance)
        angle = math.pi * tf.where(distance > 1e-3, distance, one)
        value = radius * tf.sin(angle) * tf.sin(angle / radius) / tf.square(angle)
        return tf.where(distance > 1e-3, tf.where(distance > radius, zero, value), one)

    return kernel


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), _linear),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), _cubic),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


# ---- Affine and perspective maps ----


@op
def affine_transform(
    images: Tensor,
    transform: Tensor,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Each pixel (x, y) as the one at `((a x + b y + c) / k, (d x + e y + f) / k)`, `k = g x + h y + 1`, of the input.

    `transform` is `[a, b, c, d, e, f, g, h]`, or one such row for each image: (8,) or (N, 8). `interpolation` is
    nearest or bilinear, `fill_mode` says what lies beyond the borders: constant (`fill_value`), nearest, wrap or
    reflect. Images keep their shape and dtype.

    Example:
        >>> from nyala import ops
        >>> row = ops.reshape(ops.arange(3.0), (1, 3, 1))
        >>> ops.image.affine_transform(row, [1, 0, 1, 0, 1, 0, 0, 0], fill_value=9).numpy().flatten().tolist()
        [1.0, 2.0, 9.0]
    """
    one_of("affine_transform", "interpolation", interpolation, tuple(_ORDERS))
    one_of("affine_transform", "fill_mode", fill_mode, _WARP_FILLS)
    transform = as_tensor(transform, "float32")
    if transform.shape.rank not in (1, 2) or transform.shape[-1] not in (8, None):
        raise ValueError(f"`affine_transform` takes a transform of shape (8,) or (N, 8), but got {transform.shape}.")
    x, restore = as_batch("affine_transform", images, data_format)
    return restore(_project(x, tf.reshape(transform, (-1, 8)), interpolation, fill_mode, fill_value))


@op
def perspective_transform(
    images: Tensor,
    start_points: Tensor,
    end_points: Tensor,
    interpolation: str = "bilinear",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Tensor:
    """Images seen from another side: what is at four `start_points` (x, y) moves to the `end_points`.

    Points have the shape (4, 2), or (N, 4, 2) for four of each image. `interpolation` is nearest or bilinear; beyond
    the borders lies `fill_value`. Images keep their shape and dtype.

    Example:
        >>> from nyala import ops
        >>> square = ops.reshape(ops.arange(4.0), (2, 2, 1))
        >>> start, end = [[0, 0], [1, 0], [0, 1], [1, 1]], [[1, 0], [0, 0], [1, 1], [0, 1]]
        >>> ops.image.perspective_transform(square, start, end, "nearest").numpy().flatten().tolist()
        [1.0, 0.0, 3.0, 2.0]
    """
    one_of("perspective_transform", "interpolation", interpolation, tuple(_ORDERS))
    start, end = as_tensor(start_points, "float32"), as_tensor(end_points, "float32")
    for argument, points in (("start_points", start), ("end_points", end)):
        if points.shape.rank not in (2, 3) or not points.shape[-2:].is_compatible_with([4, 2]):
            raise ValueError(
                f"`perspective_transform` takes {argument} of shape (4, 2) or (N, 4, 2), but got {points.shape}."
            )
    if start.shape.rank != end.shape.rank:
        raise ValueError(f"`perspective_transform` takes points of one shape, but got {start.shape} and {end.shape}.")
    x, restore = as_batch("perspective_transform", images, data_format)
    return restore(_project(x, _perspective(start, end), interpolation, "constant", fill_value))


def _perspective(start: Tensor, end: Tensor) -> Tensor:
    """The transforms (N, 8) that map `end` to `start`: two linear equations for each of four points."""
    start, end = tf.reshape(start, (-1, 4, 2)), tf.reshape(end, (-1, 4, 2))
    ones, zeros = tf.ones_like(end[..., :1]), tf.zeros_like(end[..., :1])
    point, none = tf.concat([end, ones], -1), tf.concat([zeros] * 3, -1)  # (N, 4, 3)
    rows_x = tf.concat([point, none, -start[..., :1] * end], -1)  # (N, 4, 8)
    rows_y = tf.concat([none, point, -start[..., 1:] * end], -1)
    targets = tf.concat([start[..., :1], start[..., 1:]], -2)  # (N, 8, 1)
    return tf.squeeze(tf.linalg.solve(tf.concat([rows_x, rows_y], -2), targets), [-1])


def _project(x: Tensor, transforms: Tensor, interpolation: str, fill_mode: str, fill_value: Any) -> Tensor:
    dtype, shape = x.dtype, x.shape
    (x,) = widened(_WARPABLE, x)
    y = tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=transforms,
        output_shape=tf.shape(x)[1:3],
        fill_value=tf.cast(fill_value, "float32"),
        interpolation=interpolation.upper(),
        fill_mode=fill_mode.upper(),
    )
    return tf.cast(y if y.shape.is_fully_defined() else tf.ensure_shape(y, shape), dtype)


# ---- Values at coordinates ----


@op
def map_coordinates(
    inputs: Tensor, coordinates: Tensor, order: int, fill_mode: str = "constant", fill_value: float = 0
) -> Tensor:
    """The values of a tensor at places between its entries: `coordinates` (rank, …) → (…).

    `order` is 0 for the nearest value or 1 for linear interpolation. `fill_mode` says what lies beyond the borders:
    constant (`fill_value`), nearest, wrap, mirror (`d c b | a b c d | c b a`) or reflect (as mirror in front of the
    first value, `a b c d | d c b a` behind the last). The dtype is that of `inputs`; integers are rounded.

    Example:
        >>> from nyala import ops
        >>> ops.image.map_coordinates([0.0, 10.0, 20.0], [[0.5, 1.25, 2.5]], order=1).numpy().tolist()
        [5.0, 12.5, 10.0]
    """
    if order not in (0, 1):
        raise ValueError(f"`map_coordinates` interpolates with order 0 or 1, but got {order!r}.")
    one_of("map_coordinates", "fill_mode", fill_mode, ("constant", *_BEYOND))
    x, places = tensor(inputs), as_float(coordinates)
    if rank_of(places) < 2 or places.shape[0] not in (rank_of(x), None):
        raise ValueError(
            f"`map_coordinates` takes coordinates of shape ({x.shape.rank}, …), a row for each axis of the inputs, but "
            f"got {places.shape} for inputs of shape {x.shape}."
        )
    return _sample(x, tf.unstack(places, num=x.shape.rank), order, fill_mode, fill_value)


@op
def elastic_transform(
    images: Tensor,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: int | SeedGenerator | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images warped as if drawn on rubber: each pixel moves by `alpha` times blurred noise of strength `sigma`.

    The blur is a Gaussian bell of that width too. `interpolation` is nearest or bilinear, `fill_mode` constant,
    nearest, wrap or reflect. Images keep their shape and dtype. Raises TypeError for integers.

    Source: Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", 2003.

    Example:
        >>> from nyala import ops
        >>> ops.image.elastic_transform(ops.ones((1, 8, 8, 3)), seed=1).shape.as_list()
        [1, 8, 8, 3]
    """
    order = _ORDERS[one_of("elastic_transform", "interpolation", interpolation, tuple(_ORDERS))]
    one_of("elastic_transform", "fill_mode", fill_mode, _WARP_FILLS)
    images = tensor(images)
    require_dtype("elastic_transform", images, "floats")
    x, restore = as_batch("elastic_transform", images, data_format)
    batch, height, width, _ = dims(x)
    # One field of noise moves both coordinates, as in the reference.
    noise = normal([batch, height, width, 1], 0.0, sigma, x.dtype.name, seed)
    wide = "float64" if x.dtype == "float64" else "float32"  # half precision places no pixel exactly
    kernel = 6 * int(sigma) | 1
    shift = alpha * gaussian_blur(tf.cast(noise, wide), (kernel, kernel), (sigma, sigma), "channels_last")[..., 0]
    rows = tf.range(height, dtype=wide)[:, tf.newaxis] + shift  # (N, H, W)
    columns = tf.range(width, dtype=wide) + shift
    return restore(_sample(x, [rows, columns], order, fill_mode, fill_value, batch_dims=1))


def _sample(
    x: Tensor, places: list[Tensor], order: int, fill_mode: str, fill_value: Any, batch_dims: int = 0
) -> Tensor:
    """The values at `places`, one tensor of coordinates for each axis behind those of the batch."""
    sizes = dims(x)[batch_dims:]
    neighbours = [_neighbours(place, size, order, fill_mode) for place, size in zip(places, sizes)]
    fill = tf.cast(fill_value, x.dtype)
    trailing = (1,) * (x.shape.rank - batch_dims - len(places))  # axes that are carried along: channels
    parts = []
    for corner in itertools.product(*neighbours):
        indices, inside, weights = zip(*corner)
        values = tf.gather_nd(x, tf.stack(indices, -1), batch_dims=batch_dims)
        if fill_mode == "constant":
            values = tf.where(_widen(tf.reduce_all(tf.stack(inside), 0), trailing), values, fill)
        if order == 0:
            return values
        weight = _widen(math.prod(weights[1:], start=weights[0]), trailing)
        dtype = result_type(dtype_of(values), dtype_of(weight))
        parts.append(tf.cast(values, dtype) * tf.cast(weight, dtype))
    total = tf.add_n(parts)
    return tf.cast(total if is_float(x.dtype.name) else tf.round(total), x.dtype)


def _neighbours(place: Tensor, size: Any, order: int, fill_mode: str) -> list[tuple[Tensor, Any, Any]]:
    """The entries around a coordinate: for each its index, whether it lies within the borders, and its weight."""
    if order == 0:
        steps = [(tf.cast(tf.round(place), "int32"), None)]
    else:
        low = tf.floor(place)
        index, rest = tf.cast(low, "int32"), place - low
        steps = [(index, 1 - rest), (index + 1, rest)]
    inside = fill_mode != "constant"
    fold = _BEYOND["nearest" if fill_mode == "constant" else fill_mode]
    return [(fold(i, size), inside or (i >= 0) & (i < size), weight) for i, weight in steps]


def _mirrored(index: Tensor, size: Any) -> Tensor:
    last = size - 1
    period = tf.maximum(2 * last, 1)
    return tf.abs((index + last) % period - last)


def _reflected(index: Tensor, size: Any) -> Tensor:
    folded = tf.abs(index) % (2 * size)
    return tf.minimum(folded, 2 * size - 1 - folded)


# Which entry stands in for one beyond the borders.
_BEYOND: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "nearest": lambda index, size: tf.clip_by_value(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirrored,
    "reflect": _reflected,
}


def _widen(x: Tensor, trailing: tuple[int, ...]) -> Tensor:
    return tf.reshape(x, [*dims(x), *trailing]) if trailing else x
