"""Sparse and ragged tensors: what TensorFlow computes on them directly, ops compute too, in a model as well."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import ops
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

DENSE = np.array([[0.0, 1.5, 0.0], [2.0, 0.0, -0.5]], "float32")
SPARSE = tf.sparse.from_dense(DENSE)
RAGGED = tf.ragged.constant([[1.0, -2.0, 3.0], [4.0]])
OTHER_DENSE = np.array([[1.0, 0.5, 0.0], [0.0, 0.25, 2.0]], "float32")
OTHER = tf.sparse.from_dense(OTHER_DENSE)
WEIGHTS = np.arange(6, dtype="float32").reshape(3, 2)

Call = Callable[[Any, Any], Any]

OF_ONE = """
    abs arccos arccosh ceil conj cos cosh exp exp2 expm1 floor imag isfinite log log10 log1p log2 negative real reciprocal
    round sign signbit sin sinh tanh
"""

ON_SPARSE: dict[str, Call] = {
    "add": lambda ops, x: ops.add(x, x),
    "add a dense one": lambda ops, x: ops.add(x, OTHER_DENSE),
    "add another": lambda ops, x: ops.add(x, OTHER),
    "add to a dense one": lambda ops, x: ops.add(OTHER_DENSE, x),
    "cast": lambda ops, x: ops.cast(x, "int32"),
    "concatenate": lambda ops, x: ops.concatenate([x, x], axis=1),
    "convert_to_tensor": lambda ops, x: ops.convert_to_tensor(x),
    "convert_to_tensor dense": lambda ops, x: ops.convert_to_tensor(x, sparse=False),
    "convert_to_tensor dtype": lambda ops, x: ops.convert_to_tensor(x, dtype="float16"),
    "divide": lambda ops, x: ops.divide(x, 2.0),
    "divide a number": lambda ops, x: ops.divide(2.0, x),
    "divide another": lambda ops, x: ops.divide(x, OTHER),
    "divide by a dense one": lambda ops, x: ops.divide(x, OTHER_DENSE),
    "expand_dims": lambda ops, x: ops.expand_dims(x, 1),
    "matmul": lambda ops, x: ops.matmul(x, WEIGHTS),
    "matmul from the right": lambda ops, x: ops.matmul(np.ones((4, 2), "float32"), x),
    "maximum": lambda ops, x: ops.maximum(x, OTHER),
    "maximum of dense": lambda ops, x: ops.maximum(x, OTHER_DENSE),
    "maximum of a number": lambda ops, x: ops.maximum(x, 1.0),
    "minimum": lambda ops, x: ops.minimum(OTHER, x),
    "multiply": lambda ops, x: ops.multiply(x, OTHER),
    "multiply an integer": lambda ops, x: ops.multiply(x, 2),
    "multiply a dense one": lambda ops, x: ops.multiply(x, OTHER_DENSE),
    "multiply by a dense one": lambda ops, x: ops.multiply(OTHER_DENSE, x),
    "reshape": lambda ops, x: ops.reshape(x, (-1, 1)),
    "round to places": lambda ops, x: ops.round(x, 1),
    "square": lambda ops, x: ops.square(x),
    "squeeze": lambda ops, x: ops.squeeze(x),
    "subtract": lambda ops, x: ops.subtract(x, OTHER),
    "subtract from a number": lambda ops, x: ops.subtract(1.0, x),
    "transpose": lambda ops, x: ops.transpose(x),
} | {name: lambda ops, x, name=name: getattr(ops, name)(x) for name in OF_ONE.split()}
ON_RAGGED: dict[str, Call] = {
    "abs": lambda ops, x: ops.abs(x),
    "add": lambda ops, x: ops.add(x, x),
    "add a number": lambda ops, x: ops.add(x, 2.0),
    "cast": lambda ops, x: ops.cast(x, "int32"),
    "clip": lambda ops, x: ops.clip(x, 0.0, 2.0),
    "concatenate": lambda ops, x: ops.concatenate([x, x], axis=1),
    "convert_to_tensor": lambda ops, x: ops.convert_to_tensor(x),
    "convert_to_tensor dense": lambda ops, x: ops.convert_to_tensor(x, ragged=False),
    "divide": lambda ops, x: ops.divide(x, 2.0),
    "equal": lambda ops, x: ops.equal(x, 4.0),
    "exp": lambda ops, x: ops.exp(x),
    "expand_dims": lambda ops, x: ops.expand_dims(x, 1),
    "max": lambda ops, x: ops.max(x, axis=1),
    "maximum": lambda ops, x: ops.maximum(x, 1.0),
    "mean": lambda ops, x: ops.mean(x, axis=1),
    "min": lambda ops, x: ops.min(x, axis=1),
    "multiply": lambda ops, x: ops.multiply(x, x),
    "prod": lambda ops, x: ops.prod(x, axis=1),
    "relu": lambda ops, x: ops.relu(x),
    "sigmoid": lambda ops, x: ops.sigmoid(x),
    "subtract": lambda ops, x: ops.subtract(x, 1.0),
    "sum": lambda ops, x: ops.sum(x, axis=1),
    "where": lambda ops, x: ops.where(ops.greater(x, 0.0), x, x),
}


def plain(x: Any) -> Any:
    """Sparse as dense, ragged as its values and splits."""
    if isinstance(x, tf.SparseTensor):
        return tf.sparse.to_dense(tf.sparse.reorder(x))
    return [x.flat_values, *x.nested_row_splits] if isinstance(x, tf.RaggedTensor) else x


def kind_of(x: Any) -> tuple[bool, bool]:
    return isinstance(x, tf.SparseTensor), isinstance(x, tf.RaggedTensor)


@pytest.mark.parametrize("name", ON_SPARSE)
def test_sparse(name: str) -> None:
    """As on the dense tensor; sparse where the reference's is."""
    result, reference = ON_SPARSE[name](ops, SPARSE), ON_SPARSE[name](keras.ops, SPARSE)
    assert_close(plain(result), plain(ON_SPARSE[name](ops, DENSE)))
    assert_close(plain(result), plain(reference))
    assert (kind_of(result), result.dtype) == (kind_of(reference), reference.dtype)


