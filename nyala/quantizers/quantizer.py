"""Quantizers: functions that round, as objects with settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config
from nyala.core.config import Configurable
from nyala.core.tensor import DTypeLike, Tensor, standardize_dtype
from nyala.quantizers.functions import Axes, abs_max_quantize

quantizers = config.Table("quantizer", "keras.quantizers")


class Quantizer(Configurable):
    """The base of quantizers; a subclass rounds in `__call__`. This one gives back what it gets.

    Example:
        >>> import nyala
        >>> class Halves(nyala.Quantizer):
        ...     def __call__(self, x):
        ...         return nyala.ops.round(2 * x), 2.0
        >>> Halves()(nyala.ops.array([0.7, 1.0]))[0].numpy().tolist()
        [1.0, 2.0]
    """

    def __init__(self, output_dtype: DTypeLike = "int8") -> None:
        self.output_dtype = standardize_dtype(output_dtype)

    def __call__(self, x: Tensor) -> Any:
        return x


class AbsMaxQuantizer(Quantizer):
    """`abs_max_quantize` with settings: whole numbers and the scales by which the largest value fills the range.

    Example:
        >>> import nyala
        >>> q, s = nyala.quantizers.AbsMaxQuantizer(axis=-1)([[1.0, -4.0, 2.0]])
        >>> q.numpy().tolist(), s.numpy().tolist()
        ([[32, -127, 64]], [[31.75]])
    """

    def __init__(
        self,
        axis: Axes = None,
        value_range: Sequence[int] = (-127, 127),
        epsilon: float = 1e-07,
        output_dtype: DTypeLike = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = (axis,) if isinstance(axis, int) else None if axis is None else tuple(axis)
        self.value_range, self.epsilon = tuple(value_range), epsilon

    def __call__(self, x: Tensor, axis: Axes = None, to_numpy: bool = False) -> tuple[Tensor, Tensor]:
        """Round along `axis`, by default along the axis of the settings, by default the last."""
        axis = self.axis if axis is None else axis
        return abs_max_quantize(
            x, -1 if axis is None else axis, self.value_range, self.output_dtype, self.epsilon, to_numpy
        )

    def get_config(self) -> dict[str, Any]:
        found = super().get_config()
        axis = found.pop("axis")
        return found if axis is None else {**found, "axis": axis}


for _class in (Quantizer, AbsMaxQuantizer):
    quantizers.add(_class)
