"""Ways in and out: JSON, dicts, graphs, other libraries."""

import itertools
import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from examples import dfas
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import AlphabetError, BudgetExceededError, LanguageFormatError, RegexSyntaxError
from scancraft.automata.formats.formats import (
    from_automata_lib,
    from_dict,
    from_json,
    from_networkx,
    from_pyformlang,
    load_json,
    to_json_dict,
    to_networkx,
)
from scancraft.automata.languages import as_dfa

AB_STAR: dict[str, Any] = {
    "alphabet": ["a", "b"],
    "initial": "even",
    "accepting": ["even"],
    "transitions": {"even": {"a": "odd"}, "odd": {"b": "even"}},
}


@st.composite
def partial_tables(draw: st.DrawFn) -> tuple[str, dict[str, dict[str, str]], str, list[str]]:
    alphabet = "abc"[: draw(st.integers(1, 3))]
    states = [f"q{i}" for i in range(draw(st.integers(1, 5)))]
    row = st.dictionaries(st.sampled_from(alphabet), st.sampled_from(states))
    rows = draw(st.dictionaries(st.sampled_from(states), row))
    return alphabet, rows, draw(st.sampled_from(states)), draw(st.lists(st.sampled_from(states)))


def reads(rows: Any, initial: Any, accepting: Any, word: tuple[str, ...]) -> bool:
    """A partial table run on a word, by the definition."""
    state = initial
    for symbol in word:
        if symbol not in rows.get(state, {}):
            return False
        state = rows[state][symbol]
    return state in accepting


@settings(max_examples=50, deadline=None)
@given(table=partial_tables())
def test_every_way_in_reads_the_same_language(table: Any) -> None:
    alphabet, rows, initial, accepting = table
    every = {target: {} for row in rows.values() for target in row.values()} | rows
    data = {"alphabet": list(alphabet), "initial": initial, "accepting": accepting, "transitions": every}
    dfa = from_json(data)
    for length in range(6):
        for word in itertools.product(alphabet, repeat=length):
            assert dfa.accepts(word) == reads(rows, initial, accepting, word)
    assert set(dfa.names) <= {f"q{i}" for i in range(5)} | {"dead"}
    flat = {(source, symbol): target for source, row in rows.items() for symbol, target in row.items()}
    graph = nx.MultiDiGraph()
    graph.add_nodes_from([initial, *accepting])
    for (source, symbol), target in flat.items():
        graph.add_edge(source, target, symbol=symbol)
    for other in (
        from_json(json.dumps(data)),
        as_dfa(data),
        from_dict(rows, initial, accepting, alphabet),
        from_dict(flat, initial, accepting, alphabet),
        from_networkx(graph, initial, accepting, alphabet=alphabet),
        from_json(to_json_dict(dfa)),
        as_dfa(to_networkx(dfa)),
        as_dfa(dfa),
    ):
        assert other == dfa
        assert other.alphabet == dfa.alphabet


# -- JSON ------------------------------------------------------------------------------------------------------------


def test_names_are_kept_and_added_states_find_free_ones() -> None:
    dfa = from_json(AB_STAR)
    assert dfa.names == ("even", "odd", "dead")
    rows: dict[str, Any] = {"dead": {"a": "dead'"}, "dead'": {"b": "dead"}}
    dfa = from_json(AB_STAR | {"initial": "dead", "accepting": ["dead"], "transitions": rows})
    assert dfa.names == ("dead", "dead'", "dead''")
    rows = {"p": {"a": "p", "b": "sink"}, "sink": {"a": "sink", "b": "sink"}}
    assert from_json(AB_STAR | {"initial": "p", "accepting": ["p"], "transitions": rows}).names == ("p", "sink")


