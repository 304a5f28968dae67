"""What the parent and its children tell each other: a row of work, the job of one process, and what it reports."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.contenders import Contender

Inputs = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Job:
    """One process's share of a row."""

    contender: Contender
    inputs: Inputs
    repeats: int  # timed units
    device: str  # "cpu" or "gpu"
    started: float  # when the parent started the process, by `time.time()`

    def by_hand(self, row: Any) -> Any:
        """The contender's way to do a row of training without Keras's API: its `ByHand`."""
        return importlib.import_module(f"benchmarks.by_hand.with_{self.contender.hand}").ByHand(row, self)


@dataclass(frozen=True)
class Run:
    """What one process reports, as one line of JSON."""

    seconds: list[float]  # of each timed unit
    first: float | None = None  # seconds of the unit before them, which is not counted: it traces and compiles
    ready: float | None = None  # seconds from the start of the process to the end of that first unit
    answer: float | None = None
    peak_mb: float | None = None  # the largest resident size of the process
    traced: int | None = None  # how often Python ran through the model in the timed units


class Row(Protocol):
    """One piece of work that is measured."""

    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str:
        """The work in one line."""
        ...

    @property
    def unit(self) -> str:
        """`Run.seconds` are per epoch, per call, …"""
        ...

    @property
    def answer(self) -> str:
        """What all contenders must agree on, such as the final loss."""
        ...

    @property
    def tolerance(self) -> float:
        """By how much the answers may differ, relative to the largest."""
        ...

    @property
    def repeats(self) -> int:
        """Timed units in one process."""
        ...

    @property
    def contenders(self) -> Sequence[str]:
        """Names of those who know this work."""
        ...

    def inputs(self, generator: np.random.Generator) -> Inputs:
        """In the parent: the data and the initial weights that all contenders get."""
        ...

    def run(self, job: Job) -> Run:
        """In the child: the work."""
        ...


def peak_mb() -> float | None:
    """The largest resident size this process has had; None where the system does not say.

    Not `resource.getrusage`: on Linux its answer starts at the size of the parent.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
