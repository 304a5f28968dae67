"""Moments at which saving stops: the process is killed at any write, the disk is full, somebody's code raises."""

from __future__ import annotations

import builtins
import io
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nyala
from nyala.saving import archive

MODELS = ("m.keras", "m.h5")
NAMES = (*MODELS, "m.weights.h5", "m.npz", "m.safetensors", "m.weights.json")


def model(value: float) -> nyala.Model:
    made = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(4, name="a"), nyala.layers.Dense(2, name="b")])
    made.set_weights([np.full_like(w, value) for w in made.get_weights()])
    return made


def save(made: nyala.Model, path: Path) -> None:
    if path.name in MODELS:
        made.save(path)
    else:
        made.save_weights(path, max_shard_size=5e-8 if path.name.endswith(".json") else None)


def load(path: Path) -> list[np.ndarray]:
    if path.name in MODELS:
        return nyala.saving.load_model(path).get_weights()
    made = model(7.0)
    made.load_weights(path)
    return made.get_weights()


# ---- Killed ----


def die_at(step: int) -> Callable[[], None]:
    """In this process from now on: what is called before each change of the disk kills it at the `step`-th."""
    count = 0

    def before_a_change() -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGKILL)

    class File(io.FileIO):
        def write(self, data, /):
            """Half of the bytes, a chance to die, the other half."""
            view = memoryview(data).cast("B")
            done = super().write(view[: len(view) // 2])
            before_a_change()
            return done + super().write(view[done:])

        def truncate(self, size=None, /):
            before_a_change()
            return super().truncate(size)

    def opened(path, mode="r", *args, **options):
        return (
            io.BufferedRandom(File(path, mode.replace("b", "")))
            if mode == "xb+"
            else builtins.open(path, mode, *args, **options)
        )

    archive.open = opened  # pyright: ignore[reportAttributeAccessIssue]
    for name in ("replace", "fsync", "unlink"):
        original = getattr(os, name)
        setattr(
            os, name, lambda *args, original=original, **options: (before_a_change(), original(*args, **options))[1]
        )
    return before_a_change


def in_a_child(work: Callable[[], None]) -> int:
    """How a copy of this process ended that did the work: 0, 1 after an exception, or the signal below zero."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_every_write(name: str, folder: Path, stride: int = 1) -> int:
    path, old, new = folder / name, model(1.0), model(2.0)
    save(new, path)
    save(old, path)
    whole, step = {item.name: item.read_bytes() for item in folder.iterdir()}, 0
    seen = set()
    while True:
        step += stride

        def work(step=step):
            die_at(step)
            save(new, path)

        ended = in_a_child(work)
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        found = {item.name: item.read_bytes() for item in folder.iterdir()}
        if {each: found.get(each) for each in whole} == whole:
            seen.add("old")
        else:
            found_values = {value for w in load(path) for value in w.flat}
            assert found_values in ({1.0}, {2.0})
            seen.add("old" if found_values == {1.0} else "new")
            if seen == {"old", "new"} and step % 7 == 0:  # what was left does not keep the next save from its place
                save(new, path)
                assert {value for w in load(path) for value in w.flat} == {2.0}
        for each in found.keys() - whole:  # as it was before the next
            (folder / each).unlink(missing_ok=True)
        for each, content in whole.items():
            if found.get(each) != content:
                (folder / each).write_bytes(content)
    assert {value for w in load(path) for value in w.flat} == {2.0}
    assert "old" in seen
    assert "new" in seen or stride > 1
    return step


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_every_write(name, tmp_path):
    """The old file or the new one, whole; of weights in several files the same, wherever they lie by then."""
    assert kill_at_every_write(name, tmp_path) > 4


def test_killed_at_some_writes(tmp_path):
    assert kill_at_every_write("m.keras", tmp_path, stride=6) > 30


# ---- A full disk ----


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(name, tmp_path):
    """Files may not grow beyond a few bytes: the error names the file, the old one stays, nothing is left beside it."""
    path = tmp_path / name
    save(model(1.0), path)
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    made, limits = model(2.0), resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (0, 300):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with pytest.raises(OSError, match=path.name.partition(".")[0]) as error:
                save(made, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert len(str(error.value)) < 300
        assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


# ---- A folder that takes no files ----


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_is_not_writable(name, tmp_path):
    """As a user without rights, which takes a child process where the tests run as root."""
    path = tmp_path / name
    save(model(1.0), path)
    before, made = {item.name: item.read_bytes() for item in tmp_path.iterdir()}, model(2.0)
    reading, writing = os.pipe()

    def work():
        os.chdir(tmp_path)  # the way there is not everybody's
        if os.geteuid() == 0:
            os.setegid(65534)
            os.seteuid(65534)
        try:
            save(made, Path(name))
        except PermissionError as error:
            os.write(writing, str(error).encode())

    tmp_path.chmod(0o555)
    try:
        assert in_a_child(work) == 0
    finally:
        tmp_path.chmod(0o755)
        os.close(writing)
    with open(reading) as said:
        assert "cannot be written: Permission denied" in said.read()
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


# ---- Somebody's code raises ----


class Failing(nyala.Layer):
    """A layer that cannot be written, for a reason of its own."""

    def call(self, inputs):
        return inputs

    def get_config(self):
        raise ZeroDivisionError("of its own")


@pytest.mark.parametrize("name", MODELS)
def test_an_exception_in_get_config(name, tmp_path):
    path = tmp_path / name
    save(model(1.0), path)
    before = path.read_bytes()
    made = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(2), Failing()])
    with pytest.raises(ZeroDivisionError, match="of its own"):
        save(made, path)
    assert [item.name for item in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == before
