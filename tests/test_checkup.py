"""The check-up: tokens that would be lost are counted to the token, nothing is guessed, and what is cut off is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_cli import call

from resurvey.data.audit import audit, code_share, is_code
from resurvey.diagnose.checklist import CHECKLIST, Seen, checklist
from resurvey.search.encode import SentenceEncoder
from resurvey.search.language import shares

SEEN = Seen(
    encoder="a-model", limit=254, limit_known=True, prompts=False, documents_over=0, queries_over=0, lost=0,
    passage_tokens=128, splits=True, passages=1000, seconds=30.0, megabytes=1.5, judged=60, measure="nDCG@10",
)  # fmt: skip


def planted(encoder: SentenceEncoder, more: int) -> str:
    """A text of so many tokens more than the encoder reads."""
    text = "valve " * (encoder.max_tokens + more)
    assert len(encoder.offsets([text])[0]) == encoder.max_tokens + more
    return text.strip()


def test_what_would_be_lost_is_counted_to_the_token(encoder: SentenceEncoder) -> None:
    texts = [("fits", planted(encoder, 0)), ("seven", planted(encoder, 7)), ("one", planted(encoder, 1)), ("empty", "")]
    found = audit(texts, encoder)
    assert (found.texts, found.over, found.lost, found.limit) == (4, 2, 8, encoder.max_tokens)
    assert found.tokens == 3 * encoder.max_tokens + 8
    assert found.longest == encoder.max_tokens + 7
    assert [(lost.id, lost.lost) for lost in found.worst] == [("seven", 7), ("one", 1)]
    assert found.worst[0].begins == " ".join(["valve"] * 7)
    many = audit([(str(n), planted(encoder, n % 9)) for n in range(2500)], encoder)
    assert many.lost == sum(n % 9 for n in range(2500))
    assert {lost.lost for lost in many.worst} == {8}


def test_what_the_encoder_loses_is_what_the_audit_says(encoder: SentenceEncoder) -> None:
    """Words beyond the limit change no vector; the last word within it does."""
    whole, cut = planted(encoder, 5), planted(encoder, 0)
    other = cut.rsplit(" ", 1)[0] + " pump"
    one, two, three = encoder.encode([whole, cut, other], "passage")
    assert (one == two).all()
    assert not (two == three).all()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("def add(a, b):\n    total = a + b\n    return total", True),
        ("for (let i = 0; i < n; i++) {\n  sum += xs[i];\n}", True),
        ("Open the valve slowly.\nThen wait for the pressure to fall.", False),
        ("", False),
    ],
)
def test_code_is_told_from_prose(text: str, code: bool) -> None:
    assert is_code(text) is code


def test_shares_of_languages_and_code() -> None:
    english, german = (
        "the pump must be closed before the valve is opened",
        "die Pumpe muss geschlossen sein, bevor man das Ventil öffnet",
    )
    assert shares([english] * 3 + [german]) == {"en": 0.75, "de": 0.25}
    assert shares(["123 456", ""]) == {}
    assert code_share(["x = 1", english]) == 0.5


@pytest.mark.parametrize(
    ("change", "asks", "state", "says"),
    [
        ({}, "documents", "passed", "no document is longer"),
        ({"documents_over": 3, "lost": 40}, "documents", "passed", "splits them into 1,000"),
        ({"documents_over": 3, "lost": 40, "splits": False}, "documents", "failed", "`rechunk` is never"),
        ({"queries_over": 2}, "without a word: queries", "failed", "2 queries"),
        ({"limit_known": False}, "own tokenizer", "unknown", "estimated"),
        ({"encoder": "intfloat/e5-base"}, "own prompts", "failed", "'e5'"),
        ({"encoder": "intfloat/e5-base", "prompts": True}, "own prompts", "passed", "stand before"),
        ({"encoder": "intfloat/e5-base", "prompted": "with them +3.0"}, "own prompts", "failed", "with them +3.0"),
        ({}, "reranker's pairs", "passed", "no reranker"),
        ({"reranker": "http://host/v1/rerank"}, "reranker's pairs", "unknown", "endpoint"),
        ({"reranker": "x", "pairs": (3, 40, 512)}, "reranker's pairs", "failed", "3 of 40"),
        ({"reranker": "x", "pairs": (0, 40, 512)}, "reranker's pairs", "passed", "0 of 40"),
        ({}, "two encoders", "failed", "60 judged queries"),
        ({"judged": 10}, "two encoders", "unknown", "10 judged"),
        ({"compared": "not adopted: x"}, "adopted or refused", "passed", "not adopted: x"),
        ({"judged": 0}, "measured was decided", "failed", "nothing can be measured"),
        ({"trained": "kept"}, "hard negatives", "passed", "kept"),
    ],
)
def test_a_row_stands_as_what_was_seen_says(change: dict[str, Any], asks: str, state: str, says: str) -> None:
    (row,) = [row for row in checklist(replace(SEEN, **change)) if asks in row["asks"]]
    assert row["state"] == state
    assert says in row["evidence"]
    assert bool(row["next"]) == (state != "passed")


def test_every_row_has_evidence() -> None:
    assert len(checklist(SEEN)) == len(CHECKLIST) == 15
    assert all(row["evidence"] for row in checklist(SEEN))


@pytest.fixture
def corpus(tmp_path: Path, encoder: SentenceEncoder) -> Path:
    rows = [
        {"_id": "long", "text": planted(encoder, 9)},
        {"_id": "a", "text": "open the valve and wait for the pressure of the pump to fall slowly"},
        {"_id": "b", "text": "Open the valve, and wait for the pressure of the pump to fall slowly!"},
        {"_id": "c", "text": "a gasket"},
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_check_refuses_what_would_be_cut_off_and_says_what_to_do(
    corpus: Path, model_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "ws"
    assert call("init", root, "--corpus", corpus, "--model", model_folder).code == 0
    ended = call("check", root)
    assert ended.code == 3
    told = " ".join(ended.err.split())
    assert "1 of 4 documents are longer than" in told
    assert "9 tokens" in told
    assert f"resurvey run {root} splits them" in told
    assert "long: from “valve valve" in " ".join(ended.out.split())
    ended = call("check", root, "--json")
    assert ended.code == 3
    facts = json.loads(ended.out)
    assert facts["refused"]
    assert facts["near-duplicates"]["largest"] == [["a", "b"]]
    assert facts["embedding"]["passages"] > 4
    assert facts["embedding"]["bytes"] == 4 * 32 * facts["embedding"]["passages"]
    assert sum(facts["languages"]["corpus"].values()) == pytest.approx(1)
    settings = root / "resurvey.toml"
    told = settings.read_text()
    assert told.count('# rechunk = "auto"') == 1
    settings.write_text(told.replace('# rechunk = "auto"', 'rechunk = "never"'))
    assert 'set rechunk = "auto"' in call("check", root).err


def test_check_lets_pass_what_is_read_whole(tmp_path: Path, corpus: Path, model_folder: Path) -> None:
    short = tmp_path / "short.jsonl"
    short.write_text("".join(line + "\n" for line in corpus.read_text().splitlines()[1:]))
    root = tmp_path / "ws"
    call("init", root, "--corpus", short, "--model", model_folder)
    ended = call("check", root)
    assert ended.code == 0, ended.err
    assert f"Next: resurvey run {root}" in ended.out.replace("\n", " ").replace("  ", " ")
    assert max(map(len, ended.out.splitlines())) <= 80 + len(str(root))
