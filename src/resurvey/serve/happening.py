"""The route that takes events: held against their shape, put on disk, then answered."""

from __future__ import annotations

import json
import time
from datetime import UTC

from fastapi import APIRouter, Request
from starlette.responses import Response

from resurvey.errors import Problem, ResurveyError
from resurvey.feedback.events import FILE, Event, append
from resurvey.search.fields import instant
from resurvey.serve.refusals import refusals
from resurvey.serve.service import Service
from resurvey.serve.shapes import EventAsked, EventsAsked, EventsTaken

AHEAD = 86_400.0
"""Seconds that an event may lie in the future: clocks differ, and zones are forgotten."""
SEEN = frozenset({"impression", "click", "dwell", "conversion", "like", "dislike"})
"""Kinds that are about a document."""


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(tags=["feedback"])
    path = service.workspace.root / FILE

    @router.post("/events", status_code=202, response_model=EventsTaken, responses=refusals(400, 422))
    async def events(body: EventsAsked, request: Request) -> Response:
        """Take a batch of events, all or none: on disk before the answer is sent."""
        found = read(body.events)
        new = await service.run(lambda: append(path, found), aside=True)
        for event in found:
            service.metrics.events.labels(event.kind).inc()
        request.state.facts.update(events=len(found), new=new)
        told = {"accepted": new, "duplicates": len(found) - new}
        return Response(json.dumps(told), 202, media_type="application/json")

    return router


def read(asked: list[EventAsked]) -> list[Event]:
    """Events as they are kept.

    Raises:
        ResurveyError: naming everything that an event of its kind lacks, and every date that is none.
    """
    now, problems, made = time.time(), list[Problem](), list[Event]()
    for place, one in enumerate(asked):
        where = f"events[{place}]"
        at = now if one.at is None else _moment(one.at)
        if at is None:
            problems.append(Problem(f"{where}.at", f"is {one.at!r}, must be a date or a moment in ISO 8601"))
        elif at > now + AHEAD:
            problems.append(Problem(f"{where}.at", f"is {one.at!r}, which is more than a day ahead"))
        if one.kind in SEEN and one.document is None:
            problems.append(Problem(f"{where}.document", f"is missing: a {one.kind} is of a document"))
        if one.query_id is None and one.query is None:
            problems.append(Problem(where, "needs a `query_id` or a `query`: what was it an answer to?"))
        if one.kind == "dwell" and (one.value is None or one.value < 0):
            problems.append(Problem(f"{where}.value", "is missing: how many seconds was the document looked at?"))
        made.append(Event(**{**one.__dict__, "at": at or now}))
    if problems:
        raise ResurveyError(problems, "mend these events and send all of them again: none was taken")
    return made


def _moment(text: str) -> float | None:
    found = instant(text)
    return None if found is None else found.replace(tzinfo=UTC).timestamp()
