"""Rows of the layer contract: layers that keep a model from learning by heart.

With a seed the reference draws the same numbers, so training compares too.
"""

from tests.contract.rows import Row, floats

ROWS = [
    Row("Dropout", {"rate": 0.4}, floats(4, 5), training=(False,)),
    Row("Dropout", {"rate": 0.4, "seed": 3}, floats(4, 5)),
    Row("Dropout", {"rate": 0.4, "seed": 3, "noise_shape": (None, 1, 5)}, floats(4, 3, 5)),
    Row("Dropout", {"rate": 0.0}, floats(4, 5)),
    Row("SpatialDropout1D", {"rate": 0.4, "seed": 3}, floats(4, 3, 5)),
    Row("SpatialDropout2D", {"rate": 0.4, "seed": 3}, floats(4, 3, 2, 5)),
    Row("SpatialDropout2D", {"rate": 0.4, "seed": 3, "data_format": "channels_first"}, floats(4, 3, 2, 5)),
    Row("SpatialDropout3D", {"rate": 0.4, "seed": 3}, floats(4, 3, 2, 2, 5)),
    Row("SpatialDropout3D", {"rate": 0.4, "seed": 3, "data_format": "channels_first"}, floats(4, 3, 2, 2, 5)),
    Row("GaussianNoise", {"stddev": 0.3, "seed": 3}, floats(4, 5)),
    Row("GaussianNoise", {"stddev": 0.0}, floats(4, 5)),
    Row("GaussianDropout", {"rate": 0.3, "seed": 3}, floats(4, 5)),
    Row("AlphaDropout", {"rate": 0.3, "seed": 3}, floats(4, 5)),
    Row("AlphaDropout", {"rate": 0.3, "seed": 3, "noise_shape": [None, 1, 5]}, floats(4, 3, 5)),
    Row("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, floats(4, 5)),
    Row("ActivityRegularization", {}, floats(4, 5)),
]
