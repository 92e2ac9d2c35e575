"""An attacker of certificates: edits that pass the checker are built upon, until a model is wrong or time is up.

    python benchmarks/run.py attack --count 10000 --kinds mamba,mamba2 --out out/attack

Each attack edits the files of a certified checkpoint (weights, configuration, manifest, certificate, evidence, or one
file more), forges what a forger can (every digest, the scope, and evidence made anew by an honest search of the edited
model), and asks ``check_certificate``. What is accepted is loaded by ``transformers`` itself and run on all short words
and on long, repeated ones: in one go, token by token, padded on either side, with the channels permuted (another order
of summation), in the stated dtype and in wider ones, beside the acceptor of the language that the certificate names.

The search *optimises*: of the accepted models that are still right, those whose scores have come nearest to the
threshold, and those with most edits, are edited further. An edit is data (:class:`Edit`), so whatever is found can be
replayed: ``--out`` gets a line of JSON for each false accept, and ``tests/certify/attacks`` replays a corpus of them.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from timings.measure import Tick, progress
from torch import Tensor

import scancraft
from scancraft.automata.alphabet import Word
from scancraft.automata.families import d_n, tomita
from scancraft.automata.languages import Language, as_language
from scancraft.certify.certify import Certificate
from scancraft.certify.check import compare, exhaustive_depth
from scancraft.certify.checker.certificate import check_certificate
from scancraft.models.readout import Readout

KINDS = ("mamba", "signed_mamba", "mamba2", "falcon_mamba")
CERTIFICATE, EVIDENCE, WEIGHTS = "certificate.json", "certificate.safetensors", "model.safetensors"
CONFIG, MANIFEST = "config.json", "scancraft.json"


@dataclass(frozen=True)
class Size:
    """How much is tried.

    Args:
        attacks: per kind of model.
        kinds: of models.
        pool: accepted models that are kept to be edited further, per language.
        length: all words up to this length are run on an accepted model ...
        words: ... as long as there are at most so many.
        seed: of the draws.
    """

    attacks: int = 2_500
    kinds: tuple[str, ...] = KINDS
    pool: int = 12
    length: int = 12
    words: int = 300
    seed: int = 0


FULL = Size()
QUICK = Size(attacks=8, kinds=("mamba",), words=60)


@dataclass(frozen=True)
class Edit:
    """One change of one file, as data.

    Attributes:
        file: its name in the checkpoint.
        place: keys and positions inside JSON, or the tensor's name and the flat position of a number; empty for a file.
        value: what is put there: JSON, a number (as a float's hexadecimal text), or the file's text.
    """

    file: str
    place: tuple[str | int, ...]
    value: Any


@dataclass(frozen=True)
class Count:
    """Attacks on one kind of model, by what became of them.

    Attributes:
        rejected: by the checker.
        right: accepted, and right wherever it was run.
        unloadable: accepted, but transformers cannot load it (not counted as a false accept of a wrong model).
        false_accepts: accepted and wrong: the product is broken.
        false_certificates: of those, how many ``certify`` itself gave.
        deepest: edits of the accepted model with most.
        least_margin: the smallest |score - threshold| among accepted models.
        words: run on accepted models in all ways together.
    """

    kind: str
    attacks: int
    rejected: int
    right: int
    unloadable: int
    false_accepts: int
    false_certificates: int
    deepest: int
    least_margin: float
    words: int


@dataclass(frozen=True)
class Result:
    """``found`` holds a line for each false accept."""

    counts: tuple[Count, ...]
    found: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A certified checkpoint in memory: its files, the edits that led there, and how near it is to being wrong."""

    name: str
    files: dict[str, bytes]
    edits: tuple[Edit, ...] = ()
    margin: float = 1e9


# -- what is attacked ------------------------------------------------------------------------------------------------


def languages(kind: str) -> dict[str, Any]:
    """Small languages of every method of certification that the kind has."""
    if kind == "signed_mamba":
        return {"Parity": scancraft.suite_language("Parity").language, "(abab)*": "(abab)*"}
    regular = {"D-2": d_n(2), "Tomita-2": tomita(2), "Tomita-4": tomita(4)}
    if kind == "mamba2":
        return regular
    others = ("Dyck-1", "a^n b^n")
    return regular | {n: scancraft.suite_language(n).language for n in others} | {"dyck": scancraft.BoundedDyck(2, 3)}


def targets(kind: str, place: Path) -> list[Target]:
    """The honest models, certified."""
    found = []
    for name, language in languages(kind).items():
        folder = place / "honest"
        shutil.rmtree(folder, ignore_errors=True)
        scancraft.compile(language, folder, target=kind)
        certificate = scancraft.certify(folder)
        assert isinstance(certificate, Certificate), f"{kind}, {name}: {certificate}"
        certificate.save(folder)
        checked = check_certificate(folder)
        assert checked.accepted, f"{kind}, {name}: {checked.reason}"
        found.append(Target(name, {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}))
    return found


def write(files: dict[str, bytes], folder: Path) -> None:
    """A checkpoint's files into an emptied folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


# -- edits -----------------------------------------------------------------------------------------------------------

NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0**-31, -(2.0**-31), 2.0**-149, 128.0, 1024.0, 2.0**40, 2.0**84, 3.4e38, float("inf"))
SCALES = (-1.0, 0.0, 0.5, 2.0, 1 + 2.0**-10, 1 - 2.0**-20, 2.0**12, 2.0**-12)
VALUES = (
    None,
    True,
    False,
    0,
    1,
    2,
    3,
    -1,
    0.5,
    1e-5,
    -1e-5,
    1e30,
    "relu",
    "silu",
    "float16",
    "bfloat16",
    "auto",
    [],
    {},
)
KEYS = (
    "hidden_act layer_norm_epsilon residual_in_fp32 rescale_prenorm_residual dtype torch_dtype "
    "transformers_weights configuration_files auto_map quantization_config architectures model_type "
    "tie_word_embeddings use_bias use_conv_bias time_step_rank time_step_limit chunk_size mixer_rms_eps num_heads "
    "head_dim n_groups expand intermediate_size state_size conv_kernel vocab_size hidden_size num_hidden_layers "
    "bos_token_id pad_token_id use_mambapy attn_implementation layer_types name_or_path pruned_heads id2label "
    "chunk_size_feed_forward norm_before_gate"
).split()
FILES = (
    "adapter_config.json model.safetensors.index.json pytorch_model.bin generation_config.json configuration_mamba.py "
    "modeling_mamba.py other.safetensors config.4.json adapter_model.safetensors quantize_config.json"
).split()


def edits(files: dict[str, bytes], rng: random.Random) -> list[Edit]:
    """A few edits that belong together."""
    kind = rng.choices(tuple(EDITORS), weights=(12, 3, 2, 2, 1, 1))[0]
    return [edit for _ in range(rng.choice((1, 1, 1, 2, 3))) for edit in EDITORS[kind](files, rng)]


def _weight(files: dict[str, bytes], rng: random.Random) -> Iterator[Edit]:
    tensors = tensors_of(files[WEIGHTS])
    name = rng.choice(sorted(tensors))
    flat = tensors[name].float().flatten()
    places = flat.nonzero().flatten().tolist() if rng.random() < 0.5 else []
    place = rng.choice(places) if places else rng.randrange(len(flat))
    old = float(flat[place])
    new = old * rng.choice(SCALES) if rng.random() < 0.5 else rng.choice(NUMBERS) * rng.choice((1, -1))
    if rng.random() < 0.2:
        bits = np.float32(old).view(np.uint32) ^ np.uint32(1 << rng.randrange(32))
        new = float(bits.view(np.float32))
    yield Edit(WEIGHTS, (name, place), float(np.float32(new)).hex())


def _config(files: dict[str, bytes], rng: random.Random) -> Iterator[Edit]:
    known = json.loads(files[CONFIG])
    key = rng.choice([*KEYS, *known])
    old = known.get(key)
    near = [old * 2, old + 1, -old, old / 2] if isinstance(old, (int, float)) and not isinstance(old, bool) else []
    yield Edit(CONFIG, (key,), rng.choice([*VALUES, *near, "other.safetensors", {"quant_method": "fp8"}]))


def _json(file: str) -> Callable[[dict[str, bytes], random.Random], Iterator[Edit]]:
    def edit(files: dict[str, bytes], rng: random.Random) -> Iterator[Edit]:
        leaves = list(_leaves(json.loads(files[file])))
        place, old = rng.choice(leaves)
        near: list[Any] = [*VALUES]
        if isinstance(old, (int, float)) and not isinstance(old, bool):
            near += [old + 1, old - 1, old * 1000, old + 0.5, -old]
        if isinstance(old, str):
            near += [f"{old} ", "every-implementation", "step", "live-prefixes", "all-words", "a", "b"]
        yield Edit(file, place, rng.choice(near))

    return edit


def _leaves(data: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(data, (dict, list)) and data:
        items = data.items() if isinstance(data, dict) else enumerate(data)
        for key, value in items:
            yield from _leaves(value, (*place, key))
    else:
        yield place, data


def _evidence(files: dict[str, bytes], rng: random.Random) -> Iterator[Edit]:
    tensors = {n: t for n, t in tensors_of(files[EVIDENCE]).items() if t.numel()}
    name = rng.choice(sorted(tensors))
    place = rng.randrange(tensors[name].numel())
    old = float(tensors[name].flatten()[place])
    yield Edit(EVIDENCE, (name, place), float(old + rng.choice((1.0, -1.0, 0.5, 2.0**-20))).hex())


def _file(files: dict[str, bytes], rng: random.Random) -> Iterator[Edit]:
    name = rng.choice(FILES)
    text = json.dumps({"peft_type": "LORA", "weight_map": {"lm_head.weight": "other.safetensors"}, "do_sample": True})
    yield Edit(name, (), text)


EDITORS: dict[str, Callable[[dict[str, bytes], random.Random], Iterator[Edit]]] = {
    "weights": _weight,
    "configuration": _config,
    "manifest": _json(MANIFEST),
    "certificate": _json(CERTIFICATE),
    "evidence": _evidence,
    "files": _file,
}


def applied(files: dict[str, bytes], changes: Sequence[Edit]) -> dict[str, bytes]:
    """The files with edits; digests are not mended yet."""
    files = dict(files)
    for edit in changes:
        if not edit.place:
            files[edit.file] = str(edit.value).encode()
        elif edit.file.endswith(".json"):
            data = json.loads(files[edit.file])
            inner = data
            for key in edit.place[:-1]:
                inner = inner[key]
            inner[edit.place[-1]] = copy.deepcopy(edit.value)
            files[edit.file] = json.dumps(data).encode()
        else:
            tensors = tensors_of(files[edit.file])
            name, place = str(edit.place[0]), int(edit.place[1])
            tensors[name].view(-1)[place] = float.fromhex(edit.value)
            files[edit.file] = bytes_of(tensors)
    return files


def tensors_of(content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(content)
        file.flush()
        return load_file(file.name)


def bytes_of(tensors: dict[str, Tensor]) -> bytes:
    """A safetensors file."""
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        save_file({n: t.contiguous() for n, t in tensors.items()}, file.name, metadata={"format": "pt"})
        return Path(file.name).read_bytes()


# -- forging ---------------------------------------------------------------------------------------------------------


def forged(files: dict[str, bytes]) -> dict[str, bytes]:
    """Every digest as a forger would have it, by definition and not by the project's code (docs/certificates.md)."""
    content = json.loads(files[CERTIFICATE])
    if not isinstance(content.get("sha256"), dict):
        return files
    dtype = getattr(torch, str(content.get("dtype")), torch.float32)
    dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
    weights = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors_of(files[WEIGHTS]).items()}
    content["sha256"]["weights"] = _digest(weights)
    content["sha256"]["evidence"] = _digest(tensors_of(files[EVIDENCE]))
    bare = {**content, "sha256": {k: v for k, v in content["sha256"].items() if k != "content"}}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    content["sha256"]["content"] = hashlib.sha256(text.encode()).hexdigest()
    return {**files, CERTIFICATE: json.dumps(content).encode()}


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        floating = tensor.is_floating_point()
        numbers = (tensor.float() if floating else tensor.to(torch.int64)).contiguous().numpy()
        digest.update(f"{name}{list(tensor.shape)}".encode())
        digest.update(numbers.astype("<f4" if floating else "<i8").tobytes())
    return digest.hexdigest()


