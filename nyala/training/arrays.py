"""Arrays as data: what counts as one, how they become numbers of one type, how many fit into memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.core.engine import tf

SURELY_FITS = 2**26  # bytes that are not worth a look at the memory
FRACTION_OF_MEMORY = 0.25
UNKNOWN_MEMORY = 2**32  # what is free where the system does not say
memory_budget: int | None = None  # bytes of arrays that a device may hold; None: a fraction of the free memory


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """A batch as `(x, y, sample_weight)`, with None for what it lacks.

    Example:
        >>> import nyala
        >>> nyala.utils.unpack_x_y_sample_weight((1, 2))
        (1, 2, None)
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise ValueError(f"A batch is x, (x, y) or (x, y, sample_weight), but got {len(data)} parts.")
    x, y, sample_weight = [*data, None, None, None][:3]
    return x, y, sample_weight


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """`x`, `(x, y)` or `(x, y, sample_weight)`, as much as is there.

    Example:
        >>> import nyala
        >>> nyala.utils.pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if sample_weight is not None:
        return (x, y, sample_weight)
    if y is not None:
        return (x, y)
    return (x,) if isinstance(x, (tuple, list)) else x


def trimmed(parts: tuple[Any, Any, Any]) -> tuple[Any, ...]:
    """`(x, y, sample_weight)` without what is absent at its end: what a step of the user's own unpacks."""
    x, y, sample_weight = parts
    return (x, y, sample_weight) if sample_weight is not None else (x, y) if y is not None else (x,)


# ---- What is an array, and as what type ----


def is_arrays(data: Any) -> bool:
    """Whether `data` is an array, a tensor, a data frame, or lists and dicts of them."""
    if isinstance(data, (list, tuple)):
        return len(data) > 0 and all(is_arrays(item) or isinstance(item, (bool, int, float)) for item in data)
    if isinstance(data, Mapping):
        return all(is_arrays(item) for item in data.values())
    return (
        hasattr(data, "__array__")
        or tensor.is_tensor_like(data)
        or hasattr(data, "__tf_tensor__")
        or hasattr(data, "tocoo")  # a sparse matrix of SciPy
    )


