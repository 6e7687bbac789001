"""A dataset that ir_datasets knows comes in by name; without network, package or such a name it says what to do."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resurvey.data.read import Sources, read
from resurvey.errors import ResurveyError
from resurvey.types import Document, Judgment, Query

Write = Callable[[str, str], Path]


@pytest.fixture
def package() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("ir_datasets")


@pytest.fixture
def register(package: Any) -> Iterator[Callable[..., str]]:
    names: list[str] = []

    def put(name: str, **files: Path) -> str:
        package.registry.register(name, package.create_dataset(**{key: str(path) for key, path in files.items()}))
        names.append(name)
        return name

    yield put
    for name in names:
        package.registry._registered.pop(name)


def test_documents_queries_and_judgments_come_by_name(register: Callable[..., str], write: Write) -> None:
    name = register(
        "tiny-resurvey",
        docs_tsv=write("d.tsv", "d1\tseal and valve\nd2\trotor\n"),
        queries_tsv=write("q.tsv", "q1\tleak\nq2\tnoise\n"),
        qrels_trec=write("j", "q1 0 d1 2\nq2 0 d2 -2\n"),
    )
    brought = read(Sources(named=name))
    assert brought.documents == (Document("d1", "seal and valve"), Document("d2", "rotor"))
    assert brought.queries == (Query("q1", "leak"), Query("q2", "noise"))
    assert brought.judgments == {"": (Judgment("q1", "d1", 2), Judgment("q2", "d2", 0))}


def test_parts_of_a_dataset_divide_its_judgments(register: Callable[..., str], write: Write) -> None:
    files = {"docs_tsv": write("d.tsv", "d1\tseal\n")}
    name = register("tiny-parts", **files)
    for part, query in (("train", "q1"), ("validation", "q2")):
        queries, grades = write(f"{part}.tsv", f"{query}\tleak {part}\n"), write(f"{part}.qrels", f"{query} 0 d1 1\n")
        register(f"{name}/{part}", **files, queries_tsv=queries, qrels_trec=grades)
    judged = read(Sources(named=name)).judgments
    assert judged == {"train": (Judgment("q1", "d1", 1),), "dev": (Judgment("q2", "d1", 1),)}


def test_what_a_named_dataset_holds_is_checked_like_a_file(register: Callable[..., str], write: Write) -> None:
    name = register(
        "tiny-bad",
        docs_tsv=write("d.tsv", "d1\t\nd 2\tx\n"),
        queries_tsv=write("q.tsv", "q1\t \n"),
        qrels_trec=write("j", "q9 0 d9 7\n"),
    )
    with pytest.raises(ResurveyError) as caught:
        read(Sources(named=name))
    said = str(caught.value)
    for part in ("'d1' has neither title", "`doc_id` is 'd 2'", "'q1' has no text", "'q9' is not among", "'d9' is not in",
                 "grade is 7"):  # fmt: skip
        assert part in said


def test_unknown_names_and_failed_downloads_say_what_to_do(package: Any, register: Callable[..., str]) -> None:
    with pytest.raises(ResurveyError, match="'no/such' is no dataset that ir_datasets knows") as caught:
        read(Sources(named="no/such"))
    assert "https://ir-datasets.com" in caught.value.next
    name = register("tiny-away", docs_tsv=Path("/nowhere/docs.tsv"))
    with pytest.raises(ResurveyError, match="tiny-away could not be loaded, which needs a network the first time") as c:
        read(Sources(named=name))
    assert c.value.next == "the same command with a network, or bring files by --corpus FILE"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(ResurveyError) as caught:
        read(Sources(named="vaswani"))
    assert caught.value.next == "pip install 'resurvey[formats]'"
