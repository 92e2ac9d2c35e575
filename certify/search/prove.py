"""Searches for evidence: what a model can reach, and whether it is right there. What that proves the checker decides.

For a regular language four attempts. *Block by block*: one stage per block (``explore``), whose cost is a sum over
blocks. *Whole model*: one stage for everything, exact, which closes only for small models, and whose first wrong node
gives a shortest counterexample. *Box by box*: ranges of states (``boxes``), for models whose states are without number,
as those of trained ones are. (``certify`` adds sampled words, which can refute but never certify.)
Of a counter language or one with a control at each depth only the control can be explored (of the latter none): models
have infinitely many reachable states, or far too many. What follows the control is an argument about weights, which
needs no evidence and is the checker's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from ...automata.alphabet import read_tokens
from ...automata.bounded_dyck import BoundedDyck
from ...automata.budget import Budget
from ...automata.combination import Combination
from ...automata.copying.language import Copying
from ...automata.counters.acceptor import CounterAcceptor
from ...automata.counters.machine import CounterMachine
from ...automata.dfa import Dfa
from ...automata.errors import BudgetExceededError
from ...automata.languages import Language
from ...automata.logic.past import PastLtl
from ...automata.moore import Moore
from ...automata.nested.language import NestedLanguage
from ...models.errors import ReadoutError
from ...models.mamba import FALCON_MAMBA, MAMBA, model_type_of
from ...models.mamba2 import MAMBA2
from ...models.olmo_hybrid import OLMO_HYBRID
from ...models.readout import Readout
from ...models.run.stepper import Stepper
from .boxes.search import ROUNDS, invariant, not_in_boxes
from .explore import Stage, WordGraph, explore, word_graph
from .results import Open, Place, Refuted

BATCH, SMALL_BATCH = 256, 32
"""Rows per step: the batch shape that a certificate of scope "step" speaks about. The smaller one is for OLMo Hybrid,
where the first token is a chunk of 64 in each row."""
NEVER_FORGETS = -20.0
"""An A_log below this: exp(-Delta exp(A_log)) is nearly 1 at any usual Delta."""
SHORT_LOOK = 2
"""Rounds of telling pasts apart, of boxes, before anything else."""
FIRST_STEPS, FIRST_LOOK = 64, 1_000
"""Events of the whole model that are looked at before anything else, and before long explorations: for short
counterexamples, and for models of few states."""

LEVEL_BLOCKS = 3
"""Of a compiled nested language on live prefixes: the depth, the levels, and what may come next. Others come first."""

NO_DEATH = (
    "of a depth without a bound, as dead prefixes have, the argument about slots proves nothing: live prefixes only"
)

Note = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """Evidence that may prove that a model is right.

    Attributes:
        method: "block by block", "whole model", "box by box", "until death", "counters", "slots", "copies" or
            "subformula by subformula".
        stages: the closed lists of events and transitions, in the order of the blocks.
        inputs: the word graph that the first stage reads; None where there are no stages.
        boxes: of method "box by box": the tensors that hold them.
    """

    method: str
    stages: tuple[Stage, ...]
    inputs: WordGraph | None
    boxes: Mapping[str, Tensor] = field(default_factory=dict)


Found = Candidate | Refuted | Open


def batch_of(model: Any) -> int:
    """Rows per step of a model."""
    return SMALL_BATCH if model_type_of(model) == OLMO_HYBRID else BATCH


def search(
    model: Any,
    language: Language,
    readout: Readout,
    budget: Budget,
    *,
    compiled: bool,
    note: Note = lambda _: None,
    counts: bool = True,
) -> Found:
    """Evidence that a model is right after every prefix of every word, or a word after which it is wrong.

    Args:
        model: of one of the classes that can be stepped (``models.run.stepper``).
        language: the language.
        readout: how they are bound; under "live-prefixes" dead prefixes are not looked at. It needs a ``bos``.
        budget: events per stage, and seconds: for all stages together if its time is running (``Budget.running``).
        compiled: whether to try block by block first (right for compiled models).
        note: told now and then what is going on.
        counts: whether a model whose states may add up is to be followed to the first dead prefixes only.
    """
    assert not isinstance(language, Combination), "certified by its DFA"
    if isinstance(language, PastLtl):
        return _formula(model)
    if not isinstance(language, (Dfa, Moore)):
        try:
            return _control(model, language, readout, budget, note)
        except BudgetExceededError as error:
            return Open(f"the control: {error.reached:,g} {error.what}, past {error.limit:,g}", 0.0)
    judge, stepper = Judge(language, readout), Stepper(model, batch_of(model))
    reasons: list[str] = []
    places: tuple[Place, ...] = ()
    attempts: list[tuple[str, Callable[[], Found]]] = [
        ("block by block", lambda: by_blocks(stepper, judge, budget, note)),
        ("whole model", lambda: at_once(stepper, judge, budget, note)),
    ]
    if isinstance(language, Dfa):
        dfa = language
        # What was compiled has few states if it is right, and the whole model soon finds where it is wrong.
        last = len(attempts) if compiled else 0
        attempts.insert(last, ("box by box", lambda: by_boxes(model, dfa, readout, budget, note)))
        if not compiled:  # a short look, so that what is soon proved is not first followed letter by letter
            attempts.insert(0, ("short look", lambda: by_boxes(model, dfa, readout, budget, note, SHORT_LOOK)))
    dies = isinstance(language, Dfa) and language.dead is not None
    if counts and readout.contract == "all-words" and dies and _adds_up(model):
        attempts.insert(0, ("until death", lambda: until_death(stepper, judge, budget, note)))
    elif not compiled:
        for place, name, items in ((len(attempts) - 3, "first look", FIRST_LOOK), (0, "first steps", FIRST_STEPS)):
            look = replace(budget, items=min(items, budget.items))
            attempts.insert(place, (name, partial(at_once, stepper, judge, look, note)))
    for name, attempt in attempts:
        if reasons and budget.over:
            break
        try:
            found = attempt()
        except BudgetExceededError as error:
            reasons.append(f"{name}: {error.reached:,g} {error.what}, past {error.limit:,g}")
            continue
        if not isinstance(found, Open):
            return found
        reasons.append(f"{name}: {found.reason}")
        places = places or found.places
    return Open("; ".join(reasons), 0.0, places)


class Judge:
    """Compares scores with a regular language, or with a machine with outputs.

    Attributes:
        columns: the scores that a readout looks at.
        names: the token of each.
        right: per state, those of them that may come next, ``<eos>`` included, and the class.
    """

    def __init__(self, dfa: Dfa | Moore, readout: Readout) -> None:
        self.dfa, self.readout = dfa, readout
        self.columns = readout.columns(dfa.alphabet)
        follow, end = bool(readout.next_index), readout.accept is not None
        self.names = read_tokens(dfa.alphabet, follow=follow, end=end, classes=readout.classes)
        self.right = [self._allowed(q) for q in range(dfa.n_states)]

    def _allowed(self, state: int) -> frozenset[str]:
        allowed = self.dfa.allowed(state)
        return frozenset(allowed & set(self.names))

    def said(self, row: Float[Tensor, " columns"]) -> frozenset[str]:
        """The tokens that a row of scores allows, and the class that it says."""
        return frozenset(n for n, yes in zip(self.names, self.readout.says(row).tolist(), strict=True) if yes)

    def inputs(self, stepper: Stepper) -> WordGraph:
        """The word graph of the language under this readout."""
        live_only = self.readout.contract == "live-prefixes"
        dead = frozenset(range(self.dfa.n_states)) - self.dfa.live if live_only else frozenset()
        return word_graph(self.dfa.semiautomaton.table, dead, _embedded(stepper, self.dfa.alphabet, self.readout))

    def scores(self, stepper: Stepper, vectors: Float[Tensor, "rows d_model"]) -> Float32[Tensor, "rows columns"]:
        """The scores that matter, shape (rows, columns); :class:`ReadoutError` if they hold a NaN."""
        scores = stepper.logits(vectors)[:, self.columns]
        if torch.isnan(scores).any():
            raise ReadoutError("the model's scores contain NaN; nothing can be certified about it, look at its weights")
        return scores


def _embedded(stepper: Stepper, alphabet: tuple[str, ...], readout: Readout) -> Tensor:
    """The embedding of each letter, then of ``<bos>``."""
    return stepper.embed(torch.tensor([*(readout.tokens[s] for s in alphabet), readout.bos], dtype=torch.long))


def _stages(
    stepper: Stepper, inputs: WordGraph, blocks: int, budget: Budget, note: Note
) -> tuple[tuple[Stage, ...], WordGraph]:
    """One stage for each of the first blocks, and the graph after them."""
    graph, stages = inputs, []
    for block in range(blocks):
        note(f"block {block + 1} of {len(stepper.blocks)}")
        stage, graph = explore(stepper, block, block + 1, graph, budget.meter(f"events of block {block}"))
        stages.append(stage)
    return tuple(stages), graph


def by_blocks(stepper: Stepper, judge: Judge, budget: Budget, note: Note = lambda _: None) -> Candidate | Open:
    """One stage for each block; no candidate if a read-out of what is left is wrong."""
    return _block_by_block("block by block", stepper, judge, judge.inputs(stepper), budget, note)


def _block_by_block(
    method: str, stepper: Stepper, judge: Judge, inputs: WordGraph, budget: Budget, note: Note
) -> Candidate | Open:
    stages, graph = _stages(stepper, inputs, len(stepper.blocks), budget, note)
    scores = judge.scores(stepper, graph.vectors)
    wrong = sum(judge.said(row) != judge.right[truth] for row, truth in zip(scores, graph.truth, strict=True))
    if wrong:
        return Open(f"{wrong} of {len(graph)} read-outs may be wrong", 0.0)
    return Candidate(method, stages, inputs)


def by_boxes(
    model: Any, language: Dfa, readout: Readout, budget: Budget, note: Note = lambda _: None, rounds: int = ROUNDS
) -> Candidate | Open:
    """Boxes for the recurrent state; where a sign remains open, which, and how far the boxes are apart there."""
    why = not_in_boxes(model, readout)
    if why:
        return Open(why, 0.0)
    note("boxes")
    found = invariant(model, language, readout, budget, rounds)
    places = found.places(language, readout)
    if not places:
        return Candidate("box by box", (), None, found.tensors())
    return Open(f"{len(places)} of {len(found.graph.source)} steps lead to a score whose sign is open", 0.0, places)


def until_death(stepper: Stepper, judge: Judge, budget: Budget, note: Note = lambda _: None) -> Candidate | Open:
    """The same up to the first dead prefixes, beyond which the states of a model that counts are without number."""
    table, dead = judge.dfa.semiautomaton.table, frozenset(range(judge.dfa.n_states)) - judge.dfa.live
    inputs = word_graph(table, frozenset(), _embedded(stepper, judge.dfa.alphabet, judge.readout), dead)
    return _block_by_block("until death", stepper, judge, inputs, budget, note)


def _adds_up(model: Any) -> bool:
    """Whether a Mamba may have a state that never forgets though it is written to."""
    if model_type_of(model) != "mamba":
        return False
    return any(bool((block.mixer.A_log < NEVER_FORGETS).any()) for block in model.backbone.layers)


def at_once(stepper: Stepper, judge: Judge, budget: Budget, note: Note = lambda _: None) -> Candidate | Refuted:
    """One stage for the whole model, or a shortest word after which it is wrong."""
    note("the whole model at once")
    inputs = judge.inputs(stepper)
    wrong: list[tuple[int, Tensor]] = []

    def stop(_: int, truth: int, vector: Tensor) -> bool:
        scores = judge.scores(stepper, vector[None])[0]
        if judge.said(scores) != judge.right[truth]:
            wrong.append((truth, scores))
        return bool(wrong)

    meter = budget.meter("events of the whole model")
    stage, _ = explore(stepper, 0, len(stepper.blocks), inputs, meter, stop)
    if not wrong:
        return Candidate("whole model", (stage,), inputs)
    truth, scores = wrong[0]
    letters = [inputs.letters[stage.events[e][0]] for e in stage.path(len(stage.events) - 1)]
    word = tuple(judge.dfa.alphabet[a] for a in letters[1:])
    return Refuted(word, judge.said(scores), judge.right[truth], True, 0.0)


def _formula(model: Any) -> Candidate | Open:
    """A past formula needs no evidence but the weights."""
    kind = model_type_of(model)
    if kind not in (MAMBA, FALCON_MAMBA):
        return Open(f"the argument about formulas is about blocks of Mamba and Falcon-Mamba, not {kind}", 0.0)
    return Candidate("subformula by subformula", (), None)


def _control(
    model: Any,
    language: CounterMachine | BoundedDyck | NestedLanguage | Copying,
    readout: Readout,
    budget: Budget,
    note: Note,
) -> Candidate | Open:
    """The blocks of a counter machine's control, with the control state as the truth; of brackets, none."""
    if model_type_of(model) == MAMBA2:
        reason = (
            "the arguments for counters and for slots are about blocks of Mamba and Falcon-Mamba; there is none yet "
            "for Mamba-2, where a state never forgets and what it was at <bos> is subtracted (docs/mamba2.md)"
        )
        return Open(reason, 0.0)
    live_only = readout.contract == "live-prefixes"
    if not live_only and not isinstance(language, CounterMachine):
        return Open(f"{NO_DEATH}; compile its automaton, scancraft.as_dfa(...), which is certified on all words", 0.0)
    stepper = Stepper(model, batch_of(model))
    vectors = _embedded(stepper, language.alphabet, readout)
    if isinstance(language, Copying):
        table = language.lengths.tolist()
        inputs = word_graph(table, frozenset({len(table) - 1}), vectors)
        return Candidate("copies", _stages(stepper, inputs, len(stepper.blocks) - 1, budget, note)[0], inputs)
    if not isinstance(language, CounterMachine):
        inputs = word_graph([[0] * len(language.alphabet)], frozenset(), vectors)
        before = len(stepper.blocks) - LEVEL_BLOCKS if isinstance(language, NestedLanguage) else 0
        return Candidate("slots", _stages(stepper, inputs, max(0, before), budget, note)[0], inputs)
    blocks = len(stepper.blocks) - (2 if live_only else 3)
    if blocks < 0:
        return Open(f"{len(stepper.blocks)} blocks are too few for this contract", 0.0)
    table, dead = CounterAcceptor(language).control.table.tolist(), len(language.states)
    inputs = word_graph(table, frozenset({dead}) if live_only else frozenset(), vectors)
    return Candidate("counters", _stages(stepper, inputs, blocks, budget, note)[0], inputs)
