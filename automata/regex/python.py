r"""Expressions as Python's ``re`` and as greenery write them, to the syntax trees of this package.

The whole word has to match: an expression means the words for which ``re.fullmatch`` finds a match. Every symbol is
one character. Read are literals, ``.``, classes, ranges, all escapes (``\d``, ``\w``, ``\s`` as Unicode has them),
groups, alternatives, repetitions greedy or lazy (the same language), ``^``, ``$``, ``\A``, ``\Z``, comments, and the
flags ``a``, ``s``, ``u``. What is not regular (references back) or not supported (looking around, atomic groups,
possessive repetitions, ``\b``, other flags) is refused with its place. ``.`` is any symbol of the alphabet but a line
break.

greenery has no anchors (``^`` and ``$`` are literals), its ``.`` is any symbol, ``[]`` is the empty set, and its
classes ``\d``, ``\w``, ``\s`` are ASCII's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from ..errors import RegexSyntaxError
from .parser import located
from .tree import (
    Alternation,
    Anchor,
    AnySymbol,
    CharClass,
    Concat,
    Empty,
    Epsilon,
    Range,
    Regex,
    Repeat,
    Shorthand,
    Symbol,
)

CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
"""What letters after a backslash stand for."""

HEX_DIGITS = {"x": 2, "u": 4, "U": 8}

GROUPS = {
    "(?=": "looking ahead",
    "(?!": "looking ahead",
    "(?<=": "looking behind",
    "(?<!": "looking behind",
    "(?>": "an atomic group",
    "(?(": "a condition on a group",
    "(?P=": "a reference back, which is not regular",
}
"""How groups begin that are refused, and what they are."""

_FLAGS = re.compile(r"\(\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)])")
_COUNT = re.compile(r"\{([0-9]*)(?:(,)([0-9]*))?\}")
_GROUP_NAME = re.compile(r"\(\?P<([^\W\d]\w*)>")


def parse_python(text: str) -> Regex:
    r"""Parse an expression in the dialect of Python's ``re``. O(length).

    >>> parse_python(r"^(?:ab|[^c-e])+?$").children[1]
    parse_ast('(ab|[^c-e])+')

    Raises:
        RegexSyntaxError: no expression of this dialect, or one that uses what is not supported; the message has the
            position.
    """
    return _Reader(text).parsed()


def parse_greenery(text: str) -> Regex:
    """Parse an expression in greenery's dialect; errors as for :func:`parse_python`. O(length).

    >>> parse_greenery("^[]|a.").children[0].children[1]
    parse_ast('∅')
    """
    return _GreeneryReader(text).parsed()


@dataclass
class _Group:
    """A group that is open."""

    position: int
    dot_all: bool
    unicode: bool
    branches: list[Regex] = field(default_factory=list)
    items: list[Regex] = field(default_factory=list)
    repeatable: bool = False  # whether a repetition may come next
    repeated: bool = False  # whether one has just come

    def close_branch(self) -> None:
        parts = tuple(self.items)
        self.branches.append(Concat(parts) if len(parts) > 1 else parts[0] if parts else Epsilon())
        self.items, self.repeatable, self.repeated = [], False, False

    def add(self, item: Regex, *, repeatable: bool = True) -> None:
        self.items.append(item)
        self.repeatable, self.repeated = repeatable, False

    def whole(self) -> Regex:
        self.close_branch()
        return Alternation(tuple(self.branches)) if len(self.branches) > 1 else self.branches[0]


class _Reader:
    """One run over a text."""

    specials = frozenset("|()*+?{.^$\\[")

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.names: set[str] = set()
        self.open = [_Group(0, self.dot_is_all(), self.unicode())]

    def dot_is_all(self) -> bool:
        return False

    def unicode(self) -> bool:
        return True

    def fail(self, position: int, complaint: str) -> NoReturn:
        raise RegexSyntaxError(located(self.text, position, complaint))

    def parsed(self) -> Regex:
        """The tree of the whole text."""
        while self.at < len(self.text):
            self.one()
        if len(self.open) > 1:
            self.fail(self.open[-1].position, "this '(' is not closed")
        return self.open[0].whole()

    def one(self) -> None:
        """Read one item at the present position."""
        group, start, ch = self.open[-1], self.at, self.text[self.at]
        self.at += 1
        if ch not in self.specials:
            group.add(self.literal(start, ch))
        elif ch == "|":
            group.close_branch()
        elif ch == "(":
            self.group(start)
        elif ch == ")":
            self.close(start)
        elif ch in "*+?{":
            self.repetition(start, ch)
        elif ch == ".":
            group.add(AnySymbol() if group.dot_all else Shorthand("N"))
        elif ch == "[":
            group.add(self.char_class(start))
        elif ch == "\\":
            item = self.escape(start)
            group.add(item, repeatable=not isinstance(item, Anchor))
        else:
            group.add(Anchor("start" if ch == "^" else "end or line end"), repeatable=False)

    def literal(self, position: int, ch: str) -> Symbol:
        if "\ud800" <= ch <= "\udfff":
            self.fail(position, "half of a surrogate pair is no character")
        return Symbol(ch)

    # -- groups ------------------------------------------------------------------------------------------------------

    def close(self, start: int) -> None:
        if len(self.open) == 1:
            self.fail(start, "no '(' is open here; for the symbol itself write \\)")
        self.open[-2].add(self.open.pop().whole())

    def group(self, start: int) -> None:
        outer, text = self.open[-1], self.text
        if not text.startswith("(?", start):
            self.open.append(_Group(start, outer.dot_all, outer.unicode))
            return
        refused = next((what for how, what in GROUPS.items() if text.startswith(how, start)), None)
        if refused is not None:
            self.fail(start, f"{refused} is not supported")
        if text.startswith("(?#", start):
            end = text.find(")", start)
            if end < 0:
                self.fail(start, "this comment is not closed")
            self.at = end + 1
            return
        named = _GROUP_NAME.match(text, start)
        flags = _FLAGS.match(text, start)
        if named is not None:
            if named[1] in self.names:
                self.fail(start, f"the group name {named[1][:40]!r} is taken")
            self.names.add(named[1])
            self.at = named.end()
            self.open.append(_Group(start, outer.dot_all, outer.unicode))
        elif flags is not None:
            self.at = flags.end()
            self.flags(start, flags[1], flags[2] or "", flags[3] == ":")
        else:
            self.fail(start, "no group begins so; groups are (...), (?:...), (?P<name>...), (?flags:...) and (?#...)")

    def flags(self, start: int, on: str, off: str, scoped: bool) -> None:
        for flag in on:
            if flag not in "asu":
                known = {"i": "ignoring case", "m": "lines of their own", "x": "verbose", "L": "of the locale"}
                self.fail(start, f"the flag {flag!r} ({known.get(flag, 'unknown')}) is not supported; a, s and u are")
        if set(off) - set("imsx") or set(on) & set(off) or {"a", "u"} <= set(on) or not (on or off or scoped):
            self.fail(start, "these flags cannot be combined or turned off")
        outer = self.open[-1]
        dot_all = (outer.dot_all or "s" in on) and "s" not in off
        unicode = (outer.unicode or "u" in on) and "a" not in on
        if scoped:
            self.open.append(_Group(start, dot_all, unicode))
        elif off or len(self.open) > 1 or outer.branches or outer.items:
            self.fail(start, "flags for the whole expression stand at its beginning, and are turned on only")
        else:
            outer.dot_all, outer.unicode = dot_all, unicode

    # -- repetitions -------------------------------------------------------------------------------------------------

    def repetition(self, start: int, ch: str) -> None:
        group = self.open[-1]
        bounds = self.bounds(start, ch)
        if bounds is None:
            group.add(Symbol("{"))
            return
        if group.repeated:
            self.fail(start, "a repetition of a repetition; put the inner one in a group")
        if not group.repeatable:
            self.fail(start, "there is nothing to repeat here")
        least, most = bounds
        if most is not None and most < least:
            self.fail(start, f"the repetition {{{least},{most}}} has bounds out of order")
        self.suffix(self.at)
        group.items[-1] = Repeat(group.items[-1], least, most)
        group.repeatable, group.repeated = False, True

    def bounds(self, start: int, ch: str) -> tuple[int, int | None] | None:
        """Least and most; None where a brace is a literal."""
        if ch != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[ch]
        found = _COUNT.match(self.text, start)
        if found is None or found[0] == "{}":
            self.brace(start)
            return None
        self.at = found.end()
        least, comma, most = found.groups()
        for digits in (least, most or ""):
            if len(digits.lstrip("0")) > 20:
                self.fail(start, f"the repetition bound has {len(digits)} digits; use a smaller one")
        lower = int(least or "0")
        return lower, (int(most) if most else None) if comma else lower

    def brace(self, start: int) -> None:
        """A brace that begins no repetition is a literal."""

    def suffix(self, start: int) -> None:
        """Read what makes a repetition lazy, which changes nothing, or possessive, which is refused."""
        if self.text[start : start + 1] == "+":
            self.fail(start, "a possessive repetition is not supported (it accepts other words than a greedy one)")
        self.at += self.text[start : start + 1] == "?"

    # -- escapes and classes -----------------------------------------------------------------------------------------

    def escape(self, start: int, in_class: bool = False) -> Regex:
        """What a backslash at ``start`` and the next characters stand for."""
        if self.at >= len(self.text):
            self.fail(start, "a backslash ends the expression; for the symbol itself write \\\\")
        ch = self.text[self.at]
        self.at += 1
        if ch in "dwsDWS":
            return Shorthand(ch, self.open[-1].unicode)
        if ch in CONTROLS or (in_class and ch == "b"):
            return Symbol(CONTROLS.get(ch, "\b"))
        if not in_class and ch in "AZ":
            return Anchor("start" if ch == "A" else "end")
        if not in_class and ch in "bB":
            self.fail(start, f"\\{ch}, a border of words, is not supported")
        if ch in HEX_DIGITS:
            return self.hexadecimal(start, HEX_DIGITS[ch])
        if ch == "N":
            return self.character_name(start)
        if ch in "0123456789":
            return self.octal(start, ch, in_class)
        if ch.isascii() and ch.isalpha():
            self.fail(start, f"unknown escape \\{ch}")
        return self.literal(start, ch)

    def hexadecimal(self, start: int, n_digits: int) -> Symbol:
        digits = self.text[self.at : self.at + n_digits]
        if not re.fullmatch(f"[0-9a-fA-F]{{{n_digits}}}", digits) or int(digits, 16) > 0x10FFFF:
            self.fail(start, f"this escape takes {n_digits} hexadecimal digits, of a character")
        self.at += n_digits
        return self.literal(start, chr(int(digits, 16)))

    def character_name(self, start: int) -> Symbol:
        named = re.compile(r"\{([^}]+)\}").match(self.text, self.at)
        try:
            ch = unicodedata.lookup(named[1]) if named else ""
        except KeyError:
            ch = ""
        if named is None or len(ch) != 1:
            self.fail(start, "no character has this name; write \\N{NAME}")
        self.at = named.end()
        return self.literal(start, ch)

    def octal(self, start: int, first: str, in_class: bool) -> Symbol:
        """One to three octal digits; outside classes one or two that do not begin with 0 refer back to a group."""
        form = "[0-7]{1,3}" if first == "0" or in_class else "[0-7]{3}"
        digits = re.compile(form).match(self.text, self.at - 1)
        if digits is None and not in_class:
            self.fail(start, f"\\{first}, a reference back, is not regular")
        if digits is None or int(digits[0], 8) > 0o377:
            self.fail(start, "this is no octal escape of a character up to \\377")
        self.at = digits.end()
        return self.literal(start, chr(int(digits[0], 8)))

    def char_class(self, start: int) -> Regex:
        negated = self.text.startswith("^", self.at)
        self.at += negated
        items: list[Symbol | Range | Shorthand] = []
        first = True
        while first or not self.text.startswith("]", self.at):
            first = False
            items.append(self.class_item(start))
        self.at += 1
        return _class_of(items, negated)

    def class_item(self, start: int) -> Symbol | Range | Shorthand:
        """A member of a class, or a range."""
        place = self.at
        low = self.class_character(start)
        if not self.text.startswith("-", self.at) or self.text.startswith("-]", self.at):
            return low
        self.at += 1
        high = self.class_character(start)
        if not isinstance(low, Symbol) or not isinstance(high, Symbol) or low.name > high.name:
            self.fail(place, f"{self.text[place : self.at]} is no range, which runs from a character to a later one")
        return Range(low.name, high.name)

    def class_character(self, start: int) -> Symbol | Shorthand:
        if self.at >= len(self.text):
            self.fail(start, "this '[' is not closed; for the symbol itself write \\[")
        place, ch = self.at, self.text[self.at]
        self.at += 1
        found = self.escape(place, in_class=True) if ch == "\\" else self.literal(place, ch)
        assert isinstance(found, (Symbol, Shorthand))
        return found


class _GreeneryReader(_Reader):
    """What greenery reads in another way."""

    specials = frozenset("|()*+?{}.\\[]")

    def dot_is_all(self) -> bool:
        return True

    def unicode(self) -> bool:
        return False

    def one(self) -> None:
        if self.text[self.at] in "]}":
            self.fail(self.at, f"unexpected {self.text[self.at]!r}; for the symbol itself write \\{self.text[self.at]}")
        super().one()

    def group(self, start: int) -> None:
        if self.text.startswith("(?", start) and not self.text.startswith(("(?:", "(?P<"), start):
            self.fail(start, "no group begins so; groups are (...), (?:...) and (?P<name>...)")
        super().group(start)

    def brace(self, start: int) -> None:
        self.fail(start, "this is no repetition; for the symbol itself write \\{")

    def suffix(self, start: int) -> None:
        self.at += self.text[start : start + 1] == "?"

    def escape(self, start: int, in_class: bool = False) -> Regex:
        ch = self.text[self.at : self.at + 1]
        if ch and ch not in ("\\[]^-" if in_class else "\\[]|().?*+{}") + "dwsDWStnvfrx":
            self.fail(start, f"unknown escape \\{ch}")
        return super().escape(start, in_class)

    def char_class(self, start: int) -> Regex:
        negated = self.text.startswith("^", self.at)
        self.at += negated
        items: list[Symbol | Range | Shorthand] = []
        while not self.text.startswith("]", self.at):
            if self.text[self.at : self.at + 1] in ("[", "^", "-"):
                self.fail(
                    self.at, f"unexpected {self.text[self.at]!r}; for the symbol itself write \\{self.text[self.at]}"
                )
            items.append(self.class_item(start))
        self.at += 1
        return _class_of(items, negated)


def _class_of(items: Iterable[Symbol | Range | Shorthand], negated: bool) -> Regex:
    """A class; its members need not be in the alphabet, as those of ranges, which single characters become."""
    members = tuple(Range(item.name, item.name) if isinstance(item, Symbol) else item for item in items)
    if members:
        return CharClass(members, negated)
    return AnySymbol() if negated else Empty()
