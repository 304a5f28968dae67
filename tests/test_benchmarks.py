"""The harness of the benchmarks: how it runs contenders, what it makes of their reports, and what it writes down.

The contenders here are stand-ins of a few lines, but processes like the real ones: each notes its turn in a log and
reports the figures it was given.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import nyala
from benchmarks import __main__ as program
from benchmarks import machine, report
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.fit import FitRow
from benchmarks.harness import Outcome, judge, measure, why_void
from benchmarks.job import Job, Run
from benchmarks.rows import ROWS
from benchmarks.rows.batches import BatchesRow

STAND_IN = """
import json, os, sys
log, name, reports, job = sys.argv[1:]
with open(log, "a") as file:
    file.write(name + " ")
print("a library says hello")
print(json.dumps(json.loads(reports)[open(log).read().split().count(name) - 1]))
"""


@dataclass(frozen=True)
class TinyRow:
    name: str = "tiny"
    what: str = "nothing much"
    unit: str = "epoch"
    answer: str = "final loss"
    tolerance: float = 0.01
    repeats: int = 3
    contenders: tuple[str, ...] = ("a", "b", "c")

    def inputs(self, generator):
        return {"x": generator.random(4, "float32"), "weight_000": np.arange(3.0)}

    def run(self, job):
        return Run([1.0])


def stand_in(log: Path, name: str, *reports: dict) -> Contender:
    return Contender(
        name, name.upper(), "numpy", command=(sys.executable, "-c", STAND_IN, str(log), name, json.dumps(reports))
    )


def script(name: str, code: str) -> Contender:
    return Contender(name, name.upper(), "numpy", command=(sys.executable, "-c", code))


def finished(*runs: Run) -> Outcome:
    return Outcome(list(runs))


def test_contenders_take_turns_and_their_reports_are_kept(tmp_path):
    log = tmp_path / "log"
    names = ("a", "b", "c")
    contenders = [stand_in(log, name, {"seconds": [1.0]}, {"seconds": [2.0], "answer": 0.5}) for name in names]
    told = []
    outcomes = measure(TinyRow(), contenders, rounds=2, tell=told.append)
    assert log.read_text().split() == ["a", "b", "c", "a", "b", "c"]
    assert outcomes == {name: Outcome([Run([1.0]), Run([2.0], answer=0.5)]) for name in names}
    assert told[0] == "tiny: round 1 of 2, A"
    assert len(told) == 6


def test_all_get_the_same_inputs_and_their_own_job():
    code = """
