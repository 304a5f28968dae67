"""Learn to read handwritten digits: load, train, judge, save, reload elsewhere, draw.

Run it with `make demo`, or with `python examples/digits.py [FOLDER]`: FOLDER, by default `digits-demo`, gets the model
and a picture of the training curves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import nyala as keras

# What the fresh process runs: it knows the file and the rows, nothing else.
RELOAD = """
import sys
import numpy as np
import nyala
x, path = np.load(sys.argv[1]), sys.argv[2]
np.save(sys.argv[3], nyala.saving.load_model(path).predict(x, verbose=0))
"""


def load() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """1,437 rows to learn from and 360 to be judged by: (N, 8, 8, 1) from 0 to 1, and their labels.

    The data's own last rows come from other writers; here the held-out rows are drawn at random, so that both parts hold
    every writer's hand.
    """
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x = np.concatenate([x_train, x_test]).astype("float32")[..., None] / 16.0
    y = np.concatenate([y_train, y_test])
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1437], order[1437:]
    return (x[train], y[train]), (x[test], y[test])


def build() -> keras.Model:
    """A small convolutional network."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )


def predict_in_a_fresh_process(model_path: Path, x: np.ndarray, folder: Path) -> np.ndarray:
    """What a new Python process predicts from the saved file alone."""
    rows, results = folder / "rows.npy", folder / "predictions.npy"
    np.save(rows, x)
    subprocess.run([sys.executable, "-c", RELOAD, str(rows), str(model_path), str(results)], check=True)
    predictions = np.load(results)
    rows.unlink()
    results.unlink()
    return predictions


def draw(history: dict[str, list[float]], path: Path) -> None:
    """The training curves as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(history[name], label="training")
        axis.plot(history[f"val_{name}"], label="validation")
        axis.set_xlabel("epoch")
        axis.set_title(name)
        axis.legend()
    figure.savefig(path, dpi=120)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "digits-demo")
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(7)
    (x_train, y_train), (x_test, y_test) = load()

    model = build()
    model.summary()
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    history = model.fit(x_train, y_train, batch_size=32, epochs=30, validation_split=0.1)
    seconds = time.perf_counter() - started
    print(f"\nTrained for {seconds:.1f} s. How the steps ran:\n{model.execution_plan}")

    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\nOn {len(x_test)} held-out digits: loss {loss:.4f}, accuracy {accuracy:.2%}")

    path = folder / "digits.keras"
    model.save(path)
    again = predict_in_a_fresh_process(path, x_test, folder)
    equal = np.array_equal(model.predict(x_test, verbose=0), again)
    print(f"Saved to {path} ({os.path.getsize(path) / 1024:.0f} KB); a fresh process predicts bit-equal: {equal}")

    draw(history.history, folder / "training.png")
    print(f"Training curves: {folder / 'training.png'}")
    return 0 if equal and accuracy >= 0.98 else 1


if __name__ == "__main__":
    raise SystemExit(main())
