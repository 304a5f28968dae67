"""Random numbers from a state that can be seen: a seed gives the same numbers on every run and every device.

Every function takes a `seed`: an integer gives the same numbers at each call; a `SeedGenerator` gives new ones at each
call, the same sequence in each run; None draws from one generator of the whole process, which
`nyala.utils.set_random_seed` makes repeatable. The numbers are those of the reference on TensorFlow.
"""

from __future__ import annotations

import numbers
import random as python_random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nyala.core import replicas, tensor
from nyala.core.config import Configurable, Table
from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor
from nyala.core.tracking import Trackable, auto_name, name_scope
from nyala.core.variable import Variable

__all__ = [
    "SeedGenerator",
    "beta",
    "binomial",
    "categorical",
    "dropout",
    "gamma",
    "normal",
    "randint",
    "shuffle",
    "truncated_normal",
    "uniform",
]

# ---- Seeds ----

SEEDS_APART = 1_000_000_007  # of one replica from the next; a prime

SEEDS = 2**31 - 2  # seeds that differ by a multiple of this draw the same numbers, as in the reference


def make_seed() -> int:
    """A seed where none was given, from Python's generator, so that `set_random_seed` repeats it."""
    return python_random.randint(1, 10**9)


def check_seed(seed: Any) -> int:
    """`seed` as a Python integer; a ValueError where it is none."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise ValueError(f"A seed is an integer, a SeedGenerator or None, but got {seed!r}.")
    return int(seed)


class SeedGenerator(Trackable, Configurable):
    """A seed that changes with each draw: `state` is `[seed, count]`, an int64 variable that is saved with its owner.

    Draws inside `tf.function` advance it too. Raises ValueError where `seed` is no integer.

    Example:
        >>> import nyala
        >>> generator = nyala.random.SeedGenerator(seed=1)
        >>> generator.next().numpy().tolist(), generator.next().numpy().tolist()
        ([1, 0], [1, 1])
    """

    kind = "seed_generator"

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed = None if seed is None else check_seed(seed)
        self.name = name or auto_name(type(self).__name__)
        start = make_seed() if self.seed is None else self.seed
        with name_scope(self.name):
            self.state = Variable(np.array([start, 0]), dtype="int64", trainable=False, name="seed_generator_state")

    def next(self, ordered: bool = True) -> Any:
        """The present state, a seed for one draw; the state moves on.

        Ordered, the count rises by one. Else both numbers jump: `(state + 1) · 5387 mod 933199`.
        """
        seed = tf.identity(self.state.value)
        if ordered:
            self.state.assign_add([0, 1])
        else:
            self.state.assign((seed + 1) * 5387 % 933199)
        return seed


Table("seed generator", "keras.random").add(SeedGenerator)


class _Process:
    generator: SeedGenerator | None = None  # what a seed of None draws from


def global_generator() -> SeedGenerator:
    """The generator behind `seed=None`, made when it is first needed."""
    if _Process.generator is None:
        _Process.generator = SeedGenerator()
    return _Process.generator


def share_global_generator(strategy: Any) -> None:
    """Have the generator behind `seed=None` count on each replica of a strategy of `tf.distribute`, in whose scope we are."""
    generator = global_generator()
    if not strategy.extended.variable_created_in_scope(generator.state._value):
        _Process.generator = SeedGenerator(name=generator.name)
        _Process.generator.state.assign(generator.state.numpy())


def reset_global_generator() -> None:
    """Forget the generator behind `seed=None`: the next draw makes one, seeded by Python's generator."""
    _Process.generator = None


def draw_seed(seed: int | SeedGenerator | None) -> Any:
    """The seed of one draw, an int32 tensor of shape (2,); those of a generator differ by replica of `tf.distribute`."""
    if seed is None:
        return tf.cast(_of_replica(global_generator().next(ordered=False)), "int32")
    if isinstance(seed, SeedGenerator):
        return tf.cast(_of_replica(seed.next()) % SEEDS, "int32")
    return tf.constant([check_seed(seed) % SEEDS, 0], "int32")


def _of_replica(seed: Any) -> Any:
    """The seed itself on the first replica; on each other one a seed of its own, far from its neighbours'."""
    if replicas.count() == 1:
        return seed
    return (seed + tf.stack([tf.cast(replicas.number(), "int64") * SEEDS_APART, 0])) % SEEDS


# ---- Streams ----


class _Streams(threading.local):
    algorithm = "philox"


_streams = _Streams()


