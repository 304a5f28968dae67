"""Weights in HDF5: which place in a file belongs to which variable, writing them, and reading them with care.

An object's own variables stand in the group `vars` under its path; the path follows attributes, `layers` and places in
lists, as the reference lays files out. Everything is compared before the first variable is assigned.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nyala.core.config import is_ours
from nyala.core.layer import Layer
from nyala.core.tracking import to_snake_case
from nyala.core.variable import Variable
from nyala.models.functional import Functional
from nyala.models.model import Model
from nyala.models.sequential import Sequential

MAX_OBJECTS = 1_000_000  # groups and arrays in a file that are looked at
_FILTERS = {1, 2, 3}  # deflate, shuffle, checksum: what HDF5 itself brings
_KINDS = "biuf"  # of NumPy's dtypes: whole numbers, booleans, floats

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


def write_weights(model: Any, file: Any) -> None:
    """Write all variables to an open file, one after the other."""
    import h5py

    with h5py.File(file, "w") as root:
        for path, item in places(model):
            group = root.create_group(f"{path}/vars" if path else "vars")
            group.attrs["name"] = str(getattr(item, "name", ""))
            store = _Writer(group)
            if hasattr(item, "save_own_variables"):
                item.save_own_variables(store)
            else:
                store["0"] = item.state.numpy()


class _Writer(dict[str, Any]):
    """What `save_own_variables` fills: each array goes to the file at once."""

    def __init__(self, group: Any) -> None:
        super().__init__()
        self._group = group

    def __setitem__(self, key: str, value: Any) -> None:
        array = np.asarray(value)
        if array.dtype.kind == "V" or array.dtype.name.startswith(("float8", "bfloat16", "int4", "uint4")):
            name = array.dtype.name
            data = self._group.create_dataset(key, data=array.view(f"V{array.dtype.itemsize}"))
            data.attrs["dtype"] = name
        else:
            self._group.create_dataset(key, data=array)
        super().__setitem__(key, None)


# ---- Reading ----


def load_weights_from(
    model: Any, file: Any, where: str, skip_mismatch: bool = False, with_optimizer: bool = True
) -> None:
    """Assign what an open file holds; a ValueError that names everything that does not fit, before any assignment."""
    import h5py

    try:
        root = h5py.File(file, "r")
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"{where} is no HDF5 file, or it is cut short: {error}.") from None
    with root:
        reader = _Reader(root, where)
        plan = _match(model, reader, with_optimizer)
        if plan.faults and not skip_mismatch:
            raise ValueError(_list_faults(where, plan.faults))
        if plan.faults:
            warnings.warn(_list_faults(where, plan.faults) + " The rest was loaded.", stacklevel=4)
        for variable, data in plan.assignments:
            variable.assign(reader.array(data))
        for item, group in plan.own_way:
            item.load_own_variables(_Store(reader, group))


class _Plan:
    """What is to be assigned, and what is wrong."""

    def __init__(self) -> None:
        self.assignments: list[tuple[Variable, Any]] = []
        self.own_way: list[tuple[Any, Any]] = []  # layers with a `load_own_variables` of their own
        self.faults: list[str] = []


def _match(model: Any, reader: _Reader, with_optimizer: bool) -> _Plan:
    plan = _Plan()
    expected: set[str] = set()
    for path, item in places(model):
        in_optimizer = path == "optimizer" or path.startswith("optimizer/")
        group_path = f"{path}/vars" if path else "vars"
        expected.add(group_path)
        if in_optimizer and not with_optimizer:
            continue
        group = reader.group(group_path)
        variables = own_variables(item)
        if variables is None:
            if group is not None and len(group):
                plan.own_way.append((item, group))
            continue
        pairs, faults = _pair(reader, group_path, group, variables, item)
        if in_optimizer and (faults or group is None):
            if group is not None and len(group) > 2:
                _warn_of_optimizer(reader.where, faults)
            else:
                plan.assignments += pairs  # saved before the first step: the count and the learning rate
        elif getattr(item, "kind", "") == "seed_generator":
            plan.assignments += [] if faults else pairs  # files of the reference hold none
        else:
            plan.assignments += pairs
            plan.faults += faults
    plan.faults += reader.extra(expected, "optimizer" if model_optimizer(model) is None or not with_optimizer else None)
    return plan


def model_optimizer(model: Any) -> Any:
    """The optimizer of a model; None for a layer, or before `compile`."""
    return getattr(model, "optimizer", None)


def _warn_of_optimizer(where: str, faults: list[str]) -> None:
    warnings.warn(
        f"The state of the optimizer in {where} does not fit the model and was left out: {'; '.join(faults[:3])}.",
        stacklevel=6,
    )


def _pair(
    reader: _Reader, path: str, group: Any, variables: list[Variable], item: Any
) -> tuple[list[tuple[Variable, Any]], list[str]]:
    """Each variable with its array, and what is wrong with them."""
    pairs, faults = [], []
    for place, variable in enumerate(variables):
        data = None if group is None else reader.dataset(group, str(place))
        if data is None:
            faults.append(f"missing {path}/{place} for `{variable.path}` of shape {variable.shape}")
            continue
        dtype = reader.dtype_of(data)
        if tuple(data.shape) != tuple(variable.shape):
            faults.append(f"{path}/{place} has shape {data.shape} for `{variable.path}` of shape {variable.shape}")
        elif _family(dtype) != _family(variable.dtype):
            faults.append(f"{path}/{place} has dtype {dtype} for `{variable.path}` of dtype {variable.dtype}")
        else:
            pairs.append((variable, data))
    unbuilt = isinstance(item, Layer) and not item.built
    for place in range(len(variables), 0 if group is None else len(group)):
        hint = f"; `{item.name}` is not built: call the model on data first" if unbuilt else ""
        faults.append(f"extra {path}/{place}{hint}")
    return pairs, faults


def _family(dtype: str) -> str:
    return "float" if "float" in dtype else "integer" if "int" in dtype else dtype


def _list_faults(where: str, faults: list[str]) -> str:
    shown = faults[:50] + ([f"and {len(faults) - 50} more"] if len(faults) > 50 else [])
    return f"{where} does not fit the model: {'; '.join(shown)}."


class _Reader:
    """An HDF5 file of which only plain groups and plain arrays are touched: no links, no other files, no objects."""

    def __init__(self, root: Any, where: str) -> None:
        self.root, self.where = root, where

    def _child(self, group: Any, name: str) -> Any:
        """What hangs under `name`; None where there is nothing."""
        import h5py

        try:
            if not group.id.links.exists(name.encode()):
                return None
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(
                    f"{self.where}: {group.name}/{name} is a link to another place, which is not followed."
                )
            return group[name]
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(f"{self.where} is damaged at {group.name}/{name}: {error}.") from None

    def group(self, path: str) -> Any:
        """The group at `path`; None where there is none."""
        import h5py

        found = self.root
        for name in path.split("/"):
            found = self._child(found, name)
            if found is None:
                return None
            if not isinstance(found, h5py.Group):
                raise ValueError(f"{self.where}: {path} should be a group, but it is a {type(found).__name__}.")
        return found

    def dataset(self, group: Any, name: str) -> Any:
        """The array `name` of a group, checked but not read; None where there is none."""
        import h5py

        data = self._child(group, name)
        if data is None:
            return None
        place = f"{self.where}: {group.name}/{name}"
        if not isinstance(data, h5py.Dataset):
            raise ValueError(f"{place} should be an array, but it is a {type(data).__name__}.")
        creation = data.id.get_create_plist()
        if data.is_virtual or creation.get_external_count():
            raise ValueError(f"{place} keeps its values in other files, which are not opened.")
        filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
        if not filters <= _FILTERS:
            raise ValueError(f"{place} is packed with an unknown filter.")
        if data.dtype.kind not in _KINDS and self._named_dtype(data) is None:
            raise ValueError(f"{place} holds {data.dtype}, but weights are numbers.")
        return data

    def _named_dtype(self, data: Any) -> str | None:
        """The small float that NumPy knows as so many bytes."""
        if data.dtype.kind != "V" or data.dtype.names or data.dtype.subdtype:
            return None
        try:
            name = data.attrs["dtype"]
        except (KeyError, OSError, TypeError):
            return None
        sizes = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1, "uint4": 1}
        return name if isinstance(name, str) and sizes.get(name) == data.dtype.itemsize else None

    def dtype_of(self, data: Any) -> str:
        """The name of an array's dtype."""
        return self._named_dtype(data) or data.dtype.name

    def array(self, data: Any) -> np.ndarray:
        """The values of a checked array."""
        try:
            values = data[()]
        except (OSError, RuntimeError, MemoryError) as error:
            raise ValueError(f"{self.where} is damaged at {data.name}: {error}.") from None
        name = self._named_dtype(data)
        return np.asarray(values) if name is None else np.asarray(values).view(np.dtype(name))

    def extra(self, expected: set[str], ignored: str | None) -> list[str]:
        """The arrays in groups where the model has no object."""
        from h5py import Group, h5o  # pyright: ignore[reportAttributeAccessIssue]

        faults: list[str] = []
        seen: set[int] = set()
        stack: list[tuple[str, Any]] = [("", self.root)]
        while stack:
            path, group = stack.pop()
            if path in expected or path == ignored or path.endswith("seed_generator"):
                continue
            address = h5o.get_info(group.id).addr
            if address in seen or len(seen) > MAX_OBJECTS:
                continue
            seen.add(address)
            for name in group:
                child = self._child(group, name)
                place = f"{path}/{name}" if path else name
                if isinstance(child, Group):
                    stack.append((place, child))
                else:
                    faults.append(f"extra {place}")
        return faults


class _Store(Mapping[str, Any]):
    """What a `load_own_variables` of somebody's own reads from: arrays, each checked before it is read."""

    def __init__(self, reader: _Reader, group: Any) -> None:
        self._reader, self._group = reader, group

    def __getitem__(self, key: str) -> Any:
        data = self._reader.dataset(self._group, key)
        if data is None:
            raise KeyError(key)
        size = data.size * data.dtype.itemsize
        if size > 1 << 20 and size > 1000 * max(data.id.get_storage_size(), 1):
            raise ValueError(f"{self._reader.where}: {data.name} claims {size:,} bytes that the file does not hold.")
        return self._reader.array(data)

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)
