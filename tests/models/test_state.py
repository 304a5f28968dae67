"""The state of a model as values: trees, losses without side effects, and what training steps for Keras 2 use."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def trained(library: Any) -> Any:
    layers = library.layers
    model = library.Sequential(
        [
            library.Input((3,)),
            layers.Dense(4, kernel_initializer="ones", kernel_regularizer="l2", name="hidden"),
            layers.BatchNormalization(name="normal"),
            layers.Dropout(0.0, seed=3, name="drop"),
            layers.Dense(1, kernel_initializer="ones", name="out"),
        ],
        name="net",
    )
    model.compile(library.optimizers.SGD(momentum=0.9, name="sgd"), "mse", metrics=["mean_absolute_error"])
    model.fit(X, Y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return model


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    return {at: leaf for name, branch in tree.items() for at, leaf in leaves(branch, f"{path}/{name}").items()}


def test_tree_is_that_of_the_reference() -> None:
    ours, theirs = (leaves(trained(library).get_state_tree("numpy_array")) for library in (nyala, keras))
    seeds = {path for path in theirs if "seed_generator" in path}  # of which the reference numbers the names
    assert ours.keys() - seeds == theirs.keys() - seeds
    for path, value in theirs.items():
        if path not in seeds:
            assert_close(ours[path], value, 1e-4, 1e-5)


def test_a_tree_brings_a_model_back() -> None:
    model = trained(nyala)
    before = model.get_state_tree()
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    later = model.get_state_tree("numpy_array")
    model.set_state_tree(before)
    assert_close(leaves(model.get_state_tree("numpy_array")), leaves(before))
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_close(leaves(model.get_state_tree("numpy_array")), leaves(later), 1e-6, 1e-7)


def test_all_that_does_not_fit_is_named_and_nothing_is_assigned() -> None:
    model = trained(nyala)
    before = model.get_weights()
    tree = model.get_state_tree("numpy_array")
    tree["trainable_variables"]["net"]["out"]["kernel"] = np.zeros(5)
    tree["trainable_variables"]["net"]["hidden"]["kernel"][:] = 0
    tree["non_trainable_variables"]["net"]["more"] = {"w": 1.0}
    tree["gradients"] = {}
    with pytest.raises(
        ValueError, match=r"'net/out/kernel' has shape \(4, 1\), not \(5,\); non_trainable_variables"
    ) as e:
        model.set_state_tree(tree)
    assert "has no 'net/more/w'" in str(e.value)
    assert "'gradients' is none of" in str(e.value)
    assert_close(model.get_weights(), before)
    with pytest.raises(ValueError, match="one of 'backend_tensor', 'numpy_array', but got 'x'"):
        model.get_state_tree("x")


def test_two_variables_of_one_path() -> None:
    class Twins(nyala.Model):
        def __init__(self) -> None:
            super().__init__()
            self.twins = [nyala.layers.Dense(1, name="twin"), nyala.layers.Dense(1, name="twin")]

        def call(self, inputs: Any) -> Any:
            return self.twins[0](inputs) + self.twins[1](inputs)

    model = Twins()
    model(X)
    with pytest.raises(ValueError, match="Two variables have the path 'twins/twin/kernel'"):
        model.get_state_tree()


def test_loss_of_given_values() -> None:
    model = trained(nyala)
    groups = [model.trainable_variables, model.non_trainable_variables, model.metrics_variables]
    values = [[tf.zeros(v.shape, v.dtype) for v in group] for group in groups]
    before = model.get_state_tree("numpy_array")
    loss, after = model.stateless_compute_loss(*values, x=X, y=Y, y_pred=np.zeros_like(Y))
    assert_close(loss, np.mean(Y**2), 1e-5)  # the regularizer sees kernels of zeros
    assert [len(group) for group in after] == [len(group) for group in groups]
    assert_close(leaves(model.get_state_tree("numpy_array")), leaves(before))
    with pytest.raises(ValueError, match=r"`net` has 6 trainable_variables, but stateless_compute_loss\(\) got 0"):
        model.stateless_compute_loss([], [], [], x=X, y=Y, y_pred=Y)


def test_a_training_step_as_written_for_keras_2() -> None:
    def make(library: Any) -> Any:
        class Old(library.Sequential):
            def train_step(self, data: Any) -> Any:
                x, y = data
                with tf.GradientTape() as tape:
                    y_pred = self(x, training=True)
                    loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
                gradients = tape.gradient(loss, [v.value for v in self.trainable_variables])
                self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
                self.compiled_metrics.update_state(y, y_pred)
                return {metric.name: metric.result() for metric in self.metrics if metric.name != "loss"}

        dense = library.layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")
        model = Old([library.Input((3,)), dense])
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    ours, theirs = make(nyala), make(keras)
    history = ours.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that `compiled_loss` is old
        theirs.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_close(ours.get_weights(), theirs.get_weights(), 1e-5, 1e-6)
    assert_close(history["mae"][-1], theirs.metrics[1].metrics[0].result(), 1e-5)
    assert ours.distribute_strategy is tf.distribute.get_strategy()
    assert ours.distribute_reduction_method == "auto"
