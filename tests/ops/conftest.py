"""What holds for the tests of ops."""

from __future__ import annotations

import pytest

from tests.ops import cases


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order() -> None:
    """What a test draws does not depend on the tests before it."""
    cases.start_anew()
