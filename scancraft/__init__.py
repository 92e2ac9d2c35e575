"""scancraft: compile formal languages to the weights of real Mamba state-space models, bit for bit.

>>> import scancraft
>>> model = scancraft.compile("(a(ab)*b)*", "out/d2")          # doctest: +SKIP
>>> scancraft.check("out/d2").agrees                           # doctest: +SKIP
True

Names are loaded on first use, so that languages can be studied without importing torch.
"""

from __future__ import annotations

import ast
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

# In a checkout the folders automata/, compiler/ and models/ stand beside this one. Python started in the root of a
# checkout finds this folder before the installed package; this line lets it find those three as well.
_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "automata").is_dir():
    __path__.append(str(_ROOT))

# The packages `certify` and `refute` have the names of functions. Imported now (they are empty, so it costs nothing),
# they cannot take the functions' place later, as Python would have it at the first import of a module inside them.
for _name in ("certify", "refute"):
    import_module(f".{_name}", __name__)
    del globals()[_name]

if TYPE_CHECKING:
    from .automata.acceptor import Acceptor as Acceptor
    from .automata.bounded_dyck import BoundedDyck as BoundedDyck
    from .automata.budget import Budget as Budget
    from .automata.copying.language import Copying as Copying
    from .automata.copying.language import copying as copying
    from .automata.counters.machine import Counter as Counter
    from .automata.counters.machine import CounterMachine as CounterMachine
    from .automata.counters.machine import Step as Step
    from .automata.decide.aperiodic import NotStarFreeError as NotStarFreeError
    from .automata.decide.aperiodic import star_free_witness as star_free_witness
    from .automata.decide.classification import Classification as Classification
    from .automata.decide.classification import GateClass as GateClass
    from .automata.decide.classification import classify as classify
    from .automata.decide.walks import NoWalkError as NoWalkError
    from .automata.errors import AlphabetError as AlphabetError
    from .automata.errors import AmbiguousLanguageError as AmbiguousLanguageError
    from .automata.errors import BracketLanguageError as BracketLanguageError
    from .automata.errors import BudgetExceededError as BudgetExceededError
    from .automata.errors import CopyingLanguageError as CopyingLanguageError
    from .automata.errors import CounterLanguageError as CounterLanguageError
    from .automata.errors import EmptyLanguageError as EmptyLanguageError
    from .automata.errors import LanguageFormatError as LanguageFormatError
    from .automata.errors import MissingExtraError as MissingExtraError
    from .automata.errors import NotRegularError as NotRegularError
    from .automata.errors import RegexSyntaxError as RegexSyntaxError
    from .automata.errors import ScancraftError as ScancraftError
    from .automata.errors import UnknownLanguageError as UnknownLanguageError
    from .automata.errors import UnknownSymbolError as UnknownSymbolError
    from .automata.formats.outputs import mealy as mealy
    from .automata.formats.outputs import moore as moore
    from .automata.formats.registry import read_automaton as read_automaton
    from .automata.languages import Dfa as Dfa
    from .automata.languages import all_of as all_of
    from .automata.languages import any_of as any_of
    from .automata.languages import as_dfa as as_dfa
    from .automata.languages import as_language as as_language
    from .automata.languages import none_of as none_of
    from .automata.logic.ltl import ltl as ltl
    from .automata.logic.ltl import parse_ltl as parse_ltl
    from .automata.logic.past import PastLtl as PastLtl
    from .automata.moore import Moore as Moore
    from .automata.named import named as named
    from .automata.nested.documents import json_characters as json_characters
    from .automata.nested.documents import json_documents as json_documents
    from .automata.nested.documents import xml_documents as xml_documents
    from .automata.nested.language import NestedLanguage as NestedLanguage
    from .automata.regex.combinations import regex as regex
    from .automata.regex.regex import parse_regex as parse_regex
    from .automata.semiautomaton import Semiautomaton as Semiautomaton
    from .automata.words.mixtures import live_word_of as live_word_of
    from .automata.words.mixtures import members_of as members_of
    from .automata.words.mixtures import mixture_of as mixture_of
    from .beside import LanguageLogitsProcessor as LanguageLogitsProcessor
    from .blocks_needed import depth as depth
    from .campaigns.batch import batch as batch
    from .certify.certify import Certificate as Certificate
    from .certify.certify import certify as certify
    from .certify.check import CheckReport as CheckReport
    from .certify.check import check as check
    from .checkpoint import Checkpoint as Checkpoint
    from .checkpoint import load as load
    from .compiler.alternatives import NoPlanError as NoPlanError
    from .compiler.alternatives import PlanNotFoundError as PlanNotFoundError
    from .compiler.alternatives import UnknownChoiceError as UnknownChoiceError
    from .compiler.circuits.nested.memories import LevelMemoryError as LevelMemoryError
    from .compiler.combining import ForesightError as ForesightError
    from .compiler.manifest import ManifestError as ManifestError
    from .compiler.targets.base import ModelSizeError as ModelSizeError
    from .compiler.targets.base import TargetError as TargetError
    from .compiler.targets.base import UnknownTargetError as UnknownTargetError
    from .compiler.targets.gates import GateClassError as GateClassError
    from .compiler.targets.gates import UnknownGatesError as UnknownGatesError
    from .model import Compiled as Compiled
    from .model import Constructed as Constructed
    from .model import Model as Model
    from .model import compile as compile
    from .model import counters as counters
    from .model import dyck as dyck
    from .model import flip_flop as flip_flop
    from .models.abstract.errors import InexactError as InexactError
    from .models.abstract.errors import UnknownGateError as UnknownGateError
    from .models.errors import CheckpointError as CheckpointError
    from .models.errors import CounterRangeError as CounterRangeError
    from .models.errors import DeadPromptError as DeadPromptError
    from .models.errors import MissingClassError as MissingClassError
    from .models.errors import ReadoutError as ReadoutError
    from .models.errors import WeightsError as WeightsError
    from .models.longhorn import LonghornConfig as LonghornConfig
    from .models.longhorn import LonghornForCausalLM as LonghornForCausalLM
    from .models.precision import PrecisionError as PrecisionError
    from .models.readout import Readout as Readout
    from .models.signed_mamba import SignedMambaConfig as SignedMambaConfig
    from .models.signed_mamba import SignedMambaForCausalLM as SignedMambaForCausalLM
    from .refute.refute import Counterexample as Counterexample
    from .refute.refute import Refutation as Refutation
    from .refute.refute import refute as refute
    from .suite.languages import suite_language as suite_language

# The names are listed once, in the imports above, which type checkers read: where each one lives is read from there.
_HOME = {
    name.name: node.module
    for node in ast.walk(ast.parse(Path(__file__).read_text(encoding="utf-8")))
    if isinstance(node, ast.ImportFrom) and node.level == 1
    for name in node.names
}
__all__ = sorted(_HOME)
__version__ = version("scancraft")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
