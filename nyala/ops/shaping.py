"""Ops that lay the same values out anew: reshape, transpose, join, split, repeat, pad, flip, roll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor, common_dtype, promote
from nyala.ops.rules import Axes, Axis, array_of, check_axes, check_axis, dims, rank_of, tensor
from nyala.ops.sparse import dense, on_sparse

# ---- One tensor, another shape ----


def shape_argument(shape: Any) -> Any:
    """A shape given as a number, a tensor, or a sequence of numbers and scalar tensors, as TensorFlow wants it."""
    if isinstance(shape, (int, float)) or (isinstance(shape, tf.Tensor) and shape.shape.rank == 0):
        return [shape]
    if isinstance(shape, (list, tuple)) and any(isinstance(size, tf.Tensor) for size in shape):
        return tf.stack([tf.cast(size, "int32") for size in shape])
    return shape


@op
@on_sparse(lambda x, newshape: tf.sparse.reshape(x, _new_shape(newshape)))
def reshape(x: Tensor, newshape: Sequence[int] | int) -> Tensor:
    """`x` in another shape with as many values; one dimension may be -1 and is then computed.

    Example:
        >>> from nyala import ops
        >>> ops.reshape([1, 2, 3, 4], (2, -1)).numpy().tolist()
        [[1, 2], [3, 4]]
    """
    return tf.reshape(tensor(x), _new_shape(newshape))


def _new_shape(sizes: Any) -> Any:
    """A shape as TensorFlow wants it; None stands for -1."""
    if isinstance(sizes, (list, tuple)):
        sizes = [-1 if size is None else size for size in sizes]
        if all(type(size) is int for size in sizes):
            return array_of(sizes)
    return shape_argument(sizes)


@op
def ravel(x: Tensor) -> Tensor:
    """`x` as one row of values.

    Example:
        >>> from nyala import ops
        >>> ops.ravel([[1, 2], [3, 4]]).numpy().tolist()
        [1, 2, 3, 4]
    """
    return tf.reshape(tensor(x), [-1])


@op
def expand_dims(x: Tensor, axis: int | Sequence[int]) -> Tensor:
    """`x` with dimensions of size one, which stand at `axis` in the result.

    Example:
        >>> from nyala import ops
        >>> ops.expand_dims([1, 2], 0).shape
        TensorShape([1, 2])
    """
    x = tensor(x)
    axes = list(axis) if isinstance(axis, Sequence) else [axis]
    for one in sorted(check_axes("expand_dims", axes, rank_of(x) + len(axes))):
        x = tf.sparse.expand_dims(x, one) if isinstance(x, tf.SparseTensor) else tf.expand_dims(x, one)
    return x


@op
def squeeze(x: Tensor, axis: Axes = None) -> Tensor:
    """`x` without its dimensions of size one, or without those at `axis`.

    Raises ValueError where a dimension at `axis` has another size.

    Example:
        >>> from nyala import ops
        >>> ops.squeeze([[[1, 2]]]).numpy().tolist()
        [1, 2]
    """
    x = tensor(x)
    if axis is None:  # of a size that is not known, nobody can say that it is one
        axis = [i for i, size in enumerate(x.shape.as_list()) if size == 1]
    axes = check_axes("squeeze", axis, rank_of(x))
    for one in axes:
        if x.shape[one] not in (1, None):
            raise ValueError(f"`squeeze` got axis={axis}, but the size there is {x.shape[one]}, not 1: {x.shape}.")
    return tf.squeeze(x, axes) if axes else x


@op
def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """`x` repeated along new and along unit dimensions until it has `shape`.

    Example:
        >>> from nyala import ops
        >>> ops.broadcast_to([1, 2], (2, 2)).numpy().tolist()
        [[1, 2], [1, 2]]
    """
    return tf.broadcast_to(tensor(x), shape_argument(shape))


@op
def copy(x: Tensor) -> Tensor:
    """A tensor of the same values.

    Example:
        >>> from nyala import ops
        >>> ops.copy([1, 2]).numpy().tolist()
        [1, 2]
    """
    return tf.identity(tensor(x))


def ndim(x: Tensor) -> int:
    """How many dimensions `x` has.

    Example:
        >>> from nyala import ops
        >>> ops.ndim([[1, 2]])
        2
    """
    return len(x.shape) if hasattr(x, "shape") else rank_of(tensor(x))


@op
def size(x: Tensor) -> Tensor:
    """How many values `x` holds, as an int32 scalar.

    Example:
        >>> from nyala import ops
        >>> ops.size([[1, 2], [3, 4]]).numpy().item()
        4
    """
    return tf.size(tensor(x))


# ---- Axes in another order ----


@op
@on_sparse(tf.sparse.transpose)
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """`x` with its axes in the order `axes`, or in reverse.

    Example:
        >>> from nyala import ops
        >>> ops.transpose([[1, 2], [3, 4]]).numpy().tolist()
        [[1, 3], [2, 4]]
    """
    x = tensor(x)
    if axes is None:
        return tf.transpose(x)
    order = check_axes("transpose", list(axes), rank_of(x))
    if len(order) != x.shape.rank:
        raise ValueError(
            f"`transpose` needs each axis once, but got axes={tuple(axes)} for a tensor of shape {x.shape}."
        )
    return tf.transpose(x, array_of(order))


@op
def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """`x` with the axes `source` moved to the places `destination`, the others in their order.

    Example:
        >>> from nyala import ops
        >>> ops.moveaxis(ops.ones((2, 3, 4)), 0, -1).shape
        TensorShape([3, 4, 2])
    """
    x = tensor(x)
    rank = rank_of(x)
    source, destination = (check_axes("moveaxis", axes, rank) for axes in (source, destination))
    if len(source) != len(destination):
        raise ValueError(f"`moveaxis` needs as many destinations as sources, but got {source} and {destination}.")
    order = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return tf.transpose(x, order)


@op
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """`x` with two axes exchanged.

    Example:
        >>> from nyala import ops
        >>> ops.swapaxes(ops.ones((2, 3, 4)), 0, 2).shape
        TensorShape([4, 3, 2])
    """
    x = tensor(x)
    order = list(range(rank_of(x)))
    axis1, axis2 = (check_axis("swapaxes", axis, len(order)) for axis in (axis1, axis2))
    order[axis1], order[axis2] = axis2, axis1
    return tf.transpose(x, order)


@op
def flip(x: Tensor, axis: Axes = None) -> Tensor:
    """`x` in reverse along `axis`, or along all axes.

    Example:
        >>> from nyala import ops
        >>> ops.flip([1, 2, 3]).numpy().tolist()
        [3, 2, 1]
    """
    x = tensor(x)
    return tf.reverse(x, check_axes("flip", axis, rank_of(x)))


@op
def fliplr(x: Tensor) -> Tensor:
    """`x` in reverse along its second axis.

    Example:
        >>> from nyala import ops
        >>> ops.fliplr([[1, 2], [3, 4]]).numpy().tolist()
        [[2, 1], [4, 3]]
    """
    x = tensor(x)
    return tf.reverse(x, [check_axis("fliplr", 1, rank_of(x))])


@op
def flipud(x: Tensor) -> Tensor:
    """`x` in reverse along its first axis.

    Example:
        >>> from nyala import ops
        >>> ops.flipud([[1, 2], [3, 4]]).numpy().tolist()
        [[3, 4], [1, 2]]
    """
    x = tensor(x)
    return tf.reverse(x, [check_axis("flipud", 0, rank_of(x))])


@op
def rot90(array: Tensor, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """`array` turned by `k` quarter turns, from the first towards the second of `axes`.

    Example:
        >>> from nyala import ops
        >>> ops.rot90([[1, 2], [3, 4]]).numpy().tolist()
        [[2, 4], [1, 3]]
    """
    x = tensor(array)
    first, second = check_axes("rot90", tuple(axes), rank_of(x))
    order = list(range(x.shape.rank))
    order[first], order[second] = second, first
    turns = k % 4
    if turns == 2:
        return tf.reverse(x, [first, second])
    if turns == 1:
        return tf.transpose(tf.reverse(x, [second]), order)
    return tf.reverse(tf.transpose(x, order), [second]) if turns else x


@op
def roll(x: Tensor, shift: int | Sequence[int], axis: Axes = None) -> Tensor:
    """`x` shifted along `axis`, what leaves at one end entering at the other; without an axis, as one row of values.

    Example:
        >>> from nyala import ops
        >>> ops.roll([1, 2, 3], 1).numpy().tolist()
        [3, 1, 2]
    """
    x = tensor(x)
    if axis is None:
        return tf.reshape(tf.roll(tf.reshape(x, [-1]), shift, 0), tf.shape(x))
    axes = check_axes("roll", axis, rank_of(x))
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    return tf.roll(x, shifts, axes)


# ---- Several tensors, one tensor ----


@op
def concatenate(xs: Sequence[Tensor], axis: Axis = 0) -> Tensor:
    """The tensors one behind the other along `axis`; without an axis, as one row of values.

    Example:
        >>> from nyala import ops
        >>> ops.concatenate([[1, 2], [3]]).numpy().tolist()
        [1, 2, 3]
    """
    if common_dtype(xs) is None:
        if any(isinstance(x, tf.SparseTensor) for x in xs):
            return _concatenate_sparse(xs, axis)
        xs = promote(*map(tensor, xs))
    if axis is None:
        return tf.concat([tf.reshape(x, [-1]) for x in xs], 0)
    return tf.concat(xs, check_axis("concatenate", axis, rank_of(xs[0])))


def _concatenate_sparse(xs: Sequence[Tensor], axis: Axis) -> Tensor:
    if all(isinstance(x, tf.SparseTensor) for x in xs):
        return tf.sparse.concat(axis, list(promote(*xs)))
    return concatenate([dense(x) for x in xs], axis)


@op
def append(x1: Tensor, x2: Tensor, axis: Axis = None) -> Tensor:
    """`x2` behind `x1` along `axis`; without an axis, both as rows of values.

    Example:
        >>> from nyala import ops
        >>> ops.append([1, 2], [[3, 4]]).numpy().tolist()
        [1, 2, 3, 4]
    """
    return concatenate([x1, x2], axis)


@op
def stack(x: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape beside each other along a new axis, which stands at `axis` in the result.

    Example:
        >>> from nyala import ops
        >>> ops.stack([[1, 2], [3, 4]], axis=1).numpy().tolist()
        [[1, 3], [2, 4]]
    """
    xs = promote(*map(tensor, x))
    return tf.stack(xs, check_axis("stack", axis, rank_of(xs[0]) + 1))


