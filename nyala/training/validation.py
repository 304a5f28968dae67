"""Validation inside `fit`: one set of data or several, at the end of epochs and every so many steps."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.training.arrays import is_arrays, unpack_x_y_sample_weight
from nyala.training.distribution import assign_copies, copies
from nyala.training.feeds import Feed, make_feed
from nyala.training.loops import steps_in_epoch


class Validation:
    """The validation of one `fit`: its feeds by the prefix of their logs, and when they are evaluated.

    The logs of the only set are `val_loss` and so on; those of several sets `val_<name>_loss`.
    """

    def __init__(
        self, model: Any, data: Any, batch_size: int | None, steps: int | None, frequency: Any, every: int | None
    ) -> None:
        self.model, self.steps, self.frequency, self.every = model, steps, frequency, every
        _check_frequency(frequency)
        if every is not None and (isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1):
            raise ValueError(f"validation_every is a positive number of steps, but got {every!r}.")
        self.feeds = {
            prefix: self._feed(part, batch_size, where) for prefix, where, part in _sets(data) if part is not None
        }
        if every is not None and not self.feeds:
            raise ValueError(
                f"validation_every={every} needs validation data; pass validation_data or validation_split."
            )
        self._found: tuple[int, dict[str, float]] = (0, {})  # the last logs, and behind which step of the epoch

    def _feed(self, data: Any, batch_size: int | None, where: str) -> Feed:
        x, y, sample_weight = unpack_x_y_sample_weight(data) if isinstance(data, (tuple, list)) else (data, None, None)
        streams = isinstance(x, tf.data.Dataset) or (y is None and not hasattr(x, "__array__") and not is_arrays(x))
        feed = make_feed(x, y, sample_weight, None if streams else batch_size)
        self.model._check_targets(feed, f"y of {where}")
        steps_in_epoch(feed, self.steps)  # refuses a source without end
        return feed

    def ready(self) -> None:
        """Refuse data that does not fit, before any step."""
        for feed in self.feeds.values():
            try:
                self.model._plan("test").ready(feed, steps_in_epoch(feed, self.steps))
            except (TypeError, ValueError) as error:
                kind = TypeError if isinstance(error, TypeError) else ValueError  # a subclass may take other arguments
                raise kind(f"validation_data does not fit: {error}") from error

    def log_names(self, names: list[str]) -> list[str]:
        """What the logs of validation are called where those of training have `names`."""
        return [prefix + name for prefix in self.feeds for name in names]

    def within_epoch(self, step: int, callbacks: Any) -> dict[str, float]:
        """The logs behind `step` steps of an epoch, where validation is due there; training metrics stay as they are."""
        if self.every is None or step % self.every:
            return {}
        variables = [variable for metric in self.model.metrics for variable in metric.variables]
        before = copies(variables)
        self._found = (step, self._evaluate(callbacks))
        for variable, value in zip(variables, before, strict=True):
            assign_copies(variable, value)
        return self._found[1]

    def behind_epoch(self, epoch: int, step: int, callbacks: Any) -> dict[str, float]:
        """The logs at the end of an epoch of `step` steps: of a validation now, or of the last one within the epoch."""
        (seen, found), self._found = self._found, (0, {})
        if seen == step or not self.feeds or not _is_due(epoch, self.frequency):
            return found
        return self._evaluate(callbacks)

    def _evaluate(self, callbacks: Any) -> dict[str, float]:
        return {
            prefix + name: value
            for prefix, feed in self.feeds.items()
            for name, value in self.model._evaluate(feed, self.steps, callbacks).items()
        }


def _sets(data: Any) -> list[tuple[str, str, Any]]:
    """For each set of data the prefix of its logs, what messages call it, and the data."""
    if not _is_named_sets(data):
        return [("val_", "validation_data", data)]
    for name in data:
        if not isinstance(name, str) or not name:
            raise ValueError(f"The names of validation sets are strings, but got {name!r}.")
    return [(f"val_{name}_", f"validation_data[{name!r}]", part) for name, part in data.items()]


def _is_named_sets(data: Any) -> bool:
    """Whether a dict holds sets of data (tuples, datasets, generators) rather than arrays, which are inputs by name."""
    if not isinstance(data, Mapping) or not data:
        return False
    sets = {name: isinstance(part, tuple) or not is_arrays(part) for name, part in data.items()}
    if any(sets.values()) and not all(sets.values()):
        array = next(name for name, is_set in sets.items() if not is_set)
        raise ValueError(
            f"validation_data is a dict of sets, each (x, y), (x, y, sample_weight) or a dataset, but {array!r} holds arrays "
            f"without targets; write {array!r}: (x, y)."
        )
    return all(sets.values())


def _check_frequency(frequency: Any) -> None:
    if isinstance(frequency, (bool, str)) or not isinstance(frequency, (int, np.integer, Container)):
        raise ValueError(f"validation_freq is a number of epochs or a list of epochs, but got {frequency!r}.")
    if isinstance(frequency, (int, np.integer)) and frequency < 1:
        raise ValueError(f"validation_freq is a positive number of epochs, but got {frequency}.")


def _is_due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, (int, np.integer)):
        return (epoch + 1) % frequency == 0
    return (epoch + 1) in frequency
