"""The whole way, on a folder and on an object store: files and events in, a release out, answers with receipts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bento_service.app import create_app
from resources.access.scopes import SCOPES
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.uploads import list_uploads
from resources.landing.refused import list_refused
from resources.storage.lake import read_parquet, write_bytes
from resources.storage.listing import list_files
from tests.defs.site import FIRST_DAY, Site, interactions_csv, items_csv, users_csv
from tests.s3.server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.unit.bento_service.client import Client, client_of

APPLE = TenantId("apple")
EVENT = {"user_id": "a-u000", "item_id": "a-i002", "interaction_type": "purchase", "event_id": "e1"}
DEADLINE_SECONDS = 120


@pytest.fixture(params=["folder", "s3"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Server | None]:
    """Where the lake is: nothing for a folder, or an object store of this test alone, because the test stops it."""
    if request.param == "folder":
        yield None
        return
    server = S3Server(tmp_path / "s3")
    server.start()
    for name, value in {
        "RECSAAS_LAKE": "s3://lake/shops",
        "RECSAAS_S3_ENDPOINT": server.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


@pytest.fixture
def client(server: S3Server | None, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The service over the site's lake, with a key of every scope; looks at the pointer at every request."""
    monkeypatch.setenv("RECSAAS_POINTER_CHECK_SECONDS", "0")
    monkeypatch.setenv("RECSAAS_UPLOAD_SETTLE_SECONDS", "0")
    site.create("apple")
    app = create_app(site.settings, site.db, site.whole_lake, lambda: datetime.now(UTC))
    with client_of(app) as client:
        yield client


@pytest.fixture
def headers(site: Site, client: Client) -> dict[str, str]:
    _, secret = create_api_key(site.db, APPLE, name="all", scopes=SCOPES, now=FIRST_DAY)
    return {"Authorization": f"Bearer {secret}"}


def test_from_the_file_to_the_answer(
    server: S3Server | None, site: Site, client: Client, headers: dict[str, str]
) -> None:
    for kind, csv in (("items", items_csv("a-")), ("interactions", interactions_csv("a-"))):
        report = client.post(f"/api/v1/upload/{kind}", files={"file": (f"{kind}.csv", csv)}, headers=headers).json()
        assert report["rows_rejected"] == 0, report
    assert client.post("/api/v1/interactions", json=EVENT, headers=headers).status_code == 200
    drop(site, "users", "people.csv", users_csv("a-"))
    drop(site, "items", "broken.csv", "")

    outcome = site.run("apple")
    assert outcome.success, outcome.message
    assert {upload.source for upload in list_uploads(site.db, APPLE)} == {"http", "landing"}
    landed = {file.name for file in list_files(site.whole_lake.landing_root)}
    assert landed == {"apple/items/broken.csv.why.json"}
    assert [each.file for each in list_refused(site.whole_lake, APPLE)] == ["items/broken.csv"]
    rows = read_parquet(site.lake("apple").dbt / "stg_interactions.parquet")
    assert "e1" in rows["event_id"].to_list()
    first = site.releases("apple").current()

    answer = client.get("/recommend/a-u001?k=5", headers=headers).json()
    assert answer["metadata"]["release_version"] == first
    assert answer["metadata"]["algorithm"] == "lightgcn"
    assert answer["metadata"]["degraded"] is False
    assert len(answer["recommendations"]) == 5
    assert all(card["item_id"].startswith("a-i") and card["title"] for card in answer["recommendations"])
    assert nothing_is_left_in_scratch(site)

    # More data, dropped: a second release takes over, and a rollback brings the first one back.
    drop(site, "interactions", "more.csv", interactions_csv("a-", rows=200, seed=5))
    outcome = site.run("apple")
    assert outcome.success, outcome.message
    releases = site.releases("apple")
    assert [summary.problem for summary in releases.list()] == [None, None]
    second = releases.list()[0].version
    releases.promote(second, datetime.now(UTC), "test", reason="try it")
    wait_for_version(second, client, headers)
    releases.rollback(datetime.now(UTC), "test")
    wait_for_version(first, client, headers)

    if server is not None:
        the_store_goes_away_and_comes_back(server, site, client, headers)


def wait_for_version(expected: str | None, client: Client, headers: dict[str, str]) -> None:
    """Ask until this release answers: no answer waits for a look at the pointer that is slow."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (found := version(client, headers)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def health_once_it_is(state: str, client: Client, headers: dict[str, str]) -> Any:
    """Ask for the health until the release is in this state: answers do not wait for a store that is slow to fail."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        health = client.get("/health", headers=headers).json()
        if health["release"]["state"] == state or time.monotonic() > deadline:
            return health
        time.sleep(0.2)


def the_store_goes_away_and_comes_back(server: S3Server, site: Site, client: Client, headers: dict[str, str]) -> None:
    live = version(client, headers)
    server.stop()
    answer = client.get("/recommend/a-u001?k=5", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["metadata"]["release_version"] == live, "the last good release keeps answering"
    health = health_once_it_is("last_good", client, headers)
    assert (health["status"], health["release"]["state"]) == ("degraded", "last_good")
    assert "lake" in health["release"]["problem"]

    file = {"file": ("items.csv", items_csv("b-"))}
    refused = client.post("/api/v1/upload/items", files=file, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "lake_unavailable")
    new = create_app(site.settings, site.db, site.whole_lake, lambda: datetime.now(UTC))
    with client_of(new) as started_meanwhile:
        answer = started_meanwhile.get("/recommend/a-u001", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "lake_unavailable")

        server.start()
        assert health_once_it_is("live", started_meanwhile, headers)["status"] == "ok"
        assert version(started_meanwhile, headers) == live
    assert health_once_it_is("live", client, headers)["release"]["state"] == "live"
    assert version(client, headers) == live
    assert client.post("/api/v1/upload/items", files=file, headers=headers).status_code == 200


def version(client: Client, headers: dict[str, str]) -> str:
    answer = client.get("/recommend/a-u001", headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["metadata"]["release_version"])


def drop(site: Site, kind: str, name: str, text: str) -> None:
    path = site.whole_lake.landing(APPLE, kind) / name
    write_bytes(path, text.encode())
    if isinstance(path, Path):
        long_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
        os.utime(path, (long_ago, long_ago))


def nothing_is_left_in_scratch(site: Site) -> bool:
    """Only locks and copies of releases stay."""
    folders = [path.relative_to(site.settings.scratch) for path in site.settings.scratch.rglob("*") if path.is_dir()]
    return not [path for path in folders if any(part.startswith(".") for part in path.parts)]
