"""Exports whose files are in an object store: downloaded, searched for a user who is erased, removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bento_service.app import create_app
from resources.base.settings import Settings
from resources.control_db.engine import open_control_db
from resources.recommendations.batch import RECOMMENDATION_SCHEMA
from resources.storage.lake import Lake
from resources.storage.listing import list_files
from tests.unit.bento_service.client import client_of
from tests.unit.bento_service.recommending.test_recommendation_exports import PATH, file, made, state
from tests.unit.bento_service.shop import NOW, open_shop


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_in_the_store(s3_lake: Lake, tmp_path: Path, kind: str) -> None:
    settings = Settings(home=tmp_path)
    db = open_control_db(settings.database_url)
    shop = open_shop("blue", lake=s3_lake, db=db, prefix="b")
    shop.release()
    app = create_app(settings, db, s3_lake, lambda: NOW)
    folder = s3_lake.tenant(shop.tenant).exports
    read: Any = pl.read_csv if kind == "csv" else pl.read_parquet
    with client_of(app) as client:
        done = made(client, app, shop, count=3, format=kind)
        assert [each.name for each in list_files(folder)] == [f"{done['export_id']}.{kind}"]
        got = file(client, shop, done)
        assert got.headers["content-length"] == str(len(got.content)) == str(done["bytes"])
        assert read(got.content, schema=RECOMMENDATION_SCHEMA).height == done["rows"] == 6
        certificate = client.request("DELETE", "/api/v1/users/u1", headers=shop.headers).json()
        found = {finding["place"]: finding["rows"] for finding in certificate["found"]}
        assert found[f"exports/{done['export_id']}.{kind}"] == 3
        assert list(list_files(folder)) == []
        assert state(client, shop, done)["download_url"] is None
        again = made(client, app, shop, format=kind)
        assert client.request("DELETE", f"{PATH}/{again['export_id']}", headers=shop.headers).status_code == 200
        assert list(list_files(folder)) == []
    app.state.services.decisions.close()
    db.close()
