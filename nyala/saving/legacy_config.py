"""Configs of Keras 2 and tf.keras as configs of today.

A config of old differs in a few ways: layers carry `batch_input_shape` and arguments that are long gone, calls in a
graph are lists `["layer", call, tensor, {arguments}]`, classes and functions have other names. Each way is one rule
here. What an argument that is gone said is dropped where it said nothing (None, False) or meant only speed, and
refused by name where the layer would compute something else without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import custom_object, is_serialized, signature_of
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.saving import legacy_layers  # noqa: F401 - their names fill the table

Config = dict[str, Any]

# ---- Names ----

_CLASSES = {
    "Model": "Functional", "Network": "Functional", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU", "ThresholdedReLU": "ReLU",
    "SyncBatchNormalization": "BatchNormalization", "Policy": "DTypePolicy", "PolicyV1": "DTypePolicy",
    "LossScaleOptimizerV3": "LossScaleOptimizer", "L1L2Regularizer": "L1L2",
}  # fmt: skip
_FUNCTIONS = {"softmax_v2": "softmax", "relu_v2": "relu", "hard_sigmoid": "hard_sigmoid_of_keras_2"}
_ARGUMENTS = {
    "LeakyReLU": {"alpha": "negative_slope"}, "ReLU": {"theta": "threshold"}, "Dropout": {"p": "rate"},
    "InputLayer": {"batch_input_shape": "batch_shape", "input_dtype": "dtype"}, "*": {"lr": "learning_rate"},
}  # fmt: skip

# Gone, whatever they said: they chose among ways to compute the same, or repeat what is known.
_GONE = {
    "implementation", "input_dim", "input_length", "consume_less", "batch_input_shape", "input_dtype", "noise_shape", "fused",
    "groups", "kernel_initializer", "renorm_clipping", "renorm_momentum", "fn", "is_legacy_optimizer", "jit_compile",
    "query_shape", "key_shape", "value_shape", "rng_type", "vocabulary_size", "dynamic", "trainable", "loss_scale", "dtype",
    "ragged", "sparse", "schedule_decay", "input_spec", "output_shape_type", "output_shape_module", "function_type", "module",
}  # fmt: skip


@config.activations.add
def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """`clip(0.2 x + 0.5, 0, 1)`: what the name `hard_sigmoid` meant in Keras 1 and 2; in Keras 3 the slope is 1/6."""
    x = tf.convert_to_tensor(x)
    return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


def upgrade(data: Any, old: bool = True) -> Any:
    """A config as of today: every object in it, at any depth; `old` where Keras 1 or 2 wrote it."""
    if isinstance(data, list):
        return [upgrade(item, old) for item in data]
    if is_serialized(data) and isinstance(data["class_name"], str):
        return _object(data, old)
    if isinstance(data, Mapping):
        return {key: upgrade(value, old) for key, value in data.items()}
    return data


def _object(data: Mapping[str, Any], old: bool) -> Any:
    if data["class_name"].startswith("__") or data["class_name"] in ("function", "Lambda"):
        return dict(data)  # a Lambda is looked at when it is made
    name = _class_name(data["class_name"], data.get("registered_name"))
    rule = _RULES.get(name)
    new: Config = {key: value for key, value in data.items() if key != "config"}
    new["class_name"] = _CLASSES.get(name, name)
    new["config"] = upgrade(rule(data["config"], old) if rule else data["config"], old)
    if isinstance(new["config"], dict) and _is_built_in(new):
        new["config"] = _fitting(new, old)
        new.pop("registered_name", None)
    return new


def _class_name(name: str, registered: Any) -> str:
    """The class's own name: without the package that Keras 2 gave its own optimizers, without `V1` and `V2`."""
    if custom_object(name) or (isinstance(registered, str) and custom_object(registered)):
        return name
    short = name.rsplit(">", 1)[-1]
    for candidate in (short, short[:-2] if short.endswith(("V1", "V2")) else short):
        if candidate in _CLASSES or any(candidate in table.entries for table in config.tables.values()):
            return candidate
    return name


