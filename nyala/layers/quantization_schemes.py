"""Ways of keeping a kernel in few bits: which variables a layer has for it, and how they take part in the product."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.variable import Variable
from nyala.layers.lora import Computed
from nyala.quantizers.functions import (
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
    compute_float8_amax_history,
    compute_float8_scale,
    pack_int4,
    quantize_and_dequantize,
    unpack_int4,
)


class Scheme:
    """One way of keeping a kernel: which variables the layer has for it, and how they take part in the product."""

    files: tuple[str, ...] = ()  # the variables in files, in their order
    adds_lora = True  # whether LoRA is a product of its own beside the quantized one

    def __init__(self, how: Any) -> None:
        self.how = how

    def build(self, layer: Any, shape: tuple[int, ...]) -> None:
        """Create the variables."""
        raise TypeError(f"{type(self).__name__} creates no variables.")

    def fill(self, layer: Any, kernel: Any) -> None:
        """Give the variables the values that stand for a kernel in floats."""
        for variable, value in self.values(layer, kernel):
            variable.assign(value)

    def values(self, layer: Any, kernel: Any) -> list[tuple[Variable, Any]]:
        """The variables with the values that stand for a kernel in floats."""
        return []

    def dequantized(self, layer: Any) -> Any:
        """The kernel in floats again, in the dtype of the computation."""
        raise TypeError(f"{type(self).__name__} gives no kernel.")

    def shown(self, layer: Any) -> Any:
        """What `layer.kernel` shows."""
        return layer._kernel

    def product(self, layer: Any, inputs: Any, training: Any) -> Any:
        """The product of the inputs and the kernel."""
        return layer.contract(inputs, self.dequantized(layer))

    def bias(self, layer: Any) -> Any:
        """What is added in place of the layer's bias; None for that itself."""
        return None


class Int8(Scheme):
    """Whole numbers of 8 bits and a scale per channel; the inputs are rounded too, with a scale per row."""

    files = ("kernel", "bias", "kernel_scale")

    def build(self, layer: Any, shape: tuple[int, ...]) -> None:
        layer._kernel = layer.add_weight(shape, "zeros", "int8", trainable=False, name="kernel")
        reduced = [1 if axis in layer.contracted_axes[1] else size for axis, size in enumerate(shape)]
        scale_shape = tuple(layer.kernel_scale_for_outputs(tf.ones(reduced)).shape)
        layer.kernel_scale = layer.add_weight(scale_shape, "ones", trainable=False, name="kernel_scale")

    def values(self, layer: Any, kernel: Any) -> list[tuple[Variable, Any]]:
        axes, quantizer = layer.contracted_axes[1], self.how.weight_quantizer
        if quantizer is None:
            rounded, scale = abs_max_quantize(kernel, axes, to_numpy=True)
        else:
            rounded, scale = quantizer(kernel, axis=axes)
        return [(layer._kernel, rounded), (layer.kernel_scale, layer.kernel_scale_for_outputs(scale))]

    def dequantized(self, layer: Any) -> Any:
        scale = layer.kernel_scale_for_kernel(tf.cast(layer.kernel_scale.value, layer.compute_dtype))
        return tf.cast(layer._kernel.value, layer.compute_dtype) / scale

    def product(self, layer: Any, inputs: Any, training: Any) -> Any:
        quantizer = self.how.activation_quantizer

        @tf.custom_gradient
        def multiply(inputs: Any, numbers: Any, scale: Any) -> Any:
            if quantizer is None:
                outputs = layer.contract(inputs, tf.cast(numbers, inputs.dtype)) / scale
            else:
                rounded, inputs_scale = quantizer(inputs, axis=layer.contracted_axes[0])
                whole = layer.contract(tf.cast(rounded, "int32"), tf.cast(numbers, "int32"))
                outputs = tf.cast(whole, inputs.dtype) / (scale * layer.inputs_scale_for_outputs(inputs_scale))

            def gradient(upstream: Any) -> Any:  # as if the inputs had not been rounded
                with tf.GradientTape() as tape:
                    tape.watch(inputs)
                    straight = layer.contract(inputs, tf.cast(numbers, inputs.dtype)) / scale
                return tape.gradient(straight, inputs, upstream), None, None

            return outputs, gradient

        if isinstance(inputs, tf.SparseTensor):
            inputs = tf.sparse.to_dense(inputs)
        scale = tf.cast(layer.kernel_scale.value, layer.compute_dtype)
        return multiply(inputs, tf.convert_to_tensor(layer._kernel.value), scale)


