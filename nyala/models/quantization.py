"""Quantizing a whole model: which layers, and in which manner."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from nyala.core.layer import Layer
from nyala.layers.quantized import Quantizable, resolve
from nyala.models.calibration import calibrate
from nyala.training.trainer import Trainer


def quantize_model(model: Any, mode: Any, config: Any, filters: Any, type_check: bool = True) -> None:
    """Quantize the layers inside `model` that can be and that `filters` choose; see `Model.quantize`."""
    how = resolve(mode, config)
    if not model.built:
        raise ValueError(f"`{model.name}` is not built yet; call it on data, or `build()` it, before quantize().")
    chosen = _chooser(filters)
    if how.mode in ("gptq", "awq"):
        calibrate(model, how, chosen)
    else:
        _quantize_layers(model, how, chosen, type_check)
    for one in (model, *(layer for layer in model._flatten_layers() if isinstance(layer, Trainer))):
        one._drop_plans()


def _quantize_layers(model: Any, how: Any, chosen: Callable[[Layer], Any], type_check: bool) -> None:
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, Quantizable) and chosen(layer)]
    able = [layer for layer in layers if how.mode in layer.modes]
    for layer in able:
        layer.require_unquantized()
    for layer in able:
        layer.quantize(how.mode, type_check=type_check, config=how)


def _chooser(filters: Any) -> Callable[[Layer], Any]:
    """The filters as one question about a layer."""
    if filters is None:
        return lambda layer: True
    if isinstance(filters, str):
        return lambda layer: re.search(filters, layer.path) is not None
    if callable(filters):
        return filters
    if not isinstance(filters, Iterable):
        raise ValueError(f"`filters` is a regular expression, several, or a function of a layer, but got {filters!r}.")
    questions = [_chooser(one) for one in filters]
    return lambda layer: any(question(layer) for question in questions)
