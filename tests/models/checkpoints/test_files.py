"""Writing: nothing half-written stays, nothing of the user's is lost, and only regular files are written to."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import invoke, refused

import scancraft
from scancraft.models.checkpoints import files
from scancraft.models.checkpoints.files import parse_json, replace_directory, replace_file
from scancraft.models.errors import CheckpointError

OURS = ("mark", "sub/file")


def fill(place: Path, text: str) -> None:
    (place / "mark").write_text(text)
    (place / "sub").mkdir()
    (place / "sub" / "file").write_text(text)


def written(target: Path, text: str = "new") -> None:
    with replace_directory(target, "mark", OURS) as place:
        fill(place, text)


def content(target: Path) -> dict[str, str]:
    return {p.relative_to(target).as_posix(): p.read_text() for p in target.rglob("*") if p.is_file()}


NEW = {"mark": "new", "sub/file": "new"}


@pytest.mark.parametrize("exchange", [True, False])
def test_a_directory_of_ours_is_replaced(exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(files.ctypes, "CDLL", lambda *_, **__: object())  # a system that cannot exchange
    target = tmp_path / "deep" / "target"
    written(target, "old")
    written(target)
    assert content(target) == NEW
    (tmp_path / "empty").mkdir()
    written(tmp_path / "empty")
    assert content(tmp_path / "empty") == NEW
    link = tmp_path / "link"
    link.symlink_to(target)
    written(link, "newest")
    assert link.is_symlink()
    assert content(target)["mark"] == "newest"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "empty", "link"]
    assert [p.name for p in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("name", ["notes.txt", "sub/notes.txt", "other/notes.txt", ".hidden"])
def test_what_the_user_put_there_stays(name: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    written(target, "old")
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).write_text("mine")
    before = content(target)
    with pytest.raises(CheckpointError, match=f"holds '{name}'"):
        written(target)
    assert content(target) == before
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_what_the_user_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "target"
    written(target, "old")

    def meanwhile() -> None:
        with replace_directory(target, "mark", OURS) as place:
            fill(place, "new")
            (target / "notes").write_text("mine")

    with pytest.raises(CheckpointError, match="notes"):
        meanwhile()
    assert content(target) == {"mark": "old", "sub/file": "old", "notes": "mine"}


def test_other_places_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "unmarked" / "sub").mkdir(parents=True)
    (tmp_path / "unmarked" / "sub" / "file").write_text("mine")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for target, message in (
        ("../file", "not a directory"),
        ("../unmarked", "no mark"),
        (".", "current"),
        ("..", "current"),
    ):
        with pytest.raises(CheckpointError, match=message):
            written(Path(target))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "here", "unmarked"]
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_leaves_the_old(error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "target"
    written(target, "old")

    def broken() -> None:
        with replace_directory(target, "mark", OURS) as place:
            fill(place, "new")
            (place / "more").write_text("half")
            raise error

    with pytest.raises(error):
        broken()
    assert content(target) == {"mark": "old", "sub/file": "old"}
    assert [p.name for p in tmp_path.iterdir()] == ["target"]


def test_killed_at_any_moment_it_is_the_old_or_the_new(tmp_path: Path) -> None:
    target = tmp_path / "target"
    written(target, "old")
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from scancraft.models.checkpoints.files import replace_directory\n"
        "print('go', flush=True)\n"
        "while True:\n"
        "    with replace_directory(Path(sys.argv[1]), 'mark', ('mark', 'sub/file')) as place:\n"
        "        (place / 'mark').write_text('new'); (place / 'sub').mkdir(); (place / 'sub/file').write_text('new')\n"
    )
    for delay in (0.0, 0.003, 0.007, 0.02, 0.05):
        root = str(Path(scancraft.__file__).parent.parent)
        with subprocess.Popen([sys.executable, "-c", code, target, root], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
        found = content(target)
        assert found in ({"mark": "old", "sub/file": "old"}, NEW)


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    target, link = tmp_path / "file", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("file")
    with replace_file(link) as fresh:
        fresh.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640

    def broken() -> None:
        with replace_file(target) as fresh:
            fresh.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert target.read_text() == "new"
    (tmp_path / "dangling").symlink_to("made")
    with replace_file(tmp_path / "dangling") as fresh:
        fresh.write_text("made")
    assert (tmp_path / "made").read_text() == "made"
    with replace_file(tmp_path / ("x" * 250)) as fresh:
        fresh.write_text("a long name")
    assert sorted(len(p.name) for p in tmp_path.iterdir()) == [4, 4, 4, 8, 250]


def test_only_regular_files_are_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "directory").mkdir()
    model = tmp_path / "m"
    scancraft.compile("(ab)*", model)
    for name in ("pipe", "device", "directory", "/dev/full"):
        place = tmp_path / name
        with pytest.raises(OSError, match="not a regular file"), replace_file(place):
            pytest.fail("it would be written to")
        refused(invoke("explain", model, "--html", place))
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert (tmp_path / "device").is_symlink()


def test_compile_over_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "m"
    assert invoke("compile", "--regex", "(ab)*", "-o", model, "--certify").exit_code == 0
    assert invoke("compile", "--regex", "(a(ab)*b)*", "-o", model).exit_code == 0
    assert not (model / "certificate.json").exists()  # it was of the other language
    (model / "notes.txt").write_text("mine")
    assert "'notes.txt'" in refused(invoke("compile", "--regex", "(ab)*", "-o", model))
    assert (model / "notes.txt").read_text() == "mine"
    monkeypatch.chdir(model)
    assert "current directory" in refused(invoke("compile", "--regex", "(ab)*", "-o", "."))
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 101 + "]" * 101, '{"a": ' * 500, "9" * 5000, '{"a": 1, "a": 1}', "", "nul"]
)
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_that_is_read() -> None:
    value: Any = {"a": [1, 2.5, None, True, "x"], "b": {"c": []}}
    assert parse_json(json.dumps(value)) == value
    assert parse_json("[" * 100 + "]" * 100)
