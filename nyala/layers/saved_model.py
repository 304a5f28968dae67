"""A SavedModel as a layer: what Keras, plain TensorFlow or `Model.export` wrote, called and trained further."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.variable import Variable


class TFSMLayer(Layer):
    """The SavedModel in the folder `filepath` as a layer: `outputs = endpoint(inputs)`.

    `call_endpoint` names a function or signature of the SavedModel, `call_training_endpoint` the one that is called with
    `training=True`. The variables that these use are the layer's weights. A signature gives a dict of tensors, and takes
    a dict of them where it has several arguments.

    A SavedModel is a program: load those of people you trust. So no file of a model brings one along: loading it takes
    `custom_objects={"TFSMLayer": nyala.layers.TFSMLayer}`, said by whoever has looked at the path in it.

    Raises FileNotFoundError where there is no such folder, ValueError where it holds no SavedModel or no such endpoint.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> path = os.path.join(tempfile.mkdtemp(), "exported")
        >>> model.export(path, verbose=False)
        >>> nyala.layers.TFSMLayer(path)(np.ones((1, 3))).shape.as_list()
        [1, 2]
    """

    def __init__(
        self,
        filepath: Any,
        call_endpoint: str = "serve",
        call_training_endpoint: str | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(trainable=trainable, name=name, dtype=dtype)
        self.filepath = os.fspath(filepath)
        self.call_endpoint, self.call_training_endpoint = call_endpoint, call_training_endpoint
        self._loaded = _load(self.filepath)
        self._call = self._endpoint(call_endpoint)
        self._call_in_training = None if call_training_endpoint is None else self._endpoint(call_training_endpoint)
        functions = [self._call, *([self._call_in_training] if self._call_in_training else [])]
        used = {id(v): v for function in functions for v in _variables_of(function)}
        self._held = [_Held(variable) for variable in used.values()]
        self.built = True

    def _endpoint(self, name: str) -> Callable[..., Any]:
        """The function or the signature of that name."""
        known = {key: value for key, value in vars(self._loaded).items() if hasattr(value, "concrete_functions")}
        known = {**self._loaded.signatures, **known}
        if name not in known:
            listed = ", ".join(map(repr, sorted(known))) or "none at all"
            raise ValueError(f"The SavedModel in {self.filepath} has no endpoint {name!r}; it has {listed}.")
        return known[name]

    def call(self, inputs: Any, training: bool = False, **kwargs: Any) -> Any:
        function = self._call_in_training if training and self._call_in_training is not None else self._call
        if isinstance(inputs, Mapping) and not hasattr(function, "concrete_functions"):
            return function(**inputs, **kwargs)  # a signature, whose arguments have names
        return function(inputs, **kwargs)


class _Held(Variable):
    """A variable of a SavedModel, as it is."""

    def __init__(self, variable: Any) -> None:
        self._given = variable
        super().__init__(variable, trainable=variable.trainable, name=variable.name.partition(":")[0].replace("/", "_"))

    def _create(self, initializer: Any, shape: Any, dtype: Any) -> Any:
        return self._given


def _load(folder: str) -> Any:
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder!r} with a SavedModel.")
    try:
        return tf.saved_model.load(folder)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ValueError(f"{folder} holds no SavedModel that can be loaded: {str(error)[:300]}") from None


def _variables_of(function: Any) -> list[Any]:
    """What an endpoint reads and writes, each variable once."""
    traces = getattr(function, "concrete_functions", [function])
    return list({id(v): v for trace in traces for v in trace.variables}.values())
