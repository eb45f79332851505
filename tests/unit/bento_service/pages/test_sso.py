"""Logging in by an OpenID provider, a right one and wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI

from bento_service.sso import keys as provider_keys
from bento_service.sso.provider import provider_of
from resources.access.actor import SYSTEM
from resources.base.errors import SsoUnavailable
from resources.base.settings import Settings
from resources.base.tenant import TenantId
from resources.control_db.engine import ControlDb
from resources.control_db.tables.audit import AuditRow
from resources.control_db.tables.people import MemberRow
from resources.control_db.tenants import change_settings
from resources.people.invites import invite_to_office
from resources.people.members import member_by_id
from tests.sso.provider import CLIENT_ID, CLIENT_SECRET, Provider, running_provider
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.pages.browser import Browser
from tests.unit.bento_service.shop import NOW

pytestmark = pytest.mark.databases
JANE = "jane@example.com"
OFFICE = "__Host-recsaas-office"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.now = NOW.timestamp()
        yield provider


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    return settings.model_copy(
        update={
            "oidc_issuer": provider.address,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_allowed_domains": "example.com",
            "public_url": "http://127.0.0.1:8000",
        }
    )


def start(browser: Browser, provider: Provider, page: str = "/office/login/sso") -> dict[str, str]:
    """Go to the provider and log in there; return what one comes back with."""
    answer = browser.get(page)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith(f"{provider.address}/auth?")
    return provider.log_in(answer.headers["location"])


def back(browser: Browser, query: dict[str, str], page: str = "/office/login/sso/callback") -> httpx.Response:
    return browser.get(f"{page}?{urlencode(query)}")


def log_in(browser: Browser, provider: Provider) -> httpx.Response:
    return back(browser, start(browser, provider))


def test_an_invited_person_comes_into_the_office(
    browser: Browser, provider: Provider, db: ControlDb, settings: Settings
) -> None:
    with db.write() as session:
        invite_to_office(session, JANE, "support_agent", by=SYSTEM, site_url=settings.site_url, now=NOW)
    answer = log_in(browser, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/office"), answer.text
    assert "support agent" in browser.get("/office").text
    with db.read() as session:
        (member,) = session.query(MemberRow).all()
        assert (member.sso_issuer, member.sso_subject) == (provider.address, "p-1")
        actions = [row.action for row in session.query(AuditRow).order_by(AuditRow.seq)]
    assert "member.sso" in actions and actions[-1] == "session.begin"
    provider.told["email"] = "married@example.com"  # known again by the subject
    assert log_in(browser, provider).status_code == 303


def test_a_stranger_stays_out(browser: Browser, provider: Provider, people: Any) -> None:
    people.add(JANE)  # a customer is nobody of the office
    answer = log_in(browser, provider)
    assert answer.status_code == 403 and "Nobody has invited" in answer.text and OFFICE not in browser.cookies


def test_another_domain_stays_out(browser: Browser, provider: Provider, people: Any) -> None:
    people.add("jane@elsewhere.example", office="developer")
    provider.told["email"] = "jane@elsewhere.example"
    assert log_in(browser, provider).status_code == 403


@pytest.mark.parametrize("verified", [False, None, "true"])
def test_an_address_that_the_provider_has_not_verified_finds_nobody(
    browser: Browser, provider: Provider, people: Any, verified: Any
) -> None:
    people.add(JANE, office="developer")
    provider.told["email_verified"] = verified
    assert log_in(browser, provider).status_code == 403


@pytest.mark.parametrize(("groups", "role"), [(["help", "admins"], "super admin"), ("help", "support agent"), ([], "")])
def test_the_role_is_that_of_the_groups(
    browser: Browser, provider: Provider, people: Any, app: FastAPI, groups: Any, role: str
) -> None:
    services = app.state.services
    rules = services.settings.model_copy(update={"oidc_roles": "admins=super_admin;help=support_agent"})
    object.__setattr__(services, "settings", rules)
    people.add("first@example.com", office="super_admin")
    people.add(JANE, office="developer")
    provider.told["groups"] = groups
    answer = log_in(browser, provider)
    assert answer.status_code == (303 if role else 403)
    if role:
        assert role in browser.get("/office").text


def test_a_password_that_was_set_before_the_address_was_verified_is_gone(
    browser: Browser, provider: Provider, people: Any, db: ControlDb
) -> None:
    jane = people.add(JANE, office="developer", verified=False)
    thief = Browser(browser.client, address="198.51.100.9")
    thief.log_in(JANE)
    assert thief.get("/app").status_code == 200
    assert log_in(browser, provider).status_code == 303
    with db.read() as session:
        member = member_by_id(session, jane)
        assert member.password_hash is None and member.email_verified_at == NOW
    assert thief.log_in(JANE).status_code == 401


def test_an_address_that_the_provider_gave_to_another_finds_nobody(
    browser: Browser, provider: Provider, people: Any
) -> None:
    people.add(JANE, office="developer")
    assert log_in(browser, provider).status_code == 303
    provider.told["sub"] = "p-2"
    answer = log_in(browser, provider)
    assert answer.status_code == 403 and "another person" in answer.text


WRONG: dict[str, dict[str, Any]] = {
    "nonce of another log-in": {"nonce": "other"},
    "no nonce": {"nonce": None},
    "for another client": {"aud": "other"},
    "for another client, too, and not made for us": {"aud": [CLIENT_ID, "other"], "azp": "other"},
    "of another issuer": {"iss": "http://127.0.0.1:1"},
    "expired": {"exp": int(NOW.timestamp()) - 31},
    "without an end": {"exp": None},
    "made in the future": {"iat": int(NOW.timestamp()) + 3600},
    "of nobody": {"sub": None},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_token_that_is_not_for_this_log_in_is_refused(
    browser: Browser, provider: Provider, people: Any, wrong: dict[str, Any]
) -> None:
    people.add(JANE, office="developer")
    provider.wrong = wrong
    answer = log_in(browser, provider)
    assert answer.status_code == 403 and OFFICE not in browser.cookies
    assert answer.headers["content-type"].startswith("text/html")
    provider.wrong = {}
    assert log_in(browser, provider).status_code == 303


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_only_signatures_of_a_key_pair_count(browser: Browser, provider: Provider, people: Any, algorithm: str) -> None:
    people.add(JANE, office="developer")
    provider.algorithm = algorithm
    assert log_in(browser, provider).status_code == 403


def test_a_way_back_counts_once(browser: Browser, provider: Provider, people: Any) -> None:
    people.add(JANE, office="developer")
    query = start(browser, provider)
    cookies = dict(browser.cookies)
    assert back(browser, query).status_code == 303
    browser.cookies = cookies
    answer = back(browser, query)
    assert answer.status_code == 403 and "was used" in answer.text and OFFICE not in browser.cookies


def test_a_way_back_of_another_browser_or_app_counts_for_nothing(
    browser: Browser, provider: Provider, people: Any
) -> None:
    people.add(JANE, office="developer")
    query = start(browser, provider)
    assert back(Browser(browser.client), query).status_code == 403  # a forged log-in: no cookie
    assert back(browser, {**query, "state": "other"}).status_code == 403
    query = start(browser, provider)
    assert back(browser, query, "/login/sso/callback").status_code == 403


def test_what_the_provider_refuses_is_told(browser: Browser, provider: Provider) -> None:
    query = start(browser, provider)
    answer = back(browser, {"error": "access_denied", "state": query["state"]})
    assert answer.status_code == 403 and "did not let you in" in answer.text


def test_new_keys_are_fetched_when_one_is_not_known_and_not_more_often_than_once_a_minute(
    browser: Browser, provider: Provider, people: Any, app: FastAPI
) -> None:
    people.add(JANE, office="developer")
    seconds = [1000.0]
    app.state.services.provider._keys._clock = lambda: seconds[0]
    assert log_in(browser, provider).status_code == 303
    assert provider.asked.count("/keys") == 1
    provider.key_number = 2
    seconds[0] += provider_keys.FETCH_EVERY_SECONDS - 1
    assert log_in(browser, provider).status_code == 403
    assert provider.asked.count("/keys") == 1
    seconds[0] += 1
    assert log_in(browser, provider).status_code == 303
    assert provider.asked.count("/keys") == 2
    assert provider.asked.count("/.well-known/openid-configuration") == 1


def test_two_who_log_in_at_once_wait_for_one_fetch_of_the_keys(client: Client, provider: Provider) -> None:
    token = provider._signed({"sub": "p-1"})
    asked: list[int] = []

    async def both() -> list[Any]:
        answered = asyncio.Event()

        async def fetch() -> dict[str, Any]:
            asked.append(1)
            await answered.wait()
            return {"keys": [provider.key().as_dict(private=False)]}

        keys = provider_keys.ProviderKeys(fetch)
        logins = [asyncio.create_task(keys.checked(token)) for _ in range(3)]
        while not asked:
            await asyncio.sleep(0)
        answered.set()
        return await asyncio.gather(*logins)

    assert [each.claims["sub"] for each in client.run(both)] == ["p-1"] * 3
    assert asked == [1]


def test_a_fetch_of_keys_that_failed_is_told_as_that_and_tried_again_soon(client: Client, provider: Provider) -> None:
    token = provider._signed({"sub": "p-1"})
    seconds, away, asked = [1000.0], [True], []

    async def fetch() -> dict[str, Any]:
        asked.append(1)
        await asyncio.sleep(0)
        if away[0]:
            raise SsoUnavailable("It is away.")
        return {"keys": [provider.key().as_dict(private=False)]}

    async def logins() -> list[Any]:
        return await asyncio.gather(*(keys.checked(token) for _ in range(2)), return_exceptions=True)

    async def made() -> provider_keys.ProviderKeys:
        return provider_keys.ProviderKeys(fetch, clock=lambda: seconds[0])

    keys = client.run(made)
    assert [type(each) for each in client.run(logins)] == [SsoUnavailable, SsoUnavailable]
    assert len(asked) == 1
    away[0] = False
    seconds[0] += provider_keys.RETRY_SECONDS
    assert [each.claims["sub"] for each in client.run(logins)] == ["p-1", "p-1"]
    assert len(asked) == 2


def test_keys_without_a_name_are_tried(browser: Browser, provider: Provider, people: Any, app: FastAPI) -> None:
    people.add(JANE, office="developer")
    provider.with_kid = False
    assert log_in(browser, provider).status_code == 303


def test_what_the_token_does_not_say_userinfo_does(browser: Browser, provider: Provider, people: Any) -> None:
    people.add(JANE, office="developer")
    provider.in_userinfo = True
    assert log_in(browser, provider).status_code == 303
    provider.told["sub"] = "p-2"
    provider.wrong = {"sub": "p-1"}
    assert log_in(browser, provider).status_code == 403


def with_roles(app: FastAPI) -> None:
    """As if the service had been started with rules for roles."""
    services = app.state.services
    settings = services.settings.model_copy(update={"oidc_roles": "help=support_agent"})
    object.__setattr__(services, "settings", settings)
    object.__setattr__(services, "provider", provider_of(settings, services.clock))


def test_the_groups_come_from_userinfo_where_the_token_leaves_them_out(
    browser: Browser, provider: Provider, people: Any, app: FastAPI
) -> None:
    people.add("first@example.com", office="super_admin")
    people.add(JANE, office="developer")
    provider.wrong = {"groups": None}
    assert log_in(browser, provider).status_code == 303
    assert "/me" not in provider.asked  # nobody's role depends on it
    with_roles(app)
    assert log_in(browser, provider).status_code == 303
    assert "support agent" in browser.get("/office").text


def test_an_address_is_not_verified_by_what_userinfo_says_of_another(
    browser: Browser, provider: Provider, people: Any, app: FastAPI
) -> None:
    people.add("first@example.com", office="super_admin")
    with_roles(app)
    provider.wrong = {"groups": None, "email": "first@example.com", "email_verified": None}
    assert log_in(browser, provider).status_code == 403


def test_a_provider_that_is_down_is_told_of_and_the_password_page_still_works(
    browser: Browser, provider: Provider, people: Any
) -> None:
    people.add(JANE, office="developer")
    provider.broken = 500
    answer = browser.get("/office/login/sso")
    assert answer.status_code == 503 and "provider does not answer" in answer.text and answer.headers["retry-after"]
    provider.broken = 0
    query = start(browser, provider)
    provider.broken = 502
    assert back(browser, query).status_code == 503
    assert browser.log_in(JANE, page="/office/login").status_code == 303


def test_a_provider_that_calls_itself_otherwise_is_refused(browser: Browser, provider: Provider) -> None:
    provider.issuer = "https://evil.example"
    answer = browser.get("/office/login/sso")
    assert answer.status_code == 503 and "RECSAAS_OIDC_ISSUER" in answer.text


def test_a_shop_lets_in_whom_its_settings_name(
    browser: Browser, provider: Provider, db: ControlDb, blue_shop: TenantId
) -> None:
    answer = back(browser, start(browser, provider, "/login/sso?shop=blue"), "/login/sso/callback")
    assert answer.status_code == 403 and "no log-in by SSO" in answer.text
    wanted = {"login.sso": True, "login.sso_domains": ["example.com"], "login.sso_role": "editor"}
    change_settings(db, blue_shop, wanted, now=NOW)
    answer = back(browser, start(browser, provider, "/login/sso?shop=blue"), "/login/sso/callback")
    assert (answer.status_code, answer.headers["location"]) == (303, "/app")
    assert "editor" in browser.get("/app").text
    change_settings(db, blue_shop, {"login.sso_domains": ["elsewhere.example"]}, now=NOW)
    other = Browser(browser.client)
    assert back(other, start(other, provider, "/login/sso?shop=blue"), "/login/sso/callback").status_code == 403


def test_the_log_in_page_leads_to_sso_by_a_link(browser: Browser) -> None:
    assert 'href="/office/login/sso"' in browser.get("/office/login").text
    assert 'href="/login/sso?shop=blue"' in browser.get("/login?shop=blue").text
