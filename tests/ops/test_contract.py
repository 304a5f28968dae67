"""Every op against the oracle, by the tables `*_rows.py`; the same eager, in graphs, under XLA and symbolic.

A table has `ROWS`, the calls of each op, and may name ops that depart: `XLA_CANNOT` and `SYMBOLIC_DIFFERS` with the
reason, `SHAPE_DEPENDS_ON_DATA`, `GRADIENT_DIFFERS`, and `WITHOUT_ORACLE`, ops that tests of their own hold against
something else. Ops that are not in `ops` itself are in the part of it that their table names as `NAMESPACE`.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import pytest

import nyala
from nyala import ops
from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from tests.ops import convolution_rows, core_rows, image_rows, linalg_rows, math_rows, nn_rows, numpy_rows
from tests.ops.cases import (
    Case,
    arrays_of,
    ask,
    call,
    dtypes,
    fill,
    gradients,
    leaves_of,
    numbers,
    specs,
    symbols,
)  # fmt: skip
from tests.oracle import assert_close, keras

TABLES: list[ModuleType] = [numpy_rows, core_rows, math_rows, linalg_rows, image_rows, nn_rows, convolution_rows]


def joined(name: str) -> dict[str, Any]:
    """What the tables say under one name, together."""
    found: dict[str, Any] = {}
    for table in TABLES:
        entries = getattr(table, name, {})
        entries = entries if isinstance(entries, dict) else dict.fromkeys(entries, "")
        twice = found.keys() & entries.keys()
        assert not twice, f"{table.__name__} repeats {twice}"
        found |= entries
    return found


ROWS: dict[str, list[Case]] = joined("ROWS")
XLA_CANNOT, SYMBOLIC_DIFFERS = joined("XLA_CANNOT"), joined("SYMBOLIC_DIFFERS")
SHAPE_DEPENDS_ON_DATA, WITHOUT_ORACLE = joined("SHAPE_DEPENDS_ON_DATA"), joined("WITHOUT_ORACLE")
GRADIENT_DIFFERS = joined("GRADIENT_DIFFERS")
NAMESPACE = {name: table.NAMESPACE for table in TABLES if hasattr(table, "NAMESPACE") for name in table.ROWS}


def find(library: Any, name: str) -> Any:
    """The op in `library.ops` or in the part of it to which its table belongs."""
    return getattr(getattr(library.ops, NAMESPACE[name]) if name in NAMESPACE else library.ops, name)


def test_every_op_has_a_row() -> None:
    families = {name for name in ops.__all__ if isinstance(getattr(ops, name), ModuleType)}
    apart = {name for namespace in {*NAMESPACE.values()} for name in getattr(ops, namespace).__all__}
    assert {*ROWS, *WITHOUT_ORACLE} == {*ops.__all__} - families | apart


@pytest.mark.parametrize("name", ROWS)
def test_value_dtype_and_gradient(name: str) -> None:
    ours, reference = find(nyala, name), find(keras, name)
    for number, case in enumerate(ROWS[name]):
        actual, (expected, by_reference) = call(ours, case), ask(reference, case)
        try:
            assert_close(numbers(actual), numbers(expected), rtol=2e-5, atol=2e-6)
            assert dtypes(actual) == dtypes(expected)
            if by_reference is not None and name not in GRADIENT_DIFFERS:
                assert_close(gradients(ours, case), by_reference, rtol=1e-4, atol=1e-5)
        except AssertionError as error:
            raise AssertionError(f"case {number} of {name}, {case}: {error}") from error


@pytest.mark.parametrize("name", ROWS)
def test_graph_and_xla_equal_eager(name: str) -> None:
    function = find(nyala, name)
    cases = [case for case in ROWS[name] if arrays_of(case)]
    if not cases:
        cases = ROWS[name]

    def all_cases(values: list[list[Any]]) -> list[Any]:
        return [leaves_of(call(function, fill(case, one))) for case, one in zip(cases, values, strict=True)]

    values = [[tf.constant(x) for x in arrays_of(case)] for case in cases]
    eager = all_cases(values)
    assert_close(numbers(tf.function(all_cases, autograph=False)(values)), numbers(eager))
    if name not in XLA_CANNOT:
        cases, values = cases[::3], values[::3]  # what XLA compiles, it compiles for every shape
        compiled = tf.function(all_cases, jit_compile=True, autograph=False)(values)
        assert_close(numbers(compiled), numbers(all_cases(values)), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ROWS)
def test_symbolic_shape_and_dtype(name: str) -> None:
    ours, reference = find(nyala, name), find(keras, name)
    for number, case in enumerate(ROWS[name]):
        if not arrays_of(case):
            continue
        known = specs(call(ours, symbols(case, KerasTensor, unknown=False)))
        eager = specs(call(ours, case))
        for (shape, dtype), (eager_shape, eager_dtype) in zip(known, eager, strict=True) if name != "ndim" else ():
            fits = len(shape) == len(eager_shape) and all(
                a in (None, b) for a, b in zip(shape, eager_shape, strict=True)
            )
            assert (fits, dtype) == (True, eager_dtype), f"case {number} of {name}: symbolic {shape} {dtype}, {eager}"
            assert None not in shape or name in SHAPE_DEPENDS_ON_DATA, f"case {number} of {name} lost {shape}"
        if name in SYMBOLIC_DIFFERS:
            continue
        actual = specs(call(ours, symbols(case, KerasTensor, unknown=True)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = specs(call(reference, symbols(case, keras.KerasTensor, unknown=True)))
        except (AttributeError, IndexError, TypeError, ValueError):
            continue  # the reference cannot say: mostly Python numbers among symbolic tensors
        assert actual == expected, f"case {number} of {name}"


@pytest.mark.parametrize("name", XLA_CANNOT)
def test_xla_still_cannot(name: str) -> None:
    case = ROWS[name][0]
    values = [tf.constant(x) for x in arrays_of(case)]
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError)):
        tf.function(
            lambda *values: call(find(nyala, name), fill(case, list(values))), jit_compile=True, autograph=False
        )(*values)
