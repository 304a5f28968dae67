"""Nested structures of lists, tuples, named tuples and dicts: `None` is a leaf, dicts go by sorted key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import optree


def flatten(structure: Any) -> list[Any]:
    """The leaves of `structure`, in order."""
    return optree.tree_leaves(structure, none_is_leaf=True)


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The first structure with `func` called on each leaf, and on those of the others at the same places."""
    return optree.tree_map(func, *structures, none_is_leaf=none_is_leaf)


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """The leaves of `flat_sequence` laid out as `structure` is."""
    return optree.tree_unflatten(structure_of(structure), flat_sequence)


def structure_of(structure: Any) -> Any:
    """How `structure` nests its leaves, to be compared or to be a key."""
    return optree.tree_structure(structure, none_is_leaf=True)


def flatten_present(structure: Any) -> tuple[list[Any], Any]:
    """The leaves that are not None, and the structure, in which each None stands, for `unflatten`."""
    return optree.tree_flatten(structure)


def unflatten(structure: Any, leaves: Iterable[Any]) -> Any:
    """The leaves laid out as `flatten_present` found them."""
    return optree.tree_unflatten(structure, leaves)


def same_structure(one: Any, other: Any) -> bool:
    """Whether the two nest their leaves alike."""
    return structure_of(one) == structure_of(other)


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves of `structure`, each behind the keys and indices that lead to it."""
    paths, leaves, _ = optree.tree_flatten_with_path(structure, none_is_leaf=True)
    return list(zip(paths, leaves, strict=True))
