"""Why a signature is accepted or not: the data behind ``tidegate hmac explain``.

One call looks at a request from every side: as the aggregator would see it if we sent it, and
as the node sees it in either dialect. The secret never appears in what is returned, not even
where somebody put it into a header or a body by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.errors import UnreadableBody
from tidegate.wire.canonical import Json, parse_object
from tidegate.wire.fields import decimal_of
from tidegate.wire.hints import Evidence, hints
from tidegate.wire.signature import (
    FRESH_S,
    Path,
    accepted_by_aggregator,
    fallback_messages,
    query_accepted_by_aggregator,
    query_message,
    query_values,
    sign,
    split_authorization,
    verify_live,
    verify_spec,
)

__all__ = ["Check", "Explanation", "Outcome", "SignedForm", "explain"]

_HIDDEN: Final = "***"
_HEADER_NAME = re.compile(r"(?:authorization|x-request-signature)\s*:\s*", re.IGNORECASE)
_HEX_ANY_CASE = re.compile(r"[0-9a-fA-F]{64}")


class Outcome(StrEnum):
    """How one check ended; *skipped* means that it does not apply here."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One named check (header, client id, body, timestamp, signature) and what was found."""

    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class SignedForm:
    """One form of the message: the exact bytes that are signed, and their signatures.

    ``path`` begins with a :class:`Path`. ``text`` is the bytes as a Python literal and ``hex``
    their hex (a secret inside them is masked in both); ``signatures`` are in the order of the
    secrets; ``matches`` tells whether one of them is the signature that was sent.
    """

    path: str
    text: str
    hex: str
    signatures: tuple[str, ...]
    matches: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that can be said about one request's signature.

    ``accepted_by`` maps ``aggregator``, ``node (live)`` and ``node (spec)`` to the paths on
    which each takes the signature; the timestamp is judged apart. ``timestamp_age_s`` is
    positive for the past, ``None`` without a readable timestamp.
    """

    checks: tuple[Check, ...]
    forms: tuple[SignedForm, ...]
    accepted_by: Mapping[str, tuple[str, ...]]
    timestamp_age_s: int | None
    hints: tuple[str, ...]


def explain(
    *,
    method: str,
    body: bytes,
    query: str,
    header: str,
    secrets: Sequence[str],
    now_ms: int,
    client_id: str | None = None,
) -> Explanation:
    """Judge one request.

    ``header`` is the value of ``Authorization`` or ``X-Request-Signature`` (its name may stand
    before it), ``query`` the raw query of a GET, ``secrets`` the current secret first,
    ``client_id`` ours if known. Never raises for what the request contains.
    """
    value = _HEADER_NAME.sub("", header.strip(), count=1)
    case = _take_apart(method, body, query, value, secrets, now_ms)
    return Explanation(
        checks=(
            _header_check(case),
            _client_check(case, client_id),
            _body_check(case),
            _timestamp_check(case),
            _signature_check(case),
        ),
        forms=tuple(_form(case, name, octets) for name, octets in case.forms.items()),
        accepted_by=_accepted_by(case, value),
        timestamp_age_s=case.age_s,
        hints=hints(case),
    )


def _take_apart(
    method: str, body: bytes, query: str, value: str, secrets: Sequence[str], now_ms: int
) -> Evidence:
    by_query = method.upper() in {"GET", "DELETE"}
    message: Mapping[str, Json] | None
    forms: dict[str, bytes]
    if by_query:
        message = query_values(query)
        forms = {Path.GO_MAP: query_message(query)}
    else:
        forms = {Path.RAW: body}
        for path, octets in fallback_messages(body).items():
            forms[path] = octets
        seen = fallback_messages(body, timestamp_as_number=True).get(Path.GO_MAP)
        if seen is not None and seen != forms.get(Path.GO_MAP):
            forms[f"{Path.GO_MAP} (timestamp as a number)"] = seen
        try:
            message = parse_object(body)
        except UnreadableBody:
            message = None
    seconds = decimal_of(message.get("timestamp")) if message is not None else None
    client, signature = split_authorization(value) or (None, value)
    return Evidence(
        by_query=by_query,
        body=body,
        query=query,
        client=client,
        signature=signature,
        keys=tuple(secret for secret in secrets if secret),
        forms=forms,
        message=message,
        age_s=now_ms // 1000 - int(seconds) if seconds is not None else None,
    )


def _header_check(case: Evidence) -> Check:
    signature = case.signature
    kind = "a bare signature" if case.client is None else "HMAC <client>:<signature>"
    if not signature:
        return Check("header", Outcome.FAILED, "There is no signature.")
    if _HEX_ANY_CASE.fullmatch(signature) is None:
        return Check("header", Outcome.FAILED, f"Read as {kind}; not 64 hex digits.")
    if signature != signature.lower():
        return Check("header", Outcome.FAILED, f"Read as {kind}; the hex is not lower case.")
    return Check("header", Outcome.PASSED, f"Read as {kind}.")


def _client_check(case: Evidence, ours: str | None) -> Check:
    if case.client is None:
        return Check("client id", Outcome.SKIPPED, "A bare signature names no client.")
    named = _masked(case, case.client)
    if ours is None:
        return Check("client id", Outcome.SKIPPED, f"Names {named}; ours was not given.")
    if case.client == ours:
        return Check("client id", Outcome.PASSED, f"Names {named}.")
    return Check("client id", Outcome.FAILED, f"Names {named}, ours is {_masked(case, ours)}.")


def _body_check(case: Evidence) -> Check:
    if case.by_query:
        return Check("body", Outcome.SKIPPED, "The query is signed, a body would be ignored.")
    if case.message is None:
        what = "is no JSON object" if case.body else "is empty"
        return Check(
            "body", Outcome.FAILED, f"The body {what}: the aggregator refuses it before the HMAC."
        )
    return Check("body", Outcome.PASSED, f"A JSON object in {len(case.body)} bytes.")


def _timestamp_check(case: Evidence) -> Check:
    name = "timestamp"
    if case.message is None:
        return Check(name, Outcome.SKIPPED, "There is no object to hold one.")
    if case.age_s is not None:
        side = f"{case.age_s} s old" if case.age_s >= 0 else f"{-case.age_s} s in the future"
        outcome = Outcome.PASSED if abs(case.age_s) <= FRESH_S else Outcome.FAILED
        return Check(name, outcome, f"{side}; {FRESH_S} s either way are allowed.")
    if case.message.get(name) is not None:
        return Check(name, Outcome.FAILED, "It is not a number of seconds.")
    if case.by_query or case.client is not None:
        why = "Missing: the aggregator refuses that; a spec offer may come without."
        return Check(name, Outcome.FAILED, why)
    return Check(name, Outcome.SKIPPED, "Calls from a live aggregator carry none.")


def _signature_check(case: Evidence) -> Check:
    if not case.keys:
        return Check("signature", Outcome.SKIPPED, "No secret was given.")
    if case.fitting:
        return Check("signature", Outcome.PASSED, f"Fits: {', '.join(case.fitting)}.")
    return Check("signature", Outcome.FAILED, "Fits no form of the message with any secret.")


def _form(case: Evidence, name: str, octets: bytes) -> SignedForm:
    shown = octets
    for key in case.keys:
        shown = shown.replace(key.encode("utf-8", "surrogateescape"), _HIDDEN.encode())
    return SignedForm(
        path=str(name),
        text=repr(shown)[1:],
        hex=shown.hex(),
        signatures=tuple(sign(key, octets) for key in case.keys),
        matches=name in case.fitting,
    )


def _accepted_by(case: Evidence, value: str) -> dict[str, tuple[str, ...]]:
    if case.by_query:
        fits = any(
            query_accepted_by_aggregator(key, case.signature, case.query) for key in case.keys
        )
        return {"aggregator": (Path.GO_MAP.value,) if fits else ()}
    paths = {
        path.value
        for key in case.keys
        for path in accepted_by_aggregator(key, case.signature, case.body)
    }
    live = verify_live(case.keys, case.signature, case.body)
    spec = verify_spec(case.keys, case.client or "", value, case.body)
    return {
        "aggregator": tuple(sorted(paths)),
        "node (live)": (live.path.value,) if live else (),
        "node (spec)": (spec.path.value,) if spec else (),
    }


def _masked(case: Evidence, text: str) -> str:
    for key in case.keys:
        text = text.replace(key, _HIDDEN)
    return text
