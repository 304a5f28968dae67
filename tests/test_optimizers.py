"""Optimizers: fifty steps end at the oracle's weights and state, in every way in which they can run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import optimizers
from nyala.core import tracking
from nyala.core.engine import tf
from nyala.optimizers.optimizer import plain_formulas
from tests.oracle import assert_close, keras

STEPS = 50
SHAPES = {"kernel": (4, 3), "bias": (3,), "embeddings": (5, 2)}
ALL = (
    "SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Adafactor", "Nadam", "Ftrl", "Lion", "Lamb",
    "Muon", "ScheduleFreeAdamW",
)  # fmt: skip


def constraint(weights: Any) -> Any:
    return tf.clip_by_value(weights, -1.0, 1.0)


# An optimizer, its arguments (a callable one is made from the library's optimizers), and what the case does besides.
# The gradient of the embeddings is always a tf.IndexedSlices that has one row twice.
Case = tuple[str, dict[str, Any], str]
DEFAULTS: list[Case] = [(name, {}, "") for name in ALL]
ARGUMENTS: list[Case] = [
    ("SGD", {"momentum": 0.9}, ""),
    ("SGD", {"momentum": 0.9, "nesterov": True}, ""),
    ("RMSprop", {"momentum": 0.9}, ""),
    ("RMSprop", {"centered": True, "epsilon": 0.1}, ""),
    ("RMSprop", {"centered": True, "epsilon": 0.1, "momentum": 0.9, "rho": 0.8}, ""),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 0.01}, ""),
    ("Adam", {"amsgrad": True, "learning_rate": 0.01}, ""),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1, "amsgrad": True}, ""),
    ("Adadelta", {"learning_rate": 0.5, "rho": 0.8, "epsilon": 0.1}, ""),
    ("Adagrad", {"learning_rate": 0.05, "initial_accumulator_value": 0.0, "epsilon": 0.1}, ""),
    ("Adamax", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}, ""),
    ("Adafactor", {"learning_rate": 0.5, "relative_step": False, "clip_threshold": 0.5}, "four dimensions"),
    ("Adafactor", {"beta_2_decay": -0.5, "epsilon_1": 0.1, "epsilon_2": 0.1}, "dense"),
    ("Nadam", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}, ""),
    ("Ftrl", {"learning_rate": 0.05, "learning_rate_power": -0.3, "beta": 0.1}, ""),
    ("Ftrl", {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.1}, ""),
    ("Ftrl", {"learning_rate": 0.05, "l2_shrinkage_regularization_strength": 0.05}, ""),
    ("Lion", {"beta_1": 0.5, "beta_2": 0.9, "weight_decay": 0.1}, ""),
    ("Lamb", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.1}, ""),
    ("Muon", {"learning_rate": 0.01, "rms_rate": None, "nesterov": False, "weight_decay": 0.1}, "four dimensions"),
    ("Muon", {"adam_lr_ratio": 0.5, "adam_weight_decay": None, "exclude_layers": ["kern.l"]}, ""),
    ("Muon", {"momentum": 0.5, "ns_steps": 3, "exclude_embeddings": False, "muon_a": 3.0}, ""),
    ("ScheduleFreeAdamW", {"learning_rate": 0.01, "warmup_steps": 7, "weight_decay": 0.1, "beta_1": 0.2}, ""),
    # The oracle's Muon takes no float64.
    *[(name, {"learning_rate": 0.01}, "float64") for name in ALL if name != "Muon"],
]
OPTIONS: list[Case] = [
    ("Adam", {"clipnorm": 0.5}, ""),
    ("SGD", {"clipvalue": 0.5}, "float16 gradients"),
    ("SGD", {"global_clipnorm": 0.5}, ""),
    ("SGD", {"weight_decay": 0.1, "learning_rate": 0.1}, "exclude"),
    ("SGD", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.9}, "constraint"),
    ("Adam", {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3}, ""),
    ("Adam", {"loss_scale_factor": 8.0}, "dense"),
    ("Adam", {"gradient_accumulation_steps": 3}, ""),
    ("Nadam", {"gradient_accumulation_steps": 2}, ""),
    ("Adam", {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 3, "clipnorm": 1.0}, ""),
    ("SGD", {"learning_rate": lambda of: of.schedules.ExponentialDecay(0.1, 10, 0.5), "weight_decay": 0.1}, ""),
    ("Adam", {"learning_rate": lambda of: of.schedules.CosineDecay(0.1, 40), "gradient_accumulation_steps": 2}, ""),
]
# Every option of the base class with every optimizer, several options a case.
EVERYWHERE: tuple[tuple[dict[str, Any], str], ...] = (
    (
        {
            "weight_decay": 0.05,
            "clipnorm": 0.5,
            "use_ema": True,
            "ema_momentum": 0.9,
            "ema_overwrite_frequency": 3,
            "loss_scale_factor": 8.0,
        },
        "exclude, dense",  # the oracle cannot unscale slices
    ),
    ({"clipvalue": 0.3, "gradient_accumulation_steps": 2, "use_ema": True}, ""),
    ({"global_clipnorm": 0.7, "learning_rate": lambda of: of.schedules.CosineDecay(0.05, 40, 0.1)}, ""),
)
FIRST = ("SGD", "Adam")  # of those with every option; the others take long together
IN_EAGER = ("gradient_accumulation_steps", "use_ema")  # they branch, which Python does itself there
ROWS = [
    *[(case, how) for case in DEFAULTS for how in ("eager", "graph", "XLA")],
    *[(case, "eager") for case in OPTIONS if set(IN_EAGER) & set(case[1])],
    *[(case, how) for case in OPTIONS for how in ("graph", "XLA")],
    *[(case, "graph") for case in ARGUMENTS],
    *[((name, options, extra), "graph") for name in FIRST for options, extra in EVERYWHERE],
    *[
        pytest.param((name, options, extra), "graph", marks=pytest.mark.slow)
        for name in ALL
        if name not in FIRST
        for options, extra in EVERYWHERE
    ],
]


def label(value: Any) -> str:
    return value if isinstance(value, str) else "-".join([value[0], *value[1], *value[2].split()])


def of(library: Any) -> Any:
    return keras.optimizers if library is keras else optimizers


def make(library: Any, name: str, arguments: dict[str, Any]) -> Any:
    """An optimizer of ours or of the oracle, under the name that a first one gets."""
    made = {key: value(of(library)) if isinstance(value, Callable) else value for key, value in arguments.items()}
    return getattr(of(library), name)(name=tracking.to_snake_case(name), **made)


def sliced(gradient: Any) -> Any:
    """Three rows of a gradient, one of them twice, as an embedding's gradient has them."""
    rows = tf.gather(gradient, [1, 3, 1])
    return tf.IndexedSlices(rows, tf.constant([1, 3, 1]), tf.constant(gradient.shape.as_list()))