def test_states_may_be_named_anywhere() -> None:
    only = AB_STAR | {"initial": "p", "accepting": ["p", "q"], "transitions": {}}
    assert from_json(only) == Dfa.from_words("ab", [""])
    target = AB_STAR | {"initial": "p", "accepting": ["q"], "transitions": {"p": {"a": "q"}}}
    assert from_json(target) == Dfa.from_words("ab", ["a"])
    assert from_json(AB_STAR | {"initial": "x", "transitions": {}}) == Dfa.empty("ab")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1, "more": 2}, r"unknown keys \['extra', 'more'\]"),
        ({"alphabet": "ab"}, '"alphabet" is a string'),
        ({"initial": 0}, '"initial" is a number, 0'),
        ({"initial": None}, '"initial" is null'),
        ({"initial": ["even", 1]}, 'an entry of "initial" is a number'),
        ({"accepting": "even"}, '"accepting" is a string'),
        ({"accepting": ["even", 1]}, 'entry 1 of "accepting" is a number'),
        ({"accepting": {"even": True}}, '"accepting" is an object'),
        ({"accepting": None}, '"accepting" is null'),
        ({"transitions": []}, '"transitions" is a list'),
        ({"transitions": {"even": ["odd"]}}, "of state 'even' are a list"),
        ({"transitions": {"even": {"a": 1}}}, "the target of state 'even' on symbol 'a' is a number"),
        ({"transitions": {"even": {"a": ["odd", 1]}}}, "a target of state 'even' on symbol 'a' is a number"),
        ({"transitions": {"even": {"a": ["even", "x"]}}}, "the state 'x' is not declared"),
        ({"transitions": {"even": {"c": "odd"}}}, "state 'even' has a transition on 'c'.*not in the alphabet"),
        ({"transitions": {0: {"a": "odd"}}}, 'a key of "transitions" is a number'),
    ],
)
def test_malformed_descriptions(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LanguageFormatError, match=message):
        from_json(AB_STAR | change)


@pytest.mark.parametrize("key", list(AB_STAR))
def test_missing_keys_are_named(key: str) -> None:
    with pytest.raises(LanguageFormatError, match=f"missing keys .'{key}'"):
        from_json({k: v for k, v in AB_STAR.items() if k != key})


@pytest.mark.parametrize(
    "alphabet", [["a", "a", "b"], ["a", "b", ""], ["a", "b", 3], ["a", "b", ["c"]], ["a", "b", "\ud800"]]
)
def test_bad_symbols(alphabet: list[Any]) -> None:
    with pytest.raises(AlphabetError, match="symbol"):
        from_json(AB_STAR | {"alphabet": alphabet})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON.*line 1, column 1"),
        ('{"alphabet": ["a"],\n "initial" "q"}', "not JSON.*line 2, column 12"),
        ("[1]", "the JSON value is a list"),
        ("[" * 200_000, "not a usable JSON|not JSON"),
        (json.dumps(AB_STAR)[:-1] + ', "initial": "odd"}', "the key 'initial' occurs twice"),
        (json.dumps(AB_STAR).replace('"odd": {', '"odd": {"b": "odd", '), "the key 'b' occurs twice"),
        (json.dumps(AB_STAR).replace('"odd": {', '"even": {'), "the key 'even' occurs twice"),
    ],
)
def test_malformed_texts(text: str, message: str) -> None:
    with pytest.raises(LanguageFormatError, match=message):
        from_json(text)


@pytest.mark.parametrize("dfa", dfas().values(), ids=dfas())
def test_files_and_graphs_round_trip(dfa: Dfa, tmp_path: Path) -> None:
    path = tmp_path / "language.json"
    path.write_text(json.dumps(to_json_dict(dfa)))
    assert load_json(path) == load_json(str(path)) == dfa == as_dfa(path)
    assert load_json(path).names == dfa.names
    graph = to_networkx(dfa)
    assert graph.number_of_nodes() == dfa.n_states
    assert graph.number_of_edges() == dfa.n_states * len(dfa.alphabet)
    again = as_dfa(graph)
    assert (again, again.names, again.alphabet) == (dfa, dfa.names, dfa.alphabet)


def test_odd_names_and_symbols_survive_a_file(tmp_path: Path) -> None:
    dfa = from_dict({"é\n": {"ü": "\ud800"}, "\ud800": {"\U0010ffff": "é\n"}}, "é\n", ["\ud800"])
    (tmp_path / "x.json").write_text(json.dumps(to_json_dict(dfa)))
    again = load_json(tmp_path / "x.json")
    assert (again, again.names) == (dfa, dfa.names)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(LanguageFormatError, match=r"absent\.json: cannot be read"):
        load_json(tmp_path / "absent.json")
    with pytest.raises(LanguageFormatError, match="is a directory"):
        load_json(tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"alphabet": ["\xe9"]}')
    with pytest.raises(LanguageFormatError, match=r"latin\.json: not UTF-8 at byte 15"):
        load_json(tmp_path / "latin.json")
    (tmp_path / "short.json").write_text("{}")
    with pytest.raises(LanguageFormatError, match=r"short\.json: .*missing keys"):
        load_json(tmp_path / "short.json")
    (tmp_path / "symbol.json").write_text(json.dumps(AB_STAR | {"alphabet": ["a", "b", ""]}))
    with pytest.raises(AlphabetError, match=r"symbol\.json: .*empty"):
        load_json(tmp_path / "symbol.json")
    (tmp_path / "bom.json").write_text(json.dumps(AB_STAR), encoding="utf-8-sig")
    assert load_json(tmp_path / "bom.json") == from_json(AB_STAR)


