"""Ops that take functions: branches, loops and maps over nested structures of tensors, and gradients of one's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from nyala.core import tree
from nyala.core.engine import is_eager, tf
from nyala.core.graph import any_symbolic, op
from nyala.core.tensor import Tensor, as_tensor, dtype_of
from nyala.ops.rules import check_axis, dims, rank_of, tensor

__all__ = [
    "associative_scan",
    "cond",
    "custom_gradient",
    "fori_loop",
    "map",
    "scan",
    "switch",
    "vectorized_map",
    "while_loop",
]


def with_values(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose result in a graph must have values: a symbolic one comes from a tensor that nobody gave it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if not is_eager() and any_symbolic([result]):
            raise ValueError(
                f"A function given to `{name}` uses a symbolic tensor that is not among its arguments; pass the tensor as "
                f"an argument, or call `{name}` inside a layer, such as `Lambda`, that gets the tensor as its input."
            )
        return result

    return call


# ---- Branches ----


@op
def cond(pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """The result of `true_fn()` where the one boolean `pred` is true, else that of `false_fn()`.

    Raises ValueError where `pred` holds more than one value or, in a graph, where the results differ in structure or
    dtype.

    Example:
        >>> from nyala import ops
        >>> ops.cond(ops.greater(2, 1), lambda: ops.add(1, 1), lambda: ops.add(2, 2)).numpy().item()
        2
    """
    condition = _as_condition("cond", pred)
    if isinstance(condition, bool):
        return true_fn() if condition else false_fn()
    return _choose("cond", (true_fn, false_fn), lambda functions: tf.cond(condition, *functions))


@op
def switch(index: Tensor, branches: Sequence[Callable[..., Tensor]], *operands: Tensor) -> Any:
    """The result of `branches[index](*operands)`; an index out of range counts as the nearest one.

    Raises ValueError where there is no branch or, in a graph, where the results differ in structure or dtype.

    Example:
        >>> from nyala import ops
        >>> ops.switch(1, [lambda x: x + 1.0, lambda x: x * 10.0], 2.0).numpy().item()
        20.0
    """
    if not branches:
        raise ValueError("`switch` takes at least one branch, but got none.")
    index = tf.cast(tensor(index), "int32")
    if index.shape.rank != 0:
        raise ValueError(f"`switch` takes one number as its index, but got one of shape {tuple(index.shape)}.")
    index = tf.clip_by_value(index, 0, len(branches) - 1)
    values = tree.map_structure(_tensor_or_none, operands)
    functions = [functools.partial(branch, *values) for branch in branches]
    return _choose("switch", functions, lambda functions: tf.switch_case(index, functions))


def _as_condition(name: str, value: Any) -> Any:
    """`value` as one boolean: a Python bool or a scalar tensor."""
    if isinstance(value, bool):
        return value
    value = tf.cast(tensor(value), "bool")
    if value.shape.rank == 0:
        return value
    if value.shape.num_elements() != 1:
        raise ValueError(
            f"`{name}` decides by one boolean, but got a condition of shape {tuple(value.shape)}; reduce it with "
            "`ops.any` or `ops.all`, or choose value by value with `ops.where`."
        )
    return tf.reshape(value, [])


def _choose(name: str, functions: Sequence[Callable[[], Any]], choose: Callable[[list[Any]], Any]) -> Any:
    """`choose(functions)`; a ValueError that says so where TensorFlow finds that their results do not fit."""
    results: list[Any] = []

    def watched(function: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            result = with_values(name, function)()
            results.append(tree.map_structure(lambda x: None if x is None else dtype_of(x), result))
            return result

        return call

    try:
        return choose([watched(function) for function in functions])
    except (AssertionError, TypeError, ValueError):  # as TensorFlow takes them to be one or the other
        for result in results[1:] if len(results) == len(functions) else ():
            if result != results[0]:
                raise ValueError(
                    f"The functions given to `{name}` must return the same structure of the same dtypes, but one "
                    f"returns {results[0]} and another {result}."
                ) from None
        raise


# ---- Loops ----


@op
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Tensor, maximum_iterations: int | None = None
) -> Any:
    """Call `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` is true, at most `maximum_iterations` times.

    A list or tuple comes back as a tuple; loop variables that are one tensor, or one dict, are passed and returned as
    they are. In a graph each keeps its dtype and shape, else a ValueError says which does not. XLA needs
    `maximum_iterations` to compute a gradient.

    Example:
        >>> from nyala import ops
        >>> i, x = ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, 1))
        >>> x.numpy().item()
        8
    """
    several = isinstance(loop_vars, (list, tuple))
    state = tree.map_structure(_tensor_or_none, tuple(loop_vars) if several else (loop_vars,))

    def step(values: tuple[Any, ...]) -> tuple[Any, ...]:
        results = with_values("while_loop", body)(*values)
        return tuple(results) if several and isinstance(results, (list, tuple)) else (results,)

    state = _repeat("while_loop", lambda values: cond(*values), step, state, maximum_iterations)
    return state if several else state[0]


@op
def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Tensor) -> Any:
    """Call `value = body_fun(i, value)` for each i from `lower` to `upper - 1`, starting at `init_val`; the last value.

    In a graph the value keeps its structure, dtypes and shapes, else a ValueError says which it does not.

    Example:
        >>> from nyala import ops
        >>> ops.fori_loop(0, 4, lambda i, total: total + i, 0).numpy().item()
        6
    """
    first, stop = tensor(lower), tensor(upper)
    known = [tf.get_static_value(bound) for bound in (first, stop)]
    limit = None if None in known else max(int(known[1] - known[0]), 0)
    state, turn = (first, tree.map_structure(_tensor_or_none, init_val)), with_values("fori_loop", body_fun)
    state = _repeat(
        "fori_loop", lambda state: state[0] < stop, lambda state: (state[0] + 1, turn(*state)), state, limit
    )
    return state[1]


def _repeat(name: str, go_on: Callable[[Any], Any], body: Callable[[Any], Any], state: Any, limit: Any = None) -> Any:
    """`state = body(state)` while `go_on(state)`, at most `limit` times; `state` is any structure of tensors and None."""
    if isinstance(limit, int) and limit <= 0:
        return state  # XLA has no gradient of a loop that may not turn

    def step(*values: Any) -> list[Any]:
        old = _pack(state, values)
        return _leaves(_continued(name, old, body(old)))

    def condition(*values: Any) -> Any:
        return _as_condition(name, go_on(_pack(state, values)))

    return _pack(state, tf.while_loop(condition, step, _leaves(state), maximum_iterations=limit))


def _continued(name: str, old: Any, new: Any) -> Any:
    """What a loop goes on with: `new`, which must be of the structure, dtypes and, in a graph, shapes of `old`."""
    if not tree.same_structure(old, new):
        raise ValueError(
            f"`{name}` got a function that changes the structure of what it repeats, from {_outline(old)} to "
            f"{_outline(new)}; return what came in, in the same lists, tuples and dicts."
        )
    return tree.map_structure(functools.partial(_continued_tensor, name), old, new)


def _continued_tensor(name: str, old: Any, new: Any) -> Any:
    if old is None or new is None or isinstance(old, tf.TensorArray):
        return new
    new = as_tensor(new, old.dtype) if isinstance(new, (bool, int, float)) else tensor(new)
    fits = is_eager() or isinstance(new, (tf.SparseTensor, tf.RaggedTensor)) or old.shape.is_compatible_with(new.shape)
    if new.dtype != old.dtype or not fits:
        raise ValueError(
            f"`{name}` repeats tensors of one dtype and shape, but a {_outline(old)} became a {_outline(new)}; cast or "
            "reshape it, inside the loop or before."
        )
    if is_eager() or not isinstance(new, tf.Tensor) or old.shape.is_fully_defined() == new.shape.is_fully_defined():
        return new
    return tf.ensure_shape(new, old.shape)


def _outline(structure: Any) -> Any:
    """The structure with a dtype and shape for each tensor."""
    described = tree.map_structure(lambda x: None if x is None else f"{dtype_of(x)}{_shape_text(x)}", structure)
    return described if isinstance(described, str) else f"`{described}`"


def _shape_text(x: Any) -> str:
    return str(tuple(x.shape)).replace(" ", "") if hasattr(x, "shape") else ""


def _tensor_or_none(x: Any) -> Any:
    return None if x is None else tensor(x)


def _leaves(structure: Any) -> list[Any]:
    """The leaves of a structure that are not None."""
    return [x for x in tree.flatten(structure) if x is not None]


def _pack(structure: Any, values: Sequence[Any]) -> Any:
    """`structure` with `values` for its leaves that are not None."""
    rest = iter(values)
    return tree.map_structure(lambda x: None if x is None else next(rest), structure)


# ---- Maps and scans over the first axis ----


@op
def map(f: Callable[[Tensor], Any], xs: Tensor) -> Any:
    """`f` of each row of `xs`, stacked: `[f(xs[0]), f(xs[1]), …]`.

    `xs` and what `f` returns may be nested structures of tensors. Raises ValueError where tensors of `xs` have no, or
    different, first dimensions.

    Example:
        >>> from nyala import ops
        >>> ops.map(lambda row: ops.sum(row), ops.reshape([1, 2, 3, 4], (2, 2))).numpy().tolist()
        [3, 7]
    """
    rows = tree.map_structure(_tensor_or_none, xs)
    length = _length_of("map", rows)
    return _scanned("map", lambda _, row: (None, f(row)), None, rows, length)[1]


@op
def scan(
    f: Callable[[Tensor, Tensor], Any],
    init: Tensor,
    xs: Tensor = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> Any:
    """Call `carry, y = f(carry, x)` for each row x of `xs`, starting at `init`; the last carry, and the stacked ys.

    All are tensors or nested structures of them; a y may be None. Without `xs` there are `length` calls with x=None.
    With `reverse` the rows come from the last to the first; `unroll` many calls stand in one turn of the loop, all of
    them for True. Raises ValueError where lengths do not fit or a carry changes its kind.

    Example:
        >>> from nyala import ops
        >>> total, sums = ops.scan(lambda carry, x: (carry + x, carry + x), 0, ops.arange(4))
        >>> sums.numpy().tolist()
        [0, 1, 3, 6]
    """
    if not callable(f):
        raise TypeError(f"`scan` takes a function as `f`, but got {f!r}.")
    if not isinstance(unroll, int) or (unroll is not False and unroll < 1):
        raise ValueError(f"`scan` takes a positive number or a bool as `unroll`, but got {unroll!r}.")
    rows = tree.map_structure(_tensor_or_none, xs)
    if not _leaves(rows) and length is None:
        raise ValueError("`scan` takes `xs` or `length`, but got neither, so it cannot know how many calls to make.")
    if _leaves(rows):
        size = _length_of("scan", rows)
        if length is not None and isinstance(size, int) and size != length:
            raise ValueError(f"`scan` got length={length}, but the tensors of xs have {size} rows.")
        length = size
    carry = tree.map_structure(_tensor_or_none, init)
    return _scanned("scan", f, carry, rows, length, reverse, unroll)


@op
def associative_scan(f: Callable[[Tensor, Tensor], Any], elems: Tensor, reverse: bool = False, axis: int = 0) -> Any:
    """The running combinations `[x0, f(x0, x1), f(f(x0, x1), x2), …]` along `axis`, for an associative `f`.

    `f` gets two tensors, or structures, of many elements along `axis` and combines them pairwise; there are about
    2·log2(n) calls of it. With `reverse` the elements combine from the last to the first. Blelloch, "Prefix sums and
    their applications", 1990. Raises ValueError where sizes along the axis differ.

    Example:
        >>> from nyala import ops
        >>> ops.associative_scan(lambda a, b: a + b, ops.arange(5)).numpy().tolist()
        [0, 1, 3, 6, 10]
    """
    if not callable(f):
        raise TypeError(f"`associative_scan` takes a function as `f`, but got {f!r}.")
    xs = [tensor(x) for x in _leaves(elems)]
    axes = [check_axis("associative_scan", axis, rank_of(x)) for x in xs]
    length = _same_size("associative_scan", [dims(x)[at] for x, at in zip(xs, axes)])

    def combine(one: list[Any], other: list[Any]) -> list[Any]:
        results = with_values("associative_scan", f)(_pack(elems, one), _pack(elems, other))
        return _leaves(_continued("associative_scan", _pack(elems, one), results))

    if reverse:
        xs = [tf.reverse(x, [at]) for x, at in zip(xs, axes)]
    xs = _halving(combine, xs, axes) if isinstance(length, int) else _doubling(combine, xs, axes, length)
    if reverse:
        xs = [tf.reverse(x, [at]) for x, at in zip(xs, axes)]
    return _pack(elems, xs)


@op
def vectorized_map(function: Callable[..., Any], elements: Tensor) -> Any:
    """`function` of each row of `elements`, stacked, computed for all rows at once.

    `elements` and the result may be nested structures of tensors. Raises ValueError where the tensors have no, or
    different, first dimensions (one row goes with any number of them).

    Example:
        >>> from nyala import ops
        >>> ops.vectorized_map(lambda row: row * 2, ops.reshape([1, 2, 3, 4], (2, 2))).numpy().tolist()
        [[2, 4], [6, 8]]
    """
    rows = tree.map_structure(_tensor_or_none, elements)
    sizes = _first_dimensions("vectorized_map", rows)
    _same_size("vectorized_map", [size for size in sizes if not (isinstance(size, int) and size == 1)] or sizes)
    return tf.vectorized_map(with_values("vectorized_map", function), rows)


def _first_dimensions(name: str, rows: Any) -> list[Any]:
    """The size of the first axis of each tensor; a ValueError where there is none."""
    xs = _leaves(rows)
    for x in xs:
        if not isinstance(x, tf.Tensor):
            raise ValueError(f"`{name}` goes over dense tensors, but got a {type(x).__name__}; make it dense first.")
        if rank_of(x) == 0:
            raise ValueError(f"`{name}` goes over the first axis of tensors, but got a scalar, which has none.")
    if not xs:
        raise ValueError(f"`{name}` goes over the first axis of tensors, but got no tensor.")
    return [dims(x)[0] for x in xs]


def _length_of(name: str, rows: Any) -> Any:
    return _same_size(name, _first_dimensions(name, rows))


def _same_size(name: str, sizes: list[Any]) -> Any:
    """The size that all have: a number where one of them is known."""
    known = {size for size in sizes if isinstance(size, int)}
    if len(known) > 1:
        raise ValueError(f"`{name}` goes over tensors together, but they have different sizes: {sorted(known)}.")
    return known.pop() if known else sizes[0]


def _scanned(
    name: str,
    f: Callable[[Any, Any], Any],
    carry: Any,
    rows: Any,
    length: Any,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """The last carry and the stacked results of `carry, y = f(carry, row)`; in Python where that loop is short."""

    def step(carry: Any, row: Any) -> tuple[Any, Any]:
        pair = with_values(name, f)(carry, row)
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise ValueError(f"`{name}` takes a function that returns a carry and a result, but got {_outline(pair)}.")
        return _continued(name, carry, pair[0]), tree.map_structure(_tensor_or_none, pair[1])

    if isinstance(length, int) and length > 0 and (is_eager() or unroll is True or unroll >= length):
        return _scanned_in_python(step, carry, rows, length, reverse)
    return _scanned_in_graph(name, step, carry, rows, length, reverse, max(int(unroll), 1))


def _scanned_in_python(step: Any, carry: Any, rows: Any, length: int, reverse: bool) -> tuple[Any, Any]:
    columns = [tf.unstack(x, length) for x in _leaves(rows)]
    results = []
    for place in reversed(range(length)) if reverse else range(length):
        carry, result = step(carry, _pack(rows, [column[place] for column in columns]))
        results.append(result)
    if reverse:
        results.reverse()
    stacked = [tf.stack(leaves) for leaves in zip(*[_leaves(result) for result in results])]
    return carry, _pack(results[0], stacked)


def _scanned_in_graph(
    name: str, step: Any, carry: Any, rows: Any, length: Any, reverse: bool, unroll: int
) -> tuple[Any, Any]:
    kinds = _kinds_of_results(step, carry, rows)
    sources = [tf.TensorArray(x.dtype, length, element_shape=x.shape[1:]).unstack(x) for x in _leaves(rows)]
    arrays = [tf.TensorArray(x.dtype, length, element_shape=x.shape) for x in _leaves(kinds)]

    def advance(count: int, state: Any) -> Any:
        t, carry, arrays = state
        for _ in range(count):
            place = length - 1 - t if reverse else t
            carry, result = step(carry, _pack(rows, [source.read(place) for source in sources]))
            arrays = [array.write(place, value) for array, value in zip(arrays, _leaves(result))]
            t += 1
        return t, carry, arrays

    state = (tf.constant(0), carry, arrays)
    for count, limit in ((unroll, length // unroll), (1, unroll - 1)) if unroll > 1 else ((1, length),):
        stop = length - length % count
        state = _repeat(name, lambda s, stop=stop: s[0] < stop, functools.partial(advance, count), state, limit)
    _, carry, arrays = state
    stacked = [array.stack() for array in arrays]
    for x in stacked:
        x.set_shape([length if isinstance(length, int) else None, *x.shape[1:]])
    return carry, _pack(kinds, stacked)


def _kinds_of_results(step: Any, carry: Any, rows: Any) -> Any:
    """What one step gives beside the carry, as tensors of a scratch graph: a loop must know their kinds beforehand."""
    with tf.__internal__.FuncGraph("scratch").as_default():
        values = [tf.compat.v1.placeholder(x.dtype, x.shape) for x in _leaves(carry)]
        row = [tf.compat.v1.placeholder(x.dtype, x.shape[1:]) for x in _leaves(rows)]
        return step(_pack(carry, values), _pack(rows, row))[1]


# ---- Associative scans ----

Combine = Callable[[list[Any], list[Any]], list[Any]]


def _part(x: Tensor, axis: int, start: Any, stop: Any, stride: int = 1) -> Tensor:
    return x[(slice(None),) * axis + (slice(start, stop, stride),)]


def _halving(combine: Combine, xs: list[Any], axes: list[int]) -> list[Any]:
    """Combine neighbours, scan the half as many pairs, and fill in the places between them."""

    def parts(xs: list[Any], start: Any, stop: Any, stride: int = 1) -> list[Any]:
        return [_part(x, axis, start, stop, stride) for x, axis in zip(xs, axes)]

    length = xs[0].shape[axes[0]] if xs else 0
    if length < 2:
        return xs
    odd = _halving(combine, combine(parts(xs, 0, length - 1, 2), parts(xs, 1, None, 2)), axes)
    later = parts(xs, 2, None, 2)
    even = parts(xs, 0, 1)
    if length > 2:
        even = [
            tf.concat([x, y], axis) for x, y, axis in zip(even, combine(parts(odd, 0, (length - 1) // 2), later), axes)
        ]
    return [_interleaved(x, y, axis) for x, y, axis in zip(even, odd, axes)]


def _interleaved(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """`even[0], odd[0], even[1], …` along `axis`; there may be one more even than odd."""
    count = odd.shape[axis]
    sizes = dims(odd)
    pairs = tf.stack([_part(even, axis, 0, count), odd], axis + 1)
    pairs = tf.reshape(pairs, [*sizes[:axis], 2 * count, *sizes[axis + 1 :]])
    return pairs if even.shape[axis] == count else tf.concat([pairs, _part(even, axis, count, None)], axis)


def _doubling(combine: Combine, xs: list[Any], axes: list[int], length: Any) -> list[Any]:
    """For lengths unknown in a graph: combine with what stands 1, 2, 4, … places before (Hillis and Steele, 1986)."""

    def step(state: Any) -> Any:
        distance, xs = state
        earlier = [_part(x, axis, 0, length - distance) for x, axis in zip(xs, axes)]
        later = [_part(x, axis, distance, None) for x, axis in zip(xs, axes)]
        combined = combine(earlier, later)
        heads = [_part(x, axis, 0, distance) for x, axis in zip(xs, axes)]
        return 2 * distance, [tf.concat([x, y], axis) for x, y, axis in zip(heads, combined, axes)]

    return _repeat("associative_scan", lambda state: state[0] < length, step, (tf.constant(1), xs))[1]


# ---- Gradients ----


class _WithGradient:
    """A function that computes its own gradient; as a method it is bound to its object like any other."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        functools.update_wrapper(self, f, [name for name in functools.WRAPPER_ASSIGNMENTS if hasattr(f, name)], ())
        self._call = op(self._compute)

    def _compute(self, *args: Any, **kwargs: Any) -> Any:
        def on_tensors(*tensors: Any) -> Any:
            return self.f(*tensors, **kwargs)

        return tf.custom_gradient(on_tensors)(*tree.map_structure(_tensor_or_none, args))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        return self if owner is None else _WithGradient(functools.partial(self.f, owner))


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function that gives the result of `f`, with the gradient that `f` defines: `f(*args)` returns both.

    The gradient is a function `grad(*upstream)` from the gradients of the results to those of the arguments. What is
    passed by name is a setting and gets no gradient.

    Example:
        >>> from nyala import ops
        >>> @ops.custom_gradient
        ... def double(x):
        ...     return x * 2.0, lambda upstream: upstream * 2.0
        >>> double(3.0).numpy().item()
        6.0
    """
    return _WithGradient(f)
