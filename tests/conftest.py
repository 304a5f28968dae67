"""What holds for every test: a quiet TensorFlow on two threads, and no test that leaves the process changed."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator

# TensorFlow reads these once, when it is first imported; so they are set before any test can do that.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Two threads at most: more win nothing on small arrays, and several test runs share one machine.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "2")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "2")
os.environ.setdefault("OMP_NUM_THREADS", "2")

import pytest

from nyala.core import settings

settings.disable_traceback_filtering()  # a test that fails shows every line

# Set by libraries on their first import or use, which may well happen inside a test; the last is pytest's own.
SET_BY_OTHERS = {
    "TF2_BEHAVIOR",
    "ENABLE_RUNTIME_UPTIME_TELEMETRY",
    "TPU_ML_PLATFORM",
    "TPU_ML_PLATFORM_VERSION",
    "HDF5_PLUGIN_PATH",
    "PYTEST_CURRENT_TEST",
}
# Caches that test tools make where they are started.
MADE_BY_TOOLS = {"__pycache__", ".hypothesis", ".pytest_cache", ".ruff_cache", ".import_linter_cache"}
START_DIRECTORY = os.getcwd()
SECONDS_FOR_THREADS_TO_END = 1.0


def working_directory() -> str:
    return os.getcwd()


def files_at_start_directory() -> set[str]:
    return set(os.listdir(START_DIRECTORY)) - MADE_BY_TOOLS


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SET_BY_OTHERS}


def settings_of_nyala() -> dict[str, object]:
    return {name: value for name, value in vars(settings._Settings).items() if not name.startswith("__")}


# State that a test must leave as it found it: each probe is called before and after, and the answers are compared.
# Whoever adds a global setting adds a probe. Random states are not here: drawing numbers is what they are for.
STATE_PROBES: list[Callable[[], object]] = [
    working_directory,
    files_at_start_directory,
    environment,
    settings_of_nyala,
]


def difference(before: object, after: object) -> str:
    """What changed, in few words. Of a mapping only the keys: environment variables may hold secrets."""
    if isinstance(before, dict) and isinstance(after, dict):
        return ", ".join(sorted(key for key in before | after if before.get(key) != after.get(key)))
    if isinstance(before, set) and isinstance(after, set):
        return ", ".join(sorted(map(str, before ^ after)))
    return f"{before!r} became {after!r}"


def new_threads(before: set[threading.Thread]) -> list[str]:
    """Names of the threads started since `before`, after a moment in which they may end by themselves."""
    deadline = time.monotonic() + SECONDS_FOR_THREADS_TO_END
    while started := [thread for thread in threading.enumerate() if thread not in before and not is_foreign(thread)]:
        if time.monotonic() > deadline:
            return sorted(thread.name for thread in started)
        time.sleep(0.01)
    return []


def is_foreign(thread: threading.Thread) -> bool:
    # Python's name for a thread it did not start: TensorFlow's own, once they have run a Python function; they stay.
    return thread.name.startswith("Dummy-")


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not walk all of it again for every few objects that a test makes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


@pytest.fixture(autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """Fail the test that leaks. Being the first fixture set up, it looks again after all others are torn down."""
    threads = set(threading.enumerate())
    before = {probe: probe() for probe in STATE_PROBES}
    yield
    leaks = [f"threads still alive: {new}"] if (new := new_threads(threads)) else []
    changes = [(probe.__name__, old, probe()) for probe, old in before.items()]
    leaks += [f"{name}: {difference(old, now)}" for name, old, now in changes if now != old]
    if leaks:
        pytest.fail("The test leaks state; " + "; ".join(leaks), pytrace=False)