def variables_of(library: Any, extra: str = "") -> list[Any]:
    draw, dtype = np.random.RandomState(1), "float64" if extra == "float64" else "float32"
    shapes = SHAPES | ({"filters": (2, 2, 2, 3)} if extra == "four dimensions" else {})
    return [library.Variable(draw.normal(size=shape), dtype=dtype, name=name) for name, shape in shapes.items()]


def train(library: Any, case: Case, how: str) -> dict[str, Any]:
    """The weights, the optimizer's variables and their paths after fifty steps."""
    name, arguments, extra = case
    variables, optimizer, draw = variables_of(library, extra), make(library, name, arguments), np.random.RandomState(2)
    if "constraint" in extra:
        variables[0].constraint = constraint
    if "exclude" in extra:
        optimizer.exclude_from_weight_decay(var_list=[variables[0]], var_names=["^bi"])
    optimizer.build(variables)
    dtype = "float16" if extra == "float16 gradients" else variables[0].dtype
    stacks = [tf.constant(draw.normal(size=(STEPS, *variable.shape)), dtype) for variable in variables]

    def step(index: Any) -> Any:
        gradients = [stack[index] for stack in stacks]
        if "dense" not in extra:
            gradients[2] = sliced(gradients[2])
        optimizer.apply(gradients, variables)
        return index + 1

    def steps() -> None:
        tf.while_loop(lambda index: index < STEPS, step, [tf.constant(0)], parallel_iterations=1)

    with plain_formulas() if how == "XLA" else nullcontext():
        if how == "eager":
            for index in range(STEPS):
                step(index)
        else:
            tf.function(steps, jit_compile=how == "XLA", autograph=False)()
    return {
        "weights": [variable.numpy() for variable in variables],
        "state": [variable.numpy() for variable in optimizer.variables],
        "paths": [variable.path for variable in optimizer.variables],
    }


