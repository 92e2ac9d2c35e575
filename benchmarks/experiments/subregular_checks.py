"""Whether a DFA is in a subregular class, by what is known of the automata of the class, not by how it was made.

None: not looked at, because the class has no cheap test, or the automaton is too large for it.
"""

from __future__ import annotations

from itertools import combinations, product
from math import isqrt

from scancraft.automata.dfa import Dfa

LARGEST_MONOID = 2_000
"""Elements that are enumerated."""

LARGEST_FOR_THRESHOLDS = 24
"""Elements of a semigroup in which all triples are tried between all pairs of idempotents."""

Map = tuple[int, ...]


def in_class(kind: str, dfa: Dfa, tier: str, k: int) -> bool | None:
    """Whether a language is in a class of MLRegTest.

    Args:
        kind: the class.
        dfa: the language, minimal.
        tier: the letters of the tier; all where the class has none.
        k: the width; of Zp the modulus.
    """
    if kind in ("TSL", "TcoSL", "TLT", "TLTT"):
        kind = kind.removeprefix("T")
        outside = [dfa.alphabet.index(a) for a in dfa.alphabet if a not in tier]
        if any(row[a] != q for q, row in enumerate(dfa.table) for a in outside):
            return False
        kept = [dfa.alphabet.index(a) for a in dfa.alphabet if a in tier]
        rows = [[row[a] for a in kept] for row in dfa.table]
        dfa = Dfa.from_table(tuple(dfa.alphabet[a] for a in kept), rows, dfa.initial, dfa.accepting)
    if kind.startswith("co"):
        kind, dfa = kind.removeprefix("co"), ~dfa
    if kind == "SL":
        return strictly_local(dfa, k)
    if kind == "SP":
        return closed_under_subsequences(dfa)
    if kind == "PT":
        return piecewise_testable(dfa)
    if kind == "Zp":
        return counts_modulo(dfa, k)
    semigroup = transitions(dfa)
    if semigroup is None:
        return None
    if kind == "LT":
        return locally_testable(semigroup)
    if kind == "LTT":
        return locally_threshold_testable(semigroup)
    return aperiodic(semigroup) is (kind != "Reg")


def strictly_local(dfa: Dfa, k: int) -> bool:
    """After k - 1 letters a live state is known (the synchronising property; words may be shorter).

    A language is strictly k-local iff two states from which the same k - 1 letters lead to live states are led to one:
    De Luca and Restivo (1980), in the form of suffix substitution.
    """
    live, letters = dfa.live, range(len(dfa.alphabet))
    apart = {(p, q) for p, q in combinations(sorted(live), 2)}
    for _ in range(k - 1):
        after = {tuple(sorted((dfa.table[p][a], dfa.table[q][a]))) for p, q in apart for a in letters}
        apart = {(p, q) for p, q in after if p != q and p in live and q in live}
    return not apart


def closed_under_subsequences(dfa: Dfa) -> bool:
    """Leaving a letter out never leaves the language: L(q a) is part of L(q) for all states q and letters a."""
    letters = range(len(dfa.alphabet))
    stack = [(dfa.table[q][a], q) for q in range(dfa.n_states) for a in letters if dfa.table[q][a] != q]
    seen = set(stack)
    while stack:
        inner, outer = stack.pop()
        if inner in dfa.accepting and outer not in dfa.accepting:
            return False
        for a in letters:
            pair = dfa.table[inner][a], dfa.table[outer][a]
            if pair[0] != pair[1] and pair not in seen:
                seen.add(pair)
                stack.append(pair)
    return True


def piecewise_testable(dfa: Dfa) -> bool:
    """The automaton is partially ordered and confluent: Klima and Polak, *Alternative automata characterization of
    piecewise testable languages* (2013)."""
    n, letters = dfa.n_states, range(len(dfa.alphabet))
    targets = [{t for t in row if t != q} for q, row in enumerate(dfa.table)]
    left = [len(found) for found in targets]
    ends = [q for q in range(n) if not left[q]]
    for end in ends:  # what only ends follow is taken away
        for q in range(n):
            if end in targets[q]:
                left[q] -= 1
                if not left[q]:
                    ends.append(q)
    if len(ends) < n:
        return False
    columns = sorted({tuple(row[a] for row in dfa.table) for a in letters})  # letters that act alike are one

    def last(q: int, pair: tuple[Map, Map]) -> set[int]:
        """The states without a way out by these letters that can be reached."""
        stack, seen, found = [q], {q}, set()
        while stack:
            at = stack.pop()
            after = {column[at] for column in pair} - {at}
            if not after:
                found.add(at)
            stack += after - seen
            seen |= after
        return found

    return all(len(last(q, pair)) == 1 for pair in combinations(columns, 2) for q in range(n))


def counts_modulo(dfa: Dfa, modulus: int) -> bool:
    """So many states in one circle, which every letter turns by one step or not at all."""
    still = tuple(range(dfa.n_states))
    turns = {tuple(row[a] for row in dfa.table) for a in range(len(dfa.alphabet))} - {still}
    if dfa.n_states != modulus or len(turns) != 1:
        return False
    (turn,) = turns
    at, seen = dfa.initial, set()
    while at not in seen:
        seen.add(at)
        at = turn[at]
    return len(seen) == modulus


def transitions(dfa: Dfa) -> list[Map] | None:
    """The syntactic semigroup: what all words but the empty one do to the states; None if it is too large."""
    letters = sorted({tuple(row[a] for row in dfa.table) for a in range(len(dfa.alphabet))})
    found = dict.fromkeys(letters)
    for element in (queue := list(letters)):
        for letter in letters:
            product_ = tuple(letter[q] for q in element)
            if product_ not in found:
                if len(found) == LARGEST_MONOID:
                    return None
                found[product_] = None
                queue.append(product_)
    return queue


def _times(*factors: Map) -> Map:
    result = factors[0]
    for factor in factors[1:]:
        result = tuple(factor[q] for q in result)
    return result


def aperiodic(semigroup: list[Map]) -> bool:
    """No element permutes states in a circle of more than one: no nontrivial group (Schützenberger 1965)."""
    for element in semigroup:
        power, seen = element, {element}
        while (after := _times(power, element)) not in seen:
            seen.add(after)
            power = after
        if after != power:
            return False
    return True


def locally_testable(semigroup: list[Map]) -> bool | None:
    """e S e is idempotent and commutative for all idempotents e (Brzozowski and Simon 1973, McNaughton 1974)."""
    if len(semigroup) > isqrt(40 * LARGEST_MONOID):
        return None
    for e in semigroup:
        if _times(e, e) == e:
            local = {_times(e, s, e) for s in semigroup}
            if any(_times(s, s) != s for s in local):
                return False
            if any(_times(s, t) != _times(t, s) for s, t in combinations(local, 2)):
                return False
    return True


def locally_threshold_testable(semigroup: list[Map]) -> bool | None:
    """Aperiodic, and e a f b e c f = e c f b e a f for all idempotents e, f and elements a, b, c (Beauquier and Pin
    1989)."""
    if len(semigroup) > LARGEST_FOR_THRESHOLDS:
        return None
    idempotents = [e for e in semigroup if _times(e, e) == e]
    for e, f in product(idempotents, repeat=2):
        there = {_times(e, s, f) for s in semigroup}
        back = {_times(f, s, e) for s in semigroup}
        for a, b, c in product(there, back, there):
            if _times(a, b, c) != _times(c, b, a):
                return False
    return aperiodic(semigroup)
