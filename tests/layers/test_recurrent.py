"""Recurrent layers beyond their rows in the contract: state, dropout, other people's cells, paths, mistakes."""

from __future__ import annotations

import copy
import types

import numpy as np
import pytest

import nyala
from nyala.core import tree
from nyala.core.engine import tf
from nyala.layers import recurrent_loops
from nyala.layers.recurrent_rules import uses_block_kernel, uses_fast_path, what_hinders_cudnn
from tests.oracle import assert_close, keras, to_numpy

X = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]], "bool")
LAYERS = ["SimpleRNN", "LSTM", "GRU"]


def same_weights(ours, theirs, *call):
    """Build both and give them the same weights, well away from zero."""
    ours(X, *call)
    theirs(X, *call)
    generator = np.random.default_rng(3)
    weights = [w + generator.uniform(0.05, 0.3, w.shape).astype(w.dtype) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)


def pair(make, module_of=lambda m: m.layers):
    ours, theirs = make(module_of(nyala)), make(module_of(keras))
    same_weights(ours, theirs)
    return ours, theirs


def outputs_and_gradients(layer, **options):
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, **options)
        loss = tf.add_n([tf.reduce_sum(y * 1.5) for y in tree.flatten(outputs)])
    return outputs, tape.gradient(loss, [x, *layer.trainable_weights])


# ---- State between calls ----


@pytest.mark.parametrize("name", LAYERS)
def test_stateful_layers_go_on_where_they_stopped(name):
    ours, theirs = pair(lambda layers: getattr(layers, name)(2, stateful=True, return_sequences=True))
    ours.reset_state()
    theirs.reset_state()
    for _ in range(3):
        assert_close(ours(X), theirs(X), 1e-5, 1e-5)
    for mine, reference in zip(ours.states, theirs.states, strict=True):
        assert_close(mine.numpy(), reference.numpy(), 1e-5, 1e-5)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]  # the states are no weights
    ours.reset_state()
    assert all(not state.numpy().any() for state in ours.states)


# ---- Dropout ----


@pytest.mark.parametrize(
    "rates", [*(pytest.param(rates, marks=pytest.mark.slow) for rates in ((0.3, 0.0), (0.0, 0.4))), (0.3, 0.4)], ids=str
)
@pytest.mark.parametrize("name", [*LAYERS, "GRU before"])
def test_dropout_draws_the_masks_of_the_reference(name, rates):
    """With one seed, call after call, in training and between."""
    options = {"dropout": rates[0], "recurrent_dropout": rates[1], "seed": 1}
    if name == "GRU before":
        options["reset_after"] = False
    ours, theirs = pair(lambda layers: getattr(layers, name.split()[0])(2, **options))
    for training in (True, False, True):
        mine, gradients = outputs_and_gradients(ours, training=training)
        reference, their_gradients = outputs_and_gradients(theirs, training=training)
        assert_close(mine, reference, 1e-5, 1e-5)
        assert_close(gradients, their_gradients, 1e-4, 1e-4)
    assert_close(ours.cell.seed_generator.state.numpy(), theirs.cell.seed_generator.state.numpy())


def test_stacked_cells_draw_the_masks_of_the_reference():
    def make(layers):
        cells = [layers.LSTMCell(2, dropout=0.5, seed=1), layers.GRUCell(3, recurrent_dropout=0.5, dropout=0.2, seed=2)]
        return layers.RNN(cells, return_state=True, return_sequences=True)

    ours, theirs = pair(make)
    for training in (True, False, True):
        assert_close(ours(X, training=training), theirs(X, training=training), 1e-5, 1e-5)


def test_a_mask_of_dropout_is_not_kept_from_one_call_to_the_next():
    layer = nyala.layers.LSTM(4, dropout=0.5, seed=1)
    first, second = layer(X, training=True), layer(X, training=True)
    assert np.abs(first - second).max() > 1e-3


# ---- Cells ----


