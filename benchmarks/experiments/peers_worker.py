"""Dyck-1 by two compilers to transformers, in an environment of their own: nothing of scancraft is imported here.

``python peers_worker.py torchwright 50 < words.json`` prints what was made and its answers as JSON. The words are over
"(" and ")". The answer after a prefix is "none" (nothing may come next), "open or close", or "open or end".

*torchwright.* The causal mean of +1 and -1 has the sign of the depth, and "was it ever negative" is the mean of that.
The margins of the comparisons are those that the limit on the length leaves. The result is a stock Phi-3 checkpoint,
loaded by transformers.

*firebrand.* A machine of bounded integers that reads a symbol of the word at every step and emits the depth, as one
token each: a trace of as many tokens as the word has symbols, within the context that is compiled for.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

NONE, CLOSE, END = "none", "open or close", "open or end"
Answers = Callable[[str], list[str]]


def torchwright(limit: int) -> tuple[dict[str, Any], Answers]:
    import torch
    from torchwright import compile_hf_bundle
    from torchwright.graph import Linear
    from torchwright.ops.attention_ops import attend_causal_mean
    from torchwright.ops.inout_nodes import create_onehot_embedding, create_rope_config
    from torchwright.ops.linear import add, bool_to_01, negate
    from torchwright.ops.swiglu.arithmetic_ops import compare
    from torchwright.ops.swiglu.logic_ops import bool_all_true, bool_not
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    tokens = ["<bos>", "<eos>", "(", ")", NONE, CLOSE, END]
    width, head = 64, 16  # the smallest that its compiler takes
    started = time.perf_counter()
    symbols = create_onehot_embedding(tokens)
    rope = create_rope_config(d_head=head, max_positions=limit + 2)
    third = 1 / (3 * (limit + 1))  # a mean that is not 0 is at least three times that

    def matrix(entries: dict[tuple[int, int], float], rows: int, columns: int) -> torch.Tensor:
        made = torch.zeros(rows, columns)
        for place, value in entries.items():
            made[place] = value
        return made

    def positive(mean: Any) -> Any:
        return compare(mean, third, sharpness=1 / third)

    depth = attend_causal_mean(rope, Linear(symbols, matrix({(2, 0): 1.0, (3, 0): -1.0}, len(symbols), 1)))
    above, below = positive(depth), positive(negate(depth))
    dead = positive(attend_causal_mean(rope, bool_to_01(below)))
    alive = bool_not(dead)
    told = {NONE: dead, CLOSE: bool_all_true([alive, above]), END: bool_all_true([alive, bool_not(above)])}
    shown = [
        Linear(bool_to_01(when), matrix({(0, tokens.index(answer)): 1.0}, 1, len(symbols)))
        for answer, when in told.items()
    ]
    place = tempfile.mkdtemp() + "/phi3"
    compile_hf_bundle(
        add(add(shown[0], shown[1]), shown[2]),
        symbols,
        place,
        d=width,
        d_head=head,
        max_seq_len=limit + 2,
        bos_token="<bos>",
        eos_token="<eos>",
    )
    seconds = time.perf_counter() - started
    model = AutoModelForCausalLM.from_pretrained(place).eval()

    @torch.no_grad()
    def answers(word: str) -> list[str]:
        logits = model(torch.tensor([[0, *(tokens.index(c) for c in word)]])).logits[0]
        return [tokens[best] if best < len(tokens) else "?" for best in logits.argmax(dim=-1).tolist()]

    facts = {"parameters": sum(p.numel() for p in model.parameters()), "layers": model.config.num_hidden_layers}
    return facts | {"seconds": seconds, "model": type(model).__name__, "dtype": str(model.dtype)[6:]}, answers


def firebrand(limit: int) -> tuple[dict[str, Any], Answers]:
    from firebrand import Machine, compile_machine, history, position, read_at, select

    # A depth d is the token zero + d; the symbols are 1 and 2, and 0 fills the place of the word.
    zero, dead, halt = 4, 3, -1
    started = time.perf_counter()
    symbol, before = read_at((position() - limit).clip(0, limit - 1)), history()
    falls = (symbol.equals(2) + before.equals(zero) - 1).relu()
    moved = select(falls, dead, before + symbol.equals(1) - symbol.equals(2))
    after = select(symbol.equals(0), halt, select(before.equals(dead), dead, moved).clip(halt, zero + limit))
    machine = Machine(after, halt, zero + limit, (halt,), min_prefix=limit + 1, context_limit=2 * limit + 2)
    model = compile_machine(machine)
    seconds = time.perf_counter() - started

    def answers(word: str) -> list[str]:
        given = ["_()".index(c) for c in word] + [0] * (limit - len(word)) + [zero]
        if len(word) > limit:
            raise ValueError("longer than the place of the word")
        trace = model.generate(given, max_steps=len(word))[limit:]
        return [NONE if token == dead else END if token == zero else CLOSE for token in trace]

    entries = sum(weight.shape[0] * weight.shape[1] for weight in model.weights.values())
    facts = {"parameters": entries, "layers": model.config["layers"], "seconds": seconds}
    return facts | {"model": "its own decoder", "dtype": model.config["dtype"]}, answers


def main(arguments: Sequence[str]) -> None:
    from importlib.metadata import version

    name, limit = arguments
    facts, answers = {"torchwright": torchwright, "firebrand": firebrand}[name](int(limit))
    found: list[list[str] | None] = []
    read, spent = 0, 0.0
    for word in json.load(sys.stdin):
        started = time.perf_counter()
        try:
            found.append(answers(word))
        except Exception as error:  # what they raise past the limit is theirs
            print(f"{name}, {len(word)} symbols: {error}", file=sys.stderr)
            found.append(None)
            continue
        read, spent = read + len(word), spent + time.perf_counter() - started
    print(json.dumps(facts | {"version": version(name), "answers": found, "per_symbol": spent / max(read, 1)}))


if __name__ == "__main__":
    main(sys.argv[1:])
