"""Functions of TensorFlow in Functional models: any of them takes a symbolic tensor, and does what it does on data.

Each row is one function between a layer, where its input holds floats, and the model's output. The name of a row is
the name of the function.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close

random = np.random.default_rng(0)

# What the functions get, five rows; the floats lie where most functions are smooth.
DATA: dict[str, np.ndarray] = {
    "vector": random.uniform(0.2, 0.8, (5, 6)).astype("float32"),
    "matrix": (random.uniform(0.2, 0.8, (5, 4, 4)) + 2 * np.eye(4)).astype("float32"),
    "series": random.uniform(0.2, 0.8, (5, 16, 3)).astype("float32"),
    "image": random.uniform(0.2, 0.8, (5, 8, 8, 3)).astype("float32"),
    "integers": random.integers(1, 7, (5, 6)).astype("int32"),
    "booleans": random.random((5, 6)) < 0.5,
    "words": np.array([["Ab c", "12", "x,y"], ["7", "zebra", "a b"], ["", "9.5", "0.5"], *[["é", "1", "q w e"]] * 2]),
}
FLOATS = ("vector", "matrix", "series", "image")

# Functions of the tensor alone.
PLAIN = {
    "vector": """
        abs acos argsort asin asinh atan atanh cos cosh exp floor identity negative ones_like rank round shape sigmoid
        sign sin sinh size sort sqrt square stop_gradient tan tanh transpose zeros_like
        math.argmax math.argmin math.bessel_i0 math.bessel_i0e math.bessel_i1 math.bessel_i1e math.ceil
        math.count_nonzero math.cumprod math.cumsum math.cumulative_logsumexp math.digamma math.erf math.erfc
        math.erfcinv math.erfinv math.expm1 math.is_finite math.is_inf math.is_nan math.is_non_decreasing
        math.is_strictly_increasing math.l2_normalize math.lgamma math.log math.log1p math.log_sigmoid math.ndtri
        math.reciprocal math.reciprocal_no_nan math.reduce_euclidean_norm math.reduce_logsumexp math.reduce_max
        math.reduce_mean math.reduce_min math.reduce_prod math.reduce_std math.reduce_sum math.reduce_variance
        math.rint math.rsqrt math.softmax math.softplus math.softsign math.zero_fraction
        math.special.bessel_j0 math.special.bessel_j1 math.special.bessel_k0 math.special.bessel_k0e
        math.special.bessel_k1 math.special.bessel_k1e math.special.bessel_y0 math.special.bessel_y1
        math.special.dawsn math.special.expint math.special.fresnel_cos math.special.fresnel_sin math.special.spence
        nn.crelu nn.elu nn.gelu nn.l2_loss nn.leaky_relu nn.log_softmax nn.relu nn.relu6 nn.selu nn.silu
        linalg.diag linalg.norm sparse.from_dense strings.as_string""",
    "matrix": """
        linalg.adjoint linalg.det linalg.diag_part linalg.expm linalg.inv linalg.lu linalg.matrix_rank
        linalg.matrix_transpose linalg.pinv linalg.qr linalg.slogdet linalg.svd linalg.trace""",
    "series": "signal.rfft signal.rfft2d",
    "image": """
        image.flip_left_right image.flip_up_down image.hsv_to_rgb image.image_gradients image.per_image_standardization
        image.rgb_to_grayscale image.rgb_to_hsv image.rgb_to_yiq image.rgb_to_yuv image.rot90 image.sobel_edges
        image.total_variation image.transpose image.yiq_to_rgb image.yuv_to_rgb""",
    "integers": "bitwise.invert",
    "booleans": "where math.logical_not math.reduce_all math.reduce_any",
    "words": """
        strings.bytes_split strings.length strings.lower strings.reduce_join strings.strip
        strings.upper""",
}

# Functions that take more than the tensor.
ROWS: dict[str, dict[str, Callable[..., Any]]] = {
    "vector": {
        "add": lambda x: tf.add(x, 1.0),
        "add_n": lambda x: tf.add_n([x, x * 2.0, x]),
        "argmax": lambda x: tf.argmax(x, axis=-1, output_type="int32"),
        "bitcast": lambda x: tf.bitcast(x, "int32"),
        "boolean_mask": lambda x: tf.boolean_mask(x, [True, False, True, True, False, True], axis=1),
        "broadcast_to": lambda x: tf.broadcast_to(x[:1], (4, 6)),
        "case": lambda x: tf.case([(x[0, 0] > 9.0, lambda: tf.ones(()))], default=lambda: tf.zeros(())),
        "cast": lambda x: tf.cast(x, "float64"),
        "clip_by_global_norm": lambda x: tf.clip_by_global_norm([x, x * 2.0], 0.5)[0],
        "clip_by_norm": lambda x: tf.clip_by_norm(x, 0.7, axes=[1]),
        "clip_by_value": lambda x: tf.clip_by_value(x, clip_value_min=0.3, clip_value_max=0.6),
        "complex": lambda x: tf.complex(x, 1.0 - x),
        "concat": lambda x: tf.concat([x, x * 2.0], axis=-1),
        "convert_to_tensor": lambda x: tf.convert_to_tensor(x),
        "debugging.check_numerics": lambda x: tf.debugging.check_numerics(x, "bad"),
        "divide": lambda x: tf.divide(x, 2.0),
        "dynamic_partition": lambda x: tf.dynamic_partition(x, tf.cast(x > 0.5, "int32"), 2),
        "dynamic_stitch": lambda x: tf.dynamic_stitch([[0, 2], [1]], [x[:2], x[2:3]]),
        "einsum": lambda x: tf.einsum("ni,mi->nm", x, x),
        "ensure_shape": lambda x: tf.ensure_shape(x, (None, 6)),
        "expand_dims": lambda x: tf.expand_dims(x, axis=1),
        "fill": lambda x: tf.fill((tf.shape(x)[0], 2), 7.0),
        "foldl": lambda x: tf.foldl(lambda a, b: a + b, x),
        "gather": lambda x: tf.gather(x, [0, 2, 5], axis=1),
        "gather_nd": lambda x: tf.gather_nd(x, [[0, 1], [1, 2]]),
        "greater": lambda x: tf.greater(x, 0.5),
        "histogram_fixed_width": lambda x: tf.histogram_fixed_width(x, [0.0, 1.0], nbins=4),
        "histogram_fixed_width_bins": lambda x: tf.histogram_fixed_width_bins(x, [0.0, 1.0], nbins=4),
        "identity_n": lambda x: tf.identity_n([x, x + 1.0]),
        "less_equal": lambda x: tf.less_equal(0.5, x),
        "linspace": lambda x: tf.linspace(x, x + 1.0, 3, axis=-1),
        "map_fn": lambda x: tf.map_fn(lambda row: row * 2.0, x),
        "matmul": lambda x: tf.matmul(x, x, transpose_b=True),
        "maximum": lambda x: tf.maximum(x, 0.5),
        "meshgrid": lambda x: tf.meshgrid(x[0], x[1]),
        "minimum": lambda x: tf.minimum(0.5, x),
        "multiply": lambda x: tf.multiply(x, y=x),
        "not_equal": lambda x: tf.not_equal(x, 0.5),
        "numpy_function": lambda x: tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), (None, 6)),
        "one_hot": lambda x: tf.one_hot(tf.cast(x * 4.0, "int32"), depth=4, on_value=2.0),
        "pad": lambda x: tf.pad(x, [[0, 0], [1, 2]], constant_values=9.0),
        "pow": lambda x: tf.pow(x, 3.0),
        "py_function": lambda x: tf.ensure_shape(tf.py_function(lambda a: a * 2.0, [x], tf.float32), (None, 6)),
        "quantization.fake_quant_with_min_max_args": lambda x: tf.quantization.fake_quant_with_min_max_args(x),
        "quantization.quantize_and_dequantize_v2": lambda x: tf.quantization.quantize_and_dequantize_v2(x, -1.0, 1.0),
        "RaggedTensor.from_tensor": lambda x: tf.RaggedTensor.from_tensor(x),
        "range": lambda x: tf.range(tf.shape(x)[0]),
        "repeat": lambda x: tf.repeat(x, 2, axis=1),
        "reshape": lambda x: tf.reshape(x, (-1, 2, 3)),
        "reverse": lambda x: tf.reverse(x, [1]),
        "reverse_sequence": lambda x: tf.reverse_sequence(x, tf.cast(x[:, 0] * 6.0, "int32"), seq_axis=1),
        "roll": lambda x: tf.roll(x, shift=2, axis=1),
        "saturate_cast": lambda x: tf.saturate_cast(x * 900.0, "uint8"),
        "scalar_mul": lambda x: tf.scalar_mul(2.0, x),
        "scan": lambda x: tf.scan(lambda a, b: a * 0.5 + b, x),
        "scatter_nd": lambda x: tf.scatter_nd([[1], [0], [1]], x[:3], (4, 6)),
        "searchsorted": lambda x: tf.searchsorted(tf.sort(x), x),
        "sequence_mask": lambda x: tf.sequence_mask(tf.cast(x[:, 0] * 6.0, "int32"), maxlen=6),
        "shape_n": lambda x: tf.shape_n([x, x]),
        "slice": lambda x: tf.slice(x, [0, 1], [-1, 3]),
        "space_to_batch": lambda x: tf.space_to_batch(x[:, :, None, None], [2, 1], [[0, 0], [0, 0]]),
        "split": lambda x: tf.split(x, [2, 3, 1], axis=1),
        "squeeze": lambda x: tf.squeeze(x[:, None], axis=1),
        "stack": lambda x: tf.stack([x, x + 1.0], axis=1),
        "strided_slice": lambda x: tf.strided_slice(x, [0, 1], [2, 6], [1, 2]),
        "subtract": lambda x: tf.subtract(1.0, x),
        "switch_case": lambda x: tf.switch_case(tf.cast(x[0, 0], "int32"), [lambda: tf.ones(2), lambda: tf.zeros(2)]),
        "tensor_scatter_nd_add": lambda x: tf.tensor_scatter_nd_add(x, [[0, 1], [2, 2]], [1.0, 2.0]),
        "tensor_scatter_nd_max": lambda x: tf.tensor_scatter_nd_max(x, [[0, 1], [2, 2]], [1.0, 0.1]),
        "tensor_scatter_nd_min": lambda x: tf.tensor_scatter_nd_min(x, [[0, 1], [2, 2]], [1.0, 0.1]),
        "tensor_scatter_nd_sub": lambda x: tf.tensor_scatter_nd_sub(x, [[0, 1], [2, 2]], x[0, :2]),
        "tensor_scatter_nd_update": lambda x: tf.tensor_scatter_nd_update(x, [[1]], x[:1] * 2.0),
        "tensordot": lambda x: tf.tensordot(x, tf.ones((6, 2)), axes=1),
        "tile": lambda x: tf.tile(x, [1, 3]),
        "truncatemod": lambda x: tf.truncatemod(x, 0.3),
        "unique_with_counts": lambda x: tf.unique_with_counts(tf.cast(x[0] * 5.0, "int32")),
        "unstack": lambda x: tf.unstack(x, axis=1),
        "vectorized_map": lambda x: tf.vectorized_map(lambda row: row * tf.reduce_sum(row), x),
        "where": lambda x: tf.where(x > 0.5, x, 0.0),
        "while_loop": lambda x: tf.while_loop(lambda a: tf.reduce_sum(a) < 50.0, lambda a: (a * 2.0,), (x,)),
        "zeros": lambda x: tf.zeros(tf.shape(x)),
        "math.atan2": lambda x: tf.math.atan2(x, 0.4),
        "math.betainc": lambda x: tf.math.betainc(x + 1.0, x + 2.0, x),
        "math.confusion_matrix": lambda x: tf.math.confusion_matrix(tf.argmax(x, 1), tf.argmin(x, 1), num_classes=6),
        "math.divide_no_nan": lambda x: tf.math.divide_no_nan(x, tf.round(x)),
        "math.floordiv": lambda x: tf.math.floordiv(x, 0.25),
        "math.floormod": lambda x: tf.math.floormod(x, 0.25),
        "math.igamma": lambda x: tf.math.igamma(2.0, x),
        "math.igammac": lambda x: tf.math.igammac(2.0, x),
        "math.in_top_k": lambda x: tf.math.in_top_k(tf.argmax(x, 1), x, k=2),
        "math.lbeta": lambda x: tf.math.lbeta(x),
        "math.multiply_no_nan": lambda x: tf.math.multiply_no_nan(x, tf.round(x)),
        "math.nextafter": lambda x: tf.math.nextafter(tf.cast(x, "float64"), tf.ones((), "float64")),
        "math.polygamma": lambda x: tf.math.polygamma(1.0, x),
        "math.polyval": lambda x: tf.math.polyval([1.0, 2.0, 3.0], x),
        "math.segment_mean": lambda x: tf.math.segment_mean(x[:3], [0, 0, 1]),
        "math.segment_sum": lambda x: tf.math.segment_sum(x[:3], [0, 0, 1]),
        "math.sobol_sample": lambda x: tf.math.sobol_sample(6, 4) + x[0],
        "math.squared_difference": lambda x: tf.math.squared_difference(x, 0.5),
        "math.top_k": lambda x: tf.math.top_k(x, k=2),
        "math.unsorted_segment_max": lambda x: tf.math.unsorted_segment_max(x[:3], [1, 0, 1], num_segments=2),
        "math.unsorted_segment_mean": lambda x: tf.math.unsorted_segment_mean(x[:3], [1, 0, 1], 2),
        "math.unsorted_segment_prod": lambda x: tf.math.unsorted_segment_prod(x[:3], [1, 0, 1], 2),
        "math.unsorted_segment_sqrt_n": lambda x: tf.math.unsorted_segment_sqrt_n(x[:3], [1, 0, 1], 2),
        "math.unsorted_segment_sum": lambda x: tf.math.unsorted_segment_sum(x[:3], [1, 0, 1], 2),
        "math.xdivy": lambda x: tf.math.xdivy(x, 0.5),
        "math.xlog1py": lambda x: tf.math.xlog1py(0.5, x),
        "math.xlogy": lambda x: tf.math.xlogy(x, x),
        "math.zeta": lambda x: tf.math.zeta(x + 1.0, x),
        "nn.approx_max_k": lambda x: tf.nn.approx_max_k(x, k=2)[0],
        "nn.batch_normalization": lambda x: tf.nn.batch_normalization(x, 0.5, 0.1, None, None, 1e-3),
        "nn.bias_add": lambda x: tf.nn.bias_add(x, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        "nn.dropout": lambda x: tf.nn.dropout(x, rate=0.0),
        "nn.embedding_lookup": lambda x: tf.nn.embedding_lookup(tf.eye(4), tf.cast(x * 4.0, "int32")),
        "nn.local_response_normalization": lambda x: tf.nn.local_response_normalization(x[:, None, None]),
        "nn.log_poisson_loss": lambda x: tf.nn.log_poisson_loss(x, log_input=x),
        "nn.moments": lambda x: tf.nn.moments(x, axes=[1], keepdims=True),
        "nn.normalize_moments": lambda x: tf.nn.normalize_moments(
            6.0, tf.reduce_sum(x, 1), tf.reduce_sum(x * x, 1), None
        ),
        "nn.scale_regularization_loss": lambda x: tf.nn.scale_regularization_loss(tf.reduce_sum(x)),
        "nn.sigmoid_cross_entropy_with_logits": lambda x: tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=x),
        "nn.softmax_cross_entropy_with_logits": lambda x: tf.nn.softmax_cross_entropy_with_logits(labels=x, logits=x),
        "nn.sparse_softmax_cross_entropy_with_logits": lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.argmax(x, 1), logits=x
        ),
        "nn.sufficient_statistics": lambda x: tf.nn.sufficient_statistics(x, [1])[1:3],
        "nn.weighted_cross_entropy_with_logits": lambda x: tf.nn.weighted_cross_entropy_with_logits(x, x, 2.0),
        "nn.weighted_moments": lambda x: tf.nn.weighted_moments(x, axes=[1], frequency_weights=x),
        "linalg.cross": lambda x: tf.linalg.cross(x[:, :3], x[:, 3:]),
        "linalg.global_norm": lambda x: tf.linalg.global_norm([x, x]),
        "linalg.normalize": lambda x: tf.linalg.normalize(x, axis=-1),
        "linalg.tensor_diag": lambda x: tf.linalg.tensor_diag(x[0]),
        "random.stateless_binomial": lambda x: tf.random.stateless_binomial((4, 6), [1, 2], 5.0, x[0]),
        "random.stateless_gamma": lambda x: tf.random.stateless_gamma((4, 6), [1, 2], x[0]),
        "random.stateless_normal": lambda x: x + tf.random.stateless_normal(tf.shape(x), [1, 2]),
        "random.stateless_poisson": lambda x: tf.random.stateless_poisson((4, 6), [1, 2], x[0]),
        "random.stateless_uniform": lambda x: tf.random.stateless_uniform(tf.shape(x), [1, 2], maxval=x[0, 0]),
        "random.experimental.stateless_shuffle": lambda x: tf.random.experimental.stateless_shuffle(x[0], [1, 2]),
        "random.stateless_truncated_normal": lambda x: tf.random.stateless_truncated_normal(tf.shape(x), [1, 2]),
        "signal.dct": lambda x: tf.signal.dct(x, type=2, norm="ortho"),
        "signal.fft": lambda x: tf.signal.fft(tf.complex(x, x)),
        "signal.fftshift": lambda x: tf.signal.fftshift(x, axes=1),
        "signal.idct": lambda x: tf.signal.idct(x),
        "signal.ifft": lambda x: tf.signal.ifft(tf.complex(x, x)),
        "signal.ifftshift": lambda x: tf.signal.ifftshift(x, axes=1),
        "signal.irfft": lambda x: tf.signal.irfft(tf.complex(x, x)),
        "signal.overlap_and_add": lambda x: tf.signal.overlap_and_add(tf.reshape(x, (-1, 2, 3)), 1),
        "math.angle": lambda x: tf.math.angle(tf.complex(x, x)),
        "math.conj": lambda x: tf.math.conj(tf.complex(x, x)),
        "math.imag": lambda x: tf.math.imag(tf.complex(x, x)),
        "math.real": lambda x: tf.math.real(tf.complex(x, x)),
        "ragged.stack": lambda x: tf.ragged.stack([x[0], x[1, :3]]),
        "sparse.add": lambda x: tf.sparse.add(tf.sparse.from_dense(x), tf.sparse.from_dense(x)),
        "sparse.concat": lambda x: tf.sparse.concat(1, [tf.sparse.from_dense(x)] * 2),
        "sparse.reduce_max": lambda x: tf.ensure_shape(tf.sparse.reduce_max(tf.sparse.from_dense(x), axis=1), (None,)),
        "sparse.reduce_sum": lambda x: tf.ensure_shape(tf.sparse.reduce_sum(tf.sparse.from_dense(x), axis=1), (None,)),
        "sparse.reorder": lambda x: tf.sparse.reorder(tf.sparse.from_dense(x)),
        "sparse.reshape": lambda x: tf.sparse.reshape(tf.sparse.from_dense(x), (-1, 3)),
        "sparse.slice": lambda x: tf.sparse.slice(tf.sparse.from_dense(x), [0, 1], [2, 3]),
        "sparse.softmax": lambda x: tf.sparse.softmax(tf.sparse.from_dense(x)),
        "sparse.sparse_dense_matmul": lambda x: tf.sparse.sparse_dense_matmul(tf.sparse.from_dense(x), tf.ones((6, 2))),
        "sparse.to_dense": lambda x: tf.sparse.to_dense(tf.sparse.from_dense(x)),
        "sparse.transpose": lambda x: tf.sparse.transpose(tf.sparse.from_dense(x)),
        "ragged.boolean_mask": lambda x: tf.ragged.boolean_mask(x, x > 0.5),
    },
    "matrix": {
        "linalg.eig": lambda x: tf.math.abs(tf.linalg.eig(x)[0]),
        "linalg.band_part": lambda x: tf.linalg.band_part(x, 1, 0),
        "linalg.cholesky": lambda x: tf.linalg.cholesky(tf.matmul(x, x, transpose_b=True)),
        "linalg.cholesky_solve": lambda x: tf.linalg.cholesky_solve(
            tf.linalg.cholesky(x @ tf.transpose(x, (0, 2, 1))), x
        ),
        "linalg.eigh": lambda x: tf.linalg.eigh(x + tf.transpose(x, (0, 2, 1)))[0],
        "linalg.eigvalsh": lambda x: tf.linalg.eigvalsh(x + tf.transpose(x, (0, 2, 1))),
        "linalg.einsum": lambda x: tf.linalg.einsum("nij,njk->nik", x, x),
        "linalg.logdet": lambda x: tf.linalg.logdet(x @ tf.transpose(x, (0, 2, 1))),
        "linalg.lstsq": lambda x: tf.linalg.lstsq(x, x + 1.0),
        "linalg.matvec": lambda x: tf.linalg.matvec(x, x[:, 0]),
        "linalg.set_diag": lambda x: tf.linalg.set_diag(x, x[:, 0]),
        "linalg.solve": lambda x: tf.linalg.solve(x, x[:, :, :2]),
        "linalg.tensor_diag_part": lambda x: tf.linalg.tensor_diag_part(x[0]),
        "linalg.triangular_solve": lambda x: tf.linalg.triangular_solve(x, x[:, :, :1]),
        "linalg.tridiagonal_matmul": lambda x: tf.linalg.tridiagonal_matmul(x[:, :3], x, diagonals_format="compact"),
        "batch_to_space": lambda x: tf.batch_to_space(tf.tile(x, (4, 1, 1))[..., None], [2, 2], [[0, 0], [0, 0]]),
    },
    "series": {
        "nn.avg_pool1d": lambda x: tf.nn.avg_pool1d(x, 2, 2, "VALID"),
        "nn.conv1d": lambda x: tf.nn.conv1d(x, tf.ones((3, 3, 2)), stride=1, padding="SAME"),
        "nn.ctc_greedy_decoder": lambda x: tf.nn.ctc_greedy_decoder(
            tf.transpose(x, (1, 0, 2)), tf.fill(tf.shape(x)[:1], 16)
        )[1],
        "nn.max_pool1d": lambda x: tf.nn.max_pool1d(x, ksize=2, strides=2, padding="SAME"),
        "nn.pool": lambda x: tf.nn.pool(x, [2], "AVG", padding="SAME"),
        "signal.frame": lambda x: tf.signal.frame(x, 4, 2, axis=1),
        "signal.mdct": lambda x: tf.signal.mdct(x[..., 0], 8),
        "signal.stft": lambda x: tf.abs(tf.signal.stft(x[..., 0], 8, 4)),
        "signal.fft2d": lambda x: tf.signal.fft2d(tf.complex(x, x)),
        "signal.mfccs_from_log_mel_spectrograms": lambda x: tf.signal.mfccs_from_log_mel_spectrograms(tf.math.log(x)),
    },
    "image": {
        "image.adjust_brightness": lambda x: tf.image.adjust_brightness(x, delta=0.1),
        "image.adjust_contrast": lambda x: tf.image.adjust_contrast(x, 1.5),
        "image.adjust_gamma": lambda x: tf.image.adjust_gamma(x, 1.5),
        "image.adjust_hue": lambda x: tf.image.adjust_hue(x, 0.1),
        "image.adjust_saturation": lambda x: tf.image.adjust_saturation(x, 0.7),
        "image.central_crop": lambda x: tf.image.central_crop(x, 0.5),
        "image.convert_image_dtype": lambda x: tf.image.convert_image_dtype(x, "uint8"),
        "image.crop_and_resize": lambda x: tf.image.crop_and_resize(x, [[0.0, 0.0, 0.5, 0.5]], [0], (3, 3)),
        "image.crop_to_bounding_box": lambda x: tf.image.crop_to_bounding_box(x, 1, 2, 4, 5),
        "image.draw_bounding_boxes": lambda x: tf.image.draw_bounding_boxes(
            x, tf.tile([[[0.1, 0.1, 0.7, 0.7]]], (tf.shape(x)[0], 1, 1)), [[1.0, 0.0, 0.0]]
        ),
        "image.extract_glimpse": lambda x: tf.image.extract_glimpse(
            x, (3, 3), tf.zeros_like(x[:, 0, 0, :2]), noise="zero"
        ),
        "image.extract_patches": lambda x: tf.image.extract_patches(
            x, [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1], "SAME"
        ),
        "image.grayscale_to_rgb": lambda x: tf.image.grayscale_to_rgb(x[..., :1]),
        "image.pad_to_bounding_box": lambda x: tf.image.pad_to_bounding_box(x, 1, 1, 10, 11),
        "image.psnr": lambda x: tf.image.psnr(x, x * 0.9, max_val=1.0),
        "image.resize": lambda x: tf.image.resize(x, (5, 6), method="bicubic"),
        "image.resize_with_crop_or_pad": lambda x: tf.image.resize_with_crop_or_pad(x, 6, 10),
        "image.resize_with_pad": lambda x: tf.image.resize_with_pad(x, 6, 10),
        "image.ssim": lambda x: tf.image.ssim(x, x * 0.9, max_val=1.0, filter_size=3),
        "image.stateless_random_brightness": lambda x: tf.image.stateless_random_brightness(x, 0.2, seed=(1, 2)),
        "image.stateless_random_flip_up_down": lambda x: tf.image.stateless_random_flip_up_down(x, seed=(1, 2)),
        "nn.atrous_conv2d": lambda x: tf.nn.atrous_conv2d(x, tf.ones((2, 2, 3, 2)), 2, "VALID"),
        "nn.avg_pool": lambda x: tf.nn.avg_pool(x, 2, 2, "VALID"),
        "nn.avg_pool2d": lambda x: tf.nn.avg_pool2d(x, ksize=3, strides=1, padding="SAME"),
        "nn.conv2d": lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 3, 2)), strides=2, padding="SAME"),
        "nn.conv2d_transpose": lambda x: tf.nn.conv2d_transpose(
            x, tf.ones((2, 2, 2, 3)), (tf.shape(x)[0], 16, 16, 2), 2
        ),
        "nn.conv3d": lambda x: tf.nn.conv3d(x[..., None], tf.ones((2, 2, 2, 1, 1)), [1, 1, 1, 1, 1], "SAME"),
        "nn.convolution": lambda x: tf.nn.convolution(x, tf.ones((3, 3, 3, 2)), padding="SAME"),
        "nn.depth_to_space": lambda x: tf.nn.depth_to_space(tf.tile(x, (1, 1, 1, 4)), 2),
        "nn.depthwise_conv2d": lambda x: tf.nn.depthwise_conv2d(x, tf.ones((2, 2, 3, 1)), [1, 1, 1, 1], "SAME"),
        "nn.dilation2d": lambda x: tf.nn.dilation2d(x, tf.zeros((2, 2, 3)), [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1]),
        "nn.erosion2d": lambda x: tf.nn.erosion2d(x, tf.zeros((2, 2, 3)), [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1]),
        "nn.fractional_max_pool": lambda x: tf.nn.fractional_max_pool(x, [1, 1.5, 1.5, 1], seed=1)[0],
        "nn.max_pool": lambda x: tf.nn.max_pool(x, 2, 2, "SAME"),
        "nn.max_pool2d": lambda x: tf.nn.max_pool2d(x, ksize=2, strides=1, padding="VALID"),
        "nn.max_pool_with_argmax": lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "SAME"),
        "nn.separable_conv2d": lambda x: tf.nn.separable_conv2d(
            x, tf.ones((2, 2, 3, 1)), tf.ones((1, 1, 3, 4)), [1, 1, 1, 1], "SAME"
        ),
        "nn.space_to_depth": lambda x: tf.nn.space_to_depth(x, 2),
        "space_to_batch_nd": lambda x: tf.space_to_batch_nd(x, [2, 2], [[0, 0], [0, 0]]),
    },
    "integers": {
        "bitwise.bitwise_and": lambda x: tf.bitwise.bitwise_and(x, 3),
        "bitwise.bitwise_or": lambda x: tf.bitwise.bitwise_or(x, 8),
        "bitwise.bitwise_xor": lambda x: tf.bitwise.bitwise_xor(x, x + 1),
        "bitwise.left_shift": lambda x: tf.bitwise.left_shift(x, 2),
        "bitwise.right_shift": lambda x: tf.bitwise.right_shift(x, 1),
        "math.bincount": lambda x: tf.math.bincount(x, minlength=8, maxlength=8, axis=-1),
        "math.invert_permutation": lambda x: tf.math.invert_permutation(tf.argsort(x[0])),
        "math.mod": lambda x: tf.math.mod(x, 3),
        "math.truediv": lambda x: tf.math.truediv(x, 2),
        "one_hot": lambda x: tf.one_hot(x, 8),
        "unique": lambda x: tf.unique(tf.reshape(x, (-1,))),
        "unravel_index": lambda x: tf.unravel_index(x[0], (3, 4)),
        "gather": lambda x: tf.gather(tf.range(10.0), x),
        "nn.embedding_lookup": lambda x: tf.nn.embedding_lookup(params=tf.eye(8), ids=x),
        "sets.intersection": lambda x: tf.sparse.to_dense(tf.sets.intersection(x, x + 1)),
        "sets.size": lambda x: tf.ensure_shape(tf.sets.size(tf.sparse.from_dense(x)), (None,)),
        "sparse.to_indicator": lambda x: tf.sparse.to_indicator(tf.sparse.from_dense(tf.cast(x, "int64")), 8),
        "strings.unicode_encode": lambda x: tf.strings.unicode_encode(x + 64, "UTF-8"),
        "ragged.range": lambda x: tf.ragged.range(x[:, 0]),
    },
    "booleans": {
        "math.logical_and": lambda x: tf.math.logical_and(x, True),
        "math.logical_or": lambda x: tf.math.logical_or(x, x),
        "math.logical_xor": lambda x: tf.math.logical_xor(x, True),
        "cond": lambda x: tf.cond(x[0, 0], lambda: tf.ones(2), lambda: tf.zeros(2)),
        "cast": lambda x: tf.cast(x, "float16"),
        "boolean_mask": lambda x: tf.boolean_mask(tf.range(6), x[0]),
    },
    "words": {
        "strings.format": lambda x: tf.strings.format("{}", x),
        "strings.join": lambda x: tf.strings.join([x, x], separator="-"),
        "strings.ngrams": lambda x: tf.strings.ngrams(x, 2),
        "strings.regex_full_match": lambda x: tf.strings.regex_full_match(x, "[a-z ]+"),
        "strings.regex_replace": lambda x: tf.strings.regex_replace(x, pattern="a", rewrite="ä"),
        "strings.substr": lambda x: tf.strings.substr(x, 0, 1),
        "strings.to_hash_bucket": lambda x: tf.strings.to_hash_bucket(x, 9),
        "strings.to_hash_bucket_fast": lambda x: tf.strings.to_hash_bucket_fast(x, 9),
        "strings.to_hash_bucket_strong": lambda x: tf.strings.to_hash_bucket_strong(x, 9, key=[1, 2]),
        "strings.to_number": lambda x: tf.strings.to_number(tf.strings.regex_replace(x, "[^0-9]", "") + "0"),
        "strings.unicode_decode": lambda x: tf.strings.unicode_decode(x, "UTF-8"),
        "strings.unicode_split": lambda x: tf.strings.unicode_split(x[:, 0], "UTF-8"),
        "strings.unicode_transcode": lambda x: tf.strings.unicode_transcode(x, "UTF-8", "UTF-16-BE"),
        "strings.unicode_script": lambda x: tf.strings.unicode_script(tf.strings.length(x) + 64),
        "strings.unsorted_segment_join": lambda x: tf.strings.unsorted_segment_join(x[:3], [0, 1, 0], 2),
        "strings.split": lambda x: tf.strings.split(x, sep=" "),
        "io.decode_raw": lambda x: tf.io.decode_raw(tf.strings.substr(x + "....", 0, 4), "uint8"),
        "io.decode_csv": lambda x: tf.io.decode_csv(tf.strings.regex_replace(x, "[ ,]", "") + ",1", ["", 0]),
        "io.encode_base64": lambda x: tf.io.encode_base64(x),
        "equal": lambda x: tf.equal(x, "7"),
    },
}

# What TensorFlow does not hand over to us when it meets a symbolic tensor: it needs a layer around it.
NEEDS_A_LAYER = """
    map_fn numpy_function py_function switch_case vectorized_map while_loop image.grayscale_to_rgb
    image.image_gradients image.psnr image.sobel_edges image.total_variation linalg.slogdet math.bincount
    nn.conv1d ragged.boolean_mask ragged.stack sets.intersection sets.size signal.irfft signal.rfft
    signal.rfft2d sparse.add sparse.concat sparse.from_dense sparse.reduce_max sparse.reduce_sum sparse.reorder
    sparse.reshape sparse.slice sparse.softmax sparse.sparse_dense_matmul sparse.to_dense sparse.to_indicator
    sparse.transpose strings.bytes_split strings.ngrams strings.split strings.unicode_decode
    strings.unicode_encode strings.unicode_split
