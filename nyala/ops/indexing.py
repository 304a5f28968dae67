"""Ops that pick values: by index, by key, by condition."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, promote
from nyala.ops.rules import Axis, as_bool, check_axis, dims, rank_of, tensor
from nyala.ops.sparse import dense

# ---- By index ----


def as_indices(name: str, indices: Any, size: Any) -> Tensor:
    """`indices` as int32 or int64, those below zero counted from the end of an axis of `size`."""
    if isinstance(indices, int) and isinstance(size, int):
        return indices + size if indices < 0 else indices
    indices = tensor(indices)
    if not indices.dtype.is_integer:
        raise TypeError(f"`{name}` takes whole numbers as indices, but got the dtype {indices.dtype.name}.")
    if indices.dtype not in ("int32", "int64"):
        indices = tf.cast(indices, "int64" if indices.dtype.size >= 4 else "int32")
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


@op
def take(x: Tensor, indices: Tensor, axis: Axis = None) -> Tensor:
    """The slices of `x` at `indices` along `axis`; without an axis, the values of `x` as one row.

    Example:
        >>> from nyala import ops
        >>> ops.take([[1, 2], [3, 4]], [1, -1], axis=1).numpy().tolist()
        [[2, 2], [4, 4]]
    """
    x = tensor(x)
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    axis = check_axis("take", axis, rank_of(x))
    indices = as_indices("take", dense(indices), dims(x)[axis])
    if isinstance(x, tf.RaggedTensor) or isinstance(indices, tf.RaggedTensor):
        return tf.gather(x, indices, axis=axis)
    return tf.raw_ops.GatherV2(params=x, indices=indices, axis=axis)  # a third of the time of `tf.gather`


@op
def take_along_axis(x: Tensor, indices: Tensor, axis: Axis = None) -> Tensor:
    """For each place of `indices`, the value of `x` there, but at that index on `axis`; the other axes broadcast.

    Example:
        >>> from nyala import ops
        >>> ops.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1).numpy().tolist()
        [[2], [3]]
    """
    x, indices = tensor(x), tensor(indices)
    if axis is None:
        return take(x, tf.reshape(indices, [-1]))
    rank = rank_of(x)
    axis = check_axis("take_along_axis", axis, rank)
    if rank_of(indices) != rank:
        raise ValueError(
            f"`take_along_axis` needs indices of the rank of x, but got the shapes {indices.shape} and {x.shape}."
        )
    last = [i for i in range(rank) if i != axis] + [axis]
    back = [last.index(i) for i in range(rank)]
    indices = as_indices("take_along_axis", indices, dims(x)[axis])
    x, indices = tf.transpose(x, last), tf.transpose(indices, last)
    x, indices = _broadcast_all_but_last(x, indices)
    return tf.transpose(tf.gather(x, indices, batch_dims=rank - 1, axis=rank - 1), back)


def _broadcast_all_but_last(*xs: Tensor) -> list[Tensor]:
    """The tensors with all axes but the last broadcast against each other."""
    if len({tuple(x.shape[:-1]) for x in xs}) == 1 and xs[0].shape[:-1].is_fully_defined():
        return list(xs)
    shape, static = tf.shape(xs[0])[:-1], xs[0].shape[:-1]
    for x in xs[1:]:
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(x)[:-1])
        static = tf.broadcast_static_shape(static, x.shape[:-1])
    full = [tf.broadcast_to(x, tf.concat([shape, tf.shape(x)[-1:]], 0)) for x in xs]
    return [tf.ensure_shape(y, static.concatenate(x.shape[-1:])) for y, x in zip(full, xs, strict=True)]


@op
def unravel_index(indices: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """The indices on each axis of `shape` that flat `indices` stand for.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.unravel_index([1, 5], (2, 3))]
        [[0, 1], [1, 2]]
    """
    indices = tensor(indices)
    rest = tf.cast(indices, "int64" if indices.dtype == "int64" else "int32")
    rest = tf.where(rest < 0, rest + math.prod(shape), rest)
    found = []
    for size in reversed(shape):
        found.append(tf.cast(tf.math.floormod(rest, size), indices.dtype))
        rest = tf.math.floordiv(rest, size)
    return tuple(reversed(found))


# ---- By key: what stands in `x[…]` ----


@op
def get_item(x: Tensor, key: Any) -> Tensor:
    """`x[key]`, with NumPy's rules: numbers, slices, `...`, None, arrays of numbers and masks.

    Example:
        >>> from nyala import ops
        >>> ops.get_item([[1, 2], [3, 4]], (slice(None), 0)).numpy().tolist()
        [1, 3]
    """
    x = tensor(x)
    keys = [_plain_key(part) for part in (key if isinstance(key, tuple) else (key,))]
    if not any(_is_array(part) for part in keys):
        return x[tuple(keys)]
    keys = list(_without_masks(keys))
    return _gather(x, _without_ellipsis(keys, rank_of(x)))


def _plain_key(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (slice, tf.Tensor)):
        return part
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return int(part)
    return tf.convert_to_tensor(part)


def _is_array(part: Any) -> bool:
    return isinstance(part, tf.Tensor) and (part.shape.rank != 0 or part.dtype == "bool")


def _without_masks(keys: Iterable[Any]) -> Iterable[Any]:
    """The keys with a mask replaced by the indices of its true places, one tensor for each axis."""
    for part in keys:
        if isinstance(part, tf.Tensor) and part.dtype == "bool":
            yield from tf.unstack(tf.where(part), axis=1)
        else:
            yield part


def _without_ellipsis(keys: list[Any], rank: int) -> list[Any]:
    """The keys with a slice for each axis that none of them names."""
    missing = [slice(None)] * (rank - sum(part is not None and part is not Ellipsis for part in keys))
    at = next((i for i, part in enumerate(keys) if part is Ellipsis), len(keys))
    return keys[:at] + missing + keys[at + 1 :]


def _gather(x: Tensor, keys: list[Any]) -> Tensor:
    """Slices first; then the arrays, broadcast against each other, pick from the axes that they name."""
    is_index = [isinstance(part, (int, tf.Tensor)) for part in keys]
    x = x[tuple(slice(None) if index else part for part, index in zip(keys, is_index, strict=True))]
    axes = [axis for axis, index in enumerate(is_index) if index]
    sizes = dims(x)
    arrays = [as_indices("get_item", keys[axis], sizes[axis]) for axis in axes]
    if len(axes) == 1:
        return tf.gather(x, arrays[0], axis=axes[0])
    arrays = promote(*arrays)
    zero = sum(tf.zeros_like(array) for array in arrays)
    index = tf.stack([array + zero for array in arrays], -1)
    others = [axis for axis in range(len(sizes)) if axis not in axes]
    picked = tf.gather_nd(tf.transpose(x, axes + others), index)
    if axes[-1] - axes[0] >= len(axes):
        return picked  # arrays with a slice between them: their axes come first
    count = rank_of(zero)
    front = list(range(count, count + axes[0]))
    return tf.transpose(picked, [*front, *range(count), *range(count + axes[0], rank_of(picked))])


# ---- By condition ----


@op
def where(condition: Tensor, x1: Tensor = None, x2: Tensor = None) -> Tensor:
    """`x1` where `condition` is true, else `x2`; with neither, the indices of the true places, as `nonzero` gives them.

    Example:
        >>> from nyala import ops
        >>> ops.where([True, False], 1, 2).numpy().tolist()
        [1, 2]
    """
    if (x1 is None) != (x2 is None):
        raise ValueError("`where` takes both x1 and x2, or neither.")
    if x1 is None:
        return nonzero(condition)
    x1, x2 = promote(x1, x2)
    return tf.where(as_bool(condition), x1, x2)


@op
def nonzero(x: Tensor) -> tuple[Tensor, ...]:
    """The indices of the values that differ from zero, one int32 tensor for each axis.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.nonzero([[1, 0], [0, 2]])]
        [[0, 1], [0, 1]]
    """
    places = tf.cast(tf.where(as_bool(x)), "int32")
    return tuple(tf.unstack(places, axis=1))


@op
def select(condlist: Sequence[Tensor], choicelist: Sequence[Tensor], default: Tensor = 0) -> Tensor:
    """At each place, the choice of the first condition that is true there, else `default`.

    Example:
        >>> from nyala import ops
        >>> ops.select([[True, False]], [[1, 2]], 9).numpy().tolist()
        [1, 9]
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            f"`select` takes a choice for each condition, but got {len(condlist)} and {len(choicelist)} of them."
        )
    *choices, chosen = promote(*choicelist, default)
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        chosen = tf.where(as_bool(condition), choice, chosen)
    return chosen


