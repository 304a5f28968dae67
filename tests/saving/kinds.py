"""Kinds of models, each built alike from both libraries, with data and what it is compiled with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.oracle import keras

X = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
STEPS = X.reshape(8, 3, 2)
WORDS = np.random.default_rng(1).integers(0, 5, (8, 3))
IMAGES = np.random.default_rng(4).normal(size=(8, 6, 6, 1)).astype("float32")
Y = np.random.default_rng(2).normal(size=(8, 2)).astype("float32")

Kind = tuple[Callable[[Any], Any], Any, Any, Callable[[Any], dict[str, Any]]]


def adam_mse(lib: Any) -> dict[str, Any]:
    return {"optimizer": lib.optimizers.Adam(0.01), "loss": "mse", "metrics": ["mae"]}


def momentum(lib: Any) -> dict[str, Any]:
    rate = lib.optimizers.schedules.ExponentialDecay(0.05, 3, 0.9)
    return {"optimizer": lib.optimizers.SGD(rate, momentum=0.9, nesterov=True), "loss": lib.losses.MeanAbsoluteError()}


def averaged(lib: Any) -> dict[str, Any]:
    optimizer = lib.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.5, clipnorm=1.0)
    return {"optimizer": optimizer, "loss": lib.losses.LogCosh(), "metrics": [lib.metrics.MeanSquaredError(name="q")]}


def rmsprop(lib: Any) -> dict[str, Any]:
    return {"optimizer": lib.optimizers.RMSprop(0.01, centered=True), "loss": "mse", "weighted_metrics": ["mse"]}


def two_losses(lib: Any) -> dict[str, Any]:
    return {"optimizer": "sgd", "loss": {"a": "mse", "b": "mae"}, "loss_weights": {"a": 1.0, "b": 0.5}}


# ---- Sequential ----


def stack(lib: Any) -> Any:
    dense = lib.layers.Dense
    layers = [dense(5, "relu", name="first"), dense(4, lib.activations.tanh), dense(2, kernel_regularizer="l2")]
    return lib.Sequential([lib.Input((6,)), *layers], name="stack")


def without_input(lib: Any) -> Any:
    model = lib.Sequential([lib.layers.Dense(3, use_bias=False), lib.layers.Dense(2)])
    model.build((None, 6))
    return model


def frozen(lib: Any) -> Any:
    layers = [lib.layers.Dense(4, trainable=False), lib.layers.Dense(3), lib.layers.Dense(2)]
    return lib.Sequential([lib.Input((6,)), *layers])


def recurrent(layer: str, **options: Any) -> Callable[[Any], Any]:
    def build(lib: Any) -> Any:
        return lib.Sequential([lib.Input((3, 2)), getattr(lib.layers, layer)(4, **options), lib.layers.Dense(2)])

    return build


def cells(lib: Any) -> Any:
    cell = [lib.layers.LSTMCell(3), lib.layers.GRUCell(2)]
    return lib.Sequential([lib.Input((3, 2)), lib.layers.RNN(cell), lib.layers.Dense(2)])


def words(lib: Any) -> Any:
    layers = [lib.layers.Embedding(5, 4, mask_zero=True), lib.layers.LSTM(3), lib.layers.Dense(2)]
    return lib.Sequential([lib.Input((3,), dtype="int64"), *layers])


def mixed(lib: Any) -> Any:
    layers = [lib.layers.Dense(4, dtype="mixed_bfloat16"), lib.layers.Dense(2)]
    return lib.Sequential([lib.Input((6,)), *layers])


# ---- Functional ----


def shared(lib: Any) -> Any:
    x = lib.Input((6,), name="x")
    layer = lib.layers.Dense(6, name="twice")
    h = layer(layer(x))
    out = lib.layers.Dense(2)(lib.ops.concatenate([h, lib.layers.Dense(1)(x)], axis=-1))
    return lib.Model(x, out, name="shared")


def with_ops(lib: Any) -> Any:
    x = lib.Input((6,))
    h = lib.ops.reshape(lib.layers.Dense(8)(x), (-1, 4, 2))
    h = lib.ops.transpose(h[:, 1:], (0, 2, 1)) * 2.0 + np.ones((3,), "float32")
    h = 1.0 - lib.ops.where(h > 0, h, 0.1 * h)
    h = lib.ops.clip(lib.ops.mean(h, axis=-1), -3.0, 3.0)
    return lib.Model(x, lib.layers.Dense(2)(h) + h**2)


def nested(lib: Any) -> Any:
    inside = lib.Sequential([lib.Input((4,)), lib.layers.Dense(3, "relu"), lib.layers.Dense(4)], name="inside")
    y = lib.Input((4,))
    middle = lib.Model(y, [inside(y), lib.layers.Dense(4, name="side")(y)], name="middle")
    x = lib.Input((6,))
    one, other = middle(lib.layers.Dense(4)(x))
    return lib.Model(x, lib.layers.Dense(2)(middle(one)[1] + other))


def images(lib: Any) -> Any:
    x = lib.Input((6, 6, 1))
    h = lib.layers.Conv2D(3, 3, activation="relu", padding="same")(x)
    h = lib.layers.MaxPooling2D()(lib.layers.BatchNormalization()(h))
    h = lib.layers.Flatten()(lib.layers.Activation("tanh")(h))
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.LayerNormalization()(h)))


def wrapped(lib: Any) -> Any:
    x = lib.Input((3, 2))
    h = lib.layers.Bidirectional(lib.layers.LSTM(3, return_sequences=True))(x)
    h = lib.layers.TimeDistributed(lib.layers.Dense(4))(h)
    h = lib.layers.Add()([h, lib.layers.MultiHeadAttention(2, 2)(h, h)])
    return lib.Model(x, lib.layers.Dense(2)(lib.layers.GlobalAveragePooling1D()(h)))


def shared_across(lib: Any) -> Any:
    """A model inside that is used on two levels; the reference cannot load its own file of it."""
    inside = lib.Sequential([lib.Input((6,)), lib.layers.Dense(6)], name="inside")
    y = lib.Input((6,))
    middle = lib.Model(y, inside(y), name="middle")
    x = lib.Input((6,))
    return lib.Model(x, lib.layers.Dense(2)(middle(x) + inside(x)))


def dicts(lib: Any) -> Any:
    x, z = lib.Input((6,), name="x"), lib.Input((6,), name="z")
    h = lib.layers.Dense(3, name="merge")(x + z)
    outputs = {"b": lib.layers.Dense(2, name="second")(h), "a": lib.layers.Dense(2, name="first")(h)}
    return lib.Model({"x": x, "z": z}, outputs)


def frozen_inside(lib: Any) -> Any:
    x = lib.Input((6,))
    model = lib.Model(x, lib.layers.Dense(2)(lib.layers.Dense(4, name="still")(x)))
    model.get_layer("still").trainable = False
    return model


# ---- Subclassed ----


def _register(lib: Any, cls: Any) -> Any:
    return lib.saving.register_keras_serializable("kinds")(cls)


def blocks(lib: Any) -> Any:
    dense = lib.layers.Dense

    class Part(lib.layers.Layer):
        def __init__(self, units: int, **options: Any) -> None:
            super().__init__(**options)
            self.units = units
            self._hidden, self.shown = dense(units), dense(units)

        @property
        def also_hidden(self) -> Any:
            return self._hidden

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
            self.count = self.add_weight(shape=(), initializer="ones", trainable=False, name="count")

        def call(self, inputs: Any) -> Any:
            return self.shown(self._hidden(inputs)) * self.scale * self.count

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    class Blocks(lib.Model):
        def __init__(self, units: int = 3, **options: Any) -> None:
            super().__init__(**options)
            self.units = units
            self.zone, self.alpha = dense(units), dense(units)
            self.rows = [dense(units), [dense(units), dense(units)], Part(units)]
            self.named = {"second": dense(units), "first": {"deep": dense(units)}}
            self.pair = (dense(units), Part(units, name="part"))
            self._last = dense(2)
            self.shift = self.add_weight(shape=(2,), initializer="zeros", name="shift")

        def call(self, inputs: Any) -> Any:
            h = self.alpha(self.zone(inputs))
            h = self.rows[2](self.rows[1][1](self.rows[1][0](self.rows[0](h))))
            h = self.named["first"]["deep"](self.named["second"](h))
            return self._last(self.pair[1](self.pair[0](h))) + self.shift

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    _register(lib, Part)
    model = _register(lib, Blocks)(4)
    model(X)
    return model


def functional_subclass(lib: Any) -> Any:
    class Ready(lib.Model):
        def __init__(self, units: int = 3, **options: Any) -> None:
            x = lib.Input((6,))
            last = lib.layers.Dense(2)
            super().__init__(x, last(lib.layers.Dense(units)(x)), **options)
            self.units, self.last = units, last

        def get_config(self) -> dict[str, Any]:
            return {"units": self.units, "name": self.name}

    return _register(lib, Ready)(5)


KINDS: dict[str, Kind] = {
    "stack": (stack, X, Y, adam_mse),
    "without_input": (without_input, X, Y, momentum),
    "frozen": (frozen, X, Y, averaged),
    "lstm": (recurrent("LSTM"), STEPS, Y, rmsprop),
    "gru": (recurrent("GRU", reset_after=True), STEPS, Y, adam_mse),
    "simple_rnn": (recurrent("SimpleRNN", go_backwards=True), STEPS, Y, momentum),
    "cells": (cells, STEPS, Y, adam_mse),
    "words": (words, WORDS, Y, adam_mse),
    "mixed": (mixed, X, Y, momentum),
    "shared": (shared, X, Y, averaged),
    "with_ops": (with_ops, X, Y, adam_mse),
    "nested": (nested, X, Y, adam_mse),
    "dicts": (dicts, {"x": X, "z": X[::-1]}, {"a": Y, "b": Y}, two_losses),
    "frozen_inside": (frozen_inside, X, Y, adam_mse),
    "images": (images, IMAGES, Y, adam_mse),
    "wrapped": (wrapped, STEPS, Y, adam_mse),
    "blocks": (blocks, X, Y, rmsprop),
    "functional_subclass": (functional_subclass, X, Y, adam_mse),
}


def trained(lib: Any, kind: str) -> Any:
    """A model of that kind after two steps, which Python runs: to trace them would take most of the time."""
    build, x, y, settings = KINDS[kind]
    keras.utils.set_random_seed(7)
    model = build(lib)
    model.compile(**settings(lib), run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(x, y)
    return model
