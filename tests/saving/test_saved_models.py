"""SavedModels as layers, and the two names of Keras 2."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from nyala.legacy import saving as legacy
from tests.oracle import assert_close, keras

X = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)


def model_of(lib):
    layers = [lib.layers.Dense(2, name="d"), lib.layers.Dropout(0.5), lib.layers.BatchNormalization(name="b")]
    return lib.Sequential([lib.Input((3,)), *layers])


class Plain(tf.Module):
    """A model of plain TensorFlow."""

    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.ones((3, 2)), name="w")
        self.shift = tf.Variable(tf.ones((2,)), trainable=False, name="shift")

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def serve(self, x):
        return x @ self.w + self.shift

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def learn(self, x):
        return 2.0 * (x @ self.w)

    @tf.function(input_signature=[tf.TensorSpec((None, 3), name="a"), tf.TensorSpec((None, 3), name="b")])
    def two(self, a, b):
        return {"difference": a - b}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A SavedModel of each writer, with what it answers."""
    folder, found = tmp_path_factory.mktemp("saved"), {}
    for lib in (nyala, keras):
        model, path = model_of(lib), folder / lib.__name__
        model.export(path, verbose=False)
        found[lib.__name__] = (path, model(X))
    plain = Plain()
    tf.saved_model.save(plain, str(folder / "plain"), signatures={"serving_default": plain.serve, "both": plain.two})
    return {**found, "plain": (folder / "plain", plain.serve(X))}


@pytest.mark.parametrize("writer", ["nyala", "keras", "plain"])
def test_a_saved_model_is_called(writer, folders):
    """Outputs, weights, what of them learns, and the config are those of the reference."""
    path, expected = folders[writer]
    for options in ({}, {"trainable": False}, {"call_endpoint": "serving_default"}):
        ours, theirs = (lib.layers.TFSMLayer(str(path), name="t", **options) for lib in (nyala, keras))
        out, reference = ours(X), theirs(X)
        assert_close(out, reference, 1e-6, 1e-6)
        assert_close(out["output_0"] if "call_endpoint" in options else out, expected, 1e-6, 1e-6)
        assert_close(ours.get_weights(), [w.numpy() for w in theirs.weights], 0, 0)
        assert len(ours.trainable_weights) == len(theirs.trainable_weights)
        assert ours.get_config() == theirs.get_config()
    assert [w.name.partition(":")[0] for w in theirs.weights] == [w.name for w in ours.weights]


def test_endpoints(folders):
    path = str(folders["plain"][0])
    layer = nyala.layers.TFSMLayer(path, call_training_endpoint="learn")
    assert_close(layer(X), X.sum(1, keepdims=True).repeat(2, 1) + 1, 1e-6, 1e-6)
    assert_close(layer(X, training=True), 2 * X.sum(1, keepdims=True).repeat(2, 1), 1e-6, 1e-6)
    both = nyala.layers.TFSMLayer(path, "both")  # a signature of two arguments
    assert_close(both({"a": X, "b": X + 1})["difference"], np.full_like(X, -1), 1e-6, 1e-6)
    with pytest.raises(
        ValueError, match=r"no endpoint 'nope'; it has 'both', 'learn', 'serve', 'serving_default', 'two'"
    ):
        nyala.layers.TFSMLayer(path, "nope")
    with pytest.raises(ValueError, match="no endpoint '__init__'"):
        nyala.layers.TFSMLayer(path, call_training_endpoint="__init__")


def test_places_without_a_saved_model(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        nyala.layers.TFSMLayer("gs://bucket/model")
    with pytest.raises(ValueError, match="holds no SavedModel"):
        nyala.layers.TFSMLayer(tmp_path)


def test_in_a_model(folders, tmp_path):
    """It is trained with the rest, saved, and loaded by who says that it may be; without that it is refused."""
    x = nyala.Input((3,))
    layer = nyala.layers.TFSMLayer(folders["plain"][0], call_training_endpoint="learn", name="t")
    model = nyala.Model(x, nyala.layers.Dense(1)(layer(x)))
    assert model.output_shape == (None, 1)
    before = layer.get_weights()
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(X, X[:, :1])
    assert [bool((a == b).all()) for a, b in zip(before, layer.get_weights(), strict=True)] == [False, True]
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"not known here: TFSMLayer.*custom_objects=\{'TFSMLayer'"):
        nyala.saving.load_model(tmp_path / "m.keras", safe_mode=False)
    loaded = nyala.saving.load_model(tmp_path / "m.keras", custom_objects={"TFSMLayer": nyala.layers.TFSMLayer})
    assert_close(loaded(X), model(X), 1e-6, 1e-6)
    assert_close(loaded.get_weights(), model.get_weights(), 0, 0)
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.TFSMLayer(str(folders["plain"][0]))])
    theirs.save(tmp_path / "k.keras")
    loaded = nyala.saving.load_model(tmp_path / "k.keras", custom_objects={"TFSMLayer": nyala.layers.TFSMLayer})
    assert_close(loaded(X), theirs(X), 1e-6, 1e-6)
    for make in (
        lambda: nyala.saving.deserialize_keras_object(nyala.saving.serialize_keras_object(layer), safe_mode=False),
        lambda: nyala.layers.deserialize(nyala.layers.serialize(layer)),
        lambda: nyala.Model.from_config(model.get_config()),
        lambda: nyala.models.model_from_json(model.to_json()),
        lambda: nyala.layers.TimeDistributed.from_config(
            {"layer": {"module": "keras.layers", "class_name": "TFSMLayer", "config": layer.get_config()}}
        ),
    ):
        with pytest.raises(ValueError, match="TFSMLayer"):
            make()


# ---- Keras 2's names ----


def function_of_mine(x):
    return x


@pytest.mark.parametrize(
    "make",
    [lambda lib: None, lambda lib: lib.regularizers.L1(0.5), lambda lib: lib.activations.relu, lambda lib: function_of_mine,
     lambda lib: lib.losses.MeanSquaredError(), lambda lib: lib.layers.Dense(2, name="d", kernel_regularizer="l2")],
)  # fmt: skip
def test_the_short_form_of_objects(make):
    mine, theirs = legacy.serialize_keras_object(make(nyala)), keras.legacy.saving.serialize_keras_object(make(keras))
    if isinstance(theirs, dict):
        assert mine["class_name"] == theirs["class_name"]
        assert mine["config"].keys() >= theirs["config"].keys() - {"quantization_config"}
    else:
        assert mine == theirs
    given = {"relu": nyala.activations.relu, "function_of_mine": function_of_mine}
    again = legacy.deserialize_keras_object(theirs, module_objects=given)
    assert type(again) is type(make(nyala))


def test_mistakes_in_the_short_form():
    for wrong, error in ((3, ValueError), ("text", ValueError), (nyala.layers.Dense, TypeError)):
        with pytest.raises(error):
            legacy.serialize_keras_object(wrong)
    for wrong in (
        3,
        {"a": 1},
        "nope",
        {"class_name": "Nope", "config": {}},
        {"class_name": "function", "config": "exec"},
    ):
        with pytest.raises(ValueError, match=r"layer.*(expected|called 'nope'|not known)"):
            legacy.deserialize_keras_object(wrong, printable_module_name="layer")