def test_equal_names_are_told_apart_on_the_way_out() -> None:
    dfa = Dfa.from_table("a", [[1], [2], [2]], 0, [1], ["q", "q", "q"])
    assert list(to_json_dict(dfa)["transitions"]) == ["q", "q'", "q''"]
    assert from_json(to_json_dict(dfa)) == dfa


# -- dicts -----------------------------------------------------------------------------------------------------------


def test_dict_states_are_any_hashable_values() -> None:
    rows = {1: {"a": "1"}, "1": {"a": (2, None)}, (2, None): {"a": frozenset({"y", "x"})}}
    dfa = from_dict(rows, 1, [frozenset({"x", "y"})], ["a", "b"])
    assert dfa.names == ("1", "1'", "dead", "(2, None)", "{x, y}")
    assert dfa == Dfa.from_words("ab", ["aaa"])


def test_integer_symbols_of_other_libraries() -> None:
    """They become decimals, in the order of the numbers; mixtures become texts, which must not be equal."""
    from pyformlang.finite_automaton import DeterministicFiniteAutomaton

    theirs = DeterministicFiniteAutomaton()
    theirs.add_start_state(0)
    theirs.add_final_state(1)
    theirs.add_transitions([(0, 10, 1), (1, 2, 0)])
    dfa = from_pyformlang(theirs)
    assert dfa.alphabet == ("2", "10")
    assert dfa == Dfa.from_table(("2", "10"), [[2, 1], [0, 2], [2, 2]], 0, [1])
    theirs.add_transition(1, "a", 0)
    assert from_pyformlang(theirs).alphabet == ("10", "2", "a")
    theirs.add_transition(0, "2", 0)
    with pytest.raises(LanguageFormatError, match="two different symbols are called '2'"):
        from_pyformlang(theirs)


def test_the_alphabet_defaults_to_sorted_symbols() -> None:
    with pytest.raises(AlphabetError, match="symbol 0 is not a string"):
        from_dict({"p": {0: "p", "a": "p"}}, "p", ["p"])
    assert from_dict({0: {"b": 0, "a": 0}}, 0, [0]).alphabet == ("a", "b")
    assert from_dict({}, "p", ["p"]) == Dfa.from_words((), [()])


@pytest.mark.parametrize(
    ("rows", "initial", "accepting", "alphabet", "message"),
    [
        ([], 0, [0], None, "the transitions are a list"),
        ({0: {"a": 1}, (1, "a"): 0}, 0, [0], None, "fits neither form"),
        ({(0, "a", 1): 0}, 0, [0], None, "fits neither form"),
        ({0: 1}, 0, [0], None, "fits neither form"),
        ({0: {"a": [0, 1]}}, 0, [0], None, "target of state 0 on symbol 'a' is a list.*deterministic"),
        ({(0, "a"): {1}}, 0, [0], None, "target of state 0 on symbol 'a' is a set"),
        ({0: {"a": 0}}, [0], [0], None, "the initial state is a list"),
        ({0: {"a": 0}}, 0, [[0]], None, "an accepting state is a list"),
        ({"q": {"a": "q"}}, "q", "q", None, "accepting states are a string"),
        ({0: {"a": 0}}, 0, 0, None, "accepting states are a number"),
        ({0: {"c": 0}}, 0, [0], ["a"], "state 0 has a transition on 'c'"),
    ],
)
def test_malformed_dicts(rows: Any, initial: Any, accepting: Any, alphabet: Any, message: str) -> None:
    with pytest.raises(LanguageFormatError, match=message):
        from_dict(rows, initial, accepting, alphabet)


# -- networkx --------------------------------------------------------------------------------------------------------


def test_graph_edges_may_carry_several_symbols() -> None:
    graph = nx.DiGraph()
    graph.add_edge(0, 1, letter=["a", "b"])
    graph.add_edge(1, 0, letter="a")
    graph.add_edge(1, 1, letter={"b"})
    dfa = from_networkx(graph, 0, [1], symbol="letter")
    assert [dfa.accepts(w) for w in ("a", "b", "ab", "aa", "aab")] == [True, True, True, False, True]


