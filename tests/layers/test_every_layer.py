"""What holds for every layer that has a row in the contract, tried on all of them at once.

The contract holds row by row against the oracle; here layers are held against themselves, so many share one graph.
"""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core import tree
from nyala.core.engine import tf
from tests.contract.test_layers import ROWS, tensors
from tests.oracle import assert_close, keras, to_numpy

PLAIN = [row for row in ROWS if not row.call and row.dynamic]
FIRST = list({row.layer: row for row in reversed(PLAIN)}.values())


def made(row):
    layer = getattr(nyala.layers, row.layer)(**row.arguments)
    layer(tensors(row.inputs))
    return layer


def test_compute_output_shape_before_a_layer_is_built():
    """Of all rows, what the reference says, or more where it leaves a size open."""
    wrong = []
    for row in PLAIN:
        shapes = tree.map_structure(lambda x: (None, *x.shape[1:]), tensors(row.inputs))
        ours, theirs = (
            tree.flatten(getattr(library.layers, row.layer)(**row.arguments).compute_output_shape(shapes))
            for library in (nyala, keras)
        )
        if len(ours) != len(theirs) or any(one != other is not None for one, other in zip(ours, theirs, strict=False)):
            wrong.append((str(row), ours, theirs))
    assert wrong == []


def test_sequences_of_any_number_and_length():
    """A graph that knows neither gives what the eager call gives; a shorter sequence goes through the same graph."""
    rows = [row for row in FIRST if not isinstance(row.inputs, list) and np.ndim(row.inputs) >= 3]
    rows = [row for row in rows if row.layer != "Reshape"]  # whose target fits one length only
    layers = [made(row) for row in rows]
    specs = [tf.TensorSpec([None, None, *np.shape(row.inputs)[2:]], tensors(row.inputs).dtype) for row in rows]

    @tf.function(input_signature=[specs], autograph=False)
    def graph(inputs):
        return [layer(x) for layer, x in zip(layers, inputs, strict=True)]

    for cut in (0, 1):
        inputs = [tensors(row.inputs)[:, cut:] for row in rows]
        for row, layer, x, y in zip(rows, layers, inputs, graph(inputs), strict=True):
            assert_close({str(row): y}, {str(row): layer(x)}, row.rtol, row.atol)


@pytest.mark.slow
def test_each_layer_at_each_time_step():
    """`TimeDistributed` gives for two equal steps twice what the layer gives, with the same weights."""
    rows = [row for row in FIRST if not isinstance(row.inputs, list)]
    wrapped = [nyala.layers.TimeDistributed(made(row)) for row in rows]

    @tf.function(autograph=False)
    def graph(inputs):
        return [(layer(tf.stack([x, x], 1)), layer.layer(x)) for layer, x in zip(wrapped, inputs, strict=True)]

    for row, (steps, once) in zip(rows, graph([tensors(row.inputs) for row in rows]), strict=True):
        assert_close({str(row): steps}, {str(row): tf.stack([once, once], 1)}, 1e-5, 1e-5)


def test_a_layer_as_data_in_both_directions():
    ours, theirs = nyala.layers.Conv2D(2, 3), keras.layers.Conv2D(2, 3)
    mine, reference = nyala.layers.serialize(ours), keras.layers.serialize(theirs)
    assert mine.keys() == reference.keys()
    assert keras.layers.deserialize(mine).kernel_size == nyala.layers.deserialize(reference).kernel_size == (3, 3)
    with pytest.raises(ValueError, match=r"takes what `layers\.serialize` gave for a layer, but got"):
        nyala.layers.deserialize(nyala.initializers.serialize(nyala.initializers.Zeros()))


MERGED = ("kernel", "embeddings", "lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")


def as_a_model(library, rows):
    """All rows side by side in one model, since a model a row would take minutes; random weights, the same in both."""
    inputs = [
        tree.map_structure(lambda x: library.Input(x.shape[1:], dtype=x.dtype.name), tensors(row.inputs))
        for row in rows
    ]
    layers = [getattr(library.layers, row.layer)(**row.arguments, name=f"row_{i}") for i, row in enumerate(rows)]
    outputs = [tree.flatten(layer(x)) for layer, x in zip(layers, inputs, strict=True)]
    model = library.Model(tree.flatten(inputs), tree.flatten(outputs))
    generator = np.random.default_rng(5)
    model.set_weights([w + generator.uniform(0.05, 0.3, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


@pytest.mark.parametrize(("writer", "reader"), [(nyala, keras), (keras, nyala)])
def test_every_row_saved_in_a_model_and_loaded(writer, reader, tmp_path):
    """Written by either library and read by either: the same weights to the bit, the same outputs."""
    saved = as_a_model(writer, PLAIN)
    saved.save(tmp_path / "rows.keras")
    loaded = reader.models.load_model(tmp_path / "rows.keras")
    # A kernel is written with its low-rank update merged in: other numbers, the same outputs.
    merged = {f"row_{i}/{name}" for i, row in enumerate(PLAIN) if "lora_rank" in row.arguments for name in MERGED}
    mine, again = ({w.path: w.numpy() for w in model.weights if w.path not in merged} for model in (saved, loaded))
    assert_close(again, mine, 0, 0)
    inputs = tree.flatten([tensors(row.inputs) for row in PLAIN])
    assert_close(to_numpy(loaded(inputs)), to_numpy(saved(inputs)), 1e-5, 1e-5)
