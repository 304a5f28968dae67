"""Convolutions: windows that slide over sequences, images and volumes, each weighted by the same kernel.

The number of spatial dimensions is `rank`, a parameter of one implementation of each kind. Everything computes on
(N, …, C); `data_format="channels_first"` transposes around that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import gpus, tf
from nyala.core.layer import Layer
from nyala.core.settings import standardize_data_format
from nyala.core.variable import Variable
from nyala.layers.checks import integer_tuple, one_of, positive_integer
from nyala.layers.windows import (
    CHANNELS_LAST,
    channels_spec,
    from_channels_last,
    join_shape,
    sizes,
    split_shape,
    to_channels_last,
    window_length,
    with_defaults,
)


class BaseConv(Layer):
    """What all convolutions share: windows, weights, bias, activation.

    A subclass says in `kernels` which kernels it has and in `convolve` what it does with them.
    """

    kernel: Variable  # the weights that `build` makes of what `kernels` lists
    depthwise_kernel: Variable
    pointwise_kernel: Variable

    rank = 2
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        weights: Mapping[str, tuple[Any, Any, Any]],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = integer_tuple(self, "kernel_size", kernel_size, self.rank)
        self.strides = integer_tuple(self, "strides", strides, self.rank)
        self.padding = one_of(self, "padding", padding, self.paddings)
        self.data_format = standardize_data_format(data_format)
        self.dilation_rate = integer_tuple(self, "dilation_rate", dilation_rate, self.rank)
        self.activation = config.activations.get(activation or "linear")
        self.use_bias = use_bias
        for name, (initializer, regularizer, constraint) in weights.items():
            setattr(self, f"{name}_initializer", config.initializers.get(initializer))
            setattr(self, f"{name}_regularizer", config.regularizers.get(regularizer))
            setattr(self, f"{name}_constraint", config.constraints.get(constraint))
        self.input_spec = channels_spec(self.rank, self.data_format)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The kernels by name: of what kind each is (whose `{kind}_initializer` it takes), and its shape."""
        raise TypeError(f"{type(self).__name__} defines no kernels.")

    def convolve(self, inputs: Any) -> Any:
        """(N, …, C) → (N, …, output_channels(C)), before the bias."""
        raise TypeError(f"{type(self).__name__} defines no convolution.")

    def output_channels(self, channels: int | None) -> int | None:
        """How many channels come out where `channels` go in."""
        return self.filters  # type: ignore[attr-defined]

    def output_length(self, axis: int, size: Any) -> Any:
        """The output's size along a spatial axis where the input's is `size`."""
        return window_length(size, self.kernel_size[axis], self.strides[axis], self.padding, self.dilation_rate[axis])

    def build(self, input_shape: Any) -> None:
        channels = split_shape(input_shape, self.data_format)[1]
        if len(input_shape) != self.rank + 2 or channels is None:
            raise ValueError(
                f"`{self.path}` expected inputs with {self.rank + 2} dimensions and a known number of channels "
                f"({self.data_format}), but got shape {tuple(input_shape)}."
            )
        self.compute_output_shape(input_shape)  # raises where the kernel is too large
        for name, (kind, shape) in self.kernels(channels).items():
            setattr(self, name, self._add_weight(name, kind, shape))
        self.bias = self._add_weight("bias", "bias", (self.output_channels(channels),)) if self.use_bias else None
        self.input_spec = channels_spec(self.rank, self.data_format, channels)

    def _add_weight(self, name: str, kind: str, shape: tuple[Any, ...]) -> Any:
        return self.add_weight(
            shape=shape,
            initializer=getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name,
        )

    def call(self, inputs: Any) -> Any:
        outputs = self.convolve(to_channels_last(inputs, self.data_format))
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, self.bias.value)
        return self.activation(from_channels_last(outputs, self.data_format))

    def compute_output_shape(self, input_shape: Any) -> Any:
        spatial, channels = split_shape(input_shape, self.data_format)
        lengths = [self.output_length(axis, size) for axis, size in enumerate(spatial)]
        if any(length is not None and length <= 0 < size for length, size in zip(lengths, spatial)):
            raise ValueError(
                f"The kernel of `{self.path}`, size {self.kernel_size} with dilation {self.dilation_rate}, is larger than "
                f"its inputs of shape {tuple(input_shape)}. Use a smaller kernel or padding='same'."
            )
        return join_shape(input_shape[0], lengths, self.output_channels(channels), self.data_format)

    def _refuse_strides_with_dilation(self) -> None:
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"`{self.name}` takes strides or dilation_rate above 1, not both, but got strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}."
            )


# ---- Convolution ----