# ---- By function ----


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Iterable[int | str] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """The function that calls `pyfunc`, which takes scalars, on all values of tensors that broadcast.

    `excluded` names arguments, by place or name, that are passed as they are; `signature`, such as `"(n),(n)->()"`,
    tells for each other argument how many of its last axes one call takes.

    Example:
        >>> from nyala import ops
        >>> ops.vectorize(lambda a, b: a * b)([1, 2], 3).numpy().tolist()
        [3, 6]
    """
    fixed = set(excluded or ())

    @op
    def call(*args: Tensor, **kwargs: Tensor) -> Any:
        places = [i for i in range(len(args)) if i not in fixed]
        names = [name for name in kwargs if name not in fixed]
        mapped = [tensor(args[i]) for i in places] + [tensor(kwargs[name]) for name in names]

        def one(values: Sequence[Tensor]) -> Any:
            arguments, named = list(args), dict(kwargs)
            for place, value in zip(places, values, strict=False):
                arguments[place] = value
            named.update(zip(names, values[len(places) :], strict=True))
            return pyfunc(*arguments, **named)

        return _map_over_leading_axes(one, mapped, _core_ranks(signature, len(mapped)))

    return call


def _core_ranks(signature: str | None, count: int) -> list[int]:
    """How many axes one call takes of each argument: those in the parentheses left of `->`."""
    if signature is None:
        return [0] * count
    groups = signature.split("->")[0].replace(" ", "").strip("()").split("),(")
    if "->" not in signature or len(groups) != count:
        raise ValueError(f"`vectorize` got signature={signature!r}, which does not describe {count} arguments.")
    return [len(group.split(",")) if group else 0 for group in groups]


