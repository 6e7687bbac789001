"""Routes that search: POST for programs, GET for a browser. They convert, ask the engine and send; no more."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from resurvey.search.trace import Trace
from resurvey.serve.answering import answer
from resurvey.serve.asking import Ask, Boost
from resurvey.serve.refusals import refusals
from resurvey.serve.service import Service
from resurvey.serve.shapes import LONGEST_QUERY, MOST_HITS, Found, SearchAsked

ABOUT = "What was found, best first. A stage that is late or down is left out, and `skipped` says so."


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(tags=["search"])

    @router.post("/search", response_model=Found, response_description=ABOUT, responses=refusals(400, 404, 409, 422))
    async def search(body: SearchAsked, request: Request) -> Response:
        """Search with what is live, or with another candidate over the same snapshot."""
        boosts = None if body.boosts is None else tuple(Boost(**one.model_dump()) for one in body.boosts)
        return await _answer(service, request, Ask(**{**body.__dict__, "boosts": boosts}))

    @router.get("/search", response_model=Found, response_description=ABOUT, responses=refusals(400, 404, 409, 422))
    async def search_by_address(  # noqa: PLR0913, PLR0917  # as many as an address has parts
        request: Request,
        query: Annotated[str, Query(min_length=1, max_length=LONGEST_QUERY)],
        k: Annotated[int, Query(ge=1, le=MOST_HITS)] = 10,
        filter: Annotated[str, Query(max_length=10_000)] = "",
        candidate: Annotated[str, Query(min_length=1, max_length=256)] = "live",
        explain: bool = False,
        constraints: Literal["show", "apply", "off"] | None = None,
        at: Annotated[str, Query(max_length=64)] = "now",
        min_confidence: Annotated[float | None, Query(ge=0, le=1)] = None,
    ) -> Response:
        """The same from a browser's address line."""
        ask = Ask(query, k, filter, candidate, explain, constraints, at=at, min_confidence=min_confidence)
        return await _answer(service, request, ask)

    return router


async def _answer(service: Service, request: Request, ask: Ask) -> Response:
    facts: dict[str, Any] = request.state.facts
    engine, trace = service.now(), Trace(explains=ask.explain)

    def work() -> bytes:
        told = answer(engine, ask, facts["id"], trace)
        facts.update(candidate=told["candidate"], snapshot=told["snapshot"], hits=len(told["hits"]))
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()

    if service.settings.text("log_queries") == "yes":
        facts["query"] = ask.query
    body = await service.run(work)
    service.metrics.searched(trace)
    if trace.skipped:
        facts["skipped"] = dict(trace.skipped)
    return Response(body, media_type="application/json")
