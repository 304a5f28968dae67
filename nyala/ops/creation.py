"""Ops that make tensors: constants, ranges, grids and windows."""

from __future__ import annotations

import math
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, as_tensor, dtype_of, floatx, result_type, standardize_dtype
from nyala.ops.rules import check_axis, dims, rank_of, tensor
from nyala.ops.shaping import shape_argument

# ---- Constants ----


@op
def array(x: Tensor, dtype: DTypeLike = None) -> Tensor:
    """`x` as a tensor of `dtype`; without one, arrays keep theirs.

    Example:
        >>> from nyala import ops
        >>> ops.array([1, 2], dtype="float32").numpy().tolist()
        [1.0, 2.0]
    """
    return tensor(x) if dtype is None else as_tensor(x, dtype)


@op
def zeros(shape: Any, dtype: DTypeLike = None) -> Tensor:
    """A tensor of zeros, of `floatx()` by default.

    Example:
        >>> from nyala import ops
        >>> ops.zeros((2, 2)).numpy().tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """
    return tf.zeros(shape_argument(shape), standardize_dtype(dtype))


@op
def ones(shape: Any, dtype: DTypeLike = None) -> Tensor:
    """A tensor of ones, of `floatx()` by default.

    Example:
        >>> from nyala import ops
        >>> ops.ones((2, 2)).numpy().tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    return tf.ones(shape_argument(shape), standardize_dtype(dtype))


@op
def empty(shape: Any, dtype: DTypeLike = None) -> Tensor:
    """A tensor for values to come: zeros here, since a TensorFlow tensor cannot be filled later.

    Example:
        >>> from nyala import ops
        >>> ops.empty((2, 2)).shape
        TensorShape([2, 2])
    """
    return zeros(shape, dtype)


@op
def full(shape: Any, fill_value: Tensor, dtype: DTypeLike = None) -> Tensor:
    """A tensor filled with `fill_value`, of `floatx()` by default.

    Example:
        >>> from nyala import ops
        >>> ops.full(2, 7, dtype="int32").numpy().tolist()
        [7, 7]
    """
    return tf.broadcast_to(as_tensor(fill_value, standardize_dtype(dtype)), shape_argument(shape))


@op
def zeros_like(x: Tensor, dtype: DTypeLike = None) -> Tensor:
    """Zeros in the shape of `x`, and in its dtype by default.

    Example:
        >>> from nyala import ops
        >>> ops.zeros_like([1, 2]).numpy().tolist()
        [0, 0]
    """
    return tf.zeros_like(tensor(x), dtype)


@op
def ones_like(x: Tensor, dtype: DTypeLike = None) -> Tensor:
    """Ones in the shape of `x`, and in its dtype by default.

    Example:
        >>> from nyala import ops
        >>> ops.ones_like([1, 2]).numpy().tolist()
        [1, 1]
    """
    return tf.ones_like(tensor(x), dtype)


@op
def empty_like(x: Tensor, dtype: DTypeLike = None) -> Tensor:
    """A tensor for values to come, in the shape of `x`: zeros here.

    Example:
        >>> from nyala import ops
        >>> ops.empty_like([1, 2]).shape
        TensorShape([2])
    """
    return zeros_like(x, dtype)


@op
def full_like(x: Tensor, fill_value: Tensor, dtype: DTypeLike = None) -> Tensor:
    """`fill_value` in the shape of `x`, and in its dtype by default.

    Example:
        >>> from nyala import ops
        >>> ops.full_like([1, 2], 7).numpy().tolist()
        [7, 7]
    """
    x = tensor(x)
    return tf.broadcast_to(tf.cast(tensor(fill_value), dtype or x.dtype), tf.shape(x))


@op
def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> Tensor:
    """The matrix of `N` rows and `M` columns (`N` by default) with ones on its `k`-th diagonal. (N, M)

    Example:
        >>> from nyala import ops
        >>> ops.eye(2).numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    rows, columns = _rows_and_columns("eye", N, M)
    return tf.cast(tf.range(columns)[None, :] == tf.range(rows)[:, None] + k, standardize_dtype(dtype))


@op
def identity(n: int, dtype: DTypeLike = None) -> Tensor:
    """The matrix of `n` rows and columns with ones on its diagonal.

    Example:
        >>> from nyala import ops
        >>> ops.identity(2).numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return eye(n, dtype=dtype)


@op
def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> Tensor:
    """The matrix of `N` rows and `M` columns with ones on and below its `k`-th diagonal. (N, M)

    Example:
        >>> from nyala import ops
        >>> ops.tri(2).numpy().tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    rows, columns = _rows_and_columns("tri", N, M)
    return tf.cast(tf.range(columns)[None, :] <= tf.range(rows)[:, None] + k, standardize_dtype(dtype))


