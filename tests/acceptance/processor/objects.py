"""The processor's objects, as JSON, by id; references between them are ids until expanded."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterable
from typing import Any

__all__ = ["CARDS", "Objects", "Refusal", "Thing", "page"]

Thing = dict[str, Any]

# Test tokens by what becomes of a payment with them.
CARDS = {
    "pm_card_visa": "succeeds",
    "pm_card_mastercard": "succeeds",
    "pm_card_chargeCustomerFail": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_authenticationRequired": "authenticate",
}


class Refusal(Exception):
    """An error answer; ``kept`` under the idempotency key once the endpoint had begun."""

    def __init__(self, status: int, type_: str, message: str, *, kept: bool = True, **more: Any):
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.body: Thing = {"error": {"type": type_, "message": message, **more}}


class Objects:
    """Everything the processor has, in the order it was made."""

    def __init__(self) -> None:
        self.by_id: dict[str, Thing] = {}
        # What a card does, by the payment method's id; not part of any object.
        self.behaviour: dict[str, str] = dict(CARDS)
        self._numbers = itertools.count(1)

    def new(self, prefix: str, kind: str, **fields: Any) -> Thing:
        number = next(self._numbers)
        thing: Thing = {
            "id": f"{prefix}_{time.time_ns():x}{number:05d}",
            "object": kind,
            "created": int(time.time()),
            "livemode": False,
            **fields,
        }
        self.by_id[thing["id"]] = thing
        return thing

    def get(self, kind: str, id_: Any) -> Thing:
        """Raises :class:`Refusal` for what is not there."""
        found = self.by_id.get(str(id_))
        if found is None or found["object"] != kind:
            raise Refusal(
                404,
                "invalid_request_error",
                f"No such {kind}: '{id_}'",
                code="resource_missing",
                param="id",
                kept=False,
            )
        return found

    def all(self, kind: str, **equal: Any) -> list[Thing]:
        """Newest first, as lists are."""
        found = [
            thing
            for thing in self.by_id.values()
            if thing["object"] == kind
            and all(thing.get(name) == value for name, value in equal.items())
        ]
        return found[::-1]

    def shown(self, thing: Thing, expand: Iterable[str]) -> Thing:
        """A copy with the paths of ``expand`` followed, ``data.`` through lists."""
        copied = copy.deepcopy(thing)
        for path in expand:
            self._expand(copied, path.split("."))
        return copied

    def _expand(self, thing: Any, path: list[str]) -> None:
        if not path or not isinstance(thing, dict):
            return
        name, rest = path[0], path[1:]
        value = thing.get(name)
        if isinstance(value, list):
            for each in value:
                self._expand(each, rest)
            return
        if isinstance(value, str) and value in self.by_id:
            value = thing[name] = copy.deepcopy(self.by_id[value])
        self._expand(value, rest)


def page(things: list[Thing], form: dict[str, Any], url: str) -> Thing:
    """A list's page: ``limit``, ``starting_after``, ``created`` with its four bounds."""
    bounds = form.get("created") or {}
    if isinstance(bounds, str):
        bounds = {"gte": bounds, "lte": bounds}
    for name, text in bounds.items():
        at = int(text)
        things = [thing for thing in things if _within(thing["created"], name, at)]
    after = form.get("starting_after")
    if after is not None:
        ids = [thing["id"] for thing in things]
        things = things[ids.index(after) + 1 :] if after in ids else []
    limit = int(form.get("limit", 10))
    if not 1 <= limit <= 100:
        raise Refusal(400, "invalid_request_error", "Invalid limit", param="limit", kept=False)
    return {
        "object": "list",
        "url": url,
        "has_more": len(things) > limit,
        "data": things[:limit],
    }


def _within(created: int, bound: str, at: int) -> bool:
    return {"gt": created > at, "gte": created >= at, "lt": created < at, "lte": created <= at}[
        bound
    ]
