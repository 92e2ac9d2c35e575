"""Hostile input: odd texts, JSON and files, and command lines over them."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacks import read
from typer.testing import CliRunner
from written_files import CASES, HEAVY, mutated

import scancraft
from scancraft.automata.languages import language_to_json
from scancraft.cli.app import app

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
GRAMMAR = (*"ab()|*+?{},[]~&\\'\" -^.01", *("<eos>", "\x1b", "\u00e9", "\x00", "{3}", "{,9}", "()", "(ab)*"))
"""What expressions are made of."""
NUMBERS = ("0", "1", "2", "-1", "1000000000", "9" * 5000, "1.5", "x", "", "nan", "1e9", "0x10", "\u0663")
TARGETS = ("mamba", "mamba2", "falcon_mamba", "signed_mamba")
SYMBOLS = ("a", "b", "<eos>", "\x1b]0;x\x07", "", "a,b", "ab", "\n")


def any_text(rng: random.Random) -> str:
    """A text of the table, pieces of the syntax in a row, or an expression, as a rule with a piece too many."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice(TEXTS)
    if kind == 1:
        return "".join(rng.choice(GRAMMAR) for _ in range(rng.randrange(1, 25)))
    text = _expression(rng, 4)
    if kind == 2:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(GRAMMAR) + text[at + rng.randrange(2) :]
    return text


def _expression(rng: random.Random, depth: int) -> str:
    kind = rng.randrange(8) if depth else 0
    if kind < 2:
        return rng.choice(("a", "b", "ab", ".", "[ab]", "[^a]", "()", "'x y'", "\\*", "\\d", "c"))
    inner = _expression(rng, depth - 1)
    if kind < 4:
        return f"({inner}){rng.choice(('*', '+', '?', '{2}', '{0,3}', '{1,}'))}"
    if kind == 4:
        return f"~({inner})"
    return f"({inner}{rng.choice(('|', '&', ''))}{_expression(rng, depth - 1)})"


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


PYTHON = (
    *(
        "a",
        "b",
        "(",
        ")",
        "(?:",
        "(?P<x>",
        "*",
        "+",
        "?",
        "{2}",
        "{1,",
        "{1000000000}",
        "{,3}",
        "}",
        "[",
        "]",
        "^",
        "-",
        "|",
    ),
    *(
        "\\",
        "\\d",
        "\\1",
        "$",
        ".",
        "(?",
        "(?i)",
        "(?s)",
        "(?#",
        "(?=",
        "\\x6",
        "\\Q",
        "\\N{DASH}",
        "[^",
        "\\012",
        "epsilon",
        " ",
    ),
    *("(" * 3_000, "a" * 3_000, "\ud800", "\x00", "\u00e9", "{" + "9" * 5_000 + "}", "(a{999}){999}", "|" * 500),
)
"""What expressions of other dialects are made of."""
DIALECTS = ("python", "python", "greenery", "pyformlang", "perl")


def odd_dialect(rng: random.Random) -> str:
    """Pieces in a row, or an expression of ours with one too many."""
    if rng.randrange(3) == 0:
        return any_text(rng)
    return "".join(rng.choice(PYTHON) for _ in range(rng.randrange(1, 20)))


LOGIC = (
    *(
        "a",
        "b",
        "c",
        "(",
        ")",
        "!",
        "~",
        "&",
        "&&",
        "|",
        "->",
        "<->",
        "^",
        "=>",
        "<=>",
        "true",
        "false",
        "first",
        "last",
    ),
    *(
        "X",
        "N",
        "F",
        "G",
        "Y",
        "Z",
        "O",
        "H",
        "U",
        "R",
        "W",
        "M",
        "S",
        "T",
        "X[!]",
        "WX",
        "<>",
        "[]",
        "GF",
        "since",
        "once",
    ),
    *("'a'", "'", '"', "'\\n'", "''", "\\", "\ud800", "\x00", "\u00e9", "{p}", "1", "<bos>", "aUb"),
)
"""What formulas are made of."""
LONG = ("!" * 3_000 + "a", "(" * 3_000, "a & " * 3_000 + "b", "a U " * 150 + "b", "X " * 199 + "a", "G F " * 60 + "a")
UNARY, BINARY = "!XNFGYZOH", ("&", "|", "->", "<->", "U", "R", "W", "M", "S", "T")


