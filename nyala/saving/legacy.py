"""`.h5` files of Keras 1, 2, 3 and tf.keras: whole models, and weights alone.

Such a file has the model as JSON in the attribute `model_config`, how it was compiled in `training_config`, and under
`model_weights` (in a file of weights: at the top) a group for each layer, whose attribute `weight_names` says in which
order the arrays stand: what can be trained first, then the rest. Read with the same care as any other file.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nyala.core import config
from nyala.core.variable import Variable
from nyala.models.functional import Functional
from nyala.models.making import making
from nyala.models.operations import is_operation
from nyala.models.sequential import Sequential
from nyala.saving import archive
from nyala.saving.config import checked, make
from nyala.saving.hdf5 import Entry, Reader, open_hdf5
from nyala.saving.legacy_config import compile_config, layer_name, upgrade
from nyala.saving.weights import Plan, array_of, assign, mismatch
from nyala.saving.writing import HDF5Writer, write_hdf5

SUFFIXES = (".h5", ".hdf5")
_MAX_ATTRIBUTE = 60_000  # bytes that HDF5 keeps in an attribute; longer lists are written in parts

# ---- Reading ----


def load_legacy_model(path: Path, compile: bool) -> Any:
    """The model in an `.h5` file, with its weights; compiled, if that can be restored."""
    with (
        archive.open_file(path) as file,
        open_hdf5(file, str(path)) as reader,
        making(reader.capacity, str(path), blank=True),
    ):
        text = reader.text(reader.root, "model_config")
        if text is None:
            raise ValueError(f"{path} holds no model: if it holds weights, make the model and call `load_weights`.")
        description = archive.read_json(text.encode(), f"{path}, attribute model_config")
        version = reader.text(reader.root, "keras_version") or "2"
        model = make_old(description, version, f"{path}, attribute model_config")
        if not isinstance(model, (Sequential, Functional)):
            raise ValueError(f"{path} holds no model, but a {type(model).__name__}.")
        match_layers(model, reader, "model_weights", by_name=False, same=True).carry_out(str(path), False)
        training = reader.text(reader.root, "training_config")
        if compile and training is not None:
            settings = archive.read_json(training.encode(), f"{path}, attribute training_config")
            done = compile_as_before(model, settings, str(path))
            if done and model.optimizer is not None and reader.find("optimizer_weights") is not None:
                _load_optimizer(model.optimizer, reader)
    return model


def make_old(description: Mapping[str, Any], version: str, where: str) -> Any:
    """The object that a config of an older version describes."""
    try:
        description = upgrade(checked(description, where), old=not version.startswith("3"))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        text = str(error) if str(error).startswith(where) else f"{where}: {error}"
        raise ValueError(text[:1200]) from error
    return make(description, where)


def load_legacy_weights(model: Any, path: Path, by_name: bool, skip_mismatch: bool) -> None:
    """Assign the weights in an `.h5` file layer by layer: in order, or to the layers of the same name."""
    with archive.open_file(path) as file, open_hdf5(file, str(path)) as reader:
        base = "model_weights" if reader.find("model_weights") is not None else ""
        match_layers(model, reader, base, by_name).carry_out(str(path), skip_mismatch)


@dataclass(frozen=True)
class _Stored:
    """A layer in a file: its name and its arrays in order."""

    name: str
    entries: list[Entry]


def _stored_layers(reader: Reader, base: str) -> list[_Stored]:
    group = reader.find(base)
    names = None if group is None else reader.texts(group, "layer_names")
    if names is None:
        raise ValueError(f"{reader.where} lists no layers, so it holds no weights of a model.")
    _refuse_twice(names, reader)
    return [_Stored(name, _entries(reader, f"{base}/{name}" if base else name)) for name in names]


def _refuse_twice(names: list[str], reader: Reader) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(f"{reader.where} lists {twice[:100]!r} more than once.")


def _entries(reader: Reader, place: str) -> list[Entry]:
    """The arrays of a group in the order of its attribute `weight_names`."""
    group = reader.find(place)
    if group is None:
        raise ValueError(f"{reader.where} lists {place!r}, but there is no such group.")
    found = []
    names = reader.texts(group, "weight_names") or []
    _refuse_twice(names, reader)
    for name in names:
        folder, _, last = f"{place}/{name}".rpartition("/")
        holder = reader.find(folder)
        entry = None if holder is None else reader.entry(holder, last)
        if entry is None:
            raise ValueError(f"{reader.where} lists {place}/{name}, but there is no such array.")
        found.append(entry)
    return found


def _in_order(layer: Any) -> list[Variable]:
    """A layer's variables in the order of these files."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def match_layers(model: Any, reader: Reader, base: str, by_name: bool, same: bool = False) -> Plan:
    """What to assign to which variable; `same` where the model was made from this very file."""
    plan = Plan()
    stored = [layer for layer in _stored_layers(reader, base) if layer.entries]
    layers = [layer for layer in model.layers if _in_order(layer)]
    names = {layer.name: layer for layer in layers}
    if by_name:
        pairs = [(names[there.name], there) for there in stored if there.name in names]
    elif same and {layer_name(there.name) for there in stored} == names.keys():
        pairs = [(names[layer_name(there.name)], there) for there in stored]
    else:
        pairs = list(zip(layers, stored))
        if len(layers) != len(stored):
            plan.faults.append(
                f"it holds {len(stored)} layers with weights ({_listed(there.name for there in stored)}), the model "
                f"has {len(layers)} ({_listed(names)})"
            )
    for layer, there in pairs:
        _match_layer(plan, layer.name, _in_order(layer), there)
    top = f"{base}/top_level_model_weights" if base else "top_level_model_weights"
    own = [v for v in _in_order(model) if not any(v is other for layer in layers for other in layer.weights)]
    if not by_name and reader.find(top) is not None:
        _match_layer(plan, model.name, own, _Stored(top, _entries(reader, top)))
    return plan


