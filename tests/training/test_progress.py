"""What training prints: lines where the output is a pipe, a bar that moves where it is a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from nyala.training.progress import bar_text

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
    """The printed lines for each `verbose`, from a process whose output is a pipe, as in CI with colours wished for."""
    command = [sys.executable, "-c", SCRIPT, "0,1,2,auto"]
    wish = {**environment(), "CI": "true", "FORCE_COLOR": "1"}
    done = subprocess.run(command, env=wish, capture_output=True, text=True, timeout=120, check=True)
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

def resize(columns):
    import fcntl, signal, struct, termios
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    signal.raise_signal(signal.SIGWINCH)
class Resize(nyala.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        import time
        time.sleep(0.06)
        if batch in (3, 6):
            resize(120 if batch == 3 else 60)
os.environ.update(TERM="xterm")
os.environ.pop("COLUMNS")
resize(50)
print("== 50 resized", flush=True)
model.fit(x, x[:, :1], batch_size=4, callbacks=[Resize()])

class Fail(nyala.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 4:
            raise LookupError("the fifth")
print("== 120 failing", flush=True)
try:
    model.fit(x, x[:, :1], batch_size=4, callbacks=[Fail()])
except LookupError as error:
    print(error, flush=True)
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


def test_a_terminal_that_is_resized_gets_drawings_that_fit(terminals):
    """With a bar while it is wide; the last line is whole."""
    text = terminals["50 resized"]
    drawn = {}
    for part in re.split(r"\r\x1b\[2K|\n", text):
        plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", part).strip("\r")
        if found := re.match(r"(\d+)/10 (?!-)", plain):
            drawn.setdefault(int(found[1]), plain)
    widths = {count: 50 if count < 4 else 120 if count < 7 else 60 for count in drawn}
    assert set(widths.values()) == {50, 120, 60}
    for count, plain in drawn.items():
        assert len(plain) <= widths[count]
        assert ("\u2501" in plain) == (widths[count] > 80), plain
    assert re.search(r"10/10 - \S+ - \S+/step - loss: [^\r]* - msle: [\d.e+-]+\r\n", text)


def test_an_error_leaves_the_terminal_as_it_was(terminals):
    """The bar is gone, the cursor is there, and what is printed goes where it always went."""
    text = terminals["120 failing"]
    assert "\x1b[?25l" in text
    assert text.endswith("the fifth\r\n")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert shown(text) == ["Epoch 1/1", "the fifth"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((6, 24, 3.0, {"loss": 0.5}), "6/24 " + "\u2501" * 6 + "\u2500" * 18 + " 500ms/step 9s left - loss: 0.5000"),
        ((10, 10, 1.0, {}), "10/10 " + "\u2501" * 24 + " 100ms/step 0us left"),
        ((3, None, 6.0, None), "3/? 2s/step"),
    ],
)
def test_the_text_of_a_bar(arguments, expected):
    assert bar_text(*arguments) == expected


NOTEBOOK = """
import sys, time
sys.path[:0] = [{root!r}]
import numpy as np
import nyala
x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Dense(1)])
model.compile("sgd", "mse")
class Talk(nyala.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.06)
        if batch == 8:
            print("said")
history = model.fit(x, x[:, :1], batch_size=4, epochs=3, callbacks=[Talk()])
values = model.evaluate(x, x[:, :1])
"""


@pytest.mark.slow
def test_a_notebook_gets_one_output_that_is_updated():
    """Lines of text, and one bar for all epochs, which is taken away at the end; no widget, nothing for short work."""
    pytest.importorskip("ipykernel")
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(env=environment())
    client = manager.client()
    client.start_channels()
    messages = []
    try:
        client.wait_for_ready(60)
        code = NOTEBOOK.format(root=os.getcwd())
        client.execute_interactive(code, timeout=60, output_hook=lambda message: messages.append(message))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    text = "".join(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    line = rf"10/10 - \S+ - \S+/step - {LOSSES}\n"
    epochs = "".join(rf"Epoch {epoch}/3\nsaid\n{line}" for epoch in (1, 2, 3))
    assert re.fullmatch(rf"{epochs}2/2 - \S+ - \S+/step - {LOSSES}\n", text), text
    shown = [m for m in messages if m["msg_type"] == "display_data"]
    updates = [m for m in messages if m["msg_type"] == "update_display_data"]
    assert len(shown) == 1
    assert {m["content"]["transient"]["display_id"] for m in shown + updates} == {
        shown[0]["content"]["transient"]["display_id"]
    }
    assert 3 <= len(updates) <= 20
    assert re.match(r"\d+/10 \u2501+\u2500+ \S+/step \S+ left - loss: ", shown[0]["content"]["data"]["text/plain"])
    assert updates[-1]["content"]["data"]["text/plain"] == ""
    assert not [m for m in messages if m["msg_type"] == "error"]


def read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux tells that the other side has closed
        return b""