def _is_built_in(data: Mapping[str, Any]) -> bool:
    return not (custom_object(data["class_name"]) or custom_object(str(data.get("registered_name"))))


def _fitting(data: Mapping[str, Any], old: bool) -> Config:
    """The config with the arguments that the class takes today."""
    name, settings = data["class_name"], dict(data["config"])
    for before, now in {**_ARGUMENTS["*"], **_ARGUMENTS.get(name, {})}.items():
        if before in settings:
            settings[now] = settings.pop(before)
    if old:
        for key in ("activation", "recurrent_activation"):
            value = settings.get(key)
            if isinstance(value, str) and not custom_object(value):
                settings[key] = _FUNCTIONS.get(value, value)
    try:
        cls = config.find_class(data)
    except ValueError:
        return settings  # said when it is made
    if name in ("Functional", "Sequential"):
        return settings
    settings = _dtype(settings)
    for key in sorted(settings.keys() - _accepted(cls)):
        value = settings.pop(key)
        if key not in _GONE and value not in (None, False, [], {}):
            raise ValueError(
                f"The {name} {settings.get('name', '')!r} in the file says {key}={value!r}, which no version since "
                "Keras 3 knows; the layer would compute something else without it."
            )
    return settings


def _accepted(cls: type) -> set[str]:
    """The names of the arguments that a constructor takes, and those it may hand on to its bases."""
    found: set[str] = set()
    for place, base in enumerate(base for base in cls.__mro__ if "__init__" in vars(base) and base is not object):
        parameters = signature_of(vars(base)["__init__"]).parameters.values()
        found |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if base is Layer or (place == 0 and not any(p.kind is p.VAR_KEYWORD for p in parameters)):
            break
    return found - {"self"}


def _dtype(settings: Config) -> Config:
    """Policies of Keras 2 were named otherwise; a policy of None said that the inputs decide."""
    dtype: Any = settings.get("dtype")
    is_policy = is_serialized(dtype) and dtype["class_name"] == "DTypePolicy" and isinstance(dtype["config"], Mapping)
    if is_policy and dtype["config"].get("name") in (None, "_infer"):
        settings = {**settings, "dtype": "float32"}
    return settings


# ---- Classes that need more than that ----


def layer_name(name: str) -> str:
    """A layer's name as it can be today: `/` separates names in paths."""
    return name.replace("/", "_")


def _sequential(data: Any, old: bool) -> Config:
    """Bare lists of layers; an Input in front where the first layer knew its shape."""
    data = {"layers": data} if isinstance(data, list) else dict(data)
    layers = list(data.get("layers") or [])
    if old:
        layers = [_renamed(entry) for entry in layers]
    first: Any = layers[0] if layers else None
    if is_serialized(first) and isinstance(first["config"], Mapping):
        shape = first["config"].get("batch_input_shape")
        if shape is not None and first["class_name"] != "InputLayer":
            dtype = "int32" if first["class_name"] == "Embedding" else "float32"
            layers.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": dtype}})
            data.pop("build_input_shape", None)
    return {**data, "layers": layers}


def _renamed(entry: Any) -> Any:
    """A layer's entry with names of today."""
    if not is_serialized(entry) or not isinstance(entry["config"], Mapping):
        return entry
    new = {**entry, "config": dict(entry["config"])}
    for holder in (new, new["config"]):
        if isinstance(holder.get("name"), str):
            holder["name"] = layer_name(holder["name"])
    return new


def _functional(data: Any, old: bool) -> Any:
    if not isinstance(data, Mapping) or not isinstance(data.get("layers"), list):
        return data
    return _Graph(data, old).upgraded()


def _recurrent(data: Any, old: bool) -> Config:
    """GRUs that say nothing of `reset_after` are from before there was one."""
    return {**data, "reset_after": data.get("reset_after", False)}


def _cudnn(data: Any, old: bool) -> Config:
    """The layers for graphics cards: one kind of activation, and of GRU."""
    return {**data, "recurrent_activation": "sigmoid"}


