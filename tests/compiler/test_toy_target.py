"""Adding a target is adding one file: a toy of another package goes through every command, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import scancraft

TOY = '''
"""Mamba whose gate branch is four times as large, and whose output takes it back."""

from dataclasses import replace

from scancraft.compiler.targets import Lowered, Options, mamba
from scancraft.models.mamba import MambaWeights


def lower(circuit, options: Options) -> Lowered:
    found = mamba.lower(circuit, options)
    shape, tensors = found.weights.shape, {n: t.copy() for n, t in found.weights.tensors.items()}
    for name, tensor in tensors.items():
        if name.endswith("in_proj.weight"):
            tensor[shape.d_inner :] *= 4
        elif name.endswith("out_proj.weight"):
            tensor /= 4
    return replace(found, weights=MambaWeights(shape, tensors))


def load(directory):
    from transformers import MambaForCausalLM

    model = MambaForCausalLM.from_pretrained(directory).eval()
    return lambda ids: model(ids).logits


TARGET = replace(
    mamba.TARGET,
    name="toy",
    title="a toy: Mamba with a larger gate branch",
    dtypes=("float32", "bfloat16"),
    lower=lower,
    constants={**mamba.TARGET.constants, "larger by": 4.0},
)
'''

SCRIPT = """
import json, sys
import scancraft
from scancraft.compiler.targets import TARGETS
from scancraft.certify.checker.certificate import check_certificate
from scancraft.conformance.driver import run as conformance
from scancraft.explain.text import explanation

place, found = sys.argv[1], {"targets": list(TARGETS)}
for name, language in (("regular", "(a(ab)*b)*"), ("counters", scancraft.suite_language("a^n b^n").language)):
    compiled = scancraft.compile(language, f"{place}/{name}", target="toy")
    certificate = scancraft.certify(f"{place}/{name}")
    certificate.save(f"{place}/{name}")
    found[name] = {
        "scope": certificate.scope,
        "accepted": check_certificate(f"{place}/{name}").accepted,
        "agrees": scancraft.check(f"{place}/{name}", words=20, max_length=20, short=100).agrees,
        "manifest": [compiled.manifest.target, compiled.manifest.constants["larger by"]],
        "blocks": len(explanation(scancraft.load(f"{place}/{name}"))["blocks"]),
    }
report = conformance("toy_target:load", kind="toy", modes=["full"], quick=True)
found["conformance"] = [report.passed, len(report.cases)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process in which a package with one file and one entry point is installed."""
    place = tmp_path_factory.mktemp("site")
    (place / "toy_target.py").write_text(TOY)
    about = place / "toy_target-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-target\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[scancraft.targets]\ntoy = toy_target:TARGET\n")
    source = str(Path(scancraft.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH"), source]))
    return {**os.environ, "PYTHONPATH": path}


def run(installed: dict[str, str], *args: str) -> str:
    done = subprocess.run([sys.executable, *args], env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_target_of_one_more_file(installed: dict[str, str], tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(run(installed, "-c", SCRIPT, str(tmp_path)))
    assert "toy" in found["targets"]
    assert "mamba" in found["targets"]
    for name in ("regular", "counters"):
        told = found[name]
        assert told["scope"] == "every-implementation"
        assert told["accepted"]
        assert told["agrees"]
        assert told["manifest"] == ["toy", 4.0]
        assert told["blocks"] > 0
    passed, cases = found["conformance"]
    assert passed
    assert cases > 0


def test_what_is_no_target_is_named(installed: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bad-1.0.dist-info").mkdir()
    (tmp_path / "bad-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (tmp_path / "bad-1.0.dist-info" / "entry_points.txt").write_text("[scancraft.targets]\nbad = math:pi\n")
    path = f"{tmp_path}{os.pathsep}{installed['PYTHONPATH']}"
    code = "import scancraft.compiler.targets"
    done = subprocess.run([sys.executable, "-c", code], env={**installed, "PYTHONPATH": path}, capture_output=True)
    assert done.returncode == 1
    assert b"the entry point bad of scancraft.targets is no Target but float" in done.stderr


OWN = '''
"""A model class of its own: Mamba whose output is scaled by a number in its configuration."""

from dataclasses import replace

from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM


class OwnMambaConfig(MambaConfig):
    model_type = "own_mamba"
    louder: float = 2.0


class OwnMambaForCausalLM(MambaForCausalLM):
    config_class = OwnMambaConfig

    def forward(self, *args, **kwargs):
        out = super().forward(*args, **kwargs)
        out.logits = out.logits * self.config.louder
        return out


AutoConfig.register("own_mamba", OwnMambaConfig)
AutoModelForCausalLM.register(OwnMambaConfig, OwnMambaForCausalLM)
'''

OWN_TARGET = """
from dataclasses import dataclass, replace

from scancraft.compiler.targets import Lowered, mamba
from scancraft.models.classes import Architecture
from scancraft.models.mamba import MambaShape, MambaWeights


@dataclass(frozen=True)
class Shape(MambaShape):
    @property
    def model_type(self):
        return "own_mamba"


def lower(circuit, options):
    found = mamba.lower(circuit, options)
    shape = Shape(**vars(found.weights.shape))
    return replace(found, weights=MambaWeights(shape, found.weights.tensors))


ARCHITECTURE = Architecture("Own Mamba", "own_model", "OwnMambaForCausalLM")
TARGET = replace(
    mamba.TARGET, name="own", model_type="own_mamba", lower=lower, classes=ARCHITECTURE.classes,
    architecture=ARCHITECTURE,
)
"""

OWN_SCRIPT = """
import json, sys
import scancraft

place, found = sys.argv[1], {}
scancraft.compile("(ab)*", place, target="own")
found["agrees"] = scancraft.check(place, words=20, max_length=20, short=100).agrees
try:
    found["certify"] = str(scancraft.certify(place))
except scancraft.ScancraftError as error:
    found["certify"] = str(error)
changes = {"louder": 3.0, "loud": 1.0, "louder ": 1.0, "hidden_size": 10**9, "rescale_prenorm_residual": True}
path = f"{place}/config.json"
config = json.load(open(path))
for key, value in changes.items():
    json.dump({**config, key: value}, open(path, "w"))
    try:
        found[key] = str(scancraft.load(place).model().config.louder)
    except scancraft.ScancraftError as error:
        found[key] = str(error)
print(json.dumps(found))
"""


def test_a_target_with_a_model_class_of_its_own(installed: dict[str, str], tmp_path: Path) -> None:
    """The closed set of keys and tensors is that of the registered class; what is not is refused as ever."""
    (tmp_path / "own_model.py").write_text(OWN)
    (tmp_path / "own_target.py").write_text(OWN_TARGET)
    about = tmp_path / "own-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[scancraft.targets]\nown = own_target:TARGET\n")
    environment = {**installed, "PYTHONPATH": f"{tmp_path}{os.pathsep}{installed['PYTHONPATH']}"}
    found: dict[str, Any] = json.loads(run(environment, "-c", OWN_SCRIPT, str(tmp_path / "m")))
    assert found["agrees"]
    assert "certificates need a MambaForCausalLM" in found["certify"]
    assert found["louder"] == "3.0"
    assert "'loud', which is not known" in found["loud"]
    assert "'louder ', which is not known" in found["louder "]
    assert "it must be a whole number" in found["hidden_size"]
    assert "it must be False" in found["rescale_prenorm_residual"]
