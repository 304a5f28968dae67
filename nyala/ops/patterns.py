"""Axes rearranged by a pattern that names them: read it, plan what to do, do it.

`"b (h w) c -> b h w c"` splits the second of three axes. A pattern has a side for what comes in and one for what goes
out; a side is a list of groups, each one axis of the tensor; a group is a list of names, which it joins.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor
from nyala.ops.rules import dims, rank_of
from nyala.ops.rules import tensor as as_tensor

Side = tuple[tuple[str, ...], ...]
REST = "..."  # stands for all axes that have no name


class Plan(NamedTuple):
    """What to do with a tensor: which names its axes split into, in which order these go, how many join again."""

    split: Side
    order: tuple[int, ...]
    joined: tuple[int, ...]


@op
def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Tensor:
    """Transpose, split and join axes as a pattern says: `"b h w c -> b (h w) c"` makes one axis of two.

    Each side names all axes; a group in parentheses is one axis of the tensor, the first name varying slowest. `...`
    stands for axes without a name, `1` for one of size 1. `axes_lengths` gives the sizes of names in a group on the
    left; one of them may be left out. Raises ValueError where the pattern cannot be read or does not fit the tensor.
    Source: Rogozhnikov, "Einops: clear and reliable tensor manipulations with Einstein-like notation", 2022.

    Example:
        >>> import numpy as np
        >>> from nyala import ops
        >>> ops.rearrange(np.arange(6), "(rows columns) -> columns rows", rows=2).numpy().tolist()
        [[0, 3], [1, 4], [2, 5]]
    """
    x = as_tensor(tensor)
    try:
        plan = make_plan(pattern, rank_of(x), tuple(axes_lengths))
        sizes = _sizes(plan.split, dims(x), axes_lengths)
    except ValueError as error:
        given = "".join(f", {name}={size}" for name, size in axes_lengths.items())
        raise ValueError(f"`rearrange` of shape {x.shape} by {pattern!r}{given}: {error}.") from None
    return apply(plan, x, sizes)


# ---- Read ----


def parse(pattern: str) -> tuple[Side, Side]:
    """The two sides of a pattern."""
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError("a pattern has one arrow `->` between its two sides")
    left, right = map(_parse_side, sides)
    one, other = ({name for group in side for name in group} for side in (left, right))
    if one != other:
        raise ValueError(f"{sorted(one ^ other)[0]!r} stands on one side only")
    return left, right


def _parse_side(text: str) -> Side:
    groups: list[tuple[str, ...]] = []
    for inside, outside in re.findall(r"\(([^()]*)\)|([^\s()]+|[()])", text):
        groups.append(tuple(name for name in (outside or inside).split() if name != "1"))
    names = [name for group in groups for name in group]
    for name in names:
        if not name.isidentifier() and name != REST:
            raise ValueError(f"{name!r} is no name of an axis")
        if names.count(name) > 1:
            raise ValueError(f"{name!r} stands twice on one side")
    return tuple(groups)


# ---- Plan ----


@functools.lru_cache(maxsize=256)
def make_plan(pattern: str, rank: int, given: tuple[str, ...]) -> Plan:
    """What the pattern does with a tensor of `rank`, where the sizes of the names in `given` are known."""
    left, right = parse(pattern)
    names = _names(left)
    for name in given:
        if name not in names:
            raise ValueError(f"it has no axis {name!r}, for which a size is given")
    if re.search(r"\([^)]*\.\.\.[^(]*\).*->", pattern):
        raise ValueError("`...` cannot stand in a group on the left")
    rest = rank - sum(group != (REST,) for group in left)
    if rest < 0 or (rest and REST not in names):
        raise ValueError(f"the left side has {len(left)} axes, but the tensor has {rank}")
    left, right = parse(pattern.replace(REST, " ".join(f"_axis{number}" for number in range(rest))))
    places = {name: place for place, name in enumerate(_names(left))}
    return Plan(left, tuple(places[name] for name in _names(right)), tuple(map(len, right)))


def _names(side: Side) -> list[str]:
    return [name for group in side for name in group]


def _sizes(split: Side, shape: Sequence[Any], given: Mapping[str, int]) -> list[Any]:
    """The sizes of all names on the left: a number where it is known, else a scalar tensor."""
    found: dict[str, Any] = {}
    for group, size in zip(split, shape, strict=True):
        unknown = [name for name in group if name not in given]
        if len(unknown) > 1:
            raise ValueError(f"the sizes of {unknown} in one group are not known; give all but one of them")
        known = math.prod(given[name] for name in group if name in given)
        if isinstance(size, int) and (size % known if unknown and known > 0 else size != known):
            raise ValueError(f"an axis of size {size} cannot be ({' '.join(group)}) with sizes of {known} in all")
        found |= {name: given.get(name, size // known if unknown else known) for name in group}
    return list(found.values())


# ---- Do ----


def apply(plan: Plan, x: Tensor, sizes: Sequence[Any]) -> Tensor:
    """Split, transpose and join the axes of `x`, where `sizes` are those of the parts."""
    if any(len(group) != 1 for group in plan.split):
        x = tf.reshape(x, sizes)
    if list(plan.order) != sorted(plan.order):
        x = tf.transpose(x, plan.order)
    if any(count != 1 for count in plan.joined):
        parts = iter(sizes[place] for place in plan.order)
        x = tf.reshape(x, [math.prod(itertools.islice(parts, count)) for count in plan.joined])
    return x
