"""Models for programs that know nothing of Nyala: SavedModel, and what is converted from it.

A SavedModel holds functions with the shapes and dtypes of their arguments (its *endpoints*), and the variables they use.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console

from nyala.core import tree
from nyala.core.engine import tf
from nyala.core.graph import spec_of
from nyala.core.layer import InputSpec, Layer
from nyala.core.tensor import KerasTensor, is_tensor_like, symbols_of
from nyala.core.variable import Variable


class ExportArchive:
    """A SavedModel in the making: track what it uses, add endpoints, write it out.

    Example:
        >>> import os, tempfile
        >>> import nyala
        >>> model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2)])
        >>> archive = nyala.export.ExportArchive()
        >>> archive.track(model)
        >>> _ = archive.add_endpoint("serve", lambda x: model(x), [nyala.InputSpec(shape=(None, 3), dtype="float32")])
        >>> archive.write_out(os.path.join(tempfile.mkdtemp(), "exported"), verbose=False)
    """

    def __init__(self) -> None:
        self._root: Any = tf.__internal__.tracking.AutoTrackable()
        self._endpoints: dict[str, Any] = {}
        self._variables: dict[str, list[Any]] = {
            "variables": [],
            "trainable_variables": [],
            "non_trainable_variables": [],
        }
        self._resources: list[Any] = []

    @property
    def variables(self) -> list[Any]:
        """The TensorFlow variables of all that is tracked."""
        return self._variables["variables"]

    @property
    def trainable_variables(self) -> list[Any]:
        """Those that training may move."""
        return self._variables["trainable_variables"]

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those that training leaves alone."""
        return self._variables["non_trainable_variables"]

    def track(self, resource: Any) -> None:
        """Keep the variables of a layer or model, or any trackable object of TensorFlow, with the endpoints.

        Raises ValueError for anything else, and for a layer that is not built.
        """
        if isinstance(resource, Layer):
            if not resource.built:
                raise ValueError(
                    f"`{resource.name}` is not built yet: call it on data, or `build()` it, before export."
                )
            for kind, known in self._variables.items():
                here = {id(variable) for variable in known}
                new = (variable.value for variable in getattr(resource, kind))
                known += [variable for variable in new if id(variable) not in here]
        elif not isinstance(resource, tf.__internal__.tracking.Trackable):
            raise ValueError(
                f"An archive tracks layers, models and TensorFlow's trackable objects, but got {type(resource).__name__}."
            )
        self._resources.append(resource)

    def add_endpoint(self, name: str, fn: Callable[..., Any], input_signature: Any = None, **kwargs: Any) -> Any:
        """Add a function under a name; what comes back is the `tf.function` that is exported.

        `input_signature` has a `tf.TensorSpec`, InputSpec, KerasTensor or example array for each argument; a `tf.function`
        that has one, or was called before, needs none. Raises ValueError for a name that is taken and a missing signature.
        """
        if kwargs:
            raise TypeError(f"add_endpoint() takes no argument {sorted(kwargs)[0]!r}.")
        if name in self._endpoints:
            raise ValueError(f"The archive has an endpoint {name!r} already; choose another name.")
        if input_signature is not None:
            function = tf.function(fn, input_signature=tree.map_structure(_tensor_spec, list(input_signature)))
        elif not hasattr(fn, "get_concrete_function"):
            raise ValueError(
                f"The endpoint {name!r} needs an `input_signature`, such as [tf.TensorSpec((None, 3))], because its function "
                "is no `tf.function`."
            )
        elif fn.input_signature is None and fn.experimental_get_tracing_count() == 0:
            raise ValueError(
                f"The `tf.function` of the endpoint {name!r} was never called, so its arguments are unknown; call it once, "
                "or give an `input_signature`."
            )
        else:
            function = fn
        setattr(self._root, name, function)
        self._endpoints[name] = function
        return function

    def track_and_add_endpoint(self, name: str, resource: Layer, input_signature: Any, **kwargs: Any) -> None:
        """`track` a layer or model and add the call of it as an endpoint."""
        self.track(resource)
        self.add_endpoint(name, lambda *args: resource(*args), input_signature, **kwargs)

    def add_variable_collection(self, name: str, variables: Iterable[Any]) -> None:
        """Put variables into the SavedModel under a name; raises ValueError where one is no Variable."""
        variables = list(variables)
        for variable in variables:
            if not isinstance(variable, (Variable, tf.Variable)):
                raise ValueError(f"A collection holds variables, but {name!r} got {variable!r}.")
        setattr(self._root, name, [x.value if isinstance(x, Variable) else x for x in variables])

    def write_out(self, filepath: str | os.PathLike[str], options: Any = None, verbose: bool = True) -> None:
        """Write the SavedModel into the folder `filepath`; the first endpoint is its default signature.

        Raises ValueError where there is no endpoint.
        """
        if not self._endpoints:
            raise ValueError("The archive has no endpoint yet; add one with `add_endpoint`.")
        for kind, variables in self._variables.items():
            setattr(self._root, kind, variables)
        self._root._resources = [resource for resource in self._resources if not isinstance(resource, Layer)]
        endpoints = {name: _concrete(function) for name, function in self._endpoints.items()}
        signatures = {name: function for name, function in endpoints.items() if _is_a_signature(function)}
        first = next(iter(self._endpoints))
        if first in signatures:
            signatures["serving_default"] = signatures[first]
        tf.saved_model.save(self._root, os.fspath(filepath), signatures=signatures, options=options)
        if verbose:
            lines = [f"  {name}: {_outline(function)}" for name, function in self._endpoints.items()]
            _say("\n".join([f"Exported to {os.fspath(filepath)!r}, with the endpoints", *lines]))


