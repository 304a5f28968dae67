"""Precision and recall in one number."""

from __future__ import annotations

from typing import Any

from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.losses.common import align
from nyala.losses.loss import fit
from nyala.metrics.metric import Metric
from nyala.metrics.reduction import masked
from nyala.ops.rules import as_float

AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """The harmonic mean of precision and recall, where recall counts `beta` times as much.

    `(1 + beta²) precision · recall / (beta² precision + recall)`. Predicted are values above `threshold`; without
    one, the largest of each row. `average`: None for a score of each class, `"macro"` for their mean, `"weighted"`
    for the mean weighted by how often a class occurs, `"micro"` for the score of all decisions together.
    Shapes: (N, K) and (N, K) → (K,) or (). Raises ValueError for other shapes, averages and thresholds.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.FBetaScore(beta=2.0, threshold=0.5)
        >>> m([[1, 1], [1, 0]], [[0.9, 0.2], [0.3, 0.1]]).numpy().round(3).tolist()
        [0.556, 0.0]
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in AVERAGES:
            raise ValueError(f"`average` must be one of {', '.join(map(repr, AVERAGES))}, but got {average!r}.")
        if not isinstance(beta, (int, float)) or beta <= 0:
            raise ValueError(f"`beta` must be a positive number, but got {beta!r}.")
        if threshold is not None and (not isinstance(threshold, (int, float)) or not 0 < threshold <= 1):
            raise ValueError(f"`threshold` must be a number above 0 and at most 1, but got {threshold!r}.")
        self.average, self.beta, self.threshold = average, beta, threshold
        self.axis = None if average == "micro" else 0
        self.built = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_variable(shape, "zeros", name="true_positives")
        self.false_positives = self.add_variable(shape, "zeros", name="false_positives")
        self.false_negatives = self.add_variable(shape, "zeros", name="false_negatives")
        self.intermediate_weights = self.add_variable(shape, "zeros", name="intermediate_weights")
        self.built = True

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        weight = masked(sample_weight, mask_of(y_pred), self)
        y_true, y_pred = align(y_true, as_float(y_pred), self.name)
        if y_pred.shape.rank != 2:
            raise ValueError(f"`{self.name}` expected shapes (batch, classes), but got {tuple(y_pred.shape)} twice.")
        if not self.built:
            self._build(y_pred.shape[1])
        y_true, said = tf.cast(y_true, self.dtype), tf.cast(self._decide(y_pred), self.dtype)

        def total(x: Any) -> Any:
            if weight is not None:
                x *= fit(tensor.as_tensor(weight, self.dtype), x, "`sample_weight`", self.name)
            return tf.reduce_sum(x, axis=self.axis)

        self.true_positives.assign_add(total(said * y_true))
        self.false_positives.assign_add(total(said * (1 - y_true)))
        self.false_negatives.assign_add(total((1 - said) * y_true))
        self.intermediate_weights.assign_add(total(y_true))

    def _decide(self, y_pred: Any) -> Any:
        if self.threshold is not None:
            return y_pred > tf.cast(self.threshold, y_pred.dtype)
        return (y_pred >= tf.reduce_max(y_pred, axis=-1, keepdims=True)) & (tf.abs(y_pred) > 1e-9)

    def result(self) -> Tensor:
        """The score, or one for each class."""
        if not self.built:
            return tf.zeros((), self.dtype)
        right = self.true_positives.value
        precision = tf.math.divide_no_nan(right, tf.add(right, self.false_positives.value))
        recall = tf.math.divide_no_nan(right, tf.add(right, self.false_negatives.value))
        squared = self.beta**2
        scores = tf.math.divide_no_nan((1 + squared) * precision * recall, squared * precision + recall)
        if self.average == "weighted":
            weight = tf.convert_to_tensor(self.intermediate_weights.value)
            return tf.math.divide_no_nan(tf.reduce_sum(scores * weight), tf.reduce_sum(weight))
        return scores if self.average is None else tf.reduce_mean(scores)


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: `FBetaScore` with `beta=1`.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.F1Score(threshold=0.5, average="micro")
        >>> float(m([[1, 1], [1, 0]], [[0.9, 0.2], [0.3, 0.1]]))
        0.5
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


for _cls in (FBetaScore, F1Score):
    config.metrics.add(_cls)
