"""Fourier transforms, segments, largest values and special functions.

A complex tensor travels as the pair of its real and imaginary part. Whole numbers become `floatx()` where results are
floats; what TensorFlow has no float16 and bfloat16 kernel for is computed in float32, with results in their dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor
from nyala.ops.linalg import matrices, norm, wide
from nyala.ops.patterns import rearrange
from nyala.ops.rules import (
    Axes,
    as_float,
    bool_to_int,
    meet_as_floats,
    rank_of,
    reduced_axes,
    require_dtype,
    tensor,
)

__all__ = [
    "cdist",
    "erf",
    "erfc",
    "erfinv",
    "extract_sequences",
    "fft",
    "fft2",
    "ifft2",
    "in_top_k",
    "irfft",
    "istft",
    "logdet",
    "logsumexp",
    "rearrange",
    "rfft",
    "rsqrt",
    "segment_max",
    "segment_min",
    "segment_prod",
    "segment_sum",
    "stft",
    "top_k",
    "view_as_complex",
    "view_as_real",
]

# ---- Special functions ----


@op
def erf(x: Tensor) -> Tensor:
    """The error function `2/√π ∫₀ˣ exp(-t²) dt`.

    Example:
        >>> from nyala import ops
        >>> ops.erf([0.0, 1.0]).numpy().tolist()
        [0.0, 0.8427]
    """
    return tf.math.erf(as_float(x))


@op
def erfc(x: Tensor) -> Tensor:
    """The complement `1 - erf(x)`, exact where `erf(x)` is near 1.

    Example:
        >>> from nyala import ops
        >>> ops.erfc([0.0, 1.0]).numpy().tolist()
        [1.0, 0.1573]
    """
    return tf.math.erfc(as_float(x))


@op
def erfinv(x: Tensor) -> Tensor:
    """The inverse of `erf`: infinite at -1 and 1, NaN beyond.

    Example:
        >>> from nyala import ops
        >>> ops.erfinv([0.0, 0.5]).numpy().tolist()
        [0.0, 0.47694]
    """
    return wide(tf.math.erfinv, as_float(x))


@op
def rsqrt(x: Tensor) -> Tensor:
    """The reciprocal of the square root, `1 / √x`.

    Example:
        >>> from nyala import ops
        >>> ops.rsqrt([1.0, 4.0]).numpy().tolist()
        [1.0, 0.5]
    """
    return tf.math.rsqrt(as_float(x))


@op
def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The logarithm of the sum of exponentials along `axis`, `log Σ exp(x)`, without overflow.

    Example:
        >>> from nyala import ops
        >>> ops.logsumexp([1000.0, 1000.0]).numpy().item()
        1000.693
    """
    x = as_float(x)
    return tf.reduce_logsumexp(x, reduced_axes("logsumexp", axis, x), keepdims)


# ---- Matrices and distances ----


