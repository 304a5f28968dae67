"""The order of weights is the order in which things came to their owner, as in the reference."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from tests.oracle import keras


def lists_in_turn(k):
    class Block(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.convolutions, self.norms = [], []
            for units in (3, 5, 7):
                self.convolutions.append(k.layers.Dense(units))
                self.norms.append(k.layers.LayerNormalization())
            self.head = k.layers.Dense(2)

        def call(self, x):
            for convolution, norm in zip(self.convolutions, self.norms):
                x = norm(convolution(x))
            return self.head(x)

    return Block()


def list_filled_after_the_head(k):
    class Late(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.blocks = []
            self.head = k.layers.Dense(2)
            self.blocks.append(k.layers.Dense(3))
            self.named = {"a": k.layers.Dense(4)}
            self.last = k.layers.Dense(5)
            self.named["b"] = k.layers.Dense(6)

        def call(self, x):
            x = self.named["b"](self.named["a"](self.last(self.blocks[0](x))))
            return self.head(x)

    return Late()


def attributes_in_another_order_than_made(k):
    class Swapped(k.layers.Layer):
        def __init__(self, first, second):
            super().__init__()
            self.second, self.first = second, first
            self.both = [k.layers.Dense(4), first]

        def call(self, x):
            return self.both[0](self.second(self.first(x)))

    return Swapped(k.layers.Dense(2), k.layers.Dense(3))


def variables_beside_weights(k):
    class Mixed(k.layers.Layer):
        def __init__(self):
            super().__init__()
            self.scale = k.Variable(np.ones((7,), "float32"))
            self.inner = k.layers.Dense(3)

        def build(self, input_shape):
            self.bias = self.add_weight(shape=(2,))
            self.offset = k.Variable(np.ones((5,), "float32"))
            self.count = self.add_weight(shape=(9,), trainable=False)
            self.slope = self.add_weight(shape=(6,))

        def call(self, x):
            return self.inner(x)

    return Mixed()


CASES = [
    lists_in_turn,
    list_filled_after_the_head,
    attributes_in_another_order_than_made,
    variables_beside_weights,
]


@pytest.mark.parametrize("build", CASES)
def test_weights_come_in_the_order_of_the_reference(build):
    shapes = []
    for k in (nyala, keras):
        layer = build(k)
        layer(np.ones((2, 3), "float32"))
        found = (layer.weights, layer.trainable_weights, layer.non_trainable_weights)
        shapes.append([[tuple(w.shape) for w in weights] for weights in found])
    assert shapes[0] == shapes[1]
