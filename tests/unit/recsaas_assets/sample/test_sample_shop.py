"""The invented shop: as many rows as asked for, the same each time, and something in it to learn."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsaas_assets.sample.shop import DAYS, SampleShop, generate_shop
from recsaas_assets.sample.writer import write_shop
from resources.tenants.settings import TenantSettings
from resources.uploads.checking.compare import inspect_upload
from resources.uploads.contract.columns import Kind
from resources.uploads.contract.incoming import IncomingUpload, UploadPolicy
from resources.uploads.contract.report import UploadReport

END = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop() -> SampleShop:
    return generate_shop(users=800, items=400, interactions=20_000, end=END)


def inspect(kind: Kind, path: Path) -> UploadReport:
    settings = TenantSettings()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        return inspect_upload(
            IncomingUpload(kind, path, filename=path.name, origin="cli", received_at=END),
            UploadPolicy(settings, max_bytes=10**8),
            work=work,
        ).report


def test_the_same_seed_gives_the_same_shop_and_another_seed_another(shop: SampleShop) -> None:
    again = generate_shop(users=800, items=400, interactions=20_000, end=END)
    other = generate_shop(users=800, items=400, interactions=20_000, end=END, seed=8)
    assert all(getattr(shop, kind).equals(getattr(again, kind)) for kind in ("items", "users", "interactions"))
    assert not shop.interactions.equals(other.interactions)


@pytest.mark.parametrize(("users", "items", "n"), [(1, 1, 1), (1, 1, 30), (3, 2, 50), (1, 40, 10), (50, 1, 100)])
def test_small_shops_have_exactly_the_rows_asked_for(users: int, items: int, n: int, tmp_path: Path) -> None:
    shop = generate_shop(users=users, items=items, interactions=n, end=END)
    assert (shop.users.height, shop.items.height, shop.interactions.height) == (users, items, n)
    paths = write_shop(shop, tmp_path / "new")
    assert [inspect(kind, path).rows_accepted for kind, path in zip(Kind, (paths[0], *paths[1:]), strict=True)] == [
        items,
        users,
        n,
    ]


def test_every_row_is_accepted(shop: SampleShop, tmp_path: Path) -> None:
    for kind, path in zip((Kind.ITEMS, Kind.USERS, Kind.INTERACTIONS), write_shop(shop, tmp_path), strict=True):
        report = inspect(kind, path)
        assert (report.status, report.rows_accepted) == ("success", report.rows_total)


@pytest.mark.parametrize(("dirty", "rejected", "duplicate"), [(1, 1, 0), (5, 4, 1), (503, 403, 100)])
def test_dirty_rows_are_found_exactly(dirty: int, rejected: int, duplicate: int, tmp_path: Path) -> None:
    shop = generate_shop(users=100, items=50, interactions=1_000, end=END, dirty_rows=dirty)
    report = inspect(Kind.INTERACTIONS, write_shop(shop, tmp_path)[2])
    assert (shop.n_rejected, shop.n_duplicate) == (rejected, duplicate)
    assert (report.rows_accepted, report.rows_rejected, report.rows_duplicate) == (1_000, rejected, duplicate)
    if dirty == 503:
        assert report.errors_by_rule == {
            "user_id.empty": 101,
            "interaction_type.unknown": 101,
            "timestamp.not_a_time": 101,
            "price.negative": 100,
        }


def test_people_look_more_than_they_buy(shop: SampleShop) -> None:
    counts = dict(shop.interactions["interaction_type"].value_counts().iter_rows())
    assert counts["view"] > counts["click"] > counts["add_to_cart"] > counts["purchase"] > 0
    # Every purchase follows a view of the same item in the same visit.
    looked = shop.interactions.filter(pl.col("interaction_type") == "view").select("session_id", "item_id").unique()
    bought = shop.interactions.filter(pl.col("interaction_type") == "purchase")
    assert bought.join(looked, on=["session_id", "item_id"], how="anti").is_empty()


def test_time_runs_forward_and_no_item_is_seen_before_it_exists(shop: SampleShop) -> None:
    assert shop.interactions["timestamp"].is_sorted()
    assert shop.interactions["timestamp"].max() < "2025-06-01"  # type: ignore[operator]
    seen = shop.interactions.join(shop.items.select("item_id", "created_at"), on="item_id", how="left")
    assert seen.filter(pl.col("timestamp") < pl.col("created_at")).is_empty()
    assert (shop.items["created_at"] > shop.interactions["timestamp"].min()).sum() > 50


def test_popularity_is_skewed_and_tastes_differ_from_it(shop: SampleShop) -> None:
    """Items seen together before predict the later ones better than popularity does."""
    views = shop.interactions.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    users = views["user_id"].rank("dense").to_numpy().astype(int) - 1
    items = views["item_id"].rank("dense").to_numpy().astype(int) - 1
    cut = int(len(users) * 0.8)
    before = np.zeros((users.max() + 1, items.max() + 1))
    before[users[:cut], items[:cut]] = 1
    popularity = before.sum(axis=0)
    top = np.sort(popularity)[::-1]
    assert top[: len(top) // 10].sum() > 0.3 * top.sum()
    norm = np.sqrt(np.maximum(popularity, 1))
    together = (before.T @ before) / norm[:, None] / norm[None, :]
    np.fill_diagonal(together, 0)

    def hits(scores: np.ndarray) -> int:
        best = np.argsort(-np.where(before > 0, -np.inf, scores), axis=1)[:, :20]
        return sum(item in best[user] for user, item in zip(users[cut:], items[cut:], strict=True))

    assert hits(before @ together) > 1.3 * hits(np.tile(popularity, (len(before), 1)))


def test_senseless_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        generate_shop(users=0, end=END)
    with pytest.raises(ValueError, match="offset"):
        generate_shop(end=datetime(2025, 6, 1))


def test_habits_say_what_the_history_is_like() -> None:
    shops = {
        habits: generate_shop(users=300, items=300, interactions=120_000, end=END, habits=habits)
        for habits in ("drifting", "lasting", "sessions")
    }
    first = (END - timedelta(days=DAYS)).strftime("%Y-%m-%d")
    joined = {habits: (shop.items["created_at"] >= first).sum() for habits, shop in shops.items()}
    assert joined["drifting"] > 20 and joined["lasting"] == joined["sessions"] == 0

    def followers(habits: str) -> float:
        """Of the looks after another one in the same visit, the share that the four commonest followers make up."""
        looks = shops[habits].interactions.filter(pl.col("interaction_type") == "view").sort("session_id", "timestamp")  # type: ignore[index]
        pairs = looks.with_columns(before=pl.col("item_id").shift(1).over("session_id")).drop_nulls("before")
        counted = pairs.group_by("before", "item_id").len().sort("len", descending=True)
        return float(counted.group_by("before").head(4)["len"].sum() / len(pairs))

    assert followers("sessions") > 1.25 * followers("lasting")
