"""Ops of `ops.numpy` beyond the contract: dtypes of all pairs, errors, and what NumPy itself gives."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from nyala.ops import numpy as ops
from tests.ops.cases import bools, dtypes, floats
from tests.ops.numpy_rows import ROWS
from tests.oracle import assert_close, keras

# ---- Dtypes ----

DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "bfloat16", "float32", "float64")
NUMBERS = {"a Python bool": True, "a Python int": 1, "a Python float": 1.0}
ONE_TENSOR = [name for name, cases in ROWS.items() if not cases[0].args[1:] and not cases[0].kwargs]
TWO_TENSORS = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "divide_no_nan",
    "floor_divide",
    "mod",
    "fmod",
    "power",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "heaviside",
    "nextafter",
    "gcd",
    "lcm",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "isclose",
    "allclose",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "left_shift",
    "right_shift",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "ldexp",
    "append",
    "dot",
    "inner",
    "outer",
    "kron",
    "vdot",
    "matmul",
    "isin",
    "correlate",
]


def dtype_or_error(function: Callable[..., Any], *args: Any) -> list[str] | None:
    """The dtypes of the results, None where the call fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dtypes(function(*args))
    except Exception:  # whatever the reference, or TensorFlow, says
        return None


@pytest.mark.parametrize("name", ONE_TENSOR)
def test_dtypes_of_one_tensor(name: str) -> None:
    for dtype, rank in itertools.product(DTYPES, (1, 2)):
        x = tf.cast([1, 0, 1, 1], dtype) if rank == 1 else tf.cast([[1, 0], [1, 1]], dtype)
        expected = dtype_or_error(getattr(keras.ops.numpy, name), x)
        if expected is not None:
            assert dtype_or_error(getattr(ops, name), x) == expected, f"{name} of {dtype}"
    for what, number in NUMBERS.items():
        expected = dtype_or_error(getattr(keras.ops.numpy, name), number)
        if expected is not None and name not in ("bincount", "fliplr", "flipud", "tri"):
            assert dtype_or_error(getattr(ops, name), number) == expected, f"{name} of {what}"


@pytest.mark.parametrize("name", TWO_TENSORS)
def test_dtypes_of_pairs(name: str) -> None:
    values = {**{dtype: tf.cast([1, 1], dtype) for dtype in (*DTYPES, "uint16")}, **NUMBERS}
    for one, x1 in values.items():
        for other, x2 in values.items():
            expected = dtype_or_error(getattr(keras.ops.numpy, name), x1, x2)
            if expected is not None:
                assert dtype_or_error(getattr(ops, name), x1, x2) == expected, f"{name} of {one} and {other}"


# ---- Against NumPy: what the reference cannot answer ----


def test_argpartition_puts_the_kth_value_in_its_place() -> None:
    for x, kth, axis in ((floats(2, 5), 1, -1), (floats(5, 2), 2, 0), (floats(2, 5), -1, None)):
        index = ops.argpartition(x, kth, axis).numpy()
        picked = np.take_along_axis(x if axis is not None else x.ravel(), index, axis if axis is not None else 0)
        place = np.sort(x, axis).take(kth, axis if axis is not None else 0)
        assert_close(picked.take(kth, axis if axis is not None else 0), place)
        assert_close(np.sort(index, axis if axis is not None else 0), np.sort(np.argsort(x, axis), axis or 0))


def test_where_the_reference_departs_from_numpy() -> None:
    infinite = np.array([np.inf, -np.inf, np.nan, 1.0], "float32")
    assert_close(ops.isclose(infinite, infinite), np.isclose(infinite, infinite))
    assert_close(ops.heaviside(infinite, 0.5), np.heaviside(infinite, np.float32(0.5)))
    assert_close(ops.rot90(np.arange(6).reshape(2, 3), 2), np.rot90(np.arange(6).reshape(2, 3), 2))
    assert_close(ops.round(np.array([15.0, 25.0]), -1), np.array([20.0, 20.0]))
    assert_close(ops.argmax(np.array([-0.0, 0.0], "float32")), 0)


def test_sinc_has_a_gradient_at_zero() -> None:
    x = tf.constant([0.0, 0.5])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ops.sinc(x)
    assert_close(tape.gradient(y, x), np.array([0.0, -1.273239]))


def test_vectorize() -> None:
    x, y = floats(2, 3), floats(3)
    assert_close(ops.vectorize(lambda a, b: a * b + 1)(x, y), x * y + 1)
    assert_close(ops.vectorize(tf.reduce_sum, signature="(n)->()")(x), x.sum(-1), rtol=1e-5)
    assert_close(ops.vectorize(lambda a, n: a**n, excluded={1})(x, 2), x**2, rtol=1e-5)
    symbol = KerasTensor((None, 3))
    assert ops.vectorize(lambda a: a + 1)(symbol).shape == (None, 3)
    with pytest.raises(ValueError, match="does not describe 2 arguments"):
        ops.vectorize(lambda a, b: a, signature="(n)->()")(x, y)


