"""Attention layers: outputs that are averages of values, weighted by how well their keys fit the queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer, call_signature
from nyala.core.tensor import mask_of
from nyala.layers.checks import fraction, one_of, positive_integer
from nyala.layers.einsum_dense import EinsumDense
from nyala.ops.attention import all_of, attention_weights, causal_mask, window_mask
from nyala.random import SeedGenerator, dropout

# ---- Attention without projections ----


class Attention(Layer):
    """Dot-product attention (Luong et al., 2015): `softmax(q @ kᵀ·scale) @ v`, called on [q, v] or [q, v, k].

    With `use_scale` the scale is learned, else 1. `score_mode="concat"` scores `w·sum(tanh(scale·(q + k)))` instead.
    Masks: [q's (N, T), v's (N, S)]; values left out get no weight, queries left out give zeros.

    Shapes: q (N, T, D), v (N, S, E), k (N, S, D) → (N, T, E); with `return_attention_scores` (N, T, S) follows.
    Raises ValueError for inputs that are no list of two or three, and for masks that are no list.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> q, v = np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")
        >>> nyala.layers.Attention()([q, v]).shape.as_list()
        [2, 3, 4]
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = one_of(self, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = fraction(self, "dropout", dropout)
        self.seed = seed
        if dropout > 0:
            self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True
        self.scale: Any = None
        self.concat_score_weight: Any = None

    def build(self, input_shape: Any) -> None:
        self._check_count(input_shape)
        if self.use_scale:
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(shape=(), initializer="ones", name="concat_score_weight")

    def _check_count(self, inputs: Any, mask: Any = None) -> None:
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            got = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else "one tensor"
            raise ValueError(f"`{self.path}` takes a list [query, value] or [query, value, key], but got {got}.")
        if mask is not None and not (isinstance(mask, (list, tuple)) and 2 <= len(mask) <= len(inputs)):
            raise ValueError(f"`{self.path}` takes a list of masks [query_mask, value_mask], but got {mask!r}.")

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: bool = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check_count(inputs, mask)
        q, v, k = inputs if len(inputs) == 3 else (*inputs, inputs[1])
        q_mask, v_mask = (None, None) if mask is None else mask[:2]
        allowed = all_of(None if v_mask is None else v_mask[:, None], causal_mask(q, v) if use_causal_mask else None)
        scores = self._scores(q, k)
        if allowed is not None:
            far = 65504.0 if scores.dtype == tf.float16 else 1e9
            scores -= far * tf.cast(tf.logical_not(allowed), scores.dtype)
        weights = tf.nn.softmax(scores)
        if training and self.dropout > 0:
            weights = dropout(weights, self.dropout, seed=self.seed_generator)
        outputs = tf.matmul(weights, v)
        if q_mask is not None:
            outputs *= tf.cast(q_mask, outputs.dtype)[:, :, None]
        return (outputs, weights) if return_attention_scores else outputs

    def _scores(self, q: Any, k: Any) -> Any:
        """How well each key fits each query, (N, T, S)."""
        scale = None if self.scale is None else self.scale.value
        if self.score_mode == "dot":
            scores = tf.matmul(q, k, transpose_b=True)
            return scores if scale is None else scores * scale
        sums = q[:, :, None] + k[:, None]  # (N, T, S, D)
        sums = sums if scale is None else sums * scale
        return self.concat_score_weight.value * tf.reduce_sum(tf.tanh(sums), -1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask[0] if mask else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return traced_spec(self, args, kwargs)


def traced_spec(layer: Layer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The outputs' shapes from tracing: with scores there are two, and the shape rule knows of one."""
    return layer._trace_output_spec(call_signature(type(layer)).name_arguments(layer, args, kwargs))


class AdditiveAttention(Attention):
    """Additive attention (Bahdanau et al., 2014): `softmax(sum(scale·tanh(q + k))) @ v`, on [q, v] or [q, v, k].

    `scale` (D,) is learned, or 1 without `use_scale`. Masks, shapes and errors are those of `Attention`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> q, v = np.ones((2, 3, 4), "float32"), np.ones((2, 5, 4), "float32")
        >>> nyala.layers.AdditiveAttention()([q, v]).shape.as_list()
        [2, 3, 4]
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        self._check_count(input_shape)
        if self.use_scale:
            self.scale = self.add_weight(shape=input_shape[0][-1:], initializer="glorot_uniform", name="scale")

    def _scores(self, q: Any, k: Any) -> Any:
        fit = tf.tanh(q[:, :, None] + k[:, None])  # (N, T, S, D)
        return tf.reduce_sum(fit if self.scale is None else fit * self.scale.value, -1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


# ---- Attention with heads ----


class _Heads(Layer):
    """What multi-head attention layers share: arguments, masks, and the attention of projected heads."""

    dropout: float
    use_gate: bool
    kernel_initializer: Any
    bias_initializer: Any
    kernel_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any
    sliding_window: int | None
    seed: int | None

    def _keep(self, arguments: dict[str, Any]) -> None:
        self.dropout = fraction(self, "dropout", arguments["dropout"])
        self.use_bias, self.use_gate = arguments["use_bias"], arguments["use_gate"]
        window = arguments["sliding_window"]
        self.sliding_window = None if window is None else positive_integer(self, "sliding_window", window)
        self.flash_attention = arguments["flash_attention"]
        for part in ("kernel", "bias"):
            for kind in ("initializer", "regularizer", "constraint"):
                name = f"{part}_{kind}"
                setattr(self, name, getattr(config, f"{kind}s").get(arguments[name]))
        self.seed = arguments["seed"]
        self.supports_masking = True
        if self.flash_attention and self.dropout > 0:
            raise ValueError(f"`{self.name}` cannot have flash attention and dropout; set one of them to False or 0.")

    def _projection(self, equation: str, output_shape: Any, axes: str, name: str) -> EinsumDense:
        projection = EinsumDense(
            equation,
            output_shape,
            bias_axes=axes if self.use_bias else None,
            kernel_initializer=_again(self.kernel_initializer),
            bias_initializer=_again(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            activity_regularizer=self.activity_regularizer,
            kernel_constraint=self.kernel_constraint,
            bias_constraint=self.bias_constraint,
            dtype=self.dtype_policy,
            name=name,
        )
        projection.supports_masking = True  # this layer sees to the masks
        return projection

    def _make_dropout(self) -> None:
        if self.dropout > 0:
            self._dropout_layer = config.layers.find("Dropout")(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def _check_flash(self) -> None:
        if self.flash_attention:
            raise ValueError(f"`{self.path}` asks for flash attention, which TensorFlow does not have; leave it out.")

    def _mask(self, masks: Sequence[Any], query: Any, value: Any, causal: bool) -> Any:
        """What all masks, causality and the window allow."""
        causal_part = causal_mask(query, value) if causal else None
        window = None if self.sliding_window is None else window_mask(query, value, self.sliding_window)
        return all_of(*masks, causal_part, window)

    def _weigh(self, scores: Any, mask: Any, places: int, training: bool | None, asked: bool) -> tuple[Any, Any]:
        """The weights that scores (…, T, S) lead to, before and after dropout; `places` axes are S.

        A query that may see nothing gets zeros where scores are asked for, dropout is on or there are more axes; else
        the mean of all values. It is so in the reference, which has two computations.
        """
        if mask is not None:
            while mask.shape.rank < scores.shape.rank:
                mask = tf.expand_dims(mask, -2 * places - 1)  # for the heads
        weights = attention_weights(scores, mask, places)
        if mask is not None and (asked or self.dropout > 0 or places > 1 or scores.shape.rank > 4):
            weights = tf.where(mask, weights, tf.zeros_like(weights))
        dropped = self._dropout_layer(weights, training=training) if self.dropout > 0 else weights
        return weights, dropped


def _again(thing: Any) -> Any:
    """An initializer of the same config, which draws its own seed where it has none."""
    return type(thing).from_config(thing.get_config()) if hasattr(thing, "get_config") else thing


def _row_mask(mask: Any) -> Any:
    return None if mask is None else tf.cast(mask, "bool")[:, None]  # (N, S) → (N, 1, S)


def _column_mask(mask: Any) -> Any:
    return None if mask is None else tf.cast(mask, "bool")[:, :, None]  # (N, T) → (N, T, 1)


class MultiHeadAttention(_Heads):
    """Attention in several heads (Vaswani et al., 2017), called on a query, a value and optionally a key.

    For each head `softmax(q·Wq @ (k·Wk)ᵀ / √K) @ (v·Wv)`; the heads together go through a last product. `attention_mask`
    (N, T, S) says what each query may see; the masks of value and key, causality and `sliding_window` narrow it.
    With `use_gate` the heads are multiplied by `σ(q·Wg)`.

    Shapes: query (N, T, D), value (N, S, E) → (N, T, D), or (N, T, *output_shape); more axes with `attention_axes`.
    With `return_attention_scores`, (N, H, T, S) follows. Raises ValueError for sizes that are no positive integers.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> x = np.ones((2, 5, 8), "float32")
        >>> nyala.layers.MultiHeadAttention(num_heads=2, key_dim=4)(x, x, use_causal_mask=True).shape.as_list()
        [2, 5, 8]
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = locals()
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(arguments)
        self.num_heads = positive_integer(self, "num_heads", num_heads)
        self.key_dim = positive_integer(self, "key_dim", key_dim)
        self.value_dim = positive_integer(self, "value_dim", key_dim if value_dim is None else value_dim)
        self.last_axes = (output_shape,) if isinstance(output_shape, int) else output_shape and tuple(output_shape)
        self.attention_axes: Any = (attention_axes,) if isinstance(attention_axes, int) else attention_axes

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        rank = len(query_shape)
        self._check_shapes(query_shape, value_shape, key_shape)
        self.query_dense = self._head_projection(len(query_shape), self.key_dim, "query")
        self.key_dense = self._head_projection(len(key_shape), self.key_dim, "key")
        if self.use_gate:
            self._gate_dense = self._head_projection(len(query_shape), self.value_dim, "gate")
        self.value_dense = self._head_projection(len(value_shape), self.value_dim, "value")
        self._make_dropout()
        places, last = _LETTERS[: rank - 1], self.last_axes or query_shape[-1:]
        ends = _LETTERS[rank - 1 : rank - 1 + len(last)]
        equation = f"{places}YZ,YZ{ends}->{places}{ends}"
        self.output_dense = self._projection(equation, (None,) * (rank - 2) + tuple(last), ends, "attention_output")
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape)
        if self.use_gate:
            self._gate_dense.build(query_shape)
        self.value_dense.build(value_shape)
        self.output_dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        if self.attention_axes is None:
            self.attention_axes = tuple(range(1, rank - 1))

    def _check_shapes(self, query: Any, value: Any, key: Any) -> None:
        if len(query) < 3 or len(value) != len(query) or len(key) != len(value):
            raise ValueError(
                f"`{self.path}` expected a query, value and key of equal rank, at least 3, but got shapes {query}, "
                f"{value} and {key}."
            )
        if any(one not in (None, other) and other is not None for one, other in zip(value[1:-1], key[1:-1])):
            raise ValueError(f"`{self.path}` expected a key for each value, but got shapes {key} and {value}.")

    def _head_projection(self, rank: int, size: int, name: str) -> EinsumDense:
        places = _LETTERS[: rank - 1]
        shape = (None,) * (rank - 2) + (self.num_heads, size)
        return self._projection(f"{places}X,XYZ->{places}YZ", shape, "YZ", name)

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check_flash()
        key = value if key is None else key
        # Of the queries' masks the one that came attached counts, not one given by name: so it is in the reference.
        attached = mask_of(query)
        masks = [attention_mask, _column_mask(attached), _row_mask(value_mask), _row_mask(key_mask)]
        mask = self._mask(masks, query, value, use_causal_mask)
        q, k, v = self.query_dense(query), self.key_dense(key), self.value_dense(value)
        score, combine = attention_equations(q.shape.rank, self.attention_axes)
        scores = tf.einsum(score, q * self.key_dim**-0.5, k)
        weights, dropped = self._weigh(scores, mask, len(self.attention_axes), training, return_attention_scores)
        heads = tf.einsum(combine, dropped, v)
        if self.use_gate:
            heads *= tf.sigmoid(self._gate_dense(query))
        outputs = self.output_dense(heads)
        return (outputs, weights) if return_attention_scores else outputs

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Any:
        return (*query_shape[:-1], *(self.last_axes or query_shape[-1:]))

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return traced_spec(self, args, kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_shape": config.serialize(self.last_axes)}


_LETTERS = "abcdefghijklm"


def attention_equations(rank: int, axes: Sequence[int]) -> tuple[str, str]:
    """The Einstein sums of heads (…, Y, Z): queries and keys to scores, and weights and values to heads.

    Example:
        >>> from nyala.layers.attention import attention_equations
        >>> attention_equations(4, (1,))
        ('abYZ,anYZ->aYbn', 'aYbn,anYZ->abYZ')
    """
    queries = _LETTERS[: rank - 2]
    keys = "".join(chr(ord(c) + 12) if i in axes else c for i, c in enumerate(queries))
    shared = "".join(c for i, c in enumerate(queries) if i not in axes)
    seen, seeing = [[word[i] for i in axes] for word in (keys, queries)]
    scores = f"{shared}Y{''.join(seeing)}{''.join(seen)}"
    return f"{queries}YZ,{keys}YZ->{scores}", f"{scores},{keys}YZ->{queries}YZ"


class GroupedQueryAttention(_Heads):
    """Multi-head attention in which groups of query heads share a key and a value head (Ainslie et al., 2023).

    `num_query_heads` is a multiple of `num_key_value_heads`. Masks and formula are those of `MultiHeadAttention`; a
    query that `query_mask` leaves out sees nothing.

    Shapes: query (N, T, D), value (N, S, E) → (N, T, D); with `return_attention_scores` (N, H, T, S) follows. Raises
    ValueError where the heads cannot be grouped or a size is no positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> x = np.ones((2, 5, 8), "float32")
        >>> nyala.layers.GroupQueryAttention(head_dim=4, num_query_heads=6, num_key_value_heads=2)(x, x).shape.as_list()
        [2, 5, 8]
    """

    name_in_files = "GroupQueryAttention"

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        arguments = locals()
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._keep(arguments)
        self.head_dim = positive_integer(self, "head_dim", head_dim)
        self.num_query_heads = positive_integer(self, "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive_integer(self, "num_key_value_heads", num_key_value_heads)
        if num_query_heads % num_key_value_heads:
            raise ValueError(
                f"`{self.name}` cannot share {num_key_value_heads} key heads among {num_query_heads} query heads evenly; "
                "`num_query_heads` must be a multiple of `num_key_value_heads`."
            )

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        key_shape = value_shape if key_shape is None else key_shape
        many, few = (None, self.num_query_heads, self.head_dim), (None, self.num_key_value_heads, self.head_dim)
        self._query_dense = self._projection("bqm,muh->bquh", many, "uh", "query")
        self._key_dense = self._projection("bkm,mvh->bkvh", few, "vh", "key")
        if self.use_gate:
            self._gate_dense = self._projection("bqm,muh->bquh", many, "uh", "gate")
        self._value_dense = self._projection("bkm,mvh->bkvh", few, "vh", "value")
        self._make_dropout()
        self._output_dense = self._projection("bquh,uhm->bqm", (None, query_shape[-1]), "m", "attention_output")
        self._query_dense.build(query_shape)
        self._key_dense.build(key_shape)
        if self.use_gate:
            self._gate_dense.build(query_shape)
        self._value_dense.build(value_shape)
        self._output_dense.build((*query_shape[:-1], self.num_query_heads, self.head_dim))

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        self._check_flash()
        key = value if key is None else key
        masks = [attention_mask, _column_mask(query_mask), _row_mask(value_mask), _row_mask(key_mask)]
        mask = self._mask(masks, query, value, use_causal_mask)
        repeats = self.num_query_heads // self.num_key_value_heads
        q = self._query_dense(query) * self.head_dim**-0.5
        k = tf.repeat(self._key_dense(key), repeats, 2)  # (N, S, H, K)
        v = tf.repeat(self._value_dense(value), repeats, 2)
        scores = tf.einsum("bquh,bkuh->buqk", q, k)
        weights, dropped = self._weigh(scores, mask, 1, training, return_attention_scores)
        heads = tf.einsum("buqk,bkuh->bquh", dropped, v)
        if self.use_gate:
            heads *= tf.sigmoid(self._gate_dense(query))
        outputs = self._output_dense(heads)
        return (outputs, weights) if return_attention_scores else outputs

    def compute_output_shape(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> Any:
        return query_shape

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        return traced_spec(self, args, kwargs)


# The public name, which files say; places in files are called after the other.
GroupQueryAttention = GroupedQueryAttention

config.layers.add(Attention)
config.layers.add(AdditiveAttention)
config.layers.add(MultiHeadAttention)
config.layers.add(GroupedQueryAttention, "GroupQueryAttention")
