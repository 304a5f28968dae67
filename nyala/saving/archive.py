"""`.keras` files: an archive of three members, written whole or not at all, read with nothing taken on trust."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import secrets
import stat
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import numpy as np

from nyala.saving import checksums
from nyala.saving.writing import HDF5Writer, write_hdf5_behind

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
FORMAT_VERSION = "3.15.1"  # the reference whose layout this is

MAX_JSON = 64 << 20  # bytes of a config: a million layers would fit
MAX_DEPTH = 200  # levels of brackets in a config
MAX_INFLATED = 1 << 30  # bytes of weights that were compressed: these are unpacked in memory
MAX_RATIO = 50  # what compression can honestly do to weights
_CHUNK = 1 << 20

# ---- Writing ----


def path_of(filepath: Any) -> Path:
    """A file's path; a ValueError for an address."""
    text = os.fspath(filepath)
    if not isinstance(text, str):
        raise TypeError(f"A path is a string or a pathlib.Path, but got {filepath!r}.")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ValueError(f"{text!r} is an address; only files can be read and written: download or upload it yourself.")
    return Path(text)


def may_write(path: Path, overwrite: bool) -> bool:
    """Whether to write to `path`: asks where something is there; a FileExistsError where nobody can answer."""
    if overwrite or not path.exists():
        return True
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise FileExistsError(f"{path} exists already; pass overwrite=True to replace it.")
    answer = ""
    while answer not in ("y", "n"):
        answer = input(f"{path} exists already. Replace it? [y/n] ").strip().lower()
    return answer == "y"


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `path` once it is complete; until then the old one stays."""
    with beside(path) as file:
        yield file
    move_to_place(file.name, path)


@contextmanager
def beside(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to beside `path`, on the disk in the end; gone after an error."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {path.parent}.")
    if path.is_dir():
        raise IsADirectoryError(f"{path} cannot be written: it is a folder.")
    _remove_abandoned(path)
    name = path.with_name(f".{path.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        with open(name, "xb+") as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        name.unlink(missing_ok=True)
        if (error.errno in _FULL and error.filename is None) or error.filename == str(name):
            raise OSError(error.errno, f"{path} cannot be written: {error.strerror}.") from None
        raise
    except BaseException:
        name.unlink(missing_ok=True)
        raise


_ABANDONED = 3600  # seconds after which an unfinished file that no process holds is one that a killed process left


def _remove_abandoned(path: Path) -> None:
    """Delete what killed processes left of earlier attempts to write `path`."""
    of_this = re.compile(re.escape(f".{path.name[:200]}.") + r"[0-9a-f]{16}\.tmp")
    for name in os.listdir(path.parent):
        try:
            if of_this.fullmatch(name) and time.time() - path.with_name(name).lstat().st_mtime > _ABANDONED:
                with open(path.with_name(name), "rb+") as file:
                    is_free = _lock(file)
                if is_free:
                    path.with_name(name).unlink()
        except OSError:
            continue  # it is gone, or another's


def _lock(file: IO[bytes]) -> bool:
    """Hold a file as long as it is open; False where another process does."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows deletes no file that is open
        return True
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO}


def move_to_place(name: str, path: Path) -> None:
    """Give a file that was written beside `path` its name."""
    try:
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the new name reach the disk too, where the system can be asked for it."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def metadata() -> dict[str, str]:
    """What a file says about itself."""
    return {"keras_version": FORMAT_VERSION, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}


_WEIGHTS_AT = 512  # where HDF5 looks first for a file that something else stands before


def write_archive(path: Path, config: Mapping[str, Any], write_weights: Callable[[HDF5Writer], None]) -> None:
    """Write a `.keras` file.

    The weights come first and are written where they stay: HDF5 leaves the first bytes free, and there the header of
    their member is put once their size and checksum are known.
    """
    members = {METADATA: json.dumps(metadata()), CONFIG: json.dumps(config)}
    with atomic_write(path) as file:
        with write_hdf5_behind(file, _WEIGHTS_AT) as weights:
            write_weights(weights)
        size = file.seek(0, os.SEEK_END) - _WEIGHTS_AT
        info = zipfile.ZipInfo(WEIGHTS)
        info.file_size = info.compress_size = size
        info.CRC = checksums.crc_of(file, _WEIGHTS_AT, size)
        file.seek(0)
        file.write(_header(info))
        file.seek(0, os.SEEK_END)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, text in members.items():
                archive.writestr(zipfile.ZipInfo(name), text)
            archive.infolist().append(info)  # listed last, as the reference does


def _header(info: zipfile.ZipInfo) -> bytes:
    """A member's header, made long enough to end where the member begins."""
    info.header_offset = 0
    missing = _WEIGHTS_AT - len(info.FileHeader()) - 4
    info.extra = struct.pack("<HH", 0xD935, missing) + bytes(missing)  # the number by which others align members
    header = info.FileHeader()
    info.extra = b""
    return header


