"""Quantizers: numbers in few bits, and how layers are told to keep their weights so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nyala.core import config as _config
from nyala.quantizers.configs import (
    AWQConfig,
    Float8QuantizationConfig,
    GPTQConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from nyala.quantizers.functions import (
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
    compute_float8_amax_history,
    compute_float8_scale,
    fake_quant_with_min_max_vars,
    pack_int4,
    quantize_and_dequantize,
    unpack_int4,
)
from nyala.quantizers.quantizer import AbsMaxQuantizer, Quantizer
from nyala.quantizers.quantizer import quantizers as _quantizers

__all__ = [
    "AWQConfig",
    "AbsMaxQuantizer",
    "Float8QuantizationConfig",
    "GPTQConfig",
    "Int4QuantizationConfig",
    "Int8QuantizationConfig",
    "QuantizationConfig",
    "Quantizer",
    "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point",
    "compute_float8_amax_history",
    "compute_float8_scale",
    "deserialize",
    "fake_quant_with_min_max_vars",
    "get",
    "pack_int4",
    "quantize_and_dequantize",
    "serialize",
    "unpack_int4",
]


def get(identifier: Any, **kwargs: Any) -> Any:
    """The quantizer that a name, a config or a callable stands for; `kwargs` go to a class's constructor.

    Raises ValueError for what stands for none.

    Example:
        >>> import nyala
        >>> nyala.quantizers.get("abs_max_quantizer", axis=0).axis
        (0,)
    """
    if isinstance(identifier, str):
        identifier = _quantizers.find(identifier)
    return identifier(**kwargs) if isinstance(identifier, type) else _quantizers.get(identifier)


def serialize(initializer: Any) -> Any:
    """A quantizer as data: a dict with its class and its config."""
    return _config.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The quantizer that `serialize` described."""
    return _config.deserialize(config, custom_objects)
