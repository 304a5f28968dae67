"""HDF5 files read with care: plain groups and plain arrays are touched, never links, other files, objects or code.

What reads weights sees a file as places that hold arrays (`Source`), whatever its format; an array is described first
(`Entry`: shape and dtype) and read when somebody has said that it fits. No TensorFlow here.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nyala.saving import checksums
from nyala.saving.heaps import refuse_endless_lists
from nyala.saving.memory import read_bytes, read_parts

MAX_OBJECTS = 30_000  # groups and arrays in a file besides those a model knows
MAX_TEXT = 64 << 20  # bytes of one attribute
MAX_NAMES = 100_000  # texts in one attribute
MAX_RATIO = 1000  # what an array may claim of what the file holds, where nobody knows its shape
OPTIMIZER_COPIES = 3  # of the weights, which an optimizer makes that was saved before its first step
_FILTERS = {1, 2, 3}  # deflate, shuffle, checksum: what HDF5 itself brings
_VIRTUAL = 3  # what HDF5 calls the layout of an array that is made of others
_KINDS = "biuf"  # of NumPy's dtypes: whole numbers, booleans, floats
SMALL_TYPES = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1, "uint4": 1}  # what NumPy has as bytes


@dataclass(frozen=True)
class Entry:
    """An array in a file, checked but not read."""

    place: str
    shape: tuple[int, ...]
    dtype: str
    stored: int  # bytes in the file
    read: Callable[[], np.ndarray]
    parts: Callable[[int], Iterator[np.ndarray]] | None = None  # its bytes, so many at a time, where it can be had so


class Source(Protocol):
    """A file of weights: places, each with arrays by name."""

    where: str
    verified: bool  # whether the file has checksums, which have been compared

    def group(self, path: str) -> Mapping[str, Entry] | None:
        """The arrays at a place; None where there is no such place."""
        ...

    def places(self, known: Callable[[str], bool]) -> Iterator[str]:
        """Every array of the file as `place/name`, but for those in places that are `known`."""
        ...

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every array of the file behind its place."""
        ...


class Group(Mapping[str, Entry]):
    """The arrays in an HDF5 group."""

    def __init__(self, reader: Reader, group: Any) -> None:
        self._reader, self._group = reader, group

    def __getitem__(self, key: str) -> Entry:
        data = self._reader.entry(self._group, key)
        if data is None:
            raise KeyError(key)
        return data

    def __contains__(self, key: object) -> bool:
        with self._reader.sound(self._group):
            return isinstance(key, str) and bool(self._group.id.links.exists(key.encode()))

    def __iter__(self) -> Iterator[str]:
        with self._reader.sound(self._group):
            names = list(self._group)
        return iter(names)

    def __len__(self) -> int:
        with self._reader.sound(self._group):
            return len(self._group)


class _Sound:
    """A context of `Reader.sound`: a class, for it is entered several times for each array."""

    def __init__(self, where: str, item: Any, more: str) -> None:
        self._where, self._item, self._more = where, item, more

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (OSError, EOFError, KeyError, RuntimeError, TypeError, UnicodeError, MemoryError)):
            place = f"{'' if self._item is None else self._item.name}{self._more}".strip()
            raise ValueError(f"{self._where} is damaged at {place}: {str(error)[:300]}.") from None


