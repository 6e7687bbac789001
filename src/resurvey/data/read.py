"""The one edge: BEIR folders, JSONL, TREC files in; the package's records out.

Every reader returns what it could read and adds every problem it met to `Problems`; `read` raises
them all together, so that nothing is ever half imported. Knows nothing about splits or workspaces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resurvey.data.lines import Problems, read_columns, read_objects, shown
from resurvey.errors import Problem, ResurveyError
from resurvey.types import Document, Judgment, Query, Scalar

SPLITS = ("train", "dev", "test")
GRADES = range(5)
NO_SPLIT = ""
TAKEN = ("base", "bm25", "rrf", "live", "query")
"""Names that pipelines and columns of their scores have already."""
ID_KEYS = ("_id", "id")
SURROGATE = re.compile(r"[\ud800-\udfff]")
TEXT_KEYS = ("text", "contents", "body")
JUDGMENT_KEYS = {
    "query": ("query-id", "query_id", "qid", "query"),
    "document": ("corpus-id", "document_id", "doc_id", "docid", "document"),
    "grade": ("score", "grade", "relevance", "label"),
}


@dataclass(frozen=True, slots=True)
class Sources:
    """The files a user named; `judgments` maps a split's name (or "") to its file."""

    corpus: Path
    queries: Path | None = None
    judgments: Mapping[str, Path] = field(default_factory=dict)
    runs: Mapping[str, Path] = field(default_factory=dict)
    ignored: tuple[Path, ...] = ()

    def files(self) -> list[Path]:
        """Every file that is read."""
        return [self.corpus, *([self.queries] if self.queries else []), *self.judgments.values(), *self.runs.values()]


