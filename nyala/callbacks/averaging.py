"""`SwapEMAWeights`: evaluate and save with averaged weights, train with the others."""

from __future__ import annotations

from typing import Any

from nyala.training.callback import Callback, Logs


class SwapEMAWeights(Callback):
    """Puts the averages that an optimizer with `use_ema=True` keeps in place of the weights for evaluation and prediction.

    With `swap_on_epoch` they are in place between epochs too, so that a `ModelCheckpoint` behind this callback saves
    them. Raises ValueError where the optimizer keeps no averages.

    Example:
        >>> import nyala
        >>> nyala.callbacks.SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
        True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._weights: list[Any] | None = None  # those of training, while the averages are in their place

    def _swap(self) -> None:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                f"SwapEMAWeights needs an optimizer that keeps averages, but `{optimizer.name}` has use_ema=False."
            )
        weights = self.model.trainable_variables
        if optimizer.built and self._weights is None:
            self._weights = [weight.numpy() for weight in weights]
            optimizer.finalize_variable_values(weights)

    def _swap_back(self) -> None:
        if self._weights is not None:
            for weight, value in zip(self.model.trainable_variables, self._weights):
                weight.assign(value)
            self._weights = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._weights = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._weights = None  # `fit` ends with the averages in place

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap_back()
