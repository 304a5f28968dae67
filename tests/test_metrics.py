"""Metrics against the oracle: several updates with weights and resets, eagerly, in graphs, loops and XLA; configs."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from nyala import losses, metrics
from nyala.core.engine import tf
from nyala.core.graph import Function
from nyala.core.tensor import KerasTensor
from nyala.metrics.confusion import places_among
from tests.oracle import assert_close, keras

Batch = tuple[np.ndarray, np.ndarray]


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def real(seed: int) -> Batch:
    draw = generator(seed)
    return draw.normal(size=(6, 3)).astype("float32"), draw.normal(size=(6, 3)).astype("float32")


def positive(seed: int) -> Batch:
    y_true, y_pred = real(seed)
    return np.abs(y_true), np.abs(y_pred) + 0.01


def softmax(x: np.ndarray) -> np.ndarray:
    return (np.exp(x) / np.exp(x).sum(-1, keepdims=True)).astype("float32")


def distributions(seed: int) -> Batch:
    y_true, y_pred = real(seed)
    return softmax(y_true), softmax(y_pred)


def one_hot(seed: int) -> Batch:
    return np.eye(3, dtype="float32")[generator(seed).integers(0, 3, 6)], softmax(real(seed)[1])


def sparse(seed: int) -> Batch:
    return generator(seed).integers(0, 3, 6), softmax(real(seed)[1])


def binary(seed: int) -> Batch:
    draw = generator(seed)
    return draw.integers(0, 2, 20).astype("float32"), draw.random(20).astype("float32")


def column(seed: int) -> Batch:
    y_true, y_pred = binary(seed)
    return y_true, y_pred[:, None]


def labels(seed: int) -> Batch:
    draw = generator(seed)
    return draw.integers(0, 2, (6, 3)).astype("float32"), draw.random((6, 3)).astype("float32")


def signs(seed: int) -> Batch:
    y_true, y_pred = real(seed)
    return np.sign(y_true), y_pred


def classes(seed: int) -> Batch:
    draw = generator(seed)
    return draw.integers(0, 3, (6, 4)), draw.integers(0, 3, (6, 4))


def sequences(seed: int) -> Batch:
    draw = generator(seed)
    return draw.integers(0, 3, (6, 4)), softmax(draw.normal(size=(6, 4, 3)))


def ranked(seed: int) -> Batch:
    return generator(seed).integers(0, 3, 6), np.argsort(-real(seed)[1])


class Row(NamedTuple):
    cls: str
    batch: Callable[[int], Batch]
    parameters: dict[str, Any] = {}  # noqa: RUF012
    weighted: bool = True

    def make(self, module: Any) -> Any:
        return getattr(module, self.cls)(**self.parameters)

    def updates(self) -> list[tuple[Any, ...]]:
        batches = [self.batch(seed) for seed in range(3)]
        weights = [generator(seed).integers(0, 4, len(b[0])) for seed, b in enumerate(batches)]
        return [batches[0], (*batches[1], weights[1]) if self.weighted else batches[1], batches[2]]


def row_name(row: Row) -> str:
    return "-".join([row.cls, row.batch.__name__, *(f"{key}={value}" for key, value in row.parameters.items())])


ROWS = [
    Row("Accuracy", classes),
    Row("Accuracy", column),
    Row("BinaryAccuracy", binary),
    Row("BinaryAccuracy", column, {"threshold": 0.3}),
    Row("BinaryAccuracy", labels),
    Row("CategoricalAccuracy", one_hot),
    Row("SparseCategoricalAccuracy", sparse),
    Row("SparseCategoricalAccuracy", sequences),
    Row("TopKCategoricalAccuracy", one_hot, {"k": 2}),
    Row("SparseTopKCategoricalAccuracy", sparse, {"k": 2}),
    Row("SparseTopKCategoricalAccuracy", sequences, {"k": 2}),
    Row("SparseTopKCategoricalAccuracy", ranked, {"k": 2, "from_sorted_ids": True}),
    Row("MeanSquaredError", real),
    Row("MeanSquaredError", column),
    Row("MeanAbsoluteError", real),
    Row("MeanAbsolutePercentageError", real),
    Row("MeanSquaredLogarithmicError", positive),
    Row("RootMeanSquaredError", real),
    Row("RootMeanSquaredError", column),
    Row("LogCoshError", real),
    Row("CosineSimilarity", real),
    Row("CosineSimilarity", real, {"axis": 0}, weighted=False),
    Row("KLDivergence", distributions),
    Row("Poisson", positive),
    Row("BinaryCrossentropy", labels, {"label_smoothing": 0.1}),
    Row("BinaryCrossentropy", signs, {"from_logits": True}),
    Row("CategoricalCrossentropy", one_hot, {"label_smoothing": 0.1}),
    Row("CategoricalCrossentropy", one_hot, {"from_logits": True}),
    Row("SparseCategoricalCrossentropy", sparse),
    Row("SparseCategoricalCrossentropy", sparse, {"from_logits": True, "ignore_class": 1}),
    Row("Hinge", signs),
    Row("SquaredHinge", labels),
    Row("CategoricalHinge", one_hot),
    Row("TruePositives", binary),
    Row("TruePositives", labels, {"thresholds": [0.7, 0.2]}),
    Row("FalsePositives", binary, {"thresholds": 0.3}),
    Row("TrueNegatives", column),
    Row("FalseNegatives", binary, {"thresholds": [0.0, 0.9, 0.1, 0.5, 1.0, 0.3]}),
    Row("Precision", binary),
    Row("Precision", labels, {"top_k": 2}),
    Row("Precision", labels, {"top_k": 1, "class_id": 1}),
    Row("Precision", labels, {"class_id": 2, "thresholds": [0.1, 0.6]}),
    Row("Recall", binary),
    Row("Recall", labels, {"top_k": 2}),
    Row("Recall", column, {"thresholds": [0.9, 0.5]}),
    Row("SensitivityAtSpecificity", binary, {"specificity": 0.4}),
    Row("SensitivityAtSpecificity", labels, {"specificity": 0.6, "class_id": 1, "num_thresholds": 11}),
    Row("SpecificityAtSensitivity", binary, {"sensitivity": 0.4}),
    Row("PrecisionAtRecall", binary, {"recall": 0.7}),
    Row("PrecisionAtRecall", binary, {"recall": 1.0, "num_thresholds": 1}),
    Row("RecallAtPrecision", binary, {"precision": 0.6}),
    Row("AUC", binary),
    Row("AUC", labels),
    Row("AUC", column, {"num_thresholds": 7, "summation_method": "majoring"}),
    Row("AUC", binary, {"summation_method": "minoring", "thresholds": [0.6, 0.2, 0.4]}),
    Row("AUC", binary, {"curve": "PR"}),
    Row("AUC", binary, {"curve": "PR", "summation_method": "majoring"}),
    Row("AUC", binary, {"curve": "PRGAIN"}),
    Row("AUC", labels, {"multi_label": True, "num_labels": 3}),
    Row("AUC", labels, {"multi_label": True, "curve": "PR"}),
    Row("AUC", labels, {"multi_label": True, "label_weights": [1.0, 2.0, 3.0]}),
    Row("AUC", labels, {"label_weights": [1.0, 2.0, 3.0]}, weighted=False),
    Row("AUC", lambda seed: (binary(seed)[0], 4 * binary(seed)[1] - 2), {"from_logits": True}),
    Row("IoU", classes, {"num_classes": 3, "target_class_ids": [0, 2]}, weighted=False),
    Row("MeanIoU", classes, {"num_classes": 3}, weighted=False),
    Row("MeanIoU", classes, {"num_classes": 4, "ignore_class": 1}, weighted=False),
    Row("MeanIoU", sequences, {"num_classes": 3, "sparse_y_pred": False}, weighted=False),
    Row("MeanIoU", lambda seed: (sparse(seed)[0], sparse(seed + 9)[0]), {"num_classes": 3, "dtype": "float32"}),
    Row("OneHotIoU", one_hot, {"num_classes": 3, "target_class_ids": [1]}),
    Row("OneHotMeanIoU", one_hot, {"num_classes": 3}),
    Row("BinaryIoU", binary, {"threshold": 0.3}),
    Row("BinaryIoU", labels, {"target_class_ids": [1]}, weighted=False),
    Row("F1Score", labels),
    Row("F1Score", labels, {"threshold": 0.4, "average": "macro"}),
    Row("FBetaScore", labels, {"beta": 2.0, "average": "weighted"}),
    Row("FBetaScore", labels, {"beta": 0.5, "average": "micro", "threshold": 0.6}),
    Row("FBetaScore", column, {"threshold": 0.6}),
    Row("R2Score", real),
    Row("R2Score", real, {"class_aggregation": None}),
    Row("R2Score", real, {"class_aggregation": "variance_weighted_average", "num_regressors": 2}),
    Row("PearsonCorrelation", real),
    Row("PearsonCorrelation", real, {"axis": 0}, weighted=False),
    Row("ConcordanceCorrelation", real),
]
rows = pytest.mark.parametrize("row", ROWS, ids=row_name)
CLOSE = {"rtol": 2e-5, "atol": 2e-6}
# A column of targets beside a column of predictions is fine there, but not 1-D targets; here both are.
ORACLE_WANTS_TWO_AXES = {"FBetaScore"}


def oracle_batch(row: Row, batch: tuple[Any, ...]) -> tuple[Any, ...]:
    return (batch[0][:, None], *batch[1:]) if row.cls in ORACLE_WANTS_TWO_AXES and row.batch is column else batch


@rows
def test_updates_and_resets_equal_oracle(row: Row) -> None:
    ours, theirs = row.make(metrics), row.make(keras.metrics)
    for _ in range(2):
        for batch in row.updates():
            ours.update_state(*batch)
            theirs.update_state(*oracle_batch(row, batch))
            assert_close(ours.result(), theirs.result(), **CLOSE)
        assert_close([v.value for v in ours.variables], [v.value for v in theirs.variables], **CLOSE)
        names = [[v.path.split("/")[-1] for v in metric.variables] for metric in (ours, theirs)]
        assert names[0] == names[1]
        ours.reset_state()
        theirs.reset_state()
        assert all(not v.numpy().any() for v in ours.variables)


@pytest.mark.parametrize("row", {row.cls: row for row in ROWS}.values(), ids=row_name)
def test_xla_equals_eager(row: Row) -> None:
    eager, compiled = row.make(metrics), row.make(metrics)
    step = tf.function(lambda *batch: compiled(*batch), jit_compile=True)
    for seed in range(2):
        batch = row.batch(seed)
        assert_close(step(*map(tf.constant, batch)), eager(*batch), **CLOSE)


@rows
def test_a_loop_in_a_graph_equals_eager(row: Row) -> None:
    batches = [row.batch(seed) for seed in range(3)]
    y_true, y_pred = (tf.constant(np.stack(ys)) for ys in zip(*batches, strict=True))
    eager, looped = row.make(metrics), row.make(metrics)

    @tf.function
    def run() -> Any:
        def body(i: Any) -> Any:
            looped.update_state(y_true[i], y_pred[i])
            return [i + 1]

        return tf.while_loop(lambda i: i < 3, body, [0])

    run()
    for batch in batches:
        eager.update_state(*batch)
    assert_close(looped.result(), eager.result(), **CLOSE)


@rows
def test_states_merge_and_pass_through_functions(row: Row) -> None:
    whole, parts = row.make(metrics), [row.make(metrics) for _ in range(2)]
    one, two, three = row.updates()
    for batch in (one, two, three):
        whole.update_state(*batch)
    for part, batches in zip(parts, ((one,), (two, three)), strict=True):
        for batch in batches:
            part.update_state(*batch)
    state = [v.numpy() for v in parts[0].variables]
    for batch in (two, three):
        state = parts[0].stateless_update_state(state, *batch)
    assert_close(parts[0].stateless_result(state), whole.result(), **CLOSE)
    parts[0].merge_state(parts[1:])
    assert_close(parts[0].result(), whole.result(), **CLOSE)
    assert_close(state, [v.value for v in whole.variables], **CLOSE)
    assert_close(parts[0].stateless_reset_state(), [np.zeros(v.shape) for v in whole.variables])


@rows
def test_configs_round_trip_in_both_directions(row: Row) -> None:
    metric = row.make(metrics)
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    theirs = keras.metrics.deserialize(metrics.serialize(metric))
    ours = metrics.deserialize(keras.metrics.serialize(row.make(keras.metrics)))
    batch = row.batch(0)
    theirs.update_state(*oracle_batch(row, batch))
    results = [m(*batch) for m in (metric, again, ours)]
    if "axis" not in row.parameters:  # some configs of the oracle leave it out
        assert_close(results[2], results[0])
    assert_close(results[:2], [theirs.result()] * 2, **CLOSE)
    assert (metric.name, metric.dtype) == (again.name, again.dtype)
    assert theirs.name == metric.name


# ---- Sums and means ----

SHAPES = [
    *(((4,), None), ((4, 3), None), ((), None), ((4, 3), ()), ((4, 3), (4,)), ((4, 3), (4, 1)), ((4, 3), (4, 3))),
    *(((4, 3, 2), (4, 3)), ((4, 3, 2), (4,)), ((4,), (4, 1)), ((4, 1), (4,)), ((4, 3), (4, 3, 1)), ((0,), None)),
]


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize(("shape", "weight"), SHAPES)
def test_sums_and_means_equal_oracle(name: str, shape: Any, weight: Any) -> None:
    values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    weights = None if weight is None else np.arange(1.0, 1 + np.prod(weight)).reshape(weight)
    ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for _ in range(2):
        ours.update_state(values, weights)
        theirs.update_state(values, weights)
    assert_close([v.value for v in ours.variables], [v.value for v in theirs.variables])
    assert_close(ours.result(), theirs.result())


def test_weights_that_do_not_fit_are_an_error() -> None:
    for metric in (metrics.Mean(), metrics.Sum()):
        with pytest.raises(ValueError, match=r"`sample_weight` of shape \(3,\) does not fit .*\(4, 3\)"):
            metric.update_state(np.ones((4, 3)), np.ones(3))
    with pytest.raises(ValueError, match=r"`sample_weight` of shape \(3,\)"):
        metrics.Precision().update_state(np.ones((4, 3)), np.ones((4, 3)), np.ones(3))


def test_masks_count_with_and_without_weights() -> None:
    y_true, y_pred = sequences(0)
    y_pred, mask = tf.constant(y_pred), np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0]] * 2, bool)
    y_pred._keras_mask = tf.constant(mask)
    for name in ("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy"):
        for weight in (None, np.arange(24.0).reshape(6, 4)):
            ours, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
            ours.update_state(y_true, y_pred, weight)
            theirs.update_state(y_true, y_pred, weight)
            assert_close(ours.result(), theirs.result())
    ours, theirs = metrics.Precision(), keras.metrics.Precision()
    scores = tf.constant(real(0)[1][:, 0])
    scores._keras_mask = tf.constant([True, False, True, True, False, True])
    ours.update_state([1, 1, 0, 0, 1, 1], scores)
    theirs.update_state([1, 1, 0, 0, 1, 1], scores, sample_weight=[1, 0, 1, 1, 0, 1])
    assert_close(ours.result(), theirs.result())


# ---- Functions ----

FUNCTIONS = {
    "binary_accuracy": (labels, {"threshold": 0.4}),
    "categorical_accuracy": (one_hot, {}),
    "sparse_categorical_accuracy": (sequences, {}),
    "top_k_categorical_accuracy": (one_hot, {"k": 2}),
    "sparse_top_k_categorical_accuracy": (sequences, {"k": 2}),
    "pearson_correlation": (real, {"axis": 0}),
    "concordance_correlation": (real, {}),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_equal_oracle(name: str) -> None:
    batch, parameters = FUNCTIONS[name]
    y_true, y_pred = batch(0)
    expected = getattr(keras.metrics, name)(y_true, y_pred, **parameters)
    function = getattr(metrics, name)
    assert_close(function(y_true, y_pred, **parameters), expected, **CLOSE)
    symbols = [KerasTensor((None, *y.shape[1:]), y.dtype) for y in (y_true, y_pred)]
    symbolic = Function(symbols, function(*symbols, **parameters))
    assert_close(symbolic([tf.constant(y_true), tf.constant(y_pred)]), expected, **CLOSE)


def test_ties_and_non_numbers_in_top_k_equal_oracle() -> None:
    y_true = np.array([0, 1, 2, 0, 5])
    y_pred = np.array([[1, 1, 1], [np.nan, 2, 3], [1, 2, np.inf], [1, 2, 3], [1, 2, 3]], "float32")
    for k in (1, 2, 5):
        expected = keras.metrics.sparse_top_k_categorical_accuracy(y_true, y_pred, k=k)
        assert_close(metrics.sparse_top_k_categorical_accuracy(y_true, y_pred, k=k), expected)


@pytest.mark.parametrize(
    "name", ["Accuracy", "BinaryAccuracy", "MeanSquaredError", "Precision", "AUC", "CategoricalAccuracy"]
)
@pytest.mark.parametrize("shapes", [((4,), (4, 3)), ((4, 1), (4, 3)), ((4, 3), (4,))])
def test_shapes_that_differ_are_an_error(name: str, shapes: Any) -> None:
    metric = getattr(metrics, name)()
    with pytest.raises(ValueError, match="of one shape"):
        metric.update_state(*(np.zeros(shape) for shape in shapes))
    with pytest.raises(ValueError, match="of one shape"):
        tf.function(metric.update_state)(*(tf.zeros(shape) for shape in shapes))


# ---- Names, functions as metrics, own metrics ----


def test_every_name_of_the_oracle_means_the_same() -> None:
    names = "mse MSE mae MAE mape MAPE msle MSLE bce BCE accuracy kl_divergence auc precision recall mean sum metric"
    for name in (
        *names.split(),
        "cosine_similarity",
        "log_cosh_error",
        "f1_score",
        "r2_score",
        "binary_io_u",
        "poisson",
    ):
        assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__, name
    for row in ROWS:
        if not {"num_classes", "recall", "precision", "specificity", "sensitivity"} & set(row.parameters):
            assert type(metrics.get(row.cls)) is getattr(metrics, row.cls)
    assert metrics.get(None) is None
    with pytest.raises(ValueError, match="Did you mean 'accuracy'"):
        metrics.get("acuracy")


def test_default_names_are_those_of_the_oracle() -> None:
    for row in ROWS:
        ours, theirs = row.make(metrics).name, row.make(keras.metrics).name
        assert ours.rstrip("_0123456789") == theirs.rstrip("_0123456789")


def test_functions_become_metrics() -> None:
    y_true, y_pred = labels(0)
    for function in (losses.mean_squared_error, metrics.binary_accuracy):
        metric = metrics.MeanMetricWrapper(function, name="wrapped")
        again = metrics.deserialize(metrics.serialize(metric))
        assert again.fn is function
        assert_close(again(y_true, y_pred), np.mean(function(y_true, y_pred)))
    metric = metrics.MeanMetricWrapper(metrics.binary_accuracy, name="wrapped", threshold=0.2)
    assert_close(metric(y_true, y_pred), keras.metrics.BinaryAccuracy(threshold=0.2)(y_true, y_pred))


class Spread(metrics.Metric):
    """A metric that holds metrics."""

    def __init__(self, factor: float = 1.0, name: str = "spread", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.factor = factor
        self.parts = [metrics.Mean(name="mean"), metrics.Mean(name="square")]
        self.calls = self.add_weight(name="calls", initializer="zeros")

    def update_state(self, values: Any) -> None:
        self.parts[0].update_state(values)
        self.parts[1].update_state(tf.square(values))
        self.calls.assign_add(1)

    def result(self) -> Any:
        return {
            "variance": self.factor * (self.parts[1].result() - self.parts[0].result() ** 2),
            "calls": self.calls.value,
        }


def test_a_metric_of_ones_own_may_hold_metrics() -> None:
    metric = Spread(2.0)
    assert_close(metric(np.array([1.0, 3.0])), {"variance": 2.0, "calls": 1.0})
    assert [v.path for v in metric.variables][:2] == ["spread/calls", "mean/total"]
    metric.reset_state()
    assert all(float(v) == 0 for v in metric.variables)
    again = metrics.deserialize(metrics.serialize(metric), {"Spread": Spread})
    assert again.get_config() == metric.get_config()


def test_dtypes_are_kept() -> None:
    for dtype in ("float16", "float64", "mixed_float16"):
        ours, theirs = metrics.Mean(dtype=dtype), keras.metrics.Mean(dtype=dtype)
        assert ours(np.arange(3.0)).dtype == theirs(np.arange(3.0)).dtype
        assert [v.dtype for v in ours.variables] == [v.dtype for v in theirs.variables]
    assert metrics.Mean().variables[0].path.endswith("mean/total")


def test_thresholds_can_be_read() -> None:
    for name, options in (
        ("AUC", {"num_thresholds": 4}), ("AUC", {"thresholds": [0.3, 0.6]}), ("Precision", {"thresholds": [0.2, 0.4]}),
        ("Recall", {}), ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 3}),
    ):  # fmt: skip
        assert_close(getattr(metrics, name)(**options).thresholds, getattr(keras.metrics, name)(**options).thresholds)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_counted_in_float32(dtype: str) -> None:
    y_true, y_pred = distributions(0)[0], tf.constant(distributions(1)[1], dtype)
    for name in (
        "BinaryCrossentropy", "CategoricalCrossentropy", "KLDivergence", "Poisson", "CosineSimilarity", "MeanSquaredError",
        "RootMeanSquaredError", "LogCoshError", "R2Score", "BinaryAccuracy",
    ):  # fmt: skip
        wide = getattr(metrics, name)()(y_true, tf.cast(y_pred, "float32"))
        assert_close(getattr(metrics, name)()(y_true, y_pred), wide, rtol=1e-6)


def test_functions_by_hand_see_targets_and_predictions_of_one_rank() -> None:
    metric = metrics.MeanMetricWrapper(lambda y_true, y_pred: tf.square(y_true - y_pred), name="squares")
    y_true, y_pred = column(0)
    assert_close(metric(y_true, y_pred), np.mean((y_true - y_pred[:, 0]) ** 2))


def test_results_before_any_update_are_zero() -> None:
    for row in ROWS:
        with warnings.catch_warnings():
            result = row.make(metrics).result()
        assert not np.any(result.numpy()), row.cls


def test_an_adjustment_without_enough_samples_is_left_out() -> None:
    metric, plain = metrics.R2Score(num_regressors=20), metrics.R2Score()
    assert_close(metric(*real(0)), plain(*real(0)))


def test_constants_have_no_correlation_and_a_score() -> None:
    zeros = np.zeros((4, 3), "float32")
    assert_close(metrics.pearson_correlation(zeros, real(0)[1][:4]), np.zeros(4))
    assert float(metrics.R2Score()(zeros, zeros)) == 1.0
    assert float(metrics.R2Score()(zeros, zeros + 1)) == 0.0


REPLICAS = """
import numpy as np
from nyala.core.engine import tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from nyala import metrics

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = metrics.MeanSquaredError()

