"""The assertion that a model is right about a language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..automata.alphabet import Word
from ..automata.languages import as_language
from ..certify.check import CheckReport, check, compare, exhaustive_depth
from ..compiler.checkpoints import opened
from ..compiler.language_model import LanguageModel
from ..models.readout import Readout


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
        model: a checkpoint or its directory, what ``scancraft.compile`` returned, or any function (say a torch module,
            in eval mode) from token ids of shape (batch, time) to an output that the readout understands.
        language: whatever ``as_language`` reads; by default that of the checkpoint or the compiled language.
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
    model = opened(model)
    if isinstance(model, LanguageModel):
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
        raise AssertionError(f"the model does not model the language: {report}")
    return report
