"""What given evidence proves about a given model: the one place where it is decided, for searches and for files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from .after_death import MOST_AFTER_DEATH, check_after_death
from .argument import NEVER, Layer, Readouts, and_never
from .arithmetic import Obligations, exactly
from .boxes import check_boxes, read_boxes
from .closure import Closed, agree, check_shapes, check_stages, first_graph
from .copying import check_copies, read_copying
from .counters import Setting, check_counters, read_limits
from .formulas import Formula, read_formula
from .languages import Language, completable, reachable, read_counter_machine, read_dfa, read_moore
from .machine import Machine
from .nested import read_bounded_dyck, read_nested
from .parts import Floats, ObligationError, array, need
from .recalled import Memory
from .slots import check_slots
from .subformulas import check_formula

CONSTRUCTIONS = ("counters", "slots", "copies")
"""The methods that only explore the blocks of a control."""
UNTIL_DEATH = "until death"
SUBFORMULAS = "subformula by subformula"
LANGUAGES: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "counters": {"counter_machine": read_counter_machine},
    "slots": {"bounded_dyck": read_bounded_dyck, "nested": read_nested},
    "copies": {"copying": read_copying},
    SUBFORMULAS: {"past_ltl": read_formula},
}
"""The languages that are no DFAs, by method: what they are called, and what reads them."""
BOXES = "box by box"
METHODS = ("block by block", "whole model", UNTIL_DEATH, BOXES, *LANGUAGES)
BLOCKS = {
    UNTIL_DEATH: ("mamba",),
    SUBFORMULAS: ("mamba", "falcon_mamba"),
    BOXES: ("mamba", "falcon_mamba", "mamba2"),
}
"""The kinds of block that there is an argument for, by method, if not for all."""
WHOLLY = (UNTIL_DEATH, SUBFORMULAS)
"""The methods that prove all words only."""
UP_TO_ROUNDING = "every-implementation up to rounding E"
"""The scope of boxes."""
MOORE = "moore_machine"
"""What says that the language is a machine with outputs."""
AFTER_DEATH = "after death"
"""The name of the limit that method "until death" has."""


class Findings(NamedTuple):
    """What is proved.

    Attributes:
        scope: "every-implementation" if all obligations hold, else "step"; of boxes "... up to rounding E".
        counts: of stages, events, transitions, own states and read-outs.
        margin: the smallest |score - threshold| of a read-out, and lead of a class over all others.
        obligations: one entry each, as certificates have them.
        failure: the obligation that fails, and where; "" if none does.
        owners: per counter the entries (block, channel, state) of the recurrent state that hold it.
        steps: steps of the model that were made again.
        memories: of a formula: the entries of the recurrent state that hold a subformula.
    """

    scope: str
    counts: dict[str, int]
    margin: float
    obligations: list[dict[str, object]]
    failure: str
    owners: dict[str, list[tuple[int, int, int]]]
    steps: int
    memories: list[dict[str, object]]


class _Case(NamedTuple):
    """A claim about a model, read: which scores stand for which tokens, and the evidence as arrays.

    Of letters that are alike (:func:`_alike`) only the first is among the symbols, tokens and columns; ``same`` has the
    scores of the others, each with that of the first. ``strays`` are tokens that the language does not have, where all
    others are said to be allowed or not; one of each kind is among the columns, too, and never allowed (-1 in shown).
    """

    content: Mapping[str, Any]
    machine: Machine
    o: Obligations | None
    arrays: dict[str, Any]
    stages: int
    symbols: list[str]
    tokens: list[int]
    columns: list[int]
    shown: list[int]
    same: dict[int, int]
    strays: list[int]
    classes: int = 0

    @property
    def all_words(self) -> bool:
        return bool(self.content["contract"] == "all-words")

    def close(self, language: Language) -> Closed:
        """The stages, from the language's word graph on."""
        name = "stage0.nodes" if self.stages else "final.nodes"
        embedded = self.machine.embed(self.tokens)
        until = self.content["method"] == UNTIL_DEATH
        graph = first_graph(self.arrays, name, language, not self.all_words, embedded, until_death=until)
        return check_stages(self.arrays, self.stages, graph, language, self.machine, self.o)


