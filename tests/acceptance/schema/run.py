"""One run of Schemathesis, as its own program with a configuration written for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.schema.service import PASSWORD, ROOT, SECRETS

__all__ = ["Run", "run_schemathesis"]


@dataclass(frozen=True, slots=True)
class Run:
    """``seed`` repeats the run. With no ``users`` nobody is logged in; with two, what one makes
    is asked for by the other as well. ``ids`` are used in most paths, by their parameter.
    ``signs``: what counterparties send is signed. ``paths`` is a regular expression."""

    url: str
    seed: int
    examples: int
    phases: Sequence[str]
    users: Sequence[str] = ()
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    signs: bool = False
    paths: str = "."
    time_s_max: int = 300


def run_schemathesis(run: Run, directory: Path) -> subprocess.CompletedProcess[str]:
    """All checks on the service at ``run.url``; the return code is 0 when nothing was found.

    The configuration and the reports are written into ``directory``.
    """
    settings = directory / "schemathesis.toml"
    settings.write_text(_configuration(run, directory))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings)),
            *("run", f"{run.url}/openapi.json", "--checks", "all", "--no-color"),
            *("--phases", ",".join(run.phases), "--include-path-regex", run.paths),
            *("--seed", str(run.seed), "--max-examples", str(run.examples)),
        ],
        cwd=directory,
        env={
            **kept,
            **SECRETS,
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
            "SIGNS": "yes" if run.signs else "",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=run.time_s_max,
        check=False,
    )


def _configuration(run: Run, directory: Path) -> str:
    parts = [_GENERAL.format(reports=json.dumps(str(directory / "reports")))]
    if len(run.users) == 1:
        parts.append(_ONE.format(email=json.dumps(run.users[0]), password=json.dumps(PASSWORD)))
    elif run.users:
        listed = directory / "users.json"
        listed.write_text(json.dumps({"auth": [_login(email) for email in run.users]}))
        parts.append(_SEVERAL.format(path=json.dumps(str(listed)), users=json.dumps(run.users)))
    # The rest is what fits the document and does not exist.
    places = {f"path.{name}": (values, 0.6) for name, values in run.ids.items()}
    places |= {f"body.{name}": (values, 0.7) for name, values in _WORDS.items()}
    if "method_id" in run.ids:
        places["body.payment_method_id"] = (run.ids["method_id"], 0.7)
    bound = []
    for place, (values, share) in places.items():
        name = place.replace(".", "_")
        parts.append(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}")
        bound.append(f'"{place}" = {{ dictionary = "{name}", probability = {share} }}')
    return "\n".join([*parts, "[parameters]", *bound])


def _login(email: str) -> dict[str, Any]:
    """A user as Web Fuzzing Commons writes it."""
    return {
        "name": email,
        "loginEndpointAuth": {
            "endpoint": "/api/auth/login",
            "verb": "POST",
            "contentType": "application/json",
            "payloadRaw": json.dumps({"email": email, "password": PASSWORD}),
            "token": {
                "extractFrom": "body",
                "extractSelector": "/access_token",
                "sendIn": "header",
                "sendName": "Authorization",
                "sendTemplate": "Bearer {token}",
            },
        },
    }


# Most texts of this shape mean nothing here; with these, payments are made and paid.
_WORDS: Mapping[str, Sequence[str]] = {
    "currency": ("EUR", "usd", "JPY"),
    "token": ("pm_card_visa", "pm_card_mastercard", "pm_card_authenticationRequired"),
}
# A failed check ends nothing, so that one run shows all; a stream is read for two events.
_GENERAL = """
hooks = "tests.acceptance.schema.hooks"
continue-on-failure = true
request-timeout = 20
max-stream-events = 2
workers = 1
[reports]
directory = {reports}
[reports.json]
enabled = true
[generation]
database = "none"
[auth]
auto-signup = false
"""
# A token is void after a log-out everywhere: 401 makes Schemathesis log in again.
_ONE = """
[auth.dynamic.openapi.accessToken]
path = "/api/auth/login"
payload = {{ email = {email}, password = {password} }}
extract_selector = "/access_token"
retry_on = [401]
"""
_SEVERAL = """
[auth.wfc]
path = {path}
peers = {users}
"""
