"""Small helpers around training: arrays, pictures, sequences, downloads."""

from __future__ import annotations

from nyala.backend import clear_session, is_keras_tensor, standardize_dtype
from nyala.training.feeds import pack_x_y_sample_weight, unpack_x_y_sample_weight
from nyala.utils.arrays import normalize, to_categorical
from nyala.utils.dataset import PyDataset
from nyala.utils.downloads import get_file
from nyala.utils.images import array_to_img, img_to_array, load_img, save_img
from nyala.utils.progress import Progbar
from nyala.utils.seeds import set_random_seed
from nyala.utils.sequences import pad_sequences, timeseries_dataset_from_array
from nyala.utils.splitting import split_dataset

Sequence = PyDataset

__all__ = [
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "clear_session",
    "get_file",
    "img_to_array",
    "is_keras_tensor",
    "load_img",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "save_img",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
