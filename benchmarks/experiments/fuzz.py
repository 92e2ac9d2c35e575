"""Commands, parsers and files at random: no traceback, no hang, nothing half-written, no control characters printed.

    python benchmarks/run.py fuzz --count 200000 --seed 1 --out out/fuzz

Each case is a damaged input (``fuzz_inputs``): a value of its JSON replaced (by other types, by numbers of thousands of
digits, by NaN, by lists nested a hundred thousand deep), text cut off or overwritten, weights truncated or flipped, a
folder in the place of a file. Most cases go straight to what reads such input, the rest are whole command lines, in
this process. An exception that is none of ours, an exit code other than 0 to 3, or too much time is a failure. Every
case has a number from which it is drawn, so that it can be run again alone (``--case``); ``--out`` holds the state,
from which an interrupted run goes on, and the failures.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import typer.main
from click.testing import CliRunner
from experiments.fuzz_inputs import (
    DIALECTS,
    Honest,
    any_text,
    command,
    damaged,
    damaged_file,
    honest,
    odd_dialect,
    odd_file,
    odd_formula,
    odd_json,
)
from page.table import Column, Json, table
from page.targets import Target, none
from run import write_section
from timings.measure import Measured, Tick, progress

from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import ScancraftError
from scancraft.automata.formats.reading import AS_WRITTEN, Options
from scancraft.automata.formats.registry import FORMATS, detect, format_named, read_automaton
from scancraft.automata.languages import as_language
from scancraft.automata.logic.ltl import ltl
from scancraft.automata.logic.past import PastLtl
from scancraft.automata.regex.regex import parse_regex
from scancraft.certify.checker.certificate import check_certificate
from scancraft.cli.app import app
from scancraft.compiler.checkpoints import load
from scancraft.compiler.manifest import Manifest
from scancraft.compiler.past import past_formula
from scancraft.models.checkpoints.closed import check_directory
from scancraft.models.checkpoints.files import parse_json

WANTED = 200_000
COMMANDS = typer.main.get_command(app)
"""Built once: typer's own runner builds it again for each command line."""


@dataclass(frozen=True)
class Size:
    """How much is tried.

    Args:
        cases: inputs.
        commands: of a hundred cases those that are command lines.
        seconds: of processor time, after which a case counts as hanging; those that search have a budget of a second.
        memory: the address space that the process may use, in GiB: what is refused only by the allocator shows.
        seed: of the draws.
        parsers: whether only what reads expressions and languages is tried, without command lines.
    """

    cases: int = WANTED
    commands: int = 30
    seconds: int = 6
    memory: int = 16
    seed: int = 0
    parsers: bool = False


FULL = Size()
QUICK = Size(cases=120)


@dataclass
class Found:
    """What became of the cases so far.

    Attributes:
        cases: how many.
        ends: from what was called and how it ended to how often.
        fates: how many ended in an exception ("traceback"), were stopped ("hang") or printed control characters
            ("dirty").
        failures: those cases, as lines of JSON.
        seconds: wall-clock time.
    """

    cases: int
    ends: dict[str, int]
    fates: dict[str, int]
    failures: list[str]
    seconds: float = 0.0


class Hang(BaseException):
    """The alarm; no handler of the command line catches it."""


# -- cases -----------------------------------------------------------------------------------------------------------


KINDS = ("regex", "dialect", "formula", "language", "automaton", "file", "manifest", "directory", "load", "certificate")
PARSERS = (
    "regex",
    "dialect",
    "dialect",
    "formula",
    "formula",
    "language",
    "automaton",
    "automaton",
    "automaton",
    "file",
)
LIMITS = Budget(2_000, 1.0)


