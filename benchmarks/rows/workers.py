"""How training grows with the number of processes: one worker and two, each with one core, on the same batches.

Each contender trains by `MultiWorkerMirroredStrategy` over the loopback interface: no network, so this shows what the
splitting itself costs.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.fit import FitRow
from benchmarks.job import Inputs, Job, Run
from benchmarks.rows.cnn import ROWS as CNN_ROWS


@dataclass(frozen=True)
class WorkersRow:
    """`count` processes train together on a row's batches; what the first one reports counts."""

    name: str
    count: int
    of: FitRow = CNN_ROWS[0]
    unit: str = "epoch"
    answer: str = "final loss"
    tolerance: float = FitRow.tolerance
    repeats: int = 3
    contenders: tuple[str, ...] = ("nyala",)  # `fit` of Keras 3.15 on TensorFlow refuses two workers

    @property
    def what(self) -> str:
        workers = "one worker" if self.count == 1 else f"{self.count} workers"
        return f"{self.of.what}, on {workers} of one core: {self.of.steps * self.of.batch_size} examples"

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return self.of.inputs(generator)

    def run(self, job: Job) -> Run:
        with tempfile.TemporaryDirectory(prefix="workers-") as folder:
            for name, array in job.inputs.items():
                np.save(Path(folder, f"{name}.npy"), array)
            told = {"contender": job.contender.name, "folder": folder, "repeats": job.repeats, "started": job.started}
            workers = [start(place, ports, told) for ports in [free_ports(self.count)] for place in range(self.count)]
            reports = [worker.communicate() for worker in workers]
        for worker, (_, errors) in zip(workers, reports, strict=True):
            if worker.returncode:
                raise SystemExit(errors)
        return Run(**json.loads(reports[0][0].splitlines()[-1]))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(place: int, ports: list[int], told: dict[str, Any]) -> subprocess.Popen[str]:
    """One worker of a cluster."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"cluster": cluster, "task": {"type": "worker", "index": place}}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.rows.workers", json.dumps({**told, "place": place})],
        env={**os.environ, "TF_CONFIG": json.dumps(task)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def work(told: dict[str, Any]) -> Run:
    """What one worker does, on one core."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[told["place"] % len(cores)]})
    keras = importlib.import_module(str(CONTENDERS[told["contender"]].front))
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    inputs = {path.stem: np.load(path) for path in Path(told["folder"]).glob("*.npy")}
    job = Job(CONTENDERS[told["contender"]], inputs, told["repeats"], "cpu", told["started"])
    with tf.distribute.MultiWorkerMirroredStrategy().scope():
        return ROWS[0].of.run_fit(keras, job)


ROWS = (WorkersRow("one_worker", 1), WorkersRow("two_workers", 2))

if __name__ == "__main__":
    print(json.dumps(asdict(work(json.loads(sys.argv[1])))))
