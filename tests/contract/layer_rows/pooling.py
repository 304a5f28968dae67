"""Rows of the layer contract: pooling."""

from tests.contract.rows import Row, floats

INPUTS = {1: floats(2, 7, 3), 2: floats(2, 6, 7, 3), 3: floats(2, 4, 5, 4, 2)}
CHANNELS_FIRST = {"data_format": "channels_first"}
LACKING = {3: ("float16", "mixed_float16", "float64")}  # what TensorFlow cannot pool in 3D on a CPU
ROWS = [
    *(
        Row(f"{kind}Pooling{rank}D", {"pool_size": 2}, INPUTS[rank], lacking=LACKING.get(rank, ()))
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    ),
    Row("MaxPooling1D", {"strides": 1, "padding": "same"}, INPUTS[1]),
    Row("MaxPooling2D", {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"}, INPUTS[2]),
    Row("AveragePooling2D", {"pool_size": (3, 2), "strides": 2, "padding": "same"}, INPUTS[2]),
    Row("AveragePooling3D", {"pool_size": (1, 2, 3), "strides": 2, "padding": "same"}, INPUTS[3], lacking=LACKING[3]),
    Row("MaxPooling2D", {"pool_size": 2, **CHANNELS_FIRST}, floats(2, 3, 6, 6)),
    Row("MaxPooling3D", {"strides": 1, "padding": "same"}, INPUTS[3], lacking=LACKING[3]),
    Row("AveragePooling1D", {"pool_size": 3, "strides": 1, "padding": "same", **CHANNELS_FIRST}, INPUTS[1]),
    Row("GlobalMaxPooling2D", {"keepdims": True, **CHANNELS_FIRST}, floats(2, 3, 6, 6), empty=False),
    *(Row(f"GlobalMaxPooling{rank}D", {}, INPUTS[rank], empty=False) for rank in (1, 2, 3)),
    *(Row(f"GlobalAveragePooling{rank}D", {}, INPUTS[rank]) for rank in (1, 2, 3)),
    Row("GlobalAveragePooling1D", CHANNELS_FIRST, INPUTS[1]),
    Row("GlobalAveragePooling2D", {"keepdims": True, **CHANNELS_FIRST}, floats(2, 3, 6, 6)),
    *(
        Row(f"Adaptive{kind}Pooling{rank}D", {"output_size": 2}, INPUTS[rank], lacking=LACKING.get(rank, ()))
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    ),
    Row("AdaptiveMaxPooling1D", {"output_size": 9}, INPUTS[1]),
    Row("AdaptiveMaxPooling2D", {"output_size": (4, 3)}, INPUTS[2]),
    Row("AdaptiveAveragePooling2D", {"output_size": (4, 3), **CHANNELS_FIRST}, floats(2, 3, 6, 7)),
]
