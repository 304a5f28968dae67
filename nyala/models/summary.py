"""`model.summary()`: a table of layers, shapes and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from nyala.core import tensor
from nyala.core.graph import Node, Operation
from nyala.core.layer import Layer
from nyala.core.tensor import is_shape
from nyala.core.variable import Variable


def print_summary(
    model: Any,
    line_length: int | None,
    print_fn: Callable[[str], Any] | None,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Any,
) -> None:
    """Print the table and the totals, or hand the text to `print_fn`."""
    console = Console(width=line_length or 80, highlight=False, markup=False, record=False)
    with console.capture() as captured:
        console.print(f'Model: "{model.name}"', style="bold")
        console.print(_table(model, expand_nested, show_trainable, layer_range))
        for line in _totals(model):
            console.print(line)
    text = captured.get().rstrip("\n")
    (print_fn or print)(text)


def _table(model: Any, expand_nested: bool, show_trainable: bool, layer_range: Any) -> Table:
    connected = _is_branched(model)
    table = Table(show_lines=True)
    table.add_column("Layer (type)")
    table.add_column("Output Shape")
    table.add_column("Param #", justify="right")
    if connected:
        table.add_column("Connected to")
    if show_trainable:
        table.add_column("Trainable", justify="center")
    for operation, depth in _rows(model, expand_nested, layer_range):
        cells = [
            "   " * depth + f"{operation.name} ({_type_name(operation)})",
            _shape(operation),
            _parameters(operation),
        ]
        if connected:
            cells.append(_sources(operation, model))
        if show_trainable:
            weights = getattr(operation, "weights", [])
            cells.append("-" if not weights else "Y" if operation.trainable else "N")  # type: ignore[attr-defined]
        table.add_row(*cells)
    return table


def _type_name(operation: Operation) -> str:
    function = getattr(operation, "function", None)
    if function is None:
        return type(operation).__name__
    return "".join(part.capitalize() for part in function.__name__.split("_"))


def _rows(model: Any, expand_nested: bool, layer_range: Any, depth: int = 0) -> Iterator[tuple[Operation, int]]:
    operations = list(getattr(model, "operations", model.layers))
    for operation in _between(operations, layer_range):
        yield operation, depth
        if expand_nested and hasattr(operation, "layers"):
            yield from _rows(operation, expand_nested, None, depth + 1)


def _between(operations: list[Operation], layer_range: Any) -> list[Operation]:
    """The operations from the first named layer to the second."""
    if not layer_range:
        return operations
    names = [operation.name for operation in operations]
    missing = [name for name in layer_range if name not in names]
    if missing:
        raise ValueError(f"layer_range names {missing[0]!r}, but the layers are {names}.")
    start, stop = sorted(names.index(name) for name in layer_range)
    return operations[start : stop + 1]


def _is_branched(model: Any) -> bool:
    """Whether the graph is more than a line, so that it is worth saying what is connected to what."""
    operations = getattr(model, "operations", None)
    if operations is None:
        return False
    return any(
        len(node.input_tensors) > 1 or len(op.inbound_nodes) > 1 for op in operations for node in op.inbound_nodes
    )


def _shape(operation: Operation) -> str:
    try:
        shapes = operation.output_shape if isinstance(operation, Layer) else operation.output.shape
    except AttributeError:
        return "?" if not operation.inbound_nodes else "multiple"
    return str(shapes) if is_shape(shapes) else ", ".join(map(str, _flat_shapes(shapes)))


def _flat_shapes(shapes: Any) -> list[Any]:
    """The shapes in a structure of them."""
    if is_shape(shapes):
        return [shapes]
    return [leaf for item in (shapes.values() if isinstance(shapes, dict) else shapes) for leaf in _flat_shapes(item)]


def _parameters(operation: Operation) -> str:
    if not isinstance(operation, Layer):
        return "0"
    return f"{operation.count_params():,}" if operation.built else "0 (unbuilt)"


def _sources(operation: Operation, model: Any) -> str:
    inside: set[int] = {id(node) for node in getattr(model, "_nodes", [])}
    nodes: list[Node] = [node for node in operation.inbound_nodes if id(node) in inside]
    names = []
    for node in nodes:
        for x in node.input_tensors:
            source, node_index, tensor_index = x._keras_history
            names.append(f"{source.name}[{node_index}][{tensor_index}]")
    return ", ".join(names) or "-"


def _totals(model: Any) -> Iterator[str]:
    if not model.built:
        yield " The model is not built yet: call it on data or `build()` it to see its parameters."
        return
    trainable, frozen = model.trainable_weights, model.non_trainable_weights
    optimizer = list(getattr(model.optimizer, "variables", [])) if model.optimizer is not None else []
    yield f" Total params: {_amount([*trainable, *frozen, *optimizer])}"
    yield f" Trainable params: {_amount(trainable)}"
    yield f" Non-trainable params: {_amount(frozen)}"
    if optimizer:
        yield f" Optimizer params: {_amount(optimizer)}"


def _amount(variables: list[Variable]) -> str:
    """`1,234 (4.82 KB)`"""
    count = sum(tensor.size_of(v.shape) for v in variables)  # pyright: ignore[reportArgumentType]
    size = float(sum(tensor.size_of(v.shape) * _item_size(v.dtype) for v in variables))  # pyright: ignore[reportArgumentType]
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            return f"{count:,} ({size:.2f} {unit})"
        size /= 1024
    return str(count)


def _item_size(dtype: str) -> float:
    return {"bfloat16": 2, "bool": 1, "int4": 0.5, "uint4": 0.5}.get(dtype) or (
        1 if dtype.startswith("float8") else np.dtype(dtype).itemsize
    )
