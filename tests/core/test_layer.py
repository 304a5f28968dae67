"""`Layer` as its users meet it: layers of their own, held against the same class in the reference.

Most classes here are written once and made of either library: `scale(nyala)` and `scale(keras)` differ in their base.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

BOTH = pytest.mark.parametrize("library", [nyala, keras], ids=["nyala", "keras"])


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def same_weights(ours, theirs):
    """Give both the same weights, whose order and shapes must agree, and return their names and paths for comparison."""
    assert [tuple(v.shape) for v in ours.weights] == [tuple(v.shape) for v in theirs.weights]
    values = [rows(*v.shape, seed=place) for place, v in enumerate(theirs.weights)]
    ours.set_weights(values)
    theirs.set_weights(values)


def trail(variables):
    return [(v.name, v.path, v.trainable) for v in variables]


# ---- Weights ----


def scale(library):
    class Scale(library.layers.Layer):
        def __init__(self, units=3, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, dtype="int32", name="steps")

        def build(self, input_shape):
            self.offset = self.add_weight(
                shape=(self.units,), initializer="ones", trainable=False, regularizer="l2", name="offset"
            )
            self.kernel = self.add_weight(
                shape=(input_shape[-1], self.units),
                initializer=library.initializers.Constant(0.5),
                regularizer=library.regularizers.L2(0.1),
                constraint="non_neg",
                name="kernel",
            )
            self.plain = self.add_weight((self.units,))

        def call(self, inputs):
            return inputs @ self.kernel + self.offset + self.plain

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    return Scale


def both(factory, *args, **kwargs):
    return factory(nyala)(*args, **kwargs), factory(keras)(*args, **kwargs)


def test_weights_of_a_layer():
    ours, theirs = both(scale, 4, name="scale")
    x = rows(2, 3)
    ours(x), theirs(x)
    for attribute in ("weights", "variables", "trainable_weights", "non_trainable_weights", "trainable_variables"):
        mine, expected = trail(getattr(ours, attribute)), trail(getattr(theirs, attribute))
        # A weight without a name is called what each library likes; all else agrees.
        assert [m[2] for m in mine] == [e[2] for e in expected]
        assert [m for m in mine if "variable" not in m[1]] == [e for e in expected if "variable" not in e[1]]
    assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]
    same_weights(ours, theirs)
    assert_close(ours(x), theirs(x))
    assert_close([tf.reduce_sum(x) for x in ours.losses], [tf.reduce_sum(x) for x in theirs.losses])
    assert ours.count_params() == theirs.count_params()
    assert ours.kernel.constraint is not None
    assert ours.get_config().keys() == theirs.get_config().keys()
    again = type(ours).from_config(ours.get_config())
    assert (again.units, again.name) == (4, "scale")


def test_add_weight_with_every_argument():
    layer, other = nyala.layers.Layer(name="holder"), keras.layers.Layer(name="holder")
    options = {
        "shape": (2, 2),
        "initializer": "ones",
        "dtype": "float64",
        "trainable": False,
        "autocast": False,
        "regularizer": "l1",
        "constraint": "max_norm",
        "aggregation": "mean",
        "overwrite_with_gradient": True,
        "name": "all",
    }
    ours, theirs = layer.add_weight(**options), other.add_weight(**options)
    for attribute in ("name", "dtype", "trainable", "aggregation", "overwrite_with_gradient"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert (ours.path, tuple(ours.shape)) == ("holder/all", (2, 2))
    assert_close(ours, theirs)
    assert_close(ours.regularizer(ours), theirs.regularizer(theirs))
    assert_close(ours.constraint(ours * 3.0), theirs.constraint(theirs * 3.0))
    assert_close(
        layer.add_weight((2,), initializer=lambda shape, dtype=None: tf.fill(shape, 7.0)), np.array([7.0, 7.0])
    )
    assert_close(layer.add_weight(initializer="ones"), other.add_weight(initializer="ones"))


def test_weight_of_unknown_size_is_named():
    layer = nyala.layers.Layer(name="holder")
    with pytest.raises(ValueError, match=r"`holder` cannot create the weight 'kernel' of shape \(None, 2\)"):
        layer.add_weight((None, 2), name="kernel")


# ---- Layers inside layers ----


def nest(library):
    class Block(library.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.dense = library.layers.Dense(units, name="inner", activity_regularizer="l2")
            self.norm = library.layers.BatchNormalization(name="norm")

        def call(self, inputs, training=None):
            return self.norm(self.dense(inputs), training=training)

    class Nest(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.blocks = [Block(3, name="a"), Block(3, name="b")]
            self.named = {"x": Block(3, name="x"), "deep": [library.layers.Dense(3, name="deep")]}
            self.pair = (library.layers.Dense(3, name="left"), library.layers.Dense(3, name="right"))
            self.again = self.blocks[0]

        def build(self, input_shape):
            self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gain")
            super().build(input_shape)

        def call(self, inputs, training=None):
            x = inputs * self.gain
            for block in self.blocks:
                x = block(x, training=training)
            x = self.again(self.named["deep"][0](self.named["x"](x)))
            return self.pair[0](x) + self.pair[1](x)

    return Nest


def test_nested_layers_in_lists_dicts_and_tuples():
    ours, theirs = both(nest, name="nest")
    x = rows(4, 3)
    ours(x), theirs(x)
    assert trail(ours.weights) == trail(theirs.weights)
    assert trail(ours.trainable_weights) == trail(theirs.trainable_weights)
    assert trail(ours.non_trainable_weights) == trail(theirs.non_trainable_weights)
    same_weights(ours, theirs)
    for training in (False, True):
        assert_close(ours(x, training=training), theirs(x, training=training), rtol=1e-4, atol=1e-4)
    assert len(ours.losses) == len(theirs.losses)
    assert_close(ours.get_weights(), theirs.get_weights(), rtol=1e-4, atol=1e-4)


def test_toggling_trainable():
    ours, theirs = both(nest, name="nest")
    x = rows(4, 3)
    ours(x), theirs(x)
    steps = [
        lambda layer: setattr(layer.blocks[1], "trainable", False),
        lambda layer: setattr(layer, "trainable", False),
        lambda layer: setattr(layer.blocks[0].dense, "trainable", True),
        lambda layer: setattr(layer, "trainable", True),
        lambda layer: setattr(layer.pair[0].kernel, "trainable", False),
    ]
    for step in steps:
        step(ours), step(theirs)
        assert trail(ours.trainable_weights) == trail(theirs.trainable_weights)
        assert trail(ours.non_trainable_weights) == trail(theirs.non_trainable_weights)
        assert [x.trainable for x in ours.blocks] == [x.trainable for x in theirs.blocks]


def test_layer_frozen_before_it_is_built():
    for library in (nyala, keras):
        layer = nest(library)(trainable=False)
        layer(rows(4, 3))
        assert layer.trainable_weights == []
        assert len(layer.non_trainable_weights) == len(layer.weights) > 0


# ---- Arguments of a call ----


def mixer(library):
    class Mixer(library.layers.Layer):
        def build(self, first_shape, second_shape):
            self.shapes = (tuple(first_shape), tuple(second_shape))
            self.w = self.add_weight(shape=(first_shape[-1], second_shape[-1]), initializer="ones")

        def call(self, first, second, factor=2.0, *, shift=None):
            out = first @ self.w * second * factor
            return out if shift is None else out + shift

    return Mixer


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (("first", "second"), ()),
        ((), ("first", "second")),
        ((), ("second", "first")),
        (("first",), ("second",)),
        (("first", "second", "factor"), ("shift",)),
        (("first",), ("shift", "factor", "second")),
    ],
)
def test_arguments_by_place_and_by_name(places, names):
    values = {"first": rows(2, 3), "second": rows(2, 4), "factor": 3.0, "shift": rows(2, 4, seed=5)}
    args, kwargs = [values[name] for name in places], {name: values[name] for name in names}
    ours, theirs = both(mixer)
    tensors, options = args[:2], {"factor": args[2]} if len(args) > 2 else {}  # the reference has numbers by name only
    assert_close(ours(*args, **kwargs), theirs(*tensors, **options, **kwargs))
    assert ours.shapes == theirs.shapes == ((2, 3), (2, 4))
    symbols = {n: v if isinstance(v, float) else nyala.Input(v.shape[1:]) for n, v in values.items()}
    y = mixer(nyala)()(*(symbols[name] for name in places), **{name: symbols[name] for name in names})
    inputs = [symbols[n] for n in ("first", "second", "shift") if n in (*places, *names)]
    model = nyala.Model(inputs, y)
    data = [values[n] for n in ("first", "second", "shift") if n in (*places, *names)]
    assert_close(model(data), ours(*args, **kwargs))


def test_wrong_arguments_name_the_layer():
    layer = mixer(nyala)(name="mixer")
    with pytest.raises(TypeError, match=r"`mixer` cannot be called so: .*secnd.*It takes"):
        layer(rows(2, 3), rows(2, 4), secnd=rows(2, 4))
    with pytest.raises(TypeError, match=r"`mixer` cannot be called so: .*'second'"):
        layer(rows(2, 3))


def test_unknown_constructor_argument_names_the_close_one():
    with pytest.raises(ValueError, match=r"Dense takes no argument 'unit'.*Did you mean 'units'|.*'unit'"):
        nyala.layers.Dense(3, unit=4)
    with pytest.raises(ValueError, match=r"takes no argument 'trainabel'. Did you mean 'trainable'"):
        nyala.layers.Layer(trainabel=False)


def test_missing_super_init_is_named():
    class Forgetful(nyala.layers.Layer):
        def __init__(self):
            self.units = 3

        def call(self, inputs):
            return inputs

    with pytest.raises(RuntimeError, match=r"Forgetful .*`super\(\).__init__\(\)`"):
        Forgetful()(rows(2, 2))


def test_layers_set_before_super_init_are_found():
    class Late(nyala.layers.Layer):
        def __init__(self):
            super().__init__()
            self.dense = nyala.layers.Dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    layer = Late()
    layer(rows(2, 2))
    assert len(layer.weights) == 2


# ---- Training and masks come from the outer call ----


def witness(library):
    class Witness(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seen = []

        def call(self, inputs, training=None):
            self.seen.append(training)
            return inputs

    class Silent(library.layers.Layer):  # takes no `training`, and hands it down all the same
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Witness()

        def call(self, inputs):
            return self.inner(inputs)

    class Outer(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.silent, self.fixed, self.direct = Silent(), Witness(), Witness()

        def call(self, inputs, training=False):
            return self.fixed(self.direct(self.silent(inputs)), training=True)

    return Outer


@pytest.mark.parametrize("given", [{}, {"training": True}, {"training": False}])
def test_training_comes_down_from_the_outer_call(given):
    ours, theirs = both(witness)
    x = rows(2, 2)
    ours(x, **given), theirs(x, **given)
    for mine, other in [
        (ours.fixed, theirs.fixed),
        (ours.direct, theirs.direct),
        (ours.silent.inner, theirs.silent.inner),
    ]:
        assert mine.seen == other.seen[-1:]  # the reference also calls to find shapes


def test_training_reaches_layers_inside_one_that_does_not_ask_for_it():
    def silent(library):
        class Silent(library.layers.Layer):
            def __init__(self):
                super().__init__()
                self.inner = library.layers.Dropout(0.5, seed=1)

            def call(self, inputs):
                return self.inner(inputs)

        return Silent

    x = np.ones((2, 8), "float32")
    for training in (True, False):
        mine, other = (np.asarray(layer(x, training=training)) for layer in both(silent))
        np.testing.assert_array_equal(mine, other)
    assert (np.asarray(silent(nyala)()(x, training=True)) == 0).any()


def test_what_one_layer_is_told_does_not_reach_its_neighbour():
    Outer = witness(nyala)

    class Neighbours(Outer):
        def call(self, inputs, training=False):
            return self.direct(self.fixed(inputs, training=True))

    layer = Neighbours()
    layer(rows(2, 2))
    assert (layer.fixed.seen, layer.direct.seen) == ([True], [False])


def masked(library):
    class Halve(library.layers.Layer):  # every other time step
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True

        def call(self, inputs, mask=None):
            weight = 1.0 if mask is None else tf.cast(mask, "float32")[..., None]
            return (inputs * weight)[:, ::2]

        def compute_mask(self, inputs, mask=None):
            return None if mask is None else mask[:, ::2]

    class Block(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = True
            self.embed = library.layers.Embedding(5, 3, mask_zero=True)
            self.halve = Halve()
            self.pool = library.layers.GlobalAveragePooling1D()

        def call(self, inputs):
            return self.pool(self.halve(self.embed(inputs)))

    return Block


def test_masks_pass_through_layers_of_ones_own():
    ours, theirs = both(masked)
    tokens = np.array([[1, 2, 0, 0], [3, 4, 1, 2], [4, 0, 3, 0]])
    ours(tokens), theirs(tokens)
    same_weights(ours, theirs)
    assert_close(ours(tokens), theirs(tokens))
    x = nyala.Input((4,), dtype="int32")
    assert_close(nyala.Model(x, ours(x)).predict(tokens, verbose=0), theirs(tokens))


def sequence(library, kind):
    layers = library.layers
    last = {"lstm": lambda: layers.LSTM(4), "pool": layers.GlobalAveragePooling1D}[kind]
    x = library.Input((None,), dtype="int32")
    y = layers.Dropout(0.5)(layers.Embedding(6, 3, mask_zero=True)(x))
    return library.Model(x, last()(layers.Dense(3, activation="relu")(y)))


@pytest.mark.parametrize("kind", ["lstm", "pool"])
def test_mask_of_an_embedding_reaches_the_layers_behind_it(kind):
    ours, theirs = sequence(nyala, kind), sequence(keras, kind)
    same_weights(ours, theirs)
    tokens = np.array([[1, 2, 0, 0], [3, 0, 1, 0], [5, 4, 1, 2]])
    assert_close(ours(tokens), theirs(tokens))
    assert_close(ours.predict(tokens, verbose=0), theirs(tokens))
    changed = tokens.copy()
    ours.layers[1].embeddings.assign(ours.layers[1].embeddings.numpy() + np.eye(6)[0][:, None])  # only padding's row
    assert_close(ours(changed), theirs(tokens))


def test_layer_that_drops_a_mask_warns_once_and_names_itself():
    class Careless(nyala.layers.Layer):
        def call(self, inputs):
            return inputs + 1.0

    embed, careless = nyala.layers.Embedding(5, 3, mask_zero=True), Careless(name="careless")
    with pytest.warns(UserWarning, match=r"`careless` \(Careless\) got a mask and does not pass it on") as caught:
        careless(embed(np.array([[1, 0]])))
    careless(embed(np.array([[1, 0]])))  # a second warning would be an error
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="`graph_one`") as caught:
        Careless(name="graph_one")(embed(nyala.Input((2,), dtype="int32")))
    assert [warning.filename for warning in caught] == [__file__]


# ---- Plain `tf.*` with Python control flow ----


def flow(library):
    class Flow(library.layers.Layer):
        def call(self, inputs):
            total = tf.zeros_like(inputs)
            for i in range(2):  # of Python
                total += inputs * float(i)
            for step in tf.range(3):  # of the graph
                total += tf.cast(step, "float32")
            if tf.reduce_sum(inputs) > 0.0:
                total = total * 2.0
            else:
                total = -total
            count = tf.constant(0.0)
            while tf.reduce_max(total) + count < 20.0 and count < 50.0:
                count += 1.0
            return self.helper(total) + count

        def helper(self, x):
            if tf.reduce_mean(x) > 3.0:
                return x / 2.0
            return x

    return Flow


def test_python_control_flow_on_tensors():
    ours, theirs = both(flow)
    compiled = tf.function(lambda x: ours(x))
    symbol = nyala.Input((3,))
    model = nyala.Model(symbol, ours(symbol))
    for x in (np.abs(rows(2, 3)), -np.abs(rows(2, 3)), 5 * np.abs(rows(2, 3))):
        expected = theirs(x)
        assert_close(ours(x), expected)
        assert_close(compiled(x), expected)
        assert_close(model.predict(x, verbose=0), expected)


def test_superclass_call_and_closures_in_a_graph():
    bonus = 2.0

    class Base(nyala.layers.Layer):
        def call(self, inputs):
            if tf.reduce_sum(inputs) > 0.0:
                return inputs + 1.0
            return inputs - 1.0

    class Derived(Base):
        def call(self, inputs, training=None):
            y = super().call(inputs) * bonus
            if training:
                y = y * 10.0
            return y

    layer = Derived()
    compiled = tf.function(lambda x, training: layer(x, training=training))
    x = np.ones((1, 2), "float32")
    assert_close(compiled(x, False), 4 * x)
    assert_close(compiled(-x, False), -4 * x)
    assert_close(compiled(x, True), 40 * x)


# ---- Losses ----


def lossy(library):
    class Penalty(library.layers.Layer):
        def call(self, inputs):
            self.add_loss(tf.reduce_mean(inputs**2))
            self.add_loss([tf.reduce_sum(inputs), tf.constant(1.0)])
            return inputs

    class Outer(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.penalty = Penalty()
            self.dense = library.layers.Dense(
                2, kernel_initializer="ones", kernel_regularizer="l2", activity_regularizer="l1"
            )

        def call(self, inputs):
            return self.dense(self.penalty(inputs))

    return Outer


def test_losses_of_layers_inside():
    ours, theirs = both(lossy)
    for seed in (0, 1):  # each call forgets the losses of the one before
        x = rows(4, 3, seed=seed)
        ours(x), theirs(x)
        assert_close(sorted(map(float, ours.losses)), sorted(map(float, theirs.losses)))
    assert len(ours.losses) == 5


def test_losses_take_part_in_training():
    x, y = rows(8, 3), rows(8, 2)
    histories = []
    for library in (nyala, keras):
        model = library.Sequential([library.Input((3,)), lossy(library)()])
        model.compile(library.optimizers.SGD(0.1), "mse")
        losses = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
        histories.append([losses, model.evaluate(x, y, verbose=0), model.get_weights()])
    assert_close(histories[0], histories[1], rtol=1e-4, atol=1e-5)


# ---- Configs ----


def test_config_without_a_get_config_of_its_own():
    class Plain(nyala.layers.Layer):
        def __init__(self, units, rate=0.5, activation="relu", **kwargs):
            super().__init__(**kwargs)
            self.size = units  # kept under another name, the argument is remembered all the same
            self.rate = rate
            self.activation = nyala.activations.get(activation)

    layer = Plain(4, rate=0.25, name="plain", dtype="float64", trainable=False)
    config = layer.get_config()
    assert (config["units"], config["rate"], config["activation"]) == (4, 0.25, "relu")
    again = Plain.from_config(config)
    assert (again.size, again.rate, again.name, again.dtype, again.trainable) == (4, 0.25, "plain", "float64", False)


def test_config_of_a_constructor_without_kwargs():
    class Bare(nyala.layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units

    layer = Bare(7)
    layer.name = "bare"
    again = Bare.from_config(layer.get_config())
    assert (again.units, again.name) == (7, "bare")


# ---- Dtypes ----


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"])
def test_dtype_of_a_layer(dtype):
    for make in (lambda lib: lib.layers.Dense(3, dtype=dtype), lambda lib: scale(lib)(3, dtype=dtype)):
        ours, theirs = make(nyala), make(keras)
        x = rows(2, 4)
        y, expected = ours(x), theirs(x)
        assert y.dtype == expected.dtype
        for attribute in ("dtype", "compute_dtype", "variable_dtype"):
            assert getattr(ours, attribute) == getattr(theirs, attribute)
        assert [v.dtype for v in ours.weights] == [v.dtype for v in theirs.weights]
        assert ours(nyala.Input((4,))).dtype == expected.dtype.name


def test_what_call_sees_under_a_mixed_policy():
    seen = {}

    class Look(nyala.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((input_shape[-1],), initializer="ones")
            self.exact = self.add_weight((1,), initializer="ones", autocast=False)
            self.count = self.add_weight((), dtype="int32", initializer="zeros", trainable=False)

        def call(self, inputs, indices, flag=None):
            seen.update(x=inputs.dtype.name, i=indices.dtype.name, flag=flag.dtype.name)
            seen.update(w=tf.convert_to_tensor(self.w).dtype.name, exact=(self.exact + 0.0).dtype.name)
            seen.update(count=tf.convert_to_tensor(self.count).dtype.name)
            return inputs * self.w

    layer = Look(dtype="mixed_bfloat16")
    y = layer(rows(2, 3), np.array([1, 2]), flag=np.array([True]))
    assert seen == {
        "x": "bfloat16", "i": "int64", "flag": "bool", "w": "bfloat16", "exact": "float32", "count": "int32"
    }  # fmt: skip
    assert y.dtype == "bfloat16"
    assert layer.w.dtype == "float32"
    assert tf.convert_to_tensor(layer.w).dtype == "float32"  # outside of the call nothing is cast


def test_layer_without_autocast_takes_what_comes():
    class AsIs(nyala.layers.Layer):
        def call(self, inputs):
            return inputs

    assert AsIs(autocast=False)(np.ones((2,), "float64")).dtype == "float64"
    assert AsIs()(np.ones((2,), "float64")).dtype == "float32"
    assert AsIs(dtype="float64")(np.ones((2,), "float32")).dtype == "float64"


# ---- Threads ----


def test_threads_do_not_see_each_others_training_flag():
    class Slow(nyala.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Probe()

        def call(self, inputs, training=None):
            meet.wait(10)  # both threads are inside of the outer call now
            return self.inner(inputs)

    class Probe(nyala.layers.Layer):
        def call(self, inputs, training=None):
            return inputs * (2.0 if training else 1.0)

    layer, x = Slow(), np.ones((1, 2), "float32")
    meet, failures = threading.Barrier(2), []

    def work(training):
        try:
            for _ in range(20):
                assert_close(layer(x, training=training), x * (2.0 if training else 1.0))
        except Exception as error:
            failures.append(error)
            meet.abort()

    threads = [threading.Thread(target=work, args=(flag,)) for flag in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_threads_call_one_model_at_once():
    x = nyala.Input((3,))
    y = nyala.layers.Dropout(0.5)(nyala.layers.BatchNormalization(momentum=0.0)(nyala.layers.Dense(3)(x)))
    model, data, failures = nyala.Model(x, y), rows(4, 3), []
    expected = model(data, training=False)

    def work(training):
        try:
            for _ in range(20):
                result = tf.function(model)(data, training=training) if training is None else model(data, training)
                assert_close(result, expected)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(flag,)) for flag in (None, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@BOTH
def test_layer_called_on_another_shape_says_so(library):
    layer = library.layers.Dense(2, name="dense_of_three")
    layer(rows(2, 3))
    with pytest.raises(ValueError, match="dense_of_three"):
        layer(rows(2, 4))


def test_no_warnings_from_layers_without_masks():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scale(nyala)()(rows(2, 3))


def test_an_eager_call_of_a_built_dense_layer_is_short():
    """At most 5 files and 30 calls of our functions, from `layer(x)` to its answer."""
    layer, x = nyala.layers.Dense(3), tf.ones((2, 4))
    layer(x)
    ours, called = os.path.dirname(nyala.__file__), []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(ours):
            called.append((frame.f_code.co_filename.removeprefix(ours), frame.f_code.co_name))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        layer(x)
    finally:
        sys.setprofile(before)
    assert len(called) <= 30, called
    assert len({file for file, _ in called}) <= 5, called
