"""Feeds: where batches come from.

*Resident*: arrays that lie on the device whole; a batch is gathered there. *Dataset*: a `tf.data` iterator that the
device asks itself. *Streamed*: any Python iterable of batches; several of one shape are stacked for one device call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.core.engine import tf


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """A batch as `(x, y, sample_weight)`, with None for what it lacks.

    Example:
        >>> import nyala
        >>> nyala.utils.unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise ValueError(f"A batch is x, (x, y) or (x, y, sample_weight), but got {len(data)} parts.")
    x, y, sample_weight = [*data, None, None, None][:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """`x`, `(x, y)` or `(x, y, sample_weight)`, as much as is there.

    Example:
        >>> import nyala
        >>> nyala.utils.pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if sample_weight is not None:
        return (x, y, sample_weight)
    if y is not None:
        return (x, y)
    return (x,) if isinstance(x, (tuple, list)) else x


def trimmed(parts: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    """`(x, y, sample_weight)` without what is absent at its end: what a step of the user's own unpacks."""
    x, y, sample_weight = parts
    return (x, y, sample_weight) if sample_weight is not None else (x, y) if y is not None else (x,)


# ---- Arrays ----


def is_arrays(data: Any) -> bool:
    """Whether `data` is an array, a tensor, a data frame, or lists and dicts of them."""
    if isinstance(data, (list, tuple)):
        return len(data) > 0 and all(is_arrays(item) or isinstance(item, (bool, int, float)) for item in data)
    if isinstance(data, Mapping):
        return all(is_arrays(item) for item in data.values())
    return hasattr(data, "__array__") or tensor.is_tensor_like(data) or hasattr(data, "__tf_tensor__")


def as_arrays(data: Any, what: str) -> Any:
    """`data` with each part a NumPy array or tensor, floats as `floatx()`; a TypeError names what is no number."""
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {key: as_arrays(value, f"{what}[{key!r}]") for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        if data and all(isinstance(item, (bool, int, float, np.generic)) for item in tree.flatten(list(data))):
            return as_arrays(np.asarray(data), what)  # rows typed by hand
        return type(data)(as_arrays(item, f"{what}[{place}]") for place, item in enumerate(data))
    if tensor.is_tensor_like(data):
        return data
    array = data.to_numpy() if hasattr(data, "to_numpy") else np.asarray(data)
    if array.dtype == object:
        try:
            array = array.astype(tensor.floatx())
        except (TypeError, ValueError):
            raise TypeError(
                f"`{what}` holds Python objects instead of numbers (dtype object); make it an array of one number type, "
                "with rows of equal length."
            ) from None
    if array.dtype == np.float64 or (array.dtype == np.float32 and tensor.floatx() != "float32"):
        array = array.astype(tensor.floatx())
    return array


def row_count(data: Any, names: tuple[str, ...] = ("x", "y", "sample_weight")) -> int:
    """How many rows the parts of `data` have; a ValueError where they differ or there is none."""
    sizes: dict[str, int] = {}
    parts = dict(zip(names, data)) if isinstance(data, tuple) else {"x": data}
    for name, part in parts.items():
        for path, leaf in tree.flatten_with_path(part):
            if leaf is None:
                continue
            shape = tensor.static_shape(leaf)
            place = name + "".join(f"[{key!r}]" for key in path)
            if not shape:
                raise ValueError(f"`{place}` is a single number; the first axis must be the rows of the data.")
            sizes[place] = int(shape[0])  # pyright: ignore[reportArgumentType]
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ValueError(f"The parts of the data must have the same number of rows, but {found}.")
    count = next(iter(sizes.values()), 0)
    if count == 0:
        raise ValueError(f"The data is empty: `{next(iter(sizes), 'x')}` has no rows.")
    return count


def split_rows(data: Any, fraction: float) -> tuple[Any, Any]:
    """The data without its last rows, and these last rows: `fraction` of them, for validation."""
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split is a fraction between 0 and 1, but got {fraction}.")
    count = row_count(data)
    at = int(count * (1.0 - fraction))
    if at == 0 or at == count:
        raise ValueError(f"validation_split={fraction} of {count} rows leaves a part without rows.")

    def cut(rows: slice) -> Any:
        return tree.map_structure(lambda a: None if a is None else a[rows], data)

    return cut(slice(None, at)), cut(slice(at, None))


# ---- The three feeds ----


def batch_specs(batch: Any) -> Any:
    """The types of a batch of tensors, or of such types, with the number of rows left open."""

    def spec(a: Any) -> Any:
        if a is None or isinstance(a, (tf.SparseTensorSpec, tf.RaggedTensorSpec)):
            return a
        if isinstance(a, (tf.SparseTensor, tf.RaggedTensor)):
            return tf.type_spec_from_value(a)
        return tf.TensorSpec([None, *a.shape[1:]] if a.shape.rank else [], a.dtype)

    return tree.map_structure(spec, batch)


class Feed:
    """Gives batches; `kind` tells a plan how to take them."""

    kind = ""
    batches: int | None = None  # in an epoch, where that is known
    specs: Any = None  # of a batch, where they are known before it comes

    def __init__(self) -> None:
        self.passes = 0  # how often the data was begun
        self.taken = 0  # batches since then
        self.skipping = 0  # of which an earlier process took so many

    def start_epoch(self) -> None:
        """Begin anew."""
        self.passes += 1
        self.taken = self.skipping = 0

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
        if self.passes == 0:
            self.start_epoch()
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
        self.batch_size = int(batch_size)
        self.batches = -(-self.rows // self.batch_size)
        self.host = data
        self.arrays = tree.map_structure(lambda a: None if a is None else tf.convert_to_tensor(a), data)
        self.specs = batch_specs(self.arrays)
        self.shuffle = shuffle
        # One draw a feed; each epoch's order follows from it, whoever else draws meanwhile.
        self.seed = int(np.random.randint(0, 2**31 - 1)) if shuffle else 0
        self.order: Any = None

    def start_epoch(self) -> None:
        super().start_epoch()
        if self.shuffle:
            self.order = _permutation(tf.constant(self.rows), tf.constant([self.seed, self.passes - 1]))

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


def _permutation(rows: Any, seed: Any) -> Any:
    """The numbers from 0 to `rows - 1` in an order that follows from the seed."""
    if "permutation" not in _compiled:
        _compiled["permutation"] = tf.function(
            lambda rows, seed: tf.random.experimental.stateless_shuffle(tf.range(rows), seed, alg="philox"),
            input_signature=[tf.TensorSpec([], "int32"), tf.TensorSpec([2], "int32")],
            autograph=False,
        )
    return _compiled["permutation"](rows, seed)


class DatasetFeed(Feed):
    """A `tf.data.Dataset` of batches; the device asks its iterator."""

    kind = "dataset"

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self.dataset = dataset
        size = int(dataset.cardinality())
        self.batches = None if size < 0 else size
        self.infinite = size == -1
        spec = dataset.element_spec
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

    def skip(self) -> None:
        next(self.iterator)


class StreamedFeed(Feed):
    """Batches from Python: a generator, a `PyDataset`, any iterable or sequence of batches."""

    kind = "streamed"

    def __init__(self, source: Any) -> None:
        super().__init__()
        self.source = source
        self.is_iterator = isinstance(source, Iterator)
        self.is_sequence = hasattr(source, "__getitem__") and hasattr(source, "__len__")
        self.batches = len(source) if hasattr(source, "__len__") else getattr(source, "num_batches", None)
        self.iterator: Iterator[Any] | None = None
        self.waiting: list[Any] = []  # a batch that was read but belongs to the next chunk

    def start_epoch(self) -> None:
        taken = self.taken
        super().start_epoch()
        if self.is_iterator:
            self.iterator, self.taken = self.iterator or iter(self.source), taken  # there is but one pass
            return
        self.waiting.clear()
        if self.is_sequence and not isinstance(self.source, (list, tuple)):
            self.iterator = (self.source[place] for place in range(len(self.source)))
        else:
            self.iterator = iter(self.source)

    def state(self) -> dict[str, Any]:
        own = self.source.get_state() if hasattr(self.source, "get_state") else None
        return {**super().state(), "source": own}

    def resume(self, state: dict[str, Any]) -> None:
        if state["source"] is not None:
            self.source.set_state(state["source"])
        super().resume(state)

    def skip(self) -> None:
        self._next()

    def peek(self) -> Any:
        """The types of the next batch; None where there is none."""
        if self.iterator is None:
            self.start_epoch()
        batch = self._next()
        if batch is None:
            return None
        self.waiting.append(batch)
        return batch_specs(tree.map_structure(lambda a: None if a is None else tf.convert_to_tensor(a), batch))

    def end_epoch(self) -> None:
        """Tell a source that wants to know, as `PyDataset` does."""
        if hasattr(self.source, "on_epoch_end"):
            self.source.on_epoch_end()

    def take(self, most: int) -> tuple[Any, int]:
        """Up to `most` batches of one shape, stacked, and how many they are; None and 0 at the end."""
        batches: list[Any] = []
        shapes = None
        while len(batches) < most:
            batch = self._next()
            if batch is None:
                break
            mine = [
                (tensor.static_shape(leaf), tensor.dtype_of(leaf)) for leaf in tree.flatten(batch) if leaf is not None
            ]
            if shapes is not None and mine != shapes:
                self.waiting.append(batch)
                break
            shapes = mine
            batches.append(batch)
        if not batches:
            return None, 0
        return tree.map_structure(_stack, *batches), len(batches)

    def _next(self) -> Any:
        if self.waiting:
            return self.waiting.pop()
        assert self.iterator is not None
        batch = next(self.iterator, None)
        if batch is None:
            return None
        return as_arrays(tuple(batch) if isinstance(batch, list) else batch, "batch")


def _stack(*parts: Any) -> Any:
    if parts[0] is None:
        return None
    if any(tensor.is_tensor_like(part) for part in parts):
        return tf.stack([tf.convert_to_tensor(part) for part in parts])
    return tf.convert_to_tensor(np.stack(parts))


def make_feed(
    x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None, shuffle: bool = False
) -> Feed:
    """The feed for what was passed as data; a ValueError or TypeError where it is no data."""
    if isinstance(x, (tf.data.Dataset, getattr(tf.distribute, "DistributedDataset", ()))):
        _refuse(y, sample_weight, batch_size, "a tf.data.Dataset", "; batch the dataset itself")
        return DatasetFeed(x)
    if x is not None and is_arrays(x):
        data = trimmed((as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight")))
        return ResidentFeed(data, 32 if batch_size is None else batch_size, bool(shuffle))
    if isinstance(x, Iterable) or hasattr(x, "__getitem__"):
        _refuse(y, sample_weight, batch_size, f"a {type(x).__name__}", "; its batches are as large as it makes them")
        return StreamedFeed(x)
    raise TypeError(
        f"The data must be arrays, tensors, a data frame, a tf.data.Dataset, a generator or an iterable of batches, but "
        f"got {type(x).__name__}."
    )


def _refuse(y: Any, sample_weight: Any, batch_size: Any, source: str, cure: str) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(f"`{name}` comes with the batches of {source}, so it is not passed beside it.")
    if batch_size is not None:
        raise ValueError(f"batch_size does not go with {source}{cure}.")
