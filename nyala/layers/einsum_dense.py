"""A dense layer between any axes, said as an Einstein sum."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from nyala.core import config
from nyala.core.engine import tf
from nyala.layers.quantized import QuantizableKernel


class EinsumDense(QuantizableKernel):
    """A dense layer whose product is an Einstein sum: `output = activation(einsum(equation, input, W) + b)`.

    `equation` is `"X,Y->Z"`, `"...X,Y->...Z"` or `"X...,Y->Z..."` with letters for X (input), Y (kernel W) and Z
    (output). `output_shape` leaves out the batch; None in it means the input's size of that letter. `bias_axes` are
    the letters of Z along which the bias varies.

    Shapes: as the equation says. Raises ValueError for an equation of another form, and for sizes that contradict it.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.EinsumDense("abc,cd->abd", output_shape=(None, 8), bias_axes="d")
        >>> layer(np.ones((2, 5, 3), "float32")).shape.as_list()
        [2, 5, 8]
    """

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.activation = config.activations.get(activation or "linear")
        self.bias_axes = bias_axes
        self.kernel_initializer = config.initializers.get(kernel_initializer)
        self.bias_initializer = config.initializers.get(bias_initializer)
        self.kernel_regularizer = config.regularizers.get(kernel_regularizer)
        self.bias_regularizer = config.regularizers.get(bias_regularizer)
        self.kernel_constraint = config.constraints.get(kernel_constraint)
        self.bias_constraint = config.constraints.get(bias_constraint)
        self.gptq_unpacked_column_size = gptq_unpacked_column_size
        self.keep_adaptations(lora_rank, lora_alpha, quantization_config)

    def build(self, input_shape: Any) -> None:
        terms = parse(self.equation)
        sizes = letter_sizes(terms, input_shape, self.partial_output_shape)
        self.rank_of_inputs = len(input_shape)
        self.add_kernel(tuple(sizes[letter] for letter in terms.kernel), with_axes(self.kernel_initializer, terms))
        self.bias = None
        if self.bias_axes:
            self.bias = self.add_weight(
                shape=bias_shape(terms, sizes, self.bias_axes, len(input_shape)),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.start_lora()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel = self.merged() if self.lora_enabled else self._kernel.value
        return self.finish(self.contract(inputs, kernel))

    def contract(self, inputs: Any, kernel: Any) -> Any:
        return tf.einsum(self.equation, inputs, kernel)

    def finish(self, outputs: Any, bias: Any = None) -> Any:
        if self.bias is not None:
            outputs += self.bias.value if bias is None else bias
        return self.activation(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        terms = parse(self.equation)
        sizes = letter_sizes(terms, input_shape, self.partial_output_shape)
        left_out = len(input_shape) - len(terms.inputs)
        named = tuple(sizes[letter] for letter in terms.outputs)
        if terms.ellipsis == "before":
            return (*input_shape[:left_out], *named)
        return (*named, *input_shape[len(input_shape) - left_out :])

    def get_config(self) -> dict[str, Any]:
        own = {"activity_regularizer": None, **super().get_config(), "output_shape": list(self.partial_output_shape)}
        if self.gptq_unpacked_column_size is None:
            del own["gptq_unpacked_column_size"]
        return own

    # ---- What quantization asks: which axes are summed over, and where the others stand in the outputs ----

    @property
    def contracted_axes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        terms = parse(self.equation)
        before = self.rank_of_inputs - len(terms.inputs) if terms.ellipsis == "before" else 0
        of_inputs = [before + place for place, letter in enumerate(terms.inputs) if letter not in terms.outputs]
        of_kernel = [place for place, letter in enumerate(terms.kernel) if letter not in terms.outputs]
        return tuple(of_inputs), tuple(of_kernel)

    name_of_zero_points = "zero_point"

    def note_columns(self, columns: int) -> None:
        if self.scheme.how.mode == "gptq":
            self.gptq_unpacked_column_size = columns

    def kernel_scale_for_outputs(self, scale: Any) -> Any:
        terms = parse(self.equation)
        sizes = dict(zip(terms.kernel, scale.shape))
        named = [sizes.get(letter, 1) for letter in terms.inputs]
        others = [1] * (self.rank_of_inputs - len(named))
        shape = [*others, *named] if terms.ellipsis == "before" else [*named, *others]
        return tf.einsum(self.equation, tf.ones(shape, scale.dtype), scale)

    def kernel_scale_for_kernel(self, scale: Any) -> Any:
        terms = parse(self.equation)
        count = len(terms.outputs)
        named = tf.reshape(scale, scale.shape[-count:] if terms.ellipsis == "before" else scale.shape[:count])
        sizes = dict(zip(terms.outputs, named.shape))
        ones = tf.ones([sizes.get(letter, 1) for letter in terms.inputs], scale.dtype)
        return tf.einsum(f"{terms.outputs},{terms.inputs}->{terms.kernel}", named, ones)

    def inputs_scale_for_outputs(self, scale: Any) -> Any:
        terms = parse(self.equation)
        shared = set(terms.inputs) & set(terms.outputs)
        shape = [size if letter in shared else 1 for letter, size in zip(terms.kernel, self.kernel_shape)]
        return tf.einsum(self.equation, scale, tf.ones(shape, scale.dtype))


class Terms(NamedTuple):
    """The letters of an equation; `ellipsis` says on which side axes without letters stand: before, after, or ""."""

    inputs: str
    kernel: str
    outputs: str
    ellipsis: str


_FORMS = {
    "": r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)",
    "before": r"\.{3}([a-zA-Z]+),([a-zA-Z]+)->\.{3}([a-zA-Z]+)",
    "after": r"([a-zA-Z]+)\.{3},([a-zA-Z]+)->([a-zA-Z]+)\.{3}",
}


def parse(equation: str) -> Terms:
    """The terms of an equation; a ValueError where it has none of the three forms or a letter comes from nowhere."""
    compact = equation.replace(" ", "")
    for ellipsis, form in _FORMS.items():
        match = re.fullmatch(form, compact)
        if match:
            terms = Terms(match[1], match[2], match[3], ellipsis)
            break
    else:
        raise ValueError(
            f"The equation {equation!r} must have the form 'X,Y->Z', '...X,Y->...Z' or 'X...,Y->Z...', with letters "
            "for X, Y and Z."
        )
    for letter in terms.outputs:
        if letter not in terms.inputs + terms.kernel:
            raise ValueError(f"In {equation!r} the output has {letter!r}, which neither the input nor the kernel has.")
    for letter in terms.kernel:
        if letter not in terms.inputs + terms.outputs:
            raise ValueError(f"In {equation!r} the kernel has {letter!r}, which neither the input nor the output has.")
    return terms


def letter_sizes(terms: Terms, input_shape: Any, output_shape: Sequence[int | None]) -> dict[str, int | None]:
    """The size of each letter; a ValueError where input and output contradict each other."""
    rank, count = len(input_shape), len(terms.inputs)
    if rank < count or (rank > count and not terms.ellipsis):
        raise ValueError(
            f"The equation names {count} axes of the input, {terms.inputs!r}, but it has shape {input_shape}."
        )
    before = terms.ellipsis == "before"
    named = input_shape[rank - count :] if before else input_shape[:count]
    sizes: dict[str, int | None] = dict(zip(terms.inputs, named))
    # An output without an axis for the batch among its letters has a size for each letter, else for all but the first.
    given = output_shape[-len(terms.outputs) :] if before else (None, *output_shape)[: len(terms.outputs)]
    letters = terms.outputs[-len(given) :] if before else terms.outputs
    if len(given) != len(letters):
        raise ValueError(f"The equation names {len(letters)} axes of the output, but output_shape is {output_shape}.")
    for letter, size in zip(letters, given):
        known = sizes.get(letter)
        if known is not None and size is not None and known != size:
            raise ValueError(
                f"The axis {letter!r} has size {known} in the input of shape {input_shape} but {size} in output_shape "
                f"{tuple(output_shape)}."
            )
        sizes[letter] = known if size is None else size
    return sizes


def bias_shape(terms: Terms, sizes: dict[str, int | None], axes: str, rank: int) -> tuple[int | None, ...]:
    """The shape of a bias that varies along `axes` and broadcasts against the output."""
    for letter in axes:
        if letter not in terms.outputs:
            raise ValueError(f"bias_axes has {letter!r}, which is no axis of the output, {terms.outputs!r}.")
    first = min(terms.outputs.index(letter) for letter in axes)
    named = tuple(sizes[letter] if letter in axes else 1 for letter in terms.outputs[first:])
    return named + (1,) * (rank - len(terms.inputs) if terms.ellipsis == "after" else 0)


def with_axes(initializer: Any, terms: Terms) -> Any:
    """An initializer that scales by fans told which axes of the kernel are summed over, and which go to the output."""
    if getattr(initializer, "input_axes", 0) is not None:
        return initializer
    told = copy.copy(initializer)
    told.input_axes = [place for place, letter in enumerate(terms.kernel) if letter not in terms.outputs]
    told.output_axes = [place for place, letter in enumerate(terms.kernel) if letter in terms.outputs]
    return told


config.layers.add(EinsumDense)