@op
def hstack(xs: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other along the second axis; along the first where they have one.

    Example:
        >>> from nyala import ops
        >>> ops.hstack([[1, 2], [3]]).numpy().tolist()
        [1, 2, 3]
    """
    xs = [_at_least(1, x) for x in xs]
    return concatenate(xs, min(1, rank_of(xs[0]) - 1))


@op
def vstack(xs: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other along the first axis; unlike NumPy's, it does not make rows of vectors.

    Example:
        >>> from nyala import ops
        >>> ops.vstack([[[1, 2]], [[3, 4]]]).numpy().tolist()
        [[1, 2], [3, 4]]
    """
    return concatenate([_at_least(1, x) for x in xs], 0)


@op
def dstack(xs: Sequence[Tensor]) -> Tensor:
    """The tensors one behind the other along the third axis, which tensors of lower rank get first.

    Example:
        >>> from nyala import ops
        >>> ops.dstack([[1, 2], [3, 4]]).numpy().tolist()
        [[[1, 3], [2, 4]]]
    """
    return concatenate([_at_least(3, x) for x in xs], 2)


def _at_least(rank: int, x: Tensor) -> Tensor:
    """`x` with unit axes until it has `rank`: a row becomes (1, N), then (1, N, 1)."""
    x = tensor(x)
    if rank_of(x) == 0:
        x = tf.reshape(x, [1])
    if x.shape.rank == 1 and rank >= 2:
        x = x[None]
    return x[..., None] if x.shape.rank == 2 and rank == 3 else x


# ---- One tensor, several tensors ----


@op
def split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """`x` cut along `axis` into so many equal parts, or before each of the indices.

    Raises ValueError where the size is no multiple of the number of parts; `array_split` takes those.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.split([1, 2, 3, 4], 2)]
        [[1, 2], [3, 4]]
    """
    x = tensor(x)
    axis = check_axis("split", axis, rank_of(x))
    if isinstance(indices_or_sections, int):
        total = x.shape[axis]
        if total is not None and total % indices_or_sections:
            raise ValueError(
                f"`split` cannot cut the size {total} of axis {axis} into {indices_or_sections} equal parts; "
                "`array_split` can cut it into unequal ones."
            )
        return tf.split(x, indices_or_sections, axis)
    return _cut(x, [int(index) for index in indices_or_sections], axis)


def _cut(x: Tensor, indices: list[int], axis: int) -> list[Tensor]:
    """The slices of `x` between the indices, with Python's rules for what lies outside."""
    bounds = zip([0, *indices], [*indices, None], strict=True)
    return [x[(slice(None),) * axis + (slice(start, stop),)] for start, stop in bounds]


@op
def array_split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """As `split`, but the first parts are longer by one where the size is no multiple of their number.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.array_split([1, 2, 3], 2)]
        [[1, 2], [3]]
    """
    x = tensor(x)
    axis = check_axis("array_split", axis, rank_of(x))
    if not isinstance(indices_or_sections, int):
        return _cut(x, [int(index) for index in indices_or_sections], axis)
    total, count = dims(x)[axis], indices_or_sections
    sizes = [(total + count - 1 - place) // count for place in range(count)]  # longer ones first
    return tf.split(x, sizes if isinstance(total, int) else tf.stack(sizes), axis, num=count)


@op
def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`x` cut along its second axis, or along its only one; see `split`.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.hsplit([[1, 2], [3, 4]], 2)]
        [[[1], [3]], [[2], [4]]]
    """
    x = tensor(x)
    return split(x, indices_or_sections, min(1, rank_of(x) - 1))


@op
def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`x` cut along its first axis; see `split`.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.vsplit([[1, 2], [3, 4]], 2)]
        [[[1, 2]], [[3, 4]]]
    """
    return split(x, indices_or_sections, 0)


@op
def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`x` cut along its third axis; see `split`.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.dsplit([[[1, 2]]], 2)]
        [[[[1]]], [[[2]]]]
    """
    return split(x, indices_or_sections, 2)


# ---- More of the same ----


@op
def tile(x: Tensor, repeats: int | Sequence[int]) -> Tensor:
    """`x` laid side by side `repeats` times along each axis.

    Example:
        >>> from nyala import ops
        >>> ops.tile([1, 2], 2).numpy().tolist()
        [1, 2, 1, 2]
    """
    x = tensor(x)
    counts: Any = shape_argument(repeats)
    count = counts.shape[0] if isinstance(counts, tf.Tensor) else len(counts)
    missing = rank_of(x) - count
    if missing < 0:
        x = tf.reshape(x, [1] * -missing + dims(x))
    elif missing > 0:
        counts = tf.concat([tf.ones([missing], "int32"), tf.cast(counts, "int32")], 0)
    return tf.tile(x, counts)


@op
def repeat(x: Tensor, repeats: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Each value (or slice along `axis`) of `x` as often as `repeats` says, one number for all or one for each.

    Example:
        >>> from nyala import ops
        >>> ops.repeat([1, 2], 2).numpy().tolist()
        [1, 1, 2, 2]
    """
    x = tensor(x)
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    axis = check_axis("repeat", axis, rank_of(x))
    if isinstance(repeats, int):
        sizes = dims(x)
        spread = tf.repeat(tf.expand_dims(x, axis + 1), repeats, axis + 1) if repeats != 1 else x
        return tf.reshape(spread, [*sizes[:axis], sizes[axis] * repeats, *sizes[axis + 1 :]])
    if x.shape[axis] is not None and not isinstance(repeats, tf.Tensor):
        return tf.gather(x, np.repeat(np.arange(x.shape[axis]), repeats), axis=axis)
    return tf.repeat(x, repeats, axis)


