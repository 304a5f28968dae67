"""Saving and loading take little more memory than the weights themselves."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala

SIDE, LAYERS = 4096, 4
WEIGHTS_MB = LAYERS * SIDE * SIDE * 4 / 2**20


def model() -> nyala.Model:
    """Half of its kernels start at random, half with a constant."""
    start = ["glorot_uniform", "ones"] * (LAYERS // 2)
    layers = [nyala.layers.Dense(SIDE, use_bias=False, kernel_initializer=way) for way in start]
    return nyala.Sequential([nyala.Input((SIDE,)), *layers])


def status_mb(field: str) -> float:
    """What the system says of this process's memory: VmRSS now, VmHWM at its highest."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return int(found[1]) / 1024


def extra_mb(work: Callable[[], Any]) -> float:
    """By how much the highest use of memory during `work` was above what there was before, and what is kept now."""
    gc.collect()
    before = status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the highest
    kept = work()
    highest = status_mb("VmHWM")
    gc.collect()
    return highest - max(before, status_mb("VmRSS") if kept is not None else before)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.weights.json", "m.npz", "m.safetensors"])
def test_a_tenth_of_the_weights_is_enough(name, tmp_path):
    """Beside the model itself, which the tenth does not count."""
    path, made, whole = tmp_path / name, model(), name in ("m.keras", "m.h5")
    made.get_layer(index=0).kernel.assign(np.full((SIDE, SIDE), 3.0, "float32"))
    shards = {"max_shard_size": 0.1} if name.endswith(".json") else {}
    save = (lambda: made.save(path)) if whole else (lambda: made.save_weights(path, **shards))
    save()  # what saving imports stays
    path.unlink()
    assert extra_mb(save) < WEIGHTS_MB / 10
    if whole:
        nyala.saving.load_model(path)
        assert extra_mb(lambda: nyala.saving.load_model(path)) < WEIGHTS_MB / 10
    else:
        other = model()
        other.load_weights(path)
        assert extra_mb(lambda: other.load_weights(path)) < WEIGHTS_MB / 10
        assert float(other.get_layer(index=0).kernel[0, 0]) == 3.0
