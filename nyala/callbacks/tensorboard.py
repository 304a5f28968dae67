"""`TensorBoard`: event files that the program TensorBoard shows. They are written without it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nyala.callbacks.counting import CountingCallback
from nyala.core.engine import tf
from nyala.training.callback import Logs

BUCKETS, MOST_IMAGES = 30, 3  # of a histogram, and of one weight: as many as TensorBoard's own functions write


class TensorBoard(CountingCallback):
    """Writes logs, histograms and pictures of weights, the model's graph and profiles for TensorBoard.

    Below `log_dir`, `train` and `validation` hold event files: `epoch_<log>` by epoch, `batch_<log>` by step where
    `update_freq` is `"batch"` or a number of batches, `evaluation_<log>_vs_iterations` by step of the optimizer. Every
    `histogram_freq` epochs come histograms of the weights and, with `write_images`, pictures. `profile_batch` is a step, or
    a pair of them from the first to the last, to be profiled; every `embeddings_freq` epochs embeddings are kept for the
    projector. Raises ValueError for values that are none of these.

    Example:
        >>> import nyala
        >>> nyala.callbacks.TensorBoard("logs", update_freq=100).update_freq
        100
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int | tuple[int, int] = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: str | Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if update_freq not in ("batch", "epoch") and (not isinstance(update_freq, int) or update_freq < 1):
            raise ValueError(f"update_freq is 'batch', 'epoch' or a positive number, but got {update_freq!r}.")
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq, self.write_graph, self.write_images = histogram_freq, write_graph, write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq: Any = 1 if update_freq == "batch" else update_freq
        self.profile_batch, self._profile_first, self._profile_last = profile_batch, *_span(profile_batch)
        self.embeddings_freq, self.embeddings_metadata = embeddings_freq, embeddings_metadata
        self._writers: dict[str, Any] = {}
        self._profiling = False

    @property
    def every(self) -> int | None:
        return None if self.update_freq == "epoch" else self.update_freq

    @property
    def summary(self) -> Any:
        """The module `tf.summary`, with which a subclass may write more."""
        return tf.summary

    def batches_to_go(self, kind: str, done: int) -> int | None:
        if kind == "train" and self._step < self._profile_last:
            return 1
        return super().batches_to_go(kind, done)

    # ---- Hooks ----

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._writers = {}
        if self.write_graph:
            self._write_graph()
        if self.embeddings_freq:
            self._describe_embeddings()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._epoch_started = self._chunk_started = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        if not self._profiling and self._profile_first <= self._step + 1 <= self._profile_last:
            tf.profiler.experimental.start(os.path.join(self.log_dir, "train"))
            self._profiling = True

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.count_to(batch)
        if self._step >= self._profile_last:
            self._stop_profiling()
        ran = self._step - self._acted
        if self.is_due():
            now = time.monotonic()
            if self.write_steps_per_second:
                self._write_scalars("train", {"batch_steps_per_second": ran / (now - self._chunk_started)}, self._step)
            self._chunk_started = now
            self._write_scalars("train", {f"batch_{name}": value for name, value in (logs or {}).items()}, self._step)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if self.model.optimizer is not None:
            values = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
            self._write_scalars("validation", values, int(self.model.optimizer.iterations))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = dict(logs or {})
        validation = {f"epoch_{name[4:]}": logs.pop(name) for name in list(logs) if name.startswith("val_")}
        training = {f"epoch_{name}": value for name, value in logs.items()}
        training["epoch_learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.write_steps_per_second:
            training["epoch_steps_per_second"] = self._batch / (time.monotonic() - self._epoch_started)
        self._write_scalars("train", training, epoch)
        self._write_scalars("validation", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        if self.embeddings_freq and epoch % self.embeddings_freq == 0:
            path = os.path.join(self.log_dir, "train", f"keras_embedding.ckpt-{epoch}")
            tf.train.Checkpoint(**self._embeddings()).write(path)

    def on_error(self) -> None:
        self._stop_profiling()  # or no other could start
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._stop_profiling()
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _stop_profiling(self) -> None:
        if self._profiling:
            self._profiling = False
            tf.profiler.experimental.stop()

    # ---- What is written ----

    def _write(self, side: str, tag: str, tensor: Any, step: int, plugin: str, content: bytes = b"") -> None:
        if side not in self._writers:
            self._writers[side] = tf.summary.create_file_writer(os.path.join(self.log_dir, side))
        data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
        with self._writers[side].as_default():
            tf.summary.write(tag, tensor, step=step, metadata=tf.compat.v1.SummaryMetadata(plugin_data=data))

    def _write_scalars(self, side: str, values: Mapping[str, Any], step: int) -> None:
        for tag, value in values.items():
            self._write(side, tag, tf.constant(value, "float32"), step, "scalars")
        if side in self._writers:
            self._writers[side].flush()

    def _write_graph(self) -> None:
        try:
            text = self.model.to_json()
        except (NotImplementedError, TypeError, ValueError):
            return  # a model that has no config has no picture of its layers either
        self._write("train", "keras", tf.constant(text), 0, "graph_keras_model", b"1")

    def _write_weights(self, epoch: int) -> None:
        for weight in self.model.weights:
            values = weight.numpy()
            self._write("train", f"{weight.path}/histogram", tf.constant(histogram(values)), epoch, "histograms")
            if self.write_images and (pictures := images(values)) is not None:
                self._write("train", f"{weight.path}/image", pictures, epoch, "images")

    def _embeddings(self) -> dict[str, Any]:
        layers = self.model._flatten_layers()
        return {layer.name: layer.embeddings.value for layer in layers if hasattr(layer, "embeddings")}

    def _describe_embeddings(self) -> None:
        """The file that tells the projector which tensors are embeddings, and where the words for them are."""
        entries = []
        given = self.embeddings_metadata
        for name in self._embeddings():
            path = given.get(name) if isinstance(given, Mapping) else given
            words = f'\n  metadata_path: "{path}"' if path else ""
            entries.append(f'embeddings {{\n  tensor_name: "{name}/.ATTRIBUTES/VARIABLE_VALUE"{words}\n}}\n')
        folder = Path(self.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "projector_config.pbtxt").write_text("".join(entries))


def _span(profile_batch: Any) -> tuple[int, int]:
    """The first and last step to profile; zeros for none."""
    first, last = profile_batch if isinstance(profile_batch, (tuple, list)) else (profile_batch, profile_batch)
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last):
        raise ValueError(f"profile_batch is a step, or the first and last of them, but got {profile_batch!r}.")
    return first, last


def histogram(values: np.ndarray) -> np.ndarray:
    """How many finite values lie in each of equal parts of their range, as rows of left edge, right edge and count."""
    values = values[np.isfinite(values)].astype("float64")
    if values.size == 0 or values.min() == values.max():  # TensorBoard counts such values in the last part
        edge = np.full(BUCKETS, values[0] if values.size else 0.0)
        return np.stack([edge, edge, np.eye(BUCKETS)[-1] * values.size], axis=1)
    counts, edges = np.histogram(values, BUCKETS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def images(values: np.ndarray) -> Any:
    """A weight as pictures: width, height, and each picture as PNG; None where it has too many axes."""
    values = np.squeeze(values)
    if values.ndim == 3:  # (H, W, C): a picture for each channel
        stack = values.transpose(2, 0, 1)
    elif values.ndim == 2:  # lying rather than standing
        stack = values.T[None] if values.shape[0] > values.shape[1] else values[None]
    elif values.ndim <= 1:
        stack = values.reshape(1, -1, 1)
    else:
        return None
    pixels = np.clip(np.nan_to_num(stack[:MOST_IMAGES]), 0, 1) * 255.999
    pictures = [tf.io.encode_png(picture[..., None]) for picture in pixels.astype("uint8")]
    return tf.stack([str(stack.shape[2]), str(stack.shape[1]), *pictures])
