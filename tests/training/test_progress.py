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


def test_a_terminal_gets_a_bar_that_moves():
    """Several states of the bar are drawn one over another; the last shows all steps and the values."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", SCRIPT, "1"]
    process = subprocess.Popen(command, env=environment(), stdout=follower, stderr=subprocess.DEVNULL)
    os.close(follower)
    received = b""
    try:
        while block := read(leader):
            received += block
    finally:
        os.close(leader)
        assert process.wait(timeout=60) == 0
    text = received.decode()
    assert ESCAPE in text
    training = text[text.index("Epoch 1/2") : text.index("Epoch 2/2")]
    states = [int(state) for state in re.findall(r"(\d+)/10", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", training))]
    assert len(set(states)) >= 3
    assert states == sorted(states)
    assert states[-1] == 10
    assert re.search(r"val_loss", training)


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other side has closed
        return b""
