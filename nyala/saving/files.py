"""`save_model`, `load_model`, `save_weights`, `load_weights`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from nyala.core import config
from nyala.core.config import custom_object_scope
from nyala.models.making import making
from nyala.models.model import Model
from nyala.saving import archive, flat, shards
from nyala.saving.config import make
from nyala.saving.hdf5 import open_hdf5
from nyala.saving.legacy import (
    SUFFIXES,
    compile_as_before,
    load_legacy_model,
    load_legacy_weights,
    make_old,
    save_legacy_model,
)
from nyala.saving.sources import open_weights
from nyala.saving.weights import load_weights_from, write_weights
from nyala.saving.writing import write_hdf5


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
    """Save a model to a `.keras` file: how it is made, its weights, how it was compiled, the optimizer's state.

    The file appears at once and whole, or the old one stays. Raises ValueError for another suffix, FileExistsError
    where a file is there, `overwrite` is False and nobody can be asked.

    Example:
        >>> import os, tempfile
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.keras")
        ...     nyala.saving.save_model(model, path)
        ...     nyala.saving.load_model(path).output_shape
        (None, 2)
    """
    legacy_options = {name: kwargs.pop(name) for name in ("include_optimizer", "save_format") if name in kwargs}
    if kwargs:
        raise TypeError(f"save_model() takes no argument {sorted(kwargs)[0]!r}.")
    if not isinstance(model, Model):
        raise TypeError(f"save_model() takes a Model, but got a {type(model).__name__}.")
    path = archive.path_of(filepath)
    if path.suffix in SUFFIXES and not path.name.endswith(".weights.h5"):
        if archive.may_write(path, overwrite):
            save_legacy_model(model, path, legacy_options.get("include_optimizer", True))
        return
    if path.suffix != ".keras":
        raise ValueError(
            f"A model is saved to a file that ends in `.keras`, or in `.h5` as Keras 2 wrote it, but got {path.name!r}."
        )
    if legacy_options:
        raise TypeError(f"save_model() takes {sorted(legacy_options)[0]!r} for `.h5` files only.")
    if zipped is False:
        raise ValueError("A model is saved to one `.keras` file; a folder (zipped=False) is not written.")
    if not archive.may_write(path, overwrite):
        return
    with config.sharing():
        description = config.serialize_object(model)
    archive.write_archive(path, description, lambda file: write_weights(model, file))


def load_model(
    filepath: Any, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Any:
    """Load the model that `save_model` wrote, or Keras 3: weights, compilation and the optimizer's state included.

    A file is data: a name in it means one of Nyala's own classes and functions, what is registered, or what
    `custom_objects` says. Bytecode never runs, so `safe_mode=False` changes nothing. Raises ValueError that says what
    is wrong with the file, FileNotFoundError where there is none.
    """
    path = archive.path_of(filepath)
    if path.suffix in SUFFIXES and not path.name.endswith(".weights.h5"):
        with custom_object_scope(custom_objects):
            return load_legacy_model(path, compile)
    if path.suffix != ".keras" and not path.is_dir():
        raise ValueError(f"A model is loaded from a file that ends in `.keras` or `.h5`, but got {path.name!r}.")
    with archive.open_archive(path) as file, custom_object_scope(custom_objects), ExitStack() as stack:
        description, where = file.config(), f"{path}, member {archive.CONFIG}"
        is_old = str(file.metadata().get("keras_version", "3")).startswith("2")  # tf.keras wrote such files too
        weights = stack.enter_context(open_hdf5(stack.enter_context(file.weights()), str(path)))
        stack.enter_context(making(weights.capacity, str(path), blank=True))
        compiled = description.pop("compile_config", None) if is_old or not compile else None
        model = make_old(description, "2", where) if is_old else make(description, where)
        if not isinstance(model, Model):
            raise ValueError(f"{path} holds no model, but a {type(model).__name__}.")
        if compile and compiled is not None:
            compile_as_before(model, {**compiled, "optimizer_config": compiled.get("optimizer")}, str(path))
        load_weights_from(model, weights, with_optimizer=compile)
    return model


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
) -> None:
    """Save the weights, and the optimizer's state, to a file that appears whole or not at all.

    The suffix says how: `.weights.h5` as the reference, `.npz` or `.safetensors`. With `max_shard_size`, in GB, they go
    to several `.weights.h5` files and a `.weights.json` that says what is where. Raises ValueError for another suffix,
    FileExistsError where a file is there, `overwrite` is False and nobody can be asked.
    """
    if kwargs:
        raise TypeError(f"save_weights() takes no argument {sorted(kwargs)[0]!r}.")
    path = archive.path_of(filepath)
    if max_shard_size is not None:
        if not path.name.endswith((".weights.h5", shards.SUFFIX)):
            raise ValueError(f"Weights in shards go to a file that ends in `.weights.json`, but got {path.name!r}.")
        if archive.may_write(path.with_name(path.name.replace(".weights.h5", shards.SUFFIX)), overwrite):
            shards.write_shards(model, path, int(max_shard_size * 2**30))
    elif path.suffix in flat.WRITERS:
        if archive.may_write(path, overwrite):
            flat.WRITERS[path.suffix](model, path)
    elif not path.name.endswith(".weights.h5"):
        raise ValueError(
            f"Weights are saved to a file that ends in `.weights.h5`, `.npz` or `.safetensors`, but got {path.name!r}."
        )
    elif archive.may_write(path, overwrite):
        with archive.atomic_write(path) as file, write_hdf5(file) as weights:
            write_weights(model, weights)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Load weights from a file that `save_weights` or `save` wrote, here or in Keras, into a model of the same structure.

    Everything is compared first; a ValueError names all that is missing, left over or of another shape or dtype, and
    nothing is assigned. With `skip_mismatch` that becomes a warning, and the rest is loaded.
    """
    by_name = bool(kwargs.pop("by_name", False))
    if kwargs:
        raise TypeError(f"load_weights() takes no argument {sorted(kwargs)[0]!r}.")
    path = archive.path_of(filepath)
    is_legacy = path.suffix in SUFFIXES and not path.name.endswith(".weights.h5")
    if by_name and not is_legacy:
        raise ValueError("by_name is for `.h5` files of Keras 2; other files are matched by structure.")
    if is_legacy:
        load_legacy_weights(model, path, by_name, skip_mismatch)
        return
    with open_weights(path) as source:
        load_weights_from(model, source, skip_mismatch)
