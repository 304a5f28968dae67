"""How the calls of ops in a graph are written to files: as the operations of the reference, and back.

A file knows an op as a class, `Reshape`, whose config holds what is not a tensor and whose call gets the tensors. Here
an op is one function: a parameter annotated as `Tensor` belongs to the call, every other one to the config.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nyala.core import config
from nyala.core.config import serialize, signature_of
from nyala.core.engine import tf
from nyala.core.graph import FunctionCall, any_symbolic
from nyala.core.settings import image_data_format

# Where the reference keeps its operations: whatever stands in no line is in "numpy".
_MODULES = {
    "einops": "rearrange",
    "core": """associative_scan cast cond convert_to_tensor fori_loop map saturate_cast scan scatter scatter_update
        slice slice_update stop_gradient switch unstack vectorized_map while_loop""",
    "image": """affine_transform crop_images elastic_transform extract_patches gaussian_blur hsv_to_rgb
        map_coordinates pad_images perspective_transform resize rgb_to_grayscale rgb_to_hsv scale_and_translate
        sobel_edges ssim""",
    "linalg": """cholesky cholesky_inverse det eig eigh inv jvp lstsq lu_factor matrix_rank norm pinv qr solve
        solve_triangular svd""",
    "math": """cdist erf erfc erfinv extract_sequences fft fft2 ifft2 in_top_k irfft istft logdet logsumexp rfft rsqrt
        segment_max segment_min segment_prod segment_sum stft top_k view_as_complex view_as_real""",
    "nn": """adaptive_average_pool adaptive_max_pool average_pool batch_normalization binary_crossentropy
        categorical_crossentropy celu conv conv_transpose ctc_decode ctc_loss depth_to_space depthwise_conv
        dot_product_attention elu fold gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh layer_normalization
        leaky_relu log_sigmoid log_softmax max_pool moments multi_hot normalize one_hot polar psnr relu relu6
        rms_normalization selu separable_conv sigmoid silu soft_shrink softmax softplus softsign space_to_depth
        sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax squareplus tanh_shrink threshold unfold""",
}
_MODULE_OF = {name: f"keras.src.ops.{module}" for module, names in _MODULES.items() for name in names.split()}
_MODULE_OF |= dict.fromkeys(("mish", "_bent_relu"), "keras.src.activations.activations")

# Classes that are not called like their function in camel case.
_CLASSES = {
    "_bent_relu": "ReLU", "allclose": "AllClose", "batch_normalization": "BatchNorm", "cdist": "CDist",
    "ctc_decode": "CTCDecode", "ctc_loss": "CTCLoss", "fft": "FFT", "fft2": "FFT2", "hsv_to_rgb": "HSVToRGB",
    "ifft2": "IFFT2", "irfft": "IRFFT", "isin": "IsIn", "istft": "ISTFT", "jvp": "JVP",
    "layer_normalization": "LayerNorm", "psnr": "PSNR", "rfft": "RFFT", "rgb_to_grayscale": "RGBToGrayscale",
    "rgb_to_hsv": "RGBToHSV", "rms_normalization": "RMSNorm", "searchsorted": "SearchSorted", "ssim": "SSIM",
    "stft": "STFT", "svd": "SVD",
}  # fmt: skip

# Where the parameters that the call gets are not the ones annotated as `Tensor`.
_IN_CALL = {
    "bincount": "x", "clip": "x", "cond": "pred true_fn false_fn", "get_item": "x key", "isclose": "x1 x2 rtol atol",
    "logspace": "start stop", "max": "x", "min": "x", "rearrange": "tensor pattern", "trapezoid": "y",
    "unique": "x",
}  # fmt: skip

# The functions of TensorFlow that a file can name: those that compute on tensors, and take no function, file or address.
_TENSORFLOW = {
    "": """
        abs acos add add_n argmax argmin argsort asin asinh atan atanh batch_to_space bitcast boolean_mask
        broadcast_to cast clip_by_global_norm clip_by_norm clip_by_value complex concat convert_to_tensor cos
        cosh cumsum divide dynamic_partition dynamic_stitch einsum ensure_shape equal exp expand_dims fill floor
        gather gather_nd greater greater_equal histogram_fixed_width histogram_fixed_width_bins identity
        identity_n less less_equal linspace logical_and logical_not logical_or matmul maximum meshgrid minimum
        multiply negative norm not_equal one_hot ones_like pad pow range rank reduce_all reduce_any
        reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_sum repeat reshape reverse
        reverse_sequence roll round saturate_cast scalar_mul scatter_nd searchsorted sequence_mask shape sigmoid
        sign sin sinh size slice sort space_to_batch space_to_batch_nd split sqrt square squeeze stack
        stop_gradient strided_slice subtract tan tanh tensor_scatter_nd_add tensor_scatter_nd_max
        tensor_scatter_nd_min tensor_scatter_nd_sub tensor_scatter_nd_update tensordot tile transpose truediv
        truncatemod unique unique_with_counts unravel_index unstack where zeros_like""",
    "bitwise": "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift",
    "debugging": "check_numerics",
    "compat.v1": """
        approx_top_k batch_to_space_nd boolean_mask floor_div gather gather_nd norm pad scalar_mul shape size squeeze
        transpose zeros""",  # what functions of today call, and TensorFlow then records
    "compat.v1.math": "in_top_k",
    "compat.v1.nn": """
        conv2d convolution crelu depthwise_conv2d embedding_lookup pool separable_conv2d
        sigmoid_cross_entropy_with_logits sparse_softmax_cross_entropy_with_logits sufficient_statistics
        weighted_moments""",
    "image": """
        adjust_brightness adjust_contrast adjust_gamma adjust_hue adjust_saturation central_crop
        convert_image_dtype crop_and_resize crop_to_bounding_box draw_bounding_boxes extract_glimpse
        extract_patches flip_left_right flip_up_down grayscale_to_rgb hsv_to_rgb image_gradients
        pad_to_bounding_box per_image_standardization psnr resize resize_with_crop_or_pad resize_with_pad
        rgb_to_grayscale rgb_to_hsv rgb_to_yiq rgb_to_yuv rot90 sobel_edges ssim stateless_random_brightness
        stateless_random_flip_up_down total_variation transpose yiq_to_rgb yuv_to_rgb""",
    "linalg": """
        adjoint band_part cholesky cholesky_solve cross det diag diag_part eig eigh eigvalsh einsum expm
        global_norm inv l2_normalize logdet lstsq lu matmul matrix_rank matrix_transpose matvec norm normalize
        pinv qr set_diag slogdet solve svd tensor_diag tensor_diag_part tensordot trace triangular_solve
        tridiagonal_matmul""",
    "math": """
        abs add add_n angle argmax argmin atan2 bessel_i0 bessel_i0e bessel_i1 bessel_i1e betainc bincount ceil
        confusion_matrix conj cos count_nonzero cumprod cumsum cumulative_logsumexp digamma divide divide_no_nan
        equal erf erfc erfcinv erfinv exp expm1 floor floordiv floormod greater greater_equal igamma igammac
        imag in_top_k invert_permutation is_finite is_inf is_nan is_non_decreasing is_strictly_increasing
        l2_normalize lbeta less less_equal lgamma log log1p log_sigmoid logical_and logical_or logical_xor
        maximum minimum mod multiply multiply_no_nan ndtri negative nextafter not_equal polygamma polyval pow
        real reciprocal reciprocal_no_nan reduce_euclidean_norm reduce_logsumexp reduce_max reduce_mean
        reduce_min reduce_prod reduce_std reduce_sum reduce_variance rint round rsqrt scalar_mul segment_mean
        segment_sum sigmoid sign sin sobol_sample softmax softplus softsign sqrt square squared_difference
        subtract tan tanh top_k truediv unsorted_segment_max unsorted_segment_mean unsorted_segment_prod
        unsorted_segment_sqrt_n unsorted_segment_sum xdivy xlog1py xlogy zero_fraction zeta""",
    "math.special": """
        bessel_j0 bessel_j1 bessel_k0 bessel_k0e bessel_k1 bessel_k1e bessel_y0 bessel_y1 dawsn expint
        fresnel_cos fresnel_sin spence""",
    "nn": """
        approx_max_k atrous_conv2d avg_pool avg_pool1d avg_pool2d batch_normalization bias_add conv1d conv2d
        conv2d_transpose conv3d conv_transpose convolution crelu ctc_greedy_decoder depth_to_space
        depthwise_conv2d dilation2d dropout elu embedding_lookup erosion2d fractional_max_pool gelu l2_loss
        l2_normalize leaky_relu local_response_normalization log_poisson_loss log_softmax max_pool max_pool1d
        max_pool2d max_pool_with_argmax moments normalize_moments pool relu relu6 scale_regularization_loss selu
        separable_conv2d sigmoid sigmoid_cross_entropy_with_logits silu softmax
        softmax_cross_entropy_with_logits softplus softsign space_to_depth
        sparse_softmax_cross_entropy_with_logits sufficient_statistics swish tanh top_k
        weighted_cross_entropy_with_logits weighted_moments zero_fraction""",
    "quantization": "fake_quant_with_min_max_args quantize_and_dequantize_v2",
    "ragged": "boolean_mask stack",
    "random": """
        stateless_binomial stateless_gamma stateless_normal stateless_poisson stateless_truncated_normal
        stateless_uniform""",
    "random.experimental": "stateless_shuffle",
    "sets": "intersection size",
    "signal": """
        dct fft fft2d fftshift frame idct ifft ifftshift irfft mdct mfccs_from_log_mel_spectrograms
        overlap_and_add rfft rfft2d stft""",
    "sparse": """
        add concat from_dense reduce_max reduce_sum reorder reshape slice softmax sparse_dense_matmul to_dense
        to_indicator transpose""",
    "strings": """
        as_string bytes_split format join length lower ngrams reduce_join regex_full_match regex_replace split
        strip substr to_hash_bucket to_hash_bucket_fast to_hash_bucket_strong to_number unicode_decode
        unicode_encode unicode_script unicode_split unicode_transcode unsorted_segment_join upper""",
}  # fmt: skip


def class_name_of(name: str) -> str:
    """What files call the op `name`: `"expand_dims"` → `"ExpandDims"`."""
    return _CLASSES.get(name) or "".join(word.capitalize() for word in name.split("_"))


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a graph's config is the call of an op rather than a layer."""
    module = entry.get("module")
    is_function = module in _MODULES_OF_FUNCTIONS and str(entry.get("class_name")).startswith(
        _MODULES_OF_FUNCTIONS[module]
    )
    return isinstance(module, str) and (is_function or module.startswith(("keras.src.ops.", "keras.src.activations.")))


