"""Feeds: where batches come from.

*Resident*: arrays that lie on the device whole; a batch is gathered there. *Large*: arrays that stay where they are, in
memory or in a file, while batches are gathered from them. *Dataset*: a `tf.data` iterator that the device asks itself.
*Streamed*: any Python iterable of batches. The batches of the last two Python kinds come side by side, read ahead.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.core.engine import tf
from nyala.training.arrays import (  # noqa: F401 - names that other modules look for here
    as_arrays,
    fits_in_memory,
    is_arrays,
    kept_dtype,
    pack_x_y_sample_weight,
    row_count,
    split_rows,
    take_rows,
    trimmed,
    unpack_x_y_sample_weight,
)
from nyala.training.distribution import agreed
from nyala.training.streams import Chunk, Reader
from nyala.training.workers import batches_by_number


def batch_specs(batch: Any) -> Any:
    """The types of a batch of tensors, or of arrays or types that become some, with the number of rows left open."""

    def spec(a: Any) -> Any:
        if a is None:
            return None
        if isinstance(a, (tf.SparseTensor, tf.RaggedTensor)):
            a = tf.type_spec_from_value(a)
        if isinstance(a, tf.SparseTensorSpec):
            return tf.SparseTensorSpec([None, *a.shape[1:]], a.dtype)
        if isinstance(a, tf.RaggedTensorSpec):
            return tf.RaggedTensorSpec([None, *a.shape[1:]], a.dtype, a.ragged_rank, a.row_splits_dtype)
        dtype = kept_dtype(a.dtype) if isinstance(a, np.ndarray) else a.dtype
        return tf.TensorSpec([None, *a.shape[1:]] if len(a.shape) else [], dtype)

    return tree.map_structure(spec, batch)


def as_tensors(batch: Any) -> Any:
    """A batch with each part a tensor; sparse and ragged ones stay what they are."""

    def convert(a: Any) -> Any:
        return a if a is None or tensor.is_tensor_like(a) else tf.convert_to_tensor(a)

    return tree.map_structure(convert, batch)


class Feed:
    """Gives batches; `kind` tells a plan how to take them."""

    kind = ""
    batches: int | None = None  # in an epoch, where that is known
    specs: Any = None  # of a batch, where they are known before it comes
    usual_rows: int | None = None  # of a batch, where that is known

    def __init__(self) -> None:
        self.passes = 0  # how often the data was begun
        self.taken = 0  # batches since then
        self.skipping = 0  # of which an earlier process took so many
        self.ended = False  # whether the pass was seen to end
        self.continued = False  # whether no batch was taken since an epoch went on where the last one stopped
        self.chunk_length = 1  # batches that fill a fraction of a second, as far as earlier chunks have shown

    def start_epoch(self) -> None:
        """Begin anew."""
        self.passes += 1
        self.taken = self.skipping = 0
        self.ended = self.continued = False

    def expect(self, batches: int | None) -> None:
        """Take note of how many batches are to be taken until the end of the epoch; None: all that come."""

    def end_epoch(self) -> None:
        """Called behind the last batch of an epoch."""

    def close(self) -> None:
        """Called when something went wrong: let go of what works ahead."""

    def state(self) -> dict[str, Any]:
        """The place in the data."""
        return {"passes": self.passes, "taken": self.taken}

    def resume(self, state: dict[str, Any]) -> None:
        """Go to the place that `state` gave; then an epoch starts, or continues."""
        self.passes = state["passes"] - 1
        self.start_epoch()
        self.taken = self.skipping = state["taken"]

    def continue_epoch(self) -> None:
        """Go on where the last epoch stopped, as `steps_per_epoch` wants it, or where an earlier process stopped."""
        if self.passes == 0 or self.ended:
            self.start_epoch()
        self.continued = True
        for _ in range(self.skipping):
            self.skip()
        self.skipping = 0

    def skip(self) -> None:
        """Leave out a batch; nothing to do where batches are counted."""


class ResidentFeed(Feed):
    """Arrays that lie on the device; an epoch is an order of their rows, drawn there."""

    kind = "resident"

    def __init__(self, data: Any, batch_size: int, shuffle: bool = False) -> None:
        super().__init__()
        self.rows = row_count(data)
        if batch_size is None or isinstance(batch_size, bool) or int(batch_size) != batch_size or batch_size < 1:
            raise ValueError(f"batch_size must be a positive integer, but got {batch_size!r}.")
        self.batch_size = self.usual_rows = int(batch_size)
        self.batches = -(-self.rows // self.batch_size)
        self.host = data
        self.shuffle = shuffle
        # One draw a feed; each epoch's order follows from it, whoever else draws meanwhile.
        self.seed = agreed(int(np.random.randint(0, 2**31 - 1))) if shuffle else 0
        self.order: Any = None
        self._hold(data)

    def _hold(self, data: Any) -> None:
        self.specs = batch_specs(data)

    @functools.cached_property
    def arrays(self) -> Any:
        """The data on the device; it goes there when a plan first asks for it."""
        return as_tensors(self.host)

    def start_epoch(self) -> None:
        super().start_epoch()
        if self.shuffle:
            self.order = permutation(self.rows, self.seed, self.passes - 1)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "seed": self.seed}

    def resume(self, state: dict[str, Any]) -> None:
        self.seed = state["seed"]
        super().resume(state)

    @property
    def full_batches(self) -> int:
        """How many batches have all their rows; at most one more has fewer."""
        return self.rows // self.batch_size


_compiled: dict[str, Any] = {}


def permutation(count: int, seed: int, number: int) -> Any:
    """The numbers from 0 to `count - 1` in an order that follows from the seed and a number."""
    if "permutation" not in _compiled:
        _compiled["permutation"] = tf.function(
            lambda rows, seed: tf.random.experimental.stateless_shuffle(tf.range(rows), seed, alg="philox"),
            input_signature=[tf.TensorSpec([], "int32"), tf.TensorSpec([2], "int32")],
            autograph=False,
        )
    return _compiled["permutation"](tf.constant(count), tf.constant([seed, number]))


class LargeFeed(ResidentFeed):
    """Arrays that stay where they lie; the same batches in the same order, gathered ahead of the device."""

    kind = "large"

    def _hold(self, data: Any) -> None:
        self.data = tree.map_structure(lambda a: a.numpy() if isinstance(a, tf.Tensor) else a, data)
        self.specs = batch_specs(self.data)
        self.reader: Reader | None = None
        self.place = 0  # of the reader

    def start_epoch(self) -> None:
        super().start_epoch()
        self.reader = None

    def chunk(self, first: int, most: int) -> Chunk | None:
        """Up to `most` batches from batch `first` on."""
        if self.reader is None or self.place != first:
            order = None if self.order is None else self.order.numpy()
            self.reader = Reader(_gathered(self.data, order, self.batch_size, range(first, self.batches or 0)))
        chunk = self.reader.take(most, None)
        self.place = first + (chunk.count if chunk else 0)
        return chunk


def _gathered(data: Any, order: Any, size: int, places: range) -> Iterator[Any]:
    rows = row_count(data)
    for place in places:
        part = slice(place * size, min((place + 1) * size, rows))
        chosen, part = (np.arange(rows)[part], part) if order is None else (order[part], None)
        yield tree.map_structure(lambda a: None if a is None else take_rows(a, chosen, part), data)  # noqa: B023


class DatasetFeed(Feed):
    """A `tf.data.Dataset` of batches; the device asks its iterator."""

    kind = "dataset"

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self.dataset = dataset
        cardinality: Any = dataset.cardinality
        cardinality = cardinality() if callable(cardinality) else cardinality  # of a distributed one it is no method
        size = int(cardinality)
        self.batches = None if size < 0 else size
        self.infinite = size == -1
        spec = self._spec()
        for leaf in tree.flatten(spec):
            if getattr(leaf, "shape", None) is not None and leaf.shape.rank == 0:
                raise ValueError(
                    f"The dataset gives single rows (element_spec {spec}), not batches; call `.batch(32)` on it."
                )
        self.specs = batch_specs(spec)
        self.iterator: Any = None

    def start_epoch(self) -> None:
        super().start_epoch()
        self.iterator = iter(self.dataset)

    def resume(self, state: dict[str, Any]) -> None:
        for _ in range(state["passes"] - 1):
            iter(self.dataset)  # a dataset that shuffles takes another order for each
        super().resume(state)

    def _spec(self) -> Any:
        return self.dataset.element_spec

    def skip(self) -> None:
        next(self.iterator)


class DistributedFeed(DatasetFeed):
    """A dataset that a strategy of `tf.distribute` has shared out among its replicas: a batch comes in parts."""

    def _spec(self) -> Any:
        return tree.map_structure(lambda spec: getattr(spec, "_value_specs", (spec,))[0], super()._spec())


class StreamedFeed(Feed):
    """Batches from Python: a generator, a `PyDataset`, any iterable or sequence of batches.

    A source, or the iterator it makes, may tell by `get_state` what of it changes, and take it back by `set_state`. What
    it told behind the last batch that was trained on is what a backup keeps. A sequence then goes on by number; an
    iterator with a state of its own goes on from there; of any other pass the first batches are drawn again.
    """

    kind = "streamed"

    def __init__(self, source: Any, shuffle: bool = False, transform: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.source, self.transform = source, transform
        self.is_iterator = isinstance(source, Iterator)
        by_number = hasattr(source, "__getitem__") and (hasattr(source, "num_batches") or hasattr(source, "__len__"))
        self.is_sequence = by_number and (hasattr(source, "on_epoch_end") or not isinstance(source, Iterable))
        self.batches = _length(source)
        self.shuffle = shuffle and self.is_sequence and self.batches is not None
        draws = self.shuffle or bool(getattr(source, "use_multiprocessing", False))
        self.seed = agreed(int(np.random.randint(0, 2**31 - 1))) if draws else 0
        self.reader: Reader | None = None
        self.last: Chunk | None = None  # what was handed over
        self.usual_shapes: Any = None  # of the first batch that was
        self.handed = 0  # batches of this pass; of all passes where the source is an iterator
        self.remaining: int | None = None  # batches until the end of the epoch, where that is known
        self._inside = False  # whether an epoch is under way
        self._state: Any = None  # of the source, behind the batches that were handed over
        self._state_before: Any = None  # of the source, before its pass
        self._resumed: dict[str, Any] | None = None

    # ---- Epochs ----

    def start_epoch(self) -> None:
        taken, self.remaining = self.taken, None
        if self.is_iterator:
            super().start_epoch()
            self.taken = taken  # there is but one pass
        self._begin()
        self._open() if self.is_iterator else self._start_pass()

    def _start_pass(self) -> None:
        super().start_epoch()
        self._resumed, self.handed = None, 0
        self._drop_reader()
        self._open()

    def continue_epoch(self) -> None:
        if self.passes == 0 or (self.ended and not self.is_iterator):
            self.start_epoch()
            return
        self.continued = True
        if self._resumed is None or not self._resumed["inside"]:
            self._begin()
        self._open()

    def end_epoch(self) -> None:
        """Tell a source that wants to know, as `PyDataset` does."""
        self._inside = False
        if self.is_sequence:
            self._drop_reader()  # what comes next may be another batch by then
        if hasattr(self.source, "on_epoch_end"):
            if self.reader is not None:
                self.reader.stop()
            self.source.on_epoch_end()
            self._state = _state_of(self.source)

    def expect(self, batches: int | None) -> None:
        self.remaining = batches

    def close(self) -> None:
        """Read no further; what was read from an iterator stays for whoever reads it next."""
        if self.reader is not None and self.is_iterator:
            self.reader.stop(wait=False)
        elif self.reader is not None:
            self.reader.close(wait=False)
            self.reader = None

    def _begin(self) -> None:
        self._inside = True
        if hasattr(self.source, "on_epoch_begin"):
            self.source.on_epoch_begin()

    def _drop_reader(self) -> None:
        if self.reader is not None:
            self.reader.close() if self.is_sequence else self.reader.stop()
        self.reader = None

    def _open(self) -> None:
        """Make the iterator of the pass, at its place, where there is none yet."""
        if self.reader is not None:
            return
        resumed, self._resumed = self._resumed, None
        if self.is_sequence:
            self._read(batches_by_number(self.source, self._places(), (self.seed, self.passes)), self.source)
            return
        if resumed is not None and not self.is_iterator:
            _set_state(self.source, resumed["before"])
        self._state_before = None if self.is_iterator else _state_of(self.source)
        iterator = self.source if self.is_iterator else iter(self.source)
        self._read(iterator, iterator if hasattr(iterator, "get_state") else self.source)
        if resumed is not None and hasattr(iterator, "set_state"):
            _set_state(iterator, resumed["source"])
        elif resumed is not None:
            self.reader.skip(self.handed)  # type: ignore[union-attr]

    def _read(self, iterator: Any, keeper: Any) -> None:
        self._state = _state_of(keeper)
        self.reader = Reader(iterator, getattr(keeper, "get_state", None), self.transform)

    def _places(self) -> Iterable[int]:
        """The numbers of the batches that are still to come in this pass."""
        count = _length(self.source)
        if count is None:
            return itertools.count(self.handed)
        order = permutation(count, self.seed, self.passes - 1).numpy().tolist() if self.shuffle else range(count)
        return order[self.handed :]

    # ---- Batches ----

    def take(self, most: int) -> tuple[Any, int]:
        """Up to `most` batches of one shape side by side, and how many they are; None and 0 at the end."""
        assert self.reader is not None
        chunk = self.reader.take(most, self.remaining)
        if chunk is None and self.continued and not self.is_iterator:  # the last epoch took the last batch of its pass
            self._start_pass()
            chunk = self.reader.take(most, self.remaining)
        self.ended, self.continued, self.last = chunk is None, False, chunk
        if chunk is None:
            return None, 0
        self.usual_shapes = self.usual_shapes or chunk.shapes
        self.handed += chunk.count
        self.remaining = None if self.remaining is None else self.remaining - chunk.count
        self._state = chunk.state
        return chunk.view(), chunk.count

    def peek(self) -> Any:
        """The types of the next batch; None where there is none."""
        self._open()
        assert self.reader is not None
        batch = self.reader.peek()
        return None if batch is None else batch_specs(as_tensors(batch))

    # ---- Exact resume ----

    def state(self) -> dict[str, Any]:
        mine = {"seed": self.seed, "handed": self.handed, "inside": self._inside}
        return {**super().state(), **mine, "source": _packed(self._state), "before": _packed(self._state_before)}

    def resume(self, state: dict[str, Any]) -> None:
        self._drop_reader()
        self.passes, self.taken = state["passes"], state["taken"]
        self.seed, self.handed = state["seed"], state["handed"]
        _set_state(self.source, state["source"])
        self._resumed = state


def _length(source: Any) -> int | None:
    if hasattr(source, "num_batches"):
        return source.num_batches  # None for data without end
    try:
        return len(source)
    except TypeError:
        return None


def _state_of(keeper: Any) -> Any:
    return keeper.get_state() if hasattr(keeper, "get_state") else None


def _set_state(keeper: Any, state: Any) -> None:
    if state is not None and hasattr(keeper, "set_state"):
        keeper.set_state(bytes(state["bytes"]) if isinstance(state, dict) and set(state) == {"bytes"} else state)


def _packed(state: Any) -> Any:
    """A state as a backup can hold it: that of some loaders is a string of bytes."""
    return {"bytes": np.frombuffer(state, "uint8")} if isinstance(state, bytes) else state


def make_feed(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool = False,
    transform: Callable[[Any], Any] | None = None,
) -> Feed:
    """The feed for what was passed as data; a ValueError or TypeError where it is no data.

    `transform` is called on each batch of a source in Python.
    """
    if isinstance(x, (tf.data.Dataset, tf.distribute.DistributedDataset)):
        _refuse(y, sample_weight, batch_size, "a tf.data.Dataset", "; batch the dataset itself")
        return DatasetFeed(x) if isinstance(x, tf.data.Dataset) else DistributedFeed(x)
    if x is not None and is_arrays(x):
        data = trimmed((as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight")))
        kind = ResidentFeed if _fits(data) else LargeFeed
        return kind(data, 32 if batch_size is None else batch_size, bool(shuffle))
    if isinstance(x, Iterable) or hasattr(x, "__getitem__"):
        _refuse(y, sample_weight, batch_size, f"a {type(x).__name__}", "; its batches are as large as it makes them")
        return StreamedFeed(x, bool(shuffle), transform)
    raise TypeError(
        f"The data must be arrays, tensors, a data frame, a tf.data.Dataset, a generator or an iterable of batches, but "
        f"got {type(x).__name__}."
    )


def _fits(data: Any) -> bool:
    """Whether the device can hold the data whole: dense arrays, and not too large."""
    leaves = [leaf for leaf in tree.flatten(data) if leaf is not None]
    if any(isinstance(leaf, (tf.SparseTensor, tf.RaggedTensor)) for leaf in leaves):
        return False
    return fits_in_memory(sum(leaf.nbytes for leaf in leaves if isinstance(leaf, np.ndarray)))


def _refuse(y: Any, sample_weight: Any, batch_size: Any, source: str, cure: str) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"`{name}` comes with the batches of {source}, so it is not passed beside it.")
    if batch_size is not None:
        raise ValueError(f"batch_size does not go with {source}{cure}.")
