"""Layers that only files of Keras 1 and 2 hold: they load, compute and train, and have no public name."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.settings import standardize_data_format

Sizes = tuple[int, ...]


class LocallyConnected(Layer):
    """A convolution whose kernel is another one at each place; the base of those with one and with two axes.

    The kernel is stored in one of three ways, by `implementation`: 1: for each place of the output a matrix
    `(places, inputs of a patch, filters)`; 2: each input with each output, of which most count for nothing; 3: a
    vector of those that count, ordered by output and then by input.
    """

    axes = 0

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        implementation: int = 1, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = filters
        self.kernel_size, self.strides = self._sizes(kernel_size), self._sizes(strides)
        self.padding, self.implementation = padding, implementation
        self.data_format = standardize_data_format(data_format)
        self.activation = config.activations.get(activation or "linear")
        self.use_bias = use_bias
        self.kernel_initializer = config.initializers.get(kernel_initializer)
        self.bias_initializer = config.initializers.get(bias_initializer)
        self.kernel_regularizer = config.regularizers.get(kernel_regularizer)
        self.bias_regularizer = config.regularizers.get(bias_regularizer)
        self.kernel_constraint = config.constraints.get(kernel_constraint)
        self.bias_constraint = config.constraints.get(bias_constraint)
        if (
            implementation not in (1, 2, 3)
            or padding not in ("valid", "same")
            or (implementation, padding) == (1, "same")
        ):
            raise ValueError(
                f"`{self.name}` has padding={padding!r} and implementation={implementation!r}; files hold 'valid' with 1, "
                "2 or 3, and 'same' with 2 or 3."
            )

    def _sizes(self, value: Any) -> Sizes:
        found = (value,) * self.axes if isinstance(value, int) else tuple(value)
        if len(found) != self.axes or not all(type(size) is int and size > 0 for size in found):
            raise ValueError(f"`{self.name}` needs {self.axes} positive sizes, but got {str(value)[:100]}.")
        return found

    def build(self, input_shape: Any) -> None:
        first = self.data_format == "channels_first"
        sizes = tuple(input_shape[2:] if first else input_shape[1:-1])
        if len(sizes) != self.axes or any(size is None for size in input_shape[1:]):
            raise ValueError(f"`{self.name}` needs inputs whose sizes are known, but got the shape {input_shape}.")
        self._channels = int(input_shape[1 if first else -1])
        self._in_sizes: Sizes = sizes
        self._out_sizes = tuple(
            -(-(size - kernel + 1 if self.padding == "valid" else size) // stride)
            for size, kernel, stride in zip(sizes, self.kernel_size, self.strides, strict=True)
        )
        if min(self._out_sizes) < 1:
            raise ValueError(f"`{self.name}` has a kernel of {self.kernel_size}, larger than its inputs {sizes}.")
        shape = (math.prod(self._out_sizes), math.prod(self.kernel_size) * self._channels, self.filters)
        if self.implementation == 2:
            shape = (*self._shape(sizes, self._channels), *self._shape(self._out_sizes, self.filters))
        elif self.implementation == 3:
            shape = (len(self._connections()),)
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
            name="kernel",
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                self._shape(self._out_sizes, self.filters), self.bias_initializer, regularizer=self.bias_regularizer,
                constraint=self.bias_constraint, name="bias",
            )  # fmt: skip
        self.built = True

    def _shape(self, sizes: Sizes, channels: int) -> Sizes:
        return (channels, *sizes) if self.data_format == "channels_first" else (*sizes, channels)

    def call(self, inputs: Any) -> Any:
        outputs = self._by_patches(inputs) if self.implementation == 1 else self._by_pairs(inputs)
        outputs = outputs if self.bias is None else outputs + self.bias.value
        return self.activation(outputs)

    def _by_patches(self, inputs: Any) -> Any:
        """One matrix product for each place of the output."""
        patches = [tf.reshape(inputs[place], (1, -1, self.kernel.shape[1])) for place in self._patches()]
        outputs = tf.matmul(tf.concat(patches, 0), self.kernel.value)  # (places, N, filters)
        outputs = tf.reshape(outputs, (*self._out_sizes, -1, self.filters))
        channels = self.axes + 1
        order = list(range(self.axes))
        first = self.data_format == "channels_first"
        return tf.transpose(outputs, (self.axes, channels, *order) if first else (self.axes, *order, channels))

    def _patches(self) -> Iterator[tuple[slice, ...]]:
        """What of the inputs each place of the output sees."""
        whole = slice(None)
        for place in itertools.product(*map(range, self._out_sizes)):
            starts = [p * stride for p, stride in zip(place, self.strides, strict=True)]
            seen = [slice(start, start + size) for start, size in zip(starts, self.kernel_size, strict=True)]
            yield (whole, whole, *seen) if self.data_format == "channels_first" else (whole, *seen, whole)

    def _by_pairs(self, inputs: Any) -> Any:
        """One matrix product of all inputs with all outputs, zero where they are not connected."""
        rows, columns = math.prod(self._in_sizes) * self._channels, math.prod(self._out_sizes) * self.filters
        pairs = self._connections()
        if self.implementation == 2:
            mask = np.zeros((rows, columns), "float32")
            mask[pairs[:, 1], pairs[:, 0]] = 1
            matrix = tf.reshape(self.kernel.value, (rows, columns)) * tf.cast(mask, self.kernel.value.dtype)
        else:
            matrix = tf.transpose(tf.scatter_nd(pairs, self.kernel.value, (columns, rows)))
        outputs = tf.matmul(tf.reshape(inputs, (-1, rows)), matrix)
        return tf.reshape(outputs, (-1, *self._shape(self._out_sizes, self.filters)))

    def _connections(self) -> np.ndarray:
        """Each output with each input that it sees, both as places in a flat list, in order."""
        of_input = np.arange(math.prod(self._in_sizes) * self._channels).reshape(
            self._shape(self._in_sizes, self._channels)
        )
        of_output = np.arange(math.prod(self._out_sizes) * self.filters).reshape(
            self._shape(self._out_sizes, self.filters)
        )
        first = self.data_format == "channels_first"
        found = []
        for place in itertools.product(*map(range, self._out_sizes)):
            seen = of_input[(slice(None), *self._seen(place)) if first else (*self._seen(place), slice(None))]
            outputs = of_output[(slice(None), *place) if first else (*place, slice(None))]
            found += [(output, each) for output in outputs.tolist() for each in seen.reshape(-1).tolist()]
        return np.array(sorted(found), "int64").reshape(-1, 2)

    def _seen(self, place: Sizes) -> list[slice]:
        """The inputs that a place of the output sees; with 'same', those around it that there are."""
        seen = []
        for p, stride, kernel, size in zip(place, self.strides, self.kernel_size, self._in_sizes, strict=True):
            start = p * stride - (kernel // 2 if self.padding == "same" else 0)
            seen.append(slice(max(0, start), min(size, start + kernel)))
        return seen


class LocallyConnected1D(LocallyConnected):
    """A `LocallyConnected` layer for sequences: (N, T, C) → (N, T', filters)."""

    axes = 1


class LocallyConnected2D(LocallyConnected):
    """A `LocallyConnected` layer for images: (N, H, W, C) → (N, H', W', filters)."""

    axes = 2


config.layers.add(LocallyConnected1D)
config.layers.add(LocallyConnected2D)
