"""Nyala: the Keras API on TensorFlow, small enough to read.

Names load on first use, so that `import nyala` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # what editors and type checkers see; at run time `__getattr__` below loads the same
    from nyala import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        dtype_policies,
        export,
        initializers,
        layers,
        legacy,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        quantizers,
        random,
        regularizers,
        saving,
        tree,
        utils,
    )
    from nyala.core.engine import device
    from nyala.core.graph import Function, Operation, SymbolicScope
    from nyala.core.layer import InputSpec, Layer
    from nyala.core.remat import RematScope, remat
    from nyala.core.tensor import KerasTensor
    from nyala.core.tracking import name_scope
    from nyala.core.variable import StatelessScope, Variable
    from nyala.dtype_policies import DTypePolicy, FloatDTypePolicy
    from nyala.initializers import Initializer
    from nyala.layers import Input
    from nyala.losses import Loss
    from nyala.metrics import Metric
    from nyala.models import Model, Sequential
    from nyala.optimizers import Optimizer
    from nyala.quantizers import Quantizer
    from nyala.regularizers import Regularizer


# Where each public name lives; a name of None is the module itself.
_SUBMODULES = (
    "activations", "backend", "callbacks", "config", "constraints", "datasets", "dtype_policies", "export",
    "initializers", "layers", "legacy", "losses", "metrics", "mixed_precision", "models", "ops", "optimizers",
    "quantizers", "random", "regularizers", "saving", "tree", "utils",
)  # fmt: skip
_HOMES = {
    "DTypePolicy": "dtype_policies",
    "FloatDTypePolicy": "dtype_policies",
    "Function": "core.graph",
    "Initializer": "initializers",
    "Input": "layers",
    "InputSpec": "core.layer",
    "KerasTensor": "core.tensor",
    "Layer": "core.layer",
    "Loss": "losses",
    "Metric": "metrics",
    "Model": "models",
    "Operation": "core.graph",
    "Optimizer": "optimizers",
    "Quantizer": "quantizers",
    "Regularizer": "regularizers",
    "RematScope": "core.remat",
    "Sequential": "models",
    "StatelessScope": "core.variable",
    "SymbolicScope": "core.graph",
    "Variable": "core.variable",
    "device": "core.engine",
    "name_scope": "core.tracking",
    "remat": "core.remat",
}

__all__ = [
    "DTypePolicy",
    "FloatDTypePolicy",
    "Function",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Quantizer",
    "Regularizer",
    "RematScope",
    "Sequential",
    "StatelessScope",
    "SymbolicScope",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "device",
    "dtype_policies",
    "export",
    "initializers",
    "layers",
    "legacy",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "ops",
    "optimizers",
    "quantizers",
    "random",
    "regularizers",
    "remat",
    "saving",
    "tree",
    "utils",
    "version",
]


def version() -> str:
    """The version of Nyala."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"nyala.{name}")
    if name in _HOMES:
        if _HOMES[name].startswith("core."):
            importlib.import_module("nyala.layers")  # the floors above the core fill its tables of names
        return getattr(importlib.import_module(f"nyala.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'nyala' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
