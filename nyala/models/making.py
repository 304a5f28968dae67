"""The variables of a model that is made from data: counted before they take memory, and blank until a file fills them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from nyala.core import tensor
from nyala.core.config import is_ours
from nyala.core.engine import tf
from nyala.core.variable import Variable, initializers_chosen_by
from nyala.initializers import RandomInitializer, Zeros
from nyala.saving import memory

_LARGE = 1 << 20  # bytes


class Making:
    """What is known of the model that is being made: how much its weights may take, and which of them are blank."""

    def __init__(self, capacity: Callable[[], int], where: str, blank: bool) -> None:
        self._capacity, self._where, self.blank = capacity, where, blank
        self._taken = 0
        self._blanks: list[tuple[Variable, Callable[..., Any], tuple[int, ...]]] = []

    def initializer(self, variable: Variable, initializer: Any, shape: tuple[int, ...], dtype: str) -> Any:
        """What gives a variable its first value: `initializer`, or zeros where the file has the value anyway."""
        size = tensor_bytes(shape, dtype)
        self._taken += size
        if self._taken > self._capacity():
            raise ValueError(
                f"{self._where} asks for more than it can need: with `{variable.path}` of shape {_short(shape)} its "
                f"variables take {self._taken:,} bytes, and {self._capacity():,} are the most for it."
            )
        is_zero = type(initializer) is Zeros
        is_random = isinstance(initializer, RandomInitializer) and is_ours(type(initializer)) and tensor.is_float(dtype)
        if not self.blank or not (is_random or (is_zero and size >= _LARGE)):
            return initializer
        if is_random:
            self._blanks.append((variable, initializer, shape))
        return zeros

    def fill_others(self, filled: list[Variable]) -> set[int]:
        """Give the blank variables their first value but those which a file is about to fill; the ids of these."""
        known = {id(variable) for variable in filled}
        for variable, initializer, shape in self._blanks:
            if id(variable) in known:
                continue
            try:
                variable.assign(initializer(shape, dtype=variable.dtype))
            except (tf.errors.OpError, ArithmeticError) as error:
                raise ValueError(f"{self._where}: `{variable.path}` cannot be given its first value: {error}") from None
        blank = known & {id(variable) for variable, _, _ in self._blanks}
        self._blanks = []
        return blank


class _Current(threading.local):
    making: Making | None = None


_current = _Current()


@contextmanager
def making(capacity: Callable[[], int], where: str, blank: bool = False) -> Iterator[Making]:
    """Inside, new variables may take `capacity()` bytes together, 64 MB for what is in no file aside.

    With `blank`, those that would be random stay zero until `fill_others`.
    """
    before = _current.making
    _current.making = Making(lambda: capacity() + (64 << 20), where, blank)
    try:
        with initializers_chosen_by(_current.making.initializer):
            yield _current.making
    finally:
        _current.making = before


@contextmanager
def made_from_config(where: str) -> Iterator[None]:
    """Inside, new variables may take the memory that is free, unless somebody has said how much."""
    if _current.making is not None:
        yield
        return
    free = free_memory()
    with making(lambda: free, where):
        yield


def fill_others(filled: list[Variable]) -> set[int]:
    """`Making.fill_others` of the model that is being made out of a file; nothing where none is."""
    if _current.making is None or not _current.making.blank:
        return set()
    return _current.making.fill_others(filled)


def free_memory() -> int:
    """The bytes of memory that are free now; where the system does not say, 2^40."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 40


def tensor_bytes(shape: tuple[int | None, ...], dtype: str) -> int:
    """How much memory a tensor takes whose sizes are known."""
    return math.prod(int(size or 0) for size in shape) * max(1, tf.as_dtype(dtype).size)


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) < 9 else f"({', '.join(map(str, shape[:8]))}, …)"


# ---- Memory that TensorFlow takes over ----


def zeros(shape: tuple[int, ...], dtype: str) -> Any:
    """A tensor of zeros; a large one takes no memory until somebody writes to it."""
    size = tensor_bytes(shape, dtype)
    if size < _LARGE:
        return tf.zeros(shape, dtype)
    return taken_over(memory.zeros(size), shape, dtype)


def taken_over(raw: np.ndarray, shape: tuple[int, ...], dtype: str) -> Any:
    """Bytes that begin where they should as a tensor, not copied; nobody else may have the array."""
    values = tf.experimental.dlpack.from_dlpack(raw.__dlpack__())
    width = tf.as_dtype(dtype).size
    return tf.reshape(tf.bitcast(tf.reshape(values, (-1, width) if width > 1 else -1), dtype), shape)


# ---- Configs whose parts are missing or of another kind ----


def required(data: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """The part of a config; a ValueError that says what is missing or wrong."""
    value = data.get(key, _MISSING) if isinstance(data, Mapping) else _MISSING
    if value is _MISSING:
        raise ValueError(f"{where} has no {key!r}.")
    if not isinstance(value, kind):
        kinds = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise ValueError(f"{where} has a {type(value).__name__} as {key!r}, where a {kinds} is expected.")
    return value


_MISSING = object()
