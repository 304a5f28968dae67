"""Variables and gradients as optimizers see them: raw reads and writes, and gradients that may be slices."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from nyala.core import replicas, tensor
from nyala.core.engine import is_eager, tf
from nyala.core.variable import stateless_scope

_in_cross_replica_context = tf.distribute.in_cross_replica_context  # a look-up less for each variable


def _has_no_handle() -> bool:
    """Whether variables are not to be reached directly: a scope holds them back, or they stand for copies on replicas."""
    return stateless_scope() is not None or _in_cross_replica_context()


def read(variable: Any) -> Any:
    """The values of a variable; of the local copy inside a replica."""
    if _has_no_handle():
        return tf.convert_to_tensor(variable.value)
    return tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)


def write(variable: Any, value: Any) -> Any:
    """Set a variable, or its local copy inside a replica, and return the value."""
    value = tensor.as_tensor(value, variable.dtype)
    if _has_no_handle():
        variable.assign(value)
    else:
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
    return value


def add_to(variable: Any, value: Any) -> None:
    """Add to a variable, or to its local copy inside a replica."""
    value = tensor.as_tensor(value, variable.dtype)
    if _has_no_handle():
        variable.assign_add(value)
    else:
        tf.raw_ops.AssignAddVariableOp(resource=variable.handle, value=value)


def subtract_from(variable: Any, value: Any) -> None:
    """Subtract from a variable, or from its local copy inside a replica."""
    value = tensor.as_tensor(value, variable.dtype)
    if _has_no_handle():
        variable.assign_sub(value)
    else:
        tf.raw_ops.AssignSubVariableOp(resource=variable.handle, value=value)


def is_sparse(gradient: Any) -> bool:
    """Whether a gradient says only what the rows of some indices get."""
    return isinstance(gradient, tf.IndexedSlices)


def dense(gradient: Any, function: Callable[[Any], Any] | None = None) -> Any:
    """A gradient as a tensor of the variable's shape, after `function` on its values; rows of one index are summed."""
    gradient = on_values(function, gradient) if function else gradient
    if is_sparse(gradient):
        return tf.math.unsorted_segment_sum(gradient.values, gradient.indices, gradient.dense_shape[0])
    return gradient


def on_values(function: Callable[[Any], Any], gradient: Any) -> Any:
    """`function` of a gradient, or of the values of its slices."""
    if is_sparse(gradient):
        return tf.IndexedSlices(function(gradient.values), gradient.indices, gradient.dense_shape)
    return function(gradient)


def scaled(gradient: Any, factors: Any) -> Any:
    """A gradient times factors for each of its values; slices stay slices."""
    if is_sparse(gradient):
        rows = tf.gather(factors, gradient.indices)
        return tf.IndexedSlices(gradient.values * rows, gradient.indices, gradient.dense_shape)
    return gradient * factors


def path_of(variable: Any) -> str:
    """The path of a variable of ours, the name of a `tf.Variable`."""
    return getattr(variable, "path", variable.name)


def is_overwritten(variable: Any) -> bool:
    """Whether the "gradient" of a variable is its next value, as for scales of float8 layers."""
    return getattr(variable, "overwrite_with_gradient", False)


def when(condition: Any, action: Callable[[], None], otherwise: Callable[[], None] = lambda: None) -> None:
    """Do `action` if `condition`, a scalar tensor, holds, else `otherwise`; in graphs too."""
    if is_eager():
        (action if bool(condition) else otherwise)()
        return

    def branch(function: Callable[[], None]) -> Callable[[], Any]:
        return lambda: (function(), tf.constant(0))[1]

    tf.cond(condition, branch(action), branch(otherwise))


def sum_over_replicas(gradients: list[Any], variables: list[Any]) -> list[Any]:
    """The gradients summed over the replicas of `tf.distribute`, in `fit` each by its share of the batch.

    They stay as they are where there is only one replica.
    """
    if replicas.count() == 1:
        return gradients
    places = [place for place, variable in enumerate(variables) if not is_overwritten(variable)]
    sums = replicas.sums([replicas.weighted(gradients[place]) for place in places])
    summed = dict(zip(places, sums, strict=True))
    return [summed.get(place, gradient) for place, gradient in enumerate(gradients)]


def filled(value: float) -> Callable[..., Any]:
    """An initializer that gives `value` everywhere."""
    return lambda shape, dtype=None: tf.fill(shape, tf.cast(value, dtype))


def clip_by_norm(values: Any, limit: float) -> Any:
    """`values`, scaled down to a Euclidean norm of `limit` where theirs is greater."""
    norm = tf.sqrt(tf.reduce_sum(tf.square(values)))
    return values * tf.cast(limit, values.dtype) / tf.maximum(norm, tf.cast(limit, values.dtype))


def without_missing(name: str, gradients: list[Any], variables: list[Any]) -> tuple[list[Any], list[Any]]:
    """The gradients that are not None, in their variables' dtypes, and their variables; a warning names the others."""
    kept = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
    missing = [path_of(variable) for g, variable in zip(gradients, variables, strict=True) if g is None]
    if missing and not kept:
        raise ValueError(
            f"`{name}` got no gradient for any variable: the loss does not depend on {', '.join(missing)}. Compute it "
            "inside the tape from the model's outputs, with differentiable operations only."
        )
    if missing:
        warnings.warn(f"`{name}` leaves variables without a gradient alone: {', '.join(missing)}.", stacklevel=4)
    return [as_gradient(name, gradient, variable) for gradient, variable in kept], [variable for _, variable in kept]


def as_gradient(name: str, gradient: Any, variable: Any) -> Any:
    """A gradient in its variable's dtype; a ValueError where its shape is not the variable's."""
    shape = tuple(variable.shape)
    if is_sparse(gradient):
        values = tensor.as_tensor(gradient.values, variable.dtype)
        return tf.IndexedSlices(values, gradient.indices, tf.constant(shape))  # XLA wants to know the shape
    gradient = tensor.as_tensor(gradient, variable.dtype)
    if not tensor.shape_equal(tensor.static_shape(gradient), shape):
        raise ValueError(
            f"`{name}` got a gradient of shape {tensor.static_shape(gradient)} for the variable "
            f"`{path_of(variable)}` of shape {shape}."
        )
    return gradient
