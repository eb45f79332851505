"""The thread that sends the mails that wait, whichever process has queued them."""

from __future__ import annotations

from threading import Event, Thread
from time import monotonic

import structlog
from sqlalchemy.exc import SQLAlchemyError

from resources.base.settings import Settings
from resources.base.times import Clock
from resources.control_db.engine import ControlDb
from resources.jobs.claims import OUTAGES, kept_claim
from resources.mail.outbox import SENDER, write_to_outbox
from resources.mail.server import AddressRefused, MailServer, message_of
from resources.mail.waiting import Mail, any_waits, keep_mail, mark_failed, mark_sent, remove_old_mails, take_mail

_POLL_SECONDS = 1.0
_RENEW_SECONDS = 4.0
_TIDY_SECONDS = 3600.0
_STOP_SECONDS = 3.0
_log = structlog.get_logger("recsaas.mail")


class MailWorker:
    """Sends mails by the server of `RECSAAS_SMTP_URL`, or puts them into the outbox where none is set.

    Raises:
        ConfigurationError: RECSAAS_SMTP_URL is not the address of a mail server.
    """

    def __init__(self, settings: Settings, db: ControlDb, clock: Clock) -> None:
        """Start nothing yet."""
        self._db = db
        self._clock = clock
        self._outbox = settings.outbox
        self._server = MailServer.parse(settings.smtp_url) if settings.smtp_url else None
        self._stop = Event()
        self._tidied_at = monotonic()
        self._thread = Thread(target=self._loop, name="mail-worker", daemon=True)

    def start(self) -> None:
        """Begin to look for mails."""
        self._thread.start()

    def stop(self) -> None:
        """End after the mail in hand; one that takes longer is sent, and written down by nobody before `LEASE` ends."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def send_next(self) -> bool:
        """Send the mail that has waited longest; tell whether there was one."""
        with self._db.read() as session:  # a look costs no turn of those who write
            if not any_waits(session, self._clock()):
                return False
        with self._db.write() as session:
            mail = take_mail(session, self._clock())
        if mail is None:
            return False
        try:
            with kept_claim(lambda: self._keep(mail), every=_RENEW_SECONDS, name="mail-claim"):
                self._send(mail)
        except AddressRefused as error:
            self._fail(mail, error, for_good=True)
        except (ValueError, *OUTAGES) as error:
            # An address or a subject that no mail can have stays so.
            self._fail(mail, error, for_good=isinstance(error, ValueError))
        else:
            with self._db.write() as session:
                mark_sent(session, mail, self._clock())
        return True

    def _send(self, mail: Mail) -> None:
        sender = self._server.sender if self._server is not None else SENDER
        message = message_of(
            mail_id=mail.id, sender=sender, recipient=mail.recipient, subject=mail.subject, body=mail.body
        )
        if self._server is not None:
            self._server.send(message)
            _log.info("mail_sent", mail=mail.id, template=mail.template, attempts=mail.attempts)
        else:
            file = write_to_outbox(self._outbox, mail.id, message)
            _log.info("mail_in_outbox", mail=mail.id, template=mail.template, file=file.name)

    def _keep(self, mail: Mail) -> bool:
        with self._db.write() as session:
            return keep_mail(session, mail, self._clock())

    def _fail(self, mail: Mail, error: Exception, *, for_good: bool) -> None:
        with self._db.write() as session:
            given_up = mark_failed(session, mail, str(error), self._clock(), for_good=for_good)
        kind = getattr(error, "code", type(error).__name__)
        _log.warning("mail_given_up" if given_up else "mail_waits", mail=mail.id, kind=kind, attempts=mail.attempts)

    def _tidy(self) -> None:
        if monotonic() - self._tidied_at < _TIDY_SECONDS:
            return
        self._tidied_at = monotonic()
        with self._db.write() as session:
            remove_old_mails(session, self._clock())

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                sent = self.send_next()
                if not sent:
                    self._tidy()
            except Exception as error:  # the edge: a thread that ended would leave all later mails waiting for ever
                known = isinstance(error, (SQLAlchemyError, *OUTAGES))
                _log.error("mail_worker_waits", kind=type(error).__name__, exc_info=None if known else error)
                sent = False
            if not sent:
                self._stop.wait(_POLL_SECONDS)