def _cudnn_gru(data: Any, old: bool) -> Config:
    return {**data, "recurrent_activation": "sigmoid", "reset_after": True}


def _batch_normalization(data: Any, old: bool) -> Config:
    axis = data.get("axis", -1)
    return {**data, "axis": axis[0] if isinstance(axis, list) and len(axis) == 1 else axis}


def _variance_scaling(data: Any, old: bool) -> Config:
    """`normal` was a truncated one."""
    distribution = data.get("distribution", "truncated_normal")
    return {**data, "distribution": "truncated_normal" if distribution == "normal" else distribution}


def functions_by_name(data: Mapping[str, Any], where: str) -> Config:
    """The config of a Lambda, with a function that was passed under the layer's name in place of the file's bytecode."""
    data = dict(data)
    name = data.get("name")
    if isinstance(name, str) and callable(custom_object(name)):
        kept = ("name", "trainable", "dtype", "arguments")
        return {**{key: data[key] for key in kept if key in data}, "function": _function(name)}
    for part in ("function", "output_shape", "mask"):
        value: Any = data.get(part)
        kind = data.pop(f"{part}_type", None)
        is_code = is_serialized(value) and value["class_name"] == "__lambda__"
        if kind == "lambda" or is_code or (part == "function" and isinstance(value, list)):
            raise ValueError(
                f"{where} holds the function of the Lambda layer {str(name)[:100]!r} as bytecode, which is a program; it "
                "is not run, whatever `safe_mode` says. Pass the function itself: "
                f"`custom_objects={{{str(name)[:100]!r}: function}}`."
            )
        if kind == "function" and isinstance(value, str):
            data[part] = _function(value)
    return {key: value for key, value in data.items() if not key.startswith("output_shape_") and key != "module"}


def _function(name: str) -> Config:
    return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}


def _optimizer(data: Any, old: bool) -> Config:
    """A rate written as text; a `decay` a step is a schedule now: rate / (1 + decay · steps)."""
    data = dict(data)
    rate = data.pop("lr", data.get("learning_rate", 0.001))
    rate = float(rate) if isinstance(rate, str) else rate
    decay = data.pop("decay", 0.0)
    if decay and not isinstance(rate, Mapping):
        settings = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
        rate = {"module": "keras.optimizers.schedules", "class_name": "InverseTimeDecay", "config": settings}
    settings = {key: value for key, value in data.items() if (key, value) != ("epsilon", None)}  # meant the default
    return {**settings, "learning_rate": rate}


def _nadam(data: Any, old: bool) -> Config:
    """Its `decay` was that of the momentum schedule, which is fixed now."""
    return _optimizer({key: value for key, value in data.items() if key != "decay"}, old)


_RULES: dict[str, Callable[[Any, bool], Any]] = {
    "Sequential": _sequential,
    "Functional": _functional,
    "Model": _functional,
    "Network": _functional,
    "GRU": _recurrent,
    "GRUCell": _recurrent,
    "CuDNNLSTM": _cudnn,
    "CuDNNGRU": _cudnn_gru,
    "BatchNormalization": _batch_normalization,
    "SyncBatchNormalization": lambda data, old: {**_batch_normalization(data, old), "synchronized": True},
    "VarianceScaling": _variance_scaling,
    "Nadam": _nadam,
    **dict.fromkeys(("SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Adagrad", "Adadelta", "Ftrl"), _optimizer),
}

# ---- Calls in a graph ----


