"""Memory: how much of it is written, what running out of it looks like, and how a process is given a limit."""

from __future__ import annotations

import re
import resource

from .automata.errors import ScancraftError

OUT_OF_MEMORY = re.compile(r"allocate memory|out of memory|not enough memory|size calculation overflowed")
"""What torch says then, in a plain RuntimeError."""

UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "kB": 10**3, "MB": 10**6, "GB": 10**9}

_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,3}))? ?([A-Za-z]*)")


class MemorySizeError(ScancraftError):
    """No amount of memory."""


def bytes_of(text: str) -> int:
    """An amount of memory in bytes.

    Raises:
        MemorySizeError: not a number with one of the ``UNITS``, or nothing.

    >>> bytes_of("2GiB"), bytes_of("1.5 KiB"), bytes_of("4096")
    (2147483648, 1536, 4096)
    """
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[3] not in UNITS:
        units = " ".join(unit for unit in UNITS if unit)
        raise MemorySizeError(f"{text!r} is no amount of memory; give a number with a unit ({units}), as in 2GiB")
    thousandths = int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))
    if (amount := thousandths * UNITS[found[3]] // 1000) < 1:
        raise MemorySizeError(f"{text!r} is no memory at all; give some, as in 2GiB")
    return amount


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None
    )


def limit_memory(most: int) -> None:
    """Let allocations of this process fail once it holds so many bytes of its own (``RLIMIT_DATA``, Linux 4.7).

    What is mapped from files, such as libraries, is not counted, so the limit speaks of what a computation takes. A
    limit that is lower already stays.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limits = [limit for limit in (before, hard, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), hard))
