"""Which column plays which role: known names, a guess that is shown, and `--map` to correct it.

Knows names; knows nothing about what a good id or text is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resurvey.data.lines import Problems, shown
from resurvey.data.rows import Table
from resurvey.errors import Problem, ResurveyError


@dataclass(frozen=True, slots=True)
class Role:
    """What a column can be to one kind of file; `known` are names in lower case without `_`, `-` and spaces."""

    kind: str
    name: str
    known: tuple[str, ...]
    sentence: str
    required: bool = True

    @property
    def key(self) -> str:
        """As `--map` writes it."""
        return f"{self.kind}.{self.name}"


DOCUMENT = ("docid", "documentid", "corpusid", "docno", "pid", "passageid")
QUERY = ("queryid", "qid", "topicid")
GRADE = ("score", "grade", "relevance", "label", "rel", "judgment", "rating")
ROLES = (
    Role("corpus", "id", ("id", *DOCUMENT, "sku", "key", "uuid", "uid"), "what judgments call the document"),
    Role("corpus", "title", ("title", "name", "headline", "heading", "subject"), "stands before the text", False),
    Role("corpus", "text", ("text", "contents", "content", "body", "passage", "document", "description", "abstract"),
         "what is searched"),
    Role("corpus", "metadata", ("metadata",), "an object of further fields", False),
    Role("queries", "id", ("id", *QUERY, "topic", "number", "num"), "what judgments call the query"),
    Role("queries", "text", ("text", "contents", "content", "body", "query", "querytext", "question", "title"),
         "what was typed"),
    Role("judgments", "query", (*QUERY, "query", "topic", "q"), "a query's id"),
    Role("judgments", "document", (*DOCUMENT, "document", "doc", "passage", "d"), "a document's id"),
    Role("judgments", "grade", GRADE, "0 irrelevant, 1 to 4 relevant; 1 where there is no such column", False),
    Role("pairs", "query", ("query", "question", "anchor", "querytext", "sentence1"), "a query's text or id"),
    Role("pairs", "positive", ("positive", "positives", "pos", "relevant", "document", "passage", "answer", "text",
                               "sentence2"), "a relevant text or document id, or several"),
    Role("pairs", "negative", ("negative", "negatives", "neg", "hardnegative", "hardnegatives", "irrelevant"),
         "an irrelevant text or document id, or several", False),
    Role("pairs", "grade", GRADE, "the positive's grade; 1 where there is no such column", False),
    Role("answers", "query", ("query", "question", "userinput", *QUERY), "a query's text or id"),
    Role("answers", "passages", ("passages", "contexts", "retrievedcontexts", "context", "documents", "docs", "sources"),
         "what the answer was made from: texts or document ids"),
    Role("answers", "answer", ("answer", "response", "output", "generation", "prediction"), "what was answered"),
    Role("answers", "reference", ("reference", "groundtruth", "groundtruths", "expected", "target", "goldanswer"),
         "what would have been right", False),
)  # fmt: skip
KEYS = {role.key: role for role in ROLES}
NUMBERED = re.compile(r"(negative|neg)\d+")
"""Triplets with several negatives name them so, one column each."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of one file play which role; `rest` plays none."""

    path: Path
    kind: str
    roles: Mapping[str, tuple[str, ...]]
    rest: tuple[str, ...]
    header: bool = True

    def value(self, cells: Mapping[str, Any], role: str) -> tuple[str, Any]:
        """The column that plays a role in this row, and its cell; ("", None) where none does."""
        names = self.roles.get(role, ())
        if len(names) == 1 and names[0] in cells:  # nearly always
            return names[0], cells[names[0]]
        named = [column for column in names if column in cells]
        column = next((column for column in named if cells[column] is not None), named[0] if named else "")
        return column, cells.get(column)

    def shown(self) -> dict[str, str]:
        """Role to column names, as people are shown them."""
        note = {} if self.header else {"header": "none, so columns are numbered"}
        if "id" in self.roles and not self.roles["id"]:
            note["id"] = "the row's number"
        rest = {"metadata" if self.kind == "corpus" else "not read": ", ".join(self.rest)} if self.rest else {}
        found = {
            **note,
            **{
                role: (", " if role == "negative" else " or ").join(names)
                for role, names in self.roles.items()
                if names
            },
            **rest,
        }
        return {role: names.encode("utf-8", "replace").decode() for role, names in found.items()}


def mapped(values: Sequence[str]) -> dict[str, str]:
    """`KIND.ROLE=COLUMN` texts as {kind.role: column}.

    Raises:
        ResurveyError: naming every text of another form, every role that is not one or is given twice.
    """
    problems = []
    found: dict[str, str] = {}
    for value in values:
        key, equals, column = value.partition("=")
        if not equals or not column.strip():
            problems.append(Problem("--map", f"{value!r} must be KIND.ROLE=COLUMN"))
        elif key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else ""
            problems.append(Problem("--map", f"{key!r} is not a role{hint} The roles are {', '.join(KEYS)}"))
        elif key in found:
            problems.append(Problem("--map", f"{key!r} is given twice"))
        else:
            found[key] = column.strip()
    if problems:
        raise ResurveyError(problems, "for example --map corpus.text=body")
    return found


