"""A loss that is not finite comes with its step, the place in the model or in the data, and a cure."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from nyala.training import finite
from tests.oracle import assert_close

GENERATOR = np.random.default_rng(0)
X = (GENERATOR.normal(size=(40, 3)) + 3).clip(1).astype("float32")
Y = GENERATOR.normal(size=(40, 1)).astype("float32")
GRAPH, XLA, EAGER = {"jit_compile": False}, {"jit_compile": True}, {"run_eagerly": True}


class Log(nyala.layers.Layer):
    def call(self, x):
        return tf.math.log(x)


class Root(nyala.layers.Layer):
    def call(self, x):
        return tf.sqrt(x)


def behind(layer, **options):
    """A model in which `layer` works on the data behind a layer that learns, beside another that learns too."""
    inputs = nyala.Input((3,))
    kernel = {"kernel_initializer": "identity", "use_bias": False}
    first = nyala.layers.Dense(3, name="first", **kernel)(inputs)
    if layer is not None:
        first = layer(first)
    noisy = nyala.layers.Dropout(0.2)(nyala.layers.Dense(4, name="beside")(inputs))
    outputs = nyala.layers.Dense(1, name="head")(nyala.layers.Concatenate()([first, noisy]))
    model = nyala.Model(inputs, outputs, name="net")
    rate, loss = options.pop("rate", 1e-3), options.pop("loss", "mse")
    model.compile(nyala.optimizers.SGD(rate), loss, **options)
    return model


def spoiled(value, rows=(22,)):
    """The inputs with a value in some rows; row 22 is of the sixth batch."""
    x = X.copy()
    x[list(rows)] = value
    return x


def batches(x, y):
    return [(x[start : start + 4], y[start : start + 4]) for start in range(0, 40, 4)]


def fit(model, feed, x, y, **options):
    options = {"epochs": 2, "shuffle": False, "verbose": 0, **options}
    if feed == "dataset":
        return model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(4), **options)
    if feed == "generator":
        return model.fit(iter(batches(x, y) * 2), steps_per_epoch=10, **options)
    return model.fit(x, y, batch_size=4, **options)


def report(model, feed, x, y=Y, **options):
    """The one warning of a training."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model, feed, x, y, **options)
    assert len(caught) == 1, [str(w.message) for w in caught]
    assert caught[0].filename == __file__
    return str(caught[0].message)


# What goes wrong: a layer, the data, options of the model, and what the report says
WRONG = {
    "log of zero": (
        Log,
        spoiled(0.0),
        {},
        r"from step 6 on: the output of `log` \(Log\) is the first that holds .*no log",
    ),
    "nan in x": (None, spoiled(np.nan), {}, r"from step 6 on: `x` holds NaN or infinity in 1 of .*the first at "),
    "root at zero": (
        Root,
        spoiled(0.0),
        {},
        r"from step 7 on: in the update before, the gradient that `root` \(Root\) passes back is the first.*small number",
    ),
    "rate": (
        None,
        X,
        {"rate": 1e6},
        r"from step [2-5] on: (the output|every).* up to \d.*e\+\d\d.*Lower the learning rate",
    ),
}
SLOW = pytest.mark.slow  # what these show that the others do not, a person wants to see apart
PLACES = {
    "arrays-graph": ("arrays", GRAPH, tuple(WRONG)),
    "arrays-xla": ("arrays", XLA, ("log of zero",)),
    "generator-graph": ("generator", GRAPH, ("log of zero",)),
    "arrays-eager": ("arrays", EAGER, tuple(WRONG)),
    "all-arrays-xla": ("arrays", XLA, tuple(WRONG)),
    "all-dataset-xla": ("dataset", XLA, tuple(WRONG)),
    "all-generator-xla": ("generator", XLA, tuple(WRONG)),
    "all-dataset-graph": ("dataset", GRAPH, tuple(WRONG)),
    "all-generator-graph": ("generator", GRAPH, tuple(WRONG)),
}


@pytest.mark.parametrize("place", [pytest.param(p, marks=[SLOW] * (n >= 3)) for n, p in enumerate(PLACES)])
def test_step_and_place_are_named(place):
    feed, plan, cases = PLACES[place]
    for name in cases:
        layer, x, options, pattern = WRONG[name]
        model = behind(layer and layer(name=layer.__name__.lower()), **options, **plan)
        message = report(model, feed, x)
        assert message.startswith("The loss of `net` is "), message
        assert re.search("in epoch 1 " + pattern, message), f"{name}: {message}"