def grouped_convolution(x: Any, kernel: Any, strides: Sequence[int], padding: str, dilations: Sequence[int]) -> Any:
    """(N, …, C) with a kernel (K…, C / groups, filters): each group of channels gives its share of the filters."""
    groups = x.shape[-1] // kernel.shape[-2]
    window = {
        "strides": strides,
        "padding": padding,
        "dilations": dilations,
        "data_format": CHANNELS_LAST[len(strides)],
    }
    if groups == 1 or gpus():
        return tf.nn.convolution(x, kernel, **window)
    # TensorFlow's CPU kernels have no gradient for groups, and in 3D no groups at all.
    parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1))
    return tf.concat([tf.nn.convolution(a, b, **window) for a, b in parts], -1)


class Conv(BaseConv):
    """Convolution over `rank` spatial dimensions: the base of `Conv1D`, `Conv2D` and `Conv3D`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        weights = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        kwargs["activity_regularizer"] = activity_regularizer
        super().__init__(*window, activation, use_bias, weights, **kwargs)
        self.filters = positive_integer(self, "filters", filters)
        self.groups = positive_integer(self, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"`filters` of `{self.name}` must be a multiple of `groups`, but got {filters} and {groups}."
            )
        self._refuse_strides_with_dilation()

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        if channels % self.groups:
            raise ValueError(
                f"The inputs of `{self.path}` must have a multiple of groups={self.groups} channels, but have {channels}."
            )
        return {"kernel": ("kernel", (*self.kernel_size, channels // self.groups, self.filters))}

    def convolve(self, inputs: Any) -> Any:
        padding = self.padding.upper()
        if padding == "CAUSAL":
            past = (self.kernel_size[0] - 1) * self.dilation_rate[0]
            inputs, padding = tf.pad(inputs, [(0, 0), (past, 0), (0, 0)]), "VALID"
        return grouped_convolution(inputs, self.kernel.value, self.strides, padding, self.dilation_rate)


class Conv1D(Conv):
    """Convolution along time: `y[t, u] = activation(b[u] + sum over k, c of x[t·stride + k·dilation, c] · W[k, c, u])`.

    With `groups`, filters of one group see the channels of that group only. `padding`: "valid", "same" (zeros so that
    strides alone shorten the output) or "causal" (zeros in front: no output sees the future).

    Shapes: (N, T, C) → (N, T', filters); W is (K, C / groups, filters). Raises ValueError where the kernel does not
    fit, groups do not divide channels and filters, or strides and dilation are both above 1.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Conv1D(4, 3)(np.ones((2, 10, 5), "float32")).shape.as_list()
        [2, 8, 4]
    """

    rank = 1
    paddings = ("valid", "same", "causal")


class Conv2D(Conv):
    """Convolution over images: each output is a weighted sum over a window of K×K pixels and their channels.

    Shapes: (N, H, W, C) → (N, H', W', filters); the kernel is (K, K, C / groups, filters). Padding, groups and errors
    are those of `Conv1D`, without "causal".

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Conv2D(4, 3, padding="same")(np.ones((2, 8, 8, 3), "float32")).shape.as_list()
        [2, 8, 8, 4]
    """

    __init__ = with_defaults(Conv.__init__, strides=(1, 1), dilation_rate=(1, 1))


class Conv3D(Conv):
    """Convolution over volumes: (N, D, H, W, C) → (N, D', H', W', filters); see `Conv1D` for formula and errors.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Conv3D(2, 3)(np.ones((1, 5, 5, 5, 3), "float32")).shape.as_list()
        [1, 3, 3, 3, 2]
    """

    rank = 3
    __init__ = with_defaults(Conv.__init__, strides=(1, 1, 1), dilation_rate=(1, 1, 1))


# ---- Transposed convolution ----


def dilated(kernel: Any, rates: Sequence[int]) -> Any:
    """The kernel with `rate - 1` zeros between its weights along each spatial axis."""
    for axis, rate in enumerate(rates):
        if rate > 1:
            shape = kernel.shape.as_list()
            spread = tf.pad(kernel[(slice(None),) * (axis + 1) + (None,)], _after(len(shape) + 1, axis + 1, rate - 1))
            length = shape[axis] * rate
            kernel = tf.reshape(spread, [*shape[:axis], length, *shape[axis + 1 :]])
            kernel = kernel[(slice(None),) * axis + (slice(0, length - rate + 1),)]
    return kernel


def _after(rank: int, axis: int, count: int) -> list[tuple[int, int]]:
    return [(0, count if place == axis else 0) for place in range(rank)]


class ConvTranspose(BaseConv):
    """The gradient of a convolution as a layer: the base of `Conv1DTranspose` to `Conv3DTranspose`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        weights = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        kwargs["activity_regularizer"] = activity_regularizer
        super().__init__(*window, activation, use_bias, weights, **kwargs)
        self.filters = positive_integer(self, "filters", filters)
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = integer_tuple(self, "output_padding", output_padding, self.rank, allow_zero=True)
            self._check_output_padding(self.output_padding)
        self._refuse_strides_with_dilation()

    def _extent(self, axis: int) -> int:
        """How far the kernel with its holes reaches along an axis."""
        return (self.kernel_size[axis] - 1) * self.dilation_rate[axis] + 1

    def _check_output_padding(self, output_padding: tuple[int, ...]) -> None:
        for axis, (extra, stride) in enumerate(zip(output_padding, self.strides)):
            if extra >= stride:
                raise ValueError(
                    f"`output_padding` of `{self.name}` must be less than its strides {self.strides}, but got "
                    f"{output_padding}."
                )
            if self.padding == "same" and self._extent(axis) % 2 == 0 and extra == 0:
                raise ValueError(
                    f"`output_padding` of `{self.name}` must be at least 1 where padding is 'same' and the kernel's "
                    f"size even (here {self.kernel_size}), but got {output_padding}."
                )

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"kernel": ("kernel", (*self.kernel_size, self.filters, channels))}

    def output_length(self, axis: int, size: Any) -> Any:
        if size is None:
            return None
        extent, stride = self._extent(axis), self.strides[axis]
        if self.output_padding is None:
            return size * stride + (max(extent - stride, 0) if self.padding == "valid" else 0)
        cut = 0 if self.padding == "valid" else 2 * (extent // 2)
        return (size - 1) * stride + extent - cut + self.output_padding[axis]

    def convolve(self, inputs: Any) -> Any:
        batch, *spatial, _ = sizes(inputs)
        lengths = [self.output_length(axis, size) for axis, size in enumerate(spatial)]
        shape = tf.stack([batch, *lengths, self.filters])
        kernel = dilated(self.kernel.value, self.dilation_rate)
        padding, layout = self.padding.upper(), CHANNELS_LAST[self.rank]
        outputs = tf.nn.conv_transpose(inputs, kernel, shape, self.strides, padding, layout)
        known = [self.output_length(axis, size) for axis, size in enumerate(inputs.shape[1:-1])]
        return tf.ensure_shape(outputs, [inputs.shape[0], *known, self.filters])


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution along time: each input step adds its kernel, scaled, to the output, `strides` apart.

    `y[s·stride + k·dilation, u] += x[s, c] · W[k, u, c]`, cut to T·stride steps by padding "same"; `output_padding`
    appends steps instead of the automatic choice.

    Shapes: (N, T, C) → (N, T', filters); W is (K, filters, C). Raises ValueError where `output_padding` is not below
    the strides, or strides and dilation are both above 1.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Conv1DTranspose(4, 3, strides=2)(np.ones((2, 5, 3), "float32")).shape.as_list()
        [2, 11, 4]
    """

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution of images: (N, H, W, C) → (N, H', W', filters); see `Conv1DTranspose`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.Conv2DTranspose(4, 3, strides=2, padding="same")
        >>> layer(np.ones((1, 5, 5, 3), "float32")).shape.as_list()
        [1, 10, 10, 4]
    """

    __init__ = with_defaults(ConvTranspose.__init__, strides=(1, 1), dilation_rate=(1, 1))


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution of volumes: (N, D, H, W, C) → (N, D', H', W', filters); see `Conv1DTranspose`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Conv3DTranspose(2, 2)(np.ones((1, 3, 3, 3, 4), "float32")).shape.as_list()
        [1, 4, 4, 4, 2]
    """

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,  # before `output_padding` here, as in the reference
        output_padding: Any = None,
        dilation_rate: Any = (1, 1, 1),
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            output_padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )


# ---- Depthwise and separable convolution ----


def depthwise_convolution(x: Any, kernel: Any, strides: Sequence[int], padding: str, dilations: Sequence[int]) -> Any:
    """(N, …, C) with a kernel (K…, C, M) → (N, …, C·M): each channel by itself, in one or two spatial dimensions."""
    if len(strides) == 1:  # a sequence is an image of height 1
        stride = (1, strides[0], strides[0], 1)
        y = tf.nn.depthwise_conv2d(x[:, None], kernel[None], stride, padding, dilations=(1, *dilations))
        return tf.squeeze(y, 1)
    return tf.nn.depthwise_conv2d(x, kernel, (1, *strides, 1), padding, dilations=tuple(dilations))


class DepthwiseConv(BaseConv):
    """A convolution that keeps channels apart: the base of `DepthwiseConv1D` and `DepthwiseConv2D`."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        weights = {
            "depthwise": (depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        kwargs["activity_regularizer"] = activity_regularizer
        super().__init__(*window, activation, use_bias, weights, **kwargs)
        self.depth_multiplier = positive_integer(self, "depth_multiplier", depth_multiplier)
        _require_equal_strides(self)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"kernel": ("depthwise", (*self.kernel_size, channels, self.depth_multiplier))}

    def output_channels(self, channels: int | None) -> int | None:
        return None if channels is None else channels * self.depth_multiplier

    def convolve(self, inputs: Any) -> Any:
        return depthwise_convolution(inputs, self.kernel.value, self.strides, self.padding.upper(), self.dilation_rate)


def _require_equal_strides(layer: Any) -> None:
    if len(set(layer.strides)) > 1:
        raise ValueError(f"The strides of `{layer.name}` must be equal, but got {layer.strides}.")


class DepthwiseConv1D(DepthwiseConv):
    """A convolution of each channel by itself along time; it gives `depth_multiplier` (M) channels for each one.

    `y[t, c·M + m] = activation(b + sum over k of x[t·stride + k·dilation, c] · W[k, c, m])`.

    Shapes: (N, T, C) → (N, T', C·M); W is (K, C, M). Raises ValueError where the kernel does not fit.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.DepthwiseConv1D(3, depth_multiplier=2)(np.ones((2, 6, 4), "float32")).shape.as_list()
        [2, 4, 8]
    """

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """A convolution of each channel of images by itself: (N, H, W, C) → (N, H', W', C·M); see `DepthwiseConv1D`.

    Raises ValueError for strides that differ, besides.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.DepthwiseConv2D(3)(np.ones((2, 6, 6, 4), "float32")).shape.as_list()
        [2, 4, 4, 4]
    """

    __init__ = with_defaults(DepthwiseConv.__init__, strides=(1, 1), dilation_rate=(1, 1))


class SeparableConv(BaseConv):
    """A depthwise convolution, then one of size 1 that mixes channels: the base of `SeparableConv1D` and `2D`."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        weights = {
            "depthwise": (depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            "pointwise": (pointwise_initializer, pointwise_regularizer, pointwise_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        kwargs["activity_regularizer"] = activity_regularizer
        super().__init__(*window, activation, use_bias, weights, **kwargs)
        self.filters = positive_integer(self, "filters", filters)
        self.depth_multiplier = positive_integer(self, "depth_multiplier", depth_multiplier)
        _require_equal_strides(self)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {
            "depthwise_kernel": ("depthwise", (*self.kernel_size, channels, self.depth_multiplier)),
            "pointwise_kernel": ("pointwise", (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)),
        }

    def convolve(self, inputs: Any) -> Any:
        window = (self.strides, self.padding.upper(), self.dilation_rate)
        apart = depthwise_convolution(inputs, self.depthwise_kernel.value, *window)
        return tf.nn.convolution(apart, self.pointwise_kernel.value)


class SeparableConv1D(SeparableConv):
    """A depthwise convolution along time, then a 1×1 convolution that mixes the channels: fewer weights, nearly as good.

    `y = activation(depthwise(x) @ P + b)`, P of shape (1, C·M, filters).

    Shapes: (N, T, C) → (N, T', filters). Raises ValueError where the kernel does not fit. Source: Chollet, "Xception", 2017.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.SeparableConv1D(5, 3)(np.ones((2, 6, 4), "float32")).shape.as_list()
        [2, 4, 5]
    """

    rank = 1


class SeparableConv2D(SeparableConv):
    """A depthwise convolution of images, then a 1×1 convolution: (N, H, W, C) → (N, H', W', filters).

    See `SeparableConv1D`; raises ValueError for strides that differ, besides.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.SeparableConv2D(5, 3)(np.ones((2, 6, 6, 4), "float32")).shape.as_list()
        [2, 4, 4, 5]
    """

    __init__ = with_defaults(SeparableConv.__init__, strides=(1, 1), dilation_rate=(1, 1))


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D

for _layer in (Conv1D, Conv2D, Conv3D, Conv1DTranspose, Conv2DTranspose, Conv3DTranspose):
    config.layers.add(_layer, _layer.__name__.replace("Conv", "Convolution"))
for _layer in (SeparableConv1D, SeparableConv2D):
    config.layers.add(_layer, _layer.__name__.replace("Conv", "Convolution"))
for _layer in (DepthwiseConv1D, DepthwiseConv2D):
    config.layers.add(_layer)
