"""The table of convolutions, pooling, windows as columns and blocks of pixels: for each op its calls."""

from __future__ import annotations

import numpy as np

from tests.ops.cases import Case, bools, case, floats, ints

# What the reference cannot compute on a CPU (layouts, dtypes, gradients of groups and of nothing) is in
# `test_convolution_ops.py`.
SYMBOLIC_DIFFERS = {
    **dict.fromkeys(
        ("conv", "conv_transpose", "depthwise_conv", "separable_conv"),
        "kernels must say their size, which the symbols leave open: see test_symbolic_convolutions",
    ),
    **dict.fromkeys(("adaptive_average_pool", "adaptive_max_pool"), "the reference forgets the channels"),
}

FIRST = {"data_format": "channels_first"}
X1, X2, X3 = floats(2, 9, 4), floats(2, 7, 6, 4), floats(2, 5, 4, 5, 2)
K1, K2, K3 = floats(3, 4, 6), floats(2, 3, 4, 6), floats(2, 2, 3, 2, 4)
T1, T2, T3 = floats(3, 5, 4), floats(2, 3, 5, 4), floats(2, 2, 3, 3, 2)
D1, D2 = floats(3, 4, 2), floats(2, 3, 4, 2)
P1, P2 = floats(1, 8, 5), floats(1, 1, 8, 5)


def whole(*shape: int, dtype: str) -> np.ndarray:
    """Numbers whose products and sums are exact in every dtype."""
    return ints(*shape, low=-2, high=3).astype(dtype)


DISTINCT = np.random.default_rng(5).permutation(96).reshape(2, 4, 4, 3).astype("float16")

