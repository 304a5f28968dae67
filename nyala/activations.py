"""Activations: functions that layers apply to their outputs. Their formulas live in `nyala.ops.nn`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import custom_object_scope
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.ops import elementwise, nn, trigonometry
from nyala.ops.nn import (
    as_floats,
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh_shrink,
    threshold,
)

__all__ = [
    "celu",
    "deserialize",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]


def linear(x: Tensor) -> Tensor:
    """No activation: `x`.

    Example:
        >>> import nyala
        >>> nyala.activations.linear(3.0)
        3.0
    """
    return x


def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Rectified linear unit with a bend of choice.

    `negative_slope · (x - threshold)` up to `threshold`, then `x`, at most `max_value`.

    Example:
        >>> import nyala
        >>> nyala.activations.relu([-2.0, 1.0, 9.0], negative_slope=0.5, max_value=6.0).numpy().tolist()
        [-1.0, 1.0, 6.0]
    """
    if threshold == 0 and max_value is None:
        return nn.relu(x) if negative_slope == 0 else nn.leaky_relu(x, negative_slope)
    if threshold == 0 and max_value == 6 and negative_slope == 0:
        return nn.relu6(x)
    return _bent_relu(x, negative_slope, max_value, threshold)


@op
def _bent_relu(x: Tensor, negative_slope: float, max_value: float | None, threshold: float) -> Tensor:
    x = as_floats(x)
    above = tf.where(x > threshold, x, tf.zeros_like(x))
    if max_value is not None:
        above = tf.clip_by_value(above, 0, max_value)
    return above if negative_slope == 0 else above - negative_slope * tf.nn.relu(threshold - x)


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """Gaussian error linear unit `x · Φ(x)`, Φ the normal distribution; `approximate` computes it by way of tanh.

    Example:
        >>> import nyala
        >>> nyala.activations.gelu([0.0, 1.0]).numpy().tolist()
        [0.0, 0.841]
    """
    return nn.gelu(x, approximate)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`.

    Example:
        >>> import nyala
        >>> nyala.activations.tanh([0.0, 1.0]).numpy().tolist()
        [0.0, 0.762]
    """
    return trigonometry.tanh(x)


def exponential(x: Tensor) -> Tensor:
    """Exponential function `exp(x)`.

    Example:
        >>> import nyala
        >>> nyala.activations.exponential([0.0, 1.0]).numpy().tolist()
        [1.0, 2.718]
    """
    return elementwise.exp(x)


@op
def mish(x: Tensor) -> Tensor:
    """Mish `x · tanh(softplus(x))`. Source: Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    Example:
        >>> import nyala
        >>> nyala.activations.mish([0.0, 1.0]).numpy().tolist()
        [0.0, 0.865]
    """
    x = as_floats(x)
    return x * tf.tanh(tf.math.softplus(x))


def get(identifier: Any) -> Callable[..., Any]:
    """The activation that a name, a config or a function stands for; `linear` for None.

    Raises ValueError for what stands for none.

    Example:
        >>> import nyala
        >>> nyala.activations.get("relu").__name__
        'relu'
    """
    return linear if identifier is None else config.activations.get(identifier)


def serialize(activation: Callable[..., Any]) -> Any:
    """An activation as data: a function as its name, a layer as a dict."""
    data = config.serialize(activation)
    return data["config"] if isinstance(data, dict) and data["class_name"] == "function" else data


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The activation that `serialize` described, or that a name stands for."""
    with custom_object_scope(custom_objects):
        return get(config)


for _function in (
    *(celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_tanh, leaky_relu, linear, log_sigmoid),
    *(log_softmax, mish, relu, relu6, selu, sigmoid, soft_shrink, softmax, softplus, softsign, sparse_plus),
    *(sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink, threshold),
):
    config.activations.add(_function)
config.activations.add(silu, "swish")
config.activations.add(hard_silu, "hard_swish")
