"""Where batches come from changes nothing of the training; sources in Python are read ahead, and nothing is lost."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas
import pytest

import nyala
from nyala.core.engine import tf
from nyala.training import arrays, streams
from nyala.training.feeds import LargeFeed, ResidentFeed, StreamedFeed, make_feed

ROWS, BATCH = 44, 8
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 6)).astype("float32")
Y = RNG.integers(0, 3, ROWS).astype("int32")
WEIGHTS = RNG.uniform(0.5, 2.0, ROWS).astype("float32")


@pytest.fixture(scope="module")
def model() -> Any:
    """One model for most tests: what it traced for one source serves the next."""
    rows = nyala.Input((6,), name="rows")
    made = nyala.Model(rows, nyala.layers.Dense(3)(nyala.layers.Dense(4, activation="tanh")(rows)))
    loss = nyala.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(nyala.optimizers.SGD(0.1), loss, metrics=["accuracy"])
    made.start = made.get_weights()
    return made


def trained(model: Any, *data: Any, **options: Any) -> list[np.ndarray]:
    """The weights after two epochs."""
    model.set_weights(model.start)
    model.fit(*data, **{"epochs": 2, "shuffle": False, "verbose": 0, **options})
    return model.get_weights()


def assert_same(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def batches(weighted: bool) -> list[Any]:
    """The batches as a list that no feed takes for arrays."""
    parts = (X, Y, WEIGHTS) if weighted else (X, Y)
    return [tuple(part[i : i + BATCH] for part in parts) for i in range(0, ROWS, BATCH)]


class Numbered(nyala.utils.PyDataset):
    """Batches by number, as `PyDataset` wants it."""

    def __init__(self, items: list[Any], **options: Any) -> None:
        super().__init__(**options)
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> Any:
        return self.items[place]


class Loader:
    """What a loader of another library looks like: `iter` begins anew, `len` is known, tensors are of its own kind."""

    def __init__(self, items: list[Any], kind: Any = lambda array: array) -> None:
        self.items, self.kind = items, kind

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return ([self.kind(part) for part in item] for item in self.items)


class ForeignTensor:
    """A tensor as PyTorch's: a part of a gradient until it is detached, on a device until it is fetched."""

    def __init__(self, array: np.ndarray, attached: bool = True) -> None:
        self.array, self.attached = array, attached

    def detach(self) -> ForeignTensor:
        return ForeignTensor(self.array, attached=False)

    def cpu(self) -> ForeignTensor:
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        assert not self.attached
        return np.asarray(self.array, dtype)


