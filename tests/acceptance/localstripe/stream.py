"""Reading a stream of server-sent events."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

__all__ = ["follow"]

_SILENCE_S_MAX = 60.0


@contextmanager
def follow(url: str, headers: Mapping[str, str]) -> Iterator[Iterator[dict[str, Any]]]:
    """The payloads of the stream at ``url``, each as it comes; closed when the block ends."""
    split = urlsplit(url)
    assert split.hostname is not None
    connection = http.client.HTTPConnection(split.hostname, split.port, timeout=_SILENCE_S_MAX)
    try:
        connection.request("GET", split.path, headers=dict(headers))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        yield _payloads(response)
        response.close()
    finally:
        connection.close()


def _payloads(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    # Each event is one line of data; names and ids are in the payload or not looked at.
    for line in response:
        if line.startswith(b"data: "):
            yield json.loads(line.removeprefix(b"data: "))
