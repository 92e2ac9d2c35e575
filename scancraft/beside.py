"""A language beside a language model: what it generates is held to the language, token by token."""

from __future__ import annotations

from os import PathLike
from typing import Any

from .compiler.compile import compile
from .compiler.language_model import LanguageModel
from .models.errors import ReadoutError
from .models.run.generation import BesideLogitsProcessor
from .models.run.generation import LanguageLogitsProcessor as _OfModel
from .models.run.runner import Runner


class LanguageLogitsProcessor(_OfModel):
    """The processor of a model compiled by scancraft, :meth:`for_model`; or, beside another, :meth:`for_language`."""

    @classmethod
    def for_language(
        cls, language: Any, tokenizer: str | PathLike[str] | None = None, *, start: int | None = None, **options: Any
    ) -> BesideLogitsProcessor:
        """For another model: what it generates behind its prompt becomes a word of the language, in its own tokens.

        Args:
            language: over characters, whatever :func:`scancraft.compile` reads; or, without a tokenizer, a model that
                was compiled for one (what ``compile`` or ``load`` returned).
            tokenizer: the other model's ``tokenizer.json``, or its directory.
            start: where, in the ids, words begin; by default behind the prompt of the first call. Make one processor
                for each call of ``generate``, or give this.
            options: of :func:`scancraft.compile`.

        Raises:
            ReadoutError: the compiled model does not say what may come next.
            ScancraftError: the language cannot be compiled for the tokenizer.
        """
        model = language if tokenizer is None else compile(language, tokenizer=tokenizer, **options)
        if not isinstance(model, LanguageModel):
            raise ReadoutError("this was not compiled for any tokenizer; give the other model's tokenizer, too")
        readout, runner = model.readout, model.runner()
        if not isinstance(runner, Runner) or readout.bos is None or readout.accept is None or not readout.next_index:
            raise ReadoutError("such a model does not say, token by token, what may come next; compile another one")
        return BesideLogitsProcessor(runner, bos=readout.bos, eos=readout.accept, start=start)
