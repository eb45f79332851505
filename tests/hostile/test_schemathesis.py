"""Requests that the OpenAPI document allows, and some that it does not, sent to every route by several credentials.

Schemathesis draws them from the document. Whatever it sends: nothing is a fault of the service, each answer is as the
document says, and what belongs to another tenant is in none.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from resources.databases.opening import POSTGRESQL, SQLITE
from tests.hostile.live import Live, live_service
from tests.postgresql.server import PostgresServer
from tests.unit.bento_service.people import person
from tests.unit.bento_service.shop import Shop, open_shop

EXAMPLES, LEAST = 10, 3
SEED = 20_260_713
SECONDS = 120.0
"""A busy machine sends `LEAST` examples to what is left of the routes after this long."""
MARKS = {"blue": "bmarkerb", "green": "gmarkerg"}
"""Stand in everything that a tenant owns: titles, notes, names of files, people and visits."""
SPARE = "spare"
"""The tenant that the platform's key stops, resumes and puts on plans."""
LEFT_OUT = {
    ("DELETE", "/api/v1/shop"): "ends the tenant",
    ("POST", "/api/v1/members/leave"): "ends the member's token",
    ("POST", "/api/v1/ownership"): "takes the member's role",
    ("POST", "/api/v1/auth/logout"): "ends the member's token",
}
"""Routes that end the tenant or the credential with which the rest is asked."""
LAST = ("GET", "POST", "PUT", "PATCH", "DELETE")
"""What is read comes first, while all is there; what is removed comes last."""
PLATFORM = "platform"


@dataclass
class Faults:
    """What was wrong, by the route and the kind of fault; the first request of each is told."""

    told: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, route: str, kind: str, told: str) -> None:
        """Note a fault, unless the route has one of this kind already."""
        self.told.setdefault((route, kind), told[:1500])


@dataclass(frozen=True)
class Caller:
    """A credential; `ids` are those of its own tenant, `others` those of the other one."""

    name: str
    headers: dict[str, str]
    ids: dict[str, str]
    others: dict[str, str]
    never: str | None


@contextmanager
def installed(request: pytest.FixtureRequest, home: Path, kind: str) -> Iterator[Live]:
    """A service with both shops, on this kind of database."""
    if kind == SQLITE:
        with live_service(home) as live:
            yield live
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.database(prefix="drawn")
    with live_service(home, database=server.url(name)) as live:
        yield live
    server.drop(name)


def made(answer: httpx.Response) -> Any:
    assert answer.status_code < 300, answer.text
    return answer.json()


def planted(http: httpx.Client, shop: Shop) -> dict[str, str]:
    """Fill a shop with its mark, and return ids, without the mark, by the names that routes have for them."""
    name, mark = shop.tenant.value, MARKS[shop.tenant.value]
    item, user = f"item-of-{name}", f"user-of-{name}"
    rows = f"item_id,title\n{item},{mark} lamp\n{item}-2,\n"
    upload = made(http.post("/api/v1/upload/items", files={"file": (f"{mark}.csv", rows)}))
    made(http.post("/api/v1/items", json={"item_id": item, "title": f"{mark} lamp", "price": 3}))
    target = {"item_ids": [f"{name[0]}1"]}
    rule = made(http.post("/api/v1/rules", json={"kind": "bury", "target": target, "note": mark}))
    event = {"user_id": user, "item_id": item, "interaction_type": "view", "session_id": f"{mark}-visit"}
    for each in (user, f"{user}-2"):
        made(http.post("/api/v1/interactions", json=event | {"user_id": each}))
    answer = made(http.post("/api/v1/recommendations", json={"user_id": user, "count": 2}))
    key = made(http.post("/api/v1/api-keys", json={"name": mark, "scopes": ["recommendations:read"]}))
    hook = {"url": f"https://{mark}.example.com/hook", "description": mark}
    webhook = made(http.post("/api/v1/webhooks", json=hook))
    invited = {"email": f"{mark}-2@example.com", "role": "viewer"}
    account = {"email": f"{mark}@example.com", "password": "plain window sofa 9", "role": "viewer"}
    made(http.put("/api/v1/mappings/items", json={"columns": {mark: "ignore"}}))
    return {
        "upload_id": upload["upload_id"],
        "job_id": made(http.post("/api/v1/train", json={}))["job_id"],
        "item_id": item,
        "user_id": user,
        "rule_id": rule["id"],
        "export_id": made(http.post("/api/v1/recommendations/exports", json={"scenario": mark}))["export_id"],
        "archive_id": made(http.post("/api/v1/shop/exports"))["export_id"],
        "recommendation_id": answer["recommendation_id"],
        "erasure_id": made(http.delete(f"/api/v1/users/{user}-2"))["erasure_id"],
        "key_id": key["id"],
        "webhook_id": webhook["id"],
        "delivery_id": made(http.post(f"/api/v1/webhooks/{webhook['id']}/test"))["id"],
        "invite_id": made(http.post("/api/v1/invites", json=invited))["id"],
        "member_id": made(http.post("/api/v1/admin/users", json=account))["id"],
    }


