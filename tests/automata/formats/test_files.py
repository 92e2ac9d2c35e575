"""Automata in the files of other tools: what they mean, what is written is read back, and what is malformed."""

import itertools
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyformlang.finite_automaton import Epsilon, EpsilonNFA
from written_files import BOMB, CASES, JFLAP, LEARNLIB, LEARNLIB_MEALY, MATA, OPENFST, RABIT, SPOT, Case, mutated

from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError, LanguageFormatError, ScancraftError
from scancraft.automata.formats.att import read_att, read_symbols
from scancraft.automata.formats.dot import read_dot
from scancraft.automata.formats.hoa import read_hoa
from scancraft.automata.formats.jflap import read_jflap
from scancraft.automata.formats.nfa import Nfa
from scancraft.automata.formats.reading import AS_WRITTEN, Options
from scancraft.automata.formats.registry import FORMATS, detect, format_named, read_automaton, symbols_path, written
from scancraft.automata.languages import as_language

WRITERS = [known for known in FORMATS if known.write]
ODD = ["a", " ", "\t", "\x80", "New York", "0", "/", "a / 1", '"', "\\", "a,b", "ε", "<", "&", "!a", "[0-9]", "\n", "é"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_file_means_what_its_tool_means(case: Case) -> None:
    """Against an expression, by Python's own ``re``."""
    known = detect(case.text)
    assert known.name == case.format
    dfa = known.read(case.text, case.options).dfa()
    assert set(dfa.alphabet) == set(case.letters)
    for length in range(6):
        for word in itertools.product(case.letters, repeat=length):
            text = "".join(case.letters[symbol] for symbol in word)
            assert dfa.accepts(word) == (re.fullmatch(case.expression, text) is not None), word


@st.composite
def dfas(draw: st.DrawFn) -> Dfa:
    n, k = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    row = st.lists(st.integers(0, n - 1), min_size=k, max_size=k)
    table = draw(st.lists(row, min_size=n, max_size=n))
    return Dfa.from_table(["a", "bc", "d_1"][:k], table, 0, draw(st.sets(st.integers(0, n - 1))))


@pytest.mark.parametrize("known", WRITERS, ids=lambda known: known.name)
@settings(max_examples=60, deadline=None)
@given(dfa=dfas(), names=st.permutations([s for s in ODD if len(s) == 1] + ["x", "yy", "zz1"]))
def test_what_is_written_is_read_back(known: Any, tmp_path_factory: Any, dfa: Dfa, names: list[str]) -> None:
    """With symbols of every kind, unless the format says that it cannot hold one."""
    for symbols in (dfa.alphabet, names[: len(dfa.alphabet)]):
        wanted = Dfa.from_table(symbols, dfa.table, 0, dfa.accepting)
        place = tmp_path_factory.mktemp("written") / f"x{known.suffixes[0]}"
        try:
            files = written(wanted, place)
        except LanguageFormatError as error:
            refused = str(error)
        else:
            refused = ""
        if refused:
            assert "write another format" in refused
            assert symbols is not dfa.alphabet or known.name == "jflap"
            continue
        for path, text in files.items():
            path.write_text(text, encoding="utf-8", newline="")
        assert detect(files[place]).name == known.name
        assert read_automaton(place) == wanted


@pytest.mark.parametrize("symbol", ODD)
def test_one_odd_symbol(symbol: str, tmp_path: Path) -> None:
    """Some format holds it, and those that do give it back."""
    wanted, held = Dfa.from_words([symbol, "b"], [[symbol, "b", symbol], ["b"]]), []
    for known in WRITERS:
        place = tmp_path / f"x{known.suffixes[0]}"
        try:
            files = written(wanted, place)
        except LanguageFormatError:
            continue
        for path, text in files.items():
            path.write_text(text, encoding="utf-8", newline="")
        assert read_automaton(place) == wanted, known.name
        held.append(known.name)
    assert {"json", "dot"} <= set(held)


# -- nondeterminism --------------------------------------------------------------------------------------------------


@st.composite
def nfas(draw: st.DrawFn) -> Nfa:
    states = [f"q{i}" for i in range(draw(st.integers(1, 5)))]
    move = st.tuples(st.sampled_from(states), st.sampled_from(["a", "b", None]), st.sampled_from(states))
    moves = draw(st.lists(move, max_size=12))
    some = st.lists(st.sampled_from(states), max_size=3)
    return Nfa.of(draw(some), draw(some), moves, states=states, alphabet="ab")


def accepts(nfa: Nfa, word: str) -> bool:
    """By the definition: sets of states, closed under epsilon after every symbol."""

    def closed(states: set[str]) -> set[str]:
        while True:
            more = states | {t for s, a, t in nfa.moves if a is None and s in states}
            if more == states:
                return states
            states = more

    here = closed(set(nfa.initial))
    for symbol in word:
        here = closed({t for s, a, t in nfa.moves if a == symbol and s in here})
    return bool(here & nfa.accepting)


@settings(max_examples=200, deadline=None)
@given(nfa=nfas())
def test_automata_are_determinised(nfa: Nfa) -> None:
    dfa = nfa.dfa()
    for length in range(5):
        for word in map("".join, itertools.product("ab", repeat=length)):
            assert dfa.accepts(word) == accepts(nfa, word), word


@settings(max_examples=50, deadline=None)
@given(nfa=nfas())
def test_drawings_of_pyformlang_are_read(nfa: Nfa, tmp_path_factory: Any) -> None:
    theirs = EpsilonNFA()
    for q in nfa.initial[:1]:
        theirs.add_start_state(q)
    for q in nfa.accepting:
        theirs.add_final_state(q)
    theirs.add_transitions([(s, Epsilon() if a is None else a, t) for s, a, t in nfa.moves])
    if not nfa.initial or theirs.is_empty() or not nfa.moves:
        return
    place = tmp_path_factory.mktemp("drawn") / "x.dot"
    theirs.write_as_dot(place)
    dfa = read_automaton(place)
    for length in range(4):
        for word in itertools.product("ab", repeat=length):
            known = set(word) <= set(dfa.alphabet)
            assert (known and dfa.accepts(word)) == theirs.accepts(list(word))


def test_many_subsets() -> None:
    """ "The 12th symbol from the end is a": 13 states, 4,096 sets of them; and a budget that they do not fit."""
    moves = [("0", "a", "0"), ("0", "b", "0"), ("0", "a", "1")]
    moves += [(str(i), s, str(i + 1)) for i in range(1, 12) for s in "ab"]
    nfa = Nfa.of(["0"], ["12"], moves)
    assert nfa.dfa().n_states == 4096
    with pytest.raises(BudgetExceededError, match="subset states"):
        nfa.dfa(Budget(items=1000))
    word = "".join(random.Random(1).choice("ab") for _ in range(300))
    dfa = nfa.dfa()
    assert all(dfa.accepts(word[:n]) == (n >= 12 and word[n - 12] == "a") for n in range(300))


def test_states_keep_their_names_and_useless_ones_cost_nothing() -> None:
    assert load_text("q0 a q1\n", "@NFA-explicit\n%Initial q0\n%Final q1\n").names == ("q0", "q1", "dead")
    moves = [("p", "a", "q"), ("p", "a", "p"), *((f"x{i}", "a", f"x{i + 1}") for i in range(50_000)), ("p", "a", "x0")]
    assert Nfa.of(["p"], ["q"], moves).dfa(Budget(items=10)).n_states == 2
    with pytest.raises(LanguageFormatError, match="none of those that are declared"):
        Nfa(("a",), ("p",), ("q",), frozenset(), ())
    with pytest.raises(LanguageFormatError, match="not in the alphabet"):
        Nfa(("a",), ("p",), ("p",), frozenset(), (("p", "b", "p"),))
    with pytest.raises(BudgetExceededError, match="transitions"):
        Nfa.of(["0"], [], [(str(i), str(i), "0") for i in range(20_000)]).dfa()
    assert "q0 -ε-> q0" in str(Nfa.of(["q0"], [], [("q0", None, "q0")]))


def load_text(text: str, head: str = "") -> Dfa:
    return detect(head + text).read(head + text, AS_WRITTEN).dfa()


# -- what is malformed -----------------------------------------------------------------------------------------------

WRONG = (
    (read_jflap, BOMB, "document type declaration"),
    (read_jflap, "<a>" * 100_000, "nested deeper than 32"),
    (read_jflap, "<structure><type>fa</type>", "not XML: no element found"),
    (read_jflap, "<structure><type>pda</type></structure>", "of type 'pda'"),
    (read_jflap, "<graph/>", "the root element is <graph>"),
    (read_jflap, "<structure><type>fa</type><automaton/></structure>", "marked <initial/>"),
    (read_jflap, JFLAP.replace("<from>0<", "<from>7<"), "<from>7</from>, which is the id of no state"),
    (read_jflap, JFLAP.replace('id="1"', 'id="0"'), "a state has no id, or one that another state has"),
    (read_jflap, JFLAP.replace("[b-c]", "[c-b]"), "is empty or very large"),
    (read_dot, LEARNLIB.replace("__start0", "s7").replace("none", "circle"), "no node is marked as the initial state"),
    (read_dot, LEARNLIB.replace("digraph", "graph"), "undirected"),
    (read_dot, LEARNLIB.replace('[label="a"]', ""), "the edge from 's0' to 's1' has no label"),
    (
        read_dot,
        LEARNLIB.replace('"a"', '"a, b"'),
        "the label 'a, b' of the edge from 's0' to 's1' may be one or several",
    ),
    (read_dot, LEARNLIB[:-20], "not a graph in DOT: something else is expected at"),
    (read_dot, "digraph {" + "subgraph {" * 50_000, "not a graph in DOT"),
    (read_dot, LEARNLIB_MEALY, r"a machine with outputs \('0', '1'\)"),
    (read_hoa, SPOT.replace('2 "a" "b"', '3 "a" "b"'), "not a number n and n propositions"),
    (read_hoa, SPOT.replace("Inf(0)", "Fin(0)"), "no finite-word reading"),
    (read_hoa, SPOT.replace("[t] 0", "[t] 0 {0}"), "acceptance is on transitions"),
    (read_hoa, SPOT.replace("[t] 0", "[t] 0&1"), "alternating"),
    (read_hoa, SPOT.replace("Start: 1", "Start: 1 & 0"), "alternating"),
    (read_hoa, SPOT.replace("[t]", "[0&&1]"), "is no formula over numbers"),
    (read_hoa, SPOT.replace("[t]", "[7]"), "names the proposition 7"),
    (read_hoa, SPOT.replace("[t]", "[@y]"), "alias @y, which is not defined"),
    (read_hoa, SPOT.replace("[t]", f"[{'(' * 50_000}0{')' * 50_000}]").replace("[!0]", "[x]"), "is no formula"),
    (read_hoa, SPOT.replace("--END--", "--ABORT--"), "aborted"),
    (read_hoa, SPOT.replace('AP: 2 "a" "b"', "AP: 40 " + '"p" ' * 40), r"would be 2\^40 letters"),
    (read_hoa, SPOT.replace("HOA: v1", "HOA: v2"), "does not begin with HOA: v1"),
    (read_hoa, SPOT.replace("acc-name: Buchi", "Controllable: 0"), "header Controllable: changes the meaning"),
    (read_att, OPENFST.replace("b\tb", "b\tc"), "line 2: a transducer, 'b' becomes 'c'"),
    (read_att, "0 1 a b c d\n", "line 1: 6 fields"),
    (read_att, "0 1 a\n1 heavy\n", "line 2: the weight 'heavy' is no number"),
    (read_att, " \n", "there is no line"),
)


@pytest.mark.parametrize(("read", "text", "message"), WRONG, ids=[m[:40] for _, _, m in WRONG])
def test_malformed_files_are_named(read: Any, text: str, message: str) -> None:
    with pytest.raises(LanguageFormatError, match=message):
        read(text)


MALFORMED = (
    (MATA.replace("q1 b q1", "q1 b"), "line 7: 2 fields"),
    (MATA.replace("@NFA-explicit", "@NFA-bits"), "line 1: a section @NFA-bits"),
    (MATA.replace('"a"', '"a'), "line 6: a double quote is not closed"),
    (MATA + MATA, "line 8: a second automaton"),
    (MATA.replace("%Initial q0", "%Initial q0 & q1"), "alternating"),
    ("Ops a:1\nAutomaton A\n", "the sections Ops, Automaton NAME"),
    ("Ops a:2 x:0 Automaton A States q Final States q Transitions\nx -> q\na(q,q) -> q\n", "line 3: 'a' has 2 arg"),
    ("Ops a:1 Automaton A States q Final States q Transitions\na q\n", "line 2: no rule"),
    (RABIT + "a,[1]->[1]\n", "line 6: a transition after an accepting state"),
    ('---\n0\n---\n1 2 "a"\n', "a transition from 1 to 2; the states are 1 to 1"),
    ("---\n0\n---\n1 1 a\n", "no transition, which is"),
    ("---\n---\n", "there is no state"),
    (
        '{"alphabet": ["a"], "states": ["p"], "initial_state": "p", "accepting_states": ["q"], "transitions": []}',
        "'q' is not decl",
    ),
    (
        '{"alphabet": ["a"], "states": ["p"], "initial_state": "p", "accepting_states": [], "transitions": [["p"]]}',
        "entry 0",
    ),
    ("hello, world\n", "none of the formats json, jflap, dot"),
)


@pytest.mark.parametrize(("text", "message"), MALFORMED, ids=[m[:40] for _, m in MALFORMED])
def test_malformed_texts_are_named(text: str, message: str) -> None:
    with pytest.raises(LanguageFormatError, match=message):
        load_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "/**/" * 50_000 + "x",
        "# \n" * 50_000 + "x",
        "Ops Automaton A States Final States " * 20_000,
        "," * 500_000,
        "a," * 200_000 + "->" + ",->" * 200_000,
        '"' * 100_001,
        "@NFA\n" + " " * 500_000 + '"',
        "<" * 300_000,
        "digraph {a -> <" + "<b>" * 100_000,
        "---\n0\n---\n1 1 " + '" ' * 200_000,
        "HOA: v1 " + "/*" * 200_000,
    ],
    ids=lambda text: text[:12],
)
def test_patterns_do_not_try_every_way(text: str) -> None:
    """Each takes minutes, or years, if a pattern looks for its parts again and again."""
    read = []
    for known in FORMATS:
        known.looks(text)
        with suppress(LanguageFormatError):
            read.append(known.read(text, AS_WRITTEN).dfa().n_states)
    assert all(n <= 3 for n in read)  # RABIT's reader takes some for the name of a state


