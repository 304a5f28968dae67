"""Rows of the layer contract: layers that move values."""

import numpy as np

from tests.contract.rows import Row, floats, integers

CHANNELS_FIRST = {"data_format": "channels_first"}
PADDED = floats(3, 4, 2) * np.array([1, 1, 0, 1], "float32")[None, :, None]
ROWS = [
    Row("Flatten", {}, floats(2, 3, 4)),
    Row("Flatten", CHANNELS_FIRST, floats(2, 3, 4, 5)),
    Row("Flatten", {}, floats(4)),
    Row("Flatten", {}, integers(2, 3, 4, high=9), gradient=False),
    Row("Reshape", {"target_shape": (4, 3)}, floats(2, 3, 4)),
    Row("Reshape", {"target_shape": (-1, 2)}, floats(2, 3, 4)),
    Row("Permute", {"dims": (2, 1)}, floats(2, 3, 4)),
    Row("Permute", {"dims": (3, 1, 2)}, floats(2, 3, 4, 5)),
    Row("RepeatVector", {"n": 3}, floats(2, 4)),
    Row("Identity", {}, floats(2, 4)),
    Row("Rescaling", {"scale": 0.5, "offset": 1.0}, floats(2, 3)),
    Row("Rescaling", {"scale": 0.5}, integers(2, 3, high=9), gradient=False),
    Row("Rescaling", {"scale": [0.5, 2.0, 1.0], "offset": [0.0, 1.0, 2.0]}, floats(2, 3)),
    Row("Masking", {}, PADDED),
    Row("Masking", {"mask_value": 2.0}, floats(2, 3, 4)),
    Row("Cropping1D", {}, floats(2, 5, 3)),
    Row("Cropping1D", {"cropping": (0, 2)}, floats(2, 5, 3)),
    Row("Cropping2D", {"cropping": ((1, 0), (2, 2))}, floats(2, 5, 6, 3)),
    Row("Cropping2D", {"cropping": 1, **CHANNELS_FIRST}, floats(2, 3, 5, 6)),
    Row("Cropping3D", {"cropping": (1, 2, 1)}, floats(2, 4, 5, 6, 2)),
    Row("ZeroPadding1D", {}, floats(2, 4, 3)),
    Row("ZeroPadding1D", {"padding": (2, 0), **CHANNELS_FIRST}, floats(2, 4, 3)),
    Row("ZeroPadding2D", {"padding": ((1, 0), (2, 2))}, floats(2, 4, 3, 2)),
    Row("ZeroPadding2D", {"padding": (1, 2), **CHANNELS_FIRST}, floats(2, 4, 3, 2)),
    Row("ZeroPadding3D", {}, floats(2, 3, 2, 3, 2)),
    Row("ZeroPadding3D", {"padding": ((1, 0), (0, 2), (1, 1)), **CHANNELS_FIRST}, floats(2, 2, 3, 2, 3)),
    Row("UpSampling1D", {}, floats(2, 4, 3)),
    Row("UpSampling2D", {"size": (2, 3)}, floats(2, 4, 3, 2)),
    Row("UpSampling2D", {"interpolation": "bilinear", **CHANNELS_FIRST}, floats(2, 4, 3, 2)),
    *(
        # XLA on a CPU knows no such resizing, and an empty batch the oracle does not.
        Row("UpSampling2D", {"size": 2, "interpolation": name}, floats(2, 4, 3, 2), xla=False, empty=False)
        for name in ("bicubic", "lanczos3")
    ),
    Row("UpSampling3D", {}, floats(2, 3, 2, 3, 2)),
    Row("UpSampling3D", {"size": (2, 1, 3), **CHANNELS_FIRST}, floats(2, 2, 3, 2, 3)),
]
