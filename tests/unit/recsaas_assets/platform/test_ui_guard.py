"""What the guard before Dagster's web interface lets through."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from recsaas_assets.platform.ui_guard import UiGuard

UI = "127.0.0.1:3000"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Everything that gets through is done."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await PlainTextResponse("done")(scope, receive, send)


def ask(guard: UiGuard, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{UI}") as http:
            return await http.request(method, path, headers=headers)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("bound_to", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:3000", 200),
        ("127.0.0.1", "localhost:3000", 200),
        ("127.0.0.1", "LOCALHOST", 200),
        ("127.0.0.1", "[::1]:3000", 200),
        ("127.0.0.1", "dagster.example:3000", 200),
        ("127.0.0.1", "evil.example", 421),
        ("127.0.0.1", "127.0.0.1.evil.example", 421),
        ("127.0.0.1", "localhost.evil.example", 421),
        ("127.0.0.1", "192.0.2.7:3000", 421),
        ("127.0.0.1", "", 421),
        ("127.0.0.1", "[", 421),
        ("0.0.0.0", "192.0.2.7:3000", 200),
        ("0.0.0.0", "evil.example:3000", 421),
    ],
)
def test_host_names(bound_to: str, host: str, status: int) -> None:
    guard = UiGuard(app, bound_to=bound_to, names=("dagster.example",))
    assert ask(guard, "GET", "/runs", {"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {}, 200),
        ("POST", {"Origin": "http://127.0.0.1:3000"}, 200),
        ("POST", {"Origin": "http://127.0.0.1:8000"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ("GET", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
def test_requests_from_elsewhere(method: str, headers: dict[str, str], status: int) -> None:
    assert ask(UiGuard(app, bound_to="127.0.0.1"), method, "/report_asset_check/x", headers).status_code == status


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/graphql", {"Content-Type": "application/json; charset=utf-8"}, 200),
        ("POST", "/graphql", {"Content-Type": "text/plain"}, 415),
        ("POST", "/graphql?query=mutation{x}", {}, 415),
        ("GET", "/graphql?query=mutation{x}", {}, 405),
        ("GET", "/graphql/?query=mutation{x}", {"Accept": "*/*"}, 405),
        ("GET", "/graphql", {"Accept": "text/html,*/*"}, 200),
        ("HEAD", "/graphql?query=mutation{x}", {"Accept": "text/html"}, 405),
    ],
)
def test_graphql_only_as_a_post_of_json(method: str, path: str, headers: dict[str, str], status: int) -> None:
    assert ask(UiGuard(app, bound_to="127.0.0.1"), method, path, headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        ({"host": UI, "origin": f"http://{UI}"}, "websocket.accept"),
        ({"host": UI}, "websocket.accept"),
        ({"host": UI, "origin": "https://evil.example"}, "websocket.close"),
        ({"host": "evil.example", "origin": "http://evil.example"}, "websocket.close"),
    ],
)
def test_websockets_of_this_origin_alone(headers: dict[str, str], answer: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "path": "/graphql",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(UiGuard(app, bound_to="127.0.0.1")(scope, receive, send))
    assert [message["type"] for message in sent] == [answer]


def test_nobody_may_show_it_in_a_frame() -> None:
    answer = ask(UiGuard(app, bound_to="127.0.0.1"), "GET", "/runs", {})
    assert answer.headers["X-Frame-Options"] == "DENY"
