"""Dtype policies: in which dtype layers compute, in which they keep weights, and how weights are quantized."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from nyala.core import config, policy
from nyala.core.config import custom_object_scope
from nyala.core.policy import DTypePolicy

__all__ = [
    "AWQDTypePolicy",
    "DTypePolicy",
    "DTypePolicyMap",
    "FloatDTypePolicy",
    "GPTQDTypePolicy",
    "Int4DTypePolicy",
    "QuantizedDTypePolicy",
    "QuantizedFloat8DTypePolicy",
    "deserialize",
    "get",
    "serialize",
]


class FloatDTypePolicy(DTypePolicy):
    """A `DTypePolicy` by its former name.

    Example:
        >>> import nyala
        >>> nyala.dtype_policies.FloatDTypePolicy("mixed_float16").compute_dtype
        'float16'
    """


# ---- Quantized policies ----


class QuantizedDTypePolicy(DTypePolicy):
    """The policy of a layer with quantized weights: a mode, and the policy it had before, the global one by default.

    Modes: `"int8"`, `"int4"`, `"float8"`, `"gptq"` and `"awq"`. Its name is `"<mode>_from_<source_name>"`. Raises
    ValueError for another mode, and for `"int8"` computing in float16, whose range is too small for it.

    Example:
        >>> import nyala
        >>> policy = nyala.dtype_policies.QuantizedDTypePolicy("int8", "mixed_bfloat16")
        >>> policy.name, policy.compute_dtype, policy.quantization_mode
        ('int8_from_mixed_bfloat16', 'bfloat16', 'int8')
    """

    modes = ("int8", "float8", "int4", "gptq", "awq")

    def __init__(self, mode: str, source_name: str | None = None) -> None:
        source = DTypePolicy(source_name or policy.dtype_policy().name)
        self.given_mode, self.source_name = mode, source.name
        self.mode = self.parse_mode(mode)
        self.name = f"{mode}_from_{source.name}"
        self.compute_dtype, self.variable_dtype = source.compute_dtype, source.variable_dtype
        if self.mode == "int8" and self.compute_dtype == "float16":
            raise ValueError(f"Policy {self.name!r} computes in float16, too small for int8; use a bfloat16 policy.")

    def parse_mode(self, mode: str) -> str:
        """The kind of quantization that a mode names; a ValueError where it names none."""
        if mode not in self.modes:
            raise ValueError(f"A quantization mode is one of {', '.join(self.modes)}, but got {mode!r}.")
        return mode

    @property
    def quantization_mode(self) -> str | None:
        """How weights are quantized."""
        return self.mode

    def get_config(self) -> dict[str, Any]:
        return {"mode": self.given_mode, "source_name": self.source_name}


class QuantizedFloat8DTypePolicy(QuantizedDTypePolicy):
    """The policy of float8 training: scales follow the largest values of the last `amax_history_length` steps.

    Raises TypeError for a length that is no integer.

    Example:
        >>> import nyala
        >>> nyala.dtype_policies.QuantizedFloat8DTypePolicy("float8", "float32").name
        'float8_from_float32'
    """

    default_amax_history_length = 1024

    def __init__(self, mode: str, source_name: str | None = None, amax_history_length: int = 1024) -> None:
        if not isinstance(amax_history_length, int):
            raise TypeError(f"The amax history's length is an integer, but got {amax_history_length!r}.")
        super().__init__(mode, source_name)
        self.amax_history_length = amax_history_length

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "amax_history_length": self.amax_history_length}


def _numbers_of(mode: str, form: str) -> list[int]:
    """The whole numbers in a mode written like `form`, of which the first word is fixed; a ValueError otherwise."""
    pattern = re.sub("<.*?>", r"(-?\\d+)", form)
    found = re.fullmatch(pattern, str(mode))
    if found is None:
        raise ValueError(f"The mode is written {form!r}, with whole numbers, but got {mode!r}.")
    return [int(word) for word in found.groups()]


def _group_size(size: int, mode: str) -> int:
    if size != -1 and size < 1:
        raise ValueError(f"The last number of a mode is positive, or -1 for one group of all, but got {mode!r}.")
    return size


class Int4DTypePolicy(QuantizedDTypePolicy):
    """The policy of int4 weights with a scale per block: mode `"int4/<block_size>"`, -1 for one per channel.

    Raises ValueError for a mode of another form.

    Example:
        >>> import nyala
        >>> nyala.dtype_policies.Int4DTypePolicy("int4/128", "float32").block_size
        128
    """

    def parse_mode(self, mode: str) -> str:
        (size,) = _numbers_of(mode, "int4/<block_size>")
        self.block_size = _group_size(size, mode)
        return "int4"


class GPTQDTypePolicy(QuantizedDTypePolicy):
    """The policy of GPTQ weights: mode `"gptq/<weight_bits>/<group_size>"`, 2, 3, 4 or 8 bits, -1 for one group.

    Raises ValueError for a mode of another form. Source: Frantar et al., "GPTQ", 2022.

    Example:
        >>> import nyala
        >>> policy = nyala.dtype_policies.GPTQDTypePolicy("gptq/4/128", "float32")
        >>> policy.weight_bits, policy.group_size
        (4, 128)
    """

    kind, bits = "gptq", (2, 3, 4, 8)

    def parse_mode(self, mode: str) -> str:
        self.weight_bits, size = _numbers_of(mode, f"{self.kind}/<weight_bits>/<group_size>")
        if self.weight_bits not in self.bits:
            raise ValueError(f"{self.kind} takes {' or '.join(map(str, self.bits))} bits, but got {mode!r}.")
        self.group_size = _group_size(size, mode)
        return self.kind


class AWQDTypePolicy(GPTQDTypePolicy):
    """The policy of AWQ weights: mode `"awq/4/<group_size>"`, -1 for one group per channel.

    Raises ValueError for a mode of another form. Source: Lin et al., "AWQ", 2023.

    Example:
        >>> import nyala
        >>> nyala.dtype_policies.AWQDTypePolicy("awq/4/128", "float32").group_size
        128
    """

    kind, bits = "awq", (4,)


_QUANTIZED: dict[str, type[QuantizedDTypePolicy]] = {
    "int8": QuantizedDTypePolicy,
    "int4": QuantizedDTypePolicy,
    "int4/": Int4DTypePolicy,
    "float8": QuantizedFloat8DTypePolicy,
    "gptq": GPTQDTypePolicy,
    "gptq/": GPTQDTypePolicy,
    "awq": AWQDTypePolicy,
    "awq/": AWQDTypePolicy,
}


# ---- Policies by path ----


class DTypePolicyMap(DTypePolicy, MutableMapping[str, DTypePolicy]):
    """A policy for each layer of a model, by path: keys are paths or regular expressions that match whole paths.

    A path without a key has the default policy: `default_policy`, or the global one. Raises ValueError where two
    expressions match one path, and where a key is set twice.

    Example:
        >>> import nyala
        >>> policies = nyala.dtype_policies.DTypePolicyMap("float32", {"encoder/.*": nyala.DTypePolicy("bfloat16")})
        >>> policies["encoder/dense"].compute_dtype, policies["head"].compute_dtype
        ('bfloat16', 'float32')
    """

    def __init__(self, default_policy: Any = None, policy_map: Mapping[str, Any] | None = None) -> None:
        if policy_map is not None and not isinstance(policy_map, Mapping):
            raise TypeError(f"`policy_map` is a dict of policies by path, but got {policy_map!r}.")
        self.given_default = None if default_policy is None else get(default_policy)
        self.policy_map: dict[str, DTypePolicy] = {}
        self.update(policy_map or {})

    @property
    def default_policy(self) -> DTypePolicy:
        """The policy of paths without a key."""
        return self.given_default or policy.dtype_policy()

    @property
    def name(self) -> str:
        """`"map_"` before the default policy's name."""
        return f"map_{self.default_policy.name}"

    @property
    def compute_dtype(self) -> str:
        """The default policy's compute dtype."""
        return self.default_policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """The default policy's variable dtype."""
        return self.default_policy.variable_dtype

    @property
    def quantization_mode(self) -> str | None:
        """The default policy's quantization mode."""
        return self.default_policy.quantization_mode

    def __getitem__(self, path: str) -> DTypePolicy:
        if path in self.policy_map:
            return self.policy_map[path]
        matching = [key for key in self.policy_map if re.fullmatch(key, path)]
        if len(matching) > 1:
            raise ValueError(f"The path {path!r} matches several keys of the policy map: {matching}; let it match one.")
        return self.policy_map[matching[0]] if matching else self.default_policy

    def __setitem__(self, path: str, value: Any) -> None:
        if path in self.policy_map:
            raise ValueError(f"The policy map has the key {path!r} already; delete that first.")
        self.policy_map[path] = get(value)

    def __delitem__(self, path: str) -> None:
        del self.policy_map[path]

    def __contains__(self, path: object) -> bool:
        return path in self.policy_map

    def __iter__(self) -> Iterator[str]:
        return iter(self.policy_map)

    def __len__(self) -> int:
        return len(self.policy_map)

    def __eq__(self, other: object) -> bool:
        return DTypePolicy.__eq__(self, other)

    def __hash__(self) -> int:
        return id(self)

    def get_config(self) -> dict[str, Any]:
        default = self.given_default and self.given_default.name
        return {"default_policy": default, "policy_map": config.serialize(self.policy_map)}

    def __repr__(self) -> str:
        mapping = {path: value.name for path, value in self.items()}
        return f"<DTypePolicyMap default_policy={self.default_policy.name}, mapping={mapping}>"


# ---- Names ----


def get(identifier: Any) -> DTypePolicy:
    """The policy that a name, a dtype, a config or a policy stands for; the global one for None.

    Raises ValueError for what stands for none.

    Example:
        >>> import nyala
        >>> nyala.dtype_policies.get("int8_from_float32").quantization_mode
        'int8'
    """
    if isinstance(identifier, str) and "_from_" in identifier:
        mode, source = identifier.split("_from_", 1)
        kind, slash, _ = mode.partition("/")
        if kind + slash in _QUANTIZED:
            return _QUANTIZED[kind + slash](mode, source)
    return policy.get(identifier)


def serialize(dtype_policy: DTypePolicy) -> Any:
    """A policy as data: a dict with its class and its config."""
    return config.serialize_object(dtype_policy)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> DTypePolicy:
    """The policy that `serialize` described, or that a name stands for."""
    with custom_object_scope(custom_objects):
        return get(config)


_policies = config.Table("dtype policy", "keras.dtype_policies")
for _class in (*_QUANTIZED.values(), DTypePolicyMap):
    _policies.add(_class)
config.policies.add(FloatDTypePolicy)
