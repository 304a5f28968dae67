"""Trainings on replicas beside the same on one device: `distribution_script.py [CASE …]` prints how far they are apart.

Without names all cases run, with evaluation and predictions; named ones only train.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import nyala
from nyala.core.engine import tf

ROWS, BATCH = 29, 9  # the last batch has 2 rows; of 28 rows it has 1, which leaves a replica without any
layers, losses = nyala.layers, nyala.losses
rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, 4)).astype("float32")
WORDS = rng.integers(0, 7, (ROWS, 5))
CLASSES = rng.integers(0, 3, ROWS)
BITS = rng.integers(0, 2, (ROWS, 1)).astype("float32")
WEIGHTS = rng.uniform(0.1, 2.0, ROWS).astype("float32")
SPARSE = losses.SparseCategoricalCrossentropy


def dense(*between: Any, outputs: int = 3, **options: Any) -> nyala.Model:
    """A small classifier with `between` in its middle."""
    hidden = layers.Dense(6, activation="tanh", **options)
    return nyala.Sequential([nyala.Input((4,)), hidden, *between, layers.Dense(outputs)])


class Penalty(layers.Layer):
    """Adds a loss that is a mean over rows."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(0.1 * tf.reduce_mean(tf.square(inputs)))
        return inputs


class OwnStep(nyala.Model):
    """A step of its own, in which it asks its own metric."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)
        self.error = nyala.metrics.MeanAbsoluteError(name="error")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x)
            loss = tf.reduce_mean(tf.square(y - y_pred)) + 0.01 * tf.reduce_sum(tf.square(self.dense.kernel.value))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
        self.error.update_state(y, y_pred)
        return {"loss": loss, "error": self.error.result()}


class Batches(nyala.utils.PyDataset):
    """Batches from Python."""

    def __len__(self) -> int:
        return len(range(0, ROWS, BATCH))

    def __getitem__(self, place: int) -> Any:
        rows = slice(place * BATCH, (place + 1) * BATCH)
        return X[rows], CLASSES[rows]


def words() -> nyala.Model:
    """Embedded words with a mask, a prediction for each."""
    made = [layers.Embedding(7, 4, mask_zero=True), layers.Dense(3)]
    return nyala.Sequential([nyala.Input((5,), dtype="int32"), *made])


def two_outputs() -> nyala.Model:
    """Two outputs, so that each loss has a mean of its own."""
    inputs = nyala.Input((4,))
    hidden = layers.Dense(5, activation="relu")(inputs)
    return nyala.Model(inputs, [layers.Dense(3, name="kind")(hidden), layers.Dense(1, name="size")(hidden)])


def image() -> nyala.Model:
    """A convolution, and the fused kernel's batch statistics held still."""
    made = [layers.Reshape((2, 2, 1)), layers.Conv2D(3, 2, padding="same"), layers.MaxPooling2D()]
    return nyala.Sequential([nyala.Input((4,)), *made, layers.Flatten(), layers.Dense(3)])


def dataset(*arrays: Any) -> Any:
    """The arrays as a `tf.data.Dataset`."""
    return tf.data.Dataset.from_tensor_slices(arrays).batch(BATCH)


