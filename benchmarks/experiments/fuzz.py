"""Commands and files at random: no traceback, no hang, nothing half-written, no control characters in what is printed.

    python benchmarks/run.py fuzz --count 200000 --seed 1 --out out/fuzz

Each case is a command with options, over languages in files and checkpoints of which one file was damaged: a value of
its JSON replaced (by other types, by numbers of thousands of digits, by NaN, by lists nested a hundred thousand
deep), text cut off or overwritten, weights truncated or flipped, a folder in the place of a file. Commands run in
this process, with an alarm; an exception that is not an exit, an exit code other than 0 to 3, or an alarm is a
failure and is written down as a line that can be run again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from timings.measure import Tick, progress
from typer.testing import CliRunner

import scancraft
from scancraft.cli.app import app


@dataclass(frozen=True)
class Size:
    """How much is tried.

    Args:
        cases: commands.
        seconds: after which a command counts as hanging; those that search are given a budget of one second.
        memory: the address space that the process may use, in GiB: what is refused only by the allocator shows.
        seed: of the draws.
    """

    cases: int = 20_000
    seconds: int = 10
    memory: int = 16
    seed: int = 0


FULL = Size()
QUICK = Size(cases=60)


@dataclass(frozen=True)
class Result:
    """What became of the cases.

    Attributes:
        exits: from command and exit code to how often.
        tracebacks: cases that ended in an exception.
        hangs: cases that ended in an alarm.
        dirty: cases that printed control characters.
        failures: those cases, as lines of JSON.
    """

    exits: dict[str, int]
    tracebacks: int
    hangs: int
    dirty: int
    failures: tuple[str, ...]


class Hang(BaseException):
    """The alarm; no handler of the command line catches it."""


# -- words and numbers -----------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3.5,
        1e300,
        -0.0,
        "",
        "a",
        "\x1b[31m",
        "a b",
        "\t",
        "\u2028",
        "\ud83d\ude00",
        [],
        {},
    ),
    *([0], {"a": 0}, 10**9, 10**18, -(10**9), "0", "float16", "relu", ["a", "b"], {"": ""}, [[[]]], "x" * 5000),
)
RAW = ("NaN", "Infinity", "-Infinity", "9" * 6000, "1e999", "[" * 100_000, '{"a":' * 20_000, '"\\ud800"', "\x00", "")
"""Text that is put in the place of a value as it is."""
TEXTS = (
    *(
        "a",
        "(ab)*",
        "((((",
        "a**",
        "~",
        "a{2,1}",
        "a{1000000000}",
        "[z-a]",
        "\\",
        "'",
        "a|",
        "~[]",
        "a&b",
        "(a|b)*a(a|b)",
        "\x1b[2J",
    ),
    *(
        "(" * 3000 + ")" * 3000,
        "a" * 5000,
        "",
        " ",
        "\x00",
        "D-12",
        "no.json",
        "..",
        "/",
        "-",
        "--",
        "~" * 2000 + "a",
        "\ud7ff",
    ),
)
SOUND = (
    *(["--regex", "(a(ab)*b)*"], ["--regex", "a*b|~(a&b)", "--alphabet", "a b \x1b]0;x\x07"], ["--dyck", "2,3"]),
    *(["--regex", "(aa)*"], ["--named", "a^n b^n"], ["--named", "Parity"], ["--named", "Tomita-4"]),
)
"""Languages with which a command comes further than to its first message."""
NUMBERS = ("0", "1", "2", "-1", "1000000000", "9" * 5000, "1.5", "x", "", "nan", "1e9", "0x10", "\u0663")
TARGETS = ("mamba", "mamba2", "falcon_mamba", "signed_mamba")
SYMBOLS = ("a", "b", "<eos>", "\x1b]0;x\x07", "", "a,b", "ab", "\n")


def odd_json(text: str, rng: random.Random) -> str:
    """JSON with one value replaced, or text that is none."""
    kind = rng.randrange(6)
    if kind == 0 and text:
        at = rng.randrange(len(text))
        return (
            text[:at]
            + rng.choice(("", '"', "}", "]", "\\", "\x00", "99999999999", text[:50]))
            + text[at + rng.randrange(40) :]
        )
    if kind == 1:
        return text[: rng.randrange(len(text) + 1)]
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text[::-1]
    places = list(_places(data))
    if not places:
        return rng.choice(RAW)
    inner, key = rng.choice(places)
    if kind == 2 and isinstance(inner, dict):
        inner[rng.choice((*SYMBOLS, "extra", "auto_map", "counters"))] = rng.choice(ODD)
        return json.dumps(data)
    if kind == 3 and isinstance(inner, dict):
        del inner[key]
        return json.dumps(data)
    mark = "\u0001mark\u0001"
    if kind == 4:
        inner[key] = mark
        return json.dumps(data).replace(json.dumps(mark), rng.choice(RAW))
    inner[key] = rng.choice(ODD)
    return json.dumps(data)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Every container and key of JSON."""
    found = []
    queue = [data]
    for inner in queue:
        if isinstance(inner, (dict, list)):
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            found += [(inner, key) for key in keys]
            queue += [inner[key] for key in keys]
    return found


