"""Files that were damaged, disks that are full, and how much memory large models take on the way."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import warnings
import zipfile
import zlib

import h5py
import numpy as np
import pytest

import nyala
from nyala.saving import checksums
from tests.oracle import keras


def small():
    model = nyala.Sequential(
        [nyala.Input((3,)), nyala.layers.Dense(20, "tanh", name="a"), nyala.layers.Dense(2, name="b")]
    )
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


# ---- A byte that changed ----

WEIGHTS = ("m.weights.h5", "m.npz", "m.safetensors", "m.weights.json", "m_00000.weights.h5")


def outcome(load, path, expected):
    """What became of loading: "refused" or "equal"; anything else fails the test."""
    said = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            loaded = load(path)
        except (ValueError, OSError) as error:
            said = str(error)
    if said:
        assert path.name.partition(".")[0][:1] in said
        assert len(said) < 2000
        return "refused"
    for one, other in zip(loaded.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    return "equal"


def into(model):
    """Load weights into a model that has others, which stay where the file is refused."""
    others = [np.full_like(w, 7) for w in model.get_weights()]

    def load(path):
        model.set_weights(others)
        try:
            model.load_weights(path.with_name("m.weights.json") if path.name == "m_00000.weights.h5" else path)
        except (ValueError, OSError):
            assert all((w == 7).all() for w in model.get_weights())
            raise
        return model

    return load


def flips(path, places, load, expected):
    """The outcome of flipping bits of each of these bytes, by place."""
    whole, found = path.read_bytes(), {}
    draw = random.Random(3)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ draw.randint(1, 255)]) + whole[place + 1 :])
        found[place] = outcome(load, path, expected)
    path.write_bytes(whole)
    return found


def check_flips(name, count, folder):
    model, path = small(), folder / name
    if name.startswith("m_") or name.endswith(".json"):
        model.save_weights(folder / "m.weights.json", max_shard_size=1.0)
    else:
        model.save_weights(path) if name in WEIGHTS else model.save(path)
    expected = model.get_weights()
    load = into(model) if name in WEIGHTS else nyala.saving.load_model
    size, draw = path.stat().st_size, random.Random(1)
    found = flips(path, sorted(draw.sample(range(size), min(size, count))), load, expected)
    assert "refused" in found.values()
    if name.endswith(".h5"):
        with open(path, "rb") as file:
            end = checksums._end_of_hdf5(file)
        assert {found[place] for place in found if 64 <= place < end} == {"refused"}
    data = expected[0].tobytes()
    start = path.read_bytes().find(data)
    if name == "m.weights.json":
        text = path.read_bytes()
        assert {found[place] for place in found if not text[place : place + 1].isspace()} == {"refused"}
    else:
        inside = range(start, start + len(data), len(data) // 9)
        assert set(flips(path, inside, load, expected).values()) == {"refused"}


@pytest.mark.parametrize("name", [*WEIGHTS, "m.keras", "m.h5"])
def test_a_flipped_byte_is_found(name, tmp_path):
    check_flips(name, 40 if name in WEIGHTS else 12, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WEIGHTS, "m.keras", "m.h5"])
def test_a_flipped_byte_is_found_anywhere(name, tmp_path):
    check_flips(name, 3000 if name in WEIGHTS else 400, tmp_path)


@pytest.mark.parametrize(
    ("name", "member"),
    [("m.weights.h5", "layers/dense/vars/0"), ("m.h5", "a/kernel"), ("m.npz", "layers/dense/vars/0.npy"),
     ("m.safetensors", "layers/dense/vars/0"), ("m.keras", "model.weights.h5"), ("m.keras", "config.json"),
     ("m.keras", "metadata.json"), ("m_00000.weights.h5", "layers/dense/vars/0")],
)  # fmt: skip
def test_the_error_names_file_and_member(name, member, tmp_path):
    """Wherever in the member the byte is."""
    model, path = small(), tmp_path / name
    sharded = name.startswith("m_")
    if name in ("m.keras", "m.h5"):
        model.save(path)
    else:
        model.save_weights(tmp_path / "m.weights.json" if sharded else path, max_shard_size=1.0 if sharded else None)
    whole, data = path.read_bytes(), model.get_weights()[0].tobytes()
    if member.endswith(".json"):
        with zipfile.ZipFile(path) as archive:
            data = archive.read(member)
    start, load = whole.find(data), nyala.saving.load_model if name == "m.keras" else model.load_weights
    for place in range(0, len(data), len(data) // 4):
        at = start + place
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="damaged") as error:
            load(tmp_path / "m.weights.json" if sharded else path)
        assert str(path) in str(error.value)
        assert member in str(error.value)


def test_the_reference_reads_files_with_checksums(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(20, "tanh"), keras.layers.Dense(2)])
    mine = small()
    mine.save(tmp_path / "m.keras")
    mine.save(tmp_path / "m.h5")
    mine.save_weights(tmp_path / "m.weights.h5")
    mine.save_weights(tmp_path / "s.weights.json", max_shard_size=1.0)
    for name in ("m.weights.h5", "s.weights.json"):
        model.set_weights([w * 0 for w in model.get_weights()])
        model.load_weights(tmp_path / name)
        np.testing.assert_array_equal(model.get_weights()[0], mine.get_weights()[0])
    for name in ("m.keras", "m.h5"):  # the reference does not compile again what an `.h5` file says of "mse"
        loaded = keras.models.load_model(tmp_path / name, compile=False)
        np.testing.assert_array_equal(loaded.get_weights()[0], mine.get_weights()[0])


def test_a_changed_file_has_no_checksums_that_are_not_its_own(tmp_path):
    """HDF5 cuts off what follows the end of a file that it changes."""
    model, path = small(), tmp_path / "m.weights.h5"
    model.save_weights(path)
    with h5py.File(path, "a") as root:
        root["layers/dense/vars/1"][...] = 5.0
    model.load_weights(path)
    assert (model.get_layer("a").bias.numpy() == 5).all()


def table(text):
    return b"\x93NYALA\r\n" + len(text).to_bytes(8, "little") + zlib.crc32(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    "made",
    [{}, [], {"structure": 1, "arrays": 3}, {"structure": 1, "arrays": [["a", 1]]}, {"structure": None, "arrays": []},
     {"structure": 1, "arrays": [["a", 9, 9, 1], ["b", 3, 4, 1]]}, {"structure": 1, "arrays": [["a", -5, 9, 1]]},
     {"structure": 1, "arrays": [["a", 0, 10**18, 1]]}, {"structure": 1, "arrays": [["a", 1.5, 2, 1]]}],
)  # fmt: skip
def test_hostile_tables(made, tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as root:
        root["layers/dense/vars/0"] = np.ones((3, 20), "float32")
    with open(path, "ab") as file:
        file.write(table(json.dumps(made).encode()))
    with pytest.raises(ValueError, match=r"m\.weights\.h5"):
        small().load_weights(path)


def large(lib):
    kinds = ((1200, "float32"), (2500, "float32"), (400, "bfloat16"), (1, "float32"))
    return lib.Sequential([lib.Input((1200,)), *(lib.layers.Dense(size, dtype=dtype) for size, dtype in kinds)])


def assert_equal_bits(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_large_arrays(tmp_path):
    """What is read past HDF5, and what TensorFlow takes over: large arrays with small ones between them."""
    for writer, reader in ((nyala, nyala), (nyala, keras), (keras, nyala)):
        model, other = large(writer), large(reader)
        model.set_weights([np.arange(w.size).reshape(w.shape).astype(w.dtype) for w in model.get_weights()])
        model.save(tmp_path / "m.keras")
        model.save_weights(tmp_path / "m.weights.h5")
        other.load_weights(tmp_path / "m.weights.h5")
        assert_equal_bits(other, model)
        loaded = reader.saving.load_model(tmp_path / "m.keras")
        assert_equal_bits(loaded, model)
    loaded.save_weights(tmp_path / "m.safetensors")
    other.set_weights([w * 0 for w in other.get_weights()])
    other.load_weights(tmp_path / "m.safetensors")
    assert_equal_bits(other, model)
    for variable in loaded.trainable_variables:  # memory that was taken over can be trained
        variable.assign_add(nyala.ops.ones_like(variable))
    assert loaded.weights[0].numpy()[0, 5] == 6


# ---- A disk that is full ----

FULL = """
import os, resource, sys
import numpy as np
import nyala

