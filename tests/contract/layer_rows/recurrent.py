"""Rows of the layer contract: recurrent layers and their cells.

Stateful layers, layers that draw dropout masks, and cells inside `RNN` have tests in tests/layers/test_recurrent.py:
a row's two layers start from different weights, so their states would differ.
"""

from dataclasses import replace

import numpy as np

from tests.contract.rows import Row, floats

MASK = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]], "bool")
X = floats(3, 5, 4)
# The oracle cannot draw an orthogonal matrix in bfloat16; tests/layers/test_wrappers.py has the default initializer.
PLAIN = {"units": 2, "recurrent_initializer": "glorot_uniform"}
OF_EACH = (0, 2, 6)  # rows that show the formulas of a layer: plain, with a mask, without biases
# Rows that are given states are not `dynamic`: the states fix the size of the batch.


# Convolutional LSTMs: channels_first, which the oracle lacks on a CPU, has a test in tests/layers/test_conv_lstm.py.
CONV = {"filters": 2, "kernel_size": 2, "recurrent_initializer": "glorot_uniform"}
EVERYTHING = {"return_sequences": True, "return_state": True}
C1, C2, C3 = floats(3, 3, 4, 2), floats(3, 3, 4, 3, 2), floats(3, 2, 3, 2, 2, 1)
CONV_MASK = MASK[:, 1:4]


def states(count: int, *spatial: int) -> list:
    return [floats(3, *spatial, 2) + place for place in range(count)]


def family(layer: str, count: int) -> list[Row]:
    """The rows that each recurrent layer has; `count` is how many states it has."""
    units = PLAIN
    everything = {**PLAIN, "return_sequences": True, "return_state": True}
    rows = [
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
    # One loop runs all three: what it does with each argument, the rows of LSTM show. Whose oracle stumbles over an
    # empty batch.
    return [
        replace(row, empty=layer != "LSTM", slow=layer != "LSTM" and place not in OF_EACH)
        for place, row in enumerate(rows)
    ]


ROWS = [
    *family("SimpleRNN", 1),
    *family("LSTM", 2),
    Row("LSTM", {**PLAIN, "recurrent_activation": "hard_sigmoid", "unit_forget_bias": False}, X, empty=False),
    Row("LSTM", {**PLAIN, "activity_regularizer": "l2"}, X, empty=False),  # the reference's SimpleRNN forgets this one
    *family("GRU", 1),
    Row("GRU", {**PLAIN, "reset_after": False, "return_sequences": True}, X, call={"mask": MASK}),
    Row("GRU", {**PLAIN, "reset_after": False, "use_bias": False}, X),
    Row("ConvLSTM1D", {**CONV, "kernel_regularizer": "l2", "activity_regularizer": "l1"}, C1),
    Row("ConvLSTM1D", {**CONV, **EVERYTHING, "padding": "same", "dilation_rate": 2}, C1, call={"mask": CONV_MASK}),
    Row("ConvLSTM2D", {**CONV, "strides": 2, "padding": "same", "go_backwards": True, "use_bias": False}, C2),
    Row(
        "ConvLSTM2D",
        {**CONV, **EVERYTHING, "kernel_size": (1, 3), "activation": "relu", "unit_forget_bias": False},
        C2,
        call={"mask": CONV_MASK, "initial_state": states(2, 4, 1)},
        dynamic=False,
    ),
    Row("ConvLSTM3D", CONV, C3),
    Row("SimpleRNNCell", PLAIN, floats(3, 4), call={"states": states(1)}, dynamic=False),
    Row("LSTMCell", PLAIN, floats(3, 4), call={"states": states(2)}, dynamic=False),
    Row("GRUCell", PLAIN, floats(3, 4), call={"states": states(1)}, dynamic=False),
    Row("GRUCell", {**PLAIN, "reset_after": False}, floats(3, 4), call={"states": states(1)}, dynamic=False),
]