def find_operation(entry: Mapping[str, Any]) -> Callable[..., Any] | None:
    """The op that an entry of a graph's config names; None where there is none."""
    name = str(entry.get("class_name"))
    return _functions().get(name) if entry.get("module") in _MODULES_OF_FUNCTIONS else _operations().get(name)


_MODULES_OF_FUNCTIONS = {"tensorflow": "tf.", "nyala.losses": "losses."}  # and how their functions are called in files


@functools.cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The functions besides ops that a graph can be saved with: TensorFlow's by public name, and losses."""
    found: dict[str, Callable[..., Any]] = {}
    for module, names in _TENSORFLOW.items():
        home = functools.reduce(lambda thing, part: getattr(thing, part, None), module.split(".") if module else [], tf)
        for name in names.split():
            function = getattr(home, name, None)
            if callable(function):  # versions of TensorFlow differ
                found[f"tf.{module}.{name}" if module else f"tf.{name}"] = function
    losses = {name: thing for name, thing in config.losses.entries.items() if not isinstance(thing, type)}
    return found | {f"losses.{thing.__name__}": thing for thing in losses.values()}


def _name_of(function: Callable[..., Any]) -> str | None:
    """The shortest name of a function that is no op; None where files have none for it."""
    return _names().get(id(_unwrapped(function)))


