"""Layers of several inputs: sums, products, extremes, concatenation, dot products."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.tensor import Shape, promote, static_shape

# ---- Element by element ----


class Merge(Layer):
    """What layers share that merge a list of inputs element by element; `merge` says how two become one.

    Inputs of fewer axes get axes of size 1 behind the batch; sizes of 1 broadcast.
    """

    least: int = 1
    most: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create; an empty list of inputs comes here without shapes, and `call` says what is wrong."""

    def merge(self, one: Any, other: Any) -> Any:
        """Two tensors as one."""
        raise TypeError(f"{type(self).__name__} defines no `merge`.")

    def call(self, inputs: Any) -> Any:
        first, *others = self.aligned(inputs)
        for other in others:
            first = self.merge(first, other)
        return first

    def aligned(self, inputs: Any) -> list[Any]:
        """The inputs checked, of one dtype and one rank."""
        shapes = checked_list(self, inputs, self.least, self.most)
        check_broadcast(self, shapes)
        rank = max(map(len, shapes))
        return [_with_axes(x, rank - x.shape.rank) for x in promote(*inputs)]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """True where any input's mask is; None where an input has none."""
        if mask is None:
            return None
        checked_masks(self, inputs, mask)
        if any(m is None for m in mask):
            return None
        return functools.reduce(tf.logical_or, mask)


def checked_list(layer: Layer, inputs: Any, least: int, most: int | None = None) -> list[Shape]:
    """The shapes of the inputs; a ValueError where they are no list of `least` to `most` tensors."""
    several = isinstance(inputs, (list, tuple))
    if not several or len(inputs) < least or (most is not None and len(inputs) > most):
        wanted = f"exactly {most}" if most == least else f"at least {least}"
        got = f"{len(inputs)}" if several else f"one tensor of shape {static_shape(inputs)}"
        raise ValueError(f"`{layer.path}` ({type(layer).__name__}) takes a list of {wanted} inputs, but got {got}.")
    return [static_shape(x) for x in inputs]


def checked_masks(layer: Layer, inputs: Any, masks: Any) -> None:
    """A ValueError where masks and inputs are not two lists of one length."""
    for name, value in (("inputs", inputs), ("mask", masks)):
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"`{layer.path}` computes the mask of a list, but `{name}` is {type(value).__name__}.")
    if len(inputs) != len(masks):
        raise ValueError(f"`{layer.path}` has {len(inputs)} inputs, but got {len(masks)} masks.")


def check_broadcast(layer: Layer, shapes: Sequence[Shape]) -> None:
    """A ValueError where inputs of `shapes` differ in their batch, or in other sizes that are not 1."""
    rank = max(map(len, shapes))
    batches = {shape[0] for shape in shapes if shape} - {None}
    rows = [(1,) * (rank - len(shape)) + tuple(shape[1:]) for shape in shapes]
    clash = any(len(set(column) - {1, None}) > 1 for column in zip(*rows))
    if clash or len(batches) > 1:
        raise ValueError(
            f"`{layer.path}` ({type(layer).__name__}) merges inputs of one batch size whose other sizes are equal or 1, "
            f"but got shapes {_listed(shapes)}."
        )


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(map(str, shapes))


def _with_axes(x: Any, count: int) -> Any:
    """`x` with `count` axes of size 1 behind the batch."""
    return x[(slice(None), *[None] * count)] if count and x.shape.rank else x


class Add(Merge):
    """The sum of the inputs, element by element; sizes of 1 broadcast.

    Shapes: a list of (N, …) → (N, …). Raises ValueError for inputs that are no list, or whose shapes do not fit.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Add()([np.array([1.0]), np.array([2.0]), np.array([3.0])]).numpy().tolist()
        [6.0]
    """

    def merge(self, one: Any, other: Any) -> Any:
        return one + other


class Subtract(Merge):
    """The first of two inputs less the second, element by element; see `Add`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Subtract()([np.array([5.0]), np.array([2.0])]).numpy().tolist()
        [3.0]
    """

    least, most = 2, 2

    def merge(self, one: Any, other: Any) -> Any:
        return one - other


