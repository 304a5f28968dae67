"""Initializers: the first values of weights, drawn or computed from a shape and a dtype."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from nyala import random
from nyala.core import config, tensor
from nyala.core.config import Configurable, custom_object_scope
from nyala.core.engine import tf
from nyala.core.tensor import DTypeLike, Tensor
from nyala.random import SeedGenerator

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

I = TypeVar("I", bound="Initializer")  # noqa: E741 - the type of the initializer at hand
Seed = int | SeedGenerator | None


class Initializer(Configurable):
    """The base of initializers: `initializer(shape, dtype=None)` returns the values.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> class Diagonal(nyala.initializers.Initializer):
        ...     def __call__(self, shape, dtype=None):
        ...         return np.eye(*shape, dtype=dtype)
        >>> nyala.Variable(Diagonal(), shape=(2, 2)).numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self) -> None: ...

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        """The values of a weight of that shape; a subclass says which."""
        raise TypeError(f"{type(self).__name__} defines no `__call__` method, so it gives no values.")

    def clone(self: I) -> I:
        """A new initializer with the same configuration; without a seed in that, it draws its own."""
        return type(self).from_config(self.get_config())


# ---- Constants ----


class Constant(Initializer):
    """The same value everywhere, or an array that broadcasts to the shape.

    Example:
        >>> import nyala
        >>> nyala.initializers.Constant(3.0)((2,)).numpy().tolist()
        [3.0, 3.0]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        return tf.broadcast_to(tensor.as_tensor(self.value, tensor.standardize_dtype(dtype)), shape)


class Zeros(Initializer):
    """Zeros.

    Example:
        >>> import nyala
        >>> nyala.initializers.Zeros()((2,)).numpy().tolist()
        [0.0, 0.0]
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        return tf.zeros(shape, tensor.standardize_dtype(dtype))


class Ones(Initializer):
    """Ones.

    Example:
        >>> import nyala
        >>> nyala.initializers.Ones()((2,)).numpy().tolist()
        [1.0, 1.0]
    """

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        return tf.ones(shape, tensor.standardize_dtype(dtype))


class Identity(Initializer):
    """A matrix with `gain` on the diagonal and 0 elsewhere; raises ValueError for a shape that is no matrix's.

    Example:
        >>> import nyala
        >>> nyala.initializers.Identity()((2, 2)).numpy().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        if len(shape) != 2:
            raise ValueError(f"`Identity` gives a matrix, of two dimensions, but got shape {tuple(shape)}.")
        dtype = tensor.standardize_dtype(dtype)
        return tensor.as_tensor(self.gain, dtype) * tf.eye(*shape, dtype=dtype)


class STFT(Initializer):
    """The kernel with which a 1D convolution computes one side of the short-time Fourier transform.

    Real part `w_t cos(2π t f / n)`, imaginary part `-w_t sin(2π t f / n)`, n = 2 (F - 1). Shape: (T, C, F), T a frame's
    length. `window` is a name, T values or None; `scaling="density"` divides it by the root of `Σ w²`, `"spectrum"`
    by `|Σ w|`. `periodic` windows repeat, others are symmetric. Raises ValueError for another side, scaling or shape.

    Example:
        >>> import nyala
        >>> nyala.initializers.STFT("real", window=None)((2, 1, 2)).numpy().tolist()
        [[[1.0, 1.0]], [[1.0, -1.0]]]
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f"`STFT` takes the side 'real' or 'imag', but got {side!r}.")
        if scaling not in (None, "density", "spectrum"):
            raise ValueError(f"`STFT` takes the scaling 'density', 'spectrum' or None, but got {scaling!r}.")
        if isinstance(window, str):
            window_values(window, 1, periodic)
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        if len(shape) != 3:
            raise ValueError(f"`STFT` needs a shape of (frame length, channels, frequencies), but got {tuple(shape)}.")
        frame, _, frequencies = shape
        window = self._scaled_window(frame)
        turns = np.outer(np.arange(frame), np.arange(frequencies)) / max(1, 2 * (frequencies - 1))
        waves = np.cos(2 * np.pi * turns) if self.side == "real" else -np.sin(2 * np.pi * turns)
        kernel = (window[:, None] * waves)[:, None, :]  # (T, 1, F)
        return tf.cast(tf.broadcast_to(kernel, shape), tensor.standardize_dtype(dtype))

    def _scaled_window(self, size: int) -> np.ndarray:
        if self.window is None:
            return np.ones(size)
        window = window_values(self.window, size, self.periodic)
        if window.shape != (size,):
            raise ValueError(f"The window of `STFT` has shape {window.shape}, but the frame's length is {size}.")
        scale = {None: 1.0, "density": np.sqrt(np.sum(window**2)), "spectrum": abs(np.sum(window))}[self.scaling]
        return window / scale


