"""A run that was interrupted and started again ends at the bits of a run that never was."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from tests.training import resume_script
from tests.training.resume_script import Interrupted, train

KINDS = (
    "batches",
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("arrays", "dataset", "endless dataset", "generator")),
)


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_twice(kind: str, tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir()
    pieces.mkdir()
    expected = train(whole, kind, backup=False)
    assert len(expected["history"]["loss"]) >= 3
    for stop in (6, 11):  # between two backups of the first epoch, and in a later one
        with pytest.raises(Interrupted):
            train(pieces, kind, stop)
    assert train(pieces, kind) == expected
    assert not (pieces / "backup").exists()


def test_backups_of_epochs(tmp_path: Path) -> None:
    """Where every epoch ends with a backup, the last two are kept, and stay where that is wanted."""
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")

    def run(epochs: int) -> Any:
        nyala.utils.set_random_seed(1)
        model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1)])
        model.compile("sgd", "mse")
        keep = nyala.callbacks.BackupAndRestore(tmp_path / "b", double_checkpoint=True, delete_checkpoint=False)
        return model.fit(x, y, epochs=epochs, verbose=0, callbacks=[keep])

    assert run(2).epoch == [0, 1]
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["earlier.npz", "latest.npz"]
    assert run(4).epoch == [0, 1, 2, 3]
    (tmp_path / "b" / "latest.npz").unlink()  # as if it was lost: the one before it serves
    assert run(4).epoch == [0, 1, 2, 3]


def test_interrupted_behind_the_last_step_of_an_epoch(tmp_path: Path) -> None:
    """In the validation, when nothing of the epoch is left to train: its logs are those of the steps before."""
    x, y = np.arange(16, dtype="float32").reshape(8, 2) / 16, np.ones((8, 1), "float32")

    class Interrupts(nyala.callbacks.Callback):
        at = 0

        def on_test_begin(self, logs: Any = None) -> None:
            self.at += 1
            if self.at == stop:
                raise Interrupted

        def get_state(self) -> dict[str, Any]:
            return {}

    def run(folder: str) -> Any:
        nyala.utils.set_random_seed(1)
        model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        callbacks = [nyala.callbacks.BackupAndRestore(tmp_path / folder, save_freq=2), Interrupts()]
        return model.fit(x, y, 2, epochs=3, verbose=0, validation_data=(x, y), callbacks=callbacks).history

    stop = 0
    expected = run("whole")
    stop = 2
    with pytest.raises(Interrupted):
        run("pieces")
    stop = 0
    assert run("pieces") == expected


def test_a_backup_of_another_training_is_refused(tmp_path: Path) -> None:
    x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")

    def run(units: int, *others: Any) -> None:
        model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(units), nyala.layers.Dense(1)])
        model.compile("sgd", "mse")
        keep = nyala.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
        model.fit(x, y, epochs=1, verbose=0, callbacks=[keep, *others])

    run(3)
    with pytest.raises(ValueError, match=r"is of another training: its variables are \[\(2, 3\)"):
        run(4)
    with pytest.raises(ValueError, match=r"its callbacks are .* Delete it, or give each training a folder"):
        run(3, nyala.callbacks.TerminateOnNaN())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "needs the name of a folder"),
        (("b", 0), "positive number of batches, but got 0"),
        (("b", "step"), "'step'"),
    ],
)
def test_mistakes(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nyala.callbacks.BackupAndRestore(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrays", "dataset", "batches"])
def test_killed_at_random_moments(kind: str, tmp_path: Path) -> None:
    """A real process, killed with `kill -9` at twenty random moments: any time from its start to the end of training."""
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir()
    pieces.mkdir()
    command = [sys.executable, "-W", "ignore", resume_script.__file__]
    started = time.monotonic()
    subprocess.run([*command, str(whole), kind, "-1"], check=True, cwd=Path(__file__).parents[2])
    longest = time.monotonic() - started
    draws = random.Random(kind)
    for number in range(20):
        by_itself = number % 2 == 0  # half of them die at a batch, so that training does go on
        stop = str(draws.randint(1, 12)) if by_itself else "-1"
        process = subprocess.Popen([*command, str(pieces), kind, stop], cwd=Path(__file__).parents[2])
        try:
            process.wait(None if by_itself else draws.uniform(0.7, 1.0) * longest)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode == 0:
            break
    else:
        subprocess.run([*command, str(pieces), kind, "-1"], check=True, cwd=Path(__file__).parents[2])
    assert json.loads((pieces / "result.json").read_text()) == json.loads((whole / "result.json").read_text())