def cell_of(module):
    class Leaky(module.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.state_size = 4

        def build(self, input_shape):
            self.rate = self.add_weight(shape=(4,), initializer="ones", name="rate")

        def call(self, inputs, states):
            new = states[0] * self.rate + inputs
            return new * 2.0, [new]

    return Leaky()


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.layers.RNN(cell_of(m), return_sequences=True, return_state=True),
        lambda m: m.layers.RNN([m.layers.LSTMCell(2), m.layers.GRUCell(3)], return_sequences=True, return_state=True),
        lambda m: m.layers.RNN([m.layers.SimpleRNNCell(4), cell_of(m)], go_backwards=True, return_state=True),
        lambda m: m.layers.RNN(m.layers.LSTMCell(2), unroll=True, zero_output_for_mask=True, return_sequences=True),
    ],
    ids=["own", "stacked", "stacked with own", "unrolled"],
)
@pytest.mark.parametrize("mask", [None, MASK], ids=["plain", "masked"])
def test_rnn_runs_any_cell(make, mask):
    ours, theirs = pair(make, lambda m: m)
    mine, gradients = outputs_and_gradients(ours, mask=mask)
    reference, their_gradients = outputs_and_gradients(theirs, mask=mask)
    assert_close(mine, reference, 1e-5, 1e-5)
    assert_close(gradients, their_gradients, 1e-4, 1e-4)
    symbols = tree.flatten(ours(nyala.KerasTensor((None, None if not ours.unroll else 5, 4))))
    for symbol, value in zip(symbols, tree.flatten(to_numpy(mine)), strict=True):
        assert symbol.shape[-1] == value.shape[-1]
        assert len(symbol.shape) == value.ndim


def test_config_of_stacked_cells_goes_both_ways():
    ours = nyala.layers.RNN([nyala.layers.LSTMCell(2), nyala.layers.GRUCell(3)], return_state=True)
    theirs = keras.layers.RNN.from_config(ours.get_config())
    again = nyala.layers.RNN.from_config(theirs.get_config())
    assert again.state_size == [[2, 2], 3]
    assert again.return_state


@pytest.mark.parametrize("name", LAYERS)
def test_paths_of_weights(name):
    ours, theirs = pair(lambda layers: getattr(layers, name)(2, name="r"))
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]


# ---- The loop with the hand-written gradient ----

FAST_RULES = [
    ("LSTM", {}, False, True),
    ("LSTM", {"dropout": 0.5}, True, True),
    ("LSTM", {"go_backwards": True, "return_state": True, "use_bias": False}, False, True),
    ("LSTM", {"recurrent_dropout": 0.5}, False, True),
    ("LSTM", {"recurrent_dropout": 0.5}, True, False),
    ("LSTM", {"activation": "relu"}, False, False),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}, False, False),
    ("LSTM", {"unroll": True}, False, False),
    ("GRU", {}, False, True),
    ("GRU", {"reset_after": False}, False, False),
]


@pytest.mark.parametrize(("name", "arguments", "training", "fast"), FAST_RULES, ids=str)
def test_the_rule_of_the_fast_path(name, arguments, training, fast):
    assert uses_fast_path(getattr(nyala.layers, name)(2, **arguments), training) is fast


@pytest.mark.parametrize("mask", [None, MASK], ids=["plain", "masked"])
@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_both_loops_give_the_same_numbers(name, mask, monkeypatch):
    layer = getattr(nyala.layers, name)(3, return_sequences=True, return_state=True, bias_initializer="glorot_normal")
    if name == "LSTM":
        layer.cell.bias_initializer = nyala.initializers.get("ones")
    found = []
    for rule in ("nothing", "uses_block_kernel", "uses_fast_path"):  # switched off one after the other
        monkeypatch.setattr(f"nyala.layers.recurrent.{rule}", lambda *_: False, raising=False)
        layer.__dict__.pop("_compiled", None)
        found.append((layer(X, mask=mask), outputs_and_gradients(layer, mask=mask)))
    for other in found[1:]:
        assert_close(found[0], other, 1e-5, 1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "mask", "forward_only", "block"),
    [
        ("LSTM", (5, 3, 4), "float32", None, True, True),
        ("LSTM", (5, 3, 4), "float32", None, False, False),
        ("LSTM", (5, 3, 4), "float32", MASK, True, False),
        ("LSTM", (5, 3, 4), "float64", None, True, False),
        ("LSTM", (5, 0, 4), "float32", None, True, False),
        ("LSTM", (5, None, 4), "float32", None, True, False),
        ("GRU", (5, 3, 4), "float32", None, True, False),
    ],
)
def test_the_rule_of_the_block_kernel(name, shape, dtype, mask, forward_only, block):
    inputs = tf.TensorSpec(shape, dtype)
    assert uses_block_kernel(getattr(nyala.layers, name)(2), inputs, mask, forward_only) is block


