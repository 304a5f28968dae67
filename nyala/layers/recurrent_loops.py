"""Loops over time: `scan` for any cell, `lstm_scan` and `gru_scan` with a gradient written by hand.

All take and give time-major tensors (T, N, …). The hand-written gradients compute in one product, or one elementwise
operation, for all time steps together what does not depend on the step after; what is left in their backward loop is
one matrix product and a few multiplications. A step that the mask leaves out keeps the states it got.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nyala.core import tree
from nyala.core.engine import tf

Step = Callable[[list[Any], Any], tuple[Any, list[Any]]]


def loop(
    step: Step, series: Sequence[Any], states: Any, like: Sequence[Any], reverse: bool = False, unroll: bool = False
) -> tuple[Any, list[Any]]:
    """Call `step([x[t] for x in series], states) → (states, values)` for each t; the last states, and stacked values.

    `like` has a tensor of the dtype and shape of each value. With `reverse`, t runs from the last to the first.
    """
    if unroll:
        return _unrolled(step, series, states, reverse)
    static = series[0].shape[0]
    length = tf.shape(series[0])[0] if static is None else static
    sources = [tf.TensorArray(x.dtype, length, element_shape=x.shape[1:]).unstack(x) for x in series]
    arrays = [tf.TensorArray(x.dtype, length, element_shape=x.shape) for x in like]

    def body(t: Any, states: Any, arrays: Any) -> Any:
        place = length - 1 - t if reverse else t
        new_states, values = step([x.read(place) for x in sources], states)
        _keep_shapes(new_states, states)
        return t + 1, new_states, [array.write(place, value) for array, value in zip(arrays, values)]

    _, states, arrays = tf.while_loop(
        lambda t, *_: t < length,
        body,
        (tf.constant(0), states, arrays),
        maximum_iterations=length,
        parallel_iterations=32,
    )
    stacked = [array.stack() for array in arrays]
    for x in stacked:
        x.set_shape([static, *x.shape[1:]])
    return states, stacked


def _unrolled(step: Step, series: Sequence[Any], states: Any, reverse: bool) -> tuple[Any, list[Any]]:
    moments = list(zip(*[tf.unstack(x) for x in series]))
    values = []
    for moment in reversed(moments) if reverse else moments:
        states, value = step(list(moment), states)
        values.append(value)
    return states, [tf.stack(x[::-1] if reverse else x) for x in zip(*values)]


def _keep_shapes(new: Any, old: Any) -> None:
    """Tell the tensors of a graph's loop what is known of the shapes they had a step before."""
    if not tf.executing_eagerly():
        for one, other in zip(tree.flatten(new), tree.flatten(old)):
            one.set_shape(other.shape)


# ---- Any cell ----


def scan(
    step: Callable[[Any, list[Any]], tuple[Any, list[Any]]],
    inputs: Any,
    states: list[Any],
    mask: Any = None,
    *,
    every_output: bool = True,
    zero_output_for_mask: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any, list[Any]]:
    """Call `step(inputs[t], states) → (output, states)` for each t: the last output, all outputs or None, last states.

    `mask` (T, N) says which steps count; the others repeat the output before, or give zeros.
    """

    def one(moment: list[Any], carried: Any) -> Any:
        before, states = carried
        output, new_states = step(moment[0], states)
        if mask is not None:
            before = tf.zeros_like(output) if zero_output_for_mask else before
            output, new_states = _choose(moment[1], (output, new_states), (before, states))
        return (output, new_states), [output] if every_output else []

    blank = _blank_output(step, inputs, states)
    series = [inputs] if mask is None else [inputs, mask]
    like = [blank] if every_output else []
    (output, states), outputs = loop(one, series, (blank, states), like, unroll=unroll)
    return output, outputs[0] if every_output else None, states


def _choose(keep: Any, new: Any, old: Any) -> Any:
    def choose(new: Any, old: Any) -> Any:
        return tf.where(tf.reshape(keep, (-1, *[1] * (new.shape.rank - 1))), new, old)

    return tree.map_structure(choose, new, old)


def _blank_output(step: Any, inputs: Any, states: list[Any]) -> Any:
    """Zeros shaped as an output of `step`, which is traced aside to find out."""
    with tf.__internal__.FuncGraph("scratch").as_default():
        symbols = [tf.compat.v1.placeholder(x.dtype, x.shape) for x in tree.flatten(states)]
        moment = tf.compat.v1.placeholder(inputs.dtype, inputs.shape[1:])
        spec, _ = step(moment, tree.pack_sequence_as(states, symbols))
    if not spec.shape[1:].is_fully_defined():  # as of images of unknown size: only a step tells
        return tf.zeros_like(step(inputs[0], states)[0])
    batch = tf.shape(inputs)[1] if inputs.shape[1] is None else inputs.shape[1]
    return tf.ensure_shape(tf.zeros((batch, *spec.shape[1:]), spec.dtype), (inputs.shape[1], *spec.shape[1:]))