def _rows_and_columns(name: str, rows: Any, columns: Any) -> tuple[Any, Any]:
    columns = rows if columns is None else columns
    for what, size in (("N", rows), ("M", columns)):
        if isinstance(size, float) or (hasattr(size, "dtype") and not tf.as_dtype(size.dtype).is_integer):
            raise TypeError(f"`{name}` takes whole numbers as sizes, but got {what}={size!r}.")
    return rows, columns


# ---- Ranges and grids ----


@op
def arange(start: Tensor, stop: Tensor = None, step: Tensor = None, dtype: DTypeLike = None) -> Tensor:
    """The numbers from `start` in steps of `step` up to, but without, `stop`; `arange(n)` starts at 0.

    Example:
        >>> from nyala import ops
        >>> ops.arange(3).numpy().tolist()
        [0, 1, 2]
    """
    start, stop = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    if dtype is None:
        parts = [dtype_of(part) for part in (start, stop, step)]
        dtype = "int32" if set(parts) == {"int"} else result_type(*parts)
    dtype = standardize_dtype(dtype)
    # TensorFlow does not count in these dtypes, or not under XLA.
    counted = {"bool": "int32", "uint8": "int32", "float16": "float32", "bfloat16": "float32"}.get(dtype, dtype)
    numbers = tf.range(*(as_tensor(part, counted) for part in (start, stop, step)))
    return numbers if counted == dtype else tf.cast(numbers, dtype)


