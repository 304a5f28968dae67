"""Max pooling of tiles: the gradient is TensorFlow's, bit by bit, ties and second derivatives included."""

from __future__ import annotations

import numpy as np
import pytest

from nyala import ops
from nyala.core.engine import tf
from nyala.ops import tiles

GENERATOR = np.random.default_rng(0)


def gradients(pool, x, compiled):
    def run(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = pool(x)
                loss = tf.reduce_sum(y * y * tf.reshape(tf.cast(tf.range(tf.size(y)), y.dtype), tf.shape(y)))
            first = tape.gradient(loss, x)
            total = tf.reduce_sum(first * first)
        return y, first, outer.gradient(total, x)

    return tf.function(run, jit_compile=compiled, autograph=False)(x)


@pytest.mark.parametrize("compiled", [None, True], ids=["graph", "xla"])
@pytest.mark.parametrize(
    ("shape", "window", "dtype"),
    [((2, 4, 6, 3), (2, 2), "float32"), ((3, 6, 4, 2), (3, 2), "float64"), ((1, 4, 4, 1), (1, 4), "float16")],
)
def test_gradient_is_that_of_tensorflow(shape, window, dtype, compiled):
    x = np.maximum(GENERATOR.integers(-3, 4, shape), 0).astype(dtype)  # many ties
    ours = gradients(lambda x: ops.max_pool(x, window), tf.constant(x), compiled)
    theirs = gradients(lambda x: tf.nn.max_pool2d(x, window, window, "VALID"), tf.constant(x), None)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_it_is_used():
    found = {}

    @tf.function(autograph=False)
    def look(x, y):
        found["tiles"] = tiles.are_tiles(x, (2, 2), (2, 2))
        found["overlap"] = tiles.are_tiles(x, (2, 2), (1, 1))
        found["uncovered"] = tiles.are_tiles(x, (3, 3), (3, 3))
        found["of unknown size"] = tiles.are_tiles(y, (2, 2), (2, 2))
        return x

    images = tf.TensorSpec([None, 4, 4, 1]), tf.TensorSpec([None, None, 4, 1])
    look.get_concrete_function(*images)
    assert found == {"tiles": True, "overlap": False, "uncovered": False, "of unknown size": False}
    assert not tiles.are_tiles(tf.zeros((1, 4, 4, 1)), (2, 2), (2, 2))  # eagerly, compiling would not pay
