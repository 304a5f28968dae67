"""Constraints: values of the reference, and configs that either side reads."""

from __future__ import annotations

import numpy as np
import pytest

from nyala import constraints
from nyala.core.engine import tf
from nyala.core.variable import Variable
from tests.oracle import assert_close, keras

W = np.array([[1, -2, 3], [0, 5, -6], [0, 0, 0.5], [0.01, 0, 0]], "float32")

# (class, constructor arguments)
ROWS = [
    ("Constraint", {}),
    ("NonNeg", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 3.0, "axis": [0, 1]}),
    ("MaxNorm", {"max_value": 0}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "rate": 0.5}),
    ("MinMaxNorm", {"min_value": 1.0, "max_value": 2.0, "axis": 1}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("UnitNorm", {"axis": [0, 1]}),
]


def pair(name, kwargs):
    return getattr(constraints, name)(**kwargs), getattr(keras.constraints, name)(**kwargs)


@pytest.mark.parametrize("weight", [W, 0 * W, -W], ids=["plain", "zero", "negative"])
@pytest.mark.parametrize(("name", "kwargs"), ROWS)
def test_values(name, kwargs, weight):
    ours, theirs = pair(name, kwargs)
    assert_close(ours(weight), theirs(weight))
    assert_close(ours(Variable(weight)), theirs(weight))


def test_compiled_gives_the_same():
    def everything(w):
        return [pair(name, kwargs)[0](w) for name, kwargs in ROWS]

    assert_close(tf.function(everything, jit_compile=True, autograph=False)(tf.constant(W)), everything(W))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(("name", "kwargs"), ROWS)
def test_dtype(name, kwargs, dtype):
    ours, theirs = pair(name, kwargs)
    w = tf.cast(W, dtype)
    assert ours(w).dtype == dtype
    assert_close(ours(w), theirs(w), rtol={"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-9}[dtype])


@pytest.mark.parametrize(("name", "kwargs"), ROWS[1:])
def test_config_round_trip(name, kwargs):
    ours, theirs = pair(name, kwargs)
    data = constraints.serialize(ours)
    assert data == keras.constraints.serialize(theirs)
    for again in (
        constraints.deserialize(data),
        keras.constraints.deserialize(data),
        type(ours).from_config(data["config"]),
    ):
        assert_close(again(W), ours(W))


@pytest.mark.parametrize(
    "name", ["max_norm", "MaxNorm", "min_max_norm", "MinMaxNorm", "non_neg", "NonNeg", "unit_norm", "UnitNorm"]
)
def test_get_by_name(name):
    found = constraints.get(name)
    assert type(found).__name__ == type(keras.constraints.get(name)).__name__
    assert type(constraints.deserialize({"class_name": name, "config": {}})) is type(found)
    assert type(constraints.deserialize(name)) is type(found)


def test_get():
    def own(w):
        return w

    assert constraints.get(None) is None
    assert constraints.get(own) is own
    assert isinstance(constraints.get(constraints.NonNeg), constraints.NonNeg)
    assert constraints.deserialize(constraints.serialize(own), {"own": own}) is own


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: constraints.get("max_nrom"), "Did you mean 'max_norm'"),
        (lambda: constraints.get("maxnorm3"), "constraint"),
        (lambda: constraints.get(3), "no constraint"),
        (lambda: constraints.deserialize({"class_name": "Foo", "config": {}}), "Foo"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()
