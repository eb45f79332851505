"""The requests of the serving benchmarks, ready to be sent."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from recsaas_assets.benchmarks.serving.serve_data import ServedTenant
from recsaas_assets.benchmarks.serving.serve_load import http_request

RECOMMEND = "/api/v1/recommendations"
SIMILAR = "/api/v1/recommendations/similar"
EVENT = "/api/v1/interactions"
DISTINCT = 5_000
"""How many different requests of a kind there are; they are sent in turn."""


def requests_by_kind(served: ServedTenant, *, distinct: int = DISTINCT, seed: int = 7) -> dict[str, tuple[bytes, ...]]:
    """Return requests of each kind.

    `recommend` for users whom the release knows, drawn evenly; `recommend_new_user` for one that it does not know, with
    three events in the request; `recommend_filtered` for a known user, one category up to a price that half of its
    items or more have; `similar` for an item; `event` for a view of an item by a known user.
    """
    rng = np.random.default_rng(seed)
    users = rng.choice(np.array(served.contents.user_ids), distinct).tolist()
    items = rng.choice(np.array(served.item_ids), (distinct, 3)).tolist()
    categories = rng.choice(np.array(served.categories), distinct).tolist()
    prices = dict(served.contents.items.group_by("category").agg("price").iter_rows())
    limits = [float(np.quantile(prices[category], rng.uniform(0.5, 1.0))) for category in categories]

    def post(path: str, bodies: Iterable[object]) -> tuple[bytes, ...]:
        return tuple(http_request("POST", path, key=served.key, body=json.dumps(body).encode()) for body in bodies)

    return {
        "recommend": post(RECOMMEND, ({"user_id": user} for user in users)),
        "recommend_new_user": post(
            RECOMMEND,
            (
                {
                    "user_id": f"newcomer-{number}",
                    "recent_events": [{"item_id": item, "interaction_type": "view"} for item in three],
                }
                for number, three in enumerate(items)
            ),
        ),
        "recommend_filtered": post(
            RECOMMEND,
            (
                {"user_id": user, "filters": {"category": category, "max_price": limit}}
                for user, category, limit in zip(users, categories, limits, strict=True)
            ),
        ),
        "similar": post(SIMILAR, ({"item_id": three[0]} for three in items)),
        "event": post(
            EVENT,
            (
                {"user_id": user, "item_id": three[0], "interaction_type": "view"}
                for user, three in zip(users, items, strict=True)
            ),
        ),
    }
