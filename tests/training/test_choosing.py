"""The rule by which a step runs as a graph or under XLA, and that it counts what it goes by."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from nyala.training.choosing import TURNS, Operations, choose, operations_of

PRODUCTS = Operations(frozenset({"MatMul", "Relu"}), 70, 70)
IMAGES = Operations(frozenset({"Conv2D", "Relu"}), 70, 70)
PYTHON = Operations(frozenset({"EagerPyFunc", "MatMul"}), 70, 70)
SIZED = Operations(frozenset({"Where", "MatMul"}), 70, 70)
LARGE = Operations(frozenset({"MatMul", "Relu"}), 70, 70, 10_000_000, 4_000_000_000)
OVER_TIME = Operations(frozenset({"MatMul", "While"}), 70, 7000)


@pytest.mark.parametrize(
    ("operations", "jit_compile", "on_gpu", "steps", "mode", "reason"),
    [
        (PRODUCTS, "auto", False, 100, "graph", "100 steps do not earn back XLA's 0.5 s of compiling"),
        (PRODUCTS, "auto", False, 100_000, "xla", "100000 steps are worth 0.5 s of compiling"),
        (PRODUCTS, "auto", False, None, "graph", "an unknown number of steps"),
        (LARGE, "auto", False, 100, "xla", "100 steps are worth"),
        (OVER_TIME, "auto", False, 100, "xla", "100 steps are worth"),
        (PRODUCTS, True, False, 1, "xla", "jit_compile=True"),
        (PRODUCTS, False, False, 100_000, "graph", "jit_compile=False"),
        (IMAGES, "auto", False, 100_000, "graph", "Conv2D, which TensorFlow's own kernels run faster on a CPU"),
        (IMAGES, "auto", True, 100_000, "xla", "100000 steps are worth"),
        (PYTHON, "auto", True, 100_000, "graph", "EagerPyFunc, which XLA cannot compile"),
        (SIZED, "auto", False, 1, "graph", "Where, which XLA cannot compile as it is"),
    ],
)
def test_the_rule(operations, jit_compile, on_gpu, steps, mode, reason):
    execution = choose(operations, jit_compile, on_gpu, steps)
    assert execution.mode == mode
    assert reason in str(execution)


def looped(x):
    return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.sin(y)), (0, x))[1]


def stacked(x):
    return tf.TensorArray("float32", size=2).write(0, x).write(1, x).stack()


@pytest.mark.parametrize(
    ("function", "stumbles_over"),
    [
        (lambda x: tf.random.stateless_gamma([3], [1, 2], 1.0) + x[0, :3], "StatelessRandomGamma"),
        (lambda x: tf.image.resize(x[None, ..., None], (3, 3), "bicubic"), "ResizeBicubic"),
        (lambda x: tf.numpy_function(np.sin, [x], "float32"), "PyFunc"),
        (lambda x: tf.strings.length(tf.strings.as_string(x)), "AsString"),
        (lambda x: tf.sparse.to_dense(tf.SparseTensor([[0, 0]], x[0, :1], [2, 2])), "SparseToDense"),
        (lambda x: x[x > 0], "Where"),
        (lambda x: tf.unique(x[0]), "Unique"),
        (looped, None),
        (stacked, None),
        (lambda x: tf.cond(x[0, 0] > 0, lambda: tf.sin(x), lambda: tf.function(tf.cos)(x)), None),
        (lambda x: tf.recompute_grad(tf.tanh)(x) + tf.random.stateless_normal([4, 4], [1, 2]), None),
        (lambda x: tf.math.top_k(x @ x, 2)[0], None),
        (lambda x: nyala.losses.sparse_categorical_crossentropy([1, 2, 0, 1], x, from_logits=True), None),
    ],
)
def test_what_xla_cannot_compile_is_known_before_it_is_asked(function, stumbles_over):
    """And what it is given, it compiles."""
    x = tf.reshape(tf.range(16.0), (4, 4))
    traced = tf.function(function, autograph=False).get_concrete_function(x)
    execution = choose(operations_of(traced), "auto", False, 10**9)
    if stumbles_over:
        assert execution.mode == "graph"
        assert f"the step holds {stumbles_over}" in execution.reason
    else:
        assert execution.mode == "xla", execution
        tf.function(function, jit_compile=True, autograph=False)(x)


def test_a_loop_counts_as_often_as_it_may_turn():
    @tf.function(input_signature=[tf.TensorSpec([2, 2])], autograph=False)
    def step(x):
        inner = tf.function(lambda y: tf.tanh(y) + 1.0, autograph=False)
        return tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, tf.sin(inner(y))), (0, x))[1]

    counted = operations_of(step.get_concrete_function())
    assert {"Sin", "Tanh", "StatelessWhile"} <= counted.kinds
    once, over = 2, 6  # the loop and its condition; in its body two sums, the sine, the call, and what it holds
    assert counted.passed >= over * TURNS
    assert counted.written < 30 < counted.passed
    assert counted.written >= once + over - 1


def test_what_is_computed_counts_whatever_the_axes_are_merged_to():
    """Floats, and products inside matrix products; the sizes of an open batch are those of the rows that will come."""
    weights = tf.ones((8, 5))

    @tf.function(input_signature=[tf.TensorSpec([None, 3, 8])], autograph=False)
    def step(x):
        merged = tf.matmul(tf.reshape(x, (-1, 8)), weights)  # (3 N, 5)
        return tf.tanh(tf.reshape(merged, (-1, 3, 5)))

    counted = operations_of(step.get_concrete_function(), rows=4)
    rows = 4 * 3
    assert counted.products == rows * 5 * 8
    assert counted.values == rows * 8 + 3 * rows * 5  # a reshape, the product, another reshape, the tangent
    assert operations_of(step.get_concrete_function()).products == 32 * 3 * 5 * 8


def compiled(units=8):
    model = nyala.Sequential([nyala.Input((4,)), nyala.layers.Dense(units, "relu"), nyala.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_model_that_is_fitted_again_and_again_is_compiled_in_time():
    """A loop of short `fit` calls is long work too; what was chosen says from how many steps on."""
    x, y = np.ones((20, 4), "float32"), np.ones((20, 1), "float32")
    model = compiled()
    model.fit(x, y, batch_size=1, epochs=2, verbose=0)
    assert "graph: 40 steps do not earn back" in model.execution_plan
    enough = model._plans["train"][1].execution.enough
    model.fit(x, y, batch_size=1, epochs=int(enough / 20), verbose=0)
    assert f"xla: {40 + 20 * int(enough / 20)} steps are worth" in model.execution_plan
