"""The mission in a newcomer's words, statement by statement."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf

layers = nyala.layers
GENERATOR = np.random.default_rng(1)
X = GENERATOR.normal(size=(40, 4)).astype("float32")
LABELS = (X[:, 0] > 0).astype("int32") + (X[:, 1] > 0)
TARGETS = (X @ np.array([[1.0], [-2.0], [0.5], [0.0]])).astype("float32")


def classifier(**compile_options):
    model = nyala.Sequential(
        [nyala.Input((4,)), layers.Dense(16, activation="relu"), layers.Dense(3, activation="softmax")]
    )
    options = {
        "optimizer": "adam",
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        **compile_options,
    }
    model.compile(**options)
    return model


def test_it_runs_on_tensorflow():
    """ "Running on TensorFlow": what a layer gives is a TensorFlow tensor."""
    assert isinstance(layers.Dense(2)(X), tf.Tensor)
    assert nyala.config.backend() == "tensorflow"


@pytest.mark.parametrize("device", ["/CPU:0", *[d.name for d in tf.config.list_logical_devices("GPU")]])
def test_the_same_code_runs_on_cpu_and_gpu(device):
    """ "To run seamlessly on CPU and GPU": placement is TensorFlow's, the code is the same; a GPU is used where there is one."""
    with tf.device(device):
        model = classifier()
        history = model.fit(X, LABELS, epochs=3, verbose=0).history
        y = model(X)
    assert y.device.endswith(device.split("/")[-1].replace("device:", ""))
    assert history["loss"][-1] < history["loss"][0]


