"""`fit`, `evaluate` and `predict` against the oracle, on every plan and from every kind of data."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

PLANS = {"eager": {"run_eagerly": True}, "graph": {"jit_compile": False}, "xla": {"jit_compile": True}}
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(70, 6)).astype("float32")
LABELS = GENERATOR.integers(0, 3, 70)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
TARGETS = GENERATOR.normal(size=(70, 1)).astype("float32")
IMAGES = GENERATOR.normal(size=(40, 8, 8, 1)).astype("float32")
IMAGE_LABELS = GENERATOR.integers(0, 3, 40)
SEQUENCES = GENERATOR.normal(size=(40, 4, 3)).astype("float32")


def classifier(k):
    return k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="relu"), k.layers.Dense(3, activation="softmax")])


def regressor(k):
    x = k.Input((6,))
    h = k.layers.Dense(8, activation="tanh", kernel_regularizer="l2")(x)
    return k.Model(x, k.layers.Dense(1)(h))


def convolutional(k):
    return k.Sequential(
        [
            k.Input((8, 8, 1)),
            k.layers.Conv2D(4, 3, activation="relu"),
            k.layers.BatchNormalization(),
            k.layers.MaxPooling2D(),
            k.layers.Flatten(),
            k.layers.Dense(3),
        ]
    )


def recurrent(k):
    return k.Sequential([k.Input((4, 3)), k.layers.GRU(3), k.layers.Dense(1)])


LOGITS = {"from_logits": True}
WORK = {
    "classifier": (classifier, X, LABELS, "sparse_categorical_crossentropy"),
    "one-hot": (classifier, X, ONE_HOT, "categorical_crossentropy"),
    "regressor": (regressor, X, TARGETS, "mse"),
    "convolutional": (convolutional, IMAGES, IMAGE_LABELS, lambda k: k.losses.SparseCategoricalCrossentropy(**LOGITS)),
    "recurrent": (recurrent, SEQUENCES, TARGETS[:40], "mae"),
}


def pair(work: str, optimizer="adam", metrics=("accuracy",), **options):
    """Our compiled model and the oracle's, with the same weights."""
    build, x, y, loss = WORK[work]
    models = []
    for k in (nyala, keras):
        model = build(k)
        model.compile(
            optimizer, loss(k) if callable(loss) else loss, metrics=list(metrics), **(options if k is nyala else {})
        )
        models.append(model)
    models[0].set_weights(models[1].get_weights())
    return (*models, x, y)


TWO_EPOCHS = {"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0, "validation_split": 0.2}
SLOW = pytest.mark.slow


def trained(k, work, weights=None, **options):
    """A model after two epochs, and its history."""
    build, x, y, loss = WORK[work]
    model = build(k)
    metrics = ["mae"] if work in ("regressor", "recurrent") else ["accuracy"]
    model.compile("adam", loss(k) if callable(loss) else loss, metrics=metrics, **options)
    start = model.get_weights() if weights is None else weights
    model.set_weights(start)
    return model, model.fit(x, y, **TWO_EPOCHS).history, start


@pytest.mark.parametrize(
    "work", [pytest.param(w, marks=SLOW if w in ("recurrent", "one-hot", "regressor") else ()) for w in WORK]
)
def test_two_epochs_end_where_the_oracle_ends(work):
    """History, weights, evaluation and predictions: same batches, same numbers, the remainder batch included."""
    _, x, y, _ = WORK[work]
    theirs, reference, start = trained(keras, work)
    evaluated, predicted = theirs.evaluate(x, y, verbose=0), theirs.predict(x, verbose=0)
    for plan, options in PLANS.items():
        ours, history, _ = trained(nyala, work, start, **options)
        assert set(history) == set(reference)
        assert_close(history, {key: reference[key] for key in history}, 1e-4, 1e-5)
        assert_close(ours.get_weights(), theirs.get_weights(), 1e-4, 1e-4)
        assert_close(ours.evaluate(x, y, verbose=0), evaluated, 1e-4, 1e-5)
        assert_close(ours.predict(x, verbose=0), predicted, 1e-4, 1e-5)
        assert plan in ours.execution_plan


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
def test_ten_steps_with_each_optimizer(optimizer):
    """Ten steps on the same batches end at the oracle's weights."""
    ours, theirs, x, _ = pair("classifier", optimizer)
    for _ in range(10):
        mine = ours.train_on_batch(x[:16], LABELS[:16])
        assert_close(mine, theirs.train_on_batch(x[:16], LABELS[:16]), 1e-4, 1e-5)
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-4, 1e-5)


@pytest.mark.parametrize("plan", ["graph", "xla"])
def test_the_length_of_chunks_changes_nothing(plan):
    """The same bits, whether Python is entered for every step or for many."""
    weights = []
    for length in (2, 3, 1000):
        nyala.utils.set_random_seed(3)
        model = nyala.Sequential(
            [
                nyala.Input((6,)),
                nyala.layers.Dense(8, activation="relu"),
                nyala.layers.Dropout(0.3),
                nyala.layers.Dense(3),
            ]
        )
        loss = nyala.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, steps_per_execution=length, **PLANS[plan])
        model.fit(X, LABELS, batch_size=8, epochs=3, verbose=0)
        weights.append(model.get_weights())
    for other in weights[1:]:
        for one, two in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("plan", [pytest.param(plan, marks=SLOW if plan == "xla" else ()) for plan in PLANS])
