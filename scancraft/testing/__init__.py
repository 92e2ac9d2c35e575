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

from importlib.util import find_spec

from ..automata.errors import MissingExtraError

if find_spec("hypothesis") is None:
    raise MissingExtraError(
        "scancraft.testing needs the package hypothesis; install it with: pip install 'scancraft[testing]'"
    )

from .asserts import assert_models_language
from .bits import assert_same_bits
from .languages import dfas, star_free_dfas, star_free_expressions
from .words import any_words, edits, members, words

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
