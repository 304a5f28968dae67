"""Recurrent cells: one time step each, x (N, D) and states to an output (N, U) and new states.

A cell of ours is two halves: `project`, what the inputs alone decide, and `step`, what needs the states. A layer
projects all time steps in one product and loops over the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nyala.core import config, tree
from nyala.core.config import signature_of
from nyala.core.engine import tf
from nyala.core.layer import Layer, call_signature
from nyala.layers.checks import positive_integer
from nyala.random import SeedGenerator, dropout


def pick(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `values` that the constructor of `cls` names."""
    known = list(signature_of(cls.__init__).parameters)[1:]
    return {name: values[name] for name in known if name in values and name != "kwargs"}


def zero_states(sizes: Any, batch_size: Any, dtype: str) -> list[Any]:
    """A zero tensor (N, size) for each size, laid out as `sizes`; one size gives a list of one."""
    laid_out = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
    return tree.map_structure(lambda size: tf.zeros((batch_size, size), dtype), laid_out)


def takes_training(cell: Any) -> bool:
    """Whether a cell's `call` wants to know if it is training."""
    return isinstance(cell, Layer) and call_signature(type(cell)).has_training


def apply_cell(cell: Any, inputs: Any, states: list[Any], training: bool | None) -> tuple[Any, list[Any]]:
    """One time step of any cell; the new states come laid out as `states`."""
    function: Any = cell if callable(cell) else cell.call
    options = {"training": training} if takes_training(cell) else {}
    output, new_states = function(inputs, states, **options)
    return output, tree.pack_sequence_as(states, tree.flatten(new_states))


