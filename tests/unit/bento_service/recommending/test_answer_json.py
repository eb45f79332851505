"""The JSON that is put together by hand is what the models of the contract write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bento_service.recommending.answer_json import AnswerWriter
from bento_service.schemas.recommendations import (
    BundleAnswer,
    Recommendation,
    RecommendationAnswer,
    SimilarAnswer,
    SimilarItem,
)
from resources.ranker.ranking import RankedItem
from resources.release.catalogue import ItemCard
from tests.unit.bento_service.client import Client
from tests.unit.bento_service.shop import Shop

ODD = 'a "quoted" back\\slash\nline\t\x7f\u2028 ünï🎧'


@pytest.mark.parametrize(
    ("text", "price", "score"),
    [("plain", 9.5, 0.25), (ODD, 1e22, 1.0), (ODD, 1e-7, 1e-17), ("", 0.0, 0.0), (None, None, 0.1 + 0.2)],
)
def test_items_are_what_the_models_write(text: str | None, price: float | None, score: float) -> None:
    card = ItemCard(item_id="ä/1", title=text, category=text, brand=None, price=price, image_url=text)
    item = RankedItem(card, score, 3, "model", text)
    writer = AnswerWriter()
    shown = {name: getattr(item, name) for name in ("item_id", "title", "category", "price", "image_url")}
    for _ in range(2):  # the second one from the kept piece
        (found,) = _list(Recommendation, writer.recommended([item]))
        rest = {"score": score, "rank": 3, "source": "model", "reason": text}
        assert found == Recommendation(name=text, **shown, **rest)
        (alike,) = _list(SimilarItem, writer.similar([item]))
        assert alike == SimilarItem(
            item_id="ä/1", name=text, title=text, category=text, price=price, similarity_score=score
        )


def test_a_price_that_json_does_not_have_is_null() -> None:
    item = RankedItem(ItemCard("i", None, None, None, float("nan"), None), 0.5, 1, "model", None)
    assert _list(Recommendation, AnswerWriter().recommended([item]))[0].price is None


def test_whole_answers_are_what_the_models_write(client: Client, blue: Shop) -> None:
    recommended = client.post("/api/v1/recommendations", json={"user_id": "u1", "count": 2}, headers=blue.headers)
    answer = RecommendationAnswer.model_validate_json(recommended.content, strict=True)
    assert _same(answer.model_dump(mode="json"), recommended.json())
    similar = client.post("/api/v1/recommendations/similar", json={"item_id": "b1"}, headers=blue.headers)
    alike = SimilarAnswer.model_validate_json(similar.content, strict=True)
    assert _same(alike.model_dump(mode="json"), similar.json())
    bundled = client.post("/api/v1/recommendations/bundle", json={"item_ids": ["b1", "x"]}, headers=blue.headers)
    bundle = BundleAnswer.model_validate_json(bundled.content, strict=True)
    assert _same(bundle.model_dump(mode="json"), bundled.json()) and bundle.unknown_item_ids == ("x",)
    assert answer.metadata.freshness.trained_at == datetime(2024, 6, 1, 12, tzinfo=UTC)


def _list(model: Any, text: str) -> list[Any]:
    from pydantic import TypeAdapter

    return list(TypeAdapter(list[model]).validate_json(text, strict=True))


def _same(model: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Equal, and in the same order: what is sent is compared as text."""
    return repr(model) == repr(sent)
