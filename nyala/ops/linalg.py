"""Linear algebra: decompositions, systems of equations, norms.

A matrix lies along the last two axes, the axes before them are batches: (…, M, N). Whole numbers become `floatx()`.
TensorFlow has no kernels for float16 and bfloat16 here; these are computed in float32, and results have their dtype.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala.core import tree
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor
from nyala.ops.rules import Axes, as_float, check_axes, meet_as_floats, rank_of, tensor

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "det",
    "eig",
    "eigh",
    "inv",
    "jvp",
    "lstsq",
    "lu_factor",
    "matrix_rank",
    "norm",
    "pinv",
    "qr",
    "solve",
    "solve_triangular",
    "svd",
]

# ---- Arguments ----


def matrices(name: str, x: Any, square: bool = False) -> Tensor:
    """`x` as a tensor of floats that holds matrices, square ones where that is asked for; else a ValueError."""
    x = as_float(x)
    if rank_of(x) < 2:
        raise ValueError(f"`{name}` takes matrices, of rank 2 or more, but got a tensor of shape {x.shape}.")
    rows, columns = x.shape[-2:]
    if square and None not in (rows, columns) and rows != columns:
        raise ValueError(f"`{name}` takes square matrices, but got a tensor of shape {x.shape}.")
    return x


def wide(function: Callable[..., Any], *xs: Tensor) -> Any:
    """`function(*xs)`, computed in float32 where the tensors are float16 or bfloat16, with results in their dtype."""
    dtype = xs[0].dtype
    if dtype not in (tf.float16, tf.bfloat16):
        return function(*xs)
    results = function(*(tf.cast(x, "float32") for x in xs))
    return tree.map_structure(lambda y: tf.cast(y, dtype) if y.dtype == tf.float32 else y, results)


def _system(name: str, a: Any, b: Any, square: bool = True) -> tuple[Tensor, Tensor, bool]:
    """The matrices `a` and right sides `b` of equations, of one dtype and batch; and whether `b` was of vectors."""
    a, b = meet_as_floats(a, b)
    a = matrices(name, a, square)
    vectors = rank_of(b) == rank_of(a) - 1
    right = b[..., None] if vectors else b
    if rank_of(right) < 2 or not a.shape[-2:-1].is_compatible_with(right.shape[-2:-1]):
        raise ValueError(
            f"`{name}` takes `b` with as many rows as `a` has, but got the shapes a={a.shape} and b={b.shape}."
        )
    batches = a.shape[:-2], right.shape[:-2]
    if batches[0] == batches[1] and batches[0].is_fully_defined():
        return a, right, vectors
    try:
        known = tf.broadcast_static_shape(*batches)
    except ValueError:
        raise ValueError(
            f"`{name}` takes `a` and `b` whose batches broadcast, but got the shapes a={a.shape} and b={b.shape}."
        ) from None
    batch = tf.broadcast_dynamic_shape(tf.shape(a)[:-2], tf.shape(right)[:-2])
    a, right = (_with_batch(x, batch, known) for x in (a, right))
    return a, right, vectors


def _with_batch(x: Tensor, batch: Tensor, known: Any) -> Tensor:
    """The matrices `x` repeated to the shape `batch` of the axes before them, of which `known` is known."""
    return tf.ensure_shape(tf.broadcast_to(x, tf.concat([batch, tf.shape(x)[-2:]], 0)), known + x.shape[-2:])


# ---- Decompositions ----


@op
def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The triangular L of the Cholesky decomposition `x = L Lᴴ` of positive definite matrices; `Lᴴ` for `upper`.

    Only the lower triangle of `x` is read. Shapes: (…, N, N) → (…, N, N).
    Raises ValueError (in graphs InvalidArgumentError, when they run) where `x` is not positive definite.

    Example:
        >>> from nyala import ops
        >>> ops.cholesky([[4.0, 2.0], [2.0, 5.0]]).numpy().tolist()
        [[2.0, 0.0], [1.0, 2.0]]
    """
    L = wide(_checked_cholesky, matrices("cholesky", x, square=True))
    return tf.linalg.adjoint(L) if upper else L


