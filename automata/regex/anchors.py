"""Anchors inside an expression: NFAs whose moves may ask where in the word they are, without those moves."""

from __future__ import annotations

from ..budget import Meter
from ..nfa import NfaBuilder

ANCHORS = ("start", "end", "end or line end")
"""What may be asked: nothing has been read; nothing is left; nothing is left, but for one line break at most.

The move that asks for number i is a move under letter number k + i, for k letters."""

FREE, OVER, LINE_BREAK = range(3)
"""What may still be read: anything; nothing; one line break and no more."""


def without_anchors(nfa: NfaBuilder, entry: int, leave: int, meter: Meter) -> tuple[NfaBuilder, int, int]:
    """The same language with each state taken apart by what has been read and what may be. O(6 * (states + moves)).

    Returns:
        The NFA, its entry and its one exit.
    """
    k = len(nfa.alphabet)
    line_break = nfa.alphabet.index("\n") if "\n" in nfa.alphabet else None
    result = NfaBuilder(nfa.alphabet)
    number: dict[tuple[int, bool, int], int] = {}
    queue: list[tuple[int, bool, int]] = []

    def place(state: int, read: bool, left: int) -> int:
        key = (state, read, left)
        if key not in number:
            meter.tick()
            number[key] = result.state()
            queue.append(key)
        return number[key]

    first, exit_ = place(entry, False, FREE), result.state()
    for state, read, left in queue:
        here = number[state, read, left]
        if state == leave and left != LINE_BREAK:
            result.jump(here, exit_)
        for target in nfa.epsilon[state]:
            result.jump(here, place(target, read, left))
        for letter, targets in nfa.moves[state].items():
            for target in targets:
                meter.tick()
                if letter < k:
                    if left == FREE:
                        result.link(here, letter, place(target, True, FREE))
                    elif left == LINE_BREAK and letter == line_break:
                        result.link(here, letter, place(target, True, OVER))
                    continue
                asked = ANCHORS[letter - k]
                if asked == "start" and not read:
                    result.jump(here, place(target, read, left))
                elif asked == "end" and left != LINE_BREAK:
                    result.jump(here, place(target, read, OVER))
                elif asked == "end or line end":
                    for after in (OVER, LINE_BREAK) if left == FREE else (left,):
                        result.jump(here, place(target, read, after))
    return result, first, exit_
