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
    """A picture of the ratios in rows with most contenders; False where there is nothing to draw, or no matplotlib."""
    groups = {result["row"]: _ratios(result) for result in results if result["void"] is None and result["reference"]}
    most = max(map(len, groups.values()), default=0)
    groups = {row: ratios for row, ratios in groups.items() if 2 * len(ratios) > most}
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    if not groups:
        return False
    colors = {name: f"C{place}" for place, name in enumerate(CONTENDERS)}
    figure = Figure(figsize=(8, 1 + 0.16 * sum(len(ratios) + 1 for ratios in groups.values())), layout="constrained")
    axes = figure.subplots()
    bottom, middles, shown = 0, [], set()
    for ratios in groups.values():
        for place, (name, ratio) in enumerate(ratios.items(), bottom):
            bar = axes.barh(place, ratio, height=0.9, color=colors[name], label=None if name in shown else label(name))
            axes.bar_label(bar, fmt="%.2f×", padding=2, fontsize=7)
            shown.add(name)
        middles.append(bottom + (len(ratios) - 1) / 2)
        bottom += len(ratios) + 1
    axes.set_yticks(middles, list(groups))
    axes.set_ylim(bottom - 0.5, -1)
    axes.set_xscale("log")
    axes.margins(x=0.1)
    references = " or ".join(sorted({label(result["reference"]) for result in results if result["row"] in groups}))
    axes.set_xlabel(f"time, in multiples of the time of {references} (logarithmic; shorter is faster)")
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    figure.savefig(path, dpi=100)
    return True


def _ratios(result: Result) -> dict[str, float]:
    """The ratios of the contenders that have one, in the order of the table."""
    found = {name: result["contenders"].get(name, {}).get("ratio") for name in CONTENDERS}
    return {name: ratio for name, ratio in found.items() if ratio is not None}
