"""What ``import scancraft`` gives: the public names, each loaded on first use."""

from __future__ import annotations

from importlib import import_module

import pytest

import scancraft


def test_the_names_are_the_public_ones_and_there() -> None:
    assert dir(scancraft) == sorted(scancraft.__all__)
    assert {"compile", "certify", "check", "refute", "load", "Dfa", "ScancraftError"} <= set(scancraft.__all__)
    for name in scancraft.__all__:
        found = getattr(scancraft, name)
        assert callable(found)
        assert found.__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = scancraft.nothing


def test_functions_keep_their_place_before_the_packages_of_the_same_names() -> None:
    for name in ("certify", "refute"):
        import_module(f"scancraft.{name}.{name}")
        assert getattr(scancraft, name) is getattr(import_module(f"scancraft.{name}.{name}"), name)
