"""Automata in files as other tools write them, each with the words over its alphabet that it has, up to a length."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from scancraft.automata.formats.reading import AS_WRITTEN, Options

HERE = Path(__file__).parents[1] / "automata" / "formats" / "written"


@dataclass(frozen=True)
class Case:
    """A file.

    Args:
        name: its name.
        format: how it is recognised.
        text: what it holds.
        expression: its language, in the dialect of Python over one character a symbol.
        letters: from symbol to the character that stands for it in the expression.
        options: how it is read.
    """

    name: str
    format: str
    text: str
    expression: str
    letters: dict[str, str]
    options: Options = AS_WRITTEN

    def __str__(self) -> str:
        return self.name


AB = {"a": "a", "b": "b"}
ACCEPTS_1 = Options(accepting_outputs=frozenset({"1"}))

OPENFST = "0\t1\ta\ta\n1\t0\tb\tb\n0\n"
OPENFST_WEIGHTED = "0 1 a 0.5\n1 0 b 0.25\n1 1 b Infinity\n1 Infinity\n0 1.5\n"
OPENFST_NUMBERS = "0\t1\t1\t1\n1\t0\t2\t2\n0\t2\t0\t0\n2\n"
HFST = "0\t1\ta\ta\t0.000000\n1\t2\t@_SPACE_@\t@_SPACE_@\t0.000000\n1\t2\t@0@\t@0@\t0.000000\n2\t0.000000\n"
LEARNLIB = """digraph g {

\ts0 [shape="circle" label="0"];
\ts1 [shape="doublecircle" label="1"];
\ts0 -> s1 [label="a"];
\ts0 -> s0 [label="b"];
\ts1 -> s1 [label="a"];
\ts1 -> s0 [label="b"];

__start0 [label="" shape="none" width="0" height="0"];
__start0 -> s0;

}
"""
LEARNLIB_MEALY = """digraph g {

\ts0 [shape="circle" label="0"];
\ts1 [shape="circle" label="1"];
\ts0 -> s1 [label="a / 1"];
\ts0 -> s0 [label="b / 0"];
\ts1 -> s1 [label="a / 1"];
\ts1 -> s0 [label=<<table border="0"><tr><td>b</td><td> / </td><td>0</td></tr></table>>];

__start0 [label="" shape="none" width="0" height="0"];
__start0 -> s0;

}
"""
WIKI = """// from the automata wiki
digraph g {
__start0 [label="" shape="none"]
s1 [shape="doublecircle" label="s1"]
s2 [shape="circle" label="s2"]
__start0 -> s1
s1 -> s2[label="0"]
s1 -> s1[label="1"]
s2 -> s1[label="0"]
s2 -> s2[label="1"]
}
"""
AUTOMATA_LIB = """strict digraph "" {
\tgraph [bb="0,0,176,44", rankdir=LR, ranksep=0.5];
\tnode [label="\\N"];
\t"3e5c0e6b-2f2a-4a55-9ad9-111111111111"\t[fontsize=14.0, label="", pos="1.8,22", shape=point, tooltip=".", width=0.05];
\tq0\t[fontsize=14.0, shape=circle, width=0.5];
\t"3e5c0e6b-2f2a-4a55-9ad9-111111111111" -> q0\t[arrowsize=0.85, pos="e,40,22", tooltip="->q0"];
\tq0 -> q0\t[arrowsize=0.85, fontsize=14.0, label="a,b"];
\tq1\t[fontsize=14.0, shape=doublecircle];
\tq0 -> q1\t[arrowsize=0.85, label=a];
\tq1 -> q0\t[arrowsize=0.85, label="ε"];
}
"""
GRAPHVIZ = """# the example of Graphviz's gallery
digraph fsm {
    rankdir=LR;
    node [shape = doublecircle]; LR_0 LR_2;
    node [shape = circle];
    start [shape = point];
    start -> LR_0;
    LR_0 -> LR_1 -> LR_2 [ label = "a" ];
    subgraph cluster { edge [label=b]; {LR_1 LR_2} -> LR_2; }
}
"""
JFLAP = """<?xml version="1.0" encoding="UTF-8" standalone="no"?><!--Created with JFLAP 6.4.--><structure>&#13;
\t<type>fa</type>&#13;
\t<automaton>&#13;
\t\t<!--The list of states.-->&#13;
\t\t<state id="0" name="q0">&#13;
\t\t\t<x>82.0</x>&#13;
\t\t\t<y>90.0</y>&#13;
\t\t\t<initial/>&#13;
\t\t</state>&#13;
\t\t<state id="1" name="q1">&#13;
\t\t\t<x>180.0</x>&#13;
\t\t\t<y>90.0</y>&#13;
\t\t\t<final/>&#13;
\t\t</state>&#13;
\t\t<!--The list of transitions.-->&#13;
\t\t<transition>&#13;
\t\t\t<from>0</from>&#13;
\t\t\t<to>1</to>&#13;
\t\t\t<read>ab</read>&#13;
\t\t</transition>&#13;
\t\t<transition>&#13;
\t\t\t<from>1</from>&#13;
\t\t\t<to>0</to>&#13;
\t\t\t<read/>&#13;
\t\t</transition>&#13;
\t\t<transition>&#13;
\t\t\t<from>0</from>&#13;
\t\t\t<to>0</to>&#13;
\t\t\t<read>[b-c]</read>&#13;
\t\t</transition>&#13;
\t</automaton>&#13;
</structure>"""
JFLAP_CASE = (
    '<?xml version="1.0"?><structure><type>fa</type><automaton><state id="0" name="q0"><initial/></state>'
    '<state id="1" name="q1"><final/></state><transition><from>0</from><to>1</to><read>a</read></transition>'
    "<transition><from>1</from><to>0</to><read>b</read></transition></automaton></structure>"
)
JFLAP_MOORE = (
    '<structure><type>moore</type><automaton><state id="0" name="q0"><initial/><output>0</output></state>'
    '<state id="1" name="q1"><output>1</output></state><transition><from>0</from><to>1</to><read>a</read>'
    "<transout>1</transout></transition><transition><from>1</from><to>0</to><read>b</read><transout>0</transout>"
    "</transition></automaton></structure>"
)
JFLAP_MEALY = (
    '<structure><type>mealy</type><automaton><state id="0"><initial/></state><transition><from>0</from><to>0</to>'
    "<read>a</read><transout>1</transout></transition><transition><from>0</from><to>0</to><read>b</read>"
    "<transout>0</transout></transition></automaton></structure>"
)
SPOT = """HOA: v1
name: "F(a)"
States: 2
Start: 1
AP: 2 "a" "b"
acc-name: Buchi
Acceptance: 1 Inf(0)
properties: trans-labels explicit-labels state-acc complete
properties: deterministic
Alias: @x 0&!1
--BODY--
State: 0 {0}
[t] 0
State: 1 "start" /* a comment */
[@x | 0&1] 0
[!0] 1
--END--
"""
SPOT_IMPLICIT = """HOA: v1
States: 2
Start: 0
AP: 1 "p"
Acceptance: 1 Inf(0)
--BODY--
State: 0 {0} 0 1
State: 1 1 0
--END--
"""
MATA = """@NFA-explicit
%Alphabet-auto
%Initial q0
%Final q1
q0 a q0
q0 "a" q1  # nondeterministic
q1 b q1
"""
VATA = """# of libvata
@NFA
%States p q "r s"
%Alphabet a b c
%Initial p q
%Final "r s"
p a "r s"
q b "r s"
"""
TIMBUK = """Ops a:1 b:1 x:0

