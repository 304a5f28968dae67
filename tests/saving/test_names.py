"""Names of one's own: registration, scopes, and objects as data."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

SAVING = nyala.saving


@pytest.fixture(autouse=True)
def _registry_as_before():
    before = dict(SAVING.get_custom_objects())
    yield
    SAVING.get_custom_objects().clear()
    SAVING.get_custom_objects().update(before)


@pytest.mark.parametrize("lib", [nyala, keras])
def test_registration(lib):
    @lib.saving.register_keras_serializable("pack", "other")
    class Mine(lib.layers.Layer):
        pass

    @lib.saving.register_keras_serializable()
    def function(x):
        return x

    assert lib.saving.get_registered_name(Mine) == "pack>other"
    assert lib.saving.get_registered_name(function) == "Custom>function"
    assert lib.saving.get_registered_name(lib.layers.Dense) == "Dense"
    assert lib.saving.get_registered_object("pack>other") is Mine
    assert lib.saving.get_registered_object("nothing") is None
    assert lib.saving.get_registered_object("nothing", {"nothing": 3}) == 3
    assert lib.saving.get_registered_object("nothing", None, {"nothing": 3}) == 3
    assert lib.saving.get_custom_objects()["pack>other"] is Mine
    with pytest.raises(ValueError, match="get_config"):
        lib.saving.register_keras_serializable()(type("Plain", (), {}))


def scale(x):
    return 3 * x


@pytest.mark.parametrize("scope", ["CustomObjectScope", "custom_object_scope"])
def test_scope(scope):
    with getattr(SAVING, scope)({"scale": scale}) as entered:
        assert nyala.activations.get("scale") is scale
        with entered:
            assert nyala.activations.get("scale") is scale
        seen = []
        thread = threading.Thread(target=lambda: seen.append(SAVING.get_registered_object("scale")))
        thread.start()
        thread.join()
        assert seen == [None]
    with pytest.raises(ValueError, match="scale"):
        nyala.activations.get("scale")


def dense(lib, **options):
    return lib.Sequential([lib.Input((3,)), lib.layers.Dense(2, **options)])


def test_functions_of_ones_own(tmp_path):
    """An activation and a loss of the user's, by custom_objects, by scope and by registration, both ways."""

    def far(y_true, y_pred):
        return (y_true - y_pred) ** 2

    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        model = dense(writer, activation=scale)
        model.compile("sgd", far, metrics=[far])
        model.save(tmp_path / "m.keras")
        objects = {"scale": scale, "far": far}
        loaded = reader.saving.load_model(tmp_path / "m.keras", custom_objects=objects)
        with reader.saving.custom_object_scope(objects):
            again = reader.saving.load_model(tmp_path / "m.keras")
        x = np.ones((2, 3), "float32")
        for found in (loaded, again):
            assert_close(found(x), model(x), 1e-6)
            assert_close(found.test_on_batch(x, x[:, :2]), model.test_on_batch(x, x[:, :2]), 1e-5)
    with pytest.raises(ValueError, match=r"far, scale|scale, far"):
        nyala.saving.load_model(tmp_path / "m.keras")


def test_lambda_is_refused_when_saving(tmp_path):
    model = dense(nyala, activation=lambda x: x)
    with pytest.raises(ValueError, match="def"):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


VALUES = {
    "none": None, "number": 1.5, "text": "relu", "list": [1, [2, None]], "tuple": (1, (2, 3)),
    "slice": slice(1, None, 2), "ellipsis": ..., "bytes": b"ab", "array": np.arange(3), "numpy number": np.float32(2.5),
    "dict": {"a": [1], "b": {"c": 2}}, "tensor": tf.constant([1.0, 2.0]), "dtype": tf.float32,
    "shape": tf.TensorShape([None, 2]),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_values_as_data(case):
    """Plain values are written as the reference writes them, and come back."""
    mine = json.loads(json.dumps(SAVING.serialize_keras_object(VALUES[case])))
    assert mine == json.loads(json.dumps(keras.saving.serialize_keras_object(VALUES[case])))
    back = SAVING.deserialize_keras_object(mine)
    assert repr(back) == repr(keras.saving.deserialize_keras_object(mine))


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.layers.Dense(2, kernel_initializer="he_normal", bias_regularizer="l1", name="d"),
        lambda lib: lib.initializers.GlorotUniform(seed=1),
        lambda lib: lib.regularizers.L1L2(0.1, 0.2),
        lambda lib: lib.constraints.MaxNorm(3),
        lambda lib: lib.losses.Huber(delta=0.5),
        lambda lib: lib.metrics.TopKCategoricalAccuracy(3),
        lambda lib: lib.optimizers.schedules.CosineDecay(0.1, 10),
        lambda lib: lib.DTypePolicy("mixed_float16"),
        lambda lib: lib.activations.relu,
        lambda lib: lib.losses.mean_squared_error,
    ],
)
def test_objects_as_data(make):
    """What one library writes of an object the other reads, and both write the same."""
    mine, theirs = make(nyala), make(keras)
    written = json.loads(json.dumps(SAVING.serialize_keras_object(mine)))
    reference = json.loads(json.dumps(keras.saving.serialize_keras_object(theirs)))
    assert {key: written[key] for key in written if key != "config"} == {
        key: reference[key] for key in reference if key != "config"
    }
    back = SAVING.deserialize_keras_object(reference)
    assert type(back) is type(mine)
    assert type(keras.saving.deserialize_keras_object(written)) is type(theirs)


def test_names_of_the_module():
    assert sorted(SAVING.__all__) == SAVING.__all__
    assert all(hasattr(SAVING, name) for name in SAVING.__all__)
