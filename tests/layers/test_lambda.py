"""`Lambda`: functions as layers, and what files hold of them."""

from __future__ import annotations

import pytest

import nyala
from nyala.core.engine import tf
from tests.contract.rows import floats
from tests.oracle import assert_close, keras

X = floats(2, 3)


def scaled(x, factor=2.0):
    return x * factor


def test_values_and_shapes_equal_the_oracle():
    for arguments in ({}, {"arguments": {"factor": 3.0}}, {"output_shape": (3,)}):
        ours, theirs = nyala.layers.Lambda(scaled, **arguments), keras.layers.Lambda(scaled, **arguments)
        assert_close(ours(X), theirs(X))
        assert ours(nyala.KerasTensor((None, 3))).shape == (None, 3)
        assert tuple(ours.compute_output_shape((5, 3))) == tuple(theirs.compute_output_shape((5, 3)))
        mine, reference = ours.get_config(), theirs.get_config()
        assert mine["function"] == reference["function"]
        assert mine.keys() == reference.keys()


def test_the_traced_dtype_is_the_functions():
    assert nyala.layers.Lambda(lambda x: tf.cast(x, "int32"))(nyala.KerasTensor((None, 3))).dtype == "int32"


def test_training_and_mask_go_to_functions_that_ask():
    layer = nyala.layers.Lambda(lambda x, training=None: x + (1.0 if training else 0.0))
    assert_close(layer(X, training=True), X + 1)
    assert_close(layer(X), X)
    masked = tf.constant(X)
    masked._keras_mask = tf.constant([True, False])
    asked = nyala.layers.Lambda(lambda x, mask: tf.where(mask[:, None], x, 0.0), mask=lambda x, mask: ~mask)
    outputs = asked(masked)
    assert_close(outputs[1], X[1] * 0)
    assert outputs._keras_mask.numpy().tolist() == [False, True]


def test_python_control_flow_in_a_graph():
    def halved_until_small(x):
        while tf.reduce_max(x) > 1.0:
            x = x / 2.0
        return x

    layer = nyala.layers.Lambda(halved_until_small)
    graph = tf.function(lambda x: layer(x), autograph=False)
    assert_close(graph(tf.constant([8.0])), layer(tf.constant([8.0])))


def test_files_hold_names_only():
    """A lambda has no name and is refused; the oracle's bytecode is refused, never run."""
    with pytest.raises(ValueError, match="lambda has no name"):
        nyala.layers.Lambda(lambda x: x).get_config()
    with pytest.raises(ValueError, match="bytecode"):
        nyala.layers.Lambda.from_config(keras.layers.Lambda(lambda x: x).get_config())
    data = nyala.layers.Lambda(scaled, arguments={"factor": 3.0}).get_config()
    with pytest.raises(ValueError, match="'scaled' is not known"):
        nyala.layers.Lambda.from_config(data)
    with nyala.core.config.custom_object_scope({"scaled": scaled}):
        assert_close(nyala.layers.Lambda.from_config(data)(X), X * 3)
