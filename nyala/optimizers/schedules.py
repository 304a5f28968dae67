"""Learning-rate schedules: functions of the step, as data; each can be the `learning_rate` of every optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nyala.core import config, tensor
from nyala.core.config import Configurable
from nyala.core.config import deserialize as deserialize_object
from nyala.core.engine import tf

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule(Configurable):
    """The base of schedules: a subclass computes the learning rate of a step, a scalar tensor, in `__call__`.

    The arguments of the subclass's constructor are its config. The step counts from 0; it is the number of calls of
    `Optimizer.apply` so far, batches whose gradients were only accumulated included.

    Example:
        >>> import nyala
        >>> class Halving(nyala.optimizers.schedules.LearningRateSchedule):
        ...     def __call__(self, step):
        ...         return 0.5 ** float(step)
        >>> Halving()(2)
        0.25
    """

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step."""
        raise TypeError(
            f"{type(self).__name__} defines no `__call__(self, step)` method, so it gives no learning rate."
        )


class Scaled(LearningRateSchedule):
    """A schedule times a factor: optimizers hold schedules so, and set the factor when they are given a number.

    Hence `ReduceLROnPlateau` and `LearningRateScheduler` work on a schedule too: it goes on, lower or higher.

    Example:
        >>> import nyala
        >>> optimizer = nyala.optimizers.SGD(nyala.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5))
        >>> optimizer.learning_rate, w = 0.25, nyala.Variable([1.0])
        >>> for _ in range(10):
        ...     optimizer.apply([[1.0]], [w])
        >>> float(optimizer.learning_rate)
        0.125
    """

    def __init__(self, schedule: LearningRateSchedule, factor: float = 1.0) -> None:
        self.schedule = schedule
        self._factor = tf.Variable(factor, trainable=False, dtype=tensor.floatx())

    @property
    def factor(self) -> float:
        """By what the schedule's rates are multiplied."""
        return float(self._factor.numpy())

    @factor.setter
    def factor(self, value: float) -> None:
        self._factor.assign(value)

    def reach(self, rate: float, step: Any) -> None:
        """Choose the factor that makes the learning rate of `step` be `rate`; a ValueError where it can be 0 only."""
        unscaled = float(self.schedule(step))
        if unscaled == 0.0:
            raise ValueError(
                f"The learning rate cannot be set to {rate!r}: {type(self.schedule).__name__} gives 0 from step "
                f"{int(step)} on, whatever it is multiplied by. Set another schedule instead."
            )
        self._factor.assign(rate / unscaled)

    def __call__(self, step: Any) -> Any:
        return tensor.as_tensor(self.schedule(step), self._factor.dtype) * self._factor


def positive(schedule: LearningRateSchedule, name: str, value: float) -> float:
    """`value`, after a check that it is greater than zero."""
    if value <= 0:
        raise ValueError(f"{type(schedule).__name__} needs {name} > 0, but got {value!r}.")
    return value


def cosine(fraction: Any) -> Any:
    """A wave's half from 1 at fraction 0 down to 0 at fraction 1."""
    return 0.5 * (1.0 + tf.cos(tf.constant(math.pi, fraction.dtype) * fraction))


