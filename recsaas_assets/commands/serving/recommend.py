"""`recsaas recommend`, `recsaas similar` and `recsaas bundle`: ask the live release without a service."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import click
from rich.table import Table

from recsaas_assets.commands.console import SHOP_ID, TENANT, Installation, json_option, print_json, results
from resources.base.tenant import TenantId
from resources.control_db.tenants import get_tenant
from resources.ranker.live import live_ranker
from resources.ranker.query import Strategy
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import Ranking
from resources.recommendations.offline import offline_answers

count_option = click.option("-k", "--count", default=10, show_default=True, type=click.IntRange(1, 100))


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("user", type=SHOP_ID)
@count_option
@click.option(
    "--strategy", default="personal", show_default=True, type=click.Choice(get_args(Strategy)), help="What to list."
)
@json_option
def recommend(tenant_id: TenantId, user: str, count: int, strategy: Strategy, as_json: bool) -> None:
    """Recommend items to USER; a new user gets items by the tracked events, or what is popular."""
    site = Installation()
    with offline_answers(site.db, tenant_id, ranker_of(site, tenant_id), now=datetime.now(UTC)) as answers:
        show(answers.recommend(user, count, strategy=strategy), as_json, user_id=user)


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("item", type=SHOP_ID)
@count_option
@json_option
def similar(tenant_id: TenantId, item: str, count: int, as_json: bool) -> None:
    """Show items like ITEM."""
    site = Installation()
    with offline_answers(site.db, tenant_id, ranker_of(site, tenant_id), now=datetime.now(UTC)) as answers:
        show(answers.similar(item, count), as_json, item_id=item)


@click.command()
@click.argument("tenant_id", metavar="TENANT", type=TENANT)
@click.argument("items", metavar="ITEM...", nargs=-1, required=True, type=SHOP_ID)
@count_option
@json_option
def bundle(tenant_id: TenantId, items: tuple[str, ...], count: int, as_json: bool) -> None:
    """Show what goes with a basket that holds each ITEM."""
    site = Installation()
    with offline_answers(site.db, tenant_id, ranker_of(site, tenant_id), now=datetime.now(UTC)) as answers:
        show(answers.bundle(items, count), as_json, item_ids=list(items))


def ranker_of(site: Installation, tenant: TenantId) -> Ranker:
    """The ranker over the live release of a tenant that has to exist.

    Raises:
        TenantNotFound, NoRelease, CorruptRelease
    """
    get_tenant(site.db, tenant)
    return live_ranker(site.lake, tenant)


def show(ranking: Ranking, as_json: bool, **asked: str | list[str]) -> None:
    """Print a ranking."""
    rows = [
        {
            "rank": i.rank,
            "item_id": i.item_id,
            "title": i.title,
            "category": i.category,
            "price": i.price,
            "score": round(i.score, 6),
            "source": i.source,
            "reason": i.reason,
        }
        for i in ranking.items
    ]
    if as_json:
        notes = {
            "algorithm": ranking.algorithm,
            "degraded": ranking.degraded,
            "fallback_reason": ranking.fallback_reason,
        }
        print_json({**asked, "recommendations": rows, "metadata": notes})
        return
    table = Table("rank", "item", "title", "category", "score", "why")
    for row in rows:
        shown = (
            row["rank"],
            row["item_id"],
            row["title"] or "",
            row["category"] or "",
            row["score"],
            row["reason"] or "",
        )
        table.add_row(*map(str, shown))
    results.print(table)
