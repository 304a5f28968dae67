"""The settings that hold for the whole process: floats, the layout of images, logs, tracebacks, limits for trial runs."""

from __future__ import annotations


class _Settings:
    floatx = "float32"
    epsilon = 1e-7
    image_data_format = "channels_last"
    interactive_logging = True
    traceback_filtering = True
    flash_attention: bool | None = None
    max_epochs: int | None = None
    max_steps_per_epoch: int | None = None


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


def enable_interactive_logging() -> None:
    """Have progress printed, as a live bar in a terminal."""
    _Settings.interactive_logging = True


def disable_interactive_logging() -> None:
    """Have progress sent to the logger `"nyala"` of Python's `logging`, at level INFO."""
    _Settings.interactive_logging = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress is printed rather than logged."""
    return _Settings.interactive_logging


def enable_traceback_filtering() -> None:
    """Have tracebacks of errors show the user's own lines only."""
    _Settings.traceback_filtering = True


def disable_traceback_filtering() -> None:
    """Have tracebacks of errors show every line, those of Nyala and TensorFlow too."""
    _Settings.traceback_filtering = False


def is_traceback_filtering_enabled() -> bool:
    """Whether tracebacks leave out the lines of Nyala and TensorFlow."""
    return _Settings.traceback_filtering


def enable_flash_attention() -> None:
    """Ask for flash attention where it exists; TensorFlow has none, so attention is computed as always."""
    _Settings.flash_attention = True


def disable_flash_attention() -> None:
    """Do without flash attention."""
    _Settings.flash_attention = False


def is_flash_attention_enabled() -> bool | None:
    """Whether flash attention was asked for; None where nobody has said."""
    return _Settings.flash_attention


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit every `fit` to so many epochs, for a quick trial of a whole program; None: no limit."""
    _Settings.max_epochs = _limit("max_epochs", max_epochs)


def max_epochs() -> int | None:
    """The limit of `set_max_epochs`."""
    return _Settings.max_epochs


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit every pass over data to so many batches, for a quick trial of a whole program; None: no limit."""
    _Settings.max_steps_per_epoch = _limit("max_steps_per_epoch", max_steps_per_epoch)


def max_steps_per_epoch() -> int | None:
    """The limit of `set_max_steps_per_epoch`."""
    return _Settings.max_steps_per_epoch


def _limit(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} is a positive integer or None, but got {value!r}.")
    return value
