"""What `compile` makes of names, functions, policies and optimizers, seen through `fit` and `evaluate`."""

from __future__ import annotations

import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import losses, metrics, optimizers
from nyala.core.engine import tf
from nyala.core.tracking import to_snake_case
from tests.oracle import assert_close, keras

X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")
Y = np.random.default_rng(1).integers(0, 2, (16, 2)).astype("float32")
CLASSES = Y[:, 0].astype("int64")
PLANS = {"eager": {"run_eagerly": True}, "graph": {"jit_compile": False}, "XLA": {"jit_compile": True}}


def model_of(library: Any, units: int = 2, activation: str | None = None, dtype: str = "float32") -> Any:
    """One dense layer with the same weights in both libraries."""
    dense = library.layers.Dense(units, activation=activation, dtype=dtype, name="dense")
    model = library.Sequential([library.Input((3,)), dense])
    model.set_weights([np.cos(np.arange(3 * units)).reshape(3, units), np.zeros(units)])
    return model


# ---- Names ----


def spellings(name: str) -> set[str]:
    snake = to_snake_case(name)
    return {
        name,
        snake,
        name.lower(),
        name.upper(),
        snake.upper(),
        snake.replace("_", ""),
        snake.title().replace("_", ""),
    }


ABBREVIATIONS = (
    *("mse", "mae", "mape", "msle", "bce", "kld", "one", "zero", "uniform", "normal", "l1l2", "l1_l2", "rms"),
    *("cosine_proximity", "logcosh", "adam_w"),
)


@pytest.mark.parametrize("module", ["losses", "metrics", "optimizers", "initializers", "regularizers", "constraints"])
def test_every_string_that_the_oracle_takes_means_the_same(module):
    """All public names in all spellings, and abbreviations in small and capital letters."""

    def meaning(library: Any, name: str) -> str | None:
        try:
            found = getattr(library, module).get(name)
        except (ValueError, TypeError, KeyError, ImportError):
            return None
        return found.__name__ if hasattr(found, "__name__") else type(found).__name__

    home = getattr(keras, module)
    public = [
        name for name in dir(home) if inspect.isclass(getattr(home, name)) or inspect.isfunction(getattr(home, name))
    ]
    names = {spelling for name in public for spelling in spellings(name)}
    names |= {spelling for name in ABBREVIATIONS for spelling in (name, name.upper())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accepted = {name: meaning(keras, name) for name in names - {"get", "GET", "Get"}}
    accepted = {name: what for name, what in accepted.items() if what is not None}
    assert len(accepted) >= 10
    assert {name: meaning(nyala, name) for name in accepted} == accepted


# ---- Mixed precision ----


@pytest.fixture
def mixed():
    nyala.mixed_precision.set_global_policy("mixed_float16")
    keras.mixed_precision.set_global_policy("mixed_float16")
    yield
    nyala.mixed_precision.set_global_policy("float32")
    keras.mixed_precision.set_global_policy("float32")


def test_mixed_precision_wraps_the_optimizer_and_survives_files(mixed, tmp_path: Path):
    """`compile` wraps as the reference does; a bare LossScaleOptimizer is not wrapped twice; files move both ways."""
    seen = []
    for library, other in ((keras, nyala), (nyala, keras)):
        scale = library.mixed_precision.LossScaleOptimizer
        given = ("sgd", library.optimizers.Adam(0.01), scale(library.optimizers.SGD(0.1), initial_scale=1024.0))
        for place, optimizer in enumerate(given):
            model = model_of(library, dtype="mixed_float16")
            model.compile(optimizer, "mse", run_eagerly=True)
            model.train_on_batch(X, Y)
            path = tmp_path / f"{library.__name__}{place}.keras"
            model.save(path)
            again = other.models.load_model(path)
            assert_close(again.optimizer.variables, model.optimizer.variables)
            state = [float(model.optimizer.dynamic_scale), *model.get_weights()]
            kinds = [type(one).__name__ for one in (model.optimizer, model.optimizer.inner_optimizer, again.optimizer)]
            name = re.sub(r"_\d+$", "", model.optimizer.name)  # the number tells how many there were before
            seen.append((kinds, name, state))
    for theirs, ours in zip(seen[:3], seen[3:], strict=True):
        assert ours[:2] == theirs[:2]
        assert_close(ours[2], theirs[2], rtol=2e-3)
    model = model_of(nyala)
    model.compile("adam", "mse", auto_scale_loss=False)
    assert type(model.optimizer).__name__ == "Adam"


def test_infinite_gradients_skip_the_step_and_halve_the_scale(mixed):
    for plan in PLANS.values():
        model = model_of(nyala, dtype="mixed_float16")
        model.compile(
            nyala.mixed_precision.LossScaleOptimizer(optimizers.SGD(0.1), initial_scale=2.0**30), "mse", **plan
        )
        before = model.get_weights()
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
        assert float(model.optimizer.dynamic_scale) == 2.0**26
        assert_close(model.get_weights(), before)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("activation", "loss", "y"),
    [
        ("softmax", "sparse_categorical_crossentropy", CLASSES),
        ("softmax", "categorical_crossentropy", np.eye(2, dtype="float32")[CLASSES]),
        ("sigmoid", "binary_crossentropy", Y),
    ],
)
def test_short_floats_keep_the_logits_of_their_activation(dtype, activation, loss, y):
    """Loss, metric and gradient are those of the logits, where the probabilities are 0 and 1 in a short float."""
    results = []
    for policy in ("float32", dtype):
        model = model_of(nyala, activation=activation, dtype=policy)
        model.set_weights([[[30.0, -30.0]] * 3, [0.0, 0.0]])
        model.compile(
            optimizers.SGD(1.0), loss, metrics=[loss], auto_scale_loss=False, run_eagerly=dtype.endswith("bfloat16")
        )
        values = model.evaluate(np.sign(X), y, verbose=0)
        model.train_on_batch(np.sign(X), y)
        results.append([*values, *model.get_weights()])
    assert results[0][0] > 20.0
    assert_close(results[1], results[0], rtol=1e-2)


