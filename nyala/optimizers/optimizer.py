"""`Optimizer`: what every optimizer shares, as small steps; an optimizer itself states its update only.

One call of `apply` goes: match gradients with variables, sum over replicas, unscale, accumulate, clip, decay weights,
update, average, constrain, count. A gradient may be a `tf.IndexedSlices`, the gradient of an embedding: what is
elementwise works on its values, so rows that occur twice are squared before they are summed, as in the reference.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nyala import initializers
from nyala.core import config, tensor
from nyala.core.config import Configurable, custom_object_scope, revive
from nyala.core.engine import tf
from nyala.core.tensor import Tensor
from nyala.core.tracking import auto_name, path_scope
from nyala.core.variable import Variable, stateless_scope
from nyala.optimizers.gradients import (
    add_to,
    clip_by_norm,
    dense,
    is_overwritten,
    is_sparse,
    on_values,
    path_of,
    read,
    subtract_from,
    sum_over_replicas,
    when,
    without_missing,
    write,
)
from nyala.optimizers.schedules import LearningRateSchedule, Scaled

# ---- How an update is computed ----


class _Thread(threading.local):
    plain = False  # whether fused kernels are off
    scalars: dict[Any, Any] | None = None  # what one step computed once for all its variables


_thread = _Thread()


@contextmanager
def plain_formulas() -> Iterator[None]:
    """Updates that are traced or run inside use elementwise formulas, which XLA fuses, and no fused kernels."""
    before, _thread.plain = _thread.plain, True
    try:
        yield
    finally:
        _thread.plain = before


@contextmanager
def _one_step() -> Iterator[None]:
    before, _thread.scalars = _thread.scalars, {}
    try:
        yield
    finally:
        _thread.scalars = before


def fused(gradient: Any, variable: Any) -> bool:
    """Whether TensorFlow's fused kernel shall update `variable`: not for slices, short floats, or under XLA.

    Nor in a stateless scope, which a kernel knows nothing of.
    """
    return (
        not _thread.plain
        and stateless_scope() is None
        and variable.dtype in ("float32", "float64")
        and not is_sparse(gradient)
    )


# ---- The base of all optimizers ----

SHARED = (
    "learning_rate", "weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
    "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps", "name",
)  # fmt: skip


def shared(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Of the `locals()` of a constructor, the arguments that every optimizer takes."""
    return {**{name: arguments[name] for name in SHARED}, **arguments["kwargs"]}


