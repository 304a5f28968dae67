"""Layers: one file per family."""

from nyala import activations, constraints, initializers, ops, regularizers  # noqa: F401 - their names fill the tables
from nyala.core.layer import InputSpec, Layer
from nyala.layers.dense import Dense
from nyala.layers.embedding import Embedding, ReversibleEmbedding
from nyala.layers.input import Input, InputLayer
from nyala.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from nyala.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells

__all__ = [
    "Dense",
    "Embedding",
    "GRU",
    "GRUCell",
    "Input",
    "InputLayer",
    "InputSpec",
    "LSTM",
    "LSTMCell",
    "Layer",
    "RNN",
    "ReversibleEmbedding",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
]