def train_on(optimizer: Any, variables: list[Any], how: str) -> Callable[..., None]:
    """A function of gradients that takes one step."""

    def step(*gradients: Any) -> None:
        optimizer.apply(list(gradients), variables)

    return step if how == "eager" else tf.function(step, jit_compile=how == "XLA", autograph=False)


EXPECTED: dict[str, dict[str, Any]] = {}
OTHER_PATHS = ("Adafactor", "Nadam")  # the oracle has some paths twice there, or outside of the optimizer's


@pytest.mark.parametrize(("case", "how"), ROWS, ids=label)
def test_fifty_steps_end_where_the_oracle_ends(case, how):
    if label(case) not in EXPECTED:
        EXPECTED[label(case)] = train(keras, case, "graph")
    ours, theirs = train(nyala, case, how), EXPECTED[label(case)]
    assert_close(ours["weights"], theirs["weights"], rtol=1e-5, atol=1e-6)
    assert_close(ours["state"], theirs["state"], rtol=5e-5, atol=1e-6)
    assert [value.dtype for value in ours["state"]] == [value.dtype for value in theirs["state"]]
    assert len(set(ours["paths"])) == len(ours["paths"])
    if case[0] not in OTHER_PATHS:
        assert ours["paths"] == theirs["paths"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("RMSprop", {"momentum": 0.9, "epsilon": 0.1}),
        ("RMSprop", {"momentum": 0.9, "centered": True, "epsilon": 0.1}),
        ("Adam", {"epsilon": 0.1}),
        ("Adadelta", {"epsilon": 0.1}),
        ("Adamax", {"epsilon": 0.1}),
        ("Ftrl", {"beta": 0.1, "l1_regularization_strength": 0.1}),
    ],
)
def test_fused_kernels_give_the_numbers_of_the_formulas(name, arguments):
    ends = []
    for mode in (nullcontext, plain_formulas):
        optimizer, variable = make(nyala, name, arguments | {"learning_rate": 0.1}), nyala.Variable([1.0, -2.0, 0.5])
        with mode():
            for gradient in np.random.RandomState(0).normal(size=(20, 3)):
                optimizer.apply([gradient], [variable])
        ends.append(variable.numpy())
    assert_close(ends[0], ends[1], rtol=5e-6, atol=1e-7)


def test_graphs_hold_fused_kernels_unless_plain_formulas_are_asked_for():
    optimizer, variable = optimizers.Adam(), nyala.Variable([1.0])
    optimizer.build([variable])
    found = []
    for mode in (nullcontext, plain_formulas):
        with mode():
            graph = tf.function(lambda: optimizer.apply([[1.0]], [variable])).get_concrete_function().graph
        found.append("ResourceApplyAdam" in {operation.type for operation in graph.get_operations()})
    assert found == [True, False]