@pytest.mark.parametrize("name", ON_RAGGED)
def test_ragged(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference's
        reference = ON_RAGGED[name](keras.ops, RAGGED)
    result = ON_RAGGED[name](ops, RAGGED)
    assert_close(plain(result), plain(reference))
    assert (kind_of(result), result.dtype) == (kind_of(reference), reference.dtype)


@pytest.mark.parametrize(("calls", "data", "options"), [
    (ON_SPARSE, SPARSE, {"shape": (3,), "sparse": True}),
    (ON_RAGGED, RAGGED, {"shape": (None,), "ragged": True}),
], ids=["sparse", "ragged"])  # fmt: skip
def test_in_a_model(calls: dict[str, Call], data: Any, options: dict[str, Any]) -> None:
    x = nyala.Input(**options)
    rows = {name: call for name, call in calls.items() if name != "matmul from the right"}  # its 4 rows need 2 of x
    symbols = {name: call(ops, x) for name, call in rows.items()}
    model = nyala.Model(x, symbols)
    for run in (model, tf.function(model)):
        for name, result in run(data).items():
            expected = rows[name](ops, data)
            assert_close(plain(result), plain(expected))
            assert (symbols[name].sparse, symbols[name].ragged) == kind_of(result) == kind_of(expected), name
            assert symbols[name].dtype == result.dtype.name
            assert tf.TensorShape(symbols[name].shape).is_compatible_with(expected.shape)


def test_gradients_of_sparse_products() -> None:
    weights = tf.Variable(WEIGHTS)
    with tf.GradientTape() as tape:
        total = ops.sum(ops.matmul(SPARSE, weights) ** 2)
    with tf.GradientTape() as dense_tape:
        same = ops.sum(ops.matmul(DENSE, weights) ** 2)
    assert_close(tape.gradient(total, weights), dense_tape.gradient(same, weights))


def test_numbers_of_sparse_and_ragged() -> None:
    assert_close(ops.convert_to_numpy(SPARSE), DENSE)
    assert_close(ops.convert_to_numpy(RAGGED), np.array([[1.0, -2.0, 3.0], [4.0, 0.0, 0.0]]))
    assert ops.shape(SPARSE) == (2, 3)
    assert ops.shape(RAGGED) == (2, None)
    assert ops.dtype(SPARSE) == ops.dtype(RAGGED) == "float32"
    for axis in (0, 1):
        assert_close(ops.sum(SPARSE, axis=axis), DENSE.sum(axis))
        assert_close(ops.mean(SPARSE, axis=axis), DENSE.mean(axis))


def test_sums_of_symbols_have_a_shape() -> None:
    x = nyala.Input((3,), sparse=True)
    assert ops.sum(x, axis=1).shape == (None,)
    assert ops.mean(x, axis=0, keepdims=True).shape == (1, 3)


def test_sparse_tensors_that_broadcast() -> None:
    """Here the reference raises, or gives a result of a wrong shape."""
    column = tf.sparse.from_dense(DENSE[:, :1])
    for name in ("add", "subtract", "multiply", "divide", "maximum"):
        for one, other in ((SPARSE, OTHER_DENSE[0]), (column, OTHER_DENSE), (SPARSE, tf.sparse.from_dense(DENSE[:1]))):
            result = getattr(ops, name)(one, other)
            assert_close(plain(result), getattr(ops, name)(*map(plain, (one, other))))


def test_gradients_through_sparse_values() -> None:
    values = tf.Variable(SPARSE.values)
    found = []
    for change in (lambda x: x, tf.sparse.to_dense):
        with tf.GradientTape() as tape:
            x = change(SPARSE.with_values(values))
            total = ops.sum(ops.multiply(ops.expm1(x), OTHER_DENSE)) + ops.sum(ops.add(x, OTHER)) + ops.sum(ops.exp(x))
        found.append(tape.gradient(total, values))
    assert_close(*found)


@pytest.mark.parametrize("data", [SPARSE, RAGGED], ids=["sparse", "ragged"])
def test_what_needs_dense_tensors_says_so(data: Any) -> None:
    kind = "sparse" if data is SPARSE else "ragged"
    for name, call in {
        "sort": lambda: ops.sort(data),
        "quantile": lambda: ops.median(data),
        "inner": lambda: ops.inner(data, data),
    }.items():
        with pytest.raises(TypeError, match=f"`{name}` cannot compute on these {kind} tensors; make them dense"):
            call()
    symbol = nyala.Input((None,), sparse=kind == "sparse", ragged=kind == "ragged")
    with pytest.raises(TypeError, match=f"`sort` cannot compute on these {kind} tensors; make them dense"):
        ops.sort(symbol)


def test_other_mistakes_with_sparse_tensors_keep_their_own_words() -> None:
    with pytest.raises(ValueError, match="multiplies sparse matrices of rank 2, but got the shapes"):
        ops.matmul(ops.expand_dims(SPARSE, 0), WEIGHTS)
    with pytest.raises(ValueError, match="which names the same axis twice"):
        ops.sum(SPARSE, axis=(0, 0))
    with pytest.raises(ZeroDivisionError):
        ops.cond(True, lambda: 1 // 0, lambda: SPARSE)
    with pytest.raises(LookupError, match="words of the function"):
        ops.switch(0, [lambda x: {}["words of the function"]], SPARSE)