def odd_formula(rng: random.Random) -> str:
    """Pieces in a row, or a formula, as a rule with a piece too many."""
    kind = rng.randrange(12)
    if kind == 0:
        return rng.choice((*LONG, *TEXTS))
    if kind < 5:
        return " ".join(rng.choice(LOGIC) for _ in range(rng.randrange(1, 15)))
    text = _formula(rng, rng.randrange(1, 7))
    if kind < 8:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(LOGIC) + text[at + rng.randrange(2) :]
    return text


def _formula(rng: random.Random, depth: int) -> str:
    if not depth or rng.randrange(8) == 0:
        return rng.choice(("a", "b", "c", "true", "first", "last"))
    if rng.randrange(2):
        return f"{rng.choice(UNARY)}({_formula(rng, depth - 1)})"
    return f"({_formula(rng, depth - 1)}) {rng.choice(BINARY)} ({_formula(rng, depth - 1)})"


def odd_file(rng: random.Random) -> tuple[str, str]:
    """An automaton as another tool writes it, damaged as a rule, and the format of what it was."""
    case = rng.choice(CASES)
    if rng.randrange(40) == 0:
        return rng.choice(HEAVY), case.format
    text = mutated(case.text, rng)
    return (odd_json(text, rng) if case.format == "json" else text), case.format


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
        checkpoints.append(read(folder))
    dfa = {"alphabet": ["a", "b"], "initial": "q0", "accepting": ["q0"], "transitions": {"q0": {"a": "q0", "b": "q1"}}}
    counter = json.loads(checkpoints[2]["scancraft.json"])["language"]
    dyck = {"brackets": [["(", ")"], ["[", "]"]], "depth": 3}
    past = language_to_json(scancraft.ltl("H(c -> O(a & Y b)) | !(a S b)"))
    nested, moore = (language_to_json(scancraft.named(name)) for name in ("JSON-3", "depth to 3"))
    return Honest(tuple(checkpoints), tuple(json.dumps(x) for x in (dfa, counter, dyck, past, nested, moore)))


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


SUFFIXES = ("json", "jff", "dot", "hoa", "mata", "tmb", "ba", "fsm", "att", "x", "jflap")


def damaged_file(place: Path, rng: random.Random) -> Path:
    """A file of another tool, damaged."""
    path = place / f"automaton.{rng.choice(SUFFIXES)}"
    content = odd_file(rng)[0].encode("utf-8", "surrogatepass")
    if rng.randrange(10) == 0:
        at = rng.randrange(len(content) + 1)
        content = content[:at] + bytes(rng.randrange(256) for _ in range(4)) + content[at:]
    path.write_bytes(content)
    return path


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
                ["--regex", any_text(rng)],
                [
                    "--ltl",
                    odd_formula(rng),
                    *rng.choice(([], ["--propositions", rng.choice(("formula", "a,b", ",", ""))])),
                ],
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
            "--seconds",
            "1",
            *rng.choice((["--target", rng.choice(TEXTS)], ["--dtype", "float16"], ["--gates", "x"])),
        ],
        lambda: [
            *("compile", *source(), "-o", str(out), "--seconds", "1", "--target", rng.choice(TARGETS)),
            *rng.choice(([], ["--json"])),
        ],
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
        lambda: [
            *(
                "convert",
                str(damaged_file(place, rng)),
                str(place / f"converted.{rng.choice(SUFFIXES)}"),
                "--seconds",
                "1",
            ),
            *rng.choice(([], ["--force"], ["--json"], ["--from", rng.choice(SUFFIXES)], ["--accepting-output", "1"])),
        ],
        lambda: ["targets", *rng.choice(([], ["--json"], ["x"]))],
        lambda: ["conformance", rng.choice(TEXTS), "--mode", rng.choice(("full", "x"))],
        lambda: ["train", rng.choice(TEXTS), "--budget", rng.choice(("0s", "x", "1h1", "-1s", ""))],
    )
    return rng.choice(choices)()
