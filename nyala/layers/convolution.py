"""Convolutions: windows that slide over sequences, images and volumes, each weighted by the same kernel.

The number of spatial dimensions is `rank`, a parameter of one implementation of each kind. The ops of
`nyala.ops.convolution` compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.settings import standardize_data_format
from nyala.core.variable import Variable
from nyala.layers.checks import integer_tuple, one_of, positive_integer
from nyala.layers.lora import LowRank
from nyala.layers.windows import channels_spec, join_shape, split_shape, with_defaults
from nyala.ops.convolution import (
    check_output_padding,
    conv,
    conv_transpose,
    depthwise_conv,
    refuse_strides_with_dilation,
    require_equal_strides,
    separable_conv,
    transposed_lengths,
    window_lengths,
)

_PARTS = {"initializer": config.initializers, "regularizer": config.regularizers, "constraint": config.constraints}
_BIAS_LAYOUT = {"channels_last": "NHWC", "channels_first": "NCHW"}  # in any number of dimensions


class BaseConv(Layer):
    """What all convolutions share: windows, weights, bias, activation.

    A subclass says in `kernels` which kernels it has and in `convolve` what it does with them.
    """

    kernel: Variable  # the weights that `build` makes of what `kernels` lists
    depthwise_kernel: Variable
    pointwise_kernel: Variable
    filters: int  # these three where the constructor takes them
    groups: int
    depth_multiplier: int

    rank = 2
    paddings: tuple[str, ...] = ("valid", "same")
    kinds: tuple[str, ...] = ("kernel", "bias")  # of weights, each with an initializer, a regularizer and a constraint

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Keep what the constructor of a subclass was given, by parameter: its `locals()`."""
        super().__init__(activity_regularizer=given["activity_regularizer"], **given["kwargs"])
        self.kernel_size = integer_tuple(self, "kernel_size", given["kernel_size"], self.rank)
        self.strides = integer_tuple(self, "strides", given["strides"], self.rank)
        self.padding = one_of(self, "padding", given["padding"], self.paddings)
        self.data_format = standardize_data_format(given["data_format"])
        self.dilation_rate = integer_tuple(self, "dilation_rate", given["dilation_rate"], self.rank)
        self.activation = config.activations.get(given["activation"] or "linear")
        self.use_bias = given["use_bias"]
        for name in ("filters", "groups", "depth_multiplier"):
            if name in given:
                setattr(self, name, positive_integer(self, name, given[name]))
        for kind in self.kinds:
            for part, table in _PARTS.items():
                setattr(self, f"{kind}_{part}", table.get(given[f"{kind}_{part}"]))
        self.input_spec = channels_spec(self.rank, self.data_format)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The kernels by name: of what kind each is (whose `{kind}_initializer` it takes), and its shape."""
        raise TypeError(f"{type(self).__name__} defines no kernels.")

    def convolve(self, inputs: Any) -> Any:
        """The inputs convolved, before the bias: C channels become `output_channels(C)`."""
        raise TypeError(f"{type(self).__name__} defines no convolution.")

    def output_channels(self, channels: int | None) -> int | None:
        """How many channels come out where `channels` go in."""
        return self.filters

    def output_lengths(self, sizes: Sequence[Any]) -> list[Any]:
        """The spatial sizes of the outputs where those of the inputs are `sizes`."""
        return window_lengths(sizes, self.kernel_size, self.strides, self.padding, self.dilation_rate)

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
        return self.add_weight(shape, name=name, **{part: getattr(self, f"{kind}_{part}") for part in _PARTS})

    def call(self, inputs: Any) -> Any:
        outputs = self.convolve(inputs)
        if self.bias is not None:
            outputs = tf.nn.bias_add(outputs, self.bias.value, _BIAS_LAYOUT[self.data_format])
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        spatial, channels = split_shape(input_shape, self.data_format)
        lengths = self.output_lengths(spatial)
        if any(length is not None and length <= 0 < size for length, size in zip(lengths, spatial)):
            raise ValueError(
                f"The kernel of `{self.path}`, size {self.kernel_size} with dilation {self.dilation_rate}, is larger than "
                f"its inputs of shape {tuple(input_shape)}. Use a smaller kernel or padding='same'."
            )
        return join_shape(input_shape[0], lengths, self.output_channels(channels), self.data_format)


# ---- Convolution ----


class Conv(LowRank, BaseConv):
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
        lora_rank, lora_alpha = kwargs.pop("lora_rank", None), kwargs.pop("lora_alpha", None)
        super().__init__(locals())
        self.keep_lora(lora_rank, lora_alpha)
        if self.filters % self.groups:
            raise ValueError(
                f"`filters` of `{self.name}` must be a multiple of `groups`, but got {self.filters} and {self.groups}."
            )
        refuse_strides_with_dilation(self.name, self.strides, self.dilation_rate)

    @property
    def kernel(self) -> Any:
        """W: the variable, or with LoRA what it amounts to."""
        return self.effective()

    @kernel.setter
    def kernel(self, variable: Variable) -> None:
        self._kernel = variable

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.start_lora()

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        if channels % self.groups:
            raise ValueError(
                f"The inputs of `{self.path}` must have a multiple of groups={self.groups} channels, but have {channels}."
            )
        return {"kernel": ("kernel", (*self.kernel_size, channels // self.groups, self.filters))}

    def convolve(self, inputs: Any) -> Any:
        return self.convolution_op(inputs, self.merged() if self.lora_enabled else self._kernel.value)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution with `kernel`, without bias and activation; override it to change the kernel on its way."""
        return conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)


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
        self._keep(locals())

    def _keep(self, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.output_padding = None
        if given["output_padding"] is not None:
            extra = integer_tuple(self, "output_padding", given["output_padding"], self.rank, allow_zero=True)
            check_output_padding(self.name, extra, self.kernel_size, self.strides, self.padding, self.dilation_rate)
            self.output_padding = extra
        refuse_strides_with_dilation(self.name, self.strides, self.dilation_rate)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"kernel": ("kernel", (*self.kernel_size, self.filters, channels))}

    def output_lengths(self, sizes: Sequence[Any]) -> list[Any]:
        window = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return transposed_lengths(sizes, *window, self.output_padding)

    def convolve(self, inputs: Any) -> Any:
        window = (self.strides, self.padding, self.output_padding, self.data_format, self.dilation_rate)
        return conv_transpose(inputs, self.kernel.value, *window)


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
        self._keep(locals())


