"""How long a fresh interpreter takes until the library is imported."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.job import Inputs, Job, Run


@dataclass(frozen=True)
class ImportRow:
    """`python -c "import …"` from start to end of the process; its inputs are none, and no answer is to be compared."""

    name: str = "import"
    what: str = 'python -c "import nyala", and the same for each peer'
    unit: str = "process"
    answer: str = "nothing"
    tolerance: float = 0.0
    repeats: int = 3
    contenders: tuple[str, ...] = ("nyala", "keras-tensorflow", "keras-jax", "keras-torch", "tensorflow")

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return {}

    def run(self, job: Job) -> Run:
        first, *seconds = [time_import(job.contender.modules[0]) for _ in range(1 + job.repeats)]
        return Run(seconds, first=first)


def time_import(module: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


ROWS = (ImportRow(),)
