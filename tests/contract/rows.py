"""What a row of the layer contract says: a layer, its arguments, its inputs and what must hold beyond the usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def floats(*shape: int, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Float32 numbers that are the same in every run."""
    return np.random.default_rng(sum(shape) + 7).uniform(low, high, shape).astype("float32")


def integers(*shape: int, high: int) -> np.ndarray:
    """Integers from 0 to `high - 1` that are the same in every run."""
    return np.random.default_rng(sum(shape) + 7).integers(0, high, shape).astype("int32")


@dataclass
class Row:
    """One configuration of one layer.

    `inputs` is an array or a list of arrays: the first argument of the call. `call` are further arguments.
    `training` lists the modes to compare; leave True out where the layer draws random numbers of its own.
    """

    layer: str
    arguments: dict[str, Any]
    inputs: Any
    call: Mapping[str, Any] = field(default_factory=dict)
    training: tuple[bool, ...] = (False, True)
    rtol: float = 1e-5
    atol: float = 1e-5
    gradient: bool = True  # whether gradients exist: not for integer inputs without weights
    dynamic: bool = True  # whether the layer takes inputs of unknown batch size
    empty: bool = True  # whether the oracle takes an empty batch; ours always does
    lacking: tuple[str, ...] = ()  # dtype policies for which the oracle has no kernel on a CPU; ours has all
    xla: bool = True  # whether XLA on a CPU can compile it; the row says why not in a comment
    slow: bool = False  # whether another row shows the same in the quick tests

    def __str__(self) -> str:
        said = ", ".join(f"{k}={v}" for k, v in self.arguments.items())
        shape = [np.shape(x) for x in self.inputs] if isinstance(self.inputs, list) else np.shape(self.inputs)
        return f"{self.layer}({said}){shape}".replace(" ", "")
