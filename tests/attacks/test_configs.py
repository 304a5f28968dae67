"""Configs that name what they should not, in every kind of file and call that takes a config."""

from __future__ import annotations

import base64
import copy
import io
import json
import marshal
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import nyala
from tests.attacks.watching import nothing_happens

# ---- Where a config can come from ----


def from_keras(description, files, folder):
    path = folder / "m.keras"
    with zipfile.ZipFile(io.BytesIO(files[".keras"])) as honest, zipfile.ZipFile(path, "w") as archive:
        for name in honest.namelist():
            archive.writestr(name, json.dumps(description) if name == "config.json" else honest.read(name))
    return lambda: nyala.saving.load_model(path)


def from_h5(description, files, folder):
    path = folder / "m.h5"
    path.write_bytes(files[".h5"])
    with h5py.File(path, "a") as root:
        root.attrs["keras_version"] = "2.4.0"
        del root.attrs["model_config"], root.attrs["training_config"]
        group = root.create_group("config", track_order=True)  # a text of any length has its place in the file
        del root["config"], group
        model = {key: description[key] for key in ("class_name", "config")}
        root.attrs["model_config"] = json.dumps(model)
        if isinstance(description, dict) and "compile_config" in description:
            settings = {**description["compile_config"]}
            root.attrs["training_config"] = json.dumps(
                {**settings, "optimizer_config": settings.pop("optimizer", None)}
            )
    return lambda: nyala.saving.load_model(path)


def from_json(description, files, folder):
    return lambda: nyala.models.model_from_json(json.dumps(description))


def from_object(description, files, folder):
    return lambda: nyala.saving.deserialize_keras_object(description, safe_mode=False)


def from_config(description, files, folder):
    return lambda: nyala.Model.from_config(description["config"])


CARRIERS = {f.__name__: f for f in (from_keras, from_h5, from_json, from_object, from_config)}


@pytest.fixture(scope="module")
def description(honest_files):
    with zipfile.ZipFile(io.BytesIO(honest_files[".keras"])) as archive:
        return json.loads(archive.read("config.json"))


def dense(description):
    return next(entry for entry in description["config"]["layers"] if entry["name"] == "a")


def entry(class_name, config, module="keras.layers", registered=None):
    """A layer behind the input."""
    x = {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}
    data = {"module": module, "class_name": class_name, "config": config, "registered_name": registered}
    return {**data, "name": config.get("name", "new"), "inbound_nodes": [{"args": [x], "kwargs": {}}]}


def add(class_name, config=None, **names):
    """An attack that adds a layer."""
    return lambda d: d["config"]["layers"].append(entry(class_name, {"name": "new", **(config or {})}, **names))


def setting(key, value):
    """An attack on an argument of a layer."""
    return lambda d: dense(d)["config"].__setitem__(key, value)


def compiled(key, value):
    return lambda d: d["compile_config"].__setitem__(key, value)


