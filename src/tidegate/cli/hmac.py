"""``hmac``: sign, verify and explain a request, to find out why a signature does not fit (A15).

The secret comes from the settings, from a variable named with ``--secret-env`` or from a file; it
is never an argument, which other users of the machine could read, and never printed.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer

from tidegate.cli.database import command_settings
from tidegate.cli.output import MISUSED, NO, JsonOption, pairs, print_json, say, show_table, styled
from tidegate.clock import SystemClock
from tidegate.wire.explain import Check, Explanation, Outcome, explain
from tidegate.wire.signature import authorization, query_message, split_authorization
from tidegate.wire.signature import sign as sign_bytes

__all__ = ["register"]

_BY_QUERY = ("GET", "DELETE")
_HEADER_NAME = re.compile(r"^[A-Za-z-]+:\s*")

_METHOD = typer.Option("POST", help="GET and DELETE sign the query, others the body.")
_BODY = typer.Option(None, "--body", help="The body as text; for short ones.")
_FILE = typer.Option(None, "--body-file", help="A file with the very bytes; - is standard input.")
_QUERY = typer.Option("", "--query", help="The raw query of a GET, without the question mark.")
_HEADER = typer.Option(
    ..., "--header", help="Authorization or X-Request-Signature, with or without its name."
)
_ENV = typer.Option("", "--secret-env", help="The variable that holds the secret.")
_SECRET_FILE = typer.Option(None, "--secret-file", help="The file that holds the secret.")
_CLIENT = typer.Option("", "--client-id", help="Ours; from the settings if they are used.")


class By(StrEnum):
    """Who is asked whether it accepts the request."""

    ANY = "any"
    AGGREGATOR = "aggregator"
    LIVE = "live"
    SPEC = "spec"


_PARTIES = {By.AGGREGATOR: "aggregator", By.LIVE: "node (live)", By.SPEC: "node (spec)"}


def register(app: typer.Typer) -> None:
    hmac = typer.Typer(help="Sign, verify and explain requests.", no_args_is_help=True)
    hmac.command("sign")(sign)
    hmac.command("verify")(verify)
    hmac.command("explain")(explain_)
    app.add_typer(hmac, name="hmac")


@dataclass(frozen=True, slots=True)
class _Keys:
    """The current secret first; ``client_id`` is empty when nobody said it."""

    secrets: tuple[str, ...]
    client_id: str


def sign(
    method: str = _METHOD,
    body: str | None = _BODY,
    body_file: Path | None = _FILE,
    query: str = _QUERY,
    secret_env: str = _ENV,
    secret_file: Path | None = _SECRET_FILE,
    client_id: str = _CLIENT,
    as_json: bool = JsonOption,
) -> None:
    """Sign a request with the current secret and print the headers to send."""
    keys = _keys(secret_env, secret_file, client_id)
    message = _message(method, body, body_file, query)
    signed = query_message(query) if _by_query(method) else message
    signature = sign_bytes(keys.secrets[0], signed)
    headers = {"X-Request-Signature": signature}
    if keys.client_id:
        headers["Authorization"] = authorization(keys.client_id, keys.secrets[0], signed)
    if as_json:
        print_json({"signature": signature, "headers": headers, "signed_bytes": len(signed)})
        return
    for name, value in headers.items():
        say(f"{name}: {value}")
    if not _by_query(method) and signed.endswith((b"\n", b"\r")):
        typer.echo(
            "Note: the body ends with a line break, and it is signed: send it too.", err=True
        )


def verify(
    header: str = _HEADER,
    method: str = _METHOD,
    body: str | None = _BODY,
    body_file: Path | None = _FILE,
    query: str = _QUERY,
    by: By = typer.Option(By.ANY, help="Who is to accept it: any, aggregator, live or spec."),
    any_age: bool = typer.Option(False, "--any-age", help="Do not mind the timestamp."),
    secret_env: str = _ENV,
    secret_file: Path | None = _SECRET_FILE,
    client_id: str = _CLIENT,
    as_json: bool = JsonOption,
) -> None:
    """Is this request accepted? Exit code 0 or 1.

    live and spec are this node when it is called in either dialect; aggregator is the other side
    when we call it.
    """
    keys = _keys(secret_env, secret_file, client_id)
    message = _message(method, body, body_file, query)
    case = _explain(method, message, query, header, keys)
    bare = split_authorization(_HEADER_NAME.sub("", header.strip())) is None
    asked = list(_PARTIES) if by is By.ANY else [by]
    refusals = {party: _refusal(case, party, bare=bare, any_age=any_age) for party in asked}
    takers = [party for party, refusal in refusals.items() if refusal is None]
    if as_json:
        print_json({"accepted": bool(takers), "accepted_by": takers, "refusals": refusals})
    elif takers:
        say(f"Accepted by: {', '.join(_PARTIES[party] for party in takers)}.")
    else:
        for party, refusal in refusals.items():
            say(f"Refused by {_PARTIES[party]}: {refusal}")
        say("`tidegate hmac explain` with the same options shows which bytes were signed.")
    if not takers:
        raise typer.Exit(NO)


def explain_(
    header: str = _HEADER,
    method: str = _METHOD,
    body: str | None = _BODY,
    body_file: Path | None = _FILE,
    query: str = _QUERY,
    secret_env: str = _ENV,
    secret_file: Path | None = _SECRET_FILE,
    client_id: str = _CLIENT,
    as_json: bool = JsonOption,
) -> None:
    """Show every check, the exact bytes each form signs, and what to try. Exit code 1 if the
    signature fits nothing."""
    keys = _keys(secret_env, secret_file, client_id)
    case = _explain(method, _message(method, body, body_file, query), query, header, keys)
    if as_json:
        print_json(_explanation_json(case))
    else:
        _print_explanation(case)
    if not any(case.accepted_by.values()):
        raise typer.Exit(NO)


def _keys(secret_env: str, secret_file: Path | None, client_id: str) -> _Keys:
    if secret_env and secret_file is not None:
        raise typer.BadParameter("choose one of --secret-env and --secret-file.")
    if secret_env:
        secret = os.environ.get(secret_env, "")
        if not secret:
            raise typer.BadParameter(
                f"the variable {secret_env} is not set, or empty.", param_hint="--secret-env"
            )
        return _Keys((secret,), client_id)
    if secret_file is not None:
        # An editor ends the line; no secret ends with one.
        secret = _bytes_of(secret_file).decode("utf-8", "surrogateescape").rstrip("\r\n")
        if not secret:
            raise typer.BadParameter("the file is empty.", param_hint="--secret-file")
        return _Keys((secret,), client_id)
    aggregator = command_settings().aggregator
    return _Keys(aggregator.secrets, client_id or aggregator.client_id)


def _message(method: str, body: str | None, body_file: Path | None, query: str) -> bytes:
    if body is not None and body_file is not None:
        raise typer.BadParameter("choose one of --body and --body-file.")
    if _by_query(method):
        if body is not None or body_file is not None:
            raise typer.BadParameter("a GET signs its query: give --query, no body.")
        return b""
    if query:
        raise typer.BadParameter("a POST signs its body: give --body-file or --body, no --query.")
    if body is not None:
        return body.encode("utf-8", "surrogateescape")
    if body_file is None:
        raise typer.BadParameter("which bytes? Give --body-file FILE (or -), or --body TEXT.")
    return sys.stdin.buffer.read() if str(body_file) == "-" else _bytes_of(body_file)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        typer.echo(f"{path} cannot be read: {problem.strerror}.", err=True)
        raise typer.Exit(MISUSED) from None


def _by_query(method: str) -> bool:
    return method.upper() in _BY_QUERY


def _explain(method: str, message: bytes, query: str, header: str, keys: _Keys) -> Explanation:
    return explain(
        method=method,
        body=message,
        query=query,
        header=header,
        secrets=keys.secrets,
        now_ms=SystemClock().now_ms(),
        client_id=keys.client_id or None,
    )


def _refusal(case: Explanation, party: By, *, bare: bool, any_age: bool) -> str | None:
    """Why ``party`` does not accept the request; ``None`` if it does. ``bare``: the header holds
    a signature alone."""
    if bare is not (party is By.LIVE):
        wanted = (
            "a bare one in X-Request-Signature" if party is By.LIVE else "HMAC client:signature"
        )
        return f"It takes {wanted}."
    if not case.accepted_by.get(_PARTIES[party]):
        failed = _check(case, "header") if _failed(case, "header") else _check(case, "signature")
        if failed.outcome is Outcome.FAILED:
            return failed.detail
        return "The signature does not fit a form of the message that it looks at."
    if party is not By.LIVE and _failed(case, "client id"):
        return _check(case, "client id").detail
    stale = _failed(case, "timestamp")
    # A documented spec offer has no timestamp at all (A3).
    if stale and party is By.SPEC and case.timestamp_age_s is None:
        stale = False
    if stale and party is not By.LIVE and not any_age:
        return f"The timestamp: {_check(case, 'timestamp').detail}"
    return None


def _check(case: Explanation, name: str) -> Check:
    return next(check for check in case.checks if check.name == name)


def _failed(case: Explanation, name: str) -> bool:
    return _check(case, name).outcome is Outcome.FAILED


_WORDS = {Outcome.PASSED: "ok", Outcome.FAILED: "fail", Outcome.SKIPPED: "-"}


def _print_explanation(case: Explanation) -> None:
    show_table(
        ("check", "", "found"),
        [(check.name, styled(_WORDS[check.outcome]), check.detail) for check in case.checks],
    )
    for form in case.forms:
        pairs(
            [
                (f"form {form.path}", "fits the signature" if form.matches else "does not fit"),
                ("  bytes", form.text),
                *(("  signature", signature) for signature in form.signatures),
            ]
        )
    pairs(
        [
            (f"accepted by {party}", ", ".join(paths) or "no")
            for party, paths in case.accepted_by.items()
        ]
    )
    for hint in case.hints:
        say(f"Hint: {hint}")


def _explanation_json(case: Explanation) -> dict[str, Any]:
    return {
        "checks": [
            {"name": check.name, "outcome": check.outcome.value, "detail": check.detail}
            for check in case.checks
        ],
        "forms": [
            {
                "path": form.path,
                "text": form.text,
                "hex": form.hex,
                "signatures": list(form.signatures),
                "matches": form.matches,
            }
            for form in case.forms
        ],
        "accepted_by": {party: list(paths) for party, paths in case.accepted_by.items()},
        "timestamp_age_s": case.timestamp_age_s,
        "hints": list(case.hints),
    }
