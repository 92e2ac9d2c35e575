"""Decomposition, block program, lowering: a pipeline of passes, each from one printable value to the next.

language -> :class:`~.cascade.Cascade` -> :class:`~.rules.RuleTable` -> :class:`~.program.Program` -> weights
"""

from .cascade import Cascade, decompose
from .holonomy import Holonomy, holonomy
from .lower import lower
from .manifest import build_manifest
from .program import Block, Condition, Move, Program, assemble
from .rules import RuleLevel, RuleTable, tabulate

__all__ = [
    "Block",
    "Cascade",
    "Condition",
    "Holonomy",
    "Move",
    "Program",
    "RuleLevel",
    "RuleTable",
    "assemble",
    "build_manifest",
    "decompose",
    "holonomy",
    "lower",
    "tabulate",
]
