"""Convolutions that the oracle cannot run on a CPU, against equal computations."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.contract.rows import floats
from tests.oracle import assert_close, keras


@pytest.mark.parametrize(
    ("layer", "arguments", "inputs"),
    [
        ("Conv1D", {"filters": 4, "kernel_size": 3}, floats(2, 8, 3)),
        (
            "Conv2D",
            {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"},
            floats(2, 7, 6, 3),
        ),
        ("Conv3D", {"filters": 2, "kernel_size": 2}, floats(2, 4, 5, 4, 3)),
    ],
)
def test_channels_first_equals_channels_last(layer, arguments, inputs):
    """The same kernel on the same values in another layout gives the same values in that layout."""
    last = getattr(nyala.layers, layer)(**arguments)
    expected = last(inputs)
    first = getattr(nyala.layers, layer)(**arguments, data_format="channels_first")
    turned = np.moveaxis(inputs, -1, 1)
    first.build(turned.shape)
    first.set_weights(last.get_weights())
    assert_close(np.moveaxis(first(turned).numpy(), 1, -1), expected, 1e-5, 1e-6)
    assert first.compute_output_shape(turned.shape) == tuple(first(turned).shape)


def test_groups_are_convolutions_side_by_side():
    """Two groups are two convolutions, each of half the channels, in values and in gradients."""
    inputs = tf.constant(floats(2, 6, 6, 4))
    grouped = nyala.layers.Conv2D(6, 3, groups=2, use_bias=False)
    grouped.build(inputs.shape)
    kernel = grouped.kernel.numpy()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        one = tf.reduce_sum(grouped(inputs) ** 2)
        halves = zip(tf.split(inputs, 2, -1), np.split(kernel, 2, -1), strict=True)
        other = tf.reduce_sum(tf.concat([tf.nn.conv2d(x, k, 1, "VALID") for x, k in halves], -1) ** 2)
    assert_close(one, other)
    assert_close(tape.gradient(one, inputs), tape.gradient(other, inputs))
    assert tape.gradient(one, grouped.trainable_weights)[0] is not None


@pytest.mark.parametrize(
    ("arguments", "shape", "said"),
    [
        ({"filters": 2, "kernel_size": 5}, (None, 4, 4, 1), "is larger than its inputs"),
        ({"filters": 3, "kernel_size": 1, "groups": 2}, (None, 4, 4, 2), "multiple of `groups`"),
        ({"filters": 2, "kernel_size": 1, "groups": 2}, (None, 4, 4, 3), "multiple of groups=2"),
        ({"filters": 0, "kernel_size": 1}, (None, 4, 4, 3), "positive integer"),
        ({"filters": 2, "kernel_size": (1, 2, 3)}, (None, 4, 4, 3), "2 positive integers or one"),
        ({"filters": 2, "kernel_size": 2, "padding": "causal"}, (None, 4, 4, 3), "must be one of 'valid', 'same'"),
        ({"filters": 2, "kernel_size": 2, "strides": 2, "dilation_rate": 2}, (None, 4, 4, 3), "not both"),
        ({"filters": 2, "kernel_size": 2}, (None, 4, 4), "4 dimensions"),
        ({"filters": 2, "kernel_size": 2}, (None, 4, 4, None), "known number of channels"),
    ],
)
def test_mistakes_are_named(arguments, shape, said):
    with pytest.raises(ValueError, match=said):
        nyala.layers.Conv2D(**arguments)(nyala.KerasTensor(shape))


TRANSPOSED = [
    {"filters": 3, "kernel_size": 3, "dilation_rate": 2},
    {"filters": 3, "kernel_size": (2, 3), "dilation_rate": (3, 2), "padding": "same"},
]


@pytest.mark.parametrize("arguments", TRANSPOSED, ids=str)
def test_transposed_convolutions_with_dilation(arguments):
    """The oracle computes these on a CPU under XLA only; ours computes them everywhere."""
    x = tf.constant(floats(2, 6, 5, 4))
    ours, theirs = nyala.layers.Conv2DTranspose(**arguments), keras.layers.Conv2DTranspose(**arguments)
    ours.build(x.shape)
    theirs.build(x.shape)
    ours.set_weights(theirs.get_weights())
    expected = tf.function(lambda x: theirs(x), jit_compile=True, autograph=False)(x)
    assert_close(ours(x), expected, 1e-5, 1e-5)
    assert ours.compute_output_shape(x.shape) == tuple(theirs.compute_output_shape(x.shape))


@pytest.mark.parametrize(
    "name", ["Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv1D"]
)
def test_unknown_sizes(name):
    """Where space is unknown the symbolic call says so, and the graph computes what the eager call does."""
    rank = int(name.partition("D")[0][-1]) if name.startswith("Conv") else {"D": 2, "S": 1}[name[0]]
    arguments = {"kernel_size": 3, "padding": "same"} | ({} if name.startswith("Depth") else {"filters": 5})
    layer = getattr(nyala.layers, name)(**arguments)
    outputs = layer(nyala.KerasTensor((None, *[None] * rank, 4)))
    assert outputs.shape[:-1] == (None,) * (rank + 1)
    assert outputs.shape[-1] in (4, 5)
    x = tf.constant(floats(2, *[6] * rank, 4))
    graph = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec([None] * (rank + 1) + [4])], autograph=False)
    assert_close(graph(x), layer(x), 1e-5, 1e-6)


@pytest.mark.parametrize("name", ["Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"])
def test_other_kinds_in_both_layouts(name):
    arguments = {"kernel_size": 3, "strides": 2} | ({} if name.startswith("Depth") else {"filters": 5})
    x = floats(2, 6, 7, 4)
    last, first = (getattr(nyala.layers, name)(**arguments, data_format=f"channels_{end}") for end in ("last", "first"))
    expected = last(x).numpy()
    first.build(np.moveaxis(x, -1, 1).shape)
    first.set_weights(last.get_weights())
    assert_close(np.moveaxis(first(np.moveaxis(x, -1, 1)).numpy(), 1, -1), expected, 1e-5, 1e-6)


def test_a_subclass_changes_the_kernel_on_its_way():
    class Centered(nyala.layers.Conv1D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel - tf.reduce_mean(kernel, (0, 1)))

    layer = Centered(3, 2, bias_initializer="ones", data_format="channels_first")
    assert_close(layer(np.ones((2, 4, 5), "float32")), np.ones((2, 3, 4)))
