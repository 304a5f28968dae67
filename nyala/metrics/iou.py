"""How well predicted regions cover the true ones: intersection over union, from a matrix of confusions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core import config, tensor
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.losses.common import EPSILON, same_rank
from nyala.losses.loss import fit
from nyala.metrics.metric import Metric
from nyala.metrics.reduction import masked


class IoU(Metric):
    """The mean intersection over union of some classes: `tp / (tp + fp + fn)`, over classes that were seen.

    Targets and predictions are class numbers, or with `sparse_y_true=False` and `sparse_y_pred=False` scores along
    `axis` of which the largest counts. Targets of `ignore_class` and numbers of no class do not count.
    Shapes: both alike. Raises ValueError for a target class that does not exist, and where shapes do not match.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.IoU(num_classes=2, target_class_ids=[0])
        >>> float(m([0, 0, 1, 1], [0, 1, 0, 1]))
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int64")
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        wrong = [i for i in self.target_class_ids if not 0 <= i < num_classes]
        if wrong:
            raise ValueError(f"There is no class {wrong[0]} among {num_classes} classes, counted from 0.")
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable((num_classes, num_classes), "zeros", name="total_confusion_matrix")

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        mask = mask_of(y_pred)
        y_true = self._classes(y_true, self.sparse_y_true)
        y_pred = self._classes(y_pred, self.sparse_y_pred)
        shapes = tuple(y_true.shape), tuple(y_pred.shape)
        y_true, y_pred = same_rank(y_true, y_pred)
        if not tensor.shape_equal(tensor.static_shape(y_true), tensor.static_shape(y_pred)):
            raise ValueError(
                f"`{self.name}` expected one predicted class for each target, but got the shapes {shapes[0]} and "
                f"{shapes[1]}. Reshape one of them."
            )
        weight = tf.ones(tf.shape(y_true), self.dtype)
        if sample_weight is not None:
            self._check_weight(sample_weight)
        sample_weight = masked(sample_weight, mask, self)
        if sample_weight is not None:
            weight *= fit(tensor.as_tensor(sample_weight, self.dtype), y_true, "`sample_weight`", self.name)
        self.total_cm.assign_add(self._confusions(*(tf.reshape(x, [-1]) for x in (y_true, y_pred, weight))))

    def _check_weight(self, sample_weight: Any) -> None:
        given = tensor.dtype_of(sample_weight if hasattr(sample_weight, "dtype") else np.asarray(sample_weight))
        if tensor.is_float(given) and not tensor.is_float(self.dtype):
            warnings.warn(
                f"`{self.name}` counts in {self.dtype}, so fractions of sample weights are cut off; make it with "
                'dtype="float32".',
                stacklevel=3,
            )

    def _classes(self, y: Any, sparse: bool) -> Any:
        y = tensor.as_tensor(y)
        return tf.cast(y if sparse else tf.argmax(y, axis=self.axis), "int64")

    def _confusions(self, y_true: Any, y_pred: Any, weight: Any) -> Any:
        known = (y_true >= 0) & (y_true < self.num_classes) & (y_pred >= 0) & (y_pred < self.num_classes)
        if self.ignore_class is not None:
            known &= tf.not_equal(y_true, self.ignore_class)
        cells = tf.where(known, y_true * self.num_classes + y_pred, -1)  # a negative segment is dropped
        sums = tf.math.unsorted_segment_sum(weight, cells, self.num_classes**2)
        return tf.reshape(sums, [self.num_classes, self.num_classes])

    def result(self) -> Tensor:
        """The mean over the target classes that were seen."""
        matrix = tf.cast(self.total_cm.value, tensor.floatx())
        overlap = tf.linalg.diag_part(matrix)
        union = tf.reduce_sum(matrix, axis=0) + tf.reduce_sum(matrix, axis=1) - overlap
        overlap, union = (tf.gather(x, self.target_class_ids) for x in (overlap, union))
        seen = tf.math.count_nonzero(union, dtype=union.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(overlap / (union + EPSILON)), seen)


class MeanIoU(IoU):
    """The mean intersection over union of all classes, as `IoU`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1]))
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        classes = range(num_classes)
        super().__init__(num_classes, classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """`IoU` for one-hot targets and, unless `sparse_y_pred`, scores as predictions.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.OneHotIoU(num_classes=2, target_class_ids=[0])
        >>> float(m([[1, 0], [0, 1]], [[0.9, 0.1], [0.7, 0.3]]))
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` for one-hot targets and, unless `sparse_y_pred`, scores as predictions.

    Example:
        >>> import nyala
        >>> m = nyala.metrics.OneHotMeanIoU(num_classes=2)
        >>> float(m([[1, 0], [0, 1]], [[0.9, 0.1], [0.7, 0.3]]))
        0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)


class BinaryIoU(IoU):
    """`IoU` of the classes 0 and 1, where a prediction of at least `threshold` is a 1.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]))
        0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        mask = mask_of(y_pred)
        y_pred = tensor.as_tensor(y_pred, self._score_dtype(y_pred))
        said = tf.cast(y_pred >= tf.cast(self.threshold, y_pred.dtype), "int64")
        if mask is not None:
            said._keras_mask = mask
        super().update_state(y_true, said, sample_weight)

    def _score_dtype(self, y_pred: Any) -> str | None:
        return None if tensor.is_float(tensor.dtype_of(y_pred)) else tensor.floatx()


for _cls in (IoU, MeanIoU, OneHotIoU, OneHotMeanIoU, BinaryIoU):
    config.metrics.add(_cls)
