"""Recurrent classifiers of sequences.

The sequences are of vectors, without an embedding before them: Keras on TensorFlow lets a token that is looked up
several times in a batch count differently in Adam's second moment than the other contenders do, so losses part.
`torch.compile` of PyTorch 2.13 refuses the LSTM on a CPU, and unrolls the GRU, which takes it five minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.fit import FitRow, noisy_classes
from benchmarks.weights import Weight, kernel

TIME, FEATURES, UNITS, CLASSES = 100, 64, 64, 10


def data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Centred: inputs that are all above zero drive the gates to their ends, where roundings make losses part."""
    x, y = noisy_classes(generator, rows, TIME, FEATURES)
    return 4 * (x - 0.5), y


def recurrent(name: str, gates: int, bias: Weight) -> FitRow:
    """The layer's last output into a dense layer."""
    kernels = [Weight(name, (inputs, gates * UNITS)) for inputs in (FEATURES, UNITS)]

    def model(keras: Any) -> Any:
        layers = [getattr(keras.layers, name.upper())(UNITS), keras.layers.Dense(CLASSES)]
        return keras.Sequential([keras.Input((TIME, FEATURES)), *layers])

    def forward(ops: Any, weights: Sequence[Any], x: Any) -> Any:
        return ops.dense(getattr(ops, name)(x, *weights[:3]), *weights[3:])

    what = f"fit, {name.upper()} {UNITS} over {TIME} time steps, 64 steps of 32"
    weights = (*kernels, bias, *kernel(UNITS, CLASSES))
    contenders = tuple(name for name in CONTENDERS if name != "torch-compile")
    return FitRow(name, what, 32, 64, data, weights, model, forward, compiled=True, contenders=contenders)


LSTM = recurrent("lstm", 4, Weight("bias", (4 * UNITS,)))
GRU = recurrent("gru", 3, Weight("gru_bias", (2, 3 * UNITS)))
ROWS = (LSTM, GRU)
