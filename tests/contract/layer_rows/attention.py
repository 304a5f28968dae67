"""Rows of the layer contract: attention layers, and the dense layer they project with."""

import numpy as np

from tests.contract.rows import Row, floats

Q, V, K = floats(2, 3, 4), floats(2, 5, 4), floats(2, 5, 4) + 0.5
Q_MASK = np.array([[1, 1, 0], [0, 1, 1]], "bool")
V_MASK = np.array([[1, 0, 1, 1, 0], [1, 1, 1, 1, 1]], "bool")
PAIR_MASK = np.array([np.tri(3, 5, 1), np.tri(3, 5, -1)], "bool")  # the second lets the first query see nothing
HEADS = {"num_heads": 2, "key_dim": 3}
GROUPS = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}
# Rows whose masks are given have a batch of fixed size, so they are not `dynamic`.


def with_heads(layer: str, arguments: dict) -> list[Row]:
    """The rows that both layers with heads have."""
    return [
        Row(layer, arguments, Q, call={"value": V}),
        Row(layer, arguments, Q, call={"value": V, "key": K, "use_causal_mask": True, "return_attention_scores": True}),
        Row(layer, {**arguments, "use_bias": False}, Q, call={"value": V, "attention_mask": PAIR_MASK}),
        Row(layer, arguments, Q, call={"value": V, "value_mask": V_MASK, "query_mask": Q_MASK, "key_mask": ~V_MASK}),
        Row(layer, {**arguments, "sliding_window": 2}, Q, call={"value": Q, "return_attention_scores": True}),
        Row(layer, {**arguments, "use_gate": True}, Q, call={"value": V}),
        Row(layer, {**arguments, "dropout": 0.4, "seed": 3}, Q, call={"value": V}),
        Row(layer, {**arguments, "kernel_regularizer": "l2", "bias_initializer": "ones"}, Q, call={"value": V}),
    ]


ROWS = [
    Row("Attention", {}, [Q, V]),
    Row("Attention", {"use_scale": True}, [Q, V, K], call={"use_causal_mask": True, "return_attention_scores": True}),
    Row(
        "Attention",
        {"use_scale": True, "score_mode": "concat"},
        [Q, V, K],
        call={"mask": [Q_MASK, V_MASK]},
        dynamic=False,
    ),
    Row("Attention", {"score_mode": "concat"}, [Q, V]),
    Row("Attention", {"dropout": 0.3, "seed": 1}, [Q, V], call={"mask": [None, V_MASK]}, dynamic=False),
    Row("AdditiveAttention", {}, [Q, V]),
    Row("AdditiveAttention", {"use_scale": False}, [Q, V, K], call={"mask": [Q_MASK, V_MASK]}, dynamic=False),
    Row("AdditiveAttention", {"dropout": 0.3, "seed": 1}, [Q, V], call={"return_attention_scores": True}),
    *with_heads("MultiHeadAttention", HEADS),
    Row("MultiHeadAttention", {**HEADS, "value_dim": 5, "output_shape": 7, "use_gate": True}, Q, call={"value": V}),
    Row("MultiHeadAttention", {**HEADS, "output_shape": (2, 3)}, Q, call={"value": V}),
    Row("MultiHeadAttention", {**HEADS, "attention_axes": [2]}, floats(2, 3, 4, 5), call={"value": floats(2, 3, 4, 5)}),
    Row(
        "MultiHeadAttention",
        HEADS,
        floats(2, 3, 4, 5),
        call={"value": floats(2, 2, 3, 5)},
    ),
    *with_heads("GroupQueryAttention", GROUPS),
    Row("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c"}, floats(2, 5)),
    Row("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 6), "activation": "relu"}, floats(2, 3, 4)),
    Row("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 6, "bias_axes": "y"}, floats(2, 3, 4)),
    Row("EinsumDense", {"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de"}, floats(2, 3, 4)),
    Row("EinsumDense", {"equation": "abcd,be->ace", "output_shape": (3, 6), "bias_axes": "ce"}, floats(2, 5, 3, 4)),
    Row("EinsumDense", {"equation": "ab...,bc->ac...", "output_shape": (6,), "bias_axes": "c"}, floats(2, 5, 3)),
    Row("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (3, 7), "bias_axes": "b"}, floats(2, 3, 4)),
    Row("EinsumDense", {"equation": "abc,cd->adb", "output_shape": (7, 3), "bias_axes": "db"}, floats(2, 3, 4)),
]
