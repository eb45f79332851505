"""Repeat purchases through the whole graph: a grocery's release brings them back, as the gate and the report say."""

from __future__ import annotations

from resources.ranker.query import RankingQuery
from resources.ranker.ranker import Ranker
from resources.release.load import load_release
from resources.storage.lake import read_json
from resources.uploads.contract.columns import Kind
from tests.defs.site import INTERACTION_COLUMNS, Site
from tests.unit.recsaas_assets.recommender.repeats.grocery import grocery

GROCERY, BOOKS = "grocery", "books"


def csv(*, staples: bool) -> str:
    rows = grocery(staples=staples).select("user_id", "item_id", "interaction_type", "timestamp")
    lines = (f"{user},{item},{kind},{time:%Y-%m-%dT%H:%M:%SZ}" for user, item, kind, time in rows.iter_rows())
    return "\n".join([INTERACTION_COLUMNS, *lines, ""])


def test_a_grocery_brings_them_back_and_a_bookshop_does_not(site: Site) -> None:
    site.create(GROCERY, BOOKS)
    for tenant, staples in ((GROCERY, True), (BOOKS, False)):
        site.upload(tenant, Kind.INTERACTIONS, csv(staples=staples))
        outcome = site.run(tenant)
        assert outcome.success, outcome.message
    released = {}
    for tenant in (GROCERY, BOOKS):
        store = site.releases(tenant)
        version = store.current()
        assert version is not None
        released[tenant] = load_release(store.directory(version))
    grocery_release, books = released[GROCERY], released[BOOKS]
    curve = grocery_release.manifest.repeats
    assert curve is not None and curve.purchases and grocery_release.repeats is not None
    with_them, without = (curve.figures[name] for name in ("with_repeats", "without_repeats"))
    assert with_them is not None and without is not None and with_them > without + 0.2
    assert any("comes again" in reason for reason in grocery_release.manifest.gate.reasons)
    report = read_json(grocery_release.directory / "evaluation.json")
    assert report["repeats"]["come_again"] is True
    assert "## Repeat purchases" in (grocery_release.directory / "evaluation.md").read_text()
    answer = Ranker(grocery_release).recommend(RankingQuery("u0", 10, exclude_seen=None, days=3)).items
    assert {item.item_id for item in answer if item.source == "repeat"} >= {"i0", "i1", "i2", "i3"}
    assert books.manifest.repeats is None and books.repeats is None
    assert any("Seen items stay out" in reason for reason in books.manifest.gate.reasons)
