"""Ops of images beyond the contract: errors, dtypes, unknown sizes, and what only NumPy can answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import ops
from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from nyala.ops import image
from tests.ops.cases import floats, ints
from tests.ops.image_rows import END, NEAR, START, TRANSFORM
from tests.oracle import assert_close, keras

IMAGE, IMAGES = floats(6, 7, 3, low=0.0, high=1.0), floats(2, 6, 7, 3, low=0.0, high=1.0)
WHOLE = ints(2, 6, 7, 3, low=0, high=256, dtype="uint8")

CALLS: dict[str, Callable[[Any], Any]] = {
    "rgb_to_grayscale": image.rgb_to_grayscale,
    "rgb_to_hsv": image.rgb_to_hsv,
    "hsv_to_rgb": image.hsv_to_rgb,
    "pad_images": lambda x: image.pad_images(x, 1, 2, target_height=9, target_width=10),
    "crop_images": lambda x: image.crop_images(x, 1, 2, 1, 2),
    "crop_images, sizes": lambda x: image.crop_images(x, None, None, 1, 2, 3, 4),
    "extract_patches": lambda x: image.extract_patches(x, (2, 3), 2, padding="same"),
    "extract_patches_3d": lambda x: image.extract_patches_3d(x[tf.newaxis], (1, 2, 3)),
    "gaussian_blur": image.gaussian_blur,
    "sobel_edges": image.sobel_edges,
    "ssim": lambda x: image.ssim(x, x * x, filter_size=5),
    "resize": lambda x: image.resize(x, (4, 5), "bicubic"),
    "resize, cropped": lambda x: image.resize(x, (3, 2), crop_to_aspect_ratio=True),
    "resize, padded": lambda x: image.resize(x, (3, 2), pad_to_aspect_ratio=True, fill_value=0.5),
    "affine_transform": lambda x: image.affine_transform(x, TRANSFORM),
    "perspective_transform": lambda x: image.perspective_transform(x, START, END),
    "map_coordinates": lambda x: image.map_coordinates(x, np.ones((4, 3), "float32") * 0.25, 1),
    "elastic_transform": lambda x: image.elastic_transform(x, 3.0, 1.5, seed=1),
    "scale_and_translate": lambda x: image.scale_and_translate(
        x, (2, 4, 5, 3), [0.5, 0.6], [0.1, 0.2], (1, 2), "cubic"
    ),
}


def test_ops_of_images_stand_in_their_module_only() -> None:
    assert set(image.__all__) == {name for name in dir(keras.ops.image) if not name.startswith("_")}
    assert not set(image.__all__) & set(ops.__all__)
    assert not any(hasattr(ops, name) for name in image.__all__)


# ---- Dtypes ----


@pytest.mark.parametrize("name", CALLS)
def test_half_precision_stays_and_is_as_exact_as_it_can_be(name: str) -> None:
    for dtype, error in (("float16", 2e-3), ("bfloat16", 1.6e-2)):
        x = tf.cast(IMAGES, dtype)
        half, single = CALLS[name](x), CALLS[name](tf.cast(x, "float32"))
        assert half.dtype == dtype
        if name not in ("elastic_transform", "sobel_edges"):  # noise is drawn by dtype; edges reach to 4
            assert_close(half, single, rtol=error, atol=error)


WHOLE_TOO = [name for name in CALLS if name.split(",")[0] not in ("rgb_to_hsv", "hsv_to_rgb", "gaussian_blur",
             "sobel_edges", "ssim", "elastic_transform", "scale_and_translate")]  # fmt: skip


@pytest.mark.parametrize("name", WHOLE_TOO)
def test_integers_come_back_as_integers(name: str) -> None:
    """The result is that of floats, as integers; also for dtypes that TensorFlow's kernels do not know."""
    for dtype in ("uint8", "int8", "uint16", "int32", "uint32", "int64"):
        x = tf.cast(WHOLE // 2, dtype)
        y, exact = CALLS[name](x), CALLS[name](tf.cast(x, "float64"))
        assert y.dtype == dtype
        exact = tf.clip_by_value(exact, tf.cast(x.dtype.min, "float64"), tf.cast(x.dtype.max, "float64"))
        assert np.abs(tf.cast(y, "float64") - exact).max() < 1.001


def test_masks_can_be_framed_and_resized() -> None:
    mask = IMAGES > 0.5
    for name in ("pad_images", "crop_images", "extract_patches"):
        y = CALLS[name](mask)
        assert y.dtype == "bool"
        assert_close(tf.cast(y, "float32"), CALLS[name](mask.astype("float32")))
    assert_close(image.resize(mask, (12, 14), "nearest"), mask.repeat(2, 1).repeat(2, 2))


def test_integers_are_rounded_to_even_and_kept_in_range() -> None:
    x = np.array([0, 1, 2, 3, 254, 255], "uint8")
    halves = image.map_coordinates(x, np.array([[0.5, 1.5, 2.5, 3.5, 4.5, 4.6]], "float32"), 1)
    assert halves.numpy().tolist() == [0, 2, 2, 128, 254, 255]
    edge = np.array([0, 0, 255, 255], "uint8").reshape(1, 4, 1)
    assert set(image.resize(edge, (1, 40), "lanczos5").numpy().flatten()) >= {0, 255}
    exact = image.resize(edge.astype("float32"), (1, 40), "lanczos5").numpy()
    assert_close(image.resize(edge, (1, 40), "lanczos5"), np.clip(np.round(exact), 0, 255).astype("uint8"))


@pytest.mark.parametrize("name", ["rgb_to_hsv", "hsv_to_rgb", "gaussian_blur", "sobel_edges", "elastic_transform"])
def test_integers_are_refused_where_they_make_no_sense(name: str) -> None:
    with pytest.raises(TypeError, match=f"`{name}` takes floats, but got a tensor of dtype uint8"):
        CALLS[name](WHOLE)


def test_similarity_of_integers_is_a_float() -> None:
    other = np.clip(WHOLE.astype("int32") + ints(*WHOLE.shape, low=-30, high=30), 0, 255).astype("uint8")
    expected = tf.image.ssim(WHOLE, other, 255, filter_size=5)
    assert_close(image.ssim(WHOLE, other, max_val=255, filter_size=5), expected, 1e-4)


# ---- Shapes ----


@pytest.mark.parametrize("name", CALLS)
def test_unknown_sizes(name: str) -> None:
    """A graph traced for images of any size computes the same, and a symbolic call keeps what is known."""
    spec = tf.TensorSpec((None, None, None, None if name == "extract_patches_3d" else 3), "float32")
    function = tf.function(CALLS[name], input_signature=[spec], autograph=False)
    for x in (IMAGES, IMAGES[:, :5, :6]):
        if name != "scale_and_translate" or x is IMAGES:
            assert_close(function(x), CALLS[name](tf.constant(x)), 1e-5, 1e-6)


def test_known_sizes_stay_known() -> None:
    x = KerasTensor((None, None, None, 3))
    assert image.crop_images(x, 1, 1, target_height=4, target_width=5).shape == (None, 4, 5, 3)
    assert image.crop_images(x, 1, 1, 2, 2).shape == (None, None, None, 3)
    assert image.pad_images(KerasTensor((None, 4, None, 3)), 1, 1, 2, 2).shape == (None, 7, None, 3)
    assert image.resize(x, (4, 5), pad_to_aspect_ratio=True).shape == (None, 4, 5, 3)
    assert image.extract_patches(x, 2).shape == (None, None, None, 12)
    assert image.affine_transform(KerasTensor((None, 4, None, 3)), TRANSFORM).shape == (None, 4, None, 3)
    patches = image.extract_patches_3d(KerasTensor((None, 4, None, 6, 2)), 2, padding="same")
    assert patches.shape == (None, 2, None, 3, 16)
    assert patches.node.operation.name.startswith("extract_patches")  # the op that files know


def test_the_global_data_format_is_the_default() -> None:
    first = IMAGES.transpose(0, 3, 1, 2)
    expected = image.resize(first, (3, 4), data_format="channels_first")
    nyala.config.set_image_data_format("channels_first")
    try:
        assert_close(image.resize(first, (3, 4)), expected)
    finally:
        nyala.config.set_image_data_format("channels_last")


def test_xla_compiles_nearest_and_bilinear_resizing() -> None:
    def resize(x: Any) -> list[Any]:
        return [image.resize(x, (3, 9), method) for method in ("nearest", "bilinear")]

    assert_close(tf.function(resize, jit_compile=True, autograph=False)(IMAGES), resize(IMAGES), 1e-5)


def test_cropping_to_an_extreme_ratio_leaves_a_column() -> None:
    """The reference crops to nothing and fails."""
    cropped = image.resize(IMAGE, (90, 2), "nearest", crop_to_aspect_ratio=True)
    assert_close(cropped, np.repeat(IMAGE[:, 3:4], 15, 0).repeat(2, 1))


# ---- Against NumPy: what the reference cannot answer ----


def patches_by_loops(x: np.ndarray, size: int, stride: int, rate: int) -> np.ndarray:
    """Valid patches of images (N, H, W, C)."""
    reach = (size - 1) * rate + 1
    rows, columns = ((length - reach) // stride + 1 for length in x.shape[1:3])
    y = np.zeros((x.shape[0], rows, columns, size, size, x.shape[-1]), x.dtype)
    for r, c in itertools.product(range(rows), range(columns)):
        y[:, r, c] = x[:, r * stride : r * stride + reach : rate, c * stride : c * stride + reach : rate]
    return y.reshape(*y.shape[:3], -1)


def test_patches_with_strides_and_dilation() -> None:
    """The reference takes only one of the two, and no channels first on a CPU."""
    for size, stride, rate in itertools.product((1, 2, 3), (1, 2, 3), (1, 2)):
        expected = patches_by_loops(IMAGES, size, stride, rate)
        assert_close(image.extract_patches(IMAGES, size, stride, rate), expected)
        first = image.extract_patches(IMAGES.transpose(0, 3, 1, 2), size, stride, rate, data_format="channels_first")
        assert_close(first, expected.transpose(0, 3, 1, 2))


def test_patches_of_volumes_are_patches_of_their_planes() -> None:
    flat = image.extract_patches_3d(IMAGES, (1, 2, 3), strides=(1, 2, 1))
    assert_close(flat, image.extract_patches(IMAGES, (2, 3), strides=(2, 1)))


def test_blur_with_an_oblong_kernel() -> None:
    """The reference mixes up the weights of kernels that are not square; this is what a Gaussian bell gives."""
    dot = np.zeros((7, 7, 1), "float32")
    dot[3, 3] = 1
    down, along = (np.exp(-np.square(np.arange(k) - (k - 1) / 2) / (2 * s * s)) for k, s in ((5, 2.0), (3, 1.0)))
    expected = np.zeros((7, 7))
    expected[1:6, 2:5] = np.outer(down / down.sum(), along / along.sum())
    assert_close(image.gaussian_blur(dot, (5, 3), (1.0, 2.0))[..., 0], expected)


def test_mirroring_far_beyond_the_borders() -> None:
    """The reference mirrors wrongly, or fails, from the last entry on."""
    x, places = np.arange(4, dtype="float32"), np.arange(-12, 13, dtype="float32")
    expected = np.pad(x, (12, 9), mode="reflect")  # NumPy calls it so
    for order in (0, 1):
        assert_close(image.map_coordinates(x, places[None], order, "mirror"), expected)
    assert_close(image.map_coordinates(x[:1], places[None], 1, "mirror"), np.zeros(25))


def test_coordinates_of_any_shape_and_dtype() -> None:
    x = floats(4, 5)
    expected = keras.ops.image.map_coordinates(x, NEAR, 1)
    assert_close(image.map_coordinates(x, NEAR.reshape(2, 5, 1), 1), np.reshape(expected, (5, 1)))
    assert_close(image.map_coordinates(x, list(tf.unstack(NEAR)), 1), expected)
    assert_close(image.map_coordinates(x, np.array([[0, 3], [1, 4]]), 1), x[[0, 3], [1, 4]])


def test_colors_there_and_back() -> None:
    assert_close(image.hsv_to_rgb(image.rgb_to_hsv(IMAGES)), IMAGES, 1e-5)
    assert_close(image.hsv_to_rgb(IMAGES), tf.image.hsv_to_rgb(IMAGES), 1e-5)


def test_gradient_of_hsv_to_rgb() -> None:
    x = tf.constant(floats(1, 2, 3, low=0.05, high=0.95, dtype="float64"))
    theirs, numeric = tf.test.compute_gradient(image.hsv_to_rgb, [x])
    assert_close(theirs, numeric, 1e-5, 1e-6)


def test_edges_of_one_image() -> None:
    """The reference takes batches only."""
    assert_close(image.sobel_edges(IMAGES[0]), image.sobel_edges(IMAGES)[0])
    first = image.sobel_edges(IMAGES[0].transpose(2, 0, 1), data_format="channels_first")
    assert_close(first, tf.transpose(image.sobel_edges(IMAGES[0]), (2, 0, 1, 3)))


def test_seeds_of_elastic_transforms() -> None:
    ours, theirs = nyala.random.SeedGenerator(3), keras.random.SeedGenerator(3)
    for _ in range(2):
        expected = keras.ops.image.elastic_transform(IMAGES, 3.0, 1.5, seed=theirs)
        assert_close(image.elastic_transform(IMAGES, 3.0, 1.5, seed=ours), expected, 1e-4, 1e-5)
    assert np.any(image.elastic_transform(IMAGES) != image.elastic_transform(IMAGES))


# ---- Errors ----

ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "rank": (lambda: image.resize(IMAGE[0], (2, 2)), "takes one image of rank 3 or a batch of rank 4"),
    "rank of volumes": (lambda: image.extract_patches_3d(IMAGE, 2), "takes one volume of rank 4 or a batch of rank 5"),
    "data format": (lambda: image.resize(IMAGE, (2, 2), data_format="last"), "data_format|channels"),
    "gray of 2": (lambda: image.rgb_to_grayscale(IMAGE[..., :2]), "images of 1 or 3 channels, but got 2"),
    "hsv of 2": (lambda: image.rgb_to_hsv(IMAGE[..., :2]), "images of 3 channels, but got 2"),
    "interpolation": (lambda: image.resize(IMAGE, (2, 2), "linear"), "interpolation as one of 'nearest', .* 'linear'"),
    "fill mode": (lambda: image.resize(IMAGE, (2, 2), fill_mode="wrap"), "fill_mode as one of 'constant'"),
    "size": (lambda: image.resize(IMAGE, 3), r"size as \(height, width\), but got 3"),
    "sizes": (lambda: image.resize(IMAGE, (3,)), "size as 2 positive integers"),
    "crop and pad": (lambda: image.resize(IMAGE, (2, 2), "nearest", False, True, True), "not both"),
    "one margin": (lambda: image.pad_images(IMAGE, 1, 1), "exactly two of top_padding, bottom_padding, target_height"),
    "three margins": (lambda: image.crop_images(IMAGE, 1, 1, 1, 1, 4), "exactly two of top_cropping"),
    "negative": (lambda: image.pad_images(IMAGE, -1, 1, 1, 1), "negative number of pixels"),
    "no padding": (lambda: image.pad_images(IMAGE, 1, 1, target_height=6, target_width=9), "negative number of pixels"),
    "crop too much": (lambda: image.crop_images(IMAGE, 4, 1, 4, 1), "negative number of pixels"),
    "crop beyond": (lambda: image.crop_images(IMAGE, 4, 1, target_height=4, target_width=1), "negative number"),
    "patch": (lambda: image.extract_patches(IMAGE, 7), "finds no patch of 7 pixels along an axis of 6"),
    "patch of 0": (lambda: image.extract_patches(IMAGE, 0), "size as 2 positive integers, but got 0"),
    "padding": (lambda: image.extract_patches(IMAGE, 2, padding="full"), "padding as one of 'valid', 'same'"),
    "kernel": (lambda: image.gaussian_blur(IMAGE, (3,)), "kernel_size as 2 positive integers"),
    "sigma": (lambda: image.gaussian_blur(IMAGE, 3, (0.0, 1.0)), "sigma as 2 positive numbers"),
    "one row": (lambda: image.sobel_edges(IMAGE[:1]), "at least 2 by 2 pixels"),
    "ssim": (lambda: image.ssim(IMAGE, IMAGE[:5]), "images of one shape"),
    "small ssim": (lambda: image.ssim(IMAGE, IMAGE), "windows of 11 by 11 pixels"),
    "transform": (lambda: image.affine_transform(IMAGE, np.ones(9)), r"transform of shape \(8,\) or \(N, 8\)"),
    "warp": (lambda: image.affine_transform(IMAGE, TRANSFORM, "bicubic"), "interpolation as one of 'nearest'"),
    "warp fill": (lambda: image.affine_transform(IMAGE, TRANSFORM, fill_mode="mirror"), "fill_mode as one of"),
    "points": (lambda: image.perspective_transform(IMAGE, START[:3], END[:3]), r"start_points of shape \(4, 2\)"),
    "both points": (lambda: image.perspective_transform(IMAGE, START, END[None]), "points of one shape"),
    "order": (lambda: image.map_coordinates(IMAGE, np.ones((3, 2)), 2), "order 0 or 1, but got 2"),
    "coordinates": (lambda: image.map_coordinates(IMAGE, np.ones((2, 2)), 1), "a row for each axis"),
    "beyond": (lambda: image.map_coordinates(IMAGE, np.ones((3, 2)), 1, "fill"), "fill_mode as one of"),
    "elastic fill": (lambda: image.elastic_transform(IMAGE, fill_mode="mirror"), "fill_mode as one of"),
    "method": (lambda: image.scale_and_translate(IMAGE, (2, 2, 3), [1.0], [0.0], [0], "nearest"), "method as one of"),
    "moves": (lambda: image.scale_and_translate(IMAGE, (2, 7, 3), [1.0], [0.0, 1.0], [0], "linear"), "as 1 numbers"),
    "output rank": (lambda: image.scale_and_translate(IMAGE, (2, 7), [1.0], [0.0], [0], "linear"), "rank 3"),
    "other axis": (lambda: image.scale_and_translate(IMAGE, (2, 2, 3), [1.0], [0.0], [0], "linear"), "do not name"),
    "axis twice": (
        lambda: image.scale_and_translate(IMAGE, (2, 7, 3), [1.0] * 2, [0.0] * 2, [0, 0], "linear"),
        "twice",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_mistakes_are_named(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()
