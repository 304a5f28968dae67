"""Files that are not what they should be, and moments at which saving fails: one clear error, nothing harmed."""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import zipfile

import h5py
import numpy as np
import pytest

import nyala
from tests.oracle import keras

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


def small(lib=nyala):
    return lib.Sequential([lib.Input((3,)), lib.layers.Dense(2, name="a"), lib.layers.Dense(1, name="b")], name="small")


@pytest.fixture
def saved(tmp_path):
    """A model and its file."""
    model = small()
    model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def rewrite(path, members=None, config=None, weights=None, compression=zipfile.ZIP_STORED):
    """The archive again with members, the config or the weights changed; what becomes None is left out."""
    with zipfile.ZipFile(path) as archive:
        data = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        description = json.loads(data["config.json"])
        config(description)
        data["config.json"] = json.dumps(description).encode()
    if weights is not None:
        file = io.BytesIO(data["model.weights.h5"])
        with h5py.File(file, "a") as root:
            weights(root)
        data["model.weights.h5"] = file.getvalue()
    data.update(members or {})
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in data.items():
            if content is not None:
                archive.writestr(name, content)


# ---- Paths ----


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("missing.keras", FileNotFoundError, "There is no file"),
        ("model.foo", ValueError, "ends in `.keras`"),
        ("model", ValueError, "ends in `.keras`"),
        ("hf://user/model.keras", ValueError, "is an address"),
        ("https://example.org/model.keras", ValueError, "is an address"),
        (".", IsADirectoryError, "is a folder"),
    ],
)
def test_load_model_wants_a_keras_file(name, error, words):
    with pytest.raises(error, match=words):
        nyala.saving.load_model(name)


def test_other_kinds_of_files(tmp_path):
    os.mkfifo(tmp_path / "fifo.keras")
    with pytest.raises(ValueError, match="not a regular file"):
        nyala.saving.load_model(tmp_path / "fifo.keras")
    (tmp_path / "link.keras").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="leads nowhere"):
        nyala.saving.load_model(tmp_path / "link.keras")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(ValueError, match=r"no `\.keras` file"):
        nyala.saving.load_model(tmp_path / "text.keras")
    small().save_weights(tmp_path / "m.weights.h5")
    os.rename(tmp_path / "m.weights.h5", tmp_path / "m.keras")
    with pytest.raises(ValueError, match="HDF5 file"):
        nyala.saving.load_model(tmp_path / "m.keras")
    small().save(tmp_path / "n.keras")
    os.rename(tmp_path / "n.keras", tmp_path / "n.weights.h5")
    with pytest.raises(ValueError, match="no HDF5 file"):
        small().load_weights(tmp_path / "n.weights.h5")


@pytest.mark.parametrize("name", ["x", "x.foo", "x.keras.zip"])
def test_save_wants_its_suffix(name, tmp_path):
    with pytest.raises(ValueError, match=r"`\.keras`"):
        small().save(tmp_path / name)
    with pytest.raises(ValueError, match=r"`\.weights\.h5`"):
        small().save_weights(tmp_path / name)
    with pytest.raises(ValueError, match=r"`\.weights\.h5`, .*`\.keras`"):
        small().load_weights(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_overwrite(saved, monkeypatch):
    model, path = saved
    before = path.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path, overwrite=False)
    assert path.read_bytes() == before


class Failing(nyala.Layer):
    """A layer that refuses to be saved at one moment."""

    moment = ""

    def call(self, inputs):
        return inputs

    def get_config(self):
        if self.moment == "config":
            raise RuntimeError("stop")
        return super().get_config()

    def save_own_variables(self, store):
        store["0"] = np.ones(3)
        if self.moment == "weights":
            raise RuntimeError("stop")


