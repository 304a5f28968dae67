"""`Model`: a layer that can be trained, evaluated and saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nyala.core import config, tree
from nyala.core.engine import tf
from nyala.core.layer import CallContext, Layer, _current, call_signature
from nyala.core.tensor import KerasTensor
from nyala.models.state_tree import get_state_tree, set_state_tree
from nyala.training.trainer import Trainer


class Model(Trainer, Layer):
    """A layer that can be trained, evaluated and saved.

    `Model(inputs, outputs)` makes a model of the graph between symbolic tensors; a subclass defines `call` instead.

    Example:
        >>> import nyala
        >>> class Double(nyala.Model):
        ...     def call(self, inputs):
        ...         return 2 * inputs
        >>> float(Double()(nyala.ops.convert_to_tensor([4.0]))[0])
        8.0
    """

    untracked = Layer.untracked | {"_compiled", "_plans", "_strategy", "optimizer", "history", "loss"}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A `Functional` where inputs and outputs are given, else an instance of the class itself."""
        if cls is Model and _is_graph(args, kwargs):
            from nyala.models.functional import Functional

            return Layer.__new__(Functional, *args, **kwargs)
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if _is_graph(args, kwargs):
            from nyala.models.functional import Functional

            # A subclass that hands its graph to `super().__init__` is a Functional from here on.
            members = {"__module__": type(self).__module__, "written_as": type(self)}
            bases: Any = (type(self), Functional)
            self.__class__ = type(type(self).__name__, bases, members)  # pyright: ignore[reportAttributeAccessIssue]
            Functional.__init__(self, *args, **kwargs)  # pyright: ignore[reportArgumentType]
            return
        Layer.__init__(self, *args, **kwargs)
        self._start_trainer()

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the model computes; a subclass says what."""
        raise TypeError(
            f"{type(self).__name__} defines no `call` method; add `def call(self, inputs):`, or make the model of "
            "inputs and outputs with `Model(inputs, outputs)`."
        )

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside, in the order in which they run or were set."""
        return list(self._sublayers())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place in `layers`; a ValueError where there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes a `name` or an `index`, one of them.")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"`{self.name}` has {len(layers)} layers, so there is none at index {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(f"`{self.name}` has no layer {name!r}; it has {[layer.name for layer in layers]}.")

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Make the model that `get_config` described; its layers and calls again where it is a graph."""
        from nyala.core.config import custom_object_scope

        with custom_object_scope(custom_objects):
            if {"layers", "input_layers"} <= config.keys():
                from nyala.models.functional import from_graph_config

                return from_graph_config(cls, config)
            return super().from_config(config)

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the model as `get_build_config` says: a subclassed one is called once on symbolic inputs."""
        if self.built or not config:
            return
        if type(self).build is not Layer.build and not _has_default_build(self):
            super().build_from_config(config)
        else:
            shapes = list(config.get("shapes_dict", config).values())
            names = call_signature(type(self)).names
            symbols = {n: _symbols(shape) for n, shape in zip(names, shapes)}
            self(**symbols)

    def symbolic_build(self, specs: Any) -> None:
        """Build by tracing a call on inputs of the given TensorFlow types."""
        if not self.built or not all(layer.built for layer in self._flatten_layers()):
            outer, _current.context = _current.context, CallContext()
            try:
                with tf.__internal__.FuncGraph("build").as_default():
                    self(tree.map_structure(lambda s: tf.compat.v1.placeholder(s.dtype, s.shape), specs))
            finally:
                _current.context = outer

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers with their output shapes and parameters, and the totals."""
        from nyala.models.summary import print_summary

        print_summary(self, line_length, print_fn, expand_nested, show_trainable, layer_range)

    # ---- State as values ----

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict[str, Any]]:
        """The values of all variables in nested dicts by the parts of their paths, below four kinds.

        The kinds are `trainable_variables`, `non_trainable_variables`, `optimizer_variables` and `metrics_variables`.
        `value_format="numpy_array"` gives arrays. Raises ValueError where two variables have one path.

        Example:
            >>> import nyala
            >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, name="out")], name="net")
            >>> model.get_state_tree()["trainable_variables"]["net"]["out"]["kernel"].shape.as_list()
            [3, 2]
        """
        return get_state_tree(self, value_format)

    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Assign values from a tree as `get_state_tree` gives it, or from a part of one.

        Raises ValueError, before anything is assigned, with all that does not fit.
        """
        set_state_tree(self, state_tree)

    def stateless_compute_loss(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        metrics_variables: Sequence[Any],
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[list[Any], list[Any], list[Any]]]:
        """`compute_loss` with the given values in place of the variables', and the values of all three kinds after it."""
        given = {
            "trainable_variables": trainable_variables,
            "non_trainable_variables": non_trainable_variables,
            "metrics_variables": metrics_variables,
        }
        with self._stateless_scope("stateless_compute_loss", given) as scope:
            loss = self.compute_loss(x, y, y_pred, sample_weight, training)
        after = [[scope.get_current_value(variable) for variable in getattr(self, what)] for what in given]
        return loss, (after[0], after[1], after[2])

    # ---- What Keras 2 called things, for training steps written then ----

    def compiled_loss(self, y: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None) -> Any:
        """The loss of `compute_loss`, which counts the regularization losses by itself."""
        return self.compute_loss(None, y, y_pred, sample_weight)

    @property
    def compiled_metrics(self) -> CompiledMetrics:
        """What has an `update_state(y, y_pred, sample_weight)` for the metrics given to `compile`."""
        return CompiledMetrics(self)

    @property
    def distribute_strategy(self) -> Any:
        """The strategy of `tf.distribute` in whose scope the model was made."""
        return self._strategy

    distribute_reduction_method = "auto"

    # ---- Weights in few bits ----

    def quantize(self, mode: Any = None, config: Any = None, filters: Any = None, **kwargs: Any) -> None:
        """Quantize every layer inside that can be; the model must be compiled again before it trains on.

        `mode` is "int8", "int4" or "float8"; or `config` says how, which "gptq" and "awq" need. `filters` chooses layers:
        a regular expression, or several, that match somewhere in their paths, or a function of a layer. Raises
        ValueError where the model is not built, and for an unknown mode.

        Example:
            >>> import nyala
            >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
            >>> model.quantize("int8")
            >>> model.layers[0].kernel.dtype
            'int8'
        """
        from nyala.models.quantization import quantize_model

        quantize_model(self, mode, config, filters, **kwargs)

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, Any] | None:
        """The layers that "gptq" and "awq" quantize one after the other; a subclass says which, the default is None.

        The keys are `pre_block_layers`, which make the first block's inputs, and `sequential_blocks`.
        """
        return None

    # ---- Files ----

    def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None, **kwargs: Any) -> None:
        """Save the model, its weights and how it was compiled to a `.keras` file."""
        from nyala import saving

        saving.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Save the weights to a `.weights.h5` file."""
        from nyala import saving

        saving.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Load weights from a file that `save_weights` or `save` wrote."""
        from nyala import saving

        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Export the computation for programs without Nyala, with an endpoint `serve`.

        `format` is `"tf_saved_model"` (a folder), `"litert"` (`.tflite`), `"onnx"` or `"openvino"` (`.xml`); the last two
        need the packages tf2onnx and openvino, and all but the first take the options of their converters. Raises
        ValueError for another format or suffix, and for a model that is not built.
        """
        from nyala.saving.exporting import export_model

        export_model(self, filepath, format, verbose is not False, input_signature, **kwargs)

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON, for `models.model_from_json`."""
        import json

        with config.sharing():
            return json.dumps(config.serialize_object(self), **kwargs)

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs, as far as they are known."""
        return []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


class CompiledMetrics:
    """The metrics that `compile` was given, as one."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch."""
        self._model.compute_metrics(None, y, y_pred, sample_weight)


def _is_graph(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the arguments of a model are symbolic inputs and outputs."""
    return len(args) >= 2 or (len(args) == 1 and "outputs" in kwargs) or {"inputs", "outputs"} <= kwargs.keys()


def _has_default_build(model: Model) -> bool:
    return type(model).build is Model.build


def _symbols(shape: Any) -> Any:
    if isinstance(shape, Mapping):
        return {key: _symbols(item) for key, item in shape.items()}
    if all(size is None or isinstance(size, int) for size in shape):
        return KerasTensor(shape)
    return [_symbols(item) for item in shape]


config.models.add(Model)
