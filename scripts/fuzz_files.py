"""`scripts/fuzz_files.py [MINUTES] [--seed N] [--keep FOLDER]`: change honest files and load them; report surprises.

A changed file may be refused with a ValueError, TypeError or OSError that says why, or it may load as it was. Anything
else is a fault: another exception, other weights than the file holds by its checksums, more than ten seconds, much memory.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import h5py
import numpy as np

import nyala

NAMES = ("m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors", "s.weights.json")
SECONDS, MEGABYTES = 10, 1000
VALUES = (None, True, -1, 0, 1, 7, 2**31, 10**12, 10**40, 0.5, float("nan"), "", "x", "../x", "Dense", "os.system", [], {}, [[]],
          ["a", 0, 0], {"class_name": "Dense", "config": {}}, {"class_name": "__lambda__", "config": {}},
          {"class_name": "__tensor__", "config": {"value": [1], "dtype": "O"}}, "relu", "float7", [None, 3])  # fmt: skip


def honest() -> Any:
    x = nyala.Input((3,), name="x")
    h = nyala.layers.Dense(4, "relu", name="a")(x)
    h = nyala.layers.BatchNormalization(name="norm")(nyala.ops.add(h, 1.0))
    h = nyala.layers.Bidirectional(nyala.layers.GRU(2), name="both")(nyala.layers.Reshape((2, 2), name="r")(h))
    model = nyala.Model(x, nyala.layers.Dense(1, name="b")(h), name="honest")
    model.compile("adam", "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    return model


# ---- Ways to change a file: each takes its bytes and returns others ----


def flipped(data: bytes, draw: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        found[draw.randrange(len(found))] = draw.randrange(256)
    return bytes(found)


def cut(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + (data[start + draw.choice((1, 2, 8, 100, 5000)) :] if draw.random() < 0.5 else b"")


def repeated(data: bytes, draw: random.Random) -> bytes:
    start, count = draw.randrange(len(data)), draw.choice((1, 4, 64, 4096))
    place = draw.randrange(len(data))
    return data[:place] + data[start : start + count] + data[place:]


def numbers(data: bytes, draw: random.Random) -> bytes:
    """A number of four or eight bytes becomes one that means trouble."""
    size, place = draw.choice((2, 4, 8)), draw.randrange(len(data))
    value = draw.choice((0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**63, 2**64 - 1)) % 2 ** (8 * size)
    return data[:place] + value.to_bytes(size, "little") + data[place + size :]


def changed_json(data: Any, draw: random.Random) -> Any:
    """Plain data with some of its parts gone, exchanged or strange."""
    data = copy.deepcopy(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        stack = [data]
        while stack:
            item = stack.pop()
            keys = list(item) if isinstance(item, dict) else list(range(len(item))) if isinstance(item, list) else []
            places += [(item, key) for key in keys]
            stack += [item[key] for key in keys]
        if not places:
            return data
        holder, key = draw.choice(places)
        other_holder, other = draw.choice(places)
        match draw.randrange(4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = copy.deepcopy(draw.choice(VALUES))
            case 2:
                holder[key] = copy.deepcopy(other_holder[other])
            case _ if isinstance(holder, list):
                holder.insert(draw.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
            case _:
                holder[str(draw.choice(("config", "name", "class_name", "module", "layers", "x")))] = holder.pop(key)
    return data


def members_changed(data: bytes, draw: random.Random) -> bytes:
    """An archive again, with honest checksums: members changed, renamed, doubled, missing, compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = draw.randrange(len(content))
    name, member = content[place]
    match draw.randrange(6):
        case 0:
            content.pop(place)
        case 1:
            content.append((name, member))
        case 2:
            content[place] = (draw.choice(("../" + name, "/" + name, name + "x", name.upper())), member)
        case 3 if name.endswith(".json"):
            content[place] = (name, json.dumps(changed_json(json.loads(member), draw)).encode())
        case 4 if name.endswith(".h5"):
            content[place] = (name, hdf5_changed(member, draw))
        case _:
            content[place] = (name, draw.choice((flipped, cut, repeated, numbers))(member, draw))
    file = io.BytesIO()
    kind = draw.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", kind) as archive:
        warnings.simplefilter("ignore")
        for name, member in content:
            archive.writestr(name, member)
    return file.getvalue()


