"""Small helpers around training."""

from __future__ import annotations

from nyala.backend import clear_session, is_keras_tensor, standardize_dtype
from nyala.training.feeds import pack_x_y_sample_weight, unpack_x_y_sample_weight
from nyala.utils.arrays import normalize, to_categorical
from nyala.utils.dataset import PyDataset
from nyala.utils.seeds import set_random_seed

Sequence = PyDataset

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "is_keras_tensor",
    "normalize",
    "pack_x_y_sample_weight",
    "set_random_seed",
    "standardize_dtype",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
