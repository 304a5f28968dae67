"""Every kind of data against the oracle: what `fit`, `evaluate` and `predict` make of the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

ROWS, BATCH = 20, 8
RANDOM = np.random.default_rng(0)
LEFT = RANDOM.normal(size=(ROWS, 4)).astype("float32")
RIGHT = RANDOM.normal(size=(ROWS, 2)).astype("float32")
X = {"left": LEFT, "right": RIGHT}
DENSE = np.concatenate([LEFT, RIGHT], 1)
Y = RANDOM.integers(0, 3, ROWS).astype("int32")
WEIGHTS = RANDOM.uniform(0.5, 2.0, ROWS).astype("float32")
CLASSES = {0: 0.5, 2: 2.0}
WEIGHTINGS: list[Any] = [((), {}), ((WEIGHTS,), {}), ((), {"class_weight": CLASSES})]
START = [RANDOM.normal(size=shape).astype("float32") for shape in ((6, 3), (3,))]


def classifier(library: Any) -> Any:
    """Two inputs by name, one output."""
    inputs = {name: library.Input(part.shape[1:], name=name) for name, part in X.items()}
    joined = library.layers.Concatenate()([inputs["left"], inputs["right"]])
    return compiled(library, library.Model(inputs, library.layers.Dense(3, name="out")(joined)))


def compiled(library: Any, model: Any) -> Any:
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    weighted = [library.metrics.SparseCategoricalAccuracy(name="weighted")]
    model.compile(library.optimizers.SGD(0.1), loss, metrics=["accuracy"], weighted_metrics=weighted)
    return model


def results(model: Any, make: Any, weights: tuple[Any, ...], **options: Any) -> list[Any]:
    """The logs of an epoch, of an evaluation, and predictions; `make` gives data anew, as some of it ends."""
    model.set_weights(START)
    data, more = make(*weights)
    history = model.fit(*data, **more, **options, shuffle=False, verbose=0).history
    data, more = make(*weights)
    logs = model.evaluate(*data, **more, verbose=0, return_dict=True)
    data, more = make()
    return [history, logs, model.predict(data[0], **more, verbose=0)]


# ---- The same rows in many shapes ----


def take(part: Any, rows: slice) -> Any:
    return {name: take(value, rows) for name, value in part.items()} if isinstance(part, dict) else part[rows]


def batches(*parts: Any) -> Iterator[Any]:
    for first in range(0, ROWS, BATCH):
        yield tuple(take(part, slice(first, first + BATCH)) for part in parts)


class Numbered(nyala.utils.PyDataset):
    """The batches by number."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(**options)
        self.items = list(batches(*parts))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Any:
        return self.items[place]


