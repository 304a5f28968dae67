"""`Loss`: a function of targets and predictions, and how its values become one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.core import policy, replicas, tensor, tree
from nyala.core.config import Configurable
from nyala.core.engine import tf
from nyala.core.graph import FunctionCall, any_symbolic
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.core.tracking import auto_name
from nyala.losses.common import in_dtype, leaves_of_same_rank, same_rank, widen

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(Configurable):
    """The base of losses: `call` gives values, `reduction` says what becomes of them.

    `"sum_over_batch_size"` and `"mean"`: their mean. `"sum"`: their sum. `"mean_with_sample_weight"`: their sum divided
    by that of the weights. `"none"` or None: the values. Values are multiplied by `sample_weight`; what a mask
    (`_keras_mask` on `y_pred` or on the values) leaves out counts nowhere. A mean of nothing is 0.

    Raises ValueError for another reduction, and where weights do not fit the values.

    Example:
        >>> import nyala
        >>> class Difference(nyala.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         return abs(y_true - y_pred)
        >>> float(Difference()([1.0, 2.0], [1.0, 4.0]))
        1.0
    """

    targets_are_classes = False  # class numbers stay whole: float16 cannot tell 2049 from 2048

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: DTypeLike = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"`reduction` must be one of {', '.join(map(repr, REDUCTIONS))}, but got {reduction!r}.")
        self.name = name or auto_name(type(self).__name__)
        self.reduction = reduction
        self.dtype_policy = policy.get(dtype or tensor.floatx())

    @property
    def dtype(self) -> str:
        """The dtype in which the loss is computed."""
        return self.dtype_policy.compute_dtype

    def __call__(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The reduced loss."""
        if any_symbolic((y_true, y_pred, sample_weight)):
            return FunctionCall(self, self.name)(y_true, y_pred, sample_weight)
        mask = mask_of(y_pred)
        values = self.call(convert(self._target, y_true), convert(self._prediction, y_pred))
        return reduce_values(values, sample_weight, both(mask, mask_of(values)), self)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The values, one for each sample; a subclass says how."""
        raise TypeError(f"{type(self).__name__} `{self.name}` defines no `call` method, so it cannot be called.")

    def _target(self, y: Any) -> Any:
        whole = self.targets_are_classes and not tensor.is_float(tensor.dtype_of(y))
        return tensor.as_tensor(y, None if whole else self.dtype)

    def _prediction(self, y: Any) -> Any:
        return in_dtype(y, self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def convert(function: Callable[[Any], Any], y: Any) -> Any:
    """`y` with each leaf converted by `function`; nested lists of numbers are one leaf."""
    if isinstance(y, (list, tuple)) and all(isinstance(leaf, (bool, int, float)) for leaf in tree.flatten(y)):
        return function(np.array(y))
    return tree.map_structure(function, y)


class LossFunctionWrapper(Loss):
    """A loss whose values are `fn(y_true, y_pred, **kwargs)`; each of `kwargs` becomes an attribute."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: DTypeLike = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self.parameters = tuple(kwargs)
        vars(self).update(kwargs)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`fn` of targets and predictions, where `(n,)` and `(n, 1)` are brought to one rank."""
        y_true, y_pred = leaves_of_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **{name: getattr(self, name) for name in self.parameters})


def both(one: Any, other: Any) -> Any:
    """What two masks keep; None keeps everything."""
    if one is None or other is None:
        return one if other is None else other
    one, other = same_rank(tf.cast(one, "bool"), tf.cast(other, "bool"))
    return one & other


def reduce_values(values: Any, sample_weight: Any, mask: Any, loss: Loss) -> Any:
    """The values of `loss` weighted, masked and reduced as its `reduction` says."""
    values = tensor.as_tensor(values, loss.dtype)
    wide = widen(values)  # float16 cannot count beyond 65504
    weight = weight_of(wide, sample_weight, mask, loss.name)
    if weight is not None:
        wide, weight = same_rank(wide, weight)
        wide = tf.math.multiply_no_nan(wide, weight)  # what weighs nothing may be NaN
    if loss.reduction in ("none", None):
        return tf.cast(wide, loss.dtype)
    total = tf.reduce_sum(wide)
    if loss.reduction == "sum":
        return tf.cast(replicas.unweighted(total), loss.dtype)
    if loss.reduction == "mean_with_sample_weight" and weight is not None:
        divisor = replicas.common_divisor(tf.reduce_sum(tf.broadcast_to(weight, tf.shape(wide))))
    elif mask is not None:
        kept = fit(tf.cast(mask, wide.dtype), wide, "A mask", loss.name)
        divisor = replicas.common_divisor(tf.reduce_sum(tf.broadcast_to(kept, tf.shape(wide))))
    else:
        divisor = tf.cast(tf.size(wide), wide.dtype)
    return tf.cast(tf.math.divide_no_nan(total, divisor), loss.dtype)


def weight_of(values: Any, sample_weight: Any, mask: Any, name: str) -> Any:
    """Sample weights times mask, as a tensor that fits `values`; None for neither."""
    weight = None
    if sample_weight is not None:
        weight = fit(tensor.as_tensor(sample_weight, values.dtype), values, "`sample_weight`", name)
    if mask is not None:
        kept = fit(tf.cast(mask, values.dtype), values, "A mask", name)
        weight = kept if weight is None else tf.multiply(*same_rank(weight, kept))
    return weight


def fit(weight: Any, values: Any, what: str, name: str) -> Any:
    """Weights with as many axes as `values`: given for the first axes only, they hold for all that follow.

    Raises ValueError where a size is neither that of the values nor 1.
    """
    rank, wanted = weight.shape.rank, values.shape.rank
    if not rank or wanted is None:
        return weight
    shape = weight.shape
    if rank == wanted + 1 and shape[-1] == 1 and wanted > 1:
        weight = tf.squeeze(weight, -1)
    elif rank < wanted:
        weight = tf.reshape(weight, tf.concat([tf.shape(weight), tf.ones([wanted - rank], "int32")], 0))
        weight.set_shape([*shape, *[1] * (wanted - rank)])
    sizes, expected = tensor.static_shape(weight), tensor.static_shape(values)
    expected = (*expected, 1) if (rank, wanted, shape[-1]) == (2, 1, 1) else expected
    if len(sizes) != len(expected) or any(
        a not in (1, None, b) and b is not None for a, b in zip(sizes, expected, strict=True)
    ):
        raise ValueError(
            f"{what} of shape {tuple(shape)} does not fit the values of `{name}`, which have shape "
            f"{tuple(values.shape)}. Give one for each sample, or for each value."
        )
    return weight
