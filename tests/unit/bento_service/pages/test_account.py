"""Signing up, links of mails, invitations, and the account page."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from fastapi import FastAPI

from bento_service.http.errors import Busy
from bento_service.pages.account import second_factor
from bento_service.pages.entry import invites
from resources.access.actor import SYSTEM
from resources.base.errors import Conflict
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.people import MailRow
from resources.people.invites import invite, invite_to_office
from resources.people.members import member_by_email
from resources.people.one_time_links import new_link
from resources.sessions.throttle import ACCOUNT_FAILURES, RESETS, admit
from tests.unit.bento_service.pages.browser import PASSWORD, Browser
from tests.unit.bento_service.shop import NOW

pytestmark = pytest.mark.databases
JANE = "jane@example.com"
NEW = "quite other words here"
SIGN_UP = {"email": JANE, "password": PASSWORD, "shop_name": "Jane's lamps", "shop_id": "lamps", "currency": "EUR"}


@pytest.fixture
def other(browser: Browser) -> Browser:
    return Browser(browser.client, address="203.0.113.99")


def mailed(db: ControlDb, page: str) -> str:
    """The token of the newest link to a page that is in a mail."""
    with db.read() as session:
        bodies = [row.body or "" for row in session.query(MailRow).order_by(MailRow.created_at)]
    return re.findall(rf"/{page}/([\w-]+)", "\n".join(bodies))[-1]


def test_a_sign_up_ends_in_the_own_shop(browser: Browser, db: ControlDb) -> None:
    assert 'name="shop_id"' in browser.get("/signup").text
    answer = browser.post("/signup", SIGN_UP)
    assert (answer.status_code, answer.headers["location"]) == (303, "/app"), answer.text
    assert "Jane&#39;s lamps" in browser.get("/app").text
    verify = f"/verify/{mailed(db, 'verify')}"
    for _ in range(2):
        assert JANE in browser.get(verify).text
    assert browser.post(verify).status_code == 200
    assert browser.post(verify).status_code == 404
    assert "confirmed" in browser.get("/account").text


def test_a_sign_up_that_does_not_fit_is_shown_again_with_what_is_wrong(browser: Browser, db: ControlDb) -> None:
    answer = browser.post("/signup", {**SIGN_UP, "password": "short"})
    assert answer.status_code == 422 and "12 to 200 characters" in answer.text
    assert 'value="lamps"' in answer.text and "short" not in answer.text
    browser.post("/signup", SIGN_UP)
    taken = browser.post("/signup", {**SIGN_UP, "email": "other@example.com"})
    assert taken.status_code == 409 and "lamps-" in taken.text


def test_somebody_with_a_second_factor_signs_another_shop_up_by_a_code(
    browser: Browser, people: Any, watch: Any
) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    setup = browser.post("/account/second-factor", {"password": PASSWORD})
    totp = pyotp.TOTP(re.findall(r'class="secret">([A-Z2-7]+)<', setup.text)[0])
    browser.post("/account/second-factor/confirm", {"code": totp.at(watch())})
    watch.now += timedelta(minutes=2)
    assert 'name="code"' in browser.get("/signup").text
    without = browser.post("/signup", SIGN_UP)
    assert without.status_code == 401 and "six digits" in without.text
    wrong = browser.post("/signup", {**SIGN_UP, "code": "000000"})
    assert wrong.status_code == 401 and "000000" not in wrong.text
    answer = browser.post("/signup", {**SIGN_UP, "code": totp.at(watch())})
    assert (answer.status_code, answer.headers["location"]) == (303, "/app"), answer.text
    assert "Jane&#39;s lamps" in browser.get("/app").text


def test_nobody_signs_up_where_that_is_by_invitation(browser: Browser, app: FastAPI) -> None:
    services = app.state.services
    object.__setattr__(services, "settings", services.settings.model_copy(update={"signup": "invited"}))
    assert "invitation" in browser.get("/signup").text and 'name="shop_id"' not in browser.get("/signup").text
    assert browser.post("/signup", SIGN_UP).status_code == 403


def test_a_forgotten_password_is_set_anew_by_a_link(
    browser: Browser, other: Browser, people: Any, db: ControlDb, app: FastAPI
) -> None:
    people.add(JANE)
    other.log_in(JANE)
    known, unknown = (browser.post("/forgot", {"email": each}) for each in (JANE, "nobody@example.com"))
    strip = re.compile(r"request <code>\w+")
    assert strip.sub("", known.text) == strip.sub("", unknown.text)
    reset = f"/reset/{mailed(db, 'reset')}"
    assert JANE in browser.get(reset).text
    differ = browser.post(reset, {"password": NEW, "again": "another one"})
    assert differ.status_code == 422 and "not the one above" in differ.text
    assert browser.post(reset, {"password": NEW, "again": NEW}).status_code == 200
    assert browser.post(reset, {"password": NEW, "again": NEW}).status_code == 404
    app.state.services.sessions._found.clear()
    assert other.get("/app").status_code == 303
    assert browser.log_in(JANE).status_code == 401
    assert browser.log_in(JANE, NEW).status_code == 303


def test_one_address_asks_for_no_links_without_end(browser: Browser, other: Browser) -> None:
    answers = [browser.post("/forgot", {"email": f"nobody{number}@example.com"}) for number in range(RESETS + 2)]
    assert (answers[0].status_code, answers[-1].status_code) == (200, 429)
    assert "retry-after" in answers[-1].headers
    assert other.post("/forgot", {"email": JANE}).status_code == 200


def test_a_new_password_lets_its_owner_in_however_many_have_guessed(
    browser: Browser, people: Any, db: ControlDb
) -> None:
    people.add(JANE)
    with db.write() as session:
        for number in range(ACCOUNT_FAILURES):
            admit(session, JANE, f"198.51.100.{number}", now=NOW)
    assert browser.log_in(JANE).status_code == 429
    browser.post("/forgot", {"email": JANE})
    assert browser.post(f"/reset/{mailed(db, 'reset')}", {"password": NEW, "again": NEW}).status_code == 200
    assert browser.log_in(JANE, NEW).status_code == 303


def test_an_old_link_offers_a_new_one(browser: Browser, people: Any, db: ControlDb, watch: Any) -> None:
    people.add(JANE)
    browser.post("/forgot", {"email": JANE})
    watch.now += timedelta(minutes=31)
    answer = browser.get(f"/reset/{mailed(db, 'reset')}")
    assert answer.status_code == 404 and 'href="/forgot"' in answer.text


def test_somebody_new_accepts_an_invitation(
    browser: Browser, people: Any, db: ControlDb, blue_shop: TenantId, settings: Settings
) -> None:
    with db.write() as session:
        invite(session, blue_shop, JANE, "editor", by=SYSTEM, site_url=settings.site_url, now=NOW)
    page = f"/invite/{mailed(db, 'invite')}"
    assert "Blue" in browser.get(page).text and "editor" in browser.get(page).text
    answer = browser.post(page, {"name": "Jane", "password": PASSWORD, "again": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/app"), answer.text
    assert "editor" in browser.get("/app").text
    assert browser.post(page, {"name": "Jane", "password": PASSWORD, "again": PASSWORD}).status_code == 404


def test_a_member_accepts_an_invitation_after_logging_in(
    browser: Browser, people: Any, db: ControlDb, blue_shop: TenantId, settings: Settings, app: FastAPI
) -> None:
    people.add(JANE)
    people.add("other@example.com")
    with db.write() as session:
        invite(session, blue_shop, JANE, "viewer", by=SYSTEM, site_url=settings.site_url, now=NOW)
    page = f"/invite/{mailed(db, 'invite')}"
    assert "Log in as jane@example.com" in browser.get(page).text
    assert browser.post(page).headers["location"] == f"/login?next={page}"
    browser.log_in("other@example.com")
    assert browser.post(page).status_code == 403
    browser.log_in(JANE)
    assert browser.post(page).headers["location"] == "/app"
    app.state.services.sessions._found.clear()
    assert "viewer" in browser.get("/app").text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_invitation_that_cannot_be_read_now_is_told_of(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def busy(*_: Any) -> None:
        raise Busy("Too many wait.")

    monkeypatch.setattr(invites, "find_invite", busy)
    answer = browser.get("/invite/x") if method == "GET" else browser.post("/invite/x", {"password": PASSWORD})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), answer.text
    assert "Too many wait." in answer.text


def test_an_invitation_into_the_office_leads_there(browser: Browser, db: ControlDb, settings: Settings) -> None:
    with db.write() as session:
        invite_to_office(session, JANE, "super_admin", by=SYSTEM, site_url=settings.site_url, now=NOW)
    page = f"/invite/{mailed(db, 'invite')}"
    assert "super admin" in browser.get(page).text
    answer = browser.post(page, {"password": PASSWORD, "again": PASSWORD})
    assert answer.headers["location"] == "/office"
    assert browser.get("/office").status_code == 200


def test_a_new_password_ends_other_sessions_and_not_this_one(
    browser: Browser, other: Browser, people: Any, app: FastAPI
) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    other.log_in(JANE)
    wrong = browser.post("/account/password", {"current": "wrong", "password": NEW, "again": NEW})
    assert wrong.status_code == 401 and "present password is wrong" in wrong.text
    changed = browser.post("/account/password", {"current": PASSWORD, "password": NEW, "again": NEW})
    assert changed.headers["location"] == "/account"
    app.state.services.sessions._found.clear()
    assert browser.get("/account").status_code == 200
    assert other.get("/account").status_code == 303


def test_a_second_factor_is_set_up_used_and_taken_away(
    browser: Browser, other: Browser, people: Any, watch: Any, app: FastAPI
) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    setup = browser.post("/account/second-factor", {"password": PASSWORD})
    found = re.search(r'class="secret">([A-Z2-7]+)<', setup.text)
    assert found is not None and "<svg" in setup.text and "style=" not in setup.text
    totp = pyotp.TOTP(found[1])
    wrong = browser.post("/account/second-factor/confirm", {"code": "000000"})
    assert wrong.status_code == 422 and found[1] in wrong.text
    done = browser.post("/account/second-factor/confirm", {"code": totp.at(watch())})
    codes = re.findall(r"<li><code>([\w-]+)</code>", done.text)
    assert done.status_code == 200 and len(codes) == 10
    assert "10 recovery codes are left" in browser.get("/account").text
    assert other.log_in(JANE).headers["location"] == "/login/code"
    assert other.post("/login/code", {"code": codes[0]}).status_code == 303
    refused = browser.post("/account/second-factor/remove", {"code": codes[0]})
    assert refused.status_code == 422
    renewed = browser.post("/account/recovery-codes", {"code": codes[1]})
    assert len(re.findall(r"<li><code>", renewed.text)) == 10 and codes[2] not in renewed.text
    watch.now += timedelta(minutes=2)
    assert browser.post("/account/second-factor/remove", {"code": totp.at(watch())}).status_code == 303
    app.state.services.sessions._found.clear()
    assert browser.get("/account").status_code == 200 and other.get("/account").status_code == 303


def test_a_second_factor_is_begun_by_whoever_knows_the_password_alone(
    browser: Browser, people: Any, db: ControlDb
) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    without = browser.post("/account/second-factor")
    assert without.status_code == 422 and "needed to set a second factor up" in without.text
    wrong = [browser.post("/account/second-factor", {"password": "wrong"}) for _ in range(6)]
    assert (wrong[0].status_code, wrong[-1].status_code) == (401, 429)
    assert "present password is wrong" in wrong[0].text
    with db.read() as session:
        member = member_by_email(session, JANE)
        assert member is not None and member.totp_secret is None


def test_whoever_logs_in_without_a_password_begins_a_second_factor_without_one(
    browser: Browser, people: Any, db: ControlDb
) -> None:
    jane = people.add(JANE, password=False)
    with db.write() as session:
        link = new_link(session, jane, "log_in", now=NOW, data={"app": "customer"})
    assert browser.post(f"/login/once/{link}").status_code == 303
    assert 'id="factor-password"' not in browser.get("/account").text
    assert 'class="secret"' in browser.post("/account/second-factor").text


@pytest.mark.parametrize("page", ["/account/second-factor/remove", "/account/recovery-codes"])
def test_what_takes_a_code_says_that_there_is_no_second_factor(browser: Browser, people: Any, page: str) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    assert [browser.post(page, {"code": "123456"}).status_code for _ in range(6)] == [409] * 6


@pytest.mark.parametrize(
    ("page", "broken"),
    [
        ("/account/second-factor/remove", "remove_second_factor"),
        ("/account/recovery-codes", "renew_recovery_codes"),
    ],
)
def test_a_code_is_used_up_together_with_what_it_is_for(
    browser: Browser, people: Any, watch: Any, monkeypatch: pytest.MonkeyPatch, page: str, broken: str
) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    setup = browser.post("/account/second-factor", {"password": PASSWORD})
    totp = pyotp.TOTP(re.findall(r'class="secret">([A-Z2-7]+)<', setup.text)[0])
    browser.post("/account/second-factor/confirm", {"code": totp.at(watch())})
    watch.now += timedelta(minutes=2)

    def fail(*_: Any, **__: Any) -> None:
        raise Conflict("Not now.")

    with monkeypatch.context() as broken_once:
        broken_once.setattr(second_factor, broken, fail)
        assert browser.post(page, {"code": totp.at(watch())}).status_code == 409
    assert browser.post(page, {"code": totp.at(watch())}).status_code in (200, 303)


def test_sessions_are_listed_and_ended(browser: Browser, other: Browser, people: Any, app: FastAPI) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    other.log_in(JANE)
    stranger = people.add("other@example.com")
    page = browser.get("/account").text
    assert "203.0.113.99" in page and "this one" in page
    (session_id,) = re.findall(r'action="/account/sessions/([\w-]+)/end"', page)
    third = Browser(browser.client, address="203.0.113.55")
    third.log_in("other@example.com")
    assert stranger and third.post(f"/account/sessions/{session_id}/end").status_code == 404
    assert browser.post(f"/account/sessions/{session_id}/end").status_code == 303
    app.state.services.sessions._found.clear()
    assert other.get("/app").status_code == 303
    other.log_in(JANE)
    assert browser.post("/account/end-other-sessions").status_code == 303
    app.state.services.sessions._found.clear()
    assert other.get("/app").status_code == 303 and browser.get("/app").status_code == 200


def test_name_and_colours_are_saved(browser: Browser, people: Any, db: ControlDb) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    assert browser.post("/account/name", {"name": " Jane "}).status_code == 303
    with db.read() as session:
        member = member_by_email(session, JANE)
        assert member is not None and member.name == "Jane"
    assert browser.post("/account/name", {"name": "x" * 300}).status_code == 422
    assert browser.post("/account/theme", {"theme": "dark"}).status_code == 303
    assert '<html lang="en" data-theme="dark">' in browser.get("/account").text
    assert browser.post("/account/theme", {"theme": "neon"}).status_code == 422


def test_one_leaves_a_shop_and_its_last_owner_does_not(
    browser: Browser, people: Any, blue_shop: TenantId, app: FastAPI
) -> None:
    people.add("owner@example.com", shop=blue_shop)
    people.add(JANE, shop=blue_shop, role="viewer")
    browser.log_in(JANE)
    assert browser.post("/account/shops/green/leave").status_code == 404
    assert browser.post("/account/shops/blue/leave").status_code == 303
    assert "You belong to no shop yet" in browser.get("/app").text
    browser.log_in("owner@example.com")
    assert browser.post("/account/shops/blue/leave").status_code == 409


def test_a_link_to_log_in_is_of_no_use_with_a_second_factor(
    browser: Browser, people: Any, db: ControlDb, watch: Any
) -> None:
    jane = people.add(JANE)
    with db.write() as session:
        link = new_link(session, jane, "log_in", now=watch(), data={"app": "customer"})
        member = member_by_email(session, JANE)
        assert member is not None
        member.totp_confirmed_at = watch()
    assert browser.post(f"/login/once/{link}").status_code == 403