class _Graph:
    """The config of a Functional model of Keras 2."""

    def __init__(self, data: Mapping[str, Any], old: bool) -> None:
        self.data, self.old = data, old
        self.entries = data["layers"]
        for entry in self.entries:
            if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
                raise ValueError("The config lists a layer that is no dict with a config.")
        self.names = {entry.get("name") for entry in self.entries}
        self.calls: dict[str, set[int]] = {}  # which calls of each layer are referred to
        for entry in self.entries:
            self._count(entry.get("inbound_nodes"))
        self._count(data.get("output_layers"))
        self._count(data.get("input_layers"))

    def upgraded(self) -> Config:
        layers = [self._entry(entry) for entry in self.entries]
        ends = {key: self._ends(self.data.get(key)) for key in ("input_layers", "output_layers")}
        for key, value in ends.items():
            if self.old and isinstance(value, list) and len(value) == 1:
                ends[key] = value[0]  # one output was listed too, and came as it is
        return {**self.data, "layers": layers, **ends}

    def _is_reference(self, value: Any) -> bool:
        is_list = isinstance(value, list) and 3 <= len(value) <= 4 and isinstance(value[0], str)
        return is_list and value[0] in self.names and type(value[1]) is int and type(value[2]) is int

    def _count(self, value: Any) -> None:
        stack = [value]
        while stack:
            item = stack.pop()
            if self._is_reference(item):
                self.calls.setdefault(item[0], set()).add(item[1])
            stack.extend(item.values() if isinstance(item, Mapping) else item if isinstance(item, list) else ())

    def _name(self, name: str) -> str:
        return layer_name(name) if self.old else name

    def _place(self, name: str, place: int) -> int:
        """The number of a call among those in this graph; in old files a model inside counted its own first."""
        listed = next(len(entry.get("inbound_nodes") or ()) for entry in self.entries if entry.get("name") == name)
        known = sorted(self.calls.get(name, ()))
        return known.index(place) if len(known) == listed and place in known else place

    def _ends(self, value: Any) -> Any:
        if self._is_reference(value):
            return [self._name(value[0]), self._place(value[0], value[1]), value[2]]
        if isinstance(value, Mapping):
            return {key: self._ends(item) for key, item in value.items()}
        return [self._ends(item) for item in value] if isinstance(value, list) else value

    def _tensor(self, value: list[Any]) -> Config:
        history = [self._name(value[0]), self._place(value[0], value[1]), value[2]]
        return {"class_name": "__keras_tensor__", "config": {"keras_history": history}}

    def _argument(self, value: Any) -> Any:
        """An argument of a call, with its tensors where they come from."""
        if isinstance(value, list) and len(value) >= 3 and value[0] == "_CONSTANT_VALUE":
            return value[2]
        if self._is_reference(value):
            return self._tensor(value)
        if isinstance(value, list):
            return [self._argument(item) for item in value]
        if isinstance(value, Mapping) and not is_serialized(value):
            return {key: self._argument(item) for key, item in value.items()}
        return value

    def _entry(self, entry: Mapping[str, Any]) -> Config:
        new = _renamed(entry) if self.old else dict(entry)
        if entry.get("class_name") in ("TFOpLambda", "SlicingOpLambda"):
            return self._tf_function(new)
        new["inbound_nodes"] = [self._call(entry, node) for node in entry.get("inbound_nodes") or ()]
        if _is_operation(entry):
            new["module"] = "keras.src.ops.numpy"
        return new

    def _call(self, entry: Mapping[str, Any], node: Any) -> Any:
        """One call: `{"args": [...], "kwargs": {...}}`."""
        if isinstance(node, Mapping) and "args" in node:
            return {**node, **{key: self._argument(node[key]) for key in ("args", "kwargs") if key in node}}
        first, kwargs = self._first(node)
        more: Config = {}
        if entry.get("class_name") in _RECURRENT and isinstance(first, list):
            first, more["initial_state"] = first[0], first[1:]
        options = {key: self._argument(value) for key, value in kwargs.items() if value is not None}
        call: Config = {"args": [first], "kwargs": {**options, **more}}
        if "training" in options:
            call["explicit"] = ["training"]
        return call

    def _first(self, node: Any) -> tuple[Any, Mapping[str, Any]]:
        """The first argument of a call, and those by name."""
        if isinstance(node, Mapping):
            found = {key: self._first(item) for key, item in node.items()}
            return {key: first for key, (first, _) in found.items()}, next(iter(found.values()), ({}, {}))[1]
        if not isinstance(node, list) or not node:
            raise ValueError(f"A call in the config is described by {node!r}, which no version of Keras writes.")
        if isinstance(node[0], str):
            kwargs = node[3] if len(node) > 3 and isinstance(node[3], Mapping) else {}
            return self._argument(node), kwargs
        parts = [self._first(item) for item in node]
        values = [first for first, _ in parts]
        return values[0] if len(values) == 1 else values, parts[0][1]

    def _tf_function(self, entry: Config) -> Config:
        """A function of TensorFlow, or a slice, that was recorded as a layer."""
        function = str(entry["config"].get("function", "__operators__.getitem"))
        calls = []
        for node in entry.get("inbound_nodes") or ():
            first, kwargs = self._first(node)
            options = {key: self._argument(value) for key, value in kwargs.items() if key != "name"}
            if function == "__operators__.getitem":
                args, options = [first, _slices(options.get("slice_spec"))], {}
            else:
                args = [first]
            calls.append({"args": args, "kwargs": options})
        if len(calls) > 1:
            raise ValueError(f"The function {function!r} in the config is called {len(calls)} times under one name.")
        names = {"module": "keras.src.ops.numpy", "class_name": "GetItem"}
        if function != "__operators__.getitem":
            public = function.replace("__operators__.", "math.")
            names = {"module": "tensorflow", "class_name": f"tf.{public}"}
        return {**names, "name": entry["name"], "config": {"name": entry["name"]}, "inbound_nodes": calls}


