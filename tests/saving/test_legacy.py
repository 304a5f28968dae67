"""`.h5` files: of Keras 3's own writer, both ways, and of Keras 2, built here from their layout."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

import nyala
from tests.oracle import assert_close, keras
from tests.saving.kinds import KINDS, trained

RANDOM = np.random.default_rng(0)


def data(*shape):
    return RANDOM.normal(size=shape).astype("float32")


# ---- Keras 3 ----


@pytest.mark.parametrize("kind", ["stack", "images"])
def test_both_ways(kind, tmp_path):
    """Same weights and predictions both ways, the same evaluation and state of the optimizer here."""
    build, x, y, _ = KINDS[kind]
    for writer in (nyala, keras):
        model = trained(writer, kind)
        model.save(tmp_path / "m.h5")
        # The reference does not compile again what was compiled with "mse", not even of its own files.
        theirs = keras.saving.load_model(tmp_path / "m.h5", compile=False)
        ours = nyala.saving.load_model(tmp_path / "m.h5")
        for loaded in (theirs, ours):
            assert_close(loaded.get_weights(), model.get_weights(), 0, 0)
            assert_close(loaded(x), model(x), 1e-6, 1e-6)
        one, other = (m.evaluate(x, y, verbose=0, return_dict=True)["loss"] for m in (ours, model))
        assert_close(one, other, 1e-5, 1e-6)
        assert_close(ours.optimizer.variables, model.optimizer.variables, 0, 0)
        other = build(nyala)
        other.load_weights(tmp_path / "m.h5")
        assert_close(other.get_weights(), model.get_weights(), 0, 0)


def test_ops_and_functions(tmp_path):
    from nyala.core.engine import tf

    x = nyala.Input((4,))
    h = nyala.ops.concatenate([x + 1.0, tf.nn.relu(x)], axis=-1)
    model = nyala.Model(x, tf.reduce_mean(h[:, 1:], axis=-1, keepdims=True))
    model.save(tmp_path / "m.h5")
    values = data(3, 4)
    assert_close(nyala.saving.load_model(tmp_path / "m.h5")(values), model(values))
    x = keras.Input((4,))
    model = keras.Model(x, keras.ops.concatenate([x + 1.0, keras.layers.Dense(2)(x)], axis=-1))
    model.save(tmp_path / "m.h5")  # which the reference cannot load itself
    assert_close(nyala.saving.load_model(tmp_path / "m.h5")(values), model(values), 1e-6, 1e-6)


def test_what_h5_does_not_hold(tmp_path):
    class Own(nyala.Model):
        def call(self, x):
            return x

    own = Own()
    own(data(2, 3))
    with pytest.raises(ValueError, match=r"`\.keras` file"):
        own.save(tmp_path / "m.h5")
    assert list(tmp_path.iterdir()) == []
    model = trained(nyala, "stack")
    model.save(tmp_path / "m.h5", include_optimizer=False)
    assert not nyala.saving.load_model(tmp_path / "m.h5").compiled


# ---- Keras 2, and tf.keras ----


def write_old(path, config, layers, training=None, optimizer=None, version="2.4.0", whole=True):
    """A file as Keras 2 wrote it; `layers` has the arrays of each layer by name."""
    with h5py.File(path, "w") as root:
        root.attrs["keras_version"] = np.bytes_(version)
        root.attrs["backend"] = b"tensorflow"
        group = root
        if whole:
            root.attrs["model_config"] = np.bytes_(json.dumps(config))
            group = root.create_group("model_weights")
        if training is not None:
            root.attrs["training_config"] = np.bytes_(json.dumps(training))
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            names = [f"{name}/weight_{place}:0" for place in range(len(arrays))]
            part = group.create_group(name)
            part.attrs["weight_names"] = [item.encode() for item in names] if names else np.zeros(0)
            for item, array in zip(names, arrays, strict=True):
                part.create_dataset(item, data=array)
        if optimizer is not None:
            part = root.create_group("optimizer_weights")
            part.attrs["weight_names"] = [name.encode() for name in optimizer]
            for name, array in optimizer.items():
                part.create_dataset(name, data=array)


def in_file(model):
    """The arrays of each layer of a model: what learns first."""
    return {
        layer.name: [v.numpy() for v in (*layer.trainable_weights, *layer.non_trainable_weights)]
        for layer in model.layers
    }


def old(class_name, **config):
    return {"class_name": class_name, "config": {"trainable": True, "dtype": "float32", **config}}


SCALING = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform", "seed": None, "dtype": "float32"}
GLOROT = {"class_name": "VarianceScaling", "config": SCALING}
NORMAL = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_in", "distribution": "normal", "seed": None},
}
ZEROS = {"class_name": "Zeros", "config": {"dtype": "float32"}}
RNN = {"implementation": 1, "time_major": False, "unroll": False, "stateful": False, "activity_regularizer": None,
       "recurrent_activation": "hard_sigmoid", "kernel_initializer": GLOROT, "bias_initializer": ZEROS}  # fmt: skip


@keras.saving.register_keras_serializable("legacy", "of_old")
def hard_sigmoid(x):
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


L = keras.layers
# What a file of old says of layers behind an input of some shape, and the same in the words of today.
STACKS = {
    "dense": (
        (4,),
        [old("Dense", name="a", units=3, activation="hard_sigmoid", kernel_initializer=NORMAL, bias_initializer=ZEROS),
         old("BatchNormalizationV1", name="b", axis=[1], fused=None, virtual_batch_size=None),
         old("LeakyReLU", name="c", alpha=0.2), old("ThresholdedReLU", name="d", theta=0.1),
         old("Dropout", name="e", rate=0.1, noise_shape=None, seed=None),
         old("Dense", name="f", units=2, activation="softmax_v2")],
        [L.Dense(3, hard_sigmoid, name="a"), L.BatchNormalization(name="b"), L.LeakyReLU(0.2, name="c"),
         L.ReLU(threshold=0.1, name="d"), L.Dense(2, "softmax", name="f")],
    ),
    "lstm": (
        (5, 4),
        [old("LSTM", name="a", units=3, unit_forget_bias=True, return_sequences=True, input_dim=4, input_length=5, **RNN),
         old("SpatialDropout1D", name="s", rate=0.1, noise_shape=None, seed=None),
         old("GRU", name="b", units=2, **RNN)],
        [L.LSTM(3, recurrent_activation=hard_sigmoid, return_sequences=True, name="a"),
         L.GRU(2, recurrent_activation=hard_sigmoid, reset_after=False, name="b")],
    ),
    "wrapped": (
        (5, 4),
        [old("Bidirectional", name="a", merge_mode="sum", layer=old("LSTM", name="x", units=3, return_sequences=True, **RNN)),
         old("TimeDistributed", name="b", layer=old("Dense", name="y", units=2, activation="relu")),
         old("RNN", name="c", cell={"class_name": "StackedRNNCells", "config": {"cells": [
             old("LSTMCell", name="p", units=2, **RNN), old("GRUCell", name="q", units=3, **RNN)]}})],
        [L.Bidirectional(L.LSTM(3, recurrent_activation=hard_sigmoid, return_sequences=True), "sum", name="a"),
         L.TimeDistributed(L.Dense(2, "relu"), name="b"),
         L.RNN([L.LSTMCell(2, recurrent_activation=hard_sigmoid),
                L.GRUCell(3, recurrent_activation=hard_sigmoid, reset_after=False)], name="c")],
    ),
    "images": (
        (6, 6, 2),
        [old("Conv2D", name="a/x", filters=3, kernel_size=[3, 3], padding="same", dilation_rate=[1, 1],
             data_format="channels_last"),
         old("SpatialDropout2D", name="s", rate=0.1, noise_shape=None, seed=None, data_format="channels_last"),
         old("SeparableConv2D", name="b", filters=2, kernel_size=[2, 2], groups=1, kernel_initializer=GLOROT,
             kernel_regularizer=None, kernel_constraint=None, depthwise_initializer=GLOROT, pointwise_initializer=GLOROT),
         old("DepthwiseConv2D", name="c", kernel_size=[2, 2], depth_multiplier=2), old("Flatten", name="f")],
        [L.Conv2D(3, 3, padding="same", name="a_x"), L.SeparableConv2D(2, 2, name="b"),
         L.DepthwiseConv2D(2, depth_multiplier=2, name="c"), L.Flatten(name="f")],
    ),
}  # fmt: skip


def stack(shape, layers):
    model = keras.Sequential([keras.Input(shape), *(type(layer).from_config(layer.get_config()) for layer in layers)])
    for v in model.weights:
        v.assign(np.abs(data(*v.shape)) if "variance" in v.name else 0.5 * data(*v.shape))
    return model


@pytest.mark.parametrize(
    ("case", "form"),
    [
        *((case, "list") for case in STACKS),
        ("dense", "dict"),
        ("dense", "with Input"),
        ("dense", "Model"),
        ("lstm", "Functional"),
        ("images", "Model"),
    ],
)
def test_stacks_of_old(case, form, tmp_path):
    """As a bare list, as a dict, with the input as a layer of its own, and as a graph."""
    shape, entries, layers = STACKS[case]
    expected = stack(shape, layers)
    entries = json.loads(json.dumps(entries))
    kernels = in_file(expected)
    names = {"a_x": "a/x"}
    given = {name: kernels.get(name.replace("/", "_"), []) for name in (entry["config"]["name"] for entry in entries)}
    assert {names.get(name, name) for name in kernels} <= given.keys()
    first = {
        "class_name": "InputLayer",
        "config": {"batch_input_shape": [None, *shape], "dtype": "float32", "name": "in"},
    }
    if form in ("Model", "Functional"):  # the second from 2.4 on
        chain = [first, *entries]
        for place, entry in enumerate(chain):
            entry["name"] = entry["config"]["name"]
            entry["inbound_nodes"] = [[[chain[place - 1]["name"], 0, 0, {}]]] if place else []
        ends = {"input_layers": [["in", 0, 0]], "output_layers": [[chain[-1]["name"], 0, 0]]}
        config = {"class_name": form, "config": {"name": "m", "layers": chain, **ends}}
    elif form == "with Input":
        config = {"class_name": "Sequential", "config": {"name": "m", "layers": [first, *entries]}}
    else:
        entries[0]["config"]["batch_input_shape"] = [None, *shape]
        config = {"class_name": "Sequential", "config": entries if form == "list" else {"name": "m", "layers": entries}}
    write_old(tmp_path / "m.h5", config, given)
    model = nyala.saving.load_model(tmp_path / "m.h5")
    values = data(3, *shape)
    assert model.input_shape == (None, *shape)
    assert_close(model(values), expected(values), 1e-5, 1e-5)
    if form == "list":
        for v in model.weights:
            v.assign(v.numpy() * 0)
        write_old(tmp_path / "w.h5", None, given, whole=False)
        model.load_weights(tmp_path / "w.h5")
        assert_close(model(values), expected(values), 1e-5, 1e-5)
        model.save(tmp_path / "again.keras")  # the names of old formulas are known here
        again = nyala.saving.load_model(tmp_path / "again.keras")
        assert_close(again(values), expected(values), 1e-5, 1e-5)


# ---- Layers that Keras 3 does not have ----


def patch_matrices(shape, kernel_size, strides, filters):
    """Random kernels of each place, as one matrix from all inputs to all outputs (channels last), and in patches."""
    *sizes, channels = shape
    out = [(size - kernel) // stride + 1 for size, kernel, stride in zip(sizes, kernel_size, strides, strict=True)]
    full = np.zeros((*shape, *out, filters), "float32")
    patches = data(int(np.prod(out)), int(np.prod(kernel_size)) * channels, filters)
    for number, place in enumerate(np.ndindex(*out)):
        seen = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, strides, kernel_size, strict=True))
        full[(*seen, slice(None), *place)] = patches[number].reshape(*kernel_size, channels, filters)
    return full, patches, out


def channels_first(array, axes):
    """The input's channels before its sizes, and the output's before its own."""
    return array.transpose(axes, *range(axes), 2 * axes + 1, *range(axes + 1, 2 * axes + 1))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("implementation", [1, 2, 3])
@pytest.mark.parametrize(("shape", "kernel_size", "strides"), [((7, 2), (3,), (2,)), ((5, 4, 2), (2, 3), (1, 1))])
def test_locally_connected(shape, kernel_size, strides, implementation, data_format, tmp_path):
    """The three ways in which files hold the kernels, which are others at each place."""
    axes, filters = len(kernel_size), 3
    full, patches, out = patch_matrices(shape, kernel_size, strides, filters)
    bias, values = data(*out, filters), data(4, *shape)
    expected = np.tensordot(values, full, axes + 1) + bias
    kernel, first = patches, data_format == "channels_first"
    if first:
        places = int(np.prod(out))
        kernel = patches.reshape(places, -1, shape[-1], filters).swapaxes(1, 2).reshape(patches.shape)
        full, bias, values = channels_first(full, axes), np.moveaxis(bias, -1, 0), np.moveaxis(values, -1, 1)
        expected = np.moveaxis(expected, -1, 1)
    if implementation == 2:
        kernel = np.where(full == 0, 9.0, full).astype("float32")  # what connects nothing counts for nothing
    elif implementation == 3:
        matrix = full.reshape(int(np.prod(shape)), -1).T
        kernel = matrix[matrix != 0]
    settings = {
        "name": "local", "filters": filters, "kernel_size": kernel_size, "strides": strides, "padding": "valid",
        "data_format": data_format, "activation": "linear", "use_bias": True, "kernel_initializer": GLOROT,
        "bias_initializer": ZEROS, "implementation": implementation,
        "batch_input_shape": [None, *values.shape[1:]],
    }  # fmt: skip
    config = {
        "class_name": "Sequential",
        "config": {"name": "m", "layers": [old(f"LocallyConnected{axes}D", **settings)]},
    }
    write_old(tmp_path / "m.h5", config, {"local": [kernel, bias]})
    model = nyala.saving.load_model(tmp_path / "m.h5")
    assert model.output_shape == (None, *expected.shape[1:])
    assert_close(model(values), expected, 1e-4, 1e-5)
    model.save(tmp_path / "m.keras")
    assert_close(nyala.saving.load_model(tmp_path / "m.keras")(values), expected, 1e-4, 1e-5)


def test_locally_connected_with_same_padding(tmp_path):
    """Each place sees the inputs around it that there are; with equal kernels everywhere that is a convolution."""
    same = data(3, 2, 4)
    full = np.zeros((5, 2, 5, 4), "float32")
    for place in range(5):
        for offset in (-1, 0, 1):
            if 0 <= place + offset < 5:
                full[place + offset, :, place] = same[offset + 1]
    settings = {
        "name": "local",
        "filters": 4,
        "kernel_size": [3],
        "padding": "same",
        "use_bias": False,
        "implementation": 2,
    }
    entry = old("LocallyConnected1D", batch_input_shape=[None, 5, 2], **settings)
    write_old(tmp_path / "m.h5", {"class_name": "Sequential", "config": [entry]}, {"local": [full]})
    model, values = nyala.saving.load_model(tmp_path / "m.h5"), data(2, 5, 2)
    assert_close(model(values), keras.ops.conv(values, same, padding="same"), 1e-4, 1e-5)
    assert "LocallyConnected1D" not in nyala.layers.__all__
    entry["config"]["implementation"] = 1
    write_old(tmp_path / "m.h5", {"class_name": "Sequential", "config": [entry]}, {"local": [full]})
    with pytest.raises(ValueError, match="'same' with 2 or 3"):
        nyala.saving.load_model(tmp_path / "m.h5")


def test_thresholded_relu(tmp_path):
    entry = old("ThresholdedReLU", name="t", theta=0.5, batch_input_shape=[None, 4])
    write_old(tmp_path / "m.h5", {"class_name": "Sequential", "config": [entry]}, {"t": []})
    model = nyala.saving.load_model(tmp_path / "m.h5")
    assert_close(model(np.array([[-1.0, 0.4, 0.6, 2.0]], "float32")), np.array([[0.0, 0.0, 0.6, 2.0]]))


def test_calls_of_old(tmp_path):
    """Calls of a model inside count its own first; tensors by name; constants; initial states; functions as layers."""
    dense = {"units": 3, "kernel_initializer": GLOROT}
    inside = {"name": "inside", "layers": [old("Dense", name="p", batch_input_shape=[None, 5, 4], **dense)]}
    called = lambda *x, **k: [[*x, k]]  # noqa: E731
    entries = [
        ("InputLayer", {"batch_input_shape": [None, 5, 4], "dtype": "float32"}, "x", []),
        ("Sequential", inside, "inside", [[["x", 0, 0, {}]], [["scaled", 0, 0, {}]]]),
        (
            "TFOpLambda",
            {"function": "math.multiply"},
            "scaled",
            [["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0], "name": None}]],
        ),
        ("LSTM", {"units": 3, "return_state": True, "return_sequences": True, **RNN}, "l", [called("inside", 1, 0)]),
        ("LSTM", {"units": 3, **RNN}, "s", [[["inside", 2, 0, {}], ["l", 0, 1, {}], ["l", 0, 2, {}]]]),
        (
            "SlicingOpLambda",
            {},
            "cut",
            [["l", 0, 0, {"slice_spec": [{"start": None, "stop": None, "step": None}, -1]}]],
        ),
        ("TFOpLambda", {"function": "concat"}, "c", [[["s", 0, 0, {"axis": -1}], ["cut", 0, 0, {"axis": -1}]]]),
        ("Dropout", {"rate": 0.1}, "d", [[["c", 0, 0, {"training": False}]]]),
        ("TFOpLambda", {"function": "__operators__.add"}, "o", [["d", 0, 0, {"y": 1.0, "name": None}]]),
    ]
    layers = [{"class_name": c, "config": {"name": n, **k}, "name": n, "inbound_nodes": i} for c, k, n, i in entries]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["o", 0, 0]]}
    x = keras.Input((5, 4))
    part = L.Dense(3)
    one, two = part(x), part(2.0 * x)
    first, second = (
        L.LSTM(3, recurrent_activation=hard_sigmoid, return_sequences=s, return_state=s) for s in (True, False)
    )
    sequence, h, c = first(one)
    out = keras.ops.concatenate([second(two, initial_state=[h, c]), sequence[:, -1]], axis=-1) + 1.0
    expected = keras.Model(x, out)
    weights = {n: [v.numpy() for v in layer.weights] for n, layer in (("inside", part), ("l", first), ("s", second))}
    config = {"class_name": "Model", "config": {"name": "m", "layers": layers, **ends}}
    write_old(tmp_path / "m.h5", config, {n: weights.get(n, []) for _, _, n, _ in entries})
    values = data(3, 5, 4)
    model = nyala.saving.load_model(tmp_path / "m.h5")
    assert_close(model(values), expected(values), 1e-5, 1e-5)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_layers_for_graphics_cards(name, tmp_path):
    """The kernel of each gate stood there row by row of its transpose, the recurrent one transposed, with two biases."""
    gates = {"LSTM": 4, "GRU": 3}[name]
    layer = getattr(L, name)(3, name="a")
    expected = stack((5, 4), [layer])
    kernel, recurrent, bias = expected.get_weights()
    parts = [part.T.reshape(part.shape) for part in np.split(kernel, gates, axis=1)]
    turned = [part.T for part in np.split(recurrent, gates, axis=1)]
    biases = np.concatenate([0.25 * bias, 0.75 * bias]) if name == "LSTM" else bias.reshape(-1)
    settings = {"units": 3, "return_sequences": False, "return_state": False, "stateful": False, "go_backwards": False}
    arrays = [np.concatenate(parts, axis=1), np.concatenate(turned, axis=1), biases]
    config = [old(f"CuDNN{name}", name="a", batch_input_shape=[None, 5, 4], kernel_initializer=GLOROT, **settings)]
    write_old(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, {"a": arrays})
    values = data(3, 5, 4)
    model = nyala.saving.load_model(tmp_path / "m.h5")
    assert_close(model(values), expected(values), 1e-5, 1e-5)


def sequential(*entries):
    entries[0]["config"]["batch_input_shape"] = [None, 4]
    return {"class_name": "Sequential", "config": {"name": "m", "layers": list(entries)}}


OPTIMIZERS = {
    "rate and decay": ({"class_name": "SGD", "config": {"lr": 0.5, "decay": 0.1, "momentum": 0.9, "nesterov": False}},
                       ["SGD/iter:0", "SGD/a/kernel/momentum:0", "SGD/a/bias/momentum:0"]),
    "kind after kind": ({"class_name": "Adam", "config": {"lr": 0.5, "decay": 0.0, "beta_1": 0.9, "epsilon": None}},
                        ["Adam/iter:0", "Adam/a/kernel/m:0", "Adam/a/bias/m:0", "Adam/a/kernel/v:0", "Adam/a/bias/v:0"]),
    "without names": ({"class_name": "Adam", "config": {"lr": 0.5, "amsgrad": False}},
                      ["Adam/iterations:0", *(f"training/Adam/Variable{i}:0" for i in ("", "_1", "_2", "_3"))]),
    "together": ({"class_name": "Custom>Adam",
                  "config": {"learning_rate": 0.5, "is_legacy_optimizer": False, "jit_compile": False}},
                 ["iteration:0", "Adam/m/a/kernel:0", "Adam/v/a/kernel:0", "Adam/m/a/bias:0", "Adam/v/a/bias:0"]),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizers_of_old(case, tmp_path):
    """Each state finds the weight that it belongs to."""
    description, names = OPTIMIZERS[case]
    kernel, bias = data(4, 2), data(2)
    states = {
        name: np.int64(5)
        if place == 0
        else np.full((4, 2), place, "f")
        if place in ({1, 2} if case == "together" else {1, 3})
        else np.full((2,), place, "f")
        for place, name in enumerate(names)
    }
    training = {"optimizer_config": description, "loss": "mse", "metrics": ["accuracy"], "sample_weight_mode": None}
    write_old(tmp_path / "m.h5", sequential(old("Dense", name="a", units=2)), {"a": [kernel, bias]}, training, states)
    model = nyala.saving.load_model(tmp_path / "m.h5")
    assert int(model.optimizer.iterations) == 5
    rate = 0.5 / 1.5 if case == "rate and decay" else 0.5
    assert_close(model.optimizer.learning_rate, rate, 1e-6)
    slots = {v.path.split("/")[-1]: v.numpy() for v in model.optimizer.variables if v.ndim}
    found = {name: int(value.flat[0]) for name, value in slots.items()}
    kinds = {name.rsplit("_", 1)[-1] for name in found}
    assert kinds == ({"momentum"} if case == "rate and decay" else {"momentum", "velocity"})
    order = {"rate and decay": [1, 2], "together": [1, 2, 3, 4]}.get(case, [1, 3, 2, 4])
    assert list(found.values()) == order
    assert np.isfinite(model.train_on_batch(data(3, 4), data(3, 2))).all()


def test_wrapped_metrics_and_losses(tmp_path):
    metric = {
        "class_name": "MeanMetricWrapper",
        "config": {"name": "accuracy", "dtype": "float32", "fn": "binary_accuracy"},
    }
    loss = {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "e", "fn": "mean_squared_error"}}
    optimizer = {"class_name": "SGD", "config": {"learning_rate": "0.25"}}
    training = {"optimizer_config": optimizer, "loss": loss, "metrics": [[metric, "mae"]], "weighted_metrics": None}
    write_old(tmp_path / "m.h5", sequential(old("Dense", name="a", units=2)), {"a": [data(4, 2), data(2)]}, training)
    model = nyala.saving.load_model(tmp_path / "m.h5")
    found = model.evaluate(data(3, 4), data(3, 2), verbose=0, return_dict=True)
    assert set(found) == {"loss", "accuracy", "mae"}


@pytest.mark.parametrize(
    "part",
    [
        {"loss": "my_loss"},
        {"metrics": ["my_metric"]},
        {"optimizer_config": {"class_name": "TFOptimizer", "config": {}}},
    ],
)
def test_one_warning_where_compiling_cannot_be_restored(part, tmp_path):
    training = {"optimizer_config": {"class_name": "SGD", "config": {"lr": 0.1}}, "loss": "mse", **part}
    write_old(tmp_path / "m.h5", sequential(old("Dense", name="a", units=2)), {"a": [data(4, 2), data(2)]}, training)
    with pytest.warns(UserWarning, match=r"m\.h5 is not compiled.*cannot be restored") as seen:
        model = nyala.saving.load_model(tmp_path / "m.h5")
    assert len(seen) == 1
    assert model.predict(data(3, 4), verbose=0).shape == (3, 2)
    nyala.saving.load_model(tmp_path / "m.h5", compile=False)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (old("Mine", name="a", units=2), "not known here: Mine"),
        (old("LSTM", name="a", units=2, time_major=True), "time_major=True"),
        (old("Lambda", name="a", function=["abc", None, None], function_type="lambda"), r"custom_objects=\{'a'"),
        (old("Lambda", name="a", function="mine", function_type="function"), "not known here: mine"),
    ],
)
def test_what_cannot_be_made_is_named(entry, words, tmp_path):
    write_old(tmp_path / "m.h5", sequential(entry), {"a": []})
    with pytest.raises(ValueError, match=words):
        nyala.saving.load_model(tmp_path / "m.h5")


def test_functions_and_classes_of_ones_own(tmp_path):
    """A Lambda gets its function under the layer's name, whatever bytecode the file has; a class keeps its arguments."""

    class Mine(nyala.Layer):
        def __init__(self, units, alpha=1.0, **options):
            super().__init__(**options)
            self.inner, self.alpha = nyala.layers.Dense(units, use_bias=False), alpha

        def call(self, x):
            return self.alpha * self.inner(x)

    code = old("Lambda", name="twice", function=["abc", None, None], function_type="lambda", output_shape_type="raw")
    config = sequential(
        old("Dense", name="a", units=2, use_bias=False), code, old("Mine", name="b", units=3, alpha=3.0)
    )
    kernels = data(4, 2), data(2, 3)
    write_old(tmp_path / "m.h5", config, {"a": [kernels[0]], "twice": [], "b": [kernels[1]]})
    objects = {"Mine": Mine, "twice": lambda x: 2.0 * x}
    model = nyala.saving.load_model(tmp_path / "m.h5", custom_objects=objects)
    values = data(5, 4)
    assert_close(model(values), 6.0 * values @ kernels[0] @ kernels[1], 1e-5, 1e-5)


