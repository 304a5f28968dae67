"""How an LSTM or GRU runs, by rule: by cuDNN, by a kernel for whole sequences, by the loop whose gradient is written by hand.

Where no rule holds, the loop for any cell runs. Rules look at arguments, shapes and the device, so they are tested without a GPU.
"""

from __future__ import annotations

from typing import Any

from nyala.core import config
from nyala.core.engine import gpus, tf
from nyala.layers.recurrent_cells import GRUCell, LSTMCell


def uses_fast_path(layer: Any, training: bool) -> bool:
    """Whether an LSTM or GRU can take the loop with the hand-written gradient.

    It needs tanh and sigmoid, no dropout of the states (in training), no unrolling, and a GRU that resets after.
    """
    cell = layer.cell
    return (
        type(cell) in (LSTMCell, GRUCell)
        and cell.activation is config.activations.find("tanh")
        and cell.recurrent_activation is config.activations.find("sigmoid")
        and not (training and cell.recurrent_dropout)
        and not layer.unroll
        and getattr(cell, "reset_after", True)
    )


def what_hinders_cudnn(layer: Any, shape: Any, training: bool, on_gpu: bool, for_xla: bool) -> str:
    """Why an LSTM or GRU called on inputs (N, T, D) of a shape does not run by cuDNN, in words; empty where it does."""
    if layer.use_cudnn is False:
        return "use_cudnn=False"
    if not on_gpu:
        return "it does not run on a GPU"
    if for_xla:
        return "XLA, which compiles it, does not know cuDNN"
    if not uses_fast_path(layer, training):
        return (
            "cuDNN knows activation='tanh' and recurrent_activation='sigmoid' only, no unrolling, no recurrent dropout, "
            "and of the GRUs the one with reset_after=True"
        )
    if layer.cell.mask_count and layer.cell.dropout and training:
        return "implementation=1 has a dropout mask for each gate"
    return "there are no rows or no time steps" if 0 in tuple(shape)[:2] else ""


def runs_on_gpu() -> bool:
    """Whether what is computed or traced now goes to a GPU: there is one, and nobody asked for the CPU."""
    return bool(gpus()) and "CPU" not in tf.constant(0.0).device


def is_for_xla() -> bool:
    """Whether what is traced now is for XLA."""
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

    return not tf.executing_eagerly() and GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def uses_block_kernel(layer: Any, inputs: Any, mask: Any, forward_only: bool) -> bool:
    """Whether an LSTM on the fast path can take TensorFlow's kernel for whole sequences, given inputs (T, N, D).

    The kernel is for float32 and for batches that are known not to be empty; it knows no mask, no XLA and no second derivative.
    """
    return (
        isinstance(layer.cell, LSTMCell)
        and forward_only
        and mask is None
        and layer.cell.input_mask is None
        and inputs.dtype == tf.float32
        and all(inputs.shape[:2])
    )
