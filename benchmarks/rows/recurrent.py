"""Recurrent classifiers of sequences.

The sequences are of vectors, without an embedding before them: Keras on TensorFlow lets a token that is looked up
several times in a batch count differently in Adam's second moment than the other contenders do, so losses part.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.fit import FitRow, glorot, noisy_classes, zeros

TIME, FEATURES, UNITS, CLASSES = 100, 64, 64, 10


def data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_classes(generator, rows, TIME, FEATURES)


def weights(generator: np.random.Generator, gates: int, *bias: int) -> list[np.ndarray]:
    kernels = [glorot(generator, FEATURES, gates * UNITS), glorot(generator, UNITS, gates * UNITS)]
    return [*kernels, zeros(*bias, gates * UNITS), glorot(generator, UNITS, CLASSES), zeros(CLASSES)]


def model(keras: Any, recurrent: str) -> Any:
    layers = [getattr(keras.layers, recurrent)(UNITS), keras.layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input((TIME, FEATURES)), *layers])


# ---- By hand, for TensorFlow ----


def over_time(tf: Any, body: Any, rows: int, states: int) -> Any:
    """The first state after all time steps of `body(time, *states)`."""
    start = (tf.constant(0), *[tf.zeros((rows, UNITS))] * states)
    # XLA wants to know the number of turns, and so how much to keep for the gradient.
    return tf.while_loop(lambda time, *_: time < TIME, body, start, maximum_iterations=TIME)[1]


def lstm(tf: Any, weights: list[Any], x: Any) -> Any:
    kernel, recurrent, bias, out_kernel, out_bias = weights
    inputs = tf.einsum("ntd,du->tnu", x, kernel) + bias  # (T, N, 4U)

    def body(time: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
        enter, forget, new, leave = tf.split(inputs[time] + hidden @ recurrent, 4, axis=1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(enter) * tf.tanh(new)
        return time + 1, tf.sigmoid(leave) * tf.tanh(cell), cell

    return over_time(tf, body, x.shape[0], states=2) @ out_kernel + out_bias


def gru(tf: Any, weights: list[Any], x: Any) -> Any:
    kernel, recurrent, bias, out_kernel, out_bias = weights
    inputs = tf.einsum("ntd,du->tnu", x, kernel) + bias[0]  # (T, N, 3U)

    def body(time: Any, hidden: Any) -> tuple[Any, Any]:
        x_update, x_reset, x_new = tf.split(inputs[time], 3, axis=1)
        h_update, h_reset, h_new = tf.split(hidden @ recurrent + bias[1], 3, axis=1)
        update = tf.sigmoid(x_update + h_update)
        new = tf.tanh(x_new + tf.sigmoid(x_reset + h_reset) * h_new)
        return time + 1, update * hidden + (1 - update) * new

    return over_time(tf, body, x.shape[0], states=1) @ out_kernel + out_bias


# ---- In PyTorch, with its fused layers ----


def classifier(torch: Any, layer: Any, out_kernel: Any, out_bias: Any) -> Any:
    """The layer's last output into a dense layer."""

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.out = layer, torch.nn.Linear(UNITS, CLASSES)

        def forward(self, x: Any) -> Any:
            return self.out(self.recurrent(x)[0][:, -1])

    module = Classifier()
    with torch.no_grad():
        module.out.weight.copy_(out_kernel.T)
        module.out.bias.copy_(out_bias)
    return module


def torch_lstm(torch: Any, weights: list[Any]) -> Any:
    """PyTorch has the gates in our order, each kernel transposed, and a second bias, which is kept at zero."""
    kernel, recurrent, bias, *out = weights
    layer = torch.nn.LSTM(FEATURES, UNITS, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(kernel.T)
        layer.weight_hh_l0.copy_(recurrent.T)
        layer.bias_ih_l0.copy_(bias)
        layer.bias_hh_l0.zero_()
    layer.bias_hh_l0.requires_grad_(False)
    return classifier(torch, layer, *out)


def torch_gru(torch: Any, weights: list[Any]) -> Any:
    """PyTorch has reset before update, each kernel transposed, and two biases, as we have."""
    kernel, recurrent, bias, *out = weights

    def reset_first(values: Any) -> Any:
        update, reset, new = values.split(UNITS, -1)
        return torch.cat([reset, update, new], -1)

    layer = torch.nn.GRU(FEATURES, UNITS, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(reset_first(kernel).T)
        layer.weight_hh_l0.copy_(reset_first(recurrent).T)
        layer.bias_ih_l0.copy_(reset_first(bias[0]))
        layer.bias_hh_l0.copy_(reset_first(bias[1]))
    return classifier(torch, layer, *out)


LSTM = "fit, LSTM 64 over 100 time steps, 64 steps of 32"
GRU = "fit, GRU 64 over 100 time steps, 64 steps of 32"
ROWS = (
    FitRow(
        "lstm", LSTM, 32, 64, data, lambda generator: weights(generator, 4), lambda keras: model(keras, "LSTM"),
        lstm, compiled=True, contenders=tuple(CONTENDERS), module=torch_lstm,
    ),
    FitRow(
        "gru", GRU, 32, 64, data, lambda generator: weights(generator, 3, 2), lambda keras: model(keras, "GRU"),
        gru, compiled=True, contenders=tuple(CONTENDERS), module=torch_gru,
    ),
)  # fmt: skip