def test_weights_by_name(tmp_path):
    layers = {"a": [data(4, 3), data(3)], "other": [data(3, 2), data(2)], "b": [data(3, 5), data(5)]}
    write_old(tmp_path / "w.h5", None, layers, whole=False)
    dense = nyala.layers.Dense
    model = nyala.Sequential([nyala.Input((4,)), dense(3, name="a"), dense(3, name="new"), dense(5, name="b")])
    model.load_weights(tmp_path / "w.h5", by_name=True)
    assert_close(model.get_layer("b").get_weights(), layers["b"], 0, 0)
    with pytest.raises(ValueError, match=r"w\.h5 does not fit the model: other/.*shape \(3, 2\)"):
        model.load_weights(tmp_path / "w.h5")
    model = nyala.Sequential([nyala.Input((4,)), dense(3, name="a"), dense(2, name="b")])
    with pytest.raises(ValueError, match="3 layers with weights"):
        model.load_weights(tmp_path / "w.h5")
    with pytest.raises(ValueError, match=r"b/weight_0:0 has shape \(3, 5\)"):
        model.load_weights(tmp_path / "w.h5", by_name=True)
    with pytest.warns(UserWarning, match="The rest was loaded"):
        model.load_weights(tmp_path / "w.h5", by_name=True, skip_mismatch=True)
    assert_close(model.get_layer("a").get_weights(), layers["a"], 0, 0)
    with pytest.raises(ValueError, match="holds no model"):
        nyala.saving.load_model(tmp_path / "w.h5")


def test_long_lists_of_names_come_in_parts(tmp_path):
    names = [f"{'long' * 220}_{place}" for place in range(80)]
    model = nyala.Sequential([nyala.Input((1,)), *(nyala.layers.Activation("relu", name=name) for name in names[:-1])])
    model.add(nyala.layers.Dense(1, name=names[-1]))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as root:
        assert "layer_names0" in root["model_weights"].attrs
    for reader in (nyala, keras):
        assert_close(reader.saving.load_model(tmp_path / "m.h5").get_weights(), model.get_weights(), 0, 0)