def test_what_variables_share_is_computed_once_in_a_step():
    optimizer, variables = optimizers.Adam(), [nyala.Variable([1.0], name=f"v{i}") for i in range(5)]
    optimizer.build(variables)
    step = tf.function(lambda: optimizer.apply([[1.0]] * 5, variables)).get_concrete_function()
    types = [operation.type for operation in step.graph.get_operations()]
    assert (types.count("ResourceApplyAdam"), types.count("Pow")) == (5, 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Lion"])
def test_short_floats_are_computed_in_their_dtype(name, dtype):
    ends = []
    for library in (nyala, keras):
        optimizer, variable = make(library, name, {"learning_rate": 0.1}), library.Variable([1.0, -2.0], dtype=dtype)
        for gradient in ([0.5, 1.0], [1.0, -0.25], [-2.0, 0.125]):
            optimizer.apply([tf.constant(gradient, dtype)], [variable])
        ends.append(tf.cast(tf.convert_to_tensor(variable), "float32").numpy())
        assert all(v.dtype == dtype for v in optimizer.variables[2:])
    assert_close(
        ends[0], ends[1], rtol=float(tf.constant(1, dtype).dtype.as_numpy_dtype(2**-7 if dtype[0] == "b" else 2**-10))
    )


# ---- Gradients ----


def test_a_missing_gradient_leaves_its_variable_alone_with_a_warning():
    weight, other = variables_of(nyala)[:2]
    other.constraint = constraint
    before = other.numpy()
    with pytest.warns(UserWarning, match="without a gradient alone: bias"):
        optimizers.SGD(0.1, weight_decay=0.1, use_ema=True).apply([tf.ones((4, 3)), None], [weight, other])
    assert_close(other, before)


def test_integer_and_array_gradients_are_taken_as_the_variables_dtype():
    variable = nyala.Variable([1.0, 2.0])
    for gradient in (np.array([1.0, 1.0]), [1, 1], tf.constant([1, 1])):
        optimizers.SGD(0.5).apply([gradient], [variable])
    assert variable.numpy().tolist() == [-0.5, 0.5]


def test_apply_gradients_takes_pairs_and_returns_the_count():
    variable = nyala.Variable([1.0])
    optimizer = optimizers.SGD(0.5)
    assert int(optimizer.apply_gradients(zip([[1.0]], [variable], strict=True))) == 1
    assert variable.numpy().tolist() == [0.5]


def test_a_tf_variable_can_be_optimized():
    variable = tf.Variable([1.0], name="q")
    optimizer = optimizers.Adam(0.5, name="adam")
    optimizer.apply([[1.0]], [variable])
    assert_close(variable, np.array([0.5]), rtol=1e-5)
    assert optimizer.variables[2].path == "adam/q_0_momentum"


@pytest.mark.parametrize("steps", [None, 2])
@pytest.mark.parametrize("graph", [False, True])
def test_variables_can_be_overwritten_with_their_gradients(steps, graph):
    results = []
    for library in (nyala, keras):
        scale, weight = library.Variable([1.0, 2.0], name="scale"), library.Variable([1.0], name="weight")
        scale.overwrite_with_gradient = True
        arguments = {"gradient_accumulation_steps": steps, "use_ema": True, "loss_scale_factor": 2.0}
        optimizer = make(library, "Adam", arguments)
        optimizer.build([scale, weight])
        run = train_on(optimizer, [scale, weight], "graph" if graph else "eager")
        for step in range(4):
            run(tf.constant([5.0 + step, 3.0 - step]), tf.constant([1.0]))
        paths = [variable.path for variable in optimizer.variables]
        results.append({"state": [*optimizer.variables, scale, weight], "paths": paths})
    assert_close(results[0]["state"], results[1]["state"])
    assert results[0]["paths"] == results[1]["paths"]


def test_accumulated_gradients_equal_the_large_batch():
    small, large = nyala.Variable([1.0, 2.0]), nyala.Variable([1.0, 2.0])
    accumulating, plain = optimizers.Adam(0.1, gradient_accumulation_steps=4), optimizers.Adam(0.1)
    gradients = np.random.RandomState(0).normal(size=(12, 2)).astype("float32")
    for gradient in gradients:
        accumulating.apply([gradient], [small])
    for batch in gradients.reshape(3, 4, 2):
        plain.apply([batch.mean(0)], [large])
    assert_close(small, large)
    assert int(accumulating.iterations) == 3


# ---- Errors ----


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optimizers.Adam(foo=1), ValueError, "takes no argument 'foo'"),
        (lambda: optimizers.Adam("a"), ValueError, "must be a number"),
        (lambda: optimizers.Adam(None), ValueError, "must be a number"),
        (lambda: optimizers.Adam([0.1]), ValueError, "must be a number"),
        (lambda: optimizers.Adam(clipnorm=1.0, clipvalue=1.0), ValueError, "one way only"),
        (lambda: optimizers.Adam(use_ema=True, ema_momentum=2.0), ValueError, "ema_momentum from 0 to 1"),
        (lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=0.5), ValueError, "an integer ≥ 1"),
        (lambda: optimizers.Adam(gradient_accumulation_steps=1), ValueError, "an integer ≥ 2"),
        (lambda: optimizers.AdamW(weight_decay=None), ValueError, "needs a weight_decay"),
        (lambda: optimizers.SGD(momentum=2.0), ValueError, "momentum from 0 to 1"),
        (lambda: optimizers.Lion(beta_1=1.5), ValueError, "beta_1 above 0"),
        (lambda: optimizers.Ftrl(initial_accumulator_value=-1.0), ValueError, "initial_accumulator_value ≥ 0"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), ValueError, "l1_regularization_strength ≥ 0"),
        (lambda: optimizers.Ftrl(learning_rate_power=1.0), ValueError, "learning_rate_power ≤ 0"),
        (lambda: optimizers.LossScaleOptimizer("adam"), TypeError, "wraps an optimizer"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), clipnorm=1.0), ValueError, "on the inner optimizer"),
        (lambda: optimizers.LossScaleOptimizer(optimizers.SGD(), foo=1.0), ValueError, "takes no argument 'foo'"),
        (lambda: optimizers.get("rmspro"), ValueError, "Did you mean 'rmsprop'"),
        (lambda: optimizers.get(3), ValueError, "is no optimizer"),
        (lambda: optimizers.legacy.Adam(0.1), ImportError, "use `nyala.optimizers.Adam`"),
        (lambda: optimizers.Optimizer(1).apply([[1.0]], [nyala.Variable([1.0])]), TypeError, "no `update_step` method"),
        (lambda: optimizers.SGD().apply([[1.0]]), ValueError, "knows no variables yet"),
        (lambda: optimizers.SGD().apply([[1.0]], []), ValueError, "1 gradients for 0 trainable"),
        (lambda: optimizers.SGD().apply([[1.0]], [nyala.Variable([1.0, 1.0], name="w")]), ValueError, "variable `w`"),
        (lambda: optimizers.SGD().apply([None], [nyala.Variable([1.0], name="w")]), ValueError, "depend on w"),
        (lambda: optimizers.SGD().set_weights([1]), ValueError, "has 2 variables, but got 1"),
        (lambda: optimizers.SGD().stateless_apply([], [], []), ValueError, "must be built"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_an_unknown_variable_is_an_error():
    optimizer = optimizers.SGD()
    optimizer.build([nyala.Variable([1.0])])
    with pytest.raises(ValueError, match="not built with the variable `stranger`"):
        optimizer.apply([[1.0]], [nyala.Variable([1.0], name="stranger")])


# ---- The learning rate ----


def test_the_learning_rate_can_be_read_and_set():
    optimizer = optimizers.Adam(0.25)
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate = optimizers.schedules.ExponentialDecay(0.125, 10, 0.5)
    assert float(optimizer.learning_rate) == 0.125
    assert [variable.path for variable in optimizer.variables] == [f"{optimizer.name}/iteration"]
    optimizer.learning_rate = lambda: 0.25
    with pytest.raises(TypeError, match="so it cannot be set to a number"):
        optimizer.learning_rate = 0.5


def test_the_learning_rate_can_be_a_function():
    variable = nyala.Variable([1.0])
    optimizers.SGD(lambda: 0.25).apply([[1.0]], [variable])
    assert variable.numpy().tolist() == [0.75]


# ---- As data ----


@pytest.mark.parametrize("name", ALL)
def test_configs_go_both_ways(name):
    arguments = {"learning_rate": lambda of: of.schedules.CosineDecay(0.1, 10), "clipnorm": 1.0, "use_ema": True}
    ours, theirs = make(nyala, name, arguments), make(keras, name, arguments)
    assert optimizers.serialize(ours) == keras.optimizers.serialize(theirs)
    json.dumps(ours.get_config())
    assert type(theirs).from_config(ours.get_config()).get_config() == theirs.get_config()
    assert optimizers.deserialize(keras.optimizers.serialize(theirs)).get_config() == theirs.get_config()
    assert make(nyala, name, {}).get_config() == make(keras, name, {}).get_config()


@pytest.mark.parametrize("name", [*ALL, "rmsprop", "adamw", "sgd", "schedulefreeadamw", "ADAM", "RMSProp", "lamb"])
def test_strings_stand_for_optimizers(name):
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


def test_get_passes_optimizers_through():
    optimizer = optimizers.SGD()
    assert optimizers.get(optimizer) is optimizer
    assert optimizers.get(None) is None
    assert optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.5}}).get_config()["learning_rate"] == 0.5


