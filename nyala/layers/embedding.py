"""Layers that look vectors up in a table."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.layers.checks import positive_integer
from nyala.layers.quantized_tables import QuantizableTable


class Embedding(QuantizableTable):
    """A vector for each whole number: `output = E[input]`, E of shape (input_dim, output_dim).

    With `mask_zero`, inputs of 0 are padding: the layers behind get a mask. `weights` are the table's first values.

    Shapes: (N, …) of integers → (N, …, output_dim). Raises ValueError where a dimension is no positive integer or
    `weights` have another shape; TensorFlow raises InvalidArgumentError on a CPU for an input outside the table.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Embedding(1000, 8)(np.array([[4, 1, 7]])).shape.as_list()
        [1, 3, 8]
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)  # of old, and without effect
        super().__init__(**kwargs)
        self.input_dim = positive_integer(self, "input_dim", input_dim)
        self.output_dim = positive_integer(self, "output_dim", output_dim)
        self.embeddings_initializer = config.initializers.get(embeddings_initializer)
        self.embeddings_regularizer = config.regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = config.constraints.get(embeddings_constraint)
        self.keep_adaptations(lora_rank, lora_alpha, quantization_config)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self.autocast = False  # a float16 cannot hold a large index
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Any = None) -> None:
        self.add_table()
        self.start_lora()

    def call(self, inputs: Any) -> Any:
        indices = _as_indices(inputs)
        indices = tf.where(indices < 0, indices + self.input_dim, indices)  # -1 is the last row
        return tf.cast(self.rows(indices), self.compute_dtype)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if not self.mask_zero:
            return None
        inputs = tf.sparse.to_dense(inputs) if isinstance(inputs, tf.SparseTensor) else inputs
        return tf.not_equal(inputs, tf.zeros((), inputs.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape, self.output_dim)

    def get_config(self) -> dict[str, Any]:
        kept = {name: value for name, value in super().get_config().items() if name != "weights"}
        return {"activity_regularizer": None, **kept}


def _as_indices(inputs: Any) -> Any:
    inputs = tf.sparse.to_dense(inputs) if isinstance(inputs, tf.SparseTensor) else inputs
    return inputs if inputs.dtype in (tf.int32, tf.int64) else tf.cast(inputs, "int32")


class ReversibleEmbedding(Embedding):
    """An embedding that can be run backwards: `output = E[input]`, and with `reverse=True` `logits = input @ Eᵀ`.

    Without `tie_weights` the way back has a matrix of its own, (output_dim, input_dim). `reverse_dtype` is the dtype
    of the product; with `logit_soft_cap` s, `logits = s·tanh(logits / s)`.

    Shapes: (N, …) → (N, …, output_dim); in reverse (N, …, output_dim) → (N, …, input_dim). Raises what `Embedding`
    raises. Source: Press & Wolf, "Using the Output Embedding to Improve Language Models", 2016.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.ReversibleEmbedding(1000, 8)
        >>> layer(layer(np.array([[4, 1, 7]])), reverse=True).shape.as_list()
        [1, 3, 1000]
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
            mask_zero,
            **kwargs,
        )

    def build(self, inputs_shape: Any = None) -> None:
        super().build(inputs_shape)
        if not self.tie_weights:
            self.add_reverse_table()

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if not reverse:
            return super().call(inputs)
        logits = self.times_matrix(inputs, self.tie_weights, self.reverse_dtype)
        if self.logit_soft_cap is not None:
            logits = tf.tanh(logits / self.logit_soft_cap) * self.logit_soft_cap
        return logits

    def _pass_masks_on(self, arguments: dict[str, Any], masks: Any, outputs: Any) -> None:
        if not arguments.get("reverse"):
            super()._pass_masks_on(arguments, masks, outputs)

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        return self._trace_output_spec({"inputs": inputs, "reverse": reverse})

    def compute_output_shape(self, input_shape: Any, reverse: bool = False) -> Any:
        return (*input_shape[:-1], self.input_dim) if reverse else (*input_shape, self.output_dim)


config.layers.add(Embedding)
config.layers.add(ReversibleEmbedding)
