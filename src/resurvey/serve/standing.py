"""Routes about the service itself: is it alive, does it want requests, what are its numbers."""

from __future__ import annotations

import time

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from resurvey.serve.metrics import TYPE
from resurvey.serve.refusals import refusals
from resurvey.serve.service import Service
from resurvey.serve.shapes import Health, Ready
from resurvey.types import Json


def routes(service: Service) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(tags=["service"])

    @router.get("/health", response_model=Health, responses=refusals())
    async def health() -> Response:
        """Alive, what is live, and what is wrong; 200 while the process answers at all."""
        return JSONResponse(told(service))

    @router.get(
        "/ready", response_model=Ready, responses={**refusals(), 503: {"model": Ready, "description": "Not now."}}
    )
    async def ready() -> Response:
        """Whether to send requests here: 503 until a query was answered, and from the moment it was told to stop."""
        why = "stopping" if service.draining else "" if service.engine else "opening what is live"
        return JSONResponse({"ready": service.ready, "why": why}, 200 if service.ready else 503)

    @router.get("/metrics", response_class=Response, responses={**refusals(), 200: {"content": {TYPE: {}}}})
    async def metrics() -> Response:
        """Numbers for Prometheus, summed over all workers."""
        engine = service.engine
        if engine is not None:
            service.metrics.open((name, breaker.open) for name, breaker in engine.breakers())
            waiting = sum(embedder.waiting for embedder in engine.spaces.values())
            service.metrics.waiting.labels("embedding").set(waiting)
            service.metrics.unsearchable.set(service.refresher.behind)
        return Response(service.metrics.page(), media_type=TYPE)

    return router


def told(service: Service) -> Json:
    """What /health says."""
    engine = service.engine
    made_of = engine.made_of if engine else dict.fromkeys(("candidate", "snapshot", "fingerprint"))
    trouble = [*service.trouble, *service.refresher.trouble]
    status = "stopping" if service.draining else "opening" if engine is None else "troubled" if trouble else "ok"
    return {
        "status": status,
        **made_of,
        "documents": len(engine.opened.index.documents) if engine else None,
        "trouble": [{"where": problem.where, "what": problem.what} for problem in trouble],
        "open_breakers": sorted({name for name, breaker in engine.breakers() if breaker.open}) if engine else [],
        "seconds": round(time.time() - service.began, 1),
    }
