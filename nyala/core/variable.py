"""`Variable`: a named, typed place for weights, over a `tf.Variable`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
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
        dtype = _autocast.dtype
        if dtype is not None and dtype != self.dtype and self.autocast and tensor.is_float(self.dtype):
            return tf.cast(self._value, dtype)
        return self._value

    def assign(self, value: Any) -> Variable:
        """Set the values, cast to this variable's dtype; their shape must be the variable's."""
        value = tensor.as_tensor(value, self.dtype)
        if not tensor.shape_equal(tensor.static_shape(value), self.shape):
            raise ValueError(
                f"Variable `{self.path}` has shape {self.shape} and cannot be assigned values of shape "
                f"{tensor.static_shape(value)}."
            )
        self._value.assign(value)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the values."""
        self._value.assign_add(tensor.as_tensor(value, self.dtype))
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the values."""
        self._value.assign_sub(tensor.as_tensor(value, self.dtype))
        return self

    def numpy(self) -> Any:
        """The values as a NumPy array."""
        return self._value.numpy()

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
        array = self._value.numpy()
        return array if dtype is None else array.astype(dtype)

    def __float__(self) -> float:
        return float(self._value.numpy())

    def __int__(self) -> int:
        return int(self._value.numpy())

    def __bool__(self) -> bool:
        return bool(self._value.numpy())

    def __len__(self) -> int:
        return len(self._value.numpy())

    def __repr__(self) -> str:
        return f"<Variable path={self.path}, shape={self.shape}, dtype={self.dtype}>"
