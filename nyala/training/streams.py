"""Streams: batches that Python makes, read ahead in a thread and laid side by side, so that one device call takes many.

A `Reader` draws batches from an iterator and puts them into blocks. It works ahead while the device computes, as far as
a few blocks and as it was told; what it read and nobody took stays on the iterator's shelf for the next reader.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optree

from nyala.core import tensor
from nyala.core.engine import tf
from nyala.training.arrays import as_arrays, kept_dtype

BLOCK_BYTES = 16 * 2**20  # enough batches to forget Python, few enough to stay in reach of the processor's cache
BLOCK_BATCHES = 256
BLOCKS_AHEAD = 2  # full blocks that wait to be taken; a third is being filled
SECONDS_OF_PATIENCE = 0.1  # how long batches that are there wait for more to come
SECONDS_IDLE = 0.2  # a thread without work for so long ends; the next demand starts another

# What a tensor and a NumPy array can share memory in; other dtypes are copied.
SHARED = frozenset(f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)) - {"float8"}


class Block:
    """Up to `capacity` batches of one shape side by side: each array is (capacity, N, …), `filled` of them are there."""

    def __init__(self, leaves: list[Any], structure: Any) -> None:
        self.structure = structure
        _check_rows(leaves, structure)
        self.given = [(leaf.shape, leaf.dtype) for leaf in leaves]
        size = sum(leaf.nbytes for leaf in leaves)
        self.capacity = min(max(BLOCK_BYTES // max(size, 1), 1), BLOCK_BATCHES)
        self.arrays = [_aligned((self.capacity, *leaf.shape), kept_dtype(leaf.dtype)) for leaf in leaves]
        self.filled = self.taken = 0
        self.states: list[Any] = []  # of the source, behind each batch
        self._tensors: list[Any] | None = None

    def put(self, leaves: list[Any], structure: Any, state: Any) -> bool:
        """Add a batch, if there is room and it has the shape of the others."""
        if self.filled == self.capacity or structure != self.structure:
            return False
        for leaf, (shape, dtype) in zip(leaves, self.given):
            if leaf.shape != shape or leaf.dtype != dtype:
                return False
        place = self.filled
        for array, leaf in zip(self.arrays, leaves):
            array[place] = leaf
        self.states.append(state)
        self.filled = place + 1
        return True

    def tensors(self) -> list[Any] | None:
        """The arrays as tensors that share their memory; None where a dtype does not allow that."""
        if self._tensors is None and all(array.dtype.name in SHARED for array in self.arrays):
            self._tensors = [tf.experimental.dlpack.from_dlpack(array.__dlpack__()) for array in self.arrays]
        return self._tensors

    def view(self, rows: Any) -> Any:
        """Some of the batches in the structure of a batch: arrays (batches, N, …), or one batch."""
        return optree.tree_unflatten(self.structure, [array[rows] for array in self.arrays])


class LooseBlock:
    """One batch with a part that has no rows of equal length: sparse or ragged."""

    capacity = filled = 1

    def __init__(self, leaves: list[Any], structure: Any, state: Any) -> None:
        self.structure, self.leaves, self.states = structure, leaves, [state]
        self.taken = 0

    def put(self, leaves: list[Any], structure: Any, state: Any) -> bool:
        """There is no room."""
        return False

    def view(self, rows: Any) -> Any:
        """The batch."""
        return optree.tree_unflatten(self.structure, self.leaves)


class Chunk:
    """`count` batches of a block, from `first` on."""

    def __init__(self, block: Any, first: int, count: int) -> None:
        self.block, self.first, self.count = block, first, count

    @property
    def is_loose(self) -> bool:
        """Whether it is a single batch that does not lie in arrays."""
        return isinstance(self.block, LooseBlock)

    @property
    def state(self) -> Any:
        """Of the source, behind the last of the batches."""
        return self.block.states[self.first + self.count - 1]

    @property
    def shapes(self) -> Any:
        """The shapes and dtypes of a batch, to be compared."""
        return None if self.is_loose else self.block.given

    def view(self) -> Any:
        """The batches side by side: arrays (count, N, …) in the structure of a batch."""
        return self.block.view(slice(self.first, self.first + self.count))

    def tensors(self) -> tuple[list[Any], int]:
        """Tensors (batches, N, …), and at which of their batches the chunk begins."""
        shared = self.block.tensors()
        if shared is not None:
            return shared, self.first
        return [tf.convert_to_tensor(array[self.first : self.first + self.count]) for array in self.block.arrays], 0

    def batches(self) -> list[Any]:
        """The batches one by one."""
        return [self.batch(place) for place in range(self.count)]

    def batch(self, place: int) -> Any:
        """One of the batches."""
        return self.block.view(self.first + place)


class Shelf:
    """What was read from an iterator and not yet taken: full blocks, and the one that is being filled."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.blocks: deque[Any] = deque()
        self.drawn = self.handed = 0  # batches, ever
        self.limit: int | None = 0  # how many may be drawn; None: all
        self.wanted = 0  # how many somebody waits for
        self.over = False  # there is nothing more to draw, or an error came instead
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None

    def has_room(self) -> bool:
        """Whether a batch may be drawn."""
        if self.over or (self.limit is not None and self.drawn >= self.limit):
            return False
        return len(self.blocks) <= BLOCKS_AHEAD or self.blocks[-1].filled < self.blocks[-1].capacity

    def wait_for_room(self) -> bool:
        """Whether a batch may be drawn, now or in a moment; where not, the thread that asks is to end."""
        with self.changed:
            if not self.has_room() and not self.over and self.drawn != self.limit:
                self.changed.wait(SECONDS_IDLE)
            if self.has_room():
                return True
            self.thread = None
            self.changed.notify_all()
            return False

    def waiting(self) -> int:
        """How many batches of one shape can be taken at once."""
        blocks = self.blocks
        while blocks and blocks[0].taken == blocks[0].filled and (len(blocks) > 1 or self.over or self._is_full()):
            blocks.popleft()
            self.changed.notify_all()
        return blocks[0].filled - blocks[0].taken if blocks else 0

    def _is_full(self) -> bool:
        return self.blocks[0].filled == self.blocks[0].capacity

    def is_ready(self, most: int) -> bool:
        """Whether `most` batches can be taken, or fewer that no other will join."""
        there = self.waiting()
        return there >= most or self.over or (there > 0 and (len(self.blocks) > 1 or self._is_full()))

    def put(self, batch: Any, state: Any) -> None:
        """Add a batch behind the others."""
        leaves, structure = _leaves(batch)
        last = self.blocks[-1] if self.blocks else None
        if last is not None and last.put(leaves, structure, state):
            new = None
        elif any(tensor.is_tensor_like(leaf) for leaf in leaves):
            new = LooseBlock(leaves, structure, state)
        else:
            new = Block(leaves, structure)
            new.put(leaves, structure, state)
        with self.changed:
            if new is not None:
                self.blocks.append(new)
            self.drawn += 1
            if self.wanted and (new is not None or self.is_ready(self.wanted)):
                self.changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        """Note that there is nothing more to draw, or that an error came instead."""
        with self.changed:
            self.over, self.error = True, error
            self.changed.notify_all()


