"""`recsaas bench models --all` on two small invented shops, through the real graph, in this process."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from dagster import Definitions

from recsaas_assets.benchmarks.matrix.command import show_matrix
from recsaas_assets.benchmarks.matrix.keeping import MatrixOptions
from recsaas_assets.benchmarks.matrix.matrix import measure_matrix
from recsaas_assets.benchmarks.matrix.served import RunPipeline
from recsaas_assets.benchmarks.matrix.shops import chosen_sets
from recsaas_assets.benchmarks.pipeline.training_cost import ShopSize, run_cost
from recsaas_assets.benchmarks.workplace import Workplace
from recsaas_assets.instance.home import run_tenant
from resources.base.errors import NotReady
from resources.base.tenant import TenantId
from tests.defs.site import recsaas_home

SETS = ("sample-lasting", "sample-sessions")
OPTIONS = MatrixOptions(budget=1, seed=7, seeds=2, smoke=True, code="test")


@pytest.fixture(scope="module")
def run(template: Path, definitions: Definitions) -> RunPipeline:
    """The pipeline in this process, with dbt's parse of the session."""

    def in_this_process(site: Workplace, tenant: TenantId) -> dict[str, Any]:
        home = site.settings.home
        shutil.copytree(template, home, ignore=shutil.ignore_patterns("work", "logs"), dirs_exist_ok=True)
        with recsaas_home(home):
            outcome = run_tenant(site.settings, site.db, tenant)
        return asdict(outcome) | {"seconds_per_stage": {"lightgcn_model": 1.0, "features": 2.0}, "peak_memory_bytes": 1}

    return in_this_process


@pytest.fixture(scope="module")
def answer(run: RunPipeline, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[str]]:
    keep, said = tmp_path_factory.mktemp("matrix") / "kept.json", list[str]()
    sets = chosen_sets(SETS, smoke=True)
    return measure_matrix(sets, OPTIONS, keep=keep, say=said.append, run=run), keep, said


def test_every_set_has_what_is_served_beside_the_baselines_on_the_same_users(
    answer: tuple[dict[str, Any], Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    measured = answer[0]
    assert tuple(measured["sets"]) == SETS
    for name, each in measured["sets"].items():
        models = each["models"]
        assert {"served", "popularity", "recent_popularity", "item_knn", "ease", "study_lightgcn"} <= set(models)
        for model, row in models.items():
            assert set(row["figures"]) == {"ndcg@10", "ndcg@20", "recall@20", "coverage@10"}, (name, model)
            assert all(0 <= f["low"] <= f["value"] <= f["high"] <= 1 for f in row["figures"].values())
            if model != "served":
                lead = models["served"]["figures"]["ndcg@10"]["value"] - row["figures"]["ndcg@10"]["value"]
                assert row["served_minus_this"]["ndcg@10"]["value"] == pytest.approx(lead, abs=2e-5)
        assert each["test_users"] > 50 and len(each["seeds"]["ndcg@10"]) == 2
        # Nothing but the ranker is between a model and its release: by itself it gives what the release serves.
        alone = {
            "lightgcn": each["own_choice"],
            "popularity": models["popularity"]["figures"]["ndcg@10"]["value"],
        }[each["product"]["algorithm"]]
        assert models["served"]["figures"]["ndcg@10"]["value"] == pytest.approx(alone, abs=0.02)
        assert models["served"]["figures"]["recall@20"]["value"] > 0.15
        assert each["seeds"]["ndcg@10"][0] == each["own_choice"]
        assert each["product"]["gate"]["outcome"] == "passed" or each["product"]["algorithm"] == "popularity"
        assert each["product"]["own_report"]["users"] > 20 and each["product"]["second_stage"] in (False, True)
        assert each["candidates"] and max(each["candidates"].values()) > 0
    assert [row["left_out"] for row in measured["leave_one_set_out"]] == list(SETS)
    show_matrix(measured)
    assert "sample-lasting" in capsys.readouterr().out


def test_the_product_has_seen_nothing_of_what_it_is_measured_on(
    answer: tuple[dict[str, Any], Path, list[str]],
) -> None:
    for each in chosen_sets(SETS, smoke=True):
        shop, measured = each.read(OPTIONS.seed), answer[0]["sets"][each.name]
        assert measured["pairs"] == shop.interactions.unique(["user_id", "item_id"]).height
        before = shop.interactions.select("user_id", "item_id").unique()
        new = shop.later.select("user_id", "item_id").unique().join(before, on=["user_id", "item_id"], how="anti")
        known = new.join(before.select("user_id").unique(), on="user_id", how="semi")
        targets = known.join(before.select("item_id").unique(), on="item_id", how="semi")
        assert (measured["test_pairs"], measured["test_users"]) == (targets.height, targets["user_id"].n_unique())


def test_a_matrix_that_broke_off_goes_on_where_it_was(answer: tuple[dict[str, Any], Path, list[str]]) -> None:
    measured, keep, _ = answer
    document = json.loads(keep.read_text())
    del document["sets"]["sample-sessions"]
    broken = keep.with_name("broken.json")
    broken.write_text(json.dumps(document))
    said: list[str] = []

    def fails(site: Workplace, tenant: TenantId) -> dict[str, Any]:
        return {"success": False, "failed_step": "lightgcn_model", "message": f"no room for {tenant}"}

    with pytest.raises(NotReady, match="sample-sessions failed at lightgcn_model: no room"):
        measure_matrix(chosen_sets(SETS, smoke=True), OPTIONS, keep=broken, say=said.append, run=fails)
    assert said[0] == "sample-lasting (1 of 2): kept from before"
    again = measure_matrix(chosen_sets(SETS[:1], smoke=True), OPTIONS, keep=broken, say=said.append, run=fails)
    assert again["sets"]["sample-lasting"] == measured["sets"]["sample-lasting"]


def test_a_run_costs_seconds_and_memory(run: RunPipeline) -> None:
    cost = run_cost(ShopSize("test", 60, 40, 1_000), lambda site: run(site, TenantId("bench")), seed=1)
    assert 200 < cost.pairs <= 1_000 and cost.algorithm in {"lightgcn", "popularity", "item_knn", "ease"}
    assert (cost.training_seconds, cost.peak_memory_bytes) == (1.0, 1) and cost.run_seconds > 0
