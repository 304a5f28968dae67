"""Losses as plain functions of `(y_true, y_pred)`: one value for each sample.

`@loss` gives every formula what it needs: two float tensors of one shape, at least 32 bits wide. So a formula is
the formula. The result has the dtype of `y_pred`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nyala import ops
from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.losses.common import EPSILON, demand_equal_shapes, loss, widen
from nyala.ops.crossentropy import class_axis, class_numbers, shares
from nyala.ops.rules import as_float

TINY = 1e-30  # a number beside which nothing shows

# ---- What several losses share ----


def smooth(y_true: Any, label_smoothing: float, classes: Any) -> Any:
    """Targets moved towards the uniform distribution over `classes`."""
    if not isinstance(label_smoothing, (int, float)):
        return y_true * (1.0 - label_smoothing) + label_smoothing / classes
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"`label_smoothing` must be a number from 0 to 1, but got {label_smoothing}.")
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


def signed_labels(y_true: Any) -> Any:
    """Labels of 0 and 1 as -1 and 1; others as they are."""
    binary = tf.reduce_all((y_true == 0.0) | (y_true == 1.0))
    return tf.where(binary, 2.0 * y_true - 1.0, y_true)


# ---- Regression ----


@loss("mse", "MSE")
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of squared differences over the last axis: `mean((y_true - y_pred)²)`.

    Shapes: (N, …, D) and (N, …, D) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.mean_squared_error([[0.0, 2.0]], [[1.0, 4.0]]).numpy().tolist()
        [2.5]
    """
    return tf.reduce_mean(tf.math.squared_difference(y_pred, y_true), axis=-1)


@loss("mae", "MAE")
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean of absolute differences over the last axis: `mean(|y_true - y_pred|)`.

    Shapes: (N, …, D) and (N, …, D) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.mean_absolute_error([[0.0, 2.0]], [[1.0, 4.0]]).numpy().tolist()
        [1.5]
    """
    return tf.reduce_mean(tf.abs(y_true - y_pred), axis=-1)


@loss("mape", "MAPE")
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean difference in percent of the target: `100 mean(|y_true - y_pred| / max(|y_true|, 1e-7))`.

    Shapes: (N, …, D) and (N, …, D) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.mean_absolute_percentage_error([[2.0, 4.0]], [[1.0, 4.0]]).numpy().tolist()
        [25.0]
    """
    return 100.0 * tf.reduce_mean(tf.abs((y_true - y_pred) / tf.maximum(tf.abs(y_true), EPSILON)), axis=-1)


@loss("msle", "MSLE")
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The mean squared difference of logarithms: `mean((log(y_true + 1) - log(y_pred + 1))²)`.

    Values below 1e-7 count as 1e-7. Shapes: (N, …, D) and (N, …, D) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.mean_squared_logarithmic_error([[0.0]], [[1.0]]).numpy().round(4).tolist()
        [0.4805]
    """
    logarithms = [tf.math.log(tf.maximum(y, EPSILON) + 1.0) for y in (y_pred, y_true)]
    return tf.reduce_mean(tf.math.squared_difference(*logarithms), axis=-1)


@loss()
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    """Squared where the difference x is small, linear where it is large (Huber, 1964).

    `mean(x²/2 where |x| ≤ delta, else delta |x| - delta²/2)` over the last axis.
    Shapes: (N, …, D) and (N, …, D) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.huber([[0.0, 0.0]], [[1.0, 3.0]]).numpy().tolist()
        [1.5]
    """
    delta = tf.cast(delta, y_pred.dtype)
    size = tf.abs(y_pred - y_true)
    return tf.reduce_mean(tf.where(size <= delta, 0.5 * size * size, delta * size - 0.5 * delta * delta), axis=-1)


@loss("logcosh")
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The logarithm of the hyperbolic cosine of the difference: `mean(log(cosh(y_pred - y_true)))`.

    Like half the square near 0, like the absolute value far away. Shapes: (N, …, D) and (N, …, D) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.log_cosh([[0.0]], [[1.0]]).numpy().round(4).tolist()
        [0.4338]
    """
    size = tf.abs(y_pred - y_true)
    return tf.reduce_mean(size + tf.math.log1p(tf.exp(-2.0 * size)) - math.log(2.0), axis=-1)


