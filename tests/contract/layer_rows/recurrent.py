"""Rows of the layer contract: recurrent layers and their cells.

Stateful layers, layers that draw dropout masks, and cells inside `RNN` have tests in tests/layers/test_recurrent.py:
a row's two layers start from different weights, so their states would differ.
"""

import numpy as np

from tests.contract.rows import Row, floats

MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]], "bool")
X = floats(3, 5, 4)
# Rows that are given states are not `dynamic`: the states fix the size of the batch.


def states(count: int) -> list:
    return [floats(3, 2) + place for place in range(count)]


def family(layer: str, count: int) -> list[Row]:
    """The rows that each recurrent layer has; `count` is how many states it has."""
    units = {"units": 2}
    everything = {"units": 2, "return_sequences": True, "return_state": True}
    return [
        Row(layer, units, X),
        Row(layer, {**everything, "go_backwards": True}, X),
        Row(layer, everything, X, call={"mask": MASK}),
        Row(layer, {**units, "go_backwards": True, "zero_output_for_mask": True}, X, call={"mask": MASK}),
        Row(
            layer,
            {**everything, "zero_output_for_mask": True},
            X,
            call={"mask": MASK, "initial_state": states(count)},
            dynamic=False,
        ),
        Row(layer, {**units, "unroll": True, "return_sequences": True}, X, call={"mask": MASK}),
        Row(layer, {**units, "activation": "relu", "use_bias": False, "return_sequences": True}, X),
        Row(layer, {**everything, "activation": "softsign", "bias_initializer": "ones"}, X, call={"mask": MASK}),
        Row(layer, {**units, "dropout": 0.3, "recurrent_dropout": 0.2}, X, training=(False,)),
        Row(layer, {**units, "kernel_regularizer": "l2", "recurrent_regularizer": "l1"}, X),
    ]


ROWS = [
    *family("SimpleRNN", 1),
    *family("LSTM", 2),
    Row("LSTM", {"units": 2, "recurrent_activation": "hard_sigmoid", "unit_forget_bias": False}, X),
    Row("LSTM", {"units": 2, "activity_regularizer": "l2"}, X),  # the reference's SimpleRNN forgets this one
    *family("GRU", 1),
    Row("GRU", {"units": 2, "reset_after": False, "return_sequences": True}, X, call={"mask": MASK}),
    Row("GRU", {"units": 2, "reset_after": False, "use_bias": False}, X),
    Row("SimpleRNNCell", {"units": 2}, floats(3, 4), call={"states": states(1)}, dynamic=False),
    Row("LSTMCell", {"units": 2}, floats(3, 4), call={"states": states(2)}, dynamic=False),
    Row("GRUCell", {"units": 2}, floats(3, 4), call={"states": states(1)}, dynamic=False),
    Row("GRUCell", {"units": 2, "reset_after": False}, floats(3, 4), call={"states": states(1)}, dynamic=False),
]
