"""Export: what other programs find in a SavedModel, and what they get when they call it."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

A, B = np.ones((2, 3), "float32"), np.full((2, 2), 2.0, "float32")


def one_input(library: Any) -> Any:
    layers = library.layers
    return library.Sequential(
        [library.Input((3,), name="x"), layers.Dense(2, kernel_initializer="ones"), layers.Dropout(0.5)]
    )


def dicts(library: Any) -> Any:
    inputs = {"a": library.Input((3,), name="a"), "b": library.Input((2,), name="b")}
    both = library.layers.Concatenate()(list(inputs.values()))
    return library.Model(inputs, {"both": both, "sum": library.ops.sum(both, axis=1)})


def lists(library: Any) -> Any:
    inputs = [library.Input((3,), name="a"), library.Input((2,), name="b")]
    return library.Model(inputs, library.layers.Concatenate()(inputs))


def subclass(library: Any) -> Any:
    class Branching(library.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = library.layers.Dense(2, kernel_initializer="ones")

        def call(self, inputs: Any) -> Any:
            x = self.dense(inputs)
            if tf.reduce_sum(inputs) > 100.0:
                x = -x
            return x

    model = Branching()
    model(A)
    return model


MODELS = {
    "one input": (one_input, {"x": A}),
    "dicts": (dicts, {"a": A, "b": B}),
    "lists": (lists, {"a": A, "b": B}),
}


@pytest.mark.parametrize("name", MODELS)
def test_signature_and_answers_are_those_of_the_reference(name: str, tmp_path: Path) -> None:
    make, data = MODELS[name]
    found = []
    for library in (nyala, keras):
        folder = tmp_path / library.__name__
        make(library).export(folder, verbose=False)
        loaded = tf.saved_model.load(str(folder))
        assert set(loaded.signatures) == {"serve", "serving_default"}
        signature = loaded.signatures["serving_default"]
        inputs = signature.structured_input_signature[1]
        outputs = signature(**{key: tf.constant(value) for key, value in data.items()})
        found.append((
            {key: (spec.shape.as_list(), spec.dtype) for key, spec in inputs.items()},
            outputs,
            [len(loaded.variables), len(loaded.trainable_variables), len(loaded.non_trainable_variables)],
        ))  # fmt: skip
    assert found[0][0] == found[1][0]
    assert found[0][1].keys() == found[1][1].keys()
    assert_close(found[0][1], found[1][1])
    if name != "one input":  # where the reference counts the state of its random seed differently
        assert found[0][2] == found[1][2]


def test_any_batch_and_control_flow(tmp_path: Path) -> None:
    model = subclass(nyala)
    model.export(tmp_path / "m", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    for x in (A[:1], 100 * A):
        assert_close(loaded.serve(x), model(x))


def test_endpoints_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = one_input(nyala)
    archive = nyala.export.ExportArchive()
    archive.track(model)
    archive.track(model)
    assert len(archive.variables) == len(model.variables)
    archive.add_endpoint("logits", lambda x: model(x), [nyala.InputSpec(shape=(None, 3), dtype="float32")])
    archive.add_endpoint("half", tf.function(lambda x: model(x) / 2.0, input_signature=[tf.TensorSpec((2, 3))]))
    called = tf.function(lambda x: model(x) * 2.0)
    called(A)
    assert archive.add_endpoint("double", called) is called
    archive.track_and_add_endpoint("direct", model, [nyala.KerasTensor((None, 3))])
    archive.add_variable_collection("kernels", [model.layers[0].kernel])
    archive.write_out(tmp_path / "m")
    assert "logits: " in capsys.readouterr().out
    loaded = tf.saved_model.load(str(tmp_path / "m"))
    expected = model(A)
    assert_close(loaded.logits(A), expected)
    assert_close(loaded.half(A), expected / 2)
    assert_close(loaded.double(A), expected * 2)
    assert_close(loaded.direct(A), expected)
    assert_close(loaded.signatures["serving_default"](tf.constant(A))["output_0"], expected)
    assert_close(loaded.kernels[0], model.layers[0].kernel)


def test_litert(tmp_path: Path) -> None:
    model = one_input(nyala)
    model.export(tmp_path / "m.tflite", format="litert", verbose=False, optimizations=[])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the interpreter will move to a package of its own
        interpreter = tf.lite.Interpreter(str(tmp_path / "m.tflite"))
    run = interpreter.get_signature_runner("serving_default")
    assert_close(run(x=A[:1])["output_0"], model(A[:1]))


MISTAKES = {
    "format": (lambda path: one_input(nyala).export(path, format="onyx"), "'onnx', 'openvino', but got 'onyx'"),
    "suffix": (lambda path: one_input(nyala).export(path, format="litert"), "'litert' ends in '.tflite'"),
    "option": (lambda path: one_input(nyala).export(path, verbos=False), "takes no argument 'verbos'"),
    "converter": (lambda path: one_input(nyala).export(f"{path}.tflite", "litert", speed=1), "no option 'speed'"),
    "not built": (lambda path: nyala.Sequential([nyala.layers.Dense(1)]).export(path), "is not built yet: call it"),
    "no endpoint": (lambda path: nyala.export.ExportArchive().write_out(path), "has no endpoint yet"),
    "no signature": (
        lambda path: nyala.export.ExportArchive().add_endpoint("f", abs),
        "'f' needs an `input_signature`",
    ),
    "never called": (
        lambda path: nyala.export.ExportArchive().add_endpoint("f", tf.function(abs)),
        "'f' was never called, so its arguments are unknown",
    ),
    "not a layer": (lambda path: nyala.export.ExportArchive().track(3), "but got int"),
    "no variable": (lambda path: nyala.export.ExportArchive().add_variable_collection("v", [3]), "'v' got 3"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path) -> None:
    act, message = MISTAKES[name]
    with pytest.raises((TypeError, ValueError), match=message):
        act(tmp_path / "m")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("format", "package"), [("onnx", "tf2onnx"), ("openvino", "openvino")])
def test_missing_packages_are_named(format: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"needs the package `{package}`: pip install {package}"):
        one_input(nyala).export(tmp_path / "m.xml", format=format)
