"""A layer that is a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import signature_of
from nyala.core.engine import tf
from nyala.core.layer import Layer, call_signature, graph_ready


class Lambda(Layer):
    """A function of tensors as a layer: `outputs = function(inputs, **arguments)`.

    `mask` and `training` are handed to the function where it has parameters of these names. `output_shape`, a tuple
    without the batch or a function of the input's shape, replaces tracing; `mask`, a tensor or a function
    `(inputs, mask)`, is what `compute_mask` gives. A file holds the function's name only: register the function with
    `saving.register_keras_serializable` or pass it as `custom_objects`.

    Raises TypeError where `function` cannot be called.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Lambda(lambda x: x * 2)(np.array([1.0, 2.0])).numpy().tolist()
        [2.0, 4.0]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"`function` of `{self.name}` must be callable, but got {function!r}.")
        self.function = function
        self.mask = mask
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        self._given_shape = tuple(output_shape) if isinstance(output_shape, list) else output_shape
        self._accepts = _parameters(function)

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        options = {name: value for name, value in (("mask", mask), ("training", training)) if name in self._accepts}
        function = self.function
        if not tf.executing_eagerly() and inspect.isfunction(function) and _is_users(function):
            function = graph_ready(function)  # Python's `if` and `for` on tensors
        return function(inputs, **{**self.arguments, **options})

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._given_shape is None:
            return super().compute_output_shape(input_shape)
        if callable(self._given_shape):
            shape: Any = self._given_shape(input_shape)
            return tuple(shape)
        return (input_shape[0], *self._given_shape)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        if self._given_shape is not None:
            return super().compute_output_spec(*args, **kwargs)
        return self._trace_output_spec(call_signature(type(self)).name_arguments(self, args, kwargs))

    def get_config(self) -> dict[str, Any]:
        own = {**super().get_config(), "output_shape": config.serialize(self._given_shape)}
        return {name: value for name, value in own.items() if value is not None or name not in ("output_shape", "mask")}


def _parameters(function: Callable[..., Any]) -> set[str]:
    try:
        return set(signature_of(function).parameters)
    except (TypeError, ValueError):
        return set()  # a builtin that does not say


def _is_users(function: Callable[..., Any]) -> bool:
    return function.__module__ is None or function.__module__.split(".")[0] not in ("nyala", "tensorflow")


config.layers.add(Lambda)
