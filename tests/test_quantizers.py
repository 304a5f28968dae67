"""Quantizers: rounding, packing and configs, against the oracle."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras, to_numpy

GENERATOR = np.random.default_rng(5)
X = GENERATOR.normal(size=(5, 4)).astype("float32")
CUBE = GENERATOR.normal(size=(2, 3, 4)).astype("float32")
FLAT = np.array([[0, 1, -2, 1e-6], [0, 1, -2, -1e-6], [0, 1, -2, 2e-6]], "float32")  # columns of one value
HALF, SHORT = X.astype("float16"), tf.cast(X, "bfloat16")
NIBBLES = GENERATOR.integers(-8, 8, (5, 3, 4)).astype("int8")
POSITIVE = (NIBBLES + 8).astype("uint8")
HISTORY = np.arange(1, 6).astype("float32")

CALLS = [
    *[("abs_max_quantize", (X, axis), {}) for axis in (0, 1, -1, None, (0, 1), [0])],
    *[("abs_max_quantize", (CUBE, axis), {}) for axis in (0, (1, 2), (0, -1))],
    *[("abs_max_quantize", (x, 0), {}) for x in (FLAT, HALF, SHORT, X.astype("float64"), np.int32(X * 9), X.tolist())],
    ("abs_max_quantize", (X, 0), {"value_range": (-8, 7)}),
    ("abs_max_quantize", (X, 1), {"value_range": (-1000, 1000), "dtype": "int16", "epsilon": 0.1}),
    ("abs_max_quantize", (X, 1), {"dtype": "float32", "to_numpy": True}),
    *[("abs_max_quantize_grouped_with_zero_point", (X, size), {}) for size in (1, 2, 3, 5, 128)],
    *[("abs_max_quantize_grouped_with_zero_point", (FLAT, 2), {"to_numpy": flag}) for flag in (False, True)],
    ("abs_max_quantize_grouped_with_zero_point", (HALF, 2), {}),
    ("abs_max_quantize_grouped_with_zero_point", (X, 2), {"value_range": (-128, 127)}),
    *[("pack_int4", (NIBBLES, axis), {}) for axis in (0, 1, -1)],
    *[("pack_int4", (POSITIVE, axis, "uint8"), {}) for axis in (0, 1, -1)],
    *[("unpack_int4", (NIBBLES * 16 + 3, 5, axis), {}) for axis in (0, 1, -1)],
    *[("unpack_int4", (POSITIVE * 16 + 3, 3, axis, "uint8"), {}) for axis in (0, 1, -1)],
    ("quantize_and_dequantize", (X * 300, np.float32(0.7), "float8_e4m3fn", "float32"), {}),
    ("quantize_and_dequantize", (X * 1e6, np.float32(2.0), "float8_e5m2", "float32"), {}),
    *[("compute_float8_scale", (np.float32(amax), np.float32(2), 448.0), {}) for amax in (3, 0, np.inf, np.nan)],
    ("compute_float8_scale", (HISTORY, HISTORY, 57344.0, 2), {}),
    *[("compute_float8_amax_history", (x, HISTORY), {}) for x in (X, HALF, -HISTORY)],
    *[
        ("fake_quant_with_min_max_vars", (X, low, high, bits, narrow), {})
        for low, high in ((-1.0, 1.0), (0.0, 6.0), (0.2, 1.0), (-1.0, -0.2), (0.0, 0.0), (-0.1, 0.8))
        for bits, narrow in ((8, False), (4, True), (12, False))
    ],
    ("fake_quant_with_min_max_vars", (X, [-1.0, -2, -3, -4], [1.0, 2, 3, 4], 8, False, 1), {}),
    ("fake_quant_with_min_max_vars", (CUBE, [-1.0, -2, -3], [1.0, 2, 3], 4, True), {"axis": 1}),
    *[("fake_quant_with_min_max_vars", (x, -1.0, 1.0), {}) for x in (HALF, X.astype("float64"), np.int32(X * 3))],
]


def test_functions():
    """Values and dtypes of every function equal the oracle's."""
    for name, args, options in CALLS:
        mine = getattr(nyala.quantizers, name)(*args, **options)
        theirs = getattr(keras.quantizers, name)(*args, **options)
        mine, theirs = (x if isinstance(x, tuple) else (x,) for x in (mine, theirs))
        told = [getattr(x, "dtype", None) for x in mine], [getattr(x, "dtype", None) for x in theirs]
        assert told[0] == told[1], (name, args[1:], options)
        short = any("float16" in str(dtype) for dtype in told[0])
        assert_close(to_numpy(mine), to_numpy(theirs), *((1e-2, 1e-3) if short else (1e-6, 1e-12)))


