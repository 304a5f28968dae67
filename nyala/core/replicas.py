"""What the replicas of `tf.distribute` know of each other: their shares of a batch, and sums and means over all of them.

Inside a step of `fit`, a replica computes as if its part of the batch were the whole batch. What the parts give is then
weighted by their shares: of 3 rows on 2 replicas, one has a share of 1/3 and the other of 2/3. So
`Σ share · (mean over the part)` is the mean over the batch, and a regularizer, which each replica adds, counts once.
Where replicas run in another way than by `fit`, there are no shares.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from nyala.core.engine import tf


class _Replica(threading.local):  # each replica runs in a thread of its own
    share: Any = None
    waiting: Callable[[], AbstractContextManager[Any]] = nullcontext


_replica = _Replica()


@contextmanager
def with_share(share: Any, waiting: Callable[[], AbstractContextManager[Any]] = nullcontext) -> Iterator[None]:
    """Inside, this replica has `share`, a scalar, of the rows of the batch.

    Where replicas wait for each other, others run with the same layers; that goes on inside `waiting()`, which may put
    back what they change.
    """
    before = _replica.share, _replica.waiting
    _replica.share, _replica.waiting = share, waiting
    try:
        yield
    finally:
        _replica.share, _replica.waiting = before


def share() -> Any:
    """This replica's share of the rows of the batch; None where there are no shares."""
    return _replica.share


def count() -> int:
    """How many replicas run what is called here; 1 outside of replicas."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def number() -> Any:
    """The number of this replica, from 0 on."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def sums(values: Sequence[Any]) -> list[Any]:
    """Each of `values`, tensors or slices, summed over the replicas."""
    if not values or count() == 1:
        return list(values)
    with _replica.waiting():
        return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(values)))


def means(values: Sequence[Any]) -> list[Any]:
    """Each of `values` averaged over the replicas, by their shares where there are any.

    The gradient of a weighted mean is the weighted mean of the gradients, which are not weighted yet: that is done
    when an optimizer adds them up.
    """
    if not values or count() == 1:
        return list(values)
    if share() is None:
        return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, list(values)))

    @tf.custom_gradient
    def mean(*values: Any) -> Any:
        return sums([weighted(value) for value in values]), lambda *upstream: means(upstream)

    return list(mean(*values))


def weighted(value: Any) -> Any:
    """`value`, a float tensor or slices of one, times the share of this replica; 0, not NaN, where that is 0."""
    if share() is None:
        return value
    if isinstance(value, tf.IndexedSlices):
        return tf.IndexedSlices(weighted(value.values), value.indices, value.dense_shape)
    return tf.math.multiply_no_nan(value, tf.cast(share(), value.dtype))


def unweighted(value: Any) -> Any:
    """`value` divided by the share of this replica: what stays itself when shares weigh it."""
    return value if share() is None else tf.math.divide_no_nan(value, tf.cast(share(), value.dtype))


def common_divisor(divisor: Any) -> Any:
    """What to divide a sum over this part by, so that the weighted quotients add up to `Σ sum / Σ divisor`."""
    return divisor if share() is None else weighted(sums([divisor])[0])
