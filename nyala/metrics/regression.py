"""Means of distances between targets and predictions."""

from __future__ import annotations

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor, mask_of
from nyala.losses import functions
from nyala.losses.common import align, widen_prediction
from nyala.metrics.reduction import Mean, MeanMetricWrapper, masked
from nyala.ops.rules import as_float


class MeanSquaredError(MeanMetricWrapper):
    """The mean of squared differences.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.MeanSquaredError()([[0.0, 2.0]], [[1.0, 4.0]]))
        2.5
    """

    def __init__(self, name: str | None = "mean_squared_error", dtype: DTypeLike = None) -> None:
        super().__init__(functions.mean_squared_error, name, dtype)


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of absolute differences.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 4.0]]))
        1.5
    """

    def __init__(self, name: str | None = "mean_absolute_error", dtype: DTypeLike = None) -> None:
        super().__init__(functions.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """The mean difference in percent of the target.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
        25.0
    """

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: DTypeLike = None) -> None:
        super().__init__(functions.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean squared difference of `log(y + 1)`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.MeanSquaredLogarithmicError()([[0.0]], [[1.0]]))
        0.4805
    """

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: DTypeLike = None) -> None:
        super().__init__(functions.mean_squared_logarithmic_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of squared differences.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.RootMeanSquaredError()([[0.0, 2.0]], [[1.0, 3.0]]))
        1.0
    """

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: DTypeLike = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None) -> None:
        """Add a batch of targets and predictions."""
        weight = masked(sample_weight, mask_of(y_pred), self)
        y_true, y_pred = align(y_true, widen_prediction(as_float(y_pred)), "root_mean_squared_error")
        super().update_state(tf.math.squared_difference(y_true, y_pred), weight)

    def result(self) -> Tensor:
        """The root of the mean."""
        return tf.sqrt(super().result())


class LogCoshError(MeanMetricWrapper):
    """The mean logarithm of the hyperbolic cosine of the difference.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.LogCoshError()([[0.0]], [[1.0]]))
        0.4338
    """

    def __init__(self, name: str | None = "logcosh", dtype: DTypeLike = None) -> None:
        super().__init__(functions.log_cosh, name, dtype)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between targets and predictions, 1 where they point the same way.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]))
        1.0
    """

    def __init__(self, name: str | None = "cosine_similarity", dtype: DTypeLike = None, axis: int = -1) -> None:
        super().__init__(cosine, name, dtype, axis=axis)


def cosine(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The cosine of the angle along `axis`."""
    return -functions.cosine_similarity(y_true, y_pred, axis)


for _cls, _aliases in {
    MeanSquaredError: ("mse", "MSE"),
    MeanAbsoluteError: ("mae", "MAE"),
    MeanAbsolutePercentageError: ("mape", "MAPE"),
    MeanSquaredLogarithmicError: ("msle", "MSLE"),
    RootMeanSquaredError: ("rmse", "RMSE"),
    LogCoshError: ("logcosh",),
    CosineSimilarity: ("cosine_proximity",),
}.items():
    config.metrics.add(_cls, *_aliases)