def outputs_under_mask(states: Any, mask: Any, zero_output_for_mask: bool) -> Any:
    """States (T, N, U) as outputs: zero before the first step that counts, or at each that does not."""
    visible = mask if zero_output_for_mask else tf.cumsum(tf.cast(mask, "int32"), 0) > 0
    return tf.where(visible[:, :, None], states, tf.zeros_like(states))


# ---- LSTM and GRU, with gradients by hand ----


def lstm_scan(projected: Any, kernel: Any, h: Any, c: Any, mask: Any = None) -> tuple[Any, Any, Any]:
    """All h (T, N, U), then the last h and c, of an LSTM with tanh and sigmoid; `projected` is x @ W + b (T, N, 4U)."""

    def step(moment: list[Any], states: Any) -> Any:
        h, c = states
        i, f, g, o = tf.split(moment[0] + tf.matmul(h, kernel), 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        new_c = f * c + i * g
        new = [o * tf.tanh(new_c), new_c]
        if mask is not None:
            new = _choose(moment[1], new, states)
        return new, [*new, tf.concat([i, f, g, o], 1)]

    @tf.custom_gradient
    def run(projected: Any, kernel: Any, h: Any, c: Any) -> Any:
        series = [projected] if mask is None else [projected, mask]
        like = [h, c, tf.zeros_like(projected[:1])[0]]
        last, (every_h, every_c, gates) = loop(step, series, [h, c], like)

        def gradient(d_every_h: Any, d_h: Any, d_c: Any) -> Any:
            before_h, before_c = _before(h, every_h), _before(c, every_c)
            factors = _lstm_factors(gates, every_c, before_c)
            d_z, (d_h, d_c) = _lstm_backward(factors, kernel, d_every_h, d_h, d_c, mask)
            return d_z, _weight_gradient(before_h, d_z), d_h, d_c

        return (every_h, *last), gradient

    return run(projected, kernel, h, c)


def lstm_block(inputs: Any, kernel: Any, recurrent: Any, bias: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
    """`lstm_scan` of inputs @ kernel + bias by TensorFlow's kernel for whole sequences.

    It has no loop of operations, which is what a call on a few rows spends its time on; but XLA does not know it, and
    its gradient has no gradient.
    """
    peephole = tf.zeros_like(bias[: h.shape[1]])
    block = tf.raw_ops.BlockLSTMV2(
        seq_len_max=tf.shape(inputs, "int64")[0],
        x=inputs,
        cs_prev=c,
        h_prev=h,
        w=tf.concat([kernel, recurrent], 0),
        wci=peephole,
        wcf=peephole,
        wco=peephole,
        b=bias,
        cell_clip=0.0,
        use_peephole=False,
    )
    return block.h, block.h[-1], block.cs[-1]


def _lstm_factors(gates: Any, every_c: Any, before_c: Any) -> tuple[Any, Any, Any]:
    """What the gradients of gates (T, N, 4U), of c through h, and of the c before, are multiples of."""
    i, f, g, o = tf.split(gates, 4, axis=2)
    tanh_c = tf.tanh(every_c)
    factors = [g * i * (1 - i), before_c * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)]
    return tf.concat(factors, 2), o * (1 - tanh_c * tanh_c), f


def _lstm_backward(factors: Any, kernel: Any, d_every_h: Any, d_h: Any, d_c: Any, mask: Any) -> Any:
    gates, through_h, to_before = factors
    series = [gates, through_h, to_before, d_every_h]
    if mask is not None:
        m = tf.cast(mask, gates.dtype)[:, :, None]
        series = [gates * m, through_h * m, to_before * m + (1 - m), d_every_h, 1 - m]
    transposed = tf.transpose(kernel)  # once, not in each step

    def step(moment: list[Any], states: Any) -> Any:
        gates, through_h, to_before, d_output = moment[:4]
        d_h = states[0] + d_output
        d_c = states[1] + d_h * through_h
        d_z = tf.concat([d_c, d_c, d_c, d_h], 1) * gates
        before = tf.matmul(d_z, transposed)
        if mask is not None:
            before += moment[4] * d_h
        return [before, d_c * to_before], [d_z]

    states, (d_z,) = loop(step, series, [d_h, d_c], [tf.zeros_like(gates[:1])[0]], reverse=True)
    return d_z, states


def gru_scan(projected: Any, kernel: Any, bias: Any, h: Any, mask: Any = None) -> tuple[Any, Any]:
    """All h (T, N, U), then the last, of a GRU with tanh and sigmoid that resets after the product.

    `projected` is x @ W + b (T, N, 3U); `bias` (3U,) belongs to h @ kernel.
    """

    def step(moment: list[Any], states: Any) -> Any:
        h = states[0]
        x_z, x_r, x_g = tf.split(moment[0], 3, axis=1)
        h_z, h_r, h_g = tf.split(tf.matmul(h, kernel) + bias, 3, axis=1)
        z, r = tf.sigmoid(x_z + h_z), tf.sigmoid(x_r + h_r)
        g = tf.tanh(x_g + r * h_g)
        new = [g + z * (h - g)]
        if mask is not None:
            new = _choose(moment[1], new, states)
        return new, [*new, tf.concat([z, r, g, h_g], 1)]

    @tf.custom_gradient
    def run(projected: Any, kernel: Any, bias: Any, h: Any) -> Any:
        series = [projected] if mask is None else [projected, mask]
        (last,), (every_h, gates) = loop(step, series, [h], [h, tf.concat([h, h, h, h], 1)])

        def gradient(d_every_h: Any, d_h: Any) -> Any:
            before = _before(h, every_h)
            z, r, g, h_g = tf.split(gates, 4, axis=2)
            to_g = (1 - z) * (1 - g * g)
            to_z = (before - g) * z * (1 - z)
            to_r = to_g * h_g * r * (1 - r)
            d_total, d_before = _gru_backward(tf.concat([to_z, to_r, to_g * r], 2), z, kernel, d_every_h, d_h, mask)
            d_z, d_r, d_g = to_z * d_total, to_r * d_total, to_g * d_total
            d_recurrent = tf.concat([d_z, d_r, d_g * r], 2)
            d_kernel = _weight_gradient(before, d_recurrent)
            return tf.concat([d_z, d_r, d_g], 2), d_kernel, tf.reduce_sum(d_recurrent, (0, 1)), d_before

        return (every_h, last), gradient

    return run(projected, kernel, bias, h)


def _gru_backward(gates: Any, z: Any, kernel: Any, d_every_h: Any, d_h: Any, mask: Any) -> tuple[Any, Any]:
    """The gradient that reaches each step's own computation (T, N, U), and that of the first h."""
    series = [gates, z, d_every_h]
    if mask is not None:
        m = tf.cast(mask, z.dtype)[:, :, None]
        series = [gates * m, z * m + (1 - m), d_every_h]
    transposed = tf.transpose(kernel)

    def step(moment: list[Any], states: Any) -> Any:
        gates, z, d_output = moment
        d_h = states[0] + d_output
        d_recurrent = tf.concat([d_h, d_h, d_h], 1) * gates
        return [tf.matmul(d_recurrent, transposed) + d_h * z], [d_h]

    (d_before,), (d_total,) = loop(step, series, [d_h], [d_h], reverse=True)
    return d_total if mask is None else d_total * m, d_before


# ---- cuDNN ----


def cudnn(mode: str, inputs: Any, params: Any, states: list[Any], mask: Any, differentiable: bool) -> tuple[Any, ...]:
    """All outputs (T, N, U), then the last states, by cuDNN on a GPU; `mode` is "lstm" or "gru".

    `params` is what `cudnn_params` made of the weights, `mask` leaves out steps at the end of rows only.
    """
    h, c = states[0][None], states[1][None] if mode == "lstm" else tf.zeros((), inputs.dtype)
    common = {"input": inputs, "input_h": h, "input_c": c, "params": params, "rnn_mode": mode}
    if mask is None:
        found = tf.raw_ops.CudnnRNN(**common, is_training=differentiable)
        every, last = found.output, found.output_h[0]
    else:
        lengths = tf.reduce_sum(tf.cast(mask, "int32"), 0)
        found = tf.raw_ops.CudnnRNNV3(**common, sequence_lengths=lengths, is_training=differentiable)
        last = found.output_h[0]
        every = tf.where(mask[:, :, None], found.output, last)  # cuDNN gives zeros where the state should stay
    every = tf.ensure_shape(every, (*inputs.shape[:2], states[0].shape[1]))
    return (every, last, found.output_c[0]) if mode == "lstm" else (every, last)


def cudnn_params(kernel: Any, recurrent: Any, biases: Sequence[Any], order: Sequence[int]) -> Any:
    """The weights in cuDNN's layout, one vector: matrices (U, D) then (U, U), a gate after the other, then two biases a gate.

    `order` says at which place our kernels have cuDNN's gates: input, forget, new, output of an LSTM; reset, update,
    new of a GRU. Source: the reference of `cudnnGetRNNWeightParams`.
    """

    def parts(weights: Any) -> list[Any]:
        gates = tf.split(weights, len(order), axis=-1)
        return [gates[place] for place in order]

    matrices = [tf.transpose(part) for weights in (kernel, recurrent) for part in parts(weights)]
    vectors = [part for bias in biases for part in parts(bias)]
    return tf.concat([tf.reshape(x, (-1,)) for x in (*matrices, *vectors)], 0)


def only_right_padded(mask: Any) -> Any:
    """Whether each row of a mask (T, N) leaves out steps at its end only, and not all of them."""
    lengths = tf.reduce_sum(tf.cast(mask, "int32"), 0)
    until = tf.transpose(tf.sequence_mask(lengths, tf.shape(mask)[0]))
    return tf.reduce_all(tf.equal(mask, until)) & tf.reduce_all(lengths > 0)


# ---- What they share ----


def _before(first: Any, every: Any) -> Any:
    """The states (T, N, U) that each step got."""
    return tf.concat([first[None], every], 0)[:-1]


def _weight_gradient(before: Any, d_gates: Any) -> Any:
    """The gradient of the recurrent kernel, for all time steps in one product."""
    units, width = before.shape[2], d_gates.shape[2]
    return tf.matmul(tf.reshape(before, (-1, units)), tf.reshape(d_gates, (-1, width)), transpose_a=True)
