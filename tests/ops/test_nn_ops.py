"""What rows of `nn_rows.py` cannot say: short floats, whole numbers, extremes, sparse results, errors, files."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import ops
from nyala.core.engine import tf
from tests.ops import nn_rows
from tests.ops.cases import case, floats, gradients, ints
from tests.oracle import assert_close, keras

X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]], "float32")


# ---- Dtypes ----


def test_celu_has_one_slope_at_zero() -> None:
    """The reference counts it twice."""
    assert_close(gradients(ops.celu, case(np.zeros(1, "float32"), alpha=0.5)), [np.ones(1)])


@pytest.mark.parametrize("name", [*nn_rows.ACTIVATIONS, "celu"])
def test_activations_of_short_floats_and_whole_numbers(name: str) -> None:
    function, x = getattr(ops, name), np.array([-80.0, -3.0, -1.0, -0.5, 0.0, 0.5, 2.0, 6.0, 80.0])
    expected = function(x).numpy()
    for dtype, tolerance in (("float16", 2e-3), ("bfloat16", 2e-2)):
        actual = function(tf.cast(x, dtype))
        assert actual.dtype == dtype
        assert_close(tf.cast(actual, "float64"), expected, rtol=tolerance, atol=tolerance)
    whole = function(np.array([-3, 0, 2]))
    assert_close(whole, expected[[1, 4, 6]], atol=1e-5)
    assert whole.dtype == ("int64" if name in ("relu", "relu6") else "float32")


M, V = np.array([1.0, -2.0, 0.5], "float32"), np.array([0.5, 2.0, 1e-6], "float32")
# name → a function of a tensor that computes in float32 whatever it gets
IN_FLOAT32 = {
    "batch_normalization": lambda x: ops.batch_normalization(x, M, V, -1, M, V),
    "layer_normalization": lambda x: ops.layer_normalization(x, M, V),
    "rms_normalization": lambda x: ops.rms_normalization(x, M),
    **{f"normalize {order}": lambda x, order=order: ops.normalize(x, order=order) for order in (1, 2, 3)},
    "moments": lambda x: ops.moments(x, 1)[0],
    "binary_crossentropy": lambda x: ops.binary_crossentropy(np.eye(2, 3), ops.sigmoid(x)),
    "categorical_crossentropy": lambda x: ops.categorical_crossentropy(np.eye(2, 3), x, from_logits=True),
    "sparse_categorical_crossentropy": lambda x: ops.sparse_categorical_crossentropy([0, 2], x, from_logits=True),
    "dot_product_attention": lambda x: ops.dot_product_attention(*[x[:, None, None]] * 3),
}


@pytest.mark.parametrize("name", IN_FLOAT32)
def test_short_floats_and_whole_numbers(name: str) -> None:
    """Short floats are rounded once, at the end; whole numbers give floats, where the reference cuts or raises."""
    function = IN_FLOAT32[name]
    for values in (X, 0 * X, 30 * X):
        for dtype, unit in (("float16", 5e-4), ("bfloat16", 4e-3)):
            x = tf.cast(values, dtype)
            with tf.GradientTape() as tape:
                tape.watch(x)
                actual = function(x)
            assert actual.dtype == dtype
            assert_close(tf.cast(actual, "float32"), function(tf.cast(x, "float32")), rtol=unit, atol=1e-6)
            # At a zero vector the slope of `normalize` is 1e7, more than float16 holds.
            assert not values.any() or np.isfinite(tf.cast(tape.gradient(actual, x), "float32")).all()
    assert_close(function(X.astype("int32")), function(X))


def test_extremes_of_float16() -> None:
    big = np.array([[300.0, 400.0]], "float16")
    assert_close(ops.normalize(big), np.array([[0.6, 0.8]]), rtol=1e-3)
    assert_close(ops.normalize(0 * big), 0 * big)
    assert_close(ops.moments(np.array([0.0, 60000.0], "float16"), 0), (30000.0, 65504.0), rtol=1e-3)
    same = np.full((1, 2, 1, 64), 100.0, "float16")
    assert_close(ops.dot_product_attention(same, same, same, scale=1e-3), same)
    assert_close(ops.psnr(big, big + 1, 255.0), 48.125)
    assert ops.polar(big, big).dtype == "complex64"


def test_whole_numbers() -> None:
    assert_close(ops.moments(np.array([1, 2]), 0), [1.5, 0.25])
    assert_close(ops.psnr(np.array([4, 0], "uint8"), np.array([5, 2], "uint8"), 10), 10 * np.log10(100 / 2.5))
    assert_close(ops.polar(np.array([2, 1]), np.array([0, 0])), np.array([2.0, 1.0]))
    assert_close(ops.binary_crossentropy([1, 0], np.array([0.5, 0.5], "float32")), np.log([2.0, 2.0]))
    assert ops.categorical_crossentropy(np.eye(2, dtype="int32"), np.eye(2, dtype="float16")).dtype == "float16"


# ---- Normalization ----


@pytest.mark.parametrize("order", [1, 2, 3, 9])
def test_normalize_at_zero_and_far_away(order: int) -> None:
    for scale in (1e-6, 1.0, 1e25):
        assert_close(ops.normalize(scale * X, order=order), X / np.linalg.norm(X, order, -1, keepdims=True))
    assert_close(ops.normalize(np.float32(-3.0), order=order), -1.0)
    for x in (np.zeros((1, 3), "float32"), np.array([[2.0, 0.0, 0.0]], "float32")):
        assert np.isfinite(gradients(ops.normalize, case(x, order=order))).all()
    assert_close(gradients(ops.normalize, case(np.zeros(2, "float32"), order=order)), [1e7 * np.cos([0.0, 1.0])])


def test_normalization_weights_broadcast() -> None:
    plain = ops.layer_normalization(X, axis=0)
    assert_close(ops.layer_normalization(X, 2.0, np.ones((2, 1)), axis=0), 2 * plain + 1)
    assert_close(ops.batch_normalization(X, 1.0, np.ones((1, 3)), 1, epsilon=0.0), X - 1)
    assert_close(ops.rms_normalization(X, 2.0), 2 * ops.rms_normalization(X))


REPLICAS = """
from nyala.core.engine import tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from nyala import ops

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
batches = strategy.experimental_distribute_values_from_function(
    lambda context: tf.constant([[1.0, 3.0], [5.0, 11.0]][context.replica_id_in_sync_group])
)
moments = tf.function(lambda: strategy.run(lambda x: ops.moments(x, 0, synchronized=True), (batches,)))()
print(*[float(one) for both in moments for one in strategy.experimental_local_results(both)])
"""


def test_moments_of_replicas_count_together() -> None:
    # In a process of its own: TensorFlow fixes its devices when it starts.
    result = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["5.0", "5.0", "14.0", "14.0"], result.stderr


# ---- Classes ----


def test_sparse_hot() -> None:
    numbers = np.array([[0, 2, -1], [1, 1, 4]])
    for axis in (-1, 0, 1, -2):
        for function in (ops.one_hot, ops.multi_hot):
            found = function(numbers, 3, axis=axis, dtype="float16", sparse=True)
            assert (type(found).__name__, found.dtype) == ("SparseTensor", "float16")
            assert_close(tf.sparse.to_dense(found), function(numbers, 3, axis=axis, dtype="float16"))
    assert_close(
        tf.sparse.to_dense(ops.multi_hot(numbers[0], 3, dtype="bool", sparse=True)), np.array([True, False, True])
    )
    for function, shape in ((ops.one_hot, (None, 4, 3)), (ops.multi_hot, (None, 3))):
        symbol = function(nyala.KerasTensor((None, 4), "int32"), 3, sparse=True)
        assert (symbol.shape, symbol.dtype, symbol.sparse) == (shape, "float32", True)


def test_hot_where_the_reference_fails() -> None:
    numbers = np.array([[0, 2], [1, 1]])
    assert_close(ops.one_hot(numbers, 3, axis=-2), ops.one_hot(numbers, 3, axis=1))
    assert_close(ops.multi_hot(numbers, 3, axis=1), np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    assert_close(ops.multi_hot(numbers[0], 3, axis=0), np.array([1.0, 0.0, 1.0]))
    assert_close(ops.multi_hot(np.zeros((2, 0), "int32"), 3), np.zeros((2, 3)))


def test_probabilities_count_by_their_logits() -> None:
    z, labels = tf.constant([[0.0, 50.0, -60.0]]), np.array([[0.0, 0.0, 1.0]], "float32")

    def values(library: Any, softmax: Any, sigmoid: Any) -> Any:
        return (
            library.ops.categorical_crossentropy(labels, softmax(z)),
            library.ops.sparse_categorical_crossentropy([2], softmax(z)),
            library.ops.binary_crossentropy(labels, sigmoid(z)),
        )

    expected = [np.array([110.0]), np.array([110.0]), np.array([[np.log(2.0), 50.0, 60.0]])]
    for softmax, sigmoid in ((ops.softmax, ops.sigmoid), (tf.nn.softmax, tf.sigmoid)):
        assert_close(tf.function(lambda s=softmax, t=sigmoid: values(nyala, s, t), autograph=False)(), expected)
    assert_close(values(nyala, ops.softmax, ops.sigmoid), expected)
    assert_close(values(keras, keras.ops.softmax, keras.ops.sigmoid), expected)
    with pytest.warns(UserWarning, match="output of a sigmoid"):
        assert_close(ops.binary_crossentropy(labels, ops.sigmoid(z), from_logits=True), expected[2])


def test_crossentropies_where_the_reference_fails() -> None:
    p = floats(2, 3, 4, low=0.1, high=1)
    numbers = ints(2, 4, low=0, high=3)
    for from_logits in (False, True):
        assert_close(
            ops.sparse_categorical_crossentropy(numbers, p, from_logits, axis=1),
            ops.categorical_crossentropy(ops.one_hot(numbers, 3, axis=1), p, from_logits, axis=1),
        )
    assert_close(ops.categorical_crossentropy(np.eye(2), np.zeros((2, 2), "float32")), -np.log([1e-7, 1e-7]), 1e-4)
    half = ops.binary_crossentropy(np.array([1.0, 0.0]), np.array([0.0, 1.0], "float16"))
    assert_close(half, -np.log([1e-7, 1e-7]), rtol=2e-2)


# ---- Attention and sequences ----


def heads(t: int = 3, s: int = 5, h: int = 4, g: int = 4) -> Any:
    return [floats(2, t, h, 2), floats(2, s, g, 2), floats(2, s, g, 2)]


def test_attention_where_the_reference_fails() -> None:
    query, key, value = heads(g=1)
    keys, values = (np.repeat(x, 4, 2) for x in (key, value))
    assert_close(ops.dot_product_attention(query, key, value), ops.dot_product_attention(query, keys, values))
    mask = ints(2, 4, 3, 5, low=0, high=2)
    assert_close(
        ops.dot_product_attention(query, key, value, mask=mask, is_causal=True),
        ops.dot_product_attention(query, key, value, mask=mask * np.tri(3, 5) > 0),
    )
    empty = ops.dot_product_attention(query, key[:, :0], value[:, :0])
    assert_close(empty, np.zeros((2, 3, 4, 2)))


def test_attention_with_a_soft_cap() -> None:
    query, key, value = heads()
    scores = 0.5 * np.tanh(np.einsum("bthd,bshd->bhts", query, key) / 0.5)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = np.einsum("bhts,bshe->bthe", weights, value)
    assert_close(ops.dot_product_attention(query, key, value, scale=1.0, attn_logits_soft_cap=0.5), expected)


def test_beam_search_counts_a_negative_blank_from_the_end() -> None:
    steps, lengths = nn_rows.STEPS, nn_rows.LENGTHS[1]
    negative, positive = (ops.ctc_decode(steps, lengths, "beam_search", mask_index=index) for index in (-1, 4))
    assert_close(negative, positive)


# ---- Errors and files ----

LENGTH = np.array([2, 2], "int32")
STEPS = np.zeros((2, 4, 3), "float32")
ERRORS = {
    "normalize order": (lambda: ops.normalize(X, order=0), "order .* positive integer, but got 0"),
    "normalize axis": (lambda: ops.normalize(X, axis=2), "axis=2 .* rank 2"),
    "moments axis": (lambda: ops.moments(X, (0, 0)), "the same axis twice"),
    "batch_normalization axis": (lambda: ops.batch_normalization(X, M, V, 4), "axis=4 .* rank 2"),
    "batch_normalization sizes": (
        lambda: ops.batch_normalization(X, M[:2], V, 1),
        r"\(3,\) for axis .* got shape \(2,\)",
    ),
    "layer_normalization axis": (lambda: ops.layer_normalization(X, axis=3), "axis=3 .* rank 2"),
    "layer_normalization sizes": (lambda: ops.layer_normalization(X, M[:2]), r"\(3,\) for axis .* got shape \(2,\)"),
    "rms_normalization axis": (lambda: ops.rms_normalization(X, axis=-3), "axis=-3 .* rank 2"),
    "one_hot axis": (lambda: ops.one_hot([1], 3, axis=2), "axis=2 .* rank 2"),
    "one_hot classes": (lambda: ops.one_hot([1], -1), "not negative, but got -1"),
    "multi_hot classes": (lambda: ops.multi_hot([1]), "needs `num_classes`"),
    "multi_hot scalar": (lambda: ops.multi_hot(1, 3), "got a scalar"),
    "binary_crossentropy": (lambda: ops.binary_crossentropy(X[0], X), r"one shape, but got \(3,\) and \(2, 3\)"),
    "categorical_crossentropy": (lambda: ops.categorical_crossentropy(X[:1], X), r"one shape, but got \(1, 3\)"),
    "categorical_crossentropy axis": (lambda: ops.categorical_crossentropy(X, X, axis=2), "axis=2 .* rank 2"),
    "categorical_crossentropy scalar": (lambda: ops.categorical_crossentropy(1.0, 1.0), "a scalar has no axes"),
    "sparse shapes": (lambda: ops.sparse_categorical_crossentropy([1, 2, 0], X), r"each row .* \(3,\) and \(2, 3\)"),
    "sparse axis": (lambda: ops.sparse_categorical_crossentropy([1, 2], X, axis=-3), "axis=-3 .* rank 2"),
    "psnr": (lambda: ops.psnr(X, X[:1], 1.0), r"one shape, but got \(2, 3\) and \(1, 3\)"),
    "ctc_loss ranks": (
        lambda: ops.ctc_loss([1, 2], STEPS, LENGTH, LENGTH),
        r"`target` of rank 2.* \(2,\), \(2, 4, 3\)",
    ),
    "ctc_loss batch": (lambda: ops.ctc_loss([[1]], STEPS, LENGTH, LENGTH), r"one batch size, but got shapes \(1, 1\)"),
    "ctc_loss blank": (lambda: ops.ctc_loss([[1], [1]], STEPS, LENGTH, LENGTH, 3), "mask_index=3, .* 3 classes"),
    "ctc_decode ranks": (lambda: ops.ctc_decode(STEPS[0], LENGTH), r"`inputs` of rank 3.* \(4, 3\), \(2,\)"),
    "ctc_decode strategy": (lambda: ops.ctc_decode(STEPS, LENGTH, "best"), "'beam_search', but got 'best'"),
    "ctc_decode paths": (lambda: ops.ctc_decode(STEPS, LENGTH, "beam_search", 2, 3), "beam_width=2 .* top_paths=3"),
    "ctc_decode blank": (lambda: ops.ctc_decode(STEPS, LENGTH, mask_index=-4), "mask_index=-4, .* 3 classes"),
    "flash": (lambda: ops.dot_product_attention(*heads(), flash_attention=True), "TensorFlow does not have"),
    "heads rank": (lambda: ops.dot_product_attention(X, X, X), r"query \(N, T, H, D\).* shapes \(2, 3\), \(2, 3\)"),
    "heads groups": (lambda: ops.dot_product_attention(*heads(g=3)), "multiple of G"),
    "heads keys": (lambda: ops.dot_product_attention(heads()[0], heads()[1], heads(s=4)[2]), "but got shapes"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    function, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        function()


def test_unknown_arguments() -> None:
    with pytest.raises(TypeError, match="takes no argument 'bogus'"):
        ops.multi_hot([1], 3, bogus=1)


def graph(library: Any) -> Any:
    """A model of a graph in which all ops that take part in training stand."""
    o = library.ops
    x = library.Input((4, 6))
    y = o.layer_normalization(x, np.ones(6, "float32"), axis=-1, epsilon=0.1)
    y = o.rms_normalization(y, axis=[1, 2]) + o.normalize(x, axis=1, order=3)
    mean, variance = o.moments(y, axes=[0, 1])
    y = o.reshape(o.batch_normalization(y, mean, variance, axis=-1, epsilon=0.1), (-1, 4, 3, 2))
    y = o.reshape(o.dot_product_attention(y, y, y, mask=o.greater(y[:, None, :, 0, :1], 0), is_causal=True), (-1, 4, 6))
    numbers = o.argmax(y, axis=-1)
    y += o.one_hot(numbers, num_classes=6, axis=-1) + o.multi_hot(numbers, num_classes=6)[:, None]
    loss = o.categorical_crossentropy(o.softmax(x), o.softmax(y)) + o.sparse_categorical_crossentropy(numbers, y, True)
    paths, scores = o.ctc_decode(y, o.sum(o.ones_like(numbers), axis=1), strategy="beam_search", top_paths=2)
    return library.Model(x, [y, loss, o.psnr(x, y, max_val=2.0), o.real(o.polar(x, y)), paths, scores])


def test_graphs_go_both_ways(tmp_path: Any) -> None:
    x = floats(3, 4, 6)
    expected = graph(keras)(x)
    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        graph(writer).save(tmp_path / "m.keras")
        assert_close(reader.saving.load_model(tmp_path / "m.keras")(x), expected, rtol=1e-4, atol=1e-5)
