"""How to quantize, said in an object: the mode, and what rounds weights and inputs."""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.config import Configurable
from nyala.quantizers.quantizer import AbsMaxQuantizer, Quantizer, quantizers


class QuantizationConfig(Configurable):
    """The base of quantization configs: a quantizer for weights and one for inputs; None leaves the choice to layers.

    Example:
        >>> import nyala
        >>> nyala.quantizers.Int8QuantizationConfig().mode
        'int8'
    """

    mode: str = ""  # the name of the kind of quantization

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = None) -> None:
        self.weight_quantizer: Quantizer | None = quantizers.get(weight_quantizer)
        self.activation_quantizer: Quantizer | None = quantizers.get(activation_quantizer)

    def dtype_policy_string(self) -> str:
        """What stands before `_from_` in the name of the dtype policy of a layer quantized so."""
        return self.mode

    @staticmethod
    def weight_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """The weight quantizer of `config`, or `default` where it has none or is None."""
        return default if config is None or config.weight_quantizer is None else config.weight_quantizer

    @staticmethod
    def activation_quantizer_or_default(config: QuantizationConfig | None, default: Any) -> Any:
        """The activation quantizer of `config`, be it None; `default` where there is no config."""
        return default if config is None else config.activation_quantizer

    def require_output_dtype(self) -> None:
        """Raise a ValueError where the weight quantizer gives anything but int8."""
        found = getattr(self.weight_quantizer, "output_dtype", "int8")
        if found != "int8":
            raise ValueError(
                f"{type(self).__name__} keeps weights as int8, but the weight quantizer gives {found}; make it with "
                "output_dtype='int8'."
            )


class Int8QuantizationConfig(QuantizationConfig):
    """Weights as int8 with a scale per channel; inputs as int8 too, unless `activation_quantizer` is None.

    Raises ValueError for a weight quantizer with another output dtype.

    Example:
        >>> import nyala
        >>> layer = nyala.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> layer.quantize(config=nyala.quantizers.Int8QuantizationConfig(activation_quantizer=None))
        >>> layer.kernel.dtype
        'int8'
    """

    mode = "int8"

    def __init__(self, weight_quantizer: Any = None, activation_quantizer: Any = "default") -> None:
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, AbsMaxQuantizer() if default else activation_quantizer)
        self.require_output_dtype()


class Int4QuantizationConfig(QuantizationConfig):
    """Weights as int4, two in a byte, with a scale and a zero point for each `block_size` of a channel.

    Without blocks (`block_size` None or -1) a channel has one scale, and quantizers of one's own may round. Raises
    ValueError for another block size, for quantizers beside blocks, and for a weight range outside -8 to 7.

    Example:
        >>> import nyala
        >>> nyala.quantizers.Int4QuantizationConfig(block_size=64).dtype_policy_string()
        'int4/64'
    """

    mode = "int4"

    def __init__(
        self, weight_quantizer: Any = None, activation_quantizer: Any = "default", block_size: int | None = 128
    ) -> None:
        default = isinstance(activation_quantizer, str) and activation_quantizer == "default"
        super().__init__(weight_quantizer, None if default else activation_quantizer)
        if block_size is not None and (not isinstance(block_size, int) or block_size == 0 or block_size < -1):
            raise ValueError(
                f"`block_size` is a positive integer, or -1 or None for no blocks, but got {block_size!r}."
            )
        self.block_size = block_size
        if block_size not in (None, -1) and (self.weight_quantizer or self.activation_quantizer):
            raise ValueError(
                f"Blocks of {block_size} are rounded in one way only; leave the quantizers out, or set block_size=-1."
            )
        low, high = getattr(self.weight_quantizer, "value_range", (-8, 7))
        if low < -8 or high > 7:
            raise ValueError(f"Four bits hold -8 to 7, but the weight quantizer's range is {low} to {high}.")
        self.require_output_dtype()

    def dtype_policy_string(self) -> str:
        """What stands before `_from_` in the name of the dtype policy of a layer quantized so."""
        return f"int4/{-1 if self.block_size is None else self.block_size}"


class Float8QuantizationConfig(QuantizationConfig):
    """Products in float8, with scales that follow the largest values of recent steps, for training.

    Example:
        >>> import nyala
        >>> nyala.quantizers.Float8QuantizationConfig().mode
        'float8'
    """

    mode = "float8"

    def __init__(self) -> None:
        super().__init__()


