"""Objects as data, and what names may mean.

Two things live here. `Configurable` records the arguments of a constructor once; that record is `get_config`.
`Table` is a closed list of what a name in a string or a file can stand for; nothing is ever imported because a
name says so. What is in no table is looked for among the objects that the running program registered or passed.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from nyala.core.tracking import to_snake_case

C = TypeVar("C", bound="Configurable")


@functools.cache
def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters of a function, read once."""
    return inspect.signature(function)


# ---- Recording constructor arguments ----


class Configurable:
    """The base of whatever can be written to a file and made again: it remembers how it was constructed."""

    _arguments: dict[str, Any]

    def __init__(self) -> None:
        """A class without parameters needs no constructor of its own."""

    def __new__(cls: type[C], *args: Any, **kwargs: Any) -> C:
        """Note the arguments, before any constructor runs."""
        instance = object.__new__(cls)
        try:
            bound = signature_of(cls.__init__).bind(instance, *args, **kwargs)
        except TypeError:
            return instance  # the constructor is about to say the same, better
        bound.apply_defaults()
        instance._arguments = dict(bound.arguments)
        return instance

    def constructor_arguments(self) -> dict[str, Any]:
        """The value of each constructor parameter, and of what came in as `**kwargs`.

        A class of ours keeps each parameter as an attribute of the same name, so there the present value counts; of
        a class from elsewhere nothing is known, so there the recorded argument does.
        """
        init = type(self).__init__
        ours = init.__module__.startswith("nyala.")
        found: dict[str, Any] = {}
        for name, parameter in list(signature_of(init).parameters.items())[1:]:
            recorded = self._arguments.get(name)
            if parameter.kind is parameter.VAR_KEYWORD:
                found.update(recorded or {})
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                found[name] = getattr(self, name, recorded) if ours else recorded
        return found

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data: `from_config` makes an equal object from them."""
        return {name: serialize(value) for name, value in self.constructor_arguments().items()}

    @classmethod
    def from_config(cls: type[C], config: Mapping[str, Any]) -> C:
        """Make the object that `get_config` described."""
        return cls(**{name: revive(value) for name, value in config.items()})


# ---- Tables: the closed list of names ----

tables: dict[str, Table] = {}


class Table:
    """What the names of one kind stand for: its classes and functions, by class name and by snake_case name."""

    def __init__(self, kind: str, module: str, homes: Mapping[str, str] | None = None) -> None:
        self.kind = kind  # for messages: "loss", "optimizer", …
        self.module = module  # what files call its home: "keras.losses", …
        self.homes = homes or {}  # the home of classes that files look for elsewhere
        self.entries: dict[str, Any] = {}
        tables[module] = self

    def add(self, thing: Any, *aliases: str) -> Any:
        """Let `thing`, a class or function, be found by its name, by its name in snake_case and by `aliases`."""
        for name in (thing.__name__, to_snake_case(thing.__name__), *aliases):
            self.entries.setdefault(name, thing)
        return thing

    def get(self, identifier: Any) -> Any:
        """The object that a name, a config, a class or an object stands for; None stays None."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        elif isinstance(identifier, Mapping):
            identifier = deserialize(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier) or isinstance(identifier, Configurable):
            return identifier
        raise ValueError(f"{identifier!r} is no {self.kind}; pass its name, an object of its class or a function.")

    def find(self, name: str) -> Any:
        """The class or function called `name`; a ValueError with the closest known name where there is none."""
        thing = custom_object(name) or self.entries.get(name) or self.entries.get(name.lower())
        if thing is None:
            raise ValueError(f"There is no {self.kind} called {name!r}.{suggestion(name, self.entries)}")
        return thing


def suggestion(name: str, known: Any) -> str:
    """` Did you mean 'x'?` where something known is close to `name`, else the way out for objects of one's own."""
    lowered = {str(candidate).lower(): str(candidate) for candidate in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), 1, 0.6)
    if close:
        return f" Did you mean {lowered[close[0]]!r}?"
    return " An object of your own is found once it is registered with `saving.register_keras_serializable`."


# ---- Objects of the user's own ----


MAX_NAME = 1000  # characters
MAX_SIZE = 2**31 - 1  # of any dimension that a config asks for


class _Scope(threading.local):
    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}


registered: dict[str, Any] = {}  # "package>Name" → class or function
_scope = _Scope()


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let names mean the given classes and functions inside."""
    before, _scope.objects = _scope.objects, {**_scope.objects, **(custom_objects or {})}
    try:
        yield
    finally:
        _scope.objects = before


def custom_object(name: str) -> Any:
    """The user's class or function of that name, plain or with its package (`"package>Name"`); else None."""
    short = name.rsplit(">", 1)[-1]
    for key in (name, short):
        for objects in (_scope.objects, registered):
            if key in objects:
                return objects[key]
    return None


