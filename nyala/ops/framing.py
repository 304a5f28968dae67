"""Images cut and framed: padding, cropping, patches; and how the ops of images read their arguments.

Images are (H, W, C) or (N, H, W, C), with the channels first where `data_format` says so. Results have the same form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.settings import standardize_data_format
from nyala.core.tensor import Tensor
from nyala.ops.rules import dims, rank_of, tensor

# ---- Arguments ----


def as_batch(
    name: str, images: Any, data_format: str | None, spatial: int = 2
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """`images` as (N, H, W, C), and the way back: a function that gives results of that form the form of `images`."""
    images = tensor(images)
    rank, first = rank_of(images), standardize_data_format(data_format) == "channels_first"
    if rank not in (spatial + 1, spatial + 2):
        raise ValueError(
            f"`{name}` takes one {'image' if spatial == 2 else 'volume'} of rank {spatial + 1} or a batch of rank "
            f"{spatial + 2}, but got a tensor of shape {images.shape}."
        )
    single = rank == spatial + 1

    def restore(y: Tensor) -> Tensor:
        y = tf.transpose(y, (0, spatial + 1, *range(1, spatial + 1))) if first else y
        return tf.squeeze(y, [0]) if single else y

    batch = tf.expand_dims(images, 0) if single else images
    return (tf.transpose(batch, (0, *range(2, spatial + 2), 1)) if first else batch), restore


def one_of(name: str, argument: str, value: Any, choices: Sequence[str]) -> Any:
    """`value` where it is among `choices`; a ValueError that lists them where it is not."""
    if value not in choices:
        raise ValueError(f"`{name}` takes {argument} as one of {', '.join(map(repr, choices))}, but got {value!r}.")
    return value


def integers(name: str, argument: str, value: Any, length: int) -> tuple[int, ...]:
    """`value` as a tuple of positive integers; one integer stands for all."""
    values = (value,) * length if isinstance(value, (int, np.integer)) else value
    whole = isinstance(values, (tuple, list)) and all(isinstance(one, (int, np.integer)) and one > 0 for one in values)
    if not whole or len(values) != length:
        raise ValueError(f"`{name}` takes {argument} as {length} positive integers, but got {value!r}.")
    return tuple(map(int, values))


# ---- Padding and cropping ----


@op
def pad_images(
    images: Tensor,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images framed by zeros: (N, H, W, C) → (N, top + H + bottom, left + W + right, C).

    Of top, bottom and target height exactly two are given, of left, right and target width too; else a ValueError is
    raised, as for a padding that would be negative.

    Example:
        >>> from nyala import ops
        >>> ops.image.pad_images(ops.ones((2, 2, 1)), 1, 0, target_height=3, target_width=3).numpy()[..., 0].tolist()
        [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    """
    x, restore = as_batch("pad_images", images, data_format)
    height, width = dims(x)[1:3]
    rows = {"top_padding": top_padding, "bottom_padding": bottom_padding, "target_height": target_height}
    columns = {"left_padding": left_padding, "right_padding": right_padding, "target_width": target_width}
    top, bottom, height = _margins("pad_images", rows, height, 1)
    left, right, width = _margins("pad_images", columns, width, 1)
    padded = tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])
    return restore(_with_sizes(padded, x, height, width))


