"""Probes as weights of Qwen3.5."""

from __future__ import annotations

from ....models.qwen3 import Qwen35Shape
from .delta_dressed import kind_of

KIND = kind_of(Qwen35Shape)