def export_model(
    model: Any, filepath: str | os.PathLike[str], format: str, verbose: bool, input_signature: Any, **options: Any
) -> None:
    """Export a model; see `Model.export`."""
    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(map(repr, FORMATS))}, but got {format!r}.")
    suffix, write = FORMATS[format]
    if suffix and Path(filepath).suffix != suffix:
        raise ValueError(f"A file for {format!r} ends in {suffix!r}, but got {os.fspath(filepath)!r}.")
    if not model.built:
        raise ValueError(f"`{model.name}` is not built yet: call it on data, or `build()` it, before export.")
    archive = ExportArchive()
    archive.track_and_add_endpoint("serve", model, input_signature or input_specs(model))
    if format == "tf_saved_model":
        if options:
            raise TypeError(f"export() to a SavedModel takes no argument {sorted(options)[0]!r}.")
        archive.write_out(filepath, verbose=verbose)
        return
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        archive.write_out(folder, verbose=False)
        write(folder, os.fspath(filepath), options)
    if verbose:
        _say(f"Exported to {os.fspath(filepath)!r}.")


def _say(text: str) -> None:
    Console(soft_wrap=True).print(text, markup=False, highlight=False)


def input_specs(model: Any) -> list[Any]:
    """The arguments of a model's call as TensorFlow types, of any batch size."""
    if getattr(model, "inputs", None):
        return [tree.map_structure(_any_batch, model.input)]
    shapes = (model.get_build_config() or {}).values()
    return [tree.map_structure(_any_batch, symbols_of(shape, model.input_dtype)) for shape in shapes]


def _any_batch(x: KerasTensor) -> Any:
    return spec_of(KerasTensor((None, *x.shape[1:]), x.dtype, x.sparse, x.ragged, name=x.name), name=x.name)


def _tensor_spec(x: Any) -> Any:
    """A TensorFlow type for whatever describes an argument."""
    if isinstance(x, InputSpec):
        if x.shape is None:
            raise ValueError(f"An input signature needs shapes, but got {x!r}.")
        return tf.TensorSpec(x.shape, x.dtype or "float32", name=x.name)
    if isinstance(x, KerasTensor):
        return spec_of(x, name=x.name)
    if isinstance(x, tf.TypeSpec):
        return x
    return tf.type_spec_from_value(x if is_tensor_like(x) else tf.convert_to_tensor(x))


def _is_a_signature(function: Any) -> bool:
    """Whether TensorFlow can call it by tensors with names: its results are tensors, or one list or dict of them."""
    results = function.structured_outputs
    parts = (
        results.values() if isinstance(results, dict) else results if isinstance(results, (list, tuple)) else [results]
    )
    return all(isinstance(part, (tf.Tensor, tf.TensorSpec)) for part in parts)


def _concrete(function: Any) -> Any:
    return (
        function.get_concrete_function()
        if function.input_signature is not None
        else function._list_all_concrete_functions()[0]
    )


def _outline(function: Any) -> str:
    concrete = _concrete(function)
    (args, kwargs), results = concrete.structured_input_signature, concrete.structured_outputs

    def describe(x: Any) -> Any:
        return f"{x.dtype.name}{tuple(x.shape)}" if isinstance(x, (tf.Tensor, tf.TensorSpec)) else x

    return f"{tree.map_structure(describe, (*args, *kwargs.values()))} → {tree.map_structure(describe, results)}"


# ---- Formats that are converted from a SavedModel ----


def _to_litert(folder: str, filepath: str, options: dict[str, Any]) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    for name, value in options.items():
        if not hasattr(converter, name):
            raise TypeError(f"The converter to LiteRT has no option {name!r}.")
        setattr(converter, name, value)
    Path(filepath).write_bytes(converter.convert())


def _to_onnx(folder: str, filepath: str, options: dict[str, Any]) -> None:
    convert = _package("tf2onnx.convert", "tf2onnx")
    loaded = tf.saved_model.load(folder)  # its variables live as long as it does
    signature = loaded.signatures["serving_default"]
    inputs = list(signature.structured_input_signature[1].values())
    function = tf.function(lambda *args: signature(**{x.name: arg for x, arg in zip(inputs, args)}))
    convert.from_function(function, input_signature=inputs, output_path=filepath, **options)


def _to_openvino(folder: str, filepath: str, options: dict[str, Any]) -> None:
    openvino = _package("openvino", "openvino")
    openvino.save_model(openvino.convert_model(folder, **options), filepath)


def _package(module: str, distribution: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"This export needs the package `{distribution}`: pip install {distribution}.") from error


FORMATS: dict[str, tuple[str, Callable[[str, str, dict[str, Any]], None] | Any]] = {
    "tf_saved_model": ("", None),
    "litert": (".tflite", _to_litert),
    "onnx": ("", _to_onnx),
    "openvino": (".xml", _to_openvino),
}
