"""The command `nyala`, also as `python -m nyala`."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line of `nyala.cli` as a process of its own."""
    gc.disable()  # half a second's work leaves no rings, and a tenth of it, imports included, would be looking for them
    from nyala.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
