"""The table of ops of Fourier transforms, segments, special functions: for each op its calls, with all options that matter."""

from __future__ import annotations

import numpy as np

from tests.ops.cases import INF, Case, axes, case, each, everywhere, floats, ints
from tests.ops.linalg_rows import positive, thirds

SHAPE_DEPENDS_ON_DATA = ("segment_max", "segment_min", "segment_prod", "segment_sum")
SYMBOLIC_DIFFERS: dict[str, str] = {}


def half(cases: list[Case]) -> list[Case]:
    """The cases, and the first of them that holds a row in the short floats."""
    x = floats(2, 3, low=0.1, high=0.9)
    return [*cases, *[case(x.astype(dtype)) for dtype in ("float16", "float64")]]


def pair(*shape: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    return floats(*shape, dtype=dtype), floats(*shape, dtype=dtype)


IDS, GAPS, ORDERED = (np.array(ids, "int32") for ids in ([2, 0, 1, 0, 2], [3, 0, -1, 0, 1], [0, 0, 1, 3, 3]))
TIES = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]], "float32")

# Without `num_segments` the shape of the result depends on the data, which XLA cannot.
SEGMENTS = thirds(
    [case(floats(5), IDS, num_segments=3), case(floats(5, 2), GAPS, 5), case(ints(5, dtype="int8"), GAPS, 4)],
    [
        *[case(floats(*shape), IDS) for shape in ((5,), (5, 2), (5, 2, 3))],
        *[case(x, ORDERED, sorted=True) for x in (floats(5, 2), TIES.ravel()[:5].copy())],
        case(floats(5, 2, dtype="float64"), GAPS.astype("int64"), 7),
        case(floats(0, 2), np.zeros(0, "int32"), 2),
        case(ints(5), IDS),
    ],
)
WINDOWS = ("hann", "hamming", None, np.array([0.5, 1.0, 1.0, 0.25], "float32"))

ROWS: dict[str, list[Case]] = {
    **each(("erf", "erfc"), half(everywhere(whole=False))),
    "erfinv": everywhere(-0.9, 0.9, whole=False),
    "rsqrt": half(everywhere(0.1, 3.0, whole=False)),
    "logsumexp": [
        *axes((0, 2), [-1], (0, 1, 2, 3)),
        case(np.array([INF, 1.0], "float32")),
        case(np.array([1000.0, 999.0], "float32"), keepdims=True),
    ],
    "logdet": [
        *[case(positive(*shape)) for shape in ((3, 3), (2, 4, 4), (0, 2, 2))],
        case(positive(2, 2, dtype="float64")),
    ],
    "cdist": [
        case(floats(3, 2), floats(4, 2)),
        case(floats(5, 3, 2), floats(5, 4, 2)),
        case(floats(5, 3, 2), floats(4, 2)),
        case(floats(6, 1, 3, 2), floats(5, 4, 2)),
        case(floats(0, 2), floats(3, 2)),
        case(floats(3, 2, dtype="float64"), floats(1, 2, dtype="float64")),
    ],
    # ---- largest values ----
    "top_k": [
        case(floats(5), 2),
        case(floats(2, 3, 4), k=4),
        case(ints(3, 6), 3),
        case(TIES, 3),
        case(floats(2, 3), 0),
        case(floats(1, 4, dtype="float64"), 1, sorted=False),
        case(ints(5, dtype="int8"), 1),
    ],
    "in_top_k": [
        *[case(np.array([3, 0], "int32"), TIES, k) for k in (1, 2, 3, 4, 9)],
        case(np.array([7, -1], "int64"), TIES, 2),
        case(ints(6, low=0, high=5), floats(6, 5), k=2),
        case(np.array([2, 3], "int32"), np.array([[1, np.nan, 2, 3], [INF, 1, 2, 3]], "float32"), 2),
    ],
    # ---- segments ----
    **each(("segment_max", "segment_min", "segment_prod", "segment_sum"), SEGMENTS),
    # ---- complex numbers as pairs ----
    "view_as_complex": [case(floats(2)), case(floats(3, 2)), case(floats(0, 2)), case(floats(2, 3, 1, 2))],
    "view_as_real": [
        *[case(floats(*shape)) for shape in ((), (3,), (2, 3))],
        case((floats(2, 3) + 1j * floats(2, 3)).astype("complex64")),
    ],
    # ---- Fourier transforms ----
    "fft": [case(pair(5)), case(pair(2, 8)), case(list(pair(2, 3, 1))), case(pair(4, dtype="float64"))],
    **each(("fft2", "ifft2"), [case(pair(3, 4)), case(pair(2, 5, 2)), case(pair(4, 4, dtype="float64"))]),
    "rfft": [
        *[case(floats(*shape)) for shape in ((5,), (2, 8), (2, 3, 1))],
        *[case(floats(2, 6), fft_length=length) for length in (6, 8, 9)],  # shorter ones: test_math_ops.py
        case(floats(4, dtype="float64")),
    ],
    "irfft": [
        *[case(pair(*shape)) for shape in ((5,), (2, 4))],
        *[case(pair(2, 4), fft_length=length) for length in (6, 7, 12)],
        case(pair(4, dtype="float64")),
    ],
    # ---- signals in frames ----
    "extract_sequences": [
        case(floats(20), 4, 2),
        case(floats(2, 9), sequence_length=3, sequence_stride=5),
        case(floats(2, 3, 7), 7, 1),
        case(ints(5), 2, 1),
        case(floats(3), 4, 2),
        case(floats(6, dtype="float64"), 2, 3),
    ],
    "stft": [
        *[case(floats(2, 20), 4, 2, 8, window=window) for window in WINDOWS],
        *[case(floats(2, 20), 4, 3, 4, window=window, center=False) for window in WINDOWS],
        case(floats(20), 5, 2, 7),
        case(floats(2, 1, 20, dtype="float64"), 3, 1, 8, "hamming"),
    ],
    "istft": [
        *[case(pair(2, 6, 5), 4, 2, 8, window=window) for window in WINDOWS if window is not None],
        *[case(pair(2, 6, 3), 4, 3, 4, window=window, center=False) for window in WINDOWS if window is not None],
        case(pair(6, 5), 4, 2, 8, length=9),
        case(pair(1, 6, 5, dtype="float64"), 4, 2, 8, 7, "hamming", False),
        case(pair(6, 4), 5, 2, 7),
        case(pair(6, 4), 3, 5, 6),
    ],
    # ---- patterns ----
    "rearrange": [
        case(floats(2, 3, 4), "a b c -> c a b"),
        case(floats(2, 3, 4), "a b c -> (a b) c"),
        case(floats(2, 3, 4), "a b (c d) -> a d b c", d=2),
        case(floats(4, 3, 4), "(a1 a2) b c -> a1 (c a2) b", a1=2),
        case(ints(6), "(a b) -> b a", b=3),
        case(floats(0, 3), "x_1 B -> B x_1"),
        case(floats(2, 6, 8, 3), "n (h i) (w j) c -> (n h w) (i j c)", i=3, j=2),
    ],
}
