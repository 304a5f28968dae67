"""`Trainer`: compile, fit, evaluate, predict. One loop over a feed, executed by a plan."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nyala.core import config, settings, tensor, tree
from nyala.core.engine import tf
from nyala.core.layer import call_signature, graph_ready
from nyala.core.tracebacks import shortened
from nyala.training import interrupts
from nyala.training.arrays import as_arrays, is_arrays, row_count, split_rows, trimmed, unpack_x_y_sample_weight
from nyala.training.callback import CallbackList
from nyala.training.checks import check_class_numbers, known_arguments
from nyala.training.class_weights import check_class_weight, class_weighted, class_weighted_batch
from nyala.training.compile import CompileLoss, CompileMetrics
from nyala.training.distribution import adopted, check_made_inside, on_replicas, replica_count, within
from nyala.training.feeds import Feed, ResidentFeed, make_feed
from nyala.training.finite import finite_steps
from nyala.training.fitting import Fitting
from nyala.training.loops import plain_logs, run_epoch, steps_in_epoch
from nyala.training.plans import Plan
from nyala.training.validation import Validation

NOT_COMPILED = {"run_eagerly": False, "jit_compile": "auto", "steps_per_execution": 1}  # `predict` needs no more


class Compiled:
    """What `compile` was told, and what follows from it."""

    def __init__(self, arguments: dict[str, Any], loss: CompileLoss | None, metrics: CompileMetrics) -> None:
        self.arguments = arguments
        self.loss, self.metrics = loss, metrics
        self.run_eagerly: bool = bool(arguments["run_eagerly"])
        self.jit_compile: Any = arguments["jit_compile"]
        self.steps_per_execution: int = arguments["steps_per_execution"]
        self.loss_tracker: Any = None
        self.finite_steps: Any = None


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

    @known_arguments
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
        self._strategy = adopted(self)
        with within(self._strategy):
            chosen, compiled = self._settled(arguments)
        self.optimizer = chosen
        self.loss, self._compiled = loss, compiled
        self.stop_training = False
        self._drop_plans()

    def _settled(self, arguments: dict[str, Any]) -> tuple[Any, Compiled]:
        """The optimizer, and what else follows from the arguments of `compile`."""
        chosen, loss = config.optimizers.get(arguments["optimizer"]), arguments["loss"]
        if arguments["auto_scale_loss"] and chosen is not None and self.dtype_policy.name == "mixed_float16":
            scaling = config.optimizers.find("LossScaleOptimizer")
            chosen = chosen if isinstance(chosen, scaling) else scaling(chosen, name="loss_scale_optimizer")
        compile_loss = None
        if loss is not None:
            weights = arguments["loss_weights"]
            compile_loss = CompileLoss(loss, weights, lambda name: config.metrics.find("Mean")(name=name))
        metrics = CompileMetrics(arguments["metrics"], arguments["weighted_metrics"])
        compiled = Compiled(arguments, compile_loss, metrics)
        compiled.loss_tracker = config.metrics.find("Mean")(name="loss")
        compiled.finite_steps = finite_steps()
        return chosen, compiled

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
        assert self._compiled is not None
        fine = tf.math.is_finite(self._compiled.loss_tracker.total.value)
        self._compiled.finite_steps.assign_add(tf.cast(fine, "int64"))
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
            return self._plan_of(kind, self._overridable("predict_step"), None, settings)
        if self._has_own(f"{kind}_step", "compute_metrics", "get_metrics_result"):
            return self._plan_of(kind, self._overridable(f"{kind}_step"), None, settings)
        run = self._learn if kind == "train" else self._judge

        def step(data: Any) -> dict[str, Any]:
            x, y, sample_weight = unpack_x_y_sample_weight(data)
            self._count(y, run(x, y, sample_weight), sample_weight)
            return {}

        # The values of the metrics are asked for once a chunk, not once a step.
        return self._plan_of(kind, step, self.get_metrics_result, settings)

    def _plan_of(self, kind: str, step: Callable[[Any], Any], report: Any, settings: Compiled) -> Plan:
        outputs, replicas = kind == "predict", replica_count(self._strategy)
        step = on_replicas(step, self, outputs)
        return Plan(step, report, outputs, settings, self._prepare(kind), self.reset_metrics, replicas)

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
            check_made_inside(self._strategy, self)

        return prepare

    # ---- fit ----

    @shortened
    @known_arguments
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
        validation_every: int | None = None,
    ) -> Any:
        """Train for `epochs` passes over the data and return the `History`.

        `x` and `y` are arrays, tensors, data frames, lists or dicts of them, or `x` is a `tf.data.Dataset`, a generator or
        an iterable of `(x, y)` or `(x, y, sample_weight)` batches. Bad data is refused before any step.

        Validation runs on `validation_data` or on the last `validation_split` of the rows, at the end of every epoch, of
        every `validation_freq` epochs or of those it lists. `validation_every=500` also runs it behind each 500 steps of an
        epoch: the batch logs there, and those of the epoch, hold the values. Several sets come as a dict of tuples or
        datasets, `{"clean": (x, y), "noisy": dataset}`, with logs `val_clean_loss` and so on; a dict of arrays is inputs.

        Ctrl-C stops between two steps: `model.history` has the epochs before, and KeyboardInterrupt says how to go on.
        """
        self._require_optimizer()
        epochs = _limited(epochs)
        if class_weight is not None:
            check_class_weight(class_weight)
        if validation_split:
            x, y, sample_weight, validation_data = self._split(x, y, sample_weight, validation_split, validation_data)
        with within(self._strategy):
            feed = self._training_feed(x, y, sample_weight, class_weight, batch_size, shuffle)
            validation = Validation(
                self,
                validation_data,
                validation_batch_size or batch_size,
                validation_steps,
                validation_freq,
                validation_every,
            )
            steps = steps_in_epoch(feed, steps_per_epoch)
            callback_list = self._callback_list(callbacks, verbose, epochs=epochs, steps=steps)
            self.stop_training = False
            callback_list.on_train_begin()
            epoch_range = range(initial_epoch, epochs)
            fitting = Fitting(self, feed, callback_list, validation, epoch_range, steps, steps_per_epoch)
            with interrupts.held():
                try:
                    logs = fitting.run()
                except KeyboardInterrupt:
                    callback_list.on_interrupt()
                    raise KeyboardInterrupt(fitting.how_to_go_on()) from None
                except BaseException:
                    callback_list.on_error()
                    raise
            self._finalize_weights()
            callback_list.on_train_end(logs)
        return self.history

    def _finalize_weights(self) -> None:
        """Let the optimizer put averaged weights in place, where it keeps any."""
        if self.optimizer is not None and self.trainable_weights:
            self.optimizer.finalize_variable_values(self.trainable_weights)

    def _split(self, x: Any, y: Any, sample_weight: Any, fraction: float, validation_data: Any) -> Any:
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
        transform: Callable[[Any], Any] | None = None
        if class_weight is not None and isinstance(x, tf.data.Dataset):
            x = x.map(lambda *batch: class_weighted_batch(batch, class_weight))  # type: ignore[union-attr]
        elif class_weight is not None and is_arrays(x):
            sample_weight = class_weighted(y, sample_weight, class_weight, self._class_count())
        elif class_weight is not None:
            count = self._class_count()

            def weigh(batch: Any) -> Any:
                x, y, own = unpack_x_y_sample_weight(batch)
                return x, y, class_weighted(as_arrays(y, "y"), own, class_weight, count)

            transform = weigh
        feed = make_feed(x, y, sample_weight, batch_size, shuffle, transform)
        self._check_targets(feed, "y", training=True)
        return feed

    def _class_count(self) -> int | None:
        """How many classes the only output tells apart, where that is known."""
        outputs = list(getattr(self, "outputs", None) or [])
        return outputs[0].shape[-1] if len(outputs) == 1 and len(outputs[0].shape) else None

    def _callback_list(self, callbacks: Any, verbose: Any, **params: Any) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        verbose = 1 if verbose == "auto" else int(verbose)
        return CallbackList(callbacks, True, verbose != 0, model=self, verbose=verbose, **params)

    def _check_targets(self, feed: Feed, where: str, training: bool = False) -> None:
        """Refuse targets that are missing, and class numbers that the outputs have no place for."""
        if not isinstance(feed, ResidentFeed) or self.loss is None:
            return
        y = unpack_x_y_sample_weight(feed.host)[1]
        if y is None and training and not self._has_own("train_step", "compute_loss"):
            raise ValueError(f"The loss {self.loss!r} compares outputs with targets, but `y` is missing; pass `y=`.")
        check_class_numbers(self, y, where)

    # ---- evaluate, predict ----

    @shortened
    @known_arguments
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
        with within(self._strategy):
            feed = make_feed(x, y, sample_weight, batch_size)
            self._check_targets(feed, "y")
            callback_list = self._callback_list(callbacks, verbose, epochs=1, steps=steps_in_epoch(feed, steps))
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
        count = steps_in_epoch(feed, steps)
        logs = run_epoch(self._plan("test"), feed, count, count, callbacks, "test")
        callbacks.on_test_end(logs)
        return logs

    @shortened
    @known_arguments
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for all rows of `x`, as NumPy arrays in the structure of the model's outputs."""
        with within(self._strategy):
            feed = make_feed(x, batch_size=batch_size)
            plan = self._plan("predict")
            count = steps_in_epoch(feed, steps)
            plan.ready(feed, count)
            callback_list = self._callback_list(callbacks, verbose, epochs=1, steps=count)
            callback_list.on_predict_begin()
            feed.start_epoch()
            parts = run_epoch(plan, feed, count, count, callback_list, "predict")
            callback_list.on_predict_end()
        return parts[0] if len(parts) == 1 else tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)

    # ---- One batch ----

    @shortened
    @known_arguments
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
            check_class_weight(class_weight)
            sample_weight = class_weighted(y, sample_weight, class_weight, self._class_count())
        return self._on_batch("train", (x, y, sample_weight), return_dict)

    @shortened
    @known_arguments
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics of one batch."""
        self._require_compiled("evaluation")
        return self._on_batch("test", (x, y, sample_weight), return_dict)

    @shortened
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays."""
        with within(self._strategy):
            return tree.map_structure(lambda t: t.numpy(), self._plan("predict").one((as_arrays(x, "x"),)))

    def _on_batch(self, kind: str, data: tuple[Any, Any, Any], return_dict: bool) -> Any:
        x, y, sample_weight = data
        batch = trimmed((as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight")))
        row_count(batch)
        if self.loss is not None:
            check_class_numbers(self, unpack_x_y_sample_weight(batch)[1])
        with within(self._strategy):
            logs = plain_logs(self._plan(kind).one(batch, fresh=True))
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


def _limited(epochs: int) -> int:
    limit = settings.max_epochs()
    if limit is None or epochs <= limit:
        return epochs
    warnings.warn(f"`set_max_epochs` limits this training to {limit} epochs.", stacklevel=3)
    return limit
