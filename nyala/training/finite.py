"""A loss that is not finite: in which step it came up, and where in the model.

A counter on the device counts the steps whose loss so far is finite, so that the first other one is known whenever a
chunk ends. The weights are copied now and then, for half a percent of the time; from such a copy the step is replayed.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.core.engine import tf
from nyala.core.variable import Variable
from nyala.training.feeds import DatasetFeed, Feed, LargeFeed, ResidentFeed, StreamedFeed
from nyala.training.origin import bad_rows, origin

SHARE_OF_COPIES = 0.005  # of the time
LARGEST_COPY = 2**28  # bytes
CHUNKS_KEPT = 4  # of a stream
SECONDS_OF_SEARCH = 5.0  # in a dataset that gives other batches each time
PARTS = ("x", "y", "sample_weight")


def finite_steps() -> Variable:
    """A counter of the steps of an epoch before the first whose loss is not finite."""
    return Variable(
        np.zeros((), "int64"), trainable=False, aggregation="sum", synchronization="on_read", name="finite_steps"
    )


class Copies:
    """The values of variables as they were a little while ago, when all of them were finite."""

    def __init__(self, variables: list[Any]) -> None:
        self.variables = variables
        size = sum(math.prod(v.shape) * tf.dtypes.as_dtype(v.dtype).size for v in variables)
        self.wanted = size <= LARGEST_COPY and not tf.distribute.has_strategy()
        self.values: list[np.ndarray] = []
        self.place = (0, 0)  # epoch and step
        self._due = 0.0

    def take(self, epoch: int, step: int) -> None:
        """Copy, unless the last copy was so recent that time would go by copying."""
        started = time.perf_counter()
        if not self.wanted or started < self._due:
            return
        values = [variable.numpy() for variable in self.variables]
        if first_bad(self.variables, values) is None:
            self.values, self.place = values, (epoch, step)
        now = time.perf_counter()
        self._due = now + (now - started) / SHARE_OF_COPIES


def first_bad(variables: list[Any], values: list[np.ndarray]) -> Any:
    """The first variable with a value that is not finite; None where there is none."""
    for variable, value in zip(variables, values, strict=True):
        if tensor.is_float(variable.dtype) and not np.isfinite(value.astype("float32", copy=False)).all():
            return variable
    return None


class FiniteWatch:
    """Looks at the loss whenever a chunk of training steps ends, and says once in a `fit` that it is not finite."""

    def __init__(self, model: Any, plan: Any, position: Any, total: int | None) -> None:
        self.model, self.plan, self.position, self.total = model, plan, position, total
        self.feed: Feed = position.feed
        self.told = False
        self._copies: Copies | None = None
        self._recent: list[Any] = []  # the last chunks of a stream

    def start_epoch(self) -> None:
        """Count the finite steps of this epoch."""
        self.model._compiled.finite_steps.assign(self.position.done)

    def before(self, step: int) -> None:
        """Keep what a replay would start from."""
        if self.told:
            return
        if self._copies is None:
            if isinstance(self.feed, StreamedFeed) and not self.model.built:
                specs = self.feed.peek()
                if specs is not None:
                    self.model._prepare("train")(specs)
            self._copies = Copies(self.position._variables())
        self._copies.take(self.position.epoch, step)

    def after(self, first: int, ran: int, logs: Any) -> None:
        """Warn where the loss of the chunk is not finite."""
        if isinstance(self.feed, StreamedFeed):
            self._recent = [*self._recent[1 - CHUNKS_KEPT :], self.feed.last]
        loss = logs.get("loss")
        if self.told or not isinstance(loss, float) or math.isfinite(loss):
            return
        self.told = True
        step = self._first_bad_step(first, ran)
        warnings.warn(self._report(loss, step, first), stacklevel=8)

    def _first_bad_step(self, first: int, ran: int) -> int | None:
        if self.model._has_own("train_step"):
            return first if ran == 1 else None  # a step of the user's own counts nothing
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return min(max(int(self.model._compiled.finite_steps.numpy()) // replicas, first), first + ran - 1)

    def _report(self, loss: float, step: int | None, first: int) -> str:
        at = f"in the steps from {first + 1} on" if step is None else f"from step {step + 1} on"
        text = f"The loss of `{self.model.name}` is {loss} in epoch {self.position.epoch + 1} {at}"
        assert self._copies is not None
        after = [variable.numpy() for variable in self._copies.variables]
        try:
            found = None if step is None else self._replayed(step, first)
        except Exception:  # a model that cannot be replayed trains on like any other
            found = None
        finally:
            for variable, value in zip(self._copies.variables, after, strict=True):
                variable.assign(value)
        return f"{text}: {found or self._guess(after)}"

    # ---- The replay ----

    def _replayed(self, step: int, first: int) -> str | None:
        """Where in that step, or in the update of the one before it, a number that is not finite came up first."""
        assert self._copies is not None
        for place in (step, step - 1):
            if place < 0 or not (self._go_to(place, first) or not self._copies.values):
                continue
            for batch in self._batches(place, place + 1, first):
                if not self._copies.values:  # only the data can be looked at
                    return self._in_data(batch)
                found = origin(self.model, self.plan, batch)
                if found is not None:
                    return self._in_data(batch) or found
        return None

    def _go_to(self, step: int, first: int) -> bool:
        """Give the variables their values before a step, or those of the copy; whether they are finite then."""
        copies = self._copies
        assert copies is not None
        if not copies.values:
            return False
        for variable, value in zip(copies.variables, copies.values, strict=True):
            variable.assign(value)
        epoch, done = copies.place
        if epoch == self.position.epoch and isinstance(self.feed, ResidentFeed):
            while done < step:
                done += self.plan.run(self.feed, done, step - done, self.total)[0]
        elif epoch == self.position.epoch:
            for batch in self._batches(done, step, first):
                self.plan.one(batch)
        return first_bad(copies.variables, [variable.numpy() for variable in copies.variables]) is None

    def _batches(self, start: int, stop: int, first: int) -> Iterator[Any]:
        """The batches of these steps, where they can be had again; `first` is the step that the last chunk began with."""
        if isinstance(self.feed, LargeFeed):
            chunks = (self.feed.chunk(step, 1) for step in range(start, stop))
            yield from (batch for chunk in chunks if chunk is not None for batch in chunk.batches())
        elif isinstance(self.feed, ResidentFeed):
            yield from (self.plan._rows(self.feed, step) for step in range(start, stop))
        elif isinstance(self.feed, DatasetFeed):
            yield from self.feed.dataset.skip(max(self.feed.taken + start - first, 0)).take(stop - start)
        else:
            kept = [batch for chunk in self._recent for batch in chunk.batches()]
            before = first + self._recent[-1].count - len(kept)  # the step that the oldest of them began with
            yield from kept[start - before : stop - before] if start >= before else []

    def _in_data(self, batch: Any) -> str | None:
        """Which array holds what is not finite, and in which rows."""
        resident = isinstance(self.feed, ResidentFeed)
        host = self.feed.host if isinstance(self.feed, ResidentFeed) else batch
        parts = batch if isinstance(batch, tuple) else (batch,)
        if not any(bad_rows(leaf) for leaf in tree.flatten(parts)):
            return None
        for path, leaf in tree.flatten_with_path(dict(zip(PARTS, host if isinstance(host, tuple) else (host,)))):
            rows = bad_rows(leaf)
            if rows:
                name = path[0] + "".join(f"[{key!r}]" for key in path[1:])
                return (
                    f"`{name}` holds NaN or infinity in {len(rows)} of {len(leaf)} rows{'' if resident else ' of that batch'}, "
                    f"the first at {rows[0]}. Replace these values or drop these rows."
                )
        return None

    def _in_another_pass(self) -> str | None:
        """What a dataset that gives its batches in another order each time holds."""
        if not isinstance(self.feed, DatasetFeed):
            return None
        deadline = time.monotonic() + SECONDS_OF_SEARCH
        for number, batch in enumerate(self.feed.dataset):
            found = self._in_data(batch)
            if found is not None:
                return f"another pass over the dataset shows it in batch {number + 1}: {found}"
            if time.monotonic() > deadline:
                break
        return None

    def _guess(self, values: list[np.ndarray]) -> str:
        """What can be said without a replay."""
        found = self._in_another_pass()
        if found is not None:
            return found
        assert self._copies is not None
        weights = set(map(id, self.model.variables))
        places = [place for place, variable in enumerate(self._copies.variables) if id(variable) in weights]
        bad = first_bad([self._copies.variables[place] for place in places], [values[place] for place in places])
        weight = "" if bad is None else f" the first weight that is not finite by now is `{bad.path}`."
        known = (
            self.feed.host if isinstance(self.feed, ResidentFeed) else [chunk.batches() for chunk in self._recent[-1:]]
        )
        finite = not any(bad_rows(leaf) for leaf in tree.flatten(known))
        data = (
            "though the data is finite;" if known is not None and finite else "though its step could not be replayed;"
        )
        cures = "Lower the learning rate, clip gradients with `clipnorm`, and look for NaN in the data."
        return f"{data}{weight} {cures}"
