"""How many threads torch uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread of the processor, and put back the number there was.

    For operations that take microseconds: a second thread gains nothing, and where the cores are shared with other
    programs each operation waits for it, which was measured to take a hundred times as long. Sums then do not depend
    on the number of cores, either.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
