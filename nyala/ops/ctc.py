"""Connectionist temporal classification: sequences of labels without knowledge of where each label stands in time."""

from __future__ import annotations

from typing import Any

from nyala.core.engine import tf
from nyala.core.graph import op
from nyala.core.tensor import Tensor, as_tensor
from nyala.ops.normalization import widen
from nyala.ops.rules import as_float, dims

__all__ = ["ctc_decode", "ctc_loss"]


def blank_class(name: str, mask_index: int | None, classes: int) -> int:
    """The class that stands for no label, counted from the front; None is the last."""
    mask_index = -1 if mask_index is None else mask_index
    if not -classes <= mask_index < classes:
        raise ValueError(f"`{name}` got mask_index={mask_index}, but there are {classes} classes.")
    return mask_index % classes


def check_ranks_and_batch(name: str, ranks: dict[str, int], **tensors: Any) -> None:
    """A ValueError unless each tensor has its rank and all have one batch size."""
    shapes = {key: x.shape for key, x in tensors.items()}
    sizes = {shape[0] for shape in shapes.values() if shape.rank} - {None}
    if any(shape.rank != ranks[key] for key, shape in shapes.items()) or len(sizes) > 1:
        expected = ", ".join(f"`{key}` of rank {rank}" for key, rank in ranks.items())
        found = ", ".join(str(tuple(shape)) for shape in shapes.values())
        raise ValueError(f"`{name}` expected {expected} and one batch size, but got shapes {found}.")


@op
def ctc_loss(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int = 0
) -> Tensor:
    """Minus the log-likelihood of label sequences, whatever the time of each label.

    `output` are logits; class `mask_index` is the blank, which stands for no label. Only the first lengths count.
    Shapes: target (N, L), output (N, T, K), lengths (N,) → (N,). Raises ValueError for ranks, batch sizes and a
    `mask_index` that do not fit. Source: Graves et al., "Connectionist temporal classification", 2006.

    Example:
        >>> from nyala import ops
        >>> ops.nn.ctc_loss([[1]], [[[0.0, 0.0], [0.0, 0.0]]], [1], [2]).numpy().tolist()
        [0.288]
    """
    output = as_float(output)
    target, target_length, output_length = (as_tensor(x, "int32") for x in (target, target_length, output_length))
    check_ranks_and_batch(
        "ctc_loss",
        {"target": 2, "output": 3, "target_length": 1, "output_length": 1},
        target=target,
        output=output,
        target_length=target_length,
        output_length=output_length,
    )
    values = tf.nn.ctc_loss(
        target,
        tf.cast(output, "float32"),
        target_length,
        output_length,
        logits_time_major=False,
        blank_index=blank_class("ctc_loss", mask_index, output.shape[2]),
    )
    return tf.cast(values, widen(output).dtype)


@op
def ctc_decode(
    inputs: Tensor,
    sequence_lengths: Tensor,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int | None = 0,
) -> tuple[Tensor, Tensor]:
    """The likeliest label sequences for logits, filled up with -1, and how likely they are.

    `"greedy"` takes the best class of each step, joins repeated ones with `merge_repeated` and drops the blank, class
    `mask_index` (None for the last); the scores are minus the sums of these logits. `"beam_search"` keeps the
    `beam_width` best beginnings and gives `top_paths` sequences and their log-probabilities.

    Shapes: (N, T, K), (N,) → int32 (paths, N, T) and (N, paths). Raises ValueError for what does not fit.

    Example:
        >>> from nyala import ops
        >>> ops.nn.ctc_decode([[[0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]], [3])[0].numpy().tolist()
        [[[1, -1, -1]]]
    """
    inputs, lengths = widen(as_float(inputs)), as_tensor(sequence_lengths, "int32")
    check_ranks_and_batch("ctc_decode", {"inputs": 3, "sequence_lengths": 1}, inputs=inputs, sequence_lengths=lengths)
    blank = blank_class("ctc_decode", mask_index, inputs.shape[2])
    steps = tf.transpose(inputs, (1, 0, 2))  # (T, N, K)
    if strategy == "greedy":
        paths, scores = tf.nn.ctc_greedy_decoder(steps, lengths, merge_repeated, blank)
    elif strategy == "beam_search":
        paths, scores = beam_search(steps, lengths, blank, beam_width, top_paths)
    else:
        raise ValueError(f"`ctc_decode` has the strategies 'greedy' and 'beam_search', but got {strategy!r}.")
    batch, time = dims(inputs)[:2]
    rows = [tf.sparse.to_dense(tf.SparseTensor(p.indices, p.values, shape_of(batch, time)), -1) for p in paths]
    return tf.ensure_shape(tf.cast(tf.stack(rows), "int32"), (len(rows), scores.shape[0], inputs.shape[1])), scores


def shape_of(*sizes: Any) -> Any:
    return tf.cast(tf.stack(sizes), "int64")


def beam_search(steps: Any, lengths: Any, blank: int, width: int, top_paths: int) -> tuple[list[Any], Any]:
    """The best `top_paths` paths; TensorFlow's decoder wants the blank as the last class."""
    if not 1 <= top_paths <= width:
        raise ValueError(f"`ctc_decode` finds 1 to beam_width={width} paths, but got top_paths={top_paths}.")
    classes = steps.shape[2]
    order = [*(c for c in range(classes) if c != blank), blank]
    found, scores = tf.nn.ctc_beam_search_decoder(tf.gather(steps, order, axis=2), lengths, width, top_paths)
    return [
        tf.SparseTensor(p.indices, p.values + tf.cast(p.values >= blank, "int64"), p.dense_shape) for p in found
    ], scores
