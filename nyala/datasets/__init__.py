"""Data sets, each a module with a `load_data` function."""

from __future__ import annotations

from nyala.datasets import digits

__all__ = ["digits"]
