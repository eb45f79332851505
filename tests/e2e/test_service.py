"""The real service with two workers, over HTTP: with workers of our own, and with BentoML's.

What stops a tenant or a key is seen by every worker; that it takes at most five seconds is shown by
tests/unit/bento_service/access/test_auth.py, with a clock of its own.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from recsaas_assets.commands.tenants.tenant import tenant
from resources.base.settings import Settings
from resources.control_db.api_keys import list_api_keys
from resources.control_db.engine import open_control_db
from resources.storage.lake import Lake
from tests.unit.bento_service.shop import Shop, open_shop

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
START_SECONDS = 600
STOP_SECONDS = 120
REQUESTS = 40
"""Each on a connection of its own, so that both workers get some."""
WORKERS = 2
OURS = ("bento_service.serve",)
BENTOMLS = ("bentoml", "serve", "bento_service.service:RecsaasService")

PROBE = """
from bento_service.service import RecsaasService
app = RecsaasService.to_asgi()
print([m.cls.__name__ for m in app.user_middleware], [r.path for r in app.routes])
from bentoml._internal.configuration.containers import BentoMLContainer
print(BentoMLContainer.tracing_excluded_urls.get().url_disabled("http://127.0.0.1:3000/recommend/u1"))
import sys
print([name for name in ("torch", "dagster", "dbt") if name in sys.modules])
"""


@dataclass(frozen=True)
class Running:
    """A service that answers, and three shops in it; one of them is stopped."""

    http: httpx.Client
    home: Path
    blue: Shop
    green: Shop
    red: Shop
    log: Path

    def ask(self, shop: Shop, user: str = "u1", k: int = 1) -> Any:
        answer = self.http.get(f"/recommend/{user}?k={k}", headers=shop.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def statuses(self, shop: Shop) -> set[int]:
        """Ask often, by our route and by BentoML's own, and return how that was answered."""
        paths = ("/recommend", "/api/v1/recommendations") * (REQUESTS // 2)
        answers = [self.http.post(path, json={"user_id": "u1"}, headers=shop.headers) for path in paths]
        return {answer.status_code for answer in answers}

    def await_statuses(self, shop: Shop, expected: set[int]) -> None:
        """Ask until every answer of every worker has such a status."""
        deadline = time.monotonic() + STOP_SECONDS
        while (found := self.statuses(shop)) != expected:
            assert time.monotonic() < deadline, found

    def command(self, *arguments: str) -> None:
        """Call `recsaas tenant`."""
        done = CliRunner(env={"RECSAAS_HOME": str(self.home)}).invoke(tenant, arguments)
        assert done.exit_code == 0, done.output

    def stopped(self, shop: Shop) -> int:
        """How many workers have said in the log that they take a key of the tenant no more."""
        lines = self.log.read_text().splitlines()
        return sum("key_stopped" in line and f'"tenant": "{shop.tenant}"' in line for line in lines)


@pytest.fixture(scope="module", params=[OURS, BENTOMLS], ids=["our workers", "BentoML's workers"])
def service(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("service")
    settings = Settings(home=home)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    shops = [open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green", "red")]
    for shop in shops:
        shop.release()
    log = home / "service.log"
    port = free_port()
    command = ["-m", *request.param, "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {
        "RECSAAS_HOME": str(home),
        "RECSAAS_SERVICE_WORKERS": str(WORKERS),
        "RECSAAS_POINTER_CHECK_SECONDS": "0.2",
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        # A connection per request, so that both workers get some.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=30) as http:
            wait_until_ready(http, process, log)
            yield Running(http, home, *shops, log)
    finally:
        process.terminate()
        assert process.wait(timeout=120) is not None
        db.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_until_ready(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until every worker has started; one that is slower would answer the first requests late."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        if log.read_text().count("Completed startup hook") == WORKERS:
            break
        time.sleep(0.2)
    else:
        raise AssertionError(log.read_text())
    while http.get("/readyz").status_code != 200:
        time.sleep(0.1)


def test_two_tenants_get_their_own_answers(service: Running) -> None:
    for _ in range(6):
        assert service.ask(service.blue)["recommendations"][0]["item_id"] == "b2"
        assert service.ask(service.green)["recommendations"][0]["item_id"] == "g2"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/", 405, "method_not_allowed"),
        ("DELETE", "/api/v1/recommendations", 405, "method_not_allowed"),
        ("GET", "/recommend/u1", 401, "unauthenticated"),
        ("POST", "/docs", 405, "method_not_allowed"),
    ],
)
def test_the_error_shape_survives_bentoml(service: Running, method: str, path: str, status: int, code: str) -> None:
    answer = service.http.request(method, path, headers={"X-Request-ID": "e2e-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["X-Request-ID"] == answer.json()["error"]["request_id"] == "e2e-1"


def sent(service: Running, *pieces: bytes) -> tuple[int, str, dict[str, Any]]:
    """Send bytes on a connection of their own; return status, headers and error of the answer that ends it."""
    assert service.http.base_url.port is not None
    with socket.create_connection(("127.0.0.1", service.http.base_url.port), timeout=30) as connection:
        with suppress(OSError):  # the service need not read what it has answered
            for piece in pieces:
                connection.sendall(piece)
        answer = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(65_536):
                answer += data
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), head.lower(), json.loads(body)["error"]


@pytest.mark.parametrize(
    ("pieces", "status", "code"),
    [
        ([b"GET /health HTTP/1.1\r\nX: " + b"a" * 40_000], 431, "headers_too_large"),
        ([b"GET /health HTTP/1.1\r\n" + b"X: a\r\n" * 200], 431, "headers_too_large"),
        ([b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n"], 431, "headers_too_large"),
        ([b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"], 400, "malformed_request"),
        ([b"GET /nothing HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"], 404, "not_found"),
    ],
)
def test_what_never_reaches_the_app_is_answered_in_the_one_shape(
    service: Running, pieces: list[bytes], status: int, code: str
) -> None:
    answered, headers, error = sent(service, *pieces)
    assert (answered, error["code"]) == (status, code)
    assert "connection: close" in headers and f"x-request-id: {error['request_id']}" in headers


@pytest.mark.parametrize("path", ["/recommend", "/similar", "/api/v1/recommendations", "/api/v1/interactions"])
@pytest.mark.parametrize("credential", ["", "Authorization: Bearer sk_live_wrong\r\n"])
def test_a_body_of_a_stranger_is_answered_before_it_is_there(service: Running, path: str, credential: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{credential}Content-Length: 3900000\r\n\r\n".encode()
    status, headers, error = sent(service, head, b"{" + b" " * 1000)
    assert (status, error["code"]) == (401, "unauthenticated")
    assert "connection: close" in headers


def test_a_stranger_is_not_told_to_send_a_body(service: Running) -> None:
    head = b"POST /api/v1/upload/items HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3900000\r\n\r\n"
    assert sent(service, head)[0] == 401


def test_an_event_is_seen_by_every_worker(service: Running) -> None:
    event = {"user_id": "newcomer", "item_id": "b6", "interaction_type": "purchase", "event_id": "once"}
    for duplicate in (False, True):
        answer = service.http.post("/api/v1/interactions", json=event, headers=service.blue.headers)
        assert (answer.status_code, answer.json()["duplicate"]) == (200, duplicate)
    for _ in range(6):
        assert service.ask(service.blue, "newcomer")["recommendations"][0]["item_id"] == "b5"


def test_an_upload_and_its_rejected_rows(service: Running) -> None:
    file = {"file": ("items.csv", "item_id,title\ni1,Lamp\ni2,\n")}
    report = service.http.post("/api/v1/upload/items", files=file, headers=service.blue.headers).json()
    assert (report["status"], report["rows_accepted"], report["rows_rejected"]) == ("partial", 1, 1)
    rejected = service.http.get(report["rejected_url"], headers=service.blue.headers)
    assert "3,title is empty" in rejected.text
    assert service.http.get(report["rejected_url"], headers=service.green.headers).status_code == 404


def test_a_promoted_release_takes_over_without_a_failed_request(service: Running) -> None:
    old = service.ask(service.green)["metadata"]["release_version"]
    new = service.green.release(suffix="00000002")
    deadline = time.monotonic() + 120
    in_a_row = 0
    while in_a_row < 10 and time.monotonic() < deadline:
        version = service.ask(service.green)["metadata"]["release_version"]
        assert version in (old, new)
        in_a_row = in_a_row + 1 if version == new else 0
        time.sleep(0.02)
    assert in_a_row == 10


def test_probes_documents_and_metrics_of_all_workers(service: Running) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/health", "/docs", "/openapi.json"):
        assert service.http.get(path).status_code == 200, path
    before = answers_counted(service)
    for _ in range(6):
        service.ask(service.blue, "metrics-user")
    deadline = time.monotonic() + 120  # a worker counts an answer just after it has sent it
    while answers_counted(service) != before + 6 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {answers_counted(service) for _ in range(6)} == {before + 6}  # whichever worker is asked
    assert "metrics-user" not in service.http.get("/metrics").text


def answers_counted(service: Running) -> float:
    start = 'recsaas_tenant_requests_total{route="/recommend/{user_id}",status="200",tenant="blue"}'
    lines = service.http.get("/metrics").text.splitlines()
    return next(float(line.removeprefix(start)) for line in lines if line.startswith(start))


def test_a_suspended_tenant_and_a_revoked_key_stop_on_every_worker(service: Running) -> None:
    assert service.statuses(service.red) == {200}
    for command, expected in (("suspend", {403}), ("resume", {200})):
        service.command(command, "red", "--yes")
        service.await_statuses(service.red, expected)
        assert service.statuses(service.green) == {200}
    assert service.stopped(service.red) >= 1
    (key,) = list_api_keys(service.red.db, service.red.tenant)
    service.command("key", "revoke", "red", key.id, "--yes")
    service.await_statuses(service.red, {401})
    assert service.statuses(service.green) == {200}
    assert service.stopped(service.red) >= 2
    assert service.stopped(service.green) == 0


def test_no_key_is_in_the_log(service: Running) -> None:
    service.http.get("/recommend/u1", headers={"Authorization": "Bearer sk_live_not_a_key"})
    log = service.log.read_text()
    assert '"event": "request"' in log
    assert "sk_live" not in log


def test_bentoml_adds_no_timeout_no_spans_and_no_metrics_of_its_own(tmp_path: Path) -> None:
    environment = {"RECSAAS_HOME": str(tmp_path), "BENTOML_HOME": str(tmp_path / "bentoml"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wiring, untraced, pipeline = done.stdout.splitlines()[-3:]
    assert "StraightToApp" in wiring
    assert untraced == "True"
    assert "Timeout" not in wiring
    assert "Metrics" not in wiring
    assert "/metrics" not in wiring
    assert pipeline == "[]"
