"""Convolutional networks on images: a small one, and one like a ResNet with batch normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.fit import FitRow, noisy_classes
from benchmarks.weights import Weight, kernel, scales

CLASSES = 10

# ---- Two convolutions on 28×28 ----

SIZE = 28
FLAT = (SIZE // 4) ** 2 * 64  # two poolings halve the size
CNN_WEIGHTS = (*kernel(3, 3, 1, 32, kind="conv"), *kernel(3, 3, 32, 64, kind="conv"), *kernel(FLAT, CLASSES))


def cnn_data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_classes(generator, rows, SIZE, SIZE, 1)


def cnn_model(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
    )


def cnn_forward(ops: Any, weights: Sequence[Any], x: Any) -> Any:
    *convolutions, kernel, bias = weights
    for place in (0, 2):
        x = ops.max_pool(ops.relu(ops.conv(x, *convolutions[place : place + 2])))
    return ops.dense(ops.flatten(x), kernel, bias)


# ---- Three residual blocks on 32×32, each at half the size of the one before and twice the channels ----

CHANNELS = (16, 32, 64)


def conv_and_norm(size: int, inputs: int, outputs: int) -> tuple[Weight, ...]:
    return (*kernel(size, size, inputs, outputs, kind="conv"), *scales(outputs, moving=True))


def resnet_weights() -> tuple[Weight, ...]:
    weights, inputs = [*conv_and_norm(3, 3, CHANNELS[0])], CHANNELS[0]
    for channels in CHANNELS:
        weights += [*conv_and_norm(1, inputs, channels), *2 * conv_and_norm(3, channels, channels)]
        inputs = channels
    return (*weights, *kernel(inputs, CLASSES))


def resnet_data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_classes(generator, rows, 32, 32, 3)


def resnet_model(keras: Any) -> Any:
    layers = keras.layers

    def conv_and_norm(x: Any, channels: int, size: int) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(channels, size, padding="same")(x))

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(conv_and_norm(inputs, CHANNELS[0], 3))
    for channels in CHANNELS:
        shortcut = conv_and_norm(x, channels, 1)
        x = layers.ReLU()(conv_and_norm(shortcut, channels, 3))
        x = layers.ReLU()(layers.Add()([shortcut, conv_and_norm(x, channels, 3)]))
        x = layers.MaxPooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(x)))


def resnet_forward(ops: Any, weights: Sequence[Any], x: Any) -> Any:
    left = iter(weights)

    def conv_and_norm(x: Any) -> Any:
        x = ops.conv(x, next(left), next(left))
        return ops.batch_norm(x, next(left), next(left), next(left), next(left))

    x = ops.relu(conv_and_norm(x))
    for _ in CHANNELS:
        shortcut = conv_and_norm(x)
        x = ops.relu(conv_and_norm(shortcut))
        x = ops.max_pool(ops.relu(shortcut + conv_and_norm(x)))
    return ops.dense(ops.mean_of_places(x), next(left), next(left))


CNN = FitRow(
    "cnn", "fit, CNN 32-64 on 28×28, 32 steps of 128", 128, 32, cnn_data, CNN_WEIGHTS, cnn_model, cnn_forward,
    compiled=False,
)  # fmt: skip
RESNET = FitRow(
    "resnet", "fit, ResNet-like CNN with BatchNorm on 32×32, 8 steps of 64", 64, 8, resnet_data, resnet_weights(),
    resnet_model, resnet_forward, compiled=False, repeats=3,
)  # fmt: skip
ROWS = (CNN, RESNET)
