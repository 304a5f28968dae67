"""Windows over space: convolutions, windows laid out as columns, and blocks of pixels laid into channels.

The number of spatial dimensions is that of the inputs. Everything computes on (N, …, C); `data_format="channels_first"`
transposes around that, since TensorFlow's CPU kernels know no other layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import gpus, is_eager, tf
from nyala.core.graph import op
from nyala.core.settings import standardize_data_format
from nyala.core.tensor import Tensor, promote
from nyala.ops.rules import dims, rank_of, tensor

__all__ = [
    "conv",
    "conv_transpose",
    "depth_to_space",
    "depthwise_conv",
    "fold",
    "separable_conv",
    "space_to_depth",
    "unfold",
]

Sizes = int | Sequence[int]
CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}  # as TensorFlow calls it; gradients in 3D need it said


# ---- What sliding windows share ----


def to_channels_last(x: Tensor, data_format: str) -> Tensor:
    """`x` as (N, …, C); a compiled graph fuses or drops the transposition."""
    return x if data_format == "channels_last" else tf.transpose(x, (0, *range(2, x.shape.rank), 1))


def from_channels_last(x: Tensor, data_format: str) -> Tensor:
    """(N, …, C) as `data_format` says."""
    return x if data_format == "channels_last" else tf.transpose(x, (0, x.shape.rank - 1, *range(1, x.shape.rank - 1)))


def integers(where: str, name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """`value` as `count` integers of at least `least`; one integer, alone or in a sequence, stands for all."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    values = values * count if len(values) == 1 else values
    whole = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v >= least for v in values)
    if not whole or len(values) != count:
        several = f"{count} integers" if count > 1 else "an integer"
        raise ValueError(f"`{name}` of `{where}` must be {several} of at least {least}, but got {value!r}.")
    return tuple(map(int, values))


def padding_name(where: str, padding: Any, choices: tuple[str, ...] = ("valid", "same")) -> str:
    """`padding` in lower case; a ValueError where it is none of `choices`."""
    name = padding.lower() if isinstance(padding, str) else padding
    if name not in choices:
        raise ValueError(f"`padding` of `{where}` must be one of {', '.join(map(repr, choices))}, but got {padding!r}.")
    return name