"""


def plain(name: str) -> Callable[..., Any]:
    return lambda x: operator.attrgetter(name)(tf)(x)


TABLE = {kind: {name: plain(name) for name in PLAIN.get(kind, "").split()} | ROWS.get(kind, {}) for kind in DATA}


class Scaled(nyala.Layer):
    """A layer before the function, whose gradient tells that of the function."""

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale


@pytest.fixture(scope="module", params=DATA)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def model(kind: str) -> Any:
    """Input, layer, and all functions of a kind side by side."""
    x = nyala.Input(DATA[kind].shape[1:], dtype="string" if kind == "words" else DATA[kind].dtype.name)
    before = Scaled()(x) if kind in FLOATS else x
    outputs = {}
    for name, function in TABLE[kind].items():
        outputs[name] = (nyala.layers.Lambda(function) if name in NEEDS_A_LAYER.split() else function)(before)
    return nyala.Model(x, outputs)


@pytest.fixture(scope="module")
def eager(kind: str) -> dict[str, Any]:
    """What each function gives on data, and the gradient of its floats by a factor of the data."""
    found, scale = {}, tf.constant(1.0)
    for name, function in TABLE[kind].items():
        data = tf.constant(DATA[kind])
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(scale)
            result = function(data * scale if kind in FLOATS else data)
        found[name] = result, gradient(tape, result, scale)
    return found


def components(structure: Any) -> list[Any]:
    """The tensors of a structure, those inside sparse and ragged ones too."""
    return tf.nest.flatten(structure, expand_composites=True)


def gradient(tape: Any, structure: Any, scale: Any) -> Any:
    """That of the sum of the magnitudes of all floats; None where there are none, or TensorFlow knows no gradient."""
    parts = [x for x in components(structure) if x.dtype.is_floating or x.dtype.is_complex]
    with tape:
        total = [tf.cast(tf.reduce_sum(tf.abs(x)), "float64") for x in parts]
    try:
        return tape.gradient(total, scale) if parts else None
    except LookupError:
        return None


def test_there_are_many_functions() -> None:
    names = {name for rows in TABLE.values() for name in rows}
    assert len(names) > 390
    assert all(callable(operator.attrgetter(name)(tf)) for name in names)


def test_models_give_what_the_functions_give(kind: str, model: Any, eager: dict[str, Any]) -> None:
    results = tf.function(model, autograph=False)(tf.constant(DATA[kind]))
    for name, (expected, _) in eager.items():
        tf.nest.assert_same_structure(results[name], expected, expand_composites=True)
        try:
            assert_close(components(results[name]), components(expected), 1e-4, 1e-5)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def test_shapes_and_dtypes_are_those_of_any_batch(kind: str, model: Any, eager: dict[str, Any]) -> None:
    three = tf.constant(DATA[kind][:3])
    for name, function in TABLE[kind].items():
        for result in (eager[name][0], function(three)):
            symbols = nyala.tree.flatten(model.output[name])
            for symbol, tensor in zip(symbols, nyala.tree.flatten(result), strict=True):
                assert symbol.dtype == tensor.dtype.name, name
                assert symbol.sparse == isinstance(tensor, tf.SparseTensor), name
                assert symbol.ragged == isinstance(tensor, tf.RaggedTensor), name
                assert tf.TensorShape(symbol.shape).is_compatible_with(tensor.shape), (
                    f"{name}: {symbol}, {tensor.shape}"
                )


def test_gradients_reach_the_layer_before(kind: str, model: Any, eager: dict[str, Any]) -> None:
    if kind not in FLOATS:
        return
    scale = model.layers[1].scale.value
    with tf.GradientTape(persistent=True) as tape:
        results = model(tf.constant(DATA[kind]))
    for name, (_, expected) in eager.items():
        actual = gradient(tape, results[name], scale)
        assert (actual is None) == (expected is None), f"{name}: {actual}, {expected}"
        if actual is not None:
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4, err_msg=name)


def test_functions_take_part_in_predict() -> None:
    x = nyala.Input((6,))
    names = ("gather", "math.top_k", "nn.moments", "nn.relu", "split", "where", "strings.as_string")
    model = nyala.Model(x, {name: TABLE["vector"][name](x) for name in names})
    assert_close(model.predict(DATA["vector"], batch_size=2, verbose=0), model(DATA["vector"]))


def test_functions_that_need_a_layer_still_do() -> None:
    """Where this fails TensorFlow, or we, have learned to hand one over: take it from `NEEDS_A_LAYER`."""
    for kind, rows in TABLE.items():
        for name in rows.keys() & {*NEEDS_A_LAYER.split()}:
            x = nyala.Input(DATA[kind].shape[1:], dtype="string" if kind == "words" else DATA[kind].dtype.name)
            with pytest.raises((AttributeError, TypeError, ValueError)):
                rows[name](x)
