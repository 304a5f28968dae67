"""The table of ops of conversion, control flow, scatter and slice: for each op its calls, with all options that matter."""

from __future__ import annotations

import numpy as np

from tests.ops.cases import INF, Case, bools, case, everywhere, floats, ints

XLA_CANNOT: dict[str, str] = {}
SYMBOLIC_DIFFERS: dict[str, str] = {}
# These take functions, or answer in Python: `test_core_ops.py` holds them against the reference.
WITHOUT_ORACLE = (
    "associative_scan",
    "cond",
    "convert_to_numpy",
    "custom_gradient",
    "dtype",
    "fori_loop",
    "is_tensor",
    "map",
    "scan",
    "shape",
    "switch",
    "vectorized_map",
    "while_loop",
)


def i32(*values: object) -> np.ndarray:
    return np.array(values, "int32")


WIDE = np.array([-INF, -300.0, -1.5, 0.0, 1.7, 300.0], "float32")  # beyond: see test_saturate_cast_keeps_to_the_ends
DTYPES = ("float16", "bfloat16", "float64", "int8", "int64", "uint8", "bool")
SLOTS = i32([0, 1], [1, 2], [0, 1])  # one place twice

ROWS: dict[str, list[Case]] = {
    "convert_to_tensor": [
        *everywhere(),
        case([1, 2]),
        case(1.5),
        case(True),
        case(floats(3), "float16"),
        case(ints(3), dtype="float32"),
    ],
    "cast": [
        *[case(floats(2, 3), dtype) for dtype in DTYPES],
        case(bools(3), "float32"),
        case(ints(), "float32"),
        case(floats(0, 3), "int32"),
        case(floats(2, 3), "float32"),
    ],
    "saturate_cast": [
        *[case(WIDE, dtype) for dtype in ("float16", "bfloat16", "float64", "int8", "uint8", "int16", "uint16")],
        case(ints(2, 3, low=-200, high=200), "int8"),
        case(ints(2, 3, low=-200, high=200), "uint8"),
        case(ints(4, low=0, high=200, dtype="uint8"), "int8"),
        case(bools(3), "int8"),
        case(floats(), "float16"),
        case(floats(0, 3), "int32"),
    ],
    "stop_gradient": everywhere(),
    "unstack": [
        case(floats(4)),
        case(floats(2, 3), 2),
        case(floats(2, 3), axis=-1),
        case(floats(2, 3), 3, 1),
        case(floats(2, 3, 1, 2), axis=2),
        case(floats(3, 2), num=3),
        case(ints(2, 3), axis=1),
        case(floats(0, 3), 0),
    ],
    "slice": [
        case(floats(4), [1], [2]),
        case(floats(2, 3), [0, 1], [2, 2]),
        case(floats(2, 3), (0, 1), (-1, 2)),
        case(floats(2, 3), i32(1, 0), (1, 3)),
        case(floats(2, 3), np.array([0, 1], "int64"), (2, 2)),
        case(floats(2, 3, 1, 2), [0, 1, 0, 1], [2, 2, 1, 1]),
        case(floats(2, 3), [0, 0], [2, 0]),
        case(ints(2, 3), [1, 1], [1, 1]),
        case(floats(2, 3), [0, np.int32(1)], [2, 2]),
    ],
    "slice_update": [
        case(floats(4), [1], floats(2)),
        case(floats(2, 3), [0, 1], floats(2, 2)),
        case(floats(2, 3), i32(1, 0), floats(1, 3)),
        case(floats(2, 3), i32(1, 2), floats(2, 2)),  # would reach outside
        case(floats(2, 3), [-1, -1], floats(1, 1)),
        case(floats(2, 3, 1, 2), [0, 1, 0, 1], floats(1, 2, 1, 1)),
        case(floats(2, 3), [0, 0], floats(0, 3)),
    ],
    "scatter": [
        case(SLOTS, floats(3), (3, 4)),
        case(i32([0], [2]), floats(2, 3), (3, 3)),
        case(i32([[0], [2]], [[1], [0]]), floats(2, 2, 3), (4, 3)),
        case([[1], [0]], floats(2), (3,)),
        case(i32([1], [1]).astype("int64"), ints(2), (3,)),
        case(np.zeros((0, 1), "int32"), floats(0, 2), (3, 2)),
        case(i32([1]), np.array([True]), (3,)),
        case(i32([0, 1, 1]), floats(1, 2), (2, 2, 2, 2)),
    ],
    "scatter_update": [
        case(floats(2, 3), i32([0, 1], [1, 2]), floats(2)),
        case(floats(3, 2), i32([2]), floats(1, 2)),
        case(floats(4), [[1], [0]], floats(2)),
        case(bools(4), i32([1]), bools(1)),
        case(floats(2, 3, 1, 2), i32([0, 2], [1, 0]).astype("int64"), floats(2, 1, 2)),
        *[
            case(x(*shape), places, updates, reduction=reduction)
            for reduction in ("add", "max", "min", "mul")
            for x, shape, places, updates in (
                (floats, (2, 3), SLOTS, floats(3)),
                (floats, (3, 2), i32([2], [2], [0]), floats(3, 2)),
                (floats, (3, 2, 2), i32([2, 0], [1, 1]), floats(2, 2)),
                (ints, (4,), i32([1], [1]), ints(2)),
            )
        ],
        case(np.array([1.0, 2.0], "float32"), i32([0], [0], [1]), np.array([1.0, 3.0, 2.0], "float32"), "max"),
        case(np.array([1.0, 2.0], "float32"), i32([0], [0], [1]), np.array([0.0, 3.0, 0.0], "float32"), "mul"),
    ],
}
