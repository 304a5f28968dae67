"""The one door to TensorFlow: `from nyala.core.engine import tf`.

TensorFlow takes seconds to import, so nothing above this module is imported by `import nyala`; the first name that
needs TensorFlow opens the door.
"""

from __future__ import annotations

import gc
import os
import sys
from types import ModuleType
from typing import Any


def _import_tensorflow() -> ModuleType:
    """Import TensorFlow without the Keras it would otherwise bring along.

    TensorFlow imports Keras 3 as a side effect unless it is told that `tf.keras` means Keras 2, which it loads only
    when somebody asks for it. The variable is restored, so a later `tf.keras` is the one that the user chose.

    The collector of garbage rests meanwhile, and never looks again at the half million objects that come, which stay
    for good: each look takes a sixth of a second.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        import tensorflow
    finally:
        gc.freeze()
        if is_collecting:
            gc.enable()
        if before is None:
            del os.environ["TF_USE_LEGACY_KERAS"]
        else:
            os.environ["TF_USE_LEGACY_KERAS"] = before
    return tensorflow


tf: Any = _import_tensorflow()


def _set_up_autograph() -> Any:
    """Keep AutoGraph, which rewrites a user's `if tensor:` for graphs, out of our own functions.

    Returns the error that it raises for a function whose source it cannot see.
    """
    from tensorflow.python.autograph.core import config
    from tensorflow.python.autograph.impl.api import ConversionError

    config.CONVERSION_RULES = (config.DoNotConvert("nyala"), *config.CONVERSION_RULES)
    return ConversionError


ConversionError: Any = _set_up_autograph()


def device(device_name: str) -> Any:
    """A scope inside which tensors and variables are made on a device, such as `"cpu:0"` or `"gpu:1"`.

    Example:
        >>> import nyala
        >>> with nyala.device("cpu:0"):
        ...     print(nyala.Variable([1.0]).value.device[-5:])
        CPU:0
    """
    if not isinstance(device_name, str):
        raise ValueError(f"A device is named by a string such as 'cpu:0' or 'gpu:0', but got {device_name!r}.")
    return tf.device(device_name)


def is_eager() -> bool:
    """Whether operations run now rather than being written into a graph."""
    return tf.executing_eagerly()


def gpus() -> list[Any]:
    """The GPUs that TensorFlow sees."""
    return tf.config.list_logical_devices("GPU")
