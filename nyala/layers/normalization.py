"""Layers that bring values to mean zero and variance one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import InputSpec, Layer


class BatchNormalization(Layer):
    """Each feature over the batch: `gamma · (x - mean) / sqrt(variance + epsilon) + beta`.

    In training, mean and variance are the batch's, and moving averages follow them (`moving = momentum · moving + (1 -
    momentum) · batch`), which inference uses. Shapes: any → the same, features along `axis`. A frozen layer
    (`trainable = False`) infers. Source: Ioffe and Szegedy, 2015.

    Example:
        >>> import nyala
        >>> nyala.layers.BatchNormalization()(nyala.KerasTensor((None, 8, 8, 3))).shape
        (None, 8, 8, 3)
    """

    def __init__(
        self,
        axis: Any = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis
        self.momentum, self.epsilon = float(momentum), float(epsilon)
        self.center, self.scale = center, scale
        self.beta_initializer = config.initializers.get(beta_initializer)
        self.gamma_initializer = config.initializers.get(gamma_initializer)
        self.moving_mean_initializer = config.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = config.initializers.get(moving_variance_initializer)
        self.beta_regularizer = config.regularizers.get(beta_regularizer)
        self.gamma_regularizer = config.regularizers.get(gamma_regularizer)
        self.beta_constraint = config.constraints.get(beta_constraint)
        self.gamma_constraint = config.constraints.get(gamma_constraint)
        self.renorm, self.renorm_clipping, self.renorm_momentum = renorm, renorm_clipping, renorm_momentum
        self.synchronized = synchronized
        self.supports_masking = True
        if not isinstance(self.axis, int):
            raise ValueError(f"`axis` of `{self.name}` must be an integer, but got {axis!r}.")
        if renorm_clipping and set(renorm_clipping) - {"rmax", "rmin", "dmax"}:
            raise ValueError(f"`renorm_clipping` of `{self.name}` has the keys rmax, rmin and dmax: {renorm_clipping}.")

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if not -rank <= self.axis < rank or input_shape[self.axis] is None:
            raise ValueError(f"`{self.path}` needs a known size on axis {self.axis}, but got shape {input_shape}.")
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self._vector(input_shape, "gamma", self.gamma_initializer)
            self.gamma.regularizer, self.gamma.constraint = self.gamma_regularizer, self.gamma_constraint
        if self.center:
            self.beta = self._vector(input_shape, "beta", self.beta_initializer)
            self.beta.regularizer, self.beta.constraint = self.beta_regularizer, self.beta_constraint
        self.moving_mean = self._vector(input_shape, "moving_mean", self.moving_mean_initializer, False)
        self.moving_variance = self._vector(input_shape, "moving_variance", self.moving_variance_initializer, False)
        if self.renorm:
            self.renorm_mean = self._vector(input_shape, "renorm_mean", self.moving_mean_initializer, False)
            deviation = self._vector(input_shape, "renorm_stddev", self.moving_variance_initializer, False)
            deviation.assign(tf.sqrt(self.moving_variance.value))
            self.renorm_stddev = deviation
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: input_shape[self.axis]})

    def _vector(self, input_shape: Any, name: str, initializer: Any, trainable: bool = True) -> Any:
        shape = (input_shape[self.axis],)
        return self.add_weight(shape=shape, name=name, initializer=initializer, trainable=trainable, autocast=False)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        learning = bool(training) and self.trainable
        axis = self.axis % inputs.shape.rank
        fused = inputs.shape.rank == 4 and axis == 3 and mask is None and not self.renorm
        if fused and inputs.dtype in (tf.float32, tf.float16, tf.bfloat16):
            return self._fused(inputs, learning)
        return self._plain(inputs, learning, axis, mask)

    def _fused(self, inputs: Any, learning: bool) -> Any:
        """TensorFlow's kernel for images: one pass over the data."""
        def single(variable: Any, otherwise: Any) -> Any:
            return otherwise if variable is None else tf.cast(variable.value, "float32")

        size = [inputs.shape[-1]]
        nothing = tf.zeros([0])  # in training the kernel takes no statistics
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=single(self.gamma, tf.ones(size)),
            offset=single(self.beta, tf.zeros(size)),
            mean=nothing if learning else single(self.moving_mean, nothing),
            variance=nothing if learning else single(self.moving_variance, nothing),
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            # The kernel gives the unbiased variance; the averages follow the biased one.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
            self._follow(mean, variance * (count - 1.0) / tf.maximum(count, 1.0))
        return outputs

    def _plain(self, inputs: Any, learning: bool, axis: int, mask: Any) -> Any:
        x = tf.cast(inputs, "float32") if inputs.dtype in (tf.float16, tf.bfloat16) else inputs
        others = [place for place in range(x.shape.rank) if place != axis]
        mean, variance = tf.cast(self.moving_mean.value, x.dtype), tf.cast(self.moving_variance.value, x.dtype)
        correction = None
        if learning:
            mean, variance = self._moments(x, others, mask)
            if self.renorm:
                correction = self._renormalized(mean, variance)
            self._follow(mean, variance)
        shape = [1] * x.shape.rank
        shape[axis] = x.shape[axis]

        def along(v: Any) -> Any:
            return tf.reshape(tf.cast(v, x.dtype), shape)

        outputs = (x - along(mean)) * along(tf.math.rsqrt(variance + self.epsilon))
        if correction is not None:
            outputs = outputs * along(correction[0]) + along(correction[1])
        if self.gamma is not None:
            outputs *= along(self.gamma.value)
        if self.beta is not None:
            outputs += along(self.beta.value)
        return tf.cast(outputs, inputs.dtype)

    def _moments(self, x: Any, axes: list[int], mask: Any) -> tuple[Any, Any]:
        """Mean and variance of the batch, over all replicas where `synchronized`, of what the mask keeps."""
        if mask is None and not self._replicated():
            return tf.nn.moments(x, axes)
        weight = tf.ones_like(x) if mask is None else tf.cast(mask, x.dtype)
        while weight.shape.rank < x.shape.rank:
            weight = tf.expand_dims(weight, -1)
        count, total = tf.reduce_sum(weight * tf.ones_like(x), axes), tf.reduce_sum(x * weight, axes)
        squares = tf.reduce_sum(tf.square(x) * weight, axes)
        if self._replicated():
            context = tf.distribute.get_replica_context()
            count, total, squares = context.all_reduce(tf.distribute.ReduceOp.SUM, [count, total, squares])
            mean = tf.math.divide_no_nan(total, count)
            return mean, tf.math.divide_no_nan(squares, count) - tf.square(mean)
        epsilon = 1e-7
        mean = total / (count + epsilon)
        shape = [1 if place in axes else size for place, size in enumerate(x.shape)]
        deviation = tf.square(x - tf.reshape(mean, [1 if s is None else s for s in shape]))
        return mean, tf.reduce_sum(deviation * weight, axes) / (count + epsilon)

    def _replicated(self) -> bool:
        context = tf.distribute.get_replica_context()
        return bool(self.synchronized and context is not None and context.num_replicas_in_sync > 1)

    def _follow(self, mean: Any, variance: Any) -> None:
        """Move the moving averages towards the batch's."""
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            old = average.value
            average.assign(old * self.momentum + tf.cast(value, old.dtype) * (1.0 - self.momentum))

    def _renormalized(self, mean: Any, variance: Any) -> tuple[Any, Any]:
        """Scale and shift that make the batch's statistics the running ones. Source: Ioffe, 2017."""
        clip = self.renorm_clipping or {}
        deviation = tf.sqrt(variance + self.epsilon)
        r = tf.stop_gradient(deviation / self.renorm_stddev.value)
        d = tf.stop_gradient((mean - self.renorm_mean.value) / self.renorm_stddev.value)
        if clip.get("rmax") is not None:
            r = tf.minimum(r, clip["rmax"])
        if clip.get("rmin") is not None:
            r = tf.maximum(r, clip["rmin"])
        if clip.get("dmax") is not None:
            d = tf.clip_by_value(d, -clip["dmax"], clip["dmax"])
        for average, value in ((self.renorm_mean, mean), (self.renorm_stddev, deviation)):
            old = average.value
            average.assign(old * self.renorm_momentum + value * (1.0 - self.renorm_momentum))
        return r, d

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class LayerNormalization(Layer):
    """Each row over its features: `gamma · (x - mean) / sqrt(variance + epsilon) + beta`.

    Shapes: any → the same; `axis` is one axis or several. Source: Ba et al., 2016.

    Example:
        >>> import nyala
        >>> nyala.layers.LayerNormalization()(nyala.KerasTensor((None, 8))).shape
        (None, 8)
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        rms_scaling = kwargs.pop("rms_scaling", False)
        super().__init__(**kwargs)
        if isinstance(axis, (list, tuple)):
            self.axis: Any = list(axis)
        elif isinstance(axis, int):
            self.axis = axis
        else:
            raise TypeError(f"`axis` of `{self.name}` must be an integer or a list of them, but got {axis!r}.")
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self.rms_scaling = rms_scaling
        self.beta_initializer = config.initializers.get(beta_initializer)
        self.gamma_initializer = config.initializers.get(gamma_initializer)
        self.beta_regularizer = config.regularizers.get(beta_regularizer)
        self.gamma_regularizer = config.regularizers.get(gamma_regularizer)
        self.beta_constraint = config.constraints.get(beta_constraint)
        self.gamma_constraint = config.constraints.get(gamma_constraint)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.axis = self.axis if isinstance(self.axis, list) else [self.axis]
        shape = tuple(input_shape[axis] for axis in self.axis)
        self.gamma = self.beta = None
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
                name="gamma",
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
                name="beta",
            )

    def call(self, inputs: Any) -> Any:
        x = tf.cast(inputs, "float32") if inputs.dtype in (tf.float16, tf.bfloat16) else inputs
        axes = [axis % x.shape.rank for axis in self.axis]
        shape = [x.shape[place] if place in axes else 1 for place in range(x.shape.rank)]
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        if self.rms_scaling:
            outputs = x * tf.math.rsqrt(variance + self.epsilon)
        else:
            outputs = (x - mean) * tf.math.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            outputs *= tf.reshape(tf.cast(self.gamma.value, x.dtype), shape)
        if self.beta is not None:
            outputs += tf.reshape(tf.cast(self.beta.value, x.dtype), shape)
        return tf.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


for _layer in (BatchNormalization, LayerNormalization):
    config.layers.add(_layer)