def test_state_moves_both_ways():
    for source, target in ((nyala, keras), (keras, nyala)):
        one, other = make(source, "Adam", {"amsgrad": True}), make(target, "Adam", {"amsgrad": True})
        variables = variables_of(source)
        one.apply([tf.ones(variable.shape) for variable in variables], variables)
        other.build(variables_of(target))
        store: dict[str, Any] = {}
        one.save_own_variables(store)
        other.load_own_variables(store)
        assert_close(other.variables, one.variables)


PERSISTENT: list[Case] = [
    *DEFAULTS,
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1, "use_ema": True}, ""),
    ("RMSprop", {"momentum": 0.9, "centered": True}, ""),
    ("Adam", {"amsgrad": True, "gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2}, ""),
    ("LossScaleOptimizer", {"inner_optimizer": lambda of: of.Adam(), "dynamic_growth_steps": 2}, ""),
    ("MultiOptimizer", {"optimizer_map": lambda of: of.OptimizerMap(of.Adam(), {".*bias": of.SGD(momentum=0.9)})}, ""),
]


@pytest.mark.filterwarnings("ignore:The structure of")
@pytest.mark.parametrize("case", PERSISTENT, ids=label)
def test_training_goes_on_from_files_of_either_library(case, tmp_path):
    """Three steps there, saved, loaded here, three more; and the other way: as six steps in one go."""

    def model_of(library: Any) -> Any:
        model = library.Sequential([library.Input((3,)), library.layers.Dense(2, name="dense")])
        model.set_weights([np.arange(6, dtype="float32").reshape(3, 2) / 3 - 1, np.ones(2, "float32")])
        model.compile(make(library, *case[:2]))
        model.optimizer.build(model.trainable_variables)
        return model

    def step(model: Any, steps: range) -> Any:
        for index in steps:
            gradients = [tf.constant(np.cos(np.arange(6) + index).reshape(3, 2), "float32"), tf.ones(2) * index]
            model.optimizer.apply(gradients, model.trainable_variables)
        return model

    expected = step(model_of(keras), range(6))
    for writer, reader in ((keras, nyala), (nyala, keras)):
        path = tmp_path / f"{writer.__name__}.keras"
        step(model_of(writer), range(3)).save(path)
        model = step(reader.models.load_model(path), range(3, 6))
        assert type(model.optimizer).__name__ == case[0]
        assert_close(model.get_weights(), expected.get_weights())
        assert_close(model.optimizer.variables, expected.optimizer.variables, rtol=5e-5)


def test_loading_another_number_of_variables_warns_and_changes_nothing():
    optimizer = optimizers.SGD(0.5)
    with pytest.warns(UserWarning, match="holds 1 variables"):
        optimizer.load_own_variables({"0": 7})
    assert int(optimizer.iterations) == 0


def test_an_optimizer_of_ones_own():
    class Signs(optimizers.Optimizer):
        def __init__(self, learning_rate=0.5, **kwargs):
            super().__init__(learning_rate=learning_rate, **kwargs)

        def build(self, variables):
            if self.built:
                return
            super().build(variables)
            self.last = self.add_optimizer_variables(variables, "last", initializer="ones")

        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, learning_rate * tf.sign(gradient))
            self.assign(self.last[self._get_variable_index(variable)], gradient)

    variable = nyala.Variable([[1.0], [1.0]], name="w")
    optimizer = Signs(clipvalue=3.0, name="signs")
    optimizer.apply([tf.IndexedSlices([[5.0], [2.0]], [1, 1], [2, 1])], [variable])
    assert variable.numpy().tolist() == [[1.0], [0.5]]
    assert optimizer.variables[2].numpy().tolist() == [[0.0], [5.0]]
    assert [v.path for v in optimizer.variables] == ["signs/iteration", "signs/learning_rate", "signs/w_last"]
    assert Signs.from_config(optimizer.get_config()).clipvalue == 3.0


