"""Recurrent layers: a cell run over time, (N, T, D) to (N, U) or (N, T, U)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from nyala.core import config, tree
from nyala.core.engine import tf
from nyala.core.layer import InputSpec, Layer
from nyala.core.tracking import path_scope, to_snake_case
from nyala.core.variable import Variable
from nyala.layers import recurrent_loops
from nyala.layers.checks import one_of
from nyala.layers.dispatch import OneDispatch
from nyala.layers.recurrent_cells import (
    DropoutCell,
    GatedCell,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    apply_cell,
    check_cell,
    initial_state_of,
    output_size_of,
    pick,
)
from nyala.layers.recurrent_rules import is_for_xla, runs_on_gpu, uses_block_kernel, uses_fast_path, what_hinders_cudnn


class RNN(Layer):
    """A cell run over time: `output_t, states_t = cell(x_t, states_(t-1))`.

    `cell` is a layer with `state_size` and `call(inputs, states) → (output, new_states)`, or a list of cells. Steps
    that `mask` (N, T) leaves out keep the states and repeat the output before (zeros with `zero_output_for_mask`).

    Shapes: (N, T, D) → (N, U), or (N, T, U) with `return_sequences`; with `return_state` the last states follow.
    Raises ValueError for what is no cell, for states that do not fit it, and where `stateful` meets an unknown N.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> rnn = nyala.layers.RNN(nyala.layers.LSTMCell(4), return_sequences=True)
        >>> rnn(np.ones((2, 5, 3), "float32")).shape.as_list()
        [2, 5, 4]
    """

    untracked = Layer.untracked | {"states"}  # kept between calls, but neither trained nor saved

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        check_cell(self, cell)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.states: list[Any] | None = None
        self.supports_masking = True
        self.input_spec = InputSpec(ndim=3)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the cell's states."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    @property
    def single_state(self) -> bool:
        """Whether the cell has one state only."""
        return len(self.state_size) == 1

    # ---- Shapes and masks ----

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        batch, length = sequences_shape[:2]
        size = output_size_of(self.cell)
        output = (batch, length, size) if self.return_sequences else (batch, size)
        if not self.return_state:
            return output
        sizes = self.cell.state_layout if self._is_stacked() else self.state_size
        return (output, *tree.map_structure(lambda size: (batch, size), sizes))

    def _is_stacked(self) -> bool:
        return isinstance(self.cell, StackedRNNCells)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        masks = tree.flatten(previous_mask)
        mask = masks[0] if masks and self.return_sequences else None
        return [mask] + [None] * len(tree.flatten(self.state_size)) if self.return_state else mask

    # ---- Weights and states ----

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((sequences_shape[0], *sequences_shape[2:]))
        if self.stateful:
            self._create_states(sequences_shape)

    def _create_states(self, shape: Any) -> None:
        if shape[0] is None:
            raise ValueError(
                f"`{self.path}` is stateful, so it must know how many rows a batch has, but got shape {tuple(shape)}. "
                "Say so with `Input(batch_shape=(rows, …))`."
            )

        def variable(value: Any) -> Variable:
            with path_scope(self.path):
                return Variable(value, trainable=False, name="rnn_state")

        self.states = tree.map_structure(variable, self.get_initial_state(shape[0]))

    def get_initial_state(self, batch_size: Any) -> list[Any]:
        """The states before the first time step: what the cell says, else zeros."""
        return initial_state_of(self.cell, batch_size, self.compute_dtype)

    def reset_state(self) -> None:
        """Set the states that a stateful layer keeps between calls to zero."""
        for state in tree.flatten(self.states or []):
            state.assign(tf.zeros(state.shape, state.dtype))

    reset_states = reset_state

    # ---- The call ----

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        self._check_lengths(sequences, mask)
        is_blank = initial_state is None and not self.stateful and not training
        states = None if is_blank else self._first_states(sequences, initial_state)
        self._draw_dropout_masks(sequences, states, training)
        last, outputs, states = self._in_one_dispatch(sequences, states, mask, training)
        self._reset_dropout_masks()
        if self.stateful:
            for variable, value in zip(tree.flatten(self.states), tree.flatten(states)):
                variable.assign(value)
        output = outputs if self.return_sequences else last
        return (output, *states) if self.return_state else output

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False, forward_only: bool = False
    ) -> Any:
        """The last output, all outputs or None, and the last states; time is reversed already where it should be.

        `forward_only` says that nobody will differentiate the loop or have XLA compile it: true of an eager call
        outside of gradient tapes, and never known while a graph is written.
        """
        cell = self.cell
        inputs = _time_first(sequences)
        if isinstance(cell, GatedCell) and config.is_ours(type(cell).call):
            inputs, step = cell.project(inputs), cell.step
        else:
            step = functools.partial(_call_cell, cell, training)

        last, outputs, states = recurrent_loops.scan(
            step,
            inputs,
            initial_state,
            None if mask is None else _time_first(mask),
            every_output=self.return_sequences,
            zero_output_for_mask=self.zero_output_for_mask,
            unroll=self.unroll,
        )
        return last, None if outputs is None else _time_first(outputs), states

    def _whole(self, sequences: Any, states: Any, mask: Any, dropout_masks: Any, training: Any, *key: Any) -> Any:
        """All that depends on the inputs, as a function without side effects; `key` says what else it depends on."""
        if states is None:
            states = self._first_states(sequences, None)
        cells = self._dropout_cells()
        for cell, masks in zip(cells, dropout_masks):
            cell.set_masks(masks)
        if self.go_backwards:
            sequences = tf.reverse(sequences, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        return self.inner_loop(sequences, states, mask, training, forward_only=key[0])

    def _in_one_dispatch(self, sequences: Any, states: Any, mask: Any, training: Any) -> Any:
        """The loop as one compiled function, so that an eager call is not dispatched time step by time step."""
        masks = [(cell.input_mask, cell.recurrent_mask) for cell in self._dropout_cells()]
        mask = None if mask is None else tf.cast(mask, "bool")
        arguments = (sequences, states, mask, masks)
        if not tf.executing_eagerly():
            return self._whole(*arguments, bool(training), False)
        from tensorflow.python.eager.record import could_possibly_record  # is there a tape?

        if "_compiled" not in self.__dict__:
            self.__dict__["_compiled"] = OneDispatch(self._whole)
        options = (self.return_sequences, self.go_backwards, self.unroll, self.zero_output_for_mask)
        key = (not could_possibly_record(), self.compute_dtype, *options)
        return self.__dict__["_compiled"](arguments, bool(training), *key)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along: all but the compiled loop, which it makes for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    def _check_lengths(self, sequences: Any, mask: Any) -> None:
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                f"`{self.path}` unrolls its time steps, so their number must be known, but it got shape "
                f"{tuple(sequences.shape)}. Give `Input` a length, or take unroll=True away."
            )
        if mask is not None:
            wanted, got = sequences.shape[:2], mask.shape
            if not got.is_compatible_with(wanted):
                raise ValueError(
                    f"`{self.path}` expected a mask of shape {tuple(wanted)}, one value a row and time step, but got "
                    f"{tuple(got)}."
                )

    def _first_states(self, sequences: Any, initial_state: Any) -> list[Any]:
        batch = sequences.shape[0] if sequences.shape[0] is not None else tf.shape(sequences)[0]
        if initial_state is None and self.stateful:
            return tree.map_structure(self._kept_state(sequences), self.states)
        zeros = self._blank_states(sequences, batch)
        if initial_state is None:
            return zeros
        given, wanted = tree.flatten(initial_state), tree.flatten(zeros)
        shapes = [tuple(x.shape) for x in wanted]
        fits = len(given) == len(wanted) and all(
            one.shape.is_compatible_with(other.shape) for one, other in zip(given, wanted)
        )
        if not fits:
            raise ValueError(
                f"`{self.path}` expected initial states of shapes {shapes} but got {[tuple(x.shape) for x in given]}."
            )
        return tree.pack_sequence_as(zeros, [tf.cast(x, other.dtype) for x, other in zip(given, wanted)])

    def _blank_states(self, sequences: Any, batch: Any) -> list[Any]:
        """The states before the first time step of these sequences, whose number is `batch`."""
        return self.get_initial_state(batch)

    def _kept_state(self, sequences: Any) -> Any:
        def value(state: Variable) -> Any:
            if sequences.shape[0] not in (None, state.shape[0]):
                raise ValueError(
                    f"`{self.path}` is stateful and was built for batches of {state.shape[0]} rows, but got "
                    f"{sequences.shape[0]}."
                )
            return tf.convert_to_tensor(state.value)

        return value

    # ---- Dropout masks: drawn once a call, before the loop ----

    def _dropout_cells(self) -> list[DropoutCell]:
        cells = self.cell.cells if self._is_stacked() else [self.cell]
        return [cell for cell in cells if isinstance(cell, DropoutCell)]

    def _draw_dropout_masks(self, sequences: Any, states: Any, training: Any) -> None:
        self._reset_dropout_masks()
        if not training:
            for cell in self._dropout_cells():
                cell.skip_masks()
            return
        inputs = sequences[:, 0]
        stacked = zip(self.cell.cells, states) if self._is_stacked() else [(self.cell, states)]
        for cell, own in stacked:
            if isinstance(cell, DropoutCell):
                cell.get_dropout_mask(inputs)
                cell.get_recurrent_dropout_mask(tree.flatten(own)[0])
            if self._is_stacked():  # the next cell's inputs look like this one's output
                inputs = tf.zeros((tf.shape(sequences)[0], output_size_of(cell)), sequences.dtype)

    def _reset_dropout_masks(self) -> None:
        for cell in self._dropout_cells():
            cell.set_masks((None, None))


def _call_cell(cell: Any, training: bool | None, inputs: Any, states: list[Any]) -> tuple[Any, list[Any]]:
    return apply_cell(cell, inputs, states, training)


def _time_first(x: Any) -> Any:
    """(N, T, …) as (T, N, …), and back."""
    return tf.transpose(x, (1, 0, *range(2, x.shape.rank)))


def of_cell(name: str) -> Any:
    """A property that hands the cell's attribute `name` on."""
    return property(lambda self: getattr(self.cell, name), doc=f"The cell's `{name}`.")


