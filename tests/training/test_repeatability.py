"""The same seed gives the same bits: twice in a process, in two processes, and for chunks of any length."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(90, 4)).astype("float32")
Y = GENERATOR.integers(0, 3, 90)
PLANS = {"graph": {"jit_compile": False}, "xla": {"jit_compile": True}}


class Batches(nyala.utils.PyDataset):
    def __len__(self):
        return 23

    def __getitem__(self, place):
        return X[4 * place : 4 * place + 4], Y[4 * place : 4 * place + 4]


FEEDS = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 4},
    "dataset": lambda: {"x": tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(90, seed=1).batch(4)},
    "batches": lambda: {"x": Batches()},
}


def digest(plan, feed, steps_per_execution=1):
    """A fingerprint of all weights and of the history behind a training in which much is drawn."""
    nyala.utils.set_random_seed(11)
    layers = [
        nyala.layers.GaussianNoise(0.1),
        nyala.layers.Dense(8, activation="relu"),
        nyala.layers.BatchNormalization(),
        nyala.layers.Dropout(0.3),
        nyala.layers.Dense(3, activation="softmax"),
    ]
    model = nyala.Sequential([nyala.Input((4,)), *layers])
    options = {**PLANS[plan], "steps_per_execution": steps_per_execution}
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **options)
    history = model.fit(**FEEDS[feed](), epochs=2, verbose=0).history
    parts = [w.tobytes() for w in model.get_weights()]
    return hashlib.sha256(b"".join([*parts, repr(sorted(history.items())).encode()])).hexdigest()


@pytest.mark.parametrize(
    ("plan", "feed"),
    [
        ("graph", "arrays"),
        *(
            pytest.param(plan, feed, marks=pytest.mark.slow)
            for plan in PLANS
            for feed in FEEDS
            if (plan, feed) != ("graph", "arrays")
        ),
    ],
)
def test_chunks_of_any_length_end_at_the_same_bits(plan, feed):
    lengths = (1, 7) if (plan, feed) == ("graph", "arrays") else (1, 1, 3, 7, 50)
    assert len({digest(plan, feed, length) for length in lengths}) == 1


@pytest.mark.slow
def test_two_processes_end_at_the_same_bits():
    """Each plan in a process of its own, told to be deterministic."""
    script = (
        "import nyala; nyala.config.enable_determinism();"
        "from tests.training.test_repeatability import *;"
        "print(*(digest(plan, feed) for plan in PLANS for feed in FEEDS))"
    )
    command = [sys.executable, "-W", "ignore", "-c", script]
    found = [
        subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert len(found[0].split()) == 6
