"""Low-rank adaptation: a frozen weight W of shape (…, U) that trains as `W + alpha / rank · A @ B`.

A has shape (…, rank) and B (rank, U). A layer says in `adapted` which of its weights this is; its `call` asks
`lora_enabled` whether the weight is the variable or `merged()`. Source: Hu et al., "LoRA", 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.tensor import Operators, Shape
from nyala.core.variable import Variable


class Computed(Operators):
    """A weight that is computed of others where it is read; it is used as a `Variable` is, but not assigned."""

    __array_priority__ = 100

    def __init__(self, shape: Shape, compute: Callable[[], Any]) -> None:
        self.shape, self._compute = shape, compute

    @property
    def value(self) -> Any:
        """The present values."""
        return self._compute()

    @property
    def dtype(self) -> str:
        """The dtype of the values."""
        return self._compute().dtype.name

    def numpy(self) -> Any:
        """The present values as a NumPy array."""
        return self._compute().numpy()

    def __tf_tensor__(self, dtype: Any = None, name: str | None = None) -> Any:
        return tf.convert_to_tensor(self.value, dtype=dtype, name=name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)


class LowRank(Layer):
    """What layers share whose kernel can be adapted with few numbers. They call `start_lora` at the end of `build`."""

    adapted = "kernel"
    lora_enabled = False

    def keep_lora(self, rank: int | None, alpha: float | None) -> None:
        """Keep the constructor's arguments; None adapts nothing."""
        if rank is not None:
            self._check_rank(rank)
        self.lora_rank, self.lora_alpha = rank, rank if alpha is None else alpha

    def _check_rank(self, rank: Any) -> None:
        if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or rank < 1:
            raise ValueError(f"The `rank` of LoRA in `{self.path}` is a positive integer, but got {rank!r}.")

    def start_lora(self) -> None:
        """Adapt the layer where its constructor was given a rank."""
        if self.lora_rank is not None:
            self._add_lora(self.lora_rank, self.lora_alpha, "he_uniform", "zeros")

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Any = "he_uniform",
        b_initializer: Any = "zeros",
    ) -> None:
        """Freeze the kernel W and train `W + lora_alpha / rank · A @ B` through A and B alone.

        `lora_alpha` is `rank` by default. Raises ValueError where the layer is not built, or adapted already, and for
        a rank that is no positive integer.

        Example:
            >>> import nyala
            >>> layer = nyala.layers.Dense(8)
            >>> layer.build((None, 32))
            >>> layer.enable_lora(rank=2)
            >>> [(w.name, w.shape) for w in layer.trainable_weights]
            [('bias', (8,)), ('lora_kernel_a', (32, 2)), ('lora_kernel_b', (2, 8))]
        """
        self._check_rank(rank)
        if self.lora_enabled:
            raise ValueError(
                f"`{self.path}` has LoRA of rank {self.lora_rank} already; it can be enabled once a layer."
            )
        if not self.built:
            raise ValueError(f"`{self.path}` is not built yet; call it on data, or `build()` it, before enable_lora().")
        self._add_lora(rank, lora_alpha, a_initializer, b_initializer)

    def _add_lora(self, rank: int, alpha: float | None, a_initializer: Any, b_initializer: Any) -> None:
        *front, units = self._adapted_shape()
        names = [f"lora_{self.adapted}_{letter}" for letter in "ab"]
        setattr(self, names[0], self.add_weight((*front, rank), a_initializer, name=names[0]))
        setattr(self, names[1], self.add_weight((rank, units), b_initializer, name=names[1]))
        getattr(self, f"_{self.adapted}").trainable = False
        self.lora_rank, self.lora_alpha, self.lora_enabled = rank, rank if alpha is None else alpha, True

    def _adapted_shape(self) -> Shape:
        return getattr(self, f"_{self.adapted}").shape

    @property
    def lora_factors(self) -> tuple[Variable, Variable]:
        """A and B."""
        return getattr(self, f"lora_{self.adapted}_a"), getattr(self, f"lora_{self.adapted}_b")

    def lora_scale(self) -> float:
        """`alpha / rank`."""
        return (self.lora_alpha or 0) / (self.lora_rank or 1)

    def effective(self) -> Any:
        """The adapted weight as `call` uses it: the variable itself, or what it amounts to with A and B."""
        weight = self.__dict__.get(f"_{self.adapted}")
        if weight is None:
            raise AttributeError(f"`{self.path}` has no `{self.adapted}` before it is built: call it on data first.")
        return Computed(weight.shape, self.merged) if self.lora_enabled else weight

    def merged(self) -> Any:
        """`W + alpha / rank · A @ B`, in the dtype of the computation."""
        a, b = self.lora_factors
        return getattr(self, f"_{self.adapted}").value + self.lora_scale() * tf.tensordot(a.value, b.value, 1)

    # ---- Files hold the merged weight, and no A and B ----

    def _own_variables(self) -> list[Variable]:
        factors = set(map(id, self.lora_factors)) if self.lora_enabled else set()
        return [v for v in super()._own_variables() if id(v) not in factors]

    def _merged_for_files(self) -> dict[int, Any]:
        """What files hold instead of a variable's values, by the variable's id."""
        return {id(getattr(self, f"_{self.adapted}")): self.merged().numpy()} if self.lora_enabled else {}

    def save_own_variables(self, store: dict[str, Any]) -> None:
        merged = self._merged_for_files()
        for place, variable in enumerate(self._own_variables()):
            store[str(place)] = merged[id(variable)] if id(variable) in merged else variable.numpy()

    def _after_loading(self) -> None:
        if self.lora_enabled:
            for factor in self.lora_factors:
                factor.assign(tf.zeros(factor.shape, factor.dtype))

    def get_config(self) -> dict[str, Any]:
        found = {name: value for name, value in super().get_config().items() if not name.startswith("lora_")}
        adapted = {"lora_rank": self.lora_rank, "lora_alpha": self.lora_alpha}
        return found if self.lora_rank is None else {**found, **adapted}
