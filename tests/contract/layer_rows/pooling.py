"""Rows of the layer contract: pooling."""

from tests.contract.rows import Row, floats

INPUTS = {1: floats(2, 7, 3), 2: floats(2, 6, 7, 3), 3: floats(2, 4, 5, 4, 2)}
ROWS = [
    *(Row(f"{kind}Pooling{rank}D", {"pool_size": 2}, INPUTS[rank]) for kind in ("Max", "Average") for rank in (1, 2)),
    Row("MaxPooling2D", {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}, INPUTS[2]),
    Row("AveragePooling2D", {"pool_size": (3, 2), "strides": 2, "padding": "same"}, INPUTS[2]),
    Row("MaxPooling2D", {"pool_size": 2, "data_format": "channels_first"}, floats(2, 3, 6, 6)),
    *(Row(f"GlobalMaxPooling{rank}D", {}, INPUTS[rank], empty=False) for rank in (1, 2, 3)),
    *(Row(f"GlobalAveragePooling{rank}D", {}, INPUTS[rank]) for rank in (1, 2, 3)),
    Row("GlobalAveragePooling2D", {"keepdims": True, "data_format": "channels_first"}, floats(2, 3, 6, 6)),
]
