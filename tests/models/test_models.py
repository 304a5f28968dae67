"""Models: Functional, Sequential and subclassed ones, what they take, what they print and what they say when it is wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def both(make):
    """The model of each library, with the same weights."""
    ours, theirs = make(nyala), make(keras)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    weights = [rows(*v.shape, seed=place) for place, v in enumerate(theirs.weights)]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


# ---- Functional: structures, sharing, nesting ----


def dict_model(library):
    a, b = library.Input((3,), name="a"), library.Input((2,), name="b")
    x = library.layers.Dense(4, name="of_a")(a)
    y = library.layers.Dense(4, name="of_b")(b)
    return library.Model(
        {"b": b, "a": a}, {"sum": library.layers.Add(name="sum")([x, y]), "parts": [x, y]}, name="dicts"
    )


def list_model(library):
    inputs = [library.Input((3,), name="a"), library.Input((2,), name="b")]
    both_of_them = library.layers.Concatenate(name="both")(inputs)
    return library.Model(inputs, [library.layers.Dense(2, name="out")(both_of_them), inputs[0]], name="lists")


def shared_model(library):
    inputs = [library.Input((3,), name=name) for name in "ab"]
    dense = library.layers.Dense(3, activation="tanh", name="shared")
    norm = library.layers.BatchNormalization(name="norm")
    return library.Model(
        inputs, library.layers.Multiply(name="product")([norm(dense(x)) for x in inputs]), name="twice"
    )


def nested_model(library):
    x = library.Input((3,), name="inside")
    inner = library.Model(x, library.layers.Dense(3, name="dense")(library.layers.Dropout(0.5)(x)), name="inner")
    stack = library.Sequential(
        [library.Input((3,)), library.layers.Dense(3, name="first"), library.layers.Dense(2, name="second")],
        name="stack",
    )
    x = library.Input((3,), name="outside")
    return library.Model(x, stack(inner(inner(x))), name="nested")


A, B = rows(4, 3), rows(4, 2, seed=1)
CASES = {
    "dict in, dict out": (dict_model, {"a": A, "b": B}),
    "dict with more than is asked": (dict_model, {"b": B, "a": A}),
    "lists": (list_model, [A, B]),
    "tuple for a list": (list_model, (A, B)),
    "dict for a list, by name": (list_model, {"b": B, "a": A}),
    "shared layers": (shared_model, [A, rows(4, 3, seed=2)]),
    "nested models": (nested_model, A),
}


@pytest.mark.parametrize("case", CASES)
def test_functional(case):
    make, data = CASES[case]
    ours, theirs = both(make)
    expected = theirs(list(data) if isinstance(data, tuple) else data)
    assert_close(ours(data), expected)
    assert_close(ours.predict(data, batch_size=3, verbose=0), expected)
    for attribute in ("input_shape", "output_shape", "name"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert ours.count_params() == theirs.count_params()
    assert [layer.name for layer in ours.layers if layer.weights] == [x.name for x in theirs.layers if x.weights]
    assert ours.get_layer(index=0) is ours.layers[0]


@pytest.mark.parametrize("make", [dict_model, list_model, shared_model, nested_model])
def test_functional_from_its_config(make):
    ours, theirs = both(make)
    again = nyala.Model.from_config(ours.get_config())
    again.set_weights(theirs.get_weights())
    data = {dict_model: {"a": A, "b": B}, list_model: [A, B], shared_model: [A, A], nested_model: A}[make]
    assert_close(again(data), theirs(data))


def test_flat_numbers_and_columns_pass_for_each_other():
    def column(library):
        x = library.Input((1,), name="x")
        return library.Model(x, library.layers.Dense(2, name="d")(x))

    def flat(library):
        x = library.Input((), name="x")
        return library.Model(x, x * 2.0)

    ours, theirs = both(column)
    assert_close(ours(rows(4)), theirs(rows(4)))
    assert_close(ours.predict(rows(4), verbose=0), theirs.predict(rows(4), verbose=0))
    assert_close(ours(rows(4)), ours(rows(4, 1)))
    ours, theirs = both(flat)
    assert_close(ours(rows(4, 1)), theirs(rows(4, 1)))


WRONG = {
    "a name is missing": (dict_model, {"a": A}, r"`dicts` got no input \['b'\]; it takes \['a', 'b'\] and got \['a'\]"),
    "another name": (dict_model, {"a": A, "c": B}, r"no input \['b'\].*got \['a', 'c'\]"),
    "too few": (list_model, [A], r"`lists` takes 2 inputs, \['a', 'b'\], but got 1"),
    "too many": (list_model, [A, B, B], r"`lists` takes 2 inputs.*but got 3"),
    "one for several": (list_model, A, r"`lists` takes 2 inputs.*but got 1"),
    "another size": (list_model, [A, A], r"`lists` expected its input 'b' to have shape \(None, 2\) but got \(4, 3\)"),
    "another rank": (nested_model, rows(2, 2, 3), r"`nested` expected its input 'outside' to have shape \(None, 3\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_inputs_name_the_model(case):
    make, data, message = WRONG[case]
    model = make(nyala)
    with pytest.raises(ValueError, match=message):
        model(data)


def test_unknown_layer_is_named():
    model = list_model(nyala)
    with pytest.raises(ValueError, match="`lists` has no layer 'none'; it has"):
        model.get_layer("none")
    with pytest.raises(ValueError, match="`lists` has 4 layers, so there is none at index 9"):
        model.get_layer(index=9)


# ---- Sequential ----


def sequential_layers(library):
    layers = library.layers
    return [
        layers.Dense(4, activation="relu", name="one"),
        layers.Dropout(0.3, name="drop"),
        layers.Dense(2, name="two"),
    ]


def test_sequential_with_an_input_is_built_at_once():
    ours, theirs = both(lambda lib: lib.Sequential([lib.Input((3,)), *sequential_layers(lib)], name="s"))
    assert ours.built
    assert (ours.input_shape, ours.output_shape) == (theirs.input_shape, theirs.output_shape)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert_close(ours.predict(A, verbose=0), theirs(A))


def test_sequential_without_an_input_is_built_on_first_data():
    ours, theirs = (lib.Sequential(sequential_layers(lib), name="s") for lib in (nyala, keras))
    assert not ours.built
    assert ours.weights == []
    with pytest.raises(ValueError, match="no weights to count yet"):
        ours.count_params()
    with pytest.raises(AttributeError, match="`s` has no input yet"):
        ours.input  # noqa: B018 - looking it up is the test
    ours(A), theirs(A)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    ours.set_weights(theirs.get_weights())
    assert_close(ours(A), theirs(A))
    assert ours.output_shape == (None, 2)  # the reference keeps the size of the first batch


def test_add_and_pop():
    def make(library):
        model = library.Sequential(name="s")
        model.add(library.Input((3,)))
        for layer in sequential_layers(library):
            model.add(layer)
        model.add(library.layers.Dense(7, name="too_much"))
        model.pop()
        model.add(library.layers.Softmax(name="end"))
        return model

    ours, theirs = both(make)
    assert [x.name for x in ours.layers] == [x.name for x in theirs.layers]
    assert ours.output_shape == theirs.output_shape
    assert_close(ours(A), theirs(A))
    assert_close(ours.predict(A, verbose=0), theirs(A))
    ours.pop(), theirs.pop()
    assert_close(ours.predict(A, verbose=0), theirs(A))  # the function traced before is not used again


def test_nested_sequential():
    def make(library):
        inner = library.Sequential(sequential_layers(library), name="inner")
        return library.Sequential([library.Input((3,)), inner, library.layers.Dense(1, name="last")], name="outer")

    ours, theirs = both(make)
    assert_close(ours(A), theirs(A))
    assert ours.output_shape == (None, 1)
    again = nyala.Sequential.from_config(ours.get_config())
    again.set_weights(theirs.get_weights())
    assert_close(again(A), theirs(A))


def test_wrong_sequentials():
    model = nyala.Sequential([nyala.layers.Dense(2, name="d")], name="s")
    with pytest.raises(ValueError, match="`s` has a layer named 'd' already"):
        model.add(nyala.layers.Dense(2, name="d"))
    with pytest.raises(TypeError, match=r"`s` is made of layers, but got .*write Dense\(\.\.\.\)"):
        model.add(nyala.layers.Dense)
    with pytest.raises(ValueError, match="`s` has no layer to take off"):
        nyala.Sequential(name="s").pop()


# ---- Subclassed models ----


def subclass(library):
    class Net(library.Model):
        def __init__(self, units=4, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.hidden = [library.layers.Dense(units, activation="relu", name=f"h{i}") for i in range(2)]
            self.drop = library.layers.Dropout(0.5)
            self.head = library.layers.Dense(2, name="head")

        def call(self, inputs, training=None):
            x = inputs
            for layer in self.hidden:
                x = layer(x)
            return self.head(self.drop(x, training=training))

        def get_config(self):
            return {"units": self.units, "name": self.name}

    return Net


def test_subclassed_model():
    ours, theirs = subclass(nyala)(name="net"), subclass(keras)(name="net")
    ours(A), theirs(A)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    assert [x.name for x in ours.layers if x.weights] == [x.name for x in theirs.layers if x.weights]
    ours.set_weights(theirs.get_weights())
    assert_close(ours.predict(A, batch_size=3, verbose=0), theirs(A))
    assert type(ours).from_config(ours.get_config()).units == 4


def graph_subclass(library):
    class Net(library.Model):
        def __init__(self, units=3, name="net"):
            x = library.Input((3,), name="x")
            super().__init__(inputs=x, outputs=library.layers.Dense(units, name="d")(x), name=name)
            self.units = units
            self.extra = library.layers.Dense(2, name="extra")
            self.extra.build((None, 3))

        def twice(self, x):
            return 2 * self(x)

    return Net()


def test_subclass_that_is_a_graph():
    ours, theirs = both(graph_subclass)
    assert_close(ours.twice(A), theirs.twice(A))
    assert_close(ours.predict(A, verbose=0), theirs(A))
    assert ours.units == 3
    assert type(ours).__name__ == "Net"
    assert ours.output_shape == theirs.output_shape
    ours.extra.trainable = False  # it has no part in the graph
    ours.compile("sgd", "mse")
    ours.fit(A, A, verbose=0)


def test_model_with_a_train_step_of_its_own():
    def make(library):
        class Counting(library.Model):
            def train_step(self, data):
                x, y = data
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
                return {"loss": loss}

        x = library.Input((3,), name="x")
        return Counting(x, library.layers.Dense(3, name="d")(x), name="c")

    ours, theirs = both(make)
    for library, model in ((nyala, ours), (keras, theirs)):
        model.compile(library.optimizers.SGD(0.1), "mse")
        model.fit(A, 2 * A, batch_size=2, shuffle=False, verbose=0)
    assert_close(ours.get_weights(), theirs.get_weights())


def test_graph_of_a_subclass_from_its_config():
    class Plain(nyala.Model):
        def test_step(self, data):
            return {"marker": tf.constant(7.0)}

    x = nyala.Input((3,))
    model = Plain(x, nyala.layers.Dense(2)(x), name="plain")
    again = Plain.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert_close(again(A), model(A))
    again.compile("sgd", "mse")
    assert again.evaluate(A, A, verbose=0, return_dict=True) == {"marker": 7.0}


def test_model_without_a_call_says_what_to_do():
    with pytest.raises(TypeError, match=r"Model defines no `call` method; add `def call\(self, inputs\):`"):
        nyala.Model(name="empty")(A)


# ---- summary() ----


def text_of(model, **options):
    lines = []
    # The reference cuts what is printed elsewhere than on a screen at 80 columns.
    model.summary(print_fn=lambda text, **_: lines.append(text), line_length=80, **options)
    return "\n".join(lines)


def totals(text):
    """The numbers behind `Total params:`, `Trainable params:` and so on."""
    pairs = re.findall(r"(\w[\w-]*) params: ([\d,]+) \(([\d.]+ \w+)\)", text)
    return {kind.lower(): (int(count.replace(",", "")), size) for kind, count, size in pairs}


def counts(text, names):
    """The parameter count on the line of each layer."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"[│┃|]", line)]
        for name in names:
            if len(cells) > 3 and re.match(rf"{name}( \(|$)", cells[1]):  # a long type is on the next line
                found[name] = next(cell for cell in cells[2:] if re.fullmatch(r"[\d,]+", cell))
    return found


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("make", [dict_model, list_model, shared_model, nested_model])
def test_summary_has_the_numbers_of_the_reference(make, trained):
    ours, theirs = both(make)
    for library, model in ((nyala, ours), (keras, theirs)):
        model.layers[-1].trainable = False
        if trained:
            model.compile(library.optimizers.Adam())
            model.optimizer.build(model.trainable_variables)
    mine, expected = text_of(ours), text_of(theirs)
    assert totals(mine) == totals(expected)
    assert len(totals(mine)) == 3 + trained
    names = [layer.name for layer in theirs.layers]
    assert counts(mine, names) == counts(expected, names)
    assert counts(mine, names).keys() == set(names)
    assert ours.name in mine
    for layer in ours.layers:
        if len(layer.inbound_nodes) == 1 and isinstance(layer.output_shape, tuple):
            assert str(layer.output_shape) in mine


def test_summary_options():
    model = nested_model(nyala)
    assert "second" not in text_of(model)
    assert "second" in text_of(model, expand_nested=True)
    model.get_layer("inner").trainable = False
    assert "Trainable" in text_of(model, show_trainable=True)
    part = text_of(model, layer_range=("inner", "inner"))
    assert "inner" in part
    assert "stack" not in part
    with pytest.raises(ValueError, match="layer_range names 'nowhere'"):
        text_of(model, layer_range=("nowhere", "inner"))


def test_summary_prints(capsys):
    list_model(nyala).summary()
    assert "Total params: 12" in capsys.readouterr().out


def test_summary_of_an_unbuilt_model():
    assert "not built yet" in text_of(nyala.Sequential(sequential_layers(nyala)))
    model = subclass(nyala)(name="net")
    model(A)
    assert "h0" in text_of(model)
    assert totals(text_of(model))["total"][0] == model.count_params()
