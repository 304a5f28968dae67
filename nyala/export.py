"""Export: models as SavedModels, with endpoints of one's own."""

from __future__ import annotations

from nyala.saving.exporting import ExportArchive

__all__ = ["ExportArchive"]
