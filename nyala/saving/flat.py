"""Weights by name, one after the other: NumPy's `.npz` and `.safetensors`.

A name is the place in a `.weights.h5` file, `layers/dense/vars/0`. Arrays are written one by one, and read one by one
when it is known that each fits.
"""

from __future__ import annotations

import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from nyala.saving import archive
from nyala.saving.checksums import crc_of
from nyala.saving.hdf5 import MAX_OBJECTS, Entry
from nyala.saving.memory import np_dtype, read_bytes, read_parts

_MAX_HEADER = 10_000  # bytes before the values of an array in an `.npz` file


class Flat:
    """Arrays by name as a `Source`."""

    def __init__(self, entries: Mapping[str, Entry], where: str, verified: bool) -> None:
        self.where, self.verified = where, verified
        self._groups: dict[str, dict[str, Entry]] = {}
        for name, entry in entries.items():
            place, _, key = name.rpartition("/")
            self._groups.setdefault(place, {})[key] = entry

    def group(self, path: str) -> Mapping[str, Entry] | None:
        """The arrays at a place."""
        return self._groups.get(path)

    def places(self, known: Callable[[str], bool]) -> Iterator[str]:
        """Every array, but for those in places that are `known`."""
        for place, group in self._groups.items():
            if not known(place):
                yield from (f"{place}/{key}" for key in group)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every array behind its place."""
        for place, group in self._groups.items():
            yield from ((f"{place}/{key}", entry) for key, entry in group.items())


def _named_arrays(model: Any) -> Iterator[tuple[str, np.ndarray]]:
    from nyala.saving.weights import own_arrays  # reading, which needs no TensorFlow, does without

    for place, _, arrays in own_arrays(model):
        for key, array in arrays.items():
            yield f"{place}/{key}", array


# ---- .npz ----


def write_npz(model: Any, path: Path) -> None:
    """Write the weights so that `numpy.load` reads them."""
    with archive.atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as npz:
        for name, array in _named_arrays(model):
            if array.dtype.kind not in "biuf":
                raise ValueError(
                    f"{name} is {array.dtype.name}, which `.npz` files do not know; save to `.weights.h5` or "
                    "`.safetensors`."
                )
            with npz.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        npz.comment = _crc_of_names(npz)


_OF_NAMES = b"crc32 of names "  # begins the archive's comment; each member has a checksum of its own, as zip has it


def _crc_of_names(npz: zipfile.ZipFile) -> bytes:
    return _OF_NAMES + f"{zlib.crc32(json.dumps(npz.namelist()).encode()):08x}".encode()


@contextmanager
def open_npz(path: Path) -> Iterator[Flat]:
    """The weights in an `.npz` file: plain numbers only, nothing pickled."""
    with archive.open_file(path) as file:
        try:
            npz = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise ValueError(f"{path} is no `.npz` file, or it is cut short: {error}.") from None
        infos = npz.infolist()
        if len(infos) > MAX_OBJECTS or len({info.filename for info in infos}) < len(infos):
            raise ValueError(f"{path} holds {len(infos):,} arrays, some under one name or too many.")
        if npz.comment.startswith(_OF_NAMES) and npz.comment != _crc_of_names(npz):
            raise ValueError(f"{path} is damaged: the checksum of the names of its arrays differs.")
        yield Flat({i.filename.removesuffix(".npy"): _npy_entry(npz, i, path) for i in infos}, str(path), True)


def _npy_entry(npz: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Entry:
    """An array of the archive: its header is read, its values are not."""
    place = f"{path}, member {info.filename[:200]!r}"
    with _sound(place), npz.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(
            version
        )
        if read_header is None:
            raise ValueError(f"its format {version} is unknown")
        shape, column_order, dtype = read_header(member, max_header_size=_MAX_HEADER)
        start = member.tell()
        if dtype.kind not in "biuf" or dtype.hasobject:
            raise ValueError(f"it holds {dtype}, but weights are numbers")
        if math.prod(shape) * dtype.itemsize != info.file_size - start or any(size < 0 for size in shape):
            raise ValueError(f"its header says {shape} of {dtype}, which is not what the file holds")
        while member.read(1 << 20):
            pass  # to the end, where the checksum is verified

    def read() -> np.ndarray:
        with _sound(place), npz.open(info) as member:
            values = read_bytes(member, start, info.file_size - start).view(dtype)
        return values.reshape(shape, order="F" if column_order else "C")

    def parts(step: int) -> Iterator[np.ndarray]:
        with _sound(place), npz.open(info) as member:
            member.seek(start)
            for done in range(0, info.file_size - start, step):
                yield np.frombuffer(member.read(min(step, info.file_size - start - done)), np.uint8)

    is_plain = dtype.isnative and not column_order
    return Entry(info.filename, shape, dtype.name, info.compress_size, read, parts if is_plain else None)


_OF_ARCHIVES = (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
_OF_HEADERS = (
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    KeyError,
    MemoryError,
)  # what NumPy says of one that is none


@contextmanager
def _sound(place: str) -> Iterator[None]:
    try:
        yield
    except (*_OF_ARCHIVES, *_OF_HEADERS) as error:
        raise ValueError(f"{place} is damaged or no array of numbers: {str(error)[:300]}.") from None


# ---- .safetensors: the length of a header in 8 bytes, the header as JSON, the values ----

_TYPES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
}  # fmt: skip
_TYPE_OF = {name: code for code, name in _TYPES.items()}


def write_safetensors(model: Any, path: Path) -> None:
    """Write the weights as the `safetensors` package does; the values are gone through twice, to keep none in memory."""
    about: dict[str, str] = {"format": "keras"}
    header: dict[str, Any] = {"__metadata__": about}
    end = 0
    for name, array in _named_arrays(model):
        if array.dtype.name not in _TYPE_OF:
            raise ValueError(f"{name} is {array.dtype.name}, which `.safetensors` files do not know.")
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _TYPE_OF[array.dtype.name], "shape": list(array.shape), "data_offsets": [start, end]}
        about[_CHECKSUM + name] = f"{zlib.crc32(_bytes(array)):08x}"
    about[_OF_HEADER] = _crc_of_header(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with archive.atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in _named_arrays(model):
            file.write(_bytes(array))


_CHECKSUM = "crc32 "  # begins the key in the header's metadata that has the checksum of an array
_OF_HEADER = _CHECKSUM + "of header"


def _crc_of_header(header: Mapping[str, Any]) -> str:
    """The checksum of what a header says, however it is laid out as text."""
    about = {key: value for key, value in header["__metadata__"].items() if key != _OF_HEADER}
    return f"{zlib.crc32(json.dumps({**header, '__metadata__': about}, sort_keys=True).encode()):08x}"


def _bytes(array: np.ndarray) -> Any:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


@contextmanager
def open_safetensors(path: Path) -> Iterator[Flat]:
    """The weights in a `.safetensors` file; each value belongs to one array, and none lies outside of the file."""
    with archive.open_file(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, archive.MAX_JSON):
            raise ValueError(f"{path} is no `.safetensors` file, or it is cut short.")
        header = archive.read_json(file.read(length), f"{path}, header")
        about = header.get("__metadata__")
        about = about if isinstance(about, dict) else {}
        if any(key.startswith(_CHECKSUM) for key in about) and about.get(_OF_HEADER) != _crc_of_header(header):
            raise ValueError(f"{path} is damaged: the checksum of its header differs.")
        header.pop("__metadata__", None)
        if len(header) > MAX_OBJECTS:
            raise ValueError(f"{path} lists {len(header):,} arrays; at most {MAX_OBJECTS:,} are looked at.")
        entries = {name: _tensor(file, 8 + length, name, data, path) for name, data in header.items()}
        spans = sorted(tuple(data["data_offsets"]) for data in header.values())
        ends = [0, *(end for _, end in spans)]
        if [start for start, _ in spans] != ends[:-1] or ends[-1] != size - 8 - length:
            raise ValueError(f"{path} is cut short, or its arrays overlap.")
        _compare_checksums(file, 8 + length, header, about, path)
        yield Flat(entries, str(path), all(_CHECKSUM + name in about for name in header))


def _compare_checksums(file: IO[bytes], base: int, header: Any, about: Mapping[str, Any], path: Path) -> None:
    """A ValueError that names the arrays whose checksum is not the one in the header, where it has one."""
    damaged = []
    for name, data in header.items():
        expected = about.get(_CHECKSUM + name)
        start, end = data["data_offsets"]
        if expected is not None and f"{crc_of(file, base + start, end - start):08x}" != expected:
            damaged.append(name[:200])
    if damaged:
        more = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ValueError(f"{path} is damaged: the checksum differs for {', '.join(damaged[:10])}{more}.")


def _sizes(value: Any) -> list[int] | None:
    """A list of whole numbers; None for anything else."""
    if isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value):
        return value
    return None


def _tensor(file: IO[bytes], base: int, name: str, data: Any, path: Path) -> Entry:
    place = f"{path}: {name[:200]!r}"
    shape, span = (_sizes(data.get(key) if isinstance(data, dict) else None) for key in ("shape", "data_offsets"))
    if shape is None or span is None or len(span) != 2:
        raise ValueError(f"{place} is described by {str(data)[:100]}, which is no array.")
    if data.get("dtype") not in _TYPES:
        raise ValueError(f"{place} holds {str(data.get('dtype'))[:100]!r}, but weights are numbers.")
    dtype = np_dtype(_TYPES[data["dtype"]])
    if math.prod(shape) * dtype.itemsize != span[1] - span[0]:
        raise ValueError(f"{place} is {shape} of {dtype}, which is not the {span[1] - span[0]:,} bytes that it has.")

    def read() -> np.ndarray:
        try:
            return read_bytes(file, base + span[0], span[1] - span[0]).view(dtype).reshape(shape)
        except EOFError as error:
            raise ValueError(f"{place} is damaged: {error}.") from None

    def parts(step: int) -> Iterator[np.ndarray]:
        return read_parts(file, base + span[0], span[1] - span[0], step)

    return Entry(name, tuple(shape), dtype.name, span[1] - span[0], read, parts)


WRITERS = {".npz": write_npz, ".safetensors": write_safetensors}
OPENERS = {".npz": open_npz, ".safetensors": open_safetensors}