# ---- Averages, state and scale ----


def test_training_ends_with_the_averages():
    variable = nyala.Variable([1.0])
    optimizer = optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    for _ in range(2):
        optimizer.apply([[1.0]], [variable])
    optimizer.finalize_variable_values([variable])
    assert variable.numpy().tolist() == [0.25]


def test_stateless_apply_changes_nothing():
    optimizer, variable = optimizers.SGD(0.5, momentum=0.5), nyala.Variable([1.0])
    optimizer.build([variable])
    weights, state = optimizer.stateless_apply([0, 0.25, [0.5]], [[1.0]], [[2.0]])
    assert [value.numpy().tolist() for value in weights + state] == [[2.0], 1, 0.25, [0.0]]
    assert [one.numpy().tolist() for one in (variable, *optimizer.variables)] == [[1.0], 0, 0.5, [0.0]]


@pytest.mark.parametrize("how", ["eager", "graph", "XLA"])
def test_the_dynamic_loss_scale_follows_the_oracle(how):
    results = []
    for library in (nyala, keras):
        variable = library.Variable([1.0, 2.0], name="w")
        inner = make(library, "Adam", {"learning_rate": 0.1, "use_ema": True, "gradient_accumulation_steps": 2})
        optimizer = of(library).LossScaleOptimizer(inner, 8.0, dynamic_growth_steps=2, name="scaling")
        optimizer.build([variable])
        run = train_on(optimizer, [variable], how if library is nyala else "eager")
        for value in (8.0, 4.0, np.inf, 2.0, np.nan, 1.0, 1.0, 1.0):
            run(tf.constant([value, 8.0]))
        scaled = optimizer.scale_loss(tf.constant(2.0, "float16"))
        results.append(
            {
                "state": [variable, scaled, optimizer.iterations, optimizer.learning_rate, *optimizer.variables],
                "paths": [one.path for one in optimizer.variables],
                "config": json.dumps(optimizer.get_config()),
            }
        )
    assert_close(results[0]["state"], results[1]["state"])
    assert results[0]["paths"] == results[1]["paths"]
    assert json.loads(results[0]["config"]) == json.loads(results[1]["config"])


