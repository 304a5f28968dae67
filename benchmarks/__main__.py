"""`python -m benchmarks [ROW …] [--rounds N] [--quick] [--device cpu|gpu]`: measure, print, write down."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import machine, report
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.harness import judge, measure
from benchmarks.job import Row
from benchmarks.rows import ROWS

RESULTS = Path(__file__).parent / "results"
WIDTH_IN_FILES = 120  # of tables, where no terminal says how wide it is
OTHERS_AT_WORK = 0.5  # a load above this disturbs what is measured


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Nyala against its peers.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"all rows without one: {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="processes per contender (default 5)")
    parser.add_argument("--quick", action="store_true", help="one round of one timed unit, no files")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the files go")
    options = parser.parse_args(given)
    if unknown := [name for name in options.rows if name not in ROWS]:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1, but is {options.rounds}")
    return options


def run_row(row: Row, present: Sequence[Contender], options: argparse.Namespace, console: Console) -> dict[str, Any]:
    taking_part = [contender for contender in present if contender.name in row.contenders]
    rounds, repeats = (1, 1) if options.quick else (options.rounds, None)
    load = machine.load()
    with console.status(row.name) as status:
        outcomes = measure(row, taking_part, rounds, repeats, options.device, tell=status.update)
    return {
        **judge(row, outcomes),
        "device": options.device,
        "rounds": rounds,
        "date": datetime.date.today().isoformat(),
        "not_installed": [contender.name for contender in CONTENDERS.values() if contender.missing()],
        "versions": machine.versions(taking_part),
        "machine": machine.describe(options.device),
        "load_before": load,
    }


def main(given: Sequence[str] | None = None) -> int:
    """0: every row stands; 1: a row is void or a contender failed; 2: nothing was run."""
    options = arguments(given)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_IN_FILES
    if options.device == "gpu" and not machine.sees_gpu():
        console.print("There is no GPU that TensorFlow sees here, so nothing was run. Leave out --device gpu.")
        return 2
    present = [contender for contender in CONTENDERS.values() if not contender.missing()]
    for contender in CONTENDERS.values():
        if missing := contender.missing():
            console.print(f"{contender.label} does not take part: {', '.join(missing)} is not installed.")
    if (load := machine.load()) is not None and load > OTHERS_AT_WORK:
        console.print(f"Others are using this machine (load {load}): do not trust the times.", style="yellow")
    sound = True
    for row in [ROWS[name] for name in options.rows or ROWS]:
        result = run_row(row, present, options, console)
        report.show(result, console)
        errors = [figures["error"] for figures in result["contenders"].values() if figures["error"]]
        sound = sound and result["void"] is None and not errors
        if not options.quick:
            report.write_json(result, options.results)
    if not options.quick:
        finish(options, console)
    return 0 if sound else 1


def finish(options: argparse.Namespace, console: Console) -> None:
    """Draw the picture of all results in the folder that were measured on this machine."""
    here = machine.describe(options.device)
    found = [each for each in report.read_json(options.results, options.device, list(ROWS)) if each["machine"] == here]
    if report.draw(found, options.results / f"{options.device}.png"):
        console.print(f"The files and the picture {options.device}.png are in {options.results.name}/.")
    else:
        console.print(f"The files are in {options.results.name}/; no picture (no sound result, or no matplotlib).")


if __name__ == "__main__":
    sys.exit(main())
