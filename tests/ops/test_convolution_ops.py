"""Convolutions, pooling and columns of windows beyond the contract: what the oracle cannot compute on a CPU, and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala import ops
from nyala.core.engine import tf
from nyala.core.tensor import KerasTensor
from tests.ops.cases import Case, call, case, floats, gradients, ints, numbers
from tests.oracle import assert_close, keras

FIRST: dict[str, Any] = {"data_format": "channels_first"}
X1, X2, X3 = floats(2, 9, 4), floats(2, 7, 6, 4), floats(2, 5, 4, 5, 4)


def by_xla(function: Callable[..., Any], *cases: Case) -> list[np.ndarray]:
    """What `function` gives under XLA, which has kernels that TensorFlow lacks on a CPU."""
    compiled = tf.function(lambda: [call(function, one) for one in cases], jit_compile=True, autograph=False)
    return numbers(compiled())


def to_first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)


# ---- Convolutions ----


@pytest.mark.parametrize(
    ("op", "inputs", "kernels", "options"),
    [
        ("conv", X1, [floats(3, 4, 6)], {"padding": "same", "strides": 2}),
        ("conv", X1, [floats(3, 2, 6)], {"padding": "causal"}),
        ("conv", X2, [floats(2, 3, 4, 6)], {"strides": (2, 1)}),
        ("conv", X3, [floats(2, 3, 2, 2, 6)], {"dilation_rate": (1, 1, 2)}),
        ("conv_transpose", X1, [floats(3, 5, 4)], {"strides": 2}),
        ("conv_transpose", X2, [floats(2, 3, 5, 4)], {"strides": (2, 3), "padding": "same"}),
        ("conv_transpose", X3, [floats(2, 2, 3, 5, 4)], {"strides": 2, "output_padding": 1}),
        ("depthwise_conv", X2, [floats(2, 3, 4, 2)], {"strides": 2, "padding": "same"}),
        ("separable_conv", X2, [floats(2, 3, 4, 2), floats(1, 1, 8, 3)], {"strides": 2}),
    ],
)
def test_channels_first_is_the_same_in_another_layout(op, inputs, kernels, options):
    function = getattr(ops, op)
    last, first = case(inputs, *kernels, **options), case(to_first(inputs), *kernels, **options, **FIRST)
    assert_close(np.moveaxis(call(function, first).numpy(), 1, -1), call(function, last), 1e-5, 1e-6)

    def turned(*args, **kwargs):
        return tf.experimental.numpy.moveaxis(function(*args, **kwargs), 1, -1)

    mine, expected = gradients(turned, first), gradients(function, last)
    assert_close(np.moveaxis(mine[0].numpy(), 1, -1), expected[0], 1e-5, 1e-5)
    assert_close(mine[1:], expected[1:], 1e-5, 1e-5)


def test_symbolic_convolutions():
    """Where the batch and space are unknown; kernels have a shape."""
    calls = [
        ("conv", [(None, None, 4), (3, 4, 6)], {"strides": 2}),
        ("conv", [(None, None, 9, 4), (2, 3, 4, 6)], {"padding": "same", "strides": (1, 2)}),
        ("conv", [(None, 4, None, 9, 7), (2, 3, 2, 4, 6)], {"dilation_rate": 2, **FIRST}),
        ("conv_transpose", [(None, None, 4), (3, 6, 4)], {"strides": 2, "output_padding": 1}),
        ("conv_transpose", [(None, None, 5, 4), (3, 3, 6, 4)], {"strides": 2}),
        ("conv_transpose", [(None, 4, 5, None), (3, 3, 6, 4)], {"strides": 3, "padding": "same", **FIRST}),
        ("depthwise_conv", [(None, None, 4), (3, 4, 2)], {"padding": "same"}),
        ("conv", [(None, None, 9, 4), (2, 3, 4, 6)], {"dilation_rate": 2, "padding": "same"}),
        ("conv", [(None, None, 4), (2, 4, 6)], {"dilation_rate": 2}),
        ("depthwise_conv", [(None, None, 9, 4), (2, 3, 4, 1)], {"dilation_rate": (2, 3)}),
        ("depthwise_conv", [(None, 4, None, 9), (2, 3, 4, 2)], {"strides": 2, **FIRST}),
        ("separable_conv", [(None, None, 9, 4), (2, 3, 4, 2), (1, 1, 8, 5)], {"strides": 2}),
    ]
    for name, shapes, options in calls:
        ours, theirs = (
            getattr(library.ops, name)(*map(library.KerasTensor, shapes), **options) for library in (nyala, keras)
        )
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), (name, shapes, options)
        kernels = [floats(*shape) for shape in shapes[1:]]
        assert getattr(ops, name)(KerasTensor(shapes[0]), *kernels, **options).shape == ours.shape


def test_causal_convolutions_see_no_future():
    kernel = floats(3, 2, 6)
    expected = [floats(2, 9, 6) * 0 for _ in range(2)]
    for rate, values in zip((1, 2), expected, strict=True):
        for t in range(9):
            for k in range(3):
                s = t - (2 - k) * rate
                if s >= 0:
                    parts = np.split(X1[:, s], 2, -1), np.split(kernel[k], 2, -1)
                    values[:, t] += np.concatenate([a @ b for a, b in zip(*parts, strict=True)], -1)
    assert_close([ops.conv(X1, kernel, padding="causal", dilation_rate=rate) for rate in (1, 2)], expected, 1e-5, 1e-5)


def test_transposed_convolutions_with_dilation():
    """The oracle computes these under XLA only."""
    cases = [
        case(X1, floats(3, 5, 4), dilation_rate=2),
        case(X1, floats(2, 5, 4), 2, dilation_rate=3),
        case(X2, floats(2, 3, 5, 4), padding="same", dilation_rate=(3, 2)),
        case(X2, floats(2, 3, 5, 4), (2, 1), "valid", (1, 0), dilation_rate=(1, 2)),
    ]
    assert_close([call(ops.conv_transpose, one) for one in cases], by_xla(keras.ops.conv_transpose, *cases), 1e-5, 1e-5)


def test_a_transposed_convolution_is_the_gradient_of_a_convolution():
    for options in ({}, {"strides": 2}, {"padding": "same", "strides": 3}, {"dilation_rate": 2}):
        kernel, outputs = tf.constant(floats(3, 4, 6)), None
        x = tf.constant(floats(2, 9, 4))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = ops.conv(x, kernel, **options)
            outputs = tf.constant(floats(*y.shape))
            total = tf.reduce_sum(y * outputs)
        assert_close(ops.conv_transpose(outputs, kernel, **options), tape.gradient(total, x), 1e-5, 1e-5)


def test_depthwise_convolutions_stride_over_dilated_windows():
    """TensorFlow's own kernel, which the reference calls, mixes the two up."""
    for x, kernel, rate in ((X1, floats(3, 4, 2), 2), (X2, floats(2, 3, 4, 2), (3, 2))):
        dense = ops.depthwise_conv(x, kernel, dilation_rate=rate)
        every_second = (slice(None), *[slice(None, None, 2)] * (x.ndim - 2))
        assert_close(ops.depthwise_conv(x, kernel, 2, dilation_rate=rate), dense[every_second], 1e-5, 1e-6)


