"""Attention layers and EinsumDense beyond their rows in the contract: masks that come attached, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from tests.oracle import assert_close, keras

Q = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
V = np.random.default_rng(1).normal(size=(2, 5, 4)).astype("float32")


@pytest.mark.filterwarnings(
    "ignore:(?s).*Layer '(query|key|value)'.*does not support masking:UserWarning"
)  # the oracle's own
@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_masks_come_from_the_layers_before(name):
    """An Embedding's mask hides padding from the heads, and goes on to the layers behind."""
    arguments = (2, 3) if name == "MultiHeadAttention" else (3, 4, 2)
    ids = np.array([[1, 2, 0], [3, 0, 0]])
    found = []
    for layers in (keras.layers, nyala.layers):
        embedding, attention = layers.Embedding(5, 4, mask_zero=True), getattr(layers, name)(*arguments)
        embedded = embedding(ids)
        attention(embedded, embedded)
        if found:
            embedding.set_weights(found[0][1])
            attention.set_weights(found[0][2])
        outputs = attention(embedding(ids), embedding(ids))
        found.append((outputs, embedding.get_weights(), attention.get_weights()))
    assert_close(found[1][0], found[0][0], 1e-5, 1e-5)
    assert found[1][0]._keras_mask.numpy().tolist() == (ids != 0).tolist()


MISTAKES = [
    (lambda L: L.Attention()(Q), r"takes a list \[query, value\] or \[query, value, key\], but got one tensor"),
    (lambda L: L.Attention()([Q, V, V, V]), "but got 4 of them"),
    (lambda L: L.Attention()([Q, V], mask=np.ones((2, 3), bool)), "takes a list of masks"),
    (lambda L: L.Attention(score_mode="sum"), "`score_mode` of `.*` must be one of 'dot', 'concat'"),
    (lambda L: L.MultiHeadAttention(0, 3), "`num_heads` of `.*` must be a positive integer, but got 0"),
    (lambda L: L.MultiHeadAttention(2, 3, sliding_window=0), "`sliding_window` of `.*` must be a positive integer"),
    (
        lambda L: L.MultiHeadAttention(2, 3, dropout=0.1, flash_attention=True),
        "cannot have flash attention and dropout",
    ),
    (
        lambda L: L.MultiHeadAttention(2, 3, flash_attention=True)(Q, V),
        "flash attention, which TensorFlow does not have",
    ),
    (lambda L: L.MultiHeadAttention(2, 3)(Q, V, V[:, :2]), "expected a key for each value"),
    (lambda L: L.MultiHeadAttention(2, 3)(Q, V[0]), "expected a query, value and key of equal rank, at least 3"),
    (lambda L: L.GroupQueryAttention(4, 5, 2), "must be a multiple of `num_key_value_heads`"),
    (lambda L: L.EinsumDense("ab,bc", 6)(Q[0]), "must have the form"),
    (lambda L: L.EinsumDense("ab,bc->ad", 6)(Q[0]), "the output has 'd', which neither"),
    (lambda L: L.EinsumDense("ab,bcd->ac", 6)(Q[0]), "the kernel has 'd', which neither"),
    (lambda L: L.EinsumDense("ab,bc->ac", 6, bias_axes="z")(Q[0]), "bias_axes has 'z'"),
    (lambda L: L.EinsumDense("abc,cd->abd", (4, 6))(Q), "axis 'b' has size 3 in the input .* but 4 in output_shape"),
    (lambda L: L.EinsumDense("abc,cd->abd", (None, 6))(Q[0]), "names 3 axes of the input, 'abc', but it has shape"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=[m for _, m in MISTAKES])
def test_mistakes_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make(nyala.layers)