Automaton A0
States q0:0 q1:0
Final States q1
Transitions
x -> q0
a(q0) -> q1
b(q1) -> q0
"""
RABIT = "[1]\na,[1]->[2]\nb,[2]->[1]\na,[1]->[1]\n[2]\n"
RABIT_SHORT = "a,p->q\nb,q->p\n"
MCRL2 = """s_P(3) Nat "1" "2" "3"
---
0
1
---
1 2 "a"
2 1 "tau"
2 2 "b(1)"
"""

CASES = (
    Case("openfst.att", "att", OPENFST, "(ab)*", AB),
    Case("weighted.fst.txt", "att", OPENFST_WEIGHTED, "(ab)*", AB),
    Case("numbers.att", "att", OPENFST_NUMBERS, "(ab)*", {"1": "a", "2": "b"}),
    Case(
        "named.att",
        "att",
        OPENFST_NUMBERS,
        "(ab)*",
        {"x": "a", "y": "b"},
        Options(symbols={0: "-", 1: "x", 2: "y"}),
    ),
    Case("hfst.att", "att", HFST, "a ?", {"a": "a", " ": " "}),
    Case("learnlib.dot", "dot", LEARNLIB, "[ab]*a", AB),
    Case("learnlib_mealy.dot", "dot", LEARNLIB_MEALY, "[ab]*a", AB, ACCEPTS_1),
    Case("wiki.dot", "dot", WIKI, "(b|ab*a)*", {"0": "a", "1": "b"}),
    Case("automata_lib.dot", "dot", AUTOMATA_LIB, "[ab]*a", AB),
    Case("graphviz.gv", "dot", GRAPHVIZ, "(a[ab]b*)?", AB),
    Case("jflap.jff", "jflap", JFLAP, "([bc]|ab)*ab", {"a": "a", "b": "b", "c": "c"}),
    Case("example.jff", "jflap", JFLAP_CASE, "a(ba)*", AB),
    Case("moore.jff", "jflap", JFLAP_MOORE, "a(ba)*", AB, ACCEPTS_1),
    Case("mealy.jff", "jflap", JFLAP_MEALY, "[ab]*a", AB, ACCEPTS_1),
    Case("spot.hoa", "hoa", SPOT, "[np]*[ab][npab]*", {"!a&!b": "n", "!a&b": "p", "a&!b": "a", "a&b": "b"}),
    Case("implicit.hoa", "hoa", SPOT_IMPLICIT, "(n|pn*p)*", {"!p": "n", "p": "p"}),
    Case("mata.mata", "mata", MATA, "a+b*", AB),
    Case("vata.vtf", "mata", VATA, "a|b", {"a": "a", "b": "b", "c": "c"}),
    Case("timbuk.tmb", "timbuk", TIMBUK, "a(ba)*", AB),
    Case("rabit.ba", "ba", RABIT, "(a|ab)*a", AB),
    Case("short.ba", "ba", RABIT_SHORT, "(ab)*a?", AB),
    Case("mcrl2.fsm", "fsm", MCRL2, "(ab*)*", {"a": "a", "b(1)": "b"}),
    Case("nfa.json", "json", (HERE / "nfa.json").read_text(), "[ab]*aa", AB),
    Case(
        "pysimpleautomata.json",
        "json",
        (HERE / "pysimpleautomata.json").read_text(),
        "((55|t)g)*(55|t)",
        {"5c": "5", "10c": "t", "gum": "g"},
    ),
    Case("aalpy.dot", "dot", (HERE / "aalpy.dot").read_text(), "(a[ab]|b[ab][ab])*b", {"i1": "a", "i2": "b"}),
    Case(
        "aalpy_mealy.dot",
        "dot",
        (HERE / "aalpy_mealy.dot").read_text(),
        "([ab](a|bb*a))*(a|[ab]a|[ab]b+)",
        {"i1": "a", "i2": "b"},
        Options(accepting_outputs=frozenset({"o2"})),
    ),
    Case(
        "aalpy_moore.dot",
        "dot",
        (HERE / "aalpy_moore.dot").read_text(),
        "(a|b(bb*a)*a)*",
        {"i1": "a", "i2": "b"},
        Options(accepting_outputs=frozenset({"o1"})),
    ),
)

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><structure><type>&j;</type></structure>"
)
"""A billion laughs."""

HEAVY = (
    BOMB,
    "<a>" * 100_000,
    "[" * 100_000,
    "digraph {" + "subgraph {" * 50_000,
    "0 1 a\n" * 20_000,
    "@NFA\n" + '"' * 9_999,
)
"""Texts that are deep, or long, or grow."""


def mutated(text: str, rng: random.Random) -> str:
    """A text with something cut out, put in, doubled, or swapped with a piece of another file."""
    for _ in range(rng.randrange(1, 4)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:i] + text[min(j, i + rng.randrange(1, 9)) :]
        elif kind == 1:
            text = (
                text[:i]
                + rng.choice(['"', "\x00", "<", ">", "{", "[", "(", "\\", "->", "&", "9" * 50, "\ud7ff", "-", "/"])
                + text[i:]
            )
        elif kind == 2:
            text = text[:j] + text[i:j] * rng.randrange(1, 4) + text[j:]
        elif kind == 3:
            text = text[:i]
        elif kind == 4:
            other = rng.choice(CASES).text
            at = rng.randrange(len(other))
            text = text[:i] + other[at : at + 30] + text[i:]
        else:
            text = text[:i] + text[i : i + 1].swapcase() + text[i + 1 :]
    return text
