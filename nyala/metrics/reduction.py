"""Sums and means of values over all batches, weighted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.losses.common import leaves_of_same_rank, same_rank, widen_prediction
from nyala.losses.loss import convert, fit
from nyala.metrics.metric import Metric
from nyala.ops.rules import tensor as as_any_tensor

# What the `fn` of a `MeanMetricWrapper` in a file can name besides losses; `config.metrics` has classes of these names.
functions = config.Table("metric function", "keras.metrics.functions")


def by_sample(values: Any, sample_weight: Any, reduce: Callable[..., Any], metric: Metric) -> tuple[Any, Any]:
    """One weighted value for each sample, and its weight (or None): all axes but the first go through `reduce`.

    Weights given for the first axes only hold for all that follow. A mask on the values counts only beside weights,
    as in the reference. A ValueError where weights do not fit.
    """
    mask, weight = mask_of(values), None
    values = tensor.as_tensor(values, metric.dtype)
    if sample_weight is not None:
        weight = tensor.as_tensor(masked(sample_weight, mask, metric), metric.dtype)
        fit(weight, values, "`sample_weight`", metric.name)
        values, weight = same_rank(values, weight)
        values = reduce(values, axis=list(range(weight.shape.rank, values.shape.rank)))
        values = tf.math.multiply_no_nan(values, weight) if tensor.is_float(metric.dtype) else values * weight
        weight = reduce(weight, axis=list(range(1, weight.shape.rank)))
    if values.shape.rank is None:
        values = tf.reshape(values, [tf.shape(values)[0], -1])
    return reduce(values, axis=list(range(1, values.shape.rank))), weight


class Sum(Metric):
    """The sum of all values, each times its weight.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.Sum()
        >>> m.update_state([1.0, 3.0])
        >>> m.update_state([5.0], sample_weight=[2.0])
        >>> float(m.result())
        14.0
    """

    def __init__(self, name: str | None = "sum", dtype: DTypeLike = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of values; weights are for each value, for each sample, or one number."""
        self.total.assign_add(tf.reduce_sum(by_sample(values, sample_weight, tf.reduce_sum, self)[0]))

    def result(self) -> Tensor:
        """The sum."""
        return tf.identity(self.total.value)


class Mean(Metric):
    """The mean of all values, each weighted: `sum(weight · value) / sum(weight)`; 0 before the first.

    What belongs to one sample (all axes but the first) is averaged first, so each sample counts once.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.Mean()
        >>> m.update_state([1.0, 3.0])
        >>> m.update_state([8.0], sample_weight=[2.0])
        >>> float(m.result())
        5.0
    """

    def __init__(self, name: str | None = "mean", dtype: DTypeLike = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, values: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of values; weights are for each value, for each sample, or one number."""
        values, weight = by_sample(values, sample_weight, tf.reduce_mean, self)
        self.total.assign_add(tf.reduce_sum(values))
        self.count.assign_add(tf.size(values) if weight is None else tf.reduce_sum(weight))

    def result(self) -> Tensor:
        """The mean."""
        return tf.math.divide_no_nan(self.total.value, self.count.value)


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`; each of `kwargs` becomes an attribute.

    What a mask on `y_pred` (`_keras_mask`) leaves out does not count.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.MeanMetricWrapper(nyala.losses.mean_squared_error, name="mse")
        >>> float(m([[0.0, 2.0]], [[1.0, 4.0]]))
        2.5
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: DTypeLike = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.fn = fn
        self.parameters = tuple(kwargs)
        vars(self).update(kwargs)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        mask = mask_of(y_pred)
        y_true, y_pred = leaves_of_same_rank(convert(as_any_tensor, y_true), convert(widen_prediction, y_pred))
        values = self.fn(y_true, y_pred, **{name: getattr(self, name) for name in self.parameters})
        super().update_state(values, masked(sample_weight, mask, self))


def masked(sample_weight: Any, mask: Any, metric: Metric) -> Any:
    """Sample weights that are zero where the mask is; None for neither."""
    if mask is None:
        return sample_weight
    mask = tf.cast(mask, metric.dtype)
    if sample_weight is None:
        return mask
    weight = tensor.as_tensor(sample_weight, metric.dtype)
    if weight.shape.rank > mask.shape.rank and weight.shape[-1] != 1:
        return weight * fit(mask, weight, "A mask", metric.name)
    return tf.multiply(*same_rank(fit(weight, mask, "`sample_weight`", metric.name), mask))


for _cls in (Sum, Mean, MeanMetricWrapper):
    config.metrics.add(_cls)