ROWS: dict[str, list[Case]] = {
    "conv": [
        case(X1, K1),
        case(X2, K2),
        case(X3, K3),
        case(X1, K1, strides=2, padding="same"),
        case(X1, K1, (3,), "VALID"),
        case(X2, K2, strides=(2, 1), padding="same"),
        case(X2, K2, dilation_rate=(1, 2)),
        case(X2, K2, dilation_rate=2, padding="same", data_format="channels_last"),
        case(X3, K3, strides=(1, 2, 1), padding="same"),
        case(X3, K3, dilation_rate=2, padding="same"),
        case(floats(2, 2, 5, 4, 5), K3, padding="same", **FIRST),
        case(X2, floats(2, 3, 2, 6)),
        case(X1, floats(3, 1, 8), padding="same"),
        case(X3, floats(2, 2, 2, 1, 2)),
        case(floats(0, 9, 4), K1),
        case(floats(2, 5, 3, dtype="float64"), floats(2, 3, 4, dtype="float64")),
        case(whole(2, 5, 3, dtype="float16"), whole(2, 3, 4, dtype="float16")),
        case(ints(2, 5, 5, 3), ints(2, 2, 3, 4)),
    ],
    "conv_transpose": [
        case(X1, T1),
        case(X2, T2),
        case(X3, T3),
        *[case(X1, T1, strides, padding) for strides in (1, 2, 3, 4) for padding in ("valid", "same")],
        *[case(X1, T1, 2, padding, extra) for padding in ("valid", "same") for extra in (0, 1)],
        case(X1, floats(4, 5, 4), 3, "same", 1),
        case(X1, floats(4, 5, 4), 3, "same", 3),
        case(X1, floats(4, 5, 4), 2, "same"),
        case(X2, T2, strides=(2, 3), padding="same"),
        case(X2, T2, strides=[3, 2], output_padding=(2, 0)),
        case(X3, T3, strides=(1, 2, 1), padding="same", data_format="channels_last"),
        case(floats(0, 9, 4), T1),
        case(floats(2, 5, 3, dtype="float64"), floats(2, 4, 3, dtype="float64"), 2),
        case(whole(2, 5, 3, dtype="float16"), whole(2, 4, 3, dtype="float16")),
    ],
    "depthwise_conv": [
        case(X1, D1),
        case(X2, D2),
        case(X1, D1, strides=2, padding="same"),
        case(X2, D2, strides=(2, 2), padding="same"),
        case(X2, D2, dilation_rate=(2, 1)),
        case(X1, D1, dilation_rate=2, padding="same"),
        case(X2, D2[..., :1], strides=(3, 3)),
        case(floats(2, 4, 9), D1, **FIRST),
        case(floats(2, 4, 7, 6), D2, padding="same", strides=2, **FIRST),
        case(floats(2, 5, 3, dtype="float64"), floats(2, 3, 2, dtype="float64")),
        case(whole(2, 5, 3, dtype="float16"), whole(2, 3, 2, dtype="float16")),
    ],
    "separable_conv": [
        case(X1, D1, P1),
        case(X2, D2, P2),
        case(X1, D1, P1, strides=2, padding="same"),
        case(X2, D2, P2, strides=2, padding="same"),
        case(X2, D2, P2, dilation_rate=2),
        case(floats(2, 4, 9), D1, P1, **FIRST),
        case(floats(2, 4, 7, 6), D2, P2, padding="same", **FIRST),
    ],
    **{
        name: [
            case(X1, 2),
            case(X2, 3),
            case(X3, 2),
            case(X2, (3, 2), strides=1),
            case(X2, (2, 3), (3, 1), "same"),
            case(X1, [3], strides=(2,), padding="SAME"),
            case(X3, (2, 3, 1), strides=(1, 2, 3), padding="same"),
            case(floats(2, 4, 9), 2, **FIRST),
            case(floats(2, 4, 7, 6), (2, 3), strides=(1, 2), padding="same", **FIRST),
            case(floats(2, 2, 5, 4, 5), 2, strides=1, **FIRST),
            case(floats(0, 7, 6, 4), 2),
            case(floats(2, 5, 3, dtype="float64"), 2),
            case(whole(2, 6, 6, 3, dtype="float16"), 2),
        ]
        for name in ("max_pool", "average_pool")
    },
    **{
        name: [
            case(X1, 3),
            case(X2, 2),
            case(X3, 2),
            case(X1, (4,)),
            case(X2, (3, 4)),
            case(X2, [7, 2]),
            case(X3, (2, 3, 5)),
            case(X2, 9),
            case(floats(2, 4, 9), 4, **FIRST),
            case(floats(2, 4, 7, 6), (3, 5), **FIRST),
            case(floats(2, 2, 5, 4, 5), 3, **FIRST),
            case(floats(0, 7, 6, 4), 2),
            case(floats(2, 5, 3, dtype="float64"), 2),
            case(DISTINCT, 2),
        ]
        for name in ("adaptive_average_pool", "adaptive_max_pool")
    },
    "unfold": [
        case(floats(2, 3, 7, 6), 2),
        case(floats(2, 3, 7, 8), (2, 3), dilation=(2, 1), padding=(1, 2), stride=(1, 2)),
        case(floats(2, 3, 6, 6), [1, 2], [1, 2], [1, 0], [2, 1]),
        case(floats(1, 1, 3, 3), 3),
        case(floats(2, 2, 3, 4), 1, stride=2),
        case(ints(2, 3, 4, 5), 2, padding=1),
        *[case(ints(2, 3, 4, 5, dtype=dtype), 2) for dtype in ("int64", "float64")],
    ],
    "fold": [
        case(floats(2, 12, 16), (6, 6), 2, dilation=2),
        case(floats(2, 12, 9), (4, 4), 2, 1, 1, 2),
        case(floats(2, 18, 35), (7, 8), (2, 3), dilation=(2, 1), padding=(1, 2), stride=(1, 2)),
        case(floats(1, 1, 6), (2, 3), 1),
        case(ints(2, 12, 4), 3, 2),
        case(whole(2, 12, 4, dtype="float16"), 3, 2),
        case(floats(2, 12, 4, dtype="float64"), 3, 2),
    ],
    "depth_to_space": [
        case(floats(2, 3, 4, 12), 2),
        case(floats(2, 3, 4, 12), 2, data_format=None),
        case(floats(2, 3, 1, 18), 3),
        case(floats(2, 12, 3, 4), 2, **FIRST),
        case(floats(0, 3, 4, 12), 2),
        *[case(ints(2, 3, 4, 8).astype(dtype), 2) for dtype in ("int32", "uint8", "float16", "float64")],
        case(bools(1, 2, 2, 4), 2),
    ],
    "space_to_depth": [
        case(floats(2, 4, 6, 3), 2),
        case(floats(2, 4, 6, 3), 2, data_format="channels_last"),
        case(floats(2, 6, 3, 1), 3),
        case(floats(2, 3, 4, 6), 2, **FIRST),
        case(floats(0, 4, 6, 3), 2),
        *[case(ints(2, 4, 4, 3).astype(dtype), 2) for dtype in ("int32", "uint8", "float16", "float64")],
        case(bools(1, 2, 2, 4), 2),
    ],
}
