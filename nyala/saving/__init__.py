"""Saving and loading: models and weights in the container format of Keras 3, objects as data."""

from __future__ import annotations

# What a file may name are the built-in classes and functions, so all of them must have been defined; and `models` comes
# first, because the two need each other.
import nyala.models

import nyala.layers  # isort: skip
import nyala.losses
import nyala.metrics
import nyala.optimizers  # noqa: F401
from nyala.saving.config import (
    CustomObjectScope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from nyala.saving.files import load_model, load_weights, save_model, save_weights

custom_object_scope = CustomObjectScope

__all__ = [
    "CustomObjectScope",
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
