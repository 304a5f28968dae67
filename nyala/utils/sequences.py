"""Sequences: padding them to one length, and windows over a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nyala.core.engine import tf


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Sequences of several lengths as one array: (N, maxlen, …), where None is the length of the longest.

    Short ones get `value` in front (`padding="pre"`) or behind (`"post"`); long ones lose their first (`truncating=
    "pre"`) or last entries (`"post"`). Raises ValueError for what is no list of sequences and where entries differ in
    shape.

    Example:
        >>> import nyala
        >>> nyala.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], maxlen=2).tolist()
        [[0, 1], [2, 3], [5, 6]]
    """
    for argument, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"`pad_sequences` takes {argument} as 'pre' or 'post', but got {side!r}.")
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"`pad_sequences` takes a list of sequences, but got {type(sequences).__name__}.")
    for place, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ValueError(f"`pad_sequences` takes a list of sequences, but entry {place} is {sequence!r}.")
    if isinstance(value, str) and np.dtype(dtype).kind not in "OSU":
        raise ValueError(f"`pad_sequences` cannot write {value!r} into {dtype}; pass dtype=object for strings.")
    longest = max(map(len, sequences), default=0)
    length = longest if maxlen is None else maxlen
    inner = next((np.shape(sequence)[1:] for sequence in sequences if len(sequence)), ())
    padded = np.full((len(sequences), length, *inner), value, dtype)
    for place, sequence in enumerate(sequences):
        count = min(len(sequence), length)
        if not count:
            continue
        kept = np.asarray(sequence[:count] if truncating == "post" else sequence[-count:], dtype)
        if kept.shape[1:] != inner:
            raise ValueError(
                f"`pad_sequences` takes entries of one shape, but those of sequence {place} have the shape "
                f"{kept.shape[1:]} and others {inner}."
            )
        padded[place, slice(count) if padding == "post" else slice(length - count, None)] = kept
    return padded


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Any:
    """Windows over a series as a `tf.data.Dataset`: data (T, …) → batches (N, sequence_length, …).

    A window starts every `sequence_stride` entries and takes every `sampling_rate`-th one. With `targets`, batches are
    pairs: the target of a window is the one at the index of its first entry. `start_index` and `end_index` bound the
    data. Without `batch_size`, the windows come one by one. Raises ValueError for numbers that fit no window.

    Example:
        >>> import nyala
        >>> windows = nyala.utils.timeseries_dataset_from_array(list(range(5)), None, sequence_length=3)
        >>> [batch.numpy().tolist() for batch in windows]
        [[[0, 1, 2], [1, 2, 3], [2, 3, 4]]]
    """
    if format != "tf":
        raise ValueError(f"Windows come as a `tf.data.Dataset`, format='tf', but got format={format!r}.")
    start, end = _bounds(len(data), start_index, end_index)
    for argument, number in (
        ("sequence_length", sequence_length),
        ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
    ):
        most = None if argument == "sequence_length" else len(data)
        if number <= 0 or (most is not None and number >= most):
            limit = "a positive integer" if most is None else f"an integer from 1 to {most - 1}"
            raise ValueError(f"{argument} must be {limit} here, but got {number!r}.")
    count = end - start - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(targets) - start)
    starts = start + np.arange(0, max(count, 0), sequence_stride, dtype="int64")
    seed = int(np.random.randint(1_000_000)) if seed is None and shuffle else seed
    if shuffle:
        np.random.RandomState(seed).shuffle(starts)
    return _windows(data, targets, starts, np.arange(sequence_length) * sampling_rate, batch_size, shuffle, seed)


def _bounds(length: int, start: int | None, end: int | None) -> tuple[int, int]:
    """Where the data begins and ends, checked."""
    if start is not None and not 0 <= start < length:
        raise ValueError(f"start_index must lie from 0 to {length - 1}, within the data, but got {start}.")
    first = start or 0
    if end is not None and (end < 0 or end > length or (start is not None and end <= start)):
        raise ValueError(f"end_index must lie behind start_index, {first}, and not beyond {length}, but got {end}.")
    return first, length if end is None else end


def _windows(
    data: Any, targets: Any, starts: Any, steps: Any, batch_size: int | None, shuffle: bool, seed: int | None
) -> Any:
    data = tf.convert_to_tensor(data)
    targets = None if targets is None else tf.convert_to_tensor(targets)

    def look(start: Any) -> Any:
        window = tf.gather(data, tf.expand_dims(start, -1) + steps)  # (N, sequence_length, …)
        return window if targets is None else (window, tf.gather(targets, start))

    dataset = tf.data.Dataset.from_tensor_slices(starts)
    if shuffle:
        dataset = dataset.shuffle(1024 if batch_size is None else batch_size * 8, seed=seed)
    if batch_size is not None:
        dataset = dataset.batch(batch_size)  # indices are batched first, so that a batch is one look-up
    return dataset.map(look, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
