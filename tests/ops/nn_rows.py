"""The table of ops of neural networks: for each op its calls, with all options that matter."""

from __future__ import annotations

import numpy as np

from tests.ops.cases import INF, NAN, Case, bools, case, each, floats, ints

XLA_CANNOT = {"ctc_decode": "TensorFlow has no XLA kernel for its decoders"}
SYMBOLIC_DIFFERS = {
    "categorical_crossentropy": "the reference always drops the last axis",
    "ctc_decode": "the lengths tell the size of the batch",
    "dot_product_attention": "the reference overlooks that values can have another size than keys",
    "layer_normalization": "the weights tell the size of an axis",
    "multi_hot": "the reference says int32 for its floats",
    "normalize": "the reference says float32 for float64",
    "polar": "the reference says float32 for complex numbers",
    "psnr": "the reference says float32 for float64",
}

# ---- Activations ----

# Where the pieces of all activations meet, far away, and what is no number.
KINKS = np.array([-80.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 6.0, 80.0, INF, -INF, NAN], "float32")
FINITE, NONZERO = KINKS[:-3], KINKS[KINKS != 0]
PLAIN = [case(floats()), case(floats(0, 3)), case(floats(2, 3, 1, 2, low=-7, high=7))]
PLAIN += [case(KINKS), case(FINITE), case(FINITE.astype("float64"))]
ACTIVATIONS = (
    *("elu", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh", "leaky_relu", "log_sigmoid", "relu"),
    *("relu6", "selu", "sigmoid", "silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid"),
    *("squareplus", "tanh_shrink"),
)
OPTIONS = {
    "elu": {"alpha": 0.3},
    "gelu": {"approximate": False},
    "hard_shrink": {"threshold": 1.0},
    "leaky_relu": {"negative_slope": 0.01},
    "soft_shrink": {"threshold": 1.0},
    "squareplus": {"b": 0.5},
}
INTEGERS = [case(ints(2, 3, dtype=dtype)) for dtype in ("int8", "int64")]


def along_axes() -> list[Case]:
    """A function along an axis, and along several."""
    cases = [case(floats(4)), case(floats(2, 3, 1, 2)), case(floats(2, 3), axis=0), case(floats(2, 3, 4), axis=-2)]
    cases += [case(100 * floats(2, 3)), case(floats(2, 3, dtype="float16")), case(floats(2, 3, dtype="float64"))]
    return [*cases, *(case(floats(2, 3, 4), axis=axis) for axis in ((0, 2), (1, 0), None))]


FLIPPED = np.arange(24, dtype="float32")[::-1].reshape(2, 3, 4)

# ---- Normalization ----

CONSTANT = np.full((2, 3), 2.5, "float32")
OFFSET = np.array([[1000.0, 1001.0, 1003.0], [-5.0, 0.0, 5.0]], "float32")


def variances(*shape: int, dtype: str = "float32") -> np.ndarray:
    return floats(*shape, low=0.1, high=2.0, dtype=dtype)


def weights(*sizes: int) -> list[np.ndarray]:
    return [floats(*sizes), floats(*sizes)]


# ---- Classes ----


def probabilities(*shape: int, dtype: str = "float32") -> np.ndarray:
    values = np.exp(floats(*shape))
    return (values / values.sum(-1, keepdims=True)).astype(dtype)


def labels(*shape: int, dtype: str = "float32") -> np.ndarray:
    return bools(*shape).astype(dtype)


CLASSES = ints(2, 3, low=-1, high=6)  # some are none

# ---- Attention and sequences ----


def heads(t: int = 3, s: int = 5, h: int = 4, g: int = 4, e: int = 2, dtype: str = "float32") -> list[np.ndarray]:
    return [floats(2, t, h, 2, dtype=dtype), floats(2, s, g, 2, dtype=dtype), floats(2, s, g, e, dtype=dtype)]


LENGTHS = [np.array([3, 2], "int32"), np.array([7, 6], "int32")]
LABELS = np.array([[1, 2, 2, 0], [3, 1, 0, 0]], "int32")
STEPS = floats(2, 7, 5, low=-6, high=6)

ROWS: dict[str, list[Case]] = {
    **each(ACTIVATIONS, PLAIN),
    **each(("hard_swish", "swish"), PLAIN[:1]),
    "celu": [*PLAIN[:3], case(floats(2, 3), alpha=0.3), case(NONZERO), case(NONZERO, 0.3)],
    "threshold": [case(*one.args, 0.5, -2.0) for one in PLAIN],
    "glu": [case(floats(4)), case(floats(2, 6)), case(floats(4, 3), axis=0), case(floats(2, 4, 3, 1), axis=-3)],
    **each(("softmax", "log_softmax"), along_axes()),
    # Where values are near each other, the reference's numbers do not sum to 1: see test_activations.py.
    "sparsemax": [case(4 * FLIPPED, axis=axis) for axis in (0, 1, -1)] + [case(4 * FLIPPED[0, 0])],
}
for name, options in OPTIONS.items():
    ROWS[name] = [*ROWS[name], case(floats(2, 3), **options), case(KINKS, **options)]
for name in ("relu", "relu6"):
    ROWS[name] = [*ROWS[name], *INTEGERS]

ROWS |= {
    "batch_normalization": [
        case(floats(2, 3), floats(3), variances(3), -1),
        case(floats(2, 3), floats(3), variances(3), 1, *weights(3)),
        case(floats(2, 3), floats(2), variances(2), 0, offset=floats(2)),
        case(floats(2, 3, 4, 2), floats(2), variances(2), 3, scale=floats(2)),
        case(floats(2, 3, 4, 2), floats(3), variances(3), 1, *weights(3), epsilon=0.1),
        case(floats(3), floats(3), variances(3), 0),
        case(floats(0, 3), floats(3), variances(3), -1),
        case(CONSTANT, CONSTANT[0], np.zeros(3, "float32"), -1),
        case(*(floats(2, 3, dtype="float64"), floats(3, dtype="float64"), variances(3, dtype="float64")), axis=-1),
    ],
    "layer_normalization": [
        case(floats(4)),
        case(floats(2, 3)),
        case(floats(2, 3), *weights(3)),
        case(floats(2, 3), gamma=floats(3), epsilon=0.1),
        case(floats(2, 3), beta=floats(3)),
        case(floats(2, 3), *weights(2), axis=0),
        case(floats(2, 3, 4), *weights(3), axis=-2),
        case(floats(2, 3, 4), *weights(3, 4), axis=(1, 2)),
        case(floats(2, 3, 4), *weights(2, 4), axis=(0, -1)),
        case(floats(2, 3, 4), *weights(3, 4), axis=[-1, -2]),
        case(floats(2, 3, 2, 2), *weights(2)),
        case(floats(2, 3), *weights(2, 3)),
        case(floats(2, 3), *weights(3), rms_scaling=True),
        case(floats(2, 3), floats(3), rms_scaling=True, epsilon=0.1),
        case(floats(0, 3), *weights(3)),
        case(CONSTANT, epsilon=0.1),
        case(floats(2, 3, dtype="float16")),
        case(floats(2, 3, dtype="float64"), *weights(3)),
    ],
    "rms_normalization": [
        case(floats(4)),
        case(floats(2, 3)),
        case(floats(2, 3), floats(3)),
        case(floats(2, 3), floats(3), axis=0, epsilon=0.1),
        case(floats(2, 3, 4), floats(3, 4), axis=(1, 2)),
        case(floats(2, 3, 4, 1), floats(2, 1, 1, 1), axis=[0, -1]),
        case(floats(0, 3), floats(3)),
        case(np.zeros((2, 3), "float32")),
        case(floats(2, 3, dtype="float16"), floats(3)),
        case(floats(2, 3, dtype="float64")),
    ],
    "normalize": [
        *(case(floats(2, 3), order=order) for order in (1, 2, 3, 7)),
        *(case(floats(2, 3, 4), axis=axis) for axis in (0, -2, (0, 2), None)),
        *(case(floats(2, 3, low=-1e-8, high=1e-8), order=order) for order in (1, 2, 3)),
        *(case(floats(2, 3), order=order, epsilon=1.5) for order in (1, 2, 3)),
        case(floats(4)),
        case(floats(2, 3, 1, 2), axis=1),
        case(floats(0, 3)),
        case(np.zeros((2, 3), "float32")),
        case(np.zeros((2, 3), "float32"), order=1),
        case(np.array([[3.0, 0.0, 0.0], [1e-7, 0.0, 0.0]], "float32")),
        case(floats(2, 3, dtype="float64")),
    ],
    "moments": [
        *(case(floats(2, 3, 4), axes) for axes in (0, [0], (0, 2), [-1, 0], None, [])),
        case(floats(), []),
        case(floats(4), 0),
        case(floats(2, 3), [1], keepdims=True),
        case(floats(2, 3, 2, 2), axes=[0, 1, 2], keepdims=True, synchronized=True),
        case(floats(2, 0), 0),
        case(OFFSET, 1),
        case(np.array([300.0, 40000.0], "float16"), 0),
        *(case(floats(2, 3, dtype=dtype), 0) for dtype in ("float16", "float64")),
    ],
    "one_hot": [
        *(case(CLASSES, 5, axis=axis) for axis in (-1, 0, 1, 2)),
        case(ints(low=0), 5),
        case(ints(3), 4),
        case(ints(0, 3), 4),
        case(ints(2, 3, 1, 2), 2, axis=1),
        case(ints(3), 0),
        *(case(ints(4, low=0, dtype=dtype), 5) for dtype in ("int8", "uint8", "int16", "uint16", "uint32", "int64")),
        case(bools(3), 2),
        case(floats(4, low=0, high=3), 3),
        *(case(CLASSES, 5, dtype=dtype) for dtype in ("bool", "int32", "uint8", "float16", "float64")),
    ],
    "multi_hot": [
        case(CLASSES, 5),
        case(CLASSES, 5, axis=0),
        case(CLASSES, 5, axis=2),
        case(ints(3), 4),
        case(ints(0, 3), 4),
        case(ints(2, 3, 4), 5),
        case(ints(2, 3, 4), 5, axis=2),
        case(ints(2, 3, 4), 5, axis=0),
        case(ints(2, 3, dtype="uint8", low=0), num_tokens=3),
        case(floats(2, 4, low=0, high=3), 3),
        *(case(CLASSES, 5, dtype=dtype) for dtype in ("bool", "int32", "float16")),
    ],
    "binary_crossentropy": [
        case(labels(2, 3), probabilities(2, 3)),
        case(labels(2, 3), floats(2, 3), from_logits=True),
        case(probabilities(2, 3, 1, 2), probabilities(2, 3, 1, 2)),
        case(labels(2, 3), 100 * floats(2, 3), from_logits=True),
        case(labels(), floats(low=0, high=1)),
        case(labels(0, 3), floats(0, 3)),
        case(np.array([0.0, 1.0, 0.0, 1.0], "float32"), np.array([0.0, 0.0, 1.0, 1.0], "float32")),
        case(labels(2, 3, dtype="float64"), probabilities(2, 3, dtype="float64")),
    ],
    "categorical_crossentropy": [
        case(labels(2, 3), probabilities(2, 3)),
        case(labels(2, 3), floats(2, 3), from_logits=True),
        case(probabilities(2, 3, 4), floats(2, 3, 4, low=0.1)),
        case(labels(2, 3, 1, 2), floats(2, 3, 1, 2), True, axis=1),
        case(labels(2, 3), floats(2, 3, low=0.1), axis=0),
        case(labels(2, 3), 100 * floats(2, 3), from_logits=True),
        case(labels(3), probabilities(3)),
        case(labels(0, 3), floats(0, 3)),
        case(np.eye(2, dtype="float32"), np.array([[0.0, 1.0], [0.0, 1.0]], "float32")),
        case(labels(2, 3, dtype="float64"), probabilities(2, 3, dtype="float64")),
    ],
    "sparse_categorical_crossentropy": [
        case(ints(2, low=0, high=3), probabilities(2, 3)),
        case(ints(2, low=0, high=3), floats(2, 3), from_logits=True),
        case(ints(2, 3, 1, low=0, high=4), floats(2, 3, 4, low=0.1)),
        case(ints(2, 3, low=0, high=4), 100 * floats(2, 3, 4), True, -1),
        case(ints(2, 3, 1, low=0, high=2), floats(2, 3, 1, 2), True),
        case(ints(low=0, high=3), probabilities(3)),
        case(ints(1, low=0, high=3), probabilities(3)),
        case(ints(0), floats(0, 3)),
        case(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]], "float32")),
        case(floats(2, low=0, high=2.9), probabilities(2, 3)),
        case(ints(2, low=0, high=3), probabilities(2, 3, dtype="float64")),
    ],
    "ctc_loss": [
        case(LABELS, STEPS, *LENGTHS),
        case(LABELS.astype("int64"), (10 * STEPS).astype("float16"), *LENGTHS, mask_index=-1),
        case(LABELS, STEPS, np.array([0, 4], "int32"), np.array([3, 3], "int32")),  # nothing, and what cannot be
    ],
    "ctc_decode": [
        case(STEPS, LENGTHS[1]),
        case(STEPS, LENGTHS[1], merge_repeated=False),
        *(case(STEPS, LENGTHS[1], mask_index=index) for index in (2, 4, -1, None)),
        case(STEPS, 0 * LENGTHS[1]),
        case(STEPS, LENGTHS[1], strategy="beam_search"),
        case(STEPS, LENGTHS[1], "beam_search", beam_width=8, top_paths=3),
        *(case(STEPS, LENGTHS[1], "beam_search", mask_index=index) for index in (2, 4, None)),
        case(STEPS.astype("float64"), LENGTHS[1]),
        case(STEPS.astype("float16"), LENGTHS[1].astype("int64"), "beam_search"),
    ],
    "dot_product_attention": [
        case(*heads()),
        case(*heads(e=3), scale=2.0),
        case(*heads(), scale=np.float32(0.0)),
        case(*heads(), is_causal=True),
        case(*heads(t=5, s=3), is_causal=True),
        case(*heads(g=2)),
        case(*heads(), flash_attention=False),
        *(case(*heads(), mask=bools(*shape)) for shape in ((2, 4, 3, 5), (1, 4, 3, 5), (2, 1, 3, 5), (2, 1, 1, 5))),
        *(case(*heads(), mask=bools(*shape)) for shape in ((4, 3, 5), (3, 5), (5,), (2, 4, 3, 1))),
        *(
            case(*heads(), bias=floats(*shape))
            for shape in ((2, 4, 3, 5), (1, 4, 3, 5), (2, 1, 1, 5), (4, 3, 5), (3, 5))
        ),
        case(*heads(), floats(2, 4, 3, 5), bools(2, 4, 3, 5), is_causal=True),
        case(*heads(), mask=np.zeros((2, 4, 3, 5), "bool")),
        case(*(50 * x for x in heads())),
        case(*heads(dtype="float64"), floats(2, 4, 3, 5)),
    ],
    "psnr": [
        case(floats(2, 3), floats(2, 3), 2.0),
        case(floats(2, 3, 4, 1), floats(2, 3, 4, 1), max_val=255),
        case(floats(), floats(), 1.0),
        case(floats(2, 3, dtype="float64"), floats(2, 3, dtype="float64"), 1.0),
    ],
    "polar": [
        case(floats(2, 3), floats(2, 3)),
        case(floats(2, 3), floats(3)),
        case(2.0, floats(2, 3, 1, 2, high=9)),
        case(floats(), floats()),
        case(floats(0, 3), floats(0, 3)),
        case(floats(2, 3), ints(3)),
        case(floats(2, 3, dtype="float64"), floats(2, 3, dtype="float64")),
    ],
}