def judge(
    content: Mapping[str, Any], model: Any, tensors: Mapping[str, Tensor], *, obligations: bool = True
) -> Findings:
    """What the evidence proves about the model; :class:`RejectedError` if that is less than being right.

    O(transitions) integer work, one step of the model per distinct (input vector, own state), and, with
    ``obligations``, one in exact arithmetic.

    Args:
        content: of a certificate: its method, contract, language, readout, batch, dtype (and limits) are used.
        model: the model in that dtype, in eval mode.
        tensors: ``certificate.safetensors``.
        obligations: whether to look at the obligations; without them the scope is "step".
    """
    method = content["method"]
    need(method in METHODS, f"method {method!r} is unknown")
    machine = Machine(model, content["batch"])
    for number, block in enumerate(machine.blocks):
        need(
            block.mixer.activation == "silu",
            f"block {number}: its activation is {block.mixer.activation!r}, not 'silu'",
        )
    kinds = LANGUAGES.get(method)
    stages = sum(name.endswith(".blocks") for name in tensors)
    readout, about = content["readout"], content["language"]
    if kinds is not None or method == UNTIL_DEATH:
        need(obligations, "scope 'step' is not that of this method")
        need(readout["threshold"] == 0, "readout: this method has a threshold of 0")
        need(content["dtype"] in ("float32", "bfloat16"), f"dtype {content['dtype']} is not that of this method")
    if kinds is not None:
        need(len(about) == 1 and set(about) <= set(kinds), f"language: not exactly {' or '.join(kinds)}")
    if method in CONSTRUCTIONS:
        known = not machine.two and not machine.kind.together
        need(known, "implementation: there is no argument yet for counters or slots in such blocks, only in Mamba's")
    if method in WHOLLY:
        need(content["contract"] == "all-words", f'method "{method}" proves all words only')
    if method == BOXES:
        need(readout["threshold"] == 0, "readout: this method has a threshold of 0")
        need(content["dtype"] == "float32", f"dtype {content['dtype']} is not that of this method")
    if method in BLOCKS:
        known = machine.model.config.model_type in BLOCKS[method]
        need(known, f"implementation: this method is about blocks of {' and '.join(BLOCKS[method])}")
    language: Any
    if kinds is None:
        language = read_moore(about[MOORE]) if set(about) == {MOORE} else read_dfa(about)
    else:
        ((kind, given),) = about.items()
        language = kinds[kind](given)
    need(set(readout["tokens"]) == set(language.symbols), "readout: tokens of other symbols")
    tokens = [readout["tokens"][s] for s in language.symbols]
    columns = [readout["next_symbol"][s] for s in language.symbols] if readout["next_symbol"] else []
    special = [readout["bos"], *([] if readout["accept"] is None else [readout["accept"]])]
    vocabulary = machine.model.config.vocab_size
    need(all(0 <= n < vocabulary for n in (*tokens, *columns, *special)), "readout: a token is past the vocabulary")
    same: dict[int, int] = {}
    if kinds is None:
        first = _alike(machine.model, language, tokens, columns)
        same = {columns[a]: columns[b] for a, b in enumerate(first) if a != b} if columns else {}
        letters = [a for a, b in enumerate(first) if a == b]
        language, tokens = language.only(letters), [tokens[a] for a in letters]
        columns = [columns[a] for a in letters] if columns else []
    symbols, tokens, shown = language.symbols, [*tokens, special[0]], list(range(len(columns)))
    if readout["accept"] is not None:
        columns, shown = [*columns, readout["accept"]], [*shown, len(symbols)]
    strays: list[int] = []
    if readout["next_symbol"] and readout["accept"] is not None and method != BOXES:
        named = {*readout["next_symbol"].values(), readout["accept"], *readout.get("classes", {}).values()}
        strays = [token for token in range(vocabulary) if token not in named]
        kept = _first_of_each(machine.model, strays)
        columns, shown = [*columns, *kept], [*shown, *[NEVER] * len(kept)]
    classes = language.classes if kinds is None else ()
    scored = readout.get("classes", {})
    need(set(scored) == set(classes), "readout: scores of other classes")
    if classes:
        need(method not in (UNTIL_DEATH, BOXES), f'method "{method}" is not about classes')
        need(language.predicts or not columns, "readout: the machine does not say what may come next")
        rows = [scored[name] for name in classes]
        need(all(0 <= n < vocabulary for n in rows), "readout: a class is past the vocabulary")
        taken = {*columns, *same}
        need(len({*rows, *taken}) == len(rows) + len(taken), "readout: a class shares its score")
        columns, shown = [*columns, *rows], [*shown, *range(len(symbols) + 1, len(symbols) + 1 + len(rows))]
    need(columns, "readout: nothing is read")
    o = Obligations(content["dtype"]) if obligations else None
    arrays = check_shapes(tensors, stages) if method not in (SUBFORMULAS, BOXES) else {}
    need(method != SUBFORMULAS or not tensors, "evidence: this method has none")
    case = _Case(content, machine, o, arrays, stages, symbols, tokens, columns, shown, same, strays)
    case = case._replace(classes=len(classes))
    if method == BOXES:
        return _judge_boxes(case, language, tensors)
    judged = _judge_regular if kinds is None else _judge_formula if method == SUBFORMULAS else _judge_construction
    return judged(case, language)


