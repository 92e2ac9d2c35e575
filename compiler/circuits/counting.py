"""Counters as integrators (theorem 5 of Sarrof, Veitsman and Hahn 2024), and the counter languages built on them.

Blocks: those of the star-free control; one that counts; one that tests the counters' signs; and, for the contract
"all-words", the error latch.

*Counting.* A counter's gate is 1 and its write is what the transition adds, so its state is the exact sum. Writes come
through B, which all channels of a block share and which may be negative: counter i owns entry i of d_state, where its
channel integrates, while in the other entries the gate is 0 and leaves the present write of the others. Reading sums
all entries, so the writes of the others are subtracted again. ``<bos>`` has a Delta so large that the gate is 0.

*Testing.* For an integer c, max(0, c) - max(0, c - 1) is [c >= 1], and likewise for -c. The gate multiplies by
[control state in a group] where a test is made only there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ...automata.alphabet import BOS, EOS, format_word
from ...automata.budget import DEFAULT_BUDGET, Budget
from ...automata.counters.machine import Counter as Counted
from ...automata.counters.machine import CounterMachine
from ...automata.decide.aperiodic import find_permutation
from ...automata.errors import CounterLanguageError
from ...automata.semiautomaton import Semiautomaton
from ..cascade.cascade import Cascade
from ..cascade.holonomy import holonomy
from ..cascade.rules import tabulate
from .circuit import Circuit, CircuitBlock, CircuitChannel, Counter, indicator
from .forms import ALWAYS, Form, plus, times
from .latching import latch_errors
from .levels import Levels, assemble, slot_feature

FLOAT_BITS = {"float32": 24, "bfloat16": 8}
"""Integers up to 2^bits are exact in these dtypes."""


def counting_block(
    title: str,
    letter: Form,
    bos: str,
    classes: Sequence[CircuitChannel],
    counters: Mapping[str, tuple[int, Sequence[int]]],
) -> CircuitBlock:
    """A block of counters.

    Args:
        title: what it counts.
        letter: a form that is 1 at every letter and 0 at ``<bos>``.
        bos: the feature of ``<bos>``.
        classes: kinds of letters, or of windows of letters, that change counters: channels whose x is [such a letter
            has come].
        counters: from the feature that a counter is written to, to its initial value and its change per class.
    """
    initials = [initial for initial, _ in counters.values()]
    changes: list[Sequence[int]] = [[change[n] for _, change in counters.values()] for n in range(len(classes))]
    channels = []
    kinds = (*classes, CircuitChannel("<bos>", {bos: 1}))
    for feature, change in zip(kinds, (*changes, initials), strict=True):
        # Entry i of every counter's channel holds the present write of counter i, which must not be counted twice.
        correction = {name: change[i] - sum(change) for i, name in enumerate(counters) if change[i] != sum(change)}
        channels.append(replace(feature, skip=1, gate=ALWAYS, writes=correction) if correction else feature)
    bos_now, letter_now = len(classes), len(channels)
    channels += [CircuitChannel("a letter", letter), CircuitChannel("always 1", bias=1)]
    for index, (name, (initial, change)) in enumerate(counters.items()):
        add = {c: amount for c, amount in enumerate(change) if amount}
        others = {c: sum(row) - row[index] for c, row in enumerate((*changes, initials)) if sum(row) != row[index]}
        memory = Counter(name, index, letter_now, bos_now, add, initial, others)
        channels.append(CircuitChannel(name, bias=1, memory=memory, gate=ALWAYS, writes={name: 1}))
    return CircuitBlock(title, tuple(channels))


def limits_of(*, signed: bool, least: int = 1, others: int = 0) -> dict[str, int]:
    """The largest |value| of a counter that is exact, by dtype; dtypes in which one step passes it are left out.

    A scan may add up any segment of the sequence first, and a segment's sum is a difference of two values: at most 2^p
    if all values lie in 0..2^p, and at most twice the bound if they may be negative. A counter is read together with
    the present writes of the others, at most ``others`` in all.
    """
    limits = {dtype: (2**bits - others) // (2 if signed else 1) for dtype, bits in FLOAT_BITS.items()}
    return {dtype: limit for dtype, limit in limits.items() if limit >= least}


@dataclass(frozen=True)
class Control:
    """The control of a counter machine as a complete automaton: states, and what each (state, symbol) leads to.

    States are pairs of a control state and a variant: where two transitions on one symbol lead to the same state but
    add differently, the state is split, so that (state after, symbol) determines what was added. The last state is
    dead.

    Attributes:
        semiautomaton: over the machine's alphabet.
        states: the machine's state of each but the last.
        adds: what was added, for each (state after, letter) that occurs.
    """

    semiautomaton: Semiautomaton
    states: tuple[str, ...]
    adds: Mapping[tuple[int, int], tuple[int, ...]]
    initial: int = 0

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols."""
        return self.semiautomaton.alphabet

    @property
    def names(self) -> tuple[str, ...]:
        """The states' names."""
        return (*self.states, *(["dead"] if self.semiautomaton.n_states > len(self.states) else []))


