"""LSTMs whose products are convolutions: over sequences of sequences, of images and of volumes.

The number of spatial dimensions is `rank`, a parameter of one implementation. States have the sizes that the
convolution of the inputs gives; the convolution of the state keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import InputSpec
from nyala.core.settings import standardize_data_format
from nyala.layers.checks import integer_tuple, one_of
from nyala.layers.recurrent import OneCell, of_cell
from nyala.layers.recurrent_cells import LSTMCell, masked_product
from nyala.layers.windows import join_shape, sizes, split_shape
from nyala.layers.wrappers import fold_steps, unfold_steps
from nyala.ops.convolution import conv, refuse_strides_with_dilation, window_lengths


class ConvLSTMCell(LSTMCell):
    """One step of an LSTM with convolutions for products; `ConvLSTM2D` has the formula."""

    draws_first = True
    width_argument = "filters"
    filters: int

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super(LSTMCell, self).__init__(locals(), **kwargs)
        self.rank, self.unit_forget_bias = rank, unit_forget_bias
        self.kernel_size = integer_tuple(self, "kernel_size", kernel_size, rank)
        self.strides = integer_tuple(self, "strides", strides, rank)
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        self.data_format = standardize_data_format(data_format)
        self.dilation_rate = integer_tuple(self, "dilation_rate", dilation_rate, rank)
        refuse_strides_with_dilation(self.name, self.strides, self.dilation_rate)
        self.axis = -1 if self.data_format == "channels_last" else -rank - 1
        self.mask_count = self.gates  # dropout has a mask for each gate

    def build(self, input_shape: Any) -> None:
        spatial, channels = split_shape(input_shape, self.data_format)
        if channels is None:
            raise ValueError(
                f"`{self.path}` expected inputs with a known number of channels ({self.data_format}), but got shape "
                f"{tuple(input_shape)}."
            )
        self.step_shape = tuple(input_shape[1:])
        if any(length is not None and length <= 0 < size for length, size in zip(self.lengths(spatial), spatial)):
            raise ValueError(
                f"The kernel of `{self.path}`, size {self.kernel_size} with dilation {self.dilation_rate}, is larger than "
                f"its inputs of shape {tuple(input_shape)}. Use a smaller kernel or padding='same'."
            )
        self.build_weights((*self.kernel_size, channels), (*self.kernel_size, self.filters))

    def lengths(self, spatial: Sequence[Any]) -> list[Any]:
        """The spatial sizes of the states where those of the inputs are `spatial`."""
        return window_lengths(spatial, self.kernel_size, self.strides, self.padding, self.dilation_rate)

    def state_shape(self, input_shape: Sequence[Any]) -> tuple[Any, ...]:
        """The shape of each state and of the output for inputs (N, …) of one time step."""
        spatial, _ = split_shape(input_shape, self.data_format)
        return join_shape(input_shape[0], self.lengths(spatial), self.filters, self.data_format)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for the first time step of inputs as large as those the cell was built for."""
        shape = self.state_shape((batch_size, *self.step_shape))
        if None in shape[1:]:
            raise ValueError(f"`{self.path}` was built for inputs of any size, so pass `initial_state` to its layer.")
        return [tf.zeros(shape, self.compute_dtype)] * 2

    def project(self, inputs: Any) -> Any:
        if inputs.shape.rank == self.rank + 3:  # all time steps, (T, N, …), go through one convolution
            masks = None if self.input_mask is None else [mask[None] for mask in self.input_mask]
        else:
            masks = self.input_mask
        projected = masked_product(inputs, self.kernel.value, masks, self.gates, self._convolve_inputs, self.axis)
        if self.bias is None:
            return projected
        return projected + tf.reshape(self.bias.value, (-1, *[1] * (-self.axis - 1)))

    def recur(self, h: Any) -> Any:
        kernel = self.recurrent_kernel.value
        return masked_product(h, kernel, self.recurrent_mask, self.gates, self._convolve_state, self.axis)

    def _convolve_inputs(self, inputs: Any, kernel: Any) -> Any:
        window = (self.strides, self.padding, self.data_format, self.dilation_rate)
        if inputs.shape.rank == self.rank + 2:
            return conv(inputs, kernel, *window)
        return unfold_steps(conv(fold_steps(inputs), kernel, *window), inputs)

    def _convolve_state(self, h: Any, kernel: Any) -> Any:
        return conv(h, kernel, 1, "same", self.data_format)


class ConvLSTM(OneCell):
    """A convolutional LSTM over `rank` spatial dimensions: the base of `ConvLSTM1D`, `ConvLSTM2D` and `ConvLSTM3D`."""

    rank = 2
    cell_only = ()

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(ConvLSTMCell, {**locals(), "rank": self.rank}, kwargs)
        self.input_spec = InputSpec(ndim=self.rank + 3)

    filters, kernel_size, strides, padding = map(of_cell, ("filters", "kernel_size", "strides", "padding"))
    data_format, dilation_rate = map(of_cell, ("data_format", "dilation_rate"))
    recurrent_activation, unit_forget_bias = map(of_cell, ("recurrent_activation", "unit_forget_bias"))

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        super().build(sequences_shape, initial_state_shape)
        axis = -1 if self.data_format == "channels_last" else 2
        self.input_spec = InputSpec(ndim=self.rank + 3, axes={axis: sequences_shape[axis]})

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        batch, length, *step = sequences_shape
        state = self.cell.state_shape((batch, *step))
        output = (batch, length, *state[1:]) if self.return_sequences else state
        return (output, state, state) if self.return_state else output

    def _blank_states(self, sequences: Any, batch: Any) -> list[Any]:
        batch, _, *step = sizes(sequences)
        return [tf.zeros(self.cell.state_shape((batch, *step)), self.compute_dtype)] * 2

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unroll": self.unroll}


class ConvLSTM1D(ConvLSTM):
    """A convolutional LSTM over sequences of sequences, (N, T, W, C) → (N, W', filters); see `ConvLSTM2D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ConvLSTM1D(4, 3)(np.ones((2, 5, 8, 3), "float32")).shape.as_list()
        [2, 6, 4]
    """

    rank = 1


class ConvLSTM2D(ConvLSTM):
    """A convolutional LSTM over sequences of images, each step an image.

    `i, f, g, o = split(x * W + b + h * R)`; `c' = σ(f)·c + σ(i)·tanh(g)`; `h' = σ(o)·tanh(c')`, * being convolution.
    `strides`, `padding` and `dilation_rate` are those of x * W; h * R keeps the size.

    Shapes: (N, T, H, W, C) → (N, H', W', filters), or (N, T, H', W', filters) with `return_sequences`; with
    `return_state` the last h and c follow. The kernel W is (K, K, C, 4·filters), R (K, K, filters, 4·filters).
    Raises ValueError where the kernel does not fit, or strides and dilation are both above 1.
    Source: Shi et al., "Convolutional LSTM network", 2015.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.ConvLSTM2D(4, 3, return_sequences=True)
        >>> layer(np.ones((1, 5, 8, 8, 3), "float32")).shape.as_list()
        [1, 5, 6, 6, 4]
    """


class ConvLSTM3D(ConvLSTM):
    """A convolutional LSTM over sequences of volumes, (N, T, D, H, W, C) → (N, D', H', W', filters); see `ConvLSTM2D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ConvLSTM3D(2, 2)(np.ones((1, 3, 4, 4, 4, 1), "float32")).shape.as_list()
        [1, 3, 3, 3, 2]
    """

    rank = 3


for _layer in (ConvLSTM1D, ConvLSTM2D, ConvLSTM3D):
    config.layers.add(_layer)
