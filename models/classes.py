"""The kinds of model that there are: which class runs each, and the shape of what its blocks remember.

Other packages add theirs with :func:`register`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any

from .errors import MissingClassError

Sizes = tuple[int, ...]


def _channels(mixer: Any) -> tuple[tuple[int, int], Sizes]:
    """Of Mamba and its relatives: a window and ``d_state`` numbers for each channel."""
    channels = mixer.intermediate_size
    return (channels, mixer.conv_kernel_size), (channels, mixer.ssm_state_size)


def _matrices(mixer: Any) -> tuple[tuple[int, int], Sizes]:
    """Of Gated DeltaNet: the convolution has queries, keys and values, and each head a matrix."""
    return (mixer.conv_dim, mixer.conv_kernel_size), (mixer.num_v_heads, mixer.head_k_dim, mixer.head_v_dim)


def _heads(mixer: Any) -> tuple[tuple[int, int], Sizes]:
    """Of Mamba-2: the convolution has B and C beside x, and the channels of the state are those of heads."""
    return (mixer.conv_dim, mixer.conv_kernel_size), (mixer.num_heads, mixer.head_dim, mixer.ssm_state_size)


@dataclass(frozen=True)
class Architecture:
    """A kind of model.

    Attributes:
        title: its name, for people.
        package: the module that its classes are in; "scancraft" for our own.
        model: the class of its causal language model.
        memory: from a block's mixer to the shapes of what it remembers: the last inputs of its convolution
            (channels, taps), oldest first, and its SSM state.
        dtypes: number formats that certificates are made for.
        module: of our own classes.
        since: a version of the package that has the class.
    """

    title: str
    package: str
    model: str
    memory: Callable[[Any], tuple[tuple[int, int], Sizes]] = _channels
    dtypes: tuple[str, ...] = ("float32", "bfloat16", "float16")
    module: str | None = None
    since: str = "5.17"

    @property
    def implementation(self) -> str:
        """The class as certificates name it."""
        return f"{self.package}.{self.model}"

    def classes(self) -> tuple[Any, Any]:
        """The classes of the configuration and of the causal language model.

        Raises:
            MissingClassError: the installed package has none.
        """
        found = import_module(self.module or self.package, __package__)
        try:
            return getattr(found, self.model.removesuffix("ForCausalLM") + "Config"), getattr(found, self.model)
        except AttributeError:
            there = getattr(found, "__version__", "of an unknown version")
            raise MissingClassError(
                f"{self.package} {there} has no {self.model}, which {self.package} {self.since} has; install that "
                f"(`pip install '{self.package}>={self.since}'`), or compile for another target"
            ) from None


_found: dict[str, Architecture] = {
    "mamba": Architecture("Mamba", "transformers", "MambaForCausalLM"),
    "signed_mamba": Architecture("Signed Mamba", "scancraft", "SignedMambaForCausalLM", module=".signed_mamba"),
    "longhorn": Architecture(
        "Longhorn", "scancraft", "LonghornForCausalLM", dtypes=("float32", "bfloat16"), module=".longhorn"
    ),
    "falcon_mamba": Architecture("Falcon-Mamba", "transformers", "FalconMambaForCausalLM"),
    "mamba2": Architecture("Mamba-2", "transformers", "Mamba2ForCausalLM", _heads, ("float32", "bfloat16")),
    "olmo_hybrid": Architecture(
        "OLMo Hybrid", "transformers", "OlmoHybridForCausalLM", _matrices, ("float32", "bfloat16")
    ),
}
ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(_found)
"""By the ``model_type`` of ``config.json``."""

CERTIFIED = tuple(_found)
"""Those that certificates are about; none that is registered later."""


def register(model_type: str, architecture: Architecture) -> None:
    """Add a kind of model, for as long as the process lives; its checkpoints can then be loaded like ours.

    Raises:
        ValueError: there is another of this model type.
    """
    if _found.get(model_type, architecture) != architecture:
        raise ValueError(f"there is an architecture of model type {model_type} already; give yours another name")
    _found[model_type] = architecture


def model_type_of(model: Any) -> str | None:
    """The ``model_type`` in a model's configuration; None for objects without one."""
    found = getattr(getattr(model, "config", None), "model_type", None)
    return found if isinstance(found, str) else None


def model_classes(model_type: str) -> tuple[Any, Any]:
    """The configuration and the causal language model of a model type, whether it is in ``ARCHITECTURES`` or not.

    Raises:
        KeyError: neither we nor ``transformers`` know it.
    """
    if model_type in ARCHITECTURES:
        return ARCHITECTURES[model_type].classes()
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = CONFIG_MAPPING[model_type]
    return config, MODEL_FOR_CAUSAL_LM_MAPPING[config]
