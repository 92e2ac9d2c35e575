"""What all languages have in common: an alphabet, members, and a vectorised ground truth."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .acceptor import Acceptor, Codes, Index, MooreRunner
from .alphabet import Word, read_tokens
from .bare import bare
from .bounded_dyck import BoundedDyck, StackAcceptor
from .budget import DEFAULT_BUDGET, Budget
from .combination import Combination, CombinationAcceptor, combination_from_json, combination_to_json, combined
from .copying.acceptor import CopyingAcceptor
from .copying.language import Copying, copying_from_json, copying_to_json
from .counters.acceptor import CounterAcceptor
from .counters.machine import CounterMachine, counter_machine_from_json, counter_machine_to_json
from .dfa import Dfa as Dfa
from .dfa import operand
from .errors import BracketLanguageError, LanguageFormatError, NotRegularError
from .formats.formats import from_json, from_object, naming, to_json_dict
from .formats.outputs import has_outputs, moore_from_json, moore_to_json
from .formats.registry import load_description
from .logic.past import PastAcceptor, PastLtl, past_from_json, past_to_json
from .moore import Moore
from .nested.acceptor import NestedAcceptor
from .nested.json import nested_from_json, nested_to_json
from .nested.language import NestedLanguage
from .regex.combinations import regex

Language = Dfa | Combination | PastLtl | BoundedDyck | NestedLanguage | Copying | CounterMachine | Moore
"""A regular language; a combination of some, a past formula, a bounded Dyck language, a nested one or copying (regular,
but without their DFAs); a counter language, or a machine with outputs."""

Recognised = Combination | PastLtl
"""Languages that know whether a word may end, and what may come next only by their DFA."""


@runtime_checkable
class Truth(Protocol):
    """Ground truth for one language, over batches of words."""

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols in the order of the letter numbers."""
        ...

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers of shape (words, longest), padded with 0, and the lengths of the words.

        Raises:
            UnknownSymbolError: a symbol outside the alphabet.
        """
        ...

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Which symbols may come next after every prefix, and whether it may end: shape (words, longest + 1, k + 1).

        All false after a prefix that nothing completes; meaningless behind the end of a word. Of a machine with outputs
        there is a column more for each class, in their order, and one of these is true.
        """
        ...


def truth_of(language: Language) -> Truth:
    """The vectorised ground truth of a language."""
    found: Truth = kind_of(language).truth(language)
    return found


def classes_of(language: Language) -> tuple[str, ...]:
    """The classes of a machine with outputs; none of a language."""
    return language.classes if isinstance(language, Moore) else ()


def predicts(language: Language) -> bool:
    """Whether it is said what may come next: always, but of some machines with outputs."""
    return not isinstance(language, Moore) or language.predicts


def columns_of(truth: Truth) -> dict[str, int]:
    """Which column of :meth:`Truth.next_masks` is about which token: symbols, ``<eos>``, and classes."""
    classes = truth.class_names if isinstance(truth, MooreRunner) else ()
    return {t: n for n, t in enumerate(read_tokens(truth.alphabet, follow=True, end=True, classes=classes))}


def as_language(value: Any, budget: Budget = DEFAULT_BUDGET) -> Language:
    """A language from anything that describes one: every function that takes a language takes all of these.

    Args:
        value: a language of scancraft, such as ``scancraft.named("D-12")`` or ``scancraft.regex("(ab)*")``, or anything
            with one as its attribute ``language``; a ``pathlib.Path`` of a file (JSON, or an automaton of another
            tool); a mapping in the JSON format (of a DFA, a counter machine, brackets, or what
            :func:`language_to_json` gives); a networkx graph with the graph attributes ``initial`` and ``accepting``
            (and ``alphabet``, if it has one); an automaton of automata-lib, pyformlang or AALpy; a ``str``, which is a
            regular expression.
        budget: for the automaton of an expression, and of a file that has to be determinised.

    Raises:
        AmbiguousLanguageError: a bare string that is a name of the suite, looks like a path, or has what expressions
            seldom have; the message says how to write what was meant.
        ScancraftError: none of these, or one that is malformed.

    >>> as_language("(ab)*") == as_language({"alphabet": ["a", "b"], "initial": "p", "accepting": ["p"],
    ...     "transitions": {"p": {"a": "q"}, "q": {"b": "p"}}})
    True
    """
    if isinstance(value, Language):
        return value
    if isinstance(value, str):
        return bare(value, budget=budget)
    if isinstance(own := getattr(value, "language", None), Language):
        return own
    if isinstance(value, os.PathLike):
        path = Path(value)
        data = load_description(path, budget=budget, outputs=True)
        with naming(path):
            language = as_language(data if isinstance(data, (Mapping, Dfa, Moore)) else from_json(data))
            return language.told("file", path.name)
    if isinstance(value, Mapping) and len(value) == 1 and any(kind.key in value for kind in KINDS):
        return language_from_json(value)
    if isinstance(value, Mapping) and "counters" in value:
        return counter_machine_from_json(value)
    if isinstance(value, Mapping) and has_outputs(value):
        return moore_from_json(value)
    if isinstance(value, Mapping) and "brackets" in value:
        return _bounded_dyck(value)
    return from_object(value, budget)


