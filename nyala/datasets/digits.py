"""Handwritten digits in 8 by 8 pixels: small enough to travel with the library, so that nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.uint8]

_TRAIN_ROWS = 1_437


def load_data() -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
    """Load 1,797 handwritten digits, already split into a training and a test part.

    The rows keep the order of the original file: the first 1,437 (80 %) train, the last 360 test. Nothing is
    shuffled, so the split is the same everywhere; each digit makes up about a tenth of either part.

    Returns: `(x_train, y_train), (x_test, y_test)`. Images have shape (N, H, W) = (N, 8, 8) and whole values from
    0 (paper) to 16 (ink); labels have shape (N,) and values from 0 to 9; both are `uint8`.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998, CC BY 4.0. These are the rows of its test file, which 13 people wrote.

    Example:
        >>> from nyala.datasets import digits
        >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
        >>> x_train.shape, y_test.shape
        ((1437, 8, 8), (360,))
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]  # (N, H, W), (N,)
    return (images[:_TRAIN_ROWS], labels[:_TRAIN_ROWS]), (images[_TRAIN_ROWS:], labels[_TRAIN_ROWS:])
