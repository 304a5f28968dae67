"""`ModelCheckpoint`: the model on disk while it trains."""

from __future__ import annotations

import os
from typing import Any

from nyala.callbacks.monitor import MonitorCallback
from nyala.training.callback import Logs


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, at the end of epochs or every so many batches.

    `filepath` ends in `.keras`, or in `.weights.h5` with `save_weights_only`, and may hold `{epoch}`, `{batch}` and names
    of logs, as in `"{epoch:02d}-{val_loss:.2f}.keras"`. `save_best_only` keeps the file of the best `monitor`; a number
    as `save_freq` counts batches. Raises ValueError for another suffix or an unknown `save_freq`.

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
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"save_freq is 'epoch' or a positive number of batches, but got {save_freq!r}.")
        suffix = ".weights.h5" if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(suffix):
            wanted = suffix if isinstance(suffix, str) else suffix[0]
            raise ValueError(
                f"With save_weights_only={save_weights_only} the filepath ends in {wanted}, but got {filepath!r}."
            )
        self._epoch = 0
        self._unsaved = 0  # batches since the last save

    @property
    def batch_interval(self) -> int | None:
        return self.save_freq if isinstance(self.save_freq, int) else None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._unsaved, self._seen, self._warned = 0, -1, False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch, self._seen = epoch, -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if isinstance(self.save_freq, int):
            self._unsaved += batch - self._seen
            self._seen = batch
            if self._unsaved >= self.save_freq:
                self._unsaved = 0
                self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        if self.save_best_only:
            value = self.get_monitor_value(logs)
            if value is None or not self.is_better(value, self.best):
                return
            self.best = value
        path = self._path(epoch, batch, logs)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving to {path}")
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)

    def _path(self, epoch: int, batch: int | None, logs: Logs | None) -> str:
        values: dict[str, Any] = {"epoch": epoch + 1, **(logs or {})}
        if batch is not None:
            values["batch"] = batch + 1
        try:
            return self.filepath.format(**values)
        except KeyError as error:
            raise KeyError(
                f"The filepath {self.filepath!r} names {error}, but the logs hold {sorted(values)}."
            ) from None
