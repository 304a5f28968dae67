"""Every op that symbolic tensors record, in one model: written by one library, read by the other, equal results."""

from __future__ import annotations

import pytest

import nyala
from tests.ops.cases import arrays_of, call, fill, leaves_of
from tests.ops.test_contract import ROWS, find
from tests.oracle import assert_close, keras, to_numpy

# What the reference computes or records in no graph of its own, or cannot read from its own file.
BEYOND = {
    **dict.fromkeys(("adaptive_average_pool", "adaptive_max_pool"), "it adds a list from the file to a tuple"),
    **dict.fromkeys(("arange", "bartlett", "blackman", "empty", "eye", "hamming", "hanning", "identity", "kaiser", "ones",
                     "tri", "zeros"), "they make constants, and take no tensors"),
    **dict.fromkeys(("swish", "hard_swish"), "other names, which the tables of ops list without calls of their own"),
    "ndim": "a number", "histogram": "its class calls a function that is not there",
    "conv_transpose": "it loses the default of `data_format`",
    "view_as_complex": "it multiplies float tensors by a complex number",
}  # fmt: skip


def recorded(lib, name, case):
    """The inputs and the outputs of one call in a graph of that library."""
    inputs = [lib.Input(batch_shape=x.shape, dtype=x.dtype.name) for x in arrays_of(case)]
    outputs = [x for x in leaves_of(call(find(lib, name), fill(case, inputs))) if isinstance(x, lib.KerasTensor)]
    return inputs, outputs


def usable(name):
    """The first call whose arrays can all be inputs of a model, and that the reference records and computes as one."""
    for case in ROWS[name]:
        arrays = arrays_of(case)
        if arrays and all(x.ndim and x.size and x.dtype.kind in "biuf" for x in arrays):
            try:
                keras.Model(*recorded(keras, name, case))(arrays)
            except Exception:
                continue
            return case
    return None


@pytest.mark.slow
def test_every_op_goes_both_ways(tmp_path):
    cases = {name: case for name in ROWS if (case := usable(name)) is not None and name not in BEYOND}
    assert ROWS.keys() - cases.keys() == BEYOND.keys() & ROWS.keys()
    values = [x for case in cases.values() for x in arrays_of(case)]
    for writer, reader in ((nyala, keras), (keras, nyala), (nyala, nyala)):
        parts = [recorded(writer, name, case) for name, case in cases.items()]
        model = writer.Model([x for inputs, _ in parts for x in inputs], [y for _, outputs in parts for y in outputs])
        model.save(tmp_path / "m.keras")
        results, expected = (iter(to_numpy(m(values))) for m in (reader.saving.load_model(tmp_path / "m.keras"), model))
        for name, (_, outputs) in zip(cases, parts, strict=True):
            for _ in outputs:
                assert_close({name: next(results)}, {name: next(expected)}, 1e-4, 1e-5)
