"""JSON texts over tokens, at most h deep: models beside the acceptor, Python's parser and a library for constrained
decoding, after every prefix of many documents.

The library is llguidance; it is no dependency, and is left out where it is not installed:

    pip install llguidance==1.9.1
    python benchmarks/run.py --only documents
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from page.table import Column, Json, table
from page.targets import Target, every, none
from timings.measure import Measured, Tick, best_of

import scancraft
from scancraft import json_documents
from scancraft.automata.languages import truth_of
from scancraft.automata.nested.documents import JSON_TOKENS
from scancraft.certify.certify import Certificate, certify
from scancraft.certify.checker.certificate import check_certificate
from scancraft.models.run.batches import batches, prefix_scores

LETTERS = dict(zip(JSON_TOKENS, "{}[]:,sntfu", strict=True))
"""One character for each token, for the library's grammar over bytes."""

TEXTS = {"string": '"s"', "number": "1"}
"""How tokens are spelled for Python's parser; the others are spelled as they are called."""


@dataclass(frozen=True)
class Size:
    """What is compiled and tried."""

    depths: tuple[int, ...] = (1, 2, 3, 5, 10, 20)
    prefixes: int = 1_000_000  # in all
    longest: int = 200  # tokens of a document


FULL = Size()
QUICK = Size(depths=(1, 3), prefixes=300, longest=12)

Allowed = Callable[[Sequence[str]], np.ndarray]
"""From a document to what may come next after each of its prefixes: (prefixes, tokens and the end)."""


def measure(size: Size, tick: Tick) -> Measured:
    rows = []
    for n, depth in enumerate(size.depths):
        tick(n, len(size.depths), f"JSON at most {depth} deep")
        rows.append(_row(depth, size))
    judges = ("acceptor", "parser", "library")
    return Measured(
        {
            "rows": rows,
            "certified": sum(row["scope"] == "every-implementation" and row["checked"] for row in rows),
            "blocks": max(row["blocks"] for row in rows),
            "prefixes": sum(row["prefixes"] for row in rows),
            "wrong": {judge: sum(row[judge] or 0 for row in rows) for judge in judges},
            "library": find_spec("llguidance") is not None,
        },
        {"rows": rows},
    )


def _row(depth: int, size: Size) -> Json:
    language = json_documents(depth)
    seconds, compiled = best_of(3, lambda: scancraft.compile(language))
    certify(compiled)  # the first one imports what it needs
    started = time.perf_counter()
    found = certify(compiled)
    row: Json = {
        "depth": depth,
        "blocks": compiled.weights.shape.n_layers,
        "parameters": compiled.weights.n_parameters,
        "seconds": seconds,
        "certify": time.perf_counter() - started,
        "scope": found.scope if isinstance(found, Certificate) else found.verdict,
        "checked": _checked(compiled, found),
    }
    words = _words(depth, size)
    truth, readout = truth_of(language), compiled.readout
    codes, lengths = truth.encode(words)
    started = time.perf_counter()
    said: list[np.ndarray] = [np.empty(0)] * len(words)
    runner = compiled.runner()
    for rows in batches(lengths):
        longest = int(lengths[rows].max())
        scores = prefix_scores(runner, readout, codes[rows, :longest], lengths[rows], truth.alphabet)
        for place, allowed in zip(rows, (scores > 0).numpy(), strict=True):
            said[int(place)] = allowed[: lengths[place] + 1]
    prefixes = int(lengths.sum()) + len(words)
    row |= {"prefixes": prefixes, "each": 1e6 * (time.perf_counter() - started) / prefixes}
    masks = truth.next_masks(codes, lengths)
    row["acceptor"] = sum(
        int((mask[: len(mine)] != mine).any(axis=1).sum()) for mask, mine in zip(masks, said, strict=True)
    )
    row["parser"] = _disagree(words, said, lambda word: _by_parser(word, depth))
    row["library"] = row["library each"] = None
    if find_spec("llguidance") is not None:
        started = time.perf_counter()
        row["library"] = _disagree(words, said, _by_library(depth))
        row["library each"] = 1e6 * (time.perf_counter() - started) / prefixes
    return row


def _checked(compiled: Any, found: object) -> bool:
    """Whether the saved certificate is accepted."""
    from tempfile import TemporaryDirectory

    if not isinstance(found, Certificate):
        return False
    with TemporaryDirectory() as place:
        compiled.save(place)
        found.save(place)
        return check_certificate(place).accepted