folder, seen = sys.argv[1], {}
model = nyala.Sequential([nyala.Input((100,)), nyala.layers.Dense(300), nyala.layers.Dense(30)])
names = ["m.keras", "m.h5", "m.weights.h5", "m.npz", "m.safetensors"]
save = lambda name: model.save(f"{folder}/{name}") if name in names[:2] else model.save_weights(f"{folder}/{name}")
for name in names:
    save(name)
before = {name: open(f"{folder}/{name}", "rb").read() for name in names}
model.set_weights([w + 1 for w in model.get_weights()])
for limit in (0, 100, 2_000, 20_000, 100_000, 150_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    for name in names:
        try:
            save(name)
        except OSError as error:
            if name not in str(error) or len(str(error)) > 500:
                print("says", error)
        else:
            print("saved", name, limit)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for name in names:
    if open(f"{folder}/{name}", "rb").read() != before[name]:
        print("changed", name)
    save(name)
    model.load_weights(f"{folder}/{name}")
print(sorted(set(os.listdir(folder)) - set(names)))
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_file(tmp_path):
    """No file may grow beyond a few bytes: each save says so, the old files stay, nothing is left beside them."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_what_killed_processes_left_goes_in_time(tmp_path):
    """Files beside the one to write that are old and held by nobody; not those in use, nor those of other names."""
    names = [
        ".m.keras.0123456789abcdef.tmp",
        ".m.keras.fedcba9876543210.tmp",
        ".m.keras.0000000000000000.tmp",
        ".n.keras.0123456789abcdef.tmp",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1, 1) if name != names[2] else None)
    with open(tmp_path / names[1], "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        small().save(tmp_path / "m.keras")
    assert {item.name for item in tmp_path.iterdir()} == {"m.keras", *names[1:]}


# ---- Memory ----

PEAK = """
import sys
import nyala

def status(key):
    return int(open("/proc/self/status").read().split(key + ":")[1].split()[0]) / 1024

def extra(work, grows):
    open("/proc/self/clear_refs", "w").write("5")
    before = status("VmRSS")
    kept = work()
    return status("VmHWM") - before - grows, kept

path, sizes = sys.argv[1], [int(size) for size in sys.argv[2].split()]
make = lambda: nyala.Sequential([nyala.Input((sizes[0],)), *(nyala.layers.Dense(size) for size in sizes[1:])])
model = make()
tiny = nyala.Sequential([nyala.Input((4,)), nyala.layers.Dense(4)])
suffix = path.partition(".")[2]
for each in (tiny, tiny):  # what is imported late is imported now
    each.save(path) if suffix == "keras" else each.save_weights(path)
    nyala.saving.load_model(path) if suffix == "keras" else each.load_weights(path)
weights = 4 * model.count_params() / 2**20
if suffix == "keras":
    saved, _ = extra(lambda: model.save(path), 0)
    del model
    loaded, model = extra(lambda: nyala.saving.load_model(path), weights)
else:
    saved, _ = extra(lambda: model.save_weights(path), 0)
    loaded, _ = extra(lambda: model.load_weights(path), 0)
print(weights, saved, loaded)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [" ".join(["2048"] * 25), "10000 10000 300"], ids=["many layers", "one large layer"])
@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.safetensors", "m.npz"])
def test_large_models_stream(name, sizes, tmp_path):
    """With 400 MB of weights, what saving and loading take besides them is less than a tenth."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", PEAK, str(tmp_path / name), sizes]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    weights, saved, loaded = map(float, done.stdout.split())
    assert weights > 350
    assert saved < weights / 10
    assert loaded < weights / 10
