"""Ops that are not NumPy's: conversion, casts, shapes, gradients and control flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import DTypeLike, Tensor, as_tensor, is_symbolic, standardize_dtype
from nyala.ops.rules import dims, tensor

__all__ = ["cast", "cond", "convert_to_numpy", "convert_to_tensor", "shape", "stop_gradient"]


@op
def convert_to_tensor(
    x: Tensor, dtype: DTypeLike = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Turn `x` into a tensor of `dtype`; `sparse=False` and `ragged=False` make a dense one.

    Example:
        >>> from nyala import ops
        >>> ops.convert_to_tensor([1, 2], dtype="float32").numpy().tolist()
        [1.0, 2.0]
    """
    if isinstance(x, tf.SparseTensor) and sparse is False:
        x = tf.sparse.to_dense(x)
    if isinstance(x, tf.RaggedTensor) and ragged is False:
        x = x.to_tensor()
    x = x if dtype is not None else tensor(x)
    return x if dtype is None else as_tensor(x, dtype)


def convert_to_numpy(x: Tensor) -> np.ndarray:
    """Turn `x` into a NumPy array; sparse and ragged tensors become dense.

    Example:
        >>> from nyala import ops
        >>> ops.convert_to_numpy(ops.ones(2)).tolist()
        [1.0, 1.0]
    """
    if isinstance(x, tf.Tensor):
        return np.asarray(x)
    return np.asarray(convert_to_tensor(x, sparse=False, ragged=False))


@op
def cast(x: Tensor, dtype: DTypeLike) -> Tensor:
    """Turn the values of `x` into values of `dtype`.

    Example:
        >>> from nyala import ops
        >>> ops.cast([0.5, 2.7], "int32").numpy().tolist()
        [0, 2]
    """
    x, dtype = tensor(x), standardize_dtype(dtype)
    return x if x.dtype == dtype else tf.cast(x, dtype)


def shape(x: Tensor) -> tuple[Any, ...]:
    """The shape of `x` as a tuple; an unknown dimension is a scalar tensor in a graph and None for a symbolic `x`.

    Example:
        >>> from nyala import ops
        >>> ops.shape(ops.ones((2, 3)))
        (2, 3)
    """
    if is_symbolic(x):
        return x.shape
    x = tensor(x)
    return tuple(x.shape.as_list() if isinstance(x, tf.RaggedTensor) else dims(x))


@op
def stop_gradient(variable: Tensor) -> Tensor:
    """The same values, through which no gradient flows.

    Example:
        >>> from nyala import ops
        >>> ops.stop_gradient([1.0, 2.0]).numpy().tolist()
        [1.0, 2.0]
    """
    return tf.stop_gradient(tensor(variable))


@op
def cond(pred: Tensor, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """The result of `true_fn()` where `pred` is true, else that of `false_fn()`.

    Example:
        >>> from nyala import ops
        >>> ops.cond(ops.greater(2, 1), lambda: ops.add(1, 1), lambda: ops.add(2, 2)).numpy().item()
        2
    """
    if isinstance(pred, tf.Variable):
        pred = tf.convert_to_tensor(pred)
    return tf.cond(pred if isinstance(pred, bool) else tf.cast(tensor(pred), "bool"), true_fn, false_fn)
