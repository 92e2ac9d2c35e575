"""Letters that act alike: a language over the classes of its letters, where those of one class need not be told apart.

Two letters act alike iff they lead every state to the same one. Then no word's membership, and nothing about what may
come next, changes if one is put for the other, so a search may look at one letter of each class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from .alphabet import class_name
from .deterministic import Deterministic

Automaton = TypeVar("Automaton", bound=Deterministic)
Held = TypeVar("Held", covariant=True)


@dataclass(frozen=True)
class Quotient(Generic[Held]):
    """A language over the classes of its letters.

    Attributes:
        alphabet: of the language.
        dfa: over the names of the classes, with the states of the language and their names.
        members: the letters of each class, by its name; both in the order of the alphabet.
    """

    alphabet: tuple[str, ...]
    dfa: Held
    members: Mapping[str, tuple[str, ...]]

    @property
    def trivial(self) -> bool:
        """Whether every letter is a class of its own; then the language is as it was."""
        return len(self.members) == len(self.alphabet)

    def __str__(self) -> str:
        """One line for each class of several letters."""
        several = {name: letters for name, letters in self.members.items() if len(letters) > 1}
        return "\n".join(f"{name}: {len(letters):,} letters that act alike" for name, letters in several.items())


def quotient(dfa: Automaton) -> Quotient[Automaton]:
    """The language over the classes of its letters. O(states * letters).

    >>> from scancraft.automata.dfa import Dfa
    >>> found = quotient(Dfa.from_words("abcx", ["ax", "bx", "cx"]))
    >>> dict(found.members), found.dfa.accepts(["[a-c]", "x"])
    ({'[a-c]': ('a', 'b', 'c'), 'x': ('x',)}, True)
    """
    members = named_classes(dfa.letter_classes)
    over_classes = dfa.with_letters({name: letters[0] for name, letters in members.items()})
    return Quotient(dfa.alphabet, over_classes, members)


def named_classes(classes: Iterable[tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The classes of an alphabet by names, which are no letters of other classes."""
    classes = tuple(classes)
    taken = {letter for letters in classes for letter in letters}
    members: dict[str, tuple[str, ...]] = {}
    for letters in classes:
        name = letters[0] if len(letters) == 1 else _free(class_name(letters), taken)
        taken.add(name)
        members[name] = letters
    return members


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    return found
