"""The FSM format of mCRL2: parameters, states and transitions, parted by lines ``---``. A labelled transition system.

The first state is initial and every state accepts, so the language is that of the prefixes of runs. ``tau`` is epsilon.
"""

from __future__ import annotations

import re

from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .reading import AS_WRITTEN, Options, lines_of, wrong

_PARTED = re.compile(r"^---\s*$", re.MULTILINE)
_MOVE = re.compile(r'\s*([0-9]{1,9})\s+([0-9]{1,9})\s+"(.*)"\s*', re.DOTALL)


def looks_like_fsm(text: str) -> bool:
    """Whether two lines are ``---``."""
    return len(_PARTED.findall(text)) == 2


def read_fsm(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: not three parts, no state, or a transition of another form or between states that are not
            there.
        AlphabetError: a symbol that cannot be used.
    """
    parts = _PARTED.split(text)
    if len(parts) != 3:
        raise LanguageFormatError(f"{len(parts)} parts; parameters, states and transitions are parted by lines ---")
    n_states = sum(1 for _ in lines_of(parts[1]))
    before = parts[0].count("\n") + parts[1].count("\n")
    moves: list[Move] = []
    for number, line in lines_of(parts[2]):
        move = _MOVE.fullmatch(line)
        if move is None:
            raise wrong(before + number, 'no transition, which is: source target "label"')
        if not (1 <= int(move[1]) <= n_states and 1 <= int(move[2]) <= n_states):
            raise wrong(before + number, f"a transition from {move[1]} to {move[2]}; the states are 1 to {n_states}")
        moves.append((str(int(move[1])), None if move[3] == "tau" else move[3], str(int(move[2]))))
    if not n_states:
        raise LanguageFormatError("there is no state; the first one is initial")
    states = [str(i) for i in range(1, n_states + 1)]
    return Nfa.of(["1"], states, moves, states=states)
