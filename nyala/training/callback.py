"""`Callback`, the list that calls them, and `History`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nyala.core import tree
from nyala.training.position import Position, plain_state

Logs = Mapping[str, Any]
_SIDES = ("begin", "end")
_KINDS = {"train": ("", "train_"), "test": ("test_",), "predict": ("predict_",)}  # whose batch hooks hear of which pass
BATCH_HOOKS = tuple(f"on_{kind}batch_{side}" for kind in ("", "train_", "test_", "predict_") for side in _SIDES)
_NUMBERED_HOOKS = (*BATCH_HOOKS, *(f"on_epoch_{side}" for side in _SIDES))
_PLAIN_HOOKS = tuple(f"on_{kind}_{side}" for kind in ("train", "test", "predict") for side in _SIDES)
_POSITION_HOOKS = ("resume", "on_position")


class Callback:
    """Something that training calls at its turning points.

    Override any of the hooks. A callback with a batch hook hears every batch of that kind, so that chunks of steps shrink
    to one; set `batch_interval` to hear only every so many, or to None to hear whenever a chunk ends.

    Example:
        >>> import nyala
        >>> class Say(nyala.callbacks.Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         print(epoch, sorted(logs))
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The model in training."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take note of `epochs`, `steps` and `verbose`."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take note of the model."""
        self._model = model

    @property
    def batch_interval(self) -> int | None:
        """Every how many batches the callback must hear; None where any chunk will do."""
        return 1

    def batches_to_go(self, kind: str, done: int) -> int | None:
        """How many batches after `done` of a pass of that kind ("train", "test", "predict") it must hear next; None: any."""
        interval = self.batch_interval if self._hears(kind) else None
        return None if interval is None else interval - done % interval

    def _hears(self, kind: str) -> bool:
        """Whether a batch hook of that kind does anything."""
        names = [f"on_{part}batch_{side}" for part in _KINDS[kind] for side in _SIDES]
        return any(getattr(getattr(self, name), "__func__", None) is not getattr(Callback, name) for name in names)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called by `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called by `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch of training."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called behind an epoch and its validation, with the logs of both."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a chunk of training steps, with the number of its first batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called behind a chunk of training steps, with the number of its last batch."""
        self.on_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a chunk of evaluation steps."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called behind a chunk of evaluation steps."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a chunk of prediction steps."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called behind a chunk of prediction steps, with the outputs under "outputs"."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when `fit` starts."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when `fit` ends, with the last logs."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when an evaluation starts, also inside `fit`."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when an evaluation ends."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` starts."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    def on_interrupt(self) -> None:
        """Called when Ctrl-C ends `fit`: the end of training, but for a callback that can take it up again."""
        if type(self).resume is Callback.resume:
            self.on_train_end({})

    def on_error(self) -> None:
        """Called when an error ends a pass over data: let go of what must not outlive it."""

    def resume(self, position: Position) -> None:
        """Called when `fit` is ready for its first step: the place to go to the position of an earlier process."""

    def on_position(self, position: Position) -> None:
        """Called when all callbacks have heard the end of a chunk of training steps, or of an epoch."""

    def get_state(self) -> dict[str, Any]:
        """What a backup keeps of the callback: by default its attributes that are numbers, strings, arrays, or lists
        and dicts of them."""
        return plain_state(self, without=("params",))

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on with what `get_state` gave in an earlier process."""
        self.__dict__.update(state)


class History(Callback):
    """What `fit` returns: `history`, a list of values for each log, one an epoch; `epoch`, their numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.history, self.epoch = {}, []
        self.model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class CallbackList(Callback):
    """Several callbacks as one, with a `History` and, where wanted, a progress display among them."""

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        from nyala.training.progress import ProgbarLogger

        super().__init__()
        given = [callbacks] if isinstance(callbacks, Callback) else tree.flatten(list(callbacks or []))
        for callback in given:
            if not isinstance(callback, Callback):
                kind = callback.__name__ if isinstance(callback, type) else repr(callback)
                hint = f"; write {kind}() to make one" if isinstance(callback, type) else ""
                raise TypeError(f"`callbacks` holds callbacks, but got {kind}{hint}.")
        self.callbacks: list[Callback] = given
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in given):
            self.callbacks.append(ProgbarLogger())
        self.history = next((c for c in given if isinstance(c, History)), None)
        if add_history and self.history is None:
            self.history = History()
            self.callbacks.append(self.history)
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Put a callback behind the others."""
        self.callbacks.append(callback)

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand `params` to all."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Hand the model to all."""
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def batches_to_go(self, kind: str, done: int) -> int | None:
        """After how many batches the first of the callbacks must hear."""
        found = [callback.batches_to_go(kind, done) for callback in self.callbacks]
        return min((count for count in found if count is not None), default=None)

    def on_interrupt(self) -> None:
        for callback in self.callbacks:
            callback.on_interrupt()

    def on_error(self) -> None:
        for callback in self.callbacks:
            callback.on_error()


def _call_each(name: str, numbered: bool) -> Any:
    """The hook `name` of a list: that of each callback, with a dict for logs that are absent."""

    def with_number(self: CallbackList, number: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, name)(number, logs)

    def without_number(self: CallbackList, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, name)(logs)

    return with_number if numbered else without_number


for _name in (*_NUMBERED_HOOKS, *_PLAIN_HOOKS, *_POSITION_HOOKS):
    setattr(CallbackList, _name, _call_each(_name, _name in _NUMBERED_HOOKS))
