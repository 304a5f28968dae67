"""Ops that take functions, as small programs in both libraries; and what rows of `core_rows.py` cannot say."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import ops
from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from tests.ops.cases import leaves_of, numbers, specs
from tests.oracle import assert_close, keras

X = np.array([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0], [2.0, 0.75, -0.5], [-1.0, 0.1, 0.3], [0.6, -0.7, 0.9]], "float32")


def matrices(ops: Any, x: Any) -> Any:
    return ops.reshape(ops.tile(ops.expand_dims(x, -1), (1, 1, 3)), (-1, 3, 3)) * 0.3


# name → a program of the library's `ops` and a float tensor of shape (5, 3), of which the 5 may be unknown
PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    # ---- branches ----
    "cond": lambda ops, x: ops.cond(ops.sum(x[:, 0]) > 0, lambda: ops.ones((2,)), lambda: ops.zeros((2,))),
    "cond false": lambda ops, x: ops.cond(x[0, 0] < 0, lambda: ops.ones((2,)), lambda: ops.zeros((2,))),
    "cond number": lambda ops, x: ops.cond(x[0, 0], lambda: ops.ones((2,)), lambda: ops.zeros((2,))),
    "cond one value": lambda ops, x: ops.cond(x[0, :1] > 0, lambda: ops.ones((2,)), lambda: ops.zeros((2,))),
    "cond nested": lambda ops, x: ops.cond(
        x[0, 0] > 0, lambda: {"a": ops.ones(2), "b": [ops.ones(())]}, lambda: {"a": ops.zeros(2), "b": [ops.zeros(())]}
    ),
    "switch": lambda ops, x: ops.switch(1, [lambda x: x + 1, lambda x: x * x, lambda x: -x], x),
    "switch below": lambda ops, x: ops.switch(-3, [lambda x: x + 1, lambda x: x * x], x),
    "switch above": lambda ops, x: ops.switch(9, [lambda x: x + 1, lambda x: x * x], x),
    "switch tensor": lambda ops, x: ops.switch(
        ops.cast(x[2, 0], "int32"), [lambda x, y: x, lambda x, y: y, lambda x, y: x * y], x, x + 1
    ),
    "switch nested": lambda ops, x: ops.switch(
        ops.cast(x[0, 0], "int32"), [lambda x: (x, {"a": x}), lambda x: (x * 2, {"a": ops.exp(x)})], x
    ),
    # ---- maps ----
    "map": lambda ops, x: ops.map(lambda row: row * ops.sum(row), x),
    "map to scalars": lambda ops, x: ops.map(lambda row: ops.max(row), x),
    "map to a structure": lambda ops, x: ops.map(lambda row: (row * 2, {"a": ops.sum(row), "b": [row[:2]]}), x),
    "map a structure": lambda ops, x: ops.map(lambda row: row["a"] * row["b"][0], {"a": x, "b": [x + 1]}),
    "map to integers": lambda ops, x: ops.map(lambda row: ops.argmax(row), x),
    "map in map": lambda ops, x: ops.map(lambda row: ops.map(lambda value: value * value, row), x),
    "vectorized_map": lambda ops, x: ops.vectorized_map(lambda row: row * ops.sum(row), x),
    "vectorized_map structures": lambda ops, x: ops.vectorized_map(
        lambda row: (row[0] * row[1], {"a": ops.sum(row[0])}), (x, x + 1)
    ),
    # ---- scans ----
    "scan": lambda ops, x: ops.scan(lambda carry, row: (carry + row, carry * row), x[0], x),
    "scan reverse": lambda ops, x: ops.scan(lambda carry, row: (carry * 0.5 + row, carry), x[0], x, reverse=True),
    "scan structures": lambda ops, x: ops.scan(
        lambda carry, row: (
            {"a": carry["a"] + row[0], "b": carry["b"] * row[1]},
            {"c": carry["a"], "d": ops.sum(carry["b"])},
        ),
        {"a": x[0], "b": x[1]},
        (x, x + 1),
    ),
    "scan without xs": lambda ops, x: ops.scan(lambda carry, _: (carry * 0.5, ops.sum(carry)), x[0], length=4),
    "scan of length 0": lambda ops, x: ops.scan(lambda carry, _: (carry * 0.5, ops.sum(carry)), x[0], length=0),
    "scan with length": lambda ops, x: ops.scan(lambda c, row: (c + row, ops.sin(c)), x[0], x[1:4], length=3),
    "scan to matrices": lambda ops, x: ops.scan(lambda c, row: (c + 1, ops.outer(row, row) * c), x[0, 0], x),
    **{
        f"scan unroll={unroll} reverse={reverse}": lambda ops, x, unroll=unroll, reverse=reverse: ops.scan(
            lambda carry, row: (carry * 0.5 + row, carry * row), x[0], x, unroll=unroll, reverse=reverse
        )
        for unroll, reverse in ((2, True), (3, False), (5, False), (8, True), (True, True), (False, False))
    },
    "associative_scan": lambda ops, x: ops.associative_scan(lambda a, b: a + b, x),
    "associative_scan axis": lambda ops, x: ops.associative_scan(lambda a, b: a * b, x, axis=1),
    "associative_scan axis -1": lambda ops, x: ops.associative_scan(ops.maximum, x, axis=-1, reverse=True),
    "associative_scan reverse": lambda ops, x: ops.associative_scan(lambda a, b: a + b, x, reverse=True),
    "associative_scan of matrices": lambda ops, x: ops.associative_scan(ops.matmul, matrices(ops, x)),
    "associative_scan of matrices reverse": lambda ops, x: ops.associative_scan(
        ops.matmul, matrices(ops, x), reverse=True
    ),
    "associative_scan linear": lambda ops, x: ops.associative_scan(
        lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (x, x + 1)
    ),
    "associative_scan dict": lambda ops, x: ops.associative_scan(
        lambda a, b: {"y": a["y"] + b["y"], "z": [ops.minimum(a["z"][0], b["z"][0])]}, {"y": x, "z": [x * 2]}
    ),
    **{
        f"associative_scan of {n}": lambda ops, x, n=n: ops.associative_scan(lambda a, b: a + b, x[:n])
        for n in (0, 1, 2, 3, 4)
    },
    # ---- loops ----
    "fori_loop": lambda ops, x: ops.fori_loop(0, 4, lambda i, x: x * 0.5 + ops.cast(i, "float32"), x),
    "fori_loop structures": lambda ops, x: ops.fori_loop(
        1, 4, lambda i, s: {"a": s["a"] + s["b"][0], "b": [s["b"][0] * 0.5]}, {"a": x, "b": [x]}
    ),
    "fori_loop no turn": lambda ops, x: ops.fori_loop(5, 0, lambda i, x: x * 2, x),
    "fori_loop tensors": lambda ops, x: ops.fori_loop(
        ops.cast(x[2, 0], "int32"), ops.cast(x[2, 0], "int32") + 3, lambda i, x: x * 1.5, x
    ),
    "while_loop": lambda ops, x: ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x * x), (0, x)),
    "while_loop list": lambda ops, x: ops.while_loop(lambda i, x: i < 3, lambda i, x: [i + 1, x * 2], [0, x]),
    "while_loop tensor": lambda ops, x: ops.while_loop(lambda x: ops.max(x) < 50.0, lambda x: x * 2, x),
    "while_loop dict": lambda ops, x: ops.while_loop(
        lambda s: s["i"] < 2, lambda s: {"i": s["i"] + 1, "x": ops.sin(s["x"])}, {"i": 0, "x": x}
    ),
    "while_loop limited": lambda ops, x: ops.while_loop(
        lambda i, x: i < 9, lambda i, x: (i + 1, x * x), (0, x), maximum_iterations=2
    ),
    "while_loop not at all": lambda ops, x: ops.while_loop(
        lambda i, x: i < 9, lambda i, x: (i + 1, x * x), (0, x), maximum_iterations=0
    ),
}
# The reference's scan gives results of the dtype and shape of the carry only.
SCANS_OF_MORE_KINDS = {"scan structures", "scan without xs", "scan of length 0", "scan to matrices"}
# XLA computes gradients of loops of known length only, as everywhere in TensorFlow.
LENGTH_UNKNOWN = {"while_loop", "while_loop list", "while_loop tensor", "while_loop dict", "fori_loop tensors"}


class WithPlainScan:
    """The reference's ops with a scan in plain Python."""

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.ops, name)

    def scan(self, f: Any, carry: Any, xs: Any = None, length: int | None = None) -> Any:
        results = []
        for place in range(length if xs is None else 5):
            carry, result = f(carry, None if xs is None else tf.nest.map_structure(lambda x, at=place: x[at], xs))
            results.append(result)
        return carry, tf.nest.map_structure(lambda *leaves: tf.stack(leaves), *results) if results else tf.zeros(0)


