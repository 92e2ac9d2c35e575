"""The page of ``scancraft explain --html``: what its scripts compute on words, and what that is compared with."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

from explained import Explained

from scancraft.automata.languages import columns_of, predicts, truth_of
from scancraft.compiler.checkpoints import Checkpoint
from scancraft.explain import page as explain_page
from scancraft.explain import page_data
from scancraft.explain.page import write_page


def page_file(name: str, built: Explained) -> Path:
    target = built[name].directory.with_suffix(".html")
    return target if target.exists() else write_page(built[name], target)


def words(checkpoint: Checkpoint, count: int, seed: int = 0) -> list[tuple[str, ...]]:
    """The empty word, random ones, and ones that only take what the language allows."""
    rng, truth = random.Random(seed), truth_of(checkpoint.language)
    alphabet = checkpoint.language.alphabet
    found: list[tuple[str, ...]] = [()]
    while len(found) < count:
        word: tuple[str, ...] = ()
        for _ in range(rng.randrange(1, 16)):
            mask = truth.next_masks(*truth.encode([word]))[0, len(word), : len(alphabet)]
            choices = list(alphabet)
            if len(found) % 2 and predicts(checkpoint.language):
                choices = [s for s, may in zip(alphabet, mask, strict=True) if may]
            if not choices:
                break
            word = (*word, rng.choice(choices))
        found.append(word)
    return found


SCRIPTS = "\n".join(map(explain_page.resource, explain_page.CORE))
"""The part of the page's script that needs no document."""

DRIVER = (
    SCRIPTS
    + """
const { page, words } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const session = new Scancraft.Session(Scancraft.open(page));
const numbers = (array) => [...array].map((v) => v + 0);
console.log(JSON.stringify(words.map((word) => {
  session.set(word);
  return session.records.map((r) => ({
    windows: r.state.map((s) => numbers(s.window)), states: r.state.map((s) => numbers(s.h)),
    streams: r.streams.map(numbers), gated: r.parts.map((p) => numbers(p.gated)), logits: numbers(r.logits),
    held: r.held, allowed: [...r.allowed],
  }));
})));
"""
)
"""What the page's core computes, as JSON."""

IN_PAGE = """
(() => {
  const numbers = (array) => [...array].map((v) => v + 0);
  return scancraft.session.records.map((r) => ({
    windows: r.state.map((s) => numbers(s.window)), states: r.state.map((s) => numbers(s.h)),
    streams: r.streams.map(numbers), gated: r.parts.map((p) => numbers(p.gated)), logits: numbers(r.logits),
    held: r.held, allowed: [...r.allowed],
  }));
})()
"""


def floats(numbers: Any) -> Any:
    """The same with floats only: JavaScript writes 2^60 as an integer, rounded to 16 digits."""
    return [floats(part) for part in numbers] if isinstance(numbers, list) else float(numbers)


def check(
    found: list[dict[str, Any]], checkpoint: Checkpoint, word: tuple[str, ...], owed: list[dict[str, Any]]
) -> None:
    """Compare what the page computed on a word with the model's own steps and with the language's ground truth."""
    truth = truth_of(checkpoint.language)
    tokens = columns_of(truth)
    masks = truth.next_masks(*truth.encode([word]))[0]
    assert len(found) == len(owed) == len(word) + 1
    for record, right, mask in zip(found, owed, masks, strict=True):
        assert set(record["allowed"]) == {t for t, may in zip(tokens, mask, strict=True) if may}
        if mask.any() or checkpoint.readout.contract == "all-words":
            for part in right:
                assert floats(record[part]) == floats(right[part]), part


def in_node(checkpoint: Checkpoint, words: list[tuple[str, ...]], driver: str = DRIVER) -> list[Any]:
    """What the page's scripts say of each word."""
    data = json.dumps({"page": page_data.page_data(checkpoint), "words": words})
    done = subprocess.run(["node", "-e", driver], input=data, capture_output=True, text=True, check=True)
    found: list[Any] = json.loads(done.stdout)
    return found
