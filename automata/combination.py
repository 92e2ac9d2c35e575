"""Boolean combinations of regular languages as a person wrote them, not multiplied out.

Thirty languages of four states each may have a product with 4^30 states, which is never built here: a combination is
its parts, which run side by side, and an expression over their answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .acceptor import Acceptor, Codes, Index
from .alphabet import Word, check_alphabet, check_word
from .budget import DEFAULT_BUDGET, Budget
from .cards import brief
from .dfa import Dfa
from .errors import BudgetExceededError, LanguageFormatError
from .formats.formats import from_json, to_json_dict
from .search import leading_to, numbered
from .told import Told

T = TypeVar("T")

Operator = Literal["all", "any", "not"]
OPERATORS: tuple[Operator, ...] = ("all", "any", "not")

DEEPEST = 100
"""How deeply combinations may be nested."""


@dataclass(frozen=True)
class Combination(Told):
    """Words that are in all parts, in any part, or not in the only part.

    Attributes:
        operator: "all", "any" or "not".
        parts: over one alphabet; at least one, and exactly one for "not".

    Raises:
        LanguageFormatError: an unknown operator, a wrong number of parts, parts over different alphabets, or too
            many combinations inside each other.
    """

    operator: Operator
    parts: tuple[Dfa | Combination, ...]

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise LanguageFormatError(f"operator {self.operator!r} is unknown; use one of {', '.join(OPERATORS)}")
        if not self.parts or (self.operator == "not" and len(self.parts) > 1):
            wanted = "exactly one language" if self.operator == "not" else "at least one language"
            raise LanguageFormatError(f"{self.operator!r} of {len(self.parts)} languages; give {wanted}")
        for part in self.parts[1:]:
            if part.alphabet != self.alphabet:
                raise LanguageFormatError("parts of a combination are over different alphabets; give them one (`over`)")
        if self.depth > DEEPEST:
            raise LanguageFormatError(f"combinations are nested {self.depth} deep; give at most {DEEPEST}")

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols, in order."""
        return self.parts[0].alphabet

    @property
    def depth(self) -> int:
        """How deeply combinations are nested, this one included."""
        return 1 + max(part.depth if isinstance(part, Combination) else 0 for part in self.parts)

    @property
    def leaves(self) -> tuple[Dfa, ...]:
        """The regular languages, from left to right."""
        return tuple(
            leaf for part in self.parts for leaf in (part.leaves if isinstance(part, Combination) else (part,))
        )

    def shared_out(self, answers: Sequence[T]) -> Iterator[tuple[Dfa | Combination, Sequence[T]]]:
        """Each part with what belongs to its leaves, of something for each leaf."""
        begin = 0
        for part in self.parts:
            end = begin + (len(part.leaves) if isinstance(part, Combination) else 1)
            yield part, answers[begin:end]
            begin = end

    def value(self, answers: Sequence[Any]) -> Any:
        """The answer from those of the leaves: booleans, or arrays of booleans."""
        found = [
            np.asarray(part.value(mine) if isinstance(part, Combination) else mine[0])
            for part, mine in self.shared_out(answers)
        ]
        match self.operator:
            case "all":
                return np.logical_and.reduce(found)
            case "any":
                return np.logical_or.reduce(found)
            case "not":
                return np.logical_not(found[0])

    def accepts(self, word: Word) -> bool:
        """Whether ``word`` is in the language. O(length * leaves)."""
        check_word(word, self.alphabet)
        return bool(self.value([leaf.accepts(word) for leaf in self.leaves]))

    __contains__ = accepts

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The minimal DFA of the product. O(reachable product states * letters * leaves).

        Raises:
            BudgetExceededError: more reachable product states than the budget allows.
        """
        clock = budget.meter("product states")
        _, table, accepting = self._product(budget)
        return Dfa.from_table(self.alphabet, table, 0, accepting, clock=clock)

    def foresees(self, budget: Budget = DEFAULT_BUDGET) -> bool:
        """Whether the parts know what may come next: always, their answers combined as those of the end are.

        True of unions. Of others it is looked up in the product, and taken to be false where that is too large.
        """
        if self.is_union:
            return True
        try:
            found, table, accepting = self._product(budget)
        except BudgetExceededError:
            return False
        live = leading_to(accepting, ((q, target) for q, row in enumerate(table) for target in row))
        for states, row in zip(found, table, strict=True):
            allowed = [leaf.next_symbols(q) for leaf, q in zip(self.leaves, states, strict=True)]
            for symbol, target in zip(self.alphabet, row, strict=True):
                if bool(self.value([symbol in symbols for symbols in allowed])) != (target in live):
                    return False
        return True

    @property
    def is_union(self) -> bool:
        """Whether there are unions only."""
        return self.operator == "any" and all(isinstance(part, Dfa) or part.is_union for part in self.parts)

    def _product(self, budget: Budget) -> tuple[list[tuple[int, ...]], list[list[int]], list[int]]:
        """Reachable states of the product, their successors, and the numbers of the accepting ones."""
        leaves = self.leaves

        def successors(states: tuple[int, ...]) -> list[tuple[int, ...]]:
            rows = [leaf.table[q] for leaf, q in zip(leaves, states, strict=True)]
            return list(zip(*rows, strict=True))

        found, table = numbered(tuple(0 for _ in leaves), successors, budget.meter("product states"))
        answers = [self.value([q in x.accepting for x, q in zip(leaves, states, strict=True)]) for states in found]
        return found, table, [number for number, answer in enumerate(answers) if answer]

    def __repr__(self) -> str:
        return f"<Combination: {brief(str(self))}>"

    def __str__(self) -> str:
        texts = [str(p) if isinstance(p, Combination) else f"a DFA with {p.n_states} states" for p in self.parts]
        return f"not ({texts[0]})" if self.operator == "not" else f"{self.operator} of ({', '.join(texts)})"


class CombinationAcceptor:
    """Ground truth: one acceptor per leaf. Except for unions it only knows whether the word may end."""

    def __init__(self, language: Combination) -> None:
        self.language = language
        self.acceptors = [Acceptor.of(leaf) for leaf in language.leaves]

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols in the order of the letter numbers."""
        return self.language.alphabet

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """See :meth:`Acceptor.encode`."""
        return self.acceptors[0].encode(words)

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Whether every prefix may end, in the last column of shape (words, longest + 1, k + 1).

        The other columns say what may come next in a union, and are false otherwise.
        """
        masks: NDArray[np.bool_] = self.language.value([a.next_masks(codes, lengths) for a in self.acceptors])
        if not self.language.is_union:
            masks[..., :-1] = False
        return masks


def combined(operator: Operator, languages: Sequence[Dfa | Combination]) -> Combination:
    """A combination of languages over alphabets that may differ: each is seen over the union of all.

    Raises:
        LanguageFormatError: see :class:`Combination`.
    """
    symbols = check_alphabet(sorted({symbol for language in languages for symbol in language.alphabet}))
    alphabet = next((x.alphabet for x in languages if len(x.alphabet) == len(symbols)), symbols)
    return Combination(operator, tuple(_over(language, alphabet) for language in languages))


def _over(language: Dfa | Combination, alphabet: Sequence[str]) -> Dfa | Combination:
    if isinstance(language, Dfa):
        return language if language.alphabet == tuple(alphabet) else language.over(alphabet)
    if language.alphabet == tuple(alphabet):
        return language
    if set(language.alphabet) != set(alphabet):
        raise LanguageFormatError(
            "a combination over fewer symbols cannot be combined; give its parts the symbols first"
        )
    return Combination(language.operator, tuple(_over(part, alphabet) for part in language.parts))


def combination_to_json(language: Combination) -> dict[str, Any]:
    """``{"operator": [part, ...]}`` with a DFA's JSON for each leaf."""
    return {
        language.operator: [
            combination_to_json(part) if isinstance(part, Combination) else {"dfa": to_json_dict(part)}
            for part in language.parts
        ]
    }


def combination_from_json(data: Any, _depth: int = 0) -> Combination:
    """The inverse of :func:`combination_to_json`.

    Raises:
        LanguageFormatError: it is malformed, or nested too deeply.
    """
    if _depth >= DEEPEST:
        raise LanguageFormatError(f"combinations are nested more than {DEEPEST} deep")
    if not isinstance(data, Mapping) or len(data) != 1 or not set(data) <= set(OPERATORS):
        raise LanguageFormatError('a combination is {"all": [...]}, {"any": [...]} or {"not": [...]}')
    ((operator, parts),) = data.items()
    if not isinstance(parts, (list, tuple)):
        raise LanguageFormatError(f"{operator!r} of a combination needs a list of languages")
    return combined(
        operator,
        [
            from_json(part["dfa"])
            if isinstance(part, Mapping) and set(part) == {"dfa"}
            else combination_from_json(part, _depth + 1)
            for part in parts
        ],
    )
