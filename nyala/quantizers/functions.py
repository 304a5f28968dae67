"""Numbers in few bits: scales, rounding, packing. Every function takes and gives tensors and keeps no state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, as_tensor, standardize_dtype

Axes = int | Sequence[int] | None


# ---- Whole numbers with a scale ----


@op
def abs_max_quantize(
    inputs: Tensor,
    axis: Axes,
    value_range: Sequence[int] = (-127, 127),
    dtype: DTypeLike = "int8",
    epsilon: float = 1e-07,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Whole numbers `q` and scales `s` with `q ≈ inputs · s`, so that the largest value along `axis` fills the range.

    `s = value_range[1] / (max |inputs| + epsilon)`, `q = clip(round(inputs · s))`. With `to_numpy`, this is computed on
    the CPU, where a large weight takes no memory of a GPU.

    Shapes: `q` as `inputs`; `s` too, but 1 along `axis`.

    Example:
        >>> import nyala
        >>> q, s = nyala.quantizers.abs_max_quantize([[1.0, -4.0, 2.0]], axis=-1)
        >>> q.numpy().tolist()
        [[32, -127, 64]]
    """
    if to_numpy:
        with tf.device("CPU"):
            return abs_max_quantize(inputs, axis, value_range, dtype, epsilon)
    inputs = as_tensor(inputs)
    exact = inputs if inputs.dtype.is_floating else tf.cast(inputs, "float32")
    largest = tf.reduce_max(tf.abs(exact), axis=axis, keepdims=True)
    scale = tf.cast(value_range[1] / (largest + tf.cast(epsilon, exact.dtype)), inputs.dtype)
    outputs = tf.clip_by_value(tf.round(inputs * scale), value_range[0], value_range[1])
    return tf.cast(outputs, standardize_dtype(dtype)), scale


