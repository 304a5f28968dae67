"""`Functional`: a model that is a recorded graph of layers and ops between symbolic inputs and outputs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Any

from nyala.core import config, graph, tensor, tree
from nyala.core.config import revive, serialize
from nyala.core.graph import FunctionCall, Operation
from nyala.core.layer import Layer
from nyala.core.tensor import KerasTensor, mask_of
from nyala.layers.input import InputLayer, fit_input, wrong_shape
from nyala.models.making import made_from_config, required
from nyala.models.model import Model
from nyala.models.operations import bind_call, call_arguments, is_operation, read_operation, write_operation


class Functional(Model):
    """A model defined by its symbolic inputs and outputs; `Model(inputs, outputs)` makes one.

    Inputs and outputs are tensors, lists or dicts of them. Raises ValueError where an output does not come from the
    inputs.

    Example:
        >>> import nyala
        >>> x = nyala.Input((3,))
        >>> model = nyala.Model(x, nyala.layers.Dense(2)(x))
        >>> [layer.name for layer in model.layers][-1].startswith("dense")
        True
    """

    untracked = Model.untracked | {"_nodes", "_inputs_struct", "_outputs_struct", "_inputs", "_outputs", "_operations"}

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", None)
        Layer.__init__(self, name=name, **kwargs)
        self._start_trainer()
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self._inputs: list[KerasTensor] = tree.flatten(inputs)
        self._outputs: list[KerasTensor] = tree.flatten(outputs)
        self._nodes = graph.connected(self._inputs, self._outputs, self.name)
        self._operations = list({id(n.operation): n.operation for n in self._nodes}.values())
        self._graph_layers = [item for item in self._operations if isinstance(item, Layer)]
        self._run_order = [n for n in self._nodes if not n.is_input]
        names = [operation.name for operation in self._operations]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(
                f"The layers of a model have names of their own, but in `{self.name}` {twice} stand for several; pass "
                "another `name=` to one of them."
            )
        self.supports_masking = True
        self.built = True
        self._path = self.name
        if trainable is not None:
            self.trainable = trainable

    @property
    def operations(self) -> list[Operation]:
        """The layers and function calls of the graph, in the order in which they run."""
        return list(self._operations)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs, flat."""
        return list(self._inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs, flat."""
        return list(self._outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs, in their structure."""
        return self._inputs_struct

    @property
    def output(self) -> Any:
        """The symbolic outputs, in their structure."""
        return self._outputs_struct

    @property
    def input_shape(self) -> Any:
        """The shape of the input, or a list of those of the flat inputs."""
        shapes = [x.shape for x in self._inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of those of the flat outputs."""
        shapes = [x.shape for x in self._outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs."""
        return [x._keras_history[0].name if x._keras_history else x.name for x in self._inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the layers that give the outputs; those of a dict are its keys."""
        return [x._keras_history[0].name for x in self._outputs]

    def build(self, input_shape: Any) -> None:
        """Nothing to do: a graph is built as it is recorded."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        values = dict(zip(map(id, self._inputs), self._standardized(inputs, mask), strict=True))
        results = graph.replay(self._run_order, values, self._outputs_struct, lambda operation: operation)
        return results[0] if self._lists_one_output() else results

    def _lists_one_output(self) -> bool:
        """Whether the outputs are a list of one tensor: values come without the list then, symbolic tensors with it."""
        outputs = self._outputs_struct
        return isinstance(outputs, (list, tuple)) and len(outputs) == 1 and outputs[0] is self._outputs[0]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for inputs of `input_shape`."""
        return Layer.compute_output_shape(self, input_shape)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the outputs, as KerasTensors."""
        first = tree.flatten(args[0] if args else next(iter(kwargs.values())))
        same = len(first) == len(self._inputs) and all(
            getattr(x, "shape", None) == y.shape for x, y in zip(first, self._inputs)
        )
        if same:  # what was found when the graph was recorded holds
            return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype, x.sparse, x.ragged), self._outputs_struct)
        names = ("inputs", "training", "mask")
        found = self._trace_output_spec({**dict(zip(names, args)), **kwargs})
        return type(self._outputs_struct)([found]) if self._lists_one_output() else found

    def _standardized(self, inputs: Any, mask: Any = None) -> list[Any]:
        """The values for the graph's inputs: in order, of the right rank, with their masks."""
        flat = self._in_order(inputs)
        masks = [None] * len(flat) if mask is None else tree.flatten(mask)
        return [self._fitted(x, y, m) for x, y, m in zip(flat, self._inputs, masks, strict=True)]

    def _in_order(self, inputs: Any) -> list[Any]:
        structure = self._inputs_struct
        if isinstance(inputs, Mapping):
            keys = sorted(structure) if isinstance(structure, Mapping) else self.input_names
            missing = [key for key in keys if key not in inputs]
            if missing:
                raise ValueError(f"`{self.name}` got no input {missing}; it takes {keys} and got {sorted(inputs)}.")
            return [inputs[key] for key in keys]
        flat = tree.flatten(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(flat) != len(self._inputs):
            raise ValueError(
                f"`{self.name}` takes {len(self._inputs)} inputs, {self.input_names}, but got {len(flat)}."
            )
        return flat

    def _fitted(self, x: Any, symbol: KerasTensor, mask: Any) -> Any:
        """One input as the graph wants it."""
        if x is None:
            return None
        fits = fit_input(x, symbol, self.name)
        if not tensor.shape_equal(tensor.static_shape(fits)[1:], symbol.shape[1:]):
            raise wrong_shape(x, symbol, self.name)
        mask = mask_of(x) if mask is None else mask
        if mask is not None and mask_of(fits) is None:
            fits._keras_mask = mask
        return fits

    # ---- Config: layers, the calls between them, inputs and outputs ----

    def get_config(self) -> dict[str, Any]:
        if type(self).__init__ is not Functional.__init__:
            return super().get_config()  # a subclass is made by its own constructor
        places = self._node_places()
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [
                *(_input_config(x) for x in self._inputs if id(x) in places),
                *(self._operation_config(operation, places) for operation in self._operations),
            ],
            "input_layers": tree.map_structure(lambda x: _reference(x, places), self._inputs_struct),
            "output_layers": tree.map_structure(lambda x: _reference(x, places), self._outputs_struct),
        }

    def _node_places(self) -> dict[int, int]:
        """The place of each node among those of its operation in this graph; 0 for inputs from the middle of another."""
        counts: dict[int, int] = {}
        places = {id(x): 0 for x in self._inputs if x.node is None or not x.node.is_input}
        inside = {id(node) for node in self._nodes}
        for operation in self._operations:
            for node in operation.inbound_nodes:
                if id(node) in inside:
                    places[id(node)] = counts.get(id(operation), 0)
                    counts[id(operation)] = places[id(node)] + 1
        return places

    def _operation_config(self, operation: Operation, places: dict[int, int]) -> dict[str, Any]:
        if isinstance(operation, FunctionCall):
            calls = [call_arguments(operation)]
            data = write_operation(operation)
        else:
            nodes = [node for node in operation.inbound_nodes if id(node) in places and not node.is_input]
            calls = [(node.args, node.kwargs) for node in nodes]
            data = config.serialize_object(operation)
        data["name"] = operation.name
        data["inbound_nodes"] = [_call_data(args, kwargs, places) for args, kwargs in calls]
        return data


def _call_data(args: Any, kwargs: Mapping[str, Any], places: dict[int, int]) -> dict[str, Any]:
    """A call of the graph as data. The reference writes `training` for each call, so ours says where it is meant."""
    data: dict[str, Any] = {
        "args": [_with_references(x, places) for x in args],
        "kwargs": {key: _with_references(x, places) for key, x in kwargs.items()},
    }
    if kwargs.get("training") is not None:
        data["explicit"] = ["training"]
    return data


def _input_config(x: KerasTensor) -> dict[str, Any]:
    """The entry of an input that is a tensor from the middle of another graph: in a file an input of its own."""
    data = {"batch_shape": list(x.shape), "dtype": x.dtype, "sparse": x.sparse, "ragged": x.ragged, "name": x.name}
    names = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None}
    return {**names, "config": {**data, "optional": False}, "name": x.name, "inbound_nodes": []}


