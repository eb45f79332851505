"""Answers as JSON, put together from pieces that are encoded once: a tenth of the time that a model's dump takes.

A test compares every form with what `schemas/recommendations.py` says.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from json.encoder import encode_basestring as quoted  # non-ASCII text stays as it is
from math import isfinite
from weakref import WeakKeyDictionary

from bento_service.schemas.recommendations import FallbackReason
from resources.ranker.ranker import Ranker
from resources.ranker.ranking import RankedItem, Ranking
from resources.recommendations.context import ServingContext
from resources.release.catalogue import ItemCard

MAX_TITLE = 1_000
"""Characters of a title, or of a category, in an answer: files of earlier versions may have had a million of them."""
MAX_URL = 2_000
"""Characters of an address of a picture in an answer; a longer one is left out, as a part of it leads nowhere."""
_MOST_PIECES = 50_000
_MOST_KEPT = 4_000
"""Characters of a piece that is kept; a larger one is encoded for each answer."""
_Pieces = dict[int, tuple[ItemCard, str]]
"""By identity of the card, which is kept beside its piece so that nothing else gets its identity."""


class AnswerWriter:
    """Writes answers; keeps the encoded part of an item that stays the same from answer to answer."""

    def __init__(self) -> None:
        self._recommended: _Pieces = {}
        self._alike: _Pieces = {}
        self._releases: WeakKeyDictionary[Ranker, tuple[str, str]] = WeakKeyDictionary()

    def recommended(self, items: Iterable[RankedItem]) -> str:
        """Return the JSON list of `Recommendation`."""
        return "[" + ",".join([self._recommendation(item) for item in items]) + "]"

    def similar(self, items: Iterable[RankedItem]) -> str:
        """Return the JSON list of `SimilarItem`."""
        return "[" + ",".join([self._similar_item(item) for item in items]) + "]"

    def metadata(
        self,
        context: ServingContext,
        ranking: Ranking,
        *,
        latency_ms: float,
        cache_hit: bool,
        fallback_reason: FallbackReason | None,
    ) -> str:
        """Return the JSON object of `AnswerMetadata`."""
        ranker, newest_event = context.ranker, context.interactions.until
        pieces = self._releases.get(ranker)
        if pieces is None:
            pieces = self._releases[ranker] = _of_release(ranker)
        names, freshness = pieces
        manifest = ranker.release.manifest
        until = manifest.events_until
        if newest_event is not None and (until is None or newest_event > until):
            until = newest_event
        if until is not None and until > context.at:  # a client's clock may be a day ahead
            until = context.at
        if until is not manifest.events_until:
            freshness = _fresh(until, manifest.trained_at)
        degraded = ranking.degraded or context.problem is not None
        return (
            f'{{{names},"algorithm":{quoted(ranking.algorithm)},"latency_ms":{latency_ms:.3f},'
            f'"cache_hit":{_flag(cache_hit)},"degraded":{_flag(degraded)},'
            f'"fallback_reason":{text(fallback_reason)},"variant":null,"freshness":{freshness}}}'
        )

    def _recommendation(self, item: RankedItem) -> str:
        card = item.card
        kept = self._recommended.get(id(card))
        if kept is None or kept[0] is not card:
            kept = _keep(self._recommended, card, _recommended(card))
        return f'{kept[1]}{item.score!r},"rank":{item.rank},"source":"{item.source}","reason":{text(item.reason)}}}'

    def _similar_item(self, item: RankedItem) -> str:
        card = item.card
        kept = self._alike.get(id(card))
        if kept is None or kept[0] is not card:
            kept = _keep(self._alike, card, _alike(card))
        return f"{kept[1]}{item.score!r}}}"


def text(value: str | None) -> str:
    """Return a JSON string, or null."""
    return "null" if value is None else quoted(value)


def _short(value: str | None) -> str:
    return text(value if value is None else value[:MAX_TITLE])


def _number(value: float | None) -> str:
    return "null" if value is None or not isfinite(value) else repr(float(value))


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _recommended(card: ItemCard) -> str:
    title, url = _short(card.title), card.image_url
    if url is not None and len(url) > MAX_URL:
        url = None
    return (
        f'{{"item_id":{quoted(card.item_id)},"title":{title},"name":{title},"category":{_short(card.category)},'
        f'"price":{_number(card.price)},"image_url":{text(url)},"score":'
    )


def _alike(card: ItemCard) -> str:
    title = _short(card.title)
    return (
        f'{{"item_id":{quoted(card.item_id)},"name":{title},"title":{title},"category":{_short(card.category)},'
        f'"price":{_number(card.price)},"similarity_score":'
    )


def _keep(pieces: _Pieces, card: ItemCard, piece: str) -> tuple[ItemCard, str]:
    if len(piece) > _MOST_KEPT:
        return card, piece
    if len(pieces) >= _MOST_PIECES:
        del pieces[next(iter(pieces))]
    kept = pieces[id(card)] = (card, piece)
    return kept


def _of_release(ranker: Ranker) -> tuple[str, str]:
    manifest = ranker.release.manifest
    model = quoted(f"{manifest.algorithm}-{manifest.version}")
    names = f'"model_version":{model},"release_version":{quoted(manifest.version)}'
    return names, _fresh(manifest.events_until, manifest.trained_at)


def _fresh(events_until: datetime | None, trained_at: datetime) -> str:
    until = "null" if events_until is None else f'"{_time(events_until)}"'
    return f'{{"events_until":{until},"trained_at":"{_time(trained_at)}"}}'


def _time(at: datetime) -> str:
    """Return a time in UTC as the schemas write it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
