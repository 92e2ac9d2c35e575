"""scancraft: compile formal languages to the weights of real Mamba state-space models, bit for bit.

>>> import scancraft
>>> model = scancraft.compile("(a(ab)*b)*", "out/d2")          # doctest: +SKIP
>>> scancraft.check("out/d2").agrees                           # doctest: +SKIP
True

Names are loaded on first use, so that languages can be studied without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# In a checkout the folders automata/, compiler/ and models/ stand beside this one. Python started in the root of a
# checkout finds this folder before the installed package; this line lets it find those three as well.
_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "automata").is_dir():
    __path__.append(str(_ROOT))

if TYPE_CHECKING:
    from .automata.acceptor import Acceptor as Acceptor
    from .automata.aperiodic import NotStarFreeError as NotStarFreeError
    from .automata.aperiodic import star_free_witness as star_free_witness
    from .automata.bounded_dyck import BoundedDyck as BoundedDyck
    from .automata.budget import Budget as Budget
    from .automata.classification import Classification as Classification
    from .automata.classification import GateClass as GateClass
    from .automata.classification import classify as classify
    from .automata.counters import Counter as Counter
    from .automata.counters import CounterMachine as CounterMachine
    from .automata.counters import Step as Step
    from .automata.dfa import Dfa as Dfa
    from .automata.errors import BudgetExceededError as BudgetExceededError
    from .automata.errors import ScancraftError as ScancraftError
    from .automata.formats import as_dfa as as_dfa
    from .automata.regex import parse_regex as parse_regex
    from .automata.semiautomaton import Semiautomaton as Semiautomaton
    from .automata.suite import suite_language as suite_language
    from .automata.suite_words import live_word_of as live_word_of
    from .automata.suite_words import members_of as members_of
    from .automata.suite_words import mixture_of as mixture_of
    from .certifying import Certificate as Certificate
    from .certifying import certify as certify
    from .checking import CheckReport as CheckReport
    from .checking import check as check
    from .checkpoints import Checkpoint as Checkpoint
    from .checkpoints import load as load
    from .compiled import Compiled as Compiled
    from .compiled import compile as compile
    from .compiler.gates import GateClassError as GateClassError
    from .constructions import Constructed as Constructed
    from .constructions import counters as counters
    from .constructions import dyck as dyck
    from .constructions import flip_flop as flip_flop
    from .models.errors import CounterRangeError as CounterRangeError
    from .models.generation import LanguageLogitsProcessor as LanguageLogitsProcessor
    from .models.readout import Readout as Readout
    from .models.signed_mamba import SignedMambaConfig as SignedMambaConfig
    from .models.signed_mamba import SignedMambaForCausalLM as SignedMambaForCausalLM
    from .refuting import Refutation as Refutation
    from .refuting import refute as refute

_HOME = {
    "Acceptor": "automata.acceptor",
    "BoundedDyck": "automata.bounded_dyck",
    "Budget": "automata.budget",
    "BudgetExceededError": "automata.errors",
    "Certificate": "certifying",
    "CheckReport": "checking",
    "Checkpoint": "checkpoints",
    "Classification": "automata.classification",
    "Compiled": "compiled",
    "Constructed": "constructions",
    "Counter": "automata.counters",
    "CounterMachine": "automata.counters",
    "CounterRangeError": "models.errors",
    "Dfa": "automata.dfa",
    "GateClass": "automata.classification",
    "GateClassError": "compiler.gates",
    "LanguageLogitsProcessor": "models.generation",
    "NotStarFreeError": "automata.aperiodic",
    "Readout": "models.readout",
    "Refutation": "refuting",
    "ScancraftError": "automata.errors",
    "Semiautomaton": "automata.semiautomaton",
    "SignedMambaConfig": "models.signed_mamba",
    "SignedMambaForCausalLM": "models.signed_mamba",
    "Step": "automata.counters",
    "as_dfa": "automata.formats",
    "certify": "certifying",
    "check": "checking",
    "classify": "automata.classification",
    "compile": "compiled",
    "counters": "constructions",
    "dyck": "constructions",
    "flip_flop": "constructions",
    "live_word_of": "automata.suite_words",
    "load": "checkpoints",
    "members_of": "automata.suite_words",
    "mixture_of": "automata.suite_words",
    "parse_regex": "automata.regex",
    "refute": "refuting",
    "star_free_witness": "automata.aperiodic",
    "suite_language": "automata.suite",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