def parse(made: Honest, place: Path, rng: random.Random, kinds: Sequence[str]) -> tuple[str, Callable[[], object]]:
    """Something that reads input, and the call."""
    kind = rng.choice(kinds)
    if kind == "dialect":
        text, dialect = odd_dialect(rng), rng.choice(DIALECTS)
        symbols = rng.choice((None, ["a", "b"], list(map(chr, range(256)))))
        return kind, lambda: parse_regex(text, symbols, LIMITS, dialect)
    if kind == "formula":
        text, at = odd_formula(rng), rng.choice((None, None, "first", "last", "x"))
        letters = rng.choice((None, None, ["a", "b", "c"], ["a"]))
        names = rng.choice((None, [], ["a", "b", "c"], [""])) if letters is None else None
        made_of = rng.randrange(4) == 0
        return kind, lambda: _formula(ltl(text, letters, LIMITS, propositions=names, at=at), compiled=made_of)
    if kind == "automaton":
        text, name = odd_file(rng)
        insisted = rng.choice((None, name, rng.choice(FORMATS).name))
        options = rng.choice(
            (AS_WRITTEN, Options(accepting_outputs=frozenset({"1"})), Options(symbols={0: "e", 1: "a"}))
        )
        return kind, lambda: (format_named(insisted) if insisted else detect(text)).read(text, options).dfa(LIMITS)
    if kind == "file":
        path = damaged_file(place, rng)
        return kind, lambda: read_automaton(path, budget=LIMITS)
    if kind == "regex":
        text = any_text(rng)
        alphabet = rng.choice((None, None, ["a", "b"], ["ab", "a"], [""], ["a", "a"]))
        return kind, lambda: parse_regex(text, alphabet, LIMITS)
    if kind == "language":
        text = odd_json(rng.choice(made.languages), rng)
        return kind, lambda: as_language(_or_text(text))
    if kind == "manifest":
        text = odd_json(rng.choice(made.checkpoints)["scancraft.json"].decode(), rng)
        return kind, lambda: Manifest.from_json(_or_text(text))
    model = place / "model"
    damaged(made, model, rng)
    if kind == "directory":
        return kind, lambda: check_directory(model)
    if kind == "load":
        return kind, lambda: load(model)
    return kind, lambda: str(check_certificate(model))


def _formula(language: Dfa | PastLtl, *, compiled: bool) -> object:
    """A formula, and if it is asked for the model that is compiled from it without an automaton."""
    return past_formula(language, budget=LIMITS) if compiled and isinstance(language, PastLtl) else language


