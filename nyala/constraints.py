"""Constraints: functions that bring a weight back into its bounds after each update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nyala.core import config
from nyala.core.config import Configurable, custom_object_scope
from nyala.core.engine import tf
from nyala.core.settings import epsilon
from nyala.core.tensor import Tensor, as_tensor
from nyala.ops.nn import as_floats

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

Axes = int | Sequence[int]


class Constraint(Configurable):
    """The base of constraints: `constraint(w)` returns the weight within its bounds; this one leaves it as it is.

    Example:
        >>> import nyala
        >>> class Positive(nyala.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return abs(w)
        >>> Positive()(-1.0)
        1.0
    """

    def __init__(self) -> None: ...

    def __call__(self, w: Tensor) -> Tensor:
        """The weight within its bounds."""
        return w


def _norms(w: Any, axis: Axes) -> Any:
    return tf.sqrt(tf.reduce_sum(tf.square(w), axis, keepdims=True))


class MaxNorm(Constraint):
    """At most `max_value` for the norm along `axis`: `w · min(‖w‖, max_value) / (‖w‖ + ε)`.

    `axis=0` is the weights of one unit of a dense kernel, `axis=[0, 1, 2]` those of one filter of a 2D convolution.
    Source: Srivastava et al., "Dropout", 2014.

    Example:
        >>> import nyala
        >>> nyala.constraints.MaxNorm(1.0)([[3.0], [4.0]]).numpy().tolist()
        [[0.6], [0.8]]
    """

    def __init__(self, max_value: float = 2, axis: Axes = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Tensor) -> Tensor:
        w = as_floats(w)
        norms = _norms(w, self.axis)
        return w * (tf.clip_by_value(norms, 0, self.max_value) / (epsilon() + norms))


class MinMaxNorm(Constraint):
    """A norm along `axis` between two bounds: `w · (rate · clip(‖w‖, min, max) + (1 - rate) · ‖w‖) / (‖w‖ + ε)`.

    A `rate` below 1 approaches the bounds step by step.

    Example:
        >>> import nyala
        >>> nyala.constraints.MinMaxNorm(min_value=10.0, max_value=20.0)([[3.0], [4.0]]).numpy().tolist()
        [[6.0], [8.0]]
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axes = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Tensor) -> Tensor:
        w = as_floats(w)
        norms = _norms(w, self.axis)
        desired = self.rate * tf.clip_by_value(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (desired / (epsilon() + norms))


class NonNeg(Constraint):
    """No negative weights: `max(w, 0)`.

    Example:
        >>> import nyala
        >>> nyala.constraints.NonNeg()([-1.0, 2.0]).numpy().tolist()
        [0.0, 2.0]
    """

    def __call__(self, w: Tensor) -> Tensor:
        return tf.nn.relu(as_tensor(w))


class UnitNorm(Constraint):
    """A norm of 1 along `axis`: `w / (‖w‖ + ε)`.

    Example:
        >>> import nyala
        >>> nyala.constraints.UnitNorm()([[3.0], [4.0]]).numpy().tolist()
        [[0.6], [0.8]]
    """

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        w = as_floats(w)
        return w / (epsilon() + _norms(w, self.axis))


def get(identifier: Any) -> Any:
    """The constraint that a name, a config, a class or a function stands for; None stays None.

    Raises ValueError for what stands for none.

    Example:
        >>> import nyala
        >>> nyala.constraints.get("max_norm").max_value
        2
    """
    return config.constraints.get(identifier)


def serialize(constraint: Any) -> Any:
    """A constraint as data: a dict with its class and its config."""
    return config.serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The constraint that `serialize` described, or that a name stands for."""
    with custom_object_scope(custom_objects):
        return get(config)


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
for _class in (MaxNorm, MinMaxNorm, NonNeg, UnitNorm, Constraint):
    config.constraints.add(_class)
