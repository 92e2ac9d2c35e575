"""A plan proved against a DFA: every pair of a state and what the plan knows that some word leads to.

What a plan does next depends on its last letters and on what its memories hold; so with the DFA's state these are the
*nodes*, and there are finitely many. From ``<bos>`` on every node is visited, and on every edge it is checked that

1. no two labels of a memory are written at once, and at ``<bos>`` each memory is written;
2. the tokens that may come next are those that the DFA allows: the symbols with a live successor, and ``<eos>`` iff the
   state accepts.

By induction over words the plan is then right after each prefix of each word (under "live-prefixes": of each that can
still be completed). Nothing here is shared with what finds plans.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...automata.alphabet import BOS
from ...automata.budget import DEFAULT_BUDGET, Budget
from ...automata.deterministic import Deterministic
from .plan import Plan
from .walk import Walk
from .wellformed import PlanError, check_plan, need

Node = tuple[int, tuple[str, ...], tuple[int, ...]]
"""A state, the letters that later events may still look at, the last one first, and what each memory holds."""


def prove(plan: Plan, dfa: Deterministic, budget: Budget = DEFAULT_BUDGET) -> int:
    """Prove that a plan says what may come next in a language, and return the number of nodes.

    O(nodes * letters * memories), beside one look at each event for each case that it tells apart.

    Args:
        plan: the plan; nothing is assumed of it.
        dfa: the language, over the same alphabet.
        budget: how many nodes may be visited.

    Raises:
        PlanError: the plan is not well-formed, or wrong after some word, which the message names.
        BudgetExceededError: there are more nodes.
    """
    return len(joint(plan, dfa, budget))


def joint(plan: Plan, dfa: Deterministic, budget: Budget = DEFAULT_BUDGET) -> list[Node]:
    """The nodes of a proof, that of ``<bos>`` first; the same errors as :func:`prove`."""
    check_plan(plan)
    need(plan.alphabet == dfa.alphabet, "the plan has another alphabet than the language")
    need(set(plan.verdicts) == set(dfa.tokens), "the plan has verdicts of other tokens than the language")
    walk = Walk(plan)
    allowed = [dfa.allowed(q) for q in range(dfa.n_states)]
    promised = dfa.live if plan.contract == "live-prefixes" else frozenset(range(dfa.n_states))
    meter = budget.meter("nodes of the plan")
    nodes: list[Node] = []
    reached: dict[Node, tuple[int, str]] = {}  # a node that it can be reached from, and the letter

    def word_to(number: int, letter: str) -> str:
        word = [letter]
        while letter != BOS:
            number, letter = reached[nodes[number]]
            word.append(letter)
        return " ".join(reversed(word))

    def arrive(state: int, number: int, letter: str, before: dict[str, int]) -> None:
        letters = nodes[number][1] if nodes else ()
        try:
            moment = walk.step(letters, before, letter)
            if (said := walk.allowed(moment)) != allowed[state]:
                raise PlanError(f"the plan allows {_listed(said)}, the language {_listed(allowed[state])}")
        except PlanError as error:
            raise PlanError(f"after {word_to(number, letter)}: {error}") from None
        node = (state, moment.letters[: plan.window - 1], tuple(moment.labels.values()))
        if node not in reached:
            meter.tick()
            reached[node] = (number, letter)
            nodes.append(node)

    if dfa.initial in promised:
        arrive(dfa.initial, 0, BOS, {})
    for number, (state, _, labels) in enumerate(nodes):
        before = dict(zip(walk.names, labels, strict=True))
        for letter, target in zip(dfa.alphabet, dfa.table[state], strict=True):
            if target in promised:
                arrive(target, number, letter, before)
    return nodes


def _listed(tokens: Iterable[str]) -> str:
    return " ".join(sorted(tokens)) or "nothing"
