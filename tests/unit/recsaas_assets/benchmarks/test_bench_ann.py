"""`recsaas bench ann`: real figures of a small catalogue, and vectors that are what it says."""

import json

import numpy as np
from click.testing import CliRunner

from recsaas_assets.benchmarks.serving import ann as command
from recsaas_assets.benchmarks.serving.ann_release import made_up, random_table
from resources.ranker.retrieval.index import build_index


def test_a_small_catalogue_is_searched_exactly_and_says_so(monkeypatch) -> None:
    monkeypatch.setattr(command, "_USERS", 40)
    done = CliRunner().invoke(command.ann, ["--items", "1500", "--dimensions", "8", "--json"], catch_exceptions=False)
    figures = json.loads(done.stdout)
    assert (figures["index"], figures["recall@20"], figures["items"]) == ("flat_ip", 1.0, 1500)
    assert figures["memory_bytes"] > 1500 * 8 * 4
    for part in (figures, figures["filtered"], figures["exact"]):
        assert 0 < part["p50_ms"] <= part["p95_ms"] and 0 < part["cpu_p50_ms"] <= part["cpu_p95_ms"]
    assert {each["recall@20"] for each in figures["filtered"].values() if isinstance(each, dict)} == {1.0}


def test_an_item_table_is_asked_instead(monkeypatch) -> None:
    monkeypatch.setattr(command, "_USERS", 40)
    asked = ["--items", "1500", "--neighbours", "30", "--json"]
    figures = json.loads(CliRunner().invoke(command.ann, asked, catch_exceptions=False).stdout)
    assert figures["memory_bytes"] == 1501 * 8 + 1500 * 30 * 8 + 1500 * 4
    assert list(figures["by_items_of_the_history"]) == ["5", "20", "50", "200"]
    for part in (*figures["by_items_of_the_history"].values(), figures["recommend_after_50"]):
        assert 0 < part["p50_ms"] <= part["p95_ms"] and 0 < part["cpu_p50_ms"] <= part["cpu_p95_ms"]


def test_a_random_table_is_one() -> None:
    table = random_table(1_000, 200, seed=1)
    table.check()
    for row in (0, 500, 999):
        items, _ = table.row(row)
        assert len(np.unique(items)) == 200 and row not in items and (np.diff(items) > 0).all()


def test_users_lie_near_items_and_lists_find_them() -> None:
    vectors = made_up(4_000, 60, 8, seed=1)
    assert (vectors.items.shape, vectors.users.shape) == ((4_000, 8), (60, 8))
    assert np.allclose(np.linalg.norm(vectors.users[:, :-1], axis=1), 1, atol=1e-5)
    assert (vectors.users[:, -1] == 1).all() and (vectors.items[:, -1] >= 0).all()
    _, info = build_index(vectors.items, user_vectors=vectors.users, exact_limit=100)
    assert info.type == "ivf_ip" and info.recall > 0.9