# ---- cuDNN ----

ON_GPU = {"training": True, "on_gpu": True, "for_xla": False}
CUDNN_RULES = [
    ("LSTM", {}, {}, ""),
    ("GRU", {}, {}, ""),
    ("LSTM", {"dropout": 0.5, "use_bias": False, "go_backwards": True, "use_cudnn": True}, {}, ""),
    ("GRU", {"recurrent_dropout": 0.5}, {"training": False}, ""),
    ("LSTM", {}, {"on_gpu": False}, "it does not run on a GPU"),
    ("LSTM", {}, {"for_xla": True}, "XLA"),
    ("LSTM", {"use_cudnn": False}, {}, "use_cudnn=False"),
    ("LSTM", {"activation": "relu"}, {}, "activation='tanh'"),
    ("LSTM", {"recurrent_activation": "hard_sigmoid"}, {}, "recurrent_activation='sigmoid'"),
    ("LSTM", {"recurrent_dropout": 0.5}, {}, "no recurrent dropout"),
    ("LSTM", {"unroll": True}, {}, "no unrolling"),
    ("GRU", {"reset_after": False}, {}, "reset_after=True"),
    ("GRU", {"dropout": 0.5, "implementation": 1}, {}, "a dropout mask for each gate"),
    ("GRU", {}, {"shape": (0, 5, 4)}, "no rows"),
    ("GRU", {}, {"shape": (None, None, 4)}, ""),
]


@pytest.mark.parametrize(("name", "arguments", "call", "hindrance"), CUDNN_RULES, ids=str)
def test_the_rule_of_cudnn(name, arguments, call, hindrance):
    found = what_hinders_cudnn(getattr(nyala.layers, name)(2, **arguments), **{"shape": X.shape, **ON_GPU, **call})
    assert bool(found) == bool(hindrance)
    assert hindrance in found


def by_the_book(input, input_h, input_c, params, rnn_mode, is_training, sequence_lengths=None):
    """What cuDNN's reference says that its LSTM and GRU compute, and in which order it wants the weights.

    It stands in for the kernel, which runs on a GPU only.
    """
    steps, rows, features = input.shape
    units, gates = input_h.shape[2], 4 if rnn_mode == "lstm" else 3
    sizes = [units * features] * gates + [units * units] * gates + [units] * 2 * gates
    parts = tf.split(params, sizes)
    w = [tf.reshape(part, (units, features)) for part in parts[:gates]]
    r = [tf.reshape(part, (units, units)) for part in parts[gates : 2 * gates]]
    b_w, b_r = parts[2 * gates : 3 * gates], parts[3 * gates :]
    h, c, outputs = input_h[0], input_c[0] if rnn_mode == "lstm" else None, []
    lengths = tf.fill([rows], steps) if sequence_lengths is None else sequence_lengths
    for t in range(steps):
        from_x = [tf.matmul(input[t], w[k], transpose_b=True) + b_w[k] for k in range(gates)]
        from_h = [tf.matmul(h, r[k], transpose_b=True) + b_r[k] for k in range(gates)]
        if rnn_mode == "lstm":
            i, f, o = (tf.sigmoid(from_x[k] + from_h[k]) for k in (0, 1, 3))
            new_c = f * c + i * tf.tanh(from_x[2] + from_h[2])
            new_h = o * tf.tanh(new_c)
        else:
            reset, update = (tf.sigmoid(from_x[k] + from_h[k]) for k in (0, 1))
            new_h = (1 - update) * tf.tanh(from_x[2] + reset * from_h[2]) + update * h
        inside = (t < lengths)[:, None]
        outputs.append(tf.where(inside, new_h, tf.zeros_like(h)))
        h = tf.where(inside, new_h, h)
        c = tf.where(inside, new_c, c) if rnn_mode == "lstm" else None
    return types.SimpleNamespace(output=tf.stack(outputs), output_h=h[None], output_c=None if c is None else c[None])


