"""Weights in HDF5: which place in a file belongs to which variable, writing them, and reading them with care.

An object's own variables stand in the group `vars` under its path; the path follows attributes, `layers` and places in
lists, as the reference lays files out. Everything is compared before the first variable is assigned.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from nyala.core.config import is_ours
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.tracking import to_snake_case
from nyala.core.variable import Variable, stateless_scope
from nyala.models.functional import Functional
from nyala.models.making import fill_others, taken_over, tensor_bytes
from nyala.models.model import Model
from nyala.models.sequential import Sequential
from nyala.saving.hdf5 import Entry, Source, Store
from nyala.saving.memory import is_aligned, np_dtype
from nyala.saving.writing import HDF5Writer

# ---- Which objects keep variables, and where ----


def places(root: Any) -> Iterator[tuple[str, Any]]:
    """Every object inside `root` that keeps variables, behind its path in a file; each once, where it is first met."""
    seen: set[int] = set()
    yield from _places_of(root, "", seen)


def _places_of(owner: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    seen.add(id(owner))
    yield path, owner
    for name, value in _attributes(owner):
        yield from _places_in(value, f"{path}/{name}" if path else name, seen)


def _places_in(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if _keeps_variables(value):
        if id(value) not in seen:
            yield from _places_of(value, path, seen)
    elif isinstance(value, (list, tuple, set, frozenset, Mapping)):
        names: Counter[str] = Counter()
        for item in _items(value):
            is_container = isinstance(item, (list, tuple, set, frozenset, Mapping))
            if not is_container and not _keeps_variables(item):
                continue
            name = "container" if is_container else to_snake_case(_class_of(item).__name__)
            count = names[name]
            names[name] += 1
            yield from _places_in(item, f"{path}/{name}_{count}" if count else f"{path}/{name}", seen)


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=lambda item: str(getattr(item, "name", "")))
    return list(value)


def _class_of(item: Any) -> type:
    return getattr(type(item), "written_as", type(item))


def _keeps_variables(value: Any) -> bool:
    """Whether a value is a layer, an optimizer or a seed generator."""
    if isinstance(value, type):
        return False
    return hasattr(type(value), "save_own_variables") or getattr(value, "kind", "") == "seed_generator"


_OF_MODELS = ("layers", "optimizer")  # what a model answers though no attribute holds it, or one that is not walked


def _attributes(owner: Any) -> list[tuple[str, Any]]:
    """What may hold objects: attributes, and properties of the class's own; public names first, each group sorted."""
    untracked = getattr(owner, "untracked", frozenset())
    found = {name: value for name, value in vars(owner).items() if name not in untracked}
    for cls in type(owner).__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, property) and name not in found and not _is_base(cls):
                try:
                    found[name] = getattr(owner, name)
                except Exception:
                    continue
    if isinstance(owner, Model):
        found.update((name, getattr(owner, name)) for name in _OF_MODELS)
    first = "layers" if isinstance(owner, (Functional, Sequential)) else ""
    return sorted(found.items(), key=lambda item: (item[0] != first, item[0].startswith("_"), item[0]))


def _is_base(cls: type) -> bool:
    """Whether the properties of a class are the ones that every layer, model or optimizer has."""
    return cls is object or cls.__module__.startswith(
        ("nyala.core.", "nyala.models.", "nyala.training.", "nyala.optimizers.")
    )


def own_variables(item: Any) -> list[Variable] | None:
    """The variables behind "0", "1", … of an object's group; None where its class reads them in its own way."""
    if getattr(item, "kind", "") == "seed_generator":
        return [item.state]
    load = type(item).load_own_variables
    if isinstance(item, Layer):
        return item._own_variables() if load is Layer.load_own_variables else None
    return list(item.variables) if is_ours(load) else None


# ---- Writing ----


def write_weights(model: Any, file: HDF5Writer) -> None:
    """Write all variables to an HDF5 file, one after the other."""
    for path, item in places(model):
        _save_own(item, file.group(group_path(path), str(getattr(item, "name", ""))))


def group_path(path: str) -> str:
    """Where the variables of the object at `path` stand."""
    return f"{path}/vars" if path else "vars"


