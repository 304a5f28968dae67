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


def class_name_of(name: str) -> str:
    """What files call the op `name`: `"expand_dims"` → `"ExpandDims"`."""
    return _CLASSES.get(name) or "".join(word.capitalize() for word in name.split("_"))


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a graph's config is the call of an op rather than a layer."""
    module = entry.get("module")
    return isinstance(module, str) and module.startswith(("keras.src.ops.", "keras.src.activations."))


def find_operation(entry: Mapping[str, Any]) -> Callable[..., Any] | None:
    """The op that an entry of a graph's config names; None where there is none."""
    return _operations().get(str(entry.get("class_name")))


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
    if _operations().get(class_name_of(name)) is not call.function:
        raise ValueError(
            f"The graph calls `{name}` in `{call.name}`, which is not an op of `nyala.ops`, so a file cannot refer to "
            "it. Call the op of `nyala.ops` that does the same, or put the call into a layer of your own."
        )
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
