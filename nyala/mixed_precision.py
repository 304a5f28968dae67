"""Computing in a short float while weights stay in float32: the policy of all layers, and the scale of the loss.

`set_global_policy("mixed_float16")` before the layers are made is all it takes: `compile` then wraps the optimizer in
a `LossScaleOptimizer`.

Example:
    >>> import nyala
    >>> nyala.mixed_precision.Policy("mixed_float16").compute_dtype
    'float16'
"""

from __future__ import annotations

from nyala.core.policy import DTypePolicy, dtype_policy, set_dtype_policy
from nyala.optimizers.loss_scale import LossScaleOptimizer

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

Policy = DTypePolicy
global_policy, set_global_policy = dtype_policy, set_dtype_policy
