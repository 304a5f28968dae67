"""One `fit`: epochs of training with their validation, from where it starts, or where an earlier process stopped."""

from __future__ import annotations

from typing import Any

from nyala.training.callback import CallbackList
from nyala.training.checks import check_watched
from nyala.training.feeds import Feed
from nyala.training.finite import FiniteWatch
from nyala.training.loops import Between, begin_epoch, run_epoch
from nyala.training.position import Position
from nyala.training.validation import Validation


class Fitting(Between):
    """The work of one `fit`, once its data is at hand."""

    def __init__(
        self,
        model: Any,
        feed: Feed,
        callbacks: CallbackList,
        validation: Validation,
        epochs: range,
        steps: int | None,
        steps_given: int | None,
    ) -> None:
        self.model, self.feed, self.callbacks, self.validation = model, feed, callbacks, validation
        self.epochs, self.steps, self.steps_given = epochs, steps, steps_given
        self.total = None if steps is None else steps * len(epochs)
        self.intervals = () if validation.every is None else (validation.every,)
        self.plan = model._plan("train")
        self.plan.ready(feed, self.total)
        validation.ready()
        self._checked = False
        self._check_watched(self._log_names())
        self.position = Position(model, feed, callbacks, epochs.start)
        self.watch = FiniteWatch(model, self.plan, self.position, self.total)

    def _log_names(self) -> list[str] | None:
        """What the logs of training will hold, where that is known before the first step."""
        if not any(hasattr(callback, "monitor") for callback in self.callbacks.callbacks):
            return None
        if self.plan.report is not None and self.model._compiled.metrics.entries is not None:
            return self.model.metrics_names
        return None

    def _check_watched(self, names: list[str] | None) -> None:
        if names is not None and not self._checked:
            self._checked = True
            validation = self.validation.log_names(names)
            within = self.validation.every is not None
            check_watched(self.callbacks.callbacks, names, validation, within)

    def run(self) -> dict[str, Any]:
        """Train; the logs of the last epoch."""
        logs: dict[str, Any] = {}
        position = self.position
        self.callbacks.resume(position)
        for epoch in range(position.epoch, self.epochs.stop):
            self._begin(epoch)
            found = run_epoch(self.plan, self.feed, self.steps, self.total, self.callbacks, "train", self)
            if position.done == 0:  # the data has ended
                break
            logs = {**found, **self.validation.behind_epoch(epoch, position.done, self.callbacks)}
            self.callbacks.on_epoch_end(epoch, logs)
            if self.stopped:
                break
            position.epoch, position.done, position.logs = epoch + 1, 0, {}
            self.callbacks.on_position(position)
        return logs

    def _begin(self, epoch: int) -> None:
        if self.position.done:
            self.feed.continue_epoch()  # as an earlier process would have done
        else:
            self.model.reset_metrics()
            self.callbacks.on_epoch_begin(epoch)
            begin_epoch(self.feed, self.steps_given, first=epoch == self.epochs.start)
        self.watch.start_epoch()

    def how_to_go_on(self) -> str:
        """What to say when Ctrl-C ends it."""
        epoch, last, done = self.position.epoch, self.epochs.stop, self.position.done
        return (
            f"Training stopped in epoch {epoch + 1} of {last}, behind {done} of {self.steps or 'its'} steps; "
            f"`{self.model.name}` keeps what it learned. Go on with fit(…, initial_epoch={epoch}, epochs={last})."
        )

    # ---- Between the chunks of an epoch ----

    @property
    def done(self) -> int:  # type: ignore[override]
        """Steps of the epoch that are behind us."""
        return self.position.done

    @property
    def logs(self) -> dict[str, Any]:  # type: ignore[override]
        """The last logs of the epoch, also of an earlier process that was stopped behind its last step."""
        return self.position.logs

    @property
    def stopped(self) -> bool:  # type: ignore[override]
        """Whether a callback has asked for the end."""
        return self.model.stop_training

    def before(self, first: int) -> None:
        self.watch.before(first)

    def after(self, first: int, ran: int, logs: dict[str, Any]) -> None:
        self._check_watched(list(logs))
        self.watch.after(first, ran, logs)
        logs.update(self.validation.within_epoch(first + ran, self.callbacks))
        self.position.logs = logs

    def settled(self, done: int) -> None:
        self.position.done = done
        self.callbacks.on_position(self.position)
