"""Ops of `ops.math` beyond the contract: against NumPy, what the reference cannot answer, patterns, errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nyala import ops
from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from tests.ops.cases import dtypes, floats
from tests.ops.test_linalg_ops import gradient, slopes
from tests.oracle import assert_close

FEW = settings(max_examples=15, deadline=None, derandomize=True)
NUMBERS = st.integers(-32, 32).map(lambda number: number / 16)


def arrays(min_dims: int = 1) -> Any:
    shapes = hnp.array_shapes(min_dims=min_dims, max_dims=3, min_side=1, max_side=6)
    return hnp.arrays("float64", shapes, elements=NUMBERS)


def parts(x: np.ndarray) -> list[np.ndarray]:
    return [x.real, x.imag]


# ---- Fourier transforms ----


@FEW
@given(arrays(2), st.integers(1, 9))
def test_transforms_as_numpy(x: np.ndarray, length: int) -> None:
    z = x + 1j * np.roll(x, 1)
    assert_close(ops.fft((z.real, z.imag)), parts(np.fft.fft(z)), atol=1e-9)
    assert_close(ops.fft2([z.real, z.imag]), parts(np.fft.fft2(z)), atol=1e-9)
    assert_close(ops.ifft2((z.real, z.imag)), parts(np.fft.ifft2(z)), atol=1e-9)
    assert_close(ops.rfft(x), parts(np.fft.rfft(x)), atol=1e-9)
    assert_close(ops.rfft(x, length), parts(np.fft.rfft(x, length)), atol=1e-9)
    assert_close(ops.irfft((z.real, z.imag), length), np.fft.irfft(z, length), atol=1e-9)
    assert_close(ops.irfft(ops.rfft(x, length), length), np.fft.irfft(np.fft.rfft(x, length), length), atol=1e-9)


def test_gradients_of_transforms_that_cut() -> None:
    """There the gradients of the reference fail."""
    for size, length in ((6, 3), (6, 4), (7, 5), (5, 8)):
        x, z = floats(2, size, dtype="float64"), floats(2, size, dtype="float64")
        assert_close(
            gradient(lambda x, n=length: ops.rfft(x, n)[1], x), slopes(lambda x, n=length: ops.rfft(x, n)[1], x)
        )
        assert_close(
            gradient(lambda z, n=length: ops.irfft((z, 2 * z), n), z),
            slopes(lambda z, n=length: ops.irfft((z, 2 * z), n), z),
        )


def test_transforms_of_short_floats_and_integers() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    for dtype in ("float16", "bfloat16", "int32"):
        one = tf.cast(x, dtype)
        result = "float32" if dtype == "int32" else dtype
        calls = ops.fft((one, one)), ops.rfft(one), ops.stft(one, 2, 1, 2), ops.irfft((one, one)), ops.erfinv(one / 5)
        assert {*dtypes(calls[:4])} == {result}
        assert_close(tf.cast(calls[0][0], "float32"), np.fft.fft(x + 1j * x).real)
        assert_close(tf.cast(ops.istft(ops.stft(one, 2, 1, 2), 2, 1, 2), "float32"), x)
    assert dtypes(ops.fft((x, x.astype("float32")))) == ["float64", "float64"]


# ---- Signals in frames ----


@FEW
@given(st.sampled_from(["hann", "hamming", None]), st.integers(1, 3), st.sampled_from([4, 6]), st.integers(0, 3))
def test_istft_undoes_stft(window: str | None, stride: int, length: int, more: int) -> None:
    options: dict[str, Any] = {"sequence_length": length, "sequence_stride": stride, "fft_length": length + more}
    x = floats(2, 5 * stride + 20, dtype="float64")
    y = ops.istft(ops.stft(x, window=window, **options), window=window, **options).numpy()
    size = y.shape[-1]
    assert x.shape[-1] - stride - 1 <= size <= x.shape[-1] + 1
    inside = slice(length, size - 2 * length)  # near the ends frames are missing
    assert_close(y[:, inside], x[:, inside], atol=1e-9)


def test_frames_and_lengths() -> None:
    x = floats(2, 20)
    frames = ops.stft(x, 4, 2, 8)
    expected = np.stack([np.pad(x, ((0, 0), (4, 4)), "reflect")[:, 2 * t : 2 * t + 8] for t in range(11)], 1)
    assert_close(ops.extract_sequences(np.pad(x, ((0, 0), (4, 4)), "reflect"), 8, 2), expected)
    hann = np.pad(0.5 - 0.5 * np.cos(np.pi / 2 * np.arange(4)), 2)
    assert_close(frames, parts(np.fft.rfft(expected * hann)), atol=1e-5)
    for length in (5, 20, 24, 40):  # the reference stops at the last frame, though it says otherwise of symbols
        y = ops.istft(frames, 4, 2, 8, length=length)
        assert y.shape == (2, length)
        assert_close(y[:, :20], x[:, :length], atol=1e-5)
        assert_close(y[:, 24:], np.zeros((2, max(length - 24, 0))))
    symbols = KerasTensor((2, None, 5)), KerasTensor((2, None, 5))
    assert ops.istft(symbols, 4, 2, 8).shape == (2, None)
    assert ops.istft(symbols, 4, 2, 8, length=7).shape == (2, 7)
    assert [one.shape for one in ops.stft(KerasTensor((None, 20)), 4, 2, 8)] == [(None, 11, 5)] * 2
    assert [one.shape for one in ops.stft(KerasTensor((2, None)), 4, 2, 8)] == [(2, None, 5)] * 2


# ---- Segments ----

REDUCTIONS: dict[str, Any] = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


@FEW
@given(st.data(), st.sampled_from(["float32", "int32", "float64"]), st.integers(1, 6))
def test_segments_as_numpy(data: Any, dtype: str, rows: int) -> None:
    x = data.draw(hnp.arrays(dtype, (rows, 2), elements=st.integers(-4, 4)))
    ids = data.draw(hnp.arrays("int64", rows, elements=st.integers(-1, 4)))
    for name, function in REDUCTIONS.items():
        for count in (5, None):
            found = getattr(ops, f"segment_{name}")(x, ids, count).numpy()
            assert found.shape == (max(ids.max() + 1, 0) if count is None else count, 2)
            for number, row in enumerate(found):
                if (ids == number).any():
                    assert_close(row, function.reduce(x[ids == number], 0))
                else:
                    low, high = tf.as_dtype(dtype).min, tf.as_dtype(dtype).max
                    assert_close(row, np.full(2, {"sum": 0, "prod": 1, "max": low, "min": high}[name], dtype))


def test_segments_where_the_reference_fails() -> None:
    x, ids = floats(4), np.array([0, 0, 2, 2])
    for name, function in REDUCTIONS.items():
        op = getattr(ops, f"segment_{name}")
        expected = np.array([function.reduce(x[:2]), function.reduce(x[2:])])
        assert_close(op(x, ids).numpy()[[0, 2]], expected)  # a number without rows, and no `num_segments`
        assert_close(op(x, ids, num_segments=4, sorted=True).numpy()[[0, 2]], expected)
        assert_close(op(x, ids.astype("uint8"), 3).numpy()[[0, 2]], expected)
        assert op(np.ones((0, 2)), np.zeros(0, "int32")).shape == (0, 2)
        assert dtypes(op(x > 0, ids)) == ["int32"]
        assert op(KerasTensor((None, 3)), KerasTensor((None,), "int32"), 4).shape == (4, 3)
        assert op(KerasTensor((None, 3)), KerasTensor((None,), "int32")).shape == (None, 3)


# ---- Largest values, distances, special functions ----


@FEW
@given(arrays(), st.data())
def test_top_k_as_sorting(x: np.ndarray, data: Any) -> None:
    k = data.draw(st.integers(0, x.shape[-1]))
    values, indices = ops.top_k(x, k)
    order = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    assert_close([values, indices], [np.take_along_axis(x, order, -1), order])
    assert_close(np.sort(ops.top_k(x, k, sorted=False)[0], -1), np.sort(values, -1))
    targets = data.draw(hnp.arrays("int32", x.shape[:-1], elements=st.integers(-1, x.shape[-1])))
    known = (targets >= 0) & (targets < x.shape[-1])
    own = np.take_along_axis(x, np.where(known, targets, 0)[..., None], -1)
    assert_close(ops.in_top_k(targets, x, k), known & ((x > own).sum(-1) < k))


def test_top_k_has_names() -> None:
    assert_close(ops.top_k(np.array([1, 3, 2]), 2).values, np.array([3, 2]))
    assert ops.top_k(KerasTensor((None, 5)), 2).indices.dtype == "int32"


def test_distances() -> None:
    x, y = floats(2, 3, 4), floats(5, 4)
    assert_close(ops.cdist(x, y), np.linalg.norm(x[:, :, None] - y, axis=-1))
    assert_close(ops.cdist(x + 1j * x, y), np.linalg.norm((x + 1j * x)[:, :, None] - y, axis=-1), 1e-5)
    assert dtypes(ops.cdist(x, y.astype("float64"))) == ["float64"]
    points = np.array([[1.0, 2.0], [0.0, 0.0]])
    assert np.isfinite(gradient(lambda x: ops.cdist(x, x), points).numpy()).all()  # the reference has NaN
    assert_close(gradient(lambda x: ops.cdist(x, points[:1]), points[1:]), -points[:1] / math.sqrt(5))


def test_special_functions_of_numbers_and_integers() -> None:
    for x in (-1, 0, 1, 0.3):
        assert_close([ops.erf(x), ops.erfc(x)], [math.erf(x), math.erfc(x)])
        assert_close(ops.erfinv(ops.erf(x)), x)
    assert_close(ops.rsqrt(4), 0.5)
    assert_close(ops.logsumexp(np.array([0, 0])), math.log(2))
    assert_close(ops.logsumexp(1 > 0), 1.0)
    assert dtypes(ops.logsumexp(np.zeros((2, 2)), axis=0)) == ["float64"]
    assert math.isnan(ops.logdet(-np.eye(3)))
    assert_close(ops.logdet(tf.cast([[4, 0], [0, 4]], "bfloat16")), tf.cast(math.log(16), "bfloat16"))


def test_complex_numbers_as_pairs() -> None:
    for dtype, wide in (("float64", "complex128"), ("float32", "complex64"), ("bfloat16", "complex64")):
        x = tf.cast([[1.0, 2.0], [3.0, -4.0]], dtype)
        assert_close(ops.view_as_complex(x), np.array([1 + 2j, 3 - 4j]))
        assert dtypes(ops.view_as_complex(x)) == [wide]  # the reference loses half the digits of float64
        assert_close(ops.view_as_real(ops.view_as_complex(x)), tf.cast(x, "float64"))
    assert_close(ops.view_as_real([True, False]), np.array([[True, False], [False, False]]))


# ---- Patterns ----

X = np.arange(24.0).reshape(2, 3, 4)
PATTERNS: dict[str, tuple[dict[str, int], Callable[[np.ndarray], np.ndarray]]] = {
    "a ... -> ... a": ({}, lambda x: x.transpose(1, 2, 0)),
    "... c -> c ...": ({}, lambda x: x.transpose(2, 0, 1)),
    "... -> (...)": ({}, np.ravel),
    "a ... c -> (a ... c)": ({}, np.ravel),
    "a b c ... -> ... c b a": ({}, np.transpose),
    "a b c -> a 1 b () c": ({}, lambda x: x[:, None, :, None]),
    "a b (c 1) -> (b 1) (a c)": ({}, lambda x: x.transpose(1, 0, 2).reshape(3, 8)),
    "a (b) c->b a c": ({"a": 2}, lambda x: x.transpose(1, 0, 2)),
    "a b (c d) -> d (c b) a": ({"d": 2}, lambda x: x.reshape(2, 3, 2, 2).transpose(3, 2, 1, 0).reshape(2, 6, 2)),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_as_numpy(pattern: str) -> None:
    sizes, expected = PATTERNS[pattern]
    assert_close(ops.rearrange(X, pattern, **sizes), expected(X))
    spec = tf.TensorSpec((None, None, None), "float64")
    traced = tf.function(lambda x: ops.rearrange(x, pattern, **sizes), autograph=False).get_concrete_function(spec)
    assert_close(traced(tf.constant(X)), expected(X))


@FEW
@given(st.permutations("abcd"), st.data())
def test_what_a_pattern_does_its_mirror_undoes(names: list[str], data: Any) -> None:
    sizes = {name: data.draw(st.integers(1, 3)) for name in "abcd"}
    cut = data.draw(st.integers(1, 3))
    left, right = f"({' '.join(names[:cut])}) {' '.join(names[cut:])}", "d (c a) b"
    x = np.arange(float(math.prod(sizes.values()))).reshape(sizes["d"], sizes["c"] * sizes["a"], sizes["b"])
    y = ops.rearrange(x, f"{right} -> {left}", **sizes)
    assert_close(ops.rearrange(y, f"{left} -> {right}", **sizes), x)


def test_patterns_of_symbols() -> None:
    x = KerasTensor((None, None, 4))
    assert ops.rearrange(x, "a b (c d) -> a (b c) d", c=2).shape == (None, None, 2)
    assert ops.rearrange(x, "(a b) c d -> a b (c d)", a=2).shape == (2, None, None)
    assert ops.rearrange(KerasTensor((None, 6, 4)), "n (a b) c -> n b (a c)", b=2).shape == (None, 2, 12)


WRONG_PATTERNS = {
    "a b c": "one arrow",
    "a -> b -> c": "one arrow",
    "a b c -> a b": "'c' stands on one side only",
    "a b c -> (...)": "stands on one side only",
    "a a c -> a c": "'a' stands twice",
    "a (b c -> c b a": "'(' is no name",
    "a ((b)) c -> a b c": "'(' is no name",
    "a 3 c -> a 3 c": "'3' is no name",
    "a b -> b a": "the left side has 2 axes, but the tensor has 3",
    "a b c d ... -> a b c d ...": "the left side has 5 axes",
    "(a ...) b -> a ... b": "cannot stand in a group on the left",
    "a b (c d) -> a b c d": "the sizes of ['c', 'd'] in one group are not known",
    "a 1 c -> a c": "an axis of size 3",
}


@pytest.mark.parametrize("pattern", WRONG_PATTERNS)
def test_wrong_patterns_say_what_is_wrong(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(WRONG_PATTERNS[pattern])) as error:
        ops.rearrange(X, pattern)
    assert f"`rearrange` of shape (2, 3, 4) by {pattern!r}" in str(error.value)


# ---- Errors ----

PAIR = (np.ones((2, 5)), np.ones((2, 5)))
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ops.rearrange(X, "a b (c d) -> a b c d", c=3), ValueError, "c=3: an axis of size 4 cannot be (c d)"),
    (lambda: ops.rearrange(X, "a b c -> c b a", z=3), ValueError, "no axis 'z'"),
    (lambda: ops.rearrange(X, "a b c -> c b a", b=4), ValueError, "an axis of size 3 cannot be (b)"),
    (lambda: ops.fft(np.ones((2, 3))), ValueError, "`fft` takes a pair of real and imaginary part, but got a ndarray"),
    (lambda: ops.fft((1.0, 2.0)), ValueError, "`fft` goes along the last 1 axes"),
    (lambda: ops.fft2((np.ones(3), np.ones(3))), ValueError, "`fft2` goes along the last 2 axes"),
    (lambda: ops.ifft2((np.ones((3, 2)), np.ones((2, 2)))), ValueError, "of one shape"),
    (lambda: ops.fft((np.ones(2, "complex64"), np.ones(2))), TypeError, "takes floats"),
    (lambda: ops.rfft(np.ones(3), 0), ValueError, "a positive number as `fft_length`"),
    (lambda: ops.rfft(1.0), ValueError, "`rfft` goes along"),
    (lambda: ops.irfft(np.ones(3)), ValueError, "`irfft` takes a pair"),
    (lambda: ops.extract_sequences(np.ones(3), 0, 1), ValueError, "positive numbers"),
    (lambda: ops.extract_sequences(1.0, 1, 1), ValueError, "got a scalar"),
    (lambda: ops.stft(np.ones(20), 8, 2, 4), ValueError, "no smaller than `sequence_length`, but got 4 and 8"),
    (lambda: ops.stft(np.ones(20), 8, 2, 8, window="best"), ValueError, "but got 'best'"),
    (lambda: ops.istft(PAIR, 4, 2, 8, window="best"), ValueError, "but got 'best'"),
    (lambda: ops.stft(np.ones(20), 4, 2, 8, window=np.ones(5)), ValueError, "a window of 4 values"),
    (lambda: ops.stft(np.ones(4), 4, 2, 8), ValueError, "reflects 4 values at each end"),
    (lambda: ops.istft(PAIR, 4, 2, 8, length=-1), ValueError, "length=-1"),
    (lambda: ops.segment_sum(np.ones(3), [0.0, 1.0, 1.0]), TypeError, "`segment_sum` takes integers"),
    (lambda: ops.segment_max(np.ones(3), [0, 1]), ValueError, "a number for each row"),
    (lambda: ops.segment_min(np.ones((1, 3)), [[0, 1, 1]]), ValueError, "a number for each row"),
    (lambda: ops.top_k(np.ones(3), 4), ValueError, "k=4"),
    (lambda: ops.top_k(1.0, 1), ValueError, "k=1 for the shape ()"),
    (lambda: ops.in_top_k([0.5], np.ones((1, 2)), 1), TypeError, "takes integers"),
    (lambda: ops.in_top_k([0, 1], np.ones((1, 2)), 1), ValueError, "a row of predictions for each target"),
    (lambda: ops.cdist(np.ones(3), np.ones(3)), ValueError, "`cdist` takes matrices"),
    (lambda: ops.cdist(np.ones((2, 3)), np.ones((2, 4))), ValueError, "rows of one length"),
    (lambda: ops.logsumexp(np.ones((2, 3)), axis=2), ValueError, "`logsumexp` got axis=2"),
    (lambda: ops.logdet(np.ones((2, 3))), ValueError, "takes square matrices"),
    (lambda: ops.view_as_complex(np.ones((2, 3))), ValueError, "takes pairs along the last axis"),
    (lambda: ops.view_as_complex(np.ones(2, "complex64")), TypeError, "takes floats"),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), ERRORS, ids=[message for _, _, message in ERRORS])
def test_errors_say_what_is_wrong(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        wrong()


def test_all_of_it_under_xla() -> None:
    """What the contract does not compile: options whose rows come at other places."""

    @tf.function(jit_compile=True, autograph=False)
    def compiled(x: Any, ids: Any) -> Any:
        return [
            ops.rearrange(x, "(a b) c -> b (a c)", a=2),
            ops.rfft(x, 3),
            ops.istft(ops.stft(x, 4, 2, 4), 4, 2, 4, length=6),
            ops.segment_max(x, ids, 3, sorted=True),
            ops.in_top_k(ids, x, 2),
        ]

    x, ids = floats(4, 8), np.array([0, 0, 2, 2])
    whole = compiled(tf.constant(x), tf.constant(ids))
    assert_close(whole[1], parts(np.fft.rfft(x, 3)), atol=1e-5)
    assert_close(whole[2], x[:, :6], atol=1e-5)
    assert_close(whole[3][2], x[2:].max(0))
