"""Regularizers: penalties on weights or outputs that are added to the loss."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import Configurable, custom_object_scope
from nyala.core.engine import tf
from nyala.core.tensor import Tensor
from nyala.ops.nn import as_floats

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]


def _factor(owner: Any, name: str, value: Any) -> float:
    """A factor as a float; a ValueError unless it is a finite number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ValueError(f"`{type(owner).__name__}` takes a finite {name} of at least 0, but got {value!r}.")
    return float(value)


class Regularizer(Configurable):
    """The base of regularizers: `regularizer(x)` returns the penalty, a scalar.

    Example:
        >>> import nyala
        >>> class Mean(nyala.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return nyala.core.engine.tf.reduce_mean(x)
        >>> float(Mean()([1.0, 3.0]))
        2.0
    """

    def __init__(self) -> None: ...

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty on `x`; a subclass says which."""
        return 0.0


class L1L2(Regularizer):
    """The penalty `l1 · Σ|x| + l2 · Σx²`; raises ValueError for a factor that is negative or not finite.

    Example:
        >>> import nyala
        >>> float(nyala.regularizers.L1L2(l1=1.0, l2=1.0)([1.0, -2.0]))
        8.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor(self, "l1", 0.0 if l1 is None else l1)
        self.l2 = _factor(self, "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Tensor) -> Tensor:
        x = as_floats(x)
        penalty = tf.zeros((), x.dtype)
        if self.l1:
            penalty += self.l1 * tf.reduce_sum(tf.abs(x))
        if self.l2:
            penalty += self.l2 * tf.reduce_sum(tf.square(x))
        return penalty


class L1(Regularizer):
    """The penalty `l1 · Σ|x|`; raises ValueError for a factor that is negative or not finite.

    Example:
        >>> import nyala
        >>> float(nyala.regularizers.L1(1.0)([1.0, -2.0]))
        3.0
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor(self, "l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l1 * tf.reduce_sum(tf.abs(as_floats(x)))


class L2(Regularizer):
    """The penalty `l2 · Σx²`; raises ValueError for a factor that is negative or not finite.

    Example:
        >>> import nyala
        >>> float(nyala.regularizers.L2(1.0)([1.0, -2.0]))
        5.0
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor(self, "l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Tensor) -> Tensor:
        return self.l2 * tf.reduce_sum(tf.square(as_floats(x)))


class OrthogonalRegularizer(Regularizer):
    """A penalty on rows, or columns, of a matrix that are not orthogonal to each other.

    `factor · mean |cosine|` over all pairs of them. Raises ValueError for a factor that is negative or not finite,
    another mode than `"rows"` and `"columns"`, and values that are no matrix.

    Example:
        >>> import nyala
        >>> float(nyala.regularizers.OrthogonalRegularizer(1.0)([[1.0, 0.0], [0.0, 1.0]]))
        0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor(self, "factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"`OrthogonalRegularizer` takes the mode 'rows' or 'columns', but got {mode!r}.")
        self.mode = mode

    def __call__(self, x: Tensor) -> Tensor:
        x = as_floats(x)
        if x.shape.rank != 2:
            raise ValueError(f"`OrthogonalRegularizer` takes a matrix, but got values of shape {tuple(x.shape)}.")
        rows = tf.math.l2_normalize(x if self.mode == "rows" else tf.transpose(x), axis=1)
        cosines = tf.matmul(rows, rows, transpose_b=True)
        between = tf.abs(tf.linalg.set_diag(cosines, tf.zeros_like(rows[:, 0])))
        count = tf.cast(tf.shape(rows)[0], x.dtype)
        return self.factor * tf.math.divide_no_nan(tf.reduce_sum(between), count * (count - 1))


def get(identifier: Any) -> Any:
    """The regularizer that a name, a config, a class or a function stands for; None stays None.

    Raises ValueError for what stands for none.

    Example:
        >>> import nyala
        >>> nyala.regularizers.get("l2").l2
        0.01
    """
    return config.regularizers.get(identifier)


def serialize(regularizer: Any) -> Any:
    """A regularizer as data: a dict with its class and its config."""
    return config.serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer that `serialize` described, or that a name stands for."""
    with custom_object_scope(custom_objects):
        return get(config)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
config.regularizers.add(L1)
config.regularizers.add(L2)
config.regularizers.add(L1L2, "l1_l2")
config.regularizers.add(OrthogonalRegularizer)
config.regularizers.add(Regularizer)
