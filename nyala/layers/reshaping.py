"""Layers that lay the same values out differently: reshape, permute, repeat, crop, pad, enlarge, mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core import config, tensor, tree
from nyala.core.engine import tf
from nyala.core.layer import InputSpec, Layer
from nyala.core.settings import standardize_data_format
from nyala.layers.checks import integer_tuple, one_of, positive_integer
from nyala.layers.windows import (
    channels_spec,
    from_channels_last,
    sizes,
    spatial_axes,
    to_channels_last,
    with_defaults,
)

# ---- Shape ----


class Flatten(Layer):
    """Each row as one vector: (N, …) → (N, product of …), and (N,) → (N, 1).

    With `data_format="channels_first"` the channels of (N, C, …) are moved to the end first.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Flatten()(np.ones((2, 3, 4), "float32")).shape.as_list()
        [2, 12]
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        if isinstance(inputs, tf.SparseTensor):
            return tf.sparse.reshape(inputs, (tf.shape(inputs)[0], math.prod(inputs.shape[1:])))
        if inputs.shape.rank > 1:
            inputs = to_channels_last(inputs, self.data_format)
        shape = inputs.shape[1:]
        if None not in shape:
            return tf.reshape(inputs, (-1 if inputs.shape[0] is None else inputs.shape[0], math.prod(shape)))
        return tf.reshape(inputs, (sizes(inputs)[0], math.prod(sizes(inputs)[1:])))


class Reshape(Layer):
    """Each row in another shape: (N, …) → (N, *target_shape), where one size may be -1: whatever is left.

    Raises ValueError for more than one -1, and where the sizes cannot be met.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Reshape((2, -1))(np.ones((5, 6), "float32")).shape.as_list()
        [5, 2, 3]
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)
        if self.target_shape.count(-1) > 1:
            raise ValueError(f"`target_shape` of `{self.name}` leaves at most one size open, but got {target_shape!r}.")

    def call(self, inputs: Any) -> Any:
        shape = tensor.static_shape(inputs)
        target = self._row_shape(shape)
        if target.count(None) == 0:
            return tf.reshape(inputs, (-1 if shape[0] is None else shape[0], *target))
        batch, *row = sizes(inputs)
        known = math.prod(size for size in target if size is not None)
        return tf.reshape(inputs, (batch, *(math.prod(row) // known if size is None else size for size in target)))

    def _row_shape(self, shape: Any) -> tuple[int | None, ...]:
        """The target with its -1 resolved; None in its place where the input's size is unknown."""
        size = None if None in shape[1:] else math.prod(shape[1:])
        known = math.prod(length for length in self.target_shape if length != -1)
        if size is not None and (size % known if -1 in self.target_shape and known else size != known):
            raise ValueError(
                f"`{self.path}` cannot lay out rows of shape {tuple(shape[1:])}, which hold {size} values, as "
                f"{self.target_shape}."
            )
        rest = None if size is None or not known else size // known
        return tuple(rest if length == -1 else length for length in self.target_shape)


