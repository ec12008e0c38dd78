"""What operators and their tools ask: ``/ready`` and ``/metrics`` (A1, D6)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidegate.api.deps import deps
from tidegate.api.problems import json_response
from tidegate.api.readings import read_background
from tidegate.db.quarantine import is_quarantined
from tidegate.migrations import Fit, fit_of
from tidegate.monitoring.access import REFUSAL, may_read
from tidegate.monitoring.readings import exposition
from tidegate.observability.metrics import CONTENT_TYPE
from tidegate.wire.replies import envelope

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get("/ready", summary="Can this process do its own work?")
async def ready(request: Request) -> Response:
    """503 only for what this process itself lacks; others are named ok or degraded."""
    d = deps(request)
    now_ms = d.app.clock.now_ms()
    psps = tuple(d.app.banks)
    schema = Fit.BEHIND
    try:
        # In a transaction of its own: on another schema the other questions may have no answer.
        schema = await d.app.database.read(fit_of)
        others = await d.app.database.read(
            lambda c: {
                # It answers, keeps and looks, so it is to get requests; it moves nothing.
                "quarantine": "degraded" if is_quarantined(c) else "ok",
                **read_background(c, psps, now_ms),
            }
        )
        database = "ok"
    except Exception:  # whatever it is, this process cannot work without its database
        database, others = "failed", {}
    own = {
        "database": database,
        "migrations": schema.value,
        "process": "stopping" if d.stopping else "ok",
    }
    able = all(state == "ok" for state in own.values())
    checks = {**own, **others}
    message = "Ready" if able else "Not ready"
    body = envelope("success" if able else "error", message, {"checks": checks})
    return json_response(body, 200 if able else 503)


@router.get("/metrics", summary="Prometheus metrics; not public", include_in_schema=False)
async def metrics(request: Request) -> Response:
    d = deps(request)
    peer = request.client.host if request.client is not None else None
    if not may_read(d.app.settings, peer, request.headers, public=True):
        return json_response(envelope("error", REFUSAL, None), 403)
    # What shares this port with other processes cannot show counters of its own here: each scrape
    # would meet another process, and a count that falls looks like a restart.
    body = await exposition(d.app, own=not d.shares_port)
    return Response(body, headers={"content-type": CONTENT_TYPE})
