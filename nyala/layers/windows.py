"""What layers on images, sequences and volumes share: where the channels are, and how windows slide."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nyala.core.layer import InputSpec
from nyala.ops.convolution import from_channels_last, to_channels_last  # noqa: F401
from nyala.ops.rules import dims as sizes  # noqa: F401

F = TypeVar("F", bound=Callable[..., Any])


def with_defaults(function: F, **defaults: Any) -> F:
    """A copy of `function` with other default values: how one constructor serves ranks 1 to 3."""
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = function.__defaults__ or ()
    known = {**dict(zip(names[len(names) - len(given) :], given)), **defaults}
    values = tuple(known[name] for name in names if name in known)
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, values, function.__closure__)
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, function.__annotations__
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return copy  # type: ignore[return-value]


def spatial_axes(rank: int, data_format: str) -> tuple[int, ...]:
    """The axes of H, W, … in inputs of `rank` spatial dimensions."""
    first = 1 if data_format == "channels_last" else 2
    return tuple(range(first, first + rank))


def channel_axis(data_format: str) -> int:
    """The axis of the channels."""
    return -1 if data_format == "channels_last" else 1


def channels_spec(rank: int, data_format: str, channels: int | None = None) -> InputSpec:
    """What a layer on `rank` spatial dimensions demands of its inputs."""
    return InputSpec(ndim=rank + 2, axes={} if channels is None else {channel_axis(data_format): channels})


def split_shape(shape: Sequence[Any], data_format: str) -> tuple[tuple[Any, ...], Any]:
    """The spatial sizes and the number of channels of a shape."""
    return (tuple(shape[1:-1]), shape[-1]) if data_format == "channels_last" else (tuple(shape[2:]), shape[1])


def join_shape(batch: Any, spatial: Sequence[Any], channels: Any, data_format: str) -> tuple[Any, ...]:
    """The shape with the given batch size, spatial sizes and channels."""
    last = data_format == "channels_last"
    return (batch, *spatial, channels) if last else (batch, channels, *spatial)