BYTECODE = base64.b64encode(marshal.dumps((lambda x: __import__("trap")).__code__)).decode()
LAMBDA = {"class_name": "__lambda__", "config": {"code": BYTECODE, "defaults": None, "closure": None}}
FUNCTION = {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"}

# Classes and functions, as a module and a name: the system's, the trap, and our own that do more than compute.
NAMES = [
    ("os", "system"), ("builtins", "exec"), ("builtins", "eval"), ("subprocess", "Popen"), ("importlib", "import_module"),
    ("trap", "Run"), ("nyala.saving", "load_model"), ("keras.models", "load_model"), ("keras.saving", "load_weights"),
    ("keras.utils", "get_file"), ("nyala.utils", "get_file"), ("keras.utils", "save_img"), ("keras.utils", "plot_model"),
    ("keras.utils", "image_dataset_from_directory"), ("keras.datasets.mnist", "load_data"), ("nyala.datasets", "digits"),
    ("keras.config", "enable_unsafe_deserialization"), ("keras.config", "set_floatx"), ("nyala.config", "set_floatx"),
    ("keras.applications", "ResNet50"), ("keras.src.ops.numpy", "load"), ("tensorflow", "tf.io.read_file"),
    ("tensorflow", "tf.py_function"), ("tensorflow", "tf.numpy_function"), ("tensorflow", "tf.saved_model.load"),
    ("numpy", "fromfile"), ("keras.callbacks", "LambdaCallback"), ("keras.callbacks", "ModelCheckpoint"),
    ("keras.layers", "TFSMLayer"), ("keras.layers", "TorchModuleWrapper"), ("keras.layers", "JaxLayer"),
]  # fmt: skip
AS_A_NAME = {
    "a class": lambda module, name: add(name, {"filepath": "/etc/passwd", "weights": "/etc/x"}, module=module),
    "a registered class": lambda module, name: add("Mine", module=module, registered=f"{module}>{name}"),
    "a dotted class": lambda module, name: add(f"{module}.{name}"),
    "an activation": lambda module, name: setting("activation", name),
    "a dotted activation": lambda module, name: setting("activation", f"{module}.{name}"),
    "a function": lambda module, name: setting("activation", {**FUNCTION, "module": module, "config": name}),
    "an initializer": lambda module, name: setting(
        "kernel_initializer", {"module": module, "class_name": name, "config": {"fname": "x", "origin": "http://x"}}
    ),
    "an argument of a call": lambda module, name: (
        lambda d: dense(d)["inbound_nodes"][0]["kwargs"].__setitem__(
            "inputs", {"module": module, "class_name": name, "config": {}}
        )
    ),
    "a dtype": lambda module, name: setting("dtype", {"module": module, "class_name": name, "config": {"name": "x"}}),
}

ATTACKS = {
    "bytecode in a Lambda": add("Lambda", {"function": LAMBDA}),
    "bytecode as an output shape": add("Lambda", {"function": "relu", "output_shape": LAMBDA}),
    "bytecode as a mask": add("Lambda", {"function": "relu", "mask": LAMBDA}),
    "bytecode in arguments": add("Lambda", {"function": "relu", "arguments": {"a": LAMBDA}}),
    "bytecode of Keras 2": add("Lambda", {"function": [BYTECODE, None, None], "function_type": "lambda", "module": "os"}),
    "a function of Keras 2": add("Lambda", {"function": "exec", "function_type": "function", "module": "builtins"}),
    "an output shape of Keras 2": add(
        "Lambda", {"function": "relu", "output_shape": [BYTECODE], "output_shape_type": "lambda"}
    ),
    "bytecode in a wrapper": add(
        "TimeDistributed", {"layer": {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}}}
    ),
    "bytecode as an activation": setting("activation", LAMBDA),
    "bytecode in a call": lambda d: dense(d)["inbound_nodes"][0]["kwargs"].__setitem__("f", LAMBDA),
    "a path of a SavedModel": add("TFSMLayer", {"filepath": "/etc"}),
    "a pickle": add("TorchModuleWrapper", {"module": BYTECODE}),
    "a vocabulary that is a file": add("StringLookup", {"vocabulary": "/etc/passwd"}),
    "a vocabulary that is an address": add("IntegerLookup", {"vocabulary": "gs://bucket/file"}),
    "a vocabulary of texts that is a file": add("TextVectorization", {"vocabulary": "/etc/passwd"}),
    "an array of objects": setting("kernel_initializer", {"class_name": "__numpy__", "config": {"value": [None], "dtype": "O"}}),
    "a type spec": setting("dtype", {"class_name": "__typespec__", "spec_name": "RaggedTensorSpec", "config": {}}),
    "an unknown dtype": setting("dtype", "float7"),
    "an unknown dtype policy": setting("dtype", {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "os"}}),
    "a layer that is a number": lambda d: d["config"]["layers"].append(3),
    "layers that are none": lambda d: d["config"].update(layers=None),
    "layers that are a dict": lambda d: d["config"].update(layers={"a": 1}),
    "a config that is a list": lambda d: dense(d).update(config=[]),
    "a config that is a text": lambda d: dense(d).update(config="x"),
    "a class that is a list": lambda d: dense(d).update(class_name=["Dense"]),
    "a class that is a dict": lambda d: dense(d).update(class_name={"a": 1}),
    "no such call": lambda d: dense(d)["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["x", 7, 0]),
    "no such tensor": lambda d: dense(d)["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["x", 0, 7]),
    "no such layer": lambda d: dense(d)["inbound_nodes"][0]["args"][0]["config"].update(keras_history=["y", 0, 0]),
    "a reference that is none": lambda d: dense(d)["inbound_nodes"][0]["args"][0]["config"].update(keras_history=None),
    "calls that are a number": lambda d: dense(d).update(inbound_nodes=7),
    "outputs that are a number": lambda d: d["config"].update(output_layers=7),
    "an op of constants": lambda d: d["config"]["layers"].append(
        {**entry("Repeat", {"repeats": 10**11}, "keras.src.ops.numpy"), "inbound_nodes": [{"args": [1.0], "kwargs": {}}]}
    ),
    "a filled tensor": lambda d: d["config"]["layers"].append(
        {**entry("tf.fill", {}, "tensorflow"), "inbound_nodes": [{"args": [[10**6, 10**6], 1.0], "kwargs": {}}]}
    ),
    "a layer twice": lambda d: d["config"]["layers"].append(copy.deepcopy(dense(d))),
    "too many layers": lambda d: d["config"].update(layers=[{"class_name": "Dense", "config": {}}] * 20_000),
} | {
    f"units: {value!r}": setting("units", value)
    for value in (10**12, 10**30, -1, 0, 2.5, float("nan"), float("inf"), "2", True, None, [2], {"a": 1})
} | {
    f"a name: {str(value)[:12]!r}": setting("name", value)
    for value in ("../up", "/etc/passwd", "a/b", "nul\0", "x" * 10_000_000, "", 7, ["a"])
}  # fmt: skip


BEHIND_FILES = "too many layers"  # what files are searched for before anything is made


def check(attack, carriers, description, files, folder, label=""):
    changed = copy.deepcopy(description)
    attack(changed)
    for name in carriers:
        if name == "from_config" and label == BEHIND_FILES:
            continue
        if name == "from_h5" and "/" in label:  # Keras 2 allowed it, so it becomes `_`
            continue
        load = CARRIERS[name](changed, files, folder)
        with nothing_happens(folder), pytest.raises((ValueError, TypeError)) as error:
            load()
        assert len(str(error.value)) < 1500, name


@pytest.mark.parametrize("way", AS_A_NAME)
@pytest.mark.usefixtures("trap")
def test_names_that_nobody_may_use(way, description, honest_files, tmp_path):
    for place, (module, name) in enumerate(NAMES):
        carriers = CARRIERS if place == 0 else ["from_object"]  # files are slower, and end in the same function
        check(AS_A_NAME[way](module, name), carriers, description, honest_files, tmp_path)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.usefixtures("trap")
def test_hostile_configs(attack, description, honest_files, tmp_path):
    check(ATTACKS[attack], CARRIERS, description, honest_files, tmp_path, attack)


@pytest.mark.parametrize(
    "attack",
    [compiled("loss", LAMBDA), compiled("metrics", [LAMBDA]), compiled("loss", FUNCTION),
     compiled("optimizer", {"module": "os", "class_name": "system", "config": {}}), compiled("loss", "os.system")],
)  # fmt: skip
@pytest.mark.usefixtures("trap")
def test_hostile_compile_configs(attack, description, honest_files, tmp_path):
    """A `.keras` file is refused; in an `.h5` file, where such configs are old, the model loads uncompiled."""
    check(attack, ["from_keras"], description, honest_files, tmp_path)
    changed = copy.deepcopy(description)
    attack(changed)
    load = from_h5(changed, honest_files, tmp_path)
    with nothing_happens(tmp_path), pytest.warns(UserWarning, match="not compiled"):
        assert not load().compiled


@pytest.mark.parametrize(
    "settings", [7, "x", [1], {"optimizer": 7}, {"optimizer": []}, {"optimizer": "nobody"}, {"loss": 7}]
)
def test_compile_configs_of_the_wrong_kind(settings, description, honest_files, tmp_path):
    load = from_keras({**description, "compile_config": settings}, honest_files, tmp_path)
    with nothing_happens(tmp_path), pytest.raises((ValueError, TypeError)) as error:
        load()
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize("settings", [{"loss": {"a": {}}}, {"metrics": 7}, {"metrics": {"b": [[7]]}}])
def test_compile_configs_that_nobody_can_train_with(settings, description, honest_files, tmp_path):
    """Loading does not look at all of what only training needs, and predicting works."""
    load = from_keras({**description, "compile_config": settings}, honest_files, tmp_path)
    with nothing_happens(tmp_path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load()
    assert model(np.ones((2, 3), "float32")).shape == (2, 1)


@pytest.mark.slow
def test_a_million_layers(description, honest_files, tmp_path):
    load = from_keras(
        {**description, "config": {"layers": [{"class_name": "Dense", "config": {}}] * 1_000_000}},
        honest_files,
        tmp_path,
    )
    with nothing_happens(tmp_path, megabytes=1500), pytest.raises(ValueError, match="1,000,000 layers"):
        load()


def test_layers_in_reverse(tmp_path):
    """Each refers to the one behind it in the list."""
    count = 500
    x = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, 1], "name": "l0"},
        "name": "l0",
    }
    layers = [{**x, "inbound_nodes": []}]
    for place in range(1, count):
        layers.append(entry("Identity", {"name": f"l{place}"}))
        history = {"shape": [None, 1], "dtype": "float32", "keras_history": [f"l{place - 1}", 0, 0]}
        layers[-1]["inbound_nodes"][0]["args"][0]["config"] = history
    ends = {"input_layers": ["l0", 0, 0], "output_layers": [f"l{count - 1}", 0, 0]}
    with nothing_happens(tmp_path):
        model = nyala.Model.from_config({"name": "m", "layers": layers[::-1], **ends})
    assert len(model.layers) == count


