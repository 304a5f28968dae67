"""Padding, windows over series, and splitting, against the oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from nyala import utils
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

LISTS = [[1], [2, 3], [4, 5, 6]]
SERIES = np.arange(12)
PAIR = (np.arange(10.0), np.arange(20).reshape(10, 2))


def batches(dataset: Any) -> list[Any]:
    return [tf.nest.map_structure(lambda x: x.numpy(), batch) for batch in dataset]


# ---- Padding ----


def test_padding_equals_the_reference() -> None:
    sides = ("pre", "post")
    cases: list[tuple[Any, dict[str, Any]]] = [
        (LISTS, {"maxlen": length, "padding": padding, "truncating": truncating, "value": 1.5, "dtype": dtype})
        for length, padding, truncating, dtype in itertools.product((None, 1, 2, 4), sides, sides, ("int32", "float32"))
    ]
    cases += [([[], [1]], {}), ([[], []], {}), (((1,), (2, 3)), {}), (np.arange(4).reshape(2, 2), {"maxlen": 3})]
    cases += [([[[1, 2]], [[3, 4], [5, 6]]], {}), ([["a"], ["b", "cc"]], {"dtype": object, "value": "p"})]
    cases += [([["a"], ["b", "cc"]], {"dtype": "U3", "value": "p"}), ([[1.7], [2.2, 3.9]], {})]
    for sequences, options in cases:
        actual, expected = (lib.utils.pad_sequences(sequences, **options) for lib in (_ours(), keras))
        assert actual.dtype == expected.dtype
        assert actual.tolist() == expected.tolist(), (sequences, options)


def _ours() -> Any:
    import nyala

    return nyala


def test_padding_nothing() -> None:
    """The reference fails for both."""
    assert utils.pad_sequences([]).shape == (0, 0)
    assert utils.pad_sequences(LISTS, maxlen=0).shape == (3, 0)


@pytest.mark.parametrize(
    ("sequences", "options", "message"),
    [
        (LISTS, {"padding": "left"}, "padding as 'pre' or 'post', but got 'left'"),
        (LISTS, {"truncating": "left"}, "truncating as 'pre' or 'post'"),
        (3, {}, "a list of sequences, but got int"),
        ([[1], 2], {}, "entry 1 is 2"),
        ([["a"]], {"value": "p"}, "pass dtype=object"),
        ([[[1, 2]], [[3, 4, 5]]], {}, "entries of one shape"),
    ],
)
def test_what_cannot_be_padded(sequences: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        utils.pad_sequences(sequences, **options)


# ---- Windows ----


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_stride": 2, "sampling_rate": 2, "start_index": 1},
        {"batch_size": 3},
        {"batch_size": None},
        {"start_index": 2, "end_index": 8},
        {"end_index": 0},
        {"shuffle": True, "seed": 1, "batch_size": None},
        {"shuffle": True, "seed": 3, "batch_size": 4},
    ],
)
def test_windows_equal_the_reference(options: dict[str, Any]) -> None:
    """The same windows in the same order, shuffled ones too; and more is known of their shape."""
    for data, targets in ((SERIES, None), (SERIES, SERIES * 10), (SERIES.reshape(12, 1), SERIES[:9])):
        ours = utils.timeseries_dataset_from_array(data, targets, 3, **options)
        theirs = keras.utils.timeseries_dataset_from_array(data, targets, 3, **options)
        assert ours.cardinality() == theirs.cardinality()
        assert_close(batches(ours), batches(theirs))
        first = ours.element_spec if targets is None else ours.element_spec[0]
        assert first.shape[-data.ndim] == 3


def test_series_of_tensors_and_lists() -> None:
    for data in (tf.constant(SERIES), SERIES.tolist()):
        (window, *_) = batches(utils.timeseries_dataset_from_array(data, None, 3))
        assert window.shape == (10, 3)
    assert batches(utils.timeseries_dataset_from_array(SERIES, None, 13)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_index": -1}, "start_index must lie from 0 to 11"),
        ({"start_index": 12}, "start_index must lie from 0 to 11"),
        ({"end_index": 13}, "not beyond 12, but got 13"),
        ({"start_index": 8, "end_index": 2}, "end_index must lie behind start_index, 8"),
        ({"sequence_stride": 0}, "sequence_stride must be an integer from 1 to 11"),
        ({"sampling_rate": 12}, "sampling_rate must be an integer from 1 to 11"),
        ({"sequence_length": 0}, "sequence_length must be a positive integer"),
        ({"format": "grain"}, "format='tf', but got format='grain'"),
    ],
)
def test_windows_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        utils.timeseries_dataset_from_array(SERIES, None, **{"sequence_length": 3, **options})


# ---- Splitting ----


@pytest.mark.parametrize(
    "sizes",
    [
        {"left_size": 0.3},
        {"left_size": 3},
        {"right_size": 0.25},
        {"right_size": 3},
        {"left_size": 3, "right_size": 0.2},
        {"left_size": 0.3, "shuffle": True, "seed": 1},
    ],
)
def test_parts_equal_the_reference(sizes: dict[str, Any]) -> None:
    entries = tf.data.Dataset.from_tensor_slices(PAIR)
    for data in (PAIR[1], PAIR, list(PAIR), entries, entries.batch(4)):
        ours, theirs = utils.split_dataset(data, **sizes), keras.utils.split_dataset(data, **sizes)
        for mine, expected in zip(ours, theirs, strict=True):
            assert mine.cardinality() == expected.cardinality()
            assert_close(batches(mine), batches(expected))


def test_parts_keep_dtypes_and_structures() -> None:
    data = {"a": np.arange(4, dtype="int8"), "b": (tf.range(4), np.array(["w", "x", "y", "z"]))}
    left, right = utils.split_dataset(data, left_size=0.5, preferred_backend="numpy")
    assert left.element_spec["a"].dtype == "int8"
    assert [batch["b"][1] for batch in batches(left) + batches(right)] == [b"w", b"x", b"y", b"z"]


@pytest.mark.parametrize(
    ("data", "sizes", "error", "message"),
    [
        (PAIR, {}, ValueError, "needs left_size, right_size or both"),
        (PAIR, {"left_size": 11}, ValueError, "from 1 to 9 or a share"),
        (PAIR, {"left_size": 1.0}, ValueError, "from 1 to 9 or a share"),
        (PAIR, {"right_size": -1}, ValueError, "right_size is a number of entries"),
        (PAIR, {"left_size": "half"}, TypeError, "but got 'half'"),
        (PAIR, {"left_size": 0.7, "right_size": 5}, ValueError, "both together at most 10"),
        (PAIR, {"left_size": 0.01}, ValueError, "parts of 0 and 10"),
        ((PAIR[0], PAIR[1][:5]), {"left_size": 1}, ValueError, "as many entries in all its arrays"),
        (np.zeros((0, 2)), {"left_size": 0.5}, ValueError, "at least 2, but got {0}"),
        (tf.data.Dataset.range(0), {"left_size": 0.5}, ValueError, "got an empty one"),
        ([1, 2, 3], {"left_size": 0.5}, TypeError, "takes arrays, structures of arrays"),
        (None, {"left_size": 0.5}, TypeError, "takes arrays, structures of arrays"),
        ((x for x in range(3)), {"left_size": 0.5}, TypeError, "takes arrays, structures of arrays"),
    ],
)
def test_what_cannot_be_split(data: Any, sizes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        utils.split_dataset(data, **sizes)
