"""`Position`: where a `fit` stands, and all that decides how it goes on, as a file that a later process can start from."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from nyala.core.tracking import Trackable
from nyala.optimizers.schedules import Scaled
from nyala.random import global_generator
from nyala.training.distribution import assign_copies, copies, shape_of_copies

PLAIN = (bool, int, float, str, type(None), np.ndarray, np.generic)


class Position:
    """How far a `fit` has come: `done` batches of `epoch`, with these `logs`.

    `save` writes it with the variables of model, optimizer and metrics, the state of all random generators, the place in
    the data and the state of the callbacks; `load` puts all of that back.
    """

    def __init__(self, model: Any, feed: Any, callbacks: Any, epoch: int) -> None:
        self.model, self.feed, self.callbacks = model, feed, callbacks
        self.epoch, self.done = epoch, 0
        self.logs: dict[str, Any] = {}

    def save(self, path: Path | None) -> None:
        """Write the position, whole or not at all; without a path only tell other workers what their file needs."""
        from nyala.saving.archive import atomic_write

        arrays: list[np.ndarray] = []
        facts = {
            "epoch": self.epoch,
            "done": self.done,
            "logs": self.logs,
            "feed": self.feed.state(),
            "variables": copies(self._variables()),
            "schedules": [schedule.factor for schedule in _schedules(self.model.optimizer)],
            "random": {"python": random.getstate(), "numpy": np.random.get_state(legacy=True)},
            "callbacks": [[type(c).__name__, c.get_state()] for c in self.callbacks.callbacks],
        }
        if path is None:
            return
        text = json.dumps(_pack(facts, arrays))
        members = {f"array_{place}": array for place, array in enumerate(arrays)}
        with atomic_write(path) as file:
            np.savez(file, allow_pickle=False, facts=np.frombuffer(text.encode(), "uint8"), **members)

    def load(self, path: Path) -> None:
        """Go to a position that `save` wrote; a ValueError, before anything changes, where it is of another training."""
        with np.load(path, allow_pickle=False) as file:
            facts = _unpack(json.loads(file["facts"].tobytes()), file)
        if not self.model.optimizer.built:  # a stream does not say beforehand what its batches are
            self.model._prepare("train")(self.feed.peek())
        variables = self._variables()
        self._compare(path, facts, variables)
        self.epoch, self.done, self.logs = facts["epoch"], facts["done"], facts["logs"]
        if self.done:
            self.callbacks.on_epoch_begin(self.epoch)  # before its effects are overwritten with what came of them
        for variable, value in zip(variables, facts["variables"]):
            assign_copies(variable, value)
        for callback, (_, state) in zip(self.callbacks.callbacks, facts["callbacks"]):
            callback.set_state(state)
        self.feed.resume(facts["feed"])
        for schedule, factor in zip(_schedules(self.model.optimizer), facts["schedules"]):
            schedule.factor = factor
        version, internal, gauss = facts["random"]["python"]
        random.setstate((version, tuple(internal), gauss))
        np.random.set_state(tuple(facts["random"]["numpy"]))

    def _compare(self, path: Path, facts: Any, variables: list[Any]) -> None:
        for what, found, expected in (
            (
                "callbacks",
                [name for name, _ in facts["callbacks"]],
                [type(c).__name__ for c in self.callbacks.callbacks],
            ),
            ("variables", [value.shape for value in facts["variables"]], [shape_of_copies(v) for v in variables]),
        ):
            if found != expected:
                raise ValueError(
                    f"The backup {path} is of another training: its {what} are {found}, but here they are {expected}. "
                    "Delete it, or give each training a folder of its own."
                )

    def _variables(self) -> list[Any]:
        model = self.model
        found = [*model.variables, *model.optimizer.variables, *model.metrics_variables, global_generator().state]
        return list({id(variable): variable for variable in found}.values())


def _schedules(optimizer: Any) -> list[Scaled]:
    """The schedules of an optimizer and of those inside it: a number set as learning rate has scaled them."""
    inner = [*getattr(optimizer, "optimizers", ()), *filter(None, [getattr(optimizer, "inner_optimizer", None)])]
    own = getattr(optimizer, "_learning_rate", None)
    mine = [own] if isinstance(own, Scaled) else []
    return mine + [schedule for one in inner for schedule in _schedules(one)]


def plain_state(thing: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The attributes that are numbers, strings, arrays, or lists and dicts of them."""
    return {name: value for name, value in vars(thing).items() if name not in without and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return isinstance(value, PLAIN) and not isinstance(value, Trackable)


def _pack(value: Any, arrays: list[np.ndarray]) -> Any:
    """The value as JSON knows it; arrays, and NumPy's numbers with their dtypes, go to `arrays`."""
    if isinstance(value, (np.ndarray, np.generic)):
        arrays.append(np.asarray(value))
        return {"array": len(arrays) - 1, "number": isinstance(value, np.generic)}
    if isinstance(value, dict):
        return {"dict": {key: _pack(item, arrays) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_pack(item, arrays) for item in value]
    return value


def _unpack(value: Any, file: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item, file) for item in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {key: _unpack(item, file) for key, item in value["dict"].items()}
    array = file[f"array_{value['array']}"]
    return array[()] if value["number"] else array
