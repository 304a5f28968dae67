"""Quantized kernels: what stands in the place of a layer's kernel, and of its product with the inputs.

A layer says in `contract` how inputs and kernel become outputs and in `finish` what happens then, so its `call` is
`finish(contract(inputs, kernel))`. Once it is quantized, `call` of that one layer is `quantized_call`, which leaves the
product to a scheme; a layer that is not quantized never asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nyala import dtype_policies
from nyala.core import config as data
from nyala.core import policy
from nyala.core.engine import tf
from nyala.core.tracking import path_scope
from nyala.core.variable import Variable
from nyala.layers.lora import LowRank
from nyala.layers.quantization_schemes import SCHEMES, Scheme, scheme_for
from nyala.quantizers.configs import CONFIGS, QuantizationConfig, config_of

# ---- What all quantized layers share ----


class Quantizable(LowRank):
    """A layer whose weights can be kept in few bits; a subclass says in `quantized_build` how each mode keeps them."""

    modes: tuple[str, ...] = ("int8", "int4")
    kernel_shape: tuple[Any, ...]

    def __init__(self, *, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=dtype_policies.get(dtype) if isinstance(dtype, str) else dtype, **kwargs)

    def keep_adaptations(self, lora_rank: Any, lora_alpha: Any, quantization_config: Any) -> None:
        """Keep the constructor's arguments about LoRA and quantization."""
        self.keep_lora(lora_rank, lora_alpha)
        self.quantization_config = config_of(quantization_config)

    def quantize(self, mode: str | None = None, type_check: bool = True, config: Any = None) -> None:
        """Keep the weights as `mode` says, or a quantization config; from now on they do not train, but in float8.

        Modes: "int8", "int4", and for Dense and EinsumDense "float8" (which trains), "gptq" and "awq" (these two need a
        config, and `Model.quantize` to calibrate). With LoRA, its two factors go on training.

        Raises ValueError where the layer is not built or quantized already, for a mode it has not, and for a config of
        another mode; NotImplementedError for a subclass, unless `type_check` is False.

        Example:
            >>> import nyala
            >>> layer = nyala.layers.Dense(2)
            >>> layer.build((None, 3))
            >>> layer.quantize("int8")
            >>> [(w.name, w.dtype) for w in layer.weights]
            [('bias', 'float32'), ('kernel', 'int8'), ('kernel_scale', 'float32')]
        """
        how = resolve(mode, config)
        if self.lora_enabled and how.mode in ("gptq", "awq"):
            raise ValueError(f"`{self.path}` has LoRA, which {how.mode} cannot keep; quantize it without.")
        if type_check and not type(self).__module__.startswith("nyala."):
            raise NotImplementedError(
                f"`{self.path}` is a {type(self).__name__}, a class of your own; if its `call` does no more than that of "
                "its base, quantize it with type_check=False."
            )
        if how.mode not in self.modes:
            raise NotImplementedError(
                f"`{self.path}` ({type(self).__name__}) can be quantized as {', '.join(self.modes)}, not as {how.mode!r}."
            )
        if not self.built:
            raise ValueError(f"`{self.path}` is not built yet; call it on data, or `build()` it, before quantize().")
        self.require_unquantized()
        name = how.dtype_policy_string()
        quantized_policy = dtype_policies.get(f"{name}_from_{self.policy_of_weights.name}")
        self.quantization_config = how
        self._quantize_weights(how)
        if isinstance(self._dtype_policy, dtype_policies.DTypePolicyMap):
            self._dtype_policy.policy_map[self.path] = quantized_policy
        else:
            self._dtype_policy = quantized_policy

    def require_unquantized(self) -> None:
        """Raise a ValueError where the layer is quantized already."""
        if self.quantization_mode is not None:
            raise ValueError(f"`{self.path}` is quantized already, as {self.dtype_policy.name}; it can be done once.")

    def give_up(self, name: str) -> None:
        """Own the variable that is the attribute `name` no longer."""
        variable = self.__dict__.pop(name)
        self._variables[:] = [other for other in self._variables if other is not variable]

    def _quantize_weights(self, how: QuantizationConfig) -> None:
        raise TypeError(f"{type(self).__name__} does not say how its weights are quantized.")

    @property
    def dtype_policy(self) -> policy.DTypePolicy:
        """In which dtype the layer computes, in which it keeps its weights, and how they are quantized."""
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        new = dtype_policies.get(value)
        if new.quantization_mode is not None and self.built and self.quantization_mode is None:
            self.quantize(config=config_of_policy(new))
        else:
            self._dtype_policy = new

    @property
    def policy_of_weights(self) -> policy.DTypePolicy:
        """The dtype policy, or what a map of them has for the path of this layer."""
        of_all = self._dtype_policy
        return of_all[self.path or self.name] if isinstance(of_all, dtype_policies.DTypePolicyMap) else of_all

    @property
    def quantization_mode(self) -> str | None:
        """How the weights are quantized, if they are."""
        return self.policy_of_weights.quantization_mode

    def how_it_is_built(self) -> QuantizationConfig | None:
        """How `build` shall keep the weights: as the dtype policy says, in the manner of the config; None for floats."""
        if self.quantization_mode is None:
            return None
        told = config_of_policy(self.policy_of_weights)
        if self.quantization_config is None or self.quantization_config.mode != told.mode:
            self.quantization_config = told if told.mode in ("int8", "float8") else self.quantization_config
            return told
        return self.quantization_config

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "quantization_config": data.serialize(self.quantization_config)}

    # ---- Files: the variables of the mode, in its order ----

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        """The names of the variables in files, in their order, for each mode; None is the mode of a plain layer."""
        raise TypeError(f"{type(self).__name__} does not say how files hold its weights.")

    def _own_variables(self) -> list[Variable]:
        own = super()._own_variables()
        if self.quantization_mode is None:
            return own
        names = self.variable_serialization_spec[self.quantization_mode]
        places = {id(vars(self).get(f"_{name}", vars(self).get(name))): place for place, name in enumerate(names)}
        return sorted(own, key=lambda v: places.get(id(v), len(places)))


