"""`Input` and `InputLayer`: where a graph of layers starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nyala.core import config, graph, tensor, tree
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.core.tensor import KerasTensor, mask_of


class InputLayer(Layer):
    """The start of a graph: it holds the symbolic tensor that stands for the data.

    Example:
        >>> import nyala
        >>> nyala.layers.InputLayer(shape=(3,)).output.shape
        (None, 3)
    """

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        sparse: bool | None = None,
        ragged: bool | None = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "batch_input_shape" in kwargs:  # what files of Keras 2 call it
            batch_shape = kwargs.pop("batch_input_shape")
        if "input_shape" in kwargs:
            shape = kwargs.pop("input_shape")
        super().__init__(name=name, dtype=None, **kwargs)
        if input_tensor is not None:
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        if shape is not None and batch_shape is not None:
            raise ValueError(
                f"Input `{self.name}` takes `shape` or `batch_shape`, but got both: {shape}, {batch_shape}."
            )
        if batch_shape is None and shape is None:
            raise ValueError(f"Input `{self.name}` needs a shape, such as shape=(28, 28, 1), without the batch axis.")
        if isinstance(shape, int):
            raise ValueError(f"The shape of Input `{self.name}` must be a tuple, such as ({shape},), but got {shape}.")
        whole = batch_shape if batch_shape is not None else (batch_size, *(shape or ()))
        for size in whole:
            if size is not None and (isinstance(size, bool) or not hasattr(size, "__index__") or size < 0):
                raise ValueError(
                    f"Each size in the shape of Input `{self.name}` is a positive integer or None: {whole}."
                )
        self.batch_shape = tuple(whole)
        self.sparse, self.ragged, self.optional = bool(sparse), bool(ragged), optional
        symbol = input_tensor or KerasTensor(whole, dtype or None, self.sparse, self.ragged, name=self.name)
        self._dtype = symbol.dtype
        graph.record(self, (), {}, symbol)
        self.built = True

    @property
    def dtype(self) -> str:
        return self._dtype

    def call(self) -> Any:
        return self.output

    def get_config(self) -> dict[str, Any]:
        return {
            "batch_shape": list(self.batch_shape),
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def Input(  # noqa: N802 - the reference's name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    ragged: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> Any:
    """A symbolic tensor that stands for the data: the start of a Functional model.

    `shape` leaves out the batch axis, `batch_shape` has it. Raises ValueError where neither or both are given.

    Example:
        >>> import nyala
        >>> x = nyala.Input((3,))
        >>> nyala.Model(x, nyala.layers.Dense(2)(x)).output_shape
        (None, 2)
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return tree.flatten(layer.output)[0]


config.layers.add(InputLayer)


def fit_input(x: Any, symbol: KerasTensor, model: str) -> Any:
    """`x` with the rank and dtype of a model's input: `(N,)` and `(N, 1)` pass for each other, numbers are cast.

    Raises ValueError for another rank and TypeError for strings where numbers are wanted, or the reverse.
    """
    if not tensor.is_tensor_like(x) or isinstance(x, (tf.SparseTensor, tf.RaggedTensor)):
        return x
    rank, wanted = len(x.shape), len(symbol.shape)
    fits = x
    if rank == wanted - 1 and symbol.shape[-1] == 1:
        fits = tf.expand_dims(x, -1)
    elif rank == wanted + 1 and x.shape[-1] == 1:
        fits = tf.squeeze(x, -1)
    elif rank != wanted:
        raise wrong_shape(x, symbol, model)
    if fits.dtype.name != symbol.dtype:
        if "string" in (fits.dtype.name, symbol.dtype):
            raise TypeError(
                f"`{model}` expected its input {symbol.name!r} to hold {symbol.dtype} values but got {fits.dtype.name}; "
                "turn words into numbers first, with a lookup or a vectorization layer."
            )
        fits = tf.cast(fits, symbol.dtype)
    mask = mask_of(x)
    if mask is not None and fits is not x:
        fits._keras_mask = mask
    return fits


def wrong_shape(x: Any, symbol: KerasTensor, model: str) -> ValueError:
    """The error for data of another shape than a model's input."""
    shape = tensor.static_shape(x)
    cure = "the first axis is the batch"
    if len(shape) == len(symbol.shape) - 1:
        cure += ", which seems to be missing: call `.batch(32)` on a dataset, `x[None]` on a single row"
    return ValueError(
        f"`{model}` expected its input {symbol.name!r} to have shape {symbol.shape} but got {shape}; {cure}."
    )
