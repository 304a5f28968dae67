"""What a hostile file may not do: an audit hook notes files opened elsewhere, programs, connections and code."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 5.0
MEGABYTES = 400  # more than any honest file here needs; a bomb takes gigabytes
_OUTSIDE = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.remove",
    "os.rename",
    "os.link",
}
_OUTSIDE |= {"os.symlink", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree", "pickle.find_class", "webbrowser.open"}
_OUTSIDE |= {"os.putenv", "ctypes.dlopen", "socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request"}

_watched: list[tuple[Path, list[str]]] = []


def _is_import() -> bool:
    frame = sys._getframe(2)
    while frame is not None:
        if "importlib" in frame.f_code.co_filename:
            return True
        frame = frame.f_back  # pyright: ignore[reportAssignmentType]
    return False


def _note(event: str, arguments: tuple) -> None:
    if not _watched:
        return
    folder, seen = _watched[-1]
    if event == "open":
        path = str(arguments[0])
        inside = isinstance(arguments[0], int) or path.startswith((str(folder), "/dev/null"))
        if not inside and not _is_import() and not path.endswith((".py", ".pyc")):
            seen.append(f"opens {path}")
    elif event == "import" and arguments[0].split(".")[0] == "trap":
        seen.append("imports trap")
    elif (event in _OUTSIDE and not str(arguments[0]).startswith(str(folder))) or (
        event in ("marshal.loads", "exec", "compile") and not _is_import() and not _is_known(event, arguments)
    ):
        seen.append(f"{event} {str(arguments)[:100]}")


def _is_known(event: str, arguments: tuple) -> bool:
    """Named tuples, dataclasses and AutoGraph compile too: what they are given is Python's or TensorFlow's own."""
    frame = sys._getframe(2)
    return event != "marshal.loads" and frame.f_code.co_filename.startswith((sys.prefix, sys.base_prefix))


sys.addaudithook(_note)


@contextmanager
def nothing_happens(folder: Path, megabytes: int = MEGABYTES) -> Iterator[None]:
    """Inside, nothing is done outside of `folder`, no code of a file runs, and time and memory stay within bounds."""
    seen: list[str] = []
    _watched.append((folder, seen))
    start, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    try:
        yield
    finally:
        _watched.pop()
    assert not seen, seen
    assert time.perf_counter() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < megabytes << 10
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
