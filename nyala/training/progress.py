"""The progress display: a live bar in a terminal, one line an epoch elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from nyala.core.settings import is_interactive_logging_enabled
from nyala.training.callback import Callback, Logs

WIDTH_FOR_A_BAR = 80  # of a terminal; a narrow one has room for the count and the values only
SECONDS_A_DRAWING = 0.05


def format_number(value: Any) -> str:
    """A metric's value in few digits."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.4f}" if abs(number) > 1e-3 or number == 0 else f"{number:.4e}"


def format_logs(logs: Logs | None) -> str:
    """`loss: 0.1234 - accuracy: 0.9876`."""
    return " - ".join(f"{name}: {format_number(value)}" for name, value in (logs or {}).items())


def format_duration(seconds: float) -> str:
    """Seconds as `12s`, `3ms` or `45us`."""
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


class _Rate(ProgressColumn):
    def render(self, task: Any) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{format_duration(1 / speed)}/step" if speed else "", style="dim")


class ProgbarLogger(Callback):
    """Shows how training goes: `verbose=1` as a live bar in a terminal, `verbose=2` as a line an epoch.

    Where the output is no terminal (a file, a pipe, a log, CI), or one that cannot go back in a line, a bar would leave
    rubbish, so it is a line an epoch too. What others print meanwhile stands above the bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: Progress | None = None
        self._task: Any = None
        self._inside_fit = False
        self._started = self._drawn = 0.0
        self._steps = 0

    def get_state(self) -> dict[str, Any]:
        return {}  # a display starts anew

    @property
    def batch_interval(self) -> int | None:
        return None

    def _show(self, text: str) -> None:
        if is_interactive_logging_enabled():
            print(text, file=sys.stdout, flush=True)
        else:
            logging.getLogger("nyala").info(text)

    def _begin(self, total: int | None) -> None:
        self._started, self._steps = time.perf_counter(), 0
        console = Console(file=sys.stdout)
        live = is_interactive_logging_enabled() and (console.is_terminal or console.is_jupyter)
        if live and not console.is_dumb_terminal and (self.params or {}).get("verbose") == 1:
            counts = Column(no_wrap=True, min_width=2 * len(str(total or "?")) + 1)
            columns: list[ProgressColumn] = [TextColumn("{task.completed}/{task.fields[of]}", table_column=counts)]
            if console.width >= WIDTH_FOR_A_BAR:
                columns += [BarColumn(bar_width=24), _Rate(), TimeRemainingColumn(compact=True)]
            columns.append(TextColumn("{task.fields[logs]}", table_column=Column(no_wrap=True, overflow="ellipsis")))
            self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
            self._bar.start()
            self._task = self._bar.add_task("", total=total, of=total or "?", logs="")
            self._drawn = 0.0

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self._steps = batch + 1
        if self._bar is not None:
            now = time.perf_counter()
            due = now - self._drawn >= SECONDS_A_DRAWING
            self._drawn = now if due else self._drawn
            self._bar.update(self._task, completed=self._steps, logs=format_logs(logs), refresh=due)

    def _end(self, logs: Logs | None) -> None:
        """Put a line with all values, however long, in the place of the bar."""
        self._close()
        seconds = time.perf_counter() - self._started
        step = format_duration(seconds / max(self._steps, 1))
        parts = [f"{self._steps}/{self._steps}", f"{format_duration(seconds)}", f"{step}/step", format_logs(logs)]
        self._show(" - ".join(part for part in parts if part))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._inside_fit = True

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        params = self.params or {}
        self._show(f"Epoch {epoch + 1}/{params.get('epochs')}")
        self._begin(params.get("steps"))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._end(logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._inside_fit = False
        self._close()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._inside_fit:
            self._begin((self.params or {}).get("steps"))

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if not self._inside_fit:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._inside_fit:
            self._end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin((self.params or {}).get("steps"))

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._advance(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end(None)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
