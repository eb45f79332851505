"""`recsaas recommend` and `recsaas similar` answer what the service does, by vectors and by an item table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bento_service.app import create_app
from recsaas_assets.cli import cli
from resources.base.settings import load_settings
from resources.control_db.engine import ControlDb
from resources.storage.lake import Lake
from tests.unit.bento_service.client import client_of
from tests.unit.bento_service.shop import NOW, Shop, open_shop


@pytest.fixture(params=["lightgcn", "item_knn", "ease"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, db: ControlDb, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    lake = Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch")
    shop = open_shop("blue", lake=lake, db=db, prefix="b", algorithm=request.param)
    shop.release()
    return shop


def told(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.output))


def test_the_command_answers_what_the_service_does(shop: Shop, db: ControlDb) -> None:
    app = create_app(load_settings(), db, shop.lake, lambda: NOW)
    with client_of(app) as client:
        event = {"user_id": "u1", "item_id": "b4", "interaction_type": "view"}
        assert client.post("/api/v1/interactions", json=event, headers=shop.headers).status_code == 200
        for user in ("u1", "nobody"):
            body = {"user_id": user, "count": 4}
            served = client.post("/api/v1/recommendations", json=body, headers=shop.headers).json()
            printed = told("recommend", "blue", user, "-k", "4")
            assert printed["metadata"]["algorithm"] == served["metadata"]["algorithm"]
            for line, item in zip(printed["recommendations"], served["recommendations"], strict=True):
                assert (line["item_id"], line["source"], line["reason"]) == (
                    item["item_id"],
                    item["source"],
                    item["reason"],
                )
                assert line["score"] == pytest.approx(item["score"], abs=1e-6)
        alike = client.post("/api/v1/recommendations/similar", json={"item_id": "b1"}, headers=shop.headers).json()
        assert [line["item_id"] for line in told("similar", "blue", "b1")["recommendations"]] == [
            item["item_id"] for item in alike["similar_items"]
        ]
    app.state.services.decisions.close()
