"""Ctrl-C while a model trains: it stops between two chunks of steps, where everything is whole."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SOURCES = ("nyala.training.feeds", "nyala.training.streams")  # modules that wait for data


class _State:
    pressed = False


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Inside, Ctrl-C waits for `check`; pressed again, or while a source in Python is asked for data, it does not wait.

    Where another thread than the main one trains, or somebody handles the signal already, nothing is changed.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed, _State.pressed = _State.pressed, False
    if pressed:
        raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt where Ctrl-C was pressed since the last look."""
    if _State.pressed and threading.current_thread() is threading.main_thread():
        _State.pressed = False
        raise KeyboardInterrupt


def _heard(number: int, frame: FrameType | None) -> None:
    if _State.pressed or _waits_for_data(frame):
        _State.pressed = False
        raise KeyboardInterrupt
    _State.pressed = True


def _waits_for_data(frame: Any) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in SOURCES:
            return True
        frame = frame.f_back
    return False
