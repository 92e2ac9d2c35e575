"""The suite: compile every language, certify it, and count how often it is right, at the published lengths and beyond.

Languages that are not star-free are compiled to the weakest architecture that carries them, an OLMo Hybrid; their rows
say with a witness why no Mamba does.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from ..accuracy import Accuracy, accuracy
from ..automata.bounded_dyck import BoundedDyck
from ..automata.decide.aperiodic import NotStarFreeError
from ..automata.languages import Language, truth_of
from ..automata.words.draw import arbitrary, edit_within
from ..automata.words.mixtures import members_of, mixture_of
from ..certify.certify import Certificate, certify
from ..certify.checker.certificate import check_certificate
from ..compiler.compile import compile
from ..compiler.compiled import CompiledModel
from ..compiler.constructions import flip_flop
from ..models.checkpoints.quiet import quiet_transformers
from ..models.olmo_hybrid import OLMO_HYBRID
from ..models.readout import Contract
from .languages import LANGUAGES, Bin, SuiteLanguage
from .published_words import flip_flop_word

Tick = Callable[[int, int, str], None]
"""Called with (languages done, languages in all, what is going on)."""

FAR, FARTHEST = 10_000, 100_000
FEWER = 10
"""Models with a layer of attention read so many times fewer words of length 10,000, and none of length 100,000, since
it compares every two positions of a word, though its weights are zero."""


@dataclass(frozen=True)
class Options:
    """How much to try.

    Args:
        words: per published bin: half members, a quarter one-symbol edits of members, a quarter arbitrary words; all
            members where the contract is "live-prefixes".
        far_words: likewise, at length 10,000.
        farthest: whether to try two words of length 100,000 too: a member and an arbitrary word (for the flip-flop
            language a member and an edit of one, for each share of ignore instructions).
        certificates: whether to certify.
        check: whether to let the separate checker validate each certificate.
        seed: of the words.
        keep: where to leave the checkpoints with their certificates; None for nowhere.
    """

    words: int = 1000
    far_words: int = 100
    farthest: bool = True
    certificates: bool = True
    check: bool = False
    seed: int = 0
    keep: Path | None = None


@dataclass(frozen=True)
class Size:
    """How large a compiled model is.

    Attributes:
        target: the kind of model.
        construction: which.
        blocks: its layers.
        d_model: width of the residual stream.
        parameters: how many numbers.
        memories: different memories; None where the general compiler has none to count.
        state_entries: entries of the SSM state that hold a memory.
        allocated: all entries of the SSM state.
    """

    target: str
    construction: str
    blocks: int
    d_model: int
    parameters: int
    memories: int | None
    state_entries: int
    allocated: int


@dataclass(frozen=True)
class Row:
    """One language of the suite.

    Attributes:
        language: which.
        contract: what is promised.
        size: of the compiled model.
        general: of what the general compiler makes of it, where another construction was used and it applies.
        lower_bound: h log2 K for bounded Dyck languages, else None.
        seconds: to compile it.
        scores: per bin, by label.
        certificate: verdict, scope, method, margin, seconds, and (if asked for) whether the checker accepts it.
        witness: why it is not star-free, else None.
        total: seconds for all of it.
    """

    language: SuiteLanguage
    contract: Contract
    size: Size
    seconds: float
    general: Size | None = None
    lower_bound: float | None = None
    scores: dict[str, Accuracy] = field(default_factory=dict)
    certificate: dict[str, object] | None = None
    witness: NotStarFreeError | None = None
    total: float = 0.0

    @property
    def perfect(self) -> bool:
        """Whether every string of every bin was right, and the certificate (if there is one) holds."""
        certified = self.certificate is None or (
            self.certificate["verdict"] == "certified" and self.certificate.get("checked", True) is True
        )
        return certified and all(s.right_words == s.words for s in self.scores.values())

    def as_json(self) -> dict[str, object]:
        """For machines: strings and positions right in %, by bin."""
        size, general = self.size, self.general
        published = {
            b.label: None if b.published is None else {"least": b.published[0], "greatest": b.published[1]}
            for b in self.language.bins
        }
        return {
            "name": self.language.name,
            "class": self.language.kind,
            "theorem": self.language.theorem,
            "contract": self.contract,
            "target": size.target,
            "construction": size.construction,
            "blocks": size.blocks,
            "d_model": size.d_model,
            "parameters": size.parameters,
            "memories": size.memories,
            "state_entries": size.state_entries,
            "state_entries_allocated": size.allocated,
            "lower_bound_bits": self.lower_bound,
            "general_compiler": None if general is None else vars(general),
            "seconds": round(self.seconds, 4),
            "accuracy": {label: s.strings for label, s in self.scores.items()},
            "accuracy_positions": {label: s.prefixes for label, s in self.scores.items()},
            "words": {label: s.words for label, s in self.scores.items()},
            "positions": {label: s.positions for label, s in self.scores.items()},
            "published": published,
            "published_note": self.language.note,
            "certificate": self.certificate,
            "witness": None if self.witness is None else self.witness.as_json(),
        }


def run_suite(
    options: Options,
    languages: Sequence[SuiteLanguage] = LANGUAGES,
    tick: Tick = lambda *_: None,
    *,
    jobs: int = 1,
) -> list[Row]:
    """Run the suite. Deterministic in everything but the seconds.

    Args:
        options: how much to try.
        languages: which; the rows come in this order.
        tick: told what is going on.
        jobs: how many processes to use; with more than one each runs one thread (and ``__main__`` must be importable).

    Raises:
        CheckpointError: ``options.keep`` cannot be written.
    """
    total = len(languages)
    if jobs <= 1:
        rows = []
        for number, language in enumerate(languages):
            tick(number, total, language.name)
            rows.append(_row(language, options, partial(_told, tick, number, total, language.name)))
        tick(total, total, "done")
        return rows
    # The longest first, so that no process is left alone with it at the end.
    order = sorted(range(total), key=lambda n: -max(b.longest for b in languages[n].bins))
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        with _no_interrupts():  # children inherit it; Ctrl-C is for this process, which then stops them
            waiting = {pool.submit(_row, languages[n], options): n for n in order}
        found: dict[int, Row] = {}
        for done in as_completed(waiting):
            found[waiting[done]] = done.result()
            tick(len(found), total, languages[waiting[done]].name)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [found[n] for n in range(total)]


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C for a moment (where signals can be set: in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _told(tick: Tick, number: int, total: int, name: str, what: str) -> None:
    tick(number, total, f"{name}: {what}")


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    quiet_transformers()


def _silent(_: str) -> None:
    """Nobody listens to a worker."""


def _row(suite: SuiteLanguage, options: Options, note: Callable[[str], None] = _silent) -> Row:
    started = time.perf_counter()
    language, witness = suite.language, None
    general = _size(compile(language, gates="nonnegative")) if suite.name == "Flip-flop" else None
    before = time.perf_counter()
    compiled: CompiledModel
    try:
        compiled = flip_flop() if suite.name == "Flip-flop" else compile(language, gates="nonnegative")
    except NotStarFreeError as found:
        compiled, witness = compile(language), found
    seconds = time.perf_counter() - before
    certificate = _certificate(compiled, suite, options, note) if options.certificates else None
    if options.keep is not None and not options.certificates:
        compiled.save(options.keep / folder_name(suite.name))
    runner, readout, truth = compiled.runner(), compiled.readout, truth_of(language)
    rng = np.random.default_rng(options.seed)
    scores = {}
    if compiled.manifest.target == OLMO_HYBRID:
        options = replace(options, far_words=max(2, options.far_words // FEWER), farthest=False)
    for label, words in _words(suite, language, readout.contract, options, rng):
        note(label)
        scores[label] = accuracy(runner, truth, readout, words)
    return Row(
        suite,
        readout.contract,
        _size(compiled),
        seconds,
        general,
        language.lower_bound if isinstance(language, BoundedDyck) else None,
        scores,
        certificate,
        witness,
        time.perf_counter() - started,
    )


def _size(compiled: CompiledModel) -> Size:
    shape, manifest = compiled.weights.shape, compiled.manifest
    entries = manifest.state_entries
    return Size(
        manifest.target,
        manifest.construction,
        shape.n_layers,
        shape.d_model,
        compiled.weights.n_parameters,
        None if manifest.kind == "cascade" else manifest.memories,
        entries.used,
        entries.allocated,
    )


def _words(
    suite: SuiteLanguage, language: Language, contract: str, options: Options, rng: np.random.Generator
) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The words of each bin."""
    found = [(b.label, _bin_words(b, language, contract, options.words, rng)) for b in suite.bins]
    tested = [b.ignore for b in suite.bins if b.ignore is not None and b.published is not None]
    ignores: list[float | None] = [*tested] or [None]
    lengths = [(FAR, options.far_words), *([(FARTHEST, 2)] if options.farthest else [])]
    for length, count in lengths:
        words: list[tuple[str, ...]] = []
        for ignore in ignores:  # the sparse and the dense distribution of flip-flop, one range of lengths else
            far = Bin(length - 20, length, ignore=ignore)
            words += _bin_words(far, language, contract, max(2, count // len(ignores)), rng)
        found.append((f"{length:,}", words))
    return found


def _bin_words(
    part: Bin, language: Language, contract: str, count: int, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    if part.ignore is not None:
        length = part.longest
        words = [flip_flop_word(rng, part.ignore, length) for _ in range(count - count // 4)]
        edits = [edit_within(word, language.alphabet, length, length, rng) for word in words[count - count // 2 :]]
        words[count - count // 2 :] = [word for word in edits if word is not None]
        return words + [arbitrary(language.alphabet, part.longest, rng) for _ in range(count // 4)]
    sample = members_of if contract == "live-prefixes" else mixture_of
    return sample(language, count, part.shortest, part.longest, rng)


def _certificate(
    compiled: CompiledModel, suite: SuiteLanguage, options: Options, note: Callable[[str], None]
) -> dict[str, object]:
    note("certificate")
    verdict: Any = certify(compiled, suite.language)
    facts: dict[str, object] = {"verdict": verdict.verdict, "seconds": round(verdict.seconds, 3)}
    if isinstance(verdict, Certificate):
        facts |= {"scope": verdict.scope, "method": verdict.content["method"], "margin": verdict.margin}
        facts |= {"limits": verdict.content["limits"]} if "limits" in verdict.content else {}
    if options.keep is None and not options.check:
        return facts
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as scratch:
        place = Path(scratch) / "model" if options.keep is None else options.keep / folder_name(suite.name)
        compiled.save(place)
        if isinstance(verdict, Certificate):
            verdict.save(place)
            if options.check:
                note("checking the certificate")
                facts["checked"] = check_certificate(place).accepted
    return facts


def folder_name(name: str) -> str:
    """A name of the suite as that of a folder.

    >>> folder_name("a^n b^n"), folder_name("{a,b}*d{b,c}*"), folder_name("Dyck_{8,10}")
    ('a^n_b^n', 'a_b_d_b_c', 'Dyck_8_10')
    """
    kept = "".join(c if c.isalnum() or c in "^-_" else " " for c in name.replace("^n ", "^n_"))
    return "_".join(kept.replace("_ ", " ").split())
