"""Objects as data for callers: the public face of `nyala.core.config`."""

from __future__ import annotations

import inspect
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import VALUES, custom_object, custom_object_scope, is_serialized
from nyala.core.engine import tf
from nyala.models.making import made_from_config
from nyala.models.operations import find_operation, is_operation


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """A decorator for a class or function of your own: files can then refer to it as `package>name`.

    Raises ValueError for a class without `get_config`.

    Example:
        >>> import nyala
        >>> @nyala.saving.register_keras_serializable("demo")
        ... def double(x):
        ...     return 2 * x
        >>> nyala.saving.get_registered_name(double)
        'demo>double'
    """

    def register(thing: Any) -> Any:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(f"{thing.__name__} cannot be registered: give it a `get_config` method first.")
        config.registered[f"{package}>{name or thing.__name__}"] = thing
        return thing

    return register


class CustomObjectScope:
    """Inside `with CustomObjectScope({"name": thing}):` the names in configs and files mean these things.

    Example:
        >>> import nyala
        >>> def triple(x):
        ...     return 3 * x
        >>> with nyala.saving.CustomObjectScope({"triple": triple}):
        ...     nyala.activations.get("triple") is triple
        True
    """

    def __init__(self, custom_objects: Mapping[str, Any] | None) -> None:
        self.custom_objects = dict(custom_objects or {})
        self._entered = threading.local()

    def __enter__(self) -> CustomObjectScope:
        scope = custom_object_scope(self.custom_objects)
        scope.__enter__()
        self._entered.scopes = [*getattr(self._entered, "scopes", []), scope]
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.scopes.pop().__exit__(None, None, None)


def get_custom_objects() -> dict[str, Any]:
    """The classes and functions registered so far, by `package>name`; what is put in is registered."""
    return config.registered


def get_registered_name(obj: Any) -> str:
    """`package>name` of a registered class or function, else its plain name."""
    return config.registered_name(obj)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """The class or function registered as `name`, or given under that name; None where there is none."""
    found = custom_object(name)
    for objects in (custom_objects, module_objects):
        found = found if found is not None or not objects else objects.get(name)
    return found


def serialize_keras_object(obj: Any) -> Any:
    """An object as plain data: a dict with its class and its config, which `deserialize_keras_object` reads.

    Raises TypeError for a value that cannot be data, ValueError for a lambda.

    Example:
        >>> import nyala
        >>> nyala.saving.serialize_keras_object(nyala.regularizers.L1(0.5))["config"]
        {'l1': 0.5}
    """
    data = config.serialize(obj)
    if inspect.isfunction(obj) and isinstance(data, str):  # in a layer's config the name of an activation is enough
        return {"module": "builtins", "class_name": "function", "config": data, "registered_name": "function"}
    return data


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """Make the object that `serialize_keras_object` described.

    A name means one of Nyala's own classes and functions, what is registered, or what `custom_objects` says; nothing is
    imported and no bytecode runs, so `safe_mode` changes nothing. Raises ValueError that lists every unknown name.
    """
    with custom_object_scope({**(kwargs.pop("module_objects", None) or {}), **(custom_objects or {})}):
        return make(config, "The config")


MAX_LAYERS = 10_000  # in one model


def make(data: Any, where: str) -> Any:
    """The object that `data` describes, once every name in it is known; errors begin with `where` it came from."""
    import nyala.layers
    import nyala.losses
    import nyala.metrics
    import nyala.optimizers  # noqa: F401 - their names fill the tables

    data = checked(data, where)
    unknown = unknown_names(data)
    if unknown:
        example = next(iter(unknown)).rsplit(">", 1)[-1]
        raise ValueError(
            f"{where} names what is not known here: {_listed(unknown)}. Pass each as "
            f"`custom_objects={{{example[:100]!r}: …}}`, or register it with `saving.register_keras_serializable` before."
        )
    try:
        with config.sharing(), made_from_config(where):
            return config.deserialize(data)
    except ValueError as error:
        raise ValueError(f"{where}: {_cut(error)}") from error
    except (AttributeError, LookupError, ArithmeticError, RecursionError, tf.errors.OpError) as error:
        raise ValueError(f"{where} describes nothing that can be made: {_cut(error)}") from error


def _listed(names: list[str]) -> str:
    shown = [name[:100] for name in names[:20]] + ([f"and {len(names) - 20} more"] if len(names) > 20 else [])
    return ", ".join(shown)


def _cut(error: Exception) -> str:
    return text if len(text := str(error)) < 1000 else f"{text[:1000]}…"


def checked(data: Any, where: str) -> Any:
    """`data` with the functions of Lambda layers by name; a ValueError for bytecode and for layers beyond number."""
    from nyala.saving.legacy_config import functions_by_name

    if isinstance(data, list):
        return [checked(item, where) for item in data]
    if not isinstance(data, Mapping):
        return data
    layers = data.get("layers")
    if isinstance(layers, list):
        if len(layers) > MAX_LAYERS:
            raise ValueError(f"{where} lists {len(layers):,} layers in one model; at most {MAX_LAYERS:,} are loaded.")
        names = [
            layer["config"].get("name") for layer in layers if is_serialized(layer) and type(layer["config"]) is dict
        ]
        twice = [name for name, count in Counter(n for n in names if isinstance(n, str)).items() if count > 1]
        if twice:
            raise ValueError(f"{where} has more than one layer named {min(twice)[:100]!r}.")
    found = {key: checked(value, where) for key, value in data.items()}
    if found.get("class_name") == "Lambda" and isinstance(found.get("config"), Mapping):
        found["config"] = functions_by_name(found["config"], where)
    return found


def unknown_names(data: Any) -> list[str]:
    """The classes, functions and ops that a config names and nobody here knows, each once."""
    unknown: dict[str, None] = {}
    stack = [data]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            if is_serialized(value) and not _is_known(value):
                unknown[str(value["config"] if value["class_name"] == "function" else value["class_name"])] = None
            stack.extend(reversed(list(value.values())))
        elif isinstance(value, list):
            stack.extend(reversed(value))
    return list(unknown)


def _is_known(value: Mapping[str, Any]) -> bool:
    name = value["class_name"]
    if not isinstance(name, str) or name in VALUES or name == "__keras_tensor__":
        return True  # what is wrong with it is said when it is made
    if is_operation(value):
        return find_operation(value) is not None
    try:
        config.find_function(value["config"]) if name == "function" else config.find_class(value)
    except ValueError:
        return False
    return True
