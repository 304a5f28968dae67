"""The area under a curve of two ratios over all thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.losses.common import EPSILON
from nyala.metrics.confusion import Counting, Counts, checked_thresholds, evenly_spaced, ratio
from nyala.ops.rules import as_float

CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "minoring", "majoring")
HEIGHTS = {"minoring": tf.minimum, "majoring": tf.maximum}


class AUC(Counting):
    """The area under a curve, found from its points at `num_thresholds` thresholds.

    Curves: `"ROC"` (recall over false positive rate), `"PR"` (precision over recall), `"PRGAIN"` (the same in gains
    over chance; Flach & Kull, 2015). Between points, `"interpolation"` uses the trapezoid (for PR the interpolation
    of Davis & Goadrich, 2006), `"minoring"` the lower and `"majoring"` the higher end. With `multi_label`, the mean
    of the labels' areas, weighted by `label_weights`; without, these weigh the predictions of each label.
    Raises ValueError for wrong names and numbers, and where shapes do not match.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.AUC(num_thresholds=3)
        >>> float(m([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]))
        0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: DTypeLike = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype, thresholds)
        self.curve = choice("curve", str(curve).upper(), CURVES)
        self.summation_method = choice("summation_method", str(summation_method).lower(), METHODS)
        if thresholds is None:
            if num_thresholds <= 1:
                raise ValueError(f"`num_thresholds` must be an integer above 1, but got {num_thresholds}.")
            self._thresholds = evenly_spaced(num_thresholds, EPSILON)
        else:
            inner = sorted(checked_thresholds(thresholds, 0.5, self))
            self._thresholds = [0.0 - EPSILON, *inner, 1.0 + EPSILON]
        if num_labels and not multi_label:
            raise ValueError(f"`num_labels` is for multi_label=True only, but got num_labels={num_labels}.")
        self.num_thresholds = len(self.thresholds)
        self.multi_label, self.num_labels, self.from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else np.asarray(label_weights).tolist()
        self.options = {"multi_label": multi_label, "label_weights": None if multi_label else self.label_weights}
        if num_labels or not multi_label:
            self._build((num_labels,) if multi_label else ())

    def _build(self, labels: tuple[Any, ...]) -> None:
        self.count_into((self.num_thresholds, *labels), **{kind: kind for kind in Counts._fields})

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        scores = as_float(y_pred)
        if not self.counters:
            self._build((scores.shape[-1],))
        if self.from_logits:
            scores = tf.sigmoid(scores)
        mask = mask_of(y_pred)
        if mask is not None:
            scores._keras_mask = mask
        super().update_state(y_true, scores, sample_weight)

    def result(self) -> Tensor:
        """The area."""
        if not self.counters:
            return tf.zeros((), self.dtype)
        counts = Counts(*(tf.convert_to_tensor(self.counters[kind].value) for kind in Counts._fields))
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = pr_areas(counts)
        else:
            x, y = CURVE_POINTS[self.curve](counts)
            ends = HEIGHTS.get(self.summation_method, lambda a, b: (a + b) / 2)
            areas = (x[:-1] - x[1:]) * ends(y[:-1], y[1:])
        return self._mean_of_labels(tf.reduce_sum(areas, axis=0))

    def interpolate_pr_auc(self) -> Tensor:
        """The area under the PR curve by the interpolation of Davis & Goadrich."""
        counts = Counts(*(tf.convert_to_tensor(self.counters[kind].value) for kind in Counts._fields))
        return self._mean_of_labels(tf.reduce_sum(pr_areas(counts), axis=0))

    def _mean_of_labels(self, areas: Any) -> Any:
        if not self.multi_label or self.label_weights is None:
            return tf.reduce_mean(areas)
        weights = tensor.as_tensor(self.label_weights, areas.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(areas * weights), tf.reduce_sum(weights))


def choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """`value` where it is among `choices`, else a ValueError that lists them."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, but got {value!r}.")
    return value


def roc_points(counts: Counts) -> tuple[Any, Any]:
    """False positive rate and recall."""
    x = ratio(counts.false_positives, counts.true_negatives)
    return x, ratio(counts.true_positives, counts.false_negatives)


def pr_points(counts: Counts) -> tuple[Any, Any]:
    """Recall and precision."""
    x = ratio(counts.true_positives, counts.false_negatives)
    return x, ratio(counts.true_positives, counts.false_positives)


def pr_gain_points(counts: Counts) -> tuple[Any, Any]:
    """Recall (not below 0) and precision as gains over always predicting positive: 0 for chance, 1 for no error."""
    recall, precision = pr_points(counts)
    share = ratio(counts.true_positives + counts.false_negatives, counts.false_positives + counts.true_negatives)
    gains = [tf.math.divide_no_nan(x - share, (1.0 - share) * x) for x in (recall, precision)]
    return tf.nn.relu(gains[0]), gains[1]


CURVE_POINTS = {"ROC": roc_points, "PR": pr_points, "PRGAIN": pr_gain_points}


def pr_areas(counts: Counts) -> Any:
    """The areas between neighbouring points of the PR curve, true positives taken as linear in predicted positives."""
    true, predicted = counts.true_positives, counts.true_positives + counts.false_positives
    slope = tf.math.divide_no_nan(true[:-1] - true[1:], tf.maximum(predicted[:-1] - predicted[1:], 0.0))
    intercept = true[1:] - slope * predicted[1:]
    both = (predicted[:-1] > 0) & (predicted[1:] > 0)
    growth = tf.where(both, tf.math.divide_no_nan(predicted[:-1], predicted[1:]), 1.0)
    area = slope * (true[:-1] - true[1:] + intercept * tf.math.log(growth))
    return tf.math.divide_no_nan(area, true[1:] + counts.false_negatives[1:])


config.metrics.add(AUC)