@loss()
def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The negative log-likelihood of counts without its constant: `mean(y_pred - y_true log(y_pred + 1e-7))`.

    Shapes: (N, …, D) and (N, …, D) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.poisson([[2.0]], [[1.0]]).numpy().round(3).tolist()
        [1.0]
    """
    return tf.reduce_mean(y_pred - y_true * tf.math.log(y_pred + EPSILON), axis=-1)


@loss("cosine_proximity")
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """Minus the cosine of the angle between targets and predictions, from -1 (same direction) to 1 (opposite).

    `-sum(y_true / ‖y_true‖ · y_pred / ‖y_pred‖)` over `axis`; 0 for a zero vector.
    Shapes: (N, …, D) and (N, …, D) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.cosine_similarity([[0.0, 1.0]], [[0.0, 2.0]]).numpy().tolist()
        [-1.0]
    """
    return -tf.reduce_sum(ops.normalize(y_true, axis) * ops.normalize(y_pred, axis), axis=axis)


# ---- Margins ----


@loss()
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How far predictions are from being right by a margin of one: `mean(max(1 - y_true y_pred, 0))`.

    Targets are -1 or 1; where all are 0 or 1, 0 counts as -1. Shapes: (N, …, D) and (N, …, D) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.hinge([[-1.0, 1.0]], [[0.5, 0.5]]).numpy().tolist()
        [1.0]
    """
    return tf.reduce_mean(tf.maximum(1.0 - signed_labels(y_true) * y_pred, 0.0), axis=-1)


@loss()
def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The square of the distance from a margin of one: `mean(max(1 - y_true y_pred, 0)²)`.

    Targets are -1 or 1; where all are 0 or 1, 0 counts as -1. Shapes: (N, …, D) and (N, …, D) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.squared_hinge([[-1.0, 1.0]], [[0.5, 0.5]]).numpy().tolist()
        [1.25]
    """
    return tf.reduce_mean(tf.square(tf.maximum(1.0 - signed_labels(y_true) * y_pred, 0.0)), axis=-1)


@loss()
def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """How much the best wrong class lacks of staying one behind the right class: `max(wrong - right + 1, 0)`.

    `right = sum(y_true y_pred)`, `wrong = max((1 - y_true) y_pred)`. Shapes: (N, …, K) and (N, …, K) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.25]]).numpy().tolist()
        [1.25]
    """
    right = tf.reduce_sum(y_true * y_pred, axis=-1)
    wrong = tf.reduce_max((1.0 - y_true) * y_pred, axis=-1)
    return tf.maximum(wrong - right + 1.0, 0.0)


# ---- Distributions ----


@loss("kld", "KLD", "kullback_leibler_divergence")
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """The Kullback-Leibler divergence: `sum(y_true log(y_true / y_pred))` over the last axis.

    Probabilities are limited to [1e-7, 1]. Shapes: (N, …, K) and (N, …, K) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).numpy().round(4).tolist()
        [0.1438]
    """
    y_true, y_pred = (tf.clip_by_value(y, EPSILON, 1.0) for y in (y_true, y_pred))
    return tf.reduce_sum(y_true * tf.math.log(y_true / y_pred), axis=-1)


@loss("bce", "BCE")
def binary_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The cross-entropy of yes-or-no labels: `-mean(y_true log(p) + (1 - y_true) log(1 - p))` over `axis`.

    `p` is `y_pred`, or its sigmoid with `from_logits`. `label_smoothing` of s moves labels to `(1 - s) y + s / 2`.
    Shapes: (N, …, K) and (N, …, K) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).numpy().round(4).tolist()
        [0.6931]
    """
    y_true = smooth(y_true, label_smoothing, 2.0)
    return tf.reduce_mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis=axis)


