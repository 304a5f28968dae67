"""How a step should run: by a rule from what it is made of, the device and the work ahead.

Never by a race between two timings, so that the same program takes the same plan every time and can say why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Operations that XLA on a CPU runs far slower than TensorFlow's own kernels do, worst inside a loop.
SLOW_IN_XLA_ON_CPU = ("Conv", "DepthwiseConv", "MaxPool", "AvgPool", "FusedBatchNorm", "Cholesky", "Svd", "Qr", "FFT")
# Operations that XLA cannot compile, or not with shapes known in advance.
NOT_IN_XLA = (
    *("PyFunc", "EagerPyFunc", "Iterator", "Optional", "Lookup", "String", "Unique", "Where", "Ragged", "Print"),
    "CudnnRNN",
    *("SparseAdd", "SparseConcat", "SparseReorder", "SparseReshape", "SparseSlice", "SparseTensor", "SparseToDense"),
)
FREE = frozenset(("Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp"))  # not worth counting
# Measured on a CPU with small arrays, where the way to a kernel costs more than the kernel: three to four millionths of
# a second an operation less under XLA, which takes about five thousandths an operation to compile, and half a second.
SECONDS_SAVED, SECONDS_TO_COMPILE, SECONDS_TO_BEGIN = 4e-6, 5e-3, 0.5
TURNS = 100  # of a loop in a step, which is one over time; how many there are is not known before it runs


@dataclass(frozen=True)
class Operations:
    """What a traced step is made of: kinds of operations, how many there are to compile, and how many one run passes."""

    kinds: frozenset[str]
    written: int
    passed: int

    def first_of(self, prefixes: tuple[str, ...]) -> str | None:
        """The first kind that begins with one of `prefixes`."""
        return next((kind for kind in sorted(self.kinds) if kind.startswith(prefixes)), None)


@dataclass(frozen=True)
class Execution:
    """By which plan a step runs, and why; `enough` steps would change that, where more of them can."""

    mode: str
    reason: str
    enough: float = float("inf")

    def __str__(self) -> str:
        return f"{self.mode}: {self.reason}"


def choose(operations: Operations, jit_compile: Any, on_gpu: bool, steps: int | None) -> Execution:
    """The plan for a step made of `operations`, of which `steps` will run; None stands for an unknown number."""
    if jit_compile is False:
        return Execution("graph", "jit_compile=False")
    if jit_compile is True:
        return Execution("xla", "jit_compile=True")
    impossible = operations.first_of(NOT_IN_XLA)
    if impossible:
        return Execution("graph", f"the step holds {impossible}, which XLA cannot compile")
    slow = operations.first_of(SLOW_IN_XLA_ON_CPU)
    if slow and not on_gpu:
        return Execution("graph", f"the step holds {slow}, which TensorFlow's own kernels run faster on a CPU")
    cost = SECONDS_TO_BEGIN + SECONDS_TO_COMPILE * operations.written
    enough = cost / (SECONDS_SAVED * max(operations.passed, 1))
    if steps is None or steps < enough:
        known = "an unknown number of" if steps is None else str(steps)
        return Execution("graph", f"{known} steps do not earn back XLA's {cost:.1f} s of compiling", enough)
    return Execution("xla", f"{steps} steps are worth {cost:.1f} s of compiling, which pay from {enough:.0f} steps on")


def operations_of(function: Any) -> Operations:
    """The operations in a traced function and in the functions it calls."""
    definition = function.graph.as_graph_def()
    library = {inner.signature.name: inner.node_def for inner in definition.library.function}
    kinds = {node.op for nodes in (definition.node, *library.values()) for node in nodes}
    return Operations(frozenset(kinds), *_count(definition.node, library))


def _count(nodes: Iterable[Any], library: dict[str, Any]) -> tuple[int, int]:
    """How many operations there are, and how many one run passes."""
    written = passed = 0
    for node in nodes:
        if node.op in FREE:
            continue
        written, passed = written + 1, passed + 1
        for name, value in node.attr.items():
            if value.HasField("func") and value.func.name in library:
                inner = _count(library[value.func.name], library)
                written += inner[0]
                passed += inner[1] * (TURNS if name == "body" else 1)
    return written, passed
