"""What one library saves the other loads: same weights, outputs, evaluation, and the same further training."""

from __future__ import annotations

import json
import zipfile

import h5py
import numpy as np
import pytest

import nyala
from tests.oracle import assert_close, keras, to_numpy
from tests.saving.kinds import KINDS, shared_across, trained

# Each layer is saved and loaded both ways in tests/layers/test_every_layer.py; these take long for what they add.
SLOW = ("lstm", "gru", "simple_rnn", "words")
SAVED = [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in KINDS]
WAYS = {"here": (nyala, nyala), "to Keras": (nyala, keras), "from Keras": (keras, nyala)}


def arrays_in(path):
    """Every array of a weights file by its place, and the name behind each group that holds some."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]
        elif "name" in item.attrs:
            found[name] = item.attrs["name"]

    with h5py.File(path) as file:
        file.visititems(visit)
    return {place: value for place, value in found.items() if not isinstance(value, str) or f"{place}/0" in found}


def weights_of(path, folder):
    with zipfile.ZipFile(path) as archive:
        return arrays_in(archive.extract("model.weights.h5", folder))


@pytest.mark.parametrize("writer", [nyala, keras], ids=["ours", "theirs"])
@pytest.mark.parametrize("kind", SAVED)
def test_saved_and_loaded(kind, writer, tmp_path):
    """Bit-equal weights and optimizer state, equal outputs and evaluation, and three more steps that end alike."""
    build, x, y, _ = KINDS[kind]
    readers = (nyala, keras) if writer is nyala else (nyala,)
    for reader in readers:
        build(reader)  # registers the classes
    model = trained(writer, kind)
    model.save(tmp_path / "model.keras")
    copies = [reader.saving.load_model(tmp_path / "model.keras") for reader in readers]
    if writer is nyala:
        check_layout(kind, copies[1], tmp_path)
    tolerance = 1e-2 if kind == "mixed" else 1e-6  # bfloat16 rounds to 8 bits, and fused operations round differently
    for loaded in copies:
        assert type(loaded).__name__ == type(model).__name__
        for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        assert_close(loaded.optimizer.variables, model.optimizer.variables, 0, 0)
        assert_close(loaded.predict(x, verbose=0), model.predict(x, verbose=0), tolerance, tolerance)
        one, other = (m.evaluate(x, y, verbose=0, return_dict=True) for m in (loaded, model))
        assert_close(one, other, tolerance * 10, tolerance)
    for some in (model, *copies):
        for _ in range(3):
            some.train_on_batch(x, y)
    for loaded in copies:
        assert_close(loaded.get_weights(), model.get_weights(), tolerance * 10, tolerance * 10)


def check_layout(kind, loaded, folder):
    """A file of ours has the groups, arrays and names that the reference makes of it, and the states of seeds."""
    loaded.save(folder / "theirs.keras")
    ours, theirs = weights_of(folder / "model.keras", folder), weights_of(folder / "theirs.keras", folder)
    ours = {place: value for place, value in ours.items() if "/seed_generator/" not in place}
    assert set(ours) == set(theirs)
    assert_close(*[{k: v for k, v in found.items() if not isinstance(v, str)} for found in (ours, theirs)], 0, 0)
    if kind not in ("blocks", "functional_subclass"):  # whose constructors give new names
        assert {k: v for k, v in ours.items() if isinstance(v, str)} == {
            k: v for k, v in theirs.items() if isinstance(v, str)
        }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["stack", "nested", "blocks", "lstm"])
def test_weights_file(kind, way, tmp_path):
    """`.weights.h5` files go both ways, with the optimizer's state."""
    writer, reader = WAYS[way]
    _, x, _, _ = KINDS[kind]
    model, other = trained(writer, kind), trained(reader, kind)
    for variable in other.weights:
        variable.assign(variable.numpy() * 0 + 0.5)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for one, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, expected)
    assert_close(other.optimizer.variables, model.optimizer.variables, 0, 0)
    assert_close(other.predict(x, verbose=0), model.predict(x, verbose=0), 1e-6, 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_json_both_ways(kind):
    """The architecture as JSON makes the same model there and here."""
    build, x, _, _ = KINDS[kind]
    for writer, reader in ((nyala, keras), (keras, nyala), (nyala, nyala)):
        build(reader)  # registers the classes
        model = build(writer)
        model(x)
        again = reader.models.model_from_json(model.to_json())
        if not again.built:
            again(x)
        assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
        again.set_weights(model.get_weights())
        tolerance = 1e-2 if kind == "mixed" else 1e-6
        assert_close(to_numpy(again(x)), to_numpy(model(x)), tolerance, tolerance)


def test_saved_before_the_first_step(tmp_path):
    """The optimizer's state is small then, and loads without a complaint, in both directions."""
    for name, (writer, reader) in WAYS.items():
        if reader is nyala:
            model = writer.Sequential([writer.Input((3,)), writer.layers.Dense(2)])
            model.compile("adam", "mse")
            model.save(tmp_path / f"{name}.keras")
            loaded = reader.saving.load_model(tmp_path / f"{name}.keras")
            assert int(loaded.optimizer.iterations) == 0


def test_compile_false_leaves_the_optimizer_out(tmp_path):
    model = trained(nyala, "stack")
    model.save(tmp_path / "model.keras")
    loaded = nyala.saving.load_model(tmp_path / "model.keras", compile=False)
    assert not loaded.compiled
    assert_close(loaded.get_weights(), model.get_weights(), 0, 0)


def test_uncompiled_and_unbuilt(tmp_path):
    model = nyala.Sequential([nyala.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    for reader in (nyala, keras):
        loaded = reader.saving.load_model(tmp_path / "model.keras")
        assert not loaded.built
        assert loaded(np.ones((1, 3), "float32")).shape == (1, 2)


def test_one_object_stays_one(tmp_path):
    """An object that stands at two places of a config is one object again."""
    for writer, reader in WAYS.values():
        made = {}
        for lib in {writer, reader}:

            class Twice(lib.layers.Layer):
                def __init__(self, a, b, **options):
                    super().__init__(**options)
                    self.a, self.b = a, b

                def get_config(self, lib=lib):
                    parts = {key: lib.saving.serialize_keras_object(getattr(self, key)) for key in "ab"}
                    return {**super().get_config(), **parts}

                @classmethod
                def from_config(cls, config, lib=lib):
                    parts = {key: lib.saving.deserialize_keras_object(config.pop(key)) for key in "ab"}
                    return cls(**parts, **config)

                def call(self, x):
                    return self.a(x) + self.b(x)

            made[lib] = Twice
        dense = writer.layers.Dense(2)
        model = writer.Sequential([writer.Input((3,)), made[writer](dense, dense)])
        model.save(tmp_path / "model.keras")
        loaded = reader.saving.load_model(tmp_path / "model.keras", custom_objects={"Twice": made[reader]})
        assert loaded.layers[0].a is loaded.layers[0].b
        assert len(loaded.weights) == 2


def test_a_model_on_two_levels_stays_one(tmp_path):
    model = shared_across(nyala)
    model.save(tmp_path / "model.keras")
    loaded = nyala.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("inside") is loaded.get_layer("middle").get_layer("inside")
    assert_close(loaded.get_weights(), model.get_weights(), 0, 0)


def test_a_list_of_one_output(tmp_path):
    """Values come without the list, symbolic tensors with it, there and here, before and after a file."""
    for writer, reader in WAYS.values():
        x = writer.Input((3,))
        model = writer.Model([x], [writer.layers.Dense(2)(x)])
        model.save(tmp_path / "model.keras")
        for some, lib in ((model, writer), (reader.saving.load_model(tmp_path / "model.keras"), reader)):
            values = np.ones((4, 3), "float32")
            assert to_numpy(some([values])).shape == some.predict_on_batch([values]).shape == (4, 2)
            assert [y.shape for y in some([lib.Input((3,))])] == [(None, 2)]


def test_metadata_is_what_the_reference_writes(tmp_path):
    trained(nyala, "stack").save(tmp_path / "ours.keras")
    trained(keras, "stack").save(tmp_path / "theirs.keras")
    found = {}
    for name in ("ours", "theirs"):
        with zipfile.ZipFile(tmp_path / f"{name}.keras") as archive:
            found[name] = (archive.namelist(), json.loads(archive.read("metadata.json")))
    assert found["ours"][0] == found["theirs"][0]
    assert found["ours"][1]["keras_version"] == found["theirs"][1]["keras_version"]
    assert len(found["ours"][1]["date_saved"]) == len(found["theirs"][1]["date_saved"])
