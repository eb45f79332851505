"""People and a service of two workers: what one worker does, the other one knows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from resources.access.actor import SYSTEM
from resources.base.tenant import TenantId
from resources.control_db.engine import open_control_db
from resources.people.members import member_by_id, set_member_status
from resources.people.memberships import add_membership, change_role
from resources.sessions.signing_keys import rotate_signing_key
from tests.hostile.live import Live, in_error_shape, live_service
from tests.unit.bento_service.people import PASSWORD

pytestmark = pytest.mark.e2e
SEVERAL = 12
"""Connections at the same time, so that both workers answer some."""
PATIENCE = 60.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_service(tmp_path_factory.mktemp("accounts")) as live:
        yield live


def post(live: Live, path: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{live.server.url}/api/v1/auth/{path}", json=body, timeout=60)


@pytest.fixture
def jane(live: Live) -> dict[str, Any]:
    name = secrets.token_hex(4)
    shop = {"name": name, "slug": f"shop-{name}"}
    made = post(live, "signup", email=f"{name}@example.com", password=PASSWORD, tenant=shop)
    assert made.status_code == 201, made.text
    body: dict[str, Any] = made.json()
    return body


def statuses(live: Live, token: str, path: str = "/api/v1/api-keys") -> set[int]:
    """What several connections get at the same time."""
    headers = {"Authorization": f"Bearer {token}"}

    def ask(_: int) -> int:
        return httpx.get(f"{live.server.url}{path}", headers=headers, timeout=60).status_code

    with ThreadPoolExecutor(SEVERAL) as pool:
        return set(pool.map(ask, range(SEVERAL)))


def in_the_end(live: Live, token: str, status: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while statuses(live, token) != {status}:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("what", ["lowered", "suspended", "keys ended"])
def test_what_changes_holds_on_every_worker(live: Live, jane: dict[str, Any], what: str) -> None:
    member, tenant, now = jane["user"]["id"], jane["tenant_id"], datetime.now(UTC)
    shop = {"name": "x", "slug": f"{tenant}-2"}
    other = post(live, "signup", email=f"other-{tenant}@example.com", password=PASSWORD, tenant=shop)
    assert other.status_code == 201
    assert statuses(live, jane["access_token"]) == {200}
    db = open_control_db(live.settings.database_url, migrate=False)
    with db.write() as session:
        if what == "lowered":
            second = member_by_id(session, other.json()["user"]["id"])
            add_membership(session, second, TenantId(tenant), "owner", by=SYSTEM, now=now)
            change_role(session, member, TenantId(tenant), "viewer", by=SYSTEM, now=now)
        elif what == "suspended":
            set_member_status(session, member, "suspended", by=SYSTEM, now=now)
        else:
            rotate_signing_key(session, by=SYSTEM, now=now, end_tokens=True)
    db.close()
    in_the_end(live, jane["access_token"], 403 if what == "lowered" else 401)
    if what == "keys ended":  # and a new token is taken by every worker at once, whichever has signed it
        again = post(live, "refresh", refresh_token=jane["refresh_token"]).json()
        assert statuses(live, again["access_token"]) == {200}


def test_ten_parallel_refreshes_keep_the_log_in(live: Live, jane: dict[str, Any]) -> None:
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: post(live, "refresh", refresh_token=jane["refresh_token"]), range(10)))
    assert [each.status_code for each in answers] == [200] * 10, [each.text for each in answers]
    for each in answers:
        assert statuses(live, each.json()["access_token"], "/api/v1/me") == {200}
        assert post(live, "refresh", refresh_token=each.json()["refresh_token"]).status_code == 200


def test_many_guesses_at_once_are_counted_over_all_workers(live: Live, jane: dict[str, Any]) -> None:
    email = f"nobody-{secrets.token_hex(4)}@example.com"
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(live, "login", email=email, password="x" * 12), range(12)))
    assert all(in_error_shape(each) for each in answers)
    codes = [each.status_code for each in answers]
    assert codes.count(401) == 5, codes
    assert codes.count(429) == 7, codes
