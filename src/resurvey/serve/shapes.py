"""Shapes: what requests may hold and what answers hold, as the OpenAPI document describes them.

Requests are held against these; answers are made by hand and only described here, since checking what we made
ourselves would cost every search a part of its time. Tests hold real answers against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MOST_HITS = 1000
LONGEST_QUERY = 10_000
MOST_DOCUMENTS = 10_000
MOST_EVENTS = 10_000
MOST_INPUTS = 2048
Id = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Scalar = str | int | float | bool


class Asked(BaseModel):
    """A body that is read strictly: nothing is converted, unknown names are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class BoostAsked(Asked):
    """Moves documents by a field: newer ones (`half_life`) or those with one value (`value`)."""

    field: Name = Field(examples=["updated"])
    weight: float = Field(ge=-100, le=100, description="In standard deviations of the scores.", examples=[0.2])
    half_life: float | None = Field(None, gt=0, le=1e6, description="Days after which half of the weight is left.")
    value: str | None = Field(None, max_length=1000, description="The value that gets the weight, as text.")


class SearchAsked(Asked):
    """One search."""

    query: str = Field(min_length=1, max_length=LONGEST_QUERY, examples=["replace the valve"])
    k: int = Field(
        10, ge=1, le=MOST_HITS, description="Hits wanted. A pipeline finds as many as its `depth`, often 100."
    )
    filter: str = Field(
        "", max_length=10_000, description="Which documents may be found.", examples=["year >= 2020 and source = 'WHO'"]
    )
    candidate: Name = Field("live", description="`live`, `base`, `bm25`, `rrf`, or a candidate's number or id.")
    explain: bool = Field(False, description="Say how every hit came to its place.")
    constraints: Literal["show", "apply", "off"] | None = Field(
        None,
        description="What to do with prices, dates and known values that the query states; the setting `query_constraints` unless said.",
    )
    without: list[Name] = Field(
        [], max_length=100, description="Filters to take away, by the names under `filters`, or a field's."
    )
    at: str = Field(
        "now", max_length=64, description="The day or moment for which documents must hold: ISO 8601, `now`, or `any`."
    )
    boosts: list[BoostAsked] | None = Field(
        None, max_length=20, description="Instead of those of the settings; [] for none."
    )
    min_confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Leave out hits that are relevant with a lower probability, all of them if need be.",
    )


class FilterTold(BaseModel):
    """One filter in or around a search."""

    name: str = Field(description="By which it is taken away.")
    filter: str
    source: Literal["request", "settings", "query"]
    applied: bool
    words: str | None = Field(None, description="What in the query says so.")
    why: str | None = Field(None, description="Why it was not applied.")


class Skipped(BaseModel):
    """A stage that was left out, because it was late or down."""

    stage: str
    why: str


class Seen(BaseModel):
    """What one stage thought of a hit."""

    rank: int
    score: float


class Matched(BaseModel):
    """What query and document share."""

    words: list[str]
    codes: list[str]


class Why(BaseModel):
    """How a hit came to its place."""

    stages: dict[str, Seen]
    matched: Matched
    filters: list[str] = Field(description="Names of the filters that it passed.")
    contributions: dict[str, float] = Field(
        description="What each kind of evidence added to the ranker's score; they sum to it."
    )


class HitTold(BaseModel):
    """One document."""

    rank: int
    id: str
    score: float
    probability: float | None = Field(
        description="That it is relevant, as calibrated for this candidate; null where nothing is known."
    )
    title: str
    text: str = Field(description="The part of the text that holds most of the query's words.")
    metadata: dict[str, Any]
    explain: Why | None = None


class Explained(BaseModel):
    """How a search went."""

    pipeline: str
    filter: str
    rewrites: list[str]
    milliseconds: dict[str, float] = Field(description="Every stage's own time.")


class Sure(BaseModel):
    """What is known about the answer as a whole; two claims that are kept apart."""

    found: float | None = Field(description="Probability that any of the first ten hits is relevant.")
    beyond: float | None = Field(description="Share of your own queries that are at least as far from the documents.")
    not_covered: bool = Field(description="The query is off the map: hits are the nearest there are.")
    may_be_missing: bool = Field(description="The answer may not be among the documents.")
    claims: list[str] = Field(description="Both in words, where they hold.")
    why: str | None = Field(description="Why there are no probabilities.")
    withheld: int = Field(description="Hits left out for `min_confidence`.")


class Found(BaseModel):
    """The answer to a search; `candidate`, `snapshot` and `fingerprint` are of one engine, never mixed."""

    query_id: str = Field(description="To be named in events.")
    candidate: str
    snapshot: int
    fingerprint: str = Field(description="Of the encoder in whose space was searched.")
    hits: list[HitTold]
    confidence: Sure
    filters: list[FilterTold]
    skipped: list[Skipped]
    rewrites: list[str] = Field(description="What was searched besides the query.")
    words_known: bool = Field(description="False where no word of the query is in any document.")
    explain: Explained | None = None
    milliseconds: float


