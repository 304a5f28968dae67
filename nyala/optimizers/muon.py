"""Muon: momentum made orthogonal, for matrices; Adam for all else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.tensor import Tensor
from nyala.optimizers.adam import move
from nyala.optimizers.gradients import dense, is_overwritten, path_of, read, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, shared


class Muon(Optimizer):
    """For matrices a momentum whose singular values are brought near 1; Adam for everything else.

    `m ← momentum · m + g` and `w ← w - learning_rate · rate · orthogonal(u)`, u being m or, with `nesterov`,
    `momentum · m + g`. `orthogonal` divides by the norm and takes `ns_steps` of a Newton-Schulz iteration,
    `A = X Xᵀ` and `X ← muon_a · X + (muon_b · A + muon_c · A²) X`; `rate` is `rms_rate · √max(rows, columns)`, or 1
    where rms_rate is None. Adam serves variables that are no matrices, embeddings (with `exclude_embeddings`) and those
    in whose path a regular expression of `exclude_layers` is found; its learning rate is `adam_lr_ratio` times as great
    and its weight decay `adam_weight_decay`. (Jordan et al., "Muon: An optimizer for hidden layers in neural
    networks", 2024; Liu et al., "Muon is Scalable for LLM Training", 2025.)

    Example:
        >>> import nyala
        >>> kernel, bias = nyala.Variable([[1.0, 0.0], [0.0, 1.0]]), nyala.Variable([1.0])
        >>> nyala.optimizers.Muon(0.1).apply([[[1.0, 0.0], [0.0, 1.0]], [3.0]], [kernel, bias])
        >>> round(float(bias.numpy()[0]), 3)
        0.9
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**shared(locals()))
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def create_slots(self, variables: list[Any]) -> None:
        self._momentums: list[Any] = []
        self._velocities: list[Any] = []
        for variable in variables:
            skipped = is_overwritten(variable)
            self._momentums.append(None if skipped else self.add_variable_from_reference(variable, "momentum"))
            adam = not skipped and self._takes_adam(variable)
            self._velocities.append(self.add_variable_from_reference(variable, "velocity") if adam else None)

    def _takes_adam(self, variable: Any) -> bool:
        path = path_of(variable)
        return (
            len(variable.shape) != 2
            or (self.exclude_embeddings and "embedding" in path.lower())
            or any(re.search(name, path) for name in self.exclude_layers)
        )

    def _weight_decay_of(self, variable: Any) -> float | None:
        return self.adam_weight_decay if self._takes_adam(variable) else self.weight_decay

    def scalars(self, learning_rate: Any, dtype: str) -> tuple[Any, Any]:
        """The learning rate, and that of Adam corrected for its means' start at zero."""
        step = self.step_number(dtype)
        power_1, power_2 = (tf.pow(tf.cast(beta, dtype), step) for beta in (self.adam_beta_1, self.adam_beta_2))
        adam = learning_rate * self.adam_lr_ratio * tf.sqrt(1 - power_2) / (1 - power_1)
        return learning_rate, adam

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        muon_rate, adam_rate = self.step_scalars(learning_rate, variable)
        if self._takes_adam(variable):
            m = move(self._momentums[index], dense(gradient), 1 - self.adam_beta_1)
            v = move(self._velocities[index], dense(gradient, tf.square), 1 - self.adam_beta_2)
            subtract_from(variable, m * adam_rate / (tf.sqrt(v) + self.epsilon))
            return
        gradient, momentum = dense(gradient), self._momentums[index]
        m = write(momentum, self.momentum * read(momentum) + gradient)
        direction = self.momentum * m + gradient if self.nesterov else m
        step = self.zeropower_via_newtonschulz5(direction, self.ns_steps)
        subtract_from(variable, muon_rate * self.lr_adjust(step))

    def lr_adjust(self, x: Tensor) -> Tensor:
        """An orthogonal step in the size of Adam's: times `rms_rate · √max(rows, columns)`."""
        return x if self.rms_rate is None else x * (self.rms_rate * max(x.shape[0], x.shape[1]) ** 0.5)

    def transpose_last_axis(self, X: Tensor) -> Tensor:
        """A matrix, or each of a stack of them, transposed."""
        return tf.linalg.matrix_transpose(X)

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """A matrix of the same directions with singular values near 1, by `steps` of a Newton-Schulz iteration."""
        tall = x.shape[-2] > x.shape[-1]
        x = self.transpose_last_axis(x) if tall else x
        x = x / (tf.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
        for _ in range(steps):
            a = tf.matmul(x, x, transpose_b=True)
            x = self.muon_a * x + tf.matmul(self.muon_b * a + self.muon_c * tf.matmul(a, a), x)
        return self.transpose_last_axis(x) if tall else x


config.optimizers.add(Muon)
