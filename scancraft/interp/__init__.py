"""Looking inside models: activations by name, patches, what every part means, variants, and a bench for methods.

>>> from scancraft import interp
>>> cache = interp.run_with_cache("out/d2", ["aabb"])                     # doctest: +SKIP
>>> cache["blocks.0.mixer.hook_ssm_state"]                                # doctest: +SKIP
>>> [memory.decode(cache) for memory in interp.labels_of("out/d2").memories]  # doctest: +SKIP

It rests on everything below the face; nothing but the command line rests on it.
"""

from .errors import BenchError, HookPointError, NotLookedIntoError, PatchError, VariantError
from .expected import expected
from .labels import Channel, Direction, Labels, Memory, labels_of
from .run import Cache, Patch, ablate, gradients, patch, run_with_cache
from .variants import Variant, variant

__all__ = [
    "BenchError",
    "Cache",
    "Channel",
    "Direction",
    "HookPointError",
    "Labels",
    "Memory",
    "NotLookedIntoError",
    "Patch",
    "PatchError",
    "Variant",
    "VariantError",
    "ablate",
    "expected",
    "gradients",
    "labels_of",
    "patch",
    "run_with_cache",
    "variant",
]
