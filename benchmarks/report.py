"""What people see of the results: a table, JSON files, a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS

Result = Mapping[str, Any]


def label(name: str) -> str:
    return CONTENDERS[name].label if name in CONTENDERS else name


def show(result: Result, console: Console) -> None:
    """One row's table, and below it who could not take part and why."""
    table = Table(title=f"{result['row']}: {result['what']}", title_justify="left", caption=caption(result))
    table.caption_justify = "left"
    table.add_column("contender", no_wrap=True)
    finished = {name: figures for name, figures in result["contenders"].items() if figures["error"] is None}
    counts = any(figures["traced"] is not None for figures in finished.values())
    headings = (f"per {result['unit']}", "lowest–highest", "ratio", "first", "ready", "memory", result["answer"])
    for heading in (*headings, "traced") if counts else headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in finished.items():
        table.add_row(label(name), *cells(figures), *([count(figures["traced"])] if counts else []))
    console.print(table)
    for name, figures in result["contenders"].items():
        if figures["error"] is not None:
            console.print(f"{label(name)} failed: {figures['error']}", style="red", markup=False)
    if result["void"]:
        console.print(f"Void: {result['void']}. No speed is reported.", style="bold red", markup=False)


def caption(result: Result) -> str:
    if result["void"] or result["reference"] is None:
        return ""
    return f"Medians of {result['rounds']} interleaved rounds; ratio: times the time of {label(result['reference'])}."


def cells(figures: Mapping[str, Any]) -> list[str]:
    answer, memory = figures["answer"], figures["peak_mb"]
    speed = ["–", "–", "–"]
    if "median" in figures:
        span = duration(figures["low"], figures["high"])
        speed = [duration(figures["median"]), span, f"{figures['ratio']:.2f}×"]
    return [
        *speed,
        duration(figures["first"]),
        duration(figures["ready"]),
        "–" if memory is None else f"{memory:,.0f} MB",
        "–" if answer is None else f"{answer:.6g}",
    ]


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:g}"


def duration(*seconds: float | None) -> str:
    """Three significant digits each, in the unit that suits the largest."""
    known = [value for value in seconds if value is not None]
    if not known:
        return "–"
    scale, unit = next((pair for pair in ((1, "s"), (1e3, "ms")) if max(known) * pair[0] >= 1), (1e6, "µs"))
    return "–".join(f"{value * scale:.3g}" for value in known) + f" {unit}"


def write_json(result: Result, folder: Path) -> Path:
    """One file per row and device, so that measuring one row again leaves the others alone."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_stem(result)}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def file_stem(result: Result) -> str:
    return result["row"] if result["device"] == "cpu" else f"{result['row']}-{result['device']}"


def read_json(folder: Path, device: str, rows: Sequence[str]) -> list[Result]:
    """The results that lie in a folder for one device, in the order of `rows`."""
    paths = [folder / f"{file_stem({'row': row, 'device': device})}.json" for row in rows]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def draw(results: Sequence[Result], path: Path) -> bool:
    """A picture of the ratios, a group of bars for each row; False where there is nothing to draw or no matplotlib."""
    results = [result for result in results if result["void"] is None and result["reference"] is not None]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not results:
        return False
    names = [name for name in CONTENDERS if any("ratio" in result["contenders"].get(name, {}) for result in results)]
    figure = Figure(figsize=(8, 1 + 0.22 * len(names) * len(results)), layout="constrained")
    axes = figure.subplots()
    for index, name in enumerate(names):
        ratios = [(at, result["contenders"].get(name, {}).get("ratio")) for at, result in enumerate(results)]
        present = [(at + 0.8 * (index / len(names) - 0.4), ratio) for at, ratio in ratios if ratio is not None]
        bars = axes.barh(*zip(*present, strict=True), height=0.8 / len(names), label=label(name), color=f"C{index}")
        axes.bar_label(bars, fmt="%.2f×", padding=2, fontsize=7)
    axes.set_yticks(range(len(results)), [result["row"] for result in results])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.1)
    references = " or ".join(sorted({label(result["reference"]) for result in results}))
    axes.set_xlabel(f"time, in multiples of the time of {references} (logarithmic; shorter is faster)")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    return True