def own_arrays(model: Any) -> Iterator[tuple[str, str, dict[str, np.ndarray]]]:
    """Of each object that keeps variables: where they stand, its name, and their values by name."""
    for path, item in places(model):
        store: dict[str, Any] = {}
        _save_own(item, store)
        found = {key: np.asarray(value) for key, value in store.items()}
        yield group_path(path), str(getattr(item, "name", "")), found


def _save_own(item: Any, store: Any) -> None:
    variables = own_variables(item)
    if variables is None or not _saves_plainly(item):
        item.save_own_variables(store)
        return
    for place, variable in enumerate(variables):
        store[str(place)] = array_of(variable)


def _saves_plainly(item: Any) -> bool:
    """Whether what an object puts into a file is its variables one after the other."""
    save = getattr(type(item), "save_own_variables", None)
    if save is None:
        return True  # a seed generator
    is_changed = getattr(item, "lora_enabled", False) or getattr(item, "quantization_mode", None) is not None
    return is_ours(save) and not is_changed


def array_of(variable: Variable) -> np.ndarray:
    """The values of a variable where they lie, not a copy: to be read before anybody assigns."""
    try:
        return np.asarray(memoryview(tf.convert_to_tensor(variable._value)))
    except (ValueError, TypeError):  # a dtype that Python has no letter for
        return variable.numpy()


# ---- Reading ----


def load_weights_from(model: Any, source: Source, skip_mismatch: bool = False, with_optimizer: bool = True) -> None:
    """Assign what a file holds; a ValueError that names everything that does not fit, before any assignment."""
    plan = _match(model, source, with_optimizer)
    plan.carry_out(source.where, skip_mismatch)


class Plan:
    """What is to be assigned, and what is wrong."""

    def __init__(self) -> None:
        self.assignments: list[tuple[Variable, Entry]] = []
        self.layers: list[Layer] = []  # those whose variables are assigned
        self.own_way: list[tuple[Any, Mapping[str, Entry]]] = []  # layers with a `load_own_variables` of their own
        self.faults: list[str] = []

    def carry_out(self, where: str, skip_mismatch: bool) -> None:
        """Assign, if nothing is wrong or it does not matter."""
        if self.faults and not skip_mismatch:
            raise ValueError(_list_faults(where, self.faults))
        if self.faults:
            warnings.warn(_list_faults(where, self.faults) + " The rest was loaded.", stacklevel=6)
        blank = fill_others([variable for variable, _ in self.assignments])
        for variable, entry in self.assignments:
            assign(variable, entry, id(variable) in blank)
        for layer in self.layers:
            layer._after_loading()
        for item, group in self.own_way:
            item.load_own_variables(Store(group, where))


_LARGE = 1 << 20  # bytes: a larger array becomes the memory of a variable that is made out of its file, uncopied
_IN_PARTS = 8 << 20  # bytes: a larger array goes in parts to a variable that has memory already