class OneCell(RNN):
    """A layer around a cell of ours, with the cell's arguments as its own."""

    cell_only: tuple[str, ...] = ("implementation",)  # keyword arguments of old that concern the cell alone

    def __init__(self, cell_class: type[GatedCell], arguments: dict[str, Any], kwargs: dict[str, Any]) -> None:
        shared = {name: kwargs[name] for name in ("dtype", "trainable") if name in kwargs}
        shared |= {name: kwargs.pop(name) for name in self.cell_only if name in kwargs}
        cell = cell_class(**pick(cell_class, arguments), name=to_snake_case(cell_class.__name__), **shared)
        options = {name: arguments[name] for name in _OPTIONS if name in arguments}
        super().__init__(cell, activity_regularizer=arguments["activity_regularizer"], **options, **kwargs)

    seed, use_bias, activation = map(of_cell, ("seed", "use_bias", "activation"))
    dropout, recurrent_dropout = map(of_cell, ("dropout", "recurrent_dropout"))
    kernel_initializer, recurrent_initializer, bias_initializer = map(
        of_cell, ("kernel_initializer", "recurrent_initializer", "bias_initializer")
    )
    kernel_regularizer, recurrent_regularizer, bias_regularizer = map(
        of_cell, ("kernel_regularizer", "recurrent_regularizer", "bias_regularizer")
    )
    kernel_constraint, recurrent_constraint, bias_constraint = map(
        of_cell, ("kernel_constraint", "recurrent_constraint", "bias_constraint")
    )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "zero_output_for_mask": self.zero_output_for_mask}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Make the layer that `get_config` described; the cell makes its initializers, in the order it draws seeds."""
        return cls(**config)


_OPTIONS = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")


class SimpleRNN(OneCell):
    """A fully connected RNN: `h_t = activation(x_t @ W + b + h_(t-1) @ R)`, W (D, U), R (U, U), b (U,).

    Shapes: (N, T, D) → (N, U), or (N, T, U) with `return_sequences`; with `return_state` the last h follows.
    Raises ValueError where `units` is no positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.SimpleRNN(4)(np.ones((2, 5, 3), "float32")).shape.as_list()
        [2, 4]
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(SimpleRNNCell, locals(), kwargs)
        self.input_spec = [InputSpec(ndim=3)]

    units = of_cell("units")


