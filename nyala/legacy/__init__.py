"""Names of Keras 2 that are still called."""

from __future__ import annotations

from nyala.legacy import saving

__all__ = ["saving"]
