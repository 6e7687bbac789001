"""Encoders behind an OpenAI-compatible embeddings endpoint: vectors come over HTTP, the weights stay away.

What is behind the address may be exchanged without a word, so its vectors of fixed probe texts are kept
and compared whenever it is opened. Knows nothing about corpora or indexes.
"""

from __future__ import annotations

import base64
import binascii
import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resurvey.calls import EndpointError, Patience, post
from resurvey.errors import Problem, ResurveyError
from resurvey.protocols import Kind
from resurvey.search.compiled import PROBES
from resurvey.search.engine import unit
from resurvey.search.mapped import slices
from resurvey.search.tokens import Estimated, Named
from resurvey.settings import Settings
from resurvey.types import Floats, Json
from resurvey.workspace import canonical, digest, read_json, write_json

BATCH = 32
"""Texts of a request: the most that text-embeddings-inference takes unless told otherwise; others take more."""
AT_ONCE = 4
"""Requests under way at a time."""
UNKNOWN_LIMIT = 512
"""Tokens that reach the model where nobody says how many it reads: few read less."""
SAME = 0.9999
"""Least cosine between a probe's vectors then and now. Another batch moved vectors of all-MiniLM by 1e-6 in
float16 and 8e-5 in bfloat16 (docs/decisions.md); another model, or another version, moves them by far more."""
ROUNDED = 3
"""Decimals of the probe vectors that enter the fingerprint."""
AGAIN = "then the same command again"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the settings say about an endpoint; `dimensions` and `tokens` are 0 where nothing is asked or known."""

    model: str
    url: str
    dimensions: int = 0
    key_env: str = ""
    tokenizer: str = ""
    tokens: int = 0
    query_prompt: str = ""
    passage_prompt: str = ""

    @property
    def address(self) -> str:
        """Where embeddings are asked for."""
        return f"{self.url.rstrip('/')}/embeddings"

    @property
    def identity(self) -> str:
        """Everything but the address that changes a vector, as text: a model may move."""
        facts = [self.model, self.dimensions, self.tokenizer, self.tokens, self.query_prompt, self.passage_prompt]
        return canonical(facts)


def endpoint_of(settings: Settings) -> Endpoint | None:
    """The endpoint that the settings name; None where the encoder is a local one.

    Raises:
        ResurveyError: naming every setting that does not fit an endpoint.
    """
    url = settings.text("endpoint_url")
    if not url:
        return None
    problems = []
    if not url.startswith(("http://", "https://")):
        problems.append(Problem("endpoint_url", f"is {url!r}, must begin with https:// or http://"))
    if settings.text("model") == "bundled":
        problems.append(Problem("model", f"is bundled, must be what {url} calls its model"))
    for name in ("engine", "precision"):
        value = settings.text(name)
        if value != "auto":
            problems.append(Problem(name, f"is {value}, must be auto: an endpoint computes as it likes"))
    if problems:
        raise ResurveyError(problems, 'correct resurvey.toml; endpoint_url = "" names no endpoint')
    return Endpoint(
        settings.text("model"),
        url,
        settings.integer("endpoint_dimensions"),
        settings.text("endpoint_key_env"),
        settings.text("endpoint_tokenizer"),
        settings.integer("endpoint_tokens"),
        settings.text("endpoint_query_prompt"),
        settings.text("endpoint_passage_prompt"),
    )


def open_endpoint(endpoint: Endpoint, folder: Path, *, patience: Patience | None = None) -> EndpointEncoder:
    """Ask the endpoint for the probe texts' vectors, and compare them with those of the first time.

    The fingerprint is that of the first time while every probe agrees (cosine of at least 0.9999): endpoints
    do not answer the same bits twice, and vectors that are kept must not be lost for that. Two workspaces may
    therefore have different fingerprints for one model.

    Args:
        folder: keeps the probe vectors of the first time.

    Raises:
        ResurveyError: when the endpoint gives no usable vectors, or other ones than the first time.
    """
    asked = _Asked(endpoint, patience)
    now = asked.vectors(PROBES)
    kept = kept_probes(folder, endpoint)
    if kept.exists():
        facts = read_json(kept)
        then = np.frombuffer(base64.b64decode(facts["probes"]), dtype="<f4").reshape(len(PROBES), -1)
        _refuse_changed(endpoint, then, now, kept)
    else:
        fingerprint = digest(endpoint.identity, canonical((np.round(now, ROUNDED) + 0.0).astype(float).tolist()))
        told = base64.b64encode(now.astype("<f4").tobytes()).decode("ascii")
        facts = {
            "model": endpoint.model, "url": endpoint.url, "fingerprint": fingerprint,
            "dimensions": now.shape[1], "probes": told,
        }  # fmt: skip
        write_json(kept, facts)
    return EndpointEncoder(endpoint, asked, str(facts["fingerprint"]), now.shape[1])


def kept_probes(folder: Path, endpoint: Endpoint) -> Path:
    """The file that keeps an endpoint's probe vectors; another address of the same model has the same one."""
    return folder / f"endpoint-{digest(endpoint.identity)[:16]}.json"


