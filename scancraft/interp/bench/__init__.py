"""Circuits that are known, for methods to be scored on: which edges of a compiled model matter, and who finds them.

``graph`` has the nodes and edges, ``truth`` which of them matter, ``task`` what a method is given, ``methods`` some of
them, ``score`` how they are scored, ``leaderboard`` the file of results. Nothing in the rest of ``interp`` rests on it.
"""

from .graph import Edge, Graph, Node
from .leaderboard import add, read
from .methods import METHODS, activation_patching, attribution_patching, linear_probe
from .score import Result, Score, bench
from .task import Method, Scores, Task, task_of
from .truth import Truth, truth_of

__all__ = [
    "METHODS",
    "Edge",
    "Graph",
    "Method",
    "Node",
    "Result",
    "Score",
    "Scores",
    "Task",
    "Truth",
    "activation_patching",
    "add",
    "attribution_patching",
    "bench",
    "linear_probe",
    "read",
    "task_of",
    "truth_of",
]