class Named:
    """An iterable of batches whose inputs have names."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return (({"rows": item[0]}, *item[1:]) for item in self.items)


def reused(items: list[Any]) -> Iterator[Any]:
    """A generator that gives the same memory again and again."""
    memory = [part.copy() for part in items[0]]
    for _ in range(2):
        for item in items[:-1]:
            for kept, part in zip(memory, item):
                kept[...] = part
            yield tuple(memory)
        yield items[-1]


def dataset(weighted: bool) -> Any:
    return tf.data.Dataset.from_tensor_slices((X, Y, WEIGHTS) if weighted else (X, Y)).batch(BATCH)


def columns(weighted: bool) -> tuple[Any, ...]:
    frame = pandas.DataFrame(X.astype("float64"), columns=list("abcdef"))
    return (frame, pandas.Series(Y)) + ((pandas.Series(WEIGHTS),) if weighted else ())


def positional(parts: tuple[Any, ...], **options: Any) -> Any:
    """Arrays as arguments of `fit`."""
    return parts[:2], {"batch_size": BATCH, **({"sample_weight": parts[2]} if len(parts) > 2 else {}), **options}


STEPS = -(-ROWS // BATCH)
# name: what `fit` is given, by whether rows have weights
SOURCES: dict[str, Any] = {
    "tensors": lambda w: positional(tuple(tf.constant(part) for part in ((X, Y, WEIGHTS) if w else (X, Y)))),
    "float64": lambda w: positional((X.astype("float64"), Y, WEIGHTS) if w else (X.astype("float64"), Y)),
    "pandas": lambda w: positional(columns(w)),
    "tf.data": lambda w: ((dataset(w),), {}),
    "endless tf.data": lambda w: ((dataset(w).repeat(),), {"steps_per_epoch": STEPS}),
    "generator": lambda w: (((b for _ in range(2) for b in batches(w)),), {"steps_per_epoch": STEPS}),
    "generator of reused memory": lambda w: ((reused(batches(w)),), {"steps_per_epoch": STEPS}),
    "zip": lambda w: ((zip(*map(list, zip(*batches(w) * 2))),), {"steps_per_epoch": STEPS}),
    "PyDataset": lambda w: ((Numbered(batches(w)),), {}),
    "PyDataset, threads": lambda w: ((Numbered(batches(w), workers=3),), {}),
    "PyDataset, processes": lambda w: ((Numbered(batches(w), workers=2, use_multiprocessing=True),), {}),
    "PyDataset, half an epoch at a time": lambda w: (
        (Numbered(batches(w)),),
        {"steps_per_epoch": STEPS // 2, "epochs": 4},
    ),
    "loader": lambda w: ((Loader(batches(w)),), {}),
    "loader of foreign tensors": lambda w: ((Loader(batches(w), ForeignTensor),), {}),
    "loader of tensors": lambda w: ((Loader(batches(w), tf.constant),), {}),
    "inputs by name": lambda w: ((Named(batches(w)),), {}),
}


@pytest.mark.parametrize("weights", ["none", "of rows", "of classes"])
def test_every_source_leads_to_the_same_weights(model: Any, weights: str) -> None:
    """To the last bit, remainder batch included."""
    weighted = weights == "of rows"
    of_classes = {"class_weight": {0: 0.5, 2: 2.0}} if weights == "of classes" else {}
    parts = (X, Y, WEIGHTS) if weighted else (X, Y)
    data, options = positional(parts)
    expected = trained(model, *data, **options, **of_classes)
    assert not np.array_equal(expected[0], model.start[0])
    for name, make in SOURCES.items():
        data, options = make(weighted)
        found = trained(model, *data, **options, **of_classes)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_a_source_without_another_epoch_ends_training(model: Any) -> None:
    with pytest.warns(UserWarning, match="The data ended: nothing is left for another epoch"):
        history = model.fit(iter(batches(False)), epochs=3, verbose=0)
    assert history.epoch == [0]
    with pytest.raises(ValueError, match="its source gave no batch"):
        model.fit(iter([]), verbose=0)


# ---- Streams ----


def drawn(feed: StreamedFeed, found: list[Any] | None = None) -> list[Any]:
    """The batches that are left, as lists, behind those in `found`."""
    found = [] if found is None else found
    while (taken := feed.take(1000))[1]:
        found += taken[0].tolist()
    return found


def test_a_slow_source_is_not_held_back() -> None:
    """What is there is handed over in a fraction of a second, however much was asked for."""
    going_on = threading.Event()

    def source() -> Iterator[Any]:
        yield np.full((2, 1), 0.0)
        yield np.full((2, 1), 1.0)
        going_on.wait(20)
        yield np.full((2, 1), 2.0)

    feed = StreamedFeed(source())
    feed.start_epoch()
    started = time.monotonic()
    count = feed.take(100)[1]
    assert 1 <= count <= 2
    assert time.monotonic() - started < 5
    going_on.set()
    assert count + len(drawn(feed)) == 3


def test_shapes_that_change_end_a_chunk() -> None:
    sizes = [4, 4, 4, 2, 4, 3, 3]
    feed = StreamedFeed(np.full((size, 2), place) for place, size in enumerate(sizes))
    feed.start_epoch()
    chunks = []
    while (taken := feed.take(1000))[1]:
        chunks.append((taken[0].shape[:2], taken[0][:, 0, 0].tolist()))
    assert chunks == [((3, 4), [0, 1, 2]), ((1, 2), [3]), ((1, 4), [4]), ((2, 3), [5, 6])]


def test_no_more_is_read_than_a_fit_uses(model: Any) -> None:
    """A generator goes on in the next `fit` where the last one stopped, also where that stopped early."""
    read: list[int] = []

    def source() -> Iterator[Any]:
        for place in range(1000):
            read.append(place)
            yield X[place % 40 : place % 40 + 1], Y[place % 40 : place % 40 + 1]

    class Stop(nyala.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                raise InterruptedError

    generator = source()
    model.fit(generator, steps_per_epoch=5, epochs=2, verbose=0)
    assert len(read) == 10
    with pytest.raises(InterruptedError) as caught:
        model.fit(generator, steps_per_epoch=50, verbose=0, callbacks=[Stop()])
    feed = StreamedFeed(generator)  # while the error still holds the feed of that fit
    feed.start_epoch()
    feed.expect(1)
    assert feed.take(1)[0][0].tolist() == X[13:14][None].tolist()
    assert len(read) <= 60
    del caught


def test_an_error_in_a_source_arrives_as_it_was(model: Any) -> None:
    """Behind the batches before it, with its type, its message and the line where it came up."""

    def source() -> Iterator[Any]:
        yield X[:8], Y[:8]
        yield X[8:16], Y[8:16]
        raise LookupError("row 16 is missing")

    model.set_weights(model.start)
    with pytest.raises(LookupError, match="row 16 is missing") as caught:
        model.fit(source(), steps_per_epoch=5, verbose=0)
    assert 'LookupError("row 16 is missing")' in "".join(traceback.format_exception(caught.value))
    found = model.get_weights()
    assert_same(found, trained(model, X[:16], Y[:16], batch_size=8, epochs=1))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((X[0], 1), ValueError, "gives single rows"),
        (None, ValueError, "None instead of a batch"),
        ((X[:2], np.array(["a", None], object)), TypeError, r"`batch\[1\]` holds Python objects"),
    ],
)
def test_what_is_no_batch(model: Any, batch: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model.fit(iter([batch]), verbose=0)


class Counting:
    """An iterator with a state of its own."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Counting:
        return self

    def __next__(self) -> Any:
        self.at += 1
        if self.at > 50:
            raise StopIteration
        return np.full((2, 1), self.at)

    def get_state(self) -> Any:
        return str(self.at).encode()

    def set_state(self, state: bytes) -> None:
        self.at = int(state)


