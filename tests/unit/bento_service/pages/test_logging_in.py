"""Logging in and out with a browser, and who a cookie is for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyotp
import pytest
from fastapi import FastAPI

from recsaas_assets.commands.platform.demo_people import log_in_links
from resources.access.actor import SYSTEM
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.sessions import SessionRow
from resources.people.members import end_everything, hold_member, set_member_status, set_office_role
from resources.people.memberships import change_role
from resources.people.one_time_links import new_link
from resources.people.second_factor import begin_second_factor, confirm_second_factor
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.pages.browser import PASSWORD, Browser

pytestmark = pytest.mark.databases
JANE = "jane@example.com"
CUSTOMER, OFFICE = "__Host-recsaas", "__Host-recsaas-office"


def forgotten(app: FastAPI) -> None:
    """As if the time for which a session is believed were over."""
    app.state.services.sessions._found.clear()


def with_factor(db: ControlDb, member_id: str, watch: Any) -> tuple[pyotp.TOTP, tuple[str, ...]]:
    with db.write() as session:
        totp = pyotp.TOTP(begin_second_factor(session, member_id, now=watch()).secret)
    with db.write() as session:
        code = totp.at(watch())
        codes = confirm_second_factor(session, member_id, code, by=SYSTEM, now=watch())
    watch.now += timedelta(minutes=2)
    return totp, codes


def test_a_log_in_gives_a_cookie_that_scripts_and_other_hosts_do_not_see(
    browser: Browser, people: Any, blue_shop: TenantId
) -> None:
    people.add(JANE, shop=blue_shop)
    answer = browser.log_in(" Jane@Example.com ", keep="yes")
    assert (answer.status_code, answer.headers["location"]) == (303, "/app")
    (line,) = answer.headers.get_list("set-cookie")
    name, *attributes = line.split("; ")
    assert name.startswith(f"{CUSTOMER}=") and len(name.partition("=")[2]) >= 43
    assert {each.lower() for each in attributes} == {
        "httponly", "secure", "samesite=lax", "path=/", f"max-age={7 * 24 * 3600}"
    }  # fmt: skip
    shops = browser.get("/app")
    assert shops.status_code == 200 and "Blue" in shops.text and "owner" in shops.text


def test_without_the_box_the_browser_forgets_the_cookie_when_it_closes(browser: Browser, people: Any) -> None:
    people.add(JANE)
    assert "max-age" not in browser.log_in(JANE).headers["set-cookie"].lower()


def test_the_database_has_the_hash_of_the_cookie_alone(browser: Browser, people: Any, db: ControlDb) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    token = browser.cookies[CUSTOMER]
    with db.read() as session:
        (row,) = session.query(SessionRow).all()
        assert token not in str(vars(row))


@pytest.mark.parametrize(("email", "password"), [(JANE, "wrong"), ("nobody@example.com", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_have_one_answer(
    browser: Browser, people: Any, email: str, password: str
) -> None:
    people.add(JANE)
    answer = browser.log_in(email, password)
    assert answer.status_code == 401 and not browser.cookies
    assert "The e-mail address or the password is wrong." in answer.text
    assert f'"{password}"' not in answer.text


def test_too_many_wrong_passwords_say_how_long_to_wait(browser: Browser, people: Any) -> None:
    people.add(JANE)
    for _ in range(5):
        assert browser.log_in(JANE, "wrong").status_code == 401
    answer = browser.log_in(JANE)
    assert answer.status_code == 429 and "Wait 15 minutes" in answer.text
    assert int(answer.headers["retry-after"]) == 15 * 60


def test_who_is_not_logged_in_comes_back_to_the_page_that_was_asked_for(browser: Browser, people: Any) -> None:
    people.add(JANE)
    answer = browser.get("/account?tab=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount%3Ftab%3D1")
    assert 'value="/account?tab=1"' in browser.get(answer.headers["location"]).text
    assert browser.log_in(JANE, next="/account?tab=1").headers["location"] == "/account?tab=1"


@pytest.mark.parametrize(
    "goal", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\nb", "javascript:alert(1)"]
)
def test_a_log_in_leads_to_no_other_site(browser: Browser, people: Any, goal: str) -> None:
    people.add(JANE)
    assert browser.log_in(JANE, next=goal).headers["location"] == "/app"


def test_who_is_logged_in_needs_no_log_in_page(browser: Browser, people: Any) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    assert browser.get("/login").headers["location"] == "/app"


def test_a_cookie_of_one_app_is_nothing_in_the_other(browser: Browser, people: Any) -> None:
    people.add(JANE, office="developer")
    browser.log_in(JANE)
    browser.log_in(JANE, page="/office/login")
    customer, office = browser.cookies[CUSTOMER], browser.cookies[OFFICE]
    assert browser.get("/app").status_code == browser.get("/office").status_code == 200
    browser.cookies = {CUSTOMER: office, OFFICE: customer}
    assert browser.get("/app").headers["location"].startswith("/login")
    assert browser.get("/office").headers["location"].startswith("/office/login")


def test_the_office_is_closed_to_whoever_has_no_role_there(browser: Browser, people: Any) -> None:
    people.add(JANE)
    answer = browser.log_in(JANE, page="/office/login")
    assert answer.status_code == 403 and OFFICE not in browser.cookies and "no role in the office" in answer.text


def test_the_office_wants_a_second_factor_where_that_is_set(
    client: Client, app: FastAPI, people: Any, browser: Browser
) -> None:
    services = app.state.services
    object.__setattr__(services, "settings", services.settings.model_copy(update={"office_second_factor": "required"}))
    people.add(JANE, office="developer")
    answer = browser.log_in(JANE, page="/office/login")
    assert answer.status_code == 403 and "second factor" in answer.text and OFFICE not in browser.cookies


def test_a_second_factor_is_asked_for_on_its_own_page(
    browser: Browser, people: Any, db: ControlDb, watch: Any, app: FastAPI
) -> None:
    totp, codes = with_factor(db, people.add(JANE), watch)
    answer = browser.log_in(JANE, keep="yes", next="/account")
    assert answer.headers["location"] == "/login/code?next=%2Faccount" and CUSTOMER not in browser.cookies
    assert "Six" in browser.get("/login/code").text or "six digits" in browser.get("/login/code").text
    assert browser.get("/app").status_code == 303
    wrong = browser.post("/login/code", {"code": "000000", "next": "/account"})
    assert wrong.status_code == 401 and CUSTOMER not in browser.cookies
    right = browser.post("/login/code", {"code": totp.at(watch()), "next": "/account"})
    assert (right.status_code, right.headers["location"]) == (303, "/account")
    assert "max-age=604800" in str(right.headers.get_list("set-cookie")).lower()
    assert browser.get("/account").status_code == 200
    other = Browser(browser.client, address="203.0.113.7")
    other.log_in(JANE)
    assert other.post("/login/code", {"code": totp.at(watch())}).status_code == 401  # the step was used
    assert other.post("/login/code", {"code": codes[0]}).status_code == 303


def test_five_wrong_codes_want_the_password_again(browser: Browser, people: Any, db: ControlDb, watch: Any) -> None:
    totp, _ = with_factor(db, people.add(JANE), watch)
    browser.log_in(JANE)
    answers = [browser.post("/login/code", {"code": "000000"}).status_code for _ in range(6)]
    assert answers[0] == 401 and answers[-1] in (404, 429)
    right = browser.post("/login/code", {"code": totp.at(watch())})
    assert right.status_code in (303, 404, 429) and CUSTOMER not in browser.cookies


def test_a_log_in_waits_ten_minutes_for_its_code(browser: Browser, people: Any, db: ControlDb, watch: Any) -> None:
    totp, _ = with_factor(db, people.add(JANE), watch)
    browser.log_in(JANE)
    watch.now += timedelta(minutes=10, seconds=1)
    assert browser.post("/login/code", {"code": totp.at(watch())}).status_code == 404
    assert browser.get("/login/code").headers["location"] == "/login"


def test_a_log_out_ends_the_session_wherever_its_cookie_is(browser: Browser, people: Any, app: FastAPI) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    token = browser.cookies[CUSTOMER]
    assert browser.post("/logout").headers["location"] == "/login" and CUSTOMER not in browser.cookies
    browser.cookies[CUSTOMER] = token
    assert browser.get("/app").status_code == 303


def test_a_log_in_ends_the_session_that_the_browser_had(browser: Browser, people: Any) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    first = browser.cookies[CUSTOMER]
    browser.log_in(JANE)
    assert browser.cookies[CUSTOMER] != first
    browser.cookies[CUSTOMER] = first
    assert browser.get("/app").status_code == 303


def test_a_session_ends_twelve_hours_after_its_last_use(
    browser: Browser, people: Any, watch: Any, app: FastAPI
) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    for _ in range(3):
        watch.now += timedelta(hours=11)
        forgotten(app)
        assert browser.get("/app").status_code == 200
    watch.now += timedelta(hours=12)
    assert browser.get("/app").status_code == 303


@pytest.mark.parametrize("keep", ["", "yes"])
def test_no_session_outlives_seven_days(browser: Browser, people: Any, watch: Any, app: FastAPI, keep: str) -> None:
    people.add(JANE)
    browser.log_in(JANE, **({"keep": keep} if keep else {}))
    for _ in range(20):
        watch.now += timedelta(hours=8)
        forgotten(app)
        assert browser.get("/app").status_code == 200
    watch.now += timedelta(hours=8, seconds=1)
    assert browser.get("/app").status_code == 303


def test_the_last_use_is_written_at_most_once_a_minute(
    browser: Browser, people: Any, watch: Any, app: FastAPI, db: ControlDb
) -> None:
    def last_use() -> Any:
        with db.read() as session:
            return session.query(SessionRow).one().last_used_at

    people.add(JANE)
    browser.log_in(JANE)
    begun = watch.now
    watch.now += timedelta(seconds=59)
    forgotten(app)
    browser.get("/app")
    assert last_use() == begun
    watch.now += timedelta(seconds=1)
    forgotten(app)
    browser.get("/app")
    assert last_use() == watch.now


def test_whatever_ends_all_tokens_of_a_person_ends_sessions(
    browser: Browser, people: Any, db: ControlDb, watch: Any, app: FastAPI
) -> None:
    jane = people.add(JANE)
    for end in ("version", "suspend"):
        browser.log_in(JANE)
        assert browser.get("/app").status_code == 200
        with db.write() as session:
            if end == "version":
                end_everything(hold_member(session, jane))
            else:
                set_member_status(session, jane, "suspended", by=SYSTEM, now=watch())
        forgotten(app)
        assert browser.get("/app").status_code == 303


def test_a_changed_role_holds(browser: Browser, people: Any, db: ControlDb, watch: Any, app: FastAPI) -> None:
    people.add("owner@example.com", shop=None, office="super_admin")
    jane = people.add(JANE, office="developer")
    browser.log_in(JANE, page="/office/login")
    assert "developer" in browser.get("/office").text
    with db.write() as session:
        set_office_role(session, jane, "support_agent", by=SYSTEM, now=watch())
    forgotten(app)
    assert "support agent" in browser.get("/office").text
    with db.write() as session:
        set_office_role(session, jane, None, by=SYSTEM, now=watch())
    forgotten(app)
    assert browser.get("/office").headers["location"].startswith("/office/login")


def test_a_lowered_role_in_a_shop_holds(
    browser: Browser, people: Any, db: ControlDb, watch: Any, app: FastAPI, blue_shop: TenantId
) -> None:
    people.add("owner@example.com", shop=blue_shop)
    jane = people.add(JANE, shop=blue_shop, role="admin")
    browser.log_in(JANE)
    assert ">admin<" in browser.get("/app").text
    with db.write() as session:
        change_role(session, jane, blue_shop, "viewer", by=SYSTEM, now=watch())
    forgotten(app)
    assert ">viewer<" in browser.get("/app").text


def test_a_session_is_believed_for_three_seconds(people: Any, browser: Browser, app: FastAPI, db: ControlDb) -> None:
    people.add(JANE)
    browser.log_in(JANE)
    cache = app.state.services.sessions
    seconds = [0.0]
    cache._clock = lambda: seconds[0]
    assert browser.get("/app").status_code == 200
    with db.write() as session:
        session.query(SessionRow).update({"ended_at": app.state.services.clock()})
    seconds[0] = 2.9
    assert browser.get("/app").status_code == 200
    seconds[0] = 3.0
    assert browser.get("/app").status_code == 303


def test_pages_read_no_key_and_the_api_no_cookie(
    browser: Browser, people: Any, blue_shop: TenantId, app: FastAPI
) -> None:
    people.add(JANE, shop=blue_shop)
    browser.log_in(JANE)
    token = browser.cookies[CUSTOMER]
    assert browser.get("/api/v1/me").status_code == 401
    assert browser.get("/api/v1/me", Authorization=f"Bearer {token}").status_code == 401
    browser.cookies.clear()
    assert browser.get("/app", Authorization=f"Bearer {token}").status_code == 303


def test_a_link_logs_in_once_and_a_get_does_not_use_it_up(
    browser: Browser, people: Any, db: ControlDb, watch: Any
) -> None:
    jane = people.add(JANE, office="super_admin")
    with db.write() as session:
        link = new_link(session, jane, "log_in", now=watch(), data={"app": "office"})
    for _ in range(3):
        assert browser.get(f"/login/once/{link}").status_code == 200
    answer = browser.post(f"/login/once/{link}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/office")
    assert browser.get("/office").status_code == 200
    assert browser.post(f"/login/once/{link}").status_code == 404
    assert browser.get(f"/login/once/{link}").status_code == 404


def test_log_ins_and_log_outs_are_in_the_audit_log(browser: Browser, people: Any, db: ControlDb) -> None:
    jane = people.add(JANE)
    browser.log_in(JANE)
    browser.post("/logout")
    with db.read() as session:
        rows = session.query(AuditRow).filter(AuditRow.actor_id == jane).order_by(AuditRow.seq).all()
    assert [row.action for row in rows] == ["session.begin", "session.end"]
    assert {row.address for row in rows} == {"203.0.113.7"}


def test_a_refused_log_in_page_says_what_to_set(client: Client, people: Any) -> None:
    people.add(JANE)
    far = Browser(client, site="http://shop.example.com")
    for answer in (far.get("/login"), far.get("/office/login"), far.get("/signup"), far.log_in(JANE)):
        assert answer.status_code == 403
    assert "TLS" in answer.text or "RECSAAS_PUBLIC_URL" in far.get("/login").text
    assert not far.cookies


def test_behind_a_proxy_with_tls_one_may_log_in(app: FastAPI, client: Client, people: Any, settings: Settings) -> None:
    services = app.state.services
    public = services.settings.model_copy(update={"public_url": "https://recs.example.com"})
    object.__setattr__(services, "settings", public)
    people.add(JANE)
    near = Browser(client, site="http://recs.example.com")  # what arrives behind the proxy, with the host it was sent
    assert near.get("/login").status_code == 200
    old = {"Sec-Fetch-Site": "", "Origin": "https://recs.example.com"}
    assert near.post("/login", {"email": JANE, "password": PASSWORD}, **old).status_code == 303


def test_the_links_of_the_demo_lead_into_both_apps(
    browser: Browser, db: ControlDb, blue_shop: TenantId, watch: Any
) -> None:
    for _ in range(2):  # the demo runs again and again
        links = log_in_links(db, blue_shop, "", by=SYSTEM, now=watch())
        assert browser.post(links.customer).headers["location"] == "/app"
        assert browser.post(links.office).headers["location"] == "/office"
        assert "owner" in browser.get("/app").text and "super admin" in browser.get("/office").text


def test_a_link_into_the_office_is_of_no_use_where_that_wants_a_second_factor(
    browser: Browser, people: Any, db: ControlDb, watch: Any, app: FastAPI
) -> None:
    services = app.state.services
    jane = people.add(JANE, office="developer")
    with db.write() as session:
        office, shops = (
            new_link(session, jane, "log_in", now=watch(), data={"app": each}) for each in ("office", "customer")
        )
    object.__setattr__(services, "settings", services.settings.model_copy(update={"office_second_factor": "required"}))
    answer = browser.post(f"/login/once/{office}")
    assert answer.status_code == 403 and "wants a second factor" in answer.text and OFFICE not in browser.cookies
    assert browser.post(f"/login/once/{shops}").headers["location"] == "/app"
    with db.read() as session:
        begun = [row for row in session.query(AuditRow) if row.action == "session.begin"]
        assert [(row.actor_id, row.after) for row in begun] == [(jane, {"by": "one-use link"})]
