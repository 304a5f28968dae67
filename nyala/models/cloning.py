"""Models made again: copied with new weights, or from JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import graph, tree
from nyala.core.config import custom_object_scope
from nyala.core.graph import FunctionCall, Operation
from nyala.core.layer import Layer
from nyala.core.tensor import is_symbolic
from nyala.layers.input import Input, InputLayer
from nyala.models.functional import Functional
from nyala.models.model import Model
from nyala.models.sequential import Sequential


def clone_model(
    model: Any,
    input_tensors: Any = None,
    clone_function: Callable[[Any], Any] | None = None,
    call_function: Callable[..., Any] | None = None,
    recursive: bool = False,
    **kwargs: Any,
) -> Any:
    """A model of the same structure with new layers, hence with new weights.

    `clone_function(layer)` may give another layer in place of each; `call_function(layer, *args, **kwargs)` may call it
    in another way (Functional models only). With `recursive`, layers of models inside are cloned one by one too.
    `input_tensors` become the inputs. Raises ValueError where an option does not apply to the kind of model.

    Example:
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> nyala.models.clone_model(model).count_params()
        8
    """
    if kwargs:
        raise TypeError(f"clone_model() takes no argument {sorted(kwargs)[0]!r}.")
    if not isinstance(model, Model):
        raise ValueError(f"clone_model() takes a Model, but got a {type(model).__name__}.")
    clone = _cloner(clone_function, call_function, recursive)
    if isinstance(model, Sequential):
        if call_function is not None:
            raise ValueError("`call_function` applies to Functional models; in a Sequential there is one way to call.")
        return _clone_sequential(model, input_tensors, clone)
    if type(model) is Functional or (isinstance(model, Functional) and clone_function is not None):
        return _clone_functional(model, input_tensors, clone, call_function or (lambda layer, *a, **k: layer(*a, **k)))
    for name, value in (
        ("clone_function", clone_function),
        ("call_function", call_function),
        ("input_tensors", input_tensors),
    ):
        if value is not None:
            raise ValueError(
                f"`{name}` cannot be used on `{model.name}`: the calls inside a subclassed model are not known."
            )
    clone = getattr(type(model), "written_as", type(model)).from_config(model.get_config())
    clone.build_from_config(model.get_build_config() or {})
    return clone


def model_from_json(json_string: str | bytes, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `model.to_json()` described, with new weights.

    Example:
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> nyala.models.model_from_json(model.to_json()).output_shape
        (None, 2)
    """
    from nyala.saving.archive import read_json
    from nyala.saving.config import make

    data = json_string.encode() if isinstance(json_string, str) else json_string
    with custom_object_scope(custom_objects):
        model = make(read_json(data, "The JSON"), "The JSON")
    if not isinstance(model, Model):
        raise ValueError(f"The JSON describes no model, but a {type(model).__name__}.")
    return model


def _cloner(
    clone_function: Callable[[Any], Any] | None, call_function: Callable[..., Any] | None, recursive: bool
) -> Callable[[Any], Any]:
    """What makes the copy of one operation."""

    def clone(operation: Operation) -> Any:
        if isinstance(operation, FunctionCall):
            return FunctionCall(operation.function, operation.name)
        if recursive and isinstance(operation, (Sequential, Functional)):
            calls = None if isinstance(operation, Sequential) else call_function
            return clone_model(operation, None, clone_function, calls, recursive=True)
        if clone_function is None or isinstance(operation, InputLayer):
            return type(operation).from_config(operation.get_config())
        made = clone_function(operation)
        if not isinstance(made, Layer):
            raise ValueError(f"`clone_function` must return a layer for `{operation.name}`, but it returned {made!r}.")
        return made

    return clone


def _clone_sequential(model: Sequential, input_tensors: Any, clone: Callable[[Any], Any]) -> Sequential:
    front: list[Any] = [clone(model._input_layer)] if model._input_layer is not None else []
    if input_tensors is not None:
        given = tree.flatten(input_tensors)
        if len(given) != 1:
            raise ValueError(f"`{model.name}` takes one input tensor, but input_tensors holds {len(given)}.")
        front = [_as_input(given[0])._keras_history[0]]
    return Sequential([*front, *(clone(layer) for layer in model.layers)], model.trainable, model.name)


def _clone_functional(
    model: Functional, input_tensors: Any, clone: Callable[[Any], Any], call: Callable[..., Any]
) -> Functional:
    copies = {id(operation): clone(operation) for operation in model.operations}
    if input_tensors is None:
        inputs = [copies[id(x._keras_history[0])].output for x in model.inputs]
    else:
        inputs = [_as_input(x) for x in tree.flatten(input_tensors)]
        if len(inputs) != len(model.inputs):
            raise ValueError(f"`{model.name}` takes {len(model.inputs)} inputs, but input_tensors holds {len(inputs)}.")

    def choose(operation: Operation) -> Callable[..., Any]:
        copy = copies[id(operation)]
        return copy if isinstance(copy, FunctionCall) else lambda *args, **kwargs: call(copy, *args, **kwargs)

    values = dict(zip(map(id, model.inputs), inputs, strict=True))
    outputs = graph.replay(model._run_order, values, model._outputs_struct, choose)
    return Functional(tree.pack_sequence_as(model._inputs_struct, inputs), outputs, name=model.name)


def _as_input(x: Any) -> Any:
    """A symbolic tensor, or an Input like the given array or tensor."""
    return x if is_symbolic(x) else Input(batch_shape=tuple(x.shape), dtype=getattr(x.dtype, "name", x.dtype))
