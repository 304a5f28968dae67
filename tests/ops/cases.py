"""What tables of ops are made of: one call as a `Case`, arguments for it, and ways to look at what comes back."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import optree

from nyala.core.engine import tf
from tests.oracle import keras

_random = np.random.default_rng(0)
NAN, INF = float("nan"), float("inf")


def start_anew() -> None:
    """Draw the first numbers again."""
    _random.bit_generator.state = np.random.default_rng(0).bit_generator.state


class Case(NamedTuple):
    """One call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def case(*args: Any, **kwargs: Any) -> Case:
    return Case(args, kwargs)


def floats(*shape: int, low: float = -2.0, high: float = 2.0, dtype: str = "float32") -> np.ndarray:
    return _random.uniform(low, high, shape).astype(dtype)


def ints(*shape: int, low: int = -5, high: int = 6, dtype: str = "int32") -> np.ndarray:
    return _random.integers(low, high, shape).astype(dtype)


def bools(*shape: int) -> np.ndarray:
    return _random.random(shape) < 0.5


def holed(*shape: int) -> np.ndarray:
    """Floats of which some are NaN."""
    x = floats(*shape)
    x[_random.random(shape) < 0.3] = NAN
    return x


SHAPES = ((), (0, 3), (4,), (2, 3), (2, 3, 1, 2))


def everywhere(low: float = -2.0, high: float = 2.0, whole: bool = True) -> list[Case]:
    """A function of one tensor on all shapes, and on integers."""
    cases = [case(floats(*shape, low=low, high=high)) for shape in SHAPES]
    return [*cases, case(ints(2, 3, low=1, high=2))] if whole else cases


def pairs(low: float = -2.0, high: float = 2.0, whole: bool = True) -> list[Case]:
    """A function of two tensors on shapes that broadcast, and on a number at either side."""
    shapes = (((), ()), ((0, 3), (3,)), ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((2, 3, 1, 2), (4, 2)))
    cases = [case(floats(*one, low=low, high=high), floats(*other, low=low, high=high)) for one, other in shapes]
    cases += [case(floats(2, 3, low=low, high=high), 0.75), case(0.75, floats(2, 3, low=low, high=high))]
    return [*cases, case(ints(2, 3, low=1), ints(3, low=1))] if whole else cases


def axes(*more: Any, x: Any = floats, keepdims: bool = True) -> list[Case]:
    """A reduction over no, one, several and all axes."""
    cases = [case(x()), case(x(4)), case(x(2, 3)), case(x(2, 3), axis=0), case(x(2, 3, 2, 2), axis=-2)]
    cases += [case(x(2, 3, 2, 2), axis=one) for one in more]
    return [*cases, *([case(x(2, 3), axis=1, keepdims=True), case(x(2, 3), keepdims=True)] if keepdims else [])]


def each(names: Sequence[str], cases: list[Case]) -> dict[str, list[Case]]:
    """The same cases for several ops."""
    return dict.fromkeys(names, cases)


def leaves_of(tree: Any) -> list[Any]:
    return optree.tree_leaves(tree, none_is_leaf=True)


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray)


def replace_arrays(case: Case, replace: Callable[[np.ndarray], Any]) -> Case:
    """The case with `replace` called on each array."""
    return optree.tree_map(lambda x: replace(x) if is_array(x) else x, case, none_is_leaf=True)


def arrays_of(case: Case) -> list[np.ndarray]:
    return [x for x in leaves_of(case) if is_array(x)]


def fill(case: Case, values: list[Any]) -> Case:
    """The case with `values` in place of its arrays."""
    remaining = iter(values)
    return replace_arrays(case, lambda _: next(remaining))


def call(function: Callable[..., Any], case: Case) -> Any:
    return function(*case.args, **case.kwargs)


def numbers(tree: Any) -> list[Any]:
    return [np.asarray(x) for x in leaves_of(tree)]


def dtypes(tree: Any) -> list[str]:
    return [
        keras.backend.standardize_dtype(x.dtype) if hasattr(x, "dtype") else type(x).__name__ for x in leaves_of(tree)
    ]


def gradients(function: Callable[..., Any], case: Case) -> Any:
    """The gradients, by all float arrays, of a weighted sum of all float results."""
    values = [tf.constant(x) for x in arrays_of(case)]
    watched = [x for x in values if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        results = [
            y for y in leaves_of(call(function, fill(case, values))) if isinstance(y, tf.Tensor) and y.dtype.is_floating
        ]
        total = (
            tf.add_n([tf.reduce_sum(tf.cast(y, "float64") * weights(y)) for y in results])
            if results
            else tf.constant(0.0)
        )
    found = tape.gradient(total, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [tf.convert_to_tensor(gradient) for gradient in found]


def ask(reference: Callable[..., Any], case: Case) -> tuple[Any, Any]:
    """What the reference gives for tensors, and its gradients; None for these where it has none."""
    of_tensors = fill(case, [tf.constant(x) for x in arrays_of(case)])  # some of its ops stumble over arrays
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        try:
            return call(reference, of_tensors), gradients(reference, case)
        except LookupError:
            return call(reference, of_tensors), None


def weights(y: Any) -> np.ndarray:
    return np.cos(np.arange(int(np.prod(y.shape)))).reshape(y.shape)


def symbols(case: Case, kind: type, unknown: bool) -> Case:
    """The case with symbolic tensors for its arrays; of those of the highest rank the first dimension is unknown."""
    rank = max((x.ndim for x in arrays_of(case)), default=0)

    def symbol(x: np.ndarray) -> Any:
        shape = (None, *x.shape[1:]) if unknown and x.ndim == rank and rank > 1 else x.shape
        return kind(shape, x.dtype.name)

    return replace_arrays(case, symbol)


def specs(tree: Any) -> list[Any]:
    return [
        (tuple(x.shape), keras.backend.standardize_dtype(x.dtype)) if hasattr(x, "shape") else x
        for x in leaves_of(tree)
    ]
