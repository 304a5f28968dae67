"""The oracle: the one place in this project that imports Keras.

Nyala promises the numbers of the reference, so tests ask the reference for them: they call it and compare. It is
called only, on its TensorFlow backend, and `nyala` itself never imports it. Tests write
`from tests.oracle import assert_close, keras`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"  # read once, by the import below

import keras
import numpy as np

__all__ = ["assert_close", "keras", "to_numpy"]


def to_numpy(tree: Any) -> Any:
    """The same structure of mappings, lists and tuples, with an array for each tensor, variable or number."""
    if isinstance(tree, Mapping):
        return {key: to_numpy(value) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        values = [to_numpy(value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)  # named tuples
    if tree is None:
        return None
    return np.asarray(tree.numpy() if hasattr(tree, "numpy") else tree)


def assert_close(actual: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Compare two structures leaf by leaf: same keys and lengths, same shapes, values within the tolerances.

    Floats are compared in double precision, NaN equals NaN; whole numbers, booleans and strings must be equal. The
    message names the path of the leaf that differs. Dtypes are not compared.
    """
    _compare(to_numpy(actual), to_numpy(expected), "", rtol, atol)


def _compare(actual: Any, expected: Any, path: str, rtol: float, atol: float) -> None:
    place = f"at {path}" if path else "in the value"
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or actual.keys() != expected.keys():
            raise AssertionError(f"{place}: expected the keys {list(expected)} but got {_outline(actual)}")
        for key in expected:
            _compare(actual[key], expected[key], f"{path}[{key!r}]", rtol, atol)
    elif isinstance(expected, list | tuple):
        # Lists and tuples pass for each other: which of them it is, is no question of numbers.
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            raise AssertionError(f"{place}: expected {len(expected)} values but got {_outline(actual)}")
        for index, (one, other) in enumerate(zip(actual, expected, strict=True)):
            _compare(one, other, f"{path}[{index}]", rtol, atol)
    elif expected is None or not isinstance(actual, np.ndarray):
        if actual is not expected:
            raise AssertionError(f"{place}: expected {_outline(expected)} but got {_outline(actual)}")
    else:
        _compare_arrays(actual, expected, place, rtol, atol)


def _compare_arrays(actual: np.ndarray, expected: np.ndarray, place: str, rtol: float, atol: float) -> None:
    if actual.shape != expected.shape:
        raise AssertionError(f"{place}: expected shape {expected.shape} but got {actual.shape}")
    actual, expected = _in_double(actual), _in_double(expected)
    if {actual.dtype.kind, expected.dtype.kind} & {"f", "c"}:
        wrong = ~np.isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
    else:
        wrong = np.asarray(actual != expected)
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{place}: {int(wrong.sum())} of {wrong.size} values differ (rtol={rtol}, atol={atol}), "
            f"first at {first}: expected {expected[first]} but got {actual[first]}"
        )


def _in_double(array: np.ndarray) -> np.ndarray:
    # Kind "V" is how NumPy sees bfloat16 and the other small types that are not its own.
    return array.astype(np.float64) if array.dtype.kind in "fV" else array


def _outline(value: Any) -> str:
    if isinstance(value, dict):
        return f"a mapping with the keys {list(value)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"an array of shape {value.shape}"
