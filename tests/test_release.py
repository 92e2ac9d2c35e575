"""What is published: the sdist has every file of the repository that it should, the wheel the package and no more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_PUBLISHED = {".gitignore", "docs/gpu/.gitkeep"}
LARGEST_WHEEL = 3_000_000


def tracked() -> set[str]:
    """The files of the repository."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not in a checkout of git: what belongs to the repository is not known")
    return {name for name in found.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made from it, without a network. The build runs on a copy and leaves nothing here."""
    pytest.importorskip("setuptools", "77", "only where setuptools can build: pip install 'setuptools>=77'")
    here = tmp_path_factory.mktemp("release")
    for name in tracked():
        (here / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, here / "source" / name)
    build = "import sys; from setuptools import build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"
    for kind, where in (("sdist", here / "source"), ("wheel", here / f"scancraft-{PROJECT['project']['version']}")):
        subprocess.run([sys.executable, "-c", build, kind, str(here)], cwd=where, check=True, capture_output=True)
        if kind == "sdist":
            (archive,) = here.glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(here, filter="data")
    (wheel,) = here.glob("*.whl")
    return archive, wheel


def test_the_sdist_is_the_repository(published: tuple[Path, Path]) -> None:
    with tarfile.open(published[0]) as tar:
        members = {"/".join(Path(m.name).parts[1:]) for m in tar.getmembers() if m.isfile()}
    made = {"PKG-INFO", "setup.cfg"} | {name for name in members if name.startswith("scancraft.egg-info/")}
    assert members - made == tracked() - NOT_PUBLISHED
    for needed in ("CHANGELOG.md", "docs/index.md", "tests/conftest.py", "tests/support/examples.py"):
        assert needed in members


def test_the_wheel_is_the_package(published: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(published[1]) as wheel:
        members = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert published[1].stat().st_size < LARGEST_WHEEL
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    rooms = {folder: name.replace(".", "/") for name, folder in folders.items()}
    expected = {"scancraft_entry.py", "pytest_scancraft.py"}
    for name in tracked():
        room, _, rest = name.partition("/")
        if room in rooms and rest:
            expected.add(f"{rooms[room]}/{rest}")
    assert members == expected


def test_the_description_needs_nothing_of_the_repository(published: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(published[1]) as wheel:
        (place,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        told = Parser().parsestr(wheel.read(place).decode())
    assert told["Version"] == PROJECT["project"]["version"]
    assert told["Description-Content-Type"] == "text/markdown"
    text = told.get_payload()
    assert text.startswith("# scancraft")
    assert "](docs/" not in text
    assert "<img" not in text
    assert set(re.findall(r"\]\(([^)\s]+)\)", text)) >= {"https://arxiv.org/abs/2405.17394"}
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)\s]+)\)", text))


def test_the_tables_of_the_readme_have_as_many_cells_in_each_row() -> None:
    tables = re.findall(r"(?:^\|.*\n)+", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(tables) >= 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


def test_one_version_everywhere() -> None:
    version = PROJECT["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
