"""What `compile` settles: which loss and which metrics belong to which output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import config, replicas, tensor, tree
from nyala.core.config import suggestion
from nyala.core.engine import tf
from nyala.core.tensor import mask_of
from nyala.core.tracking import Trackable

# Strings that mean another function for binary, one-hot and integer targets.
_BY_TARGET = {
    "accuracy": ("BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy"),
    "acc": ("BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy"),
    "crossentropy": ("BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"),
    "ce": ("BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"),
}


def _is_leaf(value: Any) -> bool:
    return value is None or isinstance(value, (str, Trackable)) or callable(value)


def per_output(given: Any, outputs: Any, names: list[str], what: str) -> list[Any]:
    """What was given for each output, flat: one for the only output, a list by place, or a dict by name.

    Raises ValueError for a name that is no output, and where the numbers differ.
    """
    flat = tree.flatten(outputs)
    if isinstance(given, Mapping):
        keys = [str(path[0]) if path else "" for path, _ in tree.flatten_with_path(outputs)]
        known = keys if isinstance(outputs, Mapping) else names
        for key in given:
            if key not in known:
                raise ValueError(f"{what} names the output {key!r}, but the outputs are {known}.{_close(key, known)}")
        return [given.get(key) for key in known]
    if len(flat) == 1:
        while isinstance(given, (list, tuple)) and len(given) == 1 and what == "loss":
            given = given[0]
        if what == "loss" and isinstance(given, (list, tuple)):
            raise ValueError(f"loss has {len(given)} entries, but the model has 1 output: {names}.")
        return [given]
    if _is_leaf(given) or isinstance(given, (int, float)):
        return [given] * len(flat)
    if what == "metrics" and all(_is_leaf(item) for item in given):
        if len(given) != len(flat):
            raise ValueError(
                f"`metrics` has {len(given)} entries for {len(flat)} outputs; pass a list with one entry or list for "
                f"each output, or a dict by name: {names}."
            )
        return list(given)
    if len(given) != len(flat):
        raise ValueError(f"{what} has {len(given)} entries, but the model has {len(flat)} outputs: {names}.")
    return list(given)


def _close(key: str, known: list[str]) -> str:
    hint = suggestion(key, known)
    return hint if "Did you mean" in hint else ""


class ShapeCheck:
    """Refuses targets that a function written by hand would broadcast against the outputs in silence; ours do so alone.

    Targets with fewer axes than the outputs may be class numbers. Which they are to the function is tried in a scratch
    graph with more rows than another axis is long: there nothing of unequal shape can be broadcast.
    """

    def __init__(self) -> None:
        self.seen: set[Any] = set()

    def __call__(self, function: Callable[[Any, Any], Any], y_true: Any, y_pred: Any, what: str, name: str) -> None:
        true, pred = tensor.static_shape(y_true), tensor.static_shape(y_pred)
        surplus = len(pred) - len(true)
        if not true or surplus < 1 or (surplus == 1 and pred[-1] == 1):
            return
        key = (what, name, true[1:], pred[1:])
        if key in self.seen:
            return
        self.seen.add(key)
        rows = max(size or 1 for size in pred[1:]) + 1
        output = tf.TensorSpec([rows, *pred[1:]], y_pred.dtype)
        if _works(function, tf.TensorSpec([rows, *true[1:]], y_true.dtype), output):
            return
        if _works(function, tf.TensorSpec(output.shape, y_true.dtype), output):
            raise ValueError(
                f"The {what} `{name}` got targets of shape {true} for outputs of shape {pred}, which it cannot compare; "
                f"give each row {pred[-1]} targets, or a function that takes class numbers."
            )


def _works(function: Callable[[Any, Any], Any], *specs: Any) -> bool:
    """Whether a function can be traced for tensors of those shapes."""
    try:
        tf.function(function, autograph=False).get_concrete_function(*specs)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
        return False
    return True


class CompileLoss:
    """The total loss: the weighted sum of each output's loss, of which several outputs also show the mean."""

    def __init__(self, loss: Any, loss_weights: Any, make_mean: Callable[[str], Any]) -> None:
        self.loss, self.loss_weights, self._make_mean = loss, loss_weights, make_mean
        self.losses: list[Any] | None = None  # one for each output, once outputs are known
        self.weights: list[Any] = []
        self._check = ShapeCheck()
        self.trackers: list[Any] = []  # one for each output that has a loss, where there are several
        for item in _leaves(loss):
            _resolve_loss(item)

    def build(self, y_pred: Any, names: list[str]) -> None:
        """Match losses with outputs."""
        given = per_output(self.loss, y_pred, names, "loss")
        self.losses = [_resolve_loss(item) for item in given]
        weights = per_output(self.loss_weights, y_pred, names, "loss_weights")
        self.weights = [1.0 if weight is None else weight for weight in weights]
        self.keys = _output_keys(y_pred, names)
        if len(self.losses) > 1:
            self.trackers = [
                self._make_mean(f"{key}_loss") if loss is not None else None
                for key, loss in zip(self.keys, self.losses, strict=True)
            ]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any, names: list[str]) -> list[Any]:
        """The weighted loss of each output that has one."""
        if self.losses is None:
            self.build(y_pred, names)
        assert self.losses is not None
        predictions = tree.flatten(y_pred)
        targets = in_order(y_true, y_pred, self.keys, "y")
        weights = _spread(sample_weight, y_pred, self.keys, len(predictions))
        found = []
        for place, (loss, true, pred, weight) in enumerate(
            zip(self.losses, targets, predictions, weights, strict=True)
        ):
            if loss is None or true is None:
                continue
            if not config.is_ours(getattr(loss, "fn", type(loss))):
                self._check(loss, true, pred, "loss", _name_of(loss))
            value = tensor.as_tensor(loss(true, pred, sample_weight=weight), tensor.floatx())
            if self.trackers:
                # Every batch counts alike, as in the reference; a replica's part of one by its share.
                self.trackers[place].update_state(value, sample_weight=replicas.share())
            found.append(value * self.weights[place] if self.weights[place] != 1.0 else value)
        return found


