"""Plain PyTorch: the usual loop, step by step, with its fused Adam; the forward pass through `torch.compile` if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from benchmarks.fit import BETA_1, BETA_2, EPSILON, LEARNING_RATE, FitRow, Goal
from benchmarks.job import Job
from benchmarks.weights import Weight, arrays_by_hand


class Ops:
    """What rows describe their models with. Images are (N, C, H, W) to PyTorch, with the channels last in memory."""

    relu = staticmethod(torch.relu)
    softplus = staticmethod(functional.softplus)
    square = staticmethod(torch.square)
    mean = staticmethod(torch.mean)
    dense = staticmethod(functional.linear)
    cross_entropy = staticmethod(functional.cross_entropy)

    def conv(self, x: Any, kernel: Any, bias: Any) -> Any:
        return functional.conv2d(x, kernel, bias, padding="same")

    def max_pool(self, x: Any) -> Any:
        return functional.max_pool2d(x, 2)

    def mean_of_places(self, x: Any) -> Any:
        return x.mean((2, 3)) if x.ndim == 4 else x.mean(1)

    def flatten(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)

    def heads(self, x: Any, heads: int) -> Any:
        return x.unflatten(-1, (heads, -1))

    def merged(self, x: Any) -> Any:
        return x.flatten(-2)

    def dropout(self, x: Any, rate: float) -> Any:
        return functional.dropout(x, rate)

    def batch_norm(self, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
        return functional.batch_norm(x, mean, variance, scale, offset, training=True, momentum=0.01, eps=1e-3)

    def layer_norm(self, x: Any, scale: Any, offset: Any) -> Any:
        return functional.layer_norm(x, x.shape[-1:], scale, offset, 1e-3)

    def attention(self, query: Any, key: Any, value: Any) -> Any:  # each (N, T, heads, D)
        places_last = [part.transpose(1, 2) for part in (query, key, value)]
        return functional.scaled_dot_product_attention(*places_last).transpose(1, 2)

    def lstm(self, x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        """PyTorch adds a second bias, which stays at zero."""
        start = x.new_zeros(1, x.shape[0], recurrent.shape[1])
        parts = [kernel, recurrent, bias, torch.zeros_like(bias)]
        return torch.lstm(x, (start, start), parts, True, 1, 0.0, True, False, True)[0][:, -1]

    def gru(self, x: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
        start = x.new_zeros(1, x.shape[0], recurrent.shape[1])
        return torch.gru(x, start, [kernel, recurrent, bias[0], bias[1]], True, 1, 0.0, True, False, True)[0][:, -1]


def reset_first(values: Any) -> Any:
    """PyTorch has a GRU's reset gate before its update gate."""
    update, reset, new = values.chunk(3, -1)
    return torch.cat([reset, update, new], -1)


# PyTorch's layout of a kind of weight; the other kinds are as they are.
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("kernel", "heads", "merged", "lstm"), lambda values: values.T),
    "conv": lambda values: values.permute(3, 2, 0, 1),
    "gru": lambda values: reset_first(values).T,
    "gru_bias": reset_first,
}


class ByHand:
    def __init__(self, row: FitRow, job: Job) -> None:
        self.row, self.inputs, self.ops = row, job.inputs, Ops()
        self.device = torch.device("cuda" if job.device == "gpu" else "cpu")
        self.compile = torch.compile if job.contender.name == "torch-compile" else lambda function: function
        arrays = arrays_by_hand(row.weights, job.inputs)
        self.weights = [self.load(*pair) for pair in zip(row.weights, arrays, strict=True)]
        self.goals = [(self.compile(self.loss_of(goal)), self.adam(goal)) for goal in row.goals]
        self.count = 0

    def load(self, weight: Weight, values: np.ndarray) -> Any:
        """A weight of our layout in PyTorch's."""
        there = LAYOUTS.get(weight.kind, lambda values: values)(torch.tensor(values, device=self.device))
        there = there.contiguous(
            memory_format=torch.channels_last if weight.kind == "conv" else torch.contiguous_format
        )
        return there.requires_grad_(weight.trained)

    def tensors(self, x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
        there = torch.from_numpy(y).to(self.device)
        return self.features(x), there if there.is_floating_point() else there.long()

    def features(self, x: np.ndarray) -> Any:
        there = torch.from_numpy(x).to(self.device)
        return there.permute(0, 3, 1, 2) if there.ndim == 4 else there

    def loss_of(self, goal: Goal) -> Callable[[Any, Any], Any]:
        return lambda x, y: goal.loss(self.ops, self.weights, x, y)

    def adam(self, goal: Goal) -> Any:
        trained = [self.weights[place] for place in self.row.trained_by(goal)]
        return torch.optim.Adam(trained, LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True)

    def learn(self, x: Any, y: Any) -> Any:
        self.count += 1
        total = 0.0
        for loss_of, optimizer in self.goals:
            (group,) = optimizer.param_groups
            group["eps"] = EPSILON / (1 - BETA_2**self.count) ** 0.5  # ours stands beside the plain second moment
            optimizer.zero_grad()
            loss = loss_of(x, y)
            loss.backward(inputs=group["params"])
            optimizer.step()
            total += loss.detach()
        return total

    def epochs(self) -> Callable[[], float]:
        resident = self.tensors(self.inputs["x"], self.inputs["y"]) if self.row.source == "arrays" else None

        def epoch() -> float:
            total = torch.zeros((), device=self.device)
            for batch in self.slices(*resident) if resident else self.loaded():
                total += self.learn(*batch)
            return float(total) / self.row.steps

        return epoch

    def slices(self, x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
        return zip(x.split(self.row.batch_size), y.split(self.row.batch_size), strict=True)

    def loaded(self) -> Iterator[tuple[Any, Any]]:
        return (self.tensors(*batch) for batch in self.row.batches(self.inputs))

    def steps(self) -> Callable[[np.ndarray, np.ndarray], float]:
        return lambda x, y: float(self.learn(*self.tensors(x, y)))

    def predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        forward = self.compile(lambda x: self.row.forward(self.ops, self.weights, x))

        def predict(x: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                return forward(self.features(x)).cpu().numpy()

        return predict
