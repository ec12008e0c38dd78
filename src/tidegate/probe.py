"""``python -m tidegate.probe``: is the process of this machine well?

For the health check of a container, which has no ``curl`` and is asked every few seconds: it loads
nothing but the standard library, and reads the environment as the process does.

- ``probe`` or ``probe health``: the process that serves answers.
- ``probe ready``: it can do its own work, and does not stop.
- ``probe worker``: the event loop of the process that works turns (``HEARTBEAT_FILE``).

Exit code 0 if so, 1 with a sentence on standard error if not, 2 for a wrong call.
"""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["probe"]

_PORT = "8000"
_ANSWER_S = 4.0
# Touched every five seconds; a busy machine may be late.
_BEAT_MAX_S = 30.0
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- only read


def probe(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What is wrong, or ``None``. Raises ``ValueError`` when there is no such question."""
    match [*arguments]:
        case [] | ["health"]:
            return _asked("/health", environment)
        case ["ready"]:
            return _asked("/ready", environment)
        case ["worker"]:
            return _beats(environment)
        case other:
            raise ValueError(f"{' '.join(other)!r} is no question: ask health, ready or worker.")


def _asked(path: str, environment: Mapping[str, str]) -> str | None:
    given = environment.get("SERVER_HOST", "").strip()
    host = _EVERYWHERE.get(given, given)
    port = int(environment.get("SERVER_PORT", "").strip() or _PORT)
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(2_000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{path} of {host}:{port}: {error!r}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"{path}: {answer.status} {body}"


def _beats(environment: Mapping[str, str]) -> str | None:
    file = environment.get("HEARTBEAT_FILE", "").strip()
    if not file:
        return "HEARTBEAT_FILE is not set: the worker has to touch one, for this to be seen."
    try:
        age_s = time.time() - Path(file).stat().st_mtime
    except OSError as error:
        return f"the worker has not begun, or has stopped: {error}"
    return None if age_s <= _BEAT_MAX_S else f"the last heartbeat is {age_s:.0f} s old"


def main() -> int:
    try:
        wrong = probe(sys.argv[1:], os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if wrong is None:
        return 0
    print(wrong, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
