"""Datasets that the `ir_datasets` package knows by name: documents, queries, judgments, by split where it has them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from resurvey.data.judgments import bad_grade, grade_of
from resurvey.data.lines import Problems, shown
from resurvey.data.records import identifier, scalars, text
from resurvey.errors import Problem, ResurveyError
from resurvey.types import Document, Judgment, Query

SUBSETS = {"train": "train", "dev": "dev", "validation": "dev", "test": "test"}
TITLES = ("title", "headline")
TEXTS = ("text", "body", "abstract", "contents")
UNUSED = ("marked_up_doc",)


@dataclass(frozen=True, slots=True)
class Named:
    """What a named dataset holds."""

    documents: Mapping[str, Document] = field(default_factory=dict)
    queries: Mapping[str, Query] = field(default_factory=dict)
    judgments: Mapping[str, tuple[Judgment, ...]] = field(default_factory=dict)


def read_named(name: str, problems: Problems) -> Named:
    """A dataset by name; what is not on this machine yet, the package downloads. Negative grades (spam) count as 0.

    Raises:
        ResurveyError: without the package, for a name it does not know, and where a download fails.
    """
    try:
        import ir_datasets
    except ImportError as error:
        raise _refusal("needs the ir_datasets package", "pip install 'resurvey[formats]'") from error
    try:
        whole = ir_datasets.load(name)
    except KeyError as error:
        known = "resurvey init DIR --ir-dataset NAME, with a name that https://ir-datasets.com lists"
        raise _refusal(f"{shown(name)} is no dataset that ir_datasets knows", known) from error
    logging.disable(logging.WARNING)  # its downloads report every attempt
    try:
        return _read(whole, _parts(ir_datasets, name, whole), name, problems)
    except Exception as error:  # the package's downloads and parsers raise what they like
        why = str(error.args[0] if error.args else type(error).__name__).splitlines()[0][:200]
        what = f"{name} could not be loaded, which needs a network the first time: {why}"
        raise _refusal(what, "the same command with a network, or bring files by --corpus FILE") from error
    finally:
        logging.disable(logging.NOTSET)


def _refusal(what: str, next: str) -> ResurveyError:
    return ResurveyError([Problem("--ir-dataset", what)], next)


def _parts(package: Any, name: str, whole: Any) -> dict[str, Any]:
    """The dataset itself where it is judged, else its train, dev and test parts."""
    if whole.has_qrels():
        return {"": whole}
    found = {}
    for subset, split in SUBSETS.items():
        try:
            part = package.load(f"{name}/{subset}")
        except KeyError:
            continue
        if part.has_qrels() and split not in found:
            found[split] = part
    return found


def _read(whole: Any, parts: Mapping[str, Any], name: str, problems: Problems) -> Named:
    if not whole.has_docs():
        problems.add(name, 0, "has no documents of its own")
        return Named()
    documents = _documents(whole.docs_iter(), name, problems)
    queries: dict[str, Query] = {}
    for source in (*([whole] if whole.has_queries() else []), *parts.values()):
        for row in source.queries_iter() if source.has_queries() else ():
            asked = text("text", getattr(row, "text", None) or row.default_text(), name, 0, problems)
            id = identifier("query_id", row.query_id, name, 0, problems)
            if id is not None and not asked:
                problems.add(name, 0, f"query {shown(id)} has no text")
            elif id is not None:
                queries[id] = Query(id, asked)
    judged = {split: _judgments(part.qrels_iter(), queries, documents, name, problems) for split, part in parts.items()}
    return Named(documents, queries, judged)


def _documents(rows: Iterable[Any], name: str, problems: Problems) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for row in rows:
        fields = row._asdict()
        id = identifier("doc_id", fields.pop("doc_id"), name, 0, problems)
        heads = [field for field in TITLES if isinstance(fields.get(field), str)][:1]
        bodies = [field for field in TEXTS if isinstance(fields.get(field), str)][:1]
        title = text("title", fields[heads[0]] if heads else None, name, 0, problems)
        body = text("text", fields[bodies[0]] if bodies else row.default_text(), name, 0, problems)
        if id is None:
            continue
        if not title and not body:
            problems.add(name, 0, f"document {shown(id)} has neither title nor text")
        rest = {key: value for key, value in fields.items() if key not in (*heads, *bodies, *UNUSED)}
        found[id] = Document(id, body, title, scalars(rest))
    return found


def _judgments(
    rows: Iterable[Any], queries: Mapping[str, Query], documents: Mapping[str, Document], name: str, problems: Problems
) -> tuple[Judgment, ...]:
    found = []
    for row in rows:
        grade = grade_of(max(row.relevance, 0))
        if row.query_id not in queries:
            problems.add(name, 0, f"query {shown(row.query_id)} is not among the queries")
        if row.doc_id not in documents:
            problems.add(name, 0, f"document {shown(row.doc_id)} is not in the corpus")
        if grade is None:
            problems.add(name, 0, bad_grade(row.relevance))
        else:
            found.append(Judgment(row.query_id, row.doc_id, grade))
    return tuple(found)