import json, os, sys, numpy
job = json.loads(sys.argv[1])
folder = job["folder"]
same = float(numpy.load(folder + "/x.npy").sum() + numpy.load(folder + "/weight_000.npy").sum())
assert job["row"] == "tiny" and job["contender"] in "ab" and job["device"] == "cpu" and job["started"] > 0
assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
print(json.dumps({"seconds": [job["repeats"]], "answer": same}))
"""
    outcomes = measure(TinyRow(), [script("a", code), script("b", code)], rounds=2)
    assert {outcome.error for outcome in outcomes.values()} == {None}
    runs = [run for outcome in outcomes.values() for run in outcome.runs]
    assert [run.seconds for run in runs] == [[3]] * 4
    assert len({run.answer for run in runs}) == 1


def test_a_contender_has_its_own_environment():
    code = "import json, os; print(json.dumps({'seconds': [float(os.environ['LENGTH'])]}))"
    command = (sys.executable, "-c", code)
    contender = Contender("a", "A", "numpy", environment={"LENGTH": "7"}, command=command)
    assert measure(TinyRow(), [contender], rounds=1)["a"].runs == [Run([7.0])]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ValueError('the layer is missing')", "ValueError: the layer is missing"),
        ("raise SystemExit(3)", "ended with exit status 3"),
        ("print('no JSON')", "reported no result, but 'no JSON'"),
        ("pass", "reported no result, but ''"),
        ("print('{\"minutes\": 3}')", "reported no result, but '{\"minutes\": 3}'"),
    ],
)
def test_a_contender_that_fails_is_named_and_not_started_again(tmp_path, code, error):
    started = tmp_path / "started"
    noted = f"open({str(started)!r}, 'a').write('x')\n{code}"
    good = script("good", "print('{\"seconds\": [2.0]}')")
    result = judge(TinyRow(), measure(TinyRow(), [script("bad", noted), good], rounds=3))
    assert started.read_text() == "x"
    assert result["contenders"]["bad"]["error"] == error
    assert "median" not in result["contenders"]["bad"]
    assert result["reference"] == "good"
    assert result["contenders"]["good"]["ratio"] == 1.0


def test_a_contender_that_fails_in_a_later_round_has_no_figures():
    outcomes = {"a": Outcome([Run([1.0])], "killed"), "b": finished(Run([2.0]), Run([2.0]))}
    result = judge(TinyRow(), outcomes)
    assert "median" not in result["contenders"]["a"]
    assert (result["reference"], result["contenders"]["b"]["ratio"]) == ("b", 1.0)
    assert "a failed: killed" in printed(result)


def test_a_contender_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr("benchmarks.harness.LONGEST_RUN", 0.5)
    outcome = measure(TinyRow(), [script("a", "import time; time.sleep(60)")], rounds=2)["a"]
    assert outcome == Outcome([], "took more than 0.5 seconds")


def test_medians_are_over_units_then_over_rounds_and_ratios_are_to_the_first():
    outcomes = {
        "a": finished(Run([1.0, 9.0, 2.0], first=5.0, peak_mb=10.0), Run([4.0]), Run([3.0, 3.0])),
        "b": finished(Run([6.0]), Run([12.0]), Run([1.0])),
    }
    result = judge(TinyRow(), outcomes)
    a, b = result["contenders"]["a"], result["contenders"]["b"]
    assert (a["low"], a["median"], a["high"], a["ratio"]) == (2.0, 3.0, 4.0, 1.0)
    assert (b["low"], b["median"], b["high"], b["ratio"]) == (1.0, 6.0, 12.0, 2.0)
    assert (a["first"], a["peak_mb"], a["answer"]) == (5.0, 10.0, None)
    assert (result["reference"], result["void"]) == ("a", None)


@pytest.mark.parametrize(
    ("answers", "void"),
    [
        ([[2.0, 2.0], [2.0, 2.0]], False),
        ([[2.0], [2.019]], False),
        ([[2.0], [2.021]], True),
        ([[-2.0], [2.0]], True),
        ([[2.0, 3.0], [2.0, 2.0]], True),  # one round went astray
        ([[2.0], [float("nan")]], True),
        ([[float("nan")], [float("nan")]], True),
        ([[float("inf")], [float("inf")]], True),
        ([[0.0], [0.0]], False),
        ([[None], [None]], False),  # nothing to compare
    ],
)
def test_a_row_is_void_where_answers_differ(answers, void):
    outcomes = {
        name: finished(*(Run([1.0], answer=one) for one in each)) for name, each in zip("ab", answers, strict=True)
    }
    assert (why_void(TinyRow(), outcomes) is not None) == void


def test_a_void_row_says_so_and_tells_no_speed():
    outcomes = {"a": finished(Run([1.0], answer=0.5)), "b": finished(Run([2.0], answer=0.25))}
    result = judge(TinyRow(), outcomes)
    assert result["void"] == "final loss is not finite, or differs by more than 1.0%: a 0.5, b 0.25"
    assert not {"median", "ratio"} & set(result["contenders"]["a"])
    assert "Void: final loss is not finite, or differs" in printed(result)
    assert "1 s" not in printed(result)


def printed(result: dict) -> str:
    text = io.StringIO()
    report.show({"rounds": 1, "device": "cpu", **result}, Console(file=text, width=120))
    return text.getvalue()


def sound_result(**more: object) -> dict:
    outcomes = {
        "nyala": finished(Run([0.25], first=1.0, answer=2.0, peak_mb=1234.0)),
        "tensorflow": finished(Run([0.0005], answer=2.0)),
        "keras-jax": Outcome(error="ImportError: [no] jax"),
    }
    return judge(TinyRow(), outcomes) | {"rounds": 5, "device": "cpu"} | more


def test_the_table_shows_figures_and_failures():
    text = printed(sound_result())
    for part in ("tiny: nothing much", "Nyala", "250 ms", "500 µs", "1.00×", "0.00×", "1,234 MB", "Medians of 5"):
        assert part in text
    assert "Keras on JAX failed: ImportError: [no] jax" in text


def test_traces_have_a_column_where_they_were_counted():
    outcomes = {"nyala": finished(Run([1.0], traced=7)), "torch": finished(Run([2.0]))}
    text = printed(judge(TinyRow(), outcomes))
    assert "traced" in text
    assert [line.split("│")[-2].strip() for line in text.splitlines() if "│" in line] == ["7", "–"]
    assert "traced" not in printed(sound_result())


def test_what_a_contender_lacks_is_named():
    contender = Contender(
        "a", "A", "numpy", front="front_that_is_nowhere", also=("json",), programs=("no-such-program",)
    )
    assert contender.missing() == ["front_that_is_nowhere", "no-such-program"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ([None], "–"),
        ([12.345], "12.3 s"),
        ([0.0123], "12.3 ms"),
        ([1.5e-5], "15 µs"),
        ([0.9, 1.25], "0.9–1.25 s"),
        ([0.0004, 0.0125], "0.4–12.5 ms"),
    ],
)
def test_durations_read_well(seconds, text):
    assert report.duration(*seconds) == text


def test_json_is_written_and_read_back_per_device(tmp_path):
    cpu, gpu = sound_result(), sound_result(device="gpu")
    assert report.write_json(cpu, tmp_path / "new").name == "tiny.json"
    assert report.write_json(gpu, tmp_path / "new").name == "tiny-gpu.json"
    assert report.read_json(tmp_path / "new", "cpu", ["absent", "tiny"]) == [cpu]
    assert report.read_json(tmp_path / "new", "gpu", ["tiny"]) == [gpu]


def test_the_picture_shows_sound_rows_only(tmp_path):
    path = tmp_path / "cpu.png"
    assert not report.draw([], path)
    assert not report.draw([sound_result(void="final loss differs")], path)
    assert not path.exists()
    assert report.draw([sound_result(), sound_result(row="other")], path)
    assert path.read_bytes().startswith(b"\x89PNG")


def run_program(monkeypatch, capsys, tmp_path, *given: str, loss: float = 0.5) -> tuple[int, str]:
    """The whole program with one row and stand-ins for its contenders; its exit status and what it printed."""
    turns = [{"seconds": [1.0], "answer": 0.5}] * 9
    others = [{"seconds": [3.0], "answer": loss}] * 9
    contenders = {name: stand_in(tmp_path / "log", name, *(turns if name == "a" else others)) for name in "ab"}
    contenders["c"] = Contender("c", "C", "module_that_is_nowhere")
    for place in ("benchmarks.__main__", "benchmarks.report"):
        monkeypatch.setattr(f"{place}.CONTENDERS", contenders)
    monkeypatch.setattr("benchmarks.__main__.ROWS", {"tiny": TinyRow()})
    status = program.main([*given, "--results", str(tmp_path / "results")])
    return status, capsys.readouterr().out


def test_the_program_writes_what_was_measured_with_versions_and_machine(monkeypatch, capsys, tmp_path):
    status, text = run_program(monkeypatch, capsys, tmp_path, "tiny", "--rounds", "2")
    assert status == 0
    assert "C does not take part: module_that_is_nowhere is not installed." in text
    assert "3.00×" in text
    written = json.loads((tmp_path / "results/tiny.json").read_text())
    assert (written["rounds"], written["not_installed"], written["void"]) == (2, ["c"], None)
    assert len(written["contenders"]["b"]["runs"]) == 2
    assert written["versions"]["numpy"] == np.__version__
    assert set(written["machine"]) == {"cpu", "cores", "system"}
    assert (tmp_path / "results/cpu.png").exists()
    assert str(tmp_path) not in (tmp_path / "results/tiny.json").read_text()


def test_a_quick_run_writes_nothing(monkeypatch, capsys, tmp_path):
    status, text = run_program(monkeypatch, capsys, tmp_path, "--quick")
    assert status == 0
    assert "3.00×" in text
    assert not (tmp_path / "results").exists()
    assert (tmp_path / "log").read_text().split() == ["a", "b"]


def test_a_void_row_is_an_exit_status(monkeypatch, capsys, tmp_path):
    status, text = run_program(monkeypatch, capsys, tmp_path, "--rounds", "1", loss=0.6)
    assert status == 1
    assert "Void" in text
    assert json.loads((tmp_path / "results/tiny.json").read_text())["void"]


def test_without_a_gpu_a_run_on_one_says_so_and_runs_nothing(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(machine, "sees_gpu", lambda: False)
    status, text = run_program(monkeypatch, capsys, tmp_path, "--device", "gpu")
    assert status == 2
    assert "There is no GPU" in text
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["mpl"], "there is no row mpl; there are mlp"),
        (["--rounds", "0"], "--rounds must be at least 1, but is 0"),
        (["--device", "tpu"], "tpu"),
    ],
)
def test_wrong_arguments_are_refused(capsys, given, message):
    with pytest.raises(SystemExit) as stop:
        program.arguments(given)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


FIT_ROWS = {name: row for name, row in ROWS.items() if isinstance(row, FitRow)}
CLASSIFIERS = [name for name in FIT_ROWS if not name.startswith("mlp_") and not FIT_ROWS[name].own_goals]


def small(name: str) -> FitRow:
    return replace(FIT_ROWS[name], batch_size=4, steps=2, compiled=False)


def job(name: str, row: FitRow) -> Job:
    return Job(CONTENDERS[name], row.inputs(np.random.default_rng(3)), 1, "cpu", 0.0)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_model_by_hand_computes_what_the_model_in_keras_words_does(name):
    row = small(name)
    given = job("tensorflow", row)
    front, hand = row.compiled_model(nyala, given.inputs), given.by_hand(row)
    x = nyala.ops.convert_to_tensor(given.inputs["x"][:4])
    by_hand = np.asarray(row.forward(hand.ops, hand.weights, x))
    np.testing.assert_allclose(by_hand, np.asarray(front(x, training=True)), rtol=1e-4, atol=1e-5)
    assert [weight.trained for weight in row.weights] == [
        any(w is t for t in front.trainable_weights) for w in front.weights
    ]


@pytest.mark.parametrize("name", ["mlp", "mlp_tf_data", "mlp_generator", "autoencoder", "gan"])
def test_training_by_hand_ends_at_the_loss_of_fit(name):
    row = small(name)
    outcomes = {name: finished(row.run(job(name, row))) for name in ("nyala", "tensorflow")}
    assert why_void(replace(row, tolerance=1e-5), outcomes) is None


def test_a_source_gives_every_batch_once_and_in_order():
    row = small("mlp_generator")
    inputs = row.inputs(np.random.default_rng(3))
    x, y = (np.concatenate(parts) for parts in zip(*row.batches(inputs), strict=True))
    assert (x == inputs["x"]).all()
    assert (y == inputs["y"]).all()
    again = row.endless(inputs)
    assert [len(next(again)[0]) for _ in range(5)] == [4] * 5


def test_batches_of_new_sizes_are_not_traced_anew():
    row = BatchesRow(small("mlp"), calls=3, repeats=2)
    inputs = row.inputs(np.random.default_rng(3))
    runs = [row.run(Job(CONTENDERS[name], inputs, 2, "cpu", 0.0)) for name in ("nyala", "tensorflow")]
    assert [run.traced for run in runs] == [0, 0]
    assert why_void(row, dict(zip("ab", map(finished, runs), strict=True))) is None


@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_contenders_that_exist_and_inputs_that_do_not_vary(name):
    row = ROWS[name]
    assert row.name == name
    assert set(row.contenders) <= set(CONTENDERS)
    once, again = row.inputs(np.random.default_rng(3)), row.inputs(np.random.default_rng(3))
    assert once.keys() == again.keys()
    assert all((once[key] == again[key]).all() for key in once)
