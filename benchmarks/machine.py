"""What a result was measured on: enough to compare with, nothing that tells whose machine it is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders import Contender, version
from benchmarks.harness import ROOT


def describe(device: str) -> dict[str, object]:
    machine: dict[str, object] = {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
    }
    return machine | ({"gpu": gpu_model()} if device == "gpu" else {})


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def gpu_model() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    return lines[0].strip() if lines else "unknown"


def versions(contenders: Sequence[Contender]) -> dict[str, str]:
    modules = sorted({module for contender in contenders for module in contender.modules} | {"numpy"})
    return {"python": platform.python_version(), **{module: version(module) for module in modules}}


def load() -> float | None:
    """How many processes were at work in the last minute: above zero before we start, others use this machine."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def sees_gpu() -> bool:
    """Whether TensorFlow sees a GPU; asked in a process of its own, since this one is to stay small."""
    question = "from benchmarks.contenders import gpu_count; print(gpu_count('tensorflow'))"
    done = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode == 0 and int(done.stdout.split()[-1]) > 0