TEXTS = {
    "deep lists": b'{"a":' + b"[" * 100_000,
    "deep dicts": b'{"a":' * 100_000,
    "a huge number": b'{"a": ' + b"9" * 1_000_000 + b"}",
    "NaN": b'{"a": NaN, "b": -Infinity}',
    "a lone surrogate": b'{"class_name": "\\ud800", "config": {}}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "a list": b"[1]",
    "nothing": b"",
    "null": b"null",
    "one key a million times": b'{"a": 1' + b', "a": 1' * 300_000 + b"}",
}


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_json(text, honest_files, tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(io.BytesIO(honest_files[".keras"])) as honest, zipfile.ZipFile(path, "w") as archive:
        for name in honest.namelist():
            archive.writestr(name, TEXTS[text] if name == "config.json" else honest.read(name))
    old = tmp_path / "m.h5"
    old.write_bytes(honest_files[".h5"])
    with h5py.File(old, "a", libver="latest") as root:
        del root.attrs["model_config"]
        root.attrs["model_config"] = TEXTS[text] if b"\0" not in TEXTS[text] and TEXTS[text] else "x"
    for load in (
        lambda: nyala.saving.load_model(path),
        lambda: nyala.saving.load_model(old),
        lambda: nyala.models.model_from_json(TEXTS[text]),
    ):
        with nothing_happens(tmp_path), pytest.raises(ValueError) as error:  # noqa: PT011 - each text has its own reason
            load()
        assert len(str(error.value)) < 1500


SIZES = {
    "a large product": lambda: [(10**6, 10**6)],
    "many that are large together": lambda: [(30_000, 30_000)] * 20,
    "a little more than the file has": lambda: [(6_000, 6_000)],
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_that_no_file_of_that_size_can_fill(case, honest_files, tmp_path):
    """Each size may be honest, their product is not: refused before it takes memory."""
    shapes = SIZES[case]()
    entries = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, shapes[0][0]], "name": "x"},
        }
    ]
    entries += [
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": units, "name": f"d{place}"}}
        for place, (_, units) in enumerate(shapes)
    ]
    description = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": entries}}
    carriers = list(CARRIERS.values())[: 4 if "product" in case else 2]  # without a file, free memory is the bound
    for carrier in carriers:
        load = carrier(
            {**description, "compile_config": {}} if carrier is from_h5 else description, honest_files, tmp_path
        )
        with nothing_happens(tmp_path), pytest.raises(ValueError, match="asks for more than it can need"):
            load()
    if carriers[-1] is not from_h5:
        with nothing_happens(tmp_path), pytest.raises(ValueError, match="asks for more than it can need"):
            nyala.Sequential.from_config(description["config"])


