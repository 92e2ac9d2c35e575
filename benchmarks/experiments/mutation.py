"""The mutation score of ``certify``: compiled models with something changed are certified only if they are still right.

Weight mutants change one number (or swap two numbers of a row of a tensor); half of the places are drawn among the
non-zero weights, half among all. A draw that changes no number, like the sign of a zero, and one that was there before
are drawn again. Block mutants leave one block out, or repeat one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from page.table import Column, Json, code, table
from page.targets import Target, none
from timings.measure import Measured, Tick, o_n
from timings.random_dfas import STAR_FREE, random_dfa
from torch import Tensor

import scancraft
from scancraft.automata.acceptor import Acceptor
from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE, d_n
from scancraft.certify.certify import Certificate, Refuted
from scancraft.certify.check import compare, exhaustive_depth
from scancraft.models.errors import ReadoutError, WeightsError
from scancraft.models.readout import Readout

UNDECIDED = 0.05
"""The target: at most this share."""
Weights = dict[str, Tensor]
Row = NDArray[np.float32]
"""The last axis of a weight at some place."""


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    most_states: int = 20  # languages with more states are left out
    random: int = 5  # random languages
    mutants: int = 200  # per language
    blocks: int = 10  # of them, how many leave a block out at most, and repeat one
    length: int = 12  # a certified mutant must agree with the DFA on all words up to this length
    words: int = 100_000  # ... as long as they are at most so many (else up to a smaller length)
    # ... or at most so many, for all but one in ``every`` mutants, drawn at random: all words up to length 12
    # over two letters
    few_words: int = 8_191
    every: int = 10  # see ``few_words``
    items: int = 20_000  # events per stage of ``certify``
    seconds: float = 1.0  # per stage of ``certify``
    seed: int = 0  # of the draws


FULL = Size()
QUICK = Size(most_states=2, random=0, mutants=14, blocks=2, words=100, few_words=50)


@dataclass(frozen=True)
class Mutant:
    """A kind, what was done, and the model."""

    kind: str
    change: str
    model: Any


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: its kind, one of ``FATES``, words on which it was run, seconds of ``certify``."""

    kind: str
    fate: str
    words: int
    seconds: float


def languages(size: Size) -> list[tuple[str, Dfa]]:
    """The star-free languages of the suite, three neighbours, and random ones with 5 to 8 states."""
    named = [(language.name, language.build()) for language in SUITE if language.star_free]
    named += [("O_4", o_n(4)), ("D-1", d_n(1)), ("D-5", d_n(5))]
    for i in range(size.random):
        generator, states = STAR_FREE[i % 2], 5 + i % 4
        seed = size.seed + i
        dfa = random_dfa(generator, states, 2 + i % 2, seed)
        named.append((f"{generator}, {states} states, {len(dfa.alphabet)} letters, seed {seed}", dfa))
    return [entry for entry in named if entry[1].n_states <= size.most_states]


def measure(size: Size, tick: Tick) -> Measured:
    named = languages(size)
    rows, failures = [], []
    for number, (name, dfa) in enumerate(named):
        compiled = scancraft.compile(dfa)
        thorough = np.random.default_rng([size.seed, number, 1]).integers(size.every, size=size.mutants) == 0
        for done, mutant in enumerate(mutants(compiled.model(), size, np.random.default_rng([size.seed, number]))):
            tick(number * size.mutants + done, len(named) * size.mutants, f"{name}: {mutant.kind}")
            most = size.words if thorough[done] else size.few_words
            outcome, trouble = judge(mutant, dfa, compiled.readout, size, most)
            rows.append({"language": name, "change": mutant.change, **vars(outcome)})
            if trouble:
                failures.append(f"{name}: {mutant.change}: {outcome.fate}: {trouble}")
    return Measured(summary([_count(row) for row in rows], failures), {"mutants": rows})


def _count(row: Json) -> Json:
    """One mutant as a line of counts."""
    fates = {fate: int(row["fate"] == fate) for fate in FATES}
    times = {"words": row["words"], "seconds": row["seconds"], "slowest": row["seconds"]}
    return {"language": row["language"], "kind": row["kind"], "mutants": 1} | fates | times


def summary(counts: list[Json], failures: list[str]) -> Json:
    """The counts by kind, by language, and of all; ``failures`` describes what is wrong, unconfirmed or undecided."""

    def by(key: str) -> list[Json]:
        names = list(dict.fromkeys(row[key] for row in counts))
        return [{key: name} | _sum([row for row in counts if row[key] == name]) for name in names]

    return {"kinds": by("kind"), "languages": by("language"), "total": _sum(counts), "failures": failures}