def callers(live: Live) -> list[Caller]:
    """The keys of both shops with every scope, a member of the first one, and the platform's key."""
    ids = {}
    for shop in (live.blue, live.green):
        with httpx.Client(base_url=live.server.url, headers=shop.headers, timeout=60) as http:
            ids[shop.tenant.value] = planted(http, shop)
    blue, green = ids["blue"], ids["green"]
    tenant = live.blue.tenant
    member = person(live.blue.db, f"{MARKS['blue']}-3@example.com", now=datetime.now(UTC), tenant=tenant)
    office = open_shop(SPARE, lake=live.blue.lake, db=live.blue.db, prefix="s")
    spare = {"tenant_id": SPARE}
    return [
        # Its own tenant is named by none of them: a key with the scope `admin` may stop it.
        Caller("a key of blue", live.blue.headers, blue, green | {"tenant_id": "green"}, MARKS["green"]),
        Caller("a key of green", live.green.headers, green, blue | {"tenant_id": "blue"}, MARKS["blue"]),
        Caller("a member of blue", member.headers, blue, green | {"tenant_id": "green"}, MARKS["green"]),
        Caller(PLATFORM, office.key_with("platform"), spare, spare, None),
    ]


def operations(url: str) -> list[APIOperation[Any, Any, Any, Any]]:
    """All routes of the document but those that are left out, what is read first."""
    config = schemathesis.Config()
    config.projects.default.generation.with_security_parameters = False
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    found = [each.ok() for each in schema.get_all_operations()]
    there = {(each.method.upper(), each.path) for each in found}
    assert set(LEFT_OUT) <= there, "the list of what is left out names a route that is no more"
    kept = [each for each in found if (each.method.upper(), each.path) not in LEFT_OUT]
    return sorted(kept, key=lambda each: (LAST.index(each.method.upper()), each.path.count("{"), each.path))


def readable(content: bytes) -> str:
    """Return what an answer says, also when it is a compressed file."""
    unpacked = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return unpacked.decode(errors="replace")


def ask(url: str, session: requests.Session, case: Case, caller: Caller, whose: str, faults: Faults) -> int:
    """Send a request by a caller, note what is wrong with the answer, and return its status."""
    own = {"own": caller.ids, "others": caller.others, "drawn": {}}[whose]
    sent = dict(case.path_parameters or {})
    drawn = {name: own.get(name, value) for name, value in sent.items()}
    case.path_parameters.update(drawn)
    answer = case.call(base_url=url, session=session, headers=caller.headers, timeout=60)
    route = f"{case.method} {case.path}"
    text = readable(answer.content)
    told = f"{caller.name}, {whose} ids: {case!r}\n -> {answer.status_code} {text[:600]}"
    if answer.status_code >= 500 and not (answer.status_code == 503 and answer.headers.get("retry-after")):
        faults.add(route, "a fault of the service", told)
    if caller.never is not None and caller.never in text:
        faults.add(route, "another tenant's", told)
    try:
        case.validate_response(answer, checks=[content_type_conformance, response_schema_conformance])
    except (Failure, FailureGroup) as failure:
        faults.add(route, "not as documented", f"{failure}\n{told}")
    case.path_parameters.update(sent)
    return answer.status_code


def drawn_cases(operation: APIOperation[Any, Any, Any, Any]) -> st.SearchStrategy[Case]:
    """Requests as the document wants them, and, where there is something to get wrong, others."""
    right = operation.as_strategy(GenerationMode.POSITIVE)
    wrong = operation.as_strategy(GenerationMode.NEGATIVE)
    return right | wrong if operation.body or operation.query else right


def draw(operation: APIOperation[Any, Any, Any, Any], send: Callable[[str, Case, str], None]) -> None:
    """Draw the requests of a route, always the same ones, and send each."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=drawn_cases(operation), whose=st.sampled_from(("own", "others", "drawn")))
    def each(case: Case, whose: str) -> None:
        send(operation.label, case, whose)

    each()


@pytest.mark.parametrize("kind", [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.postgresql)])
def test_no_request_breaks_or_sees_another_tenant(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    faults, statuses, asked = Faults(), Counter[int](), Counter[str]()
    with installed(request, tmp_path / "home", kind) as live, requests.Session() as session:
        who, routes = callers(live), operations(live.server.url)
        begun = time.monotonic()

        def send(label: str, case: Case, whose: str) -> None:
            if asked[label] >= LEAST and time.monotonic() - begun > SECONDS:
                return
            asked[label] += 1
            for caller in who:
                statuses[ask(live.server.url, session, case, caller, whose, faults)] += 1

        for operation in routes:
            draw(operation, send)
        took = time.monotonic() - begun
        for caller in who:  # and each credential still is one: what it was refused was not for want of it
            if caller.name != PLATFORM:
                answer = httpx.get(f"{live.server.url}/api/v1/items", headers=caller.headers, timeout=60)
                assert answer.status_code == 200, (caller.name, answer.text)
    sys.stdout.write(f"\n{kind}: {len(routes)} routes in {took:.0f} s: {dict(sorted(statuses.items()))}\n")
    assert {each.label for each in routes} == set(asked)
    assert not faults.told, "\n\n".join(f"{route}: {kind}: {told}" for (route, kind), told in faults.told.items())
