"""Fields: the metadata of all documents as columns, each of one kind, by the rows of the index.

A document may lack any field. A field is of numbers, flags, dates or texts; one that mixes kinds is
read as texts. Knows nothing about filters or queries.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resurvey.types import Bools, Document, Ints, Scalar

Kind: TypeAlias = Literal["number", "flag", "date", "text"]
KINDS: Mapping[str, str] = {"number": "numbers", "flag": "true or false", "date": "dates", "text": "texts"}
"""Every kind in words, …"""
ONE: Mapping[str, str] = {"number": "a number", "flag": "a flag", "date": "a date", "text": "a text"}
"""… and one value of it."""
ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?")
"""A day or an instant as ISO 8601 writes them."""
EMPTY: Mapping[str, Any] = {"number": np.nan, "flag": False, "date": np.datetime64("NaT"), "text": ""}
TYPES: Mapping[str, str] = {"number": "f8", "flag": "?", "date": "M8[us]", "text": "O"}


@dataclass(frozen=True)
class Field:
    """One column: `values` of shape (documents,), float64, bool, datetime64[us] or str; `present` says where one is."""

    name: str
    kind: Kind
    values: NDArray[Any]
    present: Bools

    @functools.cached_property
    def levels(self) -> NDArray[Any]:
        """The different values, in order."""
        found = self.values[self.present]
        return np.array(sorted(set(found.tolist())), dtype=object) if self.kind == "text" else np.unique(found)

    @functools.cached_property
    def level(self) -> Ints:
        """(documents,): the place of every document's value among `levels`, -1 where there is none."""
        places: Ints = np.full(len(self.values), -1, dtype=np.int64)
        names = {value: place for place, value in enumerate(self.levels.tolist())}
        places[self.present] = [names[value] for value in self.values[self.present].tolist()]
        return places

    def shown(self, place: int) -> str:
        """A level as people read it, and as weights are named by."""
        return written(self.levels[place], self.kind)


class Fields(dict[str, Field]):
    """The columns by name."""

    @staticmethod
    def of(documents: Sequence[Document]) -> Fields:
        """The fields of documents, by row; a text that is empty counts as none."""
        names = dict.fromkeys(name for document in documents for name in document.metadata)
        return Fields({name: _field(name, [d.metadata.get(name) for d in documents]) for name in sorted(names)})


def instant(text: str) -> datetime | None:
    """The moment an ISO 8601 text names, in UTC without a zone; None where it names none."""
    if not ISO.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return None
    try:
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except OverflowError:
        return None


def written(value: Any, kind: Kind) -> str:
    """A value of a column as text: `12.5`, `true`, `2024-05-01`, `current`."""
    if kind == "flag":
        return "true" if value else "false"
    if kind == "number":
        return f"{float(value):.15g}"
    if kind == "date":
        moment: datetime = np.datetime64(value, "us").item()
        return moment.date().isoformat() if moment.time() == datetime.min.time() else moment.isoformat()
    return str(value)


def day(value: Any) -> date:
    """The day of a datetime64."""
    found: datetime = np.datetime64(value, "us").item()
    return found.date()


def _field(name: str, cells: Sequence[Scalar | None]) -> Field:
    there: Bools = np.array([cell is not None and cell != "" for cell in cells], dtype=np.bool_)
    given = [cell for cell, has in zip(cells, there, strict=True) if has]
    kind, converted = _kind(given)
    values = np.full(len(cells), EMPTY[kind], dtype=TYPES[kind])
    values[there] = np.array(converted, dtype=TYPES[kind])
    return Field(name, kind, values, there)


def _kind(given: Sequence[Any]) -> tuple[Kind, list[Any]]:
    """What a column is, and its values as that."""
    if given and all(isinstance(cell, bool) for cell in given):
        return "flag", list(given)
    if given and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in given):
        return "number", [float(cell) for cell in given]
    if given and all(isinstance(cell, str) for cell in given):
        moments = [instant(cell) for cell in given]
        if all(moments):
            return "date", moments
    return "text", [cell if isinstance(cell, str) else written(cell, _alone(cell)) for cell in given]


def _alone(cell: Scalar) -> Kind:
    return "flag" if isinstance(cell, bool) else "number"
