"""Weights in several `.weights.h5` files, none larger than a limit, and a `.weights.json` that says what is where.

Each shard ends in its own checksums; the index has a checksum of each shard's, and one of itself, among its metadata.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from nyala.saving import archive, checksums
from nyala.saving.hdf5 import Entry, Reader, open_hdf5
from nyala.saving.writing import write_hdf5

SUFFIX = ".weights.json"
MAX_SHARDS = 10_000
_NAME = re.compile(r"[^/\\\0:]+\.weights\.h5")

# ---- Writing ----


def write_shards(model: Any, path: Path, limit: int) -> None:
    """Write all shards beside their places, then an index that says where they lie; with that the new weights are saved.

    Then they move to their places, whose names the reference fixes, and the index becomes the usual one.
    """
    stem = path.name.removesuffix(SUFFIX).removesuffix(".weights.h5")
    index = path.with_name(stem + SUFFIX)
    _finish(index)
    before = _shards_of(index)
    places: dict[str, list[str]] = {}
    written: dict[str, str] = {}  # the name of a shard → where it lies until all are there
    crcs: dict[str, str] = {}
    total = 0
    try:
        for number, shard in enumerate(_split(model, limit)):
            name = f"{stem}_{number:05d}.weights.h5"
            written[name], crcs[name] = _write_shard(path.with_name(name), shard)
            for place, _, arrays in shard:
                total += sum(array.nbytes for array in arrays.values())
                if arrays:
                    places.setdefault(f"/{place}", []).append(name)
        data: dict[str, Any] = {"metadata": {"total_size": float(total), _OF_SHARDS: crcs}, "weight_map": places}
        data["metadata"][_OF_INDEX] = _crc_of_index(data)
        _write_index(index, {_UNFINISHED: data, _LYING: {name: Path(file).name for name, file in written.items()}})
    except BaseException:
        for file in written.values():
            Path(file).unlink(missing_ok=True)
        raise
    _finish(index)
    now = {name for names in places.values() for name in names}
    for name in before:
        if name not in now:
            path.with_name(name).unlink(missing_ok=True)


def _finish(index: Path) -> None:
    """Move what a save has written to its places, also where an earlier process was killed before it could."""
    try:
        data, lying = _read_json(index)
    except (OSError, ValueError):
        return  # there is none, or nothing that a save left
    if lying:
        for name, file in lying.items():
            if index.with_name(file).exists():
                os.replace(index.with_name(file), index.with_name(name))
        archive.sync_folder(index.parent)
        _write_index(index, data)


def _write_index(index: Path, data: dict[str, Any]) -> None:
    with archive.atomic_write(index) as file:
        file.write(json.dumps(data, indent=4).encode())


Part = tuple[str, str, dict[str, Any]]  # a place, the name of its object, some of its arrays


def _split(model: Any, limit: int) -> Iterator[list[Part]]:
    """The model's arrays in lists of at most `limit` bytes."""
    from nyala.saving.weights import own_arrays  # reading, which needs no TensorFlow, does without

    shard: list[Part] = []
    size = 0
    for place, owner, arrays in own_arrays(model):
        shard.append((place, owner, {}))
        for key, array in arrays.items():
            if array.nbytes > limit:
                raise ValueError(
                    f"{place}/{key} of `{owner}` takes {array.nbytes:,} bytes, more than max_shard_size allows "
                    f"({limit:,}); allow more."
                )
            if size + array.nbytes > limit:
                yield shard
                shard, size = [(place, owner, {})], 0
            shard[-1][2][key] = array
            size += array.nbytes
    yield shard


def _write_shard(path: Path, shard: list[Part]) -> tuple[str, str]:
    """Where the shard lies for now, and the checksum of all that is in it."""
    with archive.beside(path) as file, write_hdf5(file) as root:
        for place, owner, arrays in shard:
            group = root.group(place, owner)
            for key, array in arrays.items():
                group[key] = array
    with open(file.name, "rb") as written:
        return file.name, _crc_of_shard(written)


_OF_SHARDS, _OF_INDEX = "crc32 of shards", "crc32"  # in the index's metadata
_UNFINISHED, _LYING = "unfinished", "lying"  # the index that is to be, and where shards lie until then


def _crc_of_shard(file: IO[bytes]) -> str:
    return f"{checksums.crc_of_table(file) or 0:08x}"


