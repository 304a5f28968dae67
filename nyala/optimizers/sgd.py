"""Gradient descent, with and without momentum."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import add_to, dense, is_sparse, read, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, fused, shared


class SGD(Optimizer):
    """Gradient descent: `w ← w - learning_rate · g`.

    With momentum `m ← momentum · m - learning_rate · g` and `w ← w + m`, or with `nesterov`
    `w ← w + momentum · m - learning_rate · g`. Raises ValueError where momentum lies outside 0 to 1.

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.SGD(0.5).apply([[1.0]], [w])
        >>> w.numpy().tolist()
        [0.5]
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"`{self.name}` needs a momentum from 0 to 1, but got {momentum!r}.")
        self.momentum = momentum
        self.nesterov = nesterov

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums = self.add_optimizer_variables(variables, "momentum") if self.momentum else []

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        learning_rate = self.step_scalars(learning_rate, variable)
        if self.momentum:
            self._update_with_momentum(dense(gradient), variable, learning_rate)
        elif is_sparse(gradient):
            rows = -learning_rate * gradient.values
            tf.raw_ops.ResourceScatterAdd(resource=variable.handle, indices=gradient.indices, updates=rows)
        elif fused(gradient, variable):
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=learning_rate, delta=gradient)
        else:
            subtract_from(variable, learning_rate * gradient)

    def _update_with_momentum(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        momentum = self._momentums[self._get_variable_index(variable)]
        if fused(gradient, variable):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.handle,
                accum=momentum.handle,
                lr=learning_rate,
                grad=gradient,
                momentum=tf.cast(self.momentum, gradient.dtype),
                use_nesterov=self.nesterov,
            )
            return
        step = learning_rate * gradient
        speed = write(momentum, self.momentum * read(momentum) - step)
        add_to(variable, self.momentum * speed - step if self.nesterov else speed)


config.optimizers.add(SGD)
