"""Languages over characters, read by the tokens of a tokenizer."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import AlphabetError, EmptyLanguageError
from scancraft.automata.spelled import by_tokens
from scancraft.certify.checker.certificate import check_certificate
from scancraft.models.checkpoints.vocabulary import TokenizerError, read_vocabulary

NUMBERS = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?( [a-zé]+)*"
END = "<|endoftext|>"


def corpus(seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [
        " ".join("".join(draw.choices("abcdeé0123456789.-", k=draw.randint(1, 6))) for _ in range(40))
        for _ in range(50)
    ]


def saved(place: Path, tokenizer: Tokenizer, **special: str) -> Path:
    place.mkdir()
    tokenizer.save(str(place / "tokenizer.json"))
    (place / "tokenizer_config.json").write_text(json.dumps(special))
    return place


def byte_level(place: Path, size: int = 400) -> Path:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    how = {"vocab_size": size, "special_tokens": [END], "initial_alphabet": letters, "show_progress": False}
    made.train_from_iterator(corpus(), trainers.BpeTrainer(**how))
    return saved(place, made, eos_token=END, bos_token=END)


def sentence_piece(place: Path) -> Path:
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(corpus(), trainer)
    return saved(place, made, eos_token="</s>", bos_token="<s>", pad_token="<pad>")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {"bytes": byte_level(root / "bytes"), "marks": sentence_piece(root / "marks")}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["(ab|c)*", "a(b|c)*a|b", "é*(aé|b)*", "(a|b|c){0,4}", "a(aé)*"]),
    st.lists(st.text("abcé", max_size=3), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(0, 9), max_size=5),
    st.booleans(),
)
def test_a_row_of_tokens_is_in_the_language_iff_what_it_spells_is(
    expression: str, texts: list[str], choice: list[int], bytewise: bool
) -> None:
    dfa = scancraft.parse_regex(expression, alphabet="abcé")
    pieces = {f"t{n}": text.encode() for n, text in enumerate(texts)}
    if bytewise:
        pieces |= {"first half": b"\xc3", "second half": b"\xa9"}
    names = list(pieces)
    row = [names[n % len(names)] for n in choice]
    try:
        over = by_tokens(dfa, pieces)
    except EmptyLanguageError:
        return
    try:
        text = b"".join(pieces[name] for name in row).decode()
    except UnicodeDecodeError:
        assert not over.accepts(row)
    else:
        assert over.accepts(row) == dfa.accepts(text)


def test_bytes_and_other_symbols() -> None:
    any_two = Dfa.from_table([chr(b) for b in range(256)], [[1] * 256, [2] * 256, [3] * 256, [3] * 256], 0, [2])
    assert by_tokens(any_two, {"x": b"\xff\x00", "y": b"a"}, "bytes").accepts(["x"])
    with pytest.raises(AlphabetError, match="'push' is no character"):
        by_tokens(Dfa.from_words(("push",), [["push"]]), {"p": b"push"})
    with pytest.raises(AlphabetError, match="no byte"):
        by_tokens(Dfa.from_words("Ā", ["Ā"]), {"p": b"push"}, "bytes")
    with pytest.raises(EmptyLanguageError):
        by_tokens(Dfa.from_words("ab", ["ab"]), {"c": b"c"})


@pytest.mark.parametrize("kind", ["bytes", "marks"])
def test_what_the_tokenizer_makes_of_words_is_allowed(places: dict[str, Path], kind: str, tmp_path: Path) -> None:
    dfa = scancraft.regex(NUMBERS, dialect="python")
    out = tmp_path / "model"
    compiled = scancraft.compile(dfa, out, tokenizer=places[kind])
    assert compiled.certify().verdict == "certified"
    compiled.certify().save(out)
    assert check_certificate(out).accepted
    tokenizer = Tokenizer.from_file(str(places[kind] / "tokenizer.json"))
    vocabulary, runner, tokens = read_vocabulary(places[kind]), compiled.runner(), compiled.manifest.tokens
    assert compiled.weights.shape.vocab_size >= vocabulary.size
    assert tokens["<eos>"] == vocabulary.eos == tokenizer.token_to_id(END if kind == "bytes" else "</s>")
    special = [n for n in range(compiled.weights.shape.vocab_size) if n not in {*vocabulary.spelt, vocabulary.eos}]
    for text in ("12", "-0.5 abc dé", "e", "00", "7 ab1", "3 " + "é" * 5, " 1", ""):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if kind == "marks":
            assert tokenizer.decode(ids) == text.removeprefix(" ")
            text = " " + text if ids else text  # the mark of the first token is a blank, which decoding leaves out
            ids = [tokenizer.token_to_id("▁")] * (not ids) + ids
        logits = runner(torch.tensor([[tokens["<bos>"], *ids]]))[0]
        came = [bool(logits[t, token] > 0) for t, token in enumerate(ids)]
        assert (all(came) and bool(logits[-1, vocabulary.eos] > 0)) == (re.fullmatch(NUMBERS, text) is not None), text
        assert not (logits[:, special] > 0).any()


def test_the_special_tokens_of_the_tokenizer(places: dict[str, Path]) -> None:
    one = scancraft.compile("ab", tokenizer=places["bytes"]).manifest.tokens
    size = read_vocabulary(places["bytes"]).size
    assert (one["<eos>"], one["<bos>"], one["<pad>"]) == (0, size, size + 1)  # one token for all is that of the end
    ids = scancraft.compile(" ab", tokenizer=places["marks"]).manifest.tokens
    assert (ids["<pad>"], ids["<bos>"], ids["<eos>"]) == (0, 1, 2)


def test_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    words = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2}, unk_token="[UNK]"))
    words.decoder = decoders.WordPiece()
    with pytest.raises(TokenizerError, match="WordPiece; model WordPiece"):
        read_vocabulary(saved(tmp_path / "pieces", words))
    plain = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    with pytest.raises(TokenizerError, match=r"decoder \(none; model WordLevel\)"):
        read_vocabulary(saved(tmp_path / "plain", plain))
    with pytest.raises(TokenizerError, match="no file"):
        read_vocabulary(tmp_path / "nothing")
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(TokenizerError, match="no tokenizer"):
        read_vocabulary(tmp_path)


def test_what_ends_a_text_has_to_be_said(places: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((places["bytes"] / "tokenizer.json").read_bytes())
    with pytest.raises(TokenizerError, match=re.escape(f"(special ones: {END})")):
        read_vocabulary(tmp_path)
    assert read_vocabulary(tmp_path, END).eos == 0
    with pytest.raises(TokenizerError, match="no token 'end'"):
        read_vocabulary(tmp_path, "end")


def test_a_tokenizer_that_decodes_otherwise_than_its_kind_says_is_refused(tmp_path: Path) -> None:
    place = byte_level(tmp_path / "bytes")
    about = json.loads((place / "tokenizer.json").read_text())
    about["decoder"] = {
        "type": "Sequence",
        "decoders": [{"type": "Replace", "pattern": {"String": "a"}, "content": "b"}],
    }
    (place / "tokenizer.json").write_text(json.dumps(about))
    with pytest.raises(TokenizerError, match="decode to"):
        read_vocabulary(place)


def vocabulary_of(place: Path, size: int) -> Path:
    """A byte-level vocabulary of random texts."""
    made = Tokenizer(models.BPE())
    made.decoder = decoders.ByteLevel()
    about = json.loads(made.to_str())
    draw, vocabulary = (
        random.Random(1),
        {letter: n for n, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))},
    )
    while len(vocabulary) < size - 1:
        text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz0123456789.-,;ĠÃ©", k=draw.randint(2, 8)))
        vocabulary.setdefault(text, len(vocabulary))
    vocabulary[END] = len(vocabulary)
    about["model"]["vocab"] = vocabulary
    special: dict[str, Any] = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    about["added_tokens"] = [{"id": vocabulary[END], "content": END, "special": True, **special}]
    place.mkdir()
    (place / "tokenizer.json").write_text(json.dumps(about))
    (place / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": END}}))
    return place


def test_twenty_thousand_tokens_cost_a_row_each(tmp_path: Path) -> None:
    place = vocabulary_of(tmp_path / "large", 20_000)
    compiled = scancraft.compile(scancraft.regex(NUMBERS, dialect="python"), tokenizer=place)
    kinds, shape = len(compiled.letters.members), compiled.weights.shape
    assert (shape.vocab_size, kinds < 40) == (20_008, True)
    blocks = compiled.weights.n_parameters - 2 * shape.vocab_size * shape.d_model
    assert blocks < 40_000
    found = compiled.certify()
    assert found.verdict == "certified"
    assert found.content["counts"]["transitions"] < 20_000
    assert {"1", "-"} <= compiled.allowed("")


def test_beside_a_language_model(places: dict[str, Path]) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    size = read_vocabulary(places["bytes"]).size
    torch.manual_seed(0)
    other = GPT2LMHeadModel(GPT2Config(vocab_size=size, n_positions=64, n_embd=16, n_layer=1, n_head=2)).eval()
    tokenizer = Tokenizer.from_file(str(places["bytes"] / "tokenizer.json"))
    prompt = torch.tensor([tokenizer.encode(text).ids[:3] for text in ("abcde 0", "12345 0")])
    how: dict[str, Any] = {"max_new_tokens": 24, "eos_token_id": 0, "pad_token_id": 0, "attention_mask": prompt * 0 + 1}
    language = scancraft.regex("[0-9]{1,9}( [ab]{1,3}){0,2}", dialect="python")
    for ways in ({"do_sample": True}, {"do_sample": False}, {"do_sample": False, "num_beams": 3}):
        processor = scancraft.LanguageLogitsProcessor.for_language(language, places["bytes"])
        out = other.generate(prompt, logits_processor=[processor], **how, **ways)
        for row in out[:, prompt.shape[1] :].tolist():
            assert 0 in row, "the language is finite"
            assert language.accepts(tokenizer.decode(row[: row.index(0)]))
    again = scancraft.LanguageLogitsProcessor.for_language(
        scancraft.compile(language, tokenizer=places["bytes"]), start=3
    )
    out = other.generate(prompt, logits_processor=[again], do_sample=True, **how)
    assert language.accepts(tokenizer.decode(out[0, 3:][: out[0, 3:].tolist().index(0)].tolist()))