def _listed(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _match_layer(plan: Plan, name: str, variables: list[Variable], there: _Stored) -> None:
    entries = _without_cudnn(there.entries, variables)
    if len(entries) != len(variables):
        plan.faults.append(f"{there.name} holds {len(entries)} arrays for `{name}` with {len(variables)} weights")
        return
    for entry, variable in zip(entries, variables):
        if fault := mismatch(entry, variable):
            plan.faults.append(f"{entry.place.lstrip('/')} {fault}")
        else:
            plan.assignments.append((variable, entry))


# ---- Weights of CuDNNLSTM and CuDNNGRU ----


def _without_cudnn(entries: list[Entry], variables: list[Variable]) -> list[Entry]:
    """The arrays as an LSTM or GRU keeps them, where they come from the layers that were for graphics cards only."""
    if len(entries) != len(variables):
        return entries
    found = list(entries)
    for place, (bias, variable) in enumerate(zip(entries, variables)):
        shape: tuple[Any, ...] = tuple(variable.shape)
        halves = len(bias.shape) == 1 and len(shape) == 1 and bias.shape[0] == 2 * shape[0]  # LSTM: (8 U,) for (4 U,)
        rows = len(bias.shape) == 1 and len(shape) == 2 and shape[0] == 2 and bias.shape[0] == 2 * shape[1]  # GRU
        if place >= 2 and (halves or rows) and len(entries[place - 1].shape) == 2:
            gates = 4 if halves else 3
            kernel, recurrent = entries[place - 2], entries[place - 1]
            found[place - 2] = _changed(kernel, kernel.shape, lambda k, g=gates: _by_gate(k, g, _of_column_order))
            found[place - 1] = _changed(recurrent, recurrent.shape, lambda k, g=gates: _by_gate(k, g, np.transpose))
            found[place] = _changed(bias, shape, _summed if halves else lambda b: b.reshape(2, -1))
    return found


def _changed(entry: Entry, shape: tuple[int, ...], change: Any) -> Entry:
    return Entry(entry.place, shape, entry.dtype, entry.stored, lambda: change(entry.read()))


def _by_gate(kernel: np.ndarray, gates: int, change: Any) -> np.ndarray:
    return np.concatenate([change(part) for part in np.split(kernel, gates, axis=1)], axis=1)


def _of_column_order(part: np.ndarray) -> np.ndarray:
    """The matrix of one gate, whose values stand in the file column by column."""
    return np.ascontiguousarray(part).reshape(part.shape[::-1]).T


def _summed(bias: np.ndarray) -> np.ndarray:
    """The two biases of each gate, of the input and of the state, which are added anyway."""
    return bias[: len(bias) // 2] + bias[len(bias) // 2 :]


# ---- How it was compiled, and the state of the optimizer ----


def compile_as_before(model: Any, training: Mapping[str, Any], where: str) -> bool:
    """Compile as the file says; a warning where that cannot be, for the model predicts without."""
    try:
        settings = compile_config(training)
        with config.sharing():
            model.compile_from_config(settings)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        model._compiled = None
        warnings.warn(
            f"The model in {where} is not compiled, because its loss, metrics or optimizer cannot be restored: "
            f"{error} It predicts; call `compile` to train or evaluate it.",
            stacklevel=4,
        )
        return False
    return True


def _load_optimizer(optimizer: Any, reader: Reader) -> None:
    names = reader.texts(reader.find("optimizer_weights"), "weight_names") or []
    entries = _entries(reader, "optimizer_weights")
    variables = list(optimizer.variables)
    without_rate = [v for v in variables if v is not getattr(optimizer, "_learning_rate", None)]
    if len(entries) <= 2:  # saved before the first step: the count and the learning rate
        variables, without_rate = variables[: len(entries)], without_rate[: len(entries)]
    if len(without_rate) == 1 and len(entries) > 2:
        entries = entries[:1]  # the reference keeps states that a momentum of 0 does not need
    for order in _orders(names, entries, len(without_rate)):
        for wanted in (variables, without_rate):
            if len(order) == len(wanted) and not any(mismatch(e, v) for e, v in zip(order, wanted)):
                for entry, variable in zip(order, wanted):
                    assign(variable, entry)
                return
    if len(entries) > 2:
        warnings.warn(
            f"The state of the optimizer in {reader.where} does not fit `{optimizer.name}` and was left out.",
            stacklevel=6,
        )


_SLOTS = {"m", "v", "vhat", "momentum", "rms", "mg", "accumulator", "accum_grad", "accum_var", "linear"}


def _orders(names: Sequence[str], entries: list[Entry], wanted: int) -> Iterator[list[Entry]]:
    """The arrays in the orders that optimizers have had: variable by variable, or one kind of state after the other."""
    kinds: dict[str, list[Entry]] = {}
    for name, entry in zip(names[1:], entries[1:]):
        kinds.setdefault(name.rsplit("/", 1)[-1].split(":")[0], []).append(entry)
    last = kinds.pop("vhat", [])  # behind all others
    if kinds and kinds.keys() <= _SLOTS:
        rows = list(kinds.values())
    elif any("/Variable" in name for name in names):  # Keras 2.0 to 2.2 gave no names
        full = [entry for entry in entries[1:] if entry.shape != (1,) or len(entries) == wanted]
        half = len(full) // 2
        rows = [full[:half], full[half:]] if len(full) == wanted - 1 and _alike(full[:half], full[half:]) else [full]
    else:
        yield entries
        return
    if len({len(row) for row in rows}) == 1:
        yield entries[:1] + [entry for together in zip(*rows) for entry in together] + last


def _alike(one: list[Entry], other: list[Entry]) -> bool:
    return [entry.shape for entry in one] == [entry.shape for entry in other]


# ---- Writing ----


def save_legacy_model(model: Any, path: Path, include_optimizer: bool) -> None:
    """Write a Sequential or Functional model to an `.h5` file, as Keras 3 still does."""
    if not isinstance(model, (Sequential, Functional)) or hasattr(type(model), "written_as"):
        raise ValueError(
            f"`{model.name}` cannot be saved to {path.name!r}: an `.h5` file holds Sequential and Functional models, and "
            f"this is a {type(model).__name__}. Save it to a `.keras` file."
        )
    with config.sharing():
        description = {"class_name": type(model).__name__, "config": _plain(model.get_config())}
        training = _training_config(model) if include_optimizer else None
    with archive.atomic_write(path) as file, write_hdf5(file) as hdf5:
        _write_model(model, hdf5, description, training)


def _write_model(model: Any, file: HDF5Writer, description: Mapping[str, Any], training: Any) -> None:
    root, about = file.root, {"keras_version": archive.FORMAT_VERSION, "backend": "tensorflow"}
    weights = root.create_group("model_weights")
    for group in (root, weights):
        group.attrs.update(about)
    root.attrs["model_config"] = json.dumps(description)
    _write_names(weights, "layer_names", [layer.name for layer in _written_layers(model)])
    for layer in _written_layers(model):
        _write_group(file, f"model_weights/{layer.name}", _in_order(layer))
    inside = {id(v) for layer in model.layers for v in layer.weights}
    _write_group(file, "model_weights/top_level_model_weights", [v for v in _in_order(model) if id(v) not in inside])
    if training is not None:
        root.attrs["training_config"] = json.dumps(training)
        if model.optimizer is not None:
            _write_group(file, "optimizer_weights", list(model.optimizer.variables))


def _written_layers(model: Any) -> list[Any]:
    return [layer for layer in model.layers if layer.name]


def _write_names(group: Any, attribute: str, names: list[str]) -> None:
    """A list of names, in parts where it is too long for one attribute."""
    longest = max((len(name.encode()) for name in names), default=1)
    count = max(1, _MAX_ATTRIBUTE // max(longest, 16))
    parts = [names[start : start + count] for start in range(0, len(names), count)]
    for place, part in enumerate(parts or [[]]):
        group.attrs[attribute if len(parts) < 2 else f"{attribute}{place}"] = np.array([n.encode() for n in part], "S")


def _write_group(file: HDF5Writer, place: str, variables: list[Variable]) -> None:
    arrays = file.group(place)
    names: list[str] = []
    for variable in variables:
        name, count = variable.path or variable.name, 0
        while name in names:
            count += 1
            name = f"{variable.path}_{count}"
        names.append(name)
        arrays[name] = _plain_array(variable)
    _write_names(arrays.group, "weight_names", names)


def _plain_array(variable: Variable) -> np.ndarray:
    array = array_of(variable)
    if array.dtype.kind == "V" or array.dtype.name not in np.sctypeDict:
        raise ValueError(f"`{variable.path}` is {array.dtype}, which `.h5` files do not know; save to a `.keras` file.")
    return array


def _plain(data: Any) -> Any:
    """A model's config as these files have it: layers without modules; a class of one's own under its full name."""
    layers = []
    for entry in data["layers"]:
        if is_operation(entry):
            layers.append(entry)  # without its module it would be taken for a layer
            continue
        name = entry.get("registered_name") or entry["class_name"]
        inside = entry["config"]
        is_model = isinstance(inside, Mapping) and isinstance(inside.get("layers"), list)
        new = {"class_name": name, "config": _plain(inside) if is_model else inside}
        layers.append({**new, **{key: entry[key] for key in ("name", "inbound_nodes") if key in entry}})
    return {**data, "layers": layers}


def _training_config(model: Any) -> dict[str, Any] | None:
    settings = model.get_compile_config()
    if settings is None:
        return None
    optimizer = settings.pop("optimizer", None)
    settings = {key: _short(value) for key, value in settings.items()}
    return settings if optimizer is None else {**settings, "optimizer_config": _short(optimizer)}


def _short(value: Any) -> Any:
    if isinstance(value, Mapping) and {"class_name", "config", "registered_name"} <= value.keys():
        if value["class_name"] == "function":
            return value["config"]
        return {"class_name": value["registered_name"] or value["class_name"], "config": value["config"]}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return {key: _short(item) for key, item in value.items()} if isinstance(value, Mapping) else value
