"""Bad input gets an error that names it and the cure, before any step: the weights are the ones from before."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(20, 6)).astype("float32")
LABELS = GENERATOR.integers(0, 3, 20)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
SPARSE = "sparse_categorical_crossentropy"
TOO_HIGH = np.where(np.arange(20) == 7, 3, LABELS)
RAGGED = np.array([[1.0], [2.0, 3.0]] * 10, dtype=object)
Dataset = tf.data.Dataset


def classifier():
    layers = [nyala.layers.Dense(4, activation="relu"), nyala.layers.Dense(3, activation="softmax", name="head")]
    return nyala.Sequential([nyala.Input((6,)), *layers])


def compiled(loss=SPARSE, **options):
    model = classifier()
    model.compile("sgd", loss, **options)
    return model


def rows():
    return Dataset.from_tensor_slices((X, LABELS))


def generator(count=2):
    for place in range(count):
        yield X[place * 5 : place * 5 + 5], LABELS[place * 5 : place * 5 + 5]


def exhausted():
    source = generator()
    list(source)
    return source


def fit(*data, **options):
    return lambda model: model.fit(*data, verbose=0, **options)


# name: what is done with a compiled classifier, the error, and what its message must hold
BAD_DATA = {
    "too few features": (fit(X[:, :5], LABELS), ValueError, ["6", "5"]),
    "too many axes": (fit(X[:, None, None], LABELS), ValueError, ["shape (None, 6)", "(None, 1, 1, 6)"]),
    "one axis": (fit(X[:, 0], LABELS), ValueError, ["shape (None, 6)", "(None,)", "the batch"]),
    "a number": (fit(np.float32(1), LABELS), ValueError, ["`x` is a single number", "rows"]),
    "fewer targets than rows": (fit(X, LABELS[:10]), ValueError, ["x has 20", "y has 10"]),
    "fewer weights than rows": (fit(X, LABELS, sample_weight=np.ones(7)), ValueError, ["sample_weight has 7"]),
    "no rows": (fit(X[:0], LABELS[:0]), ValueError, ["empty", "`x` has no rows"]),
    "label too high": (fit(X, TOO_HIGH), ValueError, [SPARSE, "0 to 2", "`head`", "to 3", "4 units"]),
    "label below zero": (fit(X, LABELS - 1), ValueError, [SPARSE, "0 to 2", "-1"]),
    "label too high in validation": (
        fit(X, LABELS, validation_data=(X, TOO_HIGH)),
        ValueError,
        [SPARSE, "0 to 2", "validation_data"],
    ),
    "label too high in evaluate": (lambda model: model.evaluate(X, TOO_HIGH, verbose=0), ValueError, ["0 to 2"]),
    "label too high on batch": (lambda model: model.train_on_batch(X, TOO_HIGH), ValueError, ["0 to 2"]),
    "too few features in validation": (
        fit(X, LABELS, validation_data=(X[:, :5], LABELS)),
        ValueError,
        ["validation_data", "6", "5"],
    ),
    "too few features in a validation dataset": (
        fit(X, LABELS, validation_data=Dataset.from_tensor_slices((X[:, :5], LABELS)).batch(5)),
        ValueError,
        ["validation_data", "6", "5"],
    ),
    "validation lengths": (fit(X, LABELS, validation_data=(X, LABELS[:3])), ValueError, ["y has 3"]),
    "rows of unequal length": (fit(RAGGED, LABELS), TypeError, ["`x`", "dtype object", "equal length"]),
    "strings in x": (fit(np.array([["a"] * 6] * 20), LABELS), TypeError, ["hold float32", "string", "lookup"]),
    "strings in y": (fit(X, np.array(["cat"] * 20)), TypeError, ["`y`", "strings"]),
    "no targets": (fit(X), ValueError, ["`y`", SPARSE]),
    "no data": (fit(), TypeError, ["arrays", "NoneType"]),
    "no data at all": (fit(3.0), TypeError, ["arrays", "float"]),
    "unbatched dataset": (fit(rows()), ValueError, ["not batches", ".batch(32)"]),
    "unbatched dataset of vectors": (
        fit(Dataset.from_tensor_slices((X, ONE_HOT))),
        ValueError,
        ["batch, which seems to be missing", ".batch(32)"],
    ),
    "dataset without end": (fit(rows().batch(5).repeat()), ValueError, ["no end", "steps_per_epoch"]),
    "validation without end": (
        fit(X, LABELS, validation_data=rows().batch(5).repeat()),
        ValueError,
        ["no end", "validation_steps"],
    ),
    "batch_size with a dataset": (fit(rows().batch(5), batch_size=5), ValueError, ["batch_size", "Dataset"]),
    "y with a dataset": (fit(rows().batch(5), LABELS), ValueError, ["`y`", "Dataset"]),
    "batch_size of zero": (fit(X, LABELS, batch_size=0), ValueError, ["batch_size", "0"]),
    "batch_size of a half": (fit(X, LABELS, batch_size=0.5), ValueError, ["batch_size", "0.5"]),
    "exhausted generator": (fit(exhausted()), ValueError, ["empty", "generator"]),
    "split of a generator": (fit(generator(), validation_split=0.2), ValueError, ["validation_split", "generator"]),
    "split of all": (fit(X, LABELS, validation_split=1.0), ValueError, ["validation_split", "1.0"]),
    "class names in class_weight": (fit(X, LABELS, class_weight={"cat": 1.0}), ValueError, ["class_weight", "'cat'"]),
    "class_weight of a dataset": (
        fit(rows().batch(5), class_weight={"cat": 1.0}),
        ValueError,
        ["class_weight", "'cat'"],
    ),
    "class_weight as a list": (fit(X, LABELS, class_weight=[1.0, 2.0]), TypeError, ["class_weight", "list"]),
    "class_weight and sample_weight": (
        fit(X, LABELS, class_weight={0: 1.0}, sample_weight=np.ones(20)),
        ValueError,
        ["class_weight", "sample_weight"],
    ),
    "class_weight of a generator": (fit(generator(), class_weight={"cat": 1.0}), ValueError, ["class_weight", "'cat'"]),
    "class_weight of a class that is not": (
        fit(X, ONE_HOT, class_weight={0: 1.0, 3: 2.0}),
        ValueError,
        ["key 3", "0 to 2"],
    ),
    "class_weight beyond the outputs": (fit(X, LABELS, class_weight={7: 2.0}), ValueError, ["key 7", "0 to 2"]),
    "class_weight below zero": (fit(X, LABELS, class_weight={0: -1.0}), ValueError, ["class 0", "-1.0"]),
    "class_weight of a word": (fit(X, LABELS, class_weight={0: "a"}), ValueError, ["class 0", "'a'"]),
    "a monitor": (
        fit(X, LABELS, validation_data=(X, LABELS), callbacks=[nyala.callbacks.EarlyStopping("val_los")]),
        ValueError,
        ["'val_los'", "Did you mean 'val_loss'?"],
    ),
    "a name in a filepath": (
        fit(
            X,
            LABELS,
            validation_data=(X, LABELS),
            callbacks=[nyala.callbacks.ModelCheckpoint("{epoch}-{val_los:.2f}.keras")],
        ),
        ValueError,
        ["'val_los'", "Did you mean 'val_loss'?"],
    ),
    "steps_per_epoch of zero": (fit(rows().batch(5), steps_per_epoch=0), ValueError, ["steps", "0"]),
    "a callback class": (fit(X, LABELS, callbacks=[nyala.callbacks.History]), TypeError, ["callbacks", "History()"]),
    "a function as callback": (fit(X, LABELS, callbacks=[print]), TypeError, ["callbacks", "print"]),
    "unknown argument": (fit(X, LABELS, epoch=3), TypeError, ["'epoch'", "Did you mean 'epochs'?"]),
    "unknown argument of evaluate": (lambda model: model.evaluate(X, LABELS, batch=3), TypeError, ["'batch'"]),
    "predict without features": (lambda model: model.predict(X[:, :2], verbose=0), ValueError, ["6", "2"]),
}


def check(call, kind, texts):
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    for text in texts:
        assert any(option in message for option in text.split("|")), f"{text!r} is not in: {message}"
    assert len(message.splitlines()) <= 3, message
    return message


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused_before_any_work(case):
    """The error has the type and the words of the table, and no weight has moved."""
    call, kind, texts = BAD_DATA[case]
    model = compiled()
    before = model.get_weights()
    check(lambda: call(model), kind, texts)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def compile_with(**options):
    return lambda: classifier().compile(**{"optimizer": "sgd", "loss": SPARSE, **options})


# name: the call, the error, and what its message must hold
BAD_SETTINGS = {
    "loss": (compile_with(loss="mean_squared_eror"), ValueError, ["loss", "Did you mean 'mean_squared_error'?"]),
    "loss of one output": (compile_with(loss={"head": "msee"}), ValueError, ["Did you mean 'MSE'?"]),
    "metric": (compile_with(metrics=["acuracy"]), ValueError, ["metric", "Did you mean 'accuracy'?"]),
    "optimizer": (compile_with(optimizer="adamm"), ValueError, ["optimizer", "Did you mean 'adam'?"]),
    "activation": (lambda: nyala.layers.Dense(1, activation="rellu"), ValueError, ["Did you mean 'relu'?"]),
    "initializer": (
        lambda: nyala.layers.Dense(1, kernel_initializer="glorot_unifrom"),
        ValueError,
        ["initializer", "Did you mean 'glorot_uniform'?"],
    ),
    "a number as loss": (compile_with(loss=3), ValueError, ["3", "loss"]),
    "unknown argument": (compile_with(optimiser="sgd"), TypeError, ["'optimiser'", "Did you mean 'optimizer'?"]),
    "no step in an execution": (compile_with(steps_per_execution=0), ValueError, ["steps_per_execution", "0"]),
    "half a step": (compile_with(steps_per_execution=1.5), ValueError, ["steps_per_execution", "1.5"]),
    "eager and compiled": (
        compile_with(run_eagerly=True, jit_compile=True),
        ValueError,
        ["run_eagerly=True", "jit_compile=True"],
    ),
    "word as jit_compile": (compile_with(jit_compile="yes"), ValueError, ["jit_compile", "'yes'"]),
    "fit before compile": (lambda: classifier().fit(X, LABELS), ValueError, ["compiled", "model.compile("]),
    "evaluate before compile": (lambda: classifier().evaluate(X, LABELS), ValueError, ["compiled", "model.compile("]),
    "train_on_batch before compile": (lambda: classifier().train_on_batch(X, LABELS), ValueError, ["compiled"]),
    "unknown output": (
        lambda: compiled({"heat": SPARSE}).fit(X, LABELS, verbose=0),
        ValueError,
        ["'heat'", "Did you mean 'head'?"],
    ),
    "unknown output of a metric": (
        lambda: compiled(metrics={"heat": "accuracy"}).fit(X, LABELS, verbose=0),
        ValueError,
        ["'heat'", "Did you mean 'head'?"],
    ),
    "too many losses": (
        lambda: compiled([SPARSE, "mse"]).fit(X, LABELS, verbose=0),
        ValueError,
        ["2 entries", "1 output"],
    ),
    "targets that would be broadcast": (
        lambda: compiled("mse").fit(X, X[:, 0], verbose=0),
        ValueError,
        ["(None,)", "(None, 3)", "3 targets"],
    ),
    "targets of another width": (lambda: compiled("mse").fit(X, X[:, :2], verbose=0), ValueError, ["2", "3"]),
    "more targets than outputs": (
        lambda: compiled().fit(X, [LABELS, LABELS], verbose=0),
        ValueError,
        ["`y` has 2 parts", "1 output"],
    ),
    "unknown monitor mode": (lambda: nyala.callbacks.EarlyStopping(mode="less"), ValueError, ["mode", "'less'"]),
    "factor above one": (lambda: nyala.callbacks.ReduceLROnPlateau(factor=2.0), ValueError, ["factor", "2.0"]),
    "unknown save_freq": (
        lambda: nyala.callbacks.ModelCheckpoint("a.keras", save_freq="batch"),
        ValueError,
        ["save_freq", "'batch'"],
    ),
    "unknown suffix": (lambda: nyala.callbacks.ModelCheckpoint("a.ckpt"), ValueError, [".keras", "'a.ckpt'"]),
    "unknown hook": (lambda: nyala.callbacks.LambdaCallback(on_batch=print), TypeError, ["'on_batch'"]),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_refused_with_the_closest_known_name(case):
    """A name that is unknown comes with the one it looks like; settings that exclude each other are both named."""
    check(*BAD_SETTINGS[case])


def test_a_generator_that_ends_early_warns():
    """What was there is trained on; the warning counts both."""
    model = compiled()
    before = model.get_weights()
    with pytest.warns(UserWarning, match=r"after 2 of 5 batches.*lower steps_per_epoch"):
        model.fit(generator(2), steps_per_epoch=5, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("place", "texts"),
    [
        ("x", ["`x`", "3 of 20 rows", "first at 4"]),
        ("y", ["`y`", "3 of 20 rows", "first at 4"]),
        ("sample_weight", ["`sample_weight`", "3 of 20 rows", "first at 4"]),
    ],
)
def test_nan_in_the_data_is_named_with_the_first_loss(place, texts):
    """The loss that is NaN is traced back to the array, the number of its bad rows and the first of them."""
    data = {"x": X.copy(), "y": ONE_HOT.copy(), "sample_weight": np.ones(20, "float32")}
    data[place][[4, 9, 17]] = np.nan
    model = compiled("mse")
    with pytest.warns(UserWarning, match="holds NaN or infinity") as caught:
        model.fit(**data, epochs=2, verbose=0)
    assert len(caught) == 1
    for text in texts:
        assert text in str(caught[0].message)


def test_a_loss_that_explodes_on_finite_data_blames_the_learning_rate():
    model = nyala.Sequential([nyala.Input((6,)), nyala.layers.Dense(3)])
    model.compile(nyala.optimizers.SGD(1e30), "mse")
    with pytest.warns(UserWarning, match=r"from step 2 on: every layer's output is finite.*Lower the learning rate"):
        model.fit(X, ONE_HOT, batch_size=2, epochs=1, verbose=0)
