"""Every public class of layers, losses, metrics, optimizers, schedules and dtype policies in a file, in both directions.

What the contract of layers has in rows is saved in a model by `tests/layers/test_every_layer.py`; here is what is left.
"""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from tests.layers.test_every_layer import PLAIN
from tests.oracle import assert_close, keras, to_numpy

BOTH = pytest.mark.parametrize(("writer", "reader"), [(nyala, keras), (keras, nyala)], ids=["ours", "theirs"])
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, 6)).astype("float32")
STEPS = RANDOM.normal(size=(8, 3, 4)).astype("float32")
LABELS = np.arange(8) % 4
ONE_HOT = np.eye(4, dtype="float32")[LABELS]


def classes(module, base):
    """The public classes of a module, under their own names."""
    things = [getattr(module, name) for name in module.__all__]
    return {thing.__name__ for thing in things if isinstance(thing, type) and issubclass(thing, base)}


# ---- Layers that no row of the contract can stand for ----

CELLS = ("GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells")


def twice(x):
    return 2 * x


def others(lib):
    """Wrappers, cells, attention with more than one input, a function."""
    layers = lib.layers
    x = layers.Input((3, 4))
    cells = layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(2), layers.SimpleRNNCell(2)])
    h = layers.RNN(cells, return_sequences=True)(x)
    h = layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode="ave")(h)
    h = layers.TimeDistributed(layers.Dense(4))(h)
    h = layers.MultiHeadAttention(2, 2)(h, x, attention_mask=layers.Lambda(twice)(x)[:, :, :1] > -1.0)
    h = layers.GroupQueryAttention(2, 4, 2)(h, x, x)
    h = layers.SpectralNormalization(layers.Dense(3))(h)
    return lib.Model(x, h)


IN_OTHERS = {"RNN", "Bidirectional", "TimeDistributed", "MultiHeadAttention", "GroupedQueryAttention", "Lambda",
             "SpectralNormalization", "InputLayer", *CELLS}  # fmt: skip
# What nobody saves as it is; and what a file may not bring along, in tests/saving/test_saved_models.py.
NOT_IN_FILES = {"Layer", "Wrapper", "TFSMLayer"}


@BOTH
def test_layers_that_hold_others(writer, reader, tmp_path):
    model = others(writer)
    model.save(tmp_path / "m.keras")
    loaded = reader.saving.load_model(tmp_path / "m.keras", custom_objects={"twice": twice})
    assert_close(loaded.get_weights(), model.get_weights(), 0, 0)
    assert_close(loaded(STEPS), model(STEPS), 1e-5, 1e-5)


# ---- Losses and metrics ----

SPARSE = ("SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy", "Circle")
LOSS_ARGUMENTS = {"Tversky": {"alpha": 0.3}, "BinaryCrossentropy": {"label_smoothing": 0.1}, "Dice": {"axis": -1}}
LOSSES = sorted(classes(nyala.losses, nyala.losses.Loss) - {"Loss", "LossFunctionWrapper"})
BOUNDS = {"num_thresholds": 20}
METRIC_ARGUMENTS = {
    "AUC": BOUNDS, "BinaryIoU": {"target_class_ids": [1], "threshold": 0.4}, "FBetaScore": {"beta": 0.5},
    "IoU": {"num_classes": 4, "target_class_ids": [0, 2], "sparse_y_true": False, "sparse_y_pred": False},
    "MeanIoU": {"num_classes": 4, "sparse_y_true": False, "sparse_y_pred": False}, "MeanMetricWrapper": {"fn": "mse"},
    "OneHotIoU": {"num_classes": 4, "target_class_ids": [0, 2]}, "OneHotMeanIoU": {"num_classes": 4},
    "Precision": {"thresholds": 0.3}, "PrecisionAtRecall": {"recall": 0.5, **BOUNDS},
    "RecallAtPrecision": {"precision": 0.3, **BOUNDS}, "SensitivityAtSpecificity": {"specificity": 0.5, **BOUNDS},
    "SpecificityAtSensitivity": {"sensitivity": 0.5, **BOUNDS},
    "TopKCategoricalAccuracy": {"k": 2}, "SparseTopKCategoricalAccuracy": {"k": 2},
}  # fmt: skip
# `Mean` and `Sum` take values, not truths and predictions, so no model is compiled with them.
METRICS = sorted(classes(nyala.metrics, nyala.Metric) - {"Metric", "Mean", "Sum", "MeanMetricWrapper"})


def objectives(lib):
    """A model with an output for each loss; all metrics stand at the first two."""
    x = lib.Input((6,))
    outputs = [lib.layers.Dense(4, "softmax", name=f"o{place}")(x) for place in range(len(LOSSES))]
    outputs[LOSSES.index("CTC")] = lib.layers.Reshape((3, 4), name="steps")(lib.layers.Dense(12)(x))
    model = lib.Model(x, outputs)
    losses = [getattr(lib.losses, name)(**LOSS_ARGUMENTS.get(name, {})) for name in LOSSES]
    metrics = [[] for _ in LOSSES]
    for name in METRICS:
        place = LOSSES.index("SparseCategoricalCrossentropy" if name.startswith("Sparse") else "BinaryCrossentropy")
        metrics[place].append(getattr(lib.metrics, name)(**METRIC_ARGUMENTS.get(name, {})))
    model.compile("sgd", losses, metrics=metrics, run_eagerly=True)
    return model


