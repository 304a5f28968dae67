"""Images: resizing, warping, colors and patches."""

from __future__ import annotations

__all__: list[str] = []
