"""Models: `Model`, `Functional`, `Sequential`, and ways to copy and rebuild them."""

from __future__ import annotations

from nyala.models.cloning import clone_model, model_from_json
from nyala.models.functional import Functional
from nyala.models.model import Model
from nyala.models.sequential import Sequential
from nyala.saving.files import load_model, save_model

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
