"""Vector segments: nothing is embedded twice, nothing torn is believed, a resumed run changes no bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import WORDS

from resurvey.protocols import Kind
from resurvey.search import vectors
from resurvey.search.encode import SentenceEncoder
from resurvey.search.vectors import Segment, VectorStore
from resurvey.types import Floats

TEXTS = [" ".join(WORDS[place : place + 1 + place % 13]) for place in range(50)]


class Counting:
    """An encoder that remembers what it was asked, and may be killed at one of its calls."""

    def __init__(self, inner: SentenceEncoder, killed_at: int = 0, prompts: dict[str, str] | None = None) -> None:
        self.inner = inner
        self.killed_at = killed_at
        self.prompts = prompts or {}
        self.calls: list[list[str]] = []
        self.name, self.dimensions, self.max_tokens = inner.name, inner.dimensions, inner.max_tokens
        self.fingerprint = inner.fingerprint

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call]

    def prompt(self, kind: Kind) -> str:
        return self.prompts.get(kind, "")

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return self.inner.offsets(texts)

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        self.calls.append(list(texts))
        if len(self.calls) == self.killed_at:
            raise KeyboardInterrupt
        return self.inner.encode([self.prompt(kind) + text for text in texts], kind)


@pytest.fixture
def counting(encoder: SentenceEncoder) -> Counting:
    return Counting(encoder)


def test_vectors_come_in_the_order_asked_and_are_the_encoders(tmp_path: Path, counting: Counting) -> None:
    found = VectorStore(tmp_path, counting).vectors(TEXTS, "passage")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, counting.inner.encode(TEXTS, "passage"), atol=1e-5)


def test_nothing_is_embedded_twice(tmp_path: Path, counting: Counting) -> None:
    store = VectorStore(tmp_path, counting)
    first = store.vectors([*TEXTS, *TEXTS[:7]], "passage")
    again = store.vectors(TEXTS[::-1], "passage")
    reopened = VectorStore(tmp_path, counting).vectors(TEXTS, "passage")
    assert sorted(counting.texts) == sorted(set(TEXTS))
    assert np.array_equal(first[:50], again[::-1])
    assert np.array_equal(first[:50], reopened)
    assert np.array_equal(first[50:], first[:7])


def test_only_what_is_new_is_embedded(tmp_path: Path, counting: Counting) -> None:
    VectorStore(tmp_path, counting).vectors(TEXTS[:20], "passage")
    counting.calls.clear()
    VectorStore(tmp_path, counting).vectors(TEXTS[:30], "passage")
    assert set(counting.texts) == set(TEXTS[20:30]) - set(TEXTS[:20])


def test_kinds_share_vectors_exactly_when_their_prompts_are_equal(tmp_path: Path, encoder: SentenceEncoder) -> None:
    same = Counting(encoder)
    store = VectorStore(tmp_path / "same", same)
    assert np.array_equal(store.vectors(TEXTS[:5], "query"), store.vectors(TEXTS[:5], "passage"))
    assert len(same.calls) == 1
    other = Counting(encoder, prompts={"query": "test "})
    store = VectorStore(tmp_path / "other", other)
    asked, kept = store.vectors(TEXTS[:5], "query"), store.vectors(TEXTS[:5], "passage")
    assert len(other.calls) == 2
    assert np.abs(asked - kept).max() > 1e-3


def test_another_fingerprint_shares_nothing(tmp_path: Path, encoder: SentenceEncoder) -> None:
    one, other = Counting(encoder), Counting(encoder)
    other.fingerprint = "f" * 64
    VectorStore(tmp_path, one).vectors(TEXTS, "passage")
    VectorStore(tmp_path, other).vectors(TEXTS, "passage")
    assert sorted(other.texts) == sorted(set(TEXTS))


def test_two_fingerprints_with_one_head_are_told_apart(tmp_path: Path, encoder: SentenceEncoder) -> None:
    one, other = Counting(encoder), Counting(encoder)
    other.fingerprint = one.fingerprint[:16] + "0" * 48
    VectorStore(tmp_path, one)
    with pytest.raises(AssertionError, match="share a fingerprint's head"):
        VectorStore(tmp_path, other)


def test_a_segment_without_keys_was_never_there(tmp_path: Path, counting: Counting) -> None:
    store = VectorStore(tmp_path, counting)
    store.vectors(TEXTS[:10], "passage")
    (segment,) = store.folder.glob("*.npy")
    segment.with_suffix(".keys").unlink()
    np.save(segment, np.zeros((10, counting.dimensions), dtype=np.float32))
    counting.calls.clear()
    found = VectorStore(tmp_path, counting).vectors(TEXTS[:10], "passage")
    assert len(counting.texts) == 10
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.array_equal(VectorStore(tmp_path, counting).vectors(TEXTS[:10], "passage"), found)


def test_keys_are_written_after_their_vectors(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    real = vectors.write_matrix

    def matrix(path: Path, blocks: Iterator[Floats], shape: tuple[int, int]) -> None:
        written.append(path.suffix)
        real(path, blocks, shape)

    def keys(path: Path, data: bytes) -> None:
        written.append(path.suffix)
        raise KeyboardInterrupt

    monkeypatch.setattr(vectors, "write_matrix", matrix)
    monkeypatch.setattr(vectors, "write_bytes", keys)
    with pytest.raises(KeyboardInterrupt):
        VectorStore(tmp_path, counting).vectors(TEXTS[:4], "passage")
    assert written == [".npy", ".keys"]
    monkeypatch.undo()
    found = VectorStore(tmp_path, counting).vectors(TEXTS[:4], "passage")
    np.testing.assert_allclose(found, counting.inner.encode(TEXTS[:4], "passage"), atol=1e-5)


@pytest.mark.parametrize("killed_at", [1, 3, 5])
def test_a_resumed_run_gives_bit_identical_vectors_and_repeats_no_finished_block(
    tmp_path: Path, encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 8)
    whole = VectorStore(tmp_path / "whole", encoder).vectors(TEXTS, "passage")
    killed = Counting(encoder, killed_at)
    with pytest.raises(KeyboardInterrupt):
        VectorStore(tmp_path / "killed", killed).vectors(TEXTS, "passage")
    resumed = Counting(encoder)
    found = VectorStore(tmp_path / "killed", resumed).vectors(TEXTS, "passage")
    assert np.array_equal(found, whole)
    finished = {text for call in killed.calls[:-1] for text in call}
    assert sorted(resumed.texts) == sorted(set(TEXTS) - finished)
    assert len(finished) == 8 * (killed_at - 1)


def test_the_order_of_a_request_changes_no_bit(
    tmp_path: Path, encoder: SentenceEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 8)
    forward = VectorStore(tmp_path / "forward", encoder).vectors(TEXTS, "passage")
    backward = VectorStore(tmp_path / "backward", encoder).vectors(TEXTS[::-1], "passage")
    assert np.array_equal(forward, backward[::-1])


def test_long_texts_are_embedded_first(tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK", 8)
    VectorStore(tmp_path, counting).vectors(TEXTS, "passage")
    lengths = [len(text) for text in counting.texts]
    assert lengths == sorted(lengths, reverse=True)


def test_two_stores_open_on_one_folder_lose_nothing_of_each_other(tmp_path: Path, counting: Counting) -> None:
    one, other = VectorStore(tmp_path, counting), VectorStore(tmp_path, counting)
    kept = [
        one.vectors(TEXTS[:6], "passage"),
        other.vectors(TEXTS[6:9], "passage"),
        one.vectors(TEXTS[9:11], "passage"),
    ]
    counting.calls.clear()
    found = VectorStore(tmp_path, counting).vectors(TEXTS[:11], "passage")
    assert not counting.calls
    assert np.array_equal(found, np.concatenate(kept))


def test_progress_ends_at_the_total_and_is_silent_when_all_is_known(tmp_path: Path, counting: Counting) -> None:
    heard: list[tuple[str, int, int]] = []
    store = VectorStore(tmp_path, counting)
    store.vectors(TEXTS, "query", lambda *told: heard.append(told))
    assert {what for what, _, _ in heard} == {"embedding queries"}
    assert heard[-1][1:] == (len(TEXTS), len(TEXTS))
    heard.clear()
    store.vectors(TEXTS, "query", lambda *told: heard.append(told))
    assert not heard


def test_many_small_segments_become_few_and_keep_every_bit(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = VectorStore(tmp_path / "whole", counting).vectors(TEXTS, "passage")
    store = VectorStore(tmp_path / "many", counting)
    open_before = VectorStore(tmp_path / "many", counting)
    kept = [store.vectors([text], "passage") for text in TEXTS[:7]]
    assert len(list(store.folder.glob("*.npy"))) == vectors.FAN - 1
    open_before = VectorStore(tmp_path / "many", counting)
    kept += [store.vectors([text], "passage") for text in TEXTS[7:]]
    for suffix in ("npy", "keys"):
        assert len(list(store.folder.glob(f"*.{suffix}"))) == 50 // vectors.FAN + 50 % vectors.FAN
    counting.calls.clear()
    for opened in (store, VectorStore(tmp_path / "many", counting)):
        assert np.array_equal(opened.vectors(TEXTS, "passage"), np.concatenate(kept))
    assert np.array_equal(open_before.vectors(TEXTS[:7], "passage"), np.concatenate(kept[:7]))
    assert not counting.calls
    np.testing.assert_allclose(np.concatenate(kept), whole, atol=1e-5)


@pytest.mark.parametrize("moment", ["before the keys", "before the old ones go"])
def test_a_merge_that_was_killed_loses_nothing(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    store = VectorStore(tmp_path, counting)
    kept = np.concatenate([store.vectors([text], "passage") for text in TEXTS[:7]])
    real = vectors.write_bytes

    def killed(path: Path, data: bytes) -> None:
        if len(data) > vectors.KEY_BYTES and moment == "before the keys":
            raise KeyboardInterrupt
        real(path, data)
        if len(data) > vectors.KEY_BYTES:
            raise KeyboardInterrupt

    monkeypatch.setattr(vectors, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        store.vectors([TEXTS[7]], "passage")
    monkeypatch.undo()
    counting.calls.clear()
    again = VectorStore(tmp_path, counting)
    assert np.array_equal(again.vectors(TEXTS[:7], "passage"), kept)
    again.vectors(TEXTS[:12], "passage")
    assert sorted(counting.texts) == sorted(TEXTS[8:12])


def test_a_segment_whose_parts_disagree_was_never_there(tmp_path: Path, counting: Counting) -> None:
    store = VectorStore(tmp_path, counting)
    wanted = store.vectors(TEXTS[:10], "passage")
    (segment,) = store.folder.glob("*.npy")
    for damage in (b"", segment.read_bytes()[:-4], segment.read_bytes()[:60]):
        segment.write_bytes(damage)
        assert np.array_equal(VectorStore(tmp_path, counting).vectors(TEXTS[:10], "passage"), wanted)


def test_keys_with_equal_heads_are_told_apart(tmp_path: Path) -> None:
    keys = np.array([[7, 0, 0, 1], [3, 0, 0, 0], [7, 0, 0, 2], [7, 0, 0, 3]], dtype=">u8")
    segment = Segment(tmp_path, keys, np.zeros((4, 2), dtype=np.float32))
    asked = np.array([[7, 0, 0, 3], [7, 0, 0, 2], [7, 0, 0, 9], [9, 0, 0, 0], [3, 0, 0, 0], [1, 0, 0, 0]], dtype=">u8")
    assert segment.find(asked).tolist() == [3, 2, -1, -1, 1, -1]


def test_blocks_of_long_texts_hold_fewer(tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "CHARACTERS", 120)
    VectorStore(tmp_path, counting).vectors(TEXTS, "passage")
    sizes = [sum(map(len, call)) for call in counting.calls]
    assert all(size <= 120 or len(call) == 1 for size, call in zip(sizes, counting.calls, strict=True))
    assert len(sizes) < 50
    assert all(size > 120 - 100 for size in sizes[:-1])


def test_text_that_no_encoder_reads_does_not_count(tmp_path: Path, counting: Counting) -> None:
    endless = [f"{word} " * 50_000 for word in WORDS[:8]]
    VectorStore(tmp_path, counting).embed(endless, "passage")
    assert [len(call) for call in counting.calls] == [8]


def test_embedding_holds_no_vectors_in_memory(
    tmp_path: Path, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VectorStore(tmp_path, counting)
    keys = store.embed(TEXTS, "passage")
    assert all(isinstance(segment.vectors, np.memmap) for segment in store._segments)
    wanted = counting.inner.encode(TEXTS, "passage")
    np.testing.assert_allclose(store.read(keys[10:20]), wanted[10:20], atol=1e-5)
    monkeypatch.setattr(vectors, "GATHERED", 7)
    np.testing.assert_allclose(store.read(keys), wanted, atol=1e-5)
    with pytest.raises(AssertionError, match="1 keys were never embedded"):
        store.read(keys[:1] + np.uint64(1))


def test_no_texts_are_no_vectors(tmp_path: Path, counting: Counting) -> None:
    assert VectorStore(tmp_path, counting).vectors([], "query").shape == (0, counting.dimensions)
    assert not counting.calls
