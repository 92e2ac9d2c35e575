"""Campaigns: a folder to certified models, whatever happens to files, workers and the person's patience."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from campaigning import ATT, Harmful, Threads, dead_once, folder, killed_once, lost, tree
from command_line import answer, invoke, refused

import scancraft
from scancraft.automata.languages import language_to_json
from scancraft.campaigns import work
from scancraft.campaigns.batch import ExecutorBrokenError, Report
from scancraft.campaigns.results import CampaignError
from scancraft.campaigns.task import CODES, MEANINGS, Choices, Row, Task
from scancraft.campaigns.workers import ClusterError, Processes, cluster
from scancraft.certify.checker.certificate import check_certificate

OUTCOMES = {
    "deeper/once.att": "certified",
    "ends_in_b.att": "certified",
    "even.att": "certified",
    "no_bb.att": "certified",
    "thrice.att": "excluded",
}
WORDS = 20
"""Few, where the check on words is not what is tested."""
FEW = ("--gates", "signed", "--words", WORDS)


@pytest.fixture
def thread() -> Any:
    """An executor in this process: quick to start."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


def lines(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "results.jsonl").read_text().splitlines()]


def ran(files: object, out: Path, pool: Executor, **more: Any) -> Report:
    """With diagonal gates only, so that some language is excluded."""
    return scancraft.batch(files, out, executor=pool, words=WORDS, **{"gates": "signed", **more})  # type: ignore[arg-type]


def outcomes(report: Report, place: Path) -> dict[str, str]:
    return {Path(row.file).relative_to(place).as_posix(): row.outcome for row in report.rows}


def test_a_folder_of_att_files_by_one_command_and_equal_bytes_wherever_it_runs(tmp_path: Path, thread: Any) -> None:
    files = folder(tmp_path / "in")
    (files / "large.att").write_text("".join(f"{q}\t{q + 1}\ta\n" for q in range(1_000_000)))
    command = ("batch", files, "-o", tmp_path / "jobs2", "--jobs", 2, *FEW, "--memory")
    assert "at least" not in refused(invoke(*command, "lots"))
    result = invoke(*command, "700MiB")
    assert (result.exit_code, result.stderr) == (3, "")
    assert "6 files: 4 certified, 1 excluded, 1 out of memory" in result.stdout
    table = {cells[0]: cells for cells in (line.split() for line in result.stdout.splitlines()) if len(cells) > 8}
    assert table["even.att"][1:5] == ["certified", "1", "2", "signed"]
    assert table["thrice.att"][4:7] == ["complex", "-", "-"]
    here = ran([files / name for name in reversed(ATT)], tmp_path / "thread", thread)
    assert outcomes(here, files) == OUTCOMES
    # A name is part of where the checkpoint goes: both were given the same names.
    assert tree(tmp_path / "jobs2" / "models") == tree(tmp_path / "thread" / "models")
    rows = {Path(row["file"]).relative_to(files).as_posix(): row for row in lines(tmp_path / "jobs2")}
    assert {name: row["outcome"] for name, row in rows.items()} == OUTCOMES | {"large.att": "out of memory"}
    for name, row in rows.items():
        if row["outcome"] == "certified":
            place = tmp_path / "jobs2" / row["model"]
            assert check_certificate(place).accepted
            assert scancraft.load(place).language == scancraft.read_automaton(files / name)
            assert (row["words"] > 0, row["wrong"], row["error"]) == (True, 0, None)
    assert rows["thrice.att"]["error"]["period"] == 3


def test_rows_have_the_keys_that_are_documented(tmp_path: Path, thread: Any) -> None:
    ran([folder(tmp_path / "in"), "nowhere.att"], tmp_path / "out", thread)
    kinds: dict[str, tuple[type, ...]] = {
        "schema": (int,),
        **dict.fromkeys(("file", "outcome", "stage"), (str,)),
        **dict.fromkeys(("digest", "gates", "construction", "scope", "model"), (str, type(None))),
        **dict.fromkeys(("states", "letters", "blocks", "d_model", "parameters"), (int, type(None))),
        **dict.fromkeys(("words", "prefixes", "wrong"), (int, type(None))),
        "star_free": (bool, type(None)),
        "margin": (float, type(None)),
        "error": (dict, type(None)),
        "seconds": (dict,),
    }
    rows = lines(tmp_path / "out")
    assert len(rows) == 6
    for row in rows:
        assert row.keys() == kinds.keys() == {field.name for field in fields(Row)}
        assert [key for key, value in row.items() if type(value) not in kinds[key]] == []
        assert row["outcome"] in MEANINGS
    assert MEANINGS.keys() == CODES.keys()


