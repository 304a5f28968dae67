"""`Progbar`: how far a loop has come, as one line that is written anew."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from nyala.core.settings import is_interactive_logging_enabled
from nyala.training.progress import format_duration, format_logs


class Progbar:
    """A bar in a terminal (`verbose=1`), a line at the end (2) or nothing (0) for a loop of `target` steps.

    Values are shown as their means over the steps, those named in `stateful_metrics` as they are (with
    `stateless_metrics`, all but the named ones); at the last step all are shown as they are. `interval` is the least
    number of seconds between two bars. Raises ValueError for both lists at once.

    Example:
        >>> import nyala
        >>> bar = nyala.utils.Progbar(2, verbose=2)
        >>> bar.add(1, [("loss", 0.5)])
        >>> bar.add(1, [("loss", 0.25)])
        2/2 - 0s - ...us/step - loss: 0.2500
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics and stateless_metrics:
            raise ValueError(
                "`Progbar` takes stateful_metrics or stateless_metrics, not both: each names the exceptions."
            )
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.unit_name = unit_name
        self._seen = 0
        self._sums: dict[str, tuple[Any, int]] = {}  # name → the sum of its values and over how many steps it goes
        self._started = time.time()
        self._shown_at, self._shown_width = 0.0, 0

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that `current` steps are done, with the `values` (name, number) of the latest.

        The last step is the one that reaches `target`, or the one that says so with `finalize`.
        """
        last = self.target is not None and current >= self.target if finalize is None else finalize
        for name, value in values or ():
            self._note(name, value, max(current - self._seen, 1), last)
        self._seen = current
        now = time.time()
        if self.verbose == 1 and (last or now - self._shown_at >= self.interval):
            self._shown_at = now
            self._draw(self._line(now - self._started, last, bar=True), last)
        if self.verbose == 2 and last:
            self._draw(self._line(now - self._started, last, bar=False), last)

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen + n, values)

    def _note(self, name: str, value: Any, steps: int, last: bool) -> None:
        averaged = name not in self.stateful_metrics
        if self.stateless_metrics is not None:
            averaged = name in self.stateless_metrics
        if last or not averaged:
            self._sums[name] = (value, 1)
        else:
            total, count = self._sums.get(name, (0, 0))
            self._sums[name] = (total + value * steps, count + steps)

    def _line(self, seconds: float, last: bool, bar: bool) -> str:
        done, each = self._seen, seconds / max(self._seen, 1)
        left = 0.0 if self.target is None else each * max(self.target - done, 0)
        clock = _clock(seconds if last or self.target is None else left)
        count = f"{done:>{len(str(self.target))}}/{self.target}" if self.target else f"{done:>7}/Unknown"
        means = {name: total if count == 1 else np.mean(total) / count for name, (total, count) in self._sums.items()}
        speed = f"{format_duration(each)}/{self.unit_name}"
        if not bar:
            return " - ".join(part for part in (count.strip(), clock, speed, format_logs(means)) if part)
        filled = round(self.width * min(done / self.target, 1)) if self.target else 0
        drawn = "━" * filled + "─" * (self.width - filled) if self.target else ""
        head = " ".join(part for part in (count, drawn, clock, speed) if part)
        return " - ".join(part for part in (head, format_logs(means)) if part)

    def _draw(self, line: str, last: bool) -> None:
        if not is_interactive_logging_enabled():
            if last:
                logging.getLogger("nyala").info(line)
            return
        start, end = "\r" if self.verbose == 1 else "", "\n" if last else ""
        sys.stdout.write(f"{start}{line:<{self._shown_width}}{end}")
        sys.stdout.flush()
        self._shown_width = len(line) if self.verbose == 1 else 0


def _clock(seconds: float) -> str:
    """Seconds as `7s`, `1:05` or `2:00:07`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest}s"
