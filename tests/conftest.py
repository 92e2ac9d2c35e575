"""What many test files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Torch on one thread: the models are tiny, and more only wait for each other; bits may depend on the number."""
    from scancraft.models import _threads

    with _threads.one_thread():
        yield
