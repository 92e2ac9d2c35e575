"""Probes as weights of Qwen3-Next."""

from __future__ import annotations

from ....models.qwen3 import Qwen3NextShape
from .delta_dressed import kind_of

KIND = kind_of(Qwen3NextShape)
