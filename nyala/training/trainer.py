"""`Trainer`: compile, fit, evaluate, predict. One loop over a feed, executed by a plan."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nyala.core import config, settings, tensor, tree
from nyala.core.engine import tf
from nyala.core.layer import call_signature, graph_ready
from nyala.core.tracebacks import shortened
from nyala.training.callback import CallbackList
from nyala.training.compile import CompileLoss, CompileMetrics
from nyala.training.feeds import (
    DatasetFeed,
    Feed,
    ResidentFeed,
    StreamedFeed,
    make_feed,
    split_rows,
    unpack_x_y_sample_weight,
)
from nyala.training.plans import Plan
from nyala.training.position import Position

NOT_COMPILED = {"run_eagerly": False, "jit_compile": "auto", "steps_per_execution": 1}  # `predict` needs no more
SECONDS_A_CHUNK = 0.2  # long enough to forget Python, short enough for a live display and Ctrl-C


class Compiled:
    """What `compile` was told, and what follows from it."""

    def __init__(self, arguments: dict[str, Any], loss: CompileLoss | None, metrics: CompileMetrics) -> None:
        self.arguments = arguments
        self.loss, self.metrics = loss, metrics
        self.run_eagerly: bool = bool(arguments["run_eagerly"])
        self.jit_compile: Any = arguments["jit_compile"]
        self.steps_per_execution: int = arguments["steps_per_execution"]
        self.loss_tracker: Any = None


class Trainer:
    """The training half of `Model`."""

    name: str
    losses: Any
    trainable_weights: Any
    trainable_variables: Any
    dtype_policy: Any
    optimizer: Any
    loss: Any = None
    symbolic_build: Callable[[Any], None]

    def _start_trainer(self) -> None:
        self._remat_scope = None  # a model that kept nothing would have to compute all of it again at once
        self._compiled: Compiled | None = None
        self._plans: dict[str, Any] = {}
        self.optimizer = None
        self.loss = None
        self._strategy = tf.distribute.get_strategy()
        self.stop_training = False
        self.history: Any = None

    # ---- compile ----

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Settle how the model is trained: optimizer, loss and metrics, by name, object or function.

        With several outputs, losses and metrics come in lists or dicts by output name. `jit_compile="auto"` lets a rule
        choose between a graph and XLA. `steps_per_execution` above 1 fixes the length of a chunk of steps; 1 lets it tune
        itself. Raises ValueError for a name that is unknown, with the closest known one.
        """
        import nyala.losses
        import nyala.metrics
        import nyala.optimizers  # noqa: F401 - their names fill the tables

        arguments = {key: value for key, value in locals().items() if key not in ("self", "nyala")}
        if jit_compile not in (True, False, "auto", None):
            raise ValueError(f"jit_compile is True, False or 'auto', but got {jit_compile!r}.")
        if run_eagerly and jit_compile is True:
            raise ValueError("run_eagerly=True and jit_compile=True exclude each other; drop one of them.")
        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(f"steps_per_execution is a positive integer, but got {steps_per_execution!r}.")
        chosen = config.optimizers.get(optimizer)
        if auto_scale_loss and chosen is not None and self.dtype_policy.name == "mixed_float16":
            scaling = config.optimizers.find("LossScaleOptimizer")
            chosen = chosen if isinstance(chosen, scaling) else scaling(chosen, name="loss_scale_optimizer")
        compile_loss = None
        if loss is not None:
            compile_loss = CompileLoss(loss, loss_weights, lambda name: config.metrics.find("Mean")(name=name))
        compiled = Compiled(arguments, compile_loss, CompileMetrics(metrics, weighted_metrics))
        compiled.loss_tracker = config.metrics.find("Mean")(name="loss")
        self.optimizer = chosen
        self.loss, self._compiled = loss, compiled
        self.stop_training = False
        self._drop_plans()

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def run_eagerly(self) -> bool:
        """Whether Python runs every step."""
        return bool(self._compiled and self._compiled.run_eagerly)

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self._require_compiled("run_eagerly").run_eagerly = bool(value)
        self._drop_plans()

    @property
    def jit_compile(self) -> Any:
        """Whether steps are compiled by XLA: True, False or "auto"."""
        return self._compiled.jit_compile if self._compiled else None

    @jit_compile.setter
    def jit_compile(self, value: Any) -> None:
        self._require_compiled("jit_compile").jit_compile = value
        self._drop_plans()

    @property
    def execution_plan(self) -> str:
        """How each kind of step runs, and why."""
        lines = [f"{kind}: {plan.execution or 'not run yet'}" for kind, (_, plan) in self._plans.items()]
        return "\n".join(lines) or "nothing has run yet"

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was told, as data; None before."""
        if self._compiled is None:
            return None
        arguments = {**self._compiled.arguments, "optimizer": self.optimizer}
        arguments["run_eagerly"] = self.run_eagerly
        arguments["jit_compile"] = bool(self.jit_compile) if self.jit_compile != "auto" else "auto"
        arguments.pop("auto_scale_loss")
        return {key: config.serialize(value) for key, value in arguments.items()}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as `get_compile_config` says."""
        from nyala.core.config import revive

        self.compile(**{key: revive(value) for key, value in config.items()})
        if self.optimizer is not None and getattr(self, "built", False):
            self.optimizer.build(self.trainable_variables)

    def _require_compiled(self, what: str) -> Compiled:
        if self._compiled is None:
            raise ValueError(f"`{self.name}` must be compiled before {what}: call `model.compile(optimizer, loss)`.")
        return self._compiled

    def _require_optimizer(self) -> None:
        self._require_compiled("training")
        if self.optimizer is None and not self._has_own("train_step"):
            raise ValueError(f"`{self.name}` was compiled without an optimizer, so it cannot train; pass `optimizer=`.")

    def _drop_plans(self) -> None:
        self.__dict__["_plans"] = {}

    # ---- One step: what a subclass may override ----

    def train_step(self, data: Any) -> Any:
        """Learn from one batch and return the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._learn(x, y, sample_weight)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def _learn(self, x: Any, y: Any, sample_weight: Any) -> Any:
        """One update of the weights; returns the outputs."""
        with tf.GradientTape() as tape:
            y_pred = self._forward(x, training=True)
            loss = self._loss_of(x, y, y_pred, sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights
        if weights:
            self.optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))
        self._track_loss(loss, x)
        return y_pred

    def test_step(self, data: Any) -> Any:
        """Evaluate one batch and return the logs."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self._judge(x, y, sample_weight)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def _judge(self, x: Any, y: Any, sample_weight: Any) -> Any:
        y_pred = self._forward(x, training=False)
        self._track_loss(self._loss_of(x, y, y_pred, sample_weight, training=False), x)
        return y_pred

    def predict_step(self, data: Any) -> Any:
        """The outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self._forward(x, training=False)

    def _forward(self, x: Any, training: bool) -> Any:
        if call_signature(type(self)).has_training:  # type: ignore[arg-type]
            return self(x, training=training)  # type: ignore[operator]
        return self(x)  # type: ignore[operator]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The total loss of a batch: that of `compile`, plus what layers and regularizers add."""
        compiled = self._compiled
        losses = []
        if compiled is not None and compiled.loss is not None:
            losses += compiled.loss(y, y_pred, sample_weight, self._output_names())
        losses += [tensor.as_tensor(loss, tensor.floatx()) for loss in self.losses]
        if not losses and training:
            warnings.warn(
                f"`{self.name}` has no loss to minimize: pass `loss=` to `compile`, or call `add_loss` in a layer.",
                stacklevel=2,
            )
        total = losses[0] if losses else tf.zeros((), tensor.floatx())
        for loss in losses[1:]:
            total = total + loss
        return total

    def _loss_of(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        options = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        parameters = config.signature_of(type(self).compute_loss).parameters
        if "training" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values()):
            options["training"] = training
        return self.compute_loss(**options)

    def _track_loss(self, loss: Any, x: Any) -> None:
        assert self._compiled is not None
        rows = next((leaf for leaf in tree.flatten(x) if leaf is not None), None)
        weight = tf.cast(tf.shape(rows)[0], "float32") if tensor.static_shape(rows) else None
        self._compiled.loss_tracker.update_state(loss, sample_weight=weight)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Count a batch in the metrics and return their values so far."""
        self._count(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _count(self, y: Any, y_pred: Any, sample_weight: Any) -> None:
        if self._compiled is not None and y is not None:
            self._compiled.metrics.update_state(y, y_pred, sample_weight, self._output_names())

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of the loss and of all metrics, by name."""
        found: dict[str, Any] = {}
        compiled = self._compiled
        if compiled is not None:
            if self._tracks_loss():
                found["loss"] = compiled.loss_tracker.result()
            for tracker in compiled.loss.trackers if compiled.loss else []:
                if tracker is not None:
                    found[tracker.name] = tracker.result()
            found.update(compiled.metrics.result())
        known = {id(metric) for metric in self._compile_metrics()}
        for metric in self._own_metrics():
            if id(metric) not in known:
                value = metric.result()
                found.update(value if isinstance(value, dict) else {metric.name: value})
        return found

    def _tracks_loss(self) -> bool:
        return self._compiled is not None and (
            self.loss is not None or bool(self.losses) or self._has_own("train_step")
        )

    def _own_metrics(self) -> list[Any]:
        """The metrics that layers own: those a subclass tracks itself."""
        from nyala.core.layer import Layer

        collect: Any = Layer.metrics.fget
        return list(collect(self))

    def _compile_metrics(self) -> list[Any]:
        compiled = self._compiled
        if compiled is None:
            return []
        trackers = [t for t in compiled.loss.trackers if t is not None] if compiled.loss else []
        return [compiled.loss_tracker, *trackers, *compiled.metrics.metrics]

    @property
    def metrics(self) -> list[Any]:
        """The loss, the metrics of `compile`, and those that layers own."""
        return [*self._compile_metrics(), *self._own_metrics()]

    @property
    def metrics_names(self) -> list[str]:
        """The names under which `evaluate` returns its values, in that order."""
        return list(self.get_metrics_result()) if self._compiled else []

    def reset_metrics(self) -> None:
        """Set all metrics back to nothing seen."""
        for metric in self.metrics:
            metric.reset_state()

    def _output_names(self) -> list[str]:
        return list(getattr(self, "output_names", []))

    # ---- Plans ----

    def _has_own(self, *names: str) -> bool:
        """Whether a subclass overrides one of our methods."""
        return any(getattr(type(self), name) is not getattr(Trainer, name) for name in names)

    def _plan(self, kind: str) -> Plan:
        """The plan for one kind of step, made anew when what is trained, or by which learning rate, has changed."""
        traced: tuple[int, ...] = ()
        if kind == "train":
            traced = (getattr(self.optimizer, "times_replaced", 0), *map(id, self.trainable_variables))
        known = self._plans.get(kind)
        if known is None or known[0] != traced:
            self._plans[kind] = (traced, self._make_plan(kind))
        return self._plans[kind][1]

    def _make_plan(self, kind: str) -> Plan:
        settings = self._compiled or Compiled(NOT_COMPILED, None, CompileMetrics(None, None))
        if kind == "predict":
            return Plan(
                self._overridable("predict_step"), None, True, settings, self._prepare(kind), self.reset_metrics
            )
        if self._has_own(f"{kind}_step", "compute_metrics", "get_metrics_result"):
            return Plan(
                self._overridable(f"{kind}_step"), None, False, settings, self._prepare(kind), self.reset_metrics
            )
        run = self._learn if kind == "train" else self._judge

        def step(data: Any) -> dict[str, Any]:
            x, y, sample_weight = unpack_x_y_sample_weight(data)
            self._count(y, run(x, y, sample_weight), sample_weight)
            return {}

        # The values of the metrics are asked for once a chunk, not once a step.
        return Plan(step, self.get_metrics_result, False, settings, self._prepare(kind), self.reset_metrics)

    def _overridable(self, name: str) -> Callable[[Any], Any]:
        method = getattr(type(self), name)
        if config.is_ours(method) or self.run_eagerly:
            return getattr(self, name)
        converted = graph_ready(method)
        return lambda data: converted(self, data)

    def _prepare(self, kind: str) -> Callable[[Any], None]:
        def prepare(specs: Any) -> None:
            x, _, _ = unpack_x_y_sample_weight(specs)
            try:
                self.symbolic_build(x)
            except TypeError:
                if not self._has_own("train_step", "test_step", "predict_step"):
                    raise  # a step of the user's own may call the model in its own way
            if kind == "train" and self.optimizer is not None:
                self.optimizer.build(self.trainable_variables)

        return prepare

    # ---- fit ----

    @shortened
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train for `epochs` passes over the data and return the `History`.

        `x` and `y` are arrays, tensors, data frames, lists or dicts of them, or `x` is a `tf.data.Dataset`, a generator or
        an iterable of `(x, y)` or `(x, y, sample_weight)` batches. Validation runs at the end of every epoch, on
        `validation_data` or on the last `validation_split` of the rows. Bad data is refused before any step.
        """
        self._require_optimizer()
        epochs = _limited(epochs)
        if class_weight is not None:
            _check_class_weight(class_weight, x)
        if validation_split:
            x, y, sample_weight, validation_data = self._split(x, y, sample_weight, validation_split, validation_data)
        feed = self._training_feed(x, y, sample_weight, class_weight, batch_size, shuffle)
        validation = self._validation_feed(validation_data, validation_batch_size or batch_size, validation_steps)
        steps = _steps_in_epoch(feed, steps_per_epoch)
        verbose = 1 if verbose == "auto" else int(verbose)
        callback_list = self._callback_list(callbacks, verbose, epochs=epochs, steps=steps)
        plan = self._plan("train")
        total = None if steps is None else steps * max(epochs - initial_epoch, 0)
        self.stop_training = False
        callback_list.on_train_begin()
        plan.ready(feed, total)
        if validation is not None:
            self._ready_to_validate(validation, validation_steps)
        position = Position(self, feed, callback_list, initial_epoch)
        callback_list.resume(position)
        logs: dict[str, Any] = {}
        checked = False
        for epoch in range(position.epoch, epochs):
            if position.done:
                feed.continue_epoch()  # as an earlier process would have done
            else:
                self.reset_metrics()
                callback_list.on_epoch_begin(epoch)
                self._begin_epoch(feed, steps_per_epoch, first=epoch == initial_epoch)
            logs = self._run_epoch(plan, feed, steps, total, callback_list, "train", position)
            if not checked:
                checked = True
                self._check_finite(logs, feed, epoch)
            if validation is not None and _validates(epoch, validation_freq):
                found = self._evaluate(validation, validation_steps, callback_list)
                logs = {**logs, **{f"val_{name}": value for name, value in found.items()}}
            callback_list.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
            position.epoch, position.done = epoch + 1, 0
            callback_list.on_position(position)
        self._finalize_weights()
        callback_list.on_train_end(logs)
        return self.history

    def _ready_to_validate(self, feed: Feed, steps: int | None) -> None:
        try:
            self._plan("test").ready(feed, _steps_in_epoch(feed, steps))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError  # a subclass may take other arguments
            raise kind(f"validation_data does not fit: {error}") from error

    def _finalize_weights(self) -> None:
        """Let the optimizer put averaged weights in place, where it keeps any."""
        if self.optimizer is not None and self.trainable_weights:
            self.optimizer.finalize_variable_values(self.trainable_weights)

    def _split(self, x: Any, y: Any, sample_weight: Any, fraction: float, validation_data: Any) -> Any:
        from nyala.training.feeds import as_arrays, is_arrays

        if not is_arrays(x):
            raise ValueError(
                f"validation_split needs arrays to split, but x is a {type(x).__name__}; pass validation_data."
            )
        data = (as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight"))
        (x, y, sample_weight), held_out = split_rows(data, fraction)
        return x, y, sample_weight, held_out if validation_data is None else validation_data

    def _training_feed(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, batch_size: int | None, shuffle: bool
    ) -> Feed:
        if class_weight is not None and isinstance(x, tf.data.Dataset):
            x = x.map(lambda *batch: _class_weighted_batch(batch, class_weight))  # type: ignore[union-attr]
        elif class_weight is not None:
            sample_weight = _class_weighted(y, sample_weight, class_weight)
        feed = make_feed(x, y, sample_weight, batch_size, shuffle)
        self._check_targets(feed, "y", training=True)
        return feed

    def _validation_feed(self, data: Any, batch_size: int | None, steps: int | None) -> Feed | None:
        if data is None:
            return None
        x, y, sample_weight = unpack_x_y_sample_weight(data) if isinstance(data, (tuple, list)) else (data, None, None)
        streams = isinstance(x, tf.data.Dataset) or (y is None and not hasattr(x, "__array__"))
        feed = make_feed(x, y, sample_weight, None if streams else batch_size)
        self._check_targets(feed, "y of validation_data")
        _steps_in_epoch(feed, steps)  # refuses a source without end
        return feed

    def _callback_list(self, callbacks: Any, verbose: int, **params: Any) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(callbacks, True, verbose != 0, model=self, verbose=verbose, **params)

    def _begin_epoch(self, feed: Feed, steps_given: int | None, first: bool) -> None:
        """Start the data anew, unless a given number of steps makes an epoch of a longer source."""
        if steps_given is not None and not first and isinstance(feed, (DatasetFeed, StreamedFeed)):
            feed.continue_epoch()
        else:
            feed.start_epoch()

    def _run_epoch(
        self,
        plan: Plan,
        feed: Feed,
        steps: int | None,
        total: int | None,
        callbacks: CallbackList,
        kind: str,
        position: Position | None = None,
    ) -> Any:
        """Run the steps of an epoch, or what is left of it, chunk by chunk; the last logs, or the outputs of all."""
        begin, end = getattr(callbacks, f"on_{kind}_batch_begin"), getattr(callbacks, f"on_{kind}_batch_end")
        pace = Pace(self._compiled.steps_per_execution if self._compiled else 1, callbacks.batch_interval)
        collected: list[Any] = []
        logs: dict[str, Any] = {}
        done = 0 if position is None else position.done
        while steps is None or done < steps:
            begin(done)
            started = time.perf_counter()
            ran, result = plan.run(feed, done, pace.next(done, steps), total)
            if ran == 0:
                break
            if kind == "predict":
                collected.append(tree.map_structure(lambda t: t.numpy(), result))
                logs = {"outputs": result}
            else:
                logs = _plain(result)
            pace.learn(ran, time.perf_counter() - started)
            done += ran
            feed.taken += ran
            end(done - 1, logs)
            if position is not None:
                position.done = done
                callbacks.on_position(position)
            if kind == "train" and self.stop_training:
                break
        if isinstance(feed, StreamedFeed):
            feed.end_epoch()
        if done == 0:
            raise ValueError(
                "The data is empty: its source gave no batch. A generator that ran once gives nothing again."
            )
        if steps is not None and done < steps and not self.stop_training:
            warnings.warn(
                f"The data ended after {done} of {steps} batches; give a source that is long enough, call `.repeat()` on a "
                "dataset, or lower steps_per_epoch.",
                stacklevel=3,
            )
        return collected if kind == "predict" else logs

    def _check_targets(self, feed: Feed, where: str, training: bool = False) -> None:
        """Refuse targets that are missing, and class numbers that the outputs have no place for."""
        from nyala.training.checks import check_class_numbers

        if not isinstance(feed, ResidentFeed) or self.loss is None:
            return
        y = unpack_x_y_sample_weight(feed.host)[1]
        if y is None and training and not self._has_own("train_step", "compute_loss"):
            raise ValueError(f"The loss {self.loss!r} compares outputs with targets, but `y` is missing; pass `y=`.")
        check_class_numbers(self, y, where)

    def _check_finite(self, logs: Mapping[str, Any], feed: Feed, epoch: int) -> None:
        loss = logs.get("loss")
        if loss is not None and not math.isfinite(loss):
            from nyala.training.checks import explain_loss

            warnings.warn(explain_loss(self, loss, feed, epoch), stacklevel=3)

    # ---- evaluate, predict ----

    @shortened
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and metrics on data: a number, a list in the order of `metrics_names`, or a dict."""
        self._require_compiled("evaluation")
        if kwargs:
            raise TypeError(f"evaluate() takes no argument {sorted(kwargs)[0]!r}.")
        feed = make_feed(x, y, sample_weight, batch_size)
        self._check_targets(feed, "y")
        verbose = 1 if verbose == "auto" else int(verbose)
        callback_list = self._callback_list(callbacks, verbose, steps=_steps_in_epoch(feed, steps))
        logs = self._evaluate(feed, steps, callback_list)
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def _evaluate(self, feed: Feed, steps: int | None, callbacks: CallbackList) -> dict[str, Any]:
        # Metrics are shared with training, whose values the caller has already read.
        self.reset_metrics()
        callbacks.on_test_begin()
        feed.start_epoch()
        count = _steps_in_epoch(feed, steps)
        logs = self._run_epoch(self._plan("test"), feed, count, count, callbacks, "test")
        callbacks.on_test_end(logs)
        return logs

    @shortened
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all rows of `x`, as NumPy arrays in the structure of the model's outputs."""
        feed = make_feed(x, batch_size=batch_size)
        plan = self._plan("predict")
        verbose = 1 if verbose == "auto" else int(verbose)
        count = _steps_in_epoch(feed, steps)
        callback_list = self._callback_list(callbacks, verbose, steps=count)
        callback_list.on_predict_begin()
        feed.start_epoch()
        parts = self._run_epoch(plan, feed, count, count, callback_list, "predict")
        callback_list.on_predict_end()
        return parts[0] if len(parts) == 1 else tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    # ---- One batch ----

    @shortened
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on one batch; returns its loss and metrics."""
        self._require_optimizer()
        if class_weight is not None:
            _check_class_weight(class_weight, x)
            sample_weight = _class_weighted(y, sample_weight, class_weight)
        return self._on_batch("train", (x, y, sample_weight), return_dict)

    @shortened
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics of one batch."""
        self._require_compiled("evaluation")
        return self._on_batch("test", (x, y, sample_weight), return_dict)

    @shortened
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        from nyala.training.feeds import as_arrays

        return tree.map_structure(lambda t: t.numpy(), self._plan("predict").one((as_arrays(x, "x"),)))

    def _on_batch(self, kind: str, data: tuple[Any, Any, Any], return_dict: bool) -> Any:
        from nyala.training.checks import check_class_numbers
        from nyala.training.feeds import as_arrays, row_count, trimmed

        x, y, sample_weight = data
        batch = trimmed((as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight")))
        row_count(batch)
        if self.loss is not None:
            check_class_numbers(self, unpack_x_y_sample_weight(batch)[1])
        logs = _plain(self._plan(kind).one(batch, fresh=True))
        values = list(logs.values())
        return logs if return_dict else values[0] if len(values) == 1 else values

    # ---- The functions that the reference lets a subclass take ----

    def make_train_function(self, force: bool = False) -> Callable[[Any], Any]:
        """A function that trains on the next batch of an iterator."""
        return lambda iterator: self._plan("train").one(next(iterator))

    def make_test_function(self, force: bool = False) -> Callable[[Any], Any]:
        """A function that evaluates the next batch of an iterator."""
        return lambda iterator: self._plan("test").one(next(iterator))

    def make_predict_function(self, force: bool = False) -> Callable[[Any], Any]:
        """A function that gives the outputs for the next batch of an iterator."""
        return lambda iterator: self._plan("predict").one(next(iterator))


class Pace:
    """How many steps the next chunk takes: as many as fill a fraction of a second, or as many as somebody asked for."""

    def __init__(self, steps_per_execution: int, interval: int | None) -> None:
        self.fixed = steps_per_execution if steps_per_execution > 1 else None
        self.interval = interval
        self.length = 1

    def next(self, done: int, steps: int | None) -> int:
        """The length of the chunk that starts behind `done` steps."""
        length = self.fixed or self.length
        if self.interval is not None and self.fixed is None:
            length = min(length, self.interval - done % self.interval)
        return length if steps is None else min(length, steps - done)

    def learn(self, ran: int, seconds: float) -> None:
        """Take note of how long a chunk took."""
        goal = SECONDS_A_CHUNK * ran / max(seconds, 1e-6)
        self.length = int(min(max(goal, 1), self.length * 8))


def _steps_in_epoch(feed: Feed, given: int | None) -> int | None:
    steps, limit = _steps_wanted(feed, given), settings.max_steps_per_epoch()
    if limit is None or (steps is not None and steps <= limit):
        return steps
    warnings.warn(f"`set_max_steps_per_epoch` limits this pass over the data to {limit} batches.", stacklevel=3)
    return limit


def _steps_wanted(feed: Feed, given: int | None) -> int | None:
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
            raise ValueError(f"The number of steps is a positive integer, but got {given!r}.")
        return int(given) if not isinstance(feed, ResidentFeed) else min(int(given), feed.batches or 0)
    if getattr(feed, "infinite", False) and settings.max_steps_per_epoch() is None:
        raise ValueError(
            "The dataset has no end; say how many batches make an epoch with `steps_per_epoch`, `validation_steps` or `steps`."
        )
    return feed.batches


def _limited(epochs: int) -> int:
    limit = settings.max_epochs()
    if limit is None or epochs <= limit:
        return epochs
    warnings.warn(f"`set_max_epochs` limits this training to {limit} epochs.", stacklevel=3)
    return limit


def _validates(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return (epoch + 1) in frequency


def _plain(logs: Any) -> dict[str, Any]:
    """Logs as Python floats, by sorted name with the loss in its place."""
    if logs is None:
        return {}
    if not isinstance(logs, Mapping):
        raise TypeError(f"A step returns a dict of logs by name, but got {type(logs).__name__}.")
    values = {name: np.asarray(value) for name, value in logs.items()}
    return {name: float(v) if v.ndim == 0 else v for name, v in values.items()}


def _check_class_weight(class_weight: Any, x: Any) -> None:
    from nyala.training.feeds import is_arrays

    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"class_weight is a dict of class numbers and weights, but got a {type(class_weight).__name__}."
        )
    unknown = [key for key in class_weight if not isinstance(key, (int, np.integer))]
    if unknown:
        raise ValueError(f"class_weight maps class numbers to weights, but has the key {unknown[0]!r}.")
    if not isinstance(x, tf.data.Dataset) and not is_arrays(x):
        raise ValueError(f"class_weight does not go with a {type(x).__name__}; let it give (x, y, sample_weight).")


def _class_weighted(y: Any, sample_weight: Any, class_weight: Mapping[int, float]) -> Any:
    """Sample weights that give each row the weight of its class."""
    if sample_weight is not None:
        raise ValueError("class_weight and sample_weight exclude each other; multiply the weights yourself.")
    labels = np.asarray(y)
    classes = labels.argmax(-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.reshape(len(labels), -1)[:, 0]
    weights = np.ones(len(labels), tensor.floatx())
    for key, weight in class_weight.items():
        weights[classes.astype("int64") == key] = weight
    return weights


def _class_weighted_batch(batch: tuple[Any, ...], class_weight: Mapping[int, float]) -> Any:
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    if sample_weight is not None:
        raise ValueError("class_weight and sample_weight exclude each other; multiply the weights yourself.")
    classes = tf.argmax(y, -1) if y.shape.rank > 1 and y.shape[-1] != 1 else tf.reshape(y, [tf.shape(y)[0], -1])[:, 0]
    keys = tf.constant(list(class_weight), "int64")
    matches = tf.equal(tf.cast(classes, "int64")[:, None], keys)
    given = tf.reduce_sum(tf.where(matches, tf.constant(list(class_weight.values()), tensor.floatx()), 0.0), -1)
    return x, y, tf.where(tf.reduce_any(matches, -1), given, 1.0)
