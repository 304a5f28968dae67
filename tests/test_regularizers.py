"""Regularizers: values and gradients of the reference, and configs that either side reads."""

from __future__ import annotations

import numpy as np
import pytest

from nyala import regularizers
from nyala.core.engine import tf
from nyala.core.variable import Variable
from tests.oracle import assert_close, keras

X = np.array([[1, -2, 3], [0, 5, -6], [0.3, 0.1, 0.5]], "float32")

# (class, constructor arguments)
ROWS = [
    ("L1", {}),
    ("L1", {"l1": 0.25}),
    ("L1", {"l1": 1}),
    ("L1", {"l1": 0.0}),
    ("L2", {}),
    ("L2", {"l2": 0.25}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.25, "l2": 0.5}),
    ("L1L2", {"l1": 0.25}),
    ("L1L2", {"l2": 0.5}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.25}),
]


def pair(name, kwargs):
    return getattr(regularizers, name)(**kwargs), getattr(keras.regularizers, name)(**kwargs)


def value_and_gradient(regularizer, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = regularizer(x)
    gradient = tape.gradient(value, x, unconnected_gradients="zero")
    return value, gradient


@pytest.mark.parametrize(("name", "kwargs"), ROWS)
def test_value_and_gradient(name, kwargs):
    ours, theirs = pair(name, kwargs)
    assert_close(value_and_gradient(ours, X), value_and_gradient(theirs, X))
    assert_close(ours(Variable(X)), theirs(X))


def test_compiled_gives_the_same():
    def everything(x):
        return [pair(name, kwargs)[0](x) for name, kwargs in ROWS]

    assert_close(tf.function(everything, jit_compile=True, autograph=False)(tf.constant(X)), everything(X))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(("name", "kwargs"), ROWS)
def test_dtype(name, kwargs, dtype):
    value = pair(name, kwargs)[0](tf.cast(X, dtype))
    assert value.dtype == dtype
    assert_close(
        value, pair(name, kwargs)[1](X), rtol=2e-2 if dtype == "bfloat16" else 1e-2 if dtype == "float16" else 1e-5
    )


@pytest.mark.parametrize("shape", [(4, 3), (2, 5)])
def test_orthogonal_rows_of_other_shapes(shape):
    x = np.random.default_rng(1).normal(size=shape).astype("float32")
    assert_close(*[module.OrthogonalRegularizer(0.5)(tf.constant(x)) for module in (regularizers, keras.regularizers)])


def test_orthogonal_columns_are_rows_of_the_transpose():
    # Not against the reference, which divides rows by the norms of columns, and fails where the matrix is not square.
    x = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    columns = regularizers.OrthogonalRegularizer(0.5, mode="columns")(x)
    assert_close(columns, regularizers.OrthogonalRegularizer(0.5)(x.T))


def test_a_single_row_is_orthogonal():
    assert float(regularizers.OrthogonalRegularizer()([[1.0, 2.0]])) == 0


# ---- Names and configs ----


@pytest.mark.parametrize(("name", "kwargs"), ROWS)
def test_config_round_trip(name, kwargs):
    ours, theirs = pair(name, kwargs)
    data, expected = regularizers.serialize(ours), keras.regularizers.serialize(theirs)
    assert {**data, "config": None} == {**expected, "config": None}
    assert data["config"] == pytest.approx(expected["config"]) if "Orthogonal" not in name else True
    for again in (
        regularizers.deserialize(data),
        regularizers.deserialize(expected),
        keras.regularizers.deserialize(data),
        type(ours).from_config(ours.get_config()),
    ):
        assert_close(again(tf.constant(X)), ours(X))


@pytest.mark.parametrize(
    "name", ["l1", "L1", "l2", "L2", "L1L2", "l1l2", "orthogonal_regularizer", "OrthogonalRegularizer"]
)
def test_get_by_name(name):
    found = regularizers.get(name)
    assert type(found).__name__ == type(keras.regularizers.get(name)).__name__
    assert type(regularizers.deserialize({"class_name": name, "config": {}})) is type(found)
    assert type(regularizers.deserialize(name)) is type(found)


def test_get():
    def own(x):
        return 0.1 * tf.reduce_sum(x)

    assert regularizers.get(None) is None
    assert regularizers.get(own) is own
    assert isinstance(regularizers.get(regularizers.L1), regularizers.L1)
    assert isinstance(regularizers.get("l1_l2"), regularizers.L1L2)
    assert regularizers.deserialize(regularizers.serialize(own), {"own": own}) is own
    assert regularizers.Regularizer()(X) == keras.regularizers.Regularizer()(X) == 0


def test_none_is_the_default_factor():
    for name in ("L1", "L2", "L1L2"):
        arguments = {"l1": None, "l2": None} if name == "L1L2" else {name.lower(): None}
        ours, theirs = pair(name, arguments)
        assert ours.get_config() == pytest.approx(theirs.get_config())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: regularizers.L1(-1.0), "at least 0"),
        (lambda: regularizers.L2(float("nan")), "finite"),
        (lambda: regularizers.L1L2(l2=float("inf")), "finite"),
        (lambda: regularizers.L1("a"), "'a'"),
        (lambda: regularizers.OrthogonalRegularizer(-1.0), "at least 0"),
        (lambda: regularizers.OrthogonalRegularizer(mode="x"), "rows"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones((2, 3, 4))), "matrix"),
        (lambda: regularizers.get("l3"), "regularizer"),
        (lambda: regularizers.get(3), "no regularizer"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()