def _sum(rows: list[Json]) -> Json:
    total: Json = {key: sum(row[key] for row in rows) for key in ("mutants", *FATES, "words", "seconds")}
    return total | {"slowest": max(row["slowest"] for row in rows)}


# -- judging ---------------------------------------------------------------------------------------------------------

FATES = ("everywhere", "step", "refuted", "invalid", "undecided", "wrong", "unconfirmed")
"""What becomes of a mutant: certified, for every implementation; certified, for the step function only; refuted, with a
word on which the model, run on it in one go, says what the counterexample says, and the acceptor says otherwise; not
run, for a NaN or an infinity in the weights; neither; certified, but a short word says otherwise; refuted, but the word
does not confirm it."""


def judge(mutant: Mutant, dfa: Dfa, readout: Readout, size: Size, most: int) -> tuple[Outcome, str]:
    """What ``certify`` says of a mutant and whether that is so, judged by the acceptor; and what is wrong, if anything.

    Args:
        mutant: the model.
        dfa: the language.
        readout: how they are bound.
        size: budgets.
        most: words to run a certified mutant on.
    """
    started = time.perf_counter()

    def outcome(fate: str, words: int = 0) -> Outcome:
        return Outcome(mutant.kind, fate, words, seconds)

    try:
        verdict = scancraft.certify(mutant.model, dfa, readout=readout, budget=Budget(size.items, size.seconds))
    except (WeightsError, ReadoutError):  # a weight, or a score, that is no number
        seconds = time.perf_counter() - started
        return outcome("invalid"), ""
    seconds = time.perf_counter() - started
    if isinstance(verdict, Certificate):
        depth = exhaustive_depth(len(dfa.alphabet), most, size.length)
        report = compare(mutant.model, dfa, readout, exhaustive_to=depth)
        if not report.agrees:
            return outcome("wrong", report.words), f"{verdict.scope}, but {report.shortest}"
        return outcome("everywhere" if verdict.scope == "every-implementation" else "step", report.words), ""
    if isinstance(verdict, Refuted):
        said, right = one_shot(mutant.model, readout, dfa, verdict.word), allowed(dfa, verdict.word)
        if said == verdict.model != verdict.right == right:
            return outcome("refuted"), ""
        return outcome("unconfirmed"), f"{verdict}, but in one go the model says {sorted(said)}"
    return outcome("undecided"), verdict.reason


def one_shot(model: Any, readout: Readout, dfa: Dfa, word: tuple[str, ...]) -> frozenset[str]:
    """The tokens that the model allows after a word, run on it in one go."""
    with torch.no_grad():
        logits = model(torch.tensor([readout.encode(word)]), use_cache=False).logits[0, -1]
    scores = logits[readout.columns(dfa.alphabet)].tolist()
    return frozenset(n for n, s in zip((*dfa.alphabet, EOS), scores, strict=True) if s > readout.threshold)


def allowed(dfa: Dfa, word: tuple[str, ...]) -> frozenset[str]:
    """The tokens that the language allows after a word, by the acceptor."""
    acceptor = Acceptor.of(dfa)
    codes, lengths = acceptor.encode([word])
    mask = acceptor.next_symbol_mask(acceptor.states(codes, lengths))[0, len(word)]
    return frozenset(n for n, yes in zip((*dfa.alphabet, EOS), mask, strict=True) if yes)


# -- mutants ---------------------------------------------------------------------------------------------------------

GREATEST_SHIFT = 20


def _sign(row: Row, i: int, rng: np.random.Generator) -> str:
    row[i] = -row[i]
    return "sign"


def _zero(row: Row, i: int, rng: np.random.Generator) -> str:
    row[i] = 0
    return "zero"


def _scale(row: Row, i: int, rng: np.random.Generator) -> str:
    shift, sign = int(rng.integers(1, GREATEST_SHIFT + 1)), int(rng.choice([-1, 1]))
    row[i] *= np.float32(1 + sign * 2.0**-shift)
    return f"times 1 {'+' if sign > 0 else '-'} 2^-{shift}"


def _bit(row: Row, i: int, rng: np.random.Generator) -> str:
    bit = int(rng.integers(32))
    row.view(np.uint32)[i] ^= np.uint32(1 << bit)
    return f"bit {bit}"