class Int4(Scheme):
    """Numbers of 4 bits, two in a byte, of the kernel as a matrix, with a scale for each column."""

    files = ("kernel", "bias", "kernel_scale", "kernel_zero", "g_idx")  # the last two are those of blocks

    def build(self, layer: Any, shape: tuple[int, ...]) -> None:
        rows, columns = layer.matrix_shape(shape)
        layer._kernel = layer.add_weight((rows, (columns + 1) // 2), "zeros", "int8", trainable=False, name="kernel")
        self.build_scales(layer, rows, columns)

    def build_scales(self, layer: Any, rows: int, columns: int) -> None:
        """Create the variables beside the numbers."""
        layer.kernel_scale = layer.add_weight((columns,), "ones", trainable=False, name="kernel_scale")

    def values(self, layer: Any, kernel: Any) -> list[tuple[Variable, Any]]:
        matrix = tf.reshape(kernel, layer.matrix_shape(layer.kernel_shape))
        numbers, *others = self.round(matrix)
        return [(layer._kernel, pack_int4(numbers, axis=-1)[0]), *zip(self.scales(layer), others)]

    def round(self, matrix: Any) -> tuple[Any, ...]:
        """The matrix in whole numbers, and the values of `scales`."""
        quantizer = self.how.weight_quantizer
        if quantizer is None:
            numbers, scale = abs_max_quantize(matrix, 0, (-8, 7), to_numpy=True)
        else:
            numbers, scale = quantizer(matrix, axis=0)
        return numbers, tf.reshape(scale, [-1])

    def scales(self, layer: Any) -> list[Variable]:
        """The variables that `round` gives values for, beside the numbers."""
        return [layer.kernel_scale]

    def numbers(self, layer: Any) -> Any:
        """The kernel as a matrix of whole numbers."""
        return unpack_int4(layer._kernel.value, layer.matrix_shape(layer.kernel_shape)[1], axis=-1)

    def shown(self, layer: Any) -> Any:
        return Computed(layer.kernel_shape, lambda: tf.reshape(self.numbers(layer), layer.kernel_shape))

    def dequantized(self, layer: Any) -> Any:
        numbers = tf.cast(self.numbers(layer), layer.compute_dtype)
        return tf.reshape(self.rescaled(layer, numbers), layer.kernel_shape)

    def rescaled(self, layer: Any, numbers: Any) -> Any:
        """The matrix in floats."""
        return numbers / tf.cast(layer.kernel_scale.value, layer.compute_dtype)

    def product(self, layer: Any, inputs: Any, training: Any) -> Any:
        if self.how.activation_quantizer is not None:
            rounded, scale = self.how.activation_quantizer(inputs, axis=layer.contracted_axes[0])
            inputs += tf.stop_gradient(tf.cast(rounded, inputs.dtype) / scale - inputs)
        return super().product(layer, inputs, training)


class Int4Blocks(Int4):
    """As `Int4`, with a scale and a zero point for each block of rows of a column."""

    def build_scales(self, layer: Any, rows: int, columns: int) -> None:
        blocks = (-(-rows // self.how.block_size), columns)
        layer.kernel_scale = layer.add_weight(blocks, "ones", trainable=False, name="kernel_scale")
        layer.kernel_zero = layer.add_weight(blocks, "zeros", "int8", trainable=False, name="kernel_zero")
        layer.g_idx = layer.add_weight((rows,), "zeros", "float32", trainable=False, autocast=False, name="g_idx")
        layer.g_idx.assign(np.arange(rows) // self.how.block_size)

    def round(self, matrix: Any) -> tuple[Any, ...]:
        return abs_max_quantize_grouped_with_zero_point(matrix, self.how.block_size, to_numpy=True)

    def scales(self, layer: Any) -> list[Variable]:
        return [layer.kernel_scale, layer.kernel_zero]

    def rescaled(self, layer: Any, numbers: Any) -> Any:
        block, dtype = tf.cast(layer.g_idx.value, "int32"), layer.compute_dtype
        scale, zero = (tf.cast(tf.gather(v.value, block), dtype) for v in self.scales(layer))
        return (numbers - zero) * scale


class Float8(Scheme):
    """Products whose factors, and whose gradient, pass through float8; scales follow the largest values seen.

    The scales and histories are variables whose "gradients" are their new values. Source: Micikevicius et al., "FP8
    Formats for Deep Learning", 2022.
    """

    parts = ("inputs", "kernel", "outputs_grad")
    files = ("kernel", "bias", *(f"{part}_{what}" for part in parts for what in ("scale", "amax_history")))
    adds_lora = False  # the kernel that is rounded has LoRA in it

    def build(self, layer: Any, shape: tuple[int, ...]) -> None:
        steps = getattr(layer.dtype_policy, "amax_history_length", 1024)
        options = {"dtype": "float32", "trainable": True, "autocast": False, "overwrite_with_gradient": True}
        for part in self.parts:
            scale = layer.add_weight((), "ones", name=f"{part}_scale", **options)
            history = layer.add_weight((steps,), "zeros", name=f"{part}_amax_history", **options)
            setattr(layer, f"{part}_scale", scale)
            setattr(layer, f"{part}_amax_history", history)

    def dequantized(self, layer: Any) -> Any:
        return layer.effective().value

    def shown(self, layer: Any) -> Any:
        return layer._kernel

    def product(self, layer: Any, inputs: Any, training: Any) -> Any:
        dtype = layer.compute_dtype
        inputs = _through_float8(inputs, *self._state(layer, "inputs"), dtype, training)
        kernel = _through_float8(self.dequantized(layer), *self._state(layer, "kernel"), dtype, training)
        return _gradient_through_float8(layer.contract(inputs, kernel), *self._state(layer, "outputs_grad"), dtype)

    def bias(self, layer: Any) -> Any:
        if layer.bias is None or layer.compute_dtype != "float32":
            return None
        return tf.cast(tf.cast(layer.bias.value, "bfloat16"), "float32")  # what products in float8 fuse with

    def _state(self, layer: Any, part: str) -> tuple[Any, Any]:
        names = (f"{part}_scale", f"{part}_amax_history")
        return tuple(tf.convert_to_tensor(getattr(layer, name).value) for name in names)  # pyright: ignore[reportReturnType]


def _new_state(x: Any, scale: Any, history: Any, small: str) -> tuple[Any, Any]:
    largest = float(tf.as_dtype(small).max)
    return compute_float8_scale(tf.reduce_max(history), scale, largest), compute_float8_amax_history(x, history)


def _through_float8(x: Any, scale: Any, history: Any, dtype: str, training: Any) -> Any:
    """`x` after a stay in float8; in training the gradients of scale and history are their new values."""

    @tf.custom_gradient
    def through(x: Any, scale: Any, history: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            return (upstream, *(_new_state(x, scale, history, "float8_e4m3fn") if training else (None, None)))

        return quantize_and_dequantize(x, scale, "float8_e4m3fn", dtype), gradient

    return through(x, scale, history)


def _gradient_through_float8(x: Any, scale: Any, history: Any, dtype: str) -> Any:
    """`x` itself, whose gradient passes through float8 on its way back."""

    @tf.custom_gradient
    def through(x: Any, scale: Any, history: Any) -> Any:
        def gradient(upstream: Any) -> Any:
            rounded = quantize_and_dequantize(upstream, scale, "float8_e5m2", dtype)
            return (rounded, *_new_state(upstream, scale, history, "float8_e5m2"))

        return tf.identity(x), gradient

    return through(x, scale, history)


class GPTQ(Scheme):
    """Numbers of 2 to 8 bits in groups of rows, found by calibration; until then the kernel stays in floats beside them.

    The matrix is kept turned, its columns first: numbers (U, D), two in a byte where they have 4 bits.
    """

    files = ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx")

    def build(self, layer: Any, shape: tuple[int, ...]) -> None:
        rows, columns = layer.matrix_shape(shape)
        groups = 1 if self.how.group_size == -1 else -(-rows // self.how.group_size)
        stored = (columns + 1) // 2 if self.how.weight_bits == 4 else columns
        options = {"trainable": False}
        layer.quantized_kernel = layer.add_weight((stored, rows), "zeros", "uint8", name="kernel", **options)
        layer.kernel_scale = layer.add_weight((columns, groups), "ones", name="kernel_scale", **options)
        layer.kernel_zero = layer.add_weight(
            (columns, groups), "zeros", "uint8", name=layer.name_of_zero_points, **options
        )
        self.build_more(layer, rows)
        layer.g_idx = layer.add_weight((rows,), "zeros", "float32", autocast=False, name="g_idx", **options)
        layer.note_columns(columns)

    def build_more(self, layer: Any, rows: int) -> None:
        """Create what a subclass needs besides."""

    def calibrated(self, layer: Any) -> bool:
        """Whether the numbers stand for the kernel, which is then given up."""
        return "_kernel" not in vars(layer)

    def store(self, layer: Any, numbers: Any, scale: Any, zero: Any, groups: Any) -> None:
        """Keep what calibration found, all of it turned, and give the kernel in floats up."""
        packed = pack_int4(tf.cast(numbers, "uint8"), 0, "uint8")[0] if self.how.weight_bits == 4 else numbers
        pairs = ((layer.quantized_kernel, packed), (layer.kernel_scale, scale), (layer.kernel_zero, zero))
        for variable, value in (*pairs, (layer.g_idx, groups)):
            variable.assign(value)
        layer.give_up("_kernel")

    def numbers(self, layer: Any) -> Any:
        """The matrix of whole numbers, turned."""
        if self.how.weight_bits != 4:
            return layer.quantized_kernel.value
        return unpack_int4(layer.quantized_kernel.value, layer.matrix_shape(layer.kernel_shape)[1], 0, "uint8")

    def shown(self, layer: Any) -> Any:
        return tf.convert_to_tensor(self.numbers(layer)) if self.calibrated(layer) else layer._kernel

    def dequantized(self, layer: Any) -> Any:
        if not self.calibrated(layer):
            return layer._kernel.value
        group, dtype = tf.cast(layer.g_idx.value, "int32"), layer.compute_dtype
        scale, zero = (
            tf.gather(tf.cast(v.value, dtype), group, axis=1) for v in (layer.kernel_scale, layer.kernel_zero)
        )
        return layer.from_matrix(tf.transpose((tf.cast(self.numbers(layer), dtype) - zero) * scale))


class AWQ(GPTQ):
    """As GPTQ, of a kernel whose rows were scaled up; the scales are taken off again."""

    files = ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx")

    def build_more(self, layer: Any, rows: int) -> None:
        layer.awq_scales = layer.add_weight((rows,), "ones", trainable=False, name="awq_scales")

    def dequantized(self, layer: Any) -> Any:
        kernel = super().dequantized(layer)
        if not self.calibrated(layer):
            return kernel
        scales = tf.cast(layer.awq_scales.value, layer.compute_dtype)[:, tf.newaxis]
        return kernel / layer.from_matrix(tf.tile(scales, [1, layer.matrix_shape(layer.kernel_shape)[1]]))


SCHEMES: dict[str, type[Scheme]] = {"int8": Int8, "int4": Int4Blocks, "float8": Float8, "gptq": GPTQ, "awq": AWQ}


def scheme_for(how: Any) -> Scheme:
    """The scheme that a config asks for."""
    per_channel = how.mode == "int4" and how.block_size in (None, -1)
    return Int4(how) if per_channel else SCHEMES[how.mode](how)
