"""Which URLs and addresses a receiver chosen by a user may have: public ones only. Pure.

Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its updates).
The networks are spelt out, so that the judgement does not change with the library's tables.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from yarl import URL

__all__ = ["refusal", "url_refusal"]

_V4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata"),  # public by its number only
        ("169.254.0.0/16", "link-local"),  # and the metadata of most clouds
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

# Of IPv6 only the global unicast block is in use; these are the exceptions within it.
_V6_GLOBAL: Final = IPv6Network("2000::/3")
_V6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "reserved"),  # Teredo, ORCHID, benchmarks
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4"),  # leads to any IPv4 address through somebody's relay
        ("3fff::/20", "for documentation"),
    )
)
# Spellings of an IPv4 address: judged as that.
_NAT64: Final = IPv6Network("64:ff9b::/96")

_URL_MAX: Final = 2048
_NAME_MAX: Final = 253
_URL = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_HEX = re.compile(r"0x[0-9a-f]*")
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# Names that lead nowhere on the public internet (RFC 6761, 6762, 8375; ICANN for .internal).
_OWN_NETWORK: Final = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".corp", ".home")
# Ports above 1023 where something else than HTTP listens (Fetch standard, "port blocking", and
# databases): what reads a POST as commands shall not be sent one.
_OTHER_PORTS: Final = frozenset(
    {1719, 1720, 1723, 2049, 3306, 3659, 4045, 4190, 5060, 5061, 5432, 6000, 6379, 6566}
    | {6665, 6666, 6667, 6668, 6669, 6679, 6697, 9200, 10080, 11211, 27017}
)


def refusal(address: str, *, loopback: bool = False) -> str | None:
    """Why nothing is sent to ``address``, ``None`` when it is public.

    ``address`` is an IPv4 or IPv6 address in the spelling of a socket; what is none, or carries a
    zone, is refused. With ``loopback`` the machine's own addresses are allowed as well.
    """
    try:
        given = ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(given, IPv6Address):
        if given.scope_id is not None:
            return "link-local"
        embedded = _embedded(given)
        if embedded is None:
            return _of_v6(given, loopback)
        given = embedded
    return _of_v4(given, loopback)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def _of_v4(address: IPv4Address, loopback: bool) -> str | None:
    if loopback and address in IPv4Network("127.0.0.0/8"):
        return None
    return next((why for network, why in _V4 if address in network), None)


def _of_v6(address: IPv6Address, loopback: bool) -> str | None:
    if address == IPv6Address("::1"):
        return None if loopback else "loopback"
    if address not in _V6_GLOBAL:
        return "multicast" if address.is_multicast else "not global"
    return next((why for network, why in _V6 if address in network), None)


def url_refusal(url: str, *, debug: bool) -> str | None:
    """A sentence when ``url`` cannot be a receiver's, else ``None``.

    Judged are its scheme, user info, port and host as spelt; with ``debug`` this machine is
    allowed, also without TLS. What a name resolves to is judged by :func:`refusal`.
    """
    if len(url) > _URL_MAX or not _URL.fullmatch(url) or "\\" in url:
        return "The URL is too long or holds characters that have to be encoded."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        # What is connected to is what the client library reads: two readings are a trick.
        same = (URL(url, encoded=True).raw_host or "").lower() == host
        # In brackets stand IPv6 addresses; RFC 3986 keeps more for the future, a name to some.
        same = same and ("[" not in parts.netloc or ":" in host)
    except (ValueError, IndexError):  # the second is yarl's, for a login with brackets and no host
        return "This is not a URL."
    if not host or not same:
        return "The URL names no host."
    if parts.username is not None or parts.password is not None:
        return "The URL must not hold a user name or password."
    if parts.fragment:
        return "The URL must not have a fragment."
    here = debug and host in _HERE
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        return "The URL must begin with https://."
    if port not in (None, 443) and not (here and port == 80) and not _may_be_http(port):
        return f"Nothing is sent to port {port}."
    return None if here else _host_refusal(host)


def _may_be_http(port: int) -> bool:
    return port >= 1024 and port not in _OTHER_PORTS


def _host_refusal(host: str) -> str | None:
    labels = host.removesuffix(".").split(".")
    if ":" in host or labels[-1].isdigit() or _HEX.fullmatch(labels[-1]):
        return _literal_refusal(host)
    if len(host) > _NAME_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        return "The URL's host is not a name."
    if len(labels) == 1 or host.removesuffix(".").endswith(_OWN_NETWORK):
        return "The host is not on the public internet."
    return None


def _literal_refusal(host: str) -> str | None:
    if ":" not in host:
        try:
            # Other spellings (127.1, 2130706433, 0x7f.1) mean different things to different
            # libraries.
            IPv4Address(host)
        except ValueError:
            return "The host is not a plain IPv4 address."
    why = refusal(host)
    return None if why is None else f"The address is {why}."
