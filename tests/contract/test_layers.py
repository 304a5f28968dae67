"""Every layer, in several configurations, against the oracle with the same weights."""

from __future__ import annotations

import importlib
import json
import operator
import pathlib

import numpy as np
import pytest

import nyala
from nyala.core import tree
from nyala.core.engine import tf
from tests.contract.rows import Row
from tests.oracle import assert_close, keras, to_numpy

FAMILIES = sorted(p.stem for p in (pathlib.Path(__file__).parent / "layer_rows").glob("[a-z]*.py"))
ROWS = [row for family in FAMILIES for row in importlib.import_module(f"tests.contract.layer_rows.{family}").ROWS]

EACH = [pytest.param(row, marks=pytest.mark.slow) if row.slow else row for row in ROWS]


def tensors(inputs):
    return [tf.constant(x) for x in inputs] if isinstance(inputs, list) else tf.constant(inputs)


def pair(row: Row):
    """Our layer and the oracle's, built on the row's inputs, with the same weights."""
    ours = getattr(nyala.layers, row.layer)(**row.arguments)
    theirs = getattr(keras.layers, row.layer)(**row.arguments)
    ours(tensors(row.inputs), **row.call)
    theirs(tensors(row.inputs), **row.call)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    generator = np.random.default_rng(3)
    weights = [w + generator.uniform(0.05, 0.3, w.shape).astype(w.dtype) for w in theirs.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


def call(layer, row: Row, inputs, training):
    options = dict(row.call)
    if "training" in layer.call.__code__.co_varnames[: layer.call.__code__.co_argcount]:
        options["training"] = training
    return layer(inputs, **options)


def values_and_gradients(layer, row: Row, training: bool):
    inputs = tensors(row.inputs)
    with tf.GradientTape() as tape:
        watched = [x for x in tree.flatten(inputs) if x.dtype.is_floating]
        tape.watch(watched)
        outputs = call(layer, row, inputs, training)
        loss = tf.add_n([tf.reduce_sum(tf.cast(y, "float32") * 1.5) for y in tree.flatten(outputs)])
        loss += sum(layer.losses)
    sources = watched + list(layer.trainable_weights)
    gradients = tape.gradient(loss, sources) if sources and row.gradient else []
    return outputs, [None if g is None else tf.convert_to_tensor(g) for g in gradients]


@pytest.mark.parametrize("row", EACH, ids=str)
def test_values_gradients_and_state(row):
    """Outputs, gradients and the state after several calls equal the oracle's."""
    ours, theirs = pair(row)
    for training in row.training:
        for _ in range(2):
            mine, my_gradients = values_and_gradients(ours, row, training)
            reference, their_gradients = values_and_gradients(theirs, row, training)
            assert_close(to_numpy(mine), to_numpy(reference), row.rtol, row.atol)
            assert [g is None for g in my_gradients] == [g is None for g in their_gradients]
            for one, other in zip(my_gradients, their_gradients, strict=True):
                if one is not None:
                    assert_close(one.numpy(), other.numpy(), row.rtol * 10, row.atol * 10)
        assert_close(ours.get_weights(), theirs.get_weights(), row.rtol, row.atol)


@pytest.mark.parametrize("row", EACH, ids=str)
def test_eager_graph_and_symbolic_agree(row):
    """The same numbers in a graph and under XLA; the symbolic call knows shape and dtype."""
    ours, inputs = getattr(nyala.layers, row.layer)(**row.arguments), tensors(row.inputs)
    ours(inputs, **row.call)
    eager = to_numpy(call(ours, row, inputs, False))
    # The graph sees an unknown batch size where the layer allows it.
    specs = tree.map_structure(
        lambda x: tf.TensorSpec([None, *x.shape[1:]] if row.dynamic else x.shape, x.dtype), inputs
    )
    graph = tf.function(lambda x: call(ours, row, x, False), input_signature=[specs], autograph=False)
    assert_close(to_numpy(graph(inputs)), eager, row.rtol, row.atol)
    if row.xla:
        compiled = tf.function(lambda x: call(ours, row, x, False), jit_compile=True, autograph=False)
        assert_close(to_numpy(compiled(inputs)), eager, row.rtol * 10, row.atol * 10)
    symbols = tree.map_structure(
        lambda x: nyala.KerasTensor([None, *x.shape[1:]] if row.dynamic else x.shape, x.dtype.name), inputs
    )
    fresh = getattr(nyala.layers, row.layer)(**row.arguments)
    their_fresh = getattr(keras.layers, row.layer)(**row.arguments)
    their_symbols = tree.map_structure(lambda x: keras.KerasTensor(x.shape, x.dtype), symbols)
    outputs, reference = tree.flatten(fresh(symbols, **row.call)), tree.flatten(their_fresh(their_symbols, **row.call))
    for output, theirs, value in zip(outputs, reference, tree.flatten(eager), strict=True):
        assert output.dtype == value.dtype.name
        assert len(output.shape) == value.ndim
        for known, wanted, size in zip(output.shape, theirs.shape, value.shape, strict=True):
            assert known in (None, size)
            assert known is not None or wanted is None, f"symbolic {output.shape} knows less than {theirs.shape}"


def same_config(one, other):
    """Equal, but for floats that the reference keeps in single precision."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(same_config(one[k], other[k]) for k in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same_config, one, other))
    return one == pytest.approx(other, rel=1e-6) if isinstance(one, float) else one == other


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_config_in_both_directions(row):
    """Our config builds theirs, theirs builds ours, and both say the same again."""
    ours = getattr(nyala.layers, row.layer)(**row.arguments)
    theirs = getattr(keras.layers, row.layer)(**row.arguments)
    mine, reference = json.loads(json.dumps(ours.get_config())), json.loads(json.dumps(theirs.get_config()))
    mine["name"] = reference["name"]
    assert type(theirs).from_config(mine).get_config() == theirs.get_config()
    rebuilt = type(ours).from_config(reference)
    again = json.loads(json.dumps(rebuilt.get_config()))
    assert same_config(again, mine)
    assert set(mine) >= set(reference) - {"quantization_config"}


# Dtypes do not depend on a layer's other arguments, so its first row stands for all.
FIRST_ROWS = list({row.layer: row for row in reversed(ROWS) if row.gradient}.values())


@pytest.mark.parametrize("row", FIRST_ROWS, ids=str)
@pytest.mark.parametrize("policy", ["float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"])
def test_dtype_policies(row, policy):
    """Output and weight dtypes equal the oracle's under every dtype policy."""
    if "dtype" in row.arguments:
        pytest.fail("a row leaves the dtype to this test")
    ours = getattr(nyala.layers, row.layer)(**row.arguments, dtype=policy)
    theirs = getattr(keras.layers, row.layer)(**row.arguments, dtype=policy)
    mine = tree.flatten(ours(tensors(row.inputs), **row.call))
    if policy in row.lacking:
        assert {x.dtype.name for x in mine} == {ours.compute_dtype}
        return
    reference = tree.flatten(theirs(tensors(row.inputs), **row.call))
    assert [x.dtype.name for x in mine] == [x.dtype.name for x in reference]
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]


