"""The table of ops of linear algebra: for each op its calls, with all options that matter."""

from __future__ import annotations

import numpy as np

from tests.ops.cases import INF, Case, case, each, floats, ints

NO_KERNEL = "TensorFlow has no XLA kernel for it"
XLA_CANNOT = {"det": NO_KERNEL, "eig": NO_KERNEL, "lu_factor": NO_KERNEL}
SYMBOLIC_DIFFERS = {
    "eig": "the reference says that eigenvalues are real",
    "lu_factor": "the reference says that pivots are floats",
}
# Takes a function: `test_linalg_ops.py` holds it against the reference.
WITHOUT_ORACLE = ("jvp",)


def regular(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Square matrices that are far from singular."""
    return floats(*shape, dtype=dtype) + (3 * np.eye(shape[-1])).astype(dtype)


def positive(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Positive definite matrices."""
    x = regular(*shape, dtype=dtype)
    return x @ np.swapaxes(x, -1, -2)


def spread(*shape: int) -> np.ndarray:
    """Matrices whose singular values lie apart, so that the gradients of the vectors are no large numbers."""
    x = floats(*shape, dtype="float64")
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (u * np.arange(s.shape[-1], 0, -1) @ vh).astype("float32")


def thirds(compiled: list[Case], others: list[Case]) -> list[Case]:
    """The cases in an order in which XLA, which compiles every third, gets those of `compiled` only.

    Because some compile slowly: a decomposition of a matrix 3 by 3 takes seconds, of a column one.
    """
    pairs = [others[i : i + 2] for i in range(0, len(others), 2)]
    return [row for i, pair in enumerate(pairs) for row in (compiled[i % len(compiled)], *pair)]


COMPLEX = (regular(3, 3) + 1j * floats(3, 3)).astype("complex64")
HERMITIAN = (COMPLEX @ COMPLEX.conj().T).astype("complex64")
VECTOR, MATRIX, BOX = floats(5), floats(3, 4), floats(2, 3, 4)
ORDERS = (None, 0, 1, 2, 3, 0.5, -1, -2, 1.5, INF, -INF)

ROWS: dict[str, list[Case]] = {
    "cholesky": [
        *[case(positive(*shape)) for shape in ((3, 3), (1, 1), (2, 4, 4), (0, 2, 2))],
        case(positive(2, 3, 3), upper=True),
        case(positive(2, 2, dtype="float64")),
    ],
    "cholesky_inverse": [
        *[case(regular(*shape)) for shape in ((3, 3), (1, 1), (2, 4, 4), (0, 2, 2))],
        case(regular(2, 3, 3), upper=True),
        case(regular(2, 2, dtype="float64")),
    ],
    **each(
        ("det", "inv"),
        thirds(
            [case(regular(3, 3)), case(regular(2, 2, dtype="float64"))],
            [*[case(regular(*shape)) for shape in ((1, 1), (2, 4, 4), (2, 1, 3, 3), (0, 2, 2))], case(COMPLEX)],
        ),
    ),
    "eig": [
        case(np.triu(spread(3, 3)) + np.diag([1.0, 4.0, 9.0]).astype("float32")),
        case(regular(2, 3, 3)),
        case(regular(2, 2, dtype="float64")),
        case(COMPLEX),
        case(regular(0, 2, 2)),
    ],
    "eigh": thirds(  # XLA gives vectors of other signs than TensorFlow's kernel
        [case(np.diag(np.array([1.0, 2.0], "float32")))],
        [
            *[case(positive(*shape)) for shape in ((3, 3), (2, 3, 3), (0, 2, 2))],
            case(regular(3, 3)),
            case(positive(2, 2, dtype="float64")),
            case(HERMITIAN),
        ],
    ),
    "lu_factor": [
        case(floats(4, 4)),
        case(np.array([[0.0, 1.0], [2.0, 3.0]])),
        case(floats(5, 5, dtype="float64")),
        case(COMPLEX),
    ],
    "qr": [
        *[case(floats(*shape)) for shape in ((3, 3), (4, 2), (2, 4, 3), (2, 4), (0, 3, 2))],
        case(floats(3, 3), mode="complete"),
        case(floats(4, 2, dtype="float64")),
        case(COMPLEX),
    ],
    "svd": thirds(  # the signs as in `eigh`
        [case(floats(2, 1), compute_uv=False)],
        [
            *[case(floats(*shape), compute_uv=False) for shape in ((4, 3), (2, 3, 4), (0, 2, 3))],
            *[case(spread(*shape), full_matrices=False) for shape in ((4, 3), (3, 4))],
            *[case(spread(*shape)) for shape in ((2, 3, 3), (2, 3))],
            case(spread(4, 3).astype("float64")),
            case(COMPLEX),
        ],
    ),
    **each(
        ("solve", "solve_triangular"),
        thirds(
            [case(regular(2, 4, 4), floats(2, 4)), case(regular(3, 3), floats(3, 2))],
            [
                case(regular(3, 3), floats(3)),
                case(regular(2, 4, 4), floats(2, 4, 3)),
                case(regular(2, 1, 3, 3), floats(2, 1, 3, 1)),
                case(regular(0, 2, 2), floats(0, 2, 2)),
                case(regular(2, 2, dtype="float64"), floats(2, dtype="float64")),
                case(COMPLEX, COMPLEX[:, :2].copy()),
            ],
        ),
    ),
    "pinv": thirds(
        [case(floats(2, 1))],
        [
            *[case(spread(*shape)) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2))],
            case(spread(3, 3), rcond=0.5),
            case(spread(3, 2).astype("float64")),
        ],
    ),
    "lstsq": thirds(
        [case(floats(2, 1), floats(2))],
        [
            case(spread(3, 3), floats(3)),
            case(spread(4, 2), floats(4)),
            case(spread(2, 4), floats(2, 3)),
            case(spread(4, 3), floats(4, 2), rcond=0.5),
            case(spread(4, 3).astype("float64"), floats(4, 1, dtype="float64"), rcond=1e-9),
        ],
    ),
    "matrix_rank": thirds(
        [case(floats(2, 1))],
        [
            *[case(spread(*shape)) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2), (0, 2, 2))],
            case(spread(4, 3), tol=1.5),
            case(np.outer([1.0, 2.0], [2.0, 4.0, 6.0]).astype("float32")),
            case(np.zeros((2, 2), "float32")),
        ],
    ),
    "norm": thirds(
        [case(BOX, ord=1, axis=(0, 2)), case(VECTOR), case(VECTOR, ord=3), case(floats(2, 1), ord="nuc")],
        [
            *[case(x) for x in (MATRIX, floats(0), ints(2, 3), ints(3, dtype="int64"), VECTOR.astype("float64"))],
            *[case(VECTOR, ord=order) for order in ORDERS],
            *[case(MATRIX, ord=order) for order in (1, -1, 2, -2, INF, -INF, "fro", "nuc")],
            *[case(BOX, ord=order, axis=-2) for order in ORDERS],
            *[case(BOX, ord=order, axis=(0, -1), keepdims=True) for order in (None, 1, -1, 2, -2, INF, "nuc")],
            *[case(BOX, ord=order, axis=[2, 1]) for order in (None, 1, -1, INF, -INF, "nuc")],
            *[case(MATRIX, ord=order, axis=(0,), keepdims=True) for order in (None, 1, 3)],
            case(ints(2, 3), ord=1),
            case(ints(4), ord=3),
        ],
    ),
}