class CalibratedConfig(QuantizationConfig):
    """What quantization that looks at examples needs: a `dataset`, a `tokenizer` for it, and how much to look at.

    `dataset` yields texts or arrays of token ids; `tokenizer` makes ids of a text. Neither is part of `get_config`.
    """

    bits: tuple[int, ...] = (4,)
    dataset: Any
    tokenizer: Any
    weight_bits: int
    group_size: int
    quantization_layer_structure: Any

    def check(self, *positive: str) -> None:
        """Raise a ValueError where an option lies outside its range."""
        if self.weight_bits not in self.bits:
            choice = " or ".join(map(str, self.bits))
            raise ValueError(f"{type(self).__name__} takes weight_bits of {choice}, but got {self.weight_bits!r}.")
        if self.group_size != -1 and not (isinstance(self.group_size, int) and self.group_size > 0):
            raise ValueError(f"`group_size` is a positive integer, or -1 for one group, but got {self.group_size!r}.")
        for name in positive:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"`{name}` of {type(self).__name__} is a positive integer, but got {value!r}.")

    def dtype_policy_string(self) -> str:
        """What stands before `_from_` in the name of the dtype policy of a layer quantized so."""
        return f"{self.mode}/{self.weight_bits}/{self.group_size}"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dataset": None, "tokenizer": None}

    def constructor_arguments(self) -> dict[str, Any]:
        return {**super().constructor_arguments(), "dataset": None, "tokenizer": None}


class GPTQConfig(CalibratedConfig):
    """GPTQ: round column by column, and let the columns still to come make up for the error.

    `hessian_damping` is added to the Hessian's diagonal, as a part of its mean; `symmetric` leaves zero points out;
    `activation_order` rounds the columns that matter most first; without `per_channel` all channels share a scale.
    `quantization_layer_structure` is what `Model.get_quantization_layer_structure` returns. Raises ValueError for
    options outside their range. Source: Frantar et al., "GPTQ", 2022.

    Example:
        >>> import nyala
        >>> nyala.quantizers.GPTQConfig(["a text"], str.split, group_size=64).dtype_policy_string()
        'gptq/4/64'
    """

    mode = "gptq"
    bits = (2, 3, 4, 8)

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        per_channel: bool = True,
        sequence_length: int = 512,
        hessian_damping: float = 0.01,
        group_size: int = 128,
        symmetric: bool = False,
        activation_order: bool = False,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.dataset, self.tokenizer = dataset, tokenizer
        self.weight_bits, self.group_size = weight_bits, group_size
        self.num_samples, self.sequence_length = num_samples, sequence_length
        self.per_channel, self.symmetric, self.activation_order = per_channel, symmetric, activation_order
        self.hessian_damping = hessian_damping
        self.quantization_layer_structure = quantization_layer_structure
        self.check("num_samples", "sequence_length")
        if not 0 <= hessian_damping <= 1:
            raise ValueError(f"`hessian_damping` of GPTQConfig is a number from 0 to 1, but got {hessian_damping!r}.")


class AWQConfig(CalibratedConfig):
    """AWQ: scale the inputs' channels that carry most up before rounding, so that their weights lose least.

    Of `num_grid_points` strengths the one with the least error is taken. Raises ValueError for options outside their
    range. Source: Lin et al., "AWQ", 2023.

    Example:
        >>> import nyala
        >>> nyala.quantizers.AWQConfig(["a text"], str.split).dtype_policy_string()
        'awq/4/128'
    """

    mode = "awq"

    def __init__(
        self,
        dataset: Any,
        tokenizer: Any,
        *,
        weight_bits: int = 4,
        num_samples: int = 128,
        sequence_length: int = 512,
        group_size: int = 128,
        num_grid_points: int = 20,
        quantization_layer_structure: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.dataset, self.tokenizer = dataset, tokenizer
        self.weight_bits, self.group_size = weight_bits, group_size
        self.num_samples, self.sequence_length = num_samples, sequence_length
        self.num_grid_points = num_grid_points
        self.quantization_layer_structure = quantization_layer_structure
        self.check("num_samples", "sequence_length", "num_grid_points")


CONFIGS: dict[str, type[QuantizationConfig]] = {
    "int8": Int8QuantizationConfig,
    "int4": Int4QuantizationConfig,
    "float8": Float8QuantizationConfig,
    "gptq": GPTQConfig,
    "awq": AWQConfig,
}


def config_of(identifier: Any) -> QuantizationConfig | None:
    """The config that an object or a description of one stands for; None stays None, else a ValueError."""
    found = config.revive(identifier) if config.is_serialized(identifier) else identifier
    if found is None or isinstance(found, QuantizationConfig):
        return found
    raise ValueError(f"A quantization config is an object such as Int8QuantizationConfig(), but got {identifier!r}.")


for _class in (QuantizationConfig, *CONFIGS.values()):
    quantizers.add(_class)
