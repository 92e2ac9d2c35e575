"""The distributions of words that were published with the languages of the suite.

Those of Bhattamishra, Ahuja and Goyal (2020) are read from github.com/satwik77/Transformer-Formal-Languages
(``src/utils/*_generator.py`` and the defaults of ``src/args.py``, commit e3c973c). Its data sets hold each word once
and keep the words of a range of lengths; here words are independent, and may repeat. The distribution of Hewitt et al.
(2020) is ``bracket_words.hewitt_word``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ..automata.bounded_dyck import bracket_pairs
from ..automata.counters.families import ARITIES
from ..automata.errors import EmptyLanguageError
from ..automata.words.balanced import Floats, generator_of, random_order, rotated, spell, tilted
from ..automata.words.counted import BlockWords, prefix_expression
from ..automata.words.uniform import Rng, Symbols

TRIES = 10_000
"""Words drawn before a generator by rejection gives up on a range of lengths."""


def grammar_word(kinds: int, shortest: int, longest: int, rng: Rng, nest: float = 0.5, branch: float = 0.25) -> Symbols:
    """Dyck-1, and the published Shuffle-k: a derivation of S -> ( S ) | S S | nothing, given its length's range.

    ``nest`` and ``branch`` are p and q of the grammar, by default those published (``-p_val 0.5 -q_val 0.25``); the
    kind of a pair of brackets is uniform. The published generator for Shuffle-k (``ShuffleLanguage.generate``) is this
    one too, so that its words are well nested. It also cuts derivations short at the longest length, which favours
    some words a little; here a word has its probability in the grammar given that the length is in the range.

    The number n of pairs is drawn from its law, whose generating function S solves S = p x S + q S^2 + 1 - p - q; then
    the number b of branchings, with which there are (n + 2b)! / (n! b! (b + 1)!) trees; then a tree by the cycle
    lemma. O(longest).

    Raises:
        ValueError: no kind, no range, or no probabilities with ``nest`` and ``branch`` positive and a rest.
        EmptyLanguageError: there is no even number in the range.

    >>> grammar_word(1, 1, 3, np.random.default_rng(0))
    ('(', ')')
    """
    stop = 1 - nest - branch
    if kinds < 1 or min(nest, branch, stop) <= 0:
        raise ValueError(f"no grammar with {kinds} kinds, nest={nest}, branch={branch}: all positive, sum below 1")
    sizes = _sizes(shortest, longest)
    generator = generator_of(rng)
    laws = _pair_law(nest, branch, longest // 2)[sizes.start : sizes.stop]
    pairs = sizes[_pick(laws, generator)]
    branches = _branchings(pairs, branch * stop, generator)
    nodes = rotated(random_order([branches + 1, pairs, branches], generator))
    brackets = bracket_pairs(kinds)
    choices = iter(generator.integers(kinds, size=pairs).tolist())
    word: list[str] = []
    pending: list[str | None] = []  # what follows the subtrees that are open: a bracket, or a second branch
    for node in nodes.tolist():
        if node == 1:
            opening, closing = brackets[next(choices)]
            word.append(opening)
            pending.append(closing)
        elif node == 2:
            pending.append(None)
        else:
            while pending and (after := pending.pop()) is not None:
                word.append(after)
    return tuple(word)


def _sizes(shortest: int, longest: int) -> range:
    """Half the even lengths of a range."""
    _check_range(shortest, longest)
    sizes = range((shortest + 1) // 2, longest // 2 + 1)
    if not sizes:
        raise EmptyLanguageError(f"no balanced word has a length from {shortest} to {longest}; give an even one")
    return sizes


@lru_cache(maxsize=16)
def _pair_law(nest: float, branch: float, most: int) -> Floats:
    """The probabilities of 0, 1, ..., ``most`` pairs of brackets, up to one factor.

    S = (1 - p x - Y) / (2 q) where Y^2 = D = (1 - p x)^2 - 4 q (1 - p - q); 2 D Y' = D' Y is a recurrence for Y.
    It is solved with x scaled so that D vanishes at 1, where the terms fall like n^(-3/2) and nothing underflows.
    """
    root = (branch * (1 - nest - branch)) ** 0.5
    scaled = 1 - 2 * root  # p times the scale of x
    a, b, c = 1 - 4 * root**2, -2 * scaled, scaled**2
    y = [a**0.5, b / 2 / a**0.5]
    for n in range(1, most):
        y.append(-(b * (2 * n - 1) * y[n] + 2 * c * (n - 2) * y[n - 1]) / (2 * a * (n + 1)))
    terms = -np.array(y[: most + 1])
    terms[0] += 1
    if most:
        terms[1] -= scaled
    logs: Floats = np.log(terms) + np.arange(most + 1) * np.log(nest / scaled)
    return logs


def _branchings(pairs: int, weight: float, generator: np.random.Generator) -> int:
    """The number b of branchings of a derivation with n pairs: in proportion to (n + 2b)! weight^b / (b! (b + 1)!)."""
    most = 64 + 4 * pairs
    while True:
        b = np.arange(most)
        nodes = pairs + 2 * b + 1
        # From b to b + 1: two more nodes, one more branching, one more leaf.
        logs = np.concatenate([[0.0], np.cumsum(np.log(nodes * (nodes + 1) * weight / ((b + 1) * (b + 2))))])
        if logs[-1] < logs.max() - 60 and logs[-1] < logs[-2]:
            return _pick(logs, generator)
        most *= 2


def _pick(logs: Floats, generator: np.random.Generator) -> int:
    """An index, with probability in proportion to exp of its entry."""
    sums = np.cumsum(np.exp(logs - logs.max()))
    return int(np.searchsorted(sums / sums[-1], generator.random(), side="right"))


def boolean_word(operators: int, shortest: int, longest: int, rng: Rng, nest: float = 0.5) -> Symbols:
    """Boolean-n: each symbol an operator of uniform arity with probability ``nest``, else a value, until complete.

    Given that the length is in the range, as in ``NAryBooleanExpLang.generate_string``, whose p is 0.5 by default. (Its
    code ends at arity 3; the same rule is used for 4 and 5.) The length is drawn from its law: w[n] / n, where w[n] is
    the coefficient of x^(n - 1) in the n-th power of the generating function of the arities.
    O((longest - shortest) * longest) once a range, then O(length).

    Raises:
        ValueError: no operator or too many, no range, or no probability.
        EmptyLanguageError: the longest length is 0.
    """
    _check_range(shortest, longest)
    if not 1 <= operators <= len(ARITIES) or not 0 < nest < 1:
        raise ValueError(f"no Boolean expressions with {operators} operators and nest={nest}")
    if longest == 0:
        raise EmptyLanguageError("no expression has length 0; give a longest length of at least 1")
    generator = generator_of(rng)
    weights = (1 - nest, *[nest / operators] * operators)
    first = max(1, shortest)
    length = first + _pick(_length_law(weights, first, longest), generator)
    return prefix_expression(["0", "1", *list(ARITIES)[:operators]], weights, length, generator)


@lru_cache(maxsize=16)
def _length_law(weights: tuple[float, ...], shortest: int, longest: int) -> Floats:
    """The logarithms of the probabilities that an expression has each length of the range.

    The coefficients of phi^n follow from those before: k p_0 c_k = sum_i ((n + 1) i - k) p_i c_(k - i), with positive
    terms only (J. C. P. Miller). All n at once, with an exponent of their own.
    """
    n = np.arange(shortest, longest + 1)
    law = tilted(weights, min(1.0, len(weights) - 1.5))
    # phi(x) -> phi(t x) / phi(t) changes the coefficient of x^(n - 1) in phi^n by t^(n - 1) / phi(t)^n.
    t = law[1] / law[0] * weights[0] / weights[1]
    change = (n - 1) * np.log(t) + n * np.log(law[0] / weights[0])
    recent: list[Floats] = [np.ones(len(n)), *[np.zeros(len(n))] * (len(law) - 2)]
    exponent = n * np.log(law[0])
    logs = np.zeros(len(n))
    for k in range(longest):
        if k:
            total = np.zeros(len(n))
            for i in range(1, len(law)):
                total += ((n + 1.0) * i - k) * law[i] * recent[i - 1]
            recent = [total / (k * law[0]), *recent[:-1]]
            if k % 8 == 0:
                scale = np.abs(recent[0])
                scale[scale == 0] = 1.0
                recent = [r / scale for r in recent]
                exponent = exponent + np.log(scale)
        if shortest - 1 <= k:
            logs[k + 1 - shortest] = np.log(recent[0][k + 1 - shortest]) + exponent[k + 1 - shortest]
    logs -= change + np.log(n)
    return logs


def block_word(symbols: Sequence[str], shortest: int, longest: int, rng: Rng) -> Symbols:
    """a^n b^n (c^n ...): n uniform over those whose word has a length in the range (``CounterLanguage``, "uniform").

    Raises:
        EmptyLanguageError: there is none.
    """
    _check_range(shortest, longest)
    words = BlockWords(tuple(symbols))
    lengths = words.lengths(shortest, longest)
    if not lengths:
        raise EmptyLanguageError(f"no word of {len(symbols)} equal blocks has a length from {shortest} to {longest}")
    return words.word(lengths[int(generator_of(rng).integers(len(lengths)))], rng)


def d_n_word(depth: int, shortest: int, longest: int, rng: Rng) -> Symbols:
    """D_n, as ``D_nLanguage.generate_d_n``: words a w b, with w in D_(n - 1), until the length asked for is reached.

    The length asked for is normal with mean 3/4 of the longest length and a tenth of that as its deviation; for each
    w again, with what was asked for around it in place of the longest length. Words outside the range are thrown away,
    so few remain of a range that lies far from 3/4 of its end. O(longest) a try.

    Raises:
        ValueError: depth below 1, or no range.
        EmptyLanguageError: no word in ``TRIES`` had such a length.
    """
    _check_range(shortest, longest)
    if depth < 1:
        raise ValueError(f"D_{depth} has no nested words; give a depth of at least 1")
    generator = generator_of(rng)

    def asked(most: int) -> int:
        return int(0.75 * most + 0.075 * most * generator.standard_normal())

    def nested(n: int, most: int) -> list[str]:
        word: list[str] = []
        while n and len(word) < most:
            word += ["a", *nested(n - 1, asked(most)), "b"]
        return word

    for _ in range(TRIES):
        word = nested(depth, asked(longest))
        if shortest <= len(word) <= longest:
            return tuple(word)
    raise EmptyLanguageError(f"none of {TRIES} words of D_{depth} had a length from {shortest} to {longest}; widen it")


def flip_flop_word(rng: Rng, ignore: float = 0.8, length: int = 512) -> Symbols:
    """The flip-flop language FFL(ignore) of Liu et al. (2023), over w, r, i, 0, 1.

    The first instruction is w and the last one r; each between is i with probability ``ignore``, w and r with half of
    the rest each. Bits are uniform, but that after r is the bit after the last w. Published: length 512 with ``ignore``
    0.8 (training), 0.98 (sparse) and 0.1 (dense); see arXiv 2306.00946, definition of FFL, and the card of the data set
    huggingface.co/datasets/synthseq/flipflop. O(length).

    Raises:
        ValueError: a length that is odd or below 4, or no probability.
    """
    if length < 4 or length % 2 or not 0 <= ignore <= 1:
        raise ValueError(f"no such words of length {length} with ignore={ignore}; give an even length of at least 4")
    generator = generator_of(rng)
    n = length // 2
    law = np.cumsum([(1 - ignore) / 2, (1 - ignore) / 2])
    instructions = np.searchsorted(law, generator.random(n), side="right")  # 0, 1, 2 for w, r, i
    instructions[0], instructions[-1] = 0, 1
    bits = generator.integers(2, size=n)
    written = np.maximum.accumulate(np.where(instructions == 0, np.arange(n), 0))
    bits = np.where(instructions == 1, bits[written], bits)
    return spell("wri01", np.stack([instructions, 3 + bits], axis=1).ravel())


def _check_range(shortest: int, longest: int) -> None:
    if shortest < 0 or longest < shortest:
        raise ValueError(f"lengths {shortest} to {longest} are no range; give 0 <= shortest <= longest")
