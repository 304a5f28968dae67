"""Recorded graphs: their order is the reference's, and any `tf.*` function or operator takes part in them."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

import nyala
from nyala.core import graph
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

# ---- Order: of layers, of operations and of weights ----


def random_model(library, seed):
    """A random graph of Dense, Add and Concatenate layers with shared layers, several inputs and several outputs.

    Every tensor has 3 features except behind a Concatenate, which a Dense brings back to 3.
    """
    choose = random.Random(seed)
    layers, count = library.layers, 0

    def named(make, *args):
        nonlocal count
        count += 1
        return make(*args, name=f"{make.__name__.lower()}_{count}")

    inputs = [library.Input((3,), name=f"in_{i}") for i in range(choose.randint(1, 3))]
    tensors = list(inputs)
    shared = [named(layers.Dense, 3) for _ in range(2)]
    for _ in range(choose.randint(4, 14)):
        kind = choose.choice(["dense", "dense", "shared", "add", "concatenate", "multiply"])
        if kind == "dense":
            x = named(layers.Dense, 3)(choose.choice(tensors))
        elif kind == "shared":
            x = choose.choice(shared)(choose.choice(tensors))
        elif kind == "add":
            x = named(layers.Add)([choose.choice(tensors) for _ in range(choose.randint(2, 3))])
        elif kind == "multiply":
            x = named(layers.Multiply)([choose.choice(tensors), tensors[-1]])
        else:
            x = named(layers.Dense, 3)(named(layers.Concatenate)([choose.choice(tensors), choose.choice(tensors)]))
        tensors.append(x)
    outputs = [tensors[-1], *choose.sample(tensors[len(inputs) :], choose.randint(0, 2))]
    if choose.random() < 0.3:
        outputs.reverse()
    return library.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)


@pytest.mark.parametrize("seed", range(30))
def test_order_of_a_random_graph(seed):
    ours, theirs = random_model(nyala, seed), random_model(keras, seed)
    assert [x.name for x in ours.layers] == [x.name for x in theirs.layers]
    assert [x.name for x in ours.operations] == [x.name for x in theirs.operations]
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert ours.input_names == [x.name for x in theirs.inputs]
    weights = [np.random.default_rng(seed).normal(size=v.shape) * 0.5 for v in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    data = [np.random.default_rng(i).normal(size=(2, 3)).astype("float32") for i in range(len(ours.inputs))]
    assert_close(ours(data), theirs(data), rtol=1e-4, atol=1e-4)


# ---- `tf.*` functions and operators on symbolic tensors ----

TF_FUNCTIONS = {
    "abs": lambda x: tf.abs(x),
    "reduce_sum": lambda x: tf.reduce_sum(x, axis=-1),
    "reduce_mean": lambda x: tf.reduce_mean(x, axis=1, keepdims=True),
    "concat": lambda x: tf.concat([x, x * 2.0], axis=-1),
    "stack": lambda x: tf.stack([x, -x], axis=1),
    "matmul": lambda x: tf.matmul(x, tf.ones((4, 5))),
    "matmul transposed": lambda x: tf.matmul(x, x, transpose_b=True),
    "einsum": lambda x: tf.einsum("nd,nd->n", x, x),
    "reshape": lambda x: tf.reshape(x, (-1, 2, 2)),
    "expand_dims": lambda x: tf.expand_dims(x, 1),
    "squeeze": lambda x: tf.squeeze(tf.expand_dims(x, 1), axis=1),
    "transpose": lambda x: tf.transpose(x, (1, 0)),
    "split": lambda x: tf.split(x, 2, axis=-1)[1],
    "unstack": lambda x: tf.unstack(x, axis=-1)[2],
    "where": lambda x: tf.where(x > 0.0, x, tf.zeros_like(x)),
    "cast": lambda x: tf.cast(x > 0.0, "float32"),
    "clip_by_value": lambda x: tf.clip_by_value(x, -0.5, 0.5),
    "tile": lambda x: tf.tile(x, (1, 2)),
    "pad": lambda x: tf.pad(x, ((0, 0), (1, 1))),
    "gather": lambda x: tf.gather(x, [0, 2], axis=-1),
    "math.softplus": lambda x: tf.math.softplus(x),
    "nn.relu": lambda x: tf.nn.relu(x),
    "nn.softmax": lambda x: tf.nn.softmax(x, axis=-1),
    "linalg.norm": lambda x: tf.linalg.norm(x, axis=-1),
    "shape": lambda x: tf.ones_like(x) * tf.cast(tf.shape(x)[1], "float32"),
    "argmax": lambda x: tf.argmax(x, axis=-1),
    "top_k": lambda x: tf.math.top_k(x, k=2).values,
    "one_hot": lambda x: tf.one_hot(tf.cast(tf.abs(x), "int32"), 3),
}
OPERATORS = {
    "+": lambda x: x + 1.0,
    "1 +": lambda x: 1.0 + x,
    "-": lambda x: x - tf.constant([1.0, 2.0, 3.0, 4.0]),
    "1 -": lambda x: 1.0 - x,
    "*": lambda x: x * x,
    "numpy *": lambda x: np.arange(4, dtype="float32") * x,
    "/": lambda x: x / 2.0,
    "1 /": lambda x: 1.0 / (x * x + 1.0),
    "//": lambda x: x // 0.5,
    "%": lambda x: x % 0.7,
    "**": lambda x: x**2,
    "2 **": lambda x: 2.0**x,
    "@": lambda x: x @ tf.ones((4, 3)),
    "unary -": lambda x: -x,
    "abs": lambda x: abs(x),
    "<": lambda x: x < 0.0,
    ">=": lambda x: x >= 0.0,
    "~": lambda x: ~(x > 0.0),
    "&": lambda x: (x > -0.5) & (x < 0.5),
    "|": lambda x: (x > 0.5) | (x < -0.5),
    "^": lambda x: (x > 0.5) ^ (x > -0.5),
    "[:, 1]": lambda x: x[:, 1],
    "[:, ::2]": lambda x: x[:, ::2],
    "[..., None]": lambda x: x[..., None],
    "[:, -1:]": lambda x: x[:, -1:],
}


@pytest.mark.parametrize(
    "function", [pytest.param(f, id=name) for name, f in [*TF_FUNCTIONS.items(), *OPERATORS.items()]]
)
def test_function_in_a_graph_gives_what_it_gives_on_data(function):
    x = nyala.Input((4,))
    y = function(x)
    model = nyala.Model(x, y)
    for rows in (3, 2):  # the batch axis is free
        data = tf.constant(np.random.default_rng(rows).normal(size=(rows, 4)).astype("float32"))
        expected = function(data)
        assert y.dtype == expected.dtype.name
        assert len(y.shape) == len(expected.shape)
        assert all(size in (None, actual) for size, actual in zip(y.shape, expected.shape, strict=True))
        assert_close(model(data), expected)


def test_functions_take_part_in_predict():
    x = nyala.Input((4,))
    outputs = [TF_FUNCTIONS[name](x) for name in ("where", "gather", "nn.softmax", "concat")] + [x @ tf.ones((4, 2))]
    data = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    model = nyala.Model(x, outputs)
    assert_close(model.predict(data, batch_size=2, verbose=0), model(data))


def test_what_a_function_gives_is_found_once_for_arguments_that_look_the_same():
    traced = []

    @graph.op
    def scaled(x, factor, part=slice(None)):
        traced.append((factor, part))
        return x[part] * tf.cast(factor, x.dtype)

    wide, narrow = nyala.KerasTensor((None, 4)), nyala.KerasTensor((None, 3))
    different = [(wide, 1), (narrow, 1), (nyala.KerasTensor((None, 4), "float64"), 1), (wide, 1.0), (wide, True)]
    for again in (1, 2):
        for x, factor in different:
            result = scaled(x, factor)
            assert (result.shape, result.dtype) == (x.shape, x.dtype)
            assert result.node.operation.function is scaled
        assert len(traced) == len(different), again
    assert scaled(wide, 1) is not scaled(wide, 1)
    assert scaled(nyala.KerasTensor((4, 4)), 1, part=slice(1, 3)).shape == (2, 4)
    assert scaled(nyala.KerasTensor((4, 4)), 1, part=slice(1, 4)).shape == (3, 4)
    for number in (7, 8):  # a tensor among the arguments is no constant: the call is traced anew
        assert scaled(nyala.KerasTensor((4, 4)), 1, part=slice(tf.constant(1), 3)).shape == (2, 4)
        assert len(traced) == number + 1


def test_what_a_function_gives_depends_on_the_default_float():
    x = nyala.KerasTensor((2,), "int32")
    assert nyala.ops.exp(x).dtype == "float32"
    nyala.config.set_floatx("float64")
    try:
        assert nyala.ops.exp(x).dtype == "float64"
    finally:
        nyala.config.set_floatx("float32")


def test_gradient_flows_through_functions_and_operators():
    x = nyala.Input((4,))
    model = nyala.Model(x, tf.reduce_sum(tf.nn.relu(x) ** 2 - x / 2.0, axis=-1))
    data = tf.Variable(np.random.default_rng(0).normal(size=(3, 4)).astype("float32"))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(data))
    assert_close(tape.gradient(loss, data), 2 * np.maximum(data.numpy(), 0) - 0.5)


def test_a_symbolic_tensor_is_no_bool_number_or_array():
    x = nyala.Input((4,))
    for misuse in (bool, float, int, np.asarray, iter):
        with pytest.raises((TypeError, ValueError)):
            misuse(x)


# ---- Wrong graphs ----


def test_disconnected_graph_is_named():
    a, b = nyala.Input((3,), name="first"), nyala.Input((3,), name="second")
    y = nyala.layers.Add(name="sum")([a, b])
    with pytest.raises(ValueError, match=r"`part` is not connected: `sum` needs the tensor second.*Add it to `inputs`"):
        nyala.Model(a, y, name="part")


def test_output_that_leads_nowhere_is_named():
    a, b = nyala.Input((3,)), nyala.Input((3,))
    with pytest.raises(ValueError, match="`part` is not connected"):
        nyala.Model(a, b, name="part")


def test_values_in_place_of_symbols_are_named():
    x = nyala.Input((3,))
    with pytest.raises(ValueError, match=r"inputs and outputs of `part` must be symbolic.*Input\(\)"):
        nyala.Model(x, np.ones((2, 3)), name="part")


def test_two_layers_of_one_name():
    x = nyala.Input((3,))
    y = nyala.layers.Dense(3, name="twin")(nyala.layers.Dense(3, name="twin")(x))
    with pytest.raises(ValueError, match=re.escape("in `pair` ['twin']")):
        nyala.Model(x, y, name="pair")


def test_a_model_from_the_middle_of_a_graph():
    x = nyala.Input((3,))
    middle = nyala.layers.Dense(3, name="before")(x)
    y = nyala.layers.Dense(2, name="behind")(middle)
    part = nyala.Model(middle, y)
    assert [layer.name for layer in part.layers if layer.weights] == ["behind"]
    data = np.ones((2, 3), "float32")
    whole, front = nyala.Model(x, y), nyala.Model(x, middle)
    assert_close(part(front(data)), whole(data))


def test_function_of_a_graph():
    x = nyala.KerasTensor((None, 2))
    function = nyala.Function(x, {"twice": x * 2.0, "sum": tf.reduce_sum(x)})
    assert_close(function(np.ones((1, 2), "float32")), {"twice": np.full((1, 2), 2.0), "sum": 2.0})


def test_a_call_may_give_none_among_its_results():
    x = nyala.Input((3,))
    total, nothing = nyala.ops.scan(lambda carry, row: (carry + row, None), nyala.ops.zeros((3,)), x)
    assert nothing is None
    model = nyala.Model(x, total)
    np.testing.assert_allclose(model(np.ones((4, 3), "float32")), [4.0, 4.0, 4.0])
