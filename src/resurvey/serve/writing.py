"""Routes that write documents: on disk before the answer is sent, searchable when a new snapshot is live.

`refresh` says what the answer waits for: `wait` until it can be found, `background` until it is on disk, `none` the
same, and nobody makes it searchable for now (whoever brings a million documents does that once, at the end).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from resurvey.search.corpus import Change, Corpus
from resurvey.serve.refusals import refusals
from resurvey.serve.service import Service
from resurvey.serve.shapes import DeletionsAsked, DocumentsAsked, Written
from resurvey.types import Document

Refresh: TypeAlias = Annotated[
    Literal["wait", "background", "none"], Query(description="What the answer waits for: that documents can be found, or are on disk.")
]  # fmt: skip
TAKEN: dict[int | str, dict[str, Any]] = {202: {"model": Written, "description": "On disk, and not searchable yet."}}


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(prefix="/documents", tags=["documents"])
    corpus = Corpus(service.workspace)

    @router.post("", response_model=Written, responses={**refusals(400, 422), **TAKEN})
    async def write(body: DocumentsAsked, request: Request, refresh: Refresh = "background") -> Response:
        """Add documents, or replace those whose ids are there; what has not changed is not embedded again."""
        documents = [Document(one.id, one.text, one.title, dict(one.metadata)) for one in body.documents]
        return await _written(service, request, lambda: corpus.upsert(documents), refresh)

    @router.post("/delete", response_model=Written, responses={**refusals(400, 422), **TAKEN})
    async def delete_many(body: DeletionsAsked, request: Request, refresh: Refresh = "background") -> Response:
        """Take several documents out."""
        return await _written(service, request, lambda: corpus.delete(body.ids), refresh)

    @router.delete("/{id:path}", response_model=Written, responses={**refusals(400, 404, 405, 422), **TAKEN})
    async def delete(
        request: Request,
        id: Annotated[str, Path(min_length=1, max_length=1024)],
        refresh: Refresh = "background",
    ) -> Response:
        """Take a document out; one that is not there counts as `missing`, so asking twice does no harm."""
        return await _written(service, request, lambda: corpus.delete([id]), refresh)

    return router


async def _written(service: Service, request: Request, write: Callable[[], Change], refresh: str) -> Response:
    change = await service.run(write, aside=True)
    counts = {name: getattr(change, name) for name in ("added", "updated", "unchanged", "deleted", "missing")}
    for what, count in counts.items():
        service.metrics.written.labels(what).inc(count)
    if refresh != "none":
        service.refresher.ask(change.version)
    if refresh == "wait":
        await service.searchable(change.version)
    searchable = service.version >= change.version
    request.state.facts.update(counts, version=change.version, searchable=searchable)
    told = {"version": change.version, **counts, "searchable": searchable, "snapshot": service.now().live.snapshot}
    return Response(json.dumps(told), 200 if searchable else 202, media_type="application/json")
