"""The data sets that travel with the library."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from nyala.datasets import digits


@pytest.mark.parametrize(
    ("part", "images_shape", "images_sum", "label_counts"),
    [
        # The sums and counts were taken from the original data.
        (0, (1437, 8, 8), 449_372, [143, 146, 142, 146, 144, 145, 144, 143, 141, 143]),
        (1, (360, 8, 8), 112_346, [35, 36, 35, 37, 37, 37, 37, 36, 33, 37]),
    ],
    ids=["train", "test"],
)
def test_digits_are_the_original_ones(part, images_shape, images_sum, label_counts):
    images, labels = digits.load_data()[part]
    assert images.shape == images_shape
    assert labels.shape == images_shape[:1]
    assert images.dtype == labels.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 16)
    assert int(images.sum()) == images_sum
    assert np.bincount(labels).tolist() == label_counts


def test_digits_come_fresh_with_every_call():
    (images, _), _ = digits.load_data()
    images[:] = 99
    assert digits.load_data()[0][0].max() == 16


def test_digits_need_no_tensorflow():
    program = "import sys, nyala.datasets.digits as d; d.load_data(); print('tensorflow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
