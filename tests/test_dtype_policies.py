"""Dtype policies: names, attributes and configs of the reference."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala import dtype_policies
from nyala.core.engine import tf
from tests.oracle import keras

NAMES = [
    *("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16", "uint8", "bool", "complex64"),
    *("int8_from_float32", "int8_from_mixed_bfloat16", "int8_from_bfloat16", "int8_from_int8"),
    *("int4_from_float32", "int4_from_mixed_float16", "int4/128_from_mixed_bfloat16", "int4/-1_from_float32"),
    *("float8_from_float32", "float8_from_float16", "float8_from_mixed_float16"),
    *("gptq/4/128_from_float32", "gptq/2/-1_from_mixed_bfloat16", "gptq/3/8_from_float16", "gptq/8/8_from_float32"),
    *("awq/4/128_from_float32", "awq/4/-1_from_bfloat16"),
]
ATTRIBUTES = ("name", "compute_dtype", "variable_dtype", "quantization_mode")
SOMETIMES = {
    "GPTQDTypePolicy": ("mode", "weight_bits", "group_size"),
    "AWQDTypePolicy": ("mode", "weight_bits", "group_size"),
    "Int4DTypePolicy": ("mode", "block_size"),
    "QuantizedFloat8DTypePolicy": ("amax_history_length",),
}


def facts(policy):
    found = {name: getattr(policy, name) for name in ATTRIBUTES}
    kind = type(policy).__name__
    found |= {name: getattr(policy, name) for name in SOMETIMES[kind]} if kind in SOMETIMES else {}
    return {**found, "class": kind, "config": policy.get_config()}


@pytest.mark.parametrize("name", NAMES)
def test_get_by_name(name):
    ours, theirs = dtype_policies.get(name), keras.dtype_policies.get(name)
    assert facts(ours) == facts(theirs)
    assert repr(ours) == repr(theirs)
    assert dtype_policies.get(ours) is ours


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name):
    ours, theirs = dtype_policies.get(name), keras.dtype_policies.get(name)
    data = dtype_policies.serialize(ours)
    assert data == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.deserialize(data) == dtype_policies.get(data) == ours
    assert hash(dtype_policies.deserialize(data)) == hash(ours)
    assert keras.dtype_policies.deserialize(data) == theirs


@pytest.mark.parametrize("dtype", [np.float32, tf.float16, np.dtype("float64"), None])
def test_get_of_a_dtype(dtype):
    assert facts(dtype_policies.get(dtype)) == facts(keras.dtype_policies.get(dtype))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("DTypePolicy", ()),
        ("DTypePolicy", ("mixed_float16",)),
        ("FloatDTypePolicy", ("mixed_float16",)),
        ("QuantizedDTypePolicy", ("int8",)),
        ("QuantizedDTypePolicy", ("float8", "float32")),
        ("QuantizedDTypePolicy", ("int4", "float16")),
        ("QuantizedFloat8DTypePolicy", ("float8", "float32", 10)),
        ("Int4DTypePolicy", ("int4/32", "mixed_bfloat16")),
        ("GPTQDTypePolicy", ("gptq/4/128", "float16")),
        ("AWQDTypePolicy", ("awq/4/128", "float16")),
    ],
)
def test_constructor(name, args):
    ours, theirs = getattr(dtype_policies, name)(*args), getattr(keras.dtype_policies, name)(*args)
    assert facts(ours) == facts(theirs)
    assert dtype_policies.serialize(ours) == keras.dtype_policies.serialize(theirs)
    assert dtype_policies.deserialize(dtype_policies.serialize(ours)) == ours


def test_equality():
    get = dtype_policies.get
    assert get("int8_from_float32") == dtype_policies.QuantizedDTypePolicy("int8", "float32")
    assert get("int8_from_float32") != get("int4_from_float32")
    float8 = dtype_policies.QuantizedFloat8DTypePolicy
    assert float8("float8", "float32", 10) != float8("float8", "float32", 11)
    assert (
        float8.default_amax_history_length
        == keras.dtype_policies.QuantizedFloat8DTypePolicy.default_amax_history_length
    )


def test_the_global_policy_is_the_source_by_default():
    nyala.config.set_dtype_policy("mixed_bfloat16")
    try:
        for policy in (dtype_policies.QuantizedDTypePolicy("int8"), dtype_policies.Int4DTypePolicy("int4/32")):
            assert policy.name.endswith("_from_mixed_bfloat16")
        assert dtype_policies.DTypePolicyMap()["x"].name == "mixed_bfloat16"
    finally:
        nyala.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("x", "autocast"),
    [
        (np.ones(2), True),
        (np.ones(2, "float32"), False),
        (np.ones(2, int), True),
        (tf.ones(2), True),
        ("a", True),
        (3.0, True),
    ],
)
def test_convert_input(x, autocast):
    actual = dtype_policies.DTypePolicy("mixed_float16").convert_input(x, autocast, "float16")
    expected = keras.dtype_policies.DTypePolicy("mixed_float16").convert_input(x, autocast, "float16")
    assert getattr(actual, "dtype", actual) == getattr(expected, "dtype", expected)


# ---- DTypePolicyMap ----

MAP = {"d1": "bfloat16", "encoder/.*": "float16", "encoder/exact": "mixed_float16", "q": "int8_from_float32"}


def policy_map(module, default="float32"):
    return module.DTypePolicyMap(default, {path: module.get(name) for path, name in MAP.items()})


@pytest.mark.parametrize(
    "path", ["d1", "d1/sub", "x/d1", "encoder", "encoder/a", "encoder/a/b", "encoder/exact", "q", "other"]
)
def test_map_finds(path):
    assert policy_map(dtype_policies)[path].name == policy_map(keras.dtype_policies)[path].name


def test_map_is_the_references():
    ours, theirs = policy_map(dtype_policies, "mixed_bfloat16"), policy_map(keras.dtype_policies, "mixed_bfloat16")
    for name in ATTRIBUTES:
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.default_policy.name == theirs.default_policy.name
    assert list(ours) == list(theirs) == list(MAP)
    assert len(ours) == len(theirs) == 4
    assert ("d1" in ours, "d2" in ours) == ("d1" in theirs, "d2" in theirs) == (True, False)
    assert ours.get("nothing").name == theirs.get("nothing").name
    assert ours.pop("d1").name == "bfloat16"
    assert "d1" not in ours
    assert "encoder/.*" in repr(ours)


@pytest.mark.parametrize("default", [None, "float32", "mixed_bfloat16", "int8_from_float32"])
def test_map_round_trips(default):
    ours = policy_map(dtype_policies, default)
    data = dtype_policies.serialize(ours)
    assert dtype_policies.deserialize(data) == ours
    theirs = keras.dtype_policies.deserialize(data)
    assert theirs.default_policy.name == ours.default_policy.name
    if default is not None:  # without one, the reference writes policies without their names
        assert data == keras.dtype_policies.serialize(policy_map(keras.dtype_policies, default))
        assert theirs.get_config() == ours.get_config()
    assert {ours: 1}[ours] == 1


def test_map_takes_names():
    policies = dtype_policies.DTypePolicyMap(policy_map={"a": "float16"})
    policies["b"] = "int8_from_float32"
    assert [policy.name for policy in policies.values()] == ["float16", "int8_from_float32"]
    policies.clear()
    assert not policies


def set_twice():
    policies = dtype_policies.DTypePolicyMap()
    policies["a"] = "float16"
    policies["a"] = "float32"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: dtype_policies.get("foo"), "foo"),
        (lambda: dtype_policies.get("mixed_float32"), "mixed_float32"),
        (lambda: dtype_policies.get("xx_from_float32"), "xx_from_float32"),
        (lambda: dtype_policies.get("int8_from_foo"), "foo"),
        (lambda: dtype_policies.get("int8_from_float16"), "bfloat16"),
        (lambda: dtype_policies.get("int8_from_mixed_float16"), "bfloat16"),
        (lambda: dtype_policies.get("int4/x_from_float32"), "block_size"),
        (lambda: dtype_policies.get("int4/0_from_float32"), "positive"),
        (lambda: dtype_policies.get("gptq_from_float32"), "group_size"),
        (lambda: dtype_policies.get("gptq/5/128_from_float32"), "bits"),
        (lambda: dtype_policies.get("gptq/4/-2_from_float32"), "positive"),
        (lambda: dtype_policies.get("awq/8/128_from_float32"), "4 bits"),
        (lambda: dtype_policies.get("awq/4/0_from_float32"), "positive"),
        (lambda: dtype_policies.get([1]), "dtype"),
        (lambda: dtype_policies.QuantizedDTypePolicy("foo", "float32"), "int8"),
        (lambda: dtype_policies.QuantizedDTypePolicy("int4/128", "float32"), "int4/128"),
        (lambda: dtype_policies.Int4DTypePolicy("int8/32", "float32"), "int4/<block_size>"),
        (lambda: dtype_policies.GPTQDTypePolicy("awq/4/-1", "float32"), "gptq"),
        (lambda: dtype_policies.DTypePolicyMap("foo"), "foo"),
        (lambda: dtype_policies.DTypePolicyMap("float32", {"a.*": "float16", "a/b.*": "float16"})["a/b"], "several"),
        (set_twice, "already"),
    ],
)
def test_value_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_type_errors():
    with pytest.raises(TypeError, match="integer"):
        dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32", "a")
    with pytest.raises(TypeError, match="dict"):
        dtype_policies.DTypePolicyMap(policy_map=3)