@pytest.mark.parametrize("moment", ["config", "weights"])
def test_a_failing_save_leaves_the_old_file(moment, saved):
    _, path = saved
    before = path.read_bytes()
    model = nyala.Sequential([nyala.Input((3,)), Failing()])
    model.layers[0].moment = moment
    with pytest.raises(RuntimeError, match="stop"):
        model.save(path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_unwritable_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        small().save(tmp_path / "no" / "model.keras")


def test_the_saved_file_obeys_the_umask(saved):
    before = os.umask(0o027)
    try:
        small().save(saved[1])
        assert saved[1].stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


# ---- Archives ----


def test_truncated_anywhere(saved):
    path = saved[1]
    whole = path.read_bytes()
    for percent in range(0, 100, 3):
        path.write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(ValueError, match="cut short"):
            nyala.saving.load_model(path)


@pytest.mark.parametrize("member", MEMBERS[1:])
def test_missing_double_and_damaged_members(member, saved):
    path = saved[1]
    whole = path.read_bytes()
    rewrite(path, {member: None})
    with pytest.raises(ValueError, match=f"one member '{member}'"):
        nyala.saving.load_model(path)
    path.write_bytes(whole)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, b"{}")
    with pytest.raises(ValueError, match="holds 2"):
        nyala.saving.load_model(path)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        header = archive.getinfo(member).header_offset
    start = header + 30 + sum(struct.unpack("<HH", whole[header + 26 : header + 30]))
    path.write_bytes(whole[: start + 5] + bytes([whole[start + 5] ^ 255]) + whole[start + 6 :])
    with pytest.raises(ValueError, match="damaged"):
        nyala.saving.load_model(path)


def test_encrypted_flag(saved):
    path = saved[1]
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(signature, place + 1)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="encrypted"):
        nyala.saving.load_model(path)


def test_other_members_are_not_looked_at(saved):
    model, path = saved
    rewrite(path, {"../outside": b"x", "/etc/thing": b"x", "assets/a": b"x", "bomb": bytes(1 << 20)})
    loaded = nyala.saving.load_model(path)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_compressed_archives_load_within_bounds(saved):
    model, path = saved
    rewrite(path, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(nyala.saving.load_model(path).get_weights()[0], model.get_weights()[0])
    rewrite(path, {"model.weights.h5": bytes(200 << 20)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="claim to unpack"):
        nyala.saving.load_model(path)


# ---- Configs ----


def test_json_is_bounded(saved):
    path = saved[1]
    for text, words in (
        (b"[" * 100_000, "nests deeper"),
        (b'{"a":' * 100_000, "nests deeper"),
        (b'{"a": "' + b"[" * 100_000 + b'"}', "class_name"),
        (b"[]", "a dict is expected"),
        (b"\xff\xfe", "not JSON"),
        (b'{"a": ', "not JSON"),
    ):
        rewrite(path, {"config.json": text})
        with pytest.raises(ValueError, match=words if words != "class_name" else "holds no model"):
            nyala.saving.load_model(path)


def layer(class_name, config=None, module="keras.layers", registered=None):
    return {"module": module, "class_name": class_name, "config": config or {}, "registered_name": registered}


@pytest.mark.parametrize(
    ("module", "name", "registered"),
    [
        ("os", "system", None),
        ("builtins", "exec", None),
        ("subprocess", "Popen", "Popen"),
        ("nyala.saving", "load_model", None),
        ("keras.utils", "get_file", "get_file"),
        ("keras.layers", "Mine", "package>Mine"),
        ("keras.src.ops.numpy", "Evil", "Evil"),
        (None, "Mine", None),
        (7, "Mine", 7),
    ],
)
def test_names_outside_the_tables(module, name, registered, saved):
    _, path = saved
    rewrite(path, config=lambda c: c["config"]["layers"].append(layer(name, {"name": "x"}, module, registered)))
    with pytest.raises(ValueError, match=f"not known here: .*{name}"):
        nyala.saving.load_model(path)


def test_all_unknown_names_in_one_error(saved):
    _, path = saved
    function = {"module": "builtins", "class_name": "function", "config": "mine", "registered_name": "function"}

    def change(config):
        config["config"]["layers"][1]["config"]["activation"] = function
        config["config"]["layers"] += [layer("One"), layer("Other", {"inner": layer("Third")})]

    rewrite(path, config=change)
    with pytest.raises(ValueError, match=r"mine, One, Other, Third.*custom_objects"):
        nyala.saving.load_model(path)


@pytest.mark.parametrize("safe_mode", [True, False])
def test_bytecode_does_not_run(safe_mode, tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)]).save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"Lambda|bytecode"):
        nyala.saving.load_model(tmp_path / "m.keras", safe_mode=safe_mode)
    with pytest.raises(ValueError, match="bytecode"):
        nyala.saving.deserialize_keras_object(
            {"class_name": "__lambda__", "config": {"code": "abc"}}, safe_mode=safe_mode
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["config"].update(layers=None),
        lambda c: c["config"].update(layers={"a": 1}),
        lambda c: c.update(config=[]),
        lambda c: c.update(class_name=["Sequential"]),
        lambda c: c.update(class_name="Dense", module="keras.layers", config={"units": 2}),
        lambda c: c["config"]["layers"][1]["config"].update(units=-1),
        lambda c: c["config"]["layers"][1]["config"].update(units="2"),
        lambda c: c["config"]["layers"][1]["config"].update(units=float("nan")),
        lambda c: c["config"]["layers"][1]["config"].update(surprise=1),
        lambda c: c["config"]["layers"][1].update(config=3),
        lambda c: c["config"]["layers"][1]["config"].update(name="b"),
        lambda c: c["config"]["layers"][1]["config"].update(dtype="float7"),
        lambda c: c["config"]["layers"][1].update(build_config={"input_shape": "abc"}),
        lambda c: c["config"]["layers"][1]["config"].update(
            bias_initializer={"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "object"}}
        ),
    ],
)
def test_wrong_configs(change, saved):
    _, path = saved
    rewrite(path, config=change)
    with pytest.raises((ValueError, TypeError)):
        nyala.saving.load_model(path)


