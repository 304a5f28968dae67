"""The same values in another form: class numbers as zeros and ones, lengths and angles as complex numbers."""

from __future__ import annotations

from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, as_tensor, standardize_dtype
from nyala.ops.rules import check_axis, dims, promote_to_floats, rank_of

__all__ = ["multi_hot", "one_hot", "polar"]


@op
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: DTypeLike = None, sparse: bool = False) -> Tensor:
    """Each class number as `num_classes` zeros with a one at its place; all zeros where there is no such class.

    Shapes: (N, …) → (N, …, K), or with K on another `axis` of the result. `dtype` is `floatx()` by default. `sparse`
    gives a SparseTensor. Raises ValueError for an axis that is not there or a negative number of classes.

    Example:
        >>> from nyala import ops
        >>> ops.nn.one_hot([0, 2], num_classes=3).numpy().tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    x = whole_numbers(x)
    axis, dtype = check_axis("one_hot", axis, rank_of(x) + 1), standardize_dtype(dtype)
    if isinstance(num_classes, int) and num_classes < 0:
        raise ValueError(f"`one_hot` takes a number of classes that is not negative, but got {num_classes}.")
    if sparse:
        return sparse_one_hot(x, num_classes, axis, dtype)
    return (
        tf.one_hot(x, num_classes, True, False, axis)
        if dtype == "bool"
        else tf.one_hot(x, num_classes, 1, 0, axis, dtype)
    )


def whole_numbers(x: Any) -> Any:
    """`x` as integers of a kind that tells classes."""
    x = as_tensor(x)
    if x.dtype.name in ("int8", "uint8", "int32", "int64"):
        return x
    return tf.cast(x, "int32" if x.dtype.name in ("bool", "int16", "uint16") else "int64")


def sparse_one_hot(x: Any, num_classes: int, axis: int, dtype: str) -> Any:
    """A SparseTensor with one entry for each number; where there is no such class it is a zero."""
    x, sizes = tf.cast(x, "int64"), dims(x)
    valid = (x >= 0) & (x < num_classes)
    places = tf.where(tf.ones_like(x, "bool"))  # (numbers, rank)
    classes = tf.reshape(tf.where(valid, x, 0), [-1, 1])
    indices = tf.concat([places[:, :axis], classes, places[:, axis:]], 1)
    shape = tf.cast(tf.stack([*sizes[:axis], num_classes, *sizes[axis:]]), "int64")
    result = tf.SparseTensor(indices, tf.reshape(tf.cast(valid, dtype), [-1]), shape)
    return result if axis == x.shape.rank else tf.sparse.reorder(result)


@op
def multi_hot(
    inputs: Tensor,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DTypeLike = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """Class numbers taken together: `num_classes` zeros with ones at the places of all numbers of a row.

    That is the largest value of `one_hot(inputs, num_classes, axis)` along its axis 1: 0 for a vector, the next one
    where it is the axis of the classes. Shapes: (N, L, …) → (N, …, K), or (L,) → (K,). `num_tokens` is the old name of
    `num_classes`. Raises ValueError for a scalar, for an axis that is not there and where the number is missing.

    Example:
        >>> from nyala import ops
        >>> ops.nn.multi_hot([[0, 2], [1, 1]], num_classes=3).numpy().tolist()
        [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    classes = kwargs.pop("num_tokens", num_classes)
    if kwargs:
        raise TypeError(f"`multi_hot` takes no argument {sorted(kwargs)[0]!r}.")
    if classes is None:
        raise ValueError("`multi_hot` needs `num_classes`, how many classes there are, but got None.")
    x = whole_numbers(inputs)
    rank = rank_of(x)
    if rank == 0:
        raise ValueError("`multi_hot` puts the class numbers of an axis together, but got a scalar; use `one_hot`.")
    axis = check_axis("multi_hot", axis, rank + 1)
    together = min(rank - 1, 1)
    together += together == axis
    if sparse:
        ones = tf.sparse.reduce_max(one_hot(x, classes, axis, "int32", True), together, output_is_sparse=True)
        sizes = [*(sizes := dims(x))[:axis], classes, *sizes[axis:]]
        shape = tf.cast(tf.stack([size for place, size in enumerate(sizes) if place != together]), "int64")
        return tf.SparseTensor(ones.indices, tf.cast(ones.values, standardize_dtype(dtype)), shape)
    return tf.cast(tf.reduce_any(one_hot(x, classes, axis, "bool"), together), standardize_dtype(dtype))


@op
def polar(abs_: Tensor, angle: Tensor) -> Tensor:
    """Complex numbers of given length and angle: `abs_ · (cos(angle) + i sin(angle))`.

    Shapes broadcast. float64 gives complex128, all else complex64.

    Example:
        >>> from nyala import ops
        >>> complex(ops.nn.polar([2.0], [0.0])[0])
        (2+0j)
    """
    abs_, angle = promote_to_floats(abs_, angle)
    if abs_.dtype.size < 4:
        abs_, angle = tf.cast(abs_, "float32"), tf.cast(angle, "float32")
    return tf.complex(abs_ * tf.cos(angle), abs_ * tf.sin(angle))
