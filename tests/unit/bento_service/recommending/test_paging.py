from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from resources.ranker.retrieval.index import build_index
from resources.release.contents import ITEM_SCHEMA, ReleaseContents
from resources.release.store import new_version
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import NOW, Shop, contents, draft

ITEMS = 1_030


def ask(client: Client, shop: Shop, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/recommendations", json=body, headers=shop.headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(client: Client, shop: Shop, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/recommendations", json=body, headers=shop.headers)
    assert answer.status_code == 422, answer.text
    return dict(answer.json()["error"])


def pages(client: Client, shop: Shop, **body: Any) -> list[list[dict[str, Any]]]:
    """Every page, to the end."""
    found, cursor = [], None
    while True:
        answer = ask(client, shop, **body, **({"cursor": cursor} if cursor else {}))
        found.append(answer["recommendations"])
        cursor = answer["next_cursor"]
        if cursor is None:
            return found


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["item_id"] for item in items]


def large(n: int) -> ReleaseContents:
    """A release like the shop's, of `n` items, in which nobody has seen anything."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    small = contents("b")
    names = [f"i{row}" for row in range(n)]
    columns = {name: [small.items[name][0]] * n for name in ITEM_SCHEMA}
    columns |= {"item_row": list(range(n)), "item_id": names, "title": names, "popularity": list(map(float, range(n)))}
    return replace(
        small,
        items=pl.DataFrame(columns, schema=ITEM_SCHEMA),
        user_vectors=rng.normal(size=(2, 4)).astype(np.float32),
        item_vectors=vectors,
        seen_indptr=np.zeros(3, dtype=np.int64),
        seen_items=np.empty(0, dtype=np.int32),
        index_bytes=build_index(vectors)[0],
    )


@pytest.mark.parametrize("user", ["u1", "ü 2/x", "nobody", None])
def test_pages_hold_every_item_once_with_ranks_that_count_on_and_scores_that_fall(
    client: Client, blue: Shop, user: str | None
) -> None:
    body = {} if user is None else {"user_id": user}
    whole = ask(client, blue, count=50, **body)
    assert whole["next_cursor"] is None
    found = pages(client, blue, count=2, **body)
    assert [len(page) for page in found] == ([2, 2, 1] if user == "u1" else [2, 2, 2])
    listed = [item for page in found for item in page]
    assert sorted(ids(listed)) == sorted(ids(whole["recommendations"]))
    assert [item["rank"] for item in listed] == list(range(1, len(listed) + 1))
    scores = [item["score"] for item in listed]
    assert scores == sorted(scores, reverse=True)


def test_what_the_user_meets_between_two_pages_is_on_no_later_one(client: Client, blue: Shop) -> None:
    first = ask(client, blue, user_id="ü 2/x", count=2)
    for item in (ids(first["recommendations"])[0], "b2"):
        event = {"user_id": "ü 2/x", "item_id": item, "interaction_type": "view"}
        assert client.post("/api/v1/interactions", json=event, headers=blue.headers).status_code == 200
    second = ask(client, blue, user_id="ü 2/x", count=10, cursor=first["next_cursor"])
    everything = ids(first["recommendations"]) + ids(second["recommendations"])
    assert sorted(everything) == ["b1", "b3", "b4", "b5", "b6"]
    assert second["next_cursor"] is None


def test_pages_end_where_the_unseen_items_end(client: Client, blue: Shop) -> None:
    first = ask(client, blue, user_id="u1", count=3)
    for item in ("b4", "b5", "b6"):
        event = {"user_id": "u1", "item_id": item, "interaction_type": "view"}
        client.post("/api/v1/interactions", json=event, headers=blue.headers)
    shown = ids(first["recommendations"])
    left = [item for item in ("b2", "b3") if item not in shown]
    last = ask(client, blue, user_id="u1", count=3, cursor=first["next_cursor"])
    assert ids(last["recommendations"]) == left
    assert last["next_cursor"] is None
    assert last["metadata"]["degraded"] is False


def test_seen_items_are_paged_when_there_are_no_others(client: Client, blue: Shop) -> None:
    for item in ("b2", "b3", "b4", "b5", "b6"):
        event = {"user_id": "u1", "item_id": item, "interaction_type": "view"}
        client.post("/api/v1/interactions", json=event, headers=blue.headers)
    found = pages(client, blue, user_id="u1", count=4)
    assert sorted(ids([item for page in found for item in page])) == ["b1", "b2", "b3", "b4", "b5", "b6"]


def test_a_release_between_two_pages_repeats_nothing(client: Client, blue: Shop) -> None:
    first = ask(client, blue, count=3)
    turned = contents("b")
    order = turned.items.reverse().with_columns(item_row=pl.int_range(6, dtype=turned.items.schema["item_row"]))
    version = new_version(NOW, "00000002")
    vectors = turned.item_vectors[::-1].copy()
    other = replace(turned, items=order, item_vectors=vectors, index_bytes=build_index(vectors)[0])
    blue.store.write(version, other, draft(blue.tenant))
    blue.store.promote(version, NOW, "test")
    second = ask(client, blue, count=3, cursor=first["next_cursor"])
    assert second["metadata"]["release_version"] == version
    assert sorted(ids(first["recommendations"] + second["recommendations"])) == ["b1", "b2", "b3", "b4", "b5", "b6"]


def test_a_cursor_fits_only_the_request_that_it_came_with(client: Client, blue: Shop, green: Shop) -> None:
    cursor = ask(client, blue, user_id="u1", count=2)["next_cursor"]
    assert ask(client, blue, user_id="u1", count=1, explain=False, cursor=cursor)["recommendations"]
    middle = len(cursor) // 2
    damaged = f"{cursor[:middle]}{'A' if cursor[middle] != 'A' else 'B'}{cursor[middle + 1 :]}"
    for shop, body in (
        (blue, {"user_id": "u2", "cursor": cursor}),
        (blue, {"user_id": "u1", "filters": {"category": "Audio"}, "cursor": cursor}),
        (blue, {"user_id": "u1", "exclude_seen": False, "cursor": cursor}),
        (green, {"user_id": "u1", "cursor": cursor}),
        (blue, {"user_id": "u1", "cursor": damaged}),
        (blue, {"user_id": "u1", "cursor": "nonsense"}),
        (blue, {"user_id": "u1", "cursor": "ü"}),
    ):
        error = refused(client, shop, **body)
        assert error["details"][0]["field"] == "cursor"
        assert "next_cursor" in error["message"]


def test_a_cursor_of_a_release_that_is_gone_says_to_start_again(client: Client, blue: Shop) -> None:
    cursor = ask(client, blue, count=2)["next_cursor"]
    blue.release(suffix="00000002")
    (blue.directory(blue.versions[0]) / "items.parquet").unlink()
    assert "leave it out to start again" in refused(client, blue, count=2, cursor=cursor)["message"]


def test_all_pages_together_hold_a_thousand_items(client: Client, blue: Shop) -> None:
    version = new_version(NOW, "00000009")
    blue.store.write(version, large(ITEMS), draft(blue.tenant))
    blue.store.promote(version, NOW, "test")
    found = pages(client, blue, user_id="u1", count=96)
    listed = [item for page in found for item in page]
    assert len({item["item_id"] for item in listed}) == len(listed) == 1_000
    assert ids(listed)[:100] == ids(ask(client, blue, user_id="u1", count=100)["recommendations"])
