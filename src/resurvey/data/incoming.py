"""Documents that come after the first ones, held to the same rules as what files bring.

Every problem of a batch is told, by its place in it. Knows nothing about where documents are kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from resurvey.data.lines import Problems, shown
from resurvey.data.read import Sources, read
from resurvey.data.records import SURROGATE, identifier, text
from resurvey.errors import Problem, ResurveyError
from resurvey.types import Document, Scalar

KIND = "documents"
"""What a problem of a batch begins with, before the place."""


def documents_of(path: Path, columns: Mapping[str, str]) -> tuple[Document, ...]:
    """The documents in a file or folder, which must say their ids.

    Raises:
        ResurveyError: with all that is wrong with the file, or where rows have no ids of their own.
    """
    found = read(Sources(corpus=path, columns=columns))
    if any("the row's number" in roles.get("id", "") for roles in found.columns.values()):
        raise ResurveyError(
            [Problem(str(path), "has no column of ids, so its rows would replace documents 1, 2, 3 …")],
            "give every row an id, or name its column: --map corpus.id=COLUMN",
        )
    return found.documents


def checked(documents: Sequence[Document]) -> list[Document]:
    """The documents as files would have brought them.

    Raises:
        ResurveyError: with every problem of every document, by its place in the batch.
    """
    problems = Problems()
    found: dict[str, Document] = {}
    for place, document in enumerate(documents, start=1):
        id = identifier("id", document.id, KIND, place, problems)
        title, body = (text(name, getattr(document, name), KIND, place, problems) for name in ("title", "text"))
        if not title and not body:
            problems.add(KIND, place, f"document {shown(document.id)} has neither title nor text")
        fields = _fields(document.metadata, place, problems)
        if id is not None and id in found:
            problems.add(KIND, place, f"document id {shown(id)} is in this batch already")
        elif id is not None:
            found[id] = Document(id, body, title, fields)
    problems.stop("mend them and send the batch again; nothing was written")
    return list(found.values())


def _fields(metadata: object, place: int, problems: Problems) -> dict[str, Scalar]:
    if not isinstance(metadata, Mapping):
        problems.add(KIND, place, f"`metadata` is {shown(metadata)}, must be an object")
        return {}
    for name, value in metadata.items():
        if not isinstance(name, str) or SURROGATE.search(name) or (isinstance(value, str) and SURROGATE.search(value)):
            problems.add(KIND, place, f"field {shown(name)} holds half of a surrogate pair, which is no character")
        elif not isinstance(value, str | int | float | bool):
            problems.add(KIND, place, f"field {shown(name)} is {shown(value)}, must be a text, a number, true or false")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.add(KIND, place, f"field {shown(name)} is {value}, must be a finite number")
    return dict(metadata)
