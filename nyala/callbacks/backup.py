"""`BackupAndRestore`: a training that was interrupted goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nyala.training.callback import Callback
from nyala.training.distribution import is_chief


class BackupAndRestore(Callback):
    """Writes backups, from which the next `fit` of the same script goes on as if nothing had happened, to the same bits.

    A backup holds the variables of model, optimizer and metrics, the random generators (the model's, NumPy's and
    Python's), the place in the data, the history and the state of all callbacks. It appears whole or not at all.
    `save_freq` is `"epoch"` or a number of batches; `double_checkpoint` keeps the backup before the last one too;
    `delete_checkpoint` removes them when training ends. A source in Python must give the same batches again.
    Of several workers the first writes, and all go on from its file, so the folder must be one that all can read.

    Raises ValueError for a missing folder's name, an unknown `save_freq`, and a backup of another training.

    Example:
        >>> import nyala
        >>> nyala.callbacks.BackupAndRestore("backup", save_freq=100).batch_interval
        100
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ValueError("BackupAndRestore needs the name of a folder as backup_dir, but got an empty string.")
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"save_freq is 'epoch' or a positive number of batches, but got {save_freq!r}.")
        self.backup_dir, self.save_freq = Path(backup_dir), save_freq
        self.double_checkpoint, self.delete_checkpoint = double_checkpoint, delete_checkpoint
        self._saved = 0  # batches of the epoch that the last backup holds
        self._backup, self._earlier = self.backup_dir / "latest.npz", self.backup_dir / "earlier.npz"

    @property
    def batch_interval(self) -> int | None:
        return self.save_freq if isinstance(self.save_freq, int) else None

    def resume(self, position: Any) -> None:
        backup = self._backup if self._backup.exists() else self._earlier
        if backup.exists():
            position.load(backup)
        self._saved = position.done

    def on_position(self, position: Any) -> None:
        batches = position.done - self._saved
        if position.done == 0 or (isinstance(self.save_freq, int) and batches >= self.save_freq):
            self._saved = position.done
            if not is_chief():
                position.save(None)
                return
            self.backup_dir.mkdir(parents=True, exist_ok=True)
            if self.double_checkpoint and self._backup.exists():
                os.replace(self._backup, self._earlier)
            position.save(self._backup)

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint and is_chief():
            for path in (self._backup, self._earlier):
                path.unlink(missing_ok=True)
            if self.backup_dir.is_dir() and not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()

    def get_state(self) -> dict[str, Any]:
        return {}
