"""Losses against the oracle: values and gradients, shapes, dtypes, extremes, weights, masks, reductions, configs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from nyala import losses
from nyala.core.engine import tf
from nyala.core.graph import Function
from nyala.core.tensor import KerasTensor
from tests.oracle import assert_close, keras


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return np.abs(random(*shape, seed=seed)) + 0.01


def labels(*shape: int, seed: int = 0) -> np.ndarray:
    return (random(*shape, seed=seed) > 0).astype("float32")


def signs(*shape: int, seed: int = 0) -> np.ndarray:
    return np.sign(random(*shape, seed=seed))


def probabilities(*shape: int, seed: int = 1) -> np.ndarray:
    values = np.exp(random(*shape, seed=seed))
    return (values / values.sum(-1, keepdims=True)).astype("float32")


def one_hot(*shape: int, seed: int = 0) -> np.ndarray:
    return np.eye(shape[-1], dtype="float32")[classes(*shape, seed=seed)]


def classes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, shape[-1], shape[:-1])


def sequences(*shape: int) -> np.ndarray:
    return np.array([[1, 2, 0, 0], [2, 2, 1, 0], [3, 1, 2, 3]])


def unit(*shape: int) -> np.ndarray:
    values = random(*shape, seed=3)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


class Row(NamedTuple):
    function: str
    cls: str
    true: Callable[..., np.ndarray] = random
    pred: Callable[..., np.ndarray] = lambda *shape: random(*shape, seed=1)
    parameters: dict[str, Any] = {}  # noqa: RUF012
    shape: tuple[int, ...] = (4, 5, 3)

    def arguments(self) -> tuple[np.ndarray, np.ndarray]:
        return self.true(*self.shape), self.pred(*self.shape)


def row_name(row: Row) -> str:
    return "-".join([row.function, *(f"{key}={value}" for key, value in row.parameters.items())])


def logits(*shape: int) -> np.ndarray:
    return 3 * random(*shape, seed=2)


ROWS = [
    Row("mean_squared_error", "MeanSquaredError"),
    Row("mean_absolute_error", "MeanAbsoluteError"),
    Row("mean_absolute_percentage_error", "MeanAbsolutePercentageError"),
    Row("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", positive, positive),
    Row("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError"),
    Row("huber", "Huber"),
    Row("huber", "Huber", parameters={"delta": 0.3}),
    Row("log_cosh", "LogCosh"),
    Row("log_cosh", "LogCosh", pred=lambda *shape: 50 * random(*shape)),
    Row("poisson", "Poisson", positive, lambda *shape: positive(*shape, seed=1)),
    Row("cosine_similarity", "CosineSimilarity"),
    Row("cosine_similarity", "CosineSimilarity", parameters={"axis": 1}),
    Row("hinge", "Hinge", signs),
    Row("hinge", "Hinge", labels),
    Row("hinge", "Hinge", random),
    Row("squared_hinge", "SquaredHinge", signs),
    Row("squared_hinge", "SquaredHinge", labels),
    Row("categorical_hinge", "CategoricalHinge", one_hot),
    Row("kl_divergence", "KLDivergence", lambda *shape: probabilities(*shape, seed=5), probabilities),
    Row("binary_crossentropy", "BinaryCrossentropy", labels, probabilities),
    Row("binary_crossentropy", "BinaryCrossentropy", labels, logits, {"from_logits": True}),
    Row("binary_crossentropy", "BinaryCrossentropy", labels, probabilities, {"label_smoothing": 0.2}),
    Row("binary_crossentropy", "BinaryCrossentropy", labels, logits, {"label_smoothing": 0.2, "from_logits": True}),
    Row("binary_crossentropy", "BinaryCrossentropy", labels, probabilities, {"axis": 1}),
    Row("binary_focal_crossentropy", "BinaryFocalCrossentropy", labels, probabilities),
    Row("binary_focal_crossentropy", "BinaryFocalCrossentropy", labels, logits, {"from_logits": True, "gamma": 1.5}),
    Row(
        "binary_focal_crossentropy",
        "BinaryFocalCrossentropy",
        labels,
        probabilities,
        {"apply_class_balancing": True, "alpha": 0.3, "label_smoothing": 0.1, "axis": 0},
    ),
    Row("categorical_crossentropy", "CategoricalCrossentropy", one_hot, probabilities),
    Row("categorical_crossentropy", "CategoricalCrossentropy", one_hot, positive),
    Row("categorical_crossentropy", "CategoricalCrossentropy", one_hot, logits, {"from_logits": True}),
    Row("categorical_crossentropy", "CategoricalCrossentropy", one_hot, probabilities, {"label_smoothing": 0.1}),
    Row("categorical_crossentropy", "CategoricalCrossentropy", one_hot, probabilities, {"axis": 1}),
    Row("categorical_crossentropy", "CategoricalCrossentropy", one_hot, logits, {"axis": 1, "from_logits": True}),
    Row("categorical_focal_crossentropy", "CategoricalFocalCrossentropy", one_hot, probabilities),
    Row("categorical_focal_crossentropy", "CategoricalFocalCrossentropy", one_hot, logits, {"from_logits": True}),
    Row(
        "categorical_focal_crossentropy",
        "CategoricalFocalCrossentropy",
        one_hot,
        probabilities,
        {"alpha": [0.1, 0.2, 0.3], "gamma": 1.0, "label_smoothing": 0.1},
    ),
    Row("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", classes, probabilities),
    Row("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", classes, positive),
    Row("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", classes, logits, {"from_logits": True}),
    Row(
        "sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", classes, probabilities, {"ignore_class": 1}
    ),
    Row(
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        lambda *shape: classes(*shape) - 1,
        logits,
        {"from_logits": True, "ignore_class": -1},
    ),
    Row(
        "categorical_generalized_cross_entropy",
        "CategoricalGeneralizedCrossEntropy",
        classes,
        probabilities,
        {"q": 0.3},
        (6, 4),
    ),
    Row("dice", "Dice", labels, probabilities),
    Row("dice", "Dice", labels, probabilities, {"axis": (1, 2)}),
    Row("tversky", "Tversky", labels, probabilities, {"alpha": 0.3, "beta": 0.8}),
    Row("tversky", "Tversky", labels, probabilities, {"axis": -1}),
    Row("ctc", "CTC", sequences, logits, shape=(3, 9, 4)),
    Row("circle", "Circle", classes, unit, shape=(7, 3)),
    Row("circle", "Circle", classes, unit, {"gamma": 2.0, "margin": 0.2, "remove_diagonal": False}, (7, 3)),
]
rows = pytest.mark.parametrize("row", ROWS, ids=row_name)


def value_and_gradient(function: Any, y_true: Any, y_pred: Any, **parameters: Any) -> tuple[Any, Any]:
    y_pred = tf.constant(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = function(tf.constant(y_true), y_pred, **parameters)
    return value, tape.gradient(value, y_pred)


@rows
def test_function_equals_oracle(row: Row) -> None:
    expected = value_and_gradient(getattr(keras.losses, row.function), *row.arguments(), **row.parameters)
    actual = value_and_gradient(getattr(losses, row.function), *row.arguments(), **row.parameters)
    assert_close(actual, expected, rtol=2e-5, atol=2e-6)


@rows
def test_class_equals_oracle(row: Row) -> None:
    expected = value_and_gradient(getattr(keras.losses, row.cls)(**row.parameters), *row.arguments())
    actual = value_and_gradient(getattr(losses, row.cls)(**row.parameters), *row.arguments())
    assert_close(actual, expected, rtol=2e-5, atol=2e-6)


@rows
def test_graph_and_symbolic_calls_equal_eager_ones(row: Row) -> None:
    loss, (y_true, y_pred) = getattr(losses, row.cls)(**row.parameters), row.arguments()
    expected = loss(y_true, y_pred)
    unknown = [tf.TensorSpec([None, *y.shape[1:]], y.dtype) for y in (y_true, y_pred)]
    assert_close(tf.function(loss, input_signature=[*unknown])(y_true, y_pred), expected)
    symbols = [KerasTensor((None, *y.shape[1:]), y.dtype) for y in (y_true, y_pred)]
    for call in (loss, lambda *ys: getattr(losses, row.function)(*ys, **row.parameters)):
        symbolic = Function(symbols, call(*symbols))
        assert_close(symbolic([tf.constant(y_true), tf.constant(y_pred)]), call(y_true, y_pred))


@rows
def test_xla_equals_eager(row: Row) -> None:
    if row.function == "ctc":  # TensorFlow's kernel for it is not compiled
        return
    loss, arguments = getattr(losses, row.cls)(**row.parameters), row.arguments()
    assert_close(tf.function(loss, jit_compile=True)(*arguments), loss(*arguments), rtol=1e-4)


@rows
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(row: Row, dtype: str) -> None:
    y_true, y_pred = row.arguments()
    values = getattr(losses, row.function)(y_true, tf.cast(y_pred, dtype), **row.parameters)
    assert values.dtype == dtype
    wide = getattr(losses, row.function)(y_true, tf.cast(tf.cast(y_pred, dtype), "float64"), **row.parameters)
    eps = {"float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-6}[dtype]
    assert_close(tf.cast(values, "float64"), wide, rtol=eps, atol=eps)
    loss = getattr(losses, row.cls)(**row.parameters, dtype=dtype)
    assert loss(y_true, y_pred).dtype == dtype
    assert loss.dtype == dtype


@rows
def test_configs_round_trip_in_both_directions(row: Row) -> None:
    loss = getattr(losses, row.cls)(**row.parameters, reduction="sum", name="mine")
    again = losses.deserialize(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    for name, value in row.parameters.items():
        assert_close(getattr(again, name), value)
    theirs = keras.saving.deserialize_keras_object(losses.serialize(loss))
    assert_close(theirs(*row.arguments()), loss(*row.arguments()), rtol=2e-5)
    ours = losses.deserialize(keras.saving.serialize_keras_object(theirs))
    assert (ours.name, ours.reduction) == ("mine", "sum")


def test_gradients_at_kinks_equal_oracle() -> None:
    y_true = np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], "float32")
    y_pred = np.array([[0, 1, 1.0], [0, 0, 0], [1, 1, 1], [-1, 2, 1]], "float32")
    for name in (
        *("kl_divergence", "log_cosh", "huber", "mean_absolute_error", "hinge", "squared_hinge", "categorical_hinge"),
        *("mean_absolute_percentage_error", "mean_squared_logarithmic_error", "binary_crossentropy"),
    ):
        expected = value_and_gradient(getattr(keras.losses, name), y_true, y_pred)
        assert_close(value_and_gradient(getattr(losses, name), y_true, y_pred), expected, rtol=2e-5)


# ---- Extremes ----


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_logits_of_any_size_are_finite(dtype: str, scale: float) -> None:
    y_true, y_pred = np.array([[1.0, 0.0]]), tf.constant([[scale, -scale]], dtype)
    for name in ("binary_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy"):
        result = value_and_gradient(getattr(losses, name), y_true, y_pred, from_logits=True)
        assert np.isfinite(np.asarray(result[0], "float64")).all(), name
        assert np.isfinite(np.asarray(result[1], "float64")).all(), name
    sparse = losses.sparse_categorical_crossentropy([0], y_pred, from_logits=True)
    assert_close(tf.cast(sparse, "float32"), np.array([0.0 if scale > 0 else 2e4]), rtol=1e-3)


FUNCTIONS = sorted({row.function for row in ROWS} - {"ctc"})  # which takes sequences; see below
EXTREMES = {
    "logits": [[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [0.0, 0.0, 0.0]],
    "probabilities": [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]],
    "nothing": np.zeros((0, 3)),
}
# Where formulas or float16 itself end: log of a negative number; 1e8, 1e4 / 1e-7 or 1 / 1e-7 in float16.
INFINITE = {
    ("poisson", "logits"), ("poisson", "probabilities"), ("mean_squared_error", "logits"), ("squared_hinge", "logits"),
    ("mean_absolute_percentage_error", "logits"), ("mean_absolute_percentage_error", "probabilities"),
    ("cosine_similarity", "logits"), ("cosine_similarity", "probabilities"), ("circle", "logits"),
    ("binary_focal_crossentropy", "logits"),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_extremes_are_finite_where_the_oracle_is_and_mostly_where_it_is_not(name: str, dtype: str) -> None:
    sparse = name.startswith("sparse") or name in ("circle", "categorical_generalized_cross_entropy")
    y_true = np.array([0, 1, 2, 0]) if sparse else np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    parameters: dict[str, Any] = {"q": 0.5} if name == "categorical_generalized_cross_entropy" else {}
    for what, values in EXTREMES.items():
        for from_logits in (False, True) if "crossentropy" in name else (None,):
            options = parameters if from_logits is None else {"from_logits": from_logits}
            arguments = (y_true[: len(values)], tf.constant(values, dtype))
            actual = value_and_gradient(getattr(losses, name), *arguments, **options)
            finite = [np.isfinite(np.asarray(x, "float64")) for x in actual]
            if dtype == "float16" or (name, what) not in INFINITE:
                assert (name, what) in INFINITE or all(x.all() for x in finite), (what, options)
            if (name, what) == ("categorical_hinge", "nothing"):
                continue  # an error there
            expected = value_and_gradient(getattr(keras.losses, name), *arguments, **options)
            for mine, theirs in zip(finite, expected, strict=True):
                assert (mine | ~np.isfinite(np.asarray(theirs, "float64"))).all(), (what, options)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_ctc_of_great_logits_equals_oracle(dtype: str) -> None:
    y_pred = tf.constant(np.random.default_rng(0).choice([1e4, -1e4, 0.0], size=(2, 5, 4)), dtype)
    y_true = np.array([[1, 2], [3, 0]])
    value, gradient = value_and_gradient(losses.CTC(reduction="none"), y_true, y_pred)
    expected = value_and_gradient(keras.losses.CTC(reduction="none"), y_true, y_pred)
    assert_close([value, gradient], expected, rtol=1e-3)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"])
def test_an_empty_batch_gives_zero(reduction: str) -> None:
    loss = losses.MeanSquaredError(reduction=reduction)
    assert float(loss(np.zeros((0, 3)), np.zeros((0, 3)))) == 0.0


def test_class_numbers_stay_exact_in_float16() -> None:
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    predictions = np.zeros((1, 3000), "float32")
    predictions[0, 2049] = 30.0
    assert float(loss(np.array([2049]), predictions)) < 1e-3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_softmax_or_sigmoid_gives_its_logits(dtype: str) -> None:
    z = tf.constant([[0.0, 50.0, -60.0]])
    targets = tf.constant([[0.0, 0.0, 1.0]])

    def values(module: Any, z: Any) -> Any:
        return tf.function(
            lambda z: (
                module.CategoricalCrossentropy()(targets, tf.nn.softmax(z)),
                module.SparseCategoricalCrossentropy()(tf.constant([2]), tf.nn.softmax(z)),
                module.BinaryCrossentropy()(targets, tf.sigmoid(z)),
                tf.cast(module.binary_focal_crossentropy(targets, tf.sigmoid(z)), "float32"),
            )
        )(z)

    assert_close(values(losses, tf.cast(z, dtype)), values(keras.losses, z), rtol=1e-6 if dtype == "float32" else 1e-2)
    p = tf.nn.softmax(z)
    p._keras_logits = z
    assert_close(losses.CategoricalCrossentropy()(targets, p), 110.0)
    with pytest.warns(UserWarning, match="output of a softmax"):
        losses.categorical_crossentropy(targets, p, from_logits=True)


# ---- Shapes ----

PAIRS = ["mean_squared_error", "binary_crossentropy", "kl_divergence", "huber", "hinge", "categorical_crossentropy"]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "shapes",
    [((4,), (4, 3)), ((4, 3), (4,)), ((4, 1), (4, 3)), ((4, 3), (4, 1)), ((3, 4), (4, 3)), ((4, 5, 3), (4, 5))],
)
def test_shapes_that_differ_are_an_error(name: str, shapes: Any) -> None:
    function, (true, pred) = getattr(losses, name), shapes
    message = rf"`{name}` .*\({', '.join(map(str, true))},?\) and \({', '.join(map(str, pred))},?\)"
    with pytest.raises(ValueError, match=message):
        function(np.ones(true, "float32"), np.ones(pred, "float32"))
    with pytest.raises(ValueError, match=message):
        tf.function(function)(tf.ones(true), tf.ones(pred))


def test_shapes_that_only_the_run_knows_are_an_error_then() -> None:
    unknown = tf.TensorSpec([None, None], "float32")
    function = tf.function(losses.mean_squared_error, input_signature=[unknown, unknown])
    assert_close(function(tf.ones((4, 3)), tf.ones((4, 3))), np.zeros(4))
    with pytest.raises(tf.errors.InvalidArgumentError, match="mean_squared_error"):
        function(tf.ones((4, 1)), tf.ones((4, 3)))


@pytest.mark.parametrize(
    "shapes", [((4,), (4, 1)), ((4, 1), (4,)), ((4, 5), (4, 5, 1)), ((4, 5, 1), (4, 5)), ((), (4, 3))]
)
def test_a_surplus_axis_of_one_is_squeezed(shapes: Any) -> None:
    y_true, y_pred = np.asarray(random(*shapes[0])), random(*shapes[1], seed=1)
    expected = value_and_gradient(keras.losses.mean_squared_error, y_true, y_pred)
    assert_close(value_and_gradient(losses.mean_squared_error, y_true, y_pred), expected)


@pytest.mark.parametrize("shapes", [((4, 1), (4, 3)), ((4, 5, 1), (4, 5, 3)), ((), (3,))])
def test_sparse_targets_are_squeezed(shapes: Any) -> None:
    y_true, y_pred = np.ones(shapes[0], "int32"), probabilities(*shapes[1])
    expected = keras.losses.sparse_categorical_crossentropy(y_true, y_pred)
    assert_close(losses.sparse_categorical_crossentropy(y_true, y_pred), expected)


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((4, 3), (4, 3)), ((5,), (4, 3)), ((4, 3, 1), (4, 3))])
def test_sparse_targets_of_another_shape_are_an_error(shapes: Any) -> None:
    with pytest.raises(ValueError, match="one class number for each row"):
        losses.sparse_categorical_crossentropy(np.zeros(shapes[0]), np.ones(shapes[1], "float32"))


def test_sparse_axis_is_that_of_the_classes() -> None:
    y_true, y_pred = classes(4, 2, 3), logits(4, 3, 2)
    expected = losses.sparse_categorical_crossentropy(y_true, y_pred.transpose(0, 2, 1), from_logits=True)
    assert_close(losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True, axis=1), expected)


def test_circle_against_reference_embeddings() -> None:
    parameters = {"ref_labels": np.array([0, 2, 1]), "ref_embeddings": unit(3, 4), "remove_diagonal": False}
    y_true, y_pred = classes(6, 3), unit(6, 4)
    expected = value_and_gradient(keras.losses.circle, y_true, y_pred, **parameters)
    assert_close(value_and_gradient(losses.circle, y_true, y_pred, **parameters), expected, rtol=1e-4, atol=1e-5)


# ---- Weights, masks, reductions ----

REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
WEIGHTS = {
    "none": None,
    "number": 2.0,
    "sample": np.array([1.0, 0.0, 2.0, 3.0]),
    "column": np.array([[1.0], [0.0], [2.0], [3.0]]),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("masked", [False, True])
def test_weights_masks_and_reductions_equal_oracle(reduction: str | None, weight: str, masked: bool) -> None:
    if reduction == "mean_with_sample_weight" and weight == "number":
        return  # the oracle divides by that number only; see below
    y_true, y_pred = random(4, 3), tf.constant(random(4, 3, seed=1))
    if masked:
        y_pred._keras_mask = tf.constant([True, False, True, True])
    expected = keras.losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, WEIGHTS[weight])
    assert_close(losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, WEIGHTS[weight]), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (4, 1), (4, 5), (4, 5, 1)])
@pytest.mark.parametrize("masked", [False, True])
def test_weights_of_sequences_equal_oracle(reduction: str | None, shape: tuple[int, ...], masked: bool) -> None:
    if reduction == "mean_with_sample_weight" and shape in ((), (4, 1)):
        return
    y_true, y_pred, weight = random(4, 5, 3), tf.constant(random(4, 5, 3, seed=1)), positive(*shape, seed=2)
    if masked:
        y_pred._keras_mask = tf.constant(labels(4, 5, seed=4) > 0)
    expected = keras.losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, weight)
    assert_close(losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, weight), expected)


def test_weights_for_each_sample_hold_for_all_its_steps() -> None:
    y_true, y_pred, weight = random(4, 5, 3), random(4, 5, 3, seed=1), np.array([1.0, 0.0, 2.0, 3.0])
    for reduction in REDUCTIONS:
        loss = losses.MeanSquaredError(reduction=reduction)
        assert_close(loss(y_true, y_pred, weight), loss(y_true, y_pred, np.repeat(weight[:, None], 5, 1)))


def test_a_weighted_mean_divides_by_the_weight_of_every_value() -> None:
    y_true, y_pred = random(4, 5, 3), random(4, 5, 3, seed=1)
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    for weight in (2.0, np.full((4, 1), 2.0), np.full(4, 2.0), np.full((4, 5), 2.0)):
        assert_close(loss(y_true, y_pred, weight), loss(y_true, y_pred))


@pytest.mark.parametrize("shape", [(3,), (5,), (4, 3), (4, 5, 3), (2, 5)])
def test_weights_that_do_not_fit_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"`sample_weight` of shape .* does not fit .*\(4, 5\)"):
        losses.MeanSquaredError()(random(4, 5, 3), random(4, 5, 3), np.ones(shape))


def test_ignored_classes_and_masks_leave_the_mean_alone() -> None:
    y_true, y_pred, weight = classes(4, 5, 3), tf.constant(probabilities(4, 5, 3)), positive(4, 5)
    y_pred._keras_mask = tf.constant(labels(4, 5, seed=4) > 0)
    expected = keras.losses.SparseCategoricalCrossentropy(ignore_class=1)(y_true, y_pred, weight)
    assert_close(losses.SparseCategoricalCrossentropy(ignore_class=1)(y_true, y_pred, weight), expected)


def test_what_is_masked_may_be_nan() -> None:
    y_pred = tf.constant([[1.0], [np.nan]])
    y_pred._keras_mask = tf.constant([True, False])
    assert float(losses.MeanSquaredError()([[0.0], [0.0]], y_pred)) == 1.0


# ---- Names, own losses, structures ----

ALIASES = {
    "mean_squared_error": ["mse", "MSE", "mean_squared_error"],
    "mean_absolute_error": ["mae", "MAE"],
    "mean_absolute_percentage_error": ["mape", "MAPE"],
    "mean_squared_logarithmic_error": ["msle", "MSLE"],
    "kl_divergence": ["kld", "KLD"],
    "binary_crossentropy": ["bce", "BCE"],
}


def test_every_name_of_the_oracle_means_the_same() -> None:
    for function, names in ALIASES.items():
        for name in names:
            assert keras.losses.get(name).__name__ == losses.get(name).__name__ == function
    for row in ROWS:
        if row.function != "categorical_generalized_cross_entropy":
            assert losses.get(row.function) is getattr(losses, row.function)
            assert losses.deserialize(losses.serialize(losses.get(row.function))) is getattr(losses, row.function)
        assert type(losses.get(row.cls)) is getattr(losses, row.cls)
    assert losses.get(None) is None
    with pytest.raises(ValueError, match="Did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")


class Difference(losses.Loss):
    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.factor * tf.abs(y_true - y_pred)


def test_a_loss_of_ones_own() -> None:
    loss = Difference(2.0, reduction="sum", name="difference")
    assert float(loss(np.array([1, 2]), [1.0, 4.0])) == 4.0
    again = losses.deserialize(losses.serialize(loss), {"Difference": Difference})
    assert again.get_config() == loss.get_config() == {"factor": 2.0, "reduction": "sum", "name": "difference"}


def test_a_loss_of_structures() -> None:
    class Both(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return losses.mean_squared_error(y_true["a"], y_pred["a"]) + losses.hinge(y_true["b"], y_pred["b"])

    y_true, y_pred = {"a": random(4, 3), "b": labels(4, 3)}, {"a": random(4, 3, seed=1), "b": random(4, 3)}
    parts = losses.MeanSquaredError()(y_true["a"], y_pred["a"]) + losses.Hinge()(y_true["b"], y_pred["b"])
    assert_close(Both()(y_true, y_pred), parts)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.MeanSquaredError(reduction="avg"), "`reduction` must be one of"),
        (lambda: losses.binary_crossentropy([[1.0]], [[1.0]], label_smoothing=2), "`label_smoothing` must be"),
        (lambda: losses.categorical_crossentropy([[1.0]], [[1.0]], axis=2), "axis=2"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.0), "`q` must be"),
        (lambda: losses.ctc([[1]], [[1.0]]), "`ctc` expected"),
    ],
)
def test_mistakes_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
