"""What losses ask of targets and predictions: floats, of one shape, wide enough to compute with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from nyala.core import config, tensor, tree
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.ops.crossentropy import keep_logits
from nyala.ops.normalization import widen
from nyala.ops.rules import as_float
from nyala.ops.rules import tensor as as_any_tensor

F = TypeVar("F", bound=Callable[..., Any])

EPSILON = 1e-7  # keeps logarithms and quotients finite
ACTIVATIONS = {
    "Softmax": tf.nn.softmax,
    "Sigmoid": tf.sigmoid,
}  # operations whose input a crossentropy would rather have


def loss(*aliases: str) -> Callable[[F], F]:
    """Make a formula on two tensors of one shape a loss that is found by its name and `aliases`."""

    def decorate(formula: F) -> F:
        @functools.wraps(formula)
        def compute(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            y_pred = as_float(y_pred)
            y_true, y_pred = align(y_true, y_pred, formula.__name__)
            y_true = widen(y_true)
            values = formula(y_true, in_dtype(y_pred, y_true.dtype), *args, **kwargs)
            return tf.cast(values, y_pred.dtype)

        return config.losses.add(op(compute), *aliases)

    return decorate


def in_dtype(y_pred: Any, dtype: Any) -> Any:
    """Predictions in `dtype`. The logits of a softmax or sigmoid behind them come along: a short float loses them."""
    wide = tensor.as_tensor(y_pred, dtype)
    if wide is y_pred:
        return wide
    logits = getattr(y_pred, "_keras_logits", None)
    if logits is not None:
        return keep_logits(wide, tf.cast(logits, wide.dtype))
    if tf.is_symbolic_tensor(y_pred) and y_pred.op.type in ACTIVATIONS:
        return ACTIVATIONS[y_pred.op.type](tf.cast(y_pred.op.inputs[0], wide.dtype))
    return wide


def widen_prediction(y_pred: Any) -> Any:
    """Predictions as a tensor: short floats as float32, with the logits behind them."""
    y_pred = as_any_tensor(y_pred)
    return in_dtype(y_pred, "float32") if y_pred.dtype in (tf.float16, tf.bfloat16) else y_pred


def align(y_true: Any, y_pred: Any, name: str) -> tuple[Any, Any]:
    """Targets and predictions as tensors of one dtype and one shape; a ValueError where their shapes do not match.

    `(n,)` and `(n, 1)` match, as do `(…, k)` and `(…, k, 1)`, and one number matches everything. Nothing else is
    broadcast, because that turns a forgotten axis into a wrong loss.
    """
    y_true = tensor.as_tensor(y_true, y_pred.dtype)
    if y_true.shape.rank is None or y_pred.shape.rank is None:
        return tf.reshape(y_true, tf.shape(y_pred)), y_pred
    if y_true.shape.rank == 0:
        return tf.broadcast_to(y_true, tf.shape(y_pred)), y_pred
    expected = y_true.shape, y_pred.shape
    y_true, y_pred = same_rank(y_true, y_pred)
    demand_equal_shapes(y_true, y_pred, name, *expected)
    return y_true, y_pred


def same_rank(one: Any, other: Any) -> tuple[Any, Any]:
    """Two tensors, one of which may have a last axis of size one too many: brought to one rank."""
    surplus = one.shape.rank - other.shape.rank
    if surplus == 1 and one.shape[-1] == 1:
        return (one, other[:, None]) if other.shape.rank == 1 else (tf.squeeze(one, -1), other)
    if surplus == -1 and other.shape[-1] == 1:
        other, one = same_rank(other, one)
    return one, other


def leaves_of_same_rank(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Targets and predictions of one structure, each pair of tensors as `same_rank` gives them."""
    if not tree.same_structure(y_true, y_pred):
        return y_true, y_pred
    pairs = zip(tree.flatten(y_true), tree.flatten(y_pred), strict=True)
    aligned = [same_rank(t, p) if None not in (t.shape.rank, p.shape.rank) else (t, p) for t, p in pairs]
    return tuple(tree.pack_sequence_as(y, [pair[i] for pair in aligned]) for i, y in enumerate((y_true, y_pred)))  # pyright: ignore[reportReturnType]


def demand_equal_shapes(y_true: Any, y_pred: Any, name: str, true_shape: Any = None, pred_shape: Any = None) -> None:
    """A ValueError unless the shapes are equal; where only the run can tell, an InvalidArgumentError then."""
    mine, theirs = tensor.static_shape(y_true), tensor.static_shape(y_pred)
    cure = "Reshape one of them; nothing is broadcast."
    if len(mine) == len(theirs) - 1:
        cure = f"Give each row {theirs[-1]} targets, or use a sparse loss if they are class numbers."
    message = (
        f"`{name}` expected `y_true` and `y_pred` of one shape, but got {tuple(true_shape or mine)} and "
        f"{tuple(pred_shape or theirs)}. {cure}"
    )
    if not tensor.shape_equal(mine, theirs):
        raise ValueError(message)
    if None in mine[1:] + theirs[1:]:
        tf.debugging.assert_equal(tf.shape(y_true), tf.shape(y_pred), message)
