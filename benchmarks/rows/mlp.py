"""Multi-layer perceptrons: many small steps, from arrays and from streams, with dropout; and few large ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from benchmarks.fit import SOURCES, FitRow, noisy_classes
from benchmarks.weights import Weight, kernel

DROPOUT = 0.2
# Each contender draws its own noise, so their losses only have to lie within a band: twelve seeds of one contender lay
# within 1.2 % after six epochs, and a contender that forgot the dropout would be 4 % away after two.
BAND = 0.025


def chain(keras: Any, units: Sequence[int], dropout: bool = False) -> Any:
    """Dense layers with ReLU, and dropout if asked, between them; `units` from the features to the outputs."""
    layers = [keras.Input((units[0],))]
    for size in units[1:-1]:
        layers.append(keras.layers.Dense(size, activation="relu"))
        layers += [keras.layers.Dropout(DROPOUT)] if dropout else []
    return keras.Sequential([*layers, keras.layers.Dense(units[-1])])


def chain_by_hand(ops: Any, weights: Sequence[Any], x: Any, dropout: bool = False) -> Any:
    for place in range(0, len(weights) - 2, 2):
        x = ops.relu(ops.dense(x, *weights[place : place + 2]))
        x = ops.dropout(x, DROPOUT) if dropout else x
    return ops.dense(x, *weights[-2:])


def chain_weights(units: Sequence[int]) -> tuple[Weight, ...]:
    return tuple(weight for pair in pairwise(units) for weight in kernel(*pair))


def mlp(
    name: str, units: tuple[int, ...], batch_size: int, steps: int, source: str = "arrays", dropout: bool = False
) -> FitRow:
    details = f"{' with dropout' if dropout else ''}{f' from {SOURCES[source]}' if source != 'arrays' else ''}"
    return FitRow(
        name=name,
        what=f"fit, MLP {'-'.join(map(str, units))}{details}, {steps} steps of {batch_size}",
        batch_size=batch_size,
        steps=steps,
        data=lambda generator, rows: noisy_classes(generator, rows, units[0]),
        weights=chain_weights(units),
        model=lambda keras: chain(keras, units, dropout),
        forward=lambda ops, weights, x: chain_by_hand(ops, weights, x, dropout),
        compiled=True,
        source=source,
        tolerance=BAND if dropout else FitRow.tolerance,
    )


SMALL = (784, 128, 10)
MLP = mlp("mlp", SMALL, 32, 625)
ROWS = (
    MLP,
    mlp("mlp_tf_data", SMALL, 32, 625, "tf.data"),
    mlp("mlp_generator", SMALL, 32, 625, "generator"),
    mlp("mlp_dropout", SMALL, 32, 625, dropout=True),
    mlp("wide_mlp", (1024, 2048, 2048, 10), batch_size=256, steps=20),
)
