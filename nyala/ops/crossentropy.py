"""How far predictions are from targets: crossentropies, which prefer logits, and the peak signal-to-noise ratio."""

from __future__ import annotations

import math
import warnings
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.settings import epsilon
from nyala.core.tensor import Tensor, as_tensor, promote, shape_equal, static_shape
from nyala.ops.normalization import widen
from nyala.ops.rules import as_float, check_axis

__all__ = ["binary_crossentropy", "categorical_crossentropy", "psnr", "sparse_categorical_crossentropy"]


# ---- Probabilities and the logits behind them ----


def keep_logits(probabilities: Any, logits: Any) -> Any:
    """`probabilities` with a note of the logits behind them: a crossentropy computed from those is exact."""
    probabilities._keras_logits = logits
    return probabilities


def find_logits(output: Any, from_logits: bool, activation: str) -> tuple[Any, bool]:
    """The logits that a softmax or sigmoid was computed from, where they are known, for they lose no precision."""
    logits = getattr(output, "_keras_logits", None)
    if logits is None and tf.is_symbolic_tensor(output) and output.op.type == activation:
        logits = output.op.inputs[0]
    if logits is None:
        return output, from_logits
    if from_logits:
        warnings.warn(
            f"A crossentropy got from_logits=True and the output of a {activation.lower()}, which is no logit; its "
            "input was used. Remove the activation, or from_logits=True.",
            stacklevel=4,
        )
    return logits, True


def clip_probabilities(p: Any) -> Any:
    """Probabilities away from 0 and 1, where the logarithm is infinite."""
    return tf.clip_by_value(p, epsilon(), 1.0 - epsilon())


def shares(p: Any, axis: int) -> Any:
    """Probabilities that sum to 1 along `axis`, away from 0 and 1."""
    return clip_probabilities(tf.math.divide_no_nan(p, tf.reduce_sum(p, axis=axis, keepdims=True)))


# ---- What targets and outputs must be ----


def demand_equal_shapes(name: str, one: Any, other: Any) -> None:
    """A ValueError unless the shapes can be equal."""
    if not one.shape.is_compatible_with(other.shape):
        raise ValueError(
            f"`{name}` expected two tensors of one shape, but got {tuple(one.shape)} and {tuple(other.shape)}. "
            "Reshape one of them; nothing is broadcast."
        )


def class_axis(name: str, output: Any, axis: int) -> int:
    """`axis` counted from the front; a ValueError where the output has no such axis."""
    return axis if output.shape.rank is None else check_axis(name, axis, output.shape.rank)


def class_numbers(target: Any, output: Any, name: str) -> Any:
    """`target` as an int64 class number for each row of `output`; a ValueError where their shapes do not match."""
    target = tf.cast(as_tensor(target), "int64")
    if target.shape.rank is None or output.shape.rank is None:
        return tf.reshape(target, tf.shape(output)[:-1])
    shape = target.shape
    if shape.rank == output.shape.rank and shape[-1] == 1:
        target = tf.squeeze(target, -1)
    if not shape_equal(static_shape(target), static_shape(output)[:-1]):
        raise ValueError(
            f"`{name}` expected targets that hold one class number for each row of the predictions, but got the shapes "
            f"{tuple(shape)} and {tuple(output.shape)}. For one-hot targets use the function without `sparse`."
        )
    return target


def classes_last(x: Any, axis: int) -> Any:
    """`x` with `axis`, counted from the front, moved to the end."""
    if x.shape.rank is None or axis == x.shape.rank - 1:
        return x
    return tf.transpose(x, [*(i for i in range(x.shape.rank) if i != axis), axis])


# ---- Crossentropies ----


@op
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """The crossentropy of each yes-or-no label: `-target · log(p) - (1 - target) · log(1 - p)`.

    `p` is `output`, or its sigmoid with `from_logits`; what `ops.sigmoid` gave counts by its logits. Shapes: both alike
    → the same; raises ValueError where they differ.

    Example:
        >>> from nyala import ops
        >>> ops.nn.binary_crossentropy([1.0, 0.0], [0.5, 0.5]).numpy().tolist()
        [0.693, 0.693]
    """
    output = as_float(output)
    source, from_logits = find_logits(output, from_logits, "Sigmoid")
    source = widen(source)
    target = as_tensor(target, source.dtype)
    demand_equal_shapes("binary_crossentropy", target, source)
    if from_logits:
        values = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=source)
    else:
        p = clip_probabilities(source)
        values = -(target * tf.math.log(p) + (1.0 - target) * tf.math.log(1.0 - p))
    return tf.cast(values, output.dtype)


@op
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Tensor:
    """The crossentropy of class probabilities along `axis`: `-Σ target · log(p)`.

    `p` is `output` divided by its sum, or its softmax with `from_logits`; what `ops.softmax` gave counts by its logits.
    Shapes: both (N, …, K) → (N, …). Raises ValueError where they differ or have no such axis.

    Example:
        >>> from nyala import ops
        >>> ops.nn.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().tolist()
        [0.693]
    """
    output = as_float(output)
    axis = class_axis("categorical_crossentropy", output, axis)
    source, from_logits = find_logits(output, from_logits, "Softmax")
    source = widen(source)
    target = as_tensor(target, source.dtype)
    demand_equal_shapes("categorical_crossentropy", target, source)
    if from_logits:
        values = tf.nn.softmax_cross_entropy_with_logits(labels=target, logits=source, axis=axis)
    else:
        values = -tf.reduce_sum(target * tf.math.log(shares(source, axis)), axis=axis)
    return tf.cast(values, output.dtype)


@op
def sparse_categorical_crossentropy(
    target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """The crossentropy of classes given by number: `-log(p[target])`, the classes along `axis`.

    `p` is `output` divided by its sum, or its softmax with `from_logits`; what `ops.softmax` gave counts by its logits.
    Shapes: (N, …) or (N, …, 1), and (N, …, K) → (N, …). Raises ValueError where they do not match.

    Example:
        >>> from nyala import ops
        >>> ops.nn.sparse_categorical_crossentropy([1], [[0.5, 0.5]]).numpy().tolist()
        [0.693]
    """
    name, output = "sparse_categorical_crossentropy", as_float(output)
    axis = class_axis(name, output, axis)
    source, from_logits = find_logits(output, from_logits, "Softmax")
    source = classes_last(widen(source), axis)
    target = class_numbers(target, source, name)
    logits = source if from_logits else tf.math.log(clip_probabilities(source))
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits)
    return tf.cast(values, output.dtype)


# ---- Signals ----


@op
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Tensor:
    """Peak signal-to-noise ratio in decibels: `20 log10(max_val) - 10 log10(mean((x1 - x2)²))`; infinite where equal.

    Shapes: both alike → (). Raises ValueError where they differ.

    Example:
        >>> from nyala import ops
        >>> float(ops.nn.psnr([0.0, 0.0], [1.0, 1.0], max_val=10.0))
        20.0
    """
    x1, x2 = promote(as_float(x1), as_float(x2))
    demand_equal_shapes("psnr", x1, x2)
    error = tf.reduce_mean(tf.math.squared_difference(widen(x1), widen(x2)))
    peak = as_tensor(max_val, error.dtype)
    return tf.cast((20.0 * tf.math.log(peak) - 10.0 * tf.math.log(error)) / math.log(10.0), x1.dtype)
