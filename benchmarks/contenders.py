"""Who takes part, what each of them needs, and how to start it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass, field
from importlib import metadata

WORKER = (sys.executable, "-m", "benchmarks.worker")
# What a process sees of the machine; every contender gets the same.
DEVICES = {"cpu": {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}, "gpu": {}}


@dataclass(frozen=True)
class Contender:
    """One way to do the work of a row, in a process of its own."""

    name: str
    label: str  # as people call it
    engine: str  # the module that computes: it must see the GPU in a run on one
    front: str | None = None  # the module that speaks Keras's API; None: written by hand for the engine
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = WORKER

    @property
    def modules(self) -> tuple[str, ...]:
        return (self.front, self.engine) if self.front else (self.engine,)

    def missing(self) -> list[str]:
        """Modules this contender needs that are not installed."""
        return [module for module in self.modules if importlib.util.find_spec(module) is None]


def keras_on(engine: str, label: str) -> Contender:
    return Contender(f"keras-{engine}", f"Keras on {label}", engine, "keras", {"KERAS_BACKEND": engine})


# In the order in which they run; ratios are to the first one that took part.
CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("nyala", "Nyala", "tensorflow", "nyala"),
        keras_on("tensorflow", "TensorFlow"),
        keras_on("jax", "JAX"),
        keras_on("torch", "PyTorch"),
        Contender("tensorflow", "TensorFlow by hand", "tensorflow"),
        Contender("torch", "PyTorch", "torch"),
    )
}
# A model for plain PyTorch is written row by row: only rows that have one name it.
WITHOUT_PYTORCH = tuple(name for name in CONTENDERS if name != "torch")


def gpu_count(engine: str) -> int:
    """How many GPUs an engine sees; imports it."""
    module = importlib.import_module(engine)
    if engine == "tensorflow":
        return len(module.config.list_physical_devices("GPU"))
    if engine == "jax":
        return sum(device.platform == "gpu" for device in module.devices())
    return module.cuda.device_count()


def version(module: str) -> str:
    """The installed version of the distribution that a module comes from: `tensorflow` may be `tensorflow-cpu`."""
    names = metadata.packages_distributions().get(module, [module])
    return metadata.version(names[0])
