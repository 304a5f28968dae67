"""Archives and weights that are not what they seem, in every format."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile

import h5py
import numpy as np
import pytest

import nyala
from tests.attacks.conftest import honest
from tests.attacks.watching import nothing_happens

# ---- Archives ----


def members(files):
    with zipfile.ZipFile(io.BytesIO(files[".keras"])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content, compression=zipfile.ZIP_STORED, change=None):
    """A `.keras` file of these members; `change(archive)` may add to it."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, data in content.items():
            archive.writestr(name, data)
        if change:
            change(archive)
    return file.getvalue()


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return lambda archive: archive.writestr(info, target)


def without(content, *names):
    return {name: data for name, data in content.items() if name not in names}


def patched(data, signature, offset, value):
    """The archive with a number put at `offset` behind each header with that signature."""
    data, place = bytearray(data), data.find(signature)
    while place >= 0:
        data[place + offset : place + offset + len(value)] = value
        place = data.find(signature, place + 1)
    return bytes(data)


W, C, M = "model.weights.h5", "config.json", "metadata.json"
ARCHIVES = {
    "no weights": lambda c: packed(without(c, W)),
    "no config": lambda c: packed(without(c, C)),
    "no metadata": lambda c: packed(without(c, M)),
    "two configs": lambda c: packed(c, change=lambda a: a.writestr(C, c[C])),
    "two weights": lambda c: packed(c, change=lambda a: a.writestr(W, c[W])),
    "the config is a link": lambda c: packed(without(c, C), change=link(C, "/etc/passwd")),
    "the weights are a link": lambda c: packed(without(c, W), change=link(W, "/etc/passwd")),
    "a config of zeros, 1000:1": lambda c: packed({**c, C: b" " * (65 << 20)}, zipfile.ZIP_DEFLATED),
    "weights of zeros, 1000:1": lambda c: packed({**c, W: bytes(80 << 20)}, zipfile.ZIP_DEFLATED),
    "sizes that lie": lambda c: patched(packed(c), b"PK\x01\x02", 20, struct.pack("<II", 2**31, 2**31)),
    "a size of nothing": lambda c: patched(packed(c), b"PK\x01\x02", 20, struct.pack("<II", 0, 0)),
    "a wrong checksum": lambda c: patched(packed(c), b"PK\x01\x02", 16, b"\1\2\3\4"),
    "encrypted": lambda c: patched(patched(packed(c), b"PK\x01\x02", 8, b"\1"), b"PK\x03\x04", 6, b"\1"),
    "another place": lambda c: patched(packed(c), b"PK\x01\x02", 42, struct.pack("<I", 2**31)),
    "an unknown compression": lambda c: patched(packed(c), b"PK\x01\x02", 10, b"\x55"),
    "HDF5": lambda c: c[W],
    "nothing": lambda c: b"",
    "a text": lambda c: b"model",
}
HARMLESS = {
    "names that lead outside": lambda c: packed(
        {**c, "../out": b"x", "/etc/out": b"x", "C:\\out": b"x", "..\\out": b"x", "a/../../out": b"x"}
    ),
    "a bomb under an unknown name": lambda c: packed({**c, "bomb": bytes(80 << 20)}, zipfile.ZIP_DEFLATED),
    "a link under an unknown name": lambda c: packed(c, change=link("assets/x", "/etc/passwd")),
    "many entries": lambda c: packed(c | {f"{place}": b"" for place in range(20_000)}),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_hostile_archives(case, honest_files, tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(ARCHIVES[case](members(honest_files)))
    with nothing_happens(tmp_path), pytest.raises(ValueError, match=r"m\.keras") as error:
        nyala.saving.load_model(path)
    assert len(str(error.value)) < 500
    if "config" not in case and "metadata" not in case:  # which nobody needs for the weights alone
        model = honest()
        with nothing_happens(tmp_path), pytest.raises(ValueError, match=r"m\.keras"):
            model.load_weights(path)


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_beside_the_members_is_not_looked_at(case, honest_files, tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(HARMLESS[case](members(honest_files)))
    with nothing_happens(tmp_path):
        nyala.saving.load_model(path)


PLACES = {"a folder": lambda p: p.mkdir(), "a FIFO": os.mkfifo, "a dangling link": lambda p: p.symlink_to("nowhere")}


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5", ".npz", ".safetensors", ".weights.json"])
def test_hostile_places(suffix, tmp_path):
    """Folders, FIFOs, links and addresses in place of a file."""
    model, path = honest(), tmp_path / f"m{suffix}"
    loads = [lambda p: model.load_weights(p)] + [nyala.saving.load_model] * (suffix in (".keras", ".h5"))
    for make in PLACES.values():
        make(path)
        for load in loads:
            with nothing_happens(tmp_path), pytest.raises((ValueError, OSError), match="m"):
                load(path)
        path.rmdir() if path.is_dir() else path.unlink()
    for address in ("hf://user/m", "http://127.0.0.1/m", "gs://bucket/m", "file:///etc/m", "s3://bucket/m"):
        for load in loads:
            with nothing_happens(tmp_path), pytest.raises(ValueError, match="is an address"):
                load(address + suffix)


# ---- Truncated anywhere ----


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_truncated_at_every_percent(suffix, honest_files, tmp_path):
    whole, path, model = honest_files[suffix], tmp_path / f"m{suffix}", honest()
    load = model.load_weights if suffix == ".weights.h5" else nyala.saving.load_model
    for percent in range(100):
        count = len(whole) * percent // 100
        if suffix != ".keras" and whole[count:].startswith(b"\x93NYALA"):
            continue  # without its checksums, and nothing else, it is a whole file as the reference writes it
        path.write_bytes(whole[:count])
        with pytest.raises(ValueError, match="m" + suffix):
            load(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_truncated_within_the_first_bytes(suffix, honest_files, tmp_path):
    """Inside of the superblock of an HDF5 file, or the first header of an archive."""
    path, model = tmp_path / f"m{suffix}", honest()
    load = model.load_weights if suffix == ".weights.h5" else nyala.saving.load_model
    for count in range(0, 104, 3):
        path.write_bytes(honest_files[suffix][:count])
        with nothing_happens(tmp_path), pytest.raises(ValueError, match="m" + suffix):
            load(path)


@pytest.mark.slow
def test_a_hundred_thousand_entries(honest_files, tmp_path):
    path = tmp_path / "m.keras"
    path.write_bytes(packed(members(honest_files) | {f"{place}": b"" for place in range(100_000)}))
    with nothing_happens(tmp_path):
        nyala.saving.load_model(path)


@pytest.mark.slow
def test_a_million_groups(honest_files, tmp_path):
    """More than anybody saves: refused as soon as they are counted."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w", libver="latest") as root:
        parent, one = root.create_group("layers").id, root.create_group("one").id
        for place in range(1_000_000):
            parent.links.create_hard(b"%d" % place, one, b".")
    with nothing_happens(tmp_path), pytest.raises(ValueError, match="more than 30,000"):
        honest().load_weights(path)


# ---- HDF5 ----

KERNEL = {".weights.h5": "layers/dense/vars/0", ".h5": "model_weights/a/a/kernel"}


def external(root, place):
    root.create_dataset(place, (3, 2), "f4", external=[("/etc/passwd", 0, 24)])


def virtual(root, place):
    layout = h5py.VirtualLayout((3, 2), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (3, 2))
    root.create_virtual_dataset(place, layout)


def unknown_filter(root, place):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((3, 2))
    plist.set_filter(h5py.h5z.FILTER_SCALEOFFSET, 0, (0, 0))
    group, _, name = place.rpartition("/")
    h5py.h5d.create(root[group].id, name.encode(), h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((3, 2)), plist)


def nested_type(root, place):
    root.create_dataset(place, (3,), np.dtype(("f4", (2,))))


ARRAYS = {
    "a soft link": lambda root, place: root.__setitem__(place, h5py.SoftLink("/elsewhere")),
    "an external link": lambda root, place: root.__setitem__(place, h5py.ExternalLink("/etc/other.h5", "/x")),
    "external storage": external,
    "a virtual dataset": virtual,
    "a bomb": lambda root, place: root.create_dataset(place, (1 << 40, 1 << 20), "f4", chunks=(1024, 1024)),
    "a bomb of one axis": lambda root, place: root.create_dataset(place, (1 << 60,), "f8", chunks=(1024,)),
    "strings": lambda root, place: root.create_dataset(place, (3, 2), h5py.string_dtype()),
    "fixed strings": lambda root, place: root.create_dataset(place, (3, 2), "S8"),
    "object references": lambda root, place: root.create_dataset(place, (3, 2), h5py.ref_dtype),
    "region references": lambda root, place: root.create_dataset(place, (3, 2), h5py.regionref_dtype),
    "ragged arrays": lambda root, place: root.create_dataset(place, (3, 2), h5py.vlen_dtype("f4")),
    "compounds": lambda root, place: root.create_dataset(place, (3, 2), [("a", "f4"), ("b", "f4")]),
    "an enum": lambda root, place: root.create_dataset(place, (3, 2), h5py.enum_dtype({"a": 1, "b": 2})),
    "bytes": lambda root, place: root.create_dataset(place, (3, 2), "V3"),
    "complex numbers": lambda root, place: root.create_dataset(place, (3, 2), "c8"),
    "integers": lambda root, place: root.create_dataset(place, (3, 2), "i4"),
    "an array type": nested_type,
    "an empty dataset": lambda root, place: root.create_dataset(place, data=h5py.Empty("f4")),
    "a group": lambda root, place: root.create_group(place),
    "a named type": lambda root, place: root.__setitem__(place, np.dtype("f4")),
    "another shape": lambda root, place: root.create_dataset(place, (2, 3), "f4"),
    "another rank": lambda root, place: root.create_dataset(place, (6,), "f4"),
    "an unknown filter": unknown_filter,
    "nothing": lambda root, place: None,
}


@pytest.mark.parametrize("suffix", KERNEL)
@pytest.mark.parametrize("case", ARRAYS)
def test_hostile_arrays(case, suffix, honest_files, tmp_path):
    """The error names the array, and no variable has changed."""
    path, model = tmp_path / f"m{suffix}", honest()
    path.write_bytes(honest_files[suffix])
    with h5py.File(path, "a") as root:
        del root[KERNEL[suffix]]
        ARRAYS[case](root, KERNEL[suffix])
    before = model.get_weights()
    word = "kernel" if suffix == ".h5" else "layers/dense/vars"
    with nothing_happens(tmp_path), pytest.raises(ValueError, match=rf"m\.(weights\.)?h5.*{word}"):
        model.load_weights(path)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def many_groups(root):
    for place in range(8_000):
        root.create_group(f"layers/x{place}")


def circle(root):
    root["layers/round"] = root["layers"]


def huge_attribute(root):
    root["layers/dense/vars"].attrs["name"] = "x" * 60_000


@pytest.mark.parametrize("change", [many_groups, circle, huge_attribute])
def test_what_is_much_but_harmless_loads(change, honest_files, tmp_path):
    path, model = tmp_path / "m.weights.h5", honest()
    path.write_bytes(honest_files[".weights.h5"])
    with h5py.File(path, "a") as root:
        change(root)
    with nothing_happens(tmp_path):
        model.load_weights(path)


def attribute(place, name, value):
    def change(root):
        item = root[place] if place else root
        if name in item.attrs:
            del item.attrs[name]
        if value is not None:
            item.attrs[name] = value

    return change


LEGACY = {
    "no such layer": attribute("model_weights", "layer_names", ["a", "nobody"]),
    "a layer outside": attribute("model_weights", "layer_names", ["../a", "b"]),
    "no such array": attribute("model_weights/a", "weight_names", ["a/kernel", "a/nothing"]),
    "an array outside": attribute("model_weights/a", "weight_names", ["../b/b/kernel", "a/bias"]),
    "names that are numbers": attribute("model_weights", "layer_names", [1, 2]),
    "no names": attribute("model_weights", "layer_names", None),
    "names without end": attribute("model_weights", "layer_names", ["a"] * 3_000),
    "a config that is a number": attribute("", "model_config", 7),
    "no config": attribute("", "model_config", None),
    "a compile config that is no JSON": attribute("", "training_config", "{"),
    "an array as a layer": lambda root: (root.__delitem__("model_weights/a"), root.create_dataset("model_weights/a", (3,))),
    "a link as a layer": lambda root: (
        root.__delitem__("model_weights/a"), root.__setitem__("model_weights/a", h5py.SoftLink("/model_weights/b"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LEGACY)
def test_hostile_legacy_files(case, honest_files, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(honest_files[".h5"])
    with h5py.File(path, "a") as root:
        LEGACY[case](root)
    with nothing_happens(tmp_path), pytest.raises(ValueError, match=r"m\.h5") as error:
        nyala.saving.load_model(path)
    assert len(str(error.value)) < 1500


def test_texts_of_an_attribute_that_are_all_one(honest_files, tmp_path):
    """Thousands of names that share one text of megabytes in the file, and would not in memory."""
    path = tmp_path / "m.h5"
    path.write_bytes(honest_files[".h5"])
    with h5py.File(path, "a") as root:
        root.attrs["padding"] = "x" * 8_000_000
        del root["model_weights"].attrs["layer_names"]
        root["model_weights"].attrs["layer_names"] = ["a"] * 4_000
    with nothing_happens(tmp_path), pytest.raises(ValueError, match="too large"):
        nyala.saving.load_model(path)


def test_free_blocks_of_a_heap_that_come_back(honest_files, tmp_path):
    """A heap whose free block names itself as the next: HDF5 would take memory for ever."""
    path, data = tmp_path / "m.weights.h5", bytearray(honest_files[".weights.h5"])
    place, found = data.find(b"HEAP"), 0
    while place >= 0:
        size, block, start = struct.unpack("<QQQ", data[place + 8 : place + 32])
        if block == 1:  # none is free: make one that is
            block = size - 16
            data[place + 16 : place + 24] = struct.pack("<Q", block)
        data[start + block : start + block + 16] = struct.pack("<QQ", block, 16)
        found += 1
        place = data.find(b"HEAP", place + 1)
    assert found
    end = data.find(b"\x93NYALA")
    path.write_bytes(data[:end])
    with nothing_happens(tmp_path), pytest.raises(ValueError, match="have no end"):
        honest().load_weights(path)
    archive = tmp_path / "m.keras"
    archive.write_bytes(packed({**members(honest_files), W: bytes(data[:end])}))
    with nothing_happens(tmp_path), pytest.raises(ValueError, match="have no end"):
        nyala.saving.load_model(archive)