def step(i):
    size = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, "float32")
    metric.update_state(tf.zeros((4, 1)), tf.ones((4, 1)) * size)
    return [i + 1]

@tf.function
def run():
    strategy.run(lambda: tf.while_loop(lambda i: i < 3, step, [0]))

run()
print(float(metric.result()), float(metric.count))
metric.reset_state()
print(float(metric.result()), float(metric.count))

# All kinds of state: what two replicas saw of three batches each is what one metric saw of all six.
def make():
    found = [metrics.AUC(multi_label=True, num_labels=3), metrics.Precision(), metrics.BinaryAccuracy()]
    return [*found, metrics.F1Score(), metrics.R2Score(), metrics.MeanIoU(2), metrics.Sum()]

def update(ones, y, p):
    for one in ones:
        whole = isinstance(one, metrics.MeanIoU)
        one.update_state(p[:, 0]) if isinstance(one, metrics.Sum) else one.update_state(y, tf.round(p) if whole else p)

draw = np.random.default_rng(0)
p = tf.constant(draw.random((2, 3, 8, 3)), "float32")
y = tf.constant(draw.integers(0, 2, (2, 3, 8, 3)), "float32")
single = make()
for place in range(2):
    for batch in range(3):
        update(single, y[place, batch], p[place, batch])
