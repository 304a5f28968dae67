"""Pooling: the maximum or the mean of windows, of everything, or of a grid of a given size.

The number of spatial dimensions is `rank`, a parameter of one implementation of each kind.
"""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.settings import standardize_data_format
from nyala.layers.checks import integer_tuple, one_of
from nyala.layers.windows import channels_spec, spatial_axes, with_defaults
from nyala.ops.pooling import adaptive_average_pool, adaptive_max_pool, pool_windows

# ---- Windows ----


class Pooling(Layer):
    """What layers that pool windows share; `pool` says how a window becomes one number: "MAX" or "AVG"."""

    rank = 2
    pool = "MAX"

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = integer_tuple(self, "pool_size", pool_size, self.rank)
        self.strides = self.pool_size
        if strides is not None:
            self.strides = integer_tuple(self, "strides", strides, self.rank)
        self.padding = one_of(self, "padding", padding, ("valid", "same"))
        self.data_format = standardize_data_format(data_format)
        self.input_spec = channels_spec(self.rank, self.data_format)

    def call(self, inputs: Any) -> Any:
        windows = (self.pool_size, self.strides, self.padding, self.data_format)
        return pool_windows(self.path, self.pool, inputs, *windows)


class MaxPooling1D(Pooling):
    """The maximum of each window along time: `y[t, c] = max over k of x[t·strides + k, c]`, k < pool_size.

    `strides` is `pool_size` unless given; padding "same" lets windows reach over the ends, "valid" does not.

    Shapes: (N, T, C) → (N, T', C). Raises ValueError for sizes that are no positive integers and unknown padding.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.MaxPooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]])).numpy().ravel().tolist()
        [3.0, 2.0]
    """

    rank = 1
    __init__ = with_defaults(Pooling.__init__, pool_size=2)


class MaxPooling2D(Pooling):
    """The maximum of each window of images: (N, H, W, C) → (N, H', W', C); see `MaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.MaxPooling2D()(np.ones((2, 6, 6, 3), "float32")).shape.as_list()
        [2, 3, 3, 3]
    """

    __init__ = with_defaults(Pooling.__init__, pool_size=(2, 2))


class MaxPooling3D(Pooling):
    """The maximum of each window of volumes: (N, D, H, W, C) → (N, D', H', W', C); see `MaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.MaxPooling3D()(np.ones((2, 6, 6, 6, 3), "float32")).shape.as_list()
        [2, 3, 3, 3, 3]
    """

    rank = 3
    __init__ = with_defaults(Pooling.__init__, pool_size=(2, 2, 2))


class AveragePooling1D(Pooling):
    """The mean of each window along time; padding does not count. See `MaxPooling1D` for arguments and shapes.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AveragePooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]])).numpy().ravel().tolist()
        [2.0, 1.0]
    """

    rank = 1
    pool = "AVG"


class AveragePooling2D(Pooling):
    """The mean of each window of images: (N, H, W, C) → (N, H', W', C); padding does not count.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AveragePooling2D(3)(np.ones((2, 6, 6, 3), "float32")).shape.as_list()
        [2, 2, 2, 3]
    """

    pool = "AVG"


class AveragePooling3D(Pooling):
    """The mean of each window of volumes: (N, D, H, W, C) → (N, D', H', W', C); padding does not count.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AveragePooling3D(3)(np.ones((2, 6, 6, 6, 3), "float32")).shape.as_list()
        [2, 2, 2, 2, 3]
    """

    rank = 3
    pool = "AVG"


# ---- Everything ----


class GlobalPooling(Layer):
    """What layers that pool all of space or time share."""

    rank = 2
    pool = "MAX"

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = channels_spec(self.rank, self.data_format)

    def call(self, inputs: Any) -> Any:
        reduce = tf.reduce_max if self.pool == "MAX" else tf.reduce_mean
        return reduce(inputs, spatial_axes(self.rank, self.data_format), keepdims=self.keepdims)


class GlobalMaxPooling1D(GlobalPooling):
    """The maximum over time: (N, T, C) → (N, C), or (N, 1, C) with `keepdims`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GlobalMaxPooling1D()(np.array([[[1.0, 5.0], [3.0, 4.0]]])).numpy().tolist()
        [[3.0, 5.0]]
    """

    rank = 1


class GlobalMaxPooling2D(GlobalPooling):
    """The maximum over an image: (N, H, W, C) → (N, C), or (N, 1, 1, C) with `keepdims`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GlobalMaxPooling2D()(np.ones((2, 4, 4, 3), "float32")).shape.as_list()
        [2, 3]
    """


class GlobalMaxPooling3D(GlobalPooling):
    """The maximum over a volume: (N, D, H, W, C) → (N, C), or (N, 1, 1, 1, C) with `keepdims`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GlobalMaxPooling3D()(np.ones((2, 4, 4, 4, 3), "float32")).shape.as_list()
        [2, 3]
    """

    rank = 3


