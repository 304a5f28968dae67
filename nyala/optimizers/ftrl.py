"""FTRL: follow the regularized leader, for large sparse linear models."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import dense, filled, read, write
from nyala.optimizers.optimizer import Optimizer, fused, shared


class Ftrl(Optimizer):
    """Follow the regularized leader: weights that the L1 penalty outweighs are exactly zero.

    With p = -learning_rate_power, `a' = a + g²`, `l ← l + g + 2 · l2_shrinkage · w - (a'^p - a^p) / learning_rate · w`,
    `q = a'^p / learning_rate + 2 · l2 + beta / learning_rate` and `w ← (clip(l, -l1, l1) - l) / q`.
    (McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013.) Raises ValueError for a negative strength
    or accumulator and for a positive learning_rate_power.

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Ftrl(0.1, l1_regularization_strength=100.0).apply([[0.5]], [w])
        >>> w.numpy().tolist()
        [0.0]
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**shared(locals()))
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        for option in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
        ):
            if getattr(self, option) < 0:
                raise ValueError(f"`{self.name}` needs {option} ≥ 0, but got {getattr(self, option)!r}.")
        if learning_rate_power > 0:
            raise ValueError(f"`{self.name}` needs learning_rate_power ≤ 0, but got {learning_rate_power!r}.")

    def create_slots(self, variables: list[Any]) -> None:
        names, starts = ["accumulator", "linear"], [filled(self.initial_accumulator_value), "zeros"]
        self._squares, self._linears = self.add_optimizer_variables(variables, names, starts)

    def scalars(self, learning_rate: Any, dtype: str) -> dict[str, Any]:
        return {
            "lr": learning_rate,
            "l1": tf.constant(self.l1_regularization_strength, dtype),
            "l2": self.l2_regularization_strength + self.beta / (2.0 * learning_rate),
            "l2_shrinkage": tf.constant(self.l2_shrinkage_regularization_strength, dtype),
            "lr_power": tf.constant(self.learning_rate_power, dtype),
        }

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, linear = self._squares[index], self._linears[index]
        scalars = self.step_scalars(learning_rate, variable)
        if fused(gradient, variable):
            handles = {"var": variable.handle, "accum": squares.handle, "linear": linear.handle}
            tf.raw_ops.ResourceApplyFtrlV2(grad=gradient, **handles, **scalars)
            return
        rate, l1, power = scalars["lr"], scalars["l1"], -self.learning_rate_power
        weight, before = read(variable), read(squares)
        after = write(squares, before + dense(gradient, tf.square))
        shrunk = dense(gradient) + 2 * scalars["l2_shrinkage"] * weight
        sigma = (tf.pow(after, power) - tf.pow(before, power)) / rate
        total = write(linear, read(linear) + shrunk - sigma * weight)
        quadratic = tf.pow(after, power) / rate + 2 * scalars["l2"]
        write(variable, (tf.clip_by_value(total, -l1, l1) - total) / quadratic)


config.optimizers.add(Ftrl)
