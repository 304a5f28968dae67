"""Adafactor: Adam's second moment in the memory of a row and a column."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.optimizers.gradients import dense, is_overwritten, path_of, read, scaled, subtract_from, write
from nyala.optimizers.optimizer import Optimizer, shared


class Adafactor(Optimizer):
    """Steps divided by the root of a running mean of g² that, for matrices, is kept as its row and column means.

    At step t, `beta = 1 - t ^ beta_2_decay` and `v ← beta · v + (1 - beta) · (g² + epsilon_1)` (of a matrix: of its
    rows r and columns c, and `v = r · c / mean(r)`), `u = g / √v`, limited to a root mean square of `clip_threshold`.
    `w ← w - max(epsilon_2, rms(w)) · min(learning_rate, 1 / √t) · u`. As in the reference, `relative_step` changes
    nothing: the minimum is taken either way. (Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear
    Memory Cost", 2018.)

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0])
        >>> nyala.optimizers.Adafactor(0.5).apply([[3.0]], [w])
        >>> w.numpy().tolist()
        [0.5]
    """

    takes_slices = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 0.001,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
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
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def create_slots(self, variables: list[Any]) -> None:
        self._rows, self._columns, self._velocities = [], [], []
        for variable in variables:
            slots = (None, None, None) if is_overwritten(variable) else self._slots_of(variable)
            for known, slot in zip((self._rows, self._columns, self._velocities), slots, strict=True):
                known.append(slot)

    def _slots_of(self, variable: Any) -> tuple[Any, Any, Any]:
        shape, name = tuple(variable.shape), path_of(variable).replace("/", "_")
        if len(shape) < 2:  # scalars keep the places of rows and columns, so that files have the same order
            row, column = (self.add_variable((), dtype="int32", name=f"{name}_{part}") for part in ("row", "column"))
        else:
            row = self.add_variable(shape[:-1], dtype=variable.dtype, name=f"{name}_row")
            column = self.add_variable(shape[:-2] + shape[-1:], dtype=variable.dtype, name=f"{name}_column")
        return row, column, self.add_variable_from_reference(variable, "velocity")

    def scalars(self, learning_rate: Any, dtype: str) -> tuple[Any, Any]:
        """The step size and the momentum of the running means."""
        step = self.step_number(dtype)
        return tf.minimum(learning_rate, tf.math.rsqrt(step)), 1 - tf.pow(step, self.beta_2_decay)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        size, beta = self.step_scalars(learning_rate, variable)
        square = dense(gradient, tf.square) + self.epsilon_1
        if len(variable.shape) < 2:
            velocity = self._mean(self._velocities[index], square, beta)
        else:
            row = self._mean(self._rows[index], tf.reduce_mean(square, -1), beta)
            column = self._mean(self._columns[index], tf.reduce_mean(square, -2), beta)
            share = row / tf.reduce_mean(row, -1, keepdims=True)
            velocity = write(self._velocities[index], share[..., None] * column[..., None, :])
        step = scaled(gradient, tf.math.rsqrt(velocity))
        size_of_step = tf.sqrt(tf.reduce_mean(dense(step, tf.square)))
        size_of_weight = tf.sqrt(tf.reduce_mean(tf.square(read(variable))))
        size = size * tf.maximum(tf.cast(self.epsilon_2, size.dtype), size_of_weight)
        limit = tf.maximum(tf.ones_like(size), size_of_step / self.clip_threshold)
        subtract_from(variable, size / limit * dense(step))

    def _mean(self, average: Any, values: Any, beta: Any) -> Any:
        return write(average, beta * read(average) + (1 - beta) * values)


config.optimizers.add(Adafactor)
