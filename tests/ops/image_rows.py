"""The table of ops of images: for each op its calls, with all options that matter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.cases import Case, case, floats, ints

NAMESPACE = "image"  # these ops are not in `ops` itself

NO_PROJECTION = "TensorFlow has no XLA kernel for ImageProjectiveTransformV3"
XLA_CANNOT = {
    "affine_transform": NO_PROJECTION,
    "perspective_transform": NO_PROJECTION,
    "resize": "TensorFlow has no XLA kernels for bicubic, area and Lanczos; nearest and bilinear have a test of their own",
}
SYMBOLIC_DIFFERS = {
    "crop_images": "the reference refuses to crop margins off images of unknown size",
    "rgb_to_hsv": "the reference does not see that there are three channels",
}
GRADIENT_DIFFERS = {
    "hsv_to_rgb": "the reference has no gradient there",
}


def image(*shape: int, dtype: str = "float32") -> Any:
    """Pixels from 0 to 1, whole ones from 0 to 255."""
    if dtype.startswith("float"):
        return floats(*shape, low=0.0, high=1.0, dtype=dtype)
    return ints(*shape, low=0, high=256 if dtype == "uint8" else 120, dtype=dtype)


FORMS = ((4, 5, 3), (2, 4, 5, 3))
FIRST = {"data_format": "channels_first"}
TRANSFORM = np.array([1.2, 0.1, -1.0, 0.2, 0.9, 0.5, 0.01, -0.02], "float32")
START = np.array([[0, 0], [4, 0], [0, 3], [4, 3]], "float32")
END = np.array([[0.3, 0.2], [3.5, 0.3], [0.1, 2.8], [3.7, 3.1]], "float32")
# Far beyond the borders, on them, on entries and halfway between them.
PLACES = np.array([-9.3, -3.4, -1.6, -1.0, -0.5, -0.4, 0.0, 0.5, 1.0, 1.3, 2.0, 2.4, 2.5, 3.1, 4.6, 9.2], "float32")
GRID = np.stack([PLACES, PLACES[::-1]])
QUARTERS = np.round(GRID * 4) / 4  # weights are exact, so that whole numbers round alike on every processor
NEAR = np.array([[-2.6, -1.5, 0.0, 0.4, 1.9], [-1.4, 0.3, 1.7, 2.8, -2.9]], "float32")
HSV = np.array([[[0, 0, 0], [0.3, 0, 0.5], [1, 1, 1], [1 / 3, 0.5, 1], [0.5, 0.2, 0.7]]], "float32")
RGB = np.array([[[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1], [1, 1, 0], [1, 0, 0], [0.2, 0.2, 0.7]]], "float32")
SIZES = ((3, 3), (2, 9), (9, 3), (4, 6))
FILLS = ("constant", "nearest", "wrap", "reflect")
METHODS = ("bicubic", "nearest", "bilinear", "lanczos3", "lanczos5", "area")
WHOLE = ("uint8", "int8", "int32", "int64")


def framings(what: str) -> list[Case]:
    """Calls of `pad_images` and `crop_images`: all pairs of arguments that determine the rest."""
    sizes = {"target_height": 7, "target_width": 8} if what == "padding" else {"target_height": 2, "target_width": 1}
    before = {f"top_{what}": 1, f"left_{what}": 2}
    after = {f"bottom_{what}": 2, f"right_{what}": 1}
    pairs = ({**before, **after}, {**before, **sizes}, {**after, **sizes})
    cases = [case(x, **pair) for pair in pairs for x in (image(4, 5, 3), image(2, 4, 5, 1, dtype="uint8"))]
    return [*cases, case(image(2, 3, 4, 5), 0, 1, 1, 0, **FIRST), case(image(3, 4, 5), 1, 0, 0, 1, **FIRST)]


ROWS: dict[str, list[Case]] = {
    # ---- colors ----
    "rgb_to_grayscale": [
        *(case(image(*form)) for form in FORMS),
        case(image(2, 3, 4, 5), **FIRST),
        case(image(3, 4, 5), **FIRST),
        case(image(4, 5, 1)),
        case(image(0, 4, 5, 3)),
        *(case(image(30, 30, 3, dtype=dtype)) for dtype in WHOLE),
        case(image(4, 5, 3, dtype="float64")),
    ],
    "rgb_to_hsv": [
        case(RGB),
        *(case(image(*form)) for form in FORMS),
        case(image(2, 3, 4, 5), **FIRST),
        case(image(3, 4, 5), **FIRST),
        case(image(4, 5, 3, dtype="float64")),
    ],
    "hsv_to_rgb": [
        case(HSV),
        *(case(image(*form)) for form in FORMS),
        case(image(2, 3, 4, 5), **FIRST),
        case(image(3, 4, 5), **FIRST),
        case(image(4, 5, 3, dtype="float64")),
    ],
    # ---- framing ----
    "pad_images": framings("padding"),
    "crop_images": framings("cropping"),
    "extract_patches": [
        *(case(image(*form), 2) for form in FORMS),
        case(image(2, 4, 5, 3), (2, 3), strides=(1, 2)),
        case(image(2, 4, 5, 3), (3, 2), strides=2, padding="same"),
        case(image(2, 5, 5, 1), 2, padding="SAME"),
        case(image(2, 5, 6, 2), 2, strides=1, dilation_rate=2),
        case(image(2, 5, 6, 2), (3, 2), strides=1, dilation_rate=(1, 2), padding="same"),
        case(image(2, 4, 5, 3, dtype="int32"), 2, strides=1),
        case(image(1, 3, 4, 4, 2), (2, 2, 2)),
        case(image(3, 4, 4, 2), (1, 2, 3), strides=(1, 1, 2), padding="same"),
    ],
    "extract_patches_3d": [
        case(image(3, 4, 4, 2), 2),
        case(image(2, 3, 4, 4, 2), (2, 1, 3), strides=1),
        case(image(1, 3, 4, 5, 1), 2, strides=(2, 1, 2), padding="same"),
        case(image(1, 4, 4, 5, 1), 2, strides=1, dilation_rate=2),
        case(image(2, 2, 3, 4, 4), 2, **FIRST),
    ],
    # ---- filters ----
    "gaussian_blur": [
        *(case(image(*form)) for form in FORMS),
        case(image(2, 5, 6, 3), (3, 3), (1.0, 2.0)),
        case(image(5, 6, 1), (4, 4), (0.7, 0.4)),
        case(image(2, 5, 6, 2), (7, 7), (3.0, 3.0)),
        case(image(2, 3, 4, 5), **FIRST),
        case(image(3, 4, 5), **FIRST),
        case(image(4, 5, 3, dtype="float64"), (1, 1)),
    ],
    "sobel_edges": [
        case(image(2, 4, 5, 3)),
        case(image(1, 2, 2, 1)),
        case(image(2, 3, 4, 5), **FIRST),
        case(image(2, 4, 5, 3, dtype="float64")),
    ],
    "ssim": [
        case(image(2, 12, 13, 3), image(2, 12, 13, 3)),
        case(image(12, 11, 1), image(12, 11, 1), max_val=2.0, k1=0.02, k2=0.05),
        case(image(2, 8, 7, 2), image(2, 8, 7, 2), filter_size=6, filter_sigma=1.0),
        case(image(2, 3, 8, 7), image(2, 3, 8, 7), filter_size=5, **FIRST),
        case(image(2, 11, 11, 1, dtype="float64"), image(2, 11, 11, 1, dtype="float64")),
        case(image(2, 11, 11, 1, dtype="float64"), image(2, 11, 11, 1)),
    ],
    # ---- resampling ----
    "resize": [
        *(case(image(4, 5, 3), (6, 3), method) for method in METHODS),
        *(case(image(2, 6, 5, 3), (2, 4), method, antialias=True) for method in METHODS),
        *(case(image(4, 5, 3, dtype=dtype), (3, 9), method) for method in METHODS for dtype in WHOLE),
        *(case(image(4, 6, 1), size, crop_to_aspect_ratio=True) for size in SIZES),
        *(case(image(2, 5, 4, 1), size, pad_to_aspect_ratio=True, fill_value=0.5) for size in SIZES),
        case(image(5, 4, 1, dtype="uint8"), (3, 3), pad_to_aspect_ratio=True, fill_value=7),
        case(image(2, 3, 4, 5), (3, 3), crop_to_aspect_ratio=True, **FIRST),
        case(image(3, 4, 5), (3, 3), "nearest", **FIRST),
        case(image(3, 4, 5, dtype="float64"), (3, 3)),
        case(image(3, 4, 5, dtype="float16"), (3, 3)),
        case(image(3, 4, 5), [3, 4]),
    ],
    "affine_transform": [
        *(case(image(4, 5, 3), TRANSFORM, "bilinear", fill, 0.5) for fill in FILLS),
        *(case(image(2, 4, 5, 3), TRANSFORM, "nearest", fill, 0.5) for fill in FILLS),
        case(image(2, 4, 5, 1), np.stack([TRANSFORM, TRANSFORM[::-1] / 9])),
        case(image(4, 5, 1), TRANSFORM[None]),
        case(image(2, 3, 4, 5), TRANSFORM, **FIRST),
        case(image(3, 4, 5), TRANSFORM, **FIRST),
        *(case(image(4, 5, 3, dtype=dtype), TRANSFORM, fill_value=7) for dtype in ("uint8", "int32", "int64")),
        case(image(4, 5, 3, dtype="float64"), TRANSFORM.astype("float64")),
    ],
    "perspective_transform": [
        case(image(4, 5, 3), START, END),
        case(image(4, 5, 3), START, END, "nearest", 0.5),
        case(image(2, 4, 5, 3), np.stack([START, START]), np.stack([END, START]), fill_value=0.5),
        case(image(2, 4, 5, 3), START, END),
        case(image(4, 5, 1), START[None], END[None]),
        case(image(2, 3, 4, 5), START, END, **FIRST),
        case(image(4, 5, 3, dtype="uint8"), START, END, fill_value=7),
        case(image(4, 5, 3), START.astype("int32"), START.astype("int32")),
    ],
    "map_coordinates": [
        *(case(image(3, 4), GRID, order, fill, 2.5) for order in (0, 1) for fill in FILLS),
        *(case(image(3, 4, dtype=dtype), QUARTERS, 1, "reflect") for dtype in ("uint8", "int32")),
        case(image(3, 4, dtype="int32"), QUARTERS, 1, "constant", 2.5),
        *(case(image(4, 5), NEAR, order, "mirror") for order in (0, 1)),
        case(image(5), PLACES[None], 1),
        case(image(3, 4, 2), floats(3, 2, 5, low=-1.0, high=3.0), 1),
        case(image(3, 4, dtype="float64"), GRID.astype("float64"), 1),
        case(image(3, 4), [PLACES, PLACES], 1, "nearest"),
    ],
    "elastic_transform": [
        case(image(2, 6, 5, 3), seed=1),
        case(image(6, 5, 3), 3.0, 0.8, "bilinear", "constant", 0.5, seed=2),
        case(image(6, 5, 1), 3.0, 1.5, "nearest", "wrap", seed=3),
        case(image(2, 3, 6, 5), 5.0, 2.0, "bilinear", "nearest", seed=4, **FIRST),
        case(image(6, 5, 3, dtype="float64"), 5.0, 1.0, seed=5),
    ],
    "scale_and_translate": [
        *(
            case(image(5, 6), (3, 4), np.float32([0.7, 0.6]), np.float32([0.1, -0.3]), (0, 1), method)
            for method in ("linear", "cubic", "lanczos3", "lanczos5", "trilinear", "bicubic")
        ),
        *(
            case(image(5, 6), (5, 9), np.float32([1.6]), np.float32([-0.3]), (1,), method, antialias=antialias)
            for method, antialias in (("bilinear", False), ("tricubic", False), ("lanczos3", True))
        ),
        case(image(5, 6), (5, 4), np.float32([0.6]), np.float32([0.3]), (-1,), "linear"),
        case(image(2, 5, 6, 3), (2, 3, 4, 3), np.float32([0.6, 0.7]), np.float32([0, 0]), (1, 2), "linear", False),
        case(image(5, 6, dtype="float64"), (5, 4), [0.6], [0.3], [1], "cubic"),
    ],
}