def test_malformed_graphs() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("p", "q", symbol="a")
    with pytest.raises(LanguageFormatError, match="'r' is not a node"):
        from_networkx(graph, "p", ["r"])
    with pytest.raises(LanguageFormatError, match="accepting states are a string"):
        from_networkx(graph, "p", "q")
    with pytest.raises(LanguageFormatError, match="no graph attribute 'initial' and no 'accepting'"):
        as_dfa(graph)
    graph.add_edge("p", "q", symbol="a")
    assert from_networkx(graph, "p", ["q"]) == Dfa.from_words("a", ["a"])
    graph.add_edge("p", "p", symbol=("b", "a"))
    with pytest.raises(LanguageFormatError, match=r"'p' goes to both ('q' and 'p'|'p' and 'q') on symbol 'a'"):
        from_networkx(graph, "p", ["q"])
    bare = nx.DiGraph([("p", "q")])
    with pytest.raises(LanguageFormatError, match="the edge from 'p' to 'q' has no attribute 'symbol'"):
        from_networkx(bare, "p", ["q"])
    bare.edges["p", "q"]["symbol"] = 3
    with pytest.raises(LanguageFormatError, match="the edge from 'p' to 'q' has the symbol 3, a number"):
        from_networkx(bare, "p", ["q"])
    with pytest.raises(LanguageFormatError, match="undirected"):
        from_networkx(nx.Graph([("p", "q")]), "p", ["q"])


# -- other libraries -------------------------------------------------------------------------------------------------


def test_automata_lib() -> None:
    fa = pytest.importorskip("automata.fa.dfa", reason="automata-lib is not installed, or hidden by the checkout")
    nfa = pytest.importorskip("automata.fa.nfa")
    rows = {"p": {"a": "q"}, "q": {"b": "p"}}
    partial = fa.DFA(
        states={"p", "q"},
        input_symbols={"a", "b"},
        transitions=rows,
        initial_state="p",
        final_states={"p"},
        allow_partial=True,
    )
    assert from_automata_lib(partial) == as_dfa(partial) == from_dict(rows, "p", ["p"])
    assert as_dfa(partial).names == ("p", "q", "dead")
    from_regex = nfa.NFA.from_regex("(a|b)*abb(a|b)?")
    dfa = as_dfa(fa.DFA.from_nfa(from_regex))
    for length in range(8):
        for word in itertools.product("ab", repeat=length):
            assert dfa.accepts(word) == from_regex.accepts_input("".join(word))
    assert as_dfa(from_regex) == from_automata_lib(from_regex) == dfa
    with pytest.raises(BudgetExceededError):
        as_dfa(from_regex, Budget(items=3))
    with pytest.raises(LanguageFormatError, match="neither a DFA nor an NFA of automata-lib"):
        from_automata_lib(AB_STAR)


def test_pyformlang() -> None:
    library = pytest.importorskip("pyformlang.finite_automaton")
    automaton = library.DeterministicFiniteAutomaton()
    automaton.add_transitions([(0, "push", 1), (1, "pop", 0)])
    automaton.add_start_state(0)
    automaton.add_final_state(0)
    dfa = as_dfa(automaton)
    assert dfa == from_pyformlang(automaton) == from_dict({0: {"push": 1}, 1: {"pop": 0}}, 0, [0])
    assert dfa.names == ("0", "dead", "1")
    nothing = library.DeterministicFiniteAutomaton()
    nothing.add_transition(0, "a", 0)
    nothing.add_final_state(0)
    assert as_dfa(nothing) == Dfa.empty("a")
    general = library.NondeterministicFiniteAutomaton()
    general.add_transitions([(0, "a", 0), (0, "b", 0), (0, "a", 1), (1, "b", 2), (2, "a", 2)])
    general.add_start_state(0)
    general.add_final_state(2)
    dfa = as_dfa(general.to_deterministic())
    assert as_dfa(general) == dfa
    for length in range(7):
        for word in itertools.product("ab", repeat=length):
            assert dfa.accepts(word) == general.accepts(list(word))
    with pytest.raises(LanguageFormatError, match="no finite automaton of pyformlang"):
        from_pyformlang(AB_STAR)


# -- one door --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [None, 3, ["a"], b"(ab)*", object()])
def test_other_values_are_refused(other: object) -> None:
    assert as_dfa("(ab)*") == from_json(AB_STAR)
    with pytest.raises(RegexSyntaxError):
        as_dfa("(ab")
    with pytest.raises(LanguageFormatError, match="does not describe a language here; give"):
        as_dfa(other)
