"""The command line: every command with --json, exit codes 0 to 3, errors that name the next command."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resurvey import __version__, cli
from resurvey.llm import Cache
from resurvey.types import Document, Query

FEW = ("passages", "center", "adapter", "hybrid", "identifiers")


@dataclass(frozen=True)
class Ended:
    """What one command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


def call(*arguments: str | Path) -> Ended:
    """Run `resurvey` with these arguments, through `main`, as the shell does."""
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["resurvey", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = argv
    code = ended.value.code
    return Ended(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def brought(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], queries: tuple[Query, ...]
) -> Path:
    """A folder with a BEIR collection, all of its queries judged on the train and the dev side, six on the test side."""
    folder = tmp_path_factory.mktemp("brought")
    (folder / "qrels").mkdir()
    lines(folder / "corpus.jsonl", [{"_id": d.id, "title": d.title, "text": d.text} for d in documents])
    lines(folder / "queries.jsonl", [{"_id": q.id, "text": q.text} for q in queries])
    for split, chosen in (("train", range(40)), ("dev", range(40, 54)), ("test", range(54, 60))):
        rows = "".join(f"q{place}\td{place // 3}\t1\n" for place in chosen)
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, brought: Path, model_folder: Path) -> Path:
    """A workspace made and run by the command line itself."""
    root = tmp_path_factory.mktemp("cli") / "ws"
    assert call("init", root, "--beir", brought, "--model", model_folder).code == 0
    assert call("run", root, "--json").json["live"]
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of the finished workspace."""
    shutil.copytree(made, tmp_path / "ws")
    return tmp_path / "ws"


def both(root: Path, *arguments: str | Path) -> tuple[Any, str]:
    """A command's JSON and what people see of the same command."""
    found = call(*arguments, "--json").json
    shown = call(*arguments)
    assert shown.code == 0, shown.err
    return found, shown.out


# every command


def test_every_command_is_tested_here() -> None:
    named = {command.name or command.callback.__name__ for command in cli.app.registered_commands if command.callback}
    assert named == {
        "init", "diagnose", "decide", "treat", "run", "evaluate", "rank", "search", "status", "report", "promote", "rollback",
        "doctor", "demo", "export", "check", "chunks", "map",
        "add", "delete", "refresh", "gc", "forget",  # test_search_corpus, test_refresh, test_forget
        "serve", "keys",  # test_serve_live, test_serve_keys
    }  # fmt: skip


def test_init_tells_what_was_brought_and_the_next_command(brought: Path, model_folder: Path, tmp_path: Path) -> None:
    found = call("init", tmp_path / "one", "--beir", brought, "--model", model_folder, "--json").json
    assert (found["documents"], found["queries"]) == (20, 60)
    assert found["judged"] == {"train": 40, "dev": 14, "test": 6}
    shown = call("init", tmp_path / "two", "--beir", brought, "--model", model_folder)
    assert "20 documents, 60 queries. Split as you brought it: 40 train, 14 dev, 6 test." in shown.out
    assert f"Next: resurvey run {tmp_path / 'two'}" in shown.out.replace("\n", "")


def test_init_takes_single_files_and_divides_judgments_itself(
    brought: Path, model_folder: Path, tmp_path: Path
) -> None:
    judged = tmp_path / "judged.tsv"
    judged.write_text("".join(f"q{place}\td{place // 3}\t1\n" for place in range(60)))
    run = tmp_path / "mine.trec"
    run.write_text("q0 Q0 d0 1 1.0 mine\n")
    found = call(
        "init", tmp_path / "ws", "--corpus", brought / "corpus.jsonl", "--queries", brought / "queries.jsonl",
        "--judgments", judged, "--run", f"mine={run}", "--model", model_folder, "--json",
    ).json  # fmt: skip
    assert found["runs"] == ["mine"]
    assert sum(found["judged"].values()) == 60
    assert found["statement"].startswith("Split here by query")