def resolve(mode: str | None, config: Any) -> QuantizationConfig:
    """The config that the arguments of `quantize` stand for; a ValueError where they stand for none."""
    how = config_of(config)
    if mode is None and how is None:
        raise ValueError(f"quantize() takes a mode, one of {', '.join(CONFIGS)}, or a config; it got neither.")
    if how is not None:
        if mode not in (None, how.mode):
            raise ValueError(f"quantize() got mode={mode!r} and a config for {how.mode!r}; leave the mode out.")
        if how.mode not in CONFIGS:
            raise ValueError(f"{type(how).__name__} is for no mode; use Int8QuantizationConfig or one of its kind.")
        return how
    if mode not in CONFIGS:
        raise ValueError(f"quantize() takes a mode, one of {', '.join(CONFIGS)}, but got {mode!r}.")
    if mode in ("gptq", "awq"):
        raise ValueError(f"The mode {mode!r} needs examples; pass config={CONFIGS[mode].__name__}(dataset, tokenizer).")
    return CONFIGS[mode]()


def config_of_policy(quantized: policy.DTypePolicy) -> QuantizationConfig:
    """The config that a quantized dtype policy implies."""
    mode = str(quantized.quantization_mode)
    if isinstance(quantized, dtype_policies.GPTQDTypePolicy):
        bits, size = quantized.weight_bits, quantized.group_size
        return CONFIGS[mode](None, None, weight_bits=bits, group_size=size)  # pyright: ignore[reportCallIssue]
    if mode == "int4":
        size = getattr(quantized, "block_size", None)
        return CONFIGS[mode](block_size=size)  # pyright: ignore[reportCallIssue]
    return CONFIGS[mode]()


# ---- Kernels ----


