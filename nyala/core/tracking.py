"""What an object owns: one walk over its attributes, many predicates; unique names and the path of the moment.

An object owns what its attributes hold, also inside lists, tuples, sets and dicts. Nothing is registered when an attribute is
set and no container is replaced: the walk looks when somebody asks.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar


class Trackable:
    """The base of whatever a layer can own; `kind` says what it is, so that one walk serves every question."""

    kind: ClassVar[str] = ""  # "variable", "layer", "metric" or "seed_generator"
    untracked: ClassVar[frozenset[str]] = frozenset()  # attributes that refer to things without owning them


def owned(owner: Any) -> Iterator[Trackable]:
    """What `owner` holds directly, in the order in which its attributes were first set, each once."""
    seen: set[int] = {id(owner)}
    untracked = owner.untracked
    for name, value in list(vars(owner).items()):
        if name not in untracked:
            yield from _inside(value, seen)


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
    stack = [owned(owner)]
    while stack:
        for item in stack[-1]:
            if id(item) not in seen:
                seen.add(id(item))
                yield item
                if enter(item):
                    stack.append(owned(item))
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


@contextmanager
def name_scope(name: str) -> Iterator[None]:
    """Variables made inside have `name` in their path."""
    _names.scope.append(name)
    try:
        yield
    finally:
        _names.scope.pop()


@contextmanager
def path_scope(path: str) -> Iterator[None]:
    """Variables made inside have exactly `path` before their name."""
    before, _names.scope = _names.scope, [path] if path else []
    try:
        yield
    finally:
        _names.scope = before
