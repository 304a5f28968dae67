"""Lion: steps of one size, in the direction that the sign of a momentum gives."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import read, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, shared


class Lion(Optimizer):
    """Steps of the size of the learning rate, with the sign of a running mean of the gradient.

    `w ← w - learning_rate · sign(beta_1 · m + (1 - beta_1) · g)`, then `m ← beta_2 · m + (1 - beta_2) · g`.
    (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023.) Raises ValueError for a beta_1 outside (0, 1].

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Lion(0.5).apply([[3.0]], [w])
        >>> w.numpy().tolist()
        [0.5]
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
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
        if not 0 < beta_1 <= 1:
            raise ValueError(f"`{self.name}` needs beta_1 above 0 and at most 1, but got {beta_1!r}.")
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        momentum = self._momentums[self._get_variable_index(variable)]
        mean = read(momentum)
        direction = tf.sign(self.beta_1 * mean + (1 - self.beta_1) * gradient)
        subtract_from(variable, self.step_scalars(learning_rate, variable) * direction)
        write(momentum, self.beta_2 * mean + (1 - self.beta_2) * gradient)


config.optimizers.add(Lion)
