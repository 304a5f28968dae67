"""A training that may be interrupted: `resume_script.py FOLDER KIND STOP`, where STOP is a batch to die at, or -1."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import nyala
from nyala.core.engine import tf

ROWS, BATCH, EPOCHS = 96, 8, 5


class Interrupted(BaseException):
    """What a test throws where a real process would be killed."""


class Stop(nyala.callbacks.Callback):
    """Dies in the middle of training: for good, or by an exception."""

    def __init__(self, at: int, kill: bool) -> None:
        super().__init__()
        self.at, self.kill, self.heard = at, kill, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.heard += 1
        if self.heard == self.at:
            if self.kill:
                os.kill(os.getpid(), 9)
            raise Interrupted

    def get_state(self) -> dict[str, Any]:
        return {}


class Batches(nyala.utils.PyDataset):
    """Rows in an order that a generator of its own draws anew behind each epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.x, self.y, self.order = x, y, np.arange(len(x))

    def __len__(self) -> int:
        return len(self.x) // BATCH

    def __getitem__(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[place * BATCH : (place + 1) * BATCH]
        return self.x[rows], self.y[rows]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)

    def get_state(self) -> dict[str, Any]:
        return {"order": self.order.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        self.order = np.asarray(state["order"]).copy()


def data(kind: str, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """The arguments of `fit` for a kind of source."""
    if kind == "arrays":
        return {"x": x, "y": y, "batch_size": BATCH}
    if kind == "dataset":
        return {"x": tf.data.Dataset.from_tensor_slices((x, y)).shuffle(ROWS, seed=3).batch(BATCH)}
    if kind == "endless dataset":
        source = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(ROWS, seed=3).repeat().batch(BATCH)
        return {"x": source, "steps_per_epoch": 7}
    if kind == "generator":
        return {
            "x": ((x[i : i + BATCH], y[i : i + BATCH]) for _ in range(99) for i in (0, 24, 48)),
            "steps_per_epoch": 5,
        }
    return {"x": Batches(x, y)}


def train(folder: Path, kind: str, stop: int = -1, kill: bool = False, backup: bool = True) -> dict[str, Any]:
    """Train with all that has a state of its own; the weights, the history and the log."""
    nyala.utils.set_random_seed(5)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 6)).astype("float32")
    y = (x[:, :1] > 0).astype("float32")
    layers, callbacks = nyala.layers, nyala.callbacks
    model = nyala.Sequential(
        [
            nyala.Input((6,)),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    schedule = nyala.optimizers.schedules.ExponentialDecay(0.02, 10, 0.9)
    model.compile(nyala.optimizers.Adam(schedule), "binary_crossentropy", metrics=["accuracy"])
    listed = [
        callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True, min_delta=0.02),
        callbacks.CSVLogger(folder / "log.csv"),
    ]
    if backup:
        listed.append(callbacks.BackupAndRestore(folder / "backup", save_freq=4))
    listed.append(Stop(stop, kill))
    history = model.fit(
        **data(kind, x, y), epochs=EPOCHS, validation_data=(x[:24], y[:24]), verbose=0, callbacks=listed
    ).history
    log = (folder / "log.csv").read_text()
    return {"weights": [w.tolist() for w in model.get_weights()], "history": history, "log": log}


if __name__ == "__main__":
    target = Path(sys.argv[1])
    (target / "result.json").write_text(json.dumps(train(target, sys.argv[2], int(sys.argv[3]), kill=True)))
