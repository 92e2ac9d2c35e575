"""One object for a compiled language and for a checkpoint: run it, judge it, look into it, write it.

``compile``, ``dyck``, ``flip_flop``, ``counters`` and ``load`` are those of the compiler, whose results are given the
methods that need what lies above the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from .automata.alphabet import Word, parse_word
from .compiler import compile as _compiling
from .compiler import compiled as _compiled
from .compiler import constructions as _constructions
from .compiler.language_model import LanguageModel

if TYPE_CHECKING:
    import torch

    from .certify.certify import Certificate, Open, Refuted
    from .certify.check import CheckReport
    from .compiler.answers import Verdicts
    from .explain.text import Explanation
    from .interp.labels import Labels
    from .models.run.model_runner import ModelRunner
    from .models.run.runner import Runner

P = ParamSpec("P")


class Model(LanguageModel):
    """A language as a language model, compiled or loaded.

    A word is a string as :func:`~scancraft.automata.alphabet.parse_word` reads it ("abba", or "push pop" where symbols
    are longer than a character), or a sequence of symbols.
    """

    @cached_property
    def _runner(self) -> Runner | ModelRunner:
        return self.runner()

    def _word(self, word: Word) -> tuple[str, ...]:
        alphabet = self.language.alphabet
        return parse_word(word, alphabet) if isinstance(word, str) else tuple(word)

    def encode(self, word: Word) -> list[int]:
        """The token ids of a word, ``<bos>`` first.

        Raises:
            UnknownSymbolError: a symbol outside the alphabet.
        """
        return self.readout.encode(self._word(word))

    def run(self, word: Word) -> Verdicts:
        """What the model says after each prefix of a word: whether it may end, and which tokens may come next.

        Raises:
            UnknownSymbolError: a symbol outside the alphabet.
            CounterRangeError: a counter goes past what it holds exactly.
        """
        from .compiler.answers import verdicts

        (found,) = verdicts(self, [self._word(word)], self._runner)
        return found

    def accepts(self, word: Word) -> bool:
        """Whether the model says that the word is in the language; errors as for :meth:`run`."""
        return self.run(word).accepts

    def output(self, word: Word) -> str | None:
        """The class that a model of a machine with outputs says, None if two scores are greatest; errors as for
        :meth:`run`.

        Raises:
            ReadoutError: the model has no outputs.
        """
        return self.run(word).output

    def allowed(self, prefix: Word) -> frozenset[str]:
        """The tokens that the model allows after a prefix, ``<eos>`` if the word may end; errors as for :meth:`run`."""
        return self.run(prefix).allowed

    def check(
        self, language: Any = None, *, words: int = 400, max_length: int = 200, short: int = 20_000, seed: int = 0
    ) -> CheckReport:
        """Compare the model with its language, or with another, on words: see :func:`scancraft.check`."""
        from .certify.check import check

        return check(self, language, words=words, max_length=max_length, short=short, seed=seed)

    def certify(self, language: Any = None, *, dtype: torch.dtype | None = None) -> Certificate | Refuted | Open:
        """Prove the model right on every word, or find one on which it is wrong: see :func:`scancraft.certify`."""
        from .certify.certify import certify

        return certify(self, language, dtype=dtype)

    def explain(self) -> Explanation:
        """What each block, memory, channel and dimension stands for; print it, or end a cell with it."""
        from .explain.text import Explanation, explanation

        return Explanation(explanation(self))

    @property
    def labels(self) -> Labels:
        """The same as values: every channel, memory and direction (``scancraft.interp``)."""
        from .interp.labels import labels_of

        return labels_of(self)


class Compiled(Model, _compiled.Compiled):
    """A regular language compiled by a cascade or a plan; print any of the stages."""


class Constructed(Model, _compiled.Constructed):
    """A language compiled by one of the paper's own constructions, or side by side; print the circuit."""


def _with_methods(made: _compiled.CompiledModel) -> Compiled | Constructed:
    parts = {field.name: getattr(made, field.name) for field in fields(made)}
    return Compiled(**parts) if isinstance(made, _compiled.Compiled) else Constructed(**parts)


def _giving_models(function: Callable[P, _compiled.CompiledModel]) -> Callable[P, Compiled | Constructed]:
    @wraps(function)
    def made(*args: P.args, **kwargs: P.kwargs) -> Compiled | Constructed:
        return _with_methods(function(*args, **kwargs))

    return made


compile = _giving_models(_compiling.compile)
counters = _giving_models(_constructions.counters)
dyck = _giving_models(_constructions.dyck)
flip_flop = _giving_models(_constructions.flip_flop)
