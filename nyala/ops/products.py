"""Ops that multiply and add up: matrix products and their kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import FLOATS, Tensor, as_tensor, common_dtype, dtype_of, promote, result_type
from nyala.ops.diagonals import diagonal
from nyala.ops.reductions import sum as sum_op
from nyala.ops.rules import (
    as_float,
    as_wide_float,
    check_axes,
    check_axis,
    dims,
    meet,
    meet_as_wide_floats,
    rank_of,
    tensor,
    widened,
    with_dtype,
)
from nyala.ops.shaping import moveaxis

# TensorFlow multiplies matrices of these; all others are multiplied in a wider one and cast back.
_MULTIPLIED = ("float16", "bfloat16", "float32", "float64", "int32", "int64", "complex64", "complex128")


def _product_type(*xs: Any) -> str:
    """The dtype of a matrix product: int8 times int8 adds up in int32."""
    dtypes = {dtype_of(x) for x in xs}
    return "int32" if dtypes == {"int8"} else result_type(*dtypes)


@op
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product over the last two axes, the others broadcast; a vector stands for a row, or for a column.

    Shapes: (…, N, K), (…, K, M) → (…, N, M). Two int8 arguments give int32.

    Example:
        >>> from nyala import ops
        >>> ops.matmul([[1, 2], [3, 4]], [1, 1]).numpy().tolist()
        [3, 7]
    """
    common = common_dtype((x1, x2))
    if common is tf.float32 or (common is not None and common.name in FLOATS):  # what most calls come to
        rank1, rank2 = x1.shape.rank, x2.shape.rank
        if rank1 == rank2 == 2:
            return tf.raw_ops.MatMul(a=x1, b=x2)  # half the time of `tf.matmul`
        if (rank1 or 0) > 1 and (rank2 or 0) > 1:
            return tf.matmul(x1, x2)
    if isinstance(x1, tf.SparseTensor) or isinstance(x2, tf.SparseTensor):
        return _sparse_matmul(x1, x2)
    x1, x2 = tensor(x1), tensor(x2)
    rank1, rank2 = rank_of(x1), rank_of(x2)
    if rank1 == 0 or rank2 == 0:
        raise ValueError(f"`matmul` multiplies vectors and matrices, but got the shapes {x1.shape} and {x2.shape}.")
    vectors = [rank1, rank2].count(1)
    dtype = _product_type(x1, x2) if vectors < 2 else result_type(x1.dtype, x2.dtype)
    x1, x2 = widened(_MULTIPLIED, *promote(x1, x2))
    product = tf.tensordot(x1, x2, [[-1], [max(rank2 - 2, 0)]]) if vectors else tf.matmul(x1, x2)
    return with_dtype(product, dtype)


def _sparse_matmul(x1: Tensor, x2: Tensor) -> Tensor:
    dtype = result_type(x1.dtype.name, x2.dtype.name)
    x1, x2 = (tf.cast(x, dtype) for x in (x1, x2))
    if len(x1.shape) != 2 or len(x2.shape) != 2:
        raise ValueError(
            f"`matmul` multiplies sparse matrices of rank 2, but got the shapes {x1.shape} and {x2.shape}."
        )
    if not isinstance(x2, tf.SparseTensor):
        return tf.sparse.sparse_dense_matmul(x1, x2)
    if not isinstance(x1, tf.SparseTensor):
        return tf.transpose(tf.sparse.sparse_dense_matmul(tf.sparse.transpose(x2), tf.transpose(x1)))
    from tensorflow.python.ops.linalg.sparse import sparse_csr_matrix_ops as csr

    product: Any = csr.matmul(csr.CSRSparseMatrix(x1), csr.CSRSparseMatrix(x2))
    return product.to_sparse_tensor()


