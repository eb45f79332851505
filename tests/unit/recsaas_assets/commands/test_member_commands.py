"""`recsaas member …` and `recsaas office …`, as a person or a script calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from recsaas_assets.cli import cli
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb, open_control_db
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tenants import create_tenant
from resources.people.invites import accept_as_new
from resources.people.second_factor import begin_second_factor, confirm_second_factor
from tests.unit.resources.people.parts import BOSS, WAY, mails, member

JANE = "jane@example.com"


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlDb]:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    monkeypatch.setenv("RECSAAS_PUBLIC_URL", "https://shop.example.com/")
    db = open_control_db(f"sqlite:///{tmp_path}/control.db")
    create_tenant(db, TenantId("blue"), name="Blue", now=datetime.now(UTC))
    yield db
    db.close()


def recsaas(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=answer)


def told(*arguments: str) -> Any:
    done = recsaas(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def accepted(db: ControlDb, link: str) -> str:
    token = link.removeprefix("https://shop.example.com/invite/")
    with db.write() as session:
        return accept_as_new(session, token, name="Jane", password_hash="h", way=WAY, now=datetime.now(UTC)).id


def joined(db: ControlDb, email: str, role: str) -> str:
    return accepted(db, told("member", "invite", "blue", email, "--role", role)["link"])


def test_somebody_is_invited_by_a_link_that_is_mailed_and_printed(db: ControlDb) -> None:
    printed = recsaas("member", "invite", "blue", f" {JANE.upper()} ", "--role", "owner")
    assert printed.exit_code == 0, printed.output
    assert "https://shop.example.com/invite/" in printed.stdout
    assert "RECSAAS_SMTP_URL" in printed.stderr
    made = told("member", "invite", "blue", JANE, "--role", "owner")
    assert made["link"] in (mails(db, JANE)[-1].body or "")
    (waiting,) = told("member", "list", "blue")["invites"]
    assert (waiting["email"], waiting["role"], waiting["status"]) == (JANE, "owner", "open")
    accepted(db, made["link"])
    (found,) = told("member", "list", "blue")["members"]
    assert (found["email"], found["role"], found["second_factor"]) == (JANE, "owner", False)
    assert JANE in recsaas("member", "list", "blue").stdout
    with db.read() as session:
        (first, *_) = session.scalars(select(AuditRow).where(AuditRow.action == "invite.create"))
    assert (first.chain, first.actor_kind, first.source) == ("blue", "command", "command")


def test_roles_are_given_and_members_taken_out(db: ControlDb) -> None:
    joined(db, "owner@example.com", "owner")
    joined(db, JANE, "viewer")
    assert told("member", "role", "blue", JANE, "admin")["role"] == "admin"
    assert recsaas("member", "remove", "blue", JANE, answer="n\n").exit_code == 1
    assert len(told("member", "list", "blue")["members"]) == 2
    assert recsaas("member", "remove", "blue", JANE, answer="y\n").exit_code == 0
    assert [each["email"] for each in told("member", "list", "blue")["members"]] == ["owner@example.com"]
    for refused in (
        ("member", "remove", "blue", "owner@example.com", "--yes"),
        ("member", "role", "blue", "owner@example.com", "viewer"),
        ("member", "remove", "blue", JANE, "--yes"),
        ("member", "list", "nowhere"),
        ("member", "invite", "nowhere", JANE, "--role", "viewer"),
        ("member", "invite", "blue", "no address", "--role", "viewer"),
    ):
        done = recsaas(*refused, "--json")
        assert done.exit_code == 1, (refused, done.output)
    assert recsaas("member", "invite", "blue", JANE, "--role", "king").exit_code == 2


def test_the_office_has_a_first_super_admin_who_stays_the_last(db: ControlDb) -> None:
    assert "Invite the first one" in recsaas("office", "list").stderr
    accepted(db, told("office", "invite", JANE, "--role", "super_admin")["link"])
    (found,) = told("office", "list")["people"]
    assert (found["email"], found["office_role"]) == (JANE, "super_admin")
    assert JANE in recsaas("office", "list").stdout
    assert "last super admin" in recsaas("office", "remove", JANE, "--yes").stderr
    accepted(db, told("office", "invite", "two@example.com", "--role", "super_admin")["link"])
    assert recsaas("office", "remove", JANE, answer="n\n").exit_code == 1
    assert told("office", "remove", JANE, "--yes")["office_role"] is None
    assert [each["email"] for each in told("office", "list")["people"]] == ["two@example.com"]
    assert recsaas("office", "remove", "nobody@example.com", "--yes").exit_code == 1


def test_a_lost_second_factor_is_taken_away(db: ControlDb) -> None:
    jane = joined(db, JANE, "owner")
    assert recsaas("office", "reset-second-factor", JANE, "--yes").exit_code == 1
    now = datetime.now(UTC)
    with db.write() as session:
        secret = begin_second_factor(session, jane, now=now).secret
        code = pyotp.TOTP(secret).at(now - timedelta(hours=1))
        confirm_second_factor(session, jane, code, by=BOSS, now=now - timedelta(hours=1))
    assert recsaas("office", "reset-second-factor", JANE, answer="n\n").exit_code == 1
    assert member(db, jane).totp_confirmed_at is not None
    assert told("office", "reset-second-factor", JANE, "--yes")["second_factor"] is False
    assert member(db, jane).totp_confirmed_at is None
