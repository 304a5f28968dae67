"""`KerasFileEditor`: look into a file of weights, compare it with a model, change what it holds, save it as another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from nyala.saving import archive
from nyala.saving.hdf5 import SMALL_TYPES, Entry, Store, open_hdf5
from nyala.saving.writing import write_hdf5

Weights = dict[str, dict[str, np.ndarray]]  # the place of an object → its arrays by name


class KerasFileEditor:
    """The weights of a `.keras` or `.weights.h5` file, to be looked at, compared and changed.

    An object is named by its path in the file, `layers/dense`, or by its last part where only one has it. Nothing is
    made of what the file says, so a file whose layers are unknown can be edited too; the file itself stays as it is
    until `save` writes another. Raises ValueError for another kind of file and for paths that are not in it.

    Example:
        >>> import os, tempfile
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.weights.h5")
        ...     model.save_weights(path)
        ...     editor = nyala.saving.KerasFileEditor(path)
        ...     editor.rename_object("dense", "first")
        ...     sorted(editor.weights)
        ['layers/first']
    """

    def __init__(self, filepath: Any) -> None:
        self.filepath = archive.path_of(filepath)
        self.metadata: dict[str, Any] | None = None
        self.config: dict[str, Any] | None = None
        self.weights: Weights = {}
        self._names: dict[str, str] = {}  # the place of an object → the name that it had in the model
        with ExitStack() as stack:
            if self.filepath.name.endswith(".weights.h5"):
                file = stack.enter_context(archive.open_file(self.filepath))
            elif self.filepath.suffix == ".keras":
                keras_file = stack.enter_context(archive.open_archive(self.filepath))
                self.metadata, self.config = keras_file.metadata(), keras_file.config()
                file = stack.enter_context(keras_file.weights())
            else:
                raise ValueError(f"A `.keras` or `.weights.h5` file can be edited, but got {self.filepath.name!r}.")
            self._read(stack.enter_context(open_hdf5(file, str(self.filepath))))

    def _read(self, reader: Any) -> None:
        for place in reader.places(lambda path: False):
            folder, _, key = place.rpartition("/")
            path = _object_of(folder)
            group = reader.find(folder)
            self._names.setdefault(path, reader.text(group, "name") or "")
            self.weights.setdefault(path, {})[key] = Store(_One(reader.entry(group, key), key), str(self.filepath))[key]

    # ---- Looking ----

    def summary(self) -> None:
        """Print the objects in the file with their arrays."""
        from rich.console import Console
        from rich.tree import Tree

        tree = Tree(f"{self.filepath.name}: {_count(self.weights):,} values")
        branches: dict[str, Any] = {"": tree}
        for path, arrays in self.weights.items():
            parts = path.split("/") if path else []
            for depth in range(1, len(parts) + 1):
                here, above = "/".join(parts[:depth]), "/".join(parts[: depth - 1])
                if here not in branches:
                    branches[here] = branches[above].add(_plain(parts[depth - 1]))
            for key, array in sorted(arrays.items(), key=lambda item: _by_number(item[0])):
                branches[path].add(_plain(f"{key}: shape={array.shape}, dtype={array.dtype.name}"))
        Console(highlight=False, markup=False).print(tree)

    def compare(self, reference_model: Any) -> dict[str, Any]:
        """Print where the file and a model differ; `{"status": …, "error_count": …, "match_count": …}`."""
        from rich.console import Console

        from nyala.saving.weights import own_arrays

        expected = {_object_of(place): arrays for place, _, arrays in own_arrays(reference_model) if arrays}
        expected = {path: arrays for path, arrays in expected.items() if not path.endswith("seed_generator")}
        faults: list[str] = []
        matches = 0
        for path in sorted(expected.keys() | self.weights.keys()):
            found, wanted = self.weights.get(path, {}), expected.get(path, {})
            if not found or not wanted:
                faults.append(f"{path}: in the {'model' if wanted else 'file'} only, with {sorted(wanted or found)}")
                continue
            for key in sorted(found.keys() | wanted.keys(), key=_by_number):
                if key not in found or key not in wanted:
                    faults.append(f"{path}/{key}: in the {'model' if key in wanted else 'file'} only")
                elif found[key].shape != wanted[key].shape:
                    faults.append(
                        f"{path}/{key}: shape {found[key].shape} in the file, {wanted[key].shape} in the model"
                    )
                else:
                    matches += 1
        console = Console(highlight=False, markup=False, soft_wrap=True)
        for fault in faults:
            console.print(fault)
        console.print(f"{len(faults)} differences, {matches} arrays that fit.")
        return {"status": "error" if faults else "success", "error_count": len(faults), "match_count": matches}

    # ---- Changing ----

    def rename_object(self, object_name: str, new_name: str) -> None:
        """Give an object, and what is inside it, another name."""
        path = self._find(object_name)
        if not new_name or "/" in new_name or not new_name.isprintable():
            raise ValueError(f"A name is printable text without '/', but got {new_name!r}.")
        above = path.rpartition("/")[0]
        target = f"{above}/{new_name}" if above else new_name
        if self._inside(target):
            raise ValueError(f"{self.filepath} has an object {target!r} already.")
        move = {old: target + old[len(path) :] for old in self._inside(path)}
        self.weights = {move.get(old, old): arrays for old, arrays in self.weights.items()}
        self._names = {move.get(old, old): name for old, name in self._names.items()}

    def delete_object(self, object_name: str) -> None:
        """Remove an object and what is inside it."""
        for path in self._inside(self._find(object_name)):
            del self.weights[path]

    def add_object(self, object_path: str, weights: Mapping[str, Any]) -> None:
        """Put an object at a path, with arrays by name."""
        parts = object_path.strip("/").split("/")
        if not all(part and part.isprintable() and part not in (".", "..") for part in parts):
            raise ValueError(f"A path is names with '/' between them, but got {object_path!r}.")
        path = "/".join(parts)
        if self._inside(path):
            raise ValueError(f"{self.filepath} has an object {path!r} already.")
        self.weights[path] = _arrays(weights)

    def add_weights(self, object_name: str, weights: Mapping[str, Any]) -> None:
        """Put further arrays into an object, or others in the place of its own."""
        self.weights.setdefault(self._find(object_name), {}).update(_arrays(weights))

    def delete_weight(self, object_name: str, weight_name: Any) -> None:
        """Remove one array of an object."""
        path = self._find(object_name)
        arrays = self.weights.get(path, {})
        if str(weight_name) not in arrays:
            raise ValueError(f"{path!r} has no weight {str(weight_name)!r}; it has {sorted(arrays, key=_by_number)}.")
        del arrays[str(weight_name)]

    def save(self, filepath: Any) -> None:
        """Write the weights as they are now to a `.weights.h5` file, whole or not at all."""
        from nyala.saving.weights import group_path

        path = archive.path_of(filepath)
        if not path.name.endswith(".weights.h5"):
            raise ValueError(f"Edited weights are saved to a file that ends in `.weights.h5`, but got {path.name!r}.")
        with archive.atomic_write(path) as file, write_hdf5(file) as root:
            for place, arrays in self.weights.items():
                group = root.group(group_path(place), self._names.get(place) or None)
                for key, array in arrays.items():
                    group[key] = array

    def resave_weights(self, filepath: Any) -> None:
        """`save` under its older name."""
        self.save(filepath)

    # ---- Paths ----

    def _inside(self, path: str) -> list[str]:
        """The objects at a path and below it."""
        return [other for other in self.weights if other == path or other.startswith(f"{path}/")]

    def _find(self, name: str) -> str:
        """The path of an object that is named by its path or by its last part."""
        path = name.strip("/")
        if "/" in path:
            found = {path} if self._inside(path) else set()
        else:
            found = {above for other in self.weights for above in _paths_to(other) if above.rpartition("/")[2] == path}
        if len(found) > 1:
            raise ValueError(
                f"{self.filepath} has several objects named {name!r}: {sorted(found)}; give the path of one."
            )
        if not found:
            raise ValueError(f"{self.filepath} has no object {name!r}; it has {sorted(self.weights)[:50]}.")
        return found.pop()


class _One(Mapping[str, Entry]):
    """One array as a group, for what reads groups with care."""

    def __init__(self, entry: Entry, key: str) -> None:
        self._entry, self._key = entry, key

    def __getitem__(self, key: str) -> Entry:
        return self._entry

    def __iter__(self) -> Iterator[str]:
        return iter((self._key,))

    def __len__(self) -> int:
        return 1


def _object_of(place: str) -> str:
    return place.removesuffix("vars").rstrip("/")


def _paths_to(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _arrays(weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    found = {str(key): np.asarray(value) for key, value in weights.items()}
    for key, array in found.items():
        if "/" in key or (array.dtype.kind not in "biuf" and array.dtype.name not in SMALL_TYPES):
            raise ValueError(f"A weight is an array of numbers under a name without '/', but {key!r} is {array.dtype}.")
    return found


def _count(weights: Weights) -> int:
    return sum(array.size for arrays in weights.values() for array in arrays.values())


def _plain(text: str) -> Any:
    """Text of a file, which may hold what terminals or rich would take for more than text."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:200]))


def _by_number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() and len(key) < 9 else (1 << 30, key)
