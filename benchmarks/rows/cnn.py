"""A small convolutional network on images of 28 by 28."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.fit import FitRow, glorot, noisy_classes, zeros

SIZE, CLASSES = 28, 10
FLAT = (SIZE // 4) ** 2 * 64  # two poolings halve the size


def data(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return noisy_classes(generator, rows, SIZE, SIZE, 1)


def weights(generator: np.random.Generator) -> list[np.ndarray]:
    kernels = [glorot(generator, *shape) for shape in ((3, 3, 1, 32), (3, 3, 32, 64), (FLAT, CLASSES))]
    return [array for kernel in kernels for array in (kernel, zeros(kernel.shape[-1]))]


def model(keras: Any) -> Any:
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


def forward(tf: Any, weights: list[Any], x: Any) -> Any:
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = weights
    for kernel, bias in ((kernel_1, bias_1), (kernel_2, bias_2)):
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    return tf.reshape(x, (-1, FLAT)) @ kernel_3 + bias_3


CNN = "fit, CNN 32-64 on 28×28, 32 steps of 128"
ROWS = (FitRow("cnn", CNN, 128, 32, data, weights, model, forward, compiled=False),)
