"""Texts and ids that pairs and answers name: known ones found, unknown ones refused or added on request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from resurvey.data.lines import Problems, shown
from resurvey.data.records import SURROGATE
from resurvey.types import Document, Query


@dataclass(slots=True)
class Known:
    """Documents and queries by id and by text. `named` is False where their ids were only counted here.

    `add_texts` lets unknown document texts in; unknown query texts always become queries.
    """

    documents: dict[str, Document]
    queries: dict[str, Query]
    problems: Problems
    add_texts: bool = False
    named: bool = True
    _by_text: dict[str, str] = field(default_factory=dict)
    _by_query: dict[str, str] = field(default_factory=dict)

    @property
    def by_text(self) -> dict[str, str]:
        """Document ids by text, made when first asked for: after all documents are read."""
        if not self._by_text:
            for id, document in self.documents.items():
                for words in (document.text, document.full_text):
                    self._by_text.setdefault(_words(words), id)
        return self._by_text

    @property
    def by_query(self) -> dict[str, str]:
        """Query ids by text, likewise."""
        if not self._by_query:
            for id, query in self.queries.items():
                self._by_query.setdefault(_words(query.text), id)
        return self._by_query

    def find(self, value: str) -> str | None:
        """The id of a known document, by its id or its text."""
        if self.named and value in self.documents:
            return value
        return self.by_text.get(_words(value))

    def document(self, value: object, path: Path, line: int) -> str | None:
        """The id of the document that a cell names; None with a problem where there is none."""
        words = self._words(value, "a document", path, line)
        if words is None:
            return None
        found = self.find(words)
        if found is None and not self.add_texts:
            what = f"{shown(words)} is neither the id nor the text of a document"
            self.problems.add(path, line, what, "--add-texts")
        elif found is None:
            found = _content_id("t", words)
            self.documents[found] = Document(found, words)
            self.by_text[_words(words)] = found
        return found

    def query(self, value: object, path: Path, line: int) -> str | None:
        """The id of the query that a cell names, a new one where the text is new."""
        words = self._words(value, "a query", path, line)
        if words is None:
            return None
        if words in self.queries:
            return words
        found = self.by_query.get(_words(words))
        if found is None:
            found = _content_id("q", words)
            self.queries[found] = Query(found, words)
            self.by_query[_words(words)] = found
        return found

    def _words(self, value: object, what: str, path: Path, line: int) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or not value.strip("\0 \t\n"):
            self.problems.add(path, line, f"names {what} as {shown(value)}, must be a text or an id")
            return None
        if SURROGATE.search(value):
            self.problems.add(path, line, f"{what} holds half of a surrogate pair, which is no character")
            return None
        return value.replace("\0", " ").strip()


def _words(text: str) -> str:
    return " ".join(text.split())


def _content_id(kind: str, text: str) -> str:
    return f"{kind}-{hashlib.sha256(_words(text).encode()).hexdigest()[:16]}"
