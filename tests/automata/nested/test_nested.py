"""Nested languages: their words, their automata, and JSON texts beside Python's parser."""

from __future__ import annotations

import json
import pickle
import random
import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_nested import random_nested

import scancraft
from scancraft import (
    BoundedDyck,
    EmptyLanguageError,
    LanguageFormatError,
    NestedLanguage,
    json_characters,
    json_documents,
    members_of,
    mixture_of,
    xml_documents,
)
from scancraft.automata.languages import as_language, language_from_json, language_to_json, truth_of
from scancraft.automata.nested.documents import JSON_TOKENS
from scancraft.automata.words.nested import NestedWords

LANGUAGES = random_nested(40, 5)
CHARACTERS = json_characters(2, "ab ")


def lists(depth: Any = 2, **changes: Any) -> NestedLanguage:
    """Lists of x, with changes."""
    parts: dict[str, Any] = {
        "root": "start",
        "opens": {"[": "empty"},
        "steps": {
            "start": {"[": "done"},
            "empty": {"x": "item", "[": "item"},
            "item": {",": "comma"},
            "comma": {"x": "item", "[": "item"},
        },
        "closes": {"empty": ["]"], "item": ["]"]},
        "accepting": ["done"],
    }
    return NestedLanguage.of(depth, **(parts | changes))


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_words_are_those_of_the_automaton(language: NestedLanguage) -> None:
    dfa, truth = language.dfa(), truth_of(language)
    words = [w for n in range(6 if len(language.alphabet) < 6 else 5) for w in product(language.alphabet, repeat=n)]
    codes, lengths = truth.encode(words)
    masks = truth.next_masks(codes, lengths)
    for word, mask in zip(words, masks, strict=True):
        stacks = list(language.run(word))
        assert language.accepts(word) == dfa.accepts(word) == bool(mask[len(word), -1])
        for n, stack in enumerate(stacks):
            expected = dfa.next_symbols(dfa.run(word[:n]))
            assert {a for a, may in zip(language.alphabet, mask[n], strict=False) if may} == expected
            assert language.allowed(stack) - {"<eos>"} == expected


def test_bounded_dyck_languages_are_nested_ones() -> None:
    dyck = BoundedDyck(2, 3)
    states = {"(": "(", "[": "["}
    nested = NestedLanguage.of(
        3,
        "out",
        states,
        {state: dict.fromkeys(states, state) for state in ("out", *states)},
        {"(": ")", "[": "]"},
        ["out"],
        dyck.alphabet,
    )
    assert nested.dfa() == dyck.dfa()


def texts(depth: int) -> st.SearchStrategy[list[str]]:
    """Token sequences that are often JSON, and often nearly."""
    rng = st.integers(0, 2**32)
    return st.tuples(rng, st.integers(1, 30)).map(lambda drawn: _text(depth, *drawn))


def _text(depth: int, seed: int, length: int) -> list[str]:
    rng = random.Random(seed)
    (word,) = members_of(json_documents(depth + 1), 1, 1, length, rng)
    tokens = list(word)
    if rng.random() < 0.6:
        place = rng.randrange(len(tokens))
        tokens[place : place + rng.randint(0, 1)] = [rng.choice(JSON_TOKENS)] * rng.randint(0, 1)
    return tokens


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(_depth, inside), default=0)


@given(texts(3))
def test_json_texts_are_those_that_python_reads(tokens: list[str]) -> None:
    spelled = {"string": '"s"', "number": "1"}
    try:
        # Keys may be given twice, which JSON allows: pairs, not mappings.
        value = json.loads(" ".join(spelled.get(t, t) for t in tokens), object_pairs_hook=lambda p: [v for _, v in p])
        expected = _depth(value) <= 3
    except ValueError:
        expected = False
    assert json_documents(3).accepts(tokens) == expected
    truth = truth_of(json_documents(3))
    codes, lengths = truth.encode([tokens])
    assert bool(truth.next_masks(codes, lengths)[0, len(tokens), -1]) == expected


def _expected(text: str, letters: str, most: int) -> bool:
    """Whether Python reads a text as JSON without blanks, strings over these letters, so deep at most."""
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: [v for _, v in pairs])
    except ValueError:
        return False
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    plain = all(set(re.sub(r'\\["/bfnrt]', "", inside)) <= {*letters} for inside in strings)
    return plain and not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*"', "", text)) and _depth(value) <= most


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_json_over_characters_is_what_python_reads(seed: int, length: int) -> None:
    rng, language = random.Random(seed), CHARACTERS
    (word,) = members_of(json_characters(3, "ab "), 1, 1, length, rng)
    text = list(word)
    for _ in range(rng.randint(0, 2)):
        place = rng.randrange(len(text) + 1)
        text[place : place + rng.randint(0, 1)] = [rng.choice(language.alphabet)] * rng.randint(0, 1)
    assert language.accepts(text) == _expected("".join(text), "ab 0123456789", 2)


