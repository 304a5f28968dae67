"""The same work without Keras's API: one module for each engine, loaded in the process that needs it.

Each has `Ops`, the words in which a row describes its model (`ops.dense(x, kernel, bias)`), as that engine computes
them, and `ByHand`, which trains and predicts with them in the way that engine's users write it:
`ByHand(row, job)` with `epoch() -> loss`, `step(x, y) -> loss` and `predict(x) -> array`.
"""
