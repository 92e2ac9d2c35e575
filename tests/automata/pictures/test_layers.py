"""Pictures in layers: every box and edge once, nothing above what it reads, and whatever they say is text."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest
from explained import HOSTILE, hostile

import scancraft
from scancraft.automata.pictures.layers import MOST_BOXES, MOST_IN_A_ROW, Box, Node, flow_svg, layers_svg
from scancraft.compiler.cascade.cascade import decompose


def boxes(svg: str | None) -> dict[str, tuple[float, float, float, float]]:
    """The rectangles of a picture, by what they say when pointed at."""
    assert svg is not None
    found = {}
    for group in ElementTree.fromstring(svg).iter("g"):
        if group.get("class") == "box":
            (rectangle,) = group.iter("rect")
            (said,) = group.iter("title")
            x, y, width, height = (float(rectangle.get(a) or 0) for a in ("x", "y", "width", "height"))
            found[said.text or ""] = (x, y, x + width, y + height)
    return found


def texts(svg: str | None) -> list[str]:
    """What is written, in order."""
    assert svg is not None
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]


def diamond(*, arrows: bool = True) -> str | None:
    parts = [
        Box(2, ("top",), below={1: "x", 2: "y", 3: "z"}),
        Box(1, ("left",), below={3: ""}),
        Box(1, ("right",)),
        Box(0, ("end", "of it"), "the <end>"),
    ]
    return layers_svg(parts, {2: "first"}, "<t>", arrows=arrows)


def test_rows_go_down_and_boxes_keep_apart() -> None:
    found = boxes(diamond())
    assert [*found] == ["top", "left", "right", "the <end>"]
    assert found["top"][3] < found["left"][1] == found["right"][1] < found["left"][3] < found["the <end>"][1]
    for (ax, ay, bx, by), (cx, cy, dx, dy) in combinations(found.values(), 2):
        assert bx < cx or dx < ax or by < cy or dy < ay
    assert sorted(texts(diamond())[:3]) == ["x", "y", "z"]
    assert texts(diamond())[-1] == "first"
    assert diamond() == diamond()
    assert (diamond() or "").count("<polygon") == 4  # into "left", into "right", and two into the end
    assert (diamond(arrows=False) or "").count("<polygon") == 0


def test_edges_to_one_box_run_together() -> None:
    """Two edges pass the row between to one box by one way: three parts, not four, and one arrow there."""
    parts = [Box(2, ("p",), below={3: ""}), Box(2, ("q",), below={3: ""}), Box(1, ("between",)), Box(0, ("end",))]
    svg = layers_svg(parts, {}, "t", arrows=True) or ""
    assert svg.count('class="edge"') == 3
    assert svg.count("<polygon") == 1


def test_what_nobody_could_read_is_not_drawn() -> None:
    tower = [Box(h, (str(h),)) for h in range(MOST_BOXES - 1, -1, -1)]
    assert layers_svg(tower, {}, "t", arrows=True) is not None
    assert layers_svg([Box(MOST_BOXES, ("one more",)), *tower], {}, "t", arrows=True) is None
    row = [Box(0, (str(n),)) for n in range(MOST_IN_A_ROW)]
    assert layers_svg(row, {}, "t", arrows=True) is not None
    assert layers_svg([*row, row[0]], {}, "t", arrows=True) is None


def test_who_reads_what_an_earlier_one_wrote_has_an_arrow() -> None:
    f, none = frozenset, frozenset[str]()
    writer, idle = Node(("w",), "", none, f("x")), Node(("i",), "", f("x"), none)
    assert (flow_svg([[writer], [idle]], "t") or "").count("<polygon") == 1
    assert (flow_svg([[idle], [writer]], "t") or "").count("<polygon") == 0
    assert (flow_svg([[writer, idle]], "t") or "").count("<polygon") == 0


@pytest.mark.parametrize("name", ["cascade", "plan", "circuit"])
def test_stages_of_d2(name: str) -> None:
    kind = "plan" if name == "plan" else "cascade"
    svg = getattr(scancraft.compile("(a(ab)*b)*", construction=kind), name).svg()
    if name == "cascade":
        parts = decompose(scancraft.parse_regex("(a(ab)*b)*")).parts
        assert [*boxes(svg)] == list(parts.set_names)
        written = texts(svg)
        for v in ("0", "1"):  # an edge for each tile, with its number
            assert written.count(v) == sum(len(tiles) > int(v) for tiles in parts.tiles)
        assert written[-4:] == ["level 3", "level 2", "level 1", "states"]
    elif name == "plan":
        assert {"m1", "m2", "what may come next", "block 1", "block 2"} <= set(texts(svg))
        assert svg.count("<polygon") == 3  # both are read at the end, m1 by m2 as well
    else:
        assert [t for t in texts(svg) if t.startswith("level")] == ["level 3", "level 2", "level 1"]


def test_names_are_text() -> None:
    compiled = scancraft.compile(hostile(), construction="cascade")
    for value in (compiled.dfa, compiled.cascade, compiled.circuit):  # type: ignore[union-attr]
        if (svg := value.svg()) is not None:
            tags = {element.tag for element in ElementTree.fromstring(svg).iter()}
            assert tags <= {"svg", "title", "desc", "g", "path", "polygon", "circle", "text", "rect"}
    parts = [Box(0, (symbol,), symbol) for symbol in HOSTILE]
    assert [*boxes(layers_svg(parts, {0: HOSTILE[0]}, HOSTILE[1], arrows=False))] == HOSTILE