class Loader:
    """An iterable that begins anew and says no length, as some loaders of other libraries; batches are lists."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[Any]:
        return (list(batch) for batch in batches(*self.parts))


def arrays(x: Any, y: Any, *weights: Any) -> Any:
    """What `fit` takes as arguments."""
    return (x, y), {"batch_size": BATCH, **({"sample_weight": weights[0]} if weights else {})}


def frames(*weights: Any) -> Any:
    x = {name: pandas.DataFrame(part.astype("float64")) for name, part in X.items()}
    return arrays(x, pandas.Series(Y), *map(pandas.Series, weights))


def stream(kind: Any, y: Any = Y) -> Any:
    return lambda *weights: ((kind(X, y, *weights),), {})


def dataset(*parts: Any) -> Any:
    return tf.data.Dataset.from_tensor_slices(parts).batch(BATCH)


SOURCES: dict[str, Any] = {
    "arrays": lambda *weights: arrays(X, Y, *weights),
    "tensors": lambda *weights: arrays({n: tf.constant(part) for n, part in X.items()}, tf.constant(Y), *weights),
    "pandas": frames,
    "tf.data": stream(dataset),
    "tf.data, targets by name": stream(dataset, {"out": Y}),
    "generator": stream(batches),
    "generator, targets by name": stream(batches, {"out": Y}),
    "PyDataset": stream(Numbered),
    "PyDataset with workers": stream(lambda *parts: Numbered(*parts, workers=2)),
    "loader": stream(Loader),
}


@pytest.mark.parametrize("weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_every_source_gives_the_numbers_of_the_oracle(tmp_path: Any, weighted: bool) -> None:
    """Without weights; with those of rows and with those of classes."""
    for name, part in X.items():
        np.save(tmp_path / f"{name}.npy", part)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in X}
    sources = {**SOURCES, "memory-mapped files": lambda *weights: arrays(mapped, Y, *weights)}
    ours, theirs = classifier(nyala), classifier(keras)
    for weights, options in WEIGHTINGS[1:] if weighted else WEIGHTINGS[:1]:
        expected = results(theirs, SOURCES["arrays"], weights, **options)
        for name, make in sources.items():
            found = results(ours, make, weights, **options)
            try:
                assert_close(found, expected, 1e-4, 1e-5)
            except AssertionError as error:
                raise AssertionError(f"{name}, {options or weights}: {error}") from None


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_loaders_of_pytorch_give_the_numbers_of_arrays(workers: int) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.data import DataLoader, TensorDataset

    def loader(*weights: Any) -> Any:
        tensors = [torch.from_numpy(part) for part in (DENSE, Y, *weights)]
        return (DataLoader(TensorDataset(*tensors), BATCH, num_workers=workers),), {}

    check_rows(loader)


@pytest.mark.parametrize("kind", ["DataLoader", "MapDataset", "IterDataset"])
def test_loaders_of_grain_give_the_numbers_of_arrays(kind: str) -> None:
    grain = pytest.importorskip("grain.python")

    class Rows:
        def __init__(self, *parts: Any) -> None:
            self.parts = parts

        def __len__(self) -> int:
            return ROWS

        def __getitem__(self, place: int) -> Any:
            return tuple(part[place] for part in self.parts)

    def loader(*weights: Any) -> Any:
        rows: Any = Rows(DENSE, Y, *weights)
        if kind == "DataLoader":
            order = grain.IndexSampler(ROWS, grain.NoSharding(), shuffle=False, num_epochs=1)
            made = grain.DataLoader(data_source=rows, sampler=order, operations=[grain.Batch(BATCH)])
        else:
            made = grain.MapDataset.source(rows)
            made = (made.to_iter_dataset() if kind == "IterDataset" else made).batch(BATCH)
        return (made,), {}

    check_rows(loader)


def check_rows(make: Any) -> None:
    """A source of rows leads where arrays of the same rows lead in the oracle; class weights go with it too."""
    models = {}
    for k in (nyala, keras):
        models[k] = compiled(k, k.Sequential([k.Input((6,)), k.layers.Dense(3)]))
    for weights, options in WEIGHTINGS:
        expected = results(models[keras], lambda *weights: arrays(DENSE, Y, *weights), weights, **options)
        assert_close(results(models[nyala], make, weights, **options), expected, 1e-4, 1e-5)


# ---- Rows of any length, rows that are mostly empty ----


class Total(nyala.Model):
    """A layer behind the sums of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nyala.layers.Dense(3)

    def call(self, x: Any) -> Any:
        return self.out(tf.reduce_sum(x, axis=1))


LENGTHS = RANDOM.integers(1, 4, ROWS)
RAGGED = tf.RaggedTensor.from_row_lengths(RANDOM.normal(size=(LENGTHS.sum(), 6)).astype("float32"), LENGTHS)
MOSTLY_EMPTY = np.where(np.abs(DENSE) > 0.8, DENSE, 0)


def slices(rows: Any, first: int) -> Any:
    """A batch of ragged or sparse rows."""
    if isinstance(rows, tf.RaggedTensor):
        return rows[first : first + BATCH]
    return tf.sparse.slice(rows, [first, 0], [min(BATCH, ROWS - first), 6])


def in_batches(rows: Any, *weights: Any) -> Iterator[Any]:
    for first in range(0, ROWS, BATCH):
        yield slices(rows, first), *(part[first : first + BATCH] for part in (Y, *weights))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ragged", "sparse"])
def test_ragged_and_sparse_rows_give_the_numbers_of_dense_ones(kind: str) -> None:
    """As arrays, from a dataset and from a generator, with all kinds of weights."""
    if kind == "ragged":
        rows, dense = RAGGED, tf.reduce_sum(RAGGED, axis=1).numpy()
        ours = Total()
        ours(RAGGED[:2])
    else:
        rows, dense = tf.sparse.from_dense(MOSTLY_EMPTY), MOSTLY_EMPTY
        ours = nyala.Sequential([nyala.Input((6,), sparse=True), nyala.layers.Dense(3)])
    compiled(nyala, ours)
    theirs = compiled(keras, keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)]))
    for weights, options in WEIGHTINGS:
        expected = results(theirs, lambda *weights: arrays(dense, Y, *weights), weights, **options)
        for make in (
            lambda *weights: arrays(rows, Y, *weights),
            lambda *weights: ((dataset(rows, Y, *weights),), {}),
            lambda *weights: ((in_batches(rows, *weights),), {}),
        ):
            assert_close(results(ours, make, weights, **options), expected, 1e-4, 1e-5)


def test_class_weights_want_the_targets_of_one_output() -> None:
    model = classifier(nyala)
    for x, y in ((X, {"out": Y, "other": Y}), (dataset(X, {"out": Y, "other": Y}), None)):
        with pytest.raises(ValueError, match="one output, but there are targets for 2"):
            model.fit(x, y, class_weight=CLASSES, verbose=0)
    with pytest.raises(ValueError, match="by their targets, but the data has none"):
        model.fit(X, class_weight=CLASSES, verbose=0)