def test_diagnose_prints_findings(root: Path) -> None:
    found, shown = both(root, "diagnose", root)
    assert found["judged_by"] == "judgments"
    for finding in found["findings"]:
        assert finding["id"] in shown
    assert f"Next: resurvey decide {root}" in shown.replace("\n", "")


def test_decide_prints_the_plan(root: Path) -> None:
    found, shown = both(root, "decide", root)
    assert [step["treatment"] for step in found["steps"]][-2:] == ["memory", "duplicates"]
    assert all(step["treatment"] in shown for step in found["steps"])


def test_treat_tries_the_plan_or_the_steps_named(root: Path) -> None:
    found, shown = both(root, "treat", root)
    assert [candidate["treatment"] for candidate in found] == [*FEW, "rewrite", "ranker", "memory", "duplicates"]
    assert all(candidate["id"] in shown for candidate in found)
    named = call("treat", root, "hybrid", "--json").json
    assert [candidate["treatment"] for candidate in named] == ["hybrid"]


def test_run_ends_with_a_verdict_and_a_report(root: Path) -> None:
    found, shown = both(root, "run", root)
    assert found["verdict"].split(":")[0].split(".")[0] in " ".join(shown.split())
    assert (root / "reports" / "report.html").exists()
    assert found == json.loads((root / "reports" / "report.json").read_text())


def test_evaluate_shows_held_out_scores_and_counts_reads_of_the_test_side(root: Path) -> None:
    found, shown = both(root, "evaluate", root)
    assert (found["split"], found["queries"], found["reads"]) == ("held out", 54, 0)
    assert "held out, 54 queries" in shown
    one = call("evaluate", root, "--candidate", "0001", "--json").json
    assert sorted(one["means"]) == ["0001-passages", "base", "bm25", "rrf"]
    assert call("evaluate", root, "--split", "test", "--json").json["reads"] == 1
    again = call("evaluate", root, "--split", "test", "--candidate", "base", "--candidate", "0003")
    assert "test, 6 queries; the test side has now been read 2 times" in again.out


def test_rank_writes_a_run_for_outside_evaluators(root: Path, brought: Path, tmp_path: Path) -> None:
    output = tmp_path / "run.trec"
    arguments = ("rank", root, "--queries", brought / "queries.jsonl", "--output", output, "--candidate", "base", "--k", "2")  # fmt: skip
    found, shown = both(root, *arguments)
    assert found == {"candidate": "base", "queries": 60, "output": str(output)}
    assert "60 queries ranked by base" in shown
    rows = [row.split() for row in output.read_text().splitlines()]
    assert len(rows) == 120
    assert {(len(row), row[1], row[5]) for row in rows} == {(6, "Q0", "base")}


def test_search_shows_hits_and_explains_them(root: Path) -> None:
    found, shown = both(root, "search", root, "valve pump", "--candidate", "rrf", "--k", "3", "--explain")
    assert found["candidate"] == "rrf"
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3]
    assert all(set(hit["stages"]) <= {"lexical", "dense", "fused"} for hit in found["hits"])
    assert found["hits"][0]["title"] in shown
    assert "(#1)" in shown


def test_titles_with_brackets_are_shown_as_they_are(tmp_path: Path, model_folder: Path) -> None:
    lines(
        tmp_path / "corpus.jsonl", [{"_id": f"d{n}", "title": f"[/b] pump [red]{n}", "text": "pump"} for n in range(3)]
    )
    call("init", tmp_path / "[ws]", "--corpus", tmp_path / "corpus.jsonl", "--model", model_folder)
    shown = call("search", tmp_path / "[ws]", "pump", "--candidate", "bm25")
    assert "[/b] pump [red]1" in shown.out