def test_what_ended_is_not_done_again(tmp_path: Path, thread: Any) -> None:
    files, out = folder(tmp_path / "in"), tmp_path / "out"
    assert ran(files, out, thread).fresh == 5
    first = (out / "results.jsonl").read_bytes()
    again = ran(files, out, thread)
    assert (again.fresh, outcomes(again, files)) == (0, OUTCOMES)
    assert (out / "results.jsonl").read_bytes() == first
    (files / "even.att").write_text(ATT["no_bb.att"])  # other content
    (files / "deeper/once.syms").write_text("<eps>\t0\nb\t1\na\t2\n")  # another symbol table
    (files / "more.att").write_text(ATT["even.att"])
    third = ran(files, out, thread)
    assert third.fresh == 3
    assert [Path(row["file"]).name for row in lines(out)[5:]] == ["even.att", "more.att", "once.att"]
    assert ran(files, out, thread, gates="nonnegative").fresh == 6  # other choices
    assert (out / "results.jsonl").read_bytes().startswith(first)


def test_what_is_out_of_time_says_where_the_time_went(tmp_path: Path) -> None:
    task = Task("a.att", tmp_path / "a.att", "", tmp_path, Choices(), 60.0)
    found = work._Found({"states": 291, "letters": 16}, "compile", {"read": 0.1, "compile": 59.9})
    message = "60 s are over, 59.9 of them for the stage compile (291 states, 16 letters); raise --seconds"
    assert work._out_of_time(task, found) == ("out of time", {"error": "out of time", "message": message})


def test_only_what_failed_is_tried_again_and_only_if_asked(tmp_path: Path, thread: Any) -> None:
    files, out = folder(tmp_path / "in", "no_bb.att", "thrice.att"), tmp_path / "out"
    spent = ran(files, out, thread, seconds=1e-9)
    assert (spent.counts, spent.exit_code) == ({"out of time": 2}, 3)
    assert not (out / "models").exists()
    assert ran(files, out, thread).fresh == 0
    retried = ran(files, out, thread, retry=True)
    assert (retried.fresh, retried.exit_code, retried.counts) == (2, 0, {"certified": 1, "excluded": 1})
    assert ran(files, out, thread, retry=True).fresh == 0
    assert ran(files, tmp_path / "few", thread, budget=1).counts == {"excluded": 1, "undecided": 1}


def test_languages_of_every_kind(tmp_path: Path, thread: Any) -> None:
    kinds = {
        "dyck": scancraft.BoundedDyck(2, 3),
        "abc": scancraft.named("a^n b^n c^n"),
        "sum": scancraft.named("sum mod 4"),
        "both": scancraft.regex(".*ab.* & ~(.*ba)", alphabet="ab"),
        "once": scancraft.parse_ltl("H(b -> O a)", "ab"),
        "braces": scancraft.json_documents(2),
    }
    files = tmp_path / "in"
    files.mkdir()
    for name, language in kinds.items():
        (files / f"{name}.json").write_text(json.dumps(language_to_json(language)))
    report = ran(files, tmp_path / "out", thread)
    assert [(Path(row.file).stem, row.outcome, row.error) for row in report.rows] == [
        (name, "certified", None) for name in sorted(kinds)
    ]


def test_files_that_cannot_be_read_are_named_and_the_others_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scancraft.campaigns.batch.Processes", Threads)
    files = folder(tmp_path / "in", "no_bb.att")
    (files / "bad.dot").write_text("digraph {")
    (files / "counts.json").write_bytes(b"\xff")
    result = invoke("batch", files, tmp_path / "nowhere.att", "-o", tmp_path / "out", "--jobs", 1, *FEW)
    assert result.exit_code == 2
    assert "4 files: 1 certified, 3 unreadable" in result.stdout
    assert [name for name in ("bad.dot", "counts.json", "nowhere.att") if name in result.stderr] != []
    assert result.stderr.count("\n") == 3
    found = answer(invoke("batch", files / "no_bb.att", "-o", tmp_path / "out", *FEW, "--json"))
    assert (found["fresh"], found["outcomes"], found["rows"][0]["blocks"]) == (0, {"certified": 1}, 1)