def _leaves(given: Any) -> list[Any]:
    if _is_leaf(given) or not isinstance(given, (Mapping, list, tuple)):
        return [given]
    values = given.values() if isinstance(given, Mapping) else given
    return [leaf for value in values for leaf in _leaves(value)]


def _resolve_loss(item: Any) -> Any:
    """A loss as something to call with targets, outputs and `sample_weight`."""
    if item is None or isinstance(item, config.Configurable):
        return item
    if isinstance(item, str) and item in ("crossentropy", "ce"):
        raise ValueError(f"{item!r} is no loss; say 'binary_', 'categorical_' or 'sparse_categorical_crossentropy'.")
    function = config.losses.get(item)
    if isinstance(function, config.Configurable):
        return function
    return config.losses.find("LossFunctionWrapper")(function, name=getattr(function, "__name__", None))


def _name_of(thing: Any) -> str:
    return getattr(thing, "name", None) or getattr(thing, "__name__", type(thing).__name__)


def _output_keys(y_pred: Any, names: list[str]) -> list[str]:
    """What the outputs are called in logs: keys of a dict, else the names of the layers that give them."""
    if isinstance(y_pred, Mapping):
        return ["_".join(map(str, path)) for path, _ in tree.flatten_with_path(y_pred)]
    count = len(tree.flatten(y_pred))
    return names if len(names) == count else [f"output_{place}" for place in range(count)]


def in_order(values: Any, like: Any, keys: list[str], what: str) -> list[Any]:
    """The leaves of `values` in the order of the outputs `like`; a ValueError that names what is missing."""
    count = len(tree.flatten(like))
    if isinstance(values, Mapping):
        wanted = sorted(like) if isinstance(like, Mapping) else keys
        if len(wanted) == count:
            unknown = [key for key in values if key not in wanted]
            if unknown:
                raise ValueError(f"`{what}` has the key {unknown[0]!r}, but the outputs are {wanted}.")
            return [values.get(key) for key in wanted]
    flat = tree.flatten(values)
    if len(flat) != count:
        raise ValueError(f"`{what}` has {len(flat)} parts, but the model has {count} outputs: {keys}.")
    return flat


def _spread(sample_weight: Any, y_pred: Any, keys: list[str], count: int) -> list[Any]:
    """The sample weights of each output: one for all, or one for each."""
    if sample_weight is None or not isinstance(sample_weight, (list, tuple, dict)):
        return [sample_weight] * count
    return in_order(sample_weight, y_pred, keys, "sample_weight")


