"""Shops as systems in use export them: files uploaded as they are, a run, recommendations; by command and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bento_service.app import create_app
from recsaas_assets.sample.shapes import FILE_NAMES, SHAPES
from resources.access.scopes import SCOPES
from resources.base.settings import load_settings
from resources.base.tenant import TenantId
from resources.control_db.api_keys import create_api_key
from resources.control_db.engine import ControlDb, open_control_db
from resources.storage.lake import Lake
from resources.uploads.store import scan_accepted
from tests.e2e.test_journey import recsaas
from tests.unit.bento_service.client import Client, client_of

pytestmark = pytest.mark.e2e
ROWS = 5_000
NO_CATALOGUE = ("rees46", "retailrocket")
IN_EVERY_TEST = "woocommerce"
"""The shape with the most that has to be found out: variants, decimal commas, semicolons and Windows-1252."""


@dataclass(frozen=True)
class Installation:
    """A home with a service in this process."""

    home: Path
    db: ControlDb
    lake: Lake
    client: Client

    def headers(self, tenant: str) -> dict[str, str]:
        _, secret = create_api_key(self.db, TenantId(tenant), name="shop", scopes=SCOPES, now=datetime.now(UTC))
        return {"Authorization": f"Bearer {secret}"}

    def command(self, *arguments: str) -> Any:
        done = recsaas(self.home, *arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


@contextmanager
def installation(home: Path) -> Iterator[Installation]:
    settings = load_settings(home)
    db = open_control_db(settings.database_url)
    lake = Lake.open(settings.lake_url, scratch=settings.scratch)
    app = create_app(settings, db, lake, lambda: datetime.now(UTC))
    with client_of(app) as client:
        yield Installation(home, db, lake, client)
    app.state.services.decisions.close()
    db.close()


@pytest.mark.parametrize(
    "shape", [pytest.param(each, marks=() if each == IN_EVERY_TEST else pytest.mark.long) for each in SHAPES]
)
def test_files_are_uploaded_as_they_are_and_recommend(shape: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    sample = ("sample", "--shape", shape, "--rows", str(ROWS), "--out", str(tmp_path / "files"))
    assert recsaas(home, *sample).returncode == 0
    files = {kind: tmp_path / "files" / name for kind, name in FILE_NAMES[shape].items()}
    assert ("items" in files) == (shape not in NO_CATALOGUE)
    for tenant in ("by-command", "by-http"):
        assert recsaas(home, "tenant", "create", tenant).returncode == 0
    with installation(home) as site:
        headers = site.headers("by-http")
        for kind in sorted(files, reverse=True):
            commanded = site.command("upload", "by-command", kind, str(files[kind]))
            sent = {"file": (files[kind].name, files[kind].read_bytes())}
            answered = site.client.post(f"/api/v1/upload/{kind}", files=sent, headers=headers).json()
            counts = ("rows_total", "rows_accepted", "rows_rejected", "rows_duplicate")
            assert [answered.get(each) for each in counts] == [commanded[each] for each in counts], answered
            assert commanded["rows_rejected"] == 0, commanded["validation_errors"]
            assert commanded["statistics"]["unknown_items"] in (0, None)
        for tenant in ("by-command", "by-http"):
            assert site.command("run", tenant)["success"]
        user = _busiest_user(site)
        by_command = site.command("recommend", "by-command", user)
        by_http = site.client.get(f"/recommend/{user}", headers=headers).json()
    for answer in (by_command, by_http):
        assert len(answer["recommendations"]) == 10
        assert answer["metadata"]["fallback_reason"] != "unknown_user"
        assert all(item["title"] for item in answer["recommendations"]) == (shape not in NO_CATALOGUE)


def _busiest_user(site: Installation) -> str:
    uploads = site.command("uploads", "list", "by-command")["uploads"]
    (upload_id,) = [each["upload_id"] for each in uploads if each["kind"] == "interactions"]
    users = scan_accepted(site.lake, TenantId("by-command"), upload_id).select("user_id").collect()["user_id"]
    return str(users.value_counts(sort=True, name="rows")["user_id"][0])
