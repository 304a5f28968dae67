"""Whether a traced step computes each row of its outputs from the same row of its inputs, and from nothing else.

Then it makes no difference how many rows come at once, and `predict` runs many batches as one. The answer follows from
what the operations of the step are; one that is not known here means no.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nyala.core import tree
from nyala.core.engine import tf

FIXED, SIZES, ROWS = "fixed", "sizes", "rows"  # the same for every batch; follows from its sizes; an entry for each row
READS = frozenset(("ReadVariableOp", "ResourceGather"))  # of all operations with a state, these leave it alone

ELEMENTWISE = """Abs Add AddV2 Cast ClipByValue Div DivNoNan Elu Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater
    GreaterEqual Identity IsFinite IsInf IsNan LeakyRelu Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr
    Maximum Minimum Mul MulNoNan Neg NotEqual OnesLike Pow RealDiv Reciprocal Relu Relu6 Round Rsqrt SelectV2 Selu
    Sigmoid Sign Softplus Softsign Sqrt Square SquaredDifference StopGradient Sub Tanh Xdivy Xlogy ZerosLike"""
OF_THE_FIRST = """AvgPool AvgPool3D BiasAdd Conv2D Conv3D DepthwiseConv2dNative FusedBatchNormV3 MatMul MaxPool MaxPool3D
    ResizeBilinear ResizeNearestNeighbor"""
REDUCTIONS = "All Any ArgMax ArgMin Cumsum Max Mean Min Prod Sum"


def keeps_rows_apart(function: Any) -> bool:
    """Whether each row of the outputs of a traced step depends on that row of its inputs alone, all of them dense."""
    given, returned = function.structured_input_signature, function.structured_outputs
    if not all(isinstance(leaf, (tf.Tensor, tf.TensorSpec)) for leaf in tree.flatten((given, returned))):
        return False
    graph = function.graph
    captured = {tensor.ref() for tensor in graph.internal_captures}
    kinds: dict[Any, str] = {}
    for operation in graph.get_operations():
        if operation.type == "Placeholder":
            tensor = operation.outputs[0]
            kind = FIXED if tensor.ref() in captured else ROWS if tensor.shape.rank else None
        else:
            kind = _kind_of(operation, [kinds[tensor.ref()] for tensor in operation.inputs])
        if kind is None:
            return False
        kinds.update((tensor.ref(), kind) for tensor in operation.outputs)
    return all(kinds[tensor.ref()] == ROWS for tensor in graph.outputs)


def _kind_of(operation: Any, kinds: list[str]) -> str | None:
    """What the outputs of an operation are, by what its inputs are; None where that is not known."""
    if operation.op_def.is_stateful and operation.type not in READS:
        return None
    if ROWS not in kinds:
        return SIZES if SIZES in kinds else FIXED
    if operation.type == "Shape":
        return SIZES
    rule = RULES.get(operation.type)
    return ROWS if rule is not None and rule(operation, kinds) else None


# ---- Rules: whether the outputs have an entry for each row, where some inputs have ----


def _broadcasts(operation: Any, kinds: list[str]) -> bool:
    """Rows meet rows of the same rank, or what is the same for all of them."""
    shapes = [tensor.shape for tensor in operation.inputs]
    ranks = {shape.rank for shape, kind in zip(shapes, kinds, strict=True) if kind == ROWS}
    if SIZES in kinds or len(ranks) != 1 or None in ranks:
        return False
    rank = ranks.pop()
    fixed = [shape for shape, kind in zip(shapes, kinds, strict=True) if kind == FIXED]
    return all(
        shape.rank is not None and (shape.rank < rank or (shape.rank == rank and shape[0] == 1)) for shape in fixed
    )


def _only_first(operation: Any, kinds: list[str]) -> bool:
    return kinds[0] == ROWS and set(kinds[1:]) <= {FIXED} and not _attribute(operation, "is_training", "transpose_a")


def _products(operation: Any, kinds: list[str]) -> bool:
    return operation.outputs[0].shape.rank >= 3 and _broadcasts(operation, kinds)


def _einsum(operation: Any, kinds: list[str]) -> bool:
    """Rows have the first letter of their terms and of the result, or the first axis that an ellipsis stands for."""
    terms, result = operation.get_attr("equation").decode().split("->")
    terms = list(zip(terms.split(","), operation.inputs, kinds, strict=True))
    rows = [(term, tensor) for term, tensor, kind in terms if kind == ROWS]
    others = "".join(term for term, _, kind in terms if kind != ROWS)
    hidden = all((tensor.shape.rank or 0) > len(term.replace(".", "")) for term, tensor in rows)
    return {term[:1] for term, _ in rows} == {result[:1]} and result[0] not in others and (hidden or result[0] != ".")


def _softmax(operation: Any, kinds: list[str]) -> bool:
    return (operation.outputs[0].shape.rank or 0) > 1


def _reshape(operation: Any, kinds: list[str]) -> bool:
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    if kinds[0] != ROWS or not before.rank or not after.rank or after[0] is not None:
        return False
    sizes, changed = before[1:], after[1:]
    return sizes.is_fully_defined() and changed.is_fully_defined() and math.prod(sizes) == math.prod(changed)


def _along(place: int, more: int = 0) -> Callable[[Any, list[str]], bool]:
    """The axes that input `place` holds are other than that of the rows; `more` axes come with the operation."""

    def rule(operation: Any, kinds: list[str]) -> bool:
        axes = list(operation.inputs)[place]
        rows = [tensor for tensor, kind in zip(operation.inputs, kinds, strict=True) if kind == ROWS]
        others = [kind for kind in kinds if kind != ROWS]
        return others == [FIXED] and _are_inner(tf.get_static_value(axes), rows[0].shape.rank, more)

    return rule


def _along_attribute(name: str, more: int = 0) -> Callable[[Any, list[str]], bool]:
    def rule(operation: Any, kinds: list[str]) -> bool:
        axes = operation.get_attr(name)
        return _only_rows(operation, kinds) and _are_inner(axes, operation.inputs[0].shape.rank, more)

    return rule


def _only_rows(operation: Any, kinds: list[str]) -> bool:
    return set(kinds) == {ROWS}


def _are_inner(axes: Any, rank: int | None, more: int) -> bool:
    """Whether axes are known, some, and none is the first of `rank + more`."""
    if axes is None or not rank:
        return False
    axes = [axes] if isinstance(axes, int) or getattr(axes, "ndim", 1) == 0 else list(axes)
    return bool(axes) and all(int(axis) % (rank + more) != 0 for axis in axes)


def _first_entry(place: int, *allowed: Any) -> Callable[[Any, list[str]], bool]:
    """What input `place` says of the first axis leaves the rows alone."""

    def rule(operation: Any, kinds: list[str]) -> bool:
        value = tf.get_static_value(operation.inputs[place])
        if value is None or kinds[0] != ROWS or set(kinds[1:]) != {FIXED}:
            return False
        return len(value) > 0 and value[0].tolist() in allowed

    return rule


def _slice(operation: Any, kinds: list[str]) -> bool:
    whole = all(operation.get_attr(mask) & 1 for mask in ("begin_mask", "end_mask"))
    other = any(operation.get_attr(mask) & 1 for mask in ("shrink_axis_mask", "new_axis_mask", "ellipsis_mask"))
    return whole and not other and _first_entry(3, 1)(operation, kinds)


def _gather(operation: Any, kinds: list[str]) -> bool:
    """Rows of numbers look up entries of a table, or fixed numbers look up entries inside rows."""
    if operation.get_attr("batch_dims"):
        return False
    if operation.type == "ResourceGather":
        return kinds == [FIXED, ROWS]
    axis = tf.get_static_value(operation.inputs[2])
    if kinds == [ROWS, FIXED, FIXED]:
        return _are_inner(axis, operation.inputs[0].shape.rank, 0)
    return kinds == [FIXED, ROWS, FIXED] and axis == 0


def _transposed_convolution(operation: Any, kinds: list[str]) -> bool:
    """Its sizes must have the rows of what it turns back."""
    return kinds == [SIZES, FIXED, ROWS]


def _attribute(operation: Any, *names: str) -> bool:
    return any(operation.get_attr(name) for name in names if name in operation.node_def.attr)


RULES: dict[str, Callable[[Any, list[str]], bool]] = {
    **dict.fromkeys(ELEMENTWISE.split(), _broadcasts),
    **dict.fromkeys(OF_THE_FIRST.split(), _only_first),
    **dict.fromkeys(REDUCTIONS.split(), _along(1)),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _first_entry(1, [0, 0])),
    **dict.fromkeys(("GatherV2", "ResourceGather"), _gather),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _transposed_convolution),
    "BatchMatMulV2": _products,
    "ConcatV2": _along(-1),
    "Einsum": _einsum,
    "IdentityN": _only_rows,
    "ExpandDims": _along(1, more=1),
    "Pack": _along_attribute("axis", more=1),
    "Reshape": _reshape,
    "ReverseV2": _along(1),
    "Split": _along(0),
    "Squeeze": _along_attribute("squeeze_dims"),
    "StridedSlice": _slice,
    "Tile": _first_entry(1, 1),
    "Transpose": _first_entry(1, 0),
    "Unpack": _along_attribute("axis"),
}
