"""Callbacks that tell others, or evaluate with other weights: TensorBoard, RemoteMonitor, SwapEMAWeights."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nyala
from nyala.core.engine import tf
from tests.oracle import assert_close, keras

X = np.random.default_rng(0).uniform(size=(8, 4, 4, 1)).astype("float32")
Y = X.mean(axis=(1, 2))


def pictures(library: Any) -> Any:
    layers = library.layers
    model = library.Sequential(
        [library.Input((4, 4, 1)), layers.Conv2D(2, 3, name="c"), layers.Flatten(), layers.Dense(1, name="d")],
        name="net",
    )
    model.compile("sgd", "mse", metrics=["mae"])
    return model


# ---- TensorBoard ----


def events(folder: Path) -> dict[tuple[str, str], list[tuple[int, Any]]]:
    """What the event files hold: (part, tag) → steps and values."""
    found: dict[tuple[str, str], list[tuple[int, Any]]] = {}
    for path in sorted(folder.rglob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                key = (path.parent.name, value.tag)
                found.setdefault(key, []).append((event.step, value))
    return found


def written(folder: Path, **options: Any) -> tuple[Any, dict[str, list[float]], dict[tuple[str, str], Any]]:
    """The model, its history and its events."""
    model = pictures(nyala)
    board = nyala.callbacks.TensorBoard(folder, **options)
    data = {"x": X, "y": Y, "batch_size": 2, "validation_data": (X, Y), "verbose": 0, "shuffle": False}
    history = model.fit(**data, epochs=2, callbacks=[board]).history
    return model, history, events(folder)


def numbers(found: Any) -> list[float]:
    return [float(tf.make_ndarray(value.tensor)) for _, value in found]


def test_scalars_by_epoch(tmp_path: Path) -> None:
    model, history, found = written(tmp_path)
    assert set(found) == {
        *{("train", tag) for tag in ("keras", "epoch_loss", "epoch_mae", "epoch_learning_rate")},
        *{("validation", f"epoch_{name}") for name in ("loss", "mae")},
        *{("validation", f"evaluation_{name}_vs_iterations") for name in ("loss", "mae")},
    }
    for (side, tag), values in found.items():
        if tag.startswith("epoch_") and "rate" not in tag:
            name = tag[6:] if side == "train" else f"val_{tag[6:]}"
            assert_close(numbers(values), history[name], 1e-6)
            assert [step for step, _ in values] == [0, 1]
            assert values[0][1].metadata.plugin_data.plugin_name == "scalars"
    assert [step for step, _ in found["validation", "evaluation_mae_vs_iterations"]] == [4, 8]
    graph = found["train", "keras"][0][1]
    assert graph.metadata.plugin_data.plugin_name == "graph_keras_model"
    assert json.loads(graph.tensor.string_val[0]) == json.loads(model.to_json())


def test_scalars_by_batch(tmp_path: Path) -> None:
    _, history, found = written(tmp_path, update_freq=2, write_graph=False, write_steps_per_second=True)
    assert [step for step, _ in found["train", "batch_loss"]] == [2, 4, 6, 8]
    assert_close(numbers(found["train", "batch_loss"])[1::2], history["loss"], 1e-6)
    for tag in ("batch_steps_per_second", "epoch_steps_per_second"):
        assert all(rate > 0 for rate in numbers(found["train", tag]))
    assert ("train", "keras") not in found


def test_scalars_every_few_batches_are_those_between_epochs_too(tmp_path: Path) -> None:
    """Batches are counted from one epoch to the next; several steps at a time are written where they pass a multiple."""
    for together, expected in ((1, [3, 6]), (4, [4, 8])):
        model = pictures(nyala)
        model.compile("sgd", "mse", steps_per_execution=together)
        folder = tmp_path / str(together)
        board = nyala.callbacks.TensorBoard(folder, update_freq=3, write_graph=False)
        model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[board])
        assert [step for step, _ in events(folder)["train", "batch_loss"]] == expected
    assert board.summary is tf.summary


def test_an_error_ends_a_profile(tmp_path: Path) -> None:
    """So that the next one can start."""
    model = pictures(nyala)
    for attempt in ("first", "second"):
        board = nyala.callbacks.TensorBoard(tmp_path / attempt, write_graph=False, profile_batch=(2, 4))
        fail = nyala.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: 1 // (2 - batch))
        with pytest.raises(ZeroDivisionError):
            model.fit(X, Y, batch_size=2, verbose=0, callbacks=[board, fail])
        assert list((tmp_path / attempt).rglob("*.xplane.pb"))


def test_histograms_images_and_profiles(tmp_path: Path) -> None:
    model, _, found = written(tmp_path, histogram_freq=1, write_images=True, write_graph=False, profile_batch=(2, 3))
    for weight in model.weights:
        table = tf.make_ndarray(found["train", f"{weight.path}/histogram"][-1][1].tensor)
        values = weight.numpy().ravel()
        assert table.shape == (30, 3)
        assert table[:, 2].sum() == values.size
        assert_close([table[0, 0], table[-1, 1]], [values.min(), values.max()], 1e-6)
    kernel = found["train", "net/c/kernel/image"][-1][1].tensor.string_val
    assert list(kernel[:2]) == [b"3", b"3"]
    assert len(kernel) == 4  # a picture for each of two channels
    expected = np.clip(model.layers[0].get_weights()[0][:, :, 0, 1], 0, 1) * 255.999
    assert_close(tf.io.decode_png(kernel[3])[..., 0], expected.astype("uint8"))
    assert list(tmp_path.rglob("*.xplane.pb"))


def test_embeddings(tmp_path: Path) -> None:
    model = nyala.Sequential([nyala.Input((3,)), nyala.layers.Embedding(5, 2, name="words"), nyala.layers.Flatten()])
    model.compile("sgd", "mse")
    board = nyala.callbacks.TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": "words.tsv"})
    model.fit(np.ones((2, 3)), np.ones((2, 6)), verbose=0, callbacks=[board])
    text = (tmp_path / "projector_config.pbtxt").read_text()
    assert 'tensor_name: "words/.ATTRIBUTES/VARIABLE_VALUE"\n  metadata_path: "words.tsv"' in text
    checkpoint = tf.train.load_checkpoint(str(tmp_path / "train" / "keras_embedding.ckpt-0"))
    assert_close(checkpoint.get_tensor("words/.ATTRIBUTES/VARIABLE_VALUE"), model.layers[0].get_weights()[0])


@pytest.mark.parametrize("options", [{"update_freq": "step"}, {"update_freq": 0}, {"profile_batch": (3, 2)}])
def test_options_that_mean_nothing(options: Any) -> None:
    with pytest.raises(ValueError, match="but got"):
        nyala.callbacks.TensorBoard(**options)


# ---- RemoteMonitor ----


@pytest.fixture
def server() -> Iterator[Any]:
    """A server that keeps what it is sent."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.server.heard.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    running: Any = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    running.heard = []
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_server_hears_every_epoch(server: Any, as_json: bool) -> None:
    root = f"http://127.0.0.1:{server.server_port}"
    monitor = nyala.callbacks.RemoteMonitor(root, "/here/", "logs", {"X-Key": "k"}, send_as_json=as_json)
    history = pictures(nyala).fit(X, Y, epochs=2, verbose=0, callbacks=[monitor]).history
    texts = [body if as_json else urllib.parse.parse_qs(body)["logs"][0] for _, _, body in server.heard]
    assert [json.loads(text) for text in texts] == [
        {"epoch": epoch, **{name: values[epoch] for name, values in history.items()}} for epoch in (0, 1)
    ]
    path, headers, _ = server.heard[0]
    assert (path, headers["X-Key"]) == ("/here/", "k")


