"""Random numbers: those of the reference, number for number, and a state that moves as its state does."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import nyala
from nyala import random
from nyala.core.engine import tf
from nyala.core.graph import trace
from nyala.core.tensor import KerasTensor
from nyala.core.tracking import name_scope
from tests.oracle import assert_close, keras

LOGITS = np.array([[0.1, 0.2, 0.7], [2.0, 0.0, -1.0]], "float32")
CUBE = np.arange(24).reshape(2, 3, 4)
X = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 3, 4)
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

# (function, arguments, dtypes)
DRAWS = [
    ("uniform", ((3, 4),), (*FLOATS, None)),
    ("uniform", ((5,), -1, 2), FLOATS),
    ("uniform", ((5,), -0.1, 0.3), FLOATS),
    ("uniform", ((2, 3), np.array([0, 1, 2.0]), 5.0), (None,)),
    ("uniform", ((), 0.5), (None,)),
    ("uniform", ((0, 2),), (None,)),
    ("normal", ((3, 4),), (*FLOATS, None)),
    ("normal", ((7,), 0.3, 2), FLOATS),
    ("normal", ((2, 3), np.array([0, 1, 2.0]), np.array([0, 1, 2.0])), (None,)),
    ("truncated_normal", ((3, 4),), (*FLOATS, None)),
    ("truncated_normal", ((7,), 0.3, 2), FLOATS),
    ("gamma", ((3, 4), 2.0), (*FLOATS, None)),
    ("gamma", ((3,), np.array([0.5, 1.0, 2.0])), (None, "float64")),
    ("beta", ((3, 4), 2.0, 3.0), (*FLOATS, None)),
    ("beta", ((3,), np.array([0.5, 1.0, 2.0]), 0.3), (None, "float64")),
    ("binomial", ((3, 4), 10.0, 0.3), (*FLOATS, None, "int32", "int64")),
    ("binomial", ((3, 4), 1000, 0.7), (None,)),
    ("binomial", ((2, 3), np.array([10, 20, 30]), 0.3), (None,)),
    ("categorical", (LOGITS, 5), (*INTEGERS, "float32")),
    ("categorical", (LOGITS.astype("float64"), 5), ("int32",)),
    ("randint", ((3, 4), -3, 100), INTEGERS),
    ("randint", ((9,), 0, 2**40), ("int64",)),
]


def compare(name, args, **kwargs):
    """The same numbers and dtype, for an integer seed, a negative, a wide one, and twice in a row for a generator."""
    ours, theirs = getattr(random, name), getattr(keras.random, name)
    for seed in (7, -3, 2**40):
        actual, expected = ours(*args, seed=seed, **kwargs), theirs(*args, seed=seed, **kwargs)
        assert actual.dtype == expected.dtype
        assert_close(actual, expected, rtol=0, atol=0)
    generator, oracle = random.SeedGenerator(11), keras.random.SeedGenerator(11)
    for _ in range(2):
        assert_close(ours(*args, seed=generator, **kwargs), theirs(*args, seed=oracle, **kwargs), rtol=0, atol=0)
    assert_close(generator.state, oracle.state)


@pytest.mark.parametrize(("name", "args", "dtype"), [(n, a, d) for n, a, dtypes in DRAWS for d in dtypes])
def test_draws(name, args, dtype):
    compare(name, args, dtype=dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("noise_shape", [None, (2, 1, 4), (None, 1, None)])
def test_dropout(dtype, noise_shape):
    compare("dropout", (tf.cast(X, dtype), 0.3, noise_shape))


def test_dropout_of_nothing_is_the_input():
    assert_close(random.dropout(X, 0.0, seed=1), X)


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_shuffle(axis):
    compare("shuffle", (CUBE,), axis=axis)


def test_floatx_is_the_default_dtype():
    before = nyala.config.floatx()
    nyala.config.set_floatx("float64")
    try:
        assert random.uniform((2,), seed=1).dtype == "float64"
    finally:
        nyala.config.set_floatx(before)


def test_no_seed_follows_set_random_seed():
    keras.utils.set_random_seed(5)
    expected = [keras.random.uniform((2,)).numpy() for _ in range(4)] + [keras.random.SeedGenerator().state.numpy()]
    nyala.utils.set_random_seed(5)
    random.reset_global_generator()
    actual = [random.uniform((2,)) for _ in range(4)] + [random.SeedGenerator().state]
    assert_close(actual, expected, rtol=0, atol=0)


# ---- SeedGenerator ----


def test_generator_is_the_references():
    ours, theirs = random.SeedGenerator(3, name="g"), keras.random.SeedGenerator(3, name="g")
    assert ours.get_config() == theirs.get_config() == {"seed": 3, "name": "g"}
    assert ours.state.path == theirs.state.path == "g/seed_generator_state"
    assert ours.state.dtype == theirs.state.dtype == "int64"
    assert ours.state.trainable is theirs.state.trainable is False
    for ordered in (True, False, True, False):
        assert_close(ours.next(ordered=ordered), theirs.next(ordered=ordered))
    assert_close(ours.state, theirs.state)


def test_generator_takes_the_path_of_its_owner():
    with name_scope("layer"):
        assert random.SeedGenerator(1, name="g").state.path == "layer/g/seed_generator_state"


def test_generators_without_a_seed_differ_and_say_so_in_their_configs():
    one, other = random.SeedGenerator(), random.SeedGenerator()
    assert one.get_config()["seed"] is None
    assert one.state.numpy()[0] != other.state.numpy()[0]
    assert one.name != other.name


def test_generator_round_trips():
    generator = random.SeedGenerator(3, name="g")
    again = random.SeedGenerator.from_config(generator.get_config())
    assert again.state.numpy().tolist() == [3, 0]
    assert keras.random.SeedGenerator.from_config(generator.get_config()).get_config() == generator.get_config()


def test_generator_advances_in_a_graph():
    generator = random.SeedGenerator(3)

    @tf.function
    def draw_two():
        return random.uniform((2,), seed=generator), random.uniform((2,), seed=generator)

    oracle = keras.random.SeedGenerator(3)
    for _ in range(2):
        expected = [keras.random.uniform((2,), seed=oracle).numpy() for _ in range(2)]
        assert_close(draw_two(), expected, rtol=0, atol=0)
    assert generator.state.numpy().tolist() == [3, 4]


@pytest.mark.parametrize("compiled", [False, True])
def test_generator_advances_in_a_loop_of_a_graph(compiled):
    generator = random.SeedGenerator(3)

    @tf.function(jit_compile=compiled)
    def seeds():
        def body(i, found):
            return i + 1, tf.tensor_scatter_nd_update(found, [[i]], [generator.next()])

        return tf.while_loop(lambda i, _: i < 3, body, (0, tf.zeros((3, 2), "int64")))[1]

    assert seeds().numpy().tolist() == [[3, 0], [3, 1], [3, 2]]
    assert generator.state.numpy().tolist() == [3, 3]


def test_tracing_shapes_draws_nothing():
    generator = random.SeedGenerator(3)
    x = KerasTensor((None, 3))
    assert trace(lambda x: random.dropout(x, 0.5, seed=generator), (x,), {}).shape == (None, 3)
    assert generator.state.numpy().tolist() == [3, 0]


@pytest.mark.parametrize(
    ("call", "shape", "dtype"),
    [
        (lambda x: random.dropout(x, 0.5, seed=1), (None, 3), "float32"),
        (lambda x: random.categorical(x, 4, seed=1), (None, 4), "int32"),
        (lambda x: random.shuffle(x, axis=1, seed=1), (None, 3), "float32"),
    ],
)
def test_symbolic(call, shape, dtype):
    y = call(KerasTensor((None, 3)))
    assert (y.shape, y.dtype) == (shape, dtype)


# ---- Fast streams ----


KINDS = {
    "uniform": lambda: random.uniform((5000,), seed=1),
    "normal": lambda: random.normal((5000,), seed=1),
    "truncated_normal": lambda: random.truncated_normal((5000,), seed=1),
    "randint": lambda: random.randint((5000,), 0, 9, seed=1),
    "dropout": lambda: random.dropout(tf.ones(5000), 0.3, seed=1),
    "shuffle": lambda: random.shuffle(tf.range(5000), seed=1),
}


def test_fast_streams_draw_other_numbers_of_the_same_distribution():
    def draw():
        return {kind: function() for kind, function in KINDS.items()}

    slow = tf.function(draw, jit_compile=True, autograph=False)()
    with random.fast_streams():
        fast = tf.function(draw, jit_compile=True, autograph=False)()
    for kind in KINDS:
        one, other = fast[kind].numpy(), slow[kind].numpy()
        assert not np.array_equal(one, other), kind
        error = other.std() / 5000**0.5
        assert abs(one.mean() - other.mean()) < 5 * error, kind
        assert abs(one.std() - other.std()) < 5 * error, kind


def test_fast_streams_end_with_their_block_and_stay_in_their_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(random._streams.algorithm))
    with random.fast_streams():
        thread.start()
        thread.join()
        seen.append(random._streams.algorithm)
    assert [*seen, random._streams.algorithm] == ["philox", "threefry", "philox"]


# ---- Errors ----


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: random.SeedGenerator(2.5), "integer"),
        (lambda: random.SeedGenerator(True), "integer"),
        (lambda: random.SeedGenerator("a"), "integer"),
        (lambda: random.uniform((2,), seed="a"), "SeedGenerator"),
        (lambda: random.uniform((2,), seed=[1, 2]), "SeedGenerator"),
        (lambda: random.uniform((2,), dtype="int32"), "float"),
        (lambda: random.normal((2,), dtype="int32"), "float"),
        (lambda: random.truncated_normal((2,), dtype="bool"), "float"),
        (lambda: random.gamma((2,), 1.0, dtype="int32"), "float"),
        (lambda: random.beta((2,), 1.0, 1.0, dtype="int32"), "float"),
        (lambda: random.randint((2,), 0, 5, dtype="float32"), "integer"),
        (lambda: random.randint((2,), 0, 5, dtype="bool"), "integer"),
        (lambda: random.dropout(X, 1.0), "rate"),
        (lambda: random.dropout(X, -0.1), "rate"),
        (lambda: random.dropout(CUBE, 0.5), "float"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_whole_numbers_stay_whole():
    with pytest.raises(TypeError):
        random.randint((2,), 0.5, 5)
