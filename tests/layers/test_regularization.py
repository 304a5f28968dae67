"""Layers that draw random numbers: their seeds are state that is seen, and the numbers are the oracle's."""

from __future__ import annotations

import pytest

import nyala
from nyala.core.engine import tf
from tests.contract.rows import floats
from tests.oracle import assert_close, keras

LAYERS = {
    "Dropout": {"rate": 0.4},
    "SpatialDropout1D": {"rate": 0.4},
    "GaussianNoise": {"stddev": 0.4},
    "GaussianDropout": {"rate": 0.4},
    "AlphaDropout": {"rate": 0.4},
}
X = floats(4, 3, 5)


@pytest.mark.parametrize(("name", "arguments"), LAYERS.items(), ids=LAYERS)
def test_numbers_without_a_seed_of_their_own(name, arguments):
    """After `set_random_seed` both draw the same numbers, call after call, eagerly and in a graph."""
    results = []
    for module in (keras, nyala):
        module.utils.set_random_seed(7)
        layer = getattr(module.layers, name)(**arguments)
        graph = tf.function(lambda x, layer=layer: layer(x, training=True), autograph=False)
        results.append([layer(X, training=True), layer(X, training=True), graph(X), graph(X)])
    assert_close(results[1], results[0])


@pytest.mark.parametrize(("name", "arguments"), LAYERS.items(), ids=LAYERS)
def test_the_seed_is_state_but_no_weight(name, arguments):
    ours, theirs = getattr(nyala.layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    assert ours.weights == []
    assert len(ours.variables) == len(theirs.variables) == 1
    plain = theirs.variables[0].path.split("/")
    assert ours.variables[0].path.split("/")[1:] == plain[1:]
    assert ours.variables[0].path.startswith("seed_generator")
    assert ours.variables[0].dtype == theirs.variables[0].dtype or ours.variables[0].dtype == "int64"


def test_a_rate_of_zero_draws_nothing():
    layer = nyala.layers.Dropout(0.0)
    assert layer.variables == []
    assert_close(layer(X, training=True), X)


def test_float16_noise():
    for name, arguments in LAYERS.items():
        outputs = getattr(nyala.layers, name)(**arguments, dtype="float16")(X, training=True)
        assert outputs.dtype == "float16"


def test_penalties_of_activity():
    ours, theirs = nyala.layers.ActivityRegularization(0.1, 0.2), keras.layers.ActivityRegularization(0.1, 0.2)
    ours(X), theirs(X)
    assert_close(ours.losses, theirs.losses)