def _reference(x: KerasTensor, places: dict[int, int]) -> list[Any]:
    if id(x) in places:
        return [x.name, 0, 0]
    operation, _, tensor_index = x._keras_history
    return [operation.name, places.get(id(x.node), 0), tensor_index]


def _with_references(value: Any, places: dict[int, int]) -> Any:
    """An argument of a recorded call as data: a tensor by where it comes from."""
    if isinstance(value, KerasTensor):
        history = _reference(value, places)
        described = {"shape": list(value.shape), "dtype": value.dtype, "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": described}
    if isinstance(value, (list, tuple)):
        return [_with_references(item, places) for item in value]
    if isinstance(value, dict):
        return {key: _with_references(item, places) for key, item in value.items()}
    return serialize(value)


def from_graph_config(cls: Any, data: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Replay the calls that a config lists, in any order in which their inputs are there.

    Raises ValueError that says which part of the config is missing or of another kind.
    """
    where = f"The config of the model {str(data.get('name'))[:100]!r}"
    entries = _checked_entries(required(data, "layers", (list, tuple), where), where)
    with config.custom_object_scope(custom_objects), made_from_config(where):
        operations = {entry["name"]: _read(entry) for entry in entries}
        results = _replay(entries, operations)
    ends = [required(data, key, (list, tuple, Mapping), where) for key in ("input_layers", "output_layers")]
    inputs, outputs = (_map_references(lambda reference: _found(results, *reference), value) for value in ends)
    model = cls(inputs=inputs, outputs=outputs, name=data.get("name"))
    model._trainable = bool(data.get("trainable", True))  # each layer brought its own
    return model


def _checked_entries(entries: Any, where: str) -> list[Mapping[str, Any]]:
    """The layers that a config lists, if each has a name of its own, a class, a config and calls."""
    names: set[str] = set()
    for place, entry in enumerate(entries):
        here = f"{where}, layer {place},"
        name = required(entry, "name", str, here)
        if name in names:
            raise ValueError(f"{where} has more than one layer named {name[:100]!r}.")
        names.add(name)
        required(entry, "class_name", str, here)
        required(entry, "config", Mapping, here)
        for call in required(entry, "inbound_nodes", (list, tuple), here):
            required(call, "args", (list, tuple), f"{here} in a call")
            required(call, "kwargs", Mapping, f"{here} in a call")
    return list(entries)


Results = dict[tuple[str, int], list[Any]]  # a layer's name and the number of the call → the tensors that it gave


def _replay(entries: list[Mapping[str, Any]], operations: Mapping[str, Any]) -> Results:
    """Do all calls, as if in rounds through the list in each of which those are done whose inputs are there."""
    results: Results = {
        (entry["name"], 0): tree.flatten(operations[entry["name"]].output)
        for entry in entries
        if isinstance(operations[entry["name"]], InputLayer)
    }
    calls = [(entry, place, call) for entry in entries for place, call in enumerate(entry["inbound_nodes"])]
    missing: list[set[tuple[str, int]]] = []  # for each call, what it needs that is not there yet
    waiting: dict[tuple[str, int], list[int]] = {}  # what calls need → their numbers
    for number, (entry, place, call) in enumerate(calls):
        needs = {*_needs(call), *([(entry["name"], place - 1)] if place else [])} - results.keys()
        missing.append(needs)
        for need in needs:
            waiting.setdefault(need, []).append(number)
    ready = [(0, number) for number, needs in enumerate(missing) if not needs]
    while ready:
        turn, number = heapq.heappop(ready)
        entry, place, call = calls[number]
        name, operation = entry["name"], operations[entry["name"]]
        args, kwargs = _call_arguments(operation, entry, call, results)
        results[name, place] = tree.flatten(operation(*args, **kwargs))
        for other in waiting.pop((name, place), ()):
            missing[other].discard((name, place))
            if not missing[other]:
                heapq.heappush(ready, (turn + (other < number), other))
    left = {entry["name"] for (entry, _, _), needs in zip(calls, missing) if needs}
    if left:
        raise ValueError(f"The calls of {_listed(sorted(left))} in the config refer to tensors that nothing gives.")
    return results


def _listed(names: list[str]) -> str:
    return str([name[:100] for name in names[:20]])[:-1] + (", …]" if len(names) > 20 else "]")


def _found(results: Results, name: str, place: int, index: Any) -> Any:
    """The tensor that a reference stands for."""
    tensors = results.get((name, place))
    if tensors is None or type(index) is not int or not 0 <= index < len(tensors):
        raise ValueError(
            f"The config refers to the tensor {index!r} of call {place!r} of the layer {name[:100]!r}, which nothing gives."
        )
    return tensors[index]


def _history(value: Mapping[str, Any]) -> tuple[str, int, Any]:
    """Where a tensor in a config comes from."""
    settings: Any = value.get("config")
    history = settings.get("keras_history") if isinstance(settings, Mapping) else None
    if isinstance(history, (list, tuple)) and len(history) == 3:
        name, place, index = history
        if isinstance(name, str) and type(place) is int:
            return name, place, index
    raise ValueError(f"A tensor in the config comes from {str(history)[:100]!r}, which is no layer, call and number.")


def _read(entry: Mapping[str, Any]) -> Any:
    """The layer or op of an entry, still without its calls."""
    if is_operation(entry):
        return read_operation(entry)
    return config.deserialize({key: value for key, value in entry.items() if key not in ("inbound_nodes", "name")})


def _call_arguments(operation: Any, entry: Mapping[str, Any], call: Mapping[str, Any], results: Any) -> Any:
    """The arguments of a call that a config describes."""
    args, kwargs = _resolved(call["args"], results), _resolved(call["kwargs"], results)
    if is_operation(entry):
        return bind_call(operation, entry["config"], args, kwargs)
    if kwargs.get("training") is False and "training" not in call.get("explicit", ()):
        del kwargs["training"]  # the default of the moment in which the reference recorded the call
    return args, kwargs


def _is_tensor_data(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def _needs(value: Any) -> Iterator[tuple[str, int]]:
    """The calls whose results stand among the arguments of a call."""
    if _is_tensor_data(value):
        yield _history(value)[:2]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _needs(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _needs(item)


def _resolved(value: Any, results: Results) -> Any:
    if _is_tensor_data(value):
        return _found(results, *_history(value))
    if config.is_serialized(value):
        return revive(value)
    if isinstance(value, Mapping):
        return {key: _resolved(item, results) for key, item in value.items()}
    return [_resolved(item, results) for item in value] if isinstance(value, (list, tuple)) else value


def _map_references(symbol: Any, value: Any) -> Any:
    """`symbol` of each `[name, node, tensor]` in a structure of them."""
    if isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return symbol(value)
    if isinstance(value, Mapping):
        return {key: _map_references(symbol, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_map_references(symbol, item) for item in value]
    raise ValueError(f"An input or output in the config is {str(value)[:100]!r}, which is no layer, call and number.")


config.models.add(Functional)