@contextmanager
def fast_streams() -> Iterator[None]:
    """What is traced inside, for XLA, draws from ThreeFry instead of Philox.

    XLA draws Philox numbers slowly on a CPU, ThreeFry ones several times faster; but they are other numbers than the
    reference's. TensorFlow's own kernels do not know ThreeFry, so nothing drawn inside can run without XLA.
    `gamma`, `beta`, `binomial` and `categorical` have one stream only and do not change.
    """
    before, _streams.algorithm = _streams.algorithm, "threefry"
    try:
        yield
    finally:
        _streams.algorithm = before


# ---- Distributions ----


def _float_dtype(function: str, dtype: DTypeLike) -> str:
    name = tensor.standardize_dtype(dtype)
    if name not in tensor.FLOATS:
        raise ValueError(f"`random.{function}` draws floats, so its dtype is a float's, but got {name!r}.")
    return name


@op
def uniform(
    shape: Sequence[int],
    minval: Tensor = 0.0,
    maxval: Tensor = 1.0,
    dtype: DTypeLike = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Floats of the uniform distribution over `[minval, maxval)`.

    `minval` and `maxval` broadcast against `shape`. Raises ValueError for a dtype that is no float.

    Example:
        >>> import nyala
        >>> nyala.random.uniform((2, 3), seed=1).shape.as_list()
        [2, 3]
    """
    name = _float_dtype("uniform", dtype)
    low, high = tf.cast(minval, name), tf.cast(maxval, name)  # Python floats by way of float32, as in the reference
    return tf.random.stateless_uniform(shape, draw_seed(seed), low, high, name, alg=_streams.algorithm)


@op
def normal(
    shape: Sequence[int],
    mean: Tensor = 0.0,
    stddev: Tensor = 1.0,
    dtype: DTypeLike = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Floats of the normal distribution with the given mean and standard deviation, which broadcast against `shape`.

    Raises ValueError for a dtype that is no float.

    Example:
        >>> import nyala
        >>> nyala.random.normal((2,), seed=1).dtype.name
        'float32'
    """
    name = _float_dtype("normal", dtype)
    mean, stddev = tensor.as_tensor(mean, name), tensor.as_tensor(stddev, name)
    return tf.random.stateless_normal(shape, draw_seed(seed), mean, stddev, name, alg=_streams.algorithm)


@op
def truncated_normal(
    shape: Sequence[int],
    mean: Tensor = 0.0,
    stddev: Tensor = 1.0,
    dtype: DTypeLike = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Floats of the normal distribution, drawn again where they lie more than two standard deviations from the mean.

    Raises ValueError for a dtype that is no float.

    Example:
        >>> import nyala
        >>> bool(abs(nyala.random.truncated_normal((1000,), seed=1)).numpy().max() <= 2)
        True
    """
    name = _float_dtype("truncated_normal", dtype)
    mean, stddev = tensor.as_tensor(mean, name), tensor.as_tensor(stddev, name)
    return tf.random.stateless_truncated_normal(shape, draw_seed(seed), mean, stddev, name, alg=_streams.algorithm)


@op
def gamma(
    shape: Sequence[int], alpha: Tensor, dtype: DTypeLike = None, seed: int | SeedGenerator | None = None
) -> Tensor:
    """Floats of the gamma distribution with shape parameter `alpha`, which broadcasts against `shape`, and rate 1.

    Density `x^(α-1) e^(-x) / Γ(α)`. Raises ValueError for a dtype that is no float.

    Example:
        >>> import nyala
        >>> nyala.random.gamma((2, 2), alpha=2.0, seed=1).shape.as_list()
        [2, 2]
    """
    return _gamma(shape, draw_seed(seed), alpha, _float_dtype("gamma", dtype))


def _gamma(shape: Sequence[int], seed: Any, alpha: Tensor, dtype: str) -> Any:
    wide = "float32" if dtype == "bfloat16" else dtype  # for which TensorFlow has no gamma
    return tf.cast(tf.random.stateless_gamma(shape, seed, tensor.as_tensor(alpha, wide), dtype=wide), dtype)


@op
def beta(
    shape: Sequence[int],
    alpha: Tensor,
    beta: Tensor,
    dtype: DTypeLike = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Floats of the beta distribution over (0, 1): `a / (a + b)` with a and b drawn from gamma distributions.

    `alpha` and `beta` broadcast against `shape`. Raises ValueError for a dtype that is no float.

    Example:
        >>> import nyala
        >>> nyala.random.beta((2,), alpha=1.0, beta=2.0, seed=1).shape.as_list()
        [2]
    """
    name = _float_dtype("beta", dtype)
    first = draw_seed(seed)
    a = _gamma(shape, first, alpha, name)
    b = _gamma(shape, first + 12, beta, name)  # the second seed is the reference's
    return a / (a + b)


@op
def binomial(
    shape: Sequence[int],
    counts: Tensor,
    probabilities: Tensor,
    dtype: DTypeLike = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """How many of `counts` trials succeed where each does with the given probability; both broadcast against `shape`.

    Example:
        >>> import nyala
        >>> nyala.random.binomial((3,), counts=10.0, probabilities=0.5, seed=1).dtype.name
        'float32'
    """
    name = tensor.standardize_dtype(dtype)
    drawn = name if name in ("float16", "float32", "float64", "int32", "int64") else "float32"
    counts, probabilities = tensor.promote(counts, probabilities)
    return tf.cast(tf.random.stateless_binomial(shape, draw_seed(seed), counts, probabilities, drawn), name)


@op
def categorical(
    logits: Tensor, num_samples: int, dtype: DTypeLike = "int32", seed: int | SeedGenerator | None = None
) -> Tensor:
    """Indices of classes, each row's drawn by its probabilities `softmax(logits)`: (N, C) → (N, num_samples).

    Example:
        >>> import nyala
        >>> nyala.random.categorical([[0.0, 100.0]], 3, seed=1).numpy().tolist()
        [[1, 1, 1]]
    """
    drawn = tf.random.stateless_categorical(tensor.as_tensor(logits), num_samples, draw_seed(seed), "int64")
    return tf.cast(drawn, tensor.standardize_dtype(dtype))


@op
def randint(
    shape: Sequence[int],
    minval: Tensor,
    maxval: Tensor,
    dtype: DTypeLike = "int32",
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Integers of the uniform distribution over `[minval, maxval)`; raises ValueError for a dtype that is no integer's.

    Example:
        >>> import nyala
        >>> nyala.random.randint((3,), 4, 5, seed=1).numpy().tolist()
        [4, 4, 4]
    """
    name = tensor.standardize_dtype(dtype)
    if name not in tensor.SIGNED + tensor.UNSIGNED:
        raise ValueError(f"`random.randint` draws integers, so its dtype is an integer's, but got {name!r}.")
    drawn = name if name == "int32" else "int64"
    low, high = tf.convert_to_tensor(minval, drawn), tf.convert_to_tensor(maxval, drawn)
    return tf.cast(tf.random.stateless_uniform(shape, draw_seed(seed), low, high, drawn, alg=_streams.algorithm), name)


@op
def dropout(
    inputs: Tensor,
    rate: Any,
    noise_shape: Sequence[int | None] | None = None,
    seed: int | SeedGenerator | None = None,
) -> Tensor:
    """Set a share `rate` of the inputs to zero, chosen at random, and divide the others by `1 - rate`.

    `noise_shape` broadcasts against the inputs: along its ones all inputs share their fate; None stands for the
    inputs' own size. Raises ValueError where `rate` is outside `[0, 1)` or the inputs are no floats.
    Source: Srivastava et al., "Dropout", 2014.

    Example:
        >>> import nyala
        >>> sorted(set(nyala.random.dropout([1.0] * 100, 0.5, seed=1).numpy().tolist()))
        [0.0, 2.0]
    """
    inputs = tensor.as_tensor(inputs)
    if isinstance(rate, (int, float)) and not 0 <= rate < 1:
        raise ValueError(f"`random.dropout` takes a rate of at least 0 and below 1, but got {rate}.")
    if not tensor.is_float(inputs.dtype.name):
        raise ValueError(f"`random.dropout` takes floats, but got inputs of dtype {inputs.dtype.name!r}; cast them.")
    return tf.nn.experimental.stateless_dropout(
        inputs, rate, draw_seed(seed), rng_alg=_streams.algorithm, noise_shape=noise_shape
    )


@op
def shuffle(x: Tensor, axis: int = 0, seed: int | SeedGenerator | None = None) -> Tensor:
    """`x` with what lies along `axis` in a random order.

    Example:
        >>> import nyala
        >>> sorted(nyala.random.shuffle([3, 1, 2], seed=1).numpy().tolist())
        [1, 2, 3]
    """
    x = tensor.as_tensor(x)
    size = tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]
    keys = tf.random.stateless_uniform([size], draw_seed(seed), alg=_streams.algorithm)
    return tf.gather(x, tf.argsort(keys), axis=axis)