RIGHT_PADDED = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]], "bool")


@pytest.mark.parametrize(
    ("name", "arguments", "mask"),
    [
        ("LSTM", {"go_backwards": True}, None),
        pytest.param("LSTM", {"use_bias": False}, MASK, marks=pytest.mark.slow),
        ("LSTM", {}, RIGHT_PADDED),
        ("GRU", {"dropout": 0.3, "seed": 1}, RIGHT_PADDED),
        pytest.param("GRU", {"use_bias": False}, MASK, marks=pytest.mark.slow),
    ],
    ids=["plain", "gaps", "padded", "GRU padded", "GRU gaps"],
)
def test_weights_and_results_are_converted_to_and_from_cudnn(name, arguments, mask, monkeypatch):
    """The same outputs and gradients as by the loop, where cuDNN keeps to its book."""
    options = {"return_sequences": True, "return_state": True, "bias_initializer": "random_normal"}
    layer = getattr(nyala.layers, name)(3, **options, **arguments)
    expected = outputs_and_gradients(layer, mask=mask)
    copied = copy.deepcopy(layer)
    called = []
    monkeypatch.setattr("nyala.layers.recurrent.runs_on_gpu", lambda: True)
    for kernel in ("CudnnRNN", "CudnnRNNV3"):
        monkeypatch.setattr(tf.raw_ops, kernel, lambda kernel=kernel, **k: called.append(kernel) or by_the_book(**k))
    assert_close(outputs_and_gradients(copied, mask=mask), expected, 1e-5, 1e-5)
    assert set(called) == {"CudnnRNN" if mask is None else "CudnnRNNV3"}


def test_cudnn_in_a_graph(monkeypatch):
    """The kernels and their gradients take what they are given, as far as TensorFlow's shape rules tell without a GPU."""
    monkeypatch.setattr("nyala.layers.recurrent.runs_on_gpu", lambda: True)
    layers = [getattr(nyala.layers, name)(3, return_sequences=True, use_cudnn=True) for name in ("LSTM", "GRU")]
    mask = tf.constant(RIGHT_PADDED)

    def step(x):
        for layer in layers:
            layer.build(x.shape)
        outputs = [layer(x, mask=given) for layer in layers for given in (None, mask)]
        return outputs, tf.gradients(outputs, [x, *layers[0].weights, *layers[1].weights])

    traced = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec([3, 5, 4]))
    outputs, gradients = traced.structured_outputs
    assert [y.shape for y in outputs] == [(3, 5, 3)] * 4
    shapes = [w.shape for layer in layers for w in layer.weights]
    assert [g.shape for g in gradients] == [(3, 5, 4), *shapes]
    from nyala.training.choosing import operations_of

    assert {"CudnnRNN", "CudnnRNNV3", "CudnnRNNBackprop", "CudnnRNNBackpropV3"} <= operations_of(traced).kinds


