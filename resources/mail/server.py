"""The mail server that `RECSAAS_SMTP_URL` names, and sending one mail through it."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from resources.base.errors import ConfigurationError, InvalidInput

_SECONDS = 20.0
"""How long the server may take for each step of a conversation."""
_PORTS = {"smtp": 25, "smtps": 465}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_OPTIONS = ("from", "starttls", "ca")

Encryption = Literal["from the beginning", "by STARTTLS", "none"]


class AddressRefused(InvalidInput):
    """The mail server says that it will never take mail for this address."""

    code = "address_refused"


class MailServerError(ConfigurationError):
    """The mail server does not answer, or does not take a mail: it may later, or when the settings are mended."""

    code = "mail_server_error"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails go, and as whom. `password` is in no text of this object.

    Attributes:
        sender: the address that mails come from, with or without a name.
        encryption: of the connection; without it nobody logs in but on this machine.
        ca: file of the certificates that are trusted; None: those of the system.
    """

    host: str
    port: int
    sender: str
    encryption: Encryption
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """Read `smtp[s]://user:password@host:port/?from=…&starttls=yes|no&ca=…`.

        STARTTLS is demanded unless the server is on this machine, or `starttls=no` says otherwise.

        Raises:
            ConfigurationError: it is not such an address; the message does not repeat the password.
        """
        parts = _split(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise _wrong(f"there is no option {', '.join(unknown)}; there are: {', '.join(_OPTIONS)}")
        host = parts.hostname or ""
        starttls = options.get("starttls") or ("no" if host in _LOOPBACK else "yes")
        if starttls not in ("yes", "no"):
            raise _wrong("starttls is yes or no")
        encryption: Encryption = "by STARTTLS" if starttls == "yes" else "none"
        if parts.scheme == "smtps":
            encryption = "from the beginning"
        user = None if parts.username is None else unquote(parts.username)
        if user is not None and encryption == "none" and host not in _LOOPBACK:
            raise _wrong("a password would cross the network in the clear; use smtps:// or leave starttls=no out")
        sender = options.get("from") or f"recsaas@{host}"
        if "@" not in parseaddr(sender)[1] or "\n" in sender or "\r" in sender:
            raise _wrong("from is an address such as shop@example.com")
        return cls(
            host=host,
            port=parts.port or _PORTS[parts.scheme],
            sender=sender,
            encryption=encryption,
            user=user,
            password=None if parts.password is None else unquote(parts.password),
            ca=options.get("ca") or None,
        )

    def send(self, message: EmailMessage) -> None:
        """Hand one mail over.

        Raises:
            AddressRefused: the server takes no mail for the recipient, now or later.
            MailServerError: it does not answer, does not let us in, or does not take the mail now.
        """
        try:
            with self._connected() as smtp:
                smtp.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, reason = next(iter(error.recipients.values()))
            said = _said(code, reason)
            if code >= 500:
                raise AddressRefused(f"{self.host} takes no mail for this address: {said}") from error
            raise MailServerError(f"{self.host} takes no mail for this address now: {said}") from error
        except smtplib.SMTPAuthenticationError as error:
            raise MailServerError(
                f"{self.host} refuses the user and password of RECSAAS_SMTP_URL ({error.smtp_code})."
            ) from error
        except smtplib.SMTPResponseException as error:
            raise MailServerError(
                f"{self.host} refuses the mail: {_said(error.smtp_code, error.smtp_error)}"
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailServerError(f"{self.host}:{self.port} cannot be used: {_reason(error)}") from error

    def check(self) -> str:
        """Connect, encrypt and log in, and send nothing; return what was found.

        Raises:
            MailServerError: something of it fails.
        """
        try:
            with self._connected() as smtp:
                smtp.noop()
        except smtplib.SMTPAuthenticationError as error:
            raise MailServerError(
                f"{self.host} refuses the user and password of RECSAAS_SMTP_URL ({error.smtp_code})."
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            raise MailServerError(f"{self.host}:{self.port} cannot be used: {_reason(error)}") from error
        logged_in = "logged in" if self.user is not None else "without a log-in"
        return f"{self.host}:{self.port}, encryption {self.encryption}, {logged_in}, mails come from {self.sender}"

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=self.ca)
        if self.encryption == "from the beginning":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_SECONDS, context=context)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
        with ExitStack() as opened:
            opened.callback(smtp.close)
            if self.encryption == "by STARTTLS":
                smtp.starttls(context=context)
            if self.user is not None:
                smtp.login(self.user, self.password or "")
            opened.pop_all()  # it went well, so it stays open
        return smtp


def message_of(*, mail_id: str, sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """Return a mail in plain text. Its Message-ID is the same at every try, by which a repeated one can be known.

    Raises:
        ValueError: no mail can have this recipient or this subject.
    """
    name, address = parseaddr(sender)
    message = EmailMessage()
    message["From"] = Address(name, addr_spec=address)
    local, at, domain = recipient.rpartition("@")
    if not (local and at and domain):
        raise ValueError("the recipient is not an address")
    message["To"] = Address(username=local, domain=domain)  # an `addr_spec` may only hold ASCII
    message["Subject"] = subject
    message["Message-ID"] = f"<{mail_id}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body)
    return message


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise _wrong("the host or the port is not one") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise _wrong("it reads smtp://user:password@host:port/?from=shop@example.com")
    return parts


def _wrong(reason: str) -> ConfigurationError:
    return ConfigurationError(f"RECSAAS_SMTP_URL is wrong: {reason}. See docs/accounts.md.")


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())[:200]}"


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:200]
