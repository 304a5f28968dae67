"""Settings that hold for the whole process."""

from __future__ import annotations

from nyala.core.policy import dtype_policy, set_dtype_policy
from nyala.core.settings import (
    epsilon,
    floatx,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
)


def backend() -> str:
    """The engine: always `"tensorflow"`.

    Example:
        >>> import nyala
        >>> nyala.config.backend()
        'tensorflow'
    """
    return "tensorflow"


__all__ = [
    "backend",
    "dtype_policy",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]
