"""Rows that train: `fit` through Keras's API, and the same training by hand (`by_hand/`)."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.job import Inputs, Job, Run, peak_mb
from benchmarks.weights import Weight, initial_weights, numbered

# Adam's, written out so that all use the same. Both betas are exact in float32: of 0.999 some take 1 - 0.999 as it is
# and some the float32 nearest to it, which changes a step by 6 millionths and the loss of the row `mlp` by a thousandth.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 1 - 3 / 32, 1 - 2**-10, 1e-7
SOURCES = {"arrays": "arrays in memory", "tf.data": "a tf.data pipeline", "generator": "a Python generator"}


@dataclass(frozen=True)
class Goal:
    """A loss, and the weights from `first` up to `end` that an Adam of its own trains towards it."""

    loss: Callable[[Any, Sequence[Any], Any, Any], Any]  # (ops, weights, x, y) -> loss
    first: int = 0
    end: int | None = None


def adam(keras: ModuleType) -> Any:
    return keras.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON)


def compile_classifier(keras: ModuleType, model: Any) -> None:
    """The loss is the cross-entropy of logits with class numbers."""
    model.compile(adam(keras), keras.losses.SparseCategoricalCrossentropy(from_logits=True))


@dataclass(frozen=True)
class FitRow:
    """A model trained with Adam on the same batches in the same order every epoch, so that losses compare.

    The answer is the mean loss over the last epoch. A row without goals of its own trains a classifier.
    """

    name: str
    what: str
    batch_size: int
    steps: int  # batches in an epoch; all of them are full
    data: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]  # (generator, rows) -> x, y
    weights: tuple[Weight, ...]  # in the order of `model.get_weights()`
    model: Callable[[Any], Any]  # the module `keras` or `nyala` -> a model that is not compiled
    forward: Callable[[Any, Sequence[Any], Any], Any]  # (ops, weights, x) -> outputs: the model by hand
    compiled: bool  # whether XLA wins for TensorFlow by hand, on a CPU
    source: str = "arrays"  # one of SOURCES
    own_goals: tuple[Goal, ...] = ()
    compile: Callable[[Any, Any], None] = compile_classifier
    tolerance: float = 5e-3  # roundings grow: Adam's first steps turn on the sign of gradients near 0
    repeats: int = 5
    unit: str = "epoch"
    answer: str = "final loss"
    contenders: tuple[str, ...] = tuple(CONTENDERS)

    @property
    def goals(self) -> tuple[Goal, ...]:
        return self.own_goals or (Goal(lambda ops, weights, x, y: ops.cross_entropy(self.forward(ops, weights, x), y)),)

    def trained_by(self, goal: Goal) -> list[int]:
        """The places of the weights that a goal trains."""
        places = range(len(self.weights))[goal.first : goal.end]
        return [place for place in places if self.weights[place].trained]

    def inputs(self, generator: np.random.Generator) -> Inputs:
        x, y = self.data(generator, self.batch_size * self.steps)
        return {"x": x, "y": y, **numbered([weight.draw(generator) for weight in self.weights])}

    def batches(self, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One epoch for those who take NumPy arrays."""
        if self.source == "tf.data":
            yield from self.dataset(inputs).as_numpy_iterator()
            return
        for first in range(0, self.batch_size * self.steps, self.batch_size):
            yield inputs["x"][first : first + self.batch_size], inputs["y"][first : first + self.batch_size]

    def dataset(self, inputs: Inputs) -> Any:
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((inputs["x"], inputs["y"])).batch(self.batch_size).prefetch(2)

    def feed(self, inputs: Inputs) -> dict[str, Any]:
        """The source as arguments of `fit`."""
        if self.source == "tf.data":
            return {"x": self.dataset(inputs)}
        if self.source == "generator":
            return {"x": self.endless(inputs), "steps_per_epoch": self.steps}
        return {"x": inputs["x"], "y": inputs["y"], "batch_size": self.batch_size, "shuffle": False}

    def endless(self, inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        while True:
            yield from self.batches(inputs)

    def run(self, job: Job) -> Run:
        if job.contender.front is None:
            return self.run_by_hand(job)
        return self.run_fit(importlib.import_module(job.contender.front), job)

    def compiled_model(self, keras: ModuleType, inputs: Inputs) -> Any:
        model = self.model(keras)
        model.set_weights(initial_weights(inputs))
        self.compile(keras, model)
        return model

    def run_fit(self, keras: ModuleType, job: Job) -> Run:
        model = self.compiled_model(keras, job.inputs)
        ends: list[float] = []
        callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.time()))
        start = time.time()
        history = model.fit(**self.feed(job.inputs), epochs=1 + job.repeats, verbose=0, callbacks=[callback])
        return report(job, start, ends, history.history["loss"][-1])

    def run_by_hand(self, job: Job) -> Run:
        epoch = job.by_hand(self).epochs()
        ends: list[float] = []
        loss = np.nan
        start = time.time()
        for _ in range(1 + job.repeats):
            loss = epoch()
            ends.append(time.time())
        return report(job, start, ends, loss)


def report(job: Job, start: float, ends: list[float], loss: float) -> Run:
    """The first epoch is not counted, since it traces and compiles; it is reported by itself."""
    return Run(
        seconds=[float(seconds) for seconds in np.diff(ends)],
        first=ends[0] - start,
        ready=ends[0] - job.started,
        answer=float(loss),
        peak_mb=peak_mb(),
    )


def noisy_classes(generator: np.random.Generator, rows: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """x in [0, 1): a pattern for each of ten classes under noise; y: the classes, of which a fifth is drawn anew.

    So a few steps learn something, and the loss stays well above 0, where it can be compared. Weaker patterns would
    leave the last epoch amid a steep descent, where roundings alone make losses part by a hundredth.
    """
    patterns = generator.random((10, *shape), "float32")
    y = generator.integers(10, size=rows, dtype="int32")
    x = 0.5 * patterns[y] + 0.5 * generator.random((rows, *shape), "float32")
    redrawn = generator.random(rows) < 0.2
    return x, np.where(redrawn, generator.integers(10, size=rows, dtype="int32"), y)