def config_changed(data: bytes, draw: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    content["config.json"] = json.dumps(changed_json(json.loads(content["config.json"]), draw)).encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in content.items():
            archive.writestr(name, member)
    return file.getvalue()


def hdf5_changed(data: bytes, draw: random.Random) -> bytes:
    """An HDF5 file with groups, arrays and attributes exchanged."""
    file = io.BytesIO(data)
    with h5py.File(file, "a") as root:
        places: list[str] = []
        root.visit(places.append)
        for _ in range(draw.choice((1, 2, 3))):
            place = draw.choice(places)
            item = root.get(place)
            if item is None:
                continue
            names = list(item.attrs)
            match draw.randrange(6):
                case 0:
                    del root[place]
                case 1 if isinstance(item, h5py.Dataset):
                    del root[place]
                    shape = draw.choice(((), (1,), (3, 4), (1 << 40,), (2, 2, 2)))
                    chunks = tuple(min(size, 64) for size in shape) or None
                    root.create_dataset(
                        place,
                        shape,
                        draw.choice(("f4", "i8", "S3", "c8", "?", "V2")),
                        chunks=chunks,
                        maxshape=shape or None,
                    )
                case 2:
                    del root[place]
                    root[place] = draw.choice(
                        (h5py.SoftLink("/x"), h5py.ExternalLink("/etc/x", "/"), np.float32(3), "text")
                    )
                case 3:
                    root[f"{place}_more" if isinstance(item, h5py.Dataset) else f"{place}/more"] = np.ones(3, "f4")
                case 4 if names:
                    text = item.attrs[names[0]]
                    item.attrs[names[0]] = draw.choice(
                        (3, "x", b"\xff", np.array([b"a", b"a"]), np.ones(3), str(text)[::-1])
                    )
                case _ if "model_config" in root.attrs:
                    config = json.loads(root.attrs["model_config"])
                    root.attrs["model_config"] = json.dumps(changed_json(config, draw))
                case _:
                    root.move(place, "moved") if "moved" not in root else None
    return file.getvalue()


def header_changed(data: bytes, draw: random.Random) -> bytes:
    """A `.safetensors` file with another header."""
    size = int.from_bytes(data[:8], "little")
    text = json.dumps(changed_json(json.loads(data[8 : 8 + size]), draw)).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def text_changed(data: bytes, draw: random.Random) -> bytes:
    return json.dumps(changed_json(json.loads(data), draw)).encode()


Way = Callable[[bytes, random.Random], bytes]
PLAIN: tuple[Way, ...] = (flipped, cut, repeated, numbers)
WAYS: dict[str, tuple[Way, ...]] = {
    "m.keras": (*PLAIN, members_changed, config_changed, config_changed, config_changed),
    "m.h5": (*PLAIN, hdf5_changed, hdf5_changed),
    "m.weights.h5": (*PLAIN, hdf5_changed),
    "m.npz": (*PLAIN, members_changed),
    "m.safetensors": (*PLAIN, header_changed),
    "s.weights.json": (*PLAIN, text_changed),
}
KEEP_CHECKSUMS = (flipped, cut, repeated, numbers)  # the ways that leave the checksums of what they change as they were


# ---- Loading what came out ----


def load(path: Path, model: Any) -> Any:
    if path.name in ("m.keras", "m.h5"):
        return nyala.saving.load_model(path)
    model.load_weights(path)
    return model


def surprise(path: Path, model: Any, expected: list[np.ndarray], way: Way) -> tuple[str, str]:
    """What became of loading a file, and what is wrong with that: nothing, mostly."""
    if path.name not in ("m.keras", "m.h5"):
        model.set_weights([w + 1 for w in expected])
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = load(path, model)
    except (ValueError, TypeError, OSError) as error:
        outcome, fault = "refused", "" if len(str(error)) < 3000 else "a message without end"
    except BaseException:
        if isinstance(sys.exc_info()[1], KeyboardInterrupt):
            raise
        return "raised", traceback.format_exc(limit=-4)
    else:
        outcome, fault = "loaded", ""
        found = loaded.get_weights()
        same = len(found) == len(expected) and all(np.array_equal(a, b) for a, b in zip(found, expected))
        if way in KEEP_CHECKSUMS and path.name != "s.weights.json" and not same:
            fault = "other weights than were saved"
    if time.perf_counter() - start > SECONDS:
        fault = f"took {time.perf_counter() - start:.0f} s"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > MEGABYTES << 10:
        fault = "took much memory"
    return outcome, fault


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("minutes", type=float, nargs="?", default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder for files that gave a surprise")
    options = parser.parse_args()
    model, counts, faults = honest(), Counter(), 0
    expected = model.get_weights()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in NAMES[:2]:
            model.save(folder / file)
        for file in NAMES[2:]:
            model.save_weights(folder / file, max_shard_size=1.0 if file.startswith("s.") else None)
        content = {file: (folder / file).read_bytes() for file in NAMES}
        end, number = time.time() + 60 * options.minutes, options.seed
        while time.time() < end:
            number += 1
            draw = random.Random(number)
            file = draw.choice(NAMES)
            way = draw.choice(WAYS[file])
            try:
                (folder / file).write_bytes(way(content[file], draw))
            except (OSError, KeyError, ValueError, RuntimeError):
                continue  # HDF5 would not write what was drawn
            outcome, fault = surprise(folder / file, model, expected, way)
            counts[outcome] += 1
            if fault:
                faults += 1
                print(f"--- {file} by {way.__name__}, seed {number}: {fault}", flush=True)
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{number}-{file}").write_bytes((folder / file).read_bytes())
            (folder / file).write_bytes(content[file])
    print(f"{sum(counts.values())} files: {dict(counts)}, {faults} surprises.")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
