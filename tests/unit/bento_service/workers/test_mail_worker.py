"""The worker that sends mails: to a server or into the outbox, and again when the server is back."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from bento_service.workers.mail_worker import MailWorker
from resources.base.settings import Settings
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MailRow
from resources.mail.queue import queue_mail
from tests.mail.server import REFUSED, free_port, mail_server
from tests.unit.bento_service.shop import NOW

SECRET = "s3cret-of-the-server"
LINK = "https://shop.example.com/reset/a-secret-token"


def queued(db: ControlDb, recipient: str = "jane@example.com") -> str:
    with db.write() as session:
        return queue_mail(session, recipient, "reset", {"link": LINK, "minutes": 30}, tenant=None, now=NOW)


def row(db: ControlDb, mail_id: str) -> MailRow:
    with db.read() as session:
        return session.get_one(MailRow, mail_id)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_a_server_mails_lie_in_the_outbox(
    settings: Settings, db: ControlDb, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = MailWorker(settings, db, lambda: NOW)
    mail_id = queued(db)
    assert worker.send_next()
    assert not worker.send_next()
    file = settings.outbox / f"{mail_id}.eml"
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert mail["To"] == "jane@example.com"
    assert LINK in mail.get_content()  # type: ignore[attr-defined]
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, settings.outbox)] == [0o600, 0o700]
    assert [path.name for path in settings.outbox.iterdir()] == [file.name]
    assert (row(db, mail_id).sent_at, row(db, mail_id).body) == (NOW, None)
    said = capsys.readouterr().out
    assert f'"file": "{file.name}"' in said
    assert "jane" not in said
    assert "a-secret-token" not in said


def test_a_server_that_is_away_costs_time_and_no_mail(
    settings: Settings, db: ControlDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    url = f"smtp://user:{SECRET}@127.0.0.1:{port}/?starttls=no"
    worker = MailWorker(settings.model_copy(update={"smtp_url": url}), db, lambda: NOW)
    mail_id = queued(db)
    assert worker.send_next()
    found = row(db, mail_id)
    assert (found.sent_at, found.failed_at, found.attempts) == (None, None, 1)
    assert found.not_before > NOW
    assert found.body is not None
    assert not worker.send_next()  # it rests
    with mail_server(tmp_path / "mails", port=port) as server:
        later = MailWorker(
            settings.model_copy(update={"smtp_url": url.replace(f"user:{SECRET}@", "")}), db, lambda: found.not_before
        )
        assert later.send_next()
        assert len(server.mails()) == 1
    said = capsys.readouterr().out
    assert SECRET not in f"{said}{found.error}"
    assert SECRET not in repr(settings.model_copy(update={"smtp_url": url}))


def test_one_recipient_who_is_refused_holds_nobody_up(settings: Settings, db: ControlDb, tmp_path: Path) -> None:
    with mail_server(tmp_path / "mails") as server:
        smtp = {"smtp_url": f"smtp://127.0.0.1:{server.port}"}
        worker = MailWorker(settings.model_copy(update=smtp), db, lambda: NOW)
        ids = [queued(db, recipient) for recipient in (REFUSED, "not an address", "jane@example.com")]
        assert [worker.send_next() for _ in range(4)] == [True, True, True, False]
        assert [mail["To"] for mail in server.mails()] == ["jane@example.com"]
    found = [row(db, mail_id) for mail_id in ids]
    assert [each.failed_at is not None for each in found] == [True, True, False]
    assert [each.body for each in found] == [None, None, None]


@pytest.mark.databases
def test_two_workers_send_each_mail_once(settings: Settings, db: ControlDb, tmp_path: Path) -> None:
    with mail_server(tmp_path / "mails") as server:
        smtp = {"smtp_url": f"smtp://127.0.0.1:{server.port}"}
        workers = [MailWorker(settings.model_copy(update=smtp), db, lambda: NOW) for _ in range(3)]
        ids = [queued(db, f"person{number}@example.com") for number in range(12)]
        for worker in workers:
            worker.start()
        until(lambda: all(row(db, mail_id).sent_at is not None for mail_id in ids))
        for worker in workers:
            worker.stop()
        assert sorted(str(mail["To"]) for mail in server.mails()) == sorted(f"person{n}@example.com" for n in range(12))
