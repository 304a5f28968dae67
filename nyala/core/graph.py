"""Symbolic calls: `@op`, the record of who called what on which `KerasTensor`, and its replay.

`@op` does one thing: where an argument is symbolic it records a node instead of computing. The shape and dtype of
the result come from running the function once in a scratch graph, with unknown dimensions kept unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from nyala.core import tree
from nyala.core.config import Configurable
from nyala.core.engine import tf
from nyala.core.remat import remat
from nyala.core.settings import floatx, image_data_format
from nyala.core.tensor import KerasTensor, is_symbolic, mask_of, symbols_of
from nyala.core.tracking import auto_name

F = TypeVar("F", bound=Callable[..., Any])
_SYMBOL_OR_STRUCTURE = (KerasTensor, list, tuple, dict)
_PLAIN = frozenset((tf.__internal__.EagerTensor, int, float, bool, str, type(None)))


def any_symbolic(arguments: Iterable[Any]) -> bool:
    """Whether a KerasTensor stands among `arguments` or inside their lists, tuples and dicts."""
    for argument in arguments:
        if isinstance(argument, _SYMBOL_OR_STRUCTURE) and (
            isinstance(argument, KerasTensor)
            or any_symbolic(argument.values() if isinstance(argument, dict) else argument)
        ):
            return True
    return False


def op(function: F) -> F:
    """Make `function`, which computes on tensors, also work on symbolic ones: there its call is recorded.

    Where the function has another way to compute on sparse tensors, that is its attribute `of_sparse`.
    """
    of_sparse = getattr(function, "of_sparse", function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        compute = function
        for x in (*args, *kwargs.values()) if kwargs else args:  # in plain words: every eager call passes here
            kind = type(x)
            if kind in _PLAIN:
                continue
            if isinstance(x, _SYMBOL_OR_STRUCTURE):
                if any_symbolic((x,)):
                    return FunctionCall(call)(*args, **kwargs)
            elif kind is tf.SparseTensor:  # `isinstance` would cost ten times as much
                compute = of_sparse
        try:
            return compute(*args, **kwargs)
        except Exception as error:
            _say_what_is_not_dense(function.__name__, (args, kwargs), error)
            raise

    return call  # pyright: ignore[reportReturnType]


class NotDenseError(TypeError):
    """A function for dense tensors got sparse or ragged ones."""


def _say_what_is_not_dense(name: str, arguments: Any, error: Exception) -> None:
    """Raise a sentence about the sparse or ragged tensors among `arguments`, if TensorFlow's error is about their kind."""
    kinds = {type(x) for x in tree.flatten(arguments)} & {tf.SparseTensor, tf.RaggedTensor}
    said = str(error) if kinds and not isinstance(error, NotDenseError) else ""
    if any(kind.__name__ in said for kind in kinds) or "is not uniform" in said:
        kind = "sparse" if tf.SparseTensor in kinds else "ragged"
        raise NotDenseError(
            f"`{name}` cannot compute on these {kind} tensors; make them dense with "
            f"`ops.convert_to_tensor(x, {kind}=False)`."
        ) from error


