"""A Bento with the releases of one tenant, built by `recsaas package` and served by BentoML, over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest
from bentoml.exceptions import BentoMLException

from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.control_db.items import ItemEdit, append_item_changes
from resources.storage.lake import Lake
from tests.e2e.test_service import free_port, wait_until_ready
from tests.unit.bento_service.shop import NOW, Shop, open_shop

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),  # in BentoML's client
]


@dataclass(frozen=True)
class Packed:
    """A Bento of the blue shop, away from where it was made."""

    folder: Path
    blue: Shop
    green: Shop
    said: dict[str, Any]


@dataclass(frozen=True)
class Serving:
    """The Bento, served in an empty home."""

    http: httpx.Client
    url: str
    home: Path
    process: subprocess.Popen[bytes]
    log: Path


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    origin = tmp_path_factory.mktemp("origin")
    settings = Settings(home=origin)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    blue, green = (open_shop(name, lake=lake, db=db, prefix=name[0]) for name in ("blue", "green"))
    blue.release()
    green.release()
    append_item_changes(db, blue.tenant, [ItemEdit("b2", "delete", {})], now=NOW)
    db.close()
    folder = tmp_path_factory.mktemp("bento") / "blue-bento"
    command = ["package", "--tenant", "blue", "--to", str(folder), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", "from recsaas_assets.cli import main; main()", *command],
        cwd=folder.parent,
        env=os.environ | {"RECSAAS_HOME": str(origin)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Packed(folder, blue, green, json.loads(done.stdout))


@pytest.fixture(scope="module")
def serving(packed: Packed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("elsewhere")
    log = home / "service.log"
    port = free_port()
    environment = os.environ | {
        "RECSAAS_HOME": str(home / "state"),
        "RECSAAS_SERVICE_WORKERS": "2",
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", str(packed.folder), "--host", "127.0.0.1", "--port", str(port)],
            cwd=home,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, limits=httpx.Limits(max_keepalive_connections=0), timeout=30) as http:
            wait_until_ready(http, process, log)
            yield Serving(http, url, home / "state", process, log)
    finally:
        process.terminate()
        process.wait(timeout=120)


@contextmanager
def client_of(service: Serving, *, token: str | None = None) -> Iterator[bentoml.SyncHTTPClient]:
    """BentoML's own client; it leaves its folder to the garbage collector, which warns."""
    with bentoml.SyncHTTPClient(service.url, token=token) as client:
        try:
            yield client
        finally:
            client._temp_dir.cleanup()


def test_the_bento_holds_the_chosen_release_and_no_pipeline(packed: Packed) -> None:
    assert packed.said["releases"] == {"blue": packed.blue.versions[0]}
    source = packed.folder / "src"
    assert (source / "packaged/lake/tenants/blue/releases" / packed.blue.versions[0] / "manifest.json").is_file()
    assert not (source / "packaged/lake/tenants/green").exists()
    assert not (source / "recsaas_assets").exists()
    assert packed.blue.key.encode() not in (source / "packaged/control.db").read_bytes()
    requirements = (packed.folder / "env/python/requirements.txt").read_text()
    packages = {line.partition("==")[0] for line in requirements.splitlines()}
    assert {"faiss-cpu", "bentoml"} <= packages and packages.isdisjoint({"torch", "dagster", "dbt-core"})


def test_the_same_key_opens_it_on_every_worker_and_what_was_deleted_stays_so(packed: Packed, serving: Serving) -> None:
    for _ in range(6):
        answer = serving.http.get("/recommend/u1?k=10", headers=packed.blue.headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["metadata"]["release_version"] == packed.blue.versions[0]
        assert [item["item_id"] for item in answer.json()["recommendations"]][:2] == ["b3", "b5"]
    assert serving.http.get("/recommend/u1", headers=packed.green.headers).status_code == 401


def test_an_event_counts_at_once_although_the_log_starts_anew(packed: Packed, serving: Serving) -> None:
    event = {"user_id": "u1", "item_id": "b3", "interaction_type": "purchase"}
    assert serving.http.post("/api/v1/interactions", json=event, headers=packed.blue.headers).status_code == 200
    for _ in range(6):
        answer = serving.http.get("/recommend/u1?k=10", headers=packed.blue.headers).json()
        assert "b3" not in [item["item_id"] for item in answer["recommendations"]]


def test_it_takes_no_files_and_no_erasures(packed: Packed, serving: Serving) -> None:
    file = {"file": ("items.csv", "item_id,title\ni1,Lamp\n")}
    for answer in (
        serving.http.post("/api/v1/upload/items", files=file, headers=packed.blue.headers),
        serving.http.delete("/api/v1/users/u1", headers=packed.blue.headers),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_bentoml_clients_get_the_answers_of_the_routes(packed: Packed, serving: Serving) -> None:
    route = serving.http.post(
        "/api/v1/recommendations", json={"user_id": "u9", "count": 2}, headers=packed.blue.headers
    ).json()
    with client_of(serving, token=packed.blue.key) as client:
        native = client.recommend(user_id="u9", count=2)
        similar = client.similar(item_id="b1", count=1)
    assert native["recommendations"] == route["recommendations"]
    assert similar["similar_items"][0]["item_id"] == "b3"
    with client_of(serving) as client:
        assert client.recommend(user_id="u9", api_key=packed.blue.key)["recommendations"]
        with pytest.raises(BentoMLException, match="unauthenticated"):
            client.recommend(user_id="u9")
        with pytest.raises(BentoMLException, match="count"):
            client.recommend(user_id="u9", count=1000, api_key=packed.blue.key)


def test_native_errors_have_our_shape_and_status(packed: Packed, serving: Serving) -> None:
    for path, body, status in (
        ("/recommend", {"user_id": "u9"}, 401),
        ("/recommend", {"user_id": "u9", "api_key": "sk_live_no"}, 401),
        ("/similar", {"item_id": "nothing", "api_key": packed.blue.key}, 404),
        ("/similar", {"api_key": packed.blue.key}, 422),
    ):
        answer = serving.http.post(path, json=body, headers={"X-Request-ID": "native"})
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["request_id"] == answer.headers["X-Request-ID"] == "native"
    assert serving.http.get("/recommend").json()["error"]["code"] == "not_found"
    assert "sk_live" not in serving.log.read_text()


# The last one: it stops the service.
def test_a_stop_answers_what_is_in_flight_and_writes_down_what_was_decided(packed: Packed, serving: Serving) -> None:
    body = b'{"user_id": "u1", "count": 2}'
    host, port = serving.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST /api/v1/recommendations HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {packed.blue.key}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 100")  # a worker has taken it, and waits for the rest
        connection.sendall(body[:10])
        serving.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(body[10:])
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert serving.process.wait(timeout=120) is not None
    head_of_answer, _, text = answer.partition(b"\r\n\r\n")
    assert head_of_answer.startswith(b"HTTP/1.1 200")
    recommendation_id = json.loads(text)["recommendation_id"]
    with sqlite3.connect(serving.home / "decisions.db") as log:
        stored = [row[0] for row in log.execute("SELECT recommendation_id FROM decisions")]
    assert recommendation_id in stored
