"""`Sequential`: a model whose layers run one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nyala.core import config, tree
from nyala.core.layer import Layer
from nyala.core.tensor import KerasTensor, is_shape, mask_of
from nyala.layers.input import Input, InputLayer, fit_input
from nyala.models.making import made_from_config, required
from nyala.models.model import Model


class Sequential(Model):
    """A stack of layers: each gets what the one before gives.

    With an `Input` in front it is built at once, without one when it first sees data.

    Example:
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> model.output_shape
        (None, 2)
    """

    untracked = Model.untracked | {"_input", "_output", "_input_layer"}

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        Layer.__init__(self, trainable=trainable, name=name)
        self._start_trainer()
        self._layers: list[Layer] = []
        self._input_layer: InputLayer | None = None
        self._input: Any = None
        self._output: Any = None
        self.supports_masking = True
        for layer in [layers] if isinstance(layers, Layer) else layers or []:
            self._append(layer)
        self._rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Put a layer behind the others."""
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer off and return it."""
        if not self._layers:
            raise ValueError(f"`{self.name}` has no layer to take off.")
        layer = self._layers.pop()
        self.built, self._output = False, None
        self._drop_plans()
        if rebuild:
            self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, KerasTensor) and layer._keras_history is not None:
            layer = layer._keras_history[0]
        if not isinstance(layer, Layer):
            if not callable(layer) or isinstance(layer, type):
                hint = f"; write {layer.__name__}(...) to make one" if isinstance(layer, type) else ""
                raise TypeError(f"`{self.name}` is made of layers, but got {layer!r}{hint}.")
            from nyala.layers import Lambda

            layer = Lambda(layer)
        if any(layer.name == other.name for other in self._layers):
            raise ValueError(f"`{self.name}` has a layer named {layer.name!r} already; give this one another `name=`.")
        if isinstance(layer, InputLayer):
            if self._input_layer is not None or self._layers:
                raise ValueError(f"An Input stands in front, but `{self.name}` has {len(self._layers)} layers already.")
            self._input_layer = layer
        else:
            self._layers.append(layer)
        self.built = False
        self._drop_plans()

    def _rebuild(self) -> None:
        """Build where the shape of the input is known."""
        if self._input_layer is None and self._layers:
            first = self._layers[0]
            shape = first._input_shape_argument
            if shape is None and isinstance(first, (Sequential,)) and first._input_layer is not None:
                shape = first._input_layer.batch_shape
            if shape is None and first.built and not isinstance(first, Sequential) and isinstance(first, Model):
                shape = first.input_shape if hasattr(first, "_inputs_struct") and is_shape(first.input_shape) else None
            if shape is not None:
                self._input_layer = InputLayer(batch_shape=shape)
        if self._input_layer is not None and self._layers:
            self.build(self._input_layer.batch_shape)

    def build(self, input_shape: Any = None) -> None:
        """Build the layers for inputs of `input_shape`, batch axis included."""
        if not self._layers:
            raise ValueError(f"`{self.name}` has no layers to build; `add()` some first.")
        if input_shape is None:
            raise ValueError(f"`{self.name}` needs an input shape to be built, such as build((None, 784)).")
        if self._input_layer is None:
            if not is_shape(input_shape):
                raise ValueError(f"`{self.name}` takes one input tensor, but got the shapes {input_shape}.")
            x = Input(batch_shape=(None, *input_shape[1:]) if input_shape else ())
            self._input_layer = x._keras_history[0]
        x = self._input = self._input_layer.output  # pyright: ignore[reportOptionalMemberAccess]
        for layer in self._layers:
            x = layer(x)
        self._output = x

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None and mask_of(inputs) is None:
            inputs._keras_mask = mask
        x = inputs if self._output is None else fit_input(inputs, self._input, self.name)
        for layer in self._layers:
            x = layer(x)
        return x

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for inputs of `input_shape`."""
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the Input."""
        return list(self._layers)

    @property
    def input(self) -> Any:
        """The symbolic input."""
        self._require_built()
        return self._input

    @property
    def output(self) -> Any:
        """The symbolic output."""
        self._require_built()
        return self._output

    @property
    def inputs(self) -> list[Any]:
        """The symbolic input, in a list."""
        return [self.input]

    @property
    def outputs(self) -> list[Any]:
        """The symbolic outputs, flat."""
        return tree.flatten(self.output)

    @property
    def input_shape(self) -> Any:
        """The shape of the input."""
        return self.input.shape

    @property
    def output_shape(self) -> Any:
        """The shape of the output."""
        return tree.map_structure(lambda x: x.shape, self.output)

    @property
    def input_names(self) -> list[str]:
        """The name of the input, in a list."""
        return [self._input_layer.name] if self._input_layer else []

    @property
    def output_names(self) -> list[str]:
        """The name of the last layer, in a list."""
        return [self._layers[-1].name] if self._layers else []

    def _require_built(self) -> None:
        if self._output is None:
            raise AttributeError(f"`{self.name}` has no input yet: put an Input in front, or call it on data.")

    def get_config(self) -> dict[str, Any]:
        front = [self._input_layer] if self._input_layer is not None else []
        data = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": config.serialize(self.dtype_policy),
            "layers": [config.serialize_object(layer) for layer in front + self._layers],
        }
        if self._output is not None:
            data["build_input_shape"] = list(self._input.shape)
        return data

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Make the model that `get_config` described."""
        from nyala.core.config import custom_object_scope, deserialize

        where = f"The config of the model {str(config.get('name'))[:100]!r}"
        entries = required(config, "layers", (list, tuple), where)
        with custom_object_scope(custom_objects), made_from_config(where):
            layers = [deserialize(entry) for entry in entries]
            model = cls(layers, name=config.get("name"))
            shape = config.get("build_input_shape")
            if not model.built and shape and layers:
                model.build(tuple(required(config, "build_input_shape", (list, tuple), where)))
        model._trainable = bool(config.get("trainable", True))  # each layer brought its own
        return model


config.models.add(Sequential)