# -- files -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Honest:
    """What is damaged: checkpoints with certificates and refutations, and languages in files."""

    checkpoints: tuple[dict[str, bytes], ...]
    languages: tuple[str, ...]


def honest(place: Path) -> Honest:
    """Make them."""
    checkpoints = []
    for language, target in (
        ("(a(ab)*b)*", "mamba"),
        ("a*b", "mamba2"),
        ("a^n b^n", "mamba"),
        ("dyck", "falcon_mamba"),
    ):
        wanted: Any = language
        if language == "dyck":
            wanted = scancraft.BoundedDyck(2, 2)
        elif "^" in language:
            wanted = scancraft.suite_language(language).language
        folder = place / "honest"
        shutil.rmtree(folder, ignore_errors=True)
        scancraft.compile(wanted, folder, target=target)
        certificate = scancraft.certify(folder)
        assert isinstance(certificate, scancraft.Certificate)
        certificate.save(folder)
        if target == "mamba" and language.startswith("("):
            done = CliRunner().invoke(
                app, ["refute", str(folder), "--regex", "b*(ab*ab*)*", "-o", str(folder / "refutation.json")]
            )
            assert done.exit_code == 0, done.output
        checkpoints.append({p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()})
    dfa = {"alphabet": ["a", "b"], "initial": "q0", "accepting": ["q0"], "transitions": {"q0": {"a": "q0", "b": "q1"}}}
    counter = json.loads(checkpoints[2]["scancraft.json"])["language"]
    dyck = {"brackets": [["(", ")"], ["[", "]"]], "depth": 3}
    return Honest(tuple(checkpoints), tuple(json.dumps(x) for x in (dfa, counter, dyck)))


def damaged(made: Honest, folder: Path, rng: random.Random) -> None:
    """A checkpoint of which, as a rule, one file is not as it was."""
    files = dict(rng.choice(made.checkpoints))
    judged = ("certificate.json", "certificate.safetensors", "scancraft.json")
    name = rng.choice(judged if rng.random() < 0.3 else sorted(files))
    content = files[name]
    if rng.random() < 0.15:
        pass  # what is sound must get through
    elif name.endswith(".json"):
        files[name] = odd_json(content.decode(), rng).encode("utf-8", "surrogatepass")
    elif rng.random() < 0.5:
        files[name] = content[: rng.randrange(len(content) + 1)]
    elif content:
        at = rng.randrange(min(len(content), 4000))
        files[name] = content[:at] + bytes(rng.randrange(256) for _ in range(8)) + content[at + 8 :]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for other, kept in files.items():
        (folder / other).write_bytes(kept)
    if rng.random() < 0.05:
        (folder / name).unlink()
        if rng.random() < 0.5:
            (folder / name).mkdir()


# -- commands --------------------------------------------------------------------------------------------------------


