"""The process of a mail server of the tests: `python -m tests.mail.process PORT FOLDER plain|starttls|tls login|-`."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.mail.server import PASSWORD, REFUSED, USER


class _Mailbox:
    """Writes each mail into the folder before it says that it has taken it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(len(list(folder.glob("*.eml"))))

    async def handle_RCPT(  # the names are aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address == REFUSED:
            return "550 5.1.1 nobody has this address"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        part = self._folder / f"{next(self._numbers):04}.part"
        part.write_bytes(content)
        part.rename(part.with_suffix(".eml"))
        return "250 taken"


def _lets_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False) if not right else AuthResult(success=True)


async def _serve(port: int, folder: Path, kind: str, login: bool) -> None:
    loop, mailbox = asyncio.get_running_loop(), _Mailbox(folder)
    context = None
    if kind != "plain":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder.parent / "server.crt", folder.parent / "server.key")

    def made() -> SMTP:
        return SMTP(
            mailbox,
            enable_SMTPUTF8=True,
            tls_context=context if kind == "starttls" else None,
            require_starttls=kind == "starttls",
            auth_required=login,
            auth_require_tls=kind == "starttls",
            authenticator=_lets_in if login else None,
            ident="test",
        )

    await loop.create_server(made, "127.0.0.1", port, ssl=context if kind == "tls" else None)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "login"))
