"""Workers: threads or processes that prepare the batches of a sequence ahead, in its order.

Batches are numbered; whichever worker is done first, they come in order, and they are the same for any number of workers.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import random
import signal
import sys
import threading
import traceback
import warnings
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

SECONDS_IDLE = 0.2  # a thread without work for so long ends
SECONDS_BETWEEN_LOOKS = 1.0  # of a worker process at whether its parent lives


def batches_by_number(source: Any, places: Iterable[int], seed: tuple[int, int]) -> Iterator[Any]:
    """`source[place]` for each of the places, in their order, prepared by as many workers as the source wants."""
    workers = max(int(getattr(source, "workers", 1) or 1), 1)
    ahead = max(int(getattr(source, "max_queue_size", 10) or 10), workers)
    if getattr(source, "use_multiprocessing", False):
        return Processes(source, places, workers, ahead, seed)
    if workers > 1:
        return Threads(source, places, workers, ahead)
    return map(source.__getitem__, places)


# ---- Threads ----


class Threads:
    """Iterates over batches that threads prepare; a thread lives while there is work."""

    def __init__(self, source: Any, places: Iterable[int], workers: int, ahead: int) -> None:
        self.source, self.places = source, iter(places)
        self.workers, self.ahead = workers, ahead
        self.changed = threading.Condition()
        self.results: dict[int, tuple[bool, Any]] = {}  # whether it is a batch or an error, by number
        self.begun = self.given = self.running = 0
        self.over = False

    def __iter__(self) -> Threads:
        return self

    def __next__(self) -> Any:
        with self.changed:
            while self.given not in self.results:
                if self.over and self.given == self.begun:
                    raise StopIteration
                self._hire()
                self.changed.wait()
            fine, result = self.results.pop(self.given)
            self.given += 1
            self._hire()
            self.changed.notify_all()
        if fine:
            return result
        raise result

    def close(self) -> None:
        """Begin no other batch."""
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def _has_room(self) -> bool:
        return not self.over and self.begun < self.given + self.ahead

    def _hire(self) -> None:
        while self.running < min(self.workers, self.given + self.ahead - self.begun) and self._has_room():
            self.running += 1
            threading.Thread(target=self._work, name="nyala-worker", daemon=True).start()

    def _work(self) -> None:
        while (task := self._next_task()) is not None:
            number, place = task
            try:
                result = True, self.source[place]
            except BaseException as error:
                result = False, error
            with self.changed:
                self.over |= not result[0]
                self.results[number] = result
                self.changed.notify_all()

    def _next_task(self) -> tuple[int, int] | None:
        with self.changed:
            if not self._has_room() and not self.over:
                self.changed.wait(SECONDS_IDLE)
            place = next(self.places, None) if self._has_room() else None
            if place is None:
                self.over |= self._has_room()
                self.running -= 1
                self.changed.notify_all()
                return None
            self.begun += 1
            return self.begun - 1, place


# ---- Processes ----


class WorkerError(Exception):
    """What an error in a worker process was: its traceback as text."""


class Worker:
    """A process, and the connection by which it gets numbers and gives batches."""

    def __init__(self, process: Any, connection: Connection) -> None:
        self.process, self.connection = process, connection

    def answer(self) -> tuple[bool, Any] | None:
        """Its next answer; None where it ended without one."""
        wait([self.connection, self.process.sentinel])
        try:
            return self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            return None


class Processes:
    """Iterates over batches that processes prepare: the first takes the first, the second the second, and so on."""

    def __init__(self, source: Any, places: Iterable[int], workers: int, ahead: int, seed: tuple[int, int]) -> None:
        self.name, self.places, self.ahead = type(source).__name__, iter(places), ahead
        self.asked: deque[tuple[Worker, int]] = deque()
        self.number = 0
        self.workers: list[Worker] = []
        self.close = weakref.finalize(self, _end_all, self.workers)
        context = _context()
        with warnings.catch_warnings():  # newer Pythons warn of threads, which the workers make no use of
            warnings.simplefilter("ignore", DeprecationWarning)
            for _ in range(workers):
                mine, its = context.Pipe()
                inherited = [*(worker.connection for worker in self.workers), mine]
                if context.get_start_method() != "fork":
                    inherited = []
                process = context.Process(target=_serve, args=(source, its, inherited, seed), daemon=True)
                process.start()
                its.close()
                self.workers.append(Worker(process, mine))

    def __iter__(self) -> Processes:
        return self

    def __next__(self) -> Any:
        self._ask()
        if not self.asked:
            self.close()
            raise StopIteration
        worker, place = self.asked.popleft()
        answer = worker.answer()
        if answer is None:
            error = self._death(worker, place)
            self.close()
            raise error
        fine, result = answer
        if fine:
            self._ask()
            return result
        self.close()
        error, text = result
        raise error from WorkerError(f"\n{text}")

    def _ask(self) -> None:
        """Keep as many batches asked for as may wait."""
        while len(self.asked) < self.ahead and (place := next(self.places, None)) is not None:
            worker = self.workers[self.number % len(self.workers)]
            with contextlib.suppress(OSError):  # where it has ended, its answer will be missed
                worker.connection.send(place)
            self.asked.append((worker, place))
            self.number += 1

    def _death(self, worker: Worker, place: int) -> RuntimeError:
        worker.process.join()
        number, code = self.workers.index(worker) + 1, worker.process.exitcode
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        return RuntimeError(
            f"Worker {number} of {len(self.workers)} of {self.name} (process {worker.process.pid}) {how} before it gave "
            f"batch {place}; it may have run out of memory, so try fewer workers, or use_multiprocessing=False."
        )


def _context() -> Any:
    """Processes start as the program says; where it does not, as copies on Linux, and anew elsewhere."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    return multiprocessing.get_context(chosen or ("fork" if sys.platform == "linux" else "spawn"))


def _end_all(workers: list[Worker]) -> None:
    for worker in workers:
        worker.connection.close()
        worker.process.kill()
    for worker in workers:
        worker.process.join()
        worker.process.close()


def _serve(source: Any, connection: Connection, inherited: list[Connection], seed: tuple[int, int]) -> None:
    """What a worker process does until its parent closes the connection, or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    for other in inherited:
        other.close()
    parent = os.getppid()
    with contextlib.suppress(EOFError, OSError):
        while True:
            while not connection.poll(SECONDS_BETWEEN_LOOKS):
                if os.getppid() != parent:
                    return
            place = connection.recv()
            np.random.seed([*seed, place])  # random batches are the same, whichever worker makes them
            random.seed(f"{seed} {place}")
            connection.send_bytes(_answer(source, place))


def _answer(source: Any, place: int) -> bytes:
    try:
        return pickle.dumps((True, source[place]), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        text = traceback.format_exc()
        try:
            answer = pickle.dumps((False, (error, text)))
            pickle.loads(answer)  # noqa: S301 - what was packed just now; some errors do not come out again
            return answer
        except Exception:
            return pickle.dumps((False, (RuntimeError(f"{type(error).__name__}: {error}"), text)))
