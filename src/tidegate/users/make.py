"""The verbs of accounts and sessions, built once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer
from tidegate.db.engine import Database
from tidegate.users.accounts import Accounts
from tidegate.users.identify import Identify
from tidegate.users.limits import Limit, LimitName, Limits, limits_of, make_limits
from tidegate.users.login import LogIn
from tidegate.users.passwords import Passwords, Work
from tidegate.users.refresh import Refresh
from tidegate.users.rules import UserRules
from tidegate.users.sessions import Sessions
from tidegate.users.tokens import AccessTokens

__all__ = ["Users", "make_users"]


@dataclass(frozen=True, slots=True)
class Users:
    """What requests call."""

    rules: UserRules
    accounts: Accounts
    log_in: LogIn
    refresh: Refresh
    sessions: Sessions
    identify: Identify
    limits: Limits
    limit: Mapping[LimitName, Limit]


def make_users(
    database: Database,
    committer: Committer,
    clock: Clock,
    randomness: Randomness,
    rules: UserRules,
    *,
    on_hash: Callable[[Work], object] = lambda work: None,
) -> Users:
    """Build the verbs; ``on_hash`` is told of every hash operation."""
    passwords = Passwords(on_work=on_hash)
    tokens = AccessTokens(clock, randomness, rules)
    return Users(
        rules=rules,
        accounts=Accounts(database, committer, clock, randomness, passwords),
        log_in=LogIn(database, committer, clock, randomness, rules, passwords, tokens),
        refresh=Refresh(database, committer, clock, rules, tokens),
        sessions=Sessions(database, committer, clock, rules),
        identify=Identify(database, clock, tokens),
        limits=make_limits(database, clock),
        limit=limits_of(rules),
    )
