"""Small callbacks: a function as a callback, a log file, a learning rate by epoch, a stop at NaN."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

from nyala.training.callback import Callback, Logs
from nyala.training.checks import closest


class LambdaCallback(Callback):
    """A callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch))`.

    Example:
        >>> import nyala
        >>> callback = nyala.callbacks.LambdaCallback(on_train_begin=lambda logs: print("begin"))
        >>> callback.on_train_begin(None)
        begin
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        hooks = {key: value for key, value in {**locals(), **kwargs}.items() if key.startswith("on_")}
        known = [name for name in dir(Callback) if name.startswith("on_")]
        for name in kwargs:
            if name not in known:
                raise TypeError(f"LambdaCallback knows no hook {name!r}.{closest(name, known)}")
        self.__dict__.update({name: function for name, function in hooks.items() if function is not None})


class TerminateOnNaN(Callback):
    """Stops training when the loss is NaN or infinite; it looks whenever a chunk of steps ends.

    With `raise_error` it raises RuntimeError instead of stopping quietly.

    Example:
        >>> import nyala
        >>> nyala.callbacks.TerminateOnNaN().batch_interval is None
        True
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    @property
    def batch_interval(self) -> int | None:
        return None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            message = f"Batch {batch}: the loss is {loss}, so training stops."
            if self.raise_error:
                raise RuntimeError(message)
            print(message)
            self.model.stop_training = True


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch to `schedule(epoch, learning_rate)`.

    Example:
        >>> import nyala
        >>> nyala.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9).verbose
        0
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        try:
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        except TypeError:  # a schedule of the epoch alone
            rate = self.schedule(epoch)
        if not isinstance(rate, (float, int)) and not hasattr(rate, "dtype"):
            raise ValueError(f"The schedule must return a number, but gave {rate!r} for epoch {epoch}.")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {float(rate):g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)  # type: ignore[index]


class CSVLogger(Callback):
    """Writes the logs of each epoch as a line of a CSV file.

    Example:
        >>> import nyala
        >>> nyala.callbacks.CSVLogger("log.csv", append=True).append
        True
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self._columns: list[str] = []
        self._written = 0  # bytes of the file that are ours, or that we go on behind

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._columns, self._written = [], 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = {"epoch": epoch, **{key: self._cell(value) for key, value in sorted((logs or {}).items())}}
        self._columns = self._columns or list(values)
        with open(self.filename, "a" if self.append or self._written else "w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, delimiter=self.sep, restval="NA", extrasaction="ignore")
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(values)
            self._written = file.tell()

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if self._written:  # lines behind the backup come again
            os.truncate(self.filename, self._written)

    def _cell(self, value: Any) -> Any:
        if isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", 1) > 0:
            return f'"[{", ".join(map(str, value))}]"'
        return value