class GlobalAveragePooling1D(GlobalPooling):
    """The mean over time: (N, T, C) → (N, C), or (N, 1, C) with `keepdims`; with a mask, over the steps it lets by.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GlobalAveragePooling1D()(np.array([[[1.0, 5.0], [3.0, 4.0]]])).numpy().tolist()
        [[2.0, 4.5]]
    """

    rank = 1
    pool = "AVG"

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return super().call(inputs)
        (time,) = spatial_axes(1, self.data_format)
        weights = tf.expand_dims(tf.cast(mask, inputs.dtype), 3 - time)  # (N, T, 1) or (N, 1, T)
        total = tf.reduce_sum(inputs * weights, time, keepdims=self.keepdims)
        return total / tf.reduce_sum(weights, time, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        return None


class GlobalAveragePooling2D(GlobalPooling):
    """The mean over an image: (N, H, W, C) → (N, C), or (N, 1, 1, C) with `keepdims`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GlobalAveragePooling2D()(np.ones((2, 4, 4, 3), "float32")).shape.as_list()
        [2, 3]
    """

    pool = "AVG"


class GlobalAveragePooling3D(GlobalPooling):
    """The mean over a volume: (N, D, H, W, C) → (N, C), or (N, 1, 1, 1, C) with `keepdims`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.GlobalAveragePooling3D()(np.ones((2, 4, 4, 4, 3), "float32")).shape.as_list()
        [2, 3]
    """

    rank = 3
    pool = "AVG"


# ---- A grid of a given size ----


class AdaptivePooling(Layer):
    """What layers that pool to a given size share."""

    rank = 2
    pool = "MAX"

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format)
        several = isinstance(output_size, (tuple, list)) and len(output_size) == self.rank
        if not several and not isinstance(output_size, int):
            raise TypeError(
                f"`output_size` of `{self.name}` must be an integer or {self.rank} of them, but got {output_size!r}."
            )
        self.output_size = integer_tuple(self, "output_size", output_size, self.rank)
        self.input_spec = channels_spec(self.rank, self.data_format)

    def call(self, inputs: Any) -> Any:
        pool = adaptive_max_pool if self.pool == "MAX" else adaptive_average_pool
        return pool(inputs, self.output_size, self.data_format)


class AdaptiveMaxPooling1D(AdaptivePooling):
    """The maxima of `output_size` windows that cover time evenly, overlapping where T is no multiple of their number.

    Window i goes from `floor(i·T / output_size)` to `ceil((i + 1)·T / output_size)`.

    Shapes: (N, T, C) → (N, output_size, C). Raises TypeError or ValueError for a size that is no positive integer.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AdaptiveMaxPooling1D(2)(np.array([[[1.0], [2.0], [3.0]]])).numpy().ravel().tolist()
        [2.0, 3.0]
    """

    rank = 1


class AdaptiveMaxPooling2D(AdaptivePooling):
    """The maxima of a grid of windows over images: (N, H, W, C) → (N, *output_size, C); see `AdaptiveMaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AdaptiveMaxPooling2D((2, 3))(np.ones((1, 5, 7, 4), "float32")).shape.as_list()
        [1, 2, 3, 4]
    """


class AdaptiveMaxPooling3D(AdaptivePooling):
    """The maxima of a grid of windows over volumes: (N, D, H, W, C) → (N, *output_size, C); see `AdaptiveMaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AdaptiveMaxPooling3D(2)(np.ones((1, 5, 5, 5, 4), "float32")).shape.as_list()
        [1, 2, 2, 2, 4]
    """

    rank = 3


class AdaptiveAveragePooling1D(AdaptivePooling):
    """The means of `output_size` windows that cover time evenly; see `AdaptiveMaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AdaptiveAveragePooling1D(2)(np.array([[[1.0], [2.0], [3.0]]])).numpy().ravel().tolist()
        [1.5, 2.5]
    """

    rank = 1
    pool = "AVG"


class AdaptiveAveragePooling2D(AdaptivePooling):
    """The means of a grid of windows over images: (N, H, W, C) → (N, *output_size, C); see `AdaptiveMaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AdaptiveAveragePooling2D((2, 3))(np.ones((1, 5, 7, 4), "float32")).shape.as_list()
        [1, 2, 3, 4]
    """

    pool = "AVG"


class AdaptiveAveragePooling3D(AdaptivePooling):
    """The means of a grid of windows over volumes: (N, D, H, W, C) → (N, *output_size, C); see `AdaptiveMaxPooling1D`.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> nyala.layers.AdaptiveAveragePooling3D(2)(np.ones((1, 5, 5, 5, 4), "float32")).shape.as_list()
        [1, 2, 2, 2, 4]
    """

    rank = 3
    pool = "AVG"


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)

for _layer in (
    *(MaxPooling1D, MaxPooling2D, MaxPooling3D, AveragePooling1D, AveragePooling2D, AveragePooling3D),
    *(GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D),
    *(GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D),
):
    config.layers.add(_layer, _layer.__name__.replace("Average", "Avg").replace("Pooling", "Pool"))
for _layer in (
    *(AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D),
    *(AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D),
):
    config.layers.add(_layer)
