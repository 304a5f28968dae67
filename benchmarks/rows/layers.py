"""One layer trained by itself: its value, the gradients of weights and inputs, and a step down both, many times over.

Both contenders are called from one loop in one TensorFlow graph, so what differs is the layer. Each runs the loop as a
graph and compiled by XLA and counts with the one that was quicker. On a CPU XLA is left out for the operations that
`nyala.training.plans` never gives it there: convolutions and the fused normalization of images.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.job import Inputs, Job, Run, peak_mb
from benchmarks.weights import glorot, initial_weights, numbered, zeros

RATE = 0.1  # of the descent, in weights and inputs
Weights = Callable[[np.random.Generator], list[np.ndarray]]


@dataclass(frozen=True)
class LayerRow:
    """The loss is the mean square of what the layer gives, less its target; the answer is the loss after all steps."""

    name: str
    what: str
    shape: tuple[int, ...]  # of the inputs
    weights: Weights  # in the order of `layer.get_weights()`
    layer: Callable[[Any], Any]  # the module `layers` of Keras's API -> the layer
    xla: bool  # whether to try XLA on a CPU; on a GPU it is always tried
    takes_value: bool = False  # attention: the inputs are the query and the value
    steps: int = 20  # in one call, a timed unit, whose time is divided by this
    tolerance: float = 1e-3
    repeats: int = 5
    unit: str = "step"
    answer: str = "final loss"
    contenders: tuple[str, ...] = ("nyala", "keras-tensorflow")

    def inputs(self, generator: np.random.Generator) -> Inputs:
        x = generator.standard_normal(self.shape, "float32")
        return {"x": x, **numbered(self.weights(generator))}

    def run(self, job: Job) -> Run:
        import tensorflow as tf

        layer = self.layer(importlib.import_module(str(job.contender.front)).layers)
        x, first = tf.constant(job.inputs["x"]), initial_weights(job.inputs)
        self.call(layer, x)
        ways: list[tuple[float, float, Callable[[Any], Any]]] = []
        ready = 0.0
        for compiled in (False, True) if self.xla or job.device == "gpu" else (False,):
            train = self.training(tf, layer, compiled)
            start = time.time()
            layer.set_weights(first)
            float(train(x))  # traces and compiles
            ready = ready or time.time()
            traced = time.time() - start
            ways.append((self.timed(layer, first, train, x)[0], traced, train))
        _, traced, train = min(ways, key=lambda way: way[0])
        units = [self.timed(layer, first, train, x) for _ in range(job.repeats)]
        return Run(
            seconds=[seconds for seconds, _ in units],
            first=traced / self.steps,
            ready=ready - job.started,
            answer=units[-1][1],
            peak_mb=peak_mb(),
        )

    def timed(self, layer: Any, first: list[np.ndarray], train: Callable[[Any], Any], x: Any) -> tuple[float, float]:
        """Seconds a step, and the final loss, from the initial weights on."""
        layer.set_weights(first)
        start = time.perf_counter()
        loss = float(train(x))
        return (time.perf_counter() - start) / self.steps, loss

    def call(self, layer: Any, x: Any) -> Any:
        return layer(x, x, training=True) if self.takes_value else layer(x, **self.options(layer))

    @staticmethod
    def options(layer: Any) -> dict[str, bool]:
        names = layer.call.__code__.co_varnames[: layer.call.__code__.co_argcount]
        return {"training": True} if "training" in names else {}

    def training(self, tf: Any, layer: Any, compiled: bool) -> Callable[[Any], Any]:
        """One call for all steps, as a loop in the graph; returns the last loss."""

        def body(step: Any, x: Any, _: Any) -> tuple[Any, Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = self.call(layer, x)
                loss = tf.reduce_mean(tf.square(outputs - 0.5))
            towards_x, *gradients = tape.gradient(loss, [x, *layer.trainable_weights])
            for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
                weight.assign_sub(RATE * tf.convert_to_tensor(gradient))
            # The loss is a mean, so its gradient by each input is tiny: a step that counts undoes that.
            return step + 1, x - RATE * float(np.prod(self.shape)) * towards_x, loss

        @tf.function(autograph=False, jit_compile=compiled)
        def train(x: Any) -> Any:
            start = (tf.constant(0), x, tf.constant(0.0))
            return tf.while_loop(lambda step, *_: step < self.steps, body, start, maximum_iterations=self.steps)[2]

        return train


def kernels(*shapes: tuple[int, ...]) -> Weights:
    """Each kernel drawn, each bias, of one axis, at zero."""
    return lambda generator: [glorot(generator, *shape) if len(shape) > 1 else zeros(*shape) for shape in shapes]


def scales(channels: int, moving: bool = False) -> Weights:
    """gamma and beta, then the moving mean and variance where a layer has them."""
    one = [np.ones(channels, "float32"), zeros(channels)]
    return lambda generator: [*one, *([zeros(channels), np.ones(channels, "float32")] if moving else [])]


def heads(features: int, count: int, size: int) -> Weights:
    """The projections of query, key and value, and the last one."""

    def draw(generator: np.random.Generator) -> list[np.ndarray]:
        into = [(glorot(generator, features, count * size), zeros(count, size)) for _ in range(3)]
        last = glorot(generator, count * size, features).reshape(count, size, features)
        return [
            *[w for kernel, bias in into for w in (kernel.reshape(features, count, size), bias)],
            last,
            zeros(features),
        ]

    return draw


SEPARABLE = kernels((3, 3, 64, 1), (1, 1, 64, 64), (64,))
ROWS = (
    LayerRow(
        "layer_conv1d", "train Conv1D 64, kernel 5, causal, on 32×256×64", (32, 256, 64),
        kernels((5, 64, 64), (64,)), lambda layers: layers.Conv1D(64, 5, padding="causal"), xla=False,
    ),
    LayerRow(
        "layer_conv2d", "train Conv2D 64, kernel 3, on 32×28×28×32", (32, 28, 28, 32),
        kernels((3, 3, 32, 64), (64,)), lambda layers: layers.Conv2D(64, 3, padding="same"), xla=False,
    ),
    LayerRow(
        "layer_separable_conv2d", "train SeparableConv2D 64, kernel 3, on 32×28×28×64", (32, 28, 28, 64),
        SEPARABLE, lambda layers: layers.SeparableConv2D(64, 3, padding="same"), xla=False,
    ),
    LayerRow(
        "layer_attention", "train MultiHeadAttention, 4 heads of 32, on 16×128×128", (16, 128, 128),
        heads(128, 4, 32), lambda layers: layers.MultiHeadAttention(4, 32), xla=True, takes_value=True,
    ),
    LayerRow(
        "layer_batch_norm", "train BatchNormalization on 64×28×28×32", (64, 28, 28, 32),
        scales(32, moving=True), lambda layers: layers.BatchNormalization(), xla=False,
    ),
    LayerRow(
        "layer_batch_norm_dense", "train BatchNormalization on 4096×256", (4096, 256),
        scales(256, moving=True), lambda layers: layers.BatchNormalization(), xla=True,
    ),
    LayerRow(
        "layer_layer_norm", "train LayerNormalization on 32×128×256", (32, 128, 256),
        scales(256), lambda layers: layers.LayerNormalization(), xla=True,
    ),
    LayerRow(
        "layer_group_norm", "train GroupNormalization, 8 groups, on 32×28×28×64", (32, 28, 28, 64),
        scales(64), lambda layers: layers.GroupNormalization(8), xla=True,
    ),
)  # fmt: skip
