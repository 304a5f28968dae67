"""Models: `Model`, `Functional`, `Sequential`, and ways to copy and rebuild them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nyala.models.cloning import clone_model, model_from_json
from nyala.models.functional import Functional
from nyala.models.model import Model
from nyala.models.sequential import Sequential

if TYPE_CHECKING:  # at run time on first use: saving builds on models, so models do not begin by importing it
    from nyala.saving.files import load_model, save_model

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]


def __getattr__(name: str) -> Any:
    if name not in ("load_model", "save_model"):
        raise AttributeError(f"module 'nyala.models' has no attribute {name!r}")
    from nyala.saving import files

    globals()[name] = getattr(files, name)
    return globals()[name]


def __dir__() -> list[str]:
    return list(__all__)
