"""Tensors: what their dtypes are called, which dtype two of them meet in, and `KerasTensor`, the symbolic one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.settings import floatx

Tensor = Any  # a tf.Tensor, a KerasTensor, a Variable, or what TensorFlow turns into a tensor
DTypeLike = Any  # "float32", tf.float32, np.float32, float, …
Shape = tuple[int | None, ...]

FLOATS = ("float16", "bfloat16", "float32", "float64")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")
DTYPES = frozenset(("bool", "string", *FLOATS, *FLOAT8, *SIGNED, *UNSIGNED, *COMPLEX, "int4", "uint4"))
_PYTHON_TYPES = {bool: "bool", int: "int32", str: "string"}


def standardize_dtype(dtype: DTypeLike) -> str:
    """The name of a dtype given as a name, a Python type, a NumPy or TensorFlow dtype; `floatx()` for None."""
    if type(dtype) is str and dtype in DTYPES:
        return dtype
    if dtype is None or dtype is float:
        return floatx()
    if isinstance(dtype, type) and dtype in _PYTHON_TYPES:
        return _PYTHON_TYPES[dtype]
    if isinstance(dtype, str) and dtype in ("int", "float"):  # NumPy says that float64 == "float"
        return "int32" if dtype == "int" else floatx()
    name = getattr(dtype, "name", None)
    if name not in DTYPES:
        try:
            name = tf.as_dtype(dtype).name
        except TypeError:
            name = None
    if name not in DTYPES:
        raise ValueError(f"{dtype!r} is not a dtype; use a name such as 'float32', 'int64' or 'bool'.")
    return str(name)


def dtype_of(x: Any) -> str:
    """The dtype name of a tensor, array or Python scalar (Python's int and float give `"int"` and `"float"`)."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        if isinstance(x, bool):
            return "bool"
        if isinstance(x, (int, float)):
            return type(x).__name__ if type(x) in (int, float) else ("int" if isinstance(x, int) else "float")
        return dtype_of(tf.convert_to_tensor(x))
    return dtype if type(dtype) is str else standardize_dtype(dtype)


def is_float(dtype: str) -> bool:
    """Whether a dtype name is one of the floats."""
    return dtype in FLOATS or dtype in FLOAT8


_weak: dict[Any, str] = {int: "int", float: "float", "int": "int", "float": "float"}


def result_type(*dtypes: DTypeLike) -> str:
    """The dtype in which values of `dtypes` meet.

    A Python number yields to any array: `int` (or `"int"`) never widens an integer, `float` (or `"float"`) never
    widens a float. Otherwise the widest wins; float16 with bfloat16 and uint64 with a signed integer meet in a float.
    """
    return _result_type(floatx(), *dtypes)


@functools.cache
def _result_type(default: str, *dtypes: DTypeLike) -> str:
    names = {
        _weak.get(d) or standardize_dtype(d) if isinstance(d, (str, type)) else standardize_dtype(d) for d in dtypes
    }
    if not names:
        return default
    if len(names) > 1 and not names.isdisjoint(FLOAT8):
        raise ValueError(f"float8 does not mix with other dtypes, but got {sorted(names)}; cast one of them first.")
    if len(names) == 1 and names <= DTYPES - {"uint64"}:
        return names.pop()
    if not names.isdisjoint(COMPLEX):
        return "complex128" if names & {"complex128", "float64"} else "complex64"
    floats = names.intersection(FLOATS)
    if floats:
        return "float32" if floats == {"float16", "bfloat16"} else max(floats, key=FLOATS.index)
    signed, unsigned = names.intersection(SIGNED), names.intersection(UNSIGNED)
    if "float" in names or (signed and "uint64" in unsigned):
        return default
    if signed or unsigned:
        # An unsigned integer needs a signed one twice as wide; uint64 counts as uint32, as in the reference.
        widths = [SIGNED.index(name) for name in signed]
        widths += [min(UNSIGNED.index(name), 2) + bool(signed) for name in unsigned]
        return (SIGNED if signed else UNSIGNED)[max(widths)]
    if names <= {"int", "bool"}:
        return "int32"
    raise ValueError(f"No dtype holds values of {sorted(names)}; cast them to one dtype first.")


def as_tensor(x: Any, dtype: DTypeLike = None) -> Any:
    """`x` as a `tf.Tensor` of `dtype`; without one, arrays keep theirs and Python floats get `floatx()`."""
    if isinstance(x, tf.Tensor):
        return x if dtype is None or x.dtype.name == standardize_dtype(dtype) else tf.cast(x, standardize_dtype(dtype))
    if dtype is None:
        if isinstance(x, np.ndarray):
            return tf.constant(x)  # in half the time
        if isinstance(x, float) and not isinstance(x, np.generic):
            dtype = floatx()
        return tf.convert_to_tensor(x, dtype)
    name = standardize_dtype(dtype)
    if isinstance(x, (bool, int, float)) and not isinstance(x, np.generic) and (is_float(name) or isinstance(x, int)):
        return tf.cast(x, name) if name in FLOAT8 or isinstance(x, bool) else tf.constant(x, name)
    value: Any = x if is_tensor_like(x) else tf.convert_to_tensor(x)
    return value if value.dtype.name == name else tf.cast(value, name)


TENSORS = (tf.Tensor, tf.SparseTensor, tf.RaggedTensor)


def is_tensor_like(x: Any) -> bool:
    """Whether `x` is a TensorFlow tensor: dense, sparse or ragged."""
    return isinstance(x, TENSORS)


def mask_of(x: Any) -> Any:
    """The mask attached to a tensor, symbolic or not; None where there is none."""
    attributes = getattr(x, "__dict__", None)  # asking a tensor for what it lacks takes ten times as long
    return None if attributes is None else attributes.get("_keras_mask")


def promote(*xs: Any) -> tuple[Any, ...]:
    """The arguments as tensors of the one dtype in which they meet."""
    if common_dtype(xs) is not None:
        return xs
    dtype = result_type(*[dtype_of(x) for x in xs])
    return tuple([as_tensor(x, dtype) for x in xs])


def common_dtype(xs: Sequence[Any]) -> Any:
    """The TensorFlow dtype in which dense tensors meet that have it already; None where `promote` must look closer."""
    dtype = None
    for x in xs:  # in plain words, since every eager call passes here
        if not isinstance(x, tf.Tensor):
            return None
        if dtype is None:
            dtype = x.dtype
        elif x.dtype is not dtype:
            return None
    return None if dtype is tf.uint64 else dtype  # of which the reference makes uint32


def static_shape(x: Any) -> Shape:
    """The shape of a tensor or array as a tuple, with None where a dimension is unknown."""
    shape = getattr(x, "shape", None)
    if shape is None:
        return tuple(np.shape(x))
    if isinstance(shape, tuple):
        return shape
    return tuple(shape.as_list()) if shape.rank is not None else ()


def shape_equal(one: Sequence[int | None], other: Sequence[int | None]) -> bool:
    """Whether two shapes can be the same shape: None stands for any size."""
    return len(one) == len(other) and all(a is None or b is None or a == b for a, b in zip(one, other, strict=True))


def size_of(shape: Sequence[Any]) -> int:
    """How many values a shape holds."""
    return math.prod(shape)


operators: dict[str, Callable[..., Any]] = {}  # filled by `nyala.ops`: what `x + y`, `x[i]`, … call


def _operator(name: str, reflected: bool = False) -> Callable[..., Any]:
    if reflected:
        return lambda self, other: operators[name](other, self)
    return lambda self, *others: operators[name](self, *others)


class Operators:
    """Python's operators for whatever is not itself a `tf.Tensor`: each calls the op of its name."""

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", True)
    __truediv__, __rtruediv__ = _operator("true_divide"), _operator("true_divide", True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", True)
    __mod__, __rmod__ = _operator("mod"), _operator("mod", True)
    __pow__, __rpow__ = _operator("power"), _operator("power", True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", True)
    __and__, __rand__ = _operator("logical_and"), _operator("logical_and", True)
    __or__, __ror__ = _operator("logical_or"), _operator("logical_or", True)
    __xor__, __rxor__ = _operator("logical_xor"), _operator("logical_xor", True)
    __lt__, __le__, __gt__, __ge__ = map(_operator, ("less", "less_equal", "greater", "greater_equal"))
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")
    __neg__, __pos__, __abs__ = _operator("negative"), _operator("positive"), _operator("absolute")
    __invert__, __getitem__, __round__ = _operator("logical_not"), _operator("get_item"), _operator("round")
    __hash__ = object.__hash__  # identity: tensors are keys of dictionaries here


class KerasTensor(Operators):
    """A tensor without values: a shape, a dtype and the history of calls that will compute it.

    Call a layer, an op or a `tf.*` function on one and the call is recorded; a Functional model replays the record.

    Example:
        >>> import nyala
        >>> x = nyala.KerasTensor((None, 3), dtype="float32")
        >>> (x + 1).shape
        (None, 3)
    """

    __array_priority__ = 100  # so that `array + x` asks x, not NumPy

    def __init__(
        self,
        shape: Sequence[int | None],
        dtype: DTypeLike = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        from nyala.core.tracking import auto_name

        if sparse and ragged:
            raise ValueError("A KerasTensor is sparse or ragged, not both; got sparse=True and ragged=True.")
        self.shape: Shape = tuple(None if size is None else int(size) for size in shape)
        self.dtype = standardize_dtype(dtype)
        self.sparse = bool(sparse)
        self.ragged = bool(ragged)
        self.ragged_rank: int | None = kwargs.pop("ragged_rank", 1 if ragged else None)
        self.row_splits_dtype: str | None = kwargs.pop("row_splits_dtype", "int64" if ragged else None)
        if kwargs:
            raise TypeError(f"KerasTensor takes no argument {sorted(kwargs)[0]!r}.")
        self.record_history = record_history
        self.name = name or auto_name("keras_tensor")
        self._keras_history: Any = None  # (operation, node index, tensor index): how it is computed
        self.node: Any = None  # the Node that computes it

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def reshape(self, newshape: Sequence[int]) -> KerasTensor:
        """The tensor with another shape, as `ops.reshape` gives it."""
        return operators["reshape"](self, newshape)

    def squeeze(self, axis: int | None = None) -> KerasTensor:
        """The tensor without its dimensions of size one, as `ops.squeeze` gives it."""
        return operators["squeeze"](self, axis)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ValueError(
            f"{self!r} has no values yet, so NumPy cannot use it; call an op of `nyala.ops` or a `tf` function on it "
            "instead, or run the model on data."
        )

    def __bool__(self) -> bool:
        raise TypeError(
            f"{self!r} has no values yet, so Python's `if`, `and`, `or` and `not` cannot use it; use `ops.where`, "
            "`ops.cond` or `ops.logical_and`."
        )

    def __iter__(self) -> Any:
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"{self!r} has an unknown first dimension, so it cannot be iterated over.")
        return (self[i] for i in range(self.shape[0]))

    def __float__(self) -> float:
        raise TypeError(f"{self!r} has no values yet, so it cannot become a Python number.")

    __int__ = __float__

    def __repr__(self) -> str:
        kind = ", sparse=True" if self.sparse else ", ragged=True" if self.ragged else ""
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}{kind}, name={self.name}>"


def is_symbolic(x: Any) -> bool:
    """Whether `x` is a `KerasTensor`, a tensor without values."""
    return isinstance(x, KerasTensor)


def is_shape(value: Any) -> bool:
    """Whether `value` is one shape, rather than a structure of shapes."""
    return isinstance(value, (tuple, list)) and all(x is None or isinstance(x, (int, np.integer)) for x in value)


def symbols_of(shapes: Any, dtype: str) -> Any:
    """A KerasTensor for each shape of a structure."""
    if hasattr(shapes, "as_list"):
        shapes = tuple(shapes.as_list())
    if is_shape(shapes):
        return KerasTensor(shapes, dtype)
    if isinstance(shapes, dict):
        return {key: symbols_of(item, dtype) for key, item in shapes.items()}
    return type(shapes)(symbols_of(item, dtype) for item in shapes)
