"""Layers around layers: each case makes ours and the oracle's from the same words, and compares all that rows compare."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest

import nyala
from nyala.core import tree
from nyala.core.engine import tf
from tests.oracle import assert_close, keras, to_numpy

X = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
X4 = np.random.default_rng(1).normal(size=(2, 3, 5, 4)).astype("float32")
IMAGES = np.random.default_rng(2).normal(size=(2, 3, 6, 6, 1)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]], "bool")
MASK4 = np.random.default_rng(3).uniform(size=(2, 3, 5)) > 0.3

CASES = {
    "dense at each step": (lambda L: L.TimeDistributed(L.Dense(2, activation="tanh")), X, {}),
    "convolution at each step": (lambda L: L.TimeDistributed(L.Conv2D(2, 3)), IMAGES, {}),
    "recurrence at each step": (lambda L: L.TimeDistributed(L.LSTM(2)), X4, {"mask": MASK4}),
    "sequences at each step": (lambda L: L.TimeDistributed(L.GRU(2, return_sequences=True)), X4, {}),
    "concat": (lambda L: L.Bidirectional(L.LSTM(2)), X, {}),
    "concat sequences": (lambda L: L.Bidirectional(L.GRU(2, return_sequences=True)), X, {"mask": MASK}),
    "sum": (lambda L: L.Bidirectional(L.SimpleRNN(2), merge_mode="sum"), X, {}),
    "mul with states": (lambda L: L.Bidirectional(L.LSTM(2, return_state=True), merge_mode="mul"), X, {}),
    "ave": (lambda L: L.Bidirectional(L.GRU(2, return_sequences=True), merge_mode="ave"), X, {"mask": MASK}),
    "both": (lambda L: L.Bidirectional(L.GRU(2, return_state=True), merge_mode=None), X, {}),
    "backward of its own": (
        lambda L: L.Bidirectional(L.LSTM(2), backward_layer=L.GRU(3, go_backwards=True)),
        X,
        {"mask": MASK},
    ),
    "given states": (lambda L: L.Bidirectional(L.GRU(2)), X, {"initial_state": [X[:, 0, :2], X[:, 1, :2]]}),
}
LONG = ("sum", "ave", "both")  # what they merge by, others show too
cases = pytest.mark.parametrize(
    ("make", "x", "options"),
    [pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name in LONG)) for name, case in CASES.items()],
)


def plain_path(weight):
    """The path without the numbers that tell layers of one class apart."""
    return re.sub(r"_\d+(?=/)", "", weight.path)


def pair(make, x, options):
    ours, theirs = make(nyala.layers), make(keras.layers)
    ours(x, **options)
    theirs(x, **options)
    assert [plain_path(w) for w in ours.weights] == [plain_path(w) for w in theirs.weights]
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    generator = np.random.default_rng(3)
    weights = [w + generator.uniform(0.05, 0.3, w.shape).astype(w.dtype) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def outputs_and_gradients(layer, x, options):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=True, **options)
        loss = tf.add_n([tf.reduce_sum(y * 1.5) for y in tree.flatten(outputs)])
    return outputs, tape.gradient(loss, [x, *layer.trainable_weights])


@cases
def test_values_and_gradients(make, x, options):
    ours, theirs = pair(make, x, options)
    mine, gradients = outputs_and_gradients(ours, x, options)
    reference, their_gradients = outputs_and_gradients(theirs, x, options)
    assert_close(mine, reference, 1e-5, 1e-5)
    assert_close(gradients, their_gradients, 1e-4, 1e-4)


@cases
def test_graphs_and_symbols(make, x, options):
    ours, theirs = pair(make, x, options)
    eager = to_numpy(ours(x, **options))
    unknown = [None, x.shape[1] if options else None, *x.shape[2:]]
    graph = tf.function(lambda x: ours(x, **options), input_signature=[tf.TensorSpec(unknown)], autograph=False)
    assert_close(graph(x), eager, 1e-5, 1e-5)
    compiled = tf.function(lambda x: ours(x, **options), jit_compile=True, autograph=False)
    assert_close(compiled(tf.constant(x)), eager, 1e-4, 1e-4)
    mine = tree.flatten(ours(nyala.KerasTensor(unknown)))
    reference = tree.flatten(theirs(keras.KerasTensor(unknown)))
    for symbol, wanted, value in zip(mine, reference, tree.flatten(eager), strict=True):
        assert symbol.dtype == wanted.dtype
        for known, theirs_know, size in zip(symbol.shape, wanted.shape, value.shape, strict=True):
            assert known == size or (known is None and theirs_know is None)


@cases
def test_config_goes_both_ways(make, x, options):
    ours, theirs = make(nyala.layers), make(keras.layers)
    mine, reference = json.loads(json.dumps(ours.get_config())), json.loads(json.dumps(theirs.get_config()))
    assert mine.keys() == reference.keys()
    rebuilt, copied = type(theirs).from_config(copy.deepcopy(mine)), type(ours).from_config(reference)
    assert json.loads(json.dumps(copied.get_config())).keys() == mine.keys()
    for layer in (rebuilt, copied):
        layer(x, **options)
        assert [tuple(w.shape) for w in layer.weights] == [tuple(w.shape) for w in pair(make, x, options)[0].weights]


@cases
def test_same_seed_same_initial_weights(make, x, options):
    keras.utils.set_random_seed(11)
    theirs = make(keras.layers)
    theirs(x, **options)
    keras.utils.set_random_seed(11)
    ours = make(nyala.layers)
    ours(x, **options)
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-6, 1e-6)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("name", ["dense at each step", "concat sequences", "both"])
def test_batch_of_none_and_one(name, size):
    make, x, _ = CASES[name]
    ours, theirs = pair(make, x, {})
    assert_close(ours(x[:size]), theirs(x[:size]), 1e-5, 1e-5)


def test_both_directions_keep_their_states():
    ours, theirs = pair(lambda L: L.Bidirectional(L.LSTM(2, stateful=True)), X, {})
    for layer in (ours, theirs):
        layer.reset_state()
    for _ in range(2):
        assert_close(ours(X), theirs(X), 1e-5, 1e-5)
    assert_close([s.numpy() for s in ours.states], [s.numpy() for s in theirs.states], 1e-5, 1e-5)


def test_first_weights_of_both_directions():
    weights = [np.full(shape, 0.5, "float32") for shape in ((4, 6), (2, 6))] * 2
    layer = nyala.layers.Bidirectional(nyala.layers.GRU(2, use_bias=False), weights=weights)
    layer(X)
    assert_close(layer.get_weights(), weights)


def test_masks_of_both_directions():
    sequences = nyala.layers.Bidirectional(nyala.layers.GRU(2, return_sequences=True, return_state=True))
    assert sequences.compute_mask(X, MASK)[0] is MASK
    assert sequences.compute_mask(X, MASK)[1:] == [None, None]
    both = nyala.layers.Bidirectional(nyala.layers.GRU(2), merge_mode=None)
    assert both.compute_mask(X, MASK) == [None, None]


def test_a_wrapper_is_built_with_its_layer():
    wrapper = nyala.layers.Wrapper(nyala.layers.Dense(2))
    wrapper.build((None, 3))
    assert [plain_path(w) for w in wrapper.weights] == ["wrapper/dense/kernel", "wrapper/dense/bias"]
    again = nyala.layers.Wrapper.from_config(wrapper.get_config())
    assert again.layer.units == 2


MISTAKES = [
    (lambda L: L.Wrapper(3), "wraps a layer, but got 3"),
    (lambda L: L.TimeDistributed("dense"), "wraps a layer, but got 'dense'"),
    (lambda L: L.TimeDistributed(L.Dense(2))(X[0]), "at least 3 dimensions, rows, time steps and features, but got"),
    (lambda L: L.Bidirectional(3), "wraps a layer, but got 3"),
    (lambda L: L.Bidirectional(L.Dense(2)), "wraps a recurrent layer, but got"),
    (lambda L: L.Bidirectional(L.LSTM(2), merge_mode="max"), "`merge_mode` of `.*` must be one of 'sum', 'mul'"),
    (
        lambda L: L.Bidirectional(L.LSTM(2), backward_layer=L.LSTM(2)),
        "opposite directions, but both have go_backwards=",
    ),
    (
        lambda L: L.Bidirectional(L.LSTM(2), backward_layer=L.LSTM(2, go_backwards=True, return_state=True)),
        "must agree in `return_state`, but the forward one has False",
    ),
    (lambda L: L.Bidirectional(L.LSTM(2))(X, initial_state=[X[:, 0, :2]] * 2), "expected 4 initial states, 2 for each"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=[m for _, m in MISTAKES])
def test_mistakes_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make(nyala.layers)
