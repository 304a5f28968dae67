"""The table of `ops.numpy`: for each op its calls, with arguments of all ranks, axes and options that matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.ops.cases import INF, NAN, SHAPES, Case, axes, bools, case, each, everywhere, floats, holed, ints, pairs

# What XLA cannot compile on a CPU, and why.
DATA_DECIDES = "the shape of the result depends on the data"
XLA_CANNOT = {
    "slogdet": "TensorFlow has no XLA kernel for LogMatrixDeterminant",
    "unique": DATA_DECIDES,
    "histogram": DATA_DECIDES,
}
SHAPE_DEPENDS_ON_DATA = ("bincount", "nonzero", "unique", "where")
# Where the reference's symbolic shape or dtype is not that of its own eager result, or knows less than ours.
SYMBOLIC_DIFFERS = {
    **dict.fromkeys(("angle", "real", "imag"), "the reference calls the parts of complex numbers complex"),
    "corrcoef": "the reference keeps the number of columns where there are as many rows as columns",
    "cross": "the reference forgets `axisa` and `axis`, and raises for two vectors of 2 values",
    "einsum": "the reference forgets that the one other operand knows the dimension",
    **dict.fromkeys(("gcd", "lcm"), "the reference counts a Python number as int64"),
    "ndim": "the rank is a number, of symbolic tensors too",
    "rot90": "the reference exchanges the axes for every k",
    "slogdet": "the reference drops the batch of the signs",
    **dict.fromkeys(("nonzero", "where"), "the reference does not see one result for each axis"),
}


MANY = ((0, 2), (-1, 1), (0, 1, 2, 3))
INTEGERS = [
    case(ints(2, 3), ints(2, 3)),
    case(ints(2, 3), ints(3)),
    case(ints(2, 3), 3),
    case(ints(3, dtype="int64"), 3),
]
SHIFTS = [case(ints(2, 3), ints(2, 3, low=0, high=4)), case(ints(2, 3), 2), case(ints(3, dtype="int8"), 1)]
LOGIC = [case(bools(2, 3), bools(3)), case(floats(2, 3), bools(2, 1)), case(ints(2, 3, low=-1, high=2), True)]
VECTORS = [case(floats(3), floats(3)), case(floats(2, 3), floats(3)), case(ints(2, 3), floats(3))]
COMPLEX = (floats(2, 3) + 1j * floats(2, 3)).astype("complex64")
TIES = np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]], "float32")
INFINITE = np.array([1.0, -INF, INF, NAN, -0.0, 0.0], "float32")


def quantiles(x: Any, scale: float) -> list[Case]:
    shares = [0.0, 0.3 * scale, scale]
    cases = [case(x(5), 0.25 * scale), case(x(2, 3), shares), case(x(2, 3, 2, 2), 0.5 * scale, axis=(0, -1))]
    cases += [case(x(4, 5), shares, axis=1, keepdims=True), case(x(4, 5), 0.75 * scale, axis=0, keepdims=True)]
    methods = ("linear", "lower", "higher", "nearest", "midpoint")
    return [*cases, *(case(x(4, 6), 0.35 * scale, axis=1, method=method) for method in methods)]


ROWS: dict[str, list[Case]] = {
    # ---- elementwise ----
    **each(("abs", "absolute", "fabs", "sign", "negative", "square"), [*everywhere(), case(ints(2, 3))]),
    **each(("exp", "exp2", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsinh", "arctan"), everywhere()),
    **each(("sqrt", "log", "log10", "log1p", "log2", "reciprocal"), [*everywhere(0.1, 3.0, False)]),
    **each(("arcsin", "arccos", "arctanh"), everywhere(-0.9, 0.9, False)),
    "arccosh": everywhere(1.1, 3.0, False),
    "cbrt": everywhere(0.1, 3.0),
    "i0": everywhere(),
    "sinc": everywhere(0.1),
    **each(("deg2rad", "rad2deg", "trunc"), [*everywhere(), case(ints(4, dtype="int64"))]),
    **each(("ceil", "floor"), everywhere()),
    "round": [
        *everywhere(),
        case(np.array([0.5, 1.5, -2.5], "float32")),
        case(floats(2, 3), 2),
        case(floats(4, high=90), -1),
    ],
    **each(("isfinite", "isinf", "isnan", "isneginf", "isposinf", "signbit"), [case(INFINITE), *everywhere()]),
    "isreal": [case(COMPLEX), case(floats(2, 3)), case(ints(2))],
    "logical_not": [case(bools(2, 3)), case(floats(0, 3)), case(ints(2, 3, low=-1, high=2))],
    "nan_to_num": [case(INFINITE), case(INFINITE, nan=2.0, posinf=3.0, neginf=-3.0), case(ints(3)), case(floats(2, 3))],
    **each(("real", "imag", "conj", "conjugate", "angle"), [case(COMPLEX), case(floats(2, 3))]),
    "view": [
        case(floats(2, 3)),
        case(floats(2, 4), "int32"),
        case(floats(2, 4), "int8"),
        case(floats(2, 4), "float64"),
    ],
    # ---- arithmetic ----
    **each(("add", "subtract", "multiply", "maximum", "minimum"), [*pairs(), case(ints(2, 3), 2)]),
    **each(("divide", "true_divide"), pairs(0.2)),
    "divide_no_nan": [*pairs(0.2), case(floats(3), np.array([0.0, 1.0, 0.0], "float32"))],
    **each(
        ("floor_divide", "mod", "fmod"), [*pairs(0.3, 3.0), case(ints(6), np.array([1, 2, 3, -1, -2, -3], "int32"))]
    ),
    "power": [*pairs(0.2), case(ints(2, 3), 2), case(floats(2, 3), 2)],
    **each(("fmax", "fmin"), [*pairs(), case(holed(2, 6), holed(2, 6))]),
    "clip": [
        case(floats(2, 3), -0.5, 0.5),
        case(floats(2, 3), floats(3, high=-1), 1.0),
        case(ints(2, 3), -1, 2),
        case(floats(), 0, 1),
    ],
    **each(("arctan2", "hypot", "logaddexp", "logaddexp2"), pairs(0.1)),
    "heaviside": [*pairs(), case(np.array([-1.0, 0.0, 2.0], "float32"), 0.5)],
    "nextafter": pairs(),
    "ldexp": [
        case(floats(2, 3), ints(2, 3)),
        case(floats(2, 3), ints(3)),
        case(ints(2), 3),
        case(floats(0, 3), ints(3)),
    ],
    **each(("gcd", "lcm"), INTEGERS),
    **each(
        ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
        [*pairs(), case(TIES, TIES[::-1].copy())],
    ),
    **each(
        ("isclose", "allclose"),
        [
            case(TIES, TIES + 1e-6),
            case(TIES, TIES + 1e-2),
            case(TIES, INFINITE[3:]),
            case(INFINITE[3:], INFINITE[3:], equal_nan=True),
            case(floats(2, 3), floats(3), rtol=0.5, atol=0.1),
        ],
    ),
    **each(("logical_and", "logical_or", "logical_xor"), LOGIC),
    **each(("bitwise_and", "bitwise_or", "bitwise_xor"), INTEGERS),
    **each(("bitwise_not", "bitwise_invert"), [case(ints(2, 3)), case(ints(0, 3)), case(ints(2, dtype="int64"))]),
    **each(("left_shift", "right_shift", "bitwise_left_shift", "bitwise_right_shift"), SHIFTS),
    # ---- reductions ----
    **each(("sum", "mean"), [*axes(*MANY, ()), case(ints(2, 3)), case(floats(0, 3), axis=0)]),
    **each(("var", "std"), [*axes(*MANY, x=lambda *shape: floats(*(shape or (3,)))), case(ints(2, 3))]),
    "prod": [*axes(*MANY), case(ints(2, 3)), case(ints(2, 3, dtype="int8"))],
    **each(
        ("max", "min"),
        [*axes(*MANY), case(floats(2, 3), initial=0.5), case(floats(0, 3), initial=1.0), case(bools(2, 3), axis=1)],
    ),
    **each(("amax", "amin"), [*axes(*MANY), case(TIES), case(TIES, axis=1)]),
    "ptp": axes(*MANY),
    "average": [
        *axes(*MANY, keepdims=False),
        case(floats(2, 3), axis=1, weights=floats(3, low=0.1)),
        case(floats(2, 3), weights=floats(2, 3, low=0.1)),
        case(ints(2, 3), axis=0, weights=ints(2, 3, low=1)),
    ],
    **each(
        ("argmax", "argmin"),
        [*axes(), case(TIES, axis=1), case(TIES, axis=0), case(bools(5)), case(floats(0, 3), axis=1)],
    ),
    **each(("all", "any"), [*axes(*MANY, x=bools), case(floats(2, 3), axis=0), case(ints(0, 3), axis=0)]),
    "count_nonzero": [*axes(*MANY, x=bools, keepdims=False), case(ints(2, 3), axis=1), case(floats(0, 3))],
    **each(("cumsum", "cumprod"), [*axes(keepdims=False), case(ints(2, 3), axis=1, dtype="float32"), case(bools(4))]),
    **each(("nancumsum", "nancumprod"), [*axes(x=holed, keepdims=False), case(ints(2, 3), axis=1)]),
    **each(
        ("nansum", "nanprod", "nanmax", "nanmin"),
        [*axes(*MANY, x=holed), case(ints(2, 3)), case(np.full((2, 2), NAN, "float32"))],
    ),
    **each(("nanmean", "nanvar"), [*axes(*MANY, x=holed), case(ints(2, 3)), case(np.full((2, 2), NAN, "float32"))]),
    "nanstd": [*axes(*MANY, x=lambda *shape: holed(*(shape or (9,)))), case(ints(2, 3))],
    **each(
        ("nanargmax", "nanargmin"),
        [
            case(holed(5)),
            case(holed(2, 6)),
            case(holed(2, 6), axis=1),
            case(holed(2, 6), axis=0, keepdims=True),
            case(ints(2, 3), axis=1),
        ],
    ),
    # ---- ordering ----
    "sort": [
        case(floats(4)),
        case(floats(2, 3)),
        case(floats(2, 3, 2, 2), axis=1),
        case(floats(2, 3), axis=None),
        case(ints(2, 3)),
        case(bools(5)),
        case(floats(0, 3)),
    ],
    "argsort": [
        case(floats(4)),
        case(floats(2, 3)),
        case(floats(2, 3, 2, 2), axis=1),
        case(floats(2, 3), axis=None),
        case(TIES),
        case(bools(5)),
    ],
    "searchsorted": [case(np.arange(4, dtype="float32"), floats(5), side=side) for side in ("left", "right")]
    + [case(np.array([1, 2, 3]), np.array([0, 2, 5]))],
    "digitize": [
        case(floats(2, 3), [-1.0, 0.0, 1.0]),
        case(ints(2, 3), np.array([0, 2], "int32")),
        case(np.array([0.5, 1.0], "float32"), np.array([1, 2], "int32")),
    ],
    "isin": [
        case(ints(2, 3), ints(4)),
        case(ints(2, 3), [1, 2], invert=True),
        case(floats(2, 3), 0.5),
        case(ints(3), ints(0), assume_unique=True),
    ],
    "unique": [
        case(ints(12)),
        case(ints(3, 4), return_index=True, return_inverse=True, return_counts=True),
        case(ints(12), sorted=False, return_index=True, return_inverse=True, return_counts=True),
        case(ints(6, 2, high=-3), axis=0, return_index=True, return_inverse=True, return_counts=True),
        case(ints(2, 6, high=-3), axis=1),
        case(floats(4), size=6, fill_value=9.0),
        case(ints(12), size=3, return_index=True, return_counts=True),
        case(ints(6), size=8, return_index=True, return_inverse=True, return_counts=True),
    ],
    "quantile": quantiles(floats, 1.0),
    "nanquantile": quantiles(holed, 1.0),
    "percentile": quantiles(floats, 100.0),
    "nanpercentile": quantiles(holed, 100.0),
    "median": [
        case(floats(5)),
        case(floats(2, 3, 2, 2), axis=(0, -1)),
        case(floats(2, 4), axis=1, keepdims=True),
        case(holed(2, 4), axis=1),
        case(ints(2, 3)),
    ],
    "nanmedian": [
        case(holed(5)),
        case(holed(2, 3, 2, 2), axis=(0, -1)),
        case(holed(2, 4), axis=1, keepdims=True),
        case(ints(2, 3)),
    ],
    "bincount": [
        case(ints(6, low=0)),
        case(ints(2, 6, low=0)),
        case(ints(6, low=0), minlength=9),
        case(ints(6, low=0), weights=floats(6)),
        case(ints(2, 6, low=0), weights=ints(2, 6)),
    ],
    "histogram": [
        case(floats(20)),
        case(floats(20), bins=3),
        case(floats(20), bins=4, range=(-1, 1)),
        case(floats(3, dtype="float64"), bins=2),
    ],
    # ---- indexing ----
    "take": [
        case(floats(2, 3), [0, 4, -1]),
        case(floats(2, 3), [[0, 1]], axis=1),
        case(floats(2, 3, 2, 2), np.array([1, -1, 1]), axis=-2),
        case(floats(2, 3), 1, axis=0),
        case(ints(4), ints(2, 2, low=-4, high=4)),
    ],
    "take_along_axis": [
        case(floats(2, 3), np.array([[0, -1], [1, 0]]), axis=1),
        case(floats(2, 3), np.array([5, -1])),
        case(floats(2, 3), np.array([[0]]), axis=1),
        case(floats(2, 3, 2, 2), ints(2, 1, 2, 2, low=0, high=2), axis=1),
        case(floats(3, 2), np.array([[2, 0]]), axis=0),
    ],
    "get_item": [
        case(floats(4, 3, 2), key)
        for key in (
            0,
            -1,
            slice(1, None),
            (slice(None), 1),
            (..., 0),
            (None, 1),
            (slice(None, None, -1), slice(0, 2)),
            slice(3, 0, -2),
        )
    ],
    "where": [
        case(bools(2, 3), floats(2, 3), floats(3)),
        case(bools(2, 1), floats(3), 0.0),
        case(ints(2, 3, low=0, high=2), ints(2, 3), 1.5),
        case(bools(2, 3)),
    ],
    "nonzero": [case(bools(2, 3)), case(floats(4)), case(ints(2, 3, low=0, high=2))],
    "select": [case([bools(2, 3), bools(2, 3)], [floats(2, 3), floats(2, 3)], 0.5), case([bools(3)], [ints(3)])],
    "unravel_index": [
        case(np.array([1, 5], "int32"), (2, 3)),
        case(np.array([[7, 0]], "int64"), (2, 2, 2)),
        case(np.array([-1, 2], "int32"), (2, 3)),
    ],
    # ---- shaping ----
    "reshape": [
        case(floats(2, 3), (3, 2)),
        case(floats(2, 3), (-1,)),
        case(floats(2, 3), 6),
        case(floats(2, 3, 2, 2), (-1, 4)),
        case(floats(), (1, 1)),
        case(floats(0, 3), (3, 0)),
    ],
    "ravel": [case(floats(*shape)) for shape in SHAPES],
    "expand_dims": [case(floats(2, 3), 0), case(floats(2, 3), -1), case(floats(2, 3), (0, -1)), case(floats(), 0)],
    "squeeze": [
        case(floats(2, 1, 3, 1)),
        case(floats(2, 1, 3, 1), 1),
        case(floats(2, 1, 3, 1), (1, -1)),
        case(floats(2, 3)),
    ],
    "broadcast_to": [case(floats(3), (2, 3)), case(floats(2, 1), (4, 2, 3)), case(floats(), (2,))],
    "copy": everywhere(),
    "size": [case(floats(*shape)) for shape in SHAPES],
    "ndim": [case(floats(*shape)) for shape in SHAPES],
    "transpose": [case(floats(2, 3)), case(floats(2, 3, 2, 4), (0, -1, 2, 1)), case(floats(4)), case(floats(), None)],
    "moveaxis": [case(floats(2, 3, 4), 0, -1), case(floats(2, 3, 4), (0, 1), (-1, 0)), case(floats(2, 3), 1, 1)],
    "swapaxes": [case(floats(2, 3, 4), 0, -1), case(floats(2, 3), 0, 1)],
    "flip": [case(floats(2, 3)), case(floats(2, 3), 1), case(floats(2, 3, 2, 2), (0, -1)), case(floats(0, 3))],
    **each(("fliplr", "flipud"), [case(floats(2, 3)), case(ints(2, 3, 2))]),
    "rot90": [case(floats(2, 3), k) for k in (0, 1, 3, -1, 5)]
    + [case(floats(3, 3), 2), case(floats(2, 3, 4), axes=(1, 2)), case(floats(2, 3, 4), axes=(2, 0))],
    "roll": [case(floats(2, 3), 1), case(floats(2, 3), -2, axis=1), case(floats(2, 3, 4), (1, 2), axis=(0, -1))],
    "concatenate": [
        case([floats(2, 3), floats(1, 3)]),
        case([floats(2, 3), ints(2, 1)], axis=-1),
        case([floats(2), floats(0)]),
    ],
    "append": [
        case(floats(2, 3), floats(2)),
        case(floats(2, 3), floats(1, 3), axis=0),
        case(ints(2, 3), floats(2, 1), axis=-1),
    ],
    "stack": [
        case([floats(2, 3), floats(2, 3)]),
        case([floats(2, 3), ints(2, 3)], axis=-1),
        case([floats(), floats()]),
    ],
    "hstack": [case([floats(2), floats(3)]), case([floats(2, 1), floats(2, 3)])],
    "vstack": [case([floats(2, 3), floats(1, 3)]), case([floats(2), floats(3)])],
    "dstack": [
        case([floats(2), floats(2)]),
        case([floats(2, 3), floats(2, 3)]),
        case([floats(2, 3, 1), floats(2, 3, 2)]),
    ],
    "split": [
        case(floats(6, 2), 3),
        case(floats(2, 6), [2, 3], axis=1),
        case(floats(2, 6), 2, axis=-1),
        case(ints(4), 1),
    ],
    "array_split": [case(floats(7), 3), case(floats(2, 5), 4, axis=1), case(floats(2), 3)],
    "hsplit": [case(floats(2, 4), 2), case(floats(4), [1])],
    "vsplit": [case(floats(4, 2), 2), case(floats(4), 2)],
    "dsplit": [case(floats(2, 2, 4), 2), case(floats(1, 1, 3), [1])],
    "tile": [case(floats(2, 3), 2), case(floats(2), (2, 1)), case(floats(2, 3), (2, 2)), case(floats(), (2,))],
    "repeat": [
        case(floats(2, 3), 2),
        case(floats(2, 3), 3, axis=1),
        case(floats(2, 3), [1, 0], axis=0),
        case(floats(3), 0),
        case(floats(2), [2]),
    ],
    "pad": [
        case(floats(3), 1),
        case(floats(3), (1, 2)),
        case(floats(2, 3), ((1, 0), (0, 2))),
        case(floats(2, 3), ((1, 1), (2, 0)), constant_values=7),
        case(floats(4), 2, mode="reflect"),
        case(floats(2, 3), ((0, 0), (1, 2)), mode="symmetric"),
    ],
    "diag": [case(floats(3)), case(floats(2, 3), k=1), case(floats(2), k=-1), case(floats(3, 3))],
    "diagflat": [case(floats(2, 2)), case(floats(3), k=1), case(ints(2), k=-2)],
    "diagonal": [case(floats(2, 3)), case(floats(3, 2, 4), offset=1, axis1=0, axis2=2), case(floats(3, 3), offset=-1)],
    **each(
        ("tril", "triu"),
        [case(floats(3, 3)), case(floats(2, 3), k=1), case(floats(2, 3, 4), k=-1), case(ints(2, 2)), case(bools(3, 3))],
    ),
    # ---- creation ----
    "array": [case([1, 2]), case([1.5, 2]), case(floats(2, 3)), case(ints(2), "float32")],
    **each(
        ("zeros", "ones", "empty"),
        [case((2, 3)), case(4), case((2, 0), "int32"), case((), "bool"), case((2,), dtype="bfloat16")],
    ),
    "full": [case((2, 3), 7), case((2, 3), floats(3)), case((2,), 3, "int32"), case((), 1.5)],
    **each(
        ("zeros_like", "ones_like", "empty_like"),
        [case(floats(2, 3)), case(ints(2)), case(floats(0, 3), "int64"), case(floats(), dtype="bool")],
    ),
    "full_like": [
        case(floats(2, 3), 7),
        case(ints(2, 3), 2.7),
        case(floats(2, 3), floats(3)),
        case(floats(2), 1, dtype="int32"),
    ],
    "eye": [case(3), case(2, 3), case(3, 4, 1), case(3, k=-1), case(2, dtype="bool"), case(0)],
    "identity": [case(3), case(2, "int32")],
    "tri": [case(3), case(2, 3, 1), case(3, k=-1, dtype="int32")],
    "arange": [
        case(3),
        case(1, 4),
        case(0, 1, 0.25),
        case(3.0),
        case(5, 0, -2),
        case(3, dtype="float16"),
        case(np.int64(3)),
    ],
    "linspace": [
        case(0, 1, 5),
        case(0.0, 1.0, 4, endpoint=False),
        case(0, 10, 5, dtype="int32"),
        case(0, 10, 4, retstep=True),
        case(floats(2), floats(2), 3, axis=-1),
        case(floats(2), floats(3, 1), 3, axis=1),
        case(0, 1, 1),
        case(0, 1, 0),
    ],
    "logspace": [
        case(0, 2, 3),
        case(0, 2, 4, endpoint=False, base=2),
        case(0, 2, 3, dtype="int32"),
        case(floats(2), floats(2), 3, axis=1),
    ],
    "geomspace": [
        case(1, 8, 4),
        case(-1.0, -8.0, 4),
        case(1, 16, 4, endpoint=False),
        case(floats(2, low=1), floats(2, low=1), 3),
    ],
    "meshgrid": [
        case(floats(2), floats(3)),
        case(floats(2), floats(3), indexing="ij"),
        case(floats(2), floats(3), floats(4)),
        case(floats(), floats(3)),
    ],
    "vander": [case(floats(3)), case(ints(3), 2, increasing=True), case(floats(2), 4)],
    **each(("bartlett", "blackman", "hamming", "hanning"), [case(5), case(4), case(1)]),
    "kaiser": [case(5, 14.0), case(4, 0.5), case(1, 2.0)],
    # ---- products ----
    "matmul": [
        case(floats(2, 3), floats(3, 4)),
        case(floats(2, 2, 3), floats(3, 4)),
        case(floats(2, 3), floats(3)),
        case(floats(3), floats(2, 3, 4)),
        case(floats(3), floats(3)),
        case(ints(2, 3), ints(3, 2)),
        case(ints(2, 3, dtype="int8"), ints(3, 2, dtype="int8")),
        case(floats(0, 3), floats(3, 2)),
        case(bools(2, 3), bools(3, 2)),
    ],
    "dot": [
        *VECTORS,
        case(floats(2, 3), floats(3, 4)),
        case(floats(2, 3), 2.0),
        case(floats(2, 3, 4), floats(5, 4, 2)),
        case(ints(2, 2, dtype="int8"), ints(2, 2, dtype="int8")),
    ],
    "tensordot": [
        case(floats(2, 3, 4), floats(3, 4), 2),
        case(floats(2, 3), floats(3), 1),
        case(floats(2, 3), floats(3, 2), ([0], [1])),
        case(floats(2), floats(3), 0),
    ],
    "inner": [*VECTORS, case(floats(2, 3), floats(4, 3)), case(floats(2, 3), 2.0)],
    "vdot": [case(floats(3), floats(3)), case(floats(2, 3), floats(2, 3)), case(ints(3), ints(3))],
    "outer": [case(floats(2), floats(3)), case(floats(2, 2), ints(3)), case(2.0, floats(3))],
    "kron": [case(floats(2, 2), floats(3, 2)), case(floats(2), floats(3)), case(ints(2, 2), ints(1, 3))],
    "cross": [
        case(floats(2, 3), floats(2, 3)),
        case(floats(2, 3), floats(3)),
        case(floats(2), floats(2)),
        case(floats(4, 3), floats(2)),
        case(floats(3, 4), floats(3, 4), axis=0),
        case(floats(3, 4), floats(4, 3), axisa=0, axisc=0),
    ],
    "einsum": [
        case("ij,jk", floats(2, 3), floats(3, 4)),
        case("ij,jk->ki", floats(2, 3), ints(3, 4)),
        case("ii->i", floats(3, 3)),
        case("...ij->...ji", floats(2, 3, 4)),
        case("i,i,i->", floats(3), floats(3), floats(3)),
        case("ij->j", ints(2, 3)),
    ],
    "trace": [case(floats(3, 3)), case(floats(2, 2, 3), offset=1, axis1=0, axis2=2), case(ints(2, 2))],
    "slogdet": [case(floats(3, 3)), case(floats(2, 2, 2))],
    "diff": [
        case(floats(4)),
        case(floats(2, 3), n=2),
        case(floats(4, 2), axis=0),
        case(bools(5)),
        case(floats(3), n=0),
        case(ints(2), n=3),
    ],
    "trapezoid": [
        case(floats(4)),
        case(floats(2, 3), dx=0.5),
        case(floats(2, 3), floats(3)),
        case(floats(2, 3), floats(2), axis=0),
        case(ints(2, 3)),
    ],
    "correlate": [case(floats(5), floats(3), mode) for mode in ("valid", "same", "full")]
    + [case(floats(2), floats(4), "same"), case(ints(4), ints(2))],
    "corrcoef": [case(floats(3, 6)), case(ints(2, 5))],
}

# `vectorize` does not run on the reference's TensorFlow; `argpartition` gives an index twice there. NumPy is asked.
WITHOUT_ORACLE: Sequence[str] = ("argpartition", "vectorize")
