"""`Metric`: a quantity that accumulates over batches, on the device, inside any graph or loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nyala.core import config, policy, tensor
from nyala.core.config import Configurable
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike
from nyala.core.tracking import Trackable, auto_name, name_scope, owned
from nyala.core.variable import StatelessScope, Variable


class Metric(Trackable, Configurable):
    """The base of metrics: variables, `update_state` that adds to them, `result` that reads them.

    A subclass makes its variables with `add_variable` in the constructor. Called on data, a metric updates its state
    and returns the result. All state is sums, so that states of several processes merge by addition (`merge_state`).

    Example:
        >>> import nyala
        >>> class Count(nyala.metrics.Metric):
        ...     def __init__(self, name="count", **kwargs):
        ...         super().__init__(name=name, **kwargs)
        ...         self.calls = self.add_variable((), "zeros", name="calls")
        ...     def update_state(self, values):
        ...         self.calls.assign_add(1.0)
        ...     def result(self):
        ...         return self.calls.value
        >>> float(Count()([1.0, 2.0]))
        1.0
    """

    kind = "metric"

    def __init__(self, dtype: DTypeLike = None, name: str | None = None) -> None:
        self.name = name or auto_name(type(self).__name__)
        self.dtype_policy = policy.get(dtype or tensor.floatx())
        self._variables: list[Variable] = []

    @property
    def dtype(self) -> str:
        """The dtype of the state and of the result."""
        return self.dtype_policy.compute_dtype

    @property
    def variables(self) -> list[Variable]:
        """The state: variables of this metric, then those of metrics it holds."""
        held = owned(self)
        inner = [variable for item in held if isinstance(item, Metric) for variable in item.variables]
        return [item for item in held if isinstance(item, Variable)] + inner

    def add_variable(
        self,
        shape: Sequence[int],
        initializer: Any,
        dtype: DTypeLike = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the state; with `tf.distribute`, each replica has its own and reading it adds them up."""
        with name_scope(self.name):
            variable = Variable(
                _zeros if initializer in (None, "zeros") else _initializer(initializer),
                tuple(shape),
                dtype or self.dtype,
                trainable=False,
                autocast=False,
                aggregation=aggregation,
                synchronization="on_read" if aggregation == "sum" else "auto",
                name=name,
            )
        self._variables.append(variable)
        return variable

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: DTypeLike = None,
        name: str | None = None,
    ) -> Variable:
        """Make a variable of the state, as `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch to the state; a subclass says how."""
        raise TypeError(f"{type(self).__name__} `{self.name}` defines no `update_state` method.")

    def result(self) -> Any:
        """What the state amounts to: a tensor, or a dict of them; a subclass says how."""
        raise TypeError(f"{type(self).__name__} `{self.name}` defines no `result` method.")

    def reset_state(self) -> None:
        """Forget all batches."""
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def merge_state(self, metrics: Iterable[Metric]) -> None:
        """Add the states of metrics that saw other batches, with the same constructor arguments."""
        for metric in metrics:
            mine, theirs = self.variables, metric.variables
            if [v.shape for v in mine] != [v.shape for v in theirs]:
                raise ValueError(
                    f"The state of `{metric.name}` does not fit that of `{self.name}`: the shapes are "
                    f"{[v.shape for v in theirs]} and {[v.shape for v in mine]}. Update each once before merging."
                )
            for variable, other in zip(mine, theirs, strict=True):
                variable.assign_add(other.value)

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """The state that a batch leads to from the state `metric_variables`; the metric's own stays as it is."""
        return self._stateless(metric_variables, lambda: self.update_state(*args, **kwargs))[1]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Any:
        """What the state `metric_variables` amounts to."""
        return self._stateless(metric_variables, self.result)[0]

    def stateless_reset_state(self) -> list[Any]:
        """The state before any batch."""
        return [tf.zeros(variable.shape, variable.dtype) for variable in self.variables]

    def _stateless(self, state: Sequence[Any], function: Any) -> tuple[Any, list[Any]]:
        variables = self.variables
        if len(state) != len(variables):
            raise ValueError(
                f"The state of `{self.name}` has {len(variables)} tensors, but got {len(state)}; call "
                "`stateless_reset_state()` for a first state."
            )
        with StatelessScope(zip(variables, state, strict=True)) as scope:
            result = function()
        return result, [scope.get_current_value(variable) for variable in variables]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _zeros(shape: tuple[int, ...], dtype: str) -> Any:
    return tf.zeros(shape, dtype)


def _initializer(identifier: Any) -> Any:

    return config.initializers.get(identifier)


config.metrics.add(Metric)
