"""Convolutional LSTMs beyond their rows in the contract: dropout, state, layouts, sizes, wrappers, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nyala
from tests.oracle import assert_close, keras

X1 = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32")
X2 = np.random.default_rng(1).normal(size=(2, 3, 4, 5, 2)).astype("float32")


def pair(make, x):
    ours, theirs = make(nyala.layers), make(keras.layers)
    ours(x)
    theirs(x)
    generator = np.random.default_rng(3)
    weights = [w + generator.uniform(0.05, 0.3, w.shape).astype(w.dtype) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


@pytest.mark.parametrize("rates", [(0.3, 0.0), (0.3, 0.4)], ids=str)
def test_dropout_and_state_are_those_of_the_reference(rates):
    """With one seed, call after call, in training and between, each going on where the one before stopped."""
    options = {"dropout": rates[0], "recurrent_dropout": rates[1], "seed": 1, "stateful": True}
    ours, theirs = pair(lambda L: L.ConvLSTM1D(2, 2, **options), X1)
    for layer in (ours, theirs):
        layer.reset_state()
    for training in (True, False, True):
        assert_close(ours(X1, training=training), theirs(X1, training=training), 1e-5, 1e-5)
    assert_close([s.numpy() for s in ours.states], [s.numpy() for s in theirs.states], 1e-5, 1e-5)
    assert_close(ours.cell.seed_generator.state.numpy(), theirs.cell.seed_generator.state.numpy())


@pytest.mark.parametrize(
    "make",
    [
        lambda L: L.Bidirectional(L.ConvLSTM1D(2, 2, return_sequences=True)),
        lambda L: L.TimeDistributed(L.ConvLSTM1D(2, 2)),
    ],
    ids=["both directions", "each step"],
)
def test_wrappers_take_them(make):
    x = X2 if isinstance(make(nyala.layers), nyala.layers.TimeDistributed) else X1
    ours, theirs = pair(make, x)
    assert_close(ours(x), theirs(x), 1e-5, 1e-5)


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.3, 0.4)], ids=["plain", "dropout"])
def test_channels_first(rates):
    """The oracle has no such convolution on a CPU; so the same numbers as in the other layout, transposed."""
    options = {"strides": 2, "padding": "same", "return_sequences": True, "return_state": True}
    last = nyala.layers.ConvLSTM2D(3, (2, 3), data_format="channels_last", **options)
    first = nyala.layers.ConvLSTM2D(3, (2, 3), data_format="channels_first", **options, dropout=rates[0], seed=1)
    expected = [np.moveaxis(y, -1, -3) for y in last(X2)]
    x = np.moveaxis(X2, -1, 2)
    first(x)
    first.set_weights(last.get_weights())
    assert_close(first(x), expected, 1e-5, 1e-5)
    shapes = [tuple(y.shape) for y in expected]
    assert [tuple(y.shape) for y in first(x, training=True)] == shapes
    assert first.compute_output_shape(x.shape) == tuple(shapes)
    assert [tuple(s.shape) for s in first.get_initial_state(2)] == shapes[1:]


def test_unrolled():
    layer = nyala.layers.ConvLSTM1D(2, 2, recurrent_dropout=0.3, seed=1)
    unrolled = nyala.layers.ConvLSTM1D.from_config({**layer.get_config(), "unroll": True, "name": "unrolled"})
    layer(X1)
    unrolled(X1)
    unrolled.set_weights(layer.get_weights())
    assert_close(unrolled(X1, training=True), layer(X1, training=True), 1e-5, 1e-5)


def test_images_of_any_size():
    """More than the reference, which wants to know the sizes when it builds."""
    layer = nyala.layers.ConvLSTM2D(2, 3, return_sequences=True, return_state=True)
    symbols = layer(nyala.KerasTensor((None, None, None, None, 2)))
    assert [y.shape for y in symbols] == [(None, None, None, None, 2), (None, None, None, 2), (None, None, None, 2)]
    for x in (X2, X2[:, :2, :3]):
        known = nyala.layers.ConvLSTM2D(2, 3, return_sequences=True, return_state=True)
        known(x)
        known.set_weights(layer.get_weights())
        assert_close(layer(x), known(x), 1e-5, 1e-5)
    with pytest.raises(ValueError, match="was built for inputs of any size, so pass `initial_state`"):
        layer.get_initial_state(2)


MISTAKES = [
    (lambda L: L.ConvLSTM2D(0, 3), "`filters` of `.*` must be a positive integer, but got 0"),
    (lambda L: L.ConvLSTM2D(2, (3, 3, 3)), r"`kernel_size` of `.*` must be 2 positive integers or one, but got \(3, 3"),
    (
        lambda L: L.ConvLSTM2D(2, 3, padding="causal"),
        "`padding` of `.*` must be one of 'valid', 'same', but got 'causal'",
    ),
    (lambda L: L.ConvLSTM2D(2, 3, strides=2, dilation_rate=2), "strides or dilation_rate above 1, not both"),
    (lambda L: L.ConvLSTM2D(2, 3, implementation=1), "takes no argument 'implementation'"),
    (lambda L: L.ConvLSTM2D(2, 9)(X2), r"The kernel of `.*`, size \(9, 9\) .* larger than its inputs .*padding='same'"),
    (lambda L: L.ConvLSTM2D(2, 3)(X1), "expected inputs with 5 dimensions but got shape"),
    (lambda L: L.ConvLSTM1D(2, 3)(nyala.KerasTensor((2, 3, 4, None))), "a known number of channels .channels_last."),
    (
        lambda L: L.ConvLSTM1D(2, 2)(X1, initial_state=[X1[:, 0]] * 2),
        r"expected initial states of shapes \[\(2, 3, 2\)",
    ),
    (lambda L: [layer := L.ConvLSTM1D(2, 2), layer(X1), layer(X1[..., :1])], "expected inputs with 2 features on the"),
    (
        lambda L: L.ConvLSTM1D(2, 2, stateful=True)(nyala.KerasTensor((None, 3, 4, 2))),
        "is stateful, so it must know how many rows",
    ),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=[m for _, m in MISTAKES])
def test_mistakes_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make(nyala.layers)


def test_saved_and_loaded_in_a_model(tmp_path):
    layers = nyala.layers
    model = nyala.Sequential([nyala.Input((3, 4, 2)), layers.ConvLSTM1D(2, 2, dropout=0.2), layers.Flatten()])
    model.save(tmp_path / "model.keras")
    expected = model(X1)
    for library in (nyala, keras):
        loaded: Any = library.models.load_model(tmp_path / "model.keras")
        assert_close(loaded(X1), expected, 1e-5, 1e-5)