@op
def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinants of positive definite matrices; NaN where one is not. (…, N, N) → (…)

    Only the lower triangle of `x` is read. `slogdet` takes any square matrices.

    Example:
        >>> from nyala import ops
        >>> ops.logdet([[2.0, 1.0], [1.0, 1.0]]).numpy().item()
        0.0
    """
    return wide(tf.linalg.logdet, matrices("logdet", x, square=True))


@op
def cdist(x: Tensor, y: Tensor) -> Tensor:
    """The Euclidean distances of all rows of `x` from all rows of `y`. (…, N, D), (…, M, D) → (…, N, M)

    Batches broadcast. The gradient at distance 0 is 0. Raises ValueError where the rows differ in length.

    Example:
        >>> from nyala import ops
        >>> ops.cdist([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0]]).numpy().tolist()
        [[0.0], [5.0]]
    """
    x, y = (matrices("cdist", one) for one in meet_as_floats(x, y))
    if not x.shape[-1:].is_compatible_with(y.shape[-1:]):
        raise ValueError(f"`cdist` takes rows of one length, but got the shapes x={x.shape} and y={y.shape}.")
    return norm(x[..., :, None, :] - y[..., None, :, :], axis=-1)


# ---- Largest values ----


@op
def top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """The `k` largest values along the last axis, and their indices as int32; of equal values the first ones.

    The largest stands first, unless `sorted` is false: then the order is arbitrary. (…, N) → (…, K), (…, K)
    Raises ValueError where there are fewer than `k` values.

    Example:
        >>> from nyala import ops
        >>> values, indices = ops.top_k([1.0, 3.0, 2.0], k=2)
        >>> values.numpy().tolist(), indices.numpy().tolist()
        ([3.0, 2.0], [1, 2])
    """
    x = tensor(x)
    size = x.shape[-1] if rank_of(x) else 0
    if not 0 <= k <= (k if size is None else size) or rank_of(x) == 0:
        raise ValueError(f"`top_k` takes the k largest along the last axis, but got k={k} for the shape {x.shape}.")
    return tf.math.top_k(x, k, sorted)


@op
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """Whether the class of each target, given by number, is among the `k` largest predictions. (…), (…, C) → (…)

    A tie with the k-th counts as in; a target that is no class, or a row with NaN or infinity, does not.
    Predictions are compared in float32. Raises ValueError where the shapes do not match.

    Example:
        >>> from nyala import ops
        >>> ops.in_top_k([0, 1], [[0.3, 0.6, 0.1], [0.3, 0.1, 0.6]], k=2).numpy().tolist()
        [True, False]
    """
    targets, predictions = tensor(targets), as_tensor(predictions, "float32")
    require_dtype("in_top_k", targets, "integers")
    if rank_of(predictions) == 0 or not targets.shape.is_compatible_with(predictions.shape[:-1]):
        raise ValueError(
            f"`in_top_k` takes a row of predictions for each target, but got targets of shape {targets.shape} and "
            f"predictions of shape {predictions.shape}."
        )
    rows = tf.reshape(predictions, [-1, tf.shape(predictions)[-1]])
    found = tf.math.in_top_k(tf.reshape(tf.cast(targets, "int64"), [-1]), rows, k)
    return tf.reshape(found, tf.shape(targets))


# ---- Segments ----


@op
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """The sums of the rows of `data` that share a number in `segment_ids`; 0 where there is none.

    A negative number leaves its row out. Without `num_segments` there are as many as the largest number asks for.
    `sorted` says that the numbers ascend. Shapes: (N, …), (N) → (num_segments, …).
    Raises ValueError where the numbers are not one for each row.

    Example:
        >>> from nyala import ops
        >>> ops.segment_sum([1, 2, 3], [0, 0, 2]).numpy().tolist()
        [3, 0, 3]
    """
    return _reduce_segments("segment_sum", tf.math.unsorted_segment_sum, data, segment_ids, num_segments)


@op
def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """As `segment_sum`, the products of the rows; 1 where there is none.

    Example:
        >>> from nyala import ops
        >>> ops.segment_prod([1, 2, 3], [0, 0, 2]).numpy().tolist()
        [2, 1, 3]
    """
    return _reduce_segments("segment_prod", tf.math.unsorted_segment_prod, data, segment_ids, num_segments)


@op
def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """As `segment_sum`, the largest values; where there is none, the lowest number of the dtype.

    That is 0 for `sorted` without `num_segments`, as in the reference.

    Example:
        >>> from nyala import ops
        >>> ops.segment_max([1, 2, 3], [0, 0, 1]).numpy().tolist()
        [2, 3]
    """
    in_order = sorted and num_segments is None
    function = tf.math.segment_max if in_order else tf.math.unsorted_segment_max
    return _reduce_segments("segment_max", function, data, segment_ids, num_segments, in_order)


@op
def segment_min(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Tensor:
    """As `segment_sum`, the smallest values; where there is none, the highest number of the dtype.

    That is 0 for `sorted` without `num_segments`, as in the reference.

    Example:
        >>> from nyala import ops
        >>> ops.segment_min([1, 2, 3], [0, 0, 1]).numpy().tolist()
        [1, 3]
    """
    in_order = sorted and num_segments is None
    function = tf.math.segment_min if in_order else tf.math.unsorted_segment_min
    return _reduce_segments("segment_min", function, data, segment_ids, num_segments, in_order)


def _reduce_segments(
    name: str, function: Callable[..., Any], data: Any, ids: Any, count: int | None, in_order: bool = False
) -> Tensor:
    data, ids = bool_to_int(data), tensor(ids)
    require_dtype(name, ids, "integers")
    if rank_of(ids) != 1 or rank_of(data) == 0 or not ids.shape.is_compatible_with(data.shape[:1]):
        raise ValueError(
            f"`{name}` takes a number for each row, but got segment_ids of shape {ids.shape} and data of shape "
            f"{data.shape}."
        )
    ids = ids if ids.dtype in ("int32", "int64") else tf.cast(ids, "int64")
    if in_order:
        return function(data, ids)
    if count is None:
        count = tf.maximum(tf.reduce_max(ids), -1) + 1  # of no numbers, the maximum is the lowest one
    return function(data, ids, count)


# ---- Complex numbers as pairs ----


@op
def view_as_complex(x: Tensor) -> Tensor:
    """Pairs of real and imaginary part along the last axis as complex numbers. (…, 2) → (…)

    float64 becomes complex128, all else complex64. Raises ValueError where the last axis is no pair.

    Example:
        >>> from nyala import ops
        >>> ops.view_as_complex([[1.0, 2.0]]).numpy().tolist()
        [(1+2j)]
    """
    x = as_float(x)
    require_dtype("view_as_complex", x, "floats")
    if rank_of(x) == 0 or x.shape[-1] not in (2, None):
        raise ValueError(f"`view_as_complex` takes pairs along the last axis, but got a tensor of shape {x.shape}.")
    x = tf.cast(x, "float32") if x.dtype.size < 4 else x
    return tf.complex(x[..., 0], x[..., 1])


@op
def view_as_real(x: Tensor) -> Tensor:
    """The real and imaginary parts along a new last axis. (…) → (…, 2)

    Example:
        >>> from nyala import ops
        >>> ops.view_as_real([1.0, 2.0]).numpy().tolist()
        [[1.0, 0.0], [2.0, 0.0]]
    """
    x = tensor(x)
    return tf.stack(_parts(x) if x.dtype.is_complex else (x, tf.zeros_like(x)), -1)


# ---- Fourier transforms ----


@op
def fft(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform along the last axis: `X[k] = Σₙ x[n] exp(-2πi k n / N)`.

    `x` and the result are pairs of real and imaginary part, of one shape. Raises ValueError for anything else.

    Example:
        >>> from nyala import ops
        >>> real, imaginary = ops.fft(([1.0, 2.0], [0.0, 0.0]))
        >>> real.numpy().tolist(), imaginary.numpy().tolist()
        ([3.0, -1.0], [0.0, 0.0])
    """
    return _transform("fft", tf.signal.fft, x, rank=1)


