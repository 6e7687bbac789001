"""Routes of the OpenAI embeddings protocol: the models that search here, for whoever wants their vectors.

`live` is what the live candidate searches with, `base` the untouched encoder. The protocol cannot say whether a text
is a query or a passage, and many models want to know: a model's name may end in `:query` or `:passage`.
"""

from __future__ import annotations

import base64
import json

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from resurvey.errors import MissingError, Problem, ResurveyError
from resurvey.protocols import Encoder, Kind
from resurvey.search.engine import unit
from resurvey.serve.embedder import TOGETHER, Embedder
from resurvey.serve.engine import Engine
from resurvey.serve.problems import response
from resurvey.serve.refusals import refusals
from resurvey.serve.service import Service
from resurvey.serve.shapes import MOST_INPUTS, Embeddings, EmbeddingsAsked, Models, ModelTold
from resurvey.types import Floats, Json

KINDS: dict[str, Kind] = {"query": "query", "passage": "passage", "document": "passage"}
USUAL: Kind = "passage"
"""What a text is taken for where nobody says: whoever embeds in bulk embeds passages."""


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(prefix="/v1", tags=["embeddings"])

    @router.post("/embeddings", response_model=Embeddings, responses=refusals(400, 404, 422))
    async def embeddings(body: EmbeddingsAsked, request: Request) -> Response:
        """Vectors of texts, as the OpenAI protocol has them."""
        engine = service.now()
        request.state.facts.update(engine.made_of)
        return Response(await service.run(lambda: _embedded(engine, body)), media_type="application/json")

    @router.get("/models", response_model=Models, responses=refusals())
    async def models() -> Response:
        """The models, each for queries and for passages."""
        found = {"object": "list", "data": list(_models(service).values())}
        return Response(json.dumps(found), media_type="application/json")

    @router.get("/models/{model}", response_model=ModelTold, responses=refusals(404, 422))
    async def model(model: str) -> Response:
        """One model."""
        found = _models(service).get(model)
        if found is None:
            return response(404, [unknown(model, service.now())], "GET /v1/models", path="/v1/models/")
        return Response(json.dumps(found), media_type="application/json")

    return router


def unknown(model: str, engine: Engine) -> Problem:
    """There is no such model."""
    there = ", ".join(f"{name}, {name}:query, {name}:passage" for name in engine.spaces)
    return Problem("model", f"{model!r} is no model, there are {there}")


def _models(service: Service) -> dict[str, Json]:
    engine, found = service.now(), {}
    for name, embedder in engine.spaces.items():
        encoder = embedder.encoder
        for id, kind in ((name, USUAL), (f"{name}:query", "query"), (f"{name}:passage", "passage")):
            found[id] = {
                "id": id, "object": "model", "created": int(engine.opened_at), "owned_by": "resurvey", "name": encoder.name,
                "fingerprint": encoder.fingerprint, "dimensions": encoder.dimensions, "max_tokens": encoder.max_tokens, "kind": kind,
            }  # fmt: skip
    return found


def _embedded(engine: Engine, body: EmbeddingsAsked) -> bytes:
    name, _, ending = body.model.partition(":")
    embedder = engine.spaces.get(name)
    if embedder is None or (ending and ending not in KINDS):
        raise MissingError([unknown(body.model, engine)], "GET /v1/models")
    texts = [body.input] if isinstance(body.input, str) else body.input
    tokens = _checked(texts, body, embedder.encoder)
    if ending and body.input_type and KINDS[ending] != KINDS[body.input_type]:
        raise ResurveyError([Problem("input_type", f"is {body.input_type}, and the model's name ends in {ending}")], "say it once")  # fmt: skip
    kind = KINDS[body.input_type or ending or USUAL]
    vectors = _vectors(embedder, [str(text) for text in texts], kind, body.dimensions)
    packed = body.encoding_format == "base64"
    told = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": place, "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist()}
            for place, row in enumerate(vectors)
        ],
        "model": body.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "fingerprint": embedder.encoder.fingerprint,
    }  # fmt: skip
    return json.dumps(told, separators=(",", ":")).encode()


def _vectors(embedder: Embedder, texts: list[str], kind: Kind, dimensions: int | None) -> Floats:
    """Part by part, so that queries of other requests come between."""
    parts = [embedder.vectors(texts[start : start + TOGETHER], kind) for start in range(0, len(texts), TOGETHER)]
    found = np.concatenate(parts)
    return found if dimensions is None else unit(found[:, :dimensions])


def _checked(texts: list[str] | list[int] | list[list[int]], body: EmbeddingsAsked, encoder: Encoder) -> int:
    """Tokens of all texts.

    Raises:
        ResurveyError: naming all that is wrong with the texts, and the dimensions.
    """
    problems: list[Problem] = []
    if not texts or len(texts) > MOST_INPUTS:
        problems.append(Problem("input", f"holds {len(texts):,} texts, must be 1 to {MOST_INPUTS:,}"))
    if any(not isinstance(text, str) for text in texts):
        problems.append(Problem("input", "holds token ids, of which nobody knows whose they are; send texts"))
    problems += [Problem(f"input[{place}]", "is empty") for place, text in enumerate(texts) if isinstance(text, str) and not text.strip()]  # fmt: skip
    if body.dimensions is not None and body.dimensions > encoder.dimensions:
        problems.append(Problem("dimensions", f"is {body.dimensions}, and the model gives {encoder.dimensions}"))
    tokens = 0
    if not problems:
        counts = [len(spans) for spans in encoder.offsets([str(text) for text in texts])]
        tokens = sum(min(count, encoder.max_tokens) for count in counts)
        if not body.truncate:
            problems += [
                Problem(f"input[{place}]", f"has {count} tokens, and the model reads {encoder.max_tokens}")
                for place, count in enumerate(counts)
                if count > encoder.max_tokens
            ]
    if problems:
        raise ResurveyError(problems, 'send texts the model can read whole, or say "truncate": true')
    return tokens