@functools.cache
def _names() -> dict[int, str]:
    """The shortest name of each function, behind what TensorFlow's decorators wrap."""
    longest_first = sorted(_functions().items(), key=lambda item: (-len(item[0]), item[0]))
    return {id(_unwrapped(function)): name for name, function in longest_first}


def _unwrapped(function: Any) -> Any:
    """What is inside the decorators: TensorFlow's dispatch hands on one function, its public name stands for another."""
    return inspect.unwrap(function)


def _is_function(call: FunctionCall) -> bool:
    """Whether what is called is no op, so that a file keeps all arguments with the call."""
    name = getattr(call.function, "__name__", "")
    return _operations().get(class_name_of(name)) is not call.function


@functools.cache
def _operations() -> dict[str, Callable[..., Any]]:
    """The functions that files can refer to, by class name: what they know are ops and two activations."""
    from nyala import activations, ops

    found = [getattr(module, name) for module in (ops, ops.image) for name in module.__all__]
    functions = [thing for thing in found if hasattr(thing, "__wrapped__")] + [activations._bent_relu, activations.mish]
    return {class_name_of(function.__name__): function for function in functions}


def call_parameters(name: str, function: Callable[..., Any]) -> list[str]:
    """Which parameters of an op a file keeps with the call; the others are its config."""
    if name in _IN_CALL:
        return _IN_CALL[name].split()
    return [p.name for p in signature_of(function).parameters.values() if "Tensor" in str(p.annotation)]