def test_convolutional_networks():
    """ "Supports Convolution Networks": one learns on which side the light is."""
    images = GENERATOR.uniform(0, 0.3, (60, 8, 8, 1)).astype("float32")
    side = np.arange(60) % 2
    images[side == 0, :, :4] += 0.7
    images[side == 1, :, 4:] += 0.7
    model = nyala.Sequential(
        [
            nyala.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile(
        nyala.optimizers.Adam(0.01), nyala.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    model.fit(images, side, epochs=20, verbose=0)
    assert model.evaluate(images, side, verbose=0)[1] > 0.95


def test_recurrent_networks():
    """ "Recurrent Networks": one learns whether a sequence rises."""
    steps = GENERATOR.uniform(0.1, 1, (60, 6, 1)).astype("float32")
    rises = np.arange(60) % 2
    sequences = np.cumsum(steps, axis=1) * np.where(rises, 1, -1)[:, None, None].astype("float32")
    model = nyala.Sequential([nyala.Input((6, 1)), layers.LSTM(8), layers.Dense(1, activation="sigmoid")])
    model.compile(nyala.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    model.fit(sequences, rises, epochs=15, verbose=0)
    assert model.evaluate(sequences, rises, verbose=0)[1] > 0.95


def test_prototyping_is_a_few_lines():
    """ "Easy and fast prototyping": define, train and use a network in four statements."""
    model = nyala.Sequential([layers.Dense(8, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, TARGETS, verbose=0)
    assert model.predict(X, verbose=0).shape == (40, 1)


def test_a_model_organizes_layers():
    """ "Core data structure in Keras is a MODEL. It is a way to organize layers"."""
    model = classifier()
    assert [type(layer) for layer in model.layers] == [layers.Dense, layers.Dense]
    assert model.get_layer(index=1) is model.layers[1]


def test_sequential_is_a_linear_stack():
    """ "Sequential which is a linear stack of layers": each layer gets what the one before gives."""
    model = classifier()
    first, second = model.layers
    np.testing.assert_array_equal(model(X), second(first(X)))


def test_layers_are_the_building_blocks_and_take_tensors_to_tensors():
    """ "Contains tensor-in-tensor-out computation function"."""
    y = layers.Dense(3)(tf.constant(X))
    assert isinstance(y, tf.Tensor)
    assert y.shape == (40, 3)


def test_flatten_removes_all_dimensions_but_one():
    """ "Activation (None,3,16) Flatten (None,48)"; the batch axis stays."""
    assert layers.Flatten()(nyala.KerasTensor((None, 3, 16))).shape == (None, 48)
    values = np.arange(2 * 3 * 16, dtype="float32").reshape(2, 3, 16)
    np.testing.assert_array_equal(layers.Flatten()(values), values.reshape(2, 48))


def test_every_neuron_of_a_dense_layer_sees_every_neuron_before():
    """ "It has Weight Matrix W, Bias vector b, Activation of previous layer a": activation(a W + b)."""
    layer = layers.Dense(3, activation="relu")
    y = layer(X)
    weights, bias = layer.get_weights()
    assert weights.shape == (4, 3)
    assert bias.shape == (3,)
    np.testing.assert_allclose(y, np.maximum(X @ weights + bias, 0), rtol=1e-5, atol=1e-6)
    linear = layers.Dense(3)
    linear.build((None, 4))
    for neuron in range(4):  # moving one input moves every output
        moved = np.zeros((1, 4), "float32")
        moved[0, neuron] = 1
        assert np.all(np.abs(linear(moved) - linear(np.zeros((1, 4), "float32"))) > 0)


def test_optimizers_change_weights_to_reduce_the_loss():
    """ "change the attributes of your neural network such as weights … in order to reduce the losses"."""
    for optimizer in ("sgd", "rmsprop", "adam", "adamw"):
        model = classifier(optimizer=optimizer)
        before = model.get_weights()
        history = model.fit(X, LABELS, epochs=10, verbose=0).history["loss"]
        assert history[-1] < history[0]
        assert any(not np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))


def test_adam_finds_a_rate_for_each_parameter():
    """ "find individual learning rates for each parameter": gradients 1,000 times apart, steps of one size."""
    v = nyala.Variable([0.0, 0.0])
    nyala.optimizers.Adam(0.1).apply([tf.constant([0.001, 1.0])], [v])
    np.testing.assert_allclose(v.numpy(), [-0.1, -0.1], rtol=5e-3)  # epsilon is felt at 0.001
    w = nyala.Variable([0.0, 0.0])
    nyala.optimizers.SGD(0.1).apply([tf.constant([0.001, 1.0])], [w])
    assert abs(w.numpy()[1]) > 900 * abs(w.numpy()[0])


def test_one_hot_and_integer_targets_give_the_same_loss():
    """ "Categorical refers to … more than two classes", "Sparse refers to using a single integer from zero"."""
    probabilities = tf.nn.softmax(X[:, :3])
    sparse = nyala.losses.sparse_categorical_crossentropy(LABELS, probabilities)
    one_hot = nyala.losses.categorical_crossentropy(nyala.utils.to_categorical(LABELS, 3), probabilities)
    np.testing.assert_allclose(sparse, one_hot, rtol=1e-6)


def test_binary_cross_entropy_is_the_case_of_two_classes():
    """ "as opposed to binary, which refers to two classes"."""
    p = np.array([0.2, 0.7, 0.9], "float32")
    y = np.array([0, 1, 1], "float32")
    binary = nyala.losses.BinaryCrossentropy()(y[:, None], p[:, None])
    categorical = nyala.losses.CategoricalCrossentropy()(np.stack([1 - y, y], 1), np.stack([1 - p, p], 1))
    np.testing.assert_allclose(binary, categorical, rtol=1e-5)


def test_metrics_judge_and_do_not_train():
    """ "A metric is a function that is used to judge the performance of your model": weights do not depend on it."""
    results = []
    for metrics in ([], ["accuracy"]):
        nyala.utils.set_random_seed(3)
        model = classifier(metrics=metrics)
        model.fit(X, LABELS, epochs=2, verbose=0)
        results.append(model.get_weights())
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_activation_turns_a_neuron_on_and_off():
    """ "a mathematical gate in between the input … and its output": a step below the threshold, open above it."""
    np.testing.assert_array_equal(layers.ReLU(threshold=1.0)(np.array([[0.5, 2.0]], "float32")), [[0.0, 2.0]])


def test_relu_is_the_maximum_of_zero_and_x():
    """ "Mathematically, it is defined as y = max(0, x)"."""
    np.testing.assert_array_equal(nyala.activations.relu(X), np.maximum(0, X))


def test_non_trainable_parameters_are_not_updated():
    """ "will not be updated and optimized during training": frozen layers and moving statistics stay out of the gradient."""
    model = classifier()
    model.layers[0].trainable = False
    frozen = model.layers[0].get_weights()
    model.fit(X, LABELS, verbose=0)
    for one, two in zip(frozen, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    norm = layers.BatchNormalization()
    norm.build((None, 4))
    assert [w.name for w in norm.non_trainable_weights] == ["moving_mean", "moving_variance"]


class Count(nyala.callbacks.Callback):
    """Counts batches, epochs and evaluations."""

    def __init__(self):
        super().__init__()
        self.batches, self.epochs, self.evaluations = [], 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1

    def on_test_end(self, logs=None):
        self.evaluations.append(len(self.batches))


def test_an_epoch_is_one_pass_over_the_data():
    """ "one pass over the entire dataset": 40 rows in batches of 16 are 16 + 16 + 8."""
    count = Count()
    classifier().fit(X, LABELS, batch_size=16, epochs=2, callbacks=[count], verbose=0)
    assert count.batches == [0, 1, 2, 0, 1, 2]
    assert count.epochs == 2


def test_validation_runs_at_the_end_of_every_epoch():
    """ "evaluation will be run at the end of every epoch" with validation_data or validation_split."""
    for options in ({"validation_split": 0.2}, {"validation_data": (X[:8], LABELS[:8])}):
        count = Count()
        history = classifier().fit(X, LABELS, batch_size=32, epochs=3, callbacks=[count], verbose=0, **options)
        batches = 1 if "validation_split" in options else 2
        assert count.evaluations == [batches, 2 * batches, 3 * batches]
        assert len(history.history["val_loss"]) == 3


def test_softmax_turns_scores_into_a_probability_distribution():
    """ "converts the scores to a normalized probability distribution"."""
    p = nyala.activations.softmax(tf.constant(X * 100)).numpy()
    assert np.all(p >= 0)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-5)
    assert (p.argmax(-1) == X.argmax(-1)).all()
