"""Formulas as MathML, by docutils' own converter: no script and no network are needed to read them."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx

PRIMED = re.compile(r"([A-Za-z}])('+)(_(?:\{[^{}]*\}|[A-Za-z0-9]))?")
"""Primes, and what stands below them: the converter takes the apostrophe of a typewriter for an operator."""


SIGN = re.compile(r"(<mo[^>]*>[^<)\]|}⌉]+</mo>\s*)<mo>−</mo>")
"""A minus that follows another operator: a sign, which stands close to what it is the sign of."""


def mathml(formula: str, **options: bool) -> str:
    """A formula of TeX as MathML."""
    primed = PRIMED.sub(lambda m: m[1] + (m[3] or "") + "^{" + r"\prime" * len(m[2]) + "}", formula)
    found = str(latex2mathml.tex2mathml(primed, **options))
    return SIGN.sub(r'\1<mo form="prefix">−</mo>', found.replace("<mi>′</mi>", '<mi class="prime">′</mi>'))


def visit_math(self: Any, node: nodes.math) -> None:
    """A formula in a line."""
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_math_block(self: Any, node: nodes.math_block) -> None:
    """A formula on its own."""
    formula = mathml(node.astext(), as_block=True)
    self.body.append(self.starttag(node, "div", CLASS="math") + formula + "</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