class Reader:
    """An HDF5 file as a `Source`."""

    def __init__(self, root: Any, where: str, file: Any, verified: bool) -> None:
        self.root, self.where, self.verified = root, where, verified
        self._file = file  # the same bytes, for arrays that lie in one piece
        self._capacity: int | None = None
        self._types: dict[bytes, tuple[np.dtype, str | None]] = {}  # by how HDF5 writes them: making one takes long

    def sound(self, item: Any, more: str = "") -> _Sound:
        """Inside, what HDF5 says of a file that it cannot read becomes a ValueError that names the place."""
        return _Sound(self.where, item, more)

    def child(self, group: Any, name: str) -> Any:
        """What hangs under `name`; None where there is nothing. In plain calls: a third of the time of `group[name]`."""
        import h5py

        low: Any = h5py
        key, links = name.encode(), group.id.links
        with self.sound(group, f"/{name}"):
            if not links.exists(key):
                return None
            if links.get_info(key).type != low.h5l.TYPE_HARD:
                raise ValueError(
                    f"{self.where}: {group.name}/{name} is a link to another place, which is not followed."
                )
            found = low.h5o.open(group.id, key)
            if isinstance(found, low.h5g.GroupID):
                return h5py.Group(found)
            return h5py.Dataset(found) if isinstance(found, low.h5d.DatasetID) else h5py.Datatype(found)

    def find(self, path: str) -> Any:
        """The HDF5 group at `path`; None where there is none."""
        import h5py

        found = self.root
        for name in path.split("/") if path else ():
            found = self.child(found, name)
            if found is None:
                return None
            if not isinstance(found, h5py.Group):
                raise ValueError(f"{self.where}: {path} should be a group, but it is a {type(found).__name__}.")
        return found

    def group(self, path: str) -> Group | None:
        """The arrays at a place."""
        found = self.find(path)
        return None if found is None else Group(self, found)

    def entry(self, group: Any, name: str) -> Entry | None:
        """The array `name` of a group; None where there is none."""
        import h5py

        data, place = self.child(group, name), f"{group.name}/{name}"
        if data is None:
            return None
        if not isinstance(data, h5py.Dataset):
            raise ValueError(f"{self.where}: {place} should be an array, but it is a {type(data).__name__}.")
        with self.sound(None, place):
            return self._entry(data.id, place)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every array of the file, behind its place."""
        for place, data in self._walk(lambda path: False):
            with self.sound(None, place):
                entry = self._entry(data, f"/{place}")
            yield place, entry

    def _entry(self, data: Any, place: str) -> Entry:
        """An array, by its id: an `h5py.Dataset` of it takes as long as all that is looked at here."""
        dtype, name, shape = *self._checked(data, place), data.shape
        if shape is None:
            raise ValueError(f"{self.where}: {place} holds nothing, but weights are numbers.")
        stored = data.get_storage_size()
        span = self._place_of(data, dtype) if stored >= _DIRECT else None
        parts = None if span is None else lambda step: read_parts(self._file, *span, step)
        return Entry(place, shape, name, stored, lambda: self._array(data, place, name, span), parts)

    def _checked(self, data: Any, place: str) -> tuple[np.dtype, str]:
        """An array's dtype as HDF5 and as we call it, once nothing about it is strange."""
        if data.get_offset() is None:  # else it lies in this file in one piece, as it is
            creation = data.get_create_plist()
            if creation.get_layout() == _VIRTUAL or creation.get_external_count():
                raise ValueError(f"{self.where}: {place} keeps its values in other files, which are not opened.")
            filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
            if not filters <= _FILTERS:
                raise ValueError(f"{self.where}: {place} is packed with an unknown filter.")
        kind = data.get_type()
        written = kind.encode()
        if written not in self._types:
            self._types[written] = kind.dtype, _numeric(kind.dtype)
        dtype, name = self._types[written]
        name = name or self._small_type(data, dtype)
        if name is None:
            raise ValueError(f"{self.where}: {place} holds {dtype}, but weights are numbers.")
        return dtype, name

    def _small_type(self, data: Any, dtype: np.dtype) -> str | None:
        """The small float that NumPy knows as so many bytes."""
        import h5py

        if dtype.kind != "V" or dtype.names or dtype.subdtype:
            return None
        name = self.text(h5py.Dataset(data), "dtype")
        return name if name is not None and SMALL_TYPES.get(name) == dtype.itemsize else None

    def _array(self, data: Any, place: str, dtype: str, span: tuple[int, int] | None) -> np.ndarray:
        import h5py

        with self.sound(None, place):
            whole = h5py.Dataset(data)
            if span is None:
                values = np.asarray(whole[()])
            else:
                values = read_bytes(self._file, *span).view(whole.dtype).reshape(whole.shape)
        return values.view(np.dtype(dtype)) if values.dtype.kind == "V" else values

    def _place_of(self, data: Any, dtype: np.dtype) -> tuple[int, int] | None:
        """Where a large array lies and how long it is, if it does so as it would in memory."""
        from h5py import h5t  # pyright: ignore[reportAttributeAccessIssue]

        start, size, kind = data.get_offset(), data.get_storage_size(), data.get_type()
        count = math.prod(data.shape or ())
        if self._file is None or start is None or size != count * dtype.itemsize or dtype.kind == "b":
            return None
        as_is = dtype.kind == "V" or (dtype.isnative and kind.equal(h5t.py_create(dtype)))
        return (start, size) if as_is and kind.get_size() == dtype.itemsize else None

    # ---- Attributes ----

    def text(self, item: Any, name: str) -> str | None:
        """An attribute that is one text; None where there is none, or another kind of thing."""
        found = self._attribute(item, name)
        if isinstance(found, bytes):
            found = found.decode("utf-8", "replace")
        return found if isinstance(found, str) else None

    def texts(self, item: Any, name: str) -> list[str] | None:
        """An attribute that lists texts; long ones were written in parts, as `name0`, `name1`, …"""
        parts = [self._attribute(item, name)]
        if parts[0] is None:
            parts = []
            while (part := self._attribute(item, f"{name}{len(parts)}")) is not None:
                parts.append(part)
            if not parts:
                return None
        values = [value for part in parts for value in np.asarray(part).reshape(-1).tolist()]
        values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
        if not all(isinstance(value, str) for value in values):
            raise ValueError(f"{self.where}: the attribute {name!r} of {item.name} should list names.")
        return values

    def _attribute(self, item: Any, name: str) -> Any:
        with self.sound(item, f", attribute {name!r}"):
            if name not in item.attrs:
                return None
            described = item.attrs.get_id(name)
            count = int(np.prod(described.shape, dtype=object)) if described.shape else 1
            kind = described.dtype
            if not count:
                return np.zeros(0, "S1")
            if kind.kind != "S" and not (kind.kind == "O" and _is_text(kind)):
                return None
            size = described.get_storage_size() if kind.kind == "S" else count * self._loose_bytes(count)
            if count > MAX_NAMES or size > MAX_TEXT * (1 if kind.kind == "S" else 16):
                raise ValueError(f"{self.where}: the attribute {name!r} of {item.name} is too large.")
            return item.attrs[name]

    def _loose_bytes(self, count: int) -> int:
        """How many bytes one text of an attribute may be: what the file holds outside of its arrays.

        Texts of any length lie in a heap, and several may be one; only the heap's size bounds what reading them takes.
        """
        if count <= 1:
            return int(self.root.id.get_filesize())
        if not hasattr(self, "_loose"):
            arrays = sum(data.get_storage_size() for _, data in self._walk(lambda place: False))
            self._loose = int(self.root.id.get_filesize()) - arrays
        return max(self._loose, 1)

    # ---- Everything ----

    def capacity(self) -> int:
        """How many bytes the variables of a model can take that this file fills: its arrays, and as optimizers need."""
        if self._capacity is not None:
            return self._capacity
        held = 0
        for place, data in self._walk(lambda place: False):
            with self.sound(None, place):
                size = math.prod(data.shape or ()) * data.get_type().get_size()
                held += min(size, MAX_RATIO * data.get_storage_size())
        self._capacity = capacity = held * (1 + OPTIMIZER_COPIES)
        return capacity

    def places(self, known: Callable[[str], bool]) -> Iterator[str]:
        """Every array, but for those in groups that are `known`."""
        return (place for place, _ in self._walk(known))

    def _walk(self, known: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
        """Every array as its place and its id; in h5py's plainest calls, to be quick."""
        from h5py import h5d, h5g, h5l, h5o  # pyright: ignore[reportAttributeAccessIssue]

        stack: list[tuple[str, Any]] = [("", self.root.id)]
        seen: set[int] = set()
        links: list[tuple[bytes, int]] = []
        count = 0
        while stack:
            path, group = stack.pop()
            if known(path):
                continue
            links.clear()
            with self.sound(None, path):
                count += group.get_num_objs()
                if count > MAX_OBJECTS:  # before they are listed, which takes long for many
                    raise ValueError(f"{self.where} holds more than {MAX_OBJECTS:,} groups and arrays.")
                group.links.iterate(lambda name, link: links.append((name, link.type)), info=True)
            for name, kind in links:
                place = f"{path}/{name.decode('utf-8', 'replace')}".lstrip("/")
                with self.sound(None, place):
                    if kind != h5l.TYPE_HARD:
                        raise ValueError(f"{self.where}: {place} is a link to another place, which is not followed.")
                    found = h5o.open(group, name)
                    if isinstance(found, h5g.GroupID) and (address := h5o.get_info(found).addr) not in seen:
                        seen.add(address)
                        stack.append((place, found))
                if isinstance(found, h5d.DatasetID):
                    yield place, found


def _numeric(dtype: np.dtype) -> str | None:
    """The name of a dtype of plain numbers or booleans, which HDF5 writes as an enumeration as others are."""
    import h5py

    if dtype.kind not in _KINDS or (h5py.check_enum_dtype(dtype) is not None and dtype.kind != "b"):
        return None
    return dtype.name


def _is_text(dtype: Any) -> bool:
    import h5py

    return h5py.check_string_dtype(dtype) is not None


_SMALL = 16 << 20  # bytes: smaller files inside of archives are read whole, for HDF5 reads in very small pieces
_DIRECT = 1 << 16  # bytes: larger arrays are read past HDF5, straight to where they stay


@contextmanager
def open_hdf5(file: Any, where: str) -> Iterator[Reader]:
    """The HDF5 file in an open file, its checksums compared where it has some; a ValueError where there is none."""
    import h5py
    from h5py import h5f  # pyright: ignore[reportAttributeAccessIssue]

    verified = True  # a member of an archive
    try:
        if isinstance(getattr(file, "name", None), (str, Path)):
            file.seek(0)
            if file.read(2) == b"PK":  # HDF5 would find the weights in it
                raise ValueError("it is an archive, as `.keras` files are")
            verified = checksums.verify(file, where)
            refuse_endless_lists(file)
            root = h5py.File(file.name, "r", locking=False)  # itself, rather than through Python
        elif file.seek(0, 2) <= _SMALL:
            refuse_endless_lists(file)
            file.seek(0)
            root = h5py.File(h5f.open_file_image(file.read()))
        else:
            refuse_endless_lists(file)
            root = h5py.File(io.BufferedReader(file.twin()) if hasattr(file, "twin") else file, "r")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        text = str(error)
        raise ValueError(
            text if text.startswith(where) else f"{where} is no HDF5 file, or it is cut short: {text}."
        ) from None
    with root:
        yield Reader(root, where, file, verified)


class Store(Mapping[str, Any]):
    """What a `load_own_variables` of somebody's own reads from: arrays, each checked before it is read."""

    def __init__(self, group: Mapping[str, Entry], where: str) -> None:
        self._group, self._where = group, where

    def __getitem__(self, key: str) -> Any:
        entry = self._group[key]
        size = int(np.prod(entry.shape, dtype=object)) * (
            SMALL_TYPES.get(entry.dtype) or np.dtype(entry.dtype).itemsize
        )
        if size > 1 << 20 and size > MAX_RATIO * max(entry.stored, 1):
            raise ValueError(f"{self._where}: {entry.place} claims {size:,} bytes that the file does not hold.")
        return entry.read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)
