"""The parent's part: run every contender in its own process, round after round, and judge what came back."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contenders import DEVICES, Contender
from benchmarks.job import Row, Run

ROOT = Path(__file__).parent.parent
SEED = 20
LONGEST_RUN = 900  # seconds for one process; what takes longer is not worth waiting for


@dataclass
class Outcome:
    """All runs of one contender, or why there are none."""

    runs: list[Run] = field(default_factory=list)
    error: str | None = None


def measure(
    row: Row,
    contenders: Sequence[Contender],
    rounds: int,
    repeats: int | None = None,
    device: str = "cpu",
    tell: Callable[[str], None] = lambda message: None,
) -> dict[str, Outcome]:
    """Run the contenders of a row in turn, `rounds` times over: A B C A B C, so that a slow minute hits all of them."""
    outcomes = {contender.name: Outcome() for contender in contenders}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for name, array in row.inputs(np.random.default_rng(SEED)).items():
            np.save(Path(folder, f"{name}.npy"), array)
        for number in range(1, rounds + 1):
            for contender in contenders:
                outcome = outcomes[contender.name]
                if outcome.error is None:
                    tell(f"{row.name}: round {number} of {rounds}, {contender.label}")
                    job = {"row": row.name, "contender": contender.name, "folder": folder, "device": device}
                    _run_once(contender, {**job, "repeats": repeats or row.repeats}, outcome)
    return outcomes


def _run_once(contender: Contender, job: dict[str, Any], outcome: Outcome) -> None:
    """Start one process with its job as the last argument; add its report, or the error, to the outcome."""
    environment = {**os.environ, **DEVICES[job["device"]], **contender.environment}
    command = [*contender.command, json.dumps({**job, "started": time.time()})]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST_RUN, check=False
        )
    except subprocess.TimeoutExpired:
        outcome.error = f"took more than {LONGEST_RUN} seconds"
        return
    if done.returncode != 0:
        outcome.error = _last_line(done.stderr) or f"ended with exit status {done.returncode}"
        return
    try:
        outcome.runs.append(Run(**json.loads(_last_line(done.stdout))))
    except (ValueError, TypeError):
        outcome.error = f"reported no result, but {_last_line(done.stdout)!r}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""


def why_void(row: Row, outcomes: Mapping[str, Outcome]) -> str | None:
    """Why a row says nothing about speed: its contenders did not do the same work. None where they did."""
    answers = {
        name: [run.answer for run in outcome.runs if run.answer is not None] for name, outcome in outcomes.items()
    }
    everything = np.array([answer for each in answers.values() for answer in each])
    if everything.size == 0:
        return None
    if np.isfinite(everything).all() and np.ptp(everything) <= row.tolerance * np.abs(everything).max():
        return None
    seen = ", ".join(f"{name} {median(each):.6g}" for name, each in answers.items() if each)
    return f"{row.answer} is not finite, or differs by more than {row.tolerance:.1%}: {seen}"


def judge(row: Row, outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """The result of a row as plain data: medians over the rounds, and ratios to the first contender that finished.

    A process counts with the median of its timed units, a contender with the median of its processes.
    """
    void = why_void(row, outcomes)
    finished = [name for name, outcome in outcomes.items() if outcome.runs and outcome.error is None]
    contenders = {name: _figures(outcome, speed=void is None) for name, outcome in outcomes.items()}
    if void is None and finished:
        unit_time = contenders[finished[0]]["median"]
        for name in finished:
            contenders[name]["ratio"] = contenders[name]["median"] / unit_time
    return {
        "row": row.name,
        "what": row.what,
        "unit": row.unit,
        "answer": row.answer,
        "tolerance": row.tolerance,
        "void": void,
        "reference": finished[0] if finished else None,
        "contenders": contenders,
    }


def _figures(outcome: Outcome, speed: bool) -> dict[str, Any]:
    figures: dict[str, Any] = {"error": outcome.error, "runs": [vars(run) for run in outcome.runs]}
    if outcome.error is not None:
        return figures
    for name in ("first", "ready", "peak_mb", "answer", "traced"):
        values = [value for run in outcome.runs if (value := getattr(run, name)) is not None]
        figures[name] = median(values) if values else None
    if speed:
        times = [median(run.seconds) for run in outcome.runs]
        figures |= {"median": median(times), "low": min(times), "high": max(times)}
    return figures
