"""Circuits side by side: a Boolean combination without a product automaton.

Block n of the whole is block n of every part, channel after channel; the letters are shared, all other features are the
part's own. So the number of blocks is the largest of the parts', the size the sum, where the product of the automata
may have as many states as the product of theirs. The answer of a part is its verdict on ``<eos>``. With 0 for yes and 1
for no,

    all of them:  the sum                 any of n:  the sum - (n - 1)                 not:  1 - it

is at most 0 iff the combination holds. Where such a sum is needed as 0 or 1 again, inside another operator, one more
block without memory writes [sum >= 1].

What may come next: a prefix can be completed in a union iff it can in some part, so verdicts of symbols are combined
like those of the end. In an intersection it can be completed in every part, but the completions may exclude each other;
the caller says if they do not. Otherwise only the end of the word is promised (the contract "recognise").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from ...automata.alphabet import EOS
from ...automata.combination import Combination
from .circuit import Channels, Circuit, CircuitBlock, CircuitChannel, Counter, Latch, Shown, indicator
from .forms import ALWAYS, ONE, Form, plus, times


def side_by_side(language: Combination, parts: Sequence[Circuit], *, predict: bool) -> Circuit:
    """A combination as a circuit.

    Args:
        language: the combination.
        parts: a circuit for each leaf, right on all words, which does not count; every verdict is 0 or 1
            (:func:`decided`).
        predict: whether what may come next is combined like the end of the word (the contract "all-words"), or left
            out ("recognise").
    """
    renamed = [_renamed(number, part) for number, part in enumerate(parts)]
    blocks = [
        merged_blocks(block for block in row if block is not None)
        for row in zip_longest(*(part.blocks for part in renamed))
    ]
    answers = _Answers()
    tokens = (*parts[0].alphabet, EOS) if predict else (EOS,)
    verdicts = {
        token: answers.form(language, [part.verdicts[token] for part in renamed], token).form for token in tokens
    }
    letters = dict(parts[0].letters)
    features = [name for part in renamed for name in part.features if name not in letters]
    embeddings: dict[str, Form] = {}
    for part in renamed:
        for token, form in part.tokens.items():
            embeddings[token] = {**embeddings.get(token, {}), **form}
    return Circuit(
        kind="combination",
        construction=f"{len(parts)} automata side by side: {language.operator} of {len(language.parts)}",
        alphabet=parts[0].alphabet,
        features=(*letters, *features, *answers.features),
        tokens=embeddings,
        blocks=(*blocks, *answers.blocks),
        verdicts=verdicts,
        contract="all-words" if predict else "recognise",
        letters=letters,
    )


def decided(circuit: Circuit) -> Circuit:
    """The circuit with verdicts that are 0 or 1: one more block writes [verdict >= 1], for each that is different."""
    forms = {tuple(sorted(form.items())): dict(form) for form in circuit.verdicts.values()}
    names = {key: f"no {number}" for number, key in enumerate(forms)}
    channels = [
        channel
        for key, form in forms.items()
        for channel in indicator(names[key], form, 1, gate=ALWAYS, writes=names[key])
    ]
    return replace(
        circuit,
        features=(*circuit.features, *names.values()),
        blocks=(*circuit.blocks, CircuitBlock("verdicts as 0 or 1", tuple(channels))),
        verdicts={token: {names[tuple(sorted(form.items()))]: 1} for token, form in circuit.verdicts.items()},
    )


# -- parts -------------------------------------------------------------------------------------------------------------


def _renamed(number: int, part: Circuit) -> Circuit:
    """A part whose features and memories are named after it; letters keep their names."""

    def own(name: str) -> str:
        return name if name == ONE or name in part.letters else f"{number}: {name}"

    def form(given: Form) -> dict[str, int]:
        return {own(name): weight for name, weight in given.items()}

    return replace(
        part,
        features=tuple(map(own, part.features)),
        tokens={token: form(given) for token, given in part.tokens.items()},
        blocks=tuple(renamed_block(block, own) for block in part.blocks),
        verdicts={token: form(given) for token, given in part.verdicts.items()},
        slots=(),
        states={},
    )


def renamed_block(block: CircuitBlock, own: Callable[[str], str]) -> CircuitBlock:
    """A block with other names of features and memories; it is no longer said to be a level."""

    def form(given: Form) -> dict[str, int]:
        return {own(name): weight for name, weight in given.items()}

    def channel(given: CircuitChannel) -> CircuitChannel:
        memory = given.memory
        if isinstance(memory, Latch):
            memory = replace(memory, name=own(memory.name))
        elif isinstance(memory, Shown):
            memory = replace(memory, register=replace(memory.register, name=own(memory.register.name)))
        return replace(given, reads=form(given.reads), gate=form(given.gate), writes=form(given.writes), memory=memory)

    return replace(block, channels=tuple(map(channel, block.channels)), level=None)


def merged_blocks(blocks: Iterable[CircuitBlock]) -> CircuitBlock:
    """Blocks as one: their channels one after the other; what several only look at is computed once."""
    channels: list[CircuitChannel] = []
    known: dict[object, int] = {}
    titles = []
    for block in blocks:
        titles.append(block.title)
        place: dict[int, int] = {}
        added: list[int] = []
        for number, channel in enumerate(block.channels):
            key = (tuple(sorted(channel.reads.items())), channel.taps, channel.bias)
            if channel.role == "condition" and key in known:
                place[number] = known[key]
                continue
            place[number] = len(channels)
            if channel.role == "condition":
                known[key] = place[number]
            added.append(len(channels))
            channels.append(channel)
        for number in added:
            channels[number] = replace(channels[number], memory=_placed(channels[number].memory, place))
    return CircuitBlock("; ".join(dict.fromkeys(titles)), tuple(channels))


def _placed(memory: Latch | Shown | Counter | None, place: Mapping[int, int]) -> Latch | Shown | Counter | None:
    """A memory whose channels have moved."""

    def moved(form: Channels) -> dict[int, int]:
        return {place[channel]: weight for channel, weight in form.items()}

    match memory:
        case Latch():
            return replace(memory, fires=moved(memory.fires))
        case Shown(register, label):
            writes = {written: moved(form) for written, form in register.writes.items()}
            swaps = {pair: moved(form) for pair, form in register.swaps.items()}
            return Shown(replace(register, writes=writes, swaps=swaps), label)
        case Counter():
            raise AssertionError("parts that count cannot stand beside others: counters and latches share B")
        case None:
            return None


# -- answers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """A form that is at most 0 iff the answer is yes, whether it is 0 or 1, and the block after which it is there."""

    form: dict[str, int]
    binary: bool
    level: int


@dataclass
class _Answers:
    """The blocks that make sums 0 or 1, one per level of operators inside each other."""

    features: list[str] = field(default_factory=list)
    levels: list[list[CircuitChannel]] = field(default_factory=list)

    @property
    def blocks(self) -> list[CircuitBlock]:
        """The blocks, in order."""
        return [CircuitBlock("answers of the parts", tuple(channels)) for channels in self.levels]

    def form(self, language: Combination, leaves: Sequence[Form], token: str) -> _Answer:
        """The answer of a combination from those of its leaves."""
        answers = [
            self.form(part, mine, token) if isinstance(part, Combination) else _Answer(dict(mine[0]), True, 0)
            for part, mine in language.shared_out(leaves)
        ]
        if language.operator == "not":
            known = self._binary(answers[0], token)
            return _Answer(plus({ONE: 1}, times(-1, known.form)), True, known.level)
        binary = [self._binary(answer, token) for answer in answers]
        total = plus(*(answer.form for answer in binary))
        if language.operator == "any":
            total = plus(total, {ONE: 1 - len(binary)})
        return _Answer(total, len(binary) == 1, max(answer.level for answer in binary))

    def _binary(self, answer: _Answer, token: str) -> _Answer:
        """The answer as 0 or 1, a level later if it was not yet."""
        if answer.binary:
            return answer
        while len(self.levels) <= answer.level:
            self.levels.append([])
        name = f"answer {len(self.features)} on {token}"
        self.features.append(name)
        self.levels[answer.level] += indicator(name, answer.form, 1, gate=ALWAYS, writes=name)
        return _Answer({name: 1}, True, answer.level + 1)
