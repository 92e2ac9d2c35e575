"""Machines with outputs as Python values and in JSON: Moore machines, and Mealy machines, whose states are split."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import LanguageFormatError
from ..moore import Moore
from ..search import numbered
from .tables import delta_of, kind, need_hashable, numbered_table, sorted_symbols, state_name, unique_names

MOORE = {"alphabet", "initial", "transitions", "outputs"}
MEALY = {"alphabet", "initial", "transitions", "start"}
"""The keys of the two JSON formats; ``classes``, and in the first ``accepting``, may come with them."""


def moore(
    transitions: Mapping[Any, Any],
    initial: Hashable,
    outputs: Mapping[Any, Any] | Callable[[Any], Any],
    *,
    accepting: Iterable[Hashable] | None = None,
    alphabet: Sequence[str] | None = None,
    classes: Sequence[Hashable] = (),
) -> Moore:
    """A Moore machine: a class after every word.

    Args:
        transitions: ``{state: {symbol: state}}`` or ``{(state, symbol): state}``, complete; states are any hashable
            values and are named by ``str``.
        initial: the initial state.
        outputs: the class of each state, as a mapping or a function; classes are named by ``str``.
        accepting: the states in which a word may end, if the machine is also to say what may come next.
        alphabet: the symbols in order; by default those that occur, sorted.
        classes: all classes in order, those included that no word has; by default those that occur.

    Raises:
        LanguageFormatError: a table of another form, a missing transition, a state without a class, two classes of one
            name, or fewer than two.
        AlphabetError: a symbol or a class that cannot be used.

    >>> cycle = {q: {"left": (q - 1) % 5, "right": (q + 1) % 5} for q in range(5)}
    >>> moore(cycle, 0, str).output(["left", "left", "right"])
    '4'
    """
    delta = delta_of(transitions)
    if alphabet is None:
        alphabet = sorted_symbols(symbol for row in delta.values() for symbol in row)
    if isinstance(accepting, str) or not (accepting is None or isinstance(accepting, Iterable)):
        raise LanguageFormatError(f"the accepting states are {kind(accepting)}; give a list or set of states")
    goals = None if accepting is None else list(accepting)
    found = numbered_table(delta, initial, [(q, "an accepting state") for q in goals or ()], alphabet)
    table: list[list[int]] = []
    for name, row in zip(found.names, found.rows, strict=True):
        table.append([target for target in row if target is not None])
        if len(table[-1]) < len(row):
            symbol = found.alphabet[row.index(None)]
            raise LanguageFormatError(
                f"state {name!r} has no transition on {symbol!r}; a machine with outputs has a class after every word, "
                "so give it one, if need be to a state for words that are wrong"
            )
    given = [_output(outputs, q) for q in found.number]
    named = _named([*classes, *given])
    return Moore.from_table(
        found.alphabet,
        table,
        [named[value] for value in given],
        found.number[initial],
        None if goals is None else [found.number[q] for q in goals],
        found.names,
        [named[value] for value in classes],
    )


def mealy(
    transitions: Mapping[Any, Any],
    initial: Hashable,
    *,
    start: Hashable = None,
    alphabet: Sequence[str] | None = None,
    classes: Sequence[Hashable] = (),
) -> Moore:
    """A Mealy machine, whose transitions have the outputs, as a Moore machine: a state for each way to enter one.

    Args:
        transitions: ``{state: {symbol: (state, output)}}`` or ``{(state, symbol): (state, output)}``, complete.
        initial: the initial state.
        start: the class of the empty word, which no transition has led to; by default ``start``, with primes where that
            is an output.
        alphabet: as for :func:`moore`, like ``classes`` and the errors.

    >>> mealy({"q": {"a": ("q", "was a"), "b": ("q", "was b")}}, "q", start="nothing").trace("ab")
    ('nothing', 'was a', 'was b')
    """
    delta = delta_of(transitions)
    for source, row in delta.items():
        for symbol, step in row.items():
            if not isinstance(step, tuple) or len(step) != 2:
                raise LanguageFormatError(f"state {source!r} on {symbol!r} has {step!r}; give (state, output)")
            need_hashable(step, f"the step of state {source!r} on {symbol!r}")
    if start is None:
        given: list[Any] = [step for row in delta.values() for step in row.values()]
        *_, start = unique_names([*{state_name(output) for _, output in given}, "start"])
    begin: tuple[Hashable, Hashable] = (initial, start)

    def steps(pair: tuple[Hashable, Hashable]) -> list[Any]:
        return list(delta.get(pair[0], {}).values())

    entered, _ = numbered(begin, steps)
    split = {pair: dict(delta.get(pair[0], {})) for pair in entered}
    if alphabet is None:
        alphabet = sorted_symbols(symbol for row in delta.values() for symbol in row)
    return moore(split, begin, {pair: pair[1] for pair in entered}, alphabet=alphabet, classes=classes)


def moore_of_moves(
    initial: Sequence[str], moves: Iterable[tuple[str, str | None, Any]], outputs: Mapping[str, str]
) -> Moore:
    """A Moore machine as files have it: where words begin, moves (source, symbol, target), and the class of each state.

    Raises:
        LanguageFormatError: two initial states, two moves of one state on one symbol, one that reads nothing, or none
            on some symbol.
    """
    return moore(_rows(initial, moves), initial[0], outputs)


def mealy_of_moves(initial: Sequence[str], moves: Iterable[tuple[str, str | None, str, str]]) -> Moore:
    """The same of a Mealy machine, whose moves are (source, symbol, output, target)."""
    steps = [(source, symbol, (target, output)) for source, symbol, output, target in moves]
    return mealy(_rows(initial, steps), initial[0])


def _rows(initial: Sequence[str], moves: Iterable[tuple[str, str | None, Any]]) -> dict[str, dict[str, Any]]:
    if len(initial) > 1:
        raise LanguageFormatError(f"two initial states, {initial[0]!r} and {initial[1]!r}; mark one")
    rows: dict[str, dict[str, Any]] = {}
    for source, symbol, step in moves:
        if not symbol or rows.setdefault(source, {}).setdefault(symbol, step) != step:
            what = f"two moves on {symbol!r}" if symbol else "a move that reads nothing"
            raise LanguageFormatError(f"the machine is nondeterministic: state {source!r} has {what}")
    return rows


def _output(outputs: Mapping[Any, Any] | Callable[[Any], Any], state: Hashable) -> Hashable:
    if not isinstance(outputs, Mapping) and not callable(outputs):
        raise LanguageFormatError(f"the outputs are {kind(outputs)}; give a dict {{state: class}}, or a function")
    value: Hashable
    try:
        value = outputs[state] if isinstance(outputs, Mapping) else outputs(state)
        hash(value)
    except KeyError:
        raise LanguageFormatError(f"state {state!r} has no class; give the outputs one") from None
    except TypeError as error:
        raise LanguageFormatError(f"the class of state {state!r}: {error}") from None
    return value


def _named(values: Iterable[Hashable]) -> dict[Hashable, str]:
    """A name for each class; two of one name are an error."""
    found = {value: state_name(value) for value in values}
    names = list(found.values())
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise LanguageFormatError(f"two different classes are called {twice!r}; rename one of both")
    return found


# -- JSON ------------------------------------------------------------------------------------------------------------


def moore_to_json(machine: Moore) -> dict[str, Any]:
    """The JSON format, see :func:`moore_from_json`: every state with all its transitions."""
    names = unique_names(machine.names)
    rows = {
        names[q]: {symbol: names[target] for symbol, target in zip(machine.alphabet, row, strict=True)}
        for q, row in enumerate(machine.table)
    }
    found: dict[str, Any] = {
        "alphabet": list(machine.alphabet),
        "initial": names[0],
        "classes": list(machine.classes),
        "outputs": dict(zip(names, machine.outputs, strict=True)),
    }
    if machine.predicts:
        found["accepting"] = [names[q] for q in sorted(machine.accepting)]
    return found | {"transitions": rows}


def has_outputs(data: Mapping[str, Any]) -> bool:
    """Whether a JSON value is meant for :func:`moore_from_json`."""
    return "outputs" in data or "start" in data


def moore_from_json(data: Any) -> Moore:
    """Read one of the two JSON formats.

    ``{"alphabet": ["0", "1"], "initial": "e", "transitions": {"e": {"0": "e", "1": "o"}, "o": {...}}, "outputs": {"e":
    "even", "o": "odd"}}`` is a Moore machine; with ``"accepting": ["e"]`` it also says what may come next. Of a Mealy
    machine transitions are ``{"to": "e", "output": "even"}``, and ``"start"`` is the class of the empty word in the
    place of ``"outputs"``. ``"classes"`` lists all classes in order, if some do not occur.

    Raises:
        LanguageFormatError: a missing or unknown key, or a value of another kind; or see :func:`moore`.
        AlphabetError: as there.
    """
    if not isinstance(data, Mapping):
        raise LanguageFormatError(f"a machine with outputs is an object in JSON, not {kind(data)}")
    needed, more = (MEALY, {"classes"}) if "start" in data else (MOORE, {"classes", "accepting"})
    if missing := sorted(needed - set(data)):
        raise LanguageFormatError(f"a machine with outputs has the keys {sorted(needed)}; {missing} are missing")
    if unknown := sorted(set(data) - needed - more):
        raise LanguageFormatError(f"a machine with outputs has no keys {unknown}; it has {sorted(needed | more)}")
    for key in ("alphabet", "classes", "accepting"):
        _strings(data.get(key, []), f'"{key}"')
    _strings([data["initial"]], '"initial"')
    rows = data["transitions"]
    if not isinstance(rows, Mapping) or not all(isinstance(row, Mapping) for row in rows.values()):
        raise LanguageFormatError('"transitions" is no object {state: {symbol: ...}}')
    common: dict[str, Any] = {"alphabet": data["alphabet"], "classes": data.get("classes", ())}
    if "start" in data:
        _strings([data["start"]], '"start"')
        steps = {q: {a: _step(step, f"state {q!r} on {a!r}") for a, step in row.items()} for q, row in rows.items()}
        return mealy(steps, data["initial"], start=data["start"], **common)
    outputs = data["outputs"]
    if not isinstance(outputs, Mapping):
        raise LanguageFormatError(f'"outputs" is {kind(outputs)}; give an object {{state: class}}')
    _strings([*outputs.values(), *(t for row in rows.values() for t in row.values())], "a state or a class")
    if unknown := sorted(set(outputs) - set(rows)):
        raise LanguageFormatError(f'"outputs" names {unknown[0]!r}, which has no transitions; correct the name')
    return moore(rows, data["initial"], outputs, accepting=data.get("accepting"), **common)


def _step(value: Any, where: str) -> tuple[str, str]:
    if not isinstance(value, Mapping) or set(value) != {"to", "output"}:
        raise LanguageFormatError(f'{where} has {value!r:.60}; give {{"to": state, "output": class}}')
    _strings([*value.values()], where)
    return value["to"], value["output"]


def _strings(values: Any, where: str) -> None:
    if not isinstance(values, (list, tuple)):
        raise LanguageFormatError(f"{where} is {kind(values)}; give a list of strings")
    for value in values:
        if not isinstance(value, str):
            raise LanguageFormatError(f"{where} is {kind(value)}, {value!r:.60}; give strings")