def registered_name(thing: Any) -> str:
    """`"package>Name"` of a registered class or function, else its plain name."""
    for name, other in registered.items():
        if other is thing:
            return name
    return thing.__name__


# ---- Values to data and back ----


def is_ours(thing: Any) -> bool:
    """Whether a class or function is part of this package."""
    return getattr(thing, "__module__", "").split(".")[0] == "nyala"


def module_name(cls: type) -> str:
    """What files call the home of a class: the reference's module for ours, the Python module for a user's."""
    for table in tables.values():
        if table.entries.get(cls.__name__) is cls:
            return table.homes.get(cls.__name__, table.module)
    return cls.__module__


_PLAIN = (bool, int, float, str, type(None))


def serialize(value: Any) -> Any:
    """`value` as JSON's types: an object becomes a dict with its class and its config."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, _PLAIN):
        return value
    if hasattr(value, "get_config") and not isinstance(value, type):
        return serialize_object(value)
    if isinstance(value, (list, tuple)):
        return [serialize(item) for item in value]
    if isinstance(value, Mapping):
        return {key: serialize(item) for key, item in value.items()}
    if isinstance(value, slice):
        parts = {"start": value.start, "stop": value.stop, "step": value.step}
        return {"class_name": "__slice__", "config": serialize(parts)}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(value, bytes):
        return {"class_name": "__bytes__", "config": {"value": value.decode("latin-1")}}
    if isinstance(value, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        return serialize_function(value)
    if hasattr(value, "as_list"):  # tf.TensorShape
        return value.as_list()
    if hasattr(value, "as_datatype_enum"):  # tf.DType
        return value.name
    if hasattr(value, "numpy"):
        array = np.asarray(value.numpy())
        return {"class_name": "__tensor__", "config": {"value": array.tolist(), "dtype": array.dtype.name}}
    raise TypeError(
        f"{value!r} of type {type(value).__name__} cannot be written as data; give its class a `get_config` method "
        "that returns plain values, or override `get_config` of the object that holds it."
    )


def serialize_object(value: Any) -> dict[str, Any]:
    """An object as its class's names and its config; layers add how they were built, models how they were compiled."""
    cls = getattr(type(value), "written_as", type(value))
    plain = is_ours(cls) and cls.__name__ != "Functional"  # for this one the reference's reader wants the name again
    data = {
        "module": module_name(cls),
        "class_name": vars(cls).get("name_in_files", cls.__name__),
        "config": value.get_config(),
        "registered_name": None if plain else registered_name(cls),
    }
    for part in ("build_config", "compile_config"):
        method = getattr(value, f"get_{part}", None)
        extra = method() if method else None
        if extra is not None and (part == "compile_config" or extra):
            data[part] = serialize(extra)
    _mark_shared(value, data)
    return data


class _Sharing(threading.local):
    written: dict[int, tuple[Any, dict[str, Any], int]] | None = None  # id → the object, its description, its number
    made: dict[Any, Any] | None = None  # number in the file → the object made for it


_sharing = _Sharing()


@contextmanager
def sharing() -> Iterator[None]:
    """Inside, what one object was when written is one object when made again; an outer scope goes on."""
    if _sharing.made is not None:
        yield
        return
    before = _sharing.written, _sharing.made
    _sharing.written, _sharing.made = {}, {}
    try:
        yield
    finally:
        _sharing.written, _sharing.made = before


def _mark_shared(value: Any, data: dict[str, Any]) -> None:
    """Give the descriptions of one object that stands at several places the same number."""
    if _sharing.written is None:
        return
    if id(value) in _sharing.written:
        _, first, number = _sharing.written[id(value)]
        data["shared_object_id"] = first["shared_object_id"] = number
    else:
        _sharing.written[id(value)] = (value, data, len(_sharing.written))


def serialize_function(function: Callable[..., Any]) -> Any:
    """A function as its name, plain for an activation of ours; a ValueError for a lambda, which has none."""
    if function.__name__ == "<lambda>":
        raise ValueError(
            "A lambda has no name under which a file could refer to it; write it as a function with `def` and "
            "register that with `saving.register_keras_serializable()`."
        )
    name = registered_name(function)
    if activations.entries.get(name) is function:
        return name
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def is_serialized(value: Any) -> bool:
    """Whether `value` is a dict that stands for an object."""
    return isinstance(value, Mapping) and "class_name" in value and "config" in value


def revive(value: Any) -> Any:
    """Plain data with the objects that stand in it made again."""
    if is_serialized(value):
        return deserialize(value)
    if isinstance(value, list):
        return [revive(item) for item in value]
    if isinstance(value, dict):
        return {key: revive(item) for key, item in value.items()}
    return value


def _array(config: Mapping[str, Any]) -> np.ndarray:
    dtype = np.dtype(config["dtype"])
    if dtype.kind not in "biufc":
        raise ValueError(f"A serialized array must hold numbers, but its dtype is {config['dtype']!r}.")
    return np.array(config["value"], dtype)


