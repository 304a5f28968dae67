"""`Layer`: weights, and the computation that uses them.

`Layer.__call__` is a table of contents: each step is a method below it.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nyala.core import config, graph, policy, remat, tensor, tree
from nyala.core.config import signature_of
from nyala.core.engine import ConversionError, tf
from nyala.core.graph import Operation, any_symbolic
from nyala.core.tensor import KerasTensor, Shape, is_shape, mask_of, symbols_of
from nyala.core.tracebacks import shorten
from nyala.core.tracking import Trackable, current_path, name_scope, owned, path_scope, walk
from nyala.core.variable import StatelessScope, Variable, autocast_scope, stateless_scope


class CallContext:
    """What an outermost call hands down to the calls inside it."""

    def __init__(self) -> None:
        self.training: Any = None  # True, False or, in a graph, a tensor


class _Current(threading.local):
    context: CallContext | None = None


_current = _Current()


class CallSignature:
    """The parameters of a class's `call`, read once a class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.signature = signature_of(function)
        parameters = list(self.signature.parameters.values())[1:]
        kinds = {p.kind for p in parameters}
        self.names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.takes_any = inspect.Parameter.VAR_KEYWORD in kinds
        self.variadic = inspect.Parameter.VAR_POSITIONAL in kinds
        self.training_default = next((p.default for p in parameters if p.name == "training"), inspect.Parameter.empty)
        self.has_training = self.training_default is not inspect.Parameter.empty or "training" in self.names
        self.masks = [name for name in self.names if name == "mask" or name.endswith("_mask")]
        without_default = {p.name for p in parameters if p.default is p.empty and p.name in self.names}
        self.required = without_default - {"training", *self.masks}  # those come from the outer call

    def name_arguments(self, layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The given arguments by name; a TypeError that names the layer where they do not fit."""
        if len(args) <= len(self.names) and not self.variadic:
            named = {**dict(zip(self.names, args)), **kwargs}
            known = self.takes_any or kwargs.keys() <= {*self.names, "training"}  # that one is for layers inside, too
            if known and len(named) == len(args) + len(kwargs) and self.required <= named.keys():
                return named
        try:
            bound = self.signature.bind(layer, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"`{layer.path}` cannot be called so: {error}. It takes {self.signature}.") from None
        named = {}
        for name, value in list(bound.arguments.items())[1:]:
            kind = self.signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                named.update(value)
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                named.update({f"{name}_{place}": item for place, item in enumerate(value)})
            else:
                named[name] = value
        return named


@functools.cache
def call_signature(cls: type[Layer]) -> CallSignature:
    """The call signature of a layer class."""
    return CallSignature(cls.call)


class Layer(Operation, Trackable):
    """Weights, and the computation that uses them.

    A subclass creates weights in `__init__` or in `build(input_shape)`, which runs before the first call, and computes
    in `call(inputs)`. `call` may take `training` and `mask`, which come from the outer call where nobody gives them.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> class Scale(nyala.Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=input_shape[-1:], initializer="ones")
        ...     def call(self, inputs):
        ...         return inputs * self.factor
        >>> Scale()(np.ones((2, 3), "float32")).shape.as_list()
        [2, 3]
    """

    kind = "layer"
    untracked = Trackable.untracked | frozenset(
        {"_arguments", "inbound_nodes", "_build_shapes", "_call_losses", "_metrics_made", "_seen_shapes"}
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _built(cls.__dict__["build"])

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name)
        self.note_birth()
        self._variables: list[Variable] = []
        self._trainable = bool(trainable)
        self.autocast = autocast
        self._dtype_policy = self._require_few_bits(dtype)
        self.activity_regularizer: Any = config.regularizers.get(activity_regularizer)
        self.supports_masking = False
        self.input_spec: Any = None
        self.built = False
        self._path = ""
        self._build_shapes: dict[str, Any] = {}
        self._call_losses: tuple[CallContext | None, list[Any]] = (None, [])
        self._warned_of_mask = False
        self._remat_scope, self._rematerializes = remat.current_scope(), False
        self._seen_shapes: tuple[Any, Any] | None = None
        input_shape = kwargs.pop("input_shape", None)  # of old: `Dense(2, input_shape=(3,))` as a first layer
        if "input_dim" in kwargs:
            input_shape = (kwargs.pop("input_dim"),)
        self._input_shape_argument = None if input_shape is None else (None, *input_shape)
        if kwargs:
            name, known = sorted(kwargs)[0], signature_of(type(self).__init__).parameters
            raise ValueError(f"{type(self).__name__} takes no argument {name!r}.{_close_argument(name, known)}")

    # ---- The call ----

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute on tensors or arrays, or record the call on symbolic ones; build first where that is still to do."""
        signature = call_signature(type(self))
        self._require_constructed()
        arguments, plain = self._convert(signature.name_arguments(self, args, kwargs))
        outer = _current.context
        context = _current.context = outer or CallContext()
        training_before = context.training
        try:
            masks = self._inherit_masks(signature, arguments)
            self._inherit_training(signature, arguments, context)
            with name_scope(self.name):
                self._ensure_built(signature, arguments)
                self._check_inputs(arguments)
                if not plain and any_symbolic(arguments.values()):
                    outputs = self._record(args, kwargs, arguments)
                    self._pass_masks_on(arguments, masks, outputs)
                    return outputs
                with autocast_scope(self._dtype_policy.compute_dtype if self.autocast else None):
                    outputs = self._run(signature, arguments)
            self._add_activity_loss(outputs)
            self._pass_masks_on(arguments, masks, outputs)
            self._note_call(context, arguments, outputs)
            return outputs
        except Exception as error:
            shorten(error)
            raise
        finally:
            context.training = training_before
            _current.context = outer

    def _require_constructed(self) -> None:
        if "_call_losses" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__} is not set up: its `__init__` must call `super().__init__()` before anything else."
            )

    def _convert(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The arguments with arrays made tensors and floats cast; and whether all were tensors as they should be.

        That is the usual case, and spared the search for symbols.
        """
        dtype, autocast, convert = self.input_dtype, self.autocast, self._dtype_policy.convert_input
        converted, plain = {}, True
        for name, value in arguments.items():
            if (isinstance(value, tf.Tensor) and value.dtype.name == dtype) or value is None or isinstance(value, bool):
                converted[name] = value
                continue
            plain = False
            if isinstance(value, (list, tuple, dict)):
                value = tree.map_structure(lambda x: convert(x, autocast, dtype), value)
            elif value is not None and not isinstance(value, (bool, int, float, str)):
                value = convert(value, autocast, dtype)
            converted[name] = value
        return converted, plain

    def _inherit_masks(self, signature: CallSignature, arguments: dict[str, Any]) -> Any:
        """The masks that came attached to the first argument; given to `call` where it asks for them by name."""
        first = next(iter(arguments), None)
        if first is None:
            return None
        for position, name in enumerate(list(arguments)):
            wanted = "mask" if position == 0 and "mask" in signature.masks else f"{name}_mask"
            if wanted in signature.masks and arguments.get(wanted) is None:
                mask = _masks_of(arguments[name])
                if mask is not None:
                    arguments[wanted] = mask
        return _masks_of(arguments[first])

    def _inherit_training(self, signature: CallSignature, arguments: dict[str, Any], context: CallContext) -> None:
        """Settle `training`: what this call says, else what the outer call said, else the default of `call`."""
        training = arguments.get("training")
        if training is None:
            training = context.training
        if training is None and signature.has_training and signature.training_default is not inspect.Parameter.empty:
            training = signature.training_default
        context.training = training
        if signature.has_training:
            arguments["training"] = training
        elif not signature.takes_any:
            arguments.pop("training", None)

    def _ensure_built(self, signature: CallSignature, arguments: dict[str, Any]) -> None:
        """Build from the shapes of the arguments, once."""
        if self.built:
            return
        shapes = {
            f"{name}_shape": _shapes_of(value)
            for name, value in arguments.items()
            if _holds_tensors(value) and name not in signature.masks
        }
        build = signature_of(type(self).build).parameters
        wanted = [name for name in list(build)[1:] if build[name].kind not in (2, 4)]
        if len(wanted) == 1 and wanted[0] not in shapes:
            shapes = dict(zip(wanted, shapes.values()))
        takes_any = any(p.kind == p.VAR_KEYWORD for p in build.values())
        if not shapes and type(self).build is Layer.build:
            shapes = dict.fromkeys(wanted)
        elif not shapes and any(build[name].default is inspect.Parameter.empty for name in wanted):
            raise ValueError(
                f"`{self.path}` takes tensors or arrays, but got {next(iter(arguments.values()), 'nothing')!r}; make an "
                "array of it, such as np.array([[1.0, 2.0]])."
            )
        with path_scope(current_path().rpartition("/")[0]):
            self.build(**{name: shape for name, shape in shapes.items() if takes_any or name in wanted})

    def _check_inputs(self, arguments: dict[str, Any]) -> None:
        """Hold the first argument against `input_spec`."""
        if self.input_spec is not None and arguments:
            first = next(iter(arguments.values()))
            check_input_spec(self.input_spec, first, self._path or self.name)

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: dict[str, Any]) -> Any:
        """Note the call in the graph."""
        with path_scope(current_path().rpartition("/")[0]):
            outputs = self.compute_output_spec(**arguments)
        return graph.record(self, args, kwargs, outputs)

    def _run(self, signature: CallSignature, arguments: dict[str, Any]) -> Any:
        """Call `call`; in a graph a user's Python control flow on tensors is converted first."""
        call = self.call
        if not tf.executing_eagerly() and not config.is_ours(type(self).call):
            call = functools.partial(graph_ready(type(self).call), self)
        if self._remat_scope is not None:  # the first call settles what the scope means for this layer
            scope, self._remat_scope = self._remat_scope, None
            self._rematerializes = scope.covers(self, lambda: self._trace_output_spec(arguments))
        if self._rematerializes:
            return self._run_again_for_gradients(call, arguments, signature.variadic)
        if signature.variadic:
            return call(*arguments.values())
        return call(**arguments)

    def _run_again_for_gradients(self, call: Callable[..., Any], arguments: dict[str, Any], variadic: bool) -> Any:
        """The call, computed again where gradients need it; losses added inside come out as results, or have none."""
        layers = self._flatten_layers()

        def with_losses(*args: Any, **kwargs: Any) -> Any:
            before = [layer._call_losses for layer in layers]
            outputs = call(*args, **kwargs)
            added = [list(layer._call_losses[1]) if layer._call_losses is not old else None
                     for layer, old in zip(layers, before)]  # fmt: skip
            for layer, old in zip(layers, before):
                layer._call_losses = old
            return outputs, added

        again = self.rematerialized_call(with_losses)
        outputs, added = again(*arguments.values()) if variadic else again(**arguments)
        for layer, losses in zip(layers, added):
            if losses is not None:
                layer._call_losses = (_current.context, losses)
        return outputs

    def _add_activity_loss(self, outputs: Any) -> None:
        if self.activity_regularizer is not None:
            for output in tree.flatten(outputs):
                if tensor.is_tensor_like(output):
                    loss = self.activity_regularizer(output)
                    rows = tf.cast(tf.shape(output)[0], loss.dtype) if output.shape.rank else tf.ones((), loss.dtype)
                    self.add_loss(tf.math.divide_no_nan(loss, rows))

    def _pass_masks_on(self, arguments: dict[str, Any], masks: Any, outputs: Any) -> None:
        """Attach to the outputs, symbolic ones too, the masks that `compute_mask` makes of the inputs' masks."""
        if masks is None and type(self).compute_mask is Layer.compute_mask:
            return
        if not self.supports_masking:
            if masks is not None and not self._warned_of_mask and not hasattr(outputs, "_keras_mask"):
                self._warned_of_mask = True
                warnings.warn(
                    f"`{self.path}` ({type(self).__name__}) got a mask and does not pass it on, so the layers behind it "
                    "will treat padding as data. Set `self.supports_masking = True` in its `__init__`, or take the mask "
                    "off on purpose before it.",
                    stacklevel=3,
                )
            return
        flat = tree.flatten(outputs)
        if all(mask_of(x) is not None for x in flat):
            return
        computed = self.compute_mask(next(iter(arguments.values()), None), masks)
        if computed is None:
            return
        for output, mask in zip(flat, tree.flatten(computed)):
            if mask is not None and not isinstance(output, tf.Variable):
                output._keras_mask = mask

    def _note_call(self, context: CallContext, arguments: dict[str, Any], outputs: Any) -> None:
        """Forget losses of earlier calls, and remember once what shapes went in and came out."""
        if self._call_losses[0] is not context:
            self._call_losses = (context, [])
        if self._seen_shapes is None:
            self._seen_shapes = (_shapes_of(next(iter(arguments.values()), None)), _shapes_of(outputs))

    # ---- What a subclass defines ----

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of `input_shape`; the default has nothing to create itself.

        A layer that creates its sublayers in `__init__` needs no `build`: they are built when it is first called.
        """
        self.built = True

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the outputs; by default that of the inputs."""
        return previous_mask

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape, or structure of shapes, that inputs of the given shape lead to; None where a size is unknown."""
        shapes = [*args, *kwargs.values()]
        names = call_signature(type(self)).names
        symbols = {name: symbols_of(shape, self.compute_dtype) for name, shape in zip(names, shapes)}
        return tree.map_structure(lambda x: x.shape, self._trace_output_spec(symbols))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the outputs as KerasTensors: by the class's shape rule, else by tracing `call`."""
        arguments = call_signature(type(self)).name_arguments(self, args, kwargs)
        if type(self).compute_output_shape is not Layer.compute_output_shape:
            shapes = [_shapes_of(value) for value in arguments.values() if _holds_tensors(value)]
            wanted = len(signature_of(type(self).compute_output_shape).parameters) - 1
            return symbols_of(self.compute_output_shape(*shapes[:wanted]), self.compute_dtype)
        return self._trace_output_spec(arguments)

    def _trace_output_spec(self, arguments: dict[str, Any]) -> Any:
        signature = call_signature(type(self))
        losses = self._call_losses
        outer, _current.context = _current.context, _current.context or CallContext()
        try:

            def run(**arguments: Any) -> Any:
                with autocast_scope(self.compute_dtype if self.autocast else None):
                    return self._run(signature, arguments)

            with path_scope(self._path or self.name):
                return graph.trace(run, (), arguments)
        finally:
            self._call_losses, _current.context = losses, outer

    # ---- Weights ----

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Create a variable that this layer owns; without an initializer, Glorot uniform, or zeros for integers."""
        dtype = tensor.standardize_dtype(dtype or self.variable_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if tensor.is_float(dtype) else "zeros"
        sizes: tuple[Any, ...] = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape or ())
        if any(size is None or size < 0 for size in sizes):
            raise ValueError(
                f"`{current_path() or self.name}` cannot create the weight {name!r} of shape {sizes}: each size must be "
                "known. Give the last axis of its input a size."
            )
        with path_scope(current_path() or self._path or self.name):
            variable = Variable(
                initializer if hasattr(initializer, "__array__") else config.initializers.get(initializer),
                shape=sizes,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = config.regularizers.get(regularizer)
        variable.constraint = config.constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._variables.append(variable)
        return variable

    def add_variable(self, shape: Sequence[int], initializer: Any, **options: Any) -> Variable:
        """`add_weight` under another name."""
        return self.add_weight(shape=shape, initializer=initializer, **options)

    def _sublayers(self) -> Iterator[Layer]:
        return (item for item in owned(self) if isinstance(item, Layer))

    def _flatten_layers(self) -> list[Layer]:
        """This layer and those inside it, each once, outer before inner."""
        return [self, *(x for x in walk(self, enter=lambda item: item.kind == "layer") if isinstance(x, Layer))]

    @property
    def variables(self) -> list[Variable]:
        """All variables: the weights, then those of metrics and random seeds."""
        weights = self.weights
        known = {id(v) for v in weights}
        everything = walk(self, enter=lambda item: item.kind != "variable")
        return weights + [v for v in everything if isinstance(v, Variable) and id(v) not in known]

    @property
    def weights(self) -> list[Variable]:
        """The weights, layer by layer, trainable ones first within each; without metrics and random seeds."""
        found: dict[int, Variable] = {}
        for layer in self._flatten_layers():
            own = [item for item in owned(layer) if isinstance(item, Variable)]
            for variable in sorted(own, key=lambda v: not v.made_trainable):
                found.setdefault(id(variable), variable)
        return list(found.values())

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that training may move; none where `trainable` is False."""
        return [v for v in self.variables if v.trainable] if self.trainable else []

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The variables that training leaves alone."""
        moving = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in moving]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training may move; none where `trainable` is False."""
        return [v for v in self.weights if v.trainable] if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone."""
        moving = {id(v) for v in self.trainable_weights}
        return [v for v in self.weights if id(v) not in moving]

    @property
    def trainable(self) -> bool:
        """Whether training may move the weights; setting it reaches every layer inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for item in owned(self):
            if isinstance(item, Variable):
                item.trainable = item.made_trainable and self._trainable
            elif isinstance(item, Layer):
                item.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """The values of `weights`, as NumPy arrays."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `weights`, in the order of `get_weights`; all are checked before the first is assigned."""
        variables = self.weights
        if len(weights) != len(variables):
            raise ValueError(f"`{self.path}` has {len(variables)} weights, but set_weights() got {len(weights)}.")
        for variable, value in zip(variables, weights):
            if tuple(np.shape(value)) != tuple(variable.shape):
                raise ValueError(
                    f"The weight `{variable.path}` has shape {variable.shape}, but set_weights() got {np.shape(value)}."
                )
        for variable, value in zip(variables, weights):
            variable.assign(value)

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """The outputs with the given values in place of the variables', and the new values of the others.

        Returns `(outputs, non_trainable_variables)`, with `return_losses` the losses behind these. No variable changes.
        Raises ValueError where the numbers of values and of variables differ.
        """
        if not self.built:
            raise ValueError(f"`{self.path}` must be built before `stateless_call`: call it on data, or `build()` it.")
        given = {"trainable_variables": trainable_variables, "non_trainable_variables": non_trainable_variables}
        with self._stateless_scope("stateless_call", given) as scope:
            outputs = self(*args, **kwargs)
            losses = list(self.losses) if return_losses else []
        new = [scope.get_current_value(v) for v in self.non_trainable_variables]
        return (outputs, new, losses) if return_losses else (outputs, new)

    def _stateless_scope(self, method: str, given: Mapping[str, Sequence[Any]]) -> StatelessScope:
        """The scope in which each of the variables that `given` names by kind has its given value."""
        mapping = []
        for what, values in given.items():
            variables = getattr(self, what)
            if len(values) != len(variables):
                raise ValueError(f"`{self.path}` has {len(variables)} {what}, but {method}() got {len(values)}.")
            mapping += zip(variables, values)
        return StatelessScope(mapping)

    def count_params(self) -> int:
        """How many numbers the weights hold; a ValueError before the layer is built."""
        if not self.built:
            raise ValueError(f"`{self.path}` has no weights to count yet: call it on data, or `build()` it, first.")
        return sum(tensor.size_of(v.shape) for v in self.weights)

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Put the layer's own variables into `store`, by their place."""
        for place, variable in enumerate(self._own_variables()):
            store[str(place)] = variable.numpy()

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take the layer's own variables out of `store`; a ValueError where their number or a shape differs."""
        variables = self._own_variables()
        if len(store.keys()) != len(variables):
            hint = "" if self.built else " The layer is not built yet: call the model on data first."
            raise ValueError(f"`{self.path}` has {len(variables)} variables, the file has {len(store.keys())}.{hint}")
        for place, variable in enumerate(variables):
            variable.assign(np.asarray(store[str(place)]))
        self._after_loading()

    def _after_loading(self) -> None:
        """What is to do once the layer's own variables came out of a file: nothing, for most layers."""

    def _own_variables(self) -> list[Variable]:
        own = [item for item in owned(self) if isinstance(item, Variable)]
        return sorted(own, key=lambda v: not v.made_trainable)

    # ---- Losses and metrics ----

    def add_loss(self, loss: Any) -> None:
        """Add a scalar, or several, to what training minimizes; inside `call` they count for that call."""
        added = [x for x in tree.flatten(loss) if x is not None]
        scope = stateless_scope()
        if scope is not None and scope.collect_losses:
            scope.losses.extend(added)
        context, losses = self._call_losses
        if context is not _current.context:
            losses = []
        self._call_losses = (_current.context, losses + added)

    def add_metric(self, value: Any, name: str | None = None) -> None:
        """Track the mean of `value` under `name` among the model's metrics."""
        made = self.__dict__.setdefault("_metrics_made", {})
        name = name or f"{self.name}_metric_{len(made)}"
        if name not in made:
            made[name] = config.metrics.find("Mean")(name=name)
            self.__dict__.setdefault("_added_metrics", []).append(made[name])
        made[name].update_state(value)

    @property
    def losses(self) -> list[Any]:
        """What `add_loss` and activity regularizers gave in the last call, then the weights' regularization."""
        context = self._call_losses[0]
        found = []
        for layer in self._flatten_layers():
            if layer is self or context is None or layer._call_losses[0] is context:
                found += layer._call_losses[1]
        for variable in self.trainable_weights:
            if variable.regularizer is not None:
                found.append(variable.regularizer(variable))
        return found

    @property
    def metrics(self) -> list[Any]:
        """The metrics that this layer and those inside it own."""
        return [item for item in walk(self, enter=lambda item: item.kind == "layer") if item.kind == "metric"]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The variables of `metrics`."""
        return [variable for metric in self.metrics for variable in metric.variables]

    # ---- Dtypes ----

    @property
    def dtype_policy(self) -> policy.DTypePolicy:
        """In which dtype the layer computes and in which it keeps its weights."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._dtype_policy = self._require_few_bits(value)

    def _require_few_bits(self, dtype: Any) -> policy.DTypePolicy:
        """The policy that `dtype` stands for; a ValueError where it is for quantized weights, which few layers can have."""
        named = isinstance(dtype, str) and "_from_" in dtype
        chosen = None if named else policy.get(dtype)
        if chosen is not None and (chosen.quantization_mode is None or isinstance(chosen, Mapping)):
            return chosen
        if chosen is None or type(self).quantized_build is Layer.quantized_build:
            raise ValueError(
                f"`{self.name}` ({type(self).__name__}) got the dtype policy {dtype!r}, but has no weights that could be "
                "quantized as Dense, EinsumDense, Embedding and ReversibleEmbedding have; give it what stands behind "
                "`_from_`."
            )
        return chosen

    @property
    def dtype(self) -> str:
        """The dtype of the weights: `variable_dtype`."""
        return self.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype of the computation."""
        return self._dtype_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the weights."""
        return self._dtype_policy.variable_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that floating inputs are cast to."""
        return self._dtype_policy.compute_dtype

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are quantized, if they are."""
        return self._dtype_policy.quantization_mode

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """Keep the weights in few bits from now on; a layer that can says how, for any other it is an error."""
        raise NotImplementedError(
            f"`{self.path}` ({type(self).__name__}) cannot be quantized; Dense, EinsumDense and Embedding layers can. "
            "Model.quantize() takes those and leaves the others."
        )

    def quantized_build(self, input_shape: Any, mode: str) -> None:
        """Create the weights of a quantized layer; a layer that can be quantized says which."""
        raise NotImplementedError(f"`{self.path}` ({type(self).__name__}) has no weights that could be quantized.")

    # ---- Names, shapes, config ----

    @property
    def path(self) -> str:
        """The layer's name behind those of the layers it was built in."""
        return self._path or self.name

    @property
    def input_shape(self) -> Any:
        """The shape of the input that the layer was called on."""
        if self.inbound_nodes or self._seen_shapes is None:
            return tree.map_structure(lambda x: x.shape, self.input)
        return self._seen_shapes[0]

    @property
    def output_shape(self) -> Any:
        """The shape of the output that a call gave."""
        if self.inbound_nodes or self._seen_shapes is None:
            return tree.map_structure(lambda x: x.shape, self.output)
        return self._seen_shapes[1]

    def get_build_config(self) -> dict[str, Any] | None:
        """The shapes that the layer was built with; None before it is built."""
        shapes = dict(self._build_shapes)
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": shapes} if shapes else None

    def build_from_config(self, config: Mapping[str, Any]) -> None:
        """Build the layer as `get_build_config` says it was built."""
        shapes = {name: _as_shapes(value) for name, value in config.get("shapes_dict", config).items()}
        if not self.built and shapes:
            known = signature_of(type(self).build).parameters
            self.build(**shapes) if set(shapes) <= set(known) else self.build(*shapes.values())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data: `from_config` makes an equal layer from them."""
        own = self.constructor_arguments()
        base = {"name": self.name, "trainable": self.trainable, "dtype": config.serialize(self.dtype_policy)}
        named = "activity_regularizer" in own
        regularizer = own.pop("activity_regularizer", self.activity_regularizer)
        if named or regularizer is not None:
            base["activity_regularizer"] = config.serialize(config.regularizers.get(regularizer))
        return {**base, **{key: config.serialize(value) for key, value in own.items() if key not in base}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Make the layer that `get_config` described, unbuilt."""
        arguments = {name: _revived(value) for name, value in config.items()}
        known = signature_of(cls.__init__).parameters
        if any(p.kind == p.VAR_KEYWORD for p in known.values()):
            return cls(**arguments)
        layer = cls(**{name: value for name, value in arguments.items() if name in known})
        layer.name = arguments.get("name", layer.name)
        if "dtype" in arguments:
            layer.dtype_policy = arguments["dtype"]
        if not arguments.get("trainable", True):
            layer.trainable = False
        return layer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _revived(value: Any) -> Any:
    return config.revive(value)


def _close_argument(name: str, known: Mapping[str, Any]) -> str:
    hint = config.suggestion(name, [*known, "name", "dtype", "trainable", "activity_regularizer"])
    return hint if "Did you mean" in hint else ""


def _built(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build` made to name the variables after the layer and to note the shapes it was given."""

    @functools.wraps(build)
    def wrapper(self: Layer, *args: Any, **kwargs: Any) -> None:
        if self.__dict__.get("_building"):
            return build(self, *args, **kwargs)  # super().build() of a subclass
        bound = signature_of(build).bind(self, *args, **kwargs)
        self._build_shapes = {k: v for k, v in list(bound.arguments.items())[1:] if v is not None}
        scope = current_path()
        self._path = f"{scope}/{self.name}" if scope else self.name
        self.__dict__["_building"] = True
        try:
            with name_scope(self.name), tf.init_scope():
                build(self, *args, **kwargs)
        finally:
            del self.__dict__["_building"]
        self.built = True
        if not self._trainable:
            self.trainable = False  # of the new variables too
        return None

    return wrapper


Layer.build = _built(Layer.build)  # type: ignore[method-assign]


@functools.cache
def graph_ready(function: Callable[..., Any]) -> Callable[..., Any]:
    """A user's function with `if`, `for` and `while` on tensors turned into graph operations."""
    try:
        return tf.autograph.to_graph(function)
    except ConversionError:
        return function  # no source to convert, as in an interactive session


# ---- Structures of tensors and of shapes ----


def _holds_tensors(value: Any) -> bool:
    leaves = tree.flatten(value)
    return bool(leaves) and all(isinstance(x, (KerasTensor, Variable)) or tensor.is_tensor_like(x) for x in leaves)


def _shapes_of(value: Any) -> Any:
    return tree.map_structure(tensor.static_shape, value)


def _masks_of(value: Any) -> Any:
    """The masks attached to the tensors of a structure, laid out alike; None where there is none at all."""
    if not isinstance(value, (list, tuple, dict)):
        return mask_of(value)
    masks = tree.map_structure(lambda x: mask_of(x), value)
    return masks if any(mask is not None for mask in tree.flatten(masks)) else None


def _as_shapes(value: Any) -> Any:
    """Lists from a file as the tuples that shapes are."""
    if is_shape(value):
        return tuple(value)
    if isinstance(value, dict):
        return {key: _as_shapes(item) for key, item in value.items()}
    return [_as_shapes(item) for item in value] if isinstance(value, (list, tuple)) else value


# ---- What inputs a layer takes ----


class InputSpec(config.Configurable):
    """What a layer demands of an input: dtype, shape, rank, and sizes of some axes.

    Example:
        >>> import nyala
        >>> nyala.InputSpec(min_ndim=2, axes={-1: 3})
        InputSpec(min_ndim=2, axes={-1: 3})
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else tensor.standardize_dtype(dtype)
        self.shape: Shape | None = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name, self.optional = name, optional

    def __repr__(self) -> str:
        shown = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        parts = [f"{key}={getattr(self, key)}" for key in shown if getattr(self, key)]
        return f"InputSpec({', '.join(parts)})"


def check_input_spec(specs: Any, inputs: Any, path: str) -> None:
    """Raise a ValueError that names the layer where `inputs` are not what `specs` demand."""
    flat_specs: list[Any] = [specs]
    values: list[Any] = [inputs]
    if not isinstance(specs, InputSpec) or isinstance(inputs, (list, tuple, dict)):
        flat_specs, values = tree.flatten(specs), tree.flatten(inputs)
    if isinstance(specs, dict) and isinstance(inputs, dict):
        values = [inputs[key] for key in sorted(specs)]
    if len(flat_specs) != len(values):
        raise ValueError(f"`{path}` expected {len(flat_specs)} input tensor(s) but got {len(values)}.")
    for spec, x in zip(flat_specs, values):
        if spec is None or (x is None and spec.optional):
            continue
        fault = _fault(spec, x)
        if fault:
            what = f"input {spec.name!r}" if spec.name else "inputs"
            raise ValueError(f"`{path}` expected {what} {fault}.")


def _fault(spec: InputSpec, x: Any) -> str:
    """What of `spec` an input misses, as the rest of a sentence; empty where nothing."""
    shape = tensor.static_shape(x)
    rank, got = len(shape), f"but got shape {shape}"
    if spec.shape is not None and not tensor.shape_equal(spec.shape, shape):
        squeezed = spec.allow_last_axis_squeeze and abs(rank - len(spec.shape)) == 1
        if not squeezed:
            return f"of shape {spec.shape} {got}"
    elif spec.ndim is not None and rank != spec.ndim:
        return f"with {spec.ndim} dimensions {got}"
    if spec.max_ndim is not None and rank > spec.max_ndim:
        return f"with at most {spec.max_ndim} dimensions {got}"
    if spec.min_ndim is not None and rank < spec.min_ndim:
        return f"with at least {spec.min_ndim} dimensions {got}; the first is the batch"
    if spec.dtype is not None and tensor.dtype_of(x) != spec.dtype:
        return f"of dtype {spec.dtype} but got {tensor.dtype_of(x)}"
    for axis, size in spec.axes.items():
        if -rank <= axis < rank and size is not None and shape[axis] not in (size, None):
            place = "the last axis" if axis in (-1, rank - 1) else f"axis {axis}"
            cure = ". Put a Flatten() before it" if rank > 2 and np.prod([s or 0 for s in shape[1:]]) == size else ""
            return f"with {size} features on {place} {got}{cure}"
    return ""