def test_references_to_nowhere(tmp_path):
    x = nyala.Input((3,))
    path = tmp_path / "model.keras"
    nyala.Model(x, nyala.layers.Dense(2)(nyala.layers.Dense(3)(x))).save(path)
    whole = path.read_bytes()

    def reference(config):
        return config["config"]["layers"][2]["inbound_nodes"][0]["args"][0]["config"]

    for change in (
        lambda c: reference(c).update(keras_history=["nobody", 0, 0]),
        lambda c: reference(c)["keras_history"].__setitem__(1, 7),
        lambda c: reference(c)["keras_history"].__setitem__(2, 7),
        lambda c: reference(c).update(keras_history=[]),
        lambda c: c["config"].update(output_layers=[["nobody", 0, 0]]),
        lambda c: c["config"].update(input_layers=None),
    ):
        path.write_bytes(whole)
        rewrite(path, config=change)
        with pytest.raises(ValueError, match=r"config|expected|inputs"):
            nyala.saving.load_model(path)


# ---- Weights ----


def replace(place, make):
    """A change that puts something else at a place of the weights."""

    def change(root):
        if place in root:
            del root[place]
        make(root)

    return change


KERNEL = "layers/dense/vars/0"


def external(root):
    root.create_dataset(KERNEL, (3, 2), "f4", external=[("/etc/passwd", 0, 24)])


def virtual(root):
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (3, 2))
    root.create_virtual_dataset(KERNEL, layout)


