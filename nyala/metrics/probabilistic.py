"""Means of divergences between distributions and of margins."""

from __future__ import annotations

from nyala.core import config
from nyala.core.tensor import DTypeLike
from nyala.losses import functions
from nyala.metrics.reduction import MeanMetricWrapper


class KLDivergence(MeanMetricWrapper):
    """The mean Kullback-Leibler divergence.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]))
        0.1438
    """

    def __init__(self, name: str | None = "kl_divergence", dtype: DTypeLike = None) -> None:
        super().__init__(functions.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean negative log-likelihood of counts.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.Poisson()([[2.0]], [[1.0]]))
        1.0
    """

    def __init__(self, name: str | None = "poisson", dtype: DTypeLike = None) -> None:
        super().__init__(functions.poisson, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of yes-or-no labels, as `losses.binary_crossentropy`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.BinaryCrossentropy()([[1.0, 0.0]], [[0.5, 0.5]]))
        0.693
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: DTypeLike = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        parameters = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(functions.binary_crossentropy, name, dtype, **parameters)


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of class probabilities, as `losses.categorical_crossentropy`.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.CategoricalCrossentropy()([[0.0, 1.0]], [[0.75, 0.25]]))
        1.386
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: DTypeLike = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        parameters = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_crossentropy, name, dtype, **parameters)


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy of classes given by number, as `losses.sparse_categorical_crossentropy`.

    As in the reference, targets of `ignore_class` count as zeros.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.SparseCategoricalCrossentropy()([1], [[0.75, 0.25]]))
        1.386
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: DTypeLike = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        parameters = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(functions.sparse_categorical_crossentropy, name, dtype, **parameters)


class Hinge(MeanMetricWrapper):
    """The mean distance from a margin of one.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.Hinge()([[-1.0, 1.0]], [[0.5, 0.5]]))
        1.0
    """

    def __init__(self, name: str | None = "hinge", dtype: DTypeLike = None) -> None:
        super().__init__(functions.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean square of the distance from a margin of one.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.SquaredHinge()([[-1.0, 1.0]], [[0.5, 0.5]]))
        1.25
    """

    def __init__(self, name: str | None = "squared_hinge", dtype: DTypeLike = None) -> None:
        super().__init__(functions.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean of what the best wrong class lacks of staying one behind the right class.

    Example:
        >>> import nyala
        >>> float(nyala.metrics.CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.25]]))
        1.25
    """

    def __init__(self, name: str | None = "categorical_hinge", dtype: DTypeLike = None) -> None:
        super().__init__(functions.categorical_hinge, name, dtype)


for _cls, _aliases in {
    KLDivergence: ("kld", "KLD"),
    Poisson: (),
    BinaryCrossentropy: ("bce", "BCE"),
    CategoricalCrossentropy: (),
    SparseCategoricalCrossentropy: (),
    Hinge: (),
    SquaredHinge: (),
    CategoricalHinge: (),
}.items():
    config.metrics.add(_cls, *_aliases)
