"""A guard that keeps tests on this machine.

The node's counterparties hold real money, so a test that would speak to any address other than
loopback raises :class:`RealHostError`. The guard also remembers, because the code under test may
catch what is raised: the fixture fails the test at its end all the same.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
import uvloop

__all__ = ["NetworkGuard", "RealHostError"]


class RealHostError(AssertionError):
    """A test tried to reach an address that is not on this machine."""


class NetworkGuard:
    """Replaces the ways out of :mod:`socket` and of uvloop for as long as ``monkeypatch`` lasts.

    ``allowed`` are further host names or addresses, such as that of a database server that the
    environment names. ``attempts`` are the addresses that were refused, in order.
    """

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        self.allowed = allowed
        self.attempts: list[str] = []

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the guard before connecting, sending datagrams and looking up names."""
        connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
        sendto, getaddrinfo = socket.socket.sendto, socket.getaddrinfo

        def guarded_connect(sock: socket.socket, address: Any) -> None:
            self._check_address(sock, address)
            connect(sock, address)

        def guarded_connect_ex(sock: socket.socket, address: Any) -> int:
            self._check_address(sock, address)
            return connect_ex(sock, address)

        def guarded_sendto(sock: socket.socket, data: Any, *rest: Any) -> int:
            self._check_address(sock, rest[-1])
            return sendto(sock, data, *rest)

        def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check_name(host)
            return getaddrinfo(host, *args, **kwargs)

        async def guarded_lookup(loop: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check_name(host)
            return await lookup(loop, host, *args, **kwargs)

        async def guarded_connection(
            loop: Any, factory: Any, host: Any = None, *args: Any, **kwargs: Any
        ) -> Any:
            self._check_name(host)
            self._check_literal(host)
            return await connection(loop, factory, host, *args, **kwargs)

        # uvloop connects and asks for names in C, past the socket module.
        lookup, connection = uvloop.Loop.getaddrinfo, uvloop.Loop.create_connection
        monkeypatch.setattr(uvloop.Loop, "getaddrinfo", guarded_lookup)
        monkeypatch.setattr(uvloop.Loop, "create_connection", guarded_connection)
        monkeypatch.setattr(socket.socket, "connect", guarded_connect)
        monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        monkeypatch.setattr(socket.socket, "sendto", guarded_sendto)
        monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)

    def _check_address(self, sock: socket.socket, address: Any) -> None:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        host = str(address[0])
        if not (self._is_here(host) or host in self.allowed):
            # Callers clean up after an OSError at most, and a leaked socket is a warning.
            sock.close()
            self._refuse(host)

    def _check_name(self, host: str | bytes | None) -> None:
        """Refuse to ask a resolver; an address needs none and is checked when it is used."""
        if host is None:
            return
        name = host.decode() if isinstance(host, bytes) else host
        if not (_as_address(name) or self._is_here(name) or name in self.allowed):
            self._refuse(name)

    def _check_literal(self, host: str | bytes | None) -> None:
        """Refuse an address given where a name may stand too."""
        literal = host.decode() if isinstance(host, bytes) else host or ""
        if _as_address(literal) and not (self._is_here(literal) or literal in self.allowed):
            self._refuse(literal)

    def _is_here(self, host: str) -> bool:
        address = _as_address(host)
        if address is None:
            return host in ("", "localhost") or host.endswith(".localhost")
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return address.is_loopback

    def _refuse(self, host: str) -> None:
        self.attempts.append(host)
        raise RealHostError(f"a test tried to reach {host}, which is not this machine")


def _as_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
