"""One object: what ``compile`` and ``load`` return can be run, judged, explained and written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import scancraft
from scancraft.automata.alphabet import EOS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["D-2", "a^n b^n", "Dyck_{8,5}", "push"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[scancraft.Model]:
    """A model in memory, the same loaded, and the copy that the loaded one wrote."""
    language = scancraft.regex("('push' 'pop')*") if request.param == "push" else scancraft.named(request.param)
    place = tmp_path_factory.mktemp("models")
    compiled = scancraft.compile(language, place / "one")
    loaded = scancraft.load(place / "one")
    assert loaded.certify().verdict == "certified"
    assert loaded.save(place / "two") == place / "two"
    return [compiled, loaded, scancraft.load(place / "two")]


def test_they_are_the_same_object(models: list[scancraft.Model]) -> None:
    members = scancraft.members_of(models[0].language, 3, 0, 12, _rng())
    for model in models:
        assert isinstance(model, scancraft.Model)
        assert model.manifest == models[0].manifest
        assert model.labels == models[0].labels
        assert str(model.explain()) == str(models[0].explain())
        assert model.check(words=5, short=30).agrees
        assert model.certify().verdict == "certified"
        for word in members:
            assert model.accepts(word)
            assert EOS in model.allowed(word)
            run = model.run(word)
            assert run.accepts
            assert len(run.accepted) == len(word) + 1
            assert model.encode(word) == model.readout.encode(word)
            if word:
                assert word[-1] in model.allowed(word[:-1])


def test_words_are_read_as_they_are_typed() -> None:
    stack = scancraft.compile("('push' 'pop')*")
    assert stack.accepts("push pop")
    assert stack.accepts(("push", "pop"))
    assert not stack.accepts("push")
    assert stack.allowed("push") == {"pop"}
    assert stack.allowed("pop") == frozenset()
    assert scancraft.compile("(ab)*").encode("ab") == [1, 3, 4]
    with pytest.raises(scancraft.UnknownSymbolError):
        stack.accepts("shove")
    counter = scancraft.compile(scancraft.named("a^n b^n"))
    assert counter.accepts("a" * 50 + "b" * 50)
    assert not counter.accepts("aab")


def test_another_language_than_its_own() -> None:
    model = scancraft.compile("(ab)*")
    assert model.certify("(ab)* & ~(abab)").verdict == "counterexample"
    assert not model.check("(ba)*", words=5, short=30).agrees


def test_a_copy_has_the_same_bytes_and_overwrites_nothing(tmp_path: Path) -> None:
    scancraft.compile("(ab)*", tmp_path / "one")
    loaded = scancraft.load(tmp_path / "one")
    assert loaded.save(tmp_path / "one") == tmp_path / "one"
    loaded.save(tmp_path / "two")
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()]
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(scancraft.CheckpointError):
        loaded.save(tmp_path / "mine")


def test_exceptions_that_the_docs_name_are_on_the_face() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"\b[A-Z]\w+Error\b", page.read_text(encoding="utf-8"))}
    python = {name for name in named if name in dir(__builtins__) or name in __builtins__}
    assert len(named - python) > 8
    for name in named - python:
        assert issubclass(getattr(scancraft, name), scancraft.ScancraftError), name


def _rng() -> object:
    import numpy as np

    return np.random.default_rng(0)
