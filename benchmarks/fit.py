"""Rows that train: `fit` through Keras's API, and the same training written by hand for TensorFlow and PyTorch."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.contenders import WITHOUT_PYTORCH
from benchmarks.job import Inputs, Job, Run, peak_mb

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-7  # Adam's, written out so that all use the same


@dataclass(frozen=True)
class FitRow:
    """A classifier trained with Adam on arrays in memory, in the same order every epoch so that losses compare.

    The loss is the cross-entropy of logits with class numbers; the answer is its mean over the last epoch.
    """

    name: str
    what: str
    batch_size: int
    steps: int  # batches in an epoch; all of them are full
    data: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]  # (generator, rows) -> x, y
    weights: Callable[[np.random.Generator], list[np.ndarray]]  # in the order of `model.get_weights()`
    model: Callable[[Any], Any]  # the module `keras` or `nyala` -> a model that is not compiled
    forward: Callable[[Any, list[Any], Any], Any]  # (tf, weights, x) -> logits: the model by hand
    compiled: bool  # whether XLA wins by hand, on a CPU
    tolerance: float = 5e-3  # roundings grow: Adam's first steps turn on the sign of gradients near 0
    repeats: int = 5
    unit: str = "epoch"
    answer: str = "final loss"
    contenders: tuple[str, ...] = WITHOUT_PYTORCH
    module: Callable[[Any, list[Any]], Any] | None = None  # (torch, weights) -> the model as a module of PyTorch's

    def inputs(self, generator: np.random.Generator) -> Inputs:
        x, y = self.data(generator, self.batch_size * self.steps)
        return {"x": x, "y": y, **numbered(self.weights(generator))}

    def run(self, job: Job) -> Run:
        if job.contender.name == "torch":
            return self.run_torch(job)
        if job.contender.front is None:
            return self.run_by_hand(job)
        return self.run_fit(importlib.import_module(job.contender.front), job)

    def run_fit(self, keras: ModuleType, job: Job) -> Run:
        model = self.model(keras)
        model.set_weights(initial_weights(job.inputs))
        optimizer = keras.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON)
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        ends: list[float] = []
        callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.time()))
        start = time.time()
        history = model.fit(
            job.inputs["x"], job.inputs["y"], batch_size=self.batch_size, epochs=1 + job.repeats,
            shuffle=False, verbose=0, callbacks=[callback],
        )  # fmt: skip
        return report(job, start, ends, history.history["loss"][-1])

    def run_by_hand(self, job: Job) -> Run:
        import tensorflow as tf

        weights = [tf.Variable(weight) for weight in initial_weights(job.inputs)]
        epoch = self.epoch_by_hand(tf, weights, compiled=self.compiled or job.device == "gpu")
        x, y = tf.constant(job.inputs["x"]), tf.constant(job.inputs["y"])
        ends: list[float] = []
        loss = np.nan
        start = time.time()
        for _ in range(1 + job.repeats):
            loss = float(epoch(x, y))
            ends.append(time.time())
        return report(job, start, ends, loss)

    def run_torch(self, job: Job) -> Run:
        """The usual loop of PyTorch, step by step, with its fused Adam and without a compiler.

        Its epsilon stands beside the corrected second moment, ours beside the plain one: with 1e-7 no loss tells.
        """
        import torch  # pyright: ignore[reportMissingImports]

        assert self.module is not None, f"{self.name} has no model for PyTorch"
        device = torch.device("cuda" if job.device == "gpu" else "cpu")
        model = self.module(torch, [torch.from_numpy(weight) for weight in initial_weights(job.inputs)]).to(device)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True)
        x, y = torch.from_numpy(job.inputs["x"]).to(device), torch.from_numpy(job.inputs["y"]).long().to(device)
        cross_entropy = torch.nn.CrossEntropyLoss()
        ends: list[float] = []
        loss = np.nan
        start = time.time()
        for _ in range(1 + job.repeats):
            total = torch.zeros((), device=device)
            for batch, labels in zip(x.split(self.batch_size), y.split(self.batch_size), strict=True):
                optimizer.zero_grad()
                batch_loss = cross_entropy(model(batch), labels)
                batch_loss.backward()
                optimizer.step()
                total += batch_loss.detach()
            loss = float(total) / self.steps
            ends.append(time.time())
        return report(job, start, ends, loss)

    def epoch_by_hand(self, tf: Any, weights: list[Any], compiled: bool) -> Callable[[Any, Any], Any]:
        """One call an epoch: a loop in the graph over the batches, with TensorFlow's fused Adam."""
        count = tf.Variable(0.0)
        moments = [(tf.Variable(tf.zeros_like(weight)), tf.Variable(tf.zeros_like(weight))) for weight in weights]

        def batch(values: Any, step: Any) -> Any:
            first = [step * self.batch_size] + [0] * (values.shape.rank - 1)
            return tf.slice(values, first, [self.batch_size, *values.shape[1:]])

        def train_step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, self.forward(tf, weights, x))
                loss = tf.reduce_mean(losses)
            gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]
            powers = {"beta1_power": BETA_1 ** count.assign_add(1.0), "beta2_power": BETA_2**count}
            rates = {"lr": LEARNING_RATE, "beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON}
            for weight, gradient, (mean, variance) in zip(weights, gradients, moments, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=weight.handle, m=mean.handle, v=variance.handle, grad=gradient, **powers, **rates
                )
            return loss

        @tf.function(autograph=False, jit_compile=compiled)
        def epoch(x: Any, y: Any) -> Any:
            def body(step: Any, total: Any) -> tuple[Any, Any]:
                return step + 1, total + train_step(batch(x, step), batch(y, step))

            start = (tf.constant(0), tf.constant(0.0))
            return tf.while_loop(lambda step, total: step < self.steps, body, start)[1] / self.steps

        return epoch


def report(job: Job, start: float, ends: list[float], loss: float) -> Run:
    """The first epoch is not counted, since it traces and compiles; it is reported by itself."""
    return Run(
        seconds=[float(seconds) for seconds in np.diff(ends)],
        first=ends[0] - start,
        ready=ends[0] - job.started,
        answer=float(loss),
        peak_mb=peak_mb(),
    )


def numbered(weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"weight_{number:03}": weight for number, weight in enumerate(weights)}


def initial_weights(inputs: Inputs) -> list[np.ndarray]:
    return [inputs[name] for name in sorted(inputs) if name.startswith("weight_")]


def glorot(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform in ±√(6 / (fan in + fan out)); the axes before the last two are a convolution's kernel."""
    fans = (shape[-2] + shape[-1]) * int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / fans)
    return generator.uniform(-limit, limit, shape).astype("float32")


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")


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
