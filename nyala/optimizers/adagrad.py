"""Adagrad and Adadelta: steps shrink with the squares of the gradients so far."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import dense, filled, read, scaled, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, fused, shared


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far.

    `a ← a + g²` from `initial_accumulator_value`, and `w ← w - learning_rate · g / √(a + epsilon)`.
    (Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", 2011.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Adagrad(0.1, initial_accumulator_value=0.0).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.9
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
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
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def create_slots(self, variables: list[Any]) -> None:
        start = filled(self.initial_accumulator_value)
        self._accumulators_of_squares = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        accumulator = self._accumulators_of_squares[self._get_variable_index(variable)]
        learning_rate = self.step_scalars(learning_rate, variable)
        total = write(accumulator, read(accumulator) + dense(gradient, tf.square))
        subtract_from(variable, learning_rate * dense(gradient) / tf.sqrt(total + self.epsilon))


class Adadelta(Optimizer):
    """Steps as large as the steps before, in the unit of the weights: the root mean square of steps over that of g.

    `a ← rho · a + (1 - rho) · g²`, `s = √(d + epsilon) / √(a + epsilon) · g`, `d ← rho · d + (1 - rho) · s²` and
    `w ← w - learning_rate · s`. (Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Adadelta(1.0, rho=0.0, epsilon=0.25).apply([[0.0]], [w])
        >>> w.numpy().tolist()
        [1.0]
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
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
        self.epsilon = epsilon

    def create_slots(self, variables: list[Any]) -> None:
        names = ["accumulated_grad", "accumulated_delta_var"]
        self._squared_gradients, self._squared_steps = self.add_optimizer_variables(variables, names)

    def scalars(self, learning_rate: Any, dtype: str) -> dict[str, Any]:
        return {"lr": learning_rate, "rho": tf.constant(self.rho, dtype), "epsilon": tf.constant(self.epsilon, dtype)}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        squares, steps = self._squared_gradients[index], self._squared_steps[index]
        scalars = self.step_scalars(learning_rate, variable)
        if fused(gradient, variable):
            handles = {"var": variable.handle, "accum": squares.handle, "accum_update": steps.handle}
            tf.raw_ops.ResourceApplyAdadelta(grad=gradient, **handles, **scalars)
            return
        rest = 1 - self.rho
        square = write(squares, self.rho * read(squares) + rest * dense(gradient, tf.square))
        ratio = tf.sqrt(read(steps) + self.epsilon) * tf.math.rsqrt(square + self.epsilon)
        step = scaled(gradient, ratio)
        write(steps, self.rho * read(steps) + rest * dense(step, tf.square))
        subtract_from(variable, scalars["lr"] * dense(step))


config.optimizers.add(Adagrad)
config.optimizers.add(Adadelta)
