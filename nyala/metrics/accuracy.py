"""How often predictions are right."""

from __future__ import annotations

from nyala import ops
from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor
from nyala.losses.common import align
from nyala.metrics.reduction import MeanMetricWrapper, functions
from nyala.ops.crossentropy import class_numbers
from nyala.ops.rules import as_float


@op
def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where a prediction equals its target, else 0. Shapes: both alike → the same.

    Raises ValueError where the shapes do not match.
    """
    y_true, y_pred = align(y_true, tensor.as_tensor(y_pred), "accuracy")
    return tf.cast(tf.equal(y_true, y_pred), tensor.floatx())


@op
def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """1 where `y_pred > threshold` says the same as the target, 0 or 1; else 0. Shapes: both alike → the same.

    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.binary_accuracy([[1.0, 0.0]], [[0.9, 0.6]]).numpy().tolist()
        [[1.0, 0.0]]
    """
    y_true, y_pred = align(y_true, as_float(y_pred), "binary_accuracy")
    said = tf.cast(y_pred > tf.cast(threshold, y_pred.dtype), y_true.dtype)
    return tf.cast(tf.equal(y_true, said), tensor.floatx())


@op
def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is that of the class with the largest target, else 0.

    Shapes: (N, …, K) and (N, …, K) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.categorical_accuracy([[0.0, 1.0]], [[0.3, 0.7]]).numpy().tolist()
        [1.0]
    """
    y_true, y_pred = align(y_true, as_float(y_pred), "categorical_accuracy")
    return tf.cast(tf.equal(tf.argmax(y_true, -1), tf.argmax(y_pred, -1)), tensor.floatx())


@op
def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is that of the target class, given by number; else 0.

    Shapes: (N, …) or (N, …, 1), and (N, …, K) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.sparse_categorical_accuracy([1, 1], [[0.3, 0.7], [0.6, 0.4]]).numpy().tolist()
        [1.0, 0.0]
    """
    y_pred = as_float(y_pred)
    y_true = class_numbers(y_true, y_pred, "sparse_categorical_accuracy")
    return tf.cast(tf.equal(y_true, tf.argmax(y_pred, -1)), tensor.floatx())


@op
def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the class with the largest target is among the `k` largest predictions, else 0.

    Shapes: (N, …, K) and (N, …, K) → (N, …). Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.top_k_categorical_accuracy([[1, 0, 0]], [[0.3, 0.6, 0.1]], k=2).numpy().tolist()
        [1.0]
    """
    y_true, y_pred = align(y_true, as_float(y_pred), "top_k_categorical_accuracy")
    return sparse_top_k_categorical_accuracy(tf.argmax(y_true, -1), y_pred, k)


@op
def sparse_top_k_categorical_accuracy(
    y_true: Tensor, y_pred: Tensor, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the target class, given by number, is among the `k` largest predictions, else 0.

    A tie with the k-th counts as in; a row with NaN or infinity does not count. With `from_sorted_ids`, `y_pred` holds
    class numbers, the most likely first. Shapes: (N, …) or (N, …, 1), and (N, …, K) → (N, …).
    Raises ValueError where the shapes do not match.

    Example:
        >>> import nyala
        >>> nyala.metrics.sparse_top_k_categorical_accuracy([0], [[0.3, 0.6, 0.1]], k=2).numpy().tolist()
        [1.0]
    """
    y_pred = tensor.as_tensor(y_pred)
    y_true = class_numbers(y_true, y_pred, "sparse_top_k_categorical_accuracy")
    if from_sorted_ids:
        found = tf.reduce_any(tf.equal(y_true[..., None], tf.cast(y_pred[..., :k], "int64")), axis=-1)
        return tf.cast(found, tensor.floatx())
    return tf.cast(ops.in_top_k(y_true, y_pred, k), tensor.floatx())


class Accuracy(MeanMetricWrapper):
    """How often a prediction equals its target.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4]))
        0.75
    """

    def __init__(self, name: str | None = "accuracy", dtype: DTypeLike = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often `y_pred > threshold` says the same as a target of 0 or 1.

    Raises ValueError for a threshold outside (0, 1).

    Example:
        >>> import nyala
        >>> float(nyala.metrics.BinaryAccuracy()([1, 1, 0, 0], [0.98, 1.0, 0.0, 0.6]))
        0.75
    """

    def __init__(self, name: str | None = "binary_accuracy", dtype: DTypeLike = None, threshold: float = 0.5) -> None:
        if threshold is not None and not 0 < threshold < 1:
            raise ValueError(f"`threshold` must be a number between 0 and 1, but got {threshold}.")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction is that of the target class, given one-hot.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.CategoricalAccuracy()([[0, 1], [1, 0]], [[0.3, 0.7], [0.4, 0.6]]))
        0.5
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: DTypeLike = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the largest prediction is that of the target class, given by number.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.SparseCategoricalAccuracy()([1, 0], [[0.3, 0.7], [0.4, 0.6]]))
        0.5
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: DTypeLike = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the target class, given one-hot, is among the `k` largest predictions.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.TopKCategoricalAccuracy(k=2)([[1, 0, 0]], [[0.3, 0.6, 0.1]]))
        1.0
    """

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: DTypeLike = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the target class, given by number, is among the `k` largest predictions.

    With `from_sorted_ids`, predictions are class numbers, the most likely first.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.SparseTopKCategoricalAccuracy(k=2)([0], [[0.3, 0.6, 0.1]]))
        1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: DTypeLike = None,
        from_sorted_ids: bool = False,
    ) -> None:
        function = sparse_top_k_categorical_accuracy
        super().__init__(function, name, dtype, k=k, from_sorted_ids=from_sorted_ids)


for _cls in (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
):
    config.metrics.add(_cls)
for _function in (
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    top_k_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
):
    functions.add(_function)
