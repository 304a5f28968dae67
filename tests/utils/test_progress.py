"""`Progbar`, against what the oracle prints."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

import nyala
from nyala import utils
from tests.oracle import keras

STEPS: list[tuple[str, int, dict[str, float]]] = [
    ("update", 1, {"loss": 1.0, "accuracy": 0.5}),
    ("update", 3, {"loss": 2.0, "accuracy": 0.25}),
    ("add", 1, {"loss": 4.0, "accuracy": 1e-5}),
    ("add", 2, {"loss": 0.5}),
]


def printed(library: Any, capsys: pytest.CaptureFixture[str], target: int | None, **options: Any) -> list[str]:
    """The lines that are drawn, without colors and times."""
    bar = library.utils.Progbar(target, interval=0, **options)
    for method, number, values in STEPS:
        getattr(bar, method)(number, list(values.items()))
    text = re.sub(r"\x1b\[\d+m|\x08", "", capsys.readouterr().out)
    text = re.sub(r"\d+(us|ms|s)/", "TIME/", re.sub(r"[━─]+ ", "", text))
    return [" ".join(line.split()) for line in re.split(r"[\r\n]", text) if line.strip()]


@pytest.mark.parametrize(
    "options",
    [
        {"verbose": 0},
        {"verbose": 1},
        {"verbose": 2},
        {"verbose": 1, "stateful_metrics": ["loss"]},
        {"verbose": 1, "stateless_metrics": ["loss"], "unit_name": "sample"},
    ],
)
@pytest.mark.parametrize("target", [6, None])
def test_lines_equal_the_reference(options: dict[str, Any], target: int | None, capsys: Any) -> None:
    assert printed(nyala, capsys, target, **options) == printed(keras, capsys, target, **options)


def test_bar_grows_and_overwrites_itself(capsys: Any) -> None:
    bar = utils.Progbar(4, width=8, interval=0)
    for _ in range(4):
        bar.add(1)
    lines = capsys.readouterr().out.split("\r")[1:]
    assert [line.count("━") for line in lines] == [2, 4, 6, 8]
    assert [line.count("─") for line in lines] == [6, 4, 2, 0]
    assert lines[-1].endswith("\n")


def test_interval_leaves_bars_out_but_not_the_last(capsys: Any) -> None:
    bar = utils.Progbar(100, interval=1000)
    for _ in range(100):
        bar.add(1)
    assert capsys.readouterr().out.count("\r") == 2


def test_an_end_that_was_not_known(capsys: Any) -> None:
    bar = utils.Progbar(None, verbose=2)
    bar.update(3, [("loss", 1.0)])
    bar.update(5, [("loss", 2.0)], finalize=True)
    assert capsys.readouterr().out.endswith("loss: 2.0000\n")


def test_without_interactive_logging_the_end_is_logged(capsys: Any, caplog: pytest.LogCaptureFixture) -> None:
    nyala.config.disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, logger="nyala"):
            bar = utils.Progbar(2, verbose=1)
            bar.add(1)
            bar.add(1, [("loss", 0.5)])
    finally:
        nyala.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    (record,) = caplog.records
    assert record.getMessage().endswith("loss: 0.5000")


def test_two_lists_of_exceptions() -> None:
    with pytest.raises(ValueError, match="not both"):
        utils.Progbar(2, stateful_metrics=["loss"], stateless_metrics=["accuracy"])