class _Gated(OneCell):
    """LSTM and GRU: where the arguments allow, by cuDNN on a GPU, else with the loop whose gradient is written by hand.

    cuDNN's gradient has no gradient: for second derivatives on a GPU say use_cudnn=False.
    """

    units, recurrent_activation = map(of_cell, ("units", "recurrent_activation"))
    use_cudnn: Any

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False, forward_only: bool = False
    ) -> Any:
        hindrance = what_hinders_cudnn(self, sequences.shape, training, runs_on_gpu(), is_for_xla())
        if self.use_cudnn is True and hindrance:
            raise ValueError(
                f"`{self.path}` asks for cuDNN, which it cannot use here: {hindrance}. Say use_cudnn='auto'."
            )
        if not uses_fast_path(self, training):
            return super().inner_loop(sequences, initial_state, mask, training, forward_only)
        mask = None if mask is None else _time_first(mask)
        inputs = _time_first(sequences)
        if not hindrance:
            every, *states = self._cudnn_or_scan(inputs, initial_state, mask, forward_only)
        else:
            loop = self._block if uses_block_kernel(self, inputs, mask, forward_only) else self._fast_scan
            every, *states = loop(inputs, initial_state, mask)
        last, outputs = states[0], every
        if mask is not None:
            outputs = recurrent_loops.outputs_under_mask(every, mask, self.zero_output_for_mask)
            last = outputs[-1]
        return last, _time_first(outputs) if self.return_sequences else None, states

    def _cudnn_or_scan(self, inputs: Any, states: list[Any], mask: Any, forward_only: bool) -> tuple[Any, ...]:
        """cuDNN, which knows masks at the end of rows only: for others, which turn up in the data, the loop."""
        masked = inputs if self.cell.input_mask is None else inputs * self.cell.input_mask

        def by_cudnn() -> tuple[Any, ...]:
            return recurrent_loops.cudnn(self.cudnn_mode, masked, self._cudnn_params(), states, mask, not forward_only)

        def by_loop() -> tuple[Any, ...]:  # whose gradient must find what it needs inside this branch: hence the copies
            return self._fast_scan(*tree.map_structure(tf.identity, (inputs, states, mask)))

        return by_cudnn() if mask is None else tf.cond(recurrent_loops.only_right_padded(mask), by_cudnn, by_loop)

    def _kernels(self) -> tuple[Any, Any]:
        """The kernel (D, gates·U) and the recurrent kernel (U, gates·U), as tensors."""
        return tf.convert_to_tensor(self.cell.kernel.value), tf.convert_to_tensor(self.cell.recurrent_kernel.value)

    def _no_bias(self) -> Any:
        return tf.zeros(self.cell.recurrent_kernel.shape[1:], self.compute_dtype)

    cudnn_mode = ""

    def _cudnn_params(self) -> Any:
        raise TypeError(f"{type(self).__name__} has no layout of its weights for cuDNN.")

    def _fast_scan(self, inputs: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        raise TypeError(f"{type(self).__name__} has no fast loop.")

    def _block(self, inputs: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        raise TypeError(f"{type(self).__name__} has no kernel for whole sequences.")


class LSTM(_Gated):
    """A long short-term memory (Hochreiter & Schmidhuber, 1997): `LSTMCell` has the formula.

    Shapes: (N, T, D) → (N, U), or (N, T, U) with `return_sequences`; with `return_state` the last h and c follow.
    W (D, 4U), R (U, 4U), b (4U,) belong to the layer's `cell`. Raises ValueError where `units` is no positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> output, h, c = nyala.layers.LSTM(4, return_state=True)(np.ones((2, 5, 3), "float32"))
        >>> c.shape.as_list()
        [2, 4]
    """

    def __init__(
        self,
        units: int,
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
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(LSTMCell, locals(), kwargs)
        self.use_cudnn = one_of(self, "use_cudnn", use_cudnn, ("auto", True, False))

    unit_forget_bias = of_cell("unit_forget_bias")

    def _fast_scan(self, inputs: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        h, c = states
        return recurrent_loops.lstm_scan(self.cell.project(inputs), self._kernels()[1], h, c, mask)

    cudnn_mode = "lstm"

    def _cudnn_params(self) -> Any:
        kernel, recurrent = self._kernels()
        bias = self._bias()
        return recurrent_loops.cudnn_params(kernel, recurrent, (bias, tf.zeros_like(bias)), order=(0, 1, 2, 3))

    def _block(self, inputs: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        h, c = states
        return recurrent_loops.lstm_block(inputs, *self._kernels(), self._bias(), h, c)

    def _bias(self) -> Any:
        bias = self.cell.bias
        return self._no_bias() if bias is None else tf.convert_to_tensor(bias.value)


class GRU(_Gated):
    """A gated recurrent unit (Cho et al., 2014): `GRUCell` has the formula.

    Shapes: (N, T, D) → (N, U), or (N, T, U) with `return_sequences`; with `return_state` the last h follows.
    W (D, 3U), R (U, 3U), b (2, 3U) or (3U,) belong to the layer's `cell`. Raises ValueError where `units` is no
    positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GRU(4, return_sequences=True)(np.ones((2, 5, 3), "float32")).shape.as_list()
        [2, 5, 4]
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(GRUCell, locals(), kwargs)
        self.use_cudnn = one_of(self, "use_cudnn", use_cudnn, ("auto", True, False))

    reset_after = of_cell("reset_after")

    def _fast_scan(self, inputs: Any, states: list[Any], mask: Any) -> tuple[Any, ...]:
        _, bias = self.cell.biases()
        bias = self._no_bias() if bias is None else bias
        return recurrent_loops.gru_scan(self.cell.project(inputs), self._kernels()[1], bias, states[0], mask)

    cudnn_mode = "gru"

    def _cudnn_params(self) -> Any:
        biases = [self._no_bias() if bias is None else bias for bias in self.cell.biases()]
        return recurrent_loops.cudnn_params(*self._kernels(), biases, order=(1, 0, 2))


config.layers.add(RNN)
config.layers.add(SimpleRNN)
config.layers.add(LSTM)
config.layers.add(GRU)
