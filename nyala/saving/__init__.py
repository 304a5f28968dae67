"""Saving and loading: models and weights in the container format of Keras 3, objects as data.

Names load on first use: `nyala inspect` looks into files without TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; at run time `__getattr__` below loads the same
    from nyala.saving.config import (
        CustomObjectScope,
        deserialize_keras_object,
        get_custom_objects,
        get_registered_name,
        get_registered_object,
        register_keras_serializable,
        serialize_keras_object,
    )
    from nyala.saving.config import CustomObjectScope as custom_object_scope  # noqa: N813 - the reference's two names
    from nyala.saving.editor import KerasFileEditor
    from nyala.saving.files import load_model, load_weights, save_model, save_weights

__all__ = [
    "CustomObjectScope",
    "KerasFileEditor",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

_IN_FILES = {"load_model", "load_weights", "save_model", "save_weights"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nyala.saving' has no attribute {name!r}")
    # What a file may name are the built-in classes and functions, so all of them must have been defined.
    for family in ("models", "layers", "losses", "metrics", "optimizers"):
        importlib.import_module(f"nyala.{family}")
    home = "editor" if name == "KerasFileEditor" else "files" if name in _IN_FILES else "config"
    member = "CustomObjectScope" if name == "custom_object_scope" else name
    return getattr(importlib.import_module(f"nyala.saving.{home}"), member)


def __dir__() -> list[str]:
    return list(__all__)
