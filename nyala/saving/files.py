"""`save_model`, `load_model`, `save_weights`, `load_weights`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import custom_object_scope
from nyala.models.model import Model
from nyala.saving import archive
from nyala.saving.config import make
from nyala.saving.weights import load_weights_from, write_weights


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
    if kwargs:
        raise TypeError(f"save_model() takes no argument {sorted(kwargs)[0]!r}.")
    if not isinstance(model, Model):
        raise TypeError(f"save_model() takes a Model, but got a {type(model).__name__}.")
    path = archive.path_of(filepath)
    if path.suffix != ".keras":
        raise ValueError(f"A model is saved to a file that ends in `.keras`, but got {path.name!r}.")
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
    if path.suffix != ".keras" and not path.is_dir():
        raise ValueError(f"A model is loaded from a file that ends in `.keras`, but got {path.name!r}.")
    with archive.open_archive(path) as file, custom_object_scope(custom_objects):
        description = file.config()
        if not compile:
            description.pop("compile_config", None)
        try:
            model = make(description, f"{path}, member {archive.CONFIG},")
        except ValueError as error:
            raise error if str(error).startswith(str(path)) else ValueError(f"{path}: {error}") from error
        if not isinstance(model, Model):
            raise ValueError(f"{path} holds no model, but a {type(model).__name__}.")
        with file.weights() as weights:
            load_weights_from(model, weights, str(path), with_optimizer=compile)
    return model


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None, **kwargs: Any
) -> None:
    """Save the weights, and the optimizer's state, to a `.weights.h5` file, whole or not at all.

    Raises ValueError for another suffix, FileExistsError where a file is there, `overwrite` is False and nobody can be
    asked.
    """
    if kwargs:
        raise TypeError(f"save_weights() takes no argument {sorted(kwargs)[0]!r}.")
    path = archive.path_of(filepath)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"Weights are saved to a file that ends in `.weights.h5`, but got {path.name!r}.")
    if max_shard_size is not None:
        raise ValueError("Weights are saved to one file; max_shard_size must be None.")
    if archive.may_write(path, overwrite):
        with archive.atomic_write(path) as file:
            write_weights(model, file)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
    """Load weights from a `.weights.h5` file, or from a `.keras` file, into a model of the same structure.

    Everything is compared first; a ValueError names all that is missing, left over or of another shape or dtype, and
    nothing is assigned. With `skip_mismatch` that becomes a warning, and the rest is loaded.
    """
    if kwargs.pop("by_name", False):
        raise ValueError("by_name is for weights of Keras 2; `.weights.h5` files are matched by structure.")
    if kwargs:
        raise TypeError(f"load_weights() takes no argument {sorted(kwargs)[0]!r}.")
    path = archive.path_of(filepath)
    if path.name.endswith(".weights.h5"):
        with archive.open_file(path) as file:
            load_weights_from(model, file, str(path), skip_mismatch)
    elif path.suffix == ".keras":
        with archive.open_archive(path) as keras_file, keras_file.weights() as file:
            load_weights_from(model, file, str(path), skip_mismatch)
    else:
        raise ValueError(f"Weights are loaded from `.weights.h5` and `.keras` files, but got {path.name!r}.")
