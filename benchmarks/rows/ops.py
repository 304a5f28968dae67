"""What an op costs beside the TensorFlow call inside it, and what it costs to define a model of many ops."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.job import Inputs, Job, Run, peak_mb

Call = Callable[[Any], Any]

# Through `keras.ops`, and the TensorFlow call that such an op comes down to.
OPS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "add": (lambda ops, x: ops.add(x, x), lambda tf, x: tf.add(x, x)),
    "multiply by a number": (lambda ops, x: ops.multiply(x, 2.0), lambda tf, x: tf.multiply(x, 2.0)),
    "exp": (lambda ops, x: ops.exp(x), lambda tf, x: tf.exp(x)),
    "matmul": (lambda ops, x: ops.matmul(x, x), lambda tf, x: tf.matmul(x, x)),
    "relu": (lambda ops, x: ops.relu(x), lambda tf, x: tf.nn.relu(x)),
    "softmax": (lambda ops, x: ops.softmax(x), lambda tf, x: tf.nn.softmax(x)),
    "sum": (lambda ops, x: ops.sum(x, axis=-1), lambda tf, x: tf.reduce_sum(x, -1)),
    "reshape": (lambda ops, x: ops.reshape(x, (-1,)), lambda tf, x: tf.reshape(x, (-1,))),
    "transpose": (lambda ops, x: ops.transpose(x, (1, 0)), lambda tf, x: tf.transpose(x, (1, 0))),
    "concatenate": (lambda ops, x: ops.concatenate([x, x], axis=1), lambda tf, x: tf.concat([x, x], 1)),
    "where": (lambda ops, x: ops.where(x > 0.5, x, x), lambda tf, x: tf.where(x > 0.5, x, x)),
    "take": (lambda ops, x: ops.take(x, 0, axis=0), lambda tf, x: tf.gather(x, 0, axis=0)),
}


@dataclass(frozen=True)
class EagerRow:
    """The ops above, called eagerly on a tensor so small that what is timed is the way to the kernel."""

    name: str = "eager_ops"
    what: str = f"an op called eagerly on a 2×2 tensor, mean of {len(OPS)}: {', '.join(OPS)}"
    calls: int = 1000
    unit: str = "call"
    answer: str = "sum of results"
    tolerance: float = 1e-5
    repeats: int = 5
    contenders: tuple[str, ...] = ("nyala", "keras-tensorflow", "tensorflow")

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return {"x": generator.random((2, 2), "float32")}

    def run(self, job: Job) -> Run:
        import tensorflow as tf

        x = tf.constant(job.inputs["x"])
        front = job.contender.front
        of, number = (tf, 1) if front is None else (importlib.import_module(front).ops, 0)
        calls = [versions[number] for versions in OPS.values()]
        answer = sum(float(np.abs(call(of, x)).sum()) for call in calls)
        return Run([self.time_calls(calls, of, x) for _ in range(job.repeats)], answer=answer)

    def time_calls(self, calls: list[Callable[[Any, Any], Any]], of: Any, x: Any) -> float:
        start = time.perf_counter()
        for call in calls:
            for _ in range(self.calls):
                call(of, x)
        return (time.perf_counter() - start) / (self.calls * len(calls))


@dataclass(frozen=True)
class DefineRow:
    """A Functional model of ops defined in each timed unit, wider each time, so that nothing is known from the one before."""

    name: str = "define_300_ops"
    what: str = "define a Functional model of 300 ops"
    unit: str = "model"
    answer: str = "sum of outputs"
    tolerance: float = 1e-4
    repeats: int = 5
    contenders: tuple[str, ...] = ("nyala", "keras-tensorflow")

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return {"x": generator.random((4, 8), "float32")}

    def run(self, job: Job) -> Run:
        keras = importlib.import_module(str(job.contender.front))
        _ = keras.ops, keras.Model  # `nyala` imports them, and TensorFlow, when they are first asked for
        first, *seconds = [self.time_definition(keras, 10 + 2 * unit) for unit in range(1 + job.repeats)]
        answer = float(np.abs(np.asarray(self.define(keras, 8)(job.inputs["x"]))).sum())
        return Run(seconds, first=first, answer=answer, peak_mb=peak_mb())

    def time_definition(self, keras: Any, features: int) -> float:
        start = time.perf_counter()
        self.define(keras, features)
        return time.perf_counter() - start

    def define(self, keras: Any, features: int) -> Any:
        ops, x = keras.ops, keras.Input((features,))
        y = x
        for _ in range(50):  # six ops each
            y = ops.tanh(ops.add(ops.multiply(y, 0.9), x))
            y = ops.concatenate([y[:, 4:], y[:, :4]], axis=1)
        return keras.Model(x, y)


ROWS = (EagerRow(), DefineRow())
