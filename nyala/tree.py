"""Nested structures of lists, tuples, named tuples and dicts: `None` is a leaf, dicts go by sorted key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optree

from nyala.core.tree import flatten, flatten_with_path, map_structure, pack_sequence_as


class MAP_TO_NONE:  # noqa: N801 - the reference's name
    """What the function of `traverse` returns to have None in a structure."""


def is_nested(structure: Any) -> bool:
    """Whether `structure` is a list, tuple or dict rather than a leaf.

    Example:
        >>> import nyala
        >>> nyala.tree.is_nested([1]), nyala.tree.is_nested(1)
        (True, False)
    """
    return not optree.tree_is_leaf(structure, none_is_leaf=True)


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Raise ValueError where the two do not nest their leaves alike.

    Example:
        >>> import nyala
        >>> nyala.tree.assert_same_structure({"a": 1}, {"a": [2]})
        Traceback (most recent call last):
        ValueError: ...
    """
    one, other = (optree.tree_structure(x, none_is_leaf=True) for x in (a, b))
    if one != other:
        raise ValueError(f"The structures differ: {one} and {other}.")


def assert_same_paths(a: Any, b: Any) -> None:
    """Raise ValueError where the leaves of the two lie at different paths, lists and tuples passing for each other.

    Example:
        >>> import nyala
        >>> nyala.tree.assert_same_paths([1, 2], (3, 4))
    """
    one, other = ([path for path, _ in flatten_with_path(x)] for x in (a, b))
    if set(one) != set(other):
        raise ValueError(f"The leaves lie at different paths: {one} and {other}.")


def lists_to_tuples(structure: Any) -> Any:
    """`structure` with each list made a tuple.

    Example:
        >>> import nyala
        >>> nyala.tree.lists_to_tuples([1, [2]])
        (1, (2,))
    """
    return traverse(lambda x: tuple(x) if isinstance(x, list) else None, structure, top_down=False)


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """`structure` with `func` called on each shape: a tuple or list of sizes and None counts as one leaf.

    Example:
        >>> import nyala
        >>> nyala.tree.map_shape_structure(len, {"a": (None, 3)})
        {'a': 2}
    """

    def is_shape(x: Any) -> bool:
        return isinstance(x, (list, tuple)) and all(size is None or isinstance(size, int) for size in x)

    return optree.tree_map(func, structure, is_leaf=is_shape, none_is_leaf=True)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """`func` called on what stands in `structures` at the places of the leaves of `shallow_structure`.

    Example:
        >>> import nyala
        >>> nyala.tree.map_structure_up_to([0, 0], len, [[1, 2], [3]])
        [2, 1]
    """
    return optree.tree_map(lambda _, *parts: func(*parts), shallow_structure, *structures, none_is_leaf=True)


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Call `func` on each part of `structure`, containers too, and put in what it returns; None means no change.

    Example:
        >>> import nyala
        >>> nyala.tree.traverse(lambda x: -x if isinstance(x, int) else None, [1, {"a": 2}])
        [-1, {'a': -2}]
    """
    if top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    if is_nested(structure):
        children, definition = optree.tree_flatten(structure, is_leaf=lambda x: x is not structure, none_is_leaf=True)
        structure = optree.tree_unflatten(definition, [traverse(func, child, top_down) for child in children])
    if not top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
    return structure


__all__ = [
    "MAP_TO_NONE",
    "assert_same_paths",
    "assert_same_structure",
    "flatten",
    "flatten_with_path",
    "is_nested",
    "lists_to_tuples",
    "map_shape_structure",
    "map_structure",
    "map_structure_up_to",
    "pack_sequence_as",
    "traverse",
]
