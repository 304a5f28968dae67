"""Rematerialization: less memory for more work. Nothing a function computes on the way is kept; gradients compute it again."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from nyala.core import tensor, tree
from nyala.core.engine import tf
from nyala.core.tensor import mask_of
from nyala.core.variable import StatelessScope, stateless_scope

MODES = ("full", "activations", "larger_than", "list_of_layers", None)


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` made to keep only its arguments for the gradient, which calls it again.

    The second call reads the variables that `f` changes, such as random seeds and moving means, as they were before
    the first, so it draws the same numbers; what it assigns is dropped. Source: Chen et al., "Training deep nets with
    sublinear memory cost", 2016.

    Example:
        >>> import nyala
        >>> square = nyala.remat(lambda x: x * x)
        >>> float(square(nyala.ops.convert_to_tensor(3.0)))
        9.0
    """

    @functools.wraps(f)
    def rematerialized(*args: Any, **kwargs: Any) -> Any:
        if stateless_scope() is not None:  # its values are the ones that count: an outer remat's, or a caller's
            return f(*args, **kwargs)
        leaves = tree.flatten((args, kwargs))
        places = [place for place, leaf in enumerate(leaves) if tensor.is_tensor_like(leaf)]
        results: list[Any] = []  # of the first call: its tensors, laid out among what is none

        def call(tensors: Sequence[Any]) -> tuple[Any, list[Any]]:
            values = list(leaves)
            for place, value in zip(places, tensors, strict=True):
                mask = mask_of(leaves[place])
                if mask is not None:
                    value._keras_mask = mask
                values[place] = value
            again, named = tree.pack_sequence_as((args, kwargs), values)
            structure = f(*again, **named)
            return structure, [leaf for leaf in tree.flatten(structure) if tensor.is_tensor_like(leaf)]

        @tf.custom_gradient
        def run(*tensors: Any) -> Any:
            with StatelessScope() as scope:
                structure, found = call(tensors)
            results[:] = [structure]
            changed = list(scope.state.values())
            before = [(variable, tf.identity(variable.value)) for variable, _ in changed]
            for variable, value in changed:
                variable.assign(value)

            def gradient(*upstream: Any, variables: Sequence[Any] | None = None) -> Any:
                with tf.control_dependencies(upstream):  # not merged with the first call, whose results would be kept
                    fresh = [tf.identity(x) for x in tensors]
                with tf.GradientTape() as tape, StatelessScope(before):
                    tape.watch(fresh)
                    _, again = call(fresh)
                found = tape.gradient(again, [*fresh, *(variables or ())], upstream)
                mine, others = found[: len(fresh)], found[len(fresh) :]
                return (mine, others) if variables is not None else mine

            return found, gradient

        tensors = iter(tree.flatten(run(*(leaves[place] for place in places))))
        return tree.map_structure(lambda leaf: next(tensors) if tensor.is_tensor_like(leaf) else leaf, results[0])

    return rematerialized


class _Current(threading.local):
    scope: RematScope | None = None


_current = _Current()


class RematScope:
    """Layers made inside compute again for gradients what they would else keep: by `mode` all layers (`"full"`),
    those with an activation (`"activations"`), with more than `output_size_threshold` outputs (`"larger_than"`), or
    named in `layer_names` (`"list_of_layers"`); None: no layer. Raises ValueError for another mode.

    Example:
        >>> import nyala
        >>> with nyala.RematScope(mode="full"):
        ...     layer = nyala.layers.Dense(2)
    """

    def __init__(
        self,
        mode: str | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"The mode of a RematScope is one of {MODES}, but got {mode!r}.")
        self.mode, self.output_size_threshold = mode, output_size_threshold
        self.layer_names = list(layer_names or ())

    def __enter__(self) -> RematScope:
        self._outer, _current.scope = _current.scope, self
        return self

    def __exit__(self, *error: Any) -> None:
        _current.scope = self._outer

    def covers(self, layer: Any, outputs: Callable[[], Any]) -> bool:
        """Whether a layer made inside, whose symbolic outputs `outputs` gives, computes again for gradients."""
        if self.mode == "activations":
            return getattr(layer, "activation", None) is not None or "activation" in type(layer).__module__
        if self.mode == "larger_than":
            sizes = [tensor.size_of([size or 1 for size in x.shape]) for x in tree.flatten(outputs())]
            return max(sizes, default=0) > self.output_size_threshold
        return self.mode == "full" or (self.mode == "list_of_layers" and layer.name in self.layer_names)


def current_scope() -> RematScope | None:
    """The scope inside which layers are being made."""
    return _current.scope
