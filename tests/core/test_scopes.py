"""Scopes: stateless, symbolic, rematerializing, of names and of devices."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 2)).astype("float32")


def network(k):
    return k.Sequential(
        [
            k.Input((3,)),
            k.layers.Dense(4, activation="relu", kernel_regularizer="l2"),
            k.layers.BatchNormalization(momentum=0.5),
            k.layers.Dense(2, activity_regularizer="l2"),
        ]
    )


def values(variables):
    return [variable.numpy() for variable in variables]


# ---- StatelessScope ----


def test_what_is_assigned_inside_stays_inside():
    v, w = nyala.Variable([1.0, 2.0]), nyala.Variable(0.0)
    with nyala.StatelessScope([(v, [5.0, 6.0])]) as scope:
        assert v.numpy().tolist() == [5.0, 6.0]
        assert (v + 1).numpy().tolist() == [6.0, 7.0]
        v.assign_sub([1.0, 1.0])
        w.assign(3.0)
        with nyala.StatelessScope() as inner:
            assert float(w) == 0.0
            w.assign(9.0)
        assert float(inner.get_current_value(w)) == 9.0
        assert (float(w), float(np.asarray(v)[0])) == (3.0, 4.0)
    assert (v.numpy().tolist(), float(w)) == ([1.0, 2.0], 0.0)
    assert scope.get_current_value(v).numpy().tolist() == [4.0, 5.0]
    assert scope.get_current_value(nyala.Variable(1.0)) is None


@pytest.mark.parametrize("mapping", [[(3, 4.0)], [("name", 1.0)]])
def test_only_variables_are_mapped(mapping):
    with pytest.raises(ValueError, match="pairs of a Variable"):
        nyala.StatelessScope(mapping)


def test_a_mapped_value_has_the_shape_of_its_variable():
    with pytest.raises(ValueError, match=r"shape \(2,\).*\(3,\)"):
        nyala.StatelessScope([(nyala.Variable([1.0, 2.0]), np.ones(3))])


@pytest.mark.parametrize("training", [False, True])
def test_stateless_call_as_the_reference(training):
    ours, theirs = network(nyala), network(keras)
    ours.set_weights(theirs.get_weights())
    trainable = [np.full(v.shape, 0.1 * (i + 1), "float32") for i, v in enumerate(theirs.trainable_variables)]
    others = [np.full(v.shape, 0.3, "float32") for v in theirs.non_trainable_variables]
    before = ours.get_weights()
    for call in (ours.stateless_call, tf.function(ours.stateless_call, autograph=False)):
        mine = call(trainable, others, X, training=training, return_losses=True)
        assert_close(mine, theirs.stateless_call(trainable, others, X, training=training, return_losses=True))
    assert_close(ours.get_weights(), before, 0, 0)
    with pytest.raises(ValueError, match=r"has 6 trainable_variables.*got 1"):
        ours.stateless_call(trainable[:1], others, X)
    with pytest.raises(ValueError, match="must be built"):
        nyala.layers.Dense(2).stateless_call([], [], X)


def test_losses_are_collected():
    for k in (nyala, keras):
        with k.StatelessScope(collect_losses=True) as scope:
            k.layers.ActivityRegularization(l2=0.1)(np.ones((2, 2), "float32"))
        assert_close(scope.losses, [np.float32(0.2)])


def test_an_optimizer_step_inside_moves_nothing():
    weight, optimizer = nyala.Variable([1.0, 2.0]), nyala.optimizers.Adam(0.1)
    optimizer.build([weight])
    with nyala.StatelessScope() as scope:
        optimizer.apply([tf.constant([1.0, -1.0])], [weight])
    assert weight.numpy().tolist() == [1.0, 2.0]
    assert_close(scope.get_current_value(weight), np.array([0.9, 2.1]))
    assert int(optimizer.iterations) == 0


# ---- Rematerialization ----


class Noisy(nyala.layers.Layer):
    """Counts its calls in Python; draws, and keeps a moving mean."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = nyala.random.SeedGenerator(5)
        self.calls = 0

    def build(self, input_shape):
        self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones")
        self.mean = self.add_weight(shape=input_shape[-1:], initializer="zeros", trainable=False)

    def call(self, inputs, factor=2.0):
        self.calls += 1
        self.mean.assign(0.5 * self.mean + tf.reduce_mean(inputs, 0))
        noise = nyala.random.normal(tf.shape(inputs), seed=self.seed_generator)
        return {"out": tf.sin(inputs * self.scale) * noise * factor, "count": tf.shape(inputs)[0]}


