"""Averages of values, weighted by how well their keys fit the queries: the one home of attention's masks and weights."""

from __future__ import annotations

import math
from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor, promote, shape_equal
from nyala.ops.normalization import widen
from nyala.ops.rules import as_float

__all__ = ["dot_product_attention"]


@op
def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: Tensor | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Tensor:
    """Attention of several heads: `softmax(scale · query @ keyᵀ + bias) @ value`, where `mask` is true.

    `scale` is 1/√D by default. With `is_causal` a query sees the keys up to its own place only. A query that sees none
    gets the mean of all values. `attn_logits_soft_cap` c bends scores before the bias: `c tanh(scores / c)`.

    Shapes: query (N, T, H, D), key (N, S, G, D), value (N, S, G, E) → (N, T, H, E), where H is a multiple of G: each key
    and value head serves H / G query heads in a row. bias and mask broadcast to (N, H, T, S). Raises ValueError for
    shapes that do not fit and for `flash_attention=True`, which TensorFlow does not have.
    Source: Vaswani et al., "Attention is all you need", 2017.

    Example:
        >>> import numpy as np
        >>> from nyala import ops
        >>> x = np.arange(4.0).reshape(1, 2, 1, 2)
        >>> ops.nn.dot_product_attention(x, x, x, is_causal=True)[0, 0, 0].numpy().tolist()
        [0.0, 1.0]
    """
    if flash_attention:
        raise ValueError(
            "`dot_product_attention` got flash_attention=True, which TensorFlow does not have; leave it out."
        )
    query, key, value = promote(as_float(query), as_float(key), as_float(value))
    check_heads(query, key, value)
    groups = query.shape[2] // key.shape[2]
    if groups > 1:
        key, value = tf.repeat(key, groups, 2), tf.repeat(value, groups, 2)
    scale = 1 / math.sqrt(query.shape[3]) if scale is None else scale
    scores = widen(tf.einsum("bthd,bshd->bhts", query * as_tensor(scale, query.dtype), key))
    if attn_logits_soft_cap is not None:
        scores = attn_logits_soft_cap * tf.tanh(scores / attn_logits_soft_cap)
    if bias is not None:
        scores += as_tensor(bias, scores.dtype)
    if is_causal:
        mask = all_of(mask, causal_mask(query, key))
    return tf.einsum("bhts,bshe->bthe", tf.cast(attention_weights(scores, mask), value.dtype), value)


def check_heads(query: Any, key: Any, value: Any) -> None:
    """A ValueError unless these are heads that fit each other."""
    shapes = [x.shape.as_list() for x in (query, key, value)]
    fit = all(len(shape) == 4 for shape in shapes)
    if fit:
        (n, _, heads, d), (m, s, few, e), last = shapes
        fit = shape_equal((n, d), (m, e)) and shape_equal((m, s, few), last[:3]) and bool(heads and few)
        fit = fit and heads % few == 0
    if not fit:
        raise ValueError(
            "`dot_product_attention` expected a query (N, T, H, D), a key (N, S, G, D) and a value (N, S, G, E), H a "
            f"multiple of G, but got shapes {', '.join(str(tuple(shape)) for shape in shapes)}."
        )


# ---- Masks and weights ----


def causal_mask(queries: Any, keys: Any) -> Any:
    """A mask (1, T, S) that lets each of `queries` (N, T, …) see the `keys` (N, S, …) up to its own place."""
    rows, columns = places(queries, keys)
    return (rows >= columns)[None]


def window_mask(queries: Any, keys: Any, width: int) -> Any:
    """A mask (1, T, S) that lets each query see the keys less than `width` places away."""
    rows, columns = places(queries, keys)
    return (tf.abs(rows - columns) < width)[None]


def places(queries: Any, keys: Any) -> tuple[Any, Any]:
    """The places of queries and keys, (T, 1) and (1, S)."""
    return tf.range(tf.shape(queries)[1])[:, None], tf.range(tf.shape(keys)[1])[None, :]


def all_of(*masks: Any) -> Any:
    """What all masks allow; None where all are None."""
    given = [as_tensor(mask, "bool") for mask in masks if mask is not None]
    result = given[0] if given else None
    for mask in given[1:]:
        result = tf.logical_and(result, mask)
    return result


def attention_weights(scores: Any, mask: Any = None, axes: int = 1) -> Any:
    """The softmax of scores (…, T, S) over the last `axes` axes, S; where a query may see nothing, it sees all alike."""
    wide = widen(scores)
    if mask is not None:
        wide = tf.where(as_tensor(mask, "bool"), wide, tf.constant(wide.dtype.min / 2, wide.dtype))
    if axes == 1:
        return tf.cast(tf.nn.softmax(wide), scores.dtype)
    last = list(range(-axes, 0))
    exponentials = tf.exp(wide - tf.reduce_max(wide, last, keepdims=True))
    return tf.cast(exponentials / tf.reduce_sum(exponentials, last, keepdims=True), scores.dtype)