def command(made: Honest, place: Path, rng: random.Random) -> list[str]:
    """One command line over a fresh set of files."""
    model, language, out = place / "model", place / "language.json", place / "out"
    damaged(made, model, rng)
    shutil.rmtree(out, ignore_errors=True)
    text = rng.choice(made.languages)
    language.write_text(odd_json(text, rng) if rng.random() < 0.8 else text, encoding="utf-8", errors="surrogatepass")

    def source() -> list[str]:
        if rng.random() < 0.4:
            return list(rng.choice(SOUND))
        return rng.choice(
            (
                ["--language", str(language)],
                ["--regex", rng.choice(TEXTS)],
                ["--named", rng.choice((*TEXTS, "D-2", "Parity"))],
                ["--regex", "(ab)*", "--alphabet", rng.choice(SYMBOLS)],
                ["--dyck", rng.choice(("2,3", "0,1", "x", "1,", *NUMBERS, "3," + rng.choice(NUMBERS)))],
            )
        )

    number, folder = (lambda: rng.choice(NUMBERS)), str(model)
    choices: tuple[Callable[[], list[str]], ...] = (
        lambda: [
            "compile",
            *source(),
            "-o",
            str(out),
            "--seconds",
            "1",
            *rng.choice(([], ["--d-state", number()], ["--d-conv", number()])),
        ],
        lambda: [
            "compile",
            *source(),
            "-o",
            str(out),
            *rng.choice((["--target", rng.choice(TEXTS)], ["--dtype", "float16"], ["--gates", "x"])),
        ],
        lambda: ["compile", *source(), "-o", str(out), "--target", rng.choice(TARGETS), *rng.choice(([], ["--json"]))],
        lambda: ["decide", *source(), "--seconds", "1"],
        lambda: ["check", folder, "--words", "5", "--max-length", rng.choice(("5", number()))],
        lambda: ["check", folder, *source(), "--words", "5", "--max-length", "5"],
        lambda: ["certify", folder, "--seconds", "1"],
        lambda: ["certify", folder, "--check"],
        lambda: ["certify", folder, "--check", "--json"],
        lambda: ["run", folder, rng.choice(TEXTS), "ab"],
        lambda: ["generate", folder, "-n", rng.choice(("2", number())), "--max-length", rng.choice(("5", number()))],
        lambda: [
            "explain",
            folder,
            "--stage",
            rng.choice(("dfa", "rules", "program", "weights", "circuit", "cascade", "language", "x")),
        ],
        lambda: ["explain", folder, "--html", str(place / "page.html")],
        lambda: ["refute", folder, "--regex", "b*(ab*ab*)*", "--seconds", "1"],
        lambda: ["refute", folder, "--check", str(model / "refutation.json")],
        lambda: ["targets", *rng.choice(([], ["--json"], ["x"]))],
        lambda: ["conformance", rng.choice(TEXTS), "--mode", rng.choice(("full", "x"))],
        lambda: ["train", rng.choice(TEXTS), "--budget", rng.choice(("0s", "x", "1h1", "-1s", ""))],
    )
    return rng.choice(choices)()


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def judged(line: list[str], size: Size) -> tuple[str, str]:
    """What became of a command: its fate ("", "traceback", "hang", "dirty"), and its exit code or the exception."""

    def ring(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(size.seconds)
    try:
        done = CliRunner().invoke(app, line)
    except Hang:
        return "hang", f"after {size.seconds} s"
    finally:
        signal.alarm(0)
    if isinstance(done.exception, Hang):
        return "hang", f"after {size.seconds} s"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        where = "".join(traceback.format_exception(done.exception)[-3:])
        return "traceback", where[-600:]
    if done.exit_code not in (0, 1, 2, 3):
        return "traceback", f"exit code {done.exit_code}: {done.output[-600:]}"
    if CONTROL.search(done.output):
        return "dirty", repr(CONTROL.search(done.output))
    return "", str(done.exit_code)


def measure(size: Size, tick: Tick) -> Result:
    rng = random.Random(size.seed)
    exits: Counter[str] = Counter()
    fates: Counter[str] = Counter()
    failures = []
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size.memory << 30, before[1]))
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            made = honest(place)
            for number in range(size.cases):
                line = command(made, place, rng)
                tick(number, size.cases, line[0])
                os.chdir(place)
                fate, what = judged(line, size)
                exits[f"{line[0]} {what if not fate else fate}"] += 1
                if fate:
                    fates[fate] += 1
                    failures.append(
                        json.dumps({"fate": fate, "what": what, "case": number, "line": [x[:200] for x in line]})
                    )
            os.chdir("/")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    return Result(dict(sorted(exits.items())), fates["traceback"], fates["hang"], fates["dirty"], tuple(failures))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=FULL.cases)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder for what is found")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)

    with progress("fuzz") as tick:
        result = measure(replace(FULL, cases=options.count, seed=options.seed), tick)
    (out / "failures.jsonl").write_text("".join(f"{line}\n" for line in result.failures), encoding="utf-8")
    print(json.dumps({k: v for k, v in asdict(result).items() if k != "failures"}, indent=1))
    return 1 if result.failures else 0