def control_of(machine: CounterMachine) -> Control:
    """The control of a machine. O(states * letters * splits)."""
    order = [(machine.initial, 0)]
    known = {order[0]: 0}
    adds: dict[tuple[int, int], tuple[int, ...]] = {}
    rows: list[list[int]] = []
    for state, _ in order:
        row = []
        for a, symbol in enumerate(machine.alphabet):
            step = machine.transitions.get(state, {}).get(symbol)
            if step is None:
                row.append(-1)
                continue
            add = tuple(step.add.get(c.name, 0) for c in machine.counters)
            # The first variant of the target that does not add otherwise on this letter.
            target = next(
                (step.to, v)
                for v in count()
                if (step.to, v) not in known or adds.get((known[step.to, v], a), add) == add
            )
            if target not in known:
                known[target] = len(order)
                order.append(target)
            adds[known[target], a] = add
            row.append(known[target])
        rows.append(row)
    dead = len(rows)
    if any(t < 0 for row in rows for t in row):
        rows = [[dead if t < 0 else t for t in row] for row in rows] + [[dead] * len(machine.alphabet)]
    table = tuple(tuple(row) for row in rows)
    return Control(Semiautomaton(machine.alphabet, table), tuple(q for q, _ in order), adds)


def counter_circuit(machine: CounterMachine, *, all_words: bool = True, budget: Budget = DEFAULT_BUDGET) -> Circuit:
    """A counter language as a circuit.

    Raises:
        CounterLanguageError: the control is not star-free.
        BudgetExceededError: the control is too large.
    """
    control = control_of(machine)
    permutation = find_permutation(control.semiautomaton, budget)
    if permutation is not None:
        states = " -> ".join(control.names[q] for q in (*permutation.states, permutation.states[0]))
        word = format_word(permutation.word, machine.alphabet)
        raise CounterLanguageError(
            f"the control is not star-free: the word {word!r} permutes its states {states}; theorem 4 of Sarrof, "
            "Veitsman and Hahn (NeurIPS 2024) makes that impossible for Mamba. Give a machine with a star-free control"
        )
    rules = tabulate(Cascade(control, holonomy(control.semiautomaton, budget)), budget)
    rules.verify()
    return _on_control(machine, control, assemble(rules), all_words=all_words)


def _on_control(machine: CounterMachine, control: Control, levels: Levels, *, all_words: bool) -> Circuit:
    letter = {symbol: feature for feature, symbol in levels.letters.items()}
    state = {q: slot_feature(s) for s, q in levels.states.items()}
    names = {c.name: f"counter {c.name}" for c in machine.counters}
    tests, verdicts = _tests(machine, control, state, names)
    circuit = Circuit(
        kind="counters",
        construction="counters over a star-free control (Sarrof, Veitsman, Hahn 2024, theorem 5)",
        alphabet=machine.alphabet,
        features=(*levels.letters, *levels.slots, *names.values(), *(t.name for t in tests)),
        tokens=levels.tokens,
        blocks=(*levels.blocks, _counting(machine, control, letter, state, names), _testing(tests)),
        verdicts=verdicts,
        contract="live-prefixes",
        limits=dict(zip(names.values(), machine_limits(machine), strict=True)),
        letters=levels.letters,
        slots=levels.slots,
    )
    if not all_words:
        return circuit
    single = all(len(step.when) <= 1 for _, _, step in machine.steps())
    return latch_errors(circuit, {s: {letter[s]: 1} for s in machine.alphabet}, letter[BOS], at_most_one=single)


def machine_limits(machine: CounterMachine) -> list[dict[str, int]]:
    """For each counter, by dtype, the largest |value| that a compiled model counts exactly."""
    return [
        limits_of(signed=c.signed, least=_largest(machine, c), others=_others(machine, c)) for c in machine.counters
    ]


def _largest(machine: CounterMachine, counter: Counted) -> int:
    """The most that a counter changes at once, or begins with."""
    return max([1, abs(counter.initial), *(abs(step.add.get(counter.name, 0)) for _, _, step in machine.steps())])


def _others(machine: CounterMachine, counter: Counted) -> int:
    """How much the counters but one change at once, at most."""
    amounts = [sum(abs(n) for c, n in step.add.items() if c != counter.name) for _, _, step in machine.steps()]
    return max([*amounts, sum(abs(c.initial) for c in machine.counters if c is not counter)])


