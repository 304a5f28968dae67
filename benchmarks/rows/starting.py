"""What comes before the long run: from the start of a process to the end of its first epoch, and building a model."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.fit import FitRow
from benchmarks.job import Inputs, Job, Run, peak_mb
from benchmarks.rows.mlp import MLP


@dataclass(frozen=True)
class FirstEpochRow:
    """A process counts once, since it has only one first epoch."""

    of: FitRow = MLP
    name: str = "first_epoch"
    what: str = "from the start of a process to the end of the first epoch, MLP 784-128-10"
    unit: str = "process"
    answer: str = "loss"
    tolerance: float = FitRow.tolerance
    repeats: int = 1
    contenders: tuple[str, ...] = tuple(CONTENDERS)

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return self.of.inputs(generator)

    def run(self, job: Job) -> Run:
        run = self.of.run(replace(job, repeats=0))
        assert run.ready is not None
        return replace(run, seconds=[run.ready])


@dataclass(frozen=True)
class BuildRow:
    """A Functional model with its initial weights, like ResNet50 without the last layers; the answer is its size."""

    name: str = "build_resnet50"
    what: str = "build a model like ResNet50: 175 layers, 23.6 million parameters"
    unit: str = "model"
    answer: str = "parameters"
    tolerance: float = 0.0
    repeats: int = 3
    contenders: tuple[str, ...] = ("nyala", "keras-tensorflow", "keras-jax", "keras-torch")

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return {}

    def run(self, job: Job) -> Run:
        keras = importlib.import_module(str(job.contender.front))
        first, *seconds = [self.time_building(keras) for _ in range(1 + job.repeats)]
        model = resnet50(keras)
        assert len(model.layers) == 175, len(model.layers)
        return Run(seconds, first=first, answer=float(model.count_params()), peak_mb=peak_mb())

    def time_building(self, keras: Any) -> float:
        start = time.perf_counter()
        resnet50(keras)
        return time.perf_counter() - start


def resnet50(keras: Any) -> Any:
    layers = keras.layers

    def norm(x: Any, *convolution: Any, **options: Any) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(*convolution, **options)(x))

    def block(x: Any, channels: int, stride: int, widen: bool) -> Any:
        shortcut = norm(x, 4 * channels, 1, strides=stride) if widen else x
        x = layers.ReLU()(norm(x, channels, 1, strides=stride))
        x = layers.ReLU()(norm(x, channels, 3, padding="same"))
        return layers.ReLU()(layers.Add()([shortcut, norm(x, 4 * channels, 1)]))

    inputs = keras.Input((224, 224, 3))
    x = layers.ReLU()(norm(layers.ZeroPadding2D(3)(inputs), 64, 7, strides=2))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for channels, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for place in range(blocks):
            x = block(x, channels, stride if place == 0 else 1, widen=place == 0)
    return keras.Model(inputs, x)


ROWS = (FirstEpochRow(), BuildRow())