def test_what_stands_for_very_many_transitions_is_refused() -> None:
    many = " ".join(f"s{i}" for i in range(4_000))
    names = " ".join(f'"p{i}"' for i in range(12))
    edges = "[t] 0\n" * 2_000
    ranges = "<transition><from>0</from><to>0</to><read>[0-\u2700]</read></transition>" * 600
    for text in (
        f"digraph {{ {{ {many} }} -> {{ {many} }} [label=a] }}",
        f"HOA: v1 Start: 0 AP: 12 {names} Acceptance: 0 t --BODY-- State: 0 {edges} --END--",
        '<structure><type>fa</type><state id="0"><initial/></state>' + ranges + "</structure>",
    ):
        with pytest.raises(LanguageFormatError, match="more than 5,000,000 transitions"):
            load_text(text)


def test_states_of_jflap_keep_apart() -> None:
    arcs = ((0, 1, "ab"), (1, 1, "c"))
    moves = "".join(f"<transition><from>{s}</from><to>{t}</to><read>{a}</read></transition>" for s, t, a in arcs)
    for odd in ("q0", "q0 0.1", "0 0.1"):
        states = f'<state id="0"><initial/></state><state id="1"/><state id="{odd}"><final/></state>'
        assert read_jflap(f"<structure><type>fa</type>{states}{moves}</structure>").dfa().is_empty()


