"""Recurrent classifiers of sequences.

The sequences are of vectors, without an embedding before them: Keras on TensorFlow lets a token that is looked up
several times in a batch count differently in Adam's second moment than the other contenders do, so losses part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.fit import FitRow, glorot, noisy_classes, zeros

TIME, FEATURES, UNITS, CLASSES = 100, 64, 64, 10


def data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_classes(generator, rows, TIME, FEATURES)


def weights(generator: np.random.Generator) -> list[np.ndarray]:
    gates = [glorot(generator, FEATURES, 4 * UNITS), glorot(generator, UNITS, 4 * UNITS), zeros(4 * UNITS)]
    return [*gates, glorot(generator, UNITS, CLASSES), zeros(CLASSES)]


def model(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([keras.Input((TIME, FEATURES)), layers.LSTM(UNITS), layers.Dense(CLASSES)])


def forward(tf: Any, weights: list[Any], x: Any) -> Any:
    kernel, recurrent, bias, out_kernel, out_bias = weights
    inputs = tf.einsum("ntd,du->tnu", x, kernel) + bias  # (T, N, 4U)

    def body(time: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        enter, forget, new, leave = tf.split(inputs[time] + hidden @ recurrent, 4, axis=1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(enter) * tf.tanh(new)
        return time + 1, tf.sigmoid(leave) * tf.tanh(cell), cell

    state = (tf.constant(0), tf.zeros((x.shape[0], UNITS)), tf.zeros((x.shape[0], UNITS)))
    # XLA wants to know the number of turns, and so how much to keep for the gradient.
    hidden = tf.while_loop(lambda time, *_: time < TIME, body, state, maximum_iterations=TIME)[1]
    return hidden @ out_kernel + out_bias


LSTM = "fit, LSTM 64 over 100 time steps, 64 steps of 32"
ROWS = (FitRow("lstm", LSTM, 32, 64, data, weights, model, forward, compiled=True),)
