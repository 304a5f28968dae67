"""Layers that keep a model from learning by heart: noise and dropout in training, and penalties on activity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala import random
from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.settings import standardize_data_format
from nyala.layers.checks import fraction
from nyala.layers.windows import channels_spec, spatial_axes


class Noisy(Layer):
    """What layers that draw random numbers in training share: a seed, and the inputs as they are in inference.

    `strength` is what they do nothing at when it is 0: a rate or a standard deviation.
    """

    def _set_noise(self, strength: float, seed: Any) -> None:
        self.seed = seed
        self.supports_masking = True
        self._active = strength > 0
        if self._active:
            self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.disturb(inputs) if training and self._active else inputs

    def disturb(self, inputs: Any) -> Any:
        """The inputs with noise."""
        raise TypeError(f"{type(self).__name__} defines no noise.")


class Dropout(Noisy):
    """In training, a share `rate` of the inputs set to zero at random and the others divided by `1 - rate`.

    Along the ones of `noise_shape` all inputs share their fate; None there stands for the inputs' own size.

    Shapes: any → the same. Raises ValueError for a rate outside [0, 1]. Source: Srivastava et al., "Dropout", 2014.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> sorted(set(nyala.layers.Dropout(0.5, seed=1)(np.ones(50, "float32"), training=True).numpy().tolist()))
        [0.0, 2.0]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = fraction(self, "rate", rate)
        self.noise_shape = noise_shape
        self._set_noise(rate, seed)

    def disturb(self, inputs: Any) -> Any:
        return random.dropout(inputs, self.rate, self.noise_shape, self.seed_generator)


class SpatialDropout(Dropout):
    """Dropout of whole channels: the base of `SpatialDropout1D` to `SpatialDropout3D`."""

    rank = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = standardize_data_format(data_format)
        self.input_spec = channels_spec(self.rank, self.data_format)

    def disturb(self, inputs: Any) -> Any:
        shape: list[Any] = [None] * (self.rank + 2)
        for axis in spatial_axes(self.rank, self.data_format):
            shape[axis] = 1
        return random.dropout(inputs, self.rate, shape, self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        own = super().get_config()
        del own["trainable"]  # no parameter of these constructors, here and in the reference
        return own


class SpatialDropout1D(SpatialDropout):
    """Dropout of whole channels of sequences: (N, T, C) → the same. See `Dropout`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.SpatialDropout1D(0.5)(np.ones((2, 3, 4), "float32")).shape.as_list()
        [2, 3, 4]
    """

    rank = 1

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(rate, "channels_last", seed, name, dtype)


class SpatialDropout2D(SpatialDropout):
    """Dropout of whole channels of images: (N, H, W, C) → the same. See `Dropout`.

    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.SpatialDropout2D(0.5)(np.ones((2, 3, 3, 4), "float32")).shape.as_list()
        [2, 3, 3, 4]
    """


class SpatialDropout3D(SpatialDropout):
    """Dropout of whole channels of volumes: (N, D, H, W, C) → the same. See `Dropout`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.SpatialDropout3D(0.5)(np.ones((2, 3, 3, 3, 4), "float32")).shape.as_list()
        [2, 3, 3, 3, 4]
    """

    rank = 3


class GaussianNoise(Noisy):
    """In training, normal noise of mean 0 and standard deviation `stddev` added to the inputs.

    Shapes: any → the same. Raises ValueError for a `stddev` outside [0, 1].

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GaussianNoise(0.1)(np.ones(3, "float32")).numpy().tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = fraction(self, "stddev", stddev)
        self._set_noise(stddev, seed)

    def disturb(self, inputs: Any) -> Any:
        noise = random.normal(tf.shape(inputs), 0.0, self.stddev, self.compute_dtype, self.seed_generator)
        return inputs + tf.cast(noise, inputs.dtype)


class GaussianDropout(Noisy):
    """In training, the inputs multiplied by normal noise of mean 1 and variance `rate / (1 - rate)`.

    Shapes: any → the same. Raises ValueError for a rate outside [0, 1]. Source: Srivastava et al., "Dropout", 2014.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GaussianDropout(0.1)(np.ones(3, "float32")).numpy().tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = fraction(self, "rate", rate)
        self._set_noise(rate, seed)

    def disturb(self, inputs: Any) -> Any:
        deviation = (self.rate / (1 - self.rate)) ** 0.5
        return inputs * random.normal(tf.shape(inputs), 1.0, deviation, self.compute_dtype, self.seed_generator)


SELU_FLOOR = -1.6732632423543772 * 1.0507009873554805  # what selu goes to at minus infinity


class AlphaDropout(Noisy):
    """Dropout for `selu`: dropped inputs become its floor α', then all are scaled so that mean and variance stay.

    `a · (x where kept, else α') + b`, `a = ((1 - rate) · (1 + rate · α'²))^(-1/2)`, `b = -a · α' · rate`.

    Shapes: any → the same. Raises ValueError for a rate outside [0, 1].
    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AlphaDropout(0.1)(np.ones(3, "float32")).numpy().tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.rate = fraction(self, "rate", rate)
        self.noise_shape = noise_shape
        self._set_noise(rate, seed)

    def disturb(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        if self.noise_shape is not None:
            shape = [shape[axis] if size is None else size for axis, size in enumerate(self.noise_shape)]
        kept = random.uniform(shape, seed=self.seed_generator) >= self.rate
        a = ((1 - self.rate) * (1 + self.rate * SELU_FLOOR**2)) ** -0.5
        floor = tf.constant(SELU_FLOOR, inputs.dtype)
        return a * tf.where(kept, inputs, floor) - a * SELU_FLOOR * self.rate


class ActivityRegularization(Layer):
    """The inputs as they are, with the penalty `l1 · sum(|x|) + l2 · sum(x²)` added to the loss.

    Raises ValueError for a negative factor.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> layer = nyala.layers.ActivityRegularization(l1=0.5)
        >>> y = layer(np.ones((1, 4), "float32"))
        >>> float(layer.losses[0])
        2.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        regularizer = config.regularizers.find("L1L2")(l1=l1, l2=l2)
        super().__init__(activity_regularizer=regularizer, **kwargs)
        self.l1, self.l2 = l1, l2
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        own = super().get_config()
        own.pop("activity_regularizer", None)  # it is made of `l1` and `l2`
        return own


for _layer in (
    *(Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D),
    *(GaussianNoise, GaussianDropout, AlphaDropout, ActivityRegularization),
):
    config.layers.add(_layer)
