"""One seed for everything that draws."""

from __future__ import annotations

import random

import numpy as np

from nyala.core.engine import tf
from nyala.random import reset_global_generator


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, so that the same program draws the same numbers. Raises ValueError for no integer.

    Example:
        >>> import nyala
        >>> nyala.utils.set_random_seed(1)
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"A seed is an integer of at least 0, but got {seed!r}.")
    random.seed(int(seed))
    np.random.seed(int(seed))
    tf.random.set_seed(int(seed))
    reset_global_generator()
