"""Training on another device than the first.

No GPU is at hand where these tests run. What is covered: a second logical CPU device, which TensorFlow treats as a
device of its own (variables and arrays live there and are copied between the two), and an explicit `tf.device` scope.
What is not: kernels of a GPU, and the rule that chooses a plan for one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json
import sys
import numpy as np
import nyala
from nyala.core.engine import tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
x = np.random.default_rng(0).normal(size=(37, 4)).astype("float32")
y = np.random.default_rng(1).integers(0, 3, 37)


def train(device, plan):
    with tf.device(device):
        nyala.utils.set_random_seed(5)
        layers = [nyala.layers.Dense(6, activation="tanh"), nyala.layers.Dropout(0.2), nyala.layers.Dense(3)]
        model = nyala.Sequential([nyala.Input((4,)), *layers])
        loss = nyala.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], **plan)
        history = model.fit(x, y, batch_size=8, epochs=2, validation_split=0.2, verbose=0)
        dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
        model.fit(dataset, verbose=0)
        return {
            "weights": [w.tolist() for w in model.get_weights()],
            "predictions": model.predict(x, verbose=0).tolist(),
            "loss": history.history["loss"],
            "placed": sorted({w.value.device[-5:] for w in model.weights}),
        }


plans = {"eager": {"run_eagerly": True}, "graph": {"jit_compile": False}}
devices = {"none": None, "first": "/CPU:0", "second": "/CPU:1"}
print(json.dumps({p: {d: train(at, options) for d, at in devices.items()} for p, options in plans.items()}))
"""


@pytest.fixture(scope="module")
def trained():
    """What the same training gives on each device, from one process with two logical CPU devices."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("device", ["first", "second"])
@pytest.mark.parametrize("plan", ["eager", "graph"])
def test_the_same_training_gives_the_same_weights_on_each_device(trained, plan, device):
    """Shuffling and dropout included: the weights, losses and predictions are those without a device scope."""
    expected, found = trained[plan]["none"], trained[plan][device]
    for key in ("loss", "predictions"):
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-6)
    for one, other in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_weights_live_on_the_device_they_were_made_on(trained):
    for plan in trained.values():
        assert plan["first"]["placed"] == ["CPU:0"]
        assert plan["second"]["placed"] == ["CPU:1"]
