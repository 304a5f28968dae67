"""Answers from a model that is not trained further: many rows in one call, and one row in a loop of calls."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.fit import FitRow
from benchmarks.job import Inputs, Job, Run, peak_mb
from benchmarks.rows.cnn import CNN
from benchmarks.rows.mlp import MLP
from benchmarks.rows.recurrent import LSTM
from benchmarks.weights import initial_weights

Call = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class PredictRow:
    """A model called on the same rows again and again; the answer is the sum of the outputs' sizes."""

    name: str
    what: str
    of: FitRow  # whose model, data and initial weights
    rows: int  # in one call
    calls: int  # in one timed unit, whose time is divided by this
    call: Callable[[Any], Call]  # a model through Keras's API -> the call
    tolerance: float = 1e-4
    repeats: int = 5
    unit: str = "call"
    answer: str = "sum of outputs"

    @property
    def contenders(self) -> tuple[str, ...]:
        return self.of.contenders

    def inputs(self, generator: np.random.Generator) -> Inputs:
        inputs = self.of.inputs(generator)
        return {**inputs, "x": np.resize(inputs["x"], (self.rows, *inputs["x"].shape[1:]))}

    def run(self, job: Job) -> Run:
        call = self.call_front(job) if job.contender.front else job.by_hand(self.of).predictor()
        x = job.inputs["x"]
        start = time.time()
        answer = float(np.abs(np.asarray(call(x))).sum())
        first_end = time.time()
        return Run(
            seconds=[self.time_calls(call, x) for _ in range(job.repeats)],
            first=first_end - start,
            ready=first_end - job.started,
            answer=answer,
            peak_mb=peak_mb(),
        )

    def time_calls(self, call: Call, x: np.ndarray) -> float:
        start = time.perf_counter()
        for _ in range(self.calls):
            call(x)
        return (time.perf_counter() - start) / self.calls

    def call_front(self, job: Job) -> Call:
        model = self.of.model(importlib.import_module(str(job.contender.front)))
        model.set_weights(initial_weights(job.inputs))
        return self.call(model)


def predict(model: Any) -> Call:
    return lambda x: model.predict(x, verbose=0)


def predict_on_batch(model: Any) -> Call:
    return model.predict_on_batch


def direct(model: Any) -> Call:
    """PyTorch's tensors refuse to become arrays while they have a gradient."""
    return lambda x: as_array(model(x))


def as_array(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


ROWS = (
    PredictRow("predict", "predict, 10,000 rows, MLP", MLP, rows=10_000, calls=5, call=predict),
    PredictRow("predict_one", "predict, one row in a loop, MLP", MLP, rows=1, calls=40, call=predict),
    PredictRow("predict_on_batch_one", "predict_on_batch, one row in a loop, MLP", MLP, 1, 100, predict_on_batch),
    PredictRow("call_one", "model(x), one row in a loop, MLP", MLP, rows=1, calls=200, call=direct),
    PredictRow("call_one_cnn", "model(x), one row in a loop, CNN", CNN, rows=1, calls=100, call=direct),
    PredictRow("call_one_lstm", "model(x), one row in a loop, LSTM", LSTM, rows=1, calls=5, call=direct),
)