def assign(
    table: Table, kind: str, mapping: Mapping[str, str], problems: Problems, unneeded: Sequence[str] = ()
) -> tuple[Table, Columns] | None:
    """The table with its header taken off, and its columns' roles; None with problems where a role has no column.

    `unneeded` are roles that may stay empty although the kind asks for them.
    """
    chosen = {role.name: mapping[role.key] for role in _roles(kind) if role.key in mapping}
    table, places = _headed(table, kind, chosen)
    if not table.columns:
        return table, Columns(table.path, kind, {}, ())
    roles = places or {role.name: _columns_of(role, table, chosen) for role in _roles(kind)}
    fine = True
    for name, column in chosen.items():
        if column not in table.columns:
            fine = False
            what = f"has no column {shown(column)} for --map {kind}.{name}; {_there(table)}"
            problems.add(table.path, 0, what)
    used = {column for names in roles.values() for column in names}
    for role in _roles(kind):
        if not role.required or role.name in (*unneeded, *chosen) or roles.get(role.name):
            continue
        if role.key == "corpus.text" and roles.get("title") and not _words(table, used):
            continue
        fine = False
        likely = _likely(role, table, used)
        what = f"has no column for {role.key} ({role.sentence}); {_there(table)}"
        problems.add(table.path, 0, what, f"--map {role.key}={likely}" if likely else "")
    rest = tuple(column for column in table.columns if column not in used)
    return (table, Columns(table.path, kind, roles, rest, places is None)) if fine else None


def _roles(kind: str) -> list[Role]:
    return [role for role in ROLES if role.kind == kind]


def plain_name(column: str) -> str:
    """A column's name as the known ones are written."""
    return re.sub(r"[\s_\-.]", "", column).lower()


def _columns_of(role: Role, table: Table, chosen: Mapping[str, str]) -> tuple[str, ...]:
    if role.name in chosen:
        return (chosen[role.name],)
    taken = set(chosen.values())
    names = {column: plain_name(column) for column in table.columns if column not in taken}
    found = [column for known in role.known for column, name in names.items() if name == known]
    if role.key == "pairs.negative":
        return (*found, *(column for column, name in names.items() if NUMBERED.fullmatch(name)))
    for place, column in enumerate(found):
        if all(cells.get(column) is not None for _, cells in table.rows):
            return tuple(found[: place + 1])
    return tuple(found)


def _headed(table: Table, kind: str, chosen: Mapping[str, str]) -> tuple[Table, dict[str, tuple[str, ...]] | None]:
    """The table under the names of its first row; or as it was, with roles by place, where that row is data."""
    if not table.headless or not table.rows:
        return table, None
    first = [str(cell) for cell in table.rows[0][1].values()]
    places = _places(kind, len(first))
    if chosen and all(column in table.columns and column not in first for column in chosen.values()):
        return table, {**{role: (column,) for role, column in chosen.items()}}
    if not chosen and places and _is_data(kind, first):
        return table, {role: (str(place),) for role, place in places.items()}
    return _named(table, first), None


def _named(table: Table, first: Sequence[str]) -> Table:
    names: list[str] = []
    for place, name in enumerate(first, start=1):
        label = name or f"column {place}"
        names.append(label if label not in names else f"{label} ({place})")
    rows = [(line, dict(zip(names, cells.values(), strict=True))) for line, cells in table.rows[1:]]
    return replace(table, columns=tuple(names), rows=rows, headless=False)


def _places(kind: str, count: int) -> dict[str, int] | None:
    """Roles by column number where no header says them, as the usual files of that many columns have them."""
    usual: dict[tuple[str, int], dict[str, int]] = {
        ("corpus", 2): {"id": 1, "text": 2},
        ("queries", 2): {"id": 1, "text": 2},
        ("judgments", 2): {"query": 1, "document": 2},
        ("judgments", 3): {"query": 1, "document": 2, "grade": 3},
        ("judgments", 4): {"query": 1, "document": 3, "grade": 4},
    }
    return usual.get((kind, count))


def _is_data(kind: str, first: Sequence[str]) -> bool:
    """Whether a first row is data: judgments end with a number, texts have words, and no cell is a known name."""
    known = {name for role in _roles(kind) for name in role.known}
    if kind == "judgments":
        return _number(first[-1]) or not any(plain_name(cell) in known for cell in first)
    if any(plain_name(cell) in known for cell in first):
        return False
    return " " in first[-1] or any(character.isdigit() for character in first[0])


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _there(table: Table) -> str:
    names = ", ".join(shown(column, 40)[1:-1] for column in table.columns[:12])
    names += ", …" if len(table.columns) > 12 else ""
    return f"its columns are {names}" if table.typed else f"its first line names {names} (no header? give numbers)"


def _words(table: Table, used: set[str]) -> bool:
    """Whether a column that plays no role holds words, so that titles may not be all the text there is."""
    free = [column for column in table.columns if column not in used]
    return any(" " in cell for _, cells in table.rows for c in free if isinstance(cell := cells.get(c), str))


def _likely(role: Role, table: Table, used: set[str]) -> str:
    """The likeliest column for a role that nothing plays; empty where all columns play another."""
    free = [column for column in table.columns if column not in used and column.isprintable()]
    some = [cells for _, cells in table.rows[:50]]

    def length(column: str) -> int:
        return sum(len(str(cells.get(column, ""))) for cells in some)

    if not free or role.name in ("id", "query", "document"):
        return free[0] if free else ""
    return max(free, key=length)