_RECURRENT = {"RNN", "SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}


def _is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether Keras 3 wrote an op here, which in its `.h5` files has lost its module: layers say if they train."""
    settings = entry.get("config")
    is_plain = isinstance(settings, Mapping) and "trainable" not in settings and "module" not in entry
    is_call = any(isinstance(node, Mapping) and "args" in node for node in entry.get("inbound_nodes") or ())
    return bool(is_plain and is_call and entry.get("class_name") != "InputLayer")


def _slices(value: Any) -> Any:
    """The index of a slice, whose parts were written as `{"start": …, "stop": …, "step": …}`."""
    if isinstance(value, list):
        return [_slices(item) for item in value]
    if isinstance(value, Mapping) and {"start", "stop", "step"} <= value.keys():
        return {"class_name": "__slice__", "config": {key: value[key] for key in ("start", "stop", "step")}}
    if isinstance(value, Mapping) and value.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    return value


# ---- How a model was compiled ----


def compile_config(training: Mapping[str, Any]) -> Config:
    """What `compile` was told, out of the `training_config` of a file."""
    metrics = [_metric(training.get(key)) for key in ("metrics", "weighted_metrics")]
    return {
        "optimizer": upgrade(training.get("optimizer_config")),
        "loss": _loss(training.get("loss")),
        "loss_weights": training.get("loss_weights"),
        "metrics": metrics[0],
        "weighted_metrics": metrics[1],
    }


def _loss(value: Any) -> Any:
    if isinstance(value, list):
        return [_loss(item) for item in value]
    if not is_serialized(value):
        return {key: _loss(item) for key, item in value.items()} if isinstance(value, Mapping) else value
    if value["class_name"] == "LossFunctionWrapper":
        return value["config"].get("fn")
    settings = {key: item for key, item in value["config"].items() if (key, item) != ("reduction", "auto")}
    return upgrade({**value, "config": settings})


def _metric(value: Any) -> Any:
    """Metrics were listed for each output, and those given by name were wrapped functions."""
    if isinstance(value, list):
        found = [_metric(item) for item in value]
        return found[0] if len(found) == 1 and isinstance(found[0], list) else found
    if not is_serialized(value):
        return {key: _metric(item) for key, item in value.items()} if isinstance(value, Mapping) else value
    if value["class_name"] in ("MeanMetricWrapper", "SumOverBatchSizeMetricWrapper"):
        name = value["config"].get("name")
        return name if name in ("accuracy", "acc", "crossentropy", "ce") else value["config"].get("fn")
    return upgrade(value)
