"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import activations
from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import InputSpec, Layer


class Activation(Layer):
    """A function, or the activation of a name, as a layer: `outputs = activation(inputs)`.

    Raises ValueError for a name that stands for no activation.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Activation("relu")(np.array([-1.0, 2.0])).numpy().tolist()
        [0.0, 2.0]
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


class ReLU(Layer):
    """`max(x, 0)`, with a bend of choice: `negative_slope · (x - threshold)` up to `threshold`, then x, at most `max_value`.

    Raises ValueError where `max_value`, `negative_slope` or `threshold` is negative.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ReLU(max_value=6.0, negative_slope=0.5)(np.array([-2.0, 1.0, 9.0])).numpy().tolist()
        [-1.0, 1.0, 6.0]
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _not_negative(self, "max_value", max_value)
        self.negative_slope = _not_negative(self, "negative_slope", negative_slope)
        self.threshold = _not_negative(self, "threshold", threshold)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


def _not_negative(layer: Layer, name: str, value: Any) -> Any:
    if value is None or value < 0:
        raise ValueError(f"`{name}` of `{layer.name}` must be a number that is not negative, but got {value!r}.")
    return value


class LeakyReLU(Layer):
    """`max(x, 0) + negative_slope · min(x, 0)`; raises ValueError for a negative slope.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.LeakyReLU(0.5)(np.array([-2.0, 1.0])).numpy().tolist()
        [-1.0, 1.0]
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        if "alpha" in kwargs:  # its name of old
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        self.negative_slope = _not_negative(self, "negative_slope", negative_slope)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, self.negative_slope)


class PReLU(Layer):
    """`max(x, 0) + alpha · min(x, 0)` with a learned `alpha` of the shape of a row; it is one along `shared_axes`.

    Raises ValueError for inputs with an axis of unknown size that is not shared, and for axes that they do not have.
    Source: He et al., "Delving deep into rectifiers", 2015.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.PReLU(shared_axes=[1, 2])
        >>> layer(np.ones((2, 5, 5, 3), "float32")).shape.as_list(), layer.alpha.shape
        ([2, 5, 5, 3], (1, 1, 3))
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = config.initializers.get(alpha_initializer)
        self.alpha_regularizer = config.regularizers.get(alpha_regularizer)
        self.alpha_constraint = config.constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis <= len(shape):
                raise ValueError(
                    f"`shared_axes` of `{self.path}` are axes 1 to {len(shape)} of inputs of shape "
                    f"{tuple(input_shape)}, but got {self.shared_axes}."
                )
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape=shape,
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
            name="alpha",
        )
        fixed = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in (self.shared_axes or ())}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=fixed)

    def call(self, inputs: Any) -> Any:
        return tf.nn.relu(inputs) - self.alpha.value * tf.nn.relu(-inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)


class ELU(Layer):
    """`x` where it is positive, else `alpha · (exp(x) - 1)`. Source: Clevert et al., "Exponential linear units", 2015.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.ELU()(np.array([-1.0, 1.0])).numpy().round(3).tolist()
        [-0.632, 1.0]
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, self.alpha)


class Softmax(Layer):
    """`exp(x) / sum(exp(x))` along `axis`, or several axes together; where `mask` is False the output is zero.

    Raises ValueError for a mask that does not broadcast to the inputs, and for an axis that they do not have.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.Softmax()(np.array([0.0, 0.0])).numpy().tolist()
        [0.5, 0.5]
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        self._check_axes(inputs.shape.rank)
        if mask is None:
            return activations.softmax(inputs, axis=self.axis)
        self._check_mask(inputs.shape, tf.convert_to_tensor(mask).shape)
        inside = tf.cast(mask, "bool")
        outputs = activations.softmax(tf.where(inside, inputs, inputs.dtype.min / 2), axis=self.axis)
        return tf.where(inside, outputs, tf.zeros_like(outputs))  # also where the mask lets nothing by

    def _check_axes(self, rank: int) -> None:
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        if any(not -rank <= axis < rank for axis in axes):
            raise ValueError(f"`{self.path}` works along axis {self.axis}, which inputs of {rank} dimensions lack.")

    def _check_mask(self, shape: Any, mask_shape: Any) -> None:
        tail = shape[max(shape.rank - mask_shape.rank, 0) :]
        if len(mask_shape) > len(shape) or any(
            m not in (1, None, x) and x is not None for m, x in zip(mask_shape, tail)
        ):
            raise ValueError(
                f"`{self.path}` got a mask of shape {tuple(mask_shape)}, which does not broadcast to inputs of shape "
                f"{tuple(shape)}."
            )


for _layer in (Activation, ReLU, LeakyReLU, PReLU, ELU, Softmax):
    config.layers.add(_layer)
