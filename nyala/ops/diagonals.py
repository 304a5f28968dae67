"""Diagonals and triangles of matrices."""

from __future__ import annotations

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.ops.rules import dims, rank_of, tensor
from nyala.ops.shaping import moveaxis


@op
def diag(x: Tensor, k: int = 0) -> Tensor:
    """The matrix with the row `x` on its `k`-th diagonal, or the `k`-th diagonal of the matrix `x`.

    Example:
        >>> from nyala import ops
        >>> ops.diag([1, 2]).numpy().tolist()
        [[1, 0], [0, 2]]
    """
    x = tensor(x)
    if rank_of(x) == 1:
        return tf.linalg.diag(x, k=k)
    if x.shape.rank == 2:
        return diagonal(x, offset=k)
    raise ValueError(f"`diag` takes a vector or a matrix, but got the shape {x.shape}.")


@op
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """The matrix with the values of `x`, as one row, on its `k`-th diagonal.

    Example:
        >>> from nyala import ops
        >>> ops.diagflat([[1], [2]]).numpy().tolist()
        [[1, 0], [0, 2]]
    """
    return tf.linalg.diag(tf.reshape(tensor(x), [-1]), k=k)


@op
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The values of `x` whose index on `axis2` is larger by `offset` than that on `axis1`, along a new last axis.

    Example:
        >>> from nyala import ops
        >>> ops.diagonal([[1, 2], [3, 4]]).numpy().tolist()
        [1, 4]
    """
    x = tensor(x)
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    if rows is not None and columns is not None and not -rows < offset < columns:
        return x[..., :0, 0]
    return tf.linalg.diag_part(x, k=offset)


@op
def tril(x: Tensor, k: int = 0) -> Tensor:
    """The matrices of `x` with zeros above the `k`-th diagonal.

    Example:
        >>> from nyala import ops
        >>> ops.tril([[1, 2], [3, 4]]).numpy().tolist()
        [[1, 0], [3, 4]]
    """
    x = tensor(x)
    return tf.where(_below_diagonal(x, k), x, tf.zeros_like(x))


@op
def triu(x: Tensor, k: int = 0) -> Tensor:
    """The matrices of `x` with zeros below the `k`-th diagonal.

    Example:
        >>> from nyala import ops
        >>> ops.triu([[1, 2], [3, 4]]).numpy().tolist()
        [[1, 2], [0, 4]]
    """
    x = tensor(x)
    return tf.where(_below_diagonal(x, k - 1), tf.zeros_like(x), x)


def _below_diagonal(x: Tensor, k: int) -> Tensor:
    """Where the column is at most the row plus `k`. (rows, columns)"""
    if rank_of(x) < 2:
        raise ValueError(f"`tril` and `triu` take matrices, but got the shape {x.shape}.")
    rows, columns = dims(x)[-2:]
    return tf.range(columns)[None, :] <= tf.range(rows)[:, None] + k
