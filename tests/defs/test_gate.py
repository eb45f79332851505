"""A worse candidate is held by a whole run, the old release keeps answering, and a person may still force it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from recsaas_assets.cli import cli
from recsaas_assets.instance.home import dagster_instance
from recsaas_assets.recommender.evaluation import gate
from recsaas_assets.recommender.fitting.inputs import FitInputs
from recsaas_assets.recommender.item_models import fitted
from recsaas_assets.recommender.lifecycle import train as lifecycle
from recsaas_assets.recommender.lifecycle.model_config import fit_model
from recsaas_assets.recommender.lightgcn.trainer import FitResult
from resources.base.errors import Conflict
from resources.base.tenant import TenantId
from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.release.load import load_release
from resources.release.manifest import TABLE_ALGORITHMS
from resources.training.runs import list_runs
from resources.uploads.contract.columns import Kind
from tests.defs.site import Site, interactions_csv, open_shop, recsaas_home

SHOP = "pear"


def answers(site: Site) -> list[str]:
    version = site.releases(SHOP).current()
    assert version is not None
    ranker = Ranker(load_release(site.releases(SHOP).directory(version)))
    return [item.item_id for item in ranker.recommend(RankingQuery("p-u001", 5)).items]


def test_shuffled_labels_are_held_and_can_be_forced(shared_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site = shared_site
    site.create(SHOP)
    open_shop(site, SHOP, "p-")
    first = site.run(SHOP)
    assert first.success, first.message
    live, answered = site.releases(SHOP).current(), answers(site)

    rng = np.random.default_rng(0)

    def worse(inputs: FitInputs, *args: Any, **options: Any) -> FitResult:
        shuffled = replace(inputs.pairs, item_row=rng.permutation(inputs.pairs.item_row))
        return fit_model(replace(inputs, pairs=shuffled), *args, **options)

    monkeypatch.setattr(lifecycle, "fit_model", worse)
    monkeypatch.setattr(fitted, "KINDS", ())  # an item–item model would take the place of such a model
    site.upload(SHOP, Kind.INTERACTIONS, interactions_csv("p-", rows=1150).replace("view", "click"))
    second = site.run(SHOP)
    assert second.success, second.message
    held = site.releases(SHOP).list()[0]
    assert held.manifest is not None
    assert (held.is_current, held.manifest.gate.outcome, held.manifest.replaces) == (False, "refused", live)
    assert held.manifest.metrics.against_replaced["ndcg@10"] < 0
    assert "live release stays" in held.manifest.gate.reasons[0]
    assert "NDCG@10" in " ".join(held.manifest.gate.reasons)
    assert (site.releases(SHOP).current(), answers(site)) == (live, answered)
    folder = site.releases(SHOP).directory(held.version)
    assert "## Against the live release" in (folder / "evaluation.md").read_text(encoding="utf-8")
    assert (folder / "evaluation.png").read_bytes().startswith(b"\x89PNG")

    with pytest.raises(Conflict, match="to force it, give a reason"):
        site.releases(SHOP).promote(held.version, now=datetime.now(UTC), actor="test")
    with recsaas_home(site.home):
        run = CliRunner().invoke
        forced = run(cli, ["releases", "promote", SHOP, held.version, "--reason", "the fair is on"])
        assert forced.exit_code == 0, forced.output
        assert "The gate had refused it" in forced.stdout.replace("\n", " ")
        shown = json.loads(run(cli, ["releases", "show", SHOP, "--json"]).stdout)
        listed = json.loads(run(cli, ["releases", "list", SHOP, "--json"]).stdout)["releases"]
        text = run(cli, ["releases", "show", SHOP]).stdout
    (move,) = shown["moves"]
    assert (move["forced"], move["reason"], move["replaced"]) == (True, "the fair is on", live)
    assert shown["gate"]["outcome"] == "refused"
    assert [(each["gate"], each["live"]) for each in listed] == [("refused", True), ("passed", False)]
    assert listed[0]["newest_move"]["actor"].startswith("cli:")
    assert "made live against the gate" in text


def learned_nothing(inputs: FitInputs, *args: Any, **options: Any) -> FitResult:
    """A fit on shuffled labels: what is left to a model of vectors that a shop does not suit."""
    shuffled = replace(inputs.pairs, item_row=np.random.default_rng(0).permutation(inputs.pairs.item_row))
    return fit_model(replace(inputs, pairs=shuffled), *args, **options)


def test_a_table_that_wins_is_served(shared_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "fit_model", learned_nothing)
    shared_site.create("plum")
    open_shop(shared_site, "plum", "m-")
    outcome = shared_site.run("plum")
    assert outcome.success, outcome.message
    (summary,) = shared_site.releases("plum").list()
    assert summary.manifest is not None
    served = summary.manifest.algorithm
    assert served in TABLE_ALGORITHMS and summary.is_current
    assert any(f"Served by {served}, which is surely ahead" in each for each in summary.manifest.gate.reasons)
    figures = summary.manifest.metrics
    assert (figures.overall["ndcg@10"] or 0) > (figures.baselines["lightgcn"]["ndcg@10"] or 0)
    loaded = load_release(shared_site.releases("plum").directory(summary.version))
    assert loaded.item_table is not None
    ranking = Ranker(loaded).recommend(RankingQuery("m-u001", 5))
    assert (ranking.algorithm, len(ranking.items)) == (served, 5)


def test_a_release_that_does_not_serve_the_best_known_is_warned_about(
    shared_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "fit_model", learned_nothing)
    monkeypatch.setattr(gate, "serving", lambda report, second_stage: report.model)
    shared_site.create("quince")
    open_shop(shared_site, "quince", "q-")
    outcome = shared_site.run("quince")
    assert outcome.success, outcome.message
    (summary,) = shared_site.releases("quince").list()
    assert summary.manifest is not None and summary.manifest.algorithm not in TABLE_ALGORITHMS
    with dagster_instance(shared_site.settings) as instance:
        found = [
            entry.dagster_event.asset_check_evaluation_data
            for entry in instance.all_logs(list_runs(shared_site.db, TenantId("quince"))[-1].run_id)
            if entry.dagster_event is not None and entry.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
        ]
    (check,) = [each for each in found if each.check_name == "served_is_best_known"]
    assert not check.passed
    assert "is surely ahead of" in (check.description or "")
