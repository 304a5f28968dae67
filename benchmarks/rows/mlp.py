"""Multi-layer perceptrons: many small steps, and few large ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.fit import FitRow, glorot, noisy_classes, zeros


def mlp(name: str, units: tuple[int, ...], batch_size: int, steps: int) -> FitRow:
    """Dense layers with ReLU between them; `units` from the features to the classes."""

    def data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
        return noisy_classes(generator, rows, units[0])

    def weights(generator: np.random.Generator) -> list[np.ndarray]:
        return [array for pair in pairwise(units) for array in (glorot(generator, *pair), zeros(pair[1]))]

    def model(keras: Any) -> Any:
        layers = [keras.layers.Dense(size, activation="relu") for size in units[1:-1]]
        return keras.Sequential([keras.Input((units[0],)), *layers, keras.layers.Dense(units[-1])])

    def forward(tf: Any, weights: list[Any], x: Any) -> Any:
        *hidden, last = zip(weights[::2], weights[1::2], strict=True)
        for kernel, bias in hidden:
            x = tf.nn.relu(x @ kernel + bias)
        return x @ last[0] + last[1]

    what = f"fit, MLP {'-'.join(map(str, units))}, {steps} steps of {batch_size}"
    return FitRow(name, what, batch_size, steps, data, weights, model, forward, compiled=True)


ROWS = (
    mlp("mlp", (784, 128, 10), batch_size=32, steps=625),
    mlp("wide_mlp", (1024, 2048, 2048, 10), batch_size=256, steps=20),
)