# ---- Writing ----


def write_operation(call: FunctionCall) -> dict[str, Any]:
    """The names and the config of a recorded call of an op, for an entry of a graph's config."""
    name = getattr(call.function, "__name__", type(call.function).__name__)
    if _is_function(call):
        public = _name_of(call.function)
        if public is None:
            raise ValueError(
                f"The graph calls `{name}` in `{call.name}`, which is not an op of `nyala.ops` or a function of "
                "TensorFlow that files can name. Call the op of `nyala.ops` that does the same, or put the call into a "
                "layer of your own."
            )
        module = next(key for key, prefix in _MODULES_OF_FUNCTIONS.items() if public.startswith(prefix))
        return {"module": module, "class_name": public, "config": {"name": call.name}, "registered_name": public}
    settings = _split(call)[1]
    if settings.get("data_format", "") is None:
        settings["data_format"] = image_data_format()  # a file says which it was
    return {
        "module": _MODULE_OF.get(name, "keras.src.ops.numpy"),
        "class_name": class_name_of(name),
        "config": {"name": call.name, **{key: serialize(value) for key, value in settings.items()}},
        "registered_name": class_name_of(name),
    }


def call_arguments(call: FunctionCall) -> tuple[list[Any], dict[str, Any]]:
    """What the call itself gets in a file: the tensors in order; by name what is symbolic though no op expects it."""
    if _is_function(call):
        return list(call.inbound_nodes[0].args), dict(call.inbound_nodes[0].kwargs)
    tensors, _, symbolic = _split(call)
    return tensors, symbolic


def _split(call: FunctionCall) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    node = call.inbound_nodes[0]
    signature = signature_of(call.function)
    of_call = call_parameters(call.function.__name__, call.function)
    bound = signature.bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    tensors: list[Any] = []
    settings: dict[str, Any] = {}
    symbolic: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            tensors.extend(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            symbolic.update(value)
        elif name in of_call:
            tensors.append(value)
        elif any_symbolic([value]):
            symbolic[name] = value
        else:
            settings[name] = value
    return tensors, settings, symbolic


# ---- Reading ----


def read_operation(entry: Mapping[str, Any]) -> FunctionCall:
    """The operation that an entry of a graph's config describes, to be called with what `bind_call` gives."""
    function = find_operation(entry)
    if function is None:
        raise ValueError(f"The operation {entry.get('class_name')!r} in the config is not known here.")
    return FunctionCall(function, entry["config"].get("name"))


def bind_call(
    call: FunctionCall, settings: Mapping[str, Any], args: list[Any], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments for the function: the tensors of the call and the settings of the config, each in its place."""
    if not any_symbolic([args, kwargs]):
        raise ValueError(
            f"The operation `{call.name}` in the config computes on constants only, which no graph records."
        )
    if _is_function(call):
        return tuple(args), kwargs
    signature = signature_of(call.function)
    given = {name: _tuples(config.revive(value)) for name, value in settings.items() if name != "name"} | kwargs
    more = {name: value for name, value in given.items() if name not in signature.parameters}
    takes_more = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = {name for name, value in more.items() if not takes_more and value not in (None, False)}
    if unknown:
        raise ValueError(f"The operation `{call.name}` in the config takes no argument {sorted(unknown)[0]!r}.")
    if call.function.__name__ == "get_item":
        args = [args[0], _tuples(args[1])]  # x[0, 1], which JSON makes x[[0, 1]]
    rest = list(args)
    bound = inspect.BoundArguments(signature, {})  # pyright: ignore[reportArgumentType]
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            bound.arguments[name] = tuple(rest)
            rest = []
        elif parameter.kind is parameter.VAR_KEYWORD:
            bound.arguments[name] = more
        elif name in given:
            bound.arguments[name] = given[name]
        elif rest:
            bound.arguments[name] = rest.pop(0)
    if rest:
        raise ValueError(f"The operation `{call.name}` in the config gets {len(args)} tensors, more than it takes.")
    return bound.args, bound.kwargs


def _tuples(value: Any) -> Any:
    """Lists as the tuples that they were before JSON."""
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
