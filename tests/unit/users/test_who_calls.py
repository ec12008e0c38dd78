"""Whose address is counted."""

from __future__ import annotations

import pytest

from tests.integration.users.world import rules
from tidegate.users.limits import subject_of, who_calls


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, "unknown"),
        ("", "unknown"),
        ("a proxy's invention", "unknown"),
    ],
)
def test_the_address_that_is_counted(host: str | None, counted: str) -> None:
    """IPv6 by its /64; all that is no address together."""
    assert who_calls(host) == counted


def test_a_subject_cannot_be_read_back() -> None:
    """The same each time, by kind, short enough for the table."""
    mine = subject_of(rules(), "address", "203.0.113.7")
    assert mine == subject_of(rules(), "address", "203.0.113.7")
    assert mine != subject_of(rules(secret_keys=("another" * 6,)), "address", "203.0.113.7")
    assert mine.split(":")[1] != subject_of(rules(), "account", "203.0.113.7").split(":")[1]
