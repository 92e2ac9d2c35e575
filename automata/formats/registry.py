"""The formats of files with automata, in one table: how each is recognised, read and written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..moore import Moore
from .att import looks_like_att, read_att, read_symbols, write_att, write_symbols
from .ba import looks_like_ba, read_ba, write_ba
from .dot import looks_like_dot, read_dot, read_dot_machine, write_dot, write_dot_machine
from .formats import from_json, naming, parse_json_text, to_json_dict
from .fsm import looks_like_fsm, read_fsm
from .hoa import looks_like_hoa, read_hoa, write_hoa
from .jflap import looks_like_xml, read_jflap, read_jflap_machine, write_jflap
from .mata import looks_like_mata, read_mata, write_mata
from .nfa import Nfa
from .outputs import has_outputs, moore_from_json, moore_to_json
from .reading import AS_WRITTEN, Options, read_text
from .timbuk import looks_like_timbuk, read_timbuk, write_timbuk

SYMBOLS_SUFFIX = ".syms"
"""Of the symbol table that stands beside an OpenFST file, under the same name."""


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: as options and messages name it.
        title: whose it is.
        suffixes: of files; the first one that fits decides what a file is written as.
        looks: whether a text may be in it, from its beginning.
        read: the automaton of a text.
        write: the text of a DFA; None if it cannot say which words end where they may.
        machine: the machine with outputs that a text has, None if it has an acceptor; None if no text has one.
        write_machine: the text of a machine with outputs; None if it has no place for them.
        beside: the text of the file with the suffix ``SYMBOLS_SUFFIX`` that goes with it, if one does.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    looks: Callable[[str], bool]
    read: Callable[[str, Options], Nfa | Dfa]
    write: Callable[[Dfa], str] | None
    beside: Callable[[Dfa], str] | None = None
    machine: Callable[[str], Moore | None] | None = None
    write_machine: Callable[[Moore], str] | None = None


def _looks_like_json(text: str) -> bool:
    start = text.lstrip()[:1]
    return start == "{" or (start == "[" and not looks_like_ba(text))


def _read_json(text: str, options: Options) -> Dfa:
    return from_json(text)


def _write_json_machine(machine: Moore) -> str:
    return json.dumps(moore_to_json(machine), indent=2, ensure_ascii=False) + "\n"


def _write_json(dfa: Dfa) -> str:
    return json.dumps(to_json_dict(dfa), indent=2, ensure_ascii=False) + "\n"


FORMATS: tuple[Format, ...] = (
    Format(
        "json",
        "scancraft's JSON; lists of targets; PySimpleAutomata",
        (".json",),
        _looks_like_json,
        _read_json,
        _write_json,
        write_machine=_write_json_machine,
    ),
    Format("jflap", "JFLAP", (".jff",), looks_like_xml, read_jflap, write_jflap, machine=read_jflap_machine),
    Format(
        "dot",
        "Graphviz: LearnLib, AALpy, automata-lib, pyformlang",
        (".dot", ".gv"),
        looks_like_dot,
        read_dot,
        write_dot,
        machine=read_dot_machine,
        write_machine=write_dot_machine,
    ),
    Format("hoa", "Hanoi omega-automata, over finite words", (".hoa",), looks_like_hoa, read_hoa, write_hoa),
    Format("mata", "mata and VATA", (".mata", ".vtf"), looks_like_mata, read_mata, write_mata),
    Format(
        "timbuk",
        "Timbuk, with letters of one argument",
        (".tmb", ".timbuk"),
        looks_like_timbuk,
        read_timbuk,
        write_timbuk,
    ),
    Format("ba", "RABIT", (".ba",), looks_like_ba, read_ba, write_ba),
    Format("fsm", "mCRL2", (".fsm",), looks_like_fsm, read_fsm, None),
    Format(
        "att",
        "OpenFST, HFST, foma, MLRegTest",
        (".att", ".fst.txt", ".fst"),
        looks_like_att,
        read_att,
        write_att,
        write_symbols,
    ),
)
"""In the order in which texts are tried."""


def format_named(name: str) -> Format:
    """The format of this name; :class:`LanguageFormatError` if there is none."""
    for known in FORMATS:
        if known.name == name:
            return known
    raise LanguageFormatError(f"there is no format {name!r}; the formats are {', '.join(f.name for f in FORMATS)}")


def format_of_name(path: str | os.PathLike[str]) -> Format | None:
    """The format that a file's name ends like, if any."""
    name = os.fspath(path).lower()
    return next((known for known in FORMATS if name.endswith(known.suffixes)), None)


