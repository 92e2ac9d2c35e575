"""A plugin of pytest: ``pytest --scancraft-impl my.module:load``, a test for each checkpoint and mode of conformance.

A test fails with the first token, block and channel that differ, and what the channel means; it is skipped, with the
reason, where the implementation does not offer the mode. It stands beside the package, so that pytest, which imports
plugins at every start, does not import torch with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest._code.code import ExceptionInfo


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("scancraft", "conformance of an implementation of Mamba")
    group.addoption("--scancraft-impl", metavar="TARGET", help="module:function, as in `scancraft conformance`")
    group.addoption("--scancraft-kind", metavar="KIND", help="the kind of block; default: mamba")
    group.addoption("--scancraft-full", action="store_true", help="the full set, which takes minutes")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """One test for each checkpoint and mode, after those that were found in files."""
    target = config.getoption("--scancraft-impl")
    if target is not None:
        items.extend(
            _tests(session, target, config.getoption("--scancraft-kind"), config.getoption("--scancraft-full"))
        )


def _tests(session: pytest.Session, target: str, kind: str | None, full: bool) -> Iterator[pytest.Item]:
    from scancraft.automata.errors import ScancraftError
    from scancraft.conformance import MODES, cases
    from scancraft.conformance.implementations import resolve

    try:
        implementation = resolve(target, kind)
        chosen = cases(implementation.kind, quick=not full)
    except ScancraftError as error:
        raise pytest.UsageError(str(error)) from error
    for case in chosen:
        for mode in implementation.modes or MODES:
            if case.modes is None or mode in case.modes:
                asked = {"kind": kind, "quick": not full, "only": [case.name], "modes": [mode]}
                name = f"{case.name}[{mode}]"
                yield Conforms.from_parent(session, name=name, nodeid=f"scancraft::{name}", target=target, asked=asked)


class DiffersError(Exception):
    """An implementation differs from what it owes."""


class Conforms(pytest.Item):
    """One checkpoint in one mode."""

    def __init__(self, *, target: str, asked: dict[str, Any], **rest: Any) -> None:
        super().__init__(**rest)
        self.target, self.asked = target, asked

    def runtest(self) -> None:
        """Try it."""
        from scancraft.automata.errors import MissingExtraError
        from scancraft.conformance import run

        try:
            (mode,) = run(self.target, **self.asked).modes
        except MissingExtraError as error:
            pytest.skip(str(error))
        if mode.difference is not None:
            raise DiffersError(str(mode.difference))
        if not mode.trials:
            pytest.skip(mode.skipped or "the checkpoint has nothing to try in this mode")

    def repr_failure(self, excinfo: ExceptionInfo[BaseException], *rest: Any, **named: Any) -> Any:
        """The difference alone; of any other exception, where it came from."""
        if isinstance(excinfo.value, DiffersError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *rest, **named)

    def reportinfo(self) -> tuple[str, None, str]:
        """What the terminal and junit name it by."""
        return "scancraft", None, self.name
