"""GPTQ and AWQ: rounding the layers of a model one after the other, with examples of what comes into each.

The model is seen as blocks: `pre_block_layers` make the inputs of the first of `sequential_blocks`; a block's layers are
quantized with what reaches them, then the block's outputs go to the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.layers.quantized import QuantizableKernel

Array = np.ndarray


def calibrate(model: Any, how: Any, chosen: Callable[[Any], Any]) -> None:
    """Quantize the chosen layers in the blocks of `model` as a GPTQConfig or AWQConfig says."""
    structure = how.quantization_layer_structure or model.get_quantization_layer_structure(how.mode)
    if not structure or "sequential_blocks" not in structure:
        raise ValueError(
            f"The mode {how.mode!r} needs to know the blocks of `{model.name}`: pass quantization_layer_structure="
            "{'pre_block_layers': [...], 'sequential_blocks': [...]} to the config, or override "
            "`get_quantization_layer_structure` of the model."
        )
    samples = token_samples(how)
    for layer in structure.get("pre_block_layers", []):
        samples = [layer(x) for x in samples]
    for block in structure["sequential_blocks"]:
        layers = [x for x in block._flatten_layers() if isinstance(x, QuantizableKernel) and chosen(x)]
        seen = _what_comes_in(block, layers, samples)
        for layer, rows in zip(layers, seen):
            layer.quantize(how.mode, config=how, type_check=False)
            quantize = gptq if how.mode == "gptq" else awq
            quantize(layer, np.concatenate(rows), how)
        samples = [block(x) for x in samples]


def token_samples(how: Any) -> list[Any]:
    """`num_samples` windows of `sequence_length` tokens, evenly spread over all texts in a row; each a batch of one."""
    if how.dataset is None:
        raise ValueError(f"{type(how).__name__} has no dataset; pass texts or arrays of token ids to calibrate with.")
    tokenize = getattr(how.tokenizer, "tokenize", how.tokenizer)
    parts = [np.ravel(tokenize(part) if isinstance(part, str) else part) for part in how.dataset]
    tokens, length = np.concatenate(parts).astype("int32"), how.sequence_length
    tokens = np.resize(tokens, max(len(tokens), length))  # a short text is repeated
    starts = len(tokens) - length + 1
    step = max(starts // how.num_samples, 1)
    return [tf.constant(tokens[np.newaxis, (k * step) % starts :][:, :length]) for k in range(how.num_samples)]


def _what_comes_in(block: Any, layers: list[Any], samples: list[Any]) -> list[list[Array]]:
    """For each layer the inputs of its product, as rows of a matrix, while the samples run through the block."""
    seen: list[list[Array]] = [[] for _ in layers]
    for layer, rows in zip(layers, seen):
        layer.contract = _listening(layer, rows)
    try:
        for x in samples:
            block(x)
    finally:
        for layer in layers:
            del layer.contract
    return seen


def _listening(layer: Any, rows: list[Array]) -> Callable[[Any, Any], Any]:
    contract = layer.contract

    def listen(inputs: Any, kernel: Any) -> Any:
        axes = [axis % inputs.shape.rank for axis in layer.contracted_axes[0]]
        order = [*(axis for axis in range(inputs.shape.rank) if axis not in axes), *axes]
        depth = layer.matrix_shape(layer.kernel_shape)[0]
        rows.append(tf.reshape(tf.transpose(tf.cast(inputs, "float32"), order), (-1, depth)).numpy())
        return contract(inputs, kernel)

    return listen


# ---- Rounding ----


def grid(weights: Array, bits: int, symmetric: bool = False, shared: bool = False) -> tuple[Array, Array]:
    """Scale and zero point for each row of (U, D): `0 … 2^bits - 1` spans from the least to the greatest of it and 0."""
    axis = None if shared else 1
    low = np.minimum(weights.min(axis=axis, keepdims=True), 0)
    high = np.maximum(weights.max(axis=axis, keepdims=True), 0)
    if symmetric:
        high = np.maximum(np.abs(low), high)
        low = np.where(low < 0, -high, low)
    constant = low == high
    low, high = np.where(constant, low - 1, low), np.where(constant, high + 1, high)
    most = 2**bits - 1
    scale = (high - low) / np.float32(most)
    zero = np.full_like(scale, (most + 1) / 2) if symmetric else np.round(-low / scale)
    rows = (weights.shape[0], 1)
    return np.broadcast_to(scale, rows).astype("float32"), np.broadcast_to(np.clip(zero, 0, most), rows)


def rounded(weights: Array, scale: Array, zero: Array, bits: int) -> Array:
    """The whole numbers of weights."""
    return np.clip(np.round(weights / scale) + zero, 0, 2**bits - 1)


def gptq(layer: Any, inputs: Array, how: Any) -> None:
    """Round a layer's kernel column by column; what a column loses, the columns behind it make up for."""
    weights = layer.to_matrix(layer._kernel._present()).numpy().T.astype("float32")  # (U, D)
    hessian = 2 * inputs.T @ inputs / max(len(inputs), 1)
    dead = np.diag(hessian) == 0
    hessian[dead, dead] = 1
    weights[:, dead] = 0
    order = np.argsort(-np.diag(hessian), kind="stable") if how.activation_order else np.arange(len(hessian))
    weights, hessian = weights[:, order].copy(), hessian[np.ix_(order, order)]
    hessian[np.diag_indices_from(hessian)] += how.hessian_damping * np.diag(hessian).mean()
    inverse = np.linalg.cholesky(np.linalg.inv(hessian.astype("float64"))).T.astype("float32")  # upper triangular
    depth = weights.shape[1]
    size = depth if how.group_size == -1 else how.group_size
    numbers, scales, zeros = np.zeros_like(weights), [], []
    for place in range(depth):
        if place % size == 0:
            group = weights[:, place : place + size]
            scale, zero = grid(group, how.weight_bits, how.symmetric, not how.per_channel)
            scales.append(scale)
            zeros.append(zero)
        column = weights[:, place : place + 1]
        numbers[:, place : place + 1] = q = rounded(column, scale, zero, how.weight_bits)
        error = (column - (q - zero) * scale) / inverse[place, place]
        weights[:, place + 1 :] -= error @ inverse[place : place + 1, place + 1 :]
    back = np.argsort(order)
    groups = (np.arange(depth) // size)[back]
    layer.scheme.store(layer, numbers[:, back], np.hstack(scales), np.hstack(zeros), groups)


def awq(layer: Any, inputs: Array, how: Any) -> None:
    """Scale up the rows of a kernel whose inputs are large before rounding, by the power that leaves least error."""
    weights = layer.to_matrix(layer._kernel._present()).numpy().T.astype("float32")  # (U, D)
    strength = np.abs(inputs).max(axis=0)
    weight_of_error = np.mean(inputs**2, axis=0)
    best: tuple[float, Any] = (np.inf, None)
    for point in range(how.num_grid_points + 1):
        scales = np.maximum(strength ** (point / how.num_grid_points), 1e-4)
        scales = scales / np.sqrt(scales.max() * scales.min())
        found = _in_groups(weights * scales, how)
        lost = (found[3] / scales - weights) ** 2
        error = float(np.mean(lost * weight_of_error))
        if error < best[0]:
            best = (error, (scales, found))
    scales, (numbers, scale, zero, _) = best[1]
    layer.awq_scales.assign(scales)
    depth = weights.shape[1]
    size = depth if how.group_size == -1 else how.group_size
    layer.scheme.store(layer, numbers, scale, zero, np.arange(depth) // size)


def _in_groups(weights: Array, how: Any) -> tuple[Array, Array, Array, Array]:
    """Whole numbers, scales, zero points and what these give back, in groups of columns of (U, D)."""
    size = weights.shape[1] if how.group_size == -1 else how.group_size
    parts = []
    for first in range(0, weights.shape[1], size):
        group = weights[:, first : first + size]
        scale, zero = grid(group, how.weight_bits)
        numbers = rounded(group, scale, zero, how.weight_bits)
        parts.append((numbers, scale, zero, (numbers - zero) * scale))
    numbers, scales, zeros, again = (np.hstack(column) for column in zip(*parts))
    return numbers, scales, zeros, again
