"""Sparse tensors in ops that are written for dense ones.

A decorator beside `@op` says what a function does with zeros, and with that how it computes on a sparse tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala.core.engine import tf
from nyala.core.tensor import is_tensor_like, promote
from nyala.ops.rules import tensor

Unary = Callable[..., Any]
Binary = Callable[..., Any]


def dense(x: Any) -> Any:
    """`x`, made dense if it is sparse."""
    return tf.sparse.to_dense(x) if isinstance(x, tf.SparseTensor) else x


def on_sparse(of_sparse: Callable[..., Any]) -> Callable[[Any], Any]:
    """For functions that compute on sparse tensors by another one, of the same arguments."""
    return lambda function: _with(function, of_sparse)


def keeps_zeros(function: Unary) -> Unary:
    """For f with f(0) = 0: of a sparse tensor only the values change."""

    def of_sparse(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x.with_values(function(x.values, *args, **kwargs))

    return _with(function, of_sparse)


def changes_zeros(function: Unary) -> Unary:
    """For f with f(0) ≠ 0: of a sparse tensor the result is dense."""

    def of_sparse(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(dense(x), *args, **kwargs)

    return _with(function, of_sparse)


def joins(of_two: Binary | None = None, by_dense: Binary | None = None) -> Callable[[Binary], Binary]:
    """For functions of two tensors: `of_two` computes on two sparse ones of one shape, `by_dense` on a sparse and a
    dense one that broadcasts to it, as functions of values in one dtype; without them the result is dense."""

    def decorate(function: Binary) -> Binary:
        def of_sparse(x1: Any, x2: Any) -> Any:
            both = isinstance(x1, tf.SparseTensor) and isinstance(x2, tf.SparseTensor)
            if both and of_two is not None and x1.shape.is_compatible_with(x2.shape):
                return of_two(function, x1, x2)
            if not both and by_dense is not None and _is_broadcast(x1, x2):
                return by_dense(function, x1, x2)
            return function(dense(x1), dense(x2))

        return _with(function, of_sparse)

    return decorate


def _with(function: Any, of_sparse: Callable[..., Any]) -> Any:
    """`function`, from which `@op` learns how to compute on sparse tensors."""
    function.of_sparse = of_sparse
    return function


def _is_broadcast(x1: Any, x2: Any) -> bool:
    """Whether the dense one of the two broadcasts to the shape of the sparse one; unknown sizes count as fitting."""
    one, other = (x1, x2) if isinstance(x1, tf.SparseTensor) else (x2, x1)
    sizes = other.shape if is_tensor_like(other) else tensor(other).shape
    if sizes.rank is None or one.shape.rank is None or sizes.rank > one.shape.rank:
        return False
    pairs = zip(reversed(sizes.as_list()), reversed(one.shape.as_list()))
    return all(size in (1, None, whole) or whole is None for size, whole in pairs)


# ---- Ways to join ----


def by_kernel(kernel: Callable[[Any, Any], Any]) -> Binary:
    """Two sparse tensors joined by a kernel of TensorFlow's."""
    return lambda function, x1, x2: kernel(*promote(x1, x2))


def by_intersection(function: Binary, x1: Any, x2: Any) -> Any:
    """Values where both have one: what is missing in either makes the result zero."""
    x1, x2 = promote(x1, x2)
    x1, x2 = tf.sparse.reorder(x1), tf.sparse.reorder(x2)
    first, second = _numbers(x1), _numbers(x2)
    kept = tf.sparse.retain(x1, _among(first, second))
    return kept.with_values(function(kept.values, tf.boolean_mask(x2.values, _among(second, first))))


def by_values(function: Binary, x1: Any, x2: Any) -> Any:
    """The values of the sparse one with those that the dense one has at their places."""
    x1, x2 = promote(x1, x2)
    if isinstance(x1, tf.SparseTensor):
        return x1.with_values(function(x1.values, _at(x2, x1)))
    return x2.with_values(function(_at(x1, x2), x2.values))


def by_values_and_zeros(function: Binary, x1: Any, x2: Any) -> Any:
    """As `by_values` for a quotient, which has values also where the dense divisor is zero."""
    if not isinstance(x1, tf.SparseTensor):
        return function(x1, dense(x2))
    x1, x2 = promote(x1, x2)
    if x2.shape.rank:
        divisor = tf.broadcast_to(x2, x1.dense_shape)
        places = tf.where(divisor == 0)
        x1 = tf.sparse.add(x1, tf.SparseTensor(places, tf.zeros(tf.shape(places)[:1], x1.dtype), x1.dense_shape))
    return x1.with_values(function(x1.values, _at(x2, x1)))


def _at(x: Any, sparse: Any) -> Any:
    """The values of a dense tensor where the sparse one has values."""
    return tf.gather_nd(tf.broadcast_to(x, sparse.dense_shape), sparse.indices) if x.shape.rank else x


def _numbers(x: Any) -> Any:
    """The places of the values, counted through all axes."""
    return tf.linalg.matvec(x.indices, tf.math.cumprod(x.dense_shape, exclusive=True, reverse=True))


def _among(some: Any, others: Any) -> Any:
    """Which of `some` numbers are among the `others`; both are sorted."""
    return tf.searchsorted(others, some, side="right") > tf.searchsorted(others, some, side="left")
