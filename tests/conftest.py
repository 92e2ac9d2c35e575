"""What all test files share: torch on one thread.

The models are tiny, and more threads only wait for each other: with two workers on two cores the tests then take
several times as long. Commands that tests start inherit it; torch reads it when it is first imported, after this file.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
