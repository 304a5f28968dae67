"""How a step should run: by a rule from what it is made of, the device and the work ahead.

Never by a race between two timings, so that the same program takes the same plan every time and can say why.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nyala.core.engine import tf
from nyala.core.tensor import FLOATS

# Operations that XLA on a CPU runs far slower than TensorFlow's own kernels do, worst inside a loop.
SLOW_IN_XLA_ON_CPU = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "FusedBatchNorm", "Cholesky", "Svd", "Qr", "FFT")
# Operations whose outputs have sizes that values decide, which XLA pads or compiles anew; and prints, which it leaves out.
UNLIKE_IN_XLA = ("Ragged", "SparseTensor", "SparseToDense", "Unique", "Where", "Print")
FREE = frozenset(("Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp"))  # not worth counting
# Measured on two cores with perceptrons, an autoencoder, a GAN and a transformer, graph against XLA: each operation is
# reached sooner; of large arrays, those that are fused are read once, and matrix products take less time, those by a
# transposed matrix a third.
SECONDS_SAVED, SECONDS_SAVED_A_VALUE, SECONDS_SAVED_A_PRODUCT = 2e-6, 2e-10, 8e-12
SECONDS_TO_COMPILE, SECONDS_TO_BEGIN = 3.5e-3, 0.3  # an operation, and at all
VALUES_AT_ONCE = 2**23  # of batches that run as one: 32 MB of floats, where more no longer pays
USUAL_ROWS = 32  # of a batch, where nobody knows before it comes
TURNS = 100  # of a loop in a step, which is one over time; how many there are is not known before it runs


@dataclass(frozen=True)
class Operations:
    """What a traced step is made of: kinds of operations, and how many there are to compile.

    And what one run comes to: operations, floats that they compute, and products of two numbers inside matrix products.
    """

    kinds: frozenset[str]
    written: int
    passed: int
    values: int = 0
    products: int = 0

    @property
    def seconds_saved(self) -> float:
        """By how much one run is faster under XLA."""
        saved = SECONDS_SAVED * max(self.passed, 1) + SECONDS_SAVED_A_VALUE * self.values
        return saved + SECONDS_SAVED_A_PRODUCT * self.products

    def first_of(self, prefixes: tuple[str, ...]) -> str | None:
        """The first kind that begins with one of `prefixes`."""
        return next((kind for kind in sorted(self.kinds) if kind.startswith(prefixes)), None)


@dataclass(frozen=True)
class Execution:
    """By which plan a step runs, and why; `enough` steps would change that, where more of them can.

    Batches are computed as one up to so many rows `together`.
    """

    mode: str
    reason: str
    enough: float = float("inf")
    together: int = 0

    def __str__(self) -> str:
        return f"{self.mode}: {self.reason}"


def choose(operations: Operations, jit_compile: Any, on_gpu: bool, steps: int | None) -> Execution:
    """The plan for a step made of `operations`, of which `steps` will run; None stands for an unknown number."""
    if jit_compile is False:
        return Execution("graph", "jit_compile=False")
    if jit_compile is True:
        return Execution("xla", "jit_compile=True")
    unlike = operations.first_of(UNLIKE_IN_XLA)
    if unlike:
        return Execution("graph", f"the step holds {unlike}, which XLA cannot compile as it is")
    slow = operations.first_of(SLOW_IN_XLA_ON_CPU)
    if slow and not on_gpu:
        return Execution("graph", f"the step holds {slow}, which TensorFlow's own kernels run faster on a CPU")
    cost = SECONDS_TO_BEGIN + SECONDS_TO_COMPILE * operations.written
    enough = cost / operations.seconds_saved
    if steps is None or steps < enough:
        known = "an unknown number of" if steps is None else str(steps)
        return Execution("graph", f"{known} steps do not earn back XLA's {cost:.1f} s of compiling", enough)
    if impossible := without_kernel(operations.kinds):
        return Execution("graph", f"the step holds {impossible}, which XLA cannot compile")
    return Execution("xla", f"{steps} steps are worth {cost:.1f} s of compiling, which pay from {enough:.0f} steps on")


def without_kernel(kinds: Iterable[str]) -> str | None:
    """The first kind of operation that XLA has no kernel for; those for a CPU stand for those of a GPU, as nearly all do."""
    return next((kind for kind in sorted(kinds) if not _has_kernel(kind)), None)


@functools.cache
def _has_kernel(kind: str) -> bool:
    from tensorflow.python.framework.kernels import get_registered_kernels_for_op

    _have_kernels_listed()
    return "XLA_CPU_JIT" in {kernel.device_type for kernel in get_registered_kernels_for_op(kind).kernel}


@functools.cache
def _have_kernels_listed() -> None:
    """XLA lists its kernels when it first compiles something."""
    tf.function(tf.negative, jit_compile=True)(tf.constant(1.0))


def choose_together(values: int, rows: int) -> Execution | None:
    """The plan for batches of so many values and rows that can be computed as one; None where one alone is large."""
    together = VALUES_AT_ONCE * rows // max(values, 1)
    if together < 2 * rows:
        return None
    return Execution("graph", f"no row depends on another: up to {together} run as one batch", together=together)


def operations_of(function: Any, rows: int = USUAL_ROWS) -> Operations:
    """The operations in a traced function and in the functions it calls, for batches of so many rows."""
    definition = function.graph.as_graph_def(add_shapes=True)
    library = {inner.signature.name: inner.node_def for inner in definition.library.function}
    kinds = {node.op for nodes in (definition.node, *library.values()) for node in nodes}
    return Operations(frozenset(kinds - library.keys() - FREE), *_count(definition.node, library, rows))


def _count(nodes: Iterable[Any], library: dict[str, Any], rows: int) -> list[int]:
    """How many operations there are, how many one run passes, and what it computes there: floats, and products."""
    nodes = list(nodes)
    sizes: dict[str, list[int]] = {}
    for node in nodes:
        sizes[node.name] = _sizes(node, rows, sizes)
    total = [0, 0, 0, 0]  # written, passed, values, products
    for node in nodes:
        if node.op in FREE:
            continue
        values = math.prod(sizes[node.name]) if sizes[node.name] else 0
        total = [total[0] + 1, total[1] + 1, total[2] + values, total[3] + values * _depth(node, sizes)]
        for name, value in node.attr.items():
            if value.HasField("func") and value.func.name in library:
                written, *passed = _count(library[value.func.name], library, rows)
                turns = TURNS if name == "body" else 1
                total = [total[0] + written, *[one + turns * more for one, more in zip(total[1:], passed, strict=True)]]
    return total


def _sizes(node: Any, rows: int, known: dict[str, list[int]]) -> list[int]:
    """The sizes of the first output; none where it is no tensor of floats.

    One that the graph leaves open is that of the batch, unless other axes were merged with it.
    """
    shapes = node.attr["_output_shapes"].list.shape
    if not shapes or (node.attr["T"].type or node.attr["dtype"].type) not in _FLOATS or node.op == "While":
        return []
    sizes = [dim.size for dim in shapes[0].dim]
    first = known.get(node.input[0].partition(":")[0]) if node.input else None
    if first and node.op == "Reshape" and sizes.count(-1) == 1:
        rows = math.prod(first) // max(1, -math.prod(sizes))
    elif first and node.op == "MatMul" and not node.attr["transpose_a"].b:
        rows = first[0]
    return [rows if size < 0 else size for size in sizes]


_FLOATS = {tf.as_dtype(name).as_datatype_enum for name in FLOATS}


def _depth(node: Any, sizes: dict[str, list[int]]) -> int:
    """Over how many products each value of a matrix product sums; 0 for other operations."""
    turned = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x"}.get(node.op)
    first = sizes.get(node.input[0].partition(":")[0]) if turned else None
    return first[-2 if node.attr[turned].b else -1] if first else 0