def test_groups_in_the_pointwise_part():
    x, depthwise, pointwise = X2, floats(2, 3, 4, 2), floats(1, 1, 4, 6)
    assert_close(
        ops.separable_conv(x, depthwise, pointwise), keras.ops.separable_conv(x, depthwise, pointwise), 1e-5, 1e-5
    )
    assert all(np.abs(g).max() > 0 for g in gradients(ops.separable_conv, case(x, depthwise, pointwise)))


def test_different_dtypes_meet():
    kernel = floats(3, 4, 6, dtype="float64")
    assert_close(ops.conv(X1, kernel), ops.conv(X1, kernel.astype("float32")), 1e-5, 1e-5)
    assert ops.conv(X1, kernel).dtype == "float64"
    assert ops.conv(ints(2, 9, 4), kernel.astype("float32")).dtype == "float32"
    assert ops.depthwise_conv(tf.cast(X1, "float16"), floats(3, 4, 1)).dtype == "float32"
    assert ops.conv(np.zeros((2, 3, 1)).tolist(), np.ones((1, 1, 1)).tolist()).shape == (2, 3, 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_floats(dtype):
    """Whole numbers, whose sums are exact in every dtype."""
    x, kernel = ints(2, 5, 5, 3, low=-2, high=3), ints(2, 2, 3, 3, low=-2, high=3)
    calls = [
        lambda x, kernel: ops.conv(x, kernel, padding="same"),
        lambda x, kernel: ops.conv_transpose(x, kernel, strides=2),
        lambda x, kernel: ops.depthwise_conv(x, kernel),
        lambda x, kernel: ops.max_pool(x, 2),
        lambda x, kernel: ops.adaptive_max_pool(x, 2),
        lambda x, kernel: ops.average_pool(x, (1, 2)),
        lambda x, kernel: ops.adaptive_average_pool(x, (5, 5)),
        lambda x, kernel: ops.fold(ops.unfold(x, 2, padding=1), (5, 3), 2, padding=1),
        lambda x, kernel: ops.max_pool(x[..., None], (2, 1, 3)),
    ]
    for function in calls:
        narrow, wide = (function(tf.cast(x, name), tf.cast(kernel, name)) for name in (dtype, "float32"))
        assert narrow.dtype == dtype
        assert_close(tf.cast(narrow, "float32"), wide)


# ---- Pooling ----


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_pooling_of_whole_numbers(dtype):
    x = np.abs(ints(2, 5, 4, 5, 3)).astype(dtype)
    for options in ({"padding": "same"}, {"strides": 1}):
        values = ops.max_pool(x, (2, 1, 3), **options)
        assert values.dtype == dtype
        assert_close(tf.cast(values, "float32"), ops.max_pool(x.astype("float32"), (2, 1, 3), **options))
    assert_close(ops.adaptive_max_pool(x, 2), ops.adaptive_max_pool(x.astype("float32"), 2).numpy().astype(dtype))
    assert ops.adaptive_max_pool(x, 2).dtype == dtype
    for average in (ops.average_pool(x, 2), ops.adaptive_average_pool(x, 2)):
        assert average.dtype == "float32"
    assert_close(ops.average_pool(x, 2), ops.average_pool(x.astype("float32"), 2))


def test_adaptive_pooling_takes_minus_infinity():
    x = np.full((1, 4, 1), -np.inf, "float32")
    x[0, 3] = 2
    assert ops.adaptive_max_pool(x, 3).numpy().ravel().tolist() == [-np.inf, -np.inf, 2]


def test_gradients_of_maxima():
    """Where the oracle's are left to chance: windows of the size of the axis, beside ones of size 1; and at ties."""
    x = tf.constant(floats(2, 7, 6, 4))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        adaptive = tf.reduce_sum(ops.adaptive_max_pool(x, (7, 1)) ** 3)
        plain = tf.reduce_sum(tf.reduce_max(x, 2) ** 3)
    assert_close(tape.gradient(adaptive, x), tape.gradient(plain, x))
    ties = gradients(ops.adaptive_max_pool, case(np.ones((1, 4, 1), "float32"), 2))[0].numpy().ravel()
    assert_close([ties[:2].sum(), ties[2:].sum()], [1, np.cos(1)])


# ---- Windows as columns ----


def test_columns_of_windows_against_loops():
    x = floats(2, 3, 7, 8)
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (2, 2)])
    windows = [padded[:, :, i : i + 3 : 2, j : j + 3] for i in range(0, 7, 3) for j in range(0, 10, 2)]
    expected = np.stack([window.reshape(2, -1) for window in windows], -1)
    assert_close(ops.unfold(x, (2, 3), (2, 1), (1, 2), (3, 2)), expected)


