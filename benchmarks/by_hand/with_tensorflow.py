"""TensorFlow by hand: an epoch is one call, a loop in the graph over the batches, with TensorFlow's fused Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow

from benchmarks.fit import BETA_1, BETA_2, EPSILON, LEARNING_RATE, FitRow
from benchmarks.job import Job
from benchmarks.weights import arrays_by_hand

tf: Any = tensorflow  # as it is: its annotations refuse what it takes


class Ops:
    """What rows describe their models with."""

    relu = staticmethod(tf.nn.relu)
    softplus = staticmethod(tf.nn.softplus)
    square = staticmethod(tf.square)
    mean = staticmethod(tf.reduce_mean)

    def __init__(self) -> None:
        # XLA draws the numbers of the default algorithm, Philox, slowly on a CPU.
        self.noise = tf.random.Generator.from_seed(1, alg="threefry")

    def dense(self, x: Any, kernel: Any, bias: Any) -> Any:
        return (x @ kernel if x.shape.rank == 2 else tf.tensordot(x, kernel, 1)) + bias

    def conv(self, x: Any, kernel: Any, bias: Any) -> Any:
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def max_pool(self, x: Any) -> Any:
        return tf.nn.max_pool2d(x, 2, 2, "VALID")

    def mean_of_places(self, x: Any) -> Any:
        return tf.reduce_mean(x, list(range(1, x.shape.rank - 1)))

    def flatten(self, x: Any) -> Any:
        return tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))

    def heads(self, x: Any, heads: int) -> Any:
        return tf.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads))

    def merged(self, x: Any) -> Any:
        return tf.reshape(x, (-1, x.shape[1], x.shape[2] * x.shape[3]))

    def dropout(self, x: Any, rate: float) -> Any:
        kept = self.noise.uniform(tf.shape(x)) >= rate
        return tf.where(kept, x / (1 - rate), 0.0)

    def batch_norm(self, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
        y, new_mean, new_variance = tf.compat.v1.nn.fused_batch_norm(
            x, scale, offset, mean, variance, 1e-3, is_training=True, exponential_avg_factor=0.01
        )
        mean.assign(new_mean)
        variance.assign(new_variance)
        return y

    def layer_norm(self, x: Any, scale: Any, offset: Any) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-3)

    def attention(self, query: Any, key: Any, value: Any) -> Any:  # each (N, T, heads, D)
        scores = tf.einsum("nqhd,nkhd->nhqk", query * query.shape[-1] ** -0.5, key)
        return tf.einsum("nhqk,nkhd->nqhd", tf.nn.softmax(scores), value)

    def lstm(self, x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        inputs = tf.einsum("ntd,du->tnu", x, kernel) + bias  # (T, N, 4U)

        def body(time: Any, hidden: Any, cell: Any) -> tuple[Any, Any, Any]:
            enter, forget, new, leave = tf.split(inputs[time] + hidden @ recurrent, 4, axis=1)
            cell = tf.sigmoid(forget) * cell + tf.sigmoid(enter) * tf.tanh(new)
            return time + 1, tf.sigmoid(leave) * tf.tanh(cell), cell

        return over_time(body, x, recurrent.shape[0], states=2)

    def gru(self, x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        inputs = tf.einsum("ntd,du->tnu", x, kernel) + bias[0]  # (T, N, 3U)

        def body(time: Any, hidden: Any) -> tuple[Any, Any]:
            x_update, x_reset, x_new = tf.split(inputs[time], 3, axis=1)
            h_update, h_reset, h_new = tf.split(hidden @ recurrent + bias[1], 3, axis=1)
            update = tf.sigmoid(x_update + h_update)
            new = tf.tanh(x_new + tf.sigmoid(x_reset + h_reset) * h_new)
            return time + 1, update * hidden + (1 - update) * new

        return over_time(body, x, recurrent.shape[0], states=1)

    def cross_entropy(self, logits: Any, classes: Any) -> Any:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits))


def over_time(body: Callable[..., Any], x: Any, units: int, states: int) -> Any:
    """The first state after all time steps of `body(time, *states)`."""
    start = (tf.constant(0), *[tf.zeros((tf.shape(x)[0], units))] * states)
    # XLA wants to know the number of turns, and so how much to keep for the gradient.
    return tf.while_loop(lambda time, *_: time < x.shape[1], body, start, maximum_iterations=x.shape[1])[1]


class Adam:
    """TensorFlow's fused kernel, over the weights of one goal."""

    def __init__(self, weights: list[Any]) -> None:
        self.weights = weights
        self.count = tf.Variable(0.0)
        self.moments = [(tf.Variable(tf.zeros_like(weight)), tf.Variable(tf.zeros_like(weight))) for weight in weights]

    def apply(self, gradients: list[Any]) -> None:
        powers = {"beta1_power": BETA_1 ** self.count.assign_add(1.0), "beta2_power": BETA_2**self.count}
        rates = {"lr": LEARNING_RATE, "beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON}
        for weight, gradient, (mean, variance) in zip(self.weights, gradients, self.moments, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=mean.handle, v=variance.handle, grad=gradient, **powers, **rates
            )


class ByHand:
    """`row.compiled` says whether XLA wins on a CPU; on a GPU it is always used."""

    def __init__(self, row: FitRow, job: Job) -> None:
        self.row, self.inputs, self.ops = row, job.inputs, Ops()
        self.compiled = row.compiled or job.device == "gpu"
        self.weights = [tf.Variable(weight) for weight in arrays_by_hand(row.weights, job.inputs)]
        self.goals = [(goal, Adam([self.weights[place] for place in row.trained_by(goal)])) for goal in row.goals]
        self.learn_one = tf.function(self.learn, autograph=False, jit_compile=self.compiled)

    def epochs(self) -> Callable[[], float]:
        ways = {"arrays": self.over_arrays, "tf.data": self.over_dataset, "generator": self.over_generator}
        return ways[self.row.source]()

    def learn(self, x: Any, y: Any) -> Any:
        total = tf.constant(0.0)
        for goal, adam in self.goals:
            with tf.GradientTape() as tape:
                loss = goal.loss(self.ops, self.weights, x, y)
            adam.apply(tape.gradient(loss, adam.weights))
            total += loss
        return total

    def over_arrays(self) -> Callable[[], float]:
        x, y, size = tf.constant(self.inputs["x"]), tf.constant(self.inputs["y"]), self.row.batch_size

        def batch(values: Any, step: Any) -> Any:
            first = [step * size] + [0] * (values.shape.rank - 1)
            return tf.slice(values, first, [size, *values.shape[1:]])

        @tf.function(autograph=False, jit_compile=self.compiled)
        def epoch(x: Any, y: Any) -> Any:
            return self.loop(lambda step: self.learn(batch(x, step), batch(y, step)))

        return lambda: float(epoch(x, y))

    def over_dataset(self) -> Callable[[], float]:
        dataset = self.row.dataset(self.inputs)

        @tf.function(autograph=False)
        def epoch(batches: Any) -> Any:
            return self.loop(lambda step: self.learn_one(*batches.get_next()))

        return lambda: float(epoch(iter(dataset)))

    def over_generator(self) -> Callable[[], float]:
        def epoch() -> float:
            losses = [self.learn_one(tf.constant(x), tf.constant(y)) for x, y in self.row.batches(self.inputs)]
            return float(tf.add_n(losses)) / self.row.steps

        return epoch

    def loop(self, learn: Callable[[Any], Any]) -> Any:
        def body(step: Any, total: Any) -> tuple[Any, Any]:
            return step + 1, total + learn(step)

        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda step, _: step < self.row.steps, body, start)[1] / self.row.steps

    def steps(self) -> Callable[[np.ndarray, np.ndarray], float]:
        """One step a call, traced once for all batch sizes, and so a graph: XLA compiles each size anew."""
        x, y = self.inputs["x"], self.inputs["y"]
        signature = [tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in (x, y)]
        learn = tf.function(self.learn, autograph=False, input_signature=signature)
        return lambda x, y: float(learn(x, y))

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        @tf.function(autograph=False, jit_compile=self.compiled)
        def forward(x: Any) -> Any:
            return self.row.forward(self.ops, self.weights, x)

        return lambda x: forward(tf.constant(x)).numpy()
