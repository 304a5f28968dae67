"""Helpers on NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala.core.tensor import is_tensor_like


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Class numbers as one-hot rows: (N,) → (N, num_classes).

    Raises ValueError where a number has no place among `num_classes`.

    Example:
        >>> import nyala
        >>> nyala.utils.to_categorical([0, 2]).tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if is_tensor_like(x):
        from nyala.core.engine import tf

        depth = int(tf.reduce_max(x)) + 1 if num_classes is None else num_classes
        return tf.one_hot(tf.squeeze(x, -1) if x.shape.rank > 1 and x.shape[-1] == 1 else x, depth)
    labels = np.asarray(x, dtype="int64")
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"Class numbers go from 0 to {classes - 1} here, but x goes from {labels.min()} to {labels.max()}."
        )
    return (labels.reshape(*shape, 1) == np.arange(classes)).astype("float32")


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """`x` divided by its norm of that order along an axis; rows of zeros stay zeros.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.utils.normalize(np.array([[3.0, 4.0]])).tolist()
        [[0.6, 0.8]]
    """
    norm = np.atleast_1d(np.linalg.norm(x, order, axis))
    norm[norm == 0] = 1
    return x / np.expand_dims(norm, axis)