def test_status_names_what_is_done_what_is_live_and_what_comes_next(root: Path, tmp_path: Path) -> None:
    found, shown = both(root, "status", root)
    facts = found["facts"]
    assert (facts["documents"], facts["queries"]) == (20, 60)
    assert facts["judged queries"] == "40 train, 14 dev, 6 test"
    assert [part.split()[0] for part in facts["stages done"].split(", ")] == ["diagnose", "decide", "treat", "promote", "report"]  # fmt: skip
    assert facts["candidates"].startswith("9, ")
    assert facts["live"].endswith("snapshot 1")
    assert found["next"].startswith(f"open {root / 'reports' / 'report.html'}")
    assert "report.html" in shown.replace("\n", "")
    assert "language model" not in facts
    assert not (root / "state.db").exists()
    copied = shutil.copytree(root, tmp_path / "asked")
    answers = Cache(copied / "state.db")
    answers.put({"known": "an answer"})
    answers.get(["known", "known", "known", "unknown"])
    assert call("status", copied, "--json").json["facts"]["language model"].startswith("75 %")


def test_report_writes_the_page_and_prints_its_facts(root: Path) -> None:
    found, shown = both(root, "report", root)
    assert found["rungs"]
    assert "report.html" in shown.replace("\n", "")


def test_promote_and_rollback_turn_the_switch_and_turn_it_back(root: Path) -> None:
    was = json.loads((root / "live.json").read_text())["candidate"]
    other = "rrf" if was != "rrf" else "base"
    assert call("promote", root, other, "--json").json == {"live": other}
    assert call("rollback", root, "--json").json == {"was": other, "live": was}
    nothing = call("rollback", root)
    assert nothing.code == 1
    assert "nothing to roll back to" in nothing.err
    assert f"{other} is live. Next: resurvey search" in call("promote", root, other).out
    assert f"{was} is live again (it was {other})." in call("rollback", root).out


def test_version_is_printed() -> None:
    ended = call("--version")
    assert (ended.code, ended.out.strip()) == (0, __version__)


# exit codes


def test_a_refused_promotion_exits_with_3_and_the_gates_reasons(root: Path) -> None:
    refused = call("promote", root, "0001")
    assert refused.code == 3
    assert refused.err.startswith("resurvey: 0001-passages: it is not better than bm25 overall (-")
    assert f"Next: resurvey report {root} shows what was measured" in refused.err
    assert refused.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("run", "{root}", "--effort", "huge"),
        ("treat", "{root}", "--effort", "huge"),
        ("decide", "{root}", "--effort", "huge"),
        ("evaluate", "{root}", "--split", "all"),
        ("search", "{root}"),
        ("search", "{root}", "words", "--k", "0"),
        ("rank", "{root}", "--queries", "x"),
        ("status", "{root}", "--nonsense"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], root: Path) -> None:
    ended = call(*(argument.format(root=root) for argument in arguments))
    assert ended.code == 2
    assert ended.err
    assert ended.out == ""


def test_a_bad_choice_names_the_value_and_those_allowed(root: Path) -> None:
    ended = call("run", root, "--effort", "huge")
    assert "'huge' must be one of small, medium, large" in ended.err


