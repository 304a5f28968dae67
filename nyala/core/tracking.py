"""What an object owns: one walk over its attributes, many predicates; unique names and the path of the moment.

An object owns what its attributes hold, also inside lists, tuples, sets and dicts. Nothing is registered and no container is
replaced: the walk looks when somebody asks. Only moments are kept: when something was made, when an attribute was set. By
them the walk tells in which order things came to their owner, which is the order of weights.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

_clock = itertools.count(1)


class Trackable:
    """The base of whatever a layer can own; `kind` says what it is, so that one walk serves every question."""

    kind: ClassVar[str] = ""  # "variable", "layer", "metric" or "seed_generator"
    # Attributes that refer to things without owning them.
    untracked: ClassVar[frozenset[str]] = frozenset({"_attribute_moments"})
    made_at: int = 0

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Trackable, list, tuple, dict, set)):
            self.__dict__.setdefault("_attribute_moments", {})[name] = next(_clock)
        object.__setattr__(self, name, value)

    def note_birth(self) -> None:
        """Remember that it is made now; a constructor calls this."""
        self.__dict__["made_at"] = next(_clock)


def owned(owner: Any) -> list[Trackable]:
    """What `owner` holds directly, each once, in the order in which it came to be held.

    What an attribute holds came when the attribute was set; what a list in it holds came then too, or when it was made,
    if that was later: who appends to two lists in turn gets both in turn.
    """
    seen: set[int] = {id(owner)}
    untracked, moments = owner.untracked, vars(owner).get("_attribute_moments", {})
    found: list[tuple[int, Trackable]] = []
    for name, value in list(vars(owner).items()):
        if name not in untracked:
            moment = moments.get(name, 0)
            for item in _inside(value, seen):
                found.append((moment if item is value else max(moment, item.made_at), item))
    return [item for _, item in sorted(found, key=lambda entry: entry[0])]


def _inside(value: Any, seen: set[int]) -> Iterator[Trackable]:
    if isinstance(value, Trackable):
        if id(value) not in seen:
            seen.add(id(value))
            yield value
    elif isinstance(value, (list, tuple, set, frozenset, Mapping)) and id(value) not in seen:
        seen.add(id(value))
        for item in value.values() if isinstance(value, Mapping) else list(value):
            yield from _inside(item, seen)


def walk(owner: Any, enter: Callable[[Trackable], bool]) -> Iterator[Trackable]:
    """Everything `owner` owns at any depth, each once; what `enter` accepts is looked into right after it is named."""
    seen: set[int] = {id(owner)}
    stack = [iter(owned(owner))]
    while stack:
        for item in stack[-1]:
            if id(item) not in seen:
                seen.add(id(item))
                yield item
                if enter(item):
                    stack.append(iter(owned(item)))
                    break
        else:
            stack.pop()


class _Names(threading.local):
    def __init__(self) -> None:
        self.scope: list[str] = []  # the names of the layers being built or called, outermost first


_names = _Names()
_counts: Counter[str] = Counter()


def to_snake_case(name: str) -> str:
    """`"LSTMCell"` → `"lstm_cell"`, `"Conv2D"` → `"conv2d"`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def auto_name(prefix: str) -> str:
    """`prefix`, then `prefix_1`, `prefix_2`, …: a name not given before."""
    prefix = to_snake_case(prefix)
    count = _counts[prefix]
    _counts[prefix] += 1
    return f"{prefix}_{count}" if count else prefix


def reset_names() -> None:
    """Start counting names anew."""
    _counts.clear()


def current_path() -> str:
    """The path of the layer being built or called: its name behind those of its owners."""
    return "/".join(_names.scope)


class name_scope:  # noqa: N801 - Keras's name
    """Variables made inside have `name` in their path. Raises ValueError for a name that is no string or holds a "/".

    Example:
        >>> import nyala
        >>> with nyala.name_scope("encoder"):
        ...     print(nyala.Variable(1.0, name="scale").path)
        encoder/scale
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        if not isinstance(name, str) or "/" in name:
            raise ValueError(f"The name of a scope is a string without '/', but got {name!r}.")
        self.name = name

    def __enter__(self) -> name_scope:
        _names.scope.append(self.name)
        return self

    def __exit__(self, *error: Any) -> None:
        _names.scope.pop()


@contextmanager
def path_scope(path: str) -> Iterator[None]:
    """Variables made inside have exactly `path` before their name."""
    before, _names.scope = _names.scope, [path] if path else []
    try:
        yield
    finally:
        _names.scope = before
