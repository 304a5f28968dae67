"""Activations: values and gradients of the reference, on every dtype, eagerly and symbolically."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala import activations, ops
from nyala.core.engine import tf
from nyala.core.graph import Function
from nyala.core.tensor import KerasTensor
from tests.oracle import assert_close, keras

# Far and near 0, and the places where an activation bends.
X = np.array([-8, -3.5, -3, -2.5, -1, -0.6, -0.5, -0.3, 0, 0.3, 0.5, 0.6, 1, 2.5, 3, 3.5, 6, 7], "float32").reshape(
    3, 6
)

# name → the keyword arguments to try
ROWS = {
    "celu": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "elu": [{}, {"alpha": 0.5}, {"alpha": 0.0}],
    "exponential": [{}],
    "gelu": [{}, {"approximate": True}],
    "glu": [{}, {"axis": 1}, {"axis": -1}],
    "hard_shrink": [{}, {"threshold": 0.3}],
    "hard_sigmoid": [{}],
    "hard_silu": [{}],
    "hard_swish": [{}],
    "hard_tanh": [{}],
    "leaky_relu": [{}, {"negative_slope": 0.5}],
    "linear": [{}],
    "log_sigmoid": [{}],
    "log_softmax": [{}, {"axis": 0}, {"axis": (0, 1)}, {"axis": None}],
    "mish": [{}],
    "relu": [
        {},
        {"negative_slope": 0.5},
        {"max_value": 6.0},
        {"max_value": 2.5},
        {"max_value": 0.0},
        {"threshold": 0.5},
        {"threshold": -1.0},
        {"negative_slope": 0.5, "max_value": 2.5},
        {"negative_slope": 0.1, "max_value": 6.0, "threshold": 1.0},
        {"negative_slope": 0.1, "threshold": 1.0},
    ],
    "relu6": [{}],
    "selu": [{}],
    "sigmoid": [{}],
    "silu": [{}],
    "soft_shrink": [{}, {"threshold": 0.3}],
    "softmax": [{}, {"axis": 0}, {"axis": (0, 1)}, {"axis": (1,)}, {"axis": None}],
    "softplus": [{}],
    "softsign": [{}],
    "sparse_plus": [{}],
    "sparse_sigmoid": [{}],
    "sparsemax": [{}],
    "squareplus": [{}, {"b": 1.5}],
    "swish": [{}],
    "tanh": [{}],
    "tanh_shrink": [{}],
    "threshold": [{"threshold": 0.5, "default_value": -1.0}],
}
CASES = [(name, kwargs) for name, several in ROWS.items() for kwargs in several]
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-6}
WHOLE = ("relu", "relu6", "linear")  # these keep whole numbers whole


def value_and_gradient(function, x, kwargs, weights):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x, **kwargs)
        total = tf.reduce_sum(y * tf.reshape(weights, -1)[: tf.size(y)].numpy().reshape(y.shape))
    return y, tape.gradient(total, x)


@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_value_and_gradient(name, kwargs):
    weights = np.linspace(0.5, 2, X.size).astype("float32")
    x = X
    if name == "celu":
        x = np.where(X == 0, np.float32(0.1), X)  # where the reference's gradient is 2, the sum of both sides
    if name == "sparsemax":
        x = 4 * np.arange(X.size, dtype="float32").reshape(X.shape)  # see test_sparsemax_sums_to_one
    actual = value_and_gradient(getattr(activations, name), x, kwargs, weights)
    assert_close(actual, value_and_gradient(getattr(keras.activations, name), x, kwargs, weights))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ROWS)
def test_dtype(name, dtype):
    x, kwargs = tf.cast(np.arange(6) * 4 if name == "sparsemax" else X, dtype), ROWS[name][-1]
    actual, expected = getattr(activations, name)(x, **kwargs), getattr(keras.activations, name)(x, **kwargs)
    assert actual.dtype == expected.dtype == dtype
    assert_close(actual, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


INTEGERS = ("int8", "int32", "int64", "uint8")


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name in ROWS for dtype in (*INTEGERS, *(() if name in WHOLE else ("bool",)))]
)
def test_whole_numbers_become_floats(name, dtype):
    x, kwargs = tf.cast(np.array([[0, 1, 2, 3]]), dtype), ROWS[name][0]
    function = getattr(activations, name)
    actual = function(x, **kwargs)
    assert actual.dtype == (dtype if name in WHOLE else "float32")
    assert_close(tf.cast(actual, "float32"), function(tf.cast(x, "float32"), **kwargs))


@pytest.mark.parametrize(("name", "kwargs"), CASES)
def test_symbolic_gives_the_same(name, kwargs):
    function = getattr(activations, name)
    eager = function(X, **kwargs)
    x = KerasTensor((None, 6) if kwargs.get("axis", 1) == 1 else (3, 6))
    y = function(x, **kwargs)
    assert len(y.shape) == 2
    assert y.shape[1] == eager.shape[1]
    if name != "linear":
        assert_close(Function(x, y)(X), eager)


@pytest.mark.parametrize("xla", [False, True])
def test_compiled_gives_the_same(xla):
    def everything(x):
        return [getattr(activations, name)(x, **kwargs) for name, kwargs in CASES]

    compiled = tf.function(everything, jit_compile=xla, autograph=False)  # all at once: compiling takes the time
    assert_close(compiled(tf.constant(X)), everything(X), atol=1e-5)


@pytest.mark.parametrize("value", [2.0, [1.0, -2.0], np.float64(3), nyala.Variable([1.0, -2.0])])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "elu", "hard_sigmoid", "threshold"])
def test_whatever_becomes_a_tensor(name, value):
    kwargs = ROWS[name][0]
    assert_close(
        getattr(activations, name)(value, **kwargs),
        getattr(keras.activations, name)(np.asarray(value, "float32"), **kwargs),
    )


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_gradient_of_celu_at_zero_is_one(alpha):
    assert_close(value_and_gradient(activations.celu, [0.0], {"alpha": alpha}, [1.0])[1], np.array([1.0]))


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_probabilities_remember_their_logits(name):
    x = tf.constant(X)
    assert getattr(activations, name)(x)._keras_logits is x
    assert_close(getattr(keras.activations, name)(x)._keras_logits, x)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_sparsemax_sums_to_one(axis):
    """Against its definition, the nearest point of the simplex: the reference is off where two values stay positive."""
    rows = np.random.default_rng(1).normal(size=(5, 6))

    def nearest(row):
        low, high = row.min() - 1, row.max()
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if np.maximum(row - middle, 0).sum() > 1 else (low, middle)
        return np.maximum(row - high, 0)

    assert_close(activations.sparsemax(rows, axis=axis), np.apply_along_axis(nearest, axis, rows))


def test_gradient_of_sparsemax():
    x = np.array([[1.0, 0.5, -1.0], [0.1, 0.2, 0.3]])
    actual = value_and_gradient(activations.sparsemax, x, {}, np.arange(6.0))[1]
    # Inside the support, the incoming gradient less its mean there; outside, nothing.
    assert_close(actual, np.array([[-0.5, 0.5, 0.0], [-1.0, 0.0, 1.0]]))


OPS = [name for name in ROWS if name not in ("linear", "exponential", "mish", "sparsemax", "tanh")]


@pytest.mark.parametrize("name", OPS)
def test_ops_has_the_formula(name):
    ours, theirs = getattr(ops.nn, name), getattr(keras.ops.nn, name)
    kwargs = {} if name == "relu" else ROWS[name][0]
    assert_close(ours(X, **kwargs), theirs(X, **kwargs))


# ---- Names ----


@pytest.mark.parametrize("name", ROWS)
def test_name_round_trip(name):
    function = activations.get(name)
    assert function is getattr(activations, name)
    data = activations.serialize(function)
    assert data == keras.activations.serialize(getattr(keras.activations, name))
    assert activations.deserialize(data) is function
    assert keras.activations.deserialize(data) is getattr(keras.activations, name)


def test_get():
    def own(x):
        return x

    assert activations.get(None) is activations.linear
    assert activations.get(own) is own
    named = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    assert activations.get(named) is activations.relu
    data = activations.serialize(own)
    assert data == keras.activations.serialize(own)["config"] == "own"
    assert activations.deserialize(data, {"own": own}) is own


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: activations.get("rellu"), "Did you mean 'relu'"),
        (lambda: activations.get("no such thing"), "no such thing"),
        (lambda: activations.get(3), "no activation"),
        (lambda: activations.serialize(lambda x: x), "lambda"),
        (lambda: activations.glu(np.ones((2, 3), "float32")), "even"),
        (lambda: activations.glu(np.ones((2, 4), "float32"), axis=5), "axis"),
        (lambda: activations.softmax(2.0), "scalar"),
        (lambda: activations.sparsemax(2.0), "scalar"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()