def test_data_of_another_size_trains_and_evaluates_on_the_same_plan(plan):
    """What was compiled for 70 rows is not used for 40, nor for another batch size."""
    ours, theirs, x, y = pair("classifier", **PLANS[plan])
    for rows, batch_size in ((70, 16), (40, 16), (40, 10), (70, 16)):
        options = {"batch_size": batch_size, "epochs": 1, "shuffle": False, "verbose": 0}
        mine, reference = (model.fit(x[:rows], y[:rows], **options).history for model in (ours, theirs))
        assert_close(mine["loss"], reference["loss"], 1e-4, 1e-5)
        evaluated = [model.evaluate(x[-rows:], y[-rows:], batch_size=batch_size, verbose=0) for model in (ours, theirs)]
        assert_close(*evaluated, 1e-4, 1e-5)
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-4, 1e-5)


def batches(size=16):
    for start in range(0, len(X), size):
        yield X[start : start + size], LABELS[start : start + size]


class Batches(nyala.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        return X[index * 16 : index * 16 + 16], LABELS[index * 16 : index * 16 + 16]


SOURCES = {
    "arrays": lambda: ((X, LABELS), {"batch_size": 16}),
    "tensors": lambda: ((tf.constant(X), tf.constant(LABELS)), {"batch_size": 16}),
    "pandas": lambda: ((pandas.DataFrame(X), pandas.Series(LABELS)), {"batch_size": 16}),
    "lists": lambda: ((X.tolist(), LABELS.tolist()), {"batch_size": 16}),
    "float64": lambda: ((X.astype("float64"), LABELS), {"batch_size": 16}),
    "dataset": lambda: ((tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(16),), {}),
    "generator": lambda: ((batches(),), {}),
    "PyDataset": lambda: ((Batches(),), {}),
}


@pytest.mark.parametrize(
    ("source", "plan"),
    [*((source, "graph") for source in SOURCES), ("dataset", "xla"), ("generator", "eager")],
)
def test_every_source_gives_the_same_training(source, plan):
    """The same batches from anywhere lead to the weights that arrays lead to."""
    expected, *_ = pair("classifier", **PLANS[plan])
    model = classifier(nyala)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **PLANS[plan])
    model.set_weights(expected.get_weights())
    expected.fit(X, LABELS, batch_size=16, shuffle=False, verbose=0)
    data, options = SOURCES[source]()
    history = model.fit(*data, shuffle=False, verbose=0, **options)
    assert_close(model.get_weights(), expected.get_weights(), 1e-5, 1e-6)
    assert set(history.history) == {"loss", "accuracy"}
    data, options = SOURCES[source]()
    assert_close(model.evaluate(*data, verbose=0, **options), expected.evaluate(X, LABELS, verbose=0), 1e-5, 1e-5)
    if source not in ("generator", "PyDataset", "dataset"):
        assert_close(model.predict(data[0], verbose=0), expected.predict(X, verbose=0), 1e-5, 1e-6)


@pytest.mark.parametrize("feed", ["arrays", "dataset"])
def test_class_and_sample_weights(feed):
    """Weights count as in the oracle, in training and in validation."""
    ours, theirs, x, y = pair("classifier")
    weight = {0: 1.0, 1: 3.0, 2: 0.5}
    for model in (ours, theirs):
        if feed == "arrays":
            model.fit(x, y, batch_size=16, class_weight=weight, shuffle=False, verbose=0)
            model.fit(x, y, batch_size=16, sample_weight=np.linspace(0, 2, 70), shuffle=False, verbose=0)
        else:
            model.fit(
                tf.data.Dataset.from_tensor_slices((x, y)).batch(16), class_weight=weight, shuffle=False, verbose=0
            )
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-4, 1e-5)
    weights = np.linspace(0, 1, 70).astype("float32")
    mine = ours.evaluate(x, y, sample_weight=weights, verbose=0)
    assert_close(mine, theirs.evaluate(x, y, sample_weight=weights, verbose=0), 1e-4, 1e-5)


def two_outputs(k):
    a, b = k.Input((6,), name="a"), k.Input((6,), name="b")
    h = k.layers.Concatenate()([k.layers.Dense(4, activation="relu")(a), b])
    return k.Model({"a": a, "b": b}, {"p": k.layers.Dense(1, name="p")(h), "q": k.layers.Dense(3, name="q")(h)})


