"""`clone_model` and `model_from_json`."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from tests.oracle import assert_close, keras
from tests.saving.kinds import KINDS, blocks, nested, shared, stack, trained, with_ops

LIBRARIES = pytest.mark.parametrize("lib", [nyala, keras], ids=["nyala", "keras"])


@LIBRARIES
@pytest.mark.parametrize("build", [stack, shared, with_ops], ids=lambda f: f.__name__)
def test_a_clone_computes_the_same_with_the_same_weights(lib, build):
    model = build(lib)
    clone = lib.models.clone_model(model)
    assert clone is not model
    assert clone.name == model.name
    names = [[layer.name for layer in m.layers if type(layer).__name__ != "InputLayer"] for m in (clone, model)]
    assert names[0] == names[1]
    assert not {id(layer) for layer in clone.layers} & {id(layer) for layer in model.layers}
    clone.set_weights(model.get_weights())
    x = KINDS["stack"][1]
    assert_close(clone(x), model(x), 1e-6)


@LIBRARIES
@pytest.mark.parametrize("build", [stack, shared], ids=lambda f: f.__name__)
def test_clone_function_may_change_layers(lib, build):
    def change(layer):
        if isinstance(layer, lib.layers.Dense):
            return lib.layers.Dense(layer.units, use_bias=False, name=f"new_{layer.name}")
        return type(layer).from_config(layer.get_config())

    clone = lib.models.clone_model(build(lib), clone_function=change)
    assert all(len(layer.weights) == 1 for layer in clone.layers if isinstance(layer, lib.layers.Dense))


@LIBRARIES
def test_call_function_may_change_calls(lib):
    def call(layer, *args, **kwargs):
        out = layer(*args, **kwargs)
        return out * 2.0 if layer.name == "twice" else out

    clone = lib.models.clone_model(
        shared(lib), call_function=call, clone_function=lambda x: type(x).from_config(x.get_config())
    )
    names = [operation.name for operation in clone.operations]
    assert len([name for name in names if name.startswith("multiply")]) == 2


@LIBRARIES
@pytest.mark.parametrize("recursive", [False, True])
def test_recursive_reaches_models_inside(lib, recursive):
    seen = []

    def note(layer):
        seen.append(layer.name)
        return type(layer).from_config(layer.get_config())

    lib.models.clone_model(nested(lib), clone_function=note, recursive=recursive)
    assert ("side" in seen) is recursive
    assert ("middle" in seen) is not recursive


@LIBRARIES
def test_input_tensors(lib):
    x = lib.Input((6,), name="mine")
    clone = lib.models.clone_model(shared(lib), input_tensors=x)
    assert clone.inputs[0].name == "mine"
    clone = lib.models.clone_model(stack(lib), input_tensors=x)
    assert clone.inputs[0].name == "mine"


@LIBRARIES
def test_subclassed_models(lib):
    model = blocks(lib)
    clone = lib.models.clone_model(model)
    assert type(clone) is type(model)
    assert clone.units == model.units
    assert clone.built
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]


def test_options_that_do_not_apply():
    with pytest.raises(ValueError, match="takes a Model"):
        nyala.models.clone_model("model")
    with pytest.raises(ValueError, match="clone_function"):
        nyala.models.clone_model(blocks(nyala), clone_function=lambda layer: layer)
    with pytest.raises(ValueError, match="call_function"):
        nyala.models.clone_model(stack(nyala), call_function=lambda layer, x: layer(x))


def test_a_clone_is_not_compiled():
    assert not nyala.models.clone_model(trained(nyala, "stack")).compiled


@pytest.mark.parametrize("text", ["", "[]", "{", '{"class_name": "system", "config": {}}', "[" * 10_000])
def test_bad_json(text):
    with pytest.raises(ValueError, match="JSON"):
        nyala.models.model_from_json(text)


def test_json_keeps_frozen_layers():
    model = KINDS["frozen_inside"][0](nyala)
    again = nyala.models.model_from_json(model.to_json())
    assert not again.get_layer("still").trainable
    assert len(again.trainable_weights) == 2
    assert np.shape(again.weights[0]) == (6, 4)
