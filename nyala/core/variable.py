"""`Variable`: a named, typed place for weights, over a `tf.Variable`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nyala.core import tensor
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Operators, Shape
from nyala.core.tracking import Trackable, auto_name, current_path


class _Autocast(threading.local):
    dtype: str | None = None


_autocast = _Autocast()


@contextmanager
def autocast_scope(dtype: str | None) -> Iterator[None]:
    """Floating variables that are read inside come as `dtype`: how a float32 weight serves a float16 layer."""
    before, _autocast.dtype = _autocast.dtype, dtype
    try:
        yield
    finally:
        _autocast.dtype = before


class _Scopes(threading.local):
    stateless: StatelessScope | None = None
    initializer: Callable[..., Any] | None = None


_scopes = _Scopes()


@contextmanager
def initializers_chosen_by(choose: Callable[..., Any]) -> Iterator[None]:
    """Inside, `choose(variable, initializer, shape, dtype)` gives the function that makes a new variable's first value."""
    before, _scopes.initializer = _scopes.initializer, choose
    try:
        yield
    finally:
        _scopes.initializer = before


class StatelessScope:
    """Inside, variables stay as they are: what is assigned is kept in the scope, and read from it.

    `state_mapping` gives variables, in pairs `(variable, value)`, the values that they have inside at first. With
    `collect_losses`, `losses` holds what layers add. Raises ValueError for what is no variable and for another shape.

    Example:
        >>> import nyala
        >>> v = nyala.Variable([1.0])
        >>> with nyala.StatelessScope([(v, [5.0])]) as scope:
        ...     v.assign_add([2.0]).numpy().tolist()
        [7.0]
        >>> v.numpy().tolist(), scope.get_current_value(v).numpy().tolist()
        ([1.0], [7.0])
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses, self.initialize_variables = collect_losses, initialize_variables
        self.losses: list[Any] = []
        self.state: dict[int, tuple[Variable, Any]] = {}
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(f"`state_mapping` holds pairs of a Variable and its value, but got {variable!r}.")
            self.add_update((variable, variable.fitted(value)))

    def add_loss(self, loss: Any) -> None:
        """Keep a loss that a layer adds."""
        self.losses.append(loss)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Give a variable a value that holds inside."""
        variable, value = update
        self.state[id(variable)] = (variable, value)

    def get_current_value(self, variable: Variable) -> Any:
        """The value that a variable has inside; None where it is that from outside."""
        return self.state.get(id(variable), (None, None))[1]

    def __enter__(self) -> StatelessScope:
        self._outer, _scopes.stateless = _scopes.stateless, self
        return self

    def __exit__(self, *error: Any) -> None:
        _scopes.stateless = self._outer


def stateless_scope() -> StatelessScope | None:
    """The scope that holds back assignments, inside one."""
    return _scopes.stateless


