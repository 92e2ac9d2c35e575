"""Decomposition, block program, lowering: a pipeline of passes, each from one printable value to the next.

language -> :class:`~.cascade.Cascade` -> :class:`~.rules.RuleTable` -> :class:`~.program.Program` -> weights of a
:class:`~.targets.Target`

The paper's own constructions go another way: language -> :class:`~.circuit.Circuit` -> weights.
"""

from .bounded_dyck import bounded_dyck_circuit
from .cascade import Cascade, decompose
from .circuit import Circuit, CircuitBlock, CircuitChannel
from .counting import counter_circuit
from .flip_flop import flip_flop_circuit
from .holonomy import Holonomy, holonomy
from .manifest import build_manifest, circuit_manifest
from .program import Block, Condition, Move, Program, assemble
from .rules import RuleLevel, RuleTable, tabulate
from .targets import TARGETS, Options, Target, target

__all__ = [
    "TARGETS",
    "Block",
    "Cascade",
    "Circuit",
    "CircuitBlock",
    "CircuitChannel",
    "Condition",
    "Holonomy",
    "Move",
    "Options",
    "Program",
    "RuleLevel",
    "RuleTable",
    "Target",
    "assemble",
    "bounded_dyck_circuit",
    "build_manifest",
    "circuit_manifest",
    "counter_circuit",
    "decompose",
    "flip_flop_circuit",
    "holonomy",
    "tabulate",
    "target",
]