@op
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The sums of products over the last axis of `x1` and the last but one of `x2`; a scalar multiplies.

    Shapes: (…, K), (…, K, M) → (…, …, M).

    Example:
        >>> from nyala import ops
        >>> ops.dot([1, 2], [3, 4]).numpy().item()
        11
    """
    x1, x2 = meet(x1, x2)
    rank2 = rank_of(x2)
    if rank_of(x1) == 0 or rank2 == 0:
        return tf.logical_and(x1, x2) if x1.dtype == "bool" else x1 * x2
    return _tensordot(x1, x2, [[-1], [max(rank2 - 2, 0)]])


@op
def tensordot(x1: Tensor, x2: Tensor, axes: int | Sequence[Any] = 2) -> Tensor:
    """The sums of products over the last `axes` axes of `x1` and the first of `x2`, or over `(axes of x1, axes of x2)`.

    Example:
        >>> from nyala import ops
        >>> ops.tensordot([[1, 2], [3, 4]], [1, 1], axes=1).numpy().tolist()
        [3, 7]
    """
    x1, x2 = meet(x1, x2)
    if not isinstance(axes, int):
        first, second = (check_axes("tensordot", one, rank_of(x)) for one, x in zip(axes, (x1, x2), strict=True))
        axes = [first, second]
    return _tensordot(x1, x2, axes)


def _tensordot(x1: Tensor, x2: Tensor, axes: Any) -> Tensor:
    dtype = x1.dtype
    return tf.cast(tf.tensordot(*widened(_MULTIPLIED, x1, x2), axes), dtype)


@op
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """The sums of products over the last axes of both; a scalar multiplies. (…, K), (…, K) → (…, …)

    Example:
        >>> from nyala import ops
        >>> ops.inner([1, 2], [3, 4]).numpy().item()
        11
    """
    x1, x2 = meet(x1, x2)
    if rank_of(x1) == 0 or rank_of(x2) == 0:
        return dot(x1, x2)
    return _tensordot(x1, x2, [[-1], [-1]])


@op
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of the products of all values, those of `x1` conjugated.

    Example:
        >>> from nyala import ops
        >>> ops.vdot([[1, 2]], [[3, 4]]).numpy().item()
        11
    """
    x1, x2 = meet(x1, x2)
    if x1.dtype.is_complex:
        x1 = tf.math.conj(x1)
    return _tensordot(tf.reshape(x1, [-1]), tf.reshape(x2, [-1]), 1)


@op
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """The products of each value of `x1` with each of `x2`, both as rows of values. (N,), (M,) → (N, M)

    Example:
        >>> from nyala import ops
        >>> ops.outer([1, 2], [3, 4]).numpy().tolist()
        [[3, 4], [6, 8]]
    """
    x1, x2 = meet(x1, x2)
    x1, x2 = tf.reshape(x1, [-1, 1]), tf.reshape(x2, [1, -1])
    return tf.logical_and(x1, x2) if x1.dtype == "bool" else x1 * x2


@op
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """The Kronecker product: each value of `x1` times all of `x2`, in blocks.

    Example:
        >>> from nyala import ops
        >>> ops.kron([1, 10], [1, 2]).numpy().tolist()
        [1, 2, 10, 20]
    """
    x1, x2 = meet(x1, x2)
    rank = max(rank_of(x1), rank_of(x2))
    sizes1, sizes2 = ([1] * (rank - rank_of(x)) + dims(x) for x in (x1, x2))
    x1 = tf.reshape(x1, [size for pair in zip(sizes1, [1] * rank, strict=True) for size in pair])
    x2 = tf.reshape(x2, [size for pair in zip([1] * rank, sizes2, strict=True) for size in pair])
    return tf.reshape(x1 * x2, [one * other for one, other in zip(sizes1, sizes2, strict=True)])