with strategy.scope():
    mirrored = make()

def steps():
    place = tf.distribute.get_replica_context().replica_id_in_sync_group
    def step(i):
        update(mirrored, y[place, i], p[place, i])
        return [i + 1]
    tf.while_loop(lambda i: i < 3, step, [0])

tf.function(lambda: strategy.run(steps), autograph=False)()
for one, other in zip(mirrored, single):
    np.testing.assert_allclose(one.result(), other.result(), rtol=1e-5, err_msg=one.name)
"""


def test_replicas_add_up_in_a_loop() -> None:
    # In a process of its own: TensorFlow fixes its devices when it starts.
    result = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True, check=False)
    assert (result.stdout.split(), result.returncode) == (["0.5", "24.0", "0.0", "0.0"], 0), result.stderr


MISTAKES = [
    (lambda: metrics.BinaryAccuracy(threshold=2), "`threshold` must be"),
    (lambda: metrics.Precision(thresholds=[0.1, 1.5]), "thresholds of `precision.*but got 1.5"),
    (lambda: metrics.AUC(num_thresholds=1), "`num_thresholds` must be"),
    (lambda: metrics.AUC(curve="x"), "`curve` must be one of"),
    (lambda: metrics.AUC(summation_method="x"), "`summation_method` must be one of"),
    (lambda: metrics.AUC(num_labels=2), "`num_labels` is for"),
    (lambda: metrics.PrecisionAtRecall(2), "`recall` must be"),
    (lambda: metrics.PrecisionAtRecall(0.5, num_thresholds=0), "`num_thresholds` must be"),
    (lambda: metrics.IoU(3, [3]), "no class 3 among 3"),
    (lambda: metrics.F1Score(average="x"), "`average` must be one of"),
    (lambda: metrics.F1Score(threshold=2.0), "`threshold` must be"),
    (lambda: metrics.FBetaScore(beta=0), "`beta` must be"),
    (lambda: metrics.F1Score()(np.zeros(3), np.zeros(3)), r"expected shapes \(batch, classes\)"),
    (lambda: metrics.R2Score("sum"), "`class_aggregation` must be one of"),
    (lambda: metrics.R2Score(num_regressors=-1), "`num_regressors` must not"),
    (lambda: metrics.R2Score()(np.zeros(3), np.zeros(3)), r"expected shapes \(batch, columns\)"),
    (lambda: metrics.MeanIoU(2)(np.zeros((3, 2)), np.zeros((2, 3))), "one predicted class for each target"),
    (lambda: metrics.Mean().stateless_result([1.0]), "has 2 tensors, but got 1"),
    (lambda: metrics.Mean().merge_state([metrics.Sum()]), "does not fit that of"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES)
def test_mistakes_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("count", [5, 200, 1001])
def test_scores_find_their_place_among_thresholds(count: int) -> None:
    """On a threshold, beside it, beyond all of them and where there is no number; in steps of any length."""
    inner = np.arange(1, count - 1) / (count - 1)
    for thresholds in (
        np.array([-1e-7, *inner, 1 + 1e-7]),
        np.array([0.0, *inner, 1.0]),
        np.array([0.0, *inner, 1.0]) ** 2,
    ):
        table = thresholds.astype("float32")
        beside = [np.nextafter(table, np.float32(side)) for side in (-1, 2)]
        scores = np.concatenate([table, *beside, generator(0).uniform(size=1000), [-1, 2, -np.inf, np.inf]]).astype(
            "float32"
        )
        scores = scores[(scores == 0) | (np.abs(scores) > 1e-37)]  # what is smaller a processor may take for 0
        expected = np.searchsorted(table, scores)
        for compiled in (None, True):
            found = tf.function(lambda x: places_among(x, thresholds), jit_compile=compiled)  # noqa: B023
            assert_close(found(scores), expected)
        assert int(places_among(tf.constant([np.nan]), thresholds)[0]) == 0