def as_arrays(data: Any, what: str) -> Any:
    """`data` with each part a NumPy array or tensor, floats as `floatx()`; a TypeError names what is no number.

    An array too large for the memory stays as it is: its batches are converted one by one.
    """
    if data is None:
        return None
    if isinstance(data, Mapping):
        return {key: as_arrays(value, f"{what}[{key!r}]") for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        if data and all(isinstance(item, (bool, int, float, np.generic)) for item in tree.flatten(list(data))):
            return as_arrays(np.asarray(data), what)  # rows typed by hand
        return type(data)(as_arrays(item, f"{what}[{place}]") for place, item in enumerate(data))
    if tensor.is_tensor_like(data):
        return data
    if hasattr(data, "tocoo"):
        return _sparse_tensor(data.tocoo())
    array = _numbers(data, what)
    kept = kept_dtype(array.dtype)
    return array if kept == array.dtype or not fits_in_memory(array.nbytes) else array.astype(kept)


def kept_dtype(dtype: Any) -> Any:
    """The dtype that data of `dtype` is used in: floats of 64 bits, and any others than `floatx()`, become that."""
    narrows = dtype == np.float64 or (dtype == np.float32 and tensor.floatx() != "float32")
    return np.dtype(tf.as_dtype(tensor.floatx()).as_numpy_dtype) if narrows else dtype


def _numbers(data: Any, what: str) -> np.ndarray:
    """An array, data frame or series, or a tensor of another library, as a NumPy array of numbers or strings."""
    if hasattr(data, "detach"):  # a tensor that may be a part of a gradient, or lie on another device
        data = data.detach().cpu()
    array = data.to_numpy() if hasattr(data, "to_numpy") else np.asarray(data)
    if array.dtype == object:
        try:
            return array.astype(tensor.floatx())
        except (TypeError, ValueError):
            raise TypeError(_why_no_numbers(data, what)) from None
    if array.dtype.kind in "mM":
        raise TypeError(f"`{what}` holds dates or times ({array.dtype}); make them numbers, such as days since a date.")
    return array


def _why_no_numbers(data: Any, what: str) -> str:
    columns = getattr(data, "columns", None)
    named = [(f"the column {name!r} of `{what}`", data[name]) for name in columns] if columns is not None else []
    for name, part in named or [(f"`{what}`", data)]:
        kind = str(getattr(part, "dtype", "object"))
        if kind == "category":
            return (
                f"{name} is categorical; pass its numbers (`.cat.codes`), or a column for each (`pandas.get_dummies`)."
            )
        if hasattr(part, "isna") and kind not in ("object", "str", "string") and part.isna().any():
            return f"{name} ({kind}) misses {int(part.isna().sum())} of {len(part)} values; fill them (`.fillna`) or drop them."
        if named and kind.startswith(("object", "str", "datetime", "timedelta", "period", "interval")):
            return f"{name} holds {kind} values instead of numbers; make it numbers or leave it out."
    return (
        f"`{what}` holds Python objects instead of numbers (dtype object); make it an array of one number type, "
        "with rows of equal length."
    )


def _sparse_tensor(matrix: Any) -> Any:
    """A sparse matrix, given by coordinates, as a tensor."""
    places = np.stack([matrix.row, matrix.col], axis=1).astype("int64")
    values = np.asarray(matrix.data).astype(kept_dtype(matrix.data.dtype))
    return tf.sparse.reorder(tf.SparseTensor(places, values, matrix.shape))


# ---- Rows ----


def row_count(data: Any, names: tuple[str, ...] = ("x", "y", "sample_weight")) -> int:
    """How many rows the parts of `data` have; a ValueError where they differ or there is none."""
    sizes: dict[str, int] = {}
    parts = dict(zip(names, data)) if isinstance(data, tuple) else {"x": data}
    for name, part in parts.items():
        for path, leaf in tree.flatten_with_path(part):
            if leaf is None:
                continue
            shape = tensor.static_shape(leaf)
            place = name + "".join(f"[{key!r}]" for key in path)
            if not shape:
                raise ValueError(f"`{place}` is a single number; the first axis must be the rows of the data.")
            sizes[place] = int(shape[0])  # pyright: ignore[reportArgumentType]
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise ValueError(f"The parts of the data must have the same number of rows, but {found}.")
    count = next(iter(sizes.values()), 0)
    if count == 0:
        raise ValueError(f"The data is empty: `{next(iter(sizes), 'x')}` has no rows.")
    return count


def split_rows(data: Any, fraction: float) -> tuple[Any, Any]:
    """The data without its last rows, and these last rows: `fraction` of them, for validation."""
    if not 0 < fraction < 1:
        raise ValueError(f"validation_split is a fraction between 0 and 1, but got {fraction}.")
    count = row_count(data)
    at = int(count * (1.0 - fraction))
    if at == 0 or at == count:
        raise ValueError(f"validation_split={fraction} of {count} rows leaves a part without rows.")

    def cut(rows: slice) -> Any:
        return tree.map_structure(lambda a: None if a is None else take_rows(a, np.arange(count)[rows], rows), data)

    return cut(slice(None, at)), cut(slice(at, None))


def take_rows(array: Any, places: np.ndarray, rows: slice | None = None) -> Any:
    """Some rows of an array, a sparse or a ragged tensor: those at `places`, which is what the slice `rows` gives."""
    if isinstance(array, tf.SparseTensor):
        return _sparse_rows(array, places)
    if isinstance(array, tf.RaggedTensor) and rows is None:
        return tf.gather(array, places)
    return array[places if rows is None else rows]


def _sparse_rows(array: Any, places: np.ndarray) -> Any:
    indices, values = array.indices.numpy(), array.values.numpy()  # ordered by row
    first, last = (np.searchsorted(indices[:, 0], places, side=side) for side in ("left", "right"))
    counts = last - first
    kept = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
    moved = indices[kept]
    moved[:, 0] = np.repeat(np.arange(len(places)), counts)
    return tf.SparseTensor(moved, values[kept], [len(places), *array.shape[1:]])


# ---- Memory ----


def fits_in_memory(size: int) -> bool:
    """Whether a device may hold so many bytes of data beside what lies there already."""
    if memory_budget is not None:
        return size <= memory_budget
    return size <= SURELY_FITS or size <= free_memory() * FRACTION_OF_MEMORY


def free_memory() -> int:
    """How many bytes this process may still take, by what the system and its limits say."""
    free = UNKNOWN_MEMORY
    try:
        with open("/proc/meminfo") as file:
            free = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        limit, used = (_number_in(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
        return max(min(free, limit - used), 0)
    except (OSError, ValueError):
        return free


def _number_in(path: str) -> int:
    with open(os.fspath(path)) as file:
        return int(file.read())