# ---- Depthwise and separable convolution ----


class DepthwiseConv(BaseConv):
    """A convolution that keeps channels apart: the base of `DepthwiseConv1D` and `DepthwiseConv2D`."""

    kinds = ("depthwise", "bias")

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
        super().__init__(locals())
        require_equal_strides(self.name, self.strides)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"kernel": ("depthwise", (*self.kernel_size, channels, self.depth_multiplier))}

    def output_channels(self, channels: int | None) -> int | None:
        return None if channels is None else channels * self.depth_multiplier

    def convolve(self, inputs: Any) -> Any:
        window = (self.strides, self.padding, self.data_format, self.dilation_rate)
        return depthwise_conv(inputs, self.kernel.value, *window)


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

    kinds = ("depthwise", "pointwise", "bias")

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
        super().__init__(locals())
        require_equal_strides(self.name, self.strides)

    def kernels(self, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {
            "depthwise_kernel": ("depthwise", (*self.kernel_size, channels, self.depth_multiplier)),
            "pointwise_kernel": ("pointwise", (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)),
        }

    def convolve(self, inputs: Any) -> Any:
        window = (self.strides, self.padding, self.data_format, self.dilation_rate)
        return separable_conv(inputs, self.depthwise_kernel.value, self.pointwise_kernel.value, *window)


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
