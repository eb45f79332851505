"""Logging in while something else happens to the account, and what is written of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pyotp
import pytest

from resources.base.errors import InvalidInput, LoginRefused, SecondFactorRequired
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.sessions import LoginFailureRow
from resources.people.members import end_everything, hold_member
from resources.people.memberships import add_membership
from resources.people.passwords import hash_password
from resources.people.second_factor import begin_second_factor, confirm_second_factor
from resources.sessions import login as login_module
from resources.sessions.login import Login, change_password, log_in
from resources.sessions.refresh_tokens import begin_family
from resources.sessions.throttle import admit, forget_failures
from resources.sessions.unfinished_logins import PasswordShown, begin_code_step, finish_with_code
from tests.unit.bento_service.people import BROWSER, PASSWORD, Person, logged_in, person
from tests.unit.resources.people.parts import BOSS, actions

pytestmark = pytest.mark.databases
JANE, NEW = "jane@example.com", "plain sofa window 7"
Shops = tuple[TenantId, TenantId]


def shop_of(_: Any, member: Any, membership: Any) -> str | None:
    return None if membership is None else membership.tenant.value


@pytest.fixture
def jane(db: ControlDb, shops: Shops, now: datetime) -> Person:
    return person(db, JANE, now=now, tenant=shops[0], password=PASSWORD)


@pytest.fixture
def resets(db: ControlDb, jane: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sets the password anew just after it was found right."""
    check: Callable[..., Any] = login_module.check_password

    def check_and_reset(*given: Any, **named: Any) -> Any:
        found = check(*given, **named)
        with db.write() as session:
            row = hold_member(session, jane.id)
            row.password_hash = hash_password(NEW, email=JANE)
            end_everything(row)
        return found

    monkeypatch.setattr(login_module, "check_password", check_and_reset)


@pytest.mark.usefixtures("resets")
def test_a_password_that_was_right_before_a_reset_begins_nothing(db: ControlDb, jane: Person, now: datetime) -> None:
    with pytest.raises(LoginRefused):
        log_in(db, Login(JANE, PASSWORD, BROWSER), shop_of, now=now)
    assert "session.begin" not in actions(db, "blue")


@pytest.mark.usefixtures("resets")
def test_a_password_that_was_right_before_a_reset_changes_nothing(db: ControlDb, jane: Person, now: datetime) -> None:
    with pytest.raises(LoginRefused):
        change_password(db, jane.id, PASSWORD, "another plain sofa 3", shop_of, BROWSER, now=now)
    assert "member.password" not in actions(db)


def test_the_new_password_is_another_than_the_present_one(db: ControlDb, jane: Person, now: datetime) -> None:
    with pytest.raises(InvalidInput, match="the one that you have"):
        change_password(db, jane.id, PASSWORD, PASSWORD, shop_of, BROWSER, now=now)


@pytest.mark.usefixtures("jane")
def test_many_who_are_right_at_once_all_get_in(db: ControlDb, now: datetime) -> None:
    together = Barrier(4)

    def come_in(number: int) -> int:
        together.wait(30)
        for _ in range(25):
            with db.write() as session:
                attempt = admit(session, JANE, BROWSER.address, now=now)
            with db.write() as session:
                forget_failures(session, attempt)
        return number

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(come_in, range(4))) == list(range(4))


def test_a_log_in_with_a_code_ends_as_one_without(db: ControlDb, shops: Shops, jane: Person, now: datetime) -> None:
    with db.write() as session:
        add_membership(session, hold_member(session, jane.id), shops[1], "viewer", by=BOSS, now=now)
        secret = begin_second_factor(session, jane.id, now=now).secret
        codes = confirm_second_factor(session, jane.id, pyotp.TOTP(secret).at(now), by=BOSS, now=now)
    last = Login(JANE, PASSWORD, BROWSER, code=codes[0], tenant=shops[1])
    log_in(db, last, lambda *of: begin_family(*of, BROWSER, now=now + timedelta(seconds=1)), now=now)
    with pytest.raises(SecondFactorRequired):
        log_in(db, replace(last, code=None), shop_of, now=now)
    token = begin_code_step(db, PasswordShown(JANE, kept=False), now=now)
    later = now + timedelta(seconds=2)
    assert finish_with_code(db, token, codes[1], shop_of, BROWSER, now=later) == "green"
    assert actions(db, "green")[-2:] == ["session.begin", "session.begin"]
    assert "session.begin" not in actions(db)


def test_a_log_in_deletes_nothing_of_others(db: ControlDb, jane: Person, now: datetime) -> None:
    with db.write() as session:
        admit(session, "other@example.com", "192.0.2.8", now=now - timedelta(days=2))
    log_in(db, Login(JANE, PASSWORD, BROWSER), shop_of, now=now)
    logged_in(db, jane.id, now=now)
    with db.read() as session:
        assert session.query(LoginFailureRow).filter(LoginFailureRow.name.startswith("pair:")).count() == 1
