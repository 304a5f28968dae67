"""Class weights: each row counts as much as its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.core.engine import tf
from nyala.training.arrays import unpack_x_y_sample_weight


def check_class_weight(class_weight: Any) -> None:
    """Raise TypeError or ValueError where `class_weight` is no dict of weights by class number."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight is a dict of class numbers and weights, but got a {type(class_weight).__name__}."
        )
    for key, weight in class_weight.items():
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            raise ValueError(f"class_weight maps class numbers to weights, but has the key {key!r}.")
        if isinstance(weight, (str, bytes)) or np.ndim(weight) or not weight >= 0:
            raise ValueError(f"class_weight gives class {key} the weight {weight!r}; a weight is a number, 0 or more.")


def class_weighted(y: Any, sample_weight: Any, class_weight: Mapping[int, float], outputs: int | None = None) -> Any:
    """Sample weights that give each row the weight of its class.

    Raises ValueError for a class that has no place in one-hot rows of `y`, or among the model's `outputs`.
    """
    labels = np.asarray(_labels(y, sample_weight))
    one_hot = labels.ndim > 1 and labels.shape[-1] > 1
    classes = labels.argmax(-1) if one_hot else labels.reshape(len(labels), -1)[:, 0]
    count = labels.shape[-1] if one_hot else outputs
    unknown = [key for key in class_weight if count is not None and count > 1 and not 0 <= key < count]
    if unknown:
        raise ValueError(
            f"class_weight has the key {unknown[0]}, but the classes go from 0 to {(count or 0) - 1}. Name these only."
        )
    weights = np.ones(len(labels), tensor.floatx())
    for key, weight in class_weight.items():
        weights[classes.astype("int64") == key] = weight
    return weights


def _labels(y: Any, sample_weight: Any) -> Any:
    """The targets of the only output; a ValueError where there are several, none, or weights already."""
    if sample_weight is not None:
        raise ValueError("class_weight and sample_weight exclude each other; multiply the weights yourself.")
    parts = [part for part in tree.flatten(y) if part is not None]
    if not parts:
        raise ValueError("class_weight weighs rows by their targets, but the data has none; pass `y=`.")
    if len(parts) > 1:
        raise ValueError(
            f"class_weight goes with one output, but there are targets for {len(parts)}; pass a sample_weight for each."
        )
    return parts[0]


def class_weighted_batch(batch: tuple[Any, ...], class_weight: Mapping[int, float]) -> Any:
    """A batch of a dataset with sample weights that give each row the weight of its class."""
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    labels = _labels(y, sample_weight)
    one_hot = labels.shape.rank > 1 and labels.shape[-1] != 1
    classes = tf.argmax(labels, -1) if one_hot else tf.reshape(labels, [tf.shape(labels)[0], -1])[:, 0]
    keys = tf.constant(list(class_weight), "int64")
    matches = tf.equal(tf.cast(classes, "int64")[:, None], keys)
    given = tf.reduce_sum(tf.where(matches, tf.constant(list(class_weight.values()), tensor.floatx()), 0.0), -1)
    return x, y, tf.where(tf.reduce_any(matches, -1), given, 1.0)