def _swap(row: Row, i: int, rng: np.random.Generator) -> str:
    j = int(rng.integers(len(row)))
    row[[i, j]] = row[[j, i]]
    return f"swapped with {j}"


WEIGHT_KINDS: dict[str, Callable[[Row, int, np.random.Generator], str]] = {
    "sign flipped": _sign,
    "zeroed": _zero,
    "scaled": _scale,
    "bit flipped": _bit,
    "two swapped": _swap,
}
KINDS = (*WEIGHT_KINDS, "block dropped", "block doubled")


def mutants(model: Any, size: Size, rng: np.random.Generator) -> Iterator[Mutant]:
    """Mutants of a model. Weight mutants share one model, which is mended before the next is drawn."""
    count = 0
    blocks = model.config.num_hidden_layers
    for kind, change in (("block dropped", []), ("block doubled", [0, 0])):
        if kind == "block dropped" and blocks == 1:
            continue
        for block in rng.permutation(blocks)[: size.blocks].tolist():
            order = [*range(block), *(block + c for c in change), *range(block + 1, blocks)]
            yield Mutant(kind, f"{kind}: {block}", with_blocks(model, order))
            count += 1
    state: Weights = model.state_dict()
    # A row is the last axis, except in the tensors of one number per channel: there it is the whole tensor.
    tables = {name: t.numpy().reshape(-1, _row_length(t)) for name, t in state.items()}
    everywhere = [(name, i) for name, table in tables.items() for i in range(table.size)]
    live = [(name, int(i)) for name, table in tables.items() for i in np.flatnonzero(table)]
    seen: set[tuple[str, int, bytes]] = set()
    kinds = list(WEIGHT_KINDS)
    while count < size.mutants:
        kind = kinds[count % len(kinds)]
        place = (live, everywhere)[int(rng.integers(2))]
        name, i = place[int(rng.integers(len(place)))]
        row = tables[name][i // tables[name].shape[1]]
        original = row.copy()
        how = WEIGHT_KINDS[kind](row, i % len(row), rng)
        key = (name, i // len(row), row.tobytes())
        if key not in seen and (row != original).any():
            seen.add(key)
            count += 1
            yield Mutant(kind, f"{name}[{i // len(row)}, {i % len(row)}]: {how}", model)
        row[:] = original


def _row_length(tensor: Tensor) -> int:
    return tensor.numel() if tensor.squeeze().dim() <= 1 else tensor.shape[-1]


def with_blocks(model: Any, order: list[int]) -> Any:
    """The model with these of its blocks, in this order."""
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(order)
    changed = type(model)(config).eval()
    state = model.state_dict()
    prefix = "backbone.layers."
    weights = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    for place, block in enumerate(order):
        start = f"{prefix}{block}."
        weights |= {f"{prefix}{place}.{n[len(start) :]}": t for n, t in state.items() if n.startswith(start)}
    changed.load_state_dict(weights, strict=True)
    return changed


# -- the page --------------------------------------------------------------------------------------------------------


def _is_zero(count: int) -> bool:
    return count == 0


COUNTS = (
    "mutants",
    Column("certified: every", "everywhere"),
    Column("certified: step", "step"),
    "refuted",
    Column("NaN", "invalid"),
    "undecided",
    Column("wrong", target=_is_zero),
    Column("unconfirmed", target=_is_zero),
    Column("s each", lambda row: row["seconds"] / row["mutants"]),
    Column("s at most", "slowest"),
)


def targets(size: Json, result: Json) -> list[Target]:
    total, languages = result["total"], len(result["languages"])
    share = total["undecided"] / total["mutants"]
    told = f"{total['undecided']:,} ({share:.2%})"
    return [
        none(f"wrong certificates, of {total['mutants']:,} mutants of {languages} languages", total["wrong"]),
        none("mutants refuted with a word that does not confirm it", total["unconfirmed"]),
        Target("mutants left undecided", f"at most {UNDECIDED:.0%}", told, share <= UNDECIDED),
    ]


def parts(size: Json, result: Json) -> Json:
    total = result["total"]
    languages = [row | {"language": code(row["language"])} for row in result["languages"]]
    failures = [f"- {code(text.replace('`', chr(39)))}" for text in result["failures"]]
    return {
        "total": total,
        "kinds": table((*result["kinds"], {"kind": "all"} | total), ("kind", *COUNTS)),
        "languages": table((*languages, {"language": "all"} | total), ("language", *COUNTS)),
        "failures": "\n".join(["What is undecided, wrong or unconfirmed:\n", *failures]) if failures else "",
    }