class CompileMetrics:
    """The metrics of each output, with and without sample weights."""

    def __init__(self, metrics: Any, weighted_metrics: Any) -> None:
        self.given = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        self.entries: list[tuple[str, Any, int, bool]] | None = None  # name, metric, output, weighted
        self._check = ShapeCheck()
        for item in [*_leaves(metrics), *_leaves(weighted_metrics)]:
            if isinstance(item, str) and item not in _BY_TARGET:
                config.metrics.find(item)

    def build(self, y_true: Any, y_pred: Any, names: list[str]) -> None:
        """Match metrics with outputs and choose what "accuracy" means for each."""
        self.keys = _output_keys(y_pred, names)
        predictions = tree.flatten(y_pred)
        targets = in_order(y_true, y_pred, self.keys, "y")
        entries: list[tuple[str, Any, int, bool]] = []
        for kind, given in self.given.items():
            if given is None:
                continue
            for place, wanted in enumerate(per_output(given, y_pred, names, "metrics")):
                for item in tree.flatten(wanted):
                    if item is None or targets[place] is None:
                        continue
                    metric = _resolve_metric(item, targets[place], predictions[place])
                    prefix = f"{self.keys[place]}_" if len(predictions) > 1 else ""
                    weighted = kind == "weighted_metrics"
                    entries.append((_free_name(prefix + metric.name, entries), metric, place, weighted))
        self.entries = entries

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any, names: list[str]) -> None:
        """Count a batch."""
        if self.entries is None:
            self.build(y_true, y_pred, names)
        assert self.entries is not None
        predictions, targets = tree.flatten(y_pred), in_order(y_true, y_pred, self.keys, "y")
        weights = _spread(sample_weight, y_pred, self.keys, len(predictions))
        for _, metric, place, weighted in self.entries:
            mask = mask_of(predictions[place])
            weight = weights[place] if weighted else None
            if mask is not None and not weighted:
                weight = tf.cast(mask, metric.dtype)
            if targets[place] is not None:
                function = getattr(metric, "fn", None)
                if function is not None and not config.is_ours(function):
                    self._check(function, targets[place], predictions[place], "metric", metric.name)
                metric.update_state(targets[place], predictions[place], sample_weight=weight)

    def result(self) -> dict[str, Any]:
        """The value of each metric by name."""
        found: dict[str, Any] = {}
        for name, metric, _, _ in self.entries or []:
            value = metric.result()
            found.update(value if isinstance(value, dict) else {name: value})
        return found

    @property
    def metrics(self) -> list[Any]:
        """The metric objects."""
        return [metric for _, metric, _, _ in self.entries or []]


def _free_name(name: str, entries: list[tuple[str, Any, int, bool]]) -> str:
    taken = {entry[0] for entry in entries}
    place = 1
    free = name
    while free in taken:
        free, place = f"{name}_{place}", place + 1
    return free


def _resolve_metric(item: Any, y_true: Any, y_pred: Any) -> Any:
    """A metric object: the one given, or one of that name for targets of that shape."""
    if isinstance(item, Trackable):
        return item
    name = item if isinstance(item, str) else getattr(item, "__name__", type(item).__name__)
    if isinstance(item, str) and item in _BY_TARGET:
        true, pred = tensor.static_shape(y_true), tensor.static_shape(y_pred)
        binary = bool(pred) and pred[-1] == 1
        sparse = len(true) < len(pred) or (bool(true) and true[-1] == 1 and pred[-1] != 1)
        return config.metrics.find(_BY_TARGET[item][0 if binary else 2 if sparse else 1])(name=name)
    found: Any = config.metrics.find(item) if isinstance(item, str) else item
    if isinstance(found, type):
        return found(name=name) if isinstance(item, str) else found()
    if isinstance(found, config.Configurable) and not isinstance(found, Trackable):
        return config.metrics.find("MeanMetricWrapper")(found.call, name=found.name)  # pyright: ignore[reportAttributeAccessIssue] - a loss object as a metric
    if isinstance(found, Trackable):
        return found
    return config.metrics.find("MeanMetricWrapper")(found, name=name)