def test_commas_and_backslashes_in_strings_are_not_star_free() -> None:
    """Why the strings of ``json_characters`` hold neither: words that exchange inside and outside."""
    with pytest.raises(LanguageFormatError, match="not star-free"):
        json_characters(1, "a,")
    commas = scancraft.star_free_witness(scancraft.regex("'[' '\"' (a|',')* '\"' (',' '\"' (a|',')* '\"')* ']'"))
    assert commas is not None
    assert {*commas.word} == {'"', ","}
    escapes = scancraft.star_free_witness(scancraft.regex(r"q (a | \\ \\ | \\ q)* q"))
    assert escapes is not None
    assert {*escapes.word} == {"\\"}
    plain = scancraft.regex("'[' '\"' a* '\"' (',' '\"' a* '\"')* ']'")
    assert scancraft.star_free_witness(plain) is None


def test_xml_documents() -> None:
    models = {"letter": "'to' 'line'*", "to": "'text'", "line": "('text' | 'b')*", "b": "'text'?"}
    language = xml_documents("letter", models, 3)
    good = "<letter> <to> text </to> <line> text <b> text </b> text </line> <line> </line> </letter>".split()
    assert language.accepts(good)
    for n in range(len(good)):
        assert not language.accepts(good[:n] + good[n + 1 :]) or good[n] == "text"
    assert not xml_documents("letter", models, 2).accepts(good)
    with pytest.raises(LanguageFormatError, match="'p' has no content model"):
        xml_documents("p", models, 3)


@pytest.mark.parametrize("language", [*LANGUAGES[:12], json_documents(4)], ids=str)
def test_drawn_words(language: NestedLanguage) -> None:
    rng = random.Random(3)
    words = [word for _ in range(20) if (word := NestedWords(language).walk(12, rng)) is not None]
    assert all(language.accepts(word) and len(word) <= 12 for word in words)
    assert len(mixture_of(language, 10, 0, 9, rng)) == 10
    for length in (1, 8):
        try:
            word = NestedWords(language).live_word(length, rng)
        except EmptyLanguageError:
            continue
        *_, last = language.run(word)
        assert last is not None
        assert len(word) == length


def test_long_documents_are_as_long_as_asked() -> None:
    words = members_of(json_documents(4), 20, 100, 120, random.Random(1))
    assert all(100 <= len(word) <= 120 for word in words)


@pytest.mark.parametrize("language", [*LANGUAGES[:5], json_documents(2)], ids=str)
def test_json_and_pickle_give_the_same_language(language: NestedLanguage) -> None:
    written = json.loads(json.dumps(language_to_json(language)))
    assert language_from_json(written) == as_language(written) == language
    assert pickle.loads(pickle.dumps(language)) == language
    assert len(repr(language)) < 120


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"depth": 0}, "whole number"),
        ({"depth": True}, "whole number"),
        ({"opens": {}}, "no symbol opens"),
        ({"opens": {"[": "empty", "]": "empty"}}, "opens and closes"),
        ({"closes": {}}, "can never be closed"),
        ({"accepting": []}, "no word is in the language"),
        ({"steps": {"start": {"[": "done", "]": "done"}}}, "closes levels"),
        ({"steps": {"start": {"[": "done"}, "empty": {"x": "lost"}}}, "no word can be completed"),
        ({"alphabet": ["[", "]"]}, "not in the alphabet"),
    ],
)
def test_what_is_none(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(LanguageFormatError, match=says):
        lists(**changes)


def test_levels_that_must_have_others_inside() -> None:
    """<a> has to hold a <b>, so it cannot be opened at the greatest depth."""
    opens = {"<a>": "a", "<b>": "b"}
    steps = {"out": {"<a>": "end"}, "a": {"<a>": "a", "<b>": "a full"}, "a full": {"<b>": "a full"}, "b": {}}
    language = NestedLanguage.of(3, "out", opens, steps, {"a full": ["</a>"], "b": ["</b>"]}, ["end"])
    assert dict(language.deepest) == {"<a>": 2, "<b>": 3}
    assert language.allowed(("end", "a full", "a")) == {"<b>"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("root"),
        lambda d: d.update(steps=[]),
        lambda d: d.update(opens={"[": 1}),
        lambda d: d.update(closes={"item": "]]"}),
        lambda d: d.update(accepting="done"),
        lambda d: d.update(more=1),
        lambda d: d.update(depth="2"),
        lambda d: d.update(root=None),
    ],
)
def test_malformed_json(damage: Any) -> None:
    data = language_to_json(lists())["nested"]
    damage(data)
    with pytest.raises(LanguageFormatError):
        language_from_json({"nested": data})
