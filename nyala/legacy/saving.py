"""Objects as data in the short form of Keras 2: a class by its name, a function as a text."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nyala.core.config import custom_object as _found
from nyala.core.config import custom_object_scope, is_serialized, registered_name, serialize
from nyala.saving.config import make

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


def serialize_keras_object(instance: Any) -> Any:
    """An object as its class's name and its config, a function as its name; None stays None.

    Raises ValueError for what has no config, TypeError for a class.

    Example:
        >>> import nyala
        >>> from nyala.legacy.saving import serialize_keras_object
        >>> serialize_keras_object(nyala.regularizers.L1(0.5))
        {'class_name': 'L1', 'config': {'l1': 0.5}}
    """
    if instance is None:
        return None
    if isinstance(instance, type):
        raise TypeError(f"An object is written as data, but got the class {instance.__name__}; make one of it.")
    if hasattr(instance, "get_config"):
        return {"class_name": registered_name(type(instance)), "config": serialize(instance.get_config())}
    if inspect.isfunction(instance) or inspect.isbuiltin(instance):
        return registered_name(instance)
    raise ValueError(f"{instance!r} cannot be written as data: it has no `get_config`.")


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """The object that a name or the data of `serialize_keras_object` stands for; None and functions stay as they are.

    Names mean what `custom_objects`, the registered objects and `module_objects` say, then Nyala's own classes; nothing
    is imported and no bytecode runs. `printable_module_name` says in messages what was looked for. Raises ValueError
    for an unknown name and for anything else.

    Example:
        >>> import nyala
        >>> from nyala.legacy.saving import deserialize_keras_object
        >>> deserialize_keras_object({"class_name": "L1", "config": {"l1": 0.5}}).l1
        0.5
    """
    if identifier is None or inspect.isfunction(identifier) or inspect.isbuiltin(identifier):
        return identifier
    with custom_object_scope({**(module_objects or {}), **(custom_objects or {})}):
        if isinstance(identifier, str):
            found = _found(identifier)
            if found is None:
                raise ValueError(
                    f"There is no {printable_module_name} called {identifier[:100]!r} among `custom_objects`, the "
                    "registered objects and `module_objects`."
                )
            return found() if isinstance(found, type) else found
        if is_serialized(identifier):
            return make(identifier, f"The config of the {printable_module_name}")
    raise ValueError(
        f"As {printable_module_name} a name or a dict with `class_name` and `config` is expected, but got "
        f"{str(identifier)[:100]}."
    )