# Weights depend on few arguments: one row a layer, and those that choose what weights there are or how they start.
OF_WEIGHTS = ("initializer", "bias", "gate", "depth", "groups", "scale", "center", "shape", "dim", "reset", "tie")
STARTS = [
    row
    for place, row in enumerate(ROWS)
    if row.layer not in [other.layer for other in ROWS[:place]]
    or any(word in name for name in row.arguments for word in OF_WEIGHTS if name != "recurrent_initializer")
]


@pytest.mark.parametrize("row", STARTS, ids=str)
def test_same_seed_same_initial_weights(row):
    """With the same seed set, both start from the same weights."""
    keras.utils.set_random_seed(11)
    theirs = getattr(keras.layers, row.layer)(**row.arguments)
    theirs(tensors(row.inputs), **row.call)
    keras.utils.set_random_seed(11)
    ours = getattr(nyala.layers, row.layer)(**row.arguments)
    ours(tensors(row.inputs), **row.call)
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-6, 1e-6)


@pytest.mark.parametrize("row", EACH, ids=str)
def test_batch_of_none_and_one(row):
    """An empty batch and a batch of one give what the oracle gives."""
    ours, theirs = pair(row)
    for size in (0, 1) if row.dynamic else [len(tree.flatten(row.inputs)[0])]:
        inputs = tree.map_structure(operator.itemgetter(slice(size)), tensors(row.inputs))
        options = {k: (v[:size] if hasattr(v, "shape") else v) for k, v in row.call.items()}
        mine = to_numpy(ours(inputs, **options))
        if size == 0 and not row.empty:
            assert all(len(leaf) == 0 for leaf in tree.flatten(mine))
        else:
            assert_close(mine, to_numpy(theirs(inputs, **options)), row.rtol, row.atol)


def test_every_layer_has_a_row():
    """A layer without a row is a layer that nobody checks."""
    have = {getattr(nyala.layers, row.layer) for row in ROWS}
    # What cannot stand alone in a row, wrappers of other layers above all, has tests of its own in tests/layers.
    names = ("Layer", "InputLayer", "Lambda", "SpectralNormalization", "Wrapper", "Bidirectional", "TimeDistributed")
    elsewhere = {getattr(nyala.layers, name) for name in (*names, "RNN", "StackedRNNCells", "TFSMLayer")}
    classes = {value for value in vars(nyala.layers).values() if isinstance(value, type)}
    layers = {cls for cls in classes if issubclass(cls, nyala.layers.Layer)}
    assert layers
    assert layers - have - elsewhere == set()
