"""Who may read metrics: they tell balances, so they are not public (D6). Pure."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Final

from tidegate.settings import Settings

__all__ = ["REFUSAL", "may_read"]

REFUSAL: Final = (
    "Metrics are not public: send METRICS_TOKEN as a bearer token, or ask at METRICS_PORTS from an "
    "address of METRICS_ALLOW."
)

# What proxies add: the request has come further than from where its connection comes.
_FORWARDED: Final = (
    *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
    *("x-forwarded-port", "x-forwarded-server", "x-real-ip", "x-original-forwarded-for"),
    *("cf-connecting-ip", "true-client-ip", "x-envoy-external-address"),
)


def may_read(
    settings: Settings, peer: str | None, headers: Mapping[str, str], *, public: bool
) -> bool:
    """With the token from anywhere; without it from an address of ``METRICS_ALLOW``.

    ``peer`` is where the request comes from; ``headers`` are named in small letters. On the
    ``public`` port an address proves nothing when a proxy stands in front: all the world then
    comes from it, most often from this very machine. So there it counts only if nothing says
    that there is a proxy: no header of one, no ``TRUSTED_PROXIES``, no ``https`` in
    ``PUBLIC_URL`` (this server speaks plain http, so somebody else ends TLS).
    """
    if _has_token(settings, headers.get("authorization", "")):
        return True
    if peer is None or _forwarded(headers) or (public and _fronted(settings)):
        return False
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in settings.observability.metrics_allow)


def _has_token(settings: Settings, header: str) -> bool:
    token = settings.observability.metrics_token
    if token is None:
        return False
    scheme, _, given = header.partition(" ")
    right = hmac.compare_digest(given.encode(), token.get_secret_value().encode())
    return scheme.lower() == "bearer" and right


def _forwarded(names: Collection[str]) -> bool:
    return any(name in names for name in _FORWARDED)


def _fronted(settings: Settings) -> bool:
    server = settings.server
    return bool(server.trusted_proxies) or (server.public_url or "").startswith("https:")