def _checked_cholesky(x: Tensor) -> Tensor:
    L = tf.linalg.cholesky(x)
    # TensorFlow's kernel gives NaN instead of an error. A graph runs the check although nothing depends on it.
    message = "`cholesky` takes positive definite matrices, but got one that is not"
    try:
        tf.debugging.check_numerics(tf.math.real(tf.linalg.diag_part(L)), message)
    except tf.errors.InvalidArgumentError:
        raise ValueError(f"{message}; add a small multiple of the identity, or see its `eigh`.") from None
    return L


@op
def cholesky_inverse(x: Tensor, upper: bool = False) -> Tensor:
    """The inverse of `A = L Lᴴ` from L, a result of `cholesky`; from `Lᴴ` for `upper`. (…, N, N) → (…, N, N)

    Only the triangle in question of `x` is read.

    Example:
        >>> from nyala import ops
        >>> ops.cholesky_inverse([[2.0, 0.0], [1.0, 2.0]]).numpy().tolist()
        [[0.3125, -0.125], [-0.125, 0.25]]
    """

    def inverse(x: Tensor) -> Tensor:
        identity = tf.eye(tf.shape(x)[-1], dtype=x.dtype)
        half = tf.linalg.triangular_solve(x, tf.broadcast_to(identity, tf.shape(x)), lower=not upper)
        half = tf.ensure_shape(half, x.shape)
        return tf.matmul(half, half, adjoint_b=True) if upper else tf.matmul(half, half, adjoint_a=True)

    return wide(inverse, matrices("cholesky_inverse", x, square=True))


@op
def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues w and eigenvectors v of square matrices, complex: `x v[:, i] = w[i] v[:, i]`.

    Shapes: (…, N, N) → (…, N), (…, N, N). The vectors have length 1.

    Example:
        >>> from nyala import ops
        >>> w, v = ops.eig([[2.0, 1.0], [0.0, 3.0]])
        >>> w.numpy().real.tolist()
        [2.0, 3.0]
    """
    x = matrices("eig", x, square=True)
    return tuple(tf.linalg.eig(tf.cast(x, "float32") if x.dtype.size < 4 else x))


@op
def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues, ascending, and eigenvectors of Hermitian matrices: `x = v diag(w) vᴴ`.

    Only the lower triangle of `x` is read. Shapes: (…, N, N) → (…, N), (…, N, N). Signs of the vectors are arbitrary.

    Example:
        >>> from nyala import ops
        >>> w, v = ops.eigh([[2.0, 1.0], [1.0, 2.0]])
        >>> w.numpy().tolist()
        [1.0, 3.0]
    """
    return tuple(wide(tf.linalg.eigh, matrices("eigh", x, square=True)))


@op
def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """The LU decomposition with pivots of square matrices: `x = (L U)[pivots]`, the rows of `L U` in another order.

    L, whose diagonal is 1, stands below the diagonal of the first result, U on it and above; the pivots are int32.
    Shapes: (…, N, N) → (…, N, N), (…, N).

    Example:
        >>> from nyala import ops
        >>> lu, pivots = ops.lu_factor([[1.0, 2.0], [4.0, 4.0]])
        >>> lu.numpy().tolist(), pivots.numpy().tolist()
        ([[4.0, 4.0], [0.25, 1.0]], [1, 0])
    """
    lu, permutation = wide(tf.linalg.lu, matrices("lu_factor", x, square=True))
    return lu, tf.argsort(permutation)  # the inverse permutation, for batches too