@BOTH
def test_losses_and_metrics(writer, reader, tmp_path):
    """Each of them, with its arguments, gives the same after loading."""
    model = objectives(writer)
    truths = [LABELS if name in SPARSE else LABELS[:, None] % 2 + 1 if name == "CTC" else ONE_HOT for name in LOSSES]
    model.save(tmp_path / "m.keras")
    loaded = reader.saving.load_model(tmp_path / "m.keras")
    found, expected = (m.evaluate(X, truths, batch_size=8, verbose=0, return_dict=True) for m in (loaded, model))
    assert len(expected) >= len(LOSSES) + len(METRICS)
    assert_close(found, expected, 1e-4, 1e-5)


@pytest.mark.parametrize("name", ["Mean", "Sum", "MeanMetricWrapper"])
def test_metrics_of_values(name):
    arguments = {"fn": nyala.losses.mean_squared_error} if name == "MeanMetricWrapper" else {}
    ours, theirs = getattr(nyala.metrics, name)(**arguments, name="m"), None
    data = nyala.saving.serialize_keras_object(ours)
    theirs = keras.saving.deserialize_keras_object(data)
    again = nyala.saving.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
    values = [np.ones((2, 3), "float32"), np.full((2, 3), 3.0, "float32")][: 2 if arguments else 1]
    for metric in (ours, theirs, again):
        metric.update_state(*values)
    assert_close(to_numpy([theirs.result(), again.result()]), to_numpy([ours.result()] * 2))


# ---- Schedules and dtype policies; optimizers are saved and loaded in tests/test_optimizers.py ----

SCHEDULES = {
    "CosineDecay": {"decay_steps": 5}, "CosineDecayRestarts": {"first_decay_steps": 3},
    "ExponentialDecay": {"decay_steps": 2, "decay_rate": 0.5}, "InverseTimeDecay": {"decay_steps": 2, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [2, 5], "values": [0.3, 0.2, 0.1]}, "PolynomialDecay": {"decay_steps": 5},
}  # fmt: skip
POLICIES = ("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16", "int8_from_float32",
            "int4/-1_from_float32", "float8_from_float32")  # fmt: skip
ONLY_OURS = (
    "gptq/4/-1_from_float32",
    "awq/4/-1_from_float32",
)  # the reference leaves a weight out, and cannot load that


@BOTH
def test_schedules(writer, reader, tmp_path):
    for name, arguments in SCHEDULES.items():
        start = {} if "values" in arguments else {"initial_learning_rate": 0.5}
        schedule = getattr(writer.optimizers.schedules, name)(**start, **arguments)
        model = writer.Sequential([writer.Input((2,)), writer.layers.Dense(1)])
        model.compile(writer.optimizers.SGD(schedule), "mse")
        model.optimizer.build(model.trainable_variables)
        model.optimizer.iterations.assign(4)
        model.save(tmp_path / "m.keras")
        loaded = reader.saving.load_model(tmp_path / "m.keras")
        assert_close({name: loaded.optimizer.learning_rate}, {name: model.optimizer.learning_rate}, 1e-6, 1e-7)


@BOTH
def test_policies(writer, reader, tmp_path):
    """Layers of every policy, by name and as a map, in one model."""
    x = writer.Input((6,))
    chosen = [writer.dtype_policies.get(name) for name in POLICIES + (ONLY_OURS if writer is nyala else ())]
    layers = [writer.layers.Dense(6, dtype=policy, name=f"p{place}") for place, policy in enumerate(chosen)]
    of_parts = writer.dtype_policies.DTypePolicyMap("float32", {"wrapped": writer.dtype_policies.get("float16")})
    inside = writer.layers.Dense(2, dtype=of_parts, name="inside")
    outputs = [layer(x) for layer in layers]
    outputs.append(writer.layers.TimeDistributed(inside, name="wrapped")(writer.layers.Reshape((2, 3))(x)))
    model = writer.Model(x, outputs)
    model.save(tmp_path / "m.keras")
    loaded = reader.saving.load_model(tmp_path / "m.keras")
    names = [[layer.dtype_policy.name for layer in m.layers if "p" in layer.name] for m in (loaded, model)]
    assert names[0] == names[1]
    for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
        assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
    assert_close(to_numpy(loaded(X)), to_numpy(model(X)), 1e-2, 1e-2)


# ---- Nothing is left out ----


def test_every_class_is_in_a_file():
    """A class that no test saves is a class of which nobody knows whether files of it go both ways."""
    from tests.test_optimizers import PERSISTENT

    layers = {getattr(nyala.layers, row.layer).__name__ for row in PLAIN} | IN_OTHERS | NOT_IN_FILES
    assert classes(nyala.layers, nyala.layers.Layer) == layers
    optimizers = {case[0] for case in PERSISTENT}
    assert classes(nyala.optimizers, nyala.optimizers.Optimizer) == optimizers | {"Optimizer"}
    schedules = classes(nyala.optimizers.schedules, nyala.optimizers.schedules.LearningRateSchedule)
    assert schedules == SCHEDULES.keys() | {"LearningRateSchedule"}
    assert set(METRICS) | {"Metric", "Mean", "Sum", "MeanMetricWrapper"} == classes(nyala.metrics, nyala.Metric)
    assert set(LOSSES) | {"Loss", "LossFunctionWrapper"} == classes(nyala.losses, nyala.losses.Loss)
    policies = {type(nyala.dtype_policies.get(name)).__name__ for name in POLICIES + ONLY_OURS}
    assert classes(nyala.dtype_policies, object) == policies | {"DTypePolicyMap", "FloatDTypePolicy"}