class DropoutCell(Layer):
    """The dropout masks of a cell: drawn once, used at every time step until they are reset.

    A mask is None without dropout, a tensor, or a tensor for each gate.
    """

    dropout: float
    recurrent_dropout: float
    seed_generator: SeedGenerator
    mask_count: int | None = None  # how many masks of each kind: None is one tensor, a number is a list
    input_mask: Any = None
    recurrent_mask: Any = None

    def _draw(self, like: Any, rate: float) -> Any:
        if rate == 0:
            return None
        masks = [dropout(tf.ones_like(like), rate, seed=self.seed_generator) for _ in range(self.mask_count or 1)]
        return masks if self.mask_count else masks[0]

    def get_dropout_mask(self, step_input: Any) -> Any:
        """The mask of the inputs."""
        if self.input_mask is None:
            self.input_mask = self._draw(step_input, self.dropout)
        return self.input_mask

    def get_recurrent_dropout_mask(self, state: Any) -> Any:
        """The mask of the state."""
        if self.recurrent_mask is None:
            self.recurrent_mask = self._draw(state, self.recurrent_dropout)
        return self.recurrent_mask

    def reset_dropout_mask(self) -> None:
        """Have the next mask of the inputs drawn anew."""
        self.input_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Have the next mask of the state drawn anew."""
        self.recurrent_mask = None

    def skip_masks(self) -> None:
        """Let the seed move on as if masks had been drawn: with one seed, each call has its own numbers."""
        count = (self.mask_count or 1) * sum(rate > 0 for rate in (self.dropout, self.recurrent_dropout))
        if count:
            self.seed_generator.state.assign_add([0, count])

    def set_masks(self, masks: tuple[Any, Any]) -> None:
        """Use these masks of inputs and state."""
        self.input_mask, self.recurrent_mask = masks


class GatedCell(DropoutCell):
    """What the cells here share: arguments, weights, and a projection of the inputs beside a recurrent step."""

    gates = 1  # how many products of width U are computed at once
    state_count = 1
    width_argument = "units"  # the constructor argument that says U
    axis = -1  # of U in the states, and of the gates in their products
    draws_first = False  # whether the generator of dropout masks is made before the initializers

    units: int
    use_bias: bool
    activation: Any
    recurrent_activation: Any
    seed: int | None

    def __init__(self, arguments: Mapping[str, Any], **kwargs: Any) -> None:
        implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        width = positive_integer(self, self.width_argument, arguments[self.width_argument])
        setattr(self, self.width_argument, width)
        self.use_bias = arguments["use_bias"]
        for name in ("activation", "recurrent_activation"):
            setattr(self, name, config.activations.get(arguments.get(name) or "linear"))
        self.seed = arguments["seed"]
        # Each draws a seed where it is given none, and in the reference the order differs from cell to cell.
        if self.draws_first:
            self.seed_generator = SeedGenerator(self.seed)
        keep_weight_arguments(self, arguments)
        if not self.draws_first:
            self.seed_generator = SeedGenerator(self.seed)
        self.dropout = min(1.0, max(0.0, arguments["dropout"]))
        self.recurrent_dropout = min(1.0, max(0.0, arguments["recurrent_dropout"]))
        self.implementation = 1 if self.recurrent_dropout else implementation
        if self.gates > 1 and self.implementation == 1:
            self.mask_count = self.gates
        self.state_size: Any = [width] * self.state_count if self.state_count > 1 else width
        self.output_size = width

    def build(self, input_shape: Any) -> None:
        self.build_weights((input_shape[-1],), (self.output_size,))

    def build_weights(self, kernel_shape: tuple[Any, ...], recurrent_shape: tuple[int, ...]) -> None:
        """Make the weights; the shapes lack the last axis, that of the gates."""
        width = self.gates * self.output_size
        self.kernel = add_part(self, "kernel", "kernel", (*kernel_shape, width))
        self.recurrent_kernel = add_part(self, "recurrent_kernel", "recurrent", (*recurrent_shape, width))
        self.bias = add_part(self, "bias", "bias", self.bias_shape()) if self.use_bias else None

    def bias_shape(self) -> tuple[int, ...]:
        """The shape of the bias, where there is one."""
        return (self.gates * self.output_size,)

    def project(self, inputs: Any) -> Any:
        """What the inputs of one or of all time steps bring to the gates: (…, D) → (…, gates·U)."""
        projected = masked_product(inputs, self.kernel.value, self.input_mask, self.gates)
        return projected if self.bias is None else projected + self.bias.value

    def recur(self, h: Any) -> Any:
        """What the state brings to the gates: (N, U) → (N, gates·U)."""
        return masked_product(h, self.recurrent_kernel.value, self.recurrent_mask, self.gates)

    def step(self, projected: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        """The output and the new states, given the projected inputs of one time step."""
        raise TypeError(f"{type(self).__name__} defines no `step`.")

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        flat = tree.flatten(states)
        if training:
            self.get_dropout_mask(inputs)
            self.get_recurrent_dropout_mask(flat[0])
        kept = self.input_mask, self.recurrent_mask
        if not training:
            self.set_masks((None, None))
        output, new_states = self.step(self.project(inputs), flat)
        self.set_masks(kept)
        return output, tree.pack_sequence_as(states, new_states)

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """Zeros for the first time step."""
        return zero_states(self.state_size, batch_size, self.compute_dtype)


WEIGHT_PARTS = ("kernel", "recurrent", "bias")


def keep_weight_arguments(cell: Layer, arguments: Mapping[str, Any]) -> None:
    """Keep the initializers, regularizers and constraints of kernel, recurrent kernel and bias."""
    for kind in ("initializer", "regularizer", "constraint"):
        table = getattr(config, f"{kind}s")
        for part in WEIGHT_PARTS:
            setattr(cell, f"{part}_{kind}", table.get(arguments[f"{part}_{kind}"]))


def add_part(cell: Layer, name: str, part: str, shape: tuple[int, ...]) -> Any:
    """A weight with the initializer, regularizer and constraint of its part."""
    initializer = getattr(cell, f"{part}_initializer")
    if part == "bias" and getattr(cell, "unit_forget_bias", False):
        initializer = with_unit_forget_gate(initializer, shape[0] // 4)
    regularizer, constraint = getattr(cell, f"{part}_regularizer"), getattr(cell, f"{part}_constraint")
    return cell.add_weight(
        shape=shape, initializer=initializer, regularizer=regularizer, constraint=constraint, name=name
    )


def with_unit_forget_gate(initializer: Any, units: int) -> Any:
    """An initializer for the bias of four gates: ones at the second, which forgets (Jozefowicz et al., 2015)."""

    def initialize(shape: Sequence[int], dtype: Any = None) -> Any:
        parts = initializer((units,), dtype=dtype), tf.ones((units,), dtype), initializer((2 * units,), dtype=dtype)
        return tf.concat(parts, 0)

    return initialize


def matrix_product(x: Any, kernel: Any) -> Any:
    """x (…, D) @ kernel (D, U), as one matrix product."""
    if x.shape.rank == 2:
        return tf.matmul(x, kernel)
    shape = tf.shape(x)
    flat = tf.matmul(tf.reshape(x, (-1, kernel.shape[0])), kernel)
    outputs = tf.reshape(flat, tf.concat([shape[:-1], [kernel.shape[1]]], 0))
    outputs.set_shape((*x.shape[:-1], kernel.shape[1]))
    return outputs


def masked_product(x: Any, kernel: Any, masks: Any, gates: int, product: Any = matrix_product, axis: int = -1) -> Any:
    """x @ kernel, or another product, with dropout masks on x: none, one for all gates, or a list of one a gate."""
    if masks is None:
        return product(x, kernel)
    if not isinstance(masks, (list, tuple)):
        return product(x * masks, kernel)
    kernels = tf.split(kernel, gates, axis=-1)
    return tf.concat([product(x * mask, part) for mask, part in zip(masks, kernels)], axis)


class SimpleRNNCell(GatedCell):
    """One step of a fully connected RNN: `h' = activation(x @ W + b + h @ R)`, W (D, U), R (U, U), b (U,).

    Shapes: x (N, D) and states [h (N, U)] → h' and [h']. Raises ValueError where `units` is no positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> cell = nyala.layers.SimpleRNNCell(3)
        >>> output, states = cell(np.ones((2, 4), "float32"), cell.get_initial_state(2))
        >>> output.shape.as_list()
        [2, 3]
    """

    draws_first = True

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals(), **kwargs)

    def step(self, projected: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        output = self.activation(projected + self.recur(states[0]))
        return output, [output]


class LSTMCell(GatedCell):
    """One step of a long short-term memory (Hochreiter & Schmidhuber, 1997).

    `i, f, g, o = split(x @ W + b + h @ R)`; `c' = σ(f)·c + σ(i)·tanh(g)`; `h' = σ(o)·tanh(c')`, with σ the
    `recurrent_activation` and tanh the `activation`; W (D, 4U), R (U, 4U), b (4U,).

    Shapes: x (N, D) and states [h (N, U), c (N, U)] → h' and [h', c']. Raises ValueError where `units` is no
    positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> cell = nyala.layers.LSTMCell(3)
        >>> output, states = cell(np.ones((2, 4), "float32"), cell.get_initial_state(2))
        >>> len(states)
        2
    """

    gates = 4
    state_count = 2

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals(), **kwargs)
        self.unit_forget_bias = unit_forget_bias

    def step(self, projected: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        h, c = states
        i, f, g, o = tf.split(projected + self.recur(h), 4, axis=self.axis)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]


class GRUCell(GatedCell):
    """One step of a gated recurrent unit (Cho et al., 2014).

    `z = σ(x @ Wz + bz + h @ Rz)`; `r = σ(x @ Wr + br + h @ Rr)`; `g = tanh(x @ Wg + bg + r·(h @ Rg + b'g))`, or
    `… + (r·h) @ Rg` where not `reset_after`; `h' = z·h + (1 - z)·g`. W (D, 3U), R (U, 3U), b (2, 3U) or (3U,).

    Shapes: x (N, D) and states [h (N, U)] → h' and [h']. Raises ValueError where `units` is no positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> cell = nyala.layers.GRUCell(3)
        >>> output, states = cell(np.ones((2, 4), "float32"), cell.get_initial_state(2))
        >>> output.shape.as_list()
        [2, 3]
    """

    gates = 3

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
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(locals(), **kwargs)
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def biases(self) -> tuple[Any, Any]:
        """The biases of the inputs' product and of the state's; None where there is none."""
        if self.bias is None:
            return None, None
        bias = self.bias.value
        return (bias[0], bias[1]) if self.reset_after else (bias, None)

    def project(self, inputs: Any) -> Any:
        projected = masked_product(inputs, self.kernel.value, self.input_mask, 3)
        bias, _ = self.biases()
        return projected if bias is None else projected + bias

    def step(self, projected: Any, states: list[Any]) -> tuple[Any, list[Any]]:
        h = states[0]
        masks = self.recurrent_mask  # None, or a list of one a gate
        kernel, units = self.recurrent_kernel.value, self.units
        x_gates, x_new = projected[:, : 2 * units], projected[:, 2 * units :]
        _, bias = self.biases()
        if self.reset_after:
            recurrent = self.recur(h)  # (N, 3U)
            recurrent = recurrent if bias is None else recurrent + bias
            z, r = tf.split(self.recurrent_activation(x_gates + recurrent[:, : 2 * units]), 2, axis=1)
            new = r * recurrent[:, 2 * units :]
        else:
            gates = masked_product(h, kernel[:, : 2 * units], masks and masks[:2], 2)  # (N, 2U)
            z, r = tf.split(self.recurrent_activation(x_gates + gates), 2, axis=1)
            new = masked_product(r * h, kernel[:, 2 * units :], masks and masks[2], 1)
        h = z * h + (1 - z) * self.activation(x_new + new)
        return h, [h]


class StackedRNNCells(Layer):
    """Cells one upon the other as one cell: the output of each is the input of the next.

    Shapes: x (N, D) and a list of states for each cell → the last cell's output and the new lists. Raises
    ValueError where a cell has no `call` or no `state_size`.

    Example:
        >>> import nyala
        >>> cell = nyala.layers.StackedRNNCells([nyala.layers.LSTMCell(3), nyala.layers.GRUCell(2)])
        >>> cell.state_size, cell.output_size
        ([[3, 3], 2], 2)
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for cell in cells:
            check_cell(self, cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """The sizes of the states, cell by cell."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """The size of the last cell's output."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_size_of(cell))

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Any, Any]:
        new_states = []
        for cell, own in zip(self.cells, states):
            several = isinstance(own, (list, tuple))
            inputs, new = apply_cell(cell, inputs, list(own) if several else [own], training)
            new_states.append(new if several else new[0])
        return inputs, new_states

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """What each cell starts from: a list, or one tensor for a cell that has one state and no say in it."""
        states = [initial_state_of(cell, batch_size, self.compute_dtype) for cell in self.cells]
        return tree.pack_sequence_as(self.state_layout, tree.flatten(states))

    @property
    def state_layout(self) -> list[Any]:
        """The sizes of the states, laid out as the states are."""
        return [state_layout_of(cell) for cell in self.cells]


