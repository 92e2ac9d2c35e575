"""Property tests of models against languages, with `hypothesis <https://hypothesis.readthedocs.io>`_.

Strategies for languages (:func:`star_free_dfas`, :func:`dfas`, :func:`star_free_expressions`) and for words
(:func:`words`, :func:`members`, :func:`edits`, :func:`any_words`), and two assertions: :func:`assert_models_language`
for any model, and :func:`assert_same_bits` for a Mamba that should be exact in whatever way it is run. Scancraft's own
tests use them::

    from hypothesis import given
    from scancraft.testing import assert_models_language, star_free_dfas

    @given(star_free_dfas(max_states=6))
    def test_compiled_models_are_right(dfa):
        assert_models_language(scancraft.compile(dfa), words=50, short=500)

Needs the extra ``testing``: ``pip install 'scancraft[testing]'``.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from ._testing_bits import assert_same_bits
from ._testing_extra import hypothesis  # noqa: F401  # before the strategies: it complains if hypothesis is missing
from ._testing_languages import dfas, star_free_dfas, star_free_expressions
from ._testing_words import any_words, edits, members, words
from .automata.alphabet import Word
from .automata.languages import as_language
from .checking import CheckReport, check, compare, describe, exhaustive_depth
from .checkpoints import load
from .compiled import CompiledModel
from .models.readout import Readout

__all__ = [
    "any_words",
    "assert_models_language",
    "assert_same_bits",
    "dfas",
    "edits",
    "members",
    "star_free_dfas",
    "star_free_expressions",
    "words",
]


def assert_models_language(
    model: Any,
    language: Any = None,
    readout: Readout | None = None,
    *,
    words: int | Sequence[Word] = 400,
    max_length: int = 200,
    short: int = 20_000,
    seed: int = 0,
) -> CheckReport:
    """Assert that a model says, at every prefix of the words tried, exactly what the language says.

    Evidence on those words, and not a proof for all others. Under a readout whose contract is "live-prefixes", prefixes
    that no word of the language starts with are not compared.

    Args:
        model: a checkpoint directory, what ``scancraft.compile`` returned, or any function (say a torch module, in eval
            mode) from token ids of shape (batch, time) to an output that the readout understands.
        language: anything that ``as_language`` reads; by default that of the checkpoint or the compiled language.
        readout: how the model is bound to the language; by default that of the checkpoint or the compiled language.
        words: how many words to sample (members, one-symbol edits of members, arbitrary words), or the words.
        max_length: of the sampled words.
        short: also try all words up to the greatest length (at most ``max_length``) at which there are at most this
            many of them; 0 for none.
        seed: of the sampling.

    Returns:
        what was tried, if the model agrees.

    Raises:
        AssertionError: it does not; shows a shortest wrong prefix, what the model allows and the language allows after
            it, and how much was tried.
        ReadoutError: no language or no readout for a model, or one over other symbols than the language's.
        CheckpointError: the directory cannot be loaded.

    >>> import scancraft
    >>> assert_models_language(scancraft.compile("(ab)*"), words=20).agrees
    True
    """
    if isinstance(model, (str, PathLike)):
        checkpoint = load(model)
        language = checkpoint.language if language is None else language
        model, readout = checkpoint.model(), readout or checkpoint.readout
    elif isinstance(model, CompiledModel):
        language = model.language if language is None else language
        model, readout = model.model(), readout or model.readout
    if language is None or readout is None or isinstance(words, int):
        count = words if isinstance(words, int) else 0
        report = check(
            model, language, readout=readout, words=count, max_length=max_length, short=short, seed=seed
        )  # complains about a missing language or readout
    else:
        wanted = as_language(language)
        depth = exhaustive_depth(len(wanted.alphabet), short, max_length)
        report = compare(model, wanted, readout, words, exhaustive_to=depth)
    if not report.agrees:
        raise AssertionError(f"the model does not model the language: {describe(report, as_language(language))}")
    return report
