"""`ModelCheckpoint`: the model on disk while it trains."""

from __future__ import annotations

import os
from typing import Any

from nyala.callbacks.counting import CountingCallback
from nyala.callbacks.monitor import MonitorCallback
from nyala.training.callback import Logs


class SavingCallback(CountingCallback, MonitorCallback):
    """Saves at the end of epochs, or every `save_freq` batches; with `save_best_only` where `monitor` got better.

    Subclasses say how: `_save`, and what messages call the thing: `_target`.
    """

    def __init__(
        self, monitor: str, mode: str, threshold: float | None, verbose: int, best_only: bool, save_freq: str | int
    ) -> None:
        super().__init__(monitor, mode, threshold)
        self.verbose, self.save_best_only, self.save_freq = verbose, best_only, save_freq
        if save_freq != "epoch":
            if isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1:
                raise ValueError(f"save_freq is 'epoch' or a positive number of batches, but got {save_freq!r}.")
            self.every = save_freq
        self._epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._warned = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.count_to(batch)
        if self.is_due():
            self._save_if_wanted(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.every is None:
            self._save_if_wanted(epoch, None, logs)

    def _save_if_wanted(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        change = ""
        if self.save_best_only:
            value, best = self.get_monitor_value(logs), self.best
            if value is None:
                return
            if not self.is_better(value, best):
                self._say(f"Epoch {epoch + 1}: {self.monitor} is {value:.5g}, no better than {best:.5g}")
                return
            self.best = value
            change = f"{self.monitor} is {value:.5g}" + ("; " if best is None else f", better than {best:.5g}; ")
        target = self._target(epoch, batch, logs)
        self._say(f"Epoch {epoch + 1}: {change}saving to {target}")
        self._save(target)

    def _say(self, text: str) -> None:
        if self.verbose:
            print(text)

    def _target(self, epoch: int, batch: int | None, logs: Logs | None) -> Any:
        """Where to save: the end of an epoch, or of one of its batches."""
        raise NotImplementedError

    def _save(self, target: Any) -> None:
        """Save there."""
        raise NotImplementedError


class ModelCheckpoint(SavingCallback):
    """Saves the model, or its weights, at the end of epochs or every so many batches.

    `filepath` ends in `.keras`, or in `.weights.h5` with `save_weights_only`, and may hold `{epoch}`, `{batch}` and names
    of logs, as in `"{epoch:02d}-{val_loss:.2f}.keras"`. `save_best_only` keeps the file of the best `monitor`, from one
    `fit` to the next; a number as `save_freq` counts batches, from one epoch to the next. Raises ValueError for another
    suffix or an unknown `save_freq`.

    Example:
        >>> import nyala
        >>> nyala.callbacks.ModelCheckpoint("best.keras", save_best_only=True).save_freq
        'epoch'
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold, verbose, save_best_only, save_freq)
        self.filepath, self.save_weights_only = os.fspath(filepath), save_weights_only
        suffix = ".weights.h5" if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(suffix):
            wanted = suffix if isinstance(suffix, str) else suffix[0]
            raise ValueError(
                f"With save_weights_only={save_weights_only} the filepath ends in {wanted}, but got {filepath!r}."
            )

    def _target(self, epoch: int, batch: int | None, logs: Logs | None) -> str:
        values: dict[str, Any] = {"epoch": epoch + 1, **(logs or {})}
        if batch is not None:
            values["batch"] = batch + 1
        try:
            return self.filepath.format(**values)
        except KeyError as error:
            raise KeyError(
                f"The filepath {self.filepath!r} names {error}, but the logs hold {sorted(values)}."
            ) from None

    def _save(self, target: str) -> None:
        folder = os.path.dirname(target)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(target, overwrite=True)
        else:
            self.model.save(target, overwrite=True)
