"""The named losses: each binds the parameters of a function from `nyala.losses.functions` and a reduction.

All take targets, predictions and weights as `Loss` does; the functions say what they compute.
"""

from __future__ import annotations

from collections.abc import Sequence

from nyala.core import config
from nyala.core.tensor import DTypeLike
from nyala.losses import functions
from nyala.losses.loss import Loss, LossFunctionWrapper


class MeanSquaredError(LossFunctionWrapper):
    """The mean of squared differences, as `mean_squared_error`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.MeanSquaredError()([[0.0, 2.0]], [[1.0, 4.0]]))
        2.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """The mean of absolute differences, as `mean_absolute_error`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.MeanAbsoluteError()([[0.0, 2.0]], [[1.0, 4.0]]))
        1.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """The mean difference in percent of the target, as `mean_absolute_percentage_error`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 4.0]]))
        25.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_percentage_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """The mean squared difference of logarithms, as `mean_squared_logarithmic_error`.

    Example:
        >>> import nyala
        >>> round(float(nyala.losses.MeanSquaredLogarithmicError()([[0.0]], [[1.0]])), 4)
        0.4805
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_logarithmic_error",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(LossFunctionWrapper):
    """Squared for differences up to `delta`, linear beyond, as `huber`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.Huber(delta=1.0)([[0.0, 0.0]], [[1.0, 3.0]]))
        1.5
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


class LogCosh(LossFunctionWrapper):
    """The logarithm of the hyperbolic cosine of the difference, as `log_cosh`.

    Example:
        >>> import nyala
        >>> round(float(nyala.losses.LogCosh()([[0.0]], [[1.0]])), 4)
        0.4338
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "log_cosh",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.log_cosh, reduction, name, dtype)


class Poisson(LossFunctionWrapper):
    """The negative log-likelihood of counts, as `poisson`.

    Example:
        >>> import nyala
        >>> round(float(nyala.losses.Poisson()([[2.0]], [[1.0]])), 3)
        1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "poisson",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.poisson, reduction, name, dtype)


class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle between targets and predictions, as `cosine_similarity`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.CosineSimilarity()([[0.0, 1.0]], [[0.0, 2.0]]))
        -1.0
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cosine_similarity",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


class Hinge(LossFunctionWrapper):
    """The distance from a margin of one, as `hinge`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.Hinge()([[-1.0, 1.0]], [[0.5, 0.5]]))
        1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.hinge, reduction, name, dtype)


class SquaredHinge(LossFunctionWrapper):
    """The square of the distance from a margin of one, as `squared_hinge`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.5]]))
        1.25
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "squared_hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.squared_hinge, reduction, name, dtype)


class CategoricalHinge(LossFunctionWrapper):
    """How much the best wrong class lacks of staying one behind the right one, as `categorical_hinge`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
        1.25
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_hinge",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.categorical_hinge, reduction, name, dtype)


class KLDivergence(LossFunctionWrapper):
    """The Kullback-Leibler divergence, as `kl_divergence`.

    Example:
        >>> import nyala
        >>> round(float(nyala.losses.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
        0.1438
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "kl_divergence",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.kl_divergence, reduction, name, dtype)


class BinaryCrossentropy(LossFunctionWrapper):
    """The cross-entropy of yes-or-no labels, as `binary_crossentropy`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.BinaryCrossentropy(from_logits=True)([[1.0]], [[0.0]]))
        0.693
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        parameters = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.binary_crossentropy, reduction, name, dtype, **parameters)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary cross-entropy that cares less for what is already right, as `binary_focal_crossentropy`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.BinaryFocalCrossentropy()([[1.0, 0.0]], [[0.5, 0.5]]))
        0.173
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "binary_focal_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        parameters = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        parameters |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.binary_focal_crossentropy, reduction, name, dtype, **parameters)


class CategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of class probabilities, as `categorical_crossentropy`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.CategoricalCrossentropy()([[0.0, 1.0]], [[0.75, 0.25]]))
        1.386
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        parameters = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_crossentropy, reduction, name, dtype, **parameters)


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Categorical cross-entropy that cares less for what is already right, as `categorical_focal_crossentropy`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]))
        0.0433
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_focal_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        parameters = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
        parameters |= {"label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_focal_crossentropy, reduction, name, dtype, **parameters)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """The cross-entropy of classes given by number, as `sparse_categorical_crossentropy`.

    Places where the target is `ignore_class` do not count in the mean.

    Example:
        >>> import nyala
        >>> float(nyala.losses.SparseCategoricalCrossentropy()([1], [[0.75, 0.25]]))
        1.386
    """

    targets_are_classes = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: DTypeLike = None,
    ) -> None:
        parameters = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(functions.sparse_categorical_crossentropy, reduction, name, dtype, **parameters)


class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """A cross-entropy that forgives wrong labels, as `categorical_generalized_cross_entropy`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.CategoricalGeneralizedCrossEntropy(q=0.5)([1], [[0.75, 0.25]]))
        1.0
    """

    targets_are_classes = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: DTypeLike = None,
    ) -> None:
        functions.check_fraction(q)
        super().__init__(functions.categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


class Dice(LossFunctionWrapper):
    """One minus the Dice coefficient, as `dice`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.Dice()([[1.0, 0.0]], [[1.0, 1.0]]))
        0.3333
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "dice",
        axis: int | Sequence[int] | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.dice, reduction, name, dtype, axis=axis)


class Tversky(LossFunctionWrapper):
    """The Dice loss with a weight for each kind of error, as `tversky`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.Tversky(beta=1.0)([[1.0, 0.0]], [[1.0, 1.0]]))
        0.5
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tversky",
        axis: int | Sequence[int] | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)


class CTC(LossFunctionWrapper):
    """Connectionist temporal classification, as `ctc`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.CTC()([[1, 0]], [[[0.0, 0.0], [0.0, 0.0]]]))
        0.2877
    """

    targets_are_classes = True

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "ctc",
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(functions.ctc, reduction, name, dtype)


class Circle(LossFunctionWrapper):
    """Pull embeddings of one class together and push others apart, as `circle`.

    Example:
        >>> import nyala
        >>> float(nyala.losses.Circle()([0, 0], [[1.0, 0.0], [1.0, 0.0]]))
        0.0
    """

    targets_are_classes = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "circle",
        dtype: DTypeLike = None,
    ) -> None:
        parameters = {"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}
        super().__init__(functions.circle, reduction, name, dtype, **parameters)


for _cls in (Loss, LossFunctionWrapper, *LossFunctionWrapper.__subclasses__()):
    config.losses.add(_cls)
# Its `q` has no default, so the name alone means the class, which has one.
config.losses.add(functions.categorical_generalized_cross_entropy)
