"""``docs/errors.md``: every error code there is, with its sentence and its HTTP status."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

import tidegate
from tidegate.adapters.lenco import tables as lenco
from tidegate.api.catalogue import Entry, entry_of, error_tree
from tidegate.errors import TidegateError

__all__ = ["errors_page", "known_errors"]

_INTRODUCTION = """\
# Errors

Every error has a stable code and a sentence. The node answers the aggregator's envelope:

```json
{"status": "error", "message": "<sentence>", "data": {"code": "<code>"}}
```

The payment API, everything under `/api`, answers `application/problem+json` (RFC 9457). `type` is
the path of a page of the running service that says what this page says; validation adds `errors`,
a declined card adds `payment`:

```json
{"type": "/docs/errors/validation-failed", "title": "<sentence>", "status": 422,
 "detail": "<sentence, or what is special this time>", "instance": "/api/payments",
 "code": "validation_failed", "request_id": "<X-Request-ID of the answer>",
 "errors": [{"field": "amount", "code": "greater_than_equal", "message": "<sentence>"}]}
```

A field is named by its dotted path; one outside of the body begins with where it is (`query.limit`,
`header.idempotency-key`, `path.payment_id`). A value that was refused is not repeated. Every 401
carries `WWW-Authenticate`, every 503 and 429 `Retry-After`.

Codes in capitals are the aggregator's vocabulary; the others are ours. On the command line the
sentence goes to standard error and the exit code is 1, or 2 when the configuration cannot be used.
This page is generated (`python -m tidegate.cli.pages`) from the tree in `src/tidegate/errors.py`
and the table of HTTP statuses in `src/tidegate/api/problems.py`.

`POST /tx_status` answers 422 where the table says 400: an aggregator takes 400 there for "did not
and will not pay". In the live dialect an authentic offer is answered 200 whatever becomes of it;
its refusal is the reason of the decline that follows.
"""

_ADVICE = """\
## What to do next

| code | when it happens | what to do next | is a retry safe? |
|---|---|---|---|
"""

_REASONS = """\
## Reasons on a payout

A payout that did not go through keeps a reason (`reason_code`). Besides the codes above:

| reason | meaning |
|---|---|
| `NOT_OURS` | The aggregator gave the order to somebody else. |
| `UNPROVEN` | Whether the order is ours, or its amount, could not be proven; a person decides. |
| `HELD` | A person decides; the sentence beside it says why. |
| `PSP_TIMEOUT` | The transfer could not be sent within `HOLD_LIMIT`; nothing left the node. |

Reasons that Lenco gives (`src/tidegate/adapters/lenco/tables.py`), and whose fault each is.
*Ambiguous* ones may still turn into success and are believed only after `COOL_OFF`.

| reason | fault | ambiguous |
|---|---|---|
"""


def errors_page() -> str:
    """The whole page."""
    rows = (_row(entry_of(error)) for error in known_errors())
    head = "| code | HTTP | sentence | class |\n|---|---|---|---|\n"
    advice = "".join(_advice(entry_of(error)) for error in known_errors())
    return (
        f"{_INTRODUCTION}\n{head}{''.join(rows)}\n{_ADVICE}{advice}\n{_REASONS}{''.join(_lenco())}"
    )


def known_errors() -> list[type[TidegateError]]:
    """The classes of all errors, wherever in the package they are declared, as a tree is read."""
    for module in pkgutil.walk_packages(tidegate.__path__, "tidegate."):
        # Alembic runs its own; a module that is run has nothing to declare.
        if ".migrations." not in module.name and not module.name.endswith("__main__"):
            import_module(module.name)
    return list(error_tree())


def _row(entry: Entry) -> str:
    http = "" if entry.status is None else entry.status
    return f"| `{entry.code}` | {http} | {entry.title} | `{entry.class_name}` |\n"


def _advice(entry: Entry) -> str:
    cells = (_cell(entry.when), _cell(entry.next), entry.retry.value)
    return f"| `{entry.code}` | {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _lenco() -> Iterator[str]:
    found: dict[str, tuple[str, bool]] = {}
    for meaning in lenco.ERROR_CODES.values():
        if meaning.fault is not None:
            found[meaning.reason_code] = (meaning.fault.value, False)
    for _, reason in lenco.REASONS:
        found[reason.code] = (reason.fault.value, reason.ambiguous)
    for code, (fault, ambiguous) in sorted(found.items()):
        yield f"| `{code}` | {fault} | {'yes' if ambiguous else ''} |\n"
