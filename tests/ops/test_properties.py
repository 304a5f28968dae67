"""As NumPy, on arrays that nobody chose: elementwise ops, reductions, sorting and indexing, each of them."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nyala import ops
from nyala.ops import arithmetic, comparison, elementwise, indexing, ordering, reductions, trigonometry
from tests.oracle import assert_close

# Sixteenths: sums and products of a few of them are exact, so NumPy and TensorFlow agree to the last digits.
NICE = st.integers(-64, 64).map(lambda number: number / 16)
SMALL = hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)
ARRAYS = hnp.arrays("float32", SMALL, elements=NICE)
FEW = settings(max_examples=20, deadline=None, derandomize=True)
ONE_BY_ONE = {"rtol": 2e-5, "atol": 1e-5}
ADDED_UP = {"rtol": 1e-4, "atol": 1e-4}  # roundings of many values

Arrays = dict[str, np.ndarray]


def forms(x: np.ndarray) -> Arrays:
    """An array in the forms that functions want."""
    special = x.copy()
    special.flat[::3], special.flat[1::3], special.flat[2::3] = np.nan, np.inf, -np.inf
    holes = np.where(np.abs(x) > 3, np.float32(np.nan), x)
    return {
        "any": x,
        "positive": np.abs(x) + np.float32(0.0625),
        "above one": np.abs(x) + np.float32(1),
        "inside one": x / np.float32(4.5),
        "not zero": np.where(x == 0, np.float32(1), x),
        "special": special,
        "holes": holes,
        "complex": x + 1j * x[::-1].astype("complex64"),
        "whole": (x * 16).astype("int32"),
        "bits": np.abs(x * 16).astype("int32"),
        "shift": (np.abs(x) % 7).astype("int32"),
        "true": x > 0,
    }


OF_ONE = {
    "any": """absolute abs fabs negative sign signbit square cbrt exp exp2 expm1 i0 ceil floor trunc round sin cos
        tan arctan sinh cosh tanh arcsinh sinc deg2rad rad2deg logical_not""",
    "positive": "sqrt log log10 log1p log2",
    "not zero": "reciprocal",
    "inside one": "arcsin arccos arctanh",
    "above one": "arccosh",
    "special": "isfinite isinf isnan isneginf isposinf nan_to_num",
    "complex": "real imag conj conjugate angle isreal",
    "bits": "bitwise_not bitwise_invert",
}
OF_TWO = {
    (
        "any",
        "any",
    ): """add subtract multiply maximum minimum fmax fmin arctan2 hypot logaddexp logaddexp2 heaviside equal
        not_equal less less_equal greater greater_equal isclose allclose""",
    ("any", "not zero"): "divide true_divide floor_divide mod fmod",
    ("positive", "inside one"): "power",
    ("any", "shift"): "ldexp",
    ("holes", "holes"): "fmax fmin",
    ("whole", "whole"): "gcd lcm",
    ("true", "true"): "logical_and logical_or logical_xor",
    ("bits", "bits"): "bitwise_and bitwise_or bitwise_xor",
    ("bits", "shift"): "left_shift right_shift bitwise_left_shift bitwise_right_shift",
    ("not zero", "any"): "nextafter",
}
REDUCTIONS = {  # with several axes, or None, and keepdims
    "any": "sum prod mean var std max min amax amin ptp all any median",
    "holes": "nansum nanprod nanmean nanvar nanstd nanmax nanmin nanmedian",
}
ALONG_ONE = {"any": "cumsum cumprod count_nonzero argmax argmin sort", "holes": "nancumsum nancumprod"}
ELSEWHERE = {  # in the tests below, by themselves
    *(
        "clip",
        "average",
        "nanargmax",
        "nanargmin",
        "argsort",
        "argpartition",
        "searchsorted",
        "digitize",
        "isin",
        "unique",
    ),
    *("quantile", "nanquantile", "percentile", "nanpercentile", "bincount", "histogram"),
    *("take", "take_along_axis", "unravel_index", "where", "nonzero", "select", "get_item"),
}
NOT_NUMPYS = {
    "view",
    "divide_no_nan",
    "vectorize",
}  # which its users test by rows of their own, or which take a function


def test_no_op_is_left_out() -> None:
    modules: list[types.ModuleType] = [
        arithmetic,
        comparison,
        elementwise,
        indexing,
        ordering,
        reductions,
        trigonometry,
    ]
    present = {
        name
        for module in modules
        for name, f in vars(module).items()
        if getattr(f, "__module__", "") == module.__name__
    }
    present &= set(dir(ops))
    listed = {
        name for table in (OF_ONE, OF_TWO, REDUCTIONS, ALONG_ONE) for names in table.values() for name in names.split()
    }
    assert present == listed | ELSEWHERE | NOT_NUMPYS


def numpys(name: str) -> Callable[..., Any]:
    """NumPy's function, in the float32 and without the warnings that people see."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(np, name)(*args, **kwargs)

    return call