def differentiated(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The results of a function of x and the gradient by x of a weighted sum of all floats among them."""

    def weighted(y: Any) -> Any:
        return tf.reduce_sum(y * tf.cos(tf.reshape(tf.range(tf.cast(tf.size(y), y.dtype)), tf.shape(y))))

    def both(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = tf.nest.map_structure(tf.convert_to_tensor, function(x))
            total = tf.add_n([weighted(y) for y in tf.nest.flatten(values) if y.dtype == "float32"] or [0.0])
        return values, tf.convert_to_tensor(tape.gradient(total, x, unconnected_gradients="zero"))

    return both


def results_of(name: str, lib: Any, x: Any) -> list[Any]:
    return leaves_of(PROGRAMS[name](lib, x))


def together(names: Any) -> Callable[[Any], Any]:
    """The results of several programs, and the sum of their gradients."""
    return differentiated(lambda x: {name: results_of(name, ops, x) for name in names})


def summed(expected: dict[str, Any], names: Any) -> Any:
    return {name: expected[name][0] for name in names}, sum(expected[name][1] for name in names)


def reference_of(name: str) -> Any:
    return WithPlainScan() if name in SCANS_OF_MORE_KINDS else keras.ops


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """Results and gradients of the reference, computed eagerly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        return {
            name: differentiated(lambda x, name=name: results_of(name, reference_of(name), x))(tf.constant(X))
            for name in PROGRAMS
        }


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_eagerly(name: str, expected: dict[str, Any]) -> None:
    assert_close(differentiated(lambda x: results_of(name, ops, x))(tf.constant(X)), expected[name])
    if name not in SCANS_OF_MORE_KINDS:
        tf.nest.assert_same_structure(PROGRAMS[name](ops, tf.constant(X)), PROGRAMS[name](keras.ops, tf.constant(X)))
    assert [tf.as_dtype(y.dtype) for y in results_of(name, ops, tf.constant(X))] == [y.dtype for y in expected[name][0]]


def test_programs_under_xla(expected: dict[str, Any]) -> None:
    names = sorted(PROGRAMS.keys() - LENGTH_UNKNOWN)[::2]  # every other one: the variants share most of their code
    compiled = tf.function(together(names), autograph=False, jit_compile=True)(tf.constant(X))
    assert_close(compiled, summed(expected, names), 1e-4, 1e-5)
    loops = sorted(LENGTH_UNKNOWN)
    results = tf.function(lambda x: {name: results_of(name, ops, x) for name in loops}, jit_compile=True)
    assert_close(results(tf.constant(X)), summed(expected, loops)[0])


def test_programs_in_a_model(expected: dict[str, Any]) -> None:
    x = nyala.Input((3,))
    outputs = {name: results_of(name, ops, x) for name in PROGRAMS}
    for name, symbols in outputs.items():
        for symbol, value in zip(symbols, expected[name][0], strict=True):
            assert symbol.dtype == value.dtype.name
            assert len(symbol.shape) == len(value.shape)
            assert all(size in (None, actual) for size, actual in zip(symbol.shape, value.shape))
    model = nyala.Model(x, outputs)
    assert_close(differentiated(model)(tf.constant(X)), summed(expected, PROGRAMS), 1e-4, 1e-5)


def test_programs_in_a_graph_that_does_not_know_the_batch(expected: dict[str, Any]) -> None:
    names = sorted(PROGRAMS)[1::2]
    graph = tf.function(together(names), autograph=False, input_signature=[tf.TensorSpec((None, 3))])
    assert_close(graph(tf.constant(X)), summed(expected, names), 1e-4, 1e-5)


def test_programs_on_symbols_of_known_shape(expected: dict[str, Any]) -> None:
    for name in sorted(PROGRAMS)[::2]:
        known = specs(PROGRAMS[name](ops, KerasTensor(X.shape)))
        assert known == [(tuple(y.shape), y.dtype.name) for y in expected[name][0]], name


def test_first_axis_stays_unknown() -> None:
    x = KerasTensor((None, 3))
    for name, shape in {"map": (None, 3), "vectorized_map": (None, 3), "associative_scan": (None, 3)}.items():
        assert PROGRAMS[name](ops, x).shape == shape
    assert [y.shape for y in PROGRAMS["scan"](ops, x)] == [(3,), (None, 3)]
    assert PROGRAMS["fori_loop"](ops, x).shape == (None, 3)
    assert PROGRAMS["switch"](ops, x).shape == (None, 3)


# ---- Gradients of one's own ----


def log1pexp(ops: Any) -> Any:
    @ops.custom_gradient
    def function(x: Any) -> Any:
        e = ops.exp(x)

        def grad(*args: Any, upstream: Any = None) -> Any:
            return (args[0] if upstream is None else upstream) * (1.0 - 1.0 / (1.0 + e)) * 3.0

        return ops.log(1.0 + e), grad

    return function


def test_custom_gradient() -> None:
    mine, reference = (differentiated(lambda x, lib=lib: log1pexp(lib)(x)) for lib in (ops, keras.ops))
    expected = reference(tf.constant(X))
    assert_close(mine(tf.constant(X)), expected)
    assert_close(tf.function(mine)(tf.constant(X)), expected)
    assert_close(tf.function(mine, jit_compile=True)(tf.constant(X)), expected)
    x = nyala.Input((3,))
    model = nyala.Model(x, log1pexp(ops)(x))
    assert_close(differentiated(model)(tf.constant(X)), expected)


def test_custom_gradient_of_a_method_with_settings() -> None:
    class Scale:
        factor = 2.0

        @ops.custom_gradient
        def __call__(self, x: Any, y: Any, power: int = 1) -> Any:
            "Doubles."
            return x * y * self.factor, lambda upstream: (upstream * 10.0**power, None)

    assert Scale.__call__.__doc__ == "Doubles."
    x, y = tf.constant(1.0), tf.constant(3.0)
    for run in (lambda f: f, tf.function):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            value = run(lambda x, y: Scale()(x, y, power=2))(x, y)
        assert_close([value, *tape.gradient(value, [x, y])], [6.0, 100.0, None])


# ---- Where ours goes further than the reference ----


def test_empty_tensors_and_python_numbers_map() -> None:
    assert ops.map(lambda row: ops.sum(row), np.zeros((0, 2), "float32")).shape == (0,)
    assert_close(ops.map(lambda row: 1.0, X), np.ones(5, "float32"))
    assert_close(ops.while_loop(lambda i: i < 5, lambda i: i + 1, (0,)), (5,))
    assert_close(ops.while_loop(lambda i: i["a"] < 5, lambda i: {"a": i["a"] + 1}, ({"a": 0},)), ({"a": 5},))


def test_scan_without_results_or_carry() -> None:
    run = lambda x: ops.scan(lambda carry, row: (carry + row, None), tf.zeros(3), x)  # noqa: E731
    for total, nothing in (run(X), tf.function(run)(tf.constant(X))):
        assert_close(total, X.sum(0))
        assert nothing is None
    run = lambda x: ops.scan(lambda carry, row: (None, row * 2), None, x)  # noqa: E731
    for nothing, doubled in (run(X), tf.function(run)(tf.constant(X))):
        assert nothing is None
        assert_close(doubled, X * 2)


def test_loops_grow_eagerly_as_in_python() -> None:
    grown = ops.fori_loop(0, 2, lambda i, x: ops.concatenate([x, x]), np.ones(1, "float32"))
    assert_close(grown, keras.ops.fori_loop(0, 2, lambda i, x: keras.ops.concatenate([x, x]), np.ones(1, "float32")))


def test_layers_and_variables_inside() -> None:
    dense = nyala.layers.Dense(2)
    x = nyala.Input((4, 3))
    model = nyala.Model(x, ops.map(dense, x))
    data = np.stack([X[:4], X[1:]])
    assert_close(model(data), dense(data))
    with tf.GradientTape() as tape:
        loss = ops.sum(ops.map(dense, data) ** 2)
    with tf.GradientTape() as plain:
        same = ops.sum(dense(data) ** 2)
    variables = [v.value for v in dense.trainable_variables]
    assert_close(tape.gradient(loss, variables), plain.gradient(same, variables), 1e-5, 1e-5)
    counter = nyala.Variable(0.0)
    ops.fori_loop(0, 3, lambda i, s: s + counter.assign_add(1.0), 0.0)
    assert_close(counter.numpy(), 3.0)


def test_saturate_cast_keeps_to_the_ends() -> None:
    """Where the reference wraps round: values that the source's floats round up to beyond the target's end."""
    x = np.array([-np.inf, -1e30, -1.5, 3e9, 1e30, np.inf], "float32")
    for dtype in ("int32", "uint32", "int64", "uint64"):
        info = np.iinfo(dtype)
        found = ops.saturate_cast(x, dtype).numpy()
        assert found.min() == info.min
        assert info.max * (1 - 2e-7) <= float(found.max()) <= info.max
        assert int(found[2]) == (-1 if info.min else 0)
        assert int(found[3]) == min(3_000_000_000, int(found.max()))
    for source in ("int8", "int32", "int64", "uint8", "uint32", "uint64", "float16", "bfloat16", "float64", "bool"):
        kind = tf.as_dtype(source)
        ends = np.array([0, 1] if source == "bool" else [kind.min, kind.max], kind.as_numpy_dtype)
        for target in ("int8", "int32", "int64", "uint8", "uint32", "uint64", "float16", "bfloat16", "float32"):
            low, high = (tf.as_dtype(target).min, tf.as_dtype(target).max)
            wanted = np.clip(np.array([float(end) for end in ends]), float(low), float(high))
            found = ops.saturate_cast(ends, target)
            assert_close(tf.cast(found, "float64"), wanted, rtol=5e-3)
    assert ops.saturate_cast(tf.constant([0.5, 0.0]), "bool").numpy().tolist() == [True, False]


def test_updates_take_the_dtype_of_what_they_update() -> None:
    for dtype, other in (("int32", "float32"), ("float32", "int32"), ("float16", "float64")):
        x, updates = np.zeros((3,), dtype), np.array([2.5], other)
        for result in (
            ops.scatter_update(x, [[1]], updates),
            ops.scatter_update(x, np.array([[1]], "int8"), updates, reduction="add"),
            ops.slice_update(x, [1], updates),
        ):
            assert result.dtype == dtype
            middle = 2.0 if "int32" in (dtype, other) else 2.5
            assert_close(tf.cast(result, "float32"), np.array([0.0, middle, 0.0]))


def test_slice_starts_that_only_a_graph_knows() -> None:
    def parts(x: Any, start: Any) -> Any:
        return [
            ops.slice(x, start, (2, 2)),
            ops.slice(x, [start[0], 0], (2, None)),
            ops.slice_update(x, start, tf.zeros((2, 2))),
            ops.slice_update(x, [0, start[1]], tf.zeros((2, 2))),
        ]

    start = tf.constant([1, 1])
    expected = parts(tf.constant(X), start)
    assert_close(expected[0], X[1:3, 1:3])
    assert_close(tf.function(parts)(tf.constant(X), start), expected)
    assert_close(tf.function(parts, jit_compile=True)(tf.constant(X), start), expected)
    x, symbol = nyala.Input((3,)), nyala.KerasTensor((2,), "int32")
    assert [y.shape for y in parts(x, symbol)] == [(2, 2), (2, 3), (None, 3), (None, 3)]


def test_gradient_of_slice_update() -> None:
    """The reference has none."""
    x, updates = tf.constant(X), tf.constant([[7.0, 8.0]])
    with tf.GradientTape() as tape:
        tape.watch([x, updates])
        total = tf.reduce_sum(ops.slice_update(x, [1, 1], updates) ** 2)
    by_x = 2 * X
    by_x[1, 1:] = 0
    assert_close(tape.gradient(total, [x, updates]), [by_x, np.array([[14.0, 16.0]])])


# ---- Questions ----


def test_shape_dtype_and_kind() -> None:
    things = [X, tf.constant(1), nyala.Variable([1.0]), tf.Variable(1), np.zeros((2, 0), "int8")]
    theirs = [X, tf.constant(1), keras.Variable([1.0]), tf.Variable(1), np.zeros((2, 0), "int8")]
    for name in ("shape", "dtype", "is_tensor", "convert_to_numpy"):
        for mine, reference in zip([*things, KerasTensor((2,), "int8")], [*theirs, keras.KerasTensor((2,), "int8")]):
            if name == "convert_to_numpy" and isinstance(mine, KerasTensor):
                continue
            assert_close(numbers(getattr(ops, name)(mine)), numbers(getattr(keras.ops, name)(reference)))
    assert [ops.is_tensor(x) for x in (tf.sparse.eye(2), tf.ragged.constant([[1]]), 1, [1], None)] == [True] * 2 + [
        False
    ] * 3
    assert [ops.dtype(x) for x in (1, 1.5, True, "a", [1, 2])] == ["int32", "float32", "bool", "string", "int32"]


# ---- Mistakes ----

one, two = (lambda: tf.ones(2)), (lambda: tf.ones(2, "int32"))
MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "cond": (lambda: ops.cond([True, False], one, one), r"`cond` decides by one boolean, but got .* shape \(2,\)"),
    "cond results": (
        lambda: tf.function(lambda p: ops.cond(p, one, two))(tf.constant(True)),
        "`cond` must return the same",
    ),
    "cond structures": (lambda: ops.cond(KerasTensor((), "bool"), one, lambda: [tf.ones(2)] * 2), "`cond` must return"),
    "switch": (lambda: ops.switch(0, []), "`switch` takes at least one branch"),
    "switch index": (lambda: ops.switch([0, 1], [one]), "`switch` takes one number as its index"),
    "switch results": (lambda: ops.switch(KerasTensor((), "int32"), [one, two]), "`switch` must return the same"),
    "map scalar": (lambda: ops.map(lambda x: x, 1.0), "`map` goes over the first axis of tensors, but got a scalar"),
    "map nothing": (lambda: ops.map(lambda x: x, []), "`map` goes over the first axis of tensors, but got no tensor"),
    "map lengths": (lambda: ops.map(lambda x: x[0], (X, X[:2])), r"`map` .* different sizes: \[2, 5\]"),
    "map ragged": (lambda: ops.map(lambda x: x, tf.ragged.constant([[1]])), "`map` .* dense"),
    "vectorized": (lambda: ops.vectorized_map(lambda x: x[0], (X, X[:2])), "`vectorized_map` .* different sizes"),
    "vectorized scalar": (lambda: ops.vectorized_map(lambda x: x, 1.0), "`vectorized_map` .* got a scalar"),
    "scan": (lambda: ops.scan(lambda c, x: (c, x), 0), "`scan` takes `xs` or `length`, but got neither"),
    "scan length": (lambda: ops.scan(lambda c, x: (c, x), 0, X, length=3), "`scan` got length=3, .* 5 rows"),
    "scan unroll": (lambda: ops.scan(lambda c, x: (c, x), 0, X, unroll=0), "`scan` takes a positive number or a bool"),
    "scan function": (lambda: ops.scan(3, 0, X), "`scan` takes a function"),
    "scan result": (
        lambda: ops.scan(lambda c, x: c, 0, X),
        "`scan` takes a function that returns a carry and a result",
    ),
    "scan dtype": (
        lambda: ops.scan(lambda c, x: (x, c), np.zeros(3, "int32"), X),
        r"int32\(3,\) became a float32\(3,\)",
    ),
    "scan structure": (lambda: ops.scan(lambda c, x: ((c, c), c), X[0], X), "`scan` .* changes the structure"),
    "fori shape": (
        lambda: ops.fori_loop(0, 2, lambda i, x: ops.concatenate([x, x]), KerasTensor((1,))),
        r"`fori_loop` repeats .* float32\(1,\) became a float32\(2,\)",
    ),
    "while condition": (lambda: ops.while_loop(lambda x: x < 1, lambda x: x, X), "`while_loop` decides by one boolean"),
    "while dtype": (
        lambda: ops.while_loop(lambda x: ops.sum(x) < 1, lambda x: ops.cast(x, "int32"), KerasTensor((2,))),
        r"`while_loop` repeats .* float32\(2,\) became a int32\(2,\)",
    ),
    "associative axis": (lambda: ops.associative_scan(ops.add, X, axis=5), "`associative_scan` got axis=5"),
    "associative function": (lambda: ops.associative_scan(1, X), "`associative_scan` takes a function"),
    "associative sizes": (
        lambda: ops.associative_scan(lambda a, b: a, [X, X[:2]]),
        "`associative_scan` goes over tensors together, .* different sizes",
    ),
    "unstack": (lambda: ops.unstack(X, 2), r"`unstack` got num=2, but a tensor of shape \(5, 3\) has 5 on axis 0"),
    "unstack unknown": (lambda: ops.unstack(KerasTensor((None, 2))), "`unstack` cannot know how many slices"),
    "unstack scalar": (lambda: ops.unstack(1.0), "a scalar has no axes"),
    "slice": (lambda: ops.slice(X, [0, 2], [2, 2]), r"a block of 2 from 2 on axis 1, which lies outside .* \(5, 3\)"),
    "slice start": (lambda: ops.slice(X, [0, -1], [2, 1]), "a block of 1 from -1 on axis 1"),
    "slice axes": (lambda: ops.slice(X, [0], [2]), "`slice` takes a start and a size for each axis"),
    "slice_update": (lambda: ops.slice_update(X, [0, 0], np.ones((6, 1))), r"updates of shape \(6, 1\)"),
    "slice_update axes": (lambda: ops.slice_update(X, [0], X), "`slice_update` takes a start and a size for each axis"),
    "scatter": (lambda: ops.scatter([[0, 1]], [1.0, 2.0], (3, 2)), r"values of shape \(1,\) .* got the shape \(2,\)"),
    "scatter depth": (lambda: ops.scatter([[0, 1, 1]], [1.0], (3, 2)), r"K up to 2, but got the shape \(1, 3\)"),
    "scatter floats": (lambda: ops.scatter([[0.5]], [1.0], (3,)), "`scatter` takes whole numbers as indices"),
    "reduction": (lambda: ops.scatter_update(X, [[0, 0]], [1.0], "divide"), "as `reduction`, but got 'divide'"),
}


