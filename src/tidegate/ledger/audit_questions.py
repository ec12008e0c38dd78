"""The audit's questions: each finds only what is wrong, so the answer to a right book is nothing.

They bring no more than :data:`NAMED_MAX` rows and one; windows are ranges of entry ids.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Numeric, and_, bindparam, cast, exists, func, or_, select
from sqlalchemy import case as sql_case

from tidegate.ledger.tables import accounts, block_entries, blocks, entries, legs

# Of each kind of finding so many are named; one more says that there are more.
NAMED_MAX = 50
# Entries looked at together.
WINDOW = 20_000

_before = legs.alias("leg_before")
_later = legs.alias("leg_later")
_signed = sql_case((legs.c.side == accounts.c.grows_by, legs.c.amount), else_=-legs.c.amount)
_debited = sql_case((legs.c.side == "D", legs.c.amount), else_=-legs.c.amount)
_low, _high = bindparam("low", type_=BigInteger()), bindparam("high", type_=BigInteger())
_in_no_block = ~exists().where(block_entries.c.entry_id == entries.c.id)


def _exact(value: Any) -> Any:
    """Sums of forged figures may leave 64 bits: that is a finding, not an error."""
    return cast(value, Numeric(40, 0))


account_page = (
    select(accounts).where(accounts.c.id > bindparam("after")).order_by(accounts.c.id).limit(5_000)
)
currencies = select(accounts.c.currency).distinct()
first_id = select(func.min(entries.c.id))
window_end = select(
    func.max(
        select(entries.c.id)
        .where(entries.c.id >= bindparam("low"))
        .order_by(entries.c.id)
        .limit(WINDOW)
        .subquery("some")
        .c.id
    )
)
few_legs = (
    select(entries.c.id, func.count(legs.c.entry_id).label("legs"))
    .outerjoin(legs, legs.c.entry_id == entries.c.id)
    .where(entries.c.id.between(_low, _high))
    .group_by(entries.c.id)
    .having(func.count(legs.c.entry_id) < 2)
    .order_by(entries.c.id)
    .limit(NAMED_MAX + 1)
)
unbalanced = (
    select(legs.c.entry_id, accounts.c.currency, func.sum(_exact(_debited)).label("sum"))
    .join(accounts, accounts.c.id == legs.c.account_id)
    .where(legs.c.entry_id.between(_low, _high))
    .group_by(legs.c.entry_id, accounts.c.currency)
    .having(func.sum(_exact(_debited)) != 0)
    .order_by(legs.c.entry_id)
    .limit(NAMED_MAX + 1)
)
orphans = (
    select(legs.c.entry_id)
    .outerjoin(entries, entries.c.id == legs.c.entry_id)
    .outerjoin(accounts, accounts.c.id == legs.c.account_id)
    .where(or_(entries.c.id.is_(None), accounts.c.id.is_(None)))
    .limit(NAMED_MAX + 1)
)
broken_chain = (
    select(accounts.c.path, legs.c.number, legs.c.entry_id, legs.c.balance_after)
    .join(accounts, accounts.c.id == legs.c.account_id)
    .outerjoin(
        _before,
        and_(_before.c.account_id == legs.c.account_id, _before.c.number == legs.c.number - 1),
    )
    .where(
        or_(
            and_(_before.c.number.is_(None), legs.c.number != 1),
            _before.c.entry_id > legs.c.entry_id,
            _exact(legs.c.balance_after)
            != _exact(func.coalesce(_before.c.balance_after, 0)) + _signed,
        )
    )
    .limit(NAMED_MAX + 1)
)
# An account may be touched twice by one entry; the floor binds what the entry leaves.
below_floor = (
    select(accounts.c.path, legs.c.number, legs.c.entry_id, legs.c.balance_after)
    .join(accounts, accounts.c.id == legs.c.account_id)
    .where(
        accounts.c.floor,
        legs.c.balance_after < 0,
        ~exists().where(
            _later.c.entry_id == legs.c.entry_id,
            _later.c.account_id == legs.c.account_id,
            _later.c.number > legs.c.number,
        ),
    )
    .limit(NAMED_MAX + 1)
)
folded = (
    select(
        accounts.c.path,
        accounts.c.currency,
        accounts.c.balance,
        accounts.c.legs,
        func.count(legs.c.number).label("has"),
        func.max(legs.c.number).label("last"),
        func.sum(_exact(_signed)).label("folded"),
    )
    .outerjoin(legs, legs.c.account_id == accounts.c.id)
    .group_by(accounts.c.id)
    .having(
        or_(
            accounts.c.balance != func.coalesce(func.sum(_exact(_signed)), 0),
            accounts.c.legs != func.count(legs.c.number),
            accounts.c.legs != func.coalesce(func.max(legs.c.number), 0),
        )
    )
    .order_by(accounts.c.id)
)
block_page = (
    select(blocks.c.id, blocks.c.previous, blocks.c.hash, blocks.c.count, blocks.c.sealed_at)
    .where(blocks.c.id > bindparam("after"))
    .order_by(blocks.c.id)
    .limit(1_000)
)
members = select(block_entries).where(block_entries.c.block_id.between(_low, _high))
strangers = (
    select(block_entries.c.entry_id, block_entries.c.block_id)
    .outerjoin(entries, entries.c.id == block_entries.c.entry_id)
    .outerjoin(blocks, blocks.c.id == block_entries.c.block_id)
    .where(or_(entries.c.id.is_(None), blocks.c.id.is_(None)))
    .limit(NAMED_MAX + 1)
)
late = (
    select(entries.c.id)
    .where(entries.c.recorded_at < bindparam("before"), _in_no_block)
    .order_by(entries.c.id)
    .limit(NAMED_MAX + 1)
)
unsealed_count = select(func.count()).select_from(entries).where(_in_no_block)
counts = select(
    *(
        select(func.count()).select_from(table).scalar_subquery().label(table.name)
        for table in (accounts, entries, legs, blocks)
    )
)
