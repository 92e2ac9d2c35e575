"""A small checker of saved certificates: no search, and no code in common with the search.

``certificate.json`` and ``certificate.safetensors`` (format: ``certify/search/evidence.py``) claim that the model
beside them is right on every word. The proof is an invariant, and checking one is simpler than finding one: the list of
events begins where the model begins, is closed under every letter that can come next, each listed step is the model's
own (recomputed once), and every read-out has the right signs. If the scope is "every-implementation", each step is
computed once more in integer arithmetic, with the obligations of ``docs/certificates.md``. Certificates of counter
languages and of bounded Dyck languages are checked by ``construction_checker``, which uses the parts below.

Trusted: this file, ``transformers``' Mamba blocks (``models/signed_mamba.py`` for those with signed gates), torch,
numpy, safetensors and json. Nothing that is read is.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...automata.errors import ScancraftError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

KEYS = {
    *("schema_version", "verdict", "claim", "method", "scope", "contract", "margin", "word", "dtype", "batch"),
    *("implementation", "readout", "language", "counts", "obligations", "sha256"),
}
CONSTRUCTIONS = ("counters", "slots")
"""The methods of ``construction_checker``; their certificates have one more key, "limits"."""
MODELS = {
    "mamba": "transformers.MambaForCausalLM",
    "signed_mamba": "scancraft.SignedMambaForCausalLM",
    "falcon_mamba": "transformers.FalconMambaForCausalLM",
    "mamba2": "transformers.Mamba2ForCausalLM",
}
"""How a certificate names the class that ``config.json`` calls by its ``model_type``."""
Format = tuple[int, int, int]
FORMATS: dict[str, Format] = {"float32": (24, -126, 127), "bfloat16": (8, -126, 127), "float16": (11, -14, 15)}
"""Significant bits, and the least and greatest exponent of a normal number."""
ACCUMULATOR = FORMATS["float32"]
LARGEST_BATCH = 4096


class RejectedError(ScancraftError):
    """A certificate does not prove what it claims."""


@dataclass(frozen=True)
class CheckedCertificate:
    """What became of a certificate.

    Attributes:
        accepted: whether everything that it claims was verified.
        reason: "" if so, else what failed, and where.
        scope: the scope that was verified, "" if rejected.
        steps: steps of the model that were recomputed.
        transitions: listed transitions that were checked.
        obligations: names of the obligations that were verified again; none for scope "step", where the entries of the
            certificate are notes of the search that nothing rests on.
        seconds: how long it took.
    """

    accepted: bool
    reason: str
    scope: str
    steps: int
    transitions: int
    obligations: tuple[str, ...]
    seconds: float

    def as_json(self) -> dict[str, object]:
        """For machines."""
        verdict = "certified" if self.accepted else "rejected"
        return {
            "verdict": verdict,
            **vars(self),
            "obligations": list(self.obligations),
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        return "the certificate is valid" if self.accepted else f"the certificate is not valid: {self.reason}"


def check_certificate(directory: str | PathLike[str]) -> CheckedCertificate:
    """Validate the certificate in a checkpoint directory against the weights and the language beside it.

    Whatever is wrong with the files is a rejection with the reason, never an exception. O(transitions) integer work and
    one step of the model per distinct (input vector, own state).
    """
    started = time.perf_counter()
    done = _Done()
    try:
        scope, reason = _check(Path(directory), done), ""
    except RejectedError as error:
        scope, reason = "", str(error)
    except Exception as error:  # files written by an adversary can fail in any way; all of them are rejections
        scope, reason = "", f"a file is malformed: {type(error).__name__}: {error}"
    names = tuple(NAMES) if scope == "every-implementation" else ()
    return CheckedCertificate(
        not reason, reason, scope, done.steps, done.transitions, names, time.perf_counter() - started
    )


@dataclass
class _Done:
    steps: int = 0
    transitions: int = 0


def _reject(reason: str) -> NoReturn:
    raise RejectedError(reason)


def _need(condition: object, reason: str) -> None:
    if not condition:
        _reject(reason)


def _first(bad: Any) -> int:
    """The first position that is True, for a message; -1 if there is none."""
    return next(iter(np.flatnonzero(bad).tolist()), -1)


def _check(directory: Path, done: _Done) -> str:
    """The scope that was verified."""
    content, manifest = _read_json(directory / "certificate.json"), _read_json(directory / "scancraft.json")
    _check_words(content)
    _need(content["sha256"].get("content") == _content_digest(content), "certificate.json: its own sha256 is another")
    if content["method"] in CONSTRUCTIONS:  # that module builds on this one, so it is loaded here, when it is needed
        module = import_module(f"{__package__}.constructions")
        return str(module.check_construction(directory, content, manifest, done))
    language = _read_language(content["language"])
    digest = hashlib.sha256(json.dumps(language.value, separators=(",", ":")).encode()).hexdigest()
    _need(content["sha256"]["language"] == digest, "certificate.json: the sha256 of the language is another")
    _same_language(language, manifest["language"]["dfa"])
    readout = content["readout"]
    _check_readout(readout, content["contract"], language, manifest)

    machine, embedded, arrays = _open(directory, content, language.symbols)
    stages = content["counts"]["stages"]
    graph = _first_graph(arrays, language, content["contract"] == "live-prefixes", embedded)
    obligations = None
    if content["scope"] == "every-implementation":
        obligations = _Obligations(content["dtype"], machine.model)
    graph, counts, end = _check_stages(content["method"], stages, arrays, graph, language, machine, done, obligations)
    _need(end == len(machine.blocks), f"the stages end at block {end}, the model at {len(machine.blocks)}")
    _need(content["method"] == "block by block" or stages == 1, 'method "whole model" with several stages')
    counts["readouts"] = len(graph.nodes)
    _need(content["counts"] == counts, f"counts: the evidence has {counts}, the certificate says {content['counts']}")

    columns = [*(readout["next_symbol"][s] for s in language.symbols), readout["accept"]]
    vectors = graph.vectors[graph.nodes[:, 2]]
    scores = machine.logits(vectors)[:, columns]
    wrong = ((scores > 0) != language.allowed()[graph.nodes[:, 1]]).any(axis=1) | ~np.isfinite(scores).all(axis=1)
    for n in np.flatnonzero(wrong)[:1]:
        _reject(f"read-out {n}: in DFA state {graph.nodes[n, 1]} the model's scores are {scores[n].tolist()}")
    margin = float(np.abs(scores).min())
    _need(content["margin"] == margin, f"margin: it is {margin:g}, the certificate says {content['margin']}")
    if obligations is not None:
        obligations.check_head(vectors, scores, columns)
        obligations.compare(content["obligations"])
    return str(content["scope"])


def _open(directory: Path, content: dict[str, Any], symbols: list[str]) -> tuple[_Machine, Any, dict[str, Any]]:
    """The model, the embedding of each letter and of ``<bos>``, and the evidence, as far as digests and shapes go."""
    model = _load_model(directory, getattr(torch, content["dtype"]))
    named, found = content["implementation"]["model"], MODELS[model.config.model_type]
    _need(named == found, f"implementation: the certificate is about {named}, config.json about {found}")
    machine = _Machine(model, content["batch"])
    weights = _tensors_digest(machine.model.state_dict())
    _need(content["sha256"]["weights"] == weights, "model.safetensors: these are not the weights that were certified")
    readout = content["readout"]
    tokens = [*(readout["tokens"][s] for s in symbols), readout["bos"]]
    _need(max(*tokens, readout["accept"]) < machine.model.config.vocab_size, "readout: a token is past the vocabulary")

    tensors = _read_tensors(directory / "certificate.safetensors")
    _need(content["sha256"]["evidence"] == _tensors_digest(tensors), "certificate.safetensors: its sha256 is another")
    _check_shapes(tensors, content["counts"]["stages"])
    arrays = {name: tensor.numpy() + 0 for name, tensor in tensors.items()}  # + 0 turns -0.0 into +0.0
    return machine, machine.embed(tokens), arrays


def _check_stages(
    method: str,
    stages: int,
    arrays: dict[str, Any],
    graph: _Graph,
    language: _Language,
    machine: _Machine,
    done: _Done,
    obligations: _Obligations | None,
) -> tuple[_Graph, dict[str, int], int]:
    """All stages in turn: the last one's output graph, what they list, and the block that they end at."""
    counts = {"stages": stages, "events": 0, "transitions": 0, "own_states": 0}
    end = 0
    for i in range(stages):
        first, last = arrays[f"stage{i}.blocks"].tolist()
        _need(
            first == end < last <= len(machine.blocks), f"stage {i}: blocks {first}..{last} do not follow block {end}"
        )
        end = last
        _need(method == "whole model" or last == first + 1, f"stage {i} has several blocks: not the method")
        graph, steps = _check_stage(i, i + 1 == stages, arrays, graph, language, machine, done)
        if obligations is not None:
            obligations.check_stage(i, machine, first, last, steps)
        counts["events"] += len(arrays[f"stage{i}.events"])
        counts["transitions"] += len(arrays[f"stage{i}.transitions"])
        counts["own_states"] += len(arrays[f"stage{i}.states"])
    return graph, counts, end


