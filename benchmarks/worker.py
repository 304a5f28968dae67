"""The child's part: `python -m benchmarks.worker JOB` does one contender's share of a row and prints one JSON line."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.contenders import CONTENDERS, gpu_count
from benchmarks.job import Job
from benchmarks.rows import ROWS


def main() -> None:
    told = json.loads(sys.argv[1])
    contender = CONTENDERS[told["contender"]]
    if told["device"] == "gpu" and gpu_count(contender.engine) == 0:
        raise SystemExit(f"{contender.engine} sees no GPU")
    inputs = {path.stem: np.load(path) for path in Path(told["folder"]).glob("*.npy")}
    job = Job(contender, inputs, told["repeats"], told["device"], told["started"])
    print(json.dumps(dataclasses.asdict(ROWS[told["row"]].run(job))))


if __name__ == "__main__":
    main()