class Permute(Layer):
    """The axes of each row in another order: axis i of the output is axis `dims[i]` of the input, counted from 1.

    Raises ValueError where `dims` is no permutation of 1, 2, ….

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Permute((2, 1))(np.ones((5, 3, 4), "float32")).shape.as_list()
        [5, 4, 3]
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"`dims` of `{self.name}` must name the axes 1 to {len(self.dims)} once, but got {dims!r}."
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return tf.transpose(inputs, (0, *self.dims))


def _count(layer: Layer, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"`{name}` of `{layer.name}` must be an integer, but got {value!r}.")
    return positive_integer(layer, name, value)


class RepeatVector(Layer):
    """Each row `n` times, as time steps: (N, D) → (N, n, D).

    Raises TypeError where `n` is no integer and ValueError where it is not positive.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.RepeatVector(2)(np.array([[1.0, 2.0]])).numpy().tolist()
        [[[1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = _count(self, "n", n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        return tf.tile(inputs[:, None], (1, self.n, 1))


class Identity(Layer):
    """The inputs as they are.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Identity()(np.array([1.0, 2.0])).numpy().tolist()
        [1.0, 2.0]
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return tree.map_structure(lambda x: x if x is None else tf.identity(x), inputs)


class Rescaling(Layer):
    """`outputs = inputs · scale + offset`, in the compute dtype; `scale` and `offset` broadcast against the inputs.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Rescaling(1 / 127.5, offset=-1.0)(np.array([0, 255])).numpy().tolist()
        [-1.0, 1.0]
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype
        scale, offset = (tensor.as_tensor(self.convert_weight(value), dtype) for value in (self.scale, self.offset))
        return tf.cast(inputs, dtype) * scale + offset

    def convert_weight(self, weight: Any) -> Any:
        """`scale` or `offset` as the computation takes it: unchanged, where TensorFlow is the only engine."""
        return weight


class Masking(Layer):
    """Leave out time steps whose features all equal `mask_value`: they are set to zero and masked for later layers.

    Shapes: (N, T, …) → the same, with a mask (N, T).

    Example:
        >>> import nyala
        >>> nyala.layers.Masking().compute_mask([[[1.0, 0.0], [0.0, 0.0]]], None).numpy().tolist()
        [[True, False]]
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return tf.reduce_any(tf.not_equal(inputs, self.mask_value), -1)

    def call(self, inputs: Any) -> Any:
        inside = tf.reduce_any(tf.not_equal(inputs, self.mask_value), -1, keepdims=True)
        return inputs * tf.cast(inside, inputs.dtype)


# ---- Borders ----


def border_pairs(layer: Layer, name: str, value: Any, rank: int) -> Any:
    """`value` as a pair (before, after), for each axis where there are several.

    One integer stands for all, one an axis for both its ends.
    """
    if rank == 1:
        return integer_tuple(layer, name, value, 2, allow_zero=True)
    values = (value,) * rank if isinstance(value, (int, np.integer)) else value
    if not isinstance(values, (tuple, list)) or len(values) != rank:
        raise ValueError(
            f"`{name}` of `{layer.name}` must be an integer, or {rank} of them or pairs, but got {value!r}."
        )
    return tuple(integer_tuple(layer, name, pair, 2, allow_zero=True) for pair in values)


class Cropping(Layer):
    """What layers that cut off borders share."""

    rank = 2

    def __init__(self, cropping: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = border_pairs(self, "cropping", cropping, self.rank)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = channels_spec(self.rank, self.data_format)

    def call(self, inputs: Any) -> Any:
        index = [slice(None)] * (self.rank + 2)
        pairs = (self.cropping,) if self.rank == 1 else self.cropping
        for axis, (before, after) in zip(spatial_axes(self.rank, self.data_format), pairs):
            size = inputs.shape[axis]
            if size is not None and before + after >= size:
                raise ValueError(
                    f"`{self.path}` cuts {before} + {after} off axis {axis} of inputs of shape "
                    f"{tensor.static_shape(inputs)}, which leaves nothing."
                )
            index[axis] = slice(before, None if after == 0 else -after)
        return inputs[tuple(index)]


class Cropping1D(Cropping):
    """Time without its first and last steps: (N, T, C) → (N, T - before - after, C), `cropping` = (before, after).

    One integer stands for both. Raises ValueError for negative numbers, and where nothing would be left.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Cropping1D((1, 2))(np.ones((2, 6, 3), "float32")).shape.as_list()
        [2, 3, 3]
    """

    rank = 1

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(cropping, "channels_last", **kwargs)


class Cropping2D(Cropping):
    """Images without borders: `cropping` = ((top, bottom), (left, right)), or an integer, or one an axis.

    Shapes: (N, H, W, C) → (N, H', W', C). Raises ValueError for negative numbers, and where nothing would be left.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Cropping2D(((1, 0), (2, 2)))(np.ones((2, 6, 6, 3), "float32")).shape.as_list()
        [2, 5, 2, 3]
    """

    __init__ = with_defaults(Cropping.__init__, cropping=((0, 0), (0, 0)))


class Cropping3D(Cropping):
    """Volumes without borders: `cropping` = three pairs, or an integer, or one an axis; see `Cropping2D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Cropping3D(1)(np.ones((1, 4, 5, 6, 2), "float32")).shape.as_list()
        [1, 2, 3, 4, 2]
    """

    rank = 3
    __init__ = with_defaults(Cropping.__init__, cropping=((1, 1), (1, 1), (1, 1)))


class ZeroPadding(Layer):
    """What layers that put zeros around share."""

    rank = 2

    def __init__(self, padding: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = border_pairs(self, "padding", padding, self.rank)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = channels_spec(self.rank, self.data_format)

    def call(self, inputs: Any) -> Any:
        widths = [(0, 0)] * (self.rank + 2)
        pairs = (self.padding,) if self.rank == 1 else self.padding
        for axis, pair in zip(spatial_axes(self.rank, self.data_format), pairs):
            widths[axis] = pair
        return tf.pad(inputs, widths)


class ZeroPadding1D(ZeroPadding):
    """Zeros before and after time: (N, T, C) → (N, before + T + after, C), `padding` = (before, after) or one integer.

    Raises ValueError for negative numbers.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ZeroPadding1D((1, 0))(np.array([[[5.0], [6.0]]])).numpy().ravel().tolist()
        [0.0, 5.0, 6.0]
    """

    rank = 1
    __init__ = with_defaults(ZeroPadding.__init__, padding=1)


class ZeroPadding2D(ZeroPadding):
    """Zeros around images: `padding` = ((top, bottom), (left, right)), or an integer, or one an axis.

    Shapes: (N, H, W, C) → (N, H', W', C). Raises ValueError for negative numbers.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ZeroPadding2D((1, 2))(np.ones((2, 6, 6, 3), "float32")).shape.as_list()
        [2, 8, 10, 3]
    """

    __init__ = with_defaults(ZeroPadding.__init__, padding=(1, 1))


class ZeroPadding3D(ZeroPadding):
    """Zeros around volumes: `padding` = three pairs, or an integer, or one an axis; see `ZeroPadding2D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ZeroPadding3D(1)(np.ones((1, 4, 5, 6, 2), "float32")).shape.as_list()
        [1, 6, 7, 8, 2]
    """

    rank = 3
    __init__ = with_defaults(ZeroPadding.__init__, padding=((1, 1), (1, 1), (1, 1)))


# ---- Enlarging ----


def repeat(x: Any, count: int, axis: int) -> Any:
    """Each slice of `x` along `axis`, `count` times in a row."""
    shape = sizes(x)
    size = shape[axis]
    copies = tf.repeat(tf.expand_dims(x, axis + 1), count, axis=axis + 1)
    known = x.shape.as_list()
    known[axis] = None if known[axis] is None else known[axis] * count
    return tf.ensure_shape(tf.reshape(copies, [*shape[:axis], size * count, *shape[axis + 1 :]]), known)


class UpSampling1D(Layer):
    """Each time step `size` times: (N, T, C) → (N, T·size, C).

    Raises TypeError where `size` is no integer and ValueError where it is not positive.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.UpSampling1D(2)(np.array([[[1.0], [2.0]]])).numpy().ravel().tolist()
        [1.0, 1.0, 2.0, 2.0]
    """

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = _count(self, "size", size)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Any) -> Any:
        return repeat(inputs, self.size, 1)


INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area")


class UpSampling2D(Layer):
    """Images enlarged by `size` = (rows, columns), by repeating pixels or by another `interpolation`.

    `interpolation` is "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5" or "area".

    Shapes: (N, H, W, C) → (N, H·rows, W·columns, C). Raises ValueError for sizes that are no positive integers and for
    an unknown interpolation.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.UpSampling2D((2, 3))(np.ones((1, 2, 2, 3), "float32")).shape.as_list()
        [1, 4, 6, 3]
    """

    def __init__(
        self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = integer_tuple(self, "size", size, 2)
        self.data_format = standardize_data_format(data_format)
        self.interpolation = one_of(self, "interpolation", interpolation, INTERPOLATIONS)
        self.input_spec = channels_spec(2, self.data_format)

    def call(self, inputs: Any) -> Any:
        if self.interpolation == "nearest":
            for axis, count in zip(spatial_axes(2, self.data_format), self.size):
                inputs = repeat(inputs, count, axis)
            return inputs
        x = to_channels_last(inputs, self.data_format)
        _, height, width, _ = sizes(x)
        resized = tf.image.resize(x, (height * self.size[0], width * self.size[1]), self.interpolation)
        return from_channels_last(tf.cast(resized, inputs.dtype), self.data_format)


class UpSampling3D(Layer):
    """Volumes enlarged by repeating values: (N, D, H, W, C) → (N, D·size[0], H·size[1], W·size[2], C).

    Raises ValueError for sizes that are no positive integers.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.UpSampling3D(2)(np.ones((1, 2, 2, 2, 3), "float32")).shape.as_list()
        [1, 4, 4, 4, 3]
    """

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = integer_tuple(self, "size", size, 3)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = channels_spec(3, self.data_format)

    def call(self, inputs: Any) -> Any:
        for axis, count in zip(spatial_axes(3, self.data_format), self.size):
            inputs = repeat(inputs, count, axis)
        return inputs


for _layer in (
    *(Flatten, Reshape, Permute, RepeatVector, Identity, Rescaling, Masking),
    *(Cropping1D, Cropping2D, Cropping3D, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D),
    *(UpSampling1D, UpSampling2D, UpSampling3D),
):
    config.layers.add(_layer)
