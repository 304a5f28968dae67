"""Ops of `ops.linalg` beyond the contract: against NumPy, gradients at zero, short floats, complex numbers, errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from nyala.ops import linalg as ops
from tests.ops.cases import INF, dtypes, floats, weights
from tests.ops.linalg_rows import COMPLEX, HERMITIAN, MATRIX, ORDERS, positive, regular, spread
from tests.oracle import assert_close, keras

FEW = settings(max_examples=15, deadline=None, derandomize=True)
NUMBERS = st.integers(-32, 32).map(lambda number: number / 16)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4)) | st.tuples(*[st.integers(1, 3)] * 3)
MATRICES = SHAPES.flatmap(lambda shape: hnp.arrays("float64", shape, elements=NUMBERS))


def adjoint(x: Any) -> np.ndarray:
    return np.swapaxes(np.conj(x), -1, -2)


def square_of(x: np.ndarray) -> np.ndarray:
    """A well-conditioned square matrix made of any one."""
    size = min(x.shape[-2:])
    return x[..., :size, :size] + 10 * np.eye(size)


def slopes(function: Callable[[Any], Any], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a weighted sum of the results, by differences."""

    def total(x: np.ndarray) -> float:
        y = function(tf.constant(x)).numpy()
        return float((y * weights(y)).sum())

    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        move = np.zeros_like(x)
        move[place] = step
        found[place] = (total(x + move) - total(x - move)) / (2 * step)
    return found


