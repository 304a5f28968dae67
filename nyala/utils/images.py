"""Pictures: files and Pillow's images as arrays, and back."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nyala.core.settings import standardize_data_format
from nyala.core.tensor import standardize_dtype

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
_CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def _pillow() -> Any:
    """Pillow's module `Image`, loaded where it is first needed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Pictures need Pillow; install it with `pip install pillow`.") from error
    return Image


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """An array (H, W, C) as one of Pillow's images: gray, RGB or RGBA by its 1, 3 or 4 channels.

    `scale` stretches the values to the range from 0 to 255; else they are cut to it (gray ones beyond become an image
    of 32-bit integers). Raises ValueError for other ranks and numbers of channels.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.utils.array_to_img(np.zeros((2, 4, 3))).size
        (4, 2)
    """
    Image = _pillow()
    first = standardize_data_format(data_format) == "channels_first"
    pixels = np.asarray(x, dtype=standardize_dtype(dtype))
    if pixels.ndim != 3:
        raise ValueError(f"`array_to_img` takes one image of rank 3, but got an array of shape {pixels.shape}.")
    pixels = pixels.transpose(1, 2, 0) if first else pixels
    if pixels.shape[-1] not in _CHANNELS:
        raise ValueError(f"`array_to_img` takes images of 1, 3 or 4 channels, but got {pixels.shape[-1]}.")
    if scale:
        pixels = pixels - pixels.min()
        highest = pixels.max()
        pixels = pixels / highest * 255 if highest else pixels
    if pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
        if pixels.max() > 255:
            return Image.fromarray(pixels.astype("int32"))
    return Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """One of Pillow's images, or an array of rank 2 or 3, as an array (H, W, C) of `dtype`, `floatx()` by default.

    Raises ValueError for other ranks.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.utils.img_to_array(np.ones((2, 4))).shape
        (2, 4, 1)
    """
    first = standardize_data_format(data_format) == "channels_first"
    pixels = np.asarray(img, dtype=standardize_dtype(dtype))
    if pixels.ndim == 3:
        return pixels.transpose(2, 0, 1) if first else pixels
    if pixels.ndim == 2:
        return pixels[np.newaxis] if first else pixels[..., np.newaxis]
    raise ValueError(f"`img_to_array` takes one image of rank 2 or 3, but got the shape {pixels.shape}.")


def save_img(
    path: Any,
    x: Any,
    data_format: str | None = None,
    file_format: str | None = None,
    scale: bool = True,
    **kwargs: Any,
) -> None:
    """Write an array (H, W, C) to a picture file, whose format is `file_format` or follows from the name.

    `scale` is that of `array_to_img`; other arguments go to Pillow. JPEG has no transparency: it is dropped, with a
    warning.

    Example:
        >>> import io
        >>> import numpy as np
        >>> import nyala
        >>> nyala.utils.save_img(io.BytesIO(), np.zeros((2, 4, 3)), file_format="png")
    """
    image = array_to_img(x, data_format, scale)
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else ""
    kind = (file_format or Path(str(name)).suffix[1:]).lower()
    if image.mode == "RGBA" and kind in ("jpg", "jpeg"):
        warnings.warn("JPEG has no transparency, so the fourth channel is dropped.", stacklevel=2)
        image = image.convert("RGB")
    image.save(path, format="jpeg" if kind == "jpg" and file_format else file_format, **kwargs)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Read a picture file, by its name or as `io.BytesIO`, as one of Pillow's images.

    `color_mode` is grayscale, rgb or rgba; `target_size` is (height, width); `interpolation` nearest, bilinear,
    bicubic, hamming, box or lanczos. `keep_aspect_ratio` cuts the picture around its center instead of distorting it.
    Raises ValueError for other words, TypeError for other paths.

    Example:
        >>> import io
        >>> import numpy as np
        >>> import nyala
        >>> nyala.utils.save_img(file := io.BytesIO(), np.zeros((2, 4, 3)), file_format="png")
        >>> nyala.utils.load_img(file, target_size=(3, 6)).size
        (6, 3)
    """
    if color_mode not in _MODES:
        raise ValueError(f"`load_img` takes color_mode as one of {', '.join(_MODES)}, but got {color_mode!r}.")
    if interpolation not in _RESAMPLING:
        raise ValueError(
            f"`load_img` takes interpolation as one of {', '.join(_RESAMPLING)}, but got {interpolation!r}."
        )
    if not isinstance(path, (str, os.PathLike, io.BytesIO)):
        raise TypeError(f"`load_img` reads a path or io.BytesIO, but got {type(path).__name__}.")
    Image = _pillow()
    image = Image.open(path if isinstance(path, io.BytesIO) else io.BytesIO(Path(path).read_bytes()))
    # Gray of 16 and 32 bits stays as it is.
    gray = color_mode == "grayscale" and image.mode in ("L", "I;16", "I")
    if not gray and image.mode != _MODES[color_mode]:
        image = image.convert(_MODES[color_mode])
    if target_size is None or image.size == (target_size[1], target_size[0]):
        return image
    height, width = target_size
    box = _box(image.size, height, width) if keep_aspect_ratio else None
    return image.resize((width, height), getattr(Image.Resampling, interpolation.upper()), box)


def _box(size: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """The largest box of the ratio of height to width in the middle of an image: left, top, right, bottom."""
    columns, rows = size
    cut_columns, cut_rows = min(columns, rows * width // height), min(rows, columns * height // width)
    left, top = (columns - cut_columns) // 2, (rows - cut_rows) // 2
    return left, top, left + cut_columns, top + cut_rows
