"""What every request of the payment API passes before the framework reads it.

A router says ``APIRouter(route_class=GuardedRoute)``, or ``CardGuardedRoute`` where payments and
payment methods are (B6). A body is at most 64 KiB, of the operation's content type, and strict
JSON: one object, UTF-8, no member named twice, no NaN or Infinity, numbers and nesting of a sane
size, no character that a database cannot store. What passed stays reachable as
``request.state.parsed`` (``None`` where the operation has no JSON body), the very value that the
handler's model is made of, for the fingerprint of an idempotent request.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from fastapi import params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from tidegate.api.body import read_body
from tidegate.errors import (
    CardNumberRefused,
    NotFound,
    UnreadableBody,
    UnsupportedMediaType,
    ValidationFailed,
)
from tidegate.observability.cards import holds_card_number, spell_plainly
from tidegate.wire.canonical import DEPTH_MAX

__all__ = ["CardGuardedRoute", "GuardedRoute", "is_about_a_card", "parse_strictly", "texts_of"]

# Longer than any number that a field of ours can mean, and far from what is slow to convert.
_DIGITS_MAX: Final = 40
_FORM_FIELDS_MAX: Final = 100
# PostgreSQL stores no U+0000, and UTF-8 has no half of a surrogate pair.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Groups of digits that are ordinary for sure, though one in some ten thousand would look like a
# card number: a UUID, a phone number in international form, and an IBAN once its check is right.
_UUID = re.compile(r"(?<!\w)[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w)")
_PHONE = re.compile(r"\+\d(?:[ -]?\d){6,12}(?![ -]?\d)")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?(?!\w)")

_FORM = "application/x-www-form-urlencoded"

Found = tuple[str, str]
"""(where it stands, a text from outside)"""


class GuardedRoute(APIRoute):
    """Refuses what cannot be read or stored, before anything is done with it.

    Raises ``BodyTooLarge`` (413), ``UnsupportedMediaType`` (415), ``UnreadableBody`` (400),
    ``ValidationFailed`` (422) for a text that cannot be stored, ``NotFound`` for such a path.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            return await handle(await self._read(request))

        return guarded

    async def _read(self, request: Request) -> Request:
        raw = await read_body(request)
        parsed: Any = None
        texts: list[Found] = []
        if self.body_field is None:
            # Nobody is going to read it; webhooks take the bytes as they came.
            texts += self._of_unread(raw)
        elif isinstance(self.body_field.field_info, params.Form):
            _require_type(request, raw, lambda kind: kind == _FORM)
            texts += _of_form(raw)
        elif raw:
            _require_type(request, raw, _is_json)
            parsed = parse_strictly(raw)
            texts += texts_of(parsed)
        texts += [(f"query.{name}", each) for name, each in _of_query(request)]
        self._judge(request, texts)
        request.state.parsed = parsed
        return _ReadRequest(request, raw, parsed)

    def _of_unread(self, raw: bytes) -> list[Found]:
        return []

    def _judge(self, request: Request, texts: list[Found]) -> None:
        """Raise for the first text that may not pass."""
        if any(_UNSTORABLE.search(str(value)) for value in request.path_params.values()):
            raise NotFound()
        for place, text in texts:
            if _UNSTORABLE.search(text):
                fault = {
                    "field": _UNSTORABLE.sub("\ufffd", place),
                    "code": "unstorable_character",
                    "message": "Text may not hold U+0000 or half of a surrogate pair",
                }
                raise ValidationFailed([fault])


class CardGuardedRoute(GuardedRoute):
    """Refuses card numbers as well: tokens only, on payments and payment methods.

    Looked at are all values and member names of the body, the query and the idempotency key,
    which would be stored. Ids in the path are exempt. Raises ``CardNumberRefused`` (422).
    """

    def _of_unread(self, raw: bytes) -> list[Found]:
        return [("body", raw.decode("utf-8", "replace").replace("\0", ""))] if raw else []

    def _judge(self, request: Request, texts: list[Found]) -> None:
        key = request.headers.get("idempotency-key", "")
        if any(is_about_a_card(text) for text in (key, *(text for _, text in texts))):
            raise CardNumberRefused()
        super()._judge(request, texts)


class _ReadRequest(Request):
    """A request whose body was read and parsed, for everyone behind the guard."""

    def __init__(self, request: Request, raw: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._parsed = parsed

    async def stream(self) -> AsyncGenerator[bytes, None]:
        yield self._raw

    async def json(self) -> Any:
        return self._parsed


def parse_strictly(raw: bytes) -> dict[str, Any]:
    """Read a body that must be one JSON object. Raises ``UnreadableBody`` for all else."""
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):  # a decoding error is a ValueError
        raise UnreadableBody() from None
    if not isinstance(value, dict):
        raise UnreadableBody()
    if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and _too_deep(value):
        raise UnreadableBody("The body is nested too deeply.")
    return value


def _once_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise UnreadableBody("A member of the body is named twice.")
    return found


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise UnreadableBody("A number in the body is too long.")
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    if len(text) > _DIGITS_MAX or math.isinf(number):
        raise UnreadableBody("A number in the body is too long or too large.")
    return number


def _no_constant(_: str) -> NoReturn:
    raise UnreadableBody("NaN and Infinity are not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_once_each,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_no_constant,
)


def _too_deep(value: dict[str, Any]) -> bool:
    layer: list[Any] = [value]
    for _ in range(DEPTH_MAX):
        layer = [
            item
            for holder in layer
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list)
        ]
        if not layer:
            return False
    return True


def texts_of(value: Any, place: str = "") -> Iterator[Found]:
    """Every text in a parsed value, names and numbers included; at most 32 levels deep."""
    if isinstance(value, dict):
        for name, item in value.items():
            inside = f"{place}.{name}" if place else name
            yield inside, name
            yield from texts_of(item, inside)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_of(item, f"{place}.{index}")
    elif isinstance(value, str):
        yield place, value
    elif isinstance(value, int) and not isinstance(value, bool):
        # A card number does not become another thing by leaving out the quotes.
        yield place, str(value)


def is_about_a_card(text: str) -> bool:
    """Whether a text holds a plausible card number that is no part of something else."""
    if not holds_card_number(text):
        return False
    text = spell_plainly(text)
    for ordinary in (_UUID, _PHONE):
        text = ordinary.sub("x", text)
    return holds_card_number(_IBAN.sub(_unless_right, text))


def _unless_right(match: re.Match[str]) -> str:
    """Nothing in the place of an IBAN whose check digits are right (ISO 13616), else itself."""
    iban = match[0].replace(" ", "")
    number = "".join(str(int(character, 36)) for character in iban[4:] + iban[:4])
    return "x" if int(number) % 97 == 1 else match[0]


def _of_form(raw: bytes) -> list[Found]:
    try:
        fields = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX
        )
    except ValueError:
        raise UnreadableBody("The body is not a form.") from None
    return [(name, text) for name, value in fields for text in (name, value)]


def _of_query(request: Request) -> Iterable[Found]:
    for name, value in request.query_params.multi_items():
        yield name, name
        yield name, value


def _require_type(request: Request, raw: bytes, fits: Callable[[str], bool]) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if raw and not fits(kind):
        raise UnsupportedMediaType()


def _is_json(kind: str) -> bool:
    return kind == "application/json" or (
        kind.startswith("application/") and kind.endswith("+json")
    )