@op
def crop_images(
    images: Tensor,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without their margins: (N, H, W, C) → (N, H - top - bottom, W - left - right, C).

    Of top, bottom and target height exactly two are given, of left, right and target width too; else a ValueError is
    raised, as for a cropping that would be negative.

    Example:
        >>> from nyala import ops
        >>> image = ops.reshape(ops.arange(9), (3, 3, 1))
        >>> ops.image.crop_images(image, 1, 0, target_height=2, target_width=1).numpy()[..., 0].tolist()
        [[3], [6]]
    """
    x, restore = as_batch("crop_images", images, data_format)
    height, width = dims(x)[1:3]
    rows = {"top_cropping": top_cropping, "bottom_cropping": bottom_cropping, "target_height": target_height}
    columns = {"left_cropping": left_cropping, "right_cropping": right_cropping, "target_width": target_width}
    top, _, height = _margins("crop_images", rows, height, -1)
    left, _, width = _margins("crop_images", columns, width, -1)
    cropped = x[:, top : top + height, left : left + width]
    return restore(_with_sizes(cropped, x, height, width))


def _margins(name: str, given: dict[str, int | None], size: Any, sign: int) -> tuple[Any, Any, Any]:
    """Both margins and the new size along an axis, of which `given` names two; `sign` is -1 where margins go away."""
    listed = ", ".join(f"{argument}={value}" for argument, value in given.items())
    if sum(value is not None for value in given.values()) != 2:
        raise ValueError(f"`{name}` takes exactly two of {', '.join(given)}, but got {listed}.")
    before, after, target = given.values()
    if before is not None and after is not None:
        target = size + sign * (before + after)
    total = sign * (target - size)
    before = total - after if before is None else before
    after = total - before if after is None else after
    if any(isinstance(value, int) and value < 0 for value in (before, after, target)):
        raise ValueError(f"`{name}` got {listed} for a size of {size}, which leaves a negative number of pixels.")
    return before, after, target


def _with_sizes(y: Tensor, x: Tensor, height: Any, width: Any) -> Tensor:
    """`y` with what is known of its shape, which padding and slicing by tensors lose."""
    if y.shape.is_fully_defined():
        return y
    sizes = [size if isinstance(size, int) else None for size in (height, width)]
    return tf.ensure_shape(y, [x.shape[0], *sizes, x.shape[-1]])


# ---- Patches ----


@op
def extract_patches(
    images: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The patches of images, each flat in the order (K, K, C): (N, H, W, C) → (N, H', W', K·K·C).

    Three numbers as `size` ask for patches of volumes: (N, D, H, W, C) → (N, D', H', W', K·K·K·C). Without `strides`,
    patches do not overlap; `padding="same"` frames the images with zeros. Raises ValueError where no patch fits.

    Example:
        >>> from nyala import ops
        >>> ops.image.extract_patches(ops.reshape(ops.arange(8), (2, 4, 1)), 2).numpy().tolist()
        [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    """
    name, spatial = "extract_patches", 3 if isinstance(size, (tuple, list)) and len(size) == 3 else 2
    sizes = integers(name, "size", size, spatial)
    steps = sizes if strides is None else integers(name, "strides", strides, spatial)
    rates = integers(name, "dilation_rate", dilation_rate, spatial)
    same = one_of(name, "padding", padding.lower(), ("valid", "same")) == "same"
    x, restore = as_batch(name, images, data_format, spatial)
    for place in range(spatial):  # (N, H, W, C) → (N, H', K, W, C) → (N, H', K, W', K, C)
        x = _windows(x, 2 * place + 1, sizes[place], steps[place], rates[place], same)
    x = tf.transpose(x, (0, *range(1, 2 * spatial, 2), *range(2, 2 * spatial + 1, 2), 2 * spatial + 1))
    shape = dims(x)
    return restore(tf.reshape(x, [*shape[: spatial + 1], int(np.prod(sizes)) * shape[-1]]))


def extract_patches_3d(
    volumes: Tensor,
    size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    dilation_rate: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The patches of volumes, each flat in the order (K, K, K, C): (N, D, H, W, C) → (N, D', H', W', K·K·K·C).

    Without `strides`, patches do not overlap; `padding="same"` frames the volumes with zeros. Raises ValueError where
    no patch fits.

    Example:
        >>> from nyala import ops
        >>> ops.image.extract_patches_3d(ops.reshape(ops.arange(8), (2, 2, 2, 1)), 2).numpy().tolist()
        [[[[0, 1, 2, 3, 4, 5, 6, 7]]]]
    """
    size = integers("extract_patches_3d", "size", size, 3)
    return extract_patches(volumes, size, strides, dilation_rate, padding, data_format)


def _windows(x: Tensor, axis: int, size: int, stride: int, rate: int, same: bool) -> Tensor:
    """`x` with an axis split into windows and the places in each of them: (…, W, …) → (…, W', K, …)."""
    length, reach = dims(x)[axis], (size - 1) * rate + 1
    count = -(-length // stride) if same else (length - reach) // stride + 1
    if isinstance(count, int) and count <= 0:
        raise ValueError(f"`extract_patches` finds no patch of {reach} pixels along an axis of {length}.")
    if same:
        missing = (count - 1) * stride + reach - length
        missing = max(missing, 0) if isinstance(missing, int) else tf.maximum(missing, 0)
        paddings: list[list[Any]] = [[0, 0] for _ in x.shape]
        paddings[axis] = [missing // 2, missing - missing // 2]
        x = tf.ensure_shape(tf.pad(x, paddings), [*x.shape[:axis], None, *x.shape[axis + 1 :]])
    places = tf.range(count)[:, tf.newaxis] * stride + tf.range(size) * rate  # (W', K)
    return tf.gather(x, places, axis=axis)