CLASSIFY: dict[str, Any] = {"loss": SPARSE(from_logits=True), "metrics": ["accuracy"]}
ARRAYS: dict[str, Any] = {"x": X, "y": CLASSES, "batch_size": BATCH}
SGD, ADAM = (lambda **o: nyala.optimizers.SGD(0.1, **o)), (lambda **o: nyala.optimizers.Adam(0.01, **o))
Case = tuple[Callable[[], Any], Callable[[], Any], dict[str, Any], Callable[[], dict[str, Any]]]
# name: model, optimizer, what else `compile` is told, what `fit` is told
CASES: dict[str, Case] = {
    "arrays, Adam": (dense, ADAM, CLASSIFY, lambda: ARRAYS),
    "one row left": (
        lambda: dense(layers.BatchNormalization(synchronized=True), Penalty(), activity_regularizer="l2"),
        SGD,
        CLASSIFY,
        lambda: {**ARRAYS, "x": X[:28], "y": CLASSES[:28], "shuffle": False},
    ),
    "dataset, momentum": (dense, lambda: SGD(momentum=0.9), CLASSIFY, lambda: {"x": dataset(X, CLASSES)}),
    "stream": (
        dense,
        ADAM,
        CLASSIFY,
        lambda: {"x": Batches()},
    ),
    "sample weights": (
        dense,
        SGD,
        {**CLASSIFY, "weighted_metrics": ["accuracy"]},
        lambda: {**ARRAYS, "sample_weight": WEIGHTS},
    ),
    "divided by weights": (
        dense,
        SGD,
        {"loss": SPARSE(from_logits=True, reduction="mean_with_sample_weight")},
        lambda: {**ARRAYS, "sample_weight": WEIGHTS},
    ),
    "class weights": (dense, SGD, CLASSIFY, lambda: {**ARRAYS, "class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}),
    "sum": (dense, lambda: SGD(clipnorm=0.5), {"loss": SPARSE(True, reduction="sum")}, lambda: ARRAYS),
    "regularizers": (
        lambda: dense(Penalty(), kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
        SGD,
        CLASSIFY,
        lambda: ARRAYS,
    ),
    "masked words": (
        words,
        ADAM,
        {"loss": SPARSE(from_logits=True), "metrics": ["accuracy"]},
        lambda: {"x": WORDS, "y": WORDS % 3, "batch_size": BATCH},
    ),
    "synchronized": (lambda: dense(layers.BatchNormalization(synchronized=True)), SGD, CLASSIFY, lambda: ARRAYS),
    "accumulation": (dense, lambda: ADAM(gradient_accumulation_steps=3), CLASSIFY, lambda: ARRAYS),
    "averages": (dense, lambda: ADAM(use_ema=True, ema_momentum=0.5), CLASSIFY, lambda: ARRAYS),
    "loss scaling": (dense, lambda: nyala.optimizers.LossScaleOptimizer(ADAM()), CLASSIFY, lambda: ARRAYS),
    "curve": (
        lambda: dense(outputs=1),
        SGD,
        {"loss": losses.BinaryCrossentropy(from_logits=True), "metrics": ["AUC", "accuracy", "Precision"]},
        lambda: {"x": X, "y": BITS, "batch_size": BATCH, "steps_per_epoch": 3},
    ),
    "two outputs": (
        two_outputs,
        SGD,
        {"loss": [SPARSE(from_logits=True), "mse"], "metrics": [["accuracy"], ["mae"]]},
        lambda: {"x": X, "y": [CLASSES, BITS], "batch_size": BATCH},
    ),
    "own step": (OwnStep, SGD, {}, lambda: {"x": X[:27], "y": BITS[:27], "batch_size": 6}),
    "several steps a call": (dense, SGD, {**CLASSIFY, "steps_per_execution": 2}, lambda: ARRAYS),
    "eagerly": (dense, SGD, {**CLASSIFY, "run_eagerly": True}, lambda: ARRAYS),
    "image": (image, SGD, CLASSIFY, lambda: ARRAYS),
}


def train(case: Case, scope: Any, wholly: bool = True) -> dict[str, Any]:
    """All numbers that come of a training and, `wholly`, of evaluation, prediction and a step on one batch."""
    make, optimizer, options, data = case
    nyala.utils.set_random_seed(5)
    with scope:
        model = make()
        model.compile(optimizer(), **({"jit_compile": False} | options))
    fed = data()
    history = model.fit(**fed, epochs=3, verbose=0).history
    found: dict[str, Any] = {"history": history, "weights": model.get_weights()}
    slots = [v.numpy() for v in model.optimizer.variables if "seed" not in v.path]
    found["optimizer"] = slots
    if wholly and "y" in fed:
        found["evaluate"] = model.evaluate(fed["x"], fed["y"], batch_size=BATCH, verbose=0)
        found["predict"] = model.predict(fed["x"], batch_size=8, verbose=0)
        y = fed["y"] if isinstance(fed["y"], list) else [fed["y"]]
        x, y = fed["x"][:5], [part[:5] for part in y]
        found["one batch"] = model.train_on_batch(x, y if len(y) > 1 else y[0])
    return found


def apart(one: Any, other: Any) -> float:
    """The greatest difference between two structures of numbers, relative to 1 or to the numbers."""
    pairs = zip(nyala.tree.flatten(one), nyala.tree.flatten(other), strict=True)
    return max(float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(a)), initial=0.0)) for a, b in map(floats, pairs))


