"""A layer's loop as one function of TensorFlow's, called at the cost of one operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala.core import tree
from nyala.core.engine import tf


class OneDispatch:
    """`function(*arguments, *options)` of nested tensors, traced once for each look of its arguments.

    A `tf.function` would compare the arguments of each call with those of its traces in Python, which takes longer than
    a short loop; here a dictionary finds the trace.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._functions: dict[Any, Any] = {}  # the structure of the arguments, and the options → a `tf.function`
        self._traces: dict[Any, Any] = {}  # these, and the shapes and dtypes → a trace of it

    def __call__(self, arguments: tuple[Any, ...], *options: Any) -> Any:
        tensors, structure = tree.flatten_present(arguments)
        kind = (structure, options)
        look = (kind, *[(x.shape, x.dtype) for x in tensors])
        trace = self._traces.get(look)
        if trace is None:
            trace = self._traces[look] = self._of_kind(kind).get_concrete_function(*tensors)
        return trace(*tensors)

    def _of_kind(self, kind: Any) -> Any:
        structure, options = kind

        def flat(*tensors: Any) -> Any:
            return self._function(*tree.unflatten(structure, tensors), *options)

        if kind not in self._functions:
            self._functions[kind] = tf.function(flat, reduce_retracing=True, autograph=False)
        return self._functions[kind]
