"""`PyDataset`: batches by number, from Python."""

from __future__ import annotations

from typing import Any


class PyDataset:
    """Data that Python prepares batch by batch: a subclass gives `__getitem__(index)` and `__len__()`.

    Batches are prepared ahead of training, by `workers` threads, or processes with `use_multiprocessing=True`, of which
    at most `max_queue_size` batches wait; they come in order, the same for any number of workers. `fit` draws the order
    of the batches anew for each epoch unless `shuffle=False`. A worker that fails or dies ends training with its error.
    Processes are copies made when an epoch begins; in each batch they draw from NumPy's and Python's random generators
    as that batch wants it, so that no two batches share their noise. `get_state()` and `set_state(state)` may be defined
    too: what they give and take goes into backups. Raises ValueError for
    numbers that are no numbers of workers or of places in the queue.

    Example:
        >>> import numpy as np
        >>> import nyala
        >>> class Ones(nyala.utils.PyDataset):
        ...     def __len__(self):
        ...         return 3
        ...     def __getitem__(self, index):
        ...         return np.ones((2, 1)), np.zeros((2, 1))
        >>> Ones().num_batches
        3
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        for name, value, least in (("workers", workers, 0), ("max_queue_size", max_queue_size, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is an integer, {least} or more, but got {value!r}.")
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, index: int) -> Any:
        """The batch with that number."""
        raise TypeError(f"{type(self).__name__} must define `__getitem__(self, index)`, which returns a batch.")

    @property
    def num_batches(self) -> int | None:
        """How many batches an epoch has; None where it has no end."""
        return len(self) if hasattr(self, "__len__") else None  # type: ignore[arg-type]

    def on_epoch_begin(self) -> None:
        """Called before an epoch."""

    def on_epoch_end(self) -> None:
        """Called behind an epoch, a good moment to shuffle."""
