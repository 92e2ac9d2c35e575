"""Edits that an attacker draws: of weights, configuration, manifest, certificate, evidence, and files beside them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from attacks import CERTIFICATE, CONFIG, EVIDENCE, MANIFEST, WEIGHTS, Edit, Files
from safetensors.torch import load

EXTREMES = (0.0, -0.0, 2.0**-149, 2.0**-126, 2.0**-62, 2.0**40, 2.0**84, 2.0**120, 3.4028235e38, float("inf"))
TURNS = (1.0, 0.5, 2.0**-31, 2.0**-24, 64.0, 63.99, 128.0, 1023.0, 1024.0, 2048.0, 4095.0, -25.646, -38.8, 16.64, 88.8)
"""Where silu, softplus, exp and sums turn: 2^-37 and 2^-56 as logarithms, 2^24, the largest exponent of float32."""

SCALES = (-1.0, 0.0, 0.5, 2.0, 1 + 2.0**-10, 1 - 2.0**-20, 1 + 2.0**-23, 2.0**12, 2.0**-12, 2.0**24)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 3, -1, 0.5, 1e-5, -1e-5, 1e30, 1e-45, -0.0, 2**31, 2**63, 1 << 100),
    *("relu", "silu", "float16", "bfloat16", "float64", "auto", "None", [], {}, [0.0, {"__float__": "Infinity"}]),
)
KEYS = (
    "hidden_act layer_norm_epsilon residual_in_fp32 rescale_prenorm_residual dtype torch_dtype transformers_weights "
    "configuration_files auto_map quantization_config architectures model_type tie_word_embeddings use_bias "
    "use_conv_bias time_step_rank time_step_limit chunk_size mixer_rms_eps num_heads head_dim n_groups expand "
    "intermediate_size state_size conv_kernel vocab_size hidden_size num_hidden_layers bos_token_id pad_token_id "
    "use_mambapy attn_implementation _attn_implementation layer_types name_or_path pruned_heads id2label num_labels "
    "chunk_size_feed_forward norm_before_gate rms_norm tie_encoder_decoder sub_configs text_config attribute_map "
    "use_kernels experts_implementation base_model_tp_plan loss_type torchscript tf_legacy_loss gguf_file"
).split()
FILES = (
    "adapter_config.json model.safetensors.index.json pytorch_model.bin pytorch_model.bin.index.json "
    "generation_config.json configuration_mamba.py modeling_mamba.py other.safetensors config.4.json "
    "adapter_model.safetensors quantize_config.json model.fp32.safetensors model-00001-of-00001.safetensors "
    "shard-00001-model-00001-of-00001.safetensors tf_model.h5 consolidated.safetensors CONFIG.JSON training.json"
).split()


def edits(files: Files, rng: random.Random) -> list[Edit]:
    """A few edits that belong together."""
    kind = rng.choices(tuple(EDITORS), weights=(10, 3, 3, 2, 2, 1, 1, 1))[0]
    return [edit for _ in range(rng.choice((1, 1, 1, 2, 3))) for edit in EDITORS[kind](files, rng)]


def _number(old: float, rng: random.Random) -> float:
    """Another number in its place."""
    kind = rng.randrange(5)
    if kind == 0:
        bits = np.float32(old).view(np.uint32) ^ np.uint32(1 << rng.randrange(32))
        return float(bits.view(np.float32))
    if kind == 1:
        return rng.choice(EXTREMES) * rng.choice((1, -1))
    if kind == 2:
        return rng.choice(TURNS) * rng.choice((1, -1))
    return old * rng.choice(SCALES) + (rng.choice(TURNS) if rng.random() < 0.2 else 0.0)


def _put(name: str, place: int, value: float) -> Edit:
    with np.errstate(over="ignore"):
        return Edit(WEIGHTS, (name, place), float(np.float32(value)).hex())


def _weight(files: Files, rng: random.Random) -> Iterator[Edit]:
    """One number."""
    tensors = load(files[WEIGHTS])
    name = rng.choice(sorted(tensors))
    flat = tensors[name].float().flatten()
    places = flat.nonzero().flatten().tolist() if rng.random() < 0.5 else []
    place = rng.choice(places) if places else rng.randrange(len(flat))
    yield _put(name, place, _number(float(flat[place]), rng))


def _pair(files: Files, rng: random.Random) -> Iterator[Edit]:
    """Numbers that go together: two of one tensor exchanged, or scaled so that their product stays."""
    tensors = load(files[WEIGHTS])
    name = rng.choice(sorted(tensors))
    flat = tensors[name].float().flatten()
    live = flat.nonzero().flatten().tolist()
    if rng.random() < 0.4 or not live:
        i, j = rng.randrange(len(flat)), rng.choice(live or [0])
        yield _put(name, i, float(flat[j]))
        yield _put(name, j, float(flat[i]))
        return
    other = rng.choice(sorted(tensors))
    beside = tensors[other].float().flatten()
    scale = rng.choice(SCALES) or 4.0
    i = rng.choice(live)
    j = rng.choice(beside.nonzero().flatten().tolist() or [0])
    yield _put(name, i, float(flat[i]) * scale)
    yield _put(other, j, float(beside[j]) / scale)


def _config(files: Files, rng: random.Random) -> Iterator[Edit]:
    known = json.loads(files[CONFIG])
    key = rng.choice([*KEYS, *known])
    old = known.get(key)
    near = [old * 2, old + 1, -old, old / 2] if isinstance(old, (int, float)) and not isinstance(old, bool) else []
    yield Edit(CONFIG, (key,), rng.choice([*VALUES, *near, "other.safetensors", {"quant_method": "fp8"}]))


def _json(file: str) -> Callable[[Files, random.Random], Iterator[Edit]]:
    def edit(files: Files, rng: random.Random) -> Iterator[Edit]:
        place, old = rng.choice(list(_leaves(json.loads(files[file]))))
        near: list[Any] = [*VALUES]
        if isinstance(old, (int, float)) and not isinstance(old, bool):
            near += [old + 1, old - 1, old * 1000, old + 0.5, -old, float(old)] * 2
        if isinstance(old, str):
            near += [f"{old} ", "every-implementation", "step", "live-prefixes", "all-words", "a", "b"]
        yield Edit(file, place, rng.choice(near))

    return edit


def _leaves(data: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(data, (dict, list)) and data:
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _leaves(value, (*place, key))
    else:
        yield place, data


def _evidence(files: Files, rng: random.Random) -> Iterator[Edit]:
    tensors = {n: t for n, t in load(files[EVIDENCE]).items() if t.numel()}
    name = rng.choice(sorted(tensors))
    place = rng.randrange(tensors[name].numel())
    old = float(tensors[name].flatten()[place])
    yield Edit(EVIDENCE, (name, place), float(old + rng.choice((1.0, -1.0, 0.5, 2.0**-20))).hex())


def _text(files: Files, rng: random.Random) -> Iterator[Edit]:
    """The same JSON in a way that two readers may read differently: a key twice, NaN, a mark at the front, escapes."""
    file = rng.choice((CONFIG, MANIFEST, CERTIFICATE, "generation_config.json"))
    text = files[file].decode()
    keys = list(json.loads(text))
    key = json.dumps(rng.choice([*keys, "transformers_weights"]))
    value = rng.choice((*map(json.dumps, VALUES), "NaN", "Infinity", "-Infinity", "1E400", "-0", "1E0", "1.0"))
    start, end = text.index("{") + 1, text.rindex("}")
    escaped = "".join(f"\\u{ord(c):04x}" for c in json.loads(key))
    yield Edit(
        file,
        (),
        rng.choice(
            (
                f"{text[:start]}{key}: {value}, {text[start:]}",
                f"{text[:end]}, {key}: {value}{text[end:]}",
                f'{text[:end]}, "{escaped}": {value}{text[end:]}',
                f"\ufeff{text}",
                f"{text}{text}",
                text.replace(f"{key}:", f"{key}: {value}, {json.dumps('x' + rng.choice(keys))}:", 1),
            )
        ),
    )


def _file(files: Files, rng: random.Random) -> Iterator[Edit]:
    text = json.dumps({"peft_type": "LORA", "weight_map": {"lm_head.weight": "other.safetensors"}, "do_sample": True})
    yield Edit(rng.choice(FILES), (), text)


EDITORS: dict[str, Callable[[Files, random.Random], Iterator[Edit]]] = {
    "weights": _weight,
    "pairs": _pair,
    "configuration": _config,
    "manifest": _json(MANIFEST),
    "certificate": _json(CERTIFICATE),
    "evidence": _evidence,
    "text": _text,
    "files": _file,
}
