"""Validation inside `fit`: when it runs, on which sets, and what its logs are called."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(48, 3)).astype("float32")
Y = GENERATOR.normal(size=(48, 1)).astype("float32")
OTHER = (X[:20] + 1, Y[:20])
WEIGHTS = np.linspace(0, 1, 20).astype("float32")


def regressor(k=nyala, **options):
    model = k.Sequential([k.Input((3,)), k.layers.Dense(1, kernel_initializer="ones")])
    model.compile(k.optimizers.SGD(0.01), "mse", metrics=["mae"], weighted_metrics=["mse"], **options)
    return model


OF_THE_ORACLE = {
    "every other epoch": {
        "validation_data": OTHER,
        "validation_freq": 2,
        "validation_batch_size": 6,
        "validation_steps": 2,
    },
    "a list of epochs": {"validation_data": (*OTHER, WEIGHTS), "validation_freq": [1, 3], "validation_batch_size": 7},
    "endless": {
        "validation_data": tf.data.Dataset.from_tensor_slices((*OTHER, WEIGHTS)).batch(6).repeat(),
        "validation_steps": 4,
    },
}


def test_what_the_oracle_knows_is_as_in_the_oracle():
    """Frequencies, steps and weights of the validation: the same values in the history, and as many."""
    models = {k: regressor(k) for k in (nyala, keras)}
    for name, options in OF_THE_ORACLE.items():
        found = []
        for model in models.values():
            model.set_weights([np.ones((3, 1)), np.zeros(1)])
            options = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, **options}
            found.append(model.fit(X, Y, **options).history)
        assert set(found[0]) == set(found[1]), name
        assert_close(found[0], {key: found[1][key] for key in found[0]}, 1e-4, 1e-5)


class Hear(nyala.callbacks.Callback):
    batch_interval = None

    def __init__(self):
        super().__init__()
        self.batches, self.validations = {}, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches[batch + 1] = dict(logs)

    def on_test_end(self, logs=None):
        self.validations += 1


def test_every_so_many_steps_without_a_trace_in_training():
    """Chunks end there; the logs of batch and epoch hold the values; weights and training metrics are as without."""
    plain = regressor()
    expected = plain.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    hear, model = Hear(), regressor()
    options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0, "callbacks": [hear]}
    history = model.fit(X, Y, validation_data=OTHER, validation_every=5, **options).history
    assert {batch for batch, logs in hear.batches.items() if "val_loss" in logs} == {5, 10}
    assert hear.batches[10]["val_mae"] != hear.batches[5]["val_mae"]
    assert hear.validations == 6  # behind steps 5 and 10 and behind the epoch, twice
    assert {name: history[name] for name in expected} == expected
    assert_close(model.get_weights(), plain.get_weights(), 0, 0)
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(*OTHER, verbose=0)[0])
    model.fit(X, Y, validation_data=OTHER, validation_every=6, **options)
    assert hear.validations == 6 + 4  # the one behind step 12 is that of the epoch
    history = model.fit(X, Y, validation_data=OTHER, validation_every=5, validation_freq=5, **options).history
    assert len(history["val_loss"]) == 2  # an epoch shows the last one within it


def test_several_sets_by_name():
    model = regressor()
    noisy = tf.data.Dataset.from_tensor_slices((X[:12] + 1, Y[:12])).batch(5)
    sets = {"clean": (*OTHER, WEIGHTS), "noisy": noisy}
    history = model.fit(X, Y, validation_data=sets, verbose=0).history
    logs = [f"val_{name}_{log}" for name in sets for log in ("loss", "mae", "mse")]
    assert sorted(history) == sorted(["loss", "mae", "mse", *logs])
    clean = model.evaluate(*OTHER, sample_weight=WEIGHTS, return_dict=True, verbose=0)
    assert_close([history[f"val_clean_{name}"][0] for name in clean], list(clean.values()))
    assert_close(history["val_noisy_mae"][0], model.evaluate(noisy, return_dict=True, verbose=0)["mae"])
    stop = nyala.callbacks.EarlyStopping("val_noisy_loss")
    model.fit(X, Y, validation_data=sets, verbose=0, callbacks=[stop])
    with pytest.raises(ValueError, match=r"watches 'val_clean_los'.*Did you mean 'val_clean_loss'"):
        model.fit(X, Y, validation_data=sets, callbacks=[nyala.callbacks.EarlyStopping("val_clean_los")])


def test_a_dict_of_arrays_is_inputs():
    a, b = nyala.Input((3,), name="a"), nyala.Input((3,), name="b")
    model = nyala.Model({"a": a, "b": b}, nyala.layers.Dense(1, activity_regularizer="l2")(a + b))
    model.compile("sgd")
    inputs = {"a": X, "b": X}
    history = model.fit(inputs, validation_data=inputs, verbose=0).history
    assert sorted(history) == ["loss", "val_loss"]


WRONG = {
    "frequency of zero": ({"validation_freq": 0}, "validation_freq is a positive number of epochs, but got 0"),
    "word as frequency": ({"validation_freq": "all"}, "validation_freq is a number of epochs or a list"),
    "every zero": ({"validation_every": 0}, "validation_every is a positive number of steps, but got 0"),
    "every without data": (
        {"validation_every": 3, "validation_data": None},
        "validation_every=3 needs validation data",
    ),
    "set without targets": (
        {"validation_data": {"a": OTHER, "b": X}},
        r"'b' holds arrays without targets; write 'b': \(x",
    ),
    "name of a set": ({"validation_data": {1: OTHER}}, "names of validation sets are strings, but got 1"),
    "shape of a set": ({"validation_data": {"a": (X[:, :2], Y)}}, "validation_data does not fit"),
}


def test_mistakes():
    model = regressor()
    for options, message in WRONG.values():
        with pytest.raises(ValueError, match=message):
            model.fit(X, Y, **{"validation_data": OTHER, **options})
