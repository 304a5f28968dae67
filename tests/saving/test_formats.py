"""Weights in shards, in `.npz` and in `.safetensors`; the editor; a save that is killed; what is saved is everything."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import nyala
from tests.oracle import assert_close, keras


def trained(lib=nyala, seed=0):
    layers = lib.layers
    model = lib.Sequential([lib.Input((3,)), layers.Dense(20), layers.BatchNormalization(), layers.Dense(4)], name="m")
    model.compile("adam", "mse", run_eagerly=True)
    model.train_on_batch(np.ones((2, 3), "float32"), np.full((2, 4), seed, "float32"))
    return model


def assert_same(one, other):
    assert_close(one.get_weights(), other.get_weights(), 0, 0)
    assert_close(one.optimizer.variables, other.optimizer.variables, 0, 0)


def test_shards_go_both_ways(tmp_path):
    models = {lib: trained(lib, 1) for lib in (nyala, keras)}
    for writer, model in models.items():
        last = "b.weights.h5" if writer is nyala else "b.weights.json"  # where the reference warns that it renames
        for name, limit, count in (("a.weights.json", 500 / 2**30, 7), (last, 1.0, 1)):
            folder = tmp_path / f"{writer.__name__}{count}"
            folder.mkdir()
            model.save_weights(folder / name, max_shard_size=limit)
            index = json.loads((folder / f"{name[0]}.weights.json").read_text())
            assert index["metadata"]["total_size"] == sum(
                v.numpy().nbytes for v in (*model.weights, *model.optimizer.variables)
            )
            shards = sorted(path.name for path in folder.glob("*.weights.h5"))
            assert len(shards) > 1 if count > 1 else shards == ["b_00000.weights.h5"]
            for reader in (nyala, keras):
                other = trained(reader)
                other.load_weights(folder / f"{name[0]}.weights.json")
                assert_same(other, model)
    ours, theirs = (sorted(p.name for p in (tmp_path / f"{lib}7").iterdir()) for lib in ("nyala", "keras"))
    assert ours == theirs


def test_fewer_shards_take_the_place_of_more(tmp_path):
    model, path = trained(), tmp_path / "a.weights.json"
    model.save_weights(path, max_shard_size=500 / 2**30)
    model.save_weights(path, max_shard_size=1.0)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.weights.json", "a_00000.weights.h5"]
    with pytest.raises(ValueError, match=r"max_shard_size allows \(10\)"):
        model.save_weights(path, max_shard_size=10 / 2**30)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.weights.json", "a_00000.weights.h5"]
    trained().load_weights(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(weight_map=None), lambda m: m.update(weight_map={"/vars": 3}),
        lambda m: m["weight_map"].update({"/vars": ["../a_00000.weights.h5"]}),
        lambda m: m["weight_map"].update({"/vars": ["/etc/passwd"]}),
        lambda m: m["weight_map"].update({"/vars": ["other.weights.h5"]}),
        lambda m: m["weight_map"].update({"/vars": ["link.weights.h5"]}),
        lambda m: m["weight_map"].update({f"/{place}": [f"{place}.weights.h5"] for place in range(11_000)}),
        lambda m: m["weight_map"].pop("/layers/dense/vars"),
        lambda m: m.update(unfinished=3),
        lambda m: m.update(unfinished=dict(m), lying={"b_00000.weights.h5": f".b_00000.weights.h5.{'0' * 16}.tmp"}),
        lambda m: m.update(unfinished=dict(m), lying={"a_00000.weights.h5": "../a_00000.weights.h5"}),
        lambda m: m.update(unfinished={**m, "weight_map": {"/vars": ["gone.weights.h5"]}}, lying={}),
    ],
)  # fmt: skip
def test_hostile_shards(change, tmp_path):
    model, path = trained(), tmp_path / "a.weights.json"
    model.save_weights(path, max_shard_size=1.0)
    (tmp_path / "link.weights.h5").symlink_to("/etc/passwd")
    index = json.loads(path.read_text())
    index["metadata"] = {"total_size": 1.0}  # as the reference writes it, and whoever wants no checksum compared
    change(index)
    path.write_text(json.dumps(index))
    with pytest.raises((ValueError, FileNotFoundError), match=r"weights\.(json|h5)"):
        model.load_weights(path)
    other = tmp_path / f".b_00000.weights.h5.{'0' * 16}.tmp"
    other.write_bytes(b"of somebody else")
    model.save_weights(path, max_shard_size=1.0)
    model.load_weights(path)
    assert other.exists()


def test_shards_of_another_save(tmp_path):
    """Each shard is whole, but they do not belong together; an index that was changed says so too."""
    model, path = trained(seed=1), tmp_path / "a.weights.json"
    model.save_weights(path, max_shard_size=500 / 2**30)
    shard, index = tmp_path / "a_00002.weights.h5", json.loads(path.read_text())
    before = shard.read_bytes()
    trained(seed=2).save_weights(path, max_shard_size=500 / 2**30)
    shard.write_bytes(before)
    with pytest.raises(
        ValueError, match=r"a_00002\.weights\.h5 is another file than .*a\.weights\.json was saved with"
    ):
        trained().load_weights(path)
    index["weight_map"]["/layers/dense/vars"] = ["a_00001.weights.h5"]
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"a\.weights\.json is damaged"):
        trained().load_weights(path)


def test_flat_files(tmp_path):
    """What is written here NumPy and the `safetensors` package read, and what they write is read here."""
    model = trained(seed=1)
    others = {".npz": lambda path: dict(np.load(path)), ".safetensors": load_file}
    for suffix, read in others.items():
        model.save_weights(tmp_path / f"m{suffix}")
        other = trained()
        other.load_weights(tmp_path / f"m{suffix}")
        assert_same(other, model)
        arrays = read(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(arrays["layers/dense/vars/0"], model.layers[0].kernel.numpy())
    save_file(arrays, tmp_path / "o.safetensors")
    np.savez_compressed(
        tmp_path / "o.npz", **{**arrays, "layers/dense/vars/0": np.asfortranarray(arrays["layers/dense/vars/0"])}
    )
    for suffix in others:
        other = trained()
        other.load_weights(tmp_path / f"o{suffix}")
        assert_same(other, model)
    small = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2, dtype="bfloat16")])
    small.save_weights(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(load_file(tmp_path / "s.safetensors")["layers/dense/vars/0"], small.get_weights()[0])
    small.load_weights(tmp_path / "s.safetensors")
    with pytest.raises(ValueError, match="bfloat16"):
        small.save_weights(tmp_path / "s.npz")
    with pytest.raises(ValueError, match="layers/dense_1/vars/0"):
        small.load_weights(tmp_path / "m.npz")


def npz(change):
    def write(path):
        with zipfile.ZipFile(path) as archive:
            data = {name: archive.read(name) for name in archive.namelist()}
        change(data)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in data.items():
                archive.writestr(name, content)

    return write


def pickled(data):
    import io

    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([print], dtype=object), allow_pickle=True)
    data[NPY] = file.getvalue()


def header(text):
    body = text.encode().ljust(118) + b"\n"
    return lambda data: data.update({NPY: b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body})


NPY = "layers/dense/vars/0.npy"
HOSTILE_NPZ = {
    "a pickle": npz(pickled),
    "a shape bomb": npz(header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1048576)}")),
    "a negative shape": npz(header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}")),
    "a header that is code": npz(header("__import__('os').system('x')")),
    "an oversized header": npz(lambda d: d.update({NPY: b"\x93NUMPY\x02\x00" + (50_000).to_bytes(4, "little") + b" " * 50_000})),
    "texts": npz(header("{'descr': '<U2', 'fortran_order': False, 'shape': ()}")),
    "no array": npz(lambda d: d.update({NPY: b"x"})),
    "missing": npz(lambda d: d.pop(NPY)),
    "extra": npz(lambda d: d.update({"other/vars/0.npy": d[NPY]})),
    "zeros": npz(lambda d: d.update({NPY: d[NPY][:128] + bytes(1 << 24)})),
    "no archive": lambda path: path.write_bytes(b"x"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_NPZ)
def test_hostile_npz(case, tmp_path):
    model, path = trained(), tmp_path / "m.npz"
    model.save_weights(path)
    HOSTILE_NPZ[case](path)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"m\.npz"):
        model.load_weights(path)
    assert_close(model.get_weights(), before, 0, 0)


def tensors(change):
    def write(path):
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        table = json.loads(data[8 : 8 + size])
        change(table)
        text = json.dumps(table).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])

    return write


def at(key, value):
    return tensors(lambda table: table["layers/dense/vars/0"].update({key: value}))


HOSTILE_TENSORS = {
    "a shape bomb": at("shape", [1 << 40, 1 << 20]),
    "offsets outside": at("data_offsets", [0, 1 << 40]),
    "offsets backwards": at("data_offsets", [240, 0]),
    "overlapping": tensors(lambda t: t["layers/dense/vars/1"].update(data_offsets=[0, 80])),
    "a negative shape": at("shape", [-3, -20]),
    "a float as a shape": at("shape", [3.0, 20.0]),
    "an unknown dtype": at("dtype", "O"),
    "no offsets": at("data_offsets", None),
    "no dict": tensors(lambda t: t.update({"layers/dense/vars/0": 3})),
    "missing": tensors(lambda t: t.pop("layers/dense/vars/0")),
    "a header beyond the file": lambda path: path.write_bytes((1 << 62).to_bytes(8, "little") + path.read_bytes()[8:]),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-4]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"1234"),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("case", HOSTILE_TENSORS)
def test_hostile_safetensors(case, tmp_path):
    model, path = trained(), tmp_path / "m.safetensors"
    model.save_weights(path)
    HOSTILE_TENSORS[case](path)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"m\.safetensors"):
        model.load_weights(path)
    assert_close(model.get_weights(), before, 0, 0)


# ---- The editor ----


def test_editor(tmp_path, capsys):
    model = trained()
    model.save(tmp_path / "m.keras")
    theirs = keras.saving.KerasFileEditor(str(tmp_path / "m.keras"))
    ours = nyala.saving.KerasFileEditor(tmp_path / "m.keras")
    assert ours.compare(model)["status"] == "success"
    for editor in (ours, theirs):
        editor.rename_object("layers/dense", "first")
        editor.delete_object("layers/dense_1")
        editor.add_object("layers/new", {"0": np.ones((2, 2), "float32")})
        editor.add_weights("layers/new", {"1": np.ones(3, "float32")})
        editor.delete_weight("layers/new", "0")
        editor.save(str(tmp_path / f"{type(editor).__module__.split('.')[0]}.weights.h5"))
    contents = []
    for name in ("nyala", "keras"):
        contents.append({})
        with h5py.File(tmp_path / f"{name}.weights.h5") as root:
            root.visititems(lambda p, item: contents[-1].__setitem__(p, item[()]) if hasattr(item, "shape") else None)
    assert_close(*contents, 0, 0)
    found = ours.compare(model)
    assert (found["status"], found["error_count"]) == ("error", 4)
    capsys.readouterr()
    ours.summary()
    shown = capsys.readouterr().out
    assert "first" in shown
    assert "shape=(3, 20), dtype=float32" in shown
    ours.rename_object("first", "dense")
    ours.resave_weights(tmp_path / "again.weights.h5")
    assert set(nyala.saving.KerasFileEditor(tmp_path / "again.weights.h5").weights) == set(ours.weights)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.rename_object("nobody", "x"), "no object 'nobody'"),
        (lambda e: e.rename_object("layers/dense", "dense_1"), "has an object 'layers/dense_1' already"),
        (lambda e: e.rename_object("layers/dense", "../x"), "printable text without"),
        (lambda e: e.add_object("layers/../x", {}), "names with '/'"),
        (lambda e: e.add_object("layers/dense", {}), "already"),
        (lambda e: e.add_weights("dense", {"0": np.array([print])}), "array of numbers"),
        (lambda e: e.delete_weight("dense", "7"), "no weight '7'"),
        (lambda e: e.save("x.h5"), r"ends in `\.weights\.h5`"),
    ],
)
def test_editor_mistakes(change, words, tmp_path):
    trained().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=words):
        change(nyala.saving.KerasFileEditor(tmp_path / "m.weights.h5"))


def test_editor_refuses_what_loading_refuses(tmp_path):
    with h5py.File(tmp_path / "m.weights.h5", "w") as root:
        root.create_dataset("layers/x/vars/0", (1 << 40,), "f4", chunks=(1024,))
    with pytest.raises(ValueError, match="claims"):
        nyala.saving.KerasFileEditor(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="can be edited"):
        nyala.saving.KerasFileEditor(tmp_path / "m.h5")


# ---- A save that is killed ----

SAVER = """
import sys
from pathlib import Path
import h5py
import numpy as np
from nyala.saving import archive

