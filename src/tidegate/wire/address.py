"""Where the aggregator's endpoints are, from the one address that is configured."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from tidegate.errors import ConfigurationError

__all__ = ["Version", "provider_url", "public_url"]

Version = Literal["v1", "v2"]

_VERSION_PATH = re.compile(r"(.*)/(v[0-9]+)(/provider)?")


def provider_url(base: str, version: Version, path: str) -> str:
    """The address of a provider endpoint such as ``orders/<id>/accept`` (contract, 0 and 4).

    ``base`` is an origin, or an origin with a path prefix. A base that ends in
    ``/v1/provider`` or ``/v2/provider`` already says its version, and ``version`` is not used;
    ``/v1`` alone gets its ``/provider``. Raises :class:`ConfigurationError` for a base that is
    not plain http or https.
    """
    front, spoken = _split(base)
    return f"{front}/{spoken or version}/provider/{path.lstrip('/')}"


def public_url(base: str, version: Version, path: str) -> str:
    """The address of an endpoint outside ``/provider``, such as ``institutions/NGN``."""
    front, spoken = _split(base)
    return f"{front}/{spoken or version}/{path.lstrip('/')}"


def _split(base: str) -> tuple[str, str | None]:
    """The base without its version part, and that version."""
    try:
        parts = urlsplit(base.strip())
        host = parts.hostname
    except ValueError:
        raise ConfigurationError(["AGGREGATOR_BASE_URL is not an address."]) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(["AGGREGATOR_BASE_URL is not an http or https address."])
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            ["AGGREGATOR_BASE_URL must not carry a query, a fragment or a user name."]
        )
    path = parts.path.rstrip("/")
    match = _VERSION_PATH.fullmatch(path)
    origin = f"{parts.scheme}://{parts.netloc}"
    return (origin + match[1], match[2]) if match else (origin + path, None)
