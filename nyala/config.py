"""Settings that hold for the whole process."""

from __future__ import annotations

import warnings

from nyala.core.policy import dtype_policy, set_dtype_policy
from nyala.core.settings import (
    disable_flash_attention,
    disable_interactive_logging,
    disable_traceback_filtering,
    enable_flash_attention,
    enable_interactive_logging,
    enable_traceback_filtering,
    epsilon,
    floatx,
    image_data_format,
    is_flash_attention_enabled,
    is_interactive_logging_enabled,
    is_traceback_filtering_enabled,
    max_epochs,
    max_steps_per_epoch,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    set_max_epochs,
    set_max_steps_per_epoch,
)


def backend() -> str:
    """The engine: always `"tensorflow"`.

    Example:
        >>> import nyala
        >>> nyala.config.backend()
        'tensorflow'
    """
    return "tensorflow"


def set_backend(backend: str) -> None:
    """Choose the engine, of which there is one; a ValueError for any but `"tensorflow"`."""
    if backend != "tensorflow":
        raise ValueError(f"Nyala runs on TensorFlow only, but got the backend {backend!r}; use Keras for another one.")


def is_nnx_enabled() -> bool:
    """Whether variables are those of Flax NNX: never, since the engine is TensorFlow."""
    return False


def enable_determinism() -> None:
    """Have every operation give the same bits in every run, where some would add up in whatever order threads end.

    With `utils.set_random_seed`, the same program then repeats exactly, on a GPU too. It costs speed, cannot be taken back
    in the process, and operations that have no such way raise `tf.errors.UnimplementedError`.
    """
    from nyala.core.engine import tf

    tf.config.experimental.enable_op_determinism()


def enable_unsafe_deserialization() -> None:
    """Nothing but a warning: a model file is data here, and no switch makes it run code."""
    warnings.warn(
        "A model file runs no code in Nyala, so there is nothing to enable; pass the functions and classes that a file "
        "names in `custom_objects` of `load_model`.",
        stacklevel=2,
    )


__all__ = [
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_determinism",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]
