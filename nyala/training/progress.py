"""The progress display: a live bar in a terminal or a notebook, one line an epoch elsewhere."""

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
SECONDS_A_NOTEBOOK_DRAWING = 0.25  # each is a message that goes to a browser


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


class _TerminalBar:
    """A line that is drawn over and over; what others print meanwhile stands above it."""

    def __init__(self, console: Console, total: int | None) -> None:
        self.console, self.total = console, total
        counts = Column(no_wrap=True, min_width=2 * len(str(total or "?")) + 1)
        self.counts = TextColumn("{task.completed}/{task.fields[of]}", table_column=counts)
        self.speed = (BarColumn(bar_width=24), _Rate(), TimeRemainingColumn(compact=True))
        self.logs = TextColumn("{task.fields[logs]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        self.width = 0
        self.progress = Progress(console=console, auto_refresh=False, transient=True)
        self._fit()
        self.progress.start()
        self.task = self.progress.add_task("", total=total, of=total or "?", logs="")
        self.drawn = 0.0

    def update(self, steps: int, logs: Logs | None) -> None:
        """Show so many steps."""
        now = time.perf_counter()
        due = now - self.drawn >= SECONDS_A_DRAWING
        if due:
            self.drawn = now
            self._fit()
        self.progress.update(self.task, completed=steps, logs=format_logs(logs), refresh=due)

    def _fit(self) -> None:
        """Choose what there is room for in the width that the terminal has now."""
        width = self.console.width
        if width != self.width:
            self.width = width
            self.progress.columns = (self.counts, *(self.speed if width >= WIDTH_FOR_A_BAR else ()), self.logs)

    def close(self) -> None:
        """Take the line away."""
        self.progress.stop()


class _NotebookBar:
    """One output of a cell for all epochs, updated in place; it comes only where there is something to wait for."""

    def __init__(self) -> None:
        self.handle: Any = None

    def begin(self, total: int | None) -> None:
        """Start at no steps."""
        self.total = total
        self.started = self.drawn = time.perf_counter()

    def update(self, steps: int, logs: Logs | None) -> None:
        """Show so many steps."""
        now = time.perf_counter()
        if now - self.drawn >= SECONDS_A_NOTEBOOK_DRAWING:
            self.drawn = now
            self._show(bar_text(steps, self.total, now - self.started, logs))

    def _show(self, text: str) -> None:
        from IPython.display import display  # pyright: ignore[reportMissingImports] - it is there where this runs

        if self.handle is None:
            self.handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            self.handle.update({"text/plain": text}, raw=True)

    def close(self) -> None:
        """Take the text away."""
        if self.handle is not None:
            self._show("")


def bar_text(steps: int, total: int | None, seconds: float, logs: Logs | None) -> str:
    """`7/10 ━━━━━━━━━━━━━━━━━─────── 27ms/step 3s left - loss: 0.1234`; without a bar where there is no end in sight."""
    parts = [f"{steps}/{total or '?'}"]
    each = seconds / max(steps, 1)
    if total:
        full = round(24 * steps / total)
        parts.append("━" * full + "─" * (24 - full))
    parts.append(f"{format_duration(each)}/step")
    if total:
        parts.append(f"{format_duration(each * (total - steps))} left")
    return " ".join(parts) + (f" - {format_logs(logs)}" if logs else "")


class ProgbarLogger(Callback):
    """Shows how training goes: `verbose=1` as a live bar in a terminal or notebook, `verbose=2` as a line an epoch.

    Where the output is no terminal (a file, a pipe, a log, CI), or one that cannot go back in a line, a bar would leave
    rubbish, so it is a line an epoch too. What others print meanwhile stands above the bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: _TerminalBar | _NotebookBar | None = None
        self._output: _NotebookBar | None = None
        self._inside_fit = False
        self._started = 0.0
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
        if not is_interactive_logging_enabled() or (self.params or {}).get("verbose") != 1:
            return
        if console.is_jupyter:
            self._output = self._output or _NotebookBar()
            self._output.begin(total)
            self._bar = self._output
        # FORCE_COLOR makes Rich take a pipe for a terminal.
        elif console.is_terminal and sys.stdout.isatty() and not console.is_dumb_terminal:
            self._bar = _TerminalBar(console, total)

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self._steps = batch + 1
        if self._bar is not None:
            self._bar.update(self._steps, logs)

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

    def on_error(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
