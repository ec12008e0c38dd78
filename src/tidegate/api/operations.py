"""What operators and their tools ask: ``/ready`` and ``/metrics`` (A1, D6)."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from fastapi import APIRouter, Request
from starlette.responses import Response

from tidegate.api.deps import Deps, deps
from tidegate.api.problems import json_response
from tidegate.api.readings import read_background, refresh_metrics
from tidegate.db.quarantine import is_quarantined
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
    try:
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
        "migrations": "ok" if d.migrated else "behind",
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
    if not _may_read(d, request):
        return json_response(envelope("error", "Metrics are not public.", None), 403)
    await refresh_metrics(d.app)
    return Response(d.app.metrics.render(), headers={"content-type": CONTENT_TYPE})


def _may_read(d: Deps, request: Request) -> bool:
    """From an allowed address, or with the token."""
    observability = d.app.settings.observability
    if observability.metrics_token is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        expected = observability.metrics_token.get_secret_value()
        if scheme == "Bearer" and hmac.compare_digest(given.encode(), expected.encode()):
            return True
    if request.client is None:
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    return any(address in network for network in observability.metrics_allow)