def _alike(model: Any, language: Language, tokens: list[int], columns: list[int]) -> list[int]:
    """For each letter the first that the language, the embedding and the head treat alike, bit for bit.

    Such letters lead each state of the language to the same one and each state of the model to the same bits, and may
    come next after the same words; and scores of equal rows are equal, in exact arithmetic as in any other that treats
    all rows alike (which is looked at: ``same``). So what is proved of the first holds of all.
    """
    embedding, head = array(model.backbone.embeddings.weight), array(model.lm_head.weight)
    seen: dict[tuple[bytes, ...], int] = {}
    acts = np.ascontiguousarray(language.table.T)
    found = []
    for a, token in enumerate(tokens):
        rows = acts[a], embedding[token], *([head[columns[a]]] if columns else [])
        found.append(seen.setdefault(tuple(row.tobytes() for row in rows), a))
    return found


def _first_of_each(model: Any, rows: list[int]) -> list[int]:
    """Some scores, one of each kind: in exact arithmetic those of equal rows of the head are equal."""
    head = array(model.lm_head.weight)
    seen: dict[bytes, int] = {}
    for row in rows:
        seen.setdefault(head[row].tobytes(), row)
    return list(seen.values())


def _check_weights(o: Obligations, model: Any) -> None:
    """No weight is a subnormal number, which some implementations take for 0."""
    for name, tensor in model.state_dict().items():
        tiny = (tensor != 0) & (tensor.abs() < 2.0 ** o.stored[1])
        o.need("sums", not tiny.any().item(), f"{name}: a subnormal number")


def _judge_regular(case: _Case, language: Language) -> Findings:
    machine = case.machine
    need(case.stages > 0, "counts: no stage")
    graph, counts, starts, failure = case.close(language)
    end = int(case.arrays[f"stage{case.stages - 1}.blocks"][1])
    need(end == len(machine.blocks), f"the stages end at block {end}, the model at {len(machine.blocks)}")
    if case.content["method"] == "whole model":
        need(case.stages == 1, 'method "whole model" with several stages')
    else:
        need(case.stages == end, "a stage has several blocks: not the method")
    vectors = graph.vectors[graph.nodes[:, 2]]
    threshold = float(case.content["readout"]["threshold"])
    scores = machine.scores(vectors, case.columns, case.same, case.strays, threshold).astype(np.float64)
    truth = and_never(language.allowed())[graph.nodes[:, 1]][:, case.shown]
    tokens = len(case.columns) - case.classes
    bad = ((scores[:, :tokens] > threshold) != truth[:, :tokens]).any(axis=1)
    margin = float(np.abs(scores[:, :tokens] - threshold).min(initial=np.inf))
    if case.classes:
        own = truth[:, tokens:]
        lead = scores[:, tokens:][own] - np.where(own, -np.inf, scores[:, tokens:]).max(axis=1)
        bad |= ~(lead > 0)
        margin = min(margin, float(lead.min()))
    for n in np.flatnonzero(bad)[:1]:
        need(False, f"read-out {n}: in DFA state {graph.nodes[n, 1]} the model's scores are {scores[n].tolist()}")
    if case.o is not None and failure is None:
        try:
            _check_weights(case.o, machine.model)
            _check_head(case, case.o, vectors, scores)
        except ObligationError as error:
            failure = error
    if case.content["method"] == UNTIL_DEATH or machine.kind.together:
        need(case.o is not None, "scope 'step' is not that of this method or this kind of model")
        if failure is not None:
            raise failure
    if case.content["method"] == UNTIL_DEATH:
        margin = min(margin, _check_after_death(case, language))
    if machine.two and (case.o is None or failure is not None):
        for start in starts:
            machine.check_chunks(*start)
    return _findings(case, {**counts, "readouts": len(graph.nodes)}, margin, failure)


def _judge_boxes(case: _Case, language: Language, tensors: Mapping[str, Tensor]) -> Findings:
    boxes = read_boxes(tensors, case.machine.model, len(case.symbols))
    with np.errstate(all="ignore"):  # what is not finite any more is in no box
        scores, reached = check_boxes(case.machine.model, boxes, language, case.all_words, case.tokens, case.columns)
    truth = language.allowed()[boxes.truth[reached]][:, case.shown]
    leads = np.where(truth, scores.lo, -scores.hi)
    for n in np.flatnonzero(~(leads > 0).all(axis=1))[:1]:
        low, high = scores.lo[n].tolist(), scores.hi[n].tolist()
        need(False, f"read-out {n}: in DFA state {boxes.truth[reached[n]]} the scores lie between {low} and {high}")
    counts = dict.fromkeys(("stages", "events", "own_states"), 0)
    counts |= {"nodes": len(boxes.truth), "transitions": len(reached), "readouts": len(reached)}
    return Findings(UP_TO_ROUNDING, counts, float(leads.min()), [], "", {}, len(reached), [])