SYMBOL = KerasTensor((None, 2))
CLOSURES: dict[str, Callable[[], Any]] = {
    "cond": lambda: ops.cond(ops.sum(SYMBOL) > 3, lambda: SYMBOL * 2, lambda: SYMBOL),
    "switch": lambda: ops.switch(1, [lambda x: x, lambda x: x + SYMBOL], SYMBOL),
    "while_loop": lambda: ops.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x + SYMBOL), (0, SYMBOL)),
    "fori_loop": lambda: ops.fori_loop(0, 3, lambda i, x: x + SYMBOL, SYMBOL),
    "map": lambda: ops.map(lambda row: row + ops.sum(SYMBOL), SYMBOL),
    "scan": lambda: ops.scan(lambda carry, row: (carry + ops.sum(SYMBOL), row), 0.0, SYMBOL),
    "associative_scan": lambda: ops.associative_scan(lambda x, y: x + y + ops.sum(SYMBOL), KerasTensor((4, 2))),
    "vectorized_map": lambda: ops.vectorized_map(lambda row: row + ops.sum(SYMBOL), SYMBOL),
}


@pytest.mark.parametrize("name", CLOSURES)
def test_functions_that_use_symbols_from_outside(name: str) -> None:
    """The reference cannot do this either; here the message tells the way out."""
    with pytest.raises(ValueError, match=f"`{name}` uses a symbolic tensor that is not among its arguments; pass"):
        CLOSURES[name]()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake: str) -> None:
    make, message = MISTAKES[mistake]
    with pytest.raises((TypeError, ValueError), match=message):
        make()