class Variable(Operators, Trackable):
    """A tensor that can be assigned: a layer's weight, an optimizer's moment, a metric's sum.

    `initializer` is an array, or a function of `(shape, dtype=…)`. Any `tf` function or op takes a Variable as a tensor.
    Raises ValueError where a shape is missing, or assigned values have another shape.

    Example:
        >>> import nyala
        >>> v = nyala.Variable([1.0, 2.0], name="v")
        >>> v.assign_add([1.0, 1.0]).numpy().tolist()
        [2.0, 3.0]
    """

    kind = "variable"
    _should_act_as_resource_variable = True  # `tf.GradientTape.gradient(loss, variable)` asks for this and `handle`
    __array_priority__ = 100

    def __init__(
        self,
        initializer: Any,
        shape: Sequence[int] | None = None,
        dtype: DTypeLike = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"Variable takes no argument {sorted(kwargs)[0]!r}.")
        if name is not None and "/" in name:
            raise ValueError(f"A variable's name holds no '/', which separates the names in a path, but got {name!r}.")
        self.note_birth()
        self.name = name or auto_name("variable")
        scope = current_path()
        self.path = f"{scope}/{self.name}" if scope else self.name
        self.trainable = bool(trainable)
        self.made_trainable = self.trainable  # its place in `weights`, whatever happens to `trainable` later
        self.autocast = bool(autocast)
        self.aggregation = aggregation or "none"
        self.synchronization = synchronization
        self.layout = layout
        self.regularizer: Callable[[Any], Any] | None = None
        self.constraint: Callable[[Any], Any] | None = None
        self.overwrite_with_gradient = False
        self._value = self._create(initializer, shape, dtype)
        self.dtype: str = self._value.dtype.name
        self.shape: Shape = tuple(self._value.shape.as_list())

    def _create(self, initializer: Any, shape: Sequence[int] | None, dtype: DTypeLike) -> Any:
        with tf.init_scope():  # a variable outlives the graph being traced
            if callable(initializer):
                if shape is None:
                    raise ValueError(f"Variable `{self.path}` needs a shape, because its initializer is a function.")
                name = tensor.standardize_dtype(dtype)
                if _scopes.initializer is not None:
                    initializer = _scopes.initializer(self, initializer, tuple(shape), name)
                value = initializer(tuple(shape), dtype=name)
                value = tensor.as_tensor(value, name)
            else:
                value = tensor.as_tensor(getattr(initializer, "value", initializer), dtype)
                if shape is not None and tuple(value.shape) != tuple(shape):
                    raise ValueError(
                        f"Variable `{self.path}` was given shape {tuple(shape)} and values of {tuple(value.shape)}."
                    )
            return tf.Variable(
                value,
                trainable=self.trainable,
                name=self.name,
                aggregation=getattr(tf.VariableAggregation, self.aggregation.upper()),
                synchronization=getattr(tf.VariableSynchronization, self.synchronization.upper()),
            )

    @property
    def value(self) -> Any:
        """The current values, cast to the compute dtype inside a layer that casts."""
        value = self._value if _scopes.stateless is None else self._present()
        dtype = _autocast.dtype
        if dtype is not None and dtype != self.dtype and self.autocast and tensor.is_float(self.dtype):
            return tf.cast(value, dtype)
        return value

    def _present(self) -> Any:
        """The values: TensorFlow's variable, or what a stateless scope has in its place."""
        if _scopes.stateless is not None:
            held = _scopes.stateless.get_current_value(self)
            return self._value if held is None else held
        return self._value

    def fitted(self, value: Any) -> Any:
        """`value` as a tensor of this variable's dtype; a ValueError where the shape is not the variable's."""
        value = tensor.as_tensor(value, self.dtype)
        if not tensor.shape_equal(tensor.static_shape(value), self.shape):
            raise ValueError(
                f"Variable `{self.path}` has shape {self.shape} and cannot be assigned values of shape "
                f"{tensor.static_shape(value)}."
            )
        return value

    def assign(self, value: Any) -> Variable:
        """Set the values, cast to this variable's dtype; their shape must be the variable's."""
        value = self.fitted(value)
        if _scopes.stateless is not None:
            _scopes.stateless.add_update((self, value))
        else:
            self._value.assign(value)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the values."""
        value = tensor.as_tensor(value, self.dtype)
        if _scopes.stateless is not None:
            return self.assign(self._present() + value)
        self._value.assign_add(value)
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the values."""
        value = tensor.as_tensor(value, self.dtype)
        if _scopes.stateless is not None:
            return self.assign(self._present() - value)
        self._value.assign_sub(value)
        return self

    def numpy(self) -> Any:
        """The values as a NumPy array."""
        return self._present().numpy()

    @property
    def handle(self) -> Any:
        """TensorFlow's resource handle, which its fused optimizer kernels take."""
        return self._value.handle

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        return tf.convert_to_tensor(self.value, dtype=dtype, name=name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = self.numpy()
        return array if dtype is None else array.astype(dtype)

    def __float__(self) -> float:
        return float(self.numpy())

    def __int__(self) -> int:
        return int(self.numpy())

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __len__(self) -> int:
        return len(self.numpy())

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"
