"""The face of the package: its names resolve, importing it is cheap, and it never brings Keras along."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nyala

SCRIPTS = {
    "importing loads neither TensorFlow nor Keras": """
import sys
import nyala
assert not {name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "tf_keras", "h5py"}
assert nyala.__version__
""",
    "training never loads Keras, and tf.keras works when asked for": """
import sys
import numpy as np
import nyala
model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2), nyala.layers.Dropout(0.5), nyala.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
model.fit(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"), batch_size=4, verbose=0)
model.evaluate(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"), verbose=0)
model.predict(np.ones((8, 3), "float32"), verbose=0)
loaded = {name.split(".")[0] for name in sys.modules}
assert "tensorflow" in loaded and not loaded & {"keras", "tf_keras"}, loaded & {"keras", "tf_keras"}
import tensorflow as tf
x = tf.keras.Input((3,))
theirs = tf.keras.Model(x, tf.keras.layers.Dense(2, activation="relu")(x))
y = nyala.Input((3,))
ours = nyala.Model(y, tf.nn.relu(nyala.layers.Dense(2)(y)))
ours.set_weights(theirs.get_weights())
data = np.ones((2, 3), "float32")
np.testing.assert_allclose(ours(data), theirs(data), rtol=1e-5)
assert "keras" in sys.modules
""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_in_a_process_of_its_own(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_all_is_sorted_and_without_doubles():
    assert list(nyala.__all__) == sorted(set(nyala.__all__))
    assert dir(nyala) == nyala.__all__


@pytest.mark.parametrize("name", nyala.__all__)
def test_name_resolves(name):
    thing = getattr(nyala, name)
    assert thing is not None
    for inner in getattr(thing, "__all__", ()):  # of a module
        assert getattr(thing, inner) is not None


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'nyala' has no attribute 'Lyers'"):
        nyala.Lyers  # noqa: B018 - looking it up is the test