@op
def abs_max_quantize_grouped_with_zero_point(
    inputs: Tensor,
    block_size: int,
    value_range: Sequence[int] = (-8, 7),
    dtype: DTypeLike = "int8",
    epsilon: float = 1e-07,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Whole numbers `q`, and for each block of rows scales `s` and zero points `z`: `inputs ≈ (q - z) · s`.

    A block of `block_size` rows of a column spans the whole range: `s = (max - min + epsilon) / (high - low)`,
    `z = clip(round(-min / s) + low)`. The last block is filled up with zeros. A block of one value has a range of 2
    round it; not so with `to_numpy`, which computes on the CPU and lets epsilon be the range.

    Shapes: `q` as `inputs`, (D, U); `s` and `z` (blocks, U). Raises ValueError where `inputs` are no matrix or
    `block_size` is not positive.

    Example:
        >>> import nyala
        >>> w = [[0.0], [1.5], [0.0], [15.0]]
        >>> q, s, z = nyala.quantizers.abs_max_quantize_grouped_with_zero_point(w, block_size=2)
        >>> q.numpy().ravel().tolist(), s.numpy().ravel().tolist(), z.numpy().ravel().tolist()
        ([-8, 7, -8, 7], [0.1, 1.0], [-8, -8])
    """
    inputs = as_tensor(inputs)
    if inputs.shape.rank != 2 or block_size < 1:
        raise ValueError(
            f"Blocks are made of the rows of a matrix, {block_size} at a time, but the inputs have shape {inputs.shape}; "
            "give a matrix and a positive block size."
        )
    with tf.device("CPU" if to_numpy else None):
        rows, columns = inputs.shape.as_list()
        blocks = -(-rows // block_size)
        filled = tf.pad(inputs, [[0, blocks * block_size - rows], [0, 0]])
        grouped = tf.reshape(filled, (blocks, block_size, columns))
        low, high = tf.reduce_min(grouped, 1, keepdims=True), tf.reduce_max(grouped, 1, keepdims=True)
        if not to_numpy:
            constant = low == high
            low, high = tf.where(constant, low - 1, low), tf.where(constant, high + 1, high)
        scale = (high - low + tf.cast(epsilon, inputs.dtype)) / (value_range[1] - value_range[0])
        zero = tf.clip_by_value(tf.round(-low / scale) + value_range[0], *value_range)
        outputs = tf.clip_by_value(tf.round(grouped / scale) + zero, *value_range)
        outputs = tf.reshape(outputs, (-1, columns))[:rows]
        dtype = standardize_dtype(dtype)
        return tf.cast(outputs, dtype), tf.squeeze(scale, 1), tf.cast(tf.squeeze(zero, 1), dtype)


@op
def fake_quant_with_min_max_vars(
    inputs: Tensor,
    min_vals: Tensor,
    max_vals: Tensor,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Tensor:
    """Round to the numbers that `num_bits` bits between `min_vals` and `max_vals` can tell apart; 0 is always one.

    Gradients pass where the inputs lie within the range, and go to its ends elsewhere. With `narrow_range` the lowest
    number is left out. With `axis`, `min_vals` and `max_vals` have a value for each place along it.

    Shapes: as `inputs`. TensorFlow raises InvalidArgumentError for other than 2 to 16 bits.

    Example:
        >>> import nyala
        >>> y = nyala.quantizers.fake_quant_with_min_max_vars([-9.0, 0.4, 2.7], 0.0, 3.0, num_bits=2)
        >>> y.numpy().tolist()
        [0.0, 0.0, 3.0]
    """
    inputs = as_tensor(inputs)
    values, low, high = (tf.cast(as_tensor(x), "float32") for x in (inputs, min_vals, max_vals))
    if axis is None:
        if inputs.shape.rank is None or low.shape.num_elements() != 1 or high.shape.num_elements() != 1:
            raise ValueError(
                f"Without an `axis` there is one minimum and one maximum, but they have shapes {low.shape} and "
                f"{high.shape}; say to which axis of the inputs they belong."
            )
        low, high = tf.reshape(low, ()), tf.reshape(high, ())
        outputs = tf.quantization.fake_quant_with_min_max_vars(values, low, high, num_bits, narrow_range)
        return tf.cast(outputs, inputs.dtype)
    rank = inputs.shape.rank
    last_again = [place for place in range(rank) if place != axis % rank] + [axis % rank]
    values = tf.transpose(values, last_again)
    outputs = tf.quantization.fake_quant_with_min_max_vars_per_channel(values, low, high, num_bits, narrow_range)
    return tf.cast(tf.transpose(outputs, np.argsort(last_again)), inputs.dtype)


# ---- Two numbers in a byte ----


def _check_kind(dtype: str, found: str) -> None:
    if dtype not in ("int8", "uint8"):
        raise ValueError(f"Numbers of 4 bits come in pairs as int8 or uint8, but got dtype={dtype!r}.")
    if found != dtype:
        raise TypeError(f"`pack_int4` packs a tensor of {dtype}, but got one of {found}; cast it, or say `dtype`.")


def pack_int4(arr: Tensor, axis: int = 0, dtype: str = "int8") -> tuple[Tensor, tuple[int, ...], int]:
    """Numbers of 4 bits, two neighbours along `axis` in a byte: the first in the low half, the second in the high.

    Returns the bytes, their shape and the length before. Raises TypeError for numbers of another dtype than `dtype`.

    Shapes: `axis` becomes half as long, rounded up.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> packed, shape, length = nyala.quantizers.pack_int4(np.array([1, 2, -1], "int8"))
        >>> packed.numpy().tolist(), shape, length
        ([33, 15], (2,), 3)
    """
    arr = as_tensor(arr)
    _check_kind(dtype, arr.dtype.name)
    length = arr.shape.as_list()[axis]
    pads = [[0, 0] for _ in arr.shape]
    pads[axis][1] = length % 2
    arr = tf.pad(arr, pads)
    low, high = _every_second(arr, axis, 0), _every_second(arr, axis, 1)
    packed = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(low, _constant(15, dtype)), high * _constant(16, dtype))
    return packed, tuple(packed.shape.as_list()), length


def _constant(value: int, dtype: str) -> Tensor:
    return tf.constant(value, dtype)


def _every_second(arr: Tensor, axis: int, first: int) -> Tensor:
    places: list[Any] = [slice(None)] * arr.shape.rank
    places[axis] = slice(first, None, 2)
    return arr[tuple(places)]


def unpack_int4(packed: Tensor, orig_len: int, axis: int = 0, dtype: str = "int8") -> Tensor:
    """What `pack_int4` packed: the first `orig_len` numbers along `axis`.

    Raises TypeError for other bytes than int8 and uint8.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.quantizers.unpack_int4(np.array([33, 15], "int8"), 3).numpy().tolist()
        [1, 2, -1]
    """
    packed = as_tensor(packed)
    if packed.dtype.name not in ("int8", "uint8") or dtype not in ("int8", "uint8"):
        raise TypeError(f"`unpack_int4` unpacks int8 or uint8 as `dtype`, but got {packed.dtype.name} as {dtype!r}.")
    rank = packed.shape.rank
    if not -rank <= axis < rank:
        raise ValueError(f"The packed numbers have {rank} dimensions, so there is no axis {axis}.")
    axis %= rank
    packed = tf.bitcast(packed, "uint8")
    four = _constant(4, "uint8")
    halves = [tf.bitwise.bitwise_and(packed, _constant(15, "uint8")), tf.bitwise.right_shift(packed, four)]
    shape = tf.unstack(tf.shape(packed))
    shape = [size if known is None else known for known, size in zip(packed.shape.as_list(), shape)]
    values = tf.reshape(tf.stack(halves, axis + 1), [*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]])
    values = values[(slice(None),) * axis + (slice(orig_len),)]
    if dtype == "int8":  # the fourth bit is the sign
        values = tf.bitwise.bitwise_xor(tf.bitcast(values, "int8"), _constant(8, "int8")) - 8
    return values


# ---- Eight bits of floating point ----


@op
def compute_float8_scale(amax: Tensor, scale: Tensor, dtype_max: float, margin: int = 0) -> Tensor:
    """The scale by which values up to `amax` fit a dtype whose largest number is `dtype_max`.

    `scale = amax · 2^margin / dtype_max`; where `amax` is 0 or not finite, the old scale.

    Example:
        >>> import nyala
        >>> float(nyala.quantizers.compute_float8_scale(896.0, 1.0, 448.0))
        2.0
    """
    amax, scale = as_tensor(amax), as_tensor(scale)
    fitting = (dtype_max / amax) / tf.cast(2.0**margin, amax.dtype)
    usable = (amax > 0) & tf.math.is_finite(amax)
    return 1.0 / tf.where(usable, fitting, 1.0 / scale)


@op
def compute_float8_amax_history(x: Tensor, amax_history: Tensor) -> Tensor:
    """The history of largest values, one step older, with the largest `|x|` at its head.

    Shapes: (steps,) → (steps,).

    Example:
        >>> import nyala
        >>> nyala.quantizers.compute_float8_amax_history([1.0, -7.0], [3.0, 4.0, 5.0]).numpy().tolist()
        [7.0, 5.0, 3.0]
    """
    history = as_tensor(amax_history)
    largest = tf.cast(tf.reduce_max(tf.abs(as_tensor(x))), history.dtype)
    return tf.concat([largest[tf.newaxis], tf.roll(history, -1, 0)[1:]], 0)


@op
def quantize_and_dequantize(
    inputs: Tensor, scale: Tensor, quantized_dtype: DTypeLike, compute_dtype: DTypeLike
) -> Tensor:
    """What is left of `inputs` after a stay in a small float dtype: `cast(clip(inputs / scale)) · scale`.

    Shapes: as `inputs`. Raises TypeError where `quantized_dtype` is no float.

    Example:
        >>> import nyala
        >>> nyala.quantizers.quantize_and_dequantize([0.3, 900.0], 1.0, "float8_e4m3fn", "float32").numpy().tolist()
        [0.3125, 448.0]
    """
    small, compute_dtype = tf.as_dtype(standardize_dtype(quantized_dtype)), standardize_dtype(compute_dtype)
    if not small.is_floating:
        raise TypeError(f"`quantized_dtype` is a floating dtype such as 'float8_e4m3fn', but got {quantized_dtype!r}.")
    scale = tf.cast(as_tensor(scale), compute_dtype)
    scaled = tf.cast(as_tensor(inputs), compute_dtype) / scale
    largest = tf.cast(float(small.max), compute_dtype)
    return tf.cast(tf.cast(tf.clip_by_value(scaled, -largest, largest), small), compute_dtype) * scale
