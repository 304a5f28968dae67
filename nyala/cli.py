"""`nyala inspect FILE`: what a file of a model or of weights holds, found out safely and without TensorFlow."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nyala.saving import archive
from nyala.saving.hdf5 import Source, open_hdf5
from nyala.saving.sources import open_weights

_LEGACY = (".h5", ".hdf5")
_HASHED = 256 << 20  # bytes: of larger files no checksum is taken here


def main(arguments: list[str] | None = None) -> int:
    """The command `nyala`; 0 where all went well, 1 for a file that is refused."""
    parser = argparse.ArgumentParser(prog="nyala", description="The Keras API on TensorFlow.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="show what a file of a model or of weights holds")
    inspect.add_argument("file", type=Path)
    inspect.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(arguments)
    try:
        found = describe(options.file)
    except (ValueError, OSError) as error:
        if options.json:
            sys.stdout.write(json.dumps({"file": str(options.file), "refused": str(error)}) + "\n")
        else:
            sys.stderr.write(f"Refused: {_printable(str(error))}\n")
        return 1
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _show(found)
    return 0


# ---- Finding out ----


def describe(path: Path) -> dict[str, Any]:
    """What the file holds, as plain data; a ValueError with the reason where it would not be loaded.

    Example:
        >>> import os, tempfile
        >>> import nyala
        >>> from pathlib import Path
        >>> from nyala.cli import describe
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, name="only")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.keras")
        ...     model.save(path)
        ...     describe(Path(path))["parameters"]
        8
    """
    path = archive.path_of(path)
    with archive.open_file(path) as file:
        size = file.seek(0, 2)
        found: dict[str, Any] = {"file": str(path), "bytes": size, "sha256": _sha256(file, size)}
    if path.suffix == ".keras":
        with archive.open_archive(path) as keras_file:
            found.update(keras_file.metadata(), members=_members(path), **_model(keras_file.config()))
    elif path.suffix in _LEGACY and not path.name.endswith(".weights.h5"):
        return _with_totals({**found, **_legacy(path)})
    with open_weights(path) as source:
        found.update(verified=source.verified, weights=list(_weights(source)))
    return _with_totals(found)


def _sha256(file: Any, size: int) -> str | None:
    if size > _HASHED:
        return None
    digest = hashlib.sha256()
    file.seek(0)
    while part := file.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def _members(path: Path) -> list[dict[str, Any]]:
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()[:1000]
    return [{"name": info.filename, "bytes": info.file_size, "crc32": f"{info.CRC:08x}"} for info in infos]


def _model(description: Mapping[str, Any]) -> dict[str, Any]:
    """The model in a config: its class, its name, its layers, and what it names that is not built in."""
    config = description.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    name = config.get("name") if isinstance(config, dict) else None
    custom, bytecode = _foreign(description)
    return {
        "class": description.get("class_name"),
        "name": name,
        "layers": [_layer(entry) for entry in layers if isinstance(entry, dict)] if isinstance(layers, list) else [],
        "compiled": bool(description.get("compile_config")),
        "custom": custom,
        "bytecode": bytecode,
    }


def _layer(entry: Mapping[str, Any]) -> dict[str, Any]:
    config = entry.get("config")
    config = config if isinstance(config, dict) else {}
    build = entry.get("build_config")
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    shape = shape or (build.get("input_shape") if isinstance(build, dict) else None)
    inside = config.get("layers")
    return {
        "name": config.get("name"),
        "class": entry.get("class_name"),
        "input_shape": shape,
        "trainable": config.get("trainable"),
        "layers": [_layer(item) for item in inside if isinstance(item, dict)] if isinstance(inside, list) else [],
    }


def _foreign(description: Any) -> tuple[list[str], int]:
    """The classes and functions of somebody's own that a config names, and how many functions it has as bytecode."""
    custom: dict[str, None] = {}
    bytecode = 0
    stack = [description]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
            name, module = item.get("class_name"), item.get("module")
            bytecode += name == "__lambda__" or item.get("function_type") == "lambda"
            own = isinstance(module, str) and not module.startswith(("keras", "builtins", "tensorflow", "nyala."))
            if isinstance(name, str) and own:
                custom[str(item.get("registered_name") or name)] = None
    return sorted(custom), bytecode


def _legacy(path: Path) -> dict[str, Any]:
    with archive.open_file(path) as file, open_hdf5(file, str(path)) as reader:
        found: dict[str, Any] = {"keras_version": reader.text(reader.root, "keras_version")}
        text = reader.text(reader.root, "model_config")
        if text is not None:
            found |= _model(archive.read_json(text.encode(), f"{path}, attribute model_config"))
            found["compiled"] = reader.text(reader.root, "training_config") is not None
        return {**found, "verified": reader.verified, "weights": list(_weights(reader))}


def _weights(source: Source) -> Iterator[dict[str, Any]]:
    for place, entry in source.entries():
        yield {"place": place, "shape": list(entry.shape), "dtype": entry.dtype}


def _with_totals(found: dict[str, Any]) -> dict[str, Any]:
    """How many values the model has, the optimizer's and the states of metrics apart."""
    totals = {"parameters": 0, "optimizer_values": 0}
    for weight in found["weights"]:
        count = 1
        for axis in weight["shape"]:
            count *= axis
        beside = weight["place"].startswith(("optimizer", "metrics/"))
        totals["optimizer_values" if beside else "parameters"] += count
    return {**found, **totals}


# ---- Showing ----


def _show(found: Mapping[str, Any]) -> None:
    lines = []

    def line(name: str, text: Any) -> None:
        lines.append(f"{name:>16}  {text}")

    for key in ("file", "bytes", "sha256", "keras_version", "date_saved", "class", "name", "compiled"):
        if found.get(key) is not None:
            line(key.replace("_", " "), _printable(found[key]))
    line("checksums", "all as they should be" if found["verified"] else "the file has none")
    for key in ("parameters", "optimizer_values"):
        line(key.replace("_", " "), f"{found[key]:,}")
    if found.get("custom"):
        line("custom", f"{_printable(', '.join(found['custom']))}: pass them as custom_objects to load it")
    if found.get("bytecode"):
        line("bytecode", f"{found['bytecode']} functions, which are not run: pass them as custom_objects")
    layers = list(_flat_layers(found.get("layers") or []))
    lines += _table(found.get("members") or [], ("name", "bytes", "crc32"))
    lines += _table(layers, ("name", "class", "input_shape", "trainable"))
    lines += _table(found["weights"], ("place", "shape", "dtype"))
    sys.stdout.write("\n".join(lines) + "\n")


def _flat_layers(layers: list[dict[str, Any]], depth: int = 0) -> Iterator[dict[str, Any]]:
    for layer in layers:
        yield {**layer, "name": "  " * depth + str(layer["name"])}
        yield from _flat_layers(layer["layers"], depth + 1)


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> list[str]:
    """The lines of a table; by hand, for files have thousands of rows and none is to be wrapped."""
    if not rows:
        return []
    head = [column.replace("_", " ") for column in columns]
    cells = [head, *([_printable(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return ["", lines[0], "  ".join("─" * width for width in widths), *lines[1:]]


def _printable(value: Any) -> str:
    """Text of a file without what a terminal would obey."""
    text = str(value)[:500]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
