"""What layers on images, sequences and volumes share: where the channels are, and how windows slide."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from nyala.core.engine import tf
from nyala.core.layer import InputSpec

F = TypeVar("F", bound=Callable[..., Any])

CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}  # as TensorFlow calls it; gradients in 3D need it said


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


def to_channels_last(x: Any, data_format: str) -> Any:
    """`x` as (N, …, C); a compiled graph fuses or drops the transposition."""
    rank = x.shape.rank
    return x if data_format == "channels_last" else tf.transpose(x, (0, *range(2, rank), 1))


def from_channels_last(x: Any, data_format: str) -> Any:
    """(N, …, C) as `data_format` says."""
    rank = x.shape.rank
    return x if data_format == "channels_last" else tf.transpose(x, (0, rank - 1, *range(1, rank - 1)))


def split_shape(shape: Sequence[Any], data_format: str) -> tuple[tuple[Any, ...], Any]:
    """The spatial sizes and the number of channels of a shape."""
    return (tuple(shape[1:-1]), shape[-1]) if data_format == "channels_last" else (tuple(shape[2:]), shape[1])


def join_shape(batch: Any, spatial: Sequence[Any], channels: Any, data_format: str) -> tuple[Any, ...]:
    """The shape with the given batch size, spatial sizes and channels."""
    last = data_format == "channels_last"
    return (batch, *spatial, channels) if last else (batch, channels, *spatial)


def sizes(x: Any) -> list[Any]:
    """The sizes of `x`: integers where they are known, tensors where not."""
    shape = tf.shape(x)
    return [shape[axis] if size is None else size for axis, size in enumerate(x.shape)]


def window_length(size: int | None, window: int, stride: int, padding: str, dilation: int = 1) -> int | None:
    """How many windows slide along an axis of `size`; at most 0 where not one fits."""
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    return (size - (window - 1) * dilation - 1) // stride + 1
