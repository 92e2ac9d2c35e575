"""Alphabets, symbols, and words as people type them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from .errors import AlphabetError, UnknownSymbolError

Word = Sequence[str]
"""A word is any sequence of symbols; a plain string is a word of one-character symbols."""

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
SPECIAL_TOKENS = (PAD, BOS, EOS)

MOST_NAMES = 14
"""Longer lists of states are cut in the middle."""

MOST_SYMBOLS = 60
"""Longer words are cut at the end."""

MOST_OF_CLASS = 12
"""Characters and ranges of a set of symbols that its name lists; of longer symbols a quarter of that."""


def check_alphabet(symbols: Iterable[str]) -> tuple[str, ...]:
    """Validate an alphabet and return it as a tuple, in the order given.

    Raises:
        AlphabetError: a symbol is not a string, is empty, holds half of a surrogate pair or a special token, or
            occurs twice.
    """
    alphabet = tuple(symbols)
    for symbol in alphabet:
        if not isinstance(symbol, str):
            raise AlphabetError(f"symbol {symbol!r} is not a string; name symbols by strings")
        if not symbol:
            raise AlphabetError("a symbol is the empty string; give it a name")
        if any("\ud800" <= ch <= "\udfff" for ch in symbol):
            raise AlphabetError(f"symbol {symbol!r} holds half of a surrogate pair, which no file can store; rename it")
        special = next((token for token in SPECIAL_TOKENS if token in symbol), None)
        if special is not None:
            raise AlphabetError(f"symbol {symbol!r} collides with the special token {special}; rename it")
    if len(set(alphabet)) != len(alphabet):
        twice = next(s for i, s in enumerate(alphabet) if s in alphabet[:i])
        raise AlphabetError(f"symbol {twice!r} occurs twice in the alphabet")
    return alphabet


def class_token(name: str) -> str:
    """How a class, the output of a machine, is called among tokens. It is never read, and no tokenizer knows it.

    >>> class_token("even")
    '<class:even>'
    """
    return f"<class:{name}>"


def verdict_of(token: str, classes: Iterable[str]) -> str:
    """What is said of a token, or of one of some classes, in words.

    >>> verdict_of("a", ["even"]), verdict_of(class_token("even"), ["even"])
    ('a may come next', 'the class is even')
    """
    named = {class_token(name): name for name in classes}
    return f"the class is {named[token]}" if token in named else f"{token} may come next"


def read_tokens(alphabet: Iterable[str], *, follow: bool, end: bool, classes: Iterable[str] = ()) -> tuple[str, ...]:
    """What scores are about, in the order in which readouts have them (``models.readout``).

    Args:
        alphabet: the symbols.
        follow: whether there is a score for each symbol.
        end: whether there is one for the end of the word.
        classes: those that there is a score for.

    >>> read_tokens(("a", "b"), follow=False, end=True, classes=["odd"])
    ('<eos>', '<class:odd>')
    """
    return (*(alphabet if follow else ()), *([EOS] if end else ()), *map(class_token, classes))


def said_and_right(said: Iterable[str], right: Iterable[str]) -> str:
    """What a model says after a word, and what is right, in words: of tokens that may come next, or of a class."""
    model, language = sorted(said), sorted(right)
    if language and all(token.startswith(class_token("")[:-1]) for token in language):
        return f"the model says {model}, the machine {language}"
    return f"the model allows {model}, the language {language}"


def is_spaced(alphabet: Iterable[str]) -> bool:
    """Whether words over this alphabet are written with spaces between symbols."""
    return any(len(symbol) > 1 for symbol in alphabet)


def spellings(alphabet: Iterable[str]) -> dict[str, str]:
    r"""How each symbol is written in a word: as it is, except that blanks would part symbols.

    If words are written with spaces and a symbol holds whitespace, then in all symbols whitespace and backslashes are
    written as Python's escapes.

    >>> spellings(["New York", "a"])["New York"], spellings([" ", "a"])[" "]
    ('New\\x20York', ' ')
    """
    symbols = tuple(alphabet)
    if not is_spaced(symbols) or not any(ch.isspace() for symbol in symbols for ch in symbol):
        return {symbol: symbol for symbol in symbols}
    return {symbol: "".join(_escaped(ch) if ch == "\\" or ch.isspace() else ch for ch in symbol) for symbol in symbols}


def _escaped(ch: str) -> str:
    return "\\x20" if ch == " " else ch.encode("unicode_escape").decode("ascii")


def shown_text(text: str) -> str:
    r"""Text in one line: what cannot be seen, but for blanks, as Python's escapes.

    >>> shown_text("a\tb c")
    'a\\tb c'
    """
    return "".join(ch if ch.isprintable() else _escaped(ch) for ch in text)


_ESCAPE = re.compile(r"\\(?:[tnrvf]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|U0010[0-9a-fA-F]{4})")


def parse_alphabet(text: str) -> tuple[str, ...]:
    r"""Symbols as typed, separated by whitespace; what cannot be typed so is an escape: ``\x20``, ``\t``, ``\u00e9``.

    >>> parse_alphabet(r"a \x20 New\x20York \ ")
    ('a', ' ', 'New York', '\\')

    Raises:
        AlphabetError: see :func:`check_alphabet`.
    """
    found = (_ESCAPE.sub(lambda e: e[0].encode("ascii").decode("unicode_escape"), part) for part in text.split())
    return check_alphabet(found)


def parse_word(text: str, alphabet: Sequence[str]) -> tuple[str, ...]:
    """Read a word as typed: split at whitespace if any symbol is longer than one character, else characters.

    In the first case symbols are written as :func:`spellings` says; in the second, whitespace that is no symbol means
    nothing.

    >>> parse_word("ab ba", ("a", "b"))
    ('a', 'b', 'b', 'a')
    >>> parse_word("push pop", ("push", "pop"))
    ('push', 'pop')
    >>> parse_word("a b", ("a", "b", " "))
    ('a', ' ', 'b')

    Raises:
        UnknownSymbolError: the text holds something that is not a symbol.
    """
    if is_spaced(alphabet):
        named = {spelt: symbol for symbol, spelt in spellings(alphabet).items()}
        word = tuple(named.get(part, part) for part in text.split())
    else:
        symbols = set(alphabet)
        word = tuple(ch for ch in text if ch in symbols or not ch.isspace())
    check_word(word, alphabet)
    return word


def format_word(word: Word, alphabet: Sequence[str]) -> str:
    """The inverse of :func:`parse_word`; the empty word is written ``""``."""
    spelt = spellings(alphabet)
    return (" " if is_spaced(alphabet) else "").join(spelt.get(symbol, symbol) for symbol in word)


def check_word(word: Word, alphabet: Sequence[str]) -> None:
    """Raise :class:`UnknownSymbolError` at the first symbol of ``word`` that is not in ``alphabet``."""
    known = set(alphabet)
    for position, symbol in enumerate(word):
        if symbol not in known:
            raise UnknownSymbolError(
                f"symbol {symbol!r} at position {position} of the word is not in the alphabet {{{', '.join(alphabet)}}}"
            )


# -- words and states as messages show them --------------------------------------------------------------------------


def shown_word(word: tuple[str, ...], alphabet: Sequence[str]) -> str:
    """A word in quotation marks; of a long one the beginning and the length."""
    if len(word) <= MOST_SYMBOLS:
        return f'"{shown_text(format_word(word, alphabet))}"'
    space = " " if is_spaced(alphabet) else ""
    return f'"{shown_text(format_word(word[: MOST_SYMBOLS - 20], alphabet))}{space}..." ({len(word):,} symbols)'


def shown_states(names: Sequence[str], between: str = ", ") -> str:
    """Names of states in a row; of many the first and the last ones."""
    few = names if len(names) <= MOST_NAMES else [*names[:6], "...", *names[-6:]]
    return between.join(few)


def shown_cycle(word: tuple[str, ...], names: Sequence[str], alphabet: Sequence[str]) -> str:
    """What a word does to the states that it permutes, in their order."""
    states = shown_states([*names, names[0]], " -> ")
    return f"the word {shown_word(word, alphabet)} permutes the states {states} with period {len(names)}"


def class_name(letters: Sequence[str]) -> str:
    """A short name of a set of symbols, without blanks: characters in brackets, with ranges; longer symbols in braces.

    >>> class_name("bcdeaxz"), class_name(["if", "then"]), class_name(["a"])
    ('[a-exz]', '{if,then}', 'a')
    """
    if len(letters) == 1:
        return letters[0]
    if any(len(letter) > 1 for letter in letters):
        shown, most, between, outside = list(map(_plain, letters)), MOST_OF_CLASS // 4, ",", "{}"
    else:
        shown, most, between, outside = list(_ranges(letters)), MOST_OF_CLASS, "", "[]"
    if len(shown) > most:
        shown = [*shown[:most], f"...{len(letters):,}"]
    return f"{outside[0]}{between.join(shown)}{outside[1]}"


def _ranges(letters: Collection[str]) -> Iterator[str]:
    """Runs of three and more characters as ranges."""
    codes = sorted(map(ord, letters))
    start = 0
    for end in range(1, len(codes) + 1):
        if end == len(codes) or codes[end] != codes[end - 1] + 1:
            run = [_plain(chr(code)) for code in codes[start:end]]
            yield from run if len(run) < 3 else [f"{run[0]}-{run[-1]}"]
            start = end


def _plain(letter: str) -> str:
    return shown_text(letter).replace(" ", "\\x20")
