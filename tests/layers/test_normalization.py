"""Normalization beyond the contract's rows: fused kernels, frozen layers, replicas, spectral normalization."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.contract.rows import floats
from tests.oracle import assert_close, keras


@pytest.mark.parametrize("training", [False, True])
def test_the_fused_kernel_gives_the_numbers_of_the_formulas(training, monkeypatch):
    x = tf.constant(floats(3, 4, 5, 2) + 1)
    results = []
    for fused in (True, False):
        layer = nyala.layers.BatchNormalization(momentum=0.5)
        layer.build(x.shape)
        if not fused:
            monkeypatch.setattr(layer, "_can_be_fused", lambda *_: False)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y**3)
        results.append([y, layer.get_weights(), tape.gradient(loss, [x, *layer.trainable_weights])])
    assert_close(*results, 1e-4, 1e-4)


def test_which_arguments_allow_the_fused_kernel():
    def is_fused(shape, dtype="float32", mask=None, **arguments):
        layer = nyala.layers.BatchNormalization(**arguments)
        layer.build(shape)
        return layer._can_be_fused(tf.zeros(shape, dtype), mask, training=True)

    image = (2, 4, 4, 3)
    assert is_fused(image)
    assert is_fused(image, "float16")
    assert is_fused(image, "bfloat16", scale=False)
    assert not is_fused((2, 4, 3))
    assert not is_fused(image, axis=1)
    assert not is_fused(image, "float64")
    assert not is_fused(image, epsilon=1e-6)
    assert not is_fused(image, renorm=True)
    assert not is_fused(image, mask=True)
    assert not is_fused(image, synchronized=True)


def test_a_frozen_layer_infers():
    x = floats(8, 3)
    layer, theirs = nyala.layers.BatchNormalization(), keras.layers.BatchNormalization()
    layer.trainable = theirs.trainable = False
    assert_close(layer(x, training=True), theirs(x, training=True))
    assert_close(layer.get_weights(), theirs.get_weights())
    assert layer.trainable_weights == []


def test_a_short_float_is_normalized_in_float32():
    """Sums of squares of float16 overflow; the statistics are taken in a wider float."""
    x = (floats(64, 4) * 600).astype("float16")
    for name in ("BatchNormalization", "LayerNormalization", "RMSNormalization", "GroupNormalization"):
        arguments = {"groups": 2} if name == "GroupNormalization" else {}
        short, wide = (getattr(nyala.layers, name)(**arguments, dtype=dtype) for dtype in ("mixed_float16", "float32"))
        assert_close(short(x), wide(x), 1e-2, 1e-2)
        assert short(x).dtype == "float16"
        assert all(w.dtype == "float32" for w in short.weights)


def test_replicas_share_their_statistics():
    """On one replica, `synchronized` is the same layer."""
    x = floats(8, 3)
    alone, together = nyala.layers.BatchNormalization(), nyala.layers.BatchNormalization(synchronized=True)
    assert_close(together(x, training=True), alone(x, training=True))


def test_the_scale_of_root_mean_squares_lies_along_its_axis():
    """The oracle lays the scale along the last axis, whichever is asked for."""
    x = floats(2, 3, 4)
    layer = nyala.layers.RMSNormalization(axis=1, epsilon=0.0)
    layer.build(x.shape)
    layer.scale.assign([1.0, 2.0, 3.0])
    expected = x / np.sqrt((x**2).mean(1, keepdims=True)) * np.array([1, 2, 3], "float32")[None, :, None]
    assert_close(layer(x), expected)


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling:UserWarning")
def test_rms_scaling_of_old_files():
    x = floats(3, 4)
    ours, theirs = nyala.layers.LayerNormalization(rms_scaling=True), keras.layers.LayerNormalization(rms_scaling=True)
    assert_close(ours(x), theirs(x))
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert nyala.layers.LayerNormalization.from_config(theirs.get_config()).rms_scaling


SPECTRAL = {
    "dense": (lambda L: L.SpectralNormalization(L.Dense(2)), floats(3, 4)),
    "convolution": (lambda L: L.SpectralNormalization(L.Conv2D(2, 2), power_iterations=3), floats(2, 4, 4, 3)),
}


@pytest.mark.parametrize(("make", "x"), SPECTRAL.values(), ids=SPECTRAL)
def test_spectral_normalization(make, x):
    ours, theirs = make(nyala.layers), make(keras.layers)
    ours(x), theirs(x)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    ours.set_weights(theirs.get_weights())
    for training in (False, True, True, False):
        assert_close(ours(x, training=training), theirs(x, training=training), 1e-5, 1e-5)
        assert_close(ours.get_weights(), theirs.get_weights(), 1e-5, 1e-5)
    assert ours.compute_output_shape(x.shape) == theirs.compute_output_shape(x.shape)
    reference = json.loads(json.dumps(theirs.get_config()))
    assert type(ours).from_config(reference).power_iterations == theirs.power_iterations
    again, mine = type(theirs).from_config(ours.get_config()).layer.get_config(), theirs.layer.get_config()
    assert {**again, "name": ""} == {**mine, "name": ""}


def test_spectral_normalization_of_embeddings():
    """The oracle casts the vectors to the dtype of the indices, which leaves zeros; ours gives the vectors."""
    layer = nyala.layers.SpectralNormalization(nyala.layers.Embedding(5, 3), power_iterations=50)
    indices = np.arange(5)
    assert_close(layer(indices, training=True), layer.layer.embeddings.numpy())
    assert_close(np.linalg.norm(layer.layer.embeddings.numpy(), 2), 1.0, 1e-4)


def test_what_a_step_of_spectral_normalization_sets():
    """Asked for, it is told and nothing is set."""
    ours, theirs = (lib.layers.SpectralNormalization(lib.layers.Dense(2), power_iterations=2) for lib in (nyala, keras))
    x = floats(3, 4)
    ours(x)
    theirs(x)
    ours.set_weights(theirs.get_weights())
    before = ours.get_weights()
    told = ours.normalized_weights()
    assert_close(told, theirs.normalized_weights())
    assert_close(ours.get_weights(), before)
    ours(x, training=True)
    assert_close((ours.vector_u, ours.layer.kernel), told)
