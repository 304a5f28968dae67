"""The values of a model's variables as nested dictionaries, laid out as the paths of the variables are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.variable import Variable

FORMATS = {"backend_tensor": lambda v: tf.convert_to_tensor(v.value), "numpy_array": Variable.numpy}


def get_state_tree(model: Any, value_format: str) -> dict[str, dict[str, Any]]:
    """For each kind of variables, their values by the parts of their paths; see `Model.get_state_tree`."""
    if value_format not in FORMATS:
        raise ValueError(f"value_format is one of {', '.join(map(repr, FORMATS))}, but got {value_format!r}.")
    return {kind: _nest(variables, FORMATS[value_format]) for kind, variables in _kinds(model).items()}


def set_state_tree(model: Any, state_tree: Mapping[str, Any]) -> None:
    """Assign the values of a tree; all of it is checked before the first is assigned."""
    updates, problems = [], []
    kinds = _kinds(model)
    for kind, tree in state_tree.items():
        if kind not in kinds:
            problems.append(f"{kind!r} is none of {', '.join(map(repr, kinds))}")
            continue
        known = {variable.path: variable for variable in kinds[kind]}
        for path, value in _leaves(tree):
            if path not in known:
                problems.append(f"{kind} has no {path!r}")
            elif np.shape(value) != tuple(known[path].shape):
                problems.append(f"{path!r} has shape {tuple(known[path].shape)}, not {np.shape(value)}")
            else:
                updates.append((known[path], value))
    if problems:
        raise ValueError(f"The state tree does not fit `{model.name}`: {'; '.join(problems)}.")
    for variable, value in updates:
        variable.assign(value)


def _kinds(model: Any) -> dict[str, list[Variable]]:
    return {
        "trainable_variables": model.trainable_variables,
        "non_trainable_variables": model.non_trainable_variables,
        "optimizer_variables": model.optimizer.variables if model.optimizer is not None else [],
        "metrics_variables": model.metrics_variables,
    }


def _nest(variables: Iterable[Variable], value_of: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for variable in variables:
        *parts, name = variable.path.split("/")
        branch = tree
        for part in parts:
            branch = branch.setdefault(part, {})
        if name in branch:
            raise ValueError(
                f"Two variables have the path {variable.path!r}, so a tree cannot hold both; give the layers names of "
                "their own."
            )
        branch[name] = value_of(variable)
    return tree


def _leaves(tree: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    """Each value behind its path."""
    if not isinstance(tree, Mapping):
        yield path, tree
        return
    for name, branch in tree.items():
        yield from _leaves(branch, f"{path}/{name}" if path else name)