@op
def fft2(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform along the last two axes, as `fft` along one.

    Example:
        >>> import numpy as np
        >>> from nyala import ops
        >>> real, imaginary = ops.fft2((np.ones((2, 2)), np.zeros((2, 2))))
        >>> real.numpy().tolist()
        [[4.0, 0.0], [0.0, 0.0]]
    """
    return _transform("fft2", tf.signal.fft2d, x, rank=2)


@op
def ifft2(x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The inverse of `fft2`.

    Example:
        >>> import numpy as np
        >>> from nyala import ops
        >>> real, imaginary = ops.ifft2(ops.fft2((np.eye(2), np.zeros((2, 2)))))
        >>> real.numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return _transform("ifft2", tf.signal.ifft2d, x, rank=2)


@op
def rfft(x: Tensor, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The discrete Fourier transform of real values along the last axis: a pair of real and imaginary part.

    Of the N frequencies the last ones mirror the first, so there are N // 2 + 1. `fft_length` is N: where it is not
    the number of values, they are cut or padded with zeros. Shapes: (…, T) → (…, N // 2 + 1) twice.

    Example:
        >>> from nyala import ops
        >>> real, imaginary = ops.rfft([1.0, 2.0, 3.0, 4.0])
        >>> real.numpy().tolist(), imaginary.numpy().tolist()
        ([10.0, -2.0, -2.0], [0.0, 2.0, 0.0])
    """
    x, length = _signal("rfft", x), _length("rfft", fft_length)
    if length is not None:
        x = x[..., : length[0]]  # TensorFlow cuts as well, but its gradient fails
    return wide(lambda x: _parts(tf.signal.rfft(x, length)), x)


@op
def irfft(x: tuple[Tensor, Tensor], fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`: real values from a pair of real and imaginary part. (…, K) twice → (…, N)

    `fft_length` is N, by default `2 (K - 1)`: what `rfft` got, if that was an even number.

    Example:
        >>> from nyala import ops
        >>> ops.irfft(ops.rfft([1.0, 2.0, 3.0, 4.0])).numpy().tolist()
        [1.0, 2.0, 3.0, 4.0]
    """
    parts, length = _pair("irfft", x, rank=1), _length("irfft", fft_length)
    if length is not None:
        parts = tuple(part[..., : length[0] // 2 + 1] for part in parts)  # as in `rfft`
    return wide(lambda *parts: tf.signal.irfft(tf.complex(*parts), length), *parts)


def _transform(name: str, function: Callable[..., Any], x: Any, rank: int) -> tuple[Tensor, Tensor]:
    return wide(lambda *parts: _parts(function(tf.complex(*parts))), *_pair(name, x, rank))


def _parts(x: Tensor) -> tuple[Tensor, Tensor]:
    return tf.math.real(x), tf.math.imag(x)


def _pair(name: str, x: Any, rank: int) -> tuple[Tensor, Tensor]:
    """The real and imaginary part, as floats of one dtype, shape and at least `rank` dimensions."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(f"`{name}` takes a pair of real and imaginary part, but got a {type(x).__name__}.")
    real, imaginary = meet_as_floats(*x)
    _signal(name, real, rank)
    if not real.shape.is_compatible_with(imaginary.shape):
        raise ValueError(
            f"`{name}` takes a real and an imaginary part of one shape, but got {real.shape} and {imaginary.shape}."
        )
    return real, imaginary


def _signal(name: str, x: Any, rank: int = 1) -> Tensor:
    """`x` as a tensor of real floats of at least `rank` dimensions."""
    x = as_float(x)
    require_dtype(name, x, "floats")
    if rank_of(x) < rank:
        raise ValueError(f"`{name}` goes along the last {rank} axes, but got a tensor of shape {x.shape}.")
    return x


def _length(name: str, length: int | None) -> list[int] | None:
    if length is not None and length < 1:
        raise ValueError(f"`{name}` takes a positive number as `fft_length`, but got {length!r}.")
    return None if length is None else [length]


# ---- Signals in frames ----


@op
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Tensor:
    """Windows of `sequence_length` values along the last axis, one every `sequence_stride` values. (…, T) → (…, F, L)

    There are as many windows as fit: `F = (T - L) // stride + 1`.

    Example:
        >>> from nyala import ops
        >>> ops.extract_sequences([1, 2, 3, 4, 5], 3, 2).numpy().tolist()
        [[1, 2, 3], [3, 4, 5]]
    """
    x = tensor(x)
    _check_frames("extract_sequences", sequence_length, sequence_stride)
    if rank_of(x) == 0:
        raise ValueError("`extract_sequences` goes along the last axis, but got a scalar.")
    return tf.signal.frame(x, sequence_length, sequence_stride)


@op
def stft(
    x: Tensor, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> tuple[Tensor, Tensor]:
    """The short-time Fourier transform of real signals: `rfft` of windows that move along the last axis.

    Frames of `fft_length` values, one every `sequence_stride`, are multiplied by a window of `sequence_length` values,
    zero on both sides of it: "hann", "hamming", None for ones, or the values. With `center`, the signal is reflected at
    its ends, so that frame t lies around the value t · stride. Shapes: (…, T) → (…, F, fft_length // 2 + 1) twice, the
    real and the imaginary part.

    Example:
        >>> import numpy as np
        >>> from nyala import ops
        >>> real, imaginary = ops.stft(np.ones((2, 16)), sequence_length=4, sequence_stride=2, fft_length=4)
        >>> real.shape
        TensorShape([2, 9, 3])
    """
    x = _signal("stft", x)
    _check_frames("stft", sequence_length, sequence_stride, fft_length)
    weights = _window("stft", window, sequence_length, fft_length)
    if center:
        margin = fft_length // 2
        if x.shape[-1] is not None and x.shape[-1] <= margin:
            raise ValueError(
                f"`stft` with center=True reflects {margin} values at each end, but got a tensor of shape {x.shape}; "
                "take a shorter `fft_length` or center=False."
            )
        x = tf.pad(x, [[0, 0]] * (rank_of(x) - 1) + [[margin, margin]], mode="REFLECT")

    def transform(x: Tensor) -> tuple[Tensor, Tensor]:
        frames = tf.signal.frame(x, fft_length, sequence_stride) * tf.cast(weights, x.dtype)
        return _parts(tf.signal.rfft(frames, [fft_length]))

    return wide(transform, x)


@op
def istft(
    x: tuple[Tensor, Tensor],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """The inverse of `stft` with the same options: real signals from a pair of real and imaginary part.

    Frames are multiplied by the window and added up where they overlap, over the sum of the squared windows at every
    shift; so values near an end, where frames are missing, come out too small, as in the reference.
    `length` is how many values to keep; by default all, or with `center` all but `fft_length // 2` at each end.
    Shapes: (…, F, fft_length // 2 + 1) twice → (…, length).

    Example:
        >>> import numpy as np
        >>> from nyala import ops
        >>> frames = ops.stft(np.arange(6.0), 4, 2, 4)
        >>> ops.istft(frames, 4, 2, 4).numpy().tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    _check_frames("istft", sequence_length, sequence_stride, fft_length)
    if length is not None and length < 0:
        raise ValueError(f"`istft` takes the number of values to keep as `length`, but got length={length!r}.")
    parts = _pair("istft", x, rank=2)
    weights = _window("istft", window, sequence_length, fft_length)
    start = fft_length // 2 if center else 0

    def signal(*parts: Tensor) -> Tensor:
        frames = tf.signal.irfft(tf.complex(*parts), [fft_length])
        dual = tf.cast(_dual(weights, sequence_stride), frames.dtype)
        y = tf.signal.overlap_and_add(frames * dual, sequence_stride)
        if length is None:
            return y[..., start : -start or None]
        y = y[..., start : start + length]
        missing = length - tf.shape(y)[-1]
        y = tf.pad(y, [[0, 0]] * (rank_of(y) - 1) + [[0, missing]])
        return tf.ensure_shape(y, [*y.shape[:-1], length])

    return wide(signal, *parts)


def _check_frames(name: str, length: int, stride: int, fft_length: int | None = None) -> None:
    if length < 1 or stride < 1:
        raise ValueError(
            f"`{name}` takes positive numbers as `sequence_length` and `sequence_stride`, but got {length} and {stride}."
        )
    if fft_length is not None and fft_length < length:
        raise ValueError(
            f"`{name}` takes an `fft_length` no smaller than `sequence_length`, but got {fft_length} and {length}."
        )


def _window(name: str, window: Any, length: int, fft_length: int) -> Tensor:
    """The values of a window of `length` in the middle of `fft_length`, which are (fft_length,)."""
    if window is None:
        return tf.ones([fft_length])
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(f"`{name}` knows the windows hann and hamming, but got {window!r}; or pass its values.")
        function = tf.signal.hann_window if window == "hann" else tf.signal.hamming_window
        values = function(length, dtype=tf.float64)
    else:
        values = tensor(window)
        if not values.shape.is_compatible_with([length]):
            raise ValueError(f"`{name}` takes a window of {length} values, but got one of shape {values.shape}.")
    before = (fft_length - length) // 2
    return tf.pad(values, [[before, fft_length - length - before]])


def _dual(window: Tensor, stride: int) -> Tensor:
    """The window that undoes `window`: itself over the sum of its squares at every shift by the stride."""
    size = window.shape[0]
    turns = -(-size // stride)
    squares = tf.reshape(tf.pad(tf.square(window), [[0, turns * stride - size]]), [turns, stride])
    return tf.math.divide_no_nan(window, tf.tile(tf.reduce_sum(squares, 0), [turns])[:size])