@op
def qr(x: Tensor, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """The QR decomposition `x = Q R`: the columns of Q are orthonormal, R is upper triangular.

    Shapes: (…, M, N) → (…, M, K), (…, K, N), where K is M for mode "complete" and min(M, N) for "reduced".

    Example:
        >>> from nyala import ops
        >>> q, r = ops.qr([[3.0, 1.0], [4.0, 2.0]])
        >>> ops.abs(r).numpy().tolist()
        [[5.0, 2.2], [0.0, 0.4]]
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"`qr` knows the modes reduced and complete, but got mode={mode!r}.")
    return tuple(wide(lambda x: tf.linalg.qr(x, full_matrices=mode == "complete"), matrices("qr", x)))


@op
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """The singular value decomposition `x = u diag(s) vh`; with `compute_uv=False` only s, which descends.

    Shapes: (…, M, N) → (…, M, M), (…, K), (…, N, N) where K is min(M, N); without `full_matrices`, u and vh have the K
    columns and rows that s needs. Signs of the vectors are arbitrary.

    Example:
        >>> from nyala import ops
        >>> ops.svd([[3.0, 0.0], [0.0, 4.0]], compute_uv=False).numpy().tolist()
        [4.0, 3.0]
    """
    x = matrices("svd", x)
    if not compute_uv:
        return wide(singular_values, x)
    s, u, v = wide(lambda x: tf.linalg.svd(x, full_matrices=full_matrices), x)
    return u, s, tf.linalg.adjoint(v)


def singular_values(x: Tensor) -> Tensor:
    """The singular values of matrices, the largest first."""
    return tf.linalg.svd(x, compute_uv=False)


# ---- Inverses and equations ----


@op
def det(x: Tensor) -> Tensor:
    """The determinants of square matrices. (…, N, N) → (…)

    Example:
        >>> from nyala import ops
        >>> ops.det([[3.0, 1.0], [1.0, 2.0]]).numpy().item()
        5.0
    """
    return wide(tf.linalg.det, matrices("det", x, square=True))


@op
def inv(x: Tensor) -> Tensor:
    """The inverses of square matrices. (…, N, N) → (…, N, N)

    TensorFlow raises InvalidArgumentError where one is singular.

    Example:
        >>> from nyala import ops
        >>> ops.inv([[2.0, 0.0], [0.0, 4.0]]).numpy().tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    return wide(tf.linalg.inv, matrices("inv", x, square=True))


@op
def solve(a: Tensor, b: Tensor) -> Tensor:
    """The x of `a x = b`, for square matrices `a`. (…, N, N), (…, N, K) or (…, N) → the shape of `b`

    `b` holds vectors where its rank is one less than that of `a`; batches broadcast. TensorFlow raises
    InvalidArgumentError where a matrix is singular.

    Example:
        >>> from nyala import ops
        >>> ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 8.0]).numpy().tolist()
        [1.0, 2.0]
    """
    a, b, vectors = _system("solve", a, b)
    x = wide(tf.linalg.solve, a, b)
    return x[..., 0] if vectors else x


@op
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Tensor:
    """The x of `a x = b`, where of `a` only the upper triangle is read, or the lower one for `lower`.

    Shapes: (…, N, N), (…, N, K) or (…, N) → the shape of `b`, which holds vectors where its rank is one less than that
    of `a`; batches broadcast.

    Example:
        >>> from nyala import ops
        >>> ops.solve_triangular([[2.0, 2.0], [9.0, 4.0]], [6.0, 8.0]).numpy().tolist()
        [1.0, 2.0]
    """
    a, b, vectors = _system("solve_triangular", a, b)
    x = wide(lambda a, b: tf.linalg.triangular_solve(a, b, lower=lower), a, b)
    return x[..., 0] if vectors else x


@op
def pinv(x: Tensor, rcond: float | None = None) -> Tensor:
    """The Moore-Penrose inverses of matrices: `V diag(1/s) Uᴴ`, from `x = U diag(s) Vᴴ`. (…, M, N) → (…, N, M)

    Singular values up to `rcond` times the largest count as zero; by default `rcond` is 10 max(M, N) eps, where eps is
    the precision of the dtype. The gradient is finite for singular values that repeat or do not count, too.
    Source of the gradient: Noferini, "A formula for the Fréchet derivative of a generalized matrix function", 2017.

    Example:
        >>> from nyala import ops
        >>> ops.pinv([[2.0, 0.0], [0.0, 0.0]]).numpy().tolist()
        [[0.5, 0.0], [0.0, 0.0]]
    """
    x = matrices("pinv", x)
    return wide(lambda x: _pinv(x, _precision(x, 10) if rcond is None else rcond), x)


def _pinv(x: Tensor, rcond: Any) -> Tensor:
    # The gradient of the decomposition itself is NaN where singular values repeat.
    @tf.custom_gradient
    def inverse(x: Tensor) -> Any:
        s, u, v = tf.linalg.svd(x)
        keep = s > tf.maximum(tf.cast(rcond, s.dtype) * s[..., :1], 0)
        factor = tf.where(keep, 1 / tf.where(keep, s, 1), 0)
        P = tf.matmul(v * tf.cast(factor[..., None, :], v.dtype), u, adjoint_b=True)
        return P, lambda gradient: _pinv_gradient(s, u, v, factor, gradient)

    return inverse(x)


def _pinv_gradient(s: Tensor, u: Tensor, v: Tensor, f: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of `v diag(f) uᴴ`, where f is 1/s for the singular values that are kept and else 0."""
    s_i, s_j, f_i, f_j = s[..., :, None], s[..., None, :], f[..., :, None], f[..., None, :]
    alike = tf.equal(f_i > 0, f_j > 0)
    # The quotients (f_i - f_j) / (s_i - s_j) and (f_i + f_j) / (s_i + s_j): with f = 1/s they have no pole.
    difference = tf.where(alike, -f_i * f_j, (f_i - f_j) / tf.where(alike, tf.ones_like(s_i), s_i - s_j))
    total = tf.math.divide_no_nan(f_i + f_j, s_i + s_j)
    difference, total, squares = (tf.cast(x, u.dtype) for x in (difference, total, tf.square(f)))
    H, uH = tf.linalg.adjoint(gradient), tf.linalg.adjoint(u)  # (…, M, N), (…, K, M)
    inner = uH @ H @ v  # (…, K, K)
    turned = tf.linalg.adjoint(inner)
    right = (H @ v - u @ inner) * squares[..., None, :]  # what lies outside the columns of u, (…, M, K)
    left = u @ (squares[..., :, None] * (uH @ H - tf.matmul(inner, v, adjoint_b=True)))  # and of v, (…, M, N)
    middle = difference * (inner + turned) / 2 + total * (inner - turned) / 2
    return left + tf.matmul(u @ middle + right, v, adjoint_b=True)


def _precision(x: Tensor, factor: int = 1) -> Any:
    """`factor` times the larger size of the matrices times the spacing of numbers at 1: what counts as zero beside 1."""
    eps = factor * float(np.finfo(x.dtype.as_numpy_dtype).eps)
    rows, columns = x.shape[-2:]
    if None not in (rows, columns):
        return eps * max(rows, columns)
    return eps * tf.cast(tf.reduce_max(tf.shape(x)[-2:]), "float32")


@op
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Tensor:
    """The x that makes `‖a x - b‖₂` smallest, of several the shortest. (…, M, N), (…, M, K) or (…, M) → (…, N, K), (…, N)

    Singular values of `a` up to `rcond` times the largest count as zero; by default `rcond` is max(M, N) eps, where eps
    is the precision of the dtype. `b` holds vectors where its rank is one less than that of `a`; batches broadcast.

    Example:
        >>> from nyala import ops
        >>> ops.lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0]).numpy().tolist()
        [1.0, 2.0]
    """
    a, b, vectors = _system("lstsq", a, b, square=False)
    x = wide(lambda a, b: tf.matmul(_pinv(a, _precision(a) if rcond is None else rcond), b), a, b)
    return x[..., 0] if vectors else x


@op
def matrix_rank(x: Tensor, tol: float | None = None) -> Tensor:
    """How many singular values of the matrices are larger than `tol`, as int32. (…, M, N) → (…)

    By default `tol` is max(M, N) eps times the largest, where eps is the precision of the dtype.

    Example:
        >>> from nyala import ops
        >>> ops.matrix_rank([[1.0, 2.0], [2.0, 4.0]]).numpy().item()
        1
    """

    def rank(x: Tensor) -> Tensor:
        s = singular_values(x)
        least = tf.cast(_precision(x), s.dtype) * s[..., :1] if tol is None else tf.cast(tol, s.dtype)
        return tf.math.count_nonzero(s > least, axis=-1, dtype="int32")

    return wide(rank, matrices("matrix_rank", x))


# ---- Norms ----


@op
def norm(x: Tensor, ord: float | str | None = None, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors along one `axis`, of matrices along two, or of all values.

    `ord` of a vector: None or 2 is `(Σ|x|²)^½`, another number p `(Σ|x|^p)^(1/p)`, inf the largest and -inf the
    smallest size, 0 the number of values that are not zero. Of a matrix: None or "fro" is `(Σ|x|²)^½`, "nuc" the sum
    of the singular values, 2 the largest of them and -2 the smallest, 1 the largest sum of sizes along a column and -1
    the smallest, inf and -inf those along a row. Without `ord` and `axis`, all values count as one vector.
    Where the norm has no derivative, at zero, the gradient is a finite one of its subgradients.
    Raises ValueError for another `ord` or number of axes.

    Example:
        >>> from nyala import ops
        >>> ops.norm([[3.0, 4.0], [0.0, 0.0]], axis=-1).numpy().tolist()
        [5.0, 0.0]
    """
    x = as_float(x)
    axes = check_axes("norm", axis, rank_of(x)) if rank_of(x) else []
    function = _norm_of(ord, axes, everything=axis is None)
    return wide(lambda x: function(x, keepdims), x)


