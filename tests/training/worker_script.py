"""One of two workers: `worker_script.py PLACE PORT PORT FOLDER TASK`, where TASK is `compare`, `train` or a way to stop.

`kill` and `freeze` do to this worker what befalls a machine, in the third epoch.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

PLACE, FOLDER, TASK = 0, Path(), ""
if __name__ == "__main__":
    PLACE, FOLDER, TASK = int(sys.argv[1]), Path(sys.argv[4]), sys.argv[5]
    ADDRESSES = [f"127.0.0.1:{port}" for port in sys.argv[2:4]]
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": ADDRESSES}, "task": {"type": "worker", "index": PLACE}})

import numpy as np  # noqa: E402

import nyala  # noqa: E402
from nyala.core.engine import tf  # noqa: E402
from tests.training.distribution_script import CASES, CLASSES, X, apart, dense, train  # noqa: E402

COMPARED = ("arrays, Adam", "one row left", "dataset, momentum", "divided by weights", "own step")


class Stop(nyala.callbacks.Callback):
    """Ends or freezes the process inside the third epoch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        assert self.model is not None
        if TASK in ("kill", "freeze") and int(self.model.optimizer.iterations.numpy()) == 10:
            (FOLDER / "stopped").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL if TASK == "kill" else signal.SIGSTOP)

    def get_state(self) -> dict[str, Any]:
        return {}


def long_training(strategy: Any) -> dict[str, Any]:
    """A training with all that has a state of its own, and backups."""
    nyala.utils.set_random_seed(5)
    with strategy.scope():
        between = [nyala.layers.Dropout(0.3), nyala.layers.BatchNormalization()]
        model = dense(*between)
        loss = nyala.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(nyala.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    callbacks = [nyala.callbacks.BackupAndRestore(FOLDER / "backup", save_freq=3), Stop()]
    history = model.fit(X, CLASSES, batch_size=8, epochs=6, verbose=0, callbacks=callbacks).history
    return {"history": history, "weights": [w.tolist() for w in model.get_weights()]}


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if TASK != "compare":
        found: Any = long_training(strategy)
    else:
        found = {}
        for name in COMPARED:
            shared, single = train(CASES[name], strategy.scope()), train(CASES[name], contextlib.nullcontext())
            found[name] = {key: apart(single[key], shared[key]) for key in single}
    (FOLDER / f"{PLACE}.json").write_text(json.dumps(found, default=np.ndarray.tolist))


if __name__ == "__main__":
    main()
