"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer


class Merge(Layer):
    """The base of layers that combine tensors value by value; shapes broadcast, a missing rank is filled behind the batch."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, list) or not isinstance(input_shape[0], (tuple, list)):
            raise ValueError(f"`{self.path}` takes a list of tensors, but got one of shape {input_shape}.")
        if len(input_shape) < self.least:
            raise ValueError(f"`{self.path}` takes at least {self.least} tensors, but got {len(input_shape)}.")
        batches = {shape[0] for shape in input_shape if shape} - {None}
        if len(batches) > 1:
            raise ValueError(f"`{self.path}` takes tensors of one batch size, but got the shapes {input_shape}.")
        functools.reduce(self._broadcast, [tuple(shape[1:]) for shape in input_shape])

    least = 1

    def _broadcast(self, one: Any, other: Any) -> Any:
        if len(one) < len(other):
            one, other = other, one
        sizes = list(one[: len(one) - len(other)])
        for a, b in zip(one[len(sizes) :], other, strict=True):
            if a is not None and b is not None and a != b and 1 not in (a, b):
                raise ValueError(f"`{self.path}` cannot combine rows of the shapes {one} and {other}.")
            sizes.append(None if None in (a, b) and (a or b) in (None, 1) else max(a or 0, b or 0))
        return tuple(sizes)

    def call(self, inputs: Any) -> Any:
        rank = max(x.shape.rank for x in inputs)
        return self.merge([self._filled(x, rank) for x in inputs])

    def _filled(self, x: Any, rank: int) -> Any:
        for _ in range(rank - x.shape.rank):
            x = tf.expand_dims(x, 1)
        return x

    def merge(self, inputs: list[Any]) -> Any:
        """The combination of tensors of one rank."""
        raise TypeError(f"{type(self).__name__} defines no `merge`.")

    def compute_output_shape(self, input_shape: Any) -> Any:
        batches = {shape[0] for shape in input_shape}
        rows = functools.reduce(self._broadcast, [tuple(shape[1:]) for shape in input_shape])
        return (batches.pop() if len(batches) == 1 else None, *rows)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        masks = [mask for mask in previous_mask or [] if mask is not None]
        # A place counts where any input has something there.
        return functools.reduce(tf.logical_or, masks) if len(masks) == len(inputs) else None


class Add(Merge):
    """The sum of the inputs.

    Shapes: [(N, …), (N, …), …] → (N, …), broadcast. Raises ValueError for shapes that do not.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Add()([np.ones((1, 2)), np.ones((1, 2))]).numpy().tolist()
        [[2.0, 2.0]]
    """

    def merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(tf.add, inputs)


class Subtract(Merge):
    """The first input minus the second.

    Shapes: [(N, …), (N, …)] → (N, …), broadcast. Raises ValueError for another number of inputs.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Subtract()([np.ones((1, 2)), np.ones((1, 2))]).numpy().tolist()
        [[0.0, 0.0]]
    """

    least = 2

    def merge(self, inputs: list[Any]) -> Any:
        if len(inputs) != 2:
            raise ValueError(f"`{self.path}` takes two tensors, but got {len(inputs)}.")
        return inputs[0] - inputs[1]


class Multiply(Merge):
    """The product of the inputs, value by value.

    Shapes: [(N, …), (N, …), …] → (N, …), broadcast.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).numpy().tolist()
        [[6.0, 6.0]]
    """

    def merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(tf.multiply, inputs)


class Average(Merge):
    """The mean of the inputs, value by value.

    Shapes: [(N, …), (N, …), …] → (N, …), broadcast.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Average()([np.zeros((1, 2)), np.ones((1, 2))]).numpy().tolist()
        [[0.5, 0.5]]
    """

    def merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(tf.add, inputs) / len(inputs)


class Maximum(Merge):
    """The largest of the inputs, value by value.

    Shapes: [(N, …), (N, …), …] → (N, …), broadcast.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Maximum()([np.zeros((1, 2)), np.ones((1, 2))]).numpy().tolist()
        [[1.0, 1.0]]
    """

    def merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(tf.maximum, inputs)


class Minimum(Merge):
    """The smallest of the inputs, value by value.

    Shapes: [(N, …), (N, …), …] → (N, …), broadcast.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Minimum()([np.zeros((1, 2)), np.ones((1, 2))]).numpy().tolist()
        [[0.0, 0.0]]
    """

    def merge(self, inputs: list[Any]) -> Any:
        return functools.reduce(tf.minimum, inputs)


class Concatenate(Merge):
    """The inputs one behind the other along `axis`.

    Shapes: equal but for that axis. Raises ValueError where they are not.

    Example:
        >>> import nyala
        >>> x = nyala.KerasTensor((None, 3))
        >>> nyala.layers.Concatenate()([x, x]).shape
        (None, 6)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, list) or not input_shape or not isinstance(input_shape[0], (tuple, list)):
            raise ValueError(f"`{self.path}` takes a list of tensors, but got one of shape {input_shape}.")
        ranks = {len(shape) for shape in input_shape}
        if len(ranks) > 1 or not -min(ranks) <= self.axis < min(ranks):
            raise ValueError(f"`{self.path}` cannot join the shapes {input_shape} along axis {self.axis}.")
        axis = self.axis % ranks.pop()
        for place, sizes in enumerate(zip(*input_shape, strict=True)):
            if place != axis and len(set(sizes) - {None}) > 1:
                raise ValueError(
                    f"`{self.path}` joins along axis {self.axis}, so all other sizes must agree, but got {input_shape}."
                )

    def call(self, inputs: Any) -> Any:
        return tf.concat(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        axis = self.axis % len(input_shape[0])
        joined = [next((size for size in sizes if size is not None), None) for sizes in zip(*input_shape, strict=True)]
        lengths = [shape[axis] for shape in input_shape]
        joined[axis] = None if None in lengths else sum(lengths)
        return tuple(joined)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if previous_mask is None:
            return None
        rank = inputs[0].shape.rank if hasattr(inputs[0].shape, "rank") else len(inputs[0].shape)
        parts = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                part = tf.ones_like(x, dtype="bool")
            else:
                while len(mask.shape) < rank:
                    mask = tf.expand_dims(mask, -1)
                part = tf.logical_and(mask, tf.ones_like(x, dtype="bool"))
            parts.append(part)
        return tf.reduce_all(tf.concat(parts, axis=self.axis), axis=-1)


def add(inputs: list[Any], **kwargs: Any) -> Any:
    """`Add()(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: list[Any], **kwargs: Any) -> Any:
    """`Subtract()(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: list[Any], **kwargs: Any) -> Any:
    """`Multiply()(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: list[Any], **kwargs: Any) -> Any:
    """`Average()(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: list[Any], **kwargs: Any) -> Any:
    """`Maximum()(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: list[Any], **kwargs: Any) -> Any:
    """`Minimum()(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: list[Any], axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


for _layer in (Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate):
    config.layers.add(_layer)