def test_short_floats_can_be_brought_to_eight_bits():
    """The scale is cast to the compute dtype, in which the oracle fails."""
    y = nyala.quantizers.quantize_and_dequantize(HALF, np.float32(1), "float8_e5m2", "float16")
    assert y.dtype == "float16"
    assert_close(y, X.astype("float16"), 0.13, 1e-3)


@pytest.mark.parametrize("axis", [None, 1])
def test_gradients_of_fake_quantization(axis):
    """Gradients go to the inputs within the range and to its ends outside."""

    def gradients(library):
        ends = (-0.5, 0.8) if axis is None else ([-0.5] * 4, [0.2, 0.4, 0.6, 0.8])
        sources = [tf.constant(X), *map(tf.constant, ends)]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            y = library.quantizers.fake_quant_with_min_max_vars(*sources, axis=axis)
            loss = tf.reduce_sum(y * y)
        return tape.gradient(loss, sources)

    assert_close(gradients(nyala), gradients(keras))


def test_symbolic_calls():
    """The functions are ops: on symbolic tensors they are recorded."""
    x = nyala.KerasTensor((None, 4))
    quantized, scale = nyala.quantizers.abs_max_quantize(x, axis=-1)
    assert (quantized.shape, quantized.dtype, scale.shape) == ((None, 4), "int8", (None, 1))
    assert nyala.quantizers.fake_quant_with_min_max_vars(x, -1.0, 1.0).shape == (None, 4)


QUANTIZERS = [
    ("AbsMaxQuantizer", {}),
    ("AbsMaxQuantizer", {"axis": 0, "value_range": (-8, 7), "epsilon": 1e-3}),
    ("AbsMaxQuantizer", {"axis": (0, 1), "output_dtype": "int16"}),
]
CONFIGS = [
    ("QuantizationConfig", {}),
    ("Int8QuantizationConfig", {}),
    ("Int8QuantizationConfig", {"activation_quantizer": None}),
    ("Int4QuantizationConfig", {}),
    ("Int4QuantizationConfig", {"block_size": -1}),
    ("Float8QuantizationConfig", {}),
    ("GPTQConfig", {"dataset": ["a"], "tokenizer": str.split, "weight_bits": 3, "symmetric": True}),
    ("AWQConfig", {"dataset": ["a"], "tokenizer": str.split, "group_size": -1}),
]


@pytest.mark.parametrize(("name", "options"), [*QUANTIZERS, *CONFIGS], ids=str)
def test_configs_in_both_directions(name, options):
    """Both write the same, and read what the other wrote."""
    ours = getattr(nyala.quantizers, name)(**options)
    theirs = getattr(keras.quantizers, name)(**options)
    mine, reference = nyala.quantizers.serialize(ours), keras.quantizers.serialize(theirs)
    assert json.loads(json.dumps(mine)) == json.loads(json.dumps(reference))
    again = nyala.quantizers.deserialize(json.loads(json.dumps(reference)))
    assert nyala.quantizers.serialize(again) == mine
    assert type(keras.saving.deserialize_keras_object(mine)).__name__ == name
    if hasattr(theirs, "dtype_policy_string"):
        assert ours.dtype_policy_string() == theirs.dtype_policy_string()
    if name in dict(QUANTIZERS):
        assert_close(to_numpy(ours(X)), to_numpy(theirs(X)))
        assert_close(to_numpy(ours(X, axis=1, to_numpy=True)), to_numpy(theirs(X, axis=1, to_numpy=True)))


