"""Every object the processor has, by id and by kind, and how lists of them are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.cards.form import Params, text, whole
from tidegate.sandbox.cards.refusals import invalid, not_found

__all__ = ["Store", "Thing", "page", "within"]

_WORDS = {
    "customer": "customer",
    "payment_method": "PaymentMethod",
    "payment_intent": "payment_intent",
    "setup_intent": "setup_intent",
    "balance_transaction": "balance transaction",
}
# What ``expand`` may replace by the object itself.
_EXPANDABLE = frozenset(
    (
        "balance_transaction",
        "charge",
        "customer",
        "failure_balance_transaction",
        "latest_charge",
        "payment_intent",
        "payment_method",
        "source",
    )
)
_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda created, bound: created > bound,
    "gte": lambda created, bound: created >= bound,
    "lt": lambda created, bound: created < bound,
    "lte": lambda created, bound: created <= bound,
}


class Thing(Protocol):
    """Anything with an id and a JSON of its own."""

    id: str
    created: int

    def json(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=Thing)


class Store:
    """Objects by id; those of a kind in the order of their creation."""

    def __init__(self, clock: Clock, randomness: Randomness) -> None:
        self.clock = clock
        self._randomness = randomness
        self._things: dict[str, Thing] = {}
        self._kinds: dict[type[Any], list[Any]] = {}

    def new_id(self, prefix: str) -> str:
        return self._randomness.new_id(prefix)

    def seconds(self) -> int:
        """Now, as every ``created`` counts: Unix seconds."""
        return self.clock.now_ms() // 1000

    def add(self, thing: T) -> T:
        self._things[thing.id] = thing
        self._kinds.setdefault(type(thing), []).append(thing)
        return thing

    def all(self, kind: type[T]) -> list[T]:
        """Oldest first."""
        return self._kinds.get(kind, [])

    def get(self, kind: type[T], object_id: str | None) -> T | None:
        thing = self._things.get(object_id or "")
        return thing if isinstance(thing, kind) else None

    def find(self, kind: type[T], object_id: str, word: str, param: str = "") -> T:
        """The object; 404 where the path names it, 400 where ``param`` does."""
        thing = self.get(kind, object_id)
        if thing is None:
            status = 400 if param else 404
            raise not_found(_WORDS.get(word, word), object_id, param or "id", status)
        return thing

    def expanded(self, answer: dict[str, Any], params: Params) -> dict[str, Any]:
        """Replace the ids that ``expand[]`` names by their objects; the answer itself is changed.

        A path starts at the object, or with ``data`` at each object of a list.
        """
        wanted = params.get("expand") or []
        for path in wanted if isinstance(wanted, list) else [wanted]:
            self._expand(answer, str(path).split("."), str(path))
        return answer

    def _expand(self, place: dict[str, Any], path: Sequence[str], whole_path: str) -> None:
        name, rest = path[0], path[1:]
        if name == "data" and isinstance(place.get("data"), list):
            for member in place["data"]:
                self._expand(member, rest, whole_path)
            return
        if name not in _EXPANDABLE:
            raise invalid(f"This property cannot be expanded: {whole_path}", "expand")
        value = place.get(name)  # some are there in certain states only
        if isinstance(value, str):
            thing = self._things.get(value)
            value = place[name] = value if thing is None else thing.json()
        if rest and isinstance(value, dict):
            self._expand(value, rest, whole_path)


def page(
    things: Sequence[T], params: Params, url: str, shown: Callable[[T], bool] | None = None
) -> dict[str, Any]:
    """A list, newest first: ``limit`` (1 to 100, 10), ``starting_after``, ``ending_before``."""
    limit = whole(params, "limit", least=1) or 10
    if limit > 100:
        raise invalid("limit is at most 100", "limit")
    found = _between(reversed(things), params)
    chosen: list[T] = []
    more = False
    for thing in found:
        if not within(thing.created, params) or (shown is not None and not shown(thing)):
            continue
        if len(chosen) == limit:
            more = True
            break
        chosen.append(thing)
    return {
        "object": "list",
        "data": [thing.json() for thing in chosen],
        "has_more": more,
        "url": url,
    }


def within(created: int, params: Params) -> bool:
    """Whether a moment fits ``created``, ``created[gte]`` and its like."""
    bounds = params.get("created")
    if bounds is None:
        return True
    try:
        if not isinstance(bounds, dict):
            return created == int(bounds)
        return all(_BOUNDS[name](created, int(bound)) for name, bound in bounds.items())
    except (KeyError, ValueError):
        raise invalid("created is a Unix time, or gt, gte, lt, lte of one", "created") from None


def _between(newest_first: Iterable[T], params: Params) -> Iterable[T]:
    after, before = text(params, "starting_after"), text(params, "ending_before")
    things = newest_first
    if after is not None:
        things = list(things)
        position = _position(things, after, "starting_after")
        things = things[position + 1 :]
    if before is not None:
        things = list(things)
        things = things[: _position(things, before, "ending_before")]
    return things


def _position(things: Sequence[Thing], object_id: str, param: str) -> int:
    for position, thing in enumerate(things):
        if thing.id == object_id:
            return position
    raise not_found("object", object_id, param, 400)
