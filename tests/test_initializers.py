"""Initializers: the numbers of the reference for every dtype and shape, and configs that either side reads."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala import initializers
from tests.oracle import assert_close, keras

MATRIX, KERNEL = (4, 6), (3, 3, 4, 6)
SCALED = ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform")
AXES = {"seed": 7, "input_axes": [0], "output_axes": [1, 2]}

# (class, constructor arguments, shape)
ROWS = [
    ("Zeros", {}, MATRIX),
    ("Ones", {}, MATRIX),
    ("Constant", {}, MATRIX),
    ("Constant", {"value": -2.5}, ()),
    ("Constant", {"value": [1.0, 2.0]}, (3, 2)),
    ("Identity", {}, (3, 3)),
    ("Identity", {"gain": 2.0}, (2, 3)),
    ("RandomNormal", {"seed": 7}, MATRIX),
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0, "seed": 7}, KERNEL),
    ("RandomUniform", {"seed": 7}, MATRIX),
    ("RandomUniform", {"minval": 1.0, "maxval": 3.0, "seed": 7}, (5,)),
    ("TruncatedNormal", {"seed": 7}, MATRIX),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0, "seed": 7}, KERNEL),
    *[("Orthogonal", {"gain": 2.0, "seed": 7}, shape) for shape in ((4, 4), (3, 5), (5, 3), (2, 3, 4))],
    *[(name, {"seed": 7}, shape) for name in SCALED for shape in (MATRIX, KERNEL, (5,), ())],
    *[(name, AXES, (4, 5, 6)) for name in SCALED],
    *[
        ("VarianceScaling", {"scale": 2.0, "mode": mode, "distribution": distribution, "seed": 7}, (2, 3, 4))
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("normal", "truncated_normal", "untruncated_normal", "uniform")
    ],
    ("VarianceScaling", {"seed": 7, "input_axes": [-2], "output_axes": [-1]}, (4, 5, 6)),
    ("VarianceScaling", {"seed": 7, "input_axes": [0]}, (4, 5, 6)),
]
NAMES = sorted({name for name, _, _ in ROWS})
TOLERANCE = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6, "float64": 1e-12}


def pair(name, kwargs):
    return getattr(initializers, name)(**kwargs), getattr(keras.initializers, name)(**kwargs)


@pytest.mark.parametrize(("name", "kwargs", "shape"), ROWS)
def test_values(name, kwargs, shape):
    ours, theirs = pair(name, kwargs)
    assert_close(ours(shape), theirs(shape), rtol=1e-6, atol=0)
    assert_close(ours(list(shape)), ours(shape), rtol=0, atol=0)  # a fixed seed gives the same values again


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_dtype(name, dtype):
    _, kwargs, shape = next(row for row in ROWS if row[0] == name)
    ours, theirs = pair(name, kwargs)
    actual = ours(shape, dtype=dtype)
    assert actual.dtype == dtype
    # The reference's Orthogonal knows no bfloat16.
    same = name == "Orthogonal" and dtype == "bfloat16"
    expected = theirs(shape, dtype="float32") if same else theirs(shape, dtype=dtype)
    assert_close(actual, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", ["Zeros", "Ones", "Constant", "Identity"])
def test_whole_numbers(name, dtype):
    actual = getattr(initializers, name)()((2, 2), dtype=dtype)
    expected = np.eye(2) if name == "Identity" else getattr(keras.initializers, name)()((2, 2), dtype=dtype)
    assert actual.dtype == dtype
    assert_close(actual.numpy().astype("int32"), np.asarray(expected).astype("int32"))


def test_floatx_is_the_default_dtype():
    before = nyala.config.floatx()
    nyala.config.set_floatx("float64")
    try:
        assert initializers.Zeros()((2,)).dtype == initializers.GlorotUniform()((2,)).dtype == "float64"
    finally:
        nyala.config.set_floatx(before)


# ---- Seeds ----


@pytest.mark.parametrize("name", [name for name in NAMES if "Random" in name or name in (*SCALED, "Orthogonal")])
def test_seed_generator_gives_new_values(name):
    ours = getattr(initializers, name)(seed=nyala.random.SeedGenerator(3))
    theirs = getattr(keras.initializers, name)(seed=keras.random.SeedGenerator(3))
    for _ in range(2):
        assert_close(ours((4, 4)), theirs((4, 4)), rtol=1e-6)
    again = initializers.deserialize(initializers.serialize(ours))
    assert again.seed.state.numpy().tolist() == [3, 0]
    generator = keras.initializers.deserialize(initializers.serialize(ours)).seed
    assert generator.state.numpy().tolist() == [3, 0]


def test_no_seed_follows_set_random_seed():
    keras.utils.set_random_seed(5)
    expected = [keras.initializers.GlorotUniform()(MATRIX), keras.initializers.Orthogonal()(MATRIX)]
    nyala.utils.set_random_seed(5)
    assert_close([initializers.get("glorot_uniform")(MATRIX), initializers.Orthogonal()(MATRIX)], expected)


def test_no_seed_is_not_written_and_a_clone_draws_its_own():
    one = initializers.GlorotUniform()
    assert one.get_config()["seed"] is None
    assert isinstance(one.seed, int)
    assert one.clone().seed != one.seed
    assert initializers.HeNormal(seed=3).clone().seed == 3
    assert_close(one(MATRIX), one(MATRIX), rtol=0)


# ---- STFT: the reference takes named windows from SciPy, so its numbers are written down here ----

HANN_REAL = [0.0, 0.0, 0.0, 0.707099974155426, 0.0, -0.707099974155426, 0.707099974155426, -0.707099974155426]
STFT_ROWS = [
    ({"window": "hann"}, [*HANN_REAL, 0.707099974155426, 0.0, 0.0, 0.0]),
    ({"window": "hann", "periodic": True}, [0, 0, 0, 0.4082, 0, -0.4082, 0.8165, -0.8165, 0.8165, 0.4082, 0, -0.4082]),
    (
        {"window": "hamming", "scaling": "spectrum"},
        [0.0471, 0.0471, 0.0471, 0.4529, 0, -0.4529, 0.4529, -0.4529, 0.4529, 0.0471, 0, -0.0471],
    ),
    ({"window": "hamming", "side": "imag", "periodic": True}, [0, 0, 0, 0, -0.4283, 0, 0, 0, 0, 0, 0.4283, 0]),
    ({"window": "blackman"}, [0, 0, 0, 0.7071, 0, -0.7071, 0.7071, -0.7071, 0.7071, 0, 0, 0]),
]


@pytest.mark.parametrize(("kwargs", "expected"), STFT_ROWS)
def test_stft_with_a_named_window(kwargs, expected):
    actual = initializers.STFT(**kwargs)((4, 1, 3))
    assert_close(actual, np.reshape(expected, (4, 1, 3)), atol=1e-4)


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("scaling", [None, "density", "spectrum"])
@pytest.mark.parametrize("window", [None, [1.0, 2.0, 3.0, 4.0]])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_stft(side, scaling, window, dtype):
    window = None if window is None else np.array(window)
    kwargs = {"side": side, "window": window, "scaling": scaling}
    actual = initializers.STFT(**kwargs)((4, 1, 5), dtype=dtype)
    assert actual.dtype == dtype
    expected = keras.initializers.STFT(**kwargs)((4, 1, 5), dtype="float64")  # in float16 it adds up roundings
    assert_close(actual, expected, atol=TOLERANCE[dtype], rtol=TOLERANCE[dtype])


# ---- Names and configs ----


@pytest.mark.parametrize(("name", "kwargs", "shape"), ROWS)
def test_config_round_trip(name, kwargs, shape):
    ours, theirs = pair(name, kwargs)
    data = initializers.serialize(ours)
    values = ours(shape)
    assert data["module"] == "keras.initializers"
    assert data["class_name"] == name
    assert data["registered_name"] is None
    if name != "Identity":  # of which the reference forgets the gain
        assert data == keras.initializers.serialize(theirs)
        assert_close(initializers.deserialize(keras.initializers.serialize(theirs))(shape), values)
    assert_close(initializers.deserialize(data)(shape), values)
    assert_close(keras.initializers.deserialize(data)(shape), values)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "zeros",
            "Zeros",
            "zero",
            "ones",
            "one",
            "constant",
            "Constant",
            "identity",
            "Identity",
            "IdentityInitializer",
        ),
        *("orthogonal", "Orthogonal", "OrthogonalInitializer", "uniform", "normal", "random_uniform", "random_normal"),
        *("truncated_normal", "variance_scaling", "VarianceScaling", "glorot_uniform", "GlorotUniform", "he_normal"),
        *("glorot_normal", "he_uniform", "lecun_normal", "lecun_uniform"),
    ],
)
def test_get_by_name(name):
    found = initializers.get(name)
    if name.lower() != "constant":  # a name that the reference knows and cannot make
        assert type(found).__name__ == type(keras.initializers.get(name)).__name__
    assert type(initializers.deserialize({"class_name": name, "config": {}})) is type(found)
    assert type(initializers.deserialize(name)) is type(found)


@pytest.mark.parametrize("name", ["stft", "STFT", "STFTInitializer"])
def test_get_stft(name):
    assert type(initializers.get(name)) is initializers.STFT


def test_get():
    def own(shape, dtype=None):
        return np.full(shape, 3.0, dtype)

    assert initializers.get(None) is None
    assert initializers.get(own) is own
    assert isinstance(initializers.get(initializers.Zeros), initializers.Zeros)
    zeros = initializers.Zeros()
    assert initializers.get(zeros) is zeros
    assert initializers.deserialize(initializers.serialize(own), {"own": own}) is own
    with nyala.core.config.custom_object_scope({"Mine": initializers.Ones}):
        assert isinstance(initializers.get("Mine"), initializers.Ones)


@pytest.mark.parametrize("values", [np.arange(3.0), nyala.core.variable.Variable([0.0, 1.0, 2.0])])
def test_get_of_values(values):
    assert_close(initializers.get(values)((3,)), keras.initializers.get(np.asarray(values))((3,)))


class Doubling(initializers.Initializer):
    def __init__(self, value=1.0):
        self.start = value

    def __call__(self, shape, dtype=None):
        return np.full(shape, 2 * self.start, dtype)


def test_subclass_is_recorded():
    own = Doubling(4.0)
    assert own.get_config() == {"value": 4.0}
    assert_close(own.clone()((2,), "float32"), np.array([8.0, 8.0]))
    assert nyala.core.variable.Variable(own, shape=(2,)).numpy().tolist() == [8.0, 8.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: initializers.get("glorot_unifrom"), "Did you mean 'glorot_uniform'"),
        (lambda: initializers.get(3), "no initializer"),
        (lambda: initializers.get([1, 2]), "no initializer"),
        (lambda: initializers.get({"foo": 1}), "no initializer"),
        (lambda: initializers.deserialize({"class_name": "Foo", "config": {}}), "Foo"),
        (lambda: initializers.GlorotUniform(seed="a"), "seed"),
        (lambda: initializers.RandomNormal(seed=2.5), "seed"),
        (lambda: initializers.RandomNormal()((2,), dtype="int32"), "float"),
        (lambda: initializers.VarianceScaling(scale=0), "positive"),
        (lambda: initializers.VarianceScaling(mode="x"), "mode"),
        (lambda: initializers.VarianceScaling(distribution="x"), "distribution"),
        (lambda: initializers.Identity()((2,)), "matrix"),
        (lambda: initializers.Identity()((2, 3, 4)), "matrix"),
        (lambda: initializers.Orthogonal()((2,)), "two dimensions"),
        (lambda: initializers.STFT(side="x"), "side"),
        (lambda: initializers.STFT(scaling="x"), "scaling"),
        (lambda: initializers.STFT(window="x"), "window"),
        (lambda: initializers.STFT()((4, 3)), "shape"),
        (lambda: initializers.STFT(window=np.ones(3))((4, 1, 3)), "window"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_base_gives_no_values():
    with pytest.raises(TypeError, match="__call__"):
        initializers.Initializer()((2,))