def test_fold_is_the_transpose_of_unfold():
    """⟨unfold(x), y⟩ = ⟨x, fold(y)⟩, so each is the gradient of the other."""
    options = {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 2), "stride": (3, 2)}
    x = tf.constant(floats(2, 3, 7, 8, dtype="float64"))
    with tf.GradientTape() as tape:
        tape.watch(x)
        columns = ops.unfold(x, **options)
        y = tf.constant(floats(*columns.shape, dtype="float64"))
        product = tf.reduce_sum(columns * y)
    assert_close(tf.reduce_sum(x * ops.fold(y, (7, 8), **options)), product)
    assert_close(tape.gradient(product, x), ops.fold(y, (7, 8), **options))


def test_an_empty_batch():
    for function, one in (
        (ops.unfold, case(floats(0, 3, 7, 6), 2)),
        (ops.depthwise_conv, case(floats(0, 9, 4), floats(3, 4, 2))),
        (ops.separable_conv, case(floats(0, 9, 4), floats(3, 4, 2), floats(1, 8, 5))),
    ):
        assert call(function, one).shape[0] == 0
        assert gradients(function, one)[0].shape == one.args[0].shape


# ---- Unknown sizes, files ----


def test_unknown_sizes():
    """A graph for images of any size and number computes what eager calls do."""

    def everything(x):
        kernel, turned = tf.reshape(tf.range(72.0) / 72, (3, 3, 4, 2)), tf.transpose(x, (0, 3, 1, 2))
        images = x[:, : tf.shape(x)[1] // 2 * 2, : tf.shape(x)[2] // 2 * 2]
        return [
            ops.conv(x, kernel, 2, "same"),
            ops.conv(turned, kernel, dilation_rate=2, **FIRST),
            ops.conv(x, kernel[:, :, :2]),
            ops.conv_transpose(x, tf.transpose(kernel, (0, 1, 3, 2)), (2, 1)),
            ops.conv_transpose(turned, tf.transpose(kernel, (0, 1, 3, 2)), 2, "same", 0, **FIRST),
            ops.depthwise_conv(x, kernel, 2, dilation_rate=2),
            ops.max_pool(x, 2),
            ops.average_pool(turned, 3, 1, "same", **FIRST),
            ops.max_pool(tf.cast(x[..., None], "float64"), 2),
            ops.adaptive_max_pool(x, (2, 3)),
            ops.adaptive_average_pool(turned, (4, 1), **FIRST),
            ops.unfold(turned, (2, 3), padding=1, stride=2),
            ops.fold(ops.unfold(turned[..., :4, :5], 2), (4, 5), 2),
            ops.space_to_depth(images, 2),
            ops.depth_to_space(x, 2),
        ]

    graph = tf.function(everything, input_signature=[tf.TensorSpec([None, None, None, 4])], autograph=False)
    for height, width in ((7, 9), (8, 5)):
        x = tf.constant(floats(2, height, width, 4))
        assert_close(graph(x), everything(x), 1e-5, 1e-5)
    sizes = [tuple(y.shape) for y in graph.get_concrete_function().outputs]
    assert sizes[9:12] == [(None, 2, 3, 4), (None, 4, 4, 1), (None, 24, None)]


LAST: dict[str, Any] = {"data_format": "channels_last"}


def shared_graph(o: Any, x: Any) -> Any:
    """(N, 12, 12, 2) → (N, 4, 2, 2)."""
    y = o.conv(x, np.full((2, 3, 2, 4), 0.1, "float32"), strides=(1, 2), padding="same", **LAST)
    y = o.separable_conv(y, np.full((2, 2, 4, 1), 0.2, "float32"), np.full((1, 1, 4, 8), 0.3, "float32"), **LAST)
    y = o.average_pool(o.max_pool(o.depth_to_space(y, 2), (2, 1), padding="same", **LAST), (3, 2), (1, 2), **LAST)
    y = o.depthwise_conv(o.space_to_depth(y[:, :4, :4], 2), np.full((1, 1, 8, 1), 0.4, "float32"), **LAST)
    return o.fold(o.unfold(o.reshape(y, (-1, 4, 4, 2)), (2, 1), padding=(1, 0)), (4, 2), (2, 1), padding=(1, 0))


def our_graph(o: Any, x: Any) -> Any:
    """What the reference writes to files and can then not read (a grid's size) or compute (transposed convolution)."""
    y = o.conv_transpose(x, np.full((3, 3, 4, 2), 0.1, "float32"), strides=2, output_padding=(1, 0), **LAST)
    return o.adaptive_max_pool(o.adaptive_average_pool(y, (5, 8), **LAST), 3, **LAST)


@pytest.mark.parametrize(
    ("graph", "writer", "reader"),
    [
        (shared_graph, nyala, keras),
        (shared_graph, keras, nyala),
        (shared_graph, nyala, nyala),
        (our_graph, nyala, nyala),
    ],
)
def test_graphs_of_these_ops_in_files(graph, writer, reader, tmp_path):
    x, values = writer.Input((12, 12, 2)), floats(3, 12, 12, 2)
    model = writer.Model(x, graph(writer.ops, x))
    model.save(tmp_path / "m.keras")
    assert_close(reader.saving.load_model(tmp_path / "m.keras")(values), model(values), 1e-5, 1e-5)


# ---- Mistakes ----


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda: ops.conv(X2, floats(3, 4, 6)), r"3 to 5 dimensions, but got shapes \(2, 7, 6, 4\) and \(3, 4, 6\)"),
        (lambda: ops.conv(floats(3, 4), floats(3, 4)), "`conv` takes inputs and a kernel"),
        (lambda: ops.conv(X2, floats(3, 3, 3, 6)), "4 channels and the kernel 3, for 6 filters"),
        (lambda: ops.conv(X2, floats(3, 3, 2, 5)), "as many groups of filters"),
        (lambda: ops.conv(X2, floats(3, 3, 4, 5), (1, 2, 3)), "`strides` of `conv` must be 2 integers"),
        (lambda: ops.conv(X2, floats(3, 3, 4, 5), 0), "at least 1, but got 0"),
        (lambda: ops.conv(X2, floats(3, 3, 4, 5), True), "but got True"),
        (lambda: ops.conv(X2, floats(3, 3, 4, 5), dilation_rate="2"), "`dilation_rate` of `conv`"),
        (lambda: ops.conv(X2, floats(3, 3, 4, 5), padding="causal"), "one of 'valid', 'same', but got 'causal'"),
        (lambda: ops.conv(X1, floats(3, 4, 5), padding="full"), "one of 'valid', 'same', 'causal', but got 'full'"),
        (lambda: ops.conv(X1, floats(3, 4, 5), data_format="last"), "channels_last"),
        (lambda: ops.conv(X1, floats(3, 4, 5), 2, dilation_rate=2), "not both"),
        (lambda: ops.conv(X2, floats(8, 1, 4, 5)), "larger than its inputs"),
        (lambda: ops.conv(X1, floats(5, 4, 5), dilation_rate=3), "with dilation"),
        (lambda: ops.conv(KerasTensor((2, 9, 4)), KerasTensor((None, 4, 5))), "a kernel of known shape"),
        (lambda: ops.conv_transpose(X2, floats(3, 3, 5, 3)), "wants 3 channels, but the inputs have 4"),
        (lambda: ops.conv_transpose(X1, floats(3, 5, 4), 2, output_padding=2), "at least 0 and less than its strides"),
        (lambda: ops.conv_transpose(X1, floats(4, 5, 4), 2, "same", 0), r"at least 1 and less than its strides \+ 1"),
        (lambda: ops.depthwise_conv(X2, floats(3, 3, 3, 1)), "wants 3 channels"),
        (lambda: ops.depthwise_conv(X2, floats(3, 3, 4, 1), (1, 2)), "must be equal"),
        (lambda: ops.depthwise_conv(X3, floats(3, 3, 3, 4, 1)), "3 to 4 dimensions"),
        (lambda: ops.separable_conv(X2, floats(3, 3, 4, 1), floats(3, 3, 4, 1)), "size 1 in space"),
        (lambda: ops.max_pool(floats(2, 3), 2), "`max_pool` takes inputs of 3 to 5 dimensions"),
        (lambda: ops.max_pool(X2, 8), r"windows of \(8, 8\), which do not fit"),
        (lambda: ops.max_pool(X2, 0), "`pool_size` of `max_pool`"),
        (lambda: ops.average_pool(X2, 2, (1, 2, 3)), "`strides` of `average_pool`"),
        (lambda: ops.average_pool(X2, 2, padding="causal"), "'valid', 'same'"),
        (lambda: ops.adaptive_max_pool(X2, (2, None)), "`output_size` of `adaptive_max_pool`"),
        (lambda: ops.adaptive_average_pool(X2, (2, 3, 4)), "`output_size` of `adaptive_average_pool` must be 2"),
        (lambda: ops.unfold(X1, 2), r"shape \(N, C, H, W\)"),
        (lambda: ops.unfold(X2, (7, 1)), "larger than its padded inputs"),
        (lambda: ops.unfold(X2, 2, padding=-1), "`padding` of `unfold`.*at least 0"),
        (lambda: ops.fold(X2, 2, 2), "`fold` takes columns"),
        (lambda: ops.fold(floats(2, 12, 10), 6, 2, stride=2), "9 columns, but got"),
        (lambda: ops.fold(floats(2, 13, 9), 6, 2, stride=2), "a multiple of 4 rows"),
        (lambda: ops.depth_to_space(X2, 3), "a multiple of 9 channels, but got 4"),
        (lambda: ops.depth_to_space(X2, 1), "`block_size` of `depth_to_space` must be an integer of at least 2"),
        (lambda: ops.space_to_depth(X2, 2), "multiples of it, but got 7×6"),
        (lambda: ops.space_to_depth(X1, 2), "4 dimensions"),
    ],
)
def test_mistakes_are_named(mistake, said):
    with pytest.raises(ValueError, match=said):
        mistake()
