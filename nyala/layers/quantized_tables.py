"""Quantized tables: rows of few bits that embeddings look up, and the way back from vectors to logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.tensor import promote
from nyala.core.variable import Variable
from nyala.layers.lora import Computed
from nyala.layers.quantized import Quantizable, resolve
from nyala.quantizers.configs import QuantizationConfig, config_of
from nyala.quantizers.functions import (
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
    pack_int4,
    unpack_int4,
)


class QuantizableTable(Quantizable):
    """A layer that looks rows up in a table E of shape (input_dim, output_dim), which can be quantized."""

    adapted = "embeddings"
    table: Table | None = None
    reverse_table: Table | None = None
    input_dim: int
    output_dim: int
    embeddings_initializer: Any
    embeddings_regularizer: Any
    embeddings_constraint: Any

    @property
    def embeddings(self) -> Any:
        """E: the variable, or with LoRA what it amounts to; of an int4 table the unpacked numbers."""
        if self.table is not None and not self.lora_enabled:
            return self.table.shown()
        return self.effective()

    @property
    def reverse_embeddings(self) -> Any:
        """The matrix of the way back, (output_dim, input_dim), where it is not Eᵀ."""
        return self._reverse_embeddings if self.reverse_table is None else self.reverse_table.shown()

    def rows(self, indices: Any) -> Any:
        """The rows of E at `indices`."""
        rows = tf.gather(self._embeddings.value, indices) if self.table is None else self.table.rows(indices)
        if self.lora_enabled:
            a, b = self.lora_factors
            rows += self.lora_scale() * tf.tensordot(tf.gather(a.value, indices), b.value, 1)
        return rows

    def times_matrix(self, inputs: Any, tied: bool, dtype: Any = None) -> Any:
        """The product, in `dtype`, of vectors and Eᵀ, or where it is not `tied` the matrix of the way back."""
        inputs = inputs if dtype is None else tf.cast(inputs, dtype)
        if self.table is None:
            matrix = tf.transpose(self.embeddings.value) if tied else self.reverse_embeddings.value
            matrix = tf.convert_to_tensor(matrix) if dtype is None else tf.cast(matrix, dtype)
            return tf.matmul(*promote(inputs, matrix))
        outputs = (self.table if self.reverse_table is None else self.reverse_table).product(inputs)
        if tied and self.lora_enabled:
            a, b = (tf.cast(factor.value, inputs.dtype) for factor in self.lora_factors)
            low = tf.matmul(tf.matmul(inputs, b, transpose_b=True), a, transpose_b=True)
            outputs += self.lora_scale() * low
        return outputs

    def add_table(self) -> None:
        """Create the table in `build`: in floats, or as the dtype policy says."""
        how = self.how_it_is_built()
        if how is not None:
            self.quantized_build((self.input_dim, self.output_dim), how.mode, how)
            return
        self._embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
            name="embeddings",
        )

    def add_reverse_table(self) -> None:
        """Create the matrix of the way back in `build`."""
        if self.table is None:
            self._reverse_embeddings = self.add_weight(
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
                name="reverse_embeddings",
            )

    def quantized_build(self, embeddings_shape: Any, mode: str, config: Any = None) -> None:
        """Create the variables that keep a table of that shape as `mode` says."""
        how = config_of(config) or self.quantization_config or resolve(mode, None)
        self.table = Table(self, how, "embeddings", tuple(embeddings_shape), axis=1)
        if not getattr(self, "tie_weights", True):
            self.reverse_table = Table(self, how, "reverse_embeddings", tuple(embeddings_shape)[::-1], axis=0)

    def _quantize_weights(self, how: QuantizationConfig) -> None:
        names = [name for name in ("_embeddings", "_reverse_embeddings") if name in vars(self)]
        values = [tf.convert_to_tensor(getattr(self, name)._present()) for name in names]
        for name in names:
            self.give_up(name)
        self.quantized_build((self.input_dim, self.output_dim), how.mode, how)
        for table, value in zip((self.table, self.reverse_table), values):
            if table is not None:
                table.fill(value)

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """The call with the quantized table."""
        return type(self).call(self, *args, **kwargs)

    def _adapted_shape(self) -> tuple[int, ...]:
        return (self.input_dim, self.output_dim)

    def merged(self) -> Any:
        if self.table is None:
            return super().merged()
        a, b = self.lora_factors
        return self.table.dequantized() + self.lora_scale() * tf.tensordot(a.value, b.value, 1)

    def _merged_for_files(self) -> dict[int, Any]:
        if self.lora_enabled and self.table is not None:
            return {id(v): np.asarray(x) for v, x in self.table.values(self.merged())}
        return super()._merged_for_files()

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        names, scales = ["embeddings"], ["embeddings_scale"]
        found = {None: names, "int8": names + scales, "int4": [*names, *scales, "embeddings_zero", "g_idx"]}
        if not getattr(self, "tie_weights", True):
            back = ["reverse_embeddings", "reverse_embeddings_scale", "reverse_embeddings_zero"]
            found = {mode: here + back[: {None: 1, "int8": 2, "int4": 3}[mode]] for mode, here in found.items()}
        return found


class Table:
    """A quantized matrix of a layer: the variables, and what they stand for.

    `axis` is the one along which vectors lie: 1 in E, of shape (input_dim, output_dim), 0 in the matrix of the way back.
    Scales belong to a vector, or with blocks to `block_size` of its numbers.
    """

    def __init__(self, layer: Any, how: Any, name: str, shape: tuple[int, ...], axis: int) -> None:
        self.layer, self.how, self.name, self.shape, self.axis = layer, how, name, shape, axis
        self.packs = how.mode == "int4"
        self.block = how.block_size if self.packs and how.block_size not in (None, -1) else None
        length, count = shape[axis], shape[1 - axis]
        stored = ((length + 1) // 2 if self.packs else length, count)
        self._add("", stored, "zeros", "int8")
        if self.block is None:
            self._add("_scale", (count,), "ones", None)
            return
        blocks = (-(-length // self.block), count)
        self._add("_scale", blocks, "ones", None)
        self._add("_zero", blocks, "zeros", "int8" if axis == 1 else None)  # as the reference keeps them
        if "g_idx" not in vars(layer):
            layer.g_idx = layer.add_weight((length,), "zeros", "float32", trainable=False, autocast=False, name="g_idx")
            layer.g_idx.assign(np.arange(length) // self.block)

    def _add(self, suffix: str, shape: Any, initializer: str, dtype: str | None) -> None:
        shape = tuple(shape)[::-1] if self.axis == 1 and len(shape) == 2 else tuple(shape)
        name = f"{self.name}{suffix}"
        weight = self.layer.add_weight(shape, initializer, dtype, trainable=False, name=name)
        setattr(self.layer, name if suffix else f"_{name}", weight)

    def variable(self, suffix: str = "") -> Variable:
        """The numbers, or with a suffix what belongs to them."""
        return getattr(self.layer, f"{self.name}{suffix}" if suffix else f"_{self.name}")

    def _turned(self, matrix: Any) -> Any:
        return tf.transpose(matrix) if self.axis == 1 else matrix  # vectors in columns, and back

    def fill(self, matrix: Any) -> None:
        """Give the variables the values that stand for a matrix in floats."""
        for variable, value in self.values(matrix):
            variable.assign(value)

    def values(self, matrix: Any) -> list[tuple[Variable, Any]]:
        """The variables with the values that stand for a matrix in floats."""
        matrix, zero = self._turned(matrix), None
        if self.block is not None:
            numbers, scale, zero = abs_max_quantize_grouped_with_zero_point(matrix, self.block, to_numpy=True)
        else:
            quantizer = self.how.weight_quantizer
            most = (-8, 7) if self.packs else (-127, 127)
            rounded = (
                abs_max_quantize(matrix, 0, most, to_numpy=True) if quantizer is None else quantizer(matrix, axis=0)
            )
            numbers, scale = rounded[0], tf.reshape(rounded[1], [-1])
        numbers = pack_int4(numbers, axis=0)[0] if self.packs else numbers
        found = [(self.variable(), self._turned(numbers))]
        found.append((self.variable("_scale"), scale if zero is None else self._turned(scale)))
        return found if zero is None else [*found, (self.variable("_zero"), self._turned(zero))]

    def rows(self, indices: Any) -> Any:
        """The rows of E at `indices`, in floats."""
        dtype = self.layer.compute_dtype
        numbers = tf.gather(self.variable().value, indices)
        flat = tf.reshape(numbers, (-1, numbers.shape[-1]))
        if self.packs:
            flat = unpack_int4(flat, self.shape[self.axis], axis=-1)
        scale = tf.cast(tf.gather(self.variable("_scale").value, tf.reshape(indices, [-1])), dtype)
        if self.block is None:
            rows = tf.cast(flat, dtype) / scale[:, tf.newaxis]
        else:
            zero = tf.cast(tf.gather(self.variable("_zero").value, tf.reshape(indices, [-1])), dtype)
            block = tf.cast(self.layer.g_idx.value, "int32")
            rows = (tf.cast(flat, dtype) - tf.gather(zero, block, axis=-1)) * tf.gather(scale, block, axis=-1)
        return tf.reshape(rows, tf.concat([tf.shape(indices), [self.shape[self.axis]]], 0))

    def _numbers(self) -> Any:
        """The whole numbers, vectors in columns."""
        numbers = self._turned(self.variable().value)
        return unpack_int4(numbers, self.shape[self.axis], axis=0) if self.packs else numbers

    def shown(self) -> Any:
        """What the layer's property shows."""
        return Computed(self.shape, lambda: self._turned(self._numbers())) if self.packs else self.variable()

    def _floats(self, dtype: str) -> Any:
        """The matrix in floats, vectors in columns."""
        numbers, scale = tf.cast(self._numbers(), dtype), tf.cast(self.variable("_scale").value, dtype)
        if self.block is None:
            return numbers / scale
        block = tf.cast(self.layer.g_idx.value, "int32")
        zero = tf.cast(self._turned(self.variable("_zero").value), dtype)
        return (numbers - tf.gather(zero, block)) * tf.gather(self._turned(scale), block)

    def dequantized(self) -> Any:
        """The matrix in floats, in the dtype of the computation."""
        return self._turned(self._floats(self.layer.compute_dtype))

    def product(self, inputs: Any) -> Any:
        """The product of vectors and the matrix with its vectors in columns: logits."""
        quantizer = self.how.activation_quantizer
        if quantizer is None:
            return tf.matmul(inputs, self._floats(inputs.dtype.name))

        @tf.custom_gradient
        def multiply(inputs: Any) -> Any:
            rounded, scale = quantizer(inputs, axis=-1)
            whole = tf.matmul(tf.cast(rounded, "int32"), tf.cast(self._numbers(), "int32"))
            scale *= tf.cast(self.variable("_scale").value, inputs.dtype)

            def gradient(upstream: Any) -> Any:
                return tf.matmul(upstream, self._floats(inputs.dtype.name), transpose_b=True)

            return tf.cast(whole, inputs.dtype) / scale, gradient

        return multiply(inputs)
