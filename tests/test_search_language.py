"""Languages: found from the documents, once; inflected queries find their documents; the snapshot remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from resurvey.errors import ResurveyError
from resurvey.search import language as module
from resurvey.search import recipe, store
from resurvey.search.builder import Builder
from resurvey.search.encode import SentenceEncoder
from resurvey.search.index import open_index
from resurvey.search.language import CODES, code_of, detect, languages, stop_words
from resurvey.settings import Settings
from resurvey.types import Document, Query
from resurvey.workspace import Artefacts

GERMAN = (
    "Die Pumpen im Keller müssen jedes Jahr geprüft werden, bevor der Winter beginnt.",
    "Das Ventil ist undicht und wird von der Werkstatt ersetzt, sobald die Teile geliefert sind.",
    "Mehrere Häuser an der Straße haben neue Fenster und Türen bekommen.",
    "Der Antrag ist spätestens vier Wochen nach der Geburt des Kindes zu stellen.",
)
FRENCH = (
    "Les pompes de la cave doivent être vérifiées chaque année avant le début de l'hiver.",
    "La vanne fuit et sera remplacée par l'atelier dès que les pièces seront livrées.",
    "Plusieurs maisons de la rue ont reçu de nouvelles fenêtres et de nouvelles portes.",
    "La demande doit être déposée au plus tard quatre semaines après la naissance de l'enfant.",
)
JAPANESE = (
    "地下室のポンプは、冬が始まる前に毎年点検しなければなりません。",
    "バルブが漏れているので、部品が届き次第、工場で交換されます。",
    "この通りのいくつかの家には、新しい窓とドアが取り付けられました。",
    "申請は、子どもの出生後四週間以内に行わなければなりません。",
)
CODE = ("def f(x): return x + 1", "for i in range(n): y[i] = f(x[i])", "import os; os.path.join(a, b)")
ENGLISH = ("The pumps in the cellar have to be inspected every year before the winter begins.",) * 3
CORPORA = {"german": GERMAN, "french": FRENCH, "english": ENGLISH}
ASKED = {
    "german": (GERMAN, {"Pumpe prüfen": 0, "undichte Ventile ersetzen": 1, "Haus mit neuem Fenster": 2, "Anträge stellen": 3}),
    "french": (FRENCH, {"vérifier une pompe": 0, "remplacer des vannes": 1, "une maison, une fenêtre": 2, "déposer les demandes": 3}),
    "english": (JAPANESE, {"ポンプの点検": 0, "部品の交換": 1, "新しい窓": 2, "出生の申請": 3}),
}  # fmt: skip


@pytest.mark.parametrize("language", CORPORA)
def test_the_language_of_most_documents_is_found(language: str) -> None:
    assert detect(CORPORA[language] * 3) == language
    assert detect([*CORPORA[language] * 9, *JAPANESE]) == language


@pytest.mark.parametrize("texts", [JAPANESE, CODE, (), ("",), ("5/16-18", "AB-12")], ids=["ja", "code", "none", "empty", "parts"])  # fmt: skip
def test_english_reads_what_no_stemmer_is_there_for(texts: tuple[str, ...]) -> None:
    assert detect(texts) == "english"


def test_no_language_with_half_of_the_votes_or_less_wins() -> None:
    pieces = [text * 20 for text in (*GERMAN[:1], *FRENCH[:1], *JAPANESE[:1])]
    assert detect(pieces) == "english"


@pytest.mark.parametrize("language", ASKED)
def test_a_query_in_another_form_finds_its_document(
    language: str, tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    texts, asked = ASKED[language]
    documents = tuple(Document(str(place), text) for place, text in enumerate(texts))
    index = open_index(tmp_path, documents, encoder, plain_settings)
    assert index.language == language
    queries = [Query(text, text) for text in asked]
    run = Builder(index, Artefacts(tmp_path / "artefacts")).node(recipe.lexical(10)).search(queries)
    assert {query: run[query].documents[0] for query in asked} == {text: str(place) for text, place in asked.items()}


def test_the_language_is_looked_for_once_and_kept_in_the_snapshot(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = tuple(Document(str(place), text) for place, text in enumerate(GERMAN))
    assert open_index(tmp_path, documents, encoder, plain_settings).language == "german"

    def again(texts: object) -> str:
        raise AssertionError("the snapshot knows")

    monkeypatch.setattr(store, "detect", again)
    assert open_index(tmp_path, documents, encoder, plain_settings).language == "german"
    told = Settings({**plain_settings.values, "language": "french"})
    assert open_index(tmp_path, documents, encoder, told).language == "french"


def test_a_language_that_no_stemmer_knows_is_refused_before_anything_is_written(
    tmp_path: Path, encoder: SentenceEncoder, plain_settings: Settings
) -> None:
    wrong = Settings({**plain_settings.values, "language": "klingon"})
    with pytest.raises(ResurveyError, match="'klingon', must be one of auto, arabic"):
        open_index(tmp_path, (Document("1", "text"),), encoder, wrong)
    assert not (tmp_path / "lance").exists()


def test_stop_words_are_the_commonest_of_their_language() -> None:
    assert {"der", "die", "und"} <= stop_words("german")
    assert {"de", "les", "pour"} <= stop_words("french")
    assert len(stop_words("german")) == module.COMMONEST
    assert stop_words("basque") == stop_words("porter") == frozenset()


def test_every_code_names_a_stemmer_and_comes_back() -> None:
    assert set(CODES.values()) <= set(languages())
    assert code_of("german") == "de"
    assert code_of("porter") == ""
