"""Which classes run a model type: those of ``transformers``, or our own where it has none.

Nothing is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

OWN_CLASSES = {"signed_mamba": (".signed_mamba", "SignedMambaConfig", "SignedMambaForCausalLM")}
"""Where our own classes are: module, configuration, model."""


def model_classes(model_type: str) -> tuple[Any, Any]:
    """The configuration and the causal language model of a model type.

    Raises:
        KeyError: neither we nor ``transformers`` know it.
    """
    if model_type in OWN_CLASSES:
        module, *names = OWN_CLASSES[model_type]
        found = import_module(module, __package__)
        config, model = (getattr(found, name) for name in names)
        return config, model
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = CONFIG_MAPPING[model_type]
    return config, MODEL_FOR_CAUSAL_LM_MAPPING[config]
