"""Which steps keep the rows of a batch apart; `predict` computes many batches as one where they do."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core import tree
from nyala.core.engine import tf
from nyala.training.rowwise import keeps_rows_apart
from tests.contract.test_layers import ROWS, tensors
from tests.oracle import assert_close


def traced(function, *inputs):
    specs = [tf.TensorSpec([None, *x.shape[1:]], x.dtype) for x in inputs]
    return tf.function(lambda *x: function(*x), autograph=False).get_concrete_function(*specs)


X = np.arange(24, dtype="float32").reshape(4, 3, 2)
TABLE = np.arange(12, dtype="float32").reshape(4, 3)
COUNTER = tf.Variable(0.0)

APART = {
    "kept": lambda x: x,
    "broadcast": lambda x: x * tf.ones([3, 1]) + tf.ones([1, 1, 2]),
    "between rows of one rank": lambda x: x + x[:, ::-1],
    "product": lambda x: x @ tf.ones([2, 5]),
    "einsum": lambda x: tf.einsum("nth,hk->nkt", x, tf.ones([2, 3])),
    "einsum of rows": lambda x: tf.einsum("nth,nsh->nst", x, x),
    "flat": lambda x: tf.reshape(x, [-1, 6]),
    "flat, by sizes": lambda x: tf.reshape(x, [tf.shape(x)[0], 6]),
    "sum": lambda x: tf.reduce_sum(x, [1, -1]),
    "largest": lambda x: tf.argmax(x, -1),
    "einsum, ellipsis": lambda x: tf.einsum("...h,hk->...k", x, tf.ones([2, 3])),
    "softmax": lambda x: tf.nn.softmax(x),
    "looked up inside": lambda x: tf.gather(x, [[2, 0], [1, 1]], axis=1),
    "turned": lambda x: tf.transpose(x, [0, 2, 1]),
    "beside": lambda x: tf.concat([x, x], -1),
    "stacked": lambda x: tf.stack([x, x], 1),
    "split": lambda x: tf.split(x, 3, 1)[0],
    "taken apart": lambda x: tf.unstack(x, axis=1)[2],
    "cut": lambda x: x[:, 1:, None, 0],
    "padded": lambda x: tf.pad(x, [[0, 0], [1, 0], [0, 2]]),
    "repeated": lambda x: tf.tile(x, [1, 2, 1]),
    "looked up": lambda x: tf.gather(tf.constant(TABLE), tf.cast(x[:, 0], "int32") % 4),
    "chosen": lambda x: tf.where(x > 3, x, 0.0),
    "one more axis": lambda x: tf.squeeze(tf.expand_dims(x, 2), [2]),
    "running sum": lambda x: tf.cumsum(x, 1),
}
TOGETHER = {
    "over rows": lambda x: x - tf.reduce_mean(x, 0),
    "over rows, counted from behind": lambda x: tf.reduce_sum(x, -3, keepdims=True),
    "over all": lambda x: x / tf.reduce_max(x),
    "rows beside rows": lambda x: tf.concat([x, x], 0),
    "merged axes": lambda x: tf.reshape(x, [-1, 2]),
    "number of rows": lambda x: x * tf.cast(tf.shape(x)[0], "float32"),
    "padded by the number of rows": lambda x: tf.pad(x, [[0, 0]] * 3, constant_values=tf.cast(tf.size(x), "float32")),
    "rows turned": lambda x: tf.transpose(x, [1, 0, 2]),
    "rows in reverse": lambda x: tf.reverse(x, [0]),
    "first row": lambda x: x[:1],
    "one row": lambda x: x[0],
    "every other row": lambda x: x[::2],
    "rows sorted": lambda x: tf.sort(x, 0),
    "rows as columns": lambda x: tf.matmul(x[:, 0], x[:, 1], transpose_a=True),
    "of higher rank": lambda x: x[:, 0] + tf.ones([1, 5, 2]),
    "product of higher rank": lambda x: tf.matmul(x[:, 0], tf.ones([1, 2, 5])),
    "einsum, rows inside": lambda x: tf.einsum("...h,kh->k...", x, tf.ones([3, 2])),
    "einsum, rows hidden": lambda x: tf.einsum("nth,...->n...", x, x),
    "rows looked up": lambda x: tf.gather(x, [1, 0], axis=0),
    "einsum over rows": lambda x: tf.einsum("nth,nth->th", x, x),
    "running sum over rows": lambda x: tf.cumsum(x, 0),
    "softmax over rows": lambda x: tf.nn.softmax(x[:, 0, 0]),
    "noise": lambda x: x + tf.random.normal([3, 2]),
    "always the same": lambda x: tf.ones([2]),
    "statistics of the batch": lambda x: tf.nn.batch_normalization(x, *tf.nn.moments(x, 0), None, None, 1e-3),
    "changes something": lambda x: COUNTER.assign_add(1.0) + x,
    "loop": lambda x: tf.map_fn(lambda row: row, x),
}


@pytest.mark.parametrize("name", APART)
def test_what_keeps_rows_apart(name):
    step = traced(APART[name], X)
    assert keeps_rows_apart(step)
    one_by_one = np.concatenate([APART[name](tf.constant(row[None])) for row in X])
    assert_close(step(tf.constant(X)), one_by_one)


@pytest.mark.parametrize("name", TOGETHER)
def test_what_does_not(name):
    assert not keeps_rows_apart(traced(TOGETHER[name], X))


def test_layers_that_keep_rows_apart_do():
    """Of the first row of each layer that does. Layers without one are named, so that none loses its speed unseen."""
    rows, wrong, apart = [row for row in ROWS if not row.call and row.dynamic], [], set()
    for row in rows:
        if row.layer in apart:
            continue
        layer, inputs = getattr(nyala.layers, row.layer)(**row.arguments), tensors(row.inputs)
        outputs = layer(inputs)
        flat = tree.flatten(inputs)
        step = traced(lambda *x, layer=layer, like=inputs: layer(tree.pack_sequence_as(like, list(x))), *flat)
        if not keeps_rows_apart(step):
            continue
        apart.add(row.layer)
        for place in range(flat[0].shape[0]):
            alone = step(*[x[place : place + 1] for x in flat])
            expected = tree.map_structure(lambda x, place=place: x[place : place + 1], outputs)
            try:
                assert_close(tree.flatten(alone), tree.flatten(expected), 1e-4, 1e-5)
            except AssertionError as error:
                wrong.append((str(row), str(error)))
    assert wrong == []
    assert {row.layer for row in rows} - apart == TOGETHER_LAYERS


# Recurrent layers loop over time steps that lie first; the others are stretched by sizes that TensorFlow finds as it runs.
TOGETHER_LAYERS = {f"ConvLSTM{rank}D" for rank in (1, 2, 3)} | {"GRU", "LSTM", "SimpleRNN"}
TOGETHER_LAYERS |= {"GroupNormalization", "UpSampling1D", "UpSampling3D"}


def test_predict_runs_batches_as_one():
    """The outputs are in their order, whatever the batch size and the source; and a batch counts as a batch."""
    model = nyala.Sequential(
        [nyala.Input((3, 2)), nyala.layers.Flatten(), nyala.layers.Dense(5), nyala.layers.Softmax()]
    )
    x = np.random.default_rng(0).normal(size=(103, 3, 2)).astype("float32")
    expected = model.predict_on_batch(x)
    ends = []
    heard = nyala.callbacks.LambdaCallback()
    heard.on_predict_batch_end = lambda batch, logs: ends.append(batch)
    for size in (1, 10, 103, 200):
        assert_close(model.predict(x, batch_size=size, verbose=0), expected)
    assert_close(model.predict(x, batch_size=10, verbose=0, callbacks=[heard]), expected)
    assert ends == list(range(11))
    batches = [x[start : start + 10] for start in range(0, 103, 10)]
    assert_close(model.predict(iter(batches), verbose=0), expected)
    assert "no row depends on another" in model.execution_plan


def test_predict_leaves_a_large_batch_alone():
    model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(2**18)])
    assert model.predict(np.ones((40, 2)), batch_size=10, verbose=0).shape == (40, 2**18)
    assert "no row depends" not in model.execution_plan
