"""The error latch: one more block that turns the contract "live-prefixes" into "all-words".

A word dies exactly when a symbol comes that could not come next, and that is what the blocks below say at the step
before. So the latch remembers whether ever a symbol came whose verdict, one step earlier, was above 0. It is the same
for every circuit: per group of symbols with one verdict N,

    ruled out = max(0, N before) - max(0, N before - 1)     (0 or 1)
    came      = [the symbol now is of the group]
    d         = 2 * ruled out + 2 * came + 4 * [<bos>] - 3   1: set the memory; 1 or 3 at <bos>: clear it; else hold

The sum of the memories is the feature ``error``; added to every verdict it forbids everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .circuit import PAST, Circuit, CircuitBlock, CircuitChannel, Latch
from .forms import ALWAYS, ONE, Form, plus

ERROR = "error"


def latch_errors(circuit: Circuit, letters: Mapping[str, Form], bos: str, *, at_most_one: bool) -> Circuit:
    """The circuit with an error latch on top.

    Args:
        circuit: one whose verdicts are right on live prefixes, and never negative on any.
        letters: for each symbol a form whose positive part is [this symbol comes now]; symbols with one verdict should
            sum to the indicator of the group.
        bos: the feature of ``<bos>``.
        at_most_one: whether the verdicts of symbols never exceed 1 (saves a channel per group).
    """
    groups: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for symbol in circuit.alphabet:
        groups.setdefault(tuple(sorted(circuit.verdicts[symbol].items())), []).append(symbol)
    channels = [
        CircuitChannel("always 1", bias=1),
        CircuitChannel("<bos> comes now", {bos: 1}),
    ]
    for verdict, symbols in groups.items():
        shown = " ".join(symbols)
        fires = {1: 4}
        for excess in range(1 if at_most_one else 2):
            fires[len(channels)] = -2 if excess else 2
            what = "excess of: " if excess else ""
            channels.append(CircuitChannel(f"{what}{shown} ruled out before", dict(verdict), PAST, -excess))
        for form in merged([letters[s] for s in symbols]):
            fires[len(channels)] = 2
            channels.append(CircuitChannel(f"{shown} comes now", form))
        name = f"{shown} once came though ruled out"
        channels.append(
            CircuitChannel(name, {bos: -1}, bias=1, memory=Latch(name, fires, -3), gate=ALWAYS, writes={ERROR: 1})
        )
    verdicts = {token: plus(form, {ERROR: 1}) for token, form in circuit.verdicts.items()}
    return replace(
        circuit,
        features=(*circuit.features, ERROR),
        blocks=(*circuit.blocks, CircuitBlock("error latch", tuple(channels))),
        verdicts=verdicts,
        contract="all-words",
    )


def merged(forms: list[Form]) -> list[Form]:
    """Forms without a constant, of features that exclude each other, are one form; equal forms are one form."""
    plain = [f for f in forms if ONE not in f]
    rest = {tuple(sorted(f.items())): f for f in forms if ONE in f}
    together: dict[str, int] = {}
    for form in plain:
        together |= form
    return [*([together] if together else []), *rest.values()]
