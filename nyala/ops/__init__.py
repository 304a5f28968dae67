"""Operations: one function per op, here and, by family, in `ops.numpy`, `ops.nn`, `ops.linalg`; images in `ops.image` only."""

from __future__ import annotations

from nyala.core.tensor import operators

# ---- The families: add a line here and one below for each ----
from nyala.ops import control, core, elementwise, image, linalg, math, nn, numpy
from nyala.ops.control import *  # noqa: F403
from nyala.ops.core import *  # noqa: F403
from nyala.ops.linalg import *  # noqa: F403
from nyala.ops.math import *  # noqa: F403
from nyala.ops.nn import *  # noqa: F403
from nyala.ops.numpy import *  # noqa: F403

__all__ = ["image", "linalg", "nn", "numpy"]
__all__ += control.__all__
__all__ += core.__all__
__all__ += linalg.__all__
__all__ += math.__all__
__all__ += nn.__all__
__all__ += numpy.__all__
__all__.sort()

# What Python's operators call on a KerasTensor or a Variable: the op of the same name.
operators.update({name: getattr(numpy, name) for name in (
    "add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "power", "matmul",
    "logical_and", "logical_or", "logical_xor", "logical_not",
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
    "negative", "absolute", "round", "get_item", "reshape", "squeeze",
)})  # fmt: skip
operators["positive"] = elementwise.positive
