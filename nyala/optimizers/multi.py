"""`MultiOptimizer`: several optimizers in one model, chosen by the path of a variable."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from nyala.core import config
from nyala.core.config import Configurable, revive
from nyala.optimizers.gradients import path_of
from nyala.optimizers.optimizer import Optimizer

Key = Any  # a string, a layer, or a function of a path


class OptimizerMap(Configurable, MutableMapping[Key, Optimizer]):
    """Which optimizer serves which variables; those that no key claims go to `default_optimizer`.

    A key is a regular expression that must match the whole path of a variable (`"encoder/.*"`), a layer, which stands
    for all its variables, or a function from a path to whether it claims it. A key equal to the path goes first. A
    path starts with the model's name only until the model is saved and loaded, so begin a key with `.*`.
    Raises TypeError where something is no optimizer, and ValueError where a key is set twice or two keys claim a path.

    Example:
        >>> from nyala.optimizers import Adam, OptimizerMap, SGD
        >>> chosen = OptimizerMap(Adam(), {".*bias": SGD()})
        >>> type(chosen["dense/bias"]).__name__, type(chosen["dense/kernel"]).__name__
        ('SGD', 'Adam')
    """

    def __init__(self, default_optimizer: Optimizer, optimizer_map: Mapping[Key, Optimizer] | None = None) -> None:
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(f"OptimizerMap needs an optimizer as default_optimizer, but got {default_optimizer!r}.")
        self._default = default_optimizer
        self._map: dict[Key, Optimizer] = {}
        for key, optimizer in dict(optimizer_map or {}).items():
            self[key] = optimizer

    @property
    def default_optimizer(self) -> Optimizer:
        """The optimizer of the variables that no key claims."""
        return self._default

    def __getitem__(self, key: Key) -> Optimizer:
        if key in self._map:
            return self._map[key]
        claims = [claim for claim in self._map if isinstance(key, str) and claims_path(claim, key)]
        if len(claims) > 1:
            raise ValueError(
                f"The keys {', '.join(map(describe, claims))} of an OptimizerMap all claim `{key}`; make them exclude "
                f"each other, or give {key!r} a key of its own."
            )
        return self._map[claims[0]] if claims else self._default

    def __setitem__(self, key: Key, optimizer: Optimizer) -> None:
        if not isinstance(key, str) and not callable(key):
            raise ValueError(f"A key of an OptimizerMap is a string, a layer or a function of a path, but got {key!r}.")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"OptimizerMap needs an optimizer for the key {describe(key)}, but got {optimizer!r}.")
        if key in self._map:
            raise ValueError(f"The key {describe(key)} is in the OptimizerMap already; delete it first.")
        self._map[key] = optimizer

    def __delitem__(self, key: Key) -> None:
        del self._map[key]

    def __contains__(self, key: object) -> bool:
        return key in self._map

    def __iter__(self) -> Iterator[Key]:
        return iter(self._map)

    def __len__(self) -> int:
        return len(self._map)

    def get_config(self) -> dict[str, Any]:
        """The default and the map as plain data; with functions among the keys, the map as pairs."""
        keys = [pattern_of(key) if is_layer(key) else key for key in self._map]
        values = [config.serialize(optimizer) for optimizer in self._map.values()]
        if all(isinstance(key, str) for key in keys):
            chosen: Any = dict(zip(keys, values, strict=True))
        else:
            chosen = [[config.serialize(key), value] for key, value in zip(keys, values, strict=True)]
        return {"default_optimizer": config.serialize(self._default), "optimizer_map": chosen}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> OptimizerMap:
        """Make the map that `get_config` described."""
        return cls(revive(config["default_optimizer"]), dict(revive(config["optimizer_map"])))


def is_layer(key: Key) -> bool:
    """Whether a key is a layer rather than a string or a function."""
    return not isinstance(key, str) and hasattr(key, "path")


def claims_path(key: Key, path: str) -> bool:
    """Whether the variable at `path` is one that `key` stands for."""
    if isinstance(key, str):
        return re.fullmatch(key, path) is not None
    return path in map(path_of, key.variables) if is_layer(key) else bool(key(path))


def pattern_of(layer: Any) -> str:
    """The regular expression for the paths of a layer's variables.

    What stands before the layer's name is optional in it: a model's name does once the model was read from a file.
    """
    paths = [path_of(variable) for variable in layer.variables] or [f"{layer.path}/"]
    head = paths[0][: paths[0].rfind(f"{layer.name}/")]
    if not all(path.startswith(f"{head}{layer.name}/") for path in paths):
        return "|".join(map(re.escape, paths))
    outer = "".join(f"({re.escape(name)}/)?" for name in head.split("/") if name)
    return f"{outer}{re.escape(layer.name)}/.*"


def describe(key: Key) -> str:
    """A key as a message shows it."""
    return repr(key) if isinstance(key, str) else f"`{key.path if is_layer(key) else key.__name__}`"


class MultiOptimizer(Optimizer):
    """Several optimizers in one model, each with its own learning rate or schedule and options.

    `optimizer_map` says which variables belong to which. `optimizers` are those of the map in its order, then the
    default one; so files hold their variables. Only the loss scale is common.

    Example:
        >>> import nyala
        >>> from nyala.optimizers import MultiOptimizer, OptimizerMap, SGD
        >>> kernel, bias = nyala.Variable([1.0], name="kernel"), nyala.Variable([1.0], name="bias")
        >>> MultiOptimizer(OptimizerMap(SGD(0.1), {"bias": SGD(0.5)})).apply([[1.0], [1.0]], [kernel, bias])
        >>> bias.numpy().tolist()
        [0.5]
    """

    untracked = frozenset({"optimizer_map"})  # files find the optimizers under `optimizers`

    def __init__(
        self, optimizer_map: OptimizerMap, loss_scale_factor: float | None = None, name: str | None = None
    ) -> None:
        if not isinstance(optimizer_map, OptimizerMap):
            raise TypeError(f"MultiOptimizer takes an OptimizerMap, but got {optimizer_map!r}.")
        everything = [*optimizer_map.values(), optimizer_map.default_optimizer]
        self.optimizers = list({id(optimizer): optimizer for optimizer in everything}.values())
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        self.optimizer_map = optimizer_map

    @property
    def loss_scale_factor(self) -> float | None:
        """By what the loss is multiplied, for all optimizers alike: it can be scaled in one way only."""
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: float | None) -> None:
        self._loss_scale_factor = value
        for optimizer in self.optimizers:
            optimizer.loss_scale_factor = value

    @property
    def learning_rate(self) -> Any:
        """Not one but several: ask the optimizers in `optimizers`."""
        raise AttributeError(f"`{self.name}` has several learning rates; read those of its `optimizers`.")

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        raise AttributeError(f"`{self.name}` has several learning rates; set those of its `optimizers`.")

    @property
    def times_replaced(self) -> int:
        return sum(optimizer.times_replaced for optimizer in self.optimizers)

    @property
    def variables(self) -> list[Any]:
        """Its own variables, then those of each optimizer."""
        return self._variables + [variable for optimizer in self.optimizers for variable in optimizer.variables]

    def create_slots(self, variables: list[Any]) -> None:
        for key in self.optimizer_map:
            if not any(key == path_of(variable) or claims_path(key, path_of(variable)) for variable in variables):
                paths = ", ".join(path_of(variable) for variable in variables[:3])
                message = f"The key {describe(key)} of `{self.name}` claims no variable; paths are {paths}, …"
                warnings.warn(message, stacklevel=3)
        self._optimizer_of = {id(variable): self.optimizer_map[path_of(variable)] for variable in variables}
        for optimizer, mine in self._shares(variables):
            optimizer.build(mine)

    def _shares(self, variables: Sequence[Any]) -> list[tuple[Optimizer, list[Any]]]:
        """Each optimizer with its share of the variables."""
        shares: dict[int, list[Any]] = {id(optimizer): [] for optimizer in self.optimizers}
        for variable in variables:
            shares[id(self._optimizer_of[id(variable)])].append(variable)
        return [(optimizer, shares[id(optimizer)]) for optimizer in self.optimizers]

    def _apply(self, gradients: list[Any], variables: list[Any]) -> None:
        gradient_of = {id(variable): gradient for variable, gradient in zip(variables, gradients, strict=True)}
        for optimizer, mine in self._shares(variables):
            if mine:
                optimizer._apply([gradient_of[id(variable)] for variable in mine], mine)
        self.assign_add(self._iterations, 1)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        for optimizer in self.optimizers:
            optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        for optimizer, mine in self._shares(var_list):
            optimizer.finalize_variable_values(mine)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data."""
        chosen = config.serialize_object(self.optimizer_map)  # as an object, though it is a mapping too
        return {"optimizer_map": chosen, "loss_scale_factor": self.loss_scale_factor, "name": self.name}


config.optimizers.add(OptimizerMap)
config.optimizers.add(MultiOptimizer, "multioptimizer")