def _map_over_leading_axes(function: Callable[..., Any], xs: list[Tensor], core_ranks: list[int]) -> Any:
    """`function` on the last axes of each tensor, for every index of their other axes, which broadcast."""
    loops = [tf.shape(x)[: rank_of(x) - core] for x, core in zip(xs, core_ranks, strict=True)]
    static = tf.TensorShape([])
    for x, core in zip(xs, core_ranks, strict=True):
        static = tf.broadcast_static_shape(static, x.shape[: rank_of(x) - core])
    loop = tf.constant([], "int32")
    for one in loops:
        loop = tf.broadcast_dynamic_shape(loop, one)
    rows = []
    for x, core in zip(xs, core_ranks, strict=True):
        kept = tf.shape(x)[rank_of(x) - core :]
        full = tf.broadcast_to(x, tf.concat([loop, kept], 0))
        rows.append(
            tf.ensure_shape(tf.reshape(full, tf.concat([[-1], kept], 0)), [None, *x.shape[rank_of(x) - core :]])
        )
    results = tf.map_fn(function, rows, fn_output_signature=_spec_of_call(function, rows))

    def unflatten(result: Tensor) -> Tensor:
        shaped = tf.reshape(result, tf.concat([loop, tf.shape(result)[1:]], 0))
        return tf.ensure_shape(shaped, static.concatenate(result.shape[1:]))

    return tf.nest.map_structure(unflatten, results)


def _spec_of_call(function: Callable[..., Any], rows: list[Tensor]) -> Any:
    """The shape and dtype that one call gives."""
    specs = [tf.TensorSpec(row.shape[1:], row.dtype) for row in rows]
    outputs = tf.function(lambda *values: function(values)).get_concrete_function(*specs).structured_outputs
    return tf.nest.map_structure(lambda output: tf.TensorSpec(output.shape, output.dtype), outputs)