@loss()
def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Binary cross-entropy that cares less for what is already right (Lin et al., 2017).

    `mean((1 - q)^gamma · crossentropy)` over `axis`, where q is the probability given to the true label. With
    `apply_class_balancing`, positive labels weigh `alpha` and negative ones `1 - alpha`.
    Shapes: (N, …, K) and (N, …, K) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.binary_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).numpy().round(4).tolist()
        [0.1733]
    """
    y_true = smooth(y_true, label_smoothing, 2.0)
    values, p = ops.binary_crossentropy(y_true, y_pred, from_logits), tf.sigmoid(y_pred) if from_logits else y_pred
    right = y_true * p + (1.0 - y_true) * (1.0 - p)
    values = tf.pow(1.0 - right, gamma) * values
    if apply_class_balancing:
        values *= y_true * alpha + (1.0 - y_true) * (1.0 - alpha)
    return tf.reduce_mean(values, axis=axis)


@loss()
def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The cross-entropy of class probabilities along `axis`: `-sum(y_true log(p))`.

    `p` is `y_pred` divided by its sum, or its softmax with `from_logits`. `label_smoothing` of s moves targets to
    `(1 - s) y + s / K`. Shapes: (N, …, K) and (N, …, K) → (N, …). Raises ValueError where they do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.categorical_crossentropy([[0.0, 1.0]], [[0.75, 0.25]]).numpy().round(4).tolist()
        [1.3863]
    """
    axis = class_axis("categorical_crossentropy", y_pred, axis)
    y_true = smooth(y_true, label_smoothing, tf.cast(tf.shape(y_true)[axis], y_true.dtype))
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis)


@loss()
def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Categorical cross-entropy that cares less for what is already right (Lin et al., 2017).

    `-sum(alpha (1 - p)^gamma y_true log(p))` over `axis`; `alpha` may hold a weight for each class.
    Shapes: (N, …, K) and (N, …, K) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).numpy().round(4).tolist()
        [0.0433]
    """
    axis = class_axis("categorical_focal_crossentropy", y_pred, axis)
    y_true = smooth(y_true, label_smoothing, tf.cast(tf.shape(y_true)[axis], y_true.dtype))
    p = shares(tf.nn.softmax(y_pred, axis) if from_logits else y_pred, axis)
    return tf.reduce_sum(alpha * tf.pow(1.0 - p, gamma) * y_true * -tf.math.log(p), axis=axis)


@op
def sparse_categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """The cross-entropy of classes given by number: `-log(p[y_true])`.

    `p` is `y_pred` divided by its sum along `axis`, or its softmax with `from_logits`. Places where `y_true` is
    `ignore_class` give 0 and do not count in a mean. Shapes: (N, …) or (N, …, 1), and (N, …, K) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.sparse_categorical_crossentropy([1], [[0.75, 0.25]]).numpy().round(4).tolist()
        [1.3863]
    """
    y_true = tf.cast(tensor.as_tensor(y_true), "int64")
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    valid = tf.not_equal(y_true, ignore_class)
    values = ops.sparse_categorical_crossentropy(tf.where(valid, y_true, 0), y_pred, from_logits, axis)
    valid = tf.reshape(valid, tf.shape(values))
    values = tf.where(valid, values, tf.zeros_like(values))
    values._keras_mask = valid
    return values


@op
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float) -> Tensor:
    """A cross-entropy that forgives wrong labels: `(1 - p[y_true]^q) / q` (Zhang & Sabuncu, 2018).

    `q` near 0 gives the cross-entropy, near 1 the absolute error. Shapes: (N, …) or (N, …, 1) class numbers, and
    (N, …, K) probabilities → (N, …). Raises ValueError where they do not match, or for q outside (0, 1).

    Example:
        >>> import nyala
        >>> nyala.losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).numpy().tolist()
        [1.0]
    """
    check_fraction(q)
    y_pred = as_float(y_pred)
    y_true = class_numbers(y_true, y_pred, "categorical_generalized_cross_entropy")
    p = tf.gather(widen(y_pred), y_true, axis=-1, batch_dims=y_true.shape.rank)
    p = tf.maximum(p, TINY)  # the derivative is infinite at 0
    return tf.cast((1.0 - tf.pow(p, q)) / q, y_pred.dtype)


def check_fraction(q: float) -> None:
    """A ValueError unless `0 < q < 1`."""
    if not 0 < q < 1:
        raise ValueError(f"`q` must be a number between 0 and 1, but got {q}.")


# ---- Overlap of regions ----


@loss()
def dice(y_true: Tensor, y_pred: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """One minus the Dice coefficient: `1 - 2 sum(y_true y_pred) / (sum(y_true) + sum(y_pred))`.

    The sums run over `axis`, all axes by default. Shapes: both alike → () or what `axis` leaves.
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.dice([[1.0, 0.0]], [[1.0, 1.0]]).numpy().round(4)
        np.float32(0.3333)
    """
    overlap = tf.reduce_sum(y_true * y_pred, axis=axis)
    total = tf.reduce_sum(y_true, axis=axis) + tf.reduce_sum(y_pred, axis=axis)
    return 1.0 - 2.0 * overlap / (total + EPSILON)


@loss()
def tversky(
    y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None
) -> Tensor:
    """The Dice loss with a weight for each kind of error (Salehi et al., 2017).

    `1 - overlap / (overlap + alpha sum(y_true (1 - y_pred)) + beta sum((1 - y_true) y_pred))`: `alpha` weighs false
    negatives, `beta` false positives. The sums run over `axis`, all axes by default.
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.tversky([[1.0, 0.0]], [[1.0, 1.0]], beta=1.0).numpy().tolist()
        0.5
    """
    overlap = tf.reduce_sum(y_true * y_pred, axis=axis)
    missed = tf.reduce_sum(y_true * (1.0 - y_pred), axis=axis)
    invented = tf.reduce_sum((1.0 - y_true) * y_pred, axis=axis)
    return 1.0 - overlap / (overlap + alpha * missed + beta * invented + EPSILON)


# ---- Sequences and embeddings ----


@op
def ctc(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Connectionist temporal classification: minus the log-likelihood of a label sequence (Graves et al., 2006).

    Class 0 is the blank in `y_pred` and the padding in `y_true`. Shapes: (N, L) class numbers and (N, T, K) logits
    → (N,). Raises ValueError where ranks or batch sizes do not match.

    Example:
        >>> import nyala
        >>> nyala.losses.ctc([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]]).numpy().round(4).tolist()
        [0.2877]
    """
    y_true, y_pred = tf.cast(tensor.as_tensor(y_true), "int32"), as_float(y_pred)
    if (y_true.shape.rank, y_pred.shape.rank) != (2, 3):
        raise ValueError(
            "`ctc` expected `y_true` of shape (batch, length) and `y_pred` of shape (batch, time, classes), but got "
            f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}."
        )
    demand_equal_shapes(y_true[:, 0], y_pred[:, 0, 0], "ctc", y_true.shape, y_pred.shape)
    batch, time = tf.unstack(tf.shape(y_pred)[:2])
    label_length = tf.math.count_nonzero(y_true, axis=1, dtype="int32")
    return tf.cast(ops.ctc_loss(y_true, y_pred, label_length, tf.fill([batch], time)), y_pred.dtype)


