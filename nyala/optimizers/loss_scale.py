"""`LossScaleOptimizer`: gradients in float16 without underflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.tensor import Tensor
from nyala.optimizers.gradients import filled, is_overwritten, is_sparse, on_values, read, when, write
from nyala.optimizers.optimizer import SHARED, Optimizer

GREATEST_SCALE = 2.0**127  # twice that is infinite in float32


class LossScaleOptimizer(Optimizer):
    """An optimizer on a loss that is multiplied by a dynamic scale, so that small float16 gradients are not zero.

    `apply` divides the gradients by the scale. Where one is infinite or NaN the step is skipped and the scale halved;
    after `dynamic_growth_steps` finite steps in a row it is doubled. Options such as clipping belong to the inner
    optimizer. (Micikevicius et al., "Mixed Precision Training", 2017.) Raises TypeError unless it wraps an optimizer.

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> optimizer = nyala.optimizers.LossScaleOptimizer(nyala.optimizers.SGD(0.5), initial_scale=8.0)
        >>> optimizer.apply([[8.0]], [w])
        >>> w.numpy().tolist()
        [0.5]
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 32768.0,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(inner_optimizer, Optimizer):
            raise TypeError(f"LossScaleOptimizer wraps an optimizer, but got {inner_optimizer!r}.")
        for option in kwargs:
            if option in SHARED:
                raise ValueError(f"LossScaleOptimizer takes no {option!r}; set it on the inner optimizer.")
        super().__init__(learning_rate=0.0, name=name, **kwargs)
        self.inner_optimizer = inner_optimizer
        inner_optimizer.loss_scale_factor = None  # one scale is enough
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the inner optimizer."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def times_replaced(self) -> int:
        return self.inner_optimizer.times_replaced

    @property
    def iterations(self) -> Any:
        """How often the inner optimizer updated the variables."""
        return self.inner_optimizer.iterations

    @property
    def variables(self) -> list[Any]:
        """Its own variables, then those of the inner optimizer."""
        return self._variables + self.inner_optimizer.variables

    def create_slots(self, variables: list[Any]) -> None:
        self.step_counter = self.add_variable((), dtype="int64", name="step_counter")
        self.dynamic_scale = self.add_variable((), filled(self.initial_scale), "float32", name="dynamic_scale")
        self.inner_optimizer.build(variables)

    def scale_loss(self, loss: Tensor) -> Any:
        """The loss times the dynamic scale, in float32."""
        return tf.cast(loss, "float32") * (read(self.dynamic_scale) if self.built else self.initial_scale)

    def _apply(self, gradients: list[Any], variables: list[Any]) -> None:
        scale = read(self.dynamic_scale)

        def unscaled(gradient: Any, variable: Any) -> Any:
            if is_overwritten(variable):
                return gradient
            return on_values(lambda values: values / tf.cast(scale, values.dtype), gradient)

        def step() -> None:
            pairs = zip(gradients, variables, strict=True)
            self.inner_optimizer._apply([unscaled(*pair) for pair in pairs], variables)
            grow = tf.equal(read(self.step_counter), self.dynamic_growth_steps - 1)
            write(self.dynamic_scale, tf.where(grow, tf.minimum(scale * 2.0, GREATEST_SCALE), scale))
            write(self.step_counter, tf.where(grow, tf.zeros((), "int64"), read(self.step_counter) + 1))

        def skip() -> None:
            write(self.dynamic_scale, scale / 2.0)
            write(self.step_counter, tf.zeros((), "int64"))

        when(self.check_finite(gradients), step, skip)

    def check_finite(self, grads: Sequence[Any]) -> Any:
        """Whether all values of all gradients are finite, as a scalar tensor; None counts as finite."""
        values = [tf.convert_to_tensor(g.values if is_sparse(g) else g) for g in grads if g is not None]
        floats = [value for value in values if value.dtype.is_floating]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats] or [True])

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data."""
        return {name: config.serialize(value) for name, value in self.constructor_arguments().items()}


config.optimizers.add(LossScaleOptimizer, "lossscaleoptimizer")