MASK = np.array([True, False, True, True])
KEYS = [
    [0, 2],
    np.array([[0, -1], [1, 2]]),
    (slice(None), [2, 0]),
    ([0, 1], [1, -1]),
    ([[0], [1]], [1, 2]),
    (slice(None), [0, 1], [1, 0]),
    ([0, 1], slice(None), [1, 0]),
    (0, slice(None), [1, 0]),
    (..., [1, 0]),
    (None, [1, 0], ...),
    MASK,
    (MASK, 1),
    (slice(1, None), [True, False, True]),
    (slice(None, None, -2), None, [0]),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_keys_with_arrays_as_numpy_has_them(key: Any) -> None:
    x = np.arange(24).reshape(4, 3, 2)
    assert_close(ops.get_item(x, key), x[key])


# ---- Errors ----

WRONG_AXIS = {
    "sum": lambda axis: ops.sum(floats(2, 3), axis),
    "mean": lambda axis: ops.mean(floats(2, 3), axis),
    "max": lambda axis: ops.max(floats(2, 3), axis),
    "argmax": lambda axis: ops.argmax(floats(2, 3), axis),
    "cumsum": lambda axis: ops.cumsum(floats(2, 3), axis),
    "sort": lambda axis: ops.sort(floats(2, 3), axis),
    "take": lambda axis: ops.take(floats(2, 3), 0, axis),
    "take_along_axis": lambda axis: ops.take_along_axis(floats(2, 3), [[0]], axis),
    "flip": lambda axis: ops.flip(floats(2, 3), axis),
    "concatenate": lambda axis: ops.concatenate([floats(2, 3)], axis),
    "split": lambda axis: ops.split(floats(2, 3), 1, axis),
    "repeat": lambda axis: ops.repeat(floats(2, 3), 2, axis),
    "squeeze": lambda axis: ops.squeeze(floats(2, 3), axis),
    "moveaxis": lambda axis: ops.moveaxis(floats(2, 3), axis, 0),
    "quantile": lambda axis: ops.quantile(floats(2, 3), 0.5, axis),
    "nanvar": lambda axis: ops.nanvar(floats(2, 3), axis),
    "diff": lambda axis: ops.diff(floats(2, 3), 1, axis),
}


@pytest.mark.parametrize("name", WRONG_AXIS)
def test_an_axis_out_of_range_is_named(name: str) -> None:
    for axis in (2, -3):
        with pytest.raises(ValueError, match=re.escape(f"`{name}` got axis={axis} for a tensor of rank 2")):
            WRONG_AXIS[name](axis)


ERRORS = [
    (lambda: ops.sum(floats(2, 3), (0, 0)), ValueError, "names the same axis twice"),
    (lambda: ops.max(floats(0, 3)), ValueError, "needs `initial`"),
    (lambda: ops.gcd(floats(2), 3), TypeError, "takes integers"),
    (lambda: ops.squeeze(floats(2, 3), 0), ValueError, "the size there is 2"),
    (lambda: ops.split(floats(5), 2), ValueError, "`array_split`"),
    (lambda: ops.pad(floats(3), 1, mode="edge"), ValueError, "mode='edge'"),
    (lambda: ops.where(bools(2), 1), ValueError, "both x1 and x2"),
    (lambda: ops.quantile(floats(3), 0.5, method="best"), ValueError, "method='best'"),
    (lambda: ops.take(floats(3), [0.5]), TypeError, "whole numbers"),
    (lambda: ops.searchsorted(floats(2, 2), 0.5), ValueError, "searches a vector"),
    (lambda: ops.einsum("i", floats(2), wrong=1), TypeError, "no argument 'wrong'"),
    (lambda: ops.diag(floats(2, 2, 2)), ValueError, "a vector or a matrix"),
    (lambda: ops.view(floats(3), "float64"), ValueError, "multiple of 8"),
    (lambda: ops.eye(2.0), TypeError, "N=2.0"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), ERRORS, ids=[message for _, _, message in ERRORS])
def test_errors_say_what_is_wrong(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        wrong()


def test_sparse_and_ragged_tensors() -> None:
    dense = np.array([[0.0, 2.0], [3.0, 0.0]], "float32")
    sparse = tf.sparse.from_dense(dense)
    assert_close(ops.sum(sparse, axis=0), dense.sum(0))
    assert_close(ops.mean(sparse), dense.mean())
    assert_close(ops.matmul(sparse, dense), dense @ dense)
    assert_close(ops.matmul(dense, sparse), dense @ dense)
    assert_close(tf.sparse.to_dense(ops.matmul(sparse, sparse)), dense @ dense)
    assert_close(tf.sparse.to_dense(ops.transpose(sparse)), dense.T)
    assert_close(tf.sparse.to_dense(ops.concatenate([sparse, sparse], 1)), np.concatenate([dense, dense], 1))
    ragged = tf.ragged.constant([[1.0, 4.0], [9.0]])
    assert ops.sqrt(ragged).to_list() == [[1.0, 2.0], [3.0]]
    assert ops.add(ragged, 1.0).to_list() == [[2.0, 5.0], [10.0]]
