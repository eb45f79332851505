"""A real mail server in a process of its own, with what it has taken in a folder; also its certificate."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

USER, PASSWORD = "recsaas", "p@ss word/1"
REFUSED = "refused@example.com"
"""Nobody has this address at the server."""
_SECONDS = 30.0


@dataclass(frozen=True)
class MailProcess:
    """A server that runs."""

    port: int
    folder: Path

    def mails(self) -> list[EmailMessage]:
        """What it has taken, oldest first."""
        files = sorted(self.folder.glob("*.eml"))
        return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of 127.0.0.1, signed by itself, and its key; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    certificate_file, key_file = folder / "server.crt", folder / "server.key"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate_file, key_file


@contextmanager
def mail_server(folder: Path, kind: str = "plain", *, port: int = 0, login: bool = False) -> Iterator[MailProcess]:
    """Run a server: `plain`, `starttls` or `tls`; with `login` it takes mails of `USER` alone."""
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    command = [sys.executable, "-m", "tests.mail.process", str(port), str(folder), kind, "login" if login else "-"]
    root = Path(__file__).parents[2]
    child = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        deadline = time.monotonic() + _SECONDS
        while not _listens(port):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield MailProcess(port, folder)
    finally:
        child.kill()
        child.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