def certified_anew(folder: Path) -> bool:
    """Let an honest search make evidence for the edited model, and claim the widest scope for it; whether it did."""
    try:
        verdict = scancraft.certify(folder, budget=scancraft.Budget(5_000, 5.0))
        if not isinstance(verdict, Certificate):
            return False
        verdict.save(folder)
    except (scancraft.ScancraftError, OSError, ValueError):
        return False
    content = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
    if content["scope"] != "every-implementation":
        content["scope"] = "every-implementation"
        (folder / CERTIFICATE).write_text(json.dumps(content), encoding="utf-8")
        again = forged({p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()})
        (folder / CERTIFICATE).write_bytes(again[CERTIFICATE])
        return False
    return True


# -- the judge -------------------------------------------------------------------------------------------------------


class Ways:
    """A model as ``transformers`` loads it, run in every way; counts words and remembers the smallest margin."""

    def __init__(self, folder: Path, readout: Readout, columns: list[int]) -> None:
        from transformers import AutoModelForCausalLM

        content = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
        scancraft.SignedMambaForCausalLM  # noqa: B018  # registers our own class
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
            stated = getattr(torch, content["dtype"])
            self.wider = [d for d in (torch.bfloat16, torch.float32, torch.float64) if d.itemsize >= stated.itemsize]
            self.models = [AutoModelForCausalLM.from_pretrained(folder, dtype=d).eval() for d in self.wider]
        self.readout, self.columns, self.margin = readout, columns, 1e9

    def all(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Functions from token ids to logits."""
        yield lambda ids: self.noted(self.model(ids).logits)
        for model in self.models:
            yield lambda ids, model=model: self.noted(model(ids).logits)
        yield lambda ids: self.noted(permuted(self.models[-1])(ids).logits)
        yield self.stepped
        yield lambda ids: self.padded(ids, left=True)
        yield lambda ids: self.padded(ids, left=False)

    def noted(self, logits: Tensor) -> Tensor:
        margins = (logits[..., self.columns].float() - self.readout.threshold).abs()
        if margins.numel():
            self.margin = min(self.margin, float(margins.min()))
        return logits

    def stepped(self, ids: Tensor) -> Tensor:
        """One token at a time, with the cache."""
        cache, out = None, []
        for t in range(ids.shape[1]):
            got = self.model(ids[:, t : t + 1], cache_params=cache, use_cache=True)
            cache = got.cache_params
            out.append(got.logits)
        return torch.cat(out, dim=1)

    def padded(self, ids: Tensor, *, left: bool) -> Tensor:
        """With three tokens of padding before or after."""
        pad = torch.full((len(ids), 3), self.readout.pad)
        mask = torch.ones_like(ids)
        parts, masks = ((pad, ids), (pad * 0, mask)) if left else ((ids, pad), (mask, pad * 0))
        logits = self.model(torch.cat(parts, 1), attention_mask=torch.cat(masks, 1)).logits
        return logits[:, 3:] if left else logits[:, : ids.shape[1]]


def permuted(model: Any) -> Any:
    """The same model with the dimensions of its residual stream in another order: other orders of summation."""
    order = torch.randperm(model.config.hidden_size, generator=torch.Generator().manual_seed(1))
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in other.state_dict().items():
            last = name.endswith(("embeddings.weight", "in_proj.weight", "lm_head.weight"))
            first = name.endswith(("out_proj.weight", "norm_f.weight")) or name.endswith(".norm.weight")
            if last:
                tensor.copy_(tensor[:, order].clone())
            elif first and ".mixer.norm" not in name:
                tensor.copy_(tensor[order].clone())
    return other


def long_words(language: Language, rng: random.Random) -> list[Word]:
    """x w^n: short words repeated."""
    letters = language.alphabet
    found: list[Word] = []
    for _ in range(6):
        start, loop = ([rng.choice(letters) for _ in range(rng.randrange(1, 4))] for _ in range(2))
        found.append(tuple((start + loop * 40)[:60]))
    return found


def wrong(folder: Path, size: Size, rng: random.Random) -> tuple[str, float, int]:
    """What is wrong with an accepted model, "" if nothing was seen; its smallest margin; and the words run."""
    content = json.loads((folder / CERTIFICATE).read_text(encoding="utf-8"))
    language = as_language(_described(content["language"]))
    bound = content["readout"]
    names = Readout.__dataclass_fields__
    readout = Readout(**{k: v for k, v in bound.items() if k in names}, contract=content["contract"])
    ways = Ways(folder, readout, readout.columns(language.alphabet))
    depth = exhaustive_depth(len(language.alphabet), size.words, size.length)
    words, tried = long_words(language, rng), 0
    with torch.inference_mode():
        for number, way in enumerate(ways.all()):
            report = compare(way, language, readout, words, exhaustive_to=depth)
            tried += report.words
            if not report.agrees:
                return f"way {number}: {report.shortest}", ways.margin, tried
    return "", ways.margin, tried


def _described(language: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in language.items() if k != "states"} if "transitions" in language else language


# -- the search ------------------------------------------------------------------------------------------------------


def attack(kind: str, size: Size, rng: random.Random, tick: Callable[[int, str], None]) -> tuple[Count, list[str]]:
    """Attacks on one kind of model."""
    fates: Counter[str] = Counter()
    found: list[str] = []
    words, deepest, least, ours = 0, 0, 1e9, 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "attacked"
        pools = [[target] for target in targets(kind, Path(place))]
        for number in range(size.attacks):
            pool = rng.choice(pools)
            parent = pool[0] if rng.random() < 0.4 else rng.choice(pool)
            tick(number, f"{kind}: {parent.name}")
            try:
                changes = edits(parent.files, rng)
                files = forged(applied(parent.files, changes))
            except (KeyError, TypeError, IndexError, ValueError, RuntimeError, OverflowError):
                continue  # the edit made the forger's own tools stumble
            write(files, folder)
            honest = changes[0].file == WEIGHTS and rng.random() < 0.6 and certified_anew(folder)
            checked = check_certificate(folder)
            if not checked.accepted:
                fates["rejected"] += 1
                continue
            try:
                trouble, margin, more = wrong(folder, size, rng)
            except Exception as error:
                fates["unloadable"] += 1
                found.append(
                    json.dumps({"unloadable": f"{type(error).__name__}: {error}"[:300], **_line(kind, parent, changes)})
                )
                continue
            words += more
            if trouble:
                fates["false_accepts"] += 1
                ours += honest
                found.append(json.dumps({"wrong": trouble, "certified": honest, **_line(kind, parent, changes)}))
                continue
            fates["right"] += 1
            kept = Target(
                parent.name,
                {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()},
                (*parent.edits, *changes),
                margin,
            )
            deepest, least = max(deepest, len(kept.edits)), min(least, margin)
            pool.append(kept)
            # The honest model stays; then the least margins, then the most edits.
            pool[1:] = sorted(pool[1:], key=lambda t: (t.margin, -len(t.edits)))[: size.pool]
    names = ("rejected", "right", "unloadable", "false_accepts")
    return Count(kind, size.attacks, *(fates[n] for n in names), ours, deepest, least, words), found


def _line(kind: str, parent: Target, changes: Sequence[Edit]) -> dict[str, Any]:
    return {"kind": kind, "language": parent.name, "edits": [asdict(e) for e in (*parent.edits, *changes)]}


def measure(size: Size, tick: Tick) -> Result:
    counts, found = [], []
    total = size.attacks * len(size.kinds)
    for number, kind in enumerate(size.kinds):
        rng = random.Random(f"{size.seed} {kind}")
        count, lines = attack(kind, size, rng, lambda done, what, n=number: tick(n * size.attacks + done, total, what))
        counts.append(count)
        found += lines
    return Result(tuple(counts), tuple(found))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=FULL.attacks, help="attacks per kind of model")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of models, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/attack"), help="folder for what is found")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = replace(FULL, attacks=options.count, kinds=tuple(options.kinds.split(",")), seed=options.seed)

    with progress("attack") as tick:
        result = measure(size, tick)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "found.jsonl").write_text("".join(f"{line}\n" for line in result.found), encoding="utf-8")
    print(json.dumps([asdict(count) for count in result.counts], indent=1))
    return 1 if any(count.false_accepts for count in result.counts) else 0