def as_dfa(value: Any, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """A regular language, however it is given, as its minimal DFA.

    Args:
        value: whatever :func:`as_language` reads, if it is regular.
        budget: for the automaton of an expression, and the states of a product, a bounded Dyck or a nested language.

    Raises:
        NotRegularError: a counter language.
        BudgetExceededError: the automaton is too large.
        ScancraftError: as :func:`as_language`.

    >>> as_dfa("a & ~b").n_states, as_dfa(BoundedDyck(2, 2)).n_states
    (3, 8)
    """
    language = as_language(value, budget)
    if isinstance(language, CounterMachine):
        raise NotRegularError("the language counts (a CounterMachine), so it has no DFA; give a regular language")
    if isinstance(language, Moore):
        raise NotRegularError(
            "a machine with outputs is no language, and one is needed here; give that of some classes, "
            f"machine.language({language.classes[0]!r})"
        )
    return language if isinstance(language, Dfa) else language.dfa(budget)


def as_automaton(value: Any, budget: Budget = DEFAULT_BUDGET) -> Dfa | Moore:
    """A machine with outputs as it is, anything else by :func:`as_dfa`."""
    language = as_language(value, budget)
    return language if isinstance(language, Moore) else as_dfa(language, budget)


@operand.register(object)
def _operand(value: Any, alphabet: Sequence[str]) -> Dfa:
    """The other side of an operator of ``Dfa``: an expression is read over the symbols of this one."""
    return as_dfa(bare(value, alphabet) if isinstance(value, str) else value)


def _bounded_dyck_to_json(language: BoundedDyck) -> dict[str, Any]:
    return {"brackets": [list(pair) for pair in language.brackets], "depth": language.depth}


def _bounded_dyck(value: Mapping[str, Any]) -> BoundedDyck:
    """``{"brackets": [["(", ")"], ...], "depth": h}``."""
    good = isinstance(value, Mapping) and set(value) == {"brackets", "depth"}
    pairs = value["brackets"] if good else None
    if not isinstance(pairs, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        raise BracketLanguageError('a bounded Dyck language is {"brackets": [["(", ")"], ...], "depth": h}')
    return BoundedDyck(len(pairs), value["depth"], tuple((p[0], p[1]) for p in pairs))


@dataclass(frozen=True)
class Kind:
    """What there is for a kind of language. A further kind is a further row of ``KINDS``."""

    key: str  # says in JSON which kind it is
    name: str  # says it in a sentence
    values: type
    truth: Callable[[Any], Truth]
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Language]


KINDS = (
    Kind("dfa", "a regular language", Dfa, Acceptor.of, to_json_dict, from_json),
    Kind(
        "combination",
        "a combination of languages",
        Combination,
        CombinationAcceptor,
        combination_to_json,
        combination_from_json,
    ),
    Kind("past_ltl", "a past formula", PastLtl, PastAcceptor, past_to_json, past_from_json),
    Kind(
        "bounded_dyck",
        "a bounded Dyck language",
        BoundedDyck,
        StackAcceptor,
        _bounded_dyck_to_json,
        _bounded_dyck,
    ),
    Kind("nested", "a nested language", NestedLanguage, NestedAcceptor, nested_to_json, nested_from_json),
    Kind("copying", "copying", Copying, CopyingAcceptor, copying_to_json, copying_from_json),
    Kind(
        "counter_machine",
        "a counter language",
        CounterMachine,
        CounterAcceptor,
        counter_machine_to_json,
        counter_machine_from_json,
    ),
    Kind("moore_machine", "a machine with outputs", Moore, MooreRunner, moore_to_json, moore_from_json),
)


def kind_of(language: Language) -> Kind:
    """The kind of a language."""
    return next(kind for kind in KINDS if isinstance(language, kind.values))


def language_to_json(language: Language) -> dict[str, Any]:
    """One key that says what kind of language it is (``Kind.key``), and its JSON."""
    kind = kind_of(language)
    return {kind.key: kind.to_json(language)}


def language_from_json(data: Mapping[str, Any]) -> Language:
    """The inverse of :func:`language_to_json`; keys that name no kind are ignored.

    Raises:
        ScancraftError: not just one known kind, or its description is malformed.
    """
    named = [kind for kind in KINDS if kind.key in data]
    if len(named) > 1:
        raise LanguageFormatError(f"{' and '.join(kind.key for kind in named)} stand for two languages; give one")
    if not named:
        known = ", ".join(kind.key for kind in KINDS)
        raise LanguageFormatError(f"the keys {sorted(data)} name no kind of language: {known}")
    return named[0].from_json(data[named[0].key])


def all_of(languages: Sequence[Any]) -> Combination:
    """The words that are in each of the languages, not multiplied out: compiled side by side.

    Args:
        languages: whatever :func:`as_language` reads, if regular. Their alphabets may differ: a regular expression is
            read over the symbols of all, an automaton has no words with symbols that it does not know.

    Raises:
        LanguageFormatError: there is none.
        NotRegularError: one of them is a counter language.

    >>> all_of(["(a|b)*a", "(ab|ba|a)*"]).accepts("aba")
    True
    """
    return combined("all", _regular(languages))


def any_of(languages: Sequence[Any]) -> Combination:
    """The words that are in at least one of the languages; see :func:`all_of`."""
    return combined("any", _regular(languages))


def none_of(languages: Sequence[Any]) -> Combination:
    """The words over the languages' symbols that are in none of them; see :func:`all_of`."""
    return combined("not", [any_of(languages)])


def _regular(values: Sequence[Any]) -> list[Dfa | Combination]:
    """The languages, expressions over the symbols of all."""
    found = [as_language(value) for value in values]
    symbols = sorted({symbol for language in found for symbol in language.alphabet})
    languages: list[Dfa | Combination] = []
    for value, language in zip(values, found, strict=True):
        if isinstance(value, str):
            languages.append(regex(value, symbols))
        else:
            languages.append(language if isinstance(language, Combination) else as_dfa(language))
    return languages
