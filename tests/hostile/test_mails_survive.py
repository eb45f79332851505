"""Mails while the mail server is away and the service is killed: each goes out, and goes out once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from recsaas_assets.benchmarks.serving.serve_process import service
from recsaas_assets.benchmarks.workplace import Workplace
from resources.access.scopes import SCOPES
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tables.people import MailRow
from resources.control_db.tenants import create_tenant
from resources.databases.opening import POSTGRESQL, SQLITE
from resources.storage.lake import Lake
from tests.mail.server import PASSWORD, USER, free_port, mail_server, make_certificate
from tests.postgresql.server import PostgresServer
from tests.unit.bento_service.shop import NOW

pytestmark = pytest.mark.long
SECRET = "p%40ss%20word%2F1"
INVITED = 12
_SECONDS = 90.0


@pytest.fixture(params=[SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.postgresql)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    if request.param == SQLITE:
        return Settings(home=home)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return Settings(home=home, database=server.url(server.database()))


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows(db: ControlDb) -> list[MailRow]:
    with db.read() as session:
        return list(session.query(MailRow))


def test_no_mail_is_lost_or_doubled(settings: Settings, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    port = free_port()
    url = f"smtp://{USER}:{SECRET}@127.0.0.1:{port}/?starttls=yes&ca={tmp_path / 'server.crt'}&from=shop@example.com"
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    tenant = TenantId("blue")
    create_tenant(db, tenant, name="Blue", now=NOW)
    _, key = create_api_key(db, tenant, name="all", scopes=SCOPES, now=NOW)
    headers = {"Authorization": f"Bearer {key}"}
    place = Workplace(settings, lake, db)
    variables = {"RECSAAS_SMTP_URL": url, "RECSAAS_PUBLIC_URL": "https://shop.example.com"}
    try:
        with service(place, workers=2, variables=variables) as served:
            for number in range(INVITED):
                body = {"email": f"person{number}@example.com", "role": "viewer"}
                made = httpx.post(f"{served.url}/api/v1/invites", json=body, headers=headers, timeout=30)
                assert made.status_code == 201, made.text
            until(lambda: all(each.attempts for each in rows(db)))  # tried, and the server is away
            assert not any(each.sent_at for each in rows(db))
            for process in (served.process, *served.process.children(recursive=True)):
                kill(process)
        first = served.log.read_text(errors="replace")
        with mail_server(tmp_path / "mails", "starttls", port=port, login=True) as mails:
            with service(place, workers=2, variables=variables) as served:
                until(lambda: all(each.sent_at for each in rows(db)))
                started = time.monotonic()
                body = {"email": "prompt@example.com", "role": "viewer"}
                httpx.post(f"{served.url}/api/v1/invites", json=body, headers=headers, timeout=30)
                until(lambda: len(mails.mails()) > INVITED)
                prompt = time.monotonic() - started
            sent = Counter(str(mail["To"]) for mail in mails.mails())
        assert sent == Counter([*(f"person{number}@example.com" for number in range(INVITED)), "prompt@example.com"])
        assert all(each.body is None for each in rows(db))
        assert prompt < 30  # 1 s and a little on an idle machine
        said = first + served.log.read_text(errors="replace")
        assert json.dumps("mail_waits") in said
        assert json.dumps("mail_sent") in said
        for secret in (SECRET, PASSWORD, "person0@example.com", "/invite/"):
            assert secret not in said
    finally:
        db.close()


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()