class Restarted:
    """An iterable whose passes differ: it draws from a generator of its own."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(3)

    def __iter__(self) -> Iterator[Any]:
        return (self.random.normal(size=(2, 1)) for _ in range(50))

    def get_state(self) -> Any:
        return {"words": [str(word) for word in self.random.bit_generator.state["state"].values()]}

    def set_state(self, state: Any) -> None:
        words = dict(zip(("state", "inc"), map(int, state["words"])))
        self.random.bit_generator.state = {**self.random.bit_generator.state, "state": words}


class Drawn(Numbered):
    """Batches by number that draw from a generator of the source."""

    def __init__(self) -> None:
        super().__init__([np.full((2, 1), place) for place in range(50)])
        self.random = Restarted()

    def __getitem__(self, place: int) -> Any:
        return super().__getitem__(place) + self.random.random.normal()

    def get_state(self) -> Any:
        return self.random.get_state()

    def set_state(self, state: Any) -> None:
        self.random.set_state(state)


@pytest.mark.parametrize(
    "make",
    [
        Counting,
        Restarted,
        Drawn,
        lambda: Numbered([np.full((2, 1), place) for place in range(50)]),
        lambda: (np.full((2, 1), place) for place in range(50)),
    ],
    ids=["iterator with state", "iterable with state", "numbers with state", "numbers", "generator"],
)
def test_a_resumed_source_goes_on_behind_the_last_batch_that_was_used(make: Any) -> None:
    """What was read ahead counts as not read."""
    feed = StreamedFeed(make(), shuffle=True)
    feed.start_epoch()
    feed.take(7)
    time.sleep(0.05)  # time to read ahead
    feed.taken, state = 7, feed.state()
    expected = drawn(feed)
    assert len(expected) == 43
    again = StreamedFeed(make(), shuffle=True)
    again.resume(state)
    again.continue_epoch()
    assert drawn(again) == expected


def test_threads_end_when_nobody_takes() -> None:
    """A reader that is left alone fills what it may and ends; the conftest looks for threads that do not."""
    feed = StreamedFeed(np.zeros((100, 1000)) for _ in range(10**6))
    feed.start_epoch()
    feed.take(1)
    StreamedFeed(Numbered([np.zeros((2, 1))] * 10**5, workers=4)).start_epoch()


# ---- PyDataset ----


def test_hooks_of_a_dataset_are_called_around_each_epoch(model: Any) -> None:
    """In training, validation and evaluation; what was read ahead is read again behind a hook, as it may have changed."""
    heard: list[Any] = []

    class Heard(Numbered):
        def on_epoch_begin(self) -> None:
            heard.append("begin")

        def on_epoch_end(self) -> None:
            heard.append("end")
            self.items = self.items[::-1]

        def __getitem__(self, place: int) -> Any:
            heard.append(place)
            return super().__getitem__(place)

    data = Heard(batches(False)[:3])
    model.fit(data, epochs=2, shuffle=False, verbose=0)
    model.evaluate(data, verbose=0)
    assert heard == ["begin", 0, 1, 2, "end"] * 3


def test_the_order_of_batches_is_drawn_anew_for_each_epoch() -> None:
    """As the oracle does by default, from one seed."""
    orders = []
    for _ in range(2):
        nyala.utils.set_random_seed(1)
        feed = StreamedFeed(Numbered([np.full((1, 1), place) for place in range(20)]), shuffle=True)
        for _ in range(2):
            feed.start_epoch()
            orders.append([int(batch[0][0]) for batch in drawn(feed)])
            feed.end_epoch()
    assert orders[:2] == orders[2:]
    assert orders[0] != orders[1] != list(range(20))
    assert all(sorted(order) == list(range(20)) for order in orders)


class Random(Numbered):
    """Batches with noise, and a delay that differs."""

    def __getitem__(self, place: int) -> Any:
        time.sleep(0.002 * (place % 3))
        noise = np.random.normal(size=(2, 1)) if self.use_multiprocessing else 0.0
        return np.full((2, 1), place) + noise


@pytest.mark.parametrize("processes", [False, True])
def test_any_number_of_workers_gives_the_same_batches(processes: bool) -> None:
    """In the same order, random ones too where each process draws for itself."""
    found = []
    for workers in (1, 2, 5):
        nyala.utils.set_random_seed(1)
        feed = StreamedFeed(Random([None] * 23, workers=workers, use_multiprocessing=processes, max_queue_size=4))
        feed.start_epoch()
        found.append(drawn(feed))
        feed.close()
    assert found[0] == found[1] == found[2]
    assert [round(batch[0][0]) if not processes else place for place, batch in enumerate(found[0])] == list(range(23))


class Failing(Numbered):
    """The seventh batch fails: by an error, by the end of its process, or by a signal."""

    how = "error"

    def __getitem__(self, place: int) -> Any:
        if place != 6:
            return np.full((2, 1), place)
        if self.how == "exit":
            os._exit(3)
        if self.how == "kill":
            os.kill(os.getpid(), 9)
        raise LookupError("no seventh batch")


@pytest.mark.parametrize(
    ("how", "options", "error", "message"),
    [
        ("error", {"workers": 3}, LookupError, "no seventh batch"),
        ("error", {"workers": 3, "use_multiprocessing": True}, LookupError, "no seventh batch"),
        ("exit", {"workers": 2, "use_multiprocessing": True}, RuntimeError, "Worker 1 of 2 of Failing .* exit code 3"),
        ("kill", {"workers": 2, "use_multiprocessing": True}, RuntimeError, "was killed by SIGKILL .* batch 6"),
    ],
)
def test_a_worker_that_fails(how: str, options: Any, error: type[Exception], message: str) -> None:
    """All batches before it arrive, then its error, with the lines where it came up."""
    source = Failing([None] * 20, **options)
    source.how = how
    feed = StreamedFeed(source)
    feed.start_epoch()
    with pytest.raises(error, match=message) as caught:
        drawn(feed, behind := [])
    assert [batch[0][0] for batch in behind] == list(range(6))
    if how == "error":
        assert 'raise LookupError("no seventh batch")' in "".join(traceback.format_exception(caught.value))
    feed.close()


def test_a_batch_may_be_changed_on_its_way() -> None:
    """As class weights need it."""
    feed = make_feed(iter(batches(False)), transform=lambda batch: (*batch, WEIGHTS[: len(batch[1])]))
    feed.start_epoch()
    (_, _, weights), count = feed.take(4)
    np.testing.assert_array_equal(weights, np.stack([WEIGHTS[:BATCH]] * count))


@pytest.mark.parametrize("options", [{"workers": -1}, {"workers": 1.5}, {"max_queue_size": 0}])
def test_numbers_of_workers(options: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        nyala.utils.PyDataset(**options)


# ---- Data that ends ----


@pytest.mark.parametrize("kind", ["PyDataset", "loader", "tf.data"])
def test_data_that_ends_within_an_epoch_begins_anew_in_the_next(model: Any, kind: str) -> None:
    """With a warning that counts both, as in the oracle."""
    source = {"PyDataset": Numbered(batches(False)), "loader": Loader(batches(False)), "tf.data": dataset(False)}[kind]
    with pytest.warns(UserWarning, match=r"after 6 of 8 batches") as caught:
        history = model.fit(source, steps_per_epoch=8, epochs=2, shuffle=False, verbose=0)
    assert len(caught) == 2
    assert history.epoch == [0, 1]


# ---- Large arrays ----


@pytest.mark.parametrize("plan", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_arrays_that_do_not_fit_stay_where_they_are(model: Any, plan: str, tmp_path: Any, monkeypatch: Any) -> None:
    """The same shuffled batches, the same bits, from memory and from a file, without a copy of the whole."""
    np.save(tmp_path / "x.npy", X.astype("float64"))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    if plan == "xla":
        monkeypatch.setattr(model, "jit_compile", True)
    found = []
    for budget, x in ((None, X), (0, X), (0, mapped)):
        monkeypatch.setattr(arrays, "memory_budget", budget)
        feed = make_feed(x, Y)
        assert isinstance(feed, ResidentFeed)
        assert isinstance(feed, LargeFeed) == (budget == 0)
        assert budget is None or np.shares_memory(feed.host[0], x)
        nyala.utils.set_random_seed(4)
        weights = trained(model, x, Y, batch_size=BATCH, shuffle=True, validation_split=0.2)
        found.append([*weights, model.predict(x, batch_size=BATCH, verbose=0)])
    assert plan in model.execution_plan
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])


def test_free_memory() -> None:
    assert 2**26 < arrays.free_memory() < 2**50


# ---- Data frames, sparse and ragged ----

FRAME = pandas.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5]})


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pandas.array([1, None, 3], dtype="Int64"), r"column 'c' of `x` \(Int64\) misses 1 of 3 values.*fillna"),
        (pandas.Categorical(["u", "v", "u"]), "column 'c' of `x` is categorical.*get_dummies"),
        (["u", "v", "w"], "column 'c' of `x` holds str|object values"),
        (pandas.to_datetime(["2020-01-01"] * 3), "column 'c' of `x` holds"),
    ],
)
def test_columns_that_are_no_numbers(column: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        arrays.as_arrays(FRAME.assign(c=column), "x")


def test_columns_that_are_numbers() -> None:
    """Also of the types that could hold missing values, where none is missing."""
    frame = FRAME.assign(c=pandas.array([1, 2, 3], dtype="Int64"), d=[True, False, True])
    expected = [[1, 0.5, 1, 1], [2, 1.5, 2, 0], [3, 2.5, 3, 1]]
    np.testing.assert_array_equal(arrays.as_arrays(frame, "x"), np.array(expected, "float32"))


class Coordinates:
    """What a sparse matrix of SciPy tells of itself."""

    def __init__(self, dense: np.ndarray) -> None:
        self.row, self.col = np.nonzero(dense)
        self.data, self.shape = dense[self.row, self.col], dense.shape

    def tocoo(self) -> Coordinates:
        return self


def test_sparse_rows(model: Any) -> None:
    """Sparse arrays, matrices and batches train as dense ones do."""
    dense = np.where(X > 0.5, X, 0)
    dense[3] = 0
    expected = trained(model, dense, Y, batch_size=BATCH, shuffle=True, epochs=1, **seeded())
    sparse = tf.sparse.from_dense(dense)
    for x in (sparse, Coordinates(dense)):
        found = trained(model, x, Y, batch_size=BATCH, shuffle=True, epochs=1, **seeded())
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, 1e-5, 1e-6)
    np.testing.assert_allclose(model.predict(sparse, verbose=0), model.predict(dense, verbose=0), 1e-5, 1e-6)
    rows = [(tf.sparse.from_dense(dense[i : i + 8]), Y[i : i + 8]) for i in range(0, 40, 8)]
    found = trained(model, iter(rows), epochs=1)
    expected = trained(model, dense[:40], Y[:40], batch_size=8, epochs=1)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, 1e-5, 1e-6)


def seeded() -> dict[str, Any]:
    nyala.utils.set_random_seed(2)
    return {}


def test_ragged_rows() -> None:
    """Rows of any length as arrays and as batches, of a dataset and of a generator."""
    rows = tf.ragged.constant([[1, 2, 3], [4], [5, 6], [7, 8, 9, 1], [2, 3], [4, 5, 6]])
    y = np.arange(6, dtype="float32")[:, None]

    class Averaged(nyala.Model):
        def __init__(self) -> None:
            super().__init__()
            self.table = self.add_weight((10, 1), "ones", name="table")

        def call(self, x: Any) -> Any:
            return tf.reduce_mean(tf.ragged.map_flat_values(lambda i: tf.gather(self.table.value, i), x), 1)

    found = []
    for data, options in (
        ((rows, y), {"batch_size": 2}),
        ((tf.data.Dataset.from_tensor_slices((rows, y)).batch(2),), {}),
        (((rows[i : i + 2], y[i : i + 2]) for i in (0, 2, 4)), {}),
    ):
        model = Averaged()
        model.compile(nyala.optimizers.SGD(0.1), "mse")
        data = data if isinstance(data, tuple) else (data,)
        model.fit(*data, shuffle=False, verbose=0, **options)
        found.append(model.get_weights())
    assert not np.allclose(found[0][0], 1.0)
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])
    assert model.predict(rows, batch_size=4, verbose=0).shape == (6, 1)


# ---- Threads ----


def test_predictions_from_several_threads_at_once() -> None:
    """From a model that has not run yet, with inputs of different sizes."""
    model = nyala.Sequential(
        [nyala.layers.Dense(8, activation="relu"), nyala.layers.Dropout(0.5), nyala.layers.Dense(2)]
    )
    found: dict[int, Any] = {}
    start = threading.Barrier(4)

    def predict(number: int) -> None:
        start.wait()
        x = X[number : number + 20 + number]
        found[number] = [
            (model.predict(x, batch_size=7, verbose=0), model.predict_on_batch(x), model(x).numpy()) for _ in range(3)
        ]

    threads = [threading.Thread(target=predict, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(model.weights) == 4
    for number, rounds in found.items():
        expected = model(X[number : number + 20 + number]).numpy()
        for values in rounds:
            for value in values:
                np.testing.assert_allclose(value, expected, 1e-5, 1e-6)


def test_blocks_are_bounded() -> None:
    """A source that is faster than the device is read ahead by a few blocks at most."""
    read: list[int] = []

    def source() -> Iterator[Any]:
        for place in range(10**4):
            read.append(place)
            yield np.zeros((256, 1024), "float32")  # 1 MiB

    feed = StreamedFeed(source())
    feed.start_epoch()
    feed.take(1)
    time.sleep(0.3)
    assert len(read) <= (streams.BLOCKS_AHEAD + 2) * streams.BLOCK_BYTES // 2**20