def test_several_inputs_and_outputs():
    """Dicts of inputs and outputs with a loss, a weight and metrics each: logs and weights are the oracle's."""
    models = [two_outputs(k) for k in (nyala, keras)]
    models[0].set_weights(models[1].get_weights())
    x, y = {"a": X, "b": -X}, {"p": TARGETS, "q": ONE_HOT}
    histories, evaluations = [], []
    for model in models:
        loss_weights = {"p": 0.5, "q": 2.0}
        metrics = {"p": ["mae"], "q": ["accuracy", "mse"]}
        model.compile("sgd", {"p": "mse", "q": "mae"}, loss_weights=loss_weights, metrics=metrics)
        history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, validation_split=0.25)
        histories.append(history.history)
        evaluations.append(model.evaluate(x, y, verbose=0, return_dict=True))
    assert set(histories[0]) == set(histories[1])
    assert_close(histories[0], {key: histories[1][key] for key in histories[0]}, 1e-4, 1e-5)
    assert_close(evaluations[0], {key: evaluations[1][key] for key in evaluations[0]}, 1e-4, 1e-5)
    assert_close(models[0].predict(x, verbose=0), models[1].predict(x, verbose=0), 1e-4, 1e-5)


def test_a_train_step_of_ones_own():
    """A subclass that computes its step by hand trains on every plan."""

    def subclass(k):
        class Own(k.Model):
            def __init__(self):
                super().__init__()
                self.parts = [k.layers.Dense(5), {"last": k.layers.Dense(1)}]
                self.seen = k.metrics.Mean(name="seen")

            def call(self, x, training=False):
                for part in self.parts[:1]:
                    x = part(x)
                return self.parts[1]["last"](x)

            def train_step(self, data):
                x, y = data
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compute_loss(y=y, y_pred=y_pred)
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
                self.seen.update_state(loss)
                return {"own": loss, "seen": self.seen.result()}

        return Own()

    for plan in PLANS.values():
        ours, theirs = subclass(nyala), subclass(keras)
        for model in (ours, theirs):
            model.compile("sgd", "mse", **(plan if model is ours else {}))
            model(X[:1])
        ours.set_weights(theirs.get_weights())
        mine = ours.fit(X, TARGETS, batch_size=16, epochs=2, shuffle=False, verbose=0).history
        reference = theirs.fit(X, TARGETS, batch_size=16, epochs=2, shuffle=False, verbose=0).history
        assert_close(mine, {key: reference[key] for key in mine}, 1e-4, 1e-5)
        assert_close(ours.get_weights(), theirs.get_weights(), 1e-4, 1e-5)
        assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]


def test_shuffling_is_a_permutation_that_a_seed_repeats():
    """Each epoch sees every row once, in another order; the same seed gives the same orders."""
    seen: list[list[int]] = []

    class Watch(nyala.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight(shape=(1,), name="w")

        def train_step(self, data):
            x, _ = data
            seen.append([int(v) for v in x.numpy()[:, 0]])
            return {"loss": 0.0}

        def call(self, x):
            return x * self.w

    rows = np.arange(20, dtype="float32")[:, None]
    for _ in range(2):
        nyala.utils.set_random_seed(1)
        model = Watch()
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(rows, rows, batch_size=6, epochs=2, verbose=0)
    epochs = [[row for batch in seen[start : start + 4] for row in batch] for start in range(0, 16, 4)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[:2] == epochs[2:]
    assert epochs[0] != list(range(20))


def test_frozen_layers_stay_and_thawed_ones_move_again():
    model = classifier(nyala)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, LABELS, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])
    model.layers[0].trainable = True
    model.fit(X, LABELS, verbose=0)
    assert not np.array_equal(after[0], model.get_weights()[0])


def test_steps_per_epoch_goes_on_where_the_last_epoch_stopped():
    dataset = tf.data.Dataset.from_tensor_slices((X, LABELS)).batch(10)
    ours, theirs, _, _ = pair("classifier")
    for model in (ours, theirs):
        model.fit(dataset.repeat(), steps_per_epoch=3, epochs=4, shuffle=False, verbose=0)
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-4, 1e-5)


def test_initial_epoch_and_validation_data():
    ours, theirs, x, y = pair("classifier")
    options = {"epochs": 5, "initial_epoch": 3, "validation_data": (x[:20], y[:20]), "shuffle": False, "verbose": 0}
    mine, reference = ours.fit(x, y, **options), theirs.fit(x, y, **options)
    assert mine.epoch == reference.epoch == [3, 4]
    assert_close(mine.history, {key: reference.history[key] for key in mine.history}, 1e-4, 1e-5)


def test_mixed_precision_trains():
    """Under mixed_bfloat16 and mixed_float16 the weights stay float32 and the loss falls."""
    for policy in ("mixed_bfloat16", "mixed_float16"):
        x = nyala.Input((6,))
        h = nyala.layers.Dense(16, activation="relu", dtype=policy)(x)
        model = nyala.Model(x, nyala.layers.Dense(3, activation="softmax", dtype="float32")(h))
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(X, LABELS, epochs=15, verbose=0).history["loss"]
        assert history[-1] < history[0]
        assert {w.dtype for w in model.weights} == {"float32"}
        assert h.dtype == policy.removeprefix("mixed_")
