"""Adam and its kin: steps from running means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import dense, filled, is_overwritten, read, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, fused, shared


class Adam(Optimizer):
    """Steps from running means of the gradient and of its square, corrected for their start at zero.

    `m ← beta_1 · m + (1 - beta_1) · g`, `v ← beta_2 · v + (1 - beta_2) · g²`, and at step t
    `w ← w - learning_rate · √(1 - beta_2^t) / (1 - beta_1^t) · m / (√v + epsilon)`. With `amsgrad` the greatest v so
    far takes the place of v. (Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2014.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Adam(0.1).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.9
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def scalars(self, learning_rate: Any, dtype: str) -> Any:
        """The learning rate corrected for the means' start at zero; the arguments of the fused kernel."""
        step = self.step_number(dtype)
        beta_1, beta_2 = tf.constant(self.beta_1, dtype), tf.constant(self.beta_2, dtype)
        power_1, power_2 = tf.pow(beta_1, step), tf.pow(beta_2, step)
        excess = tf.sqrt(excess_of_kernel(self.beta_2, step))
        kernel = {
            "lr": learning_rate * excess,
            "epsilon": self.epsilon * excess,
            "beta1": beta_1,
            "beta2": beta_2,
            "beta1_power": power_1,
            "beta2_power": power_2,
        }
        return learning_rate * tf.sqrt(1 - power_2) / (1 - power_1), kernel

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        rate, kernel = self.step_scalars(learning_rate, variable)
        if fused(gradient, variable) and not self.amsgrad:
            handles = {"var": variable.handle, "m": momentum.handle, "v": velocity.handle}
            tf.raw_ops.ResourceApplyAdam(grad=gradient, **handles, **kernel)
            return
        m = move(momentum, dense(gradient), 1 - self.beta_1)
        v = move(velocity, dense(gradient, tf.square), 1 - self.beta_2)
        if self.amsgrad:
            greatest = self._velocity_hats[index]
            v = write(greatest, tf.maximum(read(greatest), v))
        subtract_from(variable, m * rate / (tf.sqrt(v) + self.epsilon))


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: each step also takes `learning_rate · weight_decay · w` from w.

    (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2017.) Raises ValueError without a weight_decay.

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.AdamW(0.1, weight_decay=0.5).apply([[0.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.95
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        super().__init__(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, amsgrad=amsgrad, **shared(locals()))
        if self.weight_decay is None:
            raise ValueError(f"`{self.name}` needs a weight_decay; use Adam for training without one.")


class Adamax(Optimizer):
    """Adam with the greatest gradient, fading, in place of the mean square.

    `m ← beta_1 · m + (1 - beta_1) · g`, `u ← max(beta_2 · u, |g|)`, and at step t
    `w ← w - learning_rate / (1 - beta_1^t) · m / (u + epsilon)`. (Kingma and Ba, 2014, section 7.1.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Adamax(0.1).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.9
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums, self._norms = self.add_optimizer_variables(variables, ["momentum", "norm"])

    def scalars(self, learning_rate: Any, dtype: str) -> dict[str, Any]:
        beta_1 = tf.constant(self.beta_1, dtype)
        return {
            "lr": learning_rate,
            "beta1": beta_1,
            "beta2": tf.constant(self.beta_2, dtype),
            "epsilon": tf.constant(self.epsilon, dtype),
            "beta1_power": tf.pow(beta_1, self.step_number(dtype)),
        }

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        momentum, norm = self._momentums[index], self._norms[index]
        scalars = self.step_scalars(learning_rate, variable)
        if fused(gradient, variable):
            handles = {"var": variable.handle, "m": momentum.handle, "v": norm.handle}
            tf.raw_ops.ResourceApplyAdaMax(grad=gradient, **handles, **scalars)
            return
        m = move(momentum, dense(gradient), 1 - self.beta_1)
        u = write(norm, tf.maximum(self.beta_2 * read(norm), dense(gradient, tf.abs)))
        subtract_from(variable, scalars["lr"] * m / ((1 - scalars["beta1_power"]) * (u + self.epsilon)))


class Nadam(Optimizer):
    """Adam with Nesterov's momentum: the step looks one update of the mean ahead.

    With `μ(t) = beta_1 · (1 - 0.5 · 0.96^t)`, P(t) the product of μ(1) … μ(t), and m and v as in Adam,
    `m' = μ(t+1) · m / (1 - P(t+1)) + (1 - μ(t)) · g / (1 - P(t))`, `v' = v / (1 - beta_2^t)` and
    `w ← w - learning_rate · m' / (√v' + epsilon)`. (Dozat, "Incorporating Nesterov Momentum into Adam", 2015.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Nadam(0.1).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 3)
        0.894
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        dtype = variables[0].dtype if variables else None
        self._momentum_product = self.add_variable((), filled(1), dtype, name="momentum_product")

    def begin_step(self, learning_rate: Any) -> None:
        mu = self._mu(self.step_number(self._momentum_product.dtype))
        write(self._momentum_product, read(self._momentum_product) * mu)

    def _mu(self, step: Any) -> Any:
        return self.beta_1 * (1.0 - 0.5 * tf.pow(tf.cast(0.96, step.dtype), step))

    def scalars(self, learning_rate: Any, dtype: str) -> tuple[Any, Any, Any, Any]:
        """The learning rate, the factors of m and of g in m', and the divisor of v."""
        step = self.step_number(dtype)
        now, ahead = self._mu(step), self._mu(step + 1)
        product = tf.cast(read(self._momentum_product), dtype)
        correction = 1 - tf.pow(tf.cast(self.beta_2, dtype), step)
        return learning_rate, ahead / (1 - product * ahead), (1 - now) / (1 - product), correction

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        rate, of_mean, of_gradient, correction = self.step_scalars(learning_rate, variable)
        m = move(self._momentums[index], dense(gradient), 1 - self.beta_1)
        v = move(self._velocities[index], dense(gradient, tf.square), 1 - self.beta_2)
        ahead = of_mean * m + of_gradient * dense(gradient)
        subtract_from(variable, rate * ahead / (tf.sqrt(v / correction) + self.epsilon))


class Lamb(Optimizer):
    """Adam's steps with a size that follows the norm of each weight: for large batches.

    With m and v as in Adam, `s = m / (1 - beta_1^t) / (√(v / (1 - beta_2^t)) + epsilon)` and
    `w ← w - learning_rate · ‖w‖ / ‖s‖ · s`; the quotient is 1 where a norm is zero.
    (You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", 2019.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([2.0])
        >>> nyala.optimizers.Lamb(0.1).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        1.8
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def scalars(self, learning_rate: Any, dtype: str) -> tuple[Any, Any, Any]:
        """The learning rate and the divisors of m and v."""
        step = self.step_number(dtype)
        return learning_rate, *(1 - tf.pow(tf.cast(beta, dtype), step) for beta in (self.beta_1, self.beta_2))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        rate, of_mean, of_square = self.step_scalars(learning_rate, variable)
        m = move(self._momentums[index], dense(gradient), 1 - self.beta_1)
        v = move(self._velocities[index], dense(gradient, tf.square), 1 - self.beta_2)
        step = m / of_mean / (tf.sqrt(v / of_square) + self.epsilon)
        weight = read(variable)
        norms = tf.norm(weight), tf.norm(step)
        ratio = tf.where((norms[0] > 0) & (norms[1] > 0), tf.math.divide_no_nan(*norms), tf.ones_like(norms[0]))
        subtract_from(variable, rate * ratio * step)


class ScheduleFreeAdamW(Optimizer):
    """Adam's steps without a schedule: the weights are the mean of all points that the steps went through.

    `v ← beta_2 · v + (1 - beta_2) · g²`, the point moves, `z ← z - learning_rate · g / (√(v / (1 - beta_2^t)) +
    epsilon)`, and the weights follow, `w ← w + (z - w) / t`. The learning rate rises on a straight line during the
    first `warmup_steps`. As in the reference, gradients are those at w, where the interpolation with `beta_1` cancels.
    (Defazio et al., "The Road Less Scheduled", 2024.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.ScheduleFreeAdamW(0.1).apply([[3.0]], [w])
        >>> round(float(w.numpy()[0]), 4)
        0.9
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def create_slots(self, variables: list[Any]) -> None:
        self._points: list[Any] = []
        self._velocities: list[Any] = []
        for variable in variables:
            skipped = is_overwritten(variable)
            # Files call the point a momentum.
            start = None if skipped else tf.convert_to_tensor(variable)
            self._points.append(None if skipped else self.add_variable_from_reference(variable, "momentum", start))
            self._velocities.append(None if skipped else self.add_variable_from_reference(variable, "velocity"))

    def scalars(self, learning_rate: Any, dtype: str) -> tuple[Any, Any, Any]:
        """The learning rate, the divisor of v and the number of the step."""
        step = self.step_number(dtype)
        if self.warmup_steps:
            learning_rate = learning_rate * tf.minimum(step / self.warmup_steps, 1.0)
        return learning_rate, 1 - tf.pow(tf.cast(self.beta_2, dtype), step), step

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        rate, correction, step = self.step_scalars(learning_rate, variable)
        v = move(self._velocities[index], dense(gradient, tf.square), 1 - self.beta_2)
        point, weight = self._points[index], read(variable)
        moved = write(point, read(point) - rate * dense(gradient) / (tf.sqrt(v / correction) + self.epsilon))
        write(variable, weight + (moved - weight) / step)


def move(average: Any, values: Any, part: float) -> Any:
    """Move a running average by `part` of its way to `values`; returns its new value."""
    now = read(average)
    return write(average, now + (values - now) * part)


def excess_of_kernel(beta: float, step: Any) -> Any:
    """By which factor a fused kernel's running mean from zero is too great, because it takes `1 - beta` in the dtype.

    In float32 that is 1.3e-5 off for 0.999: about the tolerance within which numbers here equal the reference's.
    """
    rounded = float(np.float32(beta)) if step.dtype == "float32" else beta
    if rounded == beta or not 0 < beta < 1:
        return tf.ones((), step.dtype)
    return tf.math.expm1(step * math.log(rounded)) / tf.math.expm1(step * math.log(beta))


config.optimizers.add(Adam)
config.optimizers.add(AdamW, "adamw")
for _optimizer in (Adamax, Nadam, Lamb):
    config.optimizers.add(_optimizer)
config.optimizers.add(ScheduleFreeAdamW, "schedulefreeadamw")