def _counting(
    machine: CounterMachine,
    control: Control,
    letter: Mapping[str, str],
    state: Mapping[int, str],
    names: Mapping[str, str],
) -> CircuitBlock:
    """What each letter adds is known from the letter, or from the letter and the control state after it."""
    by_letter: dict[tuple[int, ...], list[int]] = {}
    by_state: dict[tuple[int, ...], dict[int, list[int]]] = {}
    for a in range(len(machine.alphabet)):
        adds = {q: add for (q, b), add in control.adds.items() if b == a}
        if len(set(adds.values())) == 1:  # once the word has died it does not matter what is added
            by_letter.setdefault(next(iter(adds.values())), []).append(a)
            continue
        for q, add in adds.items():
            by_state.setdefault(add, {}).setdefault(q, []).append(a)
    classes: list[CircuitChannel] = []
    changes: list[tuple[int, ...]] = []
    for add, letters in by_letter.items():
        if any(add):
            symbols = [machine.alphabet[a] for a in letters]
            classes.append(CircuitChannel(" ".join(symbols), {letter[s]: 1 for s in symbols}))
            changes.append(add)
    for add, rows in by_state.items():
        together: dict[tuple[int, ...], list[int]] = {}
        for q, letters in rows.items():
            together.setdefault(tuple(letters), []).append(q)
        for letters_, states in together.items():
            if any(add):
                symbols = [machine.alphabet[a] for a in letters_]
                form = {letter[s]: 1 for s in symbols} | {state[q]: 1 for q in states}
                meaning = f"{' '.join(symbols)} into {' '.join(control.names[q] for q in states)}"
                classes.append(CircuitChannel(meaning, form, bias=-1))
                changes.append(add)
    counters = {names[c.name]: (c.initial, [change[i] for change in changes]) for i, c in enumerate(machine.counters)}
    return counting_block("counters", {letter[s]: 1 for s in machine.alphabet}, letter[BOS], classes, counters)


@dataclass(frozen=True)
class SignTest:
    """The feature [control state in a group] * [sign * counter >= 1]."""

    name: str
    counter: str
    sign: int
    group: Form


def _tests(
    machine: CounterMachine, control: Control, state: Mapping[int, str], names: Mapping[str, str]
) -> tuple[list[SignTest], dict[str, Form]]:
    """The sign tests that are needed, and the verdicts made of them.

    verdict = 1 - [the control has a transition] + the number of its tests that fail.
    """
    tests: dict[tuple[str, int, frozenset[int]], SignTest] = {}
    everywhere = frozenset(range(control.semiautomaton.n_states))

    def sign(counter: str, sign: int, group: frozenset[int]) -> Form:
        key = (counter, sign, group)
        if key not in tests:
            where = "" if group == everywhere else " in " + " ".join(sorted(control.names[q] for q in group))
            # Numbered, since a counter may have any name.
            name = f"test {len(tests)}: {names[counter]} {'>' if sign > 0 else '<'} 0{where}"
            tests[key] = SignTest(name, names[counter], sign, _indicator(group, everywhere, state))
        return {tests[key].name: 1}

    signed = {c.name: c.signed for c in machine.counters}
    verdicts: dict[str, Form] = {}
    for token in (*machine.alphabet, EOS):
        demands: dict[tuple[str, str], set[int]] = {}
        defined = set()
        for q, name in enumerate(control.states):
            if token == EOS:
                when = machine.accepting.get(name)
            else:
                step = machine.transitions.get(name, {}).get(token)
                when = None if step is None else step.when
            if when is None:
                continue
            defined.add(q)
            for counter, test in when.items():
                demands.setdefault((counter, test), set()).add(q)
        verdict = plus(ALWAYS, times(-1, _indicator(frozenset(defined), everywhere, state)))
        for (counter, test), states in demands.items():
            group = frozenset(states)
            inside = _indicator(group, everywhere, state)
            positive = sign(counter, 1, group) if test != "negative" else {}
            negative = sign(counter, -1, group) if signed[counter] and test != "positive" else {}
            if test == "zero":
                failed = plus(positive, negative)
            else:
                failed = plus(inside, times(-1, positive), times(-1, negative))
            verdict = plus(verdict, failed)
        verdicts[token] = verdict
    return list(tests.values()), verdicts


def _indicator(group: frozenset[int], everywhere: frozenset[int], state: Mapping[int, str]) -> Form:
    """[the control state is in the group]."""
    return ALWAYS if group == everywhere else {state[q]: 1 for q in sorted(group)}


def _testing(tests: Sequence[SignTest]) -> CircuitBlock:
    channels = [CircuitChannel("always 1", bias=1)]
    for test in tests:
        channels += indicator(test.name, {test.counter: test.sign}, 1, gate=test.group, writes=test.name)
    return CircuitBlock("signs of the counters", tuple(channels))