def _words(depth: int, size: Size) -> list[tuple[str, ...]]:
    """Documents with this many prefixes in all, of every length."""
    rng, wanted = random.Random(depth), size.prefixes // len(size.depths)
    words: list[tuple[str, ...]] = []
    while wanted > 0:
        new = scancraft.members_of(json_documents(depth), 50, 1, size.longest, rng)
        words += new
        wanted -= sum(len(word) + 1 for word in new)
    return words


def _disagree(words: Sequence[Sequence[str]], said: Sequence[np.ndarray], judge: Allowed) -> int:
    return sum(int((judge(word) != mine).any(axis=1).sum()) for word, mine in zip(words, said, strict=True))


def _by_parser(word: Sequence[str], depth: int) -> np.ndarray:
    """A token may come next if Python's parser finds nothing wrong before the end of the text."""
    found = np.zeros((len(word) + 1, len(JSON_TOKENS) + 1), dtype=bool)
    text, level = "", 0
    for place in range(len(word) + 1):
        for n, token in enumerate(JSON_TOKENS):
            longer = f"{text} {TEXTS.get(token, token)}"
            deeper = token in "{[" and level == depth
            found[place, n] = not deeper and _first_fault(longer) >= len(longer)
        found[place, -1] = _first_fault(text) > len(text)
        if place < len(word):
            text += f" {TEXTS.get(word[place], word[place])}"
            level += (word[place] in "{[") - (word[place] in "}]")
    return found


def _first_fault(text: str) -> int:
    """Where the parser finds a fault; past the end if it finds none."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos
    return len(text) + 1


def _by_library(depth: int) -> Allowed:
    """llguidance's masks for a grammar with a rule for each depth."""
    from llguidance import LLMatcher, LLTokenizer

    tokenizer = LLTokenizer("byte")
    columns = [*(ord(LETTERS[token]) for token in JSON_TOKENS), tokenizer.eos_token]
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(_grammar(depth)))

    def allowed(word: Sequence[str]) -> np.ndarray:
        matcher.reset()
        found = np.zeros((len(word) + 1, len(columns)), dtype=bool)
        for place in range(len(word) + 1):
            if matcher.is_stopped():  # nothing may follow; the text may end
                found[place, -1] = True
                break
            mask = np.frombuffer(matcher.compute_logit_bias(), dtype=np.uint8)
            found[place] = mask[columns] > 0
            if place < len(word):
                matcher.consume_token(columns[JSON_TOKENS.index(word[place])])
        return found

    return allowed


def _grammar(depth: int) -> str:
    scalars = '"s" | "n" | "t" | "f" | "u"'
    lines = ["start: v0"]
    for d in range(depth + 1):
        lines.append(f"v{d}: {scalars}" + (f" | o{d + 1} | a{d + 1}" if d < depth else ""))
    for d in range(1, depth + 1):
        lines.append(f'o{d}: "{{" "}}" | "{{" m{d} ("," m{d})* "}}"')
        lines.append(f'm{d}: "s" ":" v{d}')
        lines.append(f'a{d}: "[" "]" | "[" v{d} ("," v{d})* "]"')
    return "\n".join(lines)


# -- the page --------------------------------------------------------------------------------------------------------

COLUMNS = (
    Column("at most deep", "depth"),
    Column("blocks", "blocks", target=lambda blocks: blocks <= 3),
    *("parameters",),
    Column("compiled in s", "seconds", lambda seconds: f"{seconds:.2f}"),
    Column("certified in s", "certify", lambda seconds: f"{seconds:.2f}"),
    Column("prefixes", "prefixes", lambda count: f"{count:,}"),
    *(Column(f"otherwise than the {name}", name) for name in ("acceptor", "parser", "library")),
    Column("us per prefix", "each", lambda each: f"{each:.1f}"),
    Column("the library's", "library each", lambda each: "-" if each is None else f"{each:.1f}"),
)


def targets(size: Json, result: Json) -> list[Target]:
    return [
        every("JSON models certified and checked, every-implementation", result["certified"], len(result["rows"])),
        Target("blocks of JSON models, whatever the depth", "at most 3", f"{result['blocks']}", result["blocks"] <= 3),
        *(
            none(f"JSON: prefixes where the model and the {judge} differ", wrong, f"of {result['prefixes']:,}")
            for judge, wrong in result["wrong"].items()
            if judge != "library" or result["library"]
        ),
    ]


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["rows"], COLUMNS), "prefixes": f"{result['prefixes']:,}"}
