"""`train_on_batch` in a loop, every batch of a size that was not there before."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.contenders import CONTENDERS
from benchmarks.fit import FitRow
from benchmarks.job import Inputs, Job, Run, peak_mb
from benchmarks.rows.mlp import MLP

Step = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class BatchesRow:
    """Two batches that are not counted, then `calls` in each timed unit. The answer is the loss of the last batch.

    `Run.traced` counts how often Python ran through the model in the timed units: each is a trace, but for those who
    compile nothing, where each is a call.
    """

    of: FitRow = MLP
    name: str = "train_on_batch"
    what: str = "train_on_batch, MLP, each batch of a new size"
    calls: int = 10
    repeats: int = 2  # few, since a compiler may need half a second for each size
    unit: str = "call"
    answer: str = "final loss"
    tolerance: float = 1e-4
    contenders: tuple[str, ...] = tuple(name for name in CONTENDERS if name != "torch-compile")

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return {**self.of.inputs(generator), "sizes": 8 + generator.permutation(2 + self.calls * self.repeats)}

    def run(self, job: Job) -> Run:
        passes: list[int] = []
        step = self.step_front(job, passes) if job.contender.front else self.step_by_hand(job, passes)
        first_two, *units = np.split(job.inputs["sizes"], range(2, 2 + job.repeats * self.calls, self.calls))
        start = time.time()
        self.time_calls(step, job, first_two)
        first_end = time.time()
        before = len(passes)
        timed = [self.time_calls(step, job, sizes[: self.calls]) for sizes in units]
        return Run(
            seconds=[seconds for seconds, _ in timed],
            first=first_end - start,
            ready=first_end - job.started,
            answer=timed[-1][1],
            peak_mb=peak_mb(),
            traced=len(passes) - before,
        )

    def time_calls(self, step: Step, job: Job, sizes: np.ndarray) -> tuple[float, float]:
        """Seconds a call, and the last loss."""
        loss = np.nan
        start = time.perf_counter()
        for size in sizes:
            loss = step(job.inputs["x"][:size], job.inputs["y"][:size])
        return (time.perf_counter() - start) / len(sizes), loss

    def step_front(self, job: Job, passes: list[int]) -> Step:
        keras = importlib.import_module(str(job.contender.front))

        class Counted(keras.layers.Layer):
            def call(self, x: Any) -> Any:
                passes.append(1)
                return x

        def model(keras: Any) -> Any:
            return keras.Sequential([self.of.model(keras), Counted()])

        trained = replace(self.of, model=model).compiled_model(keras, job.inputs)
        return lambda x, y: float(trained.train_on_batch(x, y))

    def step_by_hand(self, job: Job, passes: list[int]) -> Step:
        def forward(ops: Any, weights: Sequence[Any], x: Any) -> Any:
            passes.append(1)
            return self.of.forward(ops, weights, x)

        return job.by_hand(replace(self.of, forward=forward)).steps()


ROWS = (BatchesRow(),)