_PAD_MODES = {"constant": "CONSTANT", "reflect": "REFLECT", "symmetric": "SYMMETRIC"}


@op
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Tensor = None) -> Tensor:
    """`x` with a margin: `pad_width` is one width, `(before, after)`, or a pair for each axis.

    `mode` fills it with `constant_values` (0 by default), or mirrors the values without (`"reflect"`) or with the
    outermost ones (`"symmetric"`). Raises ValueError for another mode.

    Example:
        >>> from nyala import ops
        >>> ops.pad([1, 2, 3], (1, 2), mode="reflect").numpy().tolist()
        [2, 1, 2, 3, 2, 1]
    """
    x = tensor(x)
    if mode not in _PAD_MODES:
        raise ValueError(f"`pad` knows the modes {', '.join(_PAD_MODES)}, but got mode={mode!r}.")
    if constant_values is not None and mode != "constant":
        raise ValueError(f"`pad` uses `constant_values` in mode 'constant' only, but the mode is {mode!r}.")
    fill = 0 if constant_values is None else constant_values
    return tf.pad(x, _pad_widths(pad_width, rank_of(x)), _PAD_MODES[mode], as_tensor(fill, x.dtype))


def _pad_widths(pad_width: Any, rank: int) -> Any:
    if isinstance(pad_width, tf.Tensor):
        return pad_width
    if isinstance(pad_width, int):
        return [(pad_width, pad_width)] * rank
    if all(isinstance(width, int) for width in pad_width):
        return [tuple(pad_width) * (2 // len(pad_width))] * rank
    return [tuple(pad_width[0])] * rank if len(pad_width) == 1 else [tuple(width) for width in pad_width]
