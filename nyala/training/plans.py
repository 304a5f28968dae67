"""Plans: how steps run. Python is entered once per chunk of steps, not once per step.

A plan is *eager* (Python runs each step), a *graph* (TensorFlow loops over the steps of a chunk) or *XLA* (the chunk is
compiled as a whole). It is chosen by a rule from the operations of the traced step, the device and the work ahead;
never by a race, so that the same program takes the same plan every time.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Callable
from typing import Any

from nyala.core import tree
from nyala.core.engine import tf
from nyala.training.choosing import USUAL_ROWS, Execution, choose, choose_together, operations_of
from nyala.training.feeds import (
    DatasetFeed,
    DistributedFeed,
    Feed,
    LargeFeed,
    ResidentFeed,
    StreamedFeed,
    as_tensors,
    batch_specs,
)
from nyala.training.rowwise import keeps_rows_apart
from nyala.training.streams import Chunk

# Held while a model is built and its steps are traced: several threads may ask one model for predictions.
TRACING = threading.RLock()


class Plan:
    """Runs the steps of one kind (train, test or predict) of one model.

    `step(batch)` computes one batch and returns logs or outputs; `report()` gives the logs that are asked for once a chunk.
    """

    def __init__(
        self,
        step: Callable[[Any], Any],
        report: Callable[[], Any] | None,
        keeps_outputs: bool,
        settings: Any,
        prepare: Callable[[Any], None],
        reset: Callable[[], None],
        replicas: int = 0,
    ) -> None:
        self.step: Any = step
        self.report, self.keeps_outputs = report, keeps_outputs
        self.reset = reset  # forgets what metrics have seen
        self.settings = settings  # jit_compile, run_eagerly: what `compile` said
        self.prepare = prepare  # builds the model for batches of given specs, before anything is traced
        self.execution: Execution | None = None
        self.replicas = replicas  # that share each batch, by a strategy of `tf.distribute`; 0 for none
        self.expected = 0  # steps, of all that was asked for so far
        self._functions: dict[Any, Any] = {}

    # ---- Running ----

    def run(self, feed: Feed, first: int, steps: int, total: int | None) -> tuple[int, Any]:
        """Run up to `steps` steps from batch `first` on; returns how many ran and their logs, or stacked outputs."""
        if isinstance(feed, ResidentFeed):
            return self._run_resident(feed, first, steps, total)
        if isinstance(feed, DatasetFeed):
            return self._run_dataset(feed, steps, total)
        assert isinstance(feed, StreamedFeed)
        return self._run_streamed(feed, steps, total)

    def one(self, batch: Any, fresh: bool = False) -> Any:
        """Run one step on one batch; `fresh` forgets first what the metrics have seen."""
        batch = as_tensors(batch)
        specs = batch_specs(batch)
        self._settle(specs, 1, _rows_of(batch))
        return self._one_of(specs, batch, fresh)

    def _one_of(self, specs: Any, batch: Any, fresh: bool = False) -> Any:
        if self._mode() == "eager":
            return self._one_step(batch, fresh)
        function = self._get(("one", fresh, _key(specs)), lambda: self._one_function(specs, fresh))
        return function(*_present(batch))

    def _one_step(self, batch: Any, fresh: bool) -> Any:
        if fresh:
            self.reset()
        return self._finished(self.step(batch))

    def expect(self, steps: int | None) -> None:
        """Note that so many steps are to come; what was chosen for fewer than that is chosen anew."""
        self.expected += steps or 0
        if self.execution is not None and self.expected >= self.execution.enough:
            self.execution = None

    def ready(self, feed: Feed, steps: int | None) -> None:
        """Trace a step for the batches of `feed`, where they are known: what does not fit is refused before any work."""
        self.expect(steps)
        if feed.specs is not None:
            self._settle(feed.specs, steps, feed.usual_rows)
            if self._mode() != "eager":
                self._traced(feed.specs)

    def _run_resident(self, feed: ResidentFeed, first: int, steps: int, total: int | None) -> tuple[int, Any]:
        size, specs = feed.batch_size, feed.specs
        self._settle(specs, total, size)
        if count := self.as_one(feed, steps):
            rows = slice(first * size, (first + count) * size)
            parts = zip(_present(feed.host), _present(specs), strict=True)
            batch = _rebuilt(specs, [tf.convert_to_tensor(a[rows], spec.dtype) for a, spec in parts])
            return count, self._one_of(specs, batch)
        if isinstance(feed, LargeFeed):
            return self._run_chunk(feed.chunk(first, steps), usual=first < feed.full_batches)
        if self._mode() == "eager":
            return self._eagerly([self._rows(feed, i) for i in range(first, first + steps)])
        full = min(steps, feed.full_batches - first)
        if full <= 0:  # the remainder: one batch with fewer rows, always as a graph
            return 1, self.one(self._rows(feed, first))
        static = size if self._mode() == "xla" else None
        rows = None if static is None else feed.rows  # XLA compiles for the sizes of the whole arrays
        key = ("resident", _key(specs), static, rows, feed.order is None)
        function = self._get(key, lambda: self._resident_function(feed, specs, static))
        order = [] if feed.order is None else [feed.order]
        counts = [tf.constant(n, "int32") for n in (first, full, size)]
        return full, function(*counts, *order, *_present(feed.arrays))

    def _run_dataset(self, feed: DatasetFeed, steps: int, total: int | None) -> tuple[int, Any]:
        self._settle(feed.specs, total, feed.usual_rows)
        if isinstance(feed, DistributedFeed):
            done, result = self._run_parts(feed, steps)
        else:
            done, result = self._run_iterator(feed.iterator, feed.specs, steps)
        if done == 0 and feed.continued:  # the last epoch took the last batch
            feed.start_epoch()
            return self._run_dataset(feed, steps, total)
        feed.continued, feed.ended = False, done < steps
        return done, result

    def _run_parts(self, feed: DistributedFeed, steps: int) -> tuple[int, Any]:
        results = [self.step.of_parts(parts) for parts in itertools.islice(feed.iterator, steps)]
        if self.keeps_outputs:
            return len(results), _joined(results) if results else None
        return len(results), self._finished(results[-1]) if results else None

    def _run_iterator(self, iterator: Any, specs: Any, steps: int) -> tuple[int, Any]:
        if self._mode() == "eager" or self.keeps_outputs:
            batches = list(itertools.islice(iterator, steps))
            return self._eagerly(batches) if self._mode() == "eager" else self._one_by_one(batches)
        if self.replicas:  # TensorFlow runs no step of several devices inside a condition
            step, batches = self._traced(specs), list(itertools.islice(iterator, steps))
            results = [step(*_present(batch)) for batch in batches]
            return len(results), self._finished(results[-1]) if results else None
        function = self._get(("dataset", _key(specs)), lambda: self._dataset_function(specs))
        done, logs = function(iterator, tf.constant(steps, "int32"))
        return int(done), logs

    def _run_streamed(self, feed: StreamedFeed, steps: int, total: int | None) -> tuple[int, Any]:
        feed.take(steps)
        if feed.last is None:
            return 0, None
        batch = feed.last.batch(0)
        self._settle(batch_specs(batch), total, _rows_of(batch))
        return self._run_chunk(feed.last, feed.last.shapes == feed.usual_shapes)

    def _run_chunk(self, chunk: Chunk | None, usual: bool) -> tuple[int, Any]:
        """Run batches that lie side by side; of those that have not the `usual` shape, XLA compiles nothing."""
        if chunk is None:
            return 0, None
        xla = self._mode() == "xla"
        if self._mode() == "eager":
            return self._eagerly([as_tensors(batch) for batch in chunk.batches()])
        if chunk.is_loose or (xla and not usual):
            return self._one_by_one(chunk.batches())
        specs, (leaves, first) = batch_specs(chunk.batch(0)), chunk.tensors()
        stacked = [tf.TensorSpec(x.shape if xla else [None, None, *x.shape[2:]], x.dtype) for x in leaves]
        function = self._get(("streamed", _key(specs), _key(stacked)), lambda: self._streamed_function(specs, stacked))
        return chunk.count, function(tf.constant(first, "int32"), tf.constant(chunk.count, "int32"), *leaves)

    def _eagerly(self, batches: list[Any]) -> tuple[int, Any]:
        results = [self.step(batch) for batch in batches]
        if self.keeps_outputs:
            return len(results), _joined(results)
        return len(results), self.report() if self.report else (results[-1] if results else None)

    def _one_by_one(self, batches: list[Any]) -> tuple[int, Any]:
        results = [self.one(batch) for batch in batches]
        if not results:
            return 0, None
        return len(results), _joined(results) if self.keeps_outputs else results[-1]

    def _rows(self, feed: ResidentFeed, index: int) -> Any:
        start, stop = index * feed.batch_size, min((index + 1) * feed.batch_size, feed.rows)
        if feed.order is None:
            return tree.map_structure(lambda a: None if a is None else a[start:stop], feed.arrays)
        rows = feed.order[start:stop]
        return tree.map_structure(lambda a: None if a is None else tf.gather(a, rows), feed.arrays)

    # ---- Choosing ----

    def _mode(self) -> str:
        return self.execution.mode if self.execution else "eager"

    def as_one(self, feed: ResidentFeed, steps: int) -> int:
        """How many of so many batches are computed as one; 0 where each is computed by itself."""
        together = self.execution.together if self.execution else 0
        if not together or not self._keeps_rows_apart(feed.specs):
            return 0
        return max(1, min(steps, together // feed.batch_size))

    def _keeps_rows_apart(self, specs: Any) -> bool:
        return self._get(("rows apart", _key(specs)), lambda: keeps_rows_apart(self._traced(specs)))

    def _settle(self, specs: Any, steps: int | None, rows: int | None) -> None:
        """Build the model for such batches, trace the step once and choose how it runs."""
        if self.execution is None:
            with TRACING:
                self._settle_alone(specs, steps, rows)

    def _settle_alone(self, specs: Any, steps: int | None, rows: int | None) -> None:
        if self.execution is not None:  # another thread came first
            return
        self.prepare(specs)
        if self.settings.run_eagerly:
            self.execution = Execution("eager", "run_eagerly=True")
            return
        if self.replicas:
            self.execution = Execution("graph", f"each batch is shared by replicas of tf.distribute: {self.replicas}")
            return
        traced = self._traced(specs)
        rows = rows or USUAL_ROWS
        operations = operations_of(traced, rows)
        if self.keeps_outputs and self.settings.jit_compile is not True and self._keeps_rows_apart(specs):
            self.execution = choose_together(operations.values + _values_of(specs, rows), rows)
        if self.execution is None:
            on_gpu = bool(tf.config.list_logical_devices("GPU"))
            steps = max(steps or 0, self.expected) or None
            self.execution = choose(operations, self.settings.jit_compile, on_gpu, steps)

    def _traced(self, specs: Any) -> Any:
        return self._get(("step", _key(specs)), lambda: self._step_function(specs))

    def _get(self, key: Any, make: Callable[[], Any]) -> Any:
        made = self._functions.get(key)  # once: keys take longer to compare than all else here
        if made is None:
            with TRACING:
                made = self._functions.get(key)
                if made is None:
                    made = self._functions[key] = make()
        return made

    # ---- The functions that TensorFlow compiles ----

    def _scope(self) -> contextlib.AbstractContextManager[Any]:
        """What is traced inside suits the plan: under XLA plain optimizer formulas and quick random streams."""
        return xla_scope() if self._mode() == "xla" else contextlib.nullcontext()

    def _step_function(self, specs: Any) -> Any:
        return _concrete(lambda *leaves: self.step(_rebuilt(specs, leaves)), _present(specs), compiled=False)

    def _finished(self, logs: Any) -> Any:
        return self.report() if self.report else logs

    def _one_function(self, specs: Any, fresh: bool) -> Any:
        return _concrete(
            lambda *leaves: self._one_step(_rebuilt(specs, leaves), fresh), _present(specs), compiled=False
        )

    def _resident_function(self, feed: ResidentFeed, specs: Any, static: int | None) -> Any:
        shuffled = feed.order is not None

        def chunk(first: Any, steps: Any, size: Any, *leaves: Any) -> Any:
            order, leaves = (leaves[0], leaves[1:]) if shuffled else (None, leaves)
            rows = static if static is not None else size

            def batch_at(step: Any) -> Any:
                start = (first + step) * rows
                if order is not None:
                    places = _slice_rows(order, start, rows)
                    return _rebuilt(specs, [tf.gather(leaf, places) for leaf in leaves])
                return _rebuilt(specs, [_slice_rows(leaf, start, rows) for leaf in leaves])

            return self._loop(batch_at, steps)

        scalars = [tf.TensorSpec([], "int32")] * 3
        order = [tf.TensorSpec([None], "int32")] if shuffled else []
        if static is not None:  # XLA wants to know the sizes
            order = [tf.TensorSpec([feed.rows], "int32")] if shuffled else []
            leaves = [tf.TensorSpec(a.shape, a.dtype) for a in _present(feed.arrays)]
        else:
            leaves = _present(specs)
        return self._compiled(chunk, [*scalars, *order, *leaves])

    def _streamed_function(self, specs: Any, stacked: list[Any]) -> Any:
        def chunk(first: Any, steps: Any, *leaves: Any) -> Any:
            return self._loop(lambda step: _rebuilt(specs, [leaf[first + step] for leaf in leaves]), steps)

        return self._compiled(chunk, [*[tf.TensorSpec([], "int32")] * 2, *stacked])

    def _dataset_function(self, specs: Any) -> Any:
        step_function = self._traced(specs)
        if self._mode() == "xla":
            with xla_scope():
                step_function = _concrete(lambda *leaves: self.step(_rebuilt(specs, leaves)), _present(specs), True)

        def chunk(iterator: Any, steps: Any) -> Any:
            logs = tree.map_structure(_zero_of, step_function.structured_outputs)

            def body(done: Any, _: Any, logs: Any) -> Any:
                batch = iterator.get_next_as_optional()
                there = batch.has_value()

                def run() -> Any:
                    return step_function(*_present(batch.get_value()))

                logs = tf.cond(there, run, lambda: logs)
                return done + tf.cast(there, "int32"), there, logs

            loop = (tf.constant(0), tf.constant(True), logs)
            done, _, logs = tf.while_loop(
                lambda done, there, _: tf.logical_and(there, done < steps), body, loop, parallel_iterations=1
            )
            return done, self._finished(logs)

        return tf.function(chunk, autograph=False, reduce_retracing=True)

    def _loop(self, batch_at: Callable[[Any], Any], steps: Any) -> Any:
        """`steps` steps in one device loop; the logs of the last, or all outputs stacked."""
        with tf.__internal__.FuncGraph("example").as_default():
            batch = batch_at(tf.constant(0))
            specs = tree.map_structure(lambda a: None if a is None else tf.TensorSpec(a.shape, a.dtype), batch)
        kind = "xla step" if self._mode() == "xla" else "step"
        step = self._get((kind, _key(specs)), lambda: self._step_function(specs))
        if self.keeps_outputs:
            return self._collecting_loop(step, batch_at, steps)
        logs = tree.map_structure(_zero_of, step.structured_outputs)
        _, logs = tf.while_loop(
            lambda done, _: done < steps,
            lambda done, _: (done + 1, step(*_present(batch_at(done)))),
            (tf.constant(0), logs),
            parallel_iterations=1,
        )
        return self._finished(logs)

    def _collecting_loop(self, step: Any, batch_at: Callable[[Any], Any], steps: Any) -> Any:
        outputs = step.structured_outputs
        arrays = [tf.TensorArray(x.dtype, size=steps, element_shape=x.shape) for x in tree.flatten(outputs)]

        def body(done: Any, arrays: Any) -> Any:
            values = tree.flatten(step(*_present(batch_at(done))))
            return done + 1, [array.write(done, value) for array, value in zip(arrays, values, strict=True)]

        _, arrays = tf.while_loop(lambda done, _: done < steps, body, (tf.constant(0), arrays), parallel_iterations=1)
        return tree.pack_sequence_as(outputs, [_merge_rows(array.stack()) for array in arrays])

    def _compiled(self, function: Callable[..., Any], signature: list[Any]) -> Any:
        with self._scope():
            return _concrete(function, signature, compiled=self._mode() == "xla")


@contextlib.contextmanager
def xla_scope() -> Any:
    """Plain optimizer formulas, which XLA fuses, and random streams that are quick to draw there."""
    from nyala.optimizers.optimizer import plain_formulas
    from nyala.random import fast_streams

    with plain_formulas(), fast_streams():
        yield


def _concrete(function: Callable[..., Any], signature: list[Any], compiled: bool) -> Any:
    made = tf.function(function, autograph=False, jit_compile=compiled or None)
    return made.get_concrete_function(*signature)


def _rows_of(batch: Any) -> int | None:
    """The rows of the first tensor or array in a batch."""
    shape: Any = getattr(_present(batch)[0], "shape", ())
    return shape[0] if len(shape) else None


def _values_of(specs: Any, rows: int) -> int:
    """How many values a batch of such types and so many rows has."""
    return rows * sum(math.prod(size or 1 for size in spec.shape[1:]) for spec in _present(specs))


def _present(structure: Any) -> list[Any]:
    """The leaves that are there."""
    return [leaf for leaf in tree.flatten(structure) if leaf is not None]


def _rebuilt(structure: Any, leaves: Any) -> Any:
    """`leaves` laid out as `structure`, with its absent parts absent."""
    values = iter(leaves)
    return tree.map_structure(lambda leaf: None if leaf is None else next(values), structure)


def _key(specs: Any) -> Any:
    return tree.structure_of(specs), *tree.flatten(specs)


def _slice_rows(leaf: Any, start: Any, rows: Any) -> Any:
    """`rows` rows from `start` on; a number of rows known in advance means that XLA compiles this."""
    if isinstance(rows, int):  # an ordinary slice would have XLA compile anew for every value of `start`
        return tf.gather(leaf, start + tf.range(rows))
    others = leaf.shape.rank - 1
    sliced = tf.slice(leaf, [start, *[0] * others], [rows, *[-1] * others])  # copies faster than `leaf[start:…]` does
    sliced.set_shape([None, *leaf.shape[1:]])
    return sliced


def _zero_of(x: Any) -> Any:
    return tf.zeros([0 if size is None else size for size in x.shape], x.dtype)


def _merge_rows(x: Any) -> Any:
    """(steps, N, …) → (steps · N, …)."""
    return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))


def _joined(results: list[Any]) -> Any:
    return results[0] if len(results) == 1 else tree.map_structure(lambda *parts: tf.concat(parts, 0), *results)