class MaskedMerge(Merge):
    """What merging layers share that pass over what an input's mask leaves out."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        return self.merge_masked(inputs, mask)[0]

    def merge_masked(self, inputs: Any, masks: Any) -> tuple[Any, Any]:
        """The inputs merged, where none counts the first of them; and the mask of where any does, None for all."""
        inputs = self.aligned(inputs)
        masks = [_to_rank(m, x.shape.rank) for m, x in zip(masks or [None] * len(inputs), inputs)]
        merged, inside = inputs[0], masks[0]
        for x, mask in zip(inputs[1:], masks[1:]):
            merged = _where(mask, _where(inside, self.merge(merged, x), x), merged)
            inside = None if inside is None or mask is None else tf.logical_or(inside, mask)
        return merged, inside


def _where(mask: Any, one: Any, other: Any) -> Any:
    return one if mask is None else tf.where(mask, one, other)


def _to_rank(mask: Any, rank: int) -> Any:
    """A mask (N, …) with axes of size 1 behind it."""
    return None if mask is None else tf.cast(mask, "bool")[(..., *[None] * (rank - mask.shape.rank))]


class Multiply(MaskedMerge):
    """The product of the inputs, element by element; see `Add`. What an input's mask leaves out counts as 1.

    Where the masks of all inputs leave a place out, the output is zero.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Multiply()([np.array([5.0]), np.array([2.0])]).numpy().tolist()
        [10.0]
    """

    def merge(self, one: Any, other: Any) -> Any:
        return one * other

    def call(self, inputs: Any, mask: Any = None) -> Any:
        product, inside = self.merge_masked(inputs, mask)
        return _where(inside, product, tf.zeros_like(product))


class Average(Merge):
    """The mean of the inputs, element by element; see `Add`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Average()([np.array([5.0]), np.array([2.0])]).numpy().tolist()
        [3.5]
    """

    def call(self, inputs: Any) -> Any:
        inputs = self.aligned(inputs)
        return sum(inputs[1:], inputs[0]) / len(inputs)


class Maximum(MaskedMerge):
    """The largest of the inputs, element by element; see `Add`. What an input's mask leaves out does not count.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Maximum()([np.array([5.0]), np.array([2.0])]).numpy().tolist()
        [5.0]
    """

    def merge(self, one: Any, other: Any) -> Any:
        return tf.maximum(one, other)


class Minimum(MaskedMerge):
    """The smallest of the inputs, element by element; see `Add`. What an input's mask leaves out does not count.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Minimum()([np.array([5.0]), np.array([2.0])]).numpy().tolist()
        [2.0]
    """

    def merge(self, one: Any, other: Any) -> Any:
        return tf.minimum(one, other)


# ---- Along an axis ----


class Concatenate(Layer):
    """The inputs one behind the other along `axis`.

    Masks that have this axis are concatenated too, of others the output keeps what any input keeps; an input without
    a mask keeps all.

    Shapes: a list that agrees but for `axis` → the same with the sum of the sizes there. Raises ValueError where other
    sizes differ, or the axis is missing.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Concatenate()([np.ones((2, 3)), np.ones((2, 4))]).shape.as_list()
        [2, 7]
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create."""

    def call(self, inputs: Any) -> Any:
        shapes = checked_list(self, inputs, 1)
        rank = max(map(len, shapes))
        if not -rank <= self.axis < rank:
            raise ValueError(
                f"`{self.path}` concatenates along axis {self.axis}, which shape {shapes[0]} does not have."
            )
        rest = [tuple(size for axis, size in enumerate(shape) if axis != self.axis % rank) for shape in shapes]
        clash = any(len(set(column) - {None}) > 1 for column in zip(*rest))
        if clash or any(len(shape) != rank for shape in shapes):
            raise ValueError(
                f"`{self.path}` concatenates inputs that differ along axis {self.axis} only, but got shapes "
                f"{_listed(shapes)}."
            )
        return tf.concat(promote(*inputs), self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        checked_masks(self, inputs, mask)
        if all(m is None for m in mask):
            return None
        rank = next(len(static_shape(m)) for m in mask if m is not None)
        axis = self.axis % len(static_shape(inputs[0]))
        whole = [_all_true(x, rank) if m is None else tf.cast(m, "bool") for m, x in zip(mask, inputs)]
        return tf.concat(whole, axis) if axis < rank else functools.reduce(tf.logical_or, whole)


def _all_true(x: Any, rank: int) -> Any:
    """A mask for the first `rank` axes of `x` that lets everything by."""
    return tf.cast(tf.ones_like(x[(slice(None),) * rank + (0,) * (len(static_shape(x)) - rank)]), "bool")


class Dot(Layer):
    """The dot products of two inputs along `axes`, row by row: one axis for both, or a pair; the batch is axis 0.

    `normalize` divides both by their length along these axes first: cosine similarity.

    Shapes: (N, A…, K, …) and (N, B…, K, …) → (N, A…, B…), where two vectors give (N, 1). Raises TypeError for axes that
    are no integers, and ValueError where their sizes differ, one is the batch, or there are not two inputs.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])]).numpy().tolist()
        [[11.0]]
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        several = isinstance(axes, (list, tuple))
        if not all(isinstance(axis, (int, np.integer)) for axis in (axes if several else [axes])):
            raise TypeError(f"`axes` of `{self.name}` must be an integer or two of them, but got {axes!r}.")
        if several and len(axes) != 2:
            raise ValueError(f"`axes` of `{self.name}` must be an integer or two of them, but got {axes!r}.")
        self.axes, self.normalize = axes, normalize
        self.supports_masking = True

    def build(self, input_shape: Any = None) -> None:
        """Nothing to create."""

    def call(self, inputs: Any) -> Any:
        shapes = checked_list(self, inputs, 2, 2)
        places = self._places(shapes)
        pair = promote(*inputs)
        if self.normalize:
            pair = tuple(tf.math.l2_normalize(x, place) for x, place in zip(pair, places))
        one, other = "nabcdefgh"[: len(shapes[0])], "npqrstuvw"[: len(shapes[1])]
        one, other = one.replace(one[places[0]], "k"), other.replace(other[places[1]], "k")
        rest = (one + other[1:]).replace("k", "")
        products = tf.einsum(f"{one},{other}->{rest}", *pair)
        return products if products.shape.rank > 1 else products[:, None]

    def _places(self, shapes: Sequence[Shape]) -> list[int]:
        """The axis of each input, from 1."""
        axes: Any = self.axes if isinstance(self.axes, (list, tuple)) else (self.axes, self.axes)
        for axis, shape in zip(axes, shapes):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise ValueError(
                    f"`{self.path}` multiplies along axis {axis}, but inputs of shape {shape} have axes 1 to "
                    f"{len(shape) - 1} behind the batch."
                )
        places = [axis % len(shape) for axis, shape in zip(axes, shapes)]
        sizes = {shape[place] for shape, place in zip(shapes, places)} - {None}
        if len(sizes) > 1:
            raise ValueError(
                f"`{self.path}` multiplies along axes {tuple(axes)} of one size, but got shapes {_listed(shapes)}."
            )
        return places

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


# ---- As functions ----


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The sum of `inputs`, as `Add` gives it."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The difference of two `inputs`, as `Subtract` gives it."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The product of `inputs`, as `Multiply` gives it."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The mean of `inputs`, as `Average` gives it."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The largest of `inputs`, as `Maximum` gives it."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The smallest of `inputs`, as `Minimum` gives it."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`inputs` one behind the other, as `Concatenate` lays them."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """The dot products of two `inputs`, as `Dot` gives them."""
    return Dot(axes=axes, **kwargs)(inputs)


for _layer in (Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot):
    config.layers.add(_layer)
