"""``pytest --scancraft-impl``."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"
KERNELS = """
import mutants
good = mutants.build("sequential")
bad = mutants.build("sequential", "mamba", "for j in range(self.k)", "for j in range(1, self.k)")
"""


@pytest.mark.parametrize(("name", "failed"), [("good", 0), ("bad", 6)])
def test_a_test_for_each_checkpoint_and_mode(name: str, failed: int, tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS, encoding="utf-8")
    path = os.pathsep.join([str(SUPPORT), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-p", "pytest_scancraft", "-p", "no:cacheprovider", "-q"]
    options = ["--scancraft-impl", f"kernels:{name}", "-k", "taps-3", "--junitxml", "junit.xml", str(tmp_path)]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
    tests = {t.attrib["name"]: t for t in ElementTree.parse(tmp_path / "junit.xml").iter("testcase")}
    assert "taps-3[full]" in tests
    differing = [t for t in tests.values() if t.find("failure") is not None]
    assert len(differing) == failed
    skipped = tests["taps-3[mixed]"].find("skipped")
    assert skipped is not None
    assert "no together" in skipped.attrib["message"]
    for test in differing:
        told = test.find("failure")
        assert told is not None
        assert "conv1d.weight, the tap 2 steps back" in (told.text or "")


def test_an_unknown_target_is_a_mistake_of_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pytest.main(["-p", "pytest_scancraft", "--scancraft-impl", "nothing", str(tmp_path)]) == 4
    assert "no implementation is called 'nothing'" in capsys.readouterr().err
