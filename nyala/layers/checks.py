"""Checks of constructor arguments that many layers share."""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala.core.layer import Layer


def positive_integer(layer: Layer, name: str, value: Any) -> int:
    """`value` as an int; a ValueError that names the layer and the argument where it is no positive integer."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise ValueError(f"`{name}` of `{layer.name}` must be a positive integer, but got {value!r}.")
    return int(value)


def one_of(layer: Layer, name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """`value` where it is among `choices`; a ValueError that lists them where it is not."""
    value = value.lower() if isinstance(value, str) else value
    if value not in choices:
        raise ValueError(
            f"`{name}` of `{layer.name}` must be one of {', '.join(map(repr, choices))}, but got {value!r}."
        )
    return value


def integer_tuple(layer: Layer, name: str, value: Any, length: int, allow_zero: bool = False) -> tuple[int, ...]:
    """`value` as a tuple of `length` positive integers; one integer stands for all."""
    values = (value,) * length if isinstance(value, (int, np.integer)) else value
    least = 0 if allow_zero else 1
    ok = isinstance(values, (tuple, list)) and len(values) == length
    if not ok or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < least for v in values):
        raise ValueError(f"`{name}` of `{layer.name}` must be {length} positive integers or one, but got {value!r}.")
    return tuple(int(v) for v in values)


def fraction(layer: Layer, name: str, value: Any) -> Any:
    """`value` where it lies in [0, 1]; a ValueError that names the layer and the argument where it does not."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        raise ValueError(f"`{name}` of `{layer.name}` must be a number from 0 to 1, but got {value!r}.")
    return value