class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate · decay_rate ^ (step / decay_steps)`; with `staircase` the exponent is rounded down.

    Example:
        >>> import nyala
        >>> float(nyala.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5)(20))
        0.25
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = positive(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Any:
        initial = tensor.as_tensor(self.initial_learning_rate, tensor.floatx())
        periods = tensor.as_tensor(step, initial.dtype) / self.decay_steps
        return initial * tf.pow(
            tf.cast(self.decay_rate, initial.dtype), tf.floor(periods) if self.staircase else periods
        )


class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate · step / decay_steps)`; with `staircase` the quotient is rounded down.

    Example:
        >>> import nyala
        >>> float(nyala.optimizers.schedules.InverseTimeDecay(1.0, 10, 1.0)(10))
        0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = positive(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Any:
        initial = tensor.as_tensor(self.initial_learning_rate, tensor.floatx())
        periods = tensor.as_tensor(step, initial.dtype) / self.decay_steps
        return initial / (1.0 + self.decay_rate * (tf.floor(periods) if self.staircase else periods))


class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]`, where i is the number of `boundaries` that the step has passed.

    Raises ValueError unless there is one value more than there are boundaries.

    Example:
        >>> import nyala
        >>> schedule = nyala.optimizers.schedules.PiecewiseConstantDecay([10], [1.0, 0.5])
        >>> float(schedule(10)), float(schedule(11))
        (1.0, 0.5)
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) + 1 != len(values):
            raise ValueError(
                f"PiecewiseConstantDecay needs one value more than boundaries, but got {len(values)} values and "
                f"{len(boundaries)} boundaries."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = tensor.as_tensor(step)
        values = tf.convert_to_tensor([float(value) for value in self.values], tensor.floatx())
        if not self.boundaries:
            return values[0]
        whole = step.dtype.is_integer and all(boundary == int(boundary) for boundary in self.boundaries)
        step = step if whole else tf.cast(step, tensor.floatx())
        passed = step > tf.cast(self.boundaries, step.dtype)
        return values[tf.reduce_sum(tf.cast(passed, "int32"))]


class PolynomialDecay(LearningRateSchedule):
    """From `initial_learning_rate` to `end_learning_rate` in `decay_steps`: `(initial - end) · (1 - t) ^ power + end`.

    t is `min(step / decay_steps, 1)`; with `cycle` the decay starts anew, each time over one more `decay_steps`.

    Example:
        >>> import nyala
        >>> float(nyala.optimizers.schedules.PolynomialDecay(1.0, 10, 0.5)(5))
        0.75
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = positive(self, "decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Any:
        initial = tensor.as_tensor(self.initial_learning_rate, tensor.floatx())
        end = tf.cast(self.end_learning_rate, initial.dtype)
        step = tensor.as_tensor(step, initial.dtype)
        steps = tf.cast(self.decay_steps, initial.dtype)
        if self.cycle:
            steps = steps * tf.maximum(tf.math.ceil(step / steps), 1.0)
        else:
            step = tf.minimum(step, steps)
        rest = tf.maximum(1.0 - step / steps, 0.0)  # XLA rounds 10 / 10 to a little more than 1
        return (initial - end) * tf.pow(rest, tf.cast(self.power, initial.dtype)) + end


class CosineDecay(LearningRateSchedule):
    """Half a cosine wave in `decay_steps`, from `initial_learning_rate` down to `alpha` times it.

    With `warmup_target` the rate first rises to it on a straight line in `warmup_steps`, and decays from there.
    (Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.)

    Example:
        >>> import nyala
        >>> float(nyala.optimizers.schedules.CosineDecay(1.0, 10)(5))
        0.5
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = positive(self, "decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        initial = tensor.as_tensor(self.initial_learning_rate, tensor.floatx())
        step = tensor.as_tensor(step, initial.dtype)
        if self.warmup_target is None:
            return self._decay(step, initial)
        target = tf.cast(self.warmup_target, initial.dtype)
        decayed = self._decay(step - self.warmup_steps, target)
        if not self.warmup_steps:
            return decayed
        rising = initial + (target - initial) * (step / self.warmup_steps)
        return tf.where(step < self.warmup_steps, rising, decayed)

    def _decay(self, step: Any, start: Any) -> Any:
        fraction = tf.minimum(step, tf.cast(self.decay_steps, step.dtype)) / self.decay_steps
        return start * ((1.0 - self.alpha) * cosine(fraction) + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other: the first in `first_decay_steps`, each next `t_mul` times as long.

    Each starts `m_mul` times as high as the one before and ends at `alpha` times `initial_learning_rate`.
    (Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016.)

    Example:
        >>> import nyala
        >>> schedule = nyala.optimizers.schedules.CosineDecayRestarts(1.0, 10)
        >>> float(schedule(5)), float(schedule(10)), float(schedule(20))
        (0.5, 1.0, 0.5)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = positive(self, "first_decay_steps", first_decay_steps)
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Any:
        initial = tensor.as_tensor(self.initial_learning_rate, tensor.floatx())
        fraction = tensor.as_tensor(step, initial.dtype) / self.first_decay_steps
        if self.t_mul == 1.0:
            restarts = tf.floor(fraction)
            fraction = fraction - restarts
        else:
            # The first n decays take (1 - t_mul^n) / (1 - t_mul) times as long as the first one alone.
            t_mul = tf.cast(self.t_mul, initial.dtype)
            restarts = tf.floor(tf.math.log(1.0 - fraction * (1.0 - t_mul)) / tf.math.log(t_mul))
            length = tf.pow(t_mul, restarts)
            fraction = (fraction - (1.0 - length) / (1.0 - t_mul)) / length
        height = tf.pow(tf.cast(self.m_mul, initial.dtype), restarts)
        return initial * ((1.0 - self.alpha) * height * cosine(fraction) + self.alpha)


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """A schedule as plain data."""
    return config.serialize(learning_rate_schedule)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make the schedule that `serialize` described."""
    return deserialize_object(config, custom_objects)


for _schedule in (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Scaled,
):
    config.schedules.add(_schedule)