path, byte = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    byte = 1 - byte
    content = np.full(300_000, byte, "uint8")
    archive.write_archive(path, {"byte": byte}, lambda file: file.group("a").update({"0": content}))
"""


def test_killed_while_saving(tmp_path):
    """Whenever the process dies, the file is one of those that were whole."""
    path = tmp_path / "m.keras"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", SAVER, str(path)], stdout=subprocess.PIPE, env=environment)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.03 + random.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            with nyala_archive(path) as archive:
                byte = archive.config()["byte"]
                with archive.weights() as weights, h5py.File(weights) as root:
                    np.testing.assert_array_equal(root["a/0"], np.full(300_000, byte, "uint8"))
    assert path.exists()


def nyala_archive(path):
    from nyala.saving.archive import open_archive

    return open_archive(path)


# ---- What is saved is everything ----


def steps(*layers):
    """Layers of sequences, here of one feature a step."""
    return nyala.Sequential([nyala.layers.Reshape((-1, 1)), *layers])


@nyala.saving.register_keras_serializable("formats")
class Attends(nyala.Layer):
    """A layer of somebody's own with a layer, a weight and a state of its own."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.heads = nyala.layers.MultiHeadAttention(2, units, dropout=0.2, seed=units)

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.calls = self.add_weight(shape=(), initializer="zeros", dtype="int64", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign_add(1)
        return self.scale * self.heads(x[:, :, None], x[:, :, None])[:, :, 0]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@nyala.saving.register_keras_serializable("formats")
class Inner(nyala.Model):
    """A model of somebody's own, with layers under names in no order."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units
        self.zeta, self.parts = nyala.layers.Dense(units), {"b": [nyala.layers.Dense(2)], "a": (nyala.layers.PReLU(),)}

    def call(self, x):
        return self.parts["a"][0](self.parts["b"][0](self.zeta(x)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


L = nyala.layers
LAYERS = {
    "dense": lambda units: L.Dense(units, "tanh"),
    "normal": lambda units: L.BatchNormalization(),
    "dropout": lambda units: L.Dropout(0.5, seed=units),
    "noise": lambda units: L.GaussianNoise(0.1 * units),
    "shift": lambda units: L.Dense(units, use_bias=False, kernel_regularizer="l2", trainable=False),
    "layer": lambda units: L.LayerNormalization(scale=bool(units % 2)),
    "rms": lambda units: L.RMSNormalization(),
    "spectral": lambda units: L.SpectralNormalization(L.Dense(units, dtype="mixed_bfloat16")),
    "recurrent": lambda units: steps(L.GRU(units, dropout=0.2, seed=units)),
    "both ways": lambda units: steps(L.Bidirectional(L.LSTM(units))),
    "cells": lambda units: steps(L.RNN([L.SimpleRNNCell(units), L.GRUCell(2)])),
    "each step": lambda units: steps(L.TimeDistributed(L.Dense(units)), L.Flatten()),
    "convolution": lambda units: steps(L.Conv1D(units, 2, padding="same"), L.GlobalMaxPooling1D()),
    "attention": Attends,
    "model": Inner,
}


@nyala.saving.register_keras_serializable("formats")
class Nest(nyala.Layer):
    """Layers in lists, dicts and tuples, at any depth, each run once."""

    def __init__(self, parts, **options):
        super().__init__(**options)
        self.parts = parts
        self.noise = nyala.random.SeedGenerator(7)
        self.inside = self._made(parts)

    def _made(self, part):
        if isinstance(part, dict):
            return {key: self._made(item) for key, item in part.items()}
        if part and isinstance(part[0], str):
            return LAYERS[part[0]](part[1])
        return [self._made(item) for item in part]

    def call(self, x):
        for layer in nyala.tree.flatten(self.inside):
            x = nyala.ops.cast(layer(x), "float32")
        return x + nyala.random.normal((1,), seed=self.noise)


PART = st.recursive(
    st.tuples(st.sampled_from(sorted(LAYERS)), st.integers(1, 3)),
    lambda parts: st.lists(parts, min_size=1, max_size=3) | st.dictionaries(st.sampled_from("abc"), parts, min_size=1),
    max_leaves=5,
)


CALM = {"deadline": None, "suppress_health_check": list(HealthCheck)}
TOPS = ("functional", "shared", "sequential", "subclassed", "nested")
MODELS = {"parts": st.lists(PART, min_size=1, max_size=2), "top": st.sampled_from(TOPS)}


@nyala.saving.register_keras_serializable("formats")
class Top(nyala.Model):
    """A model of somebody's own around a list of layers."""

    def __init__(self, parts, **options):
        super().__init__(**options)
        self.parts = parts
        self.nests = [Nest([part]) for part in parts]
        self.last = nyala.layers.Dense(1)

    def call(self, x):
        for nest in self.nests:
            x = nest(x)
        return self.last(x)

    def get_config(self):
        return {**super().get_config(), "parts": self.parts}


@pytest.mark.parametrize(
    ("parts", "top"),
    [([{"b": ("dense", 2), "a": [("dropout", 1), ("normal", 1)]}, ("spectral", 3)], "shared"),
     ([[("model", 2), {"c": [("shift", 2), ("attention", 1)]}]], "subclassed")],
)  # fmt: skip
def test_what_is_saved_is_everything(parts, top, tmp_path):
    """Weights, states, seeds, structure, which layers learn, and the optimizer's state."""
    check_everything(parts, top, tmp_path)


@pytest.mark.slow
@settings(max_examples=150, **CALM)
@given(**MODELS)
def test_what_is_saved_is_everything_of_many_models(parts, top, tmp_path):
    """The same of generated models."""
    check_everything(parts, top, tmp_path)


def made(parts, top):
    """A model around nests of these parts."""
    dense, x = nyala.layers.Dense, nyala.Input((3,))
    if top == "subclassed":
        return Top(parts)
    nests = [Nest([part]) for part in parts]
    if top == "sequential":
        return nyala.Sequential([x, *nests, dense(1)])
    h = x
    for nest in nests:
        h = nest(dense(3)(h))
    if top == "shared":
        h = nests[0](dense(3)(h))
    if top == "nested":
        inside = nyala.Model(x, dense(3)(h), name="inside")
        y = nyala.Input((3,))
        return nyala.Model(y, dense(1)(inside(inside(y))))
    return nyala.Model(x, dense(1)(h))


def check_everything(parts, top, tmp_path):
    model = made(parts, top)
    model.compile("adam", "mse", run_eagerly=True)
    data = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    model.train_on_batch(data, data[:, :1])
    model.save(tmp_path / "m.keras")
    loaded = nyala.saving.load_model(tmp_path / "m.keras")
    loaded.run_eagerly = True
    assert loaded.to_json() == model.to_json()
    assert_same(loaded, model)
    assert [v.trainable for v in loaded.weights] == [v.trainable for v in model.weights]
    one, other = (m.train_on_batch(data, data[:, :1]) for m in (loaded, model))
    assert one == other  # a further step draws the same noise and ends at the same weights
    assert_same(loaded, model)


# ---- `nyala inspect` ----


def test_inspect(tmp_path, capsys):
    from nyala.cli import main

    model = trained()
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    for name in ("m.weights.h5", "m.npz", "m.safetensors"):
        model.save_weights(tmp_path / name)
    model.save_weights(tmp_path / "s.weights.json", max_shard_size=1.0)
    for name in ("m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors", "s.weights.json"):
        assert main(["inspect", str(tmp_path / name), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["parameters"], found["verified"]) == (model.count_params(), True), name
        assert {"place": "layers/dense/vars/0", "shape": [3, 20], "dtype": "float32"} in found[
            "weights"
        ] or name == "m.h5"
        if name in ("m.keras", "m.h5"):
            assert [layer["class"] for layer in found["layers"]][1:] == ["Dense", "BatchNormalization", "Dense"]
            assert (found["compiled"], found["keras_version"]) == (True, "3.15.1")
        assert main(["inspect", str(tmp_path / name)]) == 0
        assert "float32" in capsys.readouterr().out
    for name in ("missing.keras", "m.txt"):
        assert main(["inspect", str(tmp_path / name)]) == 1
        assert capsys.readouterr().err.startswith("Refused: ")
    shutil.copy(tmp_path / "m.h5", tmp_path / "h5.keras")
    assert main(["inspect", str(tmp_path / "h5.keras"), "--json"]) == 1
    assert "HDF5" in json.loads(capsys.readouterr().out)["refused"]


def test_inspect_is_quick_and_needs_no_tensorflow(tmp_path):
    trained().save(tmp_path / "m.keras")
    code = (
        "import sys; from nyala.__main__ import main; refused = main(); "
        "sys.exit(refused or bool({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, "inspect", str(tmp_path / "m.keras")]
    assert "float32" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
