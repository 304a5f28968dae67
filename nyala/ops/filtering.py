"""Colors and filters of images: gray and HSV, Gaussian blur, Sobel's edges, structural similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, shape_equal
from nyala.ops.framing import as_batch, integers
from nyala.ops.rules import as_float, dims, promote_to_floats, require_dtype, tensor

# ---- Colors ----


@op
def rgb_to_grayscale(images: Tensor, data_format: str | None = None) -> Tensor:
    """The brightness of colors, `0.2989 R + 0.587 G + 0.114 B`: (N, H, W, 3) → (N, H, W, 1).

    The dtype stays, integers lose their fractions; gray images come back as they are. Raises ValueError for other
    numbers of channels.

    Example:
        >>> from nyala import ops
        >>> ops.image.rgb_to_grayscale([[[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]).numpy().tolist()
        [[[0.2989], [0.9999]]]
    """
    x, restore = as_batch("rgb_to_grayscale", images, data_format)
    if x.shape[-1] not in (1, 3, None):
        raise ValueError(f"`rgb_to_grayscale` takes images of 1 or 3 channels, but got {x.shape[-1]}.")
    if x.shape[-1] == 1:
        return tensor(images)
    floats = as_float(x)
    weights = tf.cast([0.2989, 0.587, 0.114], floats.dtype)
    return restore(tf.cast(tf.reduce_sum(floats * weights, -1, keepdims=True), x.dtype))


@op
def rgb_to_hsv(images: Tensor, data_format: str | None = None) -> Tensor:
    """Red, green and blue, from 0 to 1, as hue, saturation and value, from 0 to 1: (N, H, W, 3) → (N, H, W, 3).

    Raises TypeError for integers.

    Example:
        >>> from nyala import ops
        >>> ops.image.rgb_to_hsv([[[0.0, 0.5, 0.0]]]).numpy().tolist()
        [[[0.33333, 1.0, 0.5]]]
    """
    x, restore = _as_colors("rgb_to_hsv", images, data_format)
    return restore(tf.image.rgb_to_hsv(x))


@op
def hsv_to_rgb(images: Tensor, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value, from 0 to 1, as red, green and blue, from 0 to 1: (N, H, W, 3) → (N, H, W, 3).

    Raises TypeError for integers.

    Example:
        >>> from nyala import ops
        >>> ops.image.hsv_to_rgb([[[0.0, 1.0, 0.5]]]).numpy().tolist()
        [[[0.5, 0.0, 0.0]]]
    """
    x, restore = _as_colors("hsv_to_rgb", images, data_format)
    hue, saturation, value = tf.split(x, 3, axis=-1)  # each (N, H, W, 1)
    # TensorFlow's own kernel has no gradient.
    angle = hue * 6
    pure = tf.concat([tf.abs(angle - 3) - 1, 2 - tf.abs(angle - 2), 2 - tf.abs(angle - 4)], -1)
    zero, one = tf.zeros([], x.dtype), tf.ones([], x.dtype)
    return restore(value * (1 - saturation + saturation * tf.clip_by_value(pure, zero, one)))


def _as_colors(name: str, images: Any, data_format: str | None) -> tuple[Tensor, Any]:
    images = tensor(images)
    require_dtype(name, images, "floats")
    x, restore = as_batch(name, images, data_format)
    if x.shape[-1] not in (3, None):
        raise ValueError(f"`{name}` takes images of 3 channels, but got {x.shape[-1]}.")
    return x, restore


# ---- Filters ----


@op
def gaussian_blur(
    images: Tensor,
    kernel_size: int | Sequence[int] = (3, 3),
    sigma: Sequence[float] = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Each pixel as the mean of those around it, weighted by `exp(-d² / 2σ²)`; zeros lie beyond the borders.

    `kernel_size` counts the pixels of a column and of a row; `sigma` is the width of the bell along a row and along a
    column, in this order, as in the reference. Raises TypeError for integers.

    Example:
        >>> from nyala import ops
        >>> ops.image.gaussian_blur(ops.ones((3, 3, 1))).numpy()[1, :, 0].tolist()
        [0.72593, 1.0, 0.72593]
    """
    images = tensor(images)
    require_dtype("gaussian_blur", images, "floats")
    height, width = integers("gaussian_blur", "kernel_size", kernel_size, 2)
    if len(sigma) != 2 or any(isinstance(one, (int, float)) and one <= 0 for one in sigma):
        raise ValueError(f"`gaussian_blur` takes sigma as 2 positive numbers, but got {sigma!r}.")
    x, restore = as_batch("gaussian_blur", images, data_format)
    return restore(_blur(x, (height, sigma[1]), (width, sigma[0]), "SAME"))


def _blur(x: Tensor, rows: tuple[int, Any], columns: tuple[int, Any], padding: str) -> Tensor:
    """(N, H, W, C) filtered along both axes, each with a bell of a size and a width."""
    ones = [1, 1, 1, 1]
    down = tf.reshape(_bell(*rows, x.dtype), (-1, 1, 1, 1))
    along = tf.reshape(_bell(*columns, x.dtype), (1, -1, 1, 1))
    for kernel in (down, along):
        x = tf.nn.depthwise_conv2d(x, tf.tile(kernel, [1, 1, dims(x)[-1], 1]), ones, padding)
    return x


def _bell(size: int, sigma: Any, dtype: Any) -> Tensor:
    wide = "float64" if dtype == "float64" else "float32"
    distance = tf.range(size, dtype=wide) - (size - 1) / 2
    weights = tf.exp(-tf.square(distance / tf.cast(sigma, wide)) / 2)
    return tf.cast(weights / tf.reduce_sum(weights), dtype)


@op
def sobel_edges(images: Tensor, data_format: str | None = None) -> Tensor:
    """How the brightness changes down and along each pixel, after Sobel: (N, H, W, C) → (N, H, W, C, 2).

    Raises TypeError for integers, ValueError for images of a single row or column.

    Example:
        >>> from nyala import ops
        >>> image = ops.reshape(ops.arange(9, dtype="float32"), (3, 3, 1))
        >>> ops.image.sobel_edges(image).numpy()[1, 1, 0].tolist()
        [24.0, 8.0]
    """
    images = tensor(images)
    require_dtype("sobel_edges", images, "floats")
    x, restore = as_batch("sobel_edges", images, data_format)
    if 1 in x.shape[1:3]:
        raise ValueError(f"`sobel_edges` takes images of at least 2 by 2 pixels, but got shape {images.shape}.")
    return tf.stack([restore(edges) for edges in tf.unstack(tf.image.sobel_edges(x), axis=-1)], -1)


@op
def ssim(
    image1: Tensor,
    image2: Tensor,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """How alike two images are, 1 for equal ones: (N, H, W, C), (N, H, W, C) → (N,).

    The mean of `(2 μ₁ μ₂ + c₁) (2 σ₁₂ + c₂) / ((μ₁² + μ₂² + c₁) (σ₁² + σ₂² + c₂))` over all windows and channels, with
    `cᵢ = (kᵢ · max_val)²` and windows weighted by a Gaussian bell. Integers count as floats. Raises ValueError for
    images of different shapes and for ones smaller than the window.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", 2004.

    Example:
        >>> from nyala import ops
        >>> ops.image.ssim(ops.ones((11, 11, 1)), ops.ones((11, 11, 1))).numpy().item()
        1.0
    """
    (size,) = integers("ssim", "filter_size", filter_size, 1)
    image1, image2 = promote_to_floats(tensor(image1), tensor(image2))
    if not shape_equal(image1.shape, image2.shape):
        raise ValueError(f"`ssim` compares images of one shape, but got {image1.shape} and {image2.shape}.")
    dtype, wide = image1.dtype, "float64" if image1.dtype == "float64" else "float32"
    (x, _), (y, _) = (as_batch("ssim", tf.cast(image, wide), data_format) for image in (image1, image2))
    if any(length is not None and length < size for length in x.shape[1:3]):
        raise ValueError(f"`ssim` looks at windows of {size} by {size} pixels, but got shape {image1.shape}.")
    alike = tf.reduce_mean(_similarity(x, y, (size, filter_sigma), (k1 * max_val) ** 2, (k2 * max_val) ** 2), (1, 2, 3))
    return tf.cast(alike if image1.shape.rank == 4 else tf.squeeze(alike, [0]), dtype)


def _similarity(x: Tensor, y: Tensor, bell: tuple[int, float], c1: Any, c2: Any) -> Tensor:
    """The structural similarity of the windows around each pixel: (N, H', W', C)."""
    mean_x, mean_y = _blur(x, bell, bell, "VALID"), _blur(y, bell, bell, "VALID")
    product, squares = mean_x * mean_y, tf.square(mean_x) + tf.square(mean_y)
    covariance = _blur(x * y, bell, bell, "VALID") - product
    variances = _blur(tf.square(x) + tf.square(y), bell, bell, "VALID") - squares
    return (2 * product + c1) / (squares + c1) * (2 * covariance + c2) / (variances + c2)