def detect(text: str, path: str | os.PathLike[str] = "") -> Format:
    """The format of a text: by how it begins, and only if that tells nothing by the name of the file.

    Raises:
        LanguageFormatError: neither tells anything.
    """
    found = next((known for known in FORMATS if known.looks(text)), None) or format_of_name(path)
    if found is None:
        raise LanguageFormatError(
            f"none of the formats {', '.join(f.name for f in FORMATS)} begins like this; insist on one with --format"
        )
    return found


def read_automaton(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    options: Options = AS_WRITTEN,
    budget: Budget = DEFAULT_BUDGET,
) -> Dfa:
    """The language in a file, determinised.

    Args:
        path: the file, UTF-8.
        format: the name of a format to insist on; by default it is recognised by its content.
        options: how to read it. If they name no symbol table, the one beside an OpenFST file is read.
        budget: of the subset construction.

    Raises:
        LanguageFormatError: the file cannot be read, is in no format that is known, or is malformed.
        AlphabetError: a symbol that cannot be used.
        BudgetExceededError: more subsets than the budget allows.
    """
    found = load_description(path, format=format, options=options, budget=budget)
    with naming(path):
        return (found if isinstance(found, Dfa) else from_json(found)).told("file", Path(path).name)


def read_machine(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    options: Options = AS_WRITTEN,
    budget: Budget = DEFAULT_BUDGET,
) -> Dfa | Moore:
    """As :func:`read_automaton`; a machine with outputs is one, unless the options name outputs that accept."""
    found = load_description(path, format=format, options=options, budget=budget, outputs=True)
    with naming(path):
        if isinstance(found, Mapping):
            found = moore_from_json(found) if has_outputs(found) else from_json(found)
        made: Dfa | Moore = found.told("file", Path(path).name)
        return made


def load_description(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    options: Options = AS_WRITTEN,
    budget: Budget = DEFAULT_BUDGET,
    outputs: bool = False,
) -> Any:
    """The DFA in a file, or if it is JSON its value, which may describe a language of another kind.

    Arguments and errors as for :func:`read_automaton`; ``outputs``: whether a machine with outputs may be one.
    """
    text = read_text(path)
    with naming(path):
        known = detect(text, path) if format is None else format_named(format)
        if known.name == "json":
            return parse_json_text(text)
        if known.beside is not None and options.symbols is None:
            options = replace(options, symbols=_symbols_beside(path))
        if outputs and known.machine is not None and options.accepting_outputs is None:
            if (machine := known.machine(text)) is not None:
                return machine
        return known.read(text, options).dfa(budget)


def _symbols_beside(path: str | os.PathLike[str]) -> Mapping[int, str] | None:
    beside = symbols_path(path)
    return load_symbols(beside) if beside.is_file() else None


def symbols_path(path: str | os.PathLike[str]) -> Path:
    """Where the symbol table of an OpenFST file stands."""
    name = os.fspath(path)
    known = format_named("att")
    stem = next((name[: -len(suffix)] for suffix in known.suffixes if name.lower().endswith(suffix)), name)
    return Path(stem + SYMBOLS_SUFFIX)


def load_symbols(path: str | os.PathLike[str]) -> Mapping[int, str]:
    """A symbol table; :class:`LanguageFormatError` if it cannot be read."""
    text = read_text(path)
    with naming(path):
        return read_symbols(text)


def written(dfa: Dfa | Moore, path: str | os.PathLike[str], format: str | None = None) -> dict[Path, str]:
    """The files that hold a DFA, or a machine with outputs: from path to text.

    Args:
        dfa: the language, or the machine.
        path: where the first of them goes; its name says the format.
        format: the name of a format to insist on.

    Raises:
        LanguageFormatError: no such format, one that is only read, or one that cannot hold a symbol.
    """
    known = format_of_name(path) if format is None else format_named(format)
    writers = ", ".join(f"{f.name} ({' '.join(f.suffixes)})" for f in FORMATS if f.write)
    if known is None or known.write is None:
        what = (
            f"{os.fspath(path)}: the name says no format" if known is None else f"the format {known.name} is only read"
        )
        raise LanguageFormatError(f"{what}; written are {writers}")
    if isinstance(dfa, Moore):
        if known.write_machine is None:
            known_ones = ", ".join(f.name for f in FORMATS if f.write_machine)
            raise LanguageFormatError(f"the format {known.name} holds no outputs here; those that do are {known_ones}")
        return {Path(path): known.write_machine(dfa)}
    files = {Path(path): known.write(dfa)}
    return files if known.beside is None else files | {symbols_path(path): known.beside(dfa)}