@op
def linspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: DTypeLike = None,
    axis: int = 0,
) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop`, which `endpoint=False` leaves out.

    With `retstep` also their distance.

    Example:
        >>> from nyala import ops
        >>> ops.linspace(0.0, 1.0, 3).numpy().tolist()
        [0.0, 0.5, 1.0]
    """
    if num < 0:
        raise ValueError(f"`linspace` makes `num` numbers, but got num={num}.")
    numbers, step = _line(start, stop, num, endpoint, dtype, axis)
    numbers = tf.cast(numbers, standardize_dtype(dtype) if dtype is not None else numbers.dtype)
    return (numbers, step) if retstep else numbers


def _line(start: Tensor, stop: Tensor, num: int, endpoint: bool, dtype: DTypeLike, axis: int) -> tuple[Tensor, Tensor]:
    """The numbers of `linspace` as floats, and their distance."""
    target = standardize_dtype(dtype) if dtype is not None else result_type(dtype_of(start), dtype_of(stop), "float")
    computed = target if tf.as_dtype(target).is_floating else result_type(target, "float")
    start, stop = as_tensor(start, computed), as_tensor(stop, computed)
    start, stop = start + tf.zeros_like(stop), stop + tf.zeros_like(start)
    intervals = num - 1 if endpoint else num
    step = (stop - start) / intervals if intervals > 0 else tf.fill(tf.shape(start), tf.cast(math.nan, computed))
    axis = check_axis("linspace", axis, rank_of(start) + 1)
    places = tf.reshape(tf.cast(tf.range(num), computed), [-1] + [1] * (rank_of(start) - axis))
    start, stop, distance = (tf.expand_dims(part, axis) for part in (start, stop, step if num > 1 else 0 * start))
    numbers = start + places * distance
    if endpoint and num > 1:  # exactly `stop`, whatever the steps round to
        numbers = tf.where(tf.equal(places, num - 1), stop, numbers)
    return numbers, step


@op
def logspace(
    start: Tensor,
    stop: Tensor,
    num: int = 50,
    endpoint: bool = True,
    base: Tensor = 10,
    dtype: DTypeLike = None,
    axis: int = 0,
) -> Tensor:
    """`base` to the power of `num` evenly spaced exponents from `start` to `stop`.

    Example:
        >>> from nyala import ops
        >>> ops.logspace(0.0, 2.0, 3).numpy().tolist()
        [1.0, 10.0, 100.0]
    """
    exponents, _ = _line(start, stop, num, endpoint, dtype, axis)
    powers = tf.pow(as_tensor(base, exponents.dtype), exponents)
    return powers if dtype is None else tf.cast(powers, standardize_dtype(dtype))


@op
def geomspace(
    start: Tensor, stop: Tensor, num: int = 50, endpoint: bool = True, dtype: DTypeLike = None, axis: int = 0
) -> Tensor:
    """`num` numbers from `start` to `stop`, each the same multiple of the one before it.

    Example:
        >>> from nyala import ops
        >>> ops.geomspace(1.0, 4.0, 3).numpy().tolist()
        [1.0, 2.0, 4.0]
    """
    target = standardize_dtype(dtype) if dtype is not None else result_type(dtype_of(start), dtype_of(stop), "float")
    computed = target if tf.as_dtype(target).is_floating else result_type(target, "float")
    start, stop = as_tensor(start, computed), as_tensor(stop, computed)
    sign = tf.sign(start)
    exponents, _ = _line(tf.math.log(start * sign), tf.math.log(stop * sign), num, endpoint, None, axis)
    numbers = tf.expand_dims(sign + tf.zeros_like(stop), axis) * tf.exp(exponents)
    return numbers if dtype is None else tf.cast(numbers, target)


@op
def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of all points of a grid, one tensor for each of the vectors `x`.

    `indexing="xy"` puts the first vector along the second axis, `"ij"` along the first.

    Example:
        >>> from nyala import ops
        >>> [part.numpy().tolist() for part in ops.meshgrid([1, 2], [3, 4])]
        [[[1, 2], [1, 2]], [[3, 3], [4, 4]]]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"`meshgrid` takes indexing='xy' or 'ij', but got {indexing!r}.")
    vectors = [tf.reshape(tensor(one), [-1]) for one in x]
    order = list(range(len(x)))
    if indexing == "xy":
        order[:2] = reversed(order[:2])
    sizes = [dims(vectors[place])[0] for place in order]
    columns = [tf.reshape(one, [-1 if at == place else 1 for at in order]) for place, one in enumerate(vectors)]
    return [tf.broadcast_to(column, shape_argument(sizes)) for column in columns]


@op
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of the values of the vector `x`, from the `N-1`-th down to the 0th, or up from it. (T,) → (T, N)

    Example:
        >>> from nyala import ops
        >>> ops.vander([2, 3], 3).numpy().tolist()
        [[4, 2, 1], [9, 3, 1]]
    """
    x = tensor(x)
    if rank_of(x) != 1:
        raise ValueError(f"`vander` takes a vector, but got the shape {x.shape}.")
    count = tf.size(x) if N is None and x.shape[0] is None else x.shape[0] if N is None else N
    exponents = tf.range(count) if increasing else tf.range(count - 1, -1, -1)
    computed = x.dtype if x.dtype.is_floating or x.dtype.is_complex or x.dtype in ("int32", "int64") else "int32"
    return tf.cast(tf.pow(tf.cast(x, computed)[:, None], tf.cast(exponents, computed)), x.dtype)


# ---- Windows: vectors of `x` weights ----


def _window(x: Any, weights: Any) -> Tensor:
    """`weights` of the places -1 … 1 of a window of `x` values; a single value weighs 1."""
    x = tensor(x)
    length = tf.cast(tf.reshape(x, []), "int32")
    known = tf.get_static_value(length)
    places = tf.cast(tf.range(length if known is None else int(known)), floatx())
    last = tf.cast(tf.maximum(length - 1, 1), floatx())
    centred = 2 * places / last - 1
    return tf.where(length == 1, tf.ones_like(places), weights(centred))


@op
def bartlett(x: Tensor) -> Tensor:
    """The triangular window of `x` values: `1 - |p|` at the places `p` from -1 to 1.

    Example:
        >>> from nyala import ops
        >>> ops.bartlett(5).numpy().tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return _window(x, lambda p: 1 - tf.abs(p))


@op
def hanning(x: Tensor) -> Tensor:
    """The Hann window of `x` values: `0.5 + 0.5 cos(πp)` at the places `p` from -1 to 1.

    Example:
        >>> from nyala import ops
        >>> ops.hanning(5).numpy().tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return _window(x, lambda p: 0.5 + 0.5 * tf.cos(math.pi * p))


@op
def hamming(x: Tensor) -> Tensor:
    """The Hamming window of `x` values: `0.54 + 0.46 cos(πp)` at the places `p` from -1 to 1.

    Example:
        >>> from nyala import ops
        >>> ops.hamming(5).numpy().tolist()
        [0.08, 0.54, 1.0, 0.54, 0.08]
    """
    return _window(x, lambda p: 0.54 + 0.46 * tf.cos(math.pi * p))


@op
def blackman(x: Tensor) -> Tensor:
    """The Blackman window of `x` values: `0.42 + 0.5 cos(πp) + 0.08 cos(2πp)` at the places `p` from -1 to 1.

    Example:
        >>> from nyala import ops
        >>> ops.blackman(3).numpy().round(3).tolist()
        [-0.0, 1.0, -0.0]
    """
    return _window(x, lambda p: 0.42 + 0.5 * tf.cos(math.pi * p) + 0.08 * tf.cos(2 * math.pi * p))


@op
def kaiser(x: Tensor, beta: Tensor) -> Tensor:
    """The Kaiser window of `x` values: `I₀(β √(1 - p²)) / I₀(β)` at the places `p` from -1 to 1.

    Example:
        >>> from nyala import ops
        >>> ops.kaiser(3, 0.0).numpy().tolist()
        [1.0, 1.0, 1.0]
    """
    beta = as_tensor(beta, floatx())

    def weights(p: Tensor) -> Tensor:
        # Scaled Bessel functions, I₀(z) e⁻ᶻ, do not overflow for large β.
        z = beta * tf.sqrt(tf.maximum(1 - p * p, 0))
        return tf.math.bessel_i0e(z) / tf.math.bessel_i0e(beta) * tf.exp(z - tf.abs(beta))

    return _window(x, weights)
