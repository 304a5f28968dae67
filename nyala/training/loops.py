"""One pass over a feed: chunks of steps, with callbacks between them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from nyala.core import settings, tree
from nyala.training import interrupts
from nyala.training.callback import CallbackList
from nyala.training.distribution import agreed
from nyala.training.feeds import DatasetFeed, Feed, ResidentFeed, StreamedFeed
from nyala.training.plans import Plan

SECONDS_A_CHUNK = 0.2  # long enough to forget Python, short enough for a live display and Ctrl-C


class Between:
    """What happens between the chunks of a pass besides callbacks: nothing, unless `fit` says what."""

    done = 0  # steps that an earlier process ran of this pass
    logs: Mapping[str, Any] = MappingProxyType({})  # of those steps
    stopped = False
    intervals: tuple[int, ...] = ()  # chunks end at multiples of these

    def before(self, first: int) -> None:
        """Called before a chunk that starts with step `first`."""

    def after(self, first: int, ran: int, logs: dict[str, Any]) -> None:
        """Called behind a chunk, before callbacks hear its logs, which may be added to."""

    def settled(self, done: int) -> None:
        """Called when all callbacks have heard of a chunk."""


class Pace:
    """How many steps the next chunk takes: as many as fill a fraction of a second, or as many as somebody asked for.

    Where the steps of a chunk are computed as one, they are always `as_one`, since their number shows in the last bits.
    """

    def __init__(self, steps_per_execution: int, intervals: tuple[int, ...], as_one: int = 0, length: int = 1) -> None:
        self.fixed = steps_per_execution if steps_per_execution > 1 else None
        self.intervals, self.as_one = intervals, as_one
        self.length = as_one or length  # of the first chunk

    def next(self, done: int, steps: int | None, to_go: int | None = None) -> int:
        """The length of the chunk that starts behind `done` steps, where somebody must hear after `to_go` more."""
        if self.fixed is not None:
            length = self.fixed
        else:
            length = min([self.length, to_go or self.length, *(n - done % n for n in self.intervals)])
        return length if steps is None else min(length, steps - done)

    def learn(self, ran: int, seconds: float) -> None:
        """Take note of how long a chunk took."""
        if self.as_one:
            return
        goal = SECONDS_A_CHUNK * ran / max(seconds, 1e-6)
        self.length = int(min(max(goal, 1), self.length * 8))


def run_epoch(
    plan: Plan,
    feed: Feed,
    steps: int | None,
    total: int | None,
    callbacks: CallbackList,
    kind: str,
    between: Between | None = None,
) -> Any:
    """Run the steps of a pass, or what is left of it, chunk by chunk; the last logs, or the outputs of all.

    `total` is the number of steps that are to come in all passes, by which a plan is chosen.
    """
    begin, end = getattr(callbacks, f"on_{kind}_batch_begin"), getattr(callbacks, f"on_{kind}_batch_end")
    between = between or Between()
    as_one = plan.as_one(feed, feed.batches or 0) if isinstance(feed, ResidentFeed) else 0
    pace = Pace(plan.settings.steps_per_execution, between.intervals, as_one, feed.chunk_length)
    collected: list[Any] = []
    logs = dict(between.logs)
    done = between.done
    feed.expect(None if steps is None else steps - done)
    try:
        while steps is None or done < steps:
            begin(done)
            between.before(done)
            started = time.perf_counter()
            length = pace.next(done, steps, callbacks.batches_to_go(kind, done))
            ran, result = plan.run(feed, done, length, total)
            if ran == 0:
                break
            if kind == "predict":
                collected.append(tree.map_structure(lambda t: t.numpy(), result))
                logs = {"outputs": result}
            else:
                logs = plain_logs(result)
            pace.learn(ran, agreed(time.perf_counter() - started))
            between.after(done, ran, logs)
            done += ran
            feed.taken += ran
            end(done - 1, logs)
            between.settled(done)
            interrupts.check()
            if between.stopped:
                break
    except BaseException:
        feed.close()  # workers end at once
        callbacks.on_error()
        raise
    feed.chunk_length = pace.length  # so the next epoch begins with it
    feed.end_epoch()
    _check_count(done, None if between.stopped else steps, first=feed.passes < 2 and not feed.taken)
    return collected if kind == "predict" else logs


def _check_count(done: int, steps: int | None, first: bool) -> None:
    if done == 0 and first:
        raise ValueError("The data is empty: its source gave no batch. A generator that ran once gives nothing again.")
    if done == 0:
        warnings.warn(
            "The data ended: nothing is left for another epoch, so training stops. A generator gives its batches once; share "
            "them among the epochs by steps_per_epoch, or pass a PyDataset.",
            stacklevel=7,
        )
        return
    if steps is not None and done < steps:
        warnings.warn(
            f"The data ended after {done} of {steps} batches; give a source that is long enough, call `.repeat()` on a "
            "dataset, or lower steps_per_epoch.",
            stacklevel=7,
        )


def begin_epoch(feed: Feed, steps_given: int | None, first: bool) -> None:
    """Start the data anew, unless a given number of steps makes an epoch of a longer source."""
    if steps_given is not None and not first and isinstance(feed, (DatasetFeed, StreamedFeed)):
        feed.continue_epoch()
    else:
        feed.start_epoch()


def steps_in_epoch(feed: Feed, given: int | None) -> int | None:
    """How many steps a pass has; None where only its end will show. Raises ValueError for data without end."""
    steps, limit = _steps_wanted(feed, given), settings.max_steps_per_epoch()
    if limit is None or (steps is not None and steps <= limit):
        return steps
    warnings.warn(f"`set_max_steps_per_epoch` limits this pass over the data to {limit} batches.", stacklevel=3)
    return limit


def _steps_wanted(feed: Feed, given: int | None) -> int | None:
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
            raise ValueError(f"The number of steps is a positive integer, but got {given!r}.")
        return int(given) if not isinstance(feed, ResidentFeed) else min(int(given), feed.batches or 0)
    if getattr(feed, "infinite", False) and settings.max_steps_per_epoch() is None:
        raise ValueError(
            "The dataset has no end; say how many batches make an epoch with `steps_per_epoch`, `validation_steps` or `steps`."
        )
    return feed.batches


def plain_logs(logs: Any) -> dict[str, Any]:
    """Logs as Python floats, by name; arrays stay arrays."""
    if logs is None:
        return {}
    if not isinstance(logs, Mapping):
        raise TypeError(f"A step returns a dict of logs by name, but got {type(logs).__name__}.")
    values = {name: np.asarray(value) for name, value in logs.items()}
    return {name: float(v) if v.ndim == 0 else v for name, v in values.items()}