class Optimizer(Configurable):
    """The base of all optimizers: `apply` turns gradients into new values of variables.

    A subclass states its update in `update_step` and makes its variables in `create_slots` (or in `build`).

    - `weight_decay`: each step takes `learning_rate · weight_decay · w` from each weight `w` that is not excluded.
    - `clipnorm`, `clipvalue`, `global_clipnorm`: limit the norm of each gradient, each value, or the norm of all.
    - `use_ema`: average the weights, `a ← ema_momentum · a + (1 - ema_momentum) · w`; every
      `ema_overwrite_frequency` steps, or at the end of training, the weights become their averages.
    - `loss_scale_factor`: multiply the loss and divide the gradients by it.
    - `gradient_accumulation_steps`: update once in so many steps, with the mean of their gradients: what one batch of
      all their rows gives, where batches are equally large; but BatchNormalization sees each small batch by itself.

    Raises ValueError for options that contradict each other or lie outside their range.

    Example:
        >>> import nyala
        >>> w = nyala.Variable([1.0, 2.0])
        >>> nyala.optimizers.SGD(0.5).apply([[1.0, 1.0]], [w])
        >>> w.numpy().tolist()
        [0.5, 1.5]
    """

    takes_slices = False  # whether `update_step` takes `tf.IndexedSlices`

    def __init__(
        self,
        learning_rate: Any,
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
        if kwargs:
            raise ValueError(f"{type(self).__name__} takes no argument {sorted(kwargs)[0]!r}.")
        self.name = name or auto_name(type(self).__name__)
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_options()
        self.built = False
        self._variables: list[Variable] = []
        self._trainable_variables: list[Any] = []
        self._indices: dict[int, int] = {}  # id of a trainable variable → its place
        self._undecayed: tuple[frozenset[int], tuple[str, ...]] = (frozenset(), ())
        self._iterations = self.add_variable((), dtype="int64", name="iteration")
        self._learning_rate = self._make_learning_rate(learning_rate)
        self._times_replaced = 0

    def _check_options(self) -> None:
        clips = {name: getattr(self, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
        given = {name: value for name, value in clips.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"`{self.name}` can clip gradients in one way only, but got {given}; keep one of them.")
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ValueError(f"`{self.name}` needs ema_momentum from 0 to 1, but got {self.ema_momentum!r}.")
        for option, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
            value = getattr(self, option)
            used = value is not None and (self.use_ema or option != "ema_overwrite_frequency")
            if used and (not isinstance(value, int) or value < least):
                raise ValueError(f"`{self.name}` needs {option} to be an integer ≥ {least} or None, but got {value!r}.")

    # ---- The learning rate and the count of steps ----

    def _make_learning_rate(self, learning_rate: Any) -> Any:
        """A number becomes a variable that can be set, a schedule one that can be scaled; a function stays as it is."""
        if isinstance(learning_rate, LearningRateSchedule):
            return learning_rate if isinstance(learning_rate, Scaled) else Scaled(learning_rate)
        if callable(learning_rate):
            return learning_rate
        if isinstance(learning_rate, (str, bytes)) or getattr(learning_rate, "shape", ()) != ():
            learning_rate = None
        try:
            value = float(learning_rate)
        except (TypeError, ValueError):
            raise ValueError(
                f"The learning_rate of `{self.name}` must be a number, a LearningRateSchedule or a function without "
                f"arguments, but got {learning_rate!r}."
            ) from None
        return self.add_variable((), initializer=value, dtype=tensor.floatx(), name="learning_rate")

    @property
    def learning_rate(self) -> Any:
        """The learning rate: a variable that can be set, or what the schedule says for the present step.

        A number set while a schedule is in use scales it, so that the present rate is that number.
        """
        if isinstance(self._learning_rate, Scaled):
            return self._learning_rate(self._iterations)
        return self._learning_rate() if callable(self._learning_rate) else self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        present = self._learning_rate
        if isinstance(value, LearningRateSchedule) or callable(value):
            self._learning_rate = self._make_learning_rate(value)
            self._variables = [variable for variable in self._variables if variable is not present]
            self._times_replaced += 1
        elif isinstance(present, Variable):
            present.assign(value)
        elif isinstance(present, Scaled):
            present.reach(float(value), self._iterations)
        else:
            raise TypeError(
                f"The learning rate of `{self.name}` is what {present!r} returns, so it cannot be set to a number. "
                "Make the optimizer with a number as learning_rate, or set a schedule."
            )

    @property
    def times_replaced(self) -> int:
        """How often another schedule or function took the place of the learning rate, which traced steps hold."""
        return self._times_replaced

    def _current_learning_rate(self) -> Any:
        rate = self.learning_rate
        return read(rate) if isinstance(rate, Variable) else tensor.as_tensor(rate)

    @property
    def iterations(self) -> Any:
        """How often the variables were updated."""
        return self._updates() if self.gradient_accumulation_steps else self._iterations

    def _updates(self) -> Any:
        return read(self._iterations) // (self.gradient_accumulation_steps or 1)

    # ---- Its variables ----

    @property
    def variables(self) -> list[Variable]:
        """The optimizer's variables, in the order in which files hold them."""
        return self._variables[:]

    def build(self, variables: Sequence[Any]) -> None:
        """Make the optimizer's variables for the trainable `variables`."""
        if self.built:
            return
        self._trainable_variables = list(variables)
        self._indices = {id(variable): index for index, variable in enumerate(self._trainable_variables)}
        if self.use_ema:
            self._averages = self.add_optimizer_variables(self._trainable_variables, "average")
        if self.gradient_accumulation_steps:
            self._accumulators = [
                self.add_variable_from_reference(variable, "gradient_accumulator")
                for variable in self._trainable_variables
            ]
        self.built = True
        self.create_slots(self._trainable_variables)

    def create_slots(self, variables: list[Any]) -> None:
        """Make the variables that `update_step` needs; called once, by `build`."""

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable that is saved with the optimizer."""
        if isinstance(initializer, str):
            initializer = initializers.get(initializer)
        with path_scope(self.name):
            variable = Variable(
                initializer,
                shape=tuple(shape),
                dtype=dtype,
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                layout=layout,
                name=name,
            )
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Any, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Make a variable of the shape and dtype of another, and named after it."""
        name = re.sub("[/:]", "_", path_of(reference_variable)) + f"_{name or 'var'}"
        return self.add_variable(reference_variable.shape, initializer, reference_variable.dtype, name=name)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Any], name: str | Sequence[str], initializer: Any = "zeros"
    ) -> Any:
        """A list of variables like `trainable_variables`; for several names and initializers, a tuple of such lists."""
        names = [name] if isinstance(name, str) else list(name)
        initializers = list(initializer) if isinstance(initializer, (list, tuple)) else [initializer] * len(names)
        if len(initializers) != len(names):
            raise ValueError(f"`{self.name}` got {len(names)} names but {len(initializers)} initializers.")
        made: list[list[Variable | None]] = [[] for _ in names]
        for variable in trainable_variables:
            for variables, one, initial in zip(made, names, initializers, strict=True):
                skipped = is_overwritten(variable)
                variables.append(None if skipped else self.add_variable_from_reference(variable, one, initial))
        return made[0] if isinstance(name, str) else tuple(made)

    def _get_variable_index(self, variable: Any) -> int:
        """The place of a trainable variable in the lists that `add_optimizer_variables` returns."""
        return self._indices[id(variable)]

    def assign(self, variable: Any, value: Tensor) -> None:
        """Set a variable."""
        write(variable, value)

    def assign_add(self, variable: Any, value: Tensor) -> None:
        """Add to a variable."""
        add_to(variable, value)

    def assign_sub(self, variable: Any, value: Tensor) -> None:
        """Subtract from a variable."""
        subtract_from(variable, value)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the optimizer's variables to arrays, in their order."""
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(f"`{self.name}` has {len(variables)} variables, but got {len(weights)} arrays.")
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store: Any) -> None:
        """Put the values of the variables into `store` under "0", "1", …"""
        for index, variable in enumerate(self.variables):
            store[str(index)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the values of the variables from `store`; warn, and take none, where their number differs."""
        variables = self.variables
        if len(store) != len(variables):
            warnings.warn(
                f"The file holds {len(store)} variables of an optimizer, but `{self.name}` has {len(variables)}, so "
                "none was loaded. Build the optimizer on the same trainable variables first.",
                stacklevel=2,
            )
            return
        for index, variable in enumerate(variables):
            variable.assign(store[str(index)][()] if hasattr(store[str(index)], "shape") else store[str(index)])

    # ---- One step ----

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Any]]) -> Any:
        """Update variables from pairs of a gradient and a variable; returns the count of updates."""
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self.iterations

    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Update `trainable_variables` (by default those that the optimizer was built with) from their gradients.

        A gradient is a tensor, a `tf.IndexedSlices`, or None for a variable to leave alone. Raises ValueError where
        the numbers or shapes do not match, for an unknown variable, and where every gradient is None.
        """
        gradients, variables = self._match(grads, trainable_variables)
        if variables:
            self._apply(sum_over_replicas(gradients, variables), variables)

    def _apply(self, gradients: list[Any], variables: list[Any]) -> None:
        """One step, from gradients that exist, in the variables' dtypes, summed over replicas."""
        constrained = [variable for variable in variables if getattr(variable, "constraint", None) is not None]
        gradients, variables = self._overwrite(gradients, variables)
        if self.loss_scale_factor:
            gradients = [on_values(lambda values: values / self.loss_scale_factor, g) for g in gradients]
        if self.gradient_accumulation_steps:
            self._accumulate(gradients, variables)
        else:
            self._update(gradients, variables)
        if self.use_ema:
            self._average(variables)
        for variable in constrained:
            write(variable, variable.constraint(read(variable)))
        add_to(self._iterations, 1)

    def _match(self, grads: Sequence[Any], variables: Sequence[Any] | None) -> tuple[list[Any], list[Any]]:
        """The gradients that there are, in their variables' dtypes, and the variables."""
        grads = list(grads)
        if variables is None:
            if not self.built:
                raise ValueError(f"`{self.name}` knows no variables yet; pass them to `apply` or call `build` first.")
            variables = self._trainable_variables
        variables = list(variables)
        if len(grads) != len(variables):
            raise ValueError(f"`{self.name}` got {len(grads)} gradients for {len(variables)} trainable variables.")
        if not self.built:
            self.build(variables)
        for variable in variables:
            if id(variable) not in self._indices:
                raise ValueError(
                    f"`{self.name}` was not built with the variable `{path_of(variable)}`; make a new optimizer for a "
                    "new set of variables, or build this one with all of them."
                )
        return without_missing(self.name, grads, variables)

    def _overwrite(self, gradients: list[Any], variables: list[Any]) -> tuple[list[Any], list[Any]]:
        """Assign the gradients that are next values, and return the others with their variables."""
        if not any(is_overwritten(variable) for variable in variables):
            return gradients, variables
        rest = []
        for gradient, variable in zip(gradients, variables, strict=True):
            if not is_overwritten(variable):
                rest.append((gradient, variable))
            elif self.gradient_accumulation_steps:
                self._keep_greatest(dense(gradient), variable)
            else:
                write(variable, dense(gradient))
        return [gradient for gradient, _ in rest], [variable for _, variable in rest]

    def _keep_greatest(self, gradient: Any, variable: Any) -> None:
        """Accumulate next values: the greatest counts."""
        accumulator = self._accumulators[self._get_variable_index(variable)]
        last = self._completes_accumulation()
        greatest = tf.maximum(gradient, read(accumulator))
        write(variable, tf.where(last, greatest, read(variable)))
        write(accumulator, tf.where(last, tf.zeros_like(greatest), greatest))

    def _completes_accumulation(self) -> Any:
        return tf.equal((read(self._iterations) + 1) % self.gradient_accumulation_steps, 0)

    def _accumulate(self, gradients: list[Any], variables: list[Any]) -> None:
        steps = self.gradient_accumulation_steps
        gradients = [dense(gradient) for gradient in gradients]
        accumulators = [self._accumulators[self._get_variable_index(variable)] for variable in variables]

        def update() -> None:
            pairs = zip(gradients, accumulators, strict=True)
            self._update([(gradient + read(accumulator)) / steps for gradient, accumulator in pairs], variables)
            for accumulator in accumulators:
                write(accumulator, tf.zeros(accumulator.shape, accumulator.dtype))

        def keep() -> None:
            for gradient, accumulator in zip(gradients, accumulators, strict=True):
                add_to(accumulator, gradient)

        when(self._completes_accumulation(), update, keep)

    def _update(self, gradients: list[Any], variables: list[Any]) -> None:
        gradients = self._clip(gradients)
        learning_rate = self._current_learning_rate()
        with _one_step():
            self._decay_weights(variables, learning_rate)
            self.begin_step(learning_rate)
            for gradient, variable in zip(gradients, variables, strict=True):
                self.update_step(gradient if self.takes_slices else dense(gradient), variable, learning_rate)

    def begin_step(self, learning_rate: Any) -> None:
        """What a step does once, before it updates the variables one by one."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable from its gradient; a subclass says how."""
        raise TypeError(f"{type(self).__name__} `{self.name}` defines no `update_step` method.")

    def scalars(self, learning_rate: Any, dtype: str) -> Any:
        """The scalars that updates of variables of `dtype` share; `learning_rate` is of that dtype."""
        return learning_rate

    def step_scalars(self, learning_rate: Any, variable: Any) -> Any:
        """What `scalars` says, computed once in a step and for each dtype."""
        key = (id(self), variable.dtype)
        known = {} if _thread.scalars is None else _thread.scalars
        if key not in known:
            dtype = tensor.dtype_of(variable)
            known[key] = self.scalars(tensor.as_tensor(learning_rate, dtype), dtype)
        return known[key]

    def step_number(self, dtype: str) -> Any:
        """The number of the present update, counted from 1, as a float."""
        return tf.cast(self._updates() + 1, dtype)

    # ---- The small steps ----

    def _clip(self, gradients: list[Any]) -> list[Any]:
        norm, value, global_norm = self.clipnorm or 0, self.clipvalue or 0, self.global_clipnorm or 0
        if norm > 0:
            return [on_values(lambda values: clip_by_norm(values, norm), g) for g in gradients]
        if value > 0:
            return [on_values(lambda values: tf.clip_by_value(values, -value, value), g) for g in gradients]
        if global_norm > 0:
            return [dense(gradient) for gradient in tf.clip_by_global_norm(gradients, global_norm)[0]]
        return gradients

    def exclude_from_weight_decay(
        self, var_list: Sequence[Any] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Decay neither the variables of `var_list` nor those in whose path one of `var_names` is found.

        The names are regular expressions. The last call counts.
        """
        self._undecayed = (frozenset(id(variable) for variable in var_list or ()), tuple(var_names or ()))

    def _use_weight_decay(self, variable: Any) -> bool:
        variables, names = self._undecayed
        return id(variable) not in variables and not any(re.search(name, path_of(variable)) for name in names)

    def _decay_weights(self, variables: list[Any], learning_rate: Any) -> None:
        for variable in variables:
            decay = self._weight_decay_of(variable)
            if decay is not None and self._use_weight_decay(variable):
                subtract_from(variable, read(variable) * (tensor.as_tensor(learning_rate, variable.dtype) * decay))

    def _weight_decay_of(self, variable: Any) -> float | None:
        return self.weight_decay

    def _average(self, variables: list[Any]) -> None:
        """Move the averages towards the weights, or onto them in the first step; overwrite the weights when due."""
        updates = self._updates()
        first = tf.equal(updates, 0)
        for variable in variables:
            average = self._averages[self._get_variable_index(variable)]
            momentum = tf.where(first, tf.zeros((), variable.dtype), tf.cast(self.ema_momentum, variable.dtype))
            write(average, momentum * read(average) + (1 - momentum) * read(variable))
        if self.ema_overwrite_frequency:
            due = tf.equal((updates + 1) % self.ema_overwrite_frequency, 0)
            when(due, lambda: self._overwrite_with_averages(variables))

    def _overwrite_with_averages(self, variables: Iterable[Any]) -> None:
        for variable in variables:
            average = self._averages[self._get_variable_index(variable)]
            if average is not None:
                write(variable, read(average))

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """End training: with `use_ema`, set the variables of `var_list` to their averages."""
        if self.use_ema:
            self._overwrite_with_averages(var_list)

    def scale_loss(self, loss: Tensor) -> Any:
        """The loss whose gradients `apply` expects."""
        return loss * self.loss_scale_factor if self.loss_scale_factor else loss

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Sequence[Any]
    ) -> tuple[list[Any], list[Any]]:
        """The values after a step from the given ones, for the variables and for the optimizer; nothing changes."""
        if not self.built:
            raise ValueError(f"`{self.name}` must be built before `stateless_apply`; call `build` first.")
        variables, places = self.variables, self._trainable_variables
        if len(optimizer_variables) != len(variables) or len(trainable_variables) != len(places):
            raise ValueError(
                f"`{self.name}` has {len(variables)} variables for {len(places)} trainable ones, but got values for "
                f"{len(optimizer_variables)} and {len(trainable_variables)}."
            )
        state = [*places, *variables]
        before = [read(variable) for variable in state]
        for variable, value in zip(state, (*trainable_variables, *optimizer_variables), strict=True):
            write(variable, value)
        self.apply(grads, places)
        after = [read(variable) for variable in state]
        for variable, value in zip(state, before, strict=True):
            write(variable, value)
        return after[: len(places)], after[len(places) :]

    # ---- As data ----

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data; the learning rate as it is now."""
        rate = self._learning_rate
        if isinstance(rate, Scaled) and rate.factor == 1.0:
            rate = rate.schedule
        settings = {name: getattr(self, name) for name in SHARED[1:]}
        settings["learning_rate"] = float(rate.numpy()) if isinstance(rate, Variable) else rate
        own = {name: value for name, value in self.constructor_arguments().items() if name not in settings}
        return {name: config.serialize(value) for name, value in {**settings, **own}.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
        """Make the optimizer that `get_config` described."""
        with custom_object_scope(custom_objects):
            return cls(**{name: revive(value) for name, value in config.items()})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