@dataclass(frozen=True, slots=True)
class Brought:
    """What the files held, valid as a whole."""

    documents: tuple[Document, ...]
    queries: tuple[Query, ...]
    judgments: Mapping[str, tuple[Judgment, ...]]
    runs: Mapping[str, Mapping[str, Mapping[str, float]]]


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
        runs[name] = Path(path)
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
        raise ResurveyError([Problem(str(folder), "is not a folder")], "name the folder that holds corpus.jsonl")
    if not corpus.is_file():
        raise ResurveyError(
            [Problem(str(folder), "holds no corpus.jsonl, so it is not a BEIR folder")],
            "resurvey init DIR --corpus FILE, for a single file",
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
    problems = Problems()
    documents = read_documents(sources.corpus, problems)
    queries = read_queries(sources.queries, problems) if sources.queries else {}
    known = set(documents)
    judgments = {split: read_judgments(path, queries, known, problems) for split, path in sources.judgments.items()}
    _refuse_shared_queries(judgments, sources, problems)
    runs = {name: read_run(path, known, problems) for name, path in sources.runs.items()}
    if not documents and not problems.found:
        problems.add(sources.corpus, 0, "holds no document")
    problems.stop("mend the files, then the same command again; nothing was imported")
    return Brought(tuple(documents.values()), tuple(queries.values()), judgments, runs)


def _identifier(value: Mapping[str, Any], path: Path, line: int, problems: Problems) -> str | None:
    for key in ID_KEYS:
        if key in value:
            found = value[key]
            if isinstance(found, bool) or not isinstance(found, str | int) or not str(found).strip():
                problems.add(path, line, f"`{key}` is {shown(found)}, must be a text or a whole number")
                return None
            if re.search(r"[\s\0\ud800-\udfff]", str(found)):
                what = "white space, NUL or half of a surrogate pair (TREC files could not name it)"
                problems.add(path, line, f"`{key}` is {shown(found)}, must not hold {what}")
                return None
            return str(found)
    problems.add(path, line, f"has no id (`_id` or `id`); its fields are {shown(sorted(value))}")
    return None


def _text(value: Mapping[str, Any], keys: Iterable[str], path: Path, line: int, problems: Problems) -> str:
    for key in keys:
        found = value.get(key)
        if found is None:
            continue
        if not isinstance(found, str):
            problems.add(path, line, f"`{key}` is {shown(found)}, must be a text")
            return ""
        if SURROGATE.search(found):
            problems.add(path, line, f"`{key}` holds half of a surrogate pair, which is no character")
            return ""
        return found.replace("\0", " ")
    return ""


def _metadata(value: Mapping[str, Any], path: Path, line: int, problems: Problems) -> dict[str, Scalar]:
    used = {*ID_KEYS, *TEXT_KEYS, "title", "metadata"}
    given = value.get("metadata") or {}
    if not isinstance(given, dict):
        problems.add(path, line, f"`metadata` is {shown(given)}, must be an object")
        given = {}
    fields = {**{k: v for k, v in value.items() if k not in used}, **given}
    flat = {
        k: v
        for k, v in fields.items()
        if isinstance(v, str | int | float | bool) and not (isinstance(v, float) and not math.isfinite(v))
    }
    for name, found in flat.items():
        if SURROGATE.search(f"{name}{found}"):
            problems.add(path, line, f"field {shown(name)} holds half of a surrogate pair, which is no character")
    return flat


def read_documents(path: Path, problems: Problems) -> dict[str, Document]:
    """Documents of a JSONL file by id, in its order; `_id` or `id`, `title`, `text`, flat metadata."""
    documents: dict[str, Document] = {}
    lines: dict[str, int] = {}
    for line, value in read_objects(path, problems):
        id = _identifier(value, path, line, problems)
        title = _text(value, ("title",), path, line, problems).strip()
        text = _text(value, TEXT_KEYS, path, line, problems).strip()
        if id is None:
            continue
        if not title and not text:
            problems.add(path, line, f"document {id!r} has neither title nor text")
        if id in lines:
            problems.add(path, line, f"document id {id!r} is that of line {lines[id]} already")
            continue
        lines[id] = line
        documents[id] = Document(id, text, title, _metadata(value, path, line, problems))
    return documents


def read_queries(path: Path, problems: Problems) -> dict[str, Query]:
    """Queries of a JSONL file by id, in its order. An empty file is no problem."""
    queries: dict[str, Query] = {}
    lines: dict[str, int] = {}
    for line, value in read_objects(path, problems):
        id = _identifier(value, path, line, problems)
        text = _text(value, (*TEXT_KEYS, "query"), path, line, problems).strip()
        if id is None:
            continue
        if not text:
            problems.add(path, line, f"query {id!r} has no text")
        if id in lines:
            problems.add(path, line, f"query id {id!r} is that of line {lines[id]} already")
            continue
        lines[id] = line
        queries[id] = Query(id, text)
    return queries


def _judgment_rows(path: Path, problems: Problems) -> Iterable[tuple[int, str, str, object]]:
    if path.suffix in (".jsonl", ".ndjson", ".json"):
        for line, value in read_objects(path, problems):
            cells = {role: next((value[k] for k in keys if k in value), None) for role, keys in JUDGMENT_KEYS.items()}
            if cells["query"] is None or cells["document"] is None:
                problems.add(path, line, f"names no query or no document; its fields are {shown(sorted(value))}")
                continue
            yield line, str(cells["query"]), str(cells["document"]), 1 if cells["grade"] is None else cells["grade"]
        return
    separator = "\t" if path.suffix == ".tsv" else None
    for line, cells_ in read_columns(path, problems, separator):
        if line == 1 and cells_[0].lower() in JUDGMENT_KEYS["query"] and _grade(cells_[-1]) is None:
            continue
        if len(cells_) == 3:
            yield line, cells_[0], cells_[1], cells_[2]
        elif len(cells_) == 4:
            yield line, cells_[0], cells_[2], cells_[3]
        else:
            problems.add(path, line, f"has {len(cells_)} columns, must have 3 (query, document, grade) or TREC's 4")


def _grade(value: object) -> int | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return int(number) if number.is_integer() and int(number) in GRADES else None


def read_judgments(
    path: Path, queries: Mapping[str, Query], documents: set[str], problems: Problems
) -> tuple[Judgment, ...]:
    """Judgments of a TSV, TREC qrels or JSONL file; ids must be known, grades whole numbers 0 to 4."""
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    for line, query, document, value in _judgment_rows(path, problems):
        grade = _grade(value)
        if query not in queries:
            problems.add(path, line, f"query {query!r} is not among the queries")
        if document not in documents:
            problems.add(path, line, f"document {document!r} is not in the corpus")
        if grade is None:
            problems.add(path, line, f"grade is {shown(value)}, must be a whole number from 0 to 4")
            continue
        first = seen.setdefault((query, document), (grade, line))
        if first[0] != grade:
            problems.add(path, line, f"grades {document!r} for {query!r} {grade}, line {first[1]} graded it {first[0]}")
    return tuple(Judgment(query, document, grade) for (query, document), (grade, _) in seen.items())


def _refuse_shared_queries(judgments: Mapping[str, tuple[Judgment, ...]], sources: Sources, problems: Problems) -> None:
    owner: dict[str, str] = {}
    for split, rows in judgments.items():
        shared = sorted({row.query for row in rows if owner.get(row.query, split) != split})
        if shared:
            others = sorted({owner[query] for query in shared})
            problems.add(
                sources.judgments[split],
                0,
                f"{len(shared)} queries are judged in {', '.join(others)} too (first: {shared[0]!r}); a split must have its own",
            )
        owner.update({row.query: split for row in rows})


def read_run(path: Path, documents: set[str], problems: Problems) -> dict[str, dict[str, float]]:
    """A TREC run file (`query Q0 document rank score tag`): query id to {document id: score}."""
    run: dict[str, dict[str, float]] = {}
    for line, cells in read_columns(path, problems, None):
        if len(cells) != 6:
            problems.add(path, line, f"has {len(cells)} columns, a TREC run has 6 (query Q0 document rank score tag)")
            continue
        query, _, document, _, value, _ = cells
        try:
            score = float(value)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            problems.add(path, line, f"score is {value!r}, must be a number")
        if document not in documents:
            problems.add(path, line, f"document {document!r} is not in the corpus")
        if document in run.setdefault(query, {}):
            problems.add(path, line, f"ranks {document!r} twice for {query!r}")
        run[query][document] = score
    return run