class Node:
    """One recorded call: an operation, its arguments and the symbolic tensors that came out."""

    def __init__(self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> None:
        self.operation = operation
        self.args = args
        self.kwargs = kwargs
        self.outputs = outputs
        self.input_tensors: list[KerasTensor] = [x for x in tree.flatten((args, kwargs)) if is_symbolic(x)]
        self.output_tensors: list[KerasTensor] = [x for x in tree.flatten(outputs) if is_symbolic(x)]
        index = len(operation.inbound_nodes)
        operation.inbound_nodes.append(self)
        for place, output in enumerate(self.output_tensors):
            output._keras_history = (operation, index, place)
            output.node = self

    @property
    def is_input(self) -> bool:
        """Whether the node starts a graph instead of continuing one."""
        return not self.input_tensors

    def __repr__(self) -> str:
        return f"<Node of {self.operation.name}>"


class Operation(Configurable):
    """Whatever can be called in a graph: a layer, or a function with a name of its own."""

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"A name is a string, but got {name!r}.")
        self.name = name or auto_name(type(self).__name__)
        self.inbound_nodes: list[Node] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute, or record the call where an argument is symbolic."""
        if any_symbolic(args) or any_symbolic(kwargs.values()):
            return self.symbolic_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the operation computes; a subclass says what."""
        raise TypeError(f"{type(self).__name__} `{self.name}` defines no `call` method, so it cannot be called.")

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """Record a call and return symbolic outputs."""
        return record(self, args, kwargs, self.compute_output_spec(*args, **kwargs))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes that a call gives, as KerasTensors: found by tracing `call` once."""
        return trace(self.call, args, kwargs)

    def rematerialized_call(self, layer_call: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """`layer_call` made to forget what it computes on the way and to compute it again for gradients."""
        return remat(layer_call)

    def quantized_call(self, *args: Any, **kwargs: Any) -> Any:
        """The call with quantized weights; an operation that can be quantized says how."""
        raise NotImplementedError(f"{type(self).__name__} `{self.name}` has no weights that could be quantized.")

    @property
    def input(self) -> Any:
        """The symbolic tensor, or structure of them, that the operation was called on."""
        return self._only_node("input").args[0]

    @property
    def output(self) -> Any:
        """The symbolic tensor, or structure of them, that the call gave."""
        return self._only_node("output").outputs

    def _only_node(self, what: str) -> Node:
        if len(self.inbound_nodes) != 1:
            raise AttributeError(
                f"`{self.name}` was called {len(self.inbound_nodes)} times on symbolic tensors, so it has no single "
                f"{what}; use `Model.{what}s`, or keep what the call returned."
            )
        return self.inbound_nodes[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


class FunctionCall(Operation):
    """A function, an op of ours or one of TensorFlow's, as one operation of a graph."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        super().__init__(name or auto_name(getattr(function, "__name__", "function")))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """As for any operation; what a function gives is found once for arguments that look the same."""
        look = _look_of(args, kwargs)
        if look is None:
            return trace(self.function, args, kwargs)
        seen = _seen.setdefault(self.function, {})
        if look not in seen:
            if len(seen) >= MOST_LOOKS:
                seen.clear()
            seen[look] = trace(self.function, args, kwargs)
        return tree.map_structure(lambda x: KerasTensor(**_traits(x)) if is_symbolic(x) else x, seen[look])


MOST_LOOKS = 1000  # of one function: more models than that differ, and memory stays flat
_seen: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()  # function → look of the arguments → its results


def _look_of(*arguments: Any) -> Any:
    """All that a result's shapes and dtypes can depend on, to be a key; None where it is more than traits and constants."""
    look: list[Any] = [floatx(), image_data_format(), tree.structure_of(arguments)]
    for leaf in tree.flatten(arguments):
        if is_symbolic(leaf):
            look.append(tuple(_traits(leaf).values()))
            continue
        parts = (leaf.start, leaf.stop, leaf.step) if isinstance(leaf, slice) else (leaf,)
        if not all(isinstance(part, _CONSTANTS) for part in parts):
            return None
        look += (type(leaf), *map(type, parts), *parts)
    return tuple(look)


_CONSTANTS = (bool, int, float, str, tf.DType, type(None), type(...))


def _traits(x: KerasTensor) -> dict[str, Any]:
    names = ("shape", "dtype", "sparse", "ragged", "ragged_rank", "row_splits_dtype")
    return {name: getattr(x, name) for name in names}


