"""The names of the optimizers of Keras 2, kept so that old programs get an answer: they say what to use instead."""

from __future__ import annotations

from typing import Any

__all__ = ["SGD", "Adagrad", "Adam", "Ftrl", "Optimizer", "RMSprop"]


class _Legacy:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise ImportError(
            f"The Keras 2 optimizer `legacy.{name}` is gone here as in Keras 3; use `nyala.optimizers.{name}`."
        )


class Adagrad(_Legacy):
    """Gone; use `nyala.optimizers.Adagrad`."""


class Adam(_Legacy):
    """Gone; use `nyala.optimizers.Adam`."""


class Ftrl(_Legacy):
    """Gone; use `nyala.optimizers.Ftrl`."""


class Optimizer(_Legacy):
    """Gone; use `nyala.optimizers.Optimizer`."""


class RMSprop(_Legacy):
    """Gone; use `nyala.optimizers.RMSprop`."""


class SGD(_Legacy):
    """Gone; use `nyala.optimizers.SGD`."""