def _tensor(config: Mapping[str, Any]) -> Any:
    from nyala.core.engine import tf

    return tf.constant(_array(config))


def _refused(config: Any) -> Any:
    raise ValueError(
        "The file holds a lambda as bytecode, which is a program; it is not run, whatever `safe_mode` says. Write the "
        "function with `def`, register it with `saving.register_keras_serializable()` and save the model again."
    )


VALUES: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "__slice__": lambda config: slice(*(revive(config[part]) for part in ("start", "stop", "step"))),
    "__ellipsis__": lambda config: Ellipsis,
    "__bytes__": lambda config: config["value"].encode("latin-1"),
    "__tuple__": lambda config: tuple(revive(config["value"])),
    "__numpy__": _array,
    "__tensor__": _tensor,
    "__lambda__": _refused,
}


def deserialize(data: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make the object that `serialize` described; names mean what the tables and the user's objects say, no more."""
    if not is_serialized(data):
        return revive(data)
    with custom_object_scope(custom_objects):
        class_name, config = data["class_name"], data["config"]
        if not isinstance(class_name, str):
            raise TypeError(f"The class_name in a config is a string, but got {class_name!r}.")
        if class_name == "function":
            return find_function(config)
        number = data.get("shared_object_id")
        if _sharing.made is not None and isinstance(number, int) and number in _sharing.made:
            return _sharing.made[number]
        instance = VALUES[class_name](config) if class_name in VALUES else _instance(find_class(data), data)
        if _sharing.made is not None and isinstance(number, int):
            _sharing.made[number] = instance
        return instance


def _instance(cls: type, data: Mapping[str, Any]) -> Any:
    """The object of class `cls` that `data` describes, built and compiled as it says."""
    config, described = data["config"], f"The {cls.__name__} in the config"
    if not isinstance(config, Mapping):
        raise ValueError(f"{described} is described by a {type(config).__name__} where a dict is expected.")
    described += f" (named {config['name'][:100]!r})" if isinstance(config.get("name"), str) else ""
    _check_plain(config, described)
    try:
        instance: Any = cls.from_config(config) if hasattr(cls, "from_config") else cls(**config)
        if data.get("build_config") and hasattr(instance, "build_from_config"):
            instance.build_from_config(data["build_config"])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{described} cannot be made: {error}") from error
    if data.get("compile_config") and hasattr(instance, "compile_from_config"):
        instance.compile_from_config(data["compile_config"])
    return instance


def _check_plain(config: Mapping[str, Any], described: str) -> None:
    """Refuse names and sizes that no honest config has."""
    name = config.get("name")
    if isinstance(name, str) and (not name or len(name) > MAX_NAME or not name.isprintable()):
        raise ValueError(f"{described} has a name of {len(name):,} characters that are no name.")
    for key, value in config.items():
        if type(value) is int and value > MAX_SIZE and "seed" not in key and key not in ("salt", "steps"):
            raise ValueError(
                f"{described} has {key}={value if value < 2**63 else 'a huge number'}; at most {MAX_SIZE:,} fit."
            )


def find_class(data: Mapping[str, Any]) -> type:
    """The class a config names: the user's own of that name first, then ours."""
    class_name, registered, module = data["class_name"], data.get("registered_name"), data.get("module")
    found = custom_object(registered) if isinstance(registered, str) else None
    found = found or custom_object(class_name)
    if found is None:
        home = tables.get(module) if isinstance(module, str) else None
        for table in ([home] if home else []) + list(tables.values()):
            found = found or table.entries.get(class_name)
    if not isinstance(found, type):
        raise ValueError(
            f"The class {class_name!r} is not known here. Pass it as `custom_objects={{{class_name!r}: {class_name}}}` "
            "or register it with `saving.register_keras_serializable`."
        )
    return found


def find_function(name: Any) -> Callable[..., Any]:
    """The function a config names."""
    if isinstance(name, str):
        for found in (custom_object(name), *(table.entries.get(name) for table in tables.values())):
            if found is not None and not isinstance(found, type):
                return found
    raise ValueError(f"The function {name!r} is not known here. Pass it as `custom_objects={{{name!r}: function}}`.")


initializers = Table("initializer", "keras.initializers")
regularizers = Table("regularizer", "keras.regularizers")
constraints = Table("constraint", "keras.constraints")
activations = Table("activation", "keras.activations")
losses = Table("loss", "keras.losses")
metrics = Table("metric", "keras.metrics")
optimizers = Table("optimizer", "keras.optimizers")
schedules = Table("learning rate schedule", "keras.optimizers.schedules")
layers = Table("layer", "keras.layers")
policies = Table("dtype policy", "keras")
models = Table(
    "model",
    "keras.models",
    homes={"Functional": "keras.src.models.functional", "Model": "keras", "Sequential": "keras"},
)
