"""The mutation score of ``certify``: compiled models with something changed are certified only if they are still right.

Weight mutants change one number (or swap two numbers of a row of a tensor); half of the places are drawn among the
non-zero weights, half among all. A draw that changes no number, like the sign of a zero, and one that was there before
are drawn again. Block mutants leave one block out, or repeat one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from page.table import Column, Json, code, table
from page.targets import Target, none
from timings.measure import Measured, Tick, o_n, star_free_suite
from timings.random_dfas import STAR_FREE, random_dfa
from torch import Tensor

import scancraft
from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n
from scancraft.certify.certify import Certificate, Refuted
from scancraft.certify.check import compare, exhaustive_depth
from scancraft.models.errors import ReadoutError, WeightsError
from scancraft.models.readout import Readout

UNDECIDED = 0.05
"""The target: at most this share."""
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


def languages(size: Size) -> list[tuple[str, Dfa]]:
    """The star-free languages of the suite, three neighbours, and random ones with 5 to 8 states."""
    named = [*star_free_suite(), ("O_4", o_n(4)), ("D-1", d_n(1)), ("D-5", d_n(5))]
    for i in range(size.random):
        generator, states = STAR_FREE[i % 2], 5 + i % 4
        seed = size.seed + i
        dfa = random_dfa(generator, states, 2 + i % 2, seed)
        named.append((f"{generator}, {states} states, {len(dfa.alphabet)} letters, seed {seed}", dfa))
    return [entry for entry in named if entry[1].n_states <= size.most_states]


def measure(size: Size, tick: Tick) -> Measured:
    named = languages(size)
    rows = []
    for number, (name, dfa) in enumerate(named):
        compiled = scancraft.compile(dfa)
        thorough = np.random.default_rng([size.seed, number, 1]).integers(size.every, size=size.mutants) == 0
        for done, mutant in enumerate(mutants(compiled.model(), size, np.random.default_rng([size.seed, number]))):
            tick(number * size.mutants + done, len(named) * size.mutants, f"{name}: {mutant.kind}")
            most = size.words if thorough[done] else size.few_words
            row = {"language": name, "kind": mutant.kind, "change": mutant.change}
            rows.append(row | judge(mutant.model, dfa, compiled.readout, size, most))
    told = ("language", "change", "fate", "trouble")
    failures = [": ".join(row[key] for key in told) for row in rows if row["trouble"]]
    return Measured(summary([_count(row) for row in rows], failures), {"mutants": rows})


def _count(row: Json) -> Json:
    """One mutant as a line of counts."""
    fates = {fate: int(row["fate"] == fate) for fate in FATES}
    return row | fates | {"mutants": 1, "slowest": row["seconds"]}


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


def judge(model: Any, dfa: Dfa, readout: Readout, size: Size, most: int) -> Json:
    """What ``certify`` says of a mutant and whether that is so, judged by the DFA.

    Args:
        model: the mutant.
        dfa: the language.
        readout: how they are bound.
        size: budgets.
        most: words to run a certified mutant on.

    Returns:
        its ``fate``, the ``words`` it was run on, ``trouble`` ("" or what is wrong), ``seconds`` of ``certify``.
    """
    started = time.perf_counter()
    try:
        verdict = scancraft.certify(model, dfa, readout=readout, budget=Budget(size.items, size.seconds))
        seconds = time.perf_counter() - started
    except (WeightsError, ReadoutError):  # a weight, or a score, that is no number
        return {"fate": "invalid", "words": 0, "trouble": "", "seconds": time.perf_counter() - started}
    words, trouble = 0, ""
    if isinstance(verdict, Certificate):
        report = compare(model, dfa, readout, exhaustive_to=exhaustive_depth(len(dfa.alphabet), most, size.length))
        words, fate = report.words, "everywhere" if verdict.scope == "every-implementation" else "step"
        if not report.agrees:
            fate, trouble = "wrong", f"{verdict.scope}, but {report.shortest}"
    elif isinstance(verdict, Refuted):
        end = dfa.run(verdict.word)
        right = dfa.allowed(end)
        said, fate = one_shot(model, readout, dfa, verdict.word), "refuted"
        if not said == verdict.model != verdict.right == right:
            fate, trouble = "unconfirmed", f"{verdict}, but in one go the model says {sorted(said)}"
    else:
        fate, trouble = "undecided", verdict.reason
    return {"fate": fate, "words": words, "trouble": trouble, "seconds": seconds}


def one_shot(model: Any, readout: Readout, dfa: Dfa, word: tuple[str, ...]) -> frozenset[str]:
    """The tokens that the model allows after a word, run on it in one go."""
    with torch.no_grad():
        logits = model(torch.tensor([readout.encode(word)]), use_cache=False).logits[0, -1]
    scores = logits[readout.columns(dfa.alphabet)].tolist()
    return frozenset(n for n, s in zip((*dfa.alphabet, EOS), scores, strict=True) if s > readout.threshold)


# -- mutants ---------------------------------------------------------------------------------------------------------

GREATEST_SHIFT = 20
WEIGHT_KINDS = ("sign flipped", "zeroed", "scaled", "bit flipped", "two swapped")


def change(kind: str, row: Row, i: int, rng: np.random.Generator) -> str:
    """Change the number at place i of a row; says how."""
    match kind:
        case "sign flipped":
            row[i] = -row[i]
            return "sign"
        case "zeroed":
            row[i] = 0
            return "zero"
        case "scaled":
            shift, sign = int(rng.integers(1, GREATEST_SHIFT + 1)), int(rng.choice([-1, 1]))
            row[i] *= np.float32(1 + sign * 2.0**-shift)
            return f"times 1 {'+' if sign > 0 else '-'} 2^-{shift}"
        case "bit flipped":
            bit = int(rng.integers(32))
            row.view(np.uint32)[i] ^= np.uint32(1 << bit)
            return f"bit {bit}"
        case _:
            j = int(rng.integers(len(row)))
            row[[i, j]] = row[[j, i]]
            return f"swapped with {j}"


def mutants(model: Any, size: Size, rng: np.random.Generator) -> Iterator[Mutant]:
    """Mutants of a model. Weight mutants share one model, which is mended before the next is drawn."""
    count = 0
    blocks = model.config.num_hidden_layers
    for kind, instead in (("block dropped", []), ("block doubled", [0, 0])):
        if kind == "block dropped" and blocks == 1:
            continue
        for block in rng.permutation(blocks)[: size.blocks].tolist():
            order = [*range(block), *(block + c for c in instead), *range(block + 1, blocks)]
            yield Mutant(kind, f"{kind}: {block}", with_blocks(model, order))
            count += 1
    state: dict[str, Tensor] = model.state_dict()
    # A row is the last axis, except in the tensors of one number per channel: there it is the whole tensor.
    tables = {name: t.numpy().reshape(-1, _row_length(t)) for name, t in state.items()}
    everywhere = [(name, i) for name, table in tables.items() for i in range(table.size)]
    live = [(name, int(i)) for name, table in tables.items() for i in np.flatnonzero(table)]
    seen: set[tuple[str, int, bytes]] = set()
    while count < size.mutants:
        kind = WEIGHT_KINDS[count % len(WEIGHT_KINDS)]
        place = (live, everywhere)[int(rng.integers(2))]
        name, i = place[int(rng.integers(len(place)))]
        row = tables[name][i // tables[name].shape[1]]
        original = row.copy()
        how = change(kind, row, i % len(row), rng)
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