def state_layout_of(cell: Any) -> Any:
    """The sizes of a cell's states, laid out as `StackedRNNCells` lays out the states."""
    size = cell.state_size
    if isinstance(size, (list, tuple)):
        return list(size)
    return [size] if hasattr(cell, "get_initial_state") else size


def check_cell(layer: Layer, cell: Any) -> None:
    """Raise a ValueError where something is no cell."""
    if not hasattr(cell, "call"):
        raise ValueError(f"A cell of `{layer.name}` must have a `call` method, but got {cell!r}.")
    if not hasattr(cell, "state_size"):
        raise ValueError(
            f"A cell of `{layer.name}` must have a `state_size` (a whole number, or a list of them, one a state), but "
            f"got {cell!r}, which has none."
        )


def output_size_of(cell: Any) -> Any:
    """The size of a cell's output: what it says, else the size of its first state."""
    size = getattr(cell, "output_size", None)
    if size is None:
        size = cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
    return size


def initial_state_of(cell: Any, batch_size: Any, dtype: str) -> list[Any]:
    """What a cell starts from, as a list: what it says, else zeros."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch_size)
        return list(states) if isinstance(states, (list, tuple)) else [states]
    return zero_states(cell.state_size, batch_size, getattr(cell, "compute_dtype", dtype))


config.layers.add(SimpleRNNCell)
config.layers.add(LSTMCell)
config.layers.add(GRUCell)
config.layers.add(StackedRNNCells)