def check(name: str, *args: Any, close: dict[str, float] = ONE_BY_ONE, **options: Any) -> None:
    found, expected = getattr(ops, name)(*args, **options), numpys(name)(*args, **options)
    try:
        assert_close(found, np.asarray(expected), **close)
    except AssertionError as error:
        raise AssertionError(f"{name}{args, options}: {error}") from error


@FEW
@given(ARRAYS)
def test_elementwise(x: np.ndarray) -> None:
    arrays = forms(x)
    for form, names in OF_ONE.items():
        for name in names.split():
            check(name, arrays[form])
    check("clip", x, -1.0, 2.0)


@FEW
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), st.data())
def test_two_arrays(shapes: Any, data: Any) -> None:
    one, other = (
        forms(data.draw(hnp.arrays("float32", shape or (1,), elements=NICE))) for shape in shapes.input_shapes
    )
    for (first, second), names in OF_TWO.items():
        for name in names.split():
            check(name, one[first], other[second])
    check("where", one["true"], one["any"], other["any"])
    check("select", [one["true"], other["true"]], [one["any"], other["any"]], 7.0)


@FEW
@given(ARRAYS, st.data())
def test_reductions(x: np.ndarray, data: Any) -> None:
    arrays = forms(x)
    axis = data.draw(st.one_of(st.none(), hnp.valid_tuple_axes(x.ndim, min_size=1)))
    keepdims = data.draw(st.booleans())
    for form, names in REDUCTIONS.items():
        for name in names.split():
            check(name, arrays[form], close=ADDED_UP, axis=axis, keepdims=keepdims)
    fraction = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
    for prefix, form in (("", "any"), ("nan", "holes")):
        check(f"{prefix}quantile", arrays[form], fraction, axis=axis, keepdims=keepdims)
        check(f"{prefix}percentile", arrays[form], 100 * fraction, axis=axis, keepdims=keepdims)


@FEW
@given(ARRAYS, st.data())
def test_along_one_axis(x: np.ndarray, data: Any) -> None:
    arrays = forms(x)
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    for form, names in ALONG_ONE.items():
        for name in names.split():
            check(name, arrays[form], axis=axis)
    check("average", x, axis=axis, weights=arrays["positive"])
    assert_close(ops.argsort(x, axis), np.argsort(x, axis, kind="stable"))
    kth = data.draw(st.integers(0, x.shape[axis] - 1))
    split = np.take_along_axis(x, ops.argpartition(x, kth, axis).numpy(), axis)
    assert_close(np.take(split, kth, axis), np.take(np.sort(x, axis), kth, axis))
    check("take_along_axis", x, np.argsort(x, axis, kind="stable").astype("int32"), axis=axis)
    some = np.where(np.isnan(arrays["holes"]).all(axis, keepdims=True), np.float32(0), arrays["holes"])
    check("nanargmax", some, axis=axis)
    check("nanargmin", some, axis=axis)


@FEW
@given(ARRAYS, ARRAYS)
def test_sorting(x: np.ndarray, other: np.ndarray) -> None:
    values, index, inverse, counts = ops.unique(x, return_index=True, return_inverse=True, return_counts=True)
    assert_close([values, index, counts], np.unique(x, return_index=True, return_counts=True))
    assert_close(values.numpy()[inverse.numpy()], x)
    edges = np.unique(other)
    for side in ("left", "right"):
        check("searchsorted", edges, x.ravel(), side=side)
    check("digitize", x, edges)
    check("isin", x, other)
    check("bincount", forms(x)["shift"].ravel())
    counts, edges = ops.histogram(x, 5, (-4.0, 4.0))
    assert_close([counts, edges], np.histogram(x, 5, (-4.0, 4.0)))
    places = np.arange(x.size, dtype="int32")
    assert_close(ops.unravel_index(places, x.shape), np.unravel_index(places, x.shape))


@FEW
@given(ARRAYS, st.data())
def test_indexing(x: np.ndarray, data: Any) -> None:
    for keys in (hnp.basic_indices(x.shape, allow_newaxis=True), hnp.integer_array_indices(x.shape)):
        key = data.draw(keys)
        assert_close(ops.get_item(x, key), x[key])
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    check("take", x, data.draw(hnp.arrays("int32", (3,), elements=st.integers(-size, size - 1))), axis=axis)
    check("take", x, data.draw(st.integers(-size, size - 1)), axis=axis)
    assert_close(ops.nonzero(x), np.nonzero(x))