@op
def cross(x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """The cross product of vectors of 3 values, or of 2 (whose third is 0; two such give the third value only).

    The vectors lie along `axisa` of `x1` and `axisb` of `x2`, the results along `axisc`; `axis` sets all three.

    Example:
        >>> from nyala import ops
        >>> ops.cross([1, 0, 0], [0, 1, 0]).numpy().tolist()
        [0, 0, 1]
    """
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    x1, x2 = meet(x1, x2)
    x1, x2 = moveaxis(x1, axisa, -1), moveaxis(x2, axisb, -1)
    for x in (x1, x2):
        if x.shape[-1] not in (2, 3, None):
            raise ValueError(f"`cross` takes vectors of 2 or 3 values, but got the shapes {x1.shape} and {x2.shape}.")
    (a1, a2, a3), (b1, b2, b3) = _components(x1), _components(x2)
    third = a1 * b2 - a2 * b1
    if a3 is None and b3 is None:
        return third
    a3, b3 = (0 * a1 if a3 is None else a3), (0 * b1 if b3 is None else b3)
    product = tf.stack([a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, third], -1)
    return moveaxis(product, -1, check_axis("cross", axisc, rank_of(product)))


def _components(x: Tensor) -> tuple[Any, Any, Any]:
    return x[..., 0], x[..., 1], None if x.shape[-1] == 2 else x[..., 2]


@op
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Tensor:
    """Sums of products over named axes: `"ij,jk->ik"` is a matrix product. Int8 operands alone give int32.

    Example:
        >>> from nyala import ops
        >>> ops.einsum("ij->ji", [[1, 2], [3, 4]]).numpy().tolist()
        [[1, 3], [2, 4]]
    """
    unknown = set(kwargs) - {"name", "optimize", "greedy"}
    if unknown:
        raise TypeError(f"`einsum` takes no argument {sorted(unknown)[0]!r}.")
    xs = tuple(map(tensor, operands))
    dtype = _product_type(*xs)
    xs = widened(_MULTIPLIED, *promote(*xs))
    return tf.cast(tf.einsum(subscripts, *xs, **kwargs), dtype)


@op
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum along a diagonal, the one that `diagonal` gives.

    Example:
        >>> from nyala import ops
        >>> ops.trace([[1, 2], [3, 4]]).numpy().item()
        5
    """
    return sum_op(diagonal(x, offset, axis1, axis2), axis=-1)


@op
def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sign of the determinant of the matrices `x`, and the logarithm of its size. (…, N, N) → (…), (…)

    Example:
        >>> from nyala import ops
        >>> [part.numpy().item() for part in ops.slogdet([[0.0, 1.0], [1.0, 0.0]])]
        [-1.0, 0.0]
    """
    return tuple(tf.linalg.slogdet(as_float(x)))


@op
def diff(a: Tensor, n: int = 1, axis: int = -1) -> Tensor:
    """The differences of neighbours along `axis`, taken `n` times; of booleans, whether they differ.

    Example:
        >>> from nyala import ops
        >>> ops.diff([1, 4, 9]).numpy().tolist()
        [3, 5]
    """
    x = tensor(a)
    axis = check_axis("diff", axis, rank_of(x))
    if n < 0:
        raise ValueError(f"`diff` takes differences n times, but got n={n}.")
    for _ in range(n):
        later, earlier = (x[(slice(None),) * axis + (part,)] for part in (slice(1, None), slice(None, -1)))
        x = tf.not_equal(later, earlier) if x.dtype == "bool" else later - earlier
    return x


@op
def trapezoid(y: Tensor, x: Tensor = None, dx: Tensor = 1.0, axis: int = -1) -> Tensor:
    """The integral along `axis` of the line through the points `y`, which stand at `x` or at distances `dx`.

    Example:
        >>> from nyala import ops
        >>> ops.trapezoid([1.0, 2.0, 3.0]).numpy().item()
        4.0
    """
    y = as_float(y)
    axis = check_axis("trapezoid", axis, rank_of(y))
    y = moveaxis(y, axis, -1)
    if x is None:
        widths = as_tensor(dx, y.dtype)
    else:
        x = as_tensor(x, y.dtype)
        widths = diff(x if rank_of(x) == 1 else moveaxis(x, axis, -1))
    return tf.reduce_sum((y[..., 1:] + y[..., :-1]) * widths / 2, -1)


@op
def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Tensor:
    """The sums of products of two vectors at every shift of the one against the other, `x2` conjugated.

    `"valid"` keeps the shifts at which the shorter lies within the longer, `"same"` as many as the longer has values,
    `"full"` all. Floats; int64 becomes float64.

    Example:
        >>> from nyala import ops
        >>> ops.correlate([1.0, 2.0, 3.0], [0.0, 1.0, 0.5]).numpy().tolist()
        [3.5]
    """
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"`correlate` knows the modes valid, same and full, but got mode={mode!r}.")
    x1, x2 = meet_as_wide_floats(x1, x2)
    if rank_of(x1) != 1 or rank_of(x2) != 1:
        raise ValueError(f"`correlate` takes vectors, but got the shapes {x1.shape} and {x2.shape}.")
    size1, size2 = dims(x1)[0], dims(x2)[0]
    margin = size2 - 1
    windows = tf.signal.frame(tf.pad(x1, [[margin, margin]]), size2, 1)  # (T1 + T2 - 1, T2)
    full = tf.linalg.matvec(windows, tf.math.conj(x2))
    if mode == "full":
        return full
    shorter, longer = tf.minimum(size1, size2), tf.maximum(size1, size2)
    if mode == "valid":
        return full[shorter - 1 : longer]
    start = (shorter - 1) // 2
    return full[start : start + longer]


@op
def corrcoef(x: Tensor) -> Tensor:
    """The correlations between the rows of `x`. Floats; int64 becomes float64. (N, T) → (N, N)

    Example:
        >>> from nyala import ops
        >>> ops.corrcoef([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]])[0].numpy().tolist()
        [1.0, -0.5]
    """
    x = as_wide_float(x)
    if rank_of(x) == 1:
        x = x[None]
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    covariance = tf.matmul(centred, centred, adjoint_b=True)
    deviation = tf.sqrt(tf.linalg.diag_part(covariance))
    return covariance / deviation[..., :, None] / deviation[..., None, :]