def test_symbol_tables(tmp_path: Path) -> None:
    (tmp_path / "x.fst.txt").write_text("0 1 1\n1\n")
    (tmp_path / "x.syms").write_text("<eps>\t0\nNew\t1\nold\t2\n")
    assert read_automaton(tmp_path / "x.fst.txt") == Dfa.from_words(["New", "old"], [["New"]])
    assert symbols_path("a/b.att") == Path("a/b.syms")
    for text, message in (
        ("a\n", "symbol number"),
        ("a x\n", "symbol number"),
        ("a 1\na 2\n", "twice"),
        ("a 1\nb 1", "twice"),
    ):
        with pytest.raises(LanguageFormatError, match=message):
            read_symbols(text)
    with pytest.raises(LanguageFormatError, match="line 1: the label '3' is not in the symbol table"):
        read_att("0 1 3\n1\n", Options(symbols={1: "a"}))


def test_insisting_and_finding(tmp_path: Path) -> None:
    (tmp_path / "x.dot").write_text(RABIT)  # the content decides, not the name
    assert as_language(tmp_path / "x.dot") == read_automaton(tmp_path / "x.dot", format="ba")
    with pytest.raises(LanguageFormatError, match=r"x\.dot: not a graph in DOT"):
        read_automaton(tmp_path / "x.dot", format="dot")
    with pytest.raises(LanguageFormatError, match="there is no format 'x'; the formats are json, jflap"):
        format_named("x")
    with pytest.raises(LanguageFormatError, match="the name says no format; written are json"):
        written(Dfa.universal("a"), "x.y")
    with pytest.raises(LanguageFormatError, match="the format fsm is only read"):
        written(Dfa.universal("a"), "x.fsm")
    huge = tmp_path / "huge.att"
    with huge.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(LanguageFormatError, match="larger than"):
        read_automaton(huge)