def record(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Any:
    """Note that `operation` was called and return its symbolic outputs."""
    Node(operation, args, kwargs, outputs)
    return outputs


# ---- Tracing: shapes and dtypes without shape rules ----


def spec_of(x: KerasTensor, name: str | None = None) -> Any:
    """The TensorFlow type that a KerasTensor stands for; a dense one may carry a name."""
    if x.sparse:
        return tf.SparseTensorSpec(x.shape, x.dtype)
    if x.ragged:
        return tf.RaggedTensorSpec(x.shape, x.dtype, ragged_rank=x.ragged_rank, row_splits_dtype=x.row_splits_dtype)
    return tf.TensorSpec(x.shape, x.dtype, name)


def symbol_of(x: Any) -> Any:
    """The KerasTensor that stands for a TensorFlow tensor of a graph; anything else as it is."""
    if isinstance(x, tf.SparseTensor):
        return KerasTensor(x.shape.as_list(), x.dtype, sparse=True)
    if isinstance(x, tf.RaggedTensor):
        rank, splits = x.ragged_rank, x.row_splits.dtype.name
        return KerasTensor(x.shape.as_list(), x.dtype, ragged=True, ragged_rank=rank, row_splits_dtype=splits)
    if isinstance(x, (tf.Tensor, tf.Variable)) or hasattr(x, "__tf_tensor__"):
        x = tf.convert_to_tensor(x)
        if x.shape.rank is None:
            raise ValueError(
                "The rank of a symbolic result could not be found; give the function tensors of known rank, or call "
                "`tf.ensure_shape` on its result."
            )
        return KerasTensor(x.shape.as_list(), x.dtype)
    return x


def _placeholder(x: Any) -> Any:
    if not is_symbolic(x):
        return x
    if x.sparse:
        return tf.compat.v1.sparse_placeholder(x.dtype, x.shape)
    if x.ragged:
        return tf.compat.v1.ragged.placeholder(x.dtype, x.ragged_rank, x.shape[x.ragged_rank + 1 :])
    symbol = tf.compat.v1.placeholder(x.dtype, x.shape)
    mask = mask_of(x)
    if mask is not None:
        symbol._keras_mask = _placeholder(mask)
    return symbol


class SymbolicScope:
    """Inside, tensors have shapes and dtypes but no values: what is called is written into a scratch graph.

    Example:
        >>> import nyala
        >>> with nyala.SymbolicScope():
        ...     print(nyala.ops.ones((2, 3)).shape)
        (2, 3)
    """

    def __enter__(self) -> SymbolicScope:
        self._scratch = tf.__internal__.FuncGraph("scratch").as_default()
        self._scratch.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._scratch.__exit__(*error)


def trace(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call `function` in a scratch graph, with a placeholder for each KerasTensor, and return symbols of its results."""
    with SymbolicScope():
        args, kwargs = tree.map_structure(_placeholder, (args, dict(kwargs)))
        return tree.map_structure(symbol_of, function(*args, **kwargs))


# ---- Any `tf.*` function on symbolic tensors ----


def _install_dispatch() -> None:
    """Have TensorFlow hand us each call of its functions that has a KerasTensor among its arguments."""
    from tensorflow.python.util import dispatch

    class Dispatcher(dispatch.GlobalOpDispatcher):
        def handle(self, op: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if any_symbolic(args) or any_symbolic(kwargs.values()):
                return FunctionCall(op)(*args, **kwargs)
            return self.NOT_SUPPORTED

    dispatch.register_dispatchable_type(KerasTensor)
    Dispatcher().register()


_install_dispatch()


# ---- Replay ----


def nodes_between(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[Node]:
    """The nodes that lead from `inputs` to `outputs`, each behind those it needs.

    Farther from the outputs comes first; at equal distance, what is met first on the way back from the outputs. This
    is the order of `model.layers`, hence of weights in files. Inputs that lead nowhere stand before the last ones.
    """
    starts = {id(x) for x in inputs}
    finished: list[Node] = []
    met: dict[int, int] = {}  # operation → when it was first met on the way back
    seen: set[int] = set()
    stack = [(x, False) for x in reversed(outputs)]
    while stack:
        x, needed_are_finished = stack.pop()
        node = x.node
        if node is None or (id(x) in starts and not node.is_input):
            continue
        if needed_are_finished:
            finished.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            met.setdefault(id(node.operation), len(met))
            stack.append((x, True))
            stack.extend((needed, False) for needed in reversed(node.input_tensors))
    depth: dict[int, int] = {}  # of a node and of an operation: calls of one operation are no less deep than later ones
    for node in reversed(finished):
        mine = max(depth.get(id(node), 0), depth.get(id(node.operation), 0))
        depth[id(node)] = depth[id(node.operation)] = mine
        for x in node.input_tensors:
            if x.node is not None and id(x.node) in seen:
                depth[id(x.node)] = max(depth.get(id(x.node), 0), mine + 1)
    unused = [x.node for x in inputs if x.node is not None and x.node.is_input and id(x.node) not in seen]
    return sorted(unused + finished, key=lambda n: (-depth.get(id(n), 0), met.get(id(n.operation), -1)))


class Function(Operation):
    """A recorded graph as something to call: `outputs` computed anew from values for `inputs`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> x = nyala.KerasTensor((None, 2))
        >>> double = nyala.Function(x, x * 2.0)
        >>> double(np.ones((1, 2), "float32")).numpy().tolist()
        [[2.0, 2.0]]
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name=name)
        self._inputs_struct, self._outputs_struct = inputs, outputs
        self.inputs: list[KerasTensor] = tree.flatten(inputs)
        self.outputs: list[KerasTensor] = tree.flatten(outputs)
        self.nodes = connected(self.inputs, self.outputs, self.name)
        self.operations: list[Operation] = list({id(n.operation): n.operation for n in self.nodes}.values())

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shapes of the outputs for inputs of the given shapes."""
        given = tree.flatten(symbols_of(input_shape, "float32"))
        symbols = [KerasTensor(one.shape, x.dtype) for one, x in zip(given, self.inputs, strict=True)]
        found = self.compute_output_spec(tree.pack_sequence_as(self._inputs_struct, symbols))
        return tree.map_structure(lambda x: x.shape, found)

    def call(self, inputs: Any) -> Any:
        values = dict(zip(map(id, self.inputs), tree.flatten(inputs), strict=True))
        return replay(self.nodes, values, self._outputs_struct, lambda operation: operation)


def connected(inputs: list[KerasTensor], outputs: list[KerasTensor], name: str) -> list[Node]:
    """The nodes between inputs and outputs; a ValueError where an output needs more than the inputs."""
    for x in (*inputs, *outputs):
        if not is_symbolic(x):
            raise ValueError(
                f"The inputs and outputs of `{name}` must be symbolic tensors, made by `Input()` and by calls on "
                f"them, but one is {type(x).__name__}: {x!r}."
            )
    nodes = nodes_between(inputs, outputs)
    known = {id(x) for x in inputs}
    for node in nodes:
        if not node.is_input:
            for x in node.input_tensors:
                if id(x) not in known:
                    raise ValueError(
                        f"`{name}` is not connected: `{node.operation.name}` needs the tensor {x.name} of shape "
                        f"{x.shape}, which does not come from the inputs. Add it to `inputs`."
                    )
        known |= {id(x) for x in node.output_tensors if not node.is_input}
    for x in outputs:
        if id(x) not in known:
            raise ValueError(f"`{name}` is not connected: its output {x!r} does not come from its inputs.")
    return nodes


def replay(
    nodes: list[Node], values: dict[int, Any], outputs: Any, choose: Callable[[Operation], Callable[..., Any]]
) -> Any:
    """Call the operations of `nodes` again on `values` (by id of the symbolic tensor) and return those of `outputs`."""

    def value(x: Any) -> Any:
        return values[id(x)] if isinstance(x, KerasTensor) else x

    for node in nodes:
        if node.is_input or all(id(x) in values for x in node.output_tensors):
            continue
        args, kwargs = tree.map_structure(value, (node.args, node.kwargs))
        results = choose(node.operation)(*args, **kwargs)
        pairs = zip(tree.flatten(node.outputs), tree.flatten(results), strict=True)
        values.update({id(x): result for x, result in pairs if is_symbolic(x)})
    return tree.map_structure(value, outputs)