_shelves: weakref.WeakKeyDictionary[Any, Shelf] = weakref.WeakKeyDictionary()


def _shelf_of(iterator: Any) -> Shelf:
    """The shelf of an iterator, with what an earlier reader left there; a new one for what cannot be a weak key."""
    try:
        return _shelves.setdefault(iterator, Shelf())
    except TypeError:
        return Shelf()


class Reader:
    """Reads an iterator ahead, in a thread that lives while there is work.

    `state`, where it is given, is asked behind each batch; the chunk that ends there knows the answer. `transform`, where
    it is given, is called on each batch.
    """

    def __init__(
        self,
        iterator: Iterator[Any],
        state: Callable[[], Any] | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.iterator, self.state, self.transform = iterator, state, transform
        self.shelf = _shelf_of(iterator)

    def take(self, most: int, ahead: int | None) -> Chunk | None:
        """Up to `most` batches of one shape, or what is there when patience ends; None behind the last.

        At most `ahead` batches are read from here on, where it is given. Raises what the iterator raised, in its turn.
        """
        shelf = self.shelf
        with shelf.changed:
            shelf.limit = None if ahead is None else shelf.handed + max(ahead, most)
            self._wait(most)
            there = shelf.waiting()
            if not there:
                return None
            block = shelf.blocks[0]
            chunk = Chunk(block, block.taken, min(most, there))
            block.taken += chunk.count
            shelf.handed += chunk.count
            shelf.waiting()  # a block that is used up makes room
            return chunk

    def peek(self) -> Any:
        """The next batch, which stays; None where there is none."""
        shelf = self.shelf
        with shelf.changed:
            shelf.limit = shelf.handed + 1
            self._wait(1)
            return shelf.blocks[0].view(shelf.blocks[0].taken) if shelf.waiting() else None

    def skip(self, batches: int) -> None:
        """Leave out so many batches."""
        while batches > 0:
            chunk = self.take(batches, batches)
            if chunk is None:
                return
            batches -= chunk.count

    def close(self, wait: bool = True) -> None:
        """Stop for good, and let go of what makes the batches."""
        self.stop(wait)
        close = getattr(self.iterator, "close", None)
        if close is not None:
            close()

    def stop(self, wait: bool = True) -> None:
        """Read no further; with `wait`, come back when the thread has ended, which may be in the middle of a slow batch."""
        with self.shelf.changed:
            self.shelf.limit = self.shelf.drawn
            self.shelf.changed.notify_all()
            thread = self.shelf.thread
        if thread is not None and wait:
            thread.join()

    def _wait(self, most: int) -> None:
        """Wait until `most` batches are there, or some and patience ends; raise an error that came instead."""
        shelf = self.shelf
        deadline = time.monotonic() + SECONDS_OF_PATIENCE
        shelf.wanted = most
        if shelf.thread is None and shelf.has_room():
            shelf.thread = threading.Thread(
                target=_read,
                args=(self.iterator, self.state, self.transform, shelf),
                name="nyala-reader",
                daemon=True,
            )
            shelf.thread.start()
        shelf.changed.notify_all()
        while not shelf.is_ready(shelf.wanted):
            left = deadline - time.monotonic()
            if left <= 0 and shelf.wanted > 1:
                shelf.wanted = 1
            else:
                shelf.changed.wait(left if left > 0 else None)
        shelf.wanted = 0
        if shelf.error is not None and not shelf.waiting():
            error, shelf.error = shelf.error, None
            try:
                raise error
            finally:
                del error  # which holds this frame


def _read(iterator: Any, state: Callable[[], Any] | None, transform: Callable[[Any], Any] | None, shelf: Shelf) -> None:
    """What the thread does."""
    while shelf.wait_for_room():
        try:
            batch = next(iterator)
            if transform is not None:
                batch = transform(batch)
            shelf.put(batch, state() if state is not None else None)
        except StopIteration:
            shelf.end(None)
        except BaseException as error:
            shelf.end(error)


def _leaves(batch: Any) -> tuple[list[Any], Any]:
    """The parts of a batch, as NumPy arrays but for sparse and ragged ones, and how they are nested."""
    if type(batch) is list:
        batch = tuple(batch)
    leaves, structure = optree.tree_flatten(batch)
    for leaf in leaves:
        if type(leaf) is not np.ndarray or leaf.dtype.hasobject:
            leaves, structure = optree.tree_flatten(as_arrays(batch, "batch"))
            return [leaf.numpy() if isinstance(leaf, tf.Tensor) else leaf for leaf in leaves], structure
    return leaves, structure


def _check_rows(leaves: list[Any], structure: Any) -> None:
    if not leaves:
        raise ValueError("The source gave None instead of a batch; a batch is x, (x, y) or (x, y, sample_weight).")
    if any(leaf.ndim == 0 for leaf in leaves):
        shapes = optree.tree_unflatten(structure, [leaf.shape for leaf in leaves])
        raise ValueError(
            f"The source gives single rows (shapes {shapes}), not batches; gather some rows into arrays first."
        )


def _aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array where tensors want their memory: at a multiple of 64 bytes. What is in it is not said."""
    size = math.prod(shape) * dtype.itemsize
    if dtype.name not in SHARED:
        return np.zeros(shape, dtype)
    memory = np.empty(size + 64, "uint8")
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