MALFORMED = {
    "layers that are a text": lambda d: d["config"].update(layers="a"),
    "inputs that are a number": lambda d: d["config"].update(input_layers=3),
    "no outputs": lambda d: d["config"].pop("output_layers"),
    "no name of a layer": lambda d: dense(d).pop("name"),
    "a name that is a number": lambda d: dense(d).update(name=3),
    "no config of a layer": lambda d: dense(d).pop("config"),
    "no class": lambda d: dense(d).pop("class_name"),
    "no calls": lambda d: dense(d).pop("inbound_nodes"),
    "a call that is a text": lambda d: dense(d).update(inbound_nodes=["x"]),
    "a call without arguments": lambda d: dense(d).update(inbound_nodes=[{"args": []}]),
    "two layers of one name": lambda d: d["config"]["layers"].append(copy.deepcopy(dense(d))),
    "a reference of two parts": lambda d: d["config"].update(output_layers=["b", 0]),
    "a reference that is too high": lambda d: d["config"].update(output_layers=["b", 0, 9]),
    "a reference below zero": lambda d: d["config"].update(output_layers=["b", 0, -1]),
    "a reference to a list": lambda d: dense(d)["inbound_nodes"][0]["args"][0]["config"].update(
        keras_history=[["x"], 0, 0]
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_graphs(case, description):
    """`from_config` says in one sentence what is missing, as files do."""
    changed = copy.deepcopy(description)
    MALFORMED[case](changed)
    with pytest.raises(ValueError, match="config") as error:
        nyala.Model.from_config(changed["config"])
    assert len(str(error.value)) < 400
    assert not isinstance(error.value, (KeyError, LookupError))


def test_clone_and_from_config_run_no_bytecode(tmp_path):
    """A Lambda whose function a file held as bytecode cannot come in through `from_config` either."""
    config = {"name": "l", "function": LAMBDA}
    for make in (
        lambda: nyala.layers.Lambda.from_config(config),
        lambda: nyala.layers.deserialize({"module": "keras.layers", "class_name": "Lambda", "config": config}),
        lambda: nyala.activations.deserialize(LAMBDA),
        lambda: nyala.losses.deserialize(LAMBDA),
        lambda: nyala.saving.deserialize_keras_object(
            {"module": "keras.layers", "class_name": "Lambda", "config": config}
        ),
        lambda: nyala.models.clone_model(
            nyala.Sequential([nyala.Input((2,)), nyala.layers.Dense(1)]),
            clone_function=lambda layer: nyala.layers.Lambda.from_config(config),
        ),
    ):
        with nothing_happens(tmp_path), pytest.raises((ValueError, TypeError)):
            make()


def test_the_way_out_for_bytecode(honest_files, description, tmp_path):
    """A function passed under the layer's name stands for the bytecode."""

    def double(x):
        return 2.0 * x

    changed = copy.deepcopy(description)
    ATTACKS["bytecode in a Lambda"](changed)
    changed["config"]["output_layers"] = ["new", 0, 0]
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(io.BytesIO(honest_files[".keras"])) as honest, zipfile.ZipFile(path, "w") as archive:
        for name in honest.namelist():
            archive.writestr(name, json.dumps(changed) if name == "config.json" else honest.read(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"custom_objects=\{'new'"):
            nyala.saving.load_model(path)
