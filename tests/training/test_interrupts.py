"""Ctrl-C stops training between two chunks of steps: the model is whole, the history there, and it can go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nyala

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = X[:, :1].copy()


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """What is started in the background by a script has Ctrl-C ignored; here it is heard in any case."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Press(nyala.callbacks.Callback):
    """Presses Ctrl-C when the step or the epoch comes, and writes down what it hears."""

    def __init__(self, at, epoch=2):
        super().__init__()
        self.at, self.epoch, self.now, self.heard = at, epoch, 0, []

    def get_state(self):
        return {}

    def press(self, at):
        if at == self.at and self.now == self.epoch:
            signal.raise_signal(signal.SIGINT)
            self.heard.append("pressed")

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.heard.append(batch)
        self.press(batch)

    def on_test_begin(self, logs=None):
        self.press("validation")

    def on_epoch_end(self, epoch, logs=None):
        self.press("epoch")

    def on_train_end(self, logs=None):
        self.heard.append("end")


@pytest.fixture(scope="module")
def model():
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(1)], name="net")
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("at", "place", "epochs"),
    [
        (3, "epoch 3 of 5, behind 4 of 5 steps", [0, 1]),
        ("validation", "epoch 3 of 5, behind 5 of 5 steps", [0, 1]),
        ("epoch", r"epoch 4 of 5, behind 1 of 5 steps", [0, 1, 2]),
    ],
)
def test_work_in_hand_is_finished_and_the_history_is_there(model, at, place, epochs):
    """What was pressed in a callback stops training when all callbacks have heard of the chunk."""
    press = Press(at)
    told = nyala.callbacks.LambdaCallback(on_train_end=lambda logs: press.heard.append("told"))
    with pytest.raises(KeyboardInterrupt, match=rf"stopped in {place}; `net` keeps.*initial_epoch=\d, epochs=5\)"):
        model.fit(X, Y, batch_size=8, epochs=5, validation_data=(X, Y), verbose=0, callbacks=[press, told])
    assert press.heard[-2:] == ["end", "told"]
    assert "pressed" in press.heard
    assert model.history.epoch == epochs
    assert {len(values) for values in model.history.history.values()} == {len(epochs)}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    more = model.fit(X, Y, epochs=5, initial_epoch=len(epochs), verbose=0)
    assert np.isfinite(more.history["loss"]).all()


def test_a_source_that_is_slow_is_not_waited_for(model):
    """While a generator makes its batch, Ctrl-C comes through at once."""

    released = threading.Event()

    def source():
        yield X, Y
        yield X, Y
        signal.raise_signal(signal.SIGINT)
        released.wait(30)
        yield X, Y

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match=r"epoch 1 of 1, behind [0-2] of 3 steps"):
        model.fit(source(), steps_per_epoch=3, verbose=0)
    assert time.monotonic() - started < 15
    released.set()


def test_a_handler_of_ones_own_stays(model):
    heard = []
    mine = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=[Press(1)])
    finally:
        signal.signal(signal.SIGINT, mine)
    assert heard == [signal.SIGINT]


def test_a_backup_stays_to_go_on_from(model, tmp_path):
    """The next `fit` goes on from the backup of an interrupted one, as if there had been no Ctrl-C."""

    def run(folder, *callbacks):
        nyala.utils.set_random_seed(3)
        model.set_weights([np.ones((3, 1)), np.zeros(1)])
        keep = nyala.callbacks.BackupAndRestore(folder)
        model.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=[keep, *callbacks])
        return model.history.history, model.get_weights()

    expected = run(tmp_path / "whole", Press(-1))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", Press(2))
    assert (tmp_path / "parts").exists()
    history, weights = run(tmp_path / "parts", Press(-1))
    assert history == expected[0]
    for one, other in zip(weights, expected[1], strict=True):
        np.testing.assert_array_equal(one, other)


SCRIPT = """
import numpy as np
import nyala
x = np.random.default_rng(0).normal(size=(64000, 64)).astype("float32")
model = nyala.Sequential([nyala.Input((64,)), nyala.layers.Dense(128, "relu"), nyala.layers.Dense(1)])
model.compile("adam", "mse", jit_compile=False)
class Say(nyala.callbacks.Callback):
    batch_interval = None
    def on_train_batch_end(self, batch, logs=None):
        if batch > 500:
            print("training", flush=True)
try:
    model.fit(x, x[:, :1], batch_size=32, epochs=1000, verbose=0, callbacks=[Say()])
except KeyboardInterrupt as error:
    print("stopped", len(model.history.epoch), np.isfinite(model.predict(x[:8], verbose=0)).all(), error, flush=True)
"""


@pytest.mark.slow
def test_a_real_process_stops_within_half_a_second():
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    try:
        for _ in range(3):
            assert process.stdout.readline() == "training\n"
        process.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        while (line := process.stdout.readline()).startswith("training"):
            pass
        seconds = time.monotonic() - pressed
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.stdout.close()
    assert line.startswith("stopped")
    assert " True Training stopped in epoch" in line
    assert seconds < 0.5 + 0.5  # and the first prediction, which is traced
