"""`tf.distribute`: replicas and workers train as one device does on the same batches."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training import distribution_script

QUICK = ("one row left",)  # uneven parts, statistics and losses of layers, weights and metrics
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}


def ran(*arguments: str) -> Any:
    """What the script of comparisons prints as its last line."""
    command = [sys.executable, "-m", "tests.training.distribution_script", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_near(found: dict[str, dict[str, float]]) -> None:
    far = {(case, what): value for case, values in found.items() for what, value in values.items() if value > 1e-5}
    assert not far


def test_two_replicas_train_as_one_device_does() -> None:
    found = ran(*QUICK)
    states = found.pop("states")
    assert set(found) == set(QUICK)
    check_near(found)
    assert "was made outside the scope of its MirroredStrategy" in states.pop("mistake")
    assert states.pop("plan") == "train: graph: each batch is shared by replicas of tf.distribute: 2"
    assert states == {"noise differs by replica": True, "noise repeats": True, "copies are equal": True}


@pytest.mark.slow
def test_two_replicas_train_as_one_device_does_in_every_way() -> None:
    found = ran()
    del found["states"]
    assert set(found) == {*distribution_script.CASES, "shared out"}
    check_near(found)


# ---- Two processes ----


class Workers:
    """Two processes that train together, each with its task; they end with the `with` block."""

    def __init__(self, folder: Path, *tasks: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            ports = [str(each.getsockname()[1]) for each in (one, other)]
        command = [sys.executable, "-m", "tests.training.worker_script"]
        self.processes = []
        for place, task in enumerate(tasks):
            with self._errors(place).open("w") as errors:
                full = [*command, str(place), *ports, str(folder), task]
                self.processes.append(subprocess.Popen(full, env=ENVIRONMENT, stderr=errors))

    def _errors(self, place: int) -> Path:
        return self.folder / f"errors_{place}.txt"

    def wait(self, place: int) -> tuple[int, str]:
        """How a worker ended, and what it complained of."""
        code = self.processes[place].wait(timeout=240)
        return code, self._errors(place).read_text()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: Any) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def results(folder: Path, task: str) -> list[Any]:
    """What both workers found, each doing `task`."""
    with Workers(folder, task, task) as workers:
        for place in (0, 1):
            code, errors = workers.wait(place)
            assert code == 0, errors[-3000:]
    return [json.loads((folder / f"{place}.json").read_text()) for place in (0, 1)]


@pytest.mark.slow
def test_two_workers_train_as_one_device_does(tmp_path: Path) -> None:
    for found in results(tmp_path, "compare"):
        check_near(found)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "how"), [(1, "kill"), (0, "kill"), (1, "freeze")])
def test_a_worker_that_is_gone_becomes_a_message_and_both_go_on(tmp_path: Path, place: int, how: str) -> None:
    expected = results(tmp_path / "whole", "train")
    folder = tmp_path / "stopped"
    with Workers(folder, *(("train", how) if place else (how, "train"))) as workers:
        code, errors = workers.wait(1 - place)
        seconds = time.time() - float((folder / "stopped").read_text())
    assert code == 1, errors[-3000:]
    assert f"ConnectionError: Worker {1 - place} lost touch with another one (worker {place} at 127.0.0.1" in errors
    assert seconds < 60
    assert (folder / "backup" / "latest.npz").exists()
    assert results(folder, "train") == expected
    assert not (folder / "backup").exists()