@op
def circle(
    y_true: Tensor,
    y_pred: Tensor,
    ref_labels: Tensor | None = None,
    ref_embeddings: Tensor | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Pull embeddings of one class together, push others apart, the worse the harder (Sun et al., 2020).

    With d the cosine distance of two unit vectors: `softplus(logsumexp(gamma (d + margin)(d - margin)) over the same
    class + logsumexp(gamma max(1 + margin - d, 0)(1 - margin - d)) over other classes)`. Pairs are formed with
    `ref_embeddings`, by default the batch itself without each one's pair with itself (`remove_diagonal`).
    Shapes: (N,) or (N, 1) classes, and (N, D) unit vectors → (N,). Rows without a loss do not count in a mean.

    Example:
        >>> import nyala
        >>> nyala.losses.circle([0, 0], [[1.0, 0.0], [1.0, 0.0]]).numpy().tolist()
        [0.0, 0.0]
    """
    y_pred = as_float(y_pred)
    rows = widen(y_pred)
    columns = rows if ref_embeddings is None else tf.cast(tensor.as_tensor(ref_embeddings), rows.dtype)
    labels = class_numbers(y_true, rows, "circle")
    others = labels if ref_labels is None else class_numbers(ref_labels, columns, "circle")
    same = labels[:, None] == others[None, :]  # (N, M)
    positive = same
    if remove_diagonal:
        positive = tf.linalg.set_diag(same, tf.zeros_like(tf.linalg.diag_part(same)))
    distance = tf.maximum(1.0 - tf.matmul(rows, columns, transpose_b=True), 0.0)  # (N, M)
    near = log_sum_exp(gamma * (margin + distance) * (distance - margin), positive)
    far = log_sum_exp(gamma * tf.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance), ~same)
    values = tf.cast(tf.math.softplus(near + far), y_pred.dtype)
    values._keras_mask = values > 0
    return values


def log_sum_exp(x: Any, where: Any) -> Any:
    """The logarithm of the sum of exponentials of each row, of those places only; minus infinity for none."""
    return tf.reduce_logsumexp(tf.where(where, x, -float("inf")), axis=1)


for _function in (sparse_categorical_crossentropy, ctc, circle):
    config.losses.add(_function)
