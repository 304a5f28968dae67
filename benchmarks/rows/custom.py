"""Models with a training step of their own: a denoising autoencoder, and a pair of networks with an optimizer each.

Such a step is written for the engine below Keras's API, so the first part of the file has it three times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.fit import FitRow, Goal, adam, noisy_classes
from benchmarks.rows.mlp import chain, chain_by_hand, chain_weights

# ---- One goal's part of a step through Keras's API: compute `loss()`, and let an optimizer lower it ----


def learn_tensorflow(loss: Callable[[], Any], optimizer: Any, weights: list[Any]) -> Any:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    optimizer.apply(tape.gradient(value, weights), weights)
    return value


def learn_torch(loss: Callable[[], Any], optimizer: Any, weights: list[Any]) -> Any:
    import torch  # pyright: ignore[reportMissingImports]

    value = loss()
    gradients = torch.autograd.grad(value, [weight.value for weight in weights])
    with torch.no_grad():
        optimizer.apply(list(gradients), weights)
    return value.detach()


LEARN = {"tensorflow": learn_tensorflow, "torch": learn_torch}


def learn_jax(model: Any, loss: Callable[[Any, Any], Any], state: Any, data: Any) -> tuple[dict[str, Any], Any]:
    """The whole step, as a function of all state: Keras hands over that of one optimizer only."""
    from jax import value_and_grad  # pyright: ignore[reportMissingImports]

    (x, y), (trainable, fixed, optimizer, metrics) = data, state

    def loss_of(trainable: Any) -> Any:
        return loss(y, model.stateless_call(trainable, fixed, x)[0])

    value, gradients = value_and_grad(loss_of)(trainable)
    trainable, optimizer = model.optimizer.stateless_apply(optimizer, gradients, trainable)
    own = {id(variable) for variable in model.seen.variables}
    places = [place for place, variable in enumerate(model.metrics_variables) if id(variable) in own]
    seen = model.seen.stateless_update_state([metrics[place] for place in places], value)
    for place, variable in zip(places, seen, strict=True):
        metrics[place] = variable
    return {"loss": model.seen.stateless_result(seen)}, (trainable, fixed, optimizer, metrics)


# ---- The autoencoder ----

UNITS = (784, 128, 32, 128, 784)


def noisy_and_clean(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    clean, _ = noisy_classes(generator, rows, UNITS[0])
    return clean + 0.2 * generator.standard_normal(clean.shape, "float32"), clean


def autoencoder(keras: Any) -> Any:
    engine, ops = keras.config.backend(), keras.ops

    def loss(clean: Any, outputs: Any) -> Any:
        return ops.mean(ops.square(outputs - clean))

    class Autoencoder(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = chain(keras, UNITS)
            self.seen = keras.metrics.Mean(name="loss")

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def train_step(self, *given: Any) -> Any:
            if engine == "jax":
                return learn_jax(self, loss, *given)
            ((noisy, clean),) = given
            value = LEARN[engine](lambda: loss(clean, self(noisy)), self.optimizer, self.trainable_variables)
            self.seen.update_state(value)
            return {"loss": self.seen.result()}

    return Autoencoder()


def compile_autoencoder(keras: Any, model: Any) -> None:
    model.compile(adam(keras))


AUTOENCODER = FitRow(
    "autoencoder", "fit with a custom train_step, autoencoder 784-128-32-128-784, 400 steps of 64", 64, 400,
    noisy_and_clean, chain_weights(UNITS), autoencoder, chain_by_hand, compiled=True,
    own_goals=(Goal(lambda ops, weights, x, y: ops.mean(ops.square(chain_by_hand(ops, weights, x) - y))),),
    compile=compile_autoencoder,
)  # fmt: skip

# ---- The pair: one makes data from noise, the other tells it from real data; the noise is given, so losses compare ----

MAKER, JUDGE = (32, 128, 784), (784, 128, 1)
OF_MAKER = 2 * (len(MAKER) - 1)  # so many weights are the maker's


def real_and_noise(generator: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    real, _ = noisy_classes(generator, rows, JUDGE[0])
    return real, generator.standard_normal((rows, MAKER[0]), "float32")


def pair(keras: Any) -> Any:
    ops, learn = keras.ops, LEARN[keras.config.backend()]

    class Pair(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.maker, self.judge = chain(keras, MAKER), chain(keras, JUDGE)
            self.seen = keras.metrics.Mean(name="loss")

        def call(self, x: Any) -> Any:
            return self.judge(x)

        def compile(self, judge_optimizer: Any, maker_optimizer: Any) -> None:
            super().compile()
            self.judge_optimizer, self.maker_optimizer = judge_optimizer, maker_optimizer

        def train_step(self, data: Any) -> Any:
            real, noise = data

            def judging() -> Any:
                made = self.judge(self.maker(noise))
                return ops.mean(ops.softplus(-self.judge(real))) + ops.mean(ops.softplus(made))

            def making() -> Any:
                return ops.mean(ops.softplus(-self.judge(self.maker(noise))))

            value = learn(judging, self.judge_optimizer, self.judge.trainable_variables)
            value += learn(making, self.maker_optimizer, self.maker.trainable_variables)
            self.seen.update_state(value)
            return {"loss": self.seen.result()}

    return Pair()


def compile_pair(keras: Any, model: Any) -> None:
    model.compile(adam(keras), adam(keras))


def judged(ops: Any, weights: Sequence[Any], noise: Any) -> Any:
    return chain_by_hand(ops, weights[OF_MAKER:], chain_by_hand(ops, weights[:OF_MAKER], noise))


def judging(ops: Any, weights: Sequence[Any], real: Any, noise: Any) -> Any:
    of_real = chain_by_hand(ops, weights[OF_MAKER:], real)
    return ops.mean(ops.softplus(-of_real)) + ops.mean(ops.softplus(judged(ops, weights, noise)))


def making(ops: Any, weights: Sequence[Any], real: Any, noise: Any) -> Any:
    return ops.mean(ops.softplus(-judged(ops, weights, noise)))


PAIR = FitRow(
    "gan", "fit with two optimizers, GAN-like 32-128-784 and 784-128-1, 200 steps of 64", 64, 200,
    real_and_noise, chain_weights(MAKER) + chain_weights(JUDGE), pair, judged, compiled=True,
    own_goals=(Goal(judging, first=OF_MAKER), Goal(making, end=OF_MAKER)), compile=compile_pair,
    contenders=tuple(name for name in CONTENDERS if name != "keras-jax"),
)  # fmt: skip
ROWS = (AUTOENCODER, PAIR)
