"""Checkpoints that pages, pictures and tables explain."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples import dfa, machine
from stepwise import trace

import scancraft
from scancraft import interp
from scancraft.compiler.checkpoints import Checkpoint, load

HOSTILE = ["<", "&", '"', "'", "</script>", "<!--", "%%", "__proto__", "&lt;", "<img/src=x/onerror=window.taken=1>"]
HOSTILE += ["\\u003c"]
"""Symbols that markup, JSON, a template or an object might take for something else."""


def hostile() -> scancraft.Dfa:
    """Each symbol in turn, again and again; the names of the states are no better than the symbols."""
    n = len(HOSTILE)
    rows = [[(q + 1) % n if a == q else n for a in range(n)] for q in range(n)] + [[n] * n]
    return scancraft.Dfa.from_table(HOSTILE, rows, 0, [0], names=(*(f"<b>{s}</b>" for s in HOSTILE), "constructor"))


D2 = "(a(ab)*b)*"
PARTS = ("(a|b|c)*a(a|b|c)*", "(a|b|c)*b(a|b|c)*", "(a|c)*|(b|c)*b(a|b|c)*")
LANGUAGES: dict[str, Callable[[], Any]] = {
    "D-2": lambda: scancraft.compile(D2, construction="cascade"),
    "variant": lambda: interp.variant(compiled("D-2"), noise=0.3, seed=1),
    "wide": lambda: scancraft.compile(D2, d_state=3, d_conv=4, construction="cascade"),
    "plan": lambda: scancraft.compile(D2, construction="plan"),
    "parity": lambda: scancraft.compile(dfa("Parity"), target="signed_mamba"),
    "Tomita-5": lambda: scancraft.compile(dfa("Tomita-5"), target="signed_mamba"),
    "Tomita-3": lambda: scancraft.compile(dfa("Tomita-3"), target="signed_mamba"),
    "(abab)*": lambda: scancraft.compile("(abab)*", target="signed_mamba"),
    "flip-flop": scancraft.flip_flop,
    "Dyck_{2,3}": lambda: scancraft.dyck(2, 3),
    "json": lambda: scancraft.compile(scancraft.json_documents(3)),
    "Dyck-1": lambda: scancraft.compile(machine("Dyck-1")),
    "a^n b^n": lambda: scancraft.compile(machine("a^n b^n")),
    "a^n b^n live": lambda: scancraft.compile(machine("a^n b^n"), contract="live-prefixes"),
    "Shuffle-2": lambda: scancraft.compile(machine("Shuffle-2")),
    "mamba2 dyck": lambda: scancraft.dyck(2, 3, target="mamba2"),
    "mamba2 counts": lambda: scancraft.compile(machine("a^n b^n"), target="mamba2"),
    "nothing": lambda: scancraft.compile(scancraft.Dfa.empty(["a"])),
    "hostile": lambda: scancraft.compile(hostile(), construction="cascade"),
    "falcon": lambda: scancraft.compile(D2, target="falcon_mamba", construction="cascade"),
    "falcon counts": lambda: scancraft.compile(machine("a^n b^n"), target="falcon_mamba"),
    "mamba2": lambda: scancraft.compile(D2, target="mamba2", construction="cascade"),
    "walk": lambda: scancraft.compile(dfa("D-12"), construction="walk"),
    "all of": lambda: scancraft.compile(scancraft.all_of(PARTS), construction="side-by-side"),
    "any of": lambda: scancraft.compile(scancraft.any_of(PARTS), construction="side-by-side"),
    "formula": lambda: scancraft.compile(scancraft.ltl("H(c -> O(a & Y b)) & Y (!c S a)"), contract="recognise"),
    "classes": lambda: scancraft.compile(scancraft.named("corridor of 5"), construction="plan"),
    "classes beside": lambda: scancraft.compile(scancraft.named("depth to 3"), construction="cascade"),
    "money": lambda: scancraft.compile(scancraft.Dfa.from_table([r"$\frac$", "b"], [[1, 0], [1, 1]], 0, [0])),
}


@functools.cache
def compiled(name: str) -> Any:
    """Compiled once."""
    return LANGUAGES[name]()


class Explained(dict[str, Checkpoint]):
    """The checkpoints by name, each written when it is first asked for; do not change them."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place
        self.models: dict[str, Any] = {}
        self.traces: dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]] = {}

    def __missing__(self, name: str) -> Checkpoint:
        self[name] = load(compiled(name).save(self.place / re.sub(r"\W", "_", name)))
        return self[name]

    def steps(self, name: str, word: tuple[str, ...]) -> list[dict[str, Any]]:
        """What the model itself computes on a word (``stepwise.trace``), worked out once."""
        if name not in self.models:
            self.models[name] = self[name].model()
        if (name, word) not in self.traces:
            self.traces[name, word] = trace(self.models[name], self[name].readout.encode(word))
        return self.traces[name, word]
