"""Memory for arrays that are read from files: TensorFlow takes it over as it is where it begins at such a place."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

_ALIGNMENT = 64  # bytes
_LARGE = 1 << 20  # bytes


def zeros(size: int) -> np.ndarray:
    """So many zero bytes; many come straight from the system: they take memory once written to, and go back at once."""
    if size >= _LARGE and hasattr(mmap, "MAP_ANONYMOUS"):
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(pages, np.uint8)
    raw = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]


def is_aligned(array: np.ndarray) -> bool:
    """Whether TensorFlow can use an array's memory as it is."""
    return array.ctypes.data % _ALIGNMENT == 0 and array.flags.c_contiguous and array.flags.writeable


def read_bytes(file: Any, start: int, size: int) -> np.ndarray:
    """A part of a file in memory of its own; an EOFError where the file ends before."""
    found = zeros(size)
    _fill(file, start, found)
    return found


def _fill(file: Any, start: int, array: np.ndarray) -> None:
    view, done = memoryview(array), 0  # pyright: ignore[reportArgumentType] - arrays are buffers
    file.seek(start)
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise EOFError("the file is cut short")
        done += count


def read_parts(file: Any, start: int, size: int, step: int) -> Iterator[np.ndarray]:
    """A part of a file, so many bytes at a time, each in the memory of those before."""
    buffer = zeros(min(size, step))
    while size:
        part = buffer[: min(size, step)]
        _fill(file, start, part)
        yield part
        start, size = start + len(part), size - len(part)


def np_dtype(name: str) -> np.dtype:
    """The dtype of that name, of which NumPy itself does not have all."""
    if name.startswith(("bfloat16", "float8", "int4", "uint4")):
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)