@pytest.mark.parametrize("compiled", [None, False, True], ids=["eager", "graph", "xla"])
def test_gradients_are_those_of_the_same_draw_and_the_state_moves_once(compiled):
    found = []
    for mode in (None, "full"):
        with nyala.RematScope(mode=mode):
            layer = Noisy()
        layer.build((None, 3))

        def step(x, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, factor=3.0)
            return outputs, tape.gradient(outputs["out"], [x, layer.scale])

        run = step if compiled is None else tf.function(step, jit_compile=compiled, autograph=False)
        calls = layer.calls
        outputs = run(tf.constant(X))
        calls = layer.calls - calls
        assert (calls >= 2) == (mode == "full")
        found.append([outputs, run(tf.constant(X)), values([layer.mean, layer.seed_generator.state])])
    assert_close(found[1], found[0], 1e-5, 1e-6)


def test_remat_inside_remat_and_inside_a_stateless_call():
    """The draw is that of the outer call, and the values are those given."""
    found = []
    for mode in (None, "full"):
        with nyala.RematScope(mode=mode):
            inner = Noisy()
        inner.build((None, 3))
        call = nyala.remat(lambda x, inner=inner: inner(x)["out"]) if mode else lambda x, inner=inner: inner(x)["out"]
        x, scale = tf.constant(X), tf.constant([2.0, 3.0, 4.0])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, scale])
            nested = call(x)
            outputs, state = inner.stateless_call([scale], [v.value for v in inner.non_trainable_variables], x)
        found.append(
            [nested, tape.gradient(nested, [x, inner.scale]), tape.gradient(outputs["out"], [x, scale]), state]
        )
    assert_close(found[1], found[0], 1e-5, 1e-6)


def test_remat_of_functions_as_the_reference():
    def f(x, weights, power=2):
        return tf.reduce_sum(x**power * weights["a"]), weights["a"] + 1

    x, a = tf.constant(X), tf.constant(X * 2)
    found = []
    for remat in (nyala.remat, keras.remat, lambda function: function):
        with tf.GradientTape() as tape:
            tape.watch([x, a])
            total, more = remat(f)(x, {"a": a})
            loss = total + tf.reduce_sum(more)
        found.append([total, more, tape.gradient(loss, [x, a])])
    assert_close(found[0], found[2])
    assert_close(found[1], found[2])


def test_which_layers_a_scope_covers():
    def rematerializes(layer):
        layer(X)
        return layer._rematerializes

    with nyala.RematScope(mode="activations"):
        assert rematerializes(nyala.layers.ReLU())
        assert rematerializes(nyala.layers.Dense(2, activation="relu"))
        assert not rematerializes(nyala.layers.Dropout(0.5))
    with nyala.RematScope(mode="larger_than", output_size_threshold=20):
        assert not rematerializes(nyala.layers.Dense(3))
        assert rematerializes(nyala.layers.Dense(4))
    with nyala.RematScope(mode="list_of_layers", layer_names=["a"]):
        assert rematerializes(nyala.layers.Dense(2, name="a"))
        assert not rematerializes(nyala.layers.Dense(2, name="b"))
        with nyala.RematScope(mode=None):
            assert not rematerializes(nyala.layers.Dense(2, name="a"))
    assert not rematerializes(nyala.layers.Dense(2))
    with pytest.raises(ValueError, match="'most'"):
        nyala.RematScope(mode="most")


def test_a_model_of_rematerialized_layers_trains_alike():
    found = []
    for mode in (None, "full"):
        with nyala.RematScope(mode=mode):
            model = network(nyala)
        model.set_weights([np.full(w.shape, 0.1 * (i + 1)) for i, w in enumerate(model.weights)])
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=2, epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    assert_close(found[1], found[0], 1e-5, 1e-6)


# ---- Names, devices, symbols ----


def test_paths_as_the_reference():
    paths = []
    for k in (nyala, keras):
        with k.name_scope("a"), k.name_scope("b"):
            paths.append(k.Variable(1.0, name="z").path)
    assert paths == ["a/b/z"] * 2
    for name in ("a/b", 3):
        with pytest.raises(ValueError, match="without '/'"):
            nyala.name_scope(name)


def test_device_places_variables():
    with nyala.device("cpu:0"):
        assert nyala.Variable([1.0]).value.device.endswith("CPU:0")
    with pytest.raises(ValueError, match="named by a string"):
        nyala.device(0)


def test_a_symbolic_scope_computes_nothing():
    with nyala.SymbolicScope():
        assert not hasattr(nyala.ops.ones((2, 3)), "numpy")
    assert hasattr(nyala.ops.ones((2, 3)), "numpy")


def test_a_function_knows_its_shapes():
    shapes = []
    for k in (nyala, keras):
        x, z = k.KerasTensor((None, 2)), k.KerasTensor((None, 3))
        one = k.Function(x, k.ops.relu(x) * 2)
        two = k.Function([x, z], {"both": k.ops.concatenate([x, z], axis=-1), "z": z})
        shapes.append([one.compute_output_shape((4, 2)), two.compute_output_shape([(4, 2), (None, 3)])])
    assert shapes[0][0] == shapes[1][0] == (4, 2)
    assert shapes[0][1] == {"both": (4, 5), "z": (None, 3)} or shapes[0][1] == shapes[1][1]
