"""Saving a model to a `.keras` file, and loading it: one of 100 MB, and one of 300 small layers.

The files lie in memory where the system offers that (`/dev/shm`), so that what differs is the library, not the disk.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import Inputs, Job, Run, peak_mb

MODELS = {"large": (2048, 6, "a model of 100 MB in 6 layers"), "many": (8, 300, "a model of 300 small layers")}


@dataclass(frozen=True)
class SavingRow:
    """The answer is the sum of the weights of the model that was loaded last; memory is that of the timed units."""

    size: str
    loads: bool
    tolerance: float = 1e-5
    repeats: int = 3
    unit: str = "file"
    answer: str = "sum of weights"
    contenders: tuple[str, ...] = ("nyala", "keras-tensorflow")

    @property
    def name(self) -> str:
        return f"{'load' if self.loads else 'save'}_{self.size}"

    @property
    def what(self) -> str:
        return f"{'loading' if self.loads else 'saving'} {MODELS[self.size][2]}, `.keras`, files in memory"

    def inputs(self, generator: np.random.Generator) -> Inputs:
        units = MODELS[self.size][0]
        return {"kernel": generator.standard_normal((units, units), "float32")}

    def run(self, job: Job) -> Run:
        keras = importlib.import_module(str(job.contender.front))
        units, count, _ = MODELS[self.size]
        layers = [keras.layers.Dense(units, name=f"layer_{place}") for place in range(count)]
        model = keras.Sequential([keras.Input((units,)), *layers])
        for place, layer in enumerate(layers):
            layer.set_weights([job.inputs["kernel"] + place, np.full(units, place, "float32")])
        in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="benchmark-", dir=in_memory) as folder:
            path = Path(folder, "model.keras")
            model.save(path)
            if self.loads:
                del model, layers, layer
                model = None
            first = self.timed(keras, model, path)
            ready = time.time() - job.started
            forget_peak()
            seconds = [self.timed(keras, model, path) for _ in range(job.repeats)]
            peak = peak_mb()
            answer = float(sum(w.sum(dtype="float64") for w in keras.saving.load_model(path).get_weights()))
        return Run(seconds, first, ready, answer, peak)

    def timed(self, keras: Any, model: Any, path: Path) -> float:
        start = time.perf_counter()
        if self.loads:
            keras.saving.load_model(path)
        else:
            model.save(path)
        return time.perf_counter() - start


def forget_peak() -> None:
    """Have the system count this process's largest size from here on; where it cannot, the size since the start counts."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


ROWS = tuple(SavingRow(size, loads) for size in MODELS for loads in (False, True))
