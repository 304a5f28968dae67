"""Layers that are there for training: they draw noise, or add to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import random
from nyala.core import config
from nyala.core.layer import Layer
from nyala.layers.checks import fraction


class Dropout(Layer):
    """Sets a share `rate` of the inputs to zero in training, and divides the others by `1 - rate`.

    Shapes: any → the same. `noise_shape` broadcasts against the inputs: along its ones all share their fate. Raises
    ValueError for a rate outside [0, 1]. Source: Srivastava et al., "Dropout", 2014.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Dropout(0.5)(np.ones((1, 3), "float32")).numpy().tolist()
        [[1.0, 1.0, 1.0]]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = fraction(self, "rate", rate)
        self.noise_shape = noise_shape
        self.seed = seed
        if rate > 0:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training and self.rate > 0:
            return random.dropout(inputs, rate=self.rate, noise_shape=self.noise_shape, seed=self.seed_generator)
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


config.layers.add(Dropout)
