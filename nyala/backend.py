"""Names that code for older versions expects in `backend`."""

from __future__ import annotations

from nyala.config import backend
from nyala.core.settings import epsilon, floatx, image_data_format, set_epsilon, set_floatx, set_image_data_format
from nyala.core.tensor import FLOATS, SIGNED, UNSIGNED, result_type, standardize_dtype
from nyala.core.tensor import is_symbolic as is_keras_tensor
from nyala.core.tracking import auto_name, reset_names


def clear_session(free_memory: bool = True) -> None:
    """Start counting layer names anew and, with `free_memory`, collect what nobody refers to any more."""
    import gc

    reset_names()
    if free_memory:
        gc.collect()


def get_uid(prefix: str = "") -> int:
    """How often a name with `prefix` has been given, this time included."""
    name = auto_name(prefix)
    last = name.rpartition("_")[2]
    return int(last) + 1 if last.isdigit() and name != prefix else 1


def is_float_dtype(dtype: str) -> bool:
    """Whether a dtype is a float."""
    return standardize_dtype(dtype) in FLOATS


def is_int_dtype(dtype: str) -> bool:
    """Whether a dtype is an integer."""
    return standardize_dtype(dtype) in (*SIGNED, *UNSIGNED)


__all__ = [
    "backend",
    "clear_session",
    "epsilon",
    "floatx",
    "get_uid",
    "image_data_format",
    "is_float_dtype",
    "is_int_dtype",
    "is_keras_tensor",
    "result_type",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "standardize_dtype",
]
