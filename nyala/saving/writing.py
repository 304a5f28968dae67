"""HDF5 files written: arrays one after the other, straight from where they lie, and a table of checksums behind them."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from nyala.saving import checksums

_OPAQUE = ("float8", "bfloat16", "int4", "uint4")  # what HDF5 has no type for: so many bytes, and an attribute


class HDF5Writer:
    """An HDF5 file that is being written."""

    def __init__(self, root: Any) -> None:
        from h5py import h5p  # pyright: ignore[reportAttributeAccessIssue]

        self.root = root
        self.spans: list[checksums.Span] = []
        self._types: dict[np.dtype, Any] = {}
        self._creation = h5p.create(h5p.DATASET_CREATE)
        self._creation.set_obj_track_times(False)  # equal models give equal files

    def group(self, path: str, name: str | None = None) -> Arrays:
        """A new group for arrays; `name` is noted in it."""
        group = self.root.create_group(path)
        if name is not None:
            group.attrs["name"] = name
        return Arrays(self, group)

    def put(self, group: Any, key: str, value: Any) -> None:
        """Write an array under a key of a group, with groups in between where the key has `/`."""
        array = np.asarray(value)
        above, _, key = key.rpartition("/")
        group = group.require_group(above) if above else group
        place = f"{group.name}/{key}".lstrip("/")
        if array.dtype.kind == "V" or array.dtype.name.startswith(_OPAQUE):
            data = group.create_dataset(key, data=array.view(f"V{array.dtype.itemsize}"))
            data.attrs["dtype"] = array.dtype.name
            data = data.id
        elif array.dtype.kind in "biuf":
            data = self._write(group.id, key, array)
        else:
            data = group.create_dataset(key, data=array).id  # texts of somebody's own
        start = data.get_offset()
        if start is not None:
            self.spans.append((place, start, data.get_storage_size()))

    def _write(self, group: Any, key: str, array: np.ndarray) -> Any:
        """`create_dataset` in plainer calls, which take a third of its time."""
        from h5py import h5d, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]

        if array.dtype not in self._types:
            self._types[array.dtype] = h5t.py_create(array.dtype, logical=True)
        space = h5s.create_simple(array.shape) if array.ndim else h5s.create(h5s.SCALAR)
        data = h5d.create(group, key.encode(), self._types[array.dtype], space, self._creation)
        if array.size:
            data.write(h5s.ALL, h5s.ALL, array if array.flags.c_contiguous else array.copy("C"))
        return data


class Arrays(UserDict[str, Any]):
    """What `save_own_variables` fills: each array goes to the file at once."""

    def __init__(self, file: HDF5Writer, group: Any) -> None:
        super().__init__()
        self._file, self.group = file, group

    def __setitem__(self, key: str, value: Any) -> None:
        self._file.put(self.group, key, value)
        super().__setitem__(key, None)


@contextmanager
def write_hdf5(file: IO[bytes]) -> Iterator[HDF5Writer]:
    """An HDF5 file in an open and empty one, with its checksums behind it."""
    with _hdf5(file, 0) as writer:
        yield writer
    checksums.seal(file, writer.spans)


@contextmanager
def write_hdf5_behind(file: IO[bytes], start: int) -> Iterator[HDF5Writer]:
    """An HDF5 file that begins at `start`, a power of two from 512 on; what is before it stays free."""
    with _hdf5(file, start) as writer:
        yield writer


@contextmanager
def _hdf5(file: IO[bytes], start: int) -> Iterator[HDF5Writer]:
    import h5py

    patient = _Patient(file)
    try:
        with h5py.File(patient, "w", userblock_size=start) as root:
            yield HDF5Writer(root)
    finally:
        if patient.error is not None:
            raise patient.error


class _Patient:
    """A file that keeps its first error for the end: HDF5 cannot let go of a file that it cannot write to."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None
        self.seek, self.tell, self.read, self.readinto = file.seek, file.tell, file.read, file.readinto  # pyright: ignore[reportAttributeAccessIssue]

    def write(self, data: Any) -> int:
        return self._unless_failed(lambda: self._file.write(data), memoryview(data).nbytes)

    def truncate(self, size: int | None = None) -> int:
        return self._unless_failed(lambda: self._file.truncate(size), size or 0)

    def flush(self) -> None:
        self._unless_failed(lambda: self._file.flush() or 0, 0)

    def _unless_failed(self, work: Callable[[], int], otherwise: int) -> int:
        if self.error is None:
            try:
                return work()
            except OSError as error:
                self.error = error
        return otherwise