def gradient(function: Callable[[Any], Any], x: Any) -> Any:
    """The gradient of a weighted sum of the results."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
        total = tf.reduce_sum(y * weights(y).astype(y.dtype.as_numpy_dtype))
    return tape.gradient(total, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


# ---- Properties: as NumPy, on matrices that nobody chose ----


@FEW
@given(MATRICES)
def test_decompositions_give_the_matrix_back(x: np.ndarray) -> None:
    q, r = map(np.asarray, ops.qr(x))
    assert_close([q @ r, np.triu(r), adjoint(q) @ q - np.eye(q.shape[-1])], [x, r, 0 * adjoint(q) @ q], atol=1e-9)
    q, r = map(np.asarray, ops.qr(x, mode="complete"))
    assert_close(q @ r, x, atol=1e-9)
    for full in (True, False):
        u, s, vh = map(np.asarray, ops.svd(x, full_matrices=full))
        size = s.shape[-1]
        assert_close((u[..., :size] * s[..., None, :]) @ vh[..., :size, :], x, atol=1e-9)
        assert_close(s, np.linalg.svd(x, compute_uv=False), atol=1e-9)
        assert [u.shape, vh.shape] == [part.shape for part in np.linalg.svd(x, full_matrices=full)[::2]]
    a = square_of(x)
    w, v = map(np.asarray, ops.eig(a))
    assert_close(a @ v, v * w[..., None, :], atol=1e-9)
    symmetric = a + adjoint(a)
    w, v = map(np.asarray, ops.eigh(symmetric))
    assert_close([(v * w[..., None, :]) @ adjoint(v), np.sort(w)], [symmetric, w], atol=1e-9)
    lu, pivots = map(np.asarray, ops.lu_factor(np.roll(a, 1, -2)))
    product = (np.tril(lu, -1) + np.eye(lu.shape[-1])) @ np.triu(lu)
    assert_close(np.take_along_axis(product, pivots[..., None], -2), np.roll(a, 1, -2), atol=1e-9)
    square = a @ adjoint(a)
    L = np.asarray(ops.cholesky(square))
    assert_close([L @ adjoint(L), adjoint(L)], [square, ops.cholesky(square, upper=True)], atol=1e-9)
    for factor, upper in ((L, False), (adjoint(L), True)):
        assert_close(ops.cholesky_inverse(factor, upper), np.linalg.inv(square), atol=1e-9)


@FEW
@given(MATRICES, st.data())
def test_equations_as_numpy(x: np.ndarray, data: Any) -> None:
    a = square_of(x)
    columns = data.draw(st.integers(1, 3))
    b = data.draw(hnp.arrays("float64", (*a.shape[:-1], columns), elements=NUMBERS))
    for right in (b, b[..., 0]):
        solution = ops.solve(a, right)
        assert_close(a @ (solution if right is b else solution[..., None]), b if right is b else b[..., :1], atol=1e-9)
    assert_close([ops.inv(a), ops.det(a)], [np.linalg.inv(a), np.linalg.det(a)], atol=1e-9)
    for lower, triangle in ((True, np.tril), (False, np.triu)):
        assert_close(triangle(a) @ ops.solve_triangular(a, b, lower=lower), b, atol=1e-9)
    assert_close(ops.pinv(x, rcond=1e-9), np.linalg.pinv(x, rcond=1e-9), rtol=1e-6, atol=1e-6)
    assert_close(ops.matrix_rank(x), np.linalg.matrix_rank(x))
    right = data.draw(hnp.arrays("float64", x.shape[:-1], elements=NUMBERS))
    found = ops.lstsq(x, right, rcond=1e-9).numpy()
    for place in np.ndindex(*x.shape[:-2]):
        assert_close(found[place], np.linalg.lstsq(x[place], right[place], rcond=1e-9)[0], rtol=1e-6, atol=1e-6)


@FEW
@given(
    hnp.arrays("float64", hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=3), elements=NUMBERS), st.data()
)
def test_norms_as_numpy(x: np.ndarray, data: Any) -> None:
    keepdims = data.draw(st.booleans())
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    two = tuple(data.draw(st.permutations(range(x.ndim)))[:2])
    with np.errstate(divide="ignore"):
        for order in ORDERS:
            expected = np.linalg.norm(x, order, axis, keepdims)
            assert_close(ops.norm(x, order, axis, keepdims), expected, rtol=1e-9, atol=1e-9)
    for order in (None, "fro", "nuc", 1, -1, 2, -2, INF, -INF):
        assert_close(ops.norm(x, order, two, keepdims), np.linalg.norm(x, order, two, keepdims), rtol=1e-7, atol=1e-7)
    assert_close(ops.norm(x, keepdims=keepdims), np.linalg.norm(x, keepdims=keepdims), rtol=1e-9)  # of any rank
    assert_close(ops.norm(x[0, 0].item() if x.ndim == 2 else x[0]), np.linalg.norm(x[0, 0] if x.ndim == 2 else x[0]))


# ---- Gradients where the reference has NaN ----


def test_norms_have_finite_gradients_at_zero() -> None:
    for order in ORDERS:
        for x in (np.zeros(3, "float32"), np.array([0.0, 3.0, -4.0], "float32")):
            found = gradient(lambda x, order=order: ops.norm(x, order), x).numpy()
            assert np.isfinite(found).all(), f"the gradient of norm {order} at {x} is {found}"
            assert found[0] == 0
    assert_close(gradient(ops.norm, np.array([0.0, 3.0, -4.0], "float32")), np.array([0.0, 0.6, -0.8]))
    assert_close(gradient(lambda x: ops.norm(x, 3), np.array([0.0, 1.0], "float32")), np.array([0.0, 1.0]))
    for order in (None, "fro", "nuc", 1, -1, 2, -2, INF, -INF):
        for x in (np.zeros((2, 3), "float32"), np.eye(2, dtype="float32")):
            found = gradient(lambda x, order=order: ops.norm(x, order, (0, 1)), x).numpy()
            assert np.isfinite(found).all(), f"the gradient of norm {order} at {x} is {found}"
    assert_close(gradient(ops.norm, np.zeros(2, "complex64")), np.zeros(2))


def test_gradients_of_pseudo_inverses() -> None:
    cut = spread(4, 3).astype("float64")
    for x, rcond in ((np.eye(3), None), (cut, 0.5), (spread(2, 4).astype("float64"), None)):

        def function(x: Any, rcond: float | None = rcond) -> Any:
            return ops.pinv(x, rcond)

        assert_close(gradient(function, x), slopes(function, x), 1e-5, 1e-6)
    b, x = floats(2, 4, dtype="float64"), floats(2, 4, 3, dtype="float64")
    assert_close(gradient(lambda x: ops.lstsq(x, b), x), slopes(lambda x: ops.lstsq(x, b), x), 1e-5, 1e-5)
    singular = gradient(ops.pinv, np.diag([2.0, 1.0, 0.0]))
    assert np.isfinite(singular.numpy()).all()
    x = spread(3, 2).astype("float64")
    assert_close(gradient(lambda x: gradient(ops.pinv, x), x), slopes(lambda x: gradient(ops.pinv, x), x), 1e-5, 1e-5)


# ---- Dtypes ----

SQUARE = ("cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "lu_factor")
ANY = ("norm", "pinv", "qr", "svd", "matrix_rank")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32", "bool"])
def test_short_floats_and_integers(dtype: str) -> None:
    """The reference has no values for these: ours are those of float32, rounded."""
    x = np.diag([1.0, 1.0]) if dtype in ("bool", "int32") else positive(2, 2)
    x, b = tf.cast(x, dtype), tf.cast([1, 0], dtype)
    for name in (*SQUARE, *ANY, "solve", "solve_triangular", "lstsq"):
        arguments = (x, b) if name in ("solve", "solve_triangular", "lstsq") else (x,)
        actual = tf.nest.flatten(getattr(ops, name)(*arguments))
        expected = tf.nest.flatten(getattr(ops, name)(*[tf.cast(one, "float32") for one in arguments]))
        for one, other in zip(actual, expected, strict=True):
            short = dtype in ("float16", "bfloat16") and other.dtype == tf.float32
            assert one.dtype == (dtype if short else other.dtype), name
            assert_close(tf.cast(one, other.dtype), tf.cast(tf.cast(other, one.dtype), other.dtype), 1e-6)


def test_two_dtypes_meet() -> None:
    for op in (ops.solve, ops.solve_triangular, ops.lstsq):
        assert dtypes(op(regular(2, 2, dtype="float64"), floats(2))) == ["float64"]
        assert dtypes(op([[2, 0], [0, 1]], [1, 2])) == ["float32"]


def test_complex_numbers_as_numpy() -> None:
    assert_close(ops.norm(COMPLEX), np.linalg.norm(COMPLEX))
    for order in (1, 2, 3, INF, -1):
        assert_close(ops.norm(COMPLEX, order, axis=0), np.linalg.norm(COMPLEX, order, axis=0), 1e-5)
        assert dtypes(ops.norm(COMPLEX, order, axis=0)) == ["float32"]  # the reference says complex64
    for order in ("nuc", 2, 1, "fro"):
        assert_close(ops.norm(COMPLEX, order), np.linalg.norm(COMPLEX, order), 1e-5)
    assert_close(ops.pinv(COMPLEX[:, :2]), np.linalg.pinv(COMPLEX[:, :2]), 1e-4, 1e-5)
    assert_close(ops.matrix_rank(COMPLEX), 3)
    L = ops.cholesky(HERMITIAN).numpy()
    assert_close([L, ops.cholesky(HERMITIAN, upper=True)], [np.linalg.cholesky(HERMITIAN), adjoint(L)], 1e-4, 1e-5)
    assert_close(ops.cholesky_inverse(L), np.linalg.inv(HERMITIAN), 1e-3, 1e-4)
    assert_close(ops.cholesky_inverse(adjoint(L), upper=True), np.linalg.inv(HERMITIAN), 1e-3, 1e-4)


# ---- Shapes ----


def test_batches_broadcast() -> None:
    for op in (ops.solve, ops.solve_triangular, ops.lstsq):
        for left, right in (((3, 3), (2, 3, 1)), ((1, 3, 3), (2, 3)), ((2, 1, 3, 3), (1, 4, 3, 2))):
            a, b = regular(*left), floats(*right)
            tail = right[len(right) - (1 if len(right) == len(left) - 1 else 2) :]
            batch = np.broadcast_shapes(left[:-2], right[: -len(tail)])
            whole = np.broadcast_to(a, (*batch, 3, 3)).copy(), np.broadcast_to(b, batch + tail).copy()
            assert_close(op(a, b), op(*whole), 1e-4, 1e-5)


def test_unknown_sizes_stay_unknown() -> None:
    batch, any_size = KerasTensor((None, 3, 3)), KerasTensor((None, None, None))
    assert ops.solve(batch, KerasTensor((None, 3))).shape == (None, 3)
    assert ops.lstsq(KerasTensor((None, 4, 3)), KerasTensor((None, 4, 2))).shape == (None, 3, 2)
    assert ops.pinv(KerasTensor((None, 4, 3))).shape == (None, 3, 4)
    assert ops.norm(batch, axis=(1, 2)).shape == (None,)
    assert ops.norm(batch, "nuc", axis=(0, 1), keepdims=True).shape == (1, 1, 3)
    for name in (*SQUARE, "pinv", "qr", "svd", "matrix_rank"):
        for one in tf.nest.flatten(getattr(ops, name)(any_size)):
            assert one.shape[0] is None
    function = tf.function(lambda x: (ops.pinv(x), ops.matrix_rank(x)), autograph=False)
    x = spread(3, 2)
    traced = function.get_concrete_function(tf.TensorSpec((None, None)))
    assert_close(traced(tf.constant(x)), [np.linalg.pinv(x), 2], 1e-4, 1e-5)


def test_decompositions_under_xla() -> None:
    """There the signs of vectors are others, so the contract cannot compare them: the products are the same."""

    @tf.function(jit_compile=True, autograph=False)
    def products(x: Any) -> Any:
        u, s, vh = ops.svd(x, full_matrices=False)
        w, v = ops.eigh(x)
        norms = ops.norm(x, "nuc"), ops.norm(x, 2), ops.norm(x, -2)
        return u * s @ vh, v * w @ tf.transpose(v), ops.pinv(x), ops.matrix_rank(x), norms

    x = positive(3, 3)
    norms = [np.linalg.norm(x, order) for order in ("nuc", 2, -2)]
    assert_close(products(x), [x, x, np.linalg.inv(x), 3, norms], rtol=1e-3, atol=1e-4)


# ---- Derivatives in a direction ----

ONE, TWO = tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0])


def test_jvp_as_the_reference() -> None:
    for arguments in (
        (lambda x: x**2, (ONE,), (TWO,)),
        (lambda x: x**2, [ONE], [TWO]),
        (lambda x, y: (x * y, [x + y]), (ONE, TWO), (TWO, ONE)),
        (lambda x: tf.linalg.inv(x), (regular(2, 2),), (floats(2, 2),)),
    ):
        arguments = (arguments[0], *tf.nest.map_structure(tf.constant, arguments[1:]))
        assert_close(ops.jvp(*arguments), keras.ops.jvp(*arguments))
    assert_close(
        ops.jvp(lambda x: (x * 2, {"a": x}), (ONE,), (TWO,), has_aux=True),
        keras.ops.jvp(lambda x: (x * 2, {"a": x}), (ONE,), (TWO,), has_aux=True),
    )


def test_jvp_where_the_reference_fails() -> None:
    assert_close(ops.jvp(lambda x, y: x * y, (ONE, ONE), (ONE, 0 * ONE)), [ONE * ONE, ONE * ONE])  # one tensor twice
    assert_close(ops.jvp(lambda x: x**3, (2.0,), (1.0,)), [8.0, 12.0])
    assert_close(ops.jvp(lambda x: x**2, (np.ones(2),), (np.ones(2, "float32"),)), [np.ones(2), 2 * np.ones(2)])
    assert_close(ops.jvp(lambda x: tf.constant(1.0), (ONE,), (ONE,)), [1.0, 0.0])  # no part of it
    tree = {"a": ONE, "b": TWO}
    assert_close(ops.jvp(lambda x: x["a"] * x["b"], (tree,), (tree,)), [ONE * TWO, 2 * ONE * TWO])
    assert_close(tf.function(lambda x: ops.jvp(tf.sin, [x], [x]))(ONE), [np.sin(ONE), ONE * np.cos(ONE)])
    value, derivative = ops.jvp(lambda x: ops.norm(x, axis=-1), [KerasTensor((None, 3))], [KerasTensor((None, 3))])
    assert (value.shape, derivative.shape) == ((None,), (None,))


# ---- Errors ----

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    *[
        (lambda name=name: getattr(ops, name)(floats(3)), ValueError, f"`{name}` takes matrices")
        for name in ("pinv", "qr", "svd", "matrix_rank")
    ],
    *[
        (lambda name=name, x=x: getattr(ops, name)(x), ValueError, f"`{name}` takes {what}matrices")
        for name in SQUARE
        for x, what in ((floats(3), ""), (MATRIX, "square "))
    ],
    (lambda: ops.cholesky(-np.eye(2)), ValueError, "takes positive definite matrices"),
    (lambda: ops.qr(MATRIX, mode="r"), ValueError, "mode='r'"),
    (lambda: ops.solve(MATRIX, floats(3)), ValueError, "`solve` takes square matrices"),
    (lambda: ops.solve(np.eye(2), floats(3)), ValueError, "a=(2, 2) and b=(3,)"),
    (lambda: ops.solve_triangular(np.eye(2), 1.0), ValueError, "a=(2, 2) and b=()"),
    (lambda: ops.lstsq(floats(2, 3, 3), floats(4, 3, 1)), ValueError, "whose batches broadcast"),
    (lambda: ops.norm(MATRIX, 3), ValueError, "ord=3"),
    (lambda: ops.norm(MATRIX, "fro", axis=0), ValueError, "ord='fro'"),
    (lambda: ops.norm(floats(2, 2, 2), 1), ValueError, "one axis for vectors or two for matrices, but got 3"),
    (lambda: ops.norm(1.0, 1), ValueError, "but got 0 with ord=1"),
    (lambda: ops.norm(MATRIX, axis=2), ValueError, "`norm` got axis=2"),
    (lambda: ops.norm(MATRIX, axis=(0, -2)), ValueError, "names the same axis twice"),
    (lambda: ops.jvp(tf.sin, ONE, ONE), ValueError, "a list or tuple"),
    (lambda: ops.jvp(tf.sin, [ONE], [ONE, ONE]), ValueError, "tangents like the primals"),
    (lambda: ops.jvp(tf.sin, [ONE], [tf.ones(3)]), ValueError, "tangents like the primals"),
    (lambda: ops.jvp(tf.identity, [1], [1]), TypeError, "takes floats as primals"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), ERRORS, ids=[message for _, _, message in ERRORS])
def test_errors_say_what_is_wrong(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        wrong()


def test_a_cholesky_decomposition_that_fails_in_a_graph() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="takes positive definite matrices"):
        tf.function(ops.cholesky, autograph=False)(tf.constant(-np.eye(2)))
