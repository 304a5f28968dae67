"""`OrbaxCheckpoint`: checkpoints in the format of the library Orbax, written while training goes on."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from nyala.callbacks.checkpoint import SavingCallback
from nyala.core import tree
from nyala.training.callback import Logs

MODULES = ("orbax.checkpoint.v1", "orbax.checkpoint.experimental.v1")  # where its releases have had the interface


class OrbaxCheckpoint(SavingCallback):
    """Saves the state of training as Orbax checkpoints: one folder below `directory` for each, named by its number.

    That number is the epoch, from 0, or the batches so far where `save_freq` counts batches. `pytree` holds the variables
    as `model.get_state_tree()` has them, `model_config` how the model is made and compiled; `save_weights_only` leaves
    out the latter and the variables of optimizer and metrics. The latest `max_to_keep` stay, or all of them with None;
    `save_best_only` saves where `monitor` got better. With `save_on_background` training goes on meanwhile.
    Raises ImportError without the package, ValueError for a folder that a longer training has used.

    Example:
        >>> import nyala
        >>> try:
        ...     callback = nyala.callbacks.OrbaxCheckpoint("checkpoints", max_to_keep=3)
        ... except ImportError:
        ...     pass  # pip install orbax-checkpoint
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold, verbose, save_best_only, save_freq)
        if not os.fspath(directory):
            raise ValueError("OrbaxCheckpoint needs the name of a folder as directory, but got an empty string.")
        if max_to_keep is not None and max_to_keep < 1:
            raise ValueError(f"max_to_keep is a positive number, or None to keep all, but got {max_to_keep!r}.")
        self.directory, self.max_to_keep = os.fspath(directory), max_to_keep
        self.save_on_background, self.save_weights_only = save_on_background, save_weights_only
        self._library, self._checkpointer, self._saving = orbax(), None, None
        self._batches_before = 0  # of the training that the folder is from

    # ---- Hooks ----

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        training = self._library.training
        policy = training.preservation_policies.LatestN(self.max_to_keep)
        self._saving = None
        self._checkpointer = training.Checkpointer(os.path.abspath(self.directory), preservation_policy=policy)
        self._batches_before = max(self._latest(), 0)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        if self.every is None and epoch < self._latest():
            raise ValueError(
                f"{self.directory} holds the checkpoint of epoch {self._latest()}, behind which that of epoch {epoch} would "
                "not be found; go on with fit(…, initial_epoch=…), or give each training a folder of its own."
            )

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.wait_until_finished()
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None

    # ---- Saving ----

    def wait_until_finished(self) -> None:
        """Come back when the last checkpoint is on the disk; raises what went wrong with it."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def is_multihost_enabled(self) -> bool:
        """Whether several processes write one checkpoint together."""
        return importlib.import_module("jax").process_count() > 1

    def is_primary_host(self) -> bool:
        """Whether this process is the first of them, or the only one."""
        return importlib.import_module("jax").process_index() == 0

    def _latest(self) -> int:
        """The number of the last checkpoint in the folder; -1 where there is none."""
        latest = self._checkpointer.latest  # type: ignore[union-attr]
        return -1 if latest is None else latest.step

    def _target(self, epoch: int, batch: int | None, logs: Logs | None) -> str:
        return os.path.join(self.directory, str(epoch if batch is None else self._batches_before + self._step))

    def _save(self, target: str) -> None:
        self.wait_until_finished()
        checkpointer: Any = self._checkpointer
        save = checkpointer.save_checkpointables_async if self.save_on_background else checkpointer.save_checkpointables
        saving = save(int(os.path.basename(target)), self._contents(), overwrite=True)
        self._saving = saving if self.save_on_background else None

    def _contents(self) -> dict[str, Any]:
        state = self.model.get_state_tree("numpy_array")
        if self.save_weights_only:
            state = {kind: state[kind] for kind in ("trainable_variables", "non_trainable_variables")}
        state = {kind: values for kind, values in state.items() if values}
        # Copies: training changes the variables.
        found: dict[str, Any] = {"pytree": tree.map_structure(np.array, state)}
        if not self.save_weights_only:
            found["model_config"] = {"config": self.model.to_json()}
        return found


def orbax() -> Any:
    """The interface of Orbax; an ImportError that says how to get it."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise ImportError("OrbaxCheckpoint needs the package orbax-checkpoint: pip install orbax-checkpoint")
