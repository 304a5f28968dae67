"""Counts of right and wrong decisions at thresholds, and the ratios made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.core.variable import Variable
from nyala.losses.common import align, widen
from nyala.losses.loss import fit
from nyala.metrics.metric import Metric
from nyala.metrics.reduction import masked
from nyala.ops.rules import as_float

FEW = 4  # up to so many thresholds are compared one by one; for more, a histogram takes less time and memory


class Counts(NamedTuple):
    """Weights of decisions of each kind, at each threshold: (thresholds,) or (thresholds, labels)."""

    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any


def count(
    metric: Metric,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    thresholds: Sequence[float],
    top_k: int | None = None,
    class_id: int | None = None,
    multi_label: bool = False,
    label_weights: Any = None,
) -> Counts:
    """Count the decisions `y_pred > threshold`, where a target other than 0 is positive.

    A ValueError where shapes do not match. With `multi_label`, each index of the last axis is counted apart.
    """
    sample_weight = masked(sample_weight, mask_of(y_pred), metric)
    y_true, y_pred = align(y_true, as_float(y_pred), metric.name)
    scores = widen(y_pred)
    if top_k is not None:
        scores = keep_largest(scores, top_k)
    if class_id is not None:
        y_true, scores = y_true[..., class_id], scores[..., class_id]
    weight = weights_like(scores, sample_weight, label_weights, metric)
    columns = [-1, tf.shape(scores)[-1] if multi_label else 1]
    y_true, scores, weight = (tf.reshape(x, columns) for x in (y_true, scores, weight))  # (N, labels)
    positive = tf.where(tf.not_equal(y_true, 0), weight, 0.0)
    negative = weight - positive
    true_positives, false_positives = (weight_above(scores, w, thresholds) for w in (positive, negative))
    counts = (
        true_positives,
        false_positives,
        tf.reduce_sum(negative, axis=0) - false_positives,
        tf.reduce_sum(positive, axis=0) - true_positives,
    )
    return Counts(*(x if multi_label else x[:, 0] for x in counts))


def weights_like(scores: Any, sample_weight: Any, label_weights: Any, metric: Metric) -> Any:
    """The weight of each score."""
    weight = tf.ones_like(scores)
    if sample_weight is not None:
        given = fit(tensor.as_tensor(sample_weight, scores.dtype), scores, "`sample_weight`", metric.name)
        weight *= tf.reshape(given, tf.shape(scores)) if given.shape.rank != scores.shape.rank else given
    if label_weights is not None:
        weight *= tensor.as_tensor(label_weights, scores.dtype)
    return weight


def keep_largest(scores: Any, k: int) -> Any:
    """The `k` largest scores of each row; minus infinity for the others."""
    places = tf.math.top_k(scores, k, sorted=False).indices  # (…, k)
    kept = tf.reduce_any(tf.one_hot(places, tf.shape(scores)[-1], True, False, dtype="bool"), axis=-2)
    return tf.where(kept, scores, -float("inf"))


def weight_above(scores: Any, weight: Any, thresholds: Sequence[float]) -> Any:
    """The weight of scores above each threshold. Shapes: (N, labels) twice → (thresholds, labels)."""
    if len(thresholds) <= FEW:
        above = scores > tf.constant(thresholds, scores.dtype, [len(thresholds), 1, 1])
        return tf.reduce_sum(tf.where(above, weight, 0.0), axis=1)
    order = np.argsort(thresholds)
    bins, labels = len(thresholds) + 1, tf.shape(scores)[1]
    below = places_among(tf.reshape(scores, [-1]), np.take(thresholds, order))
    segments = tf.reshape(tf.reshape(below, tf.shape(scores)) + bins * tf.range(labels), [-1])
    histogram = tf.math.unsorted_segment_sum(tf.reshape(weight, [-1]), segments, bins * labels)
    above = tf.cumsum(tf.reshape(histogram, [labels, bins]), axis=1, exclusive=True, reverse=True)
    return tf.gather(tf.transpose(above), np.argsort(order))


def places_among(scores: Any, thresholds: np.ndarray) -> Any:
    """How many of the sorted `thresholds` lie below each score: of evenly spaced ones a guess, then one more or less."""
    last, table = len(thresholds) - 1, tf.constant(thresholds, scores.dtype)
    if np.abs(thresholds - np.linspace(0, 1, last + 1)).max() > 1e-3 / last:
        return tf.searchsorted(table, scores)
    guess = tf.clip_by_value(tf.math.ceil(scores * last), 1, last)
    guess = tf.maximum(tf.cast(guess, "int32"), 1)  # what NaN becomes is nobody's promise
    guess -= tf.cast(tf.logical_not(tf.gather(table, guess - 1) < scores), "int32")
    return guess + tf.cast(tf.gather(table, guess) < scores, "int32")


def checked_thresholds(thresholds: Any, default: float, metric: Metric) -> list[float]:
    """Thresholds as a list; a ValueError where one is not in [0, 1]."""
    if thresholds is None:
        return [default]
    found = [float(t) for t in np.atleast_1d(thresholds)]
    wrong = [t for t in found if not 0 <= t <= 1]
    if wrong:
        raise ValueError(f"The thresholds of `{metric.name}` must be numbers from 0 to 1, but got {wrong[0]}.")
    return found


def evenly_spaced(num_thresholds: int, margin: float = 0.0) -> list[float]:
    """Thresholds from `-margin` to `1 + margin`, evenly spaced in between."""
    inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
    return [0.0 - margin, *inner, 1.0 + margin] if num_thresholds > 1 else [0.5]


class Counting(Metric):
    """The base of metrics that add up counts: `counters` says which kinds of decisions go to which variables."""

    _thresholds: list[float]  # which a subclass sets

    def __init__(self, name: str | None, dtype: DTypeLike, given: Any = None, **options: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds, self.options = given, options
        self.counters: dict[str, Any] = {}

    @property
    def thresholds(self) -> list[float]:
        """The numbers with which predictions are compared."""
        return self._thresholds

    def count_into(self, shape: Sequence[int], **names: str) -> None:
        """Make a variable for each kind of decision: kind=name."""
        for kind, name in names.items():
            self.counters[kind] = self.add_variable(shape, "zeros", name=name)
            setattr(self, name, self.counters[kind])

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        counts = count(self, y_true, y_pred, sample_weight, self.thresholds, **self.options)
        for kind, variable in self.counters.items():
            variable.assign_add(getattr(counts, kind))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "thresholds": self.init_thresholds} if "thresholds" in config else config

    def single(self, values: Any) -> Any:
        """The value itself where there is one threshold."""
        return values[0] if len(self.thresholds) == 1 else values


class ConditionCount(Counting):
    """The base of metrics that count one kind of decision."""

    condition = ""
    accumulator: Variable

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: DTypeLike = None) -> None:
        super().__init__(name, dtype, thresholds)
        self._thresholds = checked_thresholds(thresholds, 0.5, self)
        self.count_into((len(self.thresholds),), **{self.condition: "accumulator"})

    def result(self) -> Tensor:
        """The count, or one for each threshold."""
        return self.single(tf.identity(self.accumulator.value))


class TruePositives(ConditionCount):
    """How often a positive target was predicted to be positive, that is, above `thresholds`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.TruePositives()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0]))
        2.0
    """

    condition = "true_positives"


class FalsePositives(ConditionCount):
    """How often a negative target was predicted to be positive, that is, above `thresholds`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.FalsePositives()([0, 1, 0, 0], [0.0, 0.0, 1.0, 1.0]))
        2.0
    """

    condition = "false_positives"


class TrueNegatives(ConditionCount):
    """How often a negative target was predicted to be negative, that is, not above `thresholds`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.TrueNegatives()([0, 1, 0, 0], [1.0, 1.0, 0.0, 0.0]))
        2.0
    """

    condition = "true_negatives"


class FalseNegatives(ConditionCount):
    """How often a positive target was predicted to be negative, that is, not above `thresholds`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.FalseNegatives()([0, 1, 1, 1], [0.0, 1.0, 0.0, 0.0]))
        2.0
    """

    condition = "false_negatives"


class Precision(Counting):
    """How many of the predicted positives are positive: `tp / (tp + fp)`; 0 where nothing was predicted.

    Predicted are values above each of `thresholds` (default 0.5), or with `top_k` the `k` largest of each row;
    `class_id` looks at one class alone. A list of thresholds gives a list of results.
    Raises ValueError for a threshold outside [0, 1].

    Example:
        >>> import nyala
        >>> float(nyala.metrics.Precision()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0]))
        0.6667
    """

    wrong = "false_positives"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(name, dtype, thresholds, top_k=top_k, class_id=class_id)
        self.top_k, self.class_id = top_k, class_id
        self._thresholds = checked_thresholds(thresholds, 0.5 if top_k is None else -float("inf"), self)
        kinds = ("true_positives", self.wrong)
        self.count_into((len(self.thresholds),), **dict(zip(kinds, kinds, strict=True)))

    def result(self) -> Tensor:
        """The ratio, or one for each threshold."""
        right, wrong = (variable.value for variable in self.counters.values())
        return self.single(tf.math.divide_no_nan(right, tf.add(right, wrong)))


class Recall(Precision):
    """How many of the positives were predicted: `tp / (tp + fn)`; 0 where there are none.

    Predicted are values above each of `thresholds` (default 0.5), or with `top_k` the `k` largest of each row;
    `class_id` looks at one class alone. A list of thresholds gives a list of results.
    Raises ValueError for a threshold outside [0, 1].

    Example:
        >>> import nyala
        >>> float(nyala.metrics.Recall()([0, 1, 1, 1], [1.0, 0.0, 1.0, 1.0]))
        0.6667
    """

    wrong = "false_negatives"


class TradeOff(Counting):
    """The base of metrics that maximize one ratio among the thresholds where another is at least `value`."""

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: DTypeLike, what: str
    ) -> None:
        if not 0 <= value <= 1:
            raise ValueError(f"`{what}` must be a number from 0 to 1, but got {value}.")
        if num_thresholds <= 0:
            raise ValueError(f"`num_thresholds` must be a positive integer, but got {num_thresholds}.")
        super().__init__(name, dtype, class_id=class_id)
        self._thresholds = evenly_spaced(num_thresholds)
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        self.count_into((len(self.thresholds),), **{kind: kind for kind in Counts._fields})

    def ratios(self, counts: Counts) -> tuple[Any, Any]:
        """The ratio that is bounded, and the one that is maximized; a subclass says which."""
        raise TypeError(f"{type(self).__name__} defines no `ratios` method.")

    def result(self) -> Tensor:
        """The largest value possible; 0 where the bound cannot be met."""
        counts = Counts(*(self.counters[kind].value for kind in Counts._fields))
        bounded, maximized = self.ratios(counts)
        return tf.reduce_max(tf.where(bounded >= tf.cast(self.value, bounded.dtype), maximized, 0.0))


def ratio(part: Any, rest: Any) -> Any:
    """`part / (part + rest)`; 0 where both are."""
    return tf.math.divide_no_nan(part, tf.add(part, rest))


class SensitivityAtSpecificity(TradeOff):
    """The best sensitivity (true positive rate) at a specificity (true negative rate) of at least `specificity`.

    Raises ValueError for a `specificity` outside [0, 1].

    Example:
        >>> import nyala
        >>> m = nyala.metrics.SensitivityAtSpecificity(0.5)
        >>> float(m([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype, "specificity")
        self.specificity = specificity

    def ratios(self, counts: Counts) -> tuple[Any, Any]:
        specificity = ratio(counts.true_negatives, counts.false_positives)
        return specificity, ratio(counts.true_positives, counts.false_negatives)


class SpecificityAtSensitivity(TradeOff):
    """The best specificity (true negative rate) at a sensitivity (true positive rate) of at least `sensitivity`.

    Raises ValueError for a `sensitivity` outside [0, 1].

    Example:
        >>> import nyala
        >>> m = nyala.metrics.SpecificityAtSensitivity(0.5)
        >>> float(m([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
        0.6667
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype, "sensitivity")
        self.sensitivity = sensitivity

    def ratios(self, counts: Counts) -> tuple[Any, Any]:
        sensitivity = ratio(counts.true_positives, counts.false_negatives)
        return sensitivity, ratio(counts.true_negatives, counts.false_positives)


class PrecisionAtRecall(TradeOff):
    """The best precision at a recall of at least `recall`. Raises ValueError for a `recall` outside [0, 1].

    Example:
        >>> import nyala
        >>> m = nyala.metrics.PrecisionAtRecall(0.5)
        >>> float(m([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]))
        0.5
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype, "recall")
        self.recall = recall

    def ratios(self, counts: Counts) -> tuple[Any, Any]:
        recall = ratio(counts.true_positives, counts.false_negatives)
        return recall, ratio(counts.true_positives, counts.false_positives)


class RecallAtPrecision(TradeOff):
    """The best recall at a precision of at least `precision`. Raises ValueError for a `precision` outside [0, 1].

    Example:
        >>> import nyala
        >>> m = nyala.metrics.RecallAtPrecision(0.8)
        >>> float(m([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
        0.5
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype, "precision")
        self.precision = precision

    def ratios(self, counts: Counts) -> tuple[Any, Any]:
        precision = ratio(counts.true_positives, counts.false_positives)
        return precision, ratio(counts.true_positives, counts.false_negatives)


for _cls in (
    TruePositives,
    FalsePositives,
    TrueNegatives,
    FalseNegatives,
    Precision,
    Recall,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    PrecisionAtRecall,
    RecallAtPrecision,
):
    config.metrics.add(_cls)