def window_lengths(
    sizes: Sequence[int | None],
    windows: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
) -> list[int | None]:
    """How many windows slide along axes of `sizes`: at most 0 where not one fits, None where the size is None."""
    lengths: list[int | None] = []
    for size, window, stride, dilation in zip(sizes, windows, strides, dilations):
        if size is None:
            lengths.append(None)
        else:
            last = size - (window - 1) * dilation - 1 if padding == "valid" else size - 1
            lengths.append(last // stride + 1)
    return lengths


class _Call:
    """The arguments of a convolution, checked: its inputs as (N, …, C) and how its windows slide."""

    def __init__(
        self,
        where: str,
        inputs: Any,
        kernel: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        highest_rank: int = 3,
        paddings: tuple[str, ...] = ("valid", "same"),
    ) -> None:
        inputs, self.kernel = promote(inputs, kernel)
        rank = self.rank = rank_of(inputs) - 2
        if not 1 <= rank <= highest_rank or rank_of(self.kernel) != rank + 2:
            raise ValueError(
                f"`{where}` takes inputs and a kernel that have both 3 to {highest_rank + 2} dimensions, but got shapes "
                f"{tuple(inputs.shape)} and {tuple(self.kernel.shape)}."
            )
        self.shape = self.kernel.shape.as_list()  # [K, …, C, U], or as the op says
        if None in self.shape:
            raise ValueError(f"`{where}` takes a kernel of known shape, but got {tuple(self.shape)}.")
        self.where = where
        self.strides = integers(where, "strides", strides, rank)
        self.dilations = integers(where, "dilation_rate", dilation_rate, rank)
        self.padding = padding_name(where, padding, paddings if rank == 1 else paddings[:2])
        self.data_format = standardize_data_format(data_format)
        self.inputs = to_channels_last(inputs, self.data_format)
        self.batch, *self.sizes, self.channels = self.inputs.shape.as_list()  # None where unknown

    def require_channels(self, channels: int) -> None:
        """Raise a ValueError where the inputs have other than `channels` channels."""
        if self.channels not in (None, channels):
            raise ValueError(
                f"The kernel of `{self.where}`, of shape {tuple(self.shape)}, wants {channels} channels, but the inputs "
                f"have {self.channels} ({self.data_format})."
            )

    def lengths(self) -> list[int | None]:
        """The sizes of the outputs; a ValueError where the kernel is larger than the inputs."""
        lengths = window_lengths(self.sizes, self.shape[:-2], self.strides, self.padding, self.dilations)
        if any(length is not None and length <= 0 < size for length, size in zip(lengths, self.sizes)):
            raise ValueError(
                f"The kernel of `{self.where}`, of shape {tuple(self.shape)} with dilation {self.dilations}, is larger than "
                f"its inputs of size {tuple(self.sizes)}. Use a smaller kernel or padding='same'."
            )
        return lengths

    def outputs(self, y: Tensor, lengths: Sequence[int | None], channels: int) -> Tensor:
        """`y`, (N, …, C), in the layout of the inputs and with the sizes that TensorFlow may have forgotten."""
        if not is_eager():
            y.set_shape([self.batch, *lengths, channels])
        return from_channels_last(y, self.data_format)


# ---- Convolution ----


@op
def conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Convolution in 1 to 3 dimensions: `y[p, u] = sum over k, c of x[p·strides + k·dilation_rate, c] · W[k, c, u]`.

    `padding` is "valid", "same" (zeros around, so that strides alone make the output smaller) or, along time, "causal"
    (zeros in front, so that no output sees the future). A kernel for `C / groups` channels convolves in groups, each
    with its share of the filters.

    Shapes: (N, …, C) and (K…, C / groups, U) → (N, …, U). Raises ValueError where the kernel does not fit, groups do
    not divide channels and filters, or strides and dilation are both above 1.

    Example:
        >>> from nyala import ops
        >>> x = ops.reshape([1.0, 2.0, 4.0, 8.0], (1, 4, 1))
        >>> ops.conv(x, ops.ones((2, 1, 1))).numpy().ravel().tolist()
        [3.0, 6.0, 12.0]
    """
    call = _Call(
        "conv", inputs, kernel, strides, padding, data_format, dilation_rate, paddings=("valid", "same", "causal")
    )
    x, kernel, padding = call.inputs, call.kernel, call.padding
    groups = _groups(call)
    refuse_strides_with_dilation("conv", call.strides, call.dilations)
    lengths = call.lengths()
    if padding == "causal":
        past = (call.shape[0] - 1) * call.dilations[0]
        x, padding = tf.pad(x, [(0, 0), (past, 0), (0, 0)]), "valid"
    window = (call.strides, padding.upper(), CHANNELS_LAST[call.rank], call.dilations)
    if call.rank == 2 and groups == 1 and max(call.dilations) == 1:  # eagerly in half the time of `tf.nn.convolution`
        outputs = tf.raw_ops.Conv2D(input=x, filter=kernel, strides=[1, *call.strides, 1], padding=padding.upper())
    elif groups == 1 or gpus():
        outputs = tf.nn.convolution(x, kernel, *window)
    else:  # TensorFlow's CPU kernels have no gradient for groups, and in 3D no groups at all
        parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1))
        outputs = tf.concat([tf.nn.convolution(a, b, *window) for a, b in parts], -1)
    return call.outputs(outputs, lengths, call.shape[-1])


def refuse_strides_with_dilation(where: str, strides: Sequence[int], dilations: Sequence[int]) -> None:
    """Raise a ValueError where windows both stride and have holes."""
    if max(strides) > 1 and max(dilations) > 1:
        raise ValueError(
            f"`{where}` takes strides or dilation_rate above 1, not both, but got strides={tuple(strides)} and "
            f"dilation_rate={tuple(dilations)}."
        )


def _groups(call: _Call) -> int:
    """In how many groups the channels of the inputs meet the kernel."""
    depth, filters = call.shape[-2:]
    if call.channels is None:
        return 1
    groups = call.channels // max(depth, 1)
    if groups * depth != call.channels or filters % max(groups, 1):
        raise ValueError(
            f"`conv` takes a multiple of the kernel's channels, and as many groups of filters, but the inputs have "
            f"{call.channels} channels and the kernel {depth}, for {filters} filters."
        )
    return groups


# ---- Transposed convolution ----


@op
def conv_transpose(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    output_padding: Sizes | None = None,
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Transposed convolution, the gradient of `conv`: each input adds its kernel, scaled, to the output.

    `y[p·strides + k·dilation_rate, u] += x[p, c] · W[k, u, c]`, cut to `size·strides` by padding "same".
    `output_padding` appends that much to the smallest output instead of the automatic choice.

    Shapes: (N, …, C) and (K…, U, C) → (N, …, U). Raises ValueError for an `output_padding` that strides cannot reach.

    Example:
        >>> from nyala import ops
        >>> x = ops.reshape([1.0, 2.0], (1, 2, 1))
        >>> ops.conv_transpose(x, ops.ones((3, 1, 1)), strides=2).numpy().ravel().tolist()
        [1.0, 1.0, 3.0, 2.0, 2.0]
    """
    call = _Call("conv_transpose", inputs, kernel, strides, padding, data_format, dilation_rate)
    *windows, filters, channels = call.shape
    call.require_channels(channels)
    extra = None
    if output_padding is not None:
        extra = integers("conv_transpose", "output_padding", output_padding, call.rank, least=0)
        check_output_padding("conv_transpose", extra, windows, call.strides, call.padding, call.dilations)
    reach = (windows, call.strides, call.padding, call.dilations, extra)
    batch, *sizes, _ = dims(call.inputs)
    shape = tf.stack([batch, *transposed_lengths(sizes, *reach), filters])
    arguments = (shape, call.strides, call.padding.upper(), CHANNELS_LAST[call.rank])
    outputs = tf.nn.conv_transpose(call.inputs, _dilated(call.kernel, call.dilations), *arguments)
    return call.outputs(outputs, transposed_lengths(call.sizes, *reach), filters)


def transposed_lengths(
    sizes: Sequence[Any],
    windows: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
    output_padding: Sequence[int] | None,
) -> list[Any]:
    """The sizes that a transposed convolution gives for `sizes`; None where one is None."""
    lengths: list[Any] = []
    for axis, (size, window, stride, dilation) in enumerate(zip(sizes, windows, strides, dilations)):
        extent = (window - 1) * dilation + 1
        if size is None:
            lengths.append(None)
        elif output_padding is None:
            lengths.append(size * stride + (max(extent - stride, 0) if padding == "valid" else 0))
        else:
            cut = 0 if padding == "valid" else 2 * (extent // 2)
            lengths.append((size - 1) * stride + extent - cut + output_padding[axis])
    return lengths


def check_output_padding(
    where: str,
    output_padding: Sequence[int],
    windows: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilations: Sequence[int],
) -> None:
    """Raise a ValueError where no convolution with these windows leads back from the padded outputs."""
    for extra, window, stride, dilation in zip(output_padding, windows, strides, dilations):
        least = int(padding == "same" and (window - 1) * dilation % 2 == 1)
        if not least <= extra < least + stride:
            raise ValueError(
                f"`output_padding` of `{where}` must be at least {least} and less than its strides{' + 1' * least}, for a kernel "
                f"of size {tuple(windows)}, strides {tuple(strides)} and padding={padding!r}, but got {tuple(output_padding)}."
            )


def _dilated(kernel: Tensor, rates: Sequence[int]) -> Tensor:
    """The kernel with `rate - 1` zeros between its weights along each spatial axis."""
    for axis, rate in enumerate(rates):
        if rate > 1:
            shape = kernel.shape.as_list()
            zeros = [(0, rate - 1 if place == axis + 1 else 0) for place in range(len(shape) + 1)]
            length = shape[axis] * rate
            kernel = tf.reshape(
                tf.pad(tf.expand_dims(kernel, axis + 1), zeros), [*shape[:axis], length, *shape[axis + 1 :]]
            )
            kernel = kernel[(slice(None),) * axis + (slice(0, length - rate + 1),)]
    return kernel


# ---- Depthwise and separable convolution ----


@op
def depthwise_conv(
    inputs: Tensor,
    kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Convolution of each channel by itself, in 1 or 2 dimensions; the kernel gives M channels for each one.

    `y[p, c·M + m] = sum over k of x[p·strides + k·dilation_rate, c] · W[k, c, m]`.

    Shapes: (N, …, C) and (K…, C, M) → (N, …, C·M). Raises ValueError where the kernel does not fit, and for strides
    that differ.

    Example:
        >>> from nyala import ops
        >>> ops.depthwise_conv(ops.ones((1, 3, 2)), ops.reshape([1.0, 2.0], (1, 2, 1))).numpy()[0, 0].tolist()
        [1.0, 2.0]
    """
    call = _Call("depthwise_conv", inputs, kernel, strides, padding, data_format, dilation_rate, highest_rank=2)
    x, kernel, dilations = call.inputs, call.kernel, call.dilations
    channels, multiplier = call.shape[-2:]
    call.require_channels(channels)
    lengths = call.lengths()
    require_equal_strides("depthwise_conv", call.strides)
    stride = call.strides[0]
    if stride > 1 and max(dilations) > 1:  # TensorFlow would stride first and dilate then
        kernel, dilations = _dilated(kernel, dilations), (1,) * call.rank
    window = ((1, stride, stride, 1), call.padding.upper())
    if call.rank == 1:  # a sequence is an image of height 1
        outputs = tf.nn.depthwise_conv2d(x[:, None], kernel[None], *window, dilations=(1, *dilations))
        outputs = tf.squeeze(outputs, 1)
    else:
        outputs = tf.nn.depthwise_conv2d(x, kernel, *window, dilations=dilations)
    return call.outputs(outputs, lengths, channels * multiplier)


def require_equal_strides(where: str, strides: Sequence[int]) -> None:
    """Raise a ValueError where strides differ from axis to axis, which TensorFlow's depthwise kernels cannot."""
    if len(set(strides)) > 1:
        raise ValueError(f"The strides of `{where}` must be equal, but got {tuple(strides)}.")


@op
def separable_conv(
    inputs: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Tensor:
    """Depthwise convolution, then one of size 1 that mixes the channels: `conv(depthwise_conv(x, D), P)`.

    Shapes: (N, …, C), (K…, C, M) and (1…, C·M, U) → (N, …, U). Raises ValueError where `depthwise_conv` does, and for a
    pointwise kernel of another size. Source: Chollet, "Xception: deep learning with depthwise separable convolutions", 2017.

    Example:
        >>> from nyala import ops
        >>> ops.separable_conv(ops.ones((1, 4, 2)), ops.ones((3, 2, 1)), ops.ones((1, 2, 1))).numpy().ravel().tolist()
        [6.0, 6.0]
    """
    pointwise_kernel = tensor(pointwise_kernel)
    if any(size not in (1, None) for size in pointwise_kernel.shape[:-2]):
        raise ValueError(
            f"The pointwise kernel of `separable_conv` must be of size 1 in space, but got shape "
            f"{tuple(pointwise_kernel.shape)}."
        )
    apart = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(apart, pointwise_kernel, data_format=data_format)


# ---- Windows as columns ----


def _window_positions(size: Any, window: int, dilation: int, stride: int) -> Any:
    """(K, count) → where along an axis of `size` each of the windows finds each of its K values."""
    count = (size - (window - 1) * dilation - 1) // stride + 1
    numbers = np.arange if isinstance(count, int) else tf.range
    return np.arange(window, dtype="int32")[:, None] * dilation + numbers(count, dtype="int32") * stride


@op
def unfold(x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Lay out each window of an image as a column of all its values; `padding` is a border of zeros.

    Shapes: (N, C, H, W) → (N, C·K·K, number of windows), windows in rows. Raises ValueError where no window fits.

    Example:
        >>> from nyala import ops
        >>> x = ops.reshape(ops.arange(9), (1, 1, 3, 3))
        >>> ops.unfold(x, 2).numpy()[0, :, 0].tolist()
        [0, 1, 3, 4]
    """
    x = tensor(x)
    if rank_of(x) != 4:
        raise ValueError(f"`unfold` takes images of shape (N, C, H, W), but got shape {tuple(x.shape)}.")
    windows, dilations, strides = _windows_of("unfold", kernel_size, dilation, stride)
    for axis, border in enumerate(integers("unfold", "padding", padding, 2, least=0)):
        if border:
            x = tf.pad(x, [(border, border) if place == axis + 2 else (0, 0) for place in range(4)])
    height, width = dims(x)[2:]
    rows, columns = map(_window_positions, (height, width), windows, dilations, strides)
    if 0 in (rows.shape[1], columns.shape[1]):
        raise ValueError(
            f"`unfold` got kernel_size={kernel_size} with dilation={dilation}, which is larger than its padded inputs of "
            f"shape {tuple(x.shape)}."
        )
    x = tf.gather(tf.transpose(x, (2, 3, 0, 1)), rows)  # (K, down, W, N, C)
    x = tf.gather(tf.transpose(x, (2, 0, 1, 3, 4)), columns)  # (J, across, K, down, N, C)
    j, across, k, down, batch, channels = dims(x)
    return tf.reshape(tf.transpose(x, (4, 5, 2, 0, 3, 1)), (batch, channels * k * j, down * across))


@op
def fold(
    x: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Put columns of window values, as `unfold` lays them out, back into an image; where windows overlap they add up.

    Shapes: (N, C·K·K, number of windows) → (N, C, *output_size). Raises ValueError where the columns are not those of
    such windows.

    Example:
        >>> from nyala import ops
        >>> x = ops.ones((1, 1, 3, 3))
        >>> ops.fold(ops.unfold(x, 2), 3, 2).numpy()[0, 0].tolist()
        [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    x = tensor(x)
    if rank_of(x) != 3:
        raise ValueError(f"`fold` takes columns of shape (N, C·K·K, windows), but got shape {tuple(x.shape)}.")
    (k, j), dilations, strides = _windows_of("fold", kernel_size, dilation, stride)
    top, left = integers("fold", "padding", padding, 2, least=0)
    height, width = integers("fold", "output_size", output_size, 2)
    sizes = (height + 2 * top, width + 2 * left)
    rows, columns = map(_window_positions, sizes, (k, j), dilations, strides)
    (batch, depth, _), (down, across) = dims(x), (rows.shape[1], columns.shape[1])
    if (x.shape[1] or 0) % (k * j) or x.shape[2] not in (None, down * across):
        raise ValueError(
            f"`fold` takes a multiple of {k * j} rows and, for an output of {height}×{width}, {down * across} columns, "
            f"but got shape {tuple(x.shape)}."
        )
    x = tf.transpose(tf.reshape(x, (batch, depth // (k * j), k, j, down, across)), (2, 4, 3, 5, 0, 1))
    x = tf.transpose(tf.math.unsorted_segment_sum(x, rows, sizes[0]), (1, 2, 0, 3, 4))  # (K, across, H, N, C)
    x = tf.math.unsorted_segment_sum(x, columns, sizes[1])  # (W, H, N, C)
    return tf.transpose(x[left : left + width, top : top + height], (2, 3, 1, 0))


def _windows_of(where: str, kernel_size: Any, dilation: Any, stride: Any) -> tuple[tuple[int, ...], ...]:
    named = {"kernel_size": kernel_size, "dilation": dilation, "stride": stride}
    return tuple(integers(where, name, value, 2) for name, value in named.items())


# ---- Blocks of pixels as channels ----


@op
def depth_to_space(x: Tensor, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Lay the channels of each pixel out as a block of B×B pixels (B is `block_size`); undoes `space_to_depth`.

    Shapes: (N, H, W, C·B·B) → (N, H·B, W·B, C). Raises ValueError where the channels cannot be shared out so.

    Example:
        >>> from nyala import ops
        >>> ops.depth_to_space([[[[1.0, 2.0, 3.0, 4.0]]]], 2).numpy()[0, ..., 0].tolist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    x, block, data_format = _blocks_of("depth_to_space", x, block_size, data_format)
    if (x.shape[-1] or 0) % block**2:
        raise ValueError(
            f"`depth_to_space` with block_size={block} takes a multiple of {block**2} channels, but got {x.shape[-1]}."
        )
    return from_channels_last(tf.nn.depth_to_space(x, block), data_format)


@op
def space_to_depth(x: Tensor, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """Stack the pixels of each block of B×B (B is `block_size`) as channels of one pixel; undoes `depth_to_space`.

    Shapes: (N, H, W, C) → (N, H / B, W / B, C·B·B). Raises ValueError where blocks do not cover the image.

    Example:
        >>> from nyala import ops
        >>> ops.space_to_depth(ops.reshape(ops.arange(4), (1, 2, 2, 1)), 2).numpy().tolist()
        [[[[0, 1, 2, 3]]]]
    """
    x, block, data_format = _blocks_of("space_to_depth", x, block_size, data_format)
    if any((size or 0) % block for size in x.shape[1:3]):
        raise ValueError(
            f"`space_to_depth` with block_size={block} takes images whose height and width are multiples of it, but got "
            f"{x.shape[1]}×{x.shape[2]}."
        )
    return from_channels_last(tf.nn.space_to_depth(x, block), data_format)


def _blocks_of(where: str, x: Any, block_size: Any, data_format: str | None) -> tuple[Tensor, int, str]:
    """The images as (N, H, W, C), the size of a block and the layout to return to."""
    x, (block,), data_format = (
        tensor(x),
        integers(where, "block_size", block_size, 1, least=2),
        standardize_data_format(data_format),
    )
    if rank_of(x) != 4:
        raise ValueError(f"`{where}` takes images, which have 4 dimensions, but got shape {tuple(x.shape)}.")
    return to_channels_last(x, data_format), block, data_format