def _check_after_death(case: _Case, language: Language) -> float:
    """That no token is allowed any more, from the first dead prefixes on."""
    assert case.o is not None
    need(case.stages == len(case.machine.blocks), "a stage has several blocks: not the method")
    limit = case.content["limits"].get(AFTER_DEATH)
    need(set(case.content["limits"]) == {AFTER_DEATH} and type(limit) is int, "limits: not just the one after death")
    need(1 <= limit <= MOST_AFTER_DEATH, f"limits: {limit} after death is out of range")
    died = []
    for i in range(case.stages):
        events, nodes = case.arrays[f"stage{i}.events"], case.arrays[f"stage{i}.nodes"]
        dead = ~language.live[nodes[events[:, 0], 1]]
        died.append(case.arrays[f"stage{i}.states"][events[dead, 1]].astype(np.float64))
    embedded = case.machine.embed(case.tokens[:-1]).astype(np.float64)
    return check_after_death(case.o, case.machine, embedded, died, case.columns, limit)


def _check_head(case: _Case, o: Obligations, vectors: Any, scores: Floats) -> None:
    """The read-outs in exact arithmetic, once for rows that are alike."""
    model = case.machine.model
    normed = o.norm(model.backbone.norm_f, exactly(vectors), "norm_f")
    rows = sorted(set(range(model.config.vocab_size)) - case.same.keys() | set(case.columns))
    place = {row: number for number, row in enumerate(rows)}
    found = o.linear(model.lm_head.weight[rows], normed, "lm_head").lo[:, [place[c] for c in case.columns]]
    agree(found == scores, "read-out: exact arithmetic gives other scores")


def _judge_construction(case: _Case, language: Any) -> Findings:
    assert case.o is not None
    machine, o = case.machine, case.o
    _check_weights(o, machine.model)
    control = language.control
    closed = case.close(control)
    if closed.failure is not None:
        raise closed.failure
    end = int(case.arrays[f"stage{case.stages - 1}.blocks"][1]) if case.stages else 0
    need(end == case.stages, f"the control ends at block {end}, which are not {case.stages} blocks")
    graph = closed.graph
    vectors = graph.vectors[graph.nodes[:, 2]].astype(np.float64)
    readouts = Readouts(o, machine, case.columns, case.shown)
    layers = [Layer(o, machine, n) for n in range(end, len(machine.blocks))]
    owners: dict[str, list[tuple[int, int, int]]] = {}
    if case.content["method"] != "counters":
        need(not case.all_words, f'method "{case.content["method"]}" proves live prefixes only')
        need(case.content["limits"] == {}, "limits: this method has none")
        check = check_slots if case.content["method"] == "slots" else check_copies
        check(layers, readouts, graph, vectors, language)
    else:
        cases = reachable(language)
        need(cases is not None, "language: too many counters and control states")
        assert cases is not None
        need(completable(language, cases), "language: not every live word is known to lead to an accepted one")
        setting = Setting(language, cases, read_limits(case.content["limits"], language), case.all_words)
        found = check_counters(layers, readouts, graph, vectors, setting)
        size = machine.model.config.state_size
        owners = {
            name: [(end, *divmod(entry, size)) for entry in entries]
            for name, entries in zip(language.names, found, strict=True)
        }
    return _findings(case, {**closed.counts, "readouts": readouts.count}, readouts.margin, None, owners)


def _judge_formula(case: _Case, formula: Formula) -> Findings:
    assert case.o is not None
    need(len(case.columns) == 1 and case.shown == [len(case.symbols)], "readout: this method is about the end only")
    _check_weights(case.o, case.machine.model)
    found = check_formula(case.o, case.machine, formula, case.tokens, case.columns[0])
    nothing = dict.fromkeys(("stages", "events", "transitions", "own_states"), 0)
    counts = {**nothing, "readouts": found.scores, "memories": len(found.memories)}
    memories = [_described(formula, memory) for memory in found.memories]
    return _findings(case, counts, found.margin, None)._replace(memories=memories)


def _described(formula: Formula, memory: Memory) -> dict[str, object]:
    """An entry of the recurrent state, and which subformula it holds, how many steps late."""
    place = {"block": memory.block, "channel": memory.channel, "state": memory.state}
    return {**place, "holds": formula.texts[memory.node], "node": memory.node, "late": memory.late}


def _findings(
    case: _Case,
    counts: dict[str, int],
    margin: float,
    failure: ObligationError | None,
    owners: dict[str, list[tuple[int, int, int]]] | None = None,
) -> Findings:
    every = case.o is not None and failure is None
    entries = case.o.entries(failure) if case.o is not None else []
    scope = "every-implementation" if every else "step"
    return Findings(scope, counts, margin, entries, str(failure or ""), owners or {}, case.machine.steps, [])