WITHOUT_WORKSPACE: list[tuple[str, ...]] = [
    ("diagnose",), ("decide",), ("treat",), ("run",), ("evaluate",), ("search", "words"), ("status",), ("report",),
    ("promote", "1"), ("rollback",), ("doctor",), ("rank", "--queries", "q", "--output", "o"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", WITHOUT_WORKSPACE, ids=lambda found: found[0])
def test_every_command_says_where_there_is_no_workspace(arguments: tuple[str, ...], tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    ended = call(arguments[0], nowhere, *arguments[1:])
    assert ended.code == 1
    assert ended.err == f"resurvey: {nowhere}: is not a workspace\nNext: resurvey init {nowhere} --corpus FILE\n"
    assert ended.out == ""
    assert not nowhere.exists()


def test_an_unknown_candidate_is_answered_with_those_there_are(root: Path, brought: Path, tmp_path: Path) -> None:
    for arguments in (
        ("search", root, "words", "--candidate", "0099"),
        ("promote", root, "0099"),
        ("evaluate", root, "--candidate", "0099"),
        ("rank", root, "--queries", brought / "queries.jsonl", "--output", tmp_path / "o", "--candidate", "0099"),
    ):
        ended = call(*arguments)
        assert ended.code == 1
        assert "0099: is no candidate; there are: base, bm25, rrf, live, 0001-passages, 0002-center, " in ended.err
        assert "Next: resurvey status" in ended.err
    assert not (tmp_path / "o").exists()


def test_an_unknown_step_is_answered_with_those_there_are(root: Path) -> None:
    ended = call("treat", root, "hybird")
    assert ended.code == 1
    assert (
        "'hybird' is no treatment; there are passages, encoder, center, contrast, remine, synthetic, pretrain, distil, adapter, hybrid, identifiers, rewrite, ranker, memory, metadata, duplicates, reranker, cross-encoder"
        in ended.err
    )


def test_commands_before_a_run_name_it(brought: Path, model_folder: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    call("init", fresh, "--beir", brought, "--model", model_folder)
    for arguments in (("evaluate", fresh), ("report", fresh), ("promote", fresh, "1"), ("search", fresh, "words")):
        ended = call(*arguments)
        assert ended.code == 1
        assert f"Next: resurvey run {fresh}" in ended.err
    assert call("status", fresh, "--json").json["next"] == f"resurvey run {fresh}"
    assert call("rollback", fresh).code == 1


def test_settings_are_checked_all_at_once(root: Path) -> None:
    (root / "resurvey.toml").write_text('dept = 5\nfolds = "many"\n')
    ended = call("diagnose", root)
    assert ended.code == 1
    assert "`dept` is not a setting; did you mean `depth`?" in ended.err
    assert "`folds` is 'many', must be" in ended.err


# init refuses


def kept(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_init_refuses_a_folder_that_is_not_empty(brought: Path, model_folder: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    ended = call("init", taken, "--beir", brought, "--model", model_folder)
    assert ended.code == 1
    assert f"{taken}: is there already and is not empty\nNext: name a new folder" in ended.err
    assert kept(tmp_path) == {"taken", "taken/mine.txt"}
    file = tmp_path / "taken" / "mine.txt"
    assert call("init", file, "--beir", brought, "--model", model_folder).code == 1
    assert file.read_text() == "mine"


def test_init_into_an_empty_folder_is_fine(brought: Path, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert call("init", tmp_path / "empty", "--beir", brought, "--model", model_folder).code == 0
    assert (tmp_path / "empty" / "workspace.json").exists()
    assert kept(tmp_path) >= {"empty", "empty/data"}
    assert not list(tmp_path.glob(".*"))


Spoil = Callable[[Path], None]


def appended(name: str, text: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).write_text((folder / name).read_text() + text)

    return spoil


def emptied(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text("")
    shutil.rmtree(folder / "qrels")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (appended("corpus.jsonl", "{not json\n"), "corpus.jsonl"),
        (appended("corpus.jsonl", '{"_id": "d0", "text": "again"}\n'), "d0"),
        (appended("queries.jsonl", '{"_id": "q99"}\n'), "queries.jsonl"),
        (appended("qrels/dev.tsv", "q41\tnowhere\t1\n"), "nowhere"),
        (appended("qrels/dev.tsv", "q41\td1\tyes\n"), "yes"),
        (emptied, "holds no document"),
        (lambda folder: (folder / "corpus.jsonl").unlink(), "holds no corpus.jsonl"),
    ],
    ids=["not json", "id twice", "no text", "unknown document", "bad grade", "empty", "no corpus"],
)  # fmt: skip
def test_a_bad_file_leaves_nothing_behind(
    spoil: Spoil, said: str, brought: Path, model_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(brought, tmp_path / "bad")
    spoil(tmp_path / "bad")
    before = kept(tmp_path)
    ended = call("init", tmp_path / "ws", "--beir", tmp_path / "bad", "--model", model_folder)
    assert ended.code == 1
    assert said in ended.err
    assert "\nNext: " in ended.err
    assert kept(tmp_path) == before


def test_every_problem_of_every_file_is_told_at_once(brought: Path, model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(brought, tmp_path / "bad")
    appended("corpus.jsonl", "{not json\n")(tmp_path / "bad")
    appended("qrels/dev.tsv", "q41\tnowhere\t1\n")(tmp_path / "bad")
    ended = call("init", tmp_path / "ws", "--beir", tmp_path / "bad", "--model", model_folder)
    assert "corpus.jsonl" in ended.err
    assert "dev.tsv" in ended.err
    assert "nothing was imported" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "init needs either --beir FOLDER or --corpus FILE"),
        (("--beir", "{brought}", "--corpus", "{brought}/corpus.jsonl"), "init needs either --beir FOLDER or --corpus"),
        (("--beir", "{brought}", "--run", "mine"), "--run: 'mine' must be NAME=FILE"),
        (("--beir", "{brought}", "--model", "./no/such"), "./no/such: is not a folder"),
        (("--beir", "{brought}", "--model", "{brought}"), "holds neither modules.json nor config.json"),
        (("--beir", "{brought}/qrels"), "holds no corpus.jsonl"),
    ],
    ids=["nothing", "both", "run without name", "no model", "not a model", "not beir"],
)
def test_init_names_what_is_wrong_with_its_arguments(
    arguments: tuple[str, ...], said: str, brought: Path, tmp_path: Path
) -> None:
    ended = call("init", tmp_path / "ws", *(argument.format(brought=brought) for argument in arguments))
    assert ended.code == 1
    assert said in ended.err
    assert "Next: " in ended.err
    assert kept(tmp_path) == set()


# what is not the user's data


def test_what_the_disk_refuses_is_one_line_and_a_next_step(brought: Path, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, no folder")
    ended = call("init", tmp_path / "file" / "ws", "--beir", brought, "--model", model_folder)
    assert ended.code == 1
    assert ended.err.startswith(f"resurvey: {tmp_path / 'file'}")
    assert "\nNext: name another place, or remove it" in ended.err
    assert len(ended.err.splitlines()) == 2


def test_interrupting_says_that_nothing_is_lost(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("resurvey.loop.diagnose", interrupted)
    ended = call("diagnose", root)
    assert ended.code == 130
    assert "Nothing is lost; the same command goes on where it was." in ended.err


def test_a_second_writer_is_told_at_once(root: Path) -> None:
    from resurvey.workspace import Workspace

    with Workspace.open(root).lease():
        ended = call("run", root)
    assert ended.code == 1
    assert f"{root}: another resurvey command is writing here\nNext: wait for it to end" in ended.err


HEAVY = """
import json, sys
import resurvey
from resurvey import cli
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["resurvey", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code, arguments
    loaded = {"torch", "transformers", "sentence_transformers", "lightgbm", "lancedb"} & set(sys.modules)
    print("LOADED", arguments, sorted(loaded))
"""


def test_help_status_and_a_run_with_nothing_to_do_never_import_torch(root: Path) -> None:
    commands = sorted(c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback)
    asked = [["--help"], ["--version"], *([name, "--help"] for name in commands), ["status", str(root)], ["run", str(root)]]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", HEAVY, json.dumps(asked)], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    told = [line for line in ended.stdout.splitlines() if line.startswith("LOADED")]
    assert len(told) == len(asked)
    assert [line for line in told if not line.endswith("[]")] == []


def test_help_names_every_command() -> None:
    shown = call("--help")
    assert shown.code == 0
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert (command.name or command.callback.__name__) in shown.out
        assert command.callback.__doc__


def test_words_that_no_document_holds_are_told(root: Path) -> None:
    assert "No word of the query is in the documents" in call("search", root, "xqzzt blorf").out
    assert "No word of the query" not in call("search", root, "valve xqzzt").out
    assert call("search", root, "xqzzt", "--json").json["words_known"] is False


def test_an_effort_is_planned_for_and_an_unknown_one_is_refused(root: Path) -> None:
    assert call("decide", root, "--effort", "large", "--json").json["effort"] == "large"
    assert call("decide", root, "--effort", "huge").code == 2


def test_the_report_tells_of_a_test_read_without_being_asked(root: Path) -> None:
    assert call("run", root).code == 0
    assert call("evaluate", root, "--split", "test").code == 0
    assert json.loads((root / "reports" / "report.json").read_text())["test_reads"] >= 1
