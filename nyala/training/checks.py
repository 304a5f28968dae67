"""Checks of data against a compiled model, before work is lost on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.training.feeds import Feed, ResidentFeed


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


def explain_loss(model: Any, loss: float, feed: Feed, epoch: int) -> str:
    """What a loss of NaN or infinity most likely comes from."""
    text = f"The loss of `{model.name}` is {loss} in epoch {epoch + 1}"
    if isinstance(feed, ResidentFeed):
        for path, leaf in tree.flatten_with_path(dict(zip("xyw", feed.host))):
            bad = _bad_rows(leaf)
            if bad:
                name = {"x": "x", "y": "y", "w": "sample_weight"}[path[0]] + "".join(f"[{key!r}]" for key in path[1:])
                return (
                    f"{text}: `{name}` holds NaN or infinity in {len(bad)} of {feed.rows} rows, the first at {bad[0]}. "
                    "Replace these values or drop these rows."
                )
    return f"{text}, though the data is finite. Lower the learning rate, scale the inputs, or clip gradients with `clipnorm`."


def _bad_rows(leaf: Any) -> list[int]:
    if leaf is None or not tensor.is_float(tensor.dtype_of(leaf)):
        return []
    array = np.asarray(leaf)
    bad = ~np.isfinite(array.astype("float64").reshape(len(array), -1)).all(axis=1)
    return [int(row) for row in np.flatnonzero(bad)]