def test_the_loss_scale_stays_finite():
    variable = nyala.Variable([1.0])
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.0), initial_scale=2.0**126, dynamic_growth_steps=1)
    for _ in range(3):
        optimizer.apply([[1.0]], [variable])
    assert float(optimizer.dynamic_scale) == 2.0**127


# ---- Several optimizers ----


def several(library: Any, loss_scale_factor: float | None = None) -> Any:
    chosen = {"dense/.*": make(library, "SGD", {"learning_rate": 0.1}), "out/kernel": make(library, "RMSprop", {})}
    default = make(library, "Adam", {"weight_decay": 0.1})
    return of(library).MultiOptimizer(of(library).OptimizerMap(default, chosen), loss_scale_factor, name="several")


def layers_of(library: Any) -> list[Any]:
    layers = [library.layers.Dense(2, name="dense"), library.layers.Dense(1, name="out")]
    for layer, features in zip(layers, (3, 2), strict=True):
        layer.build((None, features))
    return layers


@pytest.mark.parametrize("how", ["eager", "graph"])
def test_several_optimizers_follow_the_oracle(how):
    results = []
    for library in (nyala, keras):
        variables = [variable for layer in layers_of(library) for variable in layer.trainable_variables]
        for variable in variables:
            variable.assign(np.ones(variable.shape))
        optimizer = several(library, 4.0)
        optimizer.build(variables)
        run = train_on(optimizer, variables, how)
        for _ in range(3):
            run(*[tf.fill(variable.shape, 0.5) for variable in variables])
        state = [*variables, *optimizer.variables, optimizer.iterations, optimizer.scale_loss(tf.constant(2.0))]
        paths = [one.path for one in optimizer.variables]
        results.append({"state": state, "paths": paths, "config": optimizer.get_config()})
        assert len(optimizer.optimizers) == 3
    assert_close(results[0]["state"], results[1]["state"])
    assert results[0]["paths"] == results[1]["paths"]
    assert results[0]["config"] == results[1]["config"]
    back = optimizers.deserialize(keras.optimizers.serialize(several(keras)))
    assert back.get_config() == several(nyala).get_config()


