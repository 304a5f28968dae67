"""`DTypePolicy`: in which dtype a layer computes and in which it keeps its weights."""

from __future__ import annotations

from typing import Any

from nyala.core import config, tensor
from nyala.core.config import Configurable
from nyala.core.tensor import DTypeLike, KerasTensor, mask_of


class DTypePolicy(Configurable):
    """A compute dtype and a variable dtype under one name.

    `"float16"` uses that dtype for both; `"mixed_float16"` and `"mixed_bfloat16"` compute in the short float and keep
    weights in float32. Raises ValueError for a name that is neither a dtype nor one of these.

    Example:
        >>> import nyala
        >>> policy = nyala.DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = tensor.floatx() if name is None else str(name)
        if self.name in ("mixed_float16", "mixed_bfloat16"):
            self.compute_dtype, self.variable_dtype = self.name.removeprefix("mixed_"), "float32"
        else:
            self.compute_dtype = self.variable_dtype = tensor.standardize_dtype(self.name)

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized; None for an ordinary policy."""
        return None

    def convert_input(self, x: Any, autocast: bool, dtype: str) -> Any:
        """An input as a tensor: arrays converted and, where the layer casts, floats brought to `dtype`."""
        if isinstance(x, KerasTensor):
            if autocast and tensor.is_float(x.dtype) and x.dtype != dtype:
                cast = KerasTensor(x.shape, dtype, sparse=x.sparse, ragged=x.ragged, name=x.name)
                cast._keras_history, cast.node = x._keras_history, x.node
                mask = mask_of(x)
                if mask is not None:
                    setattr(cast, "_keras_mask", mask)  # noqa: B010 - tensors of any kind may carry one
                return cast
            return x
        if not tensor.is_tensor_like(x):
            if not hasattr(x, "__array__"):
                return x
            mask = mask_of(x)
            x = tensor.as_tensor(x)
            if mask is not None:
                x._keras_mask = mask
        if autocast and x.dtype.name != dtype and tensor.is_float(x.dtype.name):
            mask = mask_of(x)
            x = tensor.as_tensor(x, dtype)
            if mask is not None:
                x._keras_mask = mask
        return x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.get_config() == self.get_config()

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def __repr__(self) -> str:
        return f'<{type(self).__name__} "{self.name}">'


class _Policy:
    current: DTypePolicy | None = None


def dtype_policy() -> DTypePolicy:
    """The policy of layers that name none: `floatx()` until `set_dtype_policy` says otherwise."""
    return _Policy.current or DTypePolicy(tensor.floatx())


def set_dtype_policy(policy: DTypePolicy | str) -> None:
    """Set the policy of layers that name none."""
    _Policy.current = get(policy)


def get(identifier: DTypePolicy | DTypeLike) -> DTypePolicy:
    """The policy that a name, a dtype, a config or a policy stands for; the global one for None."""
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if config.is_serialized(identifier):
        return config.deserialize(identifier)
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    return DTypePolicy(tensor.standardize_dtype(identifier))


config.policies.add(DTypePolicy)
