"""Where in a step the first number that is not finite comes up: in a layer's output, in the loss, or in a gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from nyala.core import tensor, tree
from nyala.core.engine import tf
from nyala.core.layer import Layer
from nyala.training.arrays import unpack_x_y_sample_weight

LARGE = 1e6  # what a weight or an input hardly exceeds where training goes well


class Call:
    """A call of a layer, or of an operation of a functional model: what went in and what came out."""

    def __init__(self, operation: Any, inputs: Any, outputs: Any) -> None:
        self.operation = operation
        self.inputs, self.outputs = _floats(inputs), _floats(outputs)

    @property
    def is_leaf(self) -> bool:
        """Whether no other layer works inside."""
        return not isinstance(self.operation, Layer) or len(self.operation._flatten_layers()) == 1

    @property
    def weights(self) -> list[Any]:
        """The weights that learn."""
        return [weight.value for weight in getattr(self.operation, "trainable_weights", [])]

    def __str__(self) -> str:
        if isinstance(self.operation, Layer):
            return f"`{self.operation.path}` ({type(self.operation).__name__})"
        return f"`{self.operation.name}`"


def origin(model: Any, plan: Any, batch: Any) -> str | None:
    """What a step on `batch` computes first that is not finite, in words, with the cure; None where all is finite."""
    calls: list[Call] = []
    if model._has_own("train_step"):
        with recorded(model, calls):
            plan.step(batch)
        return _first_output(calls)
    x, y, sample_weight = unpack_x_y_sample_weight(batch)
    with tf.GradientTape(persistent=True) as tape, recorded(model, calls):
        tape.watch(_floats(x))
        y_pred = model._forward(x, training=True)
        loss = model._loss_of(x, y, y_pred, sample_weight, training=True)
    found = _first_output(calls)
    if found is not None:
        return found
    if not _finite(loss):
        return _about_the_loss(model, y_pred)
    return _first_gradient(calls, tape, loss)


@contextlib.contextmanager
def recorded(model: Any, calls: list[Call]) -> Iterator[None]:
    """Inside, each call of a layer of the model, and of an operation between its layers, is noted when it has ended."""
    layers = model._flatten_layers()
    nodes = [node for layer in layers for node in getattr(layer, "_run_order", ())]
    operations = {id(n.operation): n.operation for n in nodes if not isinstance(n.operation, (Layer, type(None)))}
    try:
        for layer in layers:
            vars(layer)["_note_call"] = _noting(layer, calls)
        for operation in operations.values():
            vars(operation)["call"] = _calling(operation, operation.call, calls)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("_note_call", None)
        for operation in operations.values():
            vars(operation).pop("call", None)


def _noting(layer: Any, calls: list[Call]) -> Any:
    def note(context: Any, arguments: Any, outputs: Any) -> None:
        type(layer)._note_call(layer, context, arguments, outputs)
        calls.append(Call(layer, list(arguments.values()), outputs))

    return note


def _calling(operation: Any, call: Any, calls: list[Call]) -> Any:
    def noted(*args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        calls.append(Call(operation, [*args, *kwargs.values()], outputs))
        return outputs

    return noted


# ---- Looking at numbers ----


def _floats(structure: Any) -> list[Any]:
    """The eager float tensors of a structure."""
    return [leaf for leaf in tree.flatten(structure) if hasattr(leaf, "numpy") and _is_float_tensor(leaf)]


def _is_float_tensor(leaf: Any) -> bool:
    return isinstance(leaf, tf.Tensor) and tensor.is_float(tensor.dtype_of(leaf))


def _finite(value: Any) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(value))))


def _finite_gradient(gradient: Any) -> bool:
    return gradient is None or _finite(getattr(gradient, "values", gradient))


def _largest(values: list[Any]) -> float:
    """The largest absolute value."""
    return max((float(tf.reduce_max(tf.abs(tf.cast(v, "float32")))) for v in values if 0 not in v.shape), default=0.0)


def bad_rows(leaf: Any) -> list[int]:
    """The rows of an array that hold NaN or infinity."""
    if leaf is None or not hasattr(leaf, "shape") or not tensor.is_float(tensor.dtype_of(leaf)) or not len(leaf.shape):
        return []
    array = np.asarray(leaf)
    bad = ~np.isfinite(array.astype("float32").reshape(len(array), -1)).all(axis=1)
    return [int(row) for row in np.flatnonzero(bad)]


# ---- Words ----


def _first_output(calls: list[Call]) -> str | None:
    for call in calls:
        if all(map(_finite, call.outputs)):
            continue
        kinds = "NaN" if any(bool(tf.reduce_any(tf.math.is_nan(v))) for v in call.outputs) else "infinity"
        inputs, weights = _largest(call.inputs), _largest(call.weights)
        sizes = f"inputs up to {inputs:.3g}" + (f" and weights up to {weights:.3g}" if call.weights else "")
        return f"the output of {call} is the first that holds {kinds}, from {sizes}. {_cure(max(inputs, weights))}"
    return None


def _cure(largest: float) -> str:
    if not largest < LARGE:
        return "Lower the learning rate, scale the inputs, or clip gradients with `clipnorm`."
    return "Keep its inputs where it is defined: no division by 0, no log or power of what may be 0 or negative."


def _about_the_loss(model: Any, y_pred: Any) -> str:
    outputs = _floats(y_pred)
    largest = _largest(outputs)
    text = f"every layer's output is finite, up to {largest:.3g}, but the loss of them is not."
    name = str(getattr(model.loss, "name", None) or getattr(model.loss, "__name__", model.loss)).lower()
    if not largest < LARGE:
        return f"{text} {_cure(largest)}"
    if "crossentropy" in name or "kl" in name or "poisson" in name or "log" in name:
        return (
            f"{text} `{name}` takes the logarithm of what the model gives: end the model with a softmax or sigmoid, or say "
            "from_logits=True, and keep targets within their range."
        )
    return f"{text} Keep outputs and targets where the loss is defined, or add a small number inside its log, root or division."


def _first_gradient(calls: list[Call], tape: Any, loss: Any) -> str | None:
    """Going back from the loss: the first layer whose output has a finite gradient, but whose inputs or weights do not."""
    backwards = calls[::-1]
    for call in [c for c in backwards if c.is_leaf] + [c for c in backwards if not c.is_leaf]:
        incoming = tape.gradient(loss, call.outputs)
        if any(gradient is None for gradient in incoming) or not all(map(_finite_gradient, incoming)):
            continue
        below = tape.gradient(call.outputs, [*call.inputs, *call.weights], output_gradients=incoming)
        if not all(map(_finite_gradient, below)):
            return (
                f"in the update before, the gradient that {call} passes back is the first that is not finite, though its "
                f"output is. Its derivative has no value there, as that of a root, a norm or an angle at 0: add a small "
                "number inside it."
            )
    return None
