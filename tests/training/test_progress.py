"""What training prints: lines where the output is a pipe, a bar that moves where it is a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
import nyala
x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
for verbose in sys.argv[1].split(","):
    print("verbose", verbose, flush=True)
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(1)])
    model.compile("sgd", "mse")
    verbose = verbose if verbose == "auto" else int(verbose)
    model.fit(x, x[:, :1], batch_size=4, epochs=2, validation_data=(x, x[:, :1]), verbose=verbose)
    model.evaluate(x, x[:, :1], verbose=verbose)
    model.predict(x, verbose=verbose)
"""
ESCAPE = "\x1b"
LOSSES = r"loss: \d+\.\d{4}"


def environment():
    return {**os.environ, "TERM": "xterm", "COLUMNS": "100", "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def piped():
    """The printed lines for each `verbose`, from a process whose output is a pipe."""
    command = [sys.executable, "-c", SCRIPT, "0,1,2,auto"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=True)
    _, *parts = re.split(r"verbose (\w+)\n", done.stdout)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_a_silent_run_prints_nothing(piped):
    assert piped["0"] == ""


@pytest.mark.parametrize("verbose", ["1", "2", "auto"])
def test_a_pipe_gets_one_line_an_epoch_and_no_escape_codes(piped, verbose):
    """Training and validation stand on one line, which no carriage return overwrites."""
    text = piped[verbose]
    assert ESCAPE not in text
    assert "\r" not in text
    first, epoch, second, _, evaluation, prediction = text.splitlines()
    assert (first, second) == ("Epoch 1/2", "Epoch 2/2")
    assert re.fullmatch(rf"10/10 - \S+ - \S+/step - {LOSSES} - val_{LOSSES}", epoch)
    assert re.fullmatch(rf"2/2 - \S+ - \S+/step - {LOSSES}", evaluation)
    assert re.fullmatch(r"2/2 - \S+ - \S+/step", prediction)


TERMINALS = """
import os
import sys
import numpy as np
import nyala
x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae", "mape", "msle"])
class Talk(nyala.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        import time
        time.sleep(0.03)
        if batch % 4 == 0:
            print("said", batch)
            print("murmured", batch, file=sys.stderr)
for columns, term, color in ((100, "xterm", "yes"), (40, "xterm", "no"), (100, "dumb", "yes")):
    os.environ.update({"COLUMNS": str(columns), "TERM": term})
    os.environ.pop("NO_COLOR", None) if color == "yes" else os.environ.update(NO_COLOR="1")
    print(f"== {columns} {term}", flush=True)
    model.fit(x, x[:, :1], batch_size=4, validation_data=(x, x[:, :1]), callbacks=[Talk()])
"""


@pytest.fixture(scope="module")
def terminals():
    """What a process prints on terminals of two widths and on one that cannot move its cursor."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", TERMINALS]
    process = subprocess.Popen(command, env=environment(), stdout=follower, stderr=follower)
    os.close(follower)
    received = b""
    try:
        while block := read(leader):
            received += block
    finally:
        os.close(leader)
        assert process.wait(timeout=60) == 0
    _, *parts = re.split(r"== (\d+ \w+)\r\n", received.decode())
    return dict(zip(parts[::2], parts[1::2], strict=True))


LAST_LINE = rf"10/10 - \S+ - \S+/step - {LOSSES}( - \w+: [\d.e+-]+)+ - val_msle: [\d.e+-]+\r\n"


def shown(text):
    """The lines on the screen of a terminal that got the text."""
    lines, row, column = [""], 0, 0
    for number, code, control, plain in re.findall(r"\x1b\[([\d;?]*)([a-zA-Z])|([\r\n])|([^\x1b\r\n]+)", text):
        if code == "A":
            row -= int(number)
        elif code == "K":
            lines[row] = ""
        elif control == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif control:
            column = 0
        else:
            lines[row] = (lines[row].ljust(column)[:column] + plain + lines[row][column + len(plain) :]).rstrip()
            column += len(plain)
    return [line for line in lines if line]


def test_a_terminal_gets_a_bar_that_moves(terminals):
    """Several states of the bar are drawn one over another; a line with all values takes its place."""
    text = terminals["100 xterm"]
    assert ESCAPE in text
    states = [int(state) for state in re.findall(r"(\d+)/10", text)]
    assert len(set(states)) >= 3
    assert states == sorted(states)
    assert states[-1] == 10
    assert "\u2501" in text  # of which the bar is made
    assert re.search(LAST_LINE, text)


@pytest.mark.parametrize("terminal", ["100 xterm", "40 xterm", "100 dumb"])
def test_what_others_print_stands_above_and_nothing_stays_behind(terminals, terminal):
    lines = shown(terminals[terminal])
    words = [f"{verb} {batch}" for batch in (0, 4, 8) for verb in ("said", "murmured")]
    assert lines[:-1] == ["Epoch 1/1", *words], lines
    assert re.fullmatch(LAST_LINE.removesuffix(r"\r\n"), lines[-1])


def test_a_narrow_terminal_keeps_the_count(terminals):
    """One line that fits: the count whole, the values as far as there is room; NO_COLOR has no colours."""
    text = terminals["40 xterm"]
    drawings = [part for part in re.split(r"\r\x1b\[2K", text) if re.match(r"\d+/10 ", part)]
    assert drawings
    for drawing in drawings:
        plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", drawing).split("\r")[0].split("\n")[0]
        assert len(plain) <= 40
    assert not re.search(r"\x1b\[3\d|\x1b\[9\dm", text)


def test_a_terminal_without_codes_gets_none(terminals):
    assert ESCAPE not in terminals["100 dumb"]


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other side has closed
        return b""
