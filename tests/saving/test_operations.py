"""Ops in graphs: written as the reference's operations, in both directions."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import nyala
from nyala.core.config import signature_of
from nyala.core.engine import tf
from nyala.models.operations import _MODULE_OF, _operations, call_parameters, class_name_of
from tests.oracle import assert_close, keras

# Ops of ours that the reference does not record, or not as operations: makers of constants, noise, helpers.
WITHOUT_CLASS = {"positive"} | {
    "bartlett", "blackman", "empty", "eye", "hamming", "hanning", "identity", "kaiser", "ones", "tri", "zeros",
}  # fmt: skip


def classes():
    """The operation classes of the reference by module and name."""
    modules = {
        name: getattr(keras.src.ops, name) for name in ("core", "einops", "image", "linalg", "math", "nn", "numpy")
    }
    found = {f"keras.src.ops.{name}": module for name, module in modules.items()}
    found["keras.src.activations.activations"] = keras.src.activations.activations
    return {
        (module_name, name): thing
        for module_name, module in found.items()
        for name, thing in vars(module).items()
        if isinstance(thing, type) and issubclass(thing, keras.Operation) and thing.__module__ == module_name
    }


def recorded_ops():
    """Every op of ours to which files can refer."""
    found = {function.__name__: function for function in _operations().values()}
    return {name: function for name, function in found.items() if name not in WITHOUT_CLASS}


def test_every_op_is_written_as_the_reference_reads_it():
    """Same class, same module, same parameters in the config, same ones in the call."""
    known, wrong = classes(), []
    for name, function in recorded_ops().items():
        place = (_MODULE_OF.get(name, "keras.src.ops.numpy"), class_name_of(name))
        if place not in known:
            wrong.append(f"{name}: there is no {place}")
            continue
        of_call = list(inspect.signature(known[place].call).parameters.values())[1:]
        in_call = [p.name for p in of_call if p.kind is not p.VAR_KEYWORD]
        settings = set(inspect.signature(known[place].__init__).parameters) - {"self", "name"}
        ours = call_parameters(name, function)
        others = {p.name for p in signature_of(function).parameters.values() if p.kind is not p.VAR_KEYWORD} - set(ours)
        if ours != in_call or others - settings:
            wrong.append(f"{name}: ours {ours} and {others}, theirs {in_call} and {settings}")
    assert not wrong, "\n".join(wrong)


CALLS = {
    "operators": lambda ops, x: (1 - x) * 2.0 / (x**2 + 1) - abs(-x),
    "comparison": lambda ops, x: ops.where((x > 0) & (x <= 1), x, 0.5),
    "array": lambda ops, x: x + np.arange(4, dtype="float32"),
    "index": lambda ops, x: x[:, 1:3],
    "index and ellipsis": lambda ops, x: x[..., -1],
    "index and new axis": lambda ops, x: x[:, None, ::2],
    "integers": lambda ops, x: x[0, 1] + x[:, 0],
    "concatenate": lambda ops, x: ops.concatenate([x, x * 2, x], axis=1),
    "stack": lambda ops, x: ops.stack([x, x], axis=-1),
    "split": lambda ops, x: ops.split(x, 2, axis=1)[1],
    "sum": lambda ops, x: ops.sum(ops.expand_dims(x, (1, -1)), axis=(1, 2), keepdims=True),
    "max with initial": lambda ops, x: ops.max(x, axis=-1, initial=0.25),
    "matmul": lambda ops, x: ops.matmul(x, np.ones((4, 2), "float32")),
    "einsum": lambda ops, x: ops.einsum("ij,kj->ik", x, x),
    "pad": lambda ops, x: ops.pad(x, ((0, 0), (1, 2)), mode="constant", constant_values=3.0),
    "clip": lambda ops, x: ops.clip(x, -0.5, 0.5),
    "cast": lambda ops, x: ops.cast(ops.cast(x * 3, "int32"), "float32"),
    "softmax": lambda ops, x: ops.softmax(x, axis=0),
    "gelu": lambda ops, x: ops.gelu(x, approximate=False),
    "transpose": lambda ops, x: ops.transpose(ops.reshape(x, (-1, 2, 2)), (0, 2, 1)),
    "by name": lambda ops, x: ops.add(x2=x, x1=1.0),
    "tile": lambda ops, x: ops.tile(x, (1, 2)),
    "take": lambda ops, x: ops.take(x, np.array([2, 0]), axis=1),
    "var": lambda ops, x: ops.var(x, axis=1),
    "logical": lambda ops, x: ops.cast(ops.logical_not(x > 0), "float32"),
    "several outputs": lambda ops, x: ops.meshgrid(x[:, 0], x[:, 1])[1],
}
X = np.random.default_rng(3).normal(size=(5, 4)).astype("float32")


POINTS = np.array([[0, 0], [3, 0], [0, 2], [3, 2]], "float32")
IMAGES = np.random.default_rng(4).uniform(size=(2, 6, 7, 3)).astype("float32")
OF_IMAGES = {
    "rgb_to_grayscale": lambda image, x: image.rgb_to_grayscale(x),
    "rgb_to_hsv": lambda image, x: image.rgb_to_hsv(x),
    "hsv_to_rgb": lambda image, x: image.hsv_to_rgb(x),
    "pad_images": lambda image, x: image.pad_images(x, 1, 2, target_height=9, target_width=10),
    "crop_images": lambda image, x: image.crop_images(x, 1, 2, 1, 1),
    "extract_patches": lambda image, x: image.extract_patches(x, 2, padding="same"),
    "gaussian_blur": lambda image, x: image.gaussian_blur(x, (3, 3), (1.0, 2.0)),
    "sobel_edges": lambda image, x: image.sobel_edges(x),
    "ssim": lambda image, x: image.ssim(x, x * x, filter_size=5),
    "resize": lambda image, x: image.resize(x, (4, 5), "bicubic", pad_to_aspect_ratio=True),
    "affine_transform": lambda image, x: image.affine_transform(
        x, np.float32([1, 0.1, 0, 0, 1, 1, 0, 0]), fill_mode="wrap"
    ),
    "perspective_transform": lambda image, x: image.perspective_transform(x, POINTS, POINTS + 0.3),
    "elastic_transform": lambda image, x: image.elastic_transform(x, 3.0, 1.5, seed=1),
    "scale_and_translate": lambda image, x: image.scale_and_translate(
        x, (None, 4, 5, 3), np.float32([0.5, 0.6]), np.float32([0.1, 0.2]), (1, 2), "cubic"
    ),
    "map_coordinates": lambda image, x: image.map_coordinates(x, np.ones((4, 3), "float32") * 0.3, 1, fill_mode="wrap"),
}


@pytest.mark.parametrize("case", OF_IMAGES)
def test_ops_of_images_go_both_ways(case, tmp_path):
    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        x = writer.Input((6, 7, 3))
        model = writer.Model(x, OF_IMAGES[case](writer.ops.image, x))
        model.save(tmp_path / "m.keras")
        loaded = reader.saving.load_model(tmp_path / "m.keras")
        assert_close(loaded(IMAGES), model(IMAGES), 1e-5, 1e-5)


@pytest.mark.parametrize("case", CALLS)
def test_graphs_of_ops_go_both_ways(case, tmp_path):
    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        x = writer.Input((4,))
        model = writer.Model(x, CALLS[case](writer.ops, x))
        model.save(tmp_path / "m.keras")
        loaded = reader.saving.load_model(tmp_path / "m.keras")
        assert_close(loaded(X), model(X), 1e-6, 1e-6)
        assert [op.name for op in loaded.operations] == [op.name for op in model.operations]


@pytest.mark.parametrize(
    "function",
    [
        lambda a, x: a.relu(x, negative_slope=0.1, max_value=1.0, threshold=0.2),
        lambda a, x: a.relu(x),
        lambda a, x: a.tanh(x),
        lambda a, x: a.softmax(x),
        lambda a, x: a.gelu(x),
    ],
)
def test_activations_in_graphs_go_both_ways(function, tmp_path):
    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        x = writer.Input((4,))
        model = writer.Model(x, function(writer.activations, x))
        model.save(tmp_path / "m.keras")
        assert_close(reader.saving.load_model(tmp_path / "m.keras")(X), model(X), 1e-6, 1e-6)


def test_functions_of_tensorflow_and_losses_are_saved(tmp_path):
    """By their public names; all arguments of a call come back, in `.keras` files, in JSON and in `.h5` files."""
    x = nyala.Input((4,))
    h = tf.concat([tf.nn.relu(x), tf.reshape(tf.cast(x > 0, tf.float32), (-1, 4))], axis=-1)
    h = tf.reduce_mean(tf.math.multiply(h, tf.abs(h) + 1.0), axis=-1, keepdims=True)
    first, second = tf.split(tf.nn.softmax(x), num_or_size_splits=2, axis=1)
    outputs = [h, tf.where(first > 0.2, first, 0.0), nyala.losses.mean_squared_error(first, y_pred=second)]
    outputs += [tf.clip_by_value(x, clip_value_min=-0.5, clip_value_max=0.5), tf.linalg.matmul(x, x, transpose_b=True)]
    model = nyala.Model(x, [*outputs, tf.gather(x, [0, 2], axis=1), tf.pad(x, [[0, 0], [1, 2]])])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
        assert_close(nyala.saving.load_model(tmp_path / name)(X), model(X), 0, 0)
    assert_close(nyala.models.model_from_json(model.to_json())(X), model(X), 0, 0)


@pytest.mark.parametrize(
    "function", [lambda x: tf.foldl(lambda a, b: a + b, x), lambda x: tf.io.encode_base64(tf.strings.as_string(x))]
)
def test_functions_without_a_name_in_files(function, tmp_path):
    x = nyala.Input((4,))
    model = nyala.Model(x, function(x))
    with pytest.raises(ValueError, match=r"not an op of `nyala\.ops`"):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_the_closed_table_takes_no_functions_and_opens_nothing():
    """Every name is there in TensorFlow, and none of those that run, read or write."""
    from nyala.models.operations import _TENSORFLOW, _functions

    names = {f"{module}.{name}".lstrip(".") for module, listed in _TENSORFLOW.items() for name in listed.split()}
    assert {f"tf.{name}" for name in names} <= _functions().keys()
    words = (
        "py_function",
        "numpy_function",
        "map_fn",
        "scan",
        "while",
        "cond",
        "case",
        "read",
        "write",
        "file",
        "save",
    )
    assert not [name for name in names if name.split(".")[-1].startswith(words) or name.startswith("io.")]


def test_training_that_was_meant_stays(tmp_path):
    """`training=False` said at the call of a layer holds after loading; the reference's default does not freeze it."""

    def build(lib, options):
        @lib.saving.register_keras_serializable("says")
        class Says(lib.layers.Layer):
            def call(self, inputs, training=False):
                return inputs + 1.0 if training else inputs

        x = lib.Input((4,))
        return lib.Model(x, Says()(x, **options))

    for options, trained in (({}, 1.0), ({"training": False}, 0.0), ({"training": True}, 1.0)):
        build(nyala, options).save(tmp_path / "m.keras")
        loaded = nyala.saving.load_model(tmp_path / "m.keras")
        assert_close(loaded(X, training=True), X + trained)
    build(nyala, {})
    build(keras, {}).save(tmp_path / "m.keras")
    assert_close(nyala.saving.load_model(tmp_path / "m.keras")(X, training=True), X + 1.0)
    build(keras, {})
    build(nyala, {"training": True}).save(tmp_path / "m.keras")
    assert_close(keras.saving.load_model(tmp_path / "m.keras")(X), X + 1.0)


