"""A Transformer encoder: two blocks of attention and two dense layers, normalized after each sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.fit import FitRow, noisy_classes
from benchmarks.weights import Weight, kernel, scales

TIME, FEATURES, HEADS, HIDDEN, BLOCKS, CLASSES = 64, 128, 4, 256, 2, 10
SIZE = FEATURES // HEADS

ATTENTION = (
    *(Weight("heads", (FEATURES, HEADS, SIZE)), Weight("bias", (HEADS, SIZE))) * 3,
    Weight("merged", (HEADS, SIZE, FEATURES)),
    Weight("bias", (FEATURES,)),
)
FORWARD = (*kernel(FEATURES, HIDDEN), *kernel(HIDDEN, FEATURES))
BLOCK = (*ATTENTION, *scales(FEATURES), *FORWARD, *scales(FEATURES))


def data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_classes(generator, rows, TIME, FEATURES)


def model(keras: Any) -> Any:
    layers = keras.layers
    x = inputs = keras.Input((TIME, FEATURES))
    for _ in range(BLOCKS):
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(HEADS, SIZE)(x, x)]))
        hidden = layers.Dense(HIDDEN, activation="relu")(x)
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(FEATURES)(hidden)]))
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x)))


def forward(ops: Any, weights: Sequence[Any], x: Any) -> Any:
    left = iter(weights)

    def dense(x: Any) -> Any:
        return ops.dense(x, next(left), next(left))

    for _ in range(BLOCKS):
        attended = ops.attention(*[ops.heads(dense(x), HEADS) for _ in range(3)])
        x = ops.layer_norm(x + dense(ops.merged(attended)), next(left), next(left))
        x = ops.layer_norm(x + dense(ops.relu(dense(x))), next(left), next(left))
    return dense(ops.mean_of_places(x))


TRANSFORMER = FitRow(
    "transformer", f"fit, Transformer encoder, {BLOCKS} blocks of {FEATURES} over {TIME} places, 40 steps of 32", 32, 40,
    data, (*BLOCK * BLOCKS, *kernel(FEATURES, CLASSES)), model, forward, compiled=True, repeats=3,
)  # fmt: skip
ROWS = (TRANSFORMER,)
