"""Memory stays flat, however often a model is called or trained, and however many are made and dropped."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 64)


def model() -> Any:
    layers = [nyala.Input((8,)), nyala.layers.Dense(16, "relu"), nyala.layers.Dropout(0.1), nyala.layers.Dense(3)]
    made = nyala.Sequential(layers)
    made.compile("adam", nyala.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return made


def resident_mb() -> float:
    """What the process holds in memory now, once garbage is gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def growth_mb(work: Callable[[], Any], before: int, times: int) -> float:
    """By how much `times` more turns of `work` let the process grow, after those `before` that fill what is kept."""
    for _ in range(before):
        work()
    start = resident_mb()
    for _ in range(times):
        work()
    return resident_mb() - start


def predicting() -> Callable[[], Any]:
    made = model()
    return lambda: made.predict(X, verbose=0)


def predicting_one_batch() -> Callable[[], Any]:
    made, sizes = model(), iter(range(10**6))
    return lambda: made.predict_on_batch(X[: 1 + next(sizes) % 60])


def calling() -> Callable[[], Any]:
    made = model()
    return lambda: made(X[:1])


def fitting() -> Callable[[], Any]:
    made = model()
    return lambda: made.fit(X, Y, validation_data=(X, Y), verbose=0)


def making() -> Callable[[], Any]:
    return model


@pytest.fixture(autouse=True)
def _collector_as_elsewhere() -> Iterator[None]:
    """The suite has the collector rest more than programs do, and what waits for it takes memory."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "before", "times", "most"),
    [
        (predicting, 500, 10_000, 8),
        (predicting_one_batch, 500, 10_000, 8),
        (calling, 500, 10_000, 8),
        (fitting, 20, 200, 8),
        (making, 20, 200, 8),
    ],
)
def test_memory_stays_flat(work, before, times, most):
    assert growth_mb(work(), before, times) < most