@pytest.mark.parametrize("name", ["LSTM", pytest.param("GRU", marks=pytest.mark.slow)])
def test_second_derivatives(name):
    ours, theirs = pair(lambda layers: getattr(layers, name)(2))

    def second(layer):
        x = tf.constant(X[:, :2])
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(layer(x) ** 2)
            penalty = tf.reduce_sum(inner.gradient(loss, x) ** 2)
        return outer.gradient(penalty, x)

    assert_close(second(ours), second(theirs), 1e-4, 1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_training_under_xla_with_an_unknown_length(name):
    """Outputs and gradients of a compiled step equal the eager ones, whatever the graph knew of batch and time."""
    layer = getattr(nyala.layers, name)(3)
    eager = outputs_and_gradients(layer)

    @tf.function(jit_compile=True, autograph=False, input_signature=[tf.TensorSpec([None, None, 4])])
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
            loss = tf.reduce_sum(outputs * 1.5)
        return outputs, tape.gradient(loss, [x, *layer.trainable_weights])

    assert_close(step(tf.constant(X)), eager, 1e-4, 1e-4)


def test_an_eager_call_is_one_dispatch():
    """The time steps of an eager call are no operations of their own."""
    layer = nyala.layers.LSTM(3)
    layer(X)
    counted = []
    original = recurrent_loops.loop
    recurrent_loops.loop = lambda *args, **kwargs: counted.append(1) or original(*args, **kwargs)
    try:
        layer(X)
    finally:
        recurrent_loops.loop = original
    assert counted == []


def test_many_layers_raise_no_alarm_about_retracing(caplog):
    """TensorFlow counts traces by function, and each layer has its own."""
    for units in range(1, 8):
        nyala.layers.SimpleRNN(units)(X)
    assert "retracing" not in caplog.text


@pytest.mark.parametrize("name", LAYERS)
def test_a_called_layer_can_be_copied(name):
    layer = getattr(nyala.layers, name)(3)
    expected = layer(X)
    assert_close(copy.deepcopy(layer)(X), expected)


# ---- Masks and mistakes ----


def test_masks_in_and_out():
    layer = nyala.layers.LSTM(2, return_sequences=True, return_state=True)
    assert layer.compute_mask(None, MASK)[0] is MASK
    assert layer.compute_mask(None, MASK)[1:] == [None, None]
    assert nyala.layers.LSTM(2).compute_mask(None, MASK) is None
    embedded = nyala.layers.Embedding(6, 4, mask_zero=True)(np.array([[1, 2, 0], [3, 0, 0]]))
    output = nyala.layers.GRU(2, return_sequences=True)(embedded)
    assert output._keras_mask.numpy().tolist() == [[True, True, False], [True, False, False]]


MISTAKES = [
    (lambda L: L.LSTM(0), "`units` of `.*` must be a positive integer, but got 0"),
    (lambda L: L.GRU(2.5), "`units` of `.*` must be a positive integer, but got 2.5"),
    (lambda L: L.RNN(3), "must have a `call` method, but got 3"),
    (lambda L: L.RNN(L.Dense(2)), "must have a `state_size`"),
    (lambda L: L.LSTM(2)(X[0]), "expected inputs with 3 dimensions but got shape"),
    (lambda L: L.LSTM(2)(X, mask=MASK[:, :3]), r"expected a mask of shape \(3, 5\).* but got \(3, 3\)"),
    (lambda L: L.LSTM(2)(X, initial_state=[X[:, 0, :2]]), r"expected initial states of shapes .* but got \[\(3, 2\)\]"),
    (lambda L: L.GRU(2)(X, initial_state=X[:, 0]), r"expected initial states of shapes \[\(3, 2\)\] but got"),
    (lambda L: L.GRU(2, stateful=True)(nyala.KerasTensor((None, 5, 4))), "is stateful, so it must know how many rows"),
    (lambda L: L.GRU(2)(nyala.KerasTensor((2, 5, None))), "cannot create the weight 'kernel'"),
    (lambda L: L.LSTM(2, use_cudnn=True)(X), "asks for cuDNN, which it cannot use here"),
    (lambda L: L.GRU(2, use_cudnn="yes"), "`use_cudnn` of `.*` must be one of 'auto', True, False, but got 'yes'"),
    (lambda L: L.Embedding(0, 3), "`input_dim` of `.*` must be a positive integer"),
    (lambda L: L.Embedding(4, 3, weights=[np.ones((4, 2))]), r"has shape \(4, 3\), but set_weights\(\) got \(4, 2\)"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=[m for _, m in MISTAKES])
def test_mistakes_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make(nyala.layers)


def test_unrolling_needs_a_known_length():
    layer = nyala.layers.GRU(2, unroll=True)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([2, None, 4])], autograph=False)
    with pytest.raises(ValueError, match="unrolls its time steps, so their number must be known"):
        graph.get_concrete_function()


def test_a_stack_of_one_cell_takes_a_mask():
    """The reference stumbles here: it loses the list around the states of a single cell."""
    cell = nyala.layers.LSTMCell(2)
    stacked, alone = nyala.layers.RNN(nyala.layers.StackedRNNCells([cell])), nyala.layers.RNN(cell)
    assert_close(stacked(X, mask=MASK), alone(X, mask=MASK))


def test_a_stateful_layer_tells_of_another_batch_size():
    layer = nyala.layers.GRU(2, stateful=True)
    layer(X)
    with pytest.raises(ValueError, match="was built for batches of 3 rows, but got 2"):
        layer(X[:2])
