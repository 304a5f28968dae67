"""Tracebacks that show a user's own lines, not those of the libraries between a call and its error."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from nyala.core import settings
from nyala.core.engine import tf

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = (_OURS, os.path.dirname(os.path.abspath(tf.__file__)) + os.sep)


F = TypeVar("F", bound=Callable[..., Any])


def shortened(function: F) -> F:
    """`function` whose errors have short tracebacks."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            shorten(error)
            raise

    return call  # pyright: ignore[reportReturnType]


def shorten(error: BaseException) -> None:
    """Take the lines of Nyala and TensorFlow out of an error's traceback, unless `disable_traceback_filtering` said no."""
    if not settings.is_traceback_filtering_enabled():
        return
    kept: list[TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(_LIBRARIES):
            kept.append(entry)
        entry = entry.tb_next
    shortened = None
    for entry in reversed(kept):
        shortened = TracebackType(shortened, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = shortened
