"""Learn to read handwritten digits with two processes, as two machines would do it.

Run it with `python examples/multi_worker.py [WORKERS]`: it starts the workers, by default 2, on this machine. Each takes
its part of every batch; all end with the same weights. On machines of their own, the same program would find the
addresses of all workers in `TF_CONFIG`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from digits import load  # beside this file

import nyala as keras

BATCH, EPOCHS, SECONDS = 64, 15, 600


def build() -> keras.Model:
    """A small convolutional network."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def work(backups: str) -> None:
    """What each worker runs: the whole program of a training on several machines."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    place = strategy.cluster_resolver.task_id
    keras.utils.set_random_seed(7)
    (x_train, y_train), (x_test, y_test) = load()
    with strategy.scope():
        model = build()
        model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    backup = keras.callbacks.BackupAndRestore(backups)
    started = time.perf_counter()
    history = model.fit(x_train, y_train, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[backup]).history
    seconds = time.perf_counter() - started
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"worker {place}: {strategy.num_replicas_in_sync} workers trained {EPOCHS} epochs in {seconds:.1f} s")
    print(f"worker {place}: the loss went from {history['loss'][0]:.4f} to {history['loss'][-1]:.4f}")
    print(f"worker {place}: on {len(x_test)} held-out digits: loss {loss:.4f}, accuracy {accuracy:.2%}")
    sizes = sum(float(np.abs(weight).sum()) for weight in model.get_weights())
    print(f"worker {place}: its weights add up to {sizes:.6f}")
    if accuracy < 0.95:
        raise SystemExit(1)


def addresses(count: int) -> list[str]:
    """Places on this machine where nobody listens yet."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def main() -> int:
    """Start the workers, and wait for them."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    cluster = {"worker": addresses(count)}
    print(f"{count} workers: {', '.join(cluster['worker'])}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        backups = str(Path(folder, "backup"))
        workers = []
        for place in range(count):
            task = {"cluster": cluster, "task": {"type": "worker", "index": place}}
            environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "TF_CONFIG": json.dumps(task)}
            workers.append(subprocess.Popen([sys.executable, __file__, "--worker", backups], env=environment))
        try:
            codes = [worker.wait(SECONDS) for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    return max(map(abs, codes))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2])
    else:
        raise SystemExit(main())