def test_get():
    """A name, a class with arguments, a description, a function or None."""
    quantizer = nyala.quantizers.AbsMaxQuantizer(axis=1)
    assert nyala.quantizers.get(quantizer) is quantizer
    assert nyala.quantizers.get(None) is None
    assert nyala.quantizers.get("AbsMaxQuantizer", axis=0).axis == (0,)
    assert nyala.quantizers.get(nyala.quantizers.serialize(quantizer)).axis == (1,)
    assert nyala.quantizers.get(abs) is abs
    assert nyala.Quantizer is nyala.quantizers.Quantizer


AbsMax = nyala.quantizers.AbsMaxQuantizer
MISTAKES = [
    (lambda q: q.get("abs_max_quantiser"), ValueError, "Did you mean 'abs_max_quantizer'"),
    (lambda q: q.get(3), ValueError, "3 is no quantizer"),
    (lambda q: q.pack_int4(X), TypeError, "packs a tensor of int8, but got one of float32"),
    (lambda q: q.pack_int4(NIBBLES, dtype="int16"), ValueError, "int8 or uint8, but got dtype='int16'"),
    (lambda q: q.unpack_int4(X, 3), TypeError, "unpacks int8 or uint8"),
    (lambda q: q.unpack_int4(NIBBLES, 3, 5), ValueError, "no axis 5"),
    (lambda q: q.abs_max_quantize_grouped_with_zero_point(CUBE, 2), ValueError, "rows of a matrix"),
    (lambda q: q.abs_max_quantize_grouped_with_zero_point(X, 0), ValueError, "positive block size"),
    (lambda q: q.fake_quant_with_min_max_vars(X, [-1.0, -1], [1.0, 1]), ValueError, "say to which axis"),
    (lambda q: q.quantize_and_dequantize(X, 1.0, "int8", "float32"), TypeError, "is a floating dtype"),
    (lambda q: q.Int8QuantizationConfig(AbsMax(0, output_dtype="int16")), ValueError, "output_dtype='int8'"),
    (lambda q: q.Int8QuantizationConfig("abs"), ValueError, "no quantizer called 'abs'"),
    (lambda q: q.Int4QuantizationConfig(AbsMax(0, (-8, 7))), ValueError, "leave the quantizers out"),
    (lambda q: q.Int4QuantizationConfig(AbsMax(0), block_size=-1), ValueError, "Four bits hold -8 to 7"),
    (lambda q: q.Int4QuantizationConfig(block_size=0), ValueError, "positive integer, or -1 or None"),
    (lambda q: q.GPTQConfig([], str, weight_bits=5), ValueError, "weight_bits of 2 or 3 or 4 or 8, but got 5"),
    (lambda q: q.GPTQConfig([], str, group_size=0), ValueError, "`group_size` is a positive integer"),
    (lambda q: q.GPTQConfig([], str, hessian_damping=2.0), ValueError, "from 0 to 1, but got 2.0"),
    (lambda q: q.GPTQConfig([], str, num_samples=0), ValueError, "`num_samples` of GPTQConfig"),
    (lambda q: q.AWQConfig([], str, weight_bits=8), ValueError, "weight_bits of 4, but got 8"),
    (lambda q: q.AWQConfig([], str, num_grid_points=0), ValueError, "`num_grid_points` of AWQConfig"),
]


@pytest.mark.parametrize(("call", "error", "message"), MISTAKES, ids=[row[2] for row in MISTAKES])
def test_mistakes(call, error, message):
    """What is wrong, where, and the cure."""
    with pytest.raises(error, match=message.replace("(", r"\(").replace(")", r"\)")):
        call(nyala.quantizers)