def test_the_total_loss_has_the_default_float():
    nyala.config.set_floatx("float64")
    try:
        model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, kernel_regularizer="l2", name="dense")])
        model.compile("sgd", "mse")
        loss = model.compute_loss(X, tf.constant(Y, "float64"), model(X))
        assert loss.dtype == tf.float64
        expected = np.mean((model(X).numpy() - Y) ** 2) + 0.01 * np.sum(model.get_weights()[0] ** 2)
        assert_close(loss, expected, rtol=1e-12)
    finally:
        nyala.config.set_floatx("float32")


# ---- Nothing is broadcast ----


def squares(y_true: Any, y_pred: Any) -> Any:
    return tf.reduce_mean(tf.square(tf.cast(y_true, y_pred.dtype) - y_pred), axis=-1)


def of_classes(y_true: Any, y_pred: Any) -> Any:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(y_true, "int32"), y_pred)


class Squares(losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return tf.square(y_true - y_pred)


@pytest.mark.parametrize("rows", [2, 4])  # two rows of two outputs is where TensorFlow broadcasts in silence
@pytest.mark.parametrize("plan", ["eager", "graph"])
def test_functions_by_hand_do_not_broadcast_either(plan, rows):
    x, y = X[:rows], np.arange(rows) % 2
    for given in (
        {"loss": squares}, {"loss": Squares(name="squares")}, {"loss": "mse"}, {"metrics": [squares]},
        {"metrics": ["mse"]}, {"weighted_metrics": [squares]},
    ):  # fmt: skip
        model = model_of(nyala)
        model.compile("sgd", **given, **PLANS[plan])
        with pytest.raises(ValueError, match=r"(squares|mean_squared_error)` .*\((\d|None),\) .*\((\d|None), 2\)"):
            model.evaluate(x, y, verbose=0)
    for loss in (of_classes, "sparse_categorical_crossentropy", "circle"):
        model = model_of(nyala)
        model.compile("sgd", loss, metrics=[of_classes], **PLANS[plan])
        assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
    model = model_of(nyala, units=1)
    model.compile("sgd", squares, metrics=[squares], **PLANS[plan])
    expected = np.mean((model.predict(x, verbose=0)[:, 0] - y) ** 2)
    assert_close(model.evaluate(x, y, verbose=0), [expected] * 2)


# ---- Metrics in every plan ----

IN_TRAINING = [
    "AUC", "Precision", "Recall", "BinaryAccuracy", "F1Score", "R2Score", "MeanSquaredError", "RootMeanSquaredError",
    "BinaryCrossentropy", "CosineSimilarity", "TruePositives", "LogCoshError", "Hinge", "BinaryIoU",
]  # fmt: skip


@pytest.fixture(scope="module")
def expected_metrics() -> dict[str, float]:
    model = model_of(keras, activation="sigmoid")
    model.compile("sgd", "mse", metrics=[getattr(keras.metrics, name)(name=name) for name in IN_TRAINING])
    return model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history


@pytest.mark.parametrize("plan", PLANS)
def test_metrics_accumulate_in_every_plan_as_in_the_oracle(plan, expected_metrics):
    model = model_of(nyala, activation="sigmoid")
    model.compile("sgd", "mse", metrics=[getattr(metrics, name)(name=name) for name in IN_TRAINING], **PLANS[plan])
    history = model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    assert_close(history, {name: expected_metrics[name] for name in history}, rtol=1e-4)


# ---- Learning rates, several optimizers, accumulation ----


@pytest.mark.parametrize("plan", PLANS)
def test_a_schedule_goes_on_under_callbacks_that_set_the_rate(plan):
    """Half the rate with every step, and a tenth of all of it after an epoch that was no better."""
    model, rates = model_of(nyala), []
    model.compile(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)), "mse", **PLANS[plan])
    note = nyala.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: rates.append(float(model.optimizer.learning_rate))
    )
    plateau = nyala.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=100.0)
    model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=[plateau, note])
    assert_close(rates, [0.1 / 4, 0.1 / 16 / 10, 0.1 / 64 / 100])
    back = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(model.optimizer))))
    assert_close(back.learning_rate, 0.1 / 100)  # at step 0
    setter = nyala.callbacks.LearningRateScheduler(lambda epoch: 0.5)
    history = model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[setter]).history
    assert_close(history["learning_rate"], [0.5 / 4, 0.5 / 4])
    before = model.get_weights()
    model.optimizer.learning_rate = optimizers.schedules.PiecewiseConstantDecay([1], [1.0, 0.0])
    model.fit(X, Y, verbose=0)
    assert_close(model.get_weights(), before)  # the new schedule, not the one that was traced before
    with pytest.raises(ValueError, match="gives 0 from step"):
        model.optimizer.learning_rate = 0.5


