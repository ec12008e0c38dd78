"""What is encrypted opens where it was written, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table

from tidegate.db.base import Account, Json, LongText
from tidegate.db.cipher import ENCRYPTED, Cipher, encrypted_columns
from tidegate.db.inbox import inbox
from tidegate.errors import DataKeyMissing, DataUnreadable
from tidegate.migrations import metadata
from tidegate.payouts.tables import attempts, payouts
from tidegate.retention.rekey import ENCRYPTED_TABLES

KEY, OTHER = "k" * 32, "o" * 32
RECIPIENT = {
    "account_identifier": "0123456789",
    "account_name": "Zoë Quackenbush",
    "memo": "half of a pair: \ud83d",
}

notes = Table(
    "notes",
    MetaData(),
    Column("id", String(64), primary_key=True),
    Column("note", LongText, info=ENCRYPTED),
    Column("account", Account, info=ENCRYPTED),
    Column("data", Json, info=ENCRYPTED),
    Column("open", LongText),
)


def _stored(table: Table, key: str = KEY, /, **values: Any) -> dict[str, Any]:
    return {**Cipher(key).encrypted(table, values, values["id"])}


def test_each_kind_of_column_comes_back_as_it_was() -> None:
    """JSON, bytes and text open to the same values; what is not marked stays readable."""
    row = _stored(payouts, id="po_1", recipient=RECIPIENT, state="pending")
    assert row["state"] == "pending"
    assert isinstance(row["recipient"], str)
    assert Cipher(KEY).plain(row, payouts.c.recipient) == RECIPIENT
    sent = _stored(attempts, id="att_1", body=b'{"amount":"1.00"}\xff', account_number="0123456789")
    assert Cipher(KEY).plain(sent, attempts.c.body) == b'{"amount":"1.00"}\xff'
    assert Cipher(KEY).plain(sent, attempts.c.account_number) == "0123456789"
    told = b"".join(str(value).encode() for value in (*row.values(), *sent.values()))
    assert b"0123456789" not in told
    assert b"Quackenbush" not in told


@pytest.mark.parametrize("empty", [None, "", {}, b""])
def test_what_is_empty_stays_empty(empty: Any) -> None:
    """An erased value is told from an encrypted one without any key."""
    assert _stored(notes, id="1", note=empty)["note"] == empty
    assert Cipher().is_settled(empty)
    assert Cipher(KEY).is_settled(empty)


def test_without_a_key_everything_is_as_before() -> None:
    """The same values are written, and plain ones are read, with a key given too."""
    values = {"id": "1", "note": "hello", "open": "door"}
    assert Cipher().encrypted(notes, values, "1") == values
    assert Cipher().plain(values, notes.c.note) == "hello"
    assert Cipher(KEY).plain(values, notes.c.note) == "hello"


def test_a_value_opens_in_its_own_row_and_column_only() -> None:
    """Moved to another row, another column or another table, it is refused."""
    row = _stored(notes, id="1", note="for one")
    with pytest.raises(DataUnreadable, match="another place"):
        Cipher(KEY).plain({**row, "id": "2"}, notes.c.note)
    with pytest.raises(DataUnreadable):
        Cipher(KEY).plain({"id": "1", "account": row["note"]}, notes.c.account)
    twin = notes.to_metadata(MetaData(), name="letters")
    with pytest.raises(DataUnreadable):
        Cipher(KEY).plain(row, twin.c.note)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-6] + ("AAAAAA" if text[-6:] != "AAAAAA" else "BBBBBB"),
        lambda text: text[: text.rindex(":") + 1],
        lambda text: text[: text.rindex(":") + 1] + "é not base64",
        lambda text: text[: text.rindex(":") + 1] + "A",
    ],
)
def test_a_damaged_value_is_refused(damage: Any) -> None:
    """Changed, cut or no base64 at all: always the same error, which names the place."""
    row = _stored(notes, id="1", note="for one")
    with pytest.raises(DataUnreadable, match=r"notes\.note:1"):
        Cipher(KEY).plain({"id": "1", "note": damage(row["note"])}, notes.c.note)


def test_another_key_is_named() -> None:
    """The error says which key is missing, so that a person knows which one to give back."""
    row = _stored(notes, id="1", note="for one")
    needed = Cipher(KEY).current_id
    assert needed is not None
    with pytest.raises(DataKeyMissing, match=f"under the key {needed}"):
        Cipher(OTHER).plain(row, notes.c.note)
    assert Cipher(OTHER, [KEY]).plain(row, notes.c.note) == "for one"
    assert Cipher(None, [KEY]).plain(row, notes.c.note) == "for one"


def test_a_text_that_looks_encrypted_is_encrypted_all_the_same() -> None:
    """What another company writes cannot pass for something that we encrypted."""
    odd = "encrypted:00000000:AAAA"
    row = _stored(notes, id="1", note=odd)
    assert Cipher(KEY).plain(row, notes.c.note) == odd


def test_shown_says_what_does_not_open() -> None:
    """A person who looks gets the rest of the row."""
    row = _stored(notes, id="1", note="for one", data={"a": 1}, open="door")
    shown = Cipher(OTHER).shown(row, notes)
    assert shown == {"id": "1", "note": "[cannot be decrypted]", "data": {}, "open": "door"}
    assert Cipher(KEY).shown(row, notes)["data"] == {"a": 1}


def test_every_encrypted_table_takes_part_in_a_change_of_key() -> None:
    """A column that is marked and forgotten would be unreadable once its key is gone."""
    marked = {table.name for table in metadata.sorted_tables if encrypted_columns(table)}
    assert marked == {table.name for table in ENCRYPTED_TABLES}
    for table in ENCRYPTED_TABLES:
        # The place of a value and the order of a change rest on it.
        assert [column.name for column in table.primary_key] == ["id"]


def test_what_a_webhook_is_about_is_kept_and_no_account() -> None:
    """Beside an encrypted body stand references and ids, and nothing that identifies anybody."""
    body = (
        b'{"data":{"clientReference":"tg-abcdefghijklmnop234567-01","accountName":"Zoe 1",'
        b'"accountNumber":"0123456789","iban":"GB29NWBK60161331926819","object":"payment_intent",'
        b'"id":"pi_3OabcDEF123456","secret":"pi_3OabcDEF123456_secret_x1","email":"a_b1@c.example"}}'
    )
    row = _stored(inbox, id="inb_1", body=body)
    assert row["about"] == "pi_3OabcDEF123456 tg-abcdefghijklmnop234567-01"
    assert Cipher().encrypted(inbox, {"id": "inb_1", "body": body}, "inb_1").get("about") is None
