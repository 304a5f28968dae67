"""A data set in two parts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from nyala.core import tree
from nyala.core.engine import tf


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Any, Any]:
    """The first and the last entries of a data set, each part as a `tf.data.Dataset`.

    `dataset` is an array, a tensor, a structure of those or a `tf.data.Dataset`, which is read into memory; one that
    ends in `batch` is split by entries, and its parts are batched again. Sizes are a number of entries or a share
    between 0 and 1; one that is missing is the rest. `preferred_backend` changes nothing: there is one engine. Raises
    ValueError for sizes that leave a part empty or do not fit, TypeError for other data.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> left, right = nyala.utils.split_dataset(np.arange(5), left_size=0.4)
        >>> [int(x) for x in left], [int(x) for x in right]
        ([0, 1], [2, 3, 4])
    """
    batch_size = getattr(dataset, "_batch_size", None)
    entries = _in_memory(dataset if batch_size is None else dataset.unbatch())
    lengths = {len(array) for array in tree.flatten(entries)}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"A data set to split has as many entries in all its arrays, at least 2, but got {lengths}.")
    total = lengths.pop()
    left, right = _sizes(left_size, right_size, total)
    order = list(range(total))
    if shuffle:
        random.Random(random.randint(0, 10**6) if seed is None else seed).shuffle(order)

    def part(places: list[int]) -> Any:
        chosen = tf.data.Dataset.from_tensor_slices(tree.map_structure(lambda array: array[places], entries))
        return chosen if batch_size is None else chosen.batch(batch_size)

    return part(order[:left]), part(order[total - right :])


def _in_memory(dataset: Any) -> Any:
    """The entries as a structure of arrays, stacked along the first axis. Pairs are tuples: lists are no structure there."""
    if isinstance(dataset, tf.data.Dataset):
        entries = list(dataset.as_numpy_iterator())
        if not entries:
            raise ValueError("A data set to split has at least 2 entries, but got an empty one.")
        return tree.map_structure(lambda *values: np.stack(values), *entries)
    structure = tuple(dataset) if isinstance(dataset, list) else dataset
    for leaf in tree.flatten(structure):
        if not isinstance(leaf, (np.ndarray, tf.Tensor)) or not leaf.ndim:
            raise TypeError(
                f"`split_dataset` takes arrays, structures of arrays or a `tf.data.Dataset`, but got {leaf!r}."
            )
    return tree.map_structure(np.asarray, structure)


def _sizes(left: float | None, right: float | None, total: int) -> tuple[int, int]:
    """How many entries go to either side."""
    if left is None and right is None:
        raise ValueError("`split_dataset` needs left_size, right_size or both, but got neither.")
    first, last = _count("left_size", left, total), _count("right_size", right, total)
    first = total - (last or 0) if first is None else first
    last = total - first if last is None else last
    if not first or not last or first + last > total:
        raise ValueError(
            f"left_size={left} and right_size={right} of {total} entries make parts of {first} and {last}; each must "
            f"have at least one, both together at most {total}."
        )
    return first, last


def _count(name: str, size: float | None, total: int) -> int | None:
    """A size, a number of entries or a share, as a number of entries."""
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float, np.number)):
        raise TypeError(f"{name} is a number of entries or a share between 0 and 1, but got {size!r}.")
    whole = isinstance(size, (int, np.integer))
    if not 0 < size < (total if whole else 1):
        raise ValueError(
            f"{name} is a number of entries from 1 to {total - 1} or a share between 0 and 1, but got {size!r}."
        )
    return int(size) if whole else round(float(size) * total)
