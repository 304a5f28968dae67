"""Pooling beyond the contract's rows: dtypes that TensorFlow lacks in 3D, unknown sizes, masks that let nothing by."""

from __future__ import annotations

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.contract.rows import floats
from tests.oracle import assert_close


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("name", ["MaxPooling3D", "AveragePooling3D"])
def test_volumes_of_other_dtypes(name, padding):
    """TensorFlow pools volumes of float32 only on a CPU; others are pooled axis by axis, with the same result."""
    x = floats(2, 5, 4, 6, 3)
    arguments = {"pool_size": (3, 2, 2), "strides": (2, 1, 2), "padding": padding}
    narrow, wide = (getattr(nyala.layers, name)(**arguments, dtype=dtype)(x) for dtype in ("float32", "float64"))
    assert wide.dtype == "float64"
    assert_close(wide, narrow, 1e-6, 1e-6)


@pytest.mark.parametrize(
    "name", ["AdaptiveMaxPooling2D", "AdaptiveAveragePooling2D", "MaxPooling2D", "GlobalMaxPooling2D"]
)
def test_unknown_sizes(name):
    layer = getattr(nyala.layers, name)(**({"output_size": (2, 3)} if name.startswith("Ad") else {}))
    graph = tf.function(lambda x: layer(x), input_signature=[tf.TensorSpec([None, None, None, 3])], autograph=False)
    for height, width in ((5, 7), (4, 6)):
        x = tf.constant(floats(2, height, width, 3))
        assert_close(graph(x), layer(x))


def test_adaptive_pooling_keeps_the_sizes_it_knows():
    assert nyala.layers.AdaptiveMaxPooling2D((2, 3))(nyala.KerasTensor((None, None, 7, 4))).shape == (None, 2, 3, 4)


def test_averages_over_time_leave_out_what_is_masked():
    x = floats(2, 3, 4)
    mask = np.array([[1, 1, 0], [0, 0, 1]], "bool")
    averages = nyala.layers.GlobalAveragePooling1D()(x, mask=mask)
    assert_close(averages, np.stack([x[0, :2].mean(0), x[1, 2]]))