def floats(pair: Any) -> Any:
    """Two arrays as such, where NaN stands out."""
    return [np.nan_to_num(np.asarray(part, "float64"), nan=1e9) for part in pair]


def mirrored() -> Any:
    """A strategy with two replicas on a CPU."""
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def states(strategy: Any) -> dict[str, Any]:
    """What is no number to compare: whether replicas agree, differ, repeat, and what mistakes are answered with."""

    def drawn() -> list[np.ndarray]:
        nyala.utils.set_random_seed(3)
        with strategy.scope():
            layer = layers.Dropout(0.5)

        def draw() -> Any:
            return layer(tf.ones((1, 50)), training=True)

        values = tf.function(lambda: strategy.run(draw), autograph=False)()
        return [value.numpy() for value in strategy.experimental_local_results(values)]

    one, again = drawn(), drawn()
    with strategy.scope():
        apart = dense(layers.BatchNormalization(momentum=0.5), layers.Dropout(0.5))
        apart.compile(SGD(), **CLASSIFY)
    apart.fit(X[:9], CLASSES[:9], batch_size=BATCH, verbose=0)
    moving = [[copy.numpy() for copy in weight._value.values] for weight in apart.weights]
    outside = dense()
    with strategy.scope():
        outside.compile(SGD(), **CLASSIFY)
    try:
        outside.fit(X, CLASSES, verbose=0)
        mistake = ""
    except ValueError as error:
        mistake = str(error)
    return {
        "noise differs by replica": not np.array_equal(one[0], one[1]),
        "noise repeats": all(map(np.array_equal, one, again)),
        "copies are equal": all(np.array_equal(*copies) and np.isfinite(copies[0]).all() for copies in moving),
        "plan": apart.execution_plan,
        "mistake": mistake,
    }


def shared_out(strategy: Any) -> dict[str, float]:
    """How far a training is from that of one device, whose dataset the strategy has shared out itself."""

    def trained(scope: Any, share_out: Callable[[Any], Any]) -> Any:
        nyala.utils.set_random_seed(5)
        with scope:
            model = dense()
            model.compile(ADAM(), **CLASSIFY, jit_compile=False)
        data = share_out(dataset(X, CLASSES))
        history = model.fit(data, epochs=2, verbose=0, validation_data=data).history
        return {"history": history, "weights": model.get_weights(), "predict": model.predict(data, verbose=0)}

    single = trained(contextlib.nullcontext(), lambda data: data)
    shared = trained(strategy.scope(), strategy.experimental_distribute_dataset)
    return {key: apart(single[key], shared[key]) for key in single}


def main(names: list[str]) -> None:
    strategy = mirrored()
    found: dict[str, Any] = {"states": states(strategy)}
    if not names:
        found["shared out"] = shared_out(strategy)
    for name in names or CASES:
        single, shared = (
            train(CASES[name], scope, not names) for scope in (contextlib.nullcontext(), strategy.scope())
        )
        found[name] = {key: apart(single[key], shared[key]) for key in single}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