class QuantizableKernel(Quantizable):
    """A layer with a kernel whose product with the inputs is `contract`: Dense and EinsumDense."""

    modes = ("int8", "int4", "float8", "gptq", "awq")
    scheme: Scheme
    kernel_initializer: Any
    kernel_regularizer: Any
    kernel_constraint: Any

    @property
    def kernel(self) -> Any:
        """W: the variable, or with LoRA what it amounts to; of an int4 kernel the unpacked numbers."""
        if self.quantization_mode is not None and not self.lora_enabled and self.built:
            return self.scheme.shown(self)
        return self.effective()

    def contract(self, inputs: Any, kernel: Any) -> Any:
        """The product of inputs and kernel."""
        raise TypeError(f"{type(self).__name__} defines no product.")

    def finish(self, outputs: Any, bias: Any = None) -> Any:
        """What `call` does with the product: add the layer's bias, or `bias` in its place, and activate."""
        raise TypeError(f"{type(self).__name__} does not say what happens to the product.")

    # Over which axes of the inputs and of the kernel `contract` sums, and their scales in the shape of the outputs.
    contracted_axes: Any = ((-1,), (0,))

    def kernel_scale_for_outputs(self, scale: Any) -> Any:
        """Scales in the shape of the kernel, 1 for what is summed over, in the shape of the outputs."""
        return tf.reshape(scale, scale.shape[1:])

    def kernel_scale_for_kernel(self, scale: Any) -> Any:
        """The way back."""
        return tf.reshape(scale, (1, *scale.shape))

    def inputs_scale_for_outputs(self, scale: Any) -> Any:
        """Scales in the shape of the inputs, 1 for what is summed over, in the shape of the outputs."""
        return scale

    def add_kernel(self, shape: tuple[Any, ...], initializer: Any = None) -> None:
        """Create the kernel in `build`: in floats, or as the dtype policy says."""
        self.kernel_shape = shape
        how = self.how_it_is_built()
        if how is not None:
            self.quantized_build(shape, how.mode, how)
            self.call = self.quantized_call
        if how is None or how.mode == "float8":
            self._kernel = self.add_weight(
                shape=shape,
                initializer=self.kernel_initializer if initializer is None else initializer,
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
                name="kernel",
            )

    def quantized_build(self, kernel_shape: Any, mode: str, config: Any = None) -> None:
        """Create the variables that keep a kernel of that shape as `mode` says."""
        how = config_of(config) or self.quantization_config or resolve(mode, None)
        self.scheme = scheme_for(how)
        self.scheme.build(self, tuple(kernel_shape))

    def _quantize_weights(self, how: QuantizationConfig) -> None:
        kernel = self._kernel
        if how.mode in ("int8", "int4"):
            self.give_up("_kernel")
        with path_scope(self.path):
            self.quantized_build(self.kernel_shape, how.mode, how)
        self.scheme.fill(self, tf.convert_to_tensor(kernel._present()))
        self.call = self.quantized_call

    def quantized_call(self, inputs: Any, training: bool | None = None) -> Any:
        """The call with the quantized kernel."""
        outputs = self.scheme.product(self, inputs, training)
        if self.lora_enabled and self.scheme.adds_lora:
            a, b = self.lora_factors
            low = self.contract(inputs, tf.tensordot(a.value, b.value, 1))
            outputs += self.lora_scale() * tf.cast(low, outputs.dtype)
        return self.finish(outputs, self.scheme.bias(self))

    def merged(self) -> Any:
        if "_kernel" in vars(self) and self.quantization_mode not in ("int8", "int4"):
            return super().merged()
        a, b = self.lora_factors
        return self.scheme.dequantized(self) + self.lora_scale() * tf.tensordot(a.value, b.value, 1)

    def _adapted_shape(self) -> tuple[int, ...]:
        return self.kernel_shape

    def _merged_for_files(self) -> dict[int, Any]:
        if self.lora_enabled and self.quantization_mode in ("int8", "int4"):
            return {id(v): np.asarray(x) for v, x in self.scheme.values(self, self.merged())}
        return super()._merged_for_files()

    def save_own_variables(self, store: dict[str, Any]) -> None:
        if self.quantization_mode in ("gptq", "awq") and "_kernel" in vars(self):
            raise ValueError(
                f"`{self.path}` is prepared for {self.quantization_mode} but not calibrated, so it cannot be saved; quantize "
                "the model, with Model.quantize(), not the layer alone."
            )
        super().save_own_variables(store)

    @property
    def variable_serialization_spec(self) -> dict[str | None, list[str]]:
        return {None: ["kernel", "bias"], **{mode: list(scheme.files) for mode, scheme in SCHEMES.items()}}

    # ---- The kernel as a matrix: what is summed over, then the rest ----

    name_of_zero_points = "kernel_zero"

    def note_columns(self, columns: int) -> None:
        """Hear how many columns the matrix has that GPTQ keeps."""

    def to_matrix(self, kernel: Any) -> Any:
        """A kernel as a matrix, what is summed over in its rows."""
        return tf.reshape(tf.transpose(kernel, self._rows_first()), self.matrix_shape(self.kernel_shape))

    def from_matrix(self, matrix: Any) -> Any:
        """A matrix as a kernel."""
        order = self._rows_first()
        return tf.transpose(tf.reshape(matrix, [self.kernel_shape[axis] for axis in order]), np.argsort(order))

    def _rows_first(self) -> list[int]:
        first = self.contracted_axes[1]
        return [*first, *(axis for axis in range(len(self.kernel_shape)) if axis not in first)]

    def matrix_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The shape of a kernel as a matrix: what is summed over, and the rest."""
        rows = int(np.prod([shape[axis] for axis in self.contracted_axes[1]]))
        return rows, int(np.prod(shape)) // rows
