"""How values are spelled in the environment, and the sentence for each wrong one. Pure.

A validator raises ``ValueError`` with the rest of a sentence that begins with the variable's
name: "names NGN twice: write it once." It never repeats a value that may be secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainValidator, SecretStr

from tidegate.db.url import DatabaseUrl, parse
from tidegate.errors import ConfigurationError

__all__ = [
    "AmountPer",
    "BaseUrl",
    "Count",
    "CurrencyCodes",
    "Database",
    "Delay",
    "Flag",
    "Host",
    "Identifier",
    "LogLevel",
    "Networks",
    "OptionalFile",
    "OptionalSecret",
    "Origins",
    "Per",
    "Port",
    "Ports",
    "Psps",
    "RatePer",
    "Says",
    "Schedule",
    "Seconds",
    "Secret",
    "is_loopback",
    "networks",
]

V = TypeVar("V")

# A wire code: ISO 4217, or with a country behind it as in XOF-BEN (aggregator.md 1).
_CURRENCY = re.compile(r"[A-Z]{3}(-[A-Z]{3})?")
_DECIMAL = re.compile(r"\d{1,15}(\.\d{1,3})?")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,31}")
_IDENTIFIER = re.compile(r"[^\s:,\"']{1,200}")
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,253}")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Says:
    """What to write, for faults and for the reference; ``quiet`` values are never repeated."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Per(Generic[V]):
    """A value per name (currency or PSP), and perhaps one for all others."""

    rest: V | None = None
    named: tuple[tuple[str, V], ...] = ()

    def get(self, name: str) -> V | None:
        """The value for ``name``; ``None`` when none is set."""
        return next((value for key, value in self.named if key == name), self.rest)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that have a value of their own."""
        return tuple(key for key, _ in self.named)

    def __str__(self) -> str:
        rest = [] if self.rest is None else [str(self.rest)]
        return ",".join(rest + [f"{key}:{value}" for key, value in self.named])


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, without a port) is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _distinct(parts: list[str]) -> tuple[str, ...]:
    for part in parts:
        if parts.count(part) > 1:
            raise ValueError(f"names {part} twice: write it once.")
    return tuple(parts)


def _per(key: re.Pattern[str], kind: str) -> Callable[[Any], Per[Decimal]]:
    def read(text: Any) -> Per[Decimal]:
        if isinstance(text, Per):
            return text
        rest: Decimal | None = None
        named: dict[str, Decimal] = {}
        for part in _split(text):
            name, colon, number = (piece.strip() for piece in part.rpartition(":"))
            if not _DECIMAL.fullmatch(number):
                raise ValueError(
                    f"holds {part[:40]!r}: write plain numbers with a point, no blanks and no "
                    "thousands separators, such as 50000.00."
                )
            if not colon:
                if rest is not None:
                    raise ValueError(
                        f"holds more than one number without a {kind}: write one, or put the "
                        f"{kind} and a colon before each; thousands separators are not read."
                    )
                rest = Decimal(number)
            elif not key.fullmatch(name):
                raise ValueError(f"holds {name[:20]!r} where a {kind} belongs: correct it.")
            elif name in named:
                raise ValueError(f"names {name} twice: write it once.")
            else:
                named[name] = Decimal(number)
        return Per(rest, tuple(named.items()))

    return read


def _currencies(text: Any) -> tuple[str, ...]:
    parts = _split(text) if isinstance(text, str) else list(text)
    if not parts:
        raise ValueError("names no currency: write codes with commas between, such as NGN,KES.")
    for part in parts:
        if not _CURRENCY.fullmatch(part):
            raise ValueError(
                f"holds {part[:20]!r}: write three capital letters, such as NGN, or XOF-BEN."
            )
    return _distinct(parts)


def _psps(text: Any) -> tuple[str, ...]:
    parts = _split(text) if isinstance(text, str) else list(text)
    for part in parts:
        if not _WORD.fullmatch(part):
            raise ValueError(f"holds {part[:20]!r}: write small letters, such as lenco.")
    if not parts:
        raise ValueError("names no PSP: write at least one, such as lenco.")
    return _distinct(parts)


def _schedule(text: Any) -> tuple[int, ...]:
    parts = _split(text) if isinstance(text, str) else [str(step) for step in text]
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError("is no list of seconds: write whole numbers, such as 5,15,30,60.")
    steps = tuple(int(part) for part in parts)
    if steps[0] < 1 or list(steps) != sorted(steps):
        raise ValueError("must start above 0 and never fall: write it in order, as in 5,15,30.")
    return steps


def _ports(text: Any) -> tuple[int, ...]:
    if not isinstance(text, str):
        return tuple(text)
    first, dash, last = (part.strip() for part in text.partition("-"))
    numbers = [first, last] if dash else [first, first]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise ValueError(f"is {text[:20]!r}: write one port, or first and last, as in 9464-9471.")
    lowest, highest = (int(number) for number in numbers)
    if not 1 <= lowest <= highest <= 65535 or highest - lowest >= _PORTS_MAX:
        raise ValueError(
            f"is no range of ports: write two numbers from 1 to 65535, the smaller one first, and "
            f"at most {_PORTS_MAX} ports."
        )
    return tuple(range(lowest, highest + 1))


def networks(text: Any) -> tuple[Network, ...]:
    if not isinstance(text, str):
        return tuple(text)
    networks = []
    for part in _split(text):
        try:
            networks.append(ip_network(part))
        except ValueError:
            raise ValueError(
                f"holds {part[:50]!r}: write addresses or networks with no host bits set, such "
                "as 10.0.0.5 or 10.0.0.0/8."
            ) from None
    return tuple(networks)


def _origins(text: Any) -> tuple[str, ...]:
    parts = _split(text) if isinstance(text, str) else list(text)
    for part in parts:
        split = _url(part, "an origin, such as https://shop.example")
        if split.path or part == "*":
            raise ValueError("holds more than an origin: write scheme and host alone, no path.")
    return _distinct(parts)


def _url(text: str, such: str) -> SplitResult:
    try:
        split = urlsplit(text)
        usable = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:  # an address or a port that is none
        usable = False
    if not usable or re.search(r"\s", text):
        raise ValueError(f"is no usable address: write {such}.")
    if split.username is not None or split.query or split.fragment or "?" in text or "#" in text:
        raise ValueError("holds a login, a ? or a #: write the address without them.")
    return split


def _base_url(text: str) -> str:
    return _url(text, "http(s), host and path, such as https://api.example/v1").geturl().rstrip("/")


def _database(text: Any) -> DatabaseUrl:
    if isinstance(text, DatabaseUrl):
        return text
    try:
        return parse(text)
    except ConfigurationError as problem:
        raise ValueError(problem.faults[0].removeprefix("DATABASE_URL ")) from None


def _identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("holds blanks, colons, commas or quotation marks: write the bare id.")
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError("is no address: write a bare one, such as 0.0.0.0, :: or localhost.")
    return text


def _level(text: str) -> str:
    if text.upper() not in _LEVELS:
        raise ValueError(f"is {text[:20]!r}: write one of {', '.join(_LEVELS)}.")
    return text.upper()


_PORTS_MAX = 100
_SECONDS_MAX = 31_536_000  # a year: beyond it, somebody meant milliseconds

Flag = Annotated[bool, Says("true or false")]
Port = Annotated[int, Field(ge=1, le=65535), Says("a whole number from 1 to 65535")]
Ports = Annotated[
    tuple[int, ...], PlainValidator(_ports), Says("a port, or a range such as `9464-9471`")
]
Count = Annotated[int, Field(ge=1, le=10_000), Says("a whole number from 1 to 10000")]
Seconds = Annotated[
    float,
    Field(gt=0, le=_SECONDS_MAX, allow_inf_nan=False),
    Says("seconds, more than 0 and at most a year"),
]
Delay = Annotated[
    float, Field(ge=0, le=3600, allow_inf_nan=False), Says("seconds, 0 or more and at most an hour")
]
OptionalFile = Annotated[Path | None, Says("a file's path")]
Identifier = Annotated[str, AfterValidator(_identifier), Says("an id")]
Host = Annotated[str, AfterValidator(_host), Says("an address or a host name")]
LogLevel = Annotated[str, AfterValidator(_level), Says(" | ".join(_LEVELS))]
Secret = Annotated[SecretStr, Says("a secret", quiet=True)]
OptionalSecret = Annotated[SecretStr | None, Says("a secret", quiet=True)]
BaseUrl = Annotated[str, AfterValidator(_base_url), Says("an http(s) address", quiet=True)]
Database = Annotated[
    DatabaseUrl, PlainValidator(_database), Says("a SQLite or PostgreSQL URL", quiet=True)
]
CurrencyCodes = Annotated[
    tuple[str, ...], PlainValidator(_currencies), Says("currency codes, commas between")
]
AmountPer = Annotated[
    Per[Decimal],
    PlainValidator(_per(_CURRENCY, "currency")),
    Says("an amount in major units for all currencies, or `NGN:5000000,KES:100000`"),
]
RatePer = Annotated[
    Per[Decimal],
    PlainValidator(_per(_WORD, "PSP")),
    Says("a number a second for all PSPs, or `lenco:5`"),
]
Psps = Annotated[tuple[str, ...], PlainValidator(_psps), Says("PSP names, commas between")]
Schedule = Annotated[tuple[int, ...], PlainValidator(_schedule), Says("seconds, commas between")]
Networks = Annotated[
    tuple[Network, ...], PlainValidator(networks), Says("addresses or networks, commas between")
]
Origins = Annotated[tuple[str, ...], PlainValidator(_origins), Says("origins, commas between")]