# A window is Σ (-1)^k c_k cos(2π k t / n); these are the c_k.
WINDOWS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


def window_values(window: Any, size: int, periodic: bool) -> np.ndarray:
    """The values of a window given by its name, or as an array."""
    if not isinstance(window, str):
        return np.asarray(window, "float64")
    if window not in WINDOWS:
        raise ValueError(f"The window is one of {', '.join(WINDOWS)}, or an array, but got {window!r}.")
    turns = np.arange(size) / max(1, size if periodic else size - 1)
    waves = [(-1) ** k * c * np.cos(2 * np.pi * k * turns) for k, c in enumerate(WINDOWS[window])]
    return np.sum(waves, axis=0) if size > 1 else np.ones(size)


# ---- Random values ----


class RandomInitializer(Initializer):
    """The base of those that draw: without a seed, one is drawn when the object is made, and not written to its config.

    An integer gives the same values at each call, a `SeedGenerator` new ones.
    """

    def __init__(self, seed: Seed = None) -> None:
        if isinstance(seed, Mapping):
            seed = config.deserialize(seed)
        if seed is not None and not isinstance(seed, SeedGenerator):
            seed = random.check_seed(seed)
        self.given_seed = seed
        self.seed = random.make_seed() if seed is None else seed

    def constructor_arguments(self) -> dict[str, Any]:
        found = super().constructor_arguments()
        return {**found, "seed": self.given_seed} if "seed" in found else found


class RandomNormal(RandomInitializer):
    """Values of the normal distribution.

    Example:
        >>> import nyala
        >>> nyala.initializers.RandomNormal(mean=1.0, stddev=0.0)((2,)).numpy().tolist()
        [1.0, 1.0]
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)


class TruncatedNormal(RandomInitializer):
    """Values of the normal distribution, those beyond two standard deviations drawn again.

    Example:
        >>> import nyala
        >>> nyala.initializers.TruncatedNormal(mean=1.0, stddev=0.0)((2,)).numpy().tolist()
        [1.0, 1.0]
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)


