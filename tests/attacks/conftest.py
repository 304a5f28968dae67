"""Honest files that the tests make hostile, and a module that must never be imported."""

from __future__ import annotations

import sys

import pytest

import nyala


def honest() -> nyala.Model:
    x = nyala.Input((3,), name="x")
    hidden = nyala.layers.Dense(2, name="a")(x)
    model = nyala.Model(x, nyala.layers.Dense(1, name="b")(nyala.ops.add(hidden, 1.0)), name="honest")
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.fixture(scope="session")
def honest_files(tmp_path_factory):
    """One honest model in every format, by suffix; loaded once, so that whatever is imported late is imported now."""
    folder = tmp_path_factory.mktemp("honest")
    model = honest()
    files = {}
    for name in ("m.keras", "m.h5"):
        model.save(folder / name)
        nyala.saving.load_model(folder / name)
        files[name[1:]] = (folder / name).read_bytes()
    for name in ("m.weights.h5",):
        model.save_weights(folder / name)
        model.load_weights(folder / name)
        files[name[1:]] = (folder / name).read_bytes()
    return files


@pytest.fixture
def trap(tmp_path_factory, monkeypatch):
    """A module on the path whose import would be noticed."""
    folder = tmp_path_factory.mktemp("trap")
    (folder / "trap.py").write_text("raise SystemExit('the trap was imported')\n")
    monkeypatch.syspath_prepend(str(folder))
    yield
    assert "trap" not in sys.modules