def _crc_of_index(data: Mapping[str, Any]) -> str:
    """The checksum of what an index says, however it is laid out as text."""
    about = {key: value for key, value in data["metadata"].items() if key != _OF_INDEX}
    return f"{zlib.crc32(json.dumps({**data, 'metadata': about}, sort_keys=True).encode()):08x}"


def _shards_of(index: Path) -> list[str]:
    """The shards that an index of before names, if there is one."""
    try:
        return sorted({name for names in _read_index(index)[0].values() for name in names})
    except (OSError, ValueError):
        return []


# ---- Reading ----


class Shards:
    """The shards as one `Source`."""

    def __init__(
        self, readers: Mapping[str, Reader], places: Mapping[str, list[str]], where: str, verified: bool
    ) -> None:
        self.where, self._readers, self._places = where, readers, places
        self.verified = verified and all(reader.verified for reader in readers.values())

    def group(self, path: str) -> Mapping[str, Entry] | None:
        """The arrays at a place, from all files that have some of them."""
        names = self._places.get(f"/{path}")
        if names is None:
            return None
        found: dict[str, Entry] = {}
        for name in names:
            found.update(self._readers[name].group(path) or {})
        return found

    def places(self, known: Callable[[str], bool]) -> Iterator[str]:
        """Every array, but for those in groups that are `known`."""
        for reader in self._readers.values():
            yield from reader.places(known)

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every array behind its place."""
        for reader in self._readers.values():
            yield from reader.entries()


def _read_json(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What an index says, and which shards lie beside their places still."""
    with archive.open_file(path) as file:
        data = archive.read_json(file.read(archive.MAX_JSON + 1)[: archive.MAX_JSON], str(path))
    if _UNFINISHED not in data:
        return data, {}
    data, lying = data[_UNFINISHED], data.get(_LYING)
    if not isinstance(data, dict) or not isinstance(lying, dict):
        raise ValueError(f"{path} is damaged: what it says of an unfinished save is no index.")
    stem = re.escape(path.name.removesuffix(SUFFIX))
    for name, file in lying.items():
        beside = rf"\.{re.escape(name[:200])}\.[0-9a-f]{{16}}\.tmp"
        if not (re.fullmatch(rf"{stem}_\d{{5,}}\.weights\.h5", name) and re.fullmatch(beside, str(file))):
            raise ValueError(f"{path} names {str(file)[:100]!r} for {name[:100]!r}; only its own shards are moved.")
    return data, lying


def _read_index(path: Path) -> tuple[dict[str, list[str]], dict[str, Any], dict[str, str]]:
    """In which files each place has arrays, the checksum of each file where the index has them, and which lie elsewhere."""
    data, lying = _read_json(path)
    found, about = data.get("weight_map"), data.get("metadata")
    if not isinstance(found, dict):
        raise ValueError(f"{path} has no `weight_map`, which says in which file each weight is.")
    if not isinstance(about, dict):
        raise ValueError(f"{path} has no `metadata`, so it is damaged or no index of weights.")
    if (_OF_INDEX in about or _OF_SHARDS in about) and about.get(_OF_INDEX) != _crc_of_index(data):
        raise ValueError(f"{path} is damaged: its checksum differs.")
    places: dict[str, list[str]] = {}
    for place, names in found.items():
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
            raise ValueError(f"{path} names {str(names)[:100]!r} for {place[:100]!r}; only files beside it are opened.")
        places[place] = names
    crcs = about.get(_OF_SHARDS)
    return places, crcs if isinstance(crcs, dict) else {}, lying


@contextmanager
def open_shards(path: Path) -> Iterator[Shards]:
    """The weights that a `.weights.json` lists, open for reading."""
    places, crcs, lying = _read_index(path)
    names = sorted({name for listed in places.values() for name in listed})
    if len(names) > MAX_SHARDS:
        raise ValueError(f"{path} names {len(names):,} files; at most {MAX_SHARDS:,} are opened.")
    with ExitStack() as stack:
        readers = {}
        for name in names:
            shard = path.with_name(lying.get(name, name))
            shard = shard if shard.exists() else path.with_name(name)  # it came that far
            if shard.is_symlink():
                raise ValueError(f"{shard} is a link to another place, which is not followed.")
            file = stack.enter_context(archive.open_file(shard))
            readers[name] = stack.enter_context(open_hdf5(file, str(shard)))
            if crcs and crcs.get(name) != _crc_of_shard(file):
                raise ValueError(f"{shard} is another file than {path} was saved with.")
        yield Shards(readers, places, str(path), bool(crcs))