def assign(variable: Variable, entry: Entry, is_blank: bool = False) -> None:
    """Give a variable the values of an array in a file; `is_blank` where it has taken no memory yet."""
    size = tensor_bytes(variable.shape, variable.dtype)
    in_parts = size > _IN_PARTS and not is_blank and entry.dtype == variable.dtype and _can_be_filled(variable)
    if in_parts and entry.parts is not None:
        _fill(variable, entry.parts, size // (variable.shape[0] or 1))
        return
    array = entry.read()
    if array.nbytes < _LARGE or array.dtype.name != variable.dtype or not is_aligned(array):
        variable.assign(array)
    else:
        variable.assign(taken_over(array.reshape(-1).view(np.uint8), array.shape, variable.dtype))


def _can_be_filled(variable: Variable) -> bool:
    """Whether a variable is one piece of memory here, which is not another's at the moment."""
    value = variable._value
    return isinstance(value, tf.Variable) and not hasattr(value, "values") and stateless_scope() is None


def _fill(variable: Variable, parts: Callable[[int], Iterator[np.ndarray]], width: int) -> None:
    """Write the rows of an array, each so many bytes, into a variable, some at a time."""
    place = 0
    for part in parts(max(1, _IN_PARTS // 2 // width) * width):
        rows = part.view(np_dtype(variable.dtype)).reshape(-1, *variable.shape[1:])
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=variable.handle, begin=[place], end=[place + len(rows)], strides=[1], value=rows
        )  # `variable[...].assign` would read, and so copy, all of it
        place += len(rows)
    # Writing to a part turns on what makes reading slow.
    tf.raw_ops.DisableCopyOnRead(resource=variable.handle)


def _match(model: Any, source: Source, with_optimizer: bool) -> Plan:
    plan = Plan()
    expected: set[str] = set()
    for path, item in places(model):
        in_optimizer = path == "optimizer" or path.startswith("optimizer/")
        place = group_path(path)
        expected.add(place)
        if in_optimizer and not with_optimizer:
            continue
        group = source.group(place)
        variables = own_variables(item)
        if variables is None:
            if group:
                plan.own_way.append((item, group))
            continue
        if path == "optimizer" and group is not None and len(group) == len(variables) - 1:
            # tf.keras had it apart.
            variables = [v for v in variables if v is not getattr(item, "_learning_rate", None)]
        pairs, faults = _pair(place, group, variables, item)
        if in_optimizer and (faults or group is None):
            if group is not None and len(group) > 2:
                _warn_of_optimizer(source.where, faults)
            else:
                plan.assignments += pairs  # saved before the first step: the count and the learning rate
        elif getattr(item, "kind", "") == "seed_generator":
            plan.assignments += [] if faults else pairs  # files of the reference hold none
        else:
            plan.assignments += pairs
            plan.faults += faults
            plan.layers += [item] if isinstance(item, Layer) and not faults else []
    ignored = "optimizer" if model_optimizer(model) is None or not with_optimizer else None
    plan.faults += _extra(source, expected, ignored)
    return plan


def _extra(source: Source, expected: set[str], ignored: str | None) -> list[str]:
    """The arrays in places where the model has no object."""

    def known(path: str) -> bool:
        beside = ignored is not None and (path == ignored or path.startswith(f"{ignored}/"))
        # tf.keras kept metrics.
        state = path == "metrics" or path.endswith("seed_generator") or "seed_generator/" in path
        return beside or path in expected or state

    return [f"extra {place}" for place in source.places(known)]


def model_optimizer(model: Any) -> Any:
    """The optimizer of a model; None for a layer, or before `compile`."""
    return getattr(model, "optimizer", None)


def _warn_of_optimizer(where: str, faults: list[str]) -> None:
    warnings.warn(
        f"The state of the optimizer in {where} does not fit the model and was left out: {'; '.join(faults[:3])}.",
        stacklevel=6,
    )


def _pair(
    path: str, group: Mapping[str, Entry] | None, variables: list[Variable], item: Any
) -> tuple[list[tuple[Variable, Entry]], list[str]]:
    """Each variable with its array, and what is wrong with them."""
    pairs, faults = [], []
    for place, variable in enumerate(variables):
        entry = None if group is None else group.get(str(place))
        if entry is None:
            faults.append(f"missing {path}/{place} for `{variable.path}` of shape {variable.shape}")
        elif fault := mismatch(entry, variable):
            faults.append(f"{path}/{place} {fault}")
        else:
            pairs.append((variable, entry))
    unbuilt = isinstance(item, Layer) and not item.built
    for place in range(len(variables), 0 if group is None else len(group)):
        hint = f"; `{item.name}` is not built: call the model on data first" if unbuilt else ""
        faults.append(f"extra {path}/{place}{hint}")
    return pairs, faults


def mismatch(entry: Entry, variable: Variable) -> str:
    """What keeps an array from being the value of a variable; empty where nothing does."""
    if entry.shape != tuple(variable.shape):
        return f"has shape {entry.shape} for `{variable.path}` of shape {variable.shape}"
    if _family(entry.dtype) != _family(variable.dtype):
        return f"has dtype {entry.dtype} for `{variable.path}` of dtype {variable.dtype}"
    return ""


def _family(dtype: str) -> str:
    return "float" if "float" in dtype else "integer" if "int" in dtype else dtype


def _list_faults(where: str, faults: list[str]) -> str:
    shown = faults[:50] + ([f"and {len(faults) - 50} more"] if len(faults) > 50 else [])
    return f"{where} does not fit the model: {'; '.join(shown)}."
