"""Who takes part, what each of them needs, and how to start it."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
from dataclasses import dataclass, field
from importlib import metadata

WORKER = (sys.executable, "-m", "benchmarks.worker")
# What a process sees of the machine; every contender gets the same.
# On a GPU, TensorFlow reads the `tf.data` pipelines of the others too, so none may take the whole memory.
DEVICES: dict[str, dict[str, str]] = {
    "cpu": {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"},
    "gpu": {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
}
PLAIN_ERRORS = {"JAX_TRACEBACK_FILTERING": "off"}  # else the last line of JAX's is a hint, not the error


@dataclass(frozen=True)
class Contender:
    """One way to do the work of a row, in a process of its own."""

    name: str
    label: str  # as people call it
    engine: str  # the module that computes: it must see the GPU in a run on one
    front: str | None = None  # the module that speaks Keras's API; None: written by hand for the engine
    environment: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = WORKER
    hand: str | None = None  # `by_hand/with_….py`, which it runs rows of training with
    also: tuple[str, ...] = ()  # more modules
    programs: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[str, ...]:
        return (*((self.front,) if self.front else ()), self.engine, *self.also)

    def missing(self) -> list[str]:
        """Modules and programs this contender needs that are not installed."""
        modules = [module for module in self.modules if importlib.util.find_spec(module) is None]
        return modules + [program for program in self.programs if shutil.which(program) is None]


def keras_on(engine: str, label: str) -> Contender:
    return Contender(f"keras-{engine}", f"Keras on {label}", engine, "keras", {"KERAS_BACKEND": engine, **PLAIN_ERRORS})


# In the order in which they run; ratios are to the first one that took part.
CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("nyala", "Nyala", "tensorflow", "nyala"),
        keras_on("tensorflow", "TensorFlow"),
        keras_on("jax", "JAX"),
        keras_on("torch", "PyTorch"),
        Contender("tensorflow", "TensorFlow by hand", "tensorflow", hand="tensorflow"),
        Contender("torch", "PyTorch", "torch", hand="torch"),
        # What `torch.compile` makes on a CPU is C++.
        Contender("torch-compile", "PyTorch compiled", "torch", hand="torch", programs=("g++",)),
        Contender("flax", "Flax NNX", "jax", environment=PLAIN_ERRORS, hand="flax", also=("flax", "optax")),
    )
}


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
