"""What callbacks have in common that act every so many batches of training."""

from __future__ import annotations

from nyala.training.callback import Callback, Logs


class CountingCallback(Callback):
    """Counts the batches of a `fit` across its epochs; chunks of steps end where it must act.

    A subclass that overrides `on_train_begin` or `on_epoch_begin` calls these first.
    """

    every: int | None = None  # how many batches lie between two acts; None: it acts at other times
    _step = _batch = _acted = 0  # batches of this `fit`, of this epoch, and of the `fit` when it last acted

    def batches_to_go(self, kind: str, done: int) -> int | None:
        if kind != "train" or self.every is None:
            return None
        return max(self.every - (self._step - self._acted), 1)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._step = self._batch = self._acted = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._batch = 0

    def count_to(self, batch: int) -> int:
        """Take note that the epoch has come to its `batch`; how many batches that are."""
        ran = batch + 1 - self._batch
        self._batch += ran
        self._step += ran
        return ran

    def is_due(self) -> bool:
        """Whether it is time to act, which it then takes note of."""
        due = self.every is not None and self._step - self._acted >= self.every
        if due:
            self._acted = self._step
        return due