def test_layers_stand_in_the_order_of_the_reference():
    """The order decides which weights go where: random graphs with shared layers, several inputs and outputs."""
    for seed in range(60):
        ours, theirs = (random_graph(lib, np.random.default_rng(seed)) for lib in (nyala, keras))
        assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
        mine, reference = ours.get_config(), theirs.get_config()
        assert [entry["name"] for entry in mine["layers"]] == [entry["name"] for entry in reference["layers"]]
        assert mine["output_layers"] == reference["output_layers"]


def random_graph(lib, random):
    class Merge(lib.layers.Layer):
        def call(self, inputs):
            return inputs[0]

        def compute_output_shape(self, input_shape):
            return tuple(input_shape[0])

    class One(lib.layers.Layer):
        def call(self, inputs):
            return inputs

        def compute_output_shape(self, input_shape):
            return tuple(input_shape)

    tensors = [lib.Input((2,), name=f"in{place}") for place in range(random.integers(1, 4))]
    inputs, layers = list(tensors), []
    for place in range(random.integers(2, 12)):
        kind = random.random()
        if kind < 0.2 and layers:
            tensors.append(layers[random.integers(len(layers))](tensors[random.integers(len(tensors))]))
        elif kind < 0.5 and len(tensors) > 1:
            chosen = random.choice(len(tensors), 2, replace=False)
            tensors.append(Merge(name=f"merge{place}")([tensors[int(i)] for i in chosen]))
        else:
            layers.append(One(name=f"one{place}"))
            tensors.append(layers[-1](tensors[-int(random.integers(1, min(3, len(tensors)) + 1))]))
    count = int(random.integers(1, min(3, len(tensors)) + 1))
    return lib.Model(inputs, [tensors[int(i)] for i in random.choice(len(tensors), count, replace=False)])


def test_a_model_that_starts_in_the_middle_of_a_graph(tmp_path):
    x = nyala.Input((4,))
    h = nyala.layers.Dense(3)(x)
    model = nyala.Model(h, nyala.layers.Dense(2)(h))
    model.save(tmp_path / "m.keras")
    for reader in (nyala, keras):
        assert_close(reader.saving.load_model(tmp_path / "m.keras")(X[:, :3]), model(X[:, :3]), 1e-6)
