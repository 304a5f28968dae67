"""Normalization layers: values brought to mean 0 and variance 1, over the batch, a row, groups of channels, …"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nyala import ops
from nyala.core import config, replicas
from nyala.core.engine import tf
from nyala.core.layer import InputSpec, Layer
from nyala.layers.checks import positive_integer
from nyala.layers.wrappers import Wrapper
from nyala.ops.normalization import over_replicas, widen
from nyala.ops.rules import dims

FUSED = ("float16", "bfloat16", "float32")
SMALLEST_FUSED_EPSILON = 1.001e-5  # cuDNN's


def value_of(weight: Any) -> Any:
    """The value of a weight; None where it is left out."""
    return None if weight is None else weight.value


def checked_axes(layer: Layer, axis: int | Sequence[int], input_shape: Sequence[int | None]) -> list[int]:
    """The axes as numbers from 0, sorted; a ValueError where the inputs lack one or do not know its size."""
    rank = len(input_shape)
    axes = [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    if any(not -rank <= place < rank for place in axes):
        raise ValueError(
            f"`{layer.path}` normalizes along axis {axis}, which inputs of shape {tuple(input_shape)} do not have."
        )
    found = sorted({int(place) % rank for place in axes})
    if any(input_shape[place] is None for place in found):
        raise ValueError(
            f"`{layer.path}` needs a known size on axis {axis}, but its inputs have shape {tuple(input_shape)}."
        )
    return found


def checked_axis_argument(layer: Layer, axis: Any) -> Any:
    """`axis` where it is an integer or a list of integers; a TypeError where not."""
    if isinstance(axis, (list, tuple)) and all(isinstance(place, (int, np.integer)) for place in axis):
        return list(axis)
    if not isinstance(axis, (int, np.integer)):
        raise TypeError(f"`axis` of `{layer.name}` must be an integer or a list of them, but got {axis!r}.")
    return int(axis)


class _ScaledAndShifted(Layer):
    """What layers with a learned factor `gamma` and shift `beta` share."""

    def _set_parameters(self, center: bool, scale: bool, **parts: Any) -> None:
        self.center, self.scale = center, scale
        tables = {
            "initializer": config.initializers,
            "regularizer": config.regularizers,
            "constraint": config.constraints,
        }
        for name, value in parts.items():
            setattr(self, name, tables[name.rpartition("_")[2]].get(value))
        self.supports_masking = True

    def _add_gamma_and_beta(self, shape: Sequence[int]) -> None:
        self.gamma = self._add_part("gamma", shape) if self.scale else None
        self.beta = self._add_part("beta", shape) if self.center else None

    def _add_part(self, name: str, shape: Sequence[int]) -> Any:
        return self.add_weight(
            shape=shape,
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            name=name,
            autocast=False,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)


# ---- Over the batch ----


class BatchNormalization(_ScaledAndShifted):
    """Each channel with mean 0 and variance 1 over the batch: `gamma · (x - mean) / sqrt(variance + epsilon) + beta`.

    In training, mean and variance are the batch's (of what the mask lets by), and the moving ones follow them:
    `moving = moving · momentum + batch · (1 - momentum)`. In inference, or where `trainable` is False, the moving ones
    count. `renorm` uses moving statistics in training too, within `renorm_clipping` (Ioffe, 2017); `synchronized` takes
    the batch of all replicas.

    Shapes: (N, …, C) → the same. Raises ValueError where `axis` is missing or of unknown size, and for unknown clippings.
    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> x = np.array([[1.0], [3.0]], "float32")
        >>> nyala.layers.BatchNormalization(epsilon=0.0)(x, training=True).numpy().tolist()
        [[-1.0], [1.0]]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
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
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, (list, tuple)):
            raise TypeError(f"`axis` of `{self.name}` must be one integer, but got {axis!r}.")
        self.axis, self.momentum, self.epsilon = int(axis), momentum, epsilon
        self.renorm, self.renorm_momentum, self.synchronized = renorm, renorm_momentum, synchronized
        self.renorm_clipping = _checked_clipping(self, renorm_clipping) if renorm else renorm_clipping
        self.moving_mean_initializer = config.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = config.initializers.get(moving_variance_initializer)
        self._set_parameters(
            center,
            scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )

    def build(self, input_shape: Any) -> None:
        (axis,) = checked_axes(self, self.axis, input_shape)
        shape = (input_shape[axis],)
        self._add_gamma_and_beta(shape)
        self.moving_mean = self._add_moving("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self._add_moving("moving_variance", shape, self.moving_variance_initializer)
        if self.renorm:
            self.moving_stddev = self._add_moving("moving_stddev", shape, _root_of(self.moving_variance_initializer))
            self.renorm_mean = self._add_moving("renorm_mean", shape, self.moving_mean_initializer)
            self.renorm_stddev = self._add_moving("renorm_stddev", shape, _root_of(self.moving_variance_initializer))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: shape[0]})
        self._channel_axis = axis

    def _add_moving(self, name: str, shape: Sequence[int], initializer: Any) -> Any:
        return self.add_weight(shape=shape, initializer=initializer, trainable=False, autocast=False, name=name)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        training = bool(training) and self.trainable
        if self._can_be_fused(inputs, mask if training else None, training):
            return self._fused(inputs, training)
        gamma, beta = value_of(self.gamma), value_of(self.beta)
        if not training:
            mean, variance = self.moving_mean.value, self.moving_variance.value
            return ops.batch_normalization(inputs, mean, variance, self._channel_axis, beta, gamma, self.epsilon)
        x = widen(inputs)
        mean, variance = self._moments(x, mask)
        if self.renorm:
            gamma, beta = self._renormalized(mean, variance, gamma, beta)
        self._follow(mean, variance)
        outputs = ops.batch_normalization(x, mean, variance, self._channel_axis, beta, gamma, self.epsilon)
        return tf.cast(outputs, inputs.dtype)

    # -- TensorFlow's fused kernel: images, one pass --

    def _can_be_fused(self, inputs: Any, mask: Any, training: bool) -> bool:
        return (
            inputs.shape.rank == 4
            and self._channel_axis == 3
            and inputs.dtype.name in FUSED
            and mask is None
            and not (training and (self.renorm or self.synchronized))
            and self.epsilon >= SMALLEST_FUSED_EPSILON
        )

    def _fused(self, inputs: Any, training: bool) -> Any:
        gamma, beta, mean, variance = (
            tf.fill([inputs.shape[3]], tf.constant(neutral, "float32")) if v is None else tf.cast(v.value, "float32")
            for v, neutral in (
                (self.gamma, 1.0),
                (self.beta, 0.0),
                (self.moving_mean, 0.0),
                (self.moving_variance, 1.0),
            )
        )
        outputs = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=tf.constant([]) if training else mean,
            variance=tf.constant([]) if training else variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel gives the variance of the population that the batch is a sample of, n / (n - 1) of the batch's.
            count = tf.cast(tf.size(inputs) // inputs.shape[3], "float32")
            self._follow(outputs.batch_mean, outputs.batch_variance * tf.maximum(count - 1, 1) / count)
        return outputs.y

    # -- Formulas: everything else --

    def _moments(self, x: Any, mask: Any) -> tuple[Any, Any]:
        axes = [axis for axis in range(x.shape.rank) if axis != self._channel_axis]
        if mask is None:
            return ops.moments(x, axes, synchronized=self.synchronized)
        weights = tf.cast(mask, x.dtype)
        weights = tf.reshape(weights, tf.concat([tf.shape(weights), [1] * (x.shape.rank - weights.shape.rank)], 0))
        mean, variance = tf.nn.weighted_moments(x, axes, weights)
        return over_replicas(mean, variance) if self.synchronized else (mean, variance)

    def _renormalized(self, mean: Any, variance: Any, gamma: Any, beta: Any) -> tuple[Any, Any]:
        """`gamma · r` and `gamma · d + beta`: what moves the batch's statistics to the moving ones, within the clipping."""
        limits = self.renorm_clipping or {}
        deviation = tf.sqrt(variance + self.epsilon)
        moving_mean, moving_deviation = (tf.cast(v.value, mean.dtype) for v in (self.renorm_mean, self.renorm_stddev))
        r, d = deviation / moving_deviation, (mean - moving_mean) / moving_deviation
        r = r if limits.get("rmax") is None else tf.minimum(r, limits["rmax"])
        r = r if limits.get("rmin") is None else tf.maximum(r, limits["rmin"])
        d = d if limits.get("dmax") is None else tf.clip_by_value(d, -limits["dmax"], limits["dmax"])
        r, d = tf.stop_gradient(r), tf.stop_gradient(d)
        gamma = tf.ones_like(r) if gamma is None else tf.cast(gamma, r.dtype)
        return gamma * r, gamma * d if beta is None else gamma * d + tf.cast(beta, r.dtype)

    def _follow(self, mean: Any, variance: Any) -> None:
        """Move the moving statistics towards those of the batch."""
        mean, variance = replicas.means([tf.stop_gradient(mean), tf.stop_gradient(variance)])  # one state for all
        _move(self.moving_mean, mean, self.momentum)
        if not self.renorm:
            _move(self.moving_variance, variance, self.momentum)
            return
        deviation = tf.sqrt(variance + self.epsilon)
        _move(self.moving_stddev, deviation, self.momentum)
        self.moving_variance.assign(tf.nn.relu(tf.square(self.moving_stddev.value) - self.epsilon))
        _move(self.renorm_mean, mean, self.renorm_momentum)
        _move(self.renorm_stddev, deviation, self.renorm_momentum)


def _move(moving: Any, target: Any, momentum: float) -> None:
    moving.assign(moving.value * momentum + tf.cast(target, moving.dtype) * (1 - momentum))


def _checked_clipping(layer: Layer, clipping: Mapping[str, float] | None) -> dict[str, float]:
    clipping = dict(clipping or {})
    unknown = sorted(set(clipping) - {"rmax", "rmin", "dmax"})
    if unknown:
        raise ValueError(f"`renorm_clipping` of `{layer.name}` has rmax, rmin and dmax, but got {unknown[0]!r}.")
    rmax, rmin, dmax = (clipping.get(name) for name in ("rmax", "rmin", "dmax"))
    if rmax is not None and rmin is not None and rmax < rmin:
        raise ValueError(f"`renorm_clipping` of `{layer.name}` has rmax {rmax} below rmin {rmin}.")
    if dmax is not None and dmax < 0:
        raise ValueError(f"`renorm_clipping` of `{layer.name}` has a negative dmax, {dmax}.")
    return clipping


def _root_of(initializer: Any) -> Any:
    return lambda shape, dtype=None: tf.sqrt(initializer(shape, dtype=dtype))


# ---- Within a row ----


class LayerNormalization(_ScaledAndShifted):
    """Each row with mean 0 and variance 1 along `axis`: `gamma · (x - mean) / sqrt(variance + epsilon) + beta`.

    gamma and beta have the sizes of `axis`, an integer or several. Shapes: (N, …) → the same.
    Raises TypeError for an axis that is no integer and ValueError for one that is missing or of unknown size.
    Source: Ba et al., "Layer normalization", 2016.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0]])).numpy().tolist()
        [[-1.0, 1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
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
        self.rms_scaling = kwargs.pop("rms_scaling", False)
        super().__init__(**kwargs)
        self.axis = checked_axis_argument(self, axis)
        self.epsilon = epsilon
        self._set_parameters(
            center,
            scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )

    def build(self, input_shape: Any) -> None:
        self._axes = checked_axes(self, self.axis, input_shape)
        shape = [input_shape[axis] for axis in self._axes]
        if self.rms_scaling:
            self.gamma, self.beta = self._add_part("gamma", shape), None
        else:
            self._add_gamma_and_beta(shape)

    def call(self, inputs: Any) -> Any:
        gamma, beta = value_of(self.gamma), value_of(self.beta)
        return ops.layer_normalization(inputs, gamma, beta, self._axes, self.epsilon, self.rms_scaling)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


class GroupNormalization(_ScaledAndShifted):
    """Each group of channels of each row with mean 0 and variance 1; gamma and beta have one number a channel.

    `groups` equal to the channels gives instance normalization, -1 stands for that; 1 takes all channels together.

    Shapes: (N, …, C) → the same. Raises ValueError where `groups` does not divide C, or C is unknown.
    Source: Wu and He, "Group normalization", 2018.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GroupNormalization(2, epsilon=0.0)(np.array([[[1.0, 3.0, 5.0, 9.0]]])).numpy().tolist()
        [[[-1.0, 1.0, -1.0, 1.0]]]
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
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
        super().__init__(**kwargs)
        self.groups, self.axis, self.epsilon = groups, axis, epsilon
        self._set_parameters(
            center,
            scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
        )

    def build(self, input_shape: Any) -> None:
        (self._channel_axis,) = checked_axes(self, self.axis, input_shape)
        channels = input_shape[self._channel_axis]
        self.groups = channels if self.groups == -1 else self.groups
        if self.groups <= 0 or channels % self.groups:
            raise ValueError(
                f"`{self.path}` makes {self.groups} groups, which {channels} channels (axis {self.axis} of inputs of "
                f"shape {tuple(input_shape)}) do not divide into."
            )
        self._add_gamma_and_beta((channels,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self._channel_axis: channels})

    def call(self, inputs: Any) -> Any:
        axis, shape = self._channel_axis, dims(inputs)
        channels, grouped = shape[axis], (-1, self.groups, shape[axis] // self.groups)
        # Few axes make short loops: (N, A, C, B), what is before and behind the channels merged.
        flat = [shape[0], math.prod(shape[1:axis]), channels, math.prod(shape[axis + 1 :])]
        x = tf.reshape(widen(inputs), flat)
        mean, variance = tf.nn.moments(x, [1, 3], keepdims=True)
        # The statistics of a group from those of its channels, so that only small tensors are laid out by groups.
        means = tf.reshape(mean, grouped)
        mean = tf.reduce_mean(means, -1, keepdims=True)  # (N, groups, 1)
        variance = tf.reduce_mean(tf.reshape(variance, grouped) + tf.square(means - mean), -1, keepdims=True)
        scale = tf.broadcast_to(tf.math.rsqrt(variance + self.epsilon), tf.shape(means))
        scale = scale if self.gamma is None else scale * tf.reshape(tf.cast(self.gamma.value, x.dtype), grouped)
        offset = -mean * scale
        offset = offset if self.beta is None else offset + tf.reshape(tf.cast(self.beta.value, x.dtype), grouped)
        outputs = x * tf.reshape(scale, (-1, 1, channels, 1)) + tf.reshape(offset, (-1, 1, channels, 1))
        return tf.ensure_shape(tf.reshape(tf.cast(outputs, inputs.dtype), shape), inputs.shape)


class RMSNormalization(Layer):
    """`x / sqrt(mean(x²) + epsilon) · scale` along `axis`; scale has the sizes of `axis`.

    Shapes: (N, …) → the same. Raises TypeError for an axis that is no integer and ValueError for one that is missing.
    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.RMSNormalization()(np.array([[3.0, 3.0]])).numpy().tolist()
        [[1.0, 1.0]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis, self.epsilon = checked_axis_argument(self, axis), epsilon

    def build(self, input_shape: Any) -> None:
        self._axes = checked_axes(self, self.axis, input_shape)
        shape = [input_shape[axis] for axis in self._axes]
        self.scale = self.add_weight(shape=shape, initializer="ones", autocast=False, name="scale")

    def call(self, x: Any) -> Any:
        layout = [size if axis in self._axes else 1 for axis, size in enumerate(x.shape)]
        return ops.rms_normalization(x, tf.reshape(self.scale.value, layout), self._axes, self.epsilon)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)


class UnitNormalization(Layer):
    """Each row with Euclidean length 1 along `axis`: `x / sqrt(sum(x²))`, zero where x is.

    Shapes: (N, …) → the same. Raises TypeError for an axis that is no integer and ValueError for one that is missing.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.UnitNormalization()(np.array([[3.0, 4.0]])).numpy().round(2).tolist()
        [[0.6, 0.8]]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = checked_axis_argument(self, axis)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        axes, rank = [self.axis] if isinstance(self.axis, int) else self.axis, inputs.shape.rank
        if any(not -rank <= axis < rank for axis in axes):
            raise ValueError(
                f"`{self.path}` normalizes along axis {self.axis}, which inputs of {rank} dimensions lack."
            )
        return ops.normalize(inputs, self.axis, epsilon=1e-6)


# ---- Of weights ----


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value in each training step.

    The singular value is followed by power iteration: `v = normalize(u Wᵀ)`, `u = normalize(v W)`, `σ = v W uᵀ`.

    Raises ValueError for a layer without `kernel` or `embeddings`, and where `power_iterations` is not positive.
    Source: Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.SpectralNormalization(nyala.layers.Dense(2))
        >>> layer(np.ones((4, 3), "float32"), training=True).shape.as_list()
        [4, 2]
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = positive_integer(self, "power_iterations", power_iterations)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        kernel: Any = getattr(self.layer, "kernel", None)
        self.kernel: Any = getattr(self.layer, "embeddings", None) if kernel is None else kernel
        if self.kernel is None:
            raise ValueError(
                f"`{self.path}` normalizes the `kernel` or the `embeddings` of a layer, but "
                f"{type(self.layer).__name__} `{self.layer.name}` has neither."
            )
        self.vector_u = self.add_weight(
            shape=(1, self.kernel.shape[-1]), initializer="truncated_normal", trainable=False, name="vector_u"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            vector, kernel = self.normalized_weights()
            self.vector_u.assign(vector)
            self.kernel.assign(kernel)
        return self.layer(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.layer.compute_output_shape(input_shape)

    def normalized_weights(self) -> tuple[Any, Any]:
        """What a training step sets: u after the power iterations, and the kernel divided by σ."""
        weights = tf.reshape(self.kernel.value, (-1, self.kernel.shape[-1]))
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = tf.math.l2_normalize(tf.matmul(u, weights, transpose_b=True))
            u = tf.math.l2_normalize(tf.matmul(v, weights))
        u, v = tf.stop_gradient(u), tf.stop_gradient(v)
        sigma = tf.matmul(tf.matmul(v, weights), u, transpose_b=True)
        return u, self.kernel.value / tf.squeeze(sigma)


for _layer in (
    *(BatchNormalization, LayerNormalization, GroupNormalization),
    *(RMSNormalization, UnitNormalization, SpectralNormalization),
):
    config.layers.add(_layer)