def _norm_of(ord: Any, axes: list[int], everything: bool) -> Callable[[Tensor, bool], Tensor]:
    """The function of a tensor and `keepdims` that computes the norm `ord` along `axes`."""
    if ord is None and everything:
        return lambda x, keepdims: _euclidean(x, axes, keepdims)
    if len(axes) == 1 and (ord is None or not isinstance(ord, str)):
        return lambda x, keepdims: _vector_norm(x, 2 if ord is None else ord, axes, keepdims)
    if len(axes) == 2 and ord in (None, "fro"):
        return lambda x, keepdims: _euclidean(x, axes, keepdims)
    if len(axes) == 2 and ord in ("nuc", 1, -1, 2, -2, math.inf, -math.inf):
        return lambda x, keepdims: _matrix_norm(x, ord, axes, keepdims)
    if len(axes) in (1, 2):
        kind, known = (("vectors", "a number"), ("matrices", "'fro', 'nuc', ±1, ±2 and ±inf"))[len(axes) - 1]
        raise ValueError(f"`norm` of {kind} knows {known} as `ord`, but got ord={ord!r}.")
    raise ValueError(f"`norm` takes one axis for vectors or two for matrices, but got {len(axes)} with ord={ord!r}.")


def _euclidean(x: Tensor, axes: list[int], keepdims: bool) -> Tensor:
    squares = tf.math.real(x * tf.math.conj(x)) if x.dtype.is_complex else tf.square(x)
    return _power(tf.reduce_sum(squares, axes, keepdims), 0.5)


