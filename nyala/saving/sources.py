"""Any file of weights, open for reading. No TensorFlow here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from nyala.saving import archive, flat, shards
from nyala.saving.hdf5 import Source, open_hdf5


@contextmanager
def open_weights(path: Path) -> Iterator[Source]:
    """The weights in a file, whatever its format."""
    with ExitStack() as stack:
        if path.name.endswith(shards.SUFFIX):
            yield stack.enter_context(shards.open_shards(path))
        elif path.suffix in flat.OPENERS:
            yield stack.enter_context(flat.OPENERS[path.suffix](path))
        elif path.name.endswith(".weights.h5"):
            file = stack.enter_context(archive.open_file(path))
            yield stack.enter_context(open_hdf5(file, str(path)))
        elif path.suffix == ".keras":
            weights = stack.enter_context(archive.open_archive(path)).weights()
            yield stack.enter_context(open_hdf5(stack.enter_context(weights), str(path)))
        else:
            raise ValueError(
                "Weights are loaded from `.weights.h5`, `.weights.json`, `.h5`, `.npz`, `.safetensors` and `.keras` "
                f"files, but got {path.name!r}."
            )