def is_bias(path: str) -> bool:
    return path.endswith("bias")


@pytest.mark.parametrize("by", ["layer", "predicate"])
def test_several_optimizers_with_schedules_train_and_survive_files(by, tmp_path: Path):
    def layers_of() -> Any:
        model = nyala.Sequential(
            [nyala.Input((3,)), nyala.layers.Dense(4, name="one"), nyala.layers.Dense(2, name="two")]
        )
        model.set_weights([np.cos(np.arange(np.prod(w.shape))).reshape(w.shape) for w in model.weights])
        return model

    def compiled(model: Any, key: Any) -> Any:
        decay, cosine = optimizers.schedules.ExponentialDecay, optimizers.schedules.CosineDecay
        chosen = optimizers.OptimizerMap(
            optimizers.Adam(cosine(0.1, 50)), {key: optimizers.SGD(decay(0.2, 2, 0.5), 0.9)}
        )
        model.compile(optimizers.MultiOptimizer(chosen), "mse", jit_compile=False)
        return model

    def fit(model: Any, epochs: int) -> None:
        model.fit(X, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)

    whole, first = layers_of(), layers_of()
    for model in (whole, first):
        compiled(model, model.layers[0] if by == "layer" else is_bias)
    fit(whole, 4)
    fit(first, 2)
    first.save(tmp_path / "several.keras")
    second = nyala.models.load_model(tmp_path / "several.keras", custom_objects={"is_bias": is_bias})
    fit(second, 2)
    assert_close(second.get_weights(), whole.get_weights())
    assert_close([float(one.learning_rate) for one in second.optimizer.optimizers],
                 [float(one.learning_rate) for one in whole.optimizer.optimizers])  # fmt: skip
    plain = layers_of()
    plain.compile(optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 50)), "mse", jit_compile=False)
    fit(plain, 4)
    assert not np.allclose(plain.get_weights()[1], whole.get_weights()[1])


@pytest.mark.parametrize("plan", ["eager", "graph"])
def test_accumulated_gradients_train_as_the_large_batch_does(plan):
    """Equal, but for BatchNormalization in training, which sees the small batches one by one."""
    for normalize in (False, True):
        ends = []
        for batch_size, steps in ((16, None), (4, 4)):
            layer = [nyala.layers.BatchNormalization()] if normalize else []
            model = nyala.Sequential([nyala.Input((3,)), *layer, nyala.layers.Dense(2)])
            model.set_weights([np.cos(np.arange(np.prod(w.shape))).reshape(w.shape) + 1 for w in model.weights])
            model.compile(optimizers.Adam(0.1, gradient_accumulation_steps=steps), "mse", **PLANS[plan])
            model.fit(X, Y, batch_size=batch_size, epochs=3, shuffle=False, verbose=0)
            ends.append(model.get_weights())
            assert int(model.optimizer.iterations) == 3
        close = [np.allclose(one, other, rtol=1e-4) for one, other in zip(*ends, strict=True)]
        assert all(close) is not normalize


@pytest.mark.parametrize("metrics", [[["mae", "mse"]], [["mae"], ["mse"]], [[["mae"]]]], ids=str)
def test_metrics_in_lists_of_lists(metrics):
    """A list for each output is a list of one for a model with one output, and what is inside counts for it."""
    model = nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=metrics)
    logs = model.train_on_batch(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"), return_dict=True)
    assert {"loss", "mae"} <= logs.keys()