HOSTILE = {
    "soft link": lambda root: root.__setitem__(KERNEL, h5py.SoftLink("/layers/dense_1/vars/0")),
    "external link": lambda root: root.__setitem__(KERNEL, h5py.ExternalLink("/etc/other.h5", "/x")),
    "external storage": external,
    "virtual": virtual,
    "bomb": lambda root: root.create_dataset(KERNEL, (1 << 40, 1 << 20), "f4", chunks=(1024, 1024)),
    "strings": lambda root: root.create_dataset(KERNEL, (3, 2), h5py.string_dtype()),
    "references": lambda root: root.create_dataset(KERNEL, (3, 2), h5py.ref_dtype),
    "compound": lambda root: root.create_dataset(KERNEL, (3, 2), [("a", "f4"), ("b", "f4")]),
    "integers": lambda root: root.create_dataset(KERNEL, (3, 2), "i4"),
    "opaque": lambda root: root.create_dataset(KERNEL, (3, 2), "V2"),
    "group": lambda root: root.create_group(KERNEL),
    "shape": lambda root: root.create_dataset(KERNEL, (2, 3), "f4"),
    "missing": lambda root: None,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_arrays(case, saved):
    model, path = saved
    rewrite(path, weights=replace(KERNEL, HOSTILE[case]))
    opened = []
    watching = [True]
    sys.addaudithook(lambda event, args: opened.append(args[0]) if watching[0] and event == "open" else None)
    with pytest.raises(ValueError, match="layers/dense/vars"):
        nyala.saving.load_model(path)
    watching[0] = False
    assert not [name for name in opened if "/etc/" in str(name)]
    before = model.get_weights()
    with pytest.raises(ValueError, match="layers/dense/vars"):
        model.load_weights(path)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_group_that_is_a_link(saved):
    _, path = saved
    rewrite(
        path, weights=replace("layers/dense", lambda r: r.__setitem__("layers/dense", h5py.SoftLink("/layers/dense_1")))
    )
    with pytest.raises(ValueError, match="link"):
        nyala.saving.load_model(path)


def test_circles_end(saved):
    _, path = saved
    rewrite(path, weights=lambda root: root.__setitem__("layers/round", root["layers"]))
    nyala.saving.load_model(path)


def test_everything_that_does_not_fit_is_named_and_nothing_assigned(tmp_path):
    model = small()
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "a") as root:
        del root["layers/dense/vars/0"]
        del root["layers/dense_1/vars/1"]
        root["layers/dense_1/vars/1"] = np.ones(5, "float32")
        root["layers/dense/vars/7"] = np.ones(1)
        root["layers/other/vars/0"] = np.ones(1)
    before = model.get_weights()
    with pytest.raises(ValueError, match="missing layers/dense/vars/0") as error:
        model.load_weights(tmp_path / "m.weights.h5")
    for words in (
        r"layers/dense_1/vars/1 has shape (5,)",
        "extra layers/other/vars/0",
        "small/b/bias",
        "small/a/kernel",
    ):
        assert words in str(error.value)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    with h5py.File(tmp_path / "m.weights.h5", "a") as root:
        root["layers/dense_1/vars/0"][...] = 9.0
    with pytest.warns(UserWarning, match="The rest was loaded"):
        model.load_weights(tmp_path / "m.weights.h5", skip_mismatch=True)
    assert (model.get_layer("b").kernel.numpy() == 9).all()


def test_unbuilt_models_are_named(tmp_path):
    small().save_weights(tmp_path / "m.weights.h5")
    model = nyala.Sequential([nyala.layers.Dense(2), nyala.layers.Dense(1)])
    with pytest.raises(ValueError, match="not built"):
        model.load_weights(tmp_path / "m.weights.h5")


def test_weights_out_of_a_keras_file(saved):
    model, path = saved
    other = small()
    other.load_weights(path)
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_by_name_is_refused(saved):
    with pytest.raises(ValueError, match="by_name"):
        saved[0].load_weights(saved[1], by_name=True)


def test_truncated_weights(tmp_path):
    path = tmp_path / "m.weights.h5"
    model = small()
    model.save_weights(path)
    whole = path.read_bytes()
    for percent in range(0, 100, 5):
        path.write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(ValueError, match=r"m.weights.h5"):
            model.load_weights(path)


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64"])
def test_dtypes(policy, tmp_path):
    """Weights of every float go both ways, bit by bit."""
    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        model = writer.Sequential([writer.Input((3,)), writer.layers.Dense(2, dtype=policy)])
        model.save(tmp_path / "m.keras")
        loaded = reader.saving.load_model(tmp_path / "m.keras")
        for one, other in zip(loaded.get_weights(), model.get_weights(), strict=True):
            assert one.dtype.name == other.dtype.name
            assert one.tobytes() == other.tobytes()


def test_seeds_are_saved(tmp_path):
    @nyala.saving.register_keras_serializable("seeds")
    class Noise(nyala.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.seed_generator = nyala.random.SeedGenerator(3)

        def call(self, inputs):
            return inputs + nyala.random.normal((2,), seed=self.seed_generator)

    model = nyala.Sequential([nyala.Input((2,)), Noise()])
    x = np.zeros((1, 2), "float32")
    model(x)
    model.save(tmp_path / "m.keras")
    loaded = nyala.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_struct_of_header_is_read(saved):
    """Members with an extra field before their bytes are found too."""
    model, path = saved
    with zipfile.ZipFile(path) as archive:
        data = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in data.items():
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<HH", 0xCAFE, 4) + b"abcd"
            archive.writestr(info, content)
    np.testing.assert_array_equal(nyala.saving.load_model(path).get_weights()[0], model.get_weights()[0])
