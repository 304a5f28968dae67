"""Layers around a layer: at every time step, in both directions of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config, tree
from nyala.core.engine import tf
from nyala.core.layer import Layer, call_signature
from nyala.core.tensor import static_shape
from nyala.layers.checks import one_of


class Wrapper(Layer):
    """The base of layers that hold another layer, `layer`, and are built and saved with it.

    Raises ValueError where `layer` is no layer.

    Example:
        >>> import nyala
        >>> nyala.layers.Wrapper(nyala.layers.Dense(2)).layer.units
        2
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = checked_layer(self, layer)

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)


def checked_layer(owner: Layer, layer: Any) -> Layer:
    """`layer` where it is one; a ValueError that names `owner` where it is not."""
    if not isinstance(layer, Layer):
        raise ValueError(f"`{owner.name}` ({type(owner).__name__}) wraps a layer, but got {layer!r}.")
    return layer


class TimeDistributed(Wrapper):
    """A layer applied to each time step by itself: `output[:, t] = layer(input[:, t])`.

    The steps of all rows go through the layer as one batch of N·T. A mask (N, T, …) goes to the layer step by step
    where it has the axes for it.

    Shapes: (N, T, …) → (N, T, …). Raises ValueError for inputs of fewer than three dimensions.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.TimeDistributed(nyala.layers.Dense(2))(np.ones((4, 5, 3), "float32")).shape.as_list()
        [4, 5, 2]
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        super().build(self._step_shape(input_shape))

    def _step_shape(self, input_shape: Any) -> Any:
        if len(input_shape) < 3:
            raise ValueError(
                f"`{self.path}` expected inputs with at least 3 dimensions, rows, time steps and features, but got "
                f"shape {tuple(input_shape)}."
            )
        return (input_shape[0], *input_shape[2:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        output = self.layer.compute_output_shape(self._step_shape(input_shape))
        return tree.map_structure(lambda size: size, (output[0], input_shape[1], *output[1:]))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        signature = call_signature(type(self.layer))
        options: dict[str, Any] = {"training": training} if signature.has_training else {}
        if mask is not None and "mask" in signature.masks and mask.shape.rank >= 3:
            options["mask"] = fold_steps(mask)
        outputs = self.layer(fold_steps(inputs), **options)
        return tree.map_structure(lambda x: unfold_steps(x, inputs), outputs)


def fold_steps(x: Any) -> Any:
    """(N, T, …) as (N·T, …)."""
    shape = static_shape(x)
    folded = tf.reshape(x, tf.concat([[tf.reduce_prod(tf.shape(x)[:2])], tf.shape(x)[2:]], 0))
    rows, steps = shape[:2]
    folded.set_shape((None if rows is None or steps is None else rows * steps, *shape[2:]))
    return folded


def unfold_steps(x: Any, like: Any) -> Any:
    """(N·T, …) as (N, T, …), N and T being those of `like`."""
    unfolded = tf.reshape(x, tf.concat([tf.shape(like)[:2], tf.shape(x)[1:]], 0))
    unfolded.set_shape((*static_shape(like)[:2], *static_shape(x)[1:]))
    return unfolded


MERGE_MODES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """A recurrent layer run over time in both directions: `output = merge(forward(x), backward(x))`.

    `merge_mode` is "concat", "sum", "mul" or "ave"; with None both outputs come. The backward layer is a copy of
    `layer` that goes backwards, where none is given. Initial states: half of them for each direction.

    Shapes: those of `layer`; twice the last axis for "concat". Raises ValueError where the two layers do not fit each
    other or the merge mode is unknown. Source: Schuster & Paliwal, "Bidirectional recurrent neural networks", 1997.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Bidirectional(nyala.layers.LSTM(4))(np.ones((2, 5, 3), "float32")).shape.as_list()
        [2, 8]
    """

    forward_layer: Any
    backward_layer: Any

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checked_layer(self, layer)
        if not hasattr(layer, "go_backwards") or not hasattr(layer, "return_sequences"):
            raise ValueError(f"`{self.name}` wraps a recurrent layer, but got {layer!r}.")
        self.merge_mode = one_of(self, "merge_mode", merge_mode, MERGE_MODES)
        self.forward_layer = _renamed_copy(layer, "forward_", layer.go_backwards)
        if backward_layer is None:
            backward_layer = _renamed_copy(layer, "backward_", not layer.go_backwards)
        self.backward_layer = backward_layer
        self._check_pair(layer)
        if layer.return_sequences:  # a step that the mask leaves out is zero in both directions
            self.forward_layer.zero_output_for_mask = self.backward_layer.zero_output_for_mask = True
        self._first_weights = weights
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_pair(self, layer: Any) -> None:
        backward: Any = checked_layer(self, self.backward_layer)
        if backward.go_backwards == layer.go_backwards:
            raise ValueError(
                f"The layers of `{self.name}` must go through time in opposite directions, but both have "
                f"go_backwards={layer.go_backwards}."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            one, other = getattr(layer, name), getattr(backward, name)
            if one != other:
                raise ValueError(
                    f"The layers of `{self.name}` must agree in `{name}`, but the forward one has {one} and the backward "
                    f"one {other}."
                )

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._first_weights is not None:
            self.set_weights(self._first_weights)

    # ---- Shapes, masks, states ----

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Any:
        shapes = self.forward_layer.compute_output_shape(sequences_shape)
        others = self.backward_layer.compute_output_shape(sequences_shape)
        if not self.return_state:
            return self._merged_shape(shapes, others)
        merged = self._merged_shape(shapes[0], others[0])
        first = merged if self.merge_mode is None else (merged,)
        return (*first, *shapes[1:], *others[1:])

    def _merged_shape(self, one: Any, other: Any) -> Any:
        if self.merge_mode is None:
            return one, other
        return (*one[:-1], one[-1] + other[-1]) if self.merge_mode == "concat" else one

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        masks = tree.flatten(previous_mask)
        mask = masks[0] if masks and self.return_sequences else None
        outputs = [mask] * (2 if self.merge_mode is None else 1)
        if self.return_state:
            return outputs + [None] * 2 * len(tree.flatten(self.forward_layer.state_size))
        return outputs if self.merge_mode is None else mask

    @property
    def states(self) -> Any:
        """The states that stateful layers keep between calls, forward then backward; None before they have any."""
        if not self.stateful or self.forward_layer.states is None:
            return None
        return (*self.forward_layer.states, *self.backward_layer.states)

    def reset_state(self) -> None:
        """Set the states of stateful layers to zero."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    # ---- The call ----

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None) -> Any:
        states = self._halves(initial_state)
        layers = (self.forward_layer, self.backward_layer)
        one, other = [
            layer(sequences, initial_state=state, mask=mask, training=training) for layer, state in zip(layers, states)
        ]
        last_states: tuple[Any, ...] = ()
        if self.return_state:
            last_states = (*one[1:], *other[1:])
            one, other = one[0], other[0]
        if self.return_sequences:
            other = tf.reverse(other, [1])  # to time's own order
        outputs = self._merge(one, other)
        if not self.return_state:
            return outputs
        return (*outputs, *last_states) if self.merge_mode is None else (outputs, *last_states)

    def _halves(self, initial_state: Any) -> tuple[Any, Any]:
        if initial_state is None:
            return None, None
        states = tree.flatten(initial_state)
        each = len(tree.flatten(self.forward_layer.state_size))
        if len(states) != 2 * each:
            raise ValueError(
                f"`{self.path}` expected {2 * each} initial states, {each} for each direction, but got {len(states)}."
            )
        return states[:each], states[each:]

    def _merge(self, one: Any, other: Any) -> Any:
        if self.merge_mode is None:
            return one, other
        if self.merge_mode == "concat":
            return tf.concat([one, other], -1)
        if self.merge_mode == "mul":
            return one * other
        return one + other if self.merge_mode == "sum" else (one + other) / 2

    def get_config(self) -> dict[str, Any]:
        kept = {name: value for name, value in super().get_config().items() if name != "weights"}
        return {**kept, "layer": config.serialize(self.forward_layer)}


def _renamed_copy(layer: Any, prefix: str, go_backwards: bool) -> Any:
    """A layer made of the config of `layer`, with a name that says its direction."""
    name = prefix + layer.name.removeprefix("forward_")
    return type(layer).from_config({**layer.get_config(), "name": name, "go_backwards": go_backwards})


config.layers.add(Wrapper)
config.layers.add(TimeDistributed)
config.layers.add(Bidirectional)
