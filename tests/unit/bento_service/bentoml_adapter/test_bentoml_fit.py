"""What makes the app fit BentoML; BentoML itself is imported in tests/e2e."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvicorn
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from bento_service.bentoml_adapter.adapter import MountedApp, NoTimeout, StraightToApp, forwarded, guard_connections
from bento_service.server.guarded_protocol import GuardedProtocol
from resources.base.errors import ConfigurationError
from resources.base.settings import Settings


class Route:
    """An app that keeps what it was asked, and answers with an error of ours."""

    scope: Scope
    body: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.body = await Request(scope, receive).body()
        await Response("{}", status_code=403, headers={"X-Request-ID": "r1"})(scope, receive, send)

    @property
    def credential(self) -> str | None:
        return Request(self.scope).headers.get("authorization")


def ask(route: Route, *chunks: bytes, **headers: str) -> Response:
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": n < len(chunks)} for n, chunk in enumerate(chunks, 1)
    ]

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/recommend", "query_string": b"a=b", "headers": named}
    return asyncio.run(forwarded(route, Request({**scope, "state": {"theirs": 1}}, receive), "/api/v1/x"))


def test_the_missing_timeout_can_be_written_down() -> None:
    assert not NoTimeout(3600)
    assert yaml.safe_load(yaml.safe_dump({"timeout": NoTimeout(3600)})) == {"timeout": 3600.0}


def test_before_startup_the_app_says_what_is_wrong() -> None:
    async def nothing() -> dict[str, object]:
        return {}

    async def ignore(_: object) -> None:
        return None

    with pytest.raises(ConfigurationError, match=r"bento_service\.serve"):
        asyncio.run(MountedApp()({"type": "http"}, nothing, ignore))


def test_a_native_request_becomes_one_of_the_route_and_its_answer_comes_back_as_it_is() -> None:
    route = Route()
    answer = ask(route, b'{"user_id": ', b'"u1"}', Authorization="Bearer k")
    assert (route.scope["path"], route.scope["query_string"], "state" in route.scope) == ("/api/v1/x", b"", False)
    assert (route.body, route.credential) == (b'{"user_id": "u1"}', "Bearer k")
    assert (answer.status_code, answer.body, answer.headers["x-request-id"]) == (403, b"{}", "r1")


def test_the_key_may_be_in_the_body_and_never_reaches_the_route_there() -> None:
    route = Route()
    body = json.dumps({"user_id": "ü", "api_key": "k"}).encode()
    ask(route, body, **{"Content-Length": str(len(body))})
    assert route.credential == "Bearer k"
    assert json.loads(route.body) == {"user_id": "ü"}
    assert Request(route.scope).headers.get("content-length") is None


@pytest.mark.parametrize(
    "body", [b"", b'no json "api_key"', b'["api_key"]', b'{"api_key": 7}', b'{"x": "api_key"}', b'{"api_key": null}']
)
def test_without_a_key_nobody_is_asking(body: bytes) -> None:
    route = Route()
    ask(route, body)
    assert route.credential is None


def test_a_body_without_a_credential_is_read_only_while_it_is_small() -> None:
    for filling, credential in ((b"x" * 60_000, "Bearer k"), (b"x" * 66_000, None)):
        route = Route()
        ask(route, b'{"api_key": "k", "x": "', filling, b'"}')
        assert route.credential == credential
        assert len(route.body) == (len(filling) + 9 if credential else 0)


def test_a_body_without_a_credential_that_says_that_it_is_large_is_not_read() -> None:
    route = Route()
    ask(route, b'{"api_key": "k"}', **{"Content-Length": "70000"})
    assert (route.credential, route.body) == (None, b"")


def test_every_server_of_bentoml_gets_the_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", uvicorn.config.HTTP_PROTOCOLS["auto"])
    guard_connections(Settings(max_header_bytes=5000))
    config = uvicorn.Config(Route(), log_config=None)
    config.load()
    loop = asyncio.new_event_loop()
    protocol = config.http_protocol_class(config=config, server_state=ServerState(), app_state={}, _loop=loop)
    loop.close()
    assert isinstance(protocol, GuardedProtocol)


@pytest.mark.parametrize(
    ("path", "answered_by"),
    [("/recommend/u1", "ours"), ("/", "ours"), ("/health", "ours"), ("/recommend", "bentoml"), ("/readyz", "bentoml")],
)
def test_only_bentomls_own_paths_pass_through_bentoml(path: str, answered_by: str) -> None:
    asked: list[str] = []

    def app(name: str) -> Any:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            asked.append(name)

        return answer

    async def run() -> None:
        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(_: Message) -> None:
            return None

        middleware = StraightToApp(app("bentoml"), mounted=app("ours"))
        await middleware({"type": "http", "path": path}, receive, send)
        await middleware({"type": "lifespan"}, receive, send)

    asyncio.run(run())
    assert asked == [answered_by, "bentoml"]
