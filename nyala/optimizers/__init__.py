"""Optimizers: how gradients become new weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala.core import config as _config
from nyala.optimizers import legacy, schedules
from nyala.optimizers.adafactor import Adafactor
from nyala.optimizers.adagrad import Adadelta, Adagrad
from nyala.optimizers.adam import Adam, Adamax, AdamW, Lamb, Nadam, ScheduleFreeAdamW
from nyala.optimizers.ftrl import Ftrl
from nyala.optimizers.lion import Lion
from nyala.optimizers.loss_scale import LossScaleOptimizer
from nyala.optimizers.multi import MultiOptimizer, OptimizerMap
from nyala.optimizers.muon import Muon
from nyala.optimizers.optimizer import Optimizer
from nyala.optimizers.rmsprop import RMSprop
from nyala.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerMap",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "legacy",
    "schedules",
    "serialize",
]


def get(identifier: Any) -> Any:
    """The optimizer that a name, a config, a class or an optimizer stands for; None stays None."""
    return _config.optimizers.get(identifier)


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer as plain data: its class and its config."""
    return _config.serialize(optimizer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Make the optimizer that `serialize` described."""
    return _config.deserialize(config, custom_objects)
