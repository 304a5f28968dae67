"""`get_file`: a file from an address, fetched once, checked and unpacked."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from nyala.core.settings import is_interactive_logging_enabled
from nyala.saving.archive import atomic_write
from nyala.utils.progress import Progbar

_ARCHIVES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz", ".tar", ".zip")
_CHUNK = 1 << 16


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Iterable[str] | None = "auto",
    cache_dir: Any = None,
    force_download: bool = False,
) -> str:
    """The path of a file from the address `origin`, which is fetched if it is not in the cache yet.

    It lies in `cache_dir/cache_subdir/fname`; `cache_dir` is `$KERAS_HOME` or `~/.keras`, the reference's own. A file
    whose `file_hash` (SHA-256, or MD5 by `hash_algorithm` or length) differs is fetched again. `extract` unpacks a zip
    or tar file and returns the folder: `x.tar.gz` goes to `x_extracted`, a name without ending stays the folder's. What
    would land outside of it, and links that lead there, are refused. Raises ValueError for a wrong hash and for what is
    no archive, OSError where nothing can be fetched.

    Example:
        >>> import pathlib, tempfile
        >>> import nyala
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("hello")
        >>> path = nyala.utils.get_file(origin=(folder / "a.txt").as_uri(), cache_dir=folder)
        Downloading ...
        >>> pathlib.Path(path).relative_to(folder).as_posix()
        'datasets/a.txt'
    """
    if origin is None:
        raise ValueError("`get_file` needs `origin`, the address to fetch the file from.")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    unpack = extract or untar
    formats = _formats("tar" if untar and not extract else archive_format) if unpack else ()
    folder = Path(cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser() / cache_subdir
    archive, target = _places(folder, fname, origin, unpack)
    stale = force_download or not archive.is_file()
    if not stale and file_hash is not None and _digest(archive, file_hash, hash_algorithm) != file_hash.lower():
        warnings.warn(f"{archive} has another hash than was asked for, so it is fetched again.", stacklevel=2)
        stale = True
    if stale:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(origin, archive, file_hash, hash_algorithm)
    if unpack and (stale or not target.exists()):
        _unpack(archive, target, formats)
    return str(target)


def _places(folder: Path, fname: str | None, origin: str, unpack: bool) -> tuple[Path, Path]:
    """Where the file is kept and what is handed out: the same, or the folder into which it is unpacked."""
    name = os.fspath(fname) if fname else PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(origin).path)).name
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise ValueError(f"`get_file` takes fname as the name of a file without folders, but got {name!r}.")
    if not unpack:
        return folder / name, folder / name
    ending = next((ending for ending in _ARCHIVES if name.endswith(ending)), Path(name).suffix) if fname else ""
    if ending:
        return folder / name, folder / f"{name.removesuffix(ending)}_extracted"
    return folder / f"{name}_archive", folder / name


def _formats(archive_format: str | Iterable[str] | None) -> tuple[str, ...]:
    if archive_format == "auto":
        return ("tar", "zip")
    formats = (archive_format,) if isinstance(archive_format, str) else tuple(archive_format or ())
    if not formats or not set(formats) <= {"tar", "zip"}:
        raise ValueError(f"archive_format is 'auto', 'tar', 'zip' or a list of those, but got {archive_format!r}.")
    return formats


# ---- Fetching ----


def _fetch(origin: str, path: Path, file_hash: str | None, algorithm: str) -> None:
    """Fetch a file; it takes its place once it is complete and its hash is right."""
    if is_interactive_logging_enabled():
        print(f"Downloading {origin}")  # noqa: T201
    else:
        logging.getLogger("nyala").info("Downloading %s", origin)
    try:
        response = urllib.request.urlopen(origin)
    except (urllib.error.URLError, OSError) as error:
        raise OSError(f"{origin} could not be fetched: {error}.") from error
    with response, atomic_write(path) as file:
        size = int(response.headers.get("Content-Length") or 0)
        bar = Progbar(size or None, verbose=int(size > 1 << 20), unit_name="byte")
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.add(len(chunk))
        file.flush()
        if size and file.tell() != size:
            raise OSError(f"{origin} broke off after {file.tell()} of {size} bytes.")
        if file_hash is not None:
            found = _digest(Path(file.name), file_hash, algorithm)
            if found != file_hash.lower():
                raise ValueError(f"The file at {origin} has the hash {found}, but {file_hash} was expected.")


def _digest(path: Path, expected: str, algorithm: str) -> str:
    """The hash of a file, of the kind that `expected` is."""
    wide = algorithm == "sha256" or (algorithm == "auto" and len(expected) == 64)
    digest = hashlib.sha256() if wide else hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


# ---- Unpacking ----


def _unpack(archive: Path, target: Path, formats: tuple[str, ...]) -> None:
    """Unpack into a folder beside the target, which takes its place once it is complete."""
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    try:
        if "tar" in formats and tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                tar.extractall(beside, filter="data")  # refuses paths and links that lead outside
        elif "zip" in formats and zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for name in packed.namelist():
                    if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
                        raise ValueError(f"{archive} would write {name!r}, outside of its folder.")
                packed.extractall(beside)
        else:
            raise ValueError(f"{archive} is no archive of the kind {' or '.join(formats)}.")
        if target.is_dir():
            shutil.rmtree(target)
        beside.chmod(0o755)
        beside.replace(target)
    except tarfile.FilterError as error:
        raise ValueError(f"{archive} would write outside of its folder: {error}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
