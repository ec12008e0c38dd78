"""The card filter of payment routes lets ordinary bodies pass, and no card (B6)."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.api.guard import is_about_a_card, parse_strictly, texts_of
from tidegate.clock import Randomness, SimulatedClock
from tidegate.observability.cards import holds_card_number

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _refused(body: str) -> list[str]:
    return [text for _, text in texts_of(parse_strictly(body.encode())) if is_about_a_card(text)]


def _makers(chance: random.Random) -> dict[str, Callable[[], Any]]:
    """One maker for each kind of thing that bodies of payments hold."""
    ids = Randomness(SimulatedClock(), chance.randrange(2**32))

    def moment() -> datetime:
        return datetime.fromtimestamp(chance.randrange(1_500_000_000, 2_200_000_000), UTC)

    def digits(count: int) -> str:
        return f"{chance.randrange(10**count):0{count}}"

    def iban() -> str:
        bank = digits(18)
        check = 98 - int(f"{bank}131400") % 97  # D and E are 13 and 14
        plain = f"DE{check:02}{bank}"
        return (
            plain
            if chance.random() < 0.5
            else " ".join(plain[at : at + 4] for at in range(0, len(plain), 4))
        )

    return {
        "rfc3339": lambda: moment().isoformat(),
        "sql_time": lambda: moment().strftime("%Y-%m-%d %H:%M:%S.%f"),
        "compact_time": lambda: moment().strftime("%Y%m%d%H%M%S"),
        "unix_s": lambda: int(moment().timestamp()),
        "unix_ms": lambda: str(int(moment().timestamp()) * 1000 + chance.randrange(1000)),
        "unix_us": lambda: int(moment().timestamp()) * 1_000_000 + chance.randrange(1_000_000),
        "our_id": lambda: ids.new_id(chance.choice(("pay", "usr", "pm", "re", "evt"))),
        "stripe_id": lambda: "pm_" + "".join(chance.choices("abcXYZ0123456789", k=24)),
        "ulid": lambda: "".join(chance.choices(_ALPHABET, k=26)),
        "uuid": lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "uuid_hex": lambda: uuid.UUID(int=chance.getrandbits(128), version=4).hex,
        "nuban": lambda: digits(10),
        "nigerian_phone": lambda: f"+234 {digits(3)} {digits(3)} {digits(4)}",
        "local_phone": lambda: f"080{digits(8)}",
        "german_phone": lambda: f"+49 15{digits(2)} {digits(7)}",
        "british_phone": lambda: f"+4477{digits(8)}",
        "order": lambda: f"ORD-{moment().year}-{digits(6)}",
        "invoice": lambda: f"Invoice {digits(4)}/{moment().year}, {digits(2)} items",
        "amount": lambda: chance.randrange(1, 10**9),
        "decimal": lambda: f"{chance.randrange(10**9)}.{digits(2)}",
        "fraction": lambda: str(chance.random()),
        "iban": iban,
        "session": lambda: digits(30),
        "address": lambda: f"{chance.randrange(1, 300)} Broad Street, Lagos {digits(6)}",
        "ip": lambda: ".".join(str(chance.randrange(256)) for _ in range(4)),
        "sha": lambda: f"{chance.getrandbits(256):064x}",
        "vat": lambda: f"GB{digits(9)}",
        "coordinates": lambda: f"6.{digits(6)}, 3.{digits(6)}",
    }


@pytest.mark.no_cover  # measuring each step of it takes three times as long as the test
@pytest.mark.parametrize("bodies", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_ordinary_bodies_pass(bodies: int) -> None:
    """Of every kind, some in values, some in texts; none is taken for a card number."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311 -- seeded so that it repeats
    makers = _makers(chance)
    kinds = list(makers)
    for number in range(bodies):
        first, second, third = chance.sample(kinds, 3)
        body = {
            "amount": makers["amount"](),
            "currency": "NGN",
            "description": f"{makers[first]()} for {kinds[number % len(kinds)]}",
            "metadata": {
                kinds[number % len(kinds)]: makers[kinds[number % len(kinds)]](),
                second: makers[second](),
            },
            "lines": [{third: makers[third]()}],
        }
        assert _refused(json.dumps(body)) == [], f"{body} (seed {seed})"


@pytest.mark.parametrize(
    "text",
    [
        "4242424242424242",
        "4242 4242 4242 4242",
        "378282246310005",
        "card: 5555-5555-5555-4444.",
        "+4242424242424242",  # longer than any phone number
        "DE00 4242 4242 4242 4242 00",  # the check of this IBAN is wrong
        "0b7a5a1e-8f4b-4c39-9a0e-3f3d0a6d1c2b 4242424242424242",
        "+2348031234567 4242424242424242",
        "4242\u00a04242\u00a04242\u00a04242",
        "4242\u20114242\u20114242\u20114242",
        "4242  4242  4242  4242",
    ],
)
def test_a_card_number_beside_or_in_the_guise_of_something_else_is_found(text: str) -> None:
    """Only what certainly is something else is left out of the search."""
    assert _refused(json.dumps({"description": text})) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "42424242-4242-4242-a242-424242424242",
        "+49 15123456787",
        "DE65 4242 4242 4242 4242 00",
        "+49\u00a015123456787",
        "+49  15123456787",
        "DE65\u00a04242\u00a04242\u00a04242\u00a04242\u00a000",
        "42424242\u20114242\u20114242\u2011a242\u2011424242424242",
    ],
)
def test_what_certainly_is_something_else_passes(text: str) -> None:
    """Though the filter for logs, which may err to the safe side, would mask it."""
    assert holds_card_number(text)
    assert _refused(json.dumps({"description": text})) == []
