"""Initial weights: what kind each is, how it is drawn, and whether it is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MOVING = ("mean", "variance")  # statistics that a layer keeps without a gradient


@dataclass(frozen=True)
class Weight:
    """One array of `model.get_weights()`. The kind says how to draw it, and to PyTorch in which layout it wants it."""

    kind: str  # "kernel", "conv", "lstm", "gru", "gru_bias", "bias", "scale", "mean", "variance", "heads" or "merged"
    shape: tuple[int, ...]

    @property
    def trained(self) -> bool:
        return self.kind not in MOVING

    @property
    def shape_by_hand(self) -> tuple[int, ...]:
        """Keras's API keeps the heads of an attention on an axis; by hand its projections are matrices."""
        if self.kind == "heads":
            return (self.shape[0], self.shape[1] * self.shape[2])
        if self.kind == "merged":
            return (self.shape[0] * self.shape[1], self.shape[2])
        return (int(np.prod(self.shape)),) if self.kind == "bias" else self.shape

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        if self.kind in ("scale", "variance"):
            return np.ones(self.shape, "float32")
        if self.kind in ("bias", "gru_bias", "mean"):
            return zeros(*self.shape)
        return glorot(generator, *self.shape_by_hand).reshape(self.shape)


def kernel(*shape: int, kind: str = "kernel") -> tuple[Weight, Weight]:
    """A kernel, and the bias beside it."""
    return Weight(kind, shape), Weight("bias", shape[-1:])


def scales(channels: int, moving: bool = False) -> tuple[Weight, ...]:
    """gamma and beta, then the moving mean and variance where a layer has them."""
    return tuple(Weight(kind, (channels,)) for kind in ("scale", "bias", *(MOVING if moving else ())))


def numbered(weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"weight_{number:03}": weight for number, weight in enumerate(weights)}


def initial_weights(inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [inputs[name] for name in sorted(inputs) if name.startswith("weight_")]


def arrays_by_hand(weights: Sequence[Weight], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    pairs = zip(weights, initial_weights(inputs), strict=True)
    return [values.reshape(weight.shape_by_hand) for weight, values in pairs]


def glorot(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Uniform in ±√(6 / (fan in + fan out)); the axes before the last two are a convolution's kernel."""
    fans = (shape[-2] + shape[-1]) * int(np.prod(shape[:-2]))
    limit = np.sqrt(6 / fans)
    return generator.uniform(-limit, limit, shape).astype("float32")


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")
