"""Flax NNX: a module of parameters, a jitted training step, and Python's loop over the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax  # pyright: ignore[reportMissingImports]
import numpy as np
import optax  # pyright: ignore[reportMissingImports]
from flax import nnx  # pyright: ignore[reportMissingImports]
from jax import lax  # pyright: ignore[reportMissingImports]
from jax import numpy as jnp  # pyright: ignore[reportMissingImports]

from benchmarks.fit import BETA_1, BETA_2, EPSILON, LEARNING_RATE, FitRow, Goal
from benchmarks.job import Job
from benchmarks.weights import arrays_by_hand

IMAGES = ("NHWC", "HWIO", "NHWC")


class Ops(nnx.Module):
    """What rows describe their models with; a module, since dropout's random numbers are state."""

    relu = staticmethod(jax.nn.relu)
    softplus = staticmethod(jax.nn.softplus)
    square = staticmethod(jnp.square)
    mean = staticmethod(jnp.mean)
    attention = staticmethod(jax.nn.dot_product_attention)  # each (N, T, heads, D)

    def __init__(self) -> None:
        self.rngs = nnx.Rngs(dropout=1)

    def dense(self, x: Any, kernel: Any, bias: Any) -> Any:
        return jnp.dot(x, kernel[...]) + bias[...]

    def conv(self, x: Any, kernel: Any, bias: Any) -> Any:
        return lax.conv_general_dilated(x, kernel[...], (1, 1), "SAME", dimension_numbers=IMAGES) + bias[...]

    def max_pool(self, x: Any) -> Any:
        return nnx.max_pool(x, (2, 2), (2, 2))

    def mean_of_places(self, x: Any) -> Any:
        return x.mean(range(1, x.ndim - 1))

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def heads(self, x: Any, heads: int) -> Any:
        return x.reshape(*x.shape[:-1], heads, -1)

    def merged(self, x: Any) -> Any:
        return x.reshape(*x.shape[:-2], -1)

    def dropout(self, x: Any, rate: float) -> Any:
        kept = jax.random.bernoulli(self.rngs.dropout(), 1 - rate, x.shape)
        return jnp.where(kept, x / (1 - rate), 0.0)

    def batch_norm(self, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
        axes = tuple(range(x.ndim - 1))
        now = (x.mean(axes), x.var(axes))
        for kept, value in zip((mean, variance), now, strict=True):
            kept[...] = 0.99 * kept[...] + 0.01 * lax.stop_gradient(value)
        return (x - now[0]) * (lax.rsqrt(now[1] + 1e-3) * scale[...]) + offset[...]

    def layer_norm(self, x: Any, scale: Any, offset: Any) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * (lax.rsqrt(variance + 1e-3) * scale[...]) + offset[...]

    def lstm(self, x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        weights = recurrent[...]

        def body(state: tuple[Any, Any], given: Any) -> tuple[tuple[Any, Any], None]:
            hidden, cell = state
            enter, forget, new, leave = jnp.split(given + hidden @ weights, 4, axis=1)
            cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
            return (jax.nn.sigmoid(leave) * jnp.tanh(cell), cell), None

        inputs = jnp.einsum("ntd,du->tnu", x, kernel[...]) + bias[...]  # (T, N, 4U)
        start = jnp.zeros((x.shape[0], weights.shape[0]))
        return lax.scan(body, (start, start), inputs)[0][0]

    def gru(self, x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        weights, biases = recurrent[...], bias[...]

        def body(hidden: Any, given: Any) -> tuple[Any, None]:
            x_update, x_reset, x_new = jnp.split(given, 3, axis=1)
            h_update, h_reset, h_new = jnp.split(hidden @ weights + biases[1], 3, axis=1)
            update = jax.nn.sigmoid(x_update + h_update)
            new = jnp.tanh(x_new + jax.nn.sigmoid(x_reset + h_reset) * h_new)
            return update * hidden + (1 - update) * new, None

        inputs = jnp.einsum("ntd,du->tnu", x, kernel[...]) + biases[0]  # (T, N, 3U)
        return lax.scan(body, jnp.zeros((x.shape[0], weights.shape[0])), inputs)[0]

    def cross_entropy(self, logits: Any, classes: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean()


class Model(nnx.Module):
    def __init__(self, row: FitRow, arrays: list[np.ndarray]) -> None:
        self.ops = Ops()
        kinds = [nnx.Param if weight.trained else nnx.BatchStat for weight in row.weights]
        self.weights = nnx.List([kind(jnp.asarray(array)) for kind, array in zip(kinds, arrays, strict=True)])


def adam() -> Any:
    """Optax's Adam, but for epsilon, which stands beside the plain second moment as in Keras's."""

    def init(weights: Any) -> Any:
        return jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights)

    def update(gradients: Any, state: Any, weights: Any = None) -> tuple[Any, Any]:
        count = state[0] + 1
        means = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, state[1], gradients)
        variances = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, state[2], gradients)
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**count) / (1 - BETA_1**count)
        return jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + EPSILON), means, variances), (
            count,
            means,
            variances,
        )

    return optax.GradientTransformation(init, update)


class ByHand:
    def __init__(self, row: FitRow, job: Job) -> None:
        self.row, self.inputs = row, job.inputs
        self.model = Model(row, arrays_by_hand(row.weights, job.inputs))
        filters = [self.filter_of(goal) for goal in row.goals]
        self.optimizers = nnx.List([nnx.Optimizer(self.model, adam(), wrt=wanted) for wanted in filters])

        @nnx.jit
        def learn(model: Model, optimizers: Any, total: Any, x: Any, y: Any) -> Any:
            for goal, wanted, optimizer in zip(row.goals, filters, optimizers, strict=True):
                ask = nnx.value_and_grad(
                    lambda model, goal=goal: goal.loss(model.ops, model.weights, x, y), argnums=nnx.DiffState(0, wanted)
                )
                loss, gradients = ask(model)
                optimizer.update(model, gradients)
                total += loss
            return total

        self.learn = learn

    def filter_of(self, goal: Goal) -> Any:
        places = self.row.trained_by(goal)
        return nnx.All(nnx.Param, lambda path, value: path[1] in places)

    def epochs(self) -> Callable[[], float]:
        resident = [tuple(map(jnp.asarray, batch)) for batch in self.batches()] if self.row.source == "arrays" else None

        def epoch() -> float:
            total = jnp.zeros(())
            for x, y in resident or self.batches():
                total = self.learn(self.model, self.optimizers, total, x, y)
            return float(total) / self.row.steps

        return epoch

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return self.row.batches(self.inputs)

    def steps(self) -> Callable[[np.ndarray, np.ndarray], float]:
        return lambda x, y: float(self.learn(self.model, self.optimizers, jnp.zeros(()), x, y))

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        @nnx.jit
        def forward(model: Model, x: Any) -> Any:
            return self.row.forward(model.ops, model.weights, x)

        return lambda x: np.asarray(forward(self.model, x))
