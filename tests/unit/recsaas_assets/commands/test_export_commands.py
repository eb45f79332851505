"""`recsaas recommendations export` and `recsaas decisions export`: the files hold what the service answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI

from bento_service.app import create_app
from recsaas_assets.cli import cli
from resources.base.settings import load_settings
from resources.control_db.engine import ControlDb
from resources.jobs.kinds.erasures import request_erasure
from resources.recommendations.batch import RECOMMENDATION_SCHEMA
from resources.storage.lake import Lake
from tests.unit.bento_service.client import Client, client_of
from tests.unit.bento_service.shop import NOW, Shop, open_shop

USERS = ["u1", "ü 2/x", '=new,"user']


@pytest.fixture(params=["lightgcn", "item_knn"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, db: ControlDb, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    shop = open_shop("blue", lake=lake, db=db, prefix="b", algorithm=request.param)
    shop.release(cold_start=True)
    return shop


@pytest.fixture
def service(shop: Shop, db: ControlDb) -> Iterator[tuple[FastAPI, Client]]:
    app = create_app(load_settings(), db, shop.lake, lambda: NOW)
    with client_of(app) as client:
        yield app, client
    app.state.services.decisions.close()


def recsaas(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def answers(client: Client, shop: Shop, user: str, k: int) -> list[dict[str, Any]]:
    answer = client.post("/api/v1/recommendations", json={"user_id": user, "count": k}, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["recommendations"]
    return found


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_file_holds_for_every_user_what_the_service_answers(
    service: tuple[FastAPI, Client], shop: Shop, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.recommendations.batch.USERS_AT_ONCE", 2)
    client = service[1]
    for user, item in ((USERS[0], "b2"), (USERS[2], "b4")):
        event = {"user_id": user, "item_id": item, "interaction_type": "view"}
        assert client.post("/api/v1/interactions", json=event, headers=shop.headers).status_code == 200
    assert client.request("DELETE", "/api/v1/items/b6", headers=shop.headers).status_code < 300
    file = tmp_path / f"all.{suffix}"
    done = recsaas("recommendations", "export", "blue", "--k", "3", "--to", str(file), "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["users"], told["release"]) == (3, shop.versions[0])
    table = pl.read_parquet(file) if suffix == "parquet" else pl.read_csv(file, schema=RECOMMENDATION_SCHEMA)
    assert told["rows"] == table.height
    for user in USERS:
        rows = table.filter(pl.col("user_id") == user).drop("user_id").to_dicts()
        expected = answers(client, shop, user, 3)
        assert rows == [{name: item[name] for name in ("rank", "item_id", "score", "source")} for item in expected]
        assert rows, user
    assert "b6" not in table["item_id"].to_list()


def test_a_user_who_waits_to_be_erased_is_not_in_the_file(shop: Shop, tmp_path: Path) -> None:
    request_erasure(shop.db, shop.tenant, "u1", NOW)
    file = tmp_path / "all.parquet"
    done = recsaas("recommendations", "export", "blue", "--to", str(file))
    assert "for 1 users of tenant blue" in done.stdout
    assert set(pl.read_parquet(file)["user_id"]) == {"ü 2/x"}


def test_the_answers_as_a_file(service: tuple[FastAPI, Client], shop: Shop, tmp_path: Path) -> None:
    app, client = service
    shown = [answers(client, shop, user, 2) for user in USERS[:2]]
    assert app.state.services.decisions.flush()
    file = tmp_path / "log.parquet"
    done = recsaas("decisions", "export", "blue", "--to", str(file), "--since", "2024-06-01T12:00:00Z", "--json")
    assert json.loads(done.stdout)["decisions"] == 2
    table = pl.read_parquet(file)
    assert table["user_id"].to_list() == USERS[:2]
    assert [[i["item_id"] for i in items] for items in table["items"]] == [[i["item_id"] for i in a] for a in shown]
    later = recsaas("decisions", "export", "blue", "--to", str(file), "--since", "2024-06-01T12:00:01Z")
    assert "Wrote 0 answers" in later.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("recommendations", "export", "blue", "--to", "all.txt"), "must end in .parquet or .csv"),
        (("recommendations", "export", "nobody", "--to", "all.csv"), "nobody"),
        (("decisions", "export", "blue", "--to", "log.csv"), "must end in .parquet"),
        (("decisions", "export", "nobody", "--to", "log.parquet"), "nobody"),
        (("decisions", "export", "blue", "--to", "log.parquet", "--since", "monday"), "is not a time"),
        (("decisions", "export", "blue", "--to", "log.parquet", "--since", "2024-01-01"), "has no offset"),
    ],
)
def test_what_cannot_be_done_is_said(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = recsaas(*arguments)
    assert done.exit_code == 1
    assert problem in " ".join(done.output.split())
    assert not list(tmp_path.glob("*.csv")) and not list(tmp_path.glob("*.parquet"))
