"""Masks that come out of layers, against the oracle's."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.contract.rows import floats
from tests.oracle import assert_close, keras

M1 = np.array([[1, 1, 0], [1, 0, 0]], "bool")
M2 = np.array([[1, 0, 1], [1, 0, 0]], "bool")
ONE = {
    name: lambda L, name=name, arguments=arguments: getattr(L, name)(**arguments)
    for name, arguments in {
        "Identity": {},
        "Rescaling": {"scale": 2.0},
        "BatchNormalization": {},
        "LayerNormalization": {},
        "GroupNormalization": {"groups": 2},
        "UnitNormalization": {},
        "Dropout": {"rate": 0.5},
        "SpatialDropout1D": {"rate": 0.5},
        "GaussianNoise": {"stddev": 0.5},
        "GaussianDropout": {"rate": 0.5},
        "AlphaDropout": {"rate": 0.5},
        "ActivityRegularization": {"l1": 0.5},
        "Activation": {"activation": "relu"},
        "ReLU": {},
        "LeakyReLU": {},
        "PReLU": {},
        "ELU": {},
        "Masking": {},
        "GlobalAveragePooling1D": {},
    }.items()
}
DROPPING = {
    "Flatten": {},
    "Reshape": {"target_shape": (12,)},
    "Permute": {"dims": (2, 1)},
    "Conv1D": {"filters": 2, "kernel_size": 1},
    "MaxPooling1D": {},
    "GlobalMaxPooling1D": {},
    "Cropping1D": {},
    "ZeroPadding1D": {},
    "UpSampling1D": {},
    "RMSNormalization": {},
}
SEVERAL = {
    **{
        name: lambda L, name=name: getattr(L, name)()
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    },
    "Concatenate along time": lambda L: L.Concatenate(axis=1),
    "Concatenate along the batch": lambda L: L.Concatenate(axis=0),
    "Dot": lambda L: L.Dot(2),
}


def masked(x, mask):
    x = tf.constant(x)
    if mask is not None:
        x._keras_mask = tf.constant(mask)
    return x


def result(layer, inputs):
    outputs = layer(inputs)
    return {"outputs": outputs, "mask": getattr(outputs, "_keras_mask", None)}


@pytest.mark.parametrize("make", ONE.values(), ids=ONE)
def test_masks_of_one_input(make):
    x = floats(2, 3, 4)
    assert_close(result(make(nyala.layers), masked(x, M1)), result(make(keras.layers), masked(x, M1)))


@pytest.mark.parametrize("masks", [(M1, M2), (M1, None), (None, None)], ids=["both", "one", "none"])
@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL)
def test_masks_of_several_inputs(make, masks):
    xs = [floats(2, 3, 4), floats(2, 3, 4)[::-1].copy()]
    ours = result(make(nyala.layers), [masked(x, m) for x, m in zip(xs, masks, strict=True)])
    theirs = result(make(keras.layers), [masked(x, m) for x, m in zip(xs, masks, strict=True)])
    assert_close(ours, theirs)


@pytest.mark.parametrize(("name", "arguments"), DROPPING.items(), ids=DROPPING)
def test_a_layer_that_drops_masks_says_so(name, arguments):
    layer = getattr(nyala.layers, name)(**arguments)
    with pytest.warns(UserWarning, match=f"{layer.name}.*does not pass it on"):
        outputs = layer(masked(floats(2, 3, 4), M1))
    assert getattr(outputs, "_keras_mask", None) is None


def test_masks_of_other_axes_are_concatenated():
    """Where a mask has the axis of concatenation it grows too, also beyond time; the oracle fails there."""
    x, y = masked(floats(2, 3, 4, 2), np.ones((2, 3, 4), bool)), masked(floats(2, 3, 5, 2), np.zeros((2, 3, 5), bool))
    mask = nyala.layers.Concatenate(axis=2)([x, y])._keras_mask
    assert mask.shape == (2, 3, 9)
    assert mask.numpy()[..., :4].all()
    assert not mask.numpy()[..., 4:].any()


def test_symbolic_masks_follow():
    inputs = nyala.layers.Input((3, 4))
    outputs = nyala.layers.Add()([nyala.layers.Masking()(inputs), nyala.layers.Masking(1.0)(inputs)])
    assert outputs._keras_mask.shape == (None, 3)