def _vector_norm(x: Tensor, p: float, axes: list[int], keepdims: bool) -> Tensor:
    if p == 2:
        return _euclidean(x, axes, keepdims)
    size = _size(x)
    if p == 0:
        return tf.reduce_sum(tf.cast(size != 0, size.dtype), axes, keepdims)
    if p == 1:
        return tf.reduce_sum(size, axes, keepdims)
    if math.isinf(p):
        return (tf.reduce_max if p > 0 else tf.reduce_min)(size, axes, keepdims)
    return _power(tf.reduce_sum(_power(size, p), axes, keepdims), 1 / p)


def _matrix_norm(x: Tensor, ord: Any, axes: list[int], keepdims: bool) -> Tensor:
    others = [axis for axis in range(rank_of(x)) if axis not in axes]
    x = tf.transpose(x, [*others, *axes])
    if ord == "nuc":
        result = tf.reduce_sum(singular_values(x), -1)
    elif abs(ord) == 2:
        result = singular_values(x)[..., 0 if ord > 0 else -1]
    else:
        sums = tf.reduce_sum(_size(x), -2 if abs(ord) == 1 else -1)
        result = (tf.reduce_max if ord > 0 else tf.reduce_min)(sums, -1)
    for axis in sorted(axes) if keepdims else ():
        result = tf.expand_dims(result, axis)
    return result


