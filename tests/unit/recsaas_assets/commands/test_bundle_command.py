"""`recsaas bundle` and `recsaas recommend --strategy` answer what the service does."""

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


@pytest.fixture
def shop(tmp_path: Path, db: ControlDb, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("RECSAAS_HOME", str(tmp_path))
    shop = open_shop("blue", lake=Lake.open(str(tmp_path / "lake"), scratch=tmp_path / "scratch"), db=db, prefix="b")
    shop.release(bundles=True)
    return shop


def shown(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("item_id", "rank", "source", "reason")
    return [tuple(item[name] for name in names) for item in answer["recommendations"]]


def test_the_commands_answer_what_the_service_does(shop: Shop, db: ControlDb) -> None:
    def told(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(cli, [*arguments, "--json"])
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.output))

    def served(client: Any, path: str, **body: Any) -> dict[str, Any]:
        return dict(client.post(f"/api/v1/{path}", json=body, headers=shop.headers).json())

    with client_of(create_app(load_settings(), db, shop.lake, lambda: NOW)) as client:
        bundle = told("bundle", "blue", "b4", "b1", "-k", "3")
        assert shown(bundle) == shown(served(client, "recommendations/bundle", item_ids=["b1", "b4"], count=3))
        assert bundle["item_ids"] == ["b4", "b1"] and bundle["recommendations"][0]["item_id"] == "b5"
        newest = told("recommend", "blue", "u1", "-k", "3", "--strategy", "newest")
        assert shown(newest) == shown(served(client, "recommendations", user_id="u1", count=3, strategy="newest"))
        assert newest["recommendations"][0]["source"] == "newest"


def test_a_basket_of_unknown_items_is_refused_with_words(shop: Shop) -> None:
    done = CliRunner().invoke(cli, ["bundle", "blue", "no such"])
    assert done.exit_code != 0 and "no such" in done.output