def _or_text(text: str) -> Any:
    """JSON as the product reads it, or else the text itself."""
    try:
        return parse_json(text)
    except ValueError:
        return text


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Raise :class:`Hang` after so much processor time, or twenty times as long by the clock."""

    def ring(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 20 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def parsed(call: Callable[[], object], size: Size) -> tuple[str, str]:
    """What became of a call: its fate ("", "traceback", "hang"), and how it ended."""
    try:
        with alarm(size.seconds):
            call()
    except Hang:
        return "hang", f"after {size.seconds} s"
    except ScancraftError as error:
        return ("", "refused") if str(error) else ("traceback", f"{type(error).__name__} without a message")
    except BaseException as error:
        return "traceback", "".join(traceback.format_exception(error)[-3:])[-600:]
    return "", "read"


def judged(line: list[str], size: Size) -> tuple[str, str]:
    """The same of a command, which must print no control characters ("dirty"); how it ended is its exit code."""
    try:
        with alarm(size.seconds):
            done = CliRunner().invoke(COMMANDS, line)
    except Hang:
        return "hang", f"after {size.seconds} s"
    if isinstance(done.exception, Hang):
        return "hang", f"after {size.seconds} s"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return "traceback", "".join(traceback.format_exception(done.exception)[-3:])[-600:]
    if done.exit_code not in (0, 1, 2, 3):
        return "traceback", f"exit code {done.exit_code}: {done.output[-600:]}"
    if CONTROL.search(done.output):
        return "dirty", repr(CONTROL.search(done.output))
    return "", str(done.exit_code)


def case(number: int, made: Honest, place: Path, size: Size) -> tuple[str, str, str, list[str]]:
    """Draw and run one case: what was called, its fate, how it ended, and the command line."""
    rng = random.Random(f"{size.seed} {number}")
    if not size.parsers and rng.randrange(100) < size.commands:
        line = command(made, place, rng)
        os.chdir(place)
        return line[0], *judged(line, size), line
    kind, call = parse(made, place, rng, PARSERS if size.parsers else KINDS)
    return f"({kind})", *parsed(call, size), []


def fuzzed(size: Size, state: Path | None, tick: Tick) -> Found:
    """All cases, from the state in a folder on."""
    found = read_state(state)
    before, home = resource.getrlimit(resource.RLIMIT_AS), Path.cwd()
    resource.setrlimit(resource.RLIMIT_AS, (size.memory << 30, before[1]))
    started = time.perf_counter()
    earlier = found.seconds
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            made = honest(place)
            while found.cases < size.cases:
                what, fate, end, line = case(found.cases, made, place, size)
                tick(found.cases, size.cases, what)
                ending = f"{what} {fate or end}"
                found.ends[ending] = found.ends.get(ending, 0) + 1
                if fate:
                    found.fates[fate] = found.fates.get(fate, 0) + 1
                    told = {
                        "fate": fate,
                        "how": end,
                        "what": what,
                        "case": found.cases,
                        "line": [x[:200] for x in line],
                    }
                    found.failures.append(json.dumps(told))
                found.cases += 1
                found.seconds = earlier + time.perf_counter() - started
                if found.cases % 500 == 0:
                    write_state(state, found)
            os.chdir(home)
    finally:
        os.chdir(home)
        resource.setrlimit(resource.RLIMIT_AS, before)
    write_state(state, found)
    return found


def read_state(folder: Path | None) -> Found:
    """What an earlier run left, or nothing."""
    if folder is None or not (folder / "state.json").is_file():
        return Found(0, {}, {}, [])
    return Found(**json.loads((folder / "state.json").read_text(encoding="utf-8")))


def write_state(folder: Path | None, found: Found) -> None:
    """So that another run can go on."""
    if folder is not None:
        (folder / "state.json.part").write_text(json.dumps(asdict(found)), encoding="utf-8")
        (folder / "state.json.part").replace(folder / "state.json")


def measure(size: Size, tick: Tick) -> Measured:
    found = fuzzed(size, None, tick)
    return Measured(summary(found), {"failures": found.failures})


def summary(found: Found) -> Json:
    """For docs/benchmarks.json: what was called, and how it ended."""
    rows: dict[str, Json] = {}
    for name, times in sorted(found.ends.items()):
        what, _, end = name.rpartition(" ")
        row = rows.setdefault(
            what, {"called": what.strip("()"), "parser": what.startswith("("), "cases": 0, "ends": {}}
        )
        row["cases"] += times
        row["ends"][end] = times
    fates = {fate: found.fates.get(fate, 0) for fate in ("traceback", "hang", "dirty")}
    failures = [json.loads(line) for line in found.failures]
    failed = [{"case": f["case"], "what": f["what"], "how": _error(f["how"])} for f in failures]
    return {
        "cases": found.cases,
        "seconds": found.seconds,
        "fates": fates,
        "failures": failed,
        "rows": list(rows.values()),
    }


def _error(text: str) -> str:
    """The line of a traceback that names the exception, or else the last one."""
    lines = [line.strip() for line in text.splitlines()] or [""]
    named = [line for line in lines if re.match(r"[A-Za-z.]*(Error|Exception)\b", line)]
    return (named or lines)[-1][:200]


# -- the page --------------------------------------------------------------------------------------------------------


def _ended(row: Json, *names: str) -> int:
    return sum(row["ends"].get(name, 0) for name in names)


COLUMNS = (
    Column("what was called", lambda row: row["called"] if row["parser"] else f"`scancraft {row['called']}`"),
    "cases",
    Column("done", lambda row: _ended(row, "0", "read")),
    Column("exit code 1", lambda row: _ended(row, "1")),
    Column("refused", lambda row: _ended(row, "2", "refused")),
    Column("undecided", lambda row: _ended(row, "3")),
    Column("failed", lambda row: _ended(row, "traceback", "hang", "dirty"), target=lambda count: count == 0),
)


def targets(size: Json, result: Json) -> list[Target]:
    fates, cases = result["fates"], result["cases"]
    return [
        Target("hostile inputs to commands and parsers", f"{WANTED:,}", f"{cases:,}", cases >= WANTED),
        none(f"tracebacks among {cases:,} hostile inputs", fates["traceback"] + fates["dirty"]),
        none(f"hangs among {cases:,} hostile inputs", fates["hang"]),
    ]


def parts(size: Json, result: Json) -> Json:
    failed = [f"- case {f['case']}, {f['what']}: `{f['how'].replace('`', chr(39))}`" for f in result["failures"]]
    return {
        "rows": table(result["rows"], COLUMNS),
        "each": f"{1000 * result['seconds'] / result['cases']:.1f}",
        "failures": "\n".join(["What failed, and was mended after the run:\n", *failed]) if failed else "",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=FULL.cases)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parsers", action="store_true", help="only what reads expressions and languages")
    parser.add_argument("--case", type=int, help="run this case alone, and say what became of it")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder for the state and what is found")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="put the counts into benchmarks.json there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = replace(FULL, cases=options.count, seed=options.seed, parsers=options.parsers)
    if options.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(*case(options.case, honest(Path(folder)), Path(folder), size), sep="\n")
        return 0
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with progress("fuzz") as tick:
        found = fuzzed(size, out, tick)
    (out / "failures.jsonl").write_text("".join(f"{line}\n" for line in found.failures), encoding="utf-8")
    if options.write is not None:
        write_section(
            options.write, "fuzz", f"fuzz --count {options.count} --seed {options.seed}", size, summary(found)
        )
    print(json.dumps(summary(found), indent=1))
    return 1 if found.failures else 0