def test_folders_patterns_and_names_stand_for_files_once(tmp_path: Path, thread: Any) -> None:
    files = folder(tmp_path / "in")
    (files / ".hidden.att").write_text(ATT["even.att"])
    (files / "notes.txt").write_text("nothing")
    out = files / "out"  # among them, with checkpoints full of JSON
    assert len(ran([files, str(files / "*.att"), files / "even.att"], out, thread).rows) == 5
    assert ran(files, out, thread).fresh == 0
    assert len(ran(str(files / "**" / "o*.att"), tmp_path / "other", thread).rows) == 1
    scancraft.compile("a", files / "model")
    assert len(ran(files, out, thread).rows) == 5
    with pytest.raises(CampaignError, match="no file to work on"):
        ran(files / "model", out, thread)


def test_a_worker_that_dies_loses_nothing(tmp_path: Path) -> None:
    files = folder(tmp_path / "in", "even.att", "no_bb.att", "thrice.att")
    pool = Processes(1)
    try:
        once = Harmful(pool, killed_once)
        assert ran(files, tmp_path / "once", once).counts == {"certified": 2, "excluded": 1}
    finally:
        pool.kill()
    assert sorted(Path(name).name for name in once.files) == ["even.att", "even.att", "no_bb.att", "thrice.att"]
    (killed,) = filter(None, (future.exception() for future in once.futures))
    assert "killed, as the system does when memory runs out" in str(killed)


def test_a_file_that_kills_its_worker_twice_is_lost_and_the_others_done(tmp_path: Path, thread: Any) -> None:
    files = folder(tmp_path / "in", "even.att", "no_bb.att", "thrice.att")
    always = Harmful(thread, lost)
    report = ran(files, tmp_path / "out", always)
    assert (report.counts, report.exit_code) == ({"certified": 1, "excluded": 1, "lost": 1}, 3)
    (error,) = (row.error for row in report.rows if row.outcome == "lost")
    assert error is not None
    assert error["message"] == "killed (tried 2 times)"
    assert always.files.count(str(files / "even.att")) == 2
    assert ran(files, tmp_path / "out", thread, retry=True).counts == {"certified": 2, "excluded": 1}


def test_an_executor_that_breaks_ends_the_campaign_and_keeps_what_ended(tmp_path: Path) -> None:
    files, out = folder(tmp_path / "in"), tmp_path / "out"

    class Broken(ThreadPoolExecutor):
        left = 2

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.shutdown()
            return super().submit(*args, **kwargs)

    with Broken(1) as pool, pytest.raises(ExecutorBrokenError, match="what ended is kept") as stopped:
        ran(files, out, pool)
    assert stopped.value.exit_code == 3


