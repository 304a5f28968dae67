"""What a step of each optimizer costs on ten million parameters, and what a metric costs inside a training loop."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from benchmarks.job import Inputs, Job, Run, peak_mb
from benchmarks.rows import mlp
from benchmarks.weights import initial_weights, numbered

KERNELS, SIZE = 10, 1000  # ten kernels of 1000×1000 and ten biases: 10,010,000 parameters
WAYS = ("eager", "graph", "xla")
RATE = 1e-3

# The optimizers of Keras's API with what is not their default, and those of PyTorch that compute the same; NAdam takes
# another product of momenta. Epsilons stand elsewhere in PyTorch's formulas, which gradients of size one do not show.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "RMSprop": {},
    "Adam": {},
    "AdamW": {"weight_decay": 0.01},
    "Adadelta": {},
    "Adagrad": {},
    "Adamax": {},
    "Adafactor": {},
    "Nadam": {},
    "Ftrl": {},
    "Lion": {},
    "Lamb": {},
    "Muon": {},
}
PYTORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"momentum": 0.9, "fused": True}),
    "RMSprop": ("RMSprop", {"alpha": 0.9, "eps": 1e-7, "foreach": True}),
    "Adam": ("Adam", {"eps": 1e-7, "fused": True}),
    "AdamW": ("AdamW", {"eps": 1e-7, "weight_decay": 0.01, "fused": True}),
    "Adadelta": ("Adadelta", {"rho": 0.95, "eps": 1e-7, "foreach": True}),
    "Adagrad": ("Adagrad", {"initial_accumulator_value": 0.1, "eps": 1e-7, "fused": True}),
    "Adamax": ("Adamax", {"eps": 1e-7, "foreach": True}),
}


@dataclass(frozen=True)
class StepRow:
    """Steps of one optimizer with the same gradients each time; the answer is the mean size of how far weights moved.

    PyTorch has one way, its fused or `foreach` implementation called eagerly, and shows it beside each of ours.
    """

    optimizer: str  # as Keras's API calls it
    way: str  # "eager", "graph" or "xla"
    steps: int = 5  # in one timed unit, whose time is divided by this
    tolerance: float = 1e-3
    repeats: int = 3
    unit: str = "step"
    answer: str = "mean movement"

    @property
    def name(self) -> str:
        return f"step_{self.optimizer.lower()}_{self.way}"

    @property
    def what(self) -> str:
        return f"a step of {self.optimizer} on {KERNELS * SIZE * (SIZE + 1):,} parameters, {self.way}"

    @property
    def contenders(self) -> tuple[str, ...]:
        return ("nyala", "keras-tensorflow", *(("torch",) if self.optimizer in PYTORCH else ()))

    def inputs(self, generator: np.random.Generator) -> Inputs:
        shapes = [(SIZE, SIZE), (SIZE,)]
        weights = [generator.standard_normal(shape, "float32") for shape in shapes]
        signs = [generator.choice([-1.0, 1.0], shape) for shape in shapes]
        gradients = [sign * generator.uniform(0.5, 1.5, sign.shape) for sign in signs]
        return {**numbered(weights), **{f"gradient_{i}": g.astype("float32") for i, g in enumerate(gradients)}}

    def run(self, job: Job) -> Run:
        before = initial_weights(job.inputs) * KERNELS
        gradients = [job.inputs["gradient_0"], job.inputs["gradient_1"]] * KERNELS
        make = self.with_pytorch if job.contender.name == "torch" else self.with_keras
        step, weights, finish = make(job, before, gradients)
        start = time.time()
        self.time_steps(step, finish, 1)
        first_end = time.time()
        seconds = [self.time_steps(step, finish, self.steps) for _ in range(job.repeats)]
        moved = [float(np.abs(after - old).mean()) for after, old in zip(weights(), before, strict=True)]
        return Run(seconds, first_end - start, first_end - job.started, float(np.mean(moved)), peak_mb())

    def time_steps(self, step: Callable[[], Any], finish: Callable[[], Any], steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        finish()
        return (time.perf_counter() - start) / steps

    def with_keras(self, job: Job, before: list[np.ndarray], gradients: list[np.ndarray]) -> tuple[Any, Any, Any]:
        """A step, the weights it leaves, and a wait for the device, through Keras's API."""
        import tensorflow as tf

        keras = importlib.import_module(str(job.contender.front))
        variables = [keras.Variable(weight, name=f"w{i}") for i, weight in enumerate(before)]
        given = [tf.constant(gradient) for gradient in gradients]
        optimizer = getattr(keras.optimizers, self.optimizer)(RATE, **OPTIMIZERS[self.optimizer])
        optimizer.build(variables)

        def apply() -> None:
            optimizer.apply(given, variables)

        step: Callable[[], Any] = apply
        if self.way != "eager":
            with scope_of_plans(str(job.contender.front), self.way):
                step = tf.function(apply, autograph=False, jit_compile=self.way == "xla").get_concrete_function()
        last = variables[-1]
        return step, lambda: [np.asarray(v) for v in variables], lambda: np.asarray(last)

    def with_pytorch(self, job: Job, before: list[np.ndarray], gradients: list[np.ndarray]) -> tuple[Any, Any, Any]:
        """The same with plain PyTorch."""
        import torch  # pyright: ignore[reportMissingImports]

        device = torch.device("cuda" if job.device == "gpu" else "cpu")
        parameters = [torch.nn.Parameter(torch.from_numpy(weight.copy()).to(device)) for weight in before]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy()).to(device)
        name, options = PYTORCH[self.optimizer]
        optimizer = getattr(torch.optim, name)(parameters, lr=RATE, **options)
        finish = torch.cuda.synchronize if job.device == "gpu" else lambda: None
        return optimizer.step, lambda: [p.detach().cpu().numpy() for p in parameters], finish


