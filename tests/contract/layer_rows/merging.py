"""Rows of the layer contract: layers that make one tensor of several."""

from tests.contract.rows import Row, floats

TWO = [floats(3, 4), floats(3, 4) * 2]
ROWS = [
    *(Row(name, {}, TWO) for name in ("Subtract", "Multiply", "Maximum", "Minimum", "Concatenate")),
    *(Row(name, {}, TWO, empty=False) for name in ("Add", "Average")),
    Row("Add", {}, [floats(3, 4), floats(3, 1), floats(3, 4) * 2], empty=False),
    Row("Average", {}, [floats(3, 2, 4), floats(3, 4), floats(3, 1, 4)], empty=False),
    Row("Multiply", {}, [floats(3, 2, 4), floats(3, 4)]),
    Row("Concatenate", {"axis": 1}, [floats(3, 2, 4), floats(3, 5, 4)]),
    Row("Dot", {"axes": 1}, TWO),
    Row("Dot", {"axes": -1, "normalize": True}, [floats(3, 2, 4), floats(3, 5, 4)]),
    Row("Dot", {"axes": [2, 1]}, [floats(3, 2, 4), floats(3, 4, 5)]),
    Row("Dot", {"axes": [3, 1]}, [floats(3, 2, 2, 4), floats(3, 4, 5)]),
]
