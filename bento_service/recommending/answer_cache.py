"""Rankings that were made moments ago, for the same query about the same state of things.

The key names everything a ranking depends on, so that nothing has to be invalidated: a new event, release, rule or item
makes another key, and what is not asked for any more falls out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, fields

from bento_service.access.redis import SharedStore
from bento_service.telemetry.metrics import Metrics
from resources.ranker.query import BundleQuery, RankingQuery, SimilarQuery
from resources.ranker.ranking import RankedItem, Ranking
from resources.release.catalogue import ItemCard

_SHARED_SECONDS = 300
_MOST_WRITES = 64
_ENTRY_BYTES = 600
_ITEM_BYTES = 350
_KEY_FACTOR = 8  # a short text takes some 60 bytes
_CARD = tuple(f.name for f in fields(ItemCard))
_SHAPES = (
    RankedItem._fields,
    _CARD,
    *([f.name for f in fields(each)] for each in (Ranking, RankingQuery, SimilarQuery, BundleQuery)),
)
# Another version of the code may ask or show by other fields; it must not read these.
_FORM = hashlib.sha256(repr(_SHAPES).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """A ranking, its items as JSON, whether there are more behind them, and the cursor to those for one `Page.key`."""

    ranking: Ranking
    items: str
    more: bool = False
    page_key: str = ""
    cursor: str | None = None


class AnswerCache:
    """The least recently used ones are dropped beyond `max_bytes`; 0 keeps none. Belongs to the event loop."""

    def __init__(self, metrics: Metrics, *, max_bytes: int) -> None:
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._bytes = 0
        # A look-up takes a third of cachetools' (ADR 17).
        self._kept: OrderedDict[Hashable, tuple[KeptAnswer, int]] = OrderedDict()

    def get(self, key: Hashable) -> KeptAnswer | None:
        """Return what was kept."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        self._metrics.answer_cache("hit")
        return found[0]

    def put(self, key: Hashable, kept: KeptAnswer) -> None:
        """Keep an answer."""
        size = _size(key, kept)
        if size > self._max_bytes:
            return
        before = self._kept.pop(key, None)
        self._bytes += size - (before[1] if before is not None else 0)
        self._kept[key] = (kept, size)
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._kept)


class SharedAnswers:
    """The same in a store that all workers share, so that a query that one of them answered is answered by all."""

    def __init__(self, store: SharedStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._writes: set[asyncio.Task[object]] = set()

    async def get(self, key: Hashable) -> KeptAnswer | None:
        """Return the answer that any worker kept; `None` too when the store does not answer."""
        found = await self._store.ask(lambda client: client.get(self._name(key)))
        if found is None:
            return None
        said = json.loads(found)
        self._metrics.answer_cache("shared_hit")
        items = tuple([RankedItem(ItemCard(*item[0]), *item[1:]) for item in said["items"]])
        ranking = Ranking(items, *[said[f.name] for f in fields(Ranking)[1:]])
        return KeptAnswer(ranking, said["text"], said["more"], said["page_key"], said["cursor"])

    def put(self, key: Hashable, kept: KeptAnswer) -> None:
        """Write without waiting; while too many writes are on their way, or the store is away, not at all."""
        if len(self._writes) >= _MOST_WRITES or self._store.resting:
            return
        said = {f.name: getattr(kept.ranking, f.name) for f in fields(Ranking)}
        said |= {"text": kept.items, "more": kept.more, "page_key": kept.page_key, "cursor": kept.cursor}
        said["items"] = [[_card_fields(item.card), *item[1:]] for item in kept.ranking.items]
        text = json.dumps(said, ensure_ascii=False)
        write = asyncio.ensure_future(
            self._store.ask(lambda client: client.set(self._name(key), text, ex=_SHARED_SECONDS))
        )
        self._writes.add(write)
        write.add_done_callback(self._writes.discard)

    def _name(self, key: Hashable) -> str:
        digest = hashlib.sha256(repr(key).encode(errors="surrogatepass")).hexdigest()
        return self._store.name("answer", _FORM, digest)


def _card_fields(card: ItemCard) -> list[str | float | None]:
    return [getattr(card, name) for name in _CARD]


def _size(key: Hashable, kept: KeptAnswer) -> int:
    """Estimate the bytes of a key and its answer in memory; a query may name thousands of items."""
    return _ENTRY_BYTES + _KEY_FACTOR * len(repr(key)) + _ITEM_BYTES * len(kept.ranking.items) + len(kept.items)
