"""Layers in which every output sees every input."""

from __future__ import annotations

from typing import Any

from nyala.activations import linear
from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import InputSpec
from nyala.layers.checks import positive_integer
from nyala.layers.quantized import QuantizableKernel


class Dense(QuantizableKernel):
    """A densely connected layer: `output = activation(input @ W + b)`, W of shape (D, U) and b of shape (U,).

    Shapes: (N, …, D) → (N, …, U). Raises ValueError where `units` is no positive integer or D is unknown.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Dense(2)(np.ones((4, 3), "float32")).shape.as_list()
        [4, 2]
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = positive_integer(self, "units", units)
        self.activation = config.activations.get(activation or "linear")
        self.use_bias = use_bias
        self.kernel_initializer = config.initializers.get(kernel_initializer)
        self.bias_initializer = config.initializers.get(bias_initializer)
        self.kernel_regularizer = config.regularizers.get(kernel_regularizer)
        self.bias_regularizer = config.regularizers.get(bias_regularizer)
        self.kernel_constraint = config.constraints.get(kernel_constraint)
        self.bias_constraint = config.constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True
        self.keep_adaptations(lora_rank, lora_alpha, quantization_config)

    def build(self, input_shape: Any) -> None:
        features = input_shape[-1]
        self.add_kernel((features, self.units))
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: features})
        self.start_lora()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel = self.merged() if self.lora_enabled else self._kernel.value
        return self.finish(self.contract(inputs, kernel))

    def contract(self, inputs: Any, kernel: Any) -> Any:
        if isinstance(inputs, tf.SparseTensor):
            return tf.sparse.sparse_dense_matmul(inputs, kernel)
        if inputs.shape.rank == 2 and isinstance(inputs, tf.Tensor):
            return tf.raw_ops.MatMul(a=inputs, b=kernel)  # eagerly in half the time of `tf.matmul`
        return tf.matmul(inputs, kernel) if inputs.shape.rank == 2 else tf.tensordot(inputs, kernel, 1)

    def finish(self, outputs: Any, bias: Any = None) -> Any:
        if self.bias is not None:
            outputs = tf.raw_ops.BiasAdd(value=outputs, bias=self.bias.value if bias is None else bias)
        return outputs if self.activation is linear else self.activation(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.units)


config.layers.add(Dense)