# ---- Reading ----


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """The file at `path` open for reading; an error that says what is there instead where it is no file."""
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115 - closed below
    except FileNotFoundError:
        hint = " It is a link that leads nowhere." if path.is_symlink() else ""
        raise FileNotFoundError(f"There is no file {path}.{hint}") from None
    except IsADirectoryError:
        raise IsADirectoryError(f"{path} is a folder, not a file.") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} is not a regular file.")
        yield file


class Archive:
    """A `.keras` file open for reading: of its members only the three expected ones are looked at."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path, self._file = path, file
        if file.read(8) == b"\x89HDF\r\n\x1a\n":
            raise ValueError(f"{path} is an HDF5 file under the name of a `.keras` file; weights end in `.weights.h5`.")
        self._size = file.seek(0, os.SEEK_END)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no `.keras` file, or it is cut short: {error}.") from None

    def config(self) -> dict[str, Any]:
        """What the file says of the model."""
        return self._json(CONFIG)

    def metadata(self) -> dict[str, Any]:
        """What the file says of itself."""
        return self._json(METADATA)

    def _json(self, name: str) -> dict[str, Any]:
        info = self._member(name, MAX_JSON)
        with self._checked(name), self._zip.open(info) as member:
            data = member.read(MAX_JSON + 1)
        return read_json(data, f"{self.path}, member {name}")

    def _member(self, name: str, limit: int | None = None) -> zipfile.ZipInfo:
        found = [info for info in self._zip.infolist() if info.filename == name]
        if len(found) != 1:
            raise ValueError(f"{self.path} should hold one member {name!r}, but it holds {len(found)}.")
        info = found[0]
        if info.flag_bits & 1:
            raise ValueError(f"The member {name!r} of {self.path} is encrypted.")
        if limit is not None and info.file_size > limit:
            raise ValueError(f"The member {name!r} of {self.path} is too large: {info.file_size:,} of {limit:,} bytes.")
        return info

    @contextmanager
    def _checked(self, name: str) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError) as error:
            raise ValueError(f"The member {name!r} of {self.path} is damaged: {error}.") from None

    def weights(self) -> Any:
        """The weights as a file open for reading, its checksum verified; stored ones are not copied."""
        info = self._member(WEIGHTS)
        with self._checked(WEIGHTS), self._zip.open(info) as member:
            if info.compress_type == zipfile.ZIP_STORED:
                start = self._start_of(info)
                if checksums.crc_of(self._file, start, info.file_size) != info.CRC:
                    raise zipfile.BadZipFile("its checksum differs")
                return Window(self._file, start, info.file_size)
            if info.file_size > min(MAX_INFLATED, MAX_RATIO * max(info.compress_size, 1 << 20)):
                raise ValueError(
                    f"The weights in {self.path} claim to unpack from {info.compress_size:,} to {info.file_size:,} "
                    "bytes, which is more than compressed weights may."
                )
            return io.BytesIO(member.read(info.file_size + 1))  # beyond the end, where the checksum is verified

    def _start_of(self, info: zipfile.ZipInfo) -> int:
        """Where a member's bytes begin: behind its local header, whose length is in the header itself."""
        self._file.seek(info.header_offset)
        header = self._file.read(30)
        start = (
            info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        )
        if start + info.file_size > self._size:
            raise ValueError(f"{self.path} is cut short.")
        return start


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """The `.keras` file at `path`, open for reading."""
    with open_file(path) as file:
        yield Archive(file, path)


class Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0

    def twin(self) -> Window:
        """The same part, with a place of its own."""
        return Window(self._file, self._start, self._size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        self._file.seek(self._start + self._place)
        count = self._file.readinto(view[: max(0, self._size - self._place)])  # pyright: ignore[reportAttributeAccessIssue]
        self._place += count
        return count


_STEPS = np.zeros(256, np.int8)  # by how much a byte changes the level
_STEPS[[ord("["), ord("{")]], _STEPS[[ord("]"), ord("}")]] = 1, -1


def _is_deep(data: bytes) -> bool:
    """Whether brackets nest deeper than allowed, those in texts aside; in pieces of arrays, for configs are large."""
    data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    in_text = level = 0
    for start in range(0, len(data), _CHUNK):
        part = np.frombuffer(data[start : start + _CHUNK], np.uint8)
        quoted = (np.cumsum(part == ord('"'), dtype=np.int32) + in_text) & 1
        levels = np.cumsum(np.where(quoted, 0, _STEPS[part]), dtype=np.int32) + level
        if levels.max() > MAX_DEPTH:
            return True
        in_text, level = int(quoted[-1]), int(levels[-1])
    return False


def read_json(data: bytes, where: str) -> dict[str, Any]:
    """The dict in JSON text; a ValueError that says `where` for anything else, or if it nests too deep."""
    if _is_deep(data):
        raise ValueError(f"{where}: the JSON nests deeper than {MAX_DEPTH} levels.")
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: this is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{where}: a dict is expected, but this is a {type(found).__name__}.")
    return found
