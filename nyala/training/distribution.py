"""Steps on the replicas of `tf.distribute`: each takes its part of a batch, and what the parts give is put together.

Every feed gives whole batches, the same on all workers; replica i of R takes the rows from `i · N / R` to
`(i + 1) · N / R` of the N that there are. What a replica computes is weighted by its share of the rows (see
`nyala.core.replicas`), so that the run is that of one device.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from nyala.core import replicas, tree
from nyala.core.engine import tf
from nyala.random import share_global_generator

Number = TypeVar("Number", int, float)
SIGNS_OF_A_LOST_WORKER = ("Collective ops is aborted", "/job:", "heartbeat", "Connection reset", "Socket closed")
SECONDS_BETWEEN_CHECKS, SECONDS_TO_ANSWER = 10, 5  # of each other's health; three times without an answer is too often


def is_default(strategy: Any) -> bool:
    """Whether a strategy is the one that stands for none."""
    return type(strategy).__name__.startswith("_Default")


def workers(strategy: Any) -> int:
    """How many processes train together."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if is_default(strategy) or resolver is None:
        return 1
    return max(1, sum(len(addresses) for addresses in resolver.cluster_spec().as_dict().values()))


def is_chief() -> bool:
    """Whether this process writes what all of them would write: the only one, or the first worker."""
    resolver = getattr(tf.distribute.get_strategy(), "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    cluster = resolver.cluster_spec().as_dict()
    return resolver.task_type == "chief" or ("chief" not in cluster and resolver.task_id == 0)


def adopted(model: Any) -> Any:
    """The strategy that `model` is compiled for; a ValueError where its variables were made for another."""
    current = tf.distribute.get_strategy()
    strategy = model._strategy if is_default(current) else current
    if "ParameterServer" in type(strategy).__name__:
        raise ValueError(
            f"`{model.name}` cannot train under {type(strategy).__name__}, whose workers do not wait for each other; "
            "use MirroredStrategy or MultiWorkerMirroredStrategy."
        )
    return strategy


def check_made_inside(strategy: Any, model: Any) -> None:
    """Raise ValueError where a variable of a model, its optimizer or its metrics was made outside the strategy's scope."""
    if is_default(strategy):
        return
    optimizer = [] if model.optimizer is None else model.optimizer.variables
    for variable in (*model.variables, *optimizer, *model.metrics_variables):
        if not strategy.extended.variable_created_in_scope(variable._value):
            raise ValueError(
                f"`{model.name}` trains with the variable `{variable.path}`, which was made outside the scope of its "
                f"{type(strategy).__name__}; make the model, its optimizer and its metrics inside "
                "`with strategy.scope():`."
            )


def replica_count(strategy: Any) -> int:
    """How many replicas share each batch; 0 where there is no strategy."""
    return 0 if is_default(strategy) else strategy.num_replicas_in_sync


@contextlib.contextmanager
def within(strategy: Any) -> Iterator[None]:
    """Inside, variables are made for the replicas, and a worker that is gone raises ConnectionError."""
    if is_default(strategy):
        yield
        return
    others = workers(strategy) > 1
    if others:
        strategy.extended._check_health_interval = SECONDS_BETWEEN_CHECKS
        strategy.extended._check_health_timeout = SECONDS_TO_ANSWER
    with strategy.scope():
        try:
            share_global_generator(strategy)
            yield
        except tf.errors.OpError as error:
            if not others or not any(sign in error.message for sign in SIGNS_OF_A_LOST_WORKER):
                raise
            raise ConnectionError(_gone(strategy, error.message)) from None


def _gone(strategy: Any, reason: str) -> str:
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec().as_dict()
    mine = (resolver.task_type, resolver.task_id)
    others = [
        f"{kind} {place} at {address}"
        for kind, addresses in cluster.items()
        for place, address in enumerate(addresses)
        if (kind, place) != mine
    ]
    return (
        f"Worker {mine[1]} lost touch with another one ({', '.join(others)}), which ended or does not answer. Start all "
        "workers again; with the callback BackupAndRestore they go on from the last backup. TensorFlow says: "
        f"{reason.splitlines()[0]}"
    )


def agreed(value: Number) -> Number:
    """The first worker's `value`, on all of them: what must not differ where all take the same steps."""
    if workers(tf.distribute.get_strategy()) == 1:
        return value
    return type(value)(_over_workers(np.array([value if is_chief() else 0], "float64"))[0])


def _over_workers(numbers: np.ndarray) -> np.ndarray:
    """The sum of a vector over the workers."""
    strategy = tf.distribute.get_strategy()
    return numbers if workers(strategy) == 1 else _adder(strategy)(tf.constant(numbers)).numpy()


@functools.lru_cache(maxsize=8)
def _adder(strategy: Any) -> Any:
    replicas_here = len(strategy.extended.worker_devices)

    def mine(numbers: Any) -> Any:
        is_first_here = tf.equal(replicas.number() % replicas_here, 0)
        return replicas.sums([tf.where(is_first_here, numbers, tf.zeros_like(numbers))])[0]

    def add(numbers: Any) -> Any:
        return strategy.experimental_local_results(strategy.run(mine, (numbers,)))[0]

    return tf.function(add, input_signature=[tf.TensorSpec([None], "float64")], autograph=False)


# ---- A step ----


def on_replicas(step: Callable[[Any], Any], model: Any, keeps_outputs: bool) -> Callable[[Any], Any]:
    """`step` as the replicas of `model` do it together; itself where there are none."""
    return step if is_default(model._strategy) else SharedStep(step, model, keeps_outputs)


class SharedStep:
    """A step that replicas do together, each on its part of a batch.

    It gives the outputs of all rows, in their order, or the logs: metrics of what all have seen, and the means of what
    a step of the user's own adds.
    """

    def __init__(self, step: Callable[[Any], Any], model: Any, keeps_outputs: bool) -> None:
        self.step, self.model, self.keeps_outputs = step, model, keeps_outputs
        self.of_parts = tf.function(lambda parts: self._together(parts, _share_of), autograph=False)

    def __call__(self, batch: Any) -> Any:
        """The step on a whole batch. `of_parts` takes one that somebody has shared out, as a strategy's dataset does."""
        return self._together(batch, _part)

    def _together(self, batch: Any, part_of: Callable[[Any], tuple[Any, Any]]) -> Any:
        strategy = self.model._strategy
        with strategy.scope():
            found = strategy.run(lambda batch: self._on_one(*part_of(batch)), (batch,))
            if self.keeps_outputs:
                return tree.map_structure(lambda value: _all_rows(strategy, value), found)
            logs = tree.map_structure(lambda value: strategy.experimental_local_results(value)[0], found)
            return _with_metrics(logs, self.model) if logs else logs

    def _on_one(self, part: Any, share: Any) -> Any:
        with replicas.with_share(share, lambda: _losses_kept(self.model)):
            found = self.step(part)
            return found if self.keeps_outputs else _mean_logs(found)


@contextlib.contextmanager
def _losses_kept(model: Any) -> Iterator[None]:
    """What layers added to the loss in a call is afterwards that of this replica again."""
    layers = model._flatten_layers()
    before = [layer._call_losses for layer in layers]
    yield
    for layer, losses in zip(layers, before, strict=True):
        layer._call_losses = losses


def _part(batch: Any) -> tuple[Any, Any]:
    """This replica's rows of a batch, and their share of all."""
    rows = _rows_of(batch)
    size, number = replicas.count(), tf.cast(replicas.number(), "int32")
    start, stop = rows * number // size, rows * (number + 1) // size

    def cut(leaf: Any) -> Any:
        if not _has_rows(leaf):
            return leaf
        if isinstance(leaf, tf.SparseTensor):
            shape = tf.concat([[stop - start], tf.cast(tf.shape(leaf)[1:], "int32")], 0)
            begin = tf.concat([[start], tf.zeros_like(shape[1:])], 0)
            return tf.sparse.slice(leaf, tf.cast(begin, "int64"), tf.cast(shape, "int64"))
        return leaf[start:stop]

    share = tf.cast(stop - start, "float32") / tf.cast(tf.maximum(rows, 1), "float32")
    return tree.map_structure(cut, batch), share


def _share_of(part: Any) -> tuple[Any, Any]:
    """A part, and the share that its rows are of all."""
    rows = tf.cast(_rows_of(part), "float32")
    return part, tf.math.divide_no_nan(rows, replicas.sums([rows])[0])


def _rows_of(batch: Any) -> Any:
    return next(tf.shape(leaf)[0] for leaf in tree.flatten(batch) if _has_rows(leaf))


def _has_rows(leaf: Any) -> bool:
    return leaf is not None and leaf.shape.rank != 0


def _mean_logs(logs: Any) -> Any:
    """Numbers that a step returned, averaged over the replicas; what is no float is that of the first."""
    flat = tree.flatten(logs)
    floats = [place for place, value in enumerate(flat) if tf.as_dtype(getattr(value, "dtype", "string")).is_floating]
    for place, mean in zip(floats, replicas.means([flat[place] for place in floats]), strict=True):
        flat[place] = mean
    return tree.pack_sequence_as(logs, flat)


def _with_metrics(logs: Any, model: Any) -> Any:
    """Logs with the metrics of all replicas in place of what each knows by itself."""
    known = model.get_metrics_result()
    tracker = model._compiled.loss_tracker
    if "loss" in known and "loss" in logs:  # a step of the user's own need not use the tracker
        known["loss"] = tf.where(tracker.count.value > 0, known["loss"], logs["loss"])
    return {name: known.get(name, value) for name, value in logs.items()}


def _all_rows(strategy: Any, value: Any) -> Any:
    if workers(strategy) > 1:
        return strategy.gather(value, 0)
    return tf.concat(strategy.experimental_local_results(value), 0)


# ---- Variables whose copies differ, as those of metrics do ----


def _has_copies(variable: Any) -> bool:
    return variable.synchronization == "on_read" and not is_default(tf.distribute.get_strategy())


def shape_of_copies(variable: Any) -> tuple[int, ...]:
    """The shape of what `copies` gives for a variable."""
    count = tf.distribute.get_strategy().num_replicas_in_sync
    return (count, *variable.shape) if _has_copies(variable) else tuple(variable.shape)


def copies(variables: list[Any]) -> list[np.ndarray]:
    """The values of variables as a file holds them: of one that replicas count in apart, all copies side by side."""
    found = [np.zeros(shape_of_copies(v), v.dtype) if _has_copies(v) else v.numpy() for v in variables]
    apart = [place for place, variable in enumerate(variables) if _has_copies(variable)]
    for place in apart:
        for number, copy in _copies_here(variables[place]):
            found[place][number] = copy.numpy()
    if apart:  # numbers as metrics count them: float64 holds each
        flat = _over_workers(np.concatenate([found[place].ravel().astype("float64") for place in apart]))
        for place in apart:
            here, flat = np.split(flat, [found[place].size])
            found[place] = here.reshape(found[place].shape).astype(found[place].dtype)
    return found


def assign_copies(variable: Any, values: np.ndarray) -> None:
    """Give a variable the values that `copies` told."""
    if not _has_copies(variable):
        variable.assign(values)
        return
    for number, copy in _copies_here(variable):
        copy.assign(values[number])


def _copies_here(variable: Any) -> list[tuple[int, Any]]:
    """The copies of a variable on this worker, with the numbers of their replicas."""
    extended = tf.distribute.get_strategy().extended
    return [(extended._get_replica_id_in_sync_group(place), copy) for place, copy in enumerate(variable._value.values)]
