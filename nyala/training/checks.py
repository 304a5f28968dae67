"""Checks of data and callbacks against a compiled model, before work is lost on it."""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from nyala.core import config, tree
from nyala.core.config import suggestion
from nyala.training.callback import BATCH_HOOKS, Callback

F = TypeVar("F", bound=Callable[..., Any])


def known_arguments(method: F) -> F:
    """`method` that answers an argument it does not take with the closest one that it does."""
    names = list(config.signature_of(method).parameters)[1:]

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                raise TypeError(f"{method.__name__}() takes no argument {name!r}.{closest(name, names)}")
        return method(self, *args, **kwargs)

    return call  # pyright: ignore[reportReturnType]


def check_class_numbers(model: Any, y: Any, where: str = "y") -> None:
    """Raise ValueError where a sparse loss would get a class number that its output has no place for."""
    outputs = _known_outputs(model)
    losses = _losses_by_output(model, len(outputs))
    targets = tree.flatten(y)
    if len(targets) != len(outputs):
        return
    for output, loss, target in zip(outputs, losses, targets):
        name = loss if isinstance(loss, str) else getattr(loss, "name", getattr(loss, "__name__", ""))
        if target is None or "sparse_categorical" not in str(name).lower() or output.shape[-1] is None:
            continue
        labels = np.asarray(target)
        if labels.dtype.kind not in "iufb":
            raise TypeError(
                f"The loss `{name}` expects class numbers, but `{where}` holds strings; number the classes from 0."
            )
        low, high, classes = labels.min(), labels.max(), output.shape[-1]
        ignored = getattr(loss, "ignore_class", None)
        if ignored is not None:
            kept = labels[labels != ignored]
            low, high = (kept.min(), kept.max()) if kept.size else (0, 0)
        if low < 0 or high >= classes:
            raise ValueError(
                f"The loss `{name}` expects class numbers from 0 to {classes - 1} for the {classes} outputs of "
                f"`{output._keras_history[0].name}`, but `{where}` goes from {low} to {high}. Number the classes from 0, or give "
                f"the last layer {int(high) + 1} units."
            )


def _known_outputs(model: Any) -> list[Any]:
    """The symbolic outputs; none where the model is subclassed, or not built yet."""
    try:
        return list(model.outputs)
    except AttributeError:
        return []


def _losses_by_output(model: Any, count: int) -> list[Any]:
    from nyala.training.compile import per_output

    try:
        return per_output(model.loss, [0] * count if count > 1 else 0, list(model.output_names), "loss")
    except ValueError:
        return [None] * count


def check_watched(callbacks: Iterable[Callback], names: list[str], validation: list[str], within: bool) -> None:
    """Raise ValueError where a callback watches, or names a file by, a log that will not be there.

    `names` are the logs of training and `validation` those of validation; `within` says whether these come within epochs.
    """
    callbacks = list(callbacks)
    if any(map(_adds_logs, callbacks)):
        return  # what is missing now may be there later
    for callback in callbacks:
        by_epoch = getattr(callback, "save_freq", "epoch") == "epoch"
        known = [*names, *(validation if by_epoch or within else [])]
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and getattr(callback, "save_best_only", True) and monitor not in _also(known):
            where = f"{type(callback).__name__} watches {monitor!r}"
            if monitor.removeprefix("val_") in names and not validation:
                callback.get_monitor_value(dict.fromkeys(known, 0.0))  # pyright: ignore[reportAttributeAccessIssue] - warns
            else:
                raise ValueError(f"{where}, but the logs will hold {known}.{closest(monitor, known)}")
        fields = ["epoch", *([] if by_epoch else ["batch"]), *_also(known)]
        for field in _fields(getattr(callback, "filepath", "")):
            if field not in fields:
                where = f"The filepath {callback.filepath!r} names {field!r}"  # pyright: ignore[reportAttributeAccessIssue]
                raise ValueError(f"{where}, but there will be {fields}.{closest(field, fields)}")


def _also(names: list[str]) -> list[str]:
    return [*names, "learning_rate"]  # callbacks that change it log it


def _adds_logs(callback: Callback) -> bool:
    """Whether somebody else's code may put values of its own into the logs."""
    hooks = ("on_epoch_end", "on_test_end", *BATCH_HOOKS)
    if config.is_ours(type(callback)):
        return any(name in vars(callback) for name in hooks)  # functions of a LambdaCallback
    return any(getattr(type(callback), name) is not getattr(Callback, name) for name in hooks)


def _fields(pattern: Any) -> list[str]:
    """The names in braces of a pattern."""
    return [field.split(".")[0].split("[")[0] for _, field, _, _ in string.Formatter().parse(str(pattern)) if field]


def closest(name: str, known: list[str]) -> str:
    """` Did you mean 'x'?` where a known name is close to `name`, else nothing."""
    hint = suggestion(name, known)
    return hint if "Did you mean" in hint else ""