def test_the_loss_itself_and_an_operation_between_layers_are_named():
    def logarithmic(y_true, y_pred):
        return tf.math.log(y_pred - y_pred)

    assert re.search("`logarithmic` takes the logarithm", report(behind(None, loss=logarithmic), "arrays", X))
    message = report(behind(lambda h: tf.math.log(h)), "arrays", spoiled(0.0))
    assert re.search(r"step 6 on: the output of `log\w*` is the first that holds", message)


def test_a_late_step_is_replayed_from_an_earlier_one():
    """Weights that creep to where a layer has no value: the step is found, which no other step could show."""

    class Creep(nyala.layers.Layer):
        def build(self, shape):
            self.left = self.add_weight(shape=(), initializer="ones", name="left")

        def call(self, x):
            return x[:, :1] * 0 + tf.math.log(self.left)

    found = []
    for steps_per_execution in (1, 50):
        model = nyala.Sequential([nyala.Input((3,)), Creep(name="creep")], name="net")
        model.compile(nyala.optimizers.SGD(0.01), lambda y, p: p, steps_per_execution=steps_per_execution)
        found.append(report(model, "arrays", np.repeat(X, 10, 0), np.repeat(Y, 10, 0)))
    assert found[0] == found[1]
    assert re.search(r"from step \d\d on: the output of `net/creep` \(Creep\) is the first that holds NaN", found[0])


def test_a_dataset_in_another_order_each_time():
    dataset = tf.data.Dataset.from_tensor_slices((spoiled(np.nan), Y)).shuffle(40).batch(4)
    with pytest.warns(UserWarning, match=r"`x` holds NaN or infinity in 1 of 4 rows of that batch, the first at [0-3]"):
        behind(None).fit(dataset, verbose=0)


def test_targets_weights_and_inputs_by_name():
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(1)])
    model.compile("sgd", "mse")
    weight = np.ones(40, "float32")
    weight[7] = np.inf
    assert "`sample_weight` holds NaN or infinity in 1 of 40 rows, the first at 7" in report(
        model, "arrays", X, sample_weight=weight
    )
    named = nyala.Input((3,), name="a")
    model = nyala.Model({"a": named}, nyala.layers.Dense(1)(named))
    model.compile("sgd", "mse")
    assert "`x['a']` holds NaN" in report(model, "arrays", {"a": spoiled(np.nan)})


def test_training_goes_on_as_if_nobody_had_looked(monkeypatch):
    """A replay leaves weights, metrics and random numbers as they were; a loss that recovers stays what it was."""

    def run():
        nyala.utils.set_random_seed(4)
        model = behind(None, loss=lambda y, p: tf.abs(y - p), metrics=["mae"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = fit(model, "arrays", X, np.where(np.arange(40)[:, None] == 22, np.inf, Y).astype("float32"))
        return history.history, model.get_weights()

    looked = run()
    monkeypatch.setattr(finite.FiniteWatch, "after", lambda *arguments: None)
    assert_close(run(), looked, 0, 0)


def test_a_model_too_large_to_copy_still_names_the_data_or_a_weight(monkeypatch):
    monkeypatch.setattr(finite, "LARGEST_COPY", 0)
    assert "`x` holds NaN" in report(behind(None), "arrays", spoiled(np.nan))
    message = report(behind(Log(name="log")), "arrays", spoiled(0.0))
    assert re.search(r"from step 6 on: though the data is finite; the first weight .* is `first/kernel`", message)


def test_a_step_of_ones_own():
    class Own(nyala.Model):
        def __init__(self):
            super().__init__(name="own")
            self.inner, self.dense = Log(name="log"), nyala.layers.Dense(1)

        def call(self, x, training=None):
            return self.dense(self.inner(x))

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
            )
            return {"loss": loss}

    model = Own()
    model.compile("sgd", "mse")
    hear = nyala.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    assert "from step 6 on: the output of `own/log` (Log)" in report(model, "arrays", spoiled(0.0), callbacks=[hear])


def test_finite_training_is_silent_and_evaluation_says_nothing():
    model = behind(None)
    model.fit(X, Y, verbose=0)
    assert np.isnan(model.evaluate(spoiled(np.nan), Y, verbose=0))
