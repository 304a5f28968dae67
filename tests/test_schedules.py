"""Learning-rate schedules: the oracle's numbers, in every way to run, as the rate of every optimizer."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import nyala
from nyala import optimizers
from nyala.core.engine import tf
from nyala.optimizers import schedules
from tests.oracle import assert_close, keras

STEPS = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 17, 30, 100, 1000)

ROWS = [
    ("ExponentialDecay", (0.1, 7, 0.5), {}),
    ("ExponentialDecay", (0.1, 7, 0.5), {"staircase": True}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {}),
    ("InverseTimeDecay", (0.1, 7, 0.5), {"staircase": True, "name": "slower"}),
    ("PiecewiseConstantDecay", ([3, 10], [1.0, 0.5, 0.1]), {}),
    ("PiecewiseConstantDecay", ([3.5, 10.0], [1.0, 0.5, 0.1]), {}),
    ("PolynomialDecay", (0.1, 10), {}),
    ("PolynomialDecay", (0.1, 10), {"end_learning_rate": 0.02, "power": 0.5}),
    ("PolynomialDecay", (0.1, 10), {"cycle": True}),
    ("CosineDecay", (0.1, 10), {}),
    ("CosineDecay", (0.1, 10), {"alpha": 0.2}),
    ("CosineDecay", (0.1, 10), {"alpha": 0.2, "warmup_target": 0.5, "warmup_steps": 5}),
    ("CosineDecay", (0.1, 10), {"warmup_target": 0.05, "warmup_steps": 0}),
    ("CosineDecayRestarts", (0.1, 10), {}),
    ("CosineDecayRestarts", (0.1, 10), {"t_mul": 1.0, "m_mul": 0.5, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 10), {"t_mul": 1.5, "m_mul": 0.9}),
]
IDS = ["-".join([name, *options]) for name, _, options in ROWS]


@pytest.mark.parametrize(("name", "arguments", "options"), ROWS, ids=IDS)
def test_schedules_give_the_oracles_rates(name, arguments, options):
    ours = getattr(schedules, name)(*arguments, **options)
    theirs = getattr(keras.optimizers.schedules, name)(*arguments, **options)
    expected = [theirs(step) for step in STEPS]
    traced = tf.function(lambda step: ours(step), autograph=False)
    compiled = tf.function(lambda step: ours(step), autograph=False, jit_compile=True)
    for compute in (
        ours,
        lambda step: traced(tf.constant(step, "int64")),
        lambda step: compiled(tf.constant(step, "int64")),
    ):
        assert_close([compute(step) for step in STEPS], expected, atol=1e-8)
    assert ours(3).dtype == tf.float32


@pytest.mark.parametrize(("name", "arguments", "options"), ROWS, ids=IDS)
def test_configs_go_both_ways(name, arguments, options):
    ours = getattr(schedules, name)(*arguments, **options)
    theirs = getattr(keras.optimizers.schedules, name)(*arguments, **options)
    assert schedules.serialize(ours) == keras.optimizers.schedules.serialize(theirs)
    data = json.loads(json.dumps(schedules.serialize(ours)))
    assert schedules.deserialize(data).get_config() == theirs.get_config()
    assert keras.optimizers.schedules.deserialize(data).get_config() == theirs.get_config()


@pytest.mark.parametrize(
    "name",
    ["SGD", "RMSprop", "Adam", "AdamW", "Adadelta", "Adagrad", "Adamax", "Adafactor", "Nadam", "Ftrl", "Lion", "Lamb",
     "Muon", "ScheduleFreeAdamW"],
)  # fmt: skip
def test_each_optimizer_follows_a_schedule(name):
    ends = []
    for library, home in ((nyala, optimizers), (keras, keras.optimizers)):
        variable = library.Variable([[1.0, -2.0], [0.5, 1.0]], name="w")
        optimizer = getattr(home, name)(home.schedules.InverseTimeDecay(0.1, 2, 0.5), name="one")
        for gradient in np.random.RandomState(0).normal(size=(6, 2, 2)).astype("float32"):
            optimizer.apply([tf.constant(gradient)], [variable])
        ends.append([variable, optimizer.learning_rate, len(optimizer.variables)])
    assert_close(ends[0], ends[1])


def test_a_schedule_of_ones_own_is_data_too():
    class Halving(schedules.LearningRateSchedule):
        def __init__(self, initial, every=2):
            self.initial = initial
            self.every = every

        def __call__(self, step):
            return self.initial * 0.5 ** tf.cast(step // self.every, "float32")

    optimizer = optimizers.SGD(Halving(1.0, every=1))
    with nyala.core.config.custom_object_scope({"Halving": Halving}):
        back = optimizers.deserialize(optimizers.serialize(optimizer))
    variable = nyala.Variable([0.0])
    for _ in range(3):
        back.apply([[1.0]], [variable])
    assert variable.numpy().tolist() == [-1.75]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), ValueError, "ExponentialDecay needs decay_steps > 0"),
        (lambda: schedules.InverseTimeDecay(0.1, -1, 0.5), ValueError, "InverseTimeDecay needs decay_steps > 0"),
        (lambda: schedules.PolynomialDecay(0.1, 0), ValueError, "PolynomialDecay needs decay_steps > 0"),
        (lambda: schedules.CosineDecay(0.1, 0), ValueError, "CosineDecay needs decay_steps > 0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), ValueError, "needs first_decay_steps > 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1.0]), ValueError, "one value more than boundaries"),
        (lambda: schedules.LearningRateSchedule()(1), TypeError, "defines no `__call__"),
    ],
)
def test_errors_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
