"""Pictures as arrays and back, against the oracle."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nyala import utils
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

RGB = np.random.default_rng(0).uniform(0, 255, (5, 7, 3)).astype("float32")


def pixels(image: Any) -> tuple[str, Any]:
    return image.mode, np.asarray(image).tolist()


def test_arrays_become_the_same_images() -> None:
    cases: list[tuple[Any, dict[str, Any]]] = [(RGB[..., :count], {}) for count in (1, 3)]
    cases += [(RGB, {"scale": False}), (RGB, {"scale": False, "dtype": "int32"}), (tf.constant(RGB), {})]
    cases += [
        (RGB.transpose(2, 0, 1), {"data_format": "channels_first"}),
        (np.concatenate([RGB, RGB[..., :1]], -1), {}),
    ]
    cases += [(RGB[..., :1] * 100, {"scale": False}), (np.full((2, 2, 3), 7.0), {}), (np.zeros((2, 2, 1)), {})]
    for x, options in cases:
        ours, theirs = utils.array_to_img(x, **options), keras.utils.array_to_img(x, **options)
        assert pixels(ours) == pixels(theirs), options


def test_values_beyond_the_range_are_cut_and_integers_scaled() -> None:
    """The reference wraps around, and cannot scale integers."""
    x = np.array([-10.0, 0.0, 255.0, 300.0] * 3).reshape(2, 2, 3)
    assert pixels(utils.array_to_img(x, scale=False)) == pixels(utils.array_to_img(np.clip(x, 0, 255), scale=False))
    whole = RGB.astype("uint8")
    assert pixels(utils.array_to_img(whole, dtype="uint8"))[1] == pixels(utils.array_to_img(whole))[1]


def test_images_become_the_same_arrays() -> None:
    image = utils.array_to_img(RGB, scale=False)
    for mode in ("RGB", "L", "RGBA", "1", "I"):
        for options in ({}, {"data_format": "channels_first", "dtype": "uint8"}):
            actual, expected = (u.img_to_array(image.convert(mode), **options) for u in (utils, keras.utils))
            assert actual.dtype == expected.dtype
            assert_close(actual, expected)
    assert utils.img_to_array(RGB[..., 0]).shape == (5, 7, 1)
    assert utils.img_to_array(RGB[..., 0], "channels_first").shape == (1, 5, 7)


def test_files_are_read_as_the_reference_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    utils.save_img(path, RGB, scale=False)
    assert_close(keras.utils.img_to_array(keras.utils.load_img(path)), np.trunc(RGB))
    cases: list[dict[str, Any]] = [{"color_mode": mode} for mode in ("grayscale", "rgb", "rgba")]
    cases += [{"target_size": size, "keep_aspect_ratio": keep} for size in ((9, 3), (3, 9)) for keep in (False, True)]
    methods = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")
    cases += [{"target_size": (4, 4), "interpolation": method, "keep_aspect_ratio": True} for method in methods]
    cases += [{"target_size": (5, 7)}]
    for options in cases:
        assert pixels(utils.load_img(path, **options)) == pixels(keras.utils.load_img(path, **options)), options
    assert pixels(utils.load_img(io.BytesIO(path.read_bytes()))) == pixels(utils.load_img(str(path)))


def test_gray_of_16_bits_stays(tmp_path: Path) -> None:
    values = np.arange(4, dtype="float32").reshape(2, 2, 1) * 1000
    utils.array_to_img(values, scale=False).convert("I;16").save(tmp_path / "x.png")
    assert_close(utils.img_to_array(utils.load_img(tmp_path / "x.png", color_mode="grayscale")), values)


def test_formats_of_files(tmp_path: Path) -> None:
    rgba = np.concatenate([RGB, RGB[..., :1]], -1)
    for name, file_format in (("x.jpg", None), ("x.jpeg", None), ("x", "jpg"), ("y", "jpeg")):
        with pytest.warns(UserWarning, match="no transparency"):
            utils.save_img(tmp_path / name, rgba, file_format=file_format, quality=90)
        assert utils.load_img(tmp_path / name).format == "JPEG"
    utils.save_img(buffer := io.BytesIO(), rgba, file_format="png")
    assert utils.load_img(buffer, color_mode="rgba").mode == "RGBA"


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        utils.array_to_img(RGB)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: utils.array_to_img(RGB[0]), ValueError, "one image of rank 3"),
        (lambda: utils.array_to_img(RGB[..., :2]), ValueError, "1, 3 or 4 channels, but got 2"),
        (lambda: utils.img_to_array(RGB[None]), ValueError, "rank 2 or 3"),
        (lambda: utils.img_to_array(RGB, "last"), ValueError, "data_format"),
        (lambda: utils.load_img("x.png", color_mode="cmyk"), ValueError, "grayscale, rgb, rgba, but got 'cmyk'"),
        (lambda: utils.load_img("x.png", interpolation="cubic"), ValueError, "but got 'cubic'"),
        (lambda: utils.load_img(3), TypeError, "a path or io.BytesIO, but got int"),
        (lambda: utils.load_img("no such file.png"), FileNotFoundError, "no such file"),
    ],
)
def test_mistakes_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