def test_a_server_that_is_not_there_is_a_warning(server: Any) -> None:
    monitor = nyala.callbacks.RemoteMonitor("http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="The monitor at http://127.0.0.1:9 could not be reached"):
        monitor.on_epoch_end(0, {"loss": np.float32(1)})
    with pytest.raises(ValueError, match="begins with http:// or https://, but got 'file:///etc'"):
        nyala.callbacks.RemoteMonitor("file:///etc")


# ---- SwapEMAWeights ----


def weights_heard(library: Any, swap_on_epoch: bool) -> list[tuple[str, float]]:
    """The weight of a model at all turning points before and behind the callback."""
    heard: list[tuple[str, float]] = []

    class Listen(library.callbacks.Callback):
        def note(self, place: str) -> None:
            heard.append((place, float(self.model.get_weights()[0][0, 0])))

    for hook in (
        "epoch_begin",
        "epoch_end",
        "train_batch_end",
        "test_begin",
        "test_end",
        "predict_begin",
        "predict_end",
    ):
        setattr(Listen, f"on_{hook}", lambda self, *_, logs=None, hook=hook: self.note(hook))
    dense = library.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = library.Sequential([library.Input((1,)), dense])
    model.compile(library.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    x = np.ones((4, 1), "float32")
    swap = library.callbacks.SwapEMAWeights(swap_on_epoch)
    model.fit(
        x, 3 * x, batch_size=2, epochs=3, validation_data=(x, 3 * x), verbose=0, shuffle=False,
        callbacks=[Listen(), swap, Listen()],
    )  # fmt: skip
    model.predict(x, verbose=0, callbacks=[swap, Listen()])
    return [*heard, ("at last", float(model.get_weights()[0][0, 0]))]


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averages_are_in_place_when_the_reference_has_them_there(swap_on_epoch: bool) -> None:
    ours, theirs = (weights_heard(library, swap_on_epoch) for library in (nyala, keras))
    assert [place for place, _ in ours] == [place for place, _ in theirs]
    assert_close([weight for _, weight in ours], [weight for _, weight in theirs], 1e-6)


def test_an_optimizer_without_averages_is_refused() -> None:
    with pytest.raises(ValueError, match=r"keeps averages, but `sgd.*` has use_ema=False"):
        pictures(nyala).fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[nyala.callbacks.SwapEMAWeights()])