class RandomUniform(RandomInitializer):
    """Values of the uniform distribution over `[minval, maxval)`.

    Example:
        >>> import nyala
        >>> nyala.initializers.RandomUniform(seed=1)((2, 3)).shape.as_list()
        [2, 3]
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Seed = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)


class Orthogonal(RandomInitializer):
    """A matrix with orthogonal rows or columns, times `gain`: Q of the QR decomposition of a normal matrix.

    More than two dimensions: all but the last are rows. Raises ValueError for fewer than two.
    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear networks", 2013.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> q = nyala.initializers.Orthogonal(seed=1)((2, 2)).numpy()
        >>> np.round(q @ q.T, 3).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0, seed: Seed = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        if len(shape) < 2:
            raise ValueError(f"`Orthogonal` needs at least two dimensions, but got shape {tuple(shape)}.")
        dtype = tensor.standardize_dtype(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        wide = "float32" if dtype == "bfloat16" else dtype  # for which TensorFlow has no QR
        drawn = random.normal((max(rows, columns), min(rows, columns)), dtype=wide, seed=self.seed)
        Q, R = tf.linalg.qr(drawn)
        Q *= tf.sign(tf.linalg.diag_part(R))  # which makes the decomposition unique
        Q = tf.transpose(Q) if rows < columns else Q
        return tf.cast(self.gain * tf.reshape(Q, shape), dtype)


# ---- Random values scaled by the fans ----


def compute_fans(
    shape: Sequence[int], input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """How many inputs and outputs a weight of that shape connects.

    With both kinds of axes given, the products of their sizes; else the last two axes, times the receptive field.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[i] for i in input_axes), math.prod(shape[i] for i in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class VarianceScaling(RandomInitializer):
    """Random values of variance `scale / n`, n the inputs (`"fan_in"`), the outputs (`"fan_out"`) or their mean.

    The distribution is `"truncated_normal"` (or `"normal"`), `"untruncated_normal"` or `"uniform"`; `input_axes` and
    `output_axes` say what the fans of an unusual weight are. Raises ValueError for another mode or
    distribution, or a scale that is not positive.

    Example:
        >>> import nyala
        >>> nyala.initializers.VarianceScaling(distribution="uniform", seed=1)((3, 2)).shape.as_list()
        [3, 2]
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Seed = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if scale <= 0:
            raise ValueError(f"`VarianceScaling` takes a positive scale, but got {scale}.")
        _one_of("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        distribution = "truncated_normal" if distribution == "normal" else distribution
        _one_of("distribution", distribution, ("uniform", "truncated_normal", "untruncated_normal"))
        super().__init__(seed)
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: Sequence[int], dtype: DTypeLike = None) -> Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self.seed)
        deviation = math.sqrt(variance) / 0.87962566103423978  # that of a normal distribution cut at two deviations
        return random.truncated_normal(shape, 0.0, deviation, dtype, self.seed)


def _one_of(what: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"`VarianceScaling` takes a {what} of {', '.join(map(repr, allowed))}, but got {value!r}.")


class _Scaled(VarianceScaling):
    """The base of variance scalings with a name: scale, mode and distribution are the class's."""

    formula: tuple[float, str, str]

    def __init__(
        self, seed: Seed = None, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
    ) -> None:
        super().__init__(*self.formula, seed, input_axes, output_axes)


class GlorotUniform(_Scaled):
    """Uniform over `±sqrt(6 / (fan_in + fan_out))`, also called Xavier uniform.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Example:
        >>> import nyala
        >>> bool(abs(nyala.initializers.GlorotUniform()((3, 3))).numpy().max() <= 1)
        True
    """

    formula = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of deviation `sqrt(2 / (fan_in + fan_out))`, also called Xavier normal. Source: `GlorotUniform`.

    Example:
        >>> import nyala
        >>> nyala.initializers.GlorotNormal()((3, 3)).shape.as_list()
        [3, 3]
    """

    formula = (1.0, "fan_avg", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform over `±sqrt(3 / fan_in)`. Source: LeCun et al., "Efficient backprop", 1998.

    Example:
        >>> import nyala
        >>> bool(abs(nyala.initializers.LecunUniform()((3, 3))).numpy().max() <= 1)
        True
    """

    formula = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of deviation `sqrt(1 / fan_in)`. Source: LeCun et al., "Efficient backprop", 1998.

    Example:
        >>> import nyala
        >>> nyala.initializers.LecunNormal()((3, 3)).shape.as_list()
        [3, 3]
    """

    formula = (1.0, "fan_in", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform over `±sqrt(6 / fan_in)`. Source: He et al., "Delving deep into rectifiers", 2015.

    Example:
        >>> import nyala
        >>> bool(abs(nyala.initializers.HeUniform()((6, 3))).numpy().max() <= 1)
        True
    """

    formula = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of deviation `sqrt(2 / fan_in)`. Source: He et al., "Delving deep into rectifiers", 2015.

    Example:
        >>> import nyala
        >>> nyala.initializers.HeNormal()((3, 3)).shape.as_list()
        [3, 3]
    """

    formula = (2.0, "fan_in", "truncated_normal")


# ---- Names ----


def get(identifier: Any) -> Callable[..., Any] | None:
    """The initializer that a name, a config, a class, a function or an array of values stands for; None stays None.

    Raises ValueError for what stands for none.

    Example:
        >>> import nyala
        >>> type(nyala.initializers.get("zeros")).__name__
        'Zeros'
    """
    if hasattr(identifier, "__array__") and not isinstance(identifier, type):
        return Constant(np.asarray(identifier))
    return config.initializers.get(identifier)


def serialize(initializer: Any) -> Any:
    """An initializer as data: a dict with its class and its config."""
    return config.serialize(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described, or that a name stands for."""
    with custom_object_scope(custom_objects):
        return get(config)


constant, identity, ones, orthogonal, stft, zeros = Constant, Identity, Ones, Orthogonal, STFT, Zeros
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT

for _class, _aliases in {
    Constant: (),
    GlorotNormal: (),
    GlorotUniform: (),
    HeNormal: (),
    HeUniform: (),
    Identity: ("IdentityInitializer",),
    LecunNormal: (),
    LecunUniform: (),
    Ones: ("one",),
    Orthogonal: ("OrthogonalInitializer",),
    RandomNormal: ("normal",),
    RandomUniform: ("uniform",),
    STFT: ("STFTInitializer",),
    TruncatedNormal: (),
    VarianceScaling: (),
    Zeros: ("zero",),
    Initializer: (),
}.items():
    config.initializers.add(_class, *_aliases)
