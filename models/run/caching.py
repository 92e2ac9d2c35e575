"""Going on from a cache, under the name that the installed ``transformers`` gives it: "cache" from 5.24 on.

Before, that depended on the class: models with attention had "past_key_values", others "cache_params".
"""

from __future__ import annotations

from inspect import signature
from typing import Any

from torch import Tensor

NAMES = ("cache", "past_key_values", "cache_params")


def continued(model: Any, ids: Tensor, cache: Any = None, run: Any = None) -> tuple[Any, Any]:
    """Run a model on more tokens.

    Args:
        model: a recurrent model of ``transformers``, or a function that is called as these are.
        ids: token ids, shape (batch, time).
        cache: what an earlier call returned; None at the beginning of a sequence.
        run: what is called in place of the model itself, with the same arguments.

    Returns:
        What the model returns, and its cache.
    """
    known = signature(getattr(model, "forward", model)).parameters
    name = next((name for name in NAMES if name in known), NAMES[-1])
    out = (run or model)(ids, **{name: cache}, use_cache=True)
    return out, next(getattr(out, name) for name in NAMES if hasattr(out, name))