def scope_of_plans(front: str, way: str) -> contextlib.AbstractContextManager[Any]:
    """What `fit` of Nyala traces its XLA steps in: plain formulas in place of fused kernels."""
    if (front, way) != ("nyala", "xla"):
        return contextlib.nullcontext()
    return importlib.import_module("nyala.training.plans").xla_scope()


MLP = mlp.ROWS[0]
# The ten metrics, and whether targets are class numbers for them.
METRICS: Mapping[str, bool] = {
    "SparseCategoricalAccuracy": True,
    "SparseTopKCategoricalAccuracy": True,
    "SparseCategoricalCrossentropy": True,
    "CategoricalAccuracy": False,
    "AUC": False,
    "Precision": False,
    "Recall": False,
    "F1Score": False,
    "MeanSquaredError": False,
    "MeanAbsoluteError": False,
}


@dataclass(frozen=True)
class MetricRow:
    """Epochs of the MLP without and with a metric, in turn: what takes a second without it takes how long with it?

    So 1.05 s are 5 %. The answer is the metric after the last epoch. Keras's step takes ten times as long, in which no
    update shows.
    """

    metric: str
    tolerance: float = 5e-2  # of metrics of weights whose roundings have grown, as in `fit.py`
    repeats: int = 3
    turns: int = 7
    unit: str = "second without"
    answer: str = "metric"
    contenders: tuple[str, ...] = ("nyala",)

    @property
    def name(self) -> str:
        return f"metric_{self.metric.lower()}"

    @property
    def what(self) -> str:
        return f"a second of training as in the row mlp, with {self.metric}"

    def inputs(self, generator: np.random.Generator) -> Inputs:
        return MLP.inputs(generator)

    def run(self, job: Job) -> Run:
        keras = importlib.import_module(str(job.contender.front))
        without, measured = self.model(keras, job, []), self.model(keras, job, [getattr(keras.metrics, self.metric)()])
        start = time.time()
        # Two epochs, since a plan is chosen by the steps ahead; then the two in turn, so that a slow minute hits both.
        for model in (without, measured):
            self.epochs(model, job, 2)
            self.epochs(model, job)
        first_end = time.time()
        shares = [self.share(without, measured, job) for _ in range(job.repeats)]
        answer = float(np.mean(self.epochs(measured, job)[1]))  # F1Score has a value for each class
        return Run(shares, first_end - start, first_end - job.started, answer, peak_mb())

    def share(self, without: Any, measured: Any, job: Job) -> float:
        """How long an epoch with the metric takes for one without: the medians of several in turn."""
        pairs = [(self.epochs(without, job)[0], self.epochs(measured, job)[0]) for _ in range(self.turns)]
        return median(longer for _, longer in pairs) / median(shorter for shorter, _ in pairs)

    def model(self, keras: Any, job: Job, metrics: list[Any]) -> Any:
        inner = MLP.model(keras)
        inner.set_weights(initial_weights(job.inputs))
        model = keras.Sequential([inner, keras.layers.Activation("softmax")])
        losses = keras.losses
        loss = losses.SparseCategoricalCrossentropy() if METRICS[self.metric] else losses.CategoricalCrossentropy()
        model.compile(keras.optimizers.Adam(RATE), loss, metrics=metrics)
        return model

    def epochs(self, model: Any, job: Job, count: int = 1) -> tuple[float, Any]:
        """Seconds of `count` epochs, and the last value in the logs, which is that of the metric where there is one."""
        y = job.inputs["y"] if METRICS[self.metric] else np.eye(10, dtype="float32")[job.inputs["y"]]
        start = time.perf_counter()
        history = model.fit(
            job.inputs["x"], y, batch_size=MLP.batch_size, epochs=count, shuffle=False, verbose=0
        ).history
        seconds = time.perf_counter() - start
        return seconds, next((values[-1] for key, values in history.items() if key != "loss"), 0.0)


STEPS = tuple(StepRow(optimizer, way) for optimizer in OPTIMIZERS for way in WAYS)
ROWS = (*STEPS, *(MetricRow(metric) for metric in METRICS))