def _refuse_changed(endpoint: Endpoint, then: Floats, now: Floats, kept: Path) -> None:
    if then.shape == now.shape:
        cosines = (then * now).sum(axis=1)
        if cosines.min() >= SAME:
            return
        what = (
            f"{int((cosines < SAME).sum())} of {len(PROBES)} probe texts get other vectors than when this was begun "
            f"(lowest cosine {cosines.min():.4f}, {SAME} is needed)"
        )
    else:
        what = f"gives {now.shape[1]} dimensions, it gave {then.shape[1]} when this was begun"
    raise ResurveyError(
        [Problem(endpoint.address, f"{what}: {endpoint.model} is not the model it was, and spaces do not mix")],
        f"name the model's former version in resurvey.toml, or remove {kept} and do all anew: resurvey run DIR",
    )


class EndpointEncoder:
    """An `Encoder` whose vectors come from an endpoint; made by `open_endpoint`."""

    def __init__(self, endpoint: Endpoint, asked: _Asked, fingerprint: str, dimensions: int) -> None:
        self.name = endpoint.model
        self.endpoint = endpoint
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self._asked = asked
        self._prompts: dict[Kind, str] = {"query": endpoint.query_prompt, "passage": endpoint.passage_prompt}
        self._tokens: Named | Estimated = Named(endpoint.tokenizer) if endpoint.tokenizer else Estimated()
        self.limit = endpoint.tokens or self._tokens.limit or UNKNOWN_LIMIT
        self.limit_known = bool(endpoint.tokens or self._tokens.limit)
        self.tokens_known = self._tokens.known
        prompts = max(len(spans) for spans in self.offsets(list(self._prompts.values())))
        self.max_tokens = max(1, self.limit - self._tokens.specials - prompts)

    def hurried(self, seconds: float) -> EndpointEncoder:
        """The same encoder for who waits: asked once, and given up after so many seconds."""
        other = copy.copy(self)
        other._asked = _Asked(self.endpoint, Patience(tries=1, timeout=seconds))
        return other

    def prompt(self, kind: Kind) -> str:
        """What the settings put before a query or a passage."""
        return self._prompts[kind]

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Character spans of every token, by the named tokenizer or by estimate."""
        return self._tokens.offsets(texts)

    def encode(self, texts: Sequence[str], kind: Kind) -> Floats:
        """Unit vectors of shape (texts, dimensions); what is longer than `max_tokens` is cut before it is sent.

        Raises:
            ResurveyError: when the endpoint gives no usable vectors.
        """
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        cut = (
            text if len(spans) <= self.max_tokens else text[: spans[self.max_tokens - 1][1]]
            for text, spans in zip(texts, self.offsets(texts), strict=True)
        )
        return self._asked.vectors([self._prompts[kind] + text for text in cut], self.dimensions)

    @property
    def reading(self) -> str:
        """How much of a text it reads, for people."""
        how = "tokens" if self._tokens.known else "tokens, estimated by words"
        return f"{self.limit} {how}" if self.limit_known else f"unknown; texts are cut at {self.limit} {how}"


class _Asked:
    """Requests for vectors: in batches, several under way, base64 where the endpoint knows it."""

    def __init__(self, endpoint: Endpoint, patience: Patience | None) -> None:
        self.endpoint = endpoint
        self._patience = patience
        self._more: Json = {"encoding_format": "base64"}

    def vectors(self, texts: Sequence[str], dimensions: int = 0) -> Floats:
        """Unit vectors of shape (texts, dimensions), checked; 0 dimensions are as many as come."""
        dimensions = dimensions or self.endpoint.dimensions
        batches = [list(texts[part]) for part in slices(len(texts), BATCH)]
        stop = threading.Event()
        pool = ThreadPoolExecutor(min(AT_ONCE, len(batches)))
        try:
            found = list(pool.map(lambda batch: self._batch(batch, dimensions, stop), batches))
        finally:  # after an error, or Ctrl-C, nobody waits for a try that is hours away
            stop.set()
            pool.shutdown(cancel_futures=True)
        if len({part.shape[1] for part in found}) > 1:
            raise self._unusable("gives vectors of different lengths")
        return unit(np.concatenate(found))

    def _batch(self, texts: list[str], dimensions: int, stop: threading.Event) -> Floats:
        payload: Json = {"model": self.endpoint.model, "input": [text or " " for text in texts]}  # "" is refused
        if self.endpoint.dimensions:
            payload["dimensions"] = self.endpoint.dimensions
        return self._read(self._sent(payload, stop), len(texts), dimensions)

    def _sent(self, payload: Json, stop: threading.Event) -> Json:
        """The reply; an endpoint that does not know base64 is asked again without, once."""
        address, key_env = self.endpoint.address, self.endpoint.key_env
        more = self._more
        try:
            return post(address, payload | more, key_env=key_env, patience=self._patience, stop=stop)
        except EndpointError as error:
            if not more or error.status not in {400, 422}:
                raise
        found = post(address, payload, key_env=key_env, patience=self._patience, stop=stop)
        self._more = {}
        return found

    def _read(self, reply: Json, count: int, dimensions: int) -> Floats:
        """The vectors of a reply in the order of the texts, of shape (count, dimensions)."""
        rows: Any = reply.get("data")
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "embedding" in row for row in rows):
            raise self._unusable("answers without a list `data` of rows with an `embedding`")
        if len(rows) != count:
            raise self._unusable(f"gives {len(rows)} vectors for {count} texts")
        places = [row.get("index", place) for place, row in enumerate(rows)]
        if sorted(map(str, places)) != sorted(map(str, range(count))):
            raise self._unusable(f"numbers its {count} vectors {places[:8]}, must be 0 to {count - 1}")
        vectors = [self._vector(row["embedding"]) for row in rows]
        lengths = sorted({len(vector) for vector in vectors})
        if len(lengths) > 1 or (dimensions and lengths != [dimensions]):
            asked = f", {dimensions} are asked for" if dimensions else ""
            raise self._unusable(f"gives vectors of {', '.join(map(str, lengths))} dimensions{asked}")
        found = np.empty((count, lengths[0]), dtype=np.float32)
        found[[int(place) for place in places]] = vectors
        if not np.isfinite(found).all() or not found.any(axis=1).all():
            raise self._unusable("gives a vector that is zero or holds what is no number")
        return found

    def _vector(self, embedding: Any) -> Floats:
        """One vector, from a list of numbers or from base64 of little-endian float32."""
        try:
            if isinstance(embedding, str):
                found = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
            else:
                found = np.asarray(embedding, dtype=np.float32)
        except (ValueError, TypeError, binascii.Error) as error:
            raise self._unusable(f"gives an embedding that cannot be read: {error}") from error
        if found.ndim != 1 or not len(found):
            raise self._unusable("gives an embedding that is no list of numbers")
        return found

    def _unusable(self, what: str) -> EndpointError:
        return EndpointError(
            self.endpoint.address, what, f"correct the endpoint, or its rows in resurvey.toml; {AGAIN}", 200
        )