def test_wrong_models_and_bugs_are_told(tmp_path: Path, thread: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = folder(tmp_path / "in", "no_bb.att")
    right = work.compile
    monkeypatch.setattr(work, "compile", lambda language, **options: right(~language, **options))
    report = ran(files, tmp_path / "wrong", thread)
    assert (report.counts, report.exit_code) == ({"disagreement": 1}, 1)
    monkeypatch.setattr(work, "compile", right)
    truth = work.certify
    monkeypatch.setattr(work, "certify", lambda place, **more: truth(place, "(a|b)*", **more))
    report = ran(files, tmp_path / "refuted", thread)
    assert (report.counts, report.exit_code) == ({"disagreement": 1}, 1)
    assert report.rows[0].error is not None
    assert report.rows[0].error["word"] == ["b"]
    monkeypatch.setattr(work, "certify", lambda *_, **__: 1 / 0)
    report = ran(files, tmp_path / "bug", thread)
    assert (report.counts, report.exit_code) == ({"bug": 1}, 70)
    assert report.rows[0].error is not None
    assert "ZeroDivisionError" in report.rows[0].error["message"]


def test_nothing_of_the_users_is_overwritten(tmp_path: Path, thread: Any) -> None:
    files, out = folder(tmp_path / "in", "no_bb.att"), tmp_path / "out"
    out.mkdir()
    for text in ("my own notes", "my own notes\n", '{"file": "a"}\n', '{"schema": 9, "file": "a"}'):
        (out / "results.jsonl").write_text(text)
        with pytest.raises(CampaignError, match="line 1 is no row"):
            ran(files, out, thread)
        assert (out / "results.jsonl").read_text() == text
    (out / "results.jsonl").unlink()
    (out / "kept.txt").write_text("mine")
    report = ran(files, out, thread)
    model = out / str(report.rows[0].model)
    (model / "notes.txt").write_text("mine too")
    (out / "results.jsonl").unlink()
    assert ran(files, out, thread).counts == {"uncompilable": 1}
    assert ((out / "kept.txt").read_text(), (model / "notes.txt").read_text()) == ("mine", "mine too")


def test_a_line_that_a_crash_cut_short_is_taken_away(tmp_path: Path, thread: Any) -> None:
    files, out = folder(tmp_path / "in", "no_bb.att", "thrice.att"), tmp_path / "out"
    ran(files, out, thread)
    whole = (out / "results.jsonl").read_bytes()
    for kept in (whole[:-1], whole[:-40], whole[: whole.index(b"\n") + 5], whole[:7]):
        (out / "results.jsonl").write_bytes(kept)
        assert ran(files, out, thread).fresh == 2 - kept.count(b"\n")
        assert len(lines(out)) == 2


def test_two_campaigns_do_not_write_to_one_place(tmp_path: Path) -> None:
    files, out = folder(tmp_path / "in", "no_bb.att"), tmp_path / "out"

    class Meanwhile(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Any:
            with pytest.raises(CampaignError, match="another batch"):
                scancraft.batch(files, out, executor=self)
            return super().submit(*args, **kwargs)

    with Meanwhile(1) as pool:
        assert ran(files, out, pool).fresh == 1


INTERRUPTED = """
import os, signal, sys
import scancraft.cli.batch as module
from scancraft.cli.app import main

batch = module.run
def counted(*args, progress, **more):
    def tick(done, total, name):
        progress(done, total, name)
        if done == 2:
            os.kill(0, signal.SIGINT)  # to the whole group, as a terminal does
    return batch(*args, progress=tick, **more)

if __name__ == "__main__":
    module.run = counted
    sys.argv[0] = "scancraft"
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have taken away
    main()
"""


def running_in(group: int) -> list[str]:
    """The processes of a group, but for those that have ended and those that are ending and have closed their files."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group, *_ = (place / "stat").read_text().rpartition(")")[2].split()
            if int(its_group) == group and state != "Z" and any((place / "fd").iterdir()):
                found.append(place.name)
        except OSError:
            pass  # gone meanwhile
    return found


def test_ctrl_c_keeps_what_ended_and_leaves_no_process(tmp_path: Path) -> None:
    files, out = folder(tmp_path / "in"), tmp_path / "out"
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    path = os.pathsep.join(filter(None, [str(Path(scancraft.__file__).parent.parent), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, script, "batch", files, "-o", out, "--jobs", "1", *map(str, FEW)]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # The pipes close only when no process is left that holds them.
    shown, errors = process.communicate()
    assert (process.returncode, shown, errors) == (130, "", "scancraft: interrupted\n")
    assert len(lines(out)) == 2
    assert running_in(process.pid) == []
    with ThreadPoolExecutor(1) as pool:
        report = ran(files, out, pool)
    assert (report.fresh, outcomes(report, files)) == (3, OUTCOMES)


def test_a_cluster_of_dask_gives_the_same_bytes(tmp_path: Path, thread: Any) -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (scancraft[dask])")
    dask = pytest.importorskip("dask")
    files = folder(tmp_path / "in", "even.att", "no_bb.att", "thrice.att")
    # On a machine with much to do workers are slow, not dead; were none left, the tasks would fail and not wait.
    patience = {"distributed.scheduler.worker-ttl": None, "distributed.scheduler.no-workers-timeout": "10 minutes"}
    with (
        dask.config.set(patience),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, memory_limit=0, dashboard_address=None, silence_logs=50
        ) as local,
    ):
        address = local.scheduler_address.replace("tcp://", "dask://")
        with cluster(address) as pool:  # dask itself gives a task to the next worker
            assert pool.submit(dead_once, tmp_path / "died").result() == "alive"
        result = invoke("batch", files, "-o", tmp_path / "dask", "--executor", address, *FEW)
    assert (result.exit_code, result.stderr) == (0, "")
    ran(files, tmp_path / "here", thread)
    assert tree(tmp_path / "dask" / "models") == tree(tmp_path / "here" / "models")


def test_no_cluster_no_campaign(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="dask.distributed is not installed (scancraft[dask])")
    files = folder(tmp_path / "in", "even.att")
    for address in ("localhost:8786", "dask://", "dask://nowhere:x"):
        with pytest.raises(ClusterError):
            scancraft.batch(files, tmp_path / "out", executor=address)
    assert "go with processes" in refused(
        invoke("batch", files, "-o", tmp_path / "out", "--executor", "dask://a:1", "--memory", "1GiB")
    )