def biases(path: str) -> bool:
    return path.endswith("bias")


def test_layers_and_functions_choose_optimizers():
    dense, out = layers_of(nyala)
    chosen = optimizers.OptimizerMap(
        optimizers.SGD(0.0), {dense: optimizers.SGD(0.5), "out/kernel": optimizers.SGD(0.25)}
    )
    assert list(chosen.get_config()["optimizer_map"]) == ["dense/.*", "out/kernel"]
    for variable in (dense.kernel, out.kernel, out.bias):
        variable.assign(tf.ones(variable.shape))
    variables = [dense.kernel, out.kernel, out.bias]
    optimizers.MultiOptimizer(chosen).apply([tf.ones(variable.shape) for variable in variables], variables)
    assert [float(tf.reduce_mean(variable.value)) for variable in variables] == [0.5, 0.75, 1.0]
    by_function = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.5), {biases: optimizers.Adam()}))
    with nyala.core.config.custom_object_scope({"biases": biases}):
        back = optimizers.deserialize(optimizers.serialize(by_function))
    assert type(back.optimizer_map["dense/bias"]).__name__ == "Adam"
    assert type(back.optimizer_map["dense/kernel"]).__name__ == "SGD"


def test_a_share_without_gradients_rests():
    dense, out = layers_of(nyala)
    optimizer = several(nyala)
    variables = dense.trainable_variables + out.trainable_variables
    with pytest.warns(UserWarning, match="alone: dense/kernel, dense/bias"):
        optimizer.apply([None, None, tf.ones((2, 1)), tf.ones((1,))], variables)
    assert [int(one.iterations) for one in optimizer.optimizers] == [0, 1, 1]


def test_mistakes_in_an_optimizer_map_are_errors():
    sgd = optimizers.SGD()
    chosen = optimizers.OptimizerMap(sgd, {"dense/.*": sgd, ".*kernel": optimizers.Adam()})
    for action, error, message in [
        (lambda: chosen["dense/kernel"], ValueError, "all claim `dense/kernel`"),
        (lambda: chosen.update({"dense/.*": sgd}), ValueError, "in the OptimizerMap already"),
        (lambda: chosen.update({3: sgd}), ValueError, "a string, a layer or a function"),
        (lambda: chosen.update({"a": "sgd"}), TypeError, "an optimizer for the key 'a'"),
        (lambda: optimizers.OptimizerMap("adam"), TypeError, "as default_optimizer"),
        (lambda: optimizers.MultiOptimizer({"a": sgd}), TypeError, "takes an OptimizerMap"),
        (lambda: several(nyala).learning_rate, AttributeError, "several learning rates"),
        (lambda: setattr(several(nyala), "learning_rate", 0.1), AttributeError, "several learning rates"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            action()
    multi = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.Adam(), {"dense": sgd}))
    with pytest.warns(UserWarning, match="The key 'dense' .* claims no variable"):
        multi.build(layers_of(nyala)[0].trainable_variables)
