"""Callbacks that watch one value from epoch to epoch."""

from __future__ import annotations

import warnings
from typing import Any

from nyala.core.config import signature_of, suggestion
from nyala.training.callback import Callback, Logs
from nyala.training.checks import closest

# Metrics of which more is better, by any part of their name or class without "_"; of everything else less is.
MORE_IS_BETTER = (
    "acc", "auc", "precision", "recall", "sensitivity", "specificity", "f1", "fbeta", "iou", "r2", "cosinesimilarity",
    "truepositives", "truenegatives", "correlation", "concordance",
)  # fmt: skip


def _more_is_better(name: str) -> bool:
    name = name.lower().replace("_", "")
    return any(part in name for part in MORE_IS_BETTER) and not name.endswith("loss")


class MonitorCallback(Callback):
    """Watches `monitor` in the logs and knows whether it got better.

    `mode` is "min", "max" or "auto", which goes by the metric of that name in the model, or by the name. A value is
    better where it beats the best so far by more than `min_delta`. Raises ValueError for an unknown mode.

    Example:
        >>> import nyala
        >>> nyala.callbacks.EarlyStopping(monitor="val_accuracy").mode
        'auto'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode is 'auto', 'min' or 'max', but got {mode!r}.")
        self.monitor, self.mode, self.baseline = monitor, mode, baseline
        self.min_delta = abs(min_delta)
        self.best: float | None = baseline
        self._warned = False

    @property
    def more_is_better(self) -> bool:
        """Whether larger values of `monitor` are better."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        metrics = [m for m in getattr(self.model, "metrics", []) if name == m.name or name.endswith(f"_{m.name}")]
        metric = max(metrics, key=lambda m: len(m.name), default=None)
        if metric is None:
            return _more_is_better(name)
        function = getattr(getattr(metric, "fn", None), "__name__", "")
        return any(map(_more_is_better, (metric.name, type(metric).__name__, function)))

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether `value` beats `than` by more than `min_delta`."""
        if than is None:
            return True
        if self.more_is_better:
            return value - self.min_delta > than
        return value + self.min_delta < than

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """The watched value; None, and one warning with what there is instead, where it is missing."""
        value = (logs or {}).get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            known = list(logs or {})
            hint = suggestion(self.monitor, known)
            if self.monitor.removeprefix("val_") in known or "Did you mean" not in hint:
                hint = " Give `fit` validation data if it is a validation value."
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, but the logs hold {known}.{hint}", stacklevel=3
            )
        return None if value is None else float(value)


class EarlyStopping(MonitorCallback):
    """Stops training when `monitor` has not become better for `patience` epochs.

    `restore_best_weights` puts back the weights of the best epoch; `start_from_epoch` lets training warm up first; a
    `baseline` is a value that has to be beaten.

    Example:
        >>> import nyala
        >>> nyala.callbacks.EarlyStopping(patience=3, restore_best_weights=True).patience
        3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, baseline, min_delta)
        self.patience, self.verbose = patience, verbose
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best, self.best_weights, self._warned = None, None, False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.get_monitor_value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            # Progress short of the baseline is no reason to be patient.
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: {self.monitor} no longer gets better, so training stops.")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"The weights are those of epoch {self.best_epoch + 1}, the best.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` when `monitor` has not become better for `patience` epochs.

    Behind a reduction it waits `cooldown` epochs before it counts again, and never goes below `min_lr`.

    Example:
        >>> import nyala
        >>> nyala.callbacks.ReduceLROnPlateau(factor=0.5).factor
        0.5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, None, min_delta)
        if factor >= 1.0:
            raise ValueError(f"factor must be below 1, or the learning rate would not shrink, but got {factor}.")
        if kwargs:
            name, known = sorted(kwargs)[0], list(signature_of(ReduceLROnPlateau).parameters)
            raise TypeError(f"ReduceLROnPlateau takes no argument {name!r}.{closest(name, known)}")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.wait = self.cooldown_counter = 0
        self.best, self._warned = None, False

    def in_cooldown(self) -> bool:
        """Whether a reduction is too recent to count epochs."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rate = getattr(self.model.optimizer, "learning_rate", None)  # a MultiOptimizer has none of its own
        if logs is not None and rate is not None:
            logs["learning_rate"] = float(rate)  # type: ignore[index]
        value = self.get_monitor_value(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        old = float(optimizer.learning_rate)
        if old > self.min_lr:
            optimizer.learning_rate = max(old * self.factor, self.min_lr)
            if self.verbose:
                print(f"Epoch {epoch + 1}: the learning rate goes from {old:g} to {float(optimizer.learning_rate):g}.")
            self.cooldown_counter, self.wait = self.cooldown, 0
