"""RMSprop: steps divided by a running root mean square of the gradient."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import dense, read, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, fused, shared


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of squared gradients.

    `v ← rho · v + (1 - rho) · g²` and `w ← w - learning_rate · g / √(v + epsilon)`. With `centered` the square of a
    running mean of g is taken from v under the root; with momentum the steps add up: `m ← momentum · m + step`.
    (Hinton, "Neural Networks for Machine Learning", lecture 6e, 2012.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.RMSprop(0.1, rho=0.0).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.9
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
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
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def create_slots(self, variables: list[Any]) -> None:
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def scalars(self, learning_rate: Any, dtype: str) -> dict[str, Any]:
        constants = {"rho": self.rho, "momentum": self.momentum, "epsilon": self.epsilon}
        return {"lr": learning_rate, **{name: tf.constant(value, dtype) for name, value in constants.items()}}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        scalars = self.step_scalars(learning_rate, variable)
        if self.momentum > 0 and fused(gradient, variable):  # the kernels have no form without momentum
            self._update_fused(gradient, variable, index, scalars)
            return
        rho, velocity = scalars["rho"], self._velocities[index]
        mean_square = write(velocity, rho * read(velocity) + (1 - rho) * dense(gradient, tf.square))
        gradient = dense(gradient)
        if self.centered:
            average = self._average_gradients[index]
            mean = write(average, rho * read(average) + (1 - rho) * gradient)
            mean_square = mean_square - tf.square(mean)
        step = scalars["lr"] * gradient * tf.math.rsqrt(mean_square + scalars["epsilon"])
        if self.momentum > 0:
            momentum = self._momentums[index]
            step = write(momentum, scalars["momentum"] * read(momentum) + step)
        subtract_from(variable, step)

    def _update_fused(self, gradient: Any, variable: Any, index: int, scalars: dict[str, Any]) -> None:
        handles = {
            "var": variable.handle,
            "ms": self._velocities[index].handle,
            "mom": self._momentums[index].handle,
        }
        if self.centered:
            mean = self._average_gradients[index].handle
            tf.raw_ops.ResourceApplyCenteredRMSProp(mg=mean, grad=gradient, **handles, **scalars)
        else:
            tf.raw_ops.ResourceApplyRMSProp(grad=gradient, **handles, **scalars)


config.optimizers.add(RMSprop, "rmsprop")
