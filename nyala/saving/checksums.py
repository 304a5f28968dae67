"""CRC-32 checksums: of a part of a file, and behind the end of an HDF5 file a table of those of all its arrays.

HDF5 says itself where it ends and lets anything follow, so the reference reads files with such a table as any other.
Programs that change an HDF5 file cut off what follows its end, so a table never outlives what it describes. In a
`.keras` or `.npz` file the archive has a checksum of each member; a `.safetensors` file has them in its header.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

_MAGIC = b"\x93NYALA\r\n"  # then the length of the table in 8 bytes, its checksum in 4, and the table as JSON
_FIXED = len(_MAGIC) + 8 + 4
_MAX_TABLE = 64 << 20
_CHUNK = 1 << 18  # bytes: what stays in the processor's cache
_HDF5 = b"\x89HDF\r\n\x1a\n"

Span = tuple[str, int, int]  # the place of an array, where its bytes start, how many there are


def crc_of(file: Any, start: int, size: int, crc: int = 0) -> int:
    """The checksum of a part of a file, on top of what came before; nothing of it is kept. Short files raise EOFError."""
    buffer = memoryview(bytearray(min(size, _CHUNK)))
    file.seek(start)
    while size:
        count = file.readinto(buffer[: min(size, _CHUNK)])
        if not count:
            raise EOFError("the file is cut short")
        crc = zlib.crc32(buffer[:count], crc)
        size -= count
    return crc


def seal(file: IO[bytes], spans: Iterable[Span]) -> None:
    """Write the table behind an HDF5 file that holds arrays at these places."""
    end = file.seek(0, 2)
    arrays = sorted((start, size, place) for place, start, size in spans if size)
    table = {
        "structure": _structure(file, [(start, size) for start, size, _ in arrays], end),
        "arrays": [[place, start, size, crc_of(file, start, size)] for start, size, place in arrays],
    }
    text = json.dumps(table).encode()
    file.seek(end)
    file.write(_MAGIC + len(text).to_bytes(8, "little") + zlib.crc32(text).to_bytes(4, "little") + text)


def _structure(file: Any, spans: list[tuple[int, int]], end: int) -> int:
    """The checksum of what lies between arrays."""
    crc = done = 0
    for start, size in [*spans, (end, 0)]:
        crc = crc_of(file, done, start - done, crc)
        done = start + size
    return crc


def verify(file: IO[bytes], where: str) -> bool:
    """Compare an HDF5 file with its table; False where it has none, a ValueError that names what is damaged."""
    end = _end_of_hdf5(file)
    if end is None:
        return False
    file.seek(end)
    head = file.read(_FIXED)
    if not head.startswith(_MAGIC):
        if head and _MAGIC.startswith(head):
            raise ValueError(f"{where} is cut short: its checksums are missing.")
        return False
    table = _read_table(file, head, where)
    try:
        damaged = list(_damaged(file, table, end))
    except EOFError as error:
        raise ValueError(f"{where} is damaged: {error}.") from None
    if damaged:
        more = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ValueError(f"{where} is damaged: the checksum differs for {', '.join(damaged[:10])}{more}.")
    return True


def crc_of_table(file: IO[bytes]) -> int | None:
    """The checksum of a verified file's table, and so of all that it holds; None where it has no table."""
    end = _end_of_hdf5(file)
    file.seek(end or 0)
    head = file.read(_FIXED)
    return int.from_bytes(head[16:20], "little") if end is not None and head.startswith(_MAGIC) else None


def _end_of_hdf5(file: IO[bytes]) -> int | None:
    """Where an HDF5 file says that it ends; None where it is none or is laid out in a way that is not written here."""
    file.seek(0)
    head = file.read(64)
    if not head.startswith(_HDF5) or len(head) < 64:
        return None
    version = head[8]
    place, sizes = {0: (40, head[13]), 1: (44, head[13]), 2: (28, head[9]), 3: (28, head[9])}.get(version, (0, 0))
    return int.from_bytes(head[place : place + 8], "little") if sizes == 8 else None


def _read_table(file: IO[bytes], head: bytes, where: str) -> dict[str, Any]:
    """The table, if it is whole and says of each array where it lies, one behind the other."""
    size, crc = int.from_bytes(head[8:16], "little"), int.from_bytes(head[16:20], "little")
    text = file.read(size) if len(head) == _FIXED and size <= _MAX_TABLE else b""
    if len(text) != size or zlib.crc32(text) != crc or not text:
        raise ValueError(f"{where} is cut short, or its table of checksums is damaged.")
    try:
        table = json.loads(text)
        done = 0
        for place, start, count, crc in table["arrays"]:
            if [type(part) for part in (place, start, count, crc)] != [str, int, int, int] or start < done or count < 0:
                raise ValueError
            done = start + count
        if type(table["structure"]) is not int:
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(f"{where} ends in a table of checksums that no version of Nyala writes.") from None
    return table


def _damaged(file: IO[bytes], table: dict[str, Any], end: int) -> Iterator[str]:
    arrays = table["arrays"]
    if arrays and arrays[-1][1] + arrays[-1][2] > end:
        raise EOFError("its arrays lie outside of it")
    if _structure(file, [(start, size) for _, start, size, _ in arrays], end) != table["structure"]:
        yield "the structure of the file"
    for place, start, size, crc in arrays:
        if crc_of(file, start, size) != crc:
            yield place[:200]