# -- what the certificate says ------------------------------------------------------------------------------------


def _read_json(path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _need(len(dict(pairs)) == len(pairs), f"{path.name}: a key occurs twice in one object")
        return dict(pairs)

    _need(path.is_file(), f"{path.name} is missing")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (OSError, ValueError, RecursionError) as error:
        raise RejectedError(f"{path.name} cannot be read: {error}") from error
    _need(isinstance(value, dict), f"{path.name} is no JSON object")
    return dict(value)


def _content_digest(content: dict[str, Any]) -> str:
    """sha256 of the certificate's text, without this digest itself."""
    bare = {**content, "sha256": {k: v for k, v in content["sha256"].items() if k != "content"}}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _check_words(content: dict[str, Any]) -> None:
    """Everything in ``certificate.json`` that can be judged by itself."""
    _need(content.get("schema_version") == 1, f"schema_version is {content.get('schema_version')!r}, known is 1")
    construction = content.get("method") in CONSTRUCTIONS
    keys = KEYS | {"limits"} if construction else KEYS
    _need(set(content) == keys, f"certificate.json: missing or unknown keys {sorted(set(content) ^ keys)}")
    choices: dict[str, list[Any]] = {
        "verdict": ["certified"],
        "word": [None],
        "scope": ["step", "every-implementation"],
        "contract": ["all-words", "live-prefixes"],
        "method": ["block by block", "whole model", *CONSTRUCTIONS],
        "dtype": list(FORMATS),
    }
    for key, known in choices.items():
        _need(content[key] in known, f"{key} {content[key]!r} is unknown; known: {known}")
    every = "prefix of every word" if content["contract"] == "all-words" else "live prefix"
    extent = "as long as no counter exceeds its limit" if content["method"] == "counters" else "of any length"
    claim = f"after every {every}, {extent}, each token is allowed by the model iff the language allows it"
    _need(content["claim"] == claim, "claim: not the sentence that this certificate can support")
    batch = content["batch"]
    _need(type(batch) is int and 1 <= batch <= LARGEST_BATCH, f"batch is {batch!r}, not in 1..{LARGEST_BATCH}")
    stages = content["counts"]["stages"]
    _need(type(stages) is int and (stages > 0 or (construction and stages == 0)), "counts: no stage")
    named = content["implementation"]
    _need(named["model"] in MODELS.values(), f"implementation: unknown model {named['model']!r}")
    if content["scope"] == "step":  # such a certificate speaks of one implementation, and we can run only this one
        import transformers

        ours = {"torch": torch.__version__, "transformers": transformers.__version__, "device": "cpu"}
        if named["model"].startswith("scancraft."):
            ours["scancraft"] = version("scancraft")
        theirs = {key: named[key] for key in ours}
        _need(theirs == ours, f"scope step: certified with {theirs}, this is {ours}; certify again")
    entries = content["obligations"]
    _need([e["name"] for e in entries] == NAMES, f"obligations: not exactly {', '.join(NAMES)}")
    for entry in entries:
        _need(set(entry) == {"name", "holds", "checked", "detail"}, f"obligation {entry['name']}: unknown keys")
        if content["scope"] == "every-implementation":
            _need(entry["holds"] is True, f"obligation {entry['name']} does not hold, which the scope contradicts")


class _Language(NamedTuple):
    symbols: list[str]
    table: Ints
    accepting: Bools
    live: Bools

    @property
    def value(self) -> dict[str, object]:
        """What is hashed."""
        accepting = np.flatnonzero(self.accepting).tolist()
        return {"alphabet": self.symbols, "table": self.table.tolist(), "accepting": accepting}

    def allowed(self) -> Bools:
        """Per state: each next symbol, then the end of the word."""
        return np.concatenate([self.live[self.table], self.accepting[:, None]], axis=1)


def _read_language(given: dict[str, Any]) -> _Language:
    symbols, states, rows = given["alphabet"], given["states"], given["transitions"]
    number = {q: n for n, q in enumerate(states)}
    _need(len(number) == len(states) and set(rows) == set(states), "language: states and transitions differ")
    _need(len(set(symbols)) == len(symbols), "language: a symbol occurs twice")
    _need(all(set(row) == set(symbols) for row in rows.values()), "language: a state lacks transitions")
    table = np.array([[number[rows[q][s]] for s in symbols] for q in states], dtype=np.int64)
    found = list(dict.fromkeys([0]))
    for q in found:
        found += [t for t in dict.fromkeys(table[q].tolist()) if t not in found]
    _need(given["initial"] == states[0] and found == list(range(len(states))), "language: not in canonical order")
    accepting = np.array([q in given["accepting"] for q in states])
    _need(set(given["accepting"]) <= set(states), "language: an accepting state is no state")
    live = accepting.copy()
    for _ in states:
        live |= live[table].any(axis=1)
    return _Language(list(symbols), table, accepting, live)


def _same_language(language: _Language, other: dict[str, Any]) -> None:
    """Walk both tables from their initial states; where the manifest's has no transition, None is its dead state."""
    _need(sorted(other["alphabet"]) == sorted(language.symbols), "language: scancraft.json has other symbols")
    pairs: dict[tuple[int, str | None], None] = {(0, other["initial"]): None}
    todo = list(pairs)
    for p, q in todo:
        agree = language.accepting[p] == (q in other["accepting"])
        _need(agree, f"language: scancraft.json differs; its state {q!r} answers to state {p} of the certificate")
        for a, symbol in enumerate(language.symbols):
            pair = (int(language.table[p, a]), other["transitions"].get(q, {}).get(symbol))
            if pair not in pairs:
                pairs[pair] = None
                todo.append(pair)


def _check_readout(readout: dict[str, Any], contract: str, language: _Language, manifest: dict[str, Any]) -> None:
    special = manifest.get("special_tokens", {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"})
    tokens = dict(manifest["tokens"])
    bos, eos, _ = (tokens.pop(special[name]) for name in ("bos", "eos", "pad"))
    says = {"tokens": tokens, "bos": bos, "accept": eos, "next_symbol": tokens, "threshold": 0.0}
    for key in [*says, *readout]:
        _need(key in says and readout.get(key) == says[key], f"readout: {key} is not what scancraft.json says")
    _need(set(tokens) == set(language.symbols), "readout: scancraft.json has tokens for other symbols")
    ids = [*tokens.values(), bos, eos]
    _need(all(type(n) is int and n >= 0 for n in ids) and len(set(ids)) == len(ids), "readout: tokens are not distinct")
    _need(manifest["contract"] == contract, f"contract: {contract!r}, but scancraft.json says {manifest['contract']!r}")


# -- tensors and the model ----------------------------------------------------------------------------------------


def _read_tensors(path: Path) -> dict[str, Tensor]:
    _need(path.is_file(), f"{path.name} is missing")
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise RejectedError(f"{path.name} cannot be read: {error}") from error


def _tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        kind = "<f4" if tensor.is_floating_point() else "<i8"
        numbers = tensor.detach().to(torch.float32 if kind == "<f4" else torch.int64).numpy().astype(kind)
        digest.update(f"{name}{list(numbers.shape)}".encode() + numbers.tobytes())
    return digest.hexdigest()


def _check_shapes(tensors: Mapping[str, Tensor], stages: int) -> None:
    columns = {"blocks": None, "nodes": 3, "events": 3, "transitions": 2, "states": 0, "vectors": 0}
    expected = {"inputs": 0, "final.nodes": 3} | {f"stage{i}.{k}": c for i in range(stages) for k, c in columns.items()}
    _need(set(tensors) == set(expected), f"evidence: missing or unknown {sorted(set(tensors) ^ set(expected))}")
    for name, width in expected.items():
        tensor = tensors[name]
        _need(tensor.dtype == (torch.float32 if width == 0 else torch.int64), f"{name}: has dtype {tensor.dtype}")
        fits = (
            tensor.shape == (2,)
            if width is None
            else tensor.ndim == 2 and tensor.shape[1] in {width or tensor.shape[1]}
        )
        _need(fits and (len(tensor) or name.endswith("transitions")), f"{name}: has shape {tuple(tensor.shape)}")


def _model_class(model_type: object) -> tuple[Any, Any]:
    """The configuration and the model class of a model type."""
    if model_type == "signed_mamba":
        from ...models.signed_mamba import SignedMambaConfig, SignedMambaForCausalLM

        return SignedMambaConfig, SignedMambaForCausalLM
    if model_type == "falcon_mamba":
        from transformers import FalconMambaConfig, FalconMambaForCausalLM

        return FalconMambaConfig, FalconMambaForCausalLM
    if model_type == "mamba2":
        from transformers import Mamba2Config, Mamba2ForCausalLM

        return Mamba2Config, Mamba2ForCausalLM
    from transformers import MambaConfig, MambaForCausalLM

    return MambaConfig, MambaForCausalLM


def _load_model(directory: Path, dtype: torch.dtype) -> Any:
    state = _read_tensors(directory / "model.safetensors")
    for name, tensor in state.items():
        _need(torch.isfinite(tensor.to(dtype)).all(), f"model.safetensors: {name} holds a NaN or an infinity")
    config = _read_json(directory / "config.json")
    _need(config.get("tie_word_embeddings") is False, "config.json: it ties the embeddings, so lm_head is not used")
    _need(
        config.get("dtype", "float32") in ("float32", "bfloat16", "float64"),
        f"config.json: transformers would load the model in {config.get('dtype')}, which is not certified",
    )
    kind = config.pop("model_type", None)
    _need(kind in list(MODELS), f"config.json: the model_type {kind!r} is unknown; known: {', '.join(MODELS)}")
    config_class, model_class = _model_class(kind)
    with torch.device("meta"):  # no need to draw random weights first
        model: Any = model_class(config_class(**config))
    try:
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise RejectedError(f"model.safetensors does not fit config.json: {error}") from error
    for module in model.modules():  # buffers are not in the file: Falcon-Mamba has ones, which no step reads
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, torch.ones_like(buffer, device="cpu"), persistent=False)
    return model.to(dtype=dtype).eval()


class _Machine:
    """The model's own blocks, run from states that we put into their cache, in batches of the certificate's size."""

    def __init__(self, model: Any, batch: int) -> None:
        self.model, self.batch, self.blocks = model, batch, list(model.backbone.layers)
        mixer = self.blocks[0].mixer
        # Mamba-2's convolution has B and C beside x, and its states are those of heads.
        self.two = model.config.model_type == "mamba2"
        self.shape = (mixer.conv_dim if self.two else mixer.intermediate_size, mixer.conv_kernel_size)
        heads = (mixer.num_heads, mixer.head_dim) if self.two else (mixer.intermediate_size,)
        self.states = (*heads, mixer.ssm_state_size)
        self.conv = int(np.prod(self.shape))
        self.size = self.conv + int(np.prod(self.states))
        self.dtype = mixer.in_proj.weight.dtype
        # An input that only taps with weight 0 will meet again is forgotten: it cannot change any later number.
        self.kept = []
        for block in self.blocks:
            taps = block.mixer.conv1d.weight.detach().float().numpy()[:, 0, :] != 0
            kept = np.zeros_like(taps)
            for position in range(1, taps.shape[1]):
                kept[:, position] = taps[:, :position].any(axis=1)
            self.kept.append(kept.reshape(-1))

    @torch.no_grad()
    def embed(self, tokens: list[int]) -> NDArray[np.float32]:
        return np.asarray(self.model.backbone.embeddings(torch.tensor(tokens)).float().numpy() + 0.0)

    def _batches(self, *arrays: Any) -> Iterator[tuple[int, list[Tensor]]]:
        for at in range(0, len(arrays[0]), self.batch):
            rows = np.minimum(np.arange(at, at + self.batch), len(arrays[0]) - 1)
            yield min(self.batch, len(arrays[0]) - at), [torch.from_numpy(array[rows]) for array in arrays]

    @torch.no_grad()
    def logits(self, vectors: Any) -> NDArray[np.float32]:
        out = []
        for size, (chunk,) in self._batches(vectors):
            normed = self.model.backbone.norm_f(chunk)
            out.append(self.model.lm_head(normed.to(self.model.lm_head.weight.dtype))[:size].float().numpy())
        return np.concatenate(out)

    @torch.no_grad()
    def step(self, first: int, last: int, vectors: Any, states: Any) -> tuple[Any, Any]:
        """Vectors and states after blocks ``first`` to ``last``; ``states`` None for the first token of a word."""
        from transformers import DynamicCache

        streams, owns = [], []
        for size, (chunk, *before) in self._batches(*([vectors] if states is None else [vectors, states])):
            cache = DynamicCache(config=self.model.config)
            hidden = chunk[:, None, :].to(torch.float32 if self.model.config.residual_in_fp32 else self.dtype)
            after = []
            for number in range(first, last):
                layer: Any = cache.layers[number]
                if before:
                    own = before[0][:, (number - first) * self.size : (number - first + 1) * self.size]
                    conv = own[:, : self.conv].reshape(-1, *self.shape).to(self.dtype)
                    ssm = own[:, self.conv :].reshape(len(own), *self.states)
                    layer.lazy_initialization(conv_states=conv, recurrent_states=ssm)
                    layer.conv_states[0].copy_(conv)
                    layer.recurrent_states[0].copy_(ssm)
                    layer.has_previous_state[0] = True
                hidden = self.blocks[number](hidden, cache_params=cache)
                window = layer.conv_states[0].float().flatten(1)
                after.append(window * torch.from_numpy(self.kept[number]))
                after.append(layer.recurrent_states[0].float().flatten(1))
            streams.append(hidden[:size, 0].float().numpy() + 0.0)
            owns.append(torch.cat(after, dim=1)[:size].numpy() + 0.0)
        return np.concatenate(streams), np.concatenate(owns)


# -- the invariant ------------------------------------------------------------------------------------------------


class _Graph(NamedTuple):
    """Nodes (letter, DFA state, row of ``vectors``); ``pairs``: sorted codes n * len(nodes) + m of "m can follow n"."""

    nodes: Ints
    vectors: Any
    pairs: Ints


class _Steps(NamedTuple):
    """Distinct steps of a stage: input vectors, own states before and after, output vectors."""

    vectors: Any
    before: Any
    after: Any
    out: Any


def _distinct(rows: Any, name: str, limits: tuple[int, ...] = ()) -> None:
    """No row twice, and, for integers, every column in range."""
    _need(len({row.tobytes() for row in rows}) == len(rows), f"{name}: a row occurs twice")
    for column, limit in enumerate(limits):
        bad = (rows[:, column] < 0) | (rows[:, column] >= limit)
        _need(not bad.any(), f"{name}: column {column} has a number outside 0..{limit - 1}")


def _first_graph(
    arrays: dict[str, Any], language: _Language, live_only: bool, embedded: Any, name: str = "stage0.nodes"
) -> _Graph:
    nodes, inputs, bos = arrays[name], arrays["inputs"], len(language.symbols)
    _distinct(nodes, name, (bos + 1, len(language.table), bos + 1))
    _need((nodes[:, 0] == nodes[:, 2]).all(), f"{name}: a node has another letter's vector")
    _need(nodes[0].tolist() == [bos, 0, bos], f"{name}: node 0 is not <bos> in the initial state")
    used = np.unique(nodes[:, 0])
    _need(inputs.shape == embedded.shape, f"inputs: has shape {inputs.shape}, the embeddings {embedded.shape}")
    _need(np.array_equal(inputs[used], embedded[used]), "inputs: a row is not the model's embedding")
    number = {(letter, truth): n for n, (letter, truth, _) in enumerate(nodes.tolist())}
    pairs = []
    for n, (_, truth, _) in enumerate(nodes.tolist()):
        for letter, target in enumerate(language.table[truth].tolist()):
            if live_only and not language.live[target]:
                continue
            follower = number.get((letter, target))
            if follower is None:
                _reject(f"{name}: nothing for letter {letter} after node {n}")
            pairs.append(n * len(nodes) + follower)
    return _Graph(nodes, inputs, np.array(sorted(pairs), dtype=np.int64))


def _check_stage(
    i: int, final: bool, arrays: dict[str, Any], graph: _Graph, language: _Language, machine: _Machine, done: _Done
) -> tuple[_Graph, _Steps]:
    """Closure and correctness of one stage; the graph that the next stage must read, and the distinct steps."""
    first, last = arrays[f"stage{i}.blocks"].tolist()
    events, transitions, states, vectors = (
        arrays[f"stage{i}.{key}"] for key in ("events", "transitions", "states", "vectors")
    )
    count = len(graph.nodes)
    _need(states.shape[1] == (last - first) * machine.size, f"stage{i}.states: rows of the wrong length")
    _need(vectors.shape[1] == graph.vectors.shape[1], f"stage{i}.vectors: rows of the wrong length")
    _distinct(states, f"stage{i}.states")
    _distinct(vectors, f"stage{i}.vectors")
    _distinct(events, f"stage{i}.events", (count, len(states), len(vectors)))
    _distinct(transitions, f"stage{i}.transitions", (len(events), len(events)))

    out, own = machine.step(first, last, graph.vectors[graph.nodes[:1, 2]], None)
    good = events[0, 0] == 0 and np.array_equal(own[0], states[events[0, 1]])
    _need(good and np.array_equal(out[0], vectors[events[0, 2]]), f"stage {i}: event 0 is not what <bos> does")
    source, target = transitions.T
    node = events[target, 0]
    bad = ~np.isin(events[source, 0] * count + node, graph.pairs)
    _need(not bad.any(), f"stage {i}: transition {_first(bad)} reads a node that cannot come next")
    # Closed: the listed (event, next node) are allowed and distinct, so they are all of them iff there are enough.
    ways = np.bincount(graph.pairs // count, minlength=count)
    listed = np.bincount(np.unique(source * count + node) // count, minlength=len(events))
    bad = listed != ways[events[:, 0]]
    _need(not bad.any(), f"stage {i}: the list is not closed: event {_first(bad)} lacks a transition")

    _, which, step = np.unique(
        graph.nodes[node, 2] * len(states) + events[source, 1], return_index=True, return_inverse=True
    )
    bad = (events[target, 1:] != events[target[which], 1:][step.reshape(-1)]).any(axis=1)
    _need(not bad.any(), f"stage {i}: transition {_first(bad)} contradicts another one of the same step")
    steps = _Steps(
        np.concatenate([graph.vectors[graph.nodes[:1, 2]], graph.vectors[graph.nodes[node[which], 2]]]),
        np.concatenate([np.zeros_like(own), states[events[source[which], 1]]]),
        np.concatenate([own, states[events[target[which], 1]]]),
        np.concatenate([out, vectors[events[target[which], 2]]]),
    )
    if len(which):
        out, own = machine.step(first, last, steps.vectors[1:], steps.before[1:])
        bad = (out != steps.out[1:]).any(axis=1) | (own != steps.after[1:]).any(axis=1)
        _need(not bad.any(), f"stage {i}: transition {which[max(_first(bad), 0)]} is not what the model's step gives")
    done.steps += len(which) + 1
    done.transitions += len(transitions)

    name = "final.nodes" if final else f"stage{i + 1}.nodes"
    following = arrays[name]
    _distinct(following, name, (len(language.symbols) + 1, len(language.table), len(vectors)))
    scale = np.array([len(language.table) * len(vectors), len(vectors), 1])
    wanted = np.concatenate([graph.nodes[events[:, 0], :2], events[:, 2:]], axis=1) @ scale
    order = np.argsort(following @ scale)
    place = np.searchsorted((following @ scale)[order], wanted)
    output = order[np.minimum(place, len(order) - 1)]
    bad = (following @ scale)[output] != wanted
    _need(not bad.any(), f"{name}: nothing for event {_first(bad)} of stage {i}")
    _need(output[0] == 0, f"{name}: node 0 is not that of event 0")
    pairs = np.unique(output[source] * len(following) + output[target])
    return _Graph(following, vectors, pairs), steps


# -- the obligations, in integers ---------------------------------------------------------------------------------

NAMES = ["gates", "sums", "functions", "rmsnorm"]
ROWS = 2048
NOTHING = 1 << 20
"""Stands for the exponent of 0."""


class _Dyadic(NamedTuple):
    """Numbers odd * 2^exp; 0 is 0 * 2^0."""

    odd: Ints
    exp: Ints

    def map(self, change: Any) -> _Dyadic:
        """The same rearrangement of both arrays."""
        return _Dyadic(change(self.odd), change(self.exp))

    def __mul__(self, other: object) -> _Dyadic:
        """Products; exact as long as both have at most 31 bits, which is checked of every number on the way here."""
        assert isinstance(other, _Dyadic)
        odd = self.odd * other.odd
        return _Dyadic(odd, np.where(odd == 0, 0, self.exp + other.exp))

    def floats(self) -> Floats:
        return np.ldexp(self.odd.astype(np.float64), self.exp)


def _normal(numbers: Ints, exponents: Ints) -> _Dyadic:
    """Numbers * 2^exponents with every factor of two moved to the exponent."""
    _, place = np.frexp((numbers & -numbers).astype(np.float64))
    zeros = np.maximum(place.astype(np.int64) - 1, 0)
    return _Dyadic(numbers >> zeros, np.where(numbers == 0, 0, exponents + zeros))


def _exact(values: Any) -> _Dyadic:
    """Floating-point numbers as they are."""
    values = values.detach().double().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=np.float64)
    fraction, exponent = np.frexp(values)
    return _normal(np.ldexp(fraction, 53).astype(np.int64), exponent.astype(np.int64) - 53)


def _join(parts: list[_Dyadic], axis: int) -> _Dyadic:
    return _Dyadic(np.concatenate([p.odd for p in parts], axis), np.concatenate([p.exp for p in parts], axis))


def _where(condition: Bools, chosen: _Dyadic) -> _Dyadic:
    """``chosen``, or 0."""
    return chosen.map(lambda a: np.where(condition, a, 0))


class _Selected(NamedTuple):
    """Of one step: x (rows, channels); where the gate is 1 or -1, not 0, and writes (rows, channels, states); C."""

    x: _Dyadic
    held: Bools
    write: _Dyadic
    c: _Dyadic


class _Obligations:
    """Computes steps in integers and verifies the obligations on the way; the first that fails is a rejection."""

    def __init__(self, dtype: str, model: Any) -> None:
        self.stored = FORMATS[dtype]
        self.model = model
        self.checked = dict.fromkeys(NAMES, 0)
        self.largest = 0

    def need(self, name: str, good: Bools, where: str) -> None:
        self.checked[name] += good.size
        _need(good.all(), f"obligation {name}: {where}: {int((~good).sum())} of {good.size} instances fail")

    def fits(self, numbers: _Dyadic, stored: Format | None = None) -> Bools:
        """Whether each number is 0 or a normal number of a format (the model's unless told otherwise)."""
        bits, low, high = stored or self.stored
        _, length = np.frexp(np.abs(numbers.odd).astype(np.float64))
        top = numbers.exp + length - 1
        good: Bools = (numbers.odd == 0) | ((length <= bits) & (low <= top) & (top <= high))
        return good

    def add(self, terms: _Dyadic, starts: Ints, stored: Format | None = None) -> tuple[_Dyadic, Bools]:
        """Sums over runs of columns; whether no order of summation in float32 rounds and the result fits."""
        zero = terms.odd == 0
        quantum = np.minimum.reduceat(np.where(zero, NOTHING, terms.exp), starts, axis=1)
        quantum = np.where(quantum == NOTHING, 0, quantum)
        shift = terms.exp - np.repeat(quantum, np.diff(np.append(starts, terms.odd.shape[1])), axis=1)
        # A term of more than 2^24 quanta breaks the bound by itself; set aside, it cannot overflow the integers here.
        tame = zero | ((shift <= 24) & (np.abs(terms.odd) <= 1 << 24))
        scaled = np.where(tame, terms.odd, 0) << np.where(tame & ~zero, shift, 0)
        # Every partial sum, in any order, lies between the sums of the negative terms and of the positive ones.
        signs = (np.maximum(scaled, 0), np.maximum(-scaled, 0))
        size = np.maximum(*(np.add.reduceat(part, starts, axis=1) for part in signs))
        self.largest = max(self.largest, int(size.max(initial=0)))
        total = _normal(np.add.reduceat(scaled, starts, axis=1), quantum)
        good = np.logical_and.reduceat(tame, starts, axis=1) & (size <= 1 << 24)
        good &= (quantum >= -126) & (np.ldexp(size.astype(np.float64), quantum) <= torch.finfo(torch.float32).max)
        return total, good & self.fits(total, stored)

    def linear(self, parts: list[tuple[Any, _Dyadic]], where: str, stored: Format | None = None) -> _Dyadic:
        """The sum of weight @ inputs over the parts."""
        weight = np.concatenate([_array(w) for w, _ in parts], axis=1)
        inputs = _join([x for _, x in parts], 1)
        o, i = np.nonzero(weight)
        used = np.unique(i)
        inputs = inputs.map(lambda a: np.ascontiguousarray(a[:, used]))
        seen: dict[bytes, int] = {}  # rows that agree where the weights look are computed once
        rows = zip(inputs.odd, inputs.exp, strict=True)
        place = [seen.setdefault(odd.tobytes() + exp.tobytes(), len(seen)) for odd, exp in rows]
        _, first = np.unique(place, return_index=True)
        starts = np.flatnonzero(np.diff(o, prepend=-1))
        total = _Dyadic(*(np.zeros((len(first), len(weight)), dtype=np.int64) for _ in range(2)))
        good = np.ones((len(first), len(weight)), dtype=bool)
        if len(o):
            gather = np.searchsorted(used, i)
            terms = inputs.map(lambda a: a[first][:, gather]) * _exact(weight[o, i][None])
            (total.odd[:, o[starts]], total.exp[:, o[starts]]), good[:, o[starts]] = self.add(terms, starts, stored)
        total, good = total.map(lambda a: a[place]), good[place]
        self.need("sums", good, where)
        return total

    def function(self, name: str, x: _Dyadic, where: str) -> _Dyadic:
        """silu or softplus, where each is exact: the identity from 64 on, 0 up to -1024 (and silu at 0)."""
        values = x.floats()
        vanishes = (values <= -1024) | ((values == 0) & (name == "silu"))
        self.need("functions", vanishes | (values >= 64), f"{where}: {name}")
        return _where(values >= 64, x)

    def scale(self, norm: Any, stream: _Dyadic, where: str, more: Any = 0.0) -> Ints:
        """The exponent of the power of two that RMSNorm divides by, per row.

        2^k equal squares carry the mean, and the rest is below half a unit in the last place of one. ``more`` bounds
        what is still to be added to each entry.
        """
        sizes, width = np.abs(stream.floats()), stream.odd.shape[1]
        top = sizes.max(axis=1, keepdims=True)
        big = sizes == top
        count = big.sum(axis=1)
        # One square is 4^exp if it is a power of two at all.
        exp = np.where(big, stream.exp, -NOTHING).max(axis=1)
        twos = np.frexp(count)[1] - np.frexp(width)[1]
        with np.errstate(over="ignore"):
            rest = np.where(big, 0.0, (sizes + more) ** 2).sum(axis=1) + _epsilon(norm) * width
        good = (
            ~(big & (more != 0)).any(axis=1)
            & (np.where(big, np.abs(stream.odd), 1) == 1).all(axis=1)
            & (count & (count - 1) == 0)
        )
        good &= (width & (width - 1) == 0) & (twos % 2 == 0) & (rest <= np.ldexp(1.0, 2 * exp - 25))
        good &= (2 * exp + np.frexp(count)[1] <= 127) & (2 * exp + twos >= -126)
        self.need("rmsnorm", good, where)
        return np.asarray(exp + twos // 2)

    def plain_norm(self, norm: Any, values: _Dyadic, where: str) -> _Dyadic:
        """RMSNorm without weights, likewise; a row of zeros stays one, whatever it is divided by."""
        live = (values.odd != 0).any(axis=1)
        exp = np.zeros(len(live), dtype=np.int64)
        exp[live] = self.scale(norm, values.map(lambda a: a[live]), where)
        normed = _Dyadic(values.odd, np.where(values.odd == 0, 0, values.exp - exp[:, None]))
        self.need("sums", self.fits(values) & self.fits(normed), f"{where}: rounding")
        return normed

    def norm(self, norm: Any, stream: _Dyadic, where: str) -> _Dyadic:
        """RMSNorm, where it multiplies by a power of two."""
        exp = self.scale(norm, stream, where)
        normed = _Dyadic(stream.odd, np.where(stream.odd == 0, 0, stream.exp - exp[:, None]))
        result = normed * _exact(norm.weight)
        self.need("sums", self.fits(stream) & self.fits(normed) & self.fits(result), f"{where}: rounding")
        return result

    def project(self, block: Any, stream: _Dyadic, where: str) -> tuple[_Dyadic, _Dyadic]:
        """The inputs of a block's convolution, and of its gate branch."""
        d, one = block.mixer.intermediate_size, _exact(np.ones((len(stream.odd), 1)))
        normed = self.norm(block.norm, stream, f"{where} norm")
        parts = [(block.mixer.in_proj.weight, normed), *_bias(block.mixer.in_proj, one)]
        projected = self.linear(parts, f"{where} in_proj")
        return projected.map(lambda a: a[:, :d]), projected.map(lambda a: a[:, d:])

    def select(self, block: Any, window: _Dyadic, where: str) -> _Selected:
        """What a block computes from the convolution's window; no gate is -1."""
        chosen, turned = self.steer(block, window, where)
        self.need("gates", ~(chosen.held & turned), f"{where}: a gate of -1, which this argument does not cover")
        return chosen

    def affine(self, projection: Any, dt: _Dyadic, where: str) -> _Dyadic:
        """A projection of dt, with its bias."""
        self.linear([(projection.weight, dt)], where)  # stored before the bias is added
        return self.linear([(projection.weight, dt), *_bias(projection, _exact(np.ones((len(dt.odd), 1))))], where)

    def steer(self, block: Any, window: _Dyadic, where: str) -> tuple[_Selected, Bools]:
        """What a block computes from the convolution's window, and where the signs of the gates are negative.

        The latter has the shape (rows, channels, 1); it is False throughout if the block has no signs.
        """
        mixer = block.mixer
        d, n, rank, rows = mixer.intermediate_size, mixer.ssm_state_size, mixer.time_step_rank, len(window.odd)
        one = _exact(np.ones((rows, 1)))
        taps = _array(mixer.conv1d.weight)[:, 0, :]
        spread = (np.eye(d)[:, :, None] * taps[None]).reshape(d, -1)
        flat = window.map(lambda a: a.reshape(rows, -1))
        convolved = self.linear([(spread, flat), *_bias(mixer.conv1d, one)], f"{where} conv1d")
        self.need("functions", np.full(rows, mixer.activation == "silu"), f"{where}: activation {mixer.activation}")
        x = self.function("silu", convolved, f"{where} conv1d")
        selected = self.linear([(mixer.x_proj.weight, x)], f"{where} x_proj")
        dt, b, c = (
            selected.map(lambda a, s=s: a[:, s]) for s in (slice(0, rank), slice(rank, rank + n), slice(rank + n, None))
        )
        children = dict(mixer.named_children())
        if "dt_layernorm" in children:  # Falcon-Mamba
            dt, b, c = (
                self.plain_norm(children[f"{name}_layernorm"], part, f"{where} norm of {name}")
                for name, part in (("dt", dt), ("b", b), ("c", c))
            )
        before = self.affine(mixer.dt_proj, dt, f"{where} dt_proj")
        delta = self.function("softplus", before, f"{where} dt_proj").map(lambda a: a[:, :, None])
        turned = np.zeros((rows, d, 1), dtype=bool)
        if "sign_proj" in children:
            signs = self.affine(mixer.sign_proj, dt, f"{where} sign_proj").floats()
            self.need("functions", np.abs(signs) >= 64, f"{where} sign_proj: tanh")  # 1 - tanh(64) < 2^-183
            turned = signs[:, :, None] < 0

        with np.errstate(over="ignore"):
            rate = np.exp(_array(mixer.A_log))[None]
        decay = delta.floats() * np.minimum(rate, 2.0**100)
        held = (delta.odd == 0) | (rate == 0) | (decay <= 2.0**-30)  # 1 - exp(-2^-30) < 2^-25: it rounds to 1
        self.need("functions", np.broadcast_to(rate <= 2.0**100, decay.shape), f"{where} A_log: exp")
        self.need("functions", held | ((decay >= 1024) & (decay <= 2.0**120)), f"{where} gate: exp")
        b, wide = b.map(lambda a: a[:, None, :]), x.map(lambda a: a[:, :, None])
        for product in (delta * b, delta * wide, b * wide):  # implementations multiply in any order
            self.need("sums", self.fits(product, ACCUMULATOR), f"{where} write")
        write = delta * b * wide
        self.need("sums", self.fits(write, ACCUMULATOR), f"{where} write")
        return _Selected(x, held, write, c.map(lambda a: a[:, None, :])), turned

    def block(self, block: Any, stream: _Dyadic, past: _Dyadic, ssm: _Dyadic, where: str) -> tuple[_Dyadic, ...]:
        """One step of one block: the stream, the convolution's inputs and the SSM state afterwards."""
        mixer = block.mixer
        d, n, rows = mixer.intermediate_size, mixer.ssm_state_size, len(stream.odd)
        one = _exact(np.ones((rows, 1)))
        u, z = self.project(block, stream, where)
        window = _join([past.map(lambda a: a[:, :, 1:]), u.map(lambda a: a[:, :, None])], 2)
        (x, held, write, c), turned = self.steer(block, window, where)
        self.need("gates", ~held | (write.odd == 0), f"{where}: a gate of 1 with a write")
        kept = np.where(turned, -ssm.odd, ssm.odd)
        new = _Dyadic(np.where(held, kept, write.odd), np.where(held, ssm.exp, write.exp))
        self.need("sums", self.fits(new), f"{where} state")
        seen, skip = new * c, x * _exact(mixer.D)
        terms = _join([seen, skip.map(lambda a: a[:, :, None])], 2).map(lambda a: a.reshape(rows, -1))
        read, good = self.add(terms, np.arange(d) * (n + 1))
        self.need("sums", good, f"{where} read")
        _, good = self.add(seen.map(lambda a: a.reshape(rows, -1)), np.arange(d) * n)
        self.need("sums", good & self.fits(skip), f"{where} read: rounding")
        gated = read * self.function("silu", z, f"{where} gate branch")
        self.need("sums", self.fits(gated), f"{where} gating")
        out = self.linear([(mixer.out_proj.weight, gated), *_bias(mixer.out_proj, one)], f"{where} out_proj")
        residual = ACCUMULATOR if block.residual_in_fp32 else None
        same = np.eye(stream.odd.shape[1])
        stream = self.linear([(same, out), (same, stream)], f"{where} residual", residual)
        return stream, window, new

    def check_stage(self, i: int, machine: _Machine, first: int, last: int, steps: _Steps) -> None:
        """Every distinct step of a stage; exact arithmetic must give the model's own numbers."""
        step: Any = self.block
        if machine.two:  # that module builds on this one
            step = partial(import_module(f"{__package__}.mamba2").mamba2_block, self)
        for at in range(0, len(steps.vectors), ROWS):
            vectors, before, after, out = (part[at : at + ROWS] for part in steps)
            stream = _exact(vectors)
            for number in range(first, last):
                own = slice((number - first) * machine.size, (number - first + 1) * machine.size)
                past, ssm = np.split(before[:, own], [machine.conv], axis=1)
                stream, window, new = step(
                    machine.blocks[number],
                    stream,
                    _exact(past.reshape(-1, *machine.shape)),
                    _exact(ssm.reshape(len(ssm), *machine.states)),
                    f"block {number}",
                )
                kept = window.floats().reshape(len(past), -1) * machine.kept[number]
                found = np.concatenate([kept, new.floats().reshape(len(past), -1)], axis=1)
                _need(
                    (found == after[:, own]).all(), f"stage {i}: exact arithmetic gives other states in block {number}"
                )
            _need((stream.floats() == out).all(), f"stage {i}: exact arithmetic gives other vectors")

    def check_head(self, vectors: Any, scores: Any, columns: list[int]) -> None:
        """The read-outs, likewise."""
        normed = self.norm(self.model.backbone.norm_f, _exact(vectors), "norm_f")
        found = self.linear([(self.model.lm_head.weight, normed)], "lm_head").floats()[:, columns]
        _need((found == scores).all(), "read-out: exact arithmetic gives other scores")

    def compare(self, entries: list[dict[str, Any]]) -> None:
        """What the certificate says of the obligations must be what was found here, or less."""
        details = {**dict.fromkeys(NAMES, ""), "sums": f"largest sum |t| / (2^24 q) = {self.largest / 2**24:.3g}"}
        for entry in entries:
            name, checked = entry["name"], entry["checked"]
            verified = type(checked) is int and 0 <= checked <= self.checked[name]
            _need(verified, f"obligation {name}: {checked} instances claimed, {self.checked[name]} verified")
            _need(entry["detail"] == details[name], f"obligation {name}: the detail is not {details[name]!r}")


def _epsilon(norm: Any) -> float:
    """What RMSNorm adds to the mean of squares; Falcon-Mamba's norms without weights call it otherwise."""
    return float(norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps)


def _array(tensor: Any) -> Floats:
    return np.asarray(tensor.detach().double().numpy() if isinstance(tensor, Tensor) else tensor)


def _bias(module: Any, one: _Dyadic) -> list[tuple[Any, _Dyadic]]:
    """A module's bias as one more column, whose input is 1."""
    return [] if module.bias is None else [(_array(module.bias)[:, None], one)]