def test_a_mealy_machine_whose_states_have_any_names() -> None:
    moves = 'q -> "q!" [label="a/1"]; "q!" -> q [label="a/1"]; q -> q [label="b/0"];'
    text = 'digraph { s [shape=none label=""]; s -> q; ' + moves + " }"
    with pytest.raises(LanguageFormatError, match="none of the accepting outputs"):
        read_dot(text, Options(accepting_outputs=frozenset({"2"})))
    dfa = read_dot(text, Options(accepting_outputs=frozenset({"1"}))).dfa()
    assert [dfa.accepts(w) for w in ("", "a", "aa", "b", "ab", "aab", "aaba")] == [
        False,
        True,
        True,
        False,
        False,
        False,
        True,
    ]


def test_labels_with_a_slash_that_are_no_outputs() -> None:
    """Where some state accepts, or some label has none, labels are symbols as they stand."""
    start = '__start0 [shape=none label=""]; __start0 -> s;'
    some = read_dot(f'digraph {{ {start} s -> s [label="a / 1"]; s -> t [label="b"]; }}')
    assert some.alphabet == ("a / 1", "b")
    accepting = read_dot(f'digraph {{ {start} s [shape=doublecircle]; s -> s [label="GET /x"]; }}')
    assert accepting.dfa() == Dfa.universal(["GET /x"])


def test_mutated_files_are_read_or_refused() -> None:
    """2,000 of them, by every reader that takes them: nothing else than our errors, which say something."""
    rng, ends = random.Random(17), {True: 0, False: 0}
    for i in range(2_000):
        case = CASES[i % len(CASES)]
        text = mutated(case.text, rng)
        known = format_named(case.format) if i % 3 else rng.choice(FORMATS)
        try:
            found = known.read(text, case.options).dfa(Budget(items=2_000))
            assert isinstance(found, Dfa)
            ends[True] += 1
        except ScancraftError as error:
            ends[False] += len(str(error)) > 0
    assert sum(ends.values()) == 2_000
    assert min(ends.values()) > 200
