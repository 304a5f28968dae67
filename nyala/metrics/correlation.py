"""How much of the targets' variation the predictions explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.losses.common import align, widen_prediction
from nyala.losses.loss import fit
from nyala.metrics.metric import Metric
from nyala.metrics.reduction import MeanMetricWrapper, functions, masked
from nyala.ops.rules import as_float

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


def centered(y_true: Any, y_pred: Any, axis: Any, name: str) -> tuple[Any, Any, Any, Any]:
    """Targets and predictions without their means along `axis`, and the means."""
    y_true, y_pred = align(y_true, widen_prediction(as_float(y_pred)), name)
    means = [tf.reduce_mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred)]
    return y_true - means[0], y_pred - means[1], *means


@op
def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """The correlation of targets and predictions along `axis`, from -1 to 1; 0 where one does not vary.

    `sum((t - mean t)(p - mean p)) / sqrt(sum((t - mean t)²) sum((p - mean p)²))`.
    Shapes: both alike → without `axis`. Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]]).numpy().round(4).tolist()
        [1.0]
    """
    t, p, _, _ = centered(y_true, y_pred, axis, "pearson_correlation")
    spread = tf.sqrt(tf.reduce_sum(t * t, axis=axis)) * tf.sqrt(tf.reduce_sum(p * p, axis=axis))
    return tf.math.divide_no_nan(tf.reduce_sum(t * p, axis=axis), spread)


@op
def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int | Sequence[int] = -1) -> Tensor:
    """How close predictions are to equality with targets along `axis`, from -1 to 1 (Lin, 1989).

    `2 cov(t, p) / (var(t) + var(p) + (mean t - mean p)²)`; 0 where that divides by 0.
    Shapes: both alike → without `axis`. Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.concordance_correlation([[0.0, 2.0]], [[1.0, 3.0]]).numpy().round(4).tolist()
        [0.6667]
    """
    t, p, mean_t, mean_p = centered(y_true, y_pred, axis, "concordance_correlation")
    gap = tf.reduce_mean(tf.math.squared_difference(mean_t, mean_p), axis=axis)
    spread = tf.reduce_mean(t * t, axis=axis) + tf.reduce_mean(p * p, axis=axis) + gap
    return tf.math.divide_no_nan(2.0 * tf.reduce_mean(t * p, axis=axis), spread)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation of targets and predictions along `axis`, as `pearson_correlation`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.PearsonCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]]))
        1.0
    """

    def __init__(
        self, name: str | None = "pearson_correlation", dtype: DTypeLike = None, axis: int | Sequence[int] = -1
    ) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean closeness of predictions to targets along `axis`, as `concordance_correlation`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.ConcordanceCorrelation()([[0.0, 2.0]], [[1.0, 3.0]]))
        0.6667
    """

    def __init__(
        self, name: str | None = "concordance_correlation", dtype: DTypeLike = None, axis: int | Sequence[int] = -1
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)


class R2Score(Metric):
    """The share of the targets' variance that the predictions explain: `1 - sum((t - p)²) / sum((t - mean t)²)`.

    For each column, then their mean (`"uniform_average"`), their mean weighted by variance, or all (None). With
    `num_regressors`, adjusted for that many free parameters. A column that does not vary scores 0, or 1 if exact.
    Shapes: (N, D) and (N, D) → () or (D,). Raises ValueError for other shapes and arguments.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]))
        0.5714
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if class_aggregation not in AGGREGATIONS:
            choices = ", ".join(map(repr, AGGREGATIONS))
            raise ValueError(f"`class_aggregation` must be one of {choices}, but got {class_aggregation!r}.")
        if num_regressors < 0:
            raise ValueError(f"`num_regressors` must not be negative, but got {num_regressors}.")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self.built = False

    def _build(self, columns: int) -> None:
        self.squared_sum = self.add_variable((columns,), "zeros", name="squared_sum")
        self.sum = self.add_variable((columns,), "zeros", name="sum")
        self.total_mse = self.add_variable((columns,), "zeros", name="residual")
        self.count = self.add_variable((columns,), "zeros", name="count")
        self.built = True

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        weight = masked(sample_weight, mask_of(y_pred), self)
        y_true, y_pred = align(y_true, widen_prediction(as_float(y_pred)), self.name)
        if y_pred.shape.rank != 2:
            raise ValueError(f"`{self.name}` expected shapes (batch, columns), but got {tuple(y_pred.shape)} twice.")
        if not self.built:
            self._build(y_pred.shape[1])
        y_true, y_pred = tf.cast(y_true, self.dtype), tf.cast(y_pred, self.dtype)
        given = 1.0 if weight is None else tensor.as_tensor(weight, self.dtype)
        weight = tf.ones_like(y_true) * (fit(given, y_true, "`sample_weight`", self.name) if weight is not None else 1)
        self.sum.assign_add(tf.reduce_sum(weight * y_true, axis=0))
        self.squared_sum.assign_add(tf.reduce_sum(weight * y_true * y_true, axis=0))
        self.total_mse.assign_add(tf.reduce_sum(weight * tf.math.squared_difference(y_true, y_pred), axis=0))
        self.count.assign_add(tf.reduce_sum(weight, axis=0))
        self.num_samples.assign_add(tf.size(y_true))

    def result(self) -> Tensor:
        """The score, or one for each column."""
        if not self.built:
            return tf.zeros((), self.dtype)
        sums, residual = tf.convert_to_tensor(self.sum.value), tf.convert_to_tensor(self.total_mse.value)
        total = tf.subtract(self.squared_sum.value, sums * tf.math.divide_no_nan(sums, self.count.value))
        constant = tf.where(residual == 0, tf.ones_like(total), tf.zeros_like(total))
        scores = tf.where(total == 0, constant, 1.0 - tf.math.divide_no_nan(residual, total))
        if self.class_aggregation == "uniform_average":
            scores = tf.reduce_mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = tf.math.divide_no_nan(tf.reduce_sum(scores * total), tf.reduce_sum(total))
        return self._adjusted(scores) if self.num_regressors else scores

    def _adjusted(self, scores: Any) -> Any:
        samples = tf.convert_to_tensor(self.num_samples.value)
        free = samples - self.num_regressors - 1.0
        return tf.where(free > 0, 1.0 - tf.math.divide_no_nan((1.0 - scores) * (samples - 1.0), free), scores)


for _cls in (PearsonCorrelation, ConcordanceCorrelation, R2Score):
    config.metrics.add(_cls)
for _function in (pearson_correlation, concordance_correlation):
    functions.add(_function)
