"""The one edge: files in every format people bring in; the package's records out.

Every reader returns what it could read and adds every problem it met to `Problems`; `read` raises
them all together, so that nothing is ever half imported. Knows nothing about splits or workspaces.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resurvey.data import grids, records, tables
from resurvey.data.answers import answers
from resurvey.data.arrow import is_dataset
from resurvey.data.columns import Columns, assign
from resurvey.data.folders import read_folder, walk
from resurvey.data.judgments import Grades, judge, read_run, refuse_shared_queries
from resurvey.data.lines import Problems, path_name, shown
from resurvey.data.named import read_named
from resurvey.data.pairs import pair
from resurvey.data.rows import Table
from resurvey.data.texts import Known
from resurvey.errors import Problem, ResurveyError
from resurvey.types import Answer, Document, Judgment, Query

SPLITS = ("train", "dev", "test")
SPLIT_NAMES = {"": "", "train": "train", "training": "train", "dev": "dev", "validation": "dev", "valid": "dev",
               "test": "test"}  # fmt: skip
NO_SPLIT = ""
TAKEN = ("base", "bm25", "rrf", "live", "query")
"""Names that pipelines and columns of their scores have already."""


class _Anything:
    """Holds whatever it is asked for."""

    def __contains__(self, _: object) -> bool:
        return True


ANYTHING = _Anything()


@dataclass(frozen=True, slots=True)
class Sources:
    """What a user named; `judgments` maps a split's name (or "") to its file.

    `columns` maps `kind.role` to a column's name (see `columns.mapped`), `add_texts` makes documents
    of texts that only pairs or answers hold, `named` is a dataset of the `ir_datasets` package.
    """

    corpus: Path | None = None
    queries: Path | None = None
    judgments: Mapping[str, Path] = field(default_factory=dict)
    runs: Mapping[str, Path] = field(default_factory=dict)
    ignored: tuple[Path, ...] = ()
    pairs: Path | None = None
    answers: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    add_texts: bool = False
    named: str = ""

    def files(self) -> list[Path]:
        """Every file that is read; of a folder, the files inside."""
        given = [self.corpus, self.queries, *self.judgments.values(), *self.runs.values(), self.pairs, self.answers]
        files = [file for path in given if path is not None for file in _files(path)]
        return list(dict.fromkeys(files))


@dataclass(frozen=True, slots=True)
class Brought:
    """What the files held, valid as a whole; `columns` says which column played which role, by file."""

    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    judgments: Mapping[str, tuple[Judgment, ...]]
    runs: Mapping[str, Mapping[str, Mapping[str, float]]]
    answers: tuple[Answer, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def named_runs(values: Sequence[str]) -> dict[str, Path]:
    """`NAME=FILE` texts as {name: file}.

    Raises:
        ResurveyError: naming every text of another form, and every name taken or given twice.
    """
    problems = []
    runs: dict[str, Path] = {}
    for value in values:
        name, _, path = value.partition("=")
        if not name or not path:
            problems.append(Problem("--run", f"{value!r} must be NAME=FILE"))
        elif name in TAKEN or name[0].isdigit():
            problems.append(
                Problem(
                    "--run", f"{name!r} is taken; a name must not start with a digit nor be one of {', '.join(TAKEN)}"
                )
            )
        elif name in runs:
            problems.append(Problem("--run", f"{name!r} is given twice"))
        runs[name] = Path(path).expanduser()
    if problems:
        raise ResurveyError(problems, "for example --run mine=results.trec")
    return runs


def beir(folder: Path, runs: Mapping[str, Path] | None = None) -> Sources:
    """The files of a BEIR folder; any of them but the corpus may be missing.

    Raises:
        ResurveyError: when `folder` holds no `corpus.jsonl`.
    """
    corpus = folder / "corpus.jsonl"
    if not folder.is_dir():
        there = (
            f"--corpus {folder}, if that file holds your documents"
            if folder.is_file()
            else "name the folder that holds corpus.jsonl"
        )
        raise ResurveyError([Problem(str(folder), "is not a folder")], there)
    if not corpus.is_file():
        raise ResurveyError(
            [Problem(str(folder), "holds no corpus.jsonl, so it is not a BEIR folder")],
            f"--corpus {folder}, if it holds Markdown or text; --corpus FILE, for a single file",
        )
    queries = folder / "queries.jsonl"
    found = {split: folder / "qrels" / f"{split}.tsv" for split in SPLITS}
    judgments = {split: path for split, path in found.items() if path.is_file()}
    ignored = sorted(path for path in (folder / "qrels").glob("*") if path not in judgments.values())
    return Sources(corpus, queries if queries.is_file() else None, judgments, runs or {}, tuple(ignored))


def read(sources: Sources) -> Brought:
    """Read and validate everything.

    Raises:
        ResurveyError: with every problem of every file, by file and line.
    """
    reading = _Reading(sources, Problems())
    reading.named()
    reading.corpus()
    reading.queries()
    for split, path in sources.judgments.items():
        reading.judgments(split, path)
    reading.pairs()
    found = reading.answers()
    return reading.end(found)


def read_queries(path: Path, problems: Problems, mapping: Mapping[str, str] | None = None) -> dict[str, Query]:
    """Queries of a file by id, in its order. An empty file is no problem; rows without ids are numbered."""
    table = tables.one_table(tables.read_tables(path, problems, tables.text_lines), path, problems, "queries")
    assigned = assign(table, "queries", mapping or {}, problems, ("id",)) if table else None
    return records.queries(*assigned, problems) if assigned else {}


@dataclass(slots=True)
class _Reading:
    """One read, file after file."""

    sources: Sources
    problems: Problems
    known: Known = field(init=False)
    grades: Grades = field(init=False)
    columns: dict[str, Mapping[str, str]] = field(default_factory=dict)
    places: dict[str, Path | str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Kinds of which nothing could be read: what refers to them is not blamed for that."""

    def __post_init__(self) -> None:
        self.known = Known({}, {}, self.problems, self.sources.add_texts)
        self.grades = Grades(self.problems)

    def _one(self, path: Path, kind: str, plain: tables.Reader) -> tuple[Table, Columns] | None:
        found = tables.read_tables(path, self.problems, plain)
        table = tables.one_table(found, path, self.problems, kind)
        if table is None:
            return None
        lines = kind == "queries" and table.columns == ("text",)  # a text file's ids are its line numbers
        referred = bool(self.sources.judgments or self.sources.runs)
        return self._assigned(table, kind, () if referred and not lines else ("id",))

    def _assigned(self, table: Table, kind: str, unneeded: Sequence[str] = ()) -> tuple[Table, Columns] | None:
        found = assign(table, kind, self.sources.columns, self.problems, unneeded)
        if found:
            self.columns[path_name(found[1].path)] = found[1].shown()
        return found

    @property
    def _documents(self) -> Container[str]:
        return ANYTHING if "corpus" in self.lost else self.known.documents

    def named(self) -> None:
        """A dataset of the `ir_datasets` package."""
        if not self.sources.named:
            return
        found = read_named(self.sources.named, self.problems)
        self.known.documents.update(found.documents)
        self.known.queries.update(found.queries)
        for split, rows in found.judgments.items():
            self.places[split] = self.sources.named
            for row in rows:
                self.grades.add(split, row.query, row.document, row.grade, self.sources.named, 0)

    def corpus(self) -> None:
        """The documents."""
        path = self.sources.corpus
        if path is None:
            return
        if path.is_dir() and not is_dataset(path):
            self.known.documents, columns = read_folder(path, self.problems)
            self.columns[path_name(path)] = columns.shown()
        else:
            found = self._one(path, "corpus", tables.text_lines)
            if found:
                self.known.documents, columns = records.documents(*found, self.problems)
                self.columns[path_name(path)] = columns.shown()
                self.known.named = bool(columns.roles.get("id"))
        if not self.known.documents:
            self.lost.add("corpus")
            self.known.add_texts = True
            if not self.problems.met:
                self.problems.add(path, 0, "holds no document")

    def queries(self) -> None:
        """The queries."""
        before = len(self.problems.met)
        if self.sources.queries is not None:
            found = self._one(self.sources.queries, "queries", tables.text_lines)
            self.known.queries = records.queries(*found, self.problems) if found else {}
            if not self.known.queries and len(self.problems.met) > before:
                self.lost.add("queries")

    def judgments(self, split: str, path: Path) -> None:
        """One file of judgments, or a dataset whose splits divide them."""
        for name, table in self._splits(split, path, grids.plain_file).items():
            assigned = self._assigned(table, "judgments")
            if assigned:
                queries = ANYTHING if "queries" in self.lost else self.known.queries
                judge(*assigned, name, queries, self._documents, self.grades)

    def pairs(self) -> None:
        """Pairs and triplets; where a division was brought, they join its training side."""
        if self.sources.pairs is None:
            return
        split = "train" if set(self.grades.given) - {NO_SPLIT} else NO_SPLIT
        for name, table in self._splits(split, self.sources.pairs, grids.plain_file).items():
            assigned = self._assigned(table, "pairs")
            if assigned:
                pair(*assigned, name, self.known, self.grades)

    def answers(self) -> tuple[Answer, ...]:
        """The answer log."""
        path = self.sources.answers
        found = self._one(path, "answers", grids.plain_file) if path else None
        return answers(*found, self.known) if found else ()

    def _splits(self, split: str, path: Path, plain: tables.Reader) -> dict[str, Table]:
        found: dict[str, Table] = {}
        for name, table in tables.read_tables(path, self.problems, plain).items():
            side = SPLIT_NAMES.get(name.lower())
            if side is None:
                self.problems.add(path, 0, f"has the split {shown(name)}, which is none of train, dev and test")
            elif (side or split) in found:
                self.problems.add(path, 0, f"has two splits that are both {side}")
            else:
                found[side or split] = table
                self.places[side or split] = path
        return found

    def end(self, found: tuple[Answer, ...]) -> Brought:
        """What was read, when nothing is wrong with it."""
        judged = self.grades.judgments()
        refuse_shared_queries(judged, self.places, self.problems)
        runs = {name: read_run(path, self._documents, self.problems) for name, path in self.sources.runs.items()}
        if not self.known.documents and not self.problems.met:
            self.problems.add("--corpus", 0, "no document was brought")
        unused = {key.partition(".")[0] for key in self.sources.columns} - self._kinds()
        for kind in sorted(unused):
            self.problems.add("--map", 0, f"names a column of {kind}, but no such file was brought")
        self.problems.stop()
        documents, queries = tuple(self.known.documents.values()), tuple(self.known.queries.values())
        return Brought(documents, queries, judged, runs, found, self.columns)

    def _kinds(self) -> set[str]:
        given = {"corpus": self.sources.corpus, "queries": self.sources.queries, "judgments": self.sources.judgments,
                 "pairs": self.sources.pairs, "answers": self.sources.answers}  # fmt: skip
        return {kind for kind, value in given.items() if value}


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file()) if is_dataset(path) else list(walk(path, Problems()).texts)