def _size(x: Tensor) -> Tensor:
    """The absolute values, with the gradient 0 at 0."""
    return _euclidean(x, [], False) if x.dtype.is_complex else tf.abs(x)


def _power(x: Tensor, p: float) -> Tensor:
    """`x ** p` for x of 0 and more, with the gradient 0 at 0 instead of infinity or NaN."""
    zero = tf.equal(x, 0)
    safe = tf.where(zero, tf.ones_like(x), x)
    return tf.where(zero, tf.cast(0.0 if p > 0 else math.inf, x.dtype), tf.sqrt(safe) if p == 0.5 else tf.pow(safe, p))


# ---- Derivatives ----


@op
def jvp(
    fun: Callable[..., Tensor], primals: Sequence[Tensor], tangents: Sequence[Tensor], has_aux: bool = False
) -> tuple[Any, ...]:
    """`fun(*primals)`, and its derivative in the direction of `tangents`: the Jacobian times that vector.

    Tangents look like the primals. With `has_aux`, `fun` returns a result and something else, which comes third here.
    Raises ValueError where primals and tangents do not go together.

    Example:
        >>> from nyala import ops
        >>> value, derivative = ops.jvp(lambda x: x * x, [3.0], [2.0])
        >>> value.numpy().item(), derivative.numpy().item()
        (9.0, 12.0)
    """
    primals, tangents = _directions(primals, tangents)
    with tf.autodiff.ForwardAccumulator(primals, tangents) as accumulator:
        result = fun(*primals)
    result, *aux = result if has_aux else (result,)
    derivative = functools.partial(accumulator.jvp, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (result, tree.map_structure(lambda y: derivative(tensor(y)), result), *aux)


def _directions(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """The primals as tensors, each one an object of its own; and the tangents as tensors of the same dtypes."""
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"`jvp` takes a list or tuple of the arguments of `fun` as `{name}`, but got {value!r}.")
    primals = tree.map_structure(lambda x: tf.identity(tensor(x)), tuple(primals))
    xs, ts = tree.flatten(primals), tree.flatten(tangents)
    for x in xs:
        if not (x.dtype.is_floating or x.dtype.is_complex):
            raise TypeError(f"`jvp` takes floats as primals, but got a tensor of dtype {x.dtype.name}; cast it first.")
    shapes = [x.shape for x in xs], [tensor(t).shape for t in ts]
    if len(xs) != len(ts) or not all(x.is_compatible_with(t) for x, t in zip(*shapes)):
        raise ValueError(f"`jvp` takes tangents like the primals, but got the shapes {shapes[1]} for {shapes[0]}.")
    return primals, tree.pack_sequence_as(primals, [as_tensor(t, x.dtype) for x, t in zip(xs, ts)])
