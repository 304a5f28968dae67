"""The few settings that hold for the whole process: the default float, the fuzz factor, the layout of images."""

from __future__ import annotations


class _Settings:
    floatx = "float32"
    epsilon = 1e-7
    image_data_format = "channels_last"


def floatx() -> str:
    """The dtype of a float that does not say which: `"float32"` until `set_floatx` says otherwise.

    Example:
        >>> import nyala
        >>> nyala.config.floatx()
        'float32'
    """
    return _Settings.floatx


def set_floatx(value: str) -> None:
    """Set the dtype of a float that does not say which to `"float16"`, `"bfloat16"`, `"float32"` or `"float64"`."""
    known = ("float16", "bfloat16", "float32", "float64")
    if value not in known:
        raise ValueError(f"floatx must be one of {', '.join(known)}, but got {value!r}.")
    _Settings.floatx = str(value)


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite: 1e-7 until `set_epsilon` says otherwise."""
    return _Settings.epsilon


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite."""
    _Settings.epsilon = float(value)


def image_data_format() -> str:
    """Where images have their channels: `"channels_last"` until `set_image_data_format` says otherwise."""
    return _Settings.image_data_format


def set_image_data_format(data_format: str) -> None:
    """Set where images have their channels: `"channels_last"` or `"channels_first"`."""
    _Settings.image_data_format = standardize_data_format(data_format)


def standardize_data_format(data_format: str | None) -> str:
    """`data_format` checked, or the one set for the process where it is None."""
    if data_format is None:
        return image_data_format()
    name = str(data_format).lower()
    if name not in ("channels_first", "channels_last"):
        raise ValueError(f"data_format is 'channels_last' or 'channels_first', but got {data_format!r}.")
    return name