class ProblemTold(BaseModel):
    """One thing that is wrong."""

    where: str
    what: str


class ProblemList(BaseModel):
    """All that is wrong with a request (RFC 9457), and what to do now."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[ProblemTold]
    next: str
    error: dict[str, Any] | None = Field(
        None, description="The same under /v1, as clients of the OpenAI protocol read it."
    )


class DocumentAsked(Asked):
    """One document."""

    id: Id
    text: str = Field("", max_length=10_000_000)
    title: str = Field("", max_length=100_000)
    metadata: dict[str, Scalar] = Field(
        {}, description="Flat fields to filter and boost by.", examples=[{"year": 2024}]
    )


class DocumentsAsked(Asked):
    """A batch of documents, written whole or not at all."""

    documents: list[DocumentAsked] = Field(min_length=1, max_length=MOST_DOCUMENTS)


class DeletionsAsked(Asked):
    """Documents to take out."""

    ids: list[Id] = Field(min_length=1, max_length=MOST_DOCUMENTS)


class Written(BaseModel):
    """What a write did; all of it is on disk."""

    version: int = Field(description="Grows with every write that changes something.")
    added: int
    updated: int
    unchanged: int
    deleted: int
    missing: int = Field(description="Documents to take out that were not there.")
    searchable: bool = Field(description="Whether searches find it by now.")
    snapshot: int = Field(description="What searches look at now.")


class EventAsked(Asked):
    """Something a user did, or was shown."""

    kind: Literal["query", "impression", "click", "dwell", "conversion", "like", "dislike"]
    id: Id | None = Field(None, description="Yours; the same id is taken once.")
    at: str | None = Field(None, max_length=64, description="ISO 8601; now unless said.")
    query_id: Id | None = Field(None, description="Of the search's answer.")
    query: str | None = Field(None, max_length=LONGEST_QUERY, description="The text, where no `query_id` tells it.")
    document: Id | None = None
    rank: int | None = Field(None, ge=1, le=1_000_000)
    value: float | None = Field(None, ge=-1e12, le=1e12, description="Seconds of a dwell, worth of a conversion.")
    user: Id | None = Field(None, description="A pseudonym; `resurvey events forget` takes all of its events away.")
    session: Id | None = None
    candidate: Name | None = None
    snapshot: int | None = Field(None, ge=0, le=2**53)
    attributes: dict[str, Scalar | None] = Field({}, description="Anything flat besides.")


class EventsAsked(Asked):
    """A batch of events."""

    events: list[EventAsked] = Field(min_length=1, max_length=MOST_EVENTS)


class EventsTaken(BaseModel):
    """How many events are on disk now."""

    accepted: int
    duplicates: int = Field(description="Events whose ids were there already.")


class EmbeddingsAsked(BaseModel):
    """A request of the OpenAI protocol; what else it holds is not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore")

    input: str | list[str] | list[int] | list[list[int]] = Field(
        description="One text or several; token ids are refused."
    )
    model: str = Field(
        "live", max_length=512, description="`live` or `base`, then `:query` or `:passage`; see GET /v1/models."
    )
    input_type: Literal["query", "passage", "document"] | None = Field(None, description="As the ending of `model`.")
    dimensions: int | None = Field(
        None, ge=1, le=65_536, description="Shorter vectors: cut and brought to unit length."
    )
    encoding_format: Literal["float", "base64"] = "float"
    truncate: bool = Field(False, description="Whether texts that are too long are cut; they are refused otherwise.")


class EmbeddingTold(BaseModel):
    """One vector: numbers, or base64 of little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(BaseModel):
    """The vectors of the texts, in their order."""

    object: Literal["list"]
    data: list[EmbeddingTold]
    model: str
    usage: Usage
    fingerprint: str = Field(description="Equal fingerprints, interchangeable vectors.")


class ModelTold(BaseModel):
    """One model, and how a query or a passage is asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    name: str
    fingerprint: str
    dimensions: int
    max_tokens: int
    kind: Literal["query", "passage"]


class Models(BaseModel):
    """All models."""

    object: Literal["list"]
    data: list[ModelTold]


class Health(BaseModel):
    """Whether the process is alive, and what it would like you to know."""

    status: Literal["ok", "troubled", "opening", "stopping"]
    candidate: str | None
    snapshot: int | None
    fingerprint: str | None
    documents: int | None
    trouble: list[ProblemTold] = Field(description="Why what is live by now does not answer yet.")
    open_breakers: list[str] = Field(description="Stages that are left alone for a while.")
    seconds: float = Field(description="Since it was started.")


class Ready(BaseModel):
    """Whether requests are welcome."""

    ready: bool
    why: str
